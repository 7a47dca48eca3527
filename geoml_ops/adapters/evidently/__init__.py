"""Evidently: the same comparison as a stored report, with our statistics as metrics of its own.

Written for Evidently 0.7.23. What it passes in silence (a missing column, no rows, holes) is refused before it is
asked. Importing it takes seconds, once.
"""

from __future__ import annotations

import os

# Read at import: must be set before Evidently is.
os.environ.setdefault("DO_NOT_TRACK", "true")
os.environ.setdefault("EVIDENTLY_DISABLE_TELEMETRY", "1")

from geoml_ops.adapters.evidently.naive import POINTS, NaiveFinding, naive
from geoml_ops.adapters.evidently.reports import Table, distances, report, save_html
from geoml_ops.adapters.evidently.storing import Stored, store
from geoml_ops.adapters.evidently.telling import Told

__all__ = ["POINTS", "NaiveFinding", "Stored", "Table", "Told", "distances", "naive", "report", "save_html", "store"]
