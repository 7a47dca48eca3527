"""Answers of overlapping tiles joined by weights: a raised cosine that is above 0 wherever a tile answers.

What is joined are probabilities, never class codes; each pixel's weights are those of the tiles that do answer it, so
that edges of the raster and of what was observed are whole.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geoml_ops.domain.tiling.lattice import Box
from geoml_ops.domain.tiling.layers import Answer

Part = tuple[Box, Answer]
"""The pixels that a tile answers, and what it says of exactly these."""


@dataclass(frozen=True)
class Joined:
    """An :class:`~geoml_ops.domain.tiling.layers.Answer` that several tiles gave."""

    probability: NDArray[np.float32]
    valid: NDArray[np.bool_]
    dissimilarity: NDArray[np.float32] | None = None
    density: NDArray[np.float32] | None = None


def slope(tile_px: int, reach_px: int) -> NDArray[np.float32]:
    """Returns the weights along one axis of a tile, ``(tile_px + 2 * reach_px,)``, above 0 everywhere.

    Raised cosine (Hann) flanks, sampled between their ends: with their neighbour's they sum to 1.

    >>> slope(4, 1).round(2).tolist()
    [0.15, 0.85, 1.0, 1.0, 0.85, 0.15]
    """
    weights = np.ones(tile_px + 2 * reach_px, dtype=np.float64)
    rising = (1.0 - np.cos(np.pi * (np.arange(2 * reach_px) + 0.5) / max(2 * reach_px, 1))) / 2.0
    weights[: 2 * reach_px] = rising
    weights[weights.size - 2 * reach_px :] = rising[::-1]
    return weights.astype(np.float32)


def weights_of(cell: Box, box: Box, reach_px: int) -> NDArray[np.float32]:
    """Returns the weights ``(y, x)`` of a tile on a box inside what it answers."""
    rows, cols = box.within(cell.wider(reach_px))
    return np.asarray(
        slope(cell.low - cell.top, reach_px)[rows, np.newaxis]
        * slope(cell.right - cell.left, reach_px)[np.newaxis, cols]
    )


def joined(parts: Iterable[tuple[Box, Part]], box: Box, reach_px: int) -> Joined:
    """Returns the answer for a box, ``[1, …, y, x]``, from the tiles that answer in it.

    The sums run in the order of ``parts``: in one order for the whole raster they give the same bytes wherever the
    raster is cut.

    Args:
        parts: the cell of each tile, what it answers and how; all tiles that answer in the box.
        box: pixels of the raster.
        reach_px: how far answers count beyond a cell.

    Raises:
        ValueError: no part.
    """
    sums: dict[str, NDArray[np.float32]] = {}
    total = np.zeros(box.shape, dtype=np.float32)
    for cell, (covered, answer) in parts:
        common = covered.common(box)
        if common is None:
            continue
        there, here = common.within(covered), common.within(box)
        weights = np.where(answer.valid[0, 0][there], weights_of(cell, common, reach_px), np.float32(0.0))
        total[here] += weights
        for name in ("probability", "dissimilarity", "density"):
            layer = getattr(answer, name)
            if layer is not None:
                into = sums.setdefault(name, np.zeros((layer.shape[1], *box.shape), dtype=np.float32))
                # Nothing times NaN would be NaN: where a tile does not answer, it adds nothing at all.
                into[:, *here] += np.where(weights > 0, layer[0][:, *there], np.float32(0.0)) * weights
    if not sums:
        raise ValueError(f"no tile answers in {box}")
    return _shared(sums, total)


def _shared(sums: dict[str, NDArray[np.float32]], total: NDArray[np.float32]) -> Joined:
    valid = total > 0
    shares = np.where(valid, total, np.float32(1.0))
    probability = np.asarray(sums["probability"] / shares, dtype=np.float32)
    far, near = (_where_valid(sums.get(name), shares, valid) for name in ("dissimilarity", "density"))
    if near is not None:
        # Density counts: where all tiles say 58, a sum of 57.99999 must not become 57.
        near = np.asarray(np.round(near, 2), dtype=np.float32)
    return Joined(probability[np.newaxis], valid[np.newaxis, np.newaxis], far, near)


def _where_valid(
    layer: NDArray[np.float32] | None, shares: NDArray[np.float32], valid: NDArray[np.bool_]
) -> NDArray[np.float32] | None:
    if layer is None:
        return None
    return np.asarray(np.where(valid, layer / shares, np.float32(np.nan)), dtype=np.float32)[np.newaxis]
