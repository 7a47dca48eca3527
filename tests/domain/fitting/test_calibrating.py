"""Probabilities mean what they say: equal to scikit-learn's curves, and right where the truth is known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import ExtraTreesClassifier

from geoml_ops.domain.fitting import calibrating, fit, recipe
from geoml_ops.domain.fitting.calibrating import SUREST, curve, gentle, log_odds
from tests.domain.fitting.ground import NAMES, Fixed, asked, ground, strips, with_families

FEATURES, CODES = ground(noise=0.9)
SPLITS = list(strips()(np.arange(len(CODES))))


class OddsForest(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A forest that offers its log-odds as scores, so that scikit-learn calibrates these."""

    def fit(self, X: Any, y: Any) -> OddsForest:
        self.model_ = ExtraTreesClassifier(12, random_state=0).fit(X, y)
        self.classes_ = self.model_.classes_
        return self

    def decision_function(self, X: Any) -> Any:
        found = log_odds(self.model_.predict_proba(X))
        return found if len(self.classes_) > 2 else found[:, 1]

    def predict(self, X: Any) -> Any:
        return self.model_.predict(X)


def forest(n_classes: int, method: str) -> Any:
    families = with_families(trees=lambda params, setting: ExtraTreesClassifier(12, random_state=0))
    own = recipe({"calibrate": method}, families, name="trees", classes=NAMES[:n_classes])
    return fit(own, FEATURES, np.minimum(CODES, n_classes - 1), n_classes, inner=strips())


@pytest.mark.parametrize("n_classes", [2, 3])
def test_sigmoids_are_scikit_learns_on_log_odds(n_classes: int) -> None:
    codes = np.minimum(CODES, n_classes - 1)
    theirs = CalibratedClassifierCV(OddsForest(), method="sigmoid", cv=SPLITS, ensemble=False).fit(FEATURES, codes)
    ours = forest(n_classes, "sigmoid").probability(FEATURES)
    np.testing.assert_allclose(ours, theirs.predict_proba(FEATURES), atol=2e-4)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_isotonic_curves_are_scikit_learns_but_for_their_steps(n_classes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    codes, trees = np.minimum(CODES, n_classes - 1), ExtraTreesClassifier(12, random_state=0)
    theirs = CalibratedClassifierCV(trees, method="isotonic", cv=SPLITS, ensemble=False).fit(FEATURES, codes)
    gently = forest(n_classes, "isotonic").probability(FEATURES)
    monkeypatch.setattr(calibrating, "STEEPEST", 1e9)
    ours = forest(n_classes, "isotonic").probability(FEATURES)
    np.testing.assert_allclose(ours, theirs.predict_proba(FEATURES), atol=1e-5)
    assert 0 < np.abs(gently - ours).max() < 0.5


def test_calibration_undoes_what_class_weights_did() -> None:
    """With a true logistic world, weights w shift log-odds by log w; the curve found is slope 1, shift -log w."""
    rng = np.random.default_rng(0)
    features = rng.normal(size=(6000, 2)).astype(np.float32)
    truth = expit(1.5 * features[:, 0] - 2.0)
    codes = (rng.random(6000) < truth).astype(np.int64)
    params: dict[str, Any] = {"C": 1e4}
    weighted = asked("logistic_regression", params, class_weight={"forest": 8.0})
    distorted = fit(weighted, features, codes, 3).probability(features)[:, 1]
    mended = fit(asked("logistic_regression", params, class_weight={"forest": 8.0}, calibrate="sigmoid"), features,
                 codes, 3, inner=strips())  # fmt: skip
    assert distorted.mean() > codes.mean() + 0.2
    assert abs(mended.probability(features)[:, 1].mean() - codes.mean()) < 0.01
    np.testing.assert_allclose(mended.probability(features)[:, 1], truth, atol=0.05)
    curve = mended.estimator.curves_[0]
    assert abs(curve.slope - 1) < 0.1
    assert abs(curve.shift + np.log(8)) < 0.2


def test_folds_that_part_neighbours_find_out_overconfidence() -> None:
    """A model that copies neighbours is sure of everything; on ground of its own it is right half of the time."""

    class Copier(Fixed):
        def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Copier:
            super().fit(X, y)
            self.place, self.label = X[:, 0], y
            return self

        def predict_proba(self, X: Any) -> Any:
            nearest = np.abs(X[:, :1] - self.place).argmin(axis=1)
            return np.eye(2)[self.label[nearest]]

    rng = np.random.default_rng(1)
    codes = np.repeat(rng.integers(0, 2, 100), 10).astype(np.int64)
    place = np.arange(1000, dtype=np.float32)[:, None]
    own = recipe({"calibrate": "isotonic"}, with_families(copier=lambda p, s: Copier()), name="copier")
    surest = {
        name: fit(own, place, codes, 2, inner=inner).probability(place).max(axis=1).mean()
        for name, inner in {"spatial": strips(3, 10), "random": strips(3, 1)}.items()
    }
    assert surest["random"] > 0.85
    assert surest["spatial"] < 0.65


@pytest.mark.parametrize("method", ["sigmoid", "isotonic"])
@pytest.mark.parametrize("odds", [True, False])
def test_no_curve_falls(method: str, odds: bool) -> None:
    scores, truth = np.linspace(0.1, 0.9, 9), np.arange(9) < 4
    found = curve(scores, truth, None, method=method, odds=odds)
    assert found is not None
    np.testing.assert_allclose(found(scores), found(scores)[0])
    assert found(scores)[0] == pytest.approx(4 / 9, abs=0.05)


def test_a_class_the_folds_say_nothing_about_keeps_its_score() -> None:
    codes = CODES.copy()
    codes[codes == 2] = 1
    codes[40:60] = 2
    features = FEATURES.copy()
    features[40:60, 1] += 20
    own = asked("logistic_regression", {"C": 1.0}, calibrate="isotonic")
    said = fit(own, features, codes, 3, inner=strips()).probability(features)
    assert (said[40:60].argmax(axis=1) == 2).all()
    np.testing.assert_allclose(said.sum(axis=1), 1)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=30, unique_by=lambda p: p[0]))
def test_a_gentle_curve_rises_never_too_steeply_and_changes_nothing_gentle(points: list[tuple[float, float]]) -> None:
    at = np.sort([p[0] for p in points])
    value = np.sort([p[1] for p in points])
    found = gentle(at, value)
    assert (np.diff(found) >= -1e-12).all()
    assert (np.diff(found) <= calibrating.STEEPEST * np.diff(at) + 1e-12).all()
    if (np.diff(value) <= calibrating.STEEPEST * np.diff(at)).all():
        np.testing.assert_allclose(found, value, atol=1e-12)
    np.testing.assert_array_less(np.abs(gentle(at, found) - found), 1e-9)


def test_log_odds_are_as_sure_as_samples_allow() -> None:
    assert log_odds(np.array([0.5]))[0] == 0
    assert log_odds(np.array([0.0]))[0] == pytest.approx(np.log(SUREST / (1 - SUREST)))
    assert log_odds(np.array([1.0, 0.75])) == pytest.approx([-np.log(SUREST / (1 - SUREST)), np.log(3)])
