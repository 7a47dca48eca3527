"""How a long turn shows where it is, and where a killed one goes on."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from geoml_ops.platform.files import read_json, write_json

Facts = dict[str, Any]


class Progress:
    """Chapters that are done, with what later chapters and the report need of them.

    A chapter is written down when it has ended well; after a kill the next turn skips it. Within a
    chapter every step finds its own work, so nothing is made twice.
    """

    def __init__(self, path: Path, n_chapters: int) -> None:
        self.path = path
        self.n_chapters = n_chapters
        self.done: dict[str, Facts] = read_json(path) if path.exists() else {}
        self._current = len(self.done)

    def chapter(self, name: str, title: str, work: Callable[[], Facts]) -> Facts:
        """Does a chapter unless it is done, and returns its facts."""
        if name in self.done:
            tell(f"      {title}: done before ({self.done[name]['seconds']:.0f} s)")
            return self.done[name]
        self._current += 1
        tell(f"[{self._current}/{max(self.n_chapters, self._current)}] {title}")
        began = time.monotonic()
        facts = work()
        facts["seconds"] = round(time.monotonic() - began, 2)
        self.done[name] = facts
        write_json(self.path, self.done)
        tell(f"      {facts['seconds']:.0f} s")
        return facts


def tell(line: str) -> None:
    """Writes a line of progress to stderr."""
    print(line, file=sys.stderr, flush=True)  # noqa: T201


@contextmanager
def timed(seconds: dict[str, float], name: str) -> Iterator[None]:
    """Adds the duration of the block to ``seconds[name]``."""
    began = time.monotonic()
    try:
        yield
    finally:
        seconds[name] = round(seconds.get(name, 0.0) + time.monotonic() - began, 2)
