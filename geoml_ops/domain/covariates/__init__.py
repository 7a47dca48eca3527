"""Covariates: bands made once per scene that no graph can make, one module per kind."""

from __future__ import annotations

from collections.abc import Mapping

from geoml_ops.domain.covariates.recipe import Made, Product, Recipe, Stage, Vectors

__all__ = ["RECIPES", "Made", "Product", "Recipe", "Stage", "Vectors"]

RECIPES: Mapping[str, Recipe] = {}
"""Kind to how it is made; one line each."""
