"""XGBoost as a family: built on the device that is really there, kept in its own binary format."""

from __future__ import annotations

import json
import warnings
from functools import cache
from pathlib import Path

import numpy as np
import xgboost

from geoml_ops.core.errors import BadInput
from geoml_ops.domain.fitting import THREADS, Params
from geoml_ops.platform.files import whole_file

# The converter (onnxmltools 1.16) gets these silently or loudly wrong.
_FIXED = {"objective": "multi:softprob", "booster": "gbtree", "num_parallel_tree": 1, "multi_strategy": None}


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
