"""Families by name, and their fitted models on disk: native, found by evaluation, never served."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from geoml_ops.adapters import skops, xgboost
from geoml_ops.core.errors import BadInput, NotFound, Refused
from geoml_ops.core.experiment import Experiment
from geoml_ops.core.flow import Evaluation
from geoml_ops.domain import fitting
from geoml_ops.domain.fitting import Build, Fitted, Params
from geoml_ops.platform.files import read_json, sha256_of, whole_folder, write_json
from geoml_ops.steps.places import Places

FAMILIES: Mapping[str, Build] = {**fitting.FAMILIES, "xgboost": xgboost.build}
_SAVE: Mapping[str, Callable[[Any, Path], None]] = {".skops": skops.save, ".ubj": xgboost.save}
_LOAD: Mapping[str, Callable[[Path], Any]] = {".skops": skops.load, ".ubj": xgboost.load}


def builder(family: str, params: Params, experiment: Experiment) -> Callable[[int], Any]:
    """Returns what builds an unfitted model of a recipe, given the number of classes it will see.

    Raises:
        BadInput: this program does not know the family.
    """
    if family not in FAMILIES:
        raise BadInput(f"There is no family {family[:60]!r}.", f"use one of {', '.join(FAMILIES)}")
    build, seed = FAMILIES[family], experiment.sampling.seed
    return lambda n_classes: build(params, seed, n_classes)


def keep_model(places: Places, evaluation: Evaluation, fitted: Callable[[], Fitted]) -> None:
    """Fits and keeps the model of an evaluation where it is not kept yet; it appears whole or not at all."""
    folder = places.models / evaluation.id
    if folder.exists():
        return
    model = fitted()
    suffix = ".ubj" if evaluation.family == "xgboost" else ".skops"
    with whole_folder(folder) as part:
        _SAVE[suffix](model.estimator, part / f"model{suffix}")
        facts = {
            "family": evaluation.family,
            "file": f"model{suffix}",
            "sha256": sha256_of(part / f"model{suffix}"),
            "present": list(model.present),
            "n_classes": model.n_classes,
        }
        write_json(part / "model.json", facts)


def open_model(places: Places, evaluation: Evaluation) -> Fitted:
    """Returns the model that was fitted on every sample for an evaluation.

    Raises:
        NotFound: the evaluation was never chosen.
        Refused: the model's file was altered.
    """
    folder = places.models / evaluation.id
    if not folder.exists():
        raise NotFound(f"No model is kept for {evaluation.id}.", f"geoml train choose {evaluation.id}")
    facts = read_json(folder / "model.json")
    path = folder / Path(facts["file"]).name
    if sha256_of(path) != facts["sha256"]:
        raise Refused(f"The model {path} was altered.", "delete its folder and choose again")
    return Fitted(_LOAD[path.suffix](path), tuple(facts["present"]), facts["n_classes"])
