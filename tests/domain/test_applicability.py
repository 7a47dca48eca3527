"""The area of applicability against brute force, against numbers worked by hand, and on worlds with known truth."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist, pdist

from geoml_ops.core.errors import BadInput
from geoml_ops.domain.applicability import area as area_module
from geoml_ops.domain.applicability import density, dissimilarity, fit
from geoml_ops.domain.applicability.distances import closer_than, mean_distance, nearest
from geoml_ops.domain.applicability.thinning import cover, thinned
from geoml_ops.settings import CHECKOUT

NUMBERS = CHECKOUT / "workspace" / "full" / "applicability.json"


def names(d: int) -> list[str]:
    return [f"f{i}" for i in range(d)]


def in_turn(n: int, k: int = 5) -> list[tuple[np.ndarray, np.ndarray]]:
    """Folds of every k-th sample."""
    return by(np.arange(n) % k)


def by(fold: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    return [(np.flatnonzero(fold != f), np.flatnonzero(fold == f)) for f in np.unique(fold[fold >= 0])]


def one_out(n: int) -> list[tuple[np.ndarray, np.ndarray]]:
    return [(np.delete(np.arange(n), i), np.array([i])) for i in range(n)]


def samples(n: int = 120, d: int = 4, seed: int = 0) -> np.ndarray:
    """Correlated features on very different scales."""
    rng = np.random.default_rng(seed)
    mixed = rng.normal(size=(n, 2)) @ rng.normal(size=(2, d)) + 0.3 * rng.normal(size=(n, d))
    return (mixed * 10.0 ** rng.integers(-2, 4, d) + rng.normal(size=d)).astype(np.float32)


def fields(seed: int, n_fields: int = 40, per_field: int = 15, d: int = 4) -> tuple[np.ndarray, np.ndarray]:
    """Clustered samples: pixels of a field are alike; returns features and each sample's field."""
    rng = np.random.default_rng(seed)
    middle = rng.normal(size=(n_fields, d))
    rows = middle.repeat(per_field, 0) + 0.15 * rng.normal(size=(n_fields * per_field, d))
    return rows.astype(np.float32), np.arange(n_fields).repeat(per_field)


def plainly(features, splits, weights, asked):
    """The definition once more, all pairs at once and without any shortcut."""
    x = features.astype(np.float64)
    mean, sd = x.mean(axis=0), x.std(axis=0, ddof=1)
    z, q = (x - mean) / sd * weights, (asked.astype(np.float64) - mean) / sd * weights
    unit = pdist(z).mean()
    own = np.concatenate([cdist(z[test], z[train]).min(axis=1) for train, test in splits]) / unit
    low, high = np.percentile(own, [25, 75])
    threshold = min(high + 1.5 * (high - low), own.max())
    near = np.concatenate([(cdist(z[te], z[tr]) / unit < threshold).sum(axis=1) for tr, te in splits])
    to_all = cdist(q, z) / unit
    return {
        "mean_distance": unit,
        "threshold": threshold,
        "outside_share": (own > threshold).mean(),
        "mean_density": near.mean(),
        "dissimilarity": to_all.min(axis=1),
        "density": (to_all < threshold).sum(axis=1),
    }


@pytest.mark.parametrize(("n", "d"), [(12, 1), (120, 4), (700, 15), (600, 30)])
def test_everything_agrees_with_brute_force(n, d):
    features, asked = samples(n, d), samples(300, d, seed=1)
    importance = dict(zip(names(d), np.random.default_rng(2).uniform(0.01, 3, d).tolist(), strict=True))
    weights = np.array([importance[name] for name in names(d)])
    splits = by(np.random.default_rng(3).integers(0, 4, n))
    truth = plainly(features, splits, weights / weights.max() if d > 1 else np.ones(1), asked)
    area = fit(features, splits, names=names(d), plan="plan", importance=importance)
    for name in ("mean_distance", "threshold", "outside_share", "mean_density"):
        assert getattr(area.noun, name) == pytest.approx(truth[name], rel=1e-7), name
    assert dissimilarity(asked, area.references) == pytest.approx(truth["dissimilarity"], rel=1e-7)
    assert (density(asked, area.references) == truth["density"]).all()
    assert (area.noun.n_samples, area.noun.n_references, area.lost_share) == (n, n, 0.0)


def test_numbers_worked_by_hand():
    """Samples at 2^k - 1 for k = 0 to 9, each tested alone.

    Nearest: 1, 1, 2, 4 … 256. Quartiles 2.5 and 56, fence 56 + 1.5 * 53.5 = 136.25. Sum over pairs
    2 * 8194 - 9 * 1023 = 7181, over 45 pairs.
    """
    line = (2.0 ** np.arange(10) - 1).astype(np.float32)[:, None]
    area = fit(line, one_out(10), names=["f"], plan="plan", importance={"f": 0.001})
    unit = 7181 / 45
    assert area.noun.threshold == pytest.approx(136.25 / unit, rel=1e-8)
    assert area.noun.weights == {"f": 1.0}
    assert area.noun.outside_share == 0.1
    asked = np.array([[255], [647], [648], [-100], [391.2]], dtype=np.float32)
    found = dissimilarity(asked, area.references)
    assert found * unit == pytest.approx([0, 136, 137, 100, 119.8], abs=1e-3)
    assert (found <= area.noun.threshold).tolist() == [True, True, False, True, True]
    # 255 itself and 127, not 63 or 511; 511; none; 0, 1, 3, 7, 15, 31; 255 exactly 136.2 away, and 511.
    assert density(asked, area.references).tolist() == [2, 1, 0, 6, 2]


def test_the_largest_training_dissimilarity_caps_the_threshold():
    # Nearest: 1, 1, 2, 3 … 9, evenly spread; their fence lies beyond 9.
    line = np.cumsum([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]).astype(np.float32)[:, None]
    area = fit(line, one_out(10), names=["f"], plan="plan")
    unit = pdist(line).mean()
    own = np.array([1, 1, 2, 3, 4, 5, 6, 7, 8, 9]) / unit
    assert np.quantile(own, 0.75) + 1.5 * np.subtract(*np.quantile(own, [0.75, 0.25])) > own.max()
    assert area.noun.threshold == pytest.approx(own.max(), rel=1e-8)
    assert area.noun.outside_share == 0.0


SMALL = st.integers(0, 10_000)


@settings(max_examples=25, deadline=None)
@given(seed=SMALL, factor=st.floats(1e-3, 1e3), d=st.integers(1, 6))
def test_neither_the_scale_of_weights_nor_the_units_of_features_matter(seed, factor, d):
    rng = np.random.default_rng(seed)
    features, asked = rng.normal(size=(40, d)), rng.normal(size=(30, d)) * 2
    importance = dict(zip(names(d), rng.uniform(0.1, 1, d).tolist(), strict=True))
    gain, shift = rng.uniform(0.1, 50, d) * rng.choice([-1, 1], d), rng.normal(size=d) * 5
    one = fit(features, in_turn(40), names=names(d), plan="plan", importance=importance)
    louder = {name: value * factor for name, value in importance.items()}
    two = fit(features * gain + shift, in_turn(40), names=names(d), plan="plan", importance=louder)
    assert two.noun.threshold == pytest.approx(one.noun.threshold, rel=1e-6)
    assert two.noun.weights == pytest.approx(one.noun.weights)
    moved = dissimilarity(asked * gain + shift, two.references)
    assert moved == pytest.approx(dissimilarity(asked, one.references), rel=1e-6, abs=1e-9)


@settings(max_examples=20, deadline=None)
@given(seed=SMALL, n=st.integers(10, 80), d=st.integers(1, 5))
def test_a_samples_own_pixel_is_not_dissimilar_at_all_and_counts_itself(seed, n, d):
    features = samples(n, d, seed)
    area = fit(features, in_turn(n, 3), names=names(d), plan="plan")
    assert not dissimilarity(features, area.references).any()
    assert (density(features, area.references) >= 1).all()


@settings(max_examples=20, deadline=None)
@given(seed=SMALL)
def test_the_order_of_samples_and_folds_changes_nothing(seed):
    rng, features = np.random.default_rng(seed), samples(60, 3, seed)
    fold, order = rng.integers(0, 4, 60), rng.permutation(60)
    one = fit(features, by(fold), names=names(3), plan="plan")
    two = fit(features[order], by(fold[order])[::-1], names=names(3), plan="plan")
    assert two.noun.threshold == pytest.approx(one.noun.threshold, rel=1e-7)
    assert two.noun.mean_density == pytest.approx(one.noun.mean_density)
    assert two.references.rows == pytest.approx(one.references.rows)


@settings(max_examples=25, deadline=None)
@given(seed=SMALL, n=st.integers(30, 150), d=st.integers(1, 5), share=st.floats(0.05, 0.95), mapped=st.booleans())
def test_with_fewer_references_no_pixel_outside_is_ever_called_inside(seed, n, d, share, mapped):
    rng, features = np.random.default_rng(seed), samples(n, d, seed)
    asked = np.concatenate([samples(200, d, seed), samples(200, d, seed + 1), features + np.float32(1e-3)])
    ground, splits = (asked[rng.permutation(len(asked))[:80]] if mapped else None), by(rng.integers(0, 3, n))
    full = fit(features, splits, names=names(d), plan="plan", most_references=n)
    few = fit(features, splits, names=names(d), plan="plan", most_references=max(1, int(share * n)), ground=ground)
    assert few.noun.n_references == min(max(1, int(share * n)), full.noun.n_references)
    same = ("threshold", "mean_distance", "outside_share", "mean_density", "weights", "n_samples")
    assert [getattr(few.noun, name) for name in same] == [getattr(full.noun, name) for name in same]
    kept = {row.tobytes() for row in full.references.rows}
    assert {row.tobytes() for row in few.references.rows} <= kept
    less, more = dissimilarity(asked, full.references), dissimilarity(asked, few.references)
    assert (more >= less - 1e-12).all()
    assert not ((more <= few.noun.threshold) & (less > full.noun.threshold * (1 + 1e-9))).any()
    assert few.references.counts.sum() == n
    assert (few.references.counts >= 1).all()


def test_the_threshold_grows_when_folds_keep_fields_together():
    """A neighbour in the same field makes random folds blind to how different new ground is."""
    grown = []
    for seed in range(8):
        features, field = fields(seed)
        rng = np.random.default_rng(seed)
        honest = fit(features, by(rng.permutation(40)[field] % 5), names=names(4), plan="plan")
        easy = fit(features, by(rng.integers(0, 5, len(features))), names=names(4), plan="plan")
        grown.append(honest.noun.threshold / easy.noun.threshold)
    assert min(grown) > 1.2
    assert np.median(grown) > 2


def test_land_that_was_never_sampled_is_outside_and_the_sampled_kind_is_not():
    rng = np.random.default_rng(0)
    middles = np.array([[0.1, 0.3, 0.2], [0.3, 0.1, 0.25], [0.05, 0.05, 0.4]])
    kind, sd = rng.integers(0, 3, 900), 0.01
    features = (middles[kind] + sd * rng.normal(size=(900, 3))).astype(np.float32)
    area = fit(features, in_turn(900, 6), names=names(3), plan="plan")
    known = (middles[rng.integers(0, 3, 2000)] + sd * rng.normal(size=(2000, 3))).astype(np.float32)
    strange = (np.array([0.6, 0.6, 0.6]) + sd * rng.normal(size=(2000, 3))).astype(np.float32)
    inside = lambda x: dissimilarity(x, area.references) <= area.noun.threshold  # noqa: E731
    assert inside(known).mean() > 0.9
    assert (~inside(known)).mean() == pytest.approx(area.noun.outside_share, abs=0.03)
    assert not inside(strange).any()
    assert not density(strange, area.references).any()


def test_a_feature_that_does_not_matter_does_not_make_a_pixel_dissimilar():
    features = samples(100, 3)
    area = fit(features, in_turn(100), names=names(3), plan="plan", importance={"f0": 0.2, "f1": -0.05, "f2": 0.1})
    assert area.noun.weights == {"f0": 1.0, "f1": 0.0, "f2": 0.5}
    odd = features.copy()
    odd[:, 1] += 1e6
    assert not dissimilarity(odd, area.references).any()
    odd[3, 1] = np.nan
    assert np.isnan(dissimilarity(odd, area.references)).tolist() == [i == 3 for i in range(100)]
    assert np.isnan(density(odd, area.references)).sum() == 1


def test_a_single_feature_weighs_one_whatever_its_importance():
    for importance in (None, {"f0": -0.3}, {"f0": 7.0}):
        area = fit(samples(30, 1), in_turn(30), names=["f0"], plan="plan", importance=importance)
        assert area.noun.weights == {"f0": 1.0}
        assert area.noun.definition == area_module.DEFINITION


def test_weights_without_importances_are_equal_and_the_definition_says_so():
    area = fit(samples(50, 3), in_turn(50), names=names(3), plan="plan")
    assert area.noun.weights == {"f0": 1.0, "f1": 1.0, "f2": 1.0}
    assert "equal weights" in area.noun.definition
    weighed = fit(samples(50, 3), in_turn(50), names=names(3), plan="plan", importance=dict.fromkeys(names(3), 0.1))
    assert weighed.noun.definition == area_module.DEFINITION
    assert "v1" in area_module.DEFINITION


def test_a_feature_that_never_varied_is_named_and_weighs_nothing():
    features = samples(50, 3)
    features[:, 1] = np.float32(0.1)
    area = fit(features, in_turn(50), names=names(3), plan="plan")
    assert area.constant == ("f1",)
    assert area.noun.weights == {"f0": 1.0, "f1": 0.0, "f2": 1.0}
    without = fit(features[:, [0, 2]], in_turn(50), names=["f0", "f2"], plan="plan")
    assert area.noun.threshold == without.noun.threshold
    with pytest.raises(BadInput, match=r"All 2 features are constant over 50 samples: f0, f1"):
        fit(np.ones((50, 2), np.float32), in_turn(50), names=names(2), plan="plan")


@pytest.mark.parametrize(
    ("importance", "sentence"),
    [
        ({"f0": 0.0, "f1": -0.2}, r"No feature has an importance above 0 \(f0, f1\)"),
        ({"f0": 0.1}, r"Importances of 1 features do not fit 2: f1 only on one side"),
        ({"f0": 0.1, "f1": 0.1, "odd": 1.0}, "odd only on one side"),
        ({"f0": float("nan"), "f1": 0.1}, "importance of f0 is not a number"),
    ],
)
def test_importances_that_cannot_be_weights_are_refused(importance, sentence):
    with pytest.raises(BadInput, match=sentence):
        fit(samples(30, 2), in_turn(30), names=names(2), plan="plan", importance=importance)


def test_importance_of_a_constant_feature_alone_is_no_importance():
    features = samples(30, 2)
    features[:, 0] = 5
    with pytest.raises(BadInput, match="f0 did not vary"):
        fit(features, in_turn(30), names=names(2), plan="plan", importance={"f0": 1.0, "f1": 0.0})


def test_too_few_samples_or_tested_ones_and_folds_without_a_train_side_are_refused():
    with pytest.raises(BadInput, match=r"9 of 9 samples .* fewer than 10"):
        fit(samples(9, 2), in_turn(9), names=names(2), plan="plan")
    holed = samples(14, 2)
    holed[:5, 1] = np.nan
    with pytest.raises(BadInput, match=r"9 of 14 samples"):
        fit(holed, in_turn(14), names=names(2), plan="plan")
    everything = np.arange(50)
    bare = [(everything[:25], everything[25:]), (everything[:0], everything)]
    with pytest.raises(BadInput, match=r"Fold 1 tests 50 samples and has no train side"):
        fit(samples(50, 2), bare, names=names(2), plan="plan")
    few = [(np.arange(10, 50), np.arange(9))]
    with pytest.raises(BadInput, match=r"The folds test 9 samples"):
        fit(samples(50, 2), few, names=names(2), plan="plan")


def test_samples_that_no_fold_tests_or_without_a_feature_have_no_say_in_the_threshold():
    features, fold = samples(200, 3), np.arange(200) % 4
    fold[150:] = -1
    area = fit(features, by(fold), names=names(3), plan="plan")
    own = plainly(features, by(fold), np.ones(3), features[:1])
    assert area.noun.threshold == pytest.approx(own["threshold"], rel=1e-7)
    holed = np.concatenate([features, np.full((5, 3), np.nan, np.float32), np.full((2, 3), np.inf, np.float32)])
    with_holes = fit(holed, by(np.concatenate([fold, [0, 1, 2, 3, -1, 0, 1]])), names=names(3), plan="plan")
    assert with_holes.noun == area.noun


def test_a_sample_that_several_folds_test_counts_as_often():
    features, splits = samples(60, 2), in_turn(60)
    once = fit(features, splits, names=names(2), plan="plan")
    twice = fit(features, [*splits, *splits], names=names(2), plan="plan")
    assert twice.noun.mean_density == pytest.approx(once.noun.mean_density)
    assert twice.noun.outside_share == once.noun.outside_share


def test_where_most_samples_have_a_twin_the_others_make_the_threshold():
    """Whole numbers of few bits: a quartile of 0 would call every new pixel outside."""
    rng = np.random.default_rng(0)
    features = rng.integers(0, 12, (600, 1)).astype(np.float32)
    features[::50] += rng.uniform(0.1, 0.4, 12).astype(np.float32)[:, None]
    area = fit(features, in_turn(600), names=["f"], plan="plan")
    assert area.noun.threshold > 0.01
    assert "identical twin" in area.noun.definition
    assert area.references.counts.max() > 30
    assert (density(features, area.references) > 30).mean() > 0.9
    assert area.noun.n_references < 30


def test_where_every_sample_has_a_twin_only_twins_are_inside():
    features = np.arange(20, dtype=np.float32).repeat(6)[:, None]
    area = fit(features, in_turn(120, 3), names=["f"], plan="plan")
    assert area.noun.threshold == area_module.LEAST_THRESHOLD
    asked = np.array([[3.0], [3.01]], dtype=np.float32)
    assert (dissimilarity(asked, area.references) <= area.noun.threshold).tolist() == [True, False]
    assert density(asked, area.references).tolist() == [6, 0]
    assert area.noun.mean_density == 4.0
    assert area.noun.outside_share == 0.0


def test_copies_are_one_reference_that_counts_for_all_of_them():
    features = samples(80, 3)
    area = fit(np.repeat(features, 3, axis=0), in_turn(240), names=names(3), plan="plan", most_references=80)
    assert (area.noun.n_samples, area.noun.n_references, area.lost_share) == (240, 80, 0.0)
    assert (area.references.counts == 3).all()
    assert "approximate" not in area.noun.definition


def test_thinning_loses_few_pixels_and_tells_how_many():
    features, field = fields(0, n_fields=120, per_field=25)
    fresh, _ = fields(0, n_fields=120, per_field=25)
    rng = np.random.default_rng(1)
    fresh = (fresh + 0.1 * rng.normal(size=fresh.shape)).astype(np.float32)
    ground, judged = fresh[::2], fresh[1::2]
    splits = by(rng.permutation(120)[field] % 5)
    full = fit(features, splits, names=names(4), plan="plan", most_references=len(features))
    few = fit(features, splits, names=names(4), plan="plan", most_references=150, ground=ground)
    inside = dissimilarity(judged, full.references) <= full.noun.threshold

    def lost(references):
        return float((dissimilarity(judged[inside], references) > full.noun.threshold).mean())

    assert few.lost_share == pytest.approx(lost(few.references), abs=0.03)
    assert f"{few.lost_share:.1%}" in few.noun.definition
    by_chance = []
    for _ in range(5):
        drawn = rng.permutation(len(features))[:150]
        reach = full.references.rows[drawn]
        distance = nearest(full.references.place(judged[inside]), reach)[0]
        by_chance.append(float((distance > full.references.reach).mean()))
    assert lost(few.references) < min(by_chance) / 2
    assert lost(few.references) < 0.05
    # Approximate densities still tell dense from sparse.
    exact, rough = density(judged, full.references), density(judged, few.references)
    assert np.corrcoef(exact, rough)[0, 1] > 0.8
    assert rough.mean() == pytest.approx(exact.mean(), rel=0.35)


def test_what_is_lost_is_measured_on_pixels_that_did_not_help_to_choose_and_were_inside():
    """Ground without any clusters, where few references must lose much; measured on helpers it would look less."""
    gaps = []
    for seed in range(6):
        rng = np.random.default_rng(seed)
        features, land = (rng.normal(size=(n, 4)).astype(np.float32) for n in (1200, 1800))
        ground, judged, strange = land[:400], land[400:], np.full((100, 4), 1e3, np.float32)
        options = {"names": names(4), "plan": "plan"}
        few = fit(features, in_turn(1200), ground=ground, most_references=50, **options)
        odd = fit(features, in_turn(1200), ground=np.concatenate([ground, strange]), most_references=50, **options)
        assert odd.lost_share == few.lost_share
        full = fit(features, in_turn(1200), **options)
        inside = dissimilarity(judged, full.references) <= full.noun.threshold
        gaps.append(few.lost_share - (dissimilarity(judged[inside], few.references) > few.noun.threshold).mean())
    assert abs(np.mean(gaps)) < 0.035


def test_thinned_references_count_for_every_copy_of_the_samples_they_stand_for():
    features = np.repeat(samples(100, 3), np.arange(100) % 4 + 1, axis=0)
    area = fit(features, in_turn(len(features)), names=names(3), plan="plan", most_references=30)
    assert area.references.counts.sum() == len(features)


def test_the_same_arguments_give_the_same_references():
    features, field = fields(3)
    one, two = (
        fit(features, by(field % 5), names=names(4), plan="plan", most_references=60, seed=4, ground=features[::3] + 1)
        for _ in range(2)
    )
    assert one.noun == two.noun
    assert np.array_equal(one.references.rows, two.references.rows)


def test_beyond_what_can_be_measured_pair_by_pair_a_draw_stands_for_all_and_is_told(monkeypatch):
    features, splits = samples(900, 3), in_turn(900)
    exact = fit(features, splits, names=names(3), plan="plan")
    monkeypatch.setattr(area_module, "MOST_EXACT", 400)
    rough = fit(features, splits, names=names(3), plan="plan")
    assert rough.noun.mean_distance == pytest.approx(exact.noun.mean_distance, rel=0.05)
    assert rough.noun.mean_density == pytest.approx(exact.noun.mean_density, rel=0.2)
    assert "mean distance of 400 samples" in rough.noun.definition
    assert "of the tested samples" in rough.noun.definition
    # Only the unit changes: what is inside stays inside.
    assert rough.references.reach == pytest.approx(exact.references.reach, rel=1e-6)


# --- distances -------------------------------------------------------------------------------


@pytest.mark.parametrize(("n", "m", "d"), [(1, 1, 1), (511, 2047, 3), (513, 2049, 7), (1030, 4100, 2)])
def test_distances_in_blocks_equal_those_of_all_pairs(n, m, d):
    rng = np.random.default_rng(n)
    rows, among = rng.normal(size=(n, d)), rng.normal(size=(m, d))
    pairs, counts = cdist(rows, among), rng.integers(1, 9, m).astype(float)
    distance, which = nearest(rows, among)
    assert distance == pytest.approx(pairs.min(axis=1), rel=1e-12)
    assert np.array_equal(which, pairs.argmin(axis=1))
    assert np.array_equal(closer_than(rows, among, 0.8), (pairs < 0.8).sum(axis=1))
    assert closer_than(rows, among, 0.8, counts) == pytest.approx((pairs < 0.8) @ counts)
    if n > 1:
        assert mean_distance(rows) == pytest.approx(pdist(rows).mean(), rel=1e-9)


def test_what_lies_exactly_at_the_reach_is_not_closer():
    line = np.array([[0.0], [3.0], [4.0], [-3.0]])
    assert closer_than(line[:1], line, 3.0).tolist() == [1]
    assert closer_than(line[:1], line, np.nextafter(3.0, 4)).tolist() == [3]


def test_rows_far_from_the_origin_still_meet_their_twins_exactly():
    rng = np.random.default_rng(0)
    rows = 1e4 + rng.normal(size=(300, 5))
    assert not nearest(rows, rows[::-1])[0].any()


def test_all_pairs_never_lie_in_memory():
    rows = np.random.default_rng(0).normal(size=(6000, 6))
    tracemalloc.start()
    mean_distance(rows)
    nearest(rows, rows)
    closer_than(rows, rows, 1.0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 6000 * 6000 * 8 / 5


@settings(max_examples=40, deadline=None)
@given(seed=SMALL, n=st.integers(1, 12), m=st.integers(1, 12), most=st.integers(1, 12))
def test_a_cover_takes_the_best_column_at_every_step(seed, n, m, most):
    answered = (np.random.default_rng(seed).random((n, m)) < 0.3).astype(np.uint8)
    chosen, open_ = cover(answered, most), np.ones(n, dtype=bool)
    for column in chosen:
        gains = answered[open_].sum(axis=0)
        assert gains[column] == gains.max() > 0
        open_ &= answered[:, column] == 0
    if len(chosen) < most:
        assert not answered[open_].any()


def test_thinning_ends_where_rounding_leaves_a_pixel_on_the_edge_of_reach():
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(60, 3)) * 100
    step = rng.normal(size=(60, 3))
    pixels = rows + step / np.linalg.norm(step, axis=1, keepdims=True)
    for reach in (1.0, np.nextafter(1.0, 0), 1 - 1e-12):
        kept = thinned(rows, pixels, reach, 59, seed=1)
        assert len(np.unique(kept)) == 59


def test_among_rows_that_answer_for_as_many_none_is_preferred():
    rows = 10.0 * np.arange(400)[:, None]
    kept = thinned(rows, rows[:0], 1.0, 100)
    assert abs(kept.mean() - 200) < 30
    assert (np.bincount(kept // 100) > 10).all()


@pytest.mark.parametrize("reach", [0.0, 1e-9, 1e9])
@pytest.mark.parametrize("away", [0.0, 1e8])
def test_thinning_keeps_as_many_as_it_may_whatever_the_reach(reach, away):
    rows = samples(200, 3).astype(np.float64) + away
    kept = thinned(rows, rows[:0], reach, 50)
    assert len(np.unique(kept)) == 50
    assert np.array_equal(kept, np.sort(kept))


# --- full size -------------------------------------------------------------------------------

BIG = """
import json, re, sys, time
import numpy as np
from geoml_ops.domain.applicability import density, dissimilarity, fit
n, d = int(sys.argv[1]), 10
rng = np.random.default_rng(0)
middle = rng.normal(size=(n // 50, 4)) @ rng.normal(size=(4, d))
rows = (middle.repeat(50, 0) + 0.3 * rng.normal(size=(n, d))).astype(np.float32)
ground = (middle[rng.integers(0, len(middle), 8000)] + 0.3 * rng.normal(size=(8000, d))).astype(np.float32)
fold = rng.integers(0, 5, len(middle)).repeat(50)
splits = [(np.flatnonzero(fold != f), np.flatnonzero(fold == f)) for f in range(5)]
began = time.process_time()
area = fit(rows, splits, names=[f"f{i}" for i in range(d)], plan="plan", ground=ground[:4000])
spent = time.process_time() - began
full = fit(rows, splits, names=[f"f{i}" for i in range(d)], plan="plan", most_references=n) if n <= 20000 else None
asked, lost = ground[4000:], None
if full:
    inside = dissimilarity(asked, full.references) <= full.noun.threshold
    lost = float((dissimilarity(asked[inside], area.references) > area.noun.threshold).mean())
print(json.dumps({"samples": n, "features": d, "references": area.noun.n_references, "cpu_s": round(spent, 2),
    "peak_mb": int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1]) // 1024,
    "threshold": area.noun.threshold, "lost_share_told": area.lost_share, "lost_share_measured": lost}))
"""


@pytest.mark.full
@pytest.mark.skipif(os.environ.get("GEOML_FULL") != "1", reason="takes minutes; make full")
def test_a_hundred_thousand_samples_fit_in_two_gigabytes():
    found = []
    for n in (1_000, 10_000, 100_000):
        done = subprocess.run(
            [sys.executable, "-c", BIG, str(n)], capture_output=True, text=True, check=True, cwd=CHECKOUT
        )
        found.append(json.loads(done.stdout))
    NUMBERS.parent.mkdir(parents=True, exist_ok=True)
    NUMBERS.write_text(json.dumps(found, indent=1))
    assert found[-1]["peak_mb"] < 2048
    assert found[-1]["cpu_s"] < 300
    assert found[1]["lost_share_told"] == pytest.approx(found[1]["lost_share_measured"], abs=0.02)


def test_the_share_of_the_map_that_is_outside_is_what_its_pixels_say() -> None:
    rows, _ = fields(3)
    rng = np.random.default_rng(0)
    ground = np.concatenate([rows[rng.integers(0, len(rows), 300)], rng.normal(size=(100, 4)) * 8]).astype(np.float32)
    ground[:7, 0] = np.nan
    area = fit(rows, in_turn(len(rows)), names=names(4), plan="p", ground=ground)
    said = dissimilarity(ground[7:], area.references) > area.noun.threshold
    assert area.noun.ground_outside_share == pytest.approx(said.mean())
    assert 0.1 < said.mean() < 0.5
    assert fit(rows, in_turn(len(rows)), names=names(4), plan="p").noun.ground_outside_share is None
