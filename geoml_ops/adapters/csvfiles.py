"""Sheets of text that people and spreadsheets write: CSV, whole or absent, every cell accounted for."""

from __future__ import annotations

import csv
import hashlib
import io
import re
import stat
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from geoml_ops.core.errors import BadInput, NotFound, Refused, StorageFull, TooLarge
from geoml_ops.core.noun import FileRef
from geoml_ops.platform.files import sha256_of, whole_file
from geoml_ops.platform.space import is_full

MOST_BYTES = 64 << 20
MOST_ROWS = 1_000_000
MOST_COLUMNS = 2_000
_SEPARATORS = (",", ";", "\t")
_NUMBER = re.compile(r"[+-]?[0-9]+([.,][0-9]*)?([eE][+-]?[0-9]+)?|[+-]?[.,][0-9]+([eE][+-]?[0-9]+)?")
# What a spreadsheet would run as a formula.
_FORMULA = re.compile(r"[=+\-@\t\r]")


@dataclass(frozen=True)
class Sheet:
    """A sheet with a header; every row has as many cells as it.

    Attributes:
        name: of the file, for sentences.
        columns: as written, without surrounding space.
        rows: cells without surrounding space.
        lines: line of the file that each row ends on, from 1.
        comma: True where ``,`` may be a decimal sign because it separates nothing.
    """

    name: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    lines: tuple[int, ...]
    comma: bool = False

    @cached_property
    def _places(self) -> dict[str, list[int]]:
        found: dict[str, list[int]] = {}
        for place, name in enumerate(self.columns):
            found.setdefault(_plain(name), []).append(place)
        return found

    def has(self, column: str) -> bool:
        """Says whether there is a column of this name; case, spaces and hyphens do not matter."""
        return _plain(column) in self._places

    def besides(self, *known: str) -> tuple[str, ...]:
        """Returns the columns that are none of these."""
        plain = {_plain(name) for name in known}
        return tuple(name for name in self.columns if _plain(name) not in plain)

    def texts(self, column: str) -> tuple[str, ...]:
        """Returns the cells of a column.

        Raises:
            BadInput: there is no such column, or several.
        """
        found = self._places.get(_plain(column), [])
        if len(found) != 1:
            said = "no column" if not found else f"{len(found)} columns"
            raise BadInput(
                f"{self.name} has {said} {column!r}; it has {', '.join(c[:40] for c in self.columns[:12])}.",
                f"name exactly one column {column}",
            )
        return tuple(row[found[0]] for row in self.rows)

    def numbers(self, column: str) -> NDArray[np.float64]:
        """Returns a column of finite numbers, ``(rows,)``.

        Raises:
            BadInput: there is no such column, or a cell is no number; an empty one is none.
        """
        return np.array(
            [self.number(cell, column, line) for cell, line in zip(self.texts(column), self.lines, strict=True)]
        )

    def number(self, cell: str, column: str, line: int) -> float:
        """Returns the finite number that a cell holds.

        Raises:
            BadInput: it holds none.
        """
        value = np.nan
        if _NUMBER.fullmatch(cell) and (self.comma or "," not in cell):
            value = float(cell.replace(",", "."))
        if not np.isfinite(value):
            said = repr(cell[:40]) if cell else "empty"
            raise BadInput(
                f"{self.name}, line {line}: {column} is {said}.", "write one number, without thousands signs"
            )
        return float(value)


def read_sheet(path: Path) -> Sheet:
    """Returns a sheet in UTF-8, separated by commas, semicolons or tabs; empty lines are skipped.

    Raises:
        BadInput: no such file, no header, another encoding, or a row that does not fit the header.
        TooLarge: beyond the stated limits.
    """
    text = _decoded(path)
    first, _, rest = text.partition("\n")
    said = re.fullmatch(r"sep=(.)\r?", first.lower())
    if said:
        text = rest
    separator = said[1] if said else _separator(text)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    found: list[tuple[str, ...]] = []
    lines: list[int] = []
    try:
        for cells in reader:
            row = tuple(_bare(cell) for cell in cells)
            if any(row):
                found.append(row)
                lines.append(reader.line_num + bool(said))
            if len(found) > MOST_ROWS + 1:
                raise TooLarge(f"{path.name} has more than {MOST_ROWS} rows.", "give it in parts")
    except csv.Error as error:
        raise BadInput(f"{path.name}, line {reader.line_num}: {error}.", "save it as plain CSV") from None
    if not found:
        raise BadInput(f"{path.name} is empty.", "give a header and one row for each entry")
    _judge_rows(path.name, found, lines)
    return Sheet(path.name, found[0], tuple(found[1:]), tuple(lines[1:]), separator != ",")


def _judge_rows(name: str, found: Sequence[tuple[str, ...]], lines: Sequence[int]) -> None:
    header = found[0]
    if len(header) > MOST_COLUMNS:
        raise TooLarge(f"{name} has {len(header)} columns; the limit is {MOST_COLUMNS}.")
    if not all(header):
        raise BadInput(f"{name} has a column without a name.", "name every column in the first line")
    for row, line in zip(found, lines, strict=True):
        if len(row) != len(header):
            raise BadInput(
                f"{name}, line {line} has {len(row)} cells, the header {len(header)}.",
                "quote cells that contain the separator",
            )


def _decoded(path: Path) -> str:
    try:
        status = path.stat()
    except OSError:
        raise BadInput(f"There is no readable file {path.name}.") from None
    if not stat.S_ISREG(status.st_mode):
        raise BadInput(f"{path.name} is not a regular file.", "give a CSV file")
    if status.st_size > MOST_BYTES:
        raise TooLarge(f"{path.name} has {status.st_size} bytes; the limit is {MOST_BYTES}.", "give it in parts")
    content = path.read_bytes()
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise BadInput(f"{path.name} is written in UTF-16.", "save it as CSV in UTF-8")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise BadInput(f"{path.name}, line {line} is not UTF-8.", "save it as CSV in UTF-8") from None
    if "\0" in text:
        raise BadInput(f"{path.name} is not text.", "give a CSV file")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _separator(text: str) -> str:
    head = next((line for line in text.split("\n") if line.strip()), "")
    return max(_SEPARATORS, key=lambda s: len(next(csv.reader([head], delimiter=s), [])))


def _bare(cell: str) -> str:
    cell = cell.strip()
    return cell[1:] if cell[:1] == "'" and _FORMULA.match(cell[1:2]) else cell


def _guarded(cell: str) -> str:
    return f"'{cell}" if _FORMULA.match(cell) and not _NUMBER.fullmatch(cell) else cell


def _plain(name: str) -> str:
    return re.sub(r"[\s_-]+", "_", name.strip().lower())


def keep_sheet(folder: Path, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> FileRef:
    """Writes a sheet under ``<folder>/<first 32 hex digits of its SHA-256>.csv`` and returns the file.

    A text that a spreadsheet would take for a formula gets a leading ``'``, which :func:`read_sheet` takes away.

    Raises:
        StorageFull: no space left; nothing half-written stays.
    """
    return keep_bytes(folder, _encoded(columns, rows))


def write_sheet(path: Path, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Writes a sheet where a person asked for it, whole or absent; otherwise as :func:`keep_sheet`.

    Raises:
        BadInput: the folder cannot be written to.
        StorageFull: no space left; an older file under ``path`` is untouched.
    """
    write_bytes(path, _encoded(columns, rows))


def _encoded(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> bytes:
    stream = io.StringIO(newline="")
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow([_guarded(name) for name in columns])
    writer.writerows([_guarded(cell) for cell in row] for row in rows)
    return stream.getvalue().encode()


def keep_bytes(folder: Path, content: bytes) -> FileRef:
    """Keeps a CSV file as it is under the name of its content and returns the file.

    Raises:
        StorageFull: no space left; nothing half-written stays.
    """
    digest = hashlib.sha256(content).hexdigest()
    file = FileRef(path=f"{digest[:32]}.csv", sha256=digest, size=len(content))
    if not (folder / file.path).exists() or sha256_of(folder / file.path) != digest:
        write_bytes(folder / file.path, content)
    return file


def write_bytes(path: Path, content: bytes) -> None:
    """Writes a file, whole or absent.

    Raises:
        BadInput: the folder cannot be written to.
        StorageFull: no space left; an older file under ``path`` is untouched.
    """
    try:
        with whole_file(path) as part:
            part.write_bytes(content)
    except OSError as error:
        if is_full(error, path.parent):
            raise StorageFull(f"No space left while writing {path}.", "free some space, then try again") from error
        raise BadInput(f"{path} cannot be written: {error.strerror}.", "choose another place") from error


def kept(folder: Path, file: FileRef) -> Path:
    """Returns where a kept file is.

    Raises:
        NotFound: it is gone.
        Refused: it was altered.
    """
    path = folder / file.path
    if not path.exists():
        raise NotFound(f"The file {file.path} is gone from {folder}.", "restore it from a backup")
    if sha256_of(path) != file.sha256:
        raise Refused(f"The file {file.path} was altered.", "restore it from a backup")
    return path
