"""A stranger with numpy and onnxruntime reads a bundle by its metadata alone, and draws the platform's own map."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from geoml_ops.adapters.onnx import bundle_graph, feature_graph, head_graph
from geoml_ops.adapters.ort import Graph
from geoml_ops.core.bands import SENTINEL_2_L1C as CONTRACT
from geoml_ops.core.bands import Radiometry, to_contract
from geoml_ops.core.experiment import Experiment
from geoml_ops.domain.features import bands_needed
from geoml_ops.domain.fitting import fit
from geoml_ops.domain.tiling import classify_array
from geoml_ops.domain.world import landscape
from geoml_ops.steps.models import builder
from tests.versions import EXPERIMENT, cube

TEXTS = ("B11", "NDVI", "mean(NDVI, 5)", "std(B08, 3)")
CLASSES = ("built up", "Ackerland (Äcker)", "grass", "forest", "water")

#: What docs/publish.md tells about a bundle is all that this program knows; it imports nothing of the platform.
STRANGER = r"""
import json, sys
import numpy as np, onnxruntime
model, raster, said, out = sys.argv[1:]
session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
meta = session.get_modelmeta().custom_metadata_map
bands, classes, halo = (json.loads(meta[key]) for key in ("bands", "classes", "halo_px"))
contract = {band["name"]: band for band in json.loads(meta["contract"])["bands"]}
delivered, mine = np.load(raster), json.load(open(said))
layers = []
for name in bands:
    called = {name, contract[name]["common_name"], *contract[name]["aliases"]} - {""}
    (position,) = [i for i, word in enumerate(mine["bands"]) if word in called]
    rule = contract[name]["radiometry"] or json.loads(meta["radiometry"])
    assert rule["scale"] == mine["scale"]
    layer = delivered[position].astype(np.float32)
    layers.append(np.where(layer == mine["nodata"], np.nan, layer + (mine["offset_dn"] - rule["offset_dn"])))
dn = np.stack(layers).astype(np.float32)
edged = np.pad(dn, ((0, 0), (halo, halo), (halo, halo)), constant_values=np.nan)
height, width, step = *dn.shape[1:], 50
codes = np.full((height, width), 255, np.uint8)
for y in range(0, height, step):
    for x in range(0, width, step):
        tile = edged[:, y : min(y + step, height) + 2 * halo, x : min(x + step, width) + 2 * halo]
        probability, valid = session.run(["probability", "valid"], {"dn": tile[None]})
        inner = np.s_[halo : tile.shape[1] - halo, halo : tile.shape[2] - halo]
        found = np.where(valid[0, 0] == 1, probability[0].argmax(axis=0), 255)[inner]
        codes[y : y + found.shape[0], x : x + found.shape[1]] = found
assert not {"geoml_ops", "onnx", "sklearn", "pandas", "rasterio"} & {name.split(".")[0] for name in sys.modules}
np.save(out, codes)
print(json.dumps(classes))
"""


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("family", ["random_forest", "logistic_regression"])
def test_a_stranger_draws_the_same_map_from_the_file_alone(tmp_path: Path, family: str) -> None:
    world = landscape(132, 120, seed=7)
    needed = bands_needed(TEXTS, CONTRACT)
    contract = CONTRACT.subset(needed)
    raw = cube(world).astype(np.int64)
    raw[:, 30:33, :] = 0
    raw[CONTRACT.names.index("B08"), 80:90, 20:30] = 0
    later = np.where(raw > 0, raw + 1000, 0).astype(np.uint16)
    declared = Radiometry(scale=1e-4, offset_dn=-1000.0)
    dn = to_contract(later[[CONTRACT.names.index(name) for name in needed]], declared, contract)
    columns = Graph(feature_graph(TEXTS, contract)).features(dn[None])[0]
    row, col = np.nonzero(np.isfinite(columns).all(axis=0))
    drawn = np.random.default_rng(0).permutation(len(row))[:600]
    rows, codes = columns[:, row[drawn], col[drawn]].T, world.truth[row[drawn], col[drawn]].astype(np.int64)
    params = {"n_estimators": 15} if family == "random_forest" else {}
    experiment = Experiment.model_validate({**EXPERIMENT, "families": {family: params}}, strict=False)
    fitted = fit(builder(family, params, experiment), np.ascontiguousarray(rows), codes, len(CLASSES))
    content = bundle_graph(TEXTS, contract, head_graph(fitted.estimator, family, len(TEXTS)), CLASSES, {})
    graph = Graph(content)
    own = classify_array(dn, graph.run, 64, json.loads(graph.metadata["halo_px"]))

    # Delivered in another order, under common names where there are some, with a band that nobody asked for.
    backwards = list(reversed(contract.bands))
    names = ["qa", *(band.common_name or band.name for band in backwards)]
    layers = [later[0], *(later[CONTRACT.names.index(band.name)] for band in backwards)]
    (tmp_path / "model.onnx").write_bytes(content)
    np.save(tmp_path / "raster.npy", np.stack(layers))
    said = {"bands": names, "scale": 1e-4, "offset_dn": -1000.0, "nodata": 0}
    (tmp_path / "raster.json").write_text(json.dumps(said))
    (tmp_path / "stranger.py").write_text(STRANGER)
    files = [str(tmp_path / name) for name in ("stranger.py", "model.onnx", "raster.npy", "raster.json", "map.npy")]
    command = [sys.executable, "-I", *files]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == list(CLASSES)
    drawn_map = np.load(tmp_path / "map.npy")
    np.testing.assert_array_equal(drawn_map == 255, ~own.known)
    np.testing.assert_array_equal(drawn_map[own.known], own.classes[own.known])
    assert 0.5 < own.known.mean() < 1
    assert (drawn_map[own.known] == world.truth[own.known]).mean() > 0.8
