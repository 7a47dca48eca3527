"""Which labels belong to a recorded design: only those may be called the accuracy of a map."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geoml_ops.core.errors import BadInput

Reals = NDArray[np.float64]
_FOREIGN = "label the points that geoml accuracy draw wrote, or score these ones by geoml accuracy points"


@dataclass(frozen=True)
class Units:
    """The units of a design as they were drawn, ``(units,)`` each; ``probability`` is that of being drawn."""

    id: tuple[str, ...]
    stratum: tuple[str, ...]
    easting: Reals
    northing: Reals
    probability: Reals


@dataclass(frozen=True)
class Labelled:
    """What came back from those who labelled; ``reference`` is empty where they said nothing.

    ``stratum`` and ``probability`` may be missing: whoever labels had better not know the map's class.
    """

    id: tuple[str, ...]
    reference: tuple[str, ...]
    easting: Reals
    northing: Reals
    stratum: tuple[str, ...] | None = None
    probability: Reals | None = None


@dataclass(frozen=True)
class Matched:
    """The reference class of each drawn unit (empty where there is none), and sentences about what is missing."""

    reference: tuple[str, ...]
    n_missing: int
    cautions: tuple[str, ...]


def match(
    drawn: Units, given: Labelled, classes: Sequence[str], *, pixel_m: float, allow_missing: bool = False
) -> Matched:
    """Returns the labels of a design's units, after everything about them was found to be as drawn.

    Args:
        drawn: the design's units.
        given: the labelled points.
        classes: names that a label may have.
        pixel_m: edge of a unit; a point may be off by half of it.
        allow_missing: whether units without a label may be left out, as if nothing set them apart.

    Raises:
        BadInput: points that are no units of the design, at another place, of another stratum or drawn with
            another probability; a unit twice; a label that is no class; units without a label.
    """
    place = {name: i for i, name in enumerate(drawn.id)}
    _check_ids(given, place)
    order = np.array([place[name] for name in given.id], dtype=np.int64)
    _check_as_drawn(drawn, given, order, pixel_m)
    _check_labels(given, classes)
    reference = [""] * len(drawn.id)
    for i, label in zip(order, given.reference, strict=True):
        reference[i] = label
    missing = [i for i, label in enumerate(reference) if not label]
    if not missing:
        return Matched(tuple(reference), 0, ())
    sentence = _missing(drawn, missing)
    if not allow_missing:
        raise BadInput(sentence, "label them all, or add --allow-missing and say why they are like the others")
    return Matched(
        tuple(reference),
        len(missing),
        (f"{sentence} They were left out as if nothing set them apart, which no number here can show.",),
    )


def _check_ids(given: Labelled, place: dict[str, int]) -> None:
    if not given.id:
        raise BadInput("There is not a single labelled point.", _FOREIGN)
    twice = [name for name, n in Counter(given.id).items() if n > 1]
    if twice:
        raise BadInput(f"{len(twice)} units are listed more than once: {_some(twice)}.", "keep one row for each unit")
    strangers = [name for name in given.id if name not in place]
    if strangers:
        raise BadInput(
            f"{len(strangers)} of {len(given.id)} points are no units of this design: {_some(strangers)}.", _FOREIGN
        )


def _check_as_drawn(drawn: Units, given: Labelled, order: NDArray[np.int64], pixel_m: float) -> None:
    apart = np.maximum(abs(given.easting - drawn.easting[order]), abs(given.northing - drawn.northing[order]))
    moved = np.flatnonzero(~(apart <= pixel_m / 2 + 1e-6))
    if len(moved):
        i = int(moved[0])
        raise BadInput(
            f"{len(moved)} units are not where they were drawn: {given.id[i][:40]} lies at {given.easting[i]:.2f}, "
            f"{given.northing[i]:.2f} instead of {drawn.easting[order[i]]:.2f}, {drawn.northing[order[i]]:.2f}.",
            f"keep easting and northing as they were; {_FOREIGN}",
        )
    if given.stratum is not None:
        other = [i for i, name in enumerate(given.stratum) if name != drawn.stratum[order[i]]]
        if other:
            i = other[0]
            raise BadInput(
                f"{len(other)} units are of another stratum than they were drawn from: {given.id[i][:40]} of "
                f"{given.stratum[i][:40]!r} instead of {drawn.stratum[order[i]]!r}.",
                "keep the column stratum as it was, or leave it away",
            )
    if given.probability is not None:
        right = np.isclose(given.probability, drawn.probability[order], rtol=1e-3, atol=0)
        if not right.all():
            i = int(np.argmin(right))
            raise BadInput(
                f"{int((~right).sum())} units have another inclusion probability than they were drawn with: "
                f"{given.id[i][:40]} has {given.probability[i]:g} instead of {drawn.probability[order[i]]:g}.",
                f"keep the column as it was, or leave it away; {_FOREIGN}",
            )


def _check_labels(given: Labelled, classes: Sequence[str]) -> None:
    strange = Counter(label for label in given.reference if label and label not in set(classes))
    if strange:
        told = ", ".join(f"{name[:40]!r} ({n})" for name, n in strange.most_common(5))
        raise BadInput(
            f"{sum(strange.values())} labels are no class of this map: {told}; it has {', '.join(classes[:20])}.",
            "correct the spelling, or name classes that the map lacks with --also",
        )


def _missing(drawn: Units, missing: Sequence[int]) -> str:
    per_stratum = Counter(drawn.stratum[i] for i in missing)
    told = ", ".join(f"{name} {n}" for name, n in sorted(per_stratum.items())[:8])
    return f"{len(missing)} of {len(drawn.id)} units carry no reference label ({told})."


def _some(names: Sequence[str]) -> str:
    return ", ".join(name[:40] for name in names[:5]) + (" …" if len(names) > 5 else "")
