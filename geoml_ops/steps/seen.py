"""What was compared and decided, in lines that are kept: a thousand nouns are read once and not at every look."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError

from geoml_ops.adapters.nouns import Shelf
from geoml_ops.core.errors import GeomlError, NotFound
from geoml_ops.core.flow import Decision, Drift, Reading, Reference, Scene
from geoml_ops.core.noun import Noun
from geoml_ops.domain.streams import DecisionLine, ReferenceLine, SceneRow, in_order, row_of
from geoml_ops.platform.files import write_text
from geoml_ops.platform.log import logger
from geoml_ops.steps.places import Places

PROGRAM = 1
"""Of the lines' form; another number has all nouns read again."""
FILE = "lines.json"
N = TypeVar("N", bound=Noun)
L = TypeVar("L")


@dataclass(frozen=True)
class Lines:
    """Every comparison, decision and reference in a line, by id.

    Attributes:
        program: that wrote them.
        drifts: scenes.
        decisions: what followed.
        references: versions of references.
    """

    program: int = PROGRAM
    drifts: dict[str, SceneRow] = field(default_factory=dict)
    decisions: dict[str, DecisionLine] = field(default_factory=dict)
    references: dict[str, ReferenceLine] = field(default_factory=dict)

    def streams(self) -> dict[str, list[SceneRow]]:
        """Returns the scenes of each stream, oldest first."""
        found: dict[str, list[SceneRow]] = {}
        for row in self.drifts.values():
            found.setdefault(row.stream, []).append(row)
        return {name: in_order(rows) for name, rows in sorted(found.items())}

    def decisions_about(self) -> dict[str, tuple[str, ...]]:
        """Returns the ids of the decisions about each comparison, in order of their names."""
        found: dict[str, list[str]] = {}
        for line in self.decisions.values():
            found.setdefault(line.drift, []).append(line.id)
        return {drift: tuple(sorted(ids)) for drift, ids in found.items()}


_LINES = TypeAdapter(Lines)


def lines_of(places: Places, logged: Mapping[str, datetime]) -> Lines:
    """Returns all lines, of nouns that were kept since the last look too, and keeps them.

    A noun that was altered is left out, with a warning in the log: one of them must not hide all others.

    Args:
        places: where things are.
        logged: by prediction, when it was logged last.
    """
    path, shelf = places.dashboard / FILE, Shelf(places.nouns)
    before = _read(path)
    now = Lines(
        drifts=_known(shelf, Drift, before.drifts, lambda drift: _scene(shelf, drift, logged)),
        decisions=_known(shelf, Decision, before.decisions, _decision),
        references=_known(shelf, Reference, before.references, _reference),
    )
    if now != before or not path.exists():
        write_text(path, _LINES.dump_json(now).decode())
    return now


def newest(shelf: Shelf, kind: type[N], n: int) -> tuple[N, ...]:
    """Returns the nouns of a kind that were kept last, oldest first, without those that were altered."""
    paths = sorted((shelf.folder / kind.kind).glob(f"{kind.kind}-*.json"), key=lambda p: (p.stat().st_mtime_ns, p.name))
    found = (taken(shelf, kind, path.stem) for path in paths[-n:])
    return tuple(noun for noun in found if noun is not None)


def taken(shelf: Shelf, kind: type[N], noun_id: str) -> N | None:
    """Returns a noun, or None where it is not kept here or was altered."""
    if not noun_id:
        return None
    try:
        return shelf.get(kind, noun_id)
    except NotFound:
        return None
    except GeomlError as error:
        logger("watch").warning("noun is not shown", noun=noun_id[:60], error=str(error)[:200])
        return None


def _read(path: Path) -> Lines:
    try:
        found = _LINES.validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return Lines()
    return found if found.program == PROGRAM else Lines()


def _known(shelf: Shelf, kind: type[N], before: Mapping[str, L], line: Callable[[N], L]) -> dict[str, L]:
    return dict(_each(shelf, kind, before, line))


def _each(shelf: Shelf, kind: type[N], before: Mapping[str, L], line: Callable[[N], L]) -> Iterator[tuple[str, L]]:
    for path in sorted((shelf.folder / kind.kind).glob(f"{kind.kind}-*.json")):
        kept = before.get(path.stem)
        noun = None if kept is not None else taken(shelf, kind, path.stem)
        if kept is not None:
            yield path.stem, kept
        elif noun is not None:
            yield noun.id, line(noun)


def _scene(shelf: Shelf, drift: Drift, logged: Mapping[str, datetime]) -> SceneRow:
    reading = taken(shelf, Reading, drift.reading)
    scenes = [taken(shelf, Scene, scene) for scene in (reading.scenes if reading else ())]
    times = [logged[p] for p in drift.predictions if p in logged]
    names = [scene.name for scene in scenes if scene is not None]
    return row_of(drift, reading=reading, scenes=names, logged=max(times, default=None))


def _decision(decision: Decision) -> DecisionLine:
    return DecisionLine(decision.id, decision.drift, decision.fired, bool(decision.suppressed))


def _reference(reference: Reference) -> ReferenceLine:
    r = reference
    return ReferenceLine(r.id, r.bundle, r.stream, r.number, len(r.readings), r.because)
