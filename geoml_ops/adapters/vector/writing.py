"""GeoPackages that are whole or absent; the same records give the same bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyogrio
import shapely
from numpy.typing import NDArray
from pyogrio import raw

from geoml_ops.core.errors import BadInput, StorageFull
from geoml_ops.platform.files import whole_file
from geoml_ops.platform.space import is_full

VECTOR_DRIVERS: Mapping[str, str] = {".gpkg": "GPKG", ".fgb": "FlatGeobuf"}


def write_polygons(
    path: Path, geometries: Sequence[Any] | NDArray[np.object_], labels: Sequence[str], field: str, crs: str
) -> None:
    """Writes labelled polygons, else as :func:`write_labels`."""
    write_labels(path, geometries, labels, field, crs)


def write_labels(
    path: Path,
    geometries: Sequence[Any] | NDArray[np.object_],
    labels: Sequence[str],
    field: str,
    crs: str,
    *,
    numbers: Mapping[str, NDArray[np.float64]] | None = None,
) -> None:
    """Writes a GeoPackage of one layer, whole or absent; the same records give the same bytes.

    Args:
        path: where the file appears.
        geometries: polygons, points, or both, one or several of them in a record; only their x and y are kept.
        labels: class name of each.
        field: that holds the name.
        crs: ``EPSG:<code>``.
        numbers: other fields, NaN where a record has none.

    Raises:
        StorageFull: no space left; an older file under ``path`` is untouched.
    """
    flat = shapely.force_2d(np.asarray(geometries, dtype=object))
    whole = np.asarray([shapely.multipolygons([g]) if g.geom_type == "Polygon" else g for g in flat], dtype=object)
    kinds = sorted({g.geom_type for g in whole}) or ["MultiPolygon"]
    columns = {field: np.asarray(labels, dtype=object), **(numbers or {})}
    _write(path, whole, columns, crs, layer="labels", kind=kinds[0] if len(kinds) == 1 else "Unknown")


def write_records(
    path: Path, geometries: NDArray[np.object_], columns: dict[str, NDArray[Any]], crs: str, layer: str
) -> None:
    """Writes points with their attributes as a GeoPackage of one layer, whole or absent; the same give the same bytes.

    Raises:
        StorageFull: no space left; an older file under ``path`` is untouched.
    """
    _write(path, geometries, columns, crs, layer=layer, kind="Point")


def write_patches(
    path: Path, polygons: NDArray[np.object_], columns: Mapping[str, NDArray[Any]], crs: str, layer: str
) -> None:
    """Writes polygons with their attributes as a GeoPackage or, by its name, a FlatGeobuf; whole or absent.

    Args:
        path: ``….gpkg`` or ``….fgb``.
        polygons: shapely polygons.
        columns: one value for each.
        crs: ``EPSG:<code>``.
        layer: name of the layer.

    Raises:
        BadInput: the name ends in neither.
        StorageFull: no space left; an older file under ``path`` is untouched.
    """
    driver = VECTOR_DRIVERS.get(path.suffix.lower())
    if driver is None:
        raise BadInput(f"{path.name[:60]} is neither a GeoPackage nor a FlatGeobuf.", "let it end in .gpkg or .fgb")
    _write(path, polygons, columns, crs, layer=layer, kind="Polygon", driver=driver)


def _write(
    path: Path,
    geometries: NDArray[np.object_],
    columns: Mapping[str, NDArray[Any]],
    crs: str,
    *,
    layer: str,
    kind: str,
    driver: str = "GPKG",
) -> None:
    # GeoPackages carry the time of their last change.
    pyogrio.set_gdal_config_options({"OGR_CURRENT_DATE": "2000-01-01T00:00:00.000Z"})
    try:
        with whole_file(path) as part:
            try:
                raw.write(
                    part,
                    geometry=shapely.to_wkb(geometries),
                    field_data=list(columns.values()),
                    fields=np.asarray(list(columns), dtype=object),
                    geometry_type=kind,
                    crs=crs,
                    driver=driver,
                    layer=layer,
                )
            except Exception as error:
                if is_full(error, part.parent):
                    raise StorageFull(
                        f"No space left while writing {path}.", "free some space, then try again"
                    ) from error
                raise
    finally:
        pyogrio.set_gdal_config_options({"OGR_CURRENT_DATE": None})
