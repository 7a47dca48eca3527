"""The families that need no tool beyond scikit-learn, one entry each: how built, what tuning searches, in one line."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sklearn.ensemble import (
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
)
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline

from geoml_ops.core.errors import BadInput
from geoml_ops.core.experiment import Range
from geoml_ops.domain.fitting.ensembles import bagging, voting
from geoml_ops.domain.fitting.machines import SupportVectors
from geoml_ops.domain.fitting.neighbours import Neighbours
from geoml_ops.domain.fitting.recipe import Family, Params, Setting
from geoml_ops.domain.fitting.scaling import imputed, standardised, unscaled
from geoml_ops.domain.fitting.stacking import blending, stacking

THREADS = 1
"""Families are trained side by side as tasks; two threads of XGBoost cost 2.6 times the CPU on two busy cores."""


def random_forest(params: Params, seed: int, n_classes: int) -> Pipeline:
    """Returns an unfitted forest behind a median imputer.

    Raises:
        BadInput: scikit-learn does not know a parameter.
    """
    return imputed(_made("A random forest", RandomForestClassifier, params, n_jobs=THREADS, random_state=seed))


def _extra_trees(params: Params, setting: Setting) -> Pipeline:
    return imputed(_made("Extra trees", ExtraTreesClassifier, params, n_jobs=THREADS, random_state=setting.seed))


def _gradient_boosting(params: Params, setting: Setting) -> Pipeline:
    require_no_hold_out("Gradient boosting", params, n_iter_no_change=None)
    return imputed(_made("Gradient boosting", GradientBoostingClassifier, params, random_state=setting.seed))


def _hist_gradient_boosting(params: Params, setting: Setting) -> Any:
    require_no_hold_out("Histogram gradient boosting", params, early_stopping=False)
    own = {"early_stopping": False, "random_state": setting.seed}
    return _made("Histogram gradient boosting", HistGradientBoostingClassifier, params, **own)


def _svm(params: Params, setting: Setting) -> Pipeline:
    return standardised(_made("A support vector machine", SupportVectors, params))


def _knn(params: Params, setting: Setting) -> Pipeline:
    return standardised(_made("Nearest neighbours", Neighbours, params))


def _logistic_regression(params: Params, setting: Setting) -> Pipeline:
    own = dict(params)
    scaled = own.pop("standardise", True)
    if not isinstance(scaled, bool):
        raise BadInput(f"standardise is {str(scaled)[:60]}.", "use true or false")
    model = _made("Logistic regression", LogisticRegression, own, max_iter=2000, random_state=setting.seed)
    return standardised(model) if scaled else unscaled(model)


def _mlp(params: Params, setting: Setting) -> Pipeline:
    require_no_hold_out("A multilayer perceptron", params, early_stopping=False)
    own = {name: tuple(value) if isinstance(value, list) else value for name, value in params.items()}
    return standardised(_made("A multilayer perceptron", MLPClassifier, own, max_iter=500, random_state=setting.seed))


def _made(what: str, kind: Callable[..., Any], params: Params, **defaults: Any) -> Any:
    try:
        return kind(**{**defaults, **params})
    except TypeError as error:
        raise BadInput(f"{what} cannot be built from {str(dict(params))[:200]}: {error}.") from None


def require_no_hold_out(what: str, params: Params, **allowed: Any) -> None:
    """Lets parameters through that hold out no samples at random.

    Raises:
        BadInput: one does: neighbours of the samples held out stay in, and say that all is well.
    """
    for name, value in allowed.items():
        if params.get(name, value) != value:
            raise BadInput(
                f"{what} with {name}={str(params[name])[:60]} would stop by samples drawn at random, whose neighbours "
                "it learned from.",
                f"leave {name} out and tune the number of iterations in spatial folds",
            )


def _number(low: float, high: float, *, log: bool = False, whole: bool = False) -> Range:
    return Range(low=low, high=high, log=log, whole=whole)


_FOREST = {
    "n_estimators": _number(100, 500, whole=True),
    "max_depth": Range(choices=(None, 8, 12, 16, 24)),
    "min_samples_leaf": _number(1, 20, log=True, whole=True),
    "max_features": _number(0.1, 1.0),
}

FAMILIES: Mapping[str, Family] = {
    "random_forest": Family(
        build=lambda params, setting: random_forest(params, setting.seed, setting.n_classes),
        space=_FOREST,
        says="many trees, each on a random draw of samples and features; hard to get wrong",
    ),
    "extra_trees": Family(
        build=_extra_trees, space=_FOREST, says="a random forest whose thresholds are random, too; smoother and quicker"
    ),
    "gradient_boosting": Family(
        build=_gradient_boosting,
        space={
            "n_estimators": _number(50, 400, whole=True),
            "learning_rate": _number(0.01, 0.3, log=True),
            "max_depth": _number(2, 6, whole=True),
            "min_samples_leaf": _number(1, 50, log=True, whole=True),
            "subsample": _number(0.5, 1.0),
        },
        says="trees that correct each other, exact splits; slow beyond some ten thousand samples",
    ),
    "hist_gradient_boosting": Family(
        build=_hist_gradient_boosting,
        space={
            "max_iter": _number(50, 500, whole=True),
            "learning_rate": _number(0.01, 0.3, log=True),
            "max_leaf_nodes": _number(7, 63, log=True, whole=True),
            "min_samples_leaf": _number(5, 100, log=True, whole=True),
            "l2_regularization": _number(1e-3, 10.0, log=True),
        },
        says="trees that correct each other on binned features; reads missing values itself",
    ),
    "svm": Family(
        build=_svm,
        space={"C": _number(0.1, 1000.0, log=True), "gamma": _number(1e-3, 10.0, log=True)},
        says="a support vector machine, calibrated on spatial folds; good with few samples, slow with many",
        scores="sigmoid",
        smooth=True,
    ),
    "knn": Family(
        build=_knn,
        space={"n_neighbors": _number(1, 50, log=True, whole=True), "weights": Range(choices=("uniform", "distance"))},
        says="the classes of the most similar samples; the plainest baseline",
    ),
    "logistic_regression": Family(
        build=_logistic_regression,
        space={"C": _number(1e-3, 1000.0, log=True)},
        says="one line per class through the features; the baseline to beat, and what comes last in a stack",
        smooth=True,
    ),
    "mlp": Family(
        build=_mlp,
        space={
            "hidden_layer_sizes": Range(choices=([32], [64], [128], [64, 32], [128, 64])),
            "alpha": _number(1e-6, 1e-1, log=True),
            "learning_rate_init": _number(1e-4, 1e-2, log=True),
        },
        says="a small neural network on single pixels",
        smooth=True,
    ),
    "bagging": Family(
        build=bagging,
        space={"max_samples": _number(0.3, 1.0), "max_features": _number(0.3, 1.0)},
        says="many models of one family, each on a draw of samples and features",
    ),
    "stacking": Family(build=stacking, says="several families, and a model of what their answers out of folds mean"),
    "voting": Family(build=voting, says="the mean of several families' probabilities, or their votes"),
    "blending": Family(
        build=blending, says="a stack that learns from one held-out fold; quicker, with less to learn from"
    ),
}
