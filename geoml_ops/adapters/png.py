"""Pictures for people: arrays in, PNG bytes out. The same array gives the same bytes."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def paletted(codes: NDArray[np.uint8], colours: Sequence[tuple[int, int, int, int]]) -> bytes:
    """Returns a PNG of ``(y, x)`` codes drawn in RGBA colours; codes beyond the list are transparent."""
    table = [*colours, *[(0, 0, 0, 0)] * (256 - len(colours))]
    palette = bytes(part for colour in table for part in colour[:3])
    return _png(codes[..., np.newaxis], 3, [(b"PLTE", palette), (b"tRNS", bytes(colour[3] for colour in table))])


def rgba(pixels: NDArray[np.uint8]) -> bytes:
    """Returns a PNG of ``(y, x, 4)`` pixels."""
    return _png(pixels, 6, [])


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


def _png(pixels: NDArray[np.uint8], colour_type: int, chunks: Sequence[tuple[bytes, bytes]]) -> bytes:
    height, width = pixels.shape[:2]
    # Each row begins with its filter; 0 means the bytes as they are.
    rows = np.zeros((height, 1 + width * pixels.shape[2]), dtype=np.uint8)
    rows[:, 1:] = pixels.reshape(height, -1)
    parts = [
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, colour_type, 0, 0, 0)),
        *chunks,
        (b"IDAT", zlib.compress(rows.tobytes(), 6)),
        (b"IEND", b""),
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
        for name, content in parts
    )
