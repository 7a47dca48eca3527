"""Parts of files that are asked for: what is no range is ignored, what lies beyond the file is refused in our words."""

from __future__ import annotations

import re
from http import HTTPStatus

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.schemas import error_body

#: RFC 9110, 14.1.1; lists are short, as nobody who reads a map asks for more places at once.
_MOST_RANGES = 16
_RANGES = re.compile(rf"\s*bytes\s*=\s*(?:[^,]+,){{0,{_MOST_RANGES - 1}}}[^,]+", re.IGNORECASE)
_ONE = re.compile(r"\s*(?:(\d{1,18})-(\d{1,18})?|-\d{1,18})\s*", re.ASCII)


class Ranges:
    """Passes requests on to an application whose files answer ranges in words of their own."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        said = Headers(scope=scope).getlist("range") if scope["type"] == "http" else []
        if not said:
            await self.app(scope, receive, send)
            return
        if len(said) > 1 or not is_range(said[0]):
            # RFC 9110, 14.2: a header that is none is as good as not there.
            kept = [(name, value) for name, value in scope["headers"] if name != b"range"]
            await self.app({**scope, "headers": kept}, receive, send)
            return
        beyond = False

        async def answer(message: Message) -> None:
            nonlocal beyond
            if (
                message["type"] == "http.response.start"
                and message["status"] == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE
            ):
                beyond = True
                await _refuse(scope, receive, send, Headers(raw=message["headers"]).get("content-range", ""))
            elif not beyond:
                await send(message)

        await self.app(scope, receive, answer)


def is_range(text: str) -> bool:
    """Says whether a header asks for ranges of bytes, each of which begins before it ends.

    >>> is_range("bytes=0-99"), is_range("bytes=-5, 7-"), is_range("bytes=9-3"), is_range("lines=1-2")
    (True, True, False, False)
    """
    if not _RANGES.fullmatch(text):
        return False
    found = [_ONE.fullmatch(part) for part in text.split("=", 1)[1].split(",")]
    return all(one is not None and (one[2] is None or int(one[1]) <= int(one[2])) for one in found)


async def _refuse(scope: Scope, receive: Receive, send: Send, size: str) -> None:
    status = HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE
    words = f"The range begins behind the end of the file ({size.rpartition('/')[2]} bytes). Try: ask for less."
    body = error_body(status, words, scope.get("state", {}).get("request_id", ""))
    await JSONResponse(body, int(status), {"Content-Range": size} if size else None)(scope, receive, send)
