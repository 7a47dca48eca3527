"""The corrected resampled t: the documented example, folds by hand, and when it is not shown."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats
from sklearn.datasets import make_moons
from sklearn.model_selection import RepeatedStratifiedKFold, cross_val_score
from sklearn.svm import SVC

from geoml_ops.core.errors import BadInput
from geoml_ops.domain.gate import Paired
from geoml_ops.domain.gate.resampled import corrected_t, resampled
from tests.domain.gate.pairs import clustered, from_gains


def test_the_documented_example_of_scikit_learn() -> None:
    X, y = make_moons(noise=0.352, random_state=1, n_samples=100)
    cv = RepeatedStratifiedKFold(n_splits=10, n_repeats=10, random_state=0)
    rbf, linear = (
        cross_val_score(SVC(kernel=k, random_state=0), X, y, scoring="roc_auc", cv=cv) for k in ("rbf", "linear")
    )
    t, p = corrected_t(rbf - linear, 10 / 90)
    assert (round(t, 4), round(p, 4)) == (0.7503, 0.2274)
    t, p = corrected_t(rbf - linear, 0.0)
    assert (round(t, 3), round(p, 4)) == (2.611, 0.0052), "what independent folds would have made of it"


def by_hand(paired: Paired) -> tuple[float, float]:
    gains, ratios = [], []
    for one in (paired, *paired.repeats):
        assert one.fold is not None
        for number in np.unique(one.fold):
            inside = one.fold == number
            gains.append(np.mean(one.challenger[inside] == one.codes[inside]))
            gains[-1] -= np.mean(one.other[inside] == one.codes[inside])
            ratios.append(inside.sum() / one.n_train[number])
    t = np.mean(gains) / np.sqrt(np.var(gains, ddof=1) * (1 / len(gains) + np.mean(ratios)))
    return float(t), float(stats.t.sf(t, len(gains) - 1))


def test_all_folds_of_all_repeats_count() -> None:
    rng = np.random.default_rng(0)
    first = clustered(rng, gain=0.05)
    others = tuple(replace(clustered(rng, gain=0.02), repeats=()) for _ in range(3))
    paired = replace(first, repeats=others)
    found = resampled(paired, "overall_accuracy")
    assert found is not None
    assert (found.statistic, found.p) == pytest.approx(by_hand(paired))
    assert "20 folds in 4 rounds" in found.sentence
    once = resampled(first, "overall_accuracy")
    assert once is not None
    # One round of five folds without a buffer: 1/k + 1/(k - 1).
    assert "1/5 + 0.250" in once.sentence
    assert resampled(first, "macro_f1") is not None


def test_f1_of_a_fold_is_over_the_classes_that_are_true_in_it() -> None:
    gains = np.repeat([8, 2, 5, 0, 11], 4)
    paired = replace(from_gains(gains), fold=np.repeat(np.arange(5), 400), n_train=(1600,) * 5)
    found = resampled(paired, "macro_f1")
    assert found is not None
    # Only water is true anywhere: forest, answered and never true, would halve every fold's gain.
    right = np.array([232, 208, 220, 200, 244])
    expected, _ = corrected_t(2 * right / (400 + right) - 2 * 200 / (400 + 200), 0.25)
    assert found.statistic == pytest.approx(expected)


def test_when_it_is_not_shown() -> None:
    paired = clustered(np.random.default_rng(1))
    assert resampled(replace(paired, fold=None, n_train=()), "overall_accuracy") is None
    assert resampled(replace(paired, n_train=()), "overall_accuracy") is None
    n = len(paired)
    alone = replace(paired, fold=np.arange(n), n_train=(n - 1,) * n)
    assert resampled(alone, "overall_accuracy") is None, "a fold of one pixel is no unit of evidence"
    one = replace(paired, fold=np.zeros(n, dtype=np.int64), n_train=(5,))
    assert resampled(one, "overall_accuracy") is None
    assert resampled(replace(paired, repeats=(replace(paired, n_train=()),)), "overall_accuracy") is None


def test_folds_that_all_differ_alike_have_no_t() -> None:
    paired = clustered(np.random.default_rng(2))
    found = resampled(replace(paired, challenger=paired.other), "overall_accuracy")
    assert found is not None
    assert (found.statistic, found.p) == (0.0, 1.0)
    assert "no spread" in found.sentence
    with pytest.raises(BadInput, match="1 fold"):
        corrected_t([0.1], 0.25)
