"""Neighbours of a pixel as steps from it, the same for every pixel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geoml_ops.core.errors import BadInput, TooLarge
from geoml_ops.domain.covariates.lag.options import LagOptions, radius_of, weights_at

MOST_REACH_PX = 80
"""Longest step to a neighbour: a circle of 20,000 pixels, each of which is added for every pixel."""


@dataclass(frozen=True, eq=False)
class Offsets:
    """Steps to neighbours.

    Attributes:
        rows: ``(n,)`` southwards.
        cols: ``(n,)`` eastwards.
        weights: ``(n,)`` above 0.
        reach_px: longest step along either axis.
    """

    rows: NDArray[np.int64]
    cols: NDArray[np.int64]
    weights: NDArray[np.float64]
    reach_px: int


def offsets_of(options: LagOptions, pixel_m: float) -> Offsets:
    """Returns the steps to the neighbours of a pixel, from north-west to south-east.

    Raises:
        BadInput: there are none, or the k nearest would cut a ring of equally near ones.
        TooLarge: they reach beyond :data:`MOST_REACH_PX`.
    """
    reach = _reach(options, pixel_m)
    if reach > MOST_REACH_PX:
        raise TooLarge(
            f"Neighbourhoods of {reach} pixels around each pixel are too large; the limit is {MOST_REACH_PX}.",
            "use a smaller radius, or the lag of a focal mean: mean(…, 9)",
        )
    rows, cols = (a.ravel() for a in np.mgrid[-reach : reach + 1, -reach : reach + 1])
    kept = _meant(rows, cols, options, pixel_m)
    distance_m = np.hypot(rows[kept], cols[kept]) * pixel_m
    weights = weights_at(distance_m, options)
    rows, cols, weights = rows[kept][weights > 0], cols[kept][weights > 0], weights[weights > 0]
    if not len(rows):
        raise BadInput(
            f"No pixel of {pixel_m:g} m has a neighbour that counts within {radius_of(options):g} m.",
            f"give a radius above {pixel_m:g} m",
        )
    return Offsets(rows, cols, weights, int(max(np.abs(rows).max(), np.abs(cols).max())))


def _reach(options: LagOptions, pixel_m: float) -> int:
    if options.kind in ("queen", "rook"):
        return options.order
    if options.kind == "knn":
        return int(np.ceil(np.sqrt(options.k))) + 1
    return int(min(radius_of(options) / pixel_m * (1.0 + 1e-12), 1e6))


def _meant(rows: NDArray[np.int64], cols: NDArray[np.int64], options: LagOptions, pixel_m: float) -> NDArray[np.bool_]:
    squared = rows**2 + cols**2
    match options.kind:
        case "queen":
            return squared > 0
        case "rook":
            return (squared > 0) & (np.abs(rows) + np.abs(cols) <= options.order)
        case "knn":
            return (squared > 0) & (squared <= _ring(squared, options.k))
        case _:
            # A radius of exactly three pixels includes the third, however it is rounded.
            return (squared > 0) & (squared <= (radius_of(options) / pixel_m) ** 2 * (1.0 + 1e-12))


def _ring(squared: NDArray[np.int64], k: int) -> int:
    nearest = np.sort(squared[squared > 0])
    if nearest[k - 1] != nearest[k]:
        return int(nearest[k - 1])
    whole = np.flatnonzero(nearest[1:] != nearest[:-1]) + 1
    below, above = whole[whole < k], whole[whole > k]
    choices = " or ".join(str(int(c)) for c in (*below[-1:], *above[:1]))
    raise BadInput(
        f"The {k} nearest pixels are not one set: several are equally far, and which of them counted would lean to "
        "one side.",
        f"use k: {choices}",
    )
