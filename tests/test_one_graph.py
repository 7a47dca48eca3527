"""The first law, family by family: a bundle alone answers as the fitted model on features of another hand.

The features of (b) come from :mod:`tests.twins`, plain numpy that shares no code with the product.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from geoml_ops.adapters.onnx import bundle_graph, head_graph
from geoml_ops.adapters.ort import Graph
from geoml_ops.core.bands import SENTINEL_2_L1C as CONTRACT
from geoml_ops.core.bands import Radiometry, to_contract
from geoml_ops.core.experiment import Experiment
from geoml_ops.domain.features import bands_needed
from geoml_ops.domain.fitting import Fitted, fit
from geoml_ops.domain.tiling import classify_array
from geoml_ops.domain.world import landscape
from geoml_ops.steps.models import FAMILIES, builder
from tests import twins
from tests.versions import EXPERIMENT, cube

WORLD = landscape(264, 204, seed=11)
TEXTS = (
    "B03", "B04", "B08", "B11", "NDVI", "MNDWI", "SAVI", "WET = (green - nir) / (green + nir + 0.1)",
)  # fmt: skip
BANDS = bands_needed(TEXTS, CONTRACT)
OLD, NEW = Radiometry(scale=1e-4), Radiometry(scale=1e-4, offset_dn=-1000.0)
#: Enough of each family for trees with real thresholds, little enough for a suite.
PARAMS: dict[str, dict[str, Any]] = {
    "random_forest": {"n_estimators": 25, "max_depth": 10},
    "extra_trees": {"n_estimators": 25, "max_depth": 10},
    "gradient_boosting": {"n_estimators": 12, "max_depth": 3},
    "hist_gradient_boosting": {"max_iter": 15},
    "xgboost": {"n_estimators": 20, "max_depth": 4, "device": "cpu"},
    "lightgbm": {"n_estimators": 15},
    "catboost": {"iterations": 15, "depth": 4},
    "svm": {"C": 5.0},
    "knn": {"n_neighbors": 7},
    "mlp": {"hidden_layer_sizes": [12], "max_iter": 150},
    "bagging": {"member": {"family": "extra_trees", "n_estimators": 5}, "n_estimators": 4},
    "voting": {"members": {"a": {"family": "random_forest", "n_estimators": 8}, "b": "logistic_regression"}},
    "stacking": {
        "members": {
            "a": {"family": "random_forest", "n_estimators": 8},
            "b": {"family": "lightgbm", "n_estimators": 8},
        },
        "final": "logistic_regression",
    },
    "blending": {"members": {"knn": {}, "b": {"family": "xgboost", "n_estimators": 8, "device": "cpu"}}},
}
VARIANTS: dict[str, dict[str, Any]] = {
    "random_forest": {"class_weight": "balanced", "calibrate": "sigmoid"},
    "xgboost": {"calibrate": "isotonic"},
}


@dataclasses.dataclass(frozen=True)
class Ground:
    """A scene under two radiometries, and its features by somebody else's hand."""

    old: NDArray[np.float32]
    new: NDArray[np.float32]
    columns: NDArray[np.float32]
    exists: NDArray[np.bool_]
    rows: NDArray[np.float32]
    codes: NDArray[np.int64]
    east: NDArray[np.int64]


@pytest.fixture(scope="module")
def ground() -> Ground:
    """Stripes that were not observed, holes in single bands, zeros, saturated roofs, water at measured zero."""
    rng = np.random.default_rng(0)
    dn = cube(WORLD)[[CONTRACT.names.index(name) for name in BANDS]].astype(np.int64)
    dn[:, :, 40:46] = 0
    dn[1, 100:110, 60:80] = 0
    dn[:, 150:153, 150:160] = 65535 - 1000
    dn[2:, 20:24, 100:120] = 1
    contract = CONTRACT.subset(BANDS)
    old = to_contract(dn.astype(np.uint16), OLD, contract)
    later = np.where(dn > 0, dn + 1000, 0).astype(np.uint16)
    new = to_contract(later, NEW, contract)
    columns = twins.features(new, TEXTS, contract)
    exists = np.isfinite(columns).all(axis=0)
    truth = WORLD.truth
    row, col = np.nonzero(exists)
    drawn = rng.permutation(len(row))[:900]
    row, col = row[drawn], col[drawn]
    # One in eight is labelled wrongly, so that trees grow to a real size.
    codes = np.where(rng.random(900) < 0.125, rng.integers(0, 5, 900), truth[row, col])
    return Ground(old, new, columns, exists, columns[:, row, col].T.copy(), codes.astype(np.int64), col)


def halves(east: NDArray[np.int64]) -> Callable[[NDArray[np.int64]], list[tuple[NDArray[np.int64], NDArray[np.int64]]]]:
    """Returns what cuts samples into west and east, as inner folds."""

    def cut(rows: NDArray[np.int64]) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
        west = east[rows] < np.median(east[rows])
        sides = np.flatnonzero(west), np.flatnonzero(~west)
        return [(sides[1], sides[0]), (sides[0], sides[1])]

    return cut


def learned(ground: Ground, family: str, params: dict[str, Any]) -> Fitted:
    experiment = Experiment.model_validate(
        {**EXPERIMENT, "features": TEXTS, "families": {family: params}}, strict=False
    )
    return fit(builder(family, params, experiment), ground.rows, ground.codes, 5, inner=halves(ground.east))


CASES = [(family, PARAMS.get(family, {})) for family in FAMILIES]
CASES += [(family, PARAMS[family] | more) for family, more in VARIANTS.items()]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("family", "params"), CASES, ids=lambda v: v if isinstance(v, str) else "-".join(v)[:40])
def test_the_bundle_alone_answers_as_the_model_on_features_of_another_hand(
    ground: Ground, family: str, params: dict[str, Any]
) -> None:
    fitted = learned(ground, family, params)
    contract = CONTRACT.subset(BANDS)
    head = head_graph(fitted.estimator, family, len(TEXTS))
    graph = Graph(bundle_graph(TEXTS, contract, head, tuple(EXPERIMENT["classes"]), {}))
    answer = graph.run(ground.new[None])
    np.testing.assert_array_equal(answer.valid[0, 0], ground.exists)
    assert not ground.exists[:, 40:46].any()
    assert not ground.exists[100:110, 60:80].any()
    assert not answer.probability[0][:, ~ground.exists].any()
    wanted = fitted.probability(ground.columns[:, ground.exists].T)
    found = answer.probability[0][:, ground.exists].T
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-5)
    best = np.sort(wanted, axis=1)
    clear = best[:, -1] - best[:, -2] > 1e-5
    np.testing.assert_array_equal(found.argmax(axis=1)[clear], wanted.argmax(axis=1)[clear])
    # Both radiometries of one scene, and any cut into tiles, are one map.
    np.testing.assert_array_equal(graph.run(ground.old[None]).probability, answer.probability)
    tiled = classify_array(ground.new, graph.run, 77)
    np.testing.assert_array_equal(
        tiled.classes[ground.exists], answer.probability[0].argmax(axis=0).astype(np.uint8)[ground.exists]
    )


def test_every_family_of_the_registry_is_asked() -> None:
    assert {family for family, _ in CASES} == set(FAMILIES)


def test_a_model_that_learned_from_windows_answers_alike_on_features_of_another_hand(ground: Ground) -> None:
    """Windows add up in another order by another hand, so trees may flip at a threshold: rarely, and never by much."""
    texts = ("B08", "mean(NDVI, 5)", "std(B08, 3)", "glcm_contrast(B08, 5, levels=8, low=0, high=0.5, distance=1)")
    bands = bands_needed(texts, CONTRACT)
    contract = CONTRACT.subset(bands)
    dn = ground.new[[BANDS.index(name) for name in bands], :160, 60:]
    columns = twins.features(dn, texts, contract)
    exists = np.isfinite(columns).all(axis=0)
    row, col = np.nonzero(exists)
    drawn = np.random.default_rng(1).permutation(len(row))[:700]
    rows, codes = columns[:, row[drawn], col[drawn]].T.copy(), WORLD.truth[row[drawn], 60 + col[drawn]].astype(np.int64)
    experiment = Experiment.model_validate({**EXPERIMENT, "families": {"logistic_regression": {}}}, strict=False)
    fitted = fit(builder("logistic_regression", {}, experiment), rows, codes, 5)
    assert fitted.present == (0, 1, 2, 3, 4)
    head = head_graph(fitted.estimator, "logistic_regression", len(texts))
    answer = Graph(bundle_graph(texts, contract, head, tuple(EXPERIMENT["classes"]), {})).run(dn[None])
    np.testing.assert_array_equal(answer.valid[0, 0], exists)
    wanted = fitted.probability(columns[:, exists].T)
    np.testing.assert_allclose(answer.probability[0][:, exists].T, wanted, rtol=0, atol=2e-4)
