"""Which tiles of a map the prediction log counts band by band, and those counts, kept beside each block."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from geoml_ops.core.flow import Bundle
from geoml_ops.domain.sketch import Answers, Ordered, Place, bins_of, sketch_bands, tally_answers
from geoml_ops.domain.tiling import Layers, Pixels
from geoml_ops.steps.swaths import evenly

MOST_TALLIES = 512
"""Tiles of one raster; more of them are spread evenly over it."""


@dataclass(frozen=True)
class Seen:
    """A tile of a block, looked at once for all that is said of it.

    Attributes:
        place: where it is.
        dn: ``(band, y, x)`` in the contract's radiometry.
        in_order: the same numbers in order; None where they are not all there and whole.
        layers: its answers.
        answers: these, counted.
    """

    place: Place
    dn: Pixels
    in_order: Ordered | None
    layers: Layers
    answers: Answers


def counted(rows: int, cols: int) -> frozenset[tuple[int, int]]:
    """Returns the tiles that are counted, by row and column."""
    return frozenset(evenly(rows, cols, MOST_TALLIES))


def tally_of(seen: Seen, bundle: Bundle) -> dict[str, Any]:
    """Returns the counts of one tile, as JSON.

    Args:
        seen: the tile.
        bundle: what answered.
    """
    layers = seen.layers
    found = tally_answers(
        sketch_bands(seen.dn, bins_of(bundle.contract), seen.in_order),
        seen.answers,
        confidence=layers.confidence,
        outside=layers.outside,
        set_size=layers.set_size,
        place=seen.place,
    )
    return found.as_json()
