"""Control charts of a stream: quiet through years that repeat, loud when something stays, silent without history."""

import json
import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geoml_ops.core.policy import CalibrationRules, ChartRules
from geoml_ops.domain.alarms import counted, key_of
from geoml_ops.domain.control import (
    ANSWERS,
    BANDS,
    Row,
    calibration,
    columns_of,
    family_of,
    judge,
    scenes_a_year,
    standard_scores,
)

START = datetime(2018, 1, 1, tzinfo=UTC)
NAMES = tuple(f"B{band:02d}" for band in range(1, 7))
RULES = CalibrationRules()


def stream(years: float, *, seed: int = 0, every: int = 8, start: datetime = START, shift: float = 0.0,
           since: datetime | None = None) -> list[Row]:  # fmt: skip
    """Scenes whose bands follow the season; what they share within a date is as large as what they do not."""
    rng = np.random.default_rng(seed)
    rows, at = [], start
    while at < start + timedelta(days=365.2425 * years):
        turn = 2 * np.pi * at.timetuple().tm_yday / 365.2425
        shared = rng.normal(0, 30)
        values: dict[str, float | None] = {}
        for place, name in enumerate(NAMES):
            here = 1500 + 400 * np.sin(turn + place) + shared + rng.normal(0, 30)
            values[f"{name}:mean"] = here + (shift if since and at >= since else 0.0)
            values[f"{name}:sd"] = float(300 * np.exp(rng.normal(0, 0.05)))
        values |= {"class:a": float(np.clip(0.5 + rng.normal(0, 0.02), 0, 1)), "confidence": 0.8, "valid_share": 1.0}
        name = f"reading-{len(rows):04d}"
        rows.append(Row(name, name, key_of(at, sensor="s", baseline="", region="r"), at, values, "bundle"))
        at += timedelta(days=every)
    return rows


def split(rows: list[Row], year: int) -> tuple[list[Row], list[Row]]:
    return [r for r in rows if r.acquired.year < year], [r for r in rows if r.acquired.year >= year]


def test_the_season_is_in_control_and_a_lasting_shift_is_not() -> None:
    since = datetime(2021, 6, 1, tzinfo=UTC)
    for seed in range(4):
        history, new = split(stream(4, seed=seed), 2021)
        found = calibration(history, BANDS, RULES)
        alarms = [judge(found, new[: i + 1]).alarm for i in range(len(new))]
        assert sum(alarms) <= 3
        _, shifted = split(stream(4, seed=seed, shift=200.0, since=since), 2021)
        n_before = sum(r.acquired < since for r in shifted)
        charts = [judge(found, shifted[: i + 1]) for i in range(n_before, min(n_before + 8, len(shifted)))]
        assert any(chart.alarm for chart in charts)
        loud = next(chart for chart in charts if chart.alarm)
        assert loud.onset in {r.reading for r in shifted}
        assert loud.worst.startswith("B")
        assert loud.path is not None
        assert loud.limit is not None


def test_the_stated_rate_of_single_scenes_holds_within_its_interval() -> None:
    beyond = n = 0
    for seed in range(12 if os.environ.get("GEOML_FULL") else 4):
        history, new = split(stream(5, seed=100 + seed), 2022)
        found = calibration(history, BANDS, RULES)
        states = [judge(found, [row]).state for row in new]
        beyond, n = beyond + states.count("beyond"), n + len(states)
    low, high = counted(beyond, n)
    assert low <= RULES.alpha <= high or high < RULES.alpha


@pytest.mark.full
def test_false_alarms_of_the_chart_are_as_rare_as_stated() -> None:
    begun = scenes = 0
    for seed in range(60):
        history, new = split(stream(6, seed=1000 + seed), 2021)
        found = calibration(history, BANDS, RULES)
        alarms = [judge(found, new[: i + 1]).alarm for i in range(len(new))]
        begun += sum(now and not before for before, now in zip([False, *alarms], alarms, strict=False))
        scenes += len(new)
    years = scenes / scenes_a_year([START + timedelta(days=8 * i) for i in range(40)])
    told = {"alarms": begun, "years": years, "per_year": begun / years, "stated": RULES.alarms_per_year / 2}
    path = Path("workspace/full/control.json")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(told))
    assert begun / years <= 2 * RULES.alarms_per_year / 2


def test_too_few_scenes_are_uncalibrated_and_never_alarm() -> None:
    few = stream(0.35, every=7)
    chart = judge(calibration(few[:-1], BANDS, CalibrationRules(waves=0, least=2)), few)
    assert len(few) - 1 < 19
    assert (chart.state in ("uncalibrated", "no reference yet"), chart.alarm, chart.limit) == (True, False, None)
    assert "Uncalibrated" in chart.sentence


def test_a_key_without_history_is_no_reference_yet_however_far_the_scene_is() -> None:
    winter = [r for r in stream(3) if r.acquired.month in (12, 1, 2)]
    summer = next(r for r in stream(3, shift=9000.0, since=START) if r.acquired.month == 7)
    chart = judge(calibration(winter, BANDS, CalibrationRules(waves=0)), [summer])
    assert (chart.state, chart.alarm, chart.value) == ("no reference yet", False, None)
    nothing = judge(calibration([], BANDS, RULES), [summer])
    assert (nothing.state, nothing.n) == ("no reference yet", 0)


def test_a_lone_cloud_hardly_ever_begins_an_alarm() -> None:
    begun = 0
    for seed in range(5, 17):
        history, new = split(stream(4, seed=seed), 2021)
        found = calibration(history, BANDS, RULES)
        white = {name: (v + 5000 if v and name.endswith("mean") else v) for name, v in new[10].values.items()}
        chart = judge(found, [*new[:10], Row("cloud", "cloud", new[10].key, new[10].acquired, white)])
        assert chart.state == "beyond"
        begun += chart.alarm
    # It stands only where the scenes before had brought the path to its limit.
    assert begun <= 2


def test_order_of_the_history_and_a_band_that_is_missing_change_nothing_else() -> None:
    history, new = split(stream(4, seed=6), 2021)
    one, other = calibration(history, BANDS, RULES), calibration(history[::-1], BANDS, RULES)
    assert judge(one, new) == judge(other, new)
    part = {k: (None if k.startswith("B03") else v) for k, v in new[0].values.items()}
    chart = judge(one, [Row("x", "x", new[0].key, new[0].acquired, part)])
    assert chart.value is not None
    assert "B03:mean" not in standard_scores(one, Row("x", "x", new[0].key, new[0].acquired, part))


def test_families_are_told_apart() -> None:
    row = stream(0.1)[0]
    assert set(columns_of([row], ANSWERS)) == {"class:a", "confidence"}
    assert len(columns_of([row], BANDS)) == 2 * len(NAMES)
    assert family_of("valid_share") is None


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from(["ewma", "cusum", "k_of_m"]), st.integers(0, 40))
def test_whatever_comes_the_answer_is_a_chart(seed: int, kind: str, n: int) -> None:
    rng = np.random.default_rng(seed)
    rules = CalibrationRules(chart=ChartRules(kind=kind))
    rows = stream(1.5, seed=seed)[:n]
    wild = [None, 0.0, 1e30, -1e30, 5.0]
    rows = [
        replace(r, values={k: v if rng.random() > 0.1 else rng.choice(wild) for k, v in r.values.items()}) for r in rows
    ]
    if rows:
        for family in (BANDS, ANSWERS):
            chart = judge(calibration(rows[:-1], family, rules), rows)
            assert chart.limit is not None or not chart.alarm
            assert judge(calibration(rows[:-1], family, rules), rows) == chart


@pytest.mark.parametrize(
    "stray", [datetime(1, 1, 1, tzinfo=UTC), datetime(1900, 3, 1, tzinfo=UTC), datetime(2300, 3, 1, tzinfo=UTC)]
)
def test_a_scene_of_a_wrong_year_does_not_make_its_stream_rare(stray: datetime) -> None:
    times = [START + timedelta(days=15 * i) for i in range(50)]
    assert scenes_a_year(times) == pytest.approx(24.35, abs=0.01)
    assert 14 < scenes_a_year([*times, stray]) < 24.35
