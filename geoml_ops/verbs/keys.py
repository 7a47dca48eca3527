"""Keys of the service: who may look, send, and see what everybody sent."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from geoml_ops.core.errors import BadInput
from geoml_ops.terminal import say, settings

app = typer.Typer(no_args_is_help=True, help="Keys that the service asks for, once GEOML_KEYS names their file.")
File = Annotated[Path | None, typer.Option("--file", help="the file of keys; GEOML_KEYS if left out", dir_okay=False)]


@app.command("new")
def new(
    name: Annotated[str, typer.Argument(help="who gets it")],
    role: Annotated[str, typer.Option(help="reader, classifier or operator")] = "classifier",
    requests_per_minute: Annotated[int | None, typer.Option(min=1, help="no limit if left out")] = None,
    pixels_per_day: Annotated[int | None, typer.Option(min=1, help="no limit if left out")] = None,
    expires: Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="last day (UTC)")] = None,
    replace: Annotated[bool, typer.Option(help="lock out whoever has the key of this name")] = False,
    file: File = None,
) -> None:
    """Make a key and show it once; the file keeps its digest only."""
    from geoml_ops.steps import keys as step

    path = _file(file)
    quota = step.Quota(requests_per_minute=requests_per_minute, pixels_per_day=pixels_per_day)
    last = expires.date() if expires else None
    print(step.new_key(path, name, role, quota=quota, expires=last, replace=replace))
    say(f"the key of {name} ({role}); it is shown this once. The service reads {path} again by itself")


@app.command("list")
def listed(file: File = None) -> None:
    """List who has a key, with role, quota and last day."""
    from geoml_ops.steps import keys as step

    found = step.read_keys(_file(file))
    for key in found:
        print(json.dumps(key.model_dump(mode="json", exclude={"sha256"})))
    say(f"{len(found)} keys")


@app.command("remove")
def remove(name: Annotated[str, typer.Argument(help="whose key")], file: File = None) -> None:
    """Take a key back."""
    from geoml_ops.steps import keys as step

    step.remove_key(_file(file), name)
    say(f"{name} is locked out as soon as the service has read the file again")


def _file(given: Path | None) -> Path:
    found = given or settings().keys
    if found is None:
        raise BadInput("No file of keys is named.", "set GEOML_KEYS, or give --file keys.yaml")
    return found
