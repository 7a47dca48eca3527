"""Nodes, constants and models under running names, so that a graph's bytes follow from its content."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from geoml_ops.core.bands import Contract
from geoml_ops.domain.features import INDICES, LEAST_DENOMINATOR, Linear, bands_needed

OPSET, OPSET_TREES, IR = 17, 3, 8
PIXELS: tuple[str, str] = ("y", "x")


class Writer:
    """Collects the nodes and constants of one graph.

    Attributes:
        nodes: in the order in which they run.
        constants: initializers by type, shape and content; equal values share one.
    """

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
        dn = helper.make_tensor_value_info(source[0], TensorProto.FLOAT, ["batch", source[1], *PIXELS])
        out = [helper.make_tensor_value_info(n, t, ["batch", c, *PIXELS]) for n, (t, c) in outputs.items()]
        graph = helper.make_graph(self.nodes, name, [dn], out, initializer=list(self.constants.values()))
        used = {node.domain for node in self.nodes}
        opsets = [helper.make_opsetid("", OPSET)]
        opsets += [helper.make_opsetid("ai.onnx.ml", OPSET_TREES)] if "ai.onnx.ml" in used else []
        model = helper.make_model(graph, opset_imports=opsets, ir_version=IR, producer_name="geoml-ops")
        helper.set_model_props(model, {key: metadata[key] for key in sorted(metadata)})
        onnx.checker.check_model(model, full_check=True)
        return bytes(model.SerializeToString(deterministic=True))
