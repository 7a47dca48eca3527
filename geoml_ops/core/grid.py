"""Where pixels are. The only module that knows axis order.

Arrays are ``(band, y, x)``: row 0 is the northernmost, column 0 the westernmost. Ground
coordinates are ``easting, northing``; bounds are ``left, bottom, right, top``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from geoml_ops.core.errors import BadInput

_EPSG = re.compile(r"EPSG:\d{4,6}")


class Value(BaseModel):
    """A frozen, strict value: unknown fields and silent conversions are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Bounds(Value):
    """A rectangle on the ground, in CRS units (metres for projected systems)."""

    left: float
    bottom: float
    right: float
    top: float

    @model_validator(mode="after")
    def _ordered(self) -> Bounds:
        if not (self.left < self.right and self.bottom < self.top):
            raise ValueError(f"bounds are empty or turned over: {self.as_tuple()}")
        return self

    def as_tuple(self) -> tuple[float, float, float, float]:
        """Returns ``(left, bottom, right, top)``."""
        return self.left, self.bottom, self.right, self.top

    def overlap(self, other: Bounds) -> Bounds | None:
        """Returns the common rectangle, or None where the two do not share any area."""
        left, right = max(self.left, other.left), min(self.right, other.right)
        bottom, top = max(self.bottom, other.bottom), min(self.top, other.top)
        return Bounds(left=left, bottom=bottom, right=right, top=top) if left < right and bottom < top else None


class Window(Value):
    """A rectangle of pixels inside a grid: first column and row, then size, all in pixels."""

    col: int = Field(ge=0)
    row: int = Field(ge=0)
    width: int = Field(gt=0)
    height: int = Field(gt=0)

    def slices(self) -> tuple[slice, slice]:
        """Returns ``(rows, columns)`` slices for an array ``(…, y, x)``."""
        return slice(self.row, self.row + self.height), slice(self.col, self.col + self.width)


class Grid(Value):
    """A north-up raster of square pixels: CRS, north-west corner, pixel edge and shape.

    Attributes:
        crs: ``EPSG:<code>``; no other spelling, so that a CRS can never name a file or a URL.
        left: easting of the western edge of column 0.
        top: northing of the northern edge of row 0.
        pixel_m: edge of a pixel in CRS units, > 0.
        width: number of columns.
        height: number of rows.
    """

    crs: str
    left: float
    top: float
    pixel_m: float = Field(gt=0)
    width: int = Field(gt=0)
    height: int = Field(gt=0)

    @field_validator("crs")
    @classmethod
    def _plain_epsg(cls, crs: str) -> str:
        if not _EPSG.fullmatch(crs):
            raise ValueError(f"a CRS is written EPSG:<code>, not {crs[:40]!r}")
        return crs

    @property
    def epsg(self) -> int:
        """The EPSG code as a number."""
        return int(self.crs.removeprefix("EPSG:"))

    @property
    def shape(self) -> tuple[int, int]:
        """``(height, width)``, as numpy orders it."""
        return self.height, self.width

    @property
    def bounds(self) -> Bounds:
        """The rectangle that the pixels cover."""
        return Bounds(
            left=self.left,
            bottom=self.top - self.height * self.pixel_m,
            right=self.left + self.width * self.pixel_m,
            top=self.top,
        )

    @property
    def transform(self) -> tuple[float, float, float, float, float, float]:
        """Affine coefficients ``(a, b, c, d, e, f)`` from (column, row) to (easting, northing)."""
        return self.pixel_m, 0.0, self.left, 0.0, -self.pixel_m, self.top

    @property
    def whole(self) -> Window:
        """The window that is the grid itself."""
        return Window(col=0, row=0, width=self.width, height=self.height)

    def pixel_at(self, easting: float, northing: float) -> tuple[int, int]:
        """Returns ``(row, col)`` of the pixel that contains a point.

        A point on an edge belongs to the pixel south-east of it.

        Raises:
            BadInput: the point is outside the grid.
        """
        col = math.floor((easting - self.left) / self.pixel_m)
        row = math.floor((self.top - northing) / self.pixel_m)
        if not (0 <= col < self.width and 0 <= row < self.height):
            raise BadInput(
                f"The point {easting:.12g}, {northing:.12g} lies outside the raster {self.bounds.as_tuple()}.",
                "give easting and northing in the raster's own CRS " + self.crs,
            )
        return row, col

    def centres(
        self, rows: NDArray[np.int64], cols: NDArray[np.int64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Returns eastings and northings of pixel centres, each the shape of ``rows``."""
        east = np.asarray(self.left + (cols + 0.5) * self.pixel_m, dtype=np.float64)
        return east, np.asarray(self.top - (rows + 0.5) * self.pixel_m, dtype=np.float64)

    def window_for(self, bounds: Bounds) -> Window | None:
        """Returns the smallest window whose pixels cover ``bounds``, or None where they miss the grid."""
        common = self.bounds.overlap(bounds)
        if common is None:
            return None
        col, row = (common.left - self.left) / self.pixel_m, (self.top - common.top) / self.pixel_m
        right, low = (common.right - self.left) / self.pixel_m, (self.top - common.bottom) / self.pixel_m
        col0, row0 = math.floor(col + 1e-9), math.floor(row + 1e-9)
        return Window(
            col=col0,
            row=row0,
            width=min(math.ceil(right - 1e-9), self.width) - col0,
            height=min(math.ceil(low - 1e-9), self.height) - row0,
        )

    def corner_in(self, whole: Grid) -> tuple[int, int] | None:
        """Returns row and column of this grid's north-west pixel in another grid, below 0 where it lies before it.

        None where the two do not have the same pixels: another CRS, edge or a shift by parts of a pixel.
        """
        if whole.crs != self.crs or abs(whole.pixel_m - self.pixel_m) > 1e-9:
            return None
        row, col = (whole.top - self.top) / self.pixel_m, (self.left - whole.left) / self.pixel_m
        if abs(row - round(row)) > 1e-6 or abs(col - round(col)) > 1e-6:
            return None
        return round(row), round(col)

    def inside(self, window: Window) -> Grid:
        """Returns the grid of a window of this one.

        Raises:
            ValueError: the window reaches beyond the grid.
        """
        if window.col + window.width > self.width or window.row + window.height > self.height:
            raise ValueError(f"{window!r} reaches beyond {self.width} x {self.height} pixels")
        return Grid(
            crs=self.crs,
            left=self.left + window.col * self.pixel_m,
            top=self.top - window.row * self.pixel_m,
            pixel_m=self.pixel_m,
            width=window.width,
            height=window.height,
        )

    def tiles(self, size_px: int) -> Iterator[Window]:
        """Yields windows that cut the grid into squares of ``size_px``, the last ones smaller, row by row."""
        for row in range(0, self.height, size_px):
            for col in range(0, self.width, size_px):
                yield Window(
                    col=col, row=row, width=min(size_px, self.width - col), height=min(size_px, self.height - row)
                )
