"""Pixels spread over what a raster observed: they stand for what will be mapped."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from geoml_ops.adapters import raster
from geoml_ops.adapters.vector import Points
from geoml_ops.core.errors import BadInput
from geoml_ops.core.grid import Grid
from geoml_ops.domain.folds import PredictionPoints
from geoml_ops.steps.features import READ_PX
from geoml_ops.steps.samples import GROUND_PIXELS


def observed_ground(area: Path, asked: Points, name: str) -> PredictionPoints:
    """Returns pixels drawn at random among those that a raster observed.

    Args:
        area: the raster of what will be mapped.
        asked: labelled points, which have to lie on it.
        name: of their file, for sentences.

    Raises:
        BadInput: another CRS, points outside the raster, or nothing observed.
    """
    facts = raster.describe(area)
    if facts.grid.crs != asked.crs:
        raise BadInput(f"{area.name} is in {facts.grid.crs}, {name} in {asked.crs}.", "bring both to one CRS")
    _inside(facts.grid, asked.places, name, area.name)
    return _pixels(area, facts.grid, facts.nodata)


def _inside(grid: Grid, places: NDArray[np.float64], name: str, raster_name: str) -> None:
    box = grid.bounds
    outside = (
        (places[:, 0] < box.left) | (places[:, 0] > box.right) | (places[:, 1] < box.bottom) | (places[:, 1] > box.top)
    )
    if outside.any():
        raise BadInput(
            f"{int(outside.sum())} of {len(places)} points of {name} lie outside {raster_name} "
            f"({', '.join(f'{v:.0f}' for v in box.as_tuple())}).",
            "leave them out, or check the CRS of both",
        )


def _pixels(path: Path, grid: Grid, nodata: float | None) -> PredictionPoints:
    """Returns pixels drawn at random among those that hold a number, read window by window."""
    rng = np.random.default_rng(0)
    drawn = np.sort(rng.choice(grid.width * grid.height, min(4 * GROUND_PIXELS, grid.width * grid.height), False))
    rows, cols = np.divmod(drawn, grid.width)
    seen, tile = np.zeros(len(drawn), dtype=bool), (rows // READ_PX) * (grid.width // READ_PX + 1) + cols // READ_PX
    windows = {(w.row // READ_PX) * (grid.width // READ_PX + 1) + w.col // READ_PX: w for w in grid.tiles(READ_PX)}
    for number in np.unique(tile):
        window, mine = windows[int(number)], np.flatnonzero(tile == number)
        pixels = raster.read(path, window)[:, rows[mine] - window.row, cols[mine] - window.col]
        seen[mine] = np.isfinite(pixels).all(axis=0) & ~(
            (pixels == nodata).any(axis=0) if nodata is not None else False
        )
    kept = np.flatnonzero(seen)
    if not len(kept):
        raise BadInput(f"None of {len(drawn)} pixels of {path.name} was observed.", "check its nodata value")
    kept = np.sort(rng.permutation(kept)[:GROUND_PIXELS])
    return PredictionPoints(*grid.centres(rows[kept], cols[kept]))
