"""From features or records to bands of their lags."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoml_ops.core.errors import BadInput
from geoml_ops.core.grid import Grid
from geoml_ops.domain.covariates.lag.offsets import offsets_of
from geoml_ops.domain.covariates.lag.options import LagOptions
from geoml_ops.domain.covariates.lag.sums import lag_in_window
from geoml_ops.domain.covariates.lag.webs import lag_over, web
from geoml_ops.domain.covariates.naming import asked, per_input
from geoml_ops.domain.covariates.planar import chosen, covering, nearest, require_metres, segments_of, strips
from geoml_ops.domain.covariates.recipe import Made, Product, Recipe, Stage, Vectors

_ANY = (-3.4e38, 3.4e38)
STATISTICS: Mapping[str, Product] = {
    "lag": Product("as read", _ANY, "Anselin 1988, chapter 3", "weighted mean of the neighbours"),
    "difference": Product("as read", _ANY, "Anselin 1988, chapter 3", "own number less the lag"),
}


def lag_of_raster(layer: NDArray[np.floating[Any]], stage: Stage, options: LagOptions) -> NDArray[np.float32]:
    """Returns the lag of a layer on the grid, float32 ``(y, x)``; what lies beyond the layer is nothing.

    Args:
        layer: ``(y, x)`` of the grid and its margin.
        stage: grid and margin.
        options: who is a neighbour.
    """
    offsets = offsets_of(options, stage.grid.pixel_m)
    reach, margin = offsets.reach_px, stage.margin_px
    found = np.empty(stage.grid.shape, dtype=np.float32)
    for window in strips(stage.grid, pixels=1 << 20):
        rows = window.row + margin - reach, window.row + window.height + margin + reach
        cols = margin - reach, margin + window.width + reach
        found[window.slices()] = lag_in_window(_part(layer, rows, cols), offsets)
    return found


def _part(layer: NDArray[np.floating[Any]], rows: tuple[int, int], cols: tuple[int, int]) -> NDArray[np.float64]:
    part = np.full((rows[1] - rows[0], cols[1] - cols[0]), np.nan)
    r0, r1, c0, c1 = max(rows[0], 0), min(rows[1], layer.shape[0]), max(cols[0], 0), min(cols[1], layer.shape[1])
    part[r0 - rows[0] : r1 - rows[0], c0 - cols[0] : c1 - cols[0]] = layer[r0:r1, c0:c1]
    return part


def lag_of_field(name: str, layer: Vectors, grid: Grid, options: LagOptions) -> dict[str, NDArray[np.float32]]:
    """Returns lag and difference of a field of records, painted on the grid, NaN where no record lies.

    A pixel takes the numbers of the first polygon that covers it, else those of the nearest record, if it is
    within ``reach_m``.

    Args:
        name: of the delivery, for sentences.
        layer: its records.
        grid: to paint on.
        options: field, neighbours and reach.

    Raises:
        BadInput: no such field, text in it, geometries that cannot be used, or nothing that could be painted.
    """
    require_metres(grid)
    geometries, rows = chosen(name, layer, options.where, repair=options.repair)
    values = _numbers(name, layer, options.field)[rows]
    lag = lag_over(web(geometries, options), values)
    whose = _painted(name, geometries, grid, options)
    columns = {"lag": lag, "difference": values - lag}
    return {key: _spread(column.astype(np.float32), whose) for key, column in columns.items()}


def _spread(column: NDArray[np.float32], whose: NDArray[np.int32]) -> NDArray[np.float32]:
    return np.append(column, np.float32(np.nan))[whose]  # -1 is the last


def _numbers(name: str, layer: Vectors, field: str) -> NDArray[np.float64]:
    if field not in layer.fields:
        there = ", ".join(sorted(layer.fields)) or "none"
        raise BadInput(
            f"{name[:60]} has no field {field[:60]!r} whose lag could be taken.",
            f"give options.field: one of {there[:300]}",
        )
    try:
        return np.array([np.nan if v is None else v for v in layer.fields[field]], dtype=np.float64)
    except (TypeError, ValueError):
        raise BadInput(
            f"The field {field[:60]!r} of {name[:60]} holds text; a lag needs numbers.", "name a field of numbers"
        ) from None


def _painted(name: str, geometries: NDArray[np.object_], grid: Grid, options: LagOptions) -> NDArray[np.int32]:
    pieces = segments_of(geometries, grid)
    if not options.reach_m and not (pieces.dimension == 2).any():
        raise BadInput(
            f"The records of {name[:60]} are points or lines and cover no pixel.",
            "give options.reach_m: how far from a record its lag holds",
        )
    whose = np.full(grid.shape, -1, dtype=np.int32)
    for window in strips(grid):
        found = covering(pieces, grid, window)
        if options.reach_m:
            apart, which = nearest(pieces, grid, window)
            found = np.where((found < 0) & (apart <= options.reach_m), pieces.owner[which], found)
        whose[window.slices()] = found
    return whose


def make(stage: Stage, products: tuple[str, ...], options: LagOptions) -> Made:
    """Returns the products, each float32 ``(y, x)``.

    Raises:
        BadInput: as :func:`lag_of_field` and :func:`~geoml_ops.domain.covariates.lag.offsets.offsets_of`.
    """
    wanted = asked(products, (*stage.rasters, *stage.vectors), STATISTICS)
    lags: dict[str, dict[str, NDArray[np.float32]]] = {}
    for name in dict.fromkeys(text for text, _ in wanted.values()):
        if name in stage.vectors:
            lags[name] = lag_of_field(name, stage.vectors[name], stage.grid, options)
        else:
            lag = lag_of_raster(stage.rasters[name], stage, options)
            lags[name] = {"lag": lag, "difference": stage.core(stage.rasters[name]) - lag}
    return {product: lags[name][statistic] for product, (name, statistic) in wanted.items()}


RECIPE = Recipe(
    reads="features",
    products={},
    options=LagOptions,
    # Records have no margin, and neighbourhoods that pixels could not have.
    margin_px=lambda options, pixel_m: 0 if options.field else offsets_of(options, pixel_m).reach_px,
    make=make,
    more=lambda of, options: per_input(of, STATISTICS),
)
