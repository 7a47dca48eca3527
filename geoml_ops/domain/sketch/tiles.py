"""What a tile looked like, in a few numbers: the evidence that monitoring compares.

The unit of evidence is a tile, never a pixel: neighbouring pixels repeat each other.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoml_ops.core.grid import Grid
from geoml_ops.domain.sketch.ordered import Ordered, ordered

Row = list[float | None]
Columns = dict[str, Row]
_FEW_CLASSES = 12
_NO_ANSWER = 255
_SHARES = {"p01": 0.01, "p50": 0.5, "p99": 0.99}


@dataclass(frozen=True)
class Place:
    """Where a tile is: its centre in the map's CRS, and its longer edge in CRS units."""

    easting: float
    northing: float
    edge_m: float


@dataclass(frozen=True)
class Answers:
    """What was answered in a tile, counted.

    Attributes:
        known: ``(y, x)`` where there is an answer.
        n: pixels with one.
        counts: of them by class code.
        n_differ: pairs of answered neighbours whose classes differ.
        n_pairs: pairs of answered neighbours.
    """

    known: NDArray[np.bool_]
    n: int
    counts: tuple[int, ...]
    n_differ: int
    n_pairs: int

    @property
    def everywhere(self) -> bool:
        """Whether every pixel has an answer."""
        return self.n == self.known.size


def place_of(grid: Grid) -> Place:
    """Returns where a tile on this grid is."""
    here = grid.bounds
    return Place(
        (here.left + here.right) / 2,
        (here.bottom + here.top) / 2,
        max(here.right - here.left, here.top - here.bottom),
    )


def answers_of(classes: NDArray[np.uint8], n_classes: int, nodata_class: int = _NO_ANSWER) -> Answers:
    """Returns what was answered in a tile.

    Args:
        classes: ``(y, x)`` codes, ``nodata_class`` for "no answer".
        n_classes: how many there are.
        nodata_class: the code that stands for "no answer".
    """
    flat = np.ascontiguousarray(classes)
    known = np.asarray(flat != nodata_class)
    return Answers(known, int(np.count_nonzero(known)), class_counts(flat, n_classes), *edges_of(flat, known))


def class_counts(classes: NDArray[np.uint8], n_classes: int) -> tuple[int, ...]:
    """Returns how many pixels have each code from 0 to ``n_classes - 1``."""
    if n_classes > _FEW_CLASSES:
        return tuple(np.bincount(classes.ravel(), minlength=256)[:n_classes].tolist())
    flat = np.ascontiguousarray(classes)
    return tuple([int(np.count_nonzero(flat == code)) for code in range(n_classes)])


def edges_of(classes: NDArray[np.uint8], valid: NDArray[np.bool_]) -> tuple[int, int]:
    """Returns how many 4-neighbour pairs of valid pixels differ in class, and how many pairs there are."""
    height, width = classes.shape
    across, down = classes[:, 1:] != classes[:, :-1], classes[1:] != classes[:-1]
    if valid.all():
        pairs = height * max(width - 1, 0) + max(height - 1, 0) * width
        return int(np.count_nonzero(across)) + int(np.count_nonzero(down)), pairs
    beside, below = valid[:, 1:] & valid[:, :-1], valid[1:] & valid[:-1]
    differ = int(np.count_nonzero(across & beside)) + int(np.count_nonzero(down & below))
    return differ, int(np.count_nonzero(beside)) + int(np.count_nonzero(below))


def edge_density(classes: NDArray[np.uint8], valid: NDArray[np.bool_]) -> float | None:
    """Returns the share (0 to 1) of 4-neighbour pairs of valid pixels whose classes differ; None without pairs."""
    differ, pairs = edges_of(classes, valid)
    return differ / pairs if pairs else None


def sketch_tiles(
    dn: NDArray[np.float32],
    bands: Sequence[str],
    grid: Grid,
    tile_px: int,
    *,
    classes: NDArray[np.uint8] | None = None,
    confidence: NDArray[np.float32] | None = None,
    class_names: Sequence[str] = (),
    nodata_class: int = 255,
) -> Columns:
    """Returns one row per tile, column by column.

    Args:
        dn: ``(band, y, x)`` in the contract's radiometry, NaN where not observed.
        bands: names of the bands in array order.
        grid: where the array is.
        tile_px: edge of a tile in pixels; the last tiles of a row or column may be smaller.
        classes: ``(y, x)`` class codes, ``nodata_class`` where there is no answer.
        confidence: ``(y, x)`` probability (0 to 1) of the winning class.
        class_names: names in code order.
        nodata_class: the code that stands for "no answer".

    Returns:
        ``easting``, ``northing`` (tile centre), ``n_px``, ``valid_share``; per band ``<band>:mean``,
        ``:sd``, ``:p01``, ``:p50``, ``:p99`` in DN; with a map also ``class:<name>`` shares,
        ``confidence`` and ``edge_density``. A number that does not exist in a tile is None.
    """
    if len(bands) != len(dn):
        raise ValueError(f"{len(bands)} names for {len(dn)} bands")
    rows = []
    for window in grid.tiles(tile_px):
        here = window.slices()
        rows.append(
            sketch_tile(
                dn[:, *here],
                place_of(grid.inside(window)),
                ordered(dn[:, *here]),
                answers=None if classes is None else answers_of(classes[here], len(class_names), nodata_class),
                confidence=None if confidence is None else confidence[here],
            )
        )
    names = tile_columns(bands, class_names, classes=classes is not None, confidence=confidence is not None)
    return {name: [row[at] for row in rows] for at, name in enumerate(names)} if rows else {}


def tile_columns(
    bands: Sequence[str], class_names: Sequence[str], *, classes: bool = True, confidence: bool = True
) -> tuple[str, ...]:
    """Returns what the numbers of :func:`sketch_tile` are called, in order.

    Args:
        bands: names of the bands.
        class_names: names in code order.
        classes: whether there is a map.
        confidence: whether it says how sure it is; counts with a map only.
    """
    of_bands = [f"{name}:{part}" for name in bands for part in ("mean", "sd", *_SHARES)]
    of_map = [*(f"class:{name}" for name in class_names), "edge_density", *["confidence"] * confidence]
    return "easting", "northing", "n_px", "valid_share", *of_bands, *(of_map if classes else ())


def sketch_tile(
    dn: NDArray[Any],
    place: Place,
    in_order: Ordered | None,
    *,
    answers: Answers | None = None,
    confidence: NDArray[np.float32] | None = None,
) -> Row:
    """Returns the row of one tile, as :func:`sketch_tiles` does for each, in the order of :func:`tile_columns`.

    Args:
        dn: ``(band, y, x)`` of the tile, of any kind.
        place: where the tile is.
        in_order: what :func:`~geoml_ops.domain.sketch.ordered.ordered` says of ``dn``.
        answers: of its map.
        confidence: ``(y, x)``, 0 to 1.
    """
    row: Row = [place.easting, place.northing, float(dn.shape[1] * dn.shape[2])]
    if in_order is not None and len(in_order.numbers) == len(dn):
        row += [1.0, *_moments_of(in_order)]
    else:
        observed = np.asarray(np.isfinite(dn).all(axis=0))
        row += [float(observed.mean()), *_moments(dn, observed)]
    if answers is None:
        return row
    n = answers.n
    row += [count / n if n else None for count in answers.counts]
    row.append(answers.n_differ / answers.n_pairs if answers.n_pairs else None)
    if confidence is not None:
        # Copied row by row, which is the order that a mask of every pixel takes them in.
        values = confidence.ravel() if answers.everywhere else confidence[answers.known]
        row.append(float(values.mean()) if values.size else None)
    return row


def _moments_of(in_order: Ordered) -> Row:
    """Returns what :func:`_moments` does, of whole numbers that are all there."""
    n = in_order.numbers.shape[1]
    # Whole numbers of any size: nothing cancels.
    pairs = [
        (total / n, math.sqrt(n * squares - total * total) / n)
        for total, squares in zip(in_order.totals, in_order.squares, strict=True)
    ]
    return [
        number for pair, three in zip(pairs, _quantiles(in_order.numbers), strict=True) for number in (*pair, *three)
    ]


def _moments(block: NDArray[Any], observed: NDArray[np.bool_]) -> Row:
    """Returns mean, standard deviation and three percentiles of every band, of pixels observed in all of them."""
    found = block.reshape(len(block), -1) if observed.all() else block[:, observed]
    if not found.shape[1]:
        return [None] * (5 * len(block))
    # Sorting float32 is an eighth of the work of numpy 2's percentile, for the same numbers.
    in_order, apart = np.sort(found, axis=1), found.astype(np.float64)
    middle = apart.mean(axis=1)
    apart -= middle[:, np.newaxis]
    spread = np.sqrt(np.einsum("bp,bp->b", apart, apart) / found.shape[1])
    every = zip(middle.tolist(), spread.tolist(), _quantiles(in_order), strict=True)
    return [number for mean, sd, three in every for number in (mean, sd, *three)]


def _quantiles(numbers: NDArray[Any]) -> list[list[float]]:
    """Returns three percentiles of each row of numbers that are in order (definition 7 of Hyndman and Fan 1996)."""
    last = numbers.shape[1] - 1
    places = [share * last for share in _SHARES.values()]
    at = [neighbour for place in places for neighbour in (int(place), min(int(place) + 1, last))]
    near = numbers[:, at].astype(np.float64)
    below, above = near[:, ::2], near[:, 1::2]
    part, apart = np.array([place % 1.0 for place in places]), above - below
    # As numpy does it, straight from the nearer neighbour.
    found: list[list[float]] = np.where(part >= 0.5, above - apart * (1.0 - part), below + apart * part).tolist()
    return found
