"""What leaves with a map, by the command a person types and by the step that a schedule runs."""

from __future__ import annotations

import errno
import json
import shutil
import subprocess
import sys
from pathlib import Path

import geopandas
import numpy as np
import pytest
import rasterio

from geoml_ops.adapters.raster import read
from geoml_ops.adapters.registry import Release
from geoml_ops.core.errors import BadInput, StorageFull
from geoml_ops.platform.files import write_json
from geoml_ops.settings import Settings
from geoml_ops.steps.outputs import is_item, least_pixels
from geoml_ops.steps.pixels import pixel_of
from geoml_ops.steps.requests import chosen
from geoml_ops.verbs.classify import _writing
from tests.answering import COLOURS, TOP, WEST, write_bundle, write_raster
from tests.conftest import ROOT


@pytest.fixture
def machine(tmp_path: Path) -> dict[str, str]:
    """The environment of a machine on which a champion served last, and no registry answers."""
    workspace = tmp_path / "workspace"
    bundle = write_bundle(tmp_path / "bundle")
    places = Settings(workspace=workspace).places()
    shutil.copytree(tmp_path / "bundle", places.bundles / bundle.file.sha256)
    release = Release("landcover", 3, bundle.id, bundle.file.sha256)
    write_json(workspace / "service" / "champion.json", vars(release))
    return {"GEOML_WORKSPACE": str(workspace), "GEOML_TRACKING_URI": "http://127.0.0.1:9", "PATH": "/usr/bin:/bin"}


def geoml(machine: dict[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "geoml_ops.cli", *words], env=machine, capture_output=True, text=True, check=False
    )


def test_a_raster_becomes_a_map_with_its_table_outlines_and_item_without_any_server(
    machine: dict[str, str], tmp_path: Path
) -> None:
    truth = write_raster(tmp_path / "scene.tif")
    done = geoml(
        machine, "classify", str(tmp_path / "scene.tif"), "--out", str(tmp_path / "out" / "map.tif"),
        "--outlines", str(tmp_path / "out" / "map.gpkg"), "--mmu-ha", "0.5",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    noun = json.loads(done.stdout)
    assert noun["number"] == 3
    assert "landcover 3" in done.stderr
    assert "next: geoml trace" in done.stderr
    path = tmp_path / "out" / "map.tif"
    np.testing.assert_array_equal(read(path)[0], truth)
    item = json.loads((tmp_path / "out" / "map.json").read_text())
    assert set(item["assets"]) == {"map", "attributes", "outlines"}
    assert item["assets"]["map"]["file:checksum"] == "1220" + noun["map"]["sha256"]
    table = (tmp_path / "out" / "map.tif.aux.xml").read_text()
    assert "<F>green</F>" in table
    assert f"<F>{(truth == 1).sum()}</F>" in table, "pixels are counted, not estimated"
    outlines = geopandas.read_file(tmp_path / "out" / "map.gpkg")
    assert set(outlines["class"]) == {"bare", "green"}
    assert outlines["n_px"].min() >= 50
    assert outlines["n_px"].sum() == (truth != 255).sum()
    with rasterio.open(path) as source:
        assert "#{:02x}{:02x}{:02x}".format(*source.colormap(1)[1][:3]) == COLOURS[1]


def test_asked_again_it_gives_the_same_files(machine: dict[str, str], tmp_path: Path) -> None:
    write_raster(tmp_path / "scene.tif")
    found = []
    for name in ("a", "b"):
        done = geoml(machine, "classify", str(tmp_path / "scene.tif"), "-o", str(tmp_path / name / "map.tif"))
        assert done.returncode == 0, done.stderr
        found.append({p.name: p.read_bytes() for p in (tmp_path / name).iterdir()})
    assert found[0] == found[1]


def test_only_the_layers_that_were_asked_for(machine: dict[str, str], tmp_path: Path) -> None:
    write_raster(tmp_path / "scene.tif")
    done = geoml(machine, "classify", str(tmp_path / "scene.tif"), "-o", str(tmp_path / "map.tif"), "--layers", "class")
    assert done.returncode == 0, done.stderr
    with rasterio.open(tmp_path / "map.tif") as source:
        assert source.descriptions == ("class",)
    wrong = geoml(machine, "classify", str(tmp_path / "scene.tif"), "--layers", "class,colour")
    assert wrong.returncode == 1
    assert "colour" in wrong.stderr


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["classify", "nowhere.tif"], "no file nowhere.tif"),
        (["classify", "https://example.org/a.tif"], "not among the hosts"),
        (["classify", "file:///etc/passwd"], "fetched by https"),
        (["keys", "list"], "GEOML_KEYS"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(machine: dict[str, str], words: list[str], sentence: str) -> None:
    done = geoml(machine, *words)
    assert done.returncode == 1
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["-o", "scene.tif"], "take the place of the raster"),
        (["-o", "map.tif", "--outlines", "scene.tif"], "take the place of the raster"),
        (["-o", "map.tif", "--outlines", "./map.tif"], "would be one file"),
        (["-o", "map.json"], "map.json is called like something else"),
        (["-o", "map.png"], "map.png is called like something else"),
        (["-o", "mine"], "mine.json is there already and is no STAC item of a map"),
        (["-o", "folder"], "is a folder"),
        (["-o", "folder", "--url", "http://127.0.0.1:9"], "is a folder"),
        (["-o", "a-file/map.tif"], "Nothing can be written into"),
        (["-o", "map.tif", "--outlines", "map.shp"], "neither a GeoPackage nor"),
    ],
)
def test_a_place_that_cannot_be_written_is_said_before_the_work(
    machine: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], sentence: str
) -> None:
    write_raster(tmp_path / "scene.tif")
    before = (tmp_path / "scene.tif").read_bytes()
    (tmp_path / "folder").mkdir()
    (tmp_path / "a-file").touch()
    (tmp_path / "mine.json").write_text('{"notes": "of years"}')
    monkeypatch.chdir(tmp_path)
    done = geoml(machine | {"PYTHONPATH": str(ROOT)}, "classify", "scene.tif", *words)
    assert done.returncode == 1
    assert sentence in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
    assert (tmp_path / "scene.tif").read_bytes() == before
    assert not (tmp_path / "map.tif").exists()
    assert (tmp_path / "mine.json").read_text() == '{"notes": "of years"}'


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ('{"type": "Feature", "stac_version": "1.1.0", "id": "prediction-0123456789abcdef"}', True),
        ('{"type": "Feature", "stac_version": "1.1.0", "id": "S2A_T33UUU"}', False),
        ('{"type": "Feature", "id": "prediction-0123456789abcdef"}', False),
        ("[" * 100_000, False), ("[]", False), ("null", False), ("", False), ("\udcff", False),
    ],
)  # fmt: skip
def test_only_an_item_of_a_map_is_written_anew(tmp_path: Path, content: str, expected: bool) -> None:
    (tmp_path / "x.json").write_bytes(content.encode(errors="surrogateescape"))
    assert is_item(tmp_path / "x.json") is expected
    assert is_item(tmp_path / "nothing.json")
    (tmp_path / "folder.json").mkdir()
    assert not is_item(tmp_path / "folder.json")


@pytest.mark.parametrize(
    ("number", "kind", "sentence"),
    [(errno.ENOSPC, StorageFull, "No space left for map.tif"), (errno.EROFS, BadInput, "map.tif cannot be written")],
)
def test_what_the_system_says_of_a_file_becomes_a_sentence(
    number: int, kind: type[Exception], sentence: str, tmp_path: Path
) -> None:
    with pytest.raises(kind, match=sentence), _writing(tmp_path / "map.tif"):
        raise OSError(number, "said")


def test_outlines_of_which_nothing_is_left_are_a_file_without_polygons(machine: dict[str, str], tmp_path: Path) -> None:
    write_raster(tmp_path / "scene.tif")
    for ending in ("gpkg", "fgb"):
        path = tmp_path / f"map.{ending}"
        words = ["-o", str(tmp_path / "map.tif"), "--outlines", str(path), "--mmu-ha", "1e6"]
        done = geoml(machine, "classify", str(tmp_path / "scene.tif"), *words)
        assert done.returncode == 0, done.stderr
        assert "0 polygons" in done.stderr
        assert len(geopandas.read_file(path)) == 0


def test_a_key_is_shown_once_and_kept_as_a_digest(machine: dict[str, str], tmp_path: Path) -> None:
    machine["GEOML_KEYS"] = str(tmp_path / "keys.yaml")
    made = geoml(machine, "keys", "new", "forest", "--role", "reader", "--pixels-per-day", "1000")
    assert made.returncode == 0, made.stderr
    assert made.stdout.strip() not in (tmp_path / "keys.yaml").read_text()
    assert json.loads(geoml(machine, "keys", "list").stdout)["quota"]["pixels_per_day"] == 1000
    assert geoml(machine, "keys", "remove", "forest").returncode == 0
    assert geoml(machine, "keys", "list").stdout == ""


def test_a_minimum_mapping_unit_is_rounded_up_to_pixels() -> None:
    assert [least_pixels(ha, 10.0) for ha in (0.0, 0.001, 0.01, 0.0101, 1.0)] == [1, 1, 1, 2, 100]
    with pytest.raises(BadInput):
        least_pixels(float("nan"), 10.0)


def test_probabilities_of_every_class_are_there_where_they_are_asked_for(
    machine: dict[str, str], tmp_path: Path
) -> None:
    truth = write_raster(tmp_path / "scene.tif")
    path = tmp_path / "map.tif"
    done = geoml(machine, "classify", str(tmp_path / "scene.tif"), "-o", str(path), "--layers", "all,probabilities")
    assert done.returncode == 0, done.stderr
    with rasterio.open(path) as source:
        assert source.descriptions == ("class", "confidence", "probability_0", "probability_1")
        assert (source.tags(4)["CLASS"], source.tags(4)["UNIT"]) == ("green", "percent")
    classes, confidence, *shares = read(path)
    known = truth != 255
    np.testing.assert_array_equal(np.argmax(shares, axis=0)[known], classes[known])
    np.testing.assert_array_equal(np.max(shares, axis=0)[known], confidence[known])
    assert (np.sum(shares, axis=0, dtype=int)[known] == 100).all()
    assert {int(value) for layer in shares for value in layer[~known]} == {255}
    row, col = np.argwhere(known)[0]
    pixel = pixel_of(path, WEST + 10 * col + 5, TOP - 10 * row - 5)
    assert pixel.probabilities is not None
    assert next(iter(pixel.probabilities)) == pixel.name
    assert sum(pixel.probabilities.values()) == pytest.approx(1.0)


def test_choosing_twice_is_choosing_once(tmp_path: Path) -> None:
    bundle = write_bundle(tmp_path)
    for words in ((), ("class",), ("all",), ("all", "probabilities"), ("confidence", "probability_1")):
        once = chosen(bundle, words)
        assert chosen(bundle, once) == once
    assert chosen(bundle, ("all",)) == ()
