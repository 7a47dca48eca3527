"""Intervals from blocks of ground, never from pixels: the ratio estimator, and the bootstrap of blocks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from geoml_ops.core.errors import BadInput
from geoml_ops.core.evidence import Score
from geoml_ops.domain.scoring.counts import metric_of

DRAWS = 2000
FEW_BLOCKS = 20
_AT_ONCE = 4_000_000


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
    _several(n)
    ratio = float(totals.sum() / sizes.sum())
    error = float(np.sqrt(n / (n - 1) * np.square(totals - ratio * sizes).sum()) / sizes.sum())
    half = float(stats.t.ppf((1 + confidence) / 2, n - 1)) * error
    return Score(value=ratio, low=ratio - half, high=ratio + half, n_blocks=n), error


def block_draws(n_blocks: int, seed: int, draws: int = DRAWS) -> NDArray[np.float64]:
    """Returns how often each block is drawn in each bootstrap sample of blocks, ``(draws, blocks)``."""
    rng = np.random.default_rng(seed)
    return rng.multinomial(n_blocks, np.full(n_blocks, 1 / n_blocks), size=draws).astype(np.float64)


def drawn_sums(per_block: Sequence[NDArray[np.generic]], seed: int, draws: int = DRAWS) -> list[NDArray[np.float64]]:
    """Returns sums over the blocks of each bootstrap sample, ``(draws, …)`` for every ``(blocks, …)`` given.

    All of them see the same draws, those of :func:`block_draws`; few are in memory at once.
    """
    n = len(per_block[0])
    flat = [np.asarray(array, dtype=np.float64).reshape(n, -1) for array in per_block]
    sums: list[list[NDArray[np.float64]]] = [[] for _ in flat]
    for drawn in _draws_in_parts(n, seed, draws):
        for array, found in zip(flat, sums, strict=True):
            found.append(drawn @ array)
    return [np.concatenate(s).reshape(draws, *np.shape(a)[1:]) for s, a in zip(sums, per_block, strict=True)]


def _draws_in_parts(n_blocks: int, seed: int, draws: int) -> Iterator[NDArray[np.float64]]:
    rng, shares = np.random.default_rng(seed), np.full(n_blocks, 1 / n_blocks)
    step = max(1, _AT_ONCE // n_blocks)
    for first in range(0, draws, step):
        yield rng.multinomial(n_blocks, shares, size=min(step, draws - first)).astype(np.float64)


def levels(n_blocks: float, confidence: float = 0.95) -> tuple[float, float]:
    """Returns which quantiles of the bootstrap bound an interval (expanded percentiles, Hesterberg 2015).

    Plain percentiles are too narrow for few blocks, twice: the bootstrap's variance is ``(B - 1) / B`` of
    what it should be, and it knows no Student's t. ``Phi(-sqrt(B / (B - 1)) t)`` makes up for both.
    """
    spread = np.sqrt(n_blocks / (n_blocks - 1)) * stats.t.ppf((1 + confidence) / 2, n_blocks - 1)
    return float(stats.norm.cdf(-spread)), float(stats.norm.cdf(spread))


def bootstrap_interval(
    per_block: Sequence[NDArray[np.int64]], metric: str, *, seed: int = 0, confidence: float = 0.95
) -> tuple[Score, float]:
    """Returns a metric, or the difference of two, with its percentile interval, and its standard error.

    Whole blocks are drawn with replacement (block bootstrap, Efron and Tibshirani 1993), percentiles are
    expanded as in :func:`levels`; the two members of a difference see the same draws.

    Args:
        per_block: one array of counts ``(blocks, true, predicted)``, or two for first minus second.
        metric: one of :data:`METRICS`.
        seed: of the draws.
        confidence: of the two-sided interval.

    Raises:
        BadInput: fewer than two blocks, or an unknown metric.
    """
    n = len(per_block[0])
    _several(n)
    signs = (1.0, -1.0)[: len(per_block)]
    value = sum(s * float(metric_of(c.sum(axis=0), metric)) for s, c in zip(signs, per_block, strict=True))
    drawn = drawn_sums(per_block, seed)
    spread = sum(sign * metric_of(counts, metric) for sign, counts in zip(signs, drawn, strict=True))
    low, high = np.quantile(spread, levels(n, confidence))
    return Score(value=value, low=float(low), high=float(high), n_blocks=n), float(np.std(spread, ddof=1))


def _several(n_blocks: int) -> None:
    if n_blocks < 2:
        raise BadInput(f"{n_blocks} block gives no interval.", "use smaller blocks or labels of more ground")


def never_wrong(n_blocks: int, confidence: float = 0.95) -> float:
    """Returns the lower bound of a share that was 1 in every one of ``n_blocks`` blocks.

    Whatever varies between 0 and 1 and has mean ``p`` is 1 in all of ``B`` independent blocks with a
    probability of at most ``p^B``; the bound is where that equals ``(1 - confidence) / 2``, as for ``B``
    successes in ``B`` trials (Clopper and Pearson 1934). Blocks that all agree prove no certainty.
    """
    return float(((1 - confidence) / 2) ** (1 / n_blocks))


def caution(n_blocks: int) -> str:
    """Returns a sentence where an interval stands on few blocks, otherwise an empty one."""
    if n_blocks >= FEW_BLOCKS:
        return ""
    return f"The interval stands on {n_blocks} blocks; with fewer than {FEW_BLOCKS} it is itself uncertain."
