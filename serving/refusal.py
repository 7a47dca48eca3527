"""How the guard says no: a status, a sentence, headers."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from serving.schemas import error_body

Headers = Sequence[tuple[bytes, bytes]]


class Refusal(Exception):
    """A request that goes no further.

    Attributes:
        status: of the answer.
        message: what a person reads.
        headers: of the answer, beside those that all answers have.
    """

    def __init__(
        self, status: HTTPStatus, message: str, *headers: tuple[bytes, bytes], retry_s: int | None = None
    ) -> None:
        super().__init__(message)
        self.status, self.message, self.headers = status, message, list(headers)
        if retry_s is not None:
            self.headers.append((b"retry-after", b"%d" % retry_s))


def refused(no: Refusal, request_id: str) -> list[dict[str, Any]]:
    """Returns the messages (ASGI) of a refusal."""
    return said(no.status, error_body(no.status, no.message, request_id), no.headers)


def said(status: HTTPStatus, words: Mapping[str, Any], headers: Headers = ()) -> list[dict[str, Any]]:
    """Returns the messages (ASGI) of an answer in JSON."""
    body = json.dumps(words).encode()
    fixed = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    start = {"type": "http.response.start", "status": int(status), "headers": [*fixed, *headers]}
    return [start, {"type": "http.response.body", "body": body}]
