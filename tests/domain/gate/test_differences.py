"""The standard error equals the textbook's where the textbook is right, and holds its level where it is not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn import metrics

from geoml_ops.core.errors import BadInput
from geoml_ops.domain.gate.differences import (
    Counted,
    Effect,
    block_gains,
    class_difference,
    difference,
    effective_blocks,
)
from geoml_ops.domain.scoring import ratio_interval
from tests.domain.gate.pairs import clustered, from_gains, spread


def without_folds(paired: object) -> Counted:
    return replace(paired.counted, folds=None)  # type: ignore[attr-defined]


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 12))
def test_leaving_out_blocks_one_by_one_with_another_program(seed: int, n_blocks: int) -> None:
    paired = clustered(np.random.default_rng(seed), n_blocks=n_blocks, mean_size=25, unequal=0.5)
    for metric in ("overall_accuracy", "macro_f1"):

        def gap(kept: np.ndarray, metric: str = metric) -> float:
            truth = paired.codes[kept]
            scores = []
            for answer in (paired.challenger[kept], paired.other[kept]):
                present = np.union1d(truth, answer)
                f1 = metrics.f1_score(truth, answer, labels=present, average="macro")
                scores.append(metrics.accuracy_score(truth, answer) if metric == "overall_accuracy" else f1)
            return float(scores[0] - scores[1])

        left = np.array([gap(paired.block != b) for b in range(n_blocks)])
        whole = gap(np.ones(len(paired), dtype=bool))
        found = difference(without_folds(paired), metric)
        assert found.value == pytest.approx(whole, abs=1e-12)
        assert found.error == pytest.approx(np.sqrt((n_blocks - 1) / n_blocks * np.square(left - whole).sum()))


def test_blocks_of_equal_size_give_the_ratio_estimator_and_its_interval() -> None:
    paired = clustered(np.random.default_rng(1), n_blocks=24)
    found = difference(without_folds(paired), "overall_accuracy")
    gain = (paired.challenger == paired.codes).astype(float) - (paired.other == paired.codes)
    score, error = ratio_interval(np.bincount(paired.block, gain), np.bincount(paired.block).astype(float))
    assert found.error == pytest.approx(error)
    assert found.df == pytest.approx(23)
    shown = found.score(0.95)
    assert (shown.value, shown.low, shown.high) == pytest.approx((score.value, score.low, score.high))
    assert found.p_above(0) == pytest.approx(
        stats.ttest_1samp(np.bincount(paired.block, gain), 0, alternative="greater").pvalue
    )
    assert found.p_above(0) + found.p_below(0) == pytest.approx(1)


def test_the_design_effect_is_the_variance_over_that_of_pixels() -> None:
    paired = clustered(np.random.default_rng(2), n_blocks=40, sd=0.15)
    gain = (paired.challenger == paired.codes).astype(float) - (paired.other == paired.codes)
    found = difference(without_folds(paired), "overall_accuracy")
    assert found.design_effect == pytest.approx(found.error**2 / (gain.var() / len(gain)))
    assert found.design_effect > 3
    assert found.score(0.95).n_effective == pytest.approx(len(paired) / found.design_effect)
    twin = replace(paired, challenger=paired.other).counted
    assert difference(twin, "overall_accuracy").design_effect is None


def test_mcnemar_on_pixels_would_have_been_sure_of_nothing() -> None:
    """Why it is not offered: under no difference it promotes far more often than it says, blocks do not."""
    rng, by_pixel, by_block = np.random.default_rng(3), [], []
    for _ in range(300):
        paired = clustered(rng, n_blocks=20, sd=0.12)
        one, other = paired.challenger == paired.codes, paired.other == paired.codes
        b, c = int((one & ~other).sum()), int((~one & other).sum())
        by_pixel.append(stats.binomtest(b, b + c, alternative="greater").pvalue <= 0.05 if b + c else False)
        by_block.append(difference(without_folds(paired), "overall_accuracy").p_above(0) <= 0.05)
    assert np.mean(by_pixel) > 0.15
    assert np.mean(by_block) < 0.09


def test_where_all_blocks_agree_the_sign_test_speaks() -> None:
    found = difference(from_gains(np.full(12, 3)).counted, "overall_accuracy")
    assert (found.value, found.error) == (pytest.approx(0.03), 0.0)
    assert found.p_above(0.0) == 0.5**12
    assert found.p_above(0.03) == found.p_below(0.03) == 1.0
    assert found.p_below(0.05) == 0.5**12
    assert found.p_below(0.0) == 1.0


def test_kish() -> None:
    assert effective_blocks(np.array([7, 7, 7, 7])) == pytest.approx(4)
    assert effective_blocks(np.array([90, 1, 1])) == pytest.approx(92**2 / (8100 + 2))
    assert effective_blocks(np.zeros(3)) == 0.0


def test_one_block_gives_no_interval_and_a_class_in_one_block_no_difference() -> None:
    with pytest.raises(BadInput, match="1 block"):
        difference(from_gains(np.array([3])).counted, "overall_accuracy")
    with pytest.raises(BadInput, match="kappa"):
        difference(from_gains(spread(1, 1)).counted, "kappa")
    paired = clustered(np.random.default_rng(4), n_blocks=12)
    codes = np.where((paired.codes == 2) & (paired.block != 5), 0, paired.codes)
    assert class_difference(replace(paired, codes=codes).counted, 2) is None


def test_gains_per_block_add_up() -> None:
    paired = clustered(np.random.default_rng(5), unequal=0.8)
    counted = paired.counted
    total = (block_gains(counted.blocks) * counted.sizes).sum() / len(paired)
    assert total == pytest.approx(difference(counted, "overall_accuracy").value)


# --- what it promises ------------------------------------------------------------------------


@pytest.mark.parametrize(("n_blocks", "unequal"), [(10, 0.0), (12, 1.0), (20, 1.4), (40, 0.7)])
@pytest.mark.parametrize("metric", ["overall_accuracy", "macro_f1"])
def test_intervals_cover_and_tests_hold_their_level(n_blocks: int, unequal: float, metric: str) -> None:
    rng, runs = np.random.default_rng(n_blocks), 400
    found = [
        difference(without_folds(clustered(rng, n_blocks=n_blocks, unequal=unequal, mean_size=40)), metric)
        for _ in range(runs)
    ]
    covered = np.mean([e.score(0.95).low <= 0 <= e.score(0.95).high for e in found])
    # Both sides are exchangeable here, so each run is two one-sided trials.
    level = np.mean([[e.p_above(0) <= 0.05, e.p_below(0) <= 0.05] for e in found])
    assert covered >= stats.binom.ppf(0.005, runs, 0.95) / runs
    assert level <= stats.binom.ppf(0.995, 2 * runs, 0.05) / (2 * runs)
    assert covered < 1, "an interval that always covers says nothing"


def test_the_ratio_estimator_alone_would_be_sure_too_often_on_unequal_blocks() -> None:
    rng, plain, ours = np.random.default_rng(8), [], []
    for _ in range(800):
        paired = clustered(rng, n_blocks=12, unequal=1.4, mean_size=40)
        gain = (paired.challenger == paired.codes).astype(float) - (paired.other == paired.codes)
        score, _ = ratio_interval(
            np.bincount(paired.block, gain), np.bincount(paired.block).astype(float), confidence=0.9
        )
        plain += [score.low > 0, score.high < 0]
        effect = difference(without_folds(paired), "overall_accuracy")
        ours += [effect.p_above(0) <= 0.05, effect.p_below(0) <= 0.05]
    assert np.mean(plain) > 0.08
    assert np.mean(ours) <= stats.binom.ppf(0.995, len(ours), 0.05) / len(ours)


def shared_luck(rng: np.random.Generator, n_blocks: int = 40, share: float = 0.1) -> np.ndarray:
    """Gains per block of equals; ``share`` of their variance is luck that all blocks of a fold have together."""
    fold = np.sqrt(share) * rng.standard_normal(5)[np.arange(n_blocks) % 5]
    return np.clip(np.round(12 * (fold + np.sqrt(1 - share) * rng.standard_normal(n_blocks))), -50, 50).astype(int)


def test_luck_that_a_fold_shares_is_not_taken_for_evidence() -> None:
    rng, blocks_only, with_folds = np.random.default_rng(9), [], []
    for _ in range(1000):
        paired = from_gains(shared_luck(rng), per_block=100)
        counted = replace(paired, fold=paired.block % 5).counted
        for into, effect in (
            (blocks_only, difference(replace(counted, folds=None), "overall_accuracy")),
            (with_folds, difference(counted, "overall_accuracy")),
        ):
            into += [effect.p_above(0) <= 0.025, effect.p_below(0) <= 0.025]
    assert np.mean(blocks_only) > 0.05, "twice what was promised"
    assert np.mean(with_folds) < 0.045
    assert np.mean(with_folds) < 0.65 * np.mean(blocks_only)


def test_folds_add_only_what_blocks_do_not_explain() -> None:
    paired = from_gains(np.repeat([9, 3, 6, 0, 12], 8) + np.resize([1, -1], 40))
    folded = difference(replace(paired, fold=paired.block // 8).counted, "overall_accuracy")
    alone = difference(paired.counted, "overall_accuracy")
    means = np.array([0.09, 0.03, 0.06, 0.0, 0.12])
    assert folded.error == pytest.approx(means.std(ddof=1) / 5**0.5)
    assert folded.luck == pytest.approx(folded.error / alone.error)
    assert 4 <= folded.df < 8
    mixed = difference(replace(paired, fold=paired.block % 4).counted, "overall_accuracy")
    assert (mixed.error, mixed.luck) == (alone.error, 1.0)
    single = np.arange(len(paired))
    assert replace(paired, fold=single).counted.folds is None, "leave-one-out folds show nothing that blocks do not"


def test_an_effect_is_clipped_where_shares_end() -> None:
    shown = Effect(0.9, 0.2, 9.0, 10).score(0.95)
    assert (shown.low, shown.high) == (pytest.approx(0.9 - 0.2 * stats.t.ppf(0.975, 9)), 1.0)
