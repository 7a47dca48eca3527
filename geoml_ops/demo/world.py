"""The swap shown on generated ground: one small real scene may hold too few blocks for a verdict.

The same steps, the same registry and a service of its own, on a landscape whose truth is known: a first
champion that saw the west only, a better challenger that takes its place while the service runs, and a
worse one that does not.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from geoml_ops import client
from geoml_ops.adapters import plots, raster
from geoml_ops.adapters.nouns import Shelf
from geoml_ops.core.errors import GeomlError
from geoml_ops.core.flow import Judgement, Scene
from geoml_ops.demo import progress
from geoml_ops.demo.chain import service_has
from geoml_ops.demo.progress import Facts, Progress
from geoml_ops.demo.serving import Service, serving
from geoml_ops.demo.story import Generated, Picture, Trial
from geoml_ops.domain.world import CLASSES, World, landscape
from geoml_ops.platform.files import write_text
from geoml_ops.settings import Settings
from geoml_ops.steps import deliver, ingest, publish, train
from geoml_ops.steps.places import Places

MODEL = "demo-world"
SCENE, LABELS_WEST, LABELS_EAST = "generated", "labels-west", "labels-east"
BRIGHTER = 1.7
SHAPE = (420, 360)
# In the order of the world's classes: a code of the map is a code of the truth.
_COLOURS = ("#d7263d", "#e9c46a", "#8ab17d", "#1b5e20", "#2a6fbb")
_SOUND: Facts = {
    "name": MODEL,
    "sensor": "sentinel-2-l1c",
    "features": ["B03", "B04", "B08", "B11", "NDVI", "NDMI"],
    "classes": {name: {"labels": [name], "colour": c} for name, c in zip(CLASSES, _COLOURS, strict=True)},
    "sampling": {"per_polygon": 8},
    "folds": {"block_m": 600.0, "buffer_m": 60.0, "n_folds": 9},
    "families": {"random_forest": {"n_estimators": 24, "max_depth": 10}},
    "gate": {"least_blocks": 10},
}
# One question about one index: what a careless change of a recipe may come to.
_CRIPPLED: Facts = _SOUND | {"features": ["NDVI"], "families": {"random_forest": {"n_estimators": 4, "max_depth": 1}}}


def show(settings: Settings, folder: Path, *, witness: Path | None = None) -> Facts:
    """Shows that the service swaps to a better model and keeps it against a worse one.

    May be killed and called again: chapters that are done are skipped, and the steps find their own work.

    Args:
        settings: of the real stack; its tracking server and its policy are used, its model and workspace are not.
        folder: where ``world/`` appears, with a workspace and an experiment of its own.
        witness: where the service's process writes attempts to reach beyond loopback; None for no witness.

    Returns:
        One entry a chapter (``first``, ``better``, ``worse``), each with the ids of its nouns, the number
        that serves after it, and the served map's accuracy against the truth; all plain JSON.

    Raises:
        GeomlError: a model was promoted that should not be, or not promoted that should.
    """
    home = folder.resolve() / "world"
    home.mkdir(parents=True, exist_ok=True)
    settings = _settings(settings, home)
    with serving(settings, witness=witness) as service:
        turns = _Turns(home, settings.places(), _ground(), service)
        chapters = Progress(home / "progress.json", 3)
        return {
            "first": chapters.chapter("first", "Generated ground: a champion that saw the west only", turns.first),
            "better": chapters.chapter("better", "Labels of the east arrive: a better challenger", turns.better),
            "worse": chapters.chapter("worse", "A crippled recipe: a worse challenger", turns.worse),
        }


def tell(facts: Facts, folder: Path) -> Generated:
    """Returns what :func:`show` found, ready for the report.

    Args:
        facts: from :func:`show`.
        folder: the one that :func:`show` was given.
    """
    home, ground = folder / "world", _ground()
    shelf = Shelf(_settings(Settings(), home).places().nouns)
    first, better, worse = (facts[name] for name in ("first", "better", "worse"))
    swap = better["swap"]
    swapped = (
        f"The running service took it up {swap['seconds']:.1f} s after its release, without a restart."
        if swap["seen"]
        else f"The turn was interrupted meanwhile; the service that was started again answers with {better['serves']}."
    )
    right = {name: facts[name]["right"]["all"] for name in ("first", "better")}
    return Generated(
        told=(
            f"{ground.grid.width} by {ground.grid.height} pixels of generated fields; the east lies under light "
            f"{BRIGHTER:g} times as bright; {better['blocks']} blocks judge. The first champion learned from western "
            f"labels, then the eastern ones arrived. Of all pixels the served map had {right['first']:.1%} right "
            f"before and {right['better']:.1%} after the swap."
        ),
        trials=(
            Trial("The first model", shelf.get(Judgement, first["judgement"]), _truth(first)),
            Trial("A better challenger", shelf.get(Judgement, better["judgement"]), f"{_truth(better)} {swapped}"),
            Trial(
                "A worse challenger",
                shelf.get(Judgement, worse["judgement"]),
                f"The service still answers with number {worse['serves']}. {_truth(worse)}",
            ),
        ),
        pictures=(
            _drawn("The truth", ground.truth, ground),
            _drawn(f"Served before: {right['first']:.1%} right", raster.read(_map(home, "first"))[0], ground),
            _drawn(f"Served after: {right['better']:.1%} right", raster.read(_map(home, "better"))[0], ground),
        ),
    )


@dataclass(frozen=True)
class _Turns:
    """The three chapters, beside a service that runs meanwhile."""

    home: Path
    places: Places
    ground: World
    service: Service

    def first(self) -> Facts:
        """The scene and the western labels arrive; the first model becomes champion and answers."""
        scene = deliver.write_delivery(self.ground, self.home / "deliveries" / SCENE)
        deliver.hand_in(scene, self.places.drop)
        self._deliver_labels(LABELS_WEST, west=True)
        facts = self._turn(_SOUND, better=True)
        service_has(self.service.url, facts["number"])
        return facts | self._answered("first")

    def better(self) -> Facts:
        """The eastern labels arrive; what learns from both is promoted, and the running service takes it up."""
        before, pids = self.service.number, self.service.pids
        self._deliver_labels(LABELS_EAST, west=False)
        facts = self._turn(_SOUND, better=True)
        released = time.monotonic()
        service_has(self.service.url, facts["number"])
        seconds = round(time.monotonic() - released, 2)
        # A killed demo that goes on after the release finds the swap done, or a service that answers with nothing yet.
        seen = before not in (None, facts["number"]) and self.service.pids == pids
        return facts | self._answered("better") | {"swap": {"before": before, "seconds": seconds, "seen": seen}}

    def worse(self) -> Facts:
        """The same ground with a crippled recipe: the gate refuses it, and nothing changes for who asks."""
        facts = self._turn(_CRIPPLED, better=False)
        return facts | self._answered("worse")

    def _deliver_labels(self, name: str, *, west: bool) -> None:
        shapes, labels = self.ground.side(west)
        made = deliver.deliver_labels(self.home / "deliveries" / name, shapes, labels, self.ground.grid.crs)
        deliver.hand_in(made, self.places.drop)

    def _turn(self, experiment: Facts, *, better: bool) -> Facts:
        """Ingests, trains, publishes; refuses an outcome that the known truth contradicts."""
        write_text(self.places.experiment, json.dumps(experiment, indent=1))
        verdicts = [ingest.check(self.places, name) for name in ingest.collect(self.places)]
        refused = [f"{v.delivery}: {' '.join(v.reasons)}" for v in verdicts if not v.accepted]
        version = ingest.track(self.places)
        if refused or version is None:
            raise GeomlError(f"Generated ground was refused. {' '.join(refused)}", f"read {self.places.quarantine}")
        table = train.tabulate(self.places, version.id)
        plans = train.plan(self.places, table.id)
        ids = [plan.id for plan in plans]
        found = [train.evaluate(self.places, ids, family).id for family in train.families(self.places)]
        best = train.choose(self.places, tuple(found))
        entry = publish.register(self.places, publish.export(self.places, best.id).id)
        judgement = publish.judge(self.places, entry.id)
        gap = judgement.difference
        progress.tell(f"      gate: {judgement.outcome}, {gap.value:+.3f} against {judgement.against}")
        if (judgement.outcome == "PROMOTE") != better:
            raise GeomlError(
                f"On generated ground the gate said {judgement.outcome} of {entry.model} {entry.number} "
                f"({gap.value:+.3f}, {gap.n_blocks} blocks).",
                f"read {judgement.id} under {self.places.nouns}",
            )
        publish.release(self.places, judgement.id)
        return {
            "version": version.id,
            "evaluation": best.id,
            "score": best.scores[judgement.metric].value,
            "blocks": plans[0].n_blocks,
            "bundle": entry.bundle,
            "entry": entry.id,
            "number": entry.number,
            "judgement": judgement.id,
            "outcome": judgement.outcome,
            "difference": gap.value,
        }

    def _answered(self, name: str) -> Facts:
        """Has the whole scene mapped over HTTP and compares the map with the truth."""
        scene = next(s for s in Shelf(self.places.nouns).all(Scene) if s.name == SCENE)
        answer = client.classify(self.service.url, self.places.store / scene.file.path, _map(self.home, name))
        right = raster.read(_map(self.home, name))[0] == self.ground.truth
        half = right.shape[1] // 2
        return {
            "serves": int(answer["number"]),
            "prediction": answer["prediction"],
            "right": {
                "all": round(float(right.mean()), 4),
                "west": round(float(right[:, :half].mean()), 4),
                "east": round(float(right[:, half:].mean()), 4),
            },
        }


def _ground() -> World:
    """The landscape: what was learned in the west alone does not hold under the brighter light of the east."""
    world = landscape(*SHAPE, seed=3)
    return replace(world, bands={name: _brighter_east(dn) for name, dn in world.bands.items()})


def _brighter_east(dn: NDArray[np.uint16]) -> NDArray[np.uint16]:
    half, lit = dn.shape[1] // 2, dn.astype(np.float64)
    lit[:, half:] *= BRIGHTER
    return np.clip(np.rint(lit), 1, 20_000).astype(np.uint16)


def _settings(real: Settings, home: Path) -> Settings:
    return real.model_copy(
        update={
            "workspace": home,
            "store": home / "store",
            "remote": str(home / "remote"),
            "drop": home / "drop",
            "model": MODEL,
            "experiment": home / "experiment.yaml",
            "poll_s": 0.5,
        }
    )


def _map(home: Path, name: str) -> Path:
    return home / f"map-{name}.tif"


def _truth(facts: Facts) -> str:
    right = facts["right"]
    return (
        f"Against the truth, what serves now has {right['all']:.1%} of the pixels right: {right['west']:.1%} in the "
        f"west, {right['east']:.1%} in the east."
    )


def _drawn(title: str, codes: NDArray[np.uint8], ground: World) -> Picture:
    png = plots.class_map(codes, list(_COLOURS), list(_SOUND["classes"]), ground.grid, title=title)
    return Picture(png, f"{title}: classes of the generated world")
