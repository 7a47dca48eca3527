"""Families by name, and their fitted models on disk: native, found by evaluation, never served.

A family is added by one entry: of :data:`geoml_ops.domain.fitting.FAMILIES` where scikit-learn is enough, of
:data:`FAMILIES` here where it takes a tool.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from geoml_ops.adapters import catboost, lightgbm, skops, xgboost
from geoml_ops.core.errors import NotFound, Refused
from geoml_ops.core.experiment import Experiment
from geoml_ops.core.flow import Evaluation
from geoml_ops.domain import fitting
from geoml_ops.domain.fitting import Family, Fitted, Params, Recipe, recipe
from geoml_ops.domain.fitting.selected import selected
from geoml_ops.platform.files import read_json, sha256_of, whole_folder, write_json
from geoml_ops.steps.places import Places

FAMILIES: Mapping[str, Family] = {
    **fitting.FAMILIES,
    "xgboost": xgboost.FAMILY,
    "lightgbm": lightgbm.FAMILY,
    "catboost": catboost.FAMILY,
}
_NATIVE: Mapping[str, str] = {"XGBClassifier": ".ubj", "LGBMClassifier": ".txt", "CatBoostClassifier": ".cbm"}
"""Models that their own library keeps; whatever else there is, ensembles of these included, goes to skops."""
_SAVE: Mapping[str, Callable[[Any, Path], None]] = {
    ".skops": skops.save,
    ".ubj": xgboost.save,
    ".txt": lightgbm.save,
    ".cbm": catboost.save,
}
_LOAD: Mapping[str, Callable[[Path], Any]] = {
    ".skops": skops.load,
    ".ubj": xgboost.load,
    ".txt": lightgbm.load,
    ".cbm": catboost.load,
}


def builder(family: str, params: Params, experiment: Experiment) -> Recipe:
    """Returns what builds the unfitted models of an entry of ``families``.

    Args:
        family: name of the entry, and of the family where ``params`` name no other.
        params: as the experiment or an evaluation has them.
        experiment: names the classes and the seed.

    Raises:
        BadInput: this program does not know the family, a member, an option or a parameter.
    """
    names = experiment.class_names
    plain = recipe(params, FAMILIES, name=family, seed=experiment.sampling.seed, classes=names)
    found = selected(plain, experiment.selection)
    # Built once for nothing: what cannot be is refused before a fold is cut.
    found(len(names))
    return found


def keep_model(places: Places, evaluation: Evaluation, fitted: Callable[[], Fitted]) -> None:
    """Fits and keeps the model of an evaluation where it is not kept yet; it appears whole or not at all."""
    folder = places.models / evaluation.id
    if folder.exists():
        return
    model = fitted()
    suffix = _NATIVE.get(type(model.estimator).__name__, ".skops")
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
