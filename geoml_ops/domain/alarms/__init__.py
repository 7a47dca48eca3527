"""Alarms with a stated rate of false ones: over scenes, never over pixels.

In this order: a scene has a reference key (:mod:`~geoml_ops.domain.alarms.keys`); its statistics are standardised
within the key (:mod:`~geoml_ops.domain.alarms.standard`); the largest over bands is one statistic, whose threshold
is counted from scenes pooled over the keys of a stream (:mod:`~geoml_ops.domain.alarms.threshold`); charts over
scenes make an alarm of what lasts (:mod:`~geoml_ops.domain.alarms.runs`) at a stated rate a year
(:mod:`~geoml_ops.domain.alarms.limits`); and many regions are judged together
(:mod:`~geoml_ops.domain.alarms.strata`).
"No reference yet" and "uncalibrated" are answers and never alarm.
"""

from geoml_ops.domain.alarms.history import History, Scores, StandardRules
from geoml_ops.domain.alarms.keys import Choice, Key, choose, key_of
from geoml_ops.domain.alarms.limits import Limit, Stated, limit_of
from geoml_ops.domain.alarms.runs import Alarm, Chart, Cusum, Ewma, KofM, alarms, path, standing
from geoml_ops.domain.alarms.standard import normal_score, score, standardise
from geoml_ops.domain.alarms.strata import Strata, discoveries
from geoml_ops.domain.alarms.threshold import (
    Threshold,
    calibrate,
    counted,
    largest,
    per_scene,
    scenes_needed,
    scenes_per_year,
)

__all__ = [
    "Alarm",
    "Chart",
    "Choice",
    "Cusum",
    "Ewma",
    "History",
    "Key",
    "KofM",
    "Limit",
    "Scores",
    "StandardRules",
    "Stated",
    "Strata",
    "Threshold",
    "alarms",
    "calibrate",
    "choose",
    "counted",
    "discoveries",
    "key_of",
    "largest",
    "limit_of",
    "normal_score",
    "path",
    "per_scene",
    "scenes_needed",
    "scenes_per_year",
    "score",
    "standardise",
    "standing",
]
