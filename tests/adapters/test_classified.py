"""Classified rasters in strips: the same pixels as in one piece, whatever their chunks; and ground that is no plane."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio

from geoml_ops.adapters.crs import areal_scale
from geoml_ops.adapters.raster import classified
from geoml_ops.adapters.raster.opening import Limits
from geoml_ops.core.errors import BadInput, TooLarge

CODES = np.random.default_rng(0).integers(0, 7, (700, 330))


def write(path: Path, codes: np.ndarray, **profile: object) -> Path:
    whole = {
        "driver": "GTiff", "count": 1, "height": codes.shape[0], "width": codes.shape[1], "dtype": codes.dtype.name,
        "crs": "EPSG:32633", "transform": rasterio.Affine(10, 0, 400_000, 0, -10, 5_800_020), "compress": "deflate",
        **profile,
    }  # fmt: skip
    with rasterio.open(path, "w", **whole) as target:
        target.write(codes, 1)
    return path


@pytest.mark.parametrize("chunks", [{}, {"tiled": True, "blockxsize": 256, "blockysize": 128}, {"blockysize": 700}])
@pytest.mark.parametrize("most", [330, 50_000, 1 << 23])
def test_strips_are_the_raster(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunks: dict[str, object], most: int
) -> None:
    path = write(tmp_path / "map.tif", CODES.astype(np.uint8), **chunks)
    monkeypatch.setattr(classified, "_STRIP_PX", most)
    rows, parts = zip(*classified.strips(path), strict=True)
    np.testing.assert_array_equal(np.concatenate(parts), CODES)
    assert list(rows) == list(np.cumsum([0, *(len(part) for part in parts[:-1])]))
    assert all(part.shape[1] == 330 for part in parts)


def test_measurements_and_rasters_beyond_limits_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "float.tif", CODES.astype(np.float32))
    with pytest.raises(BadInput, match="holds float32, not class codes"):
        next(classified.strips(path))
    path = write(tmp_path / "map.tif", CODES.astype(np.uint8))
    with pytest.raises(TooLarge, match="231000 pixels"):
        next(classified.strips(path, Limits(pixels=1000)))
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(BadInput, match=r"30 of 30 chunks of map.tif lie outside its 3000 bytes"):
        list(classified.strips(path))


def test_how_large_ground_is_on_the_plane() -> None:
    at = (np.array([4_321_000.0, 2_700_000.0]), np.array([3_210_000.0, 1_600_000.0]))
    np.testing.assert_allclose(areal_scale("EPSG:3035", *at), 1, atol=1e-9)
    utm = areal_scale("EPSG:32633", np.array([500_000.0, 250_000.0]), np.array([5_800_000.0, 5_800_000.0]))
    np.testing.assert_allclose(utm, [0.9996**2, 1.0008], atol=3e-4)
    mercator = areal_scale("EPSG:3857", np.array([1_500_000.0]), np.array([6_800_000.0]))
    # Spherical Mercator stretches both ways by 1 / cos(latitude), up to the flattening of the Earth.
    assert mercator[0] == pytest.approx(1 / np.cos(np.radians(52.0)) ** 2, rel=0.01)
