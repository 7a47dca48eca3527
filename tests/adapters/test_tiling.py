"""Web tiles of maps against GDAL's own warping, and against every pixel's coordinates worked out one by one."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pyproj import Transformer
from rasterio.enums import Resampling
from rasterio.shutil import copy
from rasterio.warp import reproject

from geoml_ops.adapters import png, raster
from geoml_ops.adapters.raster import WebTile
from geoml_ops.core.errors import BadInput
from geoml_ops.core.grid import Grid

#: A middle latitude, both sides of the antimeridian, far north, the south, and a plane that is no UTM zone.
GRIDS = {
    "middle": Grid(crs="EPSG:32633", left=389940.0, top=5830040.0, pixel_m=10.0, width=2300, height=1700),
    "antimeridian": Grid(crs="EPSG:32660", left=690000.0, top=7400000.0, pixel_m=30.0, width=1500, height=1200),
    "north": Grid(crs="EPSG:32633", left=420000.0, top=9330000.0, pixel_m=20.0, width=1600, height=1300),
    "south": Grid(crs="EPSG:32756", left=300000.0, top=6250000.0, pixel_m=10.0, width=1111, height=1333),
    "equal area": Grid(crs="EPSG:3035", left=4_000_000.0, top=3_300_000.0, pixel_m=100.0, width=1801, height=1407),
    "over the pole": Grid(crs="EPSG:3413", left=-600_000.0, top=600_000.0, pixel_m=1000.0, width=1200, height=1200),
}


def write_map(path: Path, grid: Grid, seed: int = 0) -> Path:
    """Writes two bands of noise and blobs, 255 where nothing is, as the maps of this platform are: with overviews."""
    rng = np.random.default_rng(seed)
    blobs = rng.integers(0, 8, (grid.height // 40 + 1, grid.width // 40 + 1), dtype=np.uint8)
    codes = blobs.repeat(40, 0).repeat(40, 1)[: grid.height, : grid.width].copy()
    codes[rng.random(codes.shape) < 0.02] = 255
    noise = rng.integers(0, 101, codes.shape, dtype=np.uint8)
    profile = {"driver": "MEM", "width": grid.width, "height": grid.height, "count": 2, "dtype": "uint8",
               "nodata": 255, "crs": grid.crs, "transform": rasterio.Affine(*grid.transform)}  # fmt: skip
    with rasterio.open("", "w", **profile) as memory:
        memory.write(np.stack([codes, noise]))
        memory.descriptions = ("class", "confidence")
        copy(memory, str(path), driver="COG", compress="DEFLATE", blocksize=256, overview_resampling="nearest")
    return path


@pytest.fixture(scope="module")
def maps(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    home = tmp_path_factory.mktemp("tiling")
    return {name: write_map(home / f"{number}.tif", grid) for number, (name, grid) in enumerate(GRIDS.items())}


def tiles_over(grid: Grid, *zooms: int) -> list[WebTile]:
    """Tiles at the middle and the corners of a grid."""
    to_degrees = Transformer.from_crs(grid.crs, "EPSG:4326", always_xy=True)
    found = []
    for zoom in zooms:
        for across, down in ((0.5, 0.5), (0.01, 0.01), (0.99, 0.99), (0.99, 0.01), (0.2, 0.9)):
            lon, lat = to_degrees.transform(
                grid.left + across * grid.width * grid.pixel_m, grid.top - down * grid.height * grid.pixel_m
            )
            if abs(lat) > 85:
                continue
            n = 2**zoom
            col = int((lon + 180) / 360 * n) % n
            row = int((1 - math.asinh(math.tan(math.radians(lat))) / math.pi) / 2 * n)
            found.append(WebTile(zoom, col, row))
    return list(dict.fromkeys(found))


def native(grid: Grid) -> int:
    _, south, _, north = raster.lon_lat_bounds(grid) or pytest.fail("no bounds")
    return round(math.log2(156543.03 * math.cos(math.radians(min((south + north) / 2, 80))) / grid.pixel_m))


def overview(path: Path, level: int | None) -> tuple[NDArray[np.uint8], Any]:
    """All pixels of one overview and where they are."""
    with rasterio.open(path, **({} if level is None else {"OVERVIEW_LEVEL": level})) as source:
        return source.read(), source.transform


def by_reproject(path: Path, grid: Grid, tile: WebTile, level: int | None) -> NDArray[np.uint8]:
    """GDAL's warper from the whole array of that overview; rasterio 1.4.4 lets it err by an eighth of a pixel."""
    pixels, where = overview(path, level)
    left, top = tile.corner
    goal = np.full((2, tile.edge_px, tile.edge_px), 255, dtype=np.uint8)
    reproject(
        pixels,
        goal,
        src_transform=where,
        src_crs=grid.crs,
        src_nodata=255,
        dst_transform=rasterio.Affine(tile.pixel_m, 0, left, 0, -tile.pixel_m, top),
        dst_crs="EPSG:3857",
        dst_nodata=255,
        resampling=Resampling.nearest,
    )
    return goal


def places(grid: Grid, tile: WebTile, where: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Row and column, with fractions, of every pixel's centre, each through PROJ by itself."""
    left, top = tile.corner
    steps = (np.arange(tile.edge_px) + 0.5) * tile.pixel_m
    xs, ys = np.meshgrid(left + steps, top - steps)
    eastings, northings = Transformer.from_crs("EPSG:3857", grid.crs, always_xy=True).transform(xs, ys)
    finite = np.isfinite(eastings) & np.isfinite(northings)
    rows, cols = (where.f - northings) / -where.e, (eastings - where.c) / where.a
    return np.where(finite, rows, -9.0), np.where(finite, cols, -9.0)


def by_hand(path: Path, grid: Grid, tile: WebTile, level: int | None = None, empty: int = 255) -> NDArray[np.uint8]:
    """The pixel of the overview that each point falls into."""
    pixels, where = overview(path, level)
    rows, cols = places(grid, tile, where)
    inside = (cols >= 0) & (rows >= 0) & (rows < pixels.shape[1]) & (cols < pixels.shape[2])
    goal = np.full((len(pixels), *rows.shape), empty, dtype=np.uint8)
    goal[:, inside] = pixels[:, rows[inside].astype(int), cols[inside].astype(int)]
    return goal


@pytest.mark.parametrize("name", GRIDS)
def test_a_tile_shows_the_pixel_of_its_overview_that_each_point_falls_into(maps: dict[str, Path], name: str) -> None:
    """Against PROJ point by point, and against GDAL's warper wherever its own error cannot matter."""
    path, grid = maps[name], GRIDS[name]
    known = raster.levels(path)
    assert (known.grid, known.names) == (grid, ("class", "confidence"))
    levels, seen = set(), 0
    for tile in tiles_over(grid, *(max(0, native(grid) + step) for step in (2, 0, -1, -2, -4, -8))):
        level = raster.level_for(known, tile)
        levels.add(level)
        said, truth = raster.read_tile(path, tile, [0, 1], level), by_hand(path, grid, tile, level)
        # A point on the very line between two pixels may fall to either.
        assert (said != truth).any(axis=0).mean() < 1e-4
        rows, cols = places(grid, tile, overview(path, level)[1])
        clear = np.maximum(abs(rows - np.floor(rows) - 0.5), abs(cols - np.floor(cols) - 0.5)) < 0.37
        np.testing.assert_array_equal(said[:, clear], by_reproject(path, grid, tile, level)[:, clear])
        seen += int((truth != 255).sum())
    assert len(levels) >= min(3, len(known.factors) + 1)
    assert seen > 100_000


def test_bands_and_twice_the_pixels(maps: dict[str, Path]) -> None:
    path, (tile, *_) = maps["middle"], tiles_over(GRIDS["middle"], 13)
    one, both = raster.read_tile(path, tile, [1], None), raster.read_tile(path, tile, [0, 1], None)
    np.testing.assert_array_equal(one[0], both[1])
    twice = WebTile(tile.zoom, tile.col, tile.row, 512)
    fine = raster.read_tile(path, twice, [0, 1], None)
    assert fine.shape == (2, 512, 512)
    assert (fine != by_hand(path, GRIDS["middle"], twice)).any(axis=0).mean() < 1e-4


@pytest.mark.parametrize("name", GRIDS)
def test_tiles_outside_are_known_from_the_grid_alone(maps: dict[str, Path], name: str) -> None:
    """No tile that shows something is called outside, and few that show nothing are called inside."""
    path, grid = maps[name], GRIDS[name]
    for zoom in (1, 3):
        for col in range(2**zoom):
            for row in range(2**zoom):
                tile = WebTile(zoom, col, row, 32)
                if raster.common(grid, tile) is None:
                    assert (by_hand(path, grid, tile, len(raster.levels(path).factors) - 1) == 255).all()
    near = tiles_over(grid, native(grid))
    assert all(raster.common(grid, tile) for tile in near)
    far = [WebTile(t.zoom, (t.col + 2 ** (t.zoom - 1)) % 2**t.zoom, t.row) for t in near]
    assert name == "over the pole" or not any(raster.common(grid, tile) for tile in far)


@pytest.mark.parametrize("name", GRIDS)
def test_no_tile_reads_more_than_a_few_chunks(maps: dict[str, Path], name: str) -> None:
    """Nine chunks of 256 pixels of both bands cover what a tile may need of the overview chosen for it."""
    path, grid = maps[name], GRIDS[name]
    known = raster.levels(path)
    for tile in tiles_over(grid, *range(0, native(grid) + 3)):
        level = raster.level_for(known, tile)
        finest = min(known.grid.width, known.grid.height) if level is None else known.grid.width // known.factors[level]
        before = _bytes_read()
        raster.read_tile(path, tile, [0], level)
        assert _bytes_read() - before < 9 * 2 * 256 * 256 + 200_000, (tile, level, finest)


def _bytes_read() -> int:
    try:
        return int(Path("/proc/self/io").read_text().split("rchar: ")[1].split()[0])
    except OSError:
        pytest.skip("no /proc here")


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 24), st.floats(0, 0.999999), st.floats(0, 0.999999))
def test_tiles_of_the_whole_world_fit_together(zoom: int, across: float, down: float) -> None:
    n = 2**zoom
    tile = WebTile(zoom, int(across * n), int(down * n))
    west, south, east, north = tile.lon_lat_bounds
    assert -180 <= west < east <= 180
    assert -85.06 < south < north < 85.06
    left, top = tile.corner
    to_degrees = Transformer.from_crs("EPSG:3857", "EPSG:4326", always_xy=True)
    assert to_degrees.transform(left, top) == pytest.approx((west, north), abs=1e-9)
    edge = tile.pixel_m * tile.edge_px
    assert to_degrees.transform(left + edge, top - edge) == pytest.approx((east, south), abs=1e-9)


@pytest.mark.parametrize(("zoom", "col", "row"), [(-1, 0, 0), (25, 0, 0), (3, 8, 0), (3, 0, 8), (3, -1, 0), (0, 1, 0)])
def test_tiles_that_are_not_there_are_refused(zoom: int, col: int, row: int) -> None:
    with pytest.raises(BadInput, match="There is no"):
        WebTile(zoom, col, row)


@pytest.mark.parametrize("name", GRIDS)
def test_points_of_the_globe_find_their_pixel_and_its_corners(name: str) -> None:
    grid = GRIDS[name]
    rng = np.random.default_rng(1)
    for _ in range(20):
        row, col = int(rng.integers(grid.height)), int(rng.integers(grid.width))
        corners = raster.outline(grid, row, col)
        lon, lat = np.mean([c[0] for c in corners]), np.mean([c[1] for c in corners])
        if name == "over the pole" and lat > 88:
            continue
        for turned in (lon, lon + 360 if lon < 0 else lon - 360):
            assert grid.pixel_at(*raster.to_ground(grid, float(turned), float(lat))) == (row, col)
        assert max(c[0] for c in corners) - min(c[0] for c in corners) < 5


def test_a_grid_that_is_nowhere_has_no_bounds_and_is_still_answered(tmp_path: Path) -> None:
    grid = Grid(crs="EPSG:32633", left=9e8, top=9e8, pixel_m=10.0, width=300, height=300)
    assert raster.lon_lat_bounds(grid) is None
    path = write_map(tmp_path / "map.tif", grid)
    known = raster.levels(path)
    for tile in (WebTile(0, 0, 0), WebTile(12, 2200, 1343)):
        assert (raster.read_tile(path, tile, [0], raster.level_for(known, tile)) == 255).all()


@pytest.mark.parametrize(("lon", "lat"), [(math.nan, 0), (0, math.inf), (0, 91), (541, 0), (1e300, 0)])
def test_places_that_are_not_on_the_globe_are_refused(lon: float, lat: float) -> None:
    with pytest.raises(BadInput):
        raster.to_ground(GRIDS["middle"], lon, lat)


@pytest.mark.parametrize("most_px", [100, 256, 500, 1000, 5000])
def test_a_whole_map_is_thinned_to_what_a_picture_may_have(maps: dict[str, Path], most_px: int) -> None:
    known = raster.levels(maps["middle"])
    layer = raster.thinned(maps["middle"], 0, known, most_px)
    assert max(layer.shape) <= most_px
    assert max(layer.shape) >= min(2300, most_px / 2.2)
    assert layer.shape[1] / layer.shape[0] == pytest.approx(2300 / 1700, rel=0.02)


@pytest.mark.parametrize("write", [png.rgba, png.shaded])
def test_a_picture_becomes_tiles_where_its_pixels_are(tmp_path: Path, write: Callable[..., bytes]) -> None:
    """Every second row and column was kept: a kept pixel stands for the square it begins."""
    grid = Grid(crs="EPSG:32633", left=389940.0, top=5830040.0, pixel_m=10.0, width=901, height=700)
    rng = np.random.default_rng(3)
    pixels = rng.integers(0, 256, (350, 451, 4), dtype=np.uint8)
    pixels[..., 3] = 255
    pixels[:40, :50] = 0
    (tmp_path / "picture.png").write_bytes(write(pixels))
    placed = raster.picture_grid(grid, *png.size_of(tmp_path / "picture.png"))
    raster.tile_picture(png.rows_of(tmp_path / "picture.png", 256), placed, tmp_path / "picture.tif")
    with rasterio.open(tmp_path / "picture.tif") as source:
        np.testing.assert_array_equal(source.read().transpose(1, 2, 0), pixels)
        assert source.transform[0] == 20.0
        assert source.overviews(1) == [2]
        # What is transparent does not darken the edges of what is seen.
        with rasterio.open(tmp_path / "picture.tif", OVERVIEW_LEVEL=0) as half:
            assert half.read()[:, :20, :25].max() == 0
    known = raster.levels(tmp_path / "picture.tif")
    for tile in tiles_over(known.grid, 14, 13):
        level = raster.level_for(known, tile)
        assert level is None
        said = raster.read_tile(tmp_path / "picture.tif", tile, [0, 1, 2, 3], level)
        truth = by_hand(tmp_path / "picture.tif", known.grid, tile, empty=0)
        truth[:, truth[3] == 0] = 0
        assert (said != truth).any(axis=0).mean() < 1e-4
    assert not list(tmp_path.glob("*.part*"))


def test_a_picture_of_something_else_is_refused(tmp_path: Path) -> None:
    grid = Grid(crs="EPSG:32633", left=389940.0, top=5830040.0, pixel_m=10.0, width=901, height=700)
    with pytest.raises(BadInput, match="400 x 350"):
        raster.picture_grid(grid, 400, 350)
    path, whole = tmp_path / "picture.png", png.rgba(np.zeros((350, 451, 4), dtype=np.uint8))
    for broken in (whole[:20], b"GIF89a" + whole, b""):
        path.write_bytes(broken)
        with pytest.raises(BadInput, match="not readable"):
            png.size_of(path)
    for broken in (whole[: len(whole) // 2], whole[:45] + b"\0" * 40 + whole[85:], whole[:24] + b"\x10" + whole[25:]):
        path.write_bytes(broken)
        with pytest.raises(BadInput, match="not readable"):
            raster.tile_picture(png.rows_of(path, 256), raster.picture_grid(grid, 451, 350), tmp_path / "picture.tif")
    with pytest.raises(ValueError, match="1 rows of 350"):
        raster.tile_picture(
            iter([np.zeros((1, 451, 4), dtype=np.uint8)]), raster.picture_grid(grid, 451, 350), tmp_path / "picture.tif"
        )
    assert [path.name for path in tmp_path.iterdir()] == ["picture.png"]


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 50), st.booleans(), st.integers(0, 2**32 - 1))
def test_a_picture_reads_back_in_rows(width: int, height: int, n_rows: int, up: bool, seed: int) -> None:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 4), dtype=np.uint8)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "picture.png"
        path.write_bytes(png.shaded(pixels) if up else png.rgba(pixels))
        assert png.size_of(path) == (width, height)
        parts = list(png.rows_of(path, n_rows))
        with rasterio.open(path) as source:
            np.testing.assert_array_equal(source.read().transpose(1, 2, 0), pixels)
    assert all(len(part) <= n_rows for part in parts)
    np.testing.assert_array_equal(np.concatenate(parts), pixels)
