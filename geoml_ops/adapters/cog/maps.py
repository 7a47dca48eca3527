"""Maps that are in memory already, written by the one writer of maps; and what a map on disk says."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import rasterio

from geoml_ops.adapters.cog.assembly import assemble
from geoml_ops.adapters.cog.encoding import KeptBlocks, encode
from geoml_ops.adapters.cog.layout import MapLayout, bands_of
from geoml_ops.adapters.cog.quiet import QUIET
from geoml_ops.core.grid import Grid
from geoml_ops.domain.tiling import Layers


def write_map(
    path: Path,
    layers: Layers,
    grid: Grid,
    *,
    names: Sequence[str],
    colours: Sequence[str],
    tags: Mapping[str, str],
) -> None:
    """Writes a map as a valid COG, whole or not at all, and reads it back.

    Args:
        path: where the file appears.
        layers: what is known of every pixel.
        grid: where the pixels are.
        names: class names in code order.
        colours: ``#rrggbb`` in code order.
        tags: lineage, and what the layers stand for; kept as dataset tags.

    Raises:
        StorageFull: no space left; an older file under ``path`` is untouched.
        TooLarge: more bands than readers of TIFF take.
        Refused: what is on disk is not a valid COG or not these pixels.
    """
    bands = bands_of(layers)
    wrong = {name: layer.shape for name, layer in bands.items() if layer.shape != grid.shape}
    if wrong:
        raise ValueError(f"{wrong} on {grid.shape}")
    layout = MapLayout(grid, tuple(bands), tuple(names), tuple(colours))
    blocks = [
        encode(layout, index, np.stack([layer[window.slices()] for layer in bands.values()]))
        for index, window in enumerate(layout.blocks)
    ]
    assemble(path, layout, KeptBlocks(blocks), tags)


def read_classes(path: Path) -> tuple[str, ...]:
    """Returns the class names a map carries, in code order; empty where it carries none."""
    with rasterio.Env(**QUIET), rasterio.open(path, driver="GTiff", OVERVIEW_LEVEL="NONE", sharing=False) as source:
        return tuple(json.loads(source.tags().get("GEOML_CLASSES", "[]")))
