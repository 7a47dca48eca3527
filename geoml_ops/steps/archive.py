"""The shelf of nouns for steps that look at all of history: a file that did not change is read once per process."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TypeVar

from geoml_ops.adapters.nouns import Shelf
from geoml_ops.core.noun import Noun

N = TypeVar("N", bound=Noun)


class Archive(Shelf):
    """A shelf that remembers what it read; a file that was written again since is read again."""

    def get(self, kind: type[N], noun_id: str) -> N:
        """As :meth:`~geoml_ops.adapters.nouns.Shelf.get`."""
        path = self.path_of(noun_id)
        if not path.exists():
            return super().get(kind, noun_id)
        facts = path.stat()
        noun = _read(self.folder, kind, noun_id, facts.st_mtime_ns, facts.st_size)
        assert isinstance(noun, kind), "the shelf gives what was asked for"
        return noun


@lru_cache(maxsize=16_384)
def _read(folder: Path, kind: type[Noun], noun_id: str, mtime_ns: int, size: int) -> Noun:
    return Shelf(folder).get(kind, noun_id)
