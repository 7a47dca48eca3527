"""Other programs read what our writer of maps wrote: GDAL twice (in rasterio, and its own gdalinfo) and tifffile."""

from __future__ import annotations

import http.server
import json
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rasterio
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio.enums import ColorInterp
from rio_cogeo.cogeo import cog_validate

from geoml_ops.adapters.cog import MapLayout
from geoml_ops.adapters.cog.assembly import assemble
from geoml_ops.adapters.cog.encoding import KeptBlocks, encode
from geoml_ops.adapters.cog.pyramid import shown
from geoml_ops.core.errors import TooLarge
from tests.maps import COLOURS, NAMES, TAGS, layers_of, layout_of, made, overview


def check(path: Path, layout: MapLayout, layers: np.ndarray) -> None:
    """Every pixel of every level, read by two programs, and what the file says of itself."""
    tall = layout.grid.width == 1 and layout.grid.height > 512
    valid, errors, warnings = cog_validate(path, strict=not tall, quiet=True)
    assert (valid, errors, len(warnings)) == (True, [], tall)
    levels = [layers, *(overview(layers, level) for level in layout.pyramid.levels)]
    with rasterio.open(path) as source:
        np.testing.assert_array_equal(source.read(), layers)
        widths = [layout.pyramid.shape_of(level)[1] for level in layout.pyramid.levels]
        assert source.overviews(1) == [round(layout.grid.width / width) for width in widths]
        assert source.colorinterp == (ColorInterp.palette, *[ColorInterp.undefined] * (len(layout.bands) - 1))
        assert source.descriptions == layout.bands
        assert (source.nodata, source.crs.to_epsg()) == (255, 32633)
        assert source.transform[:6] == layout.grid.transform
    for number, level in enumerate(levels[1:]):
        with rasterio.open(path, overview_level=number) as source:
            np.testing.assert_array_equal(source.read(), level)
            assert source.colormap(1)[2] == (0xD7, 0x26, 0x3D, 255)
    with tifffile.TiffFile(path) as second:
        assert len(second.pages) == len(levels)
        for page, level in zip(second.pages, levels, strict=True):
            np.testing.assert_array_equal(page.asarray().reshape(level.shape), level)
            assert page.photometric == tifffile.PHOTOMETRIC.PALETTE


@pytest.mark.parametrize(
    ("height", "width"), [(1, 1), (511, 512), (512, 513), (513, 511), (1536, 100), (90, 1700), (1025, 1024), (700, 512)]
)
def test_every_pixel_and_overview_is_there_at_any_size(tmp_path: Path, height: int, width: int) -> None:
    layout = layout_of(height, width, block_px=512)
    layers = layers_of(layout)
    check(made(tmp_path, layout, layers), layout, layers)


@pytest.mark.parametrize(("height", "width"), [(1, 1200), (1200, 2), (700, 650)])
def test_pyramids_that_are_deeper_than_a_block_are_whole(tmp_path: Path, height: int, width: int) -> None:
    """Above level 4 a pixel of an overview stands for more than a block of 16 pixels."""
    layout = layout_of(height, width)
    assert layout.pyramid.n_levels >= 6
    layers = layers_of(layout)
    check(made(tmp_path, layout, layers), layout, layers)


def test_a_map_one_pixel_wide_has_no_overviews(tmp_path: Path) -> None:
    layout = layout_of(1200, 1, block_px=512)
    assert layout.pyramid.n_levels == 0
    layers = layers_of(layout)
    check(made(tmp_path, layout, layers), layout, layers)


@given(
    st.integers(1, 150),
    st.integers(1, 150),
    st.sampled_from([1, 2, 3, 6, 32]),
    st.sampled_from([16, 48]),
    st.booleans(),
    st.integers(0, 9),
)
@settings(max_examples=60, deadline=None)
def test_any_map_reads_back(height: int, width: int, n_bands: int, block_px: int, big: bool, seed: int) -> None:
    layout = layout_of(height, width, n_bands, block_px)
    layers = layers_of(layout, seed)
    blocks = [encode(layout, i, layers[:, *window.slices()]) for i, window in enumerate(layout.blocks)]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "map.tif"
        assemble(path, layout, KeptBlocks(blocks), TAGS, classic_bytes=0 if big else 2**32)
        assert path.read_bytes()[:4] == (b"II+\0" if big else b"II*\0")
        check(path, layout, layers)


@given(st.integers(1, 5000), st.integers(1, 12))
def test_a_level_shows_one_pixel_of_every_cell(size: int, level: int) -> None:
    found = shown(level, size)
    assert (found // 2**level).tolist() == list(range(-(-size // 2**level)))
    assert found[-1] < size
    whole = found[: size // 2**level] % 2**level
    assert (whole == (1 if level == 1 else 2 ** (level - 1) - 1)).all()


def test_a_file_becomes_a_bigtiff_exactly_where_a_classic_one_would_be_too_large(tmp_path: Path) -> None:
    layout = layout_of(40, 50)
    layers = layers_of(layout)
    blocks = KeptBlocks([encode(layout, i, layers[:, *w.slices()]) for i, w in enumerate(layout.blocks)])
    path = tmp_path / "map.tif"
    assemble(path, layout, blocks, TAGS)
    size = path.stat().st_size
    for limit, mark in ((size, b"II*\0"), (size - 1, b"II+\0")):
        assemble(path, layout, blocks, TAGS, classic_bytes=limit)
        assert path.read_bytes()[:4] == mark


def test_the_file_says_truly_how_it_is_laid_out(tmp_path: Path) -> None:
    """Tiles one after the other, each between its size and its last four bytes; directories before them all."""
    layout = layout_of(100, 130, 3)
    path = made(tmp_path, layout, layers_of(layout))
    content = path.read_bytes()
    assert content[8 : 8 + 43] == b"GDAL_STRUCTURAL_METADATA_SIZE=000140 bytes\n"
    assert len(content[51 : 51 + 140].splitlines()) == 6
    with tifffile.TiffFile(path) as source:
        tiles = [
            (at, size) for page in reversed(source.pages)
            for at, size in zip(page.dataoffsets, page.databytecounts, strict=True)
        ]  # fmt: skip
    assert tiles[0][0] - 4 == len(content) - sum(size + 8 for _, size in tiles)
    for (at, size), following in zip(tiles, [*[at for at, _ in tiles[1:]], len(content) + 4], strict=True):
        assert int.from_bytes(content[at - 4 : at], "little") == size
        assert content[at + size : at + size + 4] == content[at + size - 4 : at + size]
        assert following == at + size + 8


@contextmanager
def served(path: Path) -> Iterator[tuple[str, list[int]]]:
    """A file on loopback that gives byte ranges, and how many bytes each request got."""
    content, got = path.read_bytes(), []

    class Ranges(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self) -> None:
            self.answer(200, b"", len(content))

        def do_GET(self) -> None:
            first, last = self.headers["Range"].removeprefix("bytes=").split("-")
            part = content[int(first) : int(last) + 1]
            got.append(len(part))
            self.answer(206, part, len(part), f"bytes {first}-{int(first) + len(part) - 1}/{len(content)}")

        def answer(self, status: int, body: bytes, length: int, where: str = "") -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(length))
            self.send_header("Accept-Ranges", "bytes")
            if where:
                self.send_header("Content-Range", where)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Ranges) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"/vsicurl/http://127.0.0.1:{server.server_port}/{path.name}", got
        finally:
            server.shutdown()


def test_a_window_of_one_band_over_http_costs_one_request_a_tile(tmp_path: Path) -> None:
    layout = layout_of(1500, 1500, 6, 512)
    layers = layers_of(layout)
    path = made(tmp_path, layout, layers)
    with tifffile.TiffFile(path) as local:
        tile = local.pages[0].databytecounts[9 + 4]
    quiet = rasterio.Env(GDAL_DISABLE_READDIR_ON_OPEN="EMPTY_DIR")
    with served(path) as (url, got), quiet, rasterio.open(url) as source:
        assert got == [16384]
        window = rasterio.windows.Window(600, 600, 300, 300)
        np.testing.assert_array_equal(source.read(2, window=window), layers[1, 600:900, 600:900])
        assert len(got) == 2
        assert tile <= got[1] <= tile + 2 * 16384


@pytest.mark.skipif(shutil.which("gdalinfo") is None, reason="GDAL's programs are not installed")
def test_gdalinfo_reads_names_colours_tags_and_layout(tmp_path: Path) -> None:
    layout = layout_of(700, 900, 6, 512)
    path = made(tmp_path, layout, layers_of(layout))
    said = subprocess.run(["gdalinfo", "-json", path], capture_output=True, text=True, check=True, timeout=60)
    assert said.stderr == ""
    found = json.loads(said.stdout)
    assert found["metadata"]["IMAGE_STRUCTURE"] == {"COMPRESSION": "DEFLATE", "INTERLEAVE": "BAND", "LAYOUT": "COG"}
    assert found["metadata"][""] == {
        **TAGS, "GEOML_CLASSES": json.dumps(list(NAMES)), "AREA_OR_POINT": "Area",
    }  # fmt: skip
    assert found["geoTransform"] == [399960.0, 10.0, 0.0, 5900040.0, 0.0, -10.0]
    first, *others = found["bands"]
    assert [band["description"] for band in found["bands"]] == list(layout.bands)
    assert (first["colorInterpretation"], first["block"], first["noDataValue"]) == ("Palette", [512, 512], 255.0)
    assert first["colorTable"]["entries"][: len(COLOURS)] == [
        [int(colour[i : i + 2], 16) for i in (1, 3, 5)] + [255] for colour in COLOURS
    ]
    assert {band["colorInterpretation"] for band in others} == {"Undefined"}
    assert first["metadata"][""] == {f"CLASS_{code}": name for code, name in enumerate(NAMES)}
    assert "EPSG" in found["coordinateSystem"]["wkt"]
    assert "32633" in found["coordinateSystem"]["wkt"]


@given(
    st.dictionaries(
        st.from_regex(r"[A-Z][A-Z0-9_]{0,20}", fullmatch=True).filter(lambda n: not n.startswith(("AREA", "TIFFTAG"))),
        st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cn", "Cs"]), min_size=1).filter(
            lambda text: text == text.strip()
        ),
        max_size=5,
    )
)
@settings(max_examples=40, deadline=None)
def test_tags_come_back_as_they_were(tags: dict[str, str]) -> None:
    layout = layout_of(3, 4)
    blocks = KeptBlocks([encode(layout, 0, layers_of(layout))])
    with tempfile.TemporaryDirectory() as folder:
        assemble(Path(folder) / "map.tif", layout, blocks, tags)
        with rasterio.open(Path(folder) / "map.tif") as source:
            found = source.tags()
    assert {name: found[name] for name in tags} == tags


def test_names_from_outside_cannot_break_the_file(tmp_path: Path) -> None:
    names = ('</Item><Item name="NODATA">0', "a\x00b\x01\ud7ff\ufffe", "]]>&amp;\"'\n x")
    layout = MapLayout(layout_of(20, 20).grid, ("class", "confidence"), names, COLOURS, 16)
    path = made(tmp_path, layout, layers_of(layout))
    with rasterio.open(path) as source:
        assert source.nodata == 255
        assert set(source.tags(1)) == {"CLASS_0", "CLASS_1", "CLASS_2"}
        assert source.tags(1)["CLASS_0"] == names[0]
        assert source.tags(1)["CLASS_2"] == names[2]
        assert json.loads(source.tags()["GEOML_CLASSES"])[0] == names[0]


@pytest.mark.parametrize("epsg", [3857, 4326, 3035, 27700, 5514, 7415, 3031, 2193, 4266, 10307])
def test_maps_may_lie_anywhere(tmp_path: Path, epsg: int) -> None:
    """Also where GDAL itself reads another CRS than it wrote: then the map says what any file of GDAL's says."""
    layout = layout_of(20, 20)
    layout = replace(layout, grid=layout.grid.model_copy(update={"crs": f"EPSG:{epsg}", "left": 1.1, "pixel_m": 0.1}))
    path = made(tmp_path, layout, layers_of(layout))
    profile = {"driver": "GTiff", "width": 20, "height": 20, "count": 1, "dtype": "uint8"}
    where = {"crs": rasterio.CRS.from_epsg(epsg), "transform": rasterio.Affine(*layout.grid.transform)}
    with rasterio.open(tmp_path / "gdal.tif", "w", **profile, **where):
        pass
    with rasterio.open(path) as ours, rasterio.open(tmp_path / "gdal.tif") as theirs:
        assert (ours.crs, ours.transform) == (theirs.crs, theirs.transform)
        assert ours.tags()["AREA_OR_POINT"] == "Area"


def test_layouts_that_no_file_can_have_are_refused() -> None:
    grid = layout_of(20, 20).grid
    with pytest.raises(TooLarge, match="33 bands"):
        MapLayout(grid, tuple(f"b{n}" for n in range(33)), NAMES, COLOURS)
    with pytest.raises(TooLarge, match="limit is 2147483647 a side"):
        MapLayout(grid.model_copy(update={"width": 2**31}), ("class",), NAMES, COLOURS)
    for bands, colours, block_px in (((), COLOURS, 512), (("a", "a"), COLOURS, 512), (("a",), COLOURS[:2], 512),
                                     (("a",), ("red", *COLOURS[1:]), 512), (("a",), COLOURS, 500)):  # fmt: skip
        with pytest.raises(ValueError, match=r"bands|colours|multiple"):
            MapLayout(grid, bands, NAMES, colours, block_px)
