"""Named numbers on a grid, NaN for nothing, as a COG that GDAL writes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.shutil import copy
from rio_cogeo.cogeo import cog_validate

from geoml_ops.adapters.cog.quiet import QUIET, full_disk_named
from geoml_ops.core.errors import Refused, TooLarge
from geoml_ops.core.grid import Grid
from geoml_ops.platform.files import whole_file

MAX_NUMBERS = 5 * 10**8
_COG: dict[str, Any] = {
    "driver": "COG",
    "compress": "DEFLATE",
    "level": 6,
    "predictor": "YES",
    "blocksize": 256,
    "overview_resampling": "nearest",
    "bigtiff": "NO",
}


def write_numbers(
    path: Path, layers: NDArray[np.float32], grid: Grid, names: Sequence[str], tags: Mapping[str, str]
) -> None:
    """Writes named numbers ``(band, y, x)``, NaN for nothing, as a valid COG, whole or not at all, and reads it back.

    Raises:
        StorageFull: no space left; an older file under ``path`` is untouched.
        TooLarge: more numbers than a classic TIFF safely holds.
        Refused: what is on disk is not a valid COG or not these numbers.
    """
    if layers.shape != (len(names), *grid.shape) or layers.dtype != np.float32:
        raise ValueError(f"{layers.dtype} {layers.shape} for {len(names)} names on {grid.shape}")
    if layers.size > MAX_NUMBERS:
        raise TooLarge(f"{layers.size} numbers in one file; the limit is {MAX_NUMBERS}.", "write fewer pixels")
    profile = {
        "driver": "MEM",
        "width": grid.width,
        "height": grid.height,
        "count": len(names),
        "dtype": "float32",
        "nodata": float("nan"),
        "crs": rasterio.CRS.from_epsg(grid.epsg),
        "transform": rasterio.Affine(*grid.transform),
    }
    with full_disk_named(path), whole_file(path) as part, rasterio.Env(**QUIET):
        with rasterio.open("", "w", **profile) as memory:
            memory.write(layers)
            memory.descriptions = tuple(names)
            memory.update_tags(**dict(tags))
            copy(memory, str(part), **_COG)
        with rasterio.open(part, driver="GTiff", sharing=False) as source:
            same = source.descriptions == tuple(names) and np.array_equal(source.read(), layers, equal_nan=True)
        valid, errors, _ = cog_validate(part, quiet=True)
        if not (same and valid):
            raise Refused(f"{path.name} does not read back as it was written: {'; '.join(errors) or 'other numbers'}.")
