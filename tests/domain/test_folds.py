"""Folds keep samples apart, and their audit says so from the indices alone."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist
from sklearn.neighbors import KNeighborsClassifier

from geoml_ops.core.errors import BadInput
from geoml_ops.core.flow import FoldPlan
from geoml_ops.core.folding import FoldRules
from geoml_ops.domain.fitting import out_of_fold
from geoml_ops.domain.folds import BlockFolds, Samples, audit, evidence_blocks, materialise, plan_for, splitter_of
from geoml_ops.domain.scoring import scores_of

TABLE = "table-0123456789abcdef"


def fold_of(plan: FoldPlan, samples: Samples) -> np.ndarray:
    splitter = splitter_of(plan, samples)
    assert isinstance(splitter, BlockFolds)
    return splitter.fold_of()


def field(seed: int, n_polygons: int = 120, per_polygon: int = 12, extent_m: float = 12_000.0, k: int = 3) -> Samples:
    """Small polygons whose classes have nothing to do with where they are."""
    rng = np.random.default_rng(seed)
    anchors = rng.uniform(0, extent_m, (n_polygons, 2)) + np.array([300_000.0, 5_800_000.0])
    polygon = np.repeat(np.arange(n_polygons), per_polygon)
    ground = anchors[polygon] + rng.uniform(-60, 60, (len(polygon), 2))
    code = rng.integers(0, k, n_polygons)[polygon]
    return Samples(
        "EPSG:32633", True, 10.0, *ground.T.copy(), *anchors[polygon].T.copy(), polygon.astype(np.int64), code
    )


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000), st.floats(0, 900), st.integers(2, 6), st.integers(0, 5))
def test_buffers_hold_polygons_stay_whole_and_all_are_tested_once(
    seed: int, buffer_m: float, n_folds: int, halo_px: int
) -> None:
    samples = field(seed, n_polygons=60, per_polygon=5)
    plan = plan_for(TABLE, samples, FoldRules(buffer_m=buffer_m, n_folds=n_folds, seed=seed), halo_px=halo_px)
    splits = materialise(plan, samples)
    tested = np.sort(np.concatenate([test for _, test in splits]))
    assert (tested == np.arange(len(samples))).all()
    least, dropped = np.inf, 0
    for train, test in splits:
        assert not set(samples.polygon[train]) & set(samples.polygon[test])
        distance = cdist(samples.ground, samples.ground[test]).min(axis=1)
        expected = np.setdiff1d(np.flatnonzero(distance > buffer_m + 20.0 * halo_px), test)
        assert (np.sort(train) == expected).all()
        least, dropped = min(least, distance[train].min()), dropped + len(samples) - len(train) - len(test)
    assert plan.audit is not None
    assert plan.audit.least_distance_m == pytest.approx(least)
    assert plan.audit.n_dropped == dropped
    assert plan.audit.passed


def test_the_same_plan_gives_the_same_folds_whatever_the_order_it_was_made_in() -> None:
    samples = field(1)
    plan, again = plan_for(TABLE, samples, FoldRules()), plan_for(TABLE, samples, FoldRules())
    assert plan.id == again.id
    for (train, test), (train2, test2) in zip(materialise(plan, samples), materialise(again, samples), strict=True):
        assert (train == train2).all()
        assert (test == test2).all()
    assert plan_for(TABLE, samples, FoldRules(seed=1)).id != plan.id


def test_a_polygon_across_an_edge_belongs_to_one_block() -> None:
    samples = field(2)
    pairs, block = evidence_blocks(samples, 2000.0)
    for number in np.unique(samples.polygon):
        assert len(np.unique(block[samples.polygon == number])) == 1
    own = (np.floor(samples.ground / 2000) + 0.5) * 2000
    assert (own != pairs[block]).any(), "the field has no polygon across an edge; the test shows nothing"


def test_blocks_are_pairs_and_never_collide() -> None:
    samples = dataclasses.replace(
        field(3, 2, 1), anchor_easting=np.array([300_015.0, 600_015.0]), anchor_northing=np.array([5e6 + 10, 5e6 - 20])
    )
    assert len(evidence_blocks(samples, 30.0)[0]) == 2


def test_classes_are_dealt_evenly() -> None:
    samples = field(4, n_polygons=300)
    fold = fold_of(plan_for(TABLE, samples, FoldRules(block_m=1000.0)), samples)
    shares = np.array([np.bincount(samples.code[fold == f], minlength=3) for f in range(5)])
    assert shares.min() > 0
    blocks = evidence_blocks(samples, 1000.0)[1]
    plain = np.random.default_rng(0).permutation(blocks.max() + 1) % 5
    naive = np.array([np.bincount(samples.code[plain[blocks] == f], minlength=3) for f in range(5)])
    assert shares.std(axis=0).sum() < naive.std(axis=0).sum()


def test_random_folds_fail_their_audit_and_say_what_they_are() -> None:
    samples = field(5)
    plan = plan_for(TABLE, samples, FoldRules(method="random"))
    assert plan.estimand == "optimism baseline"
    assert plan.audit is not None
    assert not plan.audit.passed
    assert plan.audit.n_shared_polygons > 100
    assert sum(plan.audit.n_test) == len(samples)


def test_the_audit_sees_a_leak_that_the_plan_does_not_mention() -> None:
    samples = field(6)
    plan = plan_for(TABLE, samples, FoldRules())
    splits = materialise(plan, samples)
    train, test = splits[0]
    near = np.concatenate([train, np.flatnonzero(fold_of(plan, samples) == 1)[:0], test[:1]])
    assert not audit(plan, samples, [(near, test), *splits[1:]]).passed
    assert not audit(plan, samples, splits[1:]).passed
    fewer = audit(plan, samples, [(train[samples.code[train] != 2], test), *splits[1:]])
    assert fewer.classes_missing == ("fold 0: class 2",)
    assert fewer.passed


def test_a_model_that_copies_the_nearest_label_profits_from_random_folds_only() -> None:
    samples = field(7, n_polygons=300, per_polygon=10)
    _, block = evidence_blocks(samples, 2000.0)
    scores = {}
    for plan in (plan_for(TABLE, samples, FoldRules()), plan_for(TABLE, samples, FoldRules(method="random"))):
        answers = out_of_fold(
            samples.ground.astype(np.float32), samples.code, materialise(plan, samples), copy_nearest, 3
        )
        scores[plan.method] = scores_of(samples.code, answers.predicted, block, 3)["overall_accuracy"]
    assert scores["random"].low > 0.85
    assert scores["block"].low < 1 / 3 < scores["block"].high


def copy_nearest(n_classes: int) -> KNeighborsClassifier:
    return KNeighborsClassifier(n_neighbors=1)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"projected": False, "crs": "EPSG:4326"}, "EPSG:4326 has degrees, but coordinates reach"),
        ({"code": np.zeros(1440, dtype=np.int64)}, "1440 samples of 1 class"),
        ({"anchor_easting": np.full(1440, np.nan)}, "no coordinates"),
        ({"anchor_easting": np.full(1440, 3e5), "anchor_northing": np.full(1440, 5e6)}, "1 block of 2000 m cannot"),
    ],
)
def test_what_cannot_be_folded_is_refused_with_a_sentence(change: dict[str, object], sentence: str) -> None:
    with pytest.raises(BadInput, match=sentence):
        plan_for(TABLE, dataclasses.replace(field(8), **change), FoldRules())  # type: ignore[arg-type]


def test_no_samples_are_refused() -> None:
    empty = np.zeros(0)
    none = Samples("EPSG:32633", True, 10.0, empty, empty, empty, empty, empty.astype(int), empty.astype(int))
    with pytest.raises(BadInput, match="no samples"):
        plan_for(TABLE, none, FoldRules())
