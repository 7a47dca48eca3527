"""Pooled scores with block intervals, and what those intervals cost: design effect and effective number of samples.

Pooled means: the answers of all folds are counted together, once, over one class list. A fold that
lacks a class then changes nothing; means of per-fold scores would.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from geoml_ops.core.errors import BadInput
from geoml_ops.core.evidence import Score
from geoml_ops.domain.scoring.counts import (
    MEASURES,
    Codes,
    block_confusions,
    class_f1,
    class_measure,
    numerator_denominator,
    parts,
)
from geoml_ops.domain.scoring.intervals import bootstrap_interval, drawn_sums, levels, never_wrong, ratio_interval

FEWEST_EFFECTIVE = 2.0


def scores_of(codes: Codes, predicted: Codes, block: Codes, n_classes: int, seed: int = 0) -> dict[str, Score]:
    """Returns overall accuracy and macro F1 of pooled answers, each with its 95 % block interval.

    Args:
        codes: ``(n,)`` true class codes.
        predicted: ``(n,)`` answered class codes; leave out samples that no fold tested.
        block: ``(n,)`` number of the block of each sample.
        n_classes: length of the fixed class list.
        seed: of the bootstrap.

    Raises:
        BadInput: fewer than two blocks hold samples, or a code is not in the class list.
    """
    counts = block_confusions(codes, predicted, block, n_classes)
    sizes = counts.sum(axis=(1, 2)).astype(np.float64)
    hits = np.trace(counts, axis1=1, axis2=2).astype(np.float64)
    accuracy, accuracy_error = ratio_interval(hits, sizes)
    f1, f1_error = bootstrap_interval([counts], "macro_f1", seed=seed)
    whole, n = counts.sum(axis=0), len(codes)
    return {
        "overall_accuracy": _finished(accuracy, accuracy_error, accuracy.value * (1 - accuracy.value) / n, n),
        "macro_f1": _finished(f1, f1_error, _independent_macro_f1(whole), n),
    }


def per_class_scores(
    codes: Codes, predicted: Codes, block: Codes, classes: Sequence[str], seed: int = 0
) -> dict[str, dict[str, Score]]:
    """Returns per class F1, user's and producer's accuracy and IoU, each with its 95 % block interval.

    The blocks are drawn once for all classes and measures. The interval is as wide as the blocks behind
    the measure ask for: their effective number is ``(sum d)^2 / sum d^2`` of what it divides by in each
    block (Kish 1965); where that is below two, one block decides and the interval is 0 to 1. ``n_blocks``
    counts the blocks that hold the class. A measure that is undefined has no entry, nor has a class without any.

    Args:
        codes: ``(n,)`` true class codes, positions in ``classes``.
        predicted: ``(n,)`` answered class codes; leave out samples that no fold tested.
        block: ``(n,)`` number of the block of each sample.
        classes: the fixed class list.
        seed: of the bootstrap.

    Raises:
        BadInput: fewer than two blocks hold samples, a code is not in the class list, or a name occurs twice.
    """
    if len(set(classes)) != len(classes):
        raise BadInput(f"The class list names a class twice: {', '.join(classes)}.", "give every class its own name")
    counts = block_confusions(codes, predicted, block, len(classes))
    if len(counts) < 2:
        raise BadInput(f"{len(counts)} block gives no interval.", "use smaller blocks or labels of more ground")
    found: dict[str, dict[str, Score]] = {}
    halves = [half for measure in MEASURES for half in numerator_denominator(counts, measure)]
    drawn = drawn_sums(halves, seed)
    for position, measure in enumerate(MEASURES):
        values, independent, n_behind = _pooled(counts.sum(axis=0), measure)
        sums, divisors = drawn[2 * position : 2 * position + 2]
        for code in np.flatnonzero(np.isfinite(values)).tolist():
            seen = divisors[:, code] > 0
            spread = sums[seen, code] / divisors[seen, code]
            score, error = _bounded(float(values[code]), spread, halves[2 * position + 1][:, code])
            finished = _finished(score, error, float(independent[code]), int(n_behind[code]))
            found.setdefault(classes[code], {})[measure] = finished
    return {name: found[name] for name in classes if name in found}


def _pooled(
    counts: NDArray[np.int64], measure: str
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Returns a measure per class, its variance for independent samples, and the samples it divides by.

    The variance is that of a ratio of totals over samples (Cochran 1977, chapter 2),
    ``sum (a - R b)^2 / (sum b)^2``; for user's accuracy it is ``U (1 - U) / n``.
    """
    (hits, missed, false), w = parts(counts), MEASURES[measure]
    values, divisor = class_measure(counts, measure), numerator_denominator(counts, measure)[1]
    squares = (w.right - values * w.hit) ** 2 * hits
    squares += values**2 * (w.missed**2 * missed + w.false**2 * false)
    n_behind = hits + missed * (w.missed > 0) + false * (w.false > 0)
    return values, squares / np.maximum(divisor, 1) ** 2, n_behind


def _bounded(value: float, spread: NDArray[np.float64], behind: NDArray[np.float64]) -> tuple[Score, float]:
    n_blocks = int((behind > 0).sum())
    effective = float(behind.sum() ** 2 / np.square(behind).sum())
    if effective < FEWEST_EFFECTIVE:
        return Score(value=value, low=0.0, high=1.0, n_blocks=n_blocks), 0.0
    low, high = np.quantile(spread, levels(effective))
    score = Score(value=value, low=min(float(low), value), high=max(float(high), value), n_blocks=n_blocks)
    return score, float(spread.std(ddof=1))


def _independent_macro_f1(counts: NDArray[np.int64]) -> float:
    """Returns the variance of macro F1 if every sample were independent (linearised, one term per sample)."""
    f1, sizes = class_f1(counts), counts.sum(axis=0) + counts.sum(axis=1)
    known = np.isfinite(f1)
    share = np.where(known, 1 / np.maximum(sizes, 1), 0.0) / max(int(known.sum()), 1)
    wrong = np.where(known, f1, 0.0) * share
    term = -(wrong[:, None] + wrong[None, :])
    np.fill_diagonal(term, 2 * share - 2 * wrong)
    return float((counts * term**2).sum())


def _finished(score: Score, error: float, independent: float, n_samples: int) -> Score:
    """Returns a share with bounds inside 0 to 1, never of no width at 0 or 1, and with its design effect."""
    low, high = max(score.low, 0.0), min(score.high, 1.0)
    if score.value >= 1.0:
        low = min(low, never_wrong(score.n_blocks))
    if score.value <= 0.0:
        high = max(high, 1.0 - never_wrong(score.n_blocks))
    known = error > 0 and independent > 0
    effect = error**2 / independent if known else None
    return Score(
        value=min(max(score.value, 0.0), 1.0),
        low=low,
        high=high,
        n_blocks=score.n_blocks,
        design_effect=effect,
        n_effective=None if effect is None else n_samples / effect,
    )
