"""Fitted scikit-learn models on disk without pickle: reading one builds only the types listed here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import skops.io

from geoml_ops.core.errors import Refused
from geoml_ops.platform.files import whole_file

_OURS = "geoml_ops.domain.fitting"
TRUSTED = (
    "catboost.core.CatBoostClassifier",
    "collections.OrderedDict",
    f"{_OURS}.calibrating.Calibrated",
    f"{_OURS}.calibrating.Coupled",
    f"{_OURS}.calibrating.Sigmoid",
    f"{_OURS}.calibrating.Stairs",
    f"{_OURS}.ensembles.Bagged",
    f"{_OURS}.ensembles.Voted",
    f"{_OURS}.machines.SupportVectors",
    f"{_OURS}.models.Fitted",
    f"{_OURS}.neighbours.Neighbours",
    f"{_OURS}.scaling.Standard",
    f"{_OURS}.stacking.Stacked",
    "geoml_ops.domain.selecting.transformer.SelectedHead",
    "geoml_ops.domain.selecting.transformer.Selector",
    "lightgbm.basic.Booster",
    "lightgbm.sklearn.LGBMClassifier",
    "numpy.dtype",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "sklearn.neural_network._stochastic_optimizers.AdamOptimizer",
    "sklearn.neural_network._stochastic_optimizers.SGDOptimizer",
    "sklearn.tree._tree.Tree",
    "xgboost.core.Booster",
    "xgboost.sklearn.XGBClassifier",
)
"""Beside what skops itself knows of scikit-learn: models of the platform's families, and of the three libraries
that keep trees as numbers of their own format."""


def save(model: Any, path: Path) -> None:
    """Writes a fitted model (``.skops``), whole or absent.

    Raises:
        Refused: the model has parts that could not be read again.
    """
    with whole_file(path) as part:
        skops.io.dump(model, part)
        _refuse_strange(part, path.name)


def load(path: Path) -> Any:
    """Returns a model that :func:`save` wrote.

    Raises:
        Refused: the file names a type that no model of this platform has.
    """
    _refuse_strange(path, path.name)
    return skops.io.load(path, trusted=list(TRUSTED))


def _refuse_strange(path: Path, name: str) -> None:
    strange = sorted(set(skops.io.get_untrusted_types(file=path)) - set(TRUSTED))
    if strange:
        raise Refused(
            f"{name} holds {', '.join(strange)[:300]}, which no model of this platform has.",
            "train again; a new family's own types are named in adapters/skops.py",
        )
