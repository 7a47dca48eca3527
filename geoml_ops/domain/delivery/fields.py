"""What the records of a label file say beside their class: numbers, and how much each counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

MOST_FIELDS = 200
_TAKEN = {"fid", "geom", "ogc_fid", "rowid"}


def numbers_of(values: Sequence[Any]) -> NDArray[np.float64] | None:
    """Returns a field as numbers ``(n,)``, NaN where a record has none; None where a value is no number."""
    found = np.full(len(values), np.nan)
    for place, value in enumerate(values):
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int | float):
            return None
        found[place] = value
    return found


def number_fields(columns: Mapping[str, Sequence[Any]], *besides: str) -> dict[str, NDArray[np.float64]]:
    """Returns the fields that hold numbers, by name, in their order; without what no GeoPackage could hold.

    Args:
        columns: values of each field.
        besides: fields that are kept otherwise.
    """
    taken = _TAKEN | {name.lower() for name in besides}
    found: dict[str, NDArray[np.float64]] = {}
    for name, values in columns.items():
        plain = name.strip() == name and 0 < len(name) <= 60 and name.isprintable() and name.lower() not in taken
        numbers = numbers_of(values) if plain and len(found) < MOST_FIELDS else None
        if numbers is not None and not np.isnan(numbers).all():
            found[name] = numbers
            taken = taken | {name.lower()}
    return found


def weight_flaws(values: Sequence[Any]) -> list[str]:
    """Returns what is wrong with each weight; empty text where nothing is. A record may have none."""
    return [_flaw(value) for value in values]


def _flaw(value: Any) -> str:
    if value is None or (isinstance(value, float) and np.isnan(value)):
        return ""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return f"{str(value)[:40]!r} is no number"
    return "" if 0 <= value < np.inf else f"{value:g} is not a number from 0"
