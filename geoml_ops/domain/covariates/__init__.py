"""Covariates: bands made once per scene that no graph can make, one module per kind.

All kinds by name are in :mod:`geoml_ops.domain.covariates.registry`, apart from this page: reading it loads the
libraries of every kind.
"""

from __future__ import annotations

from geoml_ops.domain.covariates.recipe import Made, Product, Recipe, Stage, Vectors

__all__ = ["Made", "Product", "Recipe", "Stage", "Vectors"]
