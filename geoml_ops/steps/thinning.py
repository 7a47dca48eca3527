"""The picture of a raster that people look at: every n-th row and column of three bands, taken block by block."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from geoml_ops.adapters import png
from geoml_ops.core.bands import Contract
from geoml_ops.core.grid import Window
from geoml_ops.domain.tiling import Pixels
from geoml_ops.platform.files import whole_file

PICTURE_BANDS = ("red", "green", "blue")
PICTURE_PX = 2048
"""Longest side of a picture; 50 MB while it is collected."""
_ROWS, _SORTED = 256, 1_000_000


class Picture:
    """Pixels of a picture in the making; each block fills its own, from any thread."""

    def __init__(self, shape: tuple[int, int], contract: Contract) -> None:
        called = {band.common_name: band.name for band in contract.bands}
        shown = [called.get(word, "") for word in PICTURE_BANDS]
        self.names = tuple(shown) if all(shown) else (contract.names[0],) * 3
        self._bands = [contract.names.index(name) for name in self.names]
        self.step = max(1, -(-max(shape) // PICTURE_PX))
        height, width = (-(-side // self.step) for side in shape)
        self._layers = np.full((3, height, width), np.nan, dtype=np.float32)
        self._left_px, self._drawn = shape[0] * shape[1], b""
        self._lock = threading.Lock()

    def take(self, window: Window, dn: Pixels) -> bool:
        """Fills in what a block shows, and says whether that was the last one.

        Args:
            window: the block.
            dn: its pixels ``(band, y, x)``, all bands of the contract.
        """
        step = self.step
        row, col = (-window.row) % step, (-window.col) % step
        found = dn[:, row::step, col::step]
        top, left = -(-window.row // step), -(-window.col // step)
        here = slice(top, top + found.shape[1]), slice(left, left + found.shape[2])
        for into, band in zip(self._layers, self._bands, strict=True):
            into[here] = found[band]
        with self._lock:
            self._left_px -= window.width * window.height
            return self._left_px == 0

    @property
    def nbytes(self) -> int:
        """What it holds."""
        return self._layers.nbytes

    def draw(self) -> None:
        """Makes the PNG, each band from its 2nd to its 98th percentile; once, and from any thread."""
        with self._lock:
            if not self._drawn:
                self._drawn = png.shaded(self._stretched())
                self._layers = np.empty((3, 0, 0), dtype=np.float32)

    def write(self, path: Path) -> None:
        """Writes the picture, whole or not at all."""
        self.draw()
        with whole_file(path) as part:
            part.write_bytes(self._drawn)

    def _stretched(self) -> NDArray[np.uint8]:
        """Returns ``(y, x, 4)`` pixels, transparent where nothing was observed; some rows at a time."""
        _, height, width = self._layers.shape
        pixels = np.zeros((height, width, 4), dtype=np.uint8)
        ends = [_ends(layer) for layer in self._layers]
        for top in range(0, height, _ROWS):
            rows = self._layers[:, top : top + _ROWS]
            seen = np.isfinite(rows).all(axis=0)
            for position, (layer, (low, high)) in enumerate(zip(rows, ends, strict=True)):
                share = np.clip((layer - low) / max(high - low, np.float32(1.0)), 0, 1) ** np.float32(0.8)
                pixels[top : top + _ROWS, :, position] = np.where(seen, np.rint(255 * share), 0)
            pixels[top : top + _ROWS, :, 3] = 255 * seen.astype(np.uint8)
        return pixels


def _ends(layer: NDArray[np.float32]) -> tuple[np.float32, np.float32]:
    """Returns the 2nd and the 98th percentile of what was observed, from at most a million pixels of it."""
    flat = layer.ravel()
    found = flat[:: max(1, flat.size // _SORTED)]
    found = np.sort(found[np.isfinite(found)])
    if not found.size:
        return np.float32(0), np.float32(1)
    return found[int(0.02 * (found.size - 1))], found[int(0.98 * (found.size - 1))]
