"""CatBoost as a family, where it is installed: writes no folders of its own, kept as its own binary."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from geoml_ops.core.errors import BadInput
from geoml_ops.core.experiment import Range
from geoml_ops.domain.fitting import THREADS, Family, Params, Setting
from geoml_ops.platform.files import whole_file

try:
    import catboost
except ImportError:  # an extra of the installation
    catboost = None

# CatBoost also takes names of files and folders; these are what decides about the model.
KNOWN = (
    "iterations", "n_estimators", "learning_rate", "depth", "max_depth", "l2_leaf_reg", "random_strength",
    "bagging_temperature", "border_count", "max_bin", "feature_border_type", "min_data_in_leaf", "max_leaves",
    "num_leaves", "grow_policy", "rsm", "colsample_bylevel", "bootstrap_type", "subsample", "sampling_frequency",
    "mvs_reg", "leaf_estimation_iterations", "leaf_estimation_method", "score_function", "nan_mode", "boosting_type",
    "boost_from_average", "model_shrink_rate", "model_shrink_mode", "langevin", "diffusion_temperature",
    "posterior_sampling", "thread_count",
)  # fmt: skip


def build(params: Params, seed: int, n_classes: int) -> Any:
    """Returns an unfitted booster; of two classes it learns one margin, of more classes one each.

    Args:
        params: names in :data:`KNOWN`.
        seed: of rows and columns drawn.
        n_classes: classes it will be fitted on, coded 0 to n - 1.

    Raises:
        BadInput: CatBoost is not installed, or a parameter is unknown or reaches the disk.
    """
    _require()
    for name in params:
        if name not in KNOWN:
            raise BadInput(f"CatBoost has no parameter {str(name)[:60]!r} here.", f"use one of {', '.join(KNOWN)}")
    own = {"thread_count": THREADS, "random_seed": seed, "verbose": False, "allow_writing_files": False, **params}
    return catboost.CatBoostClassifier(**own, loss_function="Logloss" if n_classes == 2 else "MultiClass")


def save(model: Any, path: Path) -> None:
    """Writes a fitted booster as CatBoost's binary (``.cbm``), whole or absent."""
    with whole_file(path) as part:
        model.save_model(str(part), format="cbm")


def load(path: Path) -> Any:
    """Returns a booster that :func:`save` wrote; the file holds numbers only and cannot run code.

    Raises:
        BadInput: CatBoost is not installed.
    """
    _require()
    model = catboost.CatBoostClassifier()
    model.load_model(str(path), format="cbm")
    return model


def _require() -> None:
    if catboost is None:
        raise BadInput(
            "The family catboost needs CatBoost, which is not installed.", "pip install 'geoml-ops[catboost]'"
        )


def _of(params: Params, setting: Setting) -> Any:
    return build(params, setting.seed, setting.n_classes)


FAMILY = Family(
    build=_of,
    space={
        "iterations": Range(low=100, high=800, whole=True),
        "learning_rate": Range(low=0.01, high=0.3, log=True),
        "depth": Range(low=3, high=10, whole=True),
        "l2_leaf_reg": Range(low=1.0, high=30.0, log=True),
        "random_strength": Range(low=0.1, high=10.0, log=True),
    },
    says="boosted trees that ask one question per level; good without tuning, slow to fit",
    errors=(ValueError, TypeError, *([catboost.CatBoostError] if catboost is not None else [])),
)
