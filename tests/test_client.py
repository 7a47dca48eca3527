"""What a caller of the service sees when the service is not well."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from geoml_ops import client
from geoml_ops.client import Client
from geoml_ops.client.chips import as_bytes
from geoml_ops.core.errors import (
    BadInput,
    Cancelled,
    Conflict,
    GeomlError,
    NotFound,
    Refused,
    StorageFull,
    TooLarge,
    Unavailable,
)
from tests.answering import write_raster
from tests.conftest import free_port

Said = tuple[int, bytes, dict[str, str]]


@dataclass
class Server:
    """A server on loopback that gives its answers one after the other, the last one for ever.

    Attributes:
        url: where it is.
        asked: method, path, headers and body of each request.
    """

    url: str
    asked: list[tuple[str, str, dict[str, str], bytes]]


@contextmanager
def speaking(*answers: Said) -> Iterator[Server]:
    asked: list[tuple[str, str, dict[str, str], bytes]] = []

    class Answer(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            asked.append((self.command, self.path, dict(self.headers), body))
            status, content, headers = answers[min(len(asked), len(answers)) - 1]
            self.send_response(status)
            for name, value in {"Content-Length": str(len(content)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST

        def log_message(self, *_: object) -> None:
            return

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield Server(f"http://127.0.0.1:{server.server_port}", asked)
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def answering(status: int, body: bytes, kind: str = "application/json") -> Iterator[str]:
    """The address of a server that gives every request this answer."""
    with speaking((status, body, {"Content-Type": kind, "X-Prediction-Id": "prediction-0123456789abcdef"})) as server:
        yield server.url


@pytest.fixture
def raster(tmp_path: Path) -> Path:
    path = tmp_path / "in.tif"
    path.write_bytes(b"II*\0")
    return path


def test_a_service_that_is_down_is_named_and_nothing_is_written(raster: Path) -> None:
    out = raster.with_name("map.tif")
    with pytest.raises(Unavailable, match="does not answer") as caught:
        client.classify(f"http://127.0.0.1:{free_port()}", raster, out)
    assert caught.value.retryable
    assert not out.exists()


@pytest.mark.parametrize(("status", "kind"), [(422, BadInput), (413, BadInput), (503, Unavailable)])
def test_the_services_own_sentence_reaches_the_caller(raster: Path, status: int, kind: type[Exception]) -> None:
    body = json.dumps({"error": {"code": "x", "message": "B11 is missing.", "request_id": "1"}}).encode()
    out = raster.with_name("map.tif")
    with answering(status, body) as url, pytest.raises(kind, match="B11 is missing"):
        client.classify(url, raster, out)
    assert not out.exists()


def test_an_answer_without_a_sentence_is_still_an_error(raster: Path) -> None:
    with answering(502, b"<html>", "text/html") as url, pytest.raises(Unavailable, match="502"):
        client.classify(url, raster, raster.with_name("map.tif"))


def test_the_map_is_written_whole_and_the_prediction_named(raster: Path) -> None:
    out = raster.with_name("map.tif")
    with answering(200, b"map bytes", "image/tiff") as url:
        answer = client.classify(url, raster, out)
    assert out.read_bytes() == b"map bytes"
    assert answer["prediction"] == "prediction-0123456789abcdef"


def error(message: str = "No.") -> bytes:
    return json.dumps({"error": {"code": "x", "message": message, "request_id": "1"}}).encode()


def test_a_raster_and_a_map_go_from_disk_to_disk(tmp_path: Path) -> None:
    source, out = tmp_path / "in.tif", tmp_path / "map.tif"
    content = bytes(range(256)) * 4096
    source.write_bytes(content)
    said = {"X-Prediction-Id": "prediction-1", "X-Model-Number": "3", "X-Bundle-Id": "b", "X-Outside-Share": "0.25"}
    with speaking((200, content[::-1], said)) as server, Client(server.url, "geoml_secret") as service:
        answer = service.classify(source, out, layers=("class", "confidence"))
    method, path, headers, body = server.asked[0]
    assert (method, path) == ("POST", "/classify?layers=class%2Cconfidence")
    assert (headers["Content-Length"], headers["Content-Type"]) == (str(len(content)), "image/tiff")
    assert headers["Authorization"] == "Bearer geoml_secret"
    assert body == content
    assert out.read_bytes() == content[::-1]
    assert answer == {
        "prediction": "prediction-1", "number": "3", "bundle": "b", "outside_share": "0.25", "map": str(out)
    }  # fmt: skip


def test_an_answer_that_breaks_off_leaves_no_map(tmp_path: Path, raster: Path) -> None:
    out = tmp_path / "map.tif"
    with speaking((200, b"half", {"Content-Length": "8"})) as server, pytest.raises(Unavailable):
        client.classify(server.url, raster, out, timeout_s=5)
    assert not out.exists()
    assert [path.name for path in tmp_path.iterdir()] == [raster.name]


def test_later_is_waited_for_and_the_body_sent_again(raster: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rests: list[float] = []
    monkeypatch.setattr("geoml_ops.client.service.sleep", rests.append)
    later = (503, error(), {"Retry-After": "2"})
    out = raster.with_name("map.tif")
    with speaking(later, (429, error(), {"Retry-After": "7"}), (200, b"map", {})) as server:
        client.classify(server.url, raster, out)
        assert [body for *_, body in server.asked] == [b"II*\0"] * 3
    assert (rests, out.read_bytes()) == ([2.0, 7.0], b"map")
    with speaking(later) as server, pytest.raises(Unavailable, match=r"No\."):
        client.classify(server.url, raster, out)
    assert len(server.asked) == 3
    for wait in ("3600", "soon", "-1"):
        with speaking((503, error(), {"Retry-After": wait})) as server, pytest.raises(Unavailable):
            client.classify(server.url, raster, out)
        assert len(server.asked) == 1


@pytest.mark.parametrize(
    ("status", "kind"),
    [(401, Refused), (403, Refused), (404, NotFound), (408, Unavailable), (409, Conflict), (413, TooLarge),
     (415, BadInput), (422, BadInput), (429, Unavailable), (500, Unavailable), (504, Unavailable), (507, StorageFull)],
)  # fmt: skip
def test_refusals_are_errors_of_the_platform(status: int, kind: type[GeomlError]) -> None:
    because = status, error("Because of 7."), dict[str, str]()
    with speaking(because) as server, Client(server.url) as service, pytest.raises(GeomlError, match="of 7") as caught:
        service.model()
    assert type(caught.value) is kind


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"7", b'{"error": 7}', b'{"error": {"message": {}}}', b"\xff"])
def test_whatever_a_stranger_answers_is_an_error(body: bytes) -> None:
    with speaking((502, body, {})) as server, Client(server.url) as service, pytest.raises(Unavailable, match="502"):
        service.job("job-1")
    if not body.startswith(b"{"):
        with speaking((200, body, {})) as server, Client(server.url) as service, pytest.raises(Unavailable):
            service.job("job-1")


def test_a_chip_says_what_it_is_and_the_answer_is_read_by_its_headers() -> None:
    dn = np.arange(24, dtype=">u2").reshape(2, 3, 4)
    found = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    headers = {
        "X-Shape": "2,3,4", "X-Dtype": "uint8", "X-Layers": "class,confidence", "X-Bundle-Id": "bundle-1",
        "X-Graph-SHA256": "ab", "X-Model-Number": "5", "X-Request-Id": "r",
    }  # fmt: skip
    with speaking((200, found.tobytes(), headers)) as server, Client(server.url) as service:
        answer = service.classify_chip(dn, ("B02", "B03"), 1e-4, (-0.1, -0.1), nodata=0, output="layers")
    _, path, sent, body = server.asked[0]
    assert path == "/classify_chip?output=layers"
    assert body == dn.astype("<u2").tobytes()
    assert {name: sent[name] for name in ("X-Shape", "X-Dtype", "X-Bands", "X-Scale", "X-Offset", "X-Nodata")} == {
        "X-Shape": "2,3,4", "X-Dtype": "uint16", "X-Bands": "B02,B03", "X-Scale": "0.0001", "X-Offset": "-0.1,-0.1",
        "X-Nodata": "0.0",
    }  # fmt: skip
    np.testing.assert_array_equal(answer.arrays["confidence"], found[1])
    assert (answer.bundle, answer.graph_sha256, answer.number, answer.request_id) == ("bundle-1", "ab", 5, "r")


@pytest.mark.parametrize(
    "change", [{"X-Shape": "2,3,5"}, {"X-Dtype": "O"}, {"X-Model-Number": "x"}, {"X-Layers": "a,b"}]
)
def test_an_answer_about_chips_that_contradicts_itself(change: dict[str, str]) -> None:
    headers = {"X-Shape": "1,2,2", "X-Dtype": "uint8", "X-Layers": "class", "X-Model-Number": "5", **change}
    with speaking((200, b"abcd", headers)) as server, Client(server.url) as service, pytest.raises(Unavailable):
        service.classify_chip(np.zeros((1, 2, 2), np.uint8), ("B02",), 1e-4, 0.0)


def test_chips_that_cannot_be_sent() -> None:
    with Client("http://127.0.0.1:9") as service:
        with pytest.raises(BadInput, match="complex128"):
            service.classify_chip(np.zeros((1, 2, 2), complex), ("B02",), 1e-4, 0.0)
        with pytest.raises(BadInput, match="comma"):
            service.classify_chip(np.zeros((1, 2, 2), np.uint8), ("B02,B03",), 1e-4, 0.0)
        masked = np.ma.masked_greater(np.arange(4, dtype=np.uint16).reshape(1, 2, 2), 2)
        with pytest.raises(BadInput, match="masks are not sent"):
            service.classify_chip(masked, ("B02",), 1e-4, 0.0)


@pytest.mark.parametrize("bands", ["B02", ("Bü",), ("B0\n2",), (" B02",), (2,)])
def test_names_that_no_header_carries_are_the_callers_fault(bands: Any) -> None:
    with Client("http://127.0.0.1:9") as service, pytest.raises(BadInput, match="name"):
        service.classify_chip(np.zeros((1, 2, 2), np.uint8), bands, 1e-4, 0.0)


def test_numbers_of_numpy_are_numbers_and_words_are_not() -> None:
    _, said = as_bytes(np.zeros((2, 1, 1), np.uint16), ("B02", "B03"), np.float64(1e-4), np.zeros(2), np.uint16(0))  # type: ignore[arg-type]
    assert [said[name] for name in ("X-Scale", "X-Offset", "X-Nodata")] == ["0.0001", "0.0,0.0", "0.0"]
    with pytest.raises(BadInput, match="are numbers"):
        as_bytes(np.zeros((1, 1, 1), np.uint16), ("B02",), "fine", 0.0, None)  # type: ignore[arg-type]


def test_a_key_that_no_header_carries() -> None:
    with pytest.raises(BadInput, match="key"):
        Client("http://127.0.0.1:9", "geoml_ü")


def job(state: str, done_px: int = 0, **more: object) -> Said:
    return 200, json.dumps({"id": "job-1", "state": state, "done_px": done_px, "all_px": 10, **more}).encode(), {}


def test_a_job_from_submitting_to_its_map(raster: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("geoml_ops.client.service.sleep", lambda _: None)
    told: list[tuple[int, int]] = []
    script = [job("queued"), job("running", 4), (503, error(), {}), job("done", 10), (200, b"map", {})]
    with speaking((202, *job("queued")[1:]), *script) as server, Client(server.url) as service:
        known = service.submit(raster)
        assert service.wait(known["id"], lambda done, total: told.append((done, total)))["state"] == "done"
        assert service.result(known["id"], raster.with_name("map.tif"))["map"].endswith("map.tif")
    assert told == [(0, 10), (4, 10), (10, 10)]
    assert [path for _, path, *_ in server.asked] == ["/jobs", *["/jobs/job-1"] * 4, "/jobs/job-1/result"]
    assert raster.with_name("map.tif").read_bytes() == b"map"


def test_jobs_that_end_otherwise() -> None:
    failed = job("failed", message="B11 is missing.")
    with speaking(failed) as server, Client(server.url) as service, pytest.raises(BadInput, match="B11 is missing"):
        service.wait("job-1")
    with speaking(job("cancelled")) as server, Client(server.url) as service:
        assert service.cancel("job-1")["state"] == "cancelled"
        with pytest.raises(Cancelled):
            service.wait("../model")
    assert [path for _, path, *_ in server.asked] == ["/jobs/job-1/cancel", "/jobs/..%2Fmodel"]


def test_a_large_raster_is_known_by_the_services_own_limit(tmp_path: Path) -> None:
    source = tmp_path / "scene.tif"
    write_raster(source)  # 300 x 400 pixels
    for most, large in ((120_000, False), (119_999, True)):
        said = json.dumps({"limits": {"max_sync_pixels": most}}).encode()
        with speaking((200, said, {})) as server, Client(server.url) as service:
            assert service.is_large(source) is large
            assert service.is_large(source) is large
        assert len(server.asked) == 1


def test_ready_is_a_question_without_an_error() -> None:
    with Client(f"http://127.0.0.1:{free_port()}") as service:
        assert not service.ready()
    for status in (200, 503):
        with speaking((status, b"{}", {})) as server, Client(server.url) as service:
            assert service.ready() is (status == 200)
