"""Tiles on the ground as cells of one square lattice, complete or not, and who is next to whom."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from geoml_ops.core.errors import BadInput, TooLarge
from geoml_ops.core.grid import Bounds

Neighbourhood = Literal["queen", "rook"]
MOST_CELLS = 10**8
_ROOK = ((-1, 0), (0, -1), (0, 1), (1, 0))
_QUEEN = ((-1, -1), (-1, 0), (-1, 1), (0, -1), (0, 1), (1, -1), (1, 0), (1, 1))
_SAME = 1e-6


@dataclass(frozen=True, eq=False)
class Lattice:
    """Tiles as cells; row 0 is the northernmost, column 0 the westernmost.

    Attributes:
        rows: ``(n,)`` row of each tile.
        cols: ``(n,)`` column of each tile.
        left: easting of the western edge of column 0, in CRS units.
        top: northing of the northern edge of row 0.
        edge: of a cell, in CRS units, > 0.
    """

    rows: NDArray[np.int64]
    cols: NDArray[np.int64]
    left: float
    top: float
    edge: float

    @classmethod
    def of(cls, easting: NDArray[np.float64], northing: NDArray[np.float64], edge: float) -> Lattice:
        """Returns the lattice that most of the tiles share.

        The last tiles of a raster may be smaller, so that their centres lie beside the middle of a cell; every tile
        belongs to the cell that its centre is in.

        Args:
            easting: ``(n,)`` of tile centres.
            northing: ``(n,)`` of tile centres.
            edge: of a whole tile, in CRS units.

        Raises:
            BadInput: there are no tiles, places that are no numbers, or two tiles in one cell.
            TooLarge: the cells from the first to the last tile are more than can be held.
        """
        if not (np.isfinite(edge) and edge > 0):
            raise BadInput(f"An edge of {edge:g} makes no tile.", "give the edge of a tile in the units of its CRS")
        if not len(easting) or len(easting) != len(northing):
            raise BadInput(f"{len(easting)} eastings and {len(northing)} northings make no tiles.")
        if not (np.isfinite(easting).all() and np.isfinite(northing).all()):
            raise BadInput("Some tile centres are no numbers.", "leave those tiles out")
        across = max(float(np.ptp(easting)), float(np.ptp(northing))) / edge
        if not across < MOST_CELLS:
            raise TooLarge(f"The tiles lie {across:.3g} cells apart; the limit is {MOST_CELLS}.", "look at one region")
        left, cols = _cells(np.asarray(easting, dtype=np.float64), edge)
        bottom, rows = _cells(-np.asarray(northing, dtype=np.float64), edge)
        n_cells = (int(cols.max()) + 1) * (int(rows.max()) + 1)
        if n_cells > MOST_CELLS:
            raise TooLarge(f"The tiles lie in {n_cells} cells; the limit is {MOST_CELLS}.", "look at one region")
        lattice = cls(rows, cols, left, -bottom, float(edge))
        doubled = len(rows) - len(np.unique(lattice.keys))
        if doubled:
            raise BadInput(
                f"{doubled} of {len(rows)} tiles lie in a cell that another one has.", "give one number per tile"
            )
        return lattice

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns from the first tile to the last."""
        return int(self.rows.max()) + 1, int(self.cols.max()) + 1

    @property
    def keys(self) -> NDArray[np.int64]:
        """``(n,)`` one number per cell, row by row."""
        return np.asarray(self.rows * (self.cols.max() + 1) + self.cols)

    def neighbours(self, kind: Neighbourhood, there: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Returns ``(n, 8)`` or ``(n, 4)`` positions of the tiles around each, -1 where there is none.

        Args:
            kind: ``queen`` for all around, ``rook`` for those that share an edge.
            there: ``(n,)`` tiles that have a number; others are nobody's neighbour and have none.
        """
        height, width = self.shape
        held = np.full((height + 2, width + 2), -1, dtype=np.int64)
        held[self.rows[there] + 1, self.cols[there] + 1] = np.flatnonzero(there)
        steps = _QUEEN if kind == "queen" else _ROOK
        found = np.stack([held[self.rows + 1 + down, self.cols + 1 + right] for down, right in steps], axis=1)
        found[~there] = -1
        return found

    def bounds(self, chosen: NDArray[np.int64] | NDArray[np.bool_]) -> Bounds:
        """Returns the rectangle around the cells of some tiles, at least one."""
        rows, cols = self.rows[chosen], self.cols[chosen]
        return Bounds(
            left=self.left + float(cols.min()) * self.edge,
            bottom=self.top - float(rows.max() + 1) * self.edge,
            right=self.left + float(cols.max() + 1) * self.edge,
            top=self.top - float(rows.min()) * self.edge,
        )


def _cells(place: NDArray[np.float64], edge: float) -> tuple[float, NDArray[np.int64]]:
    """Returns where cell 0 begins, and the cell of each place along one axis."""
    first = float(place.min())
    steps = (place - first) / edge
    phase = np.sort(steps % 1.0)
    around = np.concatenate([phase, phase + 1.0])
    agreeing = np.searchsorted(around, phase + 2 * _SAME, side="right") - np.arange(len(phase))
    middle = phase[int(np.argmax(agreeing))]
    middle = middle if middle < 1.0 - _SAME else middle - 1.0
    # The first centre may be that of a smaller tile, on either side of the middle of its cell.
    origin = middle - 0.5
    cells = np.floor(steps - origin + _SAME).astype(np.int64)
    shift = int(cells.min())
    return first + (origin + shift) * edge, np.asarray(cells - shift)
