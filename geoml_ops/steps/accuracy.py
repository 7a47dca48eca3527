"""Accuracy: how many units to label, a design drawn from a map, and what the labels say about that map.

Only labels of a recorded design are called map accuracy. Everything else that can be scored (counts
out of a report, points of unknown origin) is agreement with these points, and says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from geoml_ops.adapters.csvfiles import Sheet, keep_bytes, keep_sheet, kept, read_sheet
from geoml_ops.adapters.nouns import Shelf
from geoml_ops.adapters.raster.classified import strips
from geoml_ops.core.errors import BadInput, NotFound
from geoml_ops.core.evidence import ClassArea
from geoml_ops.core.flow import Accuracy, Design
from geoml_ops.core.noun import FileRef
from geoml_ops.domain.accuracy import (
    Assessment,
    Cells,
    Labelled,
    OfClass,
    Strata,
    Units,
    assess,
    draw_ranks,
    match,
    place_ranks,
)
from geoml_ops.platform.log import logger
from geoml_ops.steps.places import Places
from geoml_ops.steps.surveying import ClassMap, prediction_of

ESTIMATOR = "stratified by map class (Olofsson et al. 2014), finite population"
COLUMNS = ("id", "stratum", "easting", "northing", "row", "col", "inclusion_probability", "reference")
AREA_UNIT = "ha"
_log = logger("accuracy")


def draw(places: Places, mapped: ClassMap, n: Mapping[str, int], *, seed: int, planned_se: float | None) -> Design:
    """Returns a recorded probability sample of a map: its points are on disk, their labels are still unknown.

    Args:
        places: where designs are kept.
        mapped: the map, surveyed.
        n: units of each stratum.
        seed: of the draw; the same map, sizes and seed give the same design.
        planned_se: standard error that the sizes were planned for, if they were.

    Raises:
        BadInput: sizes of other strata than the map has, fewer than 2, or more than pixels.
        Refused: the map changed meanwhile.
    """
    if set(n) != set(mapped.codes):
        raise BadInput(
            f"Sizes are given for {', '.join(n) or 'no stratum'}; the map shows {', '.join(mapped.codes)}.",
            "give one for each class that the map shows",
        )
    few = [name for name, size in n.items() if size < min(2, mapped.pixels[name])]
    if few:
        raise BadInput(
            f"{few[0]} would get {n[few[0]]} of its {mapped.pixels[few[0]]} pixels; "
            "fewer than 2 tell nothing about how sure the result is.",
            "draw at least 2 of every class, or leave it out of the map with --ignore",
        )
    if seed < 0:
        raise BadInput(f"{seed} is no seed.", "give a number from 0")
    by_code = {mapped.codes[name]: size for name, size in n.items()}
    ranks = draw_ranks({mapped.codes[name]: size for name, size in mapped.pixels.items()}, by_code, seed)
    units = place_ranks(strips(mapped.path), ranks, seed)
    east, north = mapped.facts.grid.centres(units.row, units.col)
    name_of = {code: name for name, code in mapped.codes.items()}
    strata = [name_of[int(code)] for code in units.code]
    rows = (
        (str(i + 1), s, repr(float(e)), repr(float(v)), str(r), str(c), repr(n[s] / mapped.pixels[s]), "")
        for i, (s, e, v, r, c) in enumerate(zip(strata, east, north, units.row, units.col, strict=True))
    )
    points = keep_sheet(_home(places), COLUMNS, rows)
    shelf = Shelf(places.nouns)
    design = shelf.put(
        Design(
            map=mapped.file,
            prediction=prediction_of(shelf, mapped),
            classes=mapped.classes,
            strata={name: size * mapped.pixel_ha for name, size in mapped.pixels.items()},
            area_unit=AREA_UNIT,
            n={name: int(n[name]) for name in mapped.codes},
            seed=seed,
            planned_se=planned_se,
            points=points,
        )
    )
    _log.info("drawn", design=design.id, units=sum(design.n.values()), strata=len(design.n))
    return design


def _home(places: Places) -> Path:
    return places.workspace / "designs"


def design_of(places: Places, design_id: str) -> Design:
    """Returns a recorded design.

    Raises:
        NotFound: no design of this id was recorded here.
    """
    shelf = Shelf(places.nouns)
    known = {path.stem for path in (shelf.folder / Design.kind).glob(f"{Design.kind}-*.json")}
    if design_id not in known:
        raise NotFound(
            f"No design {design_id[:60]!r} was recorded here; points without one tell nothing about a map.",
            "draw one first: geoml accuracy draw MAP",
        )
    return shelf.get(Design, design_id)


def points_of(places: Places, design: Design) -> Path:
    """Returns where the points of a design are kept.

    Raises:
        NotFound: they are gone.
        Refused: they were altered.
    """
    return kept(_home(places), design.points)


def siblings(places: Places, design: Design) -> tuple[str, ...]:
    """Returns other designs of the same map; whoever draws again until the number pleases has not sampled at random."""
    found = Shelf(places.nouns).all(Design)
    return tuple(sorted(d.id for d in found if d.map.sha256 == design.map.sha256 and d.id != design.id))


def estimate(
    places: Places, design_id: str, labels: Path, *, allow_missing: bool = False, also: Sequence[str] = ()
) -> Accuracy:
    """Returns the accuracy of a map and the area of its classes, from labels of a recorded design.

    Args:
        places: where designs are kept.
        design_id: of the design.
        labels: its points as a CSV file, with the class of each in the column ``reference``.
        allow_missing: whether units without a label may be left out; the result says so.
        also: classes that the map does not know and labels may name.

    Raises:
        NotFound: no such design.
        BadInput: the points are not those of the design, labels are missing or name no class.
    """
    design = design_of(places, design_id)
    if design.asked is not None:
        raise BadInput(
            f"{design.id} asks for labels; they come back to be reviewed before they count.",
            f"geoml labels return {design.id} FILE",
        )
    drawn = _drawn(read_sheet(points_of(places, design)))
    classes = tuple(dict.fromkeys((*design.classes, *(name.strip() for name in also))))
    pixel_ha = sum(design.strata.values()) / sum(design.n[s] / p for s, p in _chances(drawn).items())
    given = _labelled(read_sheet(labels))
    found = match(drawn, given, classes, pixel_m=(pixel_ha * 10_000) ** 0.5, allow_missing=allow_missing)
    units = {name: design.n[name] / p for name, p in _chances(drawn).items()}
    names = tuple(design.strata)
    strata = Strata(names, np.array(list(design.strata.values())), np.array([units[name] for name in names]).round())
    labelled = [i for i, label in enumerate(found.reference) if label]
    mapped = np.array([classes.index(drawn.stratum[i]) for i in labelled], dtype=np.int64)
    cells = Cells.of(
        np.array([names.index(drawn.stratum[i]) for i in labelled], dtype=np.int64),
        mapped,
        np.array([classes.index(found.reference[i]) for i in labelled], dtype=np.int64),
    )
    result = assess(strata, cells, classes, strata_are_classes=True)
    accuracy = _accuracy(
        design, result, found.cautions, found.n_missing, keep_bytes(_home(places), labels.read_bytes())
    )
    Shelf(places.nouns).put(accuracy)
    _log.info("estimated", accuracy=accuracy.id, design=design.id, overall=accuracy.overall, n=accuracy.n)
    return accuracy


def _chances(drawn: Units) -> dict[str, float]:
    return {name: float(p) for name, p in zip(drawn.stratum, drawn.probability, strict=True)}


def _accuracy(
    design: Design, result: Assessment, cautions: tuple[str, ...], n_missing: int, labels: FileRef
) -> Accuracy:
    overall, names = result.overall, tuple(result.classes)
    assert overall.value is not None
    return Accuracy(
        design=design.id,
        estimand="a probability sample",
        estimator=ESTIMATOR,
        n=result.n,
        n_missing=n_missing,
        overall=overall.value,
        overall_half=overall.half,
        classes={name: class_area(found, design.strata.get(name, 0.0)) for name, found in result.classes.items()},
        proportions={
            names[i]: {names[j]: float(p) for j, p in enumerate(row) if p > 0}
            for i, row in enumerate(result.proportions)
            if row.any()
        },
        quantity=result.quantity,
        allocation=result.allocation,
        area_unit=design.area_unit,
        cautions=(*cautions, *result.cautions),
        labels=labels,
    )


def class_area(found: OfClass, mapped: float) -> ClassArea:
    """Returns one class of an assessment as the noun holds it."""
    assert found.area.value is not None
    return ClassArea(
        users=found.users.value,
        users_half=found.users.half,
        producers=found.producers.value,
        producers_half=found.producers.half,
        area=found.area.value,
        area_half=found.area.half,
        mapped=mapped,
    )


def _drawn(sheet: Sheet) -> Units:
    return Units(
        id=sheet.texts("id"),
        stratum=sheet.texts("stratum"),
        easting=sheet.numbers("easting"),
        northing=sheet.numbers("northing"),
        probability=sheet.numbers("inclusion_probability"),
    )


def _labelled(sheet: Sheet) -> Labelled:
    return Labelled(
        # A spreadsheet that takes ids for numbers may write 7.0.
        id=tuple(name.removesuffix(".0") for name in sheet.texts("id")),
        reference=sheet.texts("reference"),
        easting=sheet.numbers("easting"),
        northing=sheet.numbers("northing"),
        stratum=sheet.texts("stratum") if sheet.has("stratum") else None,
        probability=sheet.numbers("inclusion_probability") if sheet.has("inclusion_probability") else None,
    )
