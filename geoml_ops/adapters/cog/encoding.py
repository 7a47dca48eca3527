"""One block of a map, packed: what a journal keeps and a file is put together from."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from geoml_ops.adapters.cog.deflating import packed
from geoml_ops.adapters.cog.layout import NODATA, MapLayout

DIGEST_BYTES = 16
NOTES = 0
"""Piece 0 of a block is its notes; its tiles follow, band by band, then its part of every overview."""


def digest(content: bytes | memoryview, key: bytes = b"") -> bytes:
    """Returns the BLAKE2b digest of some bytes, 16 bytes."""
    return hashlib.blake2b(content, digest_size=DIGEST_BYTES, key=key).digest()


@dataclass(frozen=True)
class Encoded:
    """One block, packed.

    Attributes:
        index: of the block in ``MapLayout.blocks``.
        pieces: notes, one compressed tile per band, one compressed part per overview.
        digests: of the pieces.
    """

    index: int
    pieces: tuple[bytes, ...]
    digests: tuple[bytes, ...]


class Blocks(Protocol):
    """Packed blocks, wherever they are kept."""

    def lengths(self, piece: int) -> NDArray[np.int64]:
        """Returns how many bytes a piece has, for every block."""
        ...

    def read(self, index: int, piece: int) -> bytes:
        """Returns a piece of a block.

        Raises:
            Refused: it is not what was kept.
        """
        ...


class KeptBlocks:
    """Packed blocks in memory, in order."""

    def __init__(self, blocks: Sequence[Encoded]) -> None:
        self._blocks = blocks

    def lengths(self, piece: int) -> NDArray[np.int64]:
        """Returns how many bytes a piece has, for every block."""
        return np.array([len(block.pieces[piece]) for block in self._blocks], dtype=np.int64)

    def read(self, index: int, piece: int) -> bytes:
        """Returns a piece of a block."""
        return self._blocks[index].pieces[piece]


def encode(layout: MapLayout, index: int, layers: NDArray[np.uint8], notes: bytes = b"") -> Encoded:
    """Returns a block packed.

    Args:
        layout: of the map.
        index: of the block in ``layout.blocks``.
        layers: uint8 ``(band, y, x)`` of the block.
        notes: kept with it, as they are.

    Raises:
        ValueError: the layers do not fit the block.
    """
    window = layout.blocks[index]
    if layers.shape != (len(layout.bands), window.height, window.width) or layers.dtype != np.uint8:
        raise ValueError(f"{layers.dtype} {layers.shape} for block {index}, {window!r} of {layout.bands}")
    pyramid = layout.pyramid
    tiles = [packed(_whole(layer, pyramid.chunk_of(0))) for layer in layers]
    parts = [pyramid.decimated(level, window, layers) for level in pyramid.levels]
    pieces = (bytes(notes), *tiles, *(packed(part.tobytes()) if part.size else b"" for part in parts))
    return Encoded(index, pieces, tuple(digest(piece) for piece in pieces))


def _whole(layer: NDArray[np.uint8], shape: tuple[int, int]) -> bytes:
    if layer.shape == shape:
        return layer.tobytes()
    tile = np.full(shape, NODATA, dtype=np.uint8)
    tile[: layer.shape[0], : layer.shape[1]] = layer
    return tile.tobytes()
