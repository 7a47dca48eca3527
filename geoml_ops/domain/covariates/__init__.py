"""Covariates: bands made once per scene that no graph can make, one module per kind."""

from __future__ import annotations

from geoml_ops.domain.covariates.recipe import Made, Product, Recipe, Stage, Vectors

__all__ = ["Made", "Product", "Recipe", "Stage", "Vectors"]
