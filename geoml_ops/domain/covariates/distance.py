"""Distance from pixel centres to the nearest geometry of vector deliveries, and how much lies within a radius."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray
from pydantic import Field

from geoml_ops.core.errors import BadInput
from geoml_ops.core.grid import Grid, Value, Window
from geoml_ops.domain.covariates.planar import (
    Segments,
    Where,
    chosen,
    counts_within,
    covering,
    lengths_within,
    nearest,
    require_metres,
    segments_of,
    strips,
)
from geoml_ops.domain.covariates.recipe import Made, Product, Recipe, Stage, Vectors

FARTHEST_M = 4.1e7
"""No two places of a plane map of the Earth are farther apart than its equator is long."""


class DistanceOptions(Value):
    """What a distance can be told.

    Attributes:
        where: field to values: only records that have one of them count; in every layer.
        most_m: greater distances are written as this; None for no limit.
        radius_m: of the circle of ``count``, ``density`` and ``length_density``.
        repair: whether polygons that cross themselves are made valid (even-odd rule) instead of refused.
    """

    where: Where = Field(default_factory=dict)
    most_m: float | None = Field(None, gt=0)
    radius_m: float | None = Field(None, gt=0)
    repair: bool = False


@dataclass(frozen=True, eq=False)
class Ground:
    """What distances are measured to.

    Attributes:
        pieces: of all geometries.
        outline: of the area that all polygons cover together; None where it is not asked for.
    """

    pieces: Segments
    outline: Segments | None = None


def ground_of(layers: Mapping[str, Vectors], grid: Grid, options: DistanceOptions, *, signed: bool) -> Ground:
    """Returns the pieces that distances are measured to.

    Args:
        layers: deliveries by name, in the CRS of the grid; all of them together are one ground.
        grid: of the pixels.
        options: which records.
        signed: whether a distance to the common outline is asked for.

    Raises:
        BadInput: a layer is empty or has invalid geometries, the grid is not in metres, or a signed distance is
            asked to what has no inside.
    """
    require_metres(grid)
    found = [chosen(name, layer, options.where, repair=options.repair)[0] for name, layer in layers.items()]
    geometries = np.concatenate(found)
    return Ground(segments_of(geometries, grid), _outline(geometries, grid) if signed else None)


def _outline(geometries: NDArray[np.object_], grid: Grid) -> Segments:
    flat = int((shapely.get_dimensions(geometries) < 2).sum())
    if flat:
        raise BadInput(
            f"{flat} of {len(geometries)} geometries are points or lines, which have no inside.",
            "use the product distance, or choose polygons with options.where",
        )
    # A repaired polygon may carry lines; they have no inside.
    return segments_of(np.array([shapely.union_all(geometries)], dtype=object), grid).of_dimension(2)


def distance(ground: Ground, grid: Grid, window: Window) -> NDArray[np.float64]:
    """Returns metres to the nearest geometry, ``(y, x)``; 0 inside a polygon."""
    found = nearest(ground.pieces, grid, window)[0]
    found[covering(ground.pieces, grid, window) >= 0] = 0.0
    return found


def boundary_distance(ground: Ground, grid: Grid, window: Window) -> NDArray[np.float64]:
    """Returns metres to the nearest point, line or outline, ``(y, x)``, from inside polygons too."""
    return nearest(ground.pieces, grid, window)[0]


def signed_distance(ground: Ground, grid: Grid, window: Window) -> NDArray[np.float64]:
    """Returns metres to the outline of all polygons together, ``(y, x)``; negative inside."""
    if ground.outline is None:
        raise ValueError("the ground was made without its outline")
    found = nearest(ground.outline, grid, window)[0]
    return np.where(covering(ground.outline, grid, window) >= 0, -found, found)


_METRES: Mapping[str, Callable[[Ground, Grid, Window], NDArray[np.float64]]] = {
    "distance": distance,
    "boundary_distance": boundary_distance,
    "signed_distance": signed_distance,
}
_CIRCLES = ("count", "density", "length_density")


def make(stage: Stage, products: tuple[str, ...], options: DistanceOptions) -> Made:
    """Returns the products, each float32 ``(y, x)``; computed in float64, strip by strip.

    Raises:
        BadInput: as :func:`ground_of`, or a radius is missing, or lines.
    """
    if not stage.vectors:
        raise BadInput("A distance needs something to measure to.", "name a vector delivery in of")
    ground = ground_of(stage.vectors, stage.grid, options, signed="signed_distance" in products)
    _require_circle(products, options, ground)
    made = {name: np.empty(stage.grid.shape, dtype=np.float32) for name in products}
    for window in strips(stage.grid):
        for name, band in _of(ground, stage.grid, window, products, options).items():
            made[name][window.slices()] = band
    return made


def _require_circle(products: tuple[str, ...], options: DistanceOptions, ground: Ground) -> None:
    asked = [name for name in products if name in _CIRCLES]
    if asked and options.radius_m is None:
        raise BadInput(f"A radius is missing for {', '.join(asked)}.", "give options.radius_m in metres")
    if "length_density" in asked and not (ground.pieces.dimension == 1).any():
        raise BadInput("There are no lines whose length could be measured.", "use density, or name a layer of lines")


def _of(
    ground: Ground, grid: Grid, window: Window, products: tuple[str, ...], options: DistanceOptions
) -> dict[str, NDArray[np.float64]]:
    needed = {"distance" if name == "log1p_distance" else name for name in products}
    most = np.inf if options.most_m is None else options.most_m
    found = {n: np.clip(_METRES[n](ground, grid, window), -most, most) for n in sorted(needed & _METRES.keys())}
    if "log1p_distance" in products:
        found["log1p_distance"] = np.log1p(found["distance"])
    if options.radius_m is not None:
        area_km2 = np.pi * (options.radius_m / 1000.0) ** 2
        if needed & {"count", "density"}:
            found["count"] = counts_within(ground.pieces, grid, window, options.radius_m).astype(np.float64)
            found["density"] = found["count"] / area_km2
        if "length_density" in needed:
            found["length_density"] = lengths_within(ground.pieces, grid, window, options.radius_m) / 1000.0 / area_km2
    return {name: found[name] for name in products}


_EUCLID = "Euclidean distance in the plane of the grid's CRS"

RECIPE = Recipe(
    reads="vector",
    products={
        "distance": Product("m", (0.0, FARTHEST_M), _EUCLID, "to the nearest geometry; 0 inside a polygon"),
        "boundary_distance": Product("m", (0.0, FARTHEST_M), _EUCLID, "to the nearest point, line or outline"),
        "signed_distance": Product(
            "m", (-FARTHEST_M, FARTHEST_M), _EUCLID, "to the outline of all polygons together, negative inside"
        ),
        "log1p_distance": Product("1", (0.0, float(np.log1p(FARTHEST_M))), _EUCLID, "ln(1 + distance in metres)"),
        "count": Product("1", (0.0, 2.0**31), "Diggle 2013, chapter 1", "geometries within radius_m"),
        "density": Product("1/km2", (0.0, 1e12), "Diggle 2013, chapter 1", "geometries within radius_m per square km"),
        "length_density": Product(
            "km/km2", (0.0, 1e12), "Horton 1945", "length of lines within radius_m per square km"
        ),
    },
    options=DistanceOptions,
    margin_px=lambda options, pixel_m: 0,
    make=make,
)
