"""Opening a raster that a stranger made: judged first, the driver pinned, nothing beside it believed."""

from __future__ import annotations

import os
import stat
import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import rasterio

from geoml_ops.adapters.raster.gate import Header, inspect
from geoml_ops.adapters.raster.limits import LIMITS, Limits, within
from geoml_ops.core.errors import BadInput, GeomlError

__all__ = ["CLOSED", "LIMITS", "Limits", "opened", "within"]

_TIFF, _JP2 = "GTiff", "JP2OpenJPEG"
_SIGNATURES = {
    b"II*\0": _TIFF,
    b"MM\0*": _TIFF,
    b"II+\0": _TIFF,
    b"MM\0+": _TIFF,
    b"\0\0\0\x0cjP  ": _JP2,
}
CLOSED: dict[str, Any] = {
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
    "GDAL_PAM_ENABLED": "NO",
    "GDAL_GEOREF_SOURCES": "INTERNAL",
    "GDAL_VRT_ENABLE_PYTHON": "NO",
    "CPL_VSIL_CURL_ALLOWED_EXTENSIONS": ".none",
    "GTIFF_IGNORE_READ_ERRORS": "NO",
    "GDAL_NUM_THREADS": "1",
    # Bytes: rasterio 1.4.4 hands the number to GDAL as it is, and GDAL takes 128 of megabytes for 128 bytes.
    "GDAL_CACHEMAX": 128 << 20,
}
_KEPT = 512
_Identity = tuple[int, int, int, int, int]
_judged: OrderedDict[tuple[_Identity, Limits], Header] = OrderedDict()
_lock = threading.Lock()


@contextmanager
def opened(path: Path, limits: Limits, **options: str) -> Iterator[Any]:
    """Yields an open dataset within ``limits``; whatever GDAL raises inside becomes BadInput.

    A TIFF passes the gate once for each state of the file; further reads cost one look at its status.
    """
    identity, driver = _driver(path, limits)
    header = _gated(path, limits, identity) if driver == _TIFF else None
    if driver == _JP2:  # its boxes may name overviews elsewhere; it has no band names that closing them would hide
        options = {"OVERVIEW_LEVEL": "NONE", **options}
    try:
        # The driver is a plain string: rasterio 1.4.4 refuses the documented list.
        with (
            rasterio.Env(**CLOSED),
            rasterio.open(path, driver=driver, sharing=False, **options) as source,
        ):
            if _identity(path.stat(follow_symlinks=False))[:4] != identity[:4]:
                raise BadInput(f"{path.name} changed while it was opened.", "deliver files that are finished")
            _judge_size(source, path.name, limits)
            # One of its overviews, asked for by number, is smaller by right.
            if header is not None and options.get("OVERVIEW_LEVEL", "NONE") == "NONE":
                _compare(source, path.name, header)
            yield source
    except (GeomlError, MemoryError):
        raise
    except Exception as error:  # mutated files raise UnicodeDecodeError and CRSError too
        raise BadInput(
            f"{path.name} cannot be read as {driver}: {type(error).__name__}: {str(error)[:200]}.",
            "check that the transfer was complete and deliver the file again",
        ) from error


def _identity(status: os.stat_result) -> _Identity:
    # The time of change cannot be set by whoever writes the file, that of modification can.
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _driver(path: Path, limits: Limits) -> tuple[_Identity, str]:
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
        if head.startswith(signature) and (limits.jpeg or driver != _JP2):
            return _identity(status), driver
    formats = "neither GeoTIFF nor JP2" if limits.jpeg else "not a GeoTIFF"
    raise BadInput(f"{path.name} is {formats} (begins with {head[:8].hex() or 'nothing'}).")


def _gated(path: Path, limits: Limits, identity: _Identity) -> Header:
    key = identity, limits
    with _lock:
        header = _judged.get(key)
        if header is not None:
            _judged.move_to_end(key)
            return header
    header = inspect(path, limits)
    with _lock:
        _judged[key] = header
        while len(_judged) > _KEPT:
            _judged.popitem(last=False)
    return header


def _compare(source: Any, name: str, header: Header) -> None:
    found, said = (source.width, source.height, source.count), (header.width, header.height, header.n_bands)
    if found != said:
        raise BadInput(f"{name} reads as {found[0]} x {found[1]} pixels in {found[2]} bands; its header says {said}.")


def _judge_size(source: Any, name: str, limits: Limits) -> None:
    within(source.count, limits.bands, f"bands in {name}")
    within(max(source.width, source.height), limits.side_px, f"pixels along one side of {name}")
    within(source.width * source.height, limits.pixels, f"pixels in {name}")
    if len(set(source.dtypes)) != 1:
        raise BadInput(f"The bands of {name} have several types: {', '.join(sorted(set(source.dtypes)))}.")
    together = source.count if str(source.profile.get("interleave", "")).lower() == "pixel" else 1
    rows, cols = source.block_shapes[0]
    within(rows * cols * np.dtype(source.dtypes[0]).itemsize * together, limits.block_bytes, f"bytes a chunk of {name}")
