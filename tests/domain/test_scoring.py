"""Scores equal scikit-learn's; intervals from blocks cover, intervals from pixels do not."""

from __future__ import annotations

import os
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics
from sklearn.calibration import calibration_curve

from geoml_ops.core.errors import BadInput
from geoml_ops.domain.scoring import (
    MEASURES,
    area_weights,
    block_confusions,
    block_draws,
    bootstrap_interval,
    brier_score,
    caution,
    class_f1,
    class_measure,
    confusion,
    drawn_sums,
    ece,
    levels,
    metric_of,
    never_wrong,
    per_class_scores,
    ratio_interval,
    reliability,
    scores_of,
)
from geoml_ops.platform.files import read_json, write_json
from geoml_ops.settings import CHECKOUT

NAMES = ("water", "forest", "meadow", "town", "bare")
ROWS = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4), st.integers(0, 9)), min_size=1, max_size=200)


@given(ROWS)
@settings(deadline=None)
def test_scores_equal_scikit_learns(rows: list[tuple[int, int, int]]) -> None:
    truth, answer, block = np.array(rows, dtype=np.int64).T
    counts = confusion(truth, answer, 5)
    assert (counts == metrics.confusion_matrix(truth, answer, labels=range(5))).all()
    assert (block_confusions(truth, answer, block, 5).sum(axis=0) == counts).all()
    assert metric_of(counts, "overall_accuracy") == pytest.approx(metrics.accuracy_score(truth, answer))
    theirs = metrics.f1_score(truth, answer, labels=range(5), average=None, zero_division=np.nan)
    np.testing.assert_allclose(class_f1(counts), theirs, equal_nan=True)
    assert metric_of(counts, "macro_f1") == pytest.approx(np.nanmean(theirs))
    kept = {"labels": range(5), "average": None, "zero_division": np.nan}
    np.testing.assert_allclose(class_measure(counts, "users_accuracy"), metrics.precision_score(truth, answer, **kept))
    np.testing.assert_allclose(class_measure(counts, "producers_accuracy"), metrics.recall_score(truth, answer, **kept))
    seen = counts.sum(axis=0) + counts.sum(axis=1) > 0
    theirs = metrics.jaccard_score(truth, answer, labels=range(5), average=None, zero_division=0)
    np.testing.assert_allclose(class_measure(counts, "iou"), np.where(seen, theirs, np.nan))


def test_an_unknown_metric_and_a_single_block_are_refused() -> None:
    with pytest.raises(BadInput, match="kappa"):
        metric_of(np.eye(2), "kappa")
    with pytest.raises(BadInput, match="1 block"):
        ratio_interval(np.ones(1), np.ones(1))
    with pytest.raises(BadInput, match="1 block"):
        bootstrap_interval([np.ones((1, 2, 2), dtype=np.int64)], "macro_f1")


def clustered(
    rng: np.random.Generator, n_blocks: int, p: float = 0.7, icc: float = 0.2
) -> tuple[np.ndarray, np.ndarray]:
    """Hits per block and sizes per block; block accuracies are beta with intraclass correlation ``icc``."""
    sizes = rng.integers(30, 120, n_blocks)
    local = rng.beta(p * (1 / icc - 1), (1 - p) * (1 / icc - 1), n_blocks)
    return rng.binomial(sizes, local).astype(float), sizes.astype(float)


def test_the_block_interval_covers_and_the_pixel_interval_does_not() -> None:
    rng, runs = np.random.default_rng(11), 1500
    by_block = by_pixel = 0
    for _ in range(runs):
        hits, sizes = clustered(rng, 30)
        score, _ = ratio_interval(hits, sizes)
        by_block += score.low <= 0.7 <= score.high
        half = 1.96 * np.sqrt(score.value * (1 - score.value) / sizes.sum())
        by_pixel += abs(score.value - 0.7) <= half
    assert 0.92 < by_block / runs < 0.97
    assert by_pixel / runs < 0.55


def test_the_bootstrap_is_repeatable_and_agrees_with_the_ratio_interval() -> None:
    rng = np.random.default_rng(3)
    block = np.repeat(np.arange(60), 50)
    good = rng.beta(7, 3, 60)[block]
    truth = rng.integers(0, 3, len(block))
    answer = np.where(rng.random(len(block)) < good, truth, (truth + 1) % 3)
    counts = block_confusions(truth, answer, block, 3)
    first, error = bootstrap_interval([counts], "overall_accuracy", seed=5)
    again, _ = bootstrap_interval([counts], "overall_accuracy", seed=5)
    ratio, ratio_error = ratio_interval(np.trace(counts, axis1=1, axis2=2).astype(float), counts.sum(axis=(1, 2)) * 1.0)
    assert first == again
    assert error == pytest.approx(ratio_error, rel=0.1)
    assert first.low == pytest.approx(ratio.low, abs=0.15 * (ratio.high - ratio.low))
    assert block_draws(60, 1).shape == (2000, 60)
    assert (block_draws(60, 1).sum(axis=1) == 60).all()


def test_a_difference_with_itself_is_nothing() -> None:
    counts = block_confusions(*np.random.default_rng(0).integers(0, 3, (2, 300)), np.arange(300) % 12, 3)
    score, error = bootstrap_interval([counts, counts], "macro_f1")
    assert (score.value, score.low, score.high, error) == (0, 0, 0, 0)


def test_scores_name_every_metric_and_few_blocks_are_said_aloud() -> None:
    truth, answer = np.random.default_rng(0).integers(0, 3, (2, 300))
    scores = scores_of(truth, answer, np.arange(300) % 12, 4)
    assert set(scores) == {"overall_accuracy", "macro_f1"}
    assert all(s.low <= s.value <= s.high and s.n_blocks == 12 for s in scores.values())
    assert "12 blocks" in caution(12)
    assert caution(20) == ""


# --- classes ---------------------------------------------------------------------------------


def patchy(rng: np.random.Generator, n_blocks: int, patch: float = 10.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Samples of a patchy country: block mixes are Dirichlet, accuracies of a class differ between blocks (ICC .2)."""
    share, right = np.array([0.5, 0.3, 0.15, 0.05]), np.array([0.85, 0.75, 0.7, 0.6])
    sizes = rng.integers(30, 120, n_blocks)
    block = np.repeat(np.arange(n_blocks), sizes)
    mix = rng.dirichlet(share * patch, n_blocks).cumsum(axis=1)
    truth = np.minimum((rng.random(len(block))[:, None] > mix[block]).sum(axis=1), 3)
    local = rng.beta(4 * right, 4 * (1 - right), (n_blocks, 4))
    hit = rng.random(len(block)) < local[block, truth]
    return truth, np.where(hit, truth, (truth + rng.integers(1, 4, len(block))) % 4), block


def country() -> dict[str, dict[str, float]]:
    """What is true of :func:`patchy`: its scores over very many blocks."""
    truth, answer, _ = patchy(np.random.default_rng(99), 40_000)
    counts = confusion(truth, answer, 4)
    found = {m: dict(zip(NAMES[:4], class_measure(counts, m), strict=True)) for m in MEASURES}
    return found | {"macro_f1": {"": float(metric_of(counts, "macro_f1"))}}


def coverage(n_blocks: int, runs: int, seed: int = 0) -> dict[str, float]:
    """Share of runs whose interval holds the truth, for macro F1 and every measure and class."""
    rng, true, held = np.random.default_rng(seed), country(), {}
    for _ in range(runs):
        truth, answer, block = patchy(rng, n_blocks)
        held.setdefault("macro_f1", []).append(
            _holds(scores_of(truth, answer, block, 4)["macro_f1"], true["macro_f1"][""])
        )
        for name, measured in per_class_scores(truth, answer, block, NAMES[:4]).items():
            for measure, score in measured.items():
                held.setdefault(f"{measure} {name}", []).append(_holds(score, true[measure][name]))
    return {key: float(np.mean(values)) for key, values in held.items()}


def _holds(score: object, true: float) -> bool:
    return bool(score.low <= true <= score.high)  # type: ignore[attr-defined]


def test_intervals_of_classes_cover() -> None:
    held = coverage(30, 120)
    assert len(held) == 17
    assert np.mean(list(held.values())) > 0.91
    assert min(held.values()) > 0.83


@given(ROWS, st.randoms(use_true_random=False))
@settings(max_examples=40, deadline=None)
def test_the_order_of_samples_and_the_numbers_of_blocks_mean_nothing(rows: list[tuple[int, int, int]], rnd) -> None:
    rows = [*rows, (0, 0, 0), (1, 1, 1)]
    truth, answer, block = np.array(rows, dtype=np.int64).T
    order = np.array(rnd.sample(range(len(rows)), len(rows)))
    first = scores_of(truth, answer, block, 5), per_class_scores(truth, answer, block, NAMES)
    again = (truth[order], answer[order], 1000 * block[order] - 7)
    assert (scores_of(*again, 5), per_class_scores(*again, NAMES)) == first
    other = np.array(rnd.sample(range(10), 10))[block]
    renamed = scores_of(truth, answer, other, 5)
    ours, theirs = first[0]["overall_accuracy"], renamed["overall_accuracy"]
    assert (theirs.low, theirs.high) == pytest.approx((ours.low, ours.high))
    assert renamed["macro_f1"].value == pytest.approx(first[0]["macro_f1"].value)


@given(ROWS, st.permutations(range(5)))
@settings(max_examples=40, deadline=None)
def test_classes_may_be_renumbered(rows: list[tuple[int, int, int]], codes: list[int]) -> None:
    truth, answer, block = np.array([*rows, (0, 0, 0), (1, 1, 1)], dtype=np.int64).T
    moved, names = np.array(codes), [""] * 5
    for old, new in enumerate(codes):
        names[new] = NAMES[old]
    first = per_class_scores(truth, answer, block, NAMES)
    again = per_class_scores(moved[truth], moved[answer], block, names)
    assert set(first) == set(again)
    for name in first:
        assert set(first[name]) == set(again[name])
        for measure, score in first[name].items():
            assert score.model_dump() == pytest.approx(again[name][measure].model_dump())
            assert 0 <= score.low <= score.value <= score.high <= 1


def test_a_fold_without_a_class_changes_nothing() -> None:
    """Per-fold F1 over each fold's own classes, averaged, depends on the folds; the pooled one cannot."""
    truth = np.array([0] * 6 + [1] * 6 + [2] * 6)
    answer = truth.copy()
    answer[[0, 6]] = 2, 0
    values = set()
    for fold in (np.arange(18) % 3, np.arange(18) // 6):
        counts = sum(confusion(truth[fold == f], answer[fold == f], 3) for f in range(3))
        values.add(float(metric_of(counts, "macro_f1")))
    assert len(values) == 1
    by_fold = [np.mean([np.nanmean(class_f1(confusion(truth[f == k], answer[f == k], 3))) for k in range(3)])
               for f in (np.arange(18) % 3, np.arange(18) // 6)]  # fmt: skip
    assert abs(by_fold[0] - by_fold[1]) > 0.1


def test_what_was_never_seen_has_no_score() -> None:
    truth = np.array([0, 0, 1, 1, 0, 1] * 4)
    answer = np.array([0, 0, 1, 2, 0, 1] * 4)
    found = per_class_scores(truth, answer, np.arange(24) // 6, NAMES)
    assert set(found) == {"water", "forest", "meadow"}
    assert "producers_accuracy" not in found["meadow"]
    assert found["meadow"]["users_accuracy"].value == 0
    assert found["meadow"]["users_accuracy"].high == pytest.approx(1 - 0.025 ** (1 / 4))
    assert found["water"]["f1"].low == pytest.approx(0.025 ** (1 / 4)) == never_wrong(4)


def test_a_class_of_one_block_may_be_anything_elsewhere() -> None:
    block = np.repeat(np.arange(25), 20)
    truth = np.where((block == 3) & (np.arange(500) % 2 == 0), 1, 0)
    answer = np.where(np.arange(500) % 8 == 0, 0, truth)
    found = per_class_scores(truth, answer, block, NAMES)["forest"]["producers_accuracy"]
    assert (found.low, found.high, found.n_blocks, found.design_effect) == (0, 1, 1, None)
    assert caution(found.n_blocks)
    sixty = np.where((block < 3) & (np.arange(500) % 2 == 0), 1, 0)
    three = per_class_scores(sixty, np.where(np.arange(500) % 8 == 0, 0, sixty), block, NAMES)["forest"]["f1"]
    assert three.n_blocks == 3
    assert three.high - three.low < 1


def test_answers_that_no_fold_gave_are_refused() -> None:
    truth, answer, block = np.array([0, 1, 1]), np.array([0, -1, 1]), np.array([0, 1, 2])
    for call in (
        lambda: confusion(truth, answer, 2),
        lambda: block_confusions(truth, answer, block, 2),
        lambda: scores_of(truth, answer, block, 2),
        lambda: per_class_scores(truth, answer, block, NAMES[:2]),
    ):
        with pytest.raises(BadInput, match="1 of 3 answers"):
            call()
    with pytest.raises(BadInput, match="1 of 3 samples have no probabilities"):
        ece(truth, np.array([[0.5, 0.5], [np.nan, np.nan], [0.1, 0.9]]), block)
    with pytest.raises(BadInput, match="3 samples and 2 values"):
        scores_of(truth, np.array([0, 1]), block, 2)
    with pytest.raises(BadInput, match="names a class twice"):
        per_class_scores(truth, truth, block, ["a", "a"])
    assert np.isnan(metric_of(np.zeros((2, 2)), "overall_accuracy"))
    assert np.isnan(metric_of(np.zeros((2, 2)), "macro_f1"))


# --- design effects --------------------------------------------------------------------------


def test_independent_samples_have_a_design_effect_of_one() -> None:
    rng = np.random.default_rng(4)
    truth = rng.choice(3, 3000, p=[0.5, 0.3, 0.2])
    answer = np.where(rng.random(3000) < 0.8, truth, (truth + 1) % 3)
    block = np.arange(3000) // 10
    found = list(scores_of(truth, answer, block, 3).values())
    for measured in per_class_scores(truth, answer, block, NAMES[:3]).values():
        found += measured.values()
    for score in found:
        assert score.design_effect == pytest.approx(1, abs=0.25)


def test_alike_blocks_cost_what_sampling_theory_says() -> None:
    """With m samples a block and intraclass correlation rho the design effect is 1 + (m - 1) rho (Kish 1965)."""
    rng, m, icc = np.random.default_rng(5), 40, 0.2
    local = rng.beta(0.7 * (1 / icc - 1), 0.3 * (1 / icc - 1), 1500)
    block = np.repeat(np.arange(1500), m)
    hit = rng.random(len(block)) < local[block]
    score = scores_of(np.zeros(len(block), dtype=int), np.where(hit, 0, 1), block, 2)["overall_accuracy"]
    assert score.design_effect == pytest.approx(1 + (m - 1) * icc, rel=0.1)
    _, error = ratio_interval(np.bincount(block, hit), np.bincount(block).astype(float))
    assert score.n_effective == pytest.approx(score.value * (1 - score.value) / error**2)


def test_draws_in_parts_are_the_same_draws() -> None:
    counts = np.random.default_rng(0).integers(0, 9, (3001, 4))
    (parts,) = drawn_sums([counts], seed=3)
    np.testing.assert_allclose(parts, block_draws(3001, 3) @ counts)


def test_expanded_levels_become_the_usual_ones() -> None:
    assert levels(1e6) == pytest.approx((0.025, 0.975), abs=1e-4)
    # t of 9 degrees is 2.262157; sqrt(10 / 9) times that leaves .85 % of a normal distribution on either side.
    assert levels(10) == pytest.approx((0.00855, 1 - 0.00855), abs=1e-5)


def test_a_class_is_as_uncertain_as_the_blocks_behind_it_ask_for() -> None:
    """The same draws by hand: percentiles for Kish's effective number of blocks, not for their plain number."""
    truth, answer, block = patchy(np.random.default_rng(8), 25, patch=2.0)
    counts = block_confusions(truth, answer, block, 4)
    hits, mapped = counts[:, 2, 2], counts[:, :, 2].sum(axis=1)
    drawn = block_draws(25, 6)
    behind = drawn @ mapped
    effective = mapped.sum() ** 2 / (mapped**2).sum()
    assert effective < 0.8 * 25
    spread = (drawn @ hits)[behind > 0] / behind[behind > 0]
    score = per_class_scores(truth, answer, block, NAMES[:4], seed=6)["meadow"]["users_accuracy"]
    assert (score.low, score.high) == pytest.approx(np.quantile(spread, levels(effective)))
    assert score.n_blocks == (mapped > 0).sum()
    n = mapped.sum()
    assert score.design_effect == pytest.approx(spread.var(ddof=1) / (score.value * (1 - score.value) / n))
    assert score.n_effective == pytest.approx(score.value * (1 - score.value) / spread.var(ddof=1))


# --- calibration -----------------------------------------------------------------------------


def guesses(
    rng: np.random.Generator, n_blocks: int = 30, tilt: float = 0.0, local: float = 0.3
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Two classes whose confidence is ``tilt`` above what comes true, a little more or less in each block."""
    block = np.repeat(np.arange(n_blocks), 60)
    said = 0.5 + 0.5 * rng.beta(3, 2, len(block))
    p = np.clip(said - tilt, 0.01, 0.99)
    p = 1 / (1 + np.exp(-np.log(p / (1 - p)) - rng.normal(0, local, n_blocks)[block]))
    answer = rng.integers(0, 2, len(block))
    probability = np.where(np.arange(2) == answer[:, None], said[:, None], 1 - said[:, None])
    return np.where(rng.random(len(block)) < p, answer, 1 - answer), probability, block


def test_bins_equal_scikit_learns_and_a_plain_loop() -> None:
    truth, probability, block = guesses(np.random.default_rng(1), tilt=0.1)
    said, right = probability.max(axis=1), probability.argmax(axis=1) == truth
    bins = reliability(truth, probability)
    was, meant = calibration_curve(right, said, n_bins=15)
    np.testing.assert_allclose([b.accuracy for b in bins], was)
    np.testing.assert_allclose([b.confidence for b in bins], meant)
    error = 0.0
    for low, high in zip(np.arange(15) / 15, np.arange(1, 16) / 15, strict=True):
        mine = (said > low) & (said <= high)
        if mine.any():
            error += mine.mean() * abs(right[mine].mean() - said[mine].mean())
    assert ece(truth, probability, block).value == pytest.approx(error)
    assert sum(b.n * abs(b.accuracy - b.confidence) for b in bins) / len(truth) == pytest.approx(error)


def test_a_probability_on_an_edge_belongs_to_the_bin_below() -> None:
    sure = np.array([k / 15 for k in range(8, 16)])
    probability = np.column_stack([sure, 1 - sure])
    bins = reliability(np.zeros(8, dtype=int), probability)
    assert [(b.n, b.high) for b in bins] == [(1, pytest.approx(k / 15)) for k in range(8, 16)]
    assert all(b.low < b.confidence <= b.high for b in bins)
    nothing = reliability(np.zeros(2, dtype=int), np.zeros((2, 3)))
    assert [(b.low, b.n) for b in nothing] == [(0, 2)]


@given(st.lists(st.sampled_from([0.5, 0.6, 0.7, 0.75, 0.9, 1.0]), min_size=2, max_size=120), st.integers(1, 20))
@settings(max_examples=60, deadline=None)
def test_every_answer_is_in_one_bin(said: list[float], n_bins: int) -> None:
    probability = np.column_stack([said, 1 - np.array(said)])
    truth = np.arange(len(said)) % 2
    for adaptive in (False, True):
        bins = reliability(truth, probability, n_bins, adaptive=adaptive)
        assert sum(b.n for b in bins) == len(said)
        assert len(bins) <= n_bins
        assert all(a.high <= b.low for a, b in pairwise(bins))
        score = ece(truth, probability, np.arange(len(said)), bins=n_bins, adaptive=adaptive)
        assert 0 <= score.low <= score.value <= score.high <= 1


def test_adaptive_bins_are_about_equally_full() -> None:
    truth, probability, _ = guesses(np.random.default_rng(2))
    n = [b.n for b in reliability(truth, probability, 10, adaptive=True)]
    assert len(n) == 10
    assert max(n) - min(n) <= 1


def test_weights_of_ground_change_the_error_as_repeating_samples_would() -> None:
    truth, probability, block = guesses(np.random.default_rng(3), tilt=0.1)
    times = np.random.default_rng(0).integers(0, 4, len(truth))
    again = np.repeat(np.arange(len(truth)), times)
    heavy = ece(truth, probability, block, weight=times.astype(float))
    assert heavy.value == pytest.approx(ece(truth[again], probability[again], block[again]).value)
    repeated = reliability(truth[again], probability[again])
    for ours, theirs in zip(reliability(truth, probability, weight=times.astype(float)), repeated, strict=True):
        assert ours.accuracy == pytest.approx(theirs.accuracy)
    answer = probability.argmax(axis=1)
    weight = area_weights(answer, {0: 0.9, 1: 0.1})
    assert weight[answer == 0].sum() / weight.sum() == pytest.approx(0.9)
    with pytest.raises(BadInput, match=r"Classes \[1\]"):
        area_weights(answer, {0: 1.0})
    with pytest.raises(BadInput, match="negative"):
        ece(truth, probability, block, weight=-np.ones(len(truth)))


def ece_coverage(n_blocks: int, tilt: float, runs: int, seed: int = 0) -> float:
    truth, probability, block = guesses(np.random.default_rng(77), 20_000, tilt)
    true = ece(truth, probability, block % 50).value
    rng = np.random.default_rng(seed)
    return float(np.mean([_holds(ece(*guesses(rng, n_blocks, tilt)), true) for _ in range(runs)]))


@pytest.mark.parametrize("tilt", [0.0, 0.05, 0.15])
def test_the_interval_of_the_calibration_error_covers(tilt: float) -> None:
    assert ece_coverage(30, tilt, 100) > 0.88


def test_the_brier_score_is_scikit_learns() -> None:
    truth, probability, block = guesses(np.random.default_rng(6), tilt=0.1)
    score = brier_score(truth, probability, block)
    assert score.value == pytest.approx(2 * metrics.brier_score_loss(truth, probability[:, 1]))
    assert score.low < score.value < score.high
    assert score.design_effect is not None
    assert score.design_effect > 1


@pytest.mark.parametrize(
    ("probability", "match"),
    [
        (np.zeros((0, 2)), "0 samples"),
        (np.array([[0.2, 1.8]]), "reach from 0.2 to 1.8"),
        (np.array([[np.inf, 0.0]]), "no probabilities"),
        (np.array([0.5]), "one row for each"),
    ],
)
def test_what_is_no_probability_is_refused(probability: np.ndarray, match: str) -> None:
    with pytest.raises(BadInput, match=match):
        reliability(np.zeros(len(probability), dtype=int), probability)


# --- the numbers of the long run -------------------------------------------------------------


@pytest.mark.full
@pytest.mark.skipif(os.environ.get("GEOML_FULL") != "1", reason="takes minutes; make full")
def test_coverage_of_every_interval() -> None:
    numbers: dict[str, object] = {}
    rng, by_block, by_pixel = np.random.default_rng(12), [], []
    for _ in range(5000):
        hits, sizes = clustered(rng, 30)
        score, _ = ratio_interval(hits, sizes)
        by_block.append(_holds(score, 0.7))
        by_pixel.append(abs(score.value - 0.7) <= 1.96 * np.sqrt(score.value * (1 - score.value) / sizes.sum()))
    numbers["overall_accuracy_30_blocks"] = {"cluster_t": np.mean(by_block).item(), "naive": np.mean(by_pixel).item()}
    assert 0.92 < np.mean(by_block) < 0.97
    assert np.mean(by_pixel) < 0.5
    for n_blocks in (10, 20, 30, 60):
        held = coverage(n_blocks, 600, seed=n_blocks)
        numbers[f"classes_{n_blocks}_blocks"] = held
        assert np.mean(list(held.values())) > (0.9 if n_blocks < 20 else 0.92)
        numbers[f"ece_{n_blocks}_blocks"] = {str(t): ece_coverage(n_blocks, t, 600) for t in (0.0, 0.05, 0.15)}
    path = CHECKOUT / "workspace" / "full" / "scoring.json"
    write_json(path, (read_json(path) if path.exists() else {}) | {"coverage": numbers})
