from __future__ import annotations

import errno
import json
from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.enums import ColorInterp
from rio_cogeo.cogeo import cog_validate

from geoml_ops.adapters import cog
from geoml_ops.core.errors import Refused, StorageFull
from geoml_ops.core.grid import Grid
from geoml_ops.platform.files import sha256_of

NAMES, COLOURS = ("water", "forest", "built"), ("#2a6fbb", "#1b5e20", "#d7263d")


def world(height: int = 700, width: int = 900) -> tuple[np.ndarray, np.ndarray, Grid]:
    rng = np.random.default_rng(0)
    classes = rng.integers(0, 3, (height, width)).astype(np.uint8)
    confidence = rng.random((height, width)).astype(np.float32)
    classes[:90, :40] = 255
    confidence[:90, :40] = np.nan
    grid = Grid(crs="EPSG:32633", left=399960.0, top=5900040.0, pixel_m=10.0, width=width, height=height)
    return classes, confidence, grid


def write(path: Path, **other: object) -> tuple[np.ndarray, np.ndarray, Grid]:
    classes, confidence, grid = world()
    tags = {"GEOML_PREDICTION": "prediction-0123456789abcdef", "GEOML_SCENES": "scene-0123456789abcdef"}
    cog.write_map(path, classes, confidence, grid, names=NAMES, colours=COLOURS, tags=tags)
    return classes, confidence, grid


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

    monkeypatch.setattr(cog, "copy", full)
    with pytest.raises(StorageFull, match=r"map\.tif"):
        write(tmp_path / "map.tif")
    assert sha256_of(tmp_path / "map.tif") == before
    assert len(list(tmp_path.iterdir())) == 1


def test_a_map_that_reads_back_differently_never_appears(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = cog.copy

    def cut(source: object, target: str, **options: object) -> None:
        real(source, target, **options)
        with rasterio.open(target, "r+", IGNORE_COG_LAYOUT_BREAK="YES") as damaged:
            damaged.write(np.zeros((10, 10), np.uint8), 1, window=rasterio.windows.Window(300, 300, 10, 10))

    monkeypatch.setattr(cog, "copy", cut)
    with pytest.raises(Refused, match="read back"):
        write(tmp_path / "map.tif")
    assert list(tmp_path.iterdir()) == []
