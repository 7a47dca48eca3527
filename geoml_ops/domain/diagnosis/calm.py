"""How far numbers of a calm scene stray: what scenes without fault did, joined with what physics lets expect.

A handful of scenes says little about a spread. So the spread is the one that they show, weighed against a spread that
air, sun and growth are known to make, worth ``PRIOR_N`` scenes (as the conjugate prior of a variance, Gelman et al.
2013, section 3.3, with the median deviation in place of the standard deviation). The limit is the quantile of
Student's t that a new scene passes by chance once in a thousand times.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Floats = NDArray[np.float64]

PRIOR_N = 4
BY_CHANCE = 1e-3


@dataclass(frozen=True)
class Calm:
    """Where a number of calm scenes lies.

    Attributes:
        middle: of it; an array where there is one per band.
        spread: its standard deviation, same shape.
        limit: how far from the middle a calm scene comes once in a thousand times, same shape.
        n: calm scenes.
    """

    middle: Floats
    spread: Floats
    limit: Floats
    n: int

    def beyond(self, value: Floats | float) -> NDArray[np.bool_]:
        """Says where a value is farther from the middle than the limit; a missing one is not."""
        return np.asarray(np.abs(value - self.middle) > self.limit)

    def score(self, value: Floats | float) -> Floats:
        """Returns how many limits away a value is."""
        return np.asarray(np.abs(value - self.middle) / self.limit)


def calm(past: Sequence[Floats | float], expected: float, spread: Floats | float, looks: int = 1) -> Calm:
    """Returns where calm scenes lie.

    Args:
        past: the number of each calm scene (arrays of one shape, or plain numbers).
        expected: what it is where nothing happens.
        spread: its standard deviation where only air, sun and growth differ.
        looks: numbers looked at together, of which by chance none is to pass (Bonferroni).
    """
    prior = np.asarray(spread, dtype=np.float64)
    n = len(past)
    if not n:
        return Calm(np.full_like(prior, expected), prior, prior * _quantile(PRIOR_N, looks), 0)
    seen = np.array(past, dtype=np.float64)
    # Median and median deviation: a scene under snow among the calm ones does not hide what comes after it. Both lean
    # on what is expected as far as scenes are few.
    weight = n / (n + PRIOR_N)
    middle = weight * np.median(seen, axis=0) + (1.0 - weight) * expected
    strays = 1.4826 * np.median(np.abs(seen - middle), axis=0)
    sd = np.sqrt(weight * strays**2 + (1.0 - weight) * prior**2)
    return Calm(middle, sd, sd * _quantile(PRIOR_N + n, looks) * np.sqrt(1.0 + 1.0 / (n + PRIOR_N)), n)


def _quantile(freedom: int, looks: int) -> float:
    return float(stats.t.ppf(1.0 - BY_CHANCE / 2.0 / looks, freedom))
