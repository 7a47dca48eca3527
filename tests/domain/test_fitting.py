"""Answers come for the whole class list, whatever a train side holds, and the same each time."""

from __future__ import annotations

import functools

import numpy as np
import pytest
from sklearn.inspection import permutation_importance as sklearn_importance
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import KFold, cross_val_predict

from geoml_ops.core.errors import BadInput
from geoml_ops.domain.fitting import brier, fit, out_of_fold, permutation_importance, random_forest

RNG = np.random.default_rng(0)
FEATURES = RNG.normal(size=(300, 4)).astype(np.float32)
CODES = np.digitize(FEATURES[:, 0] + 0.3 * RNG.normal(size=300), [-0.5, 0.5]).astype(np.int64)


def forest(n_classes: int) -> object:
    return random_forest({"n_estimators": 20, "max_depth": 6}, 3, n_classes)


def test_out_of_fold_answers_equal_scikit_learns() -> None:
    splits = list(KFold(5, shuffle=True, random_state=1).split(FEATURES))
    ours = out_of_fold(FEATURES, CODES, splits, lambda k: LogisticRegression(), 3)
    theirs = cross_val_predict(LogisticRegression(), FEATURES, CODES, cv=splits, method="predict_proba")
    np.testing.assert_allclose(ours.probability, theirs, rtol=0, atol=1e-12)
    for number, (train, test) in enumerate(splits):
        assert (ours.fold[test] == number).all()
        assert (ours.no_skill[test] == np.bincount(CODES[train]).argmax()).all()


def test_a_class_missing_from_a_train_side_gets_probability_zero() -> None:
    train, test = np.flatnonzero(CODES != 1), np.flatnonzero(CODES == 1)
    answers = out_of_fold(FEATURES, CODES, [(train, test)], forest, 4)
    assert (answers.probability[test][:, [1, 3]] == 0).all()
    np.testing.assert_allclose(answers.probability[test].sum(axis=1), 1)
    assert np.isnan(answers.probability[train]).all()
    assert (answers.fold[train] == -1).all()


def test_one_class_only_is_answered_with_certainty_and_none_is_refused() -> None:
    only = fit(forest, FEATURES[:5], np.full(5, 2), 3)
    assert only.probability(FEATURES[:2]).tolist() == [[0, 0, 1], [0, 0, 1]]
    with pytest.raises(BadInput, match="no samples"):
        fit(forest, FEATURES[:0], CODES[:0], 3)


def test_the_forest_is_the_same_each_time_and_reads_nan() -> None:
    holes = FEATURES.copy()
    holes[RNG.random(holes.shape) < 0.1] = np.nan
    first, second = (fit(forest, holes, CODES, 3) for _ in range(2))
    assert (first.probability(holes) == second.probability(holes)).all()


def test_shuffling_the_feature_that_tells_costs_most() -> None:
    splits = list(KFold(5, shuffle=True, random_state=1).split(FEATURES))
    answers = out_of_fold(FEATURES, CODES, splits, forest, 3, shuffles=3)
    assert answers.importance.argmax() == 0
    assert answers.importance[0] > 10 * np.abs(answers.importance[1:]).max()
    assert (out_of_fold(FEATURES, CODES, splits, forest, 3).importance == 0).all()


def test_importance_is_what_scikit_learn_measures() -> None:
    model = fit(forest, FEATURES[:200], CODES[:200], 3)
    ours = permutation_importance(
        model, FEATURES[200:], CODES[200:], donors=FEATURES[200:], shuffles=200, rng=np.random.default_rng(0)
    )
    theirs = sklearn_importance(
        model.estimator,
        FEATURES[200:],
        CODES[200:],
        scoring=lambda m, x, y: -brier(m.predict_proba(x), y),
        n_repeats=200,
        random_state=1,
    ).importances_mean
    np.testing.assert_allclose(ours, theirs, atol=0.01)


def test_samples_that_no_fold_tests_have_no_answer() -> None:
    answers = out_of_fold(FEATURES, CODES, [(np.arange(100, 300), np.arange(50))], forest, 3)
    assert answers.tested.sum() == 50
    assert (answers.predicted[50:] == -1).all()
    assert (answers.predicted[:50] >= 0).all()


def test_an_unknown_parameter_is_named() -> None:
    with pytest.raises(BadInput, match="trees"):
        random_forest({"trees": 3}, 0, 2)


def test_importance_is_kept_fold_by_fold_and_its_mean_over_samples_is_the_pooled_one() -> None:
    rng = np.random.default_rng(3)
    features = rng.normal(size=(300, 3)).astype(np.float32)
    codes = (features[:, 1] > 0).astype(np.int64)
    cut = [np.arange(0, 50), np.arange(50, 180), np.arange(180, 300)]
    folds = [(np.setdiff1d(np.arange(300), test), test) for test in cut]
    build = functools.partial(random_forest, {"n_estimators": 10}, 0)
    found = out_of_fold(features, codes, folds, build, 2, shuffles=2)
    assert found.importance_per_fold is not None
    assert found.importance_per_fold.shape == (3, 3)
    np.testing.assert_allclose(found.importance, [50, 130, 120] @ found.importance_per_fold / 300)
    assert (found.importance_per_fold.argmax(axis=1) == 1).all()
    assert out_of_fold(features, codes, folds, build, 2).importance_per_fold is None
