"""Distances against brute force by GEOS, counts and lengths within circles, and layers that say nothing."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from geoml_ops.core.errors import BadInput
from geoml_ops.core.grid import Grid, Window
from geoml_ops.domain.covariates import Stage, Vectors
from geoml_ops.domain.covariates.distance import (
    RECIPE,
    DistanceOptions,
    boundary_distance,
    distance,
    ground_of,
    make,
    signed_distance,
)
from geoml_ops.domain.covariates.planar import counts_within, covering, lengths_within, nearest, segments_of
from geoml_ops.domain.covariates.registry import RECIPES

MIDDLE = np.array([500_185.0, 5_899_855.0])
GRID = Grid(crs="EPSG:32633", left=500_000.0, top=5_900_000.0, pixel_m=10.0, width=37, height=29)
PLAIN = DistanceOptions()


def layer(*geometries: object, **fields: Sequence[object]) -> Vectors:
    held = np.empty(len(geometries), dtype=object)
    held[:] = geometries
    return Vectors(held, {name: np.array(values, dtype=object) for name, values in fields.items()})


def centres(grid: Grid) -> np.ndarray:
    rows, cols = np.mgrid[: grid.height, : grid.width]
    return np.asarray(shapely.points(*grid.centres(rows, cols)))


def brute(geometries: np.ndarray, grid: Grid) -> np.ndarray:
    places = centres(grid)
    return np.asarray(np.min([shapely.distance(places, g) for g in geometries], axis=0))


def scattered(seed: int, n: int = 6, spread_m: float = 900.0) -> np.ndarray:
    """Points, lines, polygons with holes, multis and collections on and beyond the grid."""
    rng = np.random.default_rng(seed)
    near = rng.uniform(-spread_m, spread_m, (n, 2)) + MIDDLE
    points = shapely.points(near)
    lines = [shapely.LineString(p + rng.normal(0, 120, (4, 2))) for p in near[: n // 2]]
    discs = [shapely.Point(p + rng.normal(0, 200, 2)).buffer(rng.uniform(5, 160)) for p in near[: n // 2]]
    rings = [d.difference(d.centroid.buffer(rng.uniform(1, 4) * d.length / 40)) for d in discs]
    several = shapely.MultiPoint([*near[:2]])
    mixed = shapely.GeometryCollection([shapely.MultiLineString(lines[:2]), discs[0], several])
    found = [*points, *lines, *discs, *(r for r in rings if not r.is_empty), several, mixed]
    kept = rng.choice(len(found), size=max(1, n // 2), replace=False)
    return layer(*[found[i] for i in kept]).geometries


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([60.0, 900.0, 40_000.0]))
def test_distances_equal_brute_force(seed: int, spread_m: float) -> None:
    geometries = scattered(seed, spread_m=spread_m)
    ground = ground_of({"a": Vectors(geometries)}, GRID, PLAIN, signed=False)
    assert np.abs(distance(ground, GRID, GRID.whole) - brute(geometries, GRID)).max() < 1e-6
    edges = layer(*[g if g.geom_type == "GeometryCollection" else _edge(g) for g in geometries]).geometries
    if not any(g.geom_type == "GeometryCollection" for g in geometries):
        assert np.abs(boundary_distance(ground, GRID, GRID.whole) - brute(edges, GRID)).max() < 1e-6


def _edge(geometry: shapely.Geometry) -> shapely.Geometry:
    return shapely.boundary(geometry) if shapely.get_dimensions(geometry) == 2 else geometry


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6))
def test_what_a_pixel_gets_does_not_depend_on_its_window(seed: int) -> None:
    rng = np.random.default_rng(seed)
    ground = ground_of({"a": Vectors(scattered(seed))}, GRID, PLAIN, signed=False)
    row, col = int(rng.integers(0, GRID.height)), int(rng.integers(0, GRID.width))
    window = Window(
        col=col,
        row=row,
        width=int(rng.integers(1, GRID.width - col + 1)),
        height=int(rng.integers(1, GRID.height - row + 1)),
    )
    part = window.slices()
    assert np.array_equal(distance(ground, GRID, window), distance(ground, GRID, GRID.whole)[part])
    assert np.array_equal(nearest(ground.pieces, GRID, window)[1], nearest(ground.pieces, GRID, GRID.whole)[1][part])
    for radius in (25.0, 130.0):
        whole = counts_within(ground.pieces, GRID, GRID.whole, radius)[part]
        assert np.array_equal(counts_within(ground.pieces, GRID, window, radius), whole)
        metres = lengths_within(ground.pieces, GRID, GRID.whole, radius)[part]
        assert np.array_equal(lengths_within(ground.pieces, GRID, window, radius), metres)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.floats(1.0, 400.0))
def test_counts_equal_brute_force(seed: int, radius_m: float) -> None:
    geometries = scattered(seed)
    pieces = segments_of(geometries, GRID)
    expected = np.sum([shapely.distance(centres(GRID), g) <= radius_m for g in geometries], axis=0)
    assert np.array_equal(counts_within(pieces, GRID, GRID.whole, radius_m), expected)


@pytest.mark.parametrize("radius_m", [10.0, 30.0, 50.0, 130.0])
def test_a_pixel_exactly_on_the_circle_counts(radius_m: float) -> None:
    place = shapely.Point(500_185.0, 5_899_855.0)
    found = make(Stage(GRID, vectors={"a": layer(place)}), ("count", "density"), DistanceOptions(radius_m=radius_m))
    rows, cols = np.mgrid[: GRID.height, : GRID.width]
    expected = (rows - 14) ** 2 + (cols - 18) ** 2 <= (radius_m / 10) ** 2
    assert np.array_equal(found["count"] == 1, expected)
    assert np.allclose(found["density"][14, 18], 1e6 / (np.pi * radius_m**2))


def test_lengths_are_chords() -> None:
    line = layer(shapely.LineString([(499_000, 5_899_855), (502_000, 5_899_855)]))
    found = lengths_within(segments_of(line.geometries, GRID), GRID, GRID.whole, 100.0)
    aside = np.abs(np.arange(GRID.height) - 14) * 10.0
    chords = 2 * np.sqrt(np.maximum(100.0**2 - aside**2, 0))
    assert np.allclose(found, chords[:, None], atol=1e-9)
    made = make(Stage(GRID, vectors={"a": line}), ("length_density",), DistanceOptions(radius_m=100.0))
    assert np.allclose(made["length_density"], found / 1000 / (np.pi * 0.01), rtol=1e-6)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6), st.floats(5.0, 300.0))
def test_lengths_equal_lines_cut_to_circles(seed: int, radius_m: float) -> None:
    rng = np.random.default_rng(seed)
    lines = shapely.linestrings(rng.normal(0, 250, (5, 6, 2)) + MIDDLE)
    found = lengths_within(segments_of(lines, GRID), GRID, GRID.whole, radius_m)[::7, ::9]
    circles = shapely.buffer(centres(GRID)[::7, ::9], radius_m, quad_segs=256)
    expected = sum(shapely.length(shapely.intersection(circles, line)) for line in lines)
    assert np.allclose(found, expected, rtol=2e-3, atol=1.0)


def test_points_on_pixel_centres_equal_the_distance_transform_of_scipy() -> None:
    rng = np.random.default_rng(3)
    rows, cols = rng.integers(0, 29, 12), rng.integers(0, 37, 12)
    free = np.ones(GRID.shape, dtype=bool)
    free[rows, cols] = False
    points = shapely.points(*GRID.centres(rows, cols))
    found = make(Stage(GRID, vectors={"a": Vectors(points)}), ("distance",), PLAIN)["distance"]
    assert np.array_equal(found, ndimage.distance_transform_edt(free, sampling=10.0).astype(np.float32))


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6))
def test_signed_distances_are_those_to_the_common_outline(seed: int) -> None:
    rng = np.random.default_rng(seed)
    places = rng.uniform(-150, 150, (5, 2)) + MIDDLE
    discs = shapely.buffer(shapely.points(places), rng.uniform(10, 120, 5))
    ground = ground_of({"a": Vectors(discs)}, GRID, PLAIN, signed=True)
    union = shapely.union_all(discs)
    metres = shapely.distance(centres(GRID), shapely.boundary(union))
    expected = np.where(shapely.contains(union, centres(GRID)), -metres, metres)
    assert np.abs(signed_distance(ground, GRID, GRID.whole) - expected).max() < 1e-6


def test_polygons_that_share_edges_leave_no_gap_and_cover_nothing_twice() -> None:
    rng = np.random.default_rng(0)
    # Triangles around one point, turned both ways, with edges through pixel centres.
    middle, rim = (500_185.0, 5_899_855.0), [(500_005.0, 5_899_715.0), (500_005.0, 5_899_995.0)]
    rim += [(500_365.0, 5_899_995.0), (500_365.0, 5_899_715.0)]
    corners = [(middle, rim[i], rim[(i + 1) % 4]) for i in range(4)]
    triangles = [shapely.Polygon(c if rng.random() < 0.5 else c[::-1]) for c in corners]
    pieces = segments_of(layer(*triangles).geometries, GRID)
    owners = covering(pieces, GRID, GRID.whole)
    assert (owners[1:27, 1:35] >= 0).all()
    for i, triangle in enumerate(triangles):
        alone = covering(segments_of(layer(triangle).geometries, GRID), GRID, GRID.whole) >= 0
        assert np.array_equal(alone, owners == i)


def test_holes_islands_and_touching_rings_count_as_geos_counts_them() -> None:
    hole = shapely.Polygon(
        [(500_000, 5_899_700), (500_370, 5_899_700), (500_370, 5_900_000), (500_000, 5_900_000)],
        [[(500_101, 5_899_801), (500_203, 5_899_801), (500_203, 5_899_907), (500_101, 5_899_907)]],
    )
    island = shapely.Point(500_150, 5_899_850).buffer(22)
    several = shapely.MultiPolygon([hole, island])
    ground = ground_of({"a": layer(several)}, GRID, PLAIN, signed=True)
    assert np.abs(distance(ground, GRID, GRID.whole) - brute(layer(several).geometries, GRID)).max() < 1e-9


def test_of_equally_near_records_the_first_is_named() -> None:
    one, other = shapely.Point(500_175, 5_899_855), shapely.Point(500_195, 5_899_855)
    for order in ((one, other), (other, one)):
        which = nearest(segments_of(layer(*order).geometries, GRID), GRID, GRID.whole)[1]
        assert which[14, 18] == 0


def test_products_and_limits() -> None:
    stage = Stage(GRID, vectors={"a": layer(shapely.Point(500_185, 5_899_855))})
    found = make(stage, ("log1p_distance", "distance"), DistanceOptions(most_m=55.0))
    assert list(found) == ["log1p_distance", "distance"]
    assert found["distance"].max() == 55.0
    assert found["distance"].dtype == np.float32
    assert np.allclose(found["log1p_distance"], np.log1p(found["distance"]), rtol=1e-6)


def test_several_layers_are_one_ground() -> None:
    one, other = layer(shapely.Point(500_005, 5_899_995)), layer(shapely.Point(500_365, 5_899_715))
    both = make(Stage(GRID, vectors={"a": one, "b": other}), ("distance",), PLAIN)["distance"]
    alone = [make(Stage(GRID, vectors={"a": v}), ("distance",), PLAIN)["distance"] for v in (one, other)]
    assert np.array_equal(both, np.minimum(*alone))


def test_only_records_that_are_meant_count() -> None:
    places = [shapely.Point(500_005 + 50 * i, 5_899_995) for i in range(4)]
    roads = layer(*places, kind=["path", "road", "road", None], lanes=[1, 2, 1, 1], lit=[True, False, True, 1])

    def at_first(**where: tuple[object, ...]) -> float:
        options = DistanceOptions.model_validate({"where": where})
        return float(make(Stage(GRID, vectors={"roads": roads}), ("distance",), options)["distance"][0, 0])

    assert at_first(kind=("path",)) == 0
    assert at_first(kind=("road",)) == 50
    assert at_first(kind=("road",), lanes=(1,)) == 100
    assert at_first(lit=(1,)) == 150
    assert at_first(lit=(True,)) == 0
    with pytest.raises(BadInput, match="no field 'surface'"):
        at_first(surface=("paved",))
    with pytest.raises(BadInput, match=r"'raod' in 'kind'.*'road'"):
        at_first(kind=("raod",))
    with pytest.raises(BadInput, match="has all of kind in path; lanes in 2"):
        at_first(kind=("path",), lanes=(2,))


BOW = shapely.Polygon([(500_000, 5_899_750), (500_300, 5_899_950), (500_300, 5_899_750), (500_000, 5_899_950)])


@pytest.mark.parametrize(
    ("vectors", "said"),
    [
        (layer(), "holds no records"),
        (layer(shapely.Point(5e5, 5.9e6), None, None), "2 of 3 records of roads have no geometry: record 2, 3"),
        (layer(shapely.Point()), "1 of 1 records of roads have no geometry"),
        (layer(shapely.Point(5e5, np.nan)), "no place on a map"),
        (layer(shapely.LineString([(0, 0), (np.inf, 1)])), "no place on a map"),
        (layer(shapely.Point(5e5, 5.9e6), shapely.Point(1e30, 0)), "1 of 2 records .* no place .* record 2"),
        (layer(BOW), "invalid .*Self-intersection.*repair"),
    ],
)
def test_layers_that_cannot_be_measured_to_are_refused(vectors: Vectors, said: str) -> None:
    with pytest.raises(BadInput, match=said):
        make(Stage(GRID, vectors={"roads": vectors}), ("distance",), PLAIN)


def test_a_polygon_that_crosses_itself_can_be_repaired() -> None:
    found = make(Stage(GRID, vectors={"a": layer(BOW)}), ("distance",), DistanceOptions(repair=True))["distance"]
    expected = brute(layer(shapely.make_valid(BOW)).geometries, GRID)
    assert np.abs(found - expected).max() < 1e-4
    loop = shapely.LineString(BOW.exterior.coords)
    assert make(Stage(GRID, vectors={"a": layer(loop)}), ("distance",), PLAIN)["distance"].min() < 10


@pytest.mark.parametrize(
    ("crs", "left", "top", "pixel", "said"),
    [
        ("EPSG:4326", 13.0, 52.0, 0.0001, "degrees"),
        ("EPSG:4230", 13.0, 52.0, 0.0001, "degrees"),
        ("EPSG:3857", 1.4e6, 6.9e6, 10.0, "grows with latitude"),
    ],
)
def test_grids_without_metres_are_refused(crs: str, left: float, top: float, pixel: float, said: str) -> None:
    grid = Grid(crs=crs, left=left, top=top, pixel_m=pixel, width=5, height=5)
    with pytest.raises(BadInput, match=said):
        make(Stage(grid, vectors={"a": layer(shapely.Point(left, top))}), ("distance",), PLAIN)


def test_what_a_product_needs_is_asked_for() -> None:
    stage = Stage(GRID, vectors={"a": layer(shapely.Point(5e5, 5.9e6))})
    with pytest.raises(BadInput, match=r"radius is missing for count.*radius_m"):
        make(stage, ("count",), PLAIN)
    with pytest.raises(BadInput, match="no lines"):
        make(stage, ("length_density",), DistanceOptions(radius_m=5.0))
    with pytest.raises(BadInput, match="1 of 1 geometries are points or lines"):
        make(stage, ("signed_distance",), PLAIN)
    with pytest.raises(BadInput, match="something to measure to"):
        make(Stage(GRID), ("distance",), PLAIN)


def test_a_grid_of_one_pixel() -> None:
    grid = GRID.inside(Window(col=0, row=0, width=1, height=1))
    stage = Stage(grid, vectors={"a": layer(shapely.Point(500_008, 5_899_999))})
    found = make(stage, ("distance", "count"), DistanceOptions(radius_m=5.0))
    assert np.allclose(found["distance"], 5.0)
    assert found["count"] == 1


def test_a_circle_of_many_pieces_around_its_centre() -> None:
    ring = shapely.Point(500_185, 5_899_855).buffer(140, quad_segs=5_000)
    found = boundary_distance(ground_of({"a": layer(ring)}, GRID, PLAIN, signed=False), GRID, GRID.whole)
    assert np.allclose(found[14, 18], 140, atol=1e-4)


def test_a_hundred_thousand_points_on_a_large_grid_are_quick_and_right() -> None:
    grid = Grid(crs="EPSG:32633", left=500_000.0, top=5_900_000.0, pixel_m=10.0, width=1_500, height=1_000)
    places = np.random.default_rng(0).uniform((495_000, 5_885_000), (520_000, 5_905_000), (100_000, 2))
    stage = Stage(grid, vectors={"a": Vectors(shapely.points(places))})
    make(Stage(GRID, vectors=stage.vectors), ("distance",), PLAIN)
    began = time.perf_counter()
    found = make(stage, ("distance",), PLAIN)["distance"]
    assert time.perf_counter() - began < 10
    some = np.random.default_rng(1).integers(0, (1_000, 1_500), (400, 2))
    east, north = grid.centres(some[:, 0], some[:, 1])
    expected = np.hypot(east[:, None] - places[:, 0], north[:, None] - places[:, 1]).min(axis=1)
    assert np.abs(found[some[:, 0], some[:, 1]] - expected).max() < 1e-4


def test_the_registry_knows_it() -> None:
    assert RECIPES["distance"] is RECIPE
    stage = Stage(GRID, vectors={"a": layer(shapely.Point(500_185, 5_899_855).buffer(60))})
    lines = Stage(GRID, vectors={"a": layer(shapely.LineString([(500_000, 5_899_800), (500_300, 5_899_900)]))})
    for name, product in RECIPE.products.items():
        band = make(lines if name == "length_density" else stage, (name,), DistanceOptions(radius_m=80.0))[name]
        assert band.shape == GRID.shape
        assert product.valid[0] <= band.min() <= band.max() <= product.valid[1]
