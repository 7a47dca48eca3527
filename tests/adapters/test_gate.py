"""The gate in front of GDAL: honest files of many writers pass, and what it says of them is what GDAL reads."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rasterio.shutil import copy

from geoml_ops.adapters import raster
from geoml_ops.adapters.raster import opening
from geoml_ops.adapters.raster.classified import MAP_LIMITS
from geoml_ops.adapters.raster.gate import inspect
from geoml_ops.core.errors import BadInput, GeomlError
from geoml_ops.core.grid import Grid, Window
from tests.fuzz.raw import ASCII, DOUBLE, LONG, LONG8, PLACE, SHORT, image, tiff

GRID = Grid(crs="EPSG:32633", left=400_000.0, top=5_800_020.0, pixel_m=10.0, width=100, height=70)
LIMITS = raster.Limits()
CODECS: tuple[dict[str, Any], ...] = (
    {},
    {"compress": "lzw", "predictor": 2},
    {"compress": "deflate", "predictor": 2},
    {"compress": "zstd"},
    {"compress": "packbits"},
    {"compress": "lerc"},
    {"compress": "lerc_zstd"},
)
LAYOUTS: tuple[dict[str, Any], ...] = (
    {},
    {"blockysize": 1},
    {"blockysize": 70},
    {"tiled": True, "blockxsize": 16, "blockysize": 32},
    {"tiled": True, "blockxsize": 256, "blockysize": 256},
)


def written(path: Path, dn: np.ndarray[Any, Any] | None = None, **changes: Any) -> Path:
    dn = np.random.default_rng(0).integers(0, 200, (3, *GRID.shape)).astype(np.uint16) if dn is None else dn
    profile = {
        "driver": "GTiff",
        "dtype": dn.dtype.name,
        "count": dn.shape[0],
        "height": dn.shape[1],
        "width": dn.shape[2],
        "crs": "EPSG:32633",
        "transform": rasterio.Affine(*GRID.transform),
    }
    with rasterio.open(path, "w", **(profile | changes)) as target:
        target.write(dn)
    return path


@pytest.mark.parametrize("codec", CODECS, ids=lambda codec: codec.get("compress", "none"))
@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
def test_what_gdal_writes_passes(tmp_path: Path, codec: dict[str, Any], layout: dict[str, Any]) -> None:
    for interleave, big, order in itertools.product(("pixel", "band"), ("YES", "NO"), ("LITTLE", "BIG")):
        more = {"interleave": interleave, "BIGTIFF": big, "ENDIANNESS": order}
        path = written(tmp_path / f"{interleave}-{big}-{order}.tif", **codec, **layout, **more)
        header = inspect(path, LIMITS)
        assert (header.width, header.height, header.n_bands) == (100, 70, 3)
        with rasterio.open(path) as source:
            np.testing.assert_array_equal(raster.read(path, limits=LIMITS), source.read())


@pytest.mark.parametrize(
    "dtype", ["uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64", "float32", "float64"]
)
def test_all_plain_types_pass(tmp_path: Path, dtype: str) -> None:
    dn = np.random.default_rng(0).integers(0, 100, (2, *GRID.shape)).astype(dtype)
    path = written(tmp_path / "x.tif", dn, compress="deflate", tiled=True, blockxsize=64, blockysize=64)
    assert inspect(path, LIMITS).n_bands == 2
    np.testing.assert_array_equal(raster.read(path, limits=LIMITS), dn)


@pytest.mark.parametrize("bits", [1, 2, 4, 7, 12])
def test_numbers_of_few_bits_pass(tmp_path: Path, bits: int) -> None:
    dn = np.random.default_rng(0).integers(0, 2**bits, (1, *GRID.shape)).astype(np.uint16 if bits > 8 else np.uint8)
    for name, codec in (("a.tif", {}), ("b.tif", {"compress": "deflate"})):
        path = written(tmp_path / name, dn, NBITS=bits, **codec)
        np.testing.assert_array_equal(raster.read(path, limits=LIMITS), dn)


def test_overviews_and_masks_inside_pass_and_are_counted(tmp_path: Path) -> None:
    for name, more in (("a.tif", {}), ("b.tif", {"tiled": True, "compress": "deflate", "BIGTIFF": "YES"})):
        path = written(tmp_path / name, **more)
        with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(path, "r+") as target:
            target.write_mask(np.eye(*GRID.shape, dtype=bool))
            target.build_overviews([2, 4])
            target.update_tags(1, STATISTICS_MEAN="1")
        header = inspect(path, LIMITS)
        assert (header.n_overviews, header.n_masks) == (2, 3)
        raster.read(path, limits=LIMITS)


@pytest.mark.parametrize("codec", ["DEFLATE", "LZW", "ZSTD", "LERC", "NONE"])
@pytest.mark.parametrize("masked", [False, True])
def test_cogs_pass(tmp_path: Path, codec: str, masked: bool) -> None:
    dn = np.random.default_rng(0).integers(0, 200, (3, 700, 600)).astype(np.uint16)
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True):
        path = written(tmp_path / "x.tif", dn)
        if masked:
            with rasterio.open(path, "r+") as target:
                target.write_mask(np.ones((700, 600), dtype=bool))
        copy(path, tmp_path / "cog.tif", driver="COG", compress=codec, blocksize=256, overview_count=2)
    header = inspect(tmp_path / "cog.tif", LIMITS)
    assert (header.n_overviews, header.n_masks) == (2, 3 if masked else 0)
    np.testing.assert_array_equal(raster.read(tmp_path / "cog.tif", limits=LIMITS), dn)


def test_missing_chunks_are_taken_where_the_file_says_what_they_are(tmp_path: Path) -> None:
    dn = np.zeros((2, 70, 100), np.uint16)
    dn[:, :10, :10] = 7
    more = {"tiled": True, "blockxsize": 16, "blockysize": 16, "SPARSE_OK": True}
    path = written(tmp_path / "said.tif", dn, nodata=0, **more)
    assert inspect(path, LIMITS).n_missing == 34
    np.testing.assert_array_equal(raster.read(path, limits=LIMITS), dn)
    with pytest.raises(BadInput, match=r"34 of 35 chunks of silent.tif were never written"):
        inspect(written(tmp_path / "silent.tif", dn, **more), LIMITS)
    with pytest.raises(BadInput, match=r"No pixel of empty.tif was written"):
        inspect(written(tmp_path / "empty.tif", dn * 0, nodata=0, **more), LIMITS)


def test_constant_scenes_pass_whatever_the_codec(tmp_path: Path) -> None:
    dn = np.full((4, 1024, 1024), 3, np.uint16)
    for codec in CODECS:
        more = {"tiled": True, "blockxsize": 512, "blockysize": 512, **codec}
        assert inspect(written(tmp_path / "x.tif", dn, **more), LIMITS).n_bands == 4


def test_files_of_tifffile_pass(tmp_path: Path) -> None:
    tifffile = pytest.importorskip("tifffile")
    dn = np.random.default_rng(0).integers(0, 200, (100, 70, 3)).astype(np.uint16)
    tags = [(tag, kind, len(list(values)), tuple(values), True) for tag, (kind, values) in PLACE.items()]
    for number, said in enumerate(
        [
            {},
            {"tile": (32, 16)},
            {"rowsperstrip": 7},
            {"bigtiff": True},
            {"byteorder": ">"},
            {"planarconfig": "separate"},
        ]
    ):
        more: dict[str, Any] = {"planarconfig": "contig", **said}
        content = dn if more["planarconfig"] == "contig" else dn.transpose(2, 0, 1)
        path = tmp_path / f"{number}.tif"
        tifffile.imwrite(path, content, photometric="minisblack", extratags=tags, metadata=None, **more)
        assert inspect(path, LIMITS).n_bands == 3
        np.testing.assert_array_equal(raster.read(path, limits=LIMITS), dn.transpose(2, 0, 1))
        assert raster.describe(path, LIMITS).grid.crs == "EPSG:32633"


def test_jpeg_is_read_where_it_is_asked_for(tmp_path: Path) -> None:
    dn = np.random.default_rng(0).integers(0, 255, (3, *GRID.shape)).astype(np.uint8)
    for colours in ("RGB", "YCBCR"):
        path = written(tmp_path / "photo.tif", dn, compress="jpeg", photometric=colours, interleave="pixel")
        assert raster.read(path).shape == dn.shape
        with pytest.raises(BadInput, match="compressed as JPEG, which is not read here"):
            raster.read(path, limits=LIMITS)
    jp2 = tmp_path / "x.jp2"
    copy(written(tmp_path / "x.tif", dn[:1]), jp2, driver="JP2OpenJPEG")
    assert raster.describe(jp2).n_bands == 1
    with pytest.raises(BadInput, match="is not a GeoTIFF"):
        raster.describe(jp2, LIMITS)


@pytest.mark.parametrize("codec", ["lzma", "webp", "jxl"])
def test_other_codecs_are_named_and_refused(tmp_path: Path, codec: str) -> None:
    dn = np.zeros((3, *GRID.shape), np.uint8)
    try:
        path = written(tmp_path / "x.tif", dn, compress=codec, interleave="pixel")
    except rasterio.errors.RasterioError:
        pytest.skip(f"this GDAL does not write {codec}")
    with pytest.raises(BadInput, match="which is not read here"):
        raster.read(path)


def test_a_map_of_ten_thousand_million_pixels_passes_within_its_limits(tmp_path: Path) -> None:
    side = 100_000
    path = tmp_path / "x.tif"
    more = {"tiled": True, "blockxsize": 512, "blockysize": 512, "compress": "deflate", "SPARSE_OK": True}
    profile = {"driver": "GTiff", "dtype": "uint8", "count": 2, "height": side, "width": side, "nodata": 255}
    place = {"crs": "EPSG:32633", "transform": rasterio.Affine(*GRID.transform)}
    with rasterio.open(path, "w", **profile, **place, **more) as target:
        target.write(np.ones((2, 512, 512), np.uint8), window=rasterio.windows.Window(512, 512, 512, 512))
    began = time.process_time()
    header = inspect(path, MAP_LIMITS)
    assert time.process_time() - began < 2
    assert (header.width, header.n_missing) == (side, 196**2 - 1)
    window = Window(col=512, row=512, width=4, height=4)
    assert raster.read(path, window, limits=MAP_LIMITS).all()


def test_a_file_is_judged_once_for_each_of_its_states(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    judged: list[str] = []
    monkeypatch.setattr(opening, "inspect", lambda path, limits: judged.append(path.name) or inspect(path, limits))
    path = written(tmp_path / "x.tif")
    for _ in range(5):
        raster.describe(path)
        raster.read(path)
    assert judged == ["x.tif"]
    raster.read(path, limits=LIMITS)
    assert judged == ["x.tif"] * 2
    before = path.stat()
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    raster.read(path)
    assert len(judged) == 3


def test_a_file_that_changes_while_it_is_opened_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, other = written(tmp_path / "x.tif"), written(tmp_path / "y.tif", np.zeros((1, 9, 9), np.uint8))

    def swapped(*given: Any, **more: Any) -> Any:
        other.replace(path)
        return open_(*given, **more)

    open_ = rasterio.open
    monkeypatch.setattr(opening.rasterio, "open", swapped)
    with pytest.raises(BadInput, match="changed while it was opened"):
        raster.read(path)


def test_overviews_that_show_other_pixels_are_not_read(tmp_path: Path) -> None:
    path = written(tmp_path / "x.tif", np.full((1, 128, 128), 5, np.uint8), tiled=True, blockxsize=64, blockysize=64)
    with rasterio.open(path, "r+") as target:
        target.build_overviews([2])
    with rasterio.open(path, "r+", OVERVIEW_LEVEL=0) as target:
        target.write(np.full((1, 64, 64), 9, np.uint8))
    with rasterio.open(path) as source:
        assert source.read(1, out_shape=(32, 32)).max() == 9
    grid = GRID.model_copy(update={"pixel_m": 40.0, "width": 32, "height": 32})
    assert raster.warped(path, grid).max() == 5
    assert raster.read(path).max() == 5


def raw(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("order", ["<", ">"])
def test_files_put_together_by_hand_pass_in_both_sizes_and_orders(tmp_path: Path, big: bool, order: str) -> None:
    path = raw(tmp_path / "x.tif", tiff(image(), order=order, big=big, data=bytes(range(256)) * 16))
    assert raster.read(path, limits=LIMITS)[0, 1, 3] == 67
    assert raster.describe(path, LIMITS).grid.pixel_m == 10.0


def test_one_chunk_may_stand_for_many_but_none_may_begin_inside_another(tmp_path: Path) -> None:
    path = raw(tmp_path / "x.tif", tiff(image(128, 128)))
    assert raster.read(path, limits=LIMITS).shape == (1, 128, 128)
    moved = image(128, 64, t324=(LONG, [16, 32]))
    with pytest.raises(BadInput, match="overlap"):
        inspect(raw(tmp_path / "x.tif", tiff(moved, data=bytes(5000))), LIMITS)


TEXTS: list[tuple[dict[str, Any], str]] = [
    ({"t42112": (ASCII, b'<GDALMetadata><Item name="A" domain="OVERVIEWS">b</Item></GDALMetadata>\0')}, "OVERVIEWS"),
    ({"t42112": (ASCII, b'<GDALMetadata><Item name="A" DOMAIN="geolocation">b</Item></GDALMetadata>\0')}, "geoloc"),
    ({"t42112": (ASCII, b'<GDALMetadata><Item name="A" domain="&#79;VERVIEWS">b</Item></GDALMetadata>\0')}, "&#79;"),
    ({"t42112": (ASCII, b"<GDALMetadata><Item name='A' domain='OVERVIEWS'>b</Item></GDALMetadata>\0")}, "not the XML"),
    ({"t42112": (ASCII, b"<!DOCTYPE a [<!ENTITY b 'c'>]><GDALMetadata/>\0")}, "not the XML"),
    ({"t42112": (ASCII, b"<GDALMetadata><![CDATA[<Item/>]]></GDALMetadata>\0")}, "not the XML"),
    ({"t42112": (ASCII, b"<GDALMetadata/>\0<GDALMetadata>\0")}, "is no text"),
    ({"t42112": (ASCII, b"\xff\xfe<\0")}, "is not UTF-8"),
    ({"t42112": (ASCII, b"<Item/>" * 20_000 + b"\0")}, "metadata items"),
    ({"t42113": (ASCII, b"none\0")}, "nodata of x.tif is no number: 'none'"),
    ({"t50844": (DOUBLE, [0.0] * 92)}, "rational polynomials"),
    ({"t33922": (DOUBLE, [0.0] * 24)}, "ground control points, 4"),
    ({"t33550": (DOUBLE, [10.0, float("nan"), 0.0])}, "no place on the ground"),
    ({"t33550": (DOUBLE, [0.0, 10.0, 0.0])}, "of 0 at 400000, .* are no place on the ground"),
    ({"t33550": (DOUBLE, [1e-9, 1e-9, 0.0])}, "are no place on the ground"),
    ({"t33922": (DOUBLE, [0.0, 0.0, 0.0, -7e24, 5e6, 0.0])}, "at -7e.24, 5e.06 are no place"),
    ({"t33922": (DOUBLE, [1e300, 0.0, 0.0, 4e5, 5e6, 0.0])}, "are no place on the ground"),
    ({"t34264": (DOUBLE, [0.0] * 16)}, "of 0 at 0, 0 are no place"),
    ({"t34264": (DOUBLE, [10.0] * 12)}, "Field 34264 .* no place"),
    ({"t33550": None}, "place of x.tif on the ground is unknown"),
    ({"t34735": (SHORT, [1, 1, 0, 9, 1024, 0, 1, 1])}, "keys of x.tif are broken"),
    ({"t34735": (SHORT, [1, 1, 0, 1, 1026, 34737, 9, 9])}, "GeoTIFF key 1026 of x.tif lies outside"),
    ({"t34737": (ASCII, b"ESRI PE String = +nadgrids=/etc/hostname|\0")}, "may lead to other files"),
    ({"t330": (LONG, [8])}, "images inside its images"),
]


@pytest.mark.parametrize(("changes", "words"), TEXTS)
def test_words_that_lead_elsewhere_or_are_none_are_refused(tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    with pytest.raises(BadInput, match=words):
        inspect(raw(tmp_path / "x.tif", tiff(image(**changes))), LIMITS)


def test_plain_words_pass(tmp_path: Path) -> None:
    text = (
        b'<?xml version="1.0"?>\n<GDALMetadata>\n  <!-- said -->\n'
        b'  <Item name="SCALE" sample="0" role="scale">0.0001</Item>\n'
        b'  <Item name="A" domain="IMAGE_STRUCTURE">domain = &lt;OVERVIEWS&gt; &amp; more > less</Item>\n  <Odd/>\n'
        b"</GDALMetadata>\n\0\0"
    )
    path = raw(tmp_path / "x.tif", tiff(image(t42112=(ASCII, text), t42113=(ASCII, b"nan\0"))))
    assert inspect(path, LIMITS).width == 64


LAYOUT: list[tuple[dict[str, Any], str]] = [
    ({"t256": (LONG, [0])}, "0 x 64 pixels"),
    ({"t256": None}, "Field 256 .* missing"),
    ({"t256": (DOUBLE, [64.0])}, "should be one whole number"),
    ({"t258": (SHORT, [8, 16]), "t277": (SHORT, [2])}, "several types"),
    ({"t258": (SHORT, [8] * 3), "t277": (SHORT, [2])}, "holds 3 numbers for 2 bands"),
    ({"t258": (SHORT, [24])}, "with 24 bits"),
    ({"t339": (SHORT, [5])}, "sample format 5"),
    ({"t339": (SHORT, [3])}, "sample format 3 with 8 bits"),
    ({"t259": (SHORT, [34712])}, "compressed as JPEG 2000"),
    ({"t259": (SHORT, [999])}, "compressed as 999"),
    ({"t262": (SHORT, [8])}, "colours of kind 8"),
    ({"t284": (SHORT, [3])}, "arranged in way 3"),
    ({"t322": (LONG, [0])}, "0 x 64 pixels; TIFF wants multiples of 16"),
    ({"t322": (LONG, [60])}, "multiples of 16"),
    ({"t273": (LONG, [16])}, "both tiles and strips"),
    ({"t324": (LONG, [16, 16])}, "1 chunks and a table .field 324. of 2"),
    ({"t325": None}, "1 chunks and a table .field 325. of none"),
    ({"t324": (DOUBLE, [16.0])}, "of 1 of kind 12"),
    ({"t324": (LONG, [4000])}, "1 of 1 chunks of x.tif lie outside"),
    ({"t324": (LONG8, [2**64 - 4096])}, "lie outside"),
    ({"t324": (LONG, [4])}, "lie outside"),
    ({"t325": (LONG8, [2**64 - 16])}, "lie outside"),
    ({"t325": (LONG, [4095])}, "1 chunks of x.tif are shorter"),
    ({"t324": (LONG, [0])}, "but not how long"),
    ({"t325": (LONG, [0])}, "but not how long"),
    ({"t254": (LONG, [1])}, "first image of x.tif is an overview"),
    ({"t259": (SHORT, [8]), "t325": (LONG, [3])}, "shorter than any"),
]


@pytest.mark.parametrize(("changes", "words"), LAYOUT)
def test_layouts_that_cannot_be_are_refused(tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    with pytest.raises(BadInput, match=words):
        inspect(raw(tmp_path / "x.tif", tiff(image(**changes))), LIMITS)


def test_images_beside_the_image_are_its_overviews_and_masks_only(tmp_path: Path) -> None:
    def beside(**changes: Any) -> bytes:
        return tiff(image(128, 128), image(64, 64, **changes))

    assert inspect(raw(tmp_path / "x.tif", beside(t254=(LONG, [1]))), LIMITS).n_overviews == 1
    for changes, words in (
        ({}, "more than one image"),
        ({"t254": (LONG, [2])}, "more than one image"),
        ({"t254": (LONG, [1]), "t258": (SHORT, [8] * 2), "t277": (SHORT, [2]), "t284": (SHORT, [2])}, "a table"),
        ({"t254": (LONG, [4]), "t258": (SHORT, [4])}, "mask of x.tif has 1 bands of 4 bits"),
        ({"t254": (LONG, [1]), "t258": (SHORT, [4])}, "other bands or another type"),
        (
            {"t254": (LONG, [1]), "t256": (LONG, [192]), "t324": (LONG, [16] * 3), "t325": (LONG, [4096] * 3)},
            "192 x 64",
        ),
    ):
        with pytest.raises(BadInput, match=words):
            inspect(raw(tmp_path / "x.tif", beside(**changes)), LIMITS)


def spoiled(content: bytes) -> st.SearchStrategy[bytes]:
    places = st.lists(st.tuples(st.integers(0, len(content) - 1), st.integers(0, 255)), min_size=1, max_size=6)

    def apply(changes: list[tuple[int, int]]) -> bytes:
        spoilt = bytearray(content)
        for place, value in changes:
            spoilt[place] = value
        return bytes(spoilt)

    return places.map(apply)


SMALL = tiff(image(t42113=(ASCII, b"0\0")), image(t254=(LONG, [1])), data=bytes(4096))


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.one_of(st.binary(max_size=300), spoiled(SMALL[4096:]).map(lambda end: SMALL[:4096] + end)))
def test_whatever_is_in_it_the_gate_says_so_in_a_sentence(tmp_path: Path, content: bytes) -> None:
    path = raw(tmp_path / "x.tif", content)
    look: list[Callable[[], Any]] = [lambda: inspect(path, LIMITS), lambda: raster.read(path, limits=LIMITS)]
    for one in look:
        assert "x.tif" in (sentence_of(one) or "x.tif")


def sentence_of(look: Callable[[], Any]) -> str:
    try:
        look()
    except GeomlError as error:
        return str(error)
    return ""
