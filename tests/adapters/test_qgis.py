"""The keys that QGIS's plugin Deepness reads, read and used as it does: JSON values, numbers divided by 255."""

import json

import numpy as np
import onnx
import pytest
from sklearn.ensemble import RandomForestClassifier

from geoml_ops.adapters.onnx import bundle_graph, head_graph
from geoml_ops.adapters.onnx.qgis import TILE_PX, deepness
from geoml_ops.adapters.ort import Graph
from geoml_ops.core.bands import Contract, contract_for


def test_what_deepness_reads_is_what_the_graph_says():
    said = {
        key: json.loads(text)
        for key, text in deepness(30.0, 7, ("water", "forest"), ("probability", "valid"), 4).items()
    }
    assert said["model_type"].capitalize() == "Segmentor"
    assert (said["resolution"], said["tile_size"], said["seg_thresh"], said["seg_small_segment"]) == (
        3000.0,
        TILE_PX,
        0.0,
        0,
    )
    # Each output has a table of its own, numbered from 0 without a gap.
    tables = [sorted(table.items(), key=lambda item: int(item[0])) for table in said["class_names"]]
    assert [[name for _, name in table] for table in tables] == [["water", "forest"], ["no_answer"]]
    assert all([int(key) for key, _ in table] == list(range(len(table))) for table in tables)


@pytest.mark.parametrize(("halo_px", "percent"), [(0, 0), (1, 1), (4, 4), (64, 50), (500, 80)])
def test_tiles_overlap_by_the_halo_on_both_sides(halo_px, percent):
    assert json.loads(deepness(10.0, 1, ("a", "b"), ("probability",), halo_px)["tiles_overlap"]) == percent


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_the_graph_gets_the_numbers_of_the_raster(dtype):
    said = deepness(10.0, 2, ("a", "b"), ("probability",), 0)
    mean, std = (np.array(json.loads(said[f"standardization_{word}"]), dtype=np.float32) for word in ("mean", "std"))
    top = 255 if dtype == np.uint8 else 65535
    dn = np.arange(top + 1, dtype=dtype).reshape(-1, 1).repeat(2, axis=1)
    reached = (np.float32(dn * 1.0 / 255.0) - mean) / std
    assert np.abs(reached - dn.astype(np.float64)).max() <= top * 2.0**-22


def test_a_bundle_carries_the_keys_and_its_whole_contract():
    contract = contract_for("landsat-8-9-oli-tirs-c2-l2")
    rows = np.random.default_rng(0).uniform(0, 1, (60, 2)).astype(np.float32)
    model = RandomForestClassifier(3, max_depth=3, random_state=0).fit(rows, (rows[:, 0] > 0.5).astype(int))
    head = head_graph(model, "random_forest", 2)
    said = Graph(bundle_graph(("SR_B4", "ST_B10"), contract, head, ("a", "b"), {})).metadata
    again = Contract.model_validate_json(said["contract"])
    assert (again.names, again.radiometry_of("ST_B10")) == (("SR_B4", "ST_B10"), contract.radiometry_of("ST_B10"))
    assert again.order(contract.names) == (3, 7)
    wanted = deepness(30.0, 2, ("a", "b"), ("probability", "valid"), 0)
    assert {key: said[key] for key in wanted} == wanted


def test_metadata_are_text(tmp_path):
    model = onnx.ModelProto()
    for key, value in deepness(
        10.0, 2, ("Wald, dicht", "ü"), ("probability", "valid", "dissimilarity", "density"), 2
    ).items():
        entry = model.metadata_props.add()
        entry.key, entry.value = key, value
    again = onnx.ModelProto.FromString(model.SerializeToString())
    found = {entry.key: json.loads(entry.value) for entry in again.metadata_props}
    assert [len(table) for table in found["class_names"]] == [2, 1, 1, 1]
