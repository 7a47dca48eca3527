"""Running a graph: bytes in, checked before anything is executed, arrays out.

A graph is a program. One that arrives from a registry or a disk is read as bytes only, within a size,
from a short list of operators, with nothing nested and nothing outside the file, and with exactly the
house's inputs and outputs.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import onnxruntime  # type: ignore[import-untyped]
from numpy.typing import NDArray
from onnx import TensorProto

from geoml_ops.core.errors import BadInput, GeomlError, Refused, TooLarge
from geoml_ops.platform.deadlines import Deadlines

MAX_BYTES = 256 * 2**20
MAX_PIXELS = 2**24
MAX_FIXED = 2**26
"""Numbers of one array inside a graph that is there whatever is asked: a few bytes can ask for any size."""
RUN_S, PIXEL_S = 30.0, 2e-4
"""How long one call may take, and more for each pixel; a graph that takes longer is ended."""
MANY_NODES = 1000
_TREES = "ai.onnx.ml"
ALLOWED: dict[str, frozenset[str]] = {
    "": frozenset(
        {
            "Abs",
            "Add",
            "And",
            "AveragePool",
            "Cast",
            "Clip",
            "Concat",
            "Div",
            "Equal",
            "Exp",
            "Expand",
            "Floor",
            "Gather",
            "GatherElements",
            "Identity",
            "IsNaN",
            "Less",
            "LessOrEqual",
            "Log",
            "MatMul",
            "Max",
            "MaxPool",
            "Min",
            "Mul",
            "Neg",
            "Pad",
            "Pow",
            "ReduceLogSum",
            "ReduceMax",
            "ReduceMin",
            "ReduceSum",
            "Reshape",
            "Round",
            "Shape",
            "Sigmoid",
            "Slice",
            "Softmax",
            "Split",
            "Sqrt",
            "Sub",
            "Sum",
            "Tanh",
            "TopK",
            "Transpose",
            "Unsqueeze",
            "Where",
        }
    ),
    _TREES: frozenset({"TreeEnsembleClassifier", "TreeEnsembleRegressor"}),
}
NEARNESS = ("dissimilarity", "density")
_BUNDLE: dict[str, int] = {"probability": TensorProto.FLOAT, "valid": TensorProto.UINT8}
_SIGNATURES: tuple[tuple[str, dict[str, int]], ...] = (
    ("dn", _BUNDLE),
    ("dn", {**_BUNDLE, **dict.fromkeys(NEARNESS, TensorProto.FLOAT)}),
    ("dn", {"features": TensorProto.FLOAT, "valid": TensorProto.UINT8}),
    ("features", {"probability": TensorProto.FLOAT}),
)
_NESTED = (onnx.AttributeProto.GRAPH, onnx.AttributeProto.GRAPHS)


@dataclass(frozen=True)
class Answer:
    """What a bundle says about each pixel.

    Attributes:
        probability: float32 ``[batch, class, y, x]``, 0 where there is no answer.
        valid: bool ``[batch, 1, y, x]``, True where there is one.
        dissimilarity: float32 ``[batch, 1, y, x]`` >= 0, to what the model learned from; NaN where there is
            no answer, None where the graph does not say.
        density: float32 ``[batch, 1, y, x]`` >= 0, samples within the threshold; NaN and None as before.
    """

    probability: NDArray[np.float32]
    valid: NDArray[np.bool_]
    dissimilarity: NDArray[np.float32] | None = None
    density: NDArray[np.float32] | None = None


class Graph:
    """A checked graph, ready to run; one instance may be shared by several threads.

    Attributes:
        metadata: what the graph says about itself (names, contract, classes).
        n_bands: channels of the input: bands of ``dn``, or features of a head.
        n_out: classes of a bundle, features of a feature graph.
        provider: where it runs, ``CPUExecutionProvider`` or ``CUDAExecutionProvider``.
    """

    def __init__(self, content: bytes, threads: int = 1, *, device: str = "cpu") -> None:
        """Checks and loads a graph.

        Args:
            content: the bytes of the ONNX file.
            threads: threads that one call may use.
            device: ``cpu``, or ``auto`` to use an NVIDIA GPU where a session really gets one.

        Raises:
            Refused: the bytes are no graph of this house.
            TooLarge: they exceed :data:`MAX_BYTES`.
        """
        model = _checked(content)
        self.metadata: dict[str, str] = {entry.key: entry.value for entry in model.metadata_props}
        self._source = str(model.graph.input[0].name)
        self._main = str(model.graph.output[0].name)
        self._nearness = [name for name in NEARNESS if name in {o.name for o in model.graph.output}]
        self.n_bands = int(model.graph.input[0].type.tensor_type.shape.dim[1].dim_value)
        self.n_out = int(model.graph.output[0].type.tensor_type.shape.dim[1].dim_value)
        with _as_refusal("cannot be loaded"):
            self._session = _session(content, threads, device, len(model.graph.node))
        self.provider = str(self._session.get_providers()[0])

    def run(self, dn: NDArray[np.float32]) -> Answer:
        """Returns class probabilities of a bundle.

        Args:
            dn: float32 ``[batch, band, y, x]`` in the bundle's radiometry, NaN where not observed.

        Raises:
            BadInput: the array has another type or shape, or this is a feature graph.
            Refused: the graph fails while it runs.
            TooLarge: more than :data:`MAX_PIXELS` pixels at once.
        """
        probability, valid, *nearness = self._call("dn", dn, ["probability", "valid", *self._nearness])
        return Answer(probability, valid.astype(np.bool_), *nearness)

    def features(self, dn: NDArray[np.float32]) -> NDArray[np.float32]:
        """Returns features ``[batch, feature, y, x]``, NaN where one does not exist; raises as :meth:`run`."""
        return self._call("dn", dn, ["features"])[0]

    def head(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Returns probabilities ``[batch, class, y, x]`` of a fitted head alone; raises as :meth:`run`."""
        return self._call("features", features, ["probability"])[0]

    def _call(self, source: str, array: NDArray[np.float32], wanted: list[str]) -> list[NDArray[Any]]:
        if (source, wanted[0]) != (self._source, self._main):
            raise BadInput(f"This graph makes {self._main} of {self._source}, not {wanted[0]} of {source}.")
        if array.dtype != np.float32 or array.ndim != 4 or array.shape[1] != self.n_bands or 0 in array.shape:
            raise BadInput(
                f"The graph reads float32 [batch, {self.n_bands}, y, x], not {array.dtype} {list(array.shape)}.",
                "bring the bands to the graph's order and radiometry first",
            )
        n_pixels = array.size // self.n_bands
        if n_pixels > MAX_PIXELS:
            raise TooLarge(f"{n_pixels} pixels at once, the limit is {MAX_PIXELS}.", "cut the array into tiles")
        with _as_refusal("fails while it runs"), _ended_after(RUN_S + n_pixels * PIXEL_S) as options:
            return list(self._session.run(wanted, {source: array}, options))


_watch = Deadlines()


@contextmanager
def _ended_after(seconds: float) -> Iterator[onnxruntime.RunOptions]:
    options = onnxruntime.RunOptions()

    def end() -> None:
        options.terminate = True

    with _watch.over(seconds, end):
        try:
            yield options
        except Exception:
            if options.terminate:
                raise Refused(f"The graph ran longer than {seconds:.0f} s and was ended.") from None
            raise


@contextmanager
def _as_refusal(what: str) -> Iterator[None]:
    """Turns whatever protobuf, the checker or the runtime raise into Refused; they share no base class."""
    try:
        yield
    except (GeomlError, MemoryError):
        raise
    except Exception as error:  # noqa: BLE001
        raise Refused(f"The graph {what}: {str(error)[:300]}.") from None


def _session(content: bytes, threads: int, device: str, n_nodes: int) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 4
    # Planning which node may take over whose memory takes onnxruntime 1.31 time with the square of their number:
    # 5 s for 3,700 nodes, without it 0.4 s, for the same speed and 12 % more memory.
    options.enable_mem_reuse = n_nodes < MANY_NODES
    # Available providers name CUDA wherever the GPU wheel is installed (onnxruntime 1.31), GPU or not;
    # only a session knows, and it falls back to the CPU in silence at this log level.
    cuda = device == "auto" and "CUDAExecutionProvider" in onnxruntime.get_available_providers()
    providers = ["CUDAExecutionProvider"] * cuda + ["CPUExecutionProvider"]
    return onnxruntime.InferenceSession(content, options, providers=providers)


def _checked(content: bytes) -> onnx.ModelProto:
    if len(content) > MAX_BYTES:
        raise TooLarge(f"The graph has {len(content)} bytes, the limit is {MAX_BYTES}.", "use fewer or smaller trees")
    # Text that is not UTF-8 comes out of protobuf 7 as bytes, and fails wherever it is first used.
    with _as_refusal("is not valid ONNX"):
        model = onnx.load_model_from_string(content)
        _refuse_reach(model)
        _refuse_signature(model)
        onnx.checker.check_model(model)
        _refuse_growth(onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True, data_prop=True))
    return model


def _refuse_growth(inferred: onnx.ModelProto) -> None:
    for value in inferred.graph.value_info:
        _, dims = _shape(value)
        fixed = math.prod(dim for dim in dims if dim > 0)
        if fixed > MAX_FIXED:
            raise Refused(f"The graph makes an array of {fixed} numbers whatever is asked; the limit is {MAX_FIXED}.")


def _refuse_reach(model: onnx.ModelProto) -> None:
    if model.functions or model.training_info:
        raise Refused("The graph carries functions or training parts, which bundles never have.")
    if any(entry.key.startswith("ort") for entry in model.metadata_props):
        raise Refused("The graph's metadata try to configure the runtime.")
    tensors = list(model.graph.initializer)
    for node in model.graph.node:
        if node.op_type not in ALLOWED.get(node.domain, frozenset()):
            raise Refused(f"The graph uses the operator {node.domain[:40]}:{node.op_type[:40]}, which is not allowed.")
        for attribute in node.attribute:
            if attribute.type in _NESTED or attribute.HasField("g") or attribute.graphs:
                raise Refused(f"The graph nests another one in {node.op_type}.{attribute.name[:40]}.")
            tensors += [attribute.t, *attribute.tensors]
    if model.graph.sparse_initializer or any(t.external_data or t.data_location for t in tensors):
        raise Refused("The graph reads numbers from outside its own bytes.")


def _shape(value: onnx.ValueInfoProto) -> tuple[int, list[int]]:
    kind = value.type.tensor_type
    return int(kind.elem_type), [int(dim.dim_value) for dim in kind.shape.dim]


def _refuse_signature(model: onnx.ModelProto) -> None:
    inputs = {value.name: _shape(value) for value in model.graph.input}
    outputs = {value.name: _shape(value) for value in model.graph.output}
    source, main = next(iter(inputs), ""), next(iter(outputs), "")
    right = (
        len(inputs) == 1
        and (source, {name: kind for name, (kind, _) in outputs.items()}) in _SIGNATURES
        and inputs[source][0] == TensorProto.FLOAT
        and all(_open(dims) for _, dims in (*inputs.values(), *outputs.values()))
        and main in ("probability", "features")
        and all(outputs[name][1][1] == 1 for name in ("valid", *NEARNESS) if name in outputs)
    )
    if not right:
        raise Refused(
            f"The graph's signature is not the house's: inputs {list(inputs)}, outputs {list(outputs)}.",
            "export it with this platform: dn [batch, band, y, x] to probability and valid [batch, ·, y, x], and "
            "dissimilarity and density where there are references",
        )


def _open(dims: list[int]) -> bool:
    return len(dims) == 4 and dims[0] == dims[2] == dims[3] == 0 and dims[1] > 0
