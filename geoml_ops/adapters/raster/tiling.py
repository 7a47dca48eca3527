"""Web tiles of maps: squares of the Web Mercator plane, read from the overview that just suffices.

What is read here was written by this platform, so overviews inside the file are believed. A tile's cost does not
depend on how large the map is: the overview is the coarsest whose pixels are not larger than the tile's.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.enums import Resampling
from rasterio.vrt import WarpedVRT
from rasterio.warp import transform, transform_bounds

from geoml_ops.adapters.raster.opening import Limits, opened
from geoml_ops.adapters.raster.reading import describe
from geoml_ops.core.errors import BadInput
from geoml_ops.core.grid import Grid

#: What a file of this platform may be: a continent at 10 m.
OWN = Limits(file_bytes=1 << 40, side_px=1_000_000, pixels=10**12, decoded_bytes=1 << 30, blocks=1 << 24, ratio=1 << 20)
MAX_ZOOM = 24
EDGE_PX = 256
#: Half the edge of the Web Mercator square: pi times the radius of WGS 84.
HALF_M = math.pi * 6378137.0
_MERCATOR, _DEGREES = "EPSG:3857", "EPSG:4326"
# 0 would be exact by name, but GDAL 3.10 builds no warped view then; this is exact at every pixel that was tried.
_EXACT = 1e-9


@dataclass(frozen=True)
class WebTile:
    """One square of the XYZ scheme: zoom 0 is the world in one tile, rows count from the north.

    Attributes:
        zoom: 0 to :data:`MAX_ZOOM`.
        col: from 180 degrees west, from 0.
        row: from 85.05 degrees north, from 0.
        edge_px: pixels along each side.
    """

    zoom: int
    col: int
    row: int
    edge_px: int = EDGE_PX

    def __post_init__(self) -> None:
        if not 0 <= self.zoom <= MAX_ZOOM:
            raise BadInput(f"There is no zoom {self.zoom}.", f"0 to {MAX_ZOOM}")
        last = 2**self.zoom - 1
        if not (0 <= self.col <= last and 0 <= self.row <= last):
            raise BadInput(f"There is no tile {self.col}, {self.row} at zoom {self.zoom}.", f"0 to {last} each")

    @property
    def pixel_m(self) -> float:
        """Edge of a pixel in metres of the Web Mercator plane (ground metres at the equator)."""
        return float(2 * HALF_M / 2**self.zoom / self.edge_px)

    @property
    def corner(self) -> tuple[float, float]:
        """Left and top edge, in metres of the Web Mercator plane."""
        edge = 2 * HALF_M / 2**self.zoom
        return self.col * edge - HALF_M, HALF_M - self.row * edge

    @property
    def lon_lat_bounds(self) -> tuple[float, float, float, float]:
        """West, south, east and north edge in degrees."""
        n = 2**self.zoom
        north, south = (math.degrees(math.atan(math.sinh(math.pi * (1 - 2 * r / n)))) for r in (self.row, self.row + 1))
        return 360 * self.col / n - 180, south, 360 * (self.col + 1) / n - 180, north


@lru_cache(maxsize=4096)
def lon_lat_bounds(grid: Grid) -> tuple[float, float, float, float] | None:
    """Returns west, south, east and north edge of a grid in degrees; west exceeds east across the antimeridian.

    None where the grid lies outside what its projection can tell.
    """
    try:
        west, south, east, north = transform_bounds(grid.crs, _DEGREES, *grid.bounds.as_tuple(), densify_pts=21)
    except rasterio.errors.RasterioError:
        return None
    inside = -180 <= west <= 180 and -180 <= east <= 180 and -90 <= south < north <= 90
    return (float(west), float(south), float(east), float(north)) if inside else None


@lru_cache(maxsize=65536)
def common(grid: Grid, tile: WebTile) -> tuple[float, float, float, float] | None:
    """Returns the part of a tile's longitudes and latitudes that a grid may reach; None where there is none."""
    bounds, (t_west, t_south, t_east, t_north) = lon_lat_bounds(grid), tile.lon_lat_bounds
    if bounds is None:
        return tile.lon_lat_bounds
    west, south, east, north = bounds
    east += 360 if east < west else 0
    low, high = max(south, t_south), min(north, t_north)
    for turn in (0, 360, -360):
        left, right = max(west, t_west + turn), min(east, t_east + turn)
        if left < right and low < high:
            return left - turn, low, right - turn, high
    return None


@dataclass(frozen=True)
class Levels:
    """What a tiled reader knows of a file without reading pixels.

    Attributes:
        grid: of its pixels.
        names: of its bands; empty text where a band has none.
        factors: how many pixels one of each overview stands for along a side, rising.
    """

    grid: Grid
    names: tuple[str, ...]
    factors: tuple[int, ...]


def levels(path: Path) -> Levels:
    """Returns the grid, bands and overviews of a file of this platform, without reading a pixel.

    Raises:
        BadInput: it is not readable.
    """
    facts = describe(path, OWN)
    with opened(path, OWN) as source:
        factors = tuple(int(factor) for factor in source.overviews(1))
    return Levels(grid=facts.grid, names=facts.names, factors=factors)


def level_for(known: Levels, tile: WebTile) -> int | None:
    """Returns the position of the coarsest overview that is as fine as the tile; None for the pixels themselves.

    How many map pixels a tile's pixel is wide and high is measured at nine points of what both cover; the least counts.
    """
    area = common(known.grid, tile)
    if area is None or not known.factors:
        return None
    step = _least_step(known.grid, tile, area)
    fitting = [position for position, factor in enumerate(known.factors) if factor <= step]
    return fitting[-1] if fitting else None


def read_tile(path: Path, tile: WebTile, bands: list[int], level: int | None) -> NDArray[np.uint8]:
    """Returns bands of a file on a tile, ``(band, y, x)``, each pixel the nearest one of the file.

    Args:
        path: a file of this platform: uint8, its nodata where there is nothing.
        tile: where.
        bands: positions from 0.
        level: which overview is read; None for the pixels themselves.

    Raises:
        BadInput: not readable.
    """
    options = {} if level is None else {"OVERVIEW_LEVEL": str(level)}
    left, top = tile.corner
    to = rasterio.Affine(tile.pixel_m, 0.0, left, 0.0, -tile.pixel_m, top)
    view: dict[str, Any] = {"crs": _MERCATOR, "transform": to, "width": tile.edge_px, "height": tile.edge_px}
    how: dict[str, Any] = {"resampling": Resampling.nearest, "tolerance": _EXACT}
    with opened(path, OWN, **options) as source, WarpedVRT(source, **view, **how) as warped:
        pixels: NDArray[np.uint8] = warped.read([band + 1 for band in bands])
    return pixels


def thinned(path: Path, band: int, known: Levels, most_px: int) -> NDArray[np.uint8]:
    """Returns one band of a whole file, ``(y, x)``, thinned until no side is longer than ``most_px``.

    Args:
        path: a file of this platform.
        band: position from 0.
        known: its overviews; the finest that is small enough is read.
        most_px: the longest side of what is returned.

    Raises:
        BadInput: not readable.
    """
    longest = max(known.grid.shape)
    small = [position for position, factor in enumerate(known.factors) if longest / factor <= most_px]
    level = None if longest <= most_px else small[0] if small else len(known.factors) - 1
    options = {} if level is None or level < 0 else {"OVERVIEW_LEVEL": str(level)}
    with opened(path, OWN, **options) as source:
        step = max(1, -(-max(source.width, source.height) // most_px))
        shape = -(-source.height // step), -(-source.width // step)
        layer: NDArray[np.uint8] = source.read(band + 1, out_shape=shape)
    return layer


def to_ground(grid: Grid, lon: float, lat: float) -> tuple[float, float]:
    """Returns easting and northing of a point in the grid's CRS.

    Raises:
        BadInput: there is no such point.
    """
    if not (-540 <= lon <= 540 and -90 <= lat <= 90):
        raise BadInput(f"There is no longitude {lon:g}, latitude {lat:g}.", "degrees, -180 to 180 and -90 to 90")
    (easting,), (northing,) = transform(_DEGREES, grid.crs, [(lon + 180) % 360 - 180], [lat])
    if not (math.isfinite(easting) and math.isfinite(northing)):
        raise BadInput(f"Longitude {lon:g}, latitude {lat:g} is outside {grid.crs}.", "a point of the map")
    return float(easting), float(northing)


def outline(grid: Grid, row: int, col: int) -> list[tuple[float, float]]:
    """Returns the corners of one pixel as longitude and latitude, from the north-west one clockwise."""
    left, top, edge = grid.left + col * grid.pixel_m, grid.top - row * grid.pixel_m, grid.pixel_m
    eastings, northings = [left, left + edge, left + edge, left], [top, top, top - edge, top - edge]
    lons, lats = transform(grid.crs, _DEGREES, eastings, northings)
    # Across the antimeridian all corners stay on the side of the first.
    lons = [lon + 360 * round((lons[0] - lon) / 360) for lon in lons]
    return [(float(lon), float(lat)) for lon, lat in zip(lons, lats, strict=True)]


def _least_step(grid: Grid, tile: WebTile, area: tuple[float, float, float, float]) -> float:
    west, south, east, north = area
    points = [
        (_east_of(west + across * (east - west)), _north_of(south + up * (north - south)))
        for across in (0.02, 0.5, 0.98)
        for up in (0.02, 0.5, 0.98)
    ]
    edge = tile.pixel_m
    xs = [x + dx for x, _ in points for dx in (0.0, edge, 0.0)]
    ys = [y + dy for _, y in points for dy in (0.0, 0.0, edge)]
    eastings, northings = (np.array(part).reshape(-1, 3) for part in transform(_MERCATOR, grid.crs, xs, ys))
    wide = np.hypot(eastings[:, 1:] - eastings[:, :1], northings[:, 1:] - northings[:, :1]) / grid.pixel_m
    known = wide[np.isfinite(wide)]
    return float(known.min()) if known.size else math.inf


def _east_of(lon: float) -> float:
    return lon / 180 * HALF_M


def _north_of(lat: float) -> float:
    return math.asinh(math.tan(math.radians(lat))) / math.pi * HALF_M
