"""Promotions under load: the real service, a real registry that dies on the way, and every answer checked."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from geoml_ops.adapters.ort import Graph
from geoml_ops.core.bands import SENTINEL_2_L1C
from geoml_ops.core.flow import Bundle
from geoml_ops.core.noun import FileRef
from geoml_ops.domain.swap import decode, encode
from geoml_ops.platform.files import read_json, write_json
from geoml_ops.settings import CHECKOUT, QUIET
from geoml_ops.steps.golden import golden_tiles
from tests.answering import BANDS, golden_of, graph, publish, world, write_bundle, wrong_golden
from tests.conftest import free_port, wait_for
from tests.serving.conftest import Service, start, stop

pytestmark = pytest.mark.slow
FULL = pytest.mark.skipif(os.environ.get("GEOML_FULL") != "1", reason="takes minutes; make full")
NUMBERS = CHECKOUT / "workspace" / "full" / "swaps.json"
SECRET = "a secret of this test"
EDGE, N_CHIPS = 32, 40


@dataclass
class Server:
    """A registry of our own, to be killed."""

    home: Path
    port: int
    process: subprocess.Popen[bytes] | None = None

    @property
    def uri(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def begin(self) -> None:
        command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(self.port)]
        command += ["--workers", "1", "--backend-store-uri", f"sqlite:///{self.home / 'mlflow.db'}"]
        command += ["--artifacts-destination", str(self.home / "artifacts")]
        more = {"MLFLOW_WEBHOOK_ALLOWED_SCHEMES": "http,https", "MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS": "true"}
        more |= {"MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY": "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="}
        more |= {"MLFLOW_WEBHOOK_CACHE_TTL": "1"}  # MLflow 3.17 keeps for a minute that nobody wants to be called
        with (self.home / "log.txt").open("ab") as stream:
            self.process = subprocess.Popen(
                command, cwd=self.home, env={**os.environ, **QUIET, **more}, stdout=stream, stderr=stream,
                start_new_session=True,
            )  # fmt: skip
        wait_for(f"{self.uri}/health", self.process, self.home / "log.txt")

    def kill(self) -> None:
        """Kills it and the workers it started, as a machine that is switched off."""
        if self.process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, 9)
            self.process.wait(10)
            self.process = None

    def point_at(self, model: str, number: int) -> None:
        question = {"name": model, "alias": "champion", "version": str(number)}
        path = "/api/2.0/mlflow/registered-models/alias"
        answer = httpx.post(self.uri + path, json=question, timeout=30, trust_env=False)
        assert answer.status_code == 200, answer.text


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    made = Server(tmp_path_factory.mktemp("registry"), free_port())
    made.begin()
    try:
        yield made
    finally:
        made.kill()


@dataclass(frozen=True, eq=False)
class Candidate:
    """A registered bundle: whether it may serve, and what it says when it is asked here."""

    number: int
    bundle: Bundle
    session: onnxruntime.InferenceSession
    good: bool

    def answer(self, chip: NDArray[np.uint16]) -> bytes:
        """The layers of a chip, by nothing but onnxruntime and numpy."""
        radiometry = self.bundle.radiometry
        dn = np.where(
            (chip == 0).any(axis=0), np.float32(np.nan), chip.astype(np.float32) + np.float32(shift(radiometry))
        )
        probability, valid = self.session.run(["probability", "valid"], {"dn": dn[np.newaxis].astype(np.float32)})
        known = valid[0, 0].astype(bool)
        codes = np.where(known, probability[0].argmax(axis=0), 255).astype(np.uint8)
        percent = np.where(known, np.rint(probability[0].max(axis=0) * np.float32(100)), 255).astype(np.uint8)
        return codes.tobytes() + percent.tobytes()


def shift(radiometry: Any) -> float:
    """What brings DN as they are sent here, without an offset, to a bundle's radiometry."""
    return float(radiometry.offset_dn) * -1.0


@dataclass
class Tally:
    """What came back, in order."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    n: int = 0
    statuses: dict[int, int] = field(default_factory=dict)
    by_number: dict[int, int] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)
    latency_s: list[float] = field(default_factory=list)
    while_dead: int = 0


@dataclass
class Load:
    """Clients that send chips and hold every answer against the bundle that it names.

    They ask ``rate`` times a second; while the registry is dead less often, ``n_dead`` times at most.
    """

    service: Service
    candidates: Sequence[Candidate]
    chips: Sequence[NDArray[np.uint16]]
    bands: Sequence[str]
    rate: float
    n_dead: int
    dead: threading.Event = field(default_factory=threading.Event)
    tally: Tally = field(default_factory=Tally)

    def __post_init__(self) -> None:
        self.known = {c.bundle.id: c for c in self.candidates}
        self.expected = {(c.bundle.id, i): c.answer(chip) for c in self.candidates for i, chip in enumerate(self.chips)}
        self.lock, self.next_at, self.n_asked, self.n_asked_dead = threading.Lock(), time.monotonic(), 0, 0

    def numbers(self, n: int) -> Iterator[int]:
        """Yields which request is next, at its time; clients share one count."""
        while True:
            with self.lock:
                if self.n_asked >= n:
                    return
                dead = self.dead.is_set()
                wait = dead and self.n_asked_dead >= self.n_dead
                number, self.n_asked = self.n_asked, self.n_asked + (not wait)
                self.n_asked_dead += dead and not wait
                self.next_at = max(self.next_at, time.monotonic()) + 1 / (self.rate / 3 if dead else self.rate)
                at = self.next_at
            time.sleep(max(0.0, at - time.monotonic()))
            if not wait:
                yield number

    def client(self, numbers: Iterator[int]) -> None:
        headers = {
            "Content-Type": "application/octet-stream", "X-Shape": f"{len(self.bands)},{EDGE},{EDGE}",
            "X-Dtype": "uint16", "X-Bands": ",".join(self.bands), "X-Scale": "0.0001", "X-Offset": "0", "X-Nodata": "0",
        }  # fmt: skip
        with httpx.Client(base_url=self.service.url, timeout=30, trust_env=False) as http:
            for number in numbers:
                at = number % len(self.chips)
                begun = time.perf_counter()
                answer = http.post("/classify_chip", content=self.chips[at].tobytes(), headers=headers)
                self.note(answer, at, time.perf_counter() - begun)

    def note(self, answer: httpx.Response, at: int, seconds: float) -> None:
        with self.tally.lock:
            tally = self.tally
            tally.n += 1
            tally.while_dead += self.dead.is_set()
            tally.latency_s.append(seconds)
            tally.statuses[answer.status_code] = tally.statuses.get(answer.status_code, 0) + 1
            if answer.status_code != 200:
                tally.wrong.append(f"{answer.status_code} {answer.text[:200]}")
                return
            bundle, number = answer.headers["x-bundle-id"], int(answer.headers["x-model-number"])
            tally.by_number[number] = tally.by_number.get(number, 0) + 1
            one = self.known[bundle]
            names = (one.bundle.file.sha256, one.number) == (answer.headers["x-graph-sha256"], number)
            if not names or not one.good or answer.content != self.expected[bundle, at]:
                tally.wrong.append(f"an answer that {bundle} number {number} does not give")

    def run(self, n: int, clients: int, meanwhile: Callable[[], None]) -> None:
        with ThreadPoolExecutor(clients + 1) as pool:
            work = [pool.submit(self.client, self.numbers(n)) for _ in range(clients)]
            control = pool.submit(meanwhile)
            for one in work:
                one.result()
            control.result()


def changes(server: Server, load: Load, model: str, order: Sequence[Candidate], n: int, dead_s: float) -> None:
    """Moves the alias at even distances over the requests; in the middle the registry is dead for some seconds."""
    for turn, candidate in enumerate(order, start=1):
        while load.tally.n - load.tally.while_dead < turn * (n - load.n_dead) / (len(order) + 1):
            time.sleep(0.01)
        server.point_at(model, candidate.number)
        if turn == len(order) // 2:
            load.service.wait(partial(answers, served_after(order[:turn])))
            load.dead.set()
            server.kill()
            time.sleep(dead_s)
            said = load.service.get("/readyz")
            assert said.status_code == 200
            assert "does not answer" in said.json()["message"]
            server.begin()
            load.dead.clear()


def served_after(order: Sequence[Candidate]) -> int:
    return [one.number for one in order if one.good][-1]


def answers(number: int, said: dict[str, Any]) -> bool:
    return bool(said["number"] == number)


def cut(dn: NDArray[np.uint16]) -> list[NDArray[np.uint16]]:
    """Chips from all over some ground, the first one with nodata."""
    rng = np.random.default_rng(1)
    corners = rng.integers(0, [dn.shape[1] - EDGE, dn.shape[2] - EDGE], (N_CHIPS, 2))
    chips = [np.ascontiguousarray(dn[:, row : row + EDGE, col : col + EDGE]) for row, col in corners]
    chips[0] = chips[0].copy()
    chips[0][:, 3:9, :5] = 0
    return chips


def session(graph: bytes) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])


def published(server: Server, model: str, folder: Path, bundle: Bundle, good: bool) -> Candidate:
    number = publish(server.uri, model, folder, bundle, alias=None)
    return Candidate(number, bundle, session((folder / "model.onnx").read_bytes()), good)


def small(server: Server, model: str, home: Path) -> tuple[list[Candidate], list[Candidate]]:
    """Four bundles that differ, and two that expect of themselves what they do not answer."""
    good = [
        published(server, model, home / f"good-{at}", write_bundle(home / f"good-{at}", steep), True)
        for at, steep in enumerate((0.001, -0.001, 0.002, -0.0005))
    ]
    bad = [
        published(
            server, model, home / f"bad-{at}",
            write_bundle(home / f"bad-{at}", steep, "evaluation-00000000000000bb", golden="wrong"), False,
        )
        for at, steep in enumerate((0.003, 0.001))
    ]  # fmt: skip
    return good, bad


def keep(name: str, numbers: Any) -> None:
    NUMBERS.parent.mkdir(parents=True, exist_ok=True)
    known = read_json(NUMBERS) if NUMBERS.exists() else {}
    write_json(NUMBERS, known | {name: json.loads(json.dumps(numbers))})


def verdict(load: Load, order: Sequence[Candidate]) -> dict[str, Any]:
    tally = load.tally
    said = load.service.get("/model").json()
    times = np.sort(tally.latency_s)
    return {
        "requests": tally.n,
        "statuses": tally.statuses,
        "wrong": tally.wrong[:20],
        "n_wrong": len(tally.wrong),
        "answers_by_number": tally.by_number,
        "alias_changes": len(order),
        "of_them_failing_golden_tiles": sum(not one.good for one in order),
        "answers_of_failing": sum(tally.by_number.get(one.number, 0) for one in order if not one.good),
        "answered_while_registry_dead": tally.while_dead,
        "latency_ms": {name: round(float(np.quantile(times, q)) * 1e3, 1) for name, q in (("p50", 0.5), ("p99", 0.99))},
        "latency_ms_max": round(float(times[-1]) * 1e3, 1),
        "serving_at_the_end": said["number"],
    }


def test_no_request_fails_or_is_answered_by_a_bundle_that_it_does_not_name(server: Server, tmp_path: Path) -> None:
    model = "swapped"
    good, bad = small(server, model, tmp_path)
    server.point_at(model, good[0].number)
    service = start(tmp_path / "home", server.uri, model, GEOML_POLL_S="0.1")
    try:
        service.wait(lambda said: said["ready"])
        dn, _, _ = world()
        chips = cut(np.ascontiguousarray(dn[[SENTINEL_2_L1C.names.index(name) for name in BANDS]]))
        load = Load(service, [*good, *bad], chips, BANDS, rate=110, n_dead=150)
        order = [good[1], bad[0], good[2], bad[1], good[3], good[0]]
        load.run(1500, 8, lambda: changes(server, load, model, order, 1500, 2.0))
        numbers = verdict(load, order)
        assert (numbers["statuses"], numbers["n_wrong"]) == ({200: 1500}, 0), numbers
        assert set(numbers["answers_by_number"]) == {one.number for one in good}, numbers
        assert numbers["answered_while_registry_dead"] > 50
        assert numbers["serving_at_the_end"] == good[0].number
        told = service.get("/model").json()
        assert (told["golden"]["asked"], told["golden"]["n_same"], told["refusal"]) == (True, 6, None)
        assert told["shadow"]["share"] is not None
        assert "Traceback" not in service.log.read_text()
    finally:
        stop(service)


def test_the_registry_itself_calls_and_the_service_comes(server: Server, tmp_path: Path) -> None:
    from mlflow import MlflowClient
    from mlflow.entities.webhook import WebhookAction, WebhookEntity, WebhookEvent

    model = "called"
    one, other = (
        published(server, model, tmp_path / name, write_bundle(tmp_path / name, steep), True)
        for name, steep in (("one", 0.01), ("other", 0.02))
    )
    server.point_at(model, one.number)
    service = start(tmp_path / "home", server.uri, model, GEOML_POLL_S="3600", GEOML_WEBHOOK_SECRET=SECRET)
    try:
        service.wait(lambda said: said["number"] == one.number)
        event = WebhookEvent(WebhookEntity.MODEL_VERSION_ALIAS, WebhookAction.CREATED)
        MlflowClient(server.uri).create_webhook("service", f"{service.url}/hooks/registry", [event], secret=SECRET)
        time.sleep(1.5)
        server.point_at(model, other.number)
        service.wait(lambda said: said["number"] == other.number)
    finally:
        stop(service)


def light(server: Server, model: str, home: Path) -> tuple[list[Candidate], list[Candidate]]:
    """``light`` and three that learned otherwise, and five that expect of themselves what they do not answer."""
    from tests.benchmarks.reference import ground, reference

    known = reference("light")
    grounds = [ground()[:, at : at + 64, at : at + 64].astype(np.float32) for at in (0, 60, 120, 180)]
    found: tuple[list[Candidate], list[Candidate]] = ([], [])
    for at in range(9):
        graph, good, folder = varied(known.graph, at), at < 4, home / f"light-{at}"
        golden = golden_tiles(grounds, Graph(graph), 0)
        known.write(folder)
        (folder / "model.onnx").write_bytes(graph)
        (folder / "golden.tiles").write_bytes(golden if good else encode(wrong_golden(decode(golden))))
        files = {"file": ref(folder / "model.onnx"), "golden": ref(folder / "golden.tiles")}
        bundle = known.bundle.model_copy(update=files)
        write_json(folder / "bundle.json", bundle.as_json())
        found[0 if good else 1].append(published(server, model, folder, bundle, good))
    return found


def varied(graph: bytes, at: int) -> bytes:
    """The logistic regression with its classes exchanged ``at`` times, and a little steeper each time."""
    if at == 0:
        return graph
    loaded = onnx.load_model_from_string(graph)
    for tensor in loaded.graph.initializer:
        numbers = numpy_helper.to_array(tensor)
        if numbers.dtype == np.float64 and numbers.shape[-1] == 5:
            changed = np.roll(numbers, at, axis=-1) * (1 + 0.03 * at)
            tensor.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(changed), tensor.name))
    return bytes(loaded.SerializeToString(deterministic=True))


def ref(path: Path) -> FileRef:
    content = path.read_bytes()
    return FileRef(path=path.name, sha256=hashlib.sha256(content).hexdigest(), size=len(content))


@pytest.mark.full
@FULL
def test_ten_thousand_requests_and_twenty_promotions(server: Server, tmp_path: Path) -> None:
    from tests.benchmarks.reference import BANDS as TEN
    from tests.benchmarks.reference import ground

    model = "light"
    good, bad = light(server, model, tmp_path)
    server.point_at(model, good[0].number)
    service = start(tmp_path / "home", server.uri, model, GEOML_POLL_S="0.3")
    try:
        service.wait(lambda said: said["ready"])
        load = Load(service, [*good, *bad], cut(ground()), TEN, rate=85, n_dead=1500)
        order = [good[(at + 1) % 4] for at in range(20)]
        for number, at in enumerate((2, 6, 11, 14, 18)):
            order[at] = bad[number]
        load.run(10_000, 16, lambda: changes(server, load, model, order, 10_000, 60.0))
        numbers = verdict(load, order)
        keep("swaps", numbers)
        assert (numbers["statuses"], numbers["n_wrong"]) == ({200: 10_000}, 0), numbers
        assert numbers["answers_of_failing"] == 0
        assert set(numbers["answers_by_number"]) == {one.number for one in good}, numbers
        assert numbers["answered_while_registry_dead"] > 1000
    finally:
        stop(service)


DEPTH, TREES = 14, 330


def heavy(steepness: float) -> bytes:
    """A small bundle's graph with hundreds of thousands of leaves beside it, whose sum counts for nothing."""
    model, per_tree = onnx.load_model_from_string(graph(steepness)), 2**DEPTH - 1
    node, tree = np.tile(np.arange(per_tree), TREES), np.repeat(np.arange(TREES), per_tree)
    leaf = node >= per_tree // 2
    last = np.flatnonzero(leaf)
    level = np.random.default_rng(0).uniform(0, 4000, len(node)).astype(np.float32)
    trees = helper.make_node(
        "TreeEnsembleRegressor", ["rows"], ["leaves"], domain="ai.onnx.ml", n_targets=1, post_transform="NONE",
        nodes_treeids=tree, nodes_nodeids=node, nodes_featureids=node % 4, nodes_values=level,
        nodes_modes=np.where(leaf, "LEAF", "BRANCH_LEQ").tolist(), nodes_hitrates=np.ones(len(node), np.float32),
        nodes_truenodeids=np.where(leaf, 0, 2 * node + 1), nodes_falsenodeids=np.where(leaf, 0, 2 * node + 2),
        nodes_missing_value_tracks_true=np.zeros(len(node), np.int64), target_treeids=tree[last],
        target_nodeids=node[last], target_ids=np.zeros(len(last), np.int64),
        target_weights=np.ones(len(last), np.float32),
    )  # fmt: skip
    made = [
        helper.make_node("Transpose", ["dn"], ["last"], perm=[0, 2, 3, 1]),
        helper.make_node("Shape", ["dn"], ["sizes"]),
        helper.make_node("Reshape", ["last", "flat"], ["rows"]),
        trees,
        helper.make_node("Concat", ["sizes", "channel"], ["sizes_and_one"], axis=0),
        helper.make_node("Gather", ["sizes_and_one", "ours"], ["shape"]),
        helper.make_node("Reshape", ["leaves", "shape"], ["all_leaves"]),
        helper.make_node("Mul", ["all_leaves", "zero"], ["nothing_of_it"]),
    ]
    at = next(i for i, one in enumerate(model.graph.node) if one.output[0] == "green")
    model.graph.node[at].input[0] = "shifted"
    made.append(helper.make_node("Add", ["score", "nothing_of_it"], ["shifted"]))
    rest = list(model.graph.node)[at:]
    del model.graph.node[at:]
    model.graph.node.extend([*made, *rest])
    # Sizes are batch, band, row, column; one more, 1, is that of the channel.
    numbers = {"flat": np.array([-1, 4]), "ours": np.array([0, 4, 2, 3]), "channel": np.array([1])}
    model.graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in numbers.items())
    model.opset_import.append(helper.make_opsetid("ai.onnx.ml", 3))
    return bytes(model.SerializeToString(deterministic=True))


@pytest.mark.full
@FULL
def test_health_is_answered_while_a_graph_of_two_hundred_megabytes_loads(server: Server, tmp_path: Path) -> None:
    model, content = "heavy", heavy(0.02)
    first = published(server, model, tmp_path / "first", write_bundle(tmp_path / "first"), True)
    bundle = write_bundle(tmp_path / "heavy")
    (tmp_path / "heavy" / "model.onnx").write_bytes(content)
    (tmp_path / "heavy" / "golden.tiles").write_bytes(golden_of(content))
    files = {"file": ref(tmp_path / "heavy" / "model.onnx"), "golden": ref(tmp_path / "heavy" / "golden.tiles")}
    bundle = bundle.model_copy(update=files)
    write_json(tmp_path / "heavy" / "bundle.json", bundle.as_json())
    number = publish(server.uri, model, tmp_path / "heavy", bundle, alias=None)
    server.point_at(model, first.number)
    service = start(tmp_path / "home", server.uri, model)
    silence: list[float] = []
    try:
        service.wait(lambda said: said["number"] == first.number)
        server.point_at(model, number)
        begun = time.monotonic()
        with httpx.Client(base_url=service.url, timeout=60, trust_env=False) as http:
            while not answers(number, http.get("/readyz").json()):
                for path in ("/livez", "/healthz"):
                    asked = time.perf_counter()
                    assert http.get(path).status_code == 200
                    silence.append(time.perf_counter() - asked)
                assert time.monotonic() - begun < 120, http.get("/readyz").text
                time.sleep(0.01)
        numbers = {"graph_mb": round(len(content) / 2**20, 1), "loaded_in_s": round(time.monotonic() - begun, 1)}
        numbers |= {"longest_silence_s": round(max(silence), 2), "asked": len(silence)}
        keep("health", numbers)
        assert len(content) > 190 * 2**20
        assert max(silence) < 5.0, numbers
    finally:
        stop(service)
