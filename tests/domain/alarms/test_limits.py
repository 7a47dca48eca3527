from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geoml_ops.core.errors import BadInput, TooLarge
from geoml_ops.domain.alarms import Chart, Cusum, Ewma, KofM, Stated, limit_of
from tests.domain.alarms.scenes import key

MANY = np.random.default_rng(1).normal(size=20_000)


@pytest.mark.parametrize(
    ("chart", "run_length", "textbook"),
    [
        (Cusum(0.5, spare=0), 168, 4.0),
        (Cusum(0.5, spare=0), 465, 5.0),
        (Ewma(0.1, spare=0), 500, 2.814),
        (Ewma(0.25, spare=0), 500, 2.998),
    ],
)
def test_limits_of_the_textbook(chart: Chart, run_length: float, textbook: float) -> None:
    """Montgomery, Introduction to Statistical Quality Control: tables of average run lengths in control."""
    found = limit_of(chart, MANY, Stated(1, run_length, runs=4000))
    assert found.on == pytest.approx(textbook, rel=0.04)
    assert found.rate_interval[0] <= 1 <= found.rate_interval[1] * 1.02


def test_k_of_m_is_a_quantile_of_orders() -> None:
    # Two of two on one side: about one alarm in 1 / (2 p^2) scenes.
    found = limit_of(KofM(2, 2), MANY, Stated(1, 2000, runs=2000))
    p = np.mean(found.on < MANY)
    assert 1500 < 1 / (2 * p * p) < 2800


def test_small_references_cost_a_wider_limit() -> None:
    z = np.random.default_rng(2).normal(size=216)
    stated = Stated(0.5, 72, runs=2000)
    calendar = [key(month) for month in range(1, 13) for _ in range(6)] * 3
    exact, known = (limit_of(Ewma(spare=0), z, stated, calendar=c).on for c in ((), calendar))
    assert known > exact
    small = limit_of(Ewma(spare=0), z, stated, calendar=[(k, i // 72, i % 2) for i, k in enumerate(calendar)]).on
    assert small > known


def test_blocks_keep_what_neighbours_share() -> None:
    rng = np.random.default_rng(3)
    z = (np.repeat(rng.normal(size=200), 6) + rng.normal(size=1200)) / math.sqrt(2)
    stated = Stated(0.5, 72, runs=1000)
    lone = limit_of(Ewma(), z, stated).on
    together = limit_of(Ewma(), z, replace(stated, scheme="blocks", block=12)).on
    assert together > 1.3 * lone


def test_uncalibrated_says_its_numbers_and_never_alarms() -> None:
    stated = Stated(0.5, 72)
    found = limit_of(Ewma(), np.r_[np.zeros(18), np.full(50, np.nan)], stated)
    assert not found.calibrated
    assert found.sentence().startswith("Uncalibrated: 18 pooled scenes")
    assert found.alarms(np.full(100, 50.0)) == ()
    years = limit_of(Ewma(), np.zeros(100), replace(stated, scheme="blocks", block=72))
    assert (years.calibrated, years.needed) == (False, 216)


def test_the_sentence_says_what_the_history_cannot_know() -> None:
    z = np.random.default_rng(4).normal(size=100)
    rare, often = (limit_of(Ewma(), z, Stated(r, 73, runs=200)) for r in (0.1, 2.0))
    assert "rarer than one in this history" in rare.sentence()
    assert "rarer" not in often.sentence()
    assert "exchangeable scenes" in often.sentence()
    assert "blocks of 6" in limit_of(Ewma(), z, Stated(2, 73, scheme="blocks", block=6, runs=200)).sentence()


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 1000), st.sampled_from([Ewma(), Cusum(), KofM()]), st.sampled_from(["scenes", "blocks"]))
def test_the_same_draws_every_time_and_a_wider_limit_for_a_rarer_alarm(seed: int, chart: Chart, scheme: str) -> None:
    z = np.random.default_rng(seed).normal(size=60)
    stated = Stated(2, 60, scheme=scheme, block=5, runs=200, seed=seed)  # type: ignore[arg-type]
    found = limit_of(chart, z, stated)
    assert limit_of(chart, z, stated) == found
    assert limit_of(chart, np.r_[z, [np.nan] * 5], stated) == found
    assert limit_of(chart, z, replace(stated, per_year=0.2)).on >= found.on * 0.99
    assert found.alarms(np.full(50, np.nan)) == ()
    assert found.alarms(np.r_[np.zeros(20), 40.0, np.zeros(20)]) == ()
    assert found.off == found.on / 2


@pytest.mark.parametrize("call", [
    lambda: Stated(0, 73),
    lambda: Stated(74, 73),
    lambda: Stated(1, math.inf),
    lambda: Stated(1, 73, block=0),
    lambda: Stated(1, 73, runs=5),
    lambda: Stated(1, 73, off_share=2),
    lambda: Stated(1, 73, scheme="years"),  # type: ignore[arg-type]
    lambda: limit_of(Ewma(), np.zeros((30, 2)), Stated(1, 73)),
    lambda: limit_of(Ewma(), np.zeros(30), Stated(1, 73), calendar=["a"]),
    lambda: limit_of(Ewma(), np.r_[np.zeros(30), np.inf], Stated(1, 73)),
])  # fmt: skip
def test_what_cannot_be_is_refused(call: object) -> None:
    with pytest.raises(BadInput):
        call()  # type: ignore[operator]


def test_rates_too_rare_to_draw_are_refused() -> None:
    with pytest.raises(TooLarge, match="draws"):
        Stated(1e-4, 73)
