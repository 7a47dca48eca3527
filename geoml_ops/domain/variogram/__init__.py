"""How far apart two samples have to be to say different things: empirical variograms and their range.

The estimator is Matheron's (1962), lag by lag; models are fitted by weighted least squares; every range
is the *effective* one, where a model reaches 95 % of its partial sill. A range comes with its bootstrap
interval, or with the reason why it cannot be used.
"""

from geoml_ops.domain.variogram.curves import FITTED, MODELS, Curve, fitted, shape_of
from geoml_ops.domain.variogram.estimate import INTERVAL, Fit, in_figures, variograms
from geoml_ops.domain.variogram.pairs import Pairs, Place

__all__ = [
    "FITTED",
    "INTERVAL",
    "MODELS",
    "Curve",
    "Fit",
    "Pairs",
    "Place",
    "fitted",
    "in_figures",
    "shape_of",
    "variograms",
]
