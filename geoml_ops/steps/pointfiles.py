"""Samples from a person's own file: points with labels, from a sheet or a vector file, ready to be folded."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoml_ops.adapters.crs import is_geographic, is_metric
from geoml_ops.adapters.csvfiles import Sheet, read_sheet
from geoml_ops.adapters.nouns import Shelf
from geoml_ops.adapters.vector import Points, read_points
from geoml_ops.core.errors import BadInput
from geoml_ops.core.flow import FeatureTable
from geoml_ops.domain.folds import PredictionPoints, Samples
from geoml_ops.steps.observed import observed_ground
from geoml_ops.steps.places import Places
from geoml_ops.steps.samples import open_table

SHEETS = {".csv", ".tsv", ".txt"}
_PLACES = (("easting", "x", "lon", "longitude"), ("northing", "y", "lat", "latitude"))


@dataclass(frozen=True)
class Named:
    """Which columns of a file say what; an empty name for what the file does not say.

    Attributes:
        label: class of each point; empty where classes play no part.
        easting: or longitude; found by its usual names if empty. Vector files have geometries instead.
        northing: or latitude.
        polygon: what a point belongs to; points of one polygon are never parted.
        scene: acquisition it was seen in.
        date: day of it, ``YYYY-MM-DD``.
        half_px: pixels that its patch reaches beyond its own on each side.
        features: numbers that feature-space methods measure in.
    """

    label: str
    easting: str = ""
    northing: str = ""
    polygon: str = ""
    scene: str = ""
    date: str = ""
    half_px: str = ""
    features: tuple[str, ...] = ()


@dataclass(frozen=True)
class PointFile:
    """Samples of a file, in its order.

    Attributes:
        name: of the file.
        samples: where the points are and what they belong to.
        classes: class names in code order, sorted.
        columns: every column as text, for whoever writes the file again.
    """

    name: str
    samples: Samples
    classes: tuple[str, ...]
    columns: dict[str, tuple[str, ...]]


def open_points(
    path: Path,
    named: Named,
    *,
    crs: str = "",
    pixel_m: float = 10.0,
    area: Path | None = None,
    mapped: Path | None = None,
) -> PointFile:
    """Returns the samples of a file.

    Args:
        path: a sheet (CSV), a GeoPackage with one layer, or GeoJSON.
        named: its columns.
        crs: ``EPSG:<code>`` of a sheet's coordinates; vector files say it themselves.
        pixel_m: edge of a pixel in metres.
        area: a raster of what will be mapped, for methods that match distances: its observed pixels.
        mapped: or a file of points spread over what will be mapped, in the same CRS.

    Raises:
        BadInput: a column is missing, a number is none, no CRS or one in other units, or points lie outside ``area``.
        TooLarge: beyond the stated limits.
    """
    found = _read(path, named, crs)
    system = found.crs
    projected = is_metric(system)
    if not projected and not is_geographic(system):
        raise BadInput(f"{system} measures neither in metres nor in degrees.", "bring the points to a UTM zone")
    if not len(found.places):
        raise BadInput(f"{path.name} holds no points.", "give one row for each sample")
    labels = _texts(found, named.label, path) if named.label else [""] * len(found.places)
    classes = tuple(sorted(set(labels)))
    easting, northing = found.places.T
    samples = Samples(
        crs=system,
        projected=projected,
        pixel_m=pixel_m,
        easting=easting,
        northing=northing,
        anchor_easting=easting,
        anchor_northing=northing,
        polygon=_groups(found, named.polygon, path, each=True),
        code=np.array([classes.index(label) for label in labels], dtype=np.int64),
        scene=_groups(found, named.scene, path),
        day=_days(found, named.date, path),
        half_px=_numbers(found, named.half_px, path).astype(np.int64) if named.half_px else np.zeros(0, dtype=np.int64),
        features=_features(found, named.features, path),
        points=_mapped(area, mapped, named, found, path.name),
    )
    samples.require_finite()
    return PointFile(
        path.name, _anchored(samples), classes, {n: tuple(map(_text, v)) for n, v in found.columns.items()}
    )


def of_table(places: Places, table_id: str) -> PointFile:
    """Returns the samples of a feature table of the loop.

    Raises:
        NotFound: there is no such table here.
    """
    table = Shelf(places.nouns).get(FeatureTable, table_id)
    tabled = open_table(places, table)
    columns = {name: tuple(map(str, values.tolist())) for name, values in tabled.keys.items()}
    return PointFile(table_id, tabled.samples, tuple(table.n_samples), columns)


def _read(path: Path, named: Named, crs: str) -> Points:
    if path.suffix.lower() not in SHEETS:
        found = read_points(path)
        if crs and crs != found.crs:
            raise BadInput(f"{path.name} is in {found.crs}, not {crs}.", "leave --crs out")
        own = dict(zip(("easting", "northing"), found.places.T, strict=True))
        return Points(found.crs, found.places, {**own, **found.columns})
    sheet = read_sheet(path)
    if crs and not re.fullmatch(r"EPSG:\d{4,6}", crs):
        raise BadInput(f"{crs[:60]!r} is no CRS.", "write EPSG:<code>, EPSG:32633 for instance")
    if not crs:
        raise BadInput(
            f"{path.name} does not say its CRS.", "add --crs EPSG:32633, or whichever the coordinates are in"
        )
    places = np.column_stack(
        [_axis(sheet, name, usual) for name, usual in zip((named.easting, named.northing), _PLACES, strict=True)]
    )
    columns = {name: np.array(sheet.texts(name), dtype=object) for name in sheet.columns}
    # Decimal commas would not survive being written again with commas between the cells.
    for name, usual, values in zip((named.easting, named.northing), _PLACES, places.T, strict=True):
        columns |= {c: values.astype(object) for c in sheet.columns if c == (name or _usual(sheet, usual))}
    return Points(crs, places, columns)


def _usual(sheet: Sheet, usual: Sequence[str]) -> str:
    return next((c for c in usual if sheet.has(c)), usual[0])


def _axis(sheet: Sheet, name: str, usual: Sequence[str]) -> NDArray[np.float64]:
    """Returns a column of coordinates; text that says NaN or infinity stays so, for the samples to refuse by count."""
    column = name or _usual(sheet, usual)
    if not sheet.has(column):
        raise BadInput(f"{sheet.name} has no column {column!r}.", "name the columns of coordinates with --x and --y")
    odd = {"nan": np.nan, "inf": np.inf, "-inf": -np.inf, "": np.nan}
    cells = zip(sheet.texts(column), sheet.lines, strict=True)
    return np.array(
        [odd[c.lower()] if c.lower() in odd else sheet.number(c, column, line) for c, line in cells], dtype=np.float64
    )


def _column(found: Points, name: str, path: Path) -> NDArray[Any]:
    if name not in found.columns:
        said = ", ".join(list(found.columns)[:12]) or "none"
        raise BadInput(f"{path.name} has no column {name[:60]!r}; it has {said}.", "name one of them")
    return found.columns[name]


def _text(value: Any) -> str:
    said = "" if value is None else str(value).strip()
    return "" if said.lower() == "nan" else said


def _texts(found: Points, name: str, path: Path) -> list[str]:
    cells = [_text(value) for value in _column(found, name, path)]
    empty = sum(not cell for cell in cells)
    if empty:
        raise BadInput(f"{empty} of {len(cells)} rows of {path.name} have no {name}.", "fill them, or leave them out")
    return cells


def _numbers(found: Points, name: str, path: Path) -> NDArray[np.float64]:
    cells = _texts(found, name, path)
    try:
        return np.array([float(cell) for cell in cells])
    except ValueError as error:
        raise BadInput(f"Column {name} of {path.name} is not numbers: {error}.") from None


def _groups(found: Points, name: str, path: Path, *, each: bool = False) -> NDArray[np.int64]:
    if not name:
        return np.arange(len(found.places)) if each else np.zeros(len(found.places), dtype=np.int64)
    return np.unique(np.array(_texts(found, name, path)), return_inverse=True)[1].reshape(-1).astype(np.int64)


def _days(found: Points, name: str, path: Path) -> NDArray[np.int64]:
    if not name:
        return np.zeros(0, dtype=np.int64)
    try:
        return np.array([date.fromisoformat(cell[:10]).toordinal() - 719_163 for cell in _texts(found, name, path)])
    except ValueError as error:
        raise BadInput(f"Column {name} of {path.name} is not dates: {error}.", "write YYYY-MM-DD") from None


def _features(found: Points, names: Sequence[str], path: Path) -> NDArray[np.float32] | None:
    if not names:
        return None
    return np.column_stack([_numbers(found, name, path) for name in names]).astype(np.float32)


def _anchored(samples: Samples) -> Samples:
    """Returns samples whose polygons stand where their first point stands: a file of points has no outlines."""
    _, first, number = np.unique(samples.polygon, return_index=True, return_inverse=True)
    anchor = first[number.reshape(-1)]
    return Samples(
        **{
            **vars(samples),
            "anchor_easting": samples.easting[anchor],
            "anchor_northing": samples.northing[anchor],
        }
    )


def _mapped(area: Path | None, mapped: Path | None, named: Named, asked: Points, name: str) -> PredictionPoints | None:
    if area is not None and mapped is not None:
        raise BadInput("What will be mapped is named twice.", "give --area or --mapped")
    if area is not None:
        return observed_ground(area, asked, name)
    if mapped is None:
        return None
    found = _read(mapped, named, asked.crs if mapped.suffix.lower() in SHEETS else "")
    if found.crs != asked.crs:
        raise BadInput(f"{mapped.name} is in {found.crs}, {name} in {asked.crs}.", "bring both to one CRS")
    easting, northing = found.places.T
    return PredictionPoints(easting, northing, _features(found, named.features, mapped))
