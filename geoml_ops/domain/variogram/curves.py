"""Models of a variogram, and the one that fits best.

For a given range a model is linear in nugget and partial sill, so these follow in closed form and the
range from a search over all of a grid: there is no start value, no local minimum, and a range that runs
away is seen to do so (scikit-gstat 1.0 bounds it by the longest lag, where a trend then seems to end).
The weights of a fit are the caller's; ``N / h^2`` is the usual choice (Pebesma
2004, gstat's default).

========== ================================== ==================
model      share of the partial sill          effective range
========== ================================== ==================
spherical  ``1.5 h/a - 0.5 (h/a)^3``, then 1  ``a``
exponential ``1 - exp(-h/a)``                 ``3.00 a``
gaussian   ``1 - exp(-(h/a)^2)``              ``1.73 a``
========== ================================== ==================

The effective range is the lag at which 95 % of the partial sill are reached, by convention ``a`` itself
for the spherical model, which ends there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
MODELS = ("spherical", "exponential", "gaussian")
FITTED = ("spherical", "exponential")
REACHES = -float(np.log(0.05))
"""``exp(-REACHES)`` is .05: decay at which 95 % of the sill is reached."""
GRID = np.geomspace(0.01, 10, 400)
"""Ranges that are tried, in cutoffs."""


@dataclass(frozen=True)
class Curve:
    """A fitted model: ``gamma(h) = nugget + psill * shape(h / range_m)``.

    Attributes:
        model: one of :data:`MODELS`.
        nugget: semivariance just beyond no distance, >= 0.
        psill: what distance adds, >= 0; 0 for a pure nugget.
        range_m: effective range.
    """

    model: str
    nugget: float
    psill: float
    range_m: float

    def at(self, distance_m: ArrayLike) -> Floats:
        """Returns semivariances at distances above 0, of the same shape."""
        return self.nugget + self.psill * shape_of(self.model, np.asarray(distance_m) / self.range_m)


def shape_of(model: str, reach: Floats) -> Floats:
    """Returns the share of the partial sill that a model reaches at distances in effective ranges.

    Args:
        model: one of :data:`MODELS`.
        reach: distance over effective range, of any shape.
    """
    if model == "spherical":
        return np.asarray(np.where(reach < 1, 1.5 * reach - 0.5 * reach**3, 1.0), dtype=np.float64)
    return np.asarray(1 - np.exp(-REACHES * (reach if model == "exponential" else reach**2)), dtype=np.float64)


def fitted(
    lag_m: Floats, weight: Floats, semivariance: Floats, *, cutoff_m: float, models: Sequence[str] = FITTED
) -> list[Curve]:
    """Returns the best of the models for each row of semivariances.

    Nugget and partial sill are never below 0. The range is that of the least weighted sum of squares
    over 0.01 to 10 cutoffs, to 2 parts in 10,000; at the upper end it has run away.

    Args:
        lag_m: ``(lags,)`` mean distance of each lag, > 0.
        weight: ``(rows, lags)``; 0 where a lag does not count.
        semivariance: ``(rows, lags)``; any number where a lag does not count.
        cutoff_m: longest distance between pairs.
        models: that are tried.
    """
    counts = np.where(weight > 0, semivariance, 0.0)
    best = [(np.inf, Curve(models[0], 0.0, 0.0, cutoff_m))] * len(weight)
    for model in models:
        coarse = _least(model, lag_m, weight, counts, np.broadcast_to(GRID * cutoff_m, (len(weight), len(GRID))))
        step = float(GRID[1] / GRID[0])
        found = _least(model, lag_m, weight, counts, coarse[:, 3:] * np.geomspace(1 / step, step, 199))
        for row, (least, nugget, psill, range_m) in enumerate(found.tolist()):
            if least < best[row][0]:
                best[row] = least, Curve(model, nugget, psill, range_m)
    return [curve for _, curve in best]


def _least(model: str, lag_m: Floats, weight: Floats, semivariance: Floats, ranges: Floats) -> Floats:
    """Returns least weighted squares, nugget, partial sill and range, ``(rows, 4)``, over ``ranges (rows, m)``."""
    shape = shape_of(model, lag_m / ranges[:, :, None])
    weighted = weight * semivariance
    of_y, of_yy = (a.sum(axis=1)[:, None] for a in (weighted, weighted * semivariance))
    total = np.maximum(weight.sum(axis=1)[:, None], np.finfo(float).tiny)
    of_s, of_ss = (np.einsum("rl,rml->rm", weight, a) for a in (shape, shape**2))
    of_sy = np.einsum("rl,rml->rm", weighted, shape)
    spread = total * of_ss - of_s**2
    flat = spread <= 1e-9 * total * of_ss
    psill = (total * of_sy - of_s * of_y) / np.where(flat, 1.0, spread)
    nugget = (of_y - psill * of_s) / total
    psill, nugget = np.where(nugget < 0, of_sy / np.maximum(of_ss, np.finfo(float).tiny), psill), np.maximum(nugget, 0)
    none = flat | (psill <= 0)
    psill, nugget = np.where(none, 0.0, psill), np.where(none, of_y / total, nugget)
    sums = of_yy - 2 * (nugget * of_y + psill * of_sy)
    sums += nugget**2 * total + 2 * nugget * psill * of_s + psill**2 * of_ss
    row, at = np.arange(len(sums)), sums.argmin(axis=1)
    return np.column_stack([column[row, at] for column in (sums, nugget, psill, ranges)])
