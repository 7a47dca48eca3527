"""The swap on generated ground, for real: a registry, a service of its own, the steps in between."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from geoml_ops.adapters import raster
from geoml_ops.adapters.nouns import Shelf
from geoml_ops.core.errors import GeomlError
from geoml_ops.core.flow import Judgement, Prediction
from geoml_ops.core.noun import Noun
from geoml_ops.demo import world
from geoml_ops.demo.progress import Facts
from geoml_ops.demo.report import html
from geoml_ops.demo.story import Story
from geoml_ops.settings import Settings


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo")


@pytest.fixture(scope="module")
def settings(mlflow_server: str, folder: Path) -> Settings:
    return Settings(workspace=folder / "real", tracking_uri=mlflow_server)


@pytest.fixture(scope="module")
def facts(settings: Settings, folder: Path) -> Facts:
    return world.show(settings, folder)


def test_the_better_model_takes_over_a_running_service(facts: Facts) -> None:
    assert (facts["first"]["outcome"], facts["better"]["outcome"]) == ("PROMOTE", "PROMOTE")
    assert [facts[name]["serves"] for name in ("first", "better")] == [1, 2]
    assert facts["better"]["swap"]["before"] == 1
    assert facts["better"]["swap"]["seen"], "the same processes answered before and after"
    assert facts["better"]["difference"] > 0.05
    assert facts["better"]["blocks"] >= 40


def test_what_is_served_comes_closer_to_the_truth(facts: Facts, folder: Path) -> None:
    before, after = (facts[name]["right"] for name in ("first", "better"))
    assert after["all"] > before["all"] + 0.1
    assert after["east"] > before["east"] + 0.2
    assert after["west"] > before["west"] - 0.03
    truth = world._ground().truth
    for name in ("first", "better", "worse"):
        codes = raster.read(folder / "world" / f"map-{name}.tif")[0]
        assert float(np.mean(codes == truth)) == pytest.approx(facts[name]["right"]["all"], abs=1e-4)


def test_the_worse_model_is_refused_and_nobody_who_asks_notices(facts: Facts, folder: Path) -> None:
    worse = facts["worse"]
    assert worse["outcome"] == "REJECT"
    assert worse["difference"] < -0.1
    assert (worse["number"], worse["serves"]) == (3, 2)
    maps = [raster.read(folder / "world" / f"map-{name}.tif") for name in ("better", "worse")]
    np.testing.assert_array_equal(*maps)


def test_every_fact_names_a_noun_of_its_own_workspace_and_the_real_one_stays_empty(
    facts: Facts, folder: Path, settings: Settings
) -> None:
    shelf = Shelf(folder / "world" / "nouns")
    for chapter in json.loads(json.dumps(facts)).values():
        assert isinstance(shelf.get(Judgement, chapter["judgement"]), Noun)
        assert shelf.any(chapter["entry"]).parents == (chapter["bundle"],)
        prediction = shelf.get(Prediction, chapter["prediction"])
        assert prediction.number == chapter["serves"]
        assert prediction.scenes
    assert not settings.workspace.exists()


def test_a_demo_killed_after_the_release_goes_on_with_the_same_nouns(
    facts: Facts, folder: Path, settings: Settings
) -> None:
    home = folder / "world"
    before = sorted(p.name for p in (home / "nouns").rglob("*.json"))
    (home / "progress.json").write_text(json.dumps({"first": facts["first"]}))
    again = world.show(settings, folder)
    assert sorted(p.name for p in (home / "nouns").rglob("*.json")) == before
    assert not again["better"]["swap"]["seen"], "this service never answered with the first model"
    for name in ("first", "better", "worse"):
        kept, found = ({k: v for k, v in f[name].items() if k not in ("seconds", "swap")} for f in (facts, again))
        assert found == kept


def test_the_report_tells_it(facts: Facts, folder: Path) -> None:
    told = world.tell(facts, folder)
    assert [t.judgement.outcome for t in told.trials] == ["PROMOTE", "PROMOTE", "REJECT"]
    assert len({p.png for p in told.pictures}) == 3
    assert all(p.png.startswith(b"\x89PNG") for p in told.pictures)
    page = html(Story(generated=told))
    assert f"{facts['better']['right']['all']:.1%}" in page
    assert "without a restart" in page
    assert "still answers with number 2" in page
    unseen = facts | {"better": facts["better"] | {"swap": facts["better"]["swap"] | {"seen": False}}}
    assert "without a restart" not in html(Story(generated=world.tell(unseen, folder)))


def test_a_verdict_that_the_truth_contradicts_ends_the_demo(
    facts: Facts, folder: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "world" / "progress.json").write_text(json.dumps({n: facts[n] for n in ("first", "better")}))
    monkeypatch.setattr(world, "_CRIPPLED", world._SOUND)
    with pytest.raises(GeomlError, match=r"the gate said PROMOTE of demo-world"):
        world.show(settings, folder)
