"""The real service process, beside a real registry."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import rasterio
from rasterio.io import MemoryFile
from rio_cogeo.cogeo import cog_validate

from geoml_ops.adapters.nouns import Shelf
from geoml_ops.adapters.predictions import PredictionLog
from geoml_ops.core.flow import Bundle, Prediction
from tests.answering import CLASSES, TOP, WEST, publish, write_bundle
from tests.conftest import ROOT, free_port
from tests.serving.conftest import Service, start, stop

pytestmark = pytest.mark.slow
Raster = tuple[bytes, Any]


def rewritten(body: bytes, change: Any = None, **profile: Any) -> bytes:
    """Returns the same raster after a change of its profile, names, scale or pixels."""
    with MemoryFile(body) as memory, memory.open() as source:
        dn, names, scales, offsets = source.read(), source.descriptions, source.scales, source.offsets
        kept = {**source.profile, **profile}
    if change is not None:
        dn, names, scales, offsets = change(dn, names, scales, offsets)
    with MemoryFile() as memory:
        with memory.open(**{**kept, "count": len(dn)}) as target:
            target.descriptions, target.scales, target.offsets = names, scales, offsets
            target.write(dn)
        return bytes(memory.read())


def map_of(answer: httpx.Response) -> Any:
    assert answer.status_code == 200, answer.text
    with MemoryFile(answer.content) as memory, memory.open() as source:
        return source.read(1)


def refusal(answer: httpx.Response) -> tuple[int, str, str]:
    error = answer.json()["error"]
    assert set(error) == {"code", "message", "request_id"}
    assert error["request_id"] == answer.headers["x-request-id"]
    assert not re.search(r"/tmp|/work|\.tif\b.*/|Traceback|rasterio|GDAL_|\.py", error["message"]), error["message"]
    return answer.status_code, error["code"], error["message"]


def test_a_raster_becomes_a_map(service: Service, raster: Raster, bundles: list[Any], tmp_path: Path) -> None:
    body, truth = raster
    answer = service.classify(body, name="western field")
    np.testing.assert_array_equal(map_of(answer), truth)
    (tmp_path / "map.tif").write_bytes(answer.content)
    assert cog_validate(tmp_path / "map.tif", quiet=True)[0]
    assert answer.headers["x-model-number"] == "1"
    assert answer.headers["x-bundle-id"] == bundles[0][1].id
    prediction_id = answer.headers["x-prediction-id"]
    with rasterio.open(tmp_path / "map.tif") as source:
        assert source.tags()["GEOML_PREDICTION"] == prediction_id
        assert source.tags()["GEOML_GRAPH_SHA256"] == bundles[0][1].file.sha256
        assert source.tags(1)["CLASS_1"] == "green"
    noun = Shelf(service.places.nouns).get(Prediction, prediction_id)
    assert noun.valid_share == pytest.approx((truth != 255).mean(), abs=1e-6)
    assert noun.class_shares["green"] == pytest.approx((truth == 1).sum() / (truth != 255).sum(), abs=1e-6)
    assert (noun.map.size, noun.source_name) == (len(answer.content), "western field")
    columns = json.loads((PredictionLog(service.places.predictions).home(prediction_id) / "sketches.json").read_text())
    assert len(columns["B08:mean"]) == len(columns["class:green"]) == 12


def test_asking_again_finds_the_first_answer(service: Service, raster: Raster) -> None:
    first, second = (service.classify(raster[0]) for _ in range(2))
    assert first.content == second.content
    assert first.headers["x-prediction-id"] == second.headers["x-prediction-id"]
    ids = [line.id for line in PredictionLog(service.places.predictions).lines()]
    assert len(ids) == len(set(ids))


def test_an_offset_that_is_declared_gives_the_same_map(service: Service, raster: Raster) -> None:
    body, truth = raster

    def shifted(dn: Any, names: Any, scales: Any, offsets: Any) -> Any:
        return np.where(dn == 0, 0, dn + 1000).astype("uint16"), names, scales, [-0.1] * len(dn)

    answer = service.classify(rewritten(body, shifted))
    np.testing.assert_array_equal(map_of(answer), truth)


def test_bands_are_found_by_name_in_any_order(service: Service, raster: Raster) -> None:
    body, truth = raster
    turned = rewritten(body, lambda dn, names, scales, offsets: (dn[::-1], names[::-1], scales, offsets))
    np.testing.assert_array_equal(map_of(service.classify(turned)), truth)
    four = rewritten(body, lambda dn, n, s, o: (dn[[1, 2, 3, 7]], ("B02", "B03", "B04", "B08"), s[:4], o[:4]))
    np.testing.assert_array_equal(map_of(service.classify(four)), truth)


def test_the_page_finds_the_picture_the_layers_and_the_point(service: Service, raster: Raster) -> None:
    prediction_id = service.classify(raster[0]).headers["x-prediction-id"]
    rows = service.get("/predictions").json()["predictions"]
    row = next(row for row in rows if row["id"] == prediction_id)
    assert [entry["name"] for entry in row["classes"]] == list(CLASSES)
    assert sum(entry["share"] for entry in row["classes"]) == pytest.approx(1.0, abs=1e-5)
    for layer, colour_type in (("classes", 3), ("confidence", 3), ("image", 6)):
        picture = service.get(f"/predictions/{prediction_id}/map.png", layer=layer)
        assert picture.headers["content-type"] == "image/png"
        with MemoryFile(picture.content) as memory, memory.open(driver="PNG") as source:
            assert (source.width, source.height) == (400, 300)
            assert picture.content[25] == colour_type
    point = service.get(f"/predictions/{prediction_id}/at", easting=WEST + 1005, northing=TOP - 1505).json()
    assert (point["row"], point["col"]) == (150, 100)
    assert point["class"] == CLASSES[int(raster[1][150, 100])]
    assert point["confidence"] > 0.5
    assert [link["kind"] for link in point["lineage"]][:3] == ["prediction", "bundle", "entry"]
    assert service.get(f"/predictions/{prediction_id}/map.tif").content == service.classify(raster[0]).content


def test_the_model_is_described(service: Service, bundles: list[Any]) -> None:
    said = service.get("/model").json()
    assert (said["message"], said["ready"]) == ("The champion of the registry answers.", True)
    assert (said["following"], said["bundle"]["id"]) == (True, bundles[0][1].id)
    assert [band["name"] for band in said["contract"]["bands"]] == ["B02", "B03", "B04", "B08"]
    assert said["classes"][1] == {"code": 1, "name": "green", "colour": "#228b22"}
    assert said["entry"]["number"] == 1


def _scale(value: float) -> Any:
    return lambda dn, names, scales, offsets: (dn, names, [value] * len(dn), offsets)


BAD: list[tuple[str, Any, dict[str, Any], str]] = [
    ("missing band", lambda d, n, s, o: (d, (*n[:7], "X", *n[8:]), s, o), {}, "missing B08"),
    ("no names", lambda d, n, s, o: (d, [None] * len(d), s, o), {}, "missing B02, B03, B04, B08"),
    ("band twice", lambda d, n, s, o: (d, (n[1], *n[1:]), s, o), {}, "twice B02"),
    ("undeclared radiometry", _scale(1.0), {}, "does not declare its radiometry"),
    ("other scale", _scale(1e-3), {}, "scale of 0.001"),
    ("all nodata", lambda d, n, s, o: (d * 0, n, s, o), {}, "None of the 120000 pixels"),
    ("20 m pixels", None, {"transform": rasterio.Affine(20, 0, WEST, 0, -20, TOP)}, "pixels are 20 m"),
    ("degrees", None, {"crs": "EPSG:4326", "transform": rasterio.Affine(1e-4, 0, 13, 0, -1e-4, 52)}, "CRS"),
    ("no CRS", None, {"crs": None}, "CRS"),
    ("not in its zone", None, {"transform": rasterio.Affine(10, 0, 9e6, 0, -10, TOP)}, "EPSG:32633"),
    ("turned", None, {"transform": rasterio.Affine(10, 1, WEST, 1, -10, TOP)}, "north-up"),
]


@pytest.mark.parametrize(("change", "profile", "says"), [row[1:] for row in BAD], ids=[row[0] for row in BAD])
def test_what_does_not_fit_is_refused_with_a_sentence(
    service: Service, raster: Raster, change: Any, profile: dict[str, Any], says: str
) -> None:
    before = service.get("/predictions").json()
    status, code, message = refusal(service.classify(rewritten(raster[0], change, **profile)))
    assert (status, code) == (422, "bad_input")
    assert says in message
    assert service.get("/predictions").json() == before
    assert list((service.places.workspace / "service" / "uploads").iterdir()) == []


def test_a_truncated_file_is_refused_and_too_many_pixels_too(service: Service, raster: Raster) -> None:
    status, code, message = refusal(service.classify(raster[0][: len(raster[0]) // 2]))
    assert (status, code) == (422, "bad_input")
    assert "chunks of upload.tif lie outside its" in message
    with MemoryFile() as memory:
        with memory.open(driver="GTiff", width=2000, height=2000, count=1, dtype="uint8", sparse_ok=True):
            pass
        status, code, message = refusal(service.classify(bytes(memory.read())))
    assert (status, code) == (413, "too_large")
    assert "4000000 pixels" in message


GUARDED: list[tuple[str, str, dict[str, str], bytes, int]] = [
    ("POST", "/classify", {"Content-Type": "multipart/form-data; boundary=x"}, b"--x", 415),
    ("POST", "/classify", {"Content-Type": "application/vnd.bentoml+pickle"}, b"\x80\x04.", 415),
    ("POST", "/classify", {"Content-Type": "application/json"}, b'{"raster": "http://127.0.0.1/"}', 415),
    ("POST", "/classify", {"Content-Type": "image/tiff"}, b"<VRTDataset/>", 415),
    ("POST", "/classify", {"Content-Type": "image/tiff", "Content-Encoding": "gzip"}, b"II*\0", 415),
    ("POST", "/classify", {"Content-Type": "image/tiff"}, b"II*\0", 422),
    ("GET", "/classify", {}, b"", 405),
    ("DELETE", "/model", {}, b"", 405),
    ("POST", "/Landcover/classify", {}, b"{}", 404),
    ("GET", "/docs.json", {}, b"", 404),
    ("GET", "/schema.json", {}, b"", 404),
    ("GET", "/static_content/index.css", {}, b"", 404),
    ("GET", "/page/../service.py", {}, b"", 404),
    ("GET", "/page/%2e%2e/service.py", {}, b"", 404),
    ("GET", "/dashboard/../../etc/passwd", {}, b"", 404),
    ("GET", "/predictions/prediction-0123456789abcdef/map.png", {}, b"", 404),
    ("GET", "/predictions/../../nouns/map.tif", {}, b"", 404),
]


@pytest.mark.parametrize(("method", "path", "headers", "body", "status"), GUARDED)
def test_the_guard_lets_only_the_expected_in(
    service: Service, method: str, path: str, headers: dict[str, str], body: bytes, status: int
) -> None:
    answer = httpx.request(method, service.url + path, headers=headers, content=body, trust_env=False)
    assert refusal(answer)[0] == status
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_the_guard_asks_for_a_bounded_declared_length(service: Service) -> None:
    chunked = httpx.post(
        f"{service.url}/classify", content=iter([b"II*\0"]), headers={"Content-Type": "image/tiff"}, trust_env=False
    )
    assert refusal(chunked)[:2] == (411, "length_required")
    big = service.classify(b"II*\0" + bytes(16 * 2**20))
    assert refusal(big)[:2] == (413, "too_large")


def test_a_question_without_an_answer_is_refused(service: Service, raster: Raster) -> None:
    prediction_id = service.classify(raster[0]).headers["x-prediction-id"]
    path = f"/predictions/{prediction_id}"
    assert refusal(service.get(f"{path}/at", easting="nan", northing=1))[0] == 422
    assert "outside" in refusal(service.get(f"{path}/at", easting=1, northing=1))[2]
    assert refusal(service.get(f"{path}/map.png", layer="secret"))[0] == 422
    assert refusal(service.classify(raster[0], name="<script>"))[0] == 422


def test_the_page_needs_nobody_else(service: Service) -> None:
    start_page = service.get("/")
    assert start_page.headers["content-type"].startswith("text/html")
    assert "googletagmanager" not in start_page.text
    policy = start_page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "http" not in policy
    for name in re.findall(r'(?:src|href)="(/page/[^"#]+)"', start_page.text):
        assert service.get(name).status_code == 200
    assert service.get("/metrics").text.startswith("#")
    assert service.get("/healthz").status_code == service.get("/livez").status_code == 200
    assert refusal(service.get("/dashboard/"))[0] == 404
    (service.places.dashboard / "index.html").write_text("<p>drift</p>")
    assert service.get("/dashboard/").text == "<p>drift</p>"
    (service.places.dashboard / "index.html").unlink()


def test_the_service_process_holds_no_training_tool(service: Service, raster: Raster) -> None:
    assert service.classify(raster[0]).status_code == 200
    (service.witness / "ask").touch()
    deadline = time.monotonic() + 10
    while not (answers := list(service.witness.glob("*.json"))) and time.monotonic() < deadline:
        time.sleep(0.1)
    time.sleep(0.5)
    answers = [json.loads(path.read_text()) for path in service.witness.glob("*.json")]
    loaded = {name.split(".")[0] for modules in answers for name in modules}
    assert "onnxruntime" in loaded, "the process that classifies was not asked"
    heavy = {"mlflow", "sklearn", "airflow", "dvc", "evidently", "great_expectations", "xgboost", "matplotlib", "torch"}
    heavy |= {"scipy", "skgstat", "numba", "pandas"}
    assert loaded & heavy == set()


def test_the_champion_is_followed_without_a_restart_and_a_bad_one_is_not(
    mlflow_server: str, bundles: list[tuple[Path, Bundle]], raster: Raster, tmp_path: Path
) -> None:
    (tmp_path / "home").mkdir()
    running = start(tmp_path / "home", mlflow_server, "followed")
    body, truth = raster
    try:
        running.wait(lambda said: "not asked yet" not in str(said))  # until the registry was asked once
        status, code, message = refusal(running.classify(body))
        assert (status, code) == (503, "unavailable")
        assert "no champion" in message
        assert running.get("/readyz").status_code == 503

        publish(mlflow_server, "followed", *bundles[0])
        running.wait(lambda said: said["number"] == 1)
        assert running.get("/readyz").status_code == 200
        np.testing.assert_array_equal(map_of(running.classify(body)), truth)

        publish(mlflow_server, "followed", *bundles[1])
        running.wait(lambda said: said["number"] == 2)
        turned = running.classify(body)
        np.testing.assert_array_equal(map_of(turned), np.where(truth == 255, 255, 1 - truth))
        assert turned.headers["x-bundle-id"] == bundles[1][1].id

        damaged = write_bundle(tmp_path / "damaged", 0.02)
        content = bytearray((tmp_path / "damaged" / "model.onnx").read_bytes())
        content[-20] ^= 1
        (tmp_path / "damaged" / "model.onnx").write_bytes(content)
        publish(mlflow_server, "followed", tmp_path / "damaged", damaged)
        said = running.wait(lambda said: not said["following"])
        assert said["number"] == 2
        assert "altered" in said["message"]
        assert running.get("/readyz").status_code == 200
        assert running.classify(body).content == turned.content
        assert not (running.places.bundles / damaged.file.sha256).exists()
    finally:
        code = stop(running)
    assert code == 0
    assert "Traceback" not in running.log.read_text()

    # The registry is gone: the same workspace starts again with what served last.
    alone = start(tmp_path / "home", f"http://127.0.0.1:{free_port()}", "followed")
    try:
        said = alone.wait(lambda said: said["ready"] and "does not answer" in said["message"])
        assert (said["number"], said["following"]) == (2, False)
        ready = alone.get("/readyz")
        assert ready.status_code == 200
        assert "does not answer" in ready.json()["message"]
        assert alone.classify(body).content == turned.content
    finally:
        stop(alone)
    assert len(list(PredictionLog(alone.places.predictions).lines())) == 2


def test_no_page_file_names_another_host() -> None:
    # What others wrote names its makers; the policy of the page keeps it from asking them.
    page = ROOT / "serving" / "page"
    files = [path for path in page.rglob("*") if path.is_file() and "vendor" not in path.parts]
    assert {path.name for path in files} >= {"index.html", "app.js", "style.css"}
    for path in files:
        text = path.read_text()
        text = text.replace('xmlns="http://www.w3.org/2000/svg"', "")  # a name, never fetched
        found = re.findall(r"(?:https?:)?//[a-z0-9.-]+\.[a-z]{2,}", text)
        assert found == [], path
        assert not re.search(r"\son[a-z]+=|style=\"|<script>", text), f"{path} would break its own policy"
