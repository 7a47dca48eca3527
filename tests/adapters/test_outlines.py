"""Outlines of maps: every pixel in one polygon, small patches with their neighbours, files that GIS programs read."""

from __future__ import annotations

from pathlib import Path

import geopandas
import numpy as np
import pytest
import rasterio
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from rasterio.features import rasterize

from geoml_ops.adapters.raster import outlines
from geoml_ops.adapters.vector import write_patches
from geoml_ops.core.errors import BadInput, TooLarge

PROFILE = {"driver": "GTiff", "count": 1, "dtype": "uint8", "nodata": 255, "crs": "EPSG:32633", "compress": "deflate"}
AT = rasterio.Affine(10, 0, 400_000, 0, -10, 5_800_000)


def write(path: Path, codes: np.ndarray) -> Path:
    height, width = codes.shape
    with rasterio.open(path, "w", **PROFILE, height=height, width=width, transform=AT) as target:
        target.write(codes, 1)
    return path


@given(
    codes=hnp.arrays(
        np.uint8, st.tuples(st.integers(1, 12), st.integers(1, 12)), elements=st.sampled_from([0, 1, 2, 255])
    )
)
@settings(max_examples=60, deadline=None)
def test_burnt_back_the_polygons_are_the_map(codes: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> None:
    found = outlines(write(tmp_path_factory.mktemp("o") / "map.tif", codes), nodata=255)
    back = np.full(codes.shape, 255, np.uint8)
    if len(found.polygons):
        pairs = zip(found.polygons, found.codes.tolist(), strict=True)
        back = rasterize(pairs, out_shape=codes.shape, fill=255, transform=AT, dtype="uint8")
    np.testing.assert_array_equal(back, codes)
    assert found.n_px.sum() == (codes != 255).sum()
    assert all(polygon.is_valid for polygon in found.polygons)


def test_a_small_patch_goes_to_its_largest_neighbour_and_nodata_takes_nothing_in(tmp_path: Path) -> None:
    codes = np.zeros((20, 20), np.uint8)
    codes[:, 12:] = 1
    codes[5:7, 3:5] = 2  # four pixels inside class 0
    codes[10, 11:13] = 2  # two pixels on the border
    codes[15:, :] = 255
    codes[17, 17] = 1  # alone in nodata
    found = outlines(write(tmp_path / "map.tif", codes), nodata=255, least_px=5)
    assert sorted(found.codes.tolist()) == [0, 1]
    assert (found.n_left_out, found.left_out_px) == (1, 1)
    assert found.n_px.sum() == 15 * 20


def test_after_the_sieve_no_patch_is_smaller_than_was_asked_for(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 4, (90, 110)).astype(np.uint8)
    codes = np.where(rng.random(noise.shape) < 0.3, noise, noise.repeat(9, 0).repeat(9, 1)[:90, :110])
    found = outlines(write(tmp_path / "map.tif", codes), nodata=255, least_px=12)
    assert found.n_px.min() >= 12
    assert found.n_px.sum() + found.left_out_px == codes.size


@pytest.mark.parametrize("least_px", [2, 6, 7, 10**300])
def test_a_minimum_beyond_the_whole_raster_leaves_what_reaches_it(least_px: int, tmp_path: Path) -> None:
    codes = np.array([[0, 0, 0], [0, 0, 1]], np.uint8)
    found = outlines(write(tmp_path / "map.tif", codes), nodata=255, least_px=least_px)
    assert found.n_px.tolist() == ([6] if least_px <= 5 else [])
    assert found.n_px.sum() + found.left_out_px == codes.size


def test_a_raster_of_nothing_but_nodata_has_no_outlines(tmp_path: Path) -> None:
    found = outlines(write(tmp_path / "map.tif", np.full((1, 1), 255, np.uint8)), nodata=255, least_px=3)
    assert (len(found.polygons), found.n_left_out) == (0, 0)


def test_more_patches_than_can_be_held_are_named(tmp_path: Path) -> None:
    board = np.indices((20, 20)).sum(axis=0).astype(np.uint8) % 2
    with pytest.raises(TooLarge, match=r"more than 100 patches.*minimum mapping unit"):
        outlines(write(tmp_path / "map.tif", board), nodata=255, most_patches=100)


@pytest.mark.parametrize("ending", ["gpkg", "fgb"])
def test_both_formats_come_back_and_are_the_same_bytes_again(ending: str, tmp_path: Path) -> None:
    polygons = np.array([shapely.box(0, 0, 10, 10), shapely.box(10, 0, 20, 10)], dtype=object)
    columns = {"class": np.array(["bare", "grün"], object), "n_px": np.array([1, 1])}
    paths = [tmp_path / f"{name}.{ending}" for name in ("a", "b")]
    for path in paths:
        write_patches(path, polygons, columns, "EPSG:32633", layer="land_cover")
    back = geopandas.read_file(paths[0]).sort_values("class")
    assert back["class"].tolist() == ["bare", "grün"]
    assert back.crs.to_epsg() == 32633
    assert back.area.tolist() == [100.0, 100.0]
    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_another_ending_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"\.gpkg or \.fgb"):
        write_patches(tmp_path / "a.shp", np.array([shapely.box(0, 0, 1, 1)], object), {}, "EPSG:32633", layer="x")
    assert list(tmp_path.iterdir()) == []
