"""What a raster says about itself, and its pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.windows import Window as RasterioWindow

from geoml_ops.adapters.raster.opening import LIMITS, Limits, opened, within
from geoml_ops.core.bands import Radiometry, Resampling
from geoml_ops.core.errors import BadInput
from geoml_ops.core.grid import Grid, Window
from geoml_ops.domain.resampling import refine


@dataclass(frozen=True)
class RasterFacts:
    """What a raster says about itself.

    Attributes:
        grid: where its pixels are.
        names: band descriptions in file order; empty text where a band has none.
        dtype: numpy name of the type all bands share.
        nodata: the number that stands for "not observed"; None when not declared.
        declared: radiometry of all bands; None when the file does not declare one (GDAL scale is 1).
        tags: dataset tags.
        n_bands: number of bands.
    """

    grid: Grid
    names: tuple[str, ...]
    dtype: str
    nodata: float | None
    declared: Radiometry | None
    tags: dict[str, str]
    n_bands: int


def describe(path: Path, limits: Limits = LIMITS) -> RasterFacts:
    """Returns what a raster says about itself, without reading a pixel.

    Raises:
        BadInput: not a GeoTIFF or JP2 file on a square, north-up grid in a projected metric EPSG system.
        TooLarge: beyond ``limits``.
    """
    with opened(path, limits) as source:
        return RasterFacts(
            grid=_grid(source, path.name),
            names=tuple(name or "" for name in source.descriptions),
            dtype=str(source.dtypes[0]),
            nodata=None if source.nodata is None else float(source.nodata),
            declared=_declared(source, path.name),
            tags={str(k): str(v) for k, v in source.tags().items() if k != "AREA_OR_POINT"},
            n_bands=int(source.count),
        )


def read(
    path: Path, window: Window | None = None, bands: Sequence[int] | None = None, limits: Limits = LIMITS
) -> NDArray[Any]:
    """Returns pixels ``(band, y, x)`` as stored: no scale, no offset, no mask.

    Args:
        path: a GeoTIFF or JP2 file.
        window: pixels to read; all when None.
        bands: positions from 0, in the order wanted; all when None.
        limits: what the file may be.

    Raises:
        BadInput: the file, the window or a band is not readable.
        TooLarge: beyond ``limits``.
    """
    # Overviews may live in another file, or elsewhere; with them closed, GDAL 3.10 also hides the bands'
    # names, so only pixels are read this way.
    with opened(path, limits, OVERVIEW_LEVEL="NONE") as source:
        positions = list(range(source.count)) if bands is None else list(bands)
        width, height = (source.width, source.height) if window is None else (window.width, window.height)
        if any(not 0 <= b < source.count for b in positions):
            raise BadInput(f"{path.name} has {source.count} bands; asked for positions {positions}.")
        if window is not None and (window.col + width > source.width or window.row + height > source.height):
            raise BadInput(f"{window!r} reaches beyond the {source.width} x {source.height} pixels of {path.name}.")
        needed = len(positions) * width * height * np.dtype(source.dtypes[0]).itemsize
        within(needed, limits.decoded_bytes, f"bytes decoded from {path.name}")
        area = None if window is None else RasterioWindow(window.col, window.row, width, height)
        pixels: NDArray[Any] = source.read([b + 1 for b in positions], window=area)
        return pixels


def to_grid(path: Path, grid: Grid, how: Resampling, nodata: float = 0.0, limits: Limits = LIMITS) -> NDArray[Any]:
    """Returns the only band of a file on ``grid``, ``(y, x)``.

    Raises:
        BadInput: several bands, another CRS or footprint, or pixels that the grid's do not divide.
    """
    facts = describe(path, limits)
    if facts.n_bands != 1:
        raise BadInput(f"{path.name} holds {facts.n_bands} bands.", "deliver one file per band")
    if facts.grid.crs != grid.crs:
        raise BadInput(
            f"{path.name} is in {facts.grid.crs}, the scene's grid in {grid.crs}.", "deliver all bands in one CRS"
        )
    ratio = facts.grid.pixel_m / grid.pixel_m
    factor = round(ratio)
    shape = (facts.grid.height * factor, facts.grid.width * factor)
    apart = max(abs(facts.grid.left - grid.left), abs(facts.grid.top - grid.top))
    if factor < 1 or abs(ratio - factor) > 1e-9 or apart > 1e-6 * grid.pixel_m or shape != grid.shape:
        raise BadInput(
            f"{path.name} covers {facts.grid.bounds.as_tuple()} in pixels of {facts.grid.pixel_m:g} m, "
            f"the scene's grid {grid.bounds.as_tuple()} in pixels of {grid.pixel_m:g} m.",
            "deliver all bands of one tile, each at its native pixel size",
        )
    return refine(read(path, limits=limits)[0], factor, how, nodata)


def _grid(source: Any, name: str) -> Grid:
    crs, transform = source.crs, source.transform
    epsg = crs.to_epsg() if crs else None
    if source.gcps[0] or source.rpcs:
        raise BadInput(f"{name} is not rectified (ground control points).", "deliver orthorectified imagery")
    if epsg is None or not crs.is_projected or crs.linear_units.lower() not in ("metre", "meter", "m"):
        said = f"EPSG:{epsg}" if epsg else "none that EPSG lists" if crs else "none"
        raise BadInput(f"The CRS of {name} is not a projected one in metres: {said}.", "deliver it in its UTM zone")
    a, b, left, d, e, top = transform[:6]
    if b or d or a <= 0 or abs(a + e) > 1e-9 * a:
        raise BadInput(f"The pixels of {name} are not square and north-up: {a:g}, {b:g}, {d:g}, {e:g}.")
    return Grid(
        crs=f"EPSG:{epsg}", left=left, top=top, pixel_m=float(a), width=int(source.width), height=int(source.height)
    )


def _declared(source: Any, name: str) -> Radiometry | None:
    said = set(zip(source.scales, source.offsets, strict=True))
    if len(said) != 1:
        raise BadInput(f"The bands of {name} declare {len(said)} different radiometries.", "declare one for all bands")
    scale, offset = said.pop()
    if scale == 1.0:
        return None
    if not scale > 0:
        raise BadInput(f"{name} declares a scale of {scale:g}.", "declare a scale above 0")
    # Offsets are stored in reflectance: -0.1 / 1e-4 has to come back as -1000 exactly.
    return Radiometry(
        scale=float(scale),
        offset_dn=round(offset / scale, 6),
        nodata=0.0 if source.nodata is None else float(source.nodata),
    )
