"""Which features stay: chosen inside every fold again, so that the choice is scored with everything else.

``vif`` asks only whether features repeat each other. ``permutation``, ``rfe`` and ``boruta`` measure what a
feature is worth on ground that was not learned from; a feature that only names the place is worth nothing there.
"""

from geoml_ops.domain.selecting.boruta import by_boruta
from geoml_ops.domain.selecting.elimination import by_elimination
from geoml_ops.domain.selecting.permutation import by_permutation
from geoml_ops.domain.selecting.rules import Chosen, Ground, options_of
from geoml_ops.domain.selecting.transformer import METHODS, OPTIONS, UNLABELLED, Folds, Selector, choose, in_front
from geoml_ops.domain.selecting.vif import by_inflation, inflation

__all__ = [
    "METHODS",
    "OPTIONS",
    "UNLABELLED",
    "Chosen",
    "Folds",
    "Ground",
    "Selector",
    "by_boruta",
    "by_elimination",
    "by_inflation",
    "by_permutation",
    "choose",
    "in_front",
    "inflation",
    "options_of",
]
