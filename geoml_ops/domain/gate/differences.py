"""How much better the challenger is, with a standard error from blocks that holds what it promises.

The difference of a metric is computed once from all samples and once without each block in turn; the
spread of the latter is its standard error (delete-one jackknife, Efron and Tibshirani 1993, chapter 11):

``SE^2 = (B - 1) / B * sum_b (d_without_b - d)^2``

For overall accuracy and blocks of equal size that is exactly the ratio estimator of a cluster sample
(Cochran 1977, chapter 2) on paired block differences. Where sizes differ it is larger, and the
degrees of freedom follow Kish's effective number of blocks, ``(sum n_b)^2 / sum n_b^2 - 1`` (Kish
1965): one block that holds most samples is one block of evidence, however many small ones lie around.

Measured under no difference, nominal one-sided level .025, 20 blocks with log-normal sizes (sd of the
logarithm 0, .7, 1, 1.4): the ratio estimator with ``B - 1`` degrees rejects in .025, .033, .048, .077 of
cases, the jackknife with effective degrees in .025, .025, .026, .023. The same holds for F1, whose
linearised standard error rejects in up to .056 at 40 blocks, the jackknife in .028.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from geoml_ops.core.errors import BadInput
from geoml_ops.core.evidence import Score
from geoml_ops.domain.scoring import class_f1, metric_of

Counts = NDArray[np.int64]
Floats = NDArray[np.float64]
ZERO = 1e-12
"""Smaller differences of shares are rounding."""


@dataclass(frozen=True)
class Effect:
    """A difference, challenger minus other, with what is needed to test it against any number.

    Attributes:
        value: the difference, -1 to 1.
        error: its standard error.
        df: degrees of freedom of Student's t.
        n_blocks: blocks that hold samples (of the class, where it is about one).
        design_effect: variance over that of independent samples; None where no such number exists.
        n_samples: samples behind the difference.
    """

    value: float
    error: float
    df: float
    n_blocks: int
    design_effect: float | None = None
    n_samples: int = 0

    def p_above(self, null: float) -> float:
        """Returns the one-sided p of "the difference is ``null`` or less"; small speaks for more.

        Where every block differs by the same, Student's t has no spread to go by; the sign test's
        ``2^-B`` stands in.
        """
        gap = self.value - null
        if self.error < ZERO:
            return float(0.5**self.n_blocks) if gap > ZERO else 1.0
        return float(stats.t.sf(gap / self.error, self.df))

    def p_below(self, null: float) -> float:
        """Returns the one-sided p of "the difference is ``null`` or more"; small speaks for less."""
        return Effect(-self.value, self.error, self.df, self.n_blocks).p_above(-null)

    def score(self, confidence: float) -> Score:
        """Returns the difference with its two-sided interval."""
        half = float(stats.t.ppf((1 + confidence) / 2, self.df)) * self.error
        effective = None
        if self.design_effect:
            effective = self.n_samples / self.design_effect
        return Score(
            value=self.value,
            low=max(self.value - half, -1.0),
            high=min(self.value + half, 1.0),
            n_blocks=self.n_blocks,
            design_effect=self.design_effect,
            n_effective=effective,
        )


def difference(counts: Counts, metric: str, n_unlike: int | None = None) -> Effect:
    """Returns challenger minus other in a metric.

    Args:
        counts: ``(2, blocks, true, predicted)``, the challenger's and the other's; no block without samples.
        metric: one of :data:`geoml_ops.domain.scoring.METRICS`.
        n_unlike: samples that exactly one of the two answered right; gives overall accuracy a design effect,
            the variance over ``(share unlike - d^2) / n`` of independent samples.

    Raises:
        BadInput: fewer than two blocks, or an unknown metric.
    """
    sizes = counts[0].sum(axis=(1, 2)).astype(np.float64)
    value, error = _jackknife(counts, lambda c: metric_of(c, metric))
    n, df = int(sizes.sum()), max(effective_blocks(sizes) - 1, 1.0)
    independent = 0.0
    if metric == "overall_accuracy" and n_unlike is not None:
        independent = (n_unlike / n - value**2) / n
    effect = error**2 / independent if independent > ZERO**2 and error > ZERO else None
    return Effect(value, error, df, len(sizes), design_effect=effect, n_samples=n)


def class_difference(counts: Counts, code: int) -> Effect | None:
    """Returns challenger minus other in the F1 of one class; None where it lies in fewer than two blocks.

    Blocks count by what they hold of the class, true and answered; the number of blocks is that of
    blocks in which it is true.
    """
    held = 2 * counts[0, :, code, :].sum(axis=-1) + counts[:, :, :, code].sum(axis=(0, 2))
    n_true = int((counts[0, :, code, :].sum(axis=-1) > 0).sum())
    seen = counts[:, held > 0]
    if n_true < 2:
        return None
    value, error = _jackknife(seen, lambda c: class_f1(c)[..., code])
    df = max(effective_blocks(held[held > 0].astype(np.float64)) - 1, 1.0)
    return Effect(value, error, df=df, n_blocks=n_true, n_samples=int(seen[0, :, code, :].sum()))


def effective_blocks(sizes: NDArray[np.float64] | NDArray[np.int64]) -> float:
    """Returns how many blocks of equal size would weigh as evenly (Kish 1965), 1 to their number.

    >>> effective_blocks(np.array([50, 50, 50]))
    3.0
    """
    weights = np.asarray(sizes, dtype=np.float64)
    return float(weights.sum() ** 2 / np.square(weights).sum()) if weights.any() else 0.0


def block_gains(counts: Counts) -> Floats:
    """Returns, per block, challenger minus other in the share of right answers, ``(blocks,)``."""
    right = np.trace(counts, axis1=2, axis2=3).astype(np.float64)
    return np.asarray((right[0] - right[1]) / counts[0].sum(axis=(1, 2)), dtype=np.float64)


def _jackknife(counts: Counts, measure: Callable[[Counts], Floats]) -> tuple[float, float]:
    n = counts.shape[1]
    if n < 2:
        raise BadInput(f"{n} block gives no interval.", "use smaller blocks or labels of more ground")
    total = counts.sum(axis=1)
    first, second = measure(total)
    without = measure(total[:, None] - counts)
    value = float(first - second)
    return value, float(np.sqrt((n - 1) / n * np.square(without[0] - without[1] - value).sum()))
