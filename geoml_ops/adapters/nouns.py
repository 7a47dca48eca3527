"""The shelf of nouns: one JSON file each, found by id, written once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from geoml_ops.core.errors import BadInput, NotFound, Refused
from geoml_ops.core.flow import kind_of
from geoml_ops.core.noun import Noun
from geoml_ops.platform.files import read_json, write_json

N = TypeVar("N", bound=Noun)


# What content that was altered, or written by a newer program, fails with.
_NO_NOUN = (ValueError, ValidationError, LookupError, TypeError, AttributeError, BadInput)


class Shelf:
    """Nouns under one folder, ``<folder>/<kind>/<id>.json``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path_of(self, noun_id: str) -> Path:
        """Returns where a noun is kept; it need not be there yet."""
        return self.folder / kind_of(noun_id).kind / f"{noun_id}.json"

    def put(self, noun: N) -> N:
        """Keeps a noun and returns it; keeping it again changes nothing."""
        path = self.path_of(noun.id)
        if not path.exists():
            write_json(path, noun.as_json())
        return noun

    def get(self, kind: type[N], noun_id: str) -> N:
        """Returns the noun with this id.

        Raises:
            NotFound: it is not kept here.
            Refused: the file's content does not have this id, or is no such noun at all: it was altered.
        """
        if kind_of(noun_id) is not kind:
            raise NotFound(f"{noun_id} is a {kind_of(noun_id).kind} and no {kind.kind}.")
        path = self.path_of(noun_id)
        if not path.exists():
            raise NotFound(f"There is no {kind.kind} {noun_id}.", f"list {path.parent}")
        noun = _read(kind, path)
        if noun.id != noun_id:
            raise Refused(f"{path} was altered: its content is {noun.id}.", "restore the file from a backup")
        return noun

    def any(self, noun_id: str) -> Noun:
        """Returns the noun with this id, whatever its kind."""
        return self.get(kind_of(noun_id), noun_id)

    def all(self, kind: type[N]) -> Iterator[N]:
        """Yields every noun of a kind, oldest file first."""
        files = sorted(
            (self.folder / kind.kind).glob(f"{kind.kind}-*.json"), key=lambda p: (p.stat().st_mtime_ns, p.name)
        )
        for path in files:
            yield self.get(kind, path.stem)


def _read(kind: type[N], path: Path) -> N:
    try:
        return kind.from_json(read_json(path))
    except _NO_NOUN as error:
        where, said = "", str(error)
        if isinstance(error, ValidationError):
            first = error.errors()[0]
            where, said = "".join(f"{part}: " for part in first["loc"])[:80], first["msg"]
        raise Refused(
            f"{path} is no {kind.kind} that this program reads: {where}{' '.join(said.split())[:160]}.",
            "restore the file from a backup, or use the program that wrote it",
        ) from None
