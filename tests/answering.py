"""Small bundles and rasters whose right answer is known: class 1 where B08 exceeds B04, else class 0."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from geoml_ops.adapters.ort import Graph
from geoml_ops.adapters.raster import write_scene
from geoml_ops.core.bands import SENTINEL_2_L1C, Radiometry
from geoml_ops.core.evidence import Applicability, Conformal, Score
from geoml_ops.core.flow import Bundle, Parity
from geoml_ops.core.grid import Grid
from geoml_ops.core.noun import FileRef
from geoml_ops.domain.swap import Golden, decode, encode
from geoml_ops.platform.files import sha256_of
from geoml_ops.steps.golden import golden_tiles

CLASSES, COLOURS, BANDS = ("bare", "green"), ("#a0522d", "#228b22"), ("B02", "B03", "B04", "B08")
DECLARED = Radiometry(scale=1e-4, offset_dn=0.0, nodata=0.0)
WEST, TOP = 389940.0, 5830040.0


#: A pixel is as dissimilar as its B02 is bright, and outside where that is above 800.
APPLICABILITY = Applicability(
    plan="plan-00000000000000aa",
    definition="B02 / 1000, version 1",
    threshold=0.8005,
    mean_distance=1.0,
    weights={"B02": 1.0},
    n_samples=100,
    n_references=100,
    mean_density=50.0,
    outside_share=0.05,
)
#: Bare belongs to a set from a probability of 0.3 on, green from 0.05 on.
CONFORMAL = Conformal(
    plan="plan-00000000000000aa",
    coverage=0.9,
    method="split-conformal, made up",
    quantiles={"bare": 0.7, "green": 0.95},
    measured=Score(value=0.91, low=0.87, high=0.95, n_blocks=30),
    mean_set_size=1.4,
    low_blocks_share=0.1,
)


def graph(steepness: float = 0.01, *, says_how_far: bool = False) -> bytes:
    """A bundle graph of the house's signature: green = sigmoid(steepness * (B08 - B04)), NaN is no answer.

    One that says how far also answers dissimilarity B02 / 1000, and a density of as many samples as B02 is below 800.
    """
    pixels = ["batch", None, "y", "x"]
    numbers = {
        "weights": np.array([0, 0, -steepness, steepness], np.float32).reshape(1, 4, 1, 1),
        "one": np.array(1, np.float32),
        "zero": np.array(0, np.float32),
        "axis": np.array([1], np.int64),
    }
    nodes = [
        helper.make_node("ReduceSum", ["dn", "axis"], ["all"], keepdims=1),
        helper.make_node("Sub", ["all", "all"], ["nought"]),
        helper.make_node("Abs", ["nought"], ["size"]),
        helper.make_node("Less", ["size", "one"], ["seen"]),
        helper.make_node("Cast", ["seen"], ["valid"], to=TensorProto.UINT8),
        helper.make_node("Mul", ["dn", "weights"], ["parts"]),
        helper.make_node("ReduceSum", ["parts", "axis"], ["score"], keepdims=1),
        helper.make_node("Sigmoid", ["score"], ["green"]),
        helper.make_node("Sub", ["one", "green"], ["bare"]),
        helper.make_node("Concat", ["bare", "green"], ["both"], axis=1),
        helper.make_node("Where", ["seen", "both", "zero"], ["probability"]),
    ]
    outputs = ["dissimilarity", "density"] if says_how_far else []
    if says_how_far:
        numbers |= {
            "blue": np.array([1e-3, 0, 0, 0], np.float32).reshape(1, 4, 1, 1),
            "bound": np.array(0.8, np.float32),
            "thousand": np.array(1000, np.float32),
            "nothing": np.array(np.nan, np.float32),
        }
        nodes += [
            helper.make_node("Mul", ["dn", "blue"], ["blues"]),
            helper.make_node("ReduceSum", ["blues", "axis"], ["far"], keepdims=1),
            helper.make_node("Where", ["seen", "far", "nothing"], ["dissimilarity"]),
            helper.make_node("Sub", ["bound", "far"], ["left"]),
            helper.make_node("Mul", ["left", "thousand"], ["below"]),
            helper.make_node("Clip", ["below", "zero"], ["near"]),
            helper.make_node("Where", ["seen", "near", "nothing"], ["density"]),
        ]
    shape = lambda n: [n if s is None else s for s in pixels]  # noqa: E731
    body = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("dn", TensorProto.FLOAT, shape(4))],
        [
            helper.make_tensor_value_info("probability", TensorProto.FLOAT, shape(2)),
            helper.make_tensor_value_info("valid", TensorProto.UINT8, shape(1)),
            *[helper.make_tensor_value_info(name, TensorProto.FLOAT, shape(1)) for name in outputs],
        ],
        [numpy_helper.from_array(value, name) for name, value in numbers.items()],
    )
    model = helper.make_model(body, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString(deterministic=True))


def write_bundle(
    folder: Path,
    steepness: float = 0.01,
    evaluation: str = "evaluation-00000000000000aa",
    *,
    applicability: Applicability | None = None,
    conformal: Conformal | None = None,
    golden: Literal["right", "wrong", "none"] = "right",
) -> Bundle:
    """Writes the files of a registered bundle into ``folder`` and returns its noun.

    Golden tiles that are wrong expect the answer of the other class, and their digest is right; bundles of before
    they were kept have none.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.onnx").write_bytes(graph(steepness, says_how_far=applicability is not None))
    if golden != "none":
        (folder / "golden.tiles").write_bytes(golden_of((folder / "model.onnx").read_bytes(), wrong=golden == "wrong"))
    (folder / "reference.json").write_text(json.dumps({"B04:mean": [1000.0, 1100.0], "n_px": [16384.0, 16384.0]}))
    bundle = Bundle(
        evaluation=evaluation,
        version="version-00000000000000aa",
        contract=SENTINEL_2_L1C.subset(BANDS).model_copy(update={"radiometry": DECLARED}),
        features=BANDS,
        classes=CLASSES,
        colours=COLOURS,
        halo_px=0,
        applicability=applicability,
        conformal=conformal,
        parity=Parity(rows={"clean": 1}, worst={"clean": 0.0}, n_label_mismatches=0, tolerance=1e-5, passed=True),
        file=_ref(folder / "model.onnx"),
        reference=_ref(folder / "reference.json"),
        golden=None if golden == "none" else _ref(folder / "golden.tiles"),
    )
    (folder / "bundle.json").write_text(json.dumps(bundle.as_json()))
    return bundle


def golden_of(content: bytes, *, wrong: bool = False) -> bytes:
    """Returns golden tiles of a small graph on the world's ground; wrong ones have the classes exchanged."""
    names = SENTINEL_2_L1C.names
    dn = world()[0][[names.index(name) for name in BANDS]].astype(np.float32)
    grounds = [dn[:, row : row + 64, col : col + 64] for row, col in ((40, 60), (120, 200), (200, 300))]
    made = golden_tiles(grounds, Graph(content), 0)
    return encode(wrong_golden(decode(made))) if wrong else made


def wrong_golden(known: Golden) -> Golden:
    """Returns golden tiles that expect other classes in another order."""
    tiles = tuple(replace(tile, probability=np.ascontiguousarray(tile.probability[::-1])) for tile in known.tiles)
    return Golden(tiles, known.core_px, known.halo_px, known.step)


def publish(tracking_uri: str, model: str, folder: Path, bundle: Bundle, *, alias: str | None = "champion") -> int:
    """Registers the files of ``folder`` as MLflow itself would, and returns the version number."""
    import mlflow
    from mlflow import MlflowClient

    mlflow.set_tracking_uri(tracking_uri)
    client = MlflowClient(tracking_uri)
    if not client.search_registered_models(f"name = '{model}'"):
        client.create_registered_model(model)
    experiment = client.get_experiment_by_name("serving") or client.get_experiment(client.create_experiment("serving"))
    run = client.create_run(experiment.experiment_id)
    client.log_artifacts(run.info.run_id, str(folder), "bundle")
    client.set_terminated(run.info.run_id)
    tags = {"geoml.id": bundle.id, "geoml.graph_sha256": bundle.file.sha256}
    source = f"{run.info.artifact_uri}/bundle"
    version = client.create_model_version(model, source, run_id=run.info.run_id, tags=tags)
    if alias:
        client.set_registered_model_alias(model, alias, version.version)
    return int(version.version)


def world(height: int = 300, width: int = 400, seed: int = 0) -> tuple[NDArray[np.uint16], NDArray[np.uint8], Grid]:
    """Returns 13 bands of DN, the true classes (255 where not observed) and the grid."""
    rng = np.random.default_rng(seed)
    blobs = rng.integers(0, 2, (height // 25 + 1, width // 25 + 1)).repeat(25, 0).repeat(25, 1)[:height, :width]
    dn = rng.integers(600, 900, (13, height, width)).astype(np.uint16)
    names = SENTINEL_2_L1C.names
    dn[names.index("B08")] += (blobs * 2000).astype(np.uint16)
    dn[names.index("B04")] += ((1 - blobs) * 1500).astype(np.uint16)
    truth = blobs.astype(np.uint8)
    dn[:, :20, :30] = 0
    truth[:20, :30] = 255
    return dn, truth, Grid(crs="EPSG:32633", left=WEST, top=TOP, pixel_m=10.0, width=width, height=height)


def write_raster(path: Path, seed: int = 0, **tags: str) -> NDArray[np.uint8]:
    """Writes the world as a scene file and returns the true classes."""
    dn, truth, grid = world(seed=seed)
    write_scene(path, dn, grid, SENTINEL_2_L1C, DECLARED, tags)
    return truth


def _ref(path: Path) -> FileRef:
    return FileRef(path=path.name, sha256=sha256_of(path), size=path.stat().st_size)
