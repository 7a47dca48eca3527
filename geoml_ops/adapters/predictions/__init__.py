"""The prediction log: a line per prediction, rows of requests and of tiles by day, and where the files of each are."""

from geoml_ops.adapters.predictions.kept import is_drawn, keep, read_kept
from geoml_ops.adapters.predictions.log import KEPT, MAP, PICTURE, SKETCHES, TALLIES, Line, PredictionLog, Rows
from geoml_ops.adapters.predictions.rows import Row

__all__ = [
    "KEPT",
    "MAP",
    "PICTURE",
    "SKETCHES",
    "TALLIES",
    "Line",
    "PredictionLog",
    "Row",
    "Rows",
    "is_drawn",
    "keep",
    "read_kept",
]
