from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from geoml_ops.core.errors import BadInput
from geoml_ops.domain.alarms import calibrate, discoveries


def by_hand(p: np.ndarray, rate: float, factor: float) -> np.ndarray:
    """The largest rank whose p-value is at most its share of the rate, and all below."""
    order = np.sort(p)
    ranks = [i for i, value in enumerate(order, 1) if value <= i * rate / (len(p) * factor)]
    return p <= order[ranks[-1] - 1] if ranks else np.zeros(len(p), dtype=bool)


@given(hnp.arrays(np.float64, st.integers(1, 30), elements=st.floats(0, 1)), st.sampled_from([0.03, 0.11, 0.27]))
def test_as_the_papers_write_it(p: np.ndarray, rate: float) -> None:
    harmonic = float((1 / np.arange(1, len(p) + 1)).sum())
    for dependence, factor in (("bh", 1.0), ("by", harmonic)):
        found = discoveries(p, rate=rate, dependence=dependence)  # type: ignore[arg-type]
        clear = np.abs(found.q_values - rate) > 1e-9
        np.testing.assert_array_equal(found.named[clear], by_hand(p, rate, factor)[clear])


def test_the_first_example_of_1995() -> None:
    p = np.array([1, 4, 19, 95, 201, 278, 298, 344, 459, 3240, 4262, 5719, 6528, 7590, 10_000]) / 10_000
    assert discoveries(p, rate=0.05).named.sum() == 4
    assert discoveries(p, rate=0.05, dependence="by").named.sum() == 3


def test_strata_that_were_not_tested_are_never_named_and_cost_nothing() -> None:
    p = np.array([0.001, np.nan, 0.04, np.nan])
    found = discoveries(p, rate=0.05)
    assert found.named.tolist() == [True, False, True, False]
    assert found.n_tested == 2
    assert not discoveries(np.full(3, np.nan), rate=0.5).named.any()
    assert discoveries(np.array([]), rate=0.5).n_tested == 0


def test_the_share_of_false_names_is_the_stated_one_with_a_shared_calibration() -> None:
    rng = np.random.default_rng(0)
    false_share, found_share = [], []
    for _ in range(300):
        threshold = calibrate(rng.normal(size=999), alpha=0.05)
        drifted = np.arange(100) < 20
        found = discoveries(threshold.p_values(rng.normal(size=100) + 4 * drifted), rate=0.1)
        false_share.append((found.named & ~drifted).sum() / max(found.named.sum(), 1))
        found_share.append(found.named[drifted].mean())
    assert np.mean(false_share) <= 0.1
    assert np.mean(found_share) > 0.8


@pytest.mark.parametrize("p", [[1.2], [-0.1], [[0.1]]])
def test_what_is_no_p_value_is_refused(p: object) -> None:
    with pytest.raises(BadInput):
        discoveries(np.array(p), rate=0.05)


def test_rates_and_procedures_that_cannot_be() -> None:
    for rate in (0.0, 1.0, float("nan")):
        with pytest.raises(BadInput):
            discoveries(np.array([0.1]), rate=rate)
    with pytest.raises(BadInput, match="bh or by"):
        discoveries(np.array([0.1]), rate=0.1, dependence="bonferroni")  # type: ignore[arg-type]
