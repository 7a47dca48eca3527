"""Predictions are compared with the champion's ground."""

from __future__ import annotations

from typing import Annotated

import typer

from geoml_ops.core.flow import Drift
from geoml_ops.terminal import places, say, settings, show

app = typer.Typer(no_args_is_help=True, help="Predictions are compared with the champion's ground; a decision follows.")


@app.command("run")
def run(version: Annotated[str, typer.Argument(help="id of a version to weigh; the newest if left out")] = "") -> None:
    """Compare what was predicted since the last look, scene by scene, decide, write the dashboard."""
    from geoml_ops.steps import watch as step

    here = places()
    for turn in step.rounds(here, version):
        show(*[noun for noun in (turn.drift, turn.decision, turn.retrain) if noun is not None])
        if turn.drift is not None:
            say(f"{_named(turn.drift)}: {turn.drift.diagnosis.cause}. {turn.drift.diagnosis.sentence}")
        say(f"→ {turn.decision.action}. {turn.decision.because}")
    step.summarise(here, links=settings().links())
    say(f"The pages of what was found are under {here.dashboard}.")


@app.command("accept")
def accept(
    drift: Annotated[str, typer.Argument(help="id of a drift, as watch run prints it")],
    because: Annotated[str, typer.Option(help="why this scene is as it should be")],
) -> None:
    """Take a scene into the reference of its stream: what it shows is normal from now on."""
    from geoml_ops.steps import references

    made = references.accept(places(), drift, because)
    show(made)
    say(f"Reference {made.number} of {made.stream} holds {len(made.readings)} scenes; later ones are compared with it.")


def _named(drift: Drift) -> str:
    return f"{drift.stream} {drift.acquired:%Y-%m-%d}" if drift.acquired else drift.stream or "A scene"
