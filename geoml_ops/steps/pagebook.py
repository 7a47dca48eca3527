"""Which pages were made of what: a page whose making has not changed is not written again."""

from __future__ import annotations

import json
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

from geoml_ops.platform.files import read_json, write_json, write_text

PROGRAM = 1
"""Of how pages look; another number has all of them made again."""
FILE = "pages.json"
_KEPT_EVERY = 100


class PageBook:
    """The pages of one folder and what each was made of. Killed before :meth:`close`, the last are made once more."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._before = self._read()
        self._now: dict[str, str] = {}
        self.written = 0

    def is_made(self, name: str, of: str) -> bool:
        """Returns whether a page was made of this already, and keeps it in the book if so."""
        key = sha256(of.encode()).hexdigest()[:16]
        if self._before.get(name) != key or not (self.folder / name).exists():
            return False
        self._now[name] = key
        return True

    def write(self, name: str, of: str, make: Callable[[], str]) -> bool:
        """Writes a page where it was not made of this before; returns whether it did.

        Args:
            name: path inside the folder.
            of: text that differs wherever the page would.
            make: returns the page.
        """
        if self.is_made(name, of):
            return False
        write_text(self.folder / name, make())
        self._now[name] = sha256(of.encode()).hexdigest()[:16]
        self.written += 1
        if self.written % _KEPT_EVERY == 0:
            self._keep({**self._before, **self._now})
        return True

    def close(self) -> None:
        """Keeps what pages are made of now."""
        if self._now != self._before:
            self._keep(self._now)

    def _keep(self, made: dict[str, str]) -> None:
        write_json(self.folder / FILE, {"program": PROGRAM, "pages": made})

    def _read(self) -> dict[str, str]:
        try:
            found = read_json(self.folder / FILE)
            return dict(found["pages"]) if found["program"] == PROGRAM else {}
        except (OSError, json.JSONDecodeError, LookupError, TypeError, ValueError):
            return {}
