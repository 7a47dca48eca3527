"""The table of hostile rasters: each is refused with a sentence, in little time of the processor, and reaches nothing.

Times are those of the processor and generous: what is asserted is that nothing is decoded that should not be.
"""

from __future__ import annotations

import os
import resource
import socket
import struct
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from rasterio.shutil import copy

from geoml_ops.adapters import raster
from geoml_ops.core.errors import BadInput, TooLarge
from geoml_ops.core.grid import Window
from tests.fuzz.raw import ASCII, DOUBLE, FIRST, LONG, LONG8, SHORT, Said, image, tiff
from tests.fuzz.watching import Canaries

LIMITS = raster.Limits()
CPU_S = 1.0
ONE_PIXEL = Window(col=0, row=0, width=1, height=1)
BLOB = zlib.compress(bytes(512 * 512), 9)


def circle() -> bytes:
    """Returns a file whose only directory leads to itself."""
    (place,) = struct.unpack_from("<I", tiff(image()), 4)
    return tiff(image(), following={0: place})


TABLE: dict[str, tuple[Callable[[], bytes], type[BadInput], str]] = {
    # Other formats under the name of this one.
    "virtual": (lambda: b"<VRTDataset rasterXSize='1' rasterYSize='1'/>", BadInput, "not a GeoTIFF"),
    "service": (lambda: b"<GDAL_WMS><Service name='TMS'/></GDAL_WMS>", BadInput, "not a GeoTIFF"),
    "catalogue": (lambda: b'{"type":"FeatureCollection","stac_version":"1.0.0"}', BadInput, "not a GeoTIFF"),
    "picture": (lambda: b"\x89PNG\r\n\x1a\n" + bytes(100), BadInput, "not a GeoTIFF"),
    "archive": (lambda: b"PK\3\4" + bytes(100), BadInput, "not a GeoTIFF"),
    "nothing": (lambda: b"", BadInput, "begins with nothing"),
    "head only": (lambda: b"II*\0", BadInput, "no TIFF"),
    "no image": (lambda: b"II*\0" + bytes(12), BadInput, "holds no image"),
    # Far larger in memory than on disk.
    "one blob, many tiles": (
        lambda: tiff(
            image(10_240, 10_240, tile=512, length=len(BLOB), t259=(SHORT, [8])),
            data=BLOB,
        ),
        TooLarge,
        r"\d+ times as many; the limit is 1400 times",
    ),
    "too wide": (lambda: tiff(image(100_000, 64, length=0)), TooLarge, "100000 pixels along one side"),
    "too many pixels": (lambda: tiff(image(19_000, 19_000, n_chunks=4)), TooLarge, "361000000 pixels"),
    "sparse giant": (
        lambda: tiff(image(2**31 - 1, 2**31 - 1, tile=65536, n_chunks=4, length=0)),
        TooLarge,
        "pixels along one side",
    ),
    "sparse, within sides": (lambda: tiff(image(10_000, 10_000, tile=512, length=0)), BadInput, "No pixel"),
    "sparse but one": (
        lambda: tiff(
            image(
                10_240,
                10_240,
                tile=512,
                t324=(LONG, [FIRST] + [0] * 399),
                t325=(LONG, [512 * 512] + [0] * 399),
                t42113=(ASCII, b"0\0"),
                t258=(SHORT, [64]),
            ),
            data=bytes(512 * 512 * 8),
        ),
        BadInput,
        "shorter than any",
    ),
    "great tiles": (
        lambda: tiff(image(16_000, 7_000, tile=16_384, bands=8, t258=(SHORT, [64] * 8), t339=(SHORT, [3] * 8))),
        TooLarge,
        "17179869184 bytes a chunk",
    ),
    "one great strip": (
        lambda: tiff(
            image(
                11_000,
                11_000,
                t322=None,
                t323=None,
                t324=None,
                t325=None,
                t273=(LONG, [FIRST]),
                t279=(LONG, [4096]),
                t259=(SHORT, [8]),
            )
        ),
        TooLarge,
        "121000000 bytes a chunk",
    ),
    "many bands": (
        lambda: tiff(image(16, 16, tile=16, bands=65_535, t258=(SHORT, [8]), length=16)),
        TooLarge,
        "65535 bands",
    ),
    # Directories and fields without end.
    "many images": (lambda: tiff(*[image(16, 16, tile=16, length=16)] * 3_000), TooLarge, "33 images"),
    "circle": (circle, BadInput, "lead in a circle"),
    "many fields": (lambda: tiff([(40_000 + i, (SHORT, [0])) for i in range(5_000)]), TooLarge, "5000 fields"),
    "great metadata": (
        lambda: tiff(image(t42112=(ASCII, b"<Item name='a'>b</Item>" * 200_000))),
        TooLarge,
        "4600000 bytes in field 42112",
    ),
    "many metadata": (
        lambda: tiff(image(t42112=(ASCII, b'<Item name="a"/>' * 60_000 + b"\0"))),
        TooLarge,
        "metadata items",
    ),
    "deep metadata": (
        lambda: tiff(image(t42112=(ASCII, b"<a>" * 100_000 + b"\0"))),
        TooLarge,
        "metadata items",
    ),
    "great field": (lambda: tiff(image(t700=Said((ASCII, b"x" * 9), count=2**31))), BadInput, "Field 700"),
    "wrapping field": (
        lambda: tiff(image(t700=Said((LONG8, [1, 2]), count=2**61 + 2)), big=True),
        BadInput,
        "Field 700",
    ),
    "endless table": (lambda: tiff(image(t324=Said((LONG, [1, 2]), count=2**30))), BadInput, "Field 324"),
    "field twice": (
        lambda: tiff([*sorted(image().items()), (325, (LONG, [1]))]),
        BadInput,
        "Field 325 of upload.tif is there twice",
    ),
    "unknown kind": (lambda: tiff(image(t700=(99, b"xxxx"))), BadInput, "of kind 99"),
    # Headers that lie.
    "tiles elsewhere": (lambda: tiff(image(t324=(LONG, [2**31]))), BadInput, "lie outside"),
    "tiles that overlap": (
        lambda: tiff(image(128, 64, t324=(LONG, [FIRST, FIRST + 1]), t325=(LONG, [4096, 4096])), data=bytes(5000)),
        BadInput,
        "overlap",
    ),
    "too few tiles": (lambda: tiff(image(6_400, 6_400, n_chunks=4)), BadInput, "10000 chunks and a table"),
    "a band too many": (
        lambda: tiff(image(t277=(SHORT, [2]))),
        BadInput,
        "1 chunks of upload.tif are shorter than any",
    ),
    "no size": (lambda: tiff(image(t256=None)), BadInput, "missing"),
    "no place": (
        lambda: tiff(image(t33550=None, t33922=None)),
        BadInput,
        "place of upload.tif on the ground is unknown",
    ),
    "control points": (lambda: tiff(image(t33922=(DOUBLE, [0.0] * 24))), BadInput, "ground control points"),
    "polynomials": (lambda: tiff(image(t50844=(DOUBLE, [0.0] * 92))), BadInput, "rational polynomials"),
}


@pytest.mark.parametrize("name", TABLE)
def test_each_is_refused_with_a_sentence_and_costs_nothing(name: str, tmp_path: Path) -> None:
    make, error, words = TABLE[name]
    path = tmp_path / "upload.tif"
    path.write_bytes(make())
    began, before = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for look in (lambda: raster.describe(path, LIMITS), lambda: raster.read(path, ONE_PIXEL, limits=LIMITS)):
        with pytest.raises(error, match=words) as caught:
            look()
        assert caught.value.__cause__ is None  # the service then gives the sentence as it is
        assert str(tmp_path) not in str(caught.value)
    assert time.process_time() - began < CPU_S
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 << 10


def test_a_file_cut_anywhere_is_refused(tmp_path: Path) -> None:
    whole, path = tiff(image(128, 128), data=bytes(range(256)) * 16), tmp_path / "upload.tif"
    for length in [*range(0, len(whole) - 4096, 3)]:
        path.write_bytes(whole[:length] if length < 40 else whole[: 4096 + length])
        with pytest.raises(BadInput):
            raster.read(path, limits=LIMITS)


@pytest.fixture
def listener() -> Iterator[tuple[int, list[bytes]]]:
    """A port on loopback, and what came in there."""
    heard: list[bytes] = []
    server = socket.create_server(("127.0.0.1", 0))

    def listen() -> None:
        while True:
            try:
                line, _ = server.accept()
            except OSError:
                return
            heard.append(line.recv(200))
            line.close()

    threading.Thread(target=listen, daemon=True).start()
    yield server.getsockname()[1], heard
    server.close()


def secret_of(folder: Path) -> Path:
    """Returns a raster that nobody may read, its time of reading in the past."""
    path = folder / "secret.tif"
    profile = {"driver": "GTiff", "dtype": "uint8", "count": 1, "height": 32, "width": 32}
    with rasterio.open(path, "w", **profile) as target:
        target.write(np.full((1, 32, 32), 77, np.uint8))
    os.utime(path, (0, path.stat().st_mtime))
    return path


def calls(path: Path) -> list[Callable[[], Any]]:
    grid = {"crs": "EPSG:32633", "left": 400_000.0, "top": 5_800_020.0, "pixel_m": 20.0, "width": 32, "height": 32}
    return [
        lambda: raster.describe(path, LIMITS),
        lambda: raster.read(path, limits=LIMITS),
        lambda: raster.extent(path, LIMITS),
        lambda: raster.warped(path, raster.describe(path, LIMITS).grid.model_copy(update=grid), limits=LIMITS),
        lambda: raster.describe_codes(path),
    ]


@pytest.mark.parametrize("kind", ["file", "address", "inline", "locations", "sub-images"])
def test_a_file_that_points_elsewhere_opens_nothing(
    kind: str, tmp_path: Path, listener: tuple[int, list[bytes]]
) -> None:
    port, heard = listener
    secret, url = secret_of(tmp_path), f"/vsicurl/http://127.0.0.1:{port}/x.tif"
    source = f"<SimpleSource><SourceFilename>{secret}</SourceFilename></SimpleSource>"
    virtual = f"<VRTDataset rasterXSize='32' rasterYSize='32'><VRTRasterBand>{source}</VRTRasterBand></VRTDataset>"
    domain, key, value = {
        "file": ("OVERVIEWS", "OVERVIEW_FILE", str(secret)),
        "address": ("OVERVIEWS", "OVERVIEW_FILE", url),
        "inline": ("OVERVIEWS", "OVERVIEW_FILE", virtual.replace("<", "&lt;").replace(">", "&gt;")),
        "locations": ("GEOLOCATION", "X_DATASET", url),
        "sub-images": ("SUBDATASETS", "SUBDATASET_1_NAME", url),
    }[kind]
    text = f'<GDALMetadata><Item name="{key}" domain="{domain}">{value}</Item></GDALMetadata>\0'.encode()
    folder = tmp_path / "upload"
    folder.mkdir()
    path = folder / "upload.tif"
    path.write_bytes(tiff(image(t42112=(ASCII, text))))
    for call in calls(path):
        with pytest.raises(BadInput, match=f"metadata of the kind '{domain}'"):
            call()
    assert secret.stat().st_atime == 0
    assert heard == []


def test_a_jpeg_2000_delivery_that_names_overviews_elsewhere_opens_nothing(tmp_path: Path) -> None:
    secret, source, path = secret_of(tmp_path), tmp_path / "a.tif", tmp_path / "a.jp2"
    source.write_bytes(tiff(image(), data=bytes(range(64)) * 64))
    with rasterio.open(source, "r+") as target:
        target.update_tags(ns="OVERVIEWS", OVERVIEW_FILE=str(secret))
    copy(source, path, driver="JP2OpenJPEG", quality=100, reversible=True, WRITE_METADATA=True)
    assert b"OVERVIEW_FILE" in path.read_bytes()
    canaries = Canaries([secret])
    assert raster.describe(path).n_bands == 1
    assert raster.read(path).max() == 63
    assert raster.extent(path).crs == "EPSG:32633"
    grid = raster.describe(path).grid.model_copy(update={"pixel_m": 40.0, "width": 16, "height": 16})
    assert raster.warped(path, grid).max() <= 63
    assert canaries.heard() == 0


def test_what_lies_beside_a_file_is_not_read(tmp_path: Path, listener: tuple[int, list[bytes]]) -> None:
    port, heard = listener
    path = tmp_path / "upload.tif"
    path.write_bytes(tiff(image(), data=bytes(range(256)) * 16))
    right = raster.describe(path, LIMITS), raster.read(path, limits=LIMITS)
    url = f"/vsicurl/http://127.0.0.1:{port}/pam.tif"
    (tmp_path / "upload.tif.aux.xml").write_text(
        f"<PAMDataset><Metadata domain='OVERVIEWS'><MDI key='OVERVIEW_FILE'>{url}</MDI></Metadata>"
        "<PAMRasterBand band='1'><NoDataValue>5</NoDataValue><Scale>1000</Scale></PAMRasterBand></PAMDataset>"
    )
    (tmp_path / "upload.tfw").write_text("1\n0\n0\n-1\n0\n0\n")
    secret = secret_of(tmp_path)
    for name in ("upload.tif.ovr", "upload.tif.msk", "upload.ovr"):
        (tmp_path / name).write_bytes(secret.read_bytes())
    os.utime(path)
    after = raster.describe(path, LIMITS), raster.read(path, limits=LIMITS)
    assert after[0] == right[0]
    np.testing.assert_array_equal(after[1], right[1])
    assert heard == []


@pytest.mark.parametrize("name", ["link", "pipe", "folder", "device"])
def test_only_regular_files_are_touched(name: str, tmp_path: Path) -> None:
    path = tmp_path / "upload.tif"
    if name == "link":
        path.symlink_to(secret_of(tmp_path))
    elif name == "pipe":
        os.mkfifo(path)
    elif name == "folder":
        path.mkdir()
    else:
        path = Path("/dev/zero")
    with pytest.raises(BadInput, match="not a regular file"):
        raster.read(path, limits=LIMITS)


def test_a_header_that_differs_from_what_gdal_makes_of_it_is_refused(tmp_path: Path) -> None:
    # Both sizes of the classic header are read; a third reading would be two programs with two opinions.
    path = tmp_path / "upload.tif"
    content = bytearray(tiff(image(), data=bytes(4096)))
    struct.pack_into("<H", content, 2, 44)
    path.write_bytes(content)
    with pytest.raises(BadInput, match="not a GeoTIFF"):
        raster.read(path, limits=LIMITS)
