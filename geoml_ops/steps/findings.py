"""What was found in the blocks of a map, in numbers that are kept beside each block and summed in one order.

A map that goes on after a kill reads them again, so that its statistics are the same to the last digit.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoml_ops.core.flow import Bundle
from geoml_ops.core.grid import Grid, Window
from geoml_ops.domain.sketch import Columns, Row, answers_of, class_counts, ordered, place_of, sketch_tile, tile_columns
from geoml_ops.domain.tiling import Layers, Pixels, nothing
from geoml_ops.steps.swaths import evenly
from geoml_ops.steps.tallies import Seen, counted, tally_of

SKETCH_PX = 128
MOST_TILES = 4096
"""Tiles of one raster that are sketched; more of them are spread evenly over it."""


@dataclass(frozen=True)
class Tiles:
    """Which tiles of a raster are sketched.

    Attributes:
        kept: row and column of each, counted in tiles; None where all are.
        tallied: those of them that the prediction log counts.
    """

    kept: frozenset[tuple[int, int]] | None
    tallied: frozenset[tuple[int, int]] = frozenset()

    @classmethod
    def of(cls, grid: Grid) -> Tiles:
        """Returns those of a raster."""
        rows, cols = -(-grid.height // SKETCH_PX), -(-grid.width // SKETCH_PX)
        kept = None if rows * cols <= MOST_TILES else frozenset(evenly(rows, cols, MOST_TILES))
        return cls(kept, counted(rows, cols))

    def within(self, window: Window) -> list[tuple[int, int]]:
        """Returns those that lie in a block, whose edges are multiples of a tile's."""
        first = window.row // SKETCH_PX, window.col // SKETCH_PX
        last = -(-(window.row + window.height) // SKETCH_PX), -(-(window.col + window.width) // SKETCH_PX)
        return [
            (row, col)
            for row in range(first[0], last[0])
            for col in range(first[1], last[1])
            if self.kept is None or (row, col) in self.kept
        ]


def notes_of(window: Window, dn: Pixels, layers: Layers | None, tiles: Tiles, grid: Grid, bundle: Bundle) -> bytes:
    """Returns what was found in a block, as JSON.

    Args:
        window: the block.
        dn: its pixels ``(band, y, x)``.
        layers: its answers; None where nothing was observed.
        tiles: which ones are sketched.
        grid: of the raster.
        bundle: what answered.
    """
    found: dict[str, Any] = {"n_px": window.width * window.height}
    if layers is not None:
        known = layers.known
        found["known"] = n_known = int(np.count_nonzero(known))
        found["classes"] = list(class_counts(layers.classes, len(bundle.classes)))
        sure = layers.confidence.ravel() if n_known == known.size else layers.confidence[known]
        found["confidence"] = float(sure.sum(dtype=np.float64))
        outside = layers.outside
        found["outside"] = None if outside is None else int(np.count_nonzero(outside))
        found["sets"] = None if layers.set_size is None else int(layers.set_size[known].sum(dtype=np.int64))
    found["tiles"], found["tallies"] = [], []
    for at in tiles.within(window):
        tile, here = _part(at, window)
        seen = _seen(dn[:, *here], None if layers is None else layers.part(here), grid.inside(tile), bundle)
        found["tiles"].append([*at, *_sketch(seen, bundle)])
        if at in tiles.tallied:
            found["tallies"].append([*at, tally_of(seen, bundle)])
    return json.dumps(found, separators=(",", ":")).encode()


def _seen(dn: Pixels, layers: Layers | None, grid: Grid, bundle: Bundle) -> Seen:
    """Returns a tile and what both its sketch and its counts need."""
    part = nothing(grid.shape) if layers is None else layers
    return Seen(place_of(grid), dn, ordered(dn), part, answers_of(part.classes, len(bundle.classes)))


def _part(place: tuple[int, int], window: Window) -> tuple[Window, tuple[slice, slice]]:
    """Returns a tile of a block as a window of the raster, and its rows and columns in the block."""
    row, col = place[0] * SKETCH_PX, place[1] * SKETCH_PX
    tile = Window(
        col=col,
        row=row,
        width=min(SKETCH_PX, window.col + window.width - col),
        height=min(SKETCH_PX, window.row + window.height - row),
    )
    return tile, (
        slice(row - window.row, row - window.row + tile.height),
        slice(col - window.col, col - window.col + tile.width),
    )


def _sketch(seen: Seen, bundle: Bundle) -> Row:
    said = sketch_tile(seen.dn, seen.place, seen.in_order, answers=seen.answers, confidence=seen.layers.confidence)
    return [*said, _outside(seen)] if bundle.applicability is not None else said


def _outside(seen: Seen) -> float | None:
    outside, answers = seen.layers.outside, seen.answers
    return None if outside is None or not answers.n else round(float(outside[answers.known].mean()), 6)


@dataclass
class Findings:
    """What was found in all blocks so far.

    Attributes:
        bundle: what answers.
        n_px: pixels.
        n_known: of them, with an answer.
    """

    bundle: Bundle
    n_px: int = 0
    n_known: int = 0
    _classes: NDArray[np.int64] = field(init=False)
    _confidence: float = 0.0
    _outside: int = 0
    _sets: int = 0
    _tiles: list[tuple[int, int, NDArray[np.float64]]] = field(default_factory=list)
    _tallies: list[tuple[int, int, dict[str, Any]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._classes = np.zeros(len(self.bundle.classes), dtype=np.int64)

    def add(self, notes: bytes) -> None:
        """Adds those of the next block."""
        found = json.loads(notes)
        self.n_px += found["n_px"]
        # Thousands of tiles stay until the end: as arrays, a quarter of what lists of numbers take.
        self._tiles += [(row, col, np.array(said, dtype=np.float64)) for row, col, *said in found["tiles"]]
        self._tallies += [(row, col, said) for row, col, said in found.get("tallies", ())]
        if "known" in found:
            self.n_known += found["known"]
            self._classes += found["classes"]
            self._confidence += found["confidence"]
            self._outside += found["outside"] or 0
            self._sets += found["sets"] or 0

    @property
    def valid_share(self) -> float:
        """Of all pixels, 0 to 1."""
        return round(self.n_known / self.n_px, 6)

    @property
    def class_counts(self) -> list[int]:
        """Pixels of each class, in code order."""
        return [int(count) for count in self._classes]

    @property
    def class_shares(self) -> dict[str, float]:
        """Of the answered pixels, by class name."""
        shares = self._classes / self.n_known
        return {name: round(float(share), 6) for name, share in zip(self.bundle.classes, shares, strict=True)}

    @property
    def mean_confidence(self) -> float:
        """Of the answered pixels, 0 to 1."""
        return round(self._confidence / self.n_known, 6)

    @property
    def outside_share(self) -> float | None:
        """Of the answered pixels; None where the model does not say how far anything is."""
        return None if self.bundle.applicability is None else round(self._outside / self.n_known, 6)

    @property
    def mean_set_size(self) -> float | None:
        """Of the answered pixels; None for a model without sets."""
        return None if self.bundle.conformal is None else round(self._sets / self.n_known, 6)

    @property
    def tallies(self) -> list[dict[str, Any]]:
        """Counts of the tiles that the prediction log keeps, row by row over the raster."""
        return [said for _, _, said in sorted(self._tallies, key=lambda tile: tile[:2])]

    def columns(self, names: Sequence[str]) -> Columns:
        """Returns the sketched tiles, row by row over the raster, in columns of these names."""
        rows = [said for _, _, said in sorted(self._tiles, key=lambda tile: tile[:2])]
        return {
            name: [None if math.isnan(row[at]) else float(row[at]) for row in rows] for at, name in enumerate(names)
        }


def column_names(bundle: Bundle) -> tuple[str, ...]:
    """Returns what the columns of a model's sketches are called, in order."""
    columns = tile_columns(bundle.contract.names, bundle.classes)
    return (*columns, "outside_share") if bundle.applicability is not None else columns
