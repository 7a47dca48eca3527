"""The guard in front of the service: what is not expected does not get in.

Pure ASGI, before any route and before BentoML: doors from a table, a key where one is needed, a declared and bounded
body of the right kind, no coding, no waiting for bytes that do not come, no work without an end. It also gives every
answer its headers and its request id, and answers the questions of whoever watches the process.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Protocol

from serving.bodies import BODY_S, LEAST_BYTES_PER_S, Flow, Receive, Send, headers_of, judge_body
from serving.caller import Caller
from serving.doors import RANK, Door, Doors
from serving.keys import Found, Keyring, is_loopback, presented_in
from serving.lanes import Lanes
from serving.monitoring import page_policy
from serving.quotas import OverQuota, Quotas
from serving.refusal import Headers, Refusal, refused, said

App = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]
Readiness = Callable[[], tuple[bool, dict[str, Any]]]
Scope = MutableMapping[str, Any]

_STRICT = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
    b"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_ALWAYS = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
)
#: Answered here, so that no model, disk or queue can make a living process look dead.
_ALIVE, _HEALTH, _READY = "livez", "healthz", "readyz"
_NO_KEYS = "This service has no file of keys, so it answers requests to the loopback address only."


class Observe(Protocol):
    """Is told of every answer."""

    def __call__(self, door: str, status: int, seconds: float) -> None:
        """Counts one answer: the door's name (empty for none), its status, how long it took."""
        ...


@dataclass(frozen=True)
class Rules:
    """What the guard judges by.

    Attributes:
        max_bytes: the largest raster that is accepted.
        request_s: how long work may take once the body is here.
        shows_dashboard: address of the pages that may show the dashboard inside themselves; empty for none.
    """

    max_bytes: int
    request_s: float = 60.0
    shows_dashboard: str = ""


def unobserved(door: str, status: int, seconds: float) -> None:
    """Counts nothing."""


class Guard:
    """Lets expected requests through and answers all others itself."""

    def __init__(
        self,
        app: App,
        *,
        rules: Rules,
        readiness: Readiness,
        keyring: Keyring,
        quotas: Quotas,
        health: Callable[[], Mapping[str, Any]] = dict,
        observe: Observe = unobserved,
    ) -> None:
        """Keeps what it needs to judge a request.

        Args:
            app: what stands behind it.
            rules: limits that are set.
            readiness: whether the service can answer, and what to say about it.
            keyring: whose keys are good.
            quotas: what they have used.
            health: what to say of the process beside that it lives; it must not wait for anything.
            observe: is told of every answer.
        """
        self.app, self.rules, self.readiness = app, rules, readiness
        self.keyring, self.quotas, self.health, self.observe = keyring, quotas, health, observe
        self.doors, self.lanes = Doors(), Lanes()
        self._pages = page_policy(rules.shows_dashboard)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Judges one request."""
        if scope["type"] == "lifespan":
            return await self.app(scope, receive, send)
        if scope["type"] != "http":
            # A connection of another kind is closed before it opens (ASGI: a WebSocket then gets 403).
            return await send({"type": "websocket.close", "code": 1008})
        began = time.perf_counter()
        caller = Caller(uuid.uuid4().hex, quotas=self.quotas, request_s=self.rules.request_s)
        flow = Flow(caller, receive, send, self._extra(caller.request_id, scope["path"]))
        try:
            await self._judged(scope, caller, flow)
        except Refusal as no:
            for message in refused(no, caller.request_id):
                await flow.send(message)
        finally:
            caller.give_up()
            self.observe(caller.door.name if caller.door else "", flow.status or 499, time.perf_counter() - began)

    async def _judged(self, scope: Scope, caller: Caller, flow: Flow) -> None:
        headers = headers_of(scope)
        caller.door = door = self._door(scope)
        found = self._key(scope, headers, door)
        caller.key = found.key
        if door.name in (_ALIVE, _HEALTH, _READY):
            for message in said(*self._watched(door.name, known=not self.keyring.asks or found.key is not None)):
                await flow.send(message)
            return
        length = judge_body(headers, door.body, self.rules.max_bytes)
        with self.lanes.slot(door.lane, caller.owner):
            scope.setdefault("state", {}).update(request_id=caller.request_id, caller=caller)
            await self._timed(scope, door, flow, length)

    async def _timed(self, scope: Scope, door: Door, flow: Flow, length: int) -> None:
        try:
            async with asyncio.timeout(None) as clock:
                flow.begin(clock, length)
                if door.body.magic:
                    await flow.peek(door.body.magic)
                await self.app(scope, flow.receive, flow.send)
        except TimeoutError:
            if flow.status is not None:
                return  # the answer began: the server closes the connection of one that is left incomplete
            if flow.over == "body":
                raise Refusal(
                    HTTPStatus.REQUEST_TIMEOUT,
                    f"The body came with less than {LEAST_BYTES_PER_S // 1024} KiB a second, or not within "
                    f"{BODY_S / 60:.0f} minutes. Try: send it again.",
                    (b"connection", b"close"),
                ) from None
            raise too_long(self.rules.request_s) from None
        finally:
            flow.end()

    def _door(self, scope: Scope) -> Door:
        doors = self.doors.at(scope["path"])
        if not doors:
            raise Refusal(HTTPStatus.NOT_FOUND, "There is nothing under this address. Try: / or /openapi.json.")
        method = "GET" if scope["method"] == "HEAD" else scope["method"]
        door = doors.get(method)
        if door is None:
            allowed = ", ".join(sorted({*doors, *(["HEAD"] if "GET" in doors else [])}))
            raise Refusal(HTTPStatus.METHOD_NOT_ALLOWED, f"This address takes {allowed}.", (b"allow", allowed.encode()))
        return door

    def _key(self, scope: Scope, headers: Mapping[bytes, bytes], door: Door) -> Found:
        """Returns whose request it is, where it may go through the door."""
        if not self.keyring.asks:
            if door.role != "open":
                _require_this_machine(scope, headers, door)
            return Found(None)
        found = self.keyring.find(presented_in(list(headers.items())))
        if door.role == "open":
            return found
        if found.key is None:
            realm = (b"www-authenticate", b'Bearer realm="geoml"')
            raise Refusal(HTTPStatus.UNAUTHORIZED, f"{found.why} Try: Authorization: Bearer geoml_…", realm)
        if RANK[found.key.role] < RANK[door.role]:
            raise Refusal(
                HTTPStatus.FORBIDDEN,
                f"This key is of a {found.key.role}; this needs a {door.role}. Try: a key of that role.",
            )
        try:
            self.quotas.ask(found.key.name, found.key.quota)
        except OverQuota as over:
            raise Refusal(HTTPStatus.TOO_MANY_REQUESTS, str(over), retry_s=over.retry_s) from None
        return found

    def _extra(self, request_id: str, path: str) -> Callable[[Headers], Headers]:
        """Returns what gives an answer the headers that all answers have, where it has none of its own."""
        policy = self._pages if path == "/dashboard" or path.startswith("/dashboard/") else _STRICT

        def extra(there: Headers) -> Headers:
            wanted = [
                (b"x-request-id", request_id.encode()),
                *_ALWAYS,
                (b"content-security-policy", policy),
                (b"cache-control", b"no-store"),
            ]
            present = {name.lower() for name, _ in there}
            return [pair for pair in wanted if pair[0] not in present]

        return extra

    def _watched(self, name: str, *, known: bool) -> tuple[HTTPStatus, Mapping[str, Any]]:
        if name == _ALIVE:
            return HTTPStatus.OK, {"alive": True}
        if name == _HEALTH:
            trouble = {"keys_trouble": self.keyring.trouble} if self.keyring.trouble else {}
            keys = "needed" if self.keyring.asks else "none; loopback only"
            return HTTPStatus.OK, {"alive": True, "keys": keys, **trouble, **self.health()}
        ready, words = self.readiness()
        status = HTTPStatus.OK if ready else HTTPStatus.SERVICE_UNAVAILABLE
        return status, words if known else {"ready": ready}


def too_long(request_s: float) -> Refusal:
    """Returns the refusal of a request whose work took longer than it may."""
    return Refusal(
        HTTPStatus.GATEWAY_TIMEOUT,
        f"The work was not done within {request_s:g} s and was stopped. Try: POST /jobs, which may take longer.",
    )


def _require_this_machine(scope: Scope, headers: Mapping[bytes, bytes], door: Door) -> None:
    """Lets requests through that were made on this machine, to this machine, and by no foreign page."""
    server = scope.get("server") or ("", None)
    if server[1] is not None and not is_loopback(str(server[0])):
        raise Refusal(HTTPStatus.FORBIDDEN, f"{_NO_KEYS} Try: set GEOML_KEYS.")
    host = headers.get(b"host", b"").decode("latin-1")
    if not is_loopback(host):
        raise Refusal(HTTPStatus.MISDIRECTED_REQUEST, f"{_NO_KEYS} Try: ask for 127.0.0.1 or localhost.")
    origin = headers.get(b"origin", b"").decode("latin-1")
    if door.method != "GET" and origin and origin.split("//")[-1].lower() != host.lower():
        raise Refusal(HTTPStatus.FORBIDDEN, "Pages of other origins may not send anything here.")
