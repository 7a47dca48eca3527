"""Plane geometry on a grid, exact: the nearest of many segments, what polygons cover, what lies within a radius."""

from __future__ import annotations

from geoml_ops.domain.covariates.planar.covering import covering
from geoml_ops.domain.covariates.planar.nearest import nearest
from geoml_ops.domain.covariates.planar.records import Where, chosen, require_metres
from geoml_ops.domain.covariates.planar.segments import Segments, segments_of
from geoml_ops.domain.covariates.planar.strips import strips
from geoml_ops.domain.covariates.planar.within import counts_within, lengths_within

__all__ = [
    "Segments",
    "Where",
    "chosen",
    "counts_within",
    "covering",
    "lengths_within",
    "nearest",
    "require_metres",
    "segments_of",
    "strips",
]
