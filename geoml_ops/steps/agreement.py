"""Agreement: numbers that others counted, or points that nobody here drew, put through the same estimators."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoml_ops.adapters.csvfiles import Sheet, read_sheet
from geoml_ops.core.errors import BadInput
from geoml_ops.domain.accuracy import Assessment, Cells, Estimate, OfClass, Strata, assess

AREAS = ("area", "pixels", "weight", "units")
MARGINS = ("total", "totals", "sum")
ROWS = ("map", "stratum", "class")
NOT_DRAWN_HERE = (
    "No recorded design stands behind these numbers: they are map accuracy only if the units were drawn at "
    "random within their strata, which nothing here can check."
)
NOT_DRAWN = (
    "These points belong to no probability sample: they show how far map and points agree, not how accurate the "
    "map is, so there are no intervals and no areas."
)


@dataclass(frozen=True)
class Agreement:
    """What numbers from elsewhere say, in which unit areas are, and what must be known when reading them."""

    assessment: Assessment
    area_unit: str
    caution: str

    def as_json(self) -> dict[str, Any]:
        """Returns the content as plain JSON values; it is no noun, for nothing here knows where it came from."""
        found = self.assessment
        return {
            "estimand": "agreement with these points",
            "n": found.n,
            "overall": found.overall.value,
            "overall_half": found.overall.half,
            "classes": {name: _plain(c) for name, c in found.classes.items()},
            "proportions": {
                mapped: {name: float(p) for name, p in zip(found.classes, row, strict=True) if p > 0}
                for mapped, row in zip(found.classes, found.proportions, strict=True)
                if row.any()
            },
            "quantity": found.quantity,
            "allocation": found.allocation,
            "area_unit": self.area_unit,
            "cautions": [self.caution, *found.cautions],
        }


def _plain(found: OfClass) -> dict[str, float | None]:
    return {
        "users": found.users.value,
        "users_half": found.users.half,
        "producers": found.producers.value,
        "producers_half": found.producers.half,
        "area": found.area.value,
        "area_half": found.area.half,
        "mapped": found.mapped,
    }


def of_counts(path: Path) -> Agreement:
    """Returns the estimates from an error matrix: map classes in rows, reference classes in columns, and an area.

    The first column is named map, stratum or class; one column is named area, pixels, weight or units.
    ``units`` counts the sample units of the class in the whole map and brings the finite-population
    factor; the others only weigh. Every other column is a reference class.

    Raises:
        BadInput: no such columns, counts that are none, or estimates that do not exist.
    """
    sheet = read_sheet(path)
    label, weigh = _only(sheet, ROWS), _weighing(sheet)
    reference = sheet.besides(label, *weigh)
    names = sheet.texts(label)
    _named(names, sheet.name, label)
    margins = [name for name in (*names, *reference) if name.lower() in MARGINS]
    if margins:
        raise BadInput(f"{sheet.name} lists {margins[0]!r} among the classes.", "take sums of rows and columns out")
    if not reference:
        raise BadInput(f"{sheet.name} has no column of a reference class.", "add one column for each of them")
    counts = np.column_stack([sheet.numbers(name) for name in reference])
    classes = tuple(dict.fromkeys((*names, *reference)))
    stratum, column = np.indices(counts.shape)
    cells = Cells(
        stratum.ravel(),
        np.array([classes.index(name) for name in names], dtype=np.int64)[stratum.ravel()],
        np.array([classes.index(name) for name in reference], dtype=np.int64)[column.ravel()],
        counts.ravel(),
    )
    result = assess(_strata(sheet, names, weigh), cells, classes, strata_are_classes=True)
    return Agreement(result, weigh[0], NOT_DRAWN_HERE)


def of_points(path: Path, strata_path: Path | None) -> Agreement:
    """Returns the estimates from points whose strata are not the map's classes (Stehman 2014), or are unknown.

    Args:
        path: a CSV file with the columns ``map`` and ``reference``, and ``stratum`` where there are strata.
        strata_path: a CSV file with the columns ``stratum`` and area, pixels, weight or units; None for
            points that nobody drew at random, which have neither intervals nor areas.

    Raises:
        BadInput: no such columns, a point without a class or of an unknown stratum, or estimates that do not exist.
    """
    sheet = read_sheet(path)
    mapped, reference = sheet.texts("map"), sheet.texts("reference")
    _labelled(sheet, mapped, "map")
    _labelled(sheet, reference, "reference")
    classes = tuple(sorted({*mapped, *reference}))
    if not classes:
        raise BadInput(f"{sheet.name} holds no point.", "give one row for each point")
    codes = {name: code for code, name in enumerate(classes)}
    pair = (_codes(mapped, codes), _codes(reference, codes))
    if strata_path is None:
        stratum = np.zeros(len(mapped), dtype=np.int64)
        result = assess(
            Strata(("all points",), np.ones(1)), Cells.of(stratum, *pair), classes, strata_are_classes=False
        )
        return Agreement(_without_chance(result), "", NOT_DRAWN)
    areas = read_sheet(strata_path)
    names, weigh = areas.texts("stratum"), _weighing(areas)
    _named(names, areas.name, "stratum")
    said = sheet.texts("stratum")
    unknown = [(name, line) for name, line in zip(said, sheet.lines, strict=True) if name not in names]
    if unknown:
        raise BadInput(
            f"{len(unknown)} points are of no stratum of {areas.name}: {unknown[0][0][:40]!r} in line {unknown[0][1]}.",
            f"use {', '.join(names[:20])}",
        )
    stratum = _codes(said, {name: place for place, name in enumerate(names)})
    result = assess(_strata(areas, names, weigh), Cells.of(stratum, *pair), classes, strata_are_classes=False)
    return Agreement(result, weigh[0], NOT_DRAWN_HERE)


def _codes(names: tuple[str, ...], codes: dict[str, int]) -> NDArray[np.int64]:
    return np.array([codes[name] for name in names], dtype=np.int64)


def _without_chance(result: Assessment) -> Assessment:
    plain = {
        name: OfClass(Estimate(c.users.value), Estimate(c.producers.value), Estimate(None), None)
        for name, c in result.classes.items()
    }
    return Assessment(
        n=result.n,
        overall=Estimate(result.overall.value),
        classes=plain,
        proportions=result.proportions,
        quantity=result.quantity,
        allocation=result.allocation,
        cautions=(),
    )


def _strata(sheet: Sheet, names: tuple[str, ...], weigh: tuple[str, ...]) -> Strata:
    return Strata(names, sheet.numbers(weigh[0]), sheet.numbers("units") if "units" in weigh else None)


def _weighing(sheet: Sheet) -> tuple[str, ...]:
    """Returns the columns that weigh strata: one of area, pixels, weight, and units beside or instead of it."""
    found = [name for name in AREAS if sheet.has(name)]
    if not found or len(found) > 1 + ("units" in found):
        said = f"has both {' and '.join(found)}" if found else "says nothing about the size of strata"
        raise BadInput(f"{sheet.name} {said}.", "name one column area (or pixels, weight, units)")
    return tuple(found)


def _only(sheet: Sheet, names: tuple[str, ...]) -> str:
    found = [name for name in names if sheet.has(name)]
    if len(found) != 1:
        said = f"has {' and '.join(found)}" if found else "does not say which column names the map classes"
        raise BadInput(f"{sheet.name} {said}.", f"name one column {', '.join(names[:-1])} or {names[-1]}")
    return found[0]


def _named(names: tuple[str, ...], sheet: str, column: str) -> None:
    if not names:
        raise BadInput(f"{sheet} has no row.", "give one row for each stratum")
    if not all(names):
        raise BadInput(f"{sheet} has a row without a name in the column {column}.", "name every stratum")


def _labelled(sheet: Sheet, cells: tuple[str, ...], column: str) -> None:
    empty = [line for cell, line in zip(cells, sheet.lines, strict=True) if not cell]
    if empty:
        raise BadInput(
            f"{len(empty)} points of {sheet.name} have no {column} class, the first in line {empty[0]}.",
            "take points without an answer out, and say how many there were",
        )
