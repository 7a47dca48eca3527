"""The pass of a raster through a model: whatever the machine does, the same bytes, within a budget."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from geoml_ops.adapters import cog, raster
from geoml_ops.adapters.cog import MapJournal, MapLayout
from geoml_ops.adapters.nouns import Shelf
from geoml_ops.adapters.predictions import MAP, PICTURE, SKETCHES, PredictionLog
from geoml_ops.core.bands import to_contract
from geoml_ops.core.errors import BadInput, Cancelled
from geoml_ops.core.flow import Prediction
from geoml_ops.core.grid import Grid
from geoml_ops.domain.sketch import sketch_tiles
from geoml_ops.domain.tiling import classify_array
from geoml_ops.platform.files import read_json, sha256_of, write_json
from geoml_ops.settings import CHECKOUT, Settings
from geoml_ops.steps import requests
from geoml_ops.steps.answering import Model
from geoml_ops.steps.classify import BATCH_LIMITS, SKETCH_PX, classify
from geoml_ops.steps.findings import MOST_TILES, Findings, Tiles
from geoml_ops.steps.mapping import Budget, Mapper, lattice_of, plan_pass, run_pass
from geoml_ops.steps.places import Places
from geoml_ops.steps.thinning import PICTURE_PX
from tests.answering import APPLICABILITY, BANDS, CONFORMAL, DECLARED
from tests.looking import looking_model
from tests.steps.test_classify import loaded

FULL = os.environ.get("GEOML_FULL") == "1"
LAYOUTS: dict[str, dict[str, Any]] = {
    "tiled 256": {"tiled": True, "blockxsize": 256, "blockysize": 256, "interleave": "band"},
    "tiled 512, by pixel": {"tiled": True, "blockxsize": 512, "blockysize": 512, "interleave": "pixel"},
    "strips": {"tiled": False, "blockysize": 7, "interleave": "band"},
    "strips, by pixel": {"tiled": False, "blockysize": 1, "interleave": "pixel"},
    "odd tiles": {"tiled": True, "blockxsize": 272, "blockysize": 144, "interleave": "band"},
}


def places_at(folder: Path) -> Places:
    return Settings(workspace=folder).places()


def ground(height: int, width: int, seed: int = 0) -> NDArray[np.uint16]:
    """Four bands of fields of 25 px, red or near infrared brighter, and a stripe that was not observed."""
    rng = np.random.default_rng(seed)
    fields = rng.integers(0, 2, (height // 25 + 1, width // 25 + 1)).repeat(25, 0).repeat(25, 1)[:height, :width]
    dn = rng.integers(600, 900, (len(BANDS), height, width)).astype(np.uint16)
    dn[3] += (fields * 900).astype(np.uint16)
    dn[2] += ((1 - fields) * 700).astype(np.uint16)
    dn[:, : height // 3, : width // 4] = 0
    return dn


def grid_of(height: int, width: int) -> Grid:
    return Grid(crs="EPSG:32633", left=389_940.0, top=5_830_040.0, pixel_m=10.0, width=width, height=height)


def write(path: Path, dn: NDArray[np.uint16], **layout: Any) -> Path:
    _, height, width = dn.shape
    profile = {
        "driver": "GTiff", "count": len(dn), "dtype": "uint16", "nodata": 0, "crs": "EPSG:32633", "width": width,
        "height": height, "transform": rasterio.Affine(*grid_of(height, width).transform), "compress": "lzw",
    }  # fmt: skip
    with rasterio.open(path, "w", **profile, **layout) as target:
        target.write(dn)
        target.descriptions = BANDS
        target.scales, target.offsets = [DECLARED.scale] * len(dn), [0.0] * len(dn)
    return path


def expected(dn: NDArray[np.uint16], model: Model) -> NDArray[np.uint8]:
    """What the whole array says at once."""
    numbers = to_contract(dn, DECLARED, model.contract)
    layers = classify_array(numbers, model.run, lattice=lattice_of(model.bundle))
    return np.stack(list(cog.bands_of(layers).values()))


def mapped(path: Path, model: Model, folder: Path, block_px: int, budget: Budget) -> NDArray[np.uint8]:
    """The map of a raster that is cut into blocks of any size."""
    request = requests.described(places_at(folder / "w"), path, model, "", raster.LIMITS, ())
    bundle = model.bundle
    layout = MapLayout(request.source.grid, request.layout.bands, bundle.classes, bundle.colours, block_px)
    plan = plan_pass(request.source, bundle, layout, budget)
    with MapJournal(folder / "journal", f"{block_px}-{budget}", layout) as journal:
        mapper = Mapper(request.source, bundle, model.run, layout, remembered_bytes=plan.remembered_bytes)
        run_pass(journal, mapper, plan, Findings(bundle))
        journal.finish(folder / "map.tif", {})
        journal.discard()
    return raster.read(folder / "map.tif")


def files_of(places: Places, prediction: Prediction) -> dict[str, str]:
    home = PredictionLog(places.predictions).home(prediction.id)
    return {name: sha256_of(home / name) for name in (MAP, SKETCHES, PICTURE)}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Model]:
    folder = tmp_path_factory.mktemp("models")
    return {
        "plain": looking_model(folder / "plain", 0),
        "looking": looking_model(folder / "looking", 4),
        "overlapping": looking_model(folder / "overlapping", 6, overlap_px=24, tile_minded=0.2),
    }


# --- the same pixels, however they are cut ---------------------------------------------------


@settings(deadline=None, max_examples=60 if FULL else 14)
@given(
    kind=st.sampled_from(["plain", "looking", "overlapping"]),
    shape=st.tuples(st.integers(1, 400), st.integers(1, 400)),
    layout=st.sampled_from(sorted(LAYOUTS)),
    block_px=st.sampled_from([128, 256, 512]),
    budget=st.builds(Budget, st.sampled_from([1.0, 8.0, 1024.0]), st.integers(1, 4)),
)
def test_any_cut_says_what_the_whole_array_says(
    models: dict[str, Model], tmp_path_factory: pytest.TempPathFactory, kind: str, shape: tuple[int, int],
    layout: str, block_px: int, budget: Budget,
) -> None:  # fmt: skip
    folder, dn = tmp_path_factory.mktemp("cut"), ground(*shape)
    if not dn.any():
        dn[:] = 700
    path = write(folder / "scene.tif", dn, **LAYOUTS[layout])
    found = mapped(path, models[kind], folder, block_px, budget)
    np.testing.assert_array_equal(found, expected(dn, models[kind]))


@pytest.mark.parametrize("shape", [(1, 1), (1, 700), (600, 1), (513, 511)])
def test_small_and_narrow_rasters_are_whole(models: dict[str, Model], tmp_path: Path, shape: tuple[int, int]) -> None:
    dn = np.maximum(ground(*shape), 1)
    for kind, model in models.items():
        path = write(tmp_path / f"{kind}.tif", dn)
        places = places_at(tmp_path / kind)
        prediction = classify(places, path, model)
        found = raster.read(PredictionLog(places.predictions).home(prediction.id) / MAP)
        np.testing.assert_array_equal(found, expected(dn, model))
        assert prediction.valid_share == 1.0


def test_every_layout_budget_and_number_of_threads_gives_the_same_map(models: dict[str, Model], tmp_path: Path) -> None:
    dn = ground(700, 1100)
    for kind, model in models.items():
        said: set[str] = set()
        sketches: set[str] = set()
        for number, (memory_mb, threads) in enumerate([(64.0, 1), (64.0, 3), (1024.0, 2)]):
            places = places_at(tmp_path / f"{kind}-{number}")
            path = write(tmp_path / "scene.tif", dn)
            files = files_of(places, classify(places, path, model, memory_mb=memory_mb, threads=threads))
            said.add(json.dumps(files))
        assert len(said) == 1
        for name, layout in LAYOUTS.items():
            places = places_at(tmp_path / f"{kind}-{name}")
            path = write(tmp_path / "scene.tif", dn, **layout)
            prediction = classify(places, path, model, memory_mb=64.0 if "strips" in name else 512.0)
            sketches.add(files_of(places, prediction)[SKETCHES] + files_of(places, prediction)[PICTURE])
            found = raster.read(PredictionLog(places.predictions).home(prediction.id) / MAP)
            np.testing.assert_array_equal(found, expected(dn, model))
        assert len(sketches) == 1


# --- what is said of a map -------------------------------------------------------------------


def test_statistics_are_those_of_the_whole_map(tmp_path: Path) -> None:
    places = places_at(tmp_path / "w")
    model = loaded(places, 0.001, applicability=APPLICABILITY, conformal=CONFORMAL)
    dn = ground(1100, 900)
    prediction = classify(places, write(tmp_path / "scene.tif", dn), model)
    home = PredictionLog(places.predictions).home(prediction.id)
    band = dict(zip(raster.describe(home / MAP).names, raster.read(home / MAP), strict=True))
    known = band["class"] != 255
    assert prediction.valid_share == pytest.approx(known.mean(), abs=1e-6)
    assert prediction.class_shares["green"] == pytest.approx((band["class"][known] == 1).mean(), abs=1e-6)
    assert prediction.mean_set_size == pytest.approx(band["set_size"][known].mean(), abs=1e-6)
    assert prediction.outside_share == pytest.approx((band["dissimilarity"][known] > 100).mean(), abs=1e-6)
    assert prediction.mean_confidence == pytest.approx(band["confidence"][known].mean() / 100, abs=0.005)
    numbers = to_contract(dn, DECLARED, model.contract)
    confidence = np.where(known, 0.5, np.nan).astype(np.float32)
    whole = sketch_tiles(
        numbers, BANDS, grid_of(1100, 900), SKETCH_PX, classes=band["class"], confidence=confidence,
        class_names=model.bundle.classes,
    )  # fmt: skip
    found = read_json(home / SKETCHES)
    assert set(found) == {*whole, "outside_share"}
    for name, column in whole.items():
        if name != "confidence":
            assert found[name] == column, name


def test_a_huge_raster_keeps_a_bounded_number_of_tiles_spread_evenly() -> None:
    grid = grid_of(40_000, 90_000)
    tiles = Tiles.of(grid)
    assert tiles.kept is not None
    assert len(tiles.kept) == MOST_TILES
    rows, cols = (np.array(part) for part in zip(*sorted(tiles.kept), strict=True))
    counts, _, _ = np.histogram2d(rows, cols, bins=(8, 8), range=((0, 313), (0, 704)))
    assert counts.min() > 0.8 * MOST_TILES / 64
    assert counts.max() < 1.2 * MOST_TILES / 64
    small = Tiles.of(grid_of(600, 600))
    assert small.kept is None
    window = next(w for w in grid_of(600, 600).tiles(512) if w.col == 512)
    assert small.within(window) == [(0, 4), (1, 4), (2, 4), (3, 4)]


def test_a_picture_is_every_nth_pixel_of_the_raster(models: dict[str, Model], tmp_path: Path) -> None:
    dn = np.maximum(ground(60, 2 * PICTURE_PX + 90), 1)
    places = places_at(tmp_path / "w")
    prediction = classify(places, write(tmp_path / "scene.tif", dn), models["plain"])
    with rasterio.open(PredictionLog(places.predictions).home(prediction.id) / PICTURE) as source:
        assert (source.height, source.width) == (20, -(-dn.shape[2] // 3))
        red = source.read(1)
    thinned = dn[BANDS.index("B04"), ::3, ::3].astype(float)
    order = np.argsort(thinned.ravel(), kind="stable")
    assert (np.diff(red.ravel()[order].astype(int)) >= 0).all(), "brighter ground is no darker in the picture"


@pytest.mark.parametrize(
    ("asked", "bands"),
    [
        (("class",), ("class",)),
        (("confidence", "class"), ("class", "confidence")),
        (("applicability",), ("class", "dissimilarity", "density")),
        (("sets", "confidence"), ("class", "confidence", "set_size", "set_1")),
        (
            ("sets", "confidence", "applicability"),
            ("class", "confidence", "set_size", "dissimilarity", "density", "set_1"),
        ),
    ],
)  # fmt: skip
def test_a_map_has_the_layers_that_were_asked_for(tmp_path: Path, asked: Sequence[str], bands: Sequence[str]) -> None:
    places = places_at(tmp_path / "w")
    model = loaded(places, 0.001, applicability=APPLICABILITY, conformal=CONFORMAL)
    path = write(tmp_path / "scene.tif", ground(300, 200))
    whole, part = classify(places, path, model), classify(places, path, model, layers=tuple(asked))
    log = PredictionLog(places.predictions)
    assert (part.id == whole.id) == (len(bands) == 6)
    assert raster.describe(log.home(part.id) / MAP).names == tuple(bands)
    names = raster.describe(log.home(whole.id) / MAP).names
    everything = raster.read(log.home(whole.id) / MAP)
    np.testing.assert_array_equal(
        raster.read(log.home(part.id) / MAP), everything[[names.index(name) for name in bands]]
    )
    with pytest.raises(BadInput, match="no layer 'colour'"):
        classify(places, path, model, layers=("colour",))


def test_a_model_that_knows_only_classes_has_no_sets_to_ask_for(models: dict[str, Model], tmp_path: Path) -> None:
    path = write(tmp_path / "scene.tif", ground(100, 100))
    with pytest.raises(BadInput, match="class, confidence"):
        classify(places_at(tmp_path / "w"), path, models["plain"], layers=("sets",))


# --- stopped, killed, asked twice ------------------------------------------------------------


def test_cancelled_between_blocks_it_goes_on_to_the_same_bytes(models: dict[str, Model], tmp_path: Path) -> None:
    path = write(tmp_path / "scene.tif", ground(1300, 1700))
    first = classify(places_at(tmp_path / "once"), path, models["looking"])
    places, asked, steps = places_at(tmp_path / "again"), [0], list[tuple[int, int]]()

    def enough() -> bool:
        asked[0] += 1
        return asked[0] > 6

    with pytest.raises(Cancelled):
        classify(places, path, models["looking"], cancelled=enough, progress=lambda *step: steps.append(step))
    assert 0 < len(steps) < 12
    assert not list(Shelf(places.nouns).all(Prediction))
    assert not (PredictionLog(places.predictions).home(first.id) / MAP).exists()
    done = len(steps)
    again = classify(places, path, models["looking"], progress=lambda *step: steps.append(step))
    assert again == first
    assert files_of(places, again) == files_of(places_at(tmp_path / "once"), first)
    assert len(steps) == 12, f"{done} blocks were done before"
    assert steps[-1] == (1300 * 1700, 1300 * 1700)
    assert not list((places.workspace / "service" / "journals").iterdir())


def test_what_was_not_observed_is_not_asked_about(models: dict[str, Model], tmp_path: Path) -> None:
    dn = np.zeros((len(BANDS), 1100, 1100), np.uint16)
    dn[:, 600:700, 30:60] = ground(100, 30, seed=3) + 1
    asked: list[tuple[int, ...]] = []
    plain = models["plain"]

    def run(numbers: NDArray[np.float32]) -> Any:
        asked.append(numbers.shape)
        return plain.run(numbers)

    prediction = classify(
        places_at(tmp_path / "w"), write(tmp_path / "a.tif", dn), Model(plain.bundle, plain.release, run)
    )
    assert len(asked) == 2
    assert prediction.valid_share == pytest.approx(3000 / 1100**2, abs=1e-6)


def test_two_that_ask_for_the_same_get_one_answer(models: dict[str, Model], tmp_path: Path) -> None:
    path, places = write(tmp_path / "scene.tif", ground(900, 900)), places_at(tmp_path / "w")
    answers: list[Prediction] = []
    threads = [
        threading.Thread(target=lambda: answers.append(classify(places, path, models["looking"]))) for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({answer.id for answer in answers}) == 1
    assert len(answers) == 3
    assert len(list(PredictionLog(places.predictions).lines())) == 1


@pytest.mark.parametrize("breaks_at", [3, 9])
def test_a_raster_that_breaks_on_the_way_is_refused_and_leaves_nothing(
    models: dict[str, Model], tmp_path: Path, breaks_at: int
) -> None:
    path = write(tmp_path / "scene.tif", ground(1300, 1700), tiled=True, blockxsize=256, blockysize=256)
    content = bytearray(path.read_bytes())
    at = len(content) * breaks_at // 10
    content[at : at + 4000] = bytes(4000)
    path.write_bytes(bytes(content))
    places = places_at(tmp_path / "w")
    with pytest.raises(BadInput, match="cannot be read"):
        classify(places, path, models["plain"])
    assert not list(places.workspace.rglob("prediction-*"))


_CHILD = """
import json, os, signal, sys, threading, time
from pathlib import Path
workspace, path, folder, after = Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), float(sys.argv[4])
from geoml_ops.adapters.ort import Graph
from geoml_ops.adapters.registry import Release
from geoml_ops.core.flow import Bundle
from geoml_ops.settings import Settings
from geoml_ops.steps.answering import Model
from geoml_ops.steps.classify import classify
bundle = Bundle.model_validate_json((folder / "bundle.json").read_text())
release = Release("looking", 1, bundle.id, bundle.file.sha256)
model = Model(bundle, release, Graph((folder / "model.onnx").read_bytes()).run)
print("ready", flush=True)
if after >= 0:
    threading.Timer(after, os.kill, (os.getpid(), signal.SIGKILL)).start()
def slowly(*_):
    time.sleep(0.02)
    return False
began = time.perf_counter()
prediction = classify(Settings(workspace=workspace).places(), path, model, cancelled=slowly)
print(json.dumps({"id": prediction.id, "seconds": time.perf_counter() - began}), flush=True)
"""


def child(workspace: Path, path: Path, folder: Path, after: float) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", _CHILD, str(workspace), str(path), str(folder), str(after)]
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT), "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False)


def killed_again_and_again(folder: Path, model_folder: Path, n_kills: int) -> dict[str, Any]:
    path = write(folder / "scene.tif", ground(1900, 2300))
    once = child(folder / "once", path, model_folder, -1)
    assert once.returncode == 0, once.stderr
    told = json.loads(once.stdout.splitlines()[-1])
    rng, hits, rounds = random.Random(0), 0, 0
    while hits < n_kills:
        workspace = folder / f"killed-{rounds}"
        rounds += 1
        for _ in range(4):
            if hits == n_kills:
                break
            hit = child(workspace, path, model_folder, rng.uniform(0, told["seconds"] * 0.8))
            hits += hit.returncode == -signal.SIGKILL
            if hit.returncode == 0:
                break
        last = child(workspace, path, model_folder, -1)
        assert last.returncode == 0, last.stderr
        for name in (MAP, SKETCHES, PICTURE):
            files = [place / "predictions" / told["id"] / name for place in (folder / "once", workspace)]
            assert files[0].read_bytes() == files[1].read_bytes(), name
        nouns = [place / "nouns" / "prediction" / f"{told['id']}.json" for place in (folder / "once", workspace)]
        assert nouns[0].read_bytes() == nouns[1].read_bytes()
        left = [p for p in workspace.rglob("*") if p.is_file() and "journals" in p.parts]
        assert not left
    return {"kills": hits, "maps": rounds}


def test_killed_at_any_moment_and_asked_again_the_bytes_are_the_same(tmp_path: Path) -> None:
    looking_model(tmp_path / "model", 4)
    assert killed_again_and_again(tmp_path, tmp_path / "model", 6)["kills"] == 6


@pytest.mark.full
@pytest.mark.skipif(not FULL, reason="takes many minutes; make full")
def test_fifty_random_kills(tmp_path: Path) -> None:
    looking_model(tmp_path / "model", 6, overlap_px=24, tile_minded=0.2)
    told = killed_again_and_again(tmp_path, tmp_path / "model", 50)
    write_json(CHECKOUT / "workspace" / "full" / "kills.json", told)
    assert told["kills"] == 50


# --- memory ----------------------------------------------------------------------------------

BUDGET_MB = 64
_PEAK = """
import re, sys
from pathlib import Path
from geoml_ops.adapters.ort import Graph
from geoml_ops.adapters.registry import Release
from geoml_ops.core.flow import Bundle
from geoml_ops.settings import Settings
from geoml_ops.steps.answering import Model
from geoml_ops.steps.classify import BATCH_LIMITS, classify
workspace, folder, memory_mb = Path(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3])
bundle = Bundle.model_validate_json((folder / "bundle.json").read_text())
release = Release("looking", 1, bundle.id, bundle.file.sha256)
model = Model(bundle, release, Graph((folder / "model.onnx").read_bytes()).run)
for path in sys.argv[4:]:
    classify(Settings(workspace=workspace).places(), Path(path), model, limits=BATCH_LIMITS, memory_mb=memory_mb)
    # Not ru_maxrss: a child begins with that of whoever started it.
    print(int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) / 1024, flush=True)
"""


@pytest.mark.parametrize("layout", ["tiled 256", "strips"])
def test_a_raster_larger_than_the_budget_stays_within_it(tmp_path: Path, layout: str) -> None:
    """144 MB of pixels in 64 MB: measured as the growth of the peak over that of a raster of one block."""
    looking_model(tmp_path / "model", 4)
    small = write(tmp_path / "small.tif", ground(128, 128))
    fields = ground(1024, 512)
    large = write(tmp_path / "large.tif", np.tile(fields, (1, 3, 12)), **LAYOUTS[layout])
    assert np.prod(raster.describe(large).grid.shape) * len(BANDS) * 2 > 2.2 * BUDGET_MB * 2**20
    command = [
        sys.executable,
        "-c",
        _PEAK,
        str(tmp_path / "w"),
        str(tmp_path / "model"),
        str(BUDGET_MB),
        str(small),
        str(large),
    ]
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    before, after = (float(line) for line in done.stdout.splitlines())
    print(f"{layout}: {before:.0f} MB, then {after:.0f} MB")
    assert after - before < BUDGET_MB + 64, "the budget, and what the system keeps of what was given back"


def test_one_block_at_a_time_is_the_least(models: dict[str, Model], tmp_path: Path) -> None:
    path = write(tmp_path / "scene.tif", ground(600, 600))
    request = requests.described(places_at(tmp_path / "w"), path, models["looking"], "", BATCH_LIMITS, ())
    plan = plan_pass(request.source, models["looking"].bundle, request.layout, Budget(1.0, 8))
    assert (plan.threads, plan.waiting, plan.way.by_rows) == (1, 1, False)
    roomy = plan_pass(request.source, models["looking"].bundle, request.layout, Budget(4096.0, 8))
    assert (roomy.threads, roomy.way.by_rows) == (8, True)
