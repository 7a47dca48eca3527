"""The ground a model learned from, tile by tile: DN to hold a graph against its model, and the reference for drift."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geoml_ops.adapters.nouns import Shelf
from geoml_ops.adapters.ort import Graph
from geoml_ops.core.flow import Scene
from geoml_ops.core.grid import Grid
from geoml_ops.domain.sketch import Columns, sketch_tiles
from geoml_ops.domain.tiling import Run, classify_window
from geoml_ops.steps.features import FeatureSource
from geoml_ops.steps.places import Places
from geoml_ops.steps.samples import Columns as Keys

THREADS = 2
MOST_ROWS = 128 * 128


@dataclass(frozen=True)
class Tile:
    """One tile that holds samples.

    Attributes:
        grid: where it is.
        dn: float32 ``(band, y, x)`` in the contract's bands and radiometry, NaN where not observed.
        around: the same with the halo of the features on each side.
        rows: row of each of its samples, inside the tile.
        cols: column of each of its samples, inside the tile.
        index: position of each of its samples among all that were asked for.
    """

    grid: Grid
    dn: NDArray[np.float32]
    around: NDArray[np.float32]
    rows: NDArray[np.int64]
    cols: NDArray[np.int64]
    index: NDArray[np.int64]


def tiles(places: Places, source: FeatureSource, keys: Keys, tile_px: int) -> Iterator[Tile]:
    """Yields the tiles that hold samples, by scene, row and column.

    Args:
        places: where things are.
        source: of the features; its bands and halo are read.
        keys: ``scene``, ``row`` and ``col`` of each sample.
        tile_px: edge of a tile, counted from the scene's north-west corner.

    Raises:
        Refused: a scene of the version is not the file its noun names.
    """
    halo = source.halo_px
    for scene_id in sorted(set(keys["scene"].astype(str))):
        scene = Shelf(places.nouns).get(Scene, scene_id)
        found = source.imagery(scene)
        mine = np.flatnonzero(keys["scene"].astype(str) == scene_id)
        rows, cols = keys["row"][mine], keys["col"][mine]
        for window in scene.grid.tiles(tile_px):
            here = (rows >= window.row) & (rows < window.row + window.height)
            here &= (cols >= window.col) & (cols < window.col + window.width)
            if here.any():
                corner = window.row - halo, window.col - halo
                around = found.read(*corner, window.height + 2 * halo, window.width + 2 * halo)
                dn = np.ascontiguousarray(around[:, halo : halo + window.height, halo : halo + window.width])
                inside = scene.grid.inside(window)
                yield Tile(inside, dn, around, rows[here] - window.row, cols[here] - window.col, mine[here])


def reference(found: list[Tile], bands: tuple[str, ...], classes: tuple[str, ...], run: Run) -> Columns:
    """Returns what the tiles look like, and what the model says there: one row per tile.

    Args:
        found: the tiles.
        bands: names of their bands.
        classes: names in code order.
        run: the bundle.
    """
    columns: Columns = {}

    def look(tile: Tile) -> Columns:
        size = max(tile.grid.shape)
        layers = classify_window(tile.around, run, (tile.around.shape[1] - tile.dn.shape[1]) // 2)
        codes, confidence = layers.classes, layers.confidence
        return sketch_tiles(tile.dn, bands, tile.grid, size, classes=codes, confidence=confidence, class_names=classes)

    # One tile is one call of the graph, so the threads have to be here.
    with ThreadPoolExecutor(max_workers=THREADS) as pool:
        for said in pool.map(look, found):
            for name, values in said.items():
                columns.setdefault(name, []).extend(values)
    return columns


def rows_of(found: Sequence[Tile], graph: Graph, most: int = MOST_ROWS) -> NDArray[np.float32]:
    """Returns features ``(row, feature)`` as imagery has them, pixel by pixel along tiles; only where all exist.

    Args:
        found: the tiles.
        graph: of the features.
        most: about how many rows; whole tiles are taken until there are as many.
    """
    parts: list[NDArray[np.float32]] = []
    for tile in found:
        halo = (tile.around.shape[1] - tile.dn.shape[1]) // 2
        columns = graph.features(tile.around[None])[0]
        columns = columns[:, halo : halo + tile.dn.shape[1], halo : halo + tile.dn.shape[2]].reshape(len(columns), -1)
        parts.append(columns[:, np.isfinite(columns).all(axis=0)].T)
        if sum(map(len, parts)) >= most:
            break
    return np.ascontiguousarray(np.concatenate(parts)[:most])


def sample_patches(found: list[Tile], most: int, seed: int = 0) -> NDArray[np.float32]:
    """Returns the DN of samples and of what their features look at, ``(sample, band, k, k)`` with ``k = 2 halo + 1``.

    Args:
        found: the tiles.
        most: largest number of samples; beyond it they are drawn at random.
        seed: of that draw.
    """
    total = sum(len(tile.rows) for tile in found)
    drawn = np.zeros(total, dtype=bool)
    drawn[np.random.default_rng(seed).permutation(total)[:most]] = True
    parts, first = [], 0
    for tile in found:
        mine = np.flatnonzero(drawn[first : first + len(tile.rows)])
        k, first = tile.around.shape[1] - tile.dn.shape[1] + 1, first + len(tile.rows)
        views = np.lib.stride_tricks.sliding_window_view(tile.around, (k, k), axis=(1, 2))
        parts.append(np.moveaxis(views[:, tile.rows[mine], tile.cols[mine]], 0, 1))
    return np.ascontiguousarray(np.concatenate(parts))
