"""Strata of a label budget: class, drift, doubt and applicability, merged until each is large enough."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geoml_ops.core.errors import BadInput
from geoml_ops.domain.labelling.census import NO_CLASS, SHAPE, UNKNOWN, Counts

LARGE_ENOUGH = 200
"""Units that make a stratum of its own, where the map has enough of them."""
UNSURE_SHARE, _MOST_UNSURE = 0.25, 0.5
LEAST_RIGHT, MOST_RIGHT, NOT_KNOWN = 0.5, 0.95, 0.8
_CLASS, _HOT, _OUTSIDE, _UNSURE = 0, 1, 2, 3
_APART = {_UNSURE: 1, _OUTSIDE: 2, _CLASS: 4, _HOT: 8}
_WORDS = {
    _HOT: ("in a hot-spot of drift", "outside all hot-spots"),
    _OUTSIDE: ("outside the area of applicability", "inside the area of applicability"),
    _UNSURE: ("confidence of {t} % or less", "confidence above {t} %"),
}
_SHORT = {_HOT: ("drift", "no drift"), _OUTSIDE: ("outside", "inside"), _UNSURE: ("unsure", "sure")}


@dataclass(frozen=True)
class Stratum:
    """Units that are sampled together.

    Attributes:
        name: unique.
        definition: what belongs to it, a sentence part.
        units: in the whole map.
        right: share expected to be mapped right.
        hot: whether most of it lies in a hot-spot.
    """

    name: str
    definition: str
    units: int
    right: float
    hot: bool


@dataclass(frozen=True)
class Stratification:
    """Strata that cover the mapped ground once.

    Attributes:
        strata: in the order of their codes.
        unsure: largest percent of confidence that counts as unsure; -1 where no unit is.
        code: ``(cells,)`` stratum of each kind of unit, by its position in a flat census; -1 for kinds that are not
            there.
    """

    strata: tuple[Stratum, ...]
    unsure: int
    code: NDArray[np.int64]


@dataclass(frozen=True)
class _Group:
    """Some kinds of units: which values of each attribute occur, how many units, of them expected right and hot."""

    kinds: frozenset[tuple[int, int, int, int]]
    seen: tuple[frozenset[int], ...]
    units: int
    right: float
    hot: int

    def __or__(self, other: _Group) -> _Group:
        return _Group(
            self.kinds | other.kinds,
            tuple(a | b for a, b in zip(self.seen, other.seen, strict=True)),
            self.units + other.units,
            self.right + other.right,
            self.hot + other.hot,
        )


def stratify(counts: Counts, classes: Sequence[str], *, least: int, most: int) -> Stratification:
    """Returns strata of class, drift, doubt and applicability, at most so many, each of at least so many units.

    A quarter of the ground, that of lowest confidence, counts as unsure (up to half of it where many units share one
    confidence). A stratum that is too small joins the one that differs least from it. While there are too many, first
    doubt is given up, the smallest pair first, then applicability, then class, and last the difference between drift
    and no drift.

    Args:
        counts: a census.
        classes: names in the order of their codes.
        least: units that a stratum has at least, where the map has as many.
        most: strata, from 1.

    Raises:
        BadInput: nothing is mapped, or a code has no name.
    """
    codes = np.flatnonzero(counts.sum(axis=(1, 2, 3)))
    if not len(codes):
        raise BadInput("The map shows no class anywhere; no ground to ask about.", "ask about another map")
    if codes[-1] >= min(len(classes), NO_CLASS):
        raise BadInput(f"The map shows the code {codes[-1]}, and has {len(classes)} class names.", "give a whole map")
    unsure = _unsure(counts.sum(axis=(0, 1, 2)))
    groups = _merged(_kinds(counts, unsure), max(least, 1), max(most, 1))
    shown = {axis: {value for group in groups for value in group.seen[axis]} for axis in _APART}
    names = _unique([_named(group, classes, shown) for group in groups])
    strata = tuple(
        Stratum(name, _defined(group, classes, shown, unsure), group.units, group.right / group.units,
                2 * group.hot > group.units)
        for name, group in zip(names, groups, strict=True)
    )  # fmt: skip
    return Stratification(strata, unsure, _codes(groups, unsure))


def _unsure(by_percent: NDArray[np.int64]) -> int:
    told = by_percent[:UNKNOWN]
    if not told.sum():
        return -1
    share = np.cumsum(told) / told.sum()
    at = int(np.searchsorted(share, UNSURE_SHARE))
    if share[at] <= _MOST_UNSURE:
        return at
    below = np.flatnonzero(told[:at])
    return int(below[-1]) if len(below) else -1


def _kinds(counts: Counts, unsure: int) -> list[_Group]:
    percent = np.clip(np.arange(UNKNOWN + 1) / 100.0, LEAST_RIGHT, MOST_RIGHT)
    percent[UNKNOWN] = NOT_KNOWN
    doubted = np.arange(UNKNOWN + 1) <= unsure
    found = []
    for code, hot, outside in np.argwhere(counts.sum(axis=3)).tolist():
        for doubt in (0, 1):
            n = counts[code, hot, outside] * (doubted == doubt)
            units = int(n.sum())
            if units:
                # What a model says of itself is not to be believed where it learned from nothing like it.
                right = LEAST_RIGHT * units if hot or outside else float((n * percent).sum())
                kind = (code, hot, outside, doubt)
                seen = tuple(frozenset({value}) for value in kind)
                found.append(_Group(frozenset({kind}), seen, units, right, units * hot))
    return found


def _merged(groups: list[_Group], least: int, most: int) -> list[_Group]:
    left = sorted(groups, key=lambda g: sorted(g.kinds))
    while len(left) > 1:
        small = min(left, key=lambda g: (g.units, sorted(g.kinds)))
        if small.units >= least:
            break
        near = min((g for g in left if g is not small), key=lambda g: (_distance(small, g), g.units, sorted(g.kinds)))
        left = [g for g in left if g is not small and g is not near] + [small | near]
    for given_up in range(1, len(_APART) + 1):
        left = _fewer(left, list(_APART)[given_up:], most)
    return sorted(left, key=lambda g: sorted(g.kinds))


def _fewer(groups: list[_Group], kept: Sequence[int], most: int) -> list[_Group]:
    """Joins groups that are alike in the attributes that are kept, the smallest pair first, while too many are left."""
    left = sorted(groups, key=lambda g: (g.units, sorted(g.kinds)))
    while len(left) > most:
        alike: dict[tuple[frozenset[int], ...], list[_Group]] = {}
        for group in left:
            alike.setdefault(tuple(group.seen[axis] for axis in kept), []).append(group)
        pairs = [found[:2] for found in alike.values() if len(found) > 1]
        if not pairs:
            break
        one, other = min(pairs, key=lambda pair: pair[0].units + pair[1].units)
        rest = [g for g in left if g is not one and g is not other]
        left = sorted([*rest, one | other], key=lambda g: (g.units, sorted(g.kinds)))
    return left


def _distance(one: _Group, other: _Group) -> int:
    return sum(weight for axis, weight in _APART.items() if one.seen[axis] != other.seen[axis])


def _codes(groups: Sequence[_Group], unsure: int) -> NDArray[np.int64]:
    found = np.full(SHAPE, -1, dtype=np.int64)
    doubted = np.arange(UNKNOWN + 1) <= unsure
    for place, group in enumerate(groups):
        for code, hot, outside, doubt in group.kinds:
            found[code, hot, outside, doubted == doubt] = place
    return found.ravel()


def _named(group: _Group, classes: Sequence[str], shown: dict[int, set[int]]) -> str:
    mine = [classes[code] for code in sorted(group.seen[_CLASS])]
    if group.seen[_CLASS] == shown[_CLASS] and len(mine) > 1:
        parts = ["all classes"]
    else:
        parts = ["+".join(mine[:3]) + (f" and {len(mine) - 3} more" if len(mine) > 3 else "")]
    return ", ".join(parts + [yes if 1 in group.seen[axis] else no for axis, (yes, no) in _SHORT.items()
                              if len(shown[axis]) > 1 and len(group.seen[axis]) == 1])  # fmt: skip


def _defined(group: _Group, classes: Sequence[str], shown: dict[int, set[int]], unsure: int) -> str:
    mine = ", ".join(classes[code] for code in sorted(group.seen[_CLASS]))
    told = [
        (yes if 1 in group.seen[axis] else no).format(t=unsure)
        for axis, (yes, no) in _WORDS.items()
        if len(shown[axis]) > 1 and len(group.seen[axis]) == 1
    ]
    kinds = len(group.kinds)
    joined = "" if kinds == 1 else f" ({kinds} kinds of ground that were too small alone)"
    return f"mapped as {mine}" + "".join(f"; {words}" for words in told) + joined


def _unique(names: list[str]) -> list[str]:
    found: list[str] = []
    for name in names:
        n, told = 2, name
        while told in found:
            told, n = f"{name} #{n}", n + 1
        found.append(told)
    return found
