"""A tile of a raster that was just answered, as its model read it: what a candidate is asked about too."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from geoml_ops.adapters import raster
from geoml_ops.core.bands import to_contract
from geoml_ops.core.grid import Grid, Window
from geoml_ops.domain.tiling import Box, filled
from geoml_ops.steps.answering import Model
from geoml_ops.steps.requests import declared_of

LIVE_PX = 128


def live_tile(path: Path, model: Model, limits: raster.Limits) -> tuple[NDArray[np.float32], Grid] | None:
    """Returns the middle tile of a raster ``(band, y, x)`` with the model's halo, and the tile's grid.

    None for a model that reads covariates beside the raster: they are found by more than a tile.

    Args:
        path: of a raster that the model has answered.
        model: that answered.
        limits: what the raster may be.
    """
    bundle = model.bundle
    if bundle.covariates:
        return None
    facts, contract = raster.describe(path, limits), bundle.contract
    declared, own = declared_of(facts, contract)
    height, width = (min(LIVE_PX, side) for side in facts.grid.shape)
    window = Window(
        col=(facts.grid.width - width) // 2, row=(facts.grid.height - height) // 2, width=width, height=height
    )
    asked = Box.of(window).wider(bundle.halo_px)
    inside = asked.common(Box(0, 0, *facts.grid.shape))
    assert inside is not None
    with raster.streamed(path, limits) as stream:
        stored = stream.read(inside.window(), contract.order(facts.names))
    return filled(to_contract(stored, declared, contract, own), inside, asked), facts.grid.inside(window)
