"""A label budget from question to version: asked, exported, filled with the truth, returned, judged, never leaked."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyogrio
import pytest
import shapely
from click.testing import Result
from pyproj import Transformer
from typer.testing import CliRunner

from geoml_ops.adapters import vector
from geoml_ops.adapters.cog import write_map
from geoml_ops.adapters.csvfiles import read_sheet
from geoml_ops.adapters.dvc import Store
from geoml_ops.adapters.nouns import Shelf
from geoml_ops.adapters.predictions import MAP, PredictionLog
from geoml_ops.core.errors import BadInput, GeomlError, NotFound, Refused
from geoml_ops.core.flow import (
    Accuracy,
    Bundle,
    Design,
    Drift,
    Evaluation,
    FeatureTable,
    Labels,
    Prediction,
    Scene,
    Version,
)
from geoml_ops.core.grid import Bounds
from geoml_ops.core.noun import FileRef
from geoml_ops.core.watched import DriftMap, Spot
from geoml_ops.domain.tiling import Layers
from geoml_ops.domain.world import landscape
from geoml_ops.platform.files import sha256_of
from geoml_ops.steps import accuracy as map_accuracy
from geoml_ops.steps import deliver, ingest
from geoml_ops.steps import labelling as asking
from geoml_ops.steps import labelreturns as returns
from geoml_ops.steps import labeltasks as tasks
from geoml_ops.steps.artefacts import unseen
from geoml_ops.steps.labelacceptance import accept
from geoml_ops.steps.labelling import Wanted
from geoml_ops.steps.labelunits import units_of
from geoml_ops.steps.places import Places
from geoml_ops.steps.samples import open_table
from geoml_ops.steps.tabulating import plan, tabulate
from geoml_ops.verbs import labelling as verb
from tests.every_noun import any_noun
from tests.versions import places_in

WORLD = landscape(120, 96, seed=11, labelled_share=0.8)
GRID, TRUTH = WORLD.grid, WORLD.truth
CLASSES = ("built", "cropland", "grass", "forest", "water")
COLOURS = ("#d7263d", "#e9c46a", "#8ab17d", "#1b5e20", "#2a6fbb")
SPOT = Bounds(left=GRID.left, bottom=GRID.top - 400, right=GRID.left + 400, top=GRID.top)
FILE = FileRef(path="x", sha256="a" * 64, size=1)


def shown() -> Layers:
    """A map that is wrong in patches and in its north-western corner, where it is as sure as elsewhere."""
    rng = np.random.default_rng(5)
    sure = np.clip(rng.beta(8, 2, (24, 30)), 0.3, 1).repeat(4, 0).repeat(4, 1)[: GRID.height, : GRID.width]
    wrong = rng.random(TRUTH.shape) > sure
    wrong[:40, :40] = rng.random((40, 40)) > 0.5
    codes = np.where(wrong, (TRUTH + 1) % len(CLASSES), TRUTH).astype(np.uint8)
    codes[-10:, -10:] = 255
    confidence = np.where(codes == 255, np.nan, sure).astype(np.float32)
    far = np.where(codes == 255, 255, 50).astype(np.uint8)
    far[60:, :20] = 170
    return Layers(codes, confidence, dissimilarity=far, density=np.minimum(codes, 250))


SHOWN = shown()
RIGHT = float((SHOWN.classes == TRUTH)[SHOWN.classes != 255].mean())


def keep_prediction(places: Places, scene: str, layers: Layers = SHOWN) -> Prediction:
    shelf = Shelf(places.nouns)
    bundle = any_noun(Bundle).model_copy(update={"classes": CLASSES, "colours": COLOURS})
    shelf.put(bundle)
    asked = any_noun(Prediction).model_copy(
        update={"bundle": bundle.id, "scenes": (scene,), "covariates": (), "layers": (), "grid": GRID}
    )
    home = PredictionLog(places.predictions).home(asked.id)
    home.mkdir(parents=True)
    write_map(home / MAP, layers, GRID, names=CLASSES, colours=COLOURS, tags={"GEOML_PREDICTION": asked.id})
    file = FileRef(path=f"{asked.id}/{MAP}", sha256=sha256_of(home / MAP), size=(home / MAP).stat().st_size)
    return shelf.put(asked.model_copy(update={"map": file, "valid_share": 0.99}))


def keep_drift(places: Places, *predictions: Prediction) -> Drift:
    where = DriftMap(
        raster=FILE, squares=FILE, statistic="W1", crs=GRID.crs,
        spots=(Spot(bounds=SPOT, n_tiles=4, mass=9.0, mean=2.0, direction="high"),),
    )  # fmt: skip
    drift = any_noun(Drift).model_copy(update={"predictions": tuple(p.id for p in predictions), "where": where})
    return Shelf(places.nouns).put(drift)


@pytest.fixture(scope="module")
def asked_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with an accepted scene and labels of before, a map of the scene, and a drift in its corner."""
    home = tmp_path_factory.mktemp("asked")
    places = places_in(home, features=["B08", "B11"], sampling={"per_polygon": 4})
    places.policy.write_text("name: test\nbudget: {label_units: 120, label_minutes: 3.0}\n")
    deliver.write_delivery(WORLD, places.drop / "one")
    deliver.deliver_labels(places.drop / "before", WORLD.polygons, WORLD.labels, GRID.crs)
    for name in ("one", "before"):
        verdict = ingest.check(places, name)
        assert verdict.accepted, verdict.reasons
    assert ingest.track(places) is not None
    scene = next(Shelf(places.nouns).all(Scene))
    keep_drift(places, keep_prediction(places, scene.id))
    return home


@pytest.fixture
def places(asked_home: Path, tmp_path: Path) -> Places:
    shutil.copytree(asked_home, tmp_path / "home", symlinks=True)
    made = places_in(tmp_path / "home", features=["B08", "B11"], sampling={"per_polygon": 4})
    return made


@pytest.fixture
def drift(places: Places) -> Drift:
    return next(Shelf(places.nouns).all(Drift))


@pytest.fixture
def design(places: Places, drift: Drift) -> Design:
    return asking.ask(places, drift.id)


def truth_at(places: Places, design: Design) -> dict[str, str]:
    units = units_of(places, design.id)
    rows = ((GRID.top - units.northing) / GRID.pixel_m).astype(int)
    cols = ((units.easting - GRID.left) / GRID.pixel_m).astype(int)
    return {unit: CLASSES[TRUTH[r, c]] for unit, r, c in zip(units.id, rows, cols, strict=True)}


Change = Callable[[list[dict[str, Any]]], object]


def filled(places: Places, design: Design, out: Path, change: Change | None = None, who: str = "anna") -> Path:
    """Writes a task file with what is really there in it, and then whatever a test changes."""
    units = units_of(places, design.id)
    content = {"type": "FeatureCollection", "features": [
        {"type": "Feature", "properties": {"unit": unit, "design": design.id, "label": None, "labeller": None},
         "geometry": {"type": "Polygon", "coordinates": [shapely.get_coordinates(square).tolist()]}}
        for unit, square in zip(units.id, units.squares, strict=True)
    ], "crs": {"type": "name", "properties": {"name": f"urn:ogc:def:crs:{units.crs.replace(':', '::')}"}}}  # fmt: skip
    truth = truth_at(places, design)
    for feature in content["features"]:
        feature["properties"] |= {"label": truth[feature["properties"]["unit"]], "labeller": who}
    if change is not None:
        change(content["features"])
    out.write_text(json.dumps(content))
    return out


# --- asking ----------------------------------------------------------------------------------


def test_a_design_is_recorded_before_anybody_labels(places: Places, drift: Drift, design: Design) -> None:
    plan = design.asked
    assert plan is not None
    assert design.drift == drift.id
    assert set(design.parents) == {drift.id, drift.predictions[0]}
    assert sum(design.n.values()) == 120
    known = int((SHOWN.classes != 255).sum())
    assert sum(plan.units.values()) == known
    assert sum(design.strata.values()) == pytest.approx(known * 0.01)
    assert sum(plan.mapped.values()) == pytest.approx(known * 0.01)
    assert any("drift" in name for name in design.strata)
    assert asking.hours(design) == 6.0
    assert plan.held_se is not None
    assert plan.overall_se < plan.held_se
    units = units_of(places, design.id)
    np.testing.assert_allclose(
        units.probability, [design.n[name] / plan.units[name] for name in units.stratum], rtol=1e-12
    )
    assert (units.probability > 0).all()
    for name, n in plan.n_held.items():
        mine = [use for stratum, use in zip(units.stratum, units.use, strict=True) if stratum == name]
        assert mine.count("judging") == n
        assert len(mine) == design.n[name]
    rows = ((GRID.top - units.northing) / 10).astype(int), ((units.easting - GRID.left) / 10).astype(int)
    assert [CLASSES[code] for code in SHOWN.classes[rows]] == list(units.mapped)
    hot = (rows[0] < 40) & (rows[1] < 40)
    assert all(
        ("no drift" in name) != is_hot for name, is_hot in zip(units.stratum, hot, strict=True) if "drift" in name
    )
    assert hot.sum() > 1.5 * 120 * 1600 / known


def test_the_same_question_gives_the_same_design_and_another_seed_another(places: Places, design: Design) -> None:
    assert asking.ask(places, design.drift) == design
    other = asking.ask(places, design.drift, Wanted(seed=1))
    assert other.points != design.points
    assert map_accuracy.siblings(places, design) == (other.id,)


def test_a_prediction_is_asked_about_without_any_drift(places: Places, drift: Drift) -> None:
    design = asking.ask(places, drift.predictions[0], Wanted(units=60))
    assert design.drift == ""
    assert not any("drift" in name for name in design.strata)


def test_of_several_maps_the_largest_is_asked_about(places: Places, drift: Drift) -> None:
    shelf = Shelf(places.nouns)
    one = shelf.get(Prediction, drift.predictions[0])
    small = shelf.put(one.model_copy(update={"tile_px": 64, "valid_share": 0.1}))
    both = keep_drift(places, small, one)
    assert asking.ask(places, both.id).prediction == one.id


def test_hot_spots_in_another_crs_are_found(places: Places, drift: Drift) -> None:
    move = Transformer.from_crs(GRID.crs, "EPSG:4326", always_xy=True)
    west, south, east, north = move.transform_bounds(*SPOT.as_tuple())
    assert drift.where is not None
    spot = drift.where.spots[0].model_copy(update={"bounds": Bounds(left=west, bottom=south, right=east, top=north)})
    where = drift.where.model_copy(update={"crs": "EPSG:4326", "spots": (spot,)})
    other = Shelf(places.nouns).put(drift.model_copy(update={"where": where}))
    plan = asking.ask(places, other.id).asked
    assert plan is not None
    hot = sum(n for name, n in plan.units.items() if ", drift" in name)
    assert 1600 <= hot < 2000


@pytest.mark.parametrize("edge", [2, 3, 7])
def test_units_of_several_pixels_are_squares_of_the_grid(places: Places, drift: Drift, edge: int) -> None:
    design = asking.ask(places, drift.id, Wanted(units=40, unit_px=edge))
    units = units_of(places, design.id)
    assert units.edge_m == 10 * edge
    west = (shapely.bounds(units.squares)[:, 0] - GRID.left) / (10 * edge)
    np.testing.assert_allclose(west, np.round(west), atol=1e-9)
    assert shapely.area(units.squares) == pytest.approx((10 * edge) ** 2)
    for square, name in zip(units.squares, units.mapped, strict=True):
        left, _, _, top = square.bounds
        row, col = round((GRID.top - top) / 10), round((left - GRID.left) / 10)
        part = SHOWN.classes[row : row + edge, col : col + edge]
        n = np.bincount(part[part != 255], minlength=len(CLASSES))
        assert n[CLASSES.index(name)] == n.max()
        assert 2 * n.sum() > edge * edge


@pytest.mark.parametrize(
    ("wanted", "says"),
    [
        (Wanted(units=9), "no sample"),
        (Wanted(units=20_000), "the map has 11420"),
        (Wanted(units=50, unit_px=0), "0 pixels cannot be drawn"),
        (Wanted(units=50, unit_px=102), "102 pixels cannot be drawn"),
        (Wanted(units=50, unit_px=50), "the map has 2"),
        (Wanted(units=50, unit_px=97), "a unit has 97"),
        (Wanted(units=50, seed=-1), "no seed"),
        (Wanted(units=50, held_share=2), "share of 2"),
        (Wanted(units=50, least=1), "no variance"),
        (Wanted(units=50, drift_weight=0), "count 0 times"),
    ],
)
def test_nonsense_is_refused_in_a_sentence(places: Places, drift: Drift, wanted: Wanted, says: str) -> None:
    with pytest.raises(BadInput, match=says):
        asking.ask(places, drift.id, wanted)
    assert not list(Shelf(places.nouns).all(Design))


def test_a_map_that_was_altered_or_is_gone_is_not_asked_about(places: Places, drift: Drift) -> None:
    path = PredictionLog(places.predictions).home(drift.predictions[0]) / MAP
    write_map(path, SHOWN, GRID, names=CLASSES, colours=COLOURS, tags={"GEOML_PREDICTION": "prediction-" + "1" * 16})
    with pytest.raises(Refused, match="was altered"):
        asking.ask(places, drift.id)
    path.unlink()
    with pytest.raises(NotFound, match="is gone"):
        asking.ask(places, drift.id)
    with pytest.raises(NotFound):
        asking.ask(places, "drift-" + "f" * 16)


def test_a_label_budget_is_not_judged_around_its_review(places: Places, design: Design, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="asks for labels"):
        map_accuracy.estimate(places, design.id, tmp_path / "points.csv")


# --- tasks -----------------------------------------------------------------------------------


def test_tasks_say_nothing_of_the_map_and_are_read_by_other_programs(places: Places, design: Design) -> None:
    found = tasks.export(places, design.id)
    meta, _, shapes, columns = pyogrio.raw.read(found.folder / "units.gpkg")
    assert list(meta["fields"]) == ["unit", "design", "label", "labeller", "sure", "note"]
    assert meta["crs"] == GRID.crs
    named = dict(zip(meta["fields"], columns, strict=True))
    assert all(cell is None for name in ("label", "labeller", "sure", "note") for cell in named[name])
    units = units_of(places, design.id)
    assert list(named["unit"]) == list(units.id)
    assert shapely.equals(shapely.from_wkb(shapes), units.squares).all()
    layer = vector.read_layer(found.folder / "units.geojson")
    assert layer.crs == GRID.crs
    assert shapely.equals_exact(layer.geometries, units.squares, tolerance=1e-6).all()
    sheet = read_sheet(found.folder / "units.csv")
    assert not {"map", "stratum", "use", "confidence"} & set(sheet.columns)
    one = json.loads((found.folder / tasks.TOOL / "tasks" / f"{design.id}_{units.id[0]}.json").read_text())
    lon, lat = one["features"][0]["geometry"]["coordinates"][0][0]
    back = Transformer.from_crs("EPSG:4326", GRID.crs, always_xy=True).transform(lon, lat)
    assert max(abs(back[0] - units.squares[0].bounds[2]), abs(back[1] - units.squares[0].bounds[1])) < 0.01
    assert json.loads((found.folder / "legend.json").read_text()) == dict(zip(CLASSES, COLOURS, strict=True))
    strata = [units.stratum[i] for i in range(30)]
    assert len(set(strata)) > 1, "strata are mixed in the order of labelling"


def test_tasks_are_written_once_and_labels_in_them_are_never_written_over(places: Places, design: Design) -> None:
    first = tasks.export(places, design.id)
    content = {name: (first.folder / name).read_bytes() for name in first.files}
    assert tasks.export(places, design.id) == first
    assert {name: (first.folder / name).read_bytes() for name in first.files} == content
    with (first.folder / "units.csv").open("a") as stream:
        stream.write("labelled\n")
    with pytest.raises(BadInput, match=r"units\.csv exists and holds something else"):
        tasks.export(places, design.id)
    assert not list(first.folder.parent.glob(".tasks-*"))


def test_the_map_is_shown_only_to_whoever_asks(places: Places, design: Design, tmp_path: Path) -> None:
    found = tasks.export(places, design.id, tmp_path / "shown", show_map=True)
    assert list(read_sheet(found.folder / "units.csv").texts("map")) == list(units_of(places, design.id).mapped)


def test_each_unit_gets_a_picture_of_the_scene_with_its_outline(places: Places, design: Design, tmp_path: Path) -> None:
    found = tasks.export(places, design.id, tmp_path / "chips", chips=True)
    assert found.notes == ()
    pictures = [name for name in found.files if name.startswith("chips/")]
    assert len(pictures) == 120
    import rasterio

    with rasterio.open(found.folder / pictures[0]) as source:
        pixels = source.read()
    assert pixels.shape == (4, 49 * 6, 49 * 6)
    yellow = (pixels[0] == 255) & (pixels[1] == 255) & (pixels[2] == 0)
    assert yellow[143, 143:151].all()
    assert yellow[143:151, 150].all()
    assert yellow.sum() >= 28
    assert len({(found.folder / name).read_bytes() for name in pictures}) > 100


def test_pictures_that_cannot_be_are_said_to_be_missing(places: Places, drift: Drift, tmp_path: Path) -> None:
    shelf = Shelf(places.nouns)
    one = shelf.get(Prediction, drift.predictions[0])
    shelf.path_of(one.id).unlink()
    shelf.put(one.model_copy(update={"scenes": ()}))
    design = asking.ask(places, one.id, Wanted(units=20))
    found = tasks.export(places, design.id, tmp_path / "out", chips=True)
    assert found.notes == ("No pictures: nothing says which scene was mapped.",)


# --- labels come back ------------------------------------------------------------------------


def test_from_a_question_to_a_version_that_judges_and_teaches(places: Places, design: Design, tmp_path: Path) -> None:
    before = Shelf(places.nouns)
    old = list(before.all(Version))[-1]
    state = returns.take_in(
        places, design.id, [filled(places, design, tmp_path / "a.geojson")], labelled_on="2026-05-02"
    )
    assert state.reviewed.complete
    found = accept(places, design.id, "carla")
    assert found.deliveries == (f"{design.id}-learning", f"{design.id}-judging")
    assert found.accuracy.n == 120
    assert found.accuracy.overall_half is not None
    assert abs(found.accuracy.overall - RIGHT) < 1.6 * found.accuracy.overall_half
    assert any("confidence promised" in sentence for sentence in found.accuracy.cautions)

    assert set(ingest.collect(places)) == set(found.deliveries)
    verdicts = [ingest.check(places, name) for name in found.deliveries]
    assert all(v.accepted for v in verdicts), [v.reasons for v in verdicts]
    version = ingest.track(places, [v.id for v in verdicts])
    assert version is not None
    assert version != old
    shelf = Shelf(places.nouns)
    new = {labels.name: labels for labels in (shelf.get(Labels, i) for i in version.labels) if labels.design}
    assert {labels.use for labels in new.values()} == {"learning", "judging"}
    learning, judging = (new[name] for name in found.deliveries)
    assert learning.parents == (design.id,)
    assert "anna (120)" in learning.source
    assert "carla" in learning.source
    assert "2026-05-02" in learning.source
    assert sum(learning.n_polygons.values()) + sum(judging.n_polygons.values()) == 120
    told = json.loads((places.drop / judging.name / "provenance.json").read_text())
    assert (told["design"], told["drift"], told["reviewed_by"]) == (design.id, design.drift, "carla")
    assert told["labellers"] == {"anna": 120}
    held = store_polygons(places, version, judging)
    units = units_of(places, design.id)
    kept = {shapely.normalize(s).wkb for s, use in zip(units.squares, units.use, strict=True) if use == "judging"}
    assert {shapely.normalize(shapely.get_parts(s)[0]).wkb for s in held} == kept

    # No training sees what is kept for judging; a comparison of finished models does.
    table, asked = tabulate(places, version.id), tabulate(places, version.id, judging=True)
    assert (table.use, asked.use) == ("learning", "judging")
    assert tabulate(places, version.id) == table
    pixels, more = pixels_of(places, table), pixels_of(places, asked)
    secret = {(round(x), round(y)) for x, y, use in zip(units.easting, units.northing, units.use, strict=True)
              if use == "judging"}  # fmt: skip
    taught = {(round(x), round(y)) for x, y, use in zip(units.easting, units.northing, units.use, strict=True)
              if use == "learning"}  # fmt: skip
    assert not pixels & secret - pixels_of(places, tabulate(places, old.id))
    assert len(taught & pixels) > 0.8 * len(taught)
    assert len(secret & more) > 0.8 * len(secret)


def store_polygons(places: Places, version: Version, labels: Labels) -> np.ndarray:
    path = Store(places.store, places.remote).at(version.rev, labels.file.path)
    return vector.read_layer(path).geometries


def pixels_of(places: Places, table: FeatureTable) -> set[tuple[int, int]]:
    samples = open_table(places, table).samples
    return {(round(x), round(y)) for x, y in zip(samples.easting, samples.northing, strict=True)}


def test_accepting_again_changes_nothing(places: Places, design: Design, tmp_path: Path) -> None:
    returns.take_in(places, design.id, [filled(places, design, tmp_path / "a.geojson")])
    first = accept(places, design.id, "carla")
    content = {p: p.read_bytes() for p in places.drop.rglob("*") if p.is_file()}
    assert accept(places, design.id, "carla") == first
    assert {p: p.read_bytes() for p in places.drop.rglob("*") if p.is_file()} == content
    assert len(list(Shelf(places.nouns).all(Accuracy))) == 1


def test_labels_that_changed_replace_their_delivery(places: Places, design: Design, tmp_path: Path) -> None:
    file = filled(
        places, design, tmp_path / "a.geojson", lambda rows: rows[0]["properties"].update(label="cannot tell")
    )
    state = returns.take_in(places, design.id, [file])
    first = accept(places, design.id, "carla", allow_missing=True)
    assert first.accuracy.n == 119
    assert first.accuracy.n_missing == 1
    returns.withdraw(places, design.id, state.files[0].sha256[:10])
    returns.take_in(places, design.id, [filled(places, design, tmp_path / "b.geojson")])
    second = accept(places, design.id, "carla")
    assert (second.accuracy.n, second.deliveries) == (120, first.deliveries)
    assert len(list((tasks.home_of(places, design.id) / "superseded").iterdir())) == 2


def write_gpkg(places: Places, design: Design, path: Path, **changes: Any) -> Path:
    units, truth = units_of(places, design.id), truth_at(places, design)
    columns = {"unit": list(units.id), "label": list(truth.values()), "labeller": ["ben"] * len(units.id), **changes}
    arrays = {name: np.array(cells, dtype=object) for name, cells in columns.items()}
    vector.write_patches(path, units.squares, arrays, GRID.crs, "anything")
    return path


def test_geopackages_sheets_and_the_labelling_tool_come_back_alike(
    places: Places, design: Design, tmp_path: Path
) -> None:
    units, truth = units_of(places, design.id), truth_at(places, design)
    gpkg = write_gpkg(places, design, tmp_path / "a.gpkg", sure=["no"] + ["yes"] * 119)
    found = tasks.export(places, design.id)
    sheet = read_sheet(found.folder / "units.csv")
    lines = [";".join(sheet.columns)]
    for row in sheet.rows:
        cells = dict(zip(sheet.columns, row, strict=True)) | {"label": truth[row[0]], "labeller": "anna"}
        lines.append(";".join(cells.values()))
    (tmp_path / "b.csv").write_text("\n".join(lines))
    move = Transformer.from_crs(GRID.crs, "EPSG:4326", always_xy=True)
    drawn = []
    for unit, square in zip(units.id, units.squares, strict=True):
        # Drawn by hand, a little larger than the square and turned.
        ring = shapely.affinity.rotate(square.buffer(2.0), 5) if hasattr(shapely, "affinity") else square.buffer(2.0)
        corners = [list(move.transform(x, y)) for x, y in ring.exterior.coords]
        drawn.append({
            "type": "Feature",
            "properties": {"task_name": f"{design.id}_{unit}", "source": "Drawn|imagery", "class": truth[unit]},
            "geometry": {"type": "Polygon", "coordinates": [corners]},
        })  # fmt: skip
    (tmp_path / "c.json").write_text(json.dumps({"type": "FeatureCollection", "features": drawn}))
    state = returns.take_in(places, design.id, [gpkg, tmp_path / "b.csv", tmp_path / "c.json"], labeller="dora")
    assert sorted(f.tool for f in state.files) == ["GIS", "satellite-imagery-labeling-tool", "sheet"]
    assert state.reviewed.labellers == {"anna": 120, "ben": 120, "dora": 120}
    assert (state.reviewed.agreement.n, state.reviewed.agreement.same) == (360, 360)
    assert state.reviewed.labels == truth
    assert state.reviewed.complete


def test_units_in_longitude_and_latitude_are_the_same_units(places: Places, design: Design, tmp_path: Path) -> None:
    units, truth = units_of(places, design.id), truth_at(places, design)
    move = Transformer.from_crs(GRID.crs, "EPSG:4326", always_xy=True)
    features = [
        {"type": "Feature", "properties": {"unit": unit, "label": truth[unit], "labeller": "anna"},
         "geometry": {"type": "Polygon", "coordinates": [[list(move.transform(x, y)) for x, y in s.exterior.coords]]}}
        for unit, s in zip(units.id, units.squares, strict=True)
    ]  # fmt: skip
    (tmp_path / "a.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    assert returns.take_in(places, design.id, [tmp_path / "a.geojson"]).reviewed.labels == truth


def moved(by: float) -> Change:
    def change(rows: list[dict[str, Any]]) -> None:
        ring = rows[3]["geometry"]["coordinates"][0]
        rows[3]["geometry"]["coordinates"][0] = [[x + by, y] for x, y in ring]

    return change


def grown(rows: list[dict[str, Any]]) -> None:
    ring = rows[3]["geometry"]["coordinates"][0]
    rows[3]["geometry"]["coordinates"][0] = [[x * 1.001, y] for x, y in ring]


def says_of(field: str, value: Any) -> Change:
    return lambda rows: rows[2]["properties"].update({field: value})


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (moved(6.0), r"1 units of .* are not where they were drawn: u004 is off by 6\.0 m"),
        (moved(float("1e7")), "not where they were drawn"),
        (grown, "not where they were drawn"),
        (says_of("unit", "u999"), "no units of this design: u999"),
        (says_of("unit", ""), "no units of this design: without a name"),
        (says_of("unit", None), "no units of this design"),
        (says_of("unit", "\u202eu\x1b[2J"), r"design: \?u\?\[2J"),
        (says_of("label", ["forest"]), "not in the legend"),
        (says_of("design", 7), "belongs to 7"),
        (says_of("label", "jungle"), "not in the legend: 'jungle'"),
        (says_of("label", "x" * 300), "no plain text"),
        (says_of("label", "forest\u0000"), "no plain text"),
        (says_of("labeller", ""), "name nobody"),
        (says_of("sure", "perhaps"), "'perhaps'"),
        (says_of("design", "design-" + "0" * 16), "belongs to design-0000000000000000"),
        (lambda rows: rows.clear(), "no fields unit and label"),
        (lambda rows: rows[5].update(geometry=None), "1 rows of .* have no geometry"),
        (lambda rows: rows[5]["geometry"].update(type="Circle"), "cannot be read"),
        (lambda rows: rows.append(rows[0] | {"properties": rows[0]["properties"] | {"label": "none of these"}}),
         "twice, differently: u001 by anna"),
    ],
)  # fmt: skip
def test_files_that_were_tampered_with_are_refused_whole(
    places: Places, design: Design, tmp_path: Path, change: Change, says: str
) -> None:
    bad = filled(places, design, tmp_path / "bad.geojson", change)
    good = write_gpkg(places, design, tmp_path / "good.gpkg")
    with pytest.raises(BadInput, match=says):
        returns.take_in(places, design.id, [good, bad])
    assert returns.state_of(places, design.id).files == ()


def test_a_few_metres_are_no_matter(places: Places, design: Design, tmp_path: Path) -> None:
    state = returns.take_in(places, design.id, [filled(places, design, tmp_path / "a.geojson", moved(4.9))])
    assert state.reviewed.complete


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.txt", "", "is empty"),
        ("a.csv", "unit,label\nu001,forest\n", "no column 'easting'"),
        ("a.csv", "unit,label,labeller,easting,northing\nu001,forest,anna,nan,1\n", "easting is 'nan'"),
        ("a.shp", "x", "no file of labels"),
        ("a.gpkg", "x", "neither GeoPackage nor GeoJSON"),
        ("a.geojson", "{}", "not a GeoJSON FeatureCollection"),
        ("a.json", '{"type": "FeatureCollection", "features": [{"type": "Feature", "properties": {"a": 1}, '
                   '"geometry": {"type": "Point", "coordinates": [1, 2]}}]}', "no fields unit and label"),
    ],
)  # fmt: skip
def test_files_of_nothing_are_refused(
    places: Places, design: Design, tmp_path: Path, name: str, content: str, says: str
) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(BadInput, match=says):
        returns.take_in(places, design.id, [tmp_path / name], labeller="anna")
    with pytest.raises(BadInput, match="no file"):
        returns.take_in(places, design.id, [tmp_path / "nothing.csv"])


def test_shapes_that_cover_too_little_are_refused(places: Places, design: Design, tmp_path: Path) -> None:
    units = units_of(places, design.id)
    move = Transformer.from_crs(GRID.crs, "EPSG:4326", always_xy=True)
    west, south, east, north = units.squares[0].bounds
    ring = [
        list(move.transform(x, y))
        for x, y in shapely.box(west, south, west + 0.4 * (east - west), north).exterior.coords
    ]
    feature = {
        "type": "Feature", "geometry": {"type": "Polygon", "coordinates": [ring]},
        "properties": {"task_name": f"{design.id}_{units.id[0]}", "class": "forest"},
    }  # fmt: skip
    path = tmp_path / "a.json"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}))
    with pytest.raises(BadInput, match=r"No class covers more than half of u001.*'forest' 40%"):
        returns.take_in(places, design.id, [path], labeller="anna")
    feature["properties"] = {"task_name": "somebody else's", "class": "forest"}
    path.write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}))
    with pytest.raises(BadInput, match="belongs to nothing"):
        returns.take_in(places, design.id, [path], labeller="anna")


def test_people_who_disagree_need_a_second_look(places: Places, design: Design, tmp_path: Path) -> None:
    one = filled(places, design, tmp_path / "a.geojson")
    other = filled(places, design, tmp_path / "b.geojson", says_of("label", "none of these"), who="ben")
    state = returns.take_in(places, design.id, [one, other])
    assert list(state.reviewed.conflicts) == ["u003"]
    assert (state.reviewed.agreement.n, state.reviewed.agreement.same) == (120, 119)
    with pytest.raises(Refused, match="u003 needs a second look: anna says"):
        accept(places, design.id, "carla", allow_missing=True)
    assert not list(places.drop.glob("design-*"))
    for wrong, says in (({"u003": "jungle"}, "not in the legend"), ({"u999": "forest"}, "no units")):
        with pytest.raises(BadInput, match=says):
            returns.settle(places, design.id, wrong, "carla")
    with pytest.raises(BadInput, match="Nobody"):
        returns.settle(places, design.id, {"u003": "forest"}, " ")
    returns.settle(places, design.id, {"u003": "none of these"}, "carla")
    found = accept(places, design.id, "carla")
    assert "none of these" in found.accuracy.classes
    told = json.loads((tasks.home_of(places, design.id) / "accepted.json").read_text())
    assert told["settled"] == {"u003": "none of these"}
    delivered = sum(len(vector.read_layer(places.drop / name / "units.gpkg").geometries) for name in found.deliveries)
    assert delivered == 119


def test_labels_that_are_missing_are_counted_and_said(places: Places, design: Design, tmp_path: Path) -> None:
    def some(rows: list[dict[str, Any]]) -> None:
        del rows[:5]
        rows[0]["properties"]["label"] = ""
        rows[1]["properties"]["label"] = "cannot tell"
        rows[2]["properties"]["sure"] = "no"

    state = returns.take_in(places, design.id, [filled(places, design, tmp_path / "a.geojson", some)])
    assert len(state.reviewed.missing) == 6
    assert state.reviewed.unclear == ("u007",)
    assert state.reviewed.unsure == ("u008",)
    assert state.files[0].n_empty == 1
    with pytest.raises(Refused, match="6 of 120 units carry no label"):
        accept(places, design.id, "carla")
    with pytest.raises(BadInput, match="Nobody"):
        accept(places, design.id, "")
    found = accept(places, design.id, "anna", allow_missing=True)
    assert found.accuracy.n_missing == 7
    said = " ".join(found.notes)
    assert "6 of 120 units carry no label" in said
    assert "anna labelled and reviewed" in said
    assert "Nobody was sure of 1" in said


def test_nothing_returned_is_not_accepted(places: Places, design: Design) -> None:
    with pytest.raises(Refused, match="Nothing came back"):
        accept(places, design.id, "carla", allow_missing=True)
    with pytest.raises(NotFound, match="0 returned files"):
        returns.withdraw(places, design.id, "*")
    with pytest.raises(NotFound, match="No design"):
        returns.state_of(places, "design-" + "0" * 16)


def test_a_returned_file_that_is_altered_later_is_found(places: Places, design: Design, tmp_path: Path) -> None:
    state = returns.take_in(places, design.id, [filled(places, design, tmp_path / "a.geojson")])
    kept = next((tasks.home_of(places, design.id) / "returned").glob("*.geojson"))
    kept.write_text(kept.read_text().replace("forest", "water"))
    with pytest.raises(Refused, match="was altered or is gone"):
        returns.state_of(places, design.id)
    assert returns.withdraw(places, design.id, state.files[0].sha256).files == ()


def test_a_class_that_the_experiment_lost_is_not_delivered(places: Places, design: Design, tmp_path: Path) -> None:
    returns.take_in(places, design.id, [filled(places, design, tmp_path / "a.geojson")])
    content = json.loads(places.experiment.read_text())
    del content["classes"]["water"]
    places.experiment.write_text(json.dumps(content))
    with pytest.raises(BadInput, match="no class 'water'"):
        accept(places, design.id, "carla")


# --- the command line ------------------------------------------------------------------------


def told(*arguments: str | Path) -> Result:
    return CliRunner().invoke(verb.app, [str(a) for a in arguments])


def test_on_the_command_line_each_step_says_the_next(
    places: Places, drift: Drift, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verb, "places", lambda: places)
    assert "next: geoml labels ask" in told("status").stderr
    asked = told("ask", drift.id, "--units", "80", "--seed", "3")
    assert asked.exception is None, asked.exception
    design_id = json.loads(asked.stdout)["id"]
    assert "80 units, about 4.0 hours" in asked.stderr
    assert f"next: geoml labels export {design_id}" in asked.stderr
    exported = told("export", design_id, "--out", tmp_path / "tasks")
    assert (tmp_path / "tasks" / "units.qml").exists()
    assert f"next: people label; then geoml labels return {design_id}" in exported.stderr
    design = Shelf(places.nouns).get(Design, design_id)
    file = filled(places, design, tmp_path / "a.geojson", says_of("label", "none of these"))
    other = filled(places, design, tmp_path / "b.geojson", who="ben")
    back = told("return", design_id, file, other)
    assert "u003 needs a second look" in back.stderr
    assert "--settle u003=LABEL" in back.stderr
    assert json.loads(back.stdout)["conflicts"].keys() == {"u003"}
    done = told("return", design_id, "--settle", "u003=forest", "--accept", "carla")
    assert done.exception is None, done.exception
    assert json.loads(done.stdout)["kind"] == "accuracy"
    assert "geoml ingest check NAME" in done.stderr
    assert f"{design_id}: 80 of 80 units" in told("status").stderr
    assert isinstance(told("return", design_id, "--settle", "u003").exception, GeomlError)


def test_ground_kept_for_judging_is_ground_that_no_model_has_seen(
    places: Places, design: Design, tmp_path: Path
) -> None:
    returns.take_in(places, design.id, [filled(places, design, tmp_path / "a.geojson")])
    found = accept(places, design.id, "carla")
    version = ingest.track(places, [ingest.check(places, name).id for name in found.deliveries])
    assert version is not None
    shelf, table = Shelf(places.nouns), tabulate(places, version.id)
    folds = plan(places, table.id)[0]
    evaluation = shelf.put(any_noun(Evaluation).model_copy(update={"table": table.id, "plan": folds.id}))
    model = any_noun(Bundle).model_copy(update={"evaluation": evaluation.id})
    ground = unseen(places, tabulate(places, version.id, judging=True), (model,))
    units = units_of(places, design.id)
    secret = {(round(x), round(y)) for x, y, use in zip(units.easting, units.northing, units.use, strict=True)
              if use == "judging"}  # fmt: skip
    samples = ground.tabled.samples
    kept = {(round(samples.easting[i]), round(samples.northing[i])) for i in ground.kept}
    assert kept
    assert kept <= secret
    with pytest.raises(BadInput, match="a model learned from"):
        unseen(places, table, (model,))


# --- kill -9 ---------------------------------------------------------------------------------


def killed(work: Callable[[], object], after: float) -> None:
    process = multiprocessing.get_context("fork").Process(target=work)
    process.start()
    process.join(after)
    if process.is_alive():
        assert process.pid is not None
        os.kill(process.pid, signal.SIGKILL)
    process.join()


def files_in(folder: Path) -> dict[str, bytes]:
    found = {p.relative_to(folder).as_posix(): p for p in sorted(folder.rglob("*")) if p.is_file()}
    return {name: path.read_bytes() for name, path in found.items() if ".part" not in name}


@pytest.mark.parametrize("after", [0.02, 0.08, 0.2])
def test_a_killed_export_is_finished_by_the_next(places: Places, design: Design, tmp_path: Path, after: float) -> None:
    whole = tasks.export(places, design.id, tmp_path / "whole")
    killed(lambda: tasks.export(places, design.id, tmp_path / "broken"), after)
    tasks.export(places, design.id, tmp_path / "broken")
    assert files_in(tmp_path / "broken") == files_in(whole.folder)


@pytest.mark.parametrize("after", [0.01, 0.04, 0.1])
def test_a_killed_return_and_acceptance_lose_and_double_nothing(
    places: Places, design: Design, tmp_path: Path, after: float
) -> None:
    file = filled(places, design, tmp_path / "a.geojson")

    def work() -> None:
        returns.take_in(places, design.id, [file])
        accept(places, design.id, "carla")

    killed(work, after)
    for name in ("learning", "judging"):
        folder = places.drop / f"{design.id}-{name}"
        assert not folder.exists() or (folder / "delivery.yaml").exists()
    work()
    first = {name: content for name, content in files_in(places.drop).items() if name.startswith("design-")}
    assert len(first) == 6
    work()
    assert {name: content for name, content in files_in(places.drop).items() if name in first} == first
    assert len(list(Shelf(places.nouns).all(Accuracy))) == 1
    assert not (tasks.home_of(places, design.id) / "superseded").exists()


@pytest.mark.parametrize("tool", [True, False])
@pytest.mark.parametrize(
    "shape",
    [
        {"type": "Polygon", "coordinates": [[[500, 95], [501, 95], [501, 96], [500, 95]]]},
        {"type": "Polygon", "coordinates": [[[1e308, 0], [1e308, 1], [0, 1], [1e308, 0]]]},
        {"type": "LineString", "coordinates": [[13, 52], [13.1, 52]]},
        {"type": "Point", "coordinates": [13, 52]},
        {"type": "GeometryCollection", "geometries": []},
        {"type": "Polygon", "coordinates": [[[13, 52], [13.1, 52.1], [13.1, 52], [13, 52.1], [13, 52]]]},
        {"type": "MultiPolygon", "coordinates": []},
        {"type": "Polygon", "coordinates": [[[13, 52, 5], [13.1, 52.1, 5], [13.1, 52, 5], [13, 52, 5]]]},
    ],
    ids=range(8),
)
def test_strange_shapes_are_refused_in_a_sentence(
    places: Places, design: Design, tmp_path: Path, shape: dict[str, Any], tool: bool
) -> None:
    ours, theirs = {"unit": "u001", "label": "forest"}, {"task_name": f"{design.id}_u001", "class": "forest"}
    feature = {"type": "Feature", "geometry": shape, "properties": theirs if tool else ours}
    (tmp_path / "a.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}))
    with pytest.raises(BadInput):
        returns.take_in(places, design.id, [tmp_path / "a.geojson"], labeller="anna")


def test_a_second_look_may_come_first(places: Places, design: Design) -> None:
    returns.settle(places, design.id, {"u001": "forest", "u002": "cannot tell"}, "carla")
    found = returns.state_of(places, design.id)
    assert found.reviewed.labels == {"u001": "forest"}
    with pytest.raises(Refused, match="Nothing came back"):
        accept(places, design.id, "carla", allow_missing=True)


# --- judging deliveries of anybody -----------------------------------------------------------


def say_of_delivery(folder: Path, **said: Any) -> None:
    declaration = json.loads((folder / "delivery.yaml").read_text())
    (folder / "delivery.yaml").write_text(json.dumps(declaration | said))


def test_anybody_may_deliver_labels_that_only_judge(places: Places) -> None:
    folder = deliver.deliver_labels(places.drop / "exam", WORLD.polygons[:30], WORLD.labels[:30], GRID.crs)
    say_of_delivery(folder, use="judging", source="the mapping agency")
    verdict = ingest.check(places, "exam")
    assert verdict.accepted, verdict.reasons
    labels = Shelf(places.nouns).get(Labels, verdict.subject)
    assert (labels.use, labels.source, labels.parents) == ("judging", "the mapping agency", ())
    before = list(Shelf(places.nouns).all(Version))[-1]
    version = ingest.track(places)
    assert version is not None
    assert tabulate(places, version.id).n_samples == tabulate(places, before.id).n_samples


def test_a_version_of_labels_that_only_judge_cannot_train(tmp_path: Path) -> None:
    places = places_in(tmp_path, features=["B08", "B11"], sampling={"per_polygon": 4})
    deliver.write_delivery(WORLD, places.drop / "one")
    say_of_delivery(deliver.deliver_labels(places.drop / "exam", WORLD.polygons, WORLD.labels, GRID.crs), use="judging")
    version = ingest.track(places, [ingest.check(places, name).id for name in ("one", "exam")])
    assert version is not None
    with pytest.raises(BadInput, match="left out: 1 deliveries for judging"):
        tabulate(places, version.id)
    assert sum(tabulate(places, version.id, judging=True).n_samples.values()) > 0


@pytest.mark.parametrize(
    "said", [{"use": "exam"}, {"design": "../../etc"}, {"source": "x" * 401}, {"design": "scene-1"}]
)
def test_a_delivery_that_says_nonsense_is_refused(places: Places, said: dict[str, str]) -> None:
    say_of_delivery(deliver.deliver_labels(places.drop / "exam", WORLD.polygons, WORLD.labels, GRID.crs), **said)
    assert not ingest.check(places, "exam").accepted
