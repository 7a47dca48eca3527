"""What a covariate is made of is part of what it is: other rules behind it, another covariate."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from geoml_ops.adapters import raster
from geoml_ops.adapters.nouns import Shelf
from geoml_ops.core.errors import BadInput
from geoml_ops.core.flow import Ancillary, Covariate, Scene, Version
from geoml_ops.domain.world import landscape
from geoml_ops.steps import train
from geoml_ops.steps.covariates import contract_with, make_covariates
from geoml_ops.steps.experiments import current_experiment
from geoml_ops.steps.features import reach_px
from geoml_ops.steps.made import covariate_file
from geoml_ops.steps.places import Places
from geoml_ops.steps.reads import rules_behind
from geoml_ops.steps.trace import impact
from tests.steps.test_covariates import write_elevation
from tests.versions import cube, keep_version, places_in

WORLD = landscape(90, 78, seed=4)
LAG = {"make": "lag", "of": ["NDVI"], "products": ["lag"]}
RELIEF = {"make": "terrain", "of": ["dem"], "products": ["slope"]}


@dataclasses.dataclass(frozen=True)
class Kept:
    places: Places
    version: Version
    scene: Scene


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Kept:
    home = tmp_path_factory.mktemp("lineage")
    places = places_in(home)
    version = keep_version(
        places,
        {"may": (cube(WORLD), WORLD.grid)},
        {"all": (WORLD.polygons, WORLD.labels, WORLD.grid.crs)},
        {"dem": write_elevation(home / "dem.tif")},
    )
    return Kept(places, version, Shelf(places.nouns).get(Scene, version.scenes[0]))


def asking(kept: Kept, covariates: Mapping[str, Any], features: tuple[str, ...] = ("B08",)) -> Places:
    content = json.loads(kept.places.experiment.read_text()) | {"features": features, "covariates": covariates}
    path = kept.places.experiment.with_name("changed.yaml")
    path.write_text(json.dumps(content))
    return dataclasses.replace(kept.places, experiment=path)


def made(kept: Kept, covariates: Mapping[str, Any]) -> dict[str, Covariate]:
    places = asking(kept, covariates)
    return {c.name: c for c in make_covariates(places, kept.version, current_experiment(places), kept.scene)}


def test_a_covariate_of_a_covariate_whose_rules_changed_is_made_again(kept: Kept) -> None:
    around = {"make": "lag", "of": ["first_lag"], "products": ["lag"]}
    one = made(kept, {"first": LAG, "around": around})
    other = made(kept, {"first": {**LAG, "of": ["NDWI"]}, "around": around})
    assert one["around"].covariates == (one["first"].id,)
    assert one["around"].rules == other["around"].rules
    assert one["around"].file.sha256 != other["around"].file.sha256
    assert made(kept, {"first": LAG, "around": around}) == one
    assert other["around"] in impact(kept.places, "may")


def test_a_model_carries_the_rules_behind_what_it_reads_and_no_others(kept: Kept) -> None:
    covariates = {"relief": RELIEF, "grain": {**LAG, "of": ["relief_slope"]}, "apart": LAG}
    places = asking(kept, covariates)
    experiment = current_experiment(places)
    whole = contract_with(places, experiment.sensor, experiment.covariates)
    assert list(rules_behind(experiment.covariates, ["grain_lag"], whole)) == ["relief", "grain"]
    assert rules_behind(experiment.covariates, ["B08"], whole) == {}


def test_the_reach_of_a_feature_adds_up_all_windows_behind_it(kept: Kept) -> None:
    covariates = {
        "wide": {"make": "lag", "of": ["mean(NDVI, 21)"], "products": ["lag"], "options": {"order": 2}},
        "around": {"make": "lag", "of": ["wide_lag"], "products": ["lag"]},
        "year": {"make": "season", "of": ["std(NDVI, 9)"], "products": ["mean"]},
    }
    reached = {
        feature: reach_px(places := asking(kept, covariates, (feature,)), current_experiment(places))
        for feature in ("B08", "wide_lag", "around_lag", "mean(around_lag, 3)", "year_mean")
    }
    # 10 of the mean, 2 and 1 of the lags, 1 of the window over them; 4 of the window in the season.
    assert list(reached.values()) == [0, 12, 13, 14, 4]


@pytest.mark.parametrize(
    ("covariates", "words"),
    [
        ({"c": {**LAG, "of": ["mean(NDVI, [3, 5])"]}}, "covariate c has a list in `of`"),
        ({"c": {"make": "season", "of": ["mean(NDVI, [3, 5])"], "products": ["mean"]}}, "has a list in `of`"),
        (
            {"relief": RELIEF, "c": {"make": "season", "of": ["relief_slope"], "products": ["mean"]}},
            "several days and cannot read relief_slope",
        ),
        ({"c": {**LAG, "of": ["dem"]}}, "dem: a raster, but lag reads"),
        ({"c": {**LAG, "of": ["c_lag"]}}, "no feature 'c_lag'"),
        ({"hügel": RELIEF}, "cannot be called 'hügel'"),
        ({"relief": {**RELIEF, "options": {"azimut": 3}}}, "azimut: Extra inputs .*use curvature, .*azimuth_degree"),
        ({"c": {"make": "texture", "of": ["B08"], "products": ["asm"],
                "options": {"low": 0, "high": 1, "window_px": 4}}},
         r"cannot be used: A texture window of 4 pixels cannot be used; give"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_refused_by_name(kept: Kept, covariates: Mapping[str, Any], words: str) -> None:
    with pytest.raises(BadInput, match=words):
        made(kept, covariates)


@pytest.mark.parametrize(("unit", "words"), [("ft", "dem is declared in ft"), ("", "dem is declared in no unit")])
def test_an_elevation_model_that_is_not_declared_in_metres_is_refused(kept: Kept, unit: str, words: str) -> None:
    shelf = Shelf(kept.places.nouns)
    feet = shelf.put(shelf.get(Ancillary, kept.version.ancillaries[0]).model_copy(update={"unit": unit}))
    version = kept.version.model_copy(update={"ancillaries": (feet.id,)})
    with pytest.raises(BadInput, match=words):
        made(Kept(kept.places, version, kept.scene), {"relief": RELIEF})


def test_an_elevation_model_of_other_ground_is_named_by_its_delivery(kept: Kept, tmp_path: Path) -> None:
    far = WORLD.grid.model_copy(update={"left": WORLD.grid.left + 200_000.0})
    path = tmp_path / "far.tif"
    raster.write_layers(path, np.zeros((1, *far.shape), dtype=np.float32), far, ["height"])
    places = places_in(tmp_path)
    version = keep_version(places, {"may": (cube(WORLD), WORLD.grid)}, {}, {"hills": path})
    scene = Shelf(places.nouns).get(Scene, version.scenes[0])
    with pytest.raises(BadInput, match="No pixel of hills with a number"):
        made(Kept(places, version, scene), {"relief": {**RELIEF, "of": ["hills"]}})


def test_a_refused_table_leaves_nothing_behind(kept: Kept) -> None:
    places = asking(kept, {}, ("NDVX",))
    before = sorted(path for path in places.workspace.rglob("*") if path.is_file())
    with pytest.raises(BadInput, match="NDVX"):
        train.tabulate(places, kept.version.id)
    assert sorted(path for path in places.workspace.rglob("*") if path.is_file()) == before


def test_the_same_covariate_has_the_same_bits_when_it_is_made_again(kept: Kept) -> None:
    one = made(kept, {"first": LAG})["first"]
    content = covariate_file(kept.places, one).read_bytes()
    covariate_file(kept.places, one).write_bytes(b"cut short")
    before = {path.name for path in kept.places.covariates.iterdir()}
    assert made(kept, {"first": LAG})["first"] == one
    assert covariate_file(kept.places, one).read_bytes() == content
    assert {path.name for path in kept.places.covariates.iterdir()} == before


def test_what_a_killed_process_left_is_swept_when_the_covariate_is_made(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    rules = {"killed": {**LAG, "of": ["B11"]}}
    half = []

    def killed(part: Path, *_: object) -> None:
        half.append(part.with_name(f".{part.stem}-1234.part.tif"))
        half[0].write_bytes(b"half")
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(raster, "write_layers", killed)
        with pytest.raises(KeyboardInterrupt):
            made(kept, rules)
    assert half[0].exists()
    made(kept, rules)
    assert not half[0].exists()
