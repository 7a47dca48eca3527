from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from geoml_ops.core.errors import BadInput
from geoml_ops.domain.alarms import History, Key, StandardRules, normal_score, score, standardise
from tests.domain.alarms.scenes import key, only, parted, stream

SCENES = StandardRules(years_apart=False)


def test_each_scene_is_compared_with_the_others_of_its_key() -> None:
    history = stream(0, years=2, per_month=4, n_statistics=3)
    found = standardise(history, replace(SCENES, equal=False))
    for i in range(len(history)):
        others = np.array(
            [history.values[j] for j in range(len(history)) if j != i and history.keys[j] == history.keys[i]]
        )
        n = len(others)
        expected = (history.values[i] - others.mean(0)) / (others.std(0, ddof=1) * np.sqrt(1 + 1 / n))
        np.testing.assert_allclose(found.values[i], expected, rtol=1e-9)
        assert found.n_others[i] == n == 7
    assert set(found.ground) == {"own"}
    assert set(found.left_out) == {"scene"}


def test_a_year_is_left_out_where_there_are_two() -> None:
    history = stream(1, years=2, per_month=6)
    found = standardise(history, StandardRules(equal=False))
    others = history.values[[j for j in range(len(history)) if history.keys[j] == key(7) and history.years[j] == 2019]]
    i = next(j for j in range(len(history)) if history.keys[j] == key(7))
    expected = (history.values[i] - others.mean(0)) / (others.std(0, ddof=1) * np.sqrt(1 + 1 / 6))
    np.testing.assert_allclose(found.values[i], expected, rtol=1e-9)
    assert set(found.left_out) == {"year"}
    assert set(standardise(stream(1, years=1, per_month=6), StandardRules()).left_out) == {"scene"}


def test_what_years_do_is_part_of_the_spread_only_with_years_apart() -> None:
    history = stream(2, years=3, per_month=8, n_statistics=40, year_sd=2.0, season=0.0)
    rules = StandardRules(least=8, equal=False)
    apart, together = (standardise(history, r).values.std() for r in (rules, replace(rules, years_apart=False)))
    assert apart > 1.15 * together
    together_next = []
    for seed in range(20):
        past, new = parted(stream(seed, years=4, per_month=8, n_statistics=40, year_sd=2.0, season=0.0))
        together_next.append(score(past, new, rules).values)
    assert np.std(together_next) > 1.1 * together


@pytest.mark.parametrize("n", [3, 5, 20])
def test_scores_are_standard_normal_whatever_the_size_of_the_key(n: int) -> None:
    rng = np.random.default_rng(n)
    history = History(
        [key(7)] * n, np.datetime64("2020-07-01") + np.arange(n), rng.normal(5.0, 3.0, (n, 4000))
    )  # one scene of each of 4000 independent keys is looked at
    first = standardise(history, StandardRules(least=2)).values[0]
    assert stats.kstest(first, "norm").pvalue > 1e-3


@pytest.mark.parametrize("df", [1.0, 2.0, 4.0, 30.0, 1000.0])
def test_normal_scores(df: float) -> None:
    t = np.array([-3.0, -0.5, 0.0, 0.5, 3.0])
    np.testing.assert_allclose(normal_score(t, df), stats.norm.ppf(stats.t.cdf(t, df)), rtol=1e-9, atol=1e-12)
    far = normal_score(np.geomspace(0.1, 1e300, 2000), df)
    assert np.isfinite(far).all()
    assert (np.diff(far) >= -1e-12 * far[1:]).all()
    assert np.isnan(normal_score(np.array([np.nan]), df)).all()


def test_few_scenes_do_not_alarm_more_often() -> None:
    rng = np.random.default_rng(0)
    shares = {}
    for n in (6, 40):
        history = History([key(7)] * n, np.datetime64("2020-07-01") + np.arange(n), rng.normal(size=(n, 20_000)))
        past, first = only(history, np.arange(1, n)), only(history, np.arange(1))
        shares[n] = [
            float((np.abs(score(past, first, replace(SCENES, equal=equal)).values) > 2.6).mean())
            for equal in (True, False)
        ]
    expected = 2 * stats.norm.sf(2.6)
    assert abs(shares[6][0] - expected) < 0.003
    assert abs(shares[40][0] - expected) < 0.003
    assert shares[6][1] > 3 * expected  # without equal tails


def test_harmonics_stand_in_where_keys_are_small() -> None:
    history = stream(3, years=3, per_month=1, n_statistics=500, season=5.0)
    assert standardise(history, SCENES).n_without == len(history)
    found = standardise(history, replace(SCENES, waves=1))
    assert set(found.ground) == {"harmonics"}
    assert 0.95 < found.values.std() < 1.05
    assert abs(found.values.mean()) < 0.05
    assert stats.kstest(found.values[7], "norm").pvalue > 1e-4


def test_harmonics_are_the_residual_of_least_squares() -> None:
    history = stream(4, years=2, per_month=1)
    found = standardise(history, replace(SCENES, waves=2, equal=False)).values[:, 0]
    angle = 2 * np.pi * (history.times - np.datetime64("2000-01-01")).astype(float) / 365.2425
    X = np.stack([np.ones_like(angle), np.cos(angle), np.sin(angle), np.cos(2 * angle), np.sin(2 * angle)], 1)
    y = history.values[:, 0]
    hat = X @ np.linalg.pinv(X)
    raw, h = y - hat @ y, np.diag(hat)
    n, p = X.shape
    others = (raw @ raw - raw**2 / (1 - h)) / (n - 1 - p)
    np.testing.assert_allclose(found, raw / np.sqrt(others * (1 - h)), rtol=1e-8)


def test_a_curve_says_nothing_of_a_season_that_it_never_saw() -> None:
    history = stream(5, years=3, per_month=6)
    months = np.array([int(k.part[1:]) for k in history.keys])
    summer, winter = only(history, (months > 4) & (months < 8)), only(history, months == 12)
    assert set(score(summer, winter, replace(SCENES, waves=1)).ground) == {"no reference yet"}


def test_tiles_of_a_scene_are_left_out_together() -> None:
    rng = np.random.default_rng(0)
    scene = np.repeat(rng.normal(size=12), 4)
    times = np.repeat(np.datetime64("2020-07-01") + np.arange(12), 4)
    history = History([key(7)] * 48, times, scene[:, None] + 1e-3 * rng.normal(size=(48, 1)))
    found = standardise(history, SCENES)
    assert set(found.n_others.tolist()) == {11}
    named = History(history.keys, history.times, history.values, [f"scene {i // 8}" for i in range(48)])
    assert set(standardise(named, SCENES).n_others.tolist()) == {5}


@pytest.mark.parametrize("rules", [SCENES, replace(SCENES, waves=1), replace(SCENES, robust=True)])
def test_tiles_that_agree_are_one_scene(rules: StandardRules) -> None:
    history = stream(15, years=2, per_month=1 if rules.waves else 6, n_statistics=2)
    tiles = only(history, np.repeat(np.arange(len(history)), 3))
    of_scenes, of_tiles = standardise(history, rules), standardise(tiles, rules)
    assert set(of_scenes.ground) == {"harmonics" if rules.waves else "own"}
    np.testing.assert_allclose(of_tiles.values[::3], of_scenes.values, rtol=1e-7)
    np.testing.assert_array_equal(of_tiles.n_others[::3], of_scenes.n_others)


def test_tiles_of_one_other_scene_are_no_reference() -> None:
    times = np.repeat(np.array(["2020-07-01", "2020-07-06"], dtype="datetime64[D]"), 20)
    history = History([key(7)] * 40, times, np.random.default_rng(0).normal(size=(40, 1)))
    assert set(standardise(history, SCENES).ground) == {"no reference yet"}


def test_a_scene_of_the_history_is_not_its_own_reference() -> None:
    history = stream(6, years=1, per_month=8)
    np.testing.assert_allclose(score(history, history, SCENES).values, standardise(history, SCENES).values)


def test_a_key_without_history_is_no_reference_yet_and_says_so() -> None:
    history = stream(7)
    new = History([key(7, baseline="06.00")], history.times[:1], history.values[:1] + 1000)
    for rules in (SCENES, replace(SCENES, waves=2, fallback=("neighbours", "season"))):
        found = score(history, new, rules)
        assert found.ground == ("no reference yet",)
        assert np.isnan(found.values).all()
        assert found.n_others.tolist() == [0]
    empty = History([], np.array([], dtype="datetime64[s]"), np.empty((0, 1)))
    assert score(empty, new, SCENES).ground == ("no reference yet",)
    assert standardise(empty, SCENES).values.shape == (0, 1)


def test_a_month_borrows_only_where_stated() -> None:
    history = stream(8, years=3, per_month=1, season=0.0)
    found = standardise(history, replace(SCENES, fallback=("neighbours",)))
    assert set(found.ground) == {"neighbours"}
    assert set(found.n_others.tolist()) == {8}


def test_a_constant_statistic_needs_a_floor() -> None:
    values = np.zeros((12, 2))
    values[:, 1] = np.random.default_rng(0).normal(size=12)
    history = History([key(7)] * 12, np.datetime64("2020-07-01") + np.arange(12), values)
    new = History([key(7)], np.array(["2021-07-01"], dtype="datetime64[D]"), np.array([[0.02, 0.0]]))
    assert standardise(history, SCENES).values[:, 0].tolist() == [0.0] * 12
    assert np.isnan(score(history, new, SCENES).values[0, 0])
    assert score(history, new, replace(SCENES, floors=(0.01, 0.0), equal=False)).values[0, 0] == pytest.approx(
        2 / np.sqrt(1 + 1 / 12)
    )
    with pytest.raises(BadInput, match="floors"):
        score(history, new, replace(SCENES, floors=(0.01,)))


@pytest.mark.parametrize("unit", [1e-300, 1e300])
def test_no_unit_is_too_small_or_too_large(unit: float) -> None:
    history = stream(13, years=1, per_month=8)
    large = History(history.keys, history.times, history.values * unit)
    np.testing.assert_allclose(standardise(large, SCENES).values, standardise(history, SCENES).values, rtol=1e-6)
    far = History(history.keys[:1], history.times[:1] + 365, np.array([[1e308]]))
    for reference in (history, large):
        found = float(score(reference, far, SCENES).values[0, 0])
        assert 6 < found < np.inf


def test_rows_in_time_order() -> None:
    history = stream(14, years=1)
    turned = only(history, np.random.default_rng(0).permutation(len(history)))
    np.testing.assert_array_equal(turned.values[turned.order], history.values)


def test_values_that_were_not_measured_cost_only_themselves() -> None:
    history = stream(9, years=2, per_month=5, n_statistics=3)
    full = standardise(history, SCENES).values
    history.values[4, 1] = np.nan
    history.values[5, 2] = np.inf
    holed = standardise(history, SCENES).values
    assert np.isnan(holed[4, 1])
    assert np.isnan(holed[5, 2])
    np.testing.assert_array_equal(holed[:, 0], full[:, 0])
    assert np.isfinite(holed).sum() == holed.size - 2


def test_the_robust_option_survives_faulty_scenes_in_the_history() -> None:
    history = stream(10, years=3, per_month=10, season=0.0)
    history.values[::10] += 40
    clean = np.arange(len(history)) % 10 != 0
    plain, robust = (standardise(history, replace(SCENES, robust=r)).values[clean] for r in (False, True))
    assert robust.std() > 0.7
    assert plain.std() < 0.3
    assert np.nanmin(standardise(history, replace(SCENES, robust=True)).values[~clean]) > 3


def test_two_sensors_never_share_a_history() -> None:
    times = np.array(["2020-07-01"] * 2, dtype="datetime64[D]")
    keys = [Key("landsat-7", "", "m07", "north"), Key("landsat-8", "", "m07", "north")]
    with pytest.raises(BadInput, match="2 streams"):
        History(keys, times, np.zeros((2, 1)))
    one, two = (History([k], times[:1], np.zeros((1, 1))) for k in keys)
    with pytest.raises(BadInput, match="2 streams"):
        score(one, two, SCENES)


@pytest.mark.parametrize(
    "wrong",
    [{"least": 1}, {"waves": 3}, {"robust": True, "waves": 1}, {"floors": (-1.0,)}, {"floors": (float("nan"),)}],
)
def test_rules_that_cannot_be(wrong: dict[str, object]) -> None:
    with pytest.raises(BadInput):
        StandardRules(**wrong)  # type: ignore[arg-type]


def test_histories_that_cannot_be() -> None:
    times = np.array(["2020-07-01", "NaT"], dtype="datetime64[D]")
    for keys, when, values in (
        ([key(7)], times, np.zeros((1, 1))),
        ([key(7)] * 2, times, np.zeros((2, 1))),
        ([key(7)] * 2, np.arange(2.0), np.zeros((2, 1))),
        ([key(7)] * 2, times, np.zeros(2)),
    ):
        with pytest.raises(BadInput):
            History(keys, when, values)
    with pytest.raises(BadInput, match="statistics"):
        score(stream(0), stream(0, n_statistics=2), SCENES)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.floats(1e-6, 1e6), st.floats(-1e3, 1e3), st.sampled_from([0, 1]))
def test_order_and_unit_do_not_matter(seed: int, unit: float, zero: float, waves: int) -> None:
    rules = replace(StandardRules(), waves=waves, least=3)
    history = stream(seed, years=2, per_month=2, n_statistics=2)
    found = standardise(history, rules)
    order = np.random.default_rng(seed).permutation(len(history))
    turned = standardise(only(history, order), rules)
    np.testing.assert_allclose(turned.values, found.values[order], rtol=1e-6, atol=1e-8)
    assert turned.ground == tuple(found.ground[i] for i in order)
    scaled = History(history.keys, history.times, (history.values + zero) * unit)
    np.testing.assert_allclose(standardise(scaled, rules).values, found.values, rtol=1e-5, atol=1e-6)
