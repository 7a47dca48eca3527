"""Explanations of trained models: numbers that add up, pictures, points and a map that a GIS opens."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import rasterio
from rio_cogeo.cogeo import cog_validate

from geoml_ops.adapters.nouns import Shelf
from geoml_ops.adapters.tables import read_table
from geoml_ops.adapters.vector import read_layer
from geoml_ops.core.errors import BadInput, NotFound
from geoml_ops.core.flow import Evaluation, Explanation, FeatureTable, Version
from geoml_ops.core.grid import Window
from geoml_ops.domain.world import landscape
from geoml_ops.steps import explaining, train
from geoml_ops.steps.models import open_model
from geoml_ops.steps.places import Places
from geoml_ops.steps.samples import open_table
from tests.versions import cube, keep_version, places_in

WORLD = landscape(300, 240, seed=6)


@dataclasses.dataclass(frozen=True)
class Trained:
    places: Places
    table: FeatureTable
    forest: Evaluation
    boosted: Evaluation


@pytest.fixture(scope="module")
def trained(mlflow_server: str, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    places = places_in(tmp_path_factory.mktemp("explain"), mlflow_server)
    labels = {"all": (WORLD.polygons, WORLD.labels, WORLD.grid.crs)}
    version = keep_version(places, {"here": (cube(WORLD), WORLD.grid)}, labels)
    table = train.tabulate(places, version.id)
    plans = [plan.id for plan in train.plan(places, table.id)]
    found = [train.choose(places, (train.evaluate(places, plans, f).id,)) for f in ("random_forest", "xgboost")]
    return Trained(places, table, *found)


@pytest.fixture(scope="module")
def explanation(trained: Trained) -> Explanation:
    return explaining.explain(trained.places, trained.boosted.id, against=trained.forest.id, rows=120)


def test_values_of_every_class_add_up_to_what_the_model_says(trained: Trained, explanation: Explanation) -> None:
    table = read_table(trained.places.tables, explanation.values)
    sample = table.columns["sample"]
    features = open_table(trained.places, trained.table).features[sample]
    fitted = open_model(trained.places, trained.boosted)
    margins = np.column_stack(
        [
            explanation.base[name] + sum(table.columns[f"{name}: {f}"] for f in trained.table.features)
            for name in explanation.classes
        ]
    )
    said = np.exp(margins - margins.max(axis=1, keepdims=True))
    np.testing.assert_allclose(said / said.sum(axis=1, keepdims=True), fitted.probability(features), atol=1e-4)
    assert table.says["unit"] == "log-odds"
    assert explanation.additivity_gap < 1e-3
    assert explanation.n_rows == 120


def test_importance_is_the_mean_of_absolute_values_and_the_change_sums_to_nothing(
    trained: Trained, explanation: Explanation
) -> None:
    table = read_table(trained.places.tables, explanation.values)
    for name, values in explanation.importance.items():
        for feature, value in values.items():
            assert value == pytest.approx(np.abs(table.columns[f"{name}: {feature}"]).mean())
    assert set(explanation.shift) == set(trained.table.features)
    assert sum(explanation.shift.values()) == pytest.approx(0, abs=1e-9)
    champion = Shelf(trained.places.nouns).get(Explanation, explanation.compared_with)
    assert champion.evaluation == trained.forest.id


def test_a_model_compared_with_itself_changed_nothing(trained: Trained) -> None:
    same = explaining.explain(trained.places, trained.forest.id, against=trained.forest.id, rows=60)
    assert all(value == 0 for value in same.shift.values())


def test_pictures_and_points_lie_beside_it_and_the_same_question_gives_the_same_bytes(
    trained: Trained, explanation: Explanation
) -> None:
    folder = explaining.folder_of(trained.places, explanation)
    before = {p.name: p.read_bytes() for p in folder.iterdir() if p.suffix != ".tif"}
    assert set(before) == {"summary.png", "shift.png", "samples.gpkg"}
    again = explaining.explain(trained.places, trained.boosted.id, against=trained.forest.id, rows=120)
    assert again == explanation
    assert {p.name: p.read_bytes() for p in folder.iterdir() if p.suffix != ".tif"} == before
    layer = read_layer(folder / "samples.gpkg")
    assert (layer.crs, len(layer.geometries)) == (WORLD.grid.crs, 120)
    assert {"label", "answer"} <= set(layer.columns)
    # As even over the classes as there are samples.
    counts = dict(zip(*np.unique(layer.columns["label"].astype(str), return_counts=True), strict=True))
    assert all(counts[name] >= min(120 // 5, n) for name, n in trained.table.n_samples.items())


def test_the_map_holds_the_values_of_the_class_that_each_pixel_gets(trained: Trained, explanation: Explanation) -> None:
    path = explaining.map_values(trained.places, explanation.id, window=Window(col=20, row=10, width=90, height=60))
    assert cog_validate(path, quiet=True)[0]
    with rasterio.open(path) as source:
        layers = source.read()
        assert source.descriptions == ("class", *trained.table.features)
        assert source.transform.c == WORLD.grid.left + 20 * WORLD.grid.pixel_m
        assert source.transform.f == WORLD.grid.top - 10 * WORLD.grid.pixel_m
        assert source.tags()["GEOML_EXPLANATION"] == explanation.id
    assert layers.shape == (1 + len(trained.table.features), 60, 90)
    seen = np.isfinite(layers[0])
    assert seen.any()
    assert (np.isfinite(layers).all(axis=0) == seen).all()
    base = np.array(list(explanation.base.values()))
    # Base and values of the class it gets are its margin: the highest one, so hardly ever far below 0.
    margin = base[layers[0][seen].astype(int)] + layers[1:, seen].sum(axis=0)
    assert (margin > -1.5).mean() > 0.95


def test_what_cannot_be_explained_is_a_sentence(trained: Trained, explanation: Explanation, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="0 rows"):
        explaining.explain(trained.places, trained.forest.id, rows=0)
    with pytest.raises(NotFound, match="no scene"):
        explaining.map_values(trained.places, explanation.id, scene="elsewhere")
    with pytest.raises(BadInput, match=r"window ends beyond \d+ x \d+ pixels of the scene"):
        explaining.map_values(trained.places, explanation.id, window=Window(col=5000, row=0, width=9, height=9))
    version = Shelf(trained.places.nouns).get(Version, trained.table.version)
    assert version.scenes
    away = dataclasses.replace(trained.places, workspace=tmp_path)
    with pytest.raises(NotFound):
        explaining.explain(away, trained.forest.id)
