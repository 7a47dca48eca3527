"""Geometries on disk: GeoPackage through pyogrio, GeoJSON through the standard library.

A GeoPackage is recognised by its own first bytes before GDAL sees it; GeoJSON never reaches GDAL.
"""

from geoml_ops.adapters.vector.reading import (
    MOST_BYTES,
    MOST_POLYGONS,
    MOST_VERTICES,
    Layer,
    Points,
    Polygons,
    read_layer,
    read_points,
    read_polygons,
)
from geoml_ops.adapters.vector.writing import (
    VECTOR_DRIVERS,
    write_labels,
    write_patches,
    write_polygons,
    write_records,
)

__all__ = [
    "MOST_BYTES",
    "MOST_POLYGONS",
    "MOST_VERTICES",
    "VECTOR_DRIVERS",
    "Layer",
    "Points",
    "Polygons",
    "read_layer",
    "read_points",
    "read_polygons",
    "write_labels",
    "write_patches",
    "write_polygons",
    "write_records",
]
