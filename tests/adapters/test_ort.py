"""What may run, and what is refused before it does."""

from collections.abc import Callable

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from geoml_ops.adapters import ort
from geoml_ops.adapters.onnx import feature_graph
from geoml_ops.adapters.ort import Graph
from geoml_ops.core.bands import SENTINEL_2_L1C
from geoml_ops.core.errors import BadInput, GeomlError, Refused, TooLarge
from geoml_ops.platform import deadlines

CONTENT = feature_graph(("B04", "NDVI"), SENTINEL_2_L1C)


def altered(change: Callable[[onnx.ModelProto], object]) -> bytes:
    model = onnx.load_model_from_string(CONTENT)
    change(model)
    return bytes(model.SerializeToString())


def add_node(kind: str, domain: str = "", **attributes: object) -> Callable[[onnx.ModelProto], None]:
    def change(model: onnx.ModelProto) -> None:
        model.graph.node.append(helper.make_node(kind, ["features"], ["more"], domain=domain, **attributes))

    return change


def outside(model: onnx.ModelProto) -> None:
    tensor = model.graph.initializer[0]
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="/etc/passwd")


def nested(model: onnx.ModelProto) -> None:
    node = model.graph.node[0]
    node.attribute.append(helper.make_attribute("body", helper.make_graph([], "inner", [], [])))


def function(model: onnx.ModelProto) -> None:
    model.functions.append(helper.make_function("", "F", ["a"], ["a"], [], [helper.make_opsetid("", 17)]))


def rename_input(model: onnx.ModelProto) -> None:
    model.graph.input[0].name = "x"
    model.graph.node[0].input[0] = "x"


def fix_height(model: onnx.ModelProto) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[2].dim_value = 64


def second_input(model: onnx.ModelProto) -> None:
    model.graph.input.append(helper.make_tensor_value_info("more", TensorProto.FLOAT, ["batch", 2, "y", "x"]))


def drop_valid(model: onnx.ModelProto) -> None:
    del model.graph.output[1]


def telling(names: tuple[str, ...] = ("dissimilarity", "density"), channels: int = 1, first: int = 0) -> bytes:
    """A graph of a bundle's outputs, and beside them as many of the two that say where it may be asked."""
    kinds = {"probability": TensorProto.FLOAT, "valid": TensorProto.UINT8, **dict.fromkeys(names, TensorProto.FLOAT)}
    wide = {"probability": 2, "valid": 1, **dict.fromkeys(names, channels)}
    nodes = [helper.make_node("Identity", ["dn"], ["probability"])]
    nodes.append(helper.make_node("Split", ["dn"], ["one", "other"], axis=1))
    nodes.append(helper.make_node("Cast", ["one"], ["valid"], to=TensorProto.UINT8))
    nodes += [helper.make_node("Identity", ["other" if channels == 1 else "dn"], [name]) for name in names]
    values = [helper.make_tensor_value_info(n, kinds[n], ["batch", wide[n], "y", "x"]) for n in kinds]
    source = helper.make_tensor_value_info("dn", TensorProto.FLOAT, ["batch", 2, "y", "x"])
    graph = helper.make_graph(nodes, "small", [source], values[first:] + values[:first])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return bytes(model.SerializeToString())


def other_type(model: onnx.ModelProto) -> None:
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.DOUBLE


def broken_wire(model: onnx.ModelProto) -> None:
    model.graph.node[1].input[0] = "nowhere"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (add_node("NonZero"), "operator :NonZero"),
        (add_node("Scan"), "operator :Scan"),
        (add_node("If", then_branch=helper.make_graph([], "t", [], [])), "operator :If"),
        (add_node("Add", domain="com.microsoft"), "operator com.microsoft:Add"),
        (add_node("SVMClassifier", domain="ai.onnx.ml"), "SVMClassifier"),
        (outside, "outside its own bytes"),
        (nested, "nests another one"),
        (function, "functions"),
        (lambda m: m.metadata_props.add(key="ort_config", value="{}"), "configure the runtime"),
        (rename_input, "signature"),
        (fix_height, "signature"),
        (second_input, "signature"),
        (drop_valid, "signature"),
        (other_type, "signature"),
        (broken_wire, "is not valid ONNX"),
    ],
)
def test_an_altered_graph_is_refused(change, reason):
    with pytest.raises(Refused, match=reason):
        Graph(altered(change))


def test_an_unaltered_one_runs_and_so_does_one_with_other_words_in_its_metadata():
    dn = np.full((1, 2, 2, 3), 1000, dtype=np.float32)
    for content in (CONTENT, altered(lambda m: m.metadata_props.add(key="note", value="hello"))):
        assert Graph(content).features(dn).shape == (1, 2, 2, 3)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 not a graph", CONTENT[:200], np.zeros(50).tobytes()])
def test_bytes_that_are_no_graph_are_refused_with_a_sentence(content):
    with pytest.raises(Refused, match="graph"):
        Graph(content)


def test_no_flipped_byte_ends_in_anything_but_a_refusal_or_a_graph():
    rng = np.random.default_rng(0)
    for position in rng.integers(0, len(CONTENT), 150):
        content = bytearray(CONTENT)
        content[position] ^= 1 << int(rng.integers(0, 8))
        try:
            Graph(bytes(content))
        except GeomlError:
            continue


def test_a_graph_beyond_the_limit_is_not_even_parsed(monkeypatch):
    monkeypatch.setattr(ort, "MAX_BYTES", len(CONTENT) - 1)
    with pytest.raises(TooLarge, match="the limit is"):
        Graph(CONTENT)


@pytest.mark.parametrize(
    "dn",
    [
        np.zeros((1, 2, 3, 3)),
        np.zeros((1, 3, 3, 3), dtype=np.float32),
        np.zeros((2, 3, 3), dtype=np.float32),
        np.zeros((1, 2, 0, 3), dtype=np.float32),
    ],
)
def test_arrays_of_another_shape_or_type_are_refused(dn):
    with pytest.raises(BadInput, match=r"float32 \[batch, 2, y, x\]"):
        Graph(CONTENT).features(dn)


def test_too_many_pixels_at_once_are_refused(monkeypatch):
    monkeypatch.setattr(ort, "MAX_PIXELS", 8)
    with pytest.raises(TooLarge, match="9 pixels at once"):
        Graph(CONTENT).features(np.zeros((1, 2, 3, 3), dtype=np.float32))


def test_a_feature_graph_gives_no_classes():
    with pytest.raises(BadInput, match="makes features of dn, not probability of dn"):
        Graph(CONTENT).run(np.zeros((1, 2, 3, 3), dtype=np.float32))


def test_a_graph_that_fails_while_it_runs_says_so():
    def misfit(model: onnx.ModelProto) -> None:
        for tensor in model.graph.initializer:
            if tensor.name == "c0":
                tensor.CopyFrom(numpy_helper.from_array(np.zeros(7, dtype=np.float32), "c0"))

    with pytest.raises(Refused):
        Graph(altered(misfit)).features(np.zeros((1, 2, 3, 3), dtype=np.float32))


def test_without_a_gpu_it_runs_on_the_cpu_and_says_so():
    assert Graph(CONTENT).provider == "CPUExecutionProvider"
    assert Graph(CONTENT, device="auto").provider in ("CPUExecutionProvider", "CUDAExecutionProvider")


def test_several_threads_may_share_one_graph():
    from concurrent.futures import ThreadPoolExecutor

    graph = Graph(CONTENT)
    inputs = [np.full((1, 2, 40, 40), 500 + i, dtype=np.float32) for i in range(16)]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(graph.features, inputs))
    assert all(np.array_equal(a, graph.features(b)) for a, b in zip(together, inputs, strict=True))


def test_bundles_may_say_where_they_may_be_asked_or_not():
    dn = np.array([1, 7], dtype=np.float32).reshape(1, 2, 1, 1)
    answer = Graph(telling()).run(dn)
    assert answer.dissimilarity is not None
    assert answer.density is not None
    assert (answer.dissimilarity.item(), answer.density.item()) == (7.0, 7.0)
    silent = Graph(telling(())).run(dn)
    assert (silent.dissimilarity, silent.density) == (None, None)
    assert silent.probability.tolist() == answer.probability.tolist()


@pytest.mark.parametrize(
    "content",
    [
        telling(("dissimilarity",)),
        telling(("density",)),
        telling(("dissimilarity", "density", "more")),
        telling(channels=2),
        telling(first=1),
        telling(first=2),
    ],
)
def test_half_of_what_a_bundle_says_or_another_order_or_width_is_refused(content):
    with pytest.raises(Refused, match="signature"):
        Graph(content)


def test_outputs_are_found_by_name_whatever_their_order():
    graph = Graph(telling(("density", "dissimilarity")))
    answer = graph.run(np.array([1, 7], dtype=np.float32).reshape(1, 2, 1, 1))
    assert answer.valid.all()
    assert graph.n_out == 2


def expanded(*sides: int) -> Callable[[onnx.ModelProto], None]:
    """Makes the features depend on an array of these sides, whatever is asked."""

    def change(model: onnx.ModelProto) -> None:
        graph = model.graph
        graph.initializer.append(numpy_helper.from_array(np.float32(0), "nought"))
        graph.initializer.append(numpy_helper.from_array(np.array(sides, np.int64), "sides"))
        graph.initializer.append(numpy_helper.from_array(np.arange(len(sides), dtype=np.int64), "axes"))
        graph.node.append(helper.make_node("Expand", ["nought", "sides"], ["large"]))
        graph.node.append(helper.make_node("ReduceSum", ["large", "axes"], ["small"], keepdims=0))
        for node in graph.node:
            node.output[:] = ["before" if name == "features" else name for name in node.output]
        graph.node.append(helper.make_node("Add", ["before", "small"], ["features"]))

    return change


def test_a_few_bytes_that_ask_for_a_great_array_are_refused_before_it_is_made():
    with pytest.raises(Refused, match="an array of 1099511627776 numbers whatever is asked; the limit is 67108864"):
        Graph(altered(expanded(2**20, 2**20)))
    dn = np.full((1, 2, 3, 3), 500.0, np.float32)
    found = Graph(altered(expanded(4, 5))).features(dn)
    np.testing.assert_array_equal(found, Graph(CONTENT).features(dn))


def test_arrays_multiplied_into_a_great_one_are_refused_too():
    def change(model):
        for name, shape in (("tall", (1, 1, 30_000, 1)), ("wide", (1, 1, 1, 30_000))):
            model.graph.initializer.append(numpy_helper.from_array(np.zeros(shape, np.float32), name))
        model.graph.node.append(helper.make_node("Add", ["tall", "wide"], ["large"]))

    with pytest.raises(Refused, match="an array of 900000000 numbers"):
        Graph(altered(change))


def test_a_graph_that_runs_too_long_is_ended_and_the_next_one_runs(monkeypatch):
    graph = Graph(slow())
    array = np.ones((1, 2, 256, 256), np.float32)
    monkeypatch.setattr(deadlines, "LOOK_S", 0.02)
    monkeypatch.setattr(ort, "RUN_S", 0.05)
    monkeypatch.setattr(ort, "PIXEL_S", 0.0)
    monkeypatch.setattr(ort, "_watch", deadlines.Deadlines())
    with pytest.raises(Refused, match="ran longer than 0 s and was ended"):
        graph.run(np.ones((40, 2, 512, 512), np.float32))
    monkeypatch.setattr(ort, "RUN_S", 60.0)
    assert graph.run(array).valid.all()


def slow() -> bytes:
    """A graph of a thousand steps over all pixels."""
    nodes = [helper.make_node("Exp", ["dn"], ["e0"])]
    nodes += [helper.make_node("Tanh" if i % 2 else "Sigmoid", [f"e{i}"], [f"e{i + 1}"]) for i in range(1000)]
    nodes.append(helper.make_node("Identity", ["e1000"], ["probability"]))
    nodes.append(helper.make_node("Split", ["e1000"], ["one", "other"], axis=1))
    nodes.append(helper.make_node("Round", ["one"], ["whole"]))
    nodes.append(helper.make_node("Abs", ["whole"], ["size"]))
    nodes.append(helper.make_node("Exp", ["size"], ["grown"]))
    nodes.append(helper.make_node("Cast", ["grown"], ["valid"], to=TensorProto.UINT8))
    values = [
        helper.make_tensor_value_info("probability", TensorProto.FLOAT, ["batch", 2, "y", "x"]),
        helper.make_tensor_value_info("valid", TensorProto.UINT8, ["batch", 1, "y", "x"]),
    ]
    source = helper.make_tensor_value_info("dn", TensorProto.FLOAT, ["batch", 2, "y", "x"])
    graph = helper.make_graph(nodes, "slow", [source], values)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return bytes(model.SerializeToString())
