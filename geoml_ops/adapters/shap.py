"""SHAP values of fitted models: exact for trees, by permutations for everything else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import shap
from numpy.typing import NDArray
from shap.utils._exceptions import InvalidModelError

from geoml_ops.core.errors import BadInput
from geoml_ops.domain.explaining import Explained
from geoml_ops.domain.fitting import Fitted

TREES = (
    "RandomForestClassifier",
    "ExtraTreesClassifier",
    "GradientBoostingClassifier",
    "HistGradientBoostingClassifier",
    "XGBClassifier",
    "LGBMClassifier",
    "CatBoostClassifier",
)
PROBABILITIES = ("RandomForestClassifier", "ExtraTreesClassifier")
ROUNDS = 4
"""Permutations, forward and backward, of each row."""
AT_ONCE = 50


def explain(
    fitted: Fitted,
    rows: NDArray[np.float32],
    background: NDArray[np.float32],
    *,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Explained:
    """Returns the values of rows for every class of the fixed list.

    Trees are explained exactly along their own paths (Lundberg et al. 2020), forests in probability, boosted
    trees in log-odds; other models in probability, by permutations against a background (exactly additive, the
    values themselves are estimates).

    Args:
        fitted: a model and the codes it knows.
        rows: float32 ``(row, feature)``.
        background: float32 ``(m, feature)`` of rows that stand for "not told"; trees do not need them.
        seed: of the permutations.
        progress: called with rows done and rows in all, where it takes long.

    Raises:
        BadInput: there are no rows, or the model saw one class only.
    """
    if not len(rows) or fitted.estimator is None:
        raise BadInput("There is nothing to explain.", "choose a model of at least two classes, and rows")
    before, model = _split(fitted.estimator)
    found = None
    if type(model).__name__ in TREES:
        found = _of_trees(model, _through(before, rows), len(fitted.present))
    if found is None:
        return _by_permutations(fitted, rows, background, seed, progress)
    values, base, answers, unit = found
    k = fitted.n_classes
    whole = np.zeros((len(rows), k, rows.shape[1]))
    columns, codes = np.array(_columns(before, rows.shape[1])), np.array(fitted.present)
    whole[:, codes[:, None], columns[None]] = values
    return Explained(whole, _spread(base, fitted), _spread(answers, fitted), unit, "tree SHAP, path dependent")


def _split(estimator: Any) -> tuple[list[Any], Any]:
    steps = [step for _, step in getattr(estimator, "steps", [("model", estimator)])]
    return steps[:-1], steps[-1]


def _through(before: list[Any], rows: NDArray[np.float32]) -> NDArray[Any]:
    found: NDArray[Any] = rows
    for step in before:
        found = step.transform(found)
    return found


def _columns(before: list[Any], n_features: int) -> list[int]:
    """Returns which features reach the model, in its order."""
    kept = np.arange(n_features)
    for step in before:
        if hasattr(step, "get_support"):
            kept = kept[step.get_support(indices=True)]
    return [int(column) for column in kept]


def _of_trees(
    model: Any, rows: NDArray[Any], n_classes: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], str] | None:
    """Returns values ``(row, class, feature)``, base, answers and unit; None where the trees cannot be explained."""
    try:
        explainer = shap.TreeExplainer(model, feature_perturbation="tree_path_dependent")
        said = np.asarray(explainer.shap_values(rows, check_additivity=False), dtype=np.float64)
    except InvalidModelError:
        return None
    base = np.atleast_1d(np.asarray(explainer.expected_value, dtype=np.float64))
    if said.ndim == 2:
        # One margin for two classes: what speaks for the second speaks against the first.
        said, base = np.stack([-said, said], axis=2), np.array([-base[-1], base[-1]])
    values = np.moveaxis(said, 2, 1)
    if type(model).__name__ in PROBABILITIES:
        return values, base, np.asarray(model.predict_proba(rows), dtype=np.float64), "probability"
    return values, base, _margins(model, rows, n_classes), "log-odds"


def _margins(model: Any, rows: NDArray[Any], n_classes: int) -> NDArray[np.float64]:
    """Returns the raw answers of boosted trees ``(row, class)``."""
    kind = type(model).__name__
    if kind == "XGBClassifier":
        raw = model.predict(rows, output_margin=True)
    elif kind == "LGBMClassifier":
        raw = model.predict_proba(rows, raw_score=True)
    elif kind == "CatBoostClassifier":
        raw = model.predict(rows, prediction_type="RawFormulaVal")
    else:
        raw = model.decision_function(rows)
    raw = np.asarray(raw, dtype=np.float64)
    if n_classes == 2 and (raw.ndim == 1 or raw.shape[1] == 1):
        raw = raw.reshape(-1)
        return np.column_stack([-raw, raw])
    return raw


def _spread(values: NDArray[np.float64], fitted: Fitted) -> NDArray[np.float64]:
    out = np.zeros((*values.shape[:-1], fitted.n_classes))
    out[..., list(fitted.present)] = values
    return out


def _by_permutations(
    fitted: Fitted,
    rows: NDArray[np.float32],
    background: NDArray[np.float32],
    seed: int,
    progress: Callable[[int, int], None] | None,
) -> Explained:
    """Returns values from orders in which features are told one after another (Strumbelj and Kononenko 2010).

    Whatever is not told comes from each of the background rows in turn, so that base and values add up to the
    answer exactly.
    """
    masker = shap.maskers.Independent(background.astype(np.float64), max_samples=len(background))
    explainer = shap.explainers.Permutation(lambda x: fitted.probability(x.astype(np.float32)), masker, seed=seed)
    evaluations, parts = ROUNDS * (2 * rows.shape[1] + 1), []
    for first in range(0, len(rows), AT_ONCE):
        part = rows[first : first + AT_ONCE].astype(np.float64)
        parts.append(np.asarray(explainer(part, max_evals=evaluations, silent=True).values))
        if progress is not None:
            progress(min(first + AT_ONCE, len(rows)), len(rows))
    answers = fitted.probability(rows)
    base = fitted.probability(background).mean(axis=0)
    values = np.moveaxis(np.concatenate(parts), 2, 1)
    return Explained(values, base, answers, "probability", f"permutations, {2 * ROUNDS} orders a row")
