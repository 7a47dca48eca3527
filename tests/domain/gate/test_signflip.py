"""Sign flips: every swap by brute force, another program, and a level that holds."""

from __future__ import annotations

import re
from itertools import product

import numpy as np
import pytest
from scipy import stats

from geoml_ops.domain.gate.signflip import EXACT_BLOCKS, FLIPS, sign_flips
from geoml_ops.domain.scoring import metric_of
from tests.domain.gate.pairs import clustered, from_gains, spread


@pytest.mark.parametrize("metric", ["overall_accuracy", "macro_f1"])
def test_every_swap_by_brute_force(metric: str) -> None:
    paired = clustered(np.random.default_rng(3), n_blocks=8, gain=0.05, mean_size=30)
    counts = paired.counted.blocks

    def gap(swapped: tuple[int, ...]) -> float:
        pick = np.array(swapped)
        one, other = counts[pick, np.arange(8)].sum(axis=0), counts[1 - pick, np.arange(8)].sum(axis=0)
        return float(metric_of(one, metric) - metric_of(other, metric))

    observed = gap((0,) * 8)
    found = sign_flips(counts, metric)
    assert found.statistic == pytest.approx(observed)
    assert found.p == np.mean([gap(s) >= observed - 1e-12 for s in product((0, 1), repeat=8)])
    assert "all 256 ways" in found.sentence


def test_it_agrees_with_scipys_permutation_test() -> None:
    gains = np.random.default_rng(4).integers(-20, 25, 30)
    found = sign_flips(from_gains(gains).counted.blocks, "overall_accuracy")
    theirs = stats.permutation_test(
        (gains / 100,),
        np.mean,
        permutation_type="samples",
        n_resamples=40_000,
        alternative="greater",
        rng=np.random.default_rng(0),
    )
    assert theirs.statistic == pytest.approx(found.statistic)
    assert found.p == pytest.approx(theirs.pvalue, abs=4 * np.sqrt(theirs.pvalue / FLIPS))


def test_few_blocks_are_counted_out_and_many_are_drawn_with_the_observed_among_them() -> None:
    few = sign_flips(from_gains(np.full(EXACT_BLOCKS, 5)).counted.blocks, "overall_accuracy")
    assert few.p == 0.5**EXACT_BLOCKS
    many = sign_flips(from_gains(np.full(EXACT_BLOCKS + 30, 5)).counted.blocks, "overall_accuracy")
    assert many.p == 1 / (FLIPS + 1), "never 0"
    assert re.search("10000 random ways .* in 42 blocks", many.sentence)
    assert many == sign_flips(from_gains(np.full(EXACT_BLOCKS + 30, 5)).counted.blocks, "overall_accuracy")


def test_blocks_without_a_difference_change_nothing_and_equals_are_certainly_equal() -> None:
    gains = spread(3, 4, n=10)
    with_idle = sign_flips(from_gains(np.r_[gains, np.zeros(30, dtype=int)]).counted.blocks, "overall_accuracy")
    assert with_idle.p == sign_flips(from_gains(gains).counted.blocks, "overall_accuracy").p
    nothing = sign_flips(from_gains(np.zeros(20, dtype=int)).counted.blocks, "overall_accuracy")
    assert (nothing.statistic, nothing.p) == (0.0, 1.0)


def test_its_level_holds() -> None:
    rng, runs = np.random.default_rng(5), 400
    p = [
        sign_flips(clustered(rng, n_blocks=10, unequal=0.8, mean_size=25).counted.blocks, "overall_accuracy").p
        for _ in range(runs)
    ]
    assert 0.02 < np.mean(np.array(p) <= 0.05) <= stats.binom.ppf(0.995, runs, 0.05) / runs
