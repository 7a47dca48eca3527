"""Hot-spots as files that GIS programs open: squares in a GeoPackage, pixels in a COG."""

from __future__ import annotations

from pathlib import Path

import geopandas
import numpy as np
import pytest
import rasterio
from rio_cogeo.cogeo import cog_validate

from geoml_ops.adapters import cog, vector
from geoml_ops.core.errors import Refused
from geoml_ops.domain.hotspots import (
    BANDS,
    CLASSES,
    HIGH_HIGH,
    NO_ANSWER,
    Lattice,
    columns,
    local_moran,
    pixels,
    squares,
)
from geoml_ops.platform.files import sha256_of

CRS = "EPSG:32633"


@pytest.fixture
def tiles() -> tuple[Lattice, np.ndarray]:
    """A grid with a hole, a tile alone and a tile without a number; drift in its north-west."""
    rng = np.random.default_rng(0)
    rows, cols = np.divmod(np.arange(20 * 30), 30)
    kept = ~((rows > 12) & (cols > 20)) | ((rows == 17) & (cols == 27))
    values = rng.normal(size=rows.size) + 5.0 * ((rows < 6) & (cols < 6))
    values[40] = np.nan
    here = Lattice.of(399960 + 640 * (cols[kept] + 0.5), 5900040 - 640 * (rows[kept] + 0.5), 640.0)
    return here, values[kept]


def test_a_geopackage_has_a_square_and_its_statistics_per_tile(
    tmp_path: Path, tiles: tuple[Lattice, np.ndarray]
) -> None:
    here, values = tiles
    found = local_moran(here, values)
    for name in ("a.gpkg", "b.gpkg"):
        share = {"valid_share": np.linspace(0, 1, len(values))}
        vector.write_patches(tmp_path / name, squares(here), columns(values, found, share), CRS, "hotspots")
    read = geopandas.read_file(tmp_path / "a.gpkg", layer="hotspots")
    assert read.crs.to_epsg() == 32633
    assert (len(read), sorted(p.name for p in tmp_path.iterdir())) == (len(values), ["a.gpkg", "b.gpkg"])
    np.testing.assert_array_equal(read["value"], values)
    for name in ("statistic", "p", "rate"):
        np.testing.assert_array_equal(read[name], getattr(found, name))
    assert read["class"].tolist() == [CLASSES[code] for code in found.classes]
    assert {"no answer", "high-high", "not significant"} <= set(read["class"])
    assert (read.geometry.area == 640.0**2).all()
    np.testing.assert_allclose(read.geometry.centroid.x, 399960 + 640 * (here.cols + 0.5))
    np.testing.assert_allclose(read.geometry.centroid.y, 5900040 - 640 * (here.rows + 0.5))
    assert sha256_of(tmp_path / "a.gpkg") == sha256_of(tmp_path / "b.gpkg")


def test_a_column_is_not_written_twice(tiles: tuple[Lattice, np.ndarray]) -> None:
    here, values = tiles
    with pytest.raises(ValueError, match="rate"):
        columns(values, local_moran(here, values), {"rate": values})


def test_a_cog_has_a_pixel_per_tile_at_its_place(tmp_path: Path, tiles: tuple[Lattice, np.ndarray]) -> None:
    here, values = tiles
    found = local_moran(here, values)
    layers, grid, tags = pixels(here, CRS, values, found)
    path = tmp_path / "hotspots.tif"
    cog.write_numbers(path, layers, grid, BANDS, tags)
    assert cog_validate(path, strict=True, quiet=True)[:2] == (True, [])
    with rasterio.open(path) as source:
        assert source.descriptions == BANDS
        assert source.crs.to_epsg() == 32633
        assert (source.transform.a, source.transform.e, source.transform.c, source.transform.f) == (
            640.0, -640.0, 399960.0, 5900040.0,
        )  # fmt: skip
        assert source.shape == (20, 30)
        assert np.isnan(source.nodata)
        assert source.tags()[f"CLASS_{HIGH_HIGH}"] == "high-high"
        read = source.read()
        east, north = 399960 + 640 * (here.cols + 0.5), 5900040 - 640 * (here.rows + 0.5)
        sampled = np.array(list(source.sample(zip(east, north, strict=True))))
    np.testing.assert_array_equal(sampled[:, 0], values.astype(np.float32))
    np.testing.assert_array_equal(sampled[:, 2], found.p.astype(np.float32))
    expected = np.where(found.classes == NO_ANSWER, np.nan, found.classes).astype(np.float32)
    np.testing.assert_array_equal(sampled[:, 4], expected)
    assert np.isnan(read[:, 15, 25]).all(), "where there is no tile there is nothing"
    assert (read[4, :5, :5] == HIGH_HIGH).mean() > 0.8


def test_a_cog_that_reads_back_differently_never_appears(
    tmp_path: Path, tiles: tuple[Lattice, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    here, values = tiles
    layers, grid, tags = pixels(here, CRS, values, local_moran(here, values))
    monkeypatch.setattr(cog.numbers, "cog_validate", lambda *_, **__: (False, ["cut short"], []))
    with pytest.raises(Refused, match="cut short"):
        cog.write_numbers(tmp_path / "hotspots.tif", layers, grid, BANDS, tags)
    assert list(tmp_path.iterdir()) == []
