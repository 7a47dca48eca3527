"""What one piece of classified ground holds, in whole numbers that add up: bands, answers, and how sure they were.

A request is the sum of its tiles. Pairs of neighbours are counted inside tiles only, so edge density alone depends on
how the ground was cut.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoml_ops.core.errors import BadInput
from geoml_ops.core.grid import Grid
from geoml_ops.domain.sketch.bands import Sketch, from_text, sketch_bands
from geoml_ops.domain.sketch.bins import Bins
from geoml_ops.domain.sketch.ordered import Ordered
from geoml_ops.domain.sketch.tiles import Answers, Place, answers_of, place_of

CONFIDENCE_BINS = 20


@dataclass(frozen=True)
class Tally:
    """Counts of one tile, one chip or one request.

    Attributes:
        sketches: one per band.
        n_px: pixels.
        n_answered: pixels with an answer.
        classes: answered pixels by class code.
        confidence: answered pixels by confidence, 20 bins of 0.05 from 0 to 1.
        n_differ: pairs of answered neighbours whose classes differ.
        n_pairs: pairs of answered neighbours.
        n_outside: answered pixels beyond the area of applicability; None where that is not known.
        set_sizes: sum of the sizes of the sets of classes; None where there are none.
        place: of a tile.
    """

    sketches: tuple[Sketch, ...]
    n_px: int
    n_answered: int
    classes: tuple[int, ...]
    confidence: tuple[int, ...] = (0,) * CONFIDENCE_BINS
    n_differ: int = 0
    n_pairs: int = 0
    n_outside: int | None = None
    set_sizes: int | None = None
    place: Place | None = None

    @property
    def valid_share(self) -> float:
        """Answered pixels of all (0 to 1)."""
        return self.n_answered / self.n_px if self.n_px else 0.0

    @property
    def class_shares(self) -> tuple[float, ...]:
        """Of the answered pixels by class code; empty where nothing was answered."""
        return tuple(count / self.n_answered for count in self.classes) if self.n_answered else ()

    @property
    def edge_density(self) -> float | None:
        """Share (0 to 1) of pairs that differ; None without pairs."""
        return self.n_differ / self.n_pairs if self.n_pairs else None

    @property
    def outside_share(self) -> float | None:
        """Of the answered pixels (0 to 1); None where it is not known."""
        return None if self.n_outside is None or not self.n_answered else self.n_outside / self.n_answered

    @property
    def mean_set_size(self) -> float | None:
        """Classes in a set on average; None where it is not known."""
        return None if self.set_sizes is None or not self.n_answered else self.set_sizes / self.n_answered

    def __add__(self, other: Tally) -> Tally:
        """Returns the tally of both, without a place; the order does not matter.

        Raises:
            ValueError: bands or classes are not the same.
        """
        if (len(self.sketches), len(self.classes)) != (len(other.sketches), len(other.classes)):
            raise ValueError("tallies of other bands or classes do not add up")
        return Tally(
            sketches=tuple(a + b for a, b in zip(self.sketches, other.sketches, strict=True)),
            n_px=self.n_px + other.n_px,
            n_answered=self.n_answered + other.n_answered,
            classes=tuple(map(int.__add__, self.classes, other.classes)),
            confidence=tuple(map(int.__add__, self.confidence, other.confidence)),
            n_differ=self.n_differ + other.n_differ,
            n_pairs=self.n_pairs + other.n_pairs,
            n_outside=_both(self.n_outside, other.n_outside),
            set_sizes=_both(self.set_sizes, other.set_sizes),
        )

    def as_json(self) -> dict[str, Any]:
        """Returns the tally as plain JSON; :func:`tally_from` reads it."""
        told = {name: getattr(self, name) for name in _COUNTS}
        place = vars(self.place) if self.place else None
        return {**told, "sketches": [one.to_text() for one in self.sketches], "place": place}


_COUNTS = ("n_px", "n_answered", "classes", "confidence", "n_differ", "n_pairs", "n_outside", "set_sizes")


def tally_from(told: Mapping[str, Any], bins: Sequence[Bins]) -> Tally:
    """Returns the tally that :meth:`Tally.as_json` told.

    Raises:
        BadInput: it is none of these bands.
    """
    try:
        counts = {name: told[name] for name in _COUNTS}
        counts |= {name: tuple(map(int, counts[name])) for name in ("classes", "confidence")}
        sketches = tuple(from_text(text, own) for text, own in zip(told["sketches"], bins, strict=True))
        place = Place(**told["place"]) if told["place"] else None
        return Tally(sketches=sketches, place=place, **counts)
    except (KeyError, TypeError, ValueError, AttributeError):
        raise BadInput("What was kept of a tile is no tally.", "classify the raster again") from None


def total(tallies: Iterable[Tally]) -> Tally:
    """Returns the sum of at least one tally, without a place; one at a time is held."""
    return replace(reduce(Tally.__add__, tallies), place=None)


def tally(
    dn: NDArray[Any],
    bins: Sequence[Bins],
    classes: NDArray[np.uint8],
    n_classes: int,
    *,
    confidence: NDArray[Any] | None = None,
    outside: NDArray[np.bool_] | None = None,
    set_size: NDArray[np.uint8] | None = None,
    ordered: Ordered | None = None,
) -> Tally:
    """Returns the tally of one tile or chip.

    Args:
        dn: ``(band, y, x)`` in the contract's radiometry, float32 (NaN where not observed) or uint16.
        bins: of each band.
        classes: ``(y, x)`` codes, 255 for "no answer".
        n_classes: how many there are.
        confidence: ``(y, x)`` of the winning class: floating point from 0 to 1, or uint8 percent.
        outside: ``(y, x)`` whether an answer lies beyond the area of applicability.
        set_size: ``(y, x)`` classes in the set of each pixel.
        ordered: the numbers of ``dn`` in order, where that is known; it saves time and changes nothing.
    """
    return tally_answers(
        sketch_bands(dn, bins, ordered),
        answers_of(classes, n_classes),
        confidence=confidence,
        outside=outside,
        set_size=set_size,
    )


def tally_answers(
    sketches: Sequence[Sketch],
    answers: Answers,
    *,
    confidence: NDArray[Any] | None = None,
    outside: NDArray[np.bool_] | None = None,
    set_size: NDArray[np.uint8] | None = None,
    place: Place | None = None,
) -> Tally:
    """Returns the tally of one tile whose bands and answers were looked at before.

    Args:
        sketches: one per band.
        answers: what was answered.
        confidence: as :func:`tally` takes it.
        outside: as :func:`tally` takes it.
        set_size: as :func:`tally` takes it.
        place: where the tile is.
    """
    return Tally(
        sketches=tuple(sketches),
        n_px=answers.known.size,
        n_answered=answers.n,
        classes=answers.counts,
        confidence=_confidence(confidence, answers),
        n_differ=answers.n_differ,
        n_pairs=answers.n_pairs,
        n_outside=None if outside is None else int(np.count_nonzero(outside & answers.known)),
        set_sizes=None if set_size is None else int(set_size[answers.known].sum(dtype=np.int64)),
        place=place,
    )


def tally_tiles(
    dn: NDArray[Any],
    bins: Sequence[Bins],
    classes: NDArray[np.uint8],
    n_classes: int,
    *,
    grid: Grid,
    tile_px: int,
    **more: NDArray[Any] | None,
) -> list[Tally]:
    """Returns one tally per tile with its place, row by row; arguments as :func:`tally`, and where the array is."""
    found = []
    for window in grid.tiles(tile_px):
        part = window.slices()
        place = place_of(grid.inside(window))
        layers: dict[str, Any] = {name: None if layer is None else layer[part] for name, layer in more.items()}
        found.append(replace(tally(dn[:, *part], bins, classes[part], n_classes, **layers), place=place))
    return found


def _confidence(confidence: NDArray[Any] | None, answers: Answers) -> tuple[int, ...]:
    if confidence is None:
        return (0,) * CONFIDENCE_BINS
    values = confidence.ravel() if answers.everywhere else confidence[answers.known]
    width = 100 // CONFIDENCE_BINS
    if values.dtype == np.uint8:
        positions = values // np.uint8(width)
    else:
        finite = np.isfinite(values)
        values = values if finite.all() else values[finite]
        positions = np.clip(values * np.float32(CONFIDENCE_BINS), 0, CONFIDENCE_BINS - 1)
    counts = np.bincount(np.minimum(positions, CONFIDENCE_BINS - 1).astype(np.intp), minlength=CONFIDENCE_BINS)
    return tuple(counts.tolist())


def _both(one: int | None, other: int | None) -> int | None:
    return None if one is None or other is None else one + other
