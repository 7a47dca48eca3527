"""What a raster says about itself, band by band, and its pixels."""

from __future__ import annotations

import math
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
        nodata: the number that stands for "not observed" in the first band; None when not declared.
        radiometries: of each band; None where the file does not declare one (GDAL scale 1, offset 0, no unit).
        units: of each band's values; empty text where a band has none.
        wavelengths_nm: central wavelength of each band; None where the file does not tell.
        tags: dataset tags.
        n_bands: number of bands.
    """

    grid: Grid
    names: tuple[str, ...]
    dtype: str
    nodata: float | None
    radiometries: tuple[Radiometry | None, ...]
    units: tuple[str, ...]
    wavelengths_nm: tuple[float | None, ...]
    tags: dict[str, str]
    n_bands: int

    @property
    def declared(self) -> Radiometry | None:
        """The radiometry of all bands; None where one is not declared or they differ."""
        return self.radiometries[0] if len(set(self.radiometries)) == 1 else None


def describe(path: Path, limits: Limits = LIMITS) -> RasterFacts:
    """Returns what a raster says about itself, without reading a pixel.

    Raises:
        BadInput: not a GeoTIFF or JP2 file on a square, north-up grid in a projected metric EPSG system.
        TooLarge: beyond ``limits``.
    """
    with opened(path, limits) as source:
        return RasterFacts(
            grid=_grid(source, path.name),
            # GDAL writes "B4, central wavelength 665 nm" for Sentinel-2.
            names=tuple((name or "").split(",")[0].strip() for name in source.descriptions),
            dtype=str(source.dtypes[0]),
            nodata=None if source.nodata is None else float(source.nodata),
            radiometries=tuple(_declared(source, i, path.name) for i in range(source.count)),
            units=tuple((unit or "").strip() for unit in source.units),
            wavelengths_nm=tuple(_wavelength(source, i) for i in range(source.count)),
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


def to_grid(
    path: Path,
    grid: Grid,
    how: Resampling,
    nodata: float | None = 0.0,
    limits: Limits = LIMITS,
    *,
    band: int | None = None,
) -> NDArray[Any]:
    """Returns one band of a file on ``grid``, ``(y, x)``.

    Args:
        path: a GeoTIFF or JP2 file.
        grid: where the pixels should be.
        how: the band's resampling in the contract.
        nodata: the number that stands for "not observed", also where the file declares another one for that;
            None for none.
        limits: what the file may be.
        band: its position from 0; None for the only band of a file.

    Raises:
        BadInput: several bands and none chosen, another CRS or footprint, or pixels that the grid's do not divide.
    """
    facts = describe(path, limits)
    if band is None and facts.n_bands != 1:
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
    layer = read(path, bands=[band or 0], limits=limits)[0]
    if nodata is not None and facts.nodata not in (None, nodata):
        _renumber(layer, facts.nodata, nodata)
    # Nothing of an unsigned band equals a number outside its type, so -1 stands for "every number counts".
    return layer if factor == 1 else refine(layer, factor, how, -1.0 if nodata is None else nodata)


def _renumber(layer: NDArray[Any], said: float | None, nodata: float) -> None:
    """Writes ``nodata`` wherever a layer holds the number ``said``; where its type cannot hold it, nowhere."""
    if said is None or (layer.dtype.kind in "iu" and not said.is_integer()):
        return
    layer[np.isnan(layer) if math.isnan(said) else layer == np.asarray(said).astype(layer.dtype)] = nodata


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


def _declared(source: Any, band: int, name: str) -> Radiometry | None:
    scale, offset = float(source.scales[band]), float(source.offsets[band])
    # GDAL cannot tell a scale of 1 from none: only a unit or an offset beside it makes it a declaration.
    if scale == 1.0 and offset == 0.0 and not (source.units[band] or "").strip():
        return None
    if not (scale > 0 and math.isfinite(scale) and math.isfinite(offset)):
        raise BadInput(
            f"Band {band + 1} of {name} declares a scale of {scale:g} and an offset of {offset:g}.",
            "declare a scale above 0",
        )
    nodata = source.nodatavals[band]
    # Offsets are stored in the band's unit: -0.1 / 1e-4 has to come back as -1000 exactly.
    return Radiometry(
        scale=scale,
        offset_dn=round(offset / scale, 6),
        nodata=0.0 if nodata is None else float(nodata) if math.isfinite(nodata) else None,
    )


def _wavelength(source: Any, band: int) -> float | None:
    """Returns the central wavelength of a band in nm, as GDAL or ENVI write it; None where nobody did."""
    for tags, name, to_nm in (
        (source.tags(band + 1, ns="IMAGERY"), "CENTRAL_WAVELENGTH_UM", 1000.0),
        (source.tags(band + 1), "wavelength", 0.0),
        (source.tags(band + 1), "WAVELENGTH", 0.0),
    ):
        try:
            value = float(tags[name])
        except (KeyError, ValueError):
            continue
        unit = (tags.get(f"{name}_units") or tags.get(f"{name}_UNIT") or "").lower()
        # Without a unit: no band is centred at 100 micrometres or below 100 nanometres.
        micrometres = unit.startswith("micro") or unit in ("um", "µm") or (not unit and value < 100)
        factor = to_nm or (1000.0 if micrometres else 1.0)
        if value > 0 and math.isfinite(value):
            return value * factor
    return None
