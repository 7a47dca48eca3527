"""A version becomes an evaluated model, one command per step."""

from __future__ import annotations

from typing import Annotated

import typer

from geoml_ops.terminal import places, say, show

app = typer.Typer(no_args_is_help=True, help="A version becomes an evaluated model.")


@app.command("tabulate")
def tabulate(
    version: Annotated[str, typer.Argument(help="id of a version; the newest if left out")] = "",
) -> None:
    """Draw samples from a version's labels and compute their features."""
    from geoml_ops.steps import train as step

    here = places()
    table = step.tabulate(here, step.version_for(here, version or None))
    show(table)
    say(f"next: geoml train plan {table.id}")


@app.command("plan")
def plan(table: str) -> None:
    """Plan the folds: spatial ones that count, random ones as a labelled baseline."""
    from geoml_ops.steps import train as step

    plans = step.plan(places(), table)
    show(*plans)
    say(f"next: geoml train evaluate FAMILY {' '.join(plan.id for plan in plans)}")


@app.command("evaluate")
def evaluate(family: str, plans: list[str]) -> None:
    """Score one family on identical folds."""
    from geoml_ops.steps import train as step

    evaluation = step.evaluate(places(), plans, family)
    show(evaluation)
    say(f"next: geoml train choose {evaluation.id} …")


@app.command("choose")
def choose(evaluations: list[str]) -> None:
    """Pick the best by its honest score and refit it on all samples."""
    from geoml_ops.steps import train as step

    best = step.choose(places(), tuple(evaluations))
    show(best)
    say(f"next: geoml publish export {best.id}")


@app.command("run")
def run(version: Annotated[str, typer.Argument(help="id of a version; the newest if left out")] = "") -> None:
    """All four steps of a training, one after another."""
    from geoml_ops.steps import train as step

    here = places()
    step.require_buildable(here)
    table = step.tabulate(here, step.version_for(here, version or None))
    plans = [plan.id for plan in step.plan(here, table.id)]
    evaluations = []
    for family in step.families(here):
        say(f"evaluating {family} …")
        evaluations.append(step.evaluate(here, plans, family))
    best = step.choose(here, tuple(e.id for e in evaluations))
    show(best)
    say(f"next: geoml publish export {best.id}")
