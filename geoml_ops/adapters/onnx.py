"""The graphs that leave training: features, fitted head, and the bundle that joins them.

One operator set (17, trees 3) and names of our own make the bytes a function of the model alone:
the same model gives the same digest on every machine.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from onnxmltools.convert.xgboost.operator_converters.XGBoost import convert_xgboost  # type: ignore[import-untyped]
from skl2onnx import to_onnx, update_registered_converter  # type: ignore[import-untyped]
from skl2onnx.common.shape_calculator import calculate_linear_classifier_output_shapes  # type: ignore[import-untyped]

from geoml_ops.core.bands import Contract
from geoml_ops.core.errors import BadInput, Refused
from geoml_ops.domain.features import INDICES, LEAST_DENOMINATOR, Linear, bands_needed

OPSET, OPSET_TREES, IR = 17, 3, 8
TREES_PER_NODE = 20
_PIXELS: tuple[str, str] = ("y", "x")


class _Writer:
    """Collects nodes and constants under running names, so that a graph's bytes follow from its content."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[tuple[str, tuple[int, ...], bytes], onnx.TensorProto] = {}

    def constant(self, value: NDArray[np.generic]) -> str:
        """Returns the name of an initializer; equal values share one."""
        key = (str(value.dtype), value.shape, value.tobytes())
        if key not in self.constants:
            self.constants[key] = numpy_helper.from_array(value, f"c{len(self.constants)}")
        return str(self.constants[key].name)

    def number(self, value: float) -> str:
        """Returns the name of a float32 scalar."""
        return self.constant(np.asarray(value, dtype=np.float32))

    def ints(self, *values: int) -> str:
        """Returns the name of an int64 vector."""
        return self.constant(np.asarray(values, dtype=np.int64))

    def op(self, kind: str, *inputs: str, out: str = "", domain: str = "", **attributes: Any) -> str:
        """Adds a node with one output and returns the output's name."""
        name = out or f"t{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], domain=domain, **attributes))
        return name

    def features(self, dn: str, features: Sequence[str], contract: Contract, out: str = "") -> str:
        """Adds the feature part: ``dn [batch, band, y, x]`` to ``[batch, feature, y, x]``, NaN kept."""
        bands = bands_needed(features, contract)
        rule = contract.radiometry
        shifted = self.op("Add", dn, self.number(rule.offset_dn))
        reflectance = self.op("Mul", shifted, self.number(rule.scale))
        names = [f"band_{band}" for band in bands]
        self.nodes.append(helper.make_node("Split", [reflectance], names, axis=1))
        layer = dict(zip(bands, names, strict=True))
        columns = [layer[f] if f in layer else self._index(f, layer, contract) for f in features]
        return self.op("Concat", *columns, out=out, axis=1)

    def _index(self, name: str, layer: Mapping[str, str], contract: Contract) -> str:
        index = INDICES[name]
        top = self._linear(index.top, layer, contract)
        bottom = self._linear(index.bottom, layer, contract)
        if index.gain != 1.0:
            top = self.op("Mul", top, self.number(index.gain))
        missing = self.op("Less", self.op("Abs", bottom), self.number(LEAST_DENOMINATOR))
        return self.op("Where", missing, self.number(np.nan), self.op("Div", top, bottom))

    def _linear(self, part: Linear, layer: Mapping[str, str], contract: Contract) -> str:
        total = ""
        for weight, name in part.terms:
            value = layer[contract.band(name).name]
            if abs(weight) != 1.0:
                value = self.op("Mul", value, self.number(abs(weight)))
            if total:
                total = self.op("Add" if weight > 0 else "Sub", total, value)
            else:
                total = value if weight > 0 else self.op("Neg", value)
        return self.op("Add", total, self.number(part.constant)) if part.constant else total

    def valid(self, features: str, out: str = "") -> str:
        """Adds the mask: uint8 ``[batch, 1, y, x]``, 1 where every feature is a finite number."""
        # Not IsNaN: an overflow to infinity is no number to answer with either.
        finite = self.op("LessOrEqual", self.op("Abs", features), self.number(float(np.finfo(np.float32).max)))
        all_finite = self.op("ReduceMin", self.op("Cast", finite, to=TensorProto.FLOAT), axes=[1], keepdims=1)
        return self.op("Cast", all_finite, out=out, to=TensorProto.UINT8)

    def head(self, content: bytes, features: str) -> str:
        """Adds a fitted head that reads ``features [batch, feature, y, x]``; returns its probability."""
        head = onnx.load_model_from_string(content).graph
        names = {"features": features}
        for tensor in head.initializer:
            names[tensor.name] = self.constant(numpy_helper.to_array(tensor))
        for node in head.node:
            copy = onnx.NodeProto()
            copy.CopyFrom(node)
            names.update({name: f"head_{name}" for name in node.output})
            copy.input[:] = [names[name] for name in node.input]
            copy.output[:] = [names[name] for name in node.output]
            self.nodes.append(copy)
        return names["probability"]

    def model(
        self,
        name: str,
        source: tuple[str, int],
        outputs: Mapping[str, tuple[int, int]],
        metadata: Mapping[str, str],
    ) -> bytes:
        """Returns the bytes of the checked model.

        Args:
            name: the graph's own name.
            source: name and channels of the float32 input.
            outputs: name to (element type, channels), in order.
            metadata: written in sorted order.
        """
        dn = helper.make_tensor_value_info(source[0], TensorProto.FLOAT, ["batch", source[1], *_PIXELS])
        out = [helper.make_tensor_value_info(n, t, ["batch", c, *_PIXELS]) for n, (t, c) in outputs.items()]
        graph = helper.make_graph(self.nodes, name, [dn], out, initializer=list(self.constants.values()))
        used = {node.domain for node in self.nodes}
        opsets = [helper.make_opsetid("", OPSET)]
        opsets += [helper.make_opsetid("ai.onnx.ml", OPSET_TREES)] if "ai.onnx.ml" in used else []
        model = helper.make_model(graph, opset_imports=opsets, ir_version=IR, producer_name="geoml-ops")
        helper.set_model_props(model, {key: metadata[key] for key in sorted(metadata)})
        onnx.checker.check_model(model, full_check=True)
        return bytes(model.SerializeToString(deterministic=True))


def feature_graph(features: Sequence[str], contract: Contract) -> bytes:
    """Returns the stateless feature graph.

    Input ``dn`` float32 ``[batch, band, y, x]``: DN in the contract's radiometry, NaN where not
    observed, bands as :func:`~geoml_ops.domain.features.bands_needed` orders them. Outputs
    ``features`` float32 ``[batch, feature, y, x]``, NaN kept, and ``valid`` uint8 ``[batch, 1, y, x]``,
    1 where every feature is a finite number. Any y and x, from 1.

    Args:
        features: names of bands or indices, in output order.
        contract: bands and radiometry of the sensor.

    Raises:
        BadInput: a feature is unknown or named twice.
    """
    writer = _Writer()
    writer.valid(writer.features("dn", features, contract, out="features"), out="valid")
    bands = bands_needed(features, contract)
    outputs = {"features": (TensorProto.FLOAT, len(features)), "valid": (TensorProto.UINT8, 1)}
    metadata = {"bands": ",".join(bands), "features": ",".join(features), "sensor": contract.sensor}
    return writer.model("features", ("dn", len(bands)), outputs, metadata)


def head_graph(fitted: Any, family: str, n_features: int) -> bytes:
    """Returns a fitted model as a graph: ``features [batch, feature, y, x]`` to ``probability [batch, class, y, x]``.

    Args:
        fitted: a fitted ``RandomForestClassifier`` or ``XGBClassifier`` whose classes are 0, 1, 2 …, or
            a ``Pipeline`` of a ``SimpleImputer`` and one of these.
        family: ``random_forest`` or ``xgboost``.
        n_features: number of features it was fitted on.

    Raises:
        Refused: the model is of a kind whose conversion is known to be wrong.
        BadInput: the family is unknown.
    """
    if family not in _FAMILIES:
        raise BadInput(f"There is no export for the family {family[:60]!r}.", f"use one of {', '.join(_FAMILIES)}")
    n_classes = len(fitted.classes_)
    if list(fitted.classes_) != list(range(n_classes)):
        raise Refused(
            f"The model's classes are {list(fitted.classes_)[:20]}, a bundle's are 0 to n - 1.",
            "fit on samples of every class of the experiment",
        )
    refuse, layout = _FAMILIES[family]
    filling, model = _peel(fitted)
    refuse(model)
    writer = _Writer()
    rows = writer.op("Transpose", "features", perm=[0, 2, 3, 1])
    shape = writer.op("Slice", writer.op("Shape", rows), writer.ints(0), writer.ints(3))
    flat = writer.op("Reshape", rows, writer.ints(-1, n_features))
    if filling is not None:
        flat = writer.op("Where", writer.op("IsNaN", flat), writer.constant(filling), flat)
    probability = layout(writer, flat, _trees(model, n_features), n_classes)
    square = writer.op("Reshape", probability, writer.op("Concat", shape, writer.ints(n_classes), axis=0))
    writer.op("Transpose", square, out="probability", perm=[0, 3, 1, 2])
    outputs = {"probability": (TensorProto.FLOAT, n_classes)}
    return writer.model("head", ("features", n_features), outputs, {"family": family})


def bundle_graph(
    features: Sequence[str], contract: Contract, head: bytes, classes: Sequence[str], metadata: Mapping[str, str]
) -> bytes:
    """Returns the whole graph: DN in, class probabilities and their validity out.

    Input ``dn`` as in :func:`feature_graph`; outputs ``probability`` float32 ``[batch, class, y, x]``,
    0 where ``valid`` uint8 ``[batch, 1, y, x]`` is 0. A pixel is valid where every feature exists.

    Args:
        features: names, in the order the head was fitted on.
        contract: bands and radiometry of the sensor.
        head: what :func:`head_graph` returned.
        classes: names in code order.
        metadata: what else the graph should say about itself; the names, the radiometry and the halo
            are added here.

    Raises:
        BadInput: a feature is unknown, or the names do not fit the head.
    """
    outer = onnx.load_model_from_string(head).graph
    found = tuple(v.type.tensor_type.shape.dim[1].dim_value for v in (outer.input[0], outer.output[0]))
    if found != (len(features), len(classes)):
        raise BadInput(
            f"The head reads {found[0]} features and knows {found[1]} classes; "
            f"{len(features)} and {len(classes)} were named."
        )
    writer = _Writer()
    columns = writer.features("dn", features, contract)
    valid = writer.valid(columns, out="valid")
    probability = writer.head(head, columns)
    answered = writer.op("Cast", valid, to=TensorProto.BOOL)
    writer.op("Where", answered, probability, writer.number(0.0), out="probability")
    bands = bands_needed(features, contract)
    outputs = {"probability": (TensorProto.FLOAT, len(classes)), "valid": (TensorProto.UINT8, 1)}
    own = {
        "sensor": contract.sensor,
        "bands": json.dumps(bands),
        "features": json.dumps(list(features)),
        "classes": json.dumps(list(classes)),
        "radiometry": contract.radiometry.model_dump_json(),
        "pixel_m": json.dumps(contract.pixel_m),
        "halo_px": "0",
    }
    return writer.model("bundle", ("dn", len(bands)), outputs, {**metadata, **own})


def _peel(fitted: Any) -> tuple[NDArray[np.float32] | None, Any]:
    """Returns what an imputer in front fills in, ``(feature,)``, or None without one; and the model itself."""
    steps = [step for _, step in getattr(fitted, "steps", [("model", fitted)])]
    if len(steps) == 1:
        return None, steps[0]
    if len(steps) != 2 or not hasattr(steps[0], "statistics_") or steps[0].indicator_ is not None:
        raise Refused(
            f"A head of {' and '.join(type(step).__name__ for step in steps)} has no export.",
            "put nothing but a SimpleImputer without indicator before the model",
        )
    # A feature that was missing in every sample is filled with 0 (keep_empty_features).
    return np.nan_to_num(np.asarray(steps[0].statistics_, dtype=np.float32)), steps[1]


def _trees(fitted: Any, n_features: int) -> dict[str, Any]:
    """Returns the attributes of the converter's one tree node, lists as numpy arrays."""
    if "XGB" in type(fitted).__name__:
        update_registered_converter(
            type(fitted),
            "XgboostXGBClassifier",
            calculate_linear_classifier_output_shapes,
            convert_xgboost,
            options={"nocl": [True, False], "zipmap": [True, False, "columns"]},
            overwrite=True,
        )
    model = to_onnx(
        fitted,
        np.zeros((1, n_features), dtype=np.float32),
        options={id(fitted): {"zipmap": False}},
        target_opset={"": OPSET, "ai.onnx.ml": OPSET_TREES},
    )
    nodes = [node for node in model.graph.node if node.op_type == "TreeEnsembleClassifier"]
    if len(nodes) != 1:
        raise Refused(f"The converter made {len(nodes)} tree nodes of one model.")
    found = {a.name: helper.get_attribute_value(a) for a in nodes[0].attribute}
    return {name: np.asarray(value) if isinstance(value, list) else value for name, value in found.items()}


def _regressor(
    writer: _Writer,
    rows: str,
    trees: dict[str, Any],
    chosen: NDArray[np.int64],
    targets: NDArray[np.int64],
    base: float = 0.0,
) -> str:
    """Adds the chosen trees as one node that sums their leaves; returns ``[row, target]``.

    Both selections are sorted; ``targets`` are the classes that become columns 0, 1, …
    """
    of_node = np.isin(trees["nodes_treeids"], chosen)
    of_leaf = np.isin(trees["class_treeids"], chosen) & np.isin(trees["class_ids"], targets)
    if len(targets) > 1:
        of_leaf &= trees["class_weights"] != 0
    parts: dict[str, Any] = {}
    for name, values in trees.items():
        if name.startswith("nodes_") and len(values):
            parts[name] = values[of_node]
    for name in ("treeids", "nodeids", "ids", "weights"):
        parts[f"target_{name}"] = trees[f"class_{name}"][of_leaf]
    for name in ("nodes_treeids", "target_treeids"):
        parts[name] = np.searchsorted(chosen, parts[name])
    parts["target_ids"] = np.searchsorted(targets, parts["target_ids"])
    attributes = {name: values.tolist() for name, values in parts.items()}
    if base:
        attributes["base_values"] = [base] * len(targets)
    return writer.op(
        "TreeEnsembleRegressor",
        rows,
        domain="ai.onnx.ml",
        n_targets=len(targets),
        aggregate_function="SUM",
        post_transform="NONE",
        **attributes,
    )


def _forest(writer: _Writer, rows: str, trees: dict[str, Any], n_classes: int) -> str:
    """Adds a forest as groups of trees: one large node of onnxruntime 1.31 takes 2 to 4 times as long."""
    # Of two classes the converter writes only the second one's share.
    ids, targets = np.unique(trees["nodes_treeids"]), np.arange(n_classes if n_classes > 2 else 1)
    groups = [ids[first : first + TREES_PER_NODE] for first in range(0, len(ids), TREES_PER_NODE)]
    sums = [_regressor(writer, rows, trees, group, targets) for group in groups]
    total = writer.op("Sum", *sums)
    return total if n_classes > 2 else _both(writer, total)


def _both(writer: _Writer, second: str) -> str:
    """Adds the share of the first of two classes before that of the second."""
    return writer.op("Concat", writer.op("Sub", writer.number(1.0), second), second, axis=1)


def _boosting(writer: _Writer, rows: str, trees: dict[str, Any], n_classes: int) -> str:
    """Adds boosted trees as one node per class, then softmax; with one margin for two classes, the logistic curve."""
    base = np.asarray(trees.get("base_values", np.zeros(0)), dtype=np.float64)
    margins = []
    for code in np.unique(trees["class_ids"]):
        of_class = np.unique(trees["class_treeids"][trees["class_ids"] == code])
        start = float(base[code if len(base) > 1 else 0]) if len(base) else 0.0
        margins.append(_regressor(writer, rows, trees, of_class, np.array([code]), start))
    if len(margins) == 1 and n_classes == 2:
        return _both(writer, writer.op("Sigmoid", margins[0]))
    return writer.op("Softmax", writer.op("Concat", *margins, axis=1), axis=1)


def _refuse_forest(fitted: Any) -> None:
    """Raises where a forest saw NaN while it was fitted: its routes for NaN are lost in the graph.

    scikit-learn 1.9 sends NaN to the larger child at every split that saw none while fitting, so any
    other route was learned from NaN.
    """
    learned = 0
    for tree in (estimator.tree_ for estimator in fitted.estimators_):
        split = tree.children_left >= 0
        size = tree.n_node_samples
        larger = size[tree.children_left[split]] > size[tree.children_right[split]]
        learned += int((tree.missing_go_to_left[split].astype(bool) != larger).sum())
    if learned:
        raise Refused(
            f"The forest saw missing values while fitting ({learned} splits route them), which its graph cannot keep.",
            "leave out samples with missing features, or use xgboost",
        )


def _refuse_boosting(fitted: Any) -> None:
    learner = json.loads(fitted.get_booster().save_config())["learner"]
    booster, objective = learner["gradient_booster"], learner["objective"]["name"]
    parallel = booster.get("gbtree_model_param", {}).get("num_parallel_tree", "1")
    strategy = learner.get("learner_train_param", {}).get("multi_strategy", "one_output_per_tree")
    reasons = [f"booster {booster['name']}"] * (booster["name"] != "gbtree")
    reasons += [f"num_parallel_tree {parallel}"] * (parallel != "1")
    reasons += [f"objective {objective}"] * (objective not in ("multi:softprob", "binary:logistic"))
    reasons += [f"multi_strategy {strategy}"] * (strategy != "one_output_per_tree")
    if reasons:
        raise Refused(
            f"The boosted model cannot become a graph that agrees with it: {', '.join(reasons)}.",
            "use booster gbtree, num_parallel_tree 1 and objective multi:softprob",
        )


_Layout = Callable[["_Writer", str, dict[str, Any], int], str]
_FAMILIES: dict[str, tuple[Callable[[Any], None], _Layout]] = {
    "random_forest": (_refuse_forest, _forest),
    "xgboost": (_refuse_boosting, _boosting),
}
