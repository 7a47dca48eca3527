"""A line per scene and where a stream stands: faults before alarms, no claim without a threshold."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, get_args

import pytest

from geoml_ops.core.flow import Drift, Reading
from geoml_ops.core.grid import Bounds
from geoml_ops.core.noun import FileRef
from geoml_ops.core.watched import Action, Cause, ControlChart, Diagnosis, DriftMap, Spot, State, Statistic
from geoml_ops.domain.streams import (
    DRIFTS,
    FAULTS,
    Place,
    alarms_begun,
    farthest,
    in_order,
    leading_chart,
    newest_of,
    place_of,
    row_of,
    standing_of,
)

DAY = datetime(2021, 5, 1, 10, tzinfo=UTC)


def chart(state: State = "in control", family: str = "bands", **more: Any) -> ControlChart:
    return ControlChart(family=family, state=state, **more)


def drift(
    cause: Cause = "none", action: Action = "none", *, charts: tuple[ControlChart, ...] = (), **more: Any
) -> Drift:
    known: dict[str, Any] = {
        "bundle": "bundle-" + "0" * 16,
        "predictions": ("prediction-" + "0" * 16,),
        "unit": "tile",
        "n_reference": 1,
        "n_current": 2,
        "threshold": 1.0,
        "calibrated": any(c.threshold is not None for c in charts),
        "statistics": (),
        "drifted_share": 0.0,
    }
    return Drift(
        **known | {"charts": charts, "diagnosis": Diagnosis(cause=cause, action=action, sentence="So.")} | more
    )


OVER = chart("beyond", threshold=3.0, value=4.0)
ALARM = chart("beyond", threshold=3.0, value=4.0, alarm=True, path=2.0, limit=1.5)
IN = chart(threshold=3.0, value=1.0, path=0.5, limit=1.5)


@pytest.mark.parametrize(
    ("made", "stands"),
    [
        (drift(charts=(IN,)), "in control"),
        (drift(charts=(IN, OVER)), "beyond"),
        (drift("covariate shift", charts=(ALARM,)), "alarm"),
        (drift("season as expected", charts=(ALARM,)), "alarm"),
        (drift("band swap", "fix ingest", charts=(ALARM,)), "fault"),
        (drift("undeclared offset", "fix ingest"), "fault"),
        (drift("cannot tell", "look", charts=(ALARM,)), "cannot tell"),
        (drift(charts=(chart("no reference yet"),)), "no reference yet"),
        (drift("no reference", "look"), "no reference yet"),
        (drift(charts=(chart("uncalibrated", value=2.0),)), "uncalibrated"),
        (drift("covariate shift"), "uncalibrated"),
    ],
)
def test_where_a_scene_stands(made: Drift, stands: str) -> None:
    assert standing_of(made) == stands


def test_every_cause_is_a_fault_a_drift_or_none_of_both() -> None:
    others = {"none", "season as expected", "no reference", "cannot tell"}
    assert set(get_args(Cause)) == FAULTS | DRIFTS | others
    assert not FAULTS & DRIFTS


def test_a_row_says_where_the_foremost_region_is_and_otherwise_where_the_scene_is() -> None:
    reading = Reading(
        bundle="bundle-" + "0" * 16, predictions=(), stream="s/r", crs="EPSG:32633",
        bounds=Bounds(left=0, bottom=0, right=100, top=100), n_tiles=3, n_px=9, valid_share=1.0,
        statistics={"outside_share": 0.25},
    )  # fmt: skip
    plain = row_of(drift(), reading=reading, scenes=["a"], logged=DAY)
    assert (plain.place, plain.outside, plain.scenes) == (Place((0, 0, 100, 100), "EPSG:32633"), 0.25, ("a",))
    ref = FileRef(path="a.tif", sha256="a" * 64, size=1)
    quiet = Spot(bounds=Bounds(left=1, bottom=1, right=2, top=2), n_tiles=9, mass=9.0, mean=1.0, direction="high")
    loud = quiet.model_copy(update={"bounds": Bounds(left=5, bottom=5, right=6, top=6), "alarm": True})
    where = DriftMap(raster=ref, squares=ref, statistic="sd", crs="EPSG:3035", spots=(quiet, loud))
    assert place_of(drift(where=where), reading) == Place((5, 5, 6, 6), "EPSG:3035")
    assert place_of(drift(where=where.model_copy(update={"spots": ()})), reading) == plain.place
    assert place_of(drift()) is None


def test_only_bands_can_be_farthest() -> None:
    def far(column: str, distance: float) -> Statistic:
        return Statistic(column=column, distance=distance, mean_shift=0.0, sd_ratio=None, drifted=False)

    found = farthest([far("class shares", 9), far("B02", 1), far("confidence", 8), far("B03", 2), far("class:x", 7)])
    assert found is not None
    assert found.column == "B03"
    assert farthest([far("class shares", 9)]) is None


def test_scenes_are_in_order_of_acquisition_where_all_have_one_and_as_logged_otherwise() -> None:
    rows = [
        replace(row_of(drift(n_current=i + 2)), acquired=DAY - timedelta(days=i), logged=DAY + timedelta(days=i))
        for i in range(4)
    ]
    assert [r.n_tiles for r in in_order(rows)] == [5, 4, 3, 2]
    undated = [replace(rows[0], acquired=None), *rows[1:]]
    assert [r.n_tiles for r in in_order(undated)] == [2, 3, 4, 5]
    assert in_order([replace(rows[0], logged=None, acquired=None), undated[1]])[0].logged is None


def test_a_stream_stands_where_its_champion_says() -> None:
    rows = [replace(row_of(drift(n_current=i)), bundle=bundle) for i, bundle in enumerate("aabab")]
    assert [newest_of(rows, bundle).n_tiles for bundle in ("a", "b", "c", "")] == [3, 4, 4, 4]


def test_an_alarm_that_stands_is_one_alarm() -> None:
    rows = [row_of(drift(charts=(c,))) for c in (IN, ALARM, ALARM, IN, ALARM)]
    assert alarms_begun(rows) == 2
    assert alarms_begun([]) == 0


def test_the_chart_that_says_most_is_in_alarm_or_nearest_its_limit() -> None:
    near = chart(family="answers", path=1.4, limit=1.5, threshold=3.0)
    assert leading_chart(row_of(drift(charts=(IN, near)))) == near
    assert leading_chart(row_of(drift(charts=(ALARM, near)))) == ALARM
    assert leading_chart(row_of(drift(charts=(chart("uncalibrated"), near)))) == near
    assert leading_chart(row_of(drift())) is None


def test_a_place_in_degrees_keeps_its_digits() -> None:
    assert Place((13.5, 52.25, 13.75, 52.5), "EPSG:4326").words == "13.50000,52.25000,13.75000,52.50000"
