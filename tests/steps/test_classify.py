from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import rasterio

from geoml_ops.adapters import raster
from geoml_ops.adapters.nouns import Shelf
from geoml_ops.adapters.predictions import MAP, PICTURE, SKETCHES, PredictionLog
from geoml_ops.adapters.registry import Opened, Release, open_bundle
from geoml_ops.core.bands import SENTINEL_2_L1C
from geoml_ops.core.errors import BadInput, NotFound, Refused
from geoml_ops.core.evidence import Region
from geoml_ops.core.flow import Prediction, Scene
from geoml_ops.core.grid import Bounds, Window
from geoml_ops.core.noun import FileRef
from geoml_ops.platform.files import read_json, sha256_of, write_json
from geoml_ops.settings import Settings
from geoml_ops.steps import classify as step
from geoml_ops.steps.places import Places
from tests.answering import APPLICABILITY, BANDS, CONFORMAL, DECLARED, WEST, world, write_bundle, write_raster


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return Settings(workspace=tmp_path / "workspace").places()


@pytest.fixture
def model(places: Places) -> step.Model:
    return loaded(places, 0.01)


def loaded(places: Places, steepness: float, number: int = 1, **knows: Any) -> step.Model:
    bundle = write_bundle(places.workspace / "made", steepness, **knows)
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


def test_a_raster_that_says_it_is_of_another_sensor_is_refused(
    places: Places, model: step.Model, tmp_path: Path
) -> None:
    dn, _, grid = world()
    said = {"GEOML_SENSOR": "sentinel-2-l2a"}
    raster.write_scene(tmp_path / "other.tif", dn, grid, SENTINEL_2_L1C, DECLARED, said)
    with pytest.raises(BadInput, match="says it is of 'sentinel-2-l2a', the model reads sentinel-2-l1c"):
        step.classify(places, tmp_path / "other.tif", model)
    assert not list(Shelf(places.nouns).all(Prediction))


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


# --- what every map carries ------------------------------------------------------------------


def bands_of(places: Places, prediction: Prediction) -> tuple[dict[str, Any], dict[str, str]]:
    path = PredictionLog(places.predictions).home(prediction.id) / MAP
    facts = raster.describe(path)
    return dict(zip(facts.names, raster.read(path), strict=True)), facts.tags


def test_a_map_carries_its_sets_and_what_lies_outside(places: Places, tmp_path: Path) -> None:
    """The small model answers by formulae: green is sigmoid(0.001 * (B08 - B04)), and B02 beyond 800 is outside."""
    model = loaded(places, 0.001, applicability=APPLICABILITY, conformal=CONFORMAL)
    truth = write_raster(tmp_path / "scene.tif")
    prediction = step.classify(places, tmp_path / "scene.tif", model)
    band, tags = bands_of(places, prediction)
    dn, _, _ = world()
    red, blue, nir = (dn[SENTINEL_2_L1C.names.index(name)].astype(float) for name in ("B04", "B02", "B08"))
    known = truth != 255
    green = 1 / (1 + np.exp(-0.001 * (nir - red)))
    in_set = np.stack([(1 - green >= 0.3) | (green < 0.5), (green >= 0.05) | (green >= 0.5)])
    size = in_set.sum(axis=0)
    assert set(np.unique(size[known])) == {1, 2}
    np.testing.assert_array_equal(band["set_size"], np.where(known, size, 255))
    np.testing.assert_array_equal(band["set_1"], np.where(known, in_set[0] + 2 * in_set[1], 255))
    np.testing.assert_array_equal(band["dissimilarity"] > 100, (blue > 800) | ~known)
    percent = np.abs(band["dissimilarity"][known] - np.ceil(blue[known] / 8.005))
    assert percent.max() <= 1
    assert (percent > 0).mean() < 0.05, "only float32 ties differ from exact arithmetic"
    assert np.abs(band["density"][known] - np.maximum(800 - blue[known], 0)).max() <= 1
    assert prediction.outside_share == pytest.approx((blue > 800)[known].mean(), abs=1e-6)
    assert prediction.mean_set_size == pytest.approx(size[known].mean(), abs=1e-6)
    assert (tags["GEOML_THRESHOLD"], tags["GEOML_DISSIMILARITY"]) == ("0.8005", "B02 / 1000, version 1")
    assert (tags["GEOML_COVERAGE"], tags["GEOML_COVERAGE_MEASURED"]) == ("0.9", "0.91")
    assert tags["GEOML_SETS"] == "split-conformal, made up"
    assert json.loads(tags["GEOML_LEGEND"]) == model.bundle.legend
    sketches = read_json(PredictionLog(places.predictions).home(prediction.id) / SKETCHES)
    for tile, (row, col) in enumerate((r, c) for r in (0, 128, 256) for c in (0, 128, 256, 384)):
        here = np.s_[row : row + 128, col : col + 128]
        assert sketches["outside_share"][tile] == pytest.approx((blue > 800)[here][known[here]].mean(), abs=1e-6)


def test_a_region_of_the_ground_has_sets_of_its_own(places: Places, tmp_path: Path) -> None:
    grid = world()[2]
    west = Bounds(left=WEST - 5000, bottom=grid.bounds.bottom, right=WEST + 2000.0, top=grid.top)
    region = Region(
        bounds=west, n_blocks=30, quantiles={"bare": 1.0, "green": 1.0}, measured=CONFORMAL.measured, crs=grid.crs
    )
    model = loaded(places, 0.01, conformal=CONFORMAL.model_copy(update={"regions": (region,)}))
    truth = write_raster(tmp_path / "scene.tif")
    band, tags = bands_of(places, step.classify(places, tmp_path / "scene.tif", model))
    known = truth != 255
    assert (band["set_size"][:, :200][known[:, :200]] == 2).all()
    assert (band["set_size"][:, 200:] == 1).all()
    assert (band["dissimilarity"] == 255).all(), "this model does not know how far anything is"
    assert "GEOML_THRESHOLD" not in tags


def test_a_model_that_knows_only_classes_makes_the_map_it_always_made(places: Places, model: step.Model) -> None:
    write_raster(places.workspace / "scene.tif")
    prediction = step.classify(places, places.workspace / "scene.tif", model)
    band, tags = bands_of(places, prediction)
    assert tuple(band) == ("class", "confidence")
    assert (prediction.outside_share, prediction.mean_set_size) == (None, None)
    assert not {"GEOML_THRESHOLD", "GEOML_COVERAGE"} & set(tags)
    assert "outside_share" not in read_json(PredictionLog(places.predictions).home(prediction.id) / SKETCHES)


def test_a_tile_without_an_answer_has_no_outside_share(places: Places, tmp_path: Path) -> None:
    dn, _, grid = world()
    dn[:, :128, :128] = 0
    raster.write_scene(tmp_path / "scene.tif", dn, grid, SENTINEL_2_L1C, DECLARED)
    prediction = step.classify(places, tmp_path / "scene.tif", loaded(places, 0.01, applicability=APPLICABILITY))
    shares = read_json(PredictionLog(places.predictions).home(prediction.id) / SKETCHES)["outside_share"]
    assert shares[0] is None
    assert all(0 < share < 1 for share in shares[1:])


def test_a_bundle_with_a_threshold_needs_a_graph_that_says_how_far(places: Places, tmp_path: Path) -> None:
    bundle = write_bundle(tmp_path / "made", 0.01)
    claims = bundle.model_copy(update={"applicability": APPLICABILITY})
    opened = Opened(claims, (tmp_path / "made" / "model.onnx").read_bytes(), tmp_path / "made")
    with pytest.raises(Refused, match="does not say how dissimilar"):
        step.load(opened, Release("landcover", 1, claims.id, bundle.file.sha256))


@pytest.mark.parametrize(
    ("key", "value"),
    [("bands", '["B08", "B04", "B03", "B02"]'), ("halo_px", "7"), ("classes", '["green", "bare"]'), ("sensor", "mine")],
)
def test_a_graph_that_says_other_things_of_itself_than_its_bundle_is_refused(
    places: Places, tmp_path: Path, key: str, value: str
) -> None:
    bundle = write_bundle(tmp_path / "made", 0.01)
    model = onnx.load_model_from_string((tmp_path / "made" / "model.onnx").read_bytes())
    truth = {"bands": json.dumps(bundle.bands), "halo_px": "0", "classes": json.dumps(bundle.classes)}
    release = Release("landcover", 1, bundle.id, bundle.file.sha256)
    for told in (truth, truth | {key: value}):
        onnx.helper.set_model_props(model, told)
        opened = Opened(bundle, bytes(model.SerializeToString()), tmp_path / "made")
        if told == truth:
            step.load(opened, release)
    with pytest.raises(Refused, match=f"says {key}"):
        step.load(opened, release)


def test_a_graph_that_says_how_far_without_a_threshold_is_used_without_it(places: Places, tmp_path: Path) -> None:
    bundle = write_bundle(tmp_path / "made", 0.01, applicability=APPLICABILITY)
    older = bundle.model_copy(update={"applicability": None})
    opened = Opened(older, (tmp_path / "made" / "model.onnx").read_bytes(), tmp_path / "made")
    model = step.load(opened, Release("landcover", 1, older.id, bundle.file.sha256))
    write_raster(tmp_path / "scene.tif")
    assert step.classify(places, tmp_path / "scene.tif", model).outside_share is None
    assert model.bundle.bands == BANDS
