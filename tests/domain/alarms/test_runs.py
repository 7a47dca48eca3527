from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from geoml_ops.core.errors import BadInput
from geoml_ops.domain.alarms import Chart, Cusum, Ewma, KofM, alarms, path, standing

CHARTS: list[Chart] = [Ewma(), Ewma(0.1, spare=0), Cusum(), Cusum(0.75, spare=0), KofM(), KofM(2, 2)]
SCENES = hnp.arrays(np.float64, st.integers(1, 25), elements=st.floats(-6, 6) | st.just(np.nan))


def by_hand(chart: Chart, z: np.ndarray) -> np.ndarray:
    """Size of the path on the upper side, spelled out."""
    if isinstance(chart, KofM):
        return np.array([max(np.sort(z[max(t + 1 - chart.m, 0) : t + 1])[-chart.k], 0) if t + 1 >= chart.k else 0
                         for t in range(len(z))])  # fmt: skip

    def plain(values: np.ndarray, skipped: int = -1) -> np.ndarray:
        state, out = 0.0, []
        for t, x in enumerate(values):
            if isinstance(chart, Ewma):
                w = chart.weight
                state = w * (0.0 if t == skipped else x) + (1 - w) * state
                out.append(state / np.sqrt(w / (2 - w) * (1 - (1 - w) ** (2 * (t + 1)))))
            else:
                assert isinstance(chart, Cusum)
                state = state if t == skipped else max(0.0, state + x - chart.drift)
                out.append(state)
        return np.array(out)

    if not chart.spare:
        return np.maximum(plain(z), 0)
    each = np.array([plain(z, j) for j in range(len(z))])
    return np.array([max(each[: t + 1, t].min(), 0) for t in range(len(z))])


@settings(deadline=None)
@given(SCENES, st.sampled_from(CHARTS))
def test_each_chart_is_what_its_definition_says(z: np.ndarray, chart: Chart) -> None:
    seen = z[~np.isnan(z)]
    up, down = by_hand(chart, seen), by_hand(chart, -seen)
    expected = np.full(len(z), np.nan)
    expected[~np.isnan(z)] = np.where(up >= down, up, -down)
    np.testing.assert_allclose(path(chart, z), expected, atol=1e-9)
    one_sided = np.full(len(z), np.nan)
    one_sided[~np.isnan(z)] = up
    np.testing.assert_allclose(path(chart, z, side="up"), one_sided, atol=1e-9)


@settings(deadline=None)
@given(SCENES, st.sampled_from(CHARTS))
def test_a_run_is_judged_from_its_past_only_and_turns_over_with_its_sign(z: np.ndarray, chart: Chart) -> None:
    whole = path(chart, z)
    np.testing.assert_array_equal(path(chart, z[: len(z) // 2 + 1]), whole[: len(z) // 2 + 1])
    np.testing.assert_allclose(np.abs(path(chart, -z)), np.abs(whole))
    stacked = path(chart, np.stack([z, np.zeros_like(z)]))
    np.testing.assert_array_equal(stacked[0], whole)


@pytest.mark.parametrize("chart", [Ewma(), Cusum(), KofM(), Ewma(1.0)])
@pytest.mark.parametrize("at", [0, 1, 10])
def test_one_scene_is_no_alarm_however_large(chart: Chart, at: int) -> None:
    z = np.zeros(40)
    z[at] = 1e6
    assert np.abs(path(chart, z)).max() == pytest.approx(0, abs=1e-6)
    if not isinstance(chart, Ewma) or chart.weight < 1:
        z[at + 1] = 1e6
        z[at + 2] = 1e6
        assert np.abs(path(chart, z)).max() > 100


@pytest.mark.parametrize("chart", CHARTS)
def test_scenes_without_reference_change_nothing(chart: Chart) -> None:
    z = np.full(10, 3.0)
    holed = np.full(20, np.nan)
    holed[1::2] = z
    np.testing.assert_array_equal(path(chart, holed)[1::2], path(chart, z))
    assert np.isnan(path(chart, holed)[::2]).all()
    assert alarms(path(chart, np.full(30, np.nan)), on=0.0) == ()


def test_an_alarm_that_hesitates_is_one_alarm() -> None:
    walk = np.array([0, 3, 2, 3, np.nan, 2, -4, 1, 0, -5, np.nan])
    found = alarms(walk, on=2.5, off=1.5)
    assert [(a.began, a.ended, a.direction, a.farthest) for a in found] == [(1, 7, 1, 4.0), (9, None, -1, 5.0)]
    assert len(alarms(walk, on=2.5)) == 4
    assert standing(walk, on=2.5, off=1.5).tolist() == [False] + [True] * 6 + [False, False, True, True]
    assert alarms(walk, on=float("nan")) == ()
    assert not standing(walk, on=float("nan")).any()


@given(hnp.arrays(np.float64, st.integers(0, 40), elements=st.floats(-5, 5) | st.just(np.nan)), st.floats(0, 4))
def test_a_lower_end_never_makes_more_alarms(walk: np.ndarray, on: float) -> None:
    counts = [len(alarms(walk, on=on, off=share * on)) for share in (1.0, 0.5, 0.0)]
    assert counts == sorted(counts, reverse=True)
    for alarm in alarms(walk, on=on):
        assert abs(walk[alarm.began]) > on


@pytest.mark.parametrize("call", [
    lambda: Ewma(0.0),
    lambda: Ewma(float("nan")),
    lambda: Ewma(spare=2),  # type: ignore[arg-type]
    lambda: Cusum(-1),
    lambda: KofM(1, 5),
    lambda: KofM(4, 3),
    lambda: path(Ewma(), np.array([np.inf])),
    lambda: path(Ewma(), np.array(1.0)),
    lambda: alarms(np.zeros(3), on=1.0, off=2.0),
    lambda: alarms(np.zeros((3, 2)), on=1.0),
])  # fmt: skip
def test_what_cannot_be_is_refused(call: object) -> None:
    with pytest.raises(BadInput):
        call()  # type: ignore[operator]
