"""Which records of vector deliveries are meant, and whether distances to them mean anything."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np
import shapely
from numpy.typing import NDArray
from pydantic import Field

from geoml_ops.core.errors import BadInput
from geoml_ops.core.grid import Grid
from geoml_ops.domain.covariates.recipe import Vectors

Where = dict[str, Annotated[tuple[str | int | float | bool, ...], Field(min_length=1, strict=False)]]
"""Field name to the values of records that are meant; a record must have one of them in every field."""

# Latitude and longitude under their most common codes; others give themselves away by their numbers.
_DEGREES = frozenset({4326, 4258, 4267, 4269, 4283, 4490, 4674, 4979, 6318, 6668, 7844, 9755})
_FARTHEST = 1e8
_STRETCHED = frozenset({3857, 3395, 3785, 900913})


def require_metres(grid: Grid) -> None:
    """Lets grids through whose CRS measures in metres on the ground.

    Raises:
        BadInput: it has degrees, or is a Mercator map of the world, whose metre is ``1 / cos(latitude)`` metres long.
    """
    left, bottom, right, top = grid.bounds.as_tuple()
    like_degrees = grid.pixel_m < 0.1 and max(-left, right) <= 360.0 and max(-bottom, top) <= 90.0
    if grid.epsg in _DEGREES or like_degrees:
        raise BadInput(
            f"The grid in {grid.crs} has pixels of {grid.pixel_m:g} around {left:.6g}, {top:.6g}: those are degrees, "
            "and distances need metres.",
            "bring the scene to a projected CRS, its UTM zone for instance",
        )
    if grid.epsg in _STRETCHED:
        raise BadInput(
            f"In {grid.crs} a metre grows with latitude, to two at 60 degrees; distances in it are no metres.",
            "bring the scene to its UTM zone or to a national grid",
        )


def chosen(name: str, layer: Vectors, where: Where, *, repair: bool) -> tuple[NDArray[np.object_], NDArray[np.int64]]:
    """Returns the geometries that are meant, without heights, and the position of each among the records.

    Args:
        name: of the delivery, for sentences.
        layer: its records.
        where: which of them; all where it is empty.
        repair: whether geometries that cross themselves are made valid (their area by the even-odd rule).

    Raises:
        BadInput: there are none, or some are missing, empty, nowhere on Earth, or invalid and not to be repaired.
    """
    if not len(layer.geometries):
        raise BadInput(f"{name[:60]} holds no records.", "deliver a layer that has some, or leave the covariate out")
    rows = np.flatnonzero(_meant(name, layer, where))
    if not len(rows):
        raise BadInput(f"No record of {name[:60]} has all of {_spoken(where)}.", "choose other values in options.where")
    geometries = layer.geometries[rows]
    absent = np.array([g is None or shapely.is_empty(g) for g in geometries], dtype=bool)
    _refuse(name, rows, absent, "have no geometry", "remove them from the file")
    flat = shapely.force_2d(geometries)
    lost = np.bincount(*_beside(flat), minlength=len(flat)) > 0
    _refuse(name, rows, lost, "have coordinates that no place on a map has", "correct them, or check the layer's CRS")
    return (_repaired(name, rows, flat) if repair else _valid(name, rows, flat)), rows


def _beside(flat: NDArray[np.object_]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    points, owner = shapely.get_coordinates(flat, return_index=True)
    return owner, (~(np.abs(points) <= _FARTHEST).all(axis=1)).astype(np.float64)


def _valid(name: str, rows: NDArray[np.int64], flat: NDArray[np.object_]) -> NDArray[np.object_]:
    # A line may cross itself and stay a line: only areas can be wrong.
    wrong = ~shapely.is_valid(flat) & (shapely.get_dimensions(flat) == 2)
    if wrong.any():
        reason = str(shapely.is_valid_reason(flat[np.flatnonzero(wrong)[0]]))[:80]
        way = "repair the file, or set options.repair: true to take areas by the even-odd rule"
        _refuse(name, rows, wrong, f"are invalid (the first: {reason})", way)
    return flat


def _repaired(name: str, rows: NDArray[np.int64], flat: NDArray[np.object_]) -> NDArray[np.object_]:
    wrong = ~shapely.is_valid(flat) & (shapely.get_dimensions(flat) == 2)
    flat = flat.copy()
    flat[wrong] = shapely.make_valid(flat[wrong])
    _refuse(name, rows, shapely.is_empty(flat), "have nothing left once repaired", "remove them from the file")
    return flat


def _meant(name: str, layer: Vectors, where: Where) -> NDArray[np.bool_]:
    meant = np.ones(len(layer.geometries), dtype=bool)
    for field, values in where.items():
        if field not in layer.fields:
            there = ", ".join(sorted(layer.fields)) or "none"
            raise BadInput(f"{name[:60]} has no field {field[:60]!r}.", f"its fields are {there[:300]}")
        held = [_key(v) for v in layer.fields[field]]
        unknown = [v for v in values if _key(v) not in set(held)]
        if unknown:
            there = ", ".join(sorted({repr(h[1])[:40] for h in held})[:12])
            raise BadInput(
                f"No record of {name[:60]} has {str(unknown[0])[:60]!r} in {field[:60]!r}.", f"it holds {there[:300]}"
            )
        wanted = {_key(v) for v in values}
        meant &= np.array([h in wanted for h in held], dtype=bool)
    return meant


def _key(value: Any) -> tuple[bool, Any]:
    # True is 1 in Python; in a file of records it is not.
    plain = value.item() if isinstance(value, np.generic) else value
    return isinstance(plain, bool), plain if isinstance(plain, str | int | float | None) else str(plain)


def _spoken(where: Mapping[str, tuple[Any, ...]]) -> str:
    return "; ".join(f"{f[:40]} in {', '.join(str(v)[:40] for v in values)[:120]}" for f, values in where.items())


def _refuse(name: str, rows: NDArray[np.int64], bad: NDArray[np.bool_], fact: str, remedy: str) -> None:
    if bad.any():
        which = ", ".join(str(r + 1) for r in rows[bad][:5]) + (" …" if bad.sum() > 5 else "")
        raise BadInput(f"{int(bad.sum())} of {len(rows)} records of {name[:60]} {fact}: record {which}.", remedy)
