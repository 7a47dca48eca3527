"""Polygons from two formats, and what is refused before GDAL sees it."""

import json

import numpy as np
import pytest
import shapely

from geoml_ops.adapters import vector
from geoml_ops.core.errors import BadInput, StorageFull, TooLarge

SHAPES = [shapely.box(4e5 + i, 5.8e6, 4e5 + i + 1, 5.8e6 + 1) for i in range(5)]
NAMES = ["forest", "water", "farm", "farm", "grass"]


def geojson(path, features=None, **extra):
    features = (
        [
            {"type": "Feature", "properties": {"fclass": name}, "geometry": json.loads(shapely.to_geojson(shape))}
            for shape, name in zip(SHAPES, NAMES, strict=True)
        ]
        if features is None
        else features
    )
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features, **extra}))
    return path


def test_what_is_written_reads_back_and_has_the_same_bytes(tmp_path):
    for name in ("a.gpkg", "b.gpkg"):
        vector.write_polygons(tmp_path / name, SHAPES, NAMES, "fclass", "EPSG:32633")
    found = vector.read_polygons(tmp_path / "a.gpkg", "fclass")
    assert (found.crs, found.labels) == ("EPSG:32633", NAMES)
    assert shapely.equals(found.geometries, np.array(SHAPES)).all()
    assert (tmp_path / "a.gpkg").read_bytes() == (tmp_path / "b.gpkg").read_bytes()


def test_geojson_with_and_without_a_named_crs(tmp_path):
    named = {"crs": {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::32633"}}}
    found = vector.read_polygons(geojson(tmp_path / "a.geojson", **named), "fclass")
    assert (found.crs, found.labels) == ("EPSG:32633", NAMES)
    assert shapely.equals(found.geometries, np.array(SHAPES)).all()
    assert vector.read_polygons(geojson(tmp_path / "b.geojson"), "fclass").crs == "EPSG:4326"


@pytest.mark.parametrize("name", ["http://127.0.0.1:1/crs", "/etc/hostname", "EPSG:999999", "urn:ogc:def:crs:OGC::X"])
def test_a_crs_is_never_looked_up_elsewhere(tmp_path, name):
    path = geojson(tmp_path / "a.geojson", crs={"type": "name", "properties": {"name": name}})
    with pytest.raises(BadInput):
        vector.read_polygons(path, "fclass")


def test_a_missing_field_is_named(tmp_path):
    vector.write_polygons(tmp_path / "a.gpkg", SHAPES, NAMES, "fclass", "EPSG:32633")
    with pytest.raises(BadInput, match="no field 'kind'; it has fclass"):
        vector.read_polygons(tmp_path / "a.gpkg", "kind")
    with pytest.raises(BadInput, match="no field 'kind'"):
        vector.read_polygons(geojson(tmp_path / "a.geojson"), "kind")


@pytest.mark.parametrize(
    "content",
    [
        b"<OGRVRTDataSource><OGRVRTLayer name='x'></OGRVRTLayer></OGRVRTDataSource>",
        b"SQLite format 3\0" + b"\0" * 84,
        b"[1, 2]",
        b'{"type": "FeatureCollection"',
        b'{"type": "Feature"}',
        b'{"type": "FeatureCollection", "features": [{"properties": {"fclass": "a"}, "geometry": {"type": "Odd"}}]}',
        b'{"a":' * 100_000,
        b"",
    ],
)
def test_everything_else_is_bad_input(tmp_path, content):
    (tmp_path / "labels.gpkg").write_bytes(content)
    with pytest.raises(BadInput):
        vector.read_polygons(tmp_path / "labels.gpkg", "fclass")


def test_a_truncated_geopackage_is_bad_input(tmp_path):
    vector.write_polygons(tmp_path / "a.gpkg", SHAPES, NAMES, "fclass", "EPSG:32633")
    whole = (tmp_path / "a.gpkg").read_bytes()
    for share in (0.005, 0.1, 0.5):
        (tmp_path / "cut.gpkg").write_bytes(whole[: int(len(whole) * share)])
        with pytest.raises(BadInput):
            vector.read_polygons(tmp_path / "cut.gpkg", "fclass")


def test_links_and_too_many_vertices_are_refused(tmp_path):
    (tmp_path / "link.gpkg").symlink_to("/etc/hostname")
    with pytest.raises(BadInput, match="not a regular file"):
        vector.read_polygons(tmp_path / "link.gpkg", "fclass")
    turn = np.linspace(0, 2 * np.pi, 500_001)
    ring = shapely.Polygon(np.column_stack([np.cos(turn), np.sin(turn)]))
    vector.write_polygons(tmp_path / "a.gpkg", [ring] * 2, ["a", "b"], "fclass", "EPSG:32633")
    with pytest.raises(TooLarge, match="vertices"):
        vector.read_polygons(tmp_path / "a.gpkg", "fclass")


def test_rows_without_geometry_or_name_are_kept_for_the_checks(tmp_path):
    features = [
        {"type": "Feature", "properties": {"fclass": None}, "geometry": None},
        {"type": "Feature", "properties": {"fclass": "a"}, "geometry": json.loads(shapely.to_geojson(SHAPES[0]))},
    ]
    found = vector.read_polygons(geojson(tmp_path / "a.geojson", features), "fclass")
    assert found.labels == [None, "a"]
    assert found.geometries[0] is None


def test_a_full_disk_is_said(small_disk):
    shapes = [shapely.box(i, i, i + 1, i + 1) for i in range(30_000)]
    with pytest.raises(StorageFull, match="No space left"):
        vector.write_polygons(small_disk / "a.gpkg", shapes, ["a"] * len(shapes), "fclass", "EPSG:32633")
    assert not list(small_disk.glob("*.gpkg"))


@pytest.mark.parametrize(
    ("name", "crs"),
    [
        ("EPSG:32633", "EPSG:32633"),
        ("EPSG:3035", "EPSG:3035"),
        ("urn:ogc:def:crs:EPSG::32633", "EPSG:32633"),
        ("urn:ogc:def:crs:EPSG:9.8.15:25833", "EPSG:25833"),
        ("urn:ogc:def:crs:OGC:1.3:CRS84", "EPSG:4326"),
    ],
)
def test_a_crs_is_read_in_each_of_its_spellings(tmp_path, name, crs):
    named = {"crs": {"type": "name", "properties": {"name": name}}}
    (tmp_path / "a.geojson").write_text(json.dumps({"type": "FeatureCollection", **named, "features": []}))
    assert vector.read_layer(tmp_path / "a.geojson").crs == crs


def test_records_of_all_kinds_come_back_as_they_were_written(tmp_path):
    shapes = [shapely.Point(1, 2, 3), shapely.MultiPoint([(1, 2), (3, 4)]), *SHAPES]
    numbers = {"trust": np.array([0.5, np.nan, *np.arange(len(SHAPES))]), "a'\"b": np.ones(len(shapes))}
    names = [f"n{n}" for n in range(len(shapes))]
    for part, kind in ((shapes, "mixed"), (shapes[:1], "points"), (shapes[2:], "polygons")):
        some = {name: column[: len(part)] for name, column in numbers.items()}
        vector.write_labels(tmp_path / f"{kind}.gpkg", part, names[: len(part)], "use", "EPSG:32633", numbers=some)
        vector.write_labels(tmp_path / "again.gpkg", part, names[: len(part)], "use", "EPSG:32633", numbers=some)
        assert (tmp_path / "again.gpkg").read_bytes() == (tmp_path / f"{kind}.gpkg").read_bytes()
        found = vector.read_layer(tmp_path / f"{kind}.gpkg")
        assert found.columns["use"].tolist() == names[: len(part)]
        np.testing.assert_array_equal(found.columns["trust"], some["trust"])
        assert all(
            shapely.equals_exact(shapely.normalize(got), shapely.normalize(shapely.force_2d(wanted)))
            or shapely.equals(got, wanted)
            for got, wanted in zip(found.geometries, part, strict=True)
        )
        assert not shapely.has_z(found.geometries).any()
