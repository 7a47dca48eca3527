"""Where labelled pixels are, what they belong to, and which of them can never be parted."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoml_ops.core.errors import BadInput
from geoml_ops.domain.folds.closeness import Floats, Index, linked, numbered, tied

__all__ = [
    "EARTH_M",
    "Floats",
    "Index",
    "PredictionPoints",
    "Samples",
    "anchors_of_units",
    "arc",
    "chord",
    "evidence_blocks",
    "metres",
    "numbered",
    "part",
    "units_of",
    "west_to_east",
]

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
        columns = ("easting", "northing", "anchor_easting", "anchor_northing", "polygon", "scene", "day", "half_px")
        lengths = {name: len(getattr(self, name)) for name in columns}
        if self.features is not None:
            lengths["features"] = len(self.features)
        wrong = [f"{length} of {name}" for name, length in lengths.items() if length != len(self)]
        if wrong:
            raise BadInput(
                f"{len(self)} samples have a class code, but there are {', '.join(wrong)}.",
                "give one entry per sample in every column",
            )

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
                "deliver the samples in a projected CRS, UTM for instance, or use a method that needs distances only: "
                "buffered, buffered_loo, location (polygon, scene), time, location_time, kmeans, environment, nndm, "
                "knndm",
            )

    def require_no_degrees(self, what: str, length_m: float) -> None:
        """Lets samples through that are not all within a length, or crowded as no pixels can be.

        Only coordinates that could be degrees are looked at, and only where the CRS is said to be in metres.

        Raises:
            BadInput: they look like longitude and latitude.
        """
        east, north = self.easting, self.northing
        if not self.projected or not len(self) or np.abs(east).max() > 360 or np.abs(north).max() > 90:
            return
        wide, high = float(np.ptp(east)), float(np.ptp(north))
        n_pixels = (wide // self.pixel_m + 1) * (high // self.pixel_m + 1)
        n_places = len(np.unique(np.column_stack([east, north]), axis=0))
        if n_places > 1 and (max(wide, high) < length_m or n_places > 4 * n_pixels):
            raise BadInput(
                f"{self.crs} is said to measure in metres, but {n_places} places lie within {wide:.4g} x {high:.4g} "
                f"around {east.mean():.4g}, {north.mean():.4g}: beside {what} that looks like degrees.",
                "name the CRS that the coordinates are in (EPSG:4326 for longitude and latitude), or project them, "
                "to UTM for instance",
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


def part(samples: Samples, index: Index) -> Samples:
    """Returns some of the samples, in the order of ``index``; what will be mapped stays the same."""
    columns: dict[str, Any] = {field.name: getattr(samples, field.name) for field in fields(samples)}
    taken: dict[str, Any] = {name: c[index] if isinstance(c, np.ndarray) else c for name, c in columns.items()}
    return Samples(**taken)


def units_of(samples: Samples, *, keep_scenes: bool = False) -> Index:
    """Returns the unit of each sample, ``(n,)`` from 0: what no fold may part.

    Samples of one polygon are one unit, and so are samples whose pixels overlap: the same ground seen
    twice. Where scenes are kept, samples of one scene are one unit too. Units are the connected
    components of all of these, numbered by their westernmost sample, whatever the order of samples.

    Raises:
        BadInput: a coordinate is not a number.
    """
    samples.require_finite()
    if not len(samples):
        return np.zeros(0, dtype=np.int64)
    labels = [_same_ground(samples), samples.polygon]
    component = tied(*labels, *([samples.scene] if keep_scenes else []))
    order = west_to_east(samples)
    _, first, number = np.unique(component[order], return_index=True, return_inverse=True)
    unit = np.empty(len(samples), dtype=np.int64)
    unit[order] = np.argsort(np.argsort(first))[number.reshape(-1)]
    return unit


def anchors_of_units(samples: Samples, unit: Index) -> Floats:
    """Returns one place per unit, ``(units, d)`` as :func:`metres`: the anchor of its westernmost sample."""
    order = west_to_east(samples)
    return samples.anchors[order[np.unique(unit[order], return_index=True)[1]]]


def west_to_east(samples: Samples) -> Index:
    """Returns positions in an order that follows from where samples are, not from how they were listed."""
    columns = (samples.anchor_northing, samples.anchor_easting, samples.northing, samples.easting)
    return np.lexsort(columns).astype(np.int64)


def _same_ground(samples: Samples) -> Index:
    """Returns the component of each sample over pixels that overlap."""
    edge = samples.pixel_m * (1 - 1e-6)
    if samples.projected:
        return linked(samples.ground, edge, p=np.inf)
    lon, lat = np.radians(samples.easting), np.radians(samples.northing)

    def overlap(one: Index, other: Index) -> NDArray[np.bool_]:
        turn = lon[one] - lon[other]
        east = np.abs(np.arctan2(np.sin(turn), np.cos(turn))) * np.cos((lat[one] + lat[other]) / 2)
        return np.asarray(EARTH_M * np.maximum(east, np.abs(lat[one] - lat[other])) < edge)

    return linked(samples.ground, chord(1.42 * edge, projected=False), really=overlap)


def evidence_blocks(samples: Samples, block_m: float) -> tuple[Floats, Index]:
    """Returns the middles of the occupied square blocks ``(n_blocks, 2)`` and each sample's block ``(n,)``.

    They are the unit of evidence of intervals, whatever the folds. A sample's block is that of its
    polygon's anchor, so no polygon is cut. Blocks lie on multiples of ``block_m`` of the CRS, so a
    polygon keeps its block when more scenes arrive. In longitude and latitude rows of equal height
    hold cells of equal width on the ground (a sinusoidal grid), middles in degrees.

    Raises:
        BadInput: a coordinate is not a number, or no block has such an edge.
    """
    samples.require_finite()
    if not (np.isfinite(block_m) and block_m > 1e-6):
        raise BadInput(f"A block of {block_m:g} m cannot be.", "use metres above 0")
    if samples.projected:
        pair = np.floor(np.column_stack([samples.anchor_easting, samples.anchor_northing]) / block_m)
        middles = (pair + 0.5) * block_m
    else:
        degree = np.pi * EARTH_M / 180
        row = np.floor(samples.anchor_northing * degree / block_m)
        lat = np.clip((row + 0.5) * block_m / degree, -90, 90)
        wide = block_m / np.maximum(degree * np.cos(np.radians(lat)), 1e-6)
        lon = np.where(samples.anchor_easting >= 180, samples.anchor_easting - 360, samples.anchor_easting)
        col = np.floor(lon / wide)
        pair, middles = np.column_stack([col, row]), np.column_stack([(col + 0.5) * wide, lat])
    _, first, number = np.unique(pair.astype(np.int64), axis=0, return_index=True, return_inverse=True)
    return middles[first], np.asarray(number, dtype=np.int64).reshape(-1)
