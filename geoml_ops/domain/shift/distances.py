"""How far numbers moved: the 1-Wasserstein distance in standard deviations of the reference, signed mean beside it.

From samples it is exact. From sketches it takes 258 counts, moments and extremes, however many pixels they stand for.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geoml_ops.core.errors import BadInput
from geoml_ops.domain.sketch import N_BINS, Bins, Sketch

Floats = NDArray[np.float64]
#: A reference that hardly varies counts as varying this much, in the unit of the numbers.
LEAST_SD = 1e-3
#: Tiles of one band that are in memory as arrays at a time; pixels of a bin whose sums stay below 2^63.
_AT_ONCE, _MOST_PX = 2048, 1 << 53
#: Larger numbers are no observation, and their squares no numbers.
_LARGEST = 1e150


@dataclass(frozen=True)
class Move:
    """How one column of numbers moved.

    Attributes:
        distance: 1-Wasserstein distance over the reference's standard deviation (at least ``LEAST_SD``), >= 0.
        mean_shift: current mean minus reference mean, in the unit of the numbers.
        sd_ratio: current over reference standard deviation; None where the reference does not vary.
    """

    distance: float
    mean_shift: float
    sd_ratio: float | None


@dataclass(frozen=True)
class Moves:
    """How each band of each tile moved, every array ``(tile, band)``; NaN where a tile has no number of a band.

    Attributes:
        distance: as in :class:`Move`.
        mean_shift: as in :class:`Move`.
        sd_ratio: as in :class:`Move`; NaN also where the reference does not vary.
    """

    distance: Floats
    mean_shift: Floats
    sd_ratio: Floats


def move(
    reference: NDArray[np.floating],
    current: NDArray[np.floating],
    *,
    reference_weight: NDArray[np.floating] | None = None,
    current_weight: NDArray[np.floating] | None = None,
) -> Move:
    """Returns how a sample moved from another.

    ``W1 = integral of |F - G|`` of the two distribution functions (Vallender 1974), divided by
    ``max(sd_reference, .001)`` (sd divided by n); moving every number by ``c`` gives ``|c| / sd``.

    Args:
        reference: ``(n,)`` finite numbers.
        current: ``(m,)`` finite numbers.
        reference_weight: ``(n,)`` >= 0, not all 0; None for all alike.
        current_weight: ``(m,)`` likewise.

    Raises:
        BadInput: an empty sample, numbers that are not finite, or weights that are none.
    """
    a, wa = _sample("reference", reference, reference_weight)
    b, wb = _sample("current", current, current_weight)
    (mean_a, sd_a), (mean_b, sd_b) = _moments(a, wa), _moments(b, wb)
    both = np.concatenate([a, b])
    order = np.argsort(both, kind="stable")
    apart = np.cumsum(np.concatenate([wa, -wb])[order])[:-1]
    far = float(np.sum(np.abs(apart) * np.diff(both[order])))
    return Move(far / max(sd_a, LEAST_SD), mean_b - mean_a, sd_b / sd_a if sd_a > 0 else None)


def move_of(reference: Sketch, current: Sketch) -> Move:
    """Returns how a band moved from one sketch to another, as :func:`moves` does.

    Raises:
        BadInput: the sketches have other bins, or one of them holds no number.
    """
    for what, one in (("reference", reference), ("current", current)):
        if not one.n:
            raise BadInput(f"The {what} sketch of {one.bins.band[:60]} holds no number.", "compare observed ground")
    found = moves([reference], [[current]])
    ratio = float(found.sd_ratio[0, 0])
    return Move(float(found.distance[0, 0]), float(found.mean_shift[0, 0]), ratio if math.isfinite(ratio) else None)


def moves(reference: Sequence[Sketch], tiles: Sequence[Sequence[Sketch]]) -> Moves:
    """Returns how each band of each tile moved from the reference; what it costs does not depend on pixels.

    Numbers of a bin are taken as evenly spread in it, those of an open bin between its edge and the extreme.
    That puts ``W1`` off by half the mean width of the bins that the numbers of either side lie in, at most.
    ``W1`` is never less than ``|mean_shift|``, which the moments know to a step of the bins, so it is raised to it:
    moving a band by ``c`` gives ``|c| / sd`` to a step wherever the bins see less.

    Args:
        reference: one sketch per band, of any number of scenes.
        tiles: one sequence of sketches per tile, bands in the order of the reference.

    Raises:
        BadInput: another number of bands, other bins, or a reference that holds no number.
    """
    for number, tile in enumerate(tiles):
        if len(tile) != len(reference):
            raise BadInput(f"Tile {number} has {len(tile)} bands and the reference {len(reference)}.")
    found = np.full((3, len(tiles), len(reference)), np.nan)
    for band, known in enumerate(reference):
        before = _stacked([known], known.bins)
        if not before.n[0]:
            raise BadInput(f"The reference of {known.bins.band[:60]} holds no number.", "make a reference first")
        for first in range(0, len(tiles), _AT_ONCE):
            part = slice(first, first + _AT_ONCE)
            found[:, part, band] = _moved(
                before, _stacked([tile[band] for tile in tiles[part]], known.bins), known.bins
            )
    return Moves(*found)


def _moved(before: _Stack, now: _Stack, bins: Bins) -> tuple[Floats, Floats, Floats]:
    sd, moved = before.sd[0], now.mean - before.mean[0]
    far = np.maximum(_apart(before, now, bins.edges), np.abs(moved))
    return far / max(sd, LEAST_SD), moved, now.sd / sd if sd > 0 else np.full(len(moved), np.nan)


@dataclass(frozen=True)
class _Stack:
    """Sketches of one band below each other; NaN moments where nothing was observed."""

    upto: Floats
    n: NDArray[np.int64]
    mean: Floats
    sd: Floats
    least: Floats
    greatest: Floats


def _stacked(sketches: Sequence[Sketch], bins: Bins) -> _Stack:
    for one in sketches:
        if one.bins.key != bins.key:
            raise BadInput(
                f"The reference of {bins.band[:60]} and a sketch of {one.bins.band[:60]} have other bins.",
                "make a reference of this contract",
            )
    try:
        return _in_columns(sketches, bins)
    except (OverflowError, ValueError):
        raise BadInput(
            f"A sketch of {bins.band[:60]} holds counts or moments that no numbers have.", "sketch it again"
        ) from None


def _in_columns(sketches: Sequence[Sketch], bins: Bins) -> _Stack:
    counts = np.array([one.counts for one in sketches], dtype=np.int64).reshape(-1, N_BINS)
    n = counts.sum(axis=1)
    ends = np.array([(one.least, one.greatest) for one in sketches]).reshape(-1, 2)
    if (counts > _MOST_PX).any() or not np.isfinite(ends[n > 0]).all():
        raise ValueError("more than there can be")
    known = list(zip(sketches, n.tolist(), strict=True))
    # Whole numbers of any size: nothing cancels.
    mean = [one.total / m * bins.step if m else math.nan for one, m in known]
    sd = [math.sqrt(m * one.squares - one.total * one.total) / m * bins.step if m else math.nan for one, m in known]
    upto = np.cumsum(counts, axis=1) / np.maximum(n, 1)[:, np.newaxis]
    return _Stack(upto, n, np.array(mean, np.float64), np.array(sd, np.float64), ends[:, 0], ends[:, 1])


def _apart(before: _Stack, now: _Stack, edges: Floats) -> Floats:
    """Returns ``integral of |F - G|`` of one reference and each tile, ``(tile,)``."""
    seen = now.n > 0
    low, high = float(edges[0]), float(edges[-1])
    least = [np.minimum(np.where(seen, end, low), low) for end in (before.least, now.least)]
    greatest = [np.maximum(np.where(seen, end, high), high) for end in (before.greatest, now.greatest)]
    below, above = np.maximum(*least), np.minimum(*greatest)
    # Distribution functions where either one begins and ends, and on every edge between.
    f, g = (
        np.column_stack(
            [
                np.zeros(len(seen)),
                stack.upto[:, 0] * _share(below - begins, low - begins),
                np.broadcast_to(stack.upto[:, :-1], (len(seen), len(edges))),
                1 - (1 - stack.upto[:, -2]) * _share(ends - above, ends - high),
                np.ones(len(seen)),
            ]
        )
        for stack, begins, ends in zip((before, now), least, greatest, strict=True)
    )
    inner = np.broadcast_to(np.diff(edges), (len(seen), len(edges) - 1))
    outer = (np.minimum(*least), below), (above, np.maximum(*greatest))
    widths = np.column_stack([outer[0][1] - outer[0][0], low - below, inner, above - high, outer[1][1] - outer[1][0]])
    return np.asarray((_mean_between(f - g) * widths).sum(axis=1), dtype=np.float64)


def _share(part: Floats, whole: Floats) -> Floats:
    return np.asarray(np.divide(part, whole, out=np.zeros_like(part), where=whole > 0), dtype=np.float64)


def _mean_between(d: Floats) -> Floats:
    """Returns the mean of ``|d|`` between neighbours, where ``d`` is straight between them."""
    first, second = d[:, :-1], d[:, 1:]
    total = np.abs(first) + np.abs(second)
    crossing = np.divide(first**2 + second**2, 2 * total, out=np.zeros_like(total), where=total > 0)
    return np.where(first * second >= 0, total / 2, crossing)


def _sample(what: str, numbers: NDArray[np.floating], weight: NDArray[np.floating] | None) -> tuple[Floats, Floats]:
    values = np.asarray(numbers, dtype=np.float64).ravel()
    strange = int((~(np.abs(values) < _LARGEST)).sum())
    if not values.size or strange:
        fact = f"{strange} of {values.size} numbers of the {what} sample are not finite or beyond {_LARGEST:g}"
        raise BadInput(f"{fact}." if values.size else f"The {what} sample is empty.", "compare observed numbers only")
    weights = np.ones(values.size) if weight is None else np.asarray(weight, dtype=np.float64).ravel()
    total = float(weights.sum())
    if weights.size != values.size or not (weights >= 0).all() or not 0 < total < math.inf:
        raise BadInput(f"The {weights.size} weights of the {what} sample are no weights of {values.size} numbers.")
    return values, weights / total


def _moments(values: Floats, weight: Floats) -> tuple[float, float]:
    mean = float(weight @ values)
    return mean, math.sqrt(float(weight @ np.square(values - mean)))
