"""The files of one UTC day of the log: segments as they were written, later one file in their place.

A file that joins others names them in its own metadata, so the moment it appears they do not count any more, whether
they are still there or not. Every row says which segment it came in, so a reader that meets a join on its way goes on
without reading a row twice.
"""

from __future__ import annotations

import hashlib
import json
import re
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from geoml_ops.adapters.predictions.arrays import values
from geoml_ops.adapters.predictions.rows import FORMAT, REQUEST, SCHEMA, TILE, Row, dicts, groups, table_of
from geoml_ops.platform.files import sync_folder, whole_file
from geoml_ops.platform.locks import only_one

_JOINED = b"geoml.joined"
_NAME = re.compile(r"[A-Za-z0-9-]{1,80}")
_SEGMENT, _DAY = "seg-", "day-"
_BATCH = 1000
_LEFTOVER_S = 3600.0
_DAMAGE = (pa.ArrowException, OSError, ValueError)


@dataclass
class Day:
    """One day's folder.

    Attributes:
        folder: ``day=2026-03-01``; it need not be there.
        lock: held by whoever joins files or writes one that must not be there twice.
        bad: files that are no part of a log or are damaged, as found so far; they are left as they are.
    """

    folder: Path
    lock: Path
    bad: set[str] = field(default_factory=set)

    def write(self, rows: Sequence[Row], name: str = "") -> bool:
        """Writes rows as one segment, on disk when this returns; returns whether they are new.

        Args:
            rows: of this day.
            name: of the segment, so that writing it again changes nothing; otherwise it gets one of its own.
        """
        if not name:
            _write(self.folder / f"{_SEGMENT}{uuid.uuid4().hex}.parquet", rows)
            return True
        if not _NAME.fullmatch(name):
            raise ValueError(f"a segment cannot be called {name[:90]!r}")
        with only_one(self.lock):
            if f"{_SEGMENT}{name}" in self.segments():
                return False
            _write(self.folder / f"{_SEGMENT}{name}.parquet", rows)
            return True

    def segments(self) -> set[str]:
        """Returns the names of all segments that were written, joined or not."""
        standing, joined = self._files()
        return {path.stem for path in standing if path.name.startswith(_SEGMENT)} | joined

    def rows(self, kind: str, columns: Sequence[str]) -> Iterator[dict[str, Any]]:
        """Yields the rows of one kind, each once, whatever happens to the files meanwhile.

        Args:
            kind: ``request`` or ``tile``.
            columns: to read.
        """
        read: set[str] = set()
        while True:
            todo = [path for path in self._files()[0] if path.stem not in read and path.name not in self.bad]
            if not todo:
                return
            for path in todo:
                try:
                    yield from _rows(path, kind, columns, read)
                except FileNotFoundError:
                    break  # joined since the folder was listed
                except _DAMAGE:
                    self.bad.add(path.name)

    def join(self) -> int:
        """Puts one file in the place of all; returns how many there were. Killed at any point, nothing is lost.

        Damaged and foreign files stay as they are.
        """
        with only_one(self.lock):
            standing, joined = self._files()
            self._sweep()
            whole = [path for path in standing if self._whole(path)]
            if len(whole) > 1 or any(path.name.startswith(_SEGMENT) for path in whole):
                self._join(whole, joined)
            self._clear()
            return len(whole)

    def _sweep(self) -> None:
        """Removes what was killed half-way: joins, for nobody else holds the lock, and segments after an hour."""
        for part in self.folder.glob(".*.part.parquet"):
            with suppress(FileNotFoundError):
                if part.name.startswith(f".{_DAY}") or time.time() - part.stat().st_mtime > _LEFTOVER_S:
                    part.unlink()

    def _join(self, whole: Sequence[Path], joined: set[str]) -> None:
        names = sorted(joined | {path.stem for path in whole})
        told = {**FORMAT, _JOINED: json.dumps(names).encode()}
        path = self.folder / f"{_DAY}{hashlib.sha256(told[_JOINED]).hexdigest()[:16]}.parquet"
        with whole_file(path) as part:
            n_rows = 0
            with pq.ParquetWriter(
                part, SCHEMA.with_metadata(told), compression="zstd", write_page_checksum=True
            ) as out:
                for kind in (REQUEST, TILE):
                    for batch in _regrouped(whole, kind):
                        out.write_table(batch, row_group_size=_BATCH)
                        n_rows += batch.num_rows
            if sum(pq.read_metadata(one).num_rows for one in whole) != n_rows or not self._whole(part):
                raise OSError(f"the files of {self.folder.name} changed while they were joined")

    def _clear(self) -> None:
        _, joined = self._files()
        for path in self.folder.glob("*.parquet"):
            if path.stem in joined:
                path.unlink(missing_ok=True)
        if self.folder.exists():
            sync_folder(self.folder)

    def _files(self) -> tuple[list[Path], set[str]]:
        """Files that count, by name, and the names of all that were joined."""
        found = sorted(path for path in self.folder.glob("*.parquet") if not path.name.startswith("."))
        joined: set[str] = set()
        for path in found:
            if path.name.startswith(_DAY) and path.name not in self.bad:
                try:
                    joined |= set(json.loads((pq.read_metadata(path).metadata or {})[_JOINED]))
                except FileNotFoundError:
                    return self._files()
                except (pa.ArrowException, OSError, ValueError, KeyError, TypeError):
                    self.bad.add(path.name)
        return [path for path in found if path.stem not in joined], joined

    def _whole(self, path: Path) -> bool:
        """Says whether a file is one of the log and every page has its checksum."""
        try:
            with path.open("rb") as stream:
                for kind in (REQUEST, TILE):
                    for _ in _batches(stream, kind, SCHEMA.names):
                        pass
                return True
        except _DAMAGE:
            self.bad.add(path.name)
            return False


def _rows(path: Path, kind: str, columns: Sequence[str], read: set[str]) -> Iterator[dict[str, Any]]:
    """Yields the rows of a file whose segments were not ``read`` yet; at its end they are."""
    found: set[str] = {path.stem}
    with path.open("rb") as stream:
        for batch in _batches(stream, kind, list(dict.fromkeys(("segment", "row", *columns)))):
            made = list(dicts(batch))
            found.update(row["segment"] for row in made)
            yield from (row for row in made if row["segment"] not in read)
    read |= found


def _write(path: Path, rows: Sequence[Row]) -> None:
    if not path.parent.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        sync_folder(path.parent.parent)
    with (
        whole_file(path) as part,
        pq.ParquetWriter(part, SCHEMA, compression="zstd", write_page_checksum=True) as out,
    ):
        for group in groups(rows):
            out.write_table(table_of(group, path.stem), row_group_size=_BATCH)


def _batches(stream: Any, kind: str, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    file = pq.ParquetFile(stream, page_checksum_verification=True)
    told = file.metadata.metadata or {}
    if told.get(b"geoml.log") != FORMAT[b"geoml.log"] or not _fits(file.schema_arrow, columns):
        raise ValueError("not a file of the log")
    position = file.schema_arrow.names.index("row")
    for group in range(file.num_row_groups):
        # The first columns are flat, so their place in the schema is their place among the leaves.
        says = file.metadata.row_group(group).column(position).statistics
        if says is None or not says.has_min_max or says.min <= kind <= says.max:
            for batch in file.iter_batches(batch_size=_BATCH, row_groups=[group], columns=list(columns)):
                if batch.num_rows and set(values(batch.column("row"))) != {kind}:
                    raise ValueError("rows of two kinds in one group")
                yield batch


def _fits(schema: pa.Schema, columns: Sequence[str]) -> bool:
    return all(name in schema.names and schema.field(name).type == SCHEMA.field(name).type for name in columns)


def _regrouped(paths: Sequence[Path], kind: str) -> Iterator[pa.Table]:
    """Yields rows of many files in groups of about a thousand."""
    waiting: list[pa.RecordBatch] = []
    for path in paths:
        with path.open("rb") as stream:
            for batch in _batches(stream, kind, SCHEMA.names):
                waiting.append(batch.select(SCHEMA.names))
                if sum(part.num_rows for part in waiting) >= _BATCH:
                    yield pa.Table.from_batches(waiting).cast(SCHEMA)
                    waiting = []
    if waiting:
        yield pa.Table.from_batches(waiting).cast(SCHEMA)
