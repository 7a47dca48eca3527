"""How near the two sides of a fold come to each other: distances, and windows that share pixels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from scipy.spatial.distance import cdist

from geoml_ops.domain.folds.samples import EARTH_M, Floats, Index, Samples, arc

Flags = NDArray[np.bool_]
TOLERANCE = 1e-6
"""Of a pixel: two windows that touch along an edge share none, whatever the rounding of coordinates."""
BRUTE_PAIRS = 2_000_000
BATCH = 2_000


@dataclass(frozen=True)
class Nearness:
    """What one side of a fold sees of the other; arrays have one entry per test sample.

    Attributes:
        distance_m: to the nearest train sample, along the ground; infinite without a train side.
        overlapping: whether its window of source pixels shares one with the window of a train sample.
        too_near: whether a train sample is within the buffer around both windows.
    """

    distance_m: Floats
    overlapping: Flags
    too_near: Flags


@dataclass(frozen=True)
class Windows:
    """Samples with the square of source pixels that each of them sees.

    The window of a sample reaches ``r`` pixels (halo and half its patch) beyond its own on each side.
    Two windows share a pixel where their middles are less than ``r + r' + 1`` pixels apart along both
    axes: on one lattice of pixels that is a Chebyshev distance of at most ``r + r'``. In longitude and
    latitude the axes are those on the ground at the pair's mean latitude.

    Attributes:
        samples: where they are; coordinates are finite.
        ground: in metres between which straight lines are distances.
        radius_px: ``(n,)``.
        radii_px: the distinct ones.
    """

    samples: Samples
    ground: Floats
    radius_px: Index
    radii_px: Index

    @classmethod
    def of(cls, samples: Samples, halo_px: int) -> Windows:
        """Returns the windows of samples whose features reach ``halo_px`` pixels beyond their own."""
        radius = samples.half_px + halo_px
        return cls(samples, samples.ground, radius, np.unique(radius))

    def between(self, train: Index, test: Index, buffer_m: float) -> Nearness:
        """Returns how near the train side comes to each test sample; each pair is judged by its own two radii.

        Args:
            train: positions.
            test: positions.
            buffer_m: ground left empty between windows; too near is ``buffer_m + (r + r') * pixel_m`` or less.
        """
        n, pixel_m, projected = len(test), self.samples.pixel_m, self.samples.projected
        least, meets, near = np.full(n, np.inf), np.zeros(n, dtype=bool), np.zeros(n, dtype=bool)
        for radius in self.radii_px:
            side = train if len(self.radii_px) == 1 else train[self.radius_px[train] == radius]
            if not len(side):
                continue
            both = self.radius_px[test] * pixel_m + radius * pixel_m
            limit = both + (1 - TOLERANCE) * pixel_m
            straight = _nearest(self.ground[test], self.ground[side])
            np.minimum(least, straight, out=least)
            near |= straight <= _straight(both + buffer_m, projected)
            if projected:
                meets |= _nearest(self.ground[test], self.ground[side], p=np.inf) < limit
            else:
                meets |= self._meets_on_sphere(side, test, limit)
        return Nearness(arc(least, projected=projected) if len(train) else least, meets, near)

    def _meets_on_sphere(self, side: Index, test: Index, limit: Floats) -> Flags:
        """Returns whether each test sample is nearer than its limit, along both axes, to one of ``side``."""
        meets = np.zeros(len(test), dtype=bool)
        lon, lat = np.radians(self.samples.easting), np.radians(self.samples.northing)
        for at, other in self._candidates(side, test, limit):
            turn, here, there = lon[test[at]] - lon[side[other]], lat[test[at]], lat[side[other]]
            east = np.abs(np.arctan2(np.sin(turn), np.cos(turn))) * np.cos((here + there) / 2)
            close = EARTH_M * np.maximum(east, np.abs(here - there)) < limit[at]
            meets[at[close]] = True
        return meets

    def _candidates(self, side: Index, test: Index, limit: Floats) -> Iterator[tuple[Index, Index]]:
        """Yields pairs that may meet, positions in ``test`` and ``side``: a square's corner is 1.42 edges away."""
        tree = cKDTree(self.ground[side], balanced_tree=False)
        straight = _straight(1.42 * limit, projected=False)
        for start in range(0, len(test), BATCH):
            part = np.arange(start, min(start + BATCH, len(test)))
            near = tree.query_ball_point(self.ground[test[part]], straight[part], return_sorted=False)
            sizes = np.array([len(row) for row in near])
            if sizes.any():
                yield np.repeat(part, sizes), np.concatenate([row for row in near if row]).astype(np.int64)


def _nearest(here: Floats, there: Floats, p: float = 2.0) -> Floats:
    """Returns the distance of each of ``here`` to the nearest of ``there``, straight (``p`` 2) or Chebyshev."""
    if len(here) * len(there) <= BRUTE_PAIRS:
        return np.asarray(cdist(here, there, "chebyshev" if p == np.inf else "euclidean").min(axis=1))
    # Pixels lie on a lattice: median splits of a balanced tree run into ties there and get slow.
    return np.asarray(cKDTree(there, balanced_tree=False).query(here, p=p)[0], dtype=np.float64)


def _straight(distance_m: Floats, projected: bool) -> Floats:
    """Returns the straight distances that belong to distances along the ground."""
    if projected:
        return distance_m
    return np.asarray(2 * EARTH_M * np.sin(np.minimum(distance_m / (2 * EARTH_M), np.pi / 2)), dtype=np.float64)
