"""Predictions are compared with the champion's ground."""

from __future__ import annotations

from typing import Annotated

import typer

from geoml_ops.terminal import places, say, show

app = typer.Typer(no_args_is_help=True, help="Predictions are compared with the champion's ground; a decision follows.")


@app.command("run")
def run(version: Annotated[str, typer.Argument(help="id of a version to weigh; none if left out")] = "") -> None:
    """Compare what was predicted since the last look, decide, write the dashboard."""
    from geoml_ops.steps import watch as step

    here = places()
    drift = step.compare(here, step.gather(here))
    decision, retrain = step.decide(here, drift.id if drift else "", version)
    step.summarise(here)
    show(*[noun for noun in (drift, decision, retrain) if noun is not None])
    say(decision.because)
