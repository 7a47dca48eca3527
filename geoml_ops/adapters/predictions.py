"""The prediction log: which request was answered when, one line each, and where its files are.

A line is appended after the noun and its files are on disk, in one write that is flushed; a line cut
short by a power cut is skipped by readers and closed by the next writer.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from geoml_ops.platform.files import sync_folder
from geoml_ops.platform.locks import only_one

MAP, SKETCHES, PICTURE = "map.tif", "sketches.json", "picture.png"


@dataclass(frozen=True)
class Line:
    """One answered request: when (UTC), and the id of its prediction."""

    at: datetime
    id: str


class PredictionLog:
    """Predictions under one folder: ``log/<UTC day>.jsonl`` and ``<prediction id>/…``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def home(self, prediction_id: str) -> Path:
        """Returns the folder of one prediction's files; it need not be there yet."""
        return self.folder / prediction_id

    def append(self, prediction_id: str, at: datetime) -> bool:
        """Logs a prediction unless it is logged already; returns whether a line was written."""
        with only_one(self.folder / "log" / ".lock"):
            if any(line.id == prediction_id for line in self.lines()):
                return False
            day = self.folder / "log" / f"{at.astimezone(UTC):%Y-%m-%d}.jsonl"
            new = not day.exists()
            text = json.dumps({"at": at.astimezone(UTC).isoformat(), "id": prediction_id}, sort_keys=True) + "\n"
            with day.open("a+b") as stream:
                text = text if new or _ends_a_line(stream.fileno()) else "\n" + text
                stream.write(text.encode())
                stream.flush()
                os.fsync(stream.fileno())
            if new:
                sync_folder(day.parent)
        return True

    def lines(self) -> Iterator[Line]:
        """Yields what was logged, oldest first."""
        for day in sorted((self.folder / "log").glob("*.jsonl")):
            for text in day.read_text(encoding="utf-8", errors="replace").splitlines():
                try:
                    content = json.loads(text)
                    yield Line(at=datetime.fromisoformat(content["at"]), id=str(content["id"]))
                except (ValueError, KeyError, TypeError):
                    continue


def _ends_a_line(handle: int) -> bool:
    size = os.fstat(handle).st_size
    return size == 0 or os.pread(handle, 1, size - 1) == b"\n"
