"""From rules to an audited plan, and from a plan to the same folds again."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from geoml_ops.core.errors import BadInput
from geoml_ops.core.folding import ESTIMAND, FoldRules
from geoml_ops.domain.folds import BlockFolds, evidence_blocks, materialise, plan_for, splitter_of
from geoml_ops.domain.folds.plan import METHODS
from tests.domain.folds.test_samples import reordered
from tests.domain.folds.worlds import TABLE, field, made


def test_every_method_that_can_be_written_has_a_splitter_and_an_estimand() -> None:
    assert set(METHODS) == set(ESTIMAND)


def test_the_same_rules_name_the_same_plan() -> None:
    samples = field(1)
    assert plan_for(TABLE, samples, FoldRules()).id == plan_for(TABLE, samples, FoldRules()).id
    ids = {plan_for(TABLE, samples, FoldRules(seed=seed), repeat=repeat).id for seed in (0, 5) for repeat in (0, 1)}
    assert len(ids) == 4


def test_rules_reach_the_splitter() -> None:
    samples = field(2)
    rules = FoldRules(block_m=1300.0, shape="hexagon", deal="systematic", buffer_m=70.0, n_folds=4, keep_scenes=True)
    plan = plan_for(TABLE, dataclasses.replace(samples, scene=samples.polygon % 40), rules, halo_px=3, repeat=2)
    splitter = splitter_of(plan, samples)
    assert isinstance(splitter, BlockFolds)
    asked = (splitter.block_m, splitter.shape, splitter.deal, splitter.buffer_m, splitter.n_folds, splitter.halo_px)
    assert asked == (1300.0, "hexagon", "systematic", 70.0, 4, 3)
    assert splitter.moved
    assert splitter.keep_scenes
    assert splitter.seed == plan.seed


@pytest.mark.parametrize("method", ["block", "kmeans", "buffered_loo"])
def test_blocks_of_evidence_are_counted_whatever_the_method(method: str) -> None:
    samples = field(3)
    plan = plan_for(TABLE, samples, FoldRules(method=method, block_m=1700.0, tested=20))  # type: ignore[arg-type]
    assert plan.n_blocks == len(evidence_blocks(samples, 1700.0)[0])


def test_a_fold_of_days_and_places_is_counted_and_comes_back() -> None:
    samples = field(4, 150)
    plan = plan_for(TABLE, samples, FoldRules(method="location_time", n_folds=3))
    assert plan.n_folds == len(materialise(plan, samples)) == 9
    assert plan.rules.n_folds == 3


def test_random_folds_fail_their_audit_and_say_what_they_are() -> None:
    samples = dataclasses.replace(field(5), half_px=np.full(1440, 4))
    plan = plan_for(TABLE, samples, FoldRules(method="random"), halo_px=2)
    assert plan.estimand == "optimism baseline"
    assert plan.audit is not None
    assert not plan.audit.passed
    assert plan.audit.n_shared_polygons > 100
    assert sum(plan.audit.n_test) == len(samples)
    assert plan.audit.n_dropped == 0, "windows overlap here as they happen to"
    assert plan.halo_px == 0


def test_classes_reach_every_fold_and_shares_are_even() -> None:
    samples = field(6, 300)
    plan = plan_for(TABLE, samples, FoldRules(block_m=1000.0))
    assert plan.audit is not None
    tested = np.array([fold.n_test_per_class for fold in plan.audit.folds])
    assert tested.min() > 0.7 * tested.max()


def test_a_class_with_one_sample_is_planned_and_said() -> None:
    samples = field(7)
    code = samples.code.copy()
    code[0] = 3
    plan = plan_for(TABLE, dataclasses.replace(samples, code=code), FoldRules())
    assert plan.audit is not None
    said = " ".join((*plan.audit.objections, *plan.audit.remarks))
    assert "lass 3 has one sample" in said
    assert len(plan.audit.classes_missing) == 1


def test_a_repeat_that_would_be_the_same_folds_again_is_refused() -> None:
    samples = field(8, 30, 3)
    with pytest.raises(
        BadInput, match="All 90 samples are tested one at a time; repeat 1 would be the same folds again"
    ):
        plan_for(TABLE, samples, FoldRules(method="buffered_loo"), repeat=1)
    plan = plan_for(TABLE, samples, FoldRules(method="buffered_loo", tested=40), repeat=1)
    assert plan.n_folds == 40


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"code": np.zeros(1440, dtype=np.int64)}, "1440 samples of 1 class cannot train a classifier"),
        ({"projected": False, "crs": "EPSG:4326"}, "EPSG:4326 has degrees, but coordinates reach"),
        ({"anchor_easting": np.full(1440, np.nan)}, "1440 of 1440 samples have no coordinates"),
        ({"northing": np.full(1440, -np.inf)}, "1440 of 1440 samples have no coordinates"),
        ({"anchor_easting": np.full(1440, 3e5), "anchor_northing": np.full(1440, 5e6)}, "1 block of 2000 m cannot"),
    ],
)
def test_what_cannot_be_planned_is_refused_with_a_sentence(change: dict[str, object], sentence: str) -> None:
    with pytest.raises(BadInput, match=sentence):
        plan_for(TABLE, dataclasses.replace(field(8), **change), FoldRules())  # type: ignore[arg-type]


def test_no_samples_are_refused() -> None:
    with pytest.raises(BadInput, match="There are no samples"):
        plan_for(TABLE, reordered(field(0), np.zeros(0, dtype=np.int64)), FoldRules())


def test_degrees_with_metres_are_refused_before_anything_is_cut() -> None:
    places = np.random.default_rng(0).uniform([9, 49], [11, 51], (500, 2))
    with pytest.raises(
        BadInput,
        match=r"EPSG:32633 is said to measure in metres, but 500 places lie within 1.991 x 1.99 around 10.07, 50",
    ):
        plan_for(TABLE, made(places), FoldRules(block_m=2000.0))


def test_block_m_auto_has_to_be_resolved_before() -> None:
    with pytest.raises(ValueError, match="block_m: auto has to be resolved"):
        plan_for(TABLE, field(0), FoldRules(block_m="auto"))
