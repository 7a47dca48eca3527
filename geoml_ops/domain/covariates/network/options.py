"""What a network distance can be told, and what the fields of its lines say."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from geoml_ops.core.errors import BadInput
from geoml_ops.core.grid import Value
from geoml_ops.domain.covariates.planar import Where
from geoml_ops.domain.covariates.recipe import Vectors


class NetworkOptions(Value):
    """What a network distance can be told.

    Attributes:
        where: field to values: only lines that have one of them are part of the network.
        to_where: the same for destinations.
        speed_field: of the lines, km/h; for ``travel_time``.
        speed_kmh: of lines that name no speed; None where all must.
        cost_field: of the lines, cost of a metre; for ``network_cost``.
        oneway_field: of the lines: yes, true, 1, forward; -1, reverse; no, false, 0 or nothing for both ways.
        crossings: whether lines that cross or touch without a common vertex meet there; bridges then do, too.
        merge_m: vertices this near are one.
        access_factor: what a metre off the network counts, in metres or cost.
        access_kmh: speed off the network.
        most_access_m: pixels farther from the network have no way; None for no limit.
        reachable_only: whether a pixel goes to the nearest line from which a destination can be reached, rather
            than to the nearest line whatever it leads to.
    """

    where: Where = Field(default_factory=dict)
    to_where: Where = Field(default_factory=dict)
    speed_field: str = ""
    speed_kmh: float | None = Field(None, gt=0)
    cost_field: str = ""
    oneway_field: str = ""
    crossings: bool = False
    merge_m: float = Field(0.001, ge=0)
    access_factor: float = Field(1.0, ge=0)
    access_kmh: float = Field(5.0, gt=0)
    most_access_m: float | None = Field(None, gt=0)
    reachable_only: bool = False


_ONEWAY = {"yes": 1, "true": 1, "1": 1, "forward": 1, "f": 1, "-1": -1, "reverse": -1, "backward": -1, "t": -1}
_BOTH = {"no", "false", "0", "both", "b", "", "none", "nan"}


def column(name: str, lines: Vectors, field: str) -> NDArray[Any]:
    """Returns a field of the lines.

    Raises:
        BadInput: they have none of this name.
    """
    if field not in lines.fields:
        there = ", ".join(sorted(lines.fields)) or "none"
        raise BadInput(f"{name[:60]} has no field {field[:60]!r}.", f"its fields are {there[:300]}")
    return lines.fields[field]


def directions(name: str, lines: Vectors, field: str) -> NDArray[np.int8]:
    """Returns ``(n,)``: 1 where a line is open in its own direction only, -1 against it only, 0 both ways.

    Raises:
        BadInput: no such field, or a value that says nothing about directions.
    """
    if not field:
        return np.zeros(len(lines.geometries), dtype=np.int8)
    words = [_word(value) for value in column(name, lines, field)]
    unknown = sorted({word for word in words if word not in _ONEWAY and word not in _BOTH})
    if unknown:
        raise BadInput(
            f"{field[:60]} of {name[:60]} holds {', '.join(repr(w[:30]) for w in unknown[:5])}: no directions.",
            "write yes, no or -1",
        )
    return np.array([_ONEWAY.get(word, 0) for word in words], dtype=np.int8)


def _word(value: Any) -> str:
    whole = isinstance(value, float | np.floating) and np.isfinite(value) and float(value).is_integer()
    return str(int(value) if whole else value).strip().lower()


def per_metre(name: str, lines: Vectors, product: str, options: NetworkOptions) -> NDArray[np.float64]:
    """Returns what a metre of each line costs, ``(n,)``: metres, seconds or cost.

    Raises:
        BadInput: a field is missing or holds what is no positive number.
    """
    n = len(lines.geometries)
    if product == "network_distance":
        return np.ones(n)
    if product == "travel_time":
        if not options.speed_field and options.speed_kmh is None:
            raise BadInput("A travel time needs speeds.", "give options.speed_field, or one options.speed_kmh for all")
        default = np.nan if options.speed_kmh is None else options.speed_kmh
        speed = _numbers(name, lines, options.speed_field, default) if options.speed_field else np.full(n, default)
        return np.asarray(3.6 / speed)
    if not options.cost_field:
        raise BadInput("A network cost needs the cost of a metre.", "give options.cost_field")
    return _numbers(name, lines, options.cost_field, np.nan)


def _numbers(name: str, lines: Vectors, field: str, default: float) -> NDArray[np.float64]:
    held = column(name, lines, field)
    try:
        found = np.array([np.nan if v is None or v == "" else v for v in held], dtype=np.float64)
    except (TypeError, ValueError):
        raise BadInput(f"{field[:60]} of {name[:60]} holds text.", "name a field of numbers") from None
    found = np.where(np.isnan(found), default, found)
    bad = ~(np.isfinite(found) & (found > 0))
    if bad.any():
        first = int(np.flatnonzero(bad)[0])
        raise BadInput(
            f"{field[:60]} of {name[:60]} is no positive number in {int(bad.sum())} of {len(bad)} records; "
            f"record {first + 1} has {str(held[first])[:30]}.",
            "fill the field, give options.speed_kmh for lines without a speed, or leave them out with options.where",
        )
    return found
