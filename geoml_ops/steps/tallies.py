"""Which tiles of a map the prediction log counts band by band, and those counts, kept beside each block."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoml_ops.core.flow import Bundle
from geoml_ops.core.grid import Grid
from geoml_ops.domain.sketch import Ordered, bins_of, place_of, tally
from geoml_ops.domain.tiling import Layers
from geoml_ops.steps.swaths import evenly

MOST_TALLIES = 512
"""Tiles of one raster; more of them are spread evenly over it."""


def counted(rows: int, cols: int) -> frozenset[tuple[int, int]]:
    """Returns the tiles that are counted, by row and column."""
    return frozenset(evenly(rows, cols, MOST_TALLIES))


def tally_of(
    dn: NDArray[np.float32],
    layers: Layers | None,
    part: tuple[slice, slice],
    grid: Grid,
    bundle: Bundle,
    *,
    in_order: Ordered | None = None,
) -> dict[str, Any]:
    """Returns the counts of one tile, as JSON.

    Args:
        dn: ``(band, y, x)`` of a block.
        layers: its answers; None where nothing was observed.
        part: rows and columns of the tile in the block.
        grid: of the tile.
        bundle: what answered.
        in_order: the numbers of the tile in order, where that is known.
    """
    shape = grid.shape
    classes = np.full(shape, 255, dtype=np.uint8) if layers is None else layers.classes[part]
    outside = None if layers is None else layers.outside
    found = tally(
        dn[:, *part],
        bins_of(bundle.contract),
        classes,
        len(bundle.classes),
        confidence=None if layers is None else layers.confidence[part],
        outside=None if outside is None else outside[part],
        set_size=None if layers is None or layers.set_size is None else layers.set_size[part],
        ordered=in_order,
    )
    return replace(found, place=place_of(grid)).as_json()
