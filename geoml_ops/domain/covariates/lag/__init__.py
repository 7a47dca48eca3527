"""Spatial lag: the weighted mean of what lies around a place, without the place itself (Anselin 1988, chapter 3).

Rows of the weights add up to one over the neighbours that hold a number. A place without any such neighbour has no
lag: NaN, not 0. Lags are of bands, features and fields of delivered layers; labels cannot be named here.
"""

from __future__ import annotations

from geoml_ops.domain.covariates.lag.making import RECIPE, lag_of_field, lag_of_raster
from geoml_ops.domain.covariates.lag.offsets import Offsets, offsets_of
from geoml_ops.domain.covariates.lag.options import LagOptions
from geoml_ops.domain.covariates.lag.sums import lag_in_window
from geoml_ops.domain.covariates.lag.webs import lag_over, web

__all__ = [
    "RECIPE",
    "LagOptions",
    "Offsets",
    "lag_in_window",
    "lag_of_field",
    "lag_of_raster",
    "lag_over",
    "offsets_of",
    "web",
]
