"""What the alarms promise, on worlds whose truth is known."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy import stats

from geoml_ops.domain.alarms import (
    Chart,
    Cusum,
    Ewma,
    History,
    Key,
    KofM,
    Limit,
    StandardRules,
    Stated,
    counted,
    limit_of,
    score,
    standardise,
)
from geoml_ops.platform.files import read_json, write_json
from geoml_ops.settings import CHECKOUT
from tests.domain.alarms.fields import bands, world
from tests.domain.alarms.scenes import moved, parted, stream

NUMBERS = CHECKOUT / "workspace" / "full" / "alarms.json"
full = pytest.mark.skipif(os.environ.get("GEOML_FULL") != "1", reason="takes many minutes; make full")

RULES = StandardRules()
#: Two months are a block: what a year does to its July is in six scenes that follow each other.
STATED = Stated(0.5, 72, scheme="blocks", block=12, runs=400)
PHENOLOGY = {"season": 5.0, "year_sd": 0.2, "month_sd": 0.2}


def keep(name: str, numbers: object) -> None:
    NUMBERS.parent.mkdir(parents=True, exist_ok=True)
    write_json(NUMBERS, (read_json(NUMBERS) if NUMBERS.exists() else {}) | {name: numbers})


def watched(chart: Chart, history: History, stated: Stated = STATED) -> Limit:
    return limit_of(
        chart,
        standardise(history, RULES).values[:, 0],
        stated,
        calendar=history.keys if stated.scheme == "scenes" else (),
    )


def pooled(history: History) -> History:
    """The same scenes under one key for the whole year."""
    one = Key("sentinel-2", "05.00", "m01", "north")
    return History([one] * len(history), history.times, history.values)


def test_fields_are_what_they_are_said_to_be() -> None:
    rng = np.random.default_rng(0)
    scenes = np.array([bands(rng) for _ in range(150)])
    assert scenes.var() == pytest.approx(1, abs=0.05)
    lag = (scenes[..., :-8] * scenes[..., 8:]).mean()
    assert lag == pytest.approx(np.exp(-1), abs=0.06)
    assert (scenes[:, 0] * scenes[:, 1]).mean() == pytest.approx(0.5, abs=0.06)
    # A pixel is not a sample: the mean of 4096 varies like that of a dozen.
    assert 8 < 1 / scenes.mean(axis=(2, 3)).var() < 22


def test_the_false_alarm_rate_is_the_stated_one_where_pixels_always_fire() -> None:
    found = [world(seed, n_history=60, n_new=60, alpha=0.05, with_ks=seed == 0) for seed in range(6)]
    low, high = counted(sum(f.alarms for f in found), sum(f.n for f in found))
    assert low <= 0.05 <= high
    assert found[0].ks >= 0.95 * found[0].n


def test_a_year_of_phenology_is_quiet_where_a_pooled_reference_is_not() -> None:
    quiet, loud, of_pooled = 0, 0, 0
    for seed in range(12):
        past, new = parted(stream(seed, years=4, **PHENOLOGY))
        found = watched(Ewma(), past, replace(STATED, per_year=0.25)).alarms(score(past, new, RULES).values[:, 0])
        quiet += not found
        loud += len(found)
        everything, year = pooled(past), pooled(new)
        limit = watched(Ewma(), everything, replace(STATED, per_year=0.25, scheme="scenes"))
        of_pooled += len(limit.alarms(score(everything, year, RULES).values[:, 0])) > 0
    assert quiet >= 8
    assert loud <= stats.poisson.isf(0.01, 12 * 0.25)
    assert of_pooled == 12


def test_three_years_of_phenology_alarm_no_more_often_than_stated() -> None:
    rate, found, of_pooled = 0.1, [], []
    for seed in range(12):
        history = stream(seed, years=3, **PHENOLOGY)
        for kept, reference, scheme in ((found, history, "blocks"), (of_pooled, pooled(history), "scenes")):
            limit = watched(Ewma(), reference, replace(STATED, per_year=rate, scheme=scheme))  # type: ignore[arg-type]
            kept.append(len(limit.alarms(standardise(reference, RULES).values[:, 0])))
    assert np.mean(np.array(found) == 0) >= 0.5  # exp(-.3) of them
    assert sum(found) <= stats.poisson.isf(0.01, 12 * 3 * rate)
    assert min(of_pooled) >= 3  # at least once a year, in every world


@pytest.mark.parametrize(("chart", "delay"), [(Ewma(), 6), (Cusum(0.75), 6), (KofM(3, 5), 9)])
def test_a_real_step_is_found_within_the_stated_delay(chart: Chart, delay: float) -> None:
    delays, before = [], 0
    for seed in range(12):
        past, new = parted(stream(100 + seed, years=4, season=5.0))
        z = score(past, moved(new, 1.5, first=24), RULES).values[:, 0]
        found = watched(chart, past, replace(STATED, scheme="scenes")).alarms(z)
        before += any(alarm.began < 24 for alarm in found)
        after = [alarm for alarm in found if alarm.began >= 24 and alarm.direction > 0]
        delays.append(after[0].began - 23 if after else 99)
    assert before <= stats.poisson.isf(0.01, 12 * 0.5 / 3)
    assert np.median(delays) <= delay  # scenes, of 72 a year
    assert np.mean(np.array(delays) <= 18) >= 0.75  # a quarter of a year


@pytest.mark.full
@full
@pytest.mark.parametrize(("alpha", "n_history"), [(0.05, 60), (0.05, 240), (0.01, 240)])
def test_rates_of_thousands_of_scenes(alpha: float, n_history: int) -> None:
    began = time.perf_counter()
    found = [world(1000 + s, n_history=n_history, n_new=120, alpha=alpha, with_ks=s < 2) for s in range(20)]
    n, alarms = sum(f.n for f in found), sum(f.alarms for f in found)
    low, high = counted(alarms, n)
    # The threshold of each world is one draw of the beta law: that, too, is in the interval.
    m = n_history
    k = int(np.ceil((m + 1) * (1 - alpha) - 1e-9))
    share = (m + 1 - k) / (m + 1)
    sd = np.sqrt(stats.betabinom.var(120, m + 1 - k, k) * 20) / n
    numbers = {
        "stated": alpha, "history": n_history, "worlds": 20, "scenes": n, "alarms": alarms, "rate": alarms / n,
        "interval": [low, high], "expected": share, "sd": sd, "ks_share": sum(f.ks for f in found[:2]) / 240,
        "seconds": time.perf_counter() - began,
    }  # fmt: skip
    keep(f"fields {alpha:g} {n_history}", numbers)
    assert abs(alarms / n - share) <= 2.6 * sd
    assert numbers["ks_share"] >= 0.98


@pytest.mark.full
@full
@pytest.mark.parametrize("chart", [Ewma(), Ewma(spare=0), Cusum(0.75), KofM(3, 5)], ids=str)
@pytest.mark.parametrize("scheme", ["scenes", "blocks"])
@pytest.mark.parametrize("years_differ", [0.0, 0.2])
def test_alarms_a_year_and_delays(chart: Chart, scheme: Any, years_differ: float) -> None:
    worlds, rate = 120, 0.5
    loud, delays = 0, []
    for seed in range(worlds):
        past, new = parted(stream(5000 + seed, years=4, season=5.0, year_sd=years_differ, month_sd=years_differ))
        limit = watched(chart, past, replace(STATED, per_year=rate, scheme=scheme))
        loud += len(limit.alarms(score(past, new, RULES).values[:, 0]))
        found = limit.alarms(score(past, moved(new, 1.5), RULES).values[:, 0])
        delays.append(found[0].began + 1 if found else 99)
    low, high = (float(stats.chi2.ppf(q, 2 * (loud + e))) / 2 / worlds if loud + e else 0.0
                 for q, e in ((0.005, 0), (0.995, 1)))  # fmt: skip
    keep(
        f"{chart} {scheme} years differ by {years_differ:g}",
        {
            "stated": rate, "worlds": worlds, "per_year": loud / worlds, "interval": [low, high],
            "delay_median": float(np.median(delays)), "delay_90": float(np.quantile(delays, 0.9)),
            "missed": int(np.sum(np.array(delays) == 99)),
        },
    )  # fmt: skip
    if years_differ == 0 or scheme == "blocks":
        assert low <= rate <= high
