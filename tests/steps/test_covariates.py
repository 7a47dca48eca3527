"""Bands that are made once per scene, and windows, from the experiment to a map: one graph, one lineage."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import rasterio
import shapely

from geoml_ops.adapters import raster
from geoml_ops.adapters.crs import reproject
from geoml_ops.adapters.nouns import Shelf
from geoml_ops.adapters.ort import Graph
from geoml_ops.adapters.registry import Release, open_bundle
from geoml_ops.core.bands import SENTINEL_2_L1C as CONTRACT
from geoml_ops.core.errors import BadInput, NotFound
from geoml_ops.core.experiment import OF_ONE_SCENE, CovariateKind
from geoml_ops.core.flow import Bundle, Covariate, Evaluation, FeatureTable, FoldPlan, Scene, Version
from geoml_ops.core.grid import Window
from geoml_ops.domain.covariates.registry import RECIPES
from geoml_ops.domain.tiling import classify_array
from geoml_ops.domain.world import landscape
from geoml_ops.steps import publish, train
from geoml_ops.steps.answering import Model
from geoml_ops.steps.classify import classify
from geoml_ops.steps.covariates import contract_with, make_covariates
from geoml_ops.steps.experiments import current_experiment
from geoml_ops.steps.features import FeatureSource, reach_px
from geoml_ops.steps.made import covariate_file
from geoml_ops.steps.models import open_model
from geoml_ops.steps.places import Places
from geoml_ops.steps.samples import open_table
from geoml_ops.steps.trace import trace
from tests.versions import cube, keep_version, places_in

WORLD = landscape(300, 240, seed=4)
GRID = WORLD.grid
FEATURES = [
    "B08",
    "NDVI",
    "mean(NDVI, [3, 7])",
    "std(B08, 5)",
    "glcm_contrast(nir, 5, levels=8, low=0, high=0.5)",
    "WET = (green - nir) / (green + nir + 0.1)",
    "ground_slope",
    "ground_tpi",
    "ways_distance",
    "course_std",
]
COVARIATES = {
    "ground": {"make": "terrain", "of": ["dem"], "products": ["slope", "tpi"]},
    "ways": {"make": "distance", "of": ["roads"], "products": ["distance"]},
    "course": {"make": "season", "of": ["NDVI"], "products": ["mean", "std"]},
}


def elevation() -> np.ndarray:
    """Returns metres above sea level on the scenes' grid with 20 pixels around it."""
    rows, cols = np.mgrid[-20 : GRID.height + 20, -20 : GRID.width + 20]
    return (200 + 0.8 * cols + 12 * np.sin(rows / 17) + 6 * np.cos(cols / 9)).astype(np.float32)


def write_elevation(path: Path) -> Path:
    layer = elevation()
    profile = {
        "driver": "GTiff", "dtype": "float32", "count": 1, "height": layer.shape[0], "width": layer.shape[1],
        "crs": GRID.crs, "nodata": -9999.0,
        "transform": rasterio.Affine(GRID.pixel_m, 0, GRID.left - 200, 0, -GRID.pixel_m, GRID.top + 200),
    }  # fmt: skip
    with rasterio.open(path, "w", **profile) as target:
        target.write(layer[None])
    return path


def write_roads(path: Path) -> Path:
    """Writes one road from the south-west to the north-east, in longitude and latitude."""
    box = GRID.bounds
    line = shapely.linestrings([[box.left, box.bottom], [box.right, box.top]])
    there = reproject(np.array([line]), GRID.crs, "EPSG:4326")[0]
    feature = {"type": "Feature", "properties": {"kind": "road"}, "geometry": json.loads(shapely.to_geojson(there))}
    path.write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}))
    return path


@dataclasses.dataclass(frozen=True)
class Made:
    places: Places
    version: Version
    table: FeatureTable
    plans: tuple[FoldPlan, ...]
    evaluation: Evaluation
    bundle: Bundle


@pytest.fixture(scope="module")
def made(mlflow_server: str, tmp_path_factory: pytest.TempPathFactory) -> Made:
    home = tmp_path_factory.mktemp("covariates")
    places = places_in(home, mlflow_server, features=FEATURES, covariates=COVARIATES)
    places.policy.write_text("{name: small, drift: {tile_px: 64}}")
    first = cube(WORLD)
    second = first.copy()
    second[7] = (second[7] * 0.7).astype(np.uint16)
    labels = {"all": (WORLD.polygons, WORLD.labels, GRID.crs)}
    others = {"dem": write_elevation(home / "dem.tif"), "roads": write_roads(home / "roads.geojson")}
    version = keep_version(places, {"may": (first, GRID), "july": (second, GRID)}, labels, others)
    table = train.tabulate(places, version.id)
    plans = train.plan(places, table.id)
    evaluation = train.evaluate(places, [p.id for p in plans], "random_forest")
    best = train.choose(places, (evaluation.id,))
    return Made(places, version, table, plans, best, publish.export(places, best.id))


def test_lists_are_written_out_and_a_table_names_the_covariates_it_read(made: Made) -> None:
    assert made.table.features[2:4] == ("mean(NDVI, 3)", "mean(NDVI, 7)")
    assert len(made.table.features) == len(FEATURES) + 1
    found = [Shelf(made.places.nouns).get(Covariate, i) for i in made.table.covariates]
    # Three kinds for each of two scenes.
    assert sorted(c.name for c in found) == ["course"] * 2 + ["ground"] * 2 + ["ways"] * 2
    assert train.tabulate(made.places, made.version.id) == made.table


def test_the_distance_of_every_pixel_is_that_to_the_road(made: Made) -> None:
    scene = Shelf(made.places.nouns).get(Scene, made.version.scenes[0])
    covariates = make_covariates(made.places, made.version, current_experiment(made.places), scene)
    ways = next(c for c in covariates if c.name == "ways")
    layer = raster.read(covariate_file(made.places, ways))[0]
    rows, cols = np.mgrid[0 : GRID.height, 0 : GRID.width]
    east, north = GRID.centres(rows.ravel(), cols.ravel())
    box = GRID.bounds
    line = shapely.linestrings([[box.left, box.bottom], [box.right, box.top]])
    wanted = shapely.distance(shapely.points(east, north), line).reshape(GRID.shape)
    # The line was delivered in degrees, so its middle may sag by centimetres.
    assert np.abs(layer - wanted).max() < 0.5


def test_the_slope_of_the_ground_is_the_one_of_the_elevation_model_up_to_the_edge(made: Made) -> None:
    scene = Shelf(made.places.nouns).get(Scene, made.version.scenes[0])
    ground = next(
        c
        for c in make_covariates(made.places, made.version, current_experiment(made.places), scene)
        if c.name == "ground"
    )
    slope = raster.read(covariate_file(made.places, ground))[0]
    dem = elevation().astype(np.float64)
    east = (dem[:-2, 2:] + 2 * dem[1:-1, 2:] + dem[2:, 2:] - dem[:-2, :-2] - 2 * dem[1:-1, :-2] - dem[2:, :-2]) / 80
    north = (dem[:-2, :-2] + 2 * dem[:-2, 1:-1] + dem[:-2, 2:] - dem[2:, :-2] - 2 * dem[2:, 1:-1] - dem[2:, 2:]) / 80
    wanted = np.degrees(np.arctan(np.hypot(east, north)))[19:-19, 19:-19]
    assert np.isfinite(slope).all()
    np.testing.assert_allclose(slope, wanted, atol=1e-3)


def test_folds_leave_room_for_what_windows_see(made: Made) -> None:
    experiment = current_experiment(made.places)
    assert reach_px(made.places, experiment) >= 3
    assert made.plans[0].halo_px == reach_px(made.places, experiment)
    assert made.plans[0].audit is not None
    assert made.plans[0].audit.passed


def test_the_bundle_answers_as_the_fitted_model_for_a_whole_scene_cut_into_tiles(made: Made) -> None:
    scene = Shelf(made.places.nouns).get(Scene, made.version.scenes[1])
    experiment = current_experiment(made.places)
    source = FeatureSource(made.places, made.version, experiment, made.table.features)
    rows, cols = (a.ravel() for a in np.mgrid[0 : GRID.height, 0 : GRID.width])
    features = source.at(scene, rows, cols)
    fitted = open_model(made.places, made.evaluation)
    seen = np.isfinite(features).all(axis=1)
    wanted = np.full(len(rows), 255)
    probability = fitted.probability(features[seen])
    wanted[seen] = probability.argmax(axis=1)
    dn = source.imagery(scene).read(0, 0, *GRID.shape)
    graph = Graph(open_bundle(made.places.bundles, made.bundle.file.sha256, made.bundle.id).graph)
    assert made.bundle.halo_px == source.halo_px == 3
    for tile_px in (64, 100):
        layers = classify_array(dn, graph.run, tile_px, made.bundle.halo_px)
        np.testing.assert_array_equal(layers.known.ravel(), seen)
        best = np.sort(probability, axis=1)
        clear = np.zeros(len(rows), dtype=bool)
        clear[seen] = best[:, -1] - best[:, -2] > 1e-5
        np.testing.assert_array_equal(layers.classes.ravel()[clear], wanted[clear])


def test_the_samples_of_a_table_hold_what_the_graph_says_of_their_pixels(made: Made) -> None:
    tabled = open_table(made.places, made.table)
    scene = Shelf(made.places.nouns).get(Scene, made.version.scenes[0])
    mine = tabled.keys["scene"].astype(str) == scene.id
    source = FeatureSource(made.places, made.version, current_experiment(made.places))
    again = source.at(scene, tabled.keys["row"][mine], tabled.keys["col"][mine])
    np.testing.assert_array_equal(again, tabled.features[mine])


def test_the_bundle_says_which_covariates_it_reads_and_parity_asked_with_holes_around(made: Made) -> None:
    assert set(made.bundle.covariates) == {"ground", "ways", "course"}
    assert "holes around" in made.bundle.parity.rows
    assert made.bundle.parity.passed
    assert {"ground_slope", "ways_distance", "course_std"} <= set(made.bundle.contract.names)
    assert made.bundle.contract.band("ground_slope").unit == "degree"


def test_a_covariate_whose_file_was_altered_or_lost_is_made_again_the_same(made: Made) -> None:
    scene = Shelf(made.places.nouns).get(Scene, made.version.scenes[0])
    experiment = current_experiment(made.places)
    before = make_covariates(made.places, made.version, experiment, scene)
    path = covariate_file(made.places, before[0])
    path.write_bytes(path.read_bytes()[:-7])
    assert make_covariates(made.places, made.version, experiment, scene) == before
    path.unlink()
    assert make_covariates(made.places, made.version, experiment, scene) == before


def model_of(made: Made) -> Model:
    graph = Graph(open_bundle(made.places.bundles, made.bundle.file.sha256, made.bundle.id).graph)
    release = Release("world", 1, made.bundle.id, made.bundle.file.sha256)
    return Model(bundle=made.bundle, release=release, run=graph.run)


def test_a_scene_is_classified_with_the_covariates_of_its_ground_and_the_walk_goes_through_them(
    made: Made, tmp_path: Path
) -> None:
    scene = Shelf(made.places.nouns).get(Scene, made.version.scenes[1])
    stored = made.places.store / scene.file.path
    found = classify(made.places, stored, model_of(made))
    assert {Shelf(made.places.nouns).get(Covariate, i).name for i in found.covariates} == {"ground", "ways", "course"}
    source = FeatureSource(made.places, made.version, current_experiment(made.places), made.table.features)
    wanted = classify_array(source.imagery(scene).read(0, 0, *GRID.shape), model_of(made).run, 128, made.bundle.halo_px)
    got = raster.read(made.places.predictions / found.map.path)[0]
    np.testing.assert_array_equal(got, wanted.classes)
    east, north = GRID.centres(np.array([50]), np.array([60]))
    walk = trace(made.places, made.places.predictions / found.map.path, float(east[0]), float(north[0]))
    kinds = [link.noun.kind for link in walk]
    assert kinds.count("covariate") >= 3
    assert kinds.count("ancillary") == 2
    assert any("Terrain of dem" in link.sentence for link in walk)


def test_a_part_of_a_scene_reads_its_part_and_ground_without_covariates_is_refused(made: Made, tmp_path: Path) -> None:
    scene = Shelf(made.places.nouns).get(Scene, made.version.scenes[1])
    whole = raster.read(made.places.store / scene.file.path)
    window = Window(col=30, row=24, width=120, height=90)
    part = np.ascontiguousarray(whole[:, 24:114, 30:150])
    raster.write_scene(tmp_path / "part.tif", part, GRID.inside(window), CONTRACT, CONTRACT.radiometry)
    found = classify(made.places, tmp_path / "part.tif", model_of(made))
    entire = classify(made.places, made.places.store / scene.file.path, model_of(made))
    got, all_of_it = (raster.read(made.places.predictions / p.map.path)[0] for p in (found, entire))
    inner = slice(3, -3)
    np.testing.assert_array_equal(got[inner, inner], all_of_it[24:114, 30:150][inner, inner])
    away = GRID.model_copy(update={"left": GRID.left + 100_000.0})
    raster.write_scene(tmp_path / "away.tif", whole, away, CONTRACT, CONTRACT.radiometry)
    before = sorted(p.name for p in made.places.predictions.iterdir())
    with pytest.raises(BadInput, match=r"lacks .*ground_slope.*geoml features make"):
        classify(made.places, tmp_path / "away.tif", model_of(made))
    assert sorted(p.name for p in made.places.predictions.iterdir()) == before


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"ground": {"make": "terrain", "of": ["dm"], "products": ["slope"]}}, NotFound, "no ancillary delivery dm"),
        ({"ground": {"make": "terrain", "of": ["roads"], "products": ["slope"]}}, BadInput, "reads a raster"),
        ({"ground": {"make": "terrain", "of": ["dem"], "products": ["slop"]}}, BadInput, "slop: no such product"),
        (
            {"ground": {"make": "terrain", "of": ["dem"], "products": ["slope"], "options": {"k": 1}}},
            BadInput,
            "options",
        ),
        ({"my ground": {"make": "terrain", "of": ["dem"], "products": ["slope"]}}, BadInput, "cannot be called"),
        ({"ways": {"make": "distance", "of": ["dem"], "products": ["distance"]}}, BadInput, "reads a vector"),
        ({"c": {"make": "season", "of": ["NDXI"], "products": ["mean"]}}, BadInput, "NDXI"),
    ],
)
def test_rules_that_cannot_be_followed_are_refused_with_a_sentence(
    made: Made, tmp_path: Path, change: dict[str, object], error: type[Exception], words: str
) -> None:
    places = dataclasses.replace(made.places, experiment=tmp_path / "experiment.yaml")
    content = json.loads(made.places.experiment.read_text()) | {"features": ["B08"], "covariates": change}
    places.experiment.write_text(json.dumps(content))
    scene = Shelf(places.nouns).get(Scene, made.version.scenes[0])
    before = sorted(p.name for p in places.covariates.iterdir())
    with pytest.raises(error, match=words):
        make_covariates(places, made.version, current_experiment(places), scene)
    assert sorted(p.name for p in places.covariates.iterdir()) == before


def test_a_name_that_the_sensor_has_is_not_given_away(made: Made) -> None:
    contract = contract_with(made.places, "sentinel-2-l1c", current_experiment(made.places).covariates)
    with pytest.raises(BadInput, match="ground_slope already"):
        contract.joined([contract.band("ground_slope")])


def test_the_kinds_that_are_made_of_one_scene_are_those_that_read_features() -> None:
    assert {kind for kind, recipe in RECIPES.items() if recipe.reads == "features"} == OF_ONE_SCENE
    assert set(RECIPES) == set(get_args(CovariateKind))


def test_where_a_feature_has_no_value_the_sentence_names_it(made: Made, tmp_path: Path) -> None:
    places = dataclasses.replace(made.places, experiment=tmp_path / "experiment.yaml")
    content = json.loads(made.places.experiment.read_text())
    places.experiment.write_text(json.dumps(content | {"features": ["B08", "NONE = log(0 - B08)"]}))
    with pytest.raises(BadInput, match=r"0 samples, none of .*no value of NONE at \d+"):
        train.tabulate(places, made.version.id)


def test_ground_that_no_scene_shows_is_made_once_for_all_scenes_on_a_grid(made: Made) -> None:
    shelf, experiment = Shelf(made.places.nouns), current_experiment(made.places)
    first, second = (
        {c.name: c for c in make_covariates(made.places, made.version, experiment, shelf.get(Scene, scene))}
        for scene in made.version.scenes
    )
    for name in ("ground", "ways", "course"):
        assert first[name].id != second[name].id
        assert first[name].file == second[name].file
