from __future__ import annotations

import errno
import json
from pathlib import Path

import numpy as np
import pytest
import rasterio
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio.enums import ColorInterp
from rio_cogeo.cogeo import cog_validate

from geoml_ops.adapters import cog
from geoml_ops.adapters.cog import assembly, numbers
from geoml_ops.adapters.cog.pyramid import Pyramid
from geoml_ops.core.errors import Refused, StorageFull, TooLarge
from geoml_ops.core.grid import Grid
from geoml_ops.domain.tiling import Layers
from geoml_ops.platform.files import sha256_of

TAGS = {"GEOML_PREDICTION": "prediction-0123456789abcdef", "GEOML_SCENES": "scene-0123456789abcdef"}
NAMES, COLOURS = ("water", "forest", "built"), ("#2a6fbb", "#1b5e20", "#d7263d")


def world(height: int = 700, width: int = 900) -> tuple[np.ndarray, np.ndarray, Grid]:
    rng = np.random.default_rng(0)
    classes = rng.integers(0, 3, (height, width)).astype(np.uint8)
    confidence = rng.random((height, width)).astype(np.float32)
    classes[:90, :40] = 255
    confidence[:90, :40] = np.nan
    grid = Grid(crs="EPSG:32633", left=399960.0, top=5900040.0, pixel_m=10.0, width=width, height=height)
    return classes, confidence, grid


def write(path: Path) -> tuple[np.ndarray, np.ndarray, Grid]:
    classes, confidence, grid = world()
    cog.write_map(path, Layers(classes, confidence), grid, names=NAMES, colours=COLOURS, tags=TAGS)
    return classes, confidence, grid


def knowing(height: int = 700, width: int = 900, n_members: int = 1) -> tuple[Layers, Grid]:
    """A map of a model that also knows its sets and where it may be asked."""
    classes, confidence, grid = world(height, width)
    rng = np.random.default_rng(1)
    known = classes != 255

    def layer(most: int) -> np.ndarray:
        return np.where(known, rng.integers(0, most + 1, known.shape), 255).astype(np.uint8)

    members = np.stack([layer(127) for _ in range(n_members)])
    return Layers(classes, confidence, layer(3), members, layer(250), layer(250)), grid


def test_a_map_is_a_valid_cog_and_keeps_every_pixel(tmp_path: Path) -> None:
    classes, confidence, grid = write(tmp_path / "map.tif")
    valid, errors, warnings = cog_validate(tmp_path / "map.tif", strict=True, quiet=True)
    assert (valid, errors, warnings) == (True, [], [])
    with rasterio.open(tmp_path / "map.tif") as source:
        np.testing.assert_array_equal(source.read(1), classes)
        percent = source.read(2)
        assert (percent[classes == 255] == 255).all()
        known = classes != 255
        assert np.abs(percent[known] / 100 - confidence[known]).max() <= 0.0050001
        assert source.nodata == 255
        assert source.transform[:6] == grid.transform
        assert source.crs.to_epsg() == 32633
        assert len(source.overviews(1)) >= 1


def test_a_map_says_what_its_codes_mean(tmp_path: Path) -> None:
    write(tmp_path / "map.tif")
    with rasterio.open(tmp_path / "map.tif") as source:
        assert source.colorinterp == (ColorInterp.palette, ColorInterp.undefined)
        assert source.colormap(1)[1] == (0x1B, 0x5E, 0x20, 255)
        assert source.colormap(1)[255][3] == 0
        assert source.descriptions == ("class", "confidence")
        assert source.tags(1)["CLASS_2"] == "built"
        assert source.tags()["GEOML_SCENES"] == "scene-0123456789abcdef"
        assert tuple(json.loads(source.tags()["GEOML_CLASSES"])) == NAMES
    assert cog.read_classes(tmp_path / "map.tif") == NAMES
    assert [p.name for p in tmp_path.iterdir()] == ["map.tif"]


def test_the_overviews_hold_classes_not_averages(tmp_path: Path) -> None:
    write(tmp_path / "map.tif")
    with rasterio.open(tmp_path / "map.tif", overview_level=0) as source:
        assert source.colorinterp == (ColorInterp.palette, ColorInterp.undefined)
        assert set(np.unique(source.read(1))) <= {0, 1, 2, 255}


def test_the_same_answer_gives_the_same_bytes(tmp_path: Path) -> None:
    write(tmp_path / "a" / "map.tif")
    write(tmp_path / "b" / "other.tif")
    assert sha256_of(tmp_path / "a" / "map.tif") == sha256_of(tmp_path / "b" / "other.tif")


def test_a_full_disk_has_a_name_and_leaves_the_old_map(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "map.tif")
    before = sha256_of(tmp_path / "map.tif")

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(assembly, "check_map", full)
    with pytest.raises(StorageFull, match=r"map\.tif"):
        write(tmp_path / "map.tif")
    assert sha256_of(tmp_path / "map.tif") == before
    assert len(list(tmp_path.iterdir())) == 1


def test_a_map_that_reads_back_differently_never_appears(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = assembly.check_map

    def cut(part: Path, *said: object) -> None:
        with rasterio.open(part, "r+", IGNORE_COG_LAYOUT_BREAK="YES") as damaged:
            damaged.write(np.zeros((10, 10), np.uint8), 1, window=rasterio.windows.Window(300, 300, 10, 10))
        real(part, *said)

    monkeypatch.setattr(assembly, "check_map", cut)
    with pytest.raises(Refused, match="read back"):
        write(tmp_path / "map.tif")
    assert list(tmp_path.iterdir()) == []


def test_a_map_that_lost_its_end_never_appears(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = assembly.check_map

    def cut(part: Path, *said: object) -> None:
        with part.open("r+b") as file:
            file.truncate(part.stat().st_size - 100)
        real(part, *said)

    monkeypatch.setattr(assembly, "check_map", cut)
    with pytest.raises(Refused, match="read back"):
        write(tmp_path / "map.tif")
    assert list(tmp_path.iterdir()) == []


# --- maps that know more ---------------------------------------------------------------------


def test_every_layer_is_a_band_that_says_what_it_is(tmp_path: Path) -> None:
    layers, grid = knowing()
    cog.write_map(tmp_path / "map.tif", layers, grid, names=NAMES, colours=COLOURS, tags=TAGS)
    assert cog_validate(tmp_path / "map.tif", strict=True, quiet=True) == (True, [], [])
    with rasterio.Env(GDAL_PAM_ENABLED="NO"), rasterio.open(tmp_path / "map.tif") as source:
        assert source.descriptions == ("class", "confidence", "set_size", "dissimilarity", "density", "set_1")
        assert source.nodata == 255
        expected = [layers.classes, None, layers.set_size, layers.dissimilarity, layers.density, layers.members[0]]
        for number, layer in enumerate(expected, start=1):
            if layer is not None:
                np.testing.assert_array_equal(source.read(number), layer)
        assert "above 100: outside" in source.tags(4)["MEANING"]
        assert source.tags(4)["UNIT"] == "percent of GEOML_THRESHOLD"
        assert source.tags(5)["UNIT"] == "samples"
        assert [source.tags(6)[f"BIT_{bit}"] for bit in range(3)] == list(NAMES)
        assert {k: v for k, v in source.tags().items() if k != "AREA_OR_POINT"} == {
            **TAGS, "GEOML_CLASSES": json.dumps(list(NAMES)),
        }  # fmt: skip
    assert [p.name for p in tmp_path.iterdir()] == ["map.tif"]


@pytest.mark.parametrize("n_members", [1, 2, 5])
def test_the_colours_of_the_classes_stay_in_a_map_of_many_bands(tmp_path: Path, n_members: int) -> None:
    layers, grid = knowing(700, 1100, n_members=n_members)
    cog.write_map(tmp_path / "map.tif", layers, grid, names=NAMES, colours=COLOURS, tags=TAGS)
    for options in ({}, {"overview_level": 0}, {"overview_level": 1}):
        with rasterio.Env(GDAL_PAM_ENABLED="NO"), rasterio.open(tmp_path / "map.tif", **options) as source:
            assert source.colorinterp == (ColorInterp.palette, *[ColorInterp.undefined] * (4 + n_members))
            assert source.colormap(1)[2] == (0xD7, 0x26, 0x3D, 255)
            assert source.colormap(1)[255][3] == 0
            assert set(np.unique(source.read(1))) <= {0, 1, 2, 255}
            assert source.photometric is None or source.photometric.name != "rgb"


def test_layers_that_a_model_lacks_are_unknown_and_bands_keep_their_places(tmp_path: Path) -> None:
    layers, grid = knowing()
    only_sets = Layers(layers.classes, layers.confidence, layers.set_size, layers.members)
    only_far = Layers(layers.classes, layers.confidence, dissimilarity=layers.dissimilarity, density=layers.density)
    for name, some, unknown in (("sets", only_sets, (4, 5)), ("far", only_far, (3, 6))):
        cog.write_map(tmp_path / f"{name}.tif", some, grid, names=NAMES, colours=COLOURS, tags=TAGS)
        with rasterio.open(tmp_path / f"{name}.tif") as source:
            assert source.descriptions == ("class", "confidence", "set_size", "dissimilarity", "density", "set_1")
            assert [n for n in source.indexes if (source.read(n) == 255).all()] == list(unknown)


def test_maps_of_many_bands_are_the_same_bytes_too(tmp_path: Path) -> None:
    layers, grid = knowing()
    for name in ("a", "b"):
        cog.write_map(tmp_path / name / "map.tif", layers, grid, names=NAMES, colours=COLOURS, tags=TAGS)
    assert sha256_of(tmp_path / "a" / "map.tif") == sha256_of(tmp_path / "b" / "map.tif")


def test_a_small_map_without_overviews_is_whole_as_well(tmp_path: Path) -> None:
    layers, grid = knowing(40, 30)
    cog.write_map(tmp_path / "map.tif", layers, grid, names=NAMES, colours=COLOURS, tags=TAGS)
    with rasterio.Env(GDAL_PAM_ENABLED="NO"), rasterio.open(tmp_path / "map.tif") as source:
        assert source.overviews(1) == []
        assert source.colormap(1)[0] == (0x2A, 0x6F, 0xBB, 255)


def test_layers_that_do_not_fit_the_grid_are_refused(tmp_path: Path) -> None:
    layers, grid = knowing(40, 30)
    bent = Layers(layers.classes, layers.confidence, layers.set_size.T)
    with pytest.raises(ValueError, match="set_size"):
        cog.write_map(tmp_path / "map.tif", bent, grid, names=NAMES, colours=COLOURS, tags=TAGS)
    assert list(tmp_path.iterdir()) == []


def test_more_numbers_than_a_file_holds_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, confidence, grid = world(40, 30)
    cog.write_numbers(tmp_path / "numbers.tif", confidence[np.newaxis], grid, ["confidence"], TAGS)
    monkeypatch.setattr(numbers, "MAX_NUMBERS", 1000)
    with pytest.raises(TooLarge, match="1200 numbers in one file; the limit is 1000"):
        cog.write_numbers(tmp_path / "more.tif", confidence[np.newaxis], grid, ["confidence"], TAGS)
    assert [p.name for p in tmp_path.iterdir()] == ["numbers.tif"]


def test_a_map_of_a_whole_palette_keeps_all_its_colours(tmp_path: Path) -> None:
    """Nearly as many classes as bands allow, and names in another alphabet; what nobody could read is not written."""
    classes, confidence, grid = world(300, 300)
    n = 180
    names, colours = [f"клас {i}" for i in range(n)], [f"#{i:02x}{255 - i:02x}80" for i in range(n)]
    classes = np.where(classes == 255, 255, np.arange(90_000).reshape(300, 300) % n).astype(np.uint8)
    members = np.full((-(-n // 7), 300, 300), 1, np.uint8)
    layers = Layers(classes, confidence, classes, members)
    assert len(cog.bands_of(layers)) == 31
    cog.write_map(tmp_path / "map.tif", layers, grid, names=names, colours=colours, tags=TAGS)
    with rasterio.Env(GDAL_PAM_ENABLED="NO"), rasterio.open(tmp_path / "map.tif") as source:
        assert all(source.colormap(1)[i] == (i, 255 - i, 0x80, 255) for i in range(n))
        assert source.tags(31)["BIT_4"] == "клас 179"
    more = Layers(classes, confidence, classes, np.repeat(members, 2, axis=0)[:28])
    with pytest.raises(TooLarge, match="33 bands"):
        cog.write_map(tmp_path / "more.tif", more, grid, names=names, colours=colours, tags=TAGS)


@given(st.integers(1, 1500), st.integers(2, 1500), st.sampled_from([16, 64, 256]))
@settings(max_examples=60, deadline=None)
def test_overviews_show_the_pixels_that_their_sources_name(height: int, width: int, chunk_px: int) -> None:
    pyramid = Pyramid((height, width), chunk_px)
    grid = Grid(crs="EPSG:32633", left=0.0, top=0.0, pixel_m=1.0, width=width, height=height)
    pixels = np.random.default_rng(height * width).integers(0, 255, (2, height, width)).astype(np.uint8)
    for level in pyramid.levels:
        rows, cols = pyramid.sources(level)
        for window in grid.tiles(chunk_px):
            down, right = pyramid.part(level, window)
            layers = pixels[:, *window.slices()]
            shown = pixels[:, rows[down, np.newaxis], cols[np.newaxis, right]]
            np.testing.assert_array_equal(pyramid.decimated(level, window, layers), shown)
