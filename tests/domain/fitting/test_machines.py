"""Margins of pairs are scikit-learn's; coupled they are the probabilities they came from."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit
from sklearn.svm import SVC

from geoml_ops.domain.fitting import Coupled, SupportVectors, coupled, fit, pairs_of, recipe
from geoml_ops.domain.fitting.families import FAMILIES
from tests.domain.fitting.ground import strips

RNG = np.random.default_rng(0)
SAMPLES = RNG.normal(size=(600, 5)).astype(np.float32)
ROWS = RNG.normal(size=(2000, 5)).astype(np.float32)


def ordered(rows: np.ndarray, n_classes: int) -> np.ndarray:
    """Classes that follow each other along the first feature, the hard case of one against the rest."""
    return np.digitize(rows[:, 0], np.linspace(-1, 1, n_classes - 1)).astype(np.int64)


@pytest.mark.parametrize("n_classes", [2, 3, 5])
def test_margins_are_scikit_learns_and_speak_for_the_first_class(n_classes: int) -> None:
    codes = ordered(SAMPLES, n_classes)
    theirs = SVC(C=3.0, decision_function_shape="ovo").fit(SAMPLES.astype(np.float64), codes)
    ours = SupportVectors(C=3.0).fit(SAMPLES, codes)
    wanted = theirs.decision_function(ROWS.astype(np.float64)).reshape(len(ROWS), -1)
    np.testing.assert_allclose(ours.margins(ROWS), -wanted if n_classes == 2 else wanted, atol=1e-9)
    for number, (one, other) in enumerate(pairs_of(range(n_classes))):
        mine = np.isin(codes, (one, other))
        right = (ours.margins(SAMPLES)[mine, number] > 0) == (codes[mine] == one)
        assert right.mean() > 0.9


@settings(max_examples=200, deadline=None)
@given(st.lists(st.floats(1e-4, 1), min_size=2, max_size=8))
def test_coupling_finds_the_probabilities_that_pairs_came_from(shares: list[float]) -> None:
    p = np.array(shares) / sum(shares)
    pairs = np.array([[p[i] / (p[i] + p[j]) for i, j in pairs_of(range(len(p)))]])
    np.testing.assert_allclose(coupled(pairs, len(p))[0], p, atol=1e-9)


def test_sure_pairs_that_contradict_each_other_are_shared_out() -> None:
    found = coupled(np.array([[1.0, 0.0, 1.0]]), 3)
    np.testing.assert_allclose(found, 1 / 3, atol=1e-6)


def test_classes_between_others_get_probabilities_that_are_true() -> None:
    rng = np.random.default_rng(1)
    features = rng.uniform(-3, 3, size=(4000, 1)).astype(np.float32)
    steps = np.column_stack([expit(3 * (features[:, 0] - cut)) for cut in (-1.0, 1.0)])
    truth = np.column_stack([1 - steps[:, 0], steps[:, 0] - steps[:, 1], steps[:, 1]])
    codes = (rng.random(4000)[:, None] > np.cumsum(truth, axis=1)).sum(axis=1).astype(np.int64)
    own = recipe({"C": 1.0}, FAMILIES, name="svm", classes=("a", "b", "c"))
    model = fit(own, features[:2000], codes[:2000], 3, inner=strips())
    assert isinstance(model.estimator, Coupled)
    said = model.probability(features[2000:])
    assert np.abs(said - truth[2000:]).mean() < 0.05
    assert np.abs(said.mean(axis=0) - truth[2000:].mean(axis=0)).max() < 0.02
    assert (said.argmax(axis=1) == truth[2000:].argmax(axis=1)).mean() > 0.95


def test_a_pair_that_no_fold_tells_about_takes_the_curve_of_all() -> None:
    codes = ordered(SAMPLES, 3)
    codes[:] = np.where(codes == 2, 1, codes)
    codes[40:60] = 2
    model = fit(recipe({}, FAMILIES, name="svm", classes="abc"), SAMPLES, codes, 3, inner=strips())
    first, second, third = model.estimator.curves_
    assert second == third
    assert first != second or first == third
    np.testing.assert_allclose(model.probability(ROWS).sum(axis=1), 1)
