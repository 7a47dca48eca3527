"""Training on a generated landscape: ids follow from inputs, scores can be recomputed, kills lose nothing."""

from __future__ import annotations

import dataclasses
import json
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
import shapely
from mlflow import MlflowClient
from sklearn.metrics import accuracy_score, f1_score

from geoml_ops.adapters.crs import reproject
from geoml_ops.adapters.nouns import Shelf
from geoml_ops.adapters.tables import read_table
from geoml_ops.core.errors import BadInput, NotFound, Refused, Unavailable
from geoml_ops.core.flow import Decision, Evaluation, FeatureTable, FoldPlan, Retrain, Scene, Version
from geoml_ops.domain.folds import materialise
from geoml_ops.domain.world import CLASSES, World, landscape
from geoml_ops.steps import train
from geoml_ops.steps.answers import open_answers
from geoml_ops.steps.experiments import current_experiment, experiment_of, keep_experiment
from geoml_ops.steps.judging import champion_in_folds, compare
from geoml_ops.steps.models import open_model
from geoml_ops.steps.places import Places
from geoml_ops.steps.samples import one_per_acquisition, open_table
from tests.conftest import free_port
from tests.every_noun import any_noun
from tests.versions import EXPERIMENT, cube, keep_version, places_in

WORLD = landscape(420, 360, seed=3)
SEEN = cube(WORLD)
# The east lies under brighter light: what was learned in the west alone does not hold there.
SEEN[:, :, 210:] = (SEEN[:, :, 210:] * 1.7).clip(1, 20_000).astype(np.uint16)


def all_labels(world: World) -> dict[str, tuple[tuple[shapely.Polygon, ...], tuple[str, ...], str]]:
    return {"west": (*world.side(True), world.grid.crs), "east": (*world.side(False), world.grid.crs)}


@dataclasses.dataclass(frozen=True)
class Trained:
    places: Places
    west: Version
    both: Version
    table: FeatureTable
    honest: FoldPlan
    optimism: FoldPlan
    evaluations: tuple[Evaluation, ...]
    best: Evaluation


@pytest.fixture(scope="module")
def trained(mlflow_server: str, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    places = places_in(tmp_path_factory.mktemp("train"), mlflow_server)
    scene, labels = {"here": (SEEN, WORLD.grid)}, all_labels(WORLD)
    west = keep_version(places, scene, {"west": labels["west"]})
    both = keep_version(places, scene, labels)
    table = train.tabulate(places, both.id)
    honest, optimism = train.plan(places, table.id)
    found = tuple(train.evaluate(places, (honest.id, optimism.id), name) for name in train.families(places))
    best = train.choose(places, tuple(e.id for e in found))
    return Trained(places, west, both, table, honest, optimism, found, best)


def test_samples_carry_the_truth_of_their_pixel_and_the_serving_features(trained: Trained) -> None:
    columns = read_table(trained.places.tables, trained.table.file).columns
    assert [CLASSES[t] for t in WORLD.truth[columns["row"], columns["col"]]] == [CLASSES[c] for c in columns["code"]]
    dn = SEEN.astype(np.float64)[:, columns["row"], columns["col"]]
    np.testing.assert_allclose(columns["B04"], dn[3] / 1e4, rtol=1e-6)
    np.testing.assert_allclose(columns["NDVI"], (dn[7] - dn[3]) / (dn[7] + dn[3]), rtol=1e-4, atol=1e-6)
    order = list(zip(columns["row"].tolist(), columns["col"].tolist(), strict=True))
    assert order == sorted(set(order))
    assert set(columns["labels"]) == set(trained.both.labels)
    assert sum(trained.table.n_samples.values()) == len(order)
    per_polygon = np.unique(columns["polygon"].astype(str), return_counts=True)[1]
    assert per_polygon.max() == 8


def test_the_same_inputs_find_the_same_nouns_and_lost_files_come_back(trained: Trained) -> None:
    places = trained.places
    (places.tables / trained.table.file.path).unlink()
    (places.tables / trained.best.predictions.path).write_bytes(b"cut short")
    before = sorted(p.name for p in places.nouns.rglob("*.json"))
    assert train.tabulate(places, trained.both.id) == trained.table
    assert train.plan(places, trained.table.id) == (trained.honest, trained.optimism)
    again = tuple(
        train.evaluate(places, (trained.honest.id, trained.optimism.id), e.family) for e in trained.evaluations
    )
    assert again == trained.evaluations
    assert train.choose(places, tuple(e.id for e in again)) == trained.best
    assert sorted(p.name for p in places.nouns.rglob("*.json")) == before


def test_every_parent_is_found(trained: Trained) -> None:
    shelf, waiting, seen = Shelf(trained.places.nouns), [trained.best.id], set()
    while waiting:
        noun = shelf.any(waiting.pop())
        seen.add(noun.kind)
        waiting += noun.parents
    assert seen == {"evaluation", "table", "plan", "version", "scene", "labels"}


def test_scores_are_those_of_the_kept_answers(trained: Trained) -> None:
    for evaluation in trained.evaluations:
        answers = open_answers(trained.places, evaluation.predictions)
        assert evaluation.scores["overall_accuracy"].value == pytest.approx(
            accuracy_score(answers.code, answers.predicted)
        )
        assert evaluation.scores["macro_f1"].value == pytest.approx(
            f1_score(answers.code, answers.predicted, average="macro")
        )
        assert (np.argmax(answers.probability, axis=1) == answers.predicted).mean() > 0.99
        assert np.sum(evaluation.confusion) == sum(trained.table.n_samples.values())
        assert evaluation.scores["no_skill_accuracy"].value < evaluation.scores["overall_accuracy"].low
        assert evaluation.estimand == "a new region"


def test_random_folds_are_flattering_and_marked(trained: Trained) -> None:
    assert trained.optimism.estimand == "optimism baseline"
    assert trained.honest.audit is not None
    assert trained.honest.audit.passed
    assert trained.honest.audit.least_distance_m > 60
    forest = trained.evaluations[0]
    assert forest.optimism["overall_accuracy"].value > forest.scores["overall_accuracy"].value


def test_the_run_tells_everything_once(trained: Trained) -> None:
    client = MlflowClient(tracking_uri=trained.places.tracking_uri)
    experiment = client.get_experiment_by_name("world")
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id])
    mine = sorted(e.id for e in (*trained.evaluations, trained.best))
    assert sorted(i for r in runs if (i := r.data.tags["geoml.id"]) in mine) == mine
    run = next(r for r in runs if r.data.tags["geoml.id"] == trained.best.id)
    assert run.info.status == "FINISHED"
    assert run.inputs.dataset_inputs[0].dataset.digest == trained.both.data
    assert run.data.metrics["overall_accuracy_low"] == trained.best.scores["overall_accuracy"].low
    assert len(client.get_metric_history(run.info.run_id, "fold_overall_accuracy")) == 4
    files = {f.path for f in client.list_artifacts(run.info.run_id, "plots")}
    assert files == {f"plots/{name}.png" for name in ("folds", "confusion", "scores", "importance", "coverage")}


def test_scores_survive_a_tracking_server_that_is_away(trained: Trained) -> None:
    away = dataclasses.replace(
        trained.places,
        tracking_uri=f"http://127.0.0.1:{free_port()}",
        experiment=places_in(
            trained.places.workspace.parent / "other", families={"random_forest": {"n_estimators": 3}}
        ).experiment,
    )
    table = train.tabulate(away, trained.both.id)
    plans = tuple(p.id for p in train.plan(away, table.id))
    with pytest.raises(Unavailable):
        train.evaluate(away, plans, "random_forest")
    kept = [e for e in Shelf(away.nouns).all(Evaluation) if e.plan == plans[0]]
    assert len(kept) == 1
    back = dataclasses.replace(away, tracking_uri=trained.places.tracking_uri)
    assert train.evaluate(back, plans, "random_forest") == kept[0]


def test_the_chosen_model_is_kept_and_an_altered_one_refused(trained: Trained) -> None:
    tabled = open_table(trained.places, trained.table)
    favourite = max(trained.evaluations, key=lambda e: e.scores["overall_accuracy"].value)
    assert (trained.best.family, trained.best.params) == (favourite.family, favourite.params)
    assert trained.best.selected_from == tuple(sorted(e.id for e in trained.evaluations))
    model = open_model(trained.places, trained.best)
    assert model.present == (0, 1, 2, 3, 4)
    assert (model.probability(tabled.features).argmax(axis=1) == tabled.samples.code).mean() > 0.7
    other = trained.evaluations[1]
    with pytest.raises(NotFound, match="geoml train choose"):
        open_model(trained.places, other)
    train.choose(trained.places, (other.id,))
    file = next((trained.places.models / other.id).glob("model.*[!n]"))
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(Refused, match="altered"):
        open_model(trained.places, other)


def test_the_first_model_is_promoted_over_no_skill_and_not_over_itself(trained: Trained) -> None:
    first = compare(trained.places, trained.best)
    assert first.outcome == "PROMOTE"
    assert first.difference.value == pytest.approx(
        trained.best.scores["overall_accuracy"].value - trained.best.scores["no_skill_accuracy"].value
    )
    alone = trained.evaluations[0]
    same = compare(trained.places, alone, alone)
    assert (same.outcome, same.difference.value) == ("HOLD", 0.0)


def test_a_champion_in_its_own_folds_answers_as_it_did(trained: Trained) -> None:
    for evaluation in trained.evaluations:
        own = open_answers(trained.places, evaluation.predictions)
        again = open_answers(trained.places, champion_in_folds(trained.places, evaluation, trained.honest))
        np.testing.assert_array_equal(again.probability, own.probability)
        np.testing.assert_array_equal(again.fold, own.fold)


def test_a_champion_that_never_saw_the_east_is_replaced(trained: Trained) -> None:
    places = trained.places
    table = train.tabulate(places, trained.west.id)
    plans = tuple(p.id for p in train.plan(places, table.id))
    champion = train.evaluate(places, plans, "random_forest")
    held = open_table(places, table)
    asked = open_table(places, trained.table)
    assert {tuple(k) for k in zip(*held.keys.values(), strict=True)} < {
        tuple(k) for k in zip(*asked.keys.values(), strict=True)
    }
    ruling = compare(places, trained.evaluations[0], champion)
    assert ruling.outcome == "PROMOTE"
    east = asked.samples.easting > (WORLD.grid.bounds.left + WORLD.grid.bounds.right) / 2
    theirs = open_answers(places, champion_in_folds(places, champion, trained.honest))
    ours = open_answers(places, trained.evaluations[0].predictions)
    right = [(a.predicted == a.code)[east].mean() for a in (ours, theirs)]
    assert right[0] > right[1] + 0.1
    worse = compare(places, champion, trained.evaluations[0])
    assert worse.outcome != "PROMOTE"


def test_a_recipe_with_other_features_is_compared_on_its_own_features(trained: Trained) -> None:
    other = dataclasses.replace(
        trained.places,
        experiment=places_in(trained.places.workspace.parent / "poor", features=["B10", "NDVI"]).experiment,
    )
    table = train.tabulate(other, trained.both.id)
    plans = tuple(p.id for p in train.plan(other, table.id))
    poor = train.evaluate(other, plans, "random_forest")
    own = open_answers(other, poor.predictions)
    theirs = open_answers(other, champion_in_folds(other, poor, trained.honest))
    assert (theirs.predicted == own.predicted).mean() > 0.99
    assert compare(other, trained.evaluations[0], poor).outcome == "PROMOTE"


def test_labels_in_another_crs_give_the_same_samples(trained: Trained, tmp_path: Path) -> None:
    places = places_in(tmp_path)
    shapes, names = WORLD.polygons, WORLD.labels
    degrees = reproject(np.asarray(shapes, dtype=object), WORLD.grid.crs, "EPSG:4326")
    version = keep_version(places, {"here": (SEEN, WORLD.grid)}, {"all": (list(degrees), names, "EPSG:4326")})
    table = train.tabulate(places, version.id)
    assert table.n_samples == trained.table.n_samples
    columns = read_table(places.tables, table.file).columns
    assert [CLASSES[t] for t in WORLD.truth[columns["row"], columns["col"]]] == [CLASSES[c] for c in columns["code"]]


def test_two_dates_of_one_ground_stay_in_one_fold_and_unseen_pixels_are_left_out(tmp_path: Path) -> None:
    places, dark = places_in(tmp_path), SEEN.copy()
    dark[:, :, :60] = 0
    version = keep_version(places, {"one": (SEEN, WORLD.grid), "two": (dark, WORLD.grid)}, all_labels(WORLD))
    table = train.tabulate(places, version.id)
    assert table.left_out["pixels_not_observed"] > 0
    honest, _ = train.plan(places, table.id)
    samples = open_table(places, table).samples
    assert honest.audit is not None
    assert honest.audit.passed
    for learned, test in materialise(honest, samples):
        assert not set(samples.polygon[learned]) & set(samples.polygon[test])


@pytest.mark.parametrize(
    ("labels", "sentence"),
    [
        ({"a": ((WORLD.polygons[:4]), ("lava",) * 4, "EPSG:32633")}, "'lava' belongs to no class"),
        ({"a": (WORLD.polygons, ("water",) * len(WORLD.polygons), "EPSG:32633")}, "none of built, cropland"),
        ({"a": ([shapely.box(0, 0, 900, 900)], ("water",), "EPSG:32633")}, "0 samples.*1 polygons outside"),
        ({"a": (WORLD.polygons[:3], ("scrub",) * 3, "EPSG:32633")}, "0 samples"),
    ],
)
def test_labels_that_teach_nothing_are_refused_with_a_sentence(
    tmp_path: Path, labels: dict[str, object], sentence: str
) -> None:
    places = places_in(tmp_path)
    version = keep_version(places, {"here": (SEEN, WORLD.grid)}, labels)  # type: ignore[arg-type]
    with pytest.raises(BadInput, match=sentence):
        train.tabulate(places, version.id)
    assert not list(places.tables.glob("*")) if places.tables.exists() else True


def test_scenes_of_two_zones_are_refused(tmp_path: Path) -> None:
    places = places_in(tmp_path)
    far = WORLD.grid.model_copy(update={"crs": "EPSG:32632"})
    version = keep_version(places, {"a": (SEEN, WORLD.grid), "b": (SEEN, far)}, {"west": all_labels(WORLD)["west"]})
    with pytest.raises(BadInput, match=r"2 CRSs: EPSG:32632, EPSG:32633"):
        train.tabulate(places, version.id)


def test_wrong_questions_are_refused(trained: Trained) -> None:
    places, honest, optimism = trained.places, trained.honest.id, trained.optimism.id
    with pytest.raises(BadInput, match="not the plans of one table"):
        train.evaluate(places, (optimism, honest), "random_forest")
    with pytest.raises(BadInput, match="no family 'svm'"):
        train.evaluate(places, (honest, optimism), "svm")
    with pytest.raises(BadInput, match="0 evaluations"):
        train.choose(places, ())


def test_the_cause_names_the_version(trained: Trained, tmp_path: Path) -> None:
    places, shelf = trained.places, Shelf(trained.places.nouns)
    assert train.version_for(places, trained.west.id) == trained.west.id
    assert train.version_for(places) == trained.both.id
    decision = Decision(version=trained.west.id, policy="p", action="retrain", fired=True, because="new labels")
    event = shelf.put(Retrain(decision=shelf.put(decision).id, version=trained.west.id, because="new labels"))
    assert train.version_for(places, event.id) == trained.west.id
    with pytest.raises(NotFound, match="no version"):
        train.version_for(places_in(tmp_path))


def test_a_kept_experiment_comes_back_with_its_classes_in_order(tmp_path: Path) -> None:
    places = places_in(tmp_path, classes=dict(sorted(EXPERIMENT["classes"].items(), reverse=True)))
    kept = current_experiment(places)
    keep_experiment(places, kept)
    assert experiment_of(places, kept.id).class_names == kept.class_names


def test_a_reprocessed_acquisition_counts_once_and_another_date_counts_too() -> None:
    first = any_noun(Scene).model_copy(update={"baseline": "02.04"})
    again = first.model_copy(update={"baseline": "05.11", "name": "again"})
    later = first.model_copy(update={"acquired": first.acquired + timedelta(days=5)})
    assert {s.id for s in one_per_acquisition([again, first, later])} == {again.id, later.id}
    assert one_per_acquisition([first, again]) == one_per_acquisition([again, first]) == [again]


def test_folds_that_are_asked_twice_are_cut_and_scored_once(trained: Trained, tmp_path: Path) -> None:
    content = json.loads(trained.places.experiment.read_text())
    again = content["folds"] | {"seed": trained.honest.rules.seed}
    places = dataclasses.replace(trained.places, experiment=tmp_path / "experiment.yaml")
    places.experiment.write_text(json.dumps(content | {"other_folds": [again, again | {"n_folds": 3}]}))
    plans = train.plan(places, train.tabulate(places, trained.west.id).id)
    assert len({plan.id for plan in plans}) == len(plans) == 3
