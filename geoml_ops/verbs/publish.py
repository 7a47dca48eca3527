"""An evaluated model becomes a bundle, an entry, perhaps the champion."""

from __future__ import annotations

from typing import Annotated

import typer

from geoml_ops.terminal import places, say, show

app = typer.Typer(no_args_is_help=True, help="An evaluated model becomes a bundle, an entry, perhaps the champion.")


@app.command("export")
def export(evaluation: str) -> None:
    """Export one ONNX bundle; refuse it if it disagrees with the fitted model."""
    from geoml_ops.steps import publish as step

    bundle = step.export(places(), evaluation)
    show(bundle)
    say(f"next: geoml publish register {bundle.id}")


@app.command("register")
def register(bundle: str) -> None:
    """Register a bundle under the alias challenger."""
    from geoml_ops.steps import publish as step

    entry = step.register(places(), bundle)
    show(entry)
    say(f"next: geoml publish judge {entry.id}")


@app.command("judge")
def judge(entry: str) -> None:
    """Ask the gate."""
    from geoml_ops.steps import publish as step

    judgement = step.judge(places(), entry)
    show(judgement)
    for objection in judgement.objections:
        say(f"objection: {objection}")
    say(f"{judgement.outcome}; next: geoml publish release {judgement.id}")


@app.command("approve")
def approve(
    judgement: str,
    by: Annotated[str, typer.Option(help="who decides, by name")],
    reason: Annotated[str, typer.Option(help="why; kept with the name")],
    reject: Annotated[bool, typer.Option("--reject", help="decide against it, for good")] = False,
) -> None:
    """Let a promoted judgement pass, or reject it; the policy may ask for it before a release."""
    from geoml_ops.steps import approvals as step

    show(step.approve(places(), judgement, by=by, reason=reason, reject=reject))
    found = step.standing_of(places(), judgement)
    say(found.sentence)
    if found.decision != "Reject":
        again = f"geoml publish release {judgement}" if found.decision else step.command_for(judgement)
        say(f"next: {again}")


@app.command("release")
def release(judgement: str) -> None:
    """Make a promoted entry the champion; the service follows by itself."""
    from geoml_ops.steps import publish as step

    entry = step.release(places(), judgement)
    if entry is None:
        say("the gate did not promote it; the champion stays")
        return
    show(entry)
    say("next: geoml status")
