"""Terrain against gdaldem, surfaces whose shape is known, and a plain loop."""

from __future__ import annotations

import json
import math
import shutil
import subprocess
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from rasterio import Affine
from scipy.ndimage import gaussian_filter

from geoml_ops.core.errors import BadInput
from geoml_ops.core.grid import Grid
from geoml_ops.domain.covariates.recipe import Stage
from geoml_ops.domain.covariates.terrain import PRODUCTS, RECIPE, Options, make, margin_px
from geoml_ops.domain.covariates.terrain import making as making_of_terrain

EDGE_M = 30.0
NINE = tuple(name for name in PRODUCTS if name not in ("twi", "catchment"))
needs_gdaldem = pytest.mark.skipif(shutil.which("gdaldem") is None, reason="gdaldem (GDAL's programs) is not installed")


def stage_of(elevation: np.ndarray, margin_px: int = 0, pixel_m: float = EDGE_M) -> Stage:
    height, width = (edge - 2 * margin_px for edge in elevation.shape)
    grid = Grid(crs="EPSG:32632", left=500_000.0, top=5_000_000.0, pixel_m=pixel_m, width=width, height=height)
    return Stage(grid, margin_px, rasters={"dem": elevation})


def made(elevation: np.ndarray, *products: str, margin_px: int = 0, pixel_m: float = EDGE_M, **asked: Any) -> Any:
    """The products by name, the one alone where one is asked for."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = make(stage_of(elevation, margin_px, pixel_m), products, Options(**asked))
    assert all(layer.dtype == np.float32 for layer in found.values())
    return found if len(products) > 1 else found[products[0]]


def shaped(height: Callable[[np.ndarray, np.ndarray], Any], n: int = 9, pixel_m: float = EDGE_M) -> np.ndarray:
    """Elevations of a function of metres east and north of the middle."""
    place = (np.arange(n) - n // 2) * pixel_m
    east, north = np.meshgrid(place, -place)
    return np.asarray(height(east, north), dtype=np.float64)


def hills(seed: int, shape: tuple[int, int] = (60, 70), holes: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    ground = gaussian_filter(rng.standard_normal(shape), 3.0) * 400 + 800
    ground[10:16, 20:30] = 700.0
    ground.ravel()[rng.choice(ground.size, holes, replace=False)] = np.nan
    return ground.astype(np.float32)


def gdaldem(tmp_path: Path, elevation: np.ndarray, mode: str, *words: str) -> np.ndarray:
    source, goal = tmp_path / "dem.tif", tmp_path / "made.tif"
    profile = {"driver": "GTiff", "count": 1, "dtype": "float32", "nodata": -9999.0, "crs": "EPSG:32632"}
    profile |= {"height": elevation.shape[0], "width": elevation.shape[1]}
    with rasterio.open(source, "w", transform=Affine(EDGE_M, 0, 5e5, 0, -EDGE_M, 5e6), **profile) as out:
        out.write(np.where(np.isnan(elevation), -9999.0, elevation).astype(np.float32), 1)
    subprocess.run(["gdaldem", mode, str(source), str(goal), "-q", *words], check=True, capture_output=True)
    with rasterio.open(goal) as found:
        layer = found.read(1).astype(np.float64)
        layer[layer == found.nodata] = np.nan
    return layer


# --- gdaldem -----------------------------------------------------------------------------------


@needs_gdaldem
@pytest.mark.parametrize(
    ("product", "words", "tolerance"),
    [
        ("slope", ["slope"], 2e-4),
        ("tri_riley", ["TRI", "-alg", "Riley"], 2e-4),
        ("tri_wilson", ["TRI", "-alg", "Wilson"], 2e-4),
        ("tpi", ["TPI"], 2e-4),
        ("roughness", ["roughness"], 1e-4),
    ],
)
def test_products_are_those_of_gdaldem(tmp_path: Path, product: str, words: list[str], tolerance: float) -> None:
    ground = hills(1, holes=25)
    theirs, ours = gdaldem(tmp_path, ground, *words), made(ground, product)
    assert np.array_equal(np.isnan(theirs), np.isnan(ours))
    assert 0 < np.isnan(ours).sum() < ours.size / 2
    assert np.nanmax(np.abs(theirs - ours)) <= tolerance


@needs_gdaldem
def test_aspect_is_that_of_gdaldem(tmp_path: Path) -> None:
    ground = hills(2, holes=25)
    theirs = np.radians(gdaldem(tmp_path, ground, "aspect"))
    ours = made(ground, "aspect_sin", "aspect_cos")
    assert np.array_equal(np.isnan(theirs), np.isnan(ours["aspect_sin"]))
    assert np.isnan(ours["aspect_sin"][11:15, 21:29]).all(), "level ground faces nowhere"
    steep = made(ground, "slope") > 0.05
    assert np.abs(np.sin(theirs) - ours["aspect_sin"])[steep].max() < 2e-4
    assert np.abs(np.cos(theirs) - ours["aspect_cos"])[steep].max() < 2e-4


@needs_gdaldem
@pytest.mark.parametrize(("azimuth", "altitude"), [(315.0, 45.0), (100.0, 10.0), (0.0, 90.0)])
def test_hillshade_is_that_of_gdaldem(tmp_path: Path, azimuth: float, altitude: float) -> None:
    ground = hills(3) * 3  # steep enough for its own shade
    words = ("-az", f"{azimuth:g}", "-alt", f"{altitude:g}")
    theirs = gdaldem(tmp_path, ground, "hillshade", *words)[1:-1, 1:-1]
    ours = made(ground, "hillshade", azimuth_degree=azimuth, altitude_degree=altitude)[1:-1, 1:-1]
    assert np.abs(theirs - (1.0 + 254.0 * ours)).max() <= 0.51 + 0.05
    assert altitude == 90.0 or (ours == 0).any()


# --- surfaces whose shape is known --------------------------------------------------------------


def test_a_plane_has_the_numbers_of_the_books() -> None:
    plane = shaped(lambda east, north: 500 + 0.1 * east + 0.2 * north)
    found = made(plane, *NINE)
    middle = {name: float(layer[4, 4]) for name, layer in found.items()}
    assert middle["slope"] == pytest.approx(12.60438, abs=1e-4)
    assert math.degrees(math.atan2(middle["aspect_sin"], middle["aspect_cos"])) % 360 == pytest.approx(
        206.565, abs=1e-3
    )
    assert middle["tri_riley"] == pytest.approx(16.4317, abs=1e-4)
    assert middle["tri_wilson"] == pytest.approx(5.25, abs=1e-5)
    assert middle["roughness"] == pytest.approx(18.0, abs=1e-5)
    assert middle["tpi"] == pytest.approx(0.0, abs=1e-9)
    for name in ("profile_curvature", "plan_curvature", "tangential_curvature"):
        assert middle[name] == pytest.approx(0.0, abs=1e-12)
    assert middle["elevation"] == 500.0


@pytest.mark.parametrize(
    ("east", "north", "sine", "cosine"), [(1, 0, -1, 0), (-1, 0, 1, 0), (0, 1, 0, -1), (0, -1, 0, 1)]
)
def test_ground_faces_where_it_falls(east: int, north: int, sine: float, cosine: float) -> None:
    found = made(shaped(lambda x, y: 0.3 * (east * x + north * y)), "aspect_sin", "aspect_cos")
    assert (found["aspect_sin"][4, 4], found["aspect_cos"][4, 4]) == (sine, cosine)


def test_the_sun_lights_what_faces_it() -> None:
    to_the_west = shaped(lambda east, north: east)
    assert made(to_the_west, "hillshade", azimuth_degree=270.0, altitude_degree=45.0)[4, 4] == pytest.approx(1.0)
    assert made(to_the_west, "hillshade", azimuth_degree=90.0, altitude_degree=45.0)[4, 4] == pytest.approx(0, abs=1e-6)
    level = np.full((5, 5), 10.0)
    assert made(level, "hillshade", altitude_degree=30.0)[2, 2] == pytest.approx(0.5)


@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.parametrize("method", ["zevenbergen_thorne", "evans"])
def test_a_sphere_bends_by_its_radius(method: str, sign: float) -> None:
    radius, edge, east_m, north_m = 4000.0, 5.0, 1500.0, -1100.0
    ground = shaped(lambda x, y: sign * np.sqrt(radius**2 - (x + east_m) ** 2 - (y + north_m) ** 2), pixel_m=edge)
    names = ("profile_curvature", "plan_curvature", "tangential_curvature")
    found = made(ground, *names, pixel_m=edge, curvature=method)
    along, plan, across = (float(found[name][4, 4]) * sign for name in names)
    out_m = math.hypot(east_m, north_m)
    tangent = out_m / math.sqrt(radius**2 - out_m**2)
    if method == "evans":
        assert along == pytest.approx(1 / radius, rel=1e-3)
        assert plan == pytest.approx(1 / out_m, rel=1e-3), "the contour is a circle around the top"
    else:
        assert along == pytest.approx((1 + tangent**2) ** 1.5 / radius, rel=1e-3)
        assert plan == pytest.approx(math.sqrt(1 + tangent**2) / radius, rel=1e-3)
    assert across == pytest.approx(1 / radius, rel=1e-3)


@pytest.mark.parametrize("method", ["zevenbergen_thorne", "evans"])
def test_curvatures_tell_along_from_across(method: str) -> None:
    """A ridge that falls to the south: straight along its slope, convex across."""
    ground = shaped(lambda east, north: 0.2 * north - 1e-4 * east**2)
    found = made(ground, "profile_curvature", "plan_curvature", "tangential_curvature", curvature=method)
    assert found["profile_curvature"][4, 4] == pytest.approx(0.0, abs=1e-9)
    assert found["plan_curvature"][4, 4] == pytest.approx(2e-4 / (1 if method == "zevenbergen_thorne" else 0.2))
    assert found["tangential_curvature"][4, 4] == pytest.approx(2e-4 / math.sqrt(1.04))
    down = made(shaped(lambda east, north: 0.2 * north - 1e-4 * north**2), "profile_curvature", curvature=method)[4, 4]
    assert down == pytest.approx(2e-4 / (1 if method == "zevenbergen_thorne" else 1.04**1.5), rel=1e-5)


def test_curvature_where_nothing_slopes() -> None:
    top = shaped(lambda east, north: -1e-4 * (east**2 + north**2))
    found = made(top, "profile_curvature", "plan_curvature", "tangential_curvature")
    assert [float(layer[4, 4]) for layer in found.values()] == pytest.approx([2e-4] * 3)
    assert np.isnan(made(top, "plan_curvature", curvature="evans")[4, 4]), "its contour is a point"
    level = made(np.full((5, 5), 3.0), *NINE, curvature="evans")
    assert {name for name, layer in level.items() if np.isnan(layer[2, 2])} == {"aspect_sin", "aspect_cos"}
    assert level["plan_curvature"][2, 2] == 0


# --- windows, holes and edges -------------------------------------------------------------------


@pytest.mark.parametrize("product", NINE)
@pytest.mark.parametrize("method", ["zevenbergen_thorne", "evans"])
def test_a_hole_spreads_to_its_window_only(product: str, method: str) -> None:
    plane = shaped(lambda east, north: 0.1 * east + 0.2 * north + 1e-4 * east * north, n=13)
    plane[6, 6] = np.nan
    lost = np.isnan(made(plane, product, curvature=method))
    expected = np.ones_like(lost)
    if product == "elevation":
        expected[:] = False
        expected[6, 6] = True
    else:
        expected[1:-1, 1:-1] = False
        expected[5:8, 5:8] = True
    assert np.array_equal(lost, expected)


@pytest.mark.parametrize("level", [0.0, 250.0])
@pytest.mark.parametrize("product", [name for name in NINE if name != "elevation"])
def test_a_hole_in_level_ground_is_a_hole(product: str, level: float) -> None:
    """Where a gradient of 0 is multiplied in, a missing corner must not vanish."""
    for row, col in np.ndindex(3, 3):
        flat = np.full((3, 3), level)
        flat[row, col] = np.nan
        assert np.isnan(made(flat, product)[1, 1])


@pytest.mark.parametrize("window_px", [3, 5, 11, 21])
def test_topographic_position_is_a_plain_loop(window_px: int) -> None:
    ground, reach = hills(4, (40, 31), holes=4), window_px // 2
    expected = np.full(ground.shape, np.nan)
    for row in range(reach, ground.shape[0] - reach):
        for col in range(reach, ground.shape[1] - reach):
            window = ground[row - reach : row + reach + 1, col - reach : col + reach + 1].astype(np.float64)
            others = np.delete(window.ravel(), window.size // 2)
            expected[row, col] = ground[row, col] - others.mean()
            if np.isnan(window).any():
                expected[row, col] = np.nan
    found = made(ground, "tpi", tpi_window_px=window_px)
    np.testing.assert_allclose(found, expected, atol=1e-4)


@pytest.mark.parametrize("margin", [0, 1, 3])
@pytest.mark.parametrize("piece", [1, 200, 2**18])
def test_margin_and_pieces_change_nothing(monkeypatch: pytest.MonkeyPatch, margin: int, piece: int) -> None:
    whole, ground = hills(5, (33, 41), holes=10), {}
    names = (*NINE, "twi")
    for name, layer in made(whole, *names, tpi_window_px=7).items():
        ground[name] = layer[margin : whole.shape[0] - margin, margin : whole.shape[1] - margin]
    monkeypatch.setattr(making_of_terrain, "PIECE_CELLS", piece)
    for name, layer in made(whole, *names, margin_px=margin, tpi_window_px=7).items():
        np.testing.assert_allclose(layer, ground[name], atol=1e-5, rtol=1e-6, err_msg=name)


def test_the_margin_is_what_windows_and_water_need() -> None:
    assert margin_px(Options(upstream_m=0.0), 10.0) == 1
    assert margin_px(Options(upstream_m=995.0), 10.0) == 100
    assert margin_px(Options(upstream_m=0.0, tpi_window_px=21), 10.0) == 10


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (2, 2), (9, 1)])
def test_ground_without_a_window_is_nothing(shape: tuple[int, int]) -> None:
    found = made(np.ones(shape), *PRODUCTS)
    assert all(np.isnan(layer).all() and layer.shape == shape for name, layer in found.items() if name != "elevation")
    inner = made(shaped(lambda east, north: 0.1 * east, n=3), "slope", margin_px=1)
    assert inner.shape == (1, 1)
    assert inner[0, 0] == pytest.approx(math.degrees(math.atan(0.1)))


# --- what must not matter ------------------------------------------------------------------------


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.integers(-3000, 3000))
def test_how_high_it_lies_does_not_matter(seed: int, lift_m: int) -> None:
    ground = np.round(hills(seed, (24, 24), holes=3).astype(np.float64) * 64) / 64
    names = tuple(name for name in PRODUCTS if name != "elevation")
    for name, layer in made(ground + lift_m, *names, tpi_window_px=5).items():
        assert np.array_equal(layer, made(ground, name, tpi_window_px=5), equal_nan=True), name


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 3), st.sampled_from(["zevenbergen_thorne", "evans"]))
def test_turning_the_ground_turns_its_aspect(seed: int, quarters: int, method: str) -> None:
    ground = hills(seed, (20, 26), holes=2).astype(np.float64)
    ours = made(ground, *NINE, curvature=method)
    turned = made(np.rot90(ground, quarters), *NINE, curvature=method)
    # A quarter turn anticlockwise takes what faces east to face north.
    sine, cosine = ours.pop("aspect_sin"), ours.pop("aspect_cos")
    for _ in range(quarters):
        sine, cosine = -cosine, sine
    np.testing.assert_allclose(turned["aspect_sin"], np.rot90(sine, quarters), atol=1e-5)
    np.testing.assert_allclose(turned["aspect_cos"], np.rot90(cosine, quarters), atol=1e-5)
    ours.pop("hillshade")
    for name, layer in ours.items():
        np.testing.assert_allclose(turned[name], np.rot90(layer, quarters), rtol=1e-3, atol=1e-5, err_msg=name)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6), st.floats(-90, 90), st.floats(0, 90))
def test_numbers_stay_in_their_ranges(seed: int, level: float, altitude: float) -> None:
    rng = np.random.default_rng(seed)
    ground = rng.choice([level, 0.0, 8800.0, -11000.0, np.nan], (12, 12), p=[0.3, 0.3, 0.15, 0.15, 0.1])
    ground[0, 0] = 0.0
    for name, layer in made(ground, *PRODUCTS, pixel_m=0.5, altitude_degree=altitude).items():
        low, high = PRODUCTS[name].valid
        inside = layer[~np.isnan(layer)]
        assert ((inside >= low) & (inside <= high)).all(), name


# --- hostile input ------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [-9999.0, -32768.0, np.inf, -np.inf, 3.4e38, 65535.0])
def test_numbers_that_are_no_elevation_are_refused(number: float) -> None:
    ground = hills(6)
    ground[3, 4] = number
    with pytest.raises(BadInput, match=r"dem holds .* in 1 of 4200 cells, which is no elevation.*nodata"):
        made(ground, "slope")


def test_other_impossible_ground_is_refused() -> None:
    with pytest.raises(BadInput, match="holds no elevation on this ground"):
        made(np.full((5, 5), np.nan), "slope")
    stage, grid = (
        stage_of(hills(7)),
        Grid(crs="EPSG:4326", left=11.0, top=48.0, pixel_m=0.0003, width=5, height=5),
    )
    with pytest.raises(BadInput, match="one elevation model, not of 2"):
        make(Stage(stage.grid, 0, rasters={"a": hills(7), "b": hills(8)}), ("slope",), Options())
    with pytest.raises(BadInput, match="look like degrees"):
        make(Stage(grid, 0, rasters={"dem": np.ones((5, 5))}), ("slope",), Options())
    with pytest.raises(ValueError, match="dem has"):
        make(Stage(stage.grid, 1, rasters={"dem": hills(7)}), ("slope",), Options())


@pytest.mark.parametrize(
    "asked",
    [
        {"tpi_window_px": 4}, {"tpi_window_px": 1}, {"tpi_window_px": 3.0}, {"flow": "d4"}, {"altitude_degree": 91.0},
        {"least_tangent": 0.0}, {"upstream_m": -1.0}, {"azimuth_degree": float("nan")}, {"window": 3},
    ],
)  # fmt: skip
def test_options_that_make_no_sense_are_refused(asked: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Options.model_validate_json(json.dumps(asked))


def test_the_recipe_is_whole() -> None:
    assert RECIPE.reads == "raster"
    assert set(made(hills(9), *RECIPE.products)) == set(RECIPE.products)
    assert list(made(hills(9), "twi", "slope", "tpi")) == ["twi", "slope", "tpi"]
