"""Tuning and choosing features on a generated landscape: honest scores, ends and beginnings, refusals."""

from __future__ import annotations

import dataclasses
import multiprocessing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from geoml_ops.adapters.nouns import Shelf
from geoml_ops.adapters.onnx import head_graph
from geoml_ops.adapters.ort import Graph
from geoml_ops.cli import app
from geoml_ops.core.errors import BadInput
from geoml_ops.core.experiment import Range, SelectionRules, TuningRules
from geoml_ops.core.flow import Evaluation, FeatureTable, FoldPlan, Study
from geoml_ops.core.searching import require_space
from geoml_ops.domain.fitting import fit, of_fold
from geoml_ops.domain.folds import materialise
from geoml_ops.domain.nesting import folds_inside
from geoml_ops.domain.world import landscape
from geoml_ops.steps import searching, selecting, train, tuning
from geoml_ops.steps.answers import open_answers
from geoml_ops.steps.experiments import experiment_of
from geoml_ops.steps.models import builder, open_model
from geoml_ops.steps.places import Places
from geoml_ops.steps.samples import Tabled, open_table
from geoml_ops.steps.studies import ALL, open_trials, params_in_folds
from geoml_ops.verbs import tuning as tuning_verbs
from tests.versions import cube, keep_version, places_in

WORLD = landscape(300, 300, seed=3)
SPACE = {
    "max_depth": {"low": 1, "high": 12, "whole": True},
    "min_samples_leaf": {"low": 1, "high": 60, "whole": True, "log": True},
}
EXPERIMENT: dict[str, Any] = {
    "sampling": {"per_polygon": 4},
    "folds": {"block_m": 500.0, "buffer_m": 50.0, "n_folds": 3},
    "families": {"random_forest": {"n_estimators": 10, "max_depth": 1}},
    "tuning": {"trials": 5, "startup": 2, "space": {"random_forest": SPACE}},
}


@dataclasses.dataclass(frozen=True)
class Tuned:
    places: Places
    table: FeatureTable
    plans: tuple[FoldPlan, ...]
    tabled: Tabled
    evaluation: Evaluation
    study: Study


def places_with(folder: Path, server: str, **experiment: Any) -> tuple[Places, FeatureTable, tuple[FoldPlan, ...]]:
    places = places_in(folder, server, **{**EXPERIMENT, **experiment})
    scene, labels = cube(WORLD), [WORLD.side(west) for west in (True, False)]
    keep_version(
        places, {"here": (scene, WORLD.grid)}, {f"{i}": (*each, WORLD.grid.crs) for i, each in enumerate(labels)}
    )
    table = train.tabulate(places, train.version_for(places))
    return places, table, train.plan(places, table.id)


@pytest.fixture(scope="module")
def tuned(mlflow_server: str, tmp_path_factory: pytest.TempPathFactory) -> Tuned:
    places, table, plans = places_with(tmp_path_factory.mktemp("tune"), mlflow_server)
    evaluation = tuning.tune(places, [plan.id for plan in plans], "random_forest")
    study = Shelf(places.nouns).get(Study, evaluation.study)
    return Tuned(places, table, plans, open_table(places, table), evaluation, study)


def test_each_fold_is_answered_by_what_was_found_without_it(tuned: Tuned) -> None:
    experiment = experiment_of(tuned.places, tuned.table.experiment)
    found = params_in_folds(tuned.places, tuned.evaluation)
    assert found is not None
    assert len(found) == 3
    answers, codes = open_answers(tuned.places, tuned.evaluation.predictions), tuned.tabled.samples.code
    inner = folds_inside(tuned.plans[0], tuned.tabled.samples)
    for number, (train_side, test) in enumerate(materialise(tuned.plans[0], tuned.tabled.samples)):
        build = of_fold(builder("random_forest", found[number], experiment), number)
        model = fit(build, tuned.tabled.features[train_side], codes[train_side], len(experiment.classes), inner=inner)
        expected = model.probability(tuned.tabled.features[test])
        np.testing.assert_allclose(answers.probability[test], expected, atol=1e-6)
        assert set(answers.fold[test]) == {number}
    assert tuned.evaluation.scores["overall_accuracy"].value == pytest.approx((answers.predicted == codes).mean())


def test_the_study_says_what_was_tried_and_the_best_is_no_worse_than_the_default(tuned: Tuned) -> None:
    searches = open_trials(tuned.places, tuned.study)
    assert [each.fold for each in searches] == [0, 1, 2, ALL]
    assert all(len(each.tried) == 5 for each in searches)
    final = searches[-1]
    assert tuned.study.best == final.best.params == tuned.evaluation.params
    assert tuned.study.value == final.best.value >= tuned.study.default_value == final.tried[0].value
    assert final.tried[0].params == {"n_estimators": 10, "max_depth": 1}
    assert tuned.study.value > tuned.study.default_value + 0.05
    assert tuned.study.n_pruned == sum(each.state == "pruned" for each in final.tried)
    assert tuned.study.plan == tuned.evaluation.plan == tuned.plans[0].id


def test_no_search_inside_a_fold_knows_the_labels_of_its_tested_ground(
    tuned: Tuned, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment = experiment_of(tuned.places, tuned.table.experiment)
    rng = np.random.default_rng(0)
    splits = materialise(tuned.plans[0], tuned.tabled.samples)
    # Outer folds are balanced by class, so other labels would cut others; here they stay what they are.
    monkeypatch.setattr(searching, "materialise", lambda plan, samples: splits)
    for fold, (train_side, _) in enumerate(splits):
        code = tuned.tabled.samples.code.copy()
        hidden = np.setdiff1d(np.arange(len(code)), train_side)
        code[hidden] = rng.permutation(code[hidden])
        features = tuned.tabled.features.copy()
        features[hidden] = 0
        lied = dataclasses.replace(
            tuned.tabled, features=features, samples=dataclasses.replace(tuned.tabled.samples, code=code)
        )
        rules = TuningRules.model_validate(EXPERIMENT["tuning"])
        asked = searching.Asked(tuned.places, tuned.plans[0].id, fold, "random_forest", rules, "optuna")
        params = {"n_estimators": 10, "max_depth": 5}
        assert folded(asked, tuned.tabled, experiment, params) == folded(asked, lied, experiment, params)


def folded(asked: searching.Asked, tabled: Tabled, experiment: Any, params: dict[str, Any]) -> list[float]:
    return list(searching._course(asked, tabled, experiment)(params))


def test_a_tuned_recipe_is_one_to_choose_and_the_choice_knows_no_tested_ground_either(tuned: Tuned) -> None:
    plain = train.evaluate(tuned.places, [plan.id for plan in tuned.plans], "random_forest")
    assert plain.id != tuned.evaluation.id
    assert plain.study == ""
    chosen = train.choose(tuned.places, (plain.id, tuned.evaluation.id))
    assert chosen.study == tuned.study.id
    assert chosen.params == tuned.study.best
    assert chosen.selected_from == tuple(sorted((plain.id, tuned.evaluation.id)))
    one, other, mixed = (open_answers(tuned.places, e.predictions) for e in (plain, tuned.evaluation, chosen))
    for fold in range(3):
        mine = mixed.fold == fold
        assert any((mixed.probability[mine] == each.probability[mine]).all() for each in (one, other))
    assert train.choose(tuned.places, (plain.id, tuned.evaluation.id)) == chosen


def test_a_call_that_was_stopped_goes_on_to_the_same_end(tuned: Tuned, tmp_path: Path) -> None:
    places = dataclasses.replace(tuned.places, workspace=tmp_path / "workspace")
    for name in ("nouns", "experiments", "tables"):
        (places.workspace / name).parent.mkdir(parents=True, exist_ok=True)
        (places.workspace / name).symlink_to(tuned.places.workspace / name)
    for after in (2, 6):
        said: list[str] = []

        def say(line: str, said: list[str] = said, after: int = after) -> None:
            said.append(line)
            if len(said) > after:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            tuning.tune(places, [plan.id for plan in tuned.plans], "random_forest", say=say)
    assert tuning.tune(places, [plan.id for plan in tuned.plans], "random_forest") == tuned.evaluation


def test_another_process_can_do_the_work(tuned: Tuned) -> None:
    rules = TuningRules.model_validate({**EXPERIMENT["tuning"], "trials": 9, "workers": 2})
    experiment = experiment_of(tuned.places, tuned.table.experiment)
    asked = searching.Asked(tuned.places, tuned.plans[0].id, ALL, "random_forest", rules, "optuna")
    worker = multiprocessing.get_context("spawn").Process(target=searching._work, args=([asked],))
    worker.start()
    worker.join(120)
    assert worker.exitcode == 0
    said: list[str] = []
    found = searching.search_all([asked], tuned.tabled, experiment, said.append)
    assert said == []
    assert len(found[0].tried) == 9
    more = searching.search_all([at_most(asked, 12)], tuned.tabled, experiment, said.append)
    assert len(more[0].tried) == 12
    assert found[0].tried[:1] == open_trials(tuned.places, tuned.study)[-1].tried[:1]


def at_most(asked: searching.Asked, trials: int) -> searching.Asked:
    return dataclasses.replace(asked, rules=asked.rules.model_copy(update={"trials": trials}))


def test_flaml_takes_the_same_folds(tuned: Tuned) -> None:
    evaluation = tuning.tune(tuned.places, [plan.id for plan in tuned.plans], "random_forest", engine="flaml")
    study = Shelf(tuned.places.nouns).get(Study, evaluation.study)
    assert study.default_value == tuned.study.default_value
    assert study.value >= study.default_value
    experiment = experiment_of(tuned.places, tuned.table.experiment)
    rules = TuningRules.model_validate(EXPERIMENT["tuning"])
    asked = searching.Asked(tuned.places, tuned.plans[0].id, ALL, "random_forest", rules, "flaml")
    assert folded(asked, tuned.tabled, experiment, dict(study.best))[-1] == study.value


def test_searching_among_recipes_that_know_nothing_is_worth_nothing(tuned: Tuned) -> None:
    code = np.random.default_rng(5).permutation(tuned.tabled.samples.code % 2)
    lied = dataclasses.replace(tuned.tabled, samples=dataclasses.replace(tuned.tabled.samples, code=code))
    space = {"random_state": Range(low=0, high=10_000, whole=True)}
    rules = TuningRules(trials=8, prune=False, space={"random_forest": space})
    experiment = experiment_of(tuned.places, tuned.table.experiment)
    plan = tuned.plans[0]
    asked = [
        searching.Asked(tuned.places, plan.id, fold, "random_forest", rules, "optuna")
        for fold in (*range(plan.n_folds), ALL)
    ]
    found = searching.search_all(asked, lied, experiment, lambda line: None)
    best = [each.best.params for each in found[:-1]]
    answers = tuning._answers(plan, plan, lied, experiment, "random_forest", best, 0)
    share = max(np.bincount(code) / len(code))
    honest = float((answers.predicted == code).mean())
    assert found[-1].best.value > honest
    assert abs(honest - share) < 0.08


# --- refusals --------------------------------------------------------------------------------


def test_random_folds_are_refused_wherever_something_could_be_promoted(tuned: Tuned) -> None:
    honest, random = tuned.plans[:2]
    with pytest.raises(BadInput, match=r"deals samples at random.*nothing that was found so can be promoted"):
        tuning.tune(tuned.places, [random.id, honest.id], "random_forest")
    with pytest.raises(BadInput, match="deals samples at random"):
        selecting.select(tuned.places, random.id, method="vif")
    shelf = Shelf(tuned.places.nouns)
    own = shelf.put(tuned.study.model_copy(update={"plan": random.id}))
    claimed = shelf.put(tuned.evaluation.model_copy(update={"study": own.id}))
    with pytest.raises(BadInput, match="deals samples at random"):
        train.choose(tuned.places, (claimed.id,))
    other = shelf.put(tuned.study.model_copy(update={"family": "xgboost"}))
    claimed = shelf.put(tuned.evaluation.model_copy(update={"study": other.id}))
    with pytest.raises(BadInput, match="which searched for xgboost"):
        train.choose(tuned.places, (claimed.id,))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"family": "svm"}, "There is no family 'svm'"),
        ({"trials": 1}, "at least 2 trials"),
        ({"workers": 65}, "1 to 64 workers"),
        ({"plans": slice(0, 1)}, "are not the plans of one table"),
        ({"plans": slice(0, 0)}, "There is no plan to search in"),
    ],
)
def test_what_cannot_be_tuned_is_refused(tuned: Tuned, change: dict[str, Any], sentence: str) -> None:
    chosen = [plan.id for plan in tuned.plans[change.pop("plans", slice(0, 2))]]
    family = change.pop("family", "random_forest")
    with pytest.raises(BadInput, match=sentence):
        tuning.tune(tuned.places, chosen, family, **change)


@pytest.mark.parametrize(
    ("space", "sentence"),
    [
        ({"forrest": {}}, "tuning.space names forrest"),
        ({"random_forest": {}}, "There is nothing to search for 'random_forest'"),
        ({"random_forest": {"max_deep": Range(low=1, high=3)}}, "None of 4 sets of parameters.*max_deep"),
    ],
)
def test_a_space_that_cannot_be_searched_is_refused(tuned: Tuned, space: Any, sentence: str) -> None:
    experiment = experiment_of(tuned.places, tuned.table.experiment)
    rules = TuningRules(trials=5, space=space)
    asked = searching.Asked(tuned.places, tuned.plans[0].id, 0, "random_forest", rules, "optuna")

    def searched() -> None:
        require_space("random_forest", searching.space_of(asked, experiment))
        searching.search_all([asked], tuned.tabled, experiment, lambda line: None)

    with pytest.raises(BadInput, match=sentence):
        searched()


def test_a_fold_for_every_sample_would_need_a_search_for_every_sample(tuned: Tuned) -> None:
    shelf = Shelf(tuned.places.nouns)
    many = shelf.put(tuned.plans[0].model_copy(update={"n_folds": 500}))
    with pytest.raises(BadInput, match="500 folds; each would need a search of its own"):
        tuning.tune(tuned.places, [many.id, tuned.plans[1].id], "random_forest")


def test_an_interrupt_says_how_to_go_on(tuned: Tuned, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(tuning, "tune", interrupted)
    monkeypatch.setattr("geoml_ops.verbs.tuning.places", lambda: tuned.places)
    done = CliRunner().invoke(app, ["tune", "random_forest", "--plan", "p1", "--plan", "p2", "--trials", "7"])
    assert done.exit_code == 130
    assert "go on: geoml tune random_forest --plan p1 --plan p2 --engine optuna --trials 7" in done.output


# --- choosing features -----------------------------------------------------------------------


@pytest.fixture(scope="module")
def twice(mlflow_server: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[Places, FoldPlan, tuple[str, ...]]:
    """Returns a training that chooses features; two of them are nearly the same."""
    features = ("B03", "B04", "B08", "B11", "NDVI", "SR")
    rules = {"method": "vif", "options": {"threshold": 8}}
    places, _, plans = places_with(
        tmp_path_factory.mktemp("select"), mlflow_server, features=features[:5], selection=rules
    )
    return places, plans[0], tuple(plan.id for plan in plans)


def test_a_report_says_what_stays_how_often_and_why_the_rest_goes(twice: Any) -> None:
    places, plan, _ = twice
    found = selecting.select(places, plan.id)
    assert found.rules == SelectionRules(method="vif", options={"threshold": 8})
    assert set(found.kept) | set(found.because) == set(found.kept_share) == {"B03", "B04", "B08", "B11", "NDVI"}
    assert 0 < len(found.because) < 5
    assert all(found.kept_share[name] > 0.5 for name in found.kept)
    assert all(found.measured[name] <= 8 for name in found.kept)
    assert Shelf(places.nouns).get(type(found), found.id) == found
    most = selecting.select(places, plan.id, method="permutation", most=2, options={"trees": 15, "model": "family"})
    assert len(most.kept) <= 2
    with pytest.raises(BadInput, match=r"options\.threshold"):
        selecting.select(places, plan.id, method="vif", options={"threshold": "much"})
    with pytest.raises(BadInput, match="method 'lasso'"):
        selecting.select(places, plan.id, method="lasso")
    with pytest.raises(BadInput, match="There is no family 'svm'"):
        selecting.select(places, plan.id, family="svm")


def test_a_choice_is_made_inside_the_folds_and_leaves_as_one_gather(twice: Any) -> None:
    places, _, plan_ids = twice
    evaluation = train.evaluate(places, plan_ids, "random_forest")
    train.choose(places, (evaluation.id,))
    fitted = open_model(places, evaluation)
    kept = fitted.estimator.steps[0][1].kept_
    assert 0 < len(kept) < 5
    rows = np.random.default_rng(0).uniform(-1, 2, (50, 5)).astype(np.float32)
    rows[::9, 1] = np.nan
    graph = Graph(head_graph(fitted.estimator, "random_forest", 5))
    found = graph.head(rows.T.reshape(1, 5, 5, 10))[0].reshape(-1, 50).T
    np.testing.assert_allclose(found, fitted.estimator.predict_proba(rows), atol=1e-6)


def test_a_family_that_is_not_there_is_refused_before_a_plan_is_cut(
    tuned: Tuned, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("geoml_ops.verbs.tuning.places", lambda: tuned.places)
    before = sorted(p.name for p in tuned.places.nouns.rglob("*.json"))
    with pytest.raises(BadInput, match="no family 'nonsense'"):
        tuning_verbs.tune("nonsense")
    assert sorted(p.name for p in tuned.places.nouns.rglob("*.json")) == before
