"""What is said of areas of few tiles: the charts over scenes speak, and a scene that clouds hide is no small area."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from geoml_ops.core.policy import DriftRules
from geoml_ops.core.watched import ControlChart
from geoml_ops.domain.diagnosis import Evidence, diagnose
from geoml_ops.domain.drift import Table

RULES = DriftRules(least_tiles=8)
BANDS = ("B02", "B04")
PARTS = {"mean": 500.0, "p01": 300.0, "p50": 500.0, "p99": 900.0, "sd": 100.0}


def tiles(n: int, valid: float = 1.0) -> Table:
    found = {f"{band}:{part}": np.full(n, value) for band in BANDS for part, value in PARTS.items()}
    return found | {"valid_share": np.full(n, valid), "n_px": np.full(n, 3600.0)}


def of(tiles_n: int, *, whole: int | None = None, **chart: object) -> Evidence:
    told = {"family": "bands", "state": "in control", "value": 1.2, "worst": "B02:mean", "threshold": 3.0, "n": 30}
    return Evidence(
        bands=BANDS,
        now=tiles(tiles_n),
        ground=tiles(40),
        everything=tiles(tiles_n if whole is None else whole),
        charts=(ControlChart.model_validate({**told, **chart}),),
        is_dated=True,
    )


@pytest.mark.parametrize("n", [1, 2, 4, 7])
@pytest.mark.parametrize("state", ["in control", "beyond"])
def test_a_small_area_with_a_history_is_told_by_its_charts(n: int, state: str) -> None:
    found = diagnose(of(n, state=state), RULES)
    assert (found.cause, found.action) == ("none", "none")
    assert f"bands {state} (30 calm scenes)" in found.sentence
    assert f"The area has {n} tile" in found.sentence
    assert "8 are needed" in found.sentence


def test_an_alarm_of_a_small_area_asks_for_labels_and_says_what_it_cannot_know() -> None:
    found = diagnose(of(1, state="beyond", value=5.0, path=4.0, limit=2.5, alarm=True), RULES)
    assert (found.cause, found.action) == ("covariate shift", "collect labels")
    assert "nothing says whether the ground or the delivery changed" in found.sentence
    assert found.evidence["bands limit"] == 2.5


@pytest.mark.parametrize("state", ["no reference yet", "uncalibrated"])
def test_the_first_scenes_of_a_small_area_make_its_reference(state: str) -> None:
    found = diagnose(of(1, state=state, value=None, threshold=None, n=3), RULES)
    # What the reference takes in by itself (steps.references.ACCEPTED).
    assert (found.cause, found.action) == ("no reference", "ignore")
    assert "3 calm scenes" in found.sentence


@pytest.mark.parametrize("whole", [9, 40])
def test_a_large_area_of_which_little_is_seen_is_no_small_area(whole: int) -> None:
    assert diagnose(of(3, whole=whole), RULES).cause in ("cannot tell", "cloud or nodata surge")


def test_a_small_area_that_is_mostly_hidden_cannot_be_told() -> None:
    assert diagnose(of(1, whole=4), RULES).cause in ("cannot tell", "cloud or nodata surge")


def test_nothing_observed_no_charts_or_a_band_without_numbers_is_never_good_news() -> None:
    small = of(2)
    lame = small.now | {"B04:mean": np.array([np.nan, 1.0])}
    for broken in (of(0), replace(small, charts=()), replace(small, now=lame), replace(small, everything={})):
        assert diagnose(broken, RULES).cause in ("cannot tell", "missing band", "cloud or nodata surge")
