"""Accepted labels: how right the map is, and deliveries for the drop folder, some to learn from, some to judge by."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from geoml_ops.adapters import vector
from geoml_ops.adapters.configs import read_experiment
from geoml_ops.adapters.csvfiles import keep_sheet
from geoml_ops.adapters.nouns import Shelf
from geoml_ops.core.errors import BadInput, Refused
from geoml_ops.core.flow import Accuracy
from geoml_ops.core.noun import FileRef
from geoml_ops.domain.accuracy import Assessment, Cells, Strata, assess
from geoml_ops.domain.labelling import NONE_OF_THESE, plain
from geoml_ops.platform.files import sha256_of, whole_folder, write_json
from geoml_ops.platform.locks import only_one
from geoml_ops.platform.log import logger
from geoml_ops.steps.accuracy import class_area
from geoml_ops.steps.deliveries import DECLARATION
from geoml_ops.steps.labelling import JUDGING, LEARNING
from geoml_ops.steps.labelreturns import State, fingerprint, state_of
from geoml_ops.steps.labeltasks import home_of
from geoml_ops.steps.labelunits import Units
from geoml_ops.steps.places import Places

ESTIMATOR = "stratified by class, drift, doubt and applicability (Stehman 2014), finite population"
CLASS_FIELD, FILE, PROVENANCE, ACCEPTED = "label", "units.gpkg", "provenance.json", "accepted.json"
_LONGEST_SOURCE, _FEW = 400, 30
_log = logger("labels")


@dataclass(frozen=True)
class Accepted:
    """What accepted labels became.

    Attributes:
        accuracy: of the map they were asked about.
        deliveries: names of folders in the drop.
        notes: sentences that belong to them.
    """

    accuracy: Accuracy
    deliveries: tuple[str, ...]
    notes: tuple[str, ...]


def accept(places: Places, design_id: str, by: str, *, allow_missing: bool = False) -> Accepted:
    """Returns what the labels of a design say, and hands them in as deliveries; again it changes nothing.

    All labels tell how right the map is that they were asked about, for its model saw none of them. Those drawn for
    learning are delivered to be learned from; those kept for judging are delivered as such, and no training reads
    them.

    Args:
        places: where things are.
        design_id: of the design.
        by: who reviewed the labels.
        allow_missing: whether units without a label may be left out.

    Raises:
        BadInput: nobody reviewed, a class that the experiment does not know, or a stratum without any label.
        Refused: people disagree, or labels are missing.
    """
    state, who = state_of(places, design_id), plain(by, "name")
    if not who:
        raise BadInput("Nobody is named who reviewed the labels.", "add --accept NAME")
    open_ = [*state.reviewed.conflicts, *(() if allow_missing else (*state.reviewed.missing, *state.reviewed.unclear))]
    if open_ or not state.files:
        raise Refused(
            " ".join(state.questions[:3]),
            "settle conflicts with --settle UNIT=LABEL; leave units without a label out with --allow-missing",
        )
    names = _delivered_names(places, state)
    home = home_of(places, design_id)
    with only_one(home / ".lock"):
        accuracy = _accuracy(places, state, who)
        told = _provenance(state, who, accuracy)
        made = [_deliver(places, state, use, names, told) for use in (LEARNING, JUDGING) if _chosen(state, use, names)]
        write_json(home / ACCEPTED, {**told, "fingerprint": fingerprint(state), "deliveries": made})
    _log.info("accepted", design=design_id, accuracy=accuracy.id, overall=accuracy.overall, deliveries=made)
    return Accepted(accuracy, tuple(made), _notes(state, who))


# --- how right the map is --------------------------------------------------------------------


def _accuracy(places: Places, state: State, who: str) -> Accuracy:
    units, labels = state.units, state.reviewed.labels
    place = {unit: i for i, unit in enumerate(units.id)}
    here = [place[unit] for unit in labels]
    classes = tuple(dict.fromkeys((*units.design.classes, *([NONE_OF_THESE] * (NONE_OF_THESE in labels.values())))))
    strata = tuple(units.design.strata)
    result = assess(
        Strata(
            strata,
            np.array(list(units.design.strata.values())),
            np.array([float(units.plan.units[name]) for name in strata]),
        ),
        Cells.of(
            np.array([strata.index(units.stratum[i]) for i in here], dtype=np.int64),
            np.array([classes.index(units.mapped[i]) for i in here], dtype=np.int64),
            np.array([classes.index(label) for label in labels.values()], dtype=np.int64),
        ),
        classes,
        strata_are_classes=False,
    )
    rows = (
        (unit, units.stratum[i], units.mapped[i], label, units.use[i], repr(float(units.probability[i])))
        for (unit, label), i in zip(labels.items(), here, strict=True)
    )
    columns = ("id", "stratum", "map", "reference", "use", "inclusion_probability")
    kept = keep_sheet(places.workspace / "designs", columns, rows)
    cautions = (*_notes(state, who), *_promise(units, here, result), *result.cautions)
    return Shelf(places.nouns).put(_noun(units, result, len(units.id) - len(labels), cautions, kept))


def _noun(units: Units, found: Assessment, n_missing: int, cautions: tuple[str, ...], labels: FileRef) -> Accuracy:
    names = tuple(found.classes)
    assert found.overall.value is not None
    return Accuracy(
        design=units.design.id,
        estimand="a probability sample",
        estimator=ESTIMATOR,
        n=found.n,
        n_missing=n_missing,
        overall=found.overall.value,
        overall_half=found.overall.half,
        classes={name: class_area(one, units.plan.mapped.get(name, 0.0)) for name, one in found.classes.items()},
        proportions={
            name: {other: float(p) for other, p in zip(names, row, strict=True) if p > 0}
            for name, row in zip(names, found.proportions, strict=True)
            if row.any()
        },
        quantity=found.quantity,
        allocation=found.allocation,
        area_unit=units.design.area_unit,
        cautions=cautions,
        labels=labels,
    )


def _promise(units: Units, here: Sequence[int], found: Assessment) -> tuple[str, ...]:
    """Returns how right the model said it would be, beside how right it is."""
    said, weight = units.confidence[here], 1 / units.probability[here]
    told = np.isfinite(said)
    if told.sum() < _FEW or found.overall.value is None:
        return ()
    promised = float((said[told] * weight[told]).sum() / weight[told].sum())
    half = found.overall.half or 0.0
    apart = promised - found.overall.value
    verdict = "more than chance explains: calibrate it anew" if abs(apart) > half else "within what chance explains"
    return (
        f"The model's own confidence promised {promised:.3f} of this ground, {found.overall.value:.3f} ± {half:.3f} is "
        f"right: {apart:+.3f}, {verdict}.",
    )


def _notes(state: State, who: str) -> tuple[str, ...]:
    r, n = state.reviewed, len(state.units.id)
    found = [r.agreement.sentence]
    if r.missing or r.unclear:
        found.append(
            f"{len(r.missing)} of {n} units carry no label and of {len(r.unclear)} nobody can tell; they were left out "
            "as if nothing set them apart, which no number here can show."
        )
    if r.unsure:
        found.append(f"Nobody was sure of {len(r.unsure)} of the {len(r.labels)} labels.")
    if who in r.labellers:
        found.append(f"{who} labelled and reviewed: nobody else looked.")
    return tuple(found)


# --- deliveries ------------------------------------------------------------------------------


def _delivered_names(places: Places, state: State) -> dict[str, str]:
    """Returns by class a label that the experiment maps to it."""
    experiment = read_experiment(places.experiment)
    used = dict.fromkeys(label for label in state.reviewed.labels.values() if label != NONE_OF_THESE)
    unknown = [name for name in used if name not in experiment.classes or not experiment.classes[name].labels]
    if unknown:
        raise BadInput(
            f"The experiment {experiment.name!r} has no class {unknown[0][:60]!r}; it has "
            f"{', '.join(list(experiment.classes)[:20])}.",
            "add it to the experiment, or ask about a map of its present classes",
        )
    return {name: experiment.classes[name].labels[0] for name in used}


def _chosen(state: State, use: str, names: dict[str, str]) -> list[int]:
    units, labels = state.units, state.reviewed.labels
    return [i for i, unit in enumerate(units.id) if units.use[i] == use and labels.get(unit) in names]


def _deliver(places: Places, state: State, use: str, names: dict[str, str], told: dict[str, Any]) -> str:
    units, labels = state.units, state.reviewed.labels
    chosen, name = _chosen(state, use, names), f"{units.design.id}-{use}"
    declaration = {
        "kind": "labels",
        "file": FILE,
        "class_field": CLASS_FIELD,
        "use": use,
        "design": units.design.id,
        "source": _source(told),
    }
    with whole_folder(home_of(places, units.design.id) / "made" / f"{name}-{fingerprint(state)}") as part:
        vector.write_labels(
            part / FILE,
            units.squares[chosen],
            [names[labels[units.id[i]]] for i in chosen],
            CLASS_FIELD,
            units.crs,
            numbers={"inclusion_probability": units.probability[chosen]},
        )
        mine = {units.id[i]: labels[units.id[i]] for i in chosen}
        write_json(part / PROVENANCE, {**told, "use": use, "labels": mine})
        # JSON is YAML too.
        (part / DECLARATION).write_text(json.dumps(declaration, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    made = home_of(places, units.design.id) / "made" / f"{name}-{fingerprint(state)}"
    _hand_in(made, places.drop / name, home_of(places, units.design.id) / "superseded")
    return name


def _hand_in(made: Path, goal: Path, old: Path) -> None:
    """Makes a delivery appear whole in the drop; what lay there under its name before is kept aside."""
    if goal.exists():
        if _content(goal) == _content(made):
            return
        old.mkdir(parents=True, exist_ok=True)
        goal.rename(old / f"{goal.name}-{len(list(old.iterdir())) + 1}")
    with whole_folder(goal) as part:
        shutil.copytree(made, part, dirs_exist_ok=True)


def _content(folder: Path) -> list[tuple[str, str]]:
    return sorted((p.relative_to(folder).as_posix(), sha256_of(p)) for p in folder.rglob("*") if p.is_file())


def _provenance(state: State, who: str, accuracy: Accuracy) -> dict[str, Any]:
    units = state.units
    return {
        "design": units.design.id,
        "drift": units.design.drift,
        "prediction": units.prediction.id,
        "bundle": units.bundle.id,
        "scenes": list(units.prediction.scenes),
        "imagery": units.prediction.source.model_dump(mode="json"),
        "accuracy": accuracy.id,
        "labellers": state.reviewed.labellers,
        "reviewed_by": who,
        "settled": dict(state.settled),
        "agreement": state.reviewed.agreement.sentence,
        "files": [
            {"name": f.name, "sha256": f.sha256, "tool": f.tool, "labelled_on": f.labelled_on, "labels": len(f.answers)}
            for f in state.files
        ],
    }


def _source(told: dict[str, Any]) -> str:
    people = ", ".join(f"{name[:40]} ({n})" for name, n in list(told["labellers"].items())[:4])
    tools = ", ".join(sorted({f["tool"] for f in told["files"]}))
    days = ", ".join(sorted({f["labelled_on"] for f in told["files"] if f["labelled_on"]})[:3])
    when = f" on {days}" if days else ""
    scenes = f", imagery {', '.join(told['scenes'][:2])}" if told["scenes"] else ""
    sentence = f"Labelled by {people}{when} with {tools}, reviewed by {told['reviewed_by'][:40]}{scenes}"
    return sentence[:_LONGEST_SOURCE]
