"""Rasters in any CRS, brought to a grid: elevation models and other ground that is no imagery."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.enums import Resampling
from rasterio.vrt import WarpedVRT

from geoml_ops.adapters.raster.opening import LIMITS, Limits, opened, within
from geoml_ops.core.errors import BadInput
from geoml_ops.core.grid import Bounds, Grid


@dataclass(frozen=True)
class Extent:
    """What a raster in any CRS says about itself.

    Attributes:
        crs: ``EPSG:<code>``.
        bounds: in that CRS.
        names: of its bands; ``band 1`` and so on where it has none.
        nodata: the number that stands for nothing; None where none is declared.
    """

    crs: str
    bounds: Bounds
    names: tuple[str, ...]
    nodata: float | None


def extent(path: Path, limits: Limits = LIMITS) -> Extent:
    """Returns where a raster lies and what its bands are called.

    Raises:
        BadInput: not a GeoTIFF or JP2 file, without a CRS that EPSG lists, or turned on its side.
        TooLarge: beyond ``limits``.
    """
    with opened(path, limits) as source:
        code = source.crs.to_epsg() if source.crs else None
        if code is None:
            raise BadInput(f"The CRS of {path.name} has no EPSG code.", "name a CRS that EPSG lists")
        if source.transform.b or source.transform.d or source.gcps[0] or source.rpcs:
            raise BadInput(f"{path.name} is not north-up.", "deliver it rectified")
        left, bottom, right, top = (float(edge) for edge in source.bounds)
        return Extent(
            crs=f"EPSG:{code}",
            bounds=Bounds(left=left, bottom=bottom, right=right, top=top),
            names=tuple(name or f"band {n}" for n, name in enumerate(source.descriptions, 1)),
            nodata=None if source.nodata is None else float(source.nodata),
        )


def warped(
    path: Path, grid: Grid, margin_px: int = 0, *, smooth: bool = True, limits: Limits = LIMITS, called: str = ""
) -> NDArray[np.float64]:
    """Returns the first band of a raster on a grid and its margin, ``(y, x)``, NaN for nothing.

    Args:
        path: a GeoTIFF or JP2 file in any CRS.
        grid: where the numbers are wanted.
        margin_px: pixels of the grid's size beyond it on each side.
        smooth: bilinear (numbers) or nearest (codes).
        limits: what the file may be.
        called: how sentences name it; the file's own name where empty.

    Raises:
        BadInput: not readable, or no pixel of it lies on the grid.
        TooLarge: beyond ``limits``.
    """
    edge, called = grid.pixel_m * margin_px, called or path.name
    width, height = grid.width + 2 * margin_px, grid.height + 2 * margin_px
    within(width * height * 8, limits.decoded_bytes, f"bytes of {called} on the grid")
    to = rasterio.Affine(grid.pixel_m, 0.0, grid.left - edge, 0.0, -grid.pixel_m, grid.top + edge)
    how = Resampling.bilinear if smooth else Resampling.nearest
    with opened(path, limits, OVERVIEW_LEVEL="NONE") as source:
        if source.crs is None:
            raise BadInput(f"{called} has no CRS.", "name a CRS that EPSG lists")
        options = {"crs": rasterio.CRS.from_epsg(grid.epsg), "transform": to, "width": width, "height": height}
        with WarpedVRT(source, **options, resampling=how, nodata=np.nan, dtype="float64", tolerance=0.01) as on_grid:
            layer: NDArray[np.float64] = on_grid.read(1)
        if source.scales[0] != 1.0 or source.offsets[0] != 0.0:
            layer = layer * source.scales[0] + source.offsets[0]
    if not np.isfinite(layer).any():
        raise BadInput(
            f"No pixel of {called} with a number lies on the grid {grid.bounds.as_tuple()} of {grid.crs}.",
            "deliver one that covers the scenes",
        )
    return layer
