"""What a tile looked like, in a few numbers: the evidence that monitoring compares.

The unit of evidence is a tile, never a pixel: neighbouring pixels repeat each other.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoml_ops.core.grid import Grid

Columns = dict[str, list[float | None]]


def edges_of(classes: NDArray[np.uint8], valid: NDArray[np.bool_]) -> tuple[int, int]:
    """Returns how many 4-neighbour pairs of valid pixels differ in class, and how many pairs there are."""
    differ = pairs = 0
    for a, b in (((slice(None), slice(1, None)), (slice(None), slice(-1))), ((slice(1, None),), (slice(-1),))):
        both = valid[a] & valid[b]
        pairs += int(np.count_nonzero(both))
        differ += int(np.count_nonzero(both & (classes[a] != classes[b])))
    return differ, pairs


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
    rows: list[dict[str, float | None]] = []
    for window in grid.tiles(tile_px):
        here = grid.inside(window).bounds
        block = dn[:, *window.slices()]
        observed = np.asarray(np.isfinite(block).all(axis=0))
        row: dict[str, float | None] = {
            "easting": (here.left + here.right) / 2,
            "northing": (here.bottom + here.top) / 2,
            "n_px": float(observed.size),
            "valid_share": float(observed.mean()),
        }
        row.update(_moments(bands, block, observed))
        if classes is not None:
            row.update(_answers(classes[window.slices()], class_names, nodata_class))
            if confidence is not None:
                answered = classes[window.slices()] != nodata_class
                values = confidence[window.slices()][answered]
                row["confidence"] = float(values.mean()) if values.size else None
        rows.append(row)
    return {name: [row[name] for row in rows] for name in (rows[0] if rows else ())}


def _moments(
    bands: Sequence[str], block: NDArray[np.floating[Any]], observed: NDArray[np.bool_]
) -> dict[str, float | None]:
    """Returns mean, standard deviation and three percentiles of every band, of pixels observed in all of them."""
    found = block.reshape(len(block), -1) if observed.all() else block[:, observed]
    if not found.shape[1]:
        return {f"{name}:{part}": None for name in bands for part in ("mean", "sd", "p01", "p50", "p99")}
    # Sorting float32 is an eighth of the work of numpy 2's percentile, for the same numbers.
    ordered, apart = np.sort(found, axis=1), found.astype(np.float64)
    middle = apart.mean(axis=1)
    apart -= middle[:, np.newaxis]
    spread = np.sqrt(np.einsum("bp,bp->b", apart, apart) / found.shape[1])
    said: dict[str, float | None] = {}
    for name, mean, sd, numbers in zip(bands, middle.tolist(), spread.tolist(), ordered, strict=True):
        low, median, high = (_quantile(numbers, share) for share in (0.01, 0.5, 0.99))
        said |= {f"{name}:mean": mean, f"{name}:sd": sd, f"{name}:p01": low, f"{name}:p50": median, f"{name}:p99": high}
    return said


def _quantile(ordered: NDArray[np.floating[Any]], share: float) -> float:
    """Returns a quantile, straight between neighbours in order (definition 7 of Hyndman and Fan 1996)."""
    place = share * (ordered.size - 1)
    below = int(place)
    a, b = float(ordered[below]), float(ordered[min(below + 1, ordered.size - 1)])
    # As numpy does it, from the nearer neighbour.
    part = place - below
    return b - (b - a) * (1.0 - part) if part >= 0.5 else a + (b - a) * part


def _answers(classes: NDArray[np.uint8], names: Sequence[str], nodata_class: int) -> dict[str, float | None]:
    answered = classes != nodata_class
    n = int(answered.sum())
    counts = np.bincount(classes[answered], minlength=len(names)) if n else np.zeros(len(names))
    shares: dict[str, float | None] = {
        f"class:{name}": float(counts[code] / n) if n else None for code, name in enumerate(names)
    }
    return shares | {"edge_density": edge_density(classes, answered)}
