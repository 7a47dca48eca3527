"""Deliveries of ground that is neither imagery nor labels, on their way into a version: kept as they were delivered."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import shapely

from geoml_ops.adapters import raster, vector
from geoml_ops.core.errors import BadInput
from geoml_ops.core.flow import Ancillary, Check
from geoml_ops.core.grid import Bounds
from geoml_ops.core.noun import FileRef
from geoml_ops.domain.delivery import AncillaryDelivery
from geoml_ops.platform.files import sha256_of, write_json
from geoml_ops.steps.deliveries import Delivery
from geoml_ops.steps.harmonise import Judged

_VECTORS = (".gpkg", ".geojson", ".json")


def read_ancillary(delivery: Delivery, said: AncillaryDelivery, judged: Judged, scratch: Path) -> None:
    """Copies the file and writes its JSON to ``scratch``, once it is known to be readable.

    Args:
        delivery: the listed delivery.
        said: its declaration.
        judged: what was found is added here.
        scratch: an empty folder.

    Raises:
        BadInput: the file is missing, of another format, empty or without a known CRS.
    """
    if said.file not in delivery.files:
        raise BadInput(f"The delivery holds no file {said.file[:120]!r}.", "name a file inside the delivery's folder")
    path = delivery.folder / said.file
    noun = _vector(path, delivery, said) if path.suffix.lower() in _VECTORS else _raster(path, delivery, said)
    shutil.copyfile(path, scratch / noun.file.path.rsplit("/", 1)[-1])
    judged.noun = noun
    judged.checks.append(Check(name="readable", passed=True, sentence=_words(noun)))
    write_json(scratch / f"{Ancillary.kind}.json", noun.as_json())


def _raster(path: Path, delivery: Delivery, said: AncillaryDelivery) -> Ancillary:
    found = raster.extent(path)
    if len(found.names) != 1:
        raise BadInput(f"{path.name} holds {len(found.names)} bands.", "deliver one band per ancillary raster")
    return Ancillary(
        name=delivery.name,
        form="raster",
        crs=found.crs,
        bounds=found.bounds,
        unit=said.unit,
        bands=found.names,
        file=_ref(path, delivery.name, "ancillary.tif"),
    )


def _vector(path: Path, delivery: Delivery, said: AncillaryDelivery) -> Ancillary:
    found = vector.read_layer(path)
    known = np.array([g is not None and not shapely.is_empty(g) for g in found.geometries], dtype=bool)
    if not known.any():
        raise BadInput(f"None of the {len(known)} records of {path.name} has a geometry.", "deliver geometries")
    left, bottom, right, top = (float(edge) for edge in shapely.total_bounds(found.geometries[known]))
    # A single point has no extent; a rectangle of the noun must have one.
    grown = max(1e-6, 1e-9 * max(abs(left), abs(top)))
    return Ancillary(
        name=delivery.name,
        form="vector",
        crs=found.crs,
        bounds=Bounds(left=left, bottom=bottom, right=max(right, left + grown), top=max(top, bottom + grown)),
        unit=said.unit,
        fields=tuple(sorted(found.columns)),
        file=_ref(path, delivery.name, f"ancillary{path.suffix.lower()}"),
    )


def _ref(path: Path, name: str, file: str) -> FileRef:
    return FileRef(path=f"data/ancillaries/{name}/{file}", sha256=sha256_of(path), size=path.stat().st_size)


def _words(noun: Ancillary) -> str:
    unit = f" in {noun.unit}" if noun.unit else ""
    what = f"a raster{unit}" if noun.form == "raster" else f"geometries with {', '.join(noun.fields) or 'no fields'}"
    return f"{noun.name} holds {what} in {noun.crs}."
