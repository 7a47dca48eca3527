"""How far each tile of a scene departs from what the same ground usually looks like.

Of all bands the largest departure counts, whichever way it points: a change often shows in one band (near infrared for
plants, short waves for water) or in two with opposite signs, and a mean over bands would dilute or cancel it. Noise of
the largest of several is larger than that of one, on every tile alike; what is unusual is for neighbours and for
scenes in control to say (:func:`~geoml_ops.domain.hotspots.regions.least_mass`), not for this number.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from geoml_ops.core.errors import BadInput
from geoml_ops.domain.hotspots.lattice import Lattice

Floats = NDArray[np.float64]
Tiles = Mapping[str, Floats]
Against = Literal["own history", "same ground", "other ground"]
#: Scenes of a place that make a history of its own.
LEAST_HISTORY = 3
#: Degrees of freedom that the spread of all places lends to the spread of one, which few scenes hardly tell.
LENT = 4.0
#: Tiles of one cut of the ground agree to this part of an edge.
_SAME = 6
_MOST_Z = 100.0
_HALF = 0.5
_LEAST_PAIRS, _LEAST_CHANGE = 8, 0.05


@dataclass(frozen=True, eq=False)
class Departures:
    """Tiles of a scene against the normal ones.

    Attributes:
        lattice: where the tiles are.
        largest: ``(n,)`` largest departure over bands in standard deviations, >= 0; NaN where none is known.
        signed: ``(n, bands)`` departure by band, positive for brighter than normal; NaN for none.
        bands: that were looked at.
        n_normal: ``(n,)`` normal tiles of the same place.
        against: ``own history``: of several scenes of the place, in its own standard deviations; ``same ground``: one
            scene of it or two, in (robust) standard deviations of that change over tiles; ``other ground``: all normal
            tiles together.
    """

    lattice: Lattice
    largest: Floats
    signed: Floats
    bands: tuple[str, ...]
    n_normal: NDArray[np.int64]
    against: Against


def departures(now: Tiles, normal: Tiles, bands: Sequence[str], edge: float) -> Departures | None:
    """Returns how far tiles depart from normal ones; None where there is no tile, or nothing to compare with.

    Tiles of ``now`` in one cell, from requests that overlap, count as one, each as much as it was observed. A history
    of the place is best: standardised by its own spread over scenes, to which that of all places lends ``LENT``
    degrees of freedom (as Smyth 2004 does for genes), widened by ``sqrt(1 + 1/k)`` as its mean of k scenes is not
    known better. All tiles of a scene are standardised alike, by the first way that at least half of them allow.

    Args:
        now: columns ``easting``, ``northing`` (centres, CRS units) and ``<band>:mean``; ``n_px`` and ``valid_share``
            where known.
        normal: the same columns of in-control scenes, one below the other, or of the ground that a model learned from.
        bands: to look at; those that either side lacks are left out.
        edge: of a whole tile, in CRS units.

    Raises:
        BadInput: the edge is no length.
        TooLarge: the tiles lie too far apart.
    """
    if not (np.isfinite(edge) and edge > 0):
        raise BadInput(f"An edge of {edge:g} makes no tile.", "give the edge of a tile in the units of its CRS")
    known = [b for b in bands if _seen(now, b, 1) and _seen(normal, b, 2)]
    here, there = _placed(now), _placed(normal)
    if not known or not here.any():
        return None
    easting, northing, weight = now["easting"][here], now["northing"][here], _weight(now)[here]
    phase = _phase(easting, weight, edge), _phase(northing, weight, edge)
    cells, number = np.unique(_cells(easting, northing, phase, edge), axis=0, return_inverse=True)
    centres: Floats = (cells + np.array(phase)) * edge
    lattice = Lattice.of(centres[:, 0], centres[:, 1], edge)
    values = _means(np.stack([now[f"{b}:mean"][here] for b in known], 1), weight, number.reshape(-1), len(cells))
    before = np.stack([normal[f"{b}:mean"] for b in known], 1)
    place = np.full(len(before), -1, dtype=np.int64)
    if there.any():
        place[there] = _found(cells, _cells(normal["easting"][there], normal["northing"][there], phase, edge))
    signed, n_normal, against = _standardised(values, np.where(np.isfinite(before), before, np.nan), place)
    largest = np.max(np.abs(np.where(np.isnan(signed), 0.0, signed)), axis=1)
    empty = np.isnan(signed).all(axis=1)
    if empty.all():
        return None
    return Departures(lattice, np.where(empty, np.nan, largest), signed, tuple(known), n_normal, against)


def _standardised(
    values: Floats, normal: Floats, place: NDArray[np.int64]
) -> tuple[Floats, NDArray[np.int64], Against]:
    """Returns departures ``(n, bands)``, how many normal tiles each place has, and against what they are.

    Args:
        values: ``(n, bands)`` of the scene.
        normal: ``(rows, bands)`` of normal tiles.
        place: ``(rows,)`` position in ``values`` of the same place; -1 for other ground.
    """
    counts, means, squares = _moments(normal[place >= 0], place[place >= 0], len(values))
    n_normal = np.asarray(counts.max(axis=1), dtype=np.int64)
    floor = _floor(normal)
    if (n_normal >= LEAST_HISTORY).mean() >= _HALF:
        return _own(values, counts, means, squares, floor), n_normal, "own history"
    spread = np.maximum(_sd(normal), floor)
    if (n_normal >= 1).mean() >= _HALF:
        return _clipped((values - means) / _usual_change(values - means, spread)), n_normal, "same ground"
    return _clipped((values - np.nanmean(normal, axis=0)) / spread), n_normal, "other ground"


def _usual_change(moved: Floats, spread: Floats) -> Floats:
    """Returns by band how much tiles change from one scene to another: robust, as some of them may have drifted.

    Scaled median of absolute deviations, at least a twentieth of the spread between tiles; that spread itself where
    too few places are known.
    """
    enough = np.isfinite(moved).sum(axis=0) >= _LEAST_PAIRS
    filled = np.where(enough, moved, 0.0)
    scale = 1.4826 * np.nanmedian(np.abs(filled - np.nanmedian(filled, axis=0)), axis=0)
    return np.where(enough, np.maximum(scale, _LEAST_CHANGE * spread), spread)


def _own(values: Floats, counts: Floats, means: Floats, squares: Floats, floor: Floats) -> Floats:
    free = np.maximum(counts - 1, 0)
    lent = squares.sum(axis=0) / np.maximum(free.sum(axis=0), 1)
    variance = (LENT * lent + squares) / (LENT + free) * (1 + 1 / np.maximum(counts, 1))
    found = (values - means) / np.maximum(np.sqrt(variance), floor)
    return _clipped(np.where(counts >= LEAST_HISTORY, found, np.nan))


def _moments(rows: Floats, place: NDArray[np.int64], n: int) -> tuple[Floats, Floats, Floats]:
    """Returns by place and band how many numbers there are, their mean, and the sum of squares around it."""
    seen = np.isfinite(rows)
    counts, sums = np.zeros((n, rows.shape[1])), np.zeros((n, rows.shape[1]))
    np.add.at(counts, place, seen)
    np.add.at(sums, place, np.where(seen, rows, 0.0))
    means = np.divide(sums, counts, out=np.full_like(sums, np.nan), where=counts > 0)
    squares = np.zeros_like(sums)
    np.add.at(squares, place, np.where(seen, rows - means[place], 0.0) ** 2)
    return counts, means, squares


def _means(rows: Floats, weight: Floats, number: NDArray[np.int64], n: int) -> Floats:
    seen = np.isfinite(rows)
    totals, sums = np.zeros((n, rows.shape[1])), np.zeros((n, rows.shape[1]))
    np.add.at(totals, number, np.where(seen, weight[:, np.newaxis], 0.0))
    np.add.at(sums, number, np.where(seen, rows * weight[:, np.newaxis], 0.0))
    return np.asarray(np.divide(sums, totals, out=np.full_like(sums, np.nan), where=totals > 0), dtype=np.float64)


def _floor(normal: Floats) -> Floats:
    """Smallest spread that counts: a millionth of the largest number, so that rounding is no departure."""
    return np.asarray(np.maximum(np.nanmax(np.abs(normal), axis=0) * 1e-6, np.finfo(np.float64).tiny))


def _sd(rows: Floats) -> Floats:
    counts = np.isfinite(rows).sum(axis=0)
    means = np.nansum(rows, axis=0) / np.maximum(counts, 1)
    return np.asarray(np.sqrt(np.nansum((rows - means) ** 2, axis=0) / np.maximum(counts - 1, 1)))


def _clipped(z: Floats) -> Floats:
    return np.asarray(np.clip(z, -_MOST_Z, _MOST_Z), dtype=np.float64)


def _seen(tiles: Tiles, band: str, least: int) -> bool:
    column = tiles.get(f"{band}:mean")
    return column is not None and int(np.isfinite(column).sum()) >= least


def _placed(tiles: Tiles) -> NDArray[np.bool_]:
    easting, northing = tiles.get("easting"), tiles.get("northing")
    if easting is None or northing is None:
        return np.zeros(0, dtype=np.bool_)
    return np.isfinite(easting) & np.isfinite(northing)


def _weight(tiles: Tiles) -> Floats:
    """Observed pixels of each tile, at least a little; 1 where they were not counted."""
    n = len(tiles["easting"])
    weight = tiles.get("n_px", np.ones(n)) * tiles.get("valid_share", np.ones(n))
    return np.where(np.isfinite(weight) & (weight > 0), weight, 1e-3)


def _phase(places: Floats, weight: Floats, edge: float) -> float:
    """Where within an edge most of the observed ground has its tile centres; the last tiles are smaller and differ."""
    phases, number = np.unique(np.round(places / edge % 1.0, _SAME) % 1.0, return_inverse=True)
    return float(phases[np.argmax(np.bincount(number.reshape(-1), weight))])


def _cells(easting: Floats, northing: Floats, phase: tuple[float, float], edge: float) -> NDArray[np.int64]:
    places = np.stack([easting / edge - phase[0], northing / edge - phase[1]], axis=1)
    return np.floor(places + 0.5).astype(np.int64)


def _found(cells: NDArray[np.int64], sought: NDArray[np.int64]) -> NDArray[np.int64]:
    """Returns the position of each sought cell among sorted unique ones; -1 for none."""
    every, number = np.unique(np.concatenate([cells, sought]), axis=0, return_inverse=True)
    position = np.full(len(every), -1, dtype=np.int64)
    number = number.reshape(-1)
    position[number[: len(cells)]] = np.arange(len(cells))
    return np.asarray(position[number[len(cells) :]])
