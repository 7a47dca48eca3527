"""Local Moran's I (Anselin 1995) and Gi* (Getis and Ord 1992; Ord and Getis 1995) of numbers on a lattice."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from geoml_ops.core.errors import BadInput
from geoml_ops.domain.hotspots.discoveries import adjusted
from geoml_ops.domain.hotspots.lattice import Lattice, Neighbourhood
from geoml_ops.domain.hotspots.permuting import pseudo_p

CLASSES = ("not significant", "high-high", "low-low", "high-low", "low-high", "no answer")
NOT_SIGNIFICANT, HIGH_HIGH, LOW_LOW, HIGH_LOW, LOW_HIGH, NO_ANSWER = range(6)
PERMUTATIONS, FINEST = 999, 99_999
_FLAT = 1e-12


@dataclass(frozen=True, eq=False)
class Local:
    """A statistic of every tile, each ``(n,)`` in the order of the tiles.

    Attributes:
        statistic: local I or Gi*; NaN where there is no answer.
        p: two-sided; NaN where there is no answer.
        rate: lowest false discovery rate over all tiles at which this one is a discovery.
        classes: position in ``CLASSES``, uint8.
        spent: permutations behind ``p``; 0 where none.
        alpha: false discovery rate of the classes.
    """

    statistic: NDArray[np.float64]
    p: NDArray[np.float64]
    rate: NDArray[np.float64]
    classes: NDArray[np.uint8]
    spent: NDArray[np.int64]
    alpha: float


def local_moran(
    lattice: Lattice,
    values: NDArray[np.float64],
    *,
    around: Neighbourhood = "queen",
    alpha: float = 0.05,
    permutations: int = PERMUTATIONS,
    finest: int = FINEST,
    seed: int = 0,
) -> Local:
    """Returns local Moran's I with conditional permutation p-values and classes.

    ``I_i = z_i * (n - 1) / sum(z^2) * mean of z around i`` with ``z = x - mean(x)``: row-standardised weights, tiles
    with a number and a neighbour that has one. Tiles without are "no answer". What the false discovery rate is of:
    the hypothesis that numbers are dealt to places at random. A field that is merely smooth breaks that hypothesis
    too and has its highs and lows named; only :func:`~geoml_ops.domain.hotspots.regions.least_mass` of in-control
    fields tells whether they are more than usual. What most of the ground shares is
    not local: where eight tiles drawn at random are often all high (drift of two thirds of it), none stands out.

    Args:
        lattice: where the tiles are.
        values: ``(n,)`` one number per tile; NaN for none.
        around: ``queen`` or ``rook``.
        alpha: false discovery rate (Benjamini and Hochberg), 0 to 1.
        permutations: of the first round.
        finest: most permutations for a tile near the floor of p-values.
        seed: of the permutations; the same tiles in another order get the same answer.

    Raises:
        BadInput: another number of values than tiles, infinite ones, or a rate outside 0 to 1.
    """
    _check(lattice, values, alpha)
    if not 1 <= permutations <= finest:
        raise BadInput(f"{permutations} permutations, refined up to {finest}.", "ask for 999 and 99999, for instance")
    order = np.argsort(lattice.keys, kind="stable")
    webs = lattice.neighbours(around, np.isfinite(values))
    chosen = order[(webs[order] >= 0).any(axis=1)]
    z = _centred(values[chosen])
    statistic, p = np.full(len(values), np.nan), np.full(len(values), np.nan)
    spent = np.zeros(len(values), dtype=np.int64)
    classes = np.full(len(values), NO_ANSWER, dtype=np.uint8)
    if z is None:
        p[chosen], classes[chosen] = 1.0, NOT_SIGNIFICANT
        return Local(statistic, p, adjusted(p), classes, spent, alpha)
    near = _renumbered(webs[chosen], chosen, len(values))
    n_around = (near >= 0).sum(axis=1)
    lag = np.where(near >= 0, z[near], 0.0).sum(axis=1) / n_around
    statistic[chosen] = z * lag * (len(z) - 1) / float(z @ z)
    p[chosen], spent[chosen] = pseudo_p(
        z, near, permutations=permutations, finest=finest, alpha=alpha, seed=seed
    )  # fmt: skip
    # A tile at the mean is neither high nor low, whatever is around it.
    p[chosen[np.abs(z) < _FLAT]] = 1.0
    rate = adjusted(p)
    classes[chosen] = np.where(rate[chosen] <= alpha, _quadrant(z, lag), NOT_SIGNIFICANT)
    return Local(statistic, p, rate, classes, spent, alpha)


def getis_ord(
    lattice: Lattice, values: NDArray[np.float64], *, around: Neighbourhood = "queen", alpha: float = 0.05
) -> Local:
    """Returns Gi* as z-scores with normal p-values: ``high-high`` for hot, ``low-low`` for cold.

    Weights are 1 for a tile and those around it. The z-score is of the same random dealing of numbers as the
    permutations of :func:`local_moran`; its normal tail is an approximation for skewed numbers and few neighbours.

    Raises:
        BadInput: as :func:`local_moran`.
    """
    _check(lattice, values, alpha)
    there = np.isfinite(values)
    webs = lattice.neighbours(around, there)
    chosen = np.flatnonzero((webs >= 0).any(axis=1))
    statistic, p = np.full(len(values), np.nan), np.full(len(values), np.nan)
    classes = np.full(len(values), NO_ANSWER, dtype=np.uint8)
    classes[chosen], p[chosen] = NOT_SIGNIFICANT, 1.0
    z = _centred(values[chosen])
    if z is not None:
        near = _renumbered(webs[chosen], chosen, len(values))
        weights = (near >= 0).sum(axis=1) + 1.0
        total = np.where(near >= 0, z[near], 0.0).sum(axis=1) + z
        n = len(z)
        room = np.sqrt(np.maximum(n * weights - weights**2, 0.0) / (n - 1))
        statistic[chosen] = np.divide(total, room, out=np.zeros(n), where=room > 0)
        p[chosen] = 2.0 * norm.sf(np.abs(statistic[chosen]))
    rate = adjusted(p)
    found = chosen[rate[chosen] <= alpha]
    classes[found] = np.where(statistic[found] > 0, HIGH_HIGH, LOW_LOW)
    return Local(statistic, p, rate, classes, np.zeros(len(values), dtype=np.int64), alpha)


def _check(lattice: Lattice, values: NDArray[np.float64], alpha: float) -> None:
    if values.shape != lattice.rows.shape:
        raise BadInput(f"{values.shape} numbers for {len(lattice.rows)} tiles.", "give one number per tile")
    if np.isinf(values).any():
        raise BadInput(f"{int(np.isinf(values).sum())} numbers are infinite.", "give NaN where there is no number")
    if not 0 < alpha < 1:
        raise BadInput(f"A false discovery rate of {alpha:g}.", "give one between 0 and 1, 0.05 for instance")


def _centred(values: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """Returns numbers of mean 0 and spread 1; None where they are all the same, but for rounding."""
    if len(values) < 2:
        return None
    # Dividing first keeps squares of very large and very small numbers in range.
    largest = float(np.abs(values).max())
    scaled = values / largest if largest > 0 else values
    z = scaled - scaled.mean()
    spread = float(z.std())
    return None if spread <= _FLAT else np.asarray(z / spread)


def _renumbered(webs: NDArray[np.int64], chosen: NDArray[np.int64], n: int) -> NDArray[np.int64]:
    place = np.full(n + 1, -1, dtype=np.int64)
    place[chosen] = np.arange(len(chosen))
    return np.asarray(place[webs])


def _quadrant(z: NDArray[np.float64], lag: NDArray[np.float64]) -> NDArray[np.uint8]:
    high = np.where(lag > 0, HIGH_HIGH, HIGH_LOW)
    return np.where(z > 0, high, np.where(lag > 0, LOW_HIGH, LOW_LOW)).astype(np.uint8)
