"""The prediction log: which request was answered when, what it looked like, and where its files are.

``log/<UTC day>.jsonl`` holds one line per prediction, ``log/day=<UTC day>/`` the rows of requests and tiles. A line is
appended after the noun and its files are on disk, in one write that is flushed; a line cut short by a power cut is
skipped by readers and closed by the next writer.
"""

from __future__ import annotations

import json
import os
import shutil
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from geoml_ops.adapters.predictions.days import Day
from geoml_ops.adapters.predictions.rows import NAMES, REQUEST, TILE, Row
from geoml_ops.platform.files import sync_folder
from geoml_ops.platform.locks import only_one

MAP, SKETCHES, PICTURE = "map.tif", "sketches.json", "picture.png"
TALLIES, KEPT = "tallies.json", "kept"
_FOLDER = "day="
_LATE = timedelta(minutes=15)


@dataclass(frozen=True)
class Line:
    """One answered request: when (UTC), and the id of its prediction."""

    at: datetime
    id: str


class Rows:
    """Rows of the log, one at a time, oldest day first; ``bad`` names files that were skipped so far."""

    def __init__(self, days: Sequence[Day], kind: str, wanted: tuple[str, ...], keep: dict[str, Any]) -> None:
        self._days, self._kind, self._wanted, self._keep = days, kind, wanted, keep

    @property
    def bad(self) -> tuple[str, ...]:
        """Names of torn, damaged and foreign files."""
        return tuple(sorted(f"{day.folder.name}/{name}" for day in self._days for name in day.bad))

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Yields each row as a dictionary of the columns asked for."""
        columns = tuple(dict.fromkeys((*self._wanted, "at", "bundle")))
        since, until, bundle = (self._keep[name] for name in ("since", "until", "bundle"))
        for day in self._days:
            for row in day.rows(self._kind, columns):
                inside = (since is None or row["at"] >= since) and (until is None or row["at"] < until)
                if inside and bundle in ("", row["bundle"]):
                    yield {name: row[name] for name in self._wanted}


class PredictionLog:
    """Predictions under one folder: their log, and ``<prediction id>/…`` with the files of each."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def home(self, prediction_id: str) -> Path:
        """Returns the folder of one prediction's files; it need not be there yet."""
        return self.folder / prediction_id

    def append(self, prediction_id: str, at: datetime) -> bool:
        """Logs a prediction unless it is logged already; returns whether a line was written."""
        with only_one(self.folder / "log" / ".lock"):
            if self._is_logged(prediction_id):
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
        """Yields the predictions that were logged, oldest first."""
        for day in sorted((self.folder / "log").glob("*.jsonl")):
            yield from _lines(day.read_text(encoding="utf-8", errors="replace"))

    def record(self, rows: Sequence[Row], name: str = "") -> bool:
        """Writes rows of requests and tiles, on disk when this returns; returns whether any is new.

        Args:
            rows: in any order, of any days.
            name: letters, digits and hyphens; rows under one name and day are written once, however often that is
                tried. Without a name they are always written.
        """
        by_day: dict[date, list[Row]] = {}
        for row in rows:
            by_day.setdefault(row.at.astimezone(UTC).date(), []).append(row)
        written = [self._day(day).write(mine, name) for day, mine in by_day.items()]
        return any(written)

    def requests(
        self,
        since: datetime | None = None,
        until: datetime | None = None,
        *,
        bundle: str = "",
        columns: Sequence[str] = NAMES,
    ) -> Rows:
        """Returns the requests answered from ``since`` to before ``until``, of one bundle or of all."""
        return self._rows(REQUEST, since, until, bundle, columns)

    def tiles(
        self,
        since: datetime | None = None,
        until: datetime | None = None,
        *,
        bundle: str = "",
        columns: Sequence[str] = NAMES,
    ) -> Rows:
        """Returns the tiles of requests, as :meth:`requests` does."""
        return self._rows(TILE, since, until, bundle, columns)

    def days(self) -> tuple[date, ...]:
        """Returns the days that have rows, oldest first; folders of other names are passed over."""
        found = []
        for folder in (self.folder / "log").glob(f"{_FOLDER}*"):
            try:
                found.append(date.fromisoformat(folder.name.removeprefix(_FOLDER)))
            except ValueError:
                continue
        return tuple(sorted(found))

    def join(self, now: datetime) -> int:
        """Makes one file of each finished day; returns how many files went into those."""
        last = (now - _LATE).astimezone(UTC).date()
        return sum(n for day in self.days() if day < last and (n := self._day(day).join()) > 1)

    def remove(self, before: date) -> int:
        """Removes whole days of rows, of lines and of imagery kept with them that are older; returns how many days."""
        gone = 0
        with only_one(self.folder / "log" / ".lock"):
            for day in list((self.folder / "log").glob("*.jsonl")):
                if _older(day.stem, before):
                    day.unlink(missing_ok=True)
        for parent, prefix in ((self.folder / "log", _FOLDER), (self.folder / KEPT, "")):
            for leftover in parent.glob(".gone-*"):
                shutil.rmtree(leftover, ignore_errors=True)
            for folder in list(parent.glob(f"{prefix}*")):
                if _older(folder.name.removeprefix(prefix), before):
                    aside = folder.with_name(f".gone-{folder.name}-{uuid.uuid4().hex[:8]}")
                    folder.rename(aside)  # gone at once for readers, whatever happens to the rest
                    shutil.rmtree(aside, ignore_errors=True)
                    gone += prefix == _FOLDER
        return gone

    def _rows(
        self, kind: str, since: datetime | None, until: datetime | None, bundle: str, columns: Sequence[str]
    ) -> Rows:
        unknown = set(columns) - set(NAMES)
        if unknown:
            raise ValueError(f"the log has no columns {sorted(unknown)}")
        first = since.astimezone(UTC).date() if since else date.min
        last = until.astimezone(UTC).date() if until else date.max
        days = [self._day(day) for day in self.days() if first <= day <= last]
        return Rows(days, kind, tuple(columns), {"since": since, "until": until, "bundle": bundle})

    def _day(self, day: date) -> Day:
        log = self.folder / "log"
        return Day(log / f"{_FOLDER}{day.isoformat()}", log / ".locks" / f"{day.isoformat()}.lock")

    def _is_logged(self, prediction_id: str) -> bool:
        # Reading every line of every day for each answer would make a long log slow: look for the id's bytes first.
        wanted = json.dumps(prediction_id).encode()
        for day in (self.folder / "log").glob("*.jsonl"):
            content = day.read_bytes()
            if wanted in content and any(line.id == prediction_id for line in _lines(content.decode(errors="replace"))):
                return True
        return False


def _lines(text: str) -> Iterator[Line]:
    for line in text.splitlines():
        try:
            content = json.loads(line)
            yield Line(at=datetime.fromisoformat(content["at"]), id=str(content["id"]))
        except (ValueError, KeyError, TypeError):
            continue


def _older(name: str, before: date) -> bool:
    try:
        return date.fromisoformat(name) < before
    except ValueError:
        return False


def _ends_a_line(handle: int) -> bool:
    size = os.fstat(handle).st_size
    return size == 0 or os.pread(handle, 1, size - 1) == b"\n"
