"""Gather, compare, decide, summarise against a real registry; killed anywhere and run again."""

import json
from dataclasses import dataclass
from pathlib import Path

import pytest

from geoml_ops.adapters.nouns import Shelf
from geoml_ops.adapters.predictions import SKETCHES, PredictionLog
from geoml_ops.core.bands import SENTINEL_2_L1C
from geoml_ops.core.errors import BadInput
from geoml_ops.core.flow import Bundle, Decision, Drift, Labels, Prediction, Retrain, Scene, Version
from geoml_ops.core.grid import Bounds, Window
from geoml_ops.core.noun import FileRef, digest
from geoml_ops.domain.sketch import Columns
from geoml_ops.platform.files import sha256_of
from geoml_ops.steps import watch
from geoml_ops.steps.places import Places
from tests.answering import publish, write_bundle
from tests.every_noun import any_noun
from tests.ground import BANDS, EAST, GRID, REFERENCE, TILE, WEST, sketch

pytestmark = pytest.mark.slow
COUNT = iter(range(1000))


def of(kind, **fields):
    return any_noun(kind).model_copy(update=fields)


@dataclass
class World:
    places: Places
    shelf: Shelf
    v1: Version
    west: Labels
    scene: Scene
    hour: int = 0

    def serve(self, reference: Columns, steepness: float = 0.01) -> Bundle:
        """Publishes a champion that learned from version 1 and returns its bundle."""
        made = self.places.workspace / "made"
        bundle = write_bundle(made, steepness)
        (made / "reference.json").write_text(json.dumps(reference))
        ref = FileRef(
            path="reference.json",
            sha256=sha256_of(made / "reference.json"),
            size=(made / "reference.json").stat().st_size,
        )
        contract = SENTINEL_2_L1C.subset(BANDS)
        bundle = bundle.model_copy(update={"version": self.v1.id, "reference": ref, "contract": contract})
        (made / "bundle.json").write_text(json.dumps(bundle.as_json()))
        home = self.places.bundles / bundle.file.sha256
        home.parent.mkdir(parents=True, exist_ok=True)
        made.rename(home)
        publish(self.places.tracking_uri, self.places.model, home, bundle)
        return self.shelf.put(bundle)

    def predict(self, bundle: Bundle, name: str, window: Window, shift: float = 0.0) -> Prediction:
        """Logs a prediction of a window, its sketches on disk, as a service does."""
        columns = sketch(window, shift=shift)
        draft = of(
            Prediction,
            bundle=bundle.id,
            graph_sha256=bundle.file.sha256,
            model=self.places.model,
            source_name=name,
            source=FileRef(path="", sha256=digest(name), size=1),
            grid=GRID.inside(window),
            scenes=(),
        )
        text = json.dumps(columns)
        aside = self.places.workspace / "aside.json"
        aside.write_text(text)
        ref = FileRef(path=SKETCHES, sha256=sha256_of(aside), size=len(text))
        prediction = self.shelf.put(draft.model_copy(update={"sketches": ref}))
        log = PredictionLog(self.places.predictions)
        log.home(prediction.id).mkdir(parents=True, exist_ok=True)
        aside.rename(log.home(prediction.id) / SKETCHES)
        self.hour += 1
        log.append(prediction.id, self.scene.acquired.replace(hour=self.hour))
        return prediction

    def deliver(self, name: str, bounds: Bounds) -> Version:
        """Keeps a version that holds one more delivery of labels."""
        labels = self.shelf.put(of(Labels, name=name, bounds=bounds))
        version = self.v1.model_copy(update={"labels": (self.west.id, labels.id), "rev": "c" * 40})
        return self.shelf.put(version)

    def turn(self, version: str = "") -> tuple[Drift | None, Decision, Retrain | None]:
        drift = watch.compare(self.places, watch.gather(self.places))
        return drift, *watch.decide(self.places, drift.id if drift else "", version)


@pytest.fixture
def world(tmp_path: Path, mlflow_server: str) -> World:
    policy = tmp_path / "policies.yaml"
    policy.write_text(f"name: test\ndrift: {{tile_px: {TILE}}}\n")
    places = Places(
        workspace=tmp_path / "ws",
        store=tmp_path / "store",
        remote="",
        drop=tmp_path / "drop",
        tracking_uri=mlflow_server,
        model=f"watch-{next(COUNT)}",
        experiment=tmp_path / "none.yaml",
        policy=policy,
    )
    shelf = Shelf(places.nouns)
    places.workspace.mkdir()
    scene = shelf.put(of(Scene, name="whole", grid=GRID))
    west = shelf.put(of(Labels, name="west", bounds=GRID.inside(WEST).bounds))
    v1 = shelf.put(of(Version, scenes=(scene.id,), labels=(west.id,), verdicts=()))
    return World(places, shelf, v1, west, scene)


def test_the_demos_three_situations_in_turn(world: World) -> None:
    bundle = world.serve(REFERENCE)
    assert watch.gather(world.places) == ()
    drift, decision, _ = world.turn()
    assert (drift, decision.action) == (None, "none")

    a = world.predict(bundle, "like the training ground", WEST)
    assert watch.gather(world.places) == (a.id,)
    drift, decision, retrain = world.turn()
    assert drift.predictions == (a.id,)
    assert (drift.diagnosis.cause, decision.action, retrain) == ("none", "none", None)

    b = world.predict(bundle, "undeclared +1000", WEST, shift=1000)
    drift, decision, retrain = world.turn()
    assert drift.predictions == (b.id,)
    assert (drift.diagnosis.cause, decision.action, decision.fired, retrain) == (
        "undeclared offset",
        "fix ingest",
        False,
        None,
    )

    c = world.predict(bundle, "the east", EAST)
    drift, decision, retrain = world.turn()
    assert drift.predictions == (c.id,)
    assert (drift.diagnosis.cause, decision.action, decision.fired) == ("covariate shift", "collect labels", False)

    v2 = world.deliver("east", GRID.inside(EAST).bounds)
    assert not watch.weighed(world.places, v2.id)
    drift_again, decision, retrain = world.turn(v2.id)
    assert drift_again is None
    assert (decision.action, decision.fired, decision.drift) == ("retrain", True, drift.id)
    assert watch.weighed(world.places, v2.id)
    assert (retrain.version, retrain.decision) == (v2.id, decision.id)
    assert "east" in retrain.because
    assert world.shelf.get(Retrain, retrain.id).parents == (decision.id, v2.id)


def test_asked_again_it_says_the_same_and_trains_once(world: World) -> None:
    bundle = world.serve(REFERENCE)
    world.predict(bundle, "the east", EAST)
    drift, first, _ = world.turn()
    v2 = world.deliver("east", GRID.inside(EAST).bounds)
    _, fired, retrain = world.turn(v2.id)
    for _ in range(2):
        assert watch.compare(world.places, drift.predictions) == drift
        assert watch.decide(world.places, drift.id, v2.id) == (fired, retrain)
        assert watch.decide(world.places, "", "") == (fired, retrain)
    world.predict(bundle, "more of the east", Window(col=EAST.col, row=0, width=EAST.width, height=6 * TILE))
    later, decision, again = world.turn(v2.id)
    assert later.id != drift.id
    assert (decision.fired, again) == (False, None)
    assert retrain.id in decision.because
    assert [d.id for d in world.shelf.all(Retrain)] == [retrain.id]
    assert len(list(world.places.evidently.rglob("snapshots/*.json"))) == 2
    assert {d.id for d in world.shelf.all(Decision)} == {first.id, fired.id, decision.id}


def test_an_answered_event_is_not_given_out_again(world: World) -> None:
    bundle = world.serve(REFERENCE)
    world.predict(bundle, "the east", EAST)
    world.turn()
    v2 = world.deliver("east", GRID.inside(EAST).bounds)
    _, fired, retrain = world.turn(v2.id)
    assert retrain is not None
    world.shelf.put(of(Bundle, version=v2.id))
    assert watch.decide(world.places, "", v2.id) == (fired, None)


def test_killed_between_comparing_and_deciding_nothing_is_lost(world: World) -> None:
    bundle = world.serve(REFERENCE)
    world.predict(bundle, "the east", EAST)
    drift = watch.compare(world.places, watch.gather(world.places))
    world.predict(bundle, "like the training ground", WEST)
    again, decision, _ = world.turn()
    assert again == drift
    assert decision.drift == drift.id
    calm, decision, _ = world.turn()
    assert (calm.diagnosis.cause, decision.drift) == ("none", calm.id)


def test_a_torn_line_and_a_strange_id_in_the_log_stop_nothing(world: World) -> None:
    bundle = world.serve(REFERENCE)
    a = world.predict(bundle, "one", WEST)
    (day,) = (world.places.predictions / "log").glob("*.jsonl")
    with day.open("a") as stream:
        stream.write('{"at": "2017-02-16T10:00:00+00:00", "id": "../../etc/passwd"}\n')
        stream.write('{"at": "2017-02-16T10:00:00+00:00", "id": "prediction-00000000000000ff"}\n')
        stream.write('{"at": "2017-02-16T10:00:00+00:00", "id": "predic')
    assert watch.gather(world.places) == (a.id,)
    b = world.predict(bundle, "two", EAST)
    assert watch.gather(world.places) == (a.id, b.id)


def test_evidence_that_was_altered_or_is_gone_is_never_good(world: World) -> None:
    bundle = world.serve(REFERENCE)
    a = world.predict(bundle, "one", WEST)
    path = world.places.predictions / a.id / SKETCHES
    path.write_text(path.read_text().replace("1", "2", 1))
    assert watch.compare(world.places, (a.id,)).diagnosis.cause == "cannot tell"
    path.unlink()
    drift = watch.compare(world.places, (a.id,))
    assert (drift.diagnosis.cause, drift.n_current) == ("cannot tell", 0)
    assert a.id in drift.diagnosis.sentence
    assert watch.decide(world.places, drift.id, "")[0].action == "look"


def test_a_champion_without_reference_is_not_compared(world: World) -> None:
    bundle = world.serve({})
    world.predict(bundle, "one", WEST)
    drift, decision, _ = world.turn()
    assert (drift.diagnosis.cause, decision.action) == ("no reference", "look")
    # Nothing was compared, but the scene has its place in the history that Evidently shows.
    assert drift.statistics == ()
    assert len(list(world.places.evidently.rglob("snapshots/*.json"))) == 1


def test_the_first_version_trains_and_then_the_champions_change_starts_afresh(world: World) -> None:
    _, decision, retrain = world.turn(world.v1.id)
    assert (decision.fired, decision.champion, retrain.version) == (True, "", world.v1.id)
    bundle = world.serve(REFERENCE)
    old = world.predict(bundle, "the east", EAST)
    world.turn()
    successor = world.serve(REFERENCE, steepness=0.02)
    assert watch.gather(world.places) == ()
    new = world.predict(successor, "west", WEST)
    assert watch.gather(world.places) == (new.id,)
    with pytest.raises(BadInput, match="several bundles"):
        watch.compare(world.places, (old.id, new.id))


def test_the_dashboard_is_whole_and_points_nowhere(world: World) -> None:
    watch.summarise(world.places)
    assert "none yet" in (world.places.dashboard / "index.html").read_text()
    bundle = world.serve(REFERENCE)
    world.predict(bundle, "undeclared +1000", WEST, shift=1000)
    drift, decision, _ = world.turn()
    watch.summarise(world.places)
    text = (world.places.dashboard / "index.html").read_text()
    assert all(word in text for word in ("undeclared offset", "fix ingest", "uncalibrated", drift.id, decision.id))
    assert "http://" not in text
    assert "https://" not in text
    state = json.loads((world.places.dashboard / "state.json").read_text())
    assert state["drifts"][0]["id"] == drift.id
    assert state["calibrated"] is False
