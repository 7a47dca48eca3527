"""Cutting a scene into squares that a graph is happy with, and putting the answers together.

Every pixel is answered exactly once, from a window that reaches ``halo_px`` beyond its tile on every
side; beyond the edge of the scene there is nothing, so the window is filled with "not observed".
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from geoml_ops.core.grid import Window
from geoml_ops.domain.tiling.layers import Answer, Layers, layers_of
from geoml_ops.domain.tiling.sets import Least, sets

Run = Callable[[NDArray[np.float32]], Answer]


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
    top, left = window.row - halo_px, window.col - halo_px
    low, right = window.row + window.height + halo_px, window.col + window.width + halo_px
    inside = dn[:, max(top, 0) : low, max(left, 0) : right]
    rows = (max(-top, 0), max(low - dn.shape[1], 0))
    cols = (max(-left, 0), max(right - dn.shape[2], 0))
    if not any((*rows, *cols)):
        return np.ascontiguousarray(inside)
    return np.pad(inside, ((0, 0), rows, cols), constant_values=np.float32(np.nan))


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
    answer = run(around[np.newaxis])
    if answer.probability.shape[2:] != around.shape[1:]:
        raise ValueError(f"asked about {around.shape[1:]} pixels, got {answer.probability.shape[2:]}")
    rows, cols = around.shape[1] - halo_px, around.shape[2] - halo_px
    core = slice(halo_px, rows), slice(halo_px, cols)
    member = None if least is None else sets(answer.probability[0][:, *core], least)
    return layers_of(answer, core, threshold, member)


def classify_array(
    dn: NDArray[np.float32],
    run: Run,
    tile_px: int = 256,
    halo_px: int = 0,
    *,
    threads: int = 2,
    threshold: float | None = None,
    least: Least | None = None,
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

    Raises:
        ValueError: the graph answers with another height or width than it was asked about, or does not say
            how dissimilar pixels are although a threshold is given.
    """
    height, width = dn.shape[1:]

    def one(window: Window) -> tuple[Layers, Window]:
        bounds = None if least is None else least(window)
        return classify_window(with_halo(dn, window, halo_px), run, halo_px, threshold=threshold, least=bounds), window

    made: Layers | None = None
    with ThreadPoolExecutor(max_workers=threads) as pool:
        for part, window in pool.map(one, tiles(height, width, tile_px)):
            made = made or part.larger(height, width)
            made.put(part, window)
    assert made is not None
    return made
