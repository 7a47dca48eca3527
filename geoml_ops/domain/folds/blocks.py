"""Blocks on the ground: squares or hexagons whose samples are tested together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from geoml_ops.core.errors import BadInput
from geoml_ops.domain.folds.deals import DealtFolds, require_enough
from geoml_ops.domain.folds.samples import Floats, Index, anchors_of_units, numbered, units_of

Shape = Literal["square", "hexagon"]
PITCH = float(np.sqrt(3) / 2)
"""Rows of pointy-top hexagons of width 1 lie this far from each other."""


@dataclass(eq=False, repr=False)
class BlockFolds(DealtFolds):
    """Whole blocks are tested together; a unit lies in the block of its anchor, so no polygon is cut.

    Blocks are identified by the pair of their row and column. They lie on multiples of ``block_m`` of the
    CRS, so a polygon keeps its block when labels of more ground arrive; a moved grid is turned and shifted
    at random, which takes the luck of one grid out of repeats.

    Attributes:
        block_m: edge of a square, or width of a pointy-top hexagon.
        shape: of a block.
        deal: how blocks come to folds: balanced by class (:func:`~geoml_ops.domain.folds.deals.balanced`);
            in turn along rows from the north-west (systematic); or as on a chessboard, which has two folds.
        moved: whether origin and rotation of the grid are random (seeded) instead of the CRS's own.
    """

    block_m: float = 2000.0
    shape: Shape = "square"
    deal: Literal["balanced", "systematic", "checkerboard"] = "balanced"
    moved: bool = False

    @property
    def noun(self) -> tuple[str, str]:
        """What blocks are called, and what to do where they are too few."""
        kept = " (scenes whole, and one where they see the same polygon)" if self.keep_scenes else ""
        remedy = "use fewer folds, smaller blocks or labels of more ground" + (", or drop keep_scenes" if kept else "")
        return f"block{{s}} of {self.block_m:g} m{kept}", remedy

    def fold_of(self) -> Index:
        """Returns the fold of each sample.

        Raises:
            BadInput: no plane in metres, fewer blocks than folds, or a chessboard that cannot be.
        """
        if self.deal == "balanced":
            return super().fold_of()
        cells, unit = self.cells()
        if self.deal == "systematic":
            block = numbered(*cells.T)
            require_enough(int(block.max()) + 1, self.n_folds, *self.noun)
            return (block % self.n_folds)[unit]
        return self._chessboard(cells)[unit]

    def groups(self) -> Index:
        """Returns the block of each sample, ``(n,)`` from 0, row by row from the north-west.

        Raises:
            BadInput: the CRS is not projected, coordinates are no numbers or no metres, or blocks are
                smaller than a pixel.
        """
        cells, unit = self.cells()
        return numbered(*cells.T)[unit]

    def cells(self) -> tuple[Index, Index]:
        """Returns row (from the north) and column of each unit, ``(units, 2)``, and the unit of each sample.

        Raises:
            BadInput: as :meth:`groups`.
        """
        what = f"Blocks of {self.block_m:g} m"
        self.samples.require_metres(what)
        self.samples.require_finite()
        self.samples.require_no_degrees(f"blocks of {self.block_m:g} m", self.block_m)
        if not self.samples.pixel_m <= self.block_m < np.inf:
            raise BadInput(
                f"{what} are smaller than a pixel of {self.samples.pixel_m:g} m."
                if self.block_m < self.samples.pixel_m
                else f"{what} cannot be cut.",
                "use blocks of some hundred metres or more",
            )
        unit = units_of(self.samples, keep_scenes=self.keep_scenes)
        return cells_of(self._placed(anchors_of_units(self.samples, unit)), self.block_m, self.shape), unit

    def _placed(self, places: Floats) -> Floats:
        """Returns places as the grid sees them, in units of a block."""
        if not self.moved:
            return places
        rng = self.rng(stream=1)
        turn, shift = rng.uniform(0, np.pi / (2 if self.shape == "square" else 3)), rng.uniform(0, self.block_m, 2)
        rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
        return np.asarray(places @ rotation.T + shift, dtype=np.float64)

    def _chessboard(self, cells: Index) -> Index:
        if self.n_folds != 2 or self.shape != "square":
            raise BadInput(
                f"A chessboard has squares and 2 folds, not {self.shape}s and {self.n_folds}.",
                "use shape: square and n_folds: 2, or deal: systematic",
            )
        colour = cells.sum(axis=1) % 2
        if len(np.unique(colour)) < 2:
            n_blocks = len(np.unique(cells, axis=0))
            raise BadInput(
                f"All {n_blocks} occupied blocks of {self.block_m:g} m have the same colour of the chessboard.",
                "use deal: balanced, other blocks or labels of more ground",
            )
        return np.asarray(colour, dtype=np.int64)


def cells_of(places: Floats, edge: float, shape: Shape = "square") -> Index:
    """Returns row (counted from the north) and column of each place, ``(n, 2)``.

    Squares have corners on multiples of ``edge``. Hexagons are pointy-top, ``edge`` wide; middles of row
    ``r`` lie at ``r * edge * sqrt(3) / 2``, in odd rows shifted by half an edge, and a place belongs to the
    nearest middle.
    """
    if shape == "square":
        col, row = np.floor(places / edge).astype(np.int64).T
        return np.column_stack([-row, col])
    below = np.floor(places[:, 1] / (edge * PITCH)).astype(np.int64)
    rows = np.stack([below, below + 1])
    shift = (rows % 2) / 2
    cols = np.floor(places[:, 0] / edge - shift + 0.5).astype(np.int64)
    east, north = places[:, 0] - (cols + shift) * edge, places[:, 1] - rows * edge * PITCH
    nearer = np.square(east) + np.square(north)
    upper = nearer[1] < nearer[0]
    return np.column_stack([-np.where(upper, rows[1], rows[0]), np.where(upper, cols[1], cols[0])])
