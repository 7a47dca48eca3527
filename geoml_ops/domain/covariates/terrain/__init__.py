"""Terrain: how ground lies, bends and drains, from one elevation model in metres; cells without a number stay so.

``ground`` slopes, faces and is lit; ``curvature`` bends; ``relief`` is rough or stands out; ``making`` joins them
with :mod:`geoml_ops.domain.covariates.hydrology` into products.
"""

from __future__ import annotations

from geoml_ops.domain.covariates.terrain.making import PRODUCTS, RECIPE, Options, make, margin_px

__all__ = ["PRODUCTS", "RECIPE", "Options", "make", "margin_px"]
