"""Recursive elimination: the least important features leave, round by round, and spatial folds say how many.

After Guyon et al. 2002, with permutation importance (Gregorutti et al. 2017) on ground that was not learned
from; the smallest set within one standard error of the best stays (Breiman et al. 1984).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geoml_ops.core.experiment import SelectionRules
from geoml_ops.domain.selecting.permutation import mean_and_spread, over_folds
from geoml_ops.domain.selecting.rules import Chosen, Codes, Floats, Ground, RfeOptions, options_of, without_constants


@dataclass(frozen=True)
class _Round:
    """One set of features and what its folds showed: losses ``(tested,)`` and importance ``(columns,)``."""

    columns: NDArray[np.int64]
    loss: Floats
    importance: Floats
    unit: Codes


def by_elimination(ground: Ground, rules: SelectionRules) -> Chosen:
    """Returns the smallest set of features, at most ``most``, that folds cannot tell from the best set.

    The difference to the best set is taken sample by sample, and its standard error over blocks of evidence: how
    hard the ground of a fold is, is the same for both and does not count.
    """
    options = options_of(RfeOptions, rules)
    columns, because = without_constants(ground)
    rounds = _rounds(ground, columns, options, rules.most)
    allowed = [each for each in rounds if rules.most is None or len(each.columns) <= rules.most]
    best = min(allowed, key=lambda each: (float(each.loss.mean()), len(each.columns)))
    good = [each for each in allowed if _as_good(each, best)]
    chosen = min(good, key=lambda each: len(each.columns))
    measured = np.full(ground.features.shape[1], np.nan)
    kept = {int(j) for j in chosen.columns}
    for number, each in enumerate(rounds):
        for j, value in zip(each.columns, each.importance, strict=True):
            if int(j) not in kept or each is chosen:
                measured[j] = value
                because[int(j)] = (
                    f"left in round {number + 1} as one of the least important of {len(each.columns)} "
                    f"({value:.2g}); {len(kept)} features without it score {chosen.loss.mean():.4f}, the best set of "
                    f"{len(best.columns)} {best.loss.mean():.4f} (Brier)"
                )
    return Chosen(tuple(sorted(kept)), measured, {j: why for j, why in because.items() if j not in kept})


def _rounds(ground: Ground, columns: NDArray[np.int64], options: RfeOptions, most: int | None) -> list[_Round]:
    found: list[_Round] = []
    while True:
        loss, grown, unit = over_folds(ground, columns, shuffles=options.shuffles, stream=len(found))
        importance = grown.mean(axis=0)
        found.append(_Round(columns, loss, importance, unit))
        if len(columns) == 1:
            return found
        left = max(1, len(columns) - math.ceil(options.share * len(columns)))
        left = most if most is not None and left < most < len(columns) else left
        # Of equals the last in the list of features leaves, as with collinear ones.
        order = np.lexsort((np.arange(len(columns)), -importance))
        columns = np.sort(columns[order[:left]])


def _as_good(one: _Round, best: _Round) -> bool:
    mean, spread, m = mean_and_spread((one.loss - best.loss)[:, None], best.unit)
    return bool(one is best or mean[0] <= 0 or (m > 1 and mean[0] <= spread[0]))
