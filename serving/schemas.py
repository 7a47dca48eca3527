"""What the service says: one shape for errors, one for each answer in JSON."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any

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
from geoml_ops.core.flow import Bundle, Evaluation, Prediction
from geoml_ops.steps.trace import Link, Pixel


class TooSlow(GeomlError):
    """A caller sends more slowly than the service waits."""


#: The only place where an error of this platform becomes an HTTP status; the nearest class counts.
STATUS: Mapping[type[GeomlError], HTTPStatus] = {
    TooLarge: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    BadInput: HTTPStatus.UNPROCESSABLE_ENTITY,
    NotFound: HTTPStatus.NOT_FOUND,
    Conflict: HTTPStatus.CONFLICT,
    TooSlow: HTTPStatus.REQUEST_TIMEOUT,
    Unavailable: HTTPStatus.SERVICE_UNAVAILABLE,
    StorageFull: HTTPStatus.INSUFFICIENT_STORAGE,
    Refused: HTTPStatus.INTERNAL_SERVER_ERROR,
}
# An error that was made from a tool's own exception may quote a path or the tool: callers get these words instead.
_PLAIN: Mapping[HTTPStatus, str] = {
    HTTPStatus.UNPROCESSABLE_ENTITY: "The raster cannot be read to its end. Try: send the file again, whole.",
    HTTPStatus.INSUFFICIENT_STORAGE: "The service has no space left; nothing of this was kept. Try: again later.",
}
_PATH = re.compile(r"(?:^|[\s'\"(])/[\w.-]+/")
_CODES: Mapping[HTTPStatus, str] = {
    HTTPStatus.BAD_REQUEST: "bad_request",
    HTTPStatus.NOT_FOUND: "not_found",
    HTTPStatus.METHOD_NOT_ALLOWED: "method_not_allowed",
    HTTPStatus.REQUEST_TIMEOUT: "too_slow",
    HTTPStatus.CONFLICT: "conflict",
    HTTPStatus.LENGTH_REQUIRED: "length_required",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "too_large",
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: "unsupported_media_type",
    HTTPStatus.UNPROCESSABLE_ENTITY: "bad_input",
    HTTPStatus.SERVICE_UNAVAILABLE: "unavailable",
    HTTPStatus.INSUFFICIENT_STORAGE: "storage_full",
}


def status_of(error: GeomlError) -> HTTPStatus:
    """Returns the HTTP status of an error, from its own class or the nearest above it."""
    for kind in type(error).__mro__:
        if kind in STATUS:
            return STATUS[kind]
    return HTTPStatus.INTERNAL_SERVER_ERROR


def message_of(error: GeomlError) -> str:
    """Returns the sentence a caller may read: fact and remedy, never a path or a tool's own words."""
    status = status_of(error)
    if status == HTTPStatus.INTERNAL_SERVER_ERROR:
        return "The service broke a promise of its own; the reason is in its log under this request id."
    if error.__cause__ is not None or _PATH.search(error.fact):
        return _PLAIN.get(status, status.phrase)
    return error.fact if _PATH.search(error.remedy) else str(error)


def error_body(status: HTTPStatus, message: str, request_id: str) -> dict[str, Any]:
    """Returns the body of every refusal."""
    return {"error": {"code": _CODES.get(status, "internal"), "message": message, "request_id": request_id}}


def legend(bundle: Bundle) -> list[dict[str, Any]]:
    """Returns code, name and colour of each class."""
    return [
        {"code": code, "name": name, "colour": colour}
        for code, (name, colour) in enumerate(zip(bundle.classes, bundle.colours, strict=True))
    ]


def score_row(evaluation: Evaluation | None) -> dict[str, Any] | None:
    """Returns the honest scores of a model beside the optimistic ones, None where they are not kept here."""
    if evaluation is None:
        return None
    return {
        "evaluation": evaluation.id,
        "family": evaluation.family,
        "estimand": evaluation.estimand,
        "scores": {name: score.model_dump() for name, score in evaluation.scores.items()},
        "optimism": {name: score.model_dump() for name, score in evaluation.optimism.items()},
    }


def prediction_row(prediction: Prediction, bundle: Bundle | None, at: str) -> dict[str, Any]:
    """Returns what a list of predictions shows of one."""
    shares = prediction.class_shares
    classes = legend(bundle) if bundle else []
    return {
        "id": prediction.id,
        "at": at,
        "name": prediction.source_name,
        "model": prediction.model,
        "number": prediction.number,
        "bundle": prediction.bundle,
        "scenes": list(prediction.scenes),
        "source_sha256": prediction.source.sha256,
        "valid_share": prediction.valid_share,
        "mean_confidence": prediction.mean_confidence,
        "grid": prediction.grid.model_dump(),
        "classes": [{**entry, "share": shares.get(str(entry["name"]), 0.0)} for entry in classes],
    }


def pixel_row(pixel: Pixel, links: Iterable[Link], easting: float, northing: float) -> dict[str, Any]:
    """Returns what the map says at a point and the walk from there to its scenes."""
    return {
        "easting": easting,
        "northing": northing,
        "row": pixel.row,
        "col": pixel.col,
        "class": pixel.name,
        "confidence": pixel.confidence,
        "lineage": [{"kind": link.noun.kind, "id": link.noun.id, "sentence": link.sentence} for link in links],
    }
