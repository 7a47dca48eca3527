"""What a caller of the service sees when the service is not well."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from geoml_ops import client
from geoml_ops.core.errors import BadInput, Unavailable
from tests.conftest import free_port


@contextmanager
def answering(status: int, body: bytes, kind: str = "application/json") -> Iterator[str]:
    """A server on loopback that gives every POST this answer."""

    class Answer(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("X-Prediction-Id", "prediction-0123456789abcdef")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            return

    server = http.server.HTTPServer(("127.0.0.1", 0), Answer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


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
