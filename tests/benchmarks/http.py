"""Chips over HTTP against the bare call of the same graph: the real service, its guard and its keys, on this machine.

Callers of a crowd are a process of their own (:mod:`tests.benchmarks.callers`): they must not share an interpreter with
what is timed, and hardly the processors.
"""

from __future__ import annotations

import http.client
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray

from geoml_ops.platform.files import write_json
from geoml_ops.settings import CHECKOUT, QUIET
from geoml_ops.steps import chips
from geoml_ops.steps.keys import new_key
from tests.benchmarks.pairs import Figure, in_turns
from tests.benchmarks.reference import BANDS, ground, reference
from tests.conftest import free_port, wait_for

EDGE_PX, CLIENTS, ROUND_S = 256, 32, 2.0
SAID = chips.Said(BANDS, (1e-4,), (0.0,))


@dataclass(frozen=True)
class Serving:
    """A running service, and the key that opens it."""

    url: str
    key: str

    def headers(self, dn: NDArray[np.uint16]) -> dict[str, str]:
        """Returns what a request has to say of an array."""
        return {
            "Authorization": f"Bearer {self.key}",
            "Content-Type": "application/octet-stream",
            "X-Shape": ",".join(map(str, dn.shape)),
            "X-Dtype": "uint16",
            "X-Bands": ",".join(BANDS),
            "X-Scale": "0.0001",
            "X-Offset": "0",
        }


@contextmanager
def serving(name: str, threads: int) -> Iterator[Serving]:
    """Runs the service as a process with one reference bundle; it needs no registry, as after a restart without one."""
    kept = reference(name)
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        kept.write(home / "workspace" / "bundles" / kept.bundle.file.sha256)
        release = {"model": "landcover", "number": 1, "bundle": kept.bundle.id}
        release["graph_sha256"] = kept.bundle.file.sha256
        write_json(home / "workspace" / "service" / "champion.json", release)
        key = new_key(home / "keys.yaml", "bench", "classifier")
        own = {"WORKSPACE": home / "workspace", "KEYS": home / "keys.yaml", "THREADS": threads}
        own |= {"TRACKING_URI": f"http://127.0.0.1:{free_port()}", "POLL_S": 60}
        env = {**os.environ, **QUIET, **{f"GEOML_{name}": str(value) for name, value in own.items()}}
        env |= {"BENTOML_HOME": str(home / "bentoml"), "PYTHONPATH": str(CHECKOUT)}
        port, log = free_port(), home / "service.log"
        command = [sys.executable, "-m", "bentoml", "serve", "serving.service:Landcover", "--host", "127.0.0.1"]
        with log.open("ab") as stream:
            process = subprocess.Popen(
                [*command, "--port", str(port)], cwd=CHECKOUT, env=env, stdout=stream, stderr=stream
            )
        try:
            wait_for(f"http://127.0.0.1:{port}/readyz", process, log)
            yield Serving(f"http://127.0.0.1:{port}", key)
        finally:
            process.terminate()
            process.wait(20)


def connected(url: str) -> http.client.HTTPConnection:
    """Returns a connection that sends what it is given at once."""
    found = http.client.HTTPConnection(urlsplit(url).netloc, timeout=60)
    found.connect()
    found.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return found


def asked(connection: http.client.HTTPConnection, body: bytes, headers: Mapping[str, str]) -> bytes:
    """Returns the answer to one chip; anything but success ends the program."""
    connection.request("POST", "/classify_chip", body=body, headers=dict(headers))
    answer = connection.getresponse()
    content = answer.read()
    if answer.status != 200:
        raise SystemExit(f"the service answered {answer.status}: {content[:300]!r}")
    return content


def chip(edge_px: int = EDGE_PX) -> NDArray[np.uint16]:
    """Returns DN uint16 ``(band, y, x)`` of a square chip of the landscape that the bundles learned."""
    side = max(60, -(-edge_px // 6) * 6)
    whole = ground(side, side)
    return np.ascontiguousarray(whole[:, :edge_px, :edge_px])


def one_chip(name: str) -> Figure:
    """A chip over HTTP, one after the other, against the same graph on an array in memory: one thread each."""
    dn, model = chip(), reference("light").model()
    read, body = dn.astype(np.float32)[None], dn.tobytes()
    with serving("light", threads=1) as service:
        connection, headers = connected(service.url), service.headers(dn)
        if asked(connection, body, headers) != chips.classify_chips(model, dn[None], SAID).answer.tobytes():
            raise SystemExit(f"{name}: the two parts differ; their speeds say nothing")
        figure = in_turns(
            name,
            "",
            lambda: asked(connection, body, headers),
            lambda: model.run(read),
            size=EDGE_PX**2,
            unit="pixels/s",
            most_rounds=301,
        )
    ours, bare = (1e3 * figure.size / speed for speed in (figure.ours, figure.against))
    return replace(
        figure,
        compared=f"POST /classify_chip of {EDGE_PX} x {EDGE_PX} x 10 uint16, guard and keys on, against the light "
        f"graph on the array in memory; one thread each; p50 {ours:.2f} ms over {bare:.2f} ms, so {ours - bare:.2f} ms "
        "more",
    )


def clients(bundle: str, edge_px: int, threads: int, name: str) -> Figure:
    """Many callers at once against as many threads that call the graph on parts as large as the service's calls."""
    dn, model = chip(edge_px), reference(bundle).model()
    part_px = min(edge_px, chips.EDGE_PX)
    together = max(1, chips.PART_PX // part_px**2)
    read = np.repeat(dn[None, :, :part_px, :part_px].astype(np.float32), together, axis=0)
    with serving(bundle, threads) as service, callers(service, dn) as ask, ThreadPoolExecutor(threads) as pool:

        def over_http() -> float:
            return ask(ROUND_S) * edge_px**2 / ROUND_S

        def bare_calls() -> float:
            return _called(pool, threads, partial(model.run, read)) * read[:, 0].size / ROUND_S

        over_http()
        speeds: list[tuple[float, float]] = []
        for turn in range(5):
            first = over_http() if turn % 2 else 0.0
            against = bare_calls()
            speeds.append((first or over_http(), against))
    ratios = np.quantile([own / plain for own, plain in speeds], [0.25, 0.5, 0.75])
    low, middle, high = (round(float(ratio), 3) for ratio in ratios)
    ours, against = (round(float(np.median([pair[at] for pair in speeds]))) for at in (0, 1))
    return Figure(
        name=name,
        compared=f"{CLIENTS} callers of POST /classify_chip with {edge_px} x {edge_px} x 10 uint16, guard and keys on, "
        f"against the {bundle} graph on arrays in memory of {together} x {part_px} x {part_px} pixels; "
        f"{threads} threads each, callers on the same machine ({os.cpu_count()} processors)",
        ours=ours,
        against=against,
        ratio=middle,
        ratio_low=low,
        ratio_high=high,
        unit="pixels/s",
        size=edge_px**2,
        rounds=len(speeds),
    )


def _called(pool: ThreadPoolExecutor, threads: int, work: Callable[[], object]) -> int:
    """Returns how often several threads were through with a piece of work within a round."""
    end = time.perf_counter() + ROUND_S

    def one(_: int) -> int:
        n = 0
        while time.perf_counter() < end:
            work()
            n += 1
        return n

    return sum(pool.map(one, range(threads)))


@contextmanager
def callers(service: Serving, dn: NDArray[np.uint16]) -> Iterator[Callable[[float], int]]:
    """Yields what has all callers ask for some seconds and returns how many answers they got; they are a process."""
    where, body = urlsplit(service.url), dn.tobytes()
    said = {"Host": where.netloc, **service.headers(dn), "Content-Length": str(len(body))}
    head = ["POST /classify_chip HTTP/1.1", *(f"{name}: {value}" for name, value in said.items()), "", ""]
    with tempfile.NamedTemporaryFile() as file:
        file.write("\r\n".join(head).encode() + body)
        file.flush()
        words = [str(where.hostname), str(where.port), file.name, str(CLIENTS)]
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.benchmarks.callers", *words],
            cwd=CHECKOUT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdin
        assert process.stdout
        stdin, stdout = process.stdin, process.stdout

        def ask(seconds: float) -> int:
            stdin.write(f"{seconds}\n")
            stdin.flush()
            return int(stdout.readline())

        try:
            yield ask
        finally:
            stdin.close()
            process.wait(20)


FIGURES: Mapping[str, Callable[[str], Figure]] = {
    "http_chip": one_chip,
    "http_clients_32": partial(clients, "light", EDGE_PX, 1),
    "http_clients_32_forest": partial(clients, "forest", EDGE_PX, 1),
}
