"""Opening a raster that a stranger made: the driver pinned, nothing beside it believed, its size judged first."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rasterio

from geoml_ops.core.errors import BadInput, GeomlError, TooLarge

_SIGNATURES = {
    b"II*\0": "GTiff",
    b"MM\0*": "GTiff",
    b"II+\0": "GTiff",
    b"MM\0+": "GTiff",
    b"\0\0\0\x0cjP  ": "JP2OpenJPEG",
}
CLOSED: dict[str, Any] = {
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
    "GDAL_PAM_ENABLED": "NO",
    "GDAL_GEOREF_SOURCES": "INTERNAL",
    "GDAL_VRT_ENABLE_PYTHON": "NO",
    "CPL_VSIL_CURL_ALLOWED_EXTENSIONS": ".none",
    "GTIFF_IGNORE_READ_ERRORS": "NO",
    "GDAL_NUM_THREADS": "1",
    "GDAL_CACHEMAX": 128,
}


@dataclass(frozen=True)
class Limits:
    """What a raster may at most be; a whole Sentinel-2 tile at 10 m fits.

    Attributes:
        file_bytes: size on disk.
        side_px: longer side.
        pixels: pixels of one band.
        bands: number of bands.
        block_bytes: one decoded chunk, the least that any read costs.
        decoded_bytes: what one call to :func:`read` may return.
    """

    file_bytes: int = 2 << 30
    side_px: int = 20_000
    pixels: int = 121_000_000
    bands: int = 32
    block_bytes: int = 64 << 20
    decoded_bytes: int = 4 << 30


LIMITS = Limits()


@contextmanager
def opened(path: Path, limits: Limits, **options: str) -> Iterator[Any]:
    """Yields an open dataset within ``limits``; whatever GDAL raises inside becomes BadInput."""
    driver = _driver(path, limits)
    try:
        # The driver is a plain string: rasterio 1.4.4 refuses the documented list.
        with (
            rasterio.Env(**CLOSED),
            rasterio.open(path, driver=driver, sharing=False, **options) as source,
        ):
            _judge_size(source, path.name, limits)
            yield source
    except (GeomlError, MemoryError):
        raise
    except Exception as error:  # mutated files raise UnicodeDecodeError and CRSError too
        raise BadInput(
            f"{path.name} cannot be read as {driver}: {type(error).__name__}: {str(error)[:200]}.",
            "check that the transfer was complete and deliver the file again",
        ) from error


def _driver(path: Path, limits: Limits) -> str:
    try:
        status = path.stat(follow_symlinks=False)
    except OSError:
        raise BadInput(f"There is no readable file {path.name}.") from None
    if not stat.S_ISREG(status.st_mode):
        raise BadInput(f"{path.name} is not a regular file.", "deliver files, not links or devices")
    within(status.st_size, limits.file_bytes, f"bytes in {path.name}")
    with path.open("rb") as stream:
        head = stream.read(12)
    for signature, driver in _SIGNATURES.items():
        if head.startswith(signature):
            return driver
    raise BadInput(f"{path.name} is neither GeoTIFF nor JP2 (begins with {head[:8].hex() or 'nothing'}).")


def _judge_size(source: Any, name: str, limits: Limits) -> None:
    within(source.count, limits.bands, f"bands in {name}")
    within(max(source.width, source.height), limits.side_px, f"pixels along one side of {name}")
    within(source.width * source.height, limits.pixels, f"pixels in {name}")
    if len(set(source.dtypes)) != 1:
        raise BadInput(f"The bands of {name} have several types: {', '.join(sorted(set(source.dtypes)))}.")
    together = source.count if str(source.profile.get("interleave", "")).lower() == "pixel" else 1
    rows, cols = source.block_shapes[0]
    within(rows * cols * np.dtype(source.dtypes[0]).itemsize * together, limits.block_bytes, f"bytes a chunk of {name}")


def within(found: int, limit: int, what: str) -> None:
    """Raises TooLarge, with both numbers, when a limit is exceeded."""
    if found > limit:
        raise TooLarge(f"{found} {what}; the limit is {limit}.", "deliver it in smaller parts")
