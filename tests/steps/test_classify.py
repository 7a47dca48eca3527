from __future__ import annotations

import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio

from geoml_ops.adapters import raster
from geoml_ops.adapters.nouns import Shelf
from geoml_ops.adapters.predictions import MAP, PICTURE, SKETCHES, PredictionLog
from geoml_ops.adapters.registry import Release, open_bundle
from geoml_ops.core.bands import SENTINEL_2_L1C
from geoml_ops.core.errors import BadInput, NotFound, Refused
from geoml_ops.core.flow import Prediction, Scene
from geoml_ops.core.grid import Window
from geoml_ops.core.noun import FileRef
from geoml_ops.platform.files import sha256_of, write_json
from geoml_ops.settings import Settings
from geoml_ops.steps import classify as step
from geoml_ops.steps.places import Places
from tests.answering import DECLARED, world, write_bundle, write_raster


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return Settings(workspace=tmp_path / "workspace").places()


@pytest.fixture
def model(places: Places) -> step.Model:
    return loaded(places, 0.01)


def loaded(places: Places, steepness: float, number: int = 1) -> step.Model:
    bundle = write_bundle(places.workspace / "made", steepness)
    shutil.copytree(places.workspace / "made", places.bundles / bundle.file.sha256, dirs_exist_ok=True)
    release = Release("landcover", number, bundle.id, bundle.file.sha256)
    return step.load(open_bundle(places.bundles, bundle.file.sha256, bundle.id), release)


def keep_scene(places: Places, path: Path) -> Scene:
    return Shelf(places.nouns).put(
        Scene(
            name="field",
            sensor="sentinel-2-l1c",
            acquired=datetime(2020, 4, 1, 10, tzinfo=UTC),
            baseline="02.04",
            declared=DECLARED,
            grid=raster.describe(path).grid,
            bands=(),
            file=FileRef(path="data/scenes/field/scene.tif", sha256=sha256_of(path), size=path.stat().st_size),
        )
    )


def files_of(places: Places, prediction: Prediction) -> dict[str, str]:
    home = PredictionLog(places.predictions).home(prediction.id)
    return {name: sha256_of(home / name) for name in (MAP, SKETCHES, PICTURE)}


def test_the_map_is_the_truth_and_the_noun_tells_of_it(places: Places, model: step.Model, tmp_path: Path) -> None:
    truth = write_raster(tmp_path / "scene.tif")
    prediction = step.classify(places, tmp_path / "scene.tif", model, name="field")
    np.testing.assert_array_equal(raster.read(PredictionLog(places.predictions).home(prediction.id) / MAP)[0], truth)
    assert prediction.map.sha256 == files_of(places, prediction)[MAP]
    assert sum(prediction.class_shares.values()) == pytest.approx(1, abs=1e-5)
    assert Shelf(places.nouns).get(Prediction, prediction.id) == prediction
    assert [line.id for line in PredictionLog(places.predictions).lines()] == [prediction.id]


@pytest.mark.parametrize("lost", ["all", "log", "noun", MAP, SKETCHES, PICTURE])
def test_killed_anywhere_and_asked_again_the_answer_is_the_same(
    places: Places, model: step.Model, tmp_path: Path, lost: str
) -> None:
    write_raster(tmp_path / "scene.tif")
    first = step.classify(places, tmp_path / "scene.tif", model)
    files = files_of(places, first)
    home = PredictionLog(places.predictions).home(first.id)
    if lost == "noun":
        Shelf(places.nouns).path_of(first.id).unlink()
    elif lost in ("log", "all"):
        shutil.rmtree(places.predictions / "log" if lost == "log" else places.workspace / "nouns")
    else:
        (home / lost).unlink()
    assert step.classify(places, tmp_path / "scene.tif", model) == first
    assert files_of(places, first) == files
    assert [line.id for line in PredictionLog(places.predictions).lines()] == [first.id]


def test_another_number_or_another_raster_is_another_prediction(
    places: Places, model: step.Model, tmp_path: Path
) -> None:
    write_raster(tmp_path / "a.tif")
    write_raster(tmp_path / "b.tif", seed=1)
    ids = {step.classify(places, tmp_path / f"{n}.tif", model).id for n in "ab"}
    ids.add(step.classify(places, tmp_path / "a.tif", loaded(places, 0.01, number=2)).id)
    assert len(ids) == 3


def test_a_stored_scene_and_a_crop_of_it_know_their_scene(places: Places, model: step.Model, tmp_path: Path) -> None:
    write_raster(tmp_path / "scene.tif")
    scene = keep_scene(places, tmp_path / "scene.tif")
    whole = step.classify(places, tmp_path / "scene.tif", model)
    assert (whole.scenes, whole.source_name) == ((scene.id,), "field")
    dn, _, grid = world()
    window = Window(col=50, row=60, width=120, height=90)
    for said, expected in (("field", (scene.id,)), (scene.id, (scene.id,)), ("other", ())):
        crop = tmp_path / f"{said}.tif"
        tags = {"GEOML_SCENES": said}
        raster.write_scene(crop, dn[:, *window.slices()], grid.inside(window), SENTINEL_2_L1C, DECLARED, tags)
        assert step.classify(places, crop, model).scenes == expected


def test_a_claim_about_other_ground_does_not_count(places: Places, model: step.Model, tmp_path: Path) -> None:
    write_raster(tmp_path / "scene.tif")
    keep_scene(places, tmp_path / "scene.tif")
    dn, _, grid = world()
    away = grid.model_copy(update={"left": grid.left + 50_000})
    raster.write_scene(tmp_path / "away.tif", dn, away, SENTINEL_2_L1C, DECLARED, {"GEOML_SCENES": "field"})
    assert step.classify(places, tmp_path / "away.tif", model).scenes == ()


def test_nothing_is_kept_of_what_is_refused(places: Places, model: step.Model, tmp_path: Path) -> None:
    dn, _, grid = world()
    raster.write_scene(tmp_path / "empty.tif", dn * 0, grid, SENTINEL_2_L1C, DECLARED)
    with pytest.raises(BadInput, match="None of the 120000 pixels"):
        step.classify(places, tmp_path / "empty.tif", model)
    assert not list(places.workspace.rglob("prediction-*"))
    assert list(PredictionLog(places.predictions).lines()) == []


def test_the_map_carries_its_way_back(places: Places, model: step.Model, tmp_path: Path) -> None:
    write_raster(tmp_path / "scene.tif")
    prediction = step.classify(places, tmp_path / "scene.tif", model)
    with rasterio.open(PredictionLog(places.predictions).home(prediction.id) / MAP) as source:
        tags = source.tags()
    expected: dict[str, Any] = {
        "GEOML_PREDICTION": prediction.id,
        "GEOML_BUNDLE": model.bundle.id,
        "GEOML_GRAPH_SHA256": model.bundle.file.sha256,
        "GEOML_MODEL": "landcover",
        "GEOML_NUMBER": "1",
        "GEOML_VERSION": model.bundle.version,
        "GEOML_EVALUATION": model.bundle.evaluation,
        "GEOML_SOURCE_SHA256": prediction.source.sha256,
    }
    assert {key: tags[key] for key in expected} == expected


def test_a_start_without_registry_needs_the_whole_bundle(places: Places, model: step.Model) -> None:
    with pytest.raises(NotFound, match="No model has served"):
        step.last_champion(places)
    write_json(places.workspace / "service" / "champion.json", vars(model.release))
    assert step.last_champion(places).release == model.release
    graph = places.bundles / model.bundle.file.sha256 / "model.onnx"
    graph.write_bytes(graph.read_bytes()[:-1] + b"\0")
    with pytest.raises(Refused, match="altered"):
        step.last_champion(places)
