"""The products of terrain, what they can be told, and making them band by band of rows."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, field_validator

from geoml_ops.core.errors import BadInput
from geoml_ops.core.grid import Grid, Value
from geoml_ops.domain.covariates import hydrology
from geoml_ops.domain.covariates.recipe import Made, Product, Recipe, Stage
from geoml_ops.domain.covariates.terrain.curvature import Method, derivatives, plan, profile, tangential
from geoml_ops.domain.covariates.terrain.ground import Ground, Layer, aspect, hillshade, slope
from geoml_ops.domain.covariates.terrain.relief import position, roughness, ruggedness_riley, ruggedness_wilson

LOWEST_M, HIGHEST_M = -11_500.0, 9_000.0
"""What an elevation on Earth can be, the sea's floor included."""
PIECE_CELLS = 2**18
_HORN = "Horn 1981, doi:10.1109/PROC.1981.11918"
_WILSON = "Wilson et al. 2007, doi:10.1080/01490410701295962"
_CURVATURE = "Zevenbergen & Thorne 1987, doi:10.1002/esp.3290120107, or Evans 1980"
_WETNESS = "Beven & Kirkby 1979, doi:10.1080/02626667909491834; Barnes et al. 2014; Tarboton 1997"
_MITASOVA = "Mitasova & Hofierka 1993, doi:10.1007/BF00893172"
_RELIEF_M = HIGHEST_M - LOWEST_M
_GREATEST = float(np.finfo(np.float32).max)


class Options(Value):
    """What terrain can be told.

    Attributes:
        curvature: which surface is laid through nine cells, and which definition follows from it.
        tpi_window_px: edge of the window that topographic position looks at, odd.
        azimuth_degree: where the sun of the hillshade stands, clockwise from north.
        altitude_degree: how high it stands above the horizon.
        flow: how water is passed on: to one neighbour, or shared between two.
        least_tangent: the tangent of slope is never taken as less for wetness, which has no bound on level ground.
        upstream_m: how far around the scene water is followed; ground further upstream is not counted.
        cut_upstream: whether cells that may get water from beyond that ground keep their number, a lower bound, or
            become NaN.
    """

    curvature: Method = "zevenbergen_thorne"
    tpi_window_px: int = Field(3, ge=3, le=1001)
    azimuth_degree: float = Field(315.0, ge=0.0, le=360.0)
    altitude_degree: float = Field(45.0, ge=0.0, le=90.0)
    flow: hydrology.Flow = "dinf"
    least_tangent: float = Field(0.001, ge=1e-6, le=1.0)
    upstream_m: float = Field(1000.0, ge=0.0, le=20_000.0)
    cut_upstream: Literal["keep", "nan"] = "keep"

    @field_validator("tpi_window_px")
    @classmethod
    def _odd(cls, edge: int) -> int:
        if edge % 2 == 0:
            raise ValueError(f"a window of {edge} pixels has no middle; use {edge - 1} or {edge + 1}")
        return edge


PRODUCTS: Mapping[str, Product] = {
    "elevation": Product("m", (LOWEST_M, HIGHEST_M), "as delivered", "height above the model's datum"),
    "slope": Product("degree", (0.0, 90.0), _HORN, "how steep"),
    "aspect_sin": Product("1", (-1.0, 1.0), _HORN, "faces east (1) or west (-1); NaN where level"),
    "aspect_cos": Product("1", (-1.0, 1.0), _HORN, "faces north (1) or south (-1); NaN where level"),
    "profile_curvature": Product("1/m", (-_GREATEST, _GREATEST), _CURVATURE, "bends along the slope; convex positive"),
    "plan_curvature": Product("1/m", (-_GREATEST, _GREATEST), _CURVATURE, "bends in plan; convex positive"),
    "tangential_curvature": Product("1/m", (-_GREATEST, _GREATEST), _MITASOVA, "bends across the slope"),
    "tpi": Product("m", (-_RELIEF_M, _RELIEF_M), "Weiss 2001", "above (ridge) or below (valley) its surroundings"),
    "tri_riley": Product("m", (0.0, 3 * _RELIEF_M), "Riley, DeGloria & Elliot 1999", "ruggedness, root of squares"),
    "tri_wilson": Product("m", (0.0, _RELIEF_M), _WILSON, "ruggedness, mean difference"),
    "roughness": Product("m", (0.0, _RELIEF_M), _WILSON, "highest less lowest of nine cells"),
    "hillshade": Product("1", (0.0, 1.0), _HORN, "lit by a sun; 0 in its own shade"),
    "catchment": Product("m", (0.0, _GREATEST), _WETNESS, "ground upstream per metre of contour"),
    "twi": Product("1", (-20.0, 60.0), _WETNESS, "wetness, ln(catchment / tan slope)"),
}
_OF_NINE: Mapping[str, Callable[[Ground, Options], Layer]] = {
    "elevation": lambda ground, _: ground.centre,
    "slope": lambda ground, _: slope(ground),
    "aspect_sin": lambda ground, _: aspect(ground)[0],
    "aspect_cos": lambda ground, _: aspect(ground)[1],
    "profile_curvature": lambda g, o: profile(derivatives(g, o.curvature), o.curvature),
    "plan_curvature": lambda g, o: plan(derivatives(g, o.curvature), o.curvature),
    "tangential_curvature": lambda g, o: tangential(derivatives(g, o.curvature)),
    "tri_riley": lambda ground, _: ruggedness_riley(ground),
    "tri_wilson": lambda ground, _: ruggedness_wilson(ground),
    "roughness": lambda ground, _: roughness(ground),
    "hillshade": lambda ground, o: hillshade(
        ground, azimuth_degree=o.azimuth_degree, altitude_degree=o.altitude_degree
    ),
}
_OF_WATER = ("catchment", "twi")


def margin_px(options: Options, pixel_m: float) -> int:
    """Returns how many pixels around a grid are looked at: for windows, and for water that comes from upstream."""
    return max(1, options.tpi_window_px // 2, math.ceil(options.upstream_m / pixel_m))


def make(stage: Stage, products: tuple[str, ...], options: Options) -> Made:
    """Returns the products of one elevation model in metres.

    Raises:
        BadInput: there is not exactly one raster, it holds no number, or numbers that are no elevation; the grid's
            pixels seem to be measured in degrees.
    """
    elevation = _elevation(stage)
    made = {
        name: _by_rows(stage, elevation, 1, partial(_of_nine, _OF_NINE[name], stage.grid.pixel_m, options))
        for name in products
        if name in _OF_NINE
    }
    if "tpi" in products:
        edge = options.tpi_window_px
        made["tpi"] = _by_rows(stage, elevation, edge // 2, lambda piece: position(piece, edge))
    if any(name in _OF_WATER for name in products):
        made.update(_wet(stage, elevation, options))
    return {name: made[name] for name in products}


def _of_nine(compute: Callable[[Ground, Options], Layer], pixel_m: float, options: Options, piece: Layer) -> Layer:
    return compute(Ground(piece, pixel_m), options)


def _wet(stage: Stage, elevation: NDArray[np.floating[Any]], options: Options) -> Made:
    """Returns specific catchment area (m) and wetness, NaN where the window of nine is not whole."""
    pixel_m = stage.grid.pixel_m
    ground = hydrology.drained(elevation)
    cells, cut = hydrology.catchment_area(ground, flow=options.flow)
    if options.cut_upstream == "nan":
        cells[cut] = np.nan

    def tangent(piece: Layer) -> Layer:
        return np.asarray(np.sqrt(Ground(piece, pixel_m).gradient.square))

    steep = _by_rows(stage, ground.surface, 1, tangent)
    # Every pixel's edge is crossed by the water of the cells behind it: area per width is cells times edge.
    catchment = stage.core(cells * pixel_m)
    catchment[np.isnan(steep)] = np.nan
    return {"catchment": catchment, "twi": np.log(catchment / np.maximum(steep, np.float32(options.least_tangent)))}


def _elevation(stage: Stage) -> NDArray[np.floating[Any]]:
    if len(stage.rasters) != 1:
        raise BadInput(
            f"Terrain is made of one elevation model, not of {len(stage.rasters)}.", "name one raster delivery in `of`"
        )
    name, elevation = next(iter(stage.rasters.items()))
    grid, around = stage.grid, 2 * stage.margin_px
    if elevation.shape != (grid.height + around, grid.width + around):
        raise ValueError(f"{name} has {elevation.shape} cells, the grid with its margin has {grid.shape} + {around}")
    _require_metres(grid)
    _require_heights(name[:60], elevation)
    return elevation


def _require_metres(grid: Grid) -> None:
    bounds = grid.bounds
    reach = max(abs(bounds.left), abs(bounds.right)), max(abs(bounds.bottom), abs(bounds.top))
    if grid.pixel_m < 0.02 and reach[0] <= 361 and reach[1] <= 91:
        raise BadInput(
            f"Pixels of {grid.pixel_m:g} between {bounds.left:.4g} and {bounds.right:.4g} look like degrees; slope "
            "needs metres on the ground.",
            "use a grid in a projected CRS",
        )


def _require_heights(name: str, elevation: NDArray[np.floating[Any]]) -> None:
    known = ~np.isnan(elevation)
    if not known.any():
        raise BadInput(f"{name} holds no elevation on this ground.", "deliver a model that covers the scene")
    # -9999 is deeper than any land and what many programs write for nothing.
    wrong = known & ~((elevation >= LOWEST_M) & (elevation <= HIGHEST_M) & (elevation != -9999.0))
    if wrong.any():
        raise BadInput(
            f"{name} holds {float(elevation[wrong][0]):g} in {int(wrong.sum())} of {elevation.size} cells, which is no "
            "elevation in metres.",
            "declare that number as the nodata of the delivery, or bring the elevations to metres",
        )


def _by_rows(
    stage: Stage, layer: NDArray[np.floating[Any]], reach: int, compute: Callable[[Layer], Layer]
) -> NDArray[np.float32]:
    """Returns what is computed of a layer and ``reach`` cells around, on the grid, in pieces that stay in memory.

    Beyond the layer's own edge there is nothing: NaN.
    """
    grid, margin = stage.grid, stage.margin_px
    first, lack = max(0, margin - reach), max(0, reach - margin)
    out = np.empty(grid.shape, dtype=np.float32)
    rows = max(2 * reach, PIECE_CELLS // (grid.width + 2 * reach), 1)
    for row in range(0, grid.height, rows):
        n_rows = min(rows, grid.height - row)
        piece = np.full((n_rows + 2 * reach, grid.width + 2 * reach), np.nan)
        begin, end = row + margin - reach, row + margin + n_rows + reach
        held = layer[max(0, begin) : end, first : margin + grid.width + reach]
        top = max(0, -begin)
        piece[top : top + held.shape[0], lack : lack + held.shape[1]] = held
        out[row : row + n_rows] = compute(piece)
    return out


RECIPE = Recipe("raster", PRODUCTS, Options, margin_px, make)
