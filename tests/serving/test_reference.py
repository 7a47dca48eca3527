"""The bundles that speeds are told for are the same bytes everywhere, and what their names promise."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import onnx
import pytest

from geoml_ops.adapters.registry import Release, open_bundle
from geoml_ops.steps.answering import load
from tests.benchmarks import reference as bundles


@pytest.mark.parametrize("name", bundles.NAMES)
def test_a_graph_that_changes_says_so(name: str) -> None:
    made = bundles._made(name, applicability=False)
    digest = hashlib.sha256(made.graph).hexdigest()
    assert digest == bundles.pinned()[name], f"figures of {name} before and after cannot be compared; pin {digest}"


@pytest.mark.parametrize("applicability", [False, True])
@pytest.mark.parametrize("name", bundles.NAMES)
def test_the_service_takes_it_from_its_folder(name: str, applicability: bool, tmp_path: Path) -> None:
    kept = bundles.reference(name, applicability=applicability)
    bundle = kept.write(tmp_path / kept.bundle.file.sha256)
    opened = open_bundle(tmp_path, bundle.file.sha256, bundle.id)
    model = load(opened, Release("reference", 1, bundle.id, bundle.file.sha256))
    assert (len(model.contract.names), len(bundle.features)) == (10, 10)
    assert model.contract.dtype == "uint16"
    answer = model.run(bundles.ground().astype(np.float32)[None, :, :64, :64])
    assert (answer.dissimilarity is not None) is applicability
    assert json.loads((tmp_path / bundle.file.sha256 / "reference.json").read_text())


def test_the_forest_is_a_forest_of_fifty_trees() -> None:
    nodes = onnx.load_model_from_string(bundles.reference("forest").graph).graph.node
    trees = [a for node in nodes if node.op_type == "TreeEnsembleRegressor" for a in node.attribute]
    ids = [a.ints for a in trees if a.name == "nodes_treeids"]
    assert sum(len(set(numbers)) for numbers in ids) == 50
    assert sum(len(numbers) for numbers in ids) > 20_000
