"""The guard alone, before an application that answers anything; and what it does to connections, on a real server."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serving import bodies
from serving.caller import Caller
from serving.doors import CHIP_BYTES, DOORS, JSON_BYTES, Doors
from serving.guard import Guard, Rules
from serving.keys import Keyring, is_loopback
from serving.lanes import SLOTS, Lanes
from serving.quotas import Quotas
from serving.refusal import Refusal

TIFF = {"content-type": "image/tiff"}
Parts = list[dict[str, Any]]


class Behind:
    """An application that reads the body and answers with its length; or does what it is told."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.callers: list[Caller] = []
        self.does: Callable[[Any, Any, Any], Awaitable[None]] | None = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.seen.append(scope["path"])
        self.callers.append(scope["state"]["caller"])
        if self.does is not None:
            return await self.does(scope, receive, send)
        size, more = 0, True
        while more:
            message = await receive()
            size += len(message.get("body", b""))
            more = message.get("more_body", False)
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
        await send({"type": "http.response.body", "body": str(size).encode()})


class Answer:
    def __init__(self, messages: Parts) -> None:
        self.messages = messages
        self.status = messages[0]["status"]
        self.headers = {k.decode().lower(): v.decode() for k, v in messages[0]["headers"]}
        self.body = b"".join(m.get("body", b"") for m in messages[1:])

    @property
    def error(self) -> dict[str, str]:
        said = json.loads(self.body)["error"]
        assert set(said) == {"code", "message", "request_id"}
        assert said["request_id"] == self.headers["x-request-id"]
        return dict(said)


def guard(tmp_path: Path, app: Any = None, **options: Any) -> tuple[Guard, Behind]:
    behind = app or Behind()
    more = {"rules": Rules(max_bytes=1 << 20, request_s=5.0), "readiness": lambda: (True, {"ready": True, "number": 7})}
    more |= {"keyring": Keyring(None), "quotas": Quotas(tmp_path / "quotas.json"), **options}
    return Guard(behind, **more), behind


def scope_of(method: str, path: str, headers: dict[str, str] | list[tuple[str, str]], **more: Any) -> dict[str, Any]:
    pairs = list(headers.items()) if isinstance(headers, dict) else headers
    raw = [(name.lower().encode(), value.encode("latin-1")) for name, value in pairs]
    if not any(name == b"host" for name, _ in raw):
        raw.append((b"host", b"127.0.0.1:3000"))
    return {"type": "http", "method": method, "path": path, "headers": raw, "server": ("127.0.0.1", 3000), **more}


async def ask(
    watched: Guard,
    method: str,
    path: str,
    headers: dict[str, str] | list[tuple[str, str]] | None = None,
    parts: Parts | None = None,
    **more: Any,
) -> Answer:
    sent: Parts = []
    waiting = list(parts if parts is not None else [{"type": "http.request", "body": b"", "more_body": False}])

    async def receive() -> dict[str, Any]:
        if waiting:
            part = waiting.pop(0)
            await asyncio.sleep(part.pop("after", 0))
            return part
        return await asyncio.Future()

    async def send(message: dict[str, Any]) -> None:
        sent.append(dict(message))

    await watched(scope_of(method, path, headers or {}, **more), receive, send)
    return Answer(sent)


def body_of(content: bytes, kind: str = "image/tiff", step: int = 1 << 16) -> dict[str, Any]:
    cuts = [content[i : i + step] for i in range(0, len(content), step)] or [b""]
    parts = [{"type": "http.request", "body": cut, "more_body": n < len(cuts) - 1} for n, cut in enumerate(cuts)]
    return {"headers": {"content-type": kind, "content-length": str(len(content))}, "parts": parts}


def run(coroutine: Any) -> Any:
    return asyncio.run(coroutine)


def test_the_table_of_doors_has_no_two_that_answer_alike() -> None:
    assert len({(door.method, door.pattern) for door in DOORS}) == len(DOORS)
    doors = Doors()
    for door in DOORS:
        example = door.path.replace("{id}", "prediction-0123456789abcdef" if "predictions" in door.path else "X")
        example = example.replace("/jobs/X", "/jobs/job-0123456789abcdef").replace("{file}", "index.html")
        example = example.replace("{z}", "3").replace("{x}", "1").replace("{y}", "2")
        assert doors.at(example)[door.method] is door
        assert doors.at(example + "\n") == {}


@given(st.text(max_size=60))
@settings(max_examples=300)
def test_no_path_with_two_dots_or_odd_signs_has_a_door(text: str) -> None:
    doors = Doors()
    for path in (text, f"/{text}", f"/page/{text}", f"/dashboard/{text}", f"/predictions/{text}/map.tif"):
        if doors.at(path):
            assert ".." not in path
            assert path.isascii()
            assert path.isprintable()


def test_a_body_goes_through_in_its_parts_and_every_answer_has_its_headers(tmp_path: Path) -> None:
    watched, _ = guard(tmp_path)
    answer = run(ask(watched, "POST", "/classify", **body_of(b"II*\0" + bytes(300_000))))
    assert (answer.status, answer.body) == (200, b"300004")
    refusal = run(ask(watched, "GET", "/nowhere"))
    for said in (answer, refusal):
        assert said.headers["x-content-type-options"] == "nosniff"
        assert said.headers["cache-control"] == "no-store"
        assert "default-src 'none'" in said.headers["content-security-policy"]
        assert len(said.headers["x-request-id"]) == 32
    assert answer.headers["x-request-id"] != refusal.headers["x-request-id"]


REFUSED: list[tuple[str, str, str, dict[str, str], bytes, int, str]] = [
    ("a type of its own", "POST", "/classify", {"content-type": "text/plain"}, b"II*\0", 415, "text/plain"),
    ("no type", "POST", "/classify", {}, b"II*\0", 415, "of no type"),
    ("pickle", "POST", "/classify", {"content-type": "application/vnd.bentoml+pickle"}, b"\x80\x04.", 415, "pickle"),
    ("JSON for a raster", "POST", "/jobs", {"content-type": "application/json"}, b"{}", 415, "json"),
    ("a TIFF for a chip", "POST", "/classify_chip", TIFF, b"II*\0", 415, "octet-stream"),
    ("no TIFF", "POST", "/classify", TIFF, b"<VRTDataset/>", 415, "3c565254"),
    ("two bytes", "POST", "/classify", TIFF, b"II", 415, "4949"),
    ("nothing", "POST", "/classify", TIFF, b"", 415, "nothing"),
    ("gzip", "POST", "/classify", {**TIFF, "content-encoding": "gzip"}, b"II*\0", 415, "Coded"),
    ("a body for a look", "GET", "/model", {}, b"hello", 400, "takes no body"),
    ("a body for cancel", "POST", "/jobs/job-0123456789abcdef/cancel", {}, b"{}", 400, "takes no body"),
    ("no such method", "PATCH", "/jobs", {}, b"", 405, "GET, HEAD, POST"),
    ("options", "OPTIONS", "/classify", {}, b"", 405, "POST"),
    ("no such door", "GET", "/docs.json", {}, b"", 404, "nothing under"),
    ("another door of BentoML", "GET", "/schema.json", {}, b"", 404, "nothing under"),
    ("not a job", "GET", "/jobs/job-XYZ", {}, b"", 404, "nothing under"),
]


@pytest.mark.parametrize(("method", "path", "headers", "body", "status", "says"), [r[1:] for r in REFUSED])
def test_what_is_not_expected_is_refused_before_anything_sees_it(
    tmp_path: Path, method: str, path: str, headers: dict[str, str], body: bytes, status: int, says: str
) -> None:
    watched, behind = guard(tmp_path)
    asked = body_of(body)
    answer = run(ask(watched, method, path, {**headers, "content-length": str(len(body))}, asked["parts"]))
    assert (answer.status, behind.seen) == (status, [])
    assert says in answer.error["message"]
    if status == 405:
        assert answer.headers["allow"]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({**TIFF}, 411),
        ({**TIFF, "transfer-encoding": "chunked"}, 411),
        ({**TIFF, "transfer-encoding": "chunked", "content-length": "4"}, 411),
        ({**TIFF, "content-length": "-1"}, 400),
        ({**TIFF, "content-length": "4, 4"}, 400),
        ({**TIFF, "content-length": "0x10"}, 400),
        ({**TIFF, "content-length": "9" * 30}, 400),
        ({**TIFF, "content-length": str((1 << 20) + 1)}, 413),
        ({**TIFF, "content-length": "100000000000"}, 413),
        ([("content-type", "image/tiff"), ("content-length", "4"), ("content-length", "5")], 400),
        ([("content-type", "image/tiff"), ("content-type", "text/html"), ("content-length", "4")], 400),
        ([("host", "127.0.0.1"), ("host", "elsewhere"), *TIFF.items(), ("content-length", "4")], 400),
    ],
)
def test_lengths_that_lie_or_are_not_there(tmp_path: Path, headers: Any, status: int) -> None:
    watched, behind = guard(tmp_path)
    parts = [{"type": "http.request", "body": b"II*\0", "more_body": False}]
    answer = run(ask(watched, "POST", "/classify", headers, parts))
    assert (answer.status, behind.seen) == (status, [])


def test_each_kind_of_body_has_its_own_limit(tmp_path: Path) -> None:
    watched, behind = guard(tmp_path)
    for kind, most in (("application/octet-stream", CHIP_BYTES), ("application/json", JSON_BYTES)):
        for length, status in ((most, 200), (most + 1, 413)):
            headers = {"content-type": f"{kind}; charset=x", "content-length": str(length)}
            parts = [{"type": "http.request", "body": b"[]", "more_body": False}]
            assert run(ask(watched, "POST", "/classify_chip", headers, parts)).status == status
    assert len(behind.seen) == 2


def test_a_body_that_does_not_come_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "WAIT_S", 0.2)
    monkeypatch.setattr(bodies, "_STEP", 1000)
    watched, _ = guard(tmp_path)
    headers = {**TIFF, "content-length": "100000"}
    head = {"type": "http.request", "body": b"II*\0", "more_body": True}
    silent = run(ask(watched, "POST", "/classify", headers, [dict(head)]))
    assert (silent.status, silent.error["code"]) == (408, "too_slow")
    nothing = run(ask(watched, "POST", "/classify", headers, []))
    assert nothing.status == 408

    drops = [{"type": "http.request", "body": b"x", "more_body": True, "after": 0.05} for _ in range(100)]
    began = time.monotonic()
    assert run(ask(watched, "POST", "/classify", headers, [dict(head), *drops])).status == 408
    assert time.monotonic() - began < 3

    fast = [{"type": "http.request", "body": bytes(2000), "more_body": True, "after": 0.05} for _ in range(10)]
    last = {"type": "http.request", "body": b"", "more_body": False}
    assert run(ask(watched, "POST", "/classify", headers, [dict(head), *fast, last])).status == 200

    monkeypatch.setattr(bodies, "BODY_S", 0.3)
    assert (
        run(ask(watched, "POST", "/classify", headers, [dict(head), *map(dict, fast), *map(dict, fast)])).status == 408
    )
    assert sum(watched.lanes.inside.values()) == 0


def test_work_without_an_end_is_ended_and_told_to_stop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "GRACE_S", 0.2)
    told: list[tuple[str, int]] = []
    watched, behind = guard(
        tmp_path,
        rules=Rules(max_bytes=1 << 20, request_s=0.3),
        observe=lambda door, status, seconds: told.append((door, status)),
    )
    stopped: list[bool] = []

    async def endless(scope: Any, receive: Any, send: Any) -> None:
        caller = scope["state"]["caller"]
        try:
            await asyncio.sleep(60)
        finally:
            stopped.append(caller.cancelled())

    behind.does = endless
    answer = run(ask(watched, "POST", "/classify", **body_of(b"II*\0" + bytes(10))))
    assert (answer.status, answer.error["code"], stopped) == (504, "too_long", [True])
    assert "POST /jobs" in answer.error["message"]
    assert told == [("classify", 504)]


def test_an_answer_that_nobody_takes_is_dropped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "WAIT_S", 0.2)
    watched, _ = guard(tmp_path)

    async def asked() -> None:
        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.body":
                await asyncio.sleep(60)

        await watched(scope_of("GET", "/model", {}), receive, send)

    began = time.monotonic()
    run(asked())
    assert time.monotonic() - began < 5
    assert sum(watched.lanes.inside.values()) == 0


def test_uploads_that_fill_their_lane_leave_chips_and_looks_alone(tmp_path: Path) -> None:
    watched, _ = guard(tmp_path)

    async def crowd() -> None:
        head = {"type": "http.request", "body": b"II*\0", "more_body": True}
        headers = {**TIFF, "content-length": "100000"}
        waiting = [
            asyncio.ensure_future(ask(watched, "POST", "/classify", headers, [dict(head)]))
            for _ in range(SLOTS["raster"])
        ]
        await asyncio.sleep(0.05)
        assert watched.lanes.inside["raster"] == SLOTS["raster"]
        full = await ask(watched, "POST", "/jobs", headers, [dict(head)])
        assert (full.status, full.error["code"]) == (503, "unavailable")
        assert int(full.headers["retry-after"]) > 0
        chip = await ask(watched, "POST", "/classify_chip", **body_of(b"123", "application/octet-stream"))
        look = await ask(watched, "GET", "/model")
        assert (chip.status, look.status) == (200, 200)
        for one in waiting:
            one.cancel()
            with suppress(asyncio.CancelledError):
                await one
        assert watched.lanes.inside["raster"] == 0

    run(crowd())


def test_one_key_never_has_a_whole_lane() -> None:
    lanes = Lanes({"look": 8})
    held = [lanes.slot("look", "one") for _ in range(6)]
    for slot in held:
        slot.__enter__()
    with pytest.raises(Refusal, match="one key"), lanes.slot("look", "one"):
        pass
    with lanes.slot("look", "other"), lanes.slot("look", ""):
        pass
    for slot in held:
        slot.__exit__(None, None, None)
    with lanes.slot("look", "one"):
        pass


def test_without_keys_only_this_machine_is_answered(tmp_path: Path) -> None:
    watched, behind = guard(tmp_path)
    assert run(ask(watched, "GET", "/model", server=("10.0.0.5", 3000))).status == 403
    assert run(ask(watched, "GET", "/model", {"host": "rebound.example:3000"})).status == 421
    assert run(ask(watched, "GET", "/livez", server=("10.0.0.5", 3000))).status == 200
    job = "/jobs/job-0123456789abcdef/cancel"
    assert run(ask(watched, "POST", job, {"origin": "http://elsewhere.example"})).status == 403
    assert run(ask(watched, "POST", job, {"origin": "null"})).status == 403
    assert behind.seen == []
    assert run(ask(watched, "POST", job, {"origin": "http://127.0.0.1:3000"})).status == 200
    for host in ("localhost:80", "127.0.0.1", "[::1]:3000"):
        assert run(ask(watched, "GET", "/model", {"host": host})).status == 200


def test_what_counts_as_this_machine() -> None:
    assert all(map(is_loopback, ("127.0.0.1", "127.9.9.9:1", "::1", "[::1]", "LOCALHOST:3000")))
    others = (
        "",
        "0.0.0.0",
        "10.1.2.3",
        "localhost.example",
        "127.0.0.1.example",
        "2130706433",
        "[::1",
        "::ffff:8.8.8.8",
    )
    assert not any(map(is_loopback, others))


def test_whoever_watches_the_process_is_answered_by_the_guard_itself(tmp_path: Path) -> None:
    watched, behind = guard(tmp_path, health=lambda: {"uploads_confined_by": "none"})
    assert json.loads(run(ask(watched, "GET", "/livez")).body) == {"alive": True}
    assert json.loads(run(ask(watched, "GET", "/healthz")).body)["uploads_confined_by"] == "none"
    ready = run(ask(watched, "GET", "/readyz"))
    assert (ready.status, json.loads(ready.body)["number"]) == (200, 7)
    assert behind.seen == []


def test_a_connection_of_another_kind_is_closed(tmp_path: Path) -> None:
    watched, behind = guard(tmp_path)
    sent: Parts = []

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    run(watched({"type": "websocket", "path": "/", "headers": []}, None, send))  # type: ignore[arg-type]
    assert (sent, behind.seen) == ([{"type": "websocket.close", "code": 1008}], [])
