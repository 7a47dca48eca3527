"""Whether probabilities mean what they say, asked of out-of-fold answers only.

Bins hold the probability of the answered class in ``(low, high]``; the first one also holds 0. Libraries
differ in which edge belongs to a bin, and a forest's probabilities lie on edges, so it is said here and
stored with every bin. Answers of random folds look less sure than they are on a map, and answers to
training samples far surer: give answers of spatial folds, and leave out samples that no fold tested.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from geoml_ops.core.errors import BadInput
from geoml_ops.core.evidence import Bin, Score
from geoml_ops.domain.scoring.counts import Codes, check_answers, check_lengths
from geoml_ops.domain.scoring.intervals import drawn_sums, ratio_interval

BINS = 15
Probability = NDArray[np.float64]
Weight = NDArray[np.float64]


def reliability(
    codes: Codes, probability: Probability, bins: int = BINS, *, adaptive: bool = False, weight: Weight | None = None
) -> tuple[Bin, ...]:
    """Returns the bins of a reliability diagram that hold answers, lowest first.

    Args:
        codes: ``(n,)`` true class codes.
        probability: ``(n, classes)`` of each class; the largest is the confidence, the first of equals the answer.
        bins: how many; of equal width, or of about equal numbers of answers.
        adaptive: whether bins hold equal numbers; equal confidences stay in one bin, so there may be fewer.
        weight: ``(n,)`` ground that each sample stands for, >= 0; None for all alike. Shares inside a bin
            are weighted, ``n`` counts samples.

    Raises:
        BadInput: no samples, probabilities that are none, or weights that are negative or all 0.
    """
    confidence, right = _answered(codes, probability)
    edges, number, mass = _binned(confidence, bins, adaptive, weight)
    said, was = (np.bincount(number, mass * values, len(edges) - 1) for values in (confidence, right))
    n, total = np.bincount(number, minlength=len(edges) - 1), np.bincount(number, mass, len(edges) - 1)
    return tuple(
        Bin(
            low=float(edges[b]),
            high=float(edges[b + 1]),
            n=int(n[b]),
            confidence=float(said[b] / total[b]),
            accuracy=float(was[b] / total[b]),
        )
        for b in np.flatnonzero(total > 0)
    )


def ece(
    codes: Codes,
    probability: Probability,
    block: Codes,
    *,
    bins: int = BINS,
    adaptive: bool = False,
    weight: Weight | None = None,
    seed: int = 0,
) -> Score:
    """Returns the expected calibration error with its 95 % block interval.

    ``sum over bins of share * |accuracy - confidence|`` (Naeini et al. 2015), 0 to 1. An absolute value
    never averages out, so the number from a sample is too high, most of all near 0; by how much shows in the
    bootstrap, whose draws are too high once more. The interval is ``t`` times the standard error
    (``B - 1`` degrees), its lower end moved down by twice that excess.

    Args:
        codes: ``(n,)`` true class codes.
        probability: ``(n, classes)``.
        block: ``(n,)`` number of the block of each sample.
        bins: as in :func:`reliability`.
        adaptive: as in :func:`reliability`.
        weight: as in :func:`reliability`.
        seed: of the bootstrap.

    Raises:
        BadInput: as in :func:`reliability`, or fewer than two blocks.
    """
    confidence, right = _answered(codes, probability)
    edges, number, mass = _binned(confidence, bins, adaptive, weight)
    gaps, sizes = _per_block(block, number, mass * (right - confidence), mass, len(edges) - 1)
    n_blocks = len(sizes)
    if n_blocks < 2:
        raise BadInput(f"{n_blocks} block gives no interval.", "use smaller blocks or labels of more ground")
    value = float(np.abs(gaps.sum(axis=0)).sum() / sizes.sum())
    drawn_gaps, drawn_sizes = drawn_sums([gaps, sizes], seed)
    seen = drawn_sizes > 0
    spread = np.abs(drawn_gaps[seen]).sum(axis=1) / drawn_sizes[seen]
    half = float(stats.t.ppf(0.975, n_blocks - 1) * spread.std(ddof=1))
    excess = max(float(spread.mean()) - value, 0.0)
    return Score(value=value, low=max(value - half - 2 * excess, 0.0), high=min(value + half, 1.0), n_blocks=n_blocks)


def brier_score(codes: Codes, probability: Probability, block: Codes) -> Score:
    """Returns the Brier score, ``mean of sum over classes (p - is)^2``, 0 to 2, with its 95 % block interval.

    A mean over samples, so the interval is that of the ratio estimator (Brier 1950; Cochran 1977).

    Raises:
        BadInput: no samples, probabilities that are none, or fewer than two blocks.
    """
    _answered(codes, probability)
    check_lengths(codes, block)
    wrong = np.square(probability - np.eye(probability.shape[1])[codes]).sum(axis=1)
    number = np.unique(block, return_inverse=True)[1].reshape(-1)
    score, error = ratio_interval(np.bincount(number, wrong).astype(np.float64), np.bincount(number).astype(np.float64))
    independent = float(np.square(wrong - wrong.mean()).sum()) / len(wrong) ** 2
    effect = error**2 / independent if error > 0 and independent > 0 else None
    return score.model_copy(
        update={
            "low": max(score.low, 0.0),
            "high": min(score.high, 2.0),
            "design_effect": effect,
            "n_effective": None if effect is None else len(wrong) / effect,
        }
    )


def area_weights(predicted: Codes, shares: Mapping[int, float]) -> Weight:
    """Returns how much ground each sample stands for, ``(n,)``, mean 1: the map's class shares over the sample's.

    Args:
        predicted: ``(n,)`` answered class codes.
        shares: class code to its share of the map, > 0 for every class that is answered.

    Raises:
        BadInput: an answered class has no share of the map.
    """
    present, number, n = np.unique(predicted, return_inverse=True, return_counts=True)
    absent = [int(code) for code in present if not shares.get(int(code), 0.0) > 0]
    if absent:
        raise BadInput(f"Classes {absent} are answered but have no share of the map.", "give the shares of all classes")
    raw = np.array([shares[int(code)] for code in present]) / n
    weight = raw[number.reshape(-1)]
    return np.asarray(weight / weight.mean(), dtype=np.float64)


def _answered(codes: Codes, probability: Probability) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Returns the confidence of each answer and whether it is right (1.0 or 0.0), each ``(n,)``."""
    if probability.ndim != 2 or not len(codes):
        raise BadInput(f"{len(codes)} samples with probabilities {probability.shape}.", "give one row for each sample")
    check_lengths(codes, probability)
    silent = int((~np.isfinite(probability).all(axis=1)).sum())
    if silent:
        raise BadInput(
            f"{silent} of {len(codes)} samples have no probabilities.", "leave out samples that no fold tested"
        )
    if probability.min() < -1e-6 or probability.max() > 1 + 1e-6:
        raise BadInput(f"Probabilities reach from {probability.min():g} to {probability.max():g}.", "give 0 to 1")
    predicted = probability.argmax(axis=1)
    check_answers(codes, predicted, probability.shape[1])
    confidence = np.clip(probability.max(axis=1).astype(np.float64), 0.0, 1.0)
    return confidence, np.asarray(predicted == codes, dtype=np.float64)


def _binned(
    confidence: NDArray[np.float64], bins: int, adaptive: bool, weight: Weight | None
) -> tuple[NDArray[np.float64], Codes, NDArray[np.float64]]:
    """Returns bin edges, the bin of each answer and its weight."""
    if bins < 1:
        raise BadInput(f"{bins} bins hold nothing.", "use 10 to 20")
    mass = np.ones(len(confidence)) if weight is None else np.asarray(weight, dtype=np.float64)
    check_lengths(confidence, mass)
    if not np.isfinite(mass).all() or mass.min() < 0 or not mass.sum() > 0:
        raise BadInput("Weights of samples are negative, missing or all 0.", "give the ground each sample stands for")
    # Quotients round to the number that is written 0.6, multiples of 1/15 do not.
    inner = np.arange(1, bins) / bins
    if adaptive:
        inner = np.unique(np.quantile(confidence, inner, method="inverted_cdf"))
        inner = inner[(inner > 0) & (inner < 1)]
    edges = np.concatenate([[0.0], inner, [1.0]])
    return edges, np.searchsorted(inner, confidence, side="left"), mass


def _per_block(
    block: Codes, number: Codes, gap: NDArray[np.float64], mass: NDArray[np.float64], bins: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Returns sums of gaps ``(blocks, bins)`` and of weights ``(blocks,)``."""
    check_lengths(number, block)
    found, place = np.unique(block, return_inverse=True)
    place = place.reshape(-1)
    gaps = np.bincount(place * bins + number, gap, len(found) * bins).reshape(len(found), bins)
    return gaps.astype(np.float64), np.bincount(place, mass, len(found)).astype(np.float64)
