"""Statistics of tiles as things that GIS programs draw: squares with columns, and pixels with bands."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from geoml_ops.core.grid import Grid
from geoml_ops.domain.hotspots.lattice import Lattice
from geoml_ops.domain.hotspots.statistics import CLASSES, NO_ANSWER, Local

BANDS = ("value", "statistic", "p", "rate", "class")
"""Bands of :func:`pixels`: the number itself, local I or Gi*, its p-value, its false discovery rate, its class."""


def squares(lattice: Lattice) -> NDArray[np.object_]:
    """Returns ``(n,)`` the cell of each tile as a polygon."""
    west = lattice.left + lattice.cols * lattice.edge
    north = lattice.top - lattice.rows * lattice.edge
    return np.asarray(shapely.box(west, north - lattice.edge, west + lattice.edge, north), dtype=object)


def columns(
    values: NDArray[np.float64], found: Local, more: Mapping[str, NDArray[np.float64]] | None = None
) -> dict[str, NDArray[Any]]:
    """Returns what is known of each tile by column, NaN for nothing; the class as a word.

    Raises:
        ValueError: one of ``more`` has the name of a column that is there.
    """
    known: dict[str, NDArray[Any]] = {
        "value": values,
        "statistic": found.statistic,
        "p": found.p,
        "rate": found.rate,
        "class": np.asarray(CLASSES, dtype=object)[found.classes],
        "permutations": found.spent,
    }
    if more and set(more) & set(known):
        raise ValueError(f"columns {sorted(set(more) & set(known))} are there")
    return known | dict(more or {})


def pixels(
    lattice: Lattice, crs: str, values: NDArray[np.float64], found: Local
) -> tuple[NDArray[np.float32], Grid, dict[str, str]]:
    """Returns ``BANDS`` as ``(band, y, x)`` with one pixel per cell, their grid, and tags that name the classes.

    A cell without a tile, and a class of "no answer", is NaN; so is every number that does not exist.

    Args:
        lattice: where the tiles are.
        crs: ``EPSG:<code>``.
        values: ``(n,)`` one number per tile.
        found: statistics of the tiles.
    """
    height, width = lattice.shape
    classes = np.where(found.classes == NO_ANSWER, np.nan, found.classes.astype(np.float64))
    layers = np.full((len(BANDS), height, width), np.nan, dtype=np.float32)
    for layer, column in zip(layers, (values, found.statistic, found.p, found.rate, classes), strict=True):
        layer[lattice.rows, lattice.cols] = column
    grid = Grid(crs=crs, left=lattice.left, top=lattice.top, pixel_m=lattice.edge, width=width, height=height)
    tags = {f"CLASS_{code}": name for code, name in enumerate(CLASSES) if code != NO_ANSWER}
    return layers, grid, tags | {"GEOML_ALPHA": f"{found.alpha:g}"}
