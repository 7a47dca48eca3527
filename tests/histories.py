"""Histories of watching made of nouns alone: a champion, scenes with numbers, and what was found in each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from geoml_ops.adapters.nouns import Shelf
from geoml_ops.adapters.predictions import PredictionLog
from geoml_ops.core.bands import SENTINEL_2_L1C
from geoml_ops.core.flow import (
    Bundle,
    Drift,
    Entry,
    Judgement,
    Labels,
    Prediction,
    Reading,
    Retrain,
    Scene,
    Version,
)
from geoml_ops.core.grid import Grid
from geoml_ops.core.noun import FileRef, Noun, digest
from geoml_ops.core.watched import Action, Cause, ControlChart, Diagnosis, Statistic
from geoml_ops.domain.alarms import key_of
from geoml_ops.domain.alarms.keys import By
from geoml_ops.domain.streams import DRIFTS, FAULTS
from geoml_ops.steps.places import Places
from geoml_ops.steps.records import region_of
from tests.every_noun import any_noun

N = TypeVar("N", bound=Noun)
BANDS = ("B02", "B03", "B04", "B08")
GRID = Grid(crs="EPSG:32633", left=330000.0, top=5822000.0, pixel_m=10.0, width=256, height=128)
BEGIN = datetime(2020, 1, 3, 10, tzinfo=UTC)
SENSOR = SENTINEL_2_L1C.sensor


def of(kind: type[N], **fields: Any) -> N:
    """Returns an example of a noun with these fields."""
    made = any_noun(kind).model_copy(update=fields)
    assert isinstance(made, kind)
    return made


def stream_of(grid: Grid = GRID) -> str:
    bounds = grid.bounds
    centre = (bounds.left + bounds.right) / 2, (bounds.bottom + bounds.top) / 2
    return f"{SENSOR}/{region_of(grid.crs, *centre).replace('/', '-')}"


@dataclass
class Record:
    """A deployment whose nouns are written by hand.

    Attributes:
        places: where it is.
        shelf: its nouns.
        bundle: of the champion.
        entry: the champion.
        scene: that the champion learned from.
        labels: that it learned from.
        version: that it learned from.
        n: things made so far; makes each unlike the others.
        by: part of the year that keys name.
        made: comparisons, in order.
    """

    places: Places
    shelf: Shelf
    bundle: Bundle
    entry: Entry
    scene: Scene
    labels: Labels
    version: Version
    n: int = 0
    by: By = "month"
    made: list[Drift] = field(default_factory=list)

    def predict(self, scenes: Sequence[Scene] = (), grid: Grid = GRID, at: datetime | None = None) -> Prediction:
        """Logs an answer of the champion about scenes, or about nobody knows what."""
        self.n += 1
        prediction = self.shelf.put(
            of(
                Prediction,
                bundle=self.bundle.id,
                graph_sha256=self.bundle.file.sha256,
                model=self.places.model,
                number=self.entry.number,
                source=FileRef(path="", sha256=digest([self.n, self.bundle.id]), size=1),
                scenes=tuple(scene.id for scene in scenes),
                covariates=(),
                grid=grid,
            )
        )
        when = at or (scenes[0].acquired + timedelta(hours=6) if scenes else BEGIN + timedelta(minutes=self.n))
        PredictionLog(self.places.predictions).append(prediction.id, when)
        return prediction

    def see(self, day: float, name: str = "") -> Scene:
        """Returns a scene of a day, counted from the begin."""
        acquired = BEGIN + timedelta(days=day)
        made = of(Scene, name=name or f"day {day:g}", acquired=acquired, grid=GRID, baseline="05.00", sensor=SENSOR)
        return self.shelf.put(made)

    def find(
        self,
        cause: Cause,
        *,
        day: float | None = None,
        values: dict[str, float | None] | None = None,
        charts: tuple[ControlChart, ...] = (),
        statistics: tuple[Statistic, ...] = (),
        grid: Grid = GRID,
        share: float | None = None,
    ) -> Drift:
        """Keeps a comparison of one scene, with its reading and prediction."""
        scenes = [self.see(day)] if day is not None else []
        prediction = self.predict(scenes, grid)
        acquired, stream = scenes[0].acquired if scenes else None, stream_of(grid)
        region = stream.partition("/")[2]
        reading = self.shelf.put(
            of(
                Reading,
                bundle=self.bundle.id,
                predictions=(prediction.id,),
                scenes=prediction.scenes,
                stream=stream,
                key=str(key_of(acquired, sensor=SENSOR, baseline="05.00", region=region, by=self.by))
                if acquired
                else "",
                acquired=acquired,
                crs=grid.crs,
                bounds=grid.bounds,
                statistics=values or {},
                sketches={},
                confidences=(),
            )
        )
        action: Action = "fix ingest" if cause in FAULTS else "collect labels" if cause in DRIFTS else "none"
        drift = of(
            Drift,
            bundle=self.bundle.id,
            predictions=(prediction.id,),
            reading=reading.id,
            reference="",
            stream=stream,
            key=reading.key,
            acquired=acquired,
            calibrated=any(chart.limit is not None for chart in charts),
            charts=charts,
            threshold=1.0,
            drifted_share=share if share is not None else float(cause in DRIFTS),
            statistics=statistics,
            estimates=(),
            prior_shift={},
            where=None,
            diagnosis=Diagnosis(cause=cause, action=action, sentence=f"said: {cause}."),
        )
        self.made.append(self.shelf.put(drift))
        return drift

    def deliver(self, name: str, scenes: Sequence[Scene] = ()) -> Version:
        """Keeps a version with one more delivery of labels on the ground of :data:`GRID`."""
        self.n += 1
        labels = self.shelf.put(of(Labels, name=name, bounds=GRID.bounds, crs=GRID.crs, use="learning", design=""))
        known = (*self.version.scenes, *(scene.id for scene in scenes))
        more = {"scenes": known, "labels": (self.labels.id, labels.id), "rev": f"{self.n:040x}"}
        return self.shelf.put(self.version.model_copy(update=more))

    def judge(self, retrain: Retrain, outcome: str) -> Judgement:
        """Keeps what a training came to: bundle, entry and verdict."""
        self.n += 1
        bundle = self.shelf.put(self.bundle.model_copy(update={"version": retrain.version, "features": (str(self.n),)}))
        entry = self.shelf.put(Entry(bundle=bundle.id, model=self.places.model, number=1 + self.n))
        made = of(Judgement, challenger=entry.id, champion=self.entry.id, outcome=outcome, reason="as it is.")
        return self.shelf.put(made)


def places_of(folder: Path, policy: str, tracking_uri: str = "http://127.0.0.1:9", model: str = "watched") -> Places:
    """Returns the places of a deployment in a folder, with a policy file."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "policies.yaml"
    path.write_text(policy)
    return Places(
        workspace=folder / "ws",
        store=folder / "store",
        remote="",
        drop=folder / "drop",
        tracking_uri=tracking_uri,
        model=model,
        experiment=folder / "none.yaml",
        policy=path,
    )


def begin(places: Places, bundle: Bundle | None = None, number: int = 1) -> Record:
    """Returns a deployment with a champion that learned from one scene and one delivery of labels."""
    shelf = Shelf(places.nouns)
    scene = shelf.put(of(Scene, name="learned from", acquired=BEGIN - timedelta(days=20), grid=GRID, sensor=SENSOR))
    labels = shelf.put(of(Labels, name="first labels", bounds=GRID.bounds, crs=GRID.crs, use="learning", design=""))
    version = shelf.put(of(Version, scenes=(scene.id,), labels=(labels.id,), ancillaries=(), verdicts=()))
    contract = SENTINEL_2_L1C.subset(BANDS)
    made = (bundle or of(Bundle)).model_copy(update={"version": version.id, "contract": contract})
    made = shelf.put(made)
    entry = shelf.put(Entry(bundle=made.id, model=places.model, number=number))
    return Record(places, shelf, made, entry, scene, labels, version)


def year_of(
    record: Record,
    days: Sequence[float],
    *,
    seed: int = 0,
    moved_from: float | None = None,
    moved_by: float = 6.0,
) -> list[Drift]:
    """Keeps scenes whose bands follow the season, with noise that neighbouring bands share; one may move for good.

    The season comes in four steps, so that the scenes of a quarter are alike. ``moved_by`` is in standard deviations
    of what scenes of one quarter differ by. Every scene is recorded as calm: what a policy makes of it is for its own
    charts to say.
    """
    rng = np.random.default_rng(seed)
    found = []
    for day in days:
        month = (BEGIN + timedelta(days=day)).month
        season = (-1.0, 0.3, 1.0, -0.3)[month % 12 // 3]
        common = rng.normal()
        values: dict[str, float | None] = {}
        for place, band in enumerate(BANDS):
            noise = 30 * (0.6 * common + 0.8 * rng.normal())
            moved = 30 * moved_by if moved_from is not None and day >= moved_from and band == "B04" else 0.0
            values[f"{band}:mean"] = 1000.0 + 200 * place + 300 * season + noise + moved
            values[f"{band}:sd"] = 200.0 * float(np.exp(rng.normal() / 20))
        # The classes a model finds follow the season as well: the guide's naive rule sees that, and so do default
        # distances against the ground of one winter's day.
        away = abs(season + 1.0) * 0.2
        statistics = (
            *(Statistic(column=b, distance=abs(season + 1.0), mean_shift=0.0, sd_ratio=1.0, drifted=False)
              for b in BANDS),
            Statistic(column="class shares", distance=away, mean_shift=away, sd_ratio=None, drifted=False),
        )  # fmt: skip
        found.append(record.find("season as expected", day=day, values=values, statistics=statistics))
    return found
