"""How far shares moved: Jensen-Shannon distance, population stability index and total variation of counts.

Bins are frozen from the reference once, open at both ends, and never move with what is compared.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from geoml_ops.core.errors import BadInput

Floats = NDArray[np.float64]
#: Bins of about equal share of the reference.
FROZEN_BINS = 10
#: Added to the count of every bin, on both sides.
PSEUDO_COUNT = 0.5


def frozen_cuts(counts: ArrayLike, n_bins: int = FROZEN_BINS) -> tuple[int, ...]:
    """Returns at which fine bins new ones begin, so that each holds about ``1 / n_bins`` of the reference.

    A cut goes to whichever side of a fine bin is nearer to the share. Fewer bins come out where single fine bins
    hold much; a reference within one fine bin gives three: below, in it, above.

    >>> frozen_cuts([0, 0, 5, 5, 5, 5, 0, 0], 4)
    (3, 4, 5)
    >>> frozen_cuts([0, 0, 9, 0, 0], 10)
    (2, 3)

    Args:
        counts: ``(fine bins,)`` of the reference, as :class:`~geoml_ops.domain.sketch.Sketch` counts them.
        n_bins: how many are wanted, >= 2.

    Raises:
        BadInput: counts that are none, or fewer than two bins wanted.
    """
    fine = _counted(counts)
    if fine.ndim != 1 or not fine.sum() > 0 or n_bins < 2:
        raise BadInput(f"Counts of shape {fine.shape} do not make {n_bins} bins.", "freeze the bins of a reference")
    upto = np.cumsum(fine) / fine.sum()
    wanted = np.arange(1, n_bins) / n_bins
    place = np.searchsorted(upto, wanted * (1 - 1e-12))
    before = np.where(place > 0, upto[place - 1], 0.0)
    cuts = place + (upto[place] - wanted < wanted - before)
    return tuple(sorted({int(cut) for cut in cuts if 0 < cut < fine.size}))


def joined(counts: ArrayLike, cuts: tuple[int, ...]) -> Floats:
    """Returns counts ``(…, len(cuts) + 1)`` of frozen bins from counts ``(…, fine bins)``."""
    return np.asarray(np.add.reduceat(_counted(counts), (0, *cuts), axis=-1), dtype=np.float64)


def frozen_edges(sample: ArrayLike, n_bins: int = FROZEN_BINS) -> tuple[float, ...]:
    """Returns the inner edges of open-ended bins that each hold about ``1 / n_bins`` of a reference sample.

    Edges lie midway between neighbouring numbers; otherwise as :func:`frozen_cuts`.

    >>> frozen_edges([1, 2, 3, 4], 2)
    (2.5,)

    Raises:
        BadInput: no sample of finite numbers, or fewer than two bins wanted.
    """
    values = np.asarray(sample, dtype=np.float64).ravel()
    if not values.size or not np.isfinite(values).all():
        raise BadInput(f"{values.size} numbers, not all finite, make no bins.", "freeze the bins of a reference")
    numbers, counts = np.unique(values, return_counts=True)
    # One empty place on either side, for a cut below the least number or above the greatest.
    cuts = np.array(frozen_cuts([0, *counts.tolist(), 0], n_bins)) - 1
    outer = np.concatenate([[np.nextafter(numbers[0], -np.inf)], numbers, [np.nextafter(numbers[-1], np.inf)]])
    middles = outer[:-1] / 2 + outer[1:] / 2
    middles[[0, -1]] = numbers[0], outer[-1]
    return tuple(middles[cuts].tolist())


def counted(sample: ArrayLike, edges: tuple[float, ...]) -> NDArray[np.int64]:
    """Returns how many numbers lie in each open-ended bin, ``(len(edges) + 1,)``; one on an edge lies above it.

    Numbers that are not finite are not counted.
    """
    values = np.asarray(sample, dtype=np.float64).ravel()
    found = np.searchsorted(edges, values[np.isfinite(values)], side="right")
    return np.bincount(found, minlength=len(edges) + 1).astype(np.int64)


def jensen_shannon(reference: ArrayLike, current: ArrayLike, pseudo_count: float = PSEUDO_COUNT) -> Floats:
    """Returns the Jensen-Shannon distance to base 2, ``(…)``, from 0 (alike) to 1 (nothing in common).

    The square root of ``(KL(p, m) + KL(q, m)) / 2`` in bits with ``m = (p + q) / 2`` (Lin 1991; Endres and Schindelin
    2003). The pseudo-count is added once to every one of the ``B`` bins, of the reference and of the current alike:
    ``p_b = (n_b + .5) / (n + .5 B)``. With 0 the shares are plain. Symmetric; joining bins never raises it when
    nothing is added.

    Args:
        reference: ``(…, bins)`` counts >= 0 in frozen bins; shapes are broadcast.
        current: ``(…, bins)`` counts in the same bins.
        pseudo_count: >= 0, in the unit of the counts.

    Returns:
        NaN where either side has no count at all.

    Raises:
        BadInput: other bins, or counts that are none.
    """
    p, q = _shares(reference, current, pseudo_count)
    middle = (p + q) / 2
    bits = sum(
        (np.where(one > 0, one * np.log2(np.where(one > 0, one / np.where(middle > 0, middle, 1), 1)), 0)).sum(axis=-1)
        for one in (p, q)
    )
    return np.asarray(_known(np.sqrt(np.clip(bits / 2, 0, 1)), reference, current), dtype=np.float64)


def stability_index(reference: ArrayLike, current: ArrayLike, pseudo_count: float = PSEUDO_COUNT) -> Floats:
    """Returns the population stability index ``sum (q - p) ln(q / p)``, ``(…)``, >= 0, to be shown and not judged by.

    Shares, shapes and pseudo-count as in :func:`jensen_shannon`; infinite where a bin is empty on one side only and
    nothing is added. What it is without any drift see :func:`idle_stability`: usual limits of .1 and .25 forget it.

    Raises:
        BadInput: other bins, or counts that are none.
    """
    p, q = _shares(reference, current, pseudo_count)
    either = (p > 0) | (q > 0)
    with np.errstate(divide="ignore"):
        terms = (q - p) * (np.log(np.where(either, q, 1)) - np.log(np.where(either, p, 1)))
    return np.asarray(_known(np.maximum(terms.sum(axis=-1), 0), reference, current), dtype=np.float64)


def idle_stability(n_bins: int, n_reference: float, n_current: float) -> float:
    """Returns the stability index to expect of two samples of one distribution: ``(B - 1)(1 / n + 1 / m)``.

    Args:
        n_bins: ``B``.
        n_reference: independent samples, > 0; pixels of one scene are worth far fewer than they are.
        n_current: likewise.
    """
    return (n_bins - 1) * (1 / n_reference + 1 / n_current)


def total_variation(reference: ArrayLike, current: ArrayLike) -> Floats:
    """Returns ``sum |p - q| / 2`` of shares, ``(…)``, from 0 to 1: the share that would have to change its class.

    Args:
        reference: ``(…, classes)`` counts or shares; nothing is added to them.
        current: ``(…, classes)`` likewise; shapes are broadcast.

    Returns:
        NaN where either side counts nothing.

    Raises:
        BadInput: other classes, or counts that are none.
    """
    p, q = _shares(reference, current, 0.0)
    return np.asarray(_known(np.abs(p - q).sum(axis=-1) / 2, reference, current), dtype=np.float64)


def largest_change(reference: ArrayLike, current: ArrayLike) -> tuple[Floats, NDArray[np.int64]]:
    """Returns the largest change of a share, ``(…)`` signed from -1 to 1, and whose it is, ``(…)`` codes.

    Of equal ones the first counts. Arguments and refusals as in :func:`total_variation`; NaN, of code -1, where either
    side counts nothing.
    """
    p, q = _shares(reference, current, 0.0)
    codes = np.argmax(np.abs(q - p), axis=-1)
    change = np.take_along_axis(q - p, codes[..., np.newaxis], axis=-1)[..., 0]
    change = _known(change, reference, current)
    return np.asarray(change, dtype=np.float64), np.where(np.isnan(change), -1, codes).astype(np.int64)


def _shares(reference: ArrayLike, current: ArrayLike, pseudo_count: float) -> tuple[Floats, Floats]:
    before, now = _counted(reference), _counted(current)
    if before.shape[-1] != now.shape[-1] or not 0 <= pseudo_count < np.inf:
        raise BadInput(
            f"{before.shape[-1]} and {now.shape[-1]} counts with {pseudo_count:g} added to each do not compare.",
            "count both in the same frozen bins",
        )
    before, now = np.broadcast_arrays(before + pseudo_count, now + pseudo_count)
    totals = [np.maximum(counts.sum(axis=-1, keepdims=True), np.finfo(float).tiny) for counts in (before, now)]
    return before / totals[0], now / totals[1]


def _known(values: Floats, reference: ArrayLike, current: ArrayLike) -> Floats:
    some = (np.asarray(reference).sum(axis=-1) > 0) & (np.asarray(current).sum(axis=-1) > 0)
    return np.where(some, values, np.nan)


def _counted(counts: ArrayLike) -> Floats:
    found = np.asarray(counts, dtype=np.float64)
    if not found.ndim or not found.shape[-1] or not (np.isfinite(found) & (found >= 0)).all():
        raise BadInput(f"Counts of shape {found.shape} are empty, negative or not finite.", "count observed pixels")
    return found
