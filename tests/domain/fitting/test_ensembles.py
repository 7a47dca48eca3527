"""Models of models: equal to scikit-learn's where it does the same, honest about neighbours, whole without a class."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import StackingClassifier, VotingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB

from geoml_ops.core.errors import BadInput
from geoml_ops.domain.fitting import FAMILIES, Stacked, fit, recipe
from tests.domain.fitting.ground import NAMES, QUICK, ByPlace, Fixed, asked, ground, strips, with_families

FEATURES, CODES = ground(noise=0.8)
MORE = with_families(
    lda=lambda params, setting: LinearDiscriminantAnalysis(), bayes=lambda params, setting: GaussianNB()
)
LINE: dict[str, Any] = {"family": "logistic_regression", "standardise": False, "tol": 1e-10}
TWO = {"lda": {}, "bayes": {}}


def built(params: dict[str, Any], name: str) -> Any:
    return recipe(params, MORE, name=name, seed=1, classes=NAMES)


@pytest.mark.parametrize("passthrough", [False, True])
def test_a_stack_is_scikit_learns_on_the_same_folds(passthrough: bool) -> None:
    params = {"members": TWO, "final": LINE, "passthrough": passthrough}
    ours = fit(built(params, "stacking"), FEATURES.astype(np.float64), CODES, 3, inner=strips())
    theirs = StackingClassifier(
        [("lda", LinearDiscriminantAnalysis()), ("bayes", GaussianNB())],
        LogisticRegression(tol=1e-10, max_iter=2000),
        cv=list(strips()(np.arange(len(CODES)))),
        passthrough=passthrough,
    ).fit(FEATURES.astype(np.float64), CODES)
    np.testing.assert_allclose(ours.probability(FEATURES), theirs.predict_proba(FEATURES), atol=1e-5)


def test_soft_voting_is_scikit_learns() -> None:
    params = {"members": TWO, "weights": {"lda": 3, "bayes": 1.5}}
    ours = fit(built(params, "voting"), FEATURES, CODES, 3).probability(FEATURES)
    members = [("lda", LinearDiscriminantAnalysis()), ("bayes", GaussianNB())]
    theirs = VotingClassifier(members, voting="soft", weights=[2, 1]).fit(FEATURES, CODES)
    np.testing.assert_allclose(ours, theirs.predict_proba(FEATURES), atol=1e-6)


def test_hard_voting_counts_members_and_splits_votes_of_the_undecided() -> None:
    said = {"a": [0.5, 0.5, 0.0], "b": [0.2, 0.3, 0.5], "c": [1 / 3, 1 / 3, 1 / 3]}
    families = with_families(fixed=lambda params, setting: Fixed(params["said"]))
    members = {name: {"family": "fixed", "said": part} for name, part in said.items()}
    own = recipe({"members": members, "voting": "hard", "weights": {"b": 2}}, families, name="voting", classes=NAMES)
    found = fit(own, FEATURES, CODES, 3).probability(FEATURES[:1])[0]
    np.testing.assert_allclose(found, (np.array([0.5, 0.5, 0]) + 2 * np.array([0, 0, 1]) + 1 / 3) / 4)


def test_bagging_without_draws_is_the_model_itself_and_with_them_it_is_another() -> None:
    whole = {"member": LINE, "n_estimators": 3, "bootstrap": False}
    plain = fit(asked("logistic_regression", LINE), FEATURES, CODES, 3).probability(FEATURES)
    same = fit(built(whole, "bagging"), FEATURES, CODES, 3).probability(FEATURES)
    np.testing.assert_allclose(same, plain, atol=1e-6)
    drawn = fit(built({**whole, "bootstrap": True, "max_features": 0.5}, "bagging"), FEATURES, CODES, 3)
    assert np.abs(drawn.probability(FEATURES) - plain).max() > 0.01
    assert {len(columns) for columns in drawn.estimator.columns_} == {2}
    assert len({tuple(columns) for columns in drawn.estimator.columns_}) > 1


def strip_world(seed: int) -> tuple[Any, Any]:
    """Neighbours of a patch of 10 share their label; feature 1 is the place, feature 0 says a little of the class."""
    rng = np.random.default_rng(seed)
    codes = np.repeat(rng.integers(0, 2, 60), 10)
    place = np.arange(600.0)
    hint = codes + 0.9 * rng.normal(size=600)
    return np.column_stack([hint, place]).astype(np.float32), codes.astype(np.int64)


@pytest.mark.parametrize("kind", ["stacking", "blending"])
def test_a_member_that_copies_its_neighbours_label_gains_no_say_in_spatial_folds(kind: str) -> None:
    """The copier is perfect on samples whose neighbours it saw. Only folds that part neighbours find it out."""
    families = with_families(
        copier=lambda params, setting: ByPlace(),
        honest=lambda params, setting: LogisticRegression(C=100.0),
    )
    params = {"members": {"copier": {}, "honest": {}}, "final": {**LINE, "C": 100.0}}
    own = recipe(params, families, name=kind, classes=("a", "b"))
    right: dict[str, list[float]] = {"spatial": [], "random": [], "honest": []}
    for seed in range(4):
        features, codes = strip_world(seed)
        asked_of, truth = strip_world(100 + seed)
        for name, inner in {"spatial": strips(3, 10), "random": strips(3, 1)}.items():
            model = fit(own, features, codes, 2, inner=inner)
            right[name].append((model.probability(asked_of).argmax(axis=1) == truth).mean())
        alone = fit(lambda k: LogisticRegression(C=100.0), features[:, :1], codes, 2).probability(asked_of[:, :1])
        right["honest"].append((alone.argmax(axis=1) == truth).mean())
    honest, spatial, random = (np.mean(right[name]) for name in ("honest", "spatial", "random"))
    assert spatial > honest - 0.04
    assert random < honest - 0.1


KINDS = [
    {**QUICK["stacking"], "family": "stacking"},
    {**QUICK["stacking"], "family": "stacking", "passthrough": True, "final": {"family": "svm"}},
    {**QUICK["blending"], "family": "blending"},
    {**QUICK["voting"], "family": "voting", "voting": "hard"},
    {**QUICK["bagging"], "family": "bagging", "max_samples": 0.05},
    {"family": "bagging", "member": "svm", "n_estimators": 2},
    {"family": "svm"},
    {"family": "svm", "calibrate": "isotonic"},
    {"family": "random_forest", "n_estimators": 5, "calibrate": "sigmoid"},
]


@pytest.mark.parametrize("params", KINDS, ids=str)
@settings(max_examples=10, deadline=None)
@given(data=st.data())
def test_classes_that_folds_lack_shift_no_column(params: dict[str, Any], data: Any) -> None:
    """Every class lies in a run of its own, so that folds inside lack classes on either side; classes are far apart."""
    n_classes = data.draw(st.integers(2, 5))
    sizes = data.draw(st.lists(st.integers(8, 25), min_size=n_classes, max_size=n_classes))
    names = [f"class {code}" for code in range(6)]
    codes = np.repeat(np.sort(np.random.default_rng(sum(sizes)).permutation(6)[:n_classes]), sizes).astype(np.int64)
    rng = np.random.default_rng(n_classes)
    features = (10.0 * np.eye(6)[codes] + rng.normal(size=(len(codes), 6))).astype(np.float32)
    width = data.draw(st.integers(2, 12))
    own = recipe(params, FAMILIES, name="x", classes=names)
    try:
        model = fit(own, features, codes, 6, inner=strips(3, width))
    except BadInput as error:
        refused = error.fact
    else:
        refused = ""
    if refused:
        assert any(words in refused for words in ("too little", "no samples", "nearest neighbours cannot")), refused
        return
    said = model.probability(features)
    np.testing.assert_allclose(said.sum(axis=1), 1, atol=1e-6)
    assert (said[:, sorted(set(range(6)) - set(codes))] == 0).all()
    for code in set(codes.tolist()) if params["family"] != "bagging" else ():
        mine = codes == code
        assert said[mine, code].mean() >= said[~mine, code].mean() - 1e-9


def test_a_class_that_lies_in_one_fold_only_keeps_its_members_probability() -> None:
    features, codes = ground(360, 2, noise=0.5)
    codes[40:60] = 2
    features[40:60, 1] += 8
    own = recipe({"members": TWO, "final": LINE}, MORE, name="stacking", classes=NAMES)
    found = fit(own, features, codes, 3, inner=strips())
    stack = found.estimator
    assert isinstance(stack, Stacked)
    assert stack.final_.present == (0, 1)
    said = found.probability(features)
    members = np.mean([member.probability(features) for member in stack.members_], axis=0)
    np.testing.assert_allclose(said[:, 2], members[:, 2])
    np.testing.assert_allclose(said.sum(axis=1), 1)
    assert (said[40:60].argmax(axis=1) == 2).all()


def test_a_stack_that_could_learn_nothing_says_so() -> None:
    codes = np.repeat([0, 1, 2], 20).astype(np.int64)
    features = np.random.default_rng(0).normal(size=(60, 4)).astype(np.float32)
    with pytest.raises(BadInput, match=r"0 whose class is learned elsewhere"):
        fit(built({"members": TWO}, "stacking"), features, codes, 3, inner=strips(3, 20))


def test_blending_learns_from_the_fold_that_tells_most() -> None:
    features, codes = ground(360, 3)
    codes[:20] = 0
    found = fit(built({"members": TWO, "final": LINE}, "blending"), features, codes, 3, inner=strips(3, 20))
    assert found.estimator.final_.present == (0, 1, 2)
