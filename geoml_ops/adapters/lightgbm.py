"""LightGBM as a family: repeatable to the last bit, kept as its own text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightgbm
import numpy as np

from geoml_ops.core.errors import BadInput
from geoml_ops.core.experiment import Range
from geoml_ops.domain.fitting import THREADS, Family, Params, Setting
from geoml_ops.platform.files import whole_file

# LightGBM takes any name in silence, names of files among them; these are what its scikit-learn class declares
# (less what the platform decides) and three of its own that matter on imagery.
_DECIDED = ("objective", "class_weight", "importance_type", "random_state")
_MORE = ("max_bin", "extra_trees", "path_smooth")
_REPEATABLE = {"deterministic": True, "force_row_wise": True, "verbose": -1}


def build(params: Params, seed: int, n_classes: int) -> lightgbm.LGBMClassifier:
    """Returns an unfitted booster; of two classes it learns one margin, of more classes one each.

    Args:
        params: names of LightGBM's scikit-learn class.
        seed: of rows and columns drawn.
        n_classes: classes it will be fitted on, coded 0 to n - 1.

    Raises:
        BadInput: a parameter is unknown, or decided by the platform.
    """
    known = [name for name in lightgbm.LGBMClassifier().get_params() if name not in _DECIDED] + [*_MORE]
    for name in params:
        if name not in known:
            raise BadInput(f"LightGBM has no parameter {str(name)[:60]!r} here.", f"use one of {', '.join(known)}")
    own = {"n_jobs": THREADS, "random_state": seed, **_REPEATABLE, **params}
    return lightgbm.LGBMClassifier(**own, objective="binary" if n_classes == 2 else "multiclass")


def save(model: lightgbm.LGBMClassifier, path: Path) -> None:
    """Writes a fitted booster as LightGBM's text (``.txt``), whole or absent."""
    with whole_file(path) as part:
        part.write_text(model.booster_.model_to_string())


def load(path: Path) -> lightgbm.LGBMClassifier:
    """Returns a booster that :func:`save` wrote; the text holds numbers only and cannot run code."""
    booster = lightgbm.Booster(model_str=path.read_text())
    n_classes = max(2, booster.num_model_per_iteration())
    # LightGBM 4.7 reads a model as a bare booster; these are what its scikit-learn class answers from.
    facts: dict[str, Any] = {
        "_Booster": booster,
        "_n_classes": n_classes,
        "_classes": np.arange(n_classes),
        "_n_features": booster.num_feature(),
        "_n_features_in": booster.num_feature(),
        "_objective": "binary" if n_classes == 2 else "multiclass",
        "fitted_": True,
    }
    model = lightgbm.LGBMClassifier(n_jobs=THREADS)
    for name, value in facts.items():
        setattr(model, name, value)
    return model


def _of(params: Params, setting: Setting) -> lightgbm.LGBMClassifier:
    return build(params, setting.seed, setting.n_classes)


FAMILY = Family(
    build=_of,
    space={
        "n_estimators": Range(low=50, high=500, whole=True),
        "learning_rate": Range(low=0.01, high=0.3, log=True),
        "num_leaves": Range(low=7, high=127, log=True, whole=True),
        "min_child_samples": Range(low=5, high=100, log=True, whole=True),
        "colsample_bytree": Range(low=0.4, high=1.0),
        "reg_lambda": Range(low=1e-3, high=10.0, log=True),
    },
    says="boosted trees that grow leaf by leaf; quick, and reads missing values itself",
    errors=(ValueError, TypeError, lightgbm.basic.LightGBMError),
)
