"""Cutting a scene into squares that a graph is happy with, and putting the answers together.

Where a pixel's answer depends on what lies within ``halo_px`` alone, every pixel is answered exactly once, from a
window that reaches so far beyond its tile on every side. Where it does not, tiles overlap and their probabilities are
blended. Beyond the edge of the scene there is nothing, so there every window is filled with "not observed".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoml_ops.core.grid import Window
from geoml_ops.domain.tiling.blending import Joined, joined
from geoml_ops.domain.tiling.lattice import Box, Lattice
from geoml_ops.domain.tiling.layers import Answer, Layers, layers_of
from geoml_ops.domain.tiling.sets import Least, sets

Pixels = NDArray[np.float32] | NDArray[np.uint16]
"""Numbers ``(band, y, x)``: float32, NaN where not observed, or uint16 where all are whole and were observed."""
Run = Callable[[NDArray[np.float32]], Answer]
Spread = Callable[[Callable[[Any], Any], Iterable[Any]], Iterable[Any]]
"""What ``map`` does, in one thread or in several."""
Ask = Callable[[Box], Answer | None]
"""The cell of a tile to its answer for the pixels it answers; None where nothing of them was observed."""


@dataclass(frozen=True)
class Block:
    """A window of a raster and all that is needed to answer it.

    Attributes:
        window: the pixels to answer.
        shape: height and width of the raster.
        around: ``(band, y, x)`` of ``box``, float32 with NaN where not observed and beyond the raster, or uint16.
        box: what ``around`` covers; at least :meth:`Lattice.needed`.
    """

    window: Window
    shape: tuple[int, int]
    around: Pixels
    box: Box

    @property
    def core(self) -> Pixels:
        """The pixels of the window alone, ``(band, y, x)``."""
        return self.around[:, *Box.of(self.window).within(self.box)]

    def part(self, box: Box) -> Pixels:
        """Returns the pixels of a box, ``(band, y, x)``."""
        return self.around[:, *box.within(self.box)]

    def asked(self, box: Box) -> NDArray[np.float32]:
        """Returns the pixels of a box as a graph reads them, ``(band, y, x)``."""
        return np.ascontiguousarray(self.part(box), dtype=np.float32)


def tiles(height: int, width: int, tile_px: int) -> Iterator[Window]:
    """Yields windows that cut an array into squares, row by row, the last ones smaller.

    Raises:
        ValueError: ``tile_px`` is not positive.
    """
    if tile_px < 1:
        raise ValueError(f"tiles of {tile_px} px cannot cover anything")
    for row in range(0, height, tile_px):
        for col in range(0, width, tile_px):
            yield Window(col=col, row=row, width=min(tile_px, width - col), height=min(tile_px, height - row))


def with_halo(dn: NDArray[np.float32], window: Window, halo_px: int) -> NDArray[np.float32]:
    """Returns the pixels of a window and ``halo_px`` around them, NaN where the array ends.

    Args:
        dn: ``(band, y, x)``.
        window: the tile.
        halo_px: extra pixels on each of the four sides.

    Returns:
        ``(band, window.height + 2 * halo_px, window.width + 2 * halo_px)``.
    """
    return filled(dn, Box(0, 0, *dn.shape[1:]), Box.of(window).wider(halo_px))


def filled(dn: NDArray[np.float32], covered: Box, box: Box) -> NDArray[np.float32]:
    """Returns the pixels of a box from an array that covers another one, NaN where that ends, contiguous.

    Args:
        dn: ``(band, y, x)`` of ``covered``.
        covered: what is there.
        box: what is wanted; the two have pixels in common.
    """
    common = box.common(covered)
    assert common is not None
    inside = dn[:, *common.within(covered)]
    if common == box:
        return np.ascontiguousarray(inside)
    out = np.full((len(dn), *box.shape), np.nan, dtype=np.float32)
    out[:, *common.within(box)] = inside
    return out


def classify_window(
    around: NDArray[np.float32],
    run: Run,
    halo_px: int = 0,
    *,
    threshold: float | None = None,
    least: NDArray[np.float32] | None = None,
) -> Layers:
    """Returns what a model says of the pixels of a window, in one call.

    Args:
        around: ``(band, y, x)`` of the window and ``halo_px`` on each side, NaN where not observed.
        run: as in :func:`classify_array`.
        halo_px: what of ``around`` is not answered.
        threshold: as in :func:`classify_array`.
        least: what belongs to a pixel's set, ``(class, y, x)`` or ``(class, 1, 1)``; None leaves the sets out.

    Raises:
        ValueError: as :func:`classify_array`.
    """
    return _layers(_answer(run, around, halo_px), threshold, least)


def classify_block(
    block: Block,
    lattice: Lattice,
    run: Run,
    *,
    threshold: float | None = None,
    least: Least | None = None,
    every_class: bool = False,
    ask: Ask | None = None,
    spread: Spread = map,
) -> Layers | None:
    """Returns what a model says of the pixels of a window of a raster; None where nothing of them was observed.

    Args:
        block: the window and what it needs.
        lattice: how the raster is cut.
        run: as in :func:`classify_array`.
        threshold: as in :func:`classify_array`.
        least: what belongs to a pixel's set; None leaves the sets out.
        every_class: also keep the probability of each class.
        ask: answers of overlapping tiles, such as one that remembers them; None asks :func:`answer_of` each time.
        spread: asks about the tiles of the window, in any order, and gives the answers in theirs.

    Raises:
        ValueError: as :func:`classify_array`.
    """
    if lattice.overlap_px == 0:
        return _once(block, lattice, run, threshold, least, every_class=every_class, spread=spread)
    ask = ask or (lambda cell: answer_of(cell, block, lattice, run))
    cells = list(lattice.cells(block.window, block.shape))
    parts = [
        (cell, (lattice.answered(cell, block.shape), answer))
        for cell, answer in zip(cells, spread(ask, cells), strict=True)
        if answer is not None
    ]
    if not parts:
        return None
    whole = joined(parts, Box.of(block.window), lattice.reach_px)
    return _layers(whole, threshold, None if least is None else least(block.window), every_class=every_class)


def answer_of(cell: Box, block: Block, lattice: Lattice, run: Run) -> Answer | None:
    """Returns what one overlapping tile says of the pixels it answers; None where nothing of them was observed."""
    answered = lattice.answered(cell, block.shape)
    if not _observed(block.part(answered)):
        return None
    asked = lattice.asked(cell)
    answer = _checked(run, block.asked(asked)[np.newaxis])
    return _cropped(answer, answered.within(asked))


def _once(
    block: Block,
    lattice: Lattice,
    run: Run,
    threshold: float | None,
    least: Least | None,
    *,
    every_class: bool,
    spread: Spread,
) -> Layers | None:
    def one(window: Window) -> Layers | None:
        box = Box.of(window)
        if not _observed(block.part(box)):
            return None
        answer = _answer(run, block.asked(box.wider(lattice.halo_px)), lattice.halo_px)
        return _layers(answer, threshold, None if least is None else least(window), every_class=every_class)

    windows = list(_pieces(block.window, lattice, block.shape))
    made: Layers | None = None
    for window, part in zip(windows, spread(one, windows), strict=True):
        if part is not None:
            made = made or part.larger(block.window.height, block.window.width)
            made.put(part, Box.of(window).within(Box.of(block.window)))
    return made


def _pieces(window: Window, lattice: Lattice, shape: tuple[int, int]) -> Iterator[Window]:
    """Yields the parts of a window that lie in one tile each."""
    for cell in lattice.cells(window, shape):
        common = cell.common(Box.of(window))
        if common is not None:
            yield common.window()


def _observed(dn: Pixels) -> bool:
    """Says whether anything was, asking bands one by one: mostly the first one knows."""
    return dn.dtype == np.uint16 or any(not np.isnan(layer).all() for layer in dn)


def _answer(run: Run, around: NDArray[np.float32], halo_px: int) -> Joined:
    answer = _checked(run, around[np.newaxis])
    height, width = around.shape[1:]
    return _cropped(answer, (slice(halo_px, height - halo_px), slice(halo_px, width - halo_px)))


def _checked(run: Run, dn: NDArray[np.float32]) -> Answer:
    answer = run(dn)
    if answer.probability.shape[2:] != dn.shape[2:]:
        raise ValueError(f"asked about {dn.shape[2:]} pixels, got {answer.probability.shape[2:]}")
    return answer


def _cropped(answer: Answer, core: tuple[slice, slice]) -> Joined:
    far, near = (None if layer is None else layer[..., *core] for layer in (answer.dissimilarity, answer.density))
    return Joined(answer.probability[..., *core], answer.valid[..., *core].astype(np.bool_), far, near)


def _layers(
    answer: Answer, threshold: float | None, least: NDArray[np.float32] | None, *, every_class: bool = False
) -> Layers:
    member = None if least is None else sets(answer.probability[0], least)
    return layers_of(answer, threshold, member, every_class=every_class)


def classify_array(
    dn: NDArray[np.float32],
    run: Run,
    tile_px: int = 256,
    halo_px: int = 0,
    *,
    threads: int = 2,
    threshold: float | None = None,
    least: Least | None = None,
    lattice: Lattice | None = None,
) -> Layers:
    """Returns what a model says of every pixel.

    Args:
        dn: ``(band, y, x)`` in the model's bands and radiometry, NaN where not observed.
        run: ``[1, band, y, x]`` to an answer of the same height and width; called from several threads.
        tile_px: edge of a tile.
        halo_px: what the model needs around a pixel.
        threads: tiles in work at the same time.
        threshold: dissimilarity beyond which a pixel is outside; None leaves dissimilarity and density out.
        least: what belongs to a pixel's set; None leaves the sets out.
        lattice: a cut of its own, with an overlap for instance; it replaces ``tile_px`` and ``halo_px``.

    Raises:
        ValueError: the graph answers with another height or width than it was asked about, or does not say
            how dissimilar pixels are although a threshold is given.
    """
    shape = (dn.shape[1], dn.shape[2])
    lattice = lattice or Lattice(tile_px, halo_px)
    windows = list(_pieces(Window(col=0, row=0, width=shape[1], height=shape[0]), lattice, shape))

    def one(window: Window) -> Layers | None:
        box = lattice.needed(window, shape)
        block = Block(window, shape, filled(dn, Box(0, 0, *shape), box), box)
        return classify_block(block, lattice, run, threshold=threshold, least=least)

    with ThreadPoolExecutor(max_workers=threads) as pool:
        made = list(pool.map(one, windows))
    return _whole(made, windows, shape) or classify_window(
        with_halo(dn, windows[0], lattice.halo_px), run, lattice.halo_px, threshold=threshold,
        least=None if least is None else least(windows[0]),
    ).larger(*shape)  # fmt: skip


def _whole(made: Sequence[Layers | None], windows: Sequence[Window], shape: tuple[int, int]) -> Layers | None:
    """Returns all windows' layers as one; None where nothing was observed in any of them."""
    first = next((part for part in made if part is not None), None)
    if first is None:
        return None
    whole = first.larger(*shape)
    for part, window in zip(made, windows, strict=True):
        if part is not None:
            whole.put(part, window.slices())
    return whole
