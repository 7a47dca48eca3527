"""Statistics of drift: how far numbers and shares moved, which class shares lie behind answers, how good answers are.

Numbers only: what they mean, and from which size on, is for calibration on in-control scenes to say. The unit of
evidence is a scene or a tile, never a pixel, and whatever has an interval has it from scenes and blocks.
"""

from geoml_ops.domain.shift.changes import ShareChange, share_change
from geoml_ops.domain.shift.distances import LEAST_SD, Move, Moves, move, move_of, moves
from geoml_ops.domain.shift.expected import estimated_scores, expected_confusion
from geoml_ops.domain.shift.priors import MOST_CONDITION, PriorShift, prior_shift, solved
from geoml_ops.domain.shift.shares import (
    FROZEN_BINS,
    PSEUDO_COUNT,
    counted,
    frozen_cuts,
    frozen_edges,
    idle_stability,
    jensen_shannon,
    joined,
    largest_change,
    stability_index,
    total_variation,
)
from geoml_ops.domain.shift.unlabelled import (
    ESTIMATORS,
    Estimated,
    Held,
    atc_accuracy,
    cbpe_accuracy,
    confidence_counts,
    doc_accuracy,
    estimated_accuracy,
    held_out,
)

__all__ = [
    "ESTIMATORS",
    "FROZEN_BINS",
    "LEAST_SD",
    "MOST_CONDITION",
    "PSEUDO_COUNT",
    "Estimated",
    "Held",
    "Move",
    "Moves",
    "PriorShift",
    "ShareChange",
    "atc_accuracy",
    "cbpe_accuracy",
    "confidence_counts",
    "counted",
    "doc_accuracy",
    "estimated_accuracy",
    "estimated_scores",
    "expected_confusion",
    "frozen_cuts",
    "frozen_edges",
    "held_out",
    "idle_stability",
    "jensen_shannon",
    "joined",
    "largest_change",
    "move",
    "move_of",
    "moves",
    "prior_shift",
    "share_change",
    "solved",
    "stability_index",
    "total_variation",
]
