"""Pictures for people: arrays in, PNG bytes out. The same array gives the same bytes."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from geoml_ops.core.errors import BadInput

_MAGIC, _HEAD, _UP, _LONGEST, _ROWS = b"\x89PNG\r\n\x1a\n", 33, 2, 1 << 16, 256


def paletted(codes: NDArray[np.uint8], colours: Sequence[tuple[int, int, int, int]]) -> bytes:
    """Returns a PNG of ``(y, x)`` codes drawn in RGBA colours; codes beyond the list are transparent."""
    size = max(len(colours), 1 + int(codes.max(initial=0)))
    table = [*colours, *[(0, 0, 0, 0)] * (size - len(colours))]
    palette = bytes(part for colour in table for part in colour[:3])
    return _png(codes[..., np.newaxis], 3, [(b"PLTE", palette), (b"tRNS", bytes(colour[3] for colour in table))])


def rgba(pixels: NDArray[np.uint8]) -> bytes:
    """Returns a PNG of ``(y, x, 4)`` pixels."""
    return _png(pixels, 6, [])


def shaded(pixels: NDArray[np.uint8]) -> bytes:
    """Returns a PNG of ``(y, x, 4)`` pixels that change little from one to the next; smaller, and quicker to make."""
    return _png(pixels, 6, [], upwards=True)


def stretched(layers: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Returns ``(y, x, 4)`` pixels of three layers, each stretched from its 2nd to its 98th percentile.

    Args:
        layers: ``(3, y, x)`` red, green, blue; NaN becomes transparent.
    """
    seen = np.isfinite(layers).all(axis=0)
    pixels = np.zeros((*seen.shape, 4), dtype=np.uint8)
    if not seen.any():
        return pixels
    for position, layer in enumerate(layers):
        low, high = np.percentile(layer[seen], [2, 98])
        scaled = (layer[seen] - low) / max(float(high - low), 1.0)
        pixels[seen, position] = np.rint(255 * np.clip(scaled, 0, 1) ** 0.8).astype(np.uint8)
    pixels[seen, 3] = 255
    return pixels


def rows_of(path: Path, n_rows: int) -> Iterator[NDArray[np.uint8]]:
    """Yields a picture that was written here, ``(y, x, 4)``, some rows at a time; no other program decodes it.

    Raises:
        BadInput: it is no such picture, or is cut short.
    """
    try:
        with path.open("rb") as stream:
            yield from _decoded(stream, n_rows)
    except (struct.error, zlib.error, ValueError, OSError) as error:
        raise BadInput(f"The picture {path.name} is not readable.", "classify the raster again") from error


def size_of(path: Path) -> tuple[int, int]:
    """Returns width and height of a picture that was written here, in pixels.

    Raises:
        BadInput: it is no such picture.
    """
    with path.open("rb") as stream:
        head = stream.read(_HEAD)
    if len(head) < _HEAD or not head.startswith(_MAGIC):
        raise BadInput(f"The picture {path.name} is not readable.", "classify the raster again")
    width, height = struct.unpack_from(">II", head, 16)
    return int(width), int(height)


def _decoded(stream: BinaryIO, n_rows: int) -> Iterator[NDArray[np.uint8]]:
    width, height, depth, kind, *_ = struct.unpack(">IIBBBBB", stream.read(_HEAD)[16:29])
    if (depth, kind) != (8, 6) or not (0 < width <= _LONGEST and 0 < height <= _LONGEST):
        raise ValueError(f"{width} x {height} pixels of kind {kind}")
    edge, unpacked, held, above = 1 + 4 * width, zlib.decompressobj(), b"", np.zeros(4 * width, dtype=np.uint8)
    packed = _packed(stream)
    for first in range(0, height, n_rows):
        wanted = min(n_rows, height - first) * edge
        while len(held) < wanted:
            held += unpacked.decompress(unpacked.unconsumed_tail or next(packed, b""), wanted)
            if unpacked.eof and len(held) < wanted:
                raise ValueError("cut short")
        rows = np.frombuffer(held, dtype=np.uint8, count=wanted).reshape(-1, edge)
        held = held[wanted:]
        pixels = _unfiltered(rows, above)
        above = pixels[-1]
        yield pixels.reshape(len(pixels), width, 4)


def _packed(stream: BinaryIO) -> Iterator[bytes]:
    while True:
        size, name = struct.unpack(">I4s", stream.read(8))
        if name == b"IDAT":
            while size:
                part = stream.read(min(size, 1 << 16))
                if not part:
                    raise ValueError("cut short")
                size -= len(part)
                yield part
        else:
            stream.seek(size, 1)
        stream.seek(4, 1)


def _unfiltered(rows: NDArray[np.uint8], above: NDArray[np.uint8]) -> NDArray[np.uint8]:
    if not rows[:, 0].any():
        return rows[:, 1:]
    if (rows[:, 0] != _UP).any():
        raise ValueError("filters that are not written here")
    return np.add.accumulate(np.concatenate([above[np.newaxis], rows[:, 1:]]), axis=0, dtype=np.uint8)[1:]


def _differences(rows: NDArray[np.uint8]) -> bytes:
    """Returns rows of bytes compressed as differences to the row above, some at a time: few copies are held at once.

    Of imagery they repeat in runs only, and a search for more costs most.
    """
    packer = zlib.compressobj(1, zlib.DEFLATED, zlib.MAX_WBITS, 8, zlib.Z_RLE)
    found, above = [], np.zeros((1, rows.shape[1]), dtype=np.uint8)
    for first in range(0, len(rows), _ROWS):
        some = rows[first : first + _ROWS]
        told = np.full((len(some), 1 + rows.shape[1]), _UP, dtype=np.uint8)
        np.subtract(some[0], above, out=told[:1, 1:])
        np.subtract(some[1:], some[:-1], out=told[1:, 1:])
        above = some[-1:]
        found.append(packer.compress(told.data))
    return b"".join([*found, packer.flush()])


def _as_they_are(rows: NDArray[np.uint8]) -> bytes:
    told = np.zeros((len(rows), 1 + rows.shape[1]), dtype=np.uint8)
    told[:, 1:] = rows
    return zlib.compress(told.data, 6)


def _png(
    pixels: NDArray[np.uint8], colour_type: int, chunks: Sequence[tuple[bytes, bytes]], *, upwards: bool = False
) -> bytes:
    height, width = pixels.shape[:2]
    # Each row begins with its filter; 0 means the bytes as they are, 2 what is added to the row above.
    rows = pixels.reshape(height, -1)
    parts = [
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, colour_type, 0, 0, 0)),
        *chunks,
        (b"IDAT", _differences(rows) if upwards else _as_they_are(rows)),
        (b"IEND", b""),
    ]
    return _MAGIC + b"".join(
        struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
        for name, content in parts
    )
