"""Importance by permutation on ground that the model has not seen.

Permutation importance (Breiman 2001; Fisher, Rudin and Dominici 2019) by the Brier score. In random folds a
feature that only names the place is as good as one that tells the class; in spatial folds it is worth nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from geoml_ops.core.experiment import SelectionRules
from geoml_ops.domain.folds import Split
from geoml_ops.domain.selecting.rules import (
    Build,
    Chosen,
    Codes,
    Floats,
    Ground,
    PermutationOptions,
    at_most,
    never_none,
    options_of,
    without_constants,
)

ROWS = 40_000
"""Rows that are answered at once."""
Rows = NDArray[np.floating[Any]]
Answer = Callable[[Any], Floats]


def losses(probability: Floats, code: Codes) -> Floats:
    """Returns the squared distance of each answer ``(n, classes)`` from the truth, ``(n,)``, 0 to 2 (Brier 1950)."""
    wanted = np.zeros_like(probability)
    wanted[np.arange(len(code)), code] = 1.0
    return np.asarray(np.square(probability - wanted).sum(axis=1), dtype=np.float64)


def answer_of(build: Build, features: Floats, code: Codes, n_classes: int) -> Answer:
    """Returns what answers rows with probabilities ``(n, n_classes)``, learned from these samples."""
    present, contiguous = np.unique(code, return_inverse=True)
    model = build(len(present)).fit(features.astype(np.float32), contiguous) if len(present) > 1 else None

    def answer(rows: Floats) -> Floats:
        full = np.zeros((len(rows), n_classes))
        full[:, present] = 1.0 if model is None else model.predict_proba(rows.astype(np.float32))
        return full

    return answer


def growth(
    answer: Answer, features: Rows, code: Codes, *, donors: Rows, shuffles: int, rng: np.random.Generator
) -> tuple[Floats, Floats]:
    """Returns each row's loss, and by how much it grows when a feature takes another sample's value.

    Args:
        answer: learned without these rows.
        features: ``(n, features)``.
        code: ``(n,)`` classes.
        donors: ``(m, features)`` whose values stand in.
        shuffles: mean over that many values.
        rng: of the draws.

    Returns:
        ``(n,)`` and ``(n, features)``.
    """
    (n, width), before = features.shape, losses(answer(features), code)
    after = np.zeros((n, width))
    at_once = max(1, ROWS // max(n, 1))
    todo = [(column, shuffle) for column in range(width) for shuffle in range(shuffles)]
    for start in range(0, len(todo), at_once):
        part = todo[start : start + at_once]
        rows = np.tile(features, (len(part), 1))
        for position, (column, _) in enumerate(part):
            rows[position * n : (position + 1) * n, column] = rng.choice(donors[:, column], n)
        found = losses(answer(rows), np.tile(code, len(part))).reshape(len(part), n)
        for position, (column, _) in enumerate(part):
            after[:, column] += found[position] / shuffles
    return before, after - before[:, None]


def over_folds(
    ground: Ground, columns: NDArray[np.int64], *, shuffles: int, stream: int = 0
) -> tuple[Floats, Floats, Codes]:
    """Returns losses ``(tested,)``, their growth ``(tested, columns)`` and units ``(tested,)``, of all folds."""
    k, found = int(ground.code.max()) + 1, []
    features = ground.features[:, columns]
    for number, (train, test) in enumerate(ground.splits):
        rng = np.random.default_rng([ground.seed, stream, number])
        answer = answer_of(ground.build, features[train], ground.code[train], k)
        pair = growth(answer, features[test], ground.code[test], donors=features, shuffles=shuffles, rng=rng)
        found.append((*pair, ground.unit[test]))
    loss, grown, unit = zip(*found, strict=True)
    return np.concatenate(loss), np.concatenate(grown), np.concatenate(unit)


def mean_and_spread(values: Floats, unit: Codes) -> tuple[Floats, Floats, int]:
    """Returns column means, their standard errors over blocks of evidence, and the number of blocks.

    The linearised error of a ratio (Cochran 1977, 6.4): blocks are drawn, samples are not.

    Args:
        values: ``(n, columns)``.
        unit: ``(n,)``.
    """
    _, of = np.unique(unit, return_inverse=True)
    m, n = int(of.max()) + 1, len(values)
    mean = values.mean(axis=0)
    apart = np.zeros((m, values.shape[1]))
    np.add.at(apart, of, values - mean)
    spread = np.sqrt(np.square(apart).sum(axis=0) * m / max(m - 1, 1)) / n
    return mean, spread if m > 1 else np.full(values.shape[1], np.inf), m


def by_permutation(ground: Ground, rules: SelectionRules) -> Chosen:
    """Returns the features whose importance on unseen ground is above 0 by more than chance, at most ``most`` of them.

    One-sided test of Student's t over blocks of evidence, at ``alpha`` for each feature. Two features that say the
    same share their importance and can both fail: leave out collinear ones before.
    """
    options = options_of(PermutationOptions, rules)
    columns, because = without_constants(ground)
    _, grown, unit = over_folds(ground, columns, shuffles=options.shuffles)
    mean, spread, m = mean_and_spread(grown, unit)
    wanted = float(stats.t.ppf(1 - options.alpha, max(m - 1, 1))) * spread
    measured = np.full(ground.features.shape[1], np.nan)
    measured[columns] = mean
    passed = [int(j) for j, ok in zip(columns, (mean > wanted) & (mean > 0), strict=True) if ok]
    failed = {
        int(j): f"the Brier score grows by {mean[p]:.2g} without it, which {m} blocks cannot tell from 0 "
        f"(it would take {wanted[p]:.2g})"
        for p, j in enumerate(columns)
        if int(j) not in passed
    }
    because.update(failed)
    kept = never_none(passed, measured, because, failed)
    return Chosen(at_most(kept, measured, rules.most, because), measured, because)


def folds_seen(splits: tuple[Split, ...], n: int) -> Codes:
    """Returns the fold that tests each sample, ``(n,)``: the units where no blocks are known; -1 where none does."""
    unit = np.full(n, -1, dtype=np.int64)
    for number, (_, test) in enumerate(splits):
        unit[test] = number
    return unit
