"""A classified raster, however large, strip by strip."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.windows import Window as RasterioWindow

from geoml_ops.adapters.raster.opening import Limits, opened
from geoml_ops.core.errors import BadInput

#: Nothing is held but one strip, so a map may be as large as a continent.
MAP_LIMITS = Limits(file_bytes=1 << 40, side_px=4_000_000, pixels=10**13, blocks=1 << 24, ratio=1 << 20, jpeg=True)
_STRIP_PX = 1 << 23
_STRIP_BYTES = 256 << 20


def strips(path: Path, limits: Limits = MAP_LIMITS) -> Iterator[tuple[int, NDArray[np.integer[Any]]]]:
    """Yields the first row and the class codes ``(y, x)`` of strips as wide as the raster, from north to south.

    Raises:
        BadInput: the codes are not integers, or the file is not readable.
        TooLarge: beyond ``limits``.
    """
    with opened(path, limits, OVERVIEW_LEVEL="NONE") as source:
        dtype = np.dtype(source.dtypes[0])
        if dtype.kind not in "iu":
            raise BadInput(f"{path.name} holds {dtype.name}, not class codes.", "give a raster of whole numbers")
        step = _rows_at_once(source.width, int(source.block_shapes[0][0]), dtype.itemsize)
        for row in range(0, source.height, step):
            height = min(step, source.height - row)
            yield row, source.read(1, window=RasterioWindow(0, row, source.width, height))


def _rows_at_once(width: int, chunk_height: int, itemsize: int) -> int:
    rows = max(1, _STRIP_PX // width)
    if rows >= chunk_height:
        return rows - rows % chunk_height
    # Fewer rows than a chunk has would decode it again for every strip.
    return chunk_height if chunk_height * width * itemsize <= _STRIP_BYTES else rows
