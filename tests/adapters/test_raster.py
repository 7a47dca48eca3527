"""Reading and writing rasters: two formats, stated limits, nothing beside the file believed."""

import dataclasses
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
import rasterio

from geoml_ops.adapters import raster
from geoml_ops.core.bands import SENTINEL_2_L1C, Radiometry
from geoml_ops.core.errors import BadInput, StorageFull, TooLarge
from geoml_ops.core.grid import Grid, Window

GRID = Grid(crs="EPSG:32633", left=400_000.0, top=5_800_020.0, pixel_m=10.0, width=60, height=48)
NEW = Radiometry(scale=1e-4, offset_dn=-1000.0)


def numbers(bands=13, seed=0):
    return np.random.default_rng(seed).integers(0, 9000, (bands, *GRID.shape)).astype(np.uint16)


def bare(path, dn=None, **changes):
    dn = numbers(1) if dn is None else dn
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


def test_a_scene_says_all_a_reader_needs(tmp_path):
    dn, path = numbers(), tmp_path / "scene.tif"
    raster.write_scene(path, dn, GRID, SENTINEL_2_L1C, NEW, {"GEOML_SENSOR": "sentinel-2-l1c"})
    facts = raster.describe(path)
    assert facts.grid == GRID
    assert facts.names == SENTINEL_2_L1C.names
    assert facts.declared == NEW
    assert (facts.nodata, facts.dtype, facts.n_bands) == (0.0, "uint16", 13)
    assert facts.tags["GEOML_SENSOR"] == "sentinel-2-l1c"
    np.testing.assert_array_equal(raster.read(path), dn)
    window = Window(col=7, row=5, width=20, height=11)
    np.testing.assert_array_equal(raster.read(path, window, [12, 0]), dn[[12, 0]][:, *window.slices()])


def test_the_same_scene_gives_the_same_bytes(tmp_path):
    for name in ("a.tif", "b.tif"):
        raster.write_scene(tmp_path / name, numbers(), GRID, SENTINEL_2_L1C, NEW)
    assert (tmp_path / "a.tif").read_bytes() == (tmp_path / "b.tif").read_bytes()


def test_a_bare_band_declares_nothing(tmp_path):
    raster.write_band(tmp_path / "b.tif", numbers(1)[0], GRID)
    facts = raster.describe(tmp_path / "b.tif")
    assert (facts.declared, facts.nodata, facts.names) == (None, None, ("",))


def test_coarse_bands_come_to_the_grid(tmp_path):
    coarse = GRID.model_copy(update={"pixel_m": 20.0, "width": 30, "height": 24})
    dn = numbers(1)[0, :24, :30]
    raster.write_band(tmp_path / "b.tif", dn, coarse)
    fine = raster.to_grid(tmp_path / "b.tif", GRID, "nearest")
    np.testing.assert_array_equal(fine[::2, 1::2], dn)
    elsewhere = GRID.model_copy(update={"left": GRID.left + 10})
    with pytest.raises(BadInput, match="deliver all bands of one tile"):
        raster.to_grid(tmp_path / "b.tif", elsewhere, "nearest")
    with pytest.raises(BadInput, match="EPSG:32633, the scene's grid in EPSG:32632"):
        raster.to_grid(tmp_path / "b.tif", GRID.model_copy(update={"crs": "EPSG:32632"}), "nearest")
    with pytest.raises(BadInput, match="2 bands"):
        raster.to_grid(bare(tmp_path / "two.tif", numbers(2)), GRID, "nearest")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"crs": "EPSG:4326"}, "not a projected one in metres: EPSG:4326"),
        ({"crs": None}, "not a projected one in metres: none"),
        ({"crs": "EPSG:2263"}, "not a projected one in metres"),
        ({"transform": rasterio.Affine(10, 0, 4e5, 0, -20, 5.8e6)}, "not square and north-up"),
        ({"transform": rasterio.Affine(10, 0, 4e5, 0, 10, 5.8e6)}, "not square and north-up"),
        ({"transform": rasterio.Affine(10, 1, 4e5, 1, -10, 5.8e6)}, "not square and north-up"),
    ],
)
def test_other_grids_are_refused_with_a_sentence(tmp_path, changes, words):
    with pytest.raises(BadInput, match=words):
        raster.describe(bare(tmp_path / "x.tif", **changes))


def test_every_band_says_for_itself_what_its_numbers_mean(tmp_path):
    path = bare(tmp_path / "x.tif", numbers(4))
    with rasterio.open(path, "r+") as target:
        target.scales, target.offsets = (1e-4, 0.00341802, 1.0, 1.0), (-0.1, 149.0, 0.0, 0.0)
        target.units = ("reflectance", "K", "reflectance", "")
        target.update_tags(1, ns="IMAGERY", CENTRAL_WAVELENGTH_UM="0.665")
        target.update_tags(2, wavelength="10.895", wavelength_units="Micrometers")
        target.update_tags(3, wavelength="842")
        target.update_tags(4, wavelength="infinite")
        target.descriptions = ("B4, central wavelength 665 nm", "", "B8", "")
    facts = raster.describe(path)
    first, second, third, fourth = facts.radiometries
    assert (first.scale, first.offset_dn, second.scale) == (1e-4, -1000.0, 0.00341802)
    assert second.offset_dn == pytest.approx(149.0 / 0.00341802, abs=1e-6)
    # A scale of 1 is a declaration only where a unit says so.
    assert (third.scale, fourth, facts.declared) == (1.0, None, None)
    assert facts.wavelengths_nm == pytest.approx((665.0, 10_895.0, 842.0, None))
    assert facts.names == ("B4", "", "B8", "")


@pytest.mark.parametrize(("scale", "offset"), [(-1e-4, 0.0), (0.0, 0.0), (float("inf"), 0.0), (1e-4, float("nan"))])
def test_a_scale_that_cannot_be_is_refused_with_the_band(tmp_path, scale, offset):
    path = bare(tmp_path / "x.tif", numbers(2))
    with rasterio.open(path, "r+") as target:
        target.scales, target.offsets = (1e-4, scale), (0.0, offset)
    with pytest.raises(BadInput, match=r"Band 2 of x.tif declares a scale of"):
        raster.describe(path)


def test_a_truncated_file_is_bad_input_wherever_it_is_cut(tmp_path):
    whole = bare(tmp_path / "whole.tif", numbers(3), compress="deflate").read_bytes()
    path = tmp_path / "cut.tif"
    for share in (0.0, 0.002, 0.3, 0.7, 0.98):
        path.write_bytes(whole[: int(len(whole) * share)])
        with pytest.raises(BadInput):
            raster.read(path)


def test_mutated_files_never_raise_anything_else(tmp_path):
    whole = bytearray(bare(tmp_path / "whole.tif", numbers(1), compress="deflate").read_bytes())
    rng, path = np.random.default_rng(0), tmp_path / "mutant.tif"
    for _ in range(150):
        mutant = bytearray(whole)
        for place in rng.integers(4, 400, 3):
            mutant[place] = rng.integers(256)
        path.write_bytes(mutant)
        try:
            raster.describe(path)
            raster.read(path)
        except BadInput:
            pass


@pytest.mark.parametrize(
    "content",
    [
        b"<VRTDataset rasterXSize='1' rasterYSize='1'></VRTDataset>",
        b'<GDAL_WMS><Service name="TMS"><ServerUrl>http://127.0.0.1:1/</ServerUrl></Service></GDAL_WMS>',
        b"\x89PNG\r\n\x1a\n",
        b"",
    ],
)
def test_only_the_two_formats_reach_gdal(tmp_path, content):
    (tmp_path / "x.tif").write_bytes(content)
    with pytest.raises(BadInput, match="neither GeoTIFF nor JP2"):
        raster.describe(tmp_path / "x.tif")


def test_only_regular_files_are_opened(tmp_path):
    path = bare(tmp_path / "x.tif")
    (tmp_path / "link.tif").symlink_to(path)
    os.mkfifo(tmp_path / "pipe.tif")
    for name in ("link.tif", "pipe.tif", "."):
        with pytest.raises(BadInput, match="not a regular file"):
            raster.read(tmp_path / name)
    with pytest.raises(BadInput, match="no readable file"):
        raster.read(tmp_path / "absent.tif")


def test_files_beside_are_not_believed(tmp_path):
    path = bare(tmp_path / "x.tif")
    (tmp_path / "x.tif.aux.xml").write_text(
        "<PAMDataset><SRS>EPSG:32601</SRS><PAMRasterBand band='1'><Scale>1000</Scale><NoDataValue>5</NoDataValue>"
        "<Description>B99</Description></PAMRasterBand></PAMDataset>"
    )
    (tmp_path / "x.tfw").write_text("1\n0\n0\n-1\n0\n0\n")
    facts = raster.describe(path)
    assert (facts.grid, facts.declared, facts.nodata, facts.names) == (GRID, None, None, ("",))


def test_limits_are_judged_before_pixels_are_read(tmp_path):
    path = bare(tmp_path / "x.tif", numbers(3))
    for change in ({"file_bytes": 10}, {"side_px": 59}, {"pixels": 100}, {"bands": 2}, {"block_bytes": 100}):
        with pytest.raises(TooLarge, match="the limit is"):
            raster.describe(path, dataclasses.replace(raster.LIMITS, **change))
    with pytest.raises(TooLarge, match="bytes decoded"):
        raster.read(path, limits=dataclasses.replace(raster.LIMITS, decoded_bytes=1000))


def test_a_small_file_that_stands_for_a_huge_raster_is_refused(tmp_path):
    with rasterio.open(
        tmp_path / "bomb.tif",
        "w",
        driver="GTiff",
        dtype="uint8",
        count=1,
        height=100_000,
        width=100_000,
        crs="EPSG:32633",
        transform=rasterio.Affine(*GRID.transform),
        sparse_ok=True,
        tiled=True,
    ):
        pass
    with pytest.raises(TooLarge, match="100000 pixels along one side"):
        raster.read(tmp_path / "bomb.tif", Window(col=0, row=0, width=1, height=1))


def test_windows_and_bands_beyond_the_file_are_refused(tmp_path):
    path = bare(tmp_path / "x.tif")
    with pytest.raises(BadInput, match="reaches beyond"):
        raster.read(path, Window(col=50, row=0, width=20, height=1))
    with pytest.raises(BadInput, match="1 bands"):
        raster.read(path, bands=[1])


def test_a_writer_that_is_killed_leaves_no_readable_scene(tmp_path):
    code = (
        "import sys, numpy as np; from pathlib import Path; from tests.adapters.test_raster import *\n"
        "g = GRID.model_copy(update={'width': 900, 'height': 900})\n"
        "dn = np.random.default_rng(0).integers(0, 9000, (13, 900, 900)).astype(np.uint16)\n"
        "print('go', flush=True)\n"
        "raster.write_scene(Path(sys.argv[1]), dn, g, SENTINEL_2_L1C, NEW)\n"
    )
    for delay_s in (0.05, 0.3):
        goal = tmp_path / f"scene-{delay_s}.tif"
        child = subprocess.Popen([sys.executable, "-c", code, str(goal)], stdout=subprocess.PIPE)
        assert child.stdout.readline() == b"go\n"
        try:
            child.wait(delay_s)
        except subprocess.TimeoutExpired:
            child.kill()
        child.wait()
        assert not goal.exists() or raster.read(goal).any(axis=(1, 2)).all()


def test_a_full_disk_is_said_and_leaves_the_old_file(tmp_path, small_disk):
    grid = GRID.model_copy(update={"width": 900, "height": 900})
    old = small_disk / "b.tif"
    old.write_bytes(b"old")
    noise = np.random.default_rng(0).integers(1, 60_000, (900, 900)).astype(np.uint16)
    with pytest.raises(StorageFull, match="No space left while writing"):
        raster.write_band(old, noise, grid)
    assert [p.name for p in small_disk.iterdir()] == ["b.tif"]
    assert old.read_bytes() == b"old"


def test_a_disk_that_fills_up_with_the_last_bytes_is_called_full_and_not_the_file_unreadable(tmp_path, small_disk):
    # GDAL keeps a small file to itself until it is closed, and then fails without raising.
    grid = GRID.model_copy(update={"width": 64, "height": 64})
    layers = np.random.default_rng(0).random((2, 64, 64)).astype(np.float32)
    room = shutil.disk_usage(small_disk).free - 8192
    (small_disk / "ballast").write_bytes(b"x" * room)
    with pytest.raises(StorageFull, match="No space left while writing"):
        raster.write_layers(small_disk / "layers.tif", layers, grid, ["a", "b"])
    assert [p.name for p in small_disk.iterdir()] == ["ballast"]
