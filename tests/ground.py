"""Generated ground for monitoring: a western and an eastern half, tiles that mix several kinds of land."""

from __future__ import annotations

import numpy as np

from geoml_ops.core.grid import Grid, Window
from geoml_ops.core.policy import DriftRules
from geoml_ops.domain.sketch import Columns, sketch_tiles

BANDS = ("B02", "B04", "B08", "B11")
TILE = 16
RULES = DriftRules(tile_px=TILE)
N = 8 * TILE
GRID = Grid(crs="EPSG:32633", left=330000.0, top=5822000.0, pixel_m=10.0, width=2 * N, height=N)
WEST, EAST = Window(col=0, row=0, width=N, height=N), Window(col=N, row=0, width=N, height=N)


def world(seed: int = 0) -> np.ndarray:
    """Mixed tiles, ``(band, y, x)`` in DN: fields, forest, water and villages; the east is brighter in red and swir."""
    rng = np.random.default_rng(seed)
    # Fields of 11 px: tiles of 16 px hold several, and no cut of the ground is special.
    fields = rng.integers(0, 4, (GRID.height // 11 + 1, GRID.width // 11 + 1))
    classes = fields.repeat(11, 0).repeat(11, 1)[: GRID.height, : GRID.width]
    signatures = np.array(
        [[900, 1000, 2600, 2200], [750, 650, 2100, 1100], [800, 600, 500, 300], [1200, 1300, 1900, 1800]]
    )
    dn = np.moveaxis(signatures[classes].astype(np.float32), -1, 0) + rng.normal(0, 90, (4, *GRID.shape))
    dn[1, :, N:] += 700
    dn[3, :, N:] += 1500
    return dn.astype(np.float32)


GROUND = world()


def sketch(window: Window, dn: np.ndarray = GROUND, shift: float = 0.0) -> Columns:
    return sketch_tiles(dn[:, *window.slices()] + np.float32(shift), BANDS, GRID.inside(window), TILE)


REFERENCE = sketch(WEST)
