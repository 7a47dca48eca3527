"""What labels have to fulfil: polygons and points record by record, rasters code by code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from geoml_ops.core.flow import Check
from geoml_ops.core.grid import Bounds
from geoml_ops.domain.checks.rules import Row, Rule, whole

LABELLED = ("label", "problem", "crs", "inside", "weight")
CODED = ("code", "label", "pixels", "crs", "inside")
MOST_VERTICES = 10_000
POLYGONS, POINTS = ("Polygon", "MultiPolygon"), ("Point", "MultiPoint")
_ANY = 1e-9


def label_rules(known: Sequence[str], what: str = "polygons") -> tuple[Rule, ...]:
    """Rules about labelled records; rows have the columns ``LABELLED``.

    Args:
        known: every label name that the experiment maps or ignores.
        what: the records are, from :func:`what_they_are`.
    """
    return (
        *whole(LABELLED, LABELLED, "label", None, what),
        _crs(what),
        _names(known),
        Rule(
            name="geometry valid",
            about="in set",
            column="problem",
            allowed=("",),
            passed=f"All {what} are valid.",
            failed=f"Invalid {what}: {{found}}.",
        ),
        Rule(
            name="overlap",
            about="between",
            column="inside",
            low=1.0,
            mostly=0.5,
            passed=f"Most {what} lie on a scene.",
            failed=f"The labels lie outside the scenes: more than half of the {what} touch no accepted scene.",
        ),
        Rule(
            name="complete overlap",
            about="between",
            column="inside",
            low=1.0,
            blocking=False,
            passed=f"All {what} touch a scene.",
            failed=f"Some {what} touch no accepted scene; they give no samples.",
        ),
        Rule(
            name="weights",
            about="in set",
            column="weight",
            allowed=("",),
            passed="Every weight is a number from 0.",
            failed="Weights must be numbers from 0: {found}.",
        ),
    )


def code_rules(known: Sequence[str]) -> tuple[Rule, ...]:
    """Rules about a raster of labels; rows have the columns ``CODED``, one for each code that occurs.

    Args:
        known: every label name that the experiment maps or ignores.
    """
    return (
        *whole(CODED, ("code", "pixels", "crs", "inside"), "code", None, "codes"),
        _crs("raster"),
        Rule(
            name="codes named",
            about="not null",
            column="label",
            key="code",
            passed="The legend names every code.",
            failed="The legend does not name {found}.",
        ),
        _names(known),
        Rule(
            name="overlap",
            about="between",
            column="inside",
            low=1.0,
            mostly=_ANY,
            passed="Labelled pixels lie on a scene.",
            failed="The labels lie outside the scenes: no labelled pixel lies on an accepted scene.",
        ),
        Rule(
            name="complete overlap",
            about="between",
            column="inside",
            low=1.0,
            key="label",
            blocking=False,
            passed="Every code lies on a scene.",
            failed="Some codes lie on no accepted scene; they give no samples.",
        ),
    )


def _crs(what: str) -> Rule:
    return Rule(
        name="label CRS",
        about="matches",
        column="crs",
        pattern=r"EPSG:\d{4,6}",
        passed=f"The CRS of the {what} is one that EPSG lists.",
        failed=f"The CRS of the {what} has no EPSG code: {{found}}.",
    )


def _names(known: Sequence[str]) -> Rule:
    listed = ", ".join(known).replace("{", "{{").replace("}", "}}")
    return Rule(
        name="class names",
        about="in set",
        column="label",
        allowed=tuple(known),
        passed="Every class name is known to the experiment.",
        failed=f"Unknown class names: {{found}}; the experiment knows {listed}.",
    )


def what_they_are(geometries: NDArray[np.object_]) -> str:
    """Returns what to call records of these geometries: polygons, points, or records where both are there."""
    kinds = {geometry.geom_type for geometry in geometries if geometry is not None}
    points = bool(kinds & set(POINTS))
    return "points" if points and not kinds & set(POLYGONS) else "records" if points else "polygons"


def describe_records(
    geometries: NDArray[np.object_],
    labels: Sequence[str | None],
    crs: str,
    inside: NDArray[np.bool_],
    *,
    weights: Sequence[str] = (),
    degrees: bool = False,
) -> list[Row]:
    """Returns one row per record with the columns ``LABELLED``.

    Args:
        geometries: shapely geometries; None where a row has none.
        labels: class name of each; None or empty where it has none.
        crs: of the geometries.
        inside: whether each touches a scene, from :func:`touching`.
        weights: what is wrong with the weight of each; empty where nobody asks.
        degrees: whether coordinates are longitude and latitude.
    """
    flaws = weights or [""] * len(labels)
    return [
        {
            "label": label or None,
            "problem": _flaw(geometry, degrees),
            "crs": crs,
            "inside": float(touches),
            "weight": flaw,
        }
        for geometry, label, touches, flaw in zip(geometries, labels, inside, flaws, strict=True)
    ]


def describe_codes(
    counts: Mapping[int, int], names: Mapping[int, str], crs: str, inside: Mapping[int, bool]
) -> list[Row]:
    """Returns one row per code that occurs with the columns ``CODED``, the most frequent first.

    Args:
        counts: pixels of each code, without nodata.
        names: the legend.
        crs: of the raster.
        inside: whether a pixel of each code lies on a scene.
    """
    return [
        {
            "code": f"{code} ({count:,} pixels)",
            "label": names.get(code),
            "pixels": float(count),
            "crs": crs,
            "inside": float(inside.get(code, False)),
        }
        for code, count in sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    ]


def touching(geometries: NDArray[np.object_], scenes: Sequence[Bounds]) -> NDArray[np.bool_]:
    """Returns which geometries share ground with any of the scenes; both in the same CRS."""
    ground = shapely.union_all([shapely.box(*bounds.as_tuple()) for bounds in scenes])
    with np.errstate(invalid="ignore"):
        return np.asarray(shapely.intersects(geometries, ground), dtype=bool)


def one_class_check(labels: Sequence[str | None], what: str = "polygons") -> Check:
    """Returns whether the delivery names several classes; one class alone may still extend others."""
    names = sorted({label for label in labels if label})
    several = len(names) > 1
    return Check(
        name="several classes",
        passed=several,
        blocking=False,
        sentence=f"The {what} name {len(names)} classes."
        if several
        else f"The {what} name one class only ({', '.join(names)[:200] or 'none'}); alone they cannot train a model.",
    )


def _flaw(geometry: Any, degrees: bool) -> str:
    if geometry is None or shapely.is_empty(geometry):
        return "empty geometry"
    if geometry.geom_type not in POLYGONS + POINTS:
        return f"{geometry.geom_type} instead of a polygon or a point"
    places = shapely.get_coordinates(geometry)
    if not np.isfinite(places).all():
        return "coordinates that are no numbers"
    if degrees and np.abs(places[:, 1]).max() > 90:
        return f"a latitude of {places[np.abs(places[:, 1]).argmax(), 1]:g} degrees"
    if degrees and np.abs(places[:, 0]).max() > 360:
        return f"a longitude of {places[np.abs(places[:, 0]).argmax(), 0]:g} degrees"
    if geometry.geom_type in POINTS:
        return ""
    rings = shapely.get_rings(shapely.get_parts(geometry))
    if shapely.get_num_coordinates(rings).max() > MOST_VERTICES:
        return f"a ring of more than {MOST_VERTICES} vertices"
    reason = str(shapely.is_valid_reason(geometry))
    return "" if reason == "Valid Geometry" else reason
