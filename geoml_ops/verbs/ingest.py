"""Deliveries become verdicts and versions, one command per step."""

from __future__ import annotations

import json

import typer

from geoml_ops.terminal import places, say, show

app = typer.Typer(no_args_is_help=True, help="Deliveries become verdicts and versions.")


@app.command("collect")
def collect() -> None:
    """List the complete deliveries that have no verdict yet."""
    from geoml_ops.steps import ingest as step

    names = step.collect(places())
    print(json.dumps(list(names)))
    say(f"{len(names)} to judge; next: geoml ingest check NAME")


@app.command("check")
def check(name: str) -> None:
    """Judge one delivery; a refused one goes to quarantine with its reasons."""
    from geoml_ops.steps import ingest as step

    verdict = step.check(places(), name)
    show(verdict)
    for reason in verdict.reasons:
        say(f"refused: {reason}")
    say("accepted; next: geoml ingest track" if verdict.accepted else "the delivery is in quarantine")


@app.command("track")
def track() -> None:
    """Make a version of everything accepted so far."""
    from geoml_ops.steps import ingest as step

    version = step.track(places())
    if version is None:
        say("nothing accepted yet; next: geoml ingest collect")
        return
    show(version)
    say("next: geoml train run")
