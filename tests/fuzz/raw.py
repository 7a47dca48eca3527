"""TIFF files put together by hand, so that they can say anything."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

BYTE, ASCII, SHORT, LONG, DOUBLE, LONG8 = 1, 2, 3, 4, 12, 16
_FORMATS = {BYTE: "B", SHORT: "H", LONG: "I", DOUBLE: "d", LONG8: "Q"}
_SIZES = {BYTE: 1, ASCII: 1, SHORT: 2, LONG: 4, DOUBLE: 8, LONG8: 8}
#: Where the pixels given to :func:`tiff` begin.
FIRST = 16
Value = tuple[int, Iterable[float] | bytes]
#: EPSG:32633, and a pixel of 10 m.
PLACE: Mapping[int, Value] = {
    33550: (DOUBLE, (10.0, 10.0, 0.0)),
    33922: (DOUBLE, (0.0, 0.0, 0.0, 400_000.0, 5_800_020.0, 0.0)),
    34735: (SHORT, (1, 1, 0, 3, 1024, 0, 1, 1, 1025, 0, 1, 1, 3072, 0, 1, 32633)),
}


@dataclass
class Said:
    """An entry that says another count or another place than is so."""

    value: Value
    count: int | None = None
    place: int | None = None


def image(
    width: int = 64,
    height: int = 64,
    *,
    tile: int = 64,
    bands: int = 1,
    n_chunks: int | None = None,
    length: int | None = None,
    **changes: Value | Said | None,
) -> dict[int, Value | Said]:
    """Returns the fields of one tiled image of bytes, all of whose tiles are the pixels at :data:`FIRST`.

    ``t258=(SHORT, [16])`` sets a field, ``t258=None`` leaves it away.
    """
    n_chunks = -(-width // tile) * -(-height // tile) if n_chunks is None else n_chunks
    length = tile * tile * bands if length is None else length
    fields: dict[int, Value | Said] = {
        256: (LONG, [width]),
        257: (LONG, [height]),
        258: (SHORT, [8] * bands),
        259: (SHORT, [1]),
        262: (SHORT, [1]),
        277: (SHORT, [bands]),
        284: (SHORT, [1]),
        322: (LONG, [tile]),
        323: (LONG, [tile]),
        324: (LONG, [FIRST if length else 0] * n_chunks),
        325: (LONG, [length] * n_chunks),
        **PLACE,
    }
    for name, value in changes.items():
        tag = int(name[1:])
        if value is None:
            fields.pop(tag, None)
        else:
            fields[tag] = value
    return fields


def tiff(
    *directories: Mapping[int, Value | Said] | list[tuple[int, Value | Said]],
    data: bytes = bytes(64 * 64),
    order: str = "<",
    big: bool = False,
    following: Mapping[int, int] | None = None,
) -> bytes:
    """Returns a file of these directories, one after the other; ``following`` sets where one leads instead."""
    count_as, next_as, inside = (f"{order}Q", f"{order}Q", 8) if big else (f"{order}H", f"{order}I", 4)
    mark = b"II" if order == "<" else b"MM"
    head = mark + struct.pack(f"{order}HHHQ" if big else f"{order}HI", *((43, 8, 0, 0) if big else (42, 0)))
    body = bytearray(head.ljust(FIRST, b"\0") + data)
    pointer = 8 if big else 4
    for number, content in enumerate(directories):
        entries = sorted(content.items()) if isinstance(content, Mapping) else content
        packed = [_entry(body, tag, said, order, inside) for tag, said in entries]
        body += bytes(len(body) % 2)
        struct.pack_into(next_as, body, pointer, len(body))
        body += struct.pack(count_as, len(packed)) + b"".join(packed)
        pointer = len(body)
        body += struct.pack(next_as, (following or {}).get(number, 0))
    return bytes(body)


def _entry(body: bytearray, tag: int, said: Value | Said, order: str, inside: int) -> bytes:
    said = said if isinstance(said, Said) else Said(said)
    kind, values = said.value
    content = values if isinstance(values, bytes) else _packed(kind, list(values), order)
    count = len(content) // _SIZES.get(kind, 1) if said.count is None else said.count
    place = said.place
    if place is None and len(content) > inside:
        body += bytes(len(body) % 2)
        place = len(body)
        body += content
    form = f"{order}{'Q' if inside == 8 else 'I'}"
    value = content.ljust(inside, b"\0") if place is None else struct.pack(form, place)
    return struct.pack(f"{order}HH{form[1]}", tag, kind, count) + value


def _packed(kind: int, values: list[float], order: str) -> bytes:
    if kind == ASCII:
        return bytes(int(v) for v in values)
    form = _FORMATS[kind]
    return struct.pack(f"{order}{len(values)}{form}", *(v if form == "d" else int(v) for v in values))
