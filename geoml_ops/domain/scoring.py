"""How good pooled out-of-fold answers are, with intervals from blocks and never from pixels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from geoml_ops.core.errors import BadInput
from geoml_ops.core.evidence import Score

Codes = NDArray[np.int64]
METRICS = ("overall_accuracy", "macro_f1")
DRAWS = 2000
FEW_BLOCKS = 20


def confusion(codes: Codes, predicted: Codes, n_classes: int) -> NDArray[np.int64]:
    """Returns counts ``(true, predicted)`` over the fixed class list."""
    cells = np.bincount(codes * n_classes + predicted, minlength=n_classes**2)
    return np.asarray(cells.reshape(n_classes, n_classes), dtype=np.int64)


def class_f1(counts: NDArray[np.int64] | NDArray[np.float64]) -> NDArray[np.float64]:
    """Returns the F1 of each class from confusion counts ``(…, true, predicted)``.

    NaN for a class that is neither true nor predicted anywhere: it has no F1, and none is invented.
    """
    hits = np.diagonal(counts, axis1=-2, axis2=-1)
    sizes = counts.sum(axis=-1) + counts.sum(axis=-2)
    return np.asarray(np.where(sizes > 0, 2 * hits / np.maximum(sizes, 1), np.nan), dtype=np.float64)


def metric_of(counts: NDArray[np.int64] | NDArray[np.float64], metric: str) -> NDArray[np.float64]:
    """Returns a metric from confusion counts ``(…, true, predicted)``, shape ``(…)``.

    Raises:
        BadInput: the metric is not one of :data:`METRICS`.
    """
    if metric == "overall_accuracy":
        hits = np.trace(counts, axis1=-2, axis2=-1)
        return np.asarray(hits / np.maximum(counts.sum(axis=(-2, -1)), 1), dtype=np.float64)
    if metric == "macro_f1":
        return np.asarray(np.nanmean(class_f1(counts), axis=-1), dtype=np.float64)
    raise BadInput(f"There is no metric {metric[:60]!r}.", f"use one of {', '.join(METRICS)}")


def ratio_interval(
    totals: NDArray[np.float64], sizes: NDArray[np.float64], confidence: float = 0.95
) -> tuple[Score, float]:
    """Returns ``sum(totals) / sum(sizes)`` with its two-sided interval, and its standard error.

    The ratio estimator of a cluster sample (Cochran 1977, chapter 2): with blocks ``b``,
    ``V = B / (B - 1) * sum((x_b - p n_b)^2) / (sum n_b)^2`` and Student's t with ``B - 1`` degrees.

    Args:
        totals: ``(blocks,)`` sum of the quantity in each block.
        sizes: ``(blocks,)`` samples in each block, > 0.
        confidence: of the two-sided interval.

    Raises:
        BadInput: fewer than two blocks; no interval exists.
    """
    n = len(sizes)
    if n < 2:
        raise BadInput(f"{n} block gives no interval.", "use smaller blocks or labels of more ground")
    ratio = float(totals.sum() / sizes.sum())
    error = float(np.sqrt(n / (n - 1) * np.square(totals - ratio * sizes).sum()) / sizes.sum())
    half = float(stats.t.ppf((1 + confidence) / 2, n - 1)) * error
    return Score(value=ratio, low=ratio - half, high=ratio + half, n_blocks=n), error


def block_confusions(codes: Codes, predicted: Codes, block: Codes, n_classes: int) -> NDArray[np.int64]:
    """Returns confusion counts ``(blocks, true, predicted)`` of the blocks that hold samples."""
    number = np.unique(block, return_inverse=True)[1].reshape(-1)
    n_blocks = int(number.max()) + 1 if len(number) else 0
    cells = np.bincount((number * n_classes + codes) * n_classes + predicted, minlength=n_blocks * n_classes**2)
    return np.asarray(cells.reshape(n_blocks, n_classes, n_classes), dtype=np.int64)


def block_draws(n_blocks: int, seed: int, draws: int = DRAWS) -> NDArray[np.float64]:
    """Returns how often each block is drawn in each bootstrap sample of blocks, ``(draws, blocks)``."""
    rng = np.random.default_rng(seed)
    return rng.multinomial(n_blocks, np.full(n_blocks, 1 / n_blocks), size=draws).astype(np.float64)


def bootstrap_interval(
    per_block: Sequence[NDArray[np.int64]], metric: str, *, seed: int = 0, confidence: float = 0.95
) -> tuple[Score, float]:
    """Returns a metric, or the difference of two, with its percentile interval, and its standard error.

    Whole blocks are drawn with replacement (block bootstrap, Efron and Tibshirani 1993); the two
    members of a difference see the same draws.

    Args:
        per_block: one array of counts ``(blocks, true, predicted)``, or two for first minus second.
        metric: one of :data:`METRICS`.
        seed: of the draws.
        confidence: of the two-sided interval.

    Raises:
        BadInput: fewer than two blocks, or an unknown metric.
    """
    n = len(per_block[0])
    if n < 2:
        raise BadInput(f"{n} block gives no interval.", "use smaller blocks or labels of more ground")
    drawn = block_draws(n, seed)
    signs = (1.0, -1.0)[: len(per_block)]
    value = sum(s * float(metric_of(c.sum(axis=0), metric)) for s, c in zip(signs, per_block, strict=True))
    spread = np.zeros(len(drawn))
    for sign, counts in zip(signs, per_block, strict=True):
        spread += sign * metric_of(np.tensordot(drawn, counts.astype(np.float64), axes=1), metric)
    low, high = np.quantile(spread, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Score(value=value, low=float(low), high=float(high), n_blocks=n), float(spread.std(ddof=1))


def scores_of(codes: Codes, predicted: Codes, block: Codes, n_classes: int, seed: int = 0) -> dict[str, Score]:
    """Returns every metric of pooled answers with its 95 % block interval.

    Args:
        codes: ``(n,)`` true class codes.
        predicted: ``(n,)`` answered class codes.
        block: ``(n,)`` number of the block of each sample.
        n_classes: length of the fixed class list.
        seed: of the bootstrap.

    Raises:
        BadInput: fewer than two blocks hold samples.
    """
    counts = block_confusions(codes, predicted, block, n_classes)
    sizes = counts.sum(axis=(1, 2)).astype(np.float64)
    hits = np.trace(counts, axis1=1, axis2=2).astype(np.float64)
    return {
        "overall_accuracy": ratio_interval(hits, sizes)[0],
        "macro_f1": bootstrap_interval([counts], "macro_f1", seed=seed)[0],
    }


def caution(n_blocks: int) -> str:
    """Returns a sentence where an interval stands on few blocks, otherwise an empty one."""
    if n_blocks >= FEW_BLOCKS:
        return ""
    return f"The interval stands on {n_blocks} blocks; with fewer than {FEW_BLOCKS} it is itself uncertain."
