"""Families come back from disk as they were, tools take no parameter that reaches further, and one entry adds one."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from geoml_ops.adapters import catboost, lightgbm, xgboost
from geoml_ops.adapters.onnx import head_graph
from geoml_ops.adapters.ort import Graph
from geoml_ops.core.errors import BadInput, Refused
from geoml_ops.core.experiment import Experiment
from geoml_ops.domain.fitting import Family, Fitted, fit, recipe
from geoml_ops.settings import CHECKOUT
from geoml_ops.steps import models
from geoml_ops.steps.models import FAMILIES, builder, keep_model, open_model
from tests.domain.fitting.ground import QUICK, ground, strips

FEATURES, CODES = ground(300)
NAMES = ("water", "forest", "crop")
TOOLS: dict[str, dict[str, Any]] = {
    "xgboost": {"n_estimators": 6},
    "lightgbm": {"n_estimators": 6},
    "catboost": {"iterations": 6},
}
ALL = {**QUICK, **TOOLS}
SUFFIX = {"xgboost": ".ubj", "lightgbm": ".txt", "catboost": ".cbm"}


class Shelved:
    """As much of an evaluation and of the places as keeping a model asks for."""

    def __init__(self, folder: Path, family: str) -> None:
        self.models, self.id, self.family = folder, f"evaluation-{family}", family


def fitted(name: str, n_classes: int = 3, **options: Any) -> Fitted:
    own = recipe({**ALL.get(name, {}), **options}, FAMILIES, name=name, seed=1, classes=NAMES[:n_classes])
    return fit(own, FEATURES, np.minimum(CODES, n_classes - 1), n_classes, inner=strips())


def test_every_family_is_tried_here() -> None:
    assert set(ALL) == set(FAMILIES)


@pytest.mark.filterwarnings("ignore:Stochastic Optimizer")
@pytest.mark.parametrize("options", [{}, {"calibrate": "isotonic", "class_weight": "balanced"}], ids=str)
@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("name", ALL)
def test_a_model_comes_back_as_it_was_and_makes_the_same_graph(
    tmp_path: Path, name: str, n_classes: int, options: dict[str, Any]
) -> None:
    shelved: Any = Shelved(tmp_path, name)
    kept = fitted(name, n_classes, **options)
    keep_model(shelved, shelved, lambda: kept)
    facts = json.loads((tmp_path / shelved.id / "model.json").read_text())
    assert Path(facts["file"]).suffix == (SUFFIX.get(name, ".skops") if not options else ".skops")
    again = open_model(shelved, shelved)
    assert (again.present, again.n_classes) == (kept.present, kept.n_classes)
    np.testing.assert_array_equal(again.probability(FEATURES), kept.probability(FEATURES))
    graphs = [head_graph(model.estimator, name, FEATURES.shape[1]) for model in (kept, again)]
    assert graphs[0] == graphs[1]
    said = Graph(graphs[1]).head(np.ascontiguousarray(FEATURES.T)[None, :, :, None])[0, :, :, 0].T
    np.testing.assert_allclose(said, kept.probability(FEATURES), atol=1e-5)


def test_libraries_inside_ensembles_are_kept_with_them(tmp_path: Path) -> None:
    shelved: Any = Shelved(tmp_path, "voting")
    kept = fitted("voting", members=TOOLS | {"hist_gradient_boosting": {"max_iter": 5}})
    keep_model(shelved, shelved, lambda: kept)
    np.testing.assert_array_equal(open_model(shelved, shelved).probability(FEATURES), kept.probability(FEATURES))


@pytest.mark.parametrize("name", TOOLS)
def test_a_model_that_was_altered_is_refused(tmp_path: Path, name: str) -> None:
    shelved: Any = Shelved(tmp_path, name)
    keep_model(shelved, shelved, lambda: fitted(name))
    path = tmp_path / shelved.id / f"model{SUFFIX[name]}"
    path.write_bytes(path.read_bytes()[:-1] + b"0")
    with pytest.raises(Refused, match="altered"):
        open_model(shelved, shelved)


WRONG: tuple[tuple[str, Any, str], ...] = (
    ("lightgbm", {"nonsense": 1}, "nonsense"),
    ("lightgbm", {"input_model": "/etc/passwd"}, "input_model"),
    ("lightgbm", {"objective": "multiclassova"}, "objective"),
    ("lightgbm", {"num_leaves": "many"}, "num_leaves"),
    ("lightgbm", {"boosting_type": "boosted"}, "boost"),
    ("catboost", {"train_dir": "/tmp/x"}, "train_dir"),
    ("catboost", {"snapshot_file": "x"}, "snapshot_file"),
    ("catboost", {"loss_function": "RMSE"}, "loss_function"),
    ("catboost", {"iterations": "many"}, "iterations"),
    ("xgboost", {"early_stopping_rounds": 5}, "early_stopping_rounds"),
    ("xgboost", {"callbacks": []}, "callbacks"),
    ("xgboost", {"missing": 0}, "missing"),
    ("xgboost", {"max_depth": "deep"}, "max_depth"),
)


@pytest.mark.parametrize(("name", "params", "says"), WRONG, ids=str)
def test_parameters_that_cannot_be_or_reach_further_are_named(name: str, params: Any, says: str) -> None:
    with pytest.raises(BadInput, match=says):
        fit(recipe(params, FAMILIES, name=name, classes=NAMES), FEATURES, CODES, 3)


def test_catboost_writes_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    fitted("catboost")
    assert not list(tmp_path.iterdir())


def test_without_catboost_the_sentence_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catboost, "catboost", None)
    with pytest.raises(BadInput, match=r"geoml-ops\[catboost\]"):
        fitted("catboost")
    with pytest.raises(BadInput, match=r"geoml-ops\[catboost\]"):
        catboost.load(tmp_path / "model.cbm")


@pytest.mark.parametrize("adapter", [lightgbm, xgboost, catboost])
def test_builders_of_tools_take_plain_arguments(adapter: Any) -> None:
    assert hasattr(adapter.build({}, 0, 3), "fit")


def experiment(**families: Any) -> Experiment:
    classes = {name: {"labels": (name,), "colour": "#000000"} for name in NAMES}
    asked = {"name": "test", "sensor": "sentinel-2-l1c", "features": ("B02",), "classes": classes, "families": families}
    return Experiment.model_validate(asked)


def test_an_entry_may_be_called_anything() -> None:
    asked = experiment(careful={"family": "knn", "n_neighbors": 3, "class_weight": {"crop": 2.0}}, random_forest={})
    own = builder("careful", asked.families["careful"], asked)
    assert (own.name, dict(own.params), own.class_weight) == ("knn", {"n_neighbors": 3}, {"crop": 2.0})
    assert builder("random_forest", {}, asked).name == "random_forest"


@pytest.mark.parametrize(
    ("params", "says"),
    [
        ({"family": "forest"}, "no family 'forest'"),
        ({"family": "random_forest", "trees": 3}, "trees"),
        ({"family": "knn", "class_weight": {"sea": 2}}, "sea"),
        (
            {"family": "stacking", "members": {"a": {"family": "lightgbm", "input_model": "x"}, "b": "knn"}},
            "input_model",
        ),
        ({"family": "voting", "members": ["knn", "no"]}, "no family 'no'"),
    ],
    ids=str,
)
def test_what_cannot_be_is_refused_before_a_fold_is_cut(params: Any, says: str) -> None:
    with pytest.raises(BadInput, match=says):
        builder("mine", params, experiment(mine=params))


def test_the_docs_page_adds_a_family_in_one_entry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The entry of docs/families.md is run, then used like any other: alone, calibrated, in a stack, kept and drawn."""
    page = (CHECKOUT / "docs" / "families.md").read_text()
    told: dict[str, Any] = {}
    exec(re.findall(r"```python\n(.*?)```", page, re.DOTALL)[0], told)
    entry = told["DISCRIMINANT"]
    assert isinstance(entry, Family)
    monkeypatch.setattr(models, "FAMILIES", {**FAMILIES, "discriminant": entry})
    for name, params in {
        "discriminant": {},
        "weighed": {"family": "discriminant", "calibrate": "isotonic"},
        "stacked": {"family": "stacking", "members": ["discriminant", "knn"], "final": "discriminant"},
    }.items():
        own = builder(name, params, experiment(**{name: params}))
        model = fit(own, FEATURES, CODES, 3, inner=strips())
        shelved: Any = Shelved(tmp_path, name)
        keep_model(shelved, shelved, lambda model=model: model)
        again = open_model(shelved, shelved)
        said = Graph(head_graph(again.estimator, name, FEATURES.shape[1])).head(
            np.ascontiguousarray(FEATURES.T)[None, :, :, None]
        )
        np.testing.assert_allclose(said[0, :, :, 0].T, model.probability(FEATURES), atol=1e-5)


def test_the_docs_page_names_every_family_and_its_experiment_is_one() -> None:
    page = (CHECKOUT / "docs" / "families.md").read_text()
    assert all(f"`{name}`" in page for name in FAMILIES)
    block = yaml.safe_load(re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)[0])["families"]
    asked = experiment(**{n: {**p, "class_weight": "balanced"} for n, p in block.items()})
    for name, params in asked.families.items():
        builder(name, params, asked)
