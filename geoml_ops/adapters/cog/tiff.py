"""The directories of a TIFF file as bytes: classic or BigTIFF, little-endian (TIFF 6.0, OGC 21-026 for COG)."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

SUBFILE, WIDTH, HEIGHT, BITS_PER_SAMPLE, COMPRESSION, PHOTOMETRIC = 254, 256, 257, 258, 259, 262
SAMPLES, PLANAR, COLOUR_MAP, TILE_WIDTH, TILE_HEIGHT, TILE_OFFSETS, TILE_SIZES = 277, 284, 320, 322, 323, 324, 325
_LISTS = (TILE_OFFSETS, TILE_SIZES)
EXTRA_SAMPLES, SAMPLE_FORMAT, GDAL_METADATA, GDAL_NODATA = 338, 339, 42112, 42113
GEO = (33550, 33922, 34264, 34735, 34736, 34737)
"""Pixel scale, tie point, transformation, and the three that hold the geo keys."""
ASCII, SHORT, LONG, LONG8 = 2, 3, 4, 16
_SIZE_OF = {1: 1, ASCII: 1, SHORT: 2, LONG: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, LONG8: 8}
_STRUCTURE = (
    b"LAYOUT=IFDS_BEFORE_DATA\nBLOCK_ORDER=ROW_MAJOR\nBLOCK_LEADER=SIZE_AS_UINT4\n"
    b"BLOCK_TRAILER=LAST_4_BYTES_REPEATED\nKNOWN_INCOMPATIBLE_EDITION=NO\n "
)
GHOST = b"GDAL_STRUCTURAL_METADATA_SIZE=%06d bytes\n" % len(_STRUCTURE) + _STRUCTURE
"""What GDAL (3.1 and later) reads right after the header: how the file is laid out, so that one request suffices."""
AROUND_BYTES = 8
"""Bytes around every tile: its size before it, its last four once more after it."""


@dataclass(frozen=True)
class Field:
    """One entry of a directory.

    Attributes:
        tag: its number.
        kind: type of its values, as TIFF numbers them.
        content: the values, little-endian.
    """

    tag: int
    kind: int
    content: bytes

    @property
    def count(self) -> int:
        """How many values there are."""
        return len(self.content) // _SIZE_OF[self.kind]


def shorts(tag: int, *values: int) -> Field:
    """Returns a field of 16-bit numbers."""
    return Field(tag, SHORT, struct.pack(f"<{len(values)}H", *values))


def long(tag: int, value: int) -> Field:
    """Returns a field of one 32-bit number."""
    return Field(tag, LONG, struct.pack("<I", value))


def text(tag: int, content: str) -> Field:
    """Returns a field of text, in UTF-8."""
    return Field(tag, ASCII, content.encode() + b"\0")


def head(directories: Sequence[Sequence[Field]], big: bool) -> bytes:
    """Returns all of a file that comes before its tiles.

    Header, structure, the directories, chained, and last the places and sizes of all tiles: what opens a file is
    together at its beginning, however large it is.
    """
    start = struct.pack("<2sHHHQ", b"II", 43, 8, 0, 0) if big else struct.pack("<2sHI", b"II", 42, 0)
    content, lists = bytearray(_even(start + GHOST)), bytearray()
    struct.pack_into("<Q" if big else "<I", content, 8 if big else 4, len(content))
    lists_at = len(content) + sum(len(_directory(fields, 0, 0, big, False)[0]) for fields in directories)
    for number, fields in enumerate(directories, start=1):
        last = number == len(directories)
        directory, places = _directory(fields, len(content), lists_at + len(lists), big, last)
        content += directory
        lists += places
    return bytes(content + lists)


def _directory(fields: Sequence[Field], at: int, lists_at: int, big: bool, last: bool) -> tuple[bytes, bytes]:
    """Returns a directory that begins at ``at``, its values behind it, and its lists of tiles for ``lists_at``."""
    entry, count, pointer = ("<HHQ", "<Q", "<Q") if big else ("<HHI", "<H", "<I")
    inline = 8 if big else 4
    beyond = at + struct.calcsize(count) + len(fields) * (struct.calcsize(entry) + inline) + inline
    entries, values, lists = bytearray(struct.pack(count, len(fields))), bytearray(), bytearray()
    for field in sorted(fields, key=lambda field: field.tag):
        entries += struct.pack(entry, field.tag, field.kind, field.count)
        if len(field.content) <= inline:
            entries += field.content.ljust(inline, b"\0")
        elif field.tag in _LISTS:
            entries += struct.pack(pointer, lists_at + len(lists))
            lists += _even(field.content)
        else:
            entries += struct.pack(pointer, beyond + len(values))
            values += _even(field.content)
    entries += struct.pack(pointer, 0 if last else beyond + len(values))
    return bytes(entries + values), bytes(lists)


def fields_of(content: bytes) -> Iterator[Field]:
    """Yields the fields of the first directory of a classic, little-endian file that GDAL wrote."""
    if content[:4] != b"II*\0":
        raise ValueError("a TIFF of another kind")
    (at,) = struct.unpack_from("<I", content, 4)
    (n_fields,) = struct.unpack_from("<H", content, at)
    for number in range(n_fields):
        tag, kind, count = struct.unpack_from("<HHI", content, at + 2 + 12 * number)
        size, where = count * _SIZE_OF[kind], at + 2 + 12 * number + 8
        if size > 4:
            (where,) = struct.unpack_from("<I", content, where)
        yield Field(tag, kind, content[where : where + size])


def _even(content: bytes) -> bytes:
    return content + b"\0" * (len(content) % 2)
