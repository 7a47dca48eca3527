"""Power: against simulation, against a textbook's table, monotone, and honest about impossible wishes."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate, stats

from geoml_ops.core.evidence import BlockDifference, Score
from geoml_ops.core.experiment import GateRules
from geoml_ops.core.flow import Judgement
from geoml_ops.domain.gate import blocks_needed, power, power_of, power_words, spend
from geoml_ops.domain.gate.power import DETECTABLE_SE
from tests.domain.gate.pairs import judged, look, spread


@pytest.mark.parametrize(
    ("gain", "n", "level"), [(0.03, 12, 0.05), (0.05, 20, 0.025), (0.02, 40, 0.0062), (0.0, 15, 0.05)]
)
def test_power_is_how_often_the_test_rejects(gain: float, n: int, level: float) -> None:
    rng, sd, runs = np.random.default_rng(1), 0.07, 40_000
    d = gain + sd * rng.standard_normal((runs, n))
    rejected = stats.ttest_1samp(d, 0, axis=1, alternative="greater").pvalue <= level
    found = power(gain, error=sd / n**0.5, df=n - 1, level=level)
    assert found == pytest.approx(rejected.mean(), abs=4 * np.sqrt(0.25 / runs))


def test_a_textbooks_numbers() -> None:
    # Cohen 1988, table 2.3.1 by way of its one-sample rule: d = .5, n = 27, one-sided .05 gives power .80;
    # n = 34 at one-sided .025 gives .80 as well.
    assert power(0.5, error=1 / 27**0.5, df=26, level=0.05) == pytest.approx(0.81, abs=0.01)
    assert power(0.5, error=1 / 34**0.5, df=33, level=0.025) == pytest.approx(0.81, abs=0.01)
    assert blocks_needed(0.5, error=1 / 10**0.5, df=9, n_blocks=10, level=0.05) == 27
    assert blocks_needed(0.5, error=1 / 10**0.5, df=9, n_blocks=10, level=0.025) == 34


def test_two_and_a_half_standard_errors_are_usually_found() -> None:
    assert power(DETECTABLE_SE, error=1.0, df=1000, level=0.05) == pytest.approx(0.80, abs=0.01)
    assert power(DETECTABLE_SE, error=1.0, df=1000, level=0.025) == pytest.approx(0.70, abs=0.01)


@given(
    st.floats(1e-6, 0.2), st.floats(1, 300), st.floats(1e-12, 0.2), st.lists(st.floats(-1, 1), min_size=2, max_size=8)
)
def test_power_grows_with_the_gain_and_stays_a_probability(
    error: float, df: float, level: float, gains: list[float]
) -> None:
    found = [power(gain, error=error, df=df, level=level) for gain in sorted(gains)]
    assert all(0 <= p <= 1 for p in found)
    assert all(second >= first - 1e-6 for first, second in pairwise(found))
    assert power(0.0, error=error, df=df, level=level) == pytest.approx(level, rel=1e-3, abs=1e-9)


@pytest.mark.parametrize(
    ("gain", "level", "found"), [(0.01, 0.05, 1.0), (0.0, 0.05, 0.05), (-0.01, 0.05, 0.0), (0.5, 0.0, 0.0)]
)
def test_without_spread_or_alpha(gain: float, level: float, found: float) -> None:
    assert power(gain, error=0.0, df=9, level=level) == found


@pytest.mark.parametrize(
    ("level", "df", "away"),
    [
        (1e-6, 1, 2.0),
        (1e-6, 1, 50.0),
        (1e-9, 5, 10.0),
        (1e-12, 1, 900.0),
        (1e-12, 1, 1e6),
        (0.025, 39, -5.0),
        (1e-12, 300, 7.0),
    ],
)
def test_power_far_out_is_an_integral(level: float, df: float, away: float) -> None:
    """The t statistic exceeds its critical value where a normal one exceeds it times the spread of its error."""
    critical = stats.t.isf(level, df)

    def at(z: float) -> float:
        spread = np.exp(z)
        return float(stats.norm.sf(critical * spread - away) * 2 * df * spread**2 * stats.chi2.pdf(df * spread**2, df))

    edge = np.log(max(away, 1) / critical)
    exact = integrate.quad(at, -40, 3, limit=2000, points=[edge, 0.0])[0]
    assert power(away, error=1.0, df=df, level=level) == pytest.approx(exact, rel=2e-3, abs=1e-14)


def test_the_blocks_needed_are_the_fewest_that_suffice() -> None:
    n = blocks_needed(0.01, error=0.012, df=29, n_blocks=30, level=0.0244)
    assert n is not None

    def at(m: int) -> float:
        return power(0.01, error=0.012 * (30 / m) ** 0.5, df=m - 1, level=0.0244)

    assert at(n) >= 0.8 > at(n - 1)
    assert blocks_needed(1e-9, error=0.1, df=29, n_blocks=30, level=0.05) is None
    assert blocks_needed(0.0, error=0.1, df=29, n_blocks=30, level=0.05) is None
    assert blocks_needed(0.1, error=0.1, df=29, n_blocks=30, level=0.0) is None


def test_a_page_can_say_it_from_the_judgement_alone() -> None:
    ruling = judged(spread(0, 6))
    judgement = Judgement(challenger="entry-0123456789abcdef", against="the champion", **vars(ruling))
    error = ruling.detectable / DETECTABLE_SE
    assert power_of(judgement, 0.02, 0.05) == pytest.approx(power(0.02, error=error, df=39, level=0.05))
    said = power_words(judgement, 0.02, 0.05)
    assert (
        said
        == f"With these 40 blocks a gain of 0.020 would be found in {power_of(judgement, 0.02, 0.05):.0%} of cases."
    )
    staked = judged(spread(0, 6), stake=spend(look(0.01, "g"), "g", 0.0, GateRules()))
    later = Judgement(challenger="entry-0123456789abcdef", against="the champion", **vars(staked))
    assert power_of(later, 0.02, 0.05) < power_of(judgement, 0.02, 0.05)
    old = Judgement(
        challenger="entry-0123456789abcdef", outcome="HOLD", against="no skill", metric="overall_accuracy",
        difference=Score(value=0.0, low=-0.1, high=0.1, n_blocks=40), margin=0.01, detectable=0.05, objections=(),
    )  # fmt: skip
    assert 0 < power_of(old, 0.02, 0.05) < 1, "judgements of before blocks were kept"
    lopsided = judgement.model_copy(
        update={"blocks": (BlockDifference(easting=0.0, northing=0.0, n=9000, difference=0.0), *judgement.blocks[1:])}
    )
    assert power_of(lopsided, 0.02, 0.05) < power_of(judgement, 0.02, 0.05)
