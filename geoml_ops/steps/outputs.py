"""What leaves with a map: the map itself, its attribute table, outlines for a GIS, and a STAC item."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from geoml_ops.adapters import cog, raster, vector
from geoml_ops.adapters.nouns import Shelf
from geoml_ops.adapters.predictions import MAP, PredictionLog
from geoml_ops.core.errors import BadInput, NotFound
from geoml_ops.core.flow import Bundle, Prediction
from geoml_ops.core.noun import FileRef
from geoml_ops.platform.files import sha256_of, whole_file, write_json
from geoml_ops.steps.items import described
from geoml_ops.steps.places import Places

HECTARE_M2 = 10_000.0
_MOST_ITEM_BYTES = 16 << 20
_MADE_HERE = re.compile(r"prediction-[0-9a-f]{16}")
_ROLES = {".gpkg": "outlines", ".fgb": "flatgeobuf"}


@dataclass(frozen=True)
class Outlined:
    """A file of outlines, and what it holds.

    Attributes:
        path: of the file.
        n_polygons: in it.
        n_left_out: patches below the minimum mapping unit without a neighbour above it to go to.
        left_out_ha: their area.
        least_px: smallest patch that was asked for, in pixels.
    """

    path: Path
    n_polygons: int
    n_left_out: int
    left_out_ha: float
    least_px: int


def least_pixels(mmu_ha: float, pixel_m: float) -> int:
    """Returns how many pixels a minimum mapping unit is, rounded up; at least 1.

    >>> least_pixels(0.5, 10.0), least_pixels(0.0, 10.0)
    (50, 1)
    """
    if not (np.isfinite(mmu_ha) and mmu_ha >= 0):
        raise BadInput(f"A minimum mapping unit of {mmu_ha:g} ha.", "0 or more hectares")
    return max(1, int(np.ceil(round(mmu_ha * HECTARE_M2 / pixel_m**2, 6))))


def check_outlines(path: Path, mmu_ha: float) -> None:
    """Refuses outlines that could not be written, which a caller wants to know before the map is made.

    Raises:
        BadInput: the name ends neither in ``.gpkg`` nor in ``.fgb``, or the minimum mapping unit is no area.
    """
    if path.suffix.lower() not in vector.VECTOR_DRIVERS:
        raise BadInput(f"{path.name[:60]} is neither a GeoPackage nor a FlatGeobuf.", "let it end in .gpkg or .fgb")
    least_pixels(mmu_ha, 1.0)


def hand_over(places: Places, prediction: Prediction, out: Path) -> Path:
    """Returns ``out``, a copy of a prediction's map with its attribute table beside it; each whole or absent.

    Raises:
        NotFound: the map is not kept any more.
        OSError: it cannot be written there.
    """
    source = _map(places, prediction)
    for one, copied in ((source, out), (cog.attributes_path(source), cog.attributes_path(out))):
        if one.exists():
            with whole_file(copied) as part:
                shutil.copyfile(one, part)
    return out


def outline(places: Places, prediction: Prediction, path: Path, mmu_ha: float = 0.0) -> Outlined:
    """Returns the map's patches as polygons in a GeoPackage or FlatGeobuf, by the name of ``path``.

    Patches below the minimum mapping unit go to their largest neighbour first. Each polygon carries ``code``,
    ``class``, ``value`` (of the customer's legend, where there is one), ``n_px`` and ``area_ha``.

    Args:
        places: where predictions are kept.
        prediction: whose map is outlined.
        path: ``….gpkg`` or ``….fgb``.
        mmu_ha: minimum mapping unit in hectares; 0 keeps every pixel as it is.

    Raises:
        BadInput: the name ends in neither, or the unit is no area.
        TooLarge: too many pixels or patches.
        NotFound: the map is not kept any more.
    """
    check_outlines(path, mmu_ha)
    bundle, grid = Shelf(places.nouns).get(Bundle, prediction.bundle), prediction.grid
    least_px = least_pixels(mmu_ha, grid.pixel_m)
    found = raster.outlines(_map(places, prediction), nodata=cog.NODATA, least_px=least_px)
    pixel_ha = grid.pixel_m**2 / HECTARE_M2
    columns = {
        "code": found.codes.astype(np.int32),
        "class": np.asarray([bundle.classes[code] for code in found.codes], dtype=object),
        "n_px": found.n_px,
        "area_ha": found.n_px * pixel_ha,
    }
    if bundle.values and all(value is not None for value in bundle.values):
        columns["value"] = np.asarray([bundle.values[code] for code in found.codes], dtype=np.int64)
    vector.write_patches(path, found.polygons, columns, grid.crs, layer="land_cover")
    return Outlined(path, len(found.polygons), found.n_left_out, found.left_out_px * pixel_ha, least_px)


def item(places: Places, prediction: Prediction, out: Path, *beside: Path) -> Path:
    """Returns the STAC item of a map, written beside it as ``<map>.json``.

    Args:
        places: where nouns and the log are kept.
        prediction: whose map it is.
        out: the map as it was handed over.
        beside: files of outlines.

    Raises:
        NotFound: the prediction was never logged.
        Refused: the item breaks the STAC schemas.
    """
    files = {"map": _file(out)}
    table = cog.attributes_path(out)
    if table.exists():
        files["attributes"] = _file(table)
    files |= {_ROLES[path.suffix.lower()]: _file(path) for path in beside}
    content = described(places, prediction, files)
    path = out.with_suffix(".json")
    write_json(path, content)
    return path


def is_item(path: Path) -> bool:
    """Says whether a file is the STAC item of a map, which may be written anew; also where there is none."""
    if not path.exists():
        return True
    try:
        if not path.is_file() or path.stat().st_size > _MOST_ITEM_BYTES:
            return False
        content = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return False
    return (
        isinstance(content, dict)
        and (content.get("type"), "stac_version" in content) == ("Feature", True)
        and bool(_MADE_HERE.fullmatch(str(content.get("id"))))
    )


def _map(places: Places, prediction: Prediction) -> Path:
    path = PredictionLog(places.predictions).home(prediction.id) / MAP
    if not path.exists():
        raise NotFound(f"The map of {prediction.id} is not kept any more.", "classify the raster again")
    return path


def _file(path: Path) -> FileRef:
    return FileRef(path=path.name, sha256=sha256_of(path), size=path.stat().st_size)
