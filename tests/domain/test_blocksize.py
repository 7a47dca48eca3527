"""Blocks follow from the range of what samples tell, as far as the ground allows, and say where it does not."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geoml_ops.core.errors import BadInput
from geoml_ops.core.evidence import Score
from geoml_ops.core.flow import FoldPlan
from geoml_ops.core.folding import ESTIMAND, FoldRules, Method
from geoml_ops.domain.blocksize import LEAST_BLOCKS, auto_block, choose, ranges, rounded_up, sensitivity
from geoml_ops.domain.folds import PredictionPoints, Samples, evidence_blocks, materialise
from geoml_ops.domain.variogram import Curve, Fit

AUTO = FoldRules(block_m="auto", buffer_m=0.0)


def world(
    seed: int, *, n: int = 200, per_polygon: int = 4, extent_m: float = 10_000.0, classes: int = 3, patch_m: float = 0.0
) -> Samples:
    """Small polygons at random; classes by chance, or by patches of ground ``patch_m`` wide."""
    rng = np.random.default_rng(seed)
    anchor = np.floor(rng.uniform(0, extent_m, (n, 2)) / 10) * 10 + 5 + np.array([300_000.0, 5_800_000.0])
    polygon = np.repeat(np.arange(n), per_polygon)
    ground = anchor[polygon] + 10.0 * rng.integers(-2, 3, (len(polygon), 2))
    code = rng.integers(0, classes, n)
    if patch_m:
        patch = np.floor((anchor - anchor.min(axis=0)) / patch_m).astype(np.int64)
        code = rng.integers(0, classes, (200, 200))[patch[:, 0], patch[:, 1]]
    code[:classes] = np.arange(classes)
    return Samples("EPSG:32633", True, 10.0, *ground.T.copy(), *anchor[polygon].T.copy(), polygon, code[polygon])


def fit(range_m: float = 800.0, high_m: float = 1100.0, reason: str = "") -> Fit:
    nothing = Fit.none(100, reason)
    return (
        nothing
        if reason
        else dataclasses.replace(
            nothing, curve=Curve("spherical", 0.1, 1.0, range_m), low_m=0.7 * range_m, high_m=high_m
        )
    )


def lacking(samples: Samples, rules: FoldRules, edge: float, halo_px: int = 0) -> int:
    """Classes that a fold lacks on a side, counted apart from the code under test."""
    plan = FoldPlan(
        table="t", rules=rules.model_copy(update={"block_m": edge}), estimand=ESTIMAND[rules.method],
        n_folds=rules.n_folds, n_blocks=1, halo_px=halo_px,
    )  # fmt: skip
    codes, found = set(samples.code.tolist()), set()
    for split in materialise(plan, samples):
        for side in split:
            found |= codes - set(samples.code[side].tolist())
    return len(found)


# --- the choice ------------------------------------------------------------------------------


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.integers(60, 250), st.floats(30, 9000), st.integers(2, 6), st.integers(0, 4))
def test_blocks_are_as_wide_as_asked_or_the_widest_that_keep_blocks_and_classes(
    seed: int, n: int, high_m: float, n_folds: int, halo_px: int
) -> None:
    samples = world(seed, n=n, per_polygon=2)
    rules = AUTO.model_copy(update={"n_folds": n_folds})
    size = choose(samples, rules, {"a": fit(high_m, high_m)}, halo_px=halo_px)
    n_blocks = len(evidence_blocks(samples, size.block_m)[0])
    assert size.block_m >= (2 * halo_px + 1) * 10
    assert n_blocks >= LEAST_BLOCKS
    assert lacking(samples, rules, size.block_m, halo_px) == 0
    assert size.capped is (size.block_m < rounded_up(high_m))
    assert bool(size.remarks) is (size.capped or high_m < (2 * halo_px + 1) * 10)
    if size.capped:
        wider = rounded_up(size.block_m * 1.05)
        too_few = len(evidence_blocks(samples, wider)[0]) < LEAST_BLOCKS
        assert too_few or lacking(samples, rules, wider, halo_px)
    else:
        assert size.block_m == rounded_up(max(high_m, (2 * halo_px + 1) * 10))


def test_the_longest_range_that_converged_counts() -> None:
    fits = {
        "Wood": fit(300, 900),
        "Water": fit(500, 700),
        "Town": fit(reason="pure nugget: none"),
        "residual": fit(400, 4000),
    }
    size = choose(world(0), AUTO, fits)
    assert (size.column, size.range_m, size.low_m, size.high_m) == ("Water", 500, 350, 700)
    assert size.block_m == 800
    assert not size.capped
    assert size.not_converged == {"Town": "pure nugget: none"}
    assert size.remarks == ()


def test_where_no_range_is_known_blocks_are_as_wide_as_can_be() -> None:
    samples = world(1)
    size = choose(samples, AUTO, {"Wood": fit(reason="pure nugget: none")})
    assert (size.range_m, size.low_m, size.high_m, size.column) == (None, None, None, "")
    assert size.capped
    assert size.remarks == (
        f"No variogram has a range that can be used; {size.block_m:g} m is the largest edge that the ground allows.",
    )
    assert 20 <= len(evidence_blocks(samples, size.block_m)[0]) < 40


def test_a_block_is_not_narrower_than_a_window() -> None:
    samples = dataclasses.replace(world(2), half_px=np.full(800, 16))
    size = choose(samples, AUTO, {"Wood": fit(90, 120)}, halo_px=2)
    assert size.block_m == 400
    assert not size.capped
    assert size.remarks == ("The range of Wood asks for blocks of 120 m; a window of source pixels is 370 m wide.",)


def test_a_class_that_cannot_be_everywhere_is_named() -> None:
    samples = world(3)
    code = np.where(np.isin(samples.polygon, [5, 6]), 3, samples.code)
    size = choose(dataclasses.replace(samples, code=code), AUTO, {"Wood": fit()})
    assert size.block_m == 1200, "smaller blocks would not help"
    assert size.capped
    assert size.remarks == ("Class 3 has 2 polygons for 5 folds; with blocks of 1200 m some fold lacks it on a side.",)


def test_blocks_become_smaller_until_every_class_is_in_every_fold() -> None:
    samples = world(3)
    corner = np.argsort(np.abs(samples.anchors - samples.anchors.min(axis=0)).max(axis=1))
    rare = samples.polygon[corner[: 4 * 14]]
    samples = dataclasses.replace(samples, code=np.where(np.isin(samples.polygon, rare), 3, samples.code))
    size = choose(samples, AUTO, {"Wood": fit(high_m=2000.0)})
    assert len(evidence_blocks(samples, 2000.0)[0]) >= LEAST_BLOCKS
    assert lacking(samples, AUTO, 2000.0) == 1, "the rare class lies in one corner"
    assert lacking(samples, AUTO, size.block_m) == 0
    assert lacking(samples, AUTO, rounded_up(size.block_m * 1.05)) == 1
    assert size.capped
    assert size.remarks == (
        "The range of Wood asks for blocks of 2000 m; "
        f"{size.block_m:g} m is the largest edge that the ground allows, so scores may still be too good.",
    )


def test_too_few_polygons_for_twenty_blocks_are_said() -> None:
    samples = world(4, n=12)
    size = choose(samples, AUTO.model_copy(update={"n_folds": 2}), {"Wood": fit()})
    assert size.capped
    assert any("No edge leaves 20 occupied blocks of 12 polygons" in sentence for sentence in size.remarks)
    assert len(evidence_blocks(samples, size.block_m)[0]) == 12, "most blocks win, and of these the widest edge"


@pytest.mark.parametrize("method", ["kmeans", "knndm", "buffered", "location"])
def test_where_folds_are_not_made_of_blocks_only_evidence_counts(method: Method) -> None:
    rules = FoldRules(method=method, block_m="auto")
    size = choose(world(5), rules, {"Wood": fit(high_m=30_000.0)})
    assert size.capped
    assert 20 <= len(evidence_blocks(world(5), size.block_m)[0]) < 40
    assert choose(world(5), rules, {"Wood": fit()}).block_m == 1200


def test_ground_far_from_all_samples_is_remarked() -> None:
    east = np.linspace(300_000, 400_000, 50)
    points = PredictionPoints(easting=east, northing=np.full(50, 5_805_000.0))
    size = choose(dataclasses.replace(world(6), points=points), AUTO, {"Wood": fit()})
    assert not size.capped
    assert len(size.remarks) == 1
    assert size.remarks[0].startswith("Half of what will be mapped is more than 4")
    near = dataclasses.replace(world(6), points=PredictionPoints(easting=east[:5], northing=np.full(5, 5_805_000.0)))
    assert choose(near, AUTO, {"Wood": fit()}).remarks == ()


# --- ranges ----------------------------------------------------------------------------------


def test_patches_of_a_class_give_its_range() -> None:
    found = ranges(world(7, n=900, patch_m=1500.0), classes=("Wood", "Water", "Town"))
    assert set(found) == {"Wood", "Water", "Town"}
    # Patches of 1500 m with no memory beyond: likeness falls to nothing at 1500 m along an axis.
    assert all(one.converged for one in found.values()), [one.reason for one in found.values()]
    assert all(900 < (one.range_m or 0) < 2200 for one in found.values())


def test_classes_by_chance_have_no_range() -> None:
    reasons = [one.reason for seed in range(8) for one in ranges(world(seed, per_polygon=8), seed=seed).values()]
    assert sum(reason.startswith("pure nugget") for reason in reasons) >= len(reasons) - 2


def test_rare_classes_and_missing_residuals_are_told() -> None:
    samples = world(8)
    code = np.where(np.isin(samples.polygon, [5, 6]), 3, samples.code)
    residual = np.where(samples.polygon < 180, np.nan, 0.5)
    found = ranges(dataclasses.replace(samples, code=code), residual)
    # Two polygons of this world overlap and are one.
    assert found["class 3"].reason == "2 of 199 polygons are of it and 197 are not; it takes 10 of each"
    assert found["residual"].reason == "80 samples of 20 polygons; it takes 30 polygons"


def patchy(samples: Samples, edge_m: float) -> np.ndarray:
    """Residuals that are alike within squares of ground."""
    rng = np.random.default_rng(0)
    cell = np.floor((samples.anchors - samples.anchors.min(axis=0)) / edge_m).astype(np.int64)
    return np.asarray(rng.uniform(0, 1, (40, 40))[cell[:, 0], cell[:, 1]] + rng.normal(0, 0.1, len(samples)))


def test_residuals_with_the_longer_range_decide() -> None:
    samples = world(9, n=400, patch_m=500.0)
    size = auto_block(samples, AUTO, residual=patchy(samples, 1200.0), seed=1)
    assert size.column == "residual"
    assert 900 < (size.range_m or 0) < 1800
    assert auto_block(samples, AUTO, residual=patchy(samples, 1200.0), seed=1) == size


def test_likeness_beyond_what_can_be_seen_is_remarked() -> None:
    samples = world(9, n=400, patch_m=500.0)
    size = auto_block(samples, AUTO, residual=patchy(samples, 4000.0))
    assert size.column.startswith("class")
    assert "exceeds half the cutoff" in size.not_converged["residual"]
    assert any(
        sentence.startswith("residual: samples are more alike the nearer they are, up to 23")
        for sentence in size.remarks
    )


# --- sensitivity -----------------------------------------------------------------------------


def test_the_table_shows_what_wider_blocks_leave() -> None:
    samples, asked = world(10), []

    def score(block_m: float) -> Score | None:
        asked.append(block_m)
        return None if block_m == 2000 else Score(value=0.8, low=0.7, high=0.9, n_blocks=7)

    trials = sensitivity(samples, AUTO, 1000.0, score)
    assert [trial.times for trial in trials] == [1, 2, 5]
    assert [trial.block_m for trial in trials] == [1000, 2000, 5000]
    for trial in trials:
        assert trial.n_blocks == len(evidence_blocks(samples, trial.block_m)[0])
    assert [trial.score for trial in trials[:2]] == [0.8, None]
    assert (trials[0].low, trials[0].high) == (0.7, 0.9)
    assert trials[0].n_classes_missing == lacking(samples, AUTO, 1000.0) == 0
    # 5 km on 10 km of ground leave four to nine blocks for five folds.
    assert asked == [1000, 2000, 5000][: 2 + (trials[2].n_blocks >= 5)]


def test_no_score_is_asked_where_no_folds_can_be() -> None:
    trials = sensitivity(world(11), AUTO, 20_000.0, lambda block_m: pytest.fail(f"asked for {block_m}"))
    assert [trial.n_classes_missing for trial in trials] == [3, 3, 3]
    assert [trial.score for trial in trials] == [None] * 3


def test_the_answer_comes_with_its_table() -> None:
    samples = world(12, n=400, patch_m=1200.0)
    size = auto_block(samples, AUTO, score=lambda block_m: Score(value=1 / block_m, low=0, high=1, n_blocks=3))
    assert [trial.block_m for trial in size.sensitivity] == [times * size.block_m for times in (1, 2, 5)]
    assert size.sensitivity[0].score == 1 / size.block_m
    assert size.sensitivity[0].n_blocks >= LEAST_BLOCKS
    assert size.sensitivity[0].n_classes_missing == 0
    assert 900 < (size.range_m or 0) < 2500


@given(st.floats(1e-3, 1e7))
def test_edges_are_rounded_up_and_not_far(edge: float) -> None:
    found = rounded_up(edge)
    assert edge * (1 - 1e-9) <= found <= edge * 1.34
    assert len(f"{found:e}".split("e")[0].rstrip("0").replace(".", "")) <= 2
    assert rounded_up(found) == found


# --- bad input -------------------------------------------------------------------------------


def broken(**change: Any) -> Samples:
    return dataclasses.replace(world(13), **change)


@pytest.mark.parametrize(
    ("samples", "rules", "sentence"),
    [
        (broken(code=np.zeros(800, dtype=np.int64)), AUTO, "800 samples of 1 class cannot train a classifier"),
        (broken(easting=np.full(800, np.nan)), AUTO, "800 of 800 samples have no coordinates"),
        (world(14, n=3, per_polygon=1), AUTO, "3 blocks of .* m cannot make 5 folds"),
        (broken(crs="EPSG:4326", projected=False), AUTO, "EPSG:4326 has degrees, but coordinates reach"),
        (
            broken(
                crs="EPSG:4326", projected=False, easting=np.linspace(8, 9, 800), northing=np.linspace(47, 48, 800),
                anchor_easting=np.linspace(8, 9, 800), anchor_northing=np.linspace(47, 48, 800),
            ),
            AUTO,
            "cannot be cut in EPSG:4326: it does not measure in metres",
        ),
        (broken(easting=np.full(800, 5.0), northing=np.full(800, 5.0)), AUTO, "All 800 samples lie in one place"),
    ],
)  # fmt: skip
def test_what_has_no_answer_is_refused(samples: Samples, rules: FoldRules, sentence: str) -> None:
    with pytest.raises(BadInput, match=sentence):
        auto_block(samples, rules)


def test_residuals_that_cannot_be_are_refused() -> None:
    with pytest.raises(BadInput, match="'residual' has 3 values for 800 samples"):
        auto_block(world(15), AUTO, residual=np.zeros(3))
    with pytest.raises(BadInput, match="1 of them infinite"):
        auto_block(world(15), AUTO, residual=np.r_[np.inf, np.zeros(799)])


def test_no_samples_are_refused() -> None:
    none, code = np.zeros(0), np.zeros(0, dtype=np.int64)
    with pytest.raises(BadInput, match="There are no samples"):
        auto_block(Samples("EPSG:32633", True, 10.0, none, none, none, none, code, code), AUTO)


def test_longitude_and_latitude_have_an_answer_where_folds_are_not_made_of_blocks() -> None:
    flat = world(16, n=400, patch_m=1500.0)
    lon, lat = 13 + (flat.easting - 3e5) / 68_000, 52 + (flat.northing - 5.8e6) / 111_000
    sphere = dataclasses.replace(
        flat, crs="EPSG:4326", projected=False, easting=lon, northing=lat, anchor_easting=lon, anchor_northing=lat
    )
    rules = FoldRules(method="kmeans", block_m="auto")
    here, there = auto_block(flat, rules), auto_block(sphere, rules)
    assert here.range_m is not None
    assert there.range_m == pytest.approx(here.range_m, rel=0.15)
    assert there.sensitivity[0].n_blocks >= LEAST_BLOCKS
