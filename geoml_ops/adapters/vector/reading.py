"""Labelled geometries and other records, from GeoPackage and GeoJSON."""

from __future__ import annotations

import json
import re
import stat
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyogrio
import pyproj
import shapely
from numpy.typing import NDArray
from pyogrio import raw

from geoml_ops.core.errors import BadInput, GeomlError, TooLarge

MOST_BYTES = 256 << 20
MOST_POLYGONS = 200_000
MOST_VERTICES = 1_000_000
_SQLITE, _APPLICATION_IDS = b"SQLite format 3\0", (b"GPKG", b"GP10", b"GP11")


@dataclass(frozen=True)
class Polygons:
    """Labelled polygons.

    Attributes:
        crs: ``EPSG:<code>``.
        geometries: shapely geometries; None where a row has none.
        labels: class name of each, in the same order; None where a row has none.
    """

    crs: str
    geometries: NDArray[np.object_]
    labels: list[str | None]


def read_polygons(path: Path, field: str) -> Polygons:
    """Returns the geometries of a file and the class name of each.

    Args:
        path: a GeoPackage with one layer, or a GeoJSON FeatureCollection.
        field: the text attribute that holds the class name.

    Raises:
        BadInput: another format, several layers, no such field, no EPSG code, or not readable.
        TooLarge: beyond the stated limits.
    """
    layer = read_layer(path)
    labels = [None if v is None else str(v) for v in layer.column(field, path.name)]
    return Polygons(crs=layer.crs, geometries=layer.geometries, labels=labels)


@dataclass(frozen=True)
class Points:
    """Features of any kind, each with the place that stands for it.

    Attributes:
        crs: ``EPSG:<code>``.
        places: ``(n, 2)`` easting and northing; of a polygon a point inside it, NaN where a row has no geometry.
        columns: attributes by name, each ``(n,)``; text and missing values as ``object``.
    """

    crs: str
    places: NDArray[np.float64]
    columns: dict[str, NDArray[Any]]


def read_points(path: Path) -> Points:
    """Returns the places of a file's features and all their attributes.

    Args:
        path: a GeoPackage with one layer, or a GeoJSON FeatureCollection.

    Raises:
        BadInput: another format, several layers, no EPSG code, or not readable.
        TooLarge: beyond the stated limits.
    """
    layer = read_layer(path)
    with _as_bad_input(path):
        empty = np.array([g is None or shapely.is_empty(g) for g in layer.geometries], dtype=bool)
        places = np.full((len(layer.geometries), 2), np.nan)
        if not empty.all():
            places[~empty] = shapely.get_coordinates(shapely.point_on_surface(layer.geometries[~empty]))
    return Points(crs=layer.crs, places=places, columns=layer.columns)


@dataclass(frozen=True)
class Layer:
    """Geometries of any kind with their attributes.

    Attributes:
        crs: ``EPSG:<code>``.
        geometries: ``(n,)`` shapely geometries; None where a row has none.
        columns: attributes by name, each ``(n,)``; text and missing values as ``object``.
    """

    crs: str
    geometries: NDArray[np.object_]
    columns: dict[str, NDArray[Any]]

    def column(self, field: str, name: str) -> list[Any]:
        """Returns the values of an attribute as plain ones.

        Args:
            field: the attribute.
            name: of the file, for sentences.

        Raises:
            BadInput: no record has it.
        """
        if field not in self.columns and (len(self.geometries) or self.columns):
            has = ", ".join(other[:40] for other in list(self.columns)[:20])
            raise BadInput(f"{name} has no field {field[:60]!r}; it has {has or 'none'}.", "name the field of classes")
        values: list[Any] = self.columns[field].tolist() if field in self.columns else []
        return values


def read_layer(path: Path) -> Layer:
    """Returns the geometries of a file and all their attributes.

    Args:
        path: a GeoPackage with one layer, or a GeoJSON FeatureCollection.

    Raises:
        BadInput: another format, several layers, no EPSG code, or not readable.
        TooLarge: beyond the stated limits.
    """
    geopackage = _is_geopackage(path)
    with _as_bad_input(path):
        crs, geometries, columns = _geopackage_columns(path) if geopackage else _geojson_columns(path)
        n_vertices = int(shapely.get_num_coordinates(geometries).sum())
    if n_vertices > MOST_VERTICES:
        raise TooLarge(f"{path.name} has {n_vertices} vertices; the limit is {MOST_VERTICES}.", "simplify it")
    return Layer(crs=_known_crs(path, crs), geometries=geometries, columns=columns)


def _is_geopackage(path: Path) -> bool:
    head = _head(path)
    if head.startswith(_SQLITE) and head[68:72] in _APPLICATION_IDS:
        return True
    if head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{"):
        return False
    raise BadInput(f"{path.name} is neither GeoPackage nor GeoJSON.", "deliver one of the two")


def _known_crs(path: Path, crs: str) -> str:
    if not re.fullmatch(r"EPSG:\d{4,6}", crs or ""):
        raise BadInput(f"The CRS of {path.name} has no EPSG code.", "name a CRS that EPSG lists")
    return crs


@contextmanager
def _as_bad_input(path: Path) -> Iterator[None]:
    """Turns whatever GDAL, shapely or the JSON reader raise into BadInput; they share no base class."""
    try:
        yield
    except (GeomlError, MemoryError):
        raise
    except Exception as error:
        raise BadInput(
            f"{path.name} cannot be read: {type(error).__name__}: {str(error)[:200]}.",
            "check that the transfer was complete and deliver the file again",
        ) from error


def _head(path: Path) -> bytes:
    try:
        status = path.stat(follow_symlinks=False)
    except OSError:
        raise BadInput(f"There is no readable file {path.name}.") from None
    if not stat.S_ISREG(status.st_mode):
        raise BadInput(f"{path.name} is not a regular file.", "deliver files, not links or devices")
    if status.st_size > MOST_BYTES:
        raise TooLarge(f"{path.name} has {status.st_size} bytes; the limit is {MOST_BYTES}.", "deliver it in parts")
    with path.open("rb") as stream:
        return stream.read(100)


def _open_geopackage(path: Path) -> dict[str, Any]:
    """Returns what GDAL says about a GeoPackage of one layer, within the limits."""
    layers = pyogrio.list_layers(path)
    if len(layers) != 1:
        raise BadInput(f"{path.name} holds {len(layers)} layers.", "deliver one layer")
    facts: dict[str, Any] = pyogrio.read_info(path, IMMUTABLE="YES")
    if facts["driver"] != "GPKG":
        raise BadInput(f"{path.name} opens as {facts['driver']}, not as GeoPackage.")
    if facts["features"] > MOST_POLYGONS:
        raise TooLarge(f"{path.name} has {facts['features']} features; the limit is {MOST_POLYGONS}.")
    return facts


def _geopackage_columns(path: Path) -> tuple[str, NDArray[np.object_], dict[str, NDArray[Any]]]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        _open_geopackage(path)
        meta, _, geometry, columns = raw.read(path, IMMUTABLE="YES")
    found = {str(name): np.asarray(values) for name, values in zip(meta["fields"], columns, strict=True)}
    return meta["crs"] or "", shapely.from_wkb(geometry), found


def _open_geojson(path: Path) -> tuple[str, list[dict[str, Any]], NDArray[np.object_]]:
    """Returns CRS, features and geometries of a FeatureCollection, within the limits."""
    content = json.loads(path.read_text(encoding="utf-8-sig"))
    features = content.get("features")
    if content.get("type") != "FeatureCollection" or not isinstance(features, list):
        raise BadInput(f"{path.name} is not a GeoJSON FeatureCollection.")
    if len(features) > MOST_POLYGONS:
        raise TooLarge(f"{path.name} has {len(features)} features; the limit is {MOST_POLYGONS}.")
    named = str(((content.get("crs") or {}).get("properties") or {}).get("name", "EPSG:4326"))
    code = re.fullmatch(r"(?:urn:ogc:def:crs:)?EPSG:(?:[\d.]*:)?(\d{4,6})", named)
    crs = f"EPSG:{code[1]}" if code else ("EPSG:4326" if "CRS84" in named else "")
    if crs:
        pyproj.CRS.from_epsg(int(crs.removeprefix("EPSG:")))
    shapes = [feature.get("geometry") for feature in features]
    texts = [None if shape is None else json.dumps(shape) for shape in shapes]
    geometries = shapely.from_geojson(np.asarray(texts, dtype=object)) if texts else np.empty(0, dtype=object)
    return crs, features, geometries


def _geojson_columns(path: Path) -> tuple[str, NDArray[np.object_], dict[str, NDArray[Any]]]:
    crs, features, geometries = _open_geojson(path)
    rows = [feature.get("properties") or {} for feature in features]
    names = dict.fromkeys(str(name) for row in rows for name in row)
    return crs, geometries, {name: np.array([row.get(name) for row in rows], dtype=object) for name in names}
