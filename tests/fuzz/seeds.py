"""Real GeoTIFFs of many layouts, written by GDAL and by hand: what mutants are made of."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from rasterio.shutil import copy

from tests.answering import BANDS, TOP, WEST

SIDE = 48
PLACE = {"crs": "EPSG:32633", "transform": rasterio.Affine(10.0, 0.0, WEST, 0.0, -10.0, TOP)}
_TILED = {"tiled": True, "blockxsize": 16, "blockysize": 16}
#: Dtype, options; each is a scene that the small model of these tests can classify, where it is uint16.
KINDS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("uint16", {}),
    ("uint16", {"compress": "deflate", "predictor": 2, **_TILED, "interleave": "band"}),
    ("uint16", {"compress": "lzw", "predictor": 2, "blockysize": 7}),
    ("uint16", {"compress": "zstd", **_TILED, "interleave": "band", "ENDIANNESS": "BIG"}),
    ("uint16", {"compress": "lerc", **_TILED, "BIGTIFF": "YES"}),
    ("uint16", {"compress": "packbits", "BIGTIFF": "YES", "ENDIANNESS": "BIG"}),
    ("uint16", {"compress": "deflate", "BIGTIFF": "YES", **_TILED, "interleave": "pixel"}),
    ("uint16", {"NBITS": 12, "compress": "deflate"}),
    ("int16", {"compress": "deflate", "blockysize": 1, "interleave": "band"}),
    ("uint8", {"compress": "lzw", **_TILED}),
    ("float32", {"compress": "deflate", "predictor": 3, **_TILED}),
    ("float32", {"compress": "lerc_zstd", "ENDIANNESS": "BIG"}),
    ("float64", {"compress": "zstd", "predictor": 3}),
    ("int32", {"ENDIANNESS": "BIG", "interleave": "band"}),
)


def write_seeds(folder: Path) -> list[Path]:
    """Writes all seeds into ``folder`` and returns them in order."""
    return list(_written(folder))


def _written(folder: Path) -> Iterator[Path]:
    for number, (dtype, options) in enumerate(KINDS):
        path = folder / f"{number:02d}.tif"
        _scene(path, dtype, options)
        yield path
    for number, options in enumerate(({}, {"compress": "deflate", **_TILED}), start=len(KINDS)):
        path = folder / f"{number:02d}.tif"
        _scene(path, "uint16", options)
        with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(path, "r+") as target:
            target.write_mask(np.eye(SIDE, dtype=bool))
            target.build_overviews([2, 4])
        yield path
    cog = folder / f"{len(KINDS) + 2:02d}.tif"
    copy(folder / "01.tif", cog, driver="COG", compress="deflate", blocksize=128)
    yield cog
    yield from _lossy(folder)
    sparse = folder / f"{len(KINDS) + 5:02d}.tif"
    _scene(sparse, "uint16", {"compress": "deflate", **_TILED, "SPARSE_OK": True}, holes=True)
    yield sparse


def _lossy(folder: Path) -> Iterator[Path]:
    """What only deliveries may be: JPEG inside a TIFF, and JPEG 2000."""
    photo = folder / f"{len(KINDS) + 3:02d}.tif"
    _scene(photo, "uint8", {"compress": "jpeg", **_TILED, "interleave": "band"})
    yield photo
    jp2 = folder / f"{len(KINDS) + 4:02d}.jp2"
    copy(folder / "00.tif", jp2, driver="JP2OpenJPEG", quality=100, reversible=True, blockxsize=64, blockysize=64)
    yield jp2


def _scene(path: Path, dtype: str, options: dict[str, Any], *, holes: bool = False) -> None:
    rng = np.random.default_rng(len(path.name))
    high = 120 if dtype == "uint8" else 3000
    dn = rng.integers(1, high, (len(BANDS), SIDE, SIDE)).astype(dtype)
    if holes:
        dn[:, :32, :16] = 0
    size = {"height": SIDE, "width": SIDE, "count": len(BANDS), "dtype": dtype}
    with rasterio.open(path, "w", driver="GTiff", nodata=0, **size, **PLACE, **options) as target:
        target.write(dn)
        target.descriptions = BANDS
        target.scales, target.offsets = (1e-4,) * len(BANDS), (0.0,) * len(BANDS)
        target.units = ("reflectance",) * len(BANDS)
        target.update_tags(GEOML_SENSOR="sentinel-2-l1c", SAID="words")
