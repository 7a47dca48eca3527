"""The audit trail: every evaluation of the triggers, fired or not, each sealed to the one before it."""

from __future__ import annotations

import json
import re
from collections import deque
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from geoml_ops.core.errors import BadInput
from geoml_ops.terminal import places, say

if TYPE_CHECKING:
    from geoml_ops.adapters.trail import Head

app = typer.Typer(no_args_is_help=True, help="Every evaluation of the triggers, and whether the record is whole.")


@app.command("show")
def show(
    last: Annotated[int, typer.Option(min=0, help="this many of them; 0 for all")] = 20,
    stream: Annotated[str, typer.Option(help="only of this stream")] = "",
    fired: Annotated[bool, typer.Option(help="only those that started a training")] = False,
) -> None:
    """List the newest records, oldest first."""
    from geoml_ops.steps import trail as step

    found = deque(step.show(places(), stream=stream, fired=fired), maxlen=last or None)
    for entry in found:
        content = {"number": entry.number, "sha256": entry.sha256, "id": entry.id, **entry.record.as_json()}
        print(json.dumps(content, ensure_ascii=False))
    say(f"{len(found)} records")


@app.command("verify")
def verify(
    noted: Annotated[
        list[str] | None, typer.Option(help="NUMBER:SHA256 of a record that was noted elsewhere; repeat")
    ] = None,
) -> None:
    """Check every record and every link; exit with 1 and name the line where one was changed."""
    from geoml_ops.steps import decisions
    from geoml_ops.steps import trail as step

    found = step.verify(places(), [_head(text) for text in noted or ()])
    for flaw in found.flaws:
        say(f"{flaw.file}, line {flaw.line}: {flaw.what}" if flaw.line else f"{flaw.file}: {flaw.what}")
    print(
        json.dumps(
            {
                "is_whole": found.is_whole,
                "n_records": found.n_records,
                "last": {"number": found.head.number, "sha256": found.head.sha256} if found.head else None,
                "unfinished_bytes": found.unfinished_bytes,
                "flaws": [asdict(flaw) for flaw in found.flaws],
            }
        )
    )
    if not found.is_whole:
        raise typer.Exit(1)
    say(f"{found.n_records} records, all as they were written")
    n_decisions = 0 if found.n_records else decisions.count(places())
    if n_decisions:
        say(
            f"But the shelf holds {n_decisions} decision(s) and the trail no record: they are older, or its "
            "folder was removed."
        )
    if found.n_records and found.head:
        say(f"note this elsewhere to check it later: --noted {found.head.number}:{found.head.sha256}")


def _head(text: str) -> Head:
    from geoml_ops.adapters.trail import Head

    match = re.fullmatch(r"(\d{1,10}):([0-9a-f]{64})", text)
    if match is None:
        raise BadInput(f"{text[:60]!r} notes no record.", "write NUMBER:SHA256 as an earlier verify said it")
    return Head(number=int(match[1]), sha256=match[2])
