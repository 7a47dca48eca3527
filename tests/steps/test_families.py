"""Families that learn from their own answers go the whole way: folds, choice, refit, graph, parity, champion."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from geoml_ops.adapters.nouns import Shelf
from geoml_ops.cli import app
from geoml_ops.core.errors import BadInput
from geoml_ops.core.flow import Bundle, Evaluation, FoldPlan
from geoml_ops.domain.world import landscape
from geoml_ops.steps import train
from geoml_ops.steps.bundles import make_bundle
from geoml_ops.steps.evaluating import evaluated
from geoml_ops.steps.experiments import current_experiment
from geoml_ops.steps.judging import champion_in_folds
from geoml_ops.steps.models import open_model
from geoml_ops.steps.places import Places
from tests.versions import cube, keep_version, places_in

WORLD = landscape(240, 210, seed=5)
FAMILIES = {
    "machine": {"family": "svm", "C": 10.0, "class_weight": "balanced"},
    "stack": {
        "family": "stacking",
        "members": {
            "line": "logistic_regression",
            "near": {"family": "knn"},
            "boost": {"family": "lightgbm", "n_estimators": 10},
        },
    },
    "calm": {"family": "extra_trees", "n_estimators": 10, "max_depth": 6, "calibrate": "isotonic"},
}


@dataclasses.dataclass(frozen=True)
class Trained:
    places: Places
    plans: tuple[FoldPlan, FoldPlan]
    found: dict[str, Evaluation]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, mlflow_server: str) -> Trained:
    places = places_in(tmp_path_factory.mktemp("families"), mlflow_server, families=FAMILIES)
    places.policy.write_text('{"name": "small", "drift": {"tile_px": 64}}')
    labels = {"all": (*(a + b for a, b in zip(WORLD.side(True), WORLD.side(False), strict=True)), WORLD.grid.crs)}
    version = keep_version(places, {"here": (cube(WORLD), WORLD.grid)}, labels)
    table = train.tabulate(places, version.id)
    honest, optimism, *_ = train.plan(places, table.id)
    found = {name: train.evaluate(places, (honest.id, optimism.id), name) for name in FAMILIES}
    return Trained(places, (honest, optimism), found)


def test_they_are_scored_and_scored_the_same_again(trained: Trained) -> None:
    for name, evaluation in trained.found.items():
        assert evaluation.family == name
        assert evaluation.params == FAMILIES[name]
        assert evaluation.scores["overall_accuracy"].value > evaluation.scores["no_skill_accuracy"].value + 0.1
    experiment = current_experiment(trained.places)
    again = evaluated(trained.places, trained.plans, experiment, "stack")
    assert again.id == trained.found["stack"].id


def test_the_choice_among_them_becomes_a_bundle_that_agrees_with_its_model(trained: Trained) -> None:
    found = trained.found
    best = train.choose(trained.places, (found["machine"].id, found["calm"].id))
    assert set(best.selected_from) == {found["machine"].id, found["calm"].id}
    for evaluation in (best, train.choose(trained.places, (found["stack"].id,))):
        bundle = make_bundle(trained.places, evaluation)
        assert isinstance(bundle, Bundle)
        assert bundle.parity.passed
        assert max(bundle.parity.worst.values()) <= 1e-5
        model = open_model(trained.places, evaluation)
        assert model.n_classes == len(evaluation.classes)


def test_a_champions_recipe_is_refitted_with_folds_inside_what_it_knew(trained: Trained) -> None:
    champion, plan = trained.found["machine"], trained.plans[0]
    kept = champion_in_folds(trained.places, champion, plan)
    assert kept.size > 0
    assert Shelf(trained.places.nouns).get(Evaluation, champion.id) == champion
    assert np.isfinite(champion.scores["ece"].value)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"families": {"random_forest": {}, "late": {"family": "knn", "calibrate": "platt"}}}, "calibrate is 'platt'"),
        ({"families": {"stack": {"family": "stacking", "members": ["rf", "knn"]}}}, "no family 'rf'"),
        ({"selection": {"method": "rfe", "options": {"share": 7}}}, r"options\.share"),
    ],
)
def test_a_slip_in_any_family_stops_a_training_before_it_writes_anything(
    tmp_path: Path, changes: dict[str, Any], says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    places = places_in(tmp_path, **changes)
    monkeypatch.setattr("geoml_ops.verbs.train.places", lambda: places)
    done = CliRunner().invoke(app, ["train", "run"])
    assert isinstance(done.exception, BadInput)
    assert re.search(says, str(done.exception))
    assert not places.workspace.exists()
