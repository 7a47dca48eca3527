"""Labels of every form from the drop to a table: points, polygons, rasters, legends, weights; bad ones in words."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import rasterio.warp
import shapely
import yaml
from pyproj import Transformer

from geoml_ops.adapters import vector
from geoml_ops.adapters.crs import reproject
from geoml_ops.adapters.nouns import Shelf
from geoml_ops.adapters.tables import read_table
from geoml_ops.core.errors import BadInput
from geoml_ops.core.flow import FeatureTable, Labels, Verdict
from geoml_ops.domain.fitting import fit, out_of_fold
from geoml_ops.domain.folds import materialise
from geoml_ops.domain.sampling import polygon_ids
from geoml_ops.domain.world import CLASSES, landscape
from geoml_ops.steps import deliver, ingest
from geoml_ops.steps.answers import open_answers
from geoml_ops.steps.evaluating import evaluated
from geoml_ops.steps.experiments import current_experiment
from geoml_ops.steps.models import builder, open_model
from geoml_ops.steps.places import Places
from geoml_ops.steps.samples import open_table
from geoml_ops.steps.tabulating import plan, tabulate
from geoml_ops.steps.train import choose
from tests.versions import places_in

WORLD = landscape(120, 96, seed=11, labelled_share=0.8)
GRID = WORLD.grid
LEGEND = {10 * (n + 1): name for n, name in enumerate(CLASSES)}
"""Codes 10, 20, … of the world's classes, in their order."""
CODED = ((WORLD.truth.astype(np.int64) + 1) * 10).astype(np.uint8)


def placed(home: Path, **sampling: Any) -> Places:
    return places_in(home, features=["B08", "B11"], sampling={"per_polygon": 8, **sampling})


@pytest.fixture(scope="module")
def judged_scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home in which the scene was accepted already."""
    home = tmp_path_factory.mktemp("scene")
    places = placed(home)
    deliver.write_delivery(WORLD, places.drop / "one")
    assert ingest.check(places, "one").accepted
    return home


@pytest.fixture
def home(judged_scene: Path, tmp_path: Path) -> Path:
    shutil.copytree(judged_scene, tmp_path / "home")
    return tmp_path / "home"


def hand_in(places: Places, name: str, said: Mapping[str, Any], **files: str) -> Verdict:
    """Hands in a delivery of labels whose files are there already, and returns its verdict."""
    folder = places.drop / name
    folder.mkdir(parents=True, exist_ok=True)
    for file, text in files.items():
        (folder / file.replace("_", ".")).write_text(text)
    (folder / "delivery.yaml").write_text(yaml.safe_dump({"kind": "labels", **said}))
    return ingest.check(places, name)


def raster_in(places: Places, codes: np.ndarray = CODED, name: str = "map", **changes: Any) -> Path:
    """Writes a raster of codes on the scene's grid into a delivery; keyword arguments change its profile."""
    folder = places.drop / name
    folder.mkdir(parents=True, exist_ok=True)
    profile = {
        "driver": "GTiff", "count": 1, "height": codes.shape[0], "width": codes.shape[1], "dtype": codes.dtype.name,
        "crs": GRID.crs, "transform": rasterio.Affine(*GRID.transform), **changes,
    }  # fmt: skip
    with rasterio.open(folder / "a.tif", "w", **profile) as target:
        target.write(codes, 1)
    return folder / "a.tif"


def geojson(
    places: Places, shapes: list[Any], rows: list[dict[str, Any]], name: str = "marks", crs: str = GRID.crs
) -> None:
    folder = places.drop / name
    folder.mkdir(parents=True, exist_ok=True)
    features = [
        {
            "type": "Feature",
            "geometry": shape if isinstance(shape, dict | None) else shapely.geometry.mapping(shape),
            "properties": row,
        }
        for shape, row in zip(shapes, rows, strict=True)
    ]
    content = {"type": "FeatureCollection", "crs": {"properties": {"name": crs}}, "features": features}
    (folder / "a.geojson").write_text(json.dumps(content))


MARKS = {"file": "a.geojson", "class_field": "kind"}


def tabled(places: Places) -> tuple[FeatureTable, dict[str, np.ndarray]]:
    version = ingest.track(places)
    assert version is not None
    table = tabulate(places, version.id)
    return table, read_table(places.tables, table.file).columns


def some_points(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Points anywhere in the scene, and the true class of their pixels."""
    rng = np.random.default_rng(seed)
    box = GRID.bounds
    east, north = rng.uniform(box.left, box.right, n), rng.uniform(box.bottom, box.top, n)
    pixels = [GRID.pixel_at(x, y) for x, y in zip(east, north, strict=True)]
    return east, north, [CLASSES[WORLD.truth[pixel]] for pixel in pixels]


# --- the good ways ---------------------------------------------------------------------------


def test_points_give_the_pixels_they_lie_in_and_are_units_of_their_own(home: Path) -> None:
    places = placed(home)
    east, north, names = some_points(250)
    shapes = [shapely.Point(x, y) for x, y in zip(east, north, strict=True)]
    outside = [shapely.Point(GRID.left - 5, GRID.top - 5), shapely.Point(GRID.bounds.right, GRID.top - 5)]
    geojson(places, [*shapes, *outside], [{"kind": name} for name in [*names, "water", "water"]])
    verdict = hand_in(places, "marks", MARKS)
    assert verdict.accepted, verdict.reasons
    labels = Shelf(places.nouns).get(Labels, verdict.subject)
    assert (labels.form, labels.n_polygons, sum(labels.n_points.values())) == ("vector", {}, 252)
    table, columns = tabled(places)
    truth = {}
    for x, y, name in zip(east, north, names, strict=True):
        truth[GRID.pixel_at(x, y)] = name
    found = dict(zip(zip(columns["row"], columns["col"], strict=True), columns["code"], strict=True))
    order = {
        name: code for code, entry in enumerate(_experiment(places)["classes"].values()) for name in entry["labels"]
    }
    assert found == {pixel: order[name] for pixel, name in truth.items()}
    assert table.left_out["points_outside"] == 2
    assert table.left_out["pixels_twice"] == 250 - len(truth)
    assert len(set(columns["polygon"])) == len(truth)
    rows = np.floor((GRID.top - columns["anchor_northing"]) / GRID.pixel_m)
    assert np.array_equal(rows, columns["row"])
    assert set(columns["drawn_from"]) == {"points"}
    assert sum(counts["points"] for counts in table.drawn_from.values()) == len(truth)


def _experiment(places: Places) -> dict[str, Any]:
    return json.loads(places.experiment.read_text())


@pytest.mark.parametrize("crs", ["EPSG:4326", "EPSG:32632", "EPSG:3035"])
def test_points_in_any_crs_give_the_same_samples(home: Path, crs: str, tmp_path: Path) -> None:
    keys = []
    for system in (GRID.crs, crs):
        shutil.copytree(home, tmp_path / system.replace(":", ""))
        places = placed(tmp_path / system.replace(":", ""))
        east, north, names = some_points(200)
        x, y = Transformer.from_crs(GRID.crs, system, always_xy=True).transform(east, north)
        geojson(places, [shapely.Point(*at) for at in zip(x, y, strict=True)], [{"kind": n} for n in names], crs=system)
        assert hand_in(places, "marks", MARKS).accepted
        _, columns = tabled(places)
        keys.append(sorted(zip(columns["row"], columns["col"], columns["code"], strict=True)))
    assert keys[0] == keys[1]


def test_a_raster_is_drawn_from_class_by_class(home: Path) -> None:
    places = placed(home, per_class=40, least_apart_m=30.0)
    raster_in(places, nodata=0)
    verdict = hand_in(places, "map", {"file": "a.tif", "legend": LEGEND})
    assert verdict.accepted, verdict.reasons
    labels = Shelf(places.nouns).get(Labels, verdict.subject)
    counts = dict(zip(*np.unique(CODED, return_counts=True), strict=True))
    assert labels.n_pixels == {LEGEND[code]: n for code, n in counts.items()}
    assert [(entry.code, entry.name) for entry in labels.legend] == list(LEGEND.items())
    table, columns = tabled(places)
    assert all(0 < n <= 40 for n in table.n_samples.values())
    assert {name: sum(c.values()) for name, c in table.drawn_from.items()} == table.n_samples
    names = [next(iter(entry["labels"])) for entry in _experiment(places)["classes"].values()]
    truth = [CLASSES[code] for code in WORLD.truth[columns["row"], columns["col"]]]
    assert [names[code] for code in columns["code"]] == truth
    at = np.column_stack([columns["easting"], columns["northing"]])
    apart = np.linalg.norm(at[:, None] - at[None], axis=-1) + 1e9 * np.eye(len(at))
    assert apart.min() >= 30.0
    assert np.array_equal(columns["anchor_easting"], columns["easting"])
    assert len(set(columns["polygon"])) == len(columns["polygon"])


@pytest.mark.parametrize("shift", [(0.0, 0.0), (5.0, 5.0), (-5.0, 5.0), (2.5, -7.5), (15.0, -25.0)])
def test_half_a_pixel_counts(home: Path, shift: tuple[float, float]) -> None:
    places = placed(home, per_class=10_000)
    right, up = shift
    raster_in(places, transform=rasterio.Affine(10.0, 0.0, GRID.left + right, 0.0, -10.0, GRID.top + up))
    assert hand_in(places, "map", {"file": "a.tif", "legend": LEGEND}).accepted
    _, columns = tabled(places)
    names = [next(iter(entry["labels"])) for entry in _experiment(places)["classes"].values()]
    found = {(r, c): names[k] for r, c, k in zip(columns["row"], columns["col"], columns["code"], strict=True)}
    # Brute force, in whole half decimetres: the centre of each pixel, and the pixel of the raster that holds it.
    truth = {}
    for row in range(GRID.height):
        for col in range(GRID.width):
            x, y = (200 * col + 100 - round(20 * right)) // 200, (round(20 * up) + 200 * row + 100) // 200
            if 0 <= x < GRID.width and 0 <= y < GRID.height:
                truth[(row, col)] = CLASSES[WORLD.truth[y, x]]
    assert found == truth


def test_a_raster_in_degrees_gives_what_rasterio_samples_under_each_centre(home: Path) -> None:
    places = placed(home, per_class=10_000)
    west, south, east, north = rasterio.warp.transform_bounds(GRID.crs, "EPSG:4326", *GRID.bounds.as_tuple())
    width, height = 71, 53
    codes = (np.random.default_rng(2).integers(1, 6, (height, width)) * 10).astype(np.uint16)
    codes[:9] = 7
    path = raster_in(
        places,
        codes,
        crs="EPSG:4326",
        nodata=7,
        transform=rasterio.transform.from_bounds(west, south, east, north, width, height),
    )
    assert hand_in(places, "map", {"file": "a.tif", "legend": LEGEND}).accepted
    with rasterio.open(
        places.incoming / next(p.name for p in places.incoming.glob("labels-*")) / "labels.tif"
    ) as source:
        rows, cols = (a.ravel() for a in np.mgrid[: GRID.height, : GRID.width])
        x, y = Transformer.from_crs(GRID.crs, "EPSG:4326", always_xy=True).transform(*GRID.centres(rows, cols))
        values = np.array([value[0] for value in source.sample(zip(x, y, strict=True))])
    assert not path.exists() or path.read_bytes()
    _, columns = tabled(places)
    names = [next(iter(entry["labels"])) for entry in _experiment(places)["classes"].values()]
    found = {(r, c): names[k] for r, c, k in zip(columns["row"], columns["col"], columns["code"], strict=True)}
    inside = values != 7
    truth = {(r, c): LEGEND[int(v)] for r, c, v in zip(rows[inside], cols[inside], values[inside], strict=True)}
    assert found == truth


def test_polygons_points_and_a_raster_of_one_version_never_contradict_each_other(home: Path) -> None:
    places = placed(home, per_class=60)
    deliver.deliver_labels(places.drop / "west", WORLD.polygons, WORLD.labels, GRID.crs)
    assert ingest.check(places, "west").accepted
    # Every third pixel of the map is wrong: where a polygon or a point says otherwise, nobody is believed.
    wrong = CODED.copy()
    wrong[:, ::3] = np.where(wrong[:, ::3] == 10, 20, 10)
    raster_in(places, wrong)
    assert hand_in(places, "map", {"file": "a.tif", "legend": LEGEND}).accepted
    east, north, names = some_points(120, seed=5)
    geojson(places, [shapely.Point(*at) for at in zip(east, north, strict=True)], [{"kind": n} for n in names])
    assert hand_in(places, "marks", MARKS).accepted
    table, columns = tabled(places)
    names = [next(iter(entry["labels"])) for entry in _experiment(places)["classes"].values()]
    said = np.array([names[code] for code in columns["code"]])
    polygons, form = columns["drawn_from"] == "polygons", columns["drawn_from"]
    assert set(form) == {"polygons", "points", "raster"}
    assert not (columns["col"][form != "raster"] % 3 == 0).any()
    assert table.left_out["pixels_of_two_classes"] > 0
    truth = np.array(CLASSES)[WORLD.truth[columns["row"], columns["col"]]]
    assert (said == truth)[polygons].all()
    assert len(set(zip(columns["row"], columns["col"], strict=True))) == len(said)
    assert all(sum(counts.values()) <= 60 for counts in table.drawn_from.values())
    assert {name: sum(counts.values()) for name, counts in table.drawn_from.items()} == table.n_samples


def test_a_class_that_is_too_large_loses_pixels_and_keeps_its_polygons(home: Path, tmp_path: Path) -> None:
    found = []
    for most in (None, 12):
        shutil.copytree(home, tmp_path / str(most))
        places = placed(tmp_path / str(most), **({"per_class": most} if most else {}))
        deliver.deliver_labels(places.drop / "west", WORLD.polygons, WORLD.labels, GRID.crs)
        ingest.check(places, "west")
        found.append(tabled(places))
    (_, everything), (table, few) = found
    keys = [set(zip(c["row"].tolist(), c["col"].tolist(), strict=True)) for c in (everything, few)]
    assert keys[1] < keys[0]
    for code in range(5):
        units = [set(c["polygon"][c["code"] == code]) for c in (everything, few)]
        assert (few["code"] == code).sum() == min(12, (everything["code"] == code).sum())
        assert len(units[1]) == min(len(units[0]), 12)
    assert table.left_out["pixels_beyond_per_class"] == len(everything["row"]) - len(few["row"])


@pytest.mark.parametrize("box", [(-180.0, -90.0, 180.0, 90.0), (-60.0, -80.0, 100.0, 89.0)])
def test_a_polygon_as_large_as_the_world_is_right_where_the_scene_is(home: Path, box: tuple[float, ...]) -> None:
    places = placed(home, per_class=300)
    # A raster of two classes, and a polygon of one of them around all of it: only pixels of that class stay.
    raster_in(places)
    assert hand_in(places, "map", {"file": "a.tif", "legend": LEGEND}).accepted
    geojson(places, [shapely.box(*box)], [{"kind": "scrub"}], crs="EPSG:4326")
    config = _experiment(places)
    rest = ["residential", "meadow", "forest", "water"]
    config["classes"] = {
        "open": {"labels": ["scrub", "farm"], "colour": "#1b5e20"}, "rest": {"labels": rest, "colour": "#d7263d"},
    }  # fmt: skip
    config["ignored_labels"], config["sampling"]["per_polygon"] = [], 500
    places.experiment.write_text(json.dumps(config))
    verdict = hand_in(places, "marks", MARKS)
    assert verdict.accepted, verdict.reasons
    with pytest.raises(BadInput, match=r"none of rest; left out: .* pixels of two classes"):
        tabled(places)


def test_several_points_in_one_record_are_units_of_their_own(home: Path) -> None:
    places = placed(home)
    east, north, names = some_points(90)
    found = []
    for several in (False, True):
        if several:
            shapes = [
                shapely.MultiPoint([(x, y) for x, y, n in zip(east, north, names, strict=True) if n == name])
                for name in CLASSES
            ]
            geojson(places, shapes, [{"kind": name} for name in CLASSES])
        else:
            geojson(places, [shapely.Point(*p) for p in zip(east, north, strict=True)], [{"kind": n} for n in names])
        assert hand_in(places, "marks", MARKS).accepted
        _, columns = tabled(places)
        found.append(sorted(zip(columns["row"], columns["col"], columns["polygon"], columns["code"], strict=True)))
        assert len(set(columns["polygon"])) == len(columns["polygon"])
    assert found[0] == found[1]


def test_polygons_and_points_may_share_a_file_and_strange_fields_do_no_harm(home: Path) -> None:
    places = placed(home, weight_field='a"b')
    east, north, names = some_points(40)
    shapes = [*WORLD.polygons, *(shapely.Point(*p) for p in zip(east, north, strict=True))]
    strange = {
        'a"b': 2.5,
        "select": 1,
        "ä;ö": 3,
        "FID": 9,
        "Kind": 4,
        "x" * 99: 1,
        " y": 2,
        "z\n": 3,
        "when": "2020-01-01",
    }
    geojson(places, shapes, [{"kind": name, **strange} for name in (*WORLD.labels, *names)])
    verdict = hand_in(places, "marks", MARKS)
    assert verdict.accepted, verdict.reasons
    labels = Shelf(places.nouns).get(Labels, verdict.subject)
    assert labels.fields == ('a"b', "select", "ä;ö")
    assert (sum(labels.n_polygons.values()), sum(labels.n_points.values())) == (len(WORLD.polygons), 40)
    table, columns = tabled(places)
    assert set(columns["weight"]) == {2.5}
    assert {what for what, n in table.drawn_from["forest"].items() if n} <= {"polygons", "points"}
    assert set(columns["drawn_from"]) == {"polygons", "points"}


@pytest.mark.parametrize("field", ["fid", "geom", "label"])
def test_a_class_may_stand_in_a_field_of_any_name(home: Path, field: str) -> None:
    places = placed(home)
    geojson(places, list(WORLD.polygons), [{field: name} for name in WORLD.labels])
    verdict = hand_in(places, "marks", {"file": "a.geojson", "class_field": field})
    assert verdict.accepted, verdict.reasons
    assert tabled(places)[0].n_samples["forest"] > 0


def test_the_same_delivery_gives_the_same_bytes(home: Path, tmp_path: Path) -> None:
    digests = []
    for copy in ("a", "b"):
        shutil.copytree(home, tmp_path / copy)
        places = placed(tmp_path / copy)
        geojson(places, [*WORLD.polygons, POINT], [{"kind": n, "trust": 1.5} for n in (*WORLD.labels, "water")])
        raster_in(places)
        subjects = [
            hand_in(places, "marks", MARKS).subject, hand_in(places, "map", {"file": "a.tif", "legend": LEGEND}).subject
        ]  # fmt: skip
        digests.append(subjects)
    assert digests[0] == digests[1]


def test_a_point_without_coordinates_in_a_geopackage_is_named(home: Path) -> None:
    places = placed(home)
    folder = places.drop / "marks"
    folder.mkdir(parents=True)
    shapes = np.array([shapely.Point(np.nan, 5.0), shapely.Point(GRID.left + 5, GRID.top - 5)])
    vector.write_records(folder / "a.gpkg", shapes, {"kind": np.array(["farm", "water"], dtype=object)}, GRID.crs, "p")
    reasons = " ".join(hand_in(places, "marks", {"file": "a.gpkg", "class_field": "kind"}).reasons)
    assert "Invalid points: coordinates that are no numbers" in reasons or "empty geometry" in reasons


def test_two_scenes_of_the_same_ground_share_their_units_and_the_limit(home: Path) -> None:
    places = placed(home, per_class=20)
    folder = deliver.write_delivery(WORLD, places.drop / "two")
    said = yaml.safe_load((folder / "delivery.yaml").read_text())
    (folder / "delivery.yaml").write_text(yaml.safe_dump({**said, "acquired": "2017-03-16T10:21:01Z"}))
    assert ingest.check(places, "two").accepted
    raster_in(places)
    assert hand_in(places, "map", {"file": "a.tif", "legend": LEGEND}).accepted
    table, columns = tabled(places)
    assert max(table.n_samples.values()) == 20
    scenes = [columns["scene"] == scene for scene in sorted(set(columns["scene"]))]
    pixels = [set(zip(columns["row"][s], columns["col"][s], columns["polygon"][s], strict=True)) for s in scenes]
    assert pixels[0] == pixels[1]
    assert len(pixels[0]) == 50


# --- legends and fields ----------------------------------------------------------------------

CSV = "code;name;colour\n10;residential;#d7263d\n20;farm;E9C46A\n30;meadow;\n40;forest;\n50;water;#2a6fbb\n"
YAML = "{10: residential, 20: {name: farm, colour: '#e9c46a'}, 30: meadow, 40: forest, 50: water}"
LISTED = json.dumps([{"code": code, "name": name} for code, name in LEGEND.items()])


@pytest.mark.parametrize(("file", "text"), [("legend_csv", CSV), ("legend_yaml", YAML), ("legend_json", LISTED)])
def test_a_legend_is_a_file_of_the_delivery(home: Path, file: str, text: str) -> None:
    places = placed(home)
    raster_in(places)
    verdict = hand_in(places, "map", {"file": "a.tif", "legend": file.replace("_", ".")}, **{file: text})
    assert verdict.accepted, verdict.reasons
    legend = Shelf(places.nouns).get(Labels, verdict.subject).legend
    assert {entry.code: entry.name for entry in legend} == LEGEND
    assert [entry.colour for entry in legend][1] == ("" if "json" in file else "#e9c46a")


@pytest.mark.parametrize(
    "codes", [[10, 20, 30, 40, 50], [10.0, 20.0, 30.0, 40.0, 50.0], ["10", "20", " 30", "040", "+50"]]
)
def test_a_field_may_hold_codes(home: Path, codes: list[Any]) -> None:
    places = placed(home)
    shapes = [WORLD.polygons[WORLD.labels.index(name)] for name in LEGEND.values()]
    geojson(places, shapes, [{"kind": code, "area": n * 1.5, "note": "x"} for n, code in enumerate(codes)])
    verdict = hand_in(places, "marks", {**MARKS, "legend": LEGEND})
    assert verdict.accepted, verdict.reasons
    labels = Shelf(places.nouns).get(Labels, verdict.subject)
    assert labels.n_polygons == dict.fromkeys(sorted(LEGEND.values()), 1)
    assert labels.fields == ("area",)
    stored = vector.read_layer(places.incoming / labels.id / "labels.gpkg")
    assert sorted(stored.columns) == ["area", "kind"]
    assert stored.columns["kind"].tolist() == list(LEGEND.values())


def test_whole_numbers_with_gaps_are_still_whole_numbers(home: Path, tmp_path: Path) -> None:
    places = places_in(home, features=["B08"], classes=_numbered())
    folder = places.drop / "marks"
    folder.mkdir(parents=True)
    codes = np.array([1.0, 2.0, np.nan])
    vector.write_records(
        folder / "a.gpkg", np.array([shapely.Point(GRID.left + 5 + n, GRID.top - 5) for n in range(3)]),
        {"kind": codes}, GRID.crs, "points",
    )  # fmt: skip
    verdict = hand_in(places, "marks", {"file": "a.gpkg", "class_field": "kind"})
    assert "label is not known for" in " ".join(verdict.reasons)
    assert "1.0" not in " ".join(verdict.reasons)


def _numbered() -> dict[str, Any]:
    return {"built": {"labels": ["1"], "colour": "#d7263d"}, "water": {"labels": ["2"], "colour": "#2a6fbb"}}


def test_weights_of_records_reach_the_table_and_what_has_none_counts_one(home: Path) -> None:
    places = placed(home, weight_field="trust")
    geojson(
        places,
        list(WORLD.polygons),
        [
            {"kind": name, "trust": [0, 0.25, 3, None][n % 4], "Fid": 3, "geom": 1}
            for n, name in enumerate(WORLD.labels)
        ],
    )
    verdict = hand_in(places, "marks", MARKS)
    assert verdict.accepted, verdict.reasons
    assert Shelf(places.nouns).get(Labels, verdict.subject).fields == ("trust",)
    table, columns = tabled(places)
    moved = vector.read_layer(next(places.store.glob("data/labels/marks/labels.gpkg"))).geometries
    for row, col, weight in zip(columns["row"], columns["col"], columns["weight"], strict=True):
        x, y = GRID.centres(np.array([row]), np.array([col]))
        inside = [n for n, shape in enumerate(moved) if shapely.contains_xy(shape, x[0], y[0])]
        assert weight in [[0, 0.25, 3, 1][n % 4] for n in inside]
    assert set(columns["weight"]) == {0.0, 0.25, 3.0, 1.0}
    opened = open_table(places, table)
    assert opened.weight is not None
    assert np.array_equal(opened.weight, columns["weight"])


def test_without_a_field_nothing_has_a_weight(home: Path) -> None:
    places = placed(home)
    deliver.deliver_labels(places.drop / "west", WORLD.polygons, WORLD.labels, GRID.crs)
    ingest.check(places, "west")
    table, columns = tabled(places)
    assert "weight" not in columns
    assert open_table(places, table).weight is None


def test_a_field_that_no_delivery_has_is_refused_when_samples_are_drawn(home: Path) -> None:
    places = placed(home, weight_field="trust")
    deliver.deliver_labels(places.drop / "west", WORLD.polygons, WORLD.labels, GRID.crs)
    assert ingest.check(places, "west").accepted
    with pytest.raises(BadInput, match="weight_field is 'trust', and no delivery of labels has numbers"):
        tabled(places)


def test_a_raster_without_a_limit_is_not_drawn_from(home: Path) -> None:
    places = placed(home)
    raster_in(places)
    assert hand_in(places, "map", {"file": "a.tif", "legend": LEGEND}).accepted
    with pytest.raises(BadInput, match=r"map are a raster of 11,520 labelled pixels.*per_class: 2000"):
        tabled(places)


# --- bad input -------------------------------------------------------------------------------


def bad(home: Path, said: dict[str, Any], words: str, **files: str) -> None:
    places = placed(home)
    verdict = hand_in(places, "map", said, **files)
    assert not verdict.accepted
    assert words in " ".join(verdict.reasons), verdict.reasons
    assert not list(places.incoming.glob("labels-*"))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"legend": {10: "residential"}}, "The legend does not name "),
        ({}, "delivery.yaml has no legend that names them"),
        ({"legend": LEGEND, "class_field": "kind"}, "is a raster and has no field 'kind'"),
        ({"legend": {**LEGEND, 20: "forest"}}, "calls both 20 and 40 'forest'"),
        ({"legend": {**LEGEND, "20.5": "x"}}, "code '20.5', which is no whole number"),
        ({"legend": {**LEGEND, 99: " "}}, "has no name for code 99"),
        ({"legend": {}}, "is empty"),
        ({"legend": {**LEGEND, 99: {"name": "x", "colour": "red"}}}, "gives code 99 the colour 'red'"),
        ({"legend": {**LEGEND, 50: "dragon"}}, "Unknown class names: dragon"),
        ({"legend": "absent.csv"}, "holds no legend 'absent.csv'"),
        ({"legend": "../../etc/passwd"}, "holds no legend"),
        ({"legend": LEGEND, "nodata": 50}, "Code 50 of a.tif is nodata, and the legend calls it 'water'"),
    ],
)
def test_a_bad_legend_is_refused_with_a_sentence(home: Path, changes: dict[str, Any], words: str) -> None:
    raster_in(placed(home))
    bad(home, {"file": "a.tif", **changes}, words)


@pytest.mark.parametrize(
    ("file", "text", "words"),
    [
        ("l_csv", "", "is empty"),
        ("l_csv", "code,name\n", "l.csv is empty"),
        ("l_csv", "code,name\n1,a\n1,b\n", "names code 1 twice: 'a' and 'b'"),
        ("l_csv", "code,name\n1,a\n2,a\n", "calls both 1 and 2 'a'"),
        ("l_csv", "number,name\n1,a\n", "has no column 'code'"),
        ("l_csv", "code,name\nx,a\n", "code 'x', which is no whole number"),
        ("l_yaml", "{1: a, 1: b}", "names '1' twice"),
        ("l_yaml", "{1: a, '1': b}", "names '1' twice"),
        ("l_yaml", "- {code: 1, nom: a}", "write code, name and colour"),
        ("l_yaml", "just words", "is no legend"),
        ("l_yaml", "a: &x {b: *x}", "aliases"),
        ("l_qml", "<qgis/>", "deliver a CSV file with the columns code, name, colour"),
    ],
)
def test_a_bad_legend_file_is_refused_with_a_sentence(home: Path, file: str, text: str, words: str) -> None:
    raster_in(placed(home))
    bad(home, {"file": "a.tif", "legend": file.replace("_", ".")}, words, **{file: text})


def test_unknown_codes_are_named_with_their_counts_the_most_frequent_first(home: Path) -> None:
    codes = CODED.copy()
    codes[:30, :40], codes[50:52, :10] = 77, 78
    places = placed(home)
    raster_in(places, codes)
    reasons = " ".join(hand_in(places, "map", {"file": "a.tif", "legend": LEGEND}).reasons)
    assert "The legend does not name 77 (1,200 pixels); 78 (20 pixels)." in reasons


def test_forty_thousand_codes_are_a_sentence(home: Path) -> None:
    places = placed(home)
    raster_in(places, np.arange(200 * 200, dtype=np.uint16).reshape(200, 200))
    reasons = " ".join(hand_in(places, "map", {"file": "a.tif", "legend": LEGEND}).reasons)
    assert "The legend does not name 0 (1 pixels); 1 (1 pixels);" in reasons
    assert "and 39987 more" in reasons
    assert len(reasons) < 1000


@pytest.mark.parametrize(
    ("codes", "changes", "words"),
    [
        (CODED.astype(np.float32), {}, "holds float32, not class codes"),
        (np.zeros_like(CODED), {"nodata": 0}, "There are no codes in the delivery"),
        (CODED, {"nodata": 20}, "Code 20 of a.tif is nodata, and the legend calls it 'farm'"),
        (
            CODED,
            {"transform": rasterio.Affine(10, 0, 7e5, 0, -10, 5.1e6)},
            "no labelled pixel lies on an accepted scene",
        ),
        (CODED, {"crs": None}, "has no EPSG code"),
    ],
)
def test_a_bad_raster_is_refused_with_a_sentence(
    home: Path, codes: np.ndarray, changes: dict[str, Any], words: str
) -> None:
    raster_in(placed(home), codes, **changes)
    bad(home, {"file": "a.tif", "legend": LEGEND}, words)


def test_what_the_delivery_says_of_nodata_counts_more_than_what_the_raster_says(home: Path) -> None:
    places = placed(home)
    raster_in(places, nodata=20)
    verdict = hand_in(places, "map", {"file": "a.tif", "legend": LEGEND, "nodata": "none"})
    assert verdict.accepted, verdict.reasons
    labels = Shelf(places.nouns).get(Labels, verdict.subject)
    assert labels.nodata is None
    assert labels.n_pixels["farm"] == (CODED == 20).sum()


POINT = {"type": "Point", "coordinates": [GRID.left + 5.0, GRID.top - 5.0]}


@pytest.mark.parametrize(
    ("shape", "crs", "words"),
    [
        (shapely.LineString([(GRID.left, GRID.top), (4e5, 5e6)]), GRID.crs, "LineString instead of a polygon or"),
        (shapely.GeometryCollection([shapely.Point(0, 0)]), GRID.crs, "GeometryCollection instead of"),
        (None, GRID.crs, "empty geometry"),
        ({"type": "Point", "coordinates": [float("nan"), 1.0]}, GRID.crs, "cannot be read"),
        ({"type": "Point", "coordinates": []}, GRID.crs, "empty geometry"),
        (shapely.Point(13.0, 97.0), "EPSG:4326", "a latitude of 97 degrees"),
        (shapely.Point(1300.0, 7.0), "EPSG:4326", "a longitude of 1300 degrees"),
        (shapely.Point(13.0, 90.0), "EPSG:4326", "touch no accepted scene"),
        (shapely.Point(GRID.left - 99, GRID.top), GRID.crs, "touch no accepted scene"),
        (shapely.Point(5, 5), "EPSG:99999", "cannot be read"),
    ],
)  # fmt: skip
def test_a_bad_geometry_is_refused_with_a_sentence(home: Path, shape: Any, crs: str, words: str) -> None:
    geojson(placed(home), [shape], [{"kind": "water"}], "map", crs)
    bad(home, MARKS, words)


@pytest.mark.parametrize(
    ("said", "row", "words"),
    [
        ({"file": "a.geojson"}, {"kind": "water"}, "names no class_field of a.geojson.; try: name one of kind"),
        ({"file": "a.geojson", "class_field": "use"}, {"kind": "water"}, "has no field 'use'; it has kind"),
        (MARKS, {"kind": None}, "label is not known"),
        (MARKS, {"kind": "dragon"}, "Unknown class names: dragon"),
        ({**MARKS, "nodata": 3}, {"kind": "water"}, "says nodata, but a.geojson is no raster"),
        ({**MARKS, "legend": LEGEND}, {"kind": 11}, "holds what the legend does not name: 11 (1)"),
        ({**MARKS, "legend": LEGEND}, {"kind": "water"}, "holds what the legend does not name: water (1)"),
        ({**MARKS, "legend": LEGEND}, {"kind": True}, "holds what the legend does not name: True (1)"),
        ({**MARKS, "legend": LEGEND}, {"kind": 10.5}, "holds what the legend does not name: 10.5 (1)"),
    ],
)
def test_a_bad_class_is_refused_with_a_sentence(
    home: Path, said: dict[str, Any], row: dict[str, Any], words: str
) -> None:
    geojson(placed(home), [POINT], [row], "map")
    head, _, way = words.partition("; try: ")
    bad(home, said, head)
    assert way in (next(placed(home).quarantine.glob("map-*")) / "reasons.txt").read_text()


@pytest.mark.parametrize("weight", [-0.5, "much", True, float("inf")])
def test_a_weight_that_cannot_be_is_refused_with_a_sentence(home: Path, weight: Any) -> None:
    places = placed(home, weight_field="trust")
    geojson(places, [POINT] * 2, [{"kind": "water", "trust": weight}, {"kind": "farm", "trust": 1}])
    reasons = " ".join(hand_in(places, "marks", MARKS).reasons)
    assert "Weights must be numbers from 0" in reasons


def test_a_class_of_no_weight_is_refused_when_samples_are_drawn(home: Path) -> None:
    places = placed(home, weight_field="trust")
    geojson(places, list(WORLD.polygons), [{"kind": n, "trust": float(n != "water")} for n in WORLD.labels])
    assert hand_in(places, "marks", MARKS).accepted
    with pytest.raises(BadInput, match="All samples of water have weight 0"):
        tabled(places)


def test_an_empty_file_is_refused_with_a_sentence(home: Path) -> None:
    folder = placed(home).drop / "map"
    folder.mkdir(parents=True)
    (folder / "a.tif").write_bytes(b"")
    bad(home, {"file": "a.tif", "legend": LEGEND}, "neither GeoTIFF nor JP2")


def test_a_long_edge_in_degrees_is_straight_in_degrees(home: Path) -> None:
    places = placed(home)
    box = reproject(np.array([shapely.box(*GRID.bounds.as_tuple())]), GRID.crs, "EPSG:4326")[0].bounds
    middle = (box[1] + box[3]) / 2
    # A band of 20 degrees whose upper edge cuts through the scene: in UTM it is bent by hundreds of metres.
    band = shapely.box(box[0] - 10, middle - 1, box[2] + 10, middle)
    shapes = [band, *reproject(np.array(WORLD.polygons), GRID.crs, "EPSG:4326")]
    geojson(places, shapes, [{"kind": name} for name in ("scrub", *WORLD.labels)], crs="EPSG:4326")
    config = _experiment(places)
    grass, rest = ["meadow", "scrub"], ["residential", "farm", "forest", "water"]
    config["classes"] = {
        name: {"labels": labels, "colour": "#1b5e20"} for name, labels in (("grass", grass), ("rest", rest))
    }
    config["ignored_labels"] = []
    config["sampling"] = {"per_polygon": 100_000}
    places.experiment.write_text(json.dumps(config))
    assert hand_in(places, "marks", MARKS).accepted
    _, columns = tabled(places)
    north = Transformer.from_crs(GRID.crs, "EPSG:4326", always_xy=True).transform(
        columns["easting"], columns["northing"]
    )[1]
    name = polygon_ids([shapely.multipolygons([band])])[0]
    assert north[columns["polygon"] == name].max() <= middle
    rows, cols = (a.ravel() for a in np.mgrid[: GRID.height, : GRID.width])
    lat = Transformer.from_crs(GRID.crs, "EPSG:4326", always_xy=True).transform(*GRID.centres(rows, cols))[1]
    meadow = {(r, c) for r, c in zip(rows[lat < middle], cols[lat < middle], strict=True)}
    found = set(zip(columns["row"].tolist(), columns["col"].tolist(), strict=True))
    # Whatever lies below the edge and in no polygon of another class is there.
    other = shapely.union_all([s for s, n in zip(WORLD.polygons, WORLD.labels, strict=True) if n != "meadow"])
    free = {
        p
        for p in meadow
        if not shapely.contains_xy(other, *(float(v[0]) for v in GRID.centres(*np.array([[p[0]], [p[1]]]))))
    }
    assert free <= found


# --- weights while models learn --------------------------------------------------------------


def test_weights_reach_the_models_inside_folds_and_the_one_that_is_kept(tmp_path: Path) -> None:
    world = landscape(240, 180, seed=11, labelled_share=0.8)
    places = places_in(
        tmp_path,
        features=["B08", "B11"],
        sampling={"per_polygon": 8, "weight_field": "trust"},
        folds={"block_m": 400.0, "buffer_m": 20.0, "n_folds": 3},
        families={"random_forest": {"n_estimators": 10}},
    )
    deliver.write_delivery(world, places.drop / "one")
    # Every second polygon is called what the next class is called, and is not trusted.
    names = [CLASSES[(CLASSES.index(name) + n % 2) % 5] for n, name in enumerate(world.labels)]
    trust = [1.0 - n % 2 for n in range(len(names))]
    geojson(places, list(world.polygons), [{"kind": k, "trust": t} for k, t in zip(names, trust, strict=True)])
    assert ingest.check(places, "one").accepted
    assert hand_in(places, "marks", MARKS).accepted
    table, _ = tabled(places)
    plans = plan(places, table.id)
    evaluation = Shelf(places.nouns).put(evaluated(places, plans, current_experiment(places), "random_forest"))
    opened, found = open_table(places, table), open_answers(places, evaluation.predictions).out_of_fold
    assert opened.weight is not None
    build = builder("random_forest", {"n_estimators": 10}, current_experiment(places))
    splits = materialise(plans[0], opened.samples)
    asked = (opened.features, opened.samples.code, splits, build, 5)
    weighed = out_of_fold(*asked, weight=opened.weight)
    np.testing.assert_allclose(found.probability, weighed.probability, atol=1e-7)
    blind = out_of_fold(*asked)
    trusted = found.tested & (opened.weight > 0)
    right = [(answers.predicted == opened.samples.code)[trusted].mean() for answers in (found, blind)]
    assert right[0] > right[1] + 0.1
    # Scores count every sample once, trusted or not.
    every = (found.predicted == opened.samples.code)[found.tested].mean()
    assert evaluation.scores["overall_accuracy"].value == pytest.approx(every)
    chosen = choose(places, (evaluation.id,))
    kept = open_model(places, chosen).probability(opened.features)
    alone = fit(build, opened.features, opened.samples.code, 5, weight=opened.weight).probability(opened.features)
    assert np.array_equal(kept, alone)
