"""The guard in front of the service: what is not expected does not get in.

Pure ASGI, before any route: methods and paths from a list, a declared and bounded body, the right
type, the first bytes of a TIFF, no coding, no waiting for a body that does not come. It also gives
every answer its headers and its request id.
"""

from __future__ import annotations

import asyncio
import json
import re
import uuid
from collections.abc import Awaitable, Callable, MutableMapping
from http import HTTPStatus
from typing import Any

from serving.schemas import TooSlow, error_body

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]
Readiness = Callable[[], tuple[bool, dict[str, Any]]]

READ_ONLY = re.compile(
    r"/|/page/[a-z.]{1,40}|/dashboard(?:/[A-Za-z0-9._/-]{0,200})?|/model|/predictions|/livez|/healthz|/readyz|/metrics"
    r"|/predictions/prediction-[0-9a-f]{16}/(?:map\.png|map\.tif|at)"
)
UPLOAD = "/classify"
TYPES = frozenset({"image/tiff", "application/octet-stream"})
MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
UPLOADS_AT_ONCE = 8
WAIT_S = 10.0
_STRICT = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
# Reports are pages made elsewhere with code of their own inside; they may not reach beyond this origin.
_REPORTS = (
    "default-src 'self' 'unsafe-inline' blob: data:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'self' http://127.0.0.1:* http://localhost:*"
)


class _Refusal(Exception):
    def __init__(self, status: HTTPStatus, message: str, *headers: tuple[bytes, bytes]) -> None:
        super().__init__(message)
        self.status, self.message, self.headers = status, message, list(headers)


class Guard:
    """Lets expected requests through to ``app`` and answers all others itself."""

    def __init__(self, app: App, *, max_bytes: int, readiness: Readiness) -> None:
        """Keeps what it needs to judge a request.

        Args:
            app: what stands behind it.
            max_bytes: the largest body that is accepted.
            readiness: whether the service can answer, and what to say about it.
        """
        self.app, self.max_bytes, self.readiness = app, max_bytes, readiness
        self.uploads = 0

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Judges one request."""
        if scope["type"] == "lifespan":
            return await self.app(scope, receive, send)
        if scope["type"] != "http":
            raise RuntimeError(f"only HTTP is served here, not {scope['type']}")
        request_id = uuid.uuid4().hex
        scope.setdefault("state", {})["request_id"] = request_id
        answer = _with_headers(send, request_id, scope["path"])
        try:
            if scope["path"] == "/readyz" and scope["method"] in ("GET", "HEAD"):
                ready, words = self.readiness()
                return await _say(answer, HTTPStatus.OK if ready else HTTPStatus.SERVICE_UNAVAILABLE, words)
            if self._is_upload(scope):
                return await self._upload(scope, receive, answer)
            return await self.app(scope, receive, answer)
        except _Refusal as no:
            await _say(answer, no.status, error_body(no.status, no.message, request_id), no.headers)

    def _is_upload(self, scope: MutableMapping[str, Any]) -> bool:
        path, method = scope["path"], scope["method"]
        if path == UPLOAD:
            if method != "POST":
                raise _Refusal(HTTPStatus.METHOD_NOT_ALLOWED, "Rasters are sent with POST.", (b"allow", b"POST"))
            return True
        if not READ_ONLY.fullmatch(path) or ".." in path:
            raise _Refusal(HTTPStatus.NOT_FOUND, "There is nothing under this address. Try: / or /model.")
        if method not in ("GET", "HEAD"):
            raise _Refusal(HTTPStatus.METHOD_NOT_ALLOWED, "This address is only read.", (b"allow", b"GET, HEAD"))
        return False

    async def _upload(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        self._judge_headers({k.lower(): v.decode("latin-1") for k, v in scope["headers"]})
        if self.uploads >= UPLOADS_AT_ONCE:
            raise _Refusal(
                HTTPStatus.SERVICE_UNAVAILABLE,
                f"{UPLOADS_AT_ONCE} rasters are being received already. Try: again in some seconds.",
                (b"retry-after", b"5"),
            )
        self.uploads += 1
        try:
            await self.app(scope, await _peeked(_patient(receive)), send)
        except TooSlow as slow:
            raise _Refusal(HTTPStatus.REQUEST_TIMEOUT, str(slow)) from None
        finally:
            self.uploads -= 1

    def _judge_headers(self, headers: dict[bytes, str]) -> None:
        if headers.get(b"content-encoding", "identity").lower() != "identity":
            raise _Refusal(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "Coded bodies are not read. Try: send the file as it is.")
        kind = headers.get(b"content-type", "").split(";")[0].strip().lower()
        if kind not in TYPES:
            raise _Refusal(
                HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
                f"The body is {kind[:60] or 'of no type'!r}. Try: send a GeoTIFF as Content-Type: image/tiff.",
            )
        length = headers.get(b"content-length", "")
        if b"transfer-encoding" in headers or not length:
            raise _Refusal(HTTPStatus.LENGTH_REQUIRED, "The length of the body is not declared. Try: Content-Length.")
        if not re.fullmatch(r"[0-9]{1,15}", length):
            raise _Refusal(HTTPStatus.BAD_REQUEST, "Content-Length is not a number.")
        if int(length) > self.max_bytes:
            raise _Refusal(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                f"The body has {int(length)} bytes, the limit is {self.max_bytes}. Try: send it in parts.",
            )


def _patient(receive: Receive) -> Receive:
    async def next_part() -> Message:
        try:
            return await asyncio.wait_for(receive(), WAIT_S)
        except TimeoutError:
            raise TooSlow(f"No byte of the body came for {WAIT_S:.0f} s.", "send it again") from None

    return next_part


async def _peeked(receive: Receive) -> Receive:
    """Returns a receiver that begins again with the parts whose first bytes were looked at here."""
    parts: list[Message] = []
    head = b""
    while len(head) < 4:
        parts.append(await receive())
        head += parts[-1].get("body", b"")
        if parts[-1]["type"] != "http.request" or not parts[-1].get("more_body", False):
            break
    if not head.startswith(MAGIC):
        raise _Refusal(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            f"The body begins with {head[:4].hex() or 'nothing'}, not as a TIFF does.",
        )

    async def again() -> Message:
        return parts.pop(0) if parts else await receive()

    return again


def _with_headers(send: Send, request_id: str, path: str) -> Send:
    fixed = {
        b"x-request-id": request_id.encode(),
        b"x-content-type-options": b"nosniff",
        b"referrer-policy": b"no-referrer",
        b"cross-origin-resource-policy": b"same-origin",
        b"content-security-policy": (_REPORTS if path.startswith("/dashboard") else _STRICT).encode(),
    }

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            present = {name.lower() for name, _ in message.get("headers", [])}
            extra = [(k, v) for k, v in fixed.items() if k not in present]
            if b"cache-control" not in present:
                extra.append((b"cache-control", b"no-store"))
            message = {**message, "headers": [*message.get("headers", []), *extra]}
        await send(message)

    return sending


async def _say(
    send: Send, status: HTTPStatus, words: dict[str, Any], headers: list[tuple[bytes, bytes]] | None = None
) -> None:
    body = json.dumps(words).encode()
    fixed = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": int(status), "headers": [*fixed, *(headers or [])]})
    await send({"type": "http.response.body", "body": body})
