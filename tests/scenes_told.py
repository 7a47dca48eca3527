"""What the watch step tells of a scene, made up: drift nouns with charts, estimates and a map."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from geoml_ops.adapters.evidently import Told
from geoml_ops.core.flow import Drift, Reading
from geoml_ops.core.grid import Bounds
from geoml_ops.core.noun import FileRef
from geoml_ops.core.watched import Cause, ControlChart, Diagnosis, DriftMap, Estimate, Spot, Statistic

BANDS = ("B02", "B04", "B08", "B11")
BOUNDS = Bounds(left=0, bottom=0, right=1280, top=1280)
FILE = FileRef(path="x", sha256="a" * 64, size=1)


def told(
    number: int,
    stream: str = "sentinel-2-l1c/west",
    *,
    model: str = "landcover",
    calibrated: bool = True,
    alarm: bool = False,
    cause: Cause = "none",
    dated: bool = True,
    bands: tuple[str, ...] = BANDS,
) -> Told:
    """A scene every ten days; its numbers grow with ``number``."""
    when = datetime(2024, 1, 1, 10, tzinfo=UTC) + timedelta(days=10 * number) if dated else None
    reading = Reading(
        bundle="bundle-" + "0" * 16,
        predictions=(f"prediction-{number:016x}",),
        stream=stream,
        key="k" if dated else "",
        acquired=when,
        crs="EPSG:32633",
        bounds=BOUNDS,
        n_tiles=30,
        n_px=1000,
        valid_share=0.9,
        statistics={"outside_share": 0.1 + 0.01 * number, "edge_density": None, "confidence": 0.8},
    )
    drift = Drift(
        bundle=reading.bundle,
        predictions=reading.predictions,
        reading=reading.id,
        stream=stream,
        key=reading.key,
        acquired=when,
        unit="tile of 128 px",
        n_reference=30,
        n_current=30,
        threshold=1.0,
        calibrated=calibrated,
        statistics=(*(statistic(band, number, n) for n, band in enumerate(bands)), class_shares(number)),
        drifted_share=min(1.0, 0.1 * number),
        charts=(chart(number, calibrated, alarm),),
        estimates=(Estimate(method="cbpe", value=0.9 - 0.01 * number, low=0.8, high=0.95, expected=0.9),),
        where=drift_map(number),
        diagnosis=Diagnosis(cause=cause, action="none", sentence="A sentence."),
    )
    return Told(model, drift, reading, latency_s=3.0 + number)


def statistic(band: str, number: int, n: int) -> Statistic:
    return Statistic(
        column=band, distance=0.1 * number + n, mean_shift=1.0, sd_ratio=1.0, drifted=False, js=0.1, z=0.3 * number
    )


def class_shares(number: int) -> Statistic:
    return Statistic(column="class shares", distance=0.01 * number, mean_shift=0.01, sd_ratio=None, drifted=False)


def chart(number: int, calibrated: bool, alarm: bool) -> ControlChart:
    value = 1.0 + 0.1 * number
    if not calibrated:
        return ControlChart(family="bands", state="uncalibrated", value=value, n=7)
    return ControlChart(
        family="bands", state="in control", value=value, threshold=3.0, path=value, limit=2.0, alarm=alarm, n=20
    )


def drift_map(number: int) -> DriftMap:
    spot = Spot(bounds=BOUNDS, n_tiles=number, mass=3.0, mean=3.0, direction="high")
    spots = (spot,) if number else ()
    return DriftMap(raster=FILE, squares=FILE, statistic="largest departure", crs="EPSG:32633", spots=spots)
