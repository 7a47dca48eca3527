"""Choosing features: truths that a rule must find, and traps that it must not fall into."""

from __future__ import annotations

import json
import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.linear_model import LinearRegression
from sklearn.tree import DecisionTreeClassifier

from geoml_ops.core.errors import BadInput
from geoml_ops.core.experiment import SelectionRules
from geoml_ops.core.folding import FoldRules
from geoml_ops.domain.folds import Samples, Split, evidence_blocks, materialise, plan_for
from geoml_ops.domain.selecting import METHODS, Folds, Selector, choose, in_front, inflation
from geoml_ops.domain.selecting.boruta import _discoveries, _moved
from geoml_ops.domain.selecting.permutation import growth, losses, mean_and_spread

TREES = {"trees": 40}
NAMES = ("level", "edge", "easting", "place", "noise 1", "noise 2", "noise 3")


def ground(seed: int, n_polygons: int = 60, per: int = 8) -> tuple[Samples, NDArray[np.float32]]:
    """Returns samples in small polygons: two features tell the class, two tell the place, three tell nothing."""
    rng = np.random.default_rng(seed)
    middle, kind = rng.uniform(0, 6000, (n_polygons, 2)), rng.integers(0, 3, n_polygons)
    polygon = np.repeat(np.arange(n_polygons), per)
    n = len(polygon)
    easting, northing = (middle[polygon] + rng.uniform(-40, 40, (n, 2))).T
    code = kind[polygon]
    columns = [
        code + rng.normal(0, 0.6, n),
        (code == 1) + rng.normal(0, 0.5, n),
        easting / 1000 + rng.normal(0, 0.01, n),
        rng.normal(0, 1, n_polygons)[polygon] + rng.normal(0, 0.02, n),
        *rng.normal(0, 1, (3, n)),
    ]
    anchors = middle[polygon]
    samples = Samples("EPSG:32633", True, 10.0, easting, northing, anchors[:, 0], anchors[:, 1], polygon, code)
    return samples, np.column_stack(columns).astype(np.float32)


def folds_of(samples: Samples, method: str = "block") -> list[Split]:
    rules = FoldRules.model_validate({"method": method, "block_m": 1000.0, "buffer_m": 50.0, "n_folds": 3})
    return materialise(plan_for("table-0123456789abcdef", samples, rules), samples)


def kept_by(method: str, seed: int, folds: str = "block", **options: Any) -> set[str]:
    samples, features = ground(seed)
    cut = Folds(folds_of(samples, folds), evidence_blocks(samples, 1000.0)[1])
    rules = SelectionRules(method=method, options={**TREES, **options})  # type: ignore[arg-type]
    found = choose(rules, features, samples.code, cut, names=NAMES, seed=seed)
    assert set(found.because) == set(range(len(NAMES))) - set(found.kept)
    return {NAMES[j] for j in found.kept}


@pytest.mark.parametrize(("method", "worlds"), [("permutation", 4), ("rfe", 1), ("boruta", 1)])
def test_what_tells_the_class_stays_and_what_tells_the_place_goes(method: str, worlds: int) -> None:
    options = {"iterations": 20} if method == "boruta" else {}
    found = [kept_by(method, seed, trees=25, **options) for seed in range(worlds)]
    assert all({"level", "edge"} <= kept for kept in found)
    lured = sum(name in kept for kept in found for name in ("easting", "place"))
    noisy = sum(name.startswith("noise") for kept in found for name in kept)
    assert lured <= 1
    assert noisy <= 1


def test_random_folds_would_keep_what_tells_the_place() -> None:
    found = [kept_by("permutation", seed, "random", trees=25) for seed in range(3)]
    assert all({"easting", "place"} <= kept for kept in found)


@pytest.mark.full
@pytest.mark.skipif(os.environ.get("GEOML_FULL") != "1", reason="takes minutes; make full")
@pytest.mark.parametrize(("method", "most"), [("permutation", 0.1), ("rfe", 0.25), ("boruta", 0.02)])
def test_rates_of_noise_that_stays(method: str, most: float) -> None:
    found = [kept_by(method, seed) for seed in range(100, 140)]
    rate = sum(name.startswith("noise") for kept in found for name in kept) / (3 * len(found))
    lured = sum(name in ("easting", "place") for kept in found for name in kept) / (2 * len(found))
    right = sum(name in ("level", "edge") for kept in found for name in kept) / (2 * len(found))
    keep_figures(f"selecting_{method}", {"noise": rate, "place": lured, "true": right})
    assert rate <= most
    assert lured <= 0.2
    assert right >= 0.97


def keep_figures(name: str, figures: dict[str, float]) -> None:
    folder = Path(__file__).resolve().parents[2] / "workspace" / "full"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.json").write_text(json.dumps(figures, indent=1))


# --- vif -------------------------------------------------------------------------------------


def regressed(features: NDArray[np.float64]) -> NDArray[np.float64]:
    """Returns variance inflation by its definition, one regression per column."""
    found = []
    for j in range(features.shape[1]):
        others = np.delete(features, j, axis=1)
        found.append(1 / (1 - LinearRegression().fit(others, features[:, j]).score(others, features[:, j])))
    return np.array(found)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), width=st.integers(2, 8), shift=st.floats(-1e4, 1e4), scale=st.floats(1e-3, 1e4))
def test_inflation_is_that_of_regressions_in_any_unit(seed: int, width: int, shift: float, scale: float) -> None:
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(60, width)) @ rng.normal(size=(width, width))
    expected = regressed(features)
    found = inflation(features * scale + shift)
    well = expected < 1e5
    np.testing.assert_allclose(found[well], expected[well], rtol=1e-4)
    assert (found >= 1 - 1e-9).all()


def vif(features: NDArray[Any], **rules: Any) -> tuple[tuple[int, ...], dict[int, str]]:
    found = choose(SelectionRules(method="vif", **rules), features, np.zeros(0, dtype=np.int64), ())
    return found.kept, found.because


def test_of_two_the_same_the_later_goes_and_independent_ones_stay() -> None:
    rng = np.random.default_rng(0)
    one, other = rng.normal(size=(2, 200)).astype(np.float32)
    kept, because = vif(np.column_stack([one, other, 2 * one + 3, one]))
    assert kept == (0, 1)
    assert "exactly" in because[2]
    assert "exactly" in because[3]
    assert "feature 0" in because[3]


def test_a_sum_of_others_is_found_though_no_pair_is_alike() -> None:
    rng = np.random.default_rng(1)
    parts = rng.normal(size=(300, 6))
    features = np.column_stack([parts, parts.sum(axis=1)]).astype(np.float32)
    assert np.abs(np.corrcoef(features.T)[-1, :-1]).max() < 0.6
    assert vif(features)[0] == (0, 1, 2, 3, 4, 5)


def test_constants_gaps_and_more_features_than_samples() -> None:
    rng = np.random.default_rng(2)
    features = rng.normal(size=(8, 20))
    features[:, 3] = 0.1
    features[:, 4] = np.nan
    features[2, 5] = np.nan
    kept, because = vif(features)
    assert 1 <= len(kept) <= 7
    assert "0.1 in all 8" in because[3]
    assert "0 in all 8" in because[4]
    assert len(kept) + len(because) == 20


def test_at_most_so_many_stay_and_one_always() -> None:
    rng = np.random.default_rng(3)
    features = rng.normal(size=(100, 6))
    kept, because = vif(features, most=2)
    assert len(kept) == 2
    assert all("though below 10" in why for why in because.values())
    assert vif(np.repeat(features[:, :1], 5, axis=1))[0] == (0,)
    assert vif(features[:, :1])[0] == (0,)


def test_features_that_never_vary_are_refused() -> None:
    with pytest.raises(BadInput, match="None of the 3 features varies over the 5 samples"):
        vif(np.full((5, 3), 7.0))


# --- importance ------------------------------------------------------------------------------


def test_growth_of_the_loss_is_that_of_brute_force() -> None:
    rng = np.random.default_rng(0)
    features, code = rng.normal(size=(30, 3)), rng.integers(0, 2, 30)
    model = DecisionTreeClassifier(random_state=0).fit(features, code)
    before, found = growth(
        model.predict_proba, features, code, donors=features, shuffles=400, rng=np.random.default_rng(1)
    )
    np.testing.assert_allclose(before, losses(model.predict_proba(features), code))
    for column in range(3):
        expected = np.zeros(30)
        for value in features[:, column]:
            rows = features.copy()
            rows[:, column] = value
            expected += losses(model.predict_proba(rows), code) / 30
        np.testing.assert_allclose(found[:, column].mean(), (expected - before).mean(), atol=0.03)


def test_spread_over_blocks_is_that_of_drawing_blocks() -> None:
    rng = np.random.default_rng(0)
    unit = np.repeat(np.arange(40), rng.integers(1, 9, 40))
    values = rng.normal(size=40)[unit][:, None] + rng.normal(size=(len(unit), 1))
    mean, spread, m = mean_and_spread(values, unit)
    groups = [values[unit == u, 0] for u in range(40)]
    drawn = [np.concatenate([groups[u] for u in rng.integers(0, 40, 40)]).mean() for _ in range(4000)]
    assert m == 40
    assert mean[0] == pytest.approx(values.mean())
    assert spread[0] == pytest.approx(np.std(drawn), rel=0.15)


def test_one_block_is_no_evidence() -> None:
    assert np.isinf(mean_and_spread(np.ones((5, 2)), np.zeros(5, dtype=np.int64))[1]).all()


@settings(max_examples=50, deadline=None)
@given(p=st.lists(st.floats(0, 1), min_size=1, max_size=12), level=st.floats(0.001, 0.5))
def test_discoveries_are_those_of_the_definition(p: list[float], level: float) -> None:
    order = sorted(p)
    largest = max((k for k in range(1, len(p) + 1) if order[k - 1] <= level * k / len(p)), default=0)
    found = _discoveries(np.array(p), level)
    assert found.sum() >= largest
    assert not largest or np.array(p)[found].max() <= order[largest - 1]
    assert largest or not found.any()


def test_a_shadow_keeps_neighbours_alike_and_forgets_where_they_were() -> None:
    unit = np.repeat(np.arange(30), 5)
    values = unit.astype(np.float64)
    moved = _moved(values, unit, np.random.default_rng(0))
    assert all(len(set(moved[unit == u])) == 1 for u in range(30))
    assert set(moved) == set(values)
    assert (moved != values).mean() > 0.8
    few = _moved(values, unit // 10, np.random.default_rng(0))
    assert sorted(few) == sorted(values)


def test_rfe_stops_at_what_is_asked_for() -> None:
    samples, features = ground(5)
    rules = SelectionRules(method="rfe", most=1, options={"trees": 20})
    found = choose(rules, features, samples.code, folds_of(samples))
    assert len(found.kept) == 1
    assert found.kept[0] in (0, 1)


@pytest.mark.parametrize("method", ["permutation", "boruta"])
def test_where_nothing_is_worth_anything_the_best_stays_and_the_sentence_says_so(method: str) -> None:
    samples, features = ground(11)
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(len(features), 4))
    options = {"trees": 20, "alpha": 0.001} | ({"iterations": 20} if method == "boruta" else {})
    rules = SelectionRules(method=method, options=options)  # type: ignore[arg-type]
    found = choose(rules, noise, samples.code, folds_of(samples))
    assert len(found.kept) == 1
    assert "no feature would be left" in found.because[found.kept[0]]
    assert len(found.because) == 4


# --- the transformer -------------------------------------------------------------------------


def test_the_selector_is_a_step_of_a_head_and_carries_nothing_but_the_choice() -> None:
    samples, features = ground(3)
    rules = SelectionRules(method="permutation", options={"trees": 20})
    head = in_front(clone(Selector(rules, folds_of(samples))), DecisionTreeClassifier(random_state=0))
    head.fit(features, samples.code)
    kept = head.steps[0][1].kept_
    assert len(kept) < features.shape[1]
    again = pickle.loads(pickle.dumps(head))
    assert again.steps[0][1].splits == ()
    np.testing.assert_array_equal(head.predict(features), again.predict(features))
    np.testing.assert_array_equal(head.steps[0][1].transform(features), features[:, kept])
    with pytest.raises(BadInput, match="rows of 7 features"):
        head.predict(features[:, :3])


def test_the_same_seed_chooses_the_same() -> None:
    samples, features = ground(4)
    rules = SelectionRules(method="boruta", options={"trees": 10, "iterations": 8})
    one, other = (choose(rules, features, samples.code, folds_of(samples), seed=1) for _ in range(2))
    np.testing.assert_array_equal(one.measured, other.measured)
    assert one.because == other.because


@pytest.mark.parametrize("method", sorted(set(METHODS) - {"vif"}))
def test_without_folds_nothing_is_measured(method: str) -> None:
    samples, features = ground(1)
    rules = SelectionRules(method=method)  # type: ignore[arg-type]
    with pytest.raises(BadInput, match="0 folds show none"):
        choose(rules, features, samples.code, ())
    far = [(np.array([0, 9999]), np.array([1])), (np.array([1]), np.array([0]))]
    with pytest.raises(BadInput, match=r"speak of sample 9999; there are 480"):
        choose(rules, features, samples.code, far)


@pytest.mark.parametrize(
    ("rules", "sentence"),
    [
        ({"method": "vif", "options": {"treshold": 5}}, r"options\.treshold.*use threshold"),
        ({"method": "vif", "options": {"threshold": 1}}, r"options\.threshold"),
        ({"method": "boruta", "options": {"correction": "none"}}, r"options\.correction"),
        ({"method": "rfe", "options": {"trees": 3}}, r"options\.trees"),
        ({"method": "permutation", "options": {"model": "family"}}, "names no family here"),
        ({"method": "rfe", "options": {"trees": "many"}}, r"options\.trees"),
    ],
)
def test_options_that_cannot_be_are_refused_by_name(rules: dict[str, Any], sentence: str) -> None:
    samples, features = ground(1)
    with pytest.raises(BadInput, match=sentence):
        choose(SelectionRules.model_validate(rules), features, samples.code, folds_of(samples))


def test_infinite_values_and_strange_labels_are_refused() -> None:
    samples, features = ground(1)
    features[0, 0] = np.inf
    with pytest.raises(BadInput, match="1 of 3360 feature values are infinite"):
        choose(SelectionRules(method="vif"), features, samples.code, ())
    features[0, 0] = 0
    with pytest.raises(BadInput, match="3 labels are no labels of 480 samples"):
        choose(SelectionRules(method="rfe"), features, samples.code[:3], folds_of(samples))


def test_missing_values_are_no_obstacle_and_a_fold_of_one_class_neither() -> None:
    samples, features = ground(6)
    features[::7, 0] = np.nan
    one = np.flatnonzero(samples.code == 0)
    splits = [*folds_of(samples), (one, np.flatnonzero(samples.code == 1))]
    rules = SelectionRules(method="permutation", options={"trees": 20})
    assert 0 in choose(rules, features, samples.code, splits, unit=evidence_blocks(samples, 1000.0)[1]).kept
