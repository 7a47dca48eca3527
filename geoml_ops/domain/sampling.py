"""Which pixels become samples: up to so many per polygon, and the same ones in every later version.

A polygon's samples follow from its own content and the grid alone. Pixels are looked at window by
window, so a polygon as large as the scene needs no more memory than a strip of it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray

from geoml_ops.core.grid import Bounds, Grid, Window

STRIP_PX = 1 << 20


@dataclass(frozen=True)
class Chosen:
    """Pixels that became samples, ordered by row and column; all arrays have one entry per sample.

    Attributes:
        rows: row of the pixel in the grid.
        cols: column of the pixel in the grid.
        polygon: position of the polygon among those given.
        left_out: how many polygons and pixels gave nothing, by reason.
    """

    rows: NDArray[np.int64]
    cols: NDArray[np.int64]
    polygon: NDArray[np.int64]
    left_out: dict[str, int]


def polygon_ids(geometries: Sequence[shapely.Geometry]) -> list[str]:
    """Returns one name of 16 hex digits per polygon, from its WKB: the same ring, the same name."""
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
    parts = [np.empty((0, 3), dtype=np.int64)]
    for position in sorted(range(len(shapes)), key=lambda p: (ids[p], codes[p], p)):
        window = _window_of(shapes[position], grid)
        if window is None:
            left_out["polygons_outside"] += 1
            continue
        pixels = _lowest(shapes[position], grid, window, per_polygon, _seed_of(ids[position], seed))
        left_out["polygons_without_pixel"] += not len(pixels)
        parts.append(np.column_stack([pixels, np.full(len(pixels), position, dtype=np.int64)]))
    found = np.concatenate(parts)
    disputed = _disputed(found, shapes, np.asarray(codes, dtype=np.int64), grid)
    left_out["pixels_of_two_classes"] = len(np.unique(found[disputed, :2], axis=0))
    found = found[~disputed]
    _, first = np.unique(found[:, :2], axis=0, return_index=True)
    left_out["pixels_twice"] = len(found) - len(first)
    found = found[first]
    return Chosen(rows=found[:, 0], cols=found[:, 1], polygon=found[:, 2], left_out=left_out)


def _window_of(shape: shapely.Geometry, grid: Grid) -> Window | None:
    left, bottom, right, top = shapely.bounds(shape)
    if not (left < right and bottom < top):
        return None
    return grid.window_for(Bounds(left=float(left), bottom=float(bottom), right=float(right), top=float(top)))


def _seed_of(polygon_id: str, seed: int) -> np.uint64:
    return np.uint64(int.from_bytes(hashlib.sha256(f"{polygon_id}/{seed}".encode()).digest()[:8], "big"))


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
        order = np.concatenate([order, _priority(rows[inside], cols[inside], seed)])
        keep = np.argsort(order, kind="stable")[:count]
        best, order = best[keep], order[keep]
    return best


def _priority(rows: NDArray[np.int64], cols: NDArray[np.int64], seed: np.uint64) -> NDArray[np.uint64]:
    """Returns a number per pixel that looks random and depends on nothing but the pixel and the seed.

    The mixing steps are SplitMix64 (Steele, Lea and Flood 2014).
    """
    z = (rows.astype(np.uint64) << np.uint64(32)) + cols.astype(np.uint64)
    z = z * np.uint64(0x9E3779B97F4A7C15) + seed
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(z ^ (z >> np.uint64(31)), dtype=np.uint64)


def _disputed(
    found: NDArray[np.int64], shapes: NDArray[np.object_], codes: NDArray[np.int64], grid: Grid
) -> NDArray[np.bool_]:
    """Returns True for each found pixel that lies inside a polygon of another class, chosen there or not."""
    disputed = np.zeros(len(found), dtype=bool)
    if len(found):
        points = shapely.points(*grid.centres(found[:, 0], found[:, 1]))
        pixel, other = shapely.STRtree(shapes).query(points, predicate="within")
        disputed[pixel[codes[other] != codes[found[pixel, 2]]]] = True
    return disputed
