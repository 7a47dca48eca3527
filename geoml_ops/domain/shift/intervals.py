"""Intervals of what was drawn again and again, whole scenes and blocks at a time; percentiles are expanded for few."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from geoml_ops.core.evidence import Score
from geoml_ops.domain.scoring import levels

Floats = NDArray[np.float64]


def score_of(value: float, drawn: Floats, n: int, confidence: float) -> Score:
    """Returns a number with the expanded percentiles of its bootstrap.

    Args:
        value: of all units.
        drawn: ``(draws,)`` of each bootstrap sample; NaN where it does not exist.
        n: units behind it, >= 2.
        confidence: of the two-sided interval.
    """
    low, high = np.nanquantile(drawn, levels(n, confidence))
    return Score(value=value, low=float(low), high=float(high), n_blocks=n)


def scores_of(values: Floats, drawn: Floats, n: int, confidence: float) -> tuple[Score, ...]:
    """Returns :func:`score_of` of each of ``(classes,)`` with ``(draws, classes)``."""
    return tuple(score_of(value, one, n, confidence) for value, one in zip(values.tolist(), drawn.T, strict=True))


def distance_score(value: float, drawn: Floats, n: int, confidence: float) -> Score:
    """Returns a distance between 0 and 1 with an interval that knows that distances only grow by chance.

    A bootstrap sample lies farther off than what it was drawn from, as that lies farther off than the truth: by the
    bias ``mean(drawn) - value`` both ends are moved down, and the lower end is that of the basic interval
    ``2 value - high`` (Davison and Hinkley 1997, chapter 5) where that is lower. Plain percentiles never hold 0.

    Args:
        value: of all units.
        drawn: ``(draws,)`` of each bootstrap sample.
        n: units behind it, >= 2.
        confidence: of the two-sided interval.
    """
    plain = score_of(value, drawn, n, confidence)
    bias = float(np.mean(drawn)) - value
    low, high = min(plain.low - bias, 2 * value - plain.high), plain.high - bias
    return Score(value=value, low=min(max(low, 0.0), value), high=min(max(high, value), 1.0), n_blocks=n)
