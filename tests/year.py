"""A whole deployment that lives through years of scenes of known truth, without a scheduler: the real steps in turn.

Deliveries go through the drop folder and its checks, a model is trained, judged and released, scenes are answered by
the engine and recorded as the service does, and rounds of watching go on until nothing is left.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoml_ops.adapters import raster
from geoml_ops.adapters.mlflow import Tracking
from geoml_ops.adapters.nouns import Shelf
from geoml_ops.adapters.predictions import MAP, PredictionLog
from geoml_ops.core.bands import SENTINEL_2_L1C, Radiometry
from geoml_ops.core.flow import Bundle, Decision, Drift, Entry, Prediction, Retrain, Scene, Version
from geoml_ops.core.noun import FileRef, digest
from geoml_ops.core.watched import DriftMap
from geoml_ops.domain.resampling import refine
from geoml_ops.domain.years import Ground, observe
from geoml_ops.platform.files import whole_folder
from geoml_ops.steps import (
    answering,
    deliver,
    departing,
    ingest,
    publish,
    records,
    references,
    releasing,
    scenes,
    train,
    watch,
)
from geoml_ops.steps.classify import classify
from geoml_ops.steps.deliveries import DECLARATION
from geoml_ops.steps.places import Places
from tests.versions import places_in

FEATURES = ("B02", "B03", "B04", "B08", "B11", "B12", "NDVI")
LEAN: dict[str, Any] = {
    "features": list(FEATURES),
    "families": {"random_forest": {"n_estimators": 8, "max_depth": 8}},
    "uncertainty": {"most_references": 100},
}
TRAINED_ON = tuple(datetime(2016, month, day, 10, tzinfo=UTC) for month, day in ((2, 16), (5, 12), (7, 10), (9, 22)))
HOUR = 10
#: What the experiment calls what is there.
MAP_CLASS = {"residential": "built", "farm": "cropland", "meadow": "grass", "forest": "forest", "water": "water"}
DN = NDArray[np.uint16]


def days(year: int, every: float = 10.0, first: float = 4.0) -> Iterator[datetime]:
    """Dates of a year, ``every`` so many days."""
    begin = datetime(year, 1, 1, HOUR, tzinfo=UTC)
    number = first
    while number < 365:
        yield begin + timedelta(days=int(number))
        number += every


@dataclass(frozen=True)
class Turn:
    """One round: what was compared, decided, and started; ``when`` is the scene's."""

    when: datetime | None
    drift: Drift | None
    decision: Decision
    retrain: Retrain | None

    @property
    def alarm(self) -> bool:
        return self.drift is not None and self.drift.alarm

    @property
    def cause(self) -> str:
        return self.drift.diagnosis.cause if self.drift else ""


@dataclass
class Deployment:
    """Places, the land they look at, and what answers."""

    places: Places
    here: Ground
    home: Path
    seed: int = 0
    model: answering.Model | None = None
    delivered: list[str] = field(default_factory=list)
    past: list[Turn] = field(default_factory=list)

    @property
    def shelf(self) -> Shelf:
        return Shelf(self.places.nouns)

    # --- deliveries and training -------------------------------------------------------------

    def deliver_scene(self, dn: DN, when: datetime, name: str = "") -> str:
        """Hands in a scene at the bands' own pixel sizes; returns the delivery's name."""
        name = name or f"scene-{when:%Y%m%d}"
        with whole_folder(self.places.drop / name) as part:
            for band, layer in zip(SENTINEL_2_L1C.bands, dn, strict=True):
                coarse = _coarse(layer, round(band.gsd_m / 10))
                edge = self.here.grid.pixel_m * layer.shape[1] / coarse.shape[1]
                shape = {"pixel_m": edge, "height": coarse.shape[0], "width": coarse.shape[1]}
                raster.write_band(part / f"{name}_{band.name}.tif", coarse, self.here.grid.model_copy(update=shape))
            said = deliver.scene_declaration(f"{when:%Y-%m-%dT%H:%M:%SZ}", "02.04", 0)
            (part / DECLARATION).write_text(json.dumps(said))
        self.delivered.append(name)
        return name

    def deliver_labels(self, name: str, share: float = 0.6, seed: int = 0, ground: Ground | None = None) -> str:
        """Hands in outlines of a share of the fields with what is there; returns the delivery's name."""
        polygons, names = (ground or self.here).labels(share, seed)
        deliver.deliver_labels(self.places.drop / name, polygons, names, self.here.grid.crs)
        self.delivered.append(name)
        return name

    def keep(self) -> Version:
        """Judges what was handed in and returns the version it makes; every delivery has to be accepted."""
        for name in self.delivered:
            verdict = ingest.check(self.places, name)
            assert verdict.accepted, verdict.reasons
        self.delivered.clear()
        version = ingest.track(self.places)
        assert version is not None
        return version

    def learn(self, cause: str) -> Entry:
        """Trains on a version or a retrain event, publishes, and lets the gate decide; the promoted one answers."""
        places = self.places
        table = train.tabulate(places, train.version_for(places, cause))
        plans = tuple(plan.id for plan in train.plan(places, table.id))
        found = tuple(train.evaluate(places, plans, family).id for family in train.families(places))
        bundle = publish.export(places, train.choose(places, found).id)
        judgement = publish.judge(places, publish.register(places, bundle.id).id)
        entry = releasing.release(places, judgement.id)
        assert entry is not None, judgement.objections
        self.model = scenes.current_champion(places)
        return entry

    # --- requests ----------------------------------------------------------------------------

    def scene(self, when: datetime, baseline: str = "02.04", name: str = "") -> Scene:
        """Keeps the noun of an acquisition of this land, as its provider catalogued it."""
        name = name or f"scene-{when:%Y%m%d}"
        return self.shelf.put(
            Scene(
                name=name,
                sensor=SENTINEL_2_L1C.sensor,
                acquired=when,
                baseline=baseline,
                declared=SENTINEL_2_L1C.radiometry,
                grid=self.here.grid,
                bands=(),
                file=FileRef(path=f"elsewhere/{name}.tif", sha256=digest([name, self.here.seed]), size=1),
            )
        )

    def seen(self, when: datetime, **more: Any) -> DN:
        """What the sensor delivers on a date."""
        return observe(self.here, when, seed=self.seed, **more)

    def ask(
        self, dn: DN, when: datetime, *, baseline: str = "02.04", tagged: bool = True, offset_dn: float = 0.0
    ) -> Prediction:
        """Sends a scene to the engine and records the answer as the service does, at the scene's own time.

        Args:
            dn: all bands on the 10 m grid.
            when: it was acquired, and asked for two hours later.
            baseline: that the scene's noun says.
            tagged: whether the raster says which scene it is.
            offset_dn: that the raster declares.
        """
        assert self.model is not None
        tags = {"GEOML_SCENES": self.scene(when, baseline).id} if tagged else {}
        contract = self.model.contract
        source = self.home / "requests" / f"{when:%Y%m%d}.tif"
        source.parent.mkdir(exist_ok=True)
        declared = Radiometry(scale=1e-4, offset_dn=offset_dn, nodata=0.0)
        raster.write_scene(source, stored(dn, contract.names), self.here.grid, contract, declared, tags=tags)
        prediction = classify(self.places, source, self.model, name=source.stem)
        records.record(
            self.places,
            self.model.bundle,
            prediction,
            request=f"request-{when:%Y%m%d}",
            latency_s=1.0,
            at=when + timedelta(hours=2),
        )
        source.unlink()
        return prediction

    @property
    def bundle(self) -> Bundle:
        """Of the model that answers."""
        assert self.model is not None
        return self.model.bundle

    def accuracy(self, prediction: Prediction) -> float:
        """How many pixels of a map are right."""
        classes = raster.read(PredictionLog(self.places.predictions).home(prediction.id) / MAP)[0]
        codes = np.array([self.bundle.classes.index(MAP_CLASS[name]) for name in self.here.classes])
        return float((classes == codes[self.here.truth]).mean())

    def overlap(self, where: DriftMap, inside: NDArray[np.bool_]) -> float:
        """Tiles in hot-spots and tiles in a part of the scene: those in both by those in either."""
        path = self.places.dashboard / where.raster.path
        layer = raster.read(path)[raster.describe(path).names.index("spot")]
        found = np.nan_to_num(np.asarray(layer, dtype=np.float64)) > 0
        edge = [whole // part for whole, part in zip(inside.shape, found.shape, strict=True)]
        true = inside.reshape(found.shape[0], edge[0], found.shape[1], edge[1]).mean(axis=(1, 3)) > 0.5
        return float((found & true).sum() / (found | true).sum())

    # --- rounds ------------------------------------------------------------------------------

    def rounds(self, version: str = "") -> list[Turn]:
        """Looks at what was not looked at yet, and weighs a version; returns the rounds."""
        return [
            Turn(turn.drift.acquired if turn.drift else None, turn.drift, turn.decision, turn.retrain)
            for turn in watch.rounds(self.places, version)
        ]

    def fill(self, when: Sequence[datetime], because: str = "years that people know to be ordinary") -> list[Turn]:
        """Answers the scenes of past years, and takes them all into the reference as a person would; the rounds."""
        for day in when:
            self.ask(self.seen(day), day)
        with without_reports():
            turns = self.rounds()
        for turn in turns:
            if turn.drift is not None:
                references.accept(self.places, turn.drift.id, because)
        self.past += turns
        return turns

    def branch(self, home: Path) -> Deployment:
        """Returns a copy of this deployment, to go on from here in another way.

        It registers under the same name: the champion of the copy is champion again, whatever other copies released.
        """
        shutil.copytree(self.home, home)
        assert self.model is not None
        Tracking(self.places.tracking_uri).set_alias(self.places.model, "champion", self.model.release.number)
        there = {
            name: home / value.relative_to(self.home) if isinstance(value, Path) else value
            for name, value in vars(self.places).items()
        }
        places = Places(**{**there, "remote": str(home / "remote")})
        return Deployment(places, self.here, home, self.seed, self.model)

    def live(self, when: Sequence[datetime], *, reports: bool = True, **more: Any) -> list[Turn]:
        """Answers the scenes of these dates, one round after each; returns the rounds."""
        turns = []
        for day in when:
            self.ask(self.seen(day, **more), day)
            with nullcontext() if reports else without_reports():
                turns += self.rounds()
        return turns


def deployed(
    home: Path, tracking_uri: str, here: Ground, *, model: str, policy: Mapping[str, Any], seed: int = 0
) -> Deployment:
    """Returns a deployment whose champion learned from four dates of a year on this land."""
    made = places_in(home, tracking_uri, **LEAN)
    places = Places(**{**vars(made), "model": model})
    places.policy.write_text(json.dumps(dict(policy)))
    places.drop.mkdir(parents=True, exist_ok=True)
    deployment = Deployment(places, here, home, seed)
    for when in TRAINED_ON:
        deployment.deliver_scene(deployment.seen(when), when)
    deployment.deliver_labels("landuse")
    deployment.learn(deployment.keep().id)
    return deployment


@contextmanager
def without_reports() -> Iterator[None]:
    """Rounds that leave no report in Evidently's workspace: most of their time, and no part of what is decided."""
    kept = departing.reported
    departing.reported = lambda *_: None
    try:
        yield
    finally:
        departing.reported = kept


def stored(dn: DN, names: Sequence[str]) -> DN:
    """Returns the named bands as a stored scene holds them: coarser ones brought to 10 m by the contract's rule."""
    layers = []
    for name in names:
        band, layer = SENTINEL_2_L1C.band(name), dn[SENTINEL_2_L1C.names.index(name)]
        factor = round(band.gsd_m / 10)
        layers.append(layer if factor == 1 else refine(_coarse(layer, factor), factor, band.resampling))
    return np.stack(layers).astype(np.uint16)


def _coarse(layer: DN, factor: int) -> DN:
    if factor == 1:
        return layer
    blocks = layer.reshape(layer.shape[0] // factor, factor, layer.shape[1] // factor, factor).astype(np.float64)
    whole = (blocks > 0).all(axis=(1, 3))
    return np.where(whole, np.rint(blocks.mean(axis=(1, 3))), 0).astype(np.uint16)
