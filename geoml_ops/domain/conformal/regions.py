"""Squares of ground that hold enough blocks to have quantiles of their own."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geoml_ops.core.errors import BadInput
from geoml_ops.core.grid import Bounds
from geoml_ops.domain.conformal.answers import Codes, Tested, quarters
from geoml_ops.domain.conformal.quantiles import Pool, least_blocks

LEAST_REGION_BLOCKS = 20
"""Fewer blocks give a region no quantiles of its own, and a class in it none either."""


@dataclass(frozen=True)
class Square:
    """A region with quantiles of its own.

    Attributes:
        bounds: of the region.
        rows: its samples among those that were tested.
        part: ``(rows,)`` quarter of its blocks.
        pool: scores of its samples.
        own: ``(classes,)`` where it calibrates the class itself; elsewhere the quantile of all ground holds.
        n_blocks: blocks with samples in it.
    """

    bounds: Bounds
    rows: Codes
    part: Codes
    pool: Pool
    own: NDArray[np.bool_]
    n_blocks: int


def regions_of(tested: Tested, coverage: float, region_m: float | None) -> list[Square]:
    """Returns the regions that hold enough blocks, by column and row of the squares.

    Squares lie on multiples of ``region_m`` of the CRS; a sample lies in the one that holds its pixel's centre.

    Raises:
        BadInput: ``region_m`` is not above 0.
    """
    if region_m is None:
        return []
    if not region_m > 0:
        raise BadInput(f"Regions of {region_m:g} m cannot be cut.", "give metres above 0, or leave region_m out")
    cells, cell = np.unique(np.floor(tested.ground / region_m), axis=0, return_inverse=True)
    least = max(LEAST_REGION_BLOCKS, least_blocks(coverage))
    found = []
    for number, (col, row) in enumerate(cells):
        rows = np.flatnonzero(cell.reshape(-1) == number)
        blocks, local = np.unique(tested.block[rows], return_inverse=True)
        pool = Pool(tested, rows)
        own = pool.n_blocks >= least
        if own.any():
            left, bottom = float(col * region_m) + 0.0, float(row * region_m) + 0.0
            bounds = Bounds(left=left, bottom=bottom, right=left + region_m, top=bottom + region_m)
            part = quarters(tested.ground[rows], local.reshape(-1))
            found.append(Square(bounds, rows, part, pool, own, len(blocks)))
    return found
