"""Sign flips of blocks: how often chance alone, swapping the two models' names, gives as large a difference.

Shown beside the gate's own test. Its hypothesis is stronger (in every block the two models are
exchangeable), and it needs neither Student's t nor a standard error (Pesarin and Salmaso 2010).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from geoml_ops.core.evidence import BesideTest
from geoml_ops.domain.gate.differences import ZERO, Counts
from geoml_ops.domain.scoring import metric_of

EXACT_BLOCKS = 12
FLIPS = 10_000
NAME = "block sign flips"
_AT_ONCE = 1000


def sign_flips(counts: Counts, metric: str, seed: int = 0) -> BesideTest:
    """Returns the permutation test in which whole blocks swap the two models' answers.

    All ``2^B`` swaps where at most 12 blocks differ at all, otherwise 10,000 random ones with the observed one
    among them (Phipson and Smyth 2010), so that p is never 0.

    Args:
        counts: ``(2, blocks, true, predicted)``, the challenger's and the other's.
        metric: one of :data:`geoml_ops.domain.scoring.METRICS`.
        seed: of the random flips.
    """
    unlike = (counts[0] != counts[1]).any(axis=(1, 2))
    gap = (counts[0] - counts[1])[unlike].astype(np.float64)
    total = counts.sum(axis=(0, 1)).astype(np.float64)
    n = len(gap)
    exact = n <= EXACT_BLOCKS
    observed = float(_differences(np.ones((1, n)), gap, total, metric)[0])
    as_large = drawn = 0
    for signs in _all_signs(n) if exact else _random_signs(n, seed):
        found = _differences(signs, gap, total, metric)
        as_large, drawn = as_large + int((found >= observed - ZERO).sum()), drawn + len(signs)
    p = as_large / drawn if exact else (as_large + 1) / (drawn + 1)
    how = f"all {drawn}" if exact else f"{drawn} random"
    return BesideTest(
        name=NAME,
        statistic=observed,
        p=p,
        sentence=f"Of {how} ways to swap the two models in {n} blocks that differ, {p:.2%} give a difference of "
        f"{observed:+.4f} or more.",
    )


def _differences(
    signs: NDArray[np.float64], gap: NDArray[np.float64], total: NDArray[np.float64], metric: str
) -> NDArray[np.float64]:
    """The metric's difference under signs ``(draws, blocks)``: swapped blocks hand their counts over."""
    moved = np.tensordot(signs, gap, axes=1)
    first, second = metric_of((total + moved) / 2, metric), metric_of((total - moved) / 2, metric)
    return np.asarray(first - second, dtype=np.float64)


def _all_signs(n: int) -> Iterator[NDArray[np.float64]]:
    bits = (np.arange(2**n)[:, None] >> np.arange(n)) & 1
    yield np.asarray(1.0 - 2.0 * bits, dtype=np.float64)


def _random_signs(n: int, seed: int) -> Iterator[NDArray[np.float64]]:
    rng = np.random.default_rng(seed)
    for _ in range(FLIPS // _AT_ONCE):
        yield np.asarray(1.0 - 2.0 * rng.integers(0, 2, size=(_AT_ONCE, n)), dtype=np.float64)
