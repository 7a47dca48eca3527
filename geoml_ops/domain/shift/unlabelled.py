"""How good answers are where nobody has looked: estimates from how sure the model is, with intervals from scenes.

All of them rest on what is known of held-out answers, which must come from **spatial** folds: answers of random folds,
and of training samples, are sure and right for reasons that do not hold elsewhere. Under covariate shift CBPE is right
as long as an answer of some confidence is right as often as before, DoC where confidence is calibrated besides. ATC
keeps one threshold and is no more than a second opinion: on ground that is harder and known to be, it says too little.
All are **blind to concept change**: where a class began to look like another one, the model is wrong, sure of it, and
every number here stays high. They say when to look (a stratified sample of labels), never what a gate should believe.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from geoml_ops.core.errors import BadInput
from geoml_ops.core.evidence import Score
from geoml_ops.domain.scoring import DRAWS, caution, drawn_sums
from geoml_ops.domain.shift.intervals import score_of
from geoml_ops.domain.sketch import CONFIDENCE_BINS

Floats = NDArray[np.float64]
#: Share of current answers of unheard-of confidence beyond which a sentence says so.
MOST_UNSEEN = 0.05
Method = Literal["CBPE", "ATC", "DoC"]


@dataclass(frozen=True)
class Held:
    """Held-out answers by confidence and how many were right, both ``(blocks, bins)``; bins are even from 0 to 1.

    Raises:
        BadInput: other shapes, negative counts, more right ones than there are, or none at all.
    """

    n: Floats
    right: Floats

    def __post_init__(self) -> None:
        shapes = np.shape(self.n), np.shape(self.right)
        if len(shapes[0]) != 2 or shapes[0] != shapes[1] or not (self._in_order() and self.n.sum() > 0):
            raise BadInput(f"Counts of shapes {shapes[0]} and {shapes[1]} are not those of held-out answers.")

    def _in_order(self) -> bool:
        return bool(((self.right >= 0) & (self.right <= self.n) & np.isfinite(self.n)).all())

    @property
    def n_bins(self) -> int:
        """Bins of confidence."""
        return int(self.n.shape[1])


@dataclass(frozen=True)
class Estimated:
    """Accuracy that nobody measured.

    Attributes:
        method: how.
        accuracy: share of right answers (0 to 1), with its interval.
        held: accuracy of the held-out answers (0 to 1).
        f1: of each class; empty where only confidence is known, None for a class that is not expected anywhere.
        unseen_share: of the current answers, in bins of confidence without any held-out answer (0 to 1); there the
            nearest bins speak.
        caution: what to bear in mind; may be empty.
    """

    method: Method
    accuracy: Score
    held: float | None = None
    f1: tuple[Score | None, ...] = ()
    unseen_share: float = 0.0
    caution: str = ""


def confidence_counts(confidence: ArrayLike, bins: int = CONFIDENCE_BINS) -> NDArray[np.int64]:
    """Returns answers by confidence, ``(bins,)``, as a :class:`~geoml_ops.domain.sketch.Tally` counts them.

    A bin holds its lower edge, the last one 1 too; NaN is not counted.
    """
    return np.bincount(_bin_of(_confidences(confidence, nan=True), bins), minlength=bins + 1)[:bins].astype(np.int64)


def held_out(confidence: ArrayLike, right: ArrayLike, block: ArrayLike, bins: int = CONFIDENCE_BINS) -> Held:
    """Returns what held-out answers say of confidence.

    Args:
        confidence: ``(n,)`` probability of the answered class, 0 to 1, from spatial folds and as the service gives it.
        right: ``(n,)`` whether the answer is true.
        block: ``(n,)`` in which block (or scene) each sample lies.
        bins: 20 to go with tallies; more (1,000) where single confidences are known.

    Raises:
        BadInput: columns of other lengths, none at all, or confidences that are none.
    """
    sure, true = _confidences(confidence), np.asarray(right, dtype=bool).ravel()
    units, number = np.unique(np.asarray(block).ravel(), return_inverse=True)
    if not sure.size or not sure.size == true.size == number.size:
        raise BadInput(f"{sure.size} confidences, {true.size} truths and {number.size} blocks do not belong together.")
    cell, size = number.reshape(-1) * bins + _bin_of(sure, bins), len(units) * bins
    n, hits = np.bincount(cell, minlength=size), np.bincount(cell, true, size)
    return Held(*(counts.reshape(-1, bins).astype(np.float64) for counts in (n, hits)))


def cbpe_accuracy(n_held: Floats, right: Floats, n_now: Floats) -> Floats:
    """Returns ``sum n_b a_b / sum n_b``, ``(…)``: as accurate as held-out answers of the same confidence were.

    Confidence-based performance estimation with histogram binning (Zadrozny and Elkan 2001) as its calibration:
    ``a_b`` is the share of right ones among held-out answers in bin ``b``. Bins without any take it from the nearest
    bins, straight between two of them.

    Args:
        n_held: ``(…, bins)`` held-out answers by confidence.
        right: ``(…, bins)`` right ones of them.
        n_now: ``(…, bins)`` current answers; shapes are broadcast.
    """
    share = np.divide(right, n_held, out=np.full(np.shape(n_held), np.nan), where=np.asarray(n_held) > 0)
    return _per(np.sum(_filled(share) * n_now, axis=-1), n_now)


def atc_accuracy(n_held: Floats, right: Floats, n_now: Floats) -> Floats:
    """Returns the share of answers at least as sure as ``t``, ``(…)``, where ``t`` cuts off the held-out errors.

    Average thresholded confidence with the maximum confidence (ATC-MC; Garg and others 2022): ``t`` such that
    ``mean(conf_held < t)`` is the held-out error rate, estimate ``mean(conf_now >= t)``. Of a bin that ``t`` falls
    into, the same part counts as below on both sides, so that held-out answers always get their own accuracy,
    ties or not. Where several ``t`` do, it is the largest. Arguments as in :func:`cbpe_accuracy`.
    """
    share_held, share_now = (counts / np.maximum(_total(counts), 1e-300) for counts in (n_held, n_now))
    error = 1 - _per(right.sum(axis=-1), n_held)[..., np.newaxis]
    upto = np.cumsum(share_held, axis=-1)
    reached = (upto <= error + 1e-12).sum(axis=-1, keepdims=True)
    at = np.minimum(reached, share_held.shape[-1] - 1)
    within = np.take_along_axis(share_held, at, axis=-1)
    part = (error - np.take_along_axis(upto, at, axis=-1) + within) / np.where(within > 0, within, 1)
    part = np.where(reached > at, 1.0, part)
    shape = np.broadcast_shapes(at.shape[:-1], share_now.shape[:-1])
    at, now = np.broadcast_to(at, (*shape, 1)), np.broadcast_to(share_now, (*shape, share_now.shape[-1]))
    inside = np.take_along_axis(now, at, axis=-1)
    below = np.take_along_axis(np.cumsum(now, axis=-1), at, axis=-1) - inside + np.clip(part, 0, 1) * inside
    return np.where(_total(n_now)[..., 0] > 0, np.clip(1 - below[..., 0], 0, 1), np.nan)


def doc_accuracy(n_held: Floats, right: Floats, n_now: Floats) -> Floats:
    """Returns the held-out accuracy less the fall of mean confidence, ``(…)``, within 0 to 1.

    Difference of confidences (Guillory and others 2021): ``acc_held - (mean conf_held - mean conf_now)``, where
    numbers of a bin stand in its middle. Arguments as in :func:`cbpe_accuracy`.
    """
    middles = (np.arange(n_held.shape[-1]) + 0.5) / n_held.shape[-1]
    before, now = (_per(counts @ middles, counts) for counts in (n_held, n_now))
    return np.clip(_per(right.sum(axis=-1), n_held) - (before - now), 0, 1)


ESTIMATORS: dict[Method, Callable[[Floats, Floats, Floats], Floats]] = {
    "CBPE": cbpe_accuracy,
    "ATC": atc_accuracy,
    "DoC": doc_accuracy,
}


def estimated_accuracy(
    held: Held,
    now: ArrayLike,
    method: Method = "CBPE",
    *,
    confidence: float = 0.95,
    draws: int = DRAWS,
    seed: int = 0,
) -> Estimated:
    """Returns the accuracy to expect of current answers, with an interval from blocks and scenes.

    Blocks of held-out answers and current scenes are drawn with replacement, both; percentiles are expanded for the
    fewer of the two. The interval is as right as the assumption that it stands on.

    Args:
        held: held-out answers of spatial folds.
        now: ``(scenes, bins)`` current answers by confidence, such as ``Tally.confidence`` of each scene.
        method: ``CBPE``, ``ATC`` or ``DoC``.
        confidence: of the two-sided interval.
        draws: bootstrap samples.
        seed: of the draws.

    Raises:
        BadInput: fewer than two blocks or scenes with answers, other bins, counts that are none, or another method.
    """
    counts = scenes_of(now, held.n_bins)
    if method not in ESTIMATORS:
        raise BadInput(f"There is no method {str(method)[:60]!r}.", f"use one of {', '.join(ESTIMATORS)}")
    some = held.n.sum(axis=1) > 0
    if some.sum() < 2:
        raise BadInput(f"{some.sum()} block of held-out answers gives no interval.", "use smaller blocks")
    estimator, total = ESTIMATORS[method], counts.sum(axis=0)
    n, right = held.n.sum(axis=0), held.right.sum(axis=0)
    drawn, hits = drawn_sums([held.n[some], held.right[some]], seed, draws)
    # Another stream: blocks and scenes are drawn independently.
    (current,) = drawn_sums([counts], seed + 1, draws)
    units = min(int(some.sum()), len(counts))
    score = score_of(float(estimator(n, right, total)), estimator(drawn, hits, current), units, confidence)
    unseen = float(total[n == 0].sum() / total.sum())
    said = " ".join(sentence for sentence in (_unseen(unseen), caution(units)) if sentence)
    return Estimated(method, score, float(right.sum() / n.sum()), unseen_share=unseen, caution=said)


def _unseen(share: float) -> str:
    if share <= MOST_UNSEEN:
        return ""
    return f"{share:.0%} of the answers are of a confidence that no held-out answer had; of those nothing is known."


def scenes_of(now: ArrayLike, n_cells: int) -> Floats:
    """Returns counts ``(scenes, cells)`` of scenes that hold any.

    Raises:
        BadInput: fewer than two of them, another number of cells, or counts that are none.
    """
    counts = np.asarray(now, dtype=np.float64)
    if counts.ndim != 2 or counts.shape[1] != n_cells or not (np.isfinite(counts) & (counts >= 0)).all():
        raise BadInput(f"Answers of shape {counts.shape} are not counts of scenes in {n_cells} cells each.")
    counts = np.asarray(counts[counts.sum(axis=1) > 0], dtype=np.float64)
    if len(counts) < 2:
        raise BadInput(f"{len(counts)} scene with answers gives no interval.", "wait for more scenes")
    return counts


def _confidences(confidence: ArrayLike, nan: bool = False) -> Floats:
    values = np.asarray(confidence, dtype=np.float64).ravel()
    strange = int((~((values >= 0) & (values <= 1)) & ~(nan & np.isnan(values))).sum())
    if strange:
        raise BadInput(f"{strange} of {values.size} confidences do not lie between 0 and 1.", "give probabilities")
    return values


def _bin_of(values: Floats, bins: int) -> NDArray[np.intp]:
    # As tallies reckon, in single precision, so that one confidence is in one bin wherever it is counted.
    place = np.minimum(values.astype(np.float32) * np.float32(bins), np.float32(bins - 1))
    return np.where(np.isnan(place), bins, np.nan_to_num(place)).astype(np.intp)


def _filled(share: Floats) -> Floats:
    """Returns shares ``(…, bins)`` with those that are missing taken from the nearest, straight between two."""
    rows, place = share.reshape(-1, share.shape[-1]).copy(), np.arange(share.shape[-1])
    missing = np.isnan(rows)
    for number in np.flatnonzero(missing.any(axis=1) & ~missing.all(axis=1)):
        gap = missing[number]
        rows[number, gap] = np.interp(place[gap], place[~gap], rows[number, ~gap])
    return rows.reshape(share.shape)


def _total(counts: Floats) -> Floats:
    return np.asarray(counts.sum(axis=-1, keepdims=True), dtype=np.float64)


def _per(above: Floats, counts: Floats) -> Floats:
    total = np.asarray(counts.sum(axis=-1), dtype=np.float64)
    above, total = np.broadcast_arrays(above, total)
    return np.asarray(np.divide(above, total, out=np.full(total.shape, np.nan), where=total > 0), dtype=np.float64)
