"""From a fitted model to the champion, on a real tracking server and a real store."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pytest
import shapely
import yaml
from scipy.spatial.distance import cdist

from geoml_ops.adapters.dvc import Store
from geoml_ops.adapters.mlflow import Tracking
from geoml_ops.adapters.nouns import Shelf
from geoml_ops.adapters.onnx import feature_graph
from geoml_ops.adapters.ort import Graph
from geoml_ops.adapters.raster import read, write_scene
from geoml_ops.adapters.registry import Registry, open_bundle
from geoml_ops.core.bands import SENTINEL_2_L1C, Radiometry, to_contract
from geoml_ops.core.errors import BadInput, Conflict, NotFound, Refused
from geoml_ops.core.evidence import Applicability, Conformal
from geoml_ops.core.experiment import Uncertainty
from geoml_ops.core.flow import (
    BandSource,
    Bundle,
    Entry,
    Evaluation,
    FeatureTable,
    FoldPlan,
    Judgement,
    Labels,
    Scene,
    Version,
)
from geoml_ops.core.grid import Bounds, Grid
from geoml_ops.core.noun import FileRef
from geoml_ops.domain.folds import materialise
from geoml_ops.platform.files import sha256_of
from geoml_ops.steps import bundles, publish, train, verdicts
from geoml_ops.steps.applying import area_of
from geoml_ops.steps.experiments import experiment_of
from geoml_ops.steps.models import open_model
from geoml_ops.steps.places import Places
from geoml_ops.steps.samples import Tabled, open_table
from tests.pages import read as read_page

GRID = Grid(crs="EPSG:32633", left=390000.0, top=5830000.0, pixel_m=10.0, width=256, height=192)
DECLARED = Radiometry(scale=1e-4, offset_dn=-1000.0)
FIELD_PX = 12
CLASSES = ("bare", "green", "wet")
LEVELS = np.array([[1500, 1800, 2200], [800, 900, 4000], [600, 400, 250]], dtype=np.float64)
EXPERIMENT = {
    "name": "three",
    "sensor": "sentinel-2-l1c",
    "features": ["B04", "B08", "NDVI", "NDMI"],
    "classes": {
        name: {"labels": [name], "colour": f"#00000{i}", "value": (211, 112, None)[i]} for i, name in enumerate(CLASSES)
    },
    "sampling": {"per_polygon": 12, "seed": 0},
    "folds": {"block_m": 400.0, "buffer_m": 20.0, "n_folds": 4, "seed": 0},
    "families": {"random_forest": {"n_estimators": 25, "max_depth": 6}, "xgboost": {"n_estimators": 12}},
    "uncertainty": {"most_references": 4000},
}


def fields() -> tuple[np.ndarray, list[shapely.Polygon], list[str]]:
    """Square fields: class of every pixel, and the fields' polygons with their names."""
    rng = np.random.default_rng(4)
    codes = rng.integers(0, 3, (GRID.height // FIELD_PX, GRID.width // FIELD_PX + 1))
    pixels = codes.repeat(FIELD_PX, 0).repeat(FIELD_PX, 1)[:, : GRID.width]
    shapes, names = [], []
    for row, col in np.ndindex(codes.shape[0], GRID.width // FIELD_PX):
        left, top = GRID.left + col * FIELD_PX * 10 + 10, GRID.top - row * FIELD_PX * 10 - 10
        shapes.append(shapely.box(left, top - (FIELD_PX - 2) * 10, left + (FIELD_PX - 2) * 10, top))
        names.append(CLASSES[codes[row, col]])
    return pixels, shapes, names


def imagery(pixels: np.ndarray) -> np.ndarray:
    """Delivered DN of 13 bands under an offset of -1000, with a strip that was never observed."""
    rng = np.random.default_rng(5)
    layer = {"B04": 0, "B08": 2}
    dn = np.stack([LEVELS[pixels, layer.get(name, 1)] for name in SENTINEL_2_L1C.names])
    dn = dn + rng.normal(0, 450, dn.shape) + 1000
    dn[:, :, :5] = 0
    return np.clip(dn, 0, 65535).astype(np.uint16)


@dataclass(frozen=True)
class World:
    places: Places
    first: Version
    second: Version

    def chosen(self, version: Version, family: str) -> Evaluation:
        table = train.tabulate(self.places, version.id)
        plans = train.plan(self.places, table.id)
        found = train.evaluate(self.places, (plans[0].id, plans[1].id), family)
        return train.choose(self.places, (found.id,))


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, mlflow_server: str) -> World:
    home = tmp_path_factory.mktemp("publish")
    (home / "experiment.yaml").write_text(yaml.safe_dump(EXPERIMENT))
    (home / "policy.yaml").write_text(yaml.safe_dump({"name": "small", "drift": {"tile_px": 64}}))
    places = Places(
        workspace=home / "workspace",
        store=home / "store",
        remote=str(home / "remote"),
        drop=home / "drop",
        tracking_uri=mlflow_server,
        model=f"publish-{home.name}",
        experiment=home / "experiment.yaml",
        policy=home / "policy.yaml",
    )
    pixels, shapes, names = fields()
    store, shelf = Store(places.store, places.remote), Shelf(places.nouns)
    with store.lock():
        path = store.data / "scenes" / "one" / "scene.tif"
        write_scene(path, imagery(pixels), GRID, SENTINEL_2_L1C, DECLARED)
        scene = shelf.put(_scene(path))
        west = [shape.bounds[2] < GRID.left + 1400 for shape in shapes]
        versions = []
        for number, keep in enumerate((west, [not w for w in west])):
            labels = shelf.put(_labels(store.data, f"part{number}", shapes, names, keep))
            rev, pinned = store.save(f"part {number}", 1487240461 + number)
            earlier = versions[-1].labels if versions else ()
            version = Version(rev=rev, data=pinned, scenes=(scene.id,), labels=(*earlier, labels.id), verdicts=())
            versions.append(shelf.put(version))
    return World(places, versions[0], versions[1])


def _ref(path: Path, data: Path) -> FileRef:
    return FileRef(path=f"data/{path.relative_to(data)}", sha256=sha256_of(path), size=path.stat().st_size)


def _scene(path: Path) -> Scene:
    file = _ref(path, path.parent.parent.parent)
    return Scene(
        name="one", sensor="sentinel-2-l1c", acquired=datetime(2022, 6, 1, 10, tzinfo=UTC), baseline="04.00",
        declared=DECLARED, grid=GRID, file=file,
        bands=tuple(BandSource(name=n, file=file, gsd_m=10.0, resampling="none") for n in SENTINEL_2_L1C.names),
    )  # fmt: skip


def _labels(data: Path, name: str, shapes: list[shapely.Polygon], names: list[str], keep: list[bool]) -> Labels:
    path = data / "labels" / name / "labels.gpkg"
    path.parent.mkdir(parents=True)
    kept = [(shape, label) for shape, label, k in zip(shapes, names, keep, strict=True) if k]
    frame = gpd.GeoDataFrame({"kind": [label for _, label in kept]}, geometry=[s for s, _ in kept], crs=GRID.crs)
    frame.to_file(path, driver="GPKG")
    left, bottom, right, top = (float(v) for v in frame.total_bounds)
    return Labels(
        name=name, crs=GRID.crs, bounds=Bounds(left=left, bottom=bottom, right=right, top=top), class_field="kind",
        n_polygons={c: sum(label == c for _, label in kept) for c in CLASSES}, file=_ref(path, data),
    )  # fmt: skip


@pytest.fixture(scope="module")
def forest(world: World) -> Evaluation:
    return world.chosen(world.first, "random_forest")


@pytest.fixture(scope="module")
def bundle(world: World, forest: Evaluation) -> Bundle:
    return publish.export(world.places, forest.id)


@pytest.fixture(scope="module")
def entry(world: World, bundle: Bundle) -> Entry:
    return publish.register(world.places, bundle.id)


@pytest.fixture(scope="module")
def champion(world: World, entry: Entry) -> Entry:
    released = publish.release(world.places, publish.judge(world.places, entry.id).id)
    assert released is not None
    return released


def folder_of(world: World, bundle: Bundle) -> Path:
    return world.places.bundles / bundle.file.sha256


def scene_dn(world: World, names: tuple[str, ...]) -> np.ndarray:
    contract = SENTINEL_2_L1C.subset(names)
    path = world.places.store / "data" / "scenes" / "one" / "scene.tif"
    positions = [SENTINEL_2_L1C.names.index(name) for name in names]
    return to_contract(read(path, bands=positions), DECLARED, contract)


@pytest.mark.parametrize("family", ["random_forest", "xgboost"])
def test_the_bundle_answers_for_the_whole_scene_as_the_fitted_model(world: World, family: str) -> None:
    evaluation = world.chosen(world.first, family)
    made = publish.export(world.places, evaluation.id)
    assert made.parity.passed
    dn = scene_dn(world, made.bands)
    answer = Graph((folder_of(world, made) / "model.onnx").read_bytes()).run(dn[None])
    columns = Graph(feature_graph(made.features, made.contract)).features(dn[None])[0]
    rows = np.ascontiguousarray(columns.reshape(len(made.features), -1).T)
    exists = np.isfinite(rows).all(axis=1)
    expected = open_model(world.places, evaluation).probability(rows[exists])
    found = answer.probability[0].reshape(3, -1).T
    assert np.abs(found[exists] - expected).max() < 1e-5
    assert not found[~exists].any()
    assert np.array_equal(answer.valid[0, 0].ravel(), exists)
    assert not answer.valid[0, 0, :, :5].any()


def test_the_folder_holds_all_that_a_service_and_a_person_need(world: World, bundle: Bundle) -> None:
    folder = folder_of(world, bundle)
    names = {"model.onnx", "golden.tiles", "bundle.json", "reference.json", "card.html", "item.json", "speed.json"}
    assert {path.name for path in folder.iterdir()} == names
    assert open_bundle(world.places.bundles, bundle.file.sha256, bundle.id).bundle == bundle
    assert bundle.bands == ("B04", "B08", "B11")
    assert bundle.colours == ("#000000", "#000001", "#000002")
    said = Graph((folder / "model.onnx").read_bytes()).metadata
    assert said["version"] == world.first.id
    assert json.loads(said["colours"]) == list(bundle.colours)
    told = [(code, value, CLASSES[code], f"#00000{code}") for code, value in enumerate((211, 112, None))]
    legend = [dict(zip(("code", "value", "name", "colour"), entry, strict=True)) for entry in told]
    assert json.loads(said["legend"]) == bundle.legend == legend
    assert bundle.evaluation in (folder / "card.html").read_text()
    item = json.loads((folder / "item.json").read_text())
    assert item["assets"]["model"]["file:checksum"] == f"1220{bundle.file.sha256}"
    assert item["properties"]["geoml:legend"] == legend


def test_the_reference_is_the_ground_that_has_samples_and_no_other(world: World, bundle: Bundle) -> None:
    columns = json.loads((folder_of(world, bundle) / "reference.json").read_text())
    # Labels of the first version end 1,400 m from the western edge: tiles of 640 m, three columns of three.
    assert len(columns["easting"]) == 9
    assert max(columns["easting"]) < GRID.left + 1920
    assert {"B04:mean", "class:wet", "confidence", "edge_density", "valid_share"} <= set(columns)
    dn = scene_dn(world, bundle.bands)[:, :64, 64:128]
    tile = columns["easting"].index(GRID.left + 960)
    assert columns["B04:mean"][tile] == pytest.approx(
        dn[0][np.isfinite(dn).all(axis=0)].mean(dtype=np.float64), rel=1e-9
    )
    assert sum(columns[f"class:{name}"][tile] for name in CLASSES) == pytest.approx(1.0)


def sampled(world: World, evaluation: Evaluation) -> Tabled:
    return open_table(world.places, Shelf(world.places.nouns).get(FeatureTable, evaluation.table))


def test_the_bundle_says_where_it_may_be_asked_from_the_folds_of_its_own_accuracy(
    world: World, forest: Evaluation, bundle: Bundle
) -> None:
    area, tabled = bundle.applicability, sampled(world, forest)
    assert area is not None
    assert area.plan == forest.plan
    assert area.n_samples == len(tabled.samples)
    assert set(area.weights) == set(bundle.features)
    assert max(area.weights.values()) == 1.0
    # The definition once more, from the folds and the importances of the evaluation.
    plan = Shelf(world.places.nouns).get(FoldPlan, forest.plan)
    values = tabled.features.astype(np.float64)
    z = (values - values.mean(axis=0)) / values.std(axis=0, ddof=1) * [area.weights[n] for n in bundle.features]
    own = [cdist(z[test], z[train]).min(axis=1) for train, test in materialise(plan, tabled.samples)]
    own = np.concatenate(own) / area.mean_distance
    low, high = np.quantile(own, [0.25, 0.75])
    assert area.threshold == pytest.approx(min(high + 1.5 * (high - low), own.max()), rel=1e-6)
    assert area.outside_share == pytest.approx((own > area.threshold * (1 + 1e-8)).mean())
    said = Graph((folder_of(world, bundle) / "model.onnx").read_bytes()).metadata
    assert Applicability.model_validate_json(said["applicability"]) == area


def test_its_own_samples_are_inside_and_land_unlike_any_is_not(
    world: World, forest: Evaluation, bundle: Bundle
) -> None:
    area, keys = bundle.applicability, sampled(world, forest).keys
    assert area is not None
    dn = scene_dn(world, bundle.bands)
    dn[:, 100:110, 200:210] = np.array([9000, 9000, 100], dtype=np.float32)[:, None, None]
    answer = Graph((folder_of(world, bundle) / "model.onnx").read_bytes()).run(dn[None])
    assert answer.dissimilarity is not None
    assert answer.density is not None
    far, near = answer.dissimilarity[0, 0], answer.density[0, 0]
    assert far[keys["row"], keys["col"]].max() < 2e-6
    assert near[keys["row"], keys["col"]].min() >= 1
    assert (far[100:110, 200:210] > area.threshold).all()
    assert not near[100:110, 200:210].any()
    silent = ~answer.valid[0, 0]
    assert silent[:, :5].all()
    assert np.array_equal(np.isnan(far), silent)
    assert np.array_equal(np.isnan(near), silent)
    assert (far[~silent] <= area.threshold).mean() > 0.6


def test_the_bundle_knows_its_sets_of_classes_and_its_graph_says_them_too(
    world: World, forest: Evaluation, bundle: Bundle
) -> None:
    sets = bundle.conformal
    assert sets is not None
    assert (sets.plan, sets.coverage) == (forest.plan, 0.9)
    assert set(sets.quantiles) == set(CLASSES)
    said = Graph((folder_of(world, bundle) / "model.onnx").read_bytes()).metadata
    assert Conformal.model_validate_json(said["conformal"]) == sets


def test_thinned_references_are_told_and_leave_threshold_and_caution_as_they_were(
    world: World, forest: Evaluation, bundle: Bundle
) -> None:
    whole = bundle.applicability
    assert whole is not None
    tabled = sampled(world, forest)
    experiment = experiment_of(
        world.places, Shelf(world.places.nouns).get(FeatureTable, forest.table).experiment
    ).model_copy(update={"uncertainty": Uncertainty(most_references=20)})
    few = area_of(world.places, forest, experiment, tabled, bundle.features)
    assert few.noun.n_references == 20
    assert few.noun.threshold == whole.threshold
    assert few.lost_share is not None
    assert "20 of" in few.noun.definition


def test_an_evaluation_of_before_importances_were_kept_weighs_all_features_the_same(
    world: World, forest: Evaluation
) -> None:
    tabled = sampled(world, forest)
    experiment = experiment_of(world.places, Shelf(world.places.nouns).get(FeatureTable, forest.table).experiment)
    names = EXPERIMENT["features"]
    for importance in ({}, dict.fromkeys(names, -0.01)):
        old = forest.model_copy(update={"importance": importance})
        area = area_of(world.places, old, experiment, tabled, names)
        assert set(area.noun.weights.values()) == {1.0}
        assert "equal weights" in area.noun.definition


def test_exporting_again_makes_nothing_new_and_a_lost_or_altered_folder_comes_back_the_same(
    world: World, forest: Evaluation, bundle: Bundle
) -> None:
    folder, shelf = folder_of(world, bundle), Shelf(world.places.nouns)
    before = (folder / "model.onnx").stat().st_mtime_ns
    assert publish.export(world.places, forest.id).id == bundle.id
    assert (folder / "model.onnx").stat().st_mtime_ns == before
    # Killed after the folder appeared, before its noun was kept.
    shelf.path_of(bundle.id).unlink()
    assert publish.export(world.places, forest.id).id == bundle.id
    (folder / "model.onnx").write_bytes(b"altered")
    assert publish.export(world.places, forest.id).id == bundle.id
    assert sha256_of(folder / "model.onnx") == bundle.file.sha256
    assert len([b for b in shelf.all(Bundle) if b.evaluation == forest.id]) == 1


def test_a_graph_that_answers_otherwise_than_its_model_leaves_no_bundle(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluation = world.chosen(world.second, "xgboost")
    stranger = open_model(world.places, world.chosen(world.first, "xgboost")).estimator
    monkeypatch.setattr(bundles, "fastest", lambda _, *asked, real=bundles.fastest: real(stranger, *asked))
    before = set(world.places.bundles.iterdir())
    with pytest.raises(Refused, match=r"does not answer as the fitted model does.*clean"):
        publish.export(world.places, evaluation.id)
    assert set(world.places.bundles.iterdir()) == before


def test_a_graph_that_measures_to_other_samples_leaves_no_bundle(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    evaluation = world.chosen(world.second, "xgboost")

    def moved(*args: Any, real: Callable[..., bytes] = bundles.bundle_graph) -> bytes:
        *others, references = args
        return real(*others, replace(references, rows=references.rows * 1.01))

    monkeypatch.setattr(bundles, "bundle_graph", moved)
    before = set(world.places.bundles.iterdir())
    with pytest.raises(Refused, match=r"does not answer as the fitted model does.*dissimilarity"):
        publish.export(world.places, evaluation.id)
    assert set(world.places.bundles.iterdir()) == before


def test_an_evaluation_that_was_never_chosen_has_no_model_to_export(world: World) -> None:
    table = train.tabulate(world.places, world.first.id)
    plans = train.plan(world.places, table.id)
    known = train.evaluate(world.places, (plans[0].id, plans[1].id), "random_forest")
    stranger = Shelf(world.places.nouns).put(known.model_copy(update={"params": {"n_estimators": 3}}))
    with pytest.raises(NotFound, match="train choose"):
        publish.export(world.places, stranger.id)


def test_registering_twice_is_registering_once(world: World, bundle: Bundle, entry: Entry) -> None:
    tracking = Tracking(world.places.tracking_uri)
    assert publish.register(world.places, bundle.id) == entry
    assert tracking.number_of(world.places.model, bundle.id) == entry.number
    tags = tracking.tags_of(entry.model, entry.number)
    assert tags["geoml.id"] == bundle.id
    assert tags["geoml.graph_sha256"] == bundle.file.sha256


def test_a_registration_killed_before_its_alias_gets_it_on_the_next_try(world: World) -> None:
    places = replace(world.places, model=f"{world.places.model}-kill")
    made = publish.export(places, world.chosen(world.first, "xgboost").id)
    tracking = Tracking(places.tracking_uri)
    entry = publish.register(places, made.id)
    assert tracking.alias_of(places.model, "challenger") == entry.number
    tracking.drop_alias(places.model, "challenger")
    assert publish.register(places, made.id) == entry
    assert tracking.alias_of(places.model, "challenger") == entry.number


def test_what_the_registry_holds_is_the_bundle(world: World, champion: Entry, bundle: Bundle, tmp_path: Path) -> None:
    with Registry(world.places.tracking_uri) as registry:
        release = registry.release(world.places.model, "champion")
        opened = registry.fetch(release, tmp_path)
    assert (release.number, release.bundle) == (champion.number, bundle.id)
    assert opened.bundle == bundle


def test_mlflows_own_tools_can_read_what_was_registered(world: World, entry: Entry, bundle: Bundle) -> None:
    import mlflow
    import mlflow.onnx

    mlflow.set_tracking_uri(world.places.tracking_uri)
    model = mlflow.onnx.load_model(f"models:/{entry.model}/{entry.number}")
    assert model.SerializeToString(deterministic=True) == (folder_of(world, bundle) / "model.onnx").read_bytes()
    info = mlflow.models.get_model_info(f"models:/{entry.model}/{entry.number}")
    assert info.signature.inputs.input_names() == ["dn"]
    assert info.signature.outputs.input_names() == ["probability", "valid", "dissimilarity", "density"]


def test_the_first_model_is_judged_against_no_skill_and_becomes_champion_once(
    world: World, entry: Entry, champion: Entry, bundle: Bundle
) -> None:
    places, tracking = world.places, Tracking(world.places.tracking_uri)
    judgement = publish.judge(places, entry.id)
    assert (judgement.champion, judgement.against, judgement.outcome) == ("", "no-skill baseline", "PROMOTE")
    assert champion == entry
    assert publish.release(places, judgement.id) == entry
    assert tracking.alias_of(places.model, "champion") == entry.number
    assert tracking.alias_of(places.model, "previous_champion") is None
    assert tracking.tags_of(places.model, entry.number)["geoml.outcome"] == "PROMOTE"
    assert judgement.id in (folder_of(world, bundle) / "card.html").read_text()


def test_a_later_model_is_judged_against_the_champion_on_the_same_folds(world: World, champion: Entry) -> None:
    made = publish.export(world.places, world.chosen(world.second, "random_forest").id)
    entry = publish.register(world.places, made.id)
    judgement = publish.judge(world.places, entry.id)
    assert judgement.champion == champion.id
    assert judgement.against == f"{champion.model} {champion.number}, refitted in the same folds"
    assert judgement.difference.n_blocks >= 10
    assert publish.judge(world.places, entry.id) == judgement
    if judgement.outcome != "PROMOTE":
        assert publish.release(world.places, judgement.id) is None
        assert Tracking(world.places.tracking_uri).alias_of(champion.model, "champion") == champion.number


def test_a_release_sees_that_the_champion_changed_meanwhile_and_repeats_without_harm(
    world: World, entry: Entry
) -> None:
    places = replace(world.places, model=f"{world.places.model}-race")
    tracking, shelf = Tracking(places.tracking_uri), Shelf(places.nouns)
    one, two = (
        publish.register(places, publish.export(places, world.chosen(world.first, family).id).id)
        for family in ("random_forest", "xgboost")
    )
    first, second = publish.judge(places, one.id), publish.judge(places, two.id)
    assert first.outcome == second.outcome == "PROMOTE"
    assert publish.release(places, first.id) == one
    with pytest.raises(Conflict, match=r"judged against nobody, but the champion is number 1 now"):
        publish.release(places, second.id)
    assert tracking.alias_of(places.model, "champion") == one.number
    # A judgement against the champion of this moment goes through and keeps the one before.
    fair = shelf.put(second.model_copy(update={"champion": one.id}))
    assert publish.release(places, fair.id) == two
    assert tracking.alias_of(places.model, "champion") == two.number
    assert tracking.alias_of(places.model, "previous_champion") == one.number
    # The older release, tried once more, does not bring its model back.
    assert publish.release(places, first.id) == one
    assert tracking.alias_of(places.model, "champion") == two.number
    # Nor does registering the older bundle once more push the newer one aside.
    assert publish.register(places, one.bundle) == one
    assert tracking.alias_of(places.model, "challenger") == two.number


@pytest.mark.parametrize("outcome", ["HOLD", "REJECT", "INSUFFICIENT_EVIDENCE"])
def test_what_the_gate_did_not_promote_is_never_released(world: World, champion: Entry, outcome: str) -> None:
    judgement = publish.judge(world.places, champion.id).model_copy(update={"outcome": outcome})
    Shelf(world.places.nouns).put(judgement)
    assert publish.release(world.places, judgement.id) is None


def test_a_champion_that_nobody_judged_is_said_so(world: World, bundle: Bundle) -> None:
    places = replace(world.places, model=f"{world.places.model}-hand")
    entry = publish.register(places, bundle.id)
    Tracking(places.tracking_uri).set_alias(places.model, "champion", entry.number)
    with pytest.raises(BadInput, match="is the champion already"):
        publish.judge(places, entry.id)


def test_the_evaluation_to_publish_is_the_one_named_or_the_one_chosen_last(world: World, tmp_path: Path) -> None:
    forest = world.chosen(world.first, "random_forest")
    assert publish.evaluation_for(world.places, forest.id) == forest.id
    newest = max(world.places.models.glob("evaluation-*"), key=lambda f: f.stat().st_mtime_ns)
    assert publish.evaluation_for(world.places) == newest.name
    with pytest.raises(NotFound, match="No model was chosen"):
        publish.evaluation_for(replace(world.places, workspace=tmp_path))


def test_the_verdict_is_a_page_with_its_fold_map(world: World, champion: Entry, bundle: Bundle) -> None:
    judgement = publish.judge(world.places, champion.id)
    path = verdicts.keep_page(world.places, judgement)
    assert path.parent == folder_of(world, bundle)
    page = read_page(path.read_text())
    assert "Map of the folds" in [attributes.get("alt") for tag, attributes in page.tags if tag == "img"]
    said = (judgement.id, bundle.id, bundle.evaluation, f"{champion.model} {champion.number}", "cannot be drawn")
    assert [word in page.text for word in said] == [True, True, True, True, False]


def test_every_noun_finds_its_way_back_to_the_scene(world: World, champion: Entry) -> None:
    shelf, seen, todo = Shelf(world.places.nouns), set(), [champion.id]
    while todo:
        noun = shelf.any(todo.pop())
        seen.add(type(noun))
        todo += noun.parents
    assert {Entry, Bundle, Evaluation, FeatureTable, Version, Scene, Labels} <= seen
    assert Judgement not in seen
