"""Whether the cut into tiles can be seen in a map."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray


def seam_score(layers: NDArray[np.floating[Any]], tile_px: int, origin: tuple[int, int] = (0, 0)) -> float | None:
    """Returns how much more neighbouring pixels differ across tile borders than elsewhere; 1 where borders are unseen.

    The mean absolute difference of the pairs of neighbours across borders, over that of all other pairs. None where
    there is no pair of either kind, or nothing differs away from borders nor across them.

    Args:
        layers: ``(class, y, x)`` probabilities, NaN where there is no answer.
        tile_px: edge of a tile.
        origin: row and column at which some tile begins.
    """
    rows = _apart(layers, 1, tile_px, origin[0])
    cols = _apart(layers, 2, tile_px, origin[1])
    across, elsewhere = _mean([rows[0], cols[0]]), _mean([rows[1], cols[1]])
    if across is None or elsewhere is None or max(across, elsewhere) == 0.0:
        return None
    return across / elsewhere if elsewhere > 0.0 else float("inf")


def _apart(
    layers: NDArray[np.floating[Any]], axis: int, tile_px: int, origin: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Returns the differences of neighbours along an axis: those across borders, and all others."""
    length = layers.shape[axis]
    steps = np.abs(np.diff(layers.astype(np.float64), axis=axis))
    border = (np.arange(1, length) - origin) % tile_px == 0
    return steps.compress(border, axis=axis).ravel(), steps.compress(~border, axis=axis).ravel()


def _mean(parts: Sequence[NDArray[np.float64]]) -> float | None:
    found = np.concatenate(parts)
    found = found[np.isfinite(found)]
    return float(found.mean()) if found.size else None
