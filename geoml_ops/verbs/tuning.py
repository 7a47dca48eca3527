"""Parameters are searched for and features are chosen, in spatial folds inside spatial folds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from geoml_ops.terminal import places, say, show

if TYPE_CHECKING:
    from geoml_ops.steps.places import Places


def tune(
    family: Annotated[str, typer.Argument(help="a family of the experiment")],
    plan: Annotated[
        list[str] | None, typer.Option(help="ids of plans, as geoml train plan prints them; those of the newest table")
    ] = None,
    trials: Annotated[int | None, typer.Option(help="sets of parameters in each search", min=2)] = None,
    workers: Annotated[int | None, typer.Option(help="processes on each search", min=1, max=64)] = None,
    engine: Annotated[Literal["optuna", "flaml"], typer.Option(help="what searches")] = "optuna",
) -> None:
    """Search for a family's parameters inside folds, and score the search itself."""
    from geoml_ops.steps import tuning as step

    here = places()
    plans = plan or _newest(here, family)
    asked = " ".join(["geoml tune", family, *(f"--plan {each}" for each in plans), f"--engine {engine}"])
    asked += f" --trials {trials}" if trials else ""
    asked += f" --workers {workers}" if workers else ""
    try:
        evaluation = step.tune(here, plans, family, engine=engine, trials=trials, workers=workers, say=say)
    except KeyboardInterrupt:
        say(f"stopped; every trial that ended is kept; to go on: {asked}")
        raise typer.Exit(130) from None
    show(evaluation)
    say(f"next: geoml train choose {evaluation.id} …")


def select(
    plan: Annotated[str, typer.Argument(help="id of the plan that counts; that of the newest table if left out")] = "",
    method: Annotated[str, typer.Option(help="vif, permutation, rfe or boruta; the experiment says if left out")] = "",
    most: Annotated[int | None, typer.Option(help="largest number of features that stay", min=1)] = None,
    option: Annotated[list[str] | None, typer.Option("--set", help="what else the method is told: alpha=0.01")] = None,
    family: Annotated[str, typer.Option(help="that features are chosen for, with --set model=family")] = "",
) -> None:
    """Say which features a rule keeps, how often in the folds, and why the others go."""
    from geoml_ops.adapters.configs import plain_yaml
    from geoml_ops.steps import selecting as step

    here = places()
    words = dict(each.partition("=")[::2] for each in option or ())
    said = {name: plain_yaml(text, f"--set {name[:60]}") for name, text in words.items()}
    found = step.select(here, plan or _newest(here)[0], family=family, method=method, most=most, options=said)
    show(found)
    for name, why in found.because.items():
        say(f"{name} {why}")
    say(f"{len(found.kept)} of {len(found.kept_share)} features stay: {', '.join(found.kept)}")
    say("next: write it under selection in the experiment, so that every fold chooses for itself")


def _newest(here: Places, family: str = "") -> list[str]:
    """Returns the plans of the newest version's table, made where they are missing; not before the family is known."""
    from geoml_ops.core.errors import BadInput
    from geoml_ops.steps import train

    known = train.families(here)
    if family and family not in known:
        raise BadInput(f"There is no family {family[:60]!r} in the experiment.", f"use one of {', '.join(known)}")
    return [plan.id for plan in train.plan(here, train.tabulate(here, train.version_for(here)).id)]
