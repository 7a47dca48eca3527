"""The corrected resampled t: folds share most of what they learned from, and their scores are not independent.

Shown beside the gate's own test, and never deciding: it is a heuristic, weak at few folds, and asks another
question (would the recipe be better on average over trainings of this size), with folds as its unit.

McNemar's test is not offered, for recipes or for finished models. Its unit is the pixel, and pixels of
one field repeat each other: it can report p = 2e-5 where the blocks say p = .12.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from geoml_ops.core.errors import BadInput
from geoml_ops.core.evidence import BesideTest
from geoml_ops.domain.gate.differences import ZERO
from geoml_ops.domain.gate.paired import Paired
from geoml_ops.domain.scoring import class_f1, confusion, metric_of

NAME = "corrected resampled t"


def corrected_t(differences: Sequence[float] | NDArray[np.float64], test_to_train: float) -> tuple[float, float]:
    """Returns t and its one-sided p against "no better on average".

    ``t = mean(d) / sqrt(var(d) (1 / J + n_test / n_train))`` with ``J - 1`` degrees of freedom (Nadeau and
    Bengio 2003). Over one round of k folds the factor is ``1/k + 1/(k-1)``.

    Args:
        differences: ``(J,)`` challenger minus other in each fold, all repeats together.
        test_to_train: samples tested over samples learned from, > 0.

    Raises:
        BadInput: fewer than two folds, or no spread between them.
    """
    d = np.asarray(differences, dtype=np.float64)
    if len(d) < 2:
        raise BadInput(f"{len(d)} fold has no spread.", "compare over two or more folds")
    spread = float(d.var(ddof=1))
    if spread < ZERO**2:
        raise BadInput(f"All {len(d)} folds differ by {float(d[0]):+.4f}; there is no spread to test against.")
    t = float(d.mean() / np.sqrt(spread * (1 / len(d) + test_to_train)))
    return t, float(stats.t.sf(t, len(d) - 1))


def resampled(paired: Paired, metric: str) -> BesideTest | None:
    """Returns the corrected resampled t over all folds of all repeats.

    None for finished models, which have no folds; where nobody says what folds learned from; and
    where folds are smaller than blocks (leave-one-out), so that they are no unit of evidence at all.

    Args:
        paired: both recipes' answers, and their repeats.
        metric: one of :data:`geoml_ops.domain.scoring.METRICS`; F1 is averaged over classes true in the fold.
    """
    gains: list[float] = []
    ratios: list[float] = []
    for one in (paired, *paired.repeats):
        held = one.tested
        if held.fold is None or not held.n_train:
            return None
        folds = np.unique(held.fold)
        if len(folds) > held.n_blocks:
            return None
        for number in folds:
            inside = held.fold == number
            gains.append(_gain(held, inside, metric))
            ratios.append(float(inside.sum()) / max(held.n_train[number], 1))
    return _shown(gains, float(np.mean(ratios)), 1 + len(paired.repeats)) if len(gains) > 1 else None


def _shown(gains: list[float], ratio: float, rounds: int) -> BesideTest:
    try:
        t, p = corrected_t(gains, ratio)
    except BadInput as error:
        return BesideTest(name=NAME, statistic=0.0, p=1.0, sentence=error.fact)
    return BesideTest(
        name=NAME,
        statistic=t,
        p=p,
        sentence=f"Over {len(gains)} folds in {rounds} round{'s' * (rounds > 1)} the challenger is "
        f"{np.mean(gains):+.4f} better on average; t = {t:.3f}, one-sided p = {p:.4f} "
        f"(variance times 1/{len(gains)} + {ratio:.3f}).",
    )


def _gain(held: Paired, inside: NDArray[np.bool_], metric: str) -> float:
    n = len(held.classes)
    pair = np.stack([confusion(held.codes[inside], a[inside], n) for a in (held.challenger, held.other)])
    if metric == "macro_f1":
        true = pair[0].sum(axis=1) > 0
        f1 = class_f1(pair)[:, true].mean(axis=1)
        return float(f1[0] - f1[1])
    found = metric_of(pair, metric)
    return float(found[0] - found[1])
