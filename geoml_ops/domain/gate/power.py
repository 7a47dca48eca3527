"""What the evidence could have shown: power of the gate's test, and the blocks that a gain would take."""

from __future__ import annotations

import numpy as np
from scipy import stats

from geoml_ops.core.flow import Judgement
from geoml_ops.domain.gate.differences import ZERO, effective_blocks

DETECTABLE_SE = 2.5
"""A gain of this many standard errors is found in about 80 % of cases at a one-sided level of .05, in 70 % at
.025: ``z(.95) + z(.80) = 2.49``, ``z(.975) + z(.70) = 2.48``."""
USUAL = 0.8
MOST_BLOCKS = 1_000_000


def power(gain: float, *, error: float, df: float, level: float) -> float:
    """Returns how often a true gain would be found, 0 to 1.

    The one-sided t test rejects with the probability that a noncentral t with noncentrality
    ``gain / error`` exceeds its critical value (Cohen 1988, chapter 2). The standard error is taken as known, so
    this describes ground like the one that was looked at.

    Args:
        gain: true difference, challenger minus other; negative for a loss.
        error: standard error of the difference.
        df: degrees of freedom.
        level: one-sided level of the test, 0 to 1.
    """
    if not 0 < level < 1:
        return 0.0 if level <= 0 else 1.0
    if error < ZERO:
        return 1.0 if gain > ZERO else level if abs(gain) <= ZERO else 0.0
    critical, away = float(stats.t.isf(level, df)), gain / error
    if abs(away) > 1000:
        # There scipy 1.16's noncentral t is off or NaN, and only the spread of the standard error matters.
        return float(stats.chi2.cdf(df * (away / critical) ** 2, df)) if away > 0 else 0.0
    return float(np.clip(stats.nct.sf(critical, df, away), 0.0, 1.0))


def blocks_needed(gain: float, *, error: float, df: float, n_blocks: int, level: float) -> int | None:
    """Returns how many blocks like these would show a gain in 80 % of cases; None where a million would not.

    The standard error shrinks with the root of the number of blocks, and the degrees of freedom grow with it.

    Args:
        gain: the true difference to be found, > 0.
        error: standard error over the blocks at hand.
        df: its degrees of freedom.
        n_blocks: blocks at hand.
        level: one-sided level of the test.
    """

    def enough(n: int) -> bool:
        times = n / n_blocks
        return power(gain, error=error / times**0.5, df=max((df + 1) * times - 1, 1.0), level=level) >= USUAL

    if gain <= 0 or level <= 0 or not enough(MOST_BLOCKS):
        return None
    low, high = 2, MOST_BLOCKS
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle + 1, high)
    return low


def power_of(judgement: Judgement, gain: float, alpha: float) -> float:
    """Returns how often the evidence of a judgement would have found a true gain, 0 to 1.

    Args:
        judgement: what the gate said.
        gain: true difference, challenger minus other.
        alpha: one-sided level where the judgement stands in no ledger.
    """
    sizes = np.array([b.n for b in judgement.blocks], dtype=np.float64)
    weight = effective_blocks(sizes) if len(sizes) else float(judgement.difference.n_blocks)
    level = judgement.spending.level if judgement.spending else alpha
    return power(gain, error=judgement.detectable / DETECTABLE_SE, df=max(weight - 1, 1.0), level=level)


def power_words(judgement: Judgement, gain: float, alpha: float) -> str:
    """Returns the sentence that a page shows: how often a true gain would have been found."""
    found, n = power_of(judgement, gain, alpha), judgement.difference.n_blocks
    return f"With these {n} blocks a gain of {gain:.3f} would be found in {found:.0%} of cases."
