"""Maps in the making for tests: layouts of small blocks, layers with known pixels, and what overviews must show."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from geoml_ops.adapters.cog import MapJournal, MapLayout
from geoml_ops.core.grid import Grid

NAMES, COLOURS = ("water", "forest", "built"), ("#2a6fbb", "#1b5e20", "#d7263d")
TAGS = {"GEOML_PREDICTION": "prediction-0123456789abcdef", "GEOML_COVERAGE": "0.9"}


def layout_of(height: int, width: int, n_bands: int = 2, block_px: int = 16) -> MapLayout:
    grid = Grid(crs="EPSG:32633", left=399960.0, top=5900040.0, pixel_m=10.0, width=width, height=height)
    names = ("class", "confidence", "set_size", "dissimilarity", "density", *(f"set_{n}" for n in range(1, 28)))
    return MapLayout(grid, names[:n_bands], NAMES, COLOURS, block_px)


def layers_of(layout: MapLayout, seed: int = 0) -> NDArray[np.uint8]:
    """Patches of classes, noise elsewhere, and a corner without an answer."""
    rng = np.random.default_rng(seed)
    height, width = layout.grid.shape
    layers = rng.integers(0, 251, (len(layout.bands), height, width)).astype(np.uint8)
    layers[0] = np.kron(rng.integers(0, 3, (-(-height // 5), -(-width // 5))), np.ones((5, 5)))[:height, :width]
    layers[:, : height // 3, : width // 4] = 255
    return layers


def commit_all(journal: MapJournal, layers: NDArray[np.uint8], until: int | None = None) -> None:
    """Commits the blocks that are missing, with their number as note."""
    for index in range(journal.n_done, len(journal.layout.blocks) if until is None else until):
        window = journal.layout.blocks[index]
        journal.commit(journal.encode(index, layers[:, *window.slices()], f'{{"block":{index}}}'.encode()))


def made(folder: Path, layout: MapLayout, layers: NDArray[np.uint8]) -> Path:
    """Returns a map that went through a journal in one go."""
    with MapJournal(folder / "journal", "key", layout) as journal:
        commit_all(journal, layers)
        journal.finish(folder / "map.tif", TAGS)
        journal.discard()
    return folder / "map.tif"


def overview(layers: NDArray[np.uint8], level: int) -> NDArray[np.uint8]:
    """What a level must show, by its rule, pixel by pixel."""
    height, width = layers.shape[1:]
    edge = 2**level
    inside = 1 if level == 1 else edge // 2 - 1
    rows = [min(row + inside, height - 1) for row in range(0, height, edge)]
    cols = [min(col + inside, width - 1) for col in range(0, width, edge)]
    return layers[:, rows][:, :, cols]
