"""Pixels of a raster of labels: up to so many of each class, block by block, however large the raster.

Every pixel has its priority; the lowest are drawn. Nothing depends on how a scene is cut into blocks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geoml_ops.core.grid import Grid
from geoml_ops.domain.sampling.nearest import Placing
from geoml_ops.domain.sampling.priorities import priority
from geoml_ops.domain.sampling.thinning import Apart

Index = NDArray[np.int64]
Take = Callable[[Index, Index], Index]
BLOCK_PX = 1024
MOST_AT_ONCE = 1 << 20
"""Pixels that are weighed at once where samples keep a distance."""


@dataclass(frozen=True)
class Block:
    """Labelled pixels of a part of a scene; arrays have one entry per pixel.

    Attributes:
        rows: in the scene's grid.
        cols: in the scene's grid.
        codes: class code, from 0.
    """

    rows: Index
    cols: Index
    codes: Index


@dataclass(frozen=True)
class Picked:
    """Pixels that were drawn, in the order in which they were.

    Attributes:
        rows: in the scene's grid.
        cols: in the scene's grid.
        codes: class code, from 0.
        order: priority, rising.
    """

    rows: Index
    cols: Index
    codes: Index
    order: NDArray[np.uint64]


class Lookup:
    """From the numbers of a raster to class codes; -1 where a number stands for no class of the map."""

    def __init__(self, classes: dict[int, int]) -> None:
        numbers = sorted(classes)
        self._numbers = np.array(numbers, dtype=np.int64)
        self._codes = np.array([classes[number] for number in numbers], dtype=np.int64)
        narrow = bool(numbers) and numbers[-1] - numbers[0] < 1 << 16
        self._first = numbers[0] if narrow else 0
        self._table = np.full(numbers[-1] - numbers[0] + 1 if narrow else 0, -1, dtype=np.int64)
        if narrow:
            self._table[self._numbers - self._first] = self._codes

    def __call__(self, numbers: Index) -> Index:
        """Returns the class code of each number."""
        if not len(self._numbers):
            return np.full(numbers.shape, -1, dtype=np.int64)
        if len(self._table):
            place = numbers - self._first
            known = (place >= 0) & (place < len(self._table))
            return np.where(known, self._table[np.where(known, place, 0)], -1)
        place = np.minimum(np.searchsorted(self._numbers, numbers), len(self._numbers) - 1)
        return np.where(self._numbers[place] == numbers, self._codes[place], -1)


def blocks_of(grid: Grid, placing: Placing, take: Take, lookup: Lookup, block_px: int = 0) -> Iterator[Block]:
    """Yields the labelled pixels of a scene, from north to south.

    Args:
        grid: of the scene.
        placing: how the raster lies on it.
        take: returns the raster's numbers at rows and columns of its own; those at -1 do not matter.
        lookup: from these numbers to class codes.
        block_px: edge of a block; :data:`BLOCK_PX` if left out.
    """
    for window in grid.tiles(block_px or BLOCK_PX):
        under = placing.pixels(grid, window)
        if under is None:
            continue
        found = np.where(under[0] >= 0, lookup(take(*under)), -1)
        y, x = np.nonzero(found >= 0)
        if len(y):
            yield Block(window.row + y, window.col + x, found[y, x])


def draw_stratified(
    blocks: Callable[[], Iterable[Block]],
    n_classes: int,
    *,
    per_class: int,
    least_apart_px: float,
    seed: np.uint64,
    shape: tuple[int, int],
    at_once: int = MOST_AT_ONCE,
) -> Picked:
    """Returns at most ``per_class`` pixels of each class: the first in the order of their priorities.

    Where they keep a distance, a pixel is passed over that lies too near to one before it, of whatever class.

    Args:
        blocks: gives the labelled pixels, each once, as often as it is asked.
        n_classes: codes are below it.
        per_class: largest number of pixels of a class.
        least_apart_px: distance between the centres of any two, in pixels; up to 1 all are far enough.
        seed: of the priorities.
        shape: ``(height, width)`` of the scene's grid.
        at_once: pixels that are held at once.
    """
    if least_apart_px <= 1:
        return _lowest(blocks(), n_classes, per_class, seed)
    return _apart(blocks, n_classes, per_class, seed, Apart(least_apart_px, shape), at_once)


def _lowest(blocks: Iterable[Block], n_classes: int, per_class: int, seed: np.uint64) -> Picked:
    best = _none()
    limit = np.full(n_classes, np.iinfo(np.uint64).max, dtype=np.uint64)
    for block in blocks:
        order = priority(block.rows, block.cols, seed)
        worth = order <= limit[block.codes]
        best = _merged(best, Picked(block.rows[worth], block.cols[worth], block.codes[worth], order[worth]))
        keep = _first_of_each(best, per_class)
        best = _part(best, keep)
        counts = np.bincount(best.codes, minlength=n_classes)
        full = counts >= per_class
        last = np.zeros(n_classes, dtype=np.uint64)
        np.maximum.at(last, best.codes, best.order)
        limit[full] = last[full]
    return _part(best, np.argsort(best.order))


def _apart(
    blocks: Callable[[], Iterable[Block]], n_classes: int, per_class: int, seed: np.uint64, apart: Apart, at_once: int
) -> Picked:
    """Goes through the pixels by rising priority, as many at once as may be held, and again for those that follow."""
    taken, counts, after = _none(), np.zeros(n_classes, dtype=np.int64), np.uint64(0)
    while True:
        batch, more = _next(blocks(), counts < per_class, apart, seed, after, at_once)
        if not len(batch.rows):
            return taken
        chosen = apart.take(batch.rows, batch.cols, batch.codes, counts, per_class)
        taken = _merged(taken, _part(batch, chosen))
        if not more or batch.order[-1] == np.iinfo(np.uint64).max:
            return taken
        after = batch.order[-1] + np.uint64(1)


def _next(
    blocks: Iterable[Block],
    wanted: NDArray[np.bool_],
    apart: Apart,
    seed: np.uint64,
    after: np.uint64,
    at_once: int,
) -> tuple[Picked, bool]:
    """Returns the pixels that come next, by rising priority, and whether there are more."""
    best, limit, more = _none(), np.uint64(np.iinfo(np.uint64).max), False
    for block in blocks:
        order = priority(block.rows, block.cols, seed)
        worth = np.flatnonzero(wanted[block.codes] & (order >= after))
        free = worth[apart.free(block.rows[worth], block.cols[worth])]
        near = free[order[free] <= limit]
        more |= len(near) < len(free)
        best = _merged(best, Picked(block.rows[near], block.cols[near], block.codes[near], order[near]))
        if len(best.rows) > at_once:
            best = _part(best, np.argpartition(best.order, at_once - 1)[:at_once])
            limit, more = best.order.max(), True
    return _part(best, np.argsort(best.order)), more


def _first_of_each(best: Picked, per_class: int) -> Index:
    by = np.lexsort((best.order, best.codes))
    code = best.codes[by]
    begin = np.searchsorted(code, code, side="left")
    return np.asarray(by[np.arange(len(by)) - begin < per_class], dtype=np.int64)


def _none() -> Picked:
    empty = np.empty(0, dtype=np.int64)
    return Picked(empty, empty, empty, np.empty(0, dtype=np.uint64))


def _merged(one: Picked, other: Picked) -> Picked:
    return Picked(
        np.concatenate([one.rows, other.rows]),
        np.concatenate([one.cols, other.cols]),
        np.concatenate([one.codes, other.codes]),
        np.concatenate([one.order, other.order]),
    )


def _part(picked: Picked, index: Index) -> Picked:
    return Picked(picked.rows[index], picked.cols[index], picked.codes[index], picked.order[index])
