"""Where labelled pixels are, what they belong to, and which of them can never be parted."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from geoml_ops.core.errors import BadInput

Index = NDArray[np.int64]
Floats = NDArray[np.float64]
EARTH_M = 6_371_008.8
"""Mean radius of the Earth (IUGG R1), metres."""


@dataclass(frozen=True)
class PredictionPoints:
    """Pixels spread over everything that will be mapped; arrays have one entry per point.

    Attributes:
        easting: pixel centre, in the samples' CRS (longitude where that is geographic).
        northing: pixel centre (latitude).
        features: float32 ``(n, features)``, or None.
    """

    easting: Floats
    northing: Floats
    features: NDArray[np.float32] | None = None


@dataclass(frozen=True)
class Samples:
    """Where labelled pixels are and what they belong to; arrays have one entry per sample.

    Attributes:
        crs: ``EPSG:<code>`` of all coordinates.
        projected: True where the CRS measures in metres on a plane; False for longitude and latitude.
        pixel_m: edge of a pixel in metres.
        easting: pixel centre (longitude).
        northing: pixel centre (latitude).
        anchor_easting: representative point of the sample's polygon.
        anchor_northing: representative point of the sample's polygon.
        polygon: number of the polygon.
        code: class code, from 0.
        scene: number of the scene; all 0 where there is one, or none is known.
        day: acquisition day, days since 1970-01-01; all 0 where none is known.
        half_px: pixels that the sample's patch reaches beyond its own on each side; 0 for a pixel.
        features: float32 ``(n, features)``, or None where no method needs them.
        points: what will be mapped, or None where no method needs it.
    """

    crs: str
    projected: bool
    pixel_m: float
    easting: Floats
    northing: Floats
    anchor_easting: Floats
    anchor_northing: Floats
    polygon: Index
    code: Index
    scene: Index = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    day: Index = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    half_px: Index = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    features: NDArray[np.float32] | None = None
    points: PredictionPoints | None = None

    def __post_init__(self) -> None:
        for name in ("scene", "day", "half_px"):
            if not len(getattr(self, name)):
                object.__setattr__(self, name, np.zeros(len(self.code), dtype=np.int64))

    def __len__(self) -> int:
        """Number of samples."""
        return len(self.code)

    @property
    def ground(self) -> Floats:
        """Coordinates in metres between which straight lines are distances: see :func:`metres`."""
        return metres(self.easting, self.northing, projected=self.projected)

    @property
    def anchors(self) -> Floats:
        """Coordinates in metres of the samples' polygons: see :func:`metres`."""
        return metres(self.anchor_easting, self.anchor_northing, projected=self.projected)

    def require_metres(self, what: str) -> None:
        """Lets samples through that lie on a plane in metres.

        Raises:
            BadInput: they are in longitude and latitude; the sentence names methods that work there.
        """
        if not self.projected:
            raise BadInput(
                f"{what} cannot be cut in {self.crs}: it does not measure in metres.",
                "deliver the samples in a projected CRS, UTM for instance, or use a method that needs "
                "distances only: buffered, buffered_loo, kmeans, nndm, knndm",
            )

    def require_finite(self) -> None:
        """Lets samples through whose coordinates are numbers.

        Raises:
            BadInput: some are not; the sentence counts them.
        """
        columns = (self.easting, self.northing, self.anchor_easting, self.anchor_northing)
        bad = ~np.isfinite(np.column_stack(columns)).all(axis=1)
        if bad.any():
            raise BadInput(
                f"{int(bad.sum())} of {len(self)} samples have no coordinates (NaN or infinite).",
                "repair the label geometries",
            )
        if not self.projected and (
            np.abs(self.northing).max(initial=0) > 90 or np.abs(self.easting).max(initial=0) > 360
        ):
            raise BadInput(
                f"{self.crs} has degrees, but coordinates reach {np.abs(self.easting).max():.0f} and "
                f"{np.abs(self.northing).max():.0f}.",
                "name the CRS that the coordinates are in",
            )


def metres(easting: Floats, northing: Floats, *, projected: bool) -> Floats:
    """Returns coordinates in metres between which straight lines order and measure distances.

    ``(n, 2)`` eastings and northings of a projected CRS; ``(n, 3)`` points on the sphere for longitude
    and latitude in degrees. Chords there order as great circles do and differ by less than 1e-4 of the
    distance below 300 km; :func:`arc` and :func:`chord` convert exactly.
    """
    if projected:
        return np.column_stack([easting, northing]).astype(np.float64)
    lon, lat = np.radians(easting), np.radians(northing)
    return EARTH_M * np.column_stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)])


def arc(distance: Floats, *, projected: bool) -> Floats:
    """Returns distances along the ground, from straight ones between :func:`metres`."""
    if projected:
        return distance
    return np.asarray(2 * EARTH_M * np.arcsin(np.clip(distance / (2 * EARTH_M), 0, 1)), dtype=np.float64)


def chord(distance_m: float, *, projected: bool) -> float:
    """Returns the straight distance between :func:`metres` that belongs to one along the ground."""
    if projected:
        return distance_m
    return float(2 * EARTH_M * np.sin(min(distance_m / (2 * EARTH_M), np.pi / 2)))


def numbered(*columns: NDArray[np.generic]) -> Index:
    """Returns a number for each distinct row of the columns, from 0, ``(n,)``."""
    _, number = np.unique(np.column_stack(columns), axis=0, return_inverse=True)
    return np.asarray(number, dtype=np.int64).reshape(-1)


def units_of(samples: Samples) -> Index:
    """Returns the unit of each sample, ``(n,)``: what no fold may part.

    Samples of one polygon are one unit, and so are samples closer than a pixel: the same ground seen
    twice. Units are the connected components of both.
    """
    n = len(samples)
    if not n:
        return np.zeros(0, dtype=np.int64)
    order = np.argsort(samples.polygon, kind="stable")
    same = samples.polygon[order][1:] == samples.polygon[order][:-1]
    links = [np.column_stack([order[1:][same], order[:-1][same]])]
    reach = chord(samples.pixel_m, projected=samples.projected) * (1 - 1e-6)
    links.append(cKDTree(samples.ground).query_pairs(reach, output_type="ndarray").astype(np.int64))
    pairs = np.concatenate(links)
    graph = coo_array((np.ones(len(pairs), dtype=np.int8), (pairs[:, 0], pairs[:, 1])), shape=(n, n))
    return np.asarray(connected_components(graph, directed=False)[1], dtype=np.int64)


def anchors_of_units(samples: Samples, unit: Index) -> Floats:
    """Returns one place per unit, ``(units, d)`` as :func:`metres`: the anchor of its first sample."""
    first = np.unique(unit, return_index=True)[1]
    return samples.anchors[first]


def evidence_blocks(samples: Samples, block_m: float) -> tuple[Floats, Index]:
    """Returns the middles of the occupied square blocks ``(n_blocks, 2)`` and each sample's block ``(n,)``.

    They are the unit of evidence of intervals, whatever the folds. A sample's block is that of its
    polygon's anchor, so no polygon is cut. Blocks lie on multiples of ``block_m`` of the CRS, so a
    polygon keeps its block when more scenes arrive. In longitude and latitude rows of equal height
    hold cells of equal width on the ground (a sinusoidal grid), middles in degrees.
    """
    samples.require_finite()
    if samples.projected:
        pair = np.floor(np.column_stack([samples.anchor_easting, samples.anchor_northing]) / block_m)
        middles = (pair + 0.5) * block_m
    else:
        degree = np.pi * EARTH_M / 180
        row = np.floor(samples.anchor_northing * degree / block_m)
        lat = np.clip((row + 0.5) * block_m / degree, -90, 90)
        wide = block_m / np.maximum(degree * np.cos(np.radians(lat)), 1e-6)
        col = np.floor(samples.anchor_easting / wide)
        pair, middles = np.column_stack([col, row]), np.column_stack([(col + 0.5) * wide, lat])
    _, first, number = np.unique(pair.astype(np.int64), axis=0, return_index=True, return_inverse=True)
    return middles[first], np.asarray(number, dtype=np.int64).reshape(-1)
