"""XGBoost as a family: built on the device that is really there, kept in its own binary format."""

from __future__ import annotations

import json
import warnings
from functools import cache
from pathlib import Path

import numpy as np
import xgboost

from geoml_ops.core.errors import BadInput
from geoml_ops.core.experiment import Range
from geoml_ops.domain.fitting import THREADS, Family, Params, Setting, require_no_hold_out
from geoml_ops.platform.files import whole_file

# Margins of other objectives, boosters and strategies are no probabilities of one class each.
_FIXED = {"objective": "multi:softprob", "booster": "gbtree", "multi_strategy": None}
# What they would change belongs to training or to what counts as missing; no experiment needs them.
_DECIDED = ("callbacks", "missing", "num_class", "random_state", "enable_categorical", "feature_types", "kwargs")


def build(params: Params, seed: int, n_classes: int) -> xgboost.XGBClassifier:
    """Returns an unfitted booster that answers with one probability per class, two classes included.

    Args:
        params: XGBoost's own names; ``device`` is ``auto`` (default), ``cpu`` or ``cuda``.
        seed: of rows and columns drawn.
        n_classes: classes it will be fitted on, coded 0 to n - 1.

    Raises:
        BadInput: a parameter is unknown, or one that cannot be exported faithfully.
    """
    known = xgboost.XGBClassifier().get_params()
    for name, value in params.items():
        if name not in known:
            raise BadInput(f"XGBoost has no parameter {name[:60]!r}.", "look for the name in its documentation")
        if name in _FIXED and value != _FIXED[name]:
            raise BadInput(f"XGBoost with {name}={value!r} cannot be exported faithfully.", f"use {_FIXED[name]!r}")
        if name in _DECIDED:
            raise BadInput(f"XGBoost's {name} is decided by the platform.", f"leave {name} out")
    require_no_hold_out("XGBoost", params, early_stopping_rounds=None)
    device = params.get("device", "auto")
    chosen = {
        "tree_method": "hist",
        "n_jobs": THREADS,
        "random_state": seed,
        **params,
        "objective": "multi:softprob",
        "num_class": n_classes,
        "device": ("cuda" if has_gpu() else "cpu") if device == "auto" else device,
    }
    return xgboost.XGBClassifier(**chosen)


@cache
def has_gpu() -> bool:
    """Says whether training on a GPU works here: asked of a small training, since a wheel with CUDA falls back."""
    rows = np.arange(8, dtype=np.float32).reshape(-1, 1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            booster = xgboost.train(
                {"device": "cuda", "verbosity": 0}, xgboost.DMatrix(rows, label=rows[:, 0]), num_boost_round=1
            )
        except xgboost.core.XGBoostError:
            return False
    used = json.loads(booster.save_config())["learner"]["generic_param"]["device"]
    return str(used).startswith("cuda")


def save(model: xgboost.XGBClassifier, path: Path) -> None:
    """Writes a fitted booster as UBJSON (``.ubj``), whole or absent."""
    with whole_file(path) as part:
        model.save_model(part)


def load(path: Path) -> xgboost.XGBClassifier:
    """Returns a booster that :func:`save` wrote; UBJSON holds numbers only and cannot run code."""
    model = xgboost.XGBClassifier()
    model.load_model(path)
    return model


def _of(params: Params, setting: Setting) -> xgboost.XGBClassifier:
    return build(params, setting.seed, setting.n_classes)


FAMILY = Family(
    build=_of,
    space={
        "n_estimators": Range(low=50, high=500, whole=True),
        "learning_rate": Range(low=0.01, high=0.3, log=True),
        "max_depth": Range(low=2, high=10, whole=True),
        "min_child_weight": Range(low=0.5, high=50.0, log=True),
        "subsample": Range(low=0.5, high=1.0),
        "colsample_bytree": Range(low=0.4, high=1.0),
        "reg_lambda": Range(low=1e-2, high=30.0, log=True),
    },
    says="boosted trees, on the GPU where there is one; reads missing values itself",
)
