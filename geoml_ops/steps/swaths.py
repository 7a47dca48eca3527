"""A raster and what is read beside it, on their way through memory: read ahead, in order, chunks decoded once.

Where the file's chunks nest in the blocks and nothing is needed beyond them, every block is read for itself. Where
they do not, full rows are read once and kept as long as the next ones need them, provided that the rows fit the
budget; a raster too wide for that is read block by block all the same, and its chunks are decoded several times.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from geoml_ops.adapters import raster
from geoml_ops.adapters.raster import Chunking, Stream
from geoml_ops.core.grid import Window
from geoml_ops.domain.tiling import Box
from geoml_ops.steps.beside import Part

AHEAD = 2
"""Swaths that are read and not yet asked for."""


@dataclass(frozen=True)
class Swath:
    """Pixels as stored, of all parts.

    Attributes:
        box: what is there of the raster.
        layers: of each part ``(band, y, x)``, of the type its file has.
    """

    box: Box
    layers: tuple[NDArray[Any], ...]

    def part(self, box: Box) -> tuple[NDArray[Any], ...]:
        """Returns the pixels of a box inside it, of each part."""
        return tuple(layer[:, *box.within(self.box)] for layer in self.layers)


@dataclass(frozen=True)
class Course:
    """How a raster will be read, and what that costs.

    Attributes:
        by_rows: whether full rows are read, and kept from one row of blocks to the next.
        width: columns of the raster.
        nbytes: most that is in memory at a time, without what GDAL keeps.
        cache_bytes: what GDAL keeps.
        threads: that may decode at a time.
    """

    by_rows: bool
    width: int
    nbytes: int
    cache_bytes: int
    threads: int = 1


def course(
    around: tuple[int, int],
    width: int,
    n_bands: int,
    chunking: Chunking,
    *,
    nested: bool,
    budget_bytes: int,
    threads: int = 1,
) -> Course:
    """Returns how a raster is read.

    Args:
        around: height and width of what a block needs.
        width: columns of the raster.
        n_bands: bands that are read, of all parts.
        chunking: how its file keeps pixels.
        nested: whether chunks nest in the blocks and blocks need nothing beyond themselves.
        budget_bytes: what reading may hold.
        threads: that may decode at a time.
    """
    height, pixel = around[0], chunking.pixel_bytes
    # A row of chunks of all bands, decoded.
    strip = chunking.height * width * (chunking.n_bands if chunking.together else n_bands) * pixel
    # What was held, the rows that are read and the two joined; the swath before is still in work.
    rows = 3 * (height + chunking.height) * width * n_bands * pixel
    if not nested and rows + strip <= budget_bytes:
        return Course(True, width, rows, max(raster.LEAST_CACHE, strip), threads)
    windows = (AHEAD + 1) * around[0] * around[1] * n_bands * pixel
    # Where chunks do not nest, a block cuts one more of them in each direction.
    tall = (-(-height // chunking.height) + (not nested)) * chunking.height
    wide = min((-(-around[1] // chunking.width) + (not nested)) * chunking.width, width)
    touched = tall * wide * (chunking.n_bands if chunking.together else n_bands) * pixel
    room = max(budget_bytes - windows, 0)
    return Course(False, width, windows, max(raster.LEAST_CACHE, min(2 * touched, room) if nested else room), threads)


def rows_of(boxes: Iterable[Box], width: int) -> Iterator[Box]:
    """Yields the full rows of a raster that rows of blocks need, from what each block does, in the order of the map."""
    last: Box | None = None
    for box in boxes:
        full = Box(box.top, 0, box.low, width)
        if full != last:
            yield full
        last = full


class Early(Protocol):
    """Blocks that were read before their turn."""

    def take(self, block: Box) -> NDArray[Any] | None:
        """Returns a block as stored, ``(band, y, x)``; None where it was not read. Called in the order of the map."""
        ...


class Swaths:
    """Swaths in the order of their course; :meth:`holding` waits for the reader."""

    def __init__(self, ready: queue.Queue[Swath | BaseException]) -> None:
        self._ready = ready
        self._now: Swath | None = None

    def holding(self, box: Box) -> Swath:
        """Returns the swath that a box lies in; boxes have to come in the order of the course.

        Raises:
            BadInput: the raster cannot be read.
        """
        while self._now is None or box.common(self._now.box) != box:
            self._now = None
            found = self._ready.get()
            if isinstance(found, BaseException):
                raise found
            self._now = found
        return self._now


@contextmanager
def reading(
    parts: Sequence[Part], limits: raster.Limits, boxes: Iterable[Box], way: Course, early: Early | None = None
) -> Iterator[Swaths]:
    """Yields the swaths that blocks need, read ahead by a thread of their own.

    Args:
        parts: the raster, and what is read beside it.
        limits: what each file may be.
        boxes: what each block needs of the raster, in the order of the map.
        way: how it is read.
        early: blocks of a single raster that were read before their turn.
    """
    ready: queue.Queue[Swath | BaseException] = queue.Queue(maxsize=AHEAD)
    given_up = threading.Event()
    wanted = rows_of(boxes, way.width) if way.by_rows else boxes
    # Rows that are kept from one to the next have no beginning of their own.
    asked = (parts, limits, wanted, way, ready, given_up, None if way.by_rows or len(parts) > 1 else early)
    reader = threading.Thread(target=_read_all, args=asked, name="reader", daemon=True)
    reader.start()
    try:
        yield Swaths(ready)
    finally:
        given_up.set()
        while reader.is_alive():
            _emptied(ready)
            reader.join(0.05)


def _emptied(ready: queue.Queue[Swath | BaseException]) -> None:
    while not ready.empty():
        ready.get_nowait()


def _read_all(
    parts: Sequence[Part],
    limits: raster.Limits,
    boxes: Iterable[Box],
    way: Course,
    ready: queue.Queue[Swath | BaseException],
    given_up: threading.Event,
    early: Early | None,
) -> None:
    try:
        with ExitStack() as stack:
            streams = [
                stack.enter_context(
                    raster.streamed(part.path, limits, cache_bytes=way.cache_bytes, threads=way.threads)
                )
                for part in parts
            ]
            for box in boxes:
                if given_up.is_set():
                    return
                there = None if early is None else early.take(box)
                layers = (
                    (there,)
                    if there is not None
                    else tuple(_read(s, part, box, way.by_rows) for s, part in zip(streams, parts, strict=True))
                )
                ready.put(Swath(box, layers))
    except BaseException as error:  # noqa: BLE001 - it is raised again by whoever waits for the next swath
        ready.put(error)


def _read(stream: Stream, part: Part, box: Box, by_rows: bool) -> NDArray[Any]:
    row, col = part.shift
    height, width = box.shape
    if by_rows:
        return stream.rows(box.top + row, box.low + row, part.bands, box.left + col, width)
    return stream.read(Window(col=box.left + col, row=box.top + row, width=width, height=height), part.bands)


def evenly(rows: int, cols: int, n: int) -> list[tuple[int, int]]:
    """Returns at most ``n`` different cells of a table, spread evenly, in one order; all of a small table.

    The points of the R2 sequence (Roberts 2018), of low discrepancy in two dimensions.

    >>> evenly(2, 2, 9)
    [(0, 0), (0, 1), (1, 0), (1, 1)]
    """
    if rows * cols <= n:
        return [(row, col) for row in range(rows) for col in range(cols)]
    number = np.arange(1, 16 * n + 1)
    golden = 1.32471795724474602596  # the real root of x^3 = x + 1
    at = [
        np.floor((0.5 + number / golden**power) % 1.0 * side).astype(np.int64) for power, side in ((1, rows), (2, cols))
    ]
    _, first = np.unique(at[0] * cols + at[1], return_index=True)
    kept = np.sort(first)[:n]
    return list(zip(at[0][kept].tolist(), at[1][kept].tolist(), strict=True))
