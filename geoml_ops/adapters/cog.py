"""Maps on disk: one Cloud Optimized GeoTIFF that explains itself.

Band 1 holds class codes with their colour table and names, band 2 the confidence in percent; 255 is
"no answer" in both. The same arrays give the same bytes. Both bands share one file, so that a map that
was sent on still knows how sure it is.
"""

from __future__ import annotations

import errno
import json
import struct
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.shutil import copy
from rio_cogeo.cogeo import cog_validate

from geoml_ops.core.errors import GeomlError, Refused, StorageFull, TooLarge
from geoml_ops.core.grid import Grid
from geoml_ops.platform.files import whole_file

NODATA = 255
BAND_NAMES = ("class", "confidence")
_QUIET: dict[str, Any] = {
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
    "GDAL_PAM_ENABLED": "NO",
    "GDAL_NUM_THREADS": "1",
    "GTIFF_IGNORE_READ_ERRORS": "NO",
}
_COG: dict[str, Any] = {
    "driver": "COG",
    "compress": "DEFLATE",
    "level": 6,
    "blocksize": 256,
    "overview_resampling": "nearest",
    "bigtiff": "NO",
}
MAX_PIXELS = 10**9
_EXTRA_SAMPLES = 338


def write_map(
    path: Path,
    classes: NDArray[np.uint8],
    confidence: NDArray[np.float32],
    grid: Grid,
    *,
    names: Sequence[str],
    colours: Sequence[str],
    tags: Mapping[str, str],
) -> None:
    """Writes a map as a valid COG, whole or not at all, and reads it back.

    Args:
        path: where the file appears.
        classes: ``(y, x)`` class codes, 255 for no answer.
        confidence: ``(y, x)`` probability (0 to 1) of the class; NaN for no answer.
        grid: where the pixels are.
        names: class names in code order.
        colours: ``#rrggbb`` in code order.
        tags: lineage, kept as dataset tags.

    Raises:
        StorageFull: no space left; an older file under ``path`` is untouched.
        TooLarge: more pixels than a classic TIFF safely holds.
        Refused: what is on disk is not a valid COG or not these pixels.
    """
    if classes.shape != grid.shape or confidence.shape != grid.shape or len(names) != len(colours):
        raise ValueError(f"{classes.shape} classes, {confidence.shape} confidences, {len(names)} names on {grid.shape}")
    if classes.size > MAX_PIXELS:
        raise TooLarge(f"A map of {classes.size} pixels; the limit is {MAX_PIXELS}.", "classify it in parts")
    percent = np.where(classes == NODATA, NODATA, np.rint(np.nan_to_num(confidence) * 100.0)).astype(np.uint8)
    profile = {
        "driver": "MEM",
        "width": grid.width,
        "height": grid.height,
        "count": 2,
        "dtype": "uint8",
        "nodata": NODATA,
        "crs": rasterio.CRS.from_epsg(grid.epsg),
        "transform": rasterio.Affine(*grid.transform),
    }
    with _full_disk_named(path), whole_file(path) as part, rasterio.Env(**_QUIET):
        with rasterio.open("", "w", **profile) as memory:
            memory.write(classes, 1)
            memory.write(percent, 2)
            memory.write_colormap(1, {**{i: _rgba(c) for i, c in enumerate(colours)}, NODATA: (0, 0, 0, 0)})
            memory.descriptions = BAND_NAMES
            memory.update_tags(**dict(tags), GEOML_CLASSES=json.dumps(list(names), ensure_ascii=False))
            memory.update_tags(1, **{f"CLASS_{code}": name for code, name in enumerate(names)})
            memory.update_tags(2, UNIT="percent")
            copy(memory, str(part), **_COG)
        _confidence_is_not_transparency(part)
        _verify(part, path.name, classes, percent)


def read_classes(path: Path) -> tuple[str, ...]:
    """Returns the class names a map carries, in code order; empty where it carries none."""
    with rasterio.Env(**_QUIET), rasterio.open(path, driver="GTiff", OVERVIEW_LEVEL="NONE", sharing=False) as source:
        return tuple(json.loads(source.tags().get("GEOML_CLASSES", "[]")))


def _confidence_is_not_transparency(part: Path) -> None:
    # Beside a colour table GDAL 3.10 declares any second band as alpha, and readers would fade the map by it.
    # One short of each image directory says so; the layout of the file stays as it is.
    with part.open("r+b") as file:
        order = "<" if file.read(4) == b"II*\0" else ">"
        (directory,) = struct.unpack(f"{order}I", file.read(4))
        while directory:
            file.seek(directory)
            (n_entries,) = struct.unpack(f"{order}H", file.read(2))
            entries = file.read(12 * n_entries)
            (following,) = struct.unpack(f"{order}I", file.read(4))
            for n in range(n_entries):
                if struct.unpack_from(f"{order}H", entries, 12 * n)[0] == _EXTRA_SAMPLES:
                    file.seek(directory + 2 + 12 * n + 8)
                    file.write(struct.pack(f"{order}HH", 0, 0))
            directory = following


def _verify(part: Path, name: str, classes: NDArray[np.uint8], percent: NDArray[np.uint8]) -> None:
    # A GeoTIFF cut short by a full disk opens and reads as zeros (GDAL 3.10).
    with rasterio.open(part, driver="GTiff", sharing=False) as source:
        right = all(i.name != "alpha" for i in source.colorinterp)
        same = right and np.array_equal(source.read(1), classes) and np.array_equal(source.read(2), percent)
    valid, errors, _ = cog_validate(part, quiet=True)
    if not (same and valid):
        raise Refused(f"{name} does not read back as a valid map: {'; '.join(errors) or 'other pixels'}.")


def _rgba(colour: str) -> tuple[int, int, int, int]:
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16), 255


@contextmanager
def _full_disk_named(path: Path) -> Iterator[None]:
    try:
        yield
    except GeomlError:
        raise
    except Exception as error:
        causes = (error, error.__cause__, error.__context__)
        full = any(isinstance(e, OSError) and e.errno in (errno.ENOSPC, errno.EDQUOT) for e in causes)
        if full or any("no space left" in str(e).lower() for e in causes):
            raise StorageFull(f"No space left while writing {path.name}.", "free some space, then ask again") from error
        raise
