"""The real service as a process of its own, beside a real registry."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from geoml_ops.core.flow import Bundle
from geoml_ops.settings import QUIET, Settings
from geoml_ops.steps.places import Places
from tests.answering import publish, write_bundle, write_raster
from tests.conftest import ROOT, free_port, wait_for

MODEL = "served"


@dataclass
class Service:
    """One running service and how to talk to it."""

    url: str
    places: Places
    process: subprocess.Popen[bytes]
    log: Path
    witness: Path

    def get(self, path: str, **question: Any) -> httpx.Response:
        return httpx.get(self.url + path, params=question, timeout=30, trust_env=False)

    def classify(self, body: bytes, kind: str = "image/tiff", **question: str) -> httpx.Response:
        return httpx.post(
            f"{self.url}/classify",
            content=body,
            headers={"Content-Type": kind},
            params=question,
            timeout=120,
            trust_env=False,
        )

    def wait(self, holds: Callable[[dict[str, Any]], bool], timeout_s: float = 30.0) -> dict[str, Any]:
        """Returns what /model says once ``holds`` is true of it."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            said: dict[str, Any] = self.get("/model").json()
            if holds(said):
                return said
            time.sleep(0.1)
        raise AssertionError(f"/model still says {said}\n{self.log.read_text()[-2000:]}")


def start(home: Path, tracking_uri: str, model: str = MODEL, **more: str) -> Service:
    port, witness = free_port(), home / "witness"
    witness.mkdir(parents=True, exist_ok=True)
    settings = {"GEOML_WORKSPACE": str(home / "workspace"), "GEOML_TRACKING_URI": tracking_uri, "GEOML_MODEL": model}
    settings |= {"GEOML_POLL_S": "0.3", "GEOML_MAX_UPLOAD_MB": "16", "GEOML_MAX_PIXELS": "1000000", **more}
    env = {**os.environ, **QUIET, **settings, "BENTOML_HOME": str(home / "bentoml")}
    env |= {"GEOML_TEST_WITNESS": str(witness)}
    env["PYTHONPATH"] = os.pathsep.join([str(ROOT / "tests" / "serving" / "witness"), str(ROOT)])
    command = [sys.executable, "-m", "bentoml", "serve", "serving.service:Landcover"]
    log = home / "service.log"
    with log.open("ab") as stream:
        process = subprocess.Popen(
            [*command, "--host", "127.0.0.1", "--port", str(port)], cwd=ROOT, env=env, stdout=stream, stderr=stream
        )
    wait_for(f"http://127.0.0.1:{port}/livez", process, log)
    places = Settings(workspace=home / "workspace", tracking_uri=tracking_uri, model=model).places()
    return Service(f"http://127.0.0.1:{port}", places, process, log, witness)


def stop(service: Service) -> int:
    service.process.terminate()
    try:
        return service.process.wait(20)
    except subprocess.TimeoutExpired:
        service.process.kill()
        raise


@pytest.fixture(scope="session")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Path, Bundle]]:
    """Two bundles that disagree: the second calls green what the first calls bare."""
    homes = [tmp_path_factory.mktemp("bundles") / name for name in ("first", "second")]
    return [(home, write_bundle(home, steep)) for home, steep in zip(homes, (0.01, -0.01), strict=True)]


@pytest.fixture(scope="session")
def service(
    mlflow_server: str, bundles: list[tuple[Path, Bundle]], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    """A service whose champion is the first bundle."""
    running = start(tmp_path_factory.mktemp("service"), mlflow_server)
    try:
        assert running.get("/readyz").status_code == 503
        publish(mlflow_server, MODEL, *bundles[0])
        running.wait(lambda said: said["ready"])
        yield running
    finally:
        stop(running)


@pytest.fixture(scope="session")
def raster(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, Any]:
    """A raster as bytes, and its true classes."""
    path = tmp_path_factory.mktemp("raster") / "scene.tif"
    truth = write_raster(path)
    return path.read_bytes(), truth
