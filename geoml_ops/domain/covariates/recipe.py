"""What a kind of covariate is: its products, what it can be told, the ground it needs around, how it is made."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoml_ops.core.errors import BadInput
from geoml_ops.core.grid import Grid, Value


@dataclass(frozen=True)
class Product:
    """One band that a kind of covariate can make.

    Attributes:
        unit: of its numbers.
        valid: least and greatest number that can come out.
        source: where its formula was published.
        says: what it tells, in a few words.
    """

    unit: str
    valid: tuple[float, float]
    source: str
    says: str


@dataclass(frozen=True)
class Vectors:
    """Geometries of one delivery, in the CRS of the grid they are used on.

    Attributes:
        geometries: ``(n,)`` shapely geometries.
        fields: name to ``(n,)`` values of the records.
    """

    geometries: NDArray[np.object_]
    fields: Mapping[str, NDArray[Any]] = field(default_factory=dict)


@dataclass(frozen=True)
class Stage:
    """Everything a covariate is made of, brought to one grid; what a kind does not read is empty.

    Attributes:
        grid: where the covariate will lie.
        margin_px: pixels by which rasters and stacks reach beyond the grid on each side.
        rasters: name to float32 or float64 ``(y, x)`` of the grid and its margin, NaN for nothing.
        vectors: name to geometries, also those beyond the grid.
        dates: of the layers of a stack, ascending.
        stacks: name to float32 ``(time, y, x)`` of the grid and its margin, NaN for nothing.
    """

    grid: Grid
    margin_px: int = 0
    rasters: Mapping[str, NDArray[np.floating[Any]]] = field(default_factory=dict)
    vectors: Mapping[str, Vectors] = field(default_factory=dict)
    dates: tuple[date, ...] = ()
    stacks: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)

    def core(self, layer: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
        """Returns the part ``(..., y, x)`` of a layer that lies on the grid, without the margin, as float32."""
        inner = slice(self.margin_px, self.margin_px + self.grid.height)
        across = slice(self.margin_px, self.margin_px + self.grid.width)
        return np.ascontiguousarray(layer[..., inner, across], dtype=np.float32)


Made = dict[str, NDArray[np.float32]]
"""Product to float32 ``(y, x)`` on the grid, NaN for nothing."""


@dataclass(frozen=True)
class Recipe:
    """One kind of covariate.

    Attributes:
        reads: what ``of`` names: ``raster`` or ``vector`` deliveries, ``features`` of the scene, or a ``stack``
            of features over all scenes of the ground.
        products: name to what it is.
        options: what ``options`` may say, with defaults; unknown keys are errors.
        margin_px: from options and pixel edge (m) to the pixels needed around the grid.
        make: from a stage, wanted products and options to the bands.
    """

    reads: str
    products: Mapping[str, Product]
    options: type[Value]
    margin_px: Callable[[Any, float], int]
    make: Callable[[Stage, tuple[str, ...], Any], Made]
    more: Callable[[tuple[str, ...], Any], Mapping[str, Product]] | None = None
    """From ``of`` and options to products that are named after what is read (the mean of a feature over an object)."""

    def known(self, of: tuple[str, ...], options: Any) -> Mapping[str, Product]:
        """Returns every product that can be made of ``of``, by name."""
        return {**self.products, **(self.more(of, options) if self.more else {})}

    def wanted(self, kind: str, names: tuple[str, ...], products: Mapping[str, Product]) -> tuple[str, ...]:
        """Returns the names, once each is known to be a product.

        Raises:
            BadInput: one is not, or is named twice.
        """
        unknown = [name for name in names if name not in products]
        double = sorted({name for name in names if names.count(name) > 1})
        if unknown or double:
            fact = (
                f"{', '.join(n[:60] for n in unknown)}: no such product" if unknown else f"{', '.join(double)}: twice"
            )
            raise BadInput(f"The covariate {kind} cannot be made as asked: {fact}.", f"use {', '.join(products)}")
        return names
