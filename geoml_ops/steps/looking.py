"""What is looked at of a raster before it is mapped, and what was read for that, kept until its turn comes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoml_ops.adapters import raster
from geoml_ops.core.bands import to_contract
from geoml_ops.domain.tiling import Box
from geoml_ops.steps.sources import Source

_LOOKED_AT_PX = 120
"""Edge of the windows that are looked at before a pass; pixels of 20, 30 and 60 m are whole parts of it."""
_APART_PX = 512
"""Windows begin where chunks do, so that each costs one."""
_SMALL_PX = 1 << 19
"""Rasters of so many pixels are looked at as a whole."""
_COLUMNS, _LEAST_ROWS, _MOST_ROWS, _ENOUGH_PX = 4, 3, 16, 150_000

Stored = NDArray[Any]
Read = Callable[[Box], Stored]


class Early:
    """Blocks of a raster that were read before their turn, in the order in which the map takes them.

    One thread reads parts of the raster anywhere, another takes the blocks one after the other; what the map has
    passed is not kept. What there is no room for is read twice, and nothing else changes.
    """

    def __init__(self, shape: tuple[int, int], block_px: int, room_bytes: int) -> None:
        """Begins with nothing.

        Args:
            shape: height and width of the raster.
            block_px: edge of a block; the last ones are smaller.
            room_bytes: what may be kept at a time.
        """
        self._shape, self._block_px, self._room = shape, block_px, room_bytes
        self._held: dict[Box, Stored] = {}
        self._passed = (-1, -1)
        self._lock = threading.Lock()

    @property
    def nbytes(self) -> int:
        """What is kept."""
        with self._lock:
            return sum(layers.nbytes for layers in self._held.values())

    def take(self, block: Box) -> Stored | None:
        """Returns a block that was read; None where it was not. Those before it are not kept any longer."""
        with self._lock:
            self._passed = (block.top, block.left)
            found = self._held.pop(block, None)
            for other in [held for held in self._held if (held.top, held.left) <= self._passed]:
                self._room += self._held.pop(other).nbytes
            if found is not None:
                self._room += found.nbytes
            return found

    def part(self, box: Box, read: Read, pixel_bytes: int) -> Stored:
        """Returns the pixels of a box, out of whole blocks as far as these can be kept.

        Args:
            box: inside the raster.
            read: gives the pixels ``(band, y, x)`` of any box.
            pixel_bytes: of all bands.
        """
        found = []
        for block in self._blocks(box):
            layers = self._kept(block, read, pixel_bytes)
            if layers is None:
                return read(box)
            found.append((block, layers))
        out: Stored = np.empty((len(found[0][1]), *box.shape), dtype=found[0][1].dtype)
        for block, layers in found:
            common = block.common(box)
            assert common is not None
            out[:, *common.within(box)] = layers[:, *common.within(block)]
        return out

    def _kept(self, block: Box, read: Read, pixel_bytes: int) -> Stored | None:
        with self._lock:
            if block in self._held:
                return self._held[block]
            nbytes = block.shape[0] * block.shape[1] * pixel_bytes
            if (block.top, block.left) <= self._passed or nbytes > self._room:
                return None
            self._room -= nbytes
        layers = read(block)
        with self._lock:
            self._room += nbytes
            if (block.top, block.left) > self._passed:
                self._room -= layers.nbytes
                self._held[block] = layers
        return layers

    def _blocks(self, box: Box) -> Iterator[Box]:
        edge, (height, width) = self._block_px, self._shape
        for top in range(box.top // edge * edge, box.low, edge):
            for left in range(box.left // edge * edge, box.right, edge):
                yield Box(top, left, min(top + edge, height), min(left + edge, width))


def looked_at(source: Source, early: Early | None = None) -> NDArray[np.float32]:
    """Returns some of what the raster carries, the same each time: ``(band, y, x)``, windows side by side.

    Windows lie in few rows, because a file of strips decodes full rows; where little was observed in them, more rows
    are looked at.

    Args:
        source: the raster.
        early: keeps what was read, where a map reads the same blocks.
    """
    part = source.parts[0]
    found: list[NDArray[np.float32]] = []
    n_seen = 0
    with raster.streamed(part.path, source.limits) as stream:
        pixel_bytes = raster.chunking(part.path, source.limits).pixel_bytes * len(part.bands)

        def read(box: Box) -> Stored:
            return stream.read(box.window(), part.bands)

        for count, row in enumerate(_rows(source.grid.shape), start=1):
            for box in row:
                stored = read(box) if early is None else early.part(box, read, pixel_bytes)
                found.append(to_contract(stored, source.declared, source.carried, source.own))
                n_seen += int(np.isfinite(found[-1]).all(axis=0).sum())
            if count >= _LEAST_ROWS and n_seen >= _ENOUGH_PX:
                break
    return np.concatenate(found, axis=2)


def _rows(shape: tuple[int, int]) -> Iterator[list[Box]]:
    """Yields rows of windows, all of one size, spread over a raster."""
    if shape[0] * shape[1] <= _SMALL_PX:
        yield [Box(0, 0, *shape)]
        return
    height, width = (min(_LOOKED_AT_PX, side) for side in shape)
    tops, lefts = (_begins(side) for side in shape)
    chosen = sorted({round(at * (len(lefts) - 1) / (_COLUMNS - 1)) for at in range(_COLUMNS)})
    seen = set()
    for number in range(_MOST_ROWS):
        # Steps of the golden ratio: any number of rows is spread evenly.
        row = int((0.5 + number * 0.6180339887498949) % 1.0 * len(tops))
        if row in seen:
            continue
        seen.add(row)
        yield [Box(tops[row], lefts[at], tops[row] + height, lefts[at] + width) for at in chosen]


def _begins(side: int) -> list[int]:
    """Returns at which rows or columns windows may begin, so that they fit in."""
    step = _APART_PX if side >= 4 * _APART_PX else _LOOKED_AT_PX
    last = max(side - _LOOKED_AT_PX, 0)
    return sorted({*range(0, last + 1, step), *([last] if step == _LOOKED_AT_PX else [])})
