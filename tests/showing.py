"""A workspace full of comparisons for the pages: streams in every state, every picture, names that try to be markup."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from geoml_ops.adapters.nouns import Shelf
from geoml_ops.adapters.predictions import SKETCHES, PredictionLog
from geoml_ops.core.flow import Bundle, Decision, Drift, Prediction, Reading, Reference, Scene
from geoml_ops.core.grid import Bounds
from geoml_ops.core.noun import FileRef, digest
from geoml_ops.core.watched import ControlChart, Diagnosis, DriftMap, Estimate, Spot, Statistic
from geoml_ops.platform.files import sha256_of
from geoml_ops.steps.places import Places
from tests.every_noun import any_noun
from tests.pages import HOSTILE

BANDS = ("B02", "B03", "B04", "B08", "B11", "B12")
MEANS = (1180.0, 1010.0, 870.0, 2900.0, 2050.0, 1240.0)
CLASSES = ("water", "forest", "grass", "built")
SHARES = (0.06, 0.52, 0.30, 0.12)
BUNDLE = "bundle-" + "b" * 16
CRS = "EPSG:32633"
FIRST = datetime(2020, 1, 4, 10, 20, tzinfo=UTC)


def charts(value: float, path: float, *, alarm: bool = False, n: int = 34, onset: str = "") -> tuple[ControlChart, ...]:
    """Two families of one scene, calibrated."""
    said = f"Threshold of {n} in-control scenes, left out one by one; 0.5 false alarms a year are stated."
    bands = ControlChart(
        family="bands",
        state="beyond" if value > 3.1 else "in control",
        value=value,
        worst="B08:mean",
        threshold=3.1,
        path=path,
        limit=1.6,
        alarm=alarm,
        onset=onset,
        n=n,
        sentence=said,
    )
    half = {"value": value * 0.5, "path": path * 0.4, "worst": "class:forest", "alarm": False, "onset": ""}
    return (bands, bands.model_copy(update={"family": "answers", "state": "in control", **half}))


def statistics(shift: Sequence[float], z: float = 0.4) -> tuple[Statistic, ...]:
    """One statistic per band and one of the class shares, against a ground of 300 DN spread."""
    shift = [float(moved) for moved in shift]
    found = [
        Statistic(
            column=band,
            distance=abs(moved) / 300 + 0.05,
            mean_shift=moved,
            sd_ratio=1.0 + moved / 9000,
            drifted=abs(moved) / 300 + 0.05 >= 1,
            js=min(0.9, abs(moved) / 2000),
            z=z,
        )
        for band, moved in zip(BANDS, shift, strict=True)
    ]
    shares = Statistic(column="class shares", distance=0.04, mean_shift=0.03, sd_ratio=None, drifted=False)
    return (*found, shares)


class Show:
    """Puts comparisons on a shelf; each call of :meth:`scene` is one."""

    def __init__(self, places: Places) -> None:
        self.places, self.shelf, self.n, self.answered_by = places, Shelf(places.nouns), 0, BUNDLE

    def scene(
        self,
        stream: str,
        at: datetime | None,
        diagnosis: Diagnosis,
        *,
        shift: Sequence[float] = (0.0,) * 6,
        shares: Sequence[float] = SHARES,
        chart: tuple[ControlChart, ...] = (),
        reference: str = "",
        outside: float | None = 0.03,
        accuracy: float | None = 0.81,
        where: DriftMap | None = None,
        name: str = "",
        tiles: bool = False,
    ) -> Drift:
        """Keeps a scene, its reading and its comparison."""
        self.n += 1
        name = name or f"{stream.partition('/')[0] or 'scene'}-{self.n:04d}"
        scene = self.shelf.put(any_noun(Scene).model_copy(update={"name": name, "acquired": at or FIRST}))
        prediction = self._sketched(shift) if tiles else f"{Prediction.kind}-{digest(['show', self.n])[:16]}"
        numbers = {f"{b}:mean": float(m + d) for b, m, d in zip(BANDS, MEANS, shift, strict=True)}
        numbers |= {f"class:{c}": s for c, s in zip(CLASSES, shares, strict=True)}
        known: dict[str, float | None] = {**numbers, "outside_share": outside, "confidence": 0.72}
        region = stream.rpartition("/")[2]
        reading = Reading(
            bundle=self.answered_by,
            predictions=(prediction,),
            scenes=(scene.id,),
            stream=stream,
            key=f"{stream.partition('/')[0]}/04.00/m{at.month:02d}/{region}" if at and stream else "",
            acquired=at,
            crs=CRS,
            bounds=Bounds(left=399960, bottom=5790240, right=509760, top=5900040),
            n_tiles=140,
            n_px=120_560_400,
            valid_share=0.93,
            statistics=known,
        )
        self.shelf.put(reading)
        estimate = Estimate(
            method="cbpe", value=accuracy or 0.0, low=0.76, high=0.86, expected=0.83,
            sentence="Confidence, calibrated on held-out blocks of the training ground.",
        )  # fmt: skip
        drift = Drift(
            bundle=self.answered_by,
            predictions=(prediction,),
            reading=reading.id,
            reference=reference,
            stream=stream,
            key=reading.key,
            acquired=at,
            unit="tile of 128 px",
            n_reference=420,
            n_current=140,
            threshold=1.0,
            calibrated=any(c.threshold is not None for c in chart),
            statistics=statistics(shift),
            drifted_share=float(sum(abs(m) > 285 for m in shift) / 6),
            charts=chart,
            estimates=(estimate,) if accuracy is not None else (),
            where=where,
            diagnosis=diagnosis,
        )
        return self.shelf.put(drift)

    def _sketched(self, shift: Sequence[float]) -> str:
        """Keeps a prediction of 12 by 10 tiles, moved by ``shift`` times how bright they are, and returns its id."""
        rng, n = np.random.default_rng(11), 120
        ground = rng.normal(0, 0.14, n)
        noise = np.random.default_rng(12)
        columns: dict[str, list[float]] = {
            "easting": [400600.0 + 1280 * (i % 12) for i in range(n)],
            "northing": [5899400.0 - 1280 * (i // 12) for i in range(n)],
            "valid_share": [1.0] * n,
        }
        for band, mean, moved in zip(BANDS, MEANS, shift, strict=True):
            values = mean * (1 + ground) * (1 + float(moved) / mean) + noise.normal(0, 9, n) * any(shift)
            columns[f"{band}:mean"] = [float(v) for v in values]
        made = any_noun(Prediction)
        made = made.model_copy(update={"source": made.source.model_copy(update={"sha256": digest(["tiles", self.n])})})
        path = PredictionLog(self.places.predictions).home(made.id) / SKETCHES
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(columns))
        kept = made.sketches.model_copy(update={"sha256": sha256_of(path), "size": path.stat().st_size})
        return self.shelf.put(made.model_copy(update={"sketches": kept})).id

    def decide(
        self, drift: Drift, action: str, *, fired: bool = False, rule: str = "drift", held: str = ""
    ) -> Decision:
        """Keeps what followed."""
        because = f"{drift.diagnosis.cause}: {drift.diagnosis.sentence}"
        known: dict[str, Any] = {"drift": drift.id, "policy": "policy-" + "0" * 16, "because": because, "rule": rule}
        return self.shelf.put(Decision(action=action, fired=fired, suppressed=held, **known))

    def bundle(self) -> None:
        """Keeps the bundle that everything here was answered by, under the name that it has here."""
        made = any_noun(Bundle).as_json()
        bands = [made["contract"]["bands"][0] | {"name": band, "common_name": "", "aliases": []} for band in BANDS]
        contract = made["contract"] | {"bands": bands, "also": []}
        made |= {
            "classes": list(CLASSES),
            "colours": ["#2b6cb0", "#1b7a3d", "#b5d66b", "#c0504d"],
            "contract": contract,
        }
        made |= {"values": [None] * 4}
        self.answered_by = self.shelf.put(Bundle.from_json(made)).id

    def reference(self, stream: str, readings: Sequence[str], number: int = 1) -> Reference:
        """Keeps one version of what scenes are compared with."""
        because = f"{len(readings)} scenes in control were accepted."
        made = Reference(
            bundle=self.answered_by, stream=stream, number=number, readings=tuple(readings), because=because
        )
        return self.shelf.put(made)

    def map(self, name: str) -> DriftMap:
        """Writes the files of a drift map where the hot-spot step puts them."""
        folder = self.places.dashboard / "maps"
        folder.mkdir(parents=True, exist_ok=True)
        rng = np.random.default_rng(3)
        field = np.clip(rng.normal(40, 14, (90, 120)), 0, 255)
        field[50:78, 70:105] += 150
        buffer = io.BytesIO()
        image = np.stack([np.clip(255 - 0.7 * field, 0, 255), 255 - 0.4 * field, 255 - 0.1 * field], -1)
        Image.fromarray(image.astype(np.uint8)).resize((960, 720), Image.Resampling.NEAREST).save(buffer, "PNG")
        (folder / f"{name}.png").write_bytes(buffer.getvalue())
        (folder / f"{name}.tif").write_bytes(b"II*\0" + bytes(range(256)) * 40)
        (folder / f"{name}.gpkg").write_bytes(b"SQLite format 3\0" + bytes(2000))
        refs = [self._ref(folder / f"{name}.{ending}") for ending in ("tif", "gpkg", "png")]
        spot = Spot(
            bounds=Bounds(left=464000, bottom=5804000, right=496000, top=5838000), n_tiles=27, mass=96.4, mean=3.6,
            direction="high", alarm=True,
        )  # fmt: skip
        small = spot.model_copy(update={"n_tiles": 3, "mass": 7.1, "alarm": False, "direction": "low", "mean": -2.2})
        return DriftMap(
            raster=refs[0], squares=refs[1], picture=refs[2], statistic="largest departure of a band, in sd", crs=CRS,
            spots=(spot, small), sentence="The largest region holds 27 tiles in the south-east.",
        )  # fmt: skip

    def _ref(self, path: Path) -> FileRef:
        inside = path.relative_to(self.places.dashboard).as_posix()
        return FileRef(path=inside, sha256=sha256_of(path), size=path.stat().st_size)


def calm(month: int = 1) -> Diagnosis:
    """A scene as expected."""
    said = f"All statistics are within what scenes of month {month} show."
    return Diagnosis(cause="season as expected", action="ignore", sentence=said)


def fill(places: Places) -> dict[str, Drift]:
    """Fills a workspace with streams in every state; returns the comparisons that stand for something, by name."""
    show, found = Show(places), {}
    show.bundle()
    found |= _drifting(show, "sentinel-2-l2a/EPSG:32633-3-58")
    found |= _faulty(show, "landsat-8-l2/EPSG:32633-3-58")
    found |= _young(show, "sentinel-2-l1c/EPSG:32634-5-57")
    found |= _changed(show, "sentinel-2-l2a/EPSG:32632-6-53")
    found["old"] = _old(show)
    nasty = Diagnosis(
        cause="cannot tell", action="look", sentence=f"No comparison: {HOSTILE}", evidence={HOSTILE: float(1)},
        others={HOSTILE: 0.5}, bands=(HOSTILE,), picture=HOSTILE,
    )  # fmt: skip
    found["hostile"] = show.scene(HOSTILE, FIRST, nasty, name=HOSTILE)
    show.decide(found["hostile"], "look", rule=HOSTILE, held=HOSTILE)
    return found


def _drifting(show: Show, stream: str) -> dict[str, Drift]:
    rng, path, readings = np.random.default_rng(7), 0.2, []
    for i in range(64):
        at = FIRST + timedelta(days=10 * i)
        value = float(abs(rng.normal(1.4, 0.5)))
        path = 0.7 * path + 0.3 * value * 0.5
        drift = show.scene(stream, at, calm(at.month), chart=charts(value, path), shift=rng.normal(0, 60, 6))
        readings.append(drift.reading)
        if i in (30, 50, 62):
            reference = show.reference(stream, readings, 1 + (i > 40) + (i > 60))
    shift = (210.0, 260.0, 390.0, 720.0, 610.0, 480.0)
    said = "3 of 4 scenes are beyond; NIR is 720 DN brighter than this month's scenes, over 27 tiles in the south-east."
    for i, path in enumerate((1.2, 1.7, 2.3, 2.9)):
        diagnosis = Diagnosis(
            cause="covariate shift", action="collect labels", sentence=said, picture="map", bands=("B08", "B11"),
            evidence={"scenes beyond": 3.0, "largest z": 4.2 + i, "outside share": 0.31, "p of the region": 0.004},
            others={"new region": 0.31, "season as expected": 0.12, "gain": 0.05},
        )  # fmt: skip
        at = FIRST + timedelta(days=640 + 10 * i)
        drift = show.scene(
            stream, at, diagnosis if path > 1.6 else calm(at.month), chart=charts(3.4 + i, path, alarm=path > 1.6),
            shift=shift, outside=0.31, accuracy=0.71, reference=reference.id, where=show.map("drifting"),
        )  # fmt: skip
        show.decide(drift, "collect labels" if path > 1.6 else "none", held="" if i < 3 else "cool-down: 30 of 90 days")
    return {"map": drift}


def _faulty(show: Show, stream: str) -> dict[str, Drift]:
    readings = [
        show.scene(stream, FIRST + timedelta(days=16 * i), calm(), chart=charts(1.2 + 0.4 * math.sin(i), 0.7)).reading
        for i in range(30)
    ]
    reference = show.reference(stream, readings)
    swapped = Diagnosis(
        cause="band swap", action="fix ingest", picture="profile", bands=("B04", "B08"),
        sentence="B04 looks like the B08 of 30 scenes and B08 like their B04: exchanged, all other bands as expected.",
        evidence={"match as delivered": 0.11, "match exchanged": 0.97},
        others={"covariate shift": 0.22},
    )  # fmt: skip
    drift = show.scene(
        stream, FIRST + timedelta(days=490), swapped, chart=charts(11.3, 2.6), reference=reference.id,
        shift=(0.0, 10.0, 2030.0, -2030.0, 12.0, -8.0),
    )  # fmt: skip
    show.decide(drift, "fix ingest", rule="fault")
    offset = Diagnosis(
        cause="undeclared offset", action="fix ingest", picture="bands", bands=BANDS,
        sentence="All 6 bands are 1,000 DN brighter, alike within 12 DN, and tiles vary as before.",
        evidence={"offset, DN": 1003.0, "spread of bands, DN": 12.0},
    )  # fmt: skip
    other = show.scene(stream, FIRST + timedelta(days=506), offset, chart=charts(9.0, 3.0), shift=(1000.0,) * 6)
    return {"profile": drift, "bands": other}


def _young(show: Show, stream: str) -> dict[str, Drift]:
    nothing = ControlChart(family="bands", state="no reference yet", n=0)
    first = Diagnosis(cause="no reference", action="none", sentence="The first scene of its key.")
    show.scene(stream, FIRST, first, chart=(nothing,))
    for i in range(5):
        chart = ControlChart(family="bands", state="uncalibrated", value=1.1, worst="B03:mean", n=5 + i)
        shift = (100.0 * i, 20.0, 30.0, 40.0, 50.0, 60.0)
        drift = show.scene(
            stream, FIRST + timedelta(days=10 * i + 10), calm(), chart=(chart,), shift=shift, outside=None
        )
    return {"young": drift}


def _changed(show: Show, stream: str) -> dict[str, Drift]:
    before = [
        show.scene(stream, FIRST + timedelta(days=12 * i), calm(), chart=charts(1.0, 0.6), tiles=i == 20)
        for i in range(24)
    ]
    reference = show.reference(stream, [d.reading for d in before])
    label = Diagnosis(
        cause="label shift", action="collect labels", picture="shares",
        sentence="Forest fell from 52 % to 31 % and grass rose as much, while each class looks as before.",
        evidence={"condition number": 3.4}, others={"covariate shift": 0.4},
    )  # fmt: skip
    kind: dict[str, Any] = {"chart": charts(3.6, 1.9, alarm=True), "reference": reference.id}
    shares = show.scene(stream, FIRST + timedelta(days=300), label, shares=(0.06, 0.31, 0.51, 0.12), **kind)
    gain = Diagnosis(
        cause="gain", action="fix ingest", picture="tiles", bands=("B08",),
        sentence="Matched tiles of B08 lie on a line of slope 1.08 through the origin.",
        evidence={"slope of B08": 1.08},
    )  # fmt: skip
    kind |= {"where": show.map("gain"), "shift": (0.0, 0.0, 0.0, 232.0, 0.0, 0.0), "tiles": True}
    tiles = show.scene(stream, FIRST + timedelta(days=288), gain, **kind)
    return {"shares": shares, "tiles": tiles}


def _old(show: Show) -> Drift:
    """A comparison of before streams were kept, as it lies on a shelf of that time."""
    new = show.scene("", None, Diagnosis(cause="covariate shift", action="collect labels", sentence="Old and plain."))
    names = ("bundle", "predictions", "unit", "n_reference", "n_current", "threshold", "calibrated", "drifted_share")
    content: dict[str, Any] = {name: value for name, value in new.as_json().items() if name in names}
    content["statistics"] = [{k: v for k, v in s.items() if k not in ("js", "z")} for s in new.as_json()["statistics"]]
    content["diagnosis"] = {k: new.as_json()["diagnosis"][k] for k in ("cause", "action", "sentence")}
    content["schema"] = 1
    old = Drift.from_json(content)
    show.shelf.path_of(new.id).unlink()
    path = show.shelf.path_of(old.id)
    path.write_text(json.dumps(content))
    return old
