"""Chunks that are unpacked without GDAL are the pixels that GDAL reads; what is not as expected is left to it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from rasterio.windows import Window as RasterioWindow

from geoml_ops.adapters.raster import LIMITS, streamed
from geoml_ops.adapters.raster.unpacking import unpacked
from geoml_ops.core.errors import BadInput
from geoml_ops.core.grid import Window

PLAIN: dict[str, Any] = {
    "tiled": True, "blockxsize": 128, "blockysize": 128, "interleave": "band", "compress": "deflate", "predictor": 2,
}  # fmt: skip


def written(path: Path, pixels: NDArray[Any], **profile: Any) -> Path:
    n_bands, height, width = pixels.shape
    with rasterio.open(
        path, "w", driver="GTiff", width=width, height=height, count=n_bands, dtype=pixels.dtype, crs="EPSG:32633",
        transform=rasterio.Affine(10, 0, 4e5, 0, -10, 5.8e6), **{**PLAIN, **profile},
    ) as target:  # fmt: skip
        target.write(pixels)
    return path


def noise(dtype: str, shape: tuple[int, int, int] = (3, 300, 401)) -> NDArray[Any]:
    kind = np.dtype(dtype)
    if kind.kind == "f":
        return np.random.default_rng(1).normal(size=shape).astype(kind)
    ends = np.iinfo(kind)
    return np.random.default_rng(1).integers(ends.min, ends.max, shape, dtype=kind, endpoint=True)


def is_unpacked(path: Path, shape: tuple[int, int, int] = (3, 300, 401)) -> bool:
    with unpacked(path, LIMITS, shape) as chunks:
        return chunks is not None


@pytest.mark.parametrize("dtype", ["uint8", "int8", "uint16", "int16", "uint32", "int32"])
@pytest.mark.parametrize("predictor", [1, 2])
@pytest.mark.parametrize("threads", [1, 3])
def test_whole_numbers_are_those_that_gdal_reads(tmp_path: Path, dtype: str, predictor: int, threads: int) -> None:
    pixels = noise(dtype)
    path = written(tmp_path / "x.tif", pixels, predictor=predictor)
    assert is_unpacked(path)
    with streamed(path, threads=threads) as stream, unpacked(path, LIMITS, pixels.shape, threads) as chunks:
        assert chunks is not None
        for window in (Window(col=0, row=0, width=401, height=300), Window(col=128, row=128, width=273, height=128)):
            here = pixels[:, *window.slices()]
            for found in (chunks.read(window, [2, 0]), stream.read(window, [2, 0])):
                assert found is not None
                assert found.dtype == pixels.dtype
                np.testing.assert_array_equal(found, here[[2, 0]])


@given(st.integers(0, 299), st.integers(0, 400), st.integers(1, 300), st.integers(1, 401))
@settings(max_examples=60, deadline=None)
def test_any_window_is_what_gdal_reads(
    tmp_path_factory: pytest.TempPathFactory, row: int, col: int, height: int, width: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.tif"
    if not path.exists():
        written(path, noise("uint16"))
    window = Window(col=col, row=row, width=min(width, 401 - col), height=min(height, 300 - row))
    with streamed(path) as stream, rasterio.open(path) as plain:
        area = RasterioWindow(window.col, window.row, window.width, window.height)
        np.testing.assert_array_equal(stream.read(window, [1]), plain.read([2], window=area))


@pytest.mark.parametrize(
    "profile",
    [
        {"interleave": "pixel"},
        {"tiled": False, "blockysize": 128},
        {"compress": "lzw"},
        {"compress": "zstd"},
        {"compress": None, "predictor": 1},
        {"blockxsize": 64, "blockysize": 64},
        {"ENDIANNESS": "BIG"},
        {"NBITS": 12, "predictor": 1},
    ],
)
def test_other_files_are_read_by_gdal(tmp_path: Path, profile: dict[str, Any]) -> None:
    pixels = noise("uint16") & np.uint16(0xFFF)
    path = written(tmp_path / "x.tif", pixels, **profile)
    assert not is_unpacked(path)
    with streamed(path) as stream:
        np.testing.assert_array_equal(stream.read(Window(col=0, row=0, width=401, height=300), [0, 1, 2]), pixels)


def test_floating_numbers_are_read_by_gdal(tmp_path: Path) -> None:
    assert not is_unpacked(written(tmp_path / "x.tif", noise("float32"), predictor=3))


def test_a_file_of_another_shape_than_gdal_says_is_read_by_gdal(tmp_path: Path) -> None:
    path = written(tmp_path / "x.tif", noise("uint16"))
    assert is_unpacked(path)
    assert not is_unpacked(path, (3, 300, 400))
    assert not is_unpacked(tmp_path / "none.tif")


def test_missing_chunks_are_read_by_gdal(tmp_path: Path) -> None:
    path, pixels = tmp_path / "x.tif", noise("uint16")
    pixels[:, 128:256, 128:256] = 7
    written(path, pixels, nodata=7, SPARSE_OK="TRUE")
    window = Window(col=0, row=0, width=401, height=300)
    with streamed(path) as stream, unpacked(path, LIMITS, pixels.shape) as chunks:
        assert chunks is not None
        assert chunks.read(window, [0]) is None
        assert chunks.read(Window(col=0, row=0, width=128, height=128), [0]) is not None
        np.testing.assert_array_equal(stream.read(window, [0, 1, 2]), pixels)


@pytest.mark.parametrize("at", [0, 40, -3])
def test_of_broken_chunks_gdal_says_what_is_wrong(tmp_path: Path, at: int) -> None:
    path = written(tmp_path / "x.tif", noise("uint16"))
    with rasterio.open(path) as plain:
        place = int(plain.get_tag_item("BLOCK_OFFSET_0_0", "TIFF", bidx=1))
        length = int(plain.get_tag_item("BLOCK_SIZE_0_0", "TIFF", bidx=1))
    content = bytearray(path.read_bytes())
    content[place + at % length] ^= 0xFF
    path.write_bytes(content)
    window = Window(col=0, row=0, width=128, height=128)
    with unpacked(path, LIMITS, (3, 300, 401)) as chunks:
        assert chunks is not None
        assert chunks.read(window, [0]) is None
        assert chunks.read(window, [1]) is not None
    with pytest.raises(BadInput, match=r"x\.tif"), streamed(path) as stream:
        stream.read(window, [0])
