"""The four verbs on the command line, one command per step; each says what comes next."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from geoml_ops.terminal import places, say, show

ingest = typer.Typer(no_args_is_help=True, help="Deliveries become verdicts and versions.")
train = typer.Typer(no_args_is_help=True, help="A version becomes an evaluated model.")
publish = typer.Typer(no_args_is_help=True, help="An evaluated model becomes a bundle, an entry, perhaps the champion.")
watch = typer.Typer(
    no_args_is_help=True, help="Predictions are compared with the champion's ground; a decision follows."
)


# --- ingest ----------------------------------------------------------------------------------


@ingest.command("collect")
def ingest_collect() -> None:
    """List the complete deliveries that have no verdict yet."""
    from geoml_ops.steps import ingest as step

    names = step.collect(places())
    print(json.dumps(list(names)))
    say(f"{len(names)} to judge; next: geoml ingest check NAME")


@ingest.command("check")
def ingest_check(name: str) -> None:
    """Judge one delivery; a refused one goes to quarantine with its reasons."""
    from geoml_ops.steps import ingest as step

    verdict = step.check(places(), name)
    show(verdict)
    for reason in verdict.reasons:
        say(f"refused: {reason}")
    say("accepted; next: geoml ingest track" if verdict.accepted else "the delivery is in quarantine")


@ingest.command("track")
def ingest_track() -> None:
    """Make a version of everything accepted so far."""
    from geoml_ops.steps import ingest as step

    version = step.track(places())
    if version is None:
        say("nothing accepted yet; next: geoml ingest collect")
        return
    show(version)
    say("next: geoml train run")


# --- train -----------------------------------------------------------------------------------


@train.command("tabulate")
def train_tabulate(
    version: Annotated[str, typer.Argument(help="id of a version; the newest if left out")] = "",
) -> None:
    """Draw samples from a version's labels and compute their features."""
    from geoml_ops.steps import train as step

    here = places()
    table = step.tabulate(here, step.version_for(here, version or None))
    show(table)
    say(f"next: geoml train plan {table.id}")


@train.command("plan")
def train_plan(table: str) -> None:
    """Plan the folds: spatial ones that count, random ones as a labelled baseline."""
    from geoml_ops.steps import train as step

    plans = step.plan(places(), table)
    show(*plans)
    say(f"next: geoml train evaluate FAMILY {' '.join(plan.id for plan in plans)}")


@train.command("evaluate")
def train_evaluate(family: str, plans: list[str]) -> None:
    """Score one family on identical folds."""
    from geoml_ops.steps import train as step

    evaluation = step.evaluate(places(), plans, family)
    show(evaluation)
    say(f"next: geoml train choose {evaluation.id} …")


@train.command("choose")
def train_choose(evaluations: list[str]) -> None:
    """Pick the best by its honest score and refit it on all samples."""
    from geoml_ops.steps import train as step

    best = step.choose(places(), tuple(evaluations))
    show(best)
    say(f"next: geoml publish export {best.id}")


@train.command("run")
def train_run(version: Annotated[str, typer.Argument(help="id of a version; the newest if left out")] = "") -> None:
    """All four steps of a training, one after another."""
    from geoml_ops.steps import train as step

    here = places()
    table = step.tabulate(here, step.version_for(here, version or None))
    plans = [plan.id for plan in step.plan(here, table.id)]
    evaluations = []
    for family in step.families(here):
        say(f"evaluating {family} …")
        evaluations.append(step.evaluate(here, plans, family))
    best = step.choose(here, tuple(e.id for e in evaluations))
    show(best)
    say(f"next: geoml publish export {best.id}")


# --- publish ---------------------------------------------------------------------------------


@publish.command("export")
def publish_export(evaluation: str) -> None:
    """Export one ONNX bundle; refuse it if it disagrees with the fitted model."""
    from geoml_ops.steps import publish as step

    bundle = step.export(places(), evaluation)
    show(bundle)
    say(f"next: geoml publish register {bundle.id}")


@publish.command("register")
def publish_register(bundle: str) -> None:
    """Register a bundle under the alias challenger."""
    from geoml_ops.steps import publish as step

    entry = step.register(places(), bundle)
    show(entry)
    say(f"next: geoml publish judge {entry.id}")


@publish.command("judge")
def publish_judge(entry: str) -> None:
    """Ask the gate."""
    from geoml_ops.steps import publish as step

    judgement = step.judge(places(), entry)
    show(judgement)
    for objection in judgement.objections:
        say(f"objection: {objection}")
    say(f"{judgement.outcome}; next: geoml publish release {judgement.id}")


@publish.command("release")
def publish_release(judgement: str) -> None:
    """Make a promoted entry the champion; the service follows by itself."""
    from geoml_ops.steps import publish as step

    entry = step.release(places(), judgement)
    if entry is None:
        say("the gate did not promote it; the champion stays")
        return
    show(entry)
    say("next: geoml status")


# --- watch -----------------------------------------------------------------------------------


@watch.command("run")
def watch_run(version: Annotated[str, typer.Argument(help="id of a version to weigh; none if left out")] = "") -> None:
    """Compare what was predicted since the last look, decide, write the dashboard."""
    from geoml_ops.steps import watch as step

    here = places()
    drift = step.compare(here, step.gather(here))
    decision, retrain = step.decide(here, drift.id if drift else "", version)
    step.summarise(here)
    show(*[noun for noun in (drift, decision, retrain) if noun is not None])
    say(decision.because)
