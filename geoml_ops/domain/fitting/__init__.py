"""Fitting a family of models, inside folds and on everything.

A family is one entry of a registry; those that need no tool beyond scikit-learn are here, others are handed in by a
step. Class codes are positions in one fixed list: whatever classes a train side holds, probabilities come back for
the whole list. Models that learn from answers to their own samples (calibrated, stacked) get these from spatial
folds inside their train side, and from nowhere else.
"""

from geoml_ops.domain.fitting.asking import CALIBRATIONS, recipe
from geoml_ops.domain.fitting.calibrating import LIKELY, SUREST, Calibrated, Coupled, Curve, Sigmoid, Stairs
from geoml_ops.domain.fitting.ensembles import SAME_SHARE, Bagged, Voted
from geoml_ops.domain.fitting.families import FAMILIES, THREADS, random_forest, require_no_hold_out
from geoml_ops.domain.fitting.machines import LEAST, SupportVectors, coupled, pairs_of, sides
from geoml_ops.domain.fitting.models import Codes, Features, Fitted, Weights, fit, of_fold, within
from geoml_ops.domain.fitting.neighbours import FARTHEST, LIFT, SAME_POINT, Neighbours
from geoml_ops.domain.fitting.outoffold import OutOfFold, brier, fitted_on, out_of_fold, permutation_importance
from geoml_ops.domain.fitting.recipe import Build, Family, Inner, Params, Recipe, Setting, Splits
from geoml_ops.domain.fitting.scaling import Standard, imputed, standardised, unscaled
from geoml_ops.domain.fitting.stacking import Stacked

__all__ = [
    "CALIBRATIONS",
    "FAMILIES",
    "FARTHEST",
    "LEAST",
    "LIFT",
    "LIKELY",
    "SAME_POINT",
    "SAME_SHARE",
    "SUREST",
    "THREADS",
    "Bagged",
    "Build",
    "Calibrated",
    "Codes",
    "Coupled",
    "Curve",
    "Family",
    "Features",
    "Fitted",
    "Inner",
    "Neighbours",
    "OutOfFold",
    "Params",
    "Recipe",
    "Setting",
    "Sigmoid",
    "Splits",
    "Stacked",
    "Stairs",
    "Standard",
    "SupportVectors",
    "Voted",
    "Weights",
    "brier",
    "coupled",
    "fit",
    "fitted_on",
    "imputed",
    "of_fold",
    "out_of_fold",
    "pairs_of",
    "permutation_importance",
    "random_forest",
    "recipe",
    "require_no_hold_out",
    "sides",
    "standardised",
    "unscaled",
    "within",
]
