"""Pixels of labelled polygons: up to so many of each, read window by window."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray

from geoml_ops.core.grid import Bounds, Grid, Window
from geoml_ops.domain.sampling.priorities import priority, seed_of

STRIP_PX = 1 << 20


@dataclass(frozen=True)
class Chosen:
    """Pixels that became samples, ordered by row and column; all arrays have one entry per sample.

    Attributes:
        rows: row of the pixel in the grid.
        cols: column of the pixel in the grid.
        polygon: position of the polygon (or point) among those given.
        rank: how many samples of the same polygon come before this one when some have to go, from 0.
        left_out: how many polygons and pixels gave nothing, by reason.
    """

    rows: NDArray[np.int64]
    cols: NDArray[np.int64]
    polygon: NDArray[np.int64]
    rank: NDArray[np.int64]
    left_out: dict[str, int]


def polygon_ids(geometries: Sequence[shapely.Geometry]) -> list[str]:
    """Returns one name of 16 hex digits per geometry, from its WKB: the same ring (or point), the same name."""
    return [
        hashlib.sha256(content).hexdigest()[:16] for content in shapely.to_wkb(np.asarray(geometries, dtype=object))
    ]


def choose(
    geometries: Sequence[shapely.Geometry],
    codes: Sequence[int],
    grid: Grid,
    *,
    ids: Sequence[str],
    per_polygon: int,
    seed: int,
) -> Chosen:
    """Returns the pixels whose centres lie inside a polygon, at most ``per_polygon`` of each.

    A pixel that polygons of two classes claim is dropped; one that several polygons of a class claim
    is counted once, for the polygon with the lowest id.

    Args:
        geometries: polygons in the grid's CRS.
        codes: class code of each polygon.
        grid: where the pixels are.
        ids: name of each polygon, from its content; see :func:`polygon_ids`.
        per_polygon: largest number of samples of one polygon.
        seed: another seed chooses other pixels.
    """
    shapes = np.asarray(geometries, dtype=object)
    shapely.prepare(shapes)
    left_out = {"polygons_outside": 0, "polygons_without_pixel": 0, "pixels_of_two_classes": 0, "pixels_twice": 0}
    parts = [np.empty((0, 4), dtype=np.int64)]
    for position in sorted(range(len(shapes)), key=lambda p: (ids[p], codes[p], p)):
        window = _window_of(shapes[position], grid)
        if window is None:
            left_out["polygons_outside"] += 1
            continue
        pixels = _lowest(shapes[position], grid, window, per_polygon, seed_of(ids[position], seed))
        left_out["polygons_without_pixel"] += not len(pixels)
        own = np.full(len(pixels), position, dtype=np.int64)
        parts.append(np.column_stack([pixels, own, np.arange(len(pixels))]))
    found = np.concatenate(parts)
    disputed = claimed_otherwise(found[:, 0], found[:, 1], _of(codes, found[:, 2]), shapes, codes, grid)
    left_out["pixels_of_two_classes"] = len(np.unique(found[disputed, :2], axis=0))
    found = found[~disputed]
    _, first = np.unique(found[:, :2], axis=0, return_index=True)
    left_out["pixels_twice"] = len(found) - len(first)
    found = found[first]
    rank = ranks(found[:, 2], found[:, 3])
    return Chosen(rows=found[:, 0], cols=found[:, 1], polygon=found[:, 2], rank=rank, left_out=left_out)


def claimed_otherwise(
    rows: NDArray[np.int64],
    cols: NDArray[np.int64],
    own: NDArray[np.int64],
    shapes: NDArray[np.object_],
    codes: Sequence[int],
    grid: Grid,
) -> NDArray[np.bool_]:
    """Returns True for each pixel whose centre lies inside a polygon of another class than its own.

    Args:
        rows: of the pixels.
        cols: of the pixels.
        own: class code of each pixel.
        shapes: polygons in the grid's CRS.
        codes: class code of each polygon.
        grid: where the pixels are.
    """
    found = np.zeros(len(rows), dtype=bool)
    if len(rows) and len(shapes):
        points = shapely.points(*grid.centres(rows, cols))
        pixel, other = shapely.STRtree(shapes).query(points, predicate="within")
        found[pixel[_of(codes, other) != own[pixel]]] = True
    return found


def ranks(group: NDArray[np.int64], order: NDArray[np.int64]) -> NDArray[np.int64]:
    """Returns the place of each entry among those of its group, from 0, by ``order``."""
    sorted_by = np.lexsort((order, group))
    member = group[sorted_by]
    begins = np.r_[True, member[1:] != member[:-1]] if len(member) else np.zeros(0, dtype=bool)
    first = np.maximum.accumulate(np.where(begins, np.arange(len(member)), 0)) if len(member) else member
    found = np.empty(len(group), dtype=np.int64)
    found[sorted_by] = np.arange(len(member)) - first
    return found


def _of(codes: Sequence[int], positions: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.asarray(codes, dtype=np.int64)[positions]


def _window_of(shape: shapely.Geometry, grid: Grid) -> Window | None:
    left, bottom, right, top = shapely.bounds(shape)
    if not (left < right and bottom < top and np.isfinite([left, bottom, right, top]).all()):
        return None
    return grid.window_for(Bounds(left=float(left), bottom=float(bottom), right=float(right), top=float(top)))


def _lowest(shape: shapely.Geometry, grid: Grid, window: Window, count: int, seed: np.uint64) -> NDArray[np.int64]:
    """Returns ``(row, col)`` of the ``count`` inner pixels with the lowest priorities, read strip by strip."""
    best = np.empty((0, 2), dtype=np.int64)
    order = np.empty(0, dtype=np.uint64)
    deep = max(1, STRIP_PX // window.width)
    for top in range(window.row, window.row + window.height, deep):
        low = min(top + deep, window.row + window.height)
        rows, cols = (a.ravel() for a in np.mgrid[top:low, window.col : window.col + window.width])
        inside = shapely.contains_xy(shape, *grid.centres(rows, cols))
        best = np.concatenate([best, np.column_stack([rows[inside], cols[inside]])])
        order = np.concatenate([order, priority(rows[inside], cols[inside], seed)])
        keep = np.argsort(order, kind="stable")[:count]
        best, order = best[keep], order[keep]
    return best
