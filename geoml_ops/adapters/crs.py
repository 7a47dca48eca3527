"""Coordinates from one CRS to another (PROJ)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import CRS, Proj, Transformer
from pyproj.exceptions import CRSError

from geoml_ops.core.errors import BadInput


def _system(crs: str) -> CRS:
    try:
        return CRS.from_user_input(crs)
    except CRSError:
        raise BadInput(f"There is no CRS {crs[:60]!r}.", "write EPSG:<code>, EPSG:32633 for instance") from None


def is_metric(crs: str) -> bool:
    """Says whether a CRS is a plane measured in metres, so that distances in it mean something."""
    system = _system(crs)
    return system.is_projected and all(axis.unit_name == "metre" for axis in system.axis_info[:2])


def is_geographic(crs: str) -> bool:
    """Says whether a CRS is longitude and latitude in degrees."""
    return bool(_system(crs).is_geographic)


def areal_scale(crs: str, easting: NDArray[np.float64], northing: NDArray[np.float64]) -> NDArray[np.float64]:
    """Returns how many square metres of the plane one square metre of ground has at each point, ``(n,)``.

    1 everywhere for an equal-area projection, within 0.2 % in a UTM zone, 2.6 at 52 degrees in Web Mercator;
    not finite outside the area where the projection is defined.
    """
    system = _system(crs)
    lon, lat = Transformer.from_crs(system, system.geodetic_crs, always_xy=True).transform(easting, northing)
    return np.asarray(Proj(system).get_factors(lon, lat).areal_scale, dtype=np.float64)


def mover(
    source: str, target: str
) -> Callable[[NDArray[np.float64], NDArray[np.float64]], tuple[NDArray[np.float64], NDArray[np.float64]]] | None:
    """Returns what moves eastings and northings from one CRS to another, as :func:`reproject`; None within one CRS.

    Raises:
        BadInput: there is no such CRS.
    """
    if source == target:
        return None
    transformer = Transformer.from_crs(_system(source), _system(target), always_xy=True)

    def moved(
        easting: NDArray[np.float64], northing: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        x, y = transformer.transform(easting, northing)
        return np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)

    return moved


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
