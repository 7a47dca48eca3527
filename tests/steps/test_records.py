"""What a map leaves in the prediction log."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
import rasterio

from geoml_ops.adapters import raster
from geoml_ops.adapters.cog import MapJournal, MapLayout
from geoml_ops.adapters.predictions import MAP, SKETCHES, TALLIES, PredictionLog, read_kept
from geoml_ops.core.bands import SENTINEL_2_L1C
from geoml_ops.core.flow import Prediction
from geoml_ops.core.grid import Grid
from geoml_ops.domain.sketch import bins_of, empty, from_bytes
from geoml_ops.platform.files import read_json
from geoml_ops.settings import Settings
from geoml_ops.steps import classify
from geoml_ops.steps.keeping import keep_tiles
from geoml_ops.steps.places import Places
from geoml_ops.steps.records import record, sweep, tidy
from geoml_ops.steps.tallies import MOST_TALLIES, counted
from tests.answering import APPLICABILITY, BANDS, CONFORMAL, world, write_raster
from tests.steps.test_classify import keep_scene, loaded

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return Settings(workspace=tmp_path / "workspace").places()


@pytest.fixture
def model(places: Places) -> classify.Model:
    return loaded(places, 0.01, applicability=APPLICABILITY, conformal=CONFORMAL)


@pytest.fixture
def made(places: Places, model: classify.Model, tmp_path: Path) -> Prediction:
    write_raster(tmp_path / "scene.tif")
    keep_scene(places, tmp_path / "scene.tif")
    return classify.classify(places, tmp_path / "scene.tif", model)


def test_a_map_is_recorded_with_its_scene_and_its_tiles(
    places: Places, model: classify.Model, made: Prediction
) -> None:
    assert record(places, model.bundle, made, request="r1", latency_s=0.5, at=NOON)
    log = PredictionLog(places.predictions)
    (row,), tiles = log.requests(), list(log.tiles())
    assert (row["request"], row["prediction"], row["kind"], row["at"]) == ("r1", made.id, "raster", NOON)
    assert (row["sensor"], row["baseline"], row["month"]) == ("sentinel-2-l1c", "02.04", "2020-04")
    assert row["region"] == "EPSG:32633/3/58"
    assert row["class_shares"] == list(made.class_shares.values())
    assert (row["n_px"], row["valid_share"], row["outside_share"]) == (300 * 400, made.valid_share, made.outside_share)
    assert len(tiles) == 12
    assert {tile["region"] for tile in tiles} == {"EPSG:32633/3/58"}
    dn = world()[0]
    for position, own in enumerate(bins_of(model.bundle.contract)):
        whole = from_bytes(row["sketches"][position], own)
        added = empty(own)
        for tile in tiles:
            added += from_bytes(tile["sketches"][position], own)
        assert added == whole, "a request is the sum of its tiles"
        layer = dn[SENTINEL_2_L1C.names.index(own.band)].astype(np.float64)
        seen = layer[layer > 0]
        assert whole.mean == pytest.approx(seen.mean())
        assert whole.n == seen.size
    assert sum(row["confidence"]) == round(made.valid_share * 300 * 400)
    assert tiles[0]["edge_m"] == 1280.0


def test_a_map_is_recorded_once_and_who_asks_again_leaves_a_request(
    places: Places, model: classify.Model, made: Prediction
) -> None:
    assert record(places, model.bundle, made, at=NOON)
    assert not record(places, model.bundle, made, at=NOON + DAY), "the batch verb again"
    assert not record(places, model.bundle, made, request="r2", at=NOON + DAY)
    tidy(places, 400, NOON + 5 * DAY)
    assert not record(places, model.bundle, made, request="r3", at=NOON + 2 * DAY)
    log = PredictionLog(places.predictions)
    assert [(row["request"], row["again"]) for row in log.requests()] == [
        (made.id, False), ("r2", True), ("r3", True),
    ]  # fmt: skip
    assert len(list(log.tiles())) == 12


def test_a_recording_that_was_killed_is_finished_under_its_own_day(
    places: Places, model: classify.Model, made: Prediction, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object, **__: object) -> bool:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(PredictionLog, "record", killed)
        with pytest.raises(KeyboardInterrupt):
            record(places, model.bundle, made, at=NOON)
    assert record(places, model.bundle, made, at=NOON + DAY)
    assert PredictionLog(places.predictions).days() == (NOON.date(),)


def test_a_prediction_of_before_leaves_what_it_kept(places: Places, model: classify.Model, made: Prediction) -> None:
    home = PredictionLog(places.predictions).home(made.id)
    (home / TALLIES).write_text('[{"n_px": 3')
    assert record(places, model.bundle, made, at=NOON)
    log = PredictionLog(places.predictions)
    columns = read_json(home / SKETCHES)
    tiles = list(log.tiles())
    assert [tile["means"][3] for tile in tiles] == columns["B08:mean"]
    assert [tile["easting"] for tile in tiles] == columns["easting"]
    assert {tuple(tile["sketches"]) for tile in tiles} == {()}
    assert next(iter(log.requests()))["class_shares"] == list(made.class_shares.values())
    shutil.rmtree(home)
    assert not record(places, model.bundle, made, request="late", at=NOON), "its tiles are known still"


def test_kept_tiles_are_pixels_as_delivered_with_their_answers_and_lineage(
    places: Places, model: classify.Model, made: Prediction, tmp_path: Path
) -> None:
    source = tmp_path / "scene.tif"
    assert keep_tiles(places, source, made, 0.0, limits=raster.LIMITS, at=NOON) == 0
    n = keep_tiles(places, source, made, 0.4, limits=raster.LIMITS, at=NOON)
    assert 0 < n < 12
    assert keep_tiles(places, source, made, 0.4, limits=raster.LIMITS, at=NOON) == n
    files = list((places.predictions / "kept" / "2026-03-01").iterdir())
    assert len(files) == n
    path = PredictionLog(places.predictions).home(made.id) / MAP
    with rasterio.open(path) as whole:
        codes = whole.read(1)
    for file in files:
        arrays, lineage = read_kept(file)
        grid = Grid.model_validate(lineage["grid"])
        corner = grid.corner_in(made.grid)
        assert corner is not None
        part = (slice(corner[0], corner[0] + grid.height), slice(corner[1], corner[1] + grid.width))
        np.testing.assert_array_equal(arrays["dn"], world()[0][:, *part])
        np.testing.assert_array_equal(arrays["map"][0], codes[part])
        assert (lineage["prediction"], lineage["bundle"]) == (made.id, model.bundle.id)
        assert set(BANDS) <= set(lineage["bands"])
    tidy(places, 10, NOON + 11 * DAY)
    assert not (places.predictions / "kept" / "2026-03-01").exists()


def test_however_large_a_raster_its_record_is_bounded_and_spread_over_it() -> None:
    assert len(counted(3, 4)) == 12
    some = counted(2000, 2000)
    assert MOST_TALLIES * 0.9 < len(some) <= MOST_TALLIES
    rows = np.array([row for row, _ in some])
    assert np.histogram(rows, bins=4, range=(0, 2000))[0].min() > MOST_TALLIES / 6, "spread over all of it"


def test_days_of_lines_go_with_their_rows_and_a_map_of_then_is_logged_anew(
    places: Places, model: classify.Model, made: Prediction
) -> None:
    log = PredictionLog(places.predictions)
    log.append("prediction-00000000000000aa", NOON)
    assert record(places, model.bundle, made, at=NOON)
    (places.predictions / "log" / "notes.jsonl").write_text("mine")
    known = {line.id for line in log.lines()}
    tidy(places, 10, NOON + 10 * DAY)
    assert {line.id for line in log.lines()} == known
    tidy(places, 10, NOON + 11 * DAY)
    assert {line.id for line in log.lines()} == known - {"prediction-00000000000000aa"}
    assert (places.predictions / "log" / "notes.jsonl").exists()
    assert log.append("prediction-00000000000000aa", NOON + 11 * DAY)


def test_journals_that_nobody_goes_on_with_are_swept_and_held_or_young_ones_are_not(places: Places) -> None:
    layout = MapLayout(world()[2], ("class", "confidence"), ("a", "b"), ("#000000", "#ffffff"))
    home = places.workspace / "service" / "journals"
    old = (NOON - 8 * DAY).timestamp()
    for name in ("held", "left", "young"):
        journal = MapJournal(home / name, "key", layout)
        journal.commit(journal.encode(0, np.zeros((2, *world()[2].shape), np.uint8)))
        if name != "held":
            journal.close()
        else:
            kept = journal
        for path in (home / name).iterdir():
            os.utime(path, (old, old) if name != "young" else (NOON.timestamp(),) * 2)
    (home / "a-file").touch()
    (home / "empty").mkdir()
    assert sweep(places, NOON) == 1
    assert sorted(path.name for path in home.iterdir()) == ["a-file", "empty", "held", "young"]
    kept.close()
    assert sweep(places, NOON) == 1
    again = MapJournal(home / "left", "key", layout)
    assert again.n_done == 0
    again.close()
    assert sweep(replace(places, workspace=places.workspace / "nowhere"), NOON) == 0
