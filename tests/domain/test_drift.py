"""Drift on generated ground whose truth is known: what was shifted, by how much, and what was left alone.

One comparison with the training ground, without history: what fixed thresholds may say.
"""

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import wasserstein_distance

from geoml_ops.core.grid import Window
from geoml_ops.core.policy import DriftRules
from geoml_ops.core.watched import Diagnosis, Statistic
from geoml_ops.domain.diagnosis import Evidence, diagnose
from geoml_ops.domain.drift import distance, measure, pool, table_of, usable
from geoml_ops.domain.sketch import Columns
from tests.ground import BANDS, EAST, GROUND, REFERENCE, RULES, TILE, WEST, N, sketch


@dataclass(frozen=True)
class Compared:
    n_reference: int
    n_current: int
    statistics: tuple[Statistic, ...]
    drifted_share: float
    diagnosis: Diagnosis


def compared(
    current: Columns, reference: Columns | None = REFERENCE, rules: DriftRules = RULES, bands: tuple[str, ...] = BANDS
) -> Compared:
    found = measure(reference, current, bands, rules)
    facts = Evidence(
        bands=bands,
        now=usable(current),
        ground=usable(reference or {}),
        everything=table_of(current),
        statistics=found.statistics,
    )
    return Compared(found.n_reference, found.n_current, found.statistics, found.drifted_share, diagnose(facts, rules))


def test_identical_ground_is_none_and_all_distances_are_zero() -> None:
    found = compared(REFERENCE)
    assert found.diagnosis.cause == "none"
    assert [s.distance for s in found.statistics] == [0.0] * 4
    assert (found.n_reference, found.n_current, found.drifted_share) == (64, 64, 0.0)


@pytest.mark.parametrize("part", [(0, 0, 4, 4), (4, 2, 4, 6), (1, 1, 3, 3)])
def test_a_part_of_the_reference_ground_is_none(part: tuple[int, int, int, int]) -> None:
    col, row, width, height = (TILE * v for v in part)
    assert compared(sketch(Window(col=col, row=row, width=width, height=height))).diagnosis.cause == "none"


@pytest.mark.parametrize("shift", [1000.0, -1000.0, 450.0])
@pytest.mark.parametrize("part", [(0, 0, 8, 8), (0, 0, 3, 4), (6, 0, 6, 8)])
def test_the_same_ground_moved_by_an_offset_is_an_offset(shift: float, part: tuple[int, int, int, int]) -> None:
    col, row, width, height = (TILE * v for v in part)  # the last part reaches beyond the reference ground
    found = compared(sketch(Window(col=col, row=row, width=width, height=height), shift=shift))
    assert found.diagnosis.cause == "undeclared offset"
    assert found.diagnosis.action == "fix ingest"
    assert f"{shift:+,.0f} DN" in found.diagnosis.sentence
    assert "uncalibrated" in found.diagnosis.sentence


def test_an_offset_is_found_where_tiles_do_not_match() -> None:
    found = compared(sketch(Window(col=5, row=7, width=7 * TILE, height=7 * TILE), shift=1000))
    assert found.diagnosis.cause == "undeclared offset"
    assert "medians" in found.diagnosis.sentence


def test_an_offset_in_half_of_the_requests_is_named_with_its_size() -> None:
    found = compared(pool([REFERENCE, sketch(WEST, shift=1000)]))
    assert found.diagnosis.cause == "undeclared offset"
    assert "+1,000 DN" in found.diagnosis.sentence
    assert "64 of 128 matched tiles" in found.diagnosis.sentence


def test_a_gain_is_a_gain_and_no_offset() -> None:
    found = compared(sketch(WEST, GROUND * 1.6))
    assert (found.diagnosis.cause, found.diagnosis.action) == ("gain", "fix ingest")
    assert found.diagnosis.evidence["gain"] == pytest.approx(1.6, abs=0.01)
    assert "uncalibrated" in found.diagnosis.sentence


def test_one_band_moved_by_one_number_while_the_others_stay_is_an_offset_of_that_band() -> None:
    dn = GROUND.copy()
    dn[2] += 3000
    found = compared(sketch(WEST, dn), rules=RULES.model_copy(update={"drifted_share": 0.2}))
    assert (found.diagnosis.cause, found.diagnosis.bands) == ("undeclared offset", ("B08",))
    assert [s.column for s in found.statistics if s.drifted] == ["B08"]


def test_brighter_noise_of_the_same_mean_shift_is_no_offset() -> None:
    dn = GROUND + 1000 + np.random.default_rng(1).normal(0, 400, GROUND.shape)
    assert compared(sketch(WEST, dn.astype(np.float32))).diagnosis.cause == "covariate shift"


def test_other_ground_is_covariate_shift() -> None:
    found = compared(sketch(EAST))
    assert found.diagnosis.cause == "covariate shift"
    assert found.diagnosis.action == "collect labels"
    assert {s.column for s in found.statistics if s.drifted} == {"B04", "B11"}
    by_name = {s.column: s for s in found.statistics}
    assert by_name["B11"].mean_shift == pytest.approx(1500, abs=350)


def test_other_ground_with_an_offset_is_not_called_anything() -> None:
    assert compared(sketch(EAST, shift=1000)).diagnosis.cause == "cannot tell"


def test_no_data_is_never_good() -> None:
    few = sketch(Window(col=0, row=0, width=7 * TILE, height=TILE))
    dark = GROUND.copy()
    dark[:, :, : N // 2 + TILE * 3] = np.nan
    without = {name: column for name, column in REFERENCE.items() if name != "B08:mean"}
    holes = dict(REFERENCE) | {"B04:sd": [None, *REFERENCE["B04:sd"][1:]]}
    broken = dict(REFERENCE) | {"B04:mean": [float("inf"), *REFERENCE["B04:mean"][1:]]}
    for current in (few, sketch(Window(col=0, row=0, width=N, height=TILE), dark), holes, broken, {}):
        assert compared(current).diagnosis.cause == "cannot tell", current.keys()
        assert compared(current).diagnosis.action == "look"
        assert measure(REFERENCE, current, BANDS, RULES).problem is not None
    assert compared(REFERENCE, reference=without).diagnosis.cause == "cannot tell"
    assert compared(REFERENCE, bands=()).diagnosis.cause == "cannot tell"
    found = compared(without).diagnosis
    assert (found.cause, found.action, found.bands) == ("missing band", "fix ingest", ("B08",))


@pytest.mark.parametrize("reference", [None, {}])
def test_without_a_reference_nothing_is_said(reference: Columns | None) -> None:
    assert compared(REFERENCE, reference=reference).diagnosis.cause == "no reference"


def test_half_observed_tiles_are_left_out() -> None:
    dn = GROUND.copy()
    dn[:, : TILE // 2 + 1, :TILE] = np.nan  # 9 of 16 rows of the first tile
    dn[0, :TILE:2, TILE : 2 * TILE] = np.nan  # half of the second, in one band: still counted
    assert usable(sketch(WEST, dn))["B02:mean"].size == 63


def test_class_shares_and_confidence_are_shown_but_do_not_decide() -> None:
    names = {"class:built": 0.0, "class:water": 1.0, "confidence": 0.9}
    swapped = {"class:built": 1.0, "class:water": 0.0, "confidence": 0.2}
    reference = dict(REFERENCE) | {n: [v + 1e-3 * (i % 5) for i in range(64)] for n, v in names.items()}
    current = dict(REFERENCE) | {n: [v + 1e-3 * (i % 5) for i in range(64)] for n, v in swapped.items()}
    found = compared(current, reference=reference)
    shares, confidence = found.statistics[-2:]
    assert (shares.column, confidence.column) == ("class shares", "confidence")
    assert shares.distance == pytest.approx(1.0)
    assert confidence.mean_shift == pytest.approx(-0.7)
    assert shares.drifted
    assert confidence.drifted
    assert found.diagnosis.cause == "none"


def test_pooling_keeps_rows_and_marks_what_is_missing() -> None:
    both = pool([{"a": [1.0, 2.0], "b": [3.0, 4.0]}, {"a": [5.0]}])
    assert both == {"a": [1.0, 2.0, 5.0], "b": [3.0, 4.0, None]}


samples = st.lists(st.floats(-1e4, 1e4), min_size=2, max_size=40).map(np.array)


@settings(max_examples=60, deadline=None)
@given(samples, samples)
def test_distance_equals_scipys(reference: np.ndarray, current: np.ndarray) -> None:
    wanted = wasserstein_distance(reference, current) / max(float(np.std(reference)), 1e-3)
    assert distance(reference, current) == pytest.approx(wanted, rel=1e-9, abs=1e-6)
