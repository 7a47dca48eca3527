"""Where a scene stands among the in-control scenes of its stream: one control chart per family of statistics.

Every statistic of a scene is standardised within its reference key; the largest of a family is one number, whose
threshold is counted from the history with each scene (or its year) left out; a chart over scenes makes an alarm of
what lasts (:mod:`geoml_ops.domain.alarms`). Two families are watched: ``bands``, what the ground looks like, and
``answers``, what the model says of it; they share the stated alarms a year evenly.

Shares are watched as ``arcsin(sqrt(share))``, whose variance does not hang on the share (Anscombe 1948), spreads as
logarithms.
"""

from geoml_ops.domain.control.charts import Calibration, calibration, chart_of, judge, standard_scores
from geoml_ops.domain.control.rows import (
    ANSWERS,
    BANDS,
    FAMILIES,
    Row,
    columns_of,
    family_of,
    scenes_a_year,
    years_of,
)

__all__ = [
    "ANSWERS",
    "BANDS",
    "FAMILIES",
    "Calibration",
    "Row",
    "calibration",
    "chart_of",
    "columns_of",
    "family_of",
    "judge",
    "scenes_a_year",
    "standard_scores",
    "years_of",
]
