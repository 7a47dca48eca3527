"""Sets of classes: against brute force in exact fractions, on worlds whose truth is known, and under bad input."""

from __future__ import annotations

import json
import math
import os
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from sklearn.cluster import KMeans
from sklearn.ensemble import RandomForestClassifier

from geoml_ops.core.errors import BadInput
from geoml_ops.core.evidence import Conformal
from geoml_ops.domain.conformal import LEAST_REGION_BLOCKS, calibrate, held_out, least_blocks
from geoml_ops.domain.conformal.answers import answered, quarters
from geoml_ops.domain.conformal.quantiles import Pool, quantiles_apart
from geoml_ops.domain.tiling import least_probability, sets
from geoml_ops.platform.files import write_json
from geoml_ops.settings import CHECKOUT

NAMES = ("water", "forest", "built")


@dataclass(frozen=True)
class Answers:
    """As a step reads them from disk."""

    code: NDArray[np.int64]
    probability: NDArray[Any]
    fold: NDArray[np.int64]
    block: NDArray[np.int64]
    easting: NDArray[np.float64]
    northing: NDArray[np.float64]


def answers(
    scores: Any, block: Any, *, code: Any = None, fold: Any = None, n_classes: int = 2, place: Any = None
) -> Answers:
    """Samples that got probability ``1 - score`` for their class and the rest for the next one."""
    scores, block = np.asarray(scores, dtype=float), np.asarray(block)
    n = len(scores)
    code = np.zeros(n, dtype=np.int64) if code is None else np.asarray(code)
    probability = np.zeros((n, n_classes))
    probability[np.arange(n), (code + 1) % n_classes] = scores
    probability[np.arange(n), code] = 1 - scores
    east = block * 100.0 if place is None else np.asarray(place, dtype=float)
    fold = np.zeros(n, dtype=np.int64) if fold is None else np.asarray(fold)
    return Answers(code, probability, fold, block, east, np.zeros(n))


def brute(scores: Any, block: Any, coverage: Fraction) -> float:
    """The quantile by the definition, in exact fractions."""
    sizes = {b: list(block).count(b) for b in set(block)}
    for value in sorted(set(scores)):
        mass = sum(Fraction(1, sizes[b]) for s, b in zip(scores, block, strict=True) if s <= value)
        if mass >= coverage * (len(sizes) + 1):
            return float(value)
    return 1.0


def mixed(seed: int, n: int = 300, n_blocks: int = 40, n_folds: int = 5) -> Answers:
    """Three classes, blocks of all sizes, folds that are whole blocks."""
    rng = np.random.default_rng(seed)
    block = rng.integers(0, n_blocks, n) * 3 + 100
    code = rng.integers(0, 3, n)
    probability = rng.dirichlet(np.full(3, 0.5), n)
    probability[np.arange(n), code] += rng.random(n)
    probability /= probability.sum(axis=1, keepdims=True)
    east, north = (block % 7) * 1000.0 + rng.random(n) * 500, (block // 7) * 1000.0 + rng.random(n) * 500
    return Answers(code, probability, block % n_folds, block, east, north)


# --- the quantile ----------------------------------------------------------------------------


@settings(deadline=None)
@given(
    scores=st.lists(st.integers(0, 60), min_size=2, max_size=60),
    coverage=st.sampled_from([(1, 2), (7, 10), (8, 10), (9, 10), (95, 100), (99, 100)]),
)
def test_with_one_pixel_per_block_it_is_the_kth_smallest(scores: list[int], coverage: tuple[int, int]) -> None:
    share, n = Fraction(*coverage), len(scores)
    k = math.ceil((n + 1) * share)
    expected = sorted(scores)[k - 1] / 64 if k <= n else 1.0
    found = calibrate(answers(np.array(scores) / 64, np.arange(n)), "ab", coverage=float(share), plan="p")
    assert found.quantiles["a"] == expected


@settings(deadline=None)
@given(
    pairs=st.lists(st.tuples(st.integers(0, 63), st.integers(0, 14)), min_size=2, max_size=80),
    coverage=st.sampled_from([(1, 2), (3, 4), (9, 10)]),
)
def test_in_blocks_of_all_sizes_it_is_what_the_definition_says(
    pairs: list[tuple[int, int]], coverage: tuple[int, int]
) -> None:
    scores, block = [s / 64 for s, _ in pairs], [b for _, b in pairs]
    if len(set(block)) < 2:
        return
    share = Fraction(*coverage)
    found = calibrate(answers(scores, block), "ab", coverage=float(share), plan="p")
    assert found.quantiles["a"] == brute(scores, block, share)


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 10**6), times=st.integers(2, 5))
def test_more_labels_in_a_block_and_another_order_change_nothing(seed: int, times: int) -> None:
    made = mixed(seed)
    before = calibrate(made, NAMES, coverage=0.9, plan="p")
    one = np.flatnonzero(made.block == made.block[0])
    order = np.random.default_rng(seed).permutation(np.concatenate([np.arange(len(made.code)), *[one] * (times - 1)]))
    after = calibrate(taken(made, order), NAMES, coverage=0.9, plan="p")
    assert after.quantiles == before.quantiles
    assert after.measured.value == pytest.approx(before.measured.value)
    assert after.mean_set_size == pytest.approx(before.mean_set_size)


def taken(made: Answers, rows: Any) -> Answers:
    return Answers(**{name: column[rows] for name, column in vars(made).items()})


def test_a_class_of_too_few_blocks_is_in_every_set_and_named() -> None:
    assert (least_blocks(0.9), least_blocks(0.95), least_blocks(0.8), least_blocks(0.5)) == (9, 19, 4, 1)
    for n in (8, 9):
        scores = np.concatenate([np.linspace(0, 0.4, 30), np.linspace(0.1, 0.3, n)])
        code = np.repeat([0, 1], [30, n])
        made = answers(scores, np.concatenate([np.arange(30), np.arange(n)]), code=code)
        found = calibrate(made, ("forest", "wetland"), coverage=0.9, plan="p")
        assert found.quantiles["wetland"] == pytest.approx(1.0 if n == 8 else 0.3, abs=2e-6)
        assert ("in every set, for want of 9 blocks: wetland (8)" in found.method) == (n == 8)


def test_a_class_that_was_never_seen_is_in_every_set() -> None:
    found = calibrate(answers(np.linspace(0, 0.4, 30), np.arange(30), n_classes=3), NAMES, coverage=0.9, plan="p")
    assert (found.quantiles["forest"], found.quantiles["built"]) == (1.0, 1.0)
    assert "forest (0), built (0)" in found.method
    assert found.mean_set_size == 3.0


@given(st.floats(0, 1, width=32), st.integers(2, 9))
def test_no_tie_is_lost_between_calibration_and_map(probability: float, n: int) -> None:
    """The quantile goes through JSON and six decimals, the map's probability is float32."""
    made = answers(np.full(n * 10, 1 - probability), np.arange(n * 10))
    found = calibrate(made, "ab", coverage=0.9, plan="p")
    kept = Conformal.model_validate_json(found.model_dump_json())
    least = least_probability(np.array([kept.quantiles["a"], 0.0]))
    assert sets(np.array([np.float32(probability), 2.0], np.float32), least)[0]


# --- what the promise rests on ---------------------------------------------------------------


@settings(deadline=None, max_examples=60)
@given(
    pairs=st.lists(st.tuples(st.integers(0, 63), st.integers(0, 11)), min_size=2, max_size=60),
    coverage=st.sampled_from([(1, 2), (3, 4), (9, 10)]),
)
def test_over_blocks_that_change_places_the_promise_holds_by_arithmetic(
    pairs: list[tuple[int, int]], coverage: tuple[int, int]
) -> None:
    """Each block in turn asked with the quantile of the others: on average at least the promise, whatever the scores.

    This is the proof of exchangeable coverage, and the reason why leaving out single blocks measures nothing.
    """
    scores, block = np.array([s / 64 for s, _ in pairs]), np.array([b for _, b in pairs])
    if len(set(block.tolist())) < 2:
        return
    tested = answered(answers(scores, block), 2)
    rows = np.arange(len(scores))
    apart = quantiles_apart(tested, Pool(tested, rows), rows, tested.block, float(Fraction(*coverage)))
    covered = [np.mean((scores <= apart[:, 0])[block == b]) for b in set(block.tolist())]
    assert np.mean(covered) >= float(Fraction(*coverage)) - 1e-9


@given(order=st.permutations(range(24)), coverage=st.sampled_from([0.5, 0.75, 0.9]))
def test_among_exchangeable_pixels_coverage_is_exact(order: list[int], coverage: float) -> None:
    """All scores different, one pixel a block: exactly ``ceil(n coverage)`` of ``n`` are covered by the others."""
    scores = np.array(order) / 32
    tested = answered(answers(scores, np.arange(24)), 2)
    apart = quantiles_apart(tested, Pool(tested, np.arange(24)), np.arange(24), tested.block, coverage)
    assert (scores <= apart[:, 0]).sum() == math.ceil(24 * coverage - 1e-9)


def test_a_pixel_of_a_new_block_is_covered_although_the_hard_blocks_were_labelled_less() -> None:
    """Blocks differ in difficulty, and easy ones carry ten times the labels: pixels as units miss the promise."""
    rng = np.random.default_rng(0)
    ours, naive = [], []

    def scores_of(hard: NDArray[np.bool_]) -> NDArray[np.float64]:
        return np.clip(np.where(hard, 0.6, 0.2) + rng.normal(0, 0.1, len(hard)), 0, 1)

    for _ in range(300):
        hard = rng.random(40) < 0.3
        block = np.repeat(np.arange(40), np.where(hard, 3, 30))
        scores = scores_of(hard[block])
        new = scores_of(rng.random(400) < 0.3)
        ours.append(np.mean(new <= calibrate(answers(scores, block), "ab", coverage=0.9, plan="p").quantiles["a"]))
        naive.append(np.mean(new <= np.sort(scores)[math.ceil((len(scores) + 1) * 0.9) - 1]))
    assert 0.9 - 0.01 <= np.mean(ours) <= 0.94
    assert np.mean(naive) < 0.8


def test_each_class_keeps_the_promise_not_only_all_together() -> None:
    rng = np.random.default_rng(1)
    block = np.repeat(np.arange(400), 5)
    code = np.repeat(rng.choice(2, 400, p=[0.9, 0.1]), 5)
    spread = np.where(code == 1, 0.45, 0.15)
    made = answers(0.5 + rng.random(2000) * spread, block, code=code, fold=block % 5)
    seen = held_out(made, ("common", "rare"), coverage=0.9)
    for name in ("common", "rare"):
        score = seen.per_class[name]
        assert score is not None
        assert score.low <= 0.9 <= score.high
    all_alike = np.quantile(rng.random(2000) * spread, 0.9)
    assert np.mean(rng.random(2000) * 0.45 <= all_alike) < 0.5, "one quantile for all would fail the rare class"


# --- what is measured ------------------------------------------------------------------------


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 10**6), kind=st.sampled_from(["whole blocks", "torn blocks", "single pixels", "one fold"]))
def test_what_is_tested_never_calibrates_its_own_sets(seed: int, kind: str) -> None:
    """Whatever the scores of a block and of what is left out with it, the quantiles that its sets come from stay."""
    made, rng = mixed(seed), np.random.default_rng([seed, 1])  # its own stream: blocks come from the other
    n = len(made.code)
    fold = {
        "whole blocks": made.fold,
        "torn blocks": rng.integers(0, 4, n),
        "single pixels": np.arange(n),
        "one fold": np.zeros(n, dtype=np.int64),
    }[kind]
    tested = answered(replace(made, fold=fold), 3)
    before = quantiles_apart(tested, Pool(tested, np.arange(n)), np.arange(n), tested.part, 0.9)
    asked = int(rng.integers(n))
    hidden = (tested.part == tested.part[asked]) | (tested.block == tested.block[asked])
    assert not hidden.all(), "something has to be left to calibrate on"
    pieces = np.unique(np.column_stack([tested.block, tested.part]), axis=0)
    assert (len(pieces) > len(tested.number)) == (kind == "torn blocks")
    assert len(np.unique(tested.part)) == (4 if kind in ("torn blocks", "single pixels", "one fold") else 5)
    for score in (0.0, 1.0, rng.random(n)):
        changed = replace(tested, score=np.where(hidden, score, tested.score))
        after = quantiles_apart(changed, Pool(changed, np.arange(n)), np.arange(n), changed.part, 0.9)
        np.testing.assert_array_equal(after[asked], before[asked])


def test_the_measured_numbers_are_means_over_blocks() -> None:
    made = mixed(5, n=600)
    found = calibrate(made, NAMES, coverage=0.9, plan="plan-1")
    seen = held_out(made, NAMES, coverage=0.9)
    assert (found.plan, found.coverage, found.regions) == ("plan-1", 0.9, ())
    assert found.method.startswith("cross-conformal, score 1 - probability, one quantile per class")
    assert found.measured.n_blocks == len(seen.block) == len(np.unique(made.block))
    assert found.measured.value == pytest.approx(seen.coverage.mean())
    assert found.mean_set_size == pytest.approx(seen.set_size.mean())
    assert found.low_blocks_share == pytest.approx(np.mean(seen.coverage <= 0.8 + 1e-9))
    assert 0 < found.low_blocks_share < 1
    assert found.measured.low <= found.measured.value <= found.measured.high <= 1
    row = int(np.flatnonzero(seen.block == made.block[0])[0])
    mine = made.block == made.block[0]
    assert seen.n[row] == mine.sum()
    assert (seen.easting[row], seen.northing[row]) == pytest.approx(
        (made.easting[mine].mean(), made.northing[mine].mean())
    )
    # By hand: the fold of this block is left out, and its sets are held against the truth.
    away = made.fold != made.fold[0]
    scores = 1 - made.probability[np.arange(600), made.code]
    quantiles = [
        brute(scores[away & (made.code == c)].tolist(), made.block[away & (made.code == c)].tolist(), Fraction(9, 10))
        for c in range(3)
    ]
    member = made.probability[mine] >= 1 - np.array(quantiles) - 1e-6
    member[np.arange(mine.sum()), made.probability[mine].argmax(axis=1)] = True
    assert seen.coverage[row] == pytest.approx(member[np.arange(mine.sum()), made.code[mine]].mean())
    assert seen.set_size[row] == pytest.approx(member.sum(axis=1).mean())


def test_samples_that_no_fold_tests_count_for_nothing() -> None:
    made = mixed(3)
    found = calibrate(made, NAMES, coverage=0.9, plan="p")
    extra = taken(made, np.concatenate([np.arange(300), np.arange(50)]))
    fold, probability = extra.fold.copy(), extra.probability.copy()
    fold[300:], probability[300:] = -1, np.nan
    assert calibrate(replace(extra, fold=fold, probability=probability), NAMES, coverage=0.9, plan="p") == found


def test_quarters_hold_a_quarter_of_the_blocks_each_side_by_side() -> None:
    rng = np.random.default_rng(0)
    block = np.repeat(np.arange(40), 4)
    middle = rng.uniform(0, 1000, (40, 2))
    part = quarters(middle[block] + rng.normal(0, 1e-3, (160, 2)), block)
    assert np.bincount(part).tolist() == [40, 40, 40, 40]
    west = np.isin(part, (0, 1))
    assert middle[block][west, 0].max() <= middle[block][~west, 0].min()
    for south, north in ((0, 1), (2, 3)):
        assert middle[block][part == south, 1].max() <= middle[block][part == north, 1].min()


def test_one_fold_is_split_conformal_and_measured_quarter_by_quarter() -> None:
    """An eastern quarter that is harder than all the rest cannot hide behind its own scores."""
    rng = np.random.default_rng(2)
    block = np.repeat(np.arange(80), 5)
    place = block * 100.0
    scores = rng.random(400) * np.where(block >= 60, 0.9, 0.2)
    made = answers(scores, block, place=place)
    made = replace(made, northing=np.where(block >= 60, 1000.0, 0.0))
    found = calibrate(made, "ab", coverage=0.9, plan="p")
    assert found.method.startswith("split-conformal")
    assert found.measured.value < 0.88
    assert found.low_blocks_share == pytest.approx(0.25, abs=0.1)


# --- regions ---------------------------------------------------------------------------------


def halves(n_blocks: int = 60, seed: int = 0) -> Answers:
    """An easy west (below 0) and a hard east, with as many blocks each; folds of blocks; never the top class right."""
    rng = np.random.default_rng(seed)
    block = np.repeat(np.arange(2 * n_blocks), 6)
    east = block >= n_blocks
    code = rng.integers(0, 2, len(block))
    score = 0.5 + rng.random(len(block)) * np.where(east, 0.4, 0.1)
    place = np.where(east, 1.0, -1.0) * rng.uniform(10, 9990, 2 * n_blocks)[block]
    made = answers(score, block, code=code, fold=block % 5, place=place)
    return replace(made, northing=rng.uniform(10, 9990, 2 * n_blocks)[block])


def test_a_region_with_enough_blocks_has_quantiles_of_its_own() -> None:
    made = halves()
    found = calibrate(made, ("grass", "rock"), coverage=0.9, plan="p", region_m=10_000.0, crs="EPSG:32633")
    assert {region.crs for region in found.regions} == {"EPSG:32633"}
    assert [region.bounds.as_tuple() for region in found.regions] == [(-1e4, 0.0, 0.0, 1e4), (0.0, 0.0, 1e4, 1e4)]
    west, east = found.regions
    assert (west.n_blocks, east.n_blocks) == (60, 60)
    assert west.quantiles["grass"] == pytest.approx(0.59, abs=0.01)
    assert east.quantiles["grass"] == pytest.approx(0.86, abs=0.03)
    assert all(region.measured.low <= 0.92 and region.measured.high >= 0.88 for region in found.regions)
    alike = held_out(made, ("grass", "rock"), coverage=0.9)
    apart = held_out(made, ("grass", "rock"), coverage=0.9, region_m=10_000.0)
    hard = alike.block >= 60
    assert alike.coverage[hard].mean() < 0.85
    assert abs(apart.coverage[hard].mean() - 0.9) < 0.03
    assert apart.coverage.mean() == pytest.approx(found.measured.value)


def test_a_region_measures_itself_without_the_quarter_it_asks_about() -> None:
    """A corner of the east is hopeless: the other three quarters must not have learnt that from it."""
    made = halves()
    n = len(made.code)
    east = np.flatnonzero(made.block >= 60)
    ground = np.column_stack([made.easting, made.northing])
    corner = np.zeros(n, dtype=bool)
    corner[east] = quarters(ground[east], made.block[east] - 60) == 3
    score = np.where(corner, 0.95, 0.55)
    probability = np.zeros_like(made.probability)
    probability[np.arange(n), made.code], probability[np.arange(n), 1 - made.code] = 1 - score, score
    made = replace(made, probability=probability)
    found = calibrate(made, ("grass", "rock"), coverage=0.9, plan="p", region_m=10_000.0)
    assert found.regions[1].quantiles["grass"] == pytest.approx(0.95, abs=2e-6)
    assert [region.measured.value for region in found.regions] == [1.0, pytest.approx(0.75)]


def test_a_region_of_too_few_blocks_of_a_class_uses_what_holds_everywhere() -> None:
    made = halves()
    rare = np.where((made.block == 70) | ((made.block < 60) & (made.code == 1)), 1, 0)
    score = 1 - made.probability[np.arange(len(made.code)), made.code]
    probability = np.zeros_like(made.probability)
    probability[np.arange(len(rare)), rare], probability[np.arange(len(rare)), 1 - rare] = 1 - score, score
    found = calibrate(replace(made, code=rare, probability=probability), ("grass", "rock"), coverage=0.9, plan="p",
                      region_m=10_000.0)  # fmt: skip
    east = found.regions[1]
    assert east.quantiles["rock"] == found.quantiles["rock"]
    assert east.quantiles["grass"] != found.quantiles["grass"]


def test_where_no_region_holds_enough_blocks_it_is_said() -> None:
    made = halves(n_blocks=LEAST_REGION_BLOCKS - 1)
    found = calibrate(made, ("grass", "rock"), coverage=0.9, plan="p", region_m=10_000.0)
    assert found.regions == ()
    assert "no square of 10000 m holds 20 blocks" in found.method
    plain = calibrate(made, ("grass", "rock"), coverage=0.9, plan="p")
    assert found.model_copy(update={"method": plain.method}) == plain
    # A promise of .99 needs 99 blocks of a class, everywhere and in a region.
    assert calibrate(halves(90), ("grass", "rock"), coverage=0.99, plan="p", region_m=10_000.0).regions == ()


# --- bad input -------------------------------------------------------------------------------


def broken(**changes: Any) -> Answers:
    made = mixed(0)
    return replace(made, **{name: change(np.array(getattr(made, name))) for name, change in changes.items()})


def _first(value: float) -> Any:
    def change(column: NDArray[Any]) -> NDArray[Any]:
        column[0] = value
        return column

    return change


@pytest.mark.parametrize(
    ("made", "asked", "says"),
    [
        (broken(block=np.zeros_like), {}, r"300 tested samples in 1 block cannot.*smaller blocks"),
        (broken(fold=lambda f: np.full_like(f, -1)), {}, r"0 tested samples in 0 blocks"),
        (broken(code=_first(3)), {}, r"codes from 0 to 3 do not fit 300 samples of 3 classes"),
        (broken(code=_first(-1)), {}, r"codes from -1"),
        (broken(probability=lambda p: p[:, :2]), {}, r"shape \(300, 2\)"),
        (broken(probability=_first(np.nan)), {}, r"1 of 300 answers are no probabilities"),
        (broken(probability=lambda p: p * 3), {}, r"of 300 answers are no probabilities"),
        (broken(easting=_first(np.inf)), {}, r"1 of 300 samples have no coordinates"),
        (mixed(0), {"coverage": 1.0}, r"coverage of 1 cannot be promised"),
        (mixed(0), {"coverage": float("nan")}, r"coverage of nan"),
        (mixed(0), {"region_m": 0.0}, r"Regions of 0 m"),
        (mixed(0), {"region_m": float("nan")}, r"Regions of nan m"),
    ],
)
def test_what_cannot_be_calibrated_is_refused_with_numbers(made: Answers, asked: dict[str, float], says: str) -> None:
    with pytest.raises(BadInput, match=says):
        calibrate(made, NAMES, **{"coverage": 0.9, "plan": "p", **asked})
    with pytest.raises(BadInput, match=says):
        held_out(made, NAMES, **{"coverage": 0.9, **asked})


# --- a world ---------------------------------------------------------------------------------

SIDE = 120


def _field(rng: np.random.Generator) -> NDArray[np.float64]:
    made = gaussian_filter(rng.normal(size=(SIDE, SIDE)), 10, mode="wrap")
    return np.asarray((made - made.mean()) / made.std())


def on_the_map(seed: int) -> dict[str, tuple[float, float, Conformal]]:
    """Coverage over a whole map and its mean set size, calibrated on random and on spatial folds.

    Clustered samples of a landscape whose classes depend on what the features show and on something they do
    not; both is smooth, so a sample's neighbours know its class.
    """
    rng = np.random.default_rng(seed)
    features = np.stack([_field(rng) for _ in range(6)])
    latent = features[0] + 0.7 * features[1] * features[2] + 0.9 * _field(rng)
    truth = np.digitize(latent, np.quantile(latent, [1 / 3, 2 / 3])).astype(np.int64)
    middles = rng.integers(6, SIDE - 6, (40, 2))
    points = np.unique(np.concatenate([m + rng.integers(-5, 6, (20, 2)) for m in middles]), axis=0)
    row, col = points.T
    rows, code = features[:, row, col].T, truth[row, col]
    everywhere = features.reshape(len(features), -1).T
    final = _forest().fit(rows, code).predict_proba(everywhere).T
    spatial = KMeans(10, n_init=2, random_state=0).fit(points).labels_.astype(np.int64)
    found = {}
    for name, fold in (("random", rng.integers(0, 10, len(code))), ("spatial", spatial)):
        probability = np.zeros((len(code), 3))
        for number in range(10):
            away = fold != number
            model = _forest().fit(rows[away], code[away])
            probability[np.ix_(~away, model.classes_)] = model.predict_proba(rows[~away])
        block = row // 12 * 1000 + col // 12
        said = calibrate(
            Answers(code, probability, fold, block, col * 10.0, -row * 10.0), NAMES, coverage=0.9, plan=name
        )
        member = sets(final, least_probability(np.array(list(said.quantiles.values())))[:, np.newaxis])
        right = member[truth.ravel(), np.arange(truth.size)]
        found[name] = float(right.mean()), float(member.sum(axis=0).mean()), said
    return found


def _forest() -> RandomForestClassifier:
    return RandomForestClassifier(30, min_samples_leaf=2, random_state=0, n_jobs=1)


def test_random_folds_promise_too_much_and_spatial_folds_keep_it() -> None:
    worlds = [on_the_map(seed) for seed in range(4)]
    flattering = np.array([world["random"][0] for world in worlds])
    honest = np.array([world["spatial"][0] for world in worlds])
    assert (honest - flattering).min() > 0.03
    assert flattering.mean() < 0.88
    assert honest.mean() > 0.9
    measured = [world["random"][2].measured.value for world in worlds]
    assert min(measured) > 0.9, "measured on random folds nothing shows"


@pytest.mark.full
@pytest.mark.skipif(os.environ.get("GEOML_FULL") != "1", reason="takes a minute; make full")
def test_over_twenty_worlds_the_gap_is_systematic() -> None:
    worlds = [on_the_map(seed) for seed in range(20)]
    said = {
        name: {
            "coverage_on_the_map": [round(world[name][0], 4) for world in worlds],
            "set_size_on_the_map": [round(world[name][1], 3) for world in worlds],
            "measured": [round(world[name][2].measured.value, 4) for world in worlds],
        }
        for name in ("random", "spatial")
    }
    gap = np.subtract(said["spatial"]["coverage_on_the_map"], said["random"]["coverage_on_the_map"])
    error = float(gap.std(ddof=1) / math.sqrt(len(gap)))
    means = {name: {key: round(float(np.mean(v)), 4) for key, v in columns.items()} for name, columns in said.items()}
    numbers = {"promised": 0.9, "n_seeds": 20, "means": means, "gap": float(gap.mean()), "gap_se": error, "seeds": said}
    write_json(CHECKOUT / "workspace" / "full" / "conformal.json", json.loads(json.dumps(numbers)))
    assert gap.mean() - 2.09 * error > 0.03
    assert means["spatial"]["coverage_on_the_map"] >= 0.9
    assert means["random"]["coverage_on_the_map"] < 0.88
    assert means["spatial"]["set_size_on_the_map"] > means["random"]["set_size_on_the_map"]
