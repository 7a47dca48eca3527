"""What polygons, points and rasters give together: no pixel for two classes, none twice, and no class too many."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

Index = NDArray[np.int64]
FORMS = ("polygons", "points", "raster")
"""What labels are; where several of them give one pixel, it is counted for the first of these."""
Claims = Callable[[Index, Index, Index], NDArray[np.bool_]]
"""From rows, columns and class codes to whether somebody claims the pixel for another class."""


@dataclass(frozen=True)
class Candidates:
    """Labelled pixels of a scene; arrays have one entry per pixel.

    Attributes:
        rows: in the scene's grid.
        cols: in the scene's grid.
        code: class code, from 0.
        form: position in :data:`FORMS` of what they come from.
        unit: name of what they belong to: a polygon, a point, or the pixel itself.
        order: of units of a class, when not all can stay; lower ones first.
        rank: of the pixel in its unit, from 0.
        anchor_easting: of the place that stands for the unit.
        anchor_northing: of the place that stands for the unit.
        origin: id of the labels.
        weight: how much the sample counts, from 0.
    """

    rows: Index
    cols: Index
    code: Index
    form: Index
    unit: NDArray[np.object_]
    order: NDArray[np.uint64]
    rank: Index
    anchor_easting: NDArray[np.float64]
    anchor_northing: NDArray[np.float64]
    origin: NDArray[np.object_]
    weight: NDArray[np.float64]

    def __len__(self) -> int:
        """Number of pixels."""
        return len(self.rows)

    def part(self, index: NDArray[Any]) -> Candidates:
        """Returns some of them: a mask, or positions in the wanted order."""
        return Candidates(**{field.name: getattr(self, field.name)[index] for field in fields(self)})


def together(parts: Sequence[Candidates]) -> Candidates:
    """Returns all candidates of several origins, in their order; at least one part is given."""
    return Candidates(
        **{field.name: np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(Candidates)}
    )


def settled(found: Candidates, claims: Sequence[Claims]) -> tuple[Candidates, dict[str, int]]:
    """Returns candidates of which each pixel is there once and no one claims it for another class, by row and column.

    Args:
        found: of all origins.
        claims: one for each origin.

    Returns:
        The candidates that stay, and how many pixels did not, by reason.
    """
    disputed = np.zeros(len(found), dtype=bool)
    for claim in claims:
        disputed |= claim(found.rows, found.cols, found.code)
    left_out = {"pixels_of_two_classes": len(np.unique(_pixels(found)[disputed], axis=0))}
    found = found.part(~disputed)
    by = np.lexsort((np.arange(len(found)), found.form))
    _, first = np.unique(_pixels(found)[by], axis=0, return_index=True)
    left_out["pixels_twice"] = len(found) - len(first)
    return found.part(by[first]), left_out


def thinned(
    code: Index, order: NDArray[np.uint64], rank: Index, unit: NDArray[np.object_], most: int | None
) -> NDArray[np.bool_]:
    """Returns which candidates stay where a class may have no more than ``most``; all where it is None.

    Units of a class take turns: the first pixel of each, then the second of each that has one, and so on. So a
    class that is too large loses pixels before it loses polygons. Of equal ones the first stay.

    Args:
        code: class code of each candidate.
        order: of its unit.
        rank: in its unit.
        unit: its name; tells units apart that share an order.
        most: largest number of candidates of a class.
    """
    stays = np.ones(len(code), dtype=bool)
    if most is None or not len(code):
        return stays
    name = np.unique(unit.astype(str), return_inverse=True)[1]
    by = np.lexsort((np.arange(len(code)), name, order, rank, code))
    mine = code[by]
    stays[by[np.arange(len(by)) - np.searchsorted(mine, mine, side="left") >= most]] = False
    return stays


def _pixels(found: Candidates) -> Index:
    return np.column_stack([found.rows, found.cols])
