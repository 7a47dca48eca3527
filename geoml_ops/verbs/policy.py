"""When monitoring acts: the policy in force, whether a file is one, and what another would have done."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from geoml_ops.terminal import places, say

if TYPE_CHECKING:
    from geoml_ops.core.policy import Policy

app = typer.Typer(no_args_is_help=True, help="When monitoring acts, and what another policy would have done.")

File = Annotated[Path, typer.Argument(help="a policy file (YAML)", dir_okay=False)]
Day = datetime | None


def _day(told: str) -> Any:
    return typer.Option(formats=["%Y-%m-%d"], help=told)


@app.command("show")
def show() -> None:
    """Show the policy in force with every key, those left out too."""
    from geoml_ops.adapters.configs import read_policy

    here = places()
    _print(read_policy(here.policy))
    say(f"in force: {here.policy}")


@app.command("check")
def check(file: File) -> None:
    """Say whether a file is a policy, and show it with every key."""
    from geoml_ops.adapters.configs import read_policy

    policy = read_policy(file)
    _print(policy)
    for line in _meaning(policy):
        say(line)


@app.command("backtest")
def backtest(
    file: File,
    since: Annotated[Day, _day("first day that counts; what was before is still learned from")] = None,
    until: Annotated[Day, _day("last day that counts")] = None,
    truth: Annotated[
        Path | None, typer.Option(help="what really changed (YAML or JSON); without it false means unconfirmed")
    ] = None,
) -> None:
    """Replay history under a policy, beside the one in force: alarms, trainings, false ones, delay, cost."""
    from geoml_ops.adapters.configs import read_policy
    from geoml_ops.steps import backtest as step

    report = step.backtest(
        places(),
        read_policy(file),
        since=since.date() if since else None,
        until=until.date() if until else None,
        truth=step.read_truth(truth) if truth else None,
    )
    print(step.as_text(report), end="")
    for line in _table(report):
        say(line)


def _print(policy: Policy) -> None:
    print(json.dumps({"id": policy.id, **policy.model_dump(mode="json")}, ensure_ascii=False))


def _meaning(policy: Policy) -> Iterator[str]:
    from geoml_ops.domain.alarms import scenes_needed

    yield f"{' '.join(policy.name.split())[:60]} is a policy ({policy.id})"
    if policy.kind == "naive":
        yield "naive: any shift starts a training, whatever its cause; for comparison only"
        return
    rules = policy.calibration
    until = f"until {scenes_needed(rules.alpha):,} scenes are pooled; charts alarm after {rules.least_years} years"
    yield (
        f"alarms: {rules.chart.kind} over scenes by {rules.by}, {rules.alarms_per_year:g} false ones a year and "
        "stream; "
        f"{'fixed thresholds' if rules.uncalibrated == 'fixed' else 'quiet'} {until}"
    )
    due = {
        "on the first version": policy.new_version == "first",
        "on every version": policy.new_version == "always",
        "when labels of drifted ground arrive": policy.retrain_on_drift,
        f"every {policy.every_days} days": policy.every_days is not None,
        f"at an age of {policy.longest_age_days} days": policy.longest_age_days is not None,
        f"when an audit is below {policy.audit.floor}": policy.audit.floor is not None,
    }
    yield f"trains {', '.join(word for word, does in due.items() if does) or 'when people say so'}"


def _table(report: Mapping[str, Any]) -> Iterator[str]:
    runs = [report["candidate"], report["in_force"]]
    yield f"{report['n_evaluations']} evaluations of {report['n_scenes']} scenes"
    if report["n_left_out"]:
        yield f"{report['n_left_out']} evaluations are left out: what they looked at is not here"
    false = report["false_means"]
    rows: list[tuple[str, list[str]]] = [
        ("", [run["policy"][:24] for run in runs]),
        ("alarms", [str(run["n_alarms"]) for run in runs]),
        (f"  {false}", [str(run["n_false_alarms"]) for run in runs]),
        ("rounds of labels", [str(len(run["label_rounds"])) for run in runs]),
        ("trainings", [str(run["n_trainings"]) for run in runs]),
        (f"  {false}", [str(run["n_false_trainings"]) for run in runs]),
        ("held back", [str(run["held_back"]) for run in runs]),
        ("hours of training", [_number(run["cost"]["training_hours"]) for run in runs]),
        ("hours of labelling", [_number(run["cost"]["label_minutes"] / 60) for run in runs]),
    ]
    for place, change in enumerate(runs[0]["delays"] or ()):
        for what in ("alarm", "labels", "training"):
            days = [run["delays"][place][f"days_to_{what}"] for run in runs]
            rows.append((f"{change['cause']} {change['since']}: days to {what}", [_number(day) for day in days]))
    wide = max(len(name) for name, _ in rows)
    for name, cells in rows:
        yield f"  {name:{wide}}  " + "  ".join(f"{cell:>24}" for cell in cells)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:g}" if isinstance(value, int) else f"{value:.2f}"
