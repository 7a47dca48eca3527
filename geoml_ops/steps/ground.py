"""The ground a model learned from, tile by tile: DN to hold a graph against its model, and the reference for drift."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geoml_ops.adapters import raster
from geoml_ops.adapters.dvc import Store
from geoml_ops.adapters.nouns import Shelf
from geoml_ops.core.bands import Contract, to_contract
from geoml_ops.core.errors import Refused
from geoml_ops.core.flow import Scene, Version
from geoml_ops.core.grid import Grid
from geoml_ops.domain.sketch import Columns, sketch_tiles
from geoml_ops.domain.tiling import Run, classify_array
from geoml_ops.platform.files import sha256_of
from geoml_ops.steps.places import Places
from geoml_ops.steps.samples import Columns as Keys

THREADS = 2


@dataclass(frozen=True)
class Tile:
    """One tile that holds samples.

    Attributes:
        grid: where it is.
        dn: float32 ``(band, y, x)`` in the contract's bands and radiometry, NaN where not observed.
        rows: row of each of its samples, inside the tile.
        cols: column of each of its samples, inside the tile.
        index: position of each of its samples among all that were asked for.
    """

    grid: Grid
    dn: NDArray[np.float32]
    rows: NDArray[np.int64]
    cols: NDArray[np.int64]
    index: NDArray[np.int64]


def tiles(places: Places, version: Version, keys: Keys, contract: Contract, tile_px: int) -> Iterator[Tile]:
    """Yields the tiles that hold samples, by scene, row and column.

    Args:
        places: where things are.
        version: the state of the data that the samples were drawn from.
        keys: ``scene``, ``row`` and ``col`` of each sample.
        contract: the bands that are wanted.
        tile_px: edge of a tile, counted from the scene's north-west corner.

    Raises:
        Refused: a scene of the version is not the file its noun names.
    """
    for scene_id in sorted(set(keys["scene"].astype(str))):
        scene = Shelf(places.nouns).get(Scene, scene_id)
        path = Store(places.store, places.remote).at(version.rev, scene.file.path)
        if sha256_of(path) != scene.file.sha256:
            raise Refused(f"{scene.file.path} of {version.id} is not the file its noun names.", "restore the store")
        positions = contract.order(raster.describe(path).names)
        mine = np.flatnonzero(keys["scene"].astype(str) == scene_id)
        rows, cols = keys["row"][mine], keys["col"][mine]
        for window in scene.grid.tiles(tile_px):
            here = (rows >= window.row) & (rows < window.row + window.height)
            here &= (cols >= window.col) & (cols < window.col + window.width)
            if here.any():
                dn = to_contract(raster.read(path, window, positions), scene.declared, contract)
                inside = scene.grid.inside(window)
                yield Tile(inside, dn, rows[here] - window.row, cols[here] - window.col, mine[here])


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
        layers = classify_array(tile.dn, run, size, threads=1)
        codes, confidence = layers.classes, layers.confidence
        return sketch_tiles(tile.dn, bands, tile.grid, size, classes=codes, confidence=confidence, class_names=classes)

    # One tile is one call of the graph, so the threads have to be here.
    with ThreadPoolExecutor(max_workers=THREADS) as pool:
        for said in pool.map(look, found):
            for name, values in said.items():
                columns.setdefault(name, []).extend(values)
    return columns


def sample_dn(found: list[Tile]) -> NDArray[np.float32]:
    """Returns the DN of every sample, ``(sample, band)``, in the tiles' order."""
    return np.concatenate([tile.dn[:, tile.rows, tile.cols].T for tile in found])
