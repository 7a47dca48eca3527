"""The skeleton of a TIFF file: its directories and their fields, read without any library and within bounds.

Sources: TIFF 6.0 (Adobe, 1992) for the classic layout; the BigTIFF design (AWare Systems, 2007) for offsets of 64 bits.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from geoml_ops.adapters.raster.limits import within
from geoml_ops.core.errors import BadInput

MAX_DIRECTORIES = 32
MAX_FIELDS = 200
MAX_VALUE_BYTES = 1 << 20
SHORT, LONG, LONG8, ASCII, DOUBLE = 3, 4, 16, 2, 12
WHOLE = (SHORT, LONG, LONG8)
TABLES = frozenset({273, 279, 324, 325})
"""Fields of one number for each chunk: their size is judged by the number of chunks."""
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
_NUMPY = {1: "u1", 3: "u2", 4: "u4", 6: "i1", 8: "i2", 9: "i4", 11: "f4", 12: "f8", 13: "u4", 16: "u8", 17: "i8"}
_AGAIN = "write it anew (gdal_translate -of GTiff)"


@dataclass(frozen=True)
class Field:
    """One entry of a directory: where its ``count`` values of one ``kind`` lie in the file."""

    tag: int
    kind: int
    count: int
    place: int


@dataclass(frozen=True)
class Tiff:
    """An open TIFF file whose directories were found.

    Attributes:
        handle: of the open file.
        name: how sentences call it.
        size: bytes of the file.
        order: ``<`` or ``>``.
        directories: of its images in the order of the chain; fields by tag.
    """

    handle: int
    name: str
    size: int
    order: str
    directories: tuple[Mapping[int, Field], ...] = field(default=())

    def bytes_of(self, one: Field) -> bytes:
        """Returns the bytes of a field's values."""
        return self.read(one.place, one.count * _SIZES[one.kind])

    def numbers(self, one: Field) -> NDArray[np.generic]:
        """Returns the values of a field of numbers.

        Raises:
            BadInput: its kind is no number.
        """
        if one.kind not in _NUMPY:
            raise BadInput(f"Field {one.tag} of {self.name} holds no numbers (kind {one.kind}).", _AGAIN)
        return np.frombuffer(self.bytes_of(one), dtype=f"{self.order}{_NUMPY[one.kind]}")

    def read(self, place: int, length: int) -> bytes:
        """Returns bytes of the file.

        Raises:
            BadInput: they lie beyond its end.
        """
        if place < 0 or place + length > self.size:
            raise BadInput(
                f"{self.name} points to byte {place + length}; it has {self.size}.",
                "check that the transfer was complete and deliver the file again",
            )
        parts, at = [], place
        while at < place + length:
            part = os.pread(self.handle, place + length - at, at)
            if not part:
                raise BadInput(f"{self.name} became shorter while it was read.", "deliver files that are finished")
            parts.append(part)
            at += len(part)
        return b"".join(parts)


def open_tiff(handle: int, name: str) -> Tiff:
    """Returns the directories of a TIFF file and their fields, no values read.

    Args:
        handle: of the open file.
        name: how sentences call it.

    Raises:
        BadInput: not a TIFF, a chain that does not end, a field that lies outside the file or is there twice.
        TooLarge: more directories, fields or bytes in a field than any raster needs.
    """
    size = os.fstat(handle).st_size
    head = os.pread(handle, 16, 0)
    order = {b"II": "<", b"MM": ">"}.get(head[:2], "")
    if not order or len(head) < 8:
        raise BadInput(f"{name} is no TIFF (begins with {head[:8].hex() or 'nothing'}).")
    bare = Tiff(handle, name, size, order)
    (version,) = struct.unpack(f"{order}H", head[2:4])
    if version == 42:
        return _chained(bare, struct.unpack(f"{order}I", head[4:8])[0], big=False)
    if version == 43 and len(head) == 16 and struct.unpack(f"{order}HH", head[4:8]) == (8, 0):
        return _chained(bare, struct.unpack(f"{order}Q", head[8:16])[0], big=True)
    raise BadInput(f"{name} is a TIFF of version {version}; 42 and 43 exist.", _AGAIN)


def _chained(tiff: Tiff, place: int, *, big: bool) -> Tiff:
    found: list[Mapping[int, Field]] = []
    seen: set[int] = set()
    while place:
        if place in seen:
            raise BadInput(f"The directories of {tiff.name} lead in a circle (byte {place}).", _AGAIN)
        seen.add(place)
        within(len(seen), MAX_DIRECTORIES, f"images in {tiff.name}")
        fields, place = _directory(tiff, place, big)
        found.append(fields)
    if not found:
        raise BadInput(f"{tiff.name} holds no image.", _AGAIN)
    return Tiff(tiff.handle, tiff.name, tiff.size, tiff.order, tuple(found))


def _directory(tiff: Tiff, place: int, big: bool) -> tuple[Mapping[int, Field], int]:
    count_as, entry_as, next_as = (f"{tiff.order}{c}" for c in (("Q", "HHQ8s", "Q") if big else ("H", "HHI4s", "I")))
    head = struct.calcsize(count_as)
    (n_fields,) = struct.unpack(count_as, tiff.read(place, head))
    within(n_fields, MAX_FIELDS, f"fields in one directory of {tiff.name}")
    entry = struct.calcsize(entry_as)
    content = tiff.read(place + head, n_fields * entry + struct.calcsize(next_as))
    fields: dict[int, Field] = {}
    for number in range(n_fields):
        at = number * entry
        tag, kind, count, value = struct.unpack_from(entry_as, content, at)
        one = _field(tiff, (tag, kind, count), value, place + head + at + entry - len(value))
        if tag in fields:
            raise BadInput(f"Field {tag} of {tiff.name} is there twice.", _AGAIN)
        fields[tag] = one
    return fields, int(struct.unpack_from(next_as, content, n_fields * entry)[0])


def _field(tiff: Tiff, said: tuple[int, int, int], value: bytes, place: int) -> Field:
    tag, kind, count = said
    if kind not in _SIZES:
        raise BadInput(f"Field {tag} of {tiff.name} is of kind {kind}, which TIFF does not have.", _AGAIN)
    length = count * _SIZES[kind]
    if length > len(value):
        (place,) = struct.unpack(f"{tiff.order}{'Q' if len(value) == 8 else 'I'}", value)
        if place < 8 or place + length > tiff.size:
            raise BadInput(
                f"Field {tag} of {tiff.name} ends at byte {place + length}; the file has {tiff.size}.",
                "check that the transfer was complete and deliver the file again",
            )
    if tag not in TABLES:
        within(length, MAX_VALUE_BYTES, f"bytes in field {tag} of {tiff.name}")
    return Field(tag, kind, count, place)
