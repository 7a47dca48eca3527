"""Accuracy and area from a stratified random sample of a map.

Every number is a mean over the map, or a ratio of two means, of something that is 0 or 1 for each
unit. With strata ``h`` of share ``W_h`` of the ground, ``n_h`` sampled units and variance ``s_h^2``
between them (Cochran 1977, chapters 5 and 6; Stehman 2014, equations 2, 3, 25, 27 and 28)::

    mean   = sum W_h * mean_h                     V = sum W_h^2 (1 - n_h / N_h) s_h^2 / n_h
    ratio  = mean(y) / mean(x)                    V = V(y - ratio x) / mean(x)^2

Where strata are the map's own classes these are the estimators of Olofsson et al. (2014) to the last
digit, and simple random sampling is the case of one stratum. The finite-population factor
``1 - n_h / N_h`` is used where the number of units ``N_h`` is given; printed examples differ in that.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from geoml_ops.core.errors import BadInput

Z = float(stats.norm.ppf(0.975))
MOST_CLASSES = 1000
FEW_UNITS = 20
Codes = NDArray[np.int64]
Reals = NDArray[np.float64]


@dataclass(frozen=True)
class Estimate:
    """A number and its standard error; None where undefined, which is not 0."""

    value: float | None
    error: float | None = None

    @property
    def half(self) -> float | None:
        """Half the width of the 95 % interval, 1.959964 standard errors."""
        return None if self.error is None else Z * self.error

    def times(self, factor: float) -> Estimate:
        """Returns the estimate in another unit."""
        return Estimate(*(None if part is None else part * factor for part in (self.value, self.error)))


@dataclass(frozen=True)
class Strata:
    """What was sampled by itself.

    Attributes:
        names: of the strata.
        area: of each, in any unit, >= 0.
        units: units of each in the whole map, for the finite-population factor; None to leave it out.
    """

    names: tuple[str, ...]
    area: Reals
    units: Reals | None = None


@dataclass(frozen=True)
class Cells:
    """Sampled units, counted by stratum, map class and reference class; positions in their lists."""

    stratum: Codes
    mapped: Codes
    reference: Codes
    n: Reals

    @property
    def seen(self) -> Cells:
        """The cells that hold a unit."""
        kept = self.n > 0
        return Cells(self.stratum[kept], self.mapped[kept], self.reference[kept], self.n[kept])

    @classmethod
    def of(cls, stratum: Codes, mapped: Codes, reference: Codes) -> Cells:
        """Counts units that are given one by one, ``(units,)`` each."""
        rows, n = np.unique(np.column_stack([stratum, mapped, reference]), axis=0, return_counts=True)
        return cls(rows[:, 0], rows[:, 1], rows[:, 2], n.astype(np.float64))


@dataclass(frozen=True)
class OfClass:
    """One class: user's and producer's accuracy, true area, and the area that the map shows (None if unknown)."""

    users: Estimate
    producers: Estimate
    area: Estimate
    mapped: float | None


@dataclass(frozen=True)
class Assessment:
    """What a sample says about a map.

    Attributes:
        n: sampled units.
        overall: share of the ground that is mapped right.
        classes: by name, in the order of the class list.
        proportions: ``(map, reference)`` estimated shares of the ground.
        quantity: disagreement in how much of each class there is, 0 to 1 (Pontius and Millones 2011).
        allocation: disagreement in where it is; the two add up to ``1 - overall``.
        cautions: sentences that belong to the numbers.
    """

    n: int
    overall: Estimate
    classes: dict[str, OfClass]
    proportions: Reals
    quantity: float
    allocation: float
    cautions: tuple[str, ...]


def assess(strata: Strata, cells: Cells, classes: tuple[str, ...], *, strata_are_classes: bool) -> Assessment:
    """Returns accuracy and area of every class from a stratified random sample.

    Args:
        strata: names, areas and, where the finite-population factor shall count, units.
        cells: the sample.
        classes: names of map and reference classes.
        strata_are_classes: whether each stratum is a map class, under its name.

    Raises:
        BadInput: areas or counts that cannot be, a stratum with ground but no unit, more units sampled
            than there are, or more than :data:`MOST_CLASSES` classes.
    """
    _check(strata, cells, classes)
    cells = cells.seen
    sample = _Sample(strata, cells)
    right = (cells.mapped == cells.reference).astype(np.float64)
    found, total = {}, float(strata.area.sum())
    for code, name in enumerate(classes):
        mapped, true = (cells.mapped == code) * 1.0, (cells.reference == code) * 1.0
        own = np.array([stratum == name for stratum in strata.names]) if strata_are_classes else None
        found[name] = OfClass(
            users=sample.ratio(right * mapped, mapped, own),
            producers=sample.ratio(right * true, true),
            area=sample.mean(true).times(total),
            mapped=float(strata.area[own].sum()) if own is not None else None,
        )
    shares = np.zeros((len(classes), len(classes)))
    np.add.at(shares, (cells.mapped, cells.reference), sample.share)
    rows, columns, both = shares.sum(axis=1), shares.sum(axis=0), np.diag(shares)
    return Assessment(
        n=round(float(cells.n.sum())),
        overall=sample.mean(right),
        classes=found,
        proportions=shares,
        quantity=float(np.abs(rows - columns).sum() / 2),
        allocation=float(np.minimum(rows - both, columns - both).clip(0).sum()),
        cautions=_cautions(strata, cells, classes, sample, strata_are_classes),
    )


class _Sample:
    """A stratified sample, ready for means and ratios of values that belong to its cells."""

    def __init__(self, strata: Strata, cells: Cells) -> None:
        self.stratum, self.count = cells.stratum, cells.n
        self.n = np.bincount(cells.stratum, cells.n, len(strata.names))
        self.weight = strata.area / strata.area.sum()
        self.share = self.weight[cells.stratum] * cells.n / self.n[cells.stratum]
        self.left = np.ones(len(self.n)) if strata.units is None else 1 - self.n / np.maximum(strata.units, 1)
        self.uncertain = (self.weight > 0) & (self.left > 0)

    def mean(self, values: Reals) -> Estimate:
        return Estimate(float((self.share * values).sum()), self.error(values))

    def ratio(self, above: Reals, below: Reals, varies: NDArray[np.bool_] | None = None) -> Estimate:
        """Returns ``mean(above) / mean(below)``; strata where nothing can vary add no variance."""
        divisor = float((self.share * below).sum())
        if divisor <= 0:
            return Estimate(None)
        value = float((self.share * above).sum()) / divisor
        error = self.error(above - value * below, varies)
        return Estimate(value, None if error is None else error / divisor)

    def error(self, values: Reals, varies: NDArray[np.bool_] | None = None) -> float | None:
        """Returns the standard error of a mean; None where a stratum has one unit out of several."""
        counted = self.uncertain if varies is None else self.uncertain & varies
        if (self.n[counted] < 2).any():
            return None
        means = np.bincount(self.stratum, self.count * values, len(self.n)) / np.maximum(self.n, 1)
        squares = np.bincount(self.stratum, self.count * (values - means[self.stratum]) ** 2, len(self.n))
        n = np.maximum(self.n, 2)
        variances = self.weight**2 * self.left * squares / (n - 1) / n
        return float(np.sqrt(variances[counted].sum()))


def _check(strata: Strata, cells: Cells, classes: tuple[str, ...]) -> None:
    if len(classes) > MOST_CLASSES:
        raise BadInput(f"{len(classes)} classes are more than {MOST_CLASSES}.", "give class codes, not measurements")
    for what, names in (("stratum", strata.names), ("class", classes)):
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise BadInput(f"The {what} {twice[0][:60]!r} is listed twice.", "list each once")
    if not np.isfinite(strata.area).all() or (strata.area < 0).any() or not strata.area.sum() > 0:
        raise BadInput("Areas of strata are negative, missing or all 0.", "give the area of every stratum in one unit")
    if not np.isfinite(cells.n).all() or (cells.n < 0).any() or (cells.n != np.rint(cells.n)).any():
        raise BadInput("Counts of units are negative, missing or no whole numbers.", "count sampled units, not areas")
    n = np.bincount(cells.stratum, cells.n, len(strata.names))
    if not n.sum() > 0:
        raise BadInput("There is not a single sampled unit.", "label units of every stratum")
    for name, share, units in zip(strata.names, strata.area / strata.area.sum(), n, strict=True):
        if share > 0 and units == 0:
            raise BadInput(
                f"The stratum {name[:60]!r} has {share:.2%} of the ground and no sampled unit; "
                "nothing is known about it.",
                "label units there, or merge it with another stratum before the sample is drawn",
            )
    if strata.units is not None and (n > strata.units).any():
        i = int(np.argmax(n - strata.units))
        raise BadInput(
            f"The stratum {strata.names[i][:60]!r} has {strata.units[i]:.0f} units; {n[i]:.0f} were sampled.",
            "check the counts; a unit is sampled once",
        )


def _cautions(
    strata: Strata, cells: Cells, classes: tuple[str, ...], sample: _Sample, strata_are_classes: bool
) -> tuple[str, ...]:
    # A stratum that was counted whole has no variance and needs no warning.
    open_ = [(name, units) for name, units, left in zip(strata.names, sample.n, sample.uncertain, strict=True) if left]
    single = [name for name, units in open_ if units == 1]
    few = [name for name, units in open_ if 1 < units < FEW_UNITS]
    said = []
    if single:
        said.append(f"One unit in {_listed(single)}: variances that involve it are undefined.")
    if few:
        said.append(f"Fewer than {FEW_UNITS} units in {_listed(few)}: intervals that rest on them are rough.")
    if strata_are_classes:
        said += _without_stratum(strata, cells, classes)
    right = np.bincount(cells.stratum, cells.n * (cells.mapped == cells.reference), len(sample.n))
    for name, units in open_:
        hits = right[strata.names.index(name)]
        if units > 1 and hits in (0, units):
            said.append(
                f"All {units:.0f} units of {name} are {'right' if hits else 'wrong'}: the formula gives it no "
                f"variance, yet up to {1 - 0.05 ** (1 / units):.1%} of it may be otherwise (95 %)."
            )
    return tuple(said)


def _without_stratum(strata: Strata, cells: Cells, classes: tuple[str, ...]) -> list[str]:
    said = []
    for code, name in enumerate(classes):
        count = cells.n[cells.reference == code].sum()
        if count and not strata.area[[stratum == name for stratum in strata.names]].sum():
            said.append(
                f"{name} was found on the ground {count:.0f} times but the map shows none: its producer's accuracy "
                "is 0 and its area rests on chance finds; draw a stratum where it is likely."
            )
    return said


def _listed(names: list[str]) -> str:
    return ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
