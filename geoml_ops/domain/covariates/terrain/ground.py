"""Ground around each cell: its eight neighbours, how it slopes, where it faces and how it is lit."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Layer = NDArray[np.float64]


class Gradient(NamedTuple):
    """How elevation rises, in metres per metre.

    Attributes:
        east: ``(y, x)`` towards the east.
        north: ``(y, x)`` towards the north.
    """

    east: Layer
    north: Layer

    @property
    def square(self) -> Layer:
        """``(y, x)`` the square of the tangent of slope."""
        return np.asarray(self.east**2 + self.north**2)


@dataclass(frozen=True, eq=False)
class Ground:
    """Elevation with one cell around everything that is asked for.

    Attributes:
        elevation: float64 ``(y + 2, x + 2)`` in metres, row 0 the northernmost, NaN for nothing. Whatever is computed
            for a cell is NaN where one of the nine cells of its window is.
        pixel_m: edge of a cell.
    """

    elevation: Layer
    pixel_m: float

    def at(self, south: int, east: int) -> Layer:
        """Returns ``(y, x)`` the elevation of the neighbour so many cells south and east, each -1, 0 or 1."""
        height, width = self.elevation.shape
        return self.elevation[1 + south : height - 1 + south, 1 + east : width - 1 + east]

    @property
    def centre(self) -> Layer:
        """``(y, x)`` the elevation of the cells themselves."""
        return self.at(0, 0)

    @property
    def neighbours(self) -> tuple[Layer, ...]:
        """The eight ``(y, x)`` around."""
        return tuple(self.at(row, col) for row in (-1, 0, 1) for col in (-1, 0, 1) if row or col)

    @cached_property
    def gradient(self) -> Gradient:
        """How the ground rises, by weighted differences of eight neighbours.

        Horn 1981, doi:10.1109/PROC.1981.11918. Differences are taken before sums, so that level ground has a
        gradient of exactly 0.
        """
        nw, n, ne = (self.at(-1, col) for col in (-1, 0, 1))
        sw, s, se = (self.at(1, col) for col in (-1, 0, 1))
        east = ((ne - nw) + 2.0 * (self.at(0, 1) - self.at(0, -1)) + (se - sw)) / (8.0 * self.pixel_m)
        north = ((nw - sw) + 2.0 * (n - s) + (ne - se)) / (8.0 * self.pixel_m)
        holes = np.isnan(east) | np.isnan(north) | np.isnan(self.centre)
        east[holes] = north[holes] = np.nan
        return Gradient(east, north)


def slope(ground: Ground) -> Layer:
    """Returns the slope ``(y, x)`` in degrees, 0 (level) to below 90 (Horn 1981)."""
    return np.asarray(np.degrees(np.arctan(np.sqrt(ground.gradient.square))))


def aspect(ground: Ground) -> tuple[Layer, Layer]:
    """Returns sine and cosine ``(y, x)`` of the direction that ground faces, clockwise from north; NaN where level.

    Sine is 1 where it falls to the east, cosine 1 where it falls to the north (Horn 1981). A direction is a circle:
    359 and 1 degree are neighbours, which only the pair says.
    """
    steep = np.sqrt(ground.gradient.square)
    steep[steep == 0.0] = np.nan
    return np.asarray(-ground.gradient.east / steep), np.asarray(-ground.gradient.north / steep)


def hillshade(ground: Ground, *, azimuth_degree: float = 315.0, altitude_degree: float = 45.0) -> Layer:
    """Returns the cosine ``(y, x)`` of the angle between sunlight and the ground's normal, 0 where in its own shade.

    Args:
        ground: the elevation.
        azimuth_degree: where the sun stands, clockwise from north.
        altitude_degree: how high above the horizon it stands.
    """
    azimuth, altitude = np.radians(azimuth_degree), np.radians(altitude_degree)
    along = ground.gradient.east * np.sin(azimuth) + ground.gradient.north * np.cos(azimuth)
    light = (np.sin(altitude) - np.cos(altitude) * along) / np.sqrt(1.0 + ground.gradient.square)
    return np.asarray(np.clip(light, 0.0, 1.0))
