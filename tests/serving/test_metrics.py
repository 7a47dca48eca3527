"""Metrics and records: on their own, and of the real service as it is asked."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families

from geoml_ops.adapters.predictions import PredictionLog, read_kept
from geoml_ops.adapters.registry import Release
from geoml_ops.core.bands import SENTINEL_2_L1C
from geoml_ops.core.grid import Grid
from geoml_ops.domain.sketch import bins_of, from_bytes
from geoml_ops.settings import Settings
from geoml_ops.steps.answering import Model
from geoml_ops.steps.chips import Asked, Said, ask
from serving.doors import DOORS
from serving.metrics import EVENTS, Metrics
from serving.recording import Recorder
from tests.answering import APPLICABILITY, BANDS, CONFORMAL, publish, world, write_bundle
from tests.serving.conftest import Service, start, stop

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]
MODEL = "measured"


def samples(text: str) -> Samples:
    found: Samples = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            key = sample.name, frozenset(sample.labels.items())
            assert key not in found, f"{key} is told twice"
            found[key] = sample.value
    return found


def of(found: Samples, name: str, **labels: str) -> float:
    return found[name, frozenset(labels.items())]


def a_bundle(folder: Path, **more: Any) -> Model:
    bundle = write_bundle(folder, **more)
    release = Release(MODEL, 7, bundle.id, bundle.file.sha256)
    return SimpleNamespace(bundle=bundle, release=release, contract=bundle.contract)  # type: ignore[return-value]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return a_bundle(tmp_path_factory.mktemp("bundle"), applicability=APPLICABILITY, conformal=CONFORMAL)


# --- metrics ---------------------------------------------------------------------------------


def test_what_is_counted_is_told_and_labels_are_bounded(model: Model) -> None:
    metrics = Metrics(lambda: (True, {"following": True}), lambda: model)
    for door, status, seconds in (("classify", 200, 0.3), ("classify", 200, 4.0), ("classify", 422, 0.001),
                                  ("<script>", 200, 1.0), ("model", 9999, 400.0)):  # fmt: skip
        metrics.observe(door, status, seconds)
    for n in range(500):
        metrics.observe(f"door {n}", 200, 0.1)
    metrics.classified("raster", 1000)
    metrics.classified("chip", 64)
    metrics.classified("anything", 1)
    metrics.seen(model, (30, 10), 4)
    metrics.happened("swap")
    metrics.happened("a new word")
    metrics.watch("jobs_unfinished", "Jobs.", lambda: 3)
    metrics.watch("inside", "By lane.", lambda: {"chip": 2, "look": 0}, by="lane")
    metrics.watch("broken", "Cannot be told.", lambda: 1 / 0)
    found = samples(metrics.text())
    assert of(found, "geoml_requests_total", door="classify", status="200") == 2
    assert of(found, "geoml_requests_total", door="model", status="other") == 1
    assert of(found, "geoml_requests_total", door="other", status="200") == 501
    assert of(found, "geoml_request_seconds_count", door="classify") == 3
    assert of(found, "geoml_request_seconds_sum", door="classify") == pytest.approx(4.301)
    assert of(found, "geoml_request_seconds_bucket", door="classify", le="0.5") == 2
    assert of(found, "geoml_request_seconds_bucket", door="model", le="+Inf") == 1
    assert of(found, "geoml_pixels_total", kind="raster") == 1001
    assert of(found, "geoml_pixels_total", kind="chip") == 64
    assert of(found, "geoml_recent_class_share", **{"class": "bare"}) == 0.75
    assert of(found, "geoml_recent_outside_share") == 0.1
    assert of(found, "geoml_model_events_total", event="swap") == 1
    assert {dict(key[1])["event"] for key in found if key[0] == "geoml_model_events_total"} == set(EVENTS)
    assert of(found, "geoml_jobs_unfinished") == 3
    assert of(found, "geoml_inside", lane="chip") == 2
    assert not [key for key in found if key[0] == "geoml_broken"]
    bundle = model.bundle
    labels = {"model": MODEL, "number": "7", "bundle": bundle.id, "graph_sha256": bundle.file.sha256}
    assert of(found, "geoml_bundle_info", **labels) == 1
    doors = {dict(key[1]).get("door") for key in found if key[0] == "geoml_requests_total"}
    assert doors <= {"other", *(door.name for door in DOORS)}


def test_without_a_model_nothing_is_made_up(model: Model) -> None:
    metrics = Metrics(lambda: (False, {}), lambda: None)
    metrics.seen(model, (3, 4), None)
    found = samples(metrics.text())
    assert of(found, "geoml_ready") == 0
    assert not [key for key in found if key[0] in ("geoml_bundle_info", "geoml_recent_class_share")]


def test_answers_of_the_model_before_say_nothing_of_this_one(model: Model, tmp_path: Path) -> None:
    other = a_bundle(tmp_path)
    metrics = Metrics(lambda: (True, {}), lambda: model)
    metrics.seen(other, (100, 0), None)
    metrics.seen(model, (1, 3), 0)
    found = samples(metrics.text())
    assert of(found, "geoml_recent_class_share", **{"class": "green"}) == 0.75
    assert of(found, "geoml_recent_outside_share") == 0


# --- records ---------------------------------------------------------------------------------


def answered(model: Model, n: int = 3, edge: int = 40) -> Asked:
    dn, truth, _ = world(edge, edge * n)
    dn = dn[[SENTINEL_2_L1C.names.index(name) for name in BANDS]].astype(np.float32)
    dn[:, truth == 255] = np.nan
    cut = np.ascontiguousarray(dn.reshape(len(BANDS), edge, n, edge).transpose(2, 0, 1, 3))
    classes = np.ascontiguousarray(truth.reshape(edge, n, edge).transpose(1, 0, 2))
    layers = np.stack([classes, np.full_like(classes, 93), np.full_like(classes, 2), np.full_like(classes, 99),
                       np.full_like(classes, 7)], axis=1)  # fmt: skip
    layers[:, 3, :20] = 120
    asked = ask(model, cut, Said(BANDS, (1e-4,), (0.0,)))
    asked.answer[:, :5], asked.answer[:, 5:] = layers, 1
    return asked


def until(holds: Callable[[], bool], timeout_s: float = 10.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_chips_leave_a_row_and_one_for_each_tile(model: Model, tmp_path: Path) -> None:
    places = Settings(workspace=tmp_path).places()
    metrics = Metrics(lambda: (True, {}), lambda: model)
    recorder = Recorder(places, keep_tiles_share=1.0, flush_s=0.2, watcher=metrics)
    recorder.start()
    asked = answered(model)
    dn, layers = asked.dn, asked.answer
    recorder.record_chip(asked, 0.012, "r1")
    recorder.stop()
    log = PredictionLog(places.predictions)
    (request,), tiles = log.requests(), list(log.tiles())
    assert (request["kind"], request["prediction"], request["request"], request["number"]) == ("chip", "", "r1", 7)
    assert (request["latency_s"], request["n_px"], len(tiles)) == (0.012, 3 * 1600, 3)
    known = layers[:, 0] != 255
    assert request["valid_share"] == known.mean()
    assert request["class_shares"] == [(layers[:, 0][known] == code).mean() for code in (0, 1)]
    assert request["confidence"][18] == known.sum() == sum(request["confidence"])
    assert request["mean_set_size"] == 2
    assert request["outside_share"] == pytest.approx((layers[:, 3][known] > 100).mean())
    for tile, chip in zip(tiles, dn, strict=True):
        for band, own in enumerate(bins_of(model.bundle.contract)):
            sketch = from_bytes(tile["sketches"][band], own)
            assert sketch.mean == pytest.approx(np.nanmean(chip[band].astype(np.float64)))
            assert sketch.n_nodata == np.isnan(chip[band]).sum()
    assert of(samples(metrics.text()), "geoml_pixels_total", kind="chip") == 3 * 1600
    kept = sorted((places.predictions / "kept").rglob("*.npz"))
    assert len(kept) == 3
    arrays, lineage = read_kept(kept[1])
    np.testing.assert_array_equal(arrays["dn"], dn[1])
    np.testing.assert_array_equal(arrays["class"], layers[1, 0])
    assert (lineage["bundle"], lineage["request"], lineage["tile"]) == (model.bundle.id, "r1", 1)


def test_no_imagery_is_kept_unless_it_is_asked_for(model: Model, tmp_path: Path) -> None:
    places = Settings(workspace=tmp_path).places()
    recorder = Recorder(places)
    recorder.start()
    recorder.record_chip(answered(model), 0.01, "r1")
    recorder.stop()
    assert not (places.predictions / "kept").exists()
    assert recorder.written == 4


def test_what_does_not_fit_is_dropped_and_counted_and_nobody_waits(model: Model, tmp_path: Path) -> None:
    recorder = Recorder(Settings(workspace=tmp_path).places(), queue_bytes=300_000)
    asked = answered(model)
    for n in range(10):
        recorder.record_chip(asked, 0.01, f"r{n}")
    assert recorder.dropped == 10 - 300_000 // (asked.dn.nbytes + asked.answer.nbytes)
    recorder.start()
    recorder.stop()
    assert recorder.waiting_bytes == 0
    assert len(list(PredictionLog(recorder.places.predictions).requests())) == 10 - recorder.dropped


def test_a_request_that_cannot_be_sketched_costs_only_itself(model: Model, tmp_path: Path) -> None:
    recorder = Recorder(Settings(workspace=tmp_path).places(), flush_s=0.1)
    recorder.start()
    asked = answered(model)
    recorder.record_chip(replace(asked, dn=asked.dn[:, :2]), 0.01, "bad")
    recorder.record_chip(asked, 0.01, "good")
    until(lambda: recorder.written > 0)
    recorder.stop()
    assert recorder.failed == 1
    assert [row["request"] for row in PredictionLog(recorder.places.predictions).requests()] == ["good"]


def test_a_full_disk_costs_rows_and_never_the_answer(
    model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any, **__: Any) -> bool:
        raise OSError(28, "No space left on device")

    recorder = Recorder(Settings(workspace=tmp_path).places(), flush_s=0.1)
    with monkeypatch.context() as patch:
        patch.setattr(PredictionLog, "record", full)
        recorder.start()
        recorder.record_chip(answered(model), 0.01, "lost")
        until(lambda: recorder.failed == 1)
    recorder.record_chip(answered(model), 0.01, "kept")
    recorder.stop()
    assert [row["request"] for row in PredictionLog(recorder.places.predictions).requests()] == ["kept"]


def test_a_crowd_is_counted_and_a_few_of_it_are_sketched(model: Model, tmp_path: Path) -> None:
    recorder = Recorder(Settings(workspace=tmp_path).places())
    asked = answered(model, 1)
    for n in range(100):
        recorder.record_chip(asked, 0.01, f"r{n}")
    recorder.start()
    recorder.stop()
    rows = list(PredictionLog(recorder.places.predictions).requests())
    assert len(rows) == 100
    assert {tuple(row["class_shares"]) for row in rows} == {tuple(rows[0]["class_shares"])}
    assert 0 < sum(bool(row["sketches"]) for row in rows) < 100


def test_very_many_chips_leave_few_rows(model: Model, tmp_path: Path) -> None:
    recorder = Recorder(Settings(workspace=tmp_path).places())
    recorder.start()
    recorder.record_chip(answered(model, 500, 4), 0.01, "many")
    recorder.stop()
    log = PredictionLog(recorder.places.predictions)
    assert next(iter(log.requests()))["n_px"] == 500 * 16
    assert len(list(log.tiles())) == 63


# --- the real service ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def measured(mlflow_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folders = [tmp_path_factory.mktemp("measured") / name for name in ("first", "second", "third")]
    publish(mlflow_server, MODEL, folders[0], write_bundle(folders[0]))
    running = start(tmp_path_factory.mktemp("measured_service"), mlflow_server, MODEL)
    try:
        running.wait(lambda said: said["ready"])
        yield running
    finally:
        stop(running)


def told(service: Service) -> Samples:
    answer = service.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain")
    return samples(answer.text)


def chip_of(service: Service, seed: int = 0) -> httpx.Response:
    dn = world(64, 64, seed)[0][[SENTINEL_2_L1C.names.index(name) for name in BANDS]]
    heads = {"Content-Type": "application/octet-stream", "X-Shape": "4,64,64", "X-Dtype": "uint16",
             "X-Bands": ",".join(BANDS), "X-Scale": "0.0001", "X-Offset": "0", "X-Nodata": "0"}  # fmt: skip
    return httpx.post(service.url + "/classify_chip", content=np.ascontiguousarray(dn).tobytes(), headers=heads,
                      timeout=30, trust_env=False)  # fmt: skip


@pytest.mark.slow
def test_numbers_move_as_the_service_is_asked(measured: Service, raster: tuple[bytes, Any]) -> None:
    before = told(measured)
    assert of(before, "geoml_ready") == of(before, "geoml_registry_reachable") == 1
    assert {"geoml_confined", "geoml_jobs_unfinished", "geoml_log_dropped_total"} <= {name for name, _ in before}
    assert measured.classify(raster[0]).status_code == 200
    assert measured.classify(b"II*\0 but no raster").status_code == 422
    assert [chip_of(measured, seed).status_code for seed in range(3)] == [200] * 3
    after = told(measured)
    assert of(after, "geoml_requests_total", door="classify", status="200") == 1
    assert of(after, "geoml_requests_total", door="classify", status="422") == 1
    assert of(after, "geoml_requests_total", door="classify_chip", status="200") == 3
    assert of(after, "geoml_request_seconds_count", door="classify") == 2
    pixels = [of(after, "geoml_pixels_total", kind=k) - of(before, "geoml_pixels_total", kind=k)
              for k in ("raster", "chip")]  # fmt: skip
    assert pixels == [300 * 400, 3 * 64 * 64]
    assert of(after, "geoml_recent_class_share", **{"class": "green"}) > 0
    assert [dict(key[1])["number"] for key in after if key[0] == "geoml_bundle_info"] == ["1"]
    assert of(after, "geoml_inside", lane="look") == 1, "the question itself"


@pytest.mark.slow
def test_a_swap_and_a_refusal_are_counted(
    measured: Service, mlflow_server: str, tmp_path: Path, raster: tuple[bytes, Any]
) -> None:
    before = told(measured)
    second, third = (tmp_path / name for name in ("second", "third"))
    number = publish(mlflow_server, MODEL, second, write_bundle(second, -0.01))
    measured.wait(lambda said: said["number"] == number)
    publish(mlflow_server, MODEL, third, write_bundle(third, 0.02, golden="wrong"))
    measured.wait(lambda said: not said["following"])
    after = told(measured)
    moved = {event: of(after, "geoml_model_events_total", event=event)
             - of(before, "geoml_model_events_total", event=event) for event in EVENTS}  # fmt: skip
    assert moved == {"swap": 1, "rollback": 0, "refused": 1}
    assert [dict(key[1])["number"] for key in after if key[0] == "geoml_bundle_info"] == [str(number)]
    assert of(after, "geoml_follows_registry") == 0


@pytest.mark.slow
def test_a_map_is_on_record_before_its_answer_leaves_and_chips_at_the_latest_at_the_end(
    mlflow_server: str, tmp_path: Path, raster: tuple[bytes, Any]
) -> None:
    name = "recorded"
    publish(mlflow_server, name, tmp_path / "b", write_bundle(tmp_path / "b"))
    service = start(tmp_path, mlflow_server, name, GEOML_KEEP_TILES_SHARE="0.5")
    log = PredictionLog(service.places.predictions)
    try:
        service.wait(lambda said: said["ready"])
        answers = [service.classify(raster[0]) for _ in range(2)]
        rows = list(log.requests())
        assert {row["request"] for row in rows} == {answer.headers["x-request-id"] for answer in answers}
        assert sorted(row["again"] for row in rows) == [False, True]
        assert {row["prediction"] for row in rows} == {answers[0].headers["x-prediction-id"]}
        tiles = list(log.tiles())
        assert len(tiles) == 12, "a map's tiles are there once"
        assert all(len(tile["sketches"]) == 4 for tile in tiles)
        kept = list((service.places.predictions / "kept").rglob("*.npz"))
        assert 0 < len(kept) < 12
        arrays, lineage = read_kept(kept[0])
        assert arrays["dn"].shape[0] == len(lineage["bands"]) == 13
        assert Grid.model_validate(lineage["grid"]).shape == arrays["map"].shape[1:] == arrays["dn"].shape[1:]
        chip = chip_of(service)
    finally:
        stop(service)
    assert chip.headers["x-request-id"] in {row["request"] for row in log.requests()}
