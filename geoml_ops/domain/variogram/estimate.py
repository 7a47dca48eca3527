"""The range of each column with its uncertainty, or the reason why it has none that can be used."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from geoml_ops.core.errors import BadInput
from geoml_ops.domain.variogram.curves import FITTED, Curve, fitted
from geoml_ops.domain.variogram.pairs import Pairs, Place

Floats = NDArray[np.float64]
Index = NDArray[np.int64]
CUTOFF_SHARE = 1 / 3
"""Of the diagonal: longest distance between pairs, gstat's default."""
LEAST_PAIRS = 30
"""Of a lag that counts (Journel and Huijbregts 1978)."""
LEAST_LAGS = 5
LEAST_GROUPS = 30
SCALES = 7
"""Cutoffs that are tried, each half of the one before."""
LEVEL = 0.05 / SCALES
"""At which neighbours count as more alike than any two samples (Bonferroni over cutoffs)."""
SHORT_LAGS, SHUFFLES = 5, 199
DRAWS = 200
INTERVAL = (0.1, 0.9)
RESOLVED_LAGS = 2
"""A shorter range asks for a shorter cutoff."""


@dataclass(frozen=True)
class Fit:
    """The variogram of one column, what was fitted to it, and how far that can be trusted.

    Attributes:
        curve: the fitted model; None where there was nothing to fit.
        low_m: lower quantile (:data:`INTERVAL`) of the effective range over draws of blocks.
        high_m: upper quantile. A draw without structure counts as 0, one that runs away as the cutoff.
        cutoff_m: longest distance between pairs.
        lag_m: ``(lags,)`` mean distance of the pairs of each lag.
        semivariance: ``(lags,)``.
        n_pairs: ``(lags,)``.
        n_samples: samples that pairs were made of.
        p: of neighbours being no more alike than any two samples, from shuffles.
        reason: why the range cannot be used; empty where it can.
    """

    curve: Curve | None
    low_m: float
    high_m: float
    cutoff_m: float
    lag_m: Floats
    semivariance: Floats
    n_pairs: Index
    n_samples: int
    p: float = 1.0
    reason: str = ""

    @property
    def structured(self) -> bool:
        """Whether neighbours are more alike than any two samples."""
        return self.curve is not None and self.curve.psill > 0 and self.p <= LEVEL

    @classmethod
    def none(cls, n_samples: int, reason: str) -> Fit:
        """Returns a fit of nothing, with the reason."""
        return cls(None, 0.0, 0.0, 0.0, np.zeros(0), np.zeros(0), np.zeros(0, dtype=np.int64), n_samples, reason=reason)

    @property
    def converged(self) -> bool:
        """Whether the range can be used."""
        return not self.reason

    @property
    def range_m(self) -> float | None:
        """Effective range; None where it cannot be used."""
        return self.curve.range_m if self.curve and self.converged else None


def variograms(
    ground: Floats,
    columns: Mapping[str, Floats],
    *,
    group: Index | None = None,
    radius_m: float | None = None,
    models: Sequence[str] = FITTED,
    seed: int = 0,
) -> dict[str, Fit]:
    """Returns the variogram of each column with its fitted model and the uncertainty of its range.

    Lags go up to a third of the diagonal; where nothing is resolved there, up to half of that, and so
    on, with as many more samples as keep the number of pairs. Weights are ``N / h^2``, where ``N``
    counts pairs of groups. Uncertainty comes from drawing whole blocks of ground, about half a cutoff
    wide, with replacement (a cluster bootstrap): nothing is assumed about the distribution of values,
    which indicators and residuals need.

    Args:
        ground: ``(n, 2)`` metres on a plane, or ``(n, 3)`` metres on a sphere.
        columns: ``(n,)`` each: 0 and 1 for an indicator; NaN where a sample has no value.
        group: ``(n,)`` what each sample belongs to; pairs within a group are left out.
        radius_m: of the sphere; distances are then great circles.
        models: that are fitted; the best counts, in every draw anew.
        seed: of subsamples, shuffles and draws.

    Raises:
        BadInput: a coordinate is not a number, a value is infinite, or lengths differ.
    """
    place = Place.of(ground, group, radius_m, seed)
    found, cutoffs = {}, _Cutoffs(place)
    for name, values in columns.items():
        infinite = int(np.isinf(values).sum())
        if len(values) != len(ground) or infinite:
            raise BadInput(
                f"Column {name!r} has {len(values)} values for {len(ground)} samples, {infinite} of them infinite.",
                "give one number per sample, NaN where there is none",
            )
        known = ~np.isnan(values)
        own = cutoffs if known.all() else _Cutoffs(place.where(known))
        found[name] = _of_column(own, np.asarray(values[known], dtype=np.float64), models, seed)
    return found


def in_figures(length_m: float) -> str:
    """Returns a length to four figures, without an exponent."""
    return f"{float(f'{length_m:.4g}'):.10g}"


class _Cutoffs:
    """Pairs of one place at each cutoff, found once for all columns."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self._known: dict[int, Pairs] = {}

    def pairs(self, scale: int) -> Pairs:
        """Returns the pairs of a scale; 0 is the longest cutoff."""
        if scale not in self._known:
            self._known[scale] = self.place.pairs(self.place.diagonal_m * CUTOFF_SHARE / 2**scale)
        return self._known[scale]


def _of_column(cutoffs: _Cutoffs, values: Floats, models: Sequence[str], seed: int) -> Fit:
    place, n = cutoffs.place, len(values)
    if place.n_groups < LEAST_GROUPS:
        return Fit.none(n, f"{n} samples of {place.n_groups} polygons; it takes {LEAST_GROUPS} polygons")
    if not place.diagonal_m:
        return Fit.none(n, f"all {n} samples lie in one place")
    if float(np.ptp(values)) == 0:
        return Fit.none(n, f"all {n} values are {values[0]:g}")
    found = Fit.none(n, "")
    for scale in range(SCALES):
        pairs = cutoffs.pairs(scale)
        finer = _at_cutoff(pairs, values[pairs.used], models, np.random.default_rng([seed, scale]))
        if scale and (finer.curve is None or (found.converged and not finer.converged)):
            break
        found = finer
        if not _unresolved(found):
            break
    return found


def _at_cutoff(pairs: Pairs, values: Floats, models: Sequence[str], rng: np.random.Generator) -> Fit:
    semivariance, cutoff = pairs.semivariance(values), pairs.cutoff_m
    found = Fit(None, 0.0, 0.0, cutoff, pairs.lag_m, semivariance, pairs.n, len(pairs.used))
    counted = pairs.n_of_groups >= LEAST_PAIRS
    if counted.sum() < LEAST_LAGS:
        held = (
            f"{counted.sum()} of {pairs.n_lags} lags up to {in_figures(cutoff)} m hold {LEAST_PAIRS} pairs of polygons"
        )
        return replace(found, reason=f"too few pairs: {held}, it takes {LEAST_LAGS}")
    weight = np.where(counted, pairs.n_of_groups / pairs.lag_m**2, 0.0)
    curve = fitted(pairs.lag_m, weight[None], semivariance[None], cutoff_m=cutoff, models=models)[0]
    found = replace(found, curve=curve, p=pairs.likeness(values, SHORT_LAGS, SHUFFLES, rng))
    if not found.structured:
        said = f"up to {in_figures(cutoff)} m, neighbours are not more alike than any two samples (p {found.p:.3g})"
        return replace(found, reason=f"pure nugget: {said}")
    if curve.range_m > cutoff / 2:
        how = f"{in_figures(curve.range_m)} m" if curve.range_m < 9 * cutoff else "without end"
        return replace(found, reason=f"the range ({how}) exceeds half the cutoff of {in_figures(cutoff)} m")
    n, drawn = pairs.drawn(values, DRAWS, rng)
    share = np.where(counted, pairs.n_of_groups / np.maximum(pairs.n, 1) / pairs.lag_m**2, 0.0)
    curves = fitted(pairs.lag_m, n * share, drawn, cutoff_m=cutoff, models=models)
    ranges = np.array([min(one.range_m, cutoff) if one.psill > 0 else 0.0 for one in curves])
    low, high = (float(q) for q in np.quantile(ranges, INTERVAL))
    away = int((ranges > cutoff / 2).sum())
    if away > DRAWS / 2:
        found = replace(
            found, reason=f"in {away} of {DRAWS} draws the range exceeds half the cutoff of {in_figures(cutoff)} m"
        )
    return replace(found, low_m=low, high_m=high)


def _unresolved(fit: Fit) -> bool:
    """Returns whether a shorter cutoff may show more: nothing was found, or a range of few lags."""
    few = RESOLVED_LAGS * fit.cutoff_m / max(len(fit.lag_m), 1)
    return fit.curve is not None and (not fit.structured or fit.curve.range_m < few)
