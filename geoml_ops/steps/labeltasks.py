"""Export a label budget as tasks for people: files for QGIS, for a labelling tool, a sheet, and pictures."""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import shapely
from numpy.typing import NDArray

from geoml_ops.adapters import vector
from geoml_ops.adapters.crs import reproject
from geoml_ops.adapters.csvfiles import write_bytes, write_sheet
from geoml_ops.core.errors import BadInput
from geoml_ops.domain.labelling.tasks import (
    FIELDS,
    feature,
    geojson,
    instructions,
    labelling_tool,
    qgis_style,
)
from geoml_ops.platform.files import sha256_of
from geoml_ops.platform.log import logger
from geoml_ops.steps.labelchips import write_chips
from geoml_ops.steps.labelunits import Units, units_of
from geoml_ops.steps.places import Places

LAYER, TOOL, CHIPS = "units", "labelling-tool", "chips"
_PLACES = 9
_log = logger("labels")


@dataclass(frozen=True)
class Exported:
    """What was written.

    Attributes:
        folder: where.
        files: in it, by their paths.
        notes: sentences on what could not be written.
    """

    folder: Path
    files: tuple[str, ...]
    notes: tuple[str, ...] = ()


def export(
    places: Places,
    design_id: str,
    folder: Path | None = None,
    *,
    tiles: str = "",
    chips: bool = False,
    show_map: bool = False,
) -> Exported:
    """Writes the tasks of a design; again it changes nothing, and labels that people wrote meanwhile stay.

    Args:
        places: where things are.
        design_id: of the design.
        folder: where the files go; a folder of the workspace if left out.
        tiles: URL of imagery as web tiles, for the labelling tool.
        chips: whether each unit gets a picture, from the scene that was mapped.
        show_map: whether people see what the map shows; whoever sees it tends to agree with it.

    Raises:
        NotFound: no such design, or what it was made from is gone.
        BadInput: a file is there already and holds something else.
    """
    units = units_of(places, design_id)
    goal = folder or home_of(places, design_id) / "tasks"
    goal.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".tasks-", suffix=".part", dir=goal.parent) as scratch:
        made = Path(scratch)
        _write(made, units, tiles, show_map)
        notes = (write_chips(places, units, made / CHIPS),) if chips else ()
        files = sorted(path.relative_to(made).as_posix() for path in made.rglob("*") if path.is_file())
        other = [name for name in files if not _free(goal / name, made / name)]
        if other:
            raise BadInput(
                f"{goal / other[0]} exists and holds something else, labels perhaps; nothing is written over.",
                "name another folder with --out; the design and its units stay the same",
            )
        for name in files:
            if not (goal / name).exists():
                write_bytes(goal / name, (made / name).read_bytes())
    (goal / TOOL / "results").mkdir(parents=True, exist_ok=True)
    _log.info("exported", design=design_id, files=len(files))
    return Exported(goal, tuple(files), tuple(note for note in notes if note))


def home_of(places: Places, design_id: str) -> Path:
    """Returns the folder in which a design's tasks and answers are kept."""
    return places.workspace / "labelling" / design_id


def legend_of(units: Units) -> dict[str, str]:
    """Returns the classes that people choose from, with their colours."""
    return dict(zip(units.bundle.classes, units.bundle.colours, strict=True))


def _free(path: Path, new: Path) -> bool:
    return not path.exists() or (path.is_file() and sha256_of(path) == sha256_of(new))


def _write(folder: Path, units: Units, tiles: str, show_map: bool) -> None:
    classes, squares, design = units.bundle.classes, units.squares, units.design.id
    shown = {"map": list(units.mapped)} if show_map else {}
    asked = {"unit": list(units.id), "design": [design] * len(units.id)}
    blank = [None] * len(units.id)
    columns = {**asked, **dict.fromkeys(FIELDS[len(asked) :], blank), **shown}
    arrays: dict[str, NDArray[np.object_]] = {name: np.array(cells, dtype=object) for name, cells in columns.items()}
    (folder / TOOL / "tasks").mkdir(parents=True)
    vector.write_patches(folder / f"{LAYER}.gpkg", squares, arrays, units.crs, LAYER)
    _put(folder / f"{LAYER}.qml", qgis_style(classes))
    rows = [dict(zip(columns, cells, strict=True)) for cells in zip(*columns.values(), strict=True)]
    rings = [shapely.get_coordinates(square).tolist() for square in squares]
    _put(
        folder / f"{LAYER}.geojson",
        geojson([feature(ring, row) for ring, row in zip(rings, rows, strict=True)], units.crs),
    )
    write_sheet(
        folder / f"{LAYER}.csv", (*columns, "easting", "northing", "longitude", "latitude"), _sheet(units, rows)
    )
    told = instructions(classes, units.edge_m, units.plan.unit_px, len(units.id))
    _put(folder / "instructions.md", told)
    lonlat = reproject(squares, units.crs, "EPSG:4326")
    around = {
        unit: np.round(shapely.get_coordinates(square), _PLACES).tolist()
        for unit, square in zip(units.id, lonlat, strict=True)
    }
    for name, text in labelling_tool(design, around, told, legend_of(units), tiles).items():
        _put(folder / TOOL / name, text)
    _put(folder / "legend.json", json.dumps(legend_of(units), indent=1, ensure_ascii=False) + "\n")


def _put(path: Path, text: str) -> None:
    # Nothing in the scratch folder outlives the call, so nothing is flushed to disk.
    path.write_text(text, encoding="utf-8")


def _sheet(units: Units, rows: list[dict[str, str | None]]) -> list[list[str]]:
    points = shapely.points(units.easting, units.northing)
    lonlat = shapely.get_coordinates(reproject(np.asarray(points, dtype=object), units.crs, "EPSG:4326"))
    return [
        [*(cell or "" for cell in row.values()), repr(float(e)), repr(float(n)), f"{lon:.7f}", f"{lat:.7f}"]
        for row, e, n, (lon, lat) in zip(rows, units.easting, units.northing, lonlat, strict=True)
    ]
