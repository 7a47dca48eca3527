"""How good pooled out-of-fold answers are, with intervals from blocks and never from pixels.

Everything here counts what it is given. Samples that no fold tested have no answer (code -1, NaN
probabilities): leave them out, or be refused.
"""

from geoml_ops.domain.scoring.calibration import BINS, area_weights, brier_score, ece, reliability
from geoml_ops.domain.scoring.counts import (
    MEASURES,
    METRICS,
    Codes,
    block_confusions,
    class_f1,
    class_measure,
    confusion,
    metric_of,
)
from geoml_ops.domain.scoring.intervals import (
    DRAWS,
    FEW_BLOCKS,
    block_draws,
    bootstrap_interval,
    caution,
    drawn_sums,
    levels,
    never_wrong,
    ratio_interval,
)
from geoml_ops.domain.scoring.panels import per_class_scores, scores_of

__all__ = [
    "BINS",
    "DRAWS",
    "FEW_BLOCKS",
    "MEASURES",
    "METRICS",
    "Codes",
    "area_weights",
    "block_confusions",
    "block_draws",
    "bootstrap_interval",
    "brier_score",
    "caution",
    "class_f1",
    "class_measure",
    "confusion",
    "drawn_sums",
    "ece",
    "levels",
    "metric_of",
    "never_wrong",
    "per_class_scores",
    "ratio_interval",
    "reliability",
    "scores_of",
]
