"""Scores equal scikit-learn's; intervals from blocks cover, intervals from pixels do not."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics

from geoml_ops.core.errors import BadInput
from geoml_ops.domain.scoring import (
    block_confusions,
    block_draws,
    bootstrap_interval,
    caution,
    class_f1,
    confusion,
    metric_of,
    ratio_interval,
    scores_of,
)


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4), st.integers(0, 9)), min_size=1, max_size=200))
def test_scores_equal_scikit_learns(rows: list[tuple[int, int, int]]) -> None:
    truth, answer, block = np.array(rows, dtype=np.int64).T
    counts = confusion(truth, answer, 5)
    assert (counts == metrics.confusion_matrix(truth, answer, labels=range(5))).all()
    assert (block_confusions(truth, answer, block, 5).sum(axis=0) == counts).all()
    assert metric_of(counts, "overall_accuracy") == pytest.approx(metrics.accuracy_score(truth, answer))
    theirs = metrics.f1_score(truth, answer, labels=range(5), average=None, zero_division=np.nan)
    np.testing.assert_allclose(class_f1(counts), theirs, equal_nan=True)
    assert metric_of(counts, "macro_f1") == pytest.approx(np.nanmean(theirs))


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
