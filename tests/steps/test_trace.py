from __future__ import annotations

import shutil
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from geoml_ops.adapters import raster
from geoml_ops.adapters.nouns import Shelf
from geoml_ops.adapters.predictions import MAP, PredictionLog
from geoml_ops.adapters.registry import Release, open_bundle
from geoml_ops.core.errors import BadInput, NotFound
from geoml_ops.core.flow import (
    Entry,
    Evaluation,
    FeatureTable,
    FileRef,
    FoldPlan,
    Judgement,
    Labels,
    Prediction,
    Scene,
    Score,
    Verdict,
    Version,
)  # fmt: skip
from geoml_ops.core.folding import FoldRules
from geoml_ops.platform.files import sha256_of
from geoml_ops.settings import Settings
from geoml_ops.steps import classify, trace
from geoml_ops.steps.places import Places
from tests.answering import APPLICABILITY, CLASSES, CONFORMAL, DECLARED, TOP, WEST, write_bundle, write_raster

SCORE = Score(value=0.6, low=0.5, high=0.7, n_blocks=16)


@pytest.fixture(scope="module")
def turn(tmp_path_factory: pytest.TempPathFactory) -> tuple[Places, Path, Prediction]:
    """One whole turn's nouns, from a scene to a map of it, and a second scene that nothing was made from."""
    home = tmp_path_factory.mktemp("turn")
    places = Settings(workspace=home / "workspace").places()
    shelf = Shelf(places.nouns)
    write_raster(home / "scene.tif")
    grid = raster.describe(home / "scene.tif").grid
    file = FileRef(path="scene.tif", sha256=sha256_of(home / "scene.tif"), size=1)
    said = {"sensor": "sentinel-2-l1c", "baseline": "02.04", "declared": DECLARED, "grid": grid, "bands": ()}
    scene = shelf.put(Scene(name="field", acquired=datetime(2020, 4, 1, tzinfo=UTC), file=file, **said))
    other = file.model_copy(update={"sha256": "e" * 64})
    shelf.put(Scene(name="lonely", acquired=datetime(2020, 5, 1, tzinfo=UTC), file=other, **said))
    labels = shelf.put(
        Labels(name="use", crs="EPSG:32633", bounds=grid.bounds, class_field="f", n_polygons={"forest": 3}, file=file)
    )
    verdict = shelf.put(Verdict(delivery="field", subject=scene.id, accepted=True, checks=()))
    version = shelf.put(
        Version(rev="a" * 40, data="b" * 32 + ".dir", scenes=(scene.id,), labels=(labels.id,), verdicts=(verdict.id,))
    )
    table = shelf.put(
        FeatureTable(
            version=version.id, experiment="e", feature_graph="g", features=("B02",), n_samples={"bare": 5}, file=file
        )
    )
    plans = [
        shelf.put(
            FoldPlan(
                table=table.id, rules=FoldRules(method=method), estimand=estimand, n_folds=5, n_blocks=16,
                halo_px=0,
            )
        )
        for method, estimand in (("block", "a new region"), ("random", "optimism baseline"))
    ]  # fmt: skip
    evaluation = shelf.put(
        Evaluation(
            table=table.id, plan=plans[0].id, optimism_plan=plans[1].id, family="random_forest", params={},
            estimand="a new region", classes=CLASSES, scores={"overall_accuracy": SCORE}, optimism={},
            per_class_f1={}, per_fold=(), confusion=(), predictions=file,
        )
    )  # fmt: skip
    bundle = write_bundle(home / "made", evaluation=evaluation.id)
    shutil.copytree(home / "made", places.bundles / bundle.file.sha256)
    shelf.put(bundle)
    entries = [shelf.put(Entry(bundle=bundle.id, model="landcover", number=n)) for n in (1, 2)]
    shelf.put(
        Judgement(
            challenger=entries[0].id, outcome="PROMOTE", against="no skill", metric="overall_accuracy",
            difference=SCORE, margin=0.01, detectable=0.1, objections=(),
        )
    )  # fmt: skip
    opened = open_bundle(places.bundles, bundle.file.sha256, bundle.id)
    model = classify.load(opened, Release("landcover", 1, bundle.id, bundle.file.sha256))
    prediction = classify.classify(places, home / "scene.tif", model)
    return places, PredictionLog(places.predictions).home(prediction.id) / MAP, prediction


def test_a_pixel_leads_back_to_its_scene(turn: tuple[Places, Path, Prediction], tmp_path: Path) -> None:
    places, path, prediction = turn
    shutil.copy(path, tmp_path / "sent on.tif")
    links = trace.trace(places, tmp_path / "sent on.tif", WEST + 1005, TOP - 1505)
    assert [link.noun.kind for link in links] == [
        "prediction", "bundle", "entry", "judgement", "evaluation", "plan", "plan", "table", "version", "verdict",
        "labels", "scene",
    ]  # fmt: skip
    assert links[0].noun == prediction
    assert "Row 150, column 100" in links[0].sentence
    assert any(name in links[0].sentence for name in CLASSES)
    assert "changed" not in links[0].sentence
    assert next(link.noun.number for link in links if isinstance(link.noun, Entry)) == 1
    assert f"geoml.id = {links[4].noun.id}" in links[4].sentence
    assert "field" in links[-1].sentence
    assert not any("ends here" in link.sentence for link in links)


def test_every_noun_of_the_walk_is_a_parent_of_an_earlier_one(turn: tuple[Places, Path, Prediction]) -> None:
    places, path, _ = turn
    links = trace.trace(places, path, WEST + 1005, TOP - 1505)
    parents = {parent for link in links for parent in link.noun.parents}
    assert {link.noun.id for link in links if link.noun.kind not in ("prediction", "entry", "judgement")} <= parents


def test_a_pixel_without_an_answer_says_so(turn: tuple[Places, Path, Prediction]) -> None:
    places, path, _ = turn
    assert "has no answer" in trace.trace(places, path, WEST + 5, TOP - 5)[0].sentence


def test_a_changed_file_and_a_lost_parent_are_named(turn: tuple[Places, Path, Prediction], tmp_path: Path) -> None:
    places, path, prediction = turn
    (tmp_path / "map.tif").write_bytes(path.read_bytes() + b"\0")
    assert "was changed" in trace.trace(places, tmp_path / "map.tif", WEST + 1005, TOP - 1505)[0].sentence
    shutil.copytree(places.workspace, tmp_path / "moved")
    moved = Settings(workspace=tmp_path / "moved").places()
    shutil.rmtree(moved.nouns / "evaluation")
    links = trace.trace(moved, path, WEST + 1005, TOP - 1505)
    assert "ends here" in next(link.sentence for link in links if link.noun.kind == "bundle")
    shutil.rmtree(moved.nouns / "prediction")
    with pytest.raises(NotFound, match=prediction.id):
        trace.trace(moved, path, WEST + 1005, TOP - 1505)


def test_what_is_no_map_or_lies_outside_is_refused(turn: tuple[Places, Path, Prediction], tmp_path: Path) -> None:
    places, path, _ = turn
    write_raster(tmp_path / "scene.tif")
    with pytest.raises(BadInput, match="no lineage"):
        trace.trace(places, tmp_path / "scene.tif", WEST + 5, TOP - 5)
    with pytest.raises(BadInput, match="outside"):
        trace.trace(places, path, WEST - 5, TOP - 5)


def test_a_scene_leads_on_to_everything_made_from_it(turn: tuple[Places, Path, Prediction]) -> None:
    places, _, prediction = turn
    kinds = [noun.kind for noun in trace.impact(places, "field")]
    assert kinds == [
        "verdict", "version", "table", "plan", "plan", "evaluation", "bundle", "entry", "entry", "judgement",
        "prediction",
    ]  # fmt: skip
    assert trace.impact(places, prediction.scenes[0]) == trace.impact(places, "field")
    assert trace.impact(places, "lonely") == ()
    with pytest.raises(NotFound, match="use one of field, lonely"):
        trace.impact(places, "nowhere")


def test_the_walk_begins_with_how_far_the_pixel_may_be_trusted(tmp_path: Path) -> None:
    """A model that knows its sets and its ground; its walk says so although everything above it is lost."""
    places = Settings(workspace=tmp_path / "workspace").places()
    bundle = write_bundle(tmp_path / "made", 0.001, applicability=APPLICABILITY, conformal=CONFORMAL)
    shutil.copytree(tmp_path / "made", places.bundles / bundle.file.sha256)
    Shelf(places.nouns).put(bundle)
    opened = open_bundle(places.bundles, bundle.file.sha256, bundle.id)
    model = classify.load(opened, Release("landcover", 1, bundle.id, bundle.file.sha256))
    write_raster(tmp_path / "scene.tif")
    prediction = classify.classify(places, tmp_path / "scene.tif", model)
    path = PredictionLog(places.predictions).home(prediction.id) / MAP
    far = raster.read(path)[3]
    for row, col, says in (
        (*np.argwhere((far > 100) & (far < 255))[0], "unlike anything the model learned from"),
        (*np.argwhere(far <= 100)[0], "like what the model learned from"),
    ):
        sentence = trace.trace(places, path, WEST + 10 * col + 5, TOP - 10 * row - 5)[0].sentence
        assert says in sentence
        assert "promised to hold the true class 90% of the time" in sentence
