"""Chunks of the commonest GeoTIFFs, unpacked here: whole numbers in tiles of one band each, compressed by deflate.

GDAL 3.10 unpacks them by libdeflate too, but then adds up differences one number at a time and copies every chunk
through its cache; together that is a third of its work. Whatever is not exactly as expected (a chunk that is missing,
broken, or of another size than the header says) is left to GDAL, which says what is wrong with it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
from deflate import DeflateError, zlib_decompress
from numpy.typing import NDArray

from geoml_ops.adapters.raster.chunks import DEFLATED, SIGNED, UNSIGNED, Image, image_of
from geoml_ops.adapters.raster.limits import Limits
from geoml_ops.adapters.raster.tiff import open_tiff
from geoml_ops.core.errors import GeomlError
from geoml_ops.core.grid import Window

_LEAST_PX = 1 << 14
"""Of smaller chunks there are so many that calling for each of them costs more than it saves."""
_LONGEST = 1.1
"""Times the size of a chunk that it may take compressed; deflate itself adds less than a thousandth."""
_Spread = Callable[[Callable[[Any], bool], Iterable[Any]], Iterable[bool]]
_NATIVE = "<" if sys.byteorder == "little" else ">"


class Chunks:
    """The chunks of an open file, each for itself."""

    def __init__(self, handle: int, image: Image, spread: _Spread) -> None:
        """Takes a file that was judged.

        Args:
            handle: of the open file.
            image: what lies where in it.
            spread: what ``map`` does, in one thread or in several.
        """
        self._handle, self._image, self._spread = handle, image, spread
        self._whole = np.dtype(f"u{image.bits // 8}")
        self._dtype = self._whole if image.kind == UNSIGNED else np.dtype(f"i{image.bits // 8}")
        self._n_across = -(-image.width // image.chunk[1])
        self._n_each = self._n_across * -(-image.height // image.chunk[0])

    def read(self, window: Window, bands: Sequence[int]) -> NDArray[Any] | None:
        """Returns pixels ``(band, y, x)`` as stored; None where GDAL has to read them.

        Args:
            window: inside the raster.
            bands: positions from 0, in the order wanted.
        """
        image, (rows, cols) = self._image, self._image.chunk
        low, right = window.row + window.height, window.col + window.width
        cuts = window.row % rows or window.col % cols
        if cuts or (low % rows and low != image.height) or (right % cols and right != image.width):
            return None
        pixels = np.empty((len(bands), window.height, window.width), dtype=self._whole)
        wanted = [
            (band * self._n_each + top // rows * self._n_across + left // cols,
             into[top - window.row :, left - window.col :][:rows, :cols])
            for band, into in zip(bands, pixels, strict=True)
            for top in range(window.row, low, rows)
            for left in range(window.col, right, cols)
        ]  # fmt: skip
        return pixels.view(self._dtype) if all(self._spread(self._unpack, wanted)) else None

    def _unpack(self, wanted: tuple[int, NDArray[Any]]) -> bool:
        """Writes a chunk where it belongs, and says whether that was possible."""
        number, into = wanted
        image, (rows, cols) = self._image, self._image.chunk
        place, length = int(image.places[number]), int(image.lengths[number])
        size = rows * cols * self._whole.itemsize
        if not 0 < length <= _LONGEST * size:
            return False
        try:
            content = zlib_decompress(os.pread(self._handle, length, place), size)
        except DeflateError:
            return False
        if len(content) != size:
            return False
        found = np.frombuffer(content, dtype=self._whole).reshape(rows, cols)[: into.shape[0], : into.shape[1]]
        if image.predictor == 2:
            # Differences wrap around, and so do their sums.
            np.add.accumulate(found, axis=1, dtype=self._whole, out=into)
        else:
            np.copyto(into, found)
        return True


@contextmanager
def unpacked(path: Path, limits: Limits, shape: tuple[int, int, int], threads: int = 1) -> Iterator[Chunks | None]:
    """Yields the chunks of a file that passed the gate; None where GDAL has to read all of them.

    Args:
        path: of the file.
        limits: what it may be.
        shape: bands, height and width as GDAL says them.
        threads: that may unpack at a time.
    """
    handle = -1
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        image = _plain(handle, path.name, limits, shape)
    except (OSError, GeomlError):
        image = None
    try:
        if image is None:
            yield None
            return
        with ThreadPoolExecutor(threads, thread_name_prefix="unpacking") if threads > 1 else nullcontext() as pool:
            yield Chunks(handle, image, map if pool is None else pool.map)
    finally:
        if handle >= 0:
            os.close(handle)


def _plain(handle: int, name: str, limits: Limits, shape: tuple[int, int, int]) -> Image | None:
    """Returns the image of a file if its chunks may be unpacked here."""
    tiff = open_tiff(handle, name)
    image = image_of(tiff, tiff.directories[0], limits)
    rows, cols = image.chunk
    told = (image.n_bands, image.height, image.width) == shape and tiff.order == _NATIVE
    known = image.kind in (UNSIGNED, SIGNED) and image.bits in (8, 16, 32) and image.predictor in (1, 2)
    alone = image.tiled and image.together == 1 and rows * cols >= _LEAST_PX
    return image if told and known and alone and image.codec in DEFLATED else None
