"""Rasters of class codes: read in parts, equal to rasterio's own sampling, and refused where they are none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from hypothesis import given, settings
from hypothesis import strategies as st

from geoml_ops.adapters import raster
from geoml_ops.adapters.raster import labels
from geoml_ops.core.errors import BadInput, TooLarge

NORTH_UP = rasterio.Affine(10.0, 0.0, 400_005.0, 0.0, -10.0, 5_800_015.0)


def written(path: Path, codes: np.ndarray, **changes: Any) -> Path:
    profile = {
        "driver": "GTiff", "count": 1, "height": codes.shape[0], "width": codes.shape[1], "dtype": codes.dtype.name,
        "crs": "EPSG:32633", "transform": NORTH_UP, **changes,
    }  # fmt: skip
    with rasterio.open(path, "w", **profile) as target:
        for band in range(profile["count"]):
            target.write(codes, band + 1)
    return path


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, np.ndarray]:
    codes = np.random.default_rng(3).integers(0, 200, (97, 143)).astype(np.uint8)
    return written(tmp_path_factory.mktemp("codes") / "a.tif", codes, tiled=True, blockxsize=16, blockysize=32), codes


@given(st.data())
@settings(max_examples=30, deadline=None)
def test_codes_are_those_that_rasterio_samples_however_little_is_read_at_once(
    ground: tuple[Path, np.ndarray], data: st.DataObject
) -> None:
    path, _ = ground
    n, most = data.draw(st.integers(0, 40)), data.draw(st.sampled_from([1, 7, 200, 1 << 24]))
    rows = np.array(data.draw(st.lists(st.integers(-1, 96), min_size=n, max_size=n)), dtype=np.int64)
    cols = np.array(data.draw(st.lists(st.integers(0, 142), min_size=n, max_size=n)), dtype=np.int64)
    with pytest.MonkeyPatch.context() as patch, raster.open_codes(path) as source:
        patch.setattr(labels, "MOST_PX", most)
        found = source.at(rows, cols)
    with rasterio.open(path) as oracle:
        wanted = [
            value[0] for value in oracle.sample(oracle.xy(r, c) for r, c in zip(rows, cols, strict=True) if r >= 0)
        ]
    assert found[rows >= 0].tolist() == wanted


@pytest.mark.parametrize("most", [5, 1 << 24])
def test_a_block_is_read_whole_or_in_parts(
    ground: tuple[Path, np.ndarray], most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, codes = ground
    monkeypatch.setattr(labels, "MOST_PX", most)
    rows, cols = np.mgrid[10:60, 20:90]
    with raster.open_codes(path) as source:
        np.testing.assert_array_equal(source.at(rows, cols), codes[10:60, 20:90])


@pytest.mark.parametrize("dtype", ["uint8", "int8", "uint16", "int16", "uint32", "int32", "int64"])
def test_every_code_is_counted(tmp_path: Path, dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    limits = np.iinfo(dtype)
    some = np.array([limits.min, 0, 1, 7, limits.max], dtype=dtype)
    codes = some[np.random.default_rng(1).integers(0, 5, (40, 30))]
    monkeypatch.setattr(labels, "_COUNTED_PX", 11)
    found = raster.counted(written(tmp_path / "a.tif", codes))
    numbers, counts = np.unique(codes, return_counts=True)
    assert found == dict(zip(numbers.tolist(), counts.tolist(), strict=True))


def test_what_a_raster_says_about_itself(tmp_path: Path) -> None:
    codes = np.ones((4, 6), dtype=np.int16)
    found = raster.describe_codes(written(tmp_path / "a.tif", codes, nodata=-9999))
    assert (found.crs, found.width, found.height, found.nodata) == ("EPSG:32633", 6, 4, -9999)
    assert found.bounds.as_tuple() == (400_005.0, 5_799_975.0, 400_065.0, 5_800_015.0)
    turned = rasterio.Affine(3.0, 4.0, 10.0, 4.0, -3.0, 60.0)
    found = raster.describe_codes(written(tmp_path / "b.tif", codes, transform=turned, crs="EPSG:4326"))
    assert found.transform == (3.0, 4.0, 10.0, 4.0, -3.0, 60.0)
    assert found.bounds.as_tuple() == (10.0, 48.0, 44.0, 84.0)
    assert found.nodata is None


def picture(path: Path) -> Path:
    return written(path, np.ones((4, 4), dtype=np.uint8), count=3, photometric="RGB")


def scaled(path: Path) -> Path:
    with rasterio.open(written(path, np.ones((4, 4), dtype=np.uint8)), "r+") as target:
        target.scales = (0.1,)
    return path


def masked(path: Path) -> Path:
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True):
        written(path, np.ones((4, 4), dtype=np.uint8))
        with rasterio.open(path, "r+") as target:
            target.write_mask(np.eye(4, dtype=bool))
    return path


def jpeg(path: Path) -> Path:
    return written(path.with_suffix(".jp2"), np.ones((64, 64), dtype=np.uint8), driver="JP2OpenJPEG").rename(path)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda p: written(p, np.ones((4, 4), dtype=np.float32)), "holds float32, not class codes"),
        (lambda p: written(p, np.ones((4, 4), dtype=np.uint64)), "holds uint64, not class codes"),
        (picture, "holds 3 bands; class codes are one"),
        (scaled, "declares a scale of 0.1"),
        (masked, "has a mask beside its codes"),
        (lambda p: written(p, np.ones((4, 4), dtype=np.uint8), crs=None), "has no EPSG code"),
        (lambda p: written(p, np.ones((4, 4), dtype=np.uint8), crs="+proj=laea +lat_0=1 +lon_0=2"), "has no EPSG code"),
        (jpeg, "of format JP2OpenJPEG"),
        (lambda p: p.write_bytes(b"") and p, "neither GeoTIFF"),
        (lambda p: p, "no readable file"),
    ],
)
def test_what_holds_no_class_codes_is_refused(tmp_path: Path, make: Any, words: str) -> None:
    path = tmp_path / "a.tif"
    make(path)
    with pytest.raises(BadInput, match=words):
        raster.describe_codes(path)


def test_measurements_are_no_codes(tmp_path: Path) -> None:
    heights = np.arange(300 * 300, dtype=np.int32).reshape(300, 300)
    with pytest.raises(TooLarge, match="more than 65536 different numbers"):
        raster.counted(written(tmp_path / "a.tif", heights))


def test_a_tiff_is_known_by_its_first_bytes(tmp_path: Path) -> None:
    assert raster.is_geotiff(written(tmp_path / "a.gpkg", np.ones((4, 4), dtype=np.uint8)))
    (tmp_path / "b.tif").write_bytes(b"SQLite format 3\0")
    (tmp_path / "link.tif").symlink_to(tmp_path / "a.gpkg")
    for name in ("b.tif", "link.tif", "absent.tif", "."):
        assert not raster.is_geotiff(tmp_path / name)
