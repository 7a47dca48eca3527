"""Pictures of arrays and scores as PNG bytes (matplotlib, without a screen or global figures).

Colours are chosen to survive colour blindness: cividis where a number is shown, Okabe and Ito's
palette where a group is; a map's own class colours come from the experiment. Every axis has its unit.
"""

from geoml_ops.adapters.plots.canvas import ALARM, GROUPS, PALE, STRONG
from geoml_ops.adapters.plots.course import drift_bars, timings
from geoml_ops.adapters.plots.drifting import drift_map
from geoml_ops.adapters.plots.gains import block_differences
from geoml_ops.adapters.plots.maps import class_map, confidence_map, fold_map, picture
from geoml_ops.adapters.plots.scores import confusion, importance, score_bars

__all__ = [
    "ALARM",
    "GROUPS",
    "PALE",
    "STRONG",
    "block_differences",
    "class_map",
    "confidence_map",
    "confusion",
    "drift_bars",
    "drift_map",
    "fold_map",
    "importance",
    "picture",
    "score_bars",
    "timings",
]
