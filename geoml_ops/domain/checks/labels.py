"""What labelled polygons have to fulfil."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from geoml_ops.core.flow import Check
from geoml_ops.core.grid import Bounds
from geoml_ops.domain.checks.rules import Row, Rule, whole

LABELLED = ("label", "problem", "crs", "inside")
MOST_VERTICES = 10_000


def label_rules(known: Sequence[str]) -> tuple[Rule, ...]:
    """Rules about labelled polygons; rows have the columns ``LABELLED``.

    Args:
        known: every label name that the experiment maps or ignores.
    """
    return (
        *whole(LABELLED, LABELLED, "label", None, "polygons"),
        Rule(
            name="label CRS",
            about="matches",
            column="crs",
            pattern=r"EPSG:\d{4,6}",
            passed="The polygons are in a CRS that EPSG lists.",
            failed="The CRS of the polygons has no EPSG code: {found}.",
        ),
        Rule(
            name="class names",
            about="in set",
            column="label",
            allowed=tuple(known),
            passed="Every class name is known to the experiment.",
            failed=f"Unknown class names: {{found}}; the experiment knows {', '.join(known)}.",
        ),
        Rule(
            name="geometry valid",
            about="in set",
            column="problem",
            allowed=("",),
            passed="Every polygon is valid.",
            failed="Invalid polygons: {found}.",
        ),
        Rule(
            name="overlap",
            about="between",
            column="inside",
            low=1.0,
            mostly=0.5,
            passed="Most polygons lie on a scene.",
            failed="The labels lie outside the scenes: more than half of the polygons touch no accepted scene.",
        ),
        Rule(
            name="complete overlap",
            about="between",
            column="inside",
            low=1.0,
            blocking=False,
            passed="Every polygon touches a scene.",
            failed="Some polygons touch no accepted scene; they give no samples.",
        ),
    )


def describe_polygons(
    geometries: NDArray[np.object_], labels: Sequence[str | None], crs: str, inside: NDArray[np.bool_]
) -> list[Row]:
    """Returns one row per polygon with the columns ``LABELLED``.

    Args:
        geometries: shapely geometries; None where a row has none.
        labels: class name of each; None or empty where it has none.
        crs: of the polygons.
        inside: whether each touches a scene, from :func:`touching`.
    """
    return [
        {"label": label or None, "problem": _flaw(geometry), "crs": crs, "inside": float(touches)}
        for geometry, label, touches in zip(geometries, labels, inside, strict=True)
    ]


def touching(geometries: NDArray[np.object_], scenes: Sequence[Bounds]) -> NDArray[np.bool_]:
    """Returns which geometries share ground with any of the scenes; both in the same CRS."""
    ground = shapely.union_all([shapely.box(*bounds.as_tuple()) for bounds in scenes])
    with np.errstate(invalid="ignore"):
        return np.asarray(shapely.intersects(geometries, ground), dtype=bool)


def one_class_check(labels: Sequence[str | None]) -> Check:
    """Returns whether the delivery names several classes; one class alone may still extend others."""
    names = sorted({label for label in labels if label})
    several = len(names) > 1
    return Check(
        name="several classes",
        passed=several,
        blocking=False,
        sentence=f"The polygons name {len(names)} classes."
        if several
        else f"The polygons name one class only ({', '.join(names) or 'none'}); alone they cannot train a model.",
    )


def _flaw(geometry: Any) -> str:
    if geometry is None or shapely.is_empty(geometry):
        return "empty geometry"
    if geometry.geom_type not in ("Polygon", "MultiPolygon"):
        return f"{geometry.geom_type} instead of a polygon"
    rings = shapely.get_rings(shapely.get_parts(geometry))
    if shapely.get_num_coordinates(rings).max() > MOST_VERTICES:
        return f"a ring of more than {MOST_VERTICES} vertices"
    reason = str(shapely.is_valid_reason(geometry))
    return "" if reason == "Valid Geometry" else reason
