"""What the service answers: its own sentences as the platform's errors, files whole or absent, objects of JSON."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx

from geoml_ops.core.errors import (
    BadInput,
    Conflict,
    GeomlError,
    NotFound,
    Refused,
    StorageFull,
    TooLarge,
    Unavailable,
)
from geoml_ops.platform.files import whole_file

LONGEST_WAIT_S = 30.0
"""An answer of "later" is waited for at most so long."""
_LATER = (429, 503)
_ERRORS: Mapping[int, type[GeomlError]] = {
    401: Refused,
    403: Refused,
    404: NotFound,
    408: Unavailable,
    409: Conflict,
    413: TooLarge,
    429: Unavailable,
    507: StorageFull,
}
_NAMES = {"prediction": "X-Prediction-Id", "number": "X-Model-Number", "bundle": "X-Bundle-Id"}
_TRUST = {"outside_share": "X-Outside-Share", "mean_set_size": "X-Mean-Set-Size"}


def kept(answer: httpx.Response, out: Path) -> dict[str, str]:
    """Writes a map to ``out``, whole or not at all, and returns what answered, as :meth:`Client.classify`."""
    with whole_file(out) as part, part.open("wb") as stream:
        for piece in answer.iter_bytes():
            stream.write(piece)
    known = {key: answer.headers[header] for key, header in _TRUST.items() if header in answer.headers}
    return {key: answer.headers.get(header, "") for key, header in _NAMES.items()} | known | {"map": str(out)}


def pause_s(answer: httpx.Response) -> float | None:
    """Returns how long the service wants to be left alone; None where it does not say, or says too long."""
    text = answer.headers.get("Retry-After", "")
    if answer.status_code not in _LATER or not (text.isascii() and text.isdigit()):
        return None
    return float(text) if float(text) <= LONGEST_WAIT_S else None


def error_of(answer: httpx.Response) -> GeomlError:
    """Returns a refusal as an error of the platform, with the service's own sentence where it said one."""
    usual = Unavailable if answer.status_code >= 500 else BadInput
    try:
        sentence = sentence_of(answer.json())
    except ValueError:
        sentence = ""
    return _ERRORS.get(answer.status_code, usual)(sentence or f"The service answered {answer.status_code}.")


def sentence_of(content: Any) -> str:
    """Returns the service's own sentence; empty where it said none."""
    error = content.get("error") if isinstance(content, dict) else None
    message = error.get("message") if isinstance(error, dict) else error
    return message if isinstance(message, str) else ""


def object_in(answer: httpx.Response) -> dict[str, Any]:
    """Returns the JSON object of an answer.

    Raises:
        Unavailable: it holds none; something else than the service answers there.
    """
    try:
        content = answer.json()
    except ValueError:
        content = None
    if not isinstance(content, dict):
        raise Unavailable("The service answered something else than it promises.", "check the address")
    return content
