"""The picture of a raster as a tiled file with overviews, so that a web tile of it costs little."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.enums import ColorInterp, Resampling
from rasterio.windows import Window

from geoml_ops.adapters.raster.opening import CLOSED
from geoml_ops.core.errors import BadInput
from geoml_ops.core.grid import Grid
from geoml_ops.platform.files import whole_file

PICTURE_BLOCK_PX = 256
_TILED = {
    "driver": "GTiff",
    "tiled": True,
    "blockxsize": PICTURE_BLOCK_PX,
    "blockysize": PICTURE_BLOCK_PX,
    "compress": "DEFLATE",
    "predictor": 2,
    "interleave": "pixel",
    "photometric": "RGB",
}


def picture_grid(grid: Grid, width: int, height: int) -> Grid:
    """Returns where the pixels of a picture lie that keeps every n-th row and column of a grid.

    Raises:
        BadInput: no whole number of rows and columns gives that size.
    """
    step = -(-max(grid.shape) // max(width, height))
    if (-(-grid.height // step), -(-grid.width // step)) != (height, width):
        raise BadInput(f"A picture of {width} x {height} pixels is none of a raster of {grid.width} x {grid.height}.")
    return Grid(crs=grid.crs, left=grid.left, top=grid.top, pixel_m=grid.pixel_m * step, width=width, height=height)


def tile_picture(rows: Iterable[NDArray[np.uint8]], placed: Grid, goal: Path) -> None:
    """Writes a picture as a tiled file with averaged overviews, whole or not at all.

    Args:
        rows: its pixels from north to south, ``(y, x, 4)`` red, green, blue and opacity, some rows at a time.
        placed: where its pixels are.
        goal: where the file appears.

    Raises:
        ValueError: the rows are not as many, or not as wide, as the grid.
    """
    where = {"crs": rasterio.CRS.from_epsg(placed.epsg), "transform": rasterio.Affine(*placed.transform)}
    size = {"width": placed.width, "height": placed.height, "count": 4, "dtype": "uint8"}
    with whole_file(goal) as part, rasterio.Env(**CLOSED):
        with rasterio.open(part, "w", **_TILED, **where, **size) as target:
            target.colorinterp = [ColorInterp.red, ColorInterp.green, ColorInterp.blue, ColorInterp.alpha]
            row = 0
            for pixels in rows:
                window = Window(0, row, placed.width, len(pixels))
                target.write(pixels.transpose(2, 0, 1), window=window)
                row += len(pixels)
        if row != placed.height:
            raise ValueError(f"{row} rows of {placed.height}")
        factors = [2**n for n in range(1, 16) if max(placed.shape) / 2 ** (n - 1) > PICTURE_BLOCK_PX]
        if factors:
            with rasterio.open(part, "r+", driver="GTiff", sharing=False) as target:
                target.build_overviews(factors, Resampling.average)
