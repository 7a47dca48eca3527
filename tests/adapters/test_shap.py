"""Values add up to answers, class by class, and say what is known about models whose rule is known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from lightgbm import LGBMClassifier
from sklearn.ensemble import (
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline
from xgboost import XGBClassifier

from geoml_ops.adapters.shap import explain
from geoml_ops.core.errors import BadInput
from geoml_ops.domain.explaining import require_additive
from geoml_ops.domain.fitting import Fitted

RNG = np.random.default_rng(0)
ROWS = RNG.normal(size=(1500, 4)).astype(np.float32)
BACKGROUND = ROWS[:12]


def codes(k: int) -> Any:
    """Returns classes that follow from the first two features alone."""
    if k == 2:
        return (ROWS[:, 0] + 0.5 * ROWS[:, 1] > 0).astype(np.int64)
    return np.digitize(ROWS[:, 0] + 0.3 * ROWS[:, 1], [-0.7, 0.7]).astype(np.int64)


MODELS: dict[str, Any] = {
    "forest": lambda: RandomForestClassifier(20, max_depth=8, random_state=0),
    "extra trees": lambda: ExtraTreesClassifier(20, max_depth=8, random_state=0),
    "boosting": lambda: GradientBoostingClassifier(n_estimators=10, random_state=0),
    "histogram": lambda: HistGradientBoostingClassifier(max_iter=10, random_state=0),
    "xgboost": lambda: XGBClassifier(n_estimators=12, max_depth=3, n_jobs=1),
    "lightgbm": lambda: LGBMClassifier(n_estimators=12, verbose=-1, n_jobs=1),
    "logistic": LogisticRegression,
    "neighbours": lambda: KNeighborsClassifier(15),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("k", [2, 3])
@pytest.mark.parametrize("name", MODELS)
def test_values_and_base_add_up_to_the_answer_of_every_class(name: str, k: int) -> None:
    fitted = Fitted(MODELS[name]().fit(ROWS, codes(k)), tuple(range(k)), k)
    found = explain(fitted, ROWS[:60], BACKGROUND)
    require_additive(found)
    assert found.values.shape == (60, k, 4)
    np.testing.assert_allclose(found.base + found.values.sum(axis=2), found.answers, atol=1e-4)
    told = found.importance.sum(axis=0)
    assert told[0] > told[1] > 2 * max(told[2:]), "the rule reads the first feature most, and never the last two"
    # Multiclass indexing: the class whose answer is highest above its base has the highest sum of values.
    best = found.values.sum(axis=2).argmax(axis=1)
    assert (best == (found.answers - found.base).argmax(axis=1)).all()


@pytest.mark.filterwarnings("ignore")
def test_a_class_that_was_never_seen_has_values_of_zero_in_its_own_place() -> None:
    fitted = Fitted(RandomForestClassifier(10, random_state=0).fit(ROWS, codes(2)), (0, 2), 3)
    found = explain(fitted, ROWS[:30], BACKGROUND)
    assert (found.values[:, 1] == 0).all()
    assert (found.base[1], found.answers[:, 1].max()) == (0.0, 0.0)
    np.testing.assert_allclose(found.values[:, 0], -found.values[:, 2], atol=1e-9)


@pytest.mark.filterwarnings("ignore")
def test_an_imputer_in_front_is_explained_with_the_trees() -> None:
    holed = np.where(RNG.random(ROWS.shape) < 0.1, np.float32(np.nan), ROWS)
    steps = [("impute", SimpleImputer(strategy="median")), ("model", RandomForestClassifier(15, random_state=0))]
    fitted = Fitted(Pipeline(steps).fit(holed, codes(3)), (0, 1, 2), 3)
    found = explain(fitted, holed[:40], BACKGROUND)
    np.testing.assert_allclose(found.base + found.values.sum(axis=2), fitted.probability(holed[:40]), atol=1e-6)


def test_the_values_of_a_linear_model_are_those_of_its_formula() -> None:
    """A model linear in probability: values are weight times distance from the background's mean."""
    weights = np.array([0.1, -0.05, 0.0, 0.02])

    class Linear:
        def predict_proba(self, rows: Any) -> Any:
            second = 0.5 + np.asarray(rows, dtype=np.float64) @ weights
            return np.column_stack([1 - second, second])

    found = explain(Fitted(Linear(), (0, 1), 2), ROWS[:20], BACKGROUND)
    wanted = (ROWS[:20].astype(np.float64) - BACKGROUND.astype(np.float64).mean(axis=0)) * weights
    np.testing.assert_allclose(found.values[:, 1], wanted, atol=1e-6)
    np.testing.assert_allclose(found.values[:, 0], -wanted, atol=1e-6)


def test_nothing_to_explain_is_a_sentence() -> None:
    with pytest.raises(BadInput, match="nothing to explain"):
        explain(Fitted(None, (0,), 2), ROWS[:5], BACKGROUND)
    with pytest.raises(BadInput, match="nothing to explain"):
        explain(Fitted(LogisticRegression().fit(ROWS, codes(2)), (0, 1), 2), ROWS[:0], BACKGROUND)
