"""Boruta: a feature stays if it beats the best of many shuffled copies more often than chance allows.

Kursa and Rudnicki 2010, with importance taken by permutation on ground that the forest has not seen, fold after
fold: measured in the forest itself, a feature that only names the place beats every shadow.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from geoml_ops.core.experiment import SelectionRules
from geoml_ops.domain.selecting.permutation import answer_of, growth
from geoml_ops.domain.selecting.rules import (
    BorutaOptions,
    Chosen,
    Codes,
    Floats,
    Ground,
    at_most,
    never_none,
    options_of,
    without_constants,
)

LEAST_SHADOWS = 16
"""A useless feature is the best of itself and so many shadows by chance once in one more than these."""
LEAST_BLOCKS = 10
Bools = NDArray[np.bool_]


class _Course:
    """How a search stands: arrays have one entry per feature that varies."""

    def __init__(self, n: int) -> None:
        self.hits = np.zeros(n, dtype=np.int64)
        self.met = np.zeros(n, dtype=np.int64)
        self.confirmed = np.zeros(n, dtype=bool)
        self.rejected = np.zeros(n, dtype=bool)
        self.importance: list[Floats] = []
        self.shadow: list[float] = []

    @property
    def open(self) -> Bools:
        """True for features that are neither confirmed nor rejected."""
        return ~(self.confirmed | self.rejected)

    def judge(self, options: BorutaOptions) -> None:
        """Confirms and rejects by two one-sided binomial tests of hits against a fair coin."""
        mine, n = self.open, len(self.hits)
        often = stats.binom.sf(self.hits - 1, self.met, 0.5)
        seldom = stats.binom.cdf(self.hits, self.met, 0.5)
        if options.correction == "bh":
            level = options.alpha / len(self.shadow)
            few, rare = _discoveries(often, level), _discoveries(seldom, level)
        else:
            few, rare = often <= options.alpha / n, seldom <= options.alpha / n
        self.confirmed |= mine & few
        self.rejected |= mine & rare


def by_boruta(ground: Ground, rules: SelectionRules) -> Chosen:
    """Returns the features that are confirmed, at most ``most`` of them.

    What is still open after all iterations stays if its median importance is above the median of the best shadows.
    """
    options = options_of(BorutaOptions, rules)
    columns, because = without_constants(ground)
    course = _Course(len(columns))
    for number in range(options.iterations):
        _meet_shadows(ground, columns, course, options, number)
        course.judge(options)
        if not course.open.any():
            break
    every = np.vstack(course.importance)
    seen = np.isfinite(every)
    middle = np.array([np.median(every[seen[:, p], p]) for p in range(len(columns))])
    passed = course.confirmed | (course.open & (middle > np.median(course.shadow)))
    measured = np.full(ground.features.shape[1], np.nan)
    measured[columns] = middle
    failed = {int(j): _sentence(course, p) for p, j in enumerate(columns) if not passed[p]}
    because.update(failed)
    kept = never_none([int(j) for j in columns[passed]], measured, because, failed)
    return Chosen(at_most(kept, measured, rules.most, because), measured, because)


def _meet_shadows(
    ground: Ground, columns: NDArray[np.int64], course: _Course, options: BorutaOptions, number: int
) -> None:
    rng = np.random.default_rng([ground.seed, number])
    train, test = ground.splits[number % len(ground.splits)]
    mine = np.flatnonzero(~course.rejected)
    features = ground.features[:, columns[mine]]
    cast = np.resize(np.arange(len(mine)), max(len(mine), LEAST_SHADOWS))
    shadows = np.column_stack([_moved(features[:, column], ground.unit, rng) for column in cast])
    both, k = np.hstack([features, shadows]), int(ground.code.max()) + 1
    answer = answer_of(ground.build, both[train], ground.code[train], k)
    _, grown = growth(answer, both[test], ground.code[test], donors=both, shuffles=options.shuffles, rng=rng)
    found = grown.mean(axis=0)
    best = float(found[len(mine) :].max())
    row = np.full(len(columns), np.nan)
    row[mine] = found[: len(mine)]
    course.importance.append(row)
    course.shadow.append(best)
    course.met[mine] += 1
    course.hits[mine] += found[: len(mine)] > best


def _moved(values: Floats, unit: Codes, rng: np.random.Generator) -> Floats:
    """Returns a shadow of a feature ``(n,)``: each block of evidence takes its values from another one.

    A shadow whose values are dealt sample by sample has lost what makes a useless feature dangerous, that
    neighbours are alike. With fewer blocks than can be dealt it is samples after all.
    """
    found, of, size = np.unique(unit, return_inverse=True, return_counts=True)
    if len(found) < LEAST_BLOCKS:
        return rng.permutation(values)
    order, first = np.argsort(of, kind="stable"), np.concatenate([[0], np.cumsum(size)[:-1]])
    giver = rng.permutation(len(found))[of]
    return np.asarray(values[order[first[giver] + np.floor(rng.random(len(values)) * size[giver]).astype(np.int64)]])


def _discoveries(p: Floats, level: float) -> Bools:
    """Returns which hypotheses are rejected at a false discovery rate (Benjamini and Hochberg 1995)."""
    order = np.argsort(p)
    below = p[order] <= level * np.arange(1, len(p) + 1) / len(p)
    found = np.zeros(len(p), dtype=bool)
    found[order[: int(np.flatnonzero(below)[-1]) + 1 if below.any() else 0]] = True
    return found


def _sentence(course: _Course, p: int) -> str:
    what = "rejected" if course.rejected[p] else "left open and below the shadows' median"
    return f"beat the best shuffled copy in {course.hits[p]} of {course.met[p]} forests: {what}"
