"""A classified raster as outlines: small patches given to their neighbours first, then one polygon per patch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rasterio
import shapely
from numpy.typing import NDArray
from rasterio.features import shapes, sieve

from geoml_ops.adapters.raster.classified import MAP_LIMITS, strips
from geoml_ops.adapters.raster.opening import within
from geoml_ops.adapters.raster.reading import describe
from geoml_ops.core.errors import TooLarge

MOST_PIXELS = 2_000_000_000
"""Of a map that is outlined: GDAL's sieve looks at neighbours everywhere, so one byte a pixel is held, twice."""
MOST_PATCHES = 5_000_000


@dataclass(frozen=True)
class Outlines:
    """Patches of one class each, none touching another of its class by an edge.

    Attributes:
        polygons: shapely polygons in the raster's CRS, edges along pixel edges.
        codes: class code of each.
        n_px: pixels of each.
        n_left_out: patches below the minimum that had no neighbour above it to go to.
        left_out_px: their pixels together.
    """

    polygons: NDArray[np.object_]
    codes: NDArray[np.uint8]
    n_px: NDArray[np.int64]
    n_left_out: int
    left_out_px: int


def outlines(path: Path, *, nodata: int, least_px: int = 1, most_patches: int = MOST_PATCHES) -> Outlines:
    """Returns the patches of the first band of a classified raster.

    Patches of fewer than ``least_px`` pixels (connected by edges) become part of their largest neighbour; ground on
    which no patch reaches that size, nodata being all around, is left out and counted.

    Args:
        path: a raster of class codes, uint8.
        nodata: code of "no answer"; it has no outline and takes no patch in.
        least_px: smallest patch, at least 1.
        most_patches: that are outlined at most.

    Raises:
        BadInput: the raster is not readable.
        TooLarge: too many pixels or patches to hold at once.
    """
    grid = describe(path, MAP_LIMITS).grid
    within(grid.width * grid.height, MOST_PIXELS, f"pixels of {path.name} to outline at once")
    codes = np.empty(grid.shape, dtype=np.uint8)
    for row, strip in strips(path):
        codes[row : row + len(strip)] = strip
    known = codes != nodata
    if least_px > 1:
        codes = _sieved(codes, known, least_px)
    kept: list[object] = []
    values: list[int] = []
    left_out: list[float] = []
    pixel = grid.pixel_m**2
    for geometry, value in shapes(codes, mask=known, connectivity=4, transform=rasterio.Affine(*grid.transform)):
        polygon = _polygon(geometry)
        if polygon.area < (least_px - 0.5) * pixel:
            left_out.append(polygon.area)
            continue
        kept.append(polygon)
        values.append(int(value))
        if len(kept) > most_patches:
            raise TooLarge(
                f"{path.name} has more than {most_patches} patches.", "ask for a larger minimum mapping unit"
            )
    polygons = np.array(kept, dtype=object)
    n_px = np.rint(shapely.area(polygons) / pixel).astype(np.int64) if kept else np.zeros(0, np.int64)
    return Outlines(polygons, np.array(values, np.uint8), n_px, len(left_out), round(sum(left_out) / pixel))


def _sieved(codes: NDArray[np.uint8], known: NDArray[np.bool_], least_px: int) -> NDArray[np.uint8]:
    # GDAL compares a patch with its neighbours as they were: one that grew enough can take another in only when asked
    # again (GDAL 3.10).
    if least_px >= codes.size:  # rasterio 1.4 wants a size below that of the image: a row of nothing makes it so
        return _sieved(np.pad(codes, ((0, 1), (0, 0))), np.pad(known, ((0, 1), (0, 0))), codes.size)[:-1]
    while True:
        done: NDArray[np.uint8] = sieve(codes, size=least_px, mask=known, connectivity=4)
        done = np.where(known, done, codes)
        if np.array_equal(done, codes):
            return done
        codes = done


def _polygon(geometry: dict[str, list[list[tuple[float, float]]]]) -> shapely.Polygon:
    shell, *holes = geometry["coordinates"]
    return shapely.Polygon(shell, holes)
