"""Graphs of everything that is not a tree answer as the fitted objects do, on rows of every kind."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper
from sklearn.calibration import CalibratedClassifierCV
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import BaggingClassifier, RandomForestClassifier, StackingClassifier, VotingClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import MinMaxScaler, RobustScaler, StandardScaler
from sklearn.svm import SVC, NuSVC

from geoml_ops.adapters.onnx import head_graph
from geoml_ops.adapters.onnx.heads import TRANSFORMS
from geoml_ops.adapters.onnx.writer import Writer
from geoml_ops.adapters.ort import Graph
from geoml_ops.core.errors import BadInput, Refused
from geoml_ops.domain.fitting import Standard, fit, recipe
from geoml_ops.steps.models import FAMILIES
from tests.domain.fitting.ground import strips

N_FEATURES, TOLERANCE = 6, 1e-5
NAMES = ("a", "b", "c")
Rows = dict[str, np.ndarray]


def imagery(n: int, seed: int) -> np.ndarray:
    """Reflectance as imagery has it: whole DN, often equal, scaled in float32."""
    dn = np.random.default_rng(seed).integers(1, 400, (n, N_FEATURES)).astype(np.float32)
    return dn * np.float32(1e-3)


def rows_of_all_kinds(few: int = 1500) -> Rows:
    clean = imagery(10_000, 1)
    rng, some = np.random.default_rng(2), clean[:few]
    one = np.zeros(some.shape, dtype=bool)
    one[np.arange(few), rng.integers(0, N_FEATURES, few)] = True
    return {
        "clean": clean,
        "learned": FEATURES,
        "one missing": np.where(one, np.float32(np.nan), some),
        "all missing": np.full_like(some[:3], np.nan),
        "one zero": np.where(one, np.float32(0), some),
        "all zero": np.zeros_like(some[:3]),
        "one saturated": np.where(one, np.float32(6.5535), some),
        "all saturated": np.full_like(some[:3], 6.5535),
        "negative": some - np.float32(0.2),
    }


FEATURES = imagery(900, 0)
CODES = (FEATURES[:, 3] > 0.2).astype(np.int64) + (
    FEATURES[:, 1] + 0.05 * np.random.default_rng(3).normal(size=900) > 0.2
)
HOLES = np.where(np.random.default_rng(4).random(FEATURES.shape) < 0.02, np.float32(np.nan), FEATURES)
ROWS = rows_of_all_kinds()


def worst(estimator: Any, rows: Rows, tolerance: float = TOLERANCE) -> float:
    """The largest difference of graph and model; labels must agree where the model is not undecided."""
    graph, found = Graph(head_graph(estimator, "other", N_FEATURES)), 0.0
    for kind, asked in rows.items():
        said = estimator.predict_proba(asked)
        drawn = graph.head(np.ascontiguousarray(asked.T)[None, :, :, None])[0, :, :, 0].T
        found = max(found, float(np.abs(said - drawn).max()))
        best = np.sort(said, axis=1)
        clear = best[:, -1] - best[:, -2] > tolerance
        assert (said.argmax(axis=1) == drawn.argmax(axis=1))[clear].all(), kind
        assert np.isfinite(drawn).all(), kind
    return found


SMALL: dict[str, Any] = {
    "forest": {"family": "random_forest", "n_estimators": 12, "max_depth": 8},
    "boost": {"family": "xgboost", "n_estimators": 10},
}
MEMBERS = {"line": {"family": "logistic_regression"}, "near": {"family": "knn"}, **SMALL}
CASES: dict[str, dict[str, Any]] = {
    "logistic": {"family": "logistic_regression"},
    "logistic bare": {"family": "logistic_regression", "standardise": False, "C": 1e6},
    "knn": {"family": "knn"},
    "knn by distance": {"family": "knn", "weights": "distance", "n_neighbors": 9, "class_weight": "balanced"},
    "knn of one": {"family": "knn", "n_neighbors": 1},
    "svm": {"family": "svm", "C": 10.0},
    "svm linear": {"family": "svm", "kernel": "linear", "calibrate": "isotonic"},
    "svm poly": {"family": "svm", "kernel": "poly", "degree": 3, "coef0": 1.0},
    "svm sigmoid": {"family": "svm", "kernel": "sigmoid", "gamma": 0.05},
    **{
        f"mlp {bend}": {"family": "mlp", "activation": bend, "hidden_layer_sizes": [12, 7], "max_iter": 40}
        for bend in ("relu", "tanh", "logistic", "identity")
    },
    "bagging": {"family": "bagging", "member": MEMBERS["near"], "n_estimators": 3, "max_features": 0.7},
    "bagging of draws without a class": {
        "family": "bagging", "member": SMALL["boost"], "n_estimators": 6, "max_samples": 0.004,
    },
    "voting": {"family": "voting", "members": MEMBERS, "weights": {"near": 2}},
    "votes": {"family": "voting", "members": MEMBERS, "voting": "hard"},
    "stacking": {"family": "stacking", "members": MEMBERS},
    "stacking passed through": {
        "family": "stacking", "members": ["logistic_regression", "knn"], "passthrough": True,
        "final": {"family": "mlp", "max_iter": 40},
    },
    "blending": {"family": "blending", "members": MEMBERS, "final": {"family": "svm"}},
    "forest sigmoid": {**SMALL["forest"], "calibrate": "sigmoid", "class_weight": "balanced"},
    "forest isotonic": {**SMALL["forest"], "calibrate": "isotonic"},
    "boosting isotonic": {**SMALL["boost"], "calibrate": "isotonic"},
    "a stack in a vote": {
        "family": "voting",
        "members": {"stack": {"family": "stacking", "members": ["logistic_regression", "knn"]}, **SMALL},
    },
}  # fmt: skip


@pytest.mark.filterwarnings("ignore:Stochastic Optimizer")
@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("name", CASES)
def test_the_graph_answers_as_the_family_does(name: str, n_classes: int) -> None:
    own = recipe(CASES[name], FAMILIES, name=name, seed=3, classes=NAMES[:n_classes])
    codes = np.minimum(CODES, n_classes - 1)
    model = fit(own, HOLES, codes, n_classes, inner=strips())
    assert worst(model.estimator, ROWS) < 0.4 * TOLERANCE


def test_a_stack_that_keeps_a_class_from_its_members() -> None:
    codes = np.minimum(CODES, 1)
    codes[40:60] = 2
    params = {"members": ["logistic_regression", "knn"]}
    own = recipe(params, FAMILIES, name="stacking", classes=NAMES)
    model = fit(own, FEATURES, codes, 3, inner=strips())
    assert model.estimator.final_.present == (0, 1)
    assert worst(model.estimator, ROWS) < TOLERANCE


@pytest.mark.filterwarnings("ignore:Stochastic Optimizer")
@pytest.mark.parametrize("final", ["logistic_regression", {"family": "mlp", "max_iter": 40}])
def test_a_stack_that_passes_coordinates_through_fills_in_the_very_median(final: Any) -> None:
    """The final model sees double rows: its medians lie between two float32, half a metre apart in northings."""
    shift, stretch = np.array([0, 5.8e6, 0, 4e5, 0, 0], np.float32), np.array([1, 2e3, 1, 700, 1, 1], np.float32)
    params = {"members": ["knn", "logistic_regression"], "passthrough": True, "final": final}
    own = recipe(params, FAMILIES, name="stacking", classes=NAMES)
    model = fit(own, HOLES * stretch + shift, CODES, 3, inner=strips())
    medians = model.estimator.final_.estimator[0].statistics_
    assert (medians != medians.astype(np.float32)).any()
    assert worst(model.estimator, {kind: rows * stretch + shift for kind, rows in ROWS.items()}) < 0.4 * TOLERANCE


@pytest.mark.parametrize("params", [{"family": "knn", "weights": "distance"}, {"family": "logistic_regression"}])
@pytest.mark.parametrize("bare", [False, True])
def test_numbers_beyond_all_reason_still_get_an_answer(params: dict[str, Any], bare: bool) -> None:
    """A ratio over next to nothing is a finite number as well."""
    own = {**params, "standardise": False} if bare and params["family"] == "logistic_regression" else params
    model = fit(recipe(own, FAMILIES, name="any", classes=NAMES), FEATURES, CODES, 3)
    far = FEATURES[:60].copy()
    far[np.arange(60), np.arange(60) % N_FEATURES] = np.float32(3e38) * np.where(np.arange(60) % 2, 1, -1)
    assert np.isfinite(model.probability(far)).all()
    assert worst(model.estimator, {"far": far}) < TOLERANCE


def filled(model: Any, *steps: Any) -> Pipeline:
    return make_pipeline(SimpleImputer(strategy="median", keep_empty_features=True), *steps, model)


FOREST = RandomForestClassifier(12, max_depth=7, random_state=0)
SCIKIT: dict[str, Any] = {
    "logistic": filled(LogisticRegression()),
    "logistic scaled": filled(LogisticRegression(), StandardScaler()),
    "discriminant": filled(LinearDiscriminantAnalysis(), RobustScaler()),
    "network": filled(MLPClassifier((8,), max_iter=30, random_state=0), MinMaxScaler()),
    "bagging": filled(BaggingClassifier(LogisticRegression(), 3, max_features=0.6, random_state=0)),
    "voting": filled(
        VotingClassifier([("a", LogisticRegression()), ("b", FOREST)], voting="soft", weights=[1, 2]),
    ),
    "stacking": filled(StackingClassifier([("a", LogisticRegression()), ("b", FOREST)], LogisticRegression(), cv=3)),
    "stacking passed through": filled(
        StackingClassifier([("a", FOREST), ("b", LogisticRegression())], LogisticRegression(), cv=3, passthrough=True)
    ),
    "calibrated forest": filled(CalibratedClassifierCV(FOREST, method="isotonic", cv=3, ensemble=False)),
    "calibrated machine": filled(CalibratedClassifierCV(SVC(), method="sigmoid", cv=3), StandardScaler()),
    "calibrated votes": filled(CalibratedClassifierCV(NuSVC(nu=0.2), method="sigmoid", cv=2), StandardScaler()),
}


@pytest.mark.filterwarnings("ignore:Stochastic Optimizer")
@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("name", SCIKIT)
def test_the_graph_answers_as_scikit_learns_own_does(name: str, n_classes: int) -> None:
    model = SCIKIT[name].fit(HOLES, np.minimum(CODES, n_classes - 1))
    # These compute in float32 themselves where a row is float32, so the tolerance is theirs.
    assert worst(model, ROWS) < TOLERANCE


@pytest.mark.parametrize("weights", ["uniform", "distance"])
def test_scikit_learns_neighbours_are_kept_where_nothing_is_tied(weights: str) -> None:
    rng = np.random.default_rng(5)
    features = rng.normal(size=(700, N_FEATURES))
    model = KNeighborsClassifier(5, weights=weights).fit(features, CODES[:700])
    assert worst(model, {"clean": rng.normal(size=(5000, N_FEATURES)).astype(np.float32)}) < TOLERANCE


@pytest.mark.parametrize(
    "scaler",
    [
        StandardScaler(),
        StandardScaler(with_mean=False),
        StandardScaler(with_std=False),
        MinMaxScaler(),
        MinMaxScaler((-1, 3), clip=True),
        RobustScaler(),
        RobustScaler(with_centering=False),
        RobustScaler(with_scaling=False),
        Standard(),
        Standard(with_mean=False, with_std=False),
    ],
    ids=str,
)
@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_scalers_round_as_numpy_does_bit_by_bit(scaler: Any, kind: type) -> None:
    """Also those that learned from double numbers and are asked about single ones."""
    scaler.fit((FEATURES * np.linspace(0.3, 700, N_FEATURES)).astype(kind))
    writer = Writer()
    out = TRANSFORMS[type(scaler).__name__](writer, "x", scaler)
    double = isinstance(scaler, Standard)
    values = [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, N_FEATURES])]
    results = [helper.make_tensor_value_info(out, TensorProto.DOUBLE if double else TensorProto.FLOAT, None)]
    graph = helper.make_graph(writer.nodes, "g", values, results, list(writer.constants.values()))
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    asked = np.concatenate(list(ROWS.values()))
    wanted = scaler.transform(asked)
    assert wanted.dtype == (np.float64 if double else np.float32)
    assert session.run(None, {"x": asked})[0].tobytes() == wanted.tobytes()


REFUSED: dict[str, tuple[Any, str]] = {
    "machine per pair": (CalibratedClassifierCV(SVC(decision_function_shape="ovo"), cv=2, ensemble=False), "pair"),
    "votes": (VotingClassifier([("a", LogisticRegression()), ("b", FOREST)], voting="hard"), "votes"),
    "other distance": (KNeighborsClassifier(3, metric="manhattan"), "manhattan"),
    "weights by a function": (KNeighborsClassifier(3, weights=lambda d: 1 / (1 + d)), "weights"),
    "scores of others": (CalibratedClassifierCV(LogisticRegression(), cv=2), "LogisticRegression"),
    "stack of classes": (StackingClassifier([("a", SVC())], LogisticRegression(), cv=2), "without probabilities"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_a_graph_could_not_keep_is_refused(name: str) -> None:
    model, says = REFUSED[name]
    with pytest.raises((BadInput, Refused), match=says):
        head_graph(model.fit(FEATURES, CODES), "other", N_FEATURES)


def test_a_scaler_before_trees_is_refused_and_after_them_is_no_matter() -> None:
    with pytest.raises(Refused, match="thresholds"):
        head_graph(filled(FOREST, StandardScaler()).fit(FEATURES, CODES), "other", N_FEATURES)


def test_answers_do_not_hang_on_how_many_rows_are_asked_together() -> None:
    asked = imagery(5000, 9)
    for name in ("svm", "knn by distance", "mlp tanh", "stacking"):
        own = recipe(CASES[name], FAMILIES, name=name, seed=3, classes=NAMES)
        graph = Graph(head_graph(fit(own, FEATURES, CODES, 3, inner=strips()).estimator, name, N_FEATURES))
        whole = graph.head(np.ascontiguousarray(asked.T)[None, :, :, None])
        for first, size in ((0, 1), (17, 3), (100, 64), (1000, 2049)):
            part = graph.head(np.ascontiguousarray(asked[first : first + size].T)[None, :, :, None])
            np.testing.assert_allclose(part, whole[:, :, first : first + size], rtol=0, atol=1.2e-7)
