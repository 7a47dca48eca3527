"""Seasons: what a feature does over the dates of a stack; gaps are gaps, and days are days.

``statistics`` of what was observed, ``harmonics`` fitted to it; ``smoothing``, ``curves`` and ``phenology``; ``making``
joins them into products.
"""

from __future__ import annotations

from geoml_ops.domain.covariates.season.making import PRODUCTS, RECIPE, Options, make, margin_px

__all__ = ["PRODUCTS", "RECIPE", "Options", "make", "margin_px"]
