"""The grid against rasterio's own arithmetic, and what an impossible grid says."""

import numpy as np
import pytest
import rasterio
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from geoml_ops.core.errors import BadInput
from geoml_ops.core.grid import Bounds, Grid, Window

GRIDS = st.builds(
    Grid,
    crs=st.just("EPSG:32633"),
    left=st.integers(100_000, 800_000).map(float),
    top=st.integers(10_000, 9_000_000).map(float),
    pixel_m=st.sampled_from([0.5, 10.0, 20.0, 60.0]),
    width=st.integers(1, 400),
    height=st.integers(1, 400),
)


@settings(deadline=None)
@given(GRIDS)
def test_bounds_are_those_of_rasterio(grid):
    oracle = rasterio.transform.array_bounds(grid.height, grid.width, rasterio.Affine(*grid.transform))
    assert grid.bounds.as_tuple() == pytest.approx(oracle)


@settings(deadline=None)
@given(GRIDS, st.data())
def test_centre_of_a_pixel_lies_in_that_pixel(grid, data):
    row = data.draw(st.integers(0, grid.height - 1))
    col = data.draw(st.integers(0, grid.width - 1))
    easting, northing = grid.centres(np.array([row]), np.array([col]))
    assert grid.pixel_at(float(easting[0]), float(northing[0])) == (row, col)
    oracle = rasterio.transform.xy(rasterio.Affine(*grid.transform), row, col)
    assert (easting[0], northing[0]) == pytest.approx(oracle)


@settings(deadline=None)
@given(GRIDS, st.integers(16, 150))
def test_tiles_cover_every_pixel_once(grid, size):
    seen = np.zeros(grid.shape, dtype=int)
    for window in grid.tiles(size):
        seen[window.slices()] += 1
    assert (seen == 1).all()


@settings(deadline=None)
@given(GRIDS, st.data())
def test_window_of_a_part_is_that_part(grid, data):
    col, row = data.draw(st.integers(0, grid.width - 1)), data.draw(st.integers(0, grid.height - 1))
    window = Window(
        col=col,
        row=row,
        width=data.draw(st.integers(1, grid.width - col)),
        height=data.draw(st.integers(1, grid.height - row)),
    )
    assert grid.window_for(grid.inside(window).bounds) == window


def test_ground_beyond_the_grid_has_no_window_and_no_pixel():
    grid = Grid(crs="EPSG:32633", left=0.0, top=100.0, pixel_m=10.0, width=10, height=10)
    assert grid.window_for(Bounds(left=200.0, bottom=0.0, right=300.0, top=50.0)) is None
    with pytest.raises(BadInput, match="outside the raster"):
        grid.pixel_at(100.0, 50.0)
    with pytest.raises(ValueError, match="reaches beyond"):
        grid.inside(Window(col=5, row=0, width=6, height=1))


@pytest.mark.parametrize("crs", ["http://example.org/crs", "/etc/passwd", "epsg:32633", "EPSG:32633\n", "+proj=utm"])
def test_a_crs_is_an_epsg_code_and_nothing_else(crs):
    with pytest.raises(ValidationError, match="EPSG"):
        Grid(crs=crs, left=0.0, top=0.0, pixel_m=10.0, width=1, height=1)


def test_impossible_bounds_and_grids_cannot_be_built():
    with pytest.raises(ValidationError):
        Bounds(left=1.0, bottom=0.0, right=1.0, top=1.0)
    with pytest.raises(ValidationError):
        Grid(crs="EPSG:32633", left=0.0, top=0.0, pixel_m=-10.0, width=1, height=1)
    with pytest.raises(ValidationError):
        Grid(crs="EPSG:32633", left=float("nan"), top=0.0, pixel_m=10.0, width=1, height=1)


def test_a_grid_knows_its_corner_in_another_one_of_the_same_pixels_only() -> None:
    whole = Grid(crs="EPSG:32633", left=300_000.0, top=5_800_000.0, pixel_m=10.0, width=40, height=30)
    part = whole.inside(Window(col=7, row=3, width=5, height=4))
    assert part.corner_in(whole) == (3, 7)
    assert whole.corner_in(part) == (-3, -7)
    assert whole.corner_in(whole) == (0, 0)
    shifted = part.model_copy(update={"left": part.left + 5.0})
    coarse = part.model_copy(update={"pixel_m": 20.0})
    other = part.model_copy(update={"crs": "EPSG:32632"})
    assert [grid.corner_in(whole) for grid in (shifted, coarse, other)] == [None, None, None]
