"""A raster that many windows are read from, one after the other, by the one thread that opened it.

A handle belongs to its thread; GDAL lets go of the interpreter while it reads and decodes. Where windows share chunks
of the file, rows are read once and kept as long as the next window needs them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.windows import Window as RasterioWindow

from geoml_ops.adapters.raster.opening import LIMITS, Limits, opened
from geoml_ops.adapters.raster.unpacking import Chunks, unpacked
from geoml_ops.core.errors import BadInput
from geoml_ops.core.grid import Window

LEAST_CACHE = 16 << 20


@dataclass(frozen=True)
class Chunking:
    """How a file keeps its pixels.

    Attributes:
        height: rows of a chunk.
        width: columns of a chunk; of a strip those of the raster.
        dtype: numpy name of the type all bands share.
        n_bands: bands of the file.
        together: whether a chunk holds all of them.
    """

    height: int
    width: int
    dtype: str
    n_bands: int
    together: bool

    @property
    def pixel_bytes(self) -> int:
        """Bytes of one band's pixel."""
        return np.dtype(self.dtype).itemsize

    def divides(self, edge_px: int) -> bool:
        """Says whether squares of this edge, from the first pixel on, cut no chunk."""
        return edge_px % self.height == 0 and edge_px % self.width == 0


def chunking(path: Path, limits: Limits = LIMITS) -> Chunking:
    """Returns how a file keeps its pixels.

    Raises:
        BadInput: not a readable raster.
        TooLarge: beyond ``limits``.
    """
    with opened(path, limits, OVERVIEW_LEVEL="NONE") as source:
        height, width = source.block_shapes[0]
        together = str(source.profile.get("interleave", "")).lower() == "pixel" and source.count > 1
        return Chunking(int(height), int(width), str(source.dtypes[0]), int(source.count), together)


class Stream:
    """A raster that is open for reading windows; use it in the thread that opened it, and nowhere else."""

    def __init__(self, source: Any, name: str, cache_bytes: int, chunks: Chunks | None = None) -> None:
        self._source, self._name, self._cache_bytes, self._chunks = source, name, cache_bytes, chunks
        self._top = self._low = 0
        self._held: NDArray[Any] | None = None

    def read(self, window: Window, bands: Sequence[int]) -> NDArray[Any]:
        """Returns pixels ``(band, y, x)`` as stored.

        Args:
            window: inside the raster.
            bands: positions from 0, in the order wanted.

        Raises:
            BadInput: the window reaches beyond the raster.
        """
        source = self._source
        if window.col + window.width > source.width or window.row + window.height > source.height:
            raise BadInput(f"{window!r} reaches beyond the {source.width} x {source.height} pixels of {self._name}.")
        unpacked_here = None if self._chunks is None else self._chunks.read(window, bands)
        if unpacked_here is not None:
            return unpacked_here
        area = RasterioWindow(window.col, window.row, window.width, window.height)
        # One number for the whole process, in bytes (rasterio 1.4.4, GDAL 3.10): whoever opens a file sets it anew.
        rasterio.env.setenv(GDAL_CACHEMAX=self._cache_bytes)
        pixels: NDArray[Any] = source.read([band + 1 for band in bands], window=area)
        return pixels

    def rows(self, top: int, low: int, bands: Sequence[int], left: int, width: int) -> NDArray[Any]:
        """Returns full rows ``(band, y, x)`` of a strip of columns; each chunk is decoded once on the way down.

        Args:
            top: first row, not above that of the call before.
            low: row after the last one.
            bands: positions from 0; the same ones in every call.
            left: first column; the same one in every call.
            width: columns; the same number in every call.
        """
        held = self._held
        if held is None or not self._top <= top < self._low:
            held, self._low = None, top
        else:
            held = held[:, top - self._top :]
        chunk = int(self._source.block_shapes[0][0])
        end = min(-(-low // chunk) * chunk, int(self._source.height))
        if end > self._low and low > self._low:
            more = self.read(Window(col=left, row=self._low, width=width, height=end - self._low), bands)
            held = more if held is None else np.concatenate([held, more], axis=1)
            self._low = end
        assert held is not None
        self._top, self._held = top, held
        return held[:, : low - top]


@contextmanager
def streamed(
    path: Path, limits: Limits = LIMITS, *, cache_bytes: int = LEAST_CACHE, threads: int = 1
) -> Iterator[Stream]:
    """Yields a raster that is open for reading windows in this thread; whatever GDAL raises becomes BadInput.

    Args:
        path: a GeoTIFF or JP2 file.
        limits: what the file may be.
        cache_bytes: how many decoded bytes GDAL keeps.
        threads: that may decode at a time.

    Raises:
        BadInput: not readable.
        TooLarge: beyond ``limits``.
    """
    more = {"NUM_THREADS": str(threads)} if threads > 1 else {}
    with (
        opened(path, limits, OVERVIEW_LEVEL="NONE", **more) as source,
        unpacked(path, limits, (source.count, source.height, source.width), threads) as chunks,
    ):
        yield Stream(source, path.name, cache_bytes, chunks)
