"""Chips against the real service process: answers, refusals, crowds, swaps, and callers that go away."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from geoml_ops.adapters.ort import Graph
from geoml_ops.adapters.registry import Release
from geoml_ops.client import Client
from geoml_ops.core.bands import SENTINEL_2_L1C
from geoml_ops.core.errors import BadInput, Unavailable
from geoml_ops.core.flow import Bundle
from geoml_ops.steps import chips
from geoml_ops.steps.answering import Model
from serving.arrays import announced
from serving.chips import Room
from tests.answering import APPLICABILITY, BANDS, CONFORMAL, publish, world, write_bundle
from tests.conftest import free_port
from tests.serving.conftest import Service, start, stop
from tests.serving.test_service import refusal

pytestmark = pytest.mark.slow
MODEL = "chips"
SAID = chips.Said(BANDS, (1e-4,), (0.0,))
Kept = tuple[Path, Bundle]


def model_of(kept: Kept, number: int = 1) -> Model:
    folder, bundle = kept
    release = Release(MODEL, number, bundle.id, bundle.file.sha256)
    return Model(bundle, release, Graph((folder / "model.onnx").read_bytes()).run)


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> list[Kept]:
    """A bundle, and one that says more and the opposite."""
    first, second = (tmp_path_factory.mktemp("chips") / name for name in ("first", "second"))
    more = {"applicability": APPLICABILITY, "conformal": CONFORMAL}
    return [(first, write_bundle(first)), (second, write_bundle(second, -0.01, **more))]  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def chip_service(mlflow_server: str, both: list[Kept], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    publish(mlflow_server, MODEL, *both[0])
    publish(mlflow_server, MODEL, *both[1], alias=None)
    running = start(tmp_path_factory.mktemp("chip_service"), mlflow_server, MODEL)
    try:
        running.wait(lambda said: said["ready"])
        yield running
    finally:
        stop(running)


@pytest.fixture(scope="module")
def client(chip_service: Service) -> Iterator[Client]:
    with Client(chip_service.url, timeout_s=60) as found:
        yield found


def sample(height: int = 90, width: int = 110, seed: int = 0) -> NDArray[np.uint16]:
    dn = world(height, width, seed)[0]
    return np.ascontiguousarray(dn[[SENTINEL_2_L1C.names.index(name) for name in BANDS]])


def heads(**change: str | None) -> dict[str, str]:
    usual = {
        "Content-Type": "application/octet-stream",
        "X-Shape": "4,90,110",
        "X-Dtype": "uint16",
        "X-Bands": ",".join(BANDS),
        "X-Scale": "0.0001",
        "X-Offset": "0",
    }
    changed = {**usual, **{name.replace("_", "-"): value for name, value in change.items()}}
    return {name: value for name, value in changed.items() if value is not None}


def post(service: Service, body: bytes, headers: dict[str, str], **question: str) -> httpx.Response:
    url = f"{service.url}/classify_chip"
    return httpx.post(url, content=body, headers=headers, params=question, timeout=60, trust_env=False)


def test_a_chip_is_answered_as_the_step_answers_it(chip_service: Service, client: Client, both: list[Kept]) -> None:
    dn, bundle = sample(), both[0][1]
    wanted = chips.classify_chips(model_of(both[0]), dn[None], SAID)
    answer = post(chip_service, dn.tobytes(), heads())
    assert answer.status_code == 200, answer.text
    assert answer.content == wanted.answer.tobytes()
    assert answer.headers["content-type"] == "application/octet-stream"
    said = {name: answer.headers[name] for name in ("x-shape", "x-dtype", "x-layers", "x-model-number")}
    assert said == {
        "x-shape": "2,90,110", "x-dtype": "uint8", "x-layers": "class,confidence", "x-model-number": "1"
    }  # fmt: skip
    assert (answer.headers["x-bundle-id"], answer.headers["x-graph-sha256"]) == (bundle.id, bundle.file.sha256)
    assert answer.headers["x-request-id"]
    probability = client.classify_chip(dn, BANDS, 1e-4, 0.0, output="probability")
    exact = chips.classify_chips(model_of(both[0]), dn[None], SAID, output="probability")
    assert list(probability.arrays) == ["bare", "green"]
    np.testing.assert_allclose(np.stack(list(probability.arrays.values())), exact.answer[0], atol=1e-6)


def test_several_chips_in_one_request(client: Client, both: list[Kept]) -> None:
    dn = np.stack([sample(seed=seed) for seed in range(5)])
    answer = client.classify_chip(dn, BANDS, [1e-4] * 4, [0.0] * 4, nodata=0)
    wanted = chips.classify_chips(model_of(both[0]), dn, SAID).answer
    np.testing.assert_array_equal(np.stack(list(answer.arrays.values()), axis=1), wanted)
    assert answer.number == 1


def test_people_may_send_json(chip_service: Service, both: list[Kept]) -> None:
    dn = sample(8, 9) + np.uint16(1)
    nested: list[Any] = dn.tolist()
    nested[2][4][4] = None
    body = {"bands": list(BANDS), "scale": 0.0001, "offset": 0, "nodata": 0, "dn": nested}
    answer = post(chip_service, json.dumps(body).encode(), {"Content-Type": "application/json"})
    assert answer.status_code == 200, answer.text
    said = answer.json()
    exact = dn.astype(np.float64)
    exact[2, 4, 4] = np.nan
    wanted = chips.classify_chips(model_of(both[0]), exact[None], SAID).answer[0]
    assert said["answer"] == wanted.tolist()
    assert said["layers"] == ["class", "confidence"]
    assert (said["bundle"], said["request_id"]) == (both[0][1].id, answer.headers["x-request-id"])
    assert wanted[0, 4, 4] == 255


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"X_Shape": None}, "X-Shape is missing"),
        ({"X_Shape": "4,90"}, "2 numbers"),
        ({"X_Shape": "4,90,110,1,1"}, "5 numbers"),
        ({"X_Shape": "4,90,-110"}, "no whole number"),
        ({"X_Shape": "4,90,1e2"}, "no whole number"),
        ({"X_Shape": "4,90,0"}, "each at least 1"),
        ({"X_Shape": "4,90,111"}, "4 x 90 x 111 numbers of uint16 are 79920 bytes, the body has 79200"),
        ({"X_Shape": "4,9999999999,1"}, "no whole number"),
        ({"X_Dtype": None}, "X-Dtype is missing"),
        ({"X_Dtype": ">u2"}, "one of uint8"),
        ({"X_Dtype": "object"}, "one of uint8"),
        ({"X_Dtype": "float32"}, "158400 bytes"),
        ({"X_Bands": None}, "X-Bands is missing"),
        ({"X_Bands": "B02,B03,B04"}, "3 bands are named"),
        ({"X_Bands": "B02,B03,B04,B05"}, "missing B08"),
        ({"X_Bands": "B02,B03,B04,B04"}, "twice B04"),
        ({"X_Bands": "B02,B03,B04,<b>"}, "not known <b>"),
        ({"X_Bands": "B02,,B04,B08"}, "no name of a band"),
        ({"X_Scale": None}, "X-Scale is missing"),
        ({"X_Offset": None}, "X-Offset is missing"),
        ({"X_Scale": "1"}, "a scale of 1 per DN"),
        ({"X_Scale": "nan"}, "no number"),
        ({"X_Scale": "1e999"}, "no number"),
        ({"X_Scale": "0x1p-4"}, "no number"),
        ({"X_Scale": "0.0001,0.0001"}, "2 numbers are given as scale of 4 bands"),
        ({"X_Offset": "-0.5"}, "an offset of -5000 DN"),
    ],
)  # fmt: skip
def test_every_mistake_is_a_sentence(chip_service: Service, change: dict[str, str | None], words: str) -> None:
    answer = post(chip_service, sample().tobytes(), heads(**change))
    status, code, message = refusal(answer)
    assert (status, code) == (422, "bad_input"), message
    assert words in message


def test_a_shape_beyond_the_limits_is_refused_by_its_numbers(chip_service: Service) -> None:
    for shape in ("4,5000,1", "200,4,200,200", "4,4096,4096"):
        status, _, message = refusal(post(chip_service, b"", heads(X_Shape=shape)))
        assert status == 413
        assert "limits" in message


def test_a_header_that_is_there_twice_decides_nothing(chip_service: Service) -> None:
    headers = [*heads().items(), ("X-Scale", "0.0002")]
    url = f"{chip_service.url}/classify_chip"
    answer = httpx.post(url, content=sample().tobytes(), headers=headers, timeout=60, trust_env=False)
    assert answer.status_code in (400, 422)
    assert "twice" in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "not JSON"),
        (b"[1]", "not a JSON object"),
        (b"{" * 50_000, "not JSON"),
        (b'{"dn":' + b"[" * 100_000, "not JSON"),
        (b'{"bands": ["B02"]}', "missing dn, offset, scale"),
        (b'{"bands":["B02"],"scale":1,"offset":0,"dn":[[[1]]],"model":"x"}', "not known model"),
        (b'{"bands":"B02","scale":1,"offset":0,"dn":[[[1]]]}', "not a list of names"),
        (b'{"bands":["B02"],"scale":"1","offset":0,"dn":[[[1]]]}', "scale is neither"),
        (b'{"bands":["B02"],"scale":true,"offset":0,"dn":[[[1]]]}', "scale is neither"),
        (b'{"bands":["B02"],"scale":NaN,"offset":0,"dn":[[[1]]]}', "scale is neither"),
        (b'{"bands":["B02"],"scale":1' + b"0" * 400 + b',"offset":0,"dn":[[[1]]]}', "scale is neither"),
        (b'{"bands":["B02"],"scale":1,"offset":0,"dn":[[[1],[1,2]]]}', "regular"),
        (b'{"bands":["B02"],"scale":1,"offset":0,"dn":[[["1"]]]}', "numbers inside"),
        (b'{"bands":["B02"],"scale":1,"offset":0,"dn":[[[true]]]}', "numbers inside"),
        (b'{"bands":["B02"],"scale":1,"offset":0,"dn":[[[{}]]]}', "numbers inside"),
        (b'{"bands":["B02"],"scale":1,"offset":0,"dn":[[1]]}', "three or four lists deep"),
        (b'{"bands":["B02"],"scale":1,"offset":0,"dn":[[[]]]}', "each at least 1"),
        (b'{"bands":["B02"],"scale":1,"offset":0,"dn":[[[1]]]}', "missing B03, B04, B08"),
    ],
)  # fmt: skip
def test_json_that_is_something_else(chip_service: Service, body: bytes, words: str) -> None:
    status, _, message = refusal(post(chip_service, body, {"Content-Type": "application/json"}))
    assert status == 422, message
    assert words in message


def test_json_is_for_small_chips(chip_service: Service) -> None:
    body = {"bands": list(BANDS), "scale": 1e-4, "offset": 0, "dn": np.ones((4, 300, 300), int).tolist()}
    answer = post(chip_service, json.dumps(body).encode(), {"Content-Type": "application/json"})
    assert refusal(answer)[0] == 413


def test_other_types_outputs_and_methods_are_refused(chip_service: Service) -> None:
    body = sample().tobytes()
    assert post(chip_service, body, heads(Content_Type="image/tiff")).status_code == 415
    assert post(chip_service, body, heads(Content_Type="application/vnd.bentoml+pickle")).status_code == 415
    assert post(chip_service, body, heads(Content_Encoding="gzip")).status_code == 415
    assert refusal(post(chip_service, body, heads(), output="logits"))[0] == 422
    assert chip_service.get("/classify_chip").status_code == 405


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.dictionaries(
        st.sampled_from([b"x-shape", b"x-dtype", b"x-bands", b"x-scale", b"x-offset", b"x-nodata"]),
        st.one_of(
            st.binary(max_size=40),
            st.sampled_from([b"4,2,2", b"uint8", b"B02,B03", b"0.0001", b"-0.1", b"nan", b"1" * 500, b"," * 5000]),
        ),
    )
)
def test_any_headers_are_read_or_refused_with_a_sentence(found: dict[bytes, bytes]) -> None:
    said = ""
    try:
        assert announced(found.items()).n_bytes > 0
    except BadInput as error:
        said = str(error)
    assert len(said) < 700


def test_hundreds_of_chips_at_once_get_each_its_own_answer(
    client: Client, chip_service: Service, both: list[Kept]
) -> None:
    model, shapes = model_of(both[0]), [(32, 32), (33, 20), (64, 64), (128, 128), (200, 150), (1, 7)]
    asked = [sample(*shapes[at % len(shapes)], seed=at) for at in range(300)]
    wanted = [chips.classify_chips(model, dn[None], SAID).answer[0] for dn in asked]
    odd = b"\0" * 17

    def one(at: int) -> bool:
        if at % 10 == 3:  # among them such as are refused
            return post(chip_service, odd, heads()).status_code == 422
        answer = client.classify_chip(asked[at], BANDS, 1e-4, 0.0)
        assert answer.bundle == both[0][1].id
        return bool((np.stack(list(answer.arrays.values())) == wanted[at]).all())

    with ThreadPoolExecutor(24) as pool:
        assert all(pool.map(one, range(len(asked))))


def test_a_caller_that_goes_away_leaves_the_service_well(chip_service: Service, client: Client) -> None:
    dn = np.stack([sample(256, 256, seed) for seed in range(8)])
    port = int(chip_service.url.rsplit(":", 1)[1])
    lines = [f"{name}: {value}" for name, value in heads(X_Shape="8,4,256,256").items()]
    for sent in (len(dn.tobytes()), 1000):
        head = ["POST /classify_chip HTTP/1.1", "Host: 127.0.0.1", f"Content-Length: {dn.nbytes}", *lines, "", ""]
        for _ in range(6):
            with socket.create_connection(("127.0.0.1", port), timeout=20) as caller:
                caller.sendall("\r\n".join(head).encode() + dn.tobytes()[:sent])
    answer = client.classify_chip(sample(), BANDS, 1e-4, 0.0)
    assert answer.arrays["class"].shape == (90, 110)


def test_across_a_swap_every_answer_is_of_the_graph_it_names(
    chip_service: Service, client: Client, both: list[Kept], mlflow_server: str
) -> None:
    from mlflow import MlflowClient

    registry = MlflowClient(mlflow_server)
    models = {bundle.id: model_of((folder, bundle)) for folder, bundle in both}
    asked = [sample(40, 50, seed) for seed in range(8)]
    wanted = {
        (bundle, at): chips.classify_chips(model, dn[None], SAID).answer[0].tobytes()
        for bundle, model in models.items()
        for at, dn in enumerate(asked)
    }
    digests = {bundle.id: bundle.file.sha256 for _, bundle in both}
    end, seen, wrong = threading.Event(), set[str](), list[str]()

    def ask(number: int) -> int:
        n = 0
        while not end.is_set():
            at = (number + n) % len(asked)
            answer = client.classify_chip(asked[at], BANDS, 1e-4, 0.0)
            seen.add(answer.bundle)
            same = np.stack(list(answer.arrays.values())).tobytes() == wanted[answer.bundle, at]
            if not same or digests[answer.bundle] != answer.graph_sha256:
                wrong.append(answer.request_id)
            n += 1
        return n

    with ThreadPoolExecutor(8) as pool:
        asking = [pool.submit(ask, number) for number in range(8)]
        try:
            for number in (2, 1, 2, 1):
                registry.set_registered_model_alias(MODEL, "champion", str(number))
                chip_service.wait(lambda said, wanted=number: said["number"] == wanted)  # type: ignore[misc]
                time.sleep(0.3)
        finally:
            end.set()
        n_answers = sum(future.result(60) for future in asking)
    assert not wrong
    assert seen == set(models)
    assert n_answers > 50


def test_a_model_that_knows_more_says_more(
    chip_service: Service, client: Client, both: list[Kept], mlflow_server: str
) -> None:
    from mlflow import MlflowClient

    registry = MlflowClient(mlflow_server)
    registry.set_registered_model_alias(MODEL, "champion", "2")
    try:
        chip_service.wait(lambda said: said["number"] == 2)
        answer = client.classify_chip(sample(), BANDS, 1e-4, 0.0)
        assert list(answer.arrays) == ["class", "confidence", "set_size", "dissimilarity", "density", "set_1"]
        wanted = chips.classify_chips(model_of(both[1]), sample()[None], SAID).answer[0]
        np.testing.assert_array_equal(np.stack(list(answer.arrays.values())), wanted)
    finally:
        registry.set_registered_model_alias(MODEL, "champion", "1")
        chip_service.wait(lambda said: said["number"] == 1)


def test_what_is_held_is_bounded_and_given_back() -> None:
    room = Room(100)
    with room.share() as first:
        first(500)  # alone, anything is let in
        with room.share() as second, pytest.raises(Unavailable, match="500 bytes are in work"):
            second(1)
    assert room.held == 0
    with room.share() as first, room.share() as second:
        first(60)
        second(40)
        with pytest.raises(Unavailable):
            second(1)
    assert room.held == 0


def test_without_a_model_a_chip_is_asked_to_come_again(tmp_path: Path) -> None:
    running = start(tmp_path, f"http://127.0.0.1:{free_port()}", "nothing")
    try:
        answer = post(running, sample().tobytes(), heads())
        assert refusal(answer)[:2] == (503, "unavailable")
        assert int(answer.headers["retry-after"]) >= 1
    finally:
        stop(running)
