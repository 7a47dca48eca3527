"""A choice between recipes is scored by folds in which it was made anew."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from geoml_ops.core.errors import BadInput
from geoml_ops.core.flow import FoldPlan
from geoml_ops.core.folding import FoldRules
from geoml_ops.domain.fitting import FAMILIES, fit, out_of_fold, recipe
from geoml_ops.domain.folds import Samples, materialise, part, plan_for
from geoml_ops.domain.nesting import folds_inside, inner_splits, nested

TABLE = "table-0123456789abcdef"


class Guess:
    """Answers that have nothing to do with the truth, another set of them per seed."""

    def __init__(self, seed: int) -> None:
        self.said = np.random.default_rng(seed).integers(0, 2, 1_000_001)

    def fit(self, features: NDArray[np.float32], codes: NDArray[np.int64]) -> Guess:
        return self

    def predict_proba(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        return np.eye(2)[self.said[(features[:, 0] * 1e6).astype(np.int64)]]


class Threshold(Guess):
    """Right wherever the first feature tells the class."""

    def predict_proba(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        return np.eye(2)[(features[:, 1] > 0).astype(np.int64)]


def ground(seed: int, n: int = 400) -> tuple[Samples, NDArray[np.float32]]:
    rng = np.random.default_rng(seed)
    easting, northing = rng.uniform(0, 6000, n), rng.uniform(0, 6000, n)
    code = rng.integers(0, 2, n)
    features = np.column_stack([rng.uniform(0, 1, n), np.where(code == 1, 1.0, -1.0)]).astype(np.float32)
    return Samples("EPSG:32633", True, 10.0, easting, northing, easting, northing, np.arange(n), code), features


def planned(samples: Samples, **rules: Any) -> FoldPlan:
    return plan_for(TABLE, samples, FoldRules(**{"block_m": 1000.0, "buffer_m": 50.0, "n_folds": 5, **rules}))


def choice_of(seed: int, recipes: dict[str, Any]) -> tuple[float, float, tuple[str, ...]]:
    samples, features = ground(seed)
    plan = planned(samples)
    splits = materialise(plan, samples)
    builds = {name: (lambda k, made=made: made) for name, made in recipes.items()}
    answers = {name: out_of_fold(features, samples.code, splits, build, 2) for name, build in builds.items()}
    best = max(float((a.predicted == samples.code).mean()) for a in answers.values())
    found = nested(plan, samples, features, splits, builds, answers, metric="overall_accuracy")
    return best, float((found.answers.predicted == samples.code).mean()), found.chosen


def test_the_best_of_many_guesses_looks_good_and_nested_folds_say_that_it_is_not() -> None:
    found = [choice_of(seed, {f"guess{i}": Guess(i) for i in range(12)}) for seed in range(12)]
    best, honest = np.mean([b for b, _, _ in found]), np.mean([h for _, h, _ in found])
    assert best > 0.53
    assert abs(honest - 0.5) < 0.015


def test_a_recipe_that_is_truly_better_is_chosen_in_every_fold() -> None:
    best, honest, chosen = choice_of(1, {"guess": Guess(1), "threshold": Threshold(2)})
    assert set(chosen) == {"threshold"}
    assert best == honest == 1.0


@pytest.mark.parametrize("method", ["block", "kmeans", "buffered"])
def test_inner_folds_know_nothing_of_the_tested_ground(method: str) -> None:
    samples, _ = ground(2)
    plan = planned(samples, method=method)
    for number, (train, _) in enumerate(materialise(plan, samples)):
        inside = part(samples, train)
        inner = inner_splits(plan, inside, number)
        assert len(inner) == 3
        for learned, asked in inner:
            assert not set(learned) & set(asked)
            assert max(learned.max(), asked.max()) < len(train)


def test_a_part_keeps_every_column_in_order() -> None:
    samples, _ = ground(3)
    index = np.array([5, 2, 9])
    few = part(samples, index)
    assert few.easting.tolist() == samples.easting[index].tolist()
    assert few.code.tolist() == samples.code[index].tolist()
    assert few.features is None


def test_a_train_side_that_cannot_be_folded_again_is_named() -> None:
    samples, _ = ground(4)
    plan = planned(samples)
    alone = part(samples, np.array([0]))
    with pytest.raises(BadInput, match=r"The 1 samples that train fold 3 cannot be folded again"):
        inner_splits(plan, alone, 3)


def test_random_folds_never_stand_inside_a_train_side() -> None:
    samples, _ = ground(5)
    plan = planned(samples, method="random")
    with pytest.raises(BadInput, match="Random folds"):
        folds_inside(plan, samples)
    with pytest.raises(BadInput, match="Random folds"):
        inner_splits(plan, samples, 0)


@pytest.mark.parametrize("method", ["block", "kmeans", "buffered", "buffered_loo", "location"])
def test_a_stack_gets_folds_inside_every_train_side_by_the_rules_of_the_plan(method: str) -> None:
    samples, features = ground(6)
    plan = planned(samples, method=method, tested=4)
    cut, seen = folds_inside(plan, samples), []

    def spied(rows: NDArray[np.int64]) -> Any:
        seen.append(rows)
        return cut(rows)

    params = {"members": {"line": {"family": "logistic_regression"}, "machine": {"family": "svm"}}}
    own = recipe(params, FAMILIES, name="stacking", classes=("a", "b"))
    splits = materialise(plan, samples)[:2]
    answers = out_of_fold(features, samples.code, splits, own, 2, inner=spied)
    assert (answers.predicted[answers.tested] == samples.code[answers.tested]).all()
    # The stack itself, then the machine inside each of its folds and on all of a train side.
    assert len(seen) >= len(splits) * 4
    for rows in seen:
        number = next(n for n, (train, _) in enumerate(splits) if np.isin(rows, train).all())
        assert not np.isin(rows, splits[number][1]).any()
        for learned, asked in cut(rows):
            apart = np.hypot(
                *(
                    np.subtract.outer(line[rows][learned], line[rows][asked])
                    for line in (samples.easting, samples.northing)
                )
            )
            assert apart.min() > plan.buffer_m


def test_too_few_samples_for_folds_inside_are_a_sentence() -> None:
    samples, features = ground(7)
    plan, one = planned(samples), np.zeros(3, dtype=np.int64)
    own = recipe({"calibrate": "sigmoid"}, FAMILIES, name="knn", classes=("a", "b"))
    with pytest.raises(BadInput, match=r"The \d samples that train a model cannot be folded again"):
        fit(own, features[:3], np.array([0, 1, 0]), 2, inner=folds_inside(plan, part(samples, one)))
