"""A real service that asks for keys and whose model takes its time, and rasters for it."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import onnx
import psutil
import pytest
from onnx import helper

from geoml_ops.adapters.raster import write_scene
from geoml_ops.core.bands import SENTINEL_2_L1C
from geoml_ops.core.flow import Bundle
from geoml_ops.core.noun import FileRef
from geoml_ops.platform.files import sha256_of
from geoml_ops.steps.keys import Quota, new_key
from tests.answering import BANDS, DECLARED, publish, world, write_bundle
from tests.serving.conftest import Service, start, stop

MODEL = "slow"
#: What /classify takes, what one key may have a day, and how long a request may work.
SYNC_PX, DAY_PX, REQUEST_S = 4_000_000, 2_500_000, 1.2


@dataclass
class Keyed:
    """The service with its keys, by whoever has them."""

    service: Service
    home: Path
    keys: dict[str, str]
    registry: str

    def ask(self, method: str, path: str, who: str = "office", **more: Any) -> httpx.Response:
        headers = {**({"Authorization": f"Bearer {self.keys[who]}"} if who else {}), **more.pop("headers", {})}
        url = self.service.url + path
        return httpx.request(method, url, headers=headers, timeout=60, trust_env=False, **more)

    def send(self, path: str, body: bytes, who: str = "office", **question: str) -> httpx.Response:
        headers = {"Content-Type": "image/tiff"}
        return self.ask("POST", path, who, content=body, headers=headers, params=question)

    def wait(self, job: str, states: tuple[str, ...] = ("done",), who: str = "office") -> dict[str, Any]:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            said: dict[str, Any] = self.ask("GET", f"/jobs/{job}", who).json()
            if said["state"] in states:
                return said
            assert said["state"] in ("queued", "running"), said
            time.sleep(0.05)
        raise AssertionError(f"still {said}\n{self.service.log.read_text()[-2000:]}")

    def kill(self) -> None:
        """Kills every process of the service as a power cut would."""
        leader = psutil.Process(self.service.process.pid)
        for process in [leader, *leader.children(recursive=True)]:
            process.send_signal(signal.SIGKILL)
        self.service.process.wait(10)

    def begin(self) -> None:
        self.service = start(self.home, self.registry, MODEL, **environment(self.home))
        deadline = time.monotonic() + 60
        while self.ask("GET", "/readyz").status_code != 200 and time.monotonic() < deadline:
            time.sleep(0.1)


def environment(home: Path) -> dict[str, str]:
    said = {"KEYS": home / "keys.yaml", "MAX_SYNC_PIXELS": SYNC_PX, "REQUEST_S": REQUEST_S, "THREADS": 1}
    return {f"GEOML_{name}": str(value) for name, value in said.items()} | {"GEOML_MAX_PIXELS": "6000000"}


def slow_bundle(folder: Path, rounds: int) -> Bundle:
    """Writes the small bundle with ``rounds`` steps more that change no answer and take their time."""
    bundle = write_bundle(folder)
    path = folder / "model.onnx"
    model = onnx.load(path)
    nodes = list(model.graph.node)
    last = "dn"
    more = []
    for turn in range(rounds):
        more.append(helper.make_node("Sigmoid", [last], [f"turn{turn}"]))
        last = f"turn{turn}"
    more += [
        helper.make_node("Mul", [last, "zero"], ["nothing0"]),
        helper.make_node("ReduceSum", ["nothing0", "axis"], ["nothing1"], keepdims=1),
        helper.make_node("Add", ["score", "nothing1"], ["score2"]),
    ]
    at = next(n for n, node in enumerate(nodes) if node.op_type == "Sigmoid")
    nodes[at].input[0] = "score2"
    del model.graph.node[:]
    model.graph.node.extend([*nodes[:at], *more, *nodes[at:]])
    onnx.checker.check_model(model, full_check=True)
    path.write_bytes(model.SerializeToString(deterministic=True))
    file = FileRef(path=path.name, sha256=sha256_of(path), size=path.stat().st_size)
    slow = bundle.model_copy(update={"file": file})
    (folder / "bundle.json").write_text(json.dumps(slow.as_json()))
    return slow


def raster_of(path: Path, height: int, width: int, seed: int = 0, *, plain: bool = False) -> tuple[bytes, Any]:
    """Returns a raster of the four bands that are read, and its true classes; a plain one has few numbers."""
    dn, truth, grid = world(height, width, seed)
    if plain:
        dn = np.where(dn > 0, dn // 1000 * 1000 + 500, 0).astype(np.uint16)
    at = [SENTINEL_2_L1C.names.index(band) for band in BANDS]
    write_scene(path, np.ascontiguousarray(dn[at]), grid, SENTINEL_2_L1C.subset(BANDS), DECLARED, {})
    return path.read_bytes(), truth


@pytest.fixture(scope="session")
def keyed(mlflow_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Keyed]:
    """A service that asks for keys; its champion needs some seconds for SYNC_PX."""
    home = tmp_path_factory.mktemp("keyed")
    bundle = home / "bundle"
    publish(mlflow_server, MODEL, bundle, slow_bundle(bundle, 300))
    path = home / "keys.yaml"
    quota = Quota(pixels_per_day=DAY_PX)
    keys = {"office": new_key(path, "office", "classifier"), "other": new_key(path, "other", "classifier", quota=quota)}
    keys |= {"viewer": new_key(path, "viewer", "reader"), "owner": new_key(path, "owner", "operator")}
    keys["few"] = new_key(path, "few", "reader", quota=Quota(requests_per_minute=5))
    os.environ.pop("GEOML_KEYS", None)
    running = Keyed(None, home, keys, mlflow_server)  # type: ignore[arg-type]
    running.begin()
    try:
        yield running
    finally:
        if running.service.process.poll() is None:
            stop(running.service)
