"""Nodes, constants and models under running names, so that a graph's bytes follow from its content."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

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
        self._written: dict[bytes, str] = {}

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
        """Adds a node with one output and returns the output's name; what is there already is not added again."""
        name = out or f"t{len(self.nodes)}"
        node = helper.make_node(kind, list(inputs), [""], domain=domain, **attributes)
        # Trees are never the same twice, and large.
        key = b"" if out or domain else node.SerializeToString(deterministic=True)
        if key in self._written:
            return self._written[key]
        if key:
            self._written[key] = name
        node.output[:] = [name]
        self.nodes.append(node)
        return name

    def valid(self, *layers: str, out: str = "") -> str:
        """Adds the mask: uint8 ``[batch, 1, y, x]``, 1 where all that is named is a finite number.

        Args:
            layers: one name of ``[batch, any, y, x]``, or several of ``[batch, 1, y, x]``.
            out: name of the mask; one is made where it is empty.
        """
        # Not IsNaN: an overflow to infinity is no number to answer with either.
        greatest = self.number(float(np.finfo(np.float32).max))
        finite = [self.op("LessOrEqual", self.op("Abs", layer), greatest) for layer in layers]
        if len(finite) == 1:
            numbers = self.op("Cast", finite[0], to=TensorProto.FLOAT)
            finite = [self.op("ReduceMin", numbers, axes=[1], keepdims=1)]
        every = finite[0]
        for other in finite[1:]:
            every = self.op("And", every, other)
        return self.op("Cast", every, out=out, to=TensorProto.UINT8)

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
