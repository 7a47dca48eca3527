"""Trees as graphs: every library's own answer, on rows that stand exactly at the thresholds."""

from __future__ import annotations

import warnings

import catboost
import lightgbm
import numpy as np
import onnx
import pytest
import xgboost
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from sklearn.ensemble import (
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
)
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier

from geoml_ops.adapters.onnx import Layout, head_graph, layouts_for
from geoml_ops.adapters.onnx.heads.grafting import joined
from geoml_ops.adapters.onnx.heads.layout import BOOSTED, FOREST
from geoml_ops.adapters.onnx.heads.layouts import add_trees
from geoml_ops.adapters.onnx.heads.trees import LEAF, Tree, Trees, at_most, below
from geoml_ops.adapters.onnx.writer import Writer
from geoml_ops.adapters.ort import Graph
from geoml_ops.core.errors import BadInput, Refused

N_FEATURES = 6
UP, DOWN = np.float32(np.inf), np.float32(-np.inf)


def imagery(n: int, seed: int) -> np.ndarray:
    """Reflectance of whole DN, one band below zero at times, and an index: float32, often equal."""
    rows = np.random.default_rng(seed).integers(1, 4000, (n, N_FEATURES)).astype(np.float32) * np.float32(1e-4)
    rows[:, 4] -= np.float32(0.2)
    rows[:, 5] = (rows[:, 0] - rows[:, 1]) / (rows[:, 0] + rows[:, 1])
    return rows


ROWS = imagery(2500, 0)
CODES = (ROWS[:, 5] > 0).astype(int) + (ROWS[:, 1] > 0.25) + (ROWS[:, 2] > 0.3) * (ROWS[:, 3] > 0.2)
HOLED = np.where(np.random.default_rng(1).random(ROWS.shape) < 0.08, np.float32(np.nan), ROWS)
HOLED[CODES == 2, 0] = np.nan  # missing says something


def boosted(**params):
    return xgboost.XGBClassifier(**{"n_estimators": 25, "max_depth": 5, "n_jobs": 1, **params})


def light(**params):
    return lightgbm.LGBMClassifier(**{"n_estimators": 25, "n_jobs": 1, "verbose": -1, **params})


def cat(**params):
    fixed = {"iterations": 25, "depth": 5, "verbose": 0, "allow_writing_files": False, "thread_count": 1}
    return catboost.CatBoostClassifier(**{**fixed, **params})


def fitted(model, rows=ROWS, n_classes=4, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return model.fit(rows, np.minimum(CODES, n_classes - 1), **options)


#: Estimators that answer where something is missing.
TOLERANT = {
    "xgboost": boosted,
    "xgboost softprob": lambda: boosted(objective="multi:softprob", num_class=2),
    "xgboost exact": lambda: boosted(tree_method="exact"),
    "xgboost lossguide": lambda: boosted(grow_policy="lossguide", max_leaves=20, max_depth=0),
    "xgboost start": lambda: boosted(base_score=0.2),
    "xgboost many trees a round": lambda: boosted(num_parallel_tree=3, subsample=0.6, n_estimators=8),
    "xgboost forest": lambda: xgboost.XGBRFClassifier(n_estimators=20, n_jobs=1),
    "lightgbm": light,
    "lightgbm without missing": lambda: light(use_missing=False),
    "lightgbm dart": lambda: light(boosting_type="dart"),
    "lightgbm forest": lambda: light(boosting_type="rf", subsample=0.6, subsample_freq=1),
    "lightgbm steep": lambda: light(sigmoid=2.5),
    "lightgbm stumps": lambda: light(max_depth=1),
    "lightgbm nothing to split": lambda: light(min_child_samples=100_000),
    "histogram": lambda: HistGradientBoostingClassifier(max_iter=25, early_stopping=False),
    "catboost": cat,
    "catboost depthwise": lambda: cat(grow_policy="Depthwise"),
    "catboost lossguide": lambda: cat(grow_policy="Lossguide"),
    "catboost nan high": lambda: cat(nan_mode="Max"),
    "catboost softmax": lambda: cat(loss_function="MultiClass"),
}
#: Estimators of scikit-learn that answer where something is missing only if they met it while they learned.
LEARNERS = {
    "forest": lambda: RandomForestClassifier(25, random_state=0),
    "extra trees": lambda: ExtraTreesClassifier(25, max_depth=9, random_state=0),
    "tree": lambda: DecisionTreeClassifier(random_state=0),
}
#: Estimators that never do.
STRICT = {
    "gradient boosting": lambda: GradientBoostingClassifier(n_estimators=25, subsample=0.7, random_state=0),
    "gradient boosting from zero": lambda: GradientBoostingClassifier(n_estimators=25, init="zero"),
    "gradient boosting, stopped": lambda: GradientBoostingClassifier(
        n_estimators=200, n_iter_no_change=3, learning_rate=0.5, random_state=0
    ),
}


def at_thresholds(content: bytes, most: int = 400) -> np.ndarray:
    """Rows in which one feature is a threshold of the graph, or its neighbour on either side."""
    rng, parts = np.random.default_rng(2), []
    for node in onnx.load_model_from_string(content).graph.node:
        if node.op_type != "TreeEnsembleRegressor":
            continue
        said = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
        inner = np.array([mode != b"LEAF" for mode in said["nodes_modes"]])
        feature = np.array(said["nodes_featureids"])[inner]
        threshold = np.array(said["nodes_values"], dtype=np.float32)[inner]
        for k in np.unique(feature):
            values = np.unique(threshold[(feature == k) & (np.abs(threshold) < 1e38)])
            values = rng.permutation(values)[:most]
            for moved in (values, np.nextafter(values, UP), np.nextafter(values, DOWN)):
                rows = imagery(len(moved), 3)
                rows[:, k] = moved
                parts.append(rows)
    return np.concatenate(parts) if parts else imagery(1, 3)


def hostile(*, missing: bool) -> np.ndarray:
    """20,000 ordinary rows, and such as scenes are full of: nodata, saturation, negative, holes."""
    rows, rng = imagery(20_000, 9), np.random.default_rng(4)
    zeros = np.where(rng.random((2000, N_FEATURES)) < 0.3, np.float32(0), rows[:2000])
    plain = [[value] * N_FEATURES for value in (0.0, -0.0, 6.5535, -1.0, 1e30, -1e30, 1e-35, -1e-35, 1e-40)]
    parts = [rows, zeros, np.array(plain, dtype=np.float32)]
    if missing:
        holes = np.where(rng.random((4000, N_FEATURES)) < 0.2, np.float32(np.nan), rows[:4000])
        parts += [holes, np.full((1, N_FEATURES), np.nan, dtype=np.float32)]
    return np.concatenate(parts)


def answer(content: bytes, rows: np.ndarray) -> np.ndarray:
    return Graph(content).head(np.ascontiguousarray(rows.T)[None, :, None, :])[0, :, 0].T


def require_equal(content: bytes, model, rows: np.ndarray) -> None:
    found, wanted = answer(content, rows), model.predict_proba(rows)
    apart = np.abs(found - wanted).max(axis=1)
    assert (apart <= 2e-6).all(), (apart.max(), rows[np.nanargmax(apart)])
    best = np.sort(wanted, axis=1)
    clear = best[:, -1] - best[:, -2] > 1e-5
    assert (found.argmax(axis=1) == wanted.argmax(axis=1))[clear].all()


def check(model, *, missing: bool) -> None:
    whole = head_graph(model, "trees", N_FEATURES, Layout(None, per_class=False))
    rows = np.concatenate([hostile(missing=missing), at_thresholds(whole)])
    require_equal(whole, model, rows)
    require_equal(head_graph(model, "trees", N_FEATURES), model, rows)
    require_equal(head_graph(model, "trees", N_FEATURES, Layout(4, joined_leaves=64)), model, rows)


@pytest.mark.parametrize("n_classes", [2, 4])
@pytest.mark.parametrize("name", TOLERANT)
def test_boosted_trees_answer_as_their_library_at_every_threshold_and_where_something_is_missing(name, n_classes):
    if (name == "xgboost softprob") == (n_classes == 2):
        check(fitted(TOLERANT[name](), HOLED, n_classes), missing=True)
    if name in ("xgboost", "lightgbm", "histogram", "catboost"):
        check(fitted(TOLERANT[name](), ROWS, n_classes), missing=True)


@pytest.mark.parametrize("n_classes", [2, 4])
@pytest.mark.parametrize("name", LEARNERS)
def test_forests_keep_the_routes_that_they_learned_for_nan(name, n_classes):
    check(fitted(LEARNERS[name](), HOLED, n_classes), missing=True)
    check(fitted(LEARNERS[name](), ROWS, n_classes), missing=False)


@pytest.mark.parametrize("n_classes", [2, 4])
@pytest.mark.parametrize("name", STRICT)
def test_gradient_boosting_answers_as_scikit_learn_does(name, n_classes):
    check(fitted(STRICT[name](), ROWS, n_classes), missing=False)


def test_the_exponential_loss_has_a_curve_of_its_own():
    check(fitted(GradientBoostingClassifier(loss="exponential", n_estimators=25), n_classes=2), missing=False)


def test_boosting_that_stopped_early_is_exported_up_to_its_best_round():
    wrong = np.random.default_rng(0).permutation(CODES)
    late = boosted(n_estimators=60, learning_rate=0.9, early_stopping_rounds=5)
    fitted(late, eval_set=[(ROWS, wrong)], verbose=0)
    assert late.best_iteration < 50
    check(late, missing=True)
    stopped = light(n_estimators=60, learning_rate=0.9)
    fitted(stopped, eval_set=[(ROWS, wrong)], callbacks=[lightgbm.early_stopping(5, verbose=False)])
    assert stopped.best_iteration_ < 50
    check(stopped, missing=True)


def test_an_imputer_before_a_forest_fills_in_what_it_learned():
    filled = SimpleImputer(strategy="median", keep_empty_features=True)
    rows = HOLED.copy()
    rows[:, 3] = np.nan
    model = fitted(Pipeline([("impute", filled), ("model", RandomForestClassifier(20, random_state=0))]), rows)
    check(model, missing=True)


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        (lambda: boosted(objective="multi:softmax"), "objective multi:softmax"),
        (lambda: boosted(booster="dart"), "booster dart"),
        (lambda: boosted(booster="gblinear", max_depth=None), "booster gblinear"),
        (lambda: boosted(multi_strategy="multi_output_tree", tree_method="hist"), "multi_strategy"),
        (lambda: boosted(missing=0.0), "missing=0.0"),
        (lambda: light(zero_as_missing=True), "zero_as_missing"),
        (lambda: light(linear_tree=True), "linear trees"),
        (lambda: light(objective="multiclassova"), "objective multiclassova"),
        (lambda: cat(loss_function="MultiClassOneVsAll"), "loss MultiClassOneVsAll"),
        (lambda: GradientBoostingClassifier(n_estimators=3, init=DecisionTreeClassifier()), "DecisionTreeClassifier"),
        (lambda: Pipeline([("s", StandardScaler()), ("m", RandomForestClassifier(3))]), "RandomForestClassifier comp"),
        (lambda: Pipeline([("s", StandardScaler()), ("m", light(n_estimators=2))]), "LGBMClassifier compares"),
    ],
)
def test_what_cannot_be_kept_is_refused_by_name(model, reason):
    with pytest.raises(Refused, match=reason):
        head_graph(fitted(model()), "trees", N_FEATURES)


def test_splits_on_categories_are_refused():
    rows = ROWS.copy()
    rows[:, 3] = np.round(rows[:, 3] * 20)
    kinds = ["q"] * 3 + ["c"] + ["q"] * 2
    with pytest.raises(Refused, match="categories"):
        head_graph(fitted(HistGradientBoostingClassifier(max_iter=5, categorical_features=[3]), rows), "t", N_FEATURES)
    with pytest.raises(Refused, match="categories"):
        head_graph(fitted(light(n_estimators=5), rows, categorical_feature=[3]), "trees", N_FEATURES)
    with pytest.raises(Refused, match="categories"):
        head_graph(fitted(boosted(enable_categorical=True, feature_types=kinds), rows), "trees", N_FEATURES)


def test_what_nobody_exports_is_refused_with_the_names_of_what_is():
    class Unheard(RandomForestClassifier):
        pass

    with pytest.raises(BadInput, match=r"no export for Unheard.*RandomForestClassifier"):
        head_graph(fitted(Unheard(2)), "trees", N_FEATURES)
    with pytest.raises(Refused, match=r"classes are .*0.*2"):
        head_graph(RandomForestClassifier(2).fit(ROWS[CODES != 1], CODES[CODES != 1]), "trees", N_FEATURES)


@pytest.mark.parametrize("name", ["forest", "xgboost", "lightgbm", "catboost", "gradient boosting", "histogram"])
def test_every_layout_says_the_same_and_the_same_model_gives_the_same_bytes(name):
    make = {**TOLERANT, **LEARNERS, **STRICT}[name]
    rows = hostile(missing=False)
    models = [fitted(make()) for _ in range(2)]
    layouts = layouts_for(models[0])
    assert layouts == (FOREST if name == "forest" else BOOSTED)
    for layout in layouts:
        contents = [head_graph(model, "trees", N_FEATURES, layout) for model in models]
        # catboost writes an identifier and the time into its model, but neither belongs to its trees.
        assert contents[0] == contents[1]
        require_equal(contents[0], models[0], rows)


# --- trees of our own ------------------------------------------------------------------------

GRID = np.array([-np.inf, -2.0, -0.0, 0.0, 1e-40, 0.5, 1.0, 3.0, np.inf], dtype=np.float32)


@st.composite
def small_trees(draw, n_features: int = 2) -> Tree:
    """A tree of up to three levels whose questions repeat and contradict each other."""
    nodes: list[list] = []

    def grow(level: int) -> int:
        place = len(nodes)
        nodes.append([LEAF, 0.0, 0, 0, False, float(draw(st.integers(-8, 8)))])
        if level and (level == 3 or draw(st.booleans())):
            asked = [draw(st.integers(0, n_features - 1)), float(draw(st.sampled_from(GRID))), 0, 0]
            nodes[place] = [*asked, draw(st.booleans()), 0.0]
            nodes[place][2], nodes[place][3] = grow(level - 1), grow(level - 1)
        return place

    grow(3)
    kinds = (np.int64, np.float32, np.int64, np.int64, np.bool_)
    columns = [np.array(column) for column in zip(*nodes, strict=True)]
    return Tree(*(c.astype(k) for c, k in zip(columns, kinds, strict=False)), columns[5].astype(np.float32)[:, None])


def walk(tree: Tree, row: np.ndarray) -> float:
    at = 0
    while tree.feature[at] != LEAF:
        x = row[tree.feature[at]]
        low = tree.missing_low[at] if np.isnan(x) else x <= tree.threshold[at]
        at = tree.low[at] if low else tree.high[at]
    return float(tree.value[at, 0])


EDGES = np.array([*GRID, np.nan, *np.nextafter(GRID, UP), *np.nextafter(GRID, DOWN)], dtype=np.float32)
CORNERS = np.stack(np.meshgrid(EDGES, EDGES), axis=-1).reshape(-1, 2)


def sums_of(trees: Trees, layout: Layout) -> np.ndarray:
    writer = Writer()
    rows = writer.op("Reshape", writer.op("Transpose", "features", perm=[0, 2, 3, 1]), writer.ints(-1, 2))
    sums = writer.op("Transpose", add_trees(writer, rows, trees, layout), perm=[1, 0])
    writer.op("Reshape", sums, writer.ints(1, trees.n_columns, 1, -1), out="probability")
    outputs = {"probability": (onnx.TensorProto.FLOAT, trees.n_columns)}
    return answer(writer.model("head", ("features", 2), outputs, {}), CORNERS)


@given(st.lists(small_trees(), min_size=1, max_size=3))
def test_joined_trees_add_up_at_every_corner_and_ask_nothing_twice(trees):
    whole = joined(trees)
    n_leaves = [int((tree.feature == LEAF).sum()) for tree in (*trees, whole)]
    assert n_leaves[-1] <= np.prod(n_leaves[:-1])
    for row in CORNERS[:: 7 if len(trees) > 1 else 1]:
        assert walk(whole, row) == sum(walk(tree, row) for tree in trees)


@given(st.lists(st.tuples(small_trees(), st.integers(0, 2)), max_size=6), st.integers(1, 3), st.booleans())
def test_a_graph_of_any_trees_in_any_layout_walks_as_they_do(placed, size, per_class):
    trees = Trees([t for t, _ in placed], [k for _, k in placed], np.array([0.0, -1.5, 7.0]))
    wanted = np.tile(trees.start, (len(CORNERS), 1))
    for tree, column in placed:
        wanted[:, column] += [walk(tree, row) for row in CORNERS]
    for layout in (Layout(size, per_class), Layout(None, per_class, joined_leaves=64)):
        assert np.array_equal(sums_of(trees, layout), wanted)


def test_a_column_that_no_tree_of_a_node_adds_to_keeps_its_start():
    stump = Tree(
        np.array([0, LEAF, LEAF]), np.zeros(3, np.float32), np.array([1, 0, 0]), np.array([2, 0, 0]),
        np.zeros(3, bool), np.array([[0], [1], [2]], np.float32),
    )  # fmt: skip
    trees = Trees([stump, stump], [0, 1], np.array([10.0, 20.0, 30.0]))
    for layout in (Layout(1, per_class=False), Layout(None, per_class=False), Layout(1)):
        assert set(map(tuple, sums_of(trees, layout).tolist())) == {(11.0, 21.0, 30.0), (12.0, 22.0, 30.0)}


REALS = st.floats(allow_nan=False, width=64)
SINGLES = st.floats(allow_nan=False, width=32)


@given(REALS, SINGLES)
def test_a_double_threshold_becomes_a_single_one_that_divides_single_numbers_alike(threshold, x):
    beside = [np.float32(x)]
    with np.errstate(over="ignore"):
        near = np.float32(threshold)
        beside += [near, np.nextafter(near, UP), np.nextafter(near, DOWN)]
    for number in beside:
        assert (float(number) <= threshold) == bool(number <= at_most(threshold))


@given(arrays.arrays(np.float32, 8, elements=st.floats(-(2.0**126), 2.0**126, width=32)), SINGLES)
def test_below_a_threshold_is_at_most_the_number_before_it(threshold, x):
    for number in (np.float32(x), *threshold, *np.nextafter(threshold, UP), *np.nextafter(threshold, DOWN)):
        assert np.array_equal(number < threshold, number <= below(threshold))
