"""Objects: a scene cut into connected segments of like pixels, and what each segment is like.

Made once for the whole scene, so that there are no seams. Pixels without a number in one of the features belong to no
segment, and no segment reaches across them.
"""

from __future__ import annotations

from geoml_ops.domain.covariates.objects.connecting import connected, merged
from geoml_ops.domain.covariates.objects.making import RECIPE, segments, working_bytes
from geoml_ops.domain.covariates.objects.options import ObjectOptions
from geoml_ops.domain.covariates.objects.shapes import Shapes, shapes_of
from geoml_ops.domain.covariates.objects.slic import slic
from geoml_ops.domain.covariates.objects.zones import Zones, contrast_of, zones_of

__all__ = [
    "RECIPE",
    "ObjectOptions",
    "Shapes",
    "Zones",
    "connected",
    "contrast_of",
    "merged",
    "segments",
    "shapes_of",
    "slic",
    "working_bytes",
    "zones_of",
]
