"""The tiles of overviews, put together from the parts that every block keeps of them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from geoml_ops.adapters.cog.deflating import unpacked
from geoml_ops.adapters.cog.encoding import NOTES, Blocks
from geoml_ops.adapters.cog.layout import NODATA, MapLayout


def mosaics(layout: MapLayout, blocks: Blocks, level: int) -> Iterator[NDArray[np.uint8]]:
    """Yields the tiles of an overview, uint8 ``(band, y, x)``, row by row; one at a time is in memory."""
    edge, (height, width) = layout.block_px, layout.pyramid.shape_of(level)
    for top in range(0, height, edge):
        for left in range(0, width, edge):
            yield _mosaic(layout, blocks, level, top, left)


def _mosaic(layout: MapLayout, blocks: Blocks, level: int, top: int, left: int) -> NDArray[np.uint8]:
    n_bands = len(layout.bands)
    tile = np.full((n_bands, *layout.pyramid.chunk_of(level)), NODATA, dtype=np.uint8)
    for index in _blocks_under(layout, level, top, left):
        rows, cols = layout.pyramid.part(level, layout.blocks[index])
        shape = n_bands, rows.stop - rows.start, cols.stop - cols.start
        if 0 not in shape:
            content = unpacked(blocks.read(index, NOTES + n_bands + level), int(np.prod(shape)))
            pixels = np.frombuffer(content, dtype=np.uint8).reshape(shape)
            tile[:, rows.start - top : rows.stop - top, cols.start - left : cols.stop - left] = pixels
    return tile


def _blocks_under(layout: MapLayout, level: int, top: int, left: int) -> Iterator[int]:
    n_down, n_across = (-(-size // layout.block_px) for size in layout.grid.shape)
    row, col, span = (top << level) // layout.block_px, (left << level) // layout.block_px, 1 << level
    for down in range(row, min(row + span, n_down)):
        for across in range(col, min(col + span, n_across)):
            yield down * n_across + across
