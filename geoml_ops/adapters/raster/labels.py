"""A raster of class codes in any CRS: what it says about itself, how often each code occurs, and codes at given pixels.

Never more of it is held than a bounded part, so it may be far larger than a scene.
"""

from __future__ import annotations

import math
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.enums import MaskFlags
from rasterio.windows import Window as RasterioWindow

from geoml_ops.adapters.raster.classified import strips
from geoml_ops.adapters.raster.opening import Limits, opened
from geoml_ops.core.errors import BadInput, TooLarge
from geoml_ops.core.grid import Bounds

LABEL_LIMITS = Limits(file_bytes=16 << 30, side_px=1_000_000, pixels=10**11, blocks=1 << 24, ratio=1 << 16, jpeg=True)
MOST_CODES = 65_536
MOST_PX = 1 << 24
_COUNTED_PX = 1 << 22
_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
Transform = tuple[float, float, float, float, float, float]


@dataclass(frozen=True)
class CodedRaster:
    """What a raster of class codes says about itself.

    Attributes:
        crs: ``EPSG:<code>``.
        bounds: in that CRS, of all its corners.
        transform: ``(a, b, c, d, e, f)`` from (column, row) to its coordinates; any affine one.
        width: columns.
        height: rows.
        nodata: the number that stands for no label; None where none is declared.
    """

    crs: str
    bounds: Bounds
    transform: Transform
    width: int
    height: int
    nodata: int | None


def is_geotiff(path: Path) -> bool:
    """Says whether a regular file begins as a TIFF does."""
    try:
        if not stat.S_ISREG(path.stat(follow_symlinks=False).st_mode):
            return False
        with path.open("rb") as stream:
            return stream.read(4) in _TIFF
    except OSError:
        return False


def describe_codes(path: Path, limits: Limits = LABEL_LIMITS) -> CodedRaster:
    """Returns what a raster of class codes says about itself, without reading a pixel.

    Raises:
        BadInput: not a GeoTIFF of one band of whole numbers, without a CRS that EPSG lists, or with a mask or a scale.
        TooLarge: beyond ``limits``.
    """
    with opened(path, limits) as source:
        _require_codes(source, path.name)
        code = source.crs.to_epsg() if source.crs else None
        if code is None:
            raise BadInput(f"The CRS of {path.name} has no EPSG code.", "name a CRS that EPSG lists")
        if source.gcps[0] or source.rpcs:
            raise BadInput(f"{path.name} is not rectified (ground control points).", "deliver it rectified")
        a, b, c, d, e, f = (float(number) for number in source.transform[:6])
        corners = [(x, y) for x in (0, source.width) for y in (0, source.height)]
        east, north = [a * x + b * y + c for x, y in corners], [d * x + e * y + f for x, y in corners]
        if not all(map(math.isfinite, (*east, *north))) or a * e == b * d:
            raise BadInput(f"The place of {path.name} on the ground is unknown.", "write its transform into it")
        nodata = source.nodata
        return CodedRaster(
            crs=f"EPSG:{code}",
            bounds=Bounds(left=min(east), bottom=min(north), right=max(east), top=max(north)),
            transform=(a, b, c, d, e, f),
            width=int(source.width),
            height=int(source.height),
            nodata=int(nodata) if nodata is not None and math.isfinite(nodata) and nodata == int(nodata) else None,
        )


def _require_codes(source: Any, name: str) -> None:
    dtype = np.dtype(source.dtypes[0])
    if source.driver != "GTiff":
        raise BadInput(f"{name} is of format {source.driver}.", "deliver labels as GeoTIFF: JPEG 2000 may alter codes")
    if source.count != 1:
        raise BadInput(f"{name} holds {source.count} bands; class codes are one.", "deliver the codes, not a picture")
    if dtype.kind not in "iu" or dtype == np.uint64:
        raise BadInput(
            f"{name} holds {dtype.name}, not class codes.", "write whole numbers (gdal_translate -ot Byte, or Int32)"
        )
    if MaskFlags.per_dataset in source.mask_flag_enums[0]:
        raise BadInput(f"{name} has a mask beside its codes.", "write one code where there is no label, as nodata")
    if source.scales[0] != 1.0 or source.offsets[0] != 0.0:
        raise BadInput(
            f"{name} declares a scale of {source.scales[0]:g} and an offset of {source.offsets[0]:g}.",
            "write the codes themselves",
        )


def counted(path: Path, limits: Limits = LABEL_LIMITS) -> dict[int, int]:
    """Returns how many pixels have each number, by number, read strip by strip.

    Raises:
        BadInput: not whole numbers, or not readable.
        TooLarge: more than :data:`MOST_CODES` different numbers, or beyond ``limits``.
    """
    found: dict[int, int] = {}
    for _, strip in strips(path, limits):
        flat = strip.ravel()
        for first in range(0, len(flat), _COUNTED_PX):
            for number, count in zip(*_histogram(flat[first : first + _COUNTED_PX]), strict=True):
                found[int(number)] = found.get(int(number), 0) + int(count)
        if len(found) > MOST_CODES:
            raise TooLarge(
                f"{path.name} holds more than {MOST_CODES} different numbers; class codes are few.",
                "deliver codes, not measurements",
            )
    return dict(sorted(found.items()))


def _histogram(strip: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    if strip.dtype.itemsize > 2:
        return np.unique(strip, return_counts=True)
    least = int(np.iinfo(strip.dtype).min)
    counts = np.bincount(strip.astype(np.int32) - least)
    here = np.flatnonzero(counts)
    return here + least, counts[here]


class Codes:
    """A raster that is open for reading codes at pixels."""

    def __init__(self, source: Any) -> None:
        self._source = source

    def at(self, rows: NDArray[np.int64], cols: NDArray[np.int64]) -> NDArray[np.int64]:
        """Returns the code of each pixel, in the shape of ``rows``; anything where a row is -1.

        Args:
            rows: of the raster.
            cols: of the raster.
        """
        found = np.zeros(rows.shape, dtype=np.int64)
        self._fill(rows, cols, found)
        return found

    def _fill(self, rows: NDArray[np.int64], cols: NDArray[np.int64], found: NDArray[np.int64]) -> None:
        wanted = rows >= 0
        if not wanted.any():
            return
        top, low = int(rows[wanted].min()), int(rows[wanted].max()) + 1
        left, right = int(cols[wanted].min()), int(cols[wanted].max()) + 1
        if (low - top) * (right - left) > MOST_PX and rows.size > 1:
            # A part of the pixels lies on a part of the ground: halves of the longer side, until it is small enough.
            axis = int(np.argmax(rows.shape))
            for part in np.array_split(np.arange(rows.shape[axis]), 2):
                here = (slice(None),) * axis + (slice(part[0], part[-1] + 1),)
                self._fill(rows[here], cols[here], found[here])
            return
        window = RasterioWindow(left, top, right - left, low - top)
        found[wanted] = self._source.read(1, window=window)[rows[wanted] - top, cols[wanted] - left]


@contextmanager
def open_codes(path: Path, limits: Limits = LABEL_LIMITS) -> Iterator[Codes]:
    """Yields a raster of class codes, open for reading.

    Raises:
        BadInput: not readable as class codes.
        TooLarge: beyond ``limits``.
    """
    with opened(path, limits, OVERVIEW_LEVEL="NONE") as source:
        _require_codes(source, path.name)
        yield Codes(source)
