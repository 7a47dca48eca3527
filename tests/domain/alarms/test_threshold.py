from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats

from geoml_ops.core.errors import BadInput
from geoml_ops.domain.alarms import (
    StandardRules,
    calibrate,
    counted,
    largest,
    per_scene,
    scenes_needed,
    scenes_per_year,
    standardise,
)
from tests.domain.alarms.scenes import stream


@pytest.mark.parametrize(("alpha", "least"), [(0.05, 19), (0.01, 99), (0.1, 9), (0.5, 1), (0.001, 999), (0.2, 4)])
def test_how_many_scenes_a_rate_takes(alpha: float, least: int) -> None:
    assert scenes_needed(alpha) == least
    values = np.random.default_rng(0).normal(size=least)
    few, enough = calibrate(values[1:], alpha=alpha), calibrate(values, alpha=alpha)
    assert (few.calibrated, enough.calibrated) == (False, True)
    assert enough.value == values.max()
    assert enough.rate == pytest.approx(alpha)
    assert math.isnan(few.value)


@pytest.mark.parametrize(("m", "k"), [(19, 19), (20, 20), (38, 38), (39, 38), (99, 95), (100, 96), (1999, 1900)])
def test_the_rank_of_the_threshold(m: int, k: int) -> None:
    found = calibrate(np.random.default_rng(m).permutation(m).astype(float), alpha=0.05)
    assert (found.k, found.value) == (k, k - 1.0)
    assert found.rate <= 0.05 + 1e-12


def test_uncalibrated_says_its_numbers_and_never_alarms() -> None:
    found = calibrate(np.arange(18.0), alpha=0.05, scenes_per_year=73)
    assert found.sentence().startswith("Uncalibrated: 18 pooled scenes")
    assert "takes 19" in found.sentence()
    assert found.state(1e9) == "uncalibrated"
    assert not found.exceeded(np.array([1e9, np.nan])).any()
    assert np.isnan(found.p_values(np.array([1e9]))).all()
    assert found.interval == (0.0, 1.0)
    assert math.isnan(found.per_year)


def test_false_alarms_a_year() -> None:
    found = calibrate(np.arange(1999.0), alpha=0.05, scenes_per_year=scenes_per_year(5))
    assert found.per_year == pytest.approx(3.65, abs=0.01)
    assert scenes_per_year(5, 0.5) == pytest.approx(36.52, abs=0.01)
    assert "3.7 scenes a year" in found.sentence()
    assert "nan" not in calibrate(np.arange(1999.0), alpha=0.05).sentence()


def test_the_interval_is_where_the_share_of_false_alarms_lies() -> None:
    rng = np.random.default_rng(0)
    inside, shares = [], []
    for _ in range(2000):
        found = calibrate(rng.normal(size=59), alpha=0.05)
        share = float(stats.norm.sf(found.value))
        low, high = found.interval
        inside.append(low <= share <= high)
        shares.append(share)
    assert 0.935 < np.mean(inside) < 0.965
    assert np.mean(shares) == pytest.approx(0.05, abs=0.002)


def test_p_values_are_honest_and_agree_with_the_threshold() -> None:
    rng = np.random.default_rng(1)
    found = calibrate(rng.normal(size=199), alpha=0.05)
    new = rng.normal(size=20_000)
    p = found.p_values(new)
    assert p.min() >= 1 / 200
    np.testing.assert_array_equal(p <= 0.05, found.exceeded(new))
    assert np.isnan(found.p_values(np.array([np.nan]))).all()


def test_the_largest_band_is_one_statistic() -> None:
    scores = standardise(stream(0, n_statistics=12), StandardRules()).values
    each = calibrate(np.abs(scores[:, 0]), alpha=0.05)
    top = largest(scores, complete=True)
    assert (top > each.value).mean() > 0.3
    assert calibrate(top, alpha=0.05).exceeded(top).mean() <= 0.05


def test_a_missing_band_does_not_hide_the_others() -> None:
    scores = np.array([[1.0, -9.0], [np.nan, -9.0], [np.nan, np.nan], [2.0, 1.0]])
    np.testing.assert_array_equal(largest(scores, complete=False), [9, 9, np.nan, 2])
    np.testing.assert_array_equal(largest(scores, complete=True), [9, np.nan, np.nan, 2])
    sides = np.array([True, False])
    np.testing.assert_array_equal(largest(scores, complete=True, two_sided=sides), [1, np.nan, np.nan, 2])


def test_tiles_become_scenes() -> None:
    names, values = per_scene(np.array([1.0, np.nan, 3.0, np.nan]), ["b", "a", "b", "c"])
    assert names == ["b", "a", "c"]
    np.testing.assert_array_equal(values, [3, np.nan, np.nan])
    with pytest.raises(BadInput):
        per_scene(np.zeros(2), ["a"])


def test_counted_shares_have_exact_intervals() -> None:
    for alarms, scenes in ((0, 10), (3, 40), (40, 40), (17, 300)):
        expected = stats.binomtest(alarms, scenes).proportion_ci(0.95, "exact")
        assert counted(alarms, scenes) == pytest.approx((expected.low, expected.high))


@pytest.mark.parametrize("call", [
    lambda: calibrate(np.zeros(30), alpha=0.0),
    lambda: calibrate(np.zeros(30), alpha=float("nan")),
    lambda: calibrate(np.zeros((30, 2)), alpha=0.05),
    lambda: counted(3, 2),
    lambda: counted(0, 0),
    lambda: scenes_per_year(0),
    lambda: scenes_per_year(float("nan")),
])  # fmt: skip
def test_what_cannot_be_is_refused(call: object) -> None:
    with pytest.raises(BadInput):
        call()  # type: ignore[operator]


VALUES = hnp.arrays(np.float64, st.integers(0, 60), elements=st.floats(-1e6, 1e6) | st.just(np.nan))


@given(VALUES, st.floats(0.01, 0.5), st.randoms(use_true_random=False))
def test_no_order_no_unit_and_no_alarm_without_ground(values: np.ndarray, alpha: float, random: object) -> None:
    found = calibrate(values, alpha=alpha)
    shuffled = values.copy()
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    again, doubled = calibrate(shuffled, alpha=alpha), calibrate(values * 2, alpha=alpha)
    assert again == found or not found.calibrated
    assert doubled.value == 2 * found.value or not found.calibrated
    assert found.state(math.nan) == "no reference yet"
    assert not found.exceeded(np.array([np.nan])).any()
    assert found.exceeded(values).sum() <= alpha * (found.m + 1) + 1e-6
    if found.m < scenes_needed(alpha):
        assert not found.exceeded(np.array([1e300, np.inf])).any()
