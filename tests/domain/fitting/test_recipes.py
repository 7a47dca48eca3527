"""An entry of an experiment becomes a model, or a sentence that names what cannot be."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.svm import SVC
from sklearn.utils.class_weight import compute_class_weight

from geoml_ops.core.errors import BadInput
from geoml_ops.core.experiment import SelectionRules
from geoml_ops.domain.fitting import FAMILIES, Setting, Standard, fit, out_of_fold, recipe, within
from geoml_ops.domain.fitting.selected import selected
from tests.domain.fitting.ground import NAMES, QUICK, Fixed, asked, ground, strips, with_families

FEATURES, CODES = ground()
OPTIONS: tuple[dict[str, Any], ...] = (
    {},
    {"class_weight": "balanced", "calibrate": "isotonic"},
    {"class_weight": {"crop": 3}, "calibrate": "sigmoid"},
)


def test_every_family_of_the_registry_is_tried_here() -> None:
    assert set(QUICK) == set(FAMILIES)
    assert all(family.says for family in FAMILIES.values())


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("name", QUICK)
def test_every_family_takes_every_option_weights_and_missing_values(name: str, options: dict[str, Any]) -> None:
    holes = FEATURES.copy()
    holes[np.random.default_rng(1).random(holes.shape) < 0.03] = np.nan
    weight = np.random.default_rng(2).random(len(CODES)) + 0.1
    model = fit(asked(name, **options), holes, CODES, 3, weight=weight, inner=strips())
    said = model.probability(holes)
    np.testing.assert_allclose(said.sum(axis=1), 1, atol=1e-6)
    assert (said >= 0).all()
    assert (said.argmax(axis=1) == CODES).mean() > 0.75


def test_a_family_that_cuts_folds_of_its_own_cannot_be_asked_which_features_it_needs() -> None:
    """The sentence names the option that has to change; a family without folds of its own is asked."""
    rules = SelectionRules(method="permutation", options={"model": "family", "shuffles": 1})
    for name in ("svm", "stacking"):
        with pytest.raises(BadInput, match=rf"{name} learns from answers in folds of its own \d+ samples.*forest"):
            fit(selected(asked(name), rules), FEATURES, CODES, 3, inner=strips())
    assert fit(selected(asked("logistic_regression"), rules), FEATURES, CODES, 3, inner=strips()).present == (0, 1, 2)


def test_options_that_a_selection_does_not_know_are_named_before_anything_is_fitted() -> None:
    with pytest.raises(BadInput, match=r"options\.treshold.*use threshold"):
        selected(asked("knn"), SelectionRules(method="vif", options={"treshold": 3}))


@pytest.mark.parametrize("name", QUICK)
def test_a_model_is_the_same_each_time(name: str) -> None:
    first, second = (fit(asked(name), FEATURES, CODES, 3, inner=strips()).probability(FEATURES) for _ in range(2))
    assert (first == second).all()


@pytest.mark.parametrize("name", QUICK)
def test_a_sample_of_weight_nothing_is_as_good_as_none(name: str) -> None:
    kept = np.random.default_rng(3).random(len(CODES)) < 0.8
    lies = np.where(kept, CODES, (CODES + 1) % 3)
    rows = np.flatnonzero(kept)
    weighed = fit(asked(name), FEATURES, lies, 3, weight=kept.astype(float), inner=strips())
    inside = strips()
    alone = fit(asked(name), FEATURES[kept], CODES[kept], 3, weight=np.ones(len(rows)), inner=within(inside, rows))
    np.testing.assert_array_equal(weighed.probability(FEATURES), alone.probability(FEATURES))


@pytest.mark.parametrize("name", ["logistic_regression", "svm", "mlp"])
def test_the_unit_of_weights_says_nothing(name: str) -> None:
    weight = np.random.default_rng(2).random(len(CODES)) + 0.1
    one, other = (
        fit(asked(name), FEATURES, CODES, 3, weight=scale * weight, inner=strips()).probability(FEATURES)
        for scale in (1.0, 2.0**20)
    )
    np.testing.assert_array_equal(one, other)


def test_a_weight_of_two_is_the_sample_twice() -> None:
    twice = np.concatenate([np.arange(len(CODES)), np.arange(100)])
    weight = np.where(np.arange(len(CODES)) < 100, 2.0, 1.0)
    params = {"C": 1e6, "tol": 1e-10, "standardise": False}
    one = fit(asked("logistic_regression", params), FEATURES, CODES, 3, weight=weight)
    other = fit(asked("logistic_regression", params), FEATURES[twice], CODES[twice], 3)
    np.testing.assert_allclose(one.probability(FEATURES), other.probability(FEATURES), atol=2e-3)


RARE = np.where((CODES == 2) & (np.arange(len(CODES)) % 4 > 0), 1, CODES)


@pytest.mark.parametrize("class_weight", ["balanced", {"water": 0.5, "crop": 7.0}])
def test_class_weights_are_scikit_learns(class_weight: Any) -> None:
    theirs = class_weight if isinstance(class_weight, str) else {0: 0.5, 1: 1.0, 2: 7.0}
    forest = asked("random_forest", {"n_estimators": 9}, class_weight=class_weight)
    ours = fit(forest, FEATURES, RARE, 3).probability(FEATURES)
    own = RandomForestClassifier(n_estimators=9, random_state=3, class_weight=theirs).fit(FEATURES, RARE)
    np.testing.assert_array_equal(ours, own.predict_proba(FEATURES))
    linear = fit(asked("logistic_regression", {"C": 0.1}, class_weight=class_weight), FEATURES, RARE, 3)
    scaled = Standard().fit_transform(FEATURES)
    line = LogisticRegression(C=0.1, class_weight=theirs, max_iter=2000).fit(scaled, RARE)
    np.testing.assert_allclose(linear.probability(FEATURES), line.predict_proba(scaled), atol=1e-6)
    machine = fit(asked("svm", class_weight=class_weight), FEATURES, RARE, 3, inner=strips()).estimator.model_
    plain = SVC(class_weight=theirs, decision_function_shape="ovo").fit(scaled, RARE)
    np.testing.assert_allclose(machine.estimator.steps[-1][1].dual_coef_, plain.dual_coef_, atol=1e-9)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 4), min_size=2, max_size=60).filter(lambda codes: len(set(codes)) > 1))
def test_balanced_weights_give_each_class_that_is_there_the_same_sum(codes: list[int]) -> None:
    present, contiguous = np.unique(codes, return_inverse=True)
    own = recipe({"class_weight": "balanced"}, FAMILIES, name="knn", classes="abcde").among(present.tolist())
    weight = own.weights(contiguous, None)
    assert weight is not None
    assert np.isfinite(weight).all()
    theirs = compute_class_weight("balanced", classes=present, y=np.array(codes))
    np.testing.assert_allclose(weight, theirs[contiguous])


def test_class_weights_follow_the_name_where_a_fold_lacks_a_class() -> None:
    seen: list[Any] = []

    class Told(Fixed):
        def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Told:
            seen.append((y, sample_weight))
            super().fit(X, y, sample_weight)
            return self

    families = with_families(told=lambda params, setting: Told())
    for params in (
        {"family": "told", "class_weight": {"crop": 5.0}},
        {"family": "voting", "members": {"told": {"class_weight": {"crop": 5.0}}, "other": {"family": "knn"}}},
        {"family": "told", "class_weight": {"crop": 5.0}, "calibrate": "sigmoid"},
    ):
        seen.clear()
        own = recipe(params, families, name="x", classes=NAMES)
        few = np.flatnonzero(CODES != 1)
        fit(own, FEATURES[few], CODES[few], 3, inner=within(strips(), few))
        assert seen
        for y, weight in seen:
            assert set(y) == {0, 1}
            assert set(weight[y == 1]) == {5.0}
            assert set(weight[y == 0]) == {1.0}


def test_folds_and_members_draw_from_seeds_of_their_own() -> None:
    seeds: list[int] = []

    def told(params: Any, setting: Setting) -> Fixed:
        seeds.append(setting.seed)
        return Fixed()

    families = with_families(told=told)
    splits = strips()(np.arange(len(CODES)))
    out_of_fold(FEATURES, CODES, splits, recipe({}, families, name="told", seed=11, classes=NAMES), 3)
    assert seeds == [11, 12, 13]
    seeds.clear()
    vote = recipe({"members": {"a": "told", "b": "told"}}, families, name="voting", seed=11, classes=NAMES)
    out_of_fold(FEATURES, CODES, splits, vote, 3)
    assert len(set(seeds)) == 3 * len(vote.params["members"])


WRONG: tuple[tuple[str, Any, str], ...] = (
    ("forest", {}, "no family 'forest'"),
    ("random_forest", {"trees": 3}, "trees"),
    ("random_forest", {"n_estimators": -1}, "n_estimators"),
    ("random_forest", {"n_estimators": "ten"}, "n_estimators"),
    ("random_forest", {"n_estimators": [3]}, "n_estimators"),
    ("random_forest", {"calibrate": "platt"}, "calibrate is 'platt'"),
    ("random_forest", {"class_weight": "balanced_subsample"}, "balanced_subsample"),
    ("random_forest", {"class_weight": {"sea": 2}}, "class_weight names sea"),
    ("random_forest", {"class_weight": {"crop": 0}}, "crop is 0"),
    ("random_forest", {"class_weight": {"crop": True}}, "crop is True"),
    ("random_forest", {"class_weight": {}}, "class_weight is '{}'"),
    ("random_forest", 7, "are '7'"),
    ("gradient_boosting", {"n_iter_no_change": 5}, "n_iter_no_change=5"),
    ("hist_gradient_boosting", {"early_stopping": True}, "early_stopping=True"),
    ("hist_gradient_boosting", {"early_stopping": "auto"}, "early_stopping=auto"),
    ("mlp", {"early_stopping": True}, "early_stopping=True"),
    ("mlp", {"hidden_layer_sizes": [0]}, "hidden_layer_sizes"),
    ("svm", {"calibrate": "none"}, "no probabilities"),
    ("svm", {"probability": True}, "probability"),
    ("svm", {"C": -1}, "C"),
    ("knn", {"n_neighbors": 0}, "n_neighbors is 0"),
    ("knn", {"n_neighbors": 2.5}, "n_neighbors is 2.5"),
    ("knn", {"n_neighbors": 5000}, "among 360 samples"),
    ("knn", {"weights": "near"}, "weights is 'near'"),
    ("logistic_regression", {"standardise": 1}, "standardise is 1"),
    ("bagging", {"member": "trees"}, "no family 'trees'"),
    ("bagging", {"n_estimators": 0}, "n_estimators is 0"),
    ("bagging", {"max_samples": 1.5}, "max_samples is 1.5"),
    ("bagging", {"max_features": 0}, "max_features is 0"),
    ("bagging", {"bootstrap": "yes"}, "bootstrap is yes"),
    ("bagging", {"members": []}, "no parameter members"),
    ("voting", {}, "members None"),
    ("voting", {"members": ["knn"]}, "at least two"),
    ("voting", {"members": ["knn", "mlp"], "voting": "loud"}, "voting is 'loud'"),
    ("voting", {"members": ["knn", "mlp"], "weights": {"svm": 1}}, "weights names svm"),
    ("voting", {"members": ["knn", "mlp"], "weights": {"knn": 0, "mlp": 0}}, "weight 0"),
    ("voting", {"members": ["knn", "mlp"], "weights": {"knn": -1}}, "weight of knn is -1"),
    ("voting", {"members": ["knn", "mlp"], "weights": [1, 2]}, "weights is"),
    ("stacking", {"members": ["knn", "mlp"], "cv": 5}, "no parameter cv"),
    ("stacking", {"members": ["knn", "mlp"], "final": "random_forest"}, "random_forest cannot come last"),
    ("stacking", {"members": ["knn", "mlp"], "final": {"family": "knn", "calibrate": "sigmoid"}}, "knn cannot come"),
    ("stacking", {"members": ["knn", "mlp"], "passthrough": 1}, "passthrough is 1"),
    ("blending", {"members": {"a": {"family": "nothing"}, "b": "knn"}}, "no family 'nothing'"),
)


@pytest.mark.parametrize(("name", "params", "says"), WRONG, ids=str)
def test_what_cannot_be_is_named(name: str, params: Any, says: str) -> None:
    with pytest.raises(BadInput) as refused:
        fit(recipe(params, FAMILIES, name=name, classes=NAMES), FEATURES, CODES, 3, inner=strips())
    assert says in refused.value.fact + str(refused.value)


def test_ensembles_inside_ensembles_have_an_end() -> None:
    deep: dict[str, Any] = {"family": "knn"}
    for _ in range(8):
        deep = {"family": "bagging", "member": deep, "n_estimators": 1}
    with pytest.raises(BadInput, match="deep"):
        fit(recipe(deep, FAMILIES, name="x", classes=NAMES), FEATURES, CODES, 3)


@pytest.mark.parametrize("name", ["svm", "stacking", "blending"])
def test_without_folds_inside_nothing_is_learned_from_ones_own_answers(name: str) -> None:
    with pytest.raises(BadInput, match="needs spatial folds"):
        fit(asked(name), FEATURES, CODES, 3)
    with pytest.raises(BadInput, match="needs spatial folds"):
        fit(asked("random_forest", calibrate="isotonic"), FEATURES, CODES, 3)


@pytest.mark.parametrize("weight", [[1.0], [-1.0] * 360, [np.nan] * 360, [0.0] * 360, [np.inf] * 360])
def test_weights_that_cannot_be_are_refused(weight: list[float]) -> None:
    with pytest.raises(BadInput, match="weight"):
        fit(asked("knn"), FEATURES, CODES, 3, weight=np.array(weight))


def test_a_family_that_cannot_weigh_says_so() -> None:
    class Plain:
        def fit(self, X: Any, y: Any) -> Plain:
            return self

    with pytest.raises(BadInput, match="Plain cannot weigh"):
        fit(lambda k: Plain(), FEATURES, CODES, 3, weight=np.ones(len(CODES)))
