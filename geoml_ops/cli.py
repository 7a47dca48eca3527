"""``geoml``: every step by hand. Nouns go to stdout as JSON; words and progress go to stderr."""

from __future__ import annotations

import errno
import json
import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from geoml_ops.core.errors import GeomlError
from geoml_ops.settings import CHECKOUT, Settings, be_quiet
from geoml_ops.terminal import places, say, show
from geoml_ops.verbs import (
    accuracy,
    alerts,
    classify,
    explaining,
    features,
    ingest,
    judging,
    keys,
    labelling,
    policy,
    publish,
    trail,
    train,
    tuning,
    watch,
)

app = typer.Typer(
    no_args_is_help=True, add_completion=False, help="One loop, four verbs: ingest, train, publish, watch."
)
for _verb in (ingest, train, publish, watch, policy, trail, accuracy, features, keys):
    app.add_typer(_verb.app, name=_verb.__name__.rpartition(".")[2])
app.add_typer(labelling.app, name="labels")

for _command in (
    judging.folds,
    judging.audit,
    judging.gate,
    tuning.tune,
    tuning.select,
    explaining.explain,
    classify.classify,
    alerts.alerts,
):
    app.command()(_command)


# --- classify, trace -------------------------------------------------------------------------


@app.command()
def trace(
    raster: Annotated[Path, typer.Argument(help="a map made by this platform", exists=True, dir_okay=False)],
    at: Annotated[str, typer.Option(help="EASTING,NORTHING in the map's CRS")],
) -> None:
    """Walk from a pixel to its bundle, run, folds, version and scenes."""
    from geoml_ops.core.errors import BadInput
    from geoml_ops.steps import trace as step

    try:
        easting, northing = (float(part) for part in at.split(","))
    except ValueError:
        raise BadInput(f"{at!r} is not a point.", "write --at 330000,5820000") from None
    for link in step.trace(places(), raster, easting, northing):
        show(link.noun)
        say(link.sentence)


@app.command()
def impact(scene: Annotated[str, typer.Argument(help="a scene's id or name")]) -> None:
    """List everything that was made from a scene."""
    from geoml_ops.steps import trace as step

    nouns = step.impact(places(), scene)
    show(*nouns)
    say(f"{len(nouns)} things were made from {scene}")


# --- the machine -----------------------------------------------------------------------------


@app.command()
def sample() -> None:
    """Fetch the sample imagery and check it against data.dvc."""
    from geoml_ops.adapters import sample as step

    be_quiet()
    folder = step.fetch(Settings().data)
    say(f"[3/3] sample imagery in {folder}")


@app.command()
def up() -> None:
    """Start every server and leave them on."""
    import subprocess

    from geoml_ops import stack

    machine = Settings()
    home = machine.workspace.resolve() / "stack"
    if stack.supervisor(machine) is None:
        home.mkdir(parents=True, exist_ok=True)
        (home / "index.html").unlink(missing_ok=True)
        with (home / "supervisor.log").open("wb") as log:
            child = subprocess.Popen(
                [sys.executable, "-m", "geoml_ops.cli", "serve"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                cwd=CHECKOUT,
            )
        say("starting; the first time takes about a minute")
        shown = 0
        while not (home / "index.html").exists():
            lines = (home / "supervisor.log").read_text(errors="replace").splitlines()
            for line in lines[shown:]:
                say(line)
            shown = len(lines)
            if child.poll() is not None:
                raise GeomlError(
                    "The stack ended while starting.", f"read {home / 'supervisor.log'} and {home / 'logs'}"
                )
            time.sleep(0.5)
    status()
    say(f"the same links as a page: {home / 'index.html'}")


@app.command(hidden=True)
def serve() -> None:
    """Keep the stack up in this process until told to stop."""
    from geoml_ops import stack

    stack.serve(Settings())


@app.command()
def down() -> None:
    """Stop what ``up`` started."""
    from geoml_ops import stack

    process = stack.supervisor(Settings())
    if process is None:
        say("nothing is running")
        return
    process.terminate()
    process.wait(60)
    say("stopped")


@app.command()
def status() -> None:
    """Show what runs, what is champion, what was decided last, and where to look."""
    from geoml_ops import servers, stack
    from geoml_ops.adapters.nouns import Shelf
    from geoml_ops.core.flow import Decision
    from geoml_ops.steps import decisions

    machine = Settings()
    home = machine.workspace.resolve() / "stack"
    here = places()
    last = list(Shelf(here.nouns).all(Decision))[-1:]
    if stack.supervisor(machine) is None:
        say("nothing is running; next: geoml up")
    else:
        one = stack.Stack(machine, ports=json.loads((home / "ports.json").read_text()))
        for name, address in one.links().items():
            say(f"  {name:16} {address}")
        keys = json.loads((home / "secrets.json").read_text())
        for name in ("admin", *servers.respondents(machine)):
            say(f"  {'Airflow login':16} {name} / {servers.password_of(name, keys)}")
        entry = decisions.champion(here)
        say(f"  {'Champion':16} {f'{entry.model} {entry.number} ({entry.bundle})' if entry else 'none yet'}")
    say(f"  {'Last decision':16} {f'{last[0].action}: {last[0].because}' if last else 'none yet'}")
    say(f"  {'Drop folder':16} {here.drop}")


@app.command()
def demo(
    fresh: Annotated[bool, typer.Option(help="forget an earlier turn first")] = False,
) -> None:
    """Turn the loop once on real imagery, from the first delivery to a second champion."""
    from geoml_ops.demo import drive

    raise typer.Exit(drive.main(Settings(), fresh=fresh))


def main() -> None:
    """Runs the command line; a foreseen error becomes one sentence and exit code 1."""
    try:
        app()
    except GeomlError as error:
        say(f"error: {error}")
        sys.exit(1)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        say(f"error: The disk is full. Nothing is lost: make room and run the same again. ({error.filename or ''})")
        sys.exit(1)


if __name__ == "__main__":
    main()
