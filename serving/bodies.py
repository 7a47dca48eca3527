"""Bodies on their way in and answers on their way out: counted, kept moving, never copied."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from http import HTTPStatus
from typing import Any

from serving.caller import Caller
from serving.doors import RASTER_BYTES, Body
from serving.refusal import Headers, Refusal

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

WAIT_S = 10.0
LEAST_BYTES_PER_S = 64 << 10
BODY_S = 900.0
#: How much longer than its time work may take to notice that it is over.
GRACE_S = 5.0
_STEP = int(WAIT_S * LEAST_BYTES_PER_S)
_ONCE = frozenset({b"content-length", b"content-type", b"host", b"authorization", b"x-api-key", b"transfer-encoding"})
_LENGTH = re.compile(rb"[0-9]{1,15}")


def headers_of(scope: Mapping[str, Any]) -> dict[bytes, bytes]:
    """Returns the headers of a request, names in small letters; ASGI gives them so.

    Raises:
        Refusal: 400, one that may be there once is there twice.
    """
    found: dict[bytes, bytes] = {}
    for name, value in scope["headers"]:
        if name in found and name in _ONCE:
            raise Refusal(HTTPStatus.BAD_REQUEST, f"The header {name.decode('latin-1')} is there twice.")
        found[name] = value
    return found


def judge_body(headers: Mapping[bytes, bytes], body: Body, max_upload: int) -> int:
    """Returns the declared length of a body that may be read.

    Args:
        headers: of the request.
        body: what its door takes.
        max_upload: the largest raster that is accepted, in bytes.

    Raises:
        Refusal: 400, 411, 413 or 415.
    """
    coding = headers.get(b"content-encoding", b"identity").strip().lower()
    if coding not in (b"identity", b""):
        raise Refusal(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "Coded bodies are not read. Try: send the bytes as they are.")
    length = _length(headers, needed=bool(body.max_bytes))
    if not body.max_bytes:
        if length:
            raise Refusal(HTTPStatus.BAD_REQUEST, f"This address takes no body; {length} bytes are announced.")
        return 0
    kind = headers.get(b"content-type", b"").split(b";")[0].strip().lower().decode("latin-1")
    most = body.max_bytes.get(kind)
    if most is None:
        raise Refusal(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            f"The body is {kind[:60] or 'of no type'!r}. Try: Content-Type: {' or '.join(body.max_bytes)}.",
        )
    most = max_upload if most == RASTER_BYTES else most
    if length > most:
        raise Refusal(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            f"The body has {length} bytes, the limit is {most}. Try: send it in parts.",
        )
    return length


def _length(headers: Mapping[bytes, bytes], *, needed: bool) -> int:
    said = headers.get(b"content-length")
    if b"transfer-encoding" in headers or (said is None and needed):
        raise Refusal(HTTPStatus.LENGTH_REQUIRED, "The length of the body is not declared. Try: Content-Length.")
    if said is None:
        return 0
    if not _LENGTH.fullmatch(said):
        raise Refusal(HTTPStatus.BAD_REQUEST, "Content-Length is not a number.")
    return int(said)


class Flow:
    """One request's body and answer, with one timer for both.

    A body must bring 64 KiB a second over any ten of them and be here within a quarter of an hour; then the work has
    its time; then every part of the answer must be taken within ten seconds. The timer is moved, not made anew.

    Attributes:
        status: of the answer; None before it began.
        over: what the timer stands for: ``body``, ``work`` or ``answer``.
    """

    __slots__ = (
        "_body_end",
        "_clock",
        "_extra",
        "_loop",
        "_parts",
        "_receive",
        "_send",
        "_since",
        "caller",
        "over",
        "status",
    )

    def __init__(self, caller: Caller, receive: Receive, send: Send, extra: Callable[[Headers], Headers]) -> None:
        self.caller, self._receive, self._send, self._extra = caller, receive, send, extra
        self._loop = asyncio.get_running_loop()
        self._parts: list[Message] = []
        self._since, self._body_end = 0, 0.0
        self._clock: asyncio.Timeout | None = None
        self.status: int | None = None
        self.over = "work"

    def begin(self, clock: asyncio.Timeout, length: int) -> None:
        """Starts the timer for a body of that length, or for the work where there is none."""
        self._clock = clock
        if length:
            self.over, self._body_end = "body", self._loop.time() + BODY_S
            self._until(WAIT_S)
        else:
            self._work()

    def end(self) -> None:
        """Lets go of the timer, which is over."""
        self._clock = None

    async def peek(self, magic: tuple[bytes, ...]) -> None:
        """Looks at the first bytes of the body, which stay to be received.

        Raises:
            Refusal: 415, it begins with none of ``magic``.
        """
        head = b""
        while len(head) < 4:
            part = await self._next()
            self._parts.append(part)
            head += part.get("body", b"")[:4]
            if part["type"] != "http.request" or not part.get("more_body", False):
                break
        if not head.startswith(magic):
            raise Refusal(
                HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
                f"The body begins with {head[:4].hex() or 'nothing'}, not as a TIFF does.",
            )

    async def receive(self) -> Message:
        """Returns the next part of the body."""
        return self._parts.pop(0) if self._parts else await self._next()

    async def send(self, message: Message) -> None:
        """Sends a part of the answer; its beginning gets the headers that all answers have."""
        if message["type"] == "http.response.start":
            self.status, self.over = message["status"], "answer"
            headers = message.get("headers", ())
            message = {**message, "headers": [*headers, *self._extra(headers)]}
        self._until(WAIT_S)
        await self._send(message)

    async def _next(self) -> Message:
        message = await self._receive()
        if self.over == "body":
            if message["type"] != "http.request" or not message.get("more_body", False):
                self._work()
            else:
                self._since += len(message.get("body", b""))
                if self._since >= _STEP:
                    self._since = 0
                    self._until(min(WAIT_S, self._body_end - self._loop.time()))
        return message

    def _work(self) -> None:
        self.over = "work"
        self.caller.deadline = time.monotonic() + self.caller.request_s
        self._until(self.caller.request_s + GRACE_S)

    def _until(self, seconds: float) -> None:
        if self._clock is not None:
            self._clock.reschedule(self._loop.time() + seconds)
