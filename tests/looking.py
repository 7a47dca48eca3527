"""Small graphs whose answers depend on what lies around a pixel, made of operators that every bundle may use."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from geoml_ops.adapters.ort import Graph
from geoml_ops.adapters.registry import Release
from geoml_ops.core.flow import Bundle
from geoml_ops.core.noun import FileRef
from geoml_ops.platform.files import sha256_of
from geoml_ops.steps.answering import Model
from tests.answering import write_bundle


def looking_graph(reach_px: int, *, tile_minded: float = 0.0, n_bands: int = 4, steepness: float = 0.01) -> bytes:
    """Class 1 where the last band exceeds the one before it, on average over ``reach_px`` around; NaN is no answer.

    With ``tile_minded`` the mean of all that the graph sees counts too, by this share: such a graph answers a pixel
    otherwise in another tile, however wide its halo.
    """
    edge = 2 * reach_px + 1
    weights = np.zeros((1, n_bands, 1, 1), np.float32)
    weights[0, -2:, 0, 0] = -steepness, steepness
    numbers = {
        "weights": weights,
        "one": np.array(1, np.float32),
        "zero": np.array(0, np.float32),
        "least": np.array(1e-6, np.float32),
        "share": np.array(tile_minded, np.float32),
        "axis": np.array([1], np.int64),
        "ground": np.array([2, 3], np.int64),
    }
    node = helper.make_node
    nodes = [
        node("ReduceSum", ["dn", "axis"], ["all"], keepdims=1),
        node("IsNaN", ["all"], ["nothing"]),
        node("Where", ["nothing", "zero", "one"], ["seen"]),
        node("Cast", ["seen"], ["valid"], to=TensorProto.UINT8),
        node("Mul", ["dn", "weights"], ["parts"]),
        node("ReduceSum", ["parts", "axis"], ["score"], keepdims=1),
        node("Where", ["nothing", "zero", "score"], ["known"]),
        node("AveragePool", ["known"], ["near"], kernel_shape=[edge, edge], pads=[reach_px] * 4, count_include_pad=1),
        node("ReduceSum", ["known", "ground"], ["total"], keepdims=1),
        node("ReduceSum", ["seen", "ground"], ["count"], keepdims=1),
        node("Max", ["count", "least"], ["counted"]),
        node("Div", ["total", "counted"], ["mean"]),
        node("Mul", ["mean", "share"], ["mood"]),
        node("Add", ["near", "mood"], ["felt"]),
        node("Sigmoid", ["felt"], ["green"]),
        node("Sub", ["one", "green"], ["bare"]),
        node("Concat", ["bare", "green"], ["both"], axis=1),
        node("Mul", ["both", "seen"], ["probability"]),
    ]
    shape = lambda n: ["batch", n, "y", "x"]  # noqa: E731
    body = helper.make_graph(
        nodes,
        "looking",
        [helper.make_tensor_value_info("dn", TensorProto.FLOAT, shape(n_bands))],
        [
            helper.make_tensor_value_info("probability", TensorProto.FLOAT, shape(2)),
            helper.make_tensor_value_info("valid", TensorProto.UINT8, shape(1)),
        ],
        [numpy_helper.from_array(value, name) for name, value in numbers.items()],
    )
    model = helper.make_model(body, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return bytes(model.SerializeToString(deterministic=True))


def looking_model(folder: Path, reach_px: int, *, overlap_px: int = 0, tile_minded: float = 0.0) -> Model:
    """Returns a loaded bundle of such a graph; its halo is its reach unless tiles overlap."""
    shutil.rmtree(folder, ignore_errors=True)
    plain = write_bundle(folder)
    content = looking_graph(reach_px, tile_minded=tile_minded)
    onnx.checker.check_model(onnx.load_model_from_string(content), full_check=True)
    (folder / "model.onnx").write_bytes(content)
    file = FileRef(path="model.onnx", sha256=sha256_of(folder / "model.onnx"), size=len(content))
    halo_px = 0 if overlap_px else reach_px
    bundle: Bundle = plain.model_copy(update={"halo_px": halo_px, "overlap_px": overlap_px, "file": file})
    (folder / "bundle.json").write_text(json.dumps(bundle.as_json()))
    return Model(bundle, Release("looking", 1, bundle.id, file.sha256), Graph(content).run)
