"""Ask for labels: a probability sample of the champion's map, more of it where the drift is, recorded beforehand."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geoml_ops.adapters.configs import read_policy
from geoml_ops.adapters.csvfiles import keep_sheet
from geoml_ops.adapters.nouns import Shelf
from geoml_ops.core.errors import BadInput
from geoml_ops.core.evidence import LabelPlan
from geoml_ops.core.flow import Design, Drift, Prediction
from geoml_ops.domain.accuracy import Drawn, draw_ranks, place_ranks
from geoml_ops.domain.labelling import (
    DRIFT_WEIGHT,
    HELD_SHARE,
    LARGE_ENOUGH,
    LEAST,
    UNKNOWN,
    Allocated,
    Census,
    Stratification,
    Stratum,
    allocate,
    most_strata,
    stratify,
)
from geoml_ops.platform.log import logger
from geoml_ops.steps.accuracy import AREA_UNIT, COLUMNS
from geoml_ops.steps.places import Places
from geoml_ops.steps.unitmaps import UnitMap, largest_of, unit_map

LEARNING, JUDGING = "learning", "judging"
MORE_COLUMNS = ("map", "use", "confidence")
_ROWS_PX = 512
_log = logger("labels")


@dataclass(frozen=True)
class Wanted:
    """How many units are asked for, and how.

    Attributes:
        units: sample units; None for what the policy's budget says.
        unit_px: edge of a unit in pixels.
        held_share: of the units that are kept for judging (0 to 1).
        drift_weight: how many times as much hot-spots count in the allocation.
        least: units of every stratum.
        seed: of the draw, from 0.
    """

    units: int | None = None
    unit_px: int = 1
    held_share: float = HELD_SHARE
    drift_weight: float = DRIFT_WEIGHT
    least: int = LEAST
    seed: int = 0


def ask(places: Places, about: str, wanted: Wanted | None = None) -> Design:
    """Returns a recorded design: which units of a map people shall label, and what that will show.

    The same map, drift, sizes and seed give the same design.

    Args:
        places: where predictions and designs are kept.
        about: id of a prediction, or of a drift: then the largest of its maps is asked about, more in its hot-spots.
        wanted: how many units, and how.

    Raises:
        BadInput: sizes that cannot be, or a map that shows nothing.
        NotFound: no such prediction or drift, or its map is gone.
        Refused: the map was altered.
    """
    wanted, shelf = wanted or Wanted(), Shelf(places.nouns)
    _check(wanted)
    budget = read_policy(places.policy).budget
    n = budget.label_units if wanted.units is None else wanted.units
    drift = shelf.get(Drift, about) if about.startswith("drift-") else None
    prediction = largest_of(places, drift) if drift else shelf.get(Prediction, about)
    map_ = unit_map(places, prediction, drift, wanted.unit_px)
    census = Census()
    for _, layers in map_.strips():
        census.add(layers)
    most = most_strata(n, census.total, wanted.least)
    enough = max(wanted.least, min(LARGE_ENOUGH, census.total // (2 * most)))
    found = stratify(census.counts, map_.mapped.classes, least=enough, most=most)
    sizes = allocate(
        found.strata, n, least=wanted.least, held_share=wanted.held_share, drift_weight=wanted.drift_weight
    )
    design = _recorded(places, map_, census, found, sizes, wanted, (prediction, drift), budget.label_minutes)
    _log.info("asked", design=design.id, units=n, strata=len(found.strata), drift=design.drift)
    return shelf.put(design)


def hours(design: Design) -> float:
    """Returns what labelling a design costs, in hours of one person."""
    assert design.asked is not None
    return sum(design.n.values()) * design.asked.minutes_per_unit / 60


def _check(wanted: Wanted) -> None:
    if wanted.seed < 0:
        raise BadInput(f"{wanted.seed} is no seed.", "give a number from 0")


# --- the design ------------------------------------------------------------------------------


def _recorded(
    places: Places,
    map_: UnitMap,
    census: Census,
    found: Stratification,
    sizes: Allocated,
    wanted: Wanted,
    causes: tuple[Prediction, Drift | None],
    minutes: float,
) -> Design:
    drawn, classes, percent = _drawn(map_, found, sizes, wanted.seed)
    unit_ha = map_.mapped.pixel_ha * wanted.unit_px**2
    shown = census.counts.sum(axis=(1, 2, 3))
    return Design(
        map=map_.mapped.file,
        prediction=causes[0].id,
        classes=map_.mapped.classes,
        strata={stratum.name: stratum.units * unit_ha for stratum in found.strata},
        area_unit=AREA_UNIT,
        n=sizes.n,
        seed=wanted.seed,
        points=keep_sheet(
            places.workspace / "designs",
            (*COLUMNS, *MORE_COLUMNS),
            _rows(map_, found.strata, drawn, classes, percent, sizes),
        ),
        drift=causes[1].id if causes[1] else "",
        asked=LabelPlan(
            rule=_rule(found, sizes, map_, wanted.unit_px),
            unit_px=wanted.unit_px,
            definitions={stratum.name: stratum.definition for stratum in found.strata},
            units={stratum.name: stratum.units for stratum in found.strata},
            expected={stratum.name: stratum.right for stratum in found.strata},
            n_held=sizes.n_held,
            mapped={name: float(shown[code]) * unit_ha for code, name in enumerate(map_.mapped.classes)},
            stratum_se=sizes.stratum_se,
            overall_se=sizes.overall_se,
            held_se=sizes.held_se,
            minutes_per_unit=minutes,
        ),
    )


def _rule(found: Stratification, sizes: Allocated, map_: UnitMap, edge: int) -> str:
    doubt = f"Confidence of {found.unsure} % or less is doubt. " if found.unsure >= 0 else ""
    spots = f"{len(map_.spots)} hot-spots are apart from the rest. " if map_.spots else ""
    squares = (
        f"A unit is a square of {edge} x {edge} pixels, cut from the north-western corner; it belongs to the ground "
        "where more than half of it is mapped, and shows the class that most of it shows. "
        if edge > 1
        else "A unit is a pixel. "
    )
    return squares + doubt + spots + sizes.rule


def _drawn(
    map_: UnitMap, found: Stratification, sizes: Allocated, seed: int
) -> tuple[Drawn, NDArray[np.int64], NDArray[np.int64]]:
    """Returns the drawn units in the order in which they are labelled, the class and the percent of each."""

    def codes() -> Iterator[tuple[int, NDArray[np.int64]]]:
        for first, layers in map_.strips():
            cells = layers.cells
            yield first, np.where(cells >= 0, found.code[cells], -1)

    pixels = {place: stratum.units for place, stratum in enumerate(found.strata)}
    ranks = draw_ranks(pixels, {p: sizes.n[s.name] for p, s in enumerate(found.strata)}, seed)
    drawn = place_ranks(codes(), ranks, seed)
    classes, percent = np.zeros_like(drawn.row), np.zeros_like(drawn.row)
    for first, layers in map_.strips():
        here = np.flatnonzero((drawn.row >= first) & (drawn.row < first + len(layers.classes)))
        at = drawn.row[here] - first, drawn.col[here]
        classes[here], percent[here] = layers.classes[at], layers.percent[at]
    return drawn, classes, percent


def _rows(
    map_: UnitMap,
    strata: Sequence[Stratum],
    drawn: Drawn,
    classes: NDArray[np.int64],
    percent: NDArray[np.int64],
    sizes: Allocated,
) -> Iterator[tuple[str, ...]]:
    east, north = map_.grid.centres(drawn.row, drawn.col)
    held, width = dict(sizes.n_held), max(3, len(str(len(drawn.row))))
    for i, code in enumerate(drawn.code.tolist()):
        name = strata[code].name
        # The order is random, so the first ones of a stratum are a random part of its units.
        held[name] -= 1
        use = JUDGING if held[name] >= 0 else LEARNING
        told = "" if percent[i] >= UNKNOWN else str(percent[i])
        yield (
            f"u{i + 1:0{width}d}", name, repr(float(east[i])), repr(float(north[i])), str(drawn.row[i]),
            str(drawn.col[i]), repr(sizes.n[name] / strata[code].units), "", map_.mapped.classes[classes[i]], use, told,
        )  # fmt: skip
