"""What segments can be told, and features brought to a common scale by given ranges."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from geoml_ops.core.errors import BadInput
from geoml_ops.core.grid import Value
from geoml_ops.domain.covariates.naming import label_of

Ends = Annotated[tuple[float, float], Field(strict=False)]


class ObjectOptions(Value):
    """What segments can be told.

    Attributes:
        ranges: feature to the numbers that stand for 0 and 1 where likeness is measured; beyond them all is alike.
            They are given, not found in each scene, so that outliers do not decide and scenes are cut alike.
        method: ``slic`` (compact segments of about one size) or ``felzenszwalb`` (of any size and shape).
        size_px: edge of a segment that SLIC aims at.
        compactness: of SLIC; how many units of scaled features weigh as much as ``size_px`` pixels of distance.
        iterations: of SLIC.
        scale: of Felzenszwalb; the larger, the larger are segments.
        least_px: smaller segments join their most similar neighbour; None for a quarter of ``size_px`` squared.
        most_gib: of memory beyond the features themselves; a scene that needs more is refused.
    """

    ranges: dict[str, Ends] = Field(default_factory=dict)
    method: Literal["slic", "felzenszwalb"] = "slic"
    size_px: int = Field(20, ge=2, le=2000)
    compactness: float = Field(0.1, gt=0)
    iterations: int = Field(10, ge=1, le=100)
    scale: float = Field(100.0, gt=0)
    least_px: int | None = Field(None, ge=1)
    most_gib: float = Field(8.0, gt=0)

    @property
    def least(self) -> int:
        """Pixels of the smallest segment that has a neighbour."""
        return max(1, self.size_px**2 // 4) if self.least_px is None else self.least_px


def ranges_of(features: Mapping[str, NDArray[np.floating[Any]]], options: ObjectOptions) -> list[tuple[float, float]]:
    """Returns the range of each feature, in their order.

    Raises:
        BadInput: one is missing, turned over, or of no feature; the sentence says what the scene itself holds.
    """
    given = {label_of(name): ends for name, ends in options.ranges.items()}
    known = {label_of(name) for name in features}
    if stray := sorted(set(given) - known):
        raise BadInput(f"options.ranges names {', '.join(s[:60] for s in stray)}.", f"use {', '.join(sorted(known))}")
    missing = [name for name in features if label_of(name) not in given]
    if missing:
        held = ", ".join(f"{label_of(name)}: {_spread(features[name])}" for name in missing)
        raise BadInput(
            f"Segments need a range of {', '.join(m[:60] for m in missing)}, the same for all scenes.",
            f"options.ranges: {{{held}}} (2nd to 98th percentile of this scene)",
        )
    for name, (low, high) in given.items():
        if not low < high:
            raise BadInput(f"The range of {name[:60]} goes from {low:g} to {high:g}.", "give the lower number first")
    return [given[label_of(name)] for name in features]


def _spread(layer: NDArray[np.floating[Any]]) -> str:
    step = max(1, int(np.sqrt(layer.size / 1e6)))
    part = layer[::step, ::step]
    seen = part[np.isfinite(part)]
    low, high = np.percentile(seen, [2, 98]) if len(seen) else (0.0, 1.0)
    return f"[{low:.4g}, {high:.4g}]"


def scaled(layers: Sequence[NDArray[np.floating[Any]]], ranges: Sequence[tuple[float, float]]) -> NDArray[np.float32]:
    """Returns ``(feature, y, x)`` from 0 to 1, NaN in all features of a pixel where one of them is not finite.

    Args:
        layers: ``(y, x)`` each.
        ranges: low and high of each.
    """
    found = np.empty((len(layers), *layers[0].shape), dtype=np.float32)
    step = max(1, (1 << 20) // found.shape[2])
    for rows in (slice(r, r + step) for r in range(0, found.shape[1], step)):
        for i, (layer, (low, high)) in enumerate(zip(layers, ranges, strict=True)):
            part = layer[rows].astype(np.float64)
            found[i, rows] = np.where(np.isfinite(part), np.clip((part - low) / (high - low), 0.0, 1.0), np.nan)
        found[:, rows][:, np.isnan(found[:, rows]).any(axis=0)] = np.nan
    return found
