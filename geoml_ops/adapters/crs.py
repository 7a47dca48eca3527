"""Coordinates from one CRS to another (PROJ)."""

from __future__ import annotations

from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import CRS, Transformer


def is_metric(crs: str) -> bool:
    """Says whether a CRS is a plane measured in metres, so that distances in it mean something."""
    system = CRS.from_user_input(crs)
    return system.is_projected and all(axis.unit_name == "metre" for axis in system.axis_info[:2])


def reproject(geometries: NDArray[np.object_], source: str, target: str) -> NDArray[np.object_]:
    """Returns geometries in another CRS, vertex by vertex; None stays None.

    Coordinates are ``easting, northing`` (``longitude, latitude``) whatever order the CRS itself prefers.
    A vertex outside the area where the projection is defined becomes infinite.
    """
    if source == target:
        return geometries
    transformer = Transformer.from_crs(source, target, always_xy=True)

    def moved(points: NDArray[np.float64]) -> NDArray[Any]:
        return np.column_stack(transformer.transform(points[:, 0], points[:, 1]))

    return np.asarray(shapely.transform(geometries, moved), dtype=object)
