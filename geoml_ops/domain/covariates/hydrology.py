"""Where water runs on an elevation model: depressions filled, cells in the order of flow, ground upstream of each.

Water leaves the model at its edge and into cells without a number. Everything inside drains there: depressions are
filled and flats tilted by 2**-33 m a cell (priority flood, Barnes, Lehman & Mulla 2014,
doi:10.1016/j.cageo.2013.04.024), which is less than any elevation model knows and exact in float64. Cells leave the
flood from low to high; turned round that is an order in which all upstream ground is known before it is passed on.
"""

from __future__ import annotations

import math
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from geoml_ops.core.errors import TooLarge
from geoml_ops.domain.covariates.compiling import compiled

Flow = Literal["d8", "dinf"]

EPSILON_M = 2.0**-33
MOST_CELLS = 2**31 - 1
_ROWS = np.array([0, -1, 0, 1, -1, -1, 1, 1])
_COLS = np.array([1, 0, -1, 0, 1, -1, -1, 1])
# The eight facets of Tarboton 1997 as (neighbour beside, neighbour across the corner), numbered as above.
_BESIDE = np.array([0, 1, 1, 2, 2, 3, 3, 0])
_CORNER = np.array([4, 4, 5, 5, 6, 6, 7, 7])
_EIGHTH = math.pi / 4


class Drained(NamedTuple):
    """An elevation model on which all water finds a way out.

    Attributes:
        surface: float64 ``(y, x)`` in metres, never below the ground it was made of; NaN where that is.
        order: int32 ``(n,)`` flat positions of all cells with a number, from low to high.
    """

    surface: NDArray[np.float64]
    order: NDArray[np.int32]


def drained(elevation: NDArray[np.floating[Any]]) -> Drained:
    """Returns elevation ``(y, x)`` in metres (NaN for nothing) with depressions filled and flats tilted.

    Raises:
        TooLarge: it has more cells than can be numbered.
    """
    if elevation.size > MOST_CELLS:
        raise TooLarge(
            f"An elevation model of {elevation.size} cells is beyond the {MOST_CELLS} that flow can be followed on.",
            "use a smaller upstream_m, coarser pixels or smaller scenes",
        )
    surface = np.array(elevation, dtype=np.float64, order="C")
    return Drained(surface, _flood(surface))


def catchment_area(ground: Drained, *, flow: Flow = "dinf") -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Returns the cells that drain through each cell, itself included, and whether ground beyond may add to them.

    ``d8`` sends everything to the steepest of eight neighbours (O'Callaghan & Mark 1984,
    doi:10.1016/S0734-189X(84)80011-0), the first of equals in the order E N W S, NE NW SW SE. ``dinf`` shares it
    between the two neighbours beside the steepest direction of eight triangular facets (Tarboton 1997,
    doi:10.1029/96WR03137).

    Returns:
        float64 ``(y, x)`` cells >= 1, NaN where there is no ground; and ``(y, x)`` True where some of the water
        comes from a cell at the model's edge or beside a hole, so that the number is a lower bound.
    """
    cells, cut = _accumulated(ground.surface, ground.order, flow == "dinf")
    return cells, cut.astype(np.bool_)


@compiled
def _at_edge(surface: NDArray[np.float64], row: int, col: int) -> bool:
    height, width = surface.shape
    if row == 0 or col == 0 or row == height - 1 or col == width - 1:
        return True
    return bool(np.isnan(surface[row - 1 : row + 2, col - 1 : col + 2]).any())


@compiled
def _push(heap: NDArray[np.int32], n: int, cell: int, flat: NDArray[np.float64]) -> NDArray[np.int32]:
    """Returns the heap with one more cell behind its ``n``, the lowest first, in more room where it was full."""
    if n == len(heap):
        room = np.empty(2 * n, dtype=np.int32)
        room[:n] = heap
        heap = room
    place, level = n, flat[cell]
    while place > 0:
        above = (place - 1) >> 1
        if flat[heap[above]] <= level:
            break
        heap[place] = heap[above]
        place = above
    heap[place] = cell
    return heap


@compiled
def _drop_first(heap: NDArray[np.int32], n: int, flat: NDArray[np.float64]) -> None:
    """Takes the lowest of ``n`` cells out of the heap."""
    last = heap[n - 1]
    place, level = 0, flat[last]
    while True:
        below = 2 * place + 1
        if below >= n - 1:
            break
        if below + 1 < n - 1 and flat[heap[below + 1]] < flat[heap[below]]:
            below += 1
        if flat[heap[below]] >= level:
            break
        heap[place] = heap[below]
        place = below
    heap[place] = last


@compiled
def _flood(surface: NDArray[np.float64]) -> NDArray[np.int32]:
    """Fills the surface where it lies and returns its cells from low to high.

    Raised cells come in ascending order by themselves, so they wait in a plain queue beside the heap.
    """
    height, width = surface.shape
    flat, seen = surface.ravel(), np.isnan(surface).ravel()
    n_cells = seen.size - seen.sum()
    order, queue = np.empty(n_cells, dtype=np.int32), np.empty(n_cells, dtype=np.int32)
    heap, n_heap = np.empty(max(16, 2 * (height + width)), dtype=np.int32), 0
    for cell in range(flat.size):
        if not seen[cell] and _at_edge(surface, cell // width, cell % width):
            seen[cell] = True
            heap = _push(heap, n_heap, cell, flat)
            n_heap += 1
    first = last = done = 0
    while n_heap or first < last:
        if n_heap and (first == last or flat[heap[0]] <= flat[queue[first]]):
            here = heap[0]
            _drop_first(heap, n_heap, flat)
            n_heap -= 1
        else:
            here = queue[first]
            first += 1
        order[done] = here
        done += 1
        row, col, tilted = here // width, here % width, flat[here] + EPSILON_M
        for side in range(8):
            near_row, near_col = row + _ROWS[side], col + _COLS[side]
            if not (0 <= near_row < height and 0 <= near_col < width):
                continue
            near = near_row * width + near_col
            if seen[near]:
                continue
            seen[near] = True
            if flat[near] <= tilted:
                flat[near] = tilted
                queue[last] = near
                last += 1
            else:
                heap = _push(heap, n_heap, near, flat)
                n_heap += 1
    return order


@compiled
def _falls(surface: NDArray[np.float64], row: int, col: int, fall: NDArray[np.float64]) -> int:
    """Writes how far each neighbour lies lower (m, NaN where none is); returns the steepest way down, or -1."""
    height, width = surface.shape
    steepest, most = -1, 0.0
    for side in range(8):
        near_row, near_col = row + _ROWS[side], col + _COLS[side]
        fall[side] = np.nan
        if 0 <= near_row < height and 0 <= near_col < width:
            fall[side] = surface[row, col] - surface[near_row, near_col]
            steep = fall[side] if side < 4 else fall[side] * math.sqrt(0.5)
            if steep > most:
                steepest, most = side, steep
    return steepest


@compiled
def _facet(fall: NDArray[np.float64]) -> tuple[int, float]:
    """Returns the steepest facet and the share of water that goes across the corner; -1 where none leads down."""
    best, most = -1, 0.0
    for facet in range(8):
        beside, corner = fall[_BESIDE[facet]], fall[_CORNER[facet]]
        if np.isnan(beside) or np.isnan(corner):
            continue
        if corner <= beside:
            steep = beside
        elif corner >= 2.0 * beside:
            steep = corner * math.sqrt(0.5)
        else:
            steep = math.hypot(beside, corner - beside)
        if steep > most:
            best, most = facet, steep
    if best < 0:
        return -1, 0.0
    beside, corner = fall[_BESIDE[best]], fall[_CORNER[best]]
    return best, min(1.0, max(0.0, math.atan2(corner - beside, beside) / _EIGHTH))


@compiled
def _accumulated(
    surface: NDArray[np.float64], order: NDArray[np.int32], shared: bool
) -> tuple[NDArray[np.float64], NDArray[np.uint8]]:
    width = surface.shape[1]
    cells = np.full(surface.shape, np.nan)
    cut = np.zeros(surface.shape, dtype=np.uint8)
    fall = np.empty(8)
    for cell in order:
        cells[cell // width, cell % width] = 1.0
    for place in range(len(order) - 1, -1, -1):
        row, col = order[place] // width, order[place] % width
        if _at_edge(surface, row, col):
            cut[row, col] = 1
        steepest = _falls(surface, row, col, fall)
        if steepest < 0:
            continue
        facet, across = _facet(fall) if shared else (-1, 0.0)
        # Beside a hole no facet may be whole although a neighbour lies lower.
        first = steepest if facet < 0 else _BESIDE[facet]
        second = steepest if facet < 0 else _CORNER[facet]
        for side, share in ((first, 1.0 - across), (second, across)):
            if share > 0.0:
                to = (row + _ROWS[side], col + _COLS[side])
                cells[to] += share * cells[row, col]
                cut[to] |= cut[row, col]
    return cells, cut
