"""Items of models: a right one passes, and each way to break one is caught."""

import copy
from datetime import UTC, datetime

import pytest

from geoml_ops.adapters.mlm import check_model_item, model_item
from geoml_ops.core.bands import SENTINEL_2_L1C
from geoml_ops.core.errors import Refused
from geoml_ops.core.evidence import Applicability, Conformal, Score
from geoml_ops.core.flow import Bundle, Evaluation, Parity
from geoml_ops.core.noun import FileRef

FILE = FileRef(path="model.onnx", sha256="a" * 64, size=1234)
BUNDLE = Bundle(
    evaluation="evaluation-0000000000000000",
    version="version-0000000000000000",
    contract=SENTINEL_2_L1C.subset(("B04", "B08")),
    features=("NDVI",),
    classes=("built", "water"),
    colours=("#d7263d", "#2a6fbb"),
    halo_px=0,
    parity=Parity(rows={"clean": 5}, worst={"clean": 0.0}, n_label_mismatches=0, tolerance=1e-5, passed=True),
    file=FILE,
    reference=FILE,
)
SCORE = Score(value=0.6, low=0.5, high=0.7, n_blocks=16)
EVALUATION = Evaluation(
    table="table-0000000000000000",
    plan="plan-0000000000000000",
    optimism_plan="plan-0000000000000001",
    family="random_forest",
    params={"n_estimators": 60},
    estimand="this map",
    classes=("built", "water"),
    scores={"overall_accuracy": SCORE},
    optimism={"overall_accuracy": SCORE},
    per_class_f1={"built": 0.5, "water": 0.9},
    per_fold=(0.6, 0.6),
    confusion=((1, 2), (3, 4)),
    predictions=FILE,
)
FOOTPRINT = {"type": "Polygon", "coordinates": [[[13.0, 52.0], [13.2, 52.0], [13.2, 52.1], [13.0, 52.1], [13.0, 52.0]]]}


def item(bundle: Bundle = BUNDLE) -> dict:
    when = [datetime(2017, 2, 16, 10, 21, 1, tzinfo=UTC)]
    return model_item(bundle, EVALUATION, SENTINEL_2_L1C.subset(bundle.bands), FOOTPRINT, when)


def test_an_item_tells_what_goes_in_and_what_comes_out():
    said = item()["properties"]
    assert [band["name"] for band in said["mlm:input"][0]["bands"]] == ["B04", "B08"]
    assert said["mlm:input"][0]["input"]["shape"] == [-1, 2, -1, -1]
    probability = said["mlm:output"][0]
    assert [c["name"] for c in probability["classification:classes"]] == ["built", "water"]
    assert probability["classification:classes"][0]["color_hint"] == "d7263d"
    assert said["mlm:hyperparameters"] == {"n_estimators": 60}
    assert said["start_datetime"] == "2017-02-16T10:21:01Z"


AREA = Applicability(
    plan="plan-0000000000000000",
    definition="fence; v1",
    threshold=0.25,
    mean_distance=2.0,
    weights={"NDVI": 1.0},
    n_samples=100,
    n_references=40,
    mean_density=7.5,
    outside_share=0.05,
)
SETS = Conformal(
    plan="plan-0000000000000000",
    coverage=0.9,
    method="cross",
    quantiles={"built": 0.7, "water": 0.6},
    measured=SCORE,
    mean_set_size=1.2,
    low_blocks_share=0.1,
)


def test_an_item_tells_where_the_model_may_be_asked_and_what_its_sets_are_made_of():
    said = item(BUNDLE.model_copy(update={"applicability": AREA, "conformal": SETS}))["properties"]
    assert [entry["name"] for entry in said["mlm:output"]] == ["probability", "valid", "dissimilarity", "density"]
    far = said["mlm:output"][2]
    assert far["result"] == {
        "shape": [-1, 1, -1, -1],
        "dim_order": ["batch", "class", "height", "width"],
        "data_type": "float32",
    }
    assert "classification:classes" not in far
    assert "Above 0.25" in far["description"]
    assert "nearest of 40 references" in far["description"]
    assert said["geoml:applicability"]["threshold"] == 0.25
    assert said["geoml:conformal"]["quantiles"] == {"built": 0.7, "water": 0.6}


def test_an_item_of_a_bundle_that_says_neither_names_no_such_output():
    said = item()["properties"]
    assert [entry["name"] for entry in said["mlm:output"]] == ["probability", "valid"]
    assert not {"geoml:applicability", "geoml:conformal"} & set(said)


def test_an_item_follows_from_its_bundle_alone():
    assert item() == item()


BREAKS = {
    "no name": (lambda i: i["properties"].pop("mlm:name"), "mlm:name"),
    "no input": (lambda i: i["properties"].pop("mlm:input"), "mlm:input"),
    "unknown task": (lambda i: i["properties"].update({"mlm:tasks": ["guessing"]}), "guessing"),
    "invented field": (lambda i: i["properties"].update({"mlm:secret": 1}), "mlm:secret"),
    "shape of text": (lambda i: i["properties"]["mlm:input"][0]["input"].update(shape=["a"]), "shape"),
    "no artifact type": (lambda i: i["assets"]["model"].pop("mlm:artifact_type"), "mlm:artifact_type"),
    "band nobody describes": (lambda i: i["assets"]["model"]["bands"].pop(), "B08"),
    "extension not named": (lambda i: i.update(stac_extensions=[]), "stac_extensions"),
    "no geometry": (lambda i: i.pop("geometry"), "geometry"),
    "from scratch but silent": (lambda i: i["properties"].pop("mlm:pretrained_source"), "mlm:pretrained_source"),
}


@pytest.mark.parametrize("name", BREAKS)
def test_a_broken_item_is_refused(name):
    change, word = BREAKS[name]
    broken = copy.deepcopy(item())
    change(broken)
    with pytest.raises(Refused, match=word):
        check_model_item(broken)


def test_names_that_stac_cannot_hold_become_plain_ones_beside_their_own():
    names = ("built up", "Wälder & Forste", "water")
    bundle = BUNDLE.model_copy(update={"classes": names, "colours": ("#d7263d", "#1b5e20", "#2a6fbb")})
    evaluation = EVALUATION.model_copy(
        update={"family": "Best (v2) Wälder!", "params": {"family": "random_forest", "n_estimators": 60}}
    )
    when = [datetime(2017, 2, 16, 10, 21, 1, tzinfo=UTC)]
    said = model_item(bundle, evaluation, SENTINEL_2_L1C.subset(bundle.bands), FOOTPRINT, when)["properties"]
    legend = said["mlm:output"][0]["classification:classes"]
    assert [entry["name"] for entry in legend] == ["built_up", "Walder_Forste", "water"]
    assert [entry["title"] for entry in legend] == list(names)
    assert said["mlm:name"] == "sentinel-2-l1c Best_v2_Walder"
    assert said["mlm:architecture"] == "random forest"
