"""Files that people labelled, read back: every row is brought to a unit of the design, or the file is refused."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from geoml_ops.adapters import vector
from geoml_ops.adapters.crs import reproject
from geoml_ops.adapters.csvfiles import read_sheet
from geoml_ops.core.errors import BadInput
from geoml_ops.domain.labelling import Answer, check_answers, is_sure, plain, some
from geoml_ops.domain.labelling.tasks import CLASS_PROPERTY, unit_of
from geoml_ops.steps.labelunits import Units

LABELLING_TOOL, GIS, SHEET = "satellite-imagery-labeling-tool", "GIS", "sheet"
_TABLES, _LAYERS = (".csv", ".tsv", ".txt"), (".gpkg", ".geojson", ".json")
_SLACK_M, _MOST_COVERED = 1e-6, 0.5
_WAY = "return the units that geoml labels export wrote, where they were"


@dataclass(frozen=True)
class Read:
    """One file of answers.

    Attributes:
        tool: what it was made with.
        answers: that it holds.
        n_empty: units that it lists without a label.
    """

    tool: str
    answers: tuple[Answer, ...]
    n_empty: int


@dataclass(frozen=True)
class _Rows:
    """What a file says, row by row: words, and the ground that each speaks of, in the CRS of the design."""

    unit: list[str]
    label: list[str]
    labeller: list[str]
    sure: list[str]
    note: list[str]
    shapes: NDArray[np.object_]


def read_answers(path: Path, units: Units, *, labeller: str = "", source: str = "") -> Read:
    """Returns the answers of a file.

    Args:
        path: CSV, GeoPackage or GeoJSON: what was exported, with labels, or what the labelling tool saved.
        units: of the design.
        labeller: who labelled, where a row does not say.
        source: what the answers say they came in.

    Raises:
        BadInput: not readable, no units of this design, at another place, or labels outside the legend.
        TooLarge: beyond what is read.
    """
    suffix = path.suffix.lower()
    if suffix in _TABLES:
        tool, rows = SHEET, _sheet(path, units)
    elif suffix in _LAYERS:
        tool, rows = _layer(path, units)
    else:
        raise BadInput(f"{path.name[:60]} is no file of labels.", f"return {', '.join((*_TABLES, *_LAYERS))}")
    if not rows.unit:
        raise BadInput(f"{path.name} holds no row.", _WAY)
    if tool == LABELLING_TOOL:
        rows = _covering(rows, units, path.name)
    else:
        _check_places(rows, units, path.name)
    answers = []
    for i, label in enumerate(rows.label):
        if plain(label, "label"):
            who = plain(rows.labeller[i], "name") or plain(labeller, "name")
            note = plain(rows.note[i], "note")
            answers.append(Answer(rows.unit[i], plain(label, "label"), who, is_sure(rows.sure[i]), note, source))
    check_answers(answers, units.id, units.bundle.classes, path.name)
    return Read(tool, tuple(answers), len(rows.label) - len(answers))


# --- what a file says ------------------------------------------------------------------------


def _sheet(path: Path, units: Units) -> _Rows:
    sheet = read_sheet(path)
    if sheet.has("design"):
        _require_design(sheet.texts("design"), units, path.name)
    blank = ("",) * len(sheet.rows)
    told = {name: list(sheet.texts(name) if sheet.has(name) else blank) for name in ("labeller", "sure", "note")}
    shapes = shapely.points(sheet.numbers("easting"), sheet.numbers("northing"))
    return _Rows(list(sheet.texts("unit")), list(sheet.texts("label")), **told, shapes=np.asarray(shapes, dtype=object))


def _layer(path: Path, units: Units) -> tuple[str, _Rows]:
    layer = vector.read_layer(path)
    columns = {name.strip().lower(): _texts(values) for name, values in layer.columns.items()}
    blank = [""] * len(layer.geometries)
    if "design" in columns:
        _require_design(columns["design"], units, path.name)
    drawn = "task_name" in columns and "unit" not in columns
    if drawn:
        named = [unit_of(task) for task in columns["task_name"]]
        _require_design([project or "nothing" for project, _ in named], units, path.name)
        columns["unit"], columns["label"] = [unit for _, unit in named], columns.get(CLASS_PROPERTY, blank)
    if "unit" not in columns or "label" not in columns:
        has = some(list(columns)) if columns else "none"
        raise BadInput(f"{path.name} has no fields unit and label; it has {has}.", _WAY)
    told = {name: columns.get(name, blank) for name in ("unit", "label", "labeller", "sure", "note")}
    shapes = _moved(layer.geometries, layer.crs, units.crs, path.name)
    return LABELLING_TOOL if drawn else GIS, _Rows(**told, shapes=shapes)


def _texts(values: NDArray[Any]) -> list[str]:
    plain_values: list[Any] = values.tolist()
    gone = [value is None or (isinstance(value, float) and math.isnan(value)) for value in plain_values]
    return ["" if lost else str(value).strip() for lost, value in zip(gone, plain_values, strict=True)]


def _require_design(named: Sequence[str], units: Units, name: str) -> None:
    others = sorted({design for design in named if design and design != units.design.id})
    if others:
        raise BadInput(
            f"{name} belongs to {some(others)}, not to {units.design.id}.",
            "return it to its own design",
        )


def _moved(shapes: NDArray[np.object_], source: str, target: str, name: str) -> NDArray[np.object_]:
    lost = [i for i, shape in enumerate(shapes) if shape is None or shapely.is_empty(shape)]
    if lost:
        raise BadInput(f"{len(lost)} rows of {name} have no geometry.", _WAY)
    moved = reproject(shapes, source, target)
    far = ~np.isfinite(shapely.bounds(moved)).all(axis=1)
    if far.any():
        raise BadInput(f"{int(far.sum())} rows of {name} lie where {target} is not defined.", _WAY)
    return moved


# --- is it the same ground -------------------------------------------------------------------


def _check_places(rows: _Rows, units: Units, name: str) -> None:
    """Lets rows through that lie where their units were drawn, each within half a pixel of the map."""
    place = {unit: i for i, unit in enumerate(units.id)}
    here = [i for i, unit in enumerate(rows.unit) if unit in place]
    if len(here) < len(rows.unit):
        strangers = [unit for unit in rows.unit if unit not in place]
        raise BadInput(
            f"{len(strangers)} of {len(rows.unit)} rows of {name} are no units of this design: {some(strangers)}.",
            _WAY,
        )
    of = np.array([place[unit] for unit in rows.unit], dtype=np.int64)
    edges, half = shapely.bounds(rows.shapes), units.edge_m / 2
    centre = np.column_stack([units.easting[of], units.northing[of]])
    square = np.column_stack([centre - half, centre + half])
    is_point = np.array([shape.geom_type == "Point" for shape in rows.shapes], dtype=bool)
    square[is_point] = np.column_stack([centre, centre])[is_point]
    apart = np.abs(edges - square).max(axis=1)
    moved = np.flatnonzero(~(apart <= units.prediction.grid.pixel_m / 2 + _SLACK_M))
    if len(moved):
        i = int(moved[0])
        raise BadInput(
            f"{len(moved)} units of {name} are not where they were drawn: {rows.unit[i]} is off by {apart[i]:.1f} m; "
            f"half a pixel is {units.prediction.grid.pixel_m / 2:g} m.",
            _WAY,
        )


def _covering(rows: _Rows, units: Units, name: str) -> _Rows:
    """Returns one row a unit: the label of the shapes that cover most of its square."""
    squares = dict(zip(units.id, units.squares, strict=True))
    strangers = [unit for unit in rows.unit if unit not in squares]
    if strangers:
        raise BadInput(f"{len(strangers)} shapes of {name} are drawn in no task of this design.", _WAY)
    by: dict[tuple[str, str], list[int]] = {}
    for i, (unit, who) in enumerate(zip(rows.unit, rows.labeller, strict=True)):
        by.setdefault((unit, who), []).append(i)
    kept, labels = [], []
    for (unit, _), mine in by.items():
        covered = _shares(rows, mine, squares[unit])
        label = max(covered, key=lambda word: (covered[word], word))
        if covered[label] <= _MOST_COVERED:
            raise BadInput(
                f"No class covers more than half of {unit} in {name}: {_told(covered)}.",
                "draw over the whole square of the task, in one class",
            )
        kept.append(mine[0])
        labels.append(label)
    return _Rows(
        [rows.unit[i] for i in kept],
        labels,
        [rows.labeller[i] for i in kept],
        [rows.sure[i] for i in kept],
        [rows.note[i] for i in kept],
        rows.shapes[kept],
    )


def _shares(rows: _Rows, mine: Sequence[int], square: shapely.Geometry) -> dict[str, float]:
    found: dict[str, float] = {}
    for label in dict.fromkeys(rows.label[i] for i in mine):
        drawn = shapely.make_valid(np.array([rows.shapes[i] for i in mine if rows.label[i] == label], dtype=object))
        common = shapely.area(shapely.intersection(shapely.union_all(drawn), square))
        found[label] = float(common / shapely.area(square))
    return found


def _told(covered: Mapping[str, float]) -> str:
    return ", ".join(f"{label[:40]!r} {share:.0%}" for label, share in covered.items())
