"""What the service says: one shape for errors, one for each answer in JSON."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any

from geoml_ops.adapters.raster import lon_lat_bounds
from geoml_ops.core.errors import (
    BadInput,
    Cancelled,
    Conflict,
    GeomlError,
    NotFound,
    Refused,
    StorageFull,
    TooLarge,
    Unavailable,
)
from geoml_ops.core.flow import Bundle, Evaluation, Prediction
from geoml_ops.steps.pixels import Pixel, of_trust
from geoml_ops.steps.trace import Link
from serving.pictures import hex_of, set_colours
from serving.quotas import OverQuota


class TooSlow(GeomlError):
    """A caller sends more slowly than the service waits."""


class TooLong(GeomlError):
    """Work took longer than a request may."""

    retryable = True


#: The only place where an error of this platform becomes an HTTP status; the nearest class counts.
STATUS: Mapping[type[GeomlError], HTTPStatus] = {
    TooLarge: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    BadInput: HTTPStatus.UNPROCESSABLE_ENTITY,
    NotFound: HTTPStatus.NOT_FOUND,
    Conflict: HTTPStatus.CONFLICT,
    TooSlow: HTTPStatus.REQUEST_TIMEOUT,
    TooLong: HTTPStatus.GATEWAY_TIMEOUT,
    Cancelled: HTTPStatus.GATEWAY_TIMEOUT,
    OverQuota: HTTPStatus.TOO_MANY_REQUESTS,
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
    HTTPStatus.UNAUTHORIZED: "no_key",
    HTTPStatus.FORBIDDEN: "not_allowed",
    HTTPStatus.MISDIRECTED_REQUEST: "wrong_host",
    HTTPStatus.TOO_MANY_REQUESTS: "over_quota",
    HTTPStatus.GATEWAY_TIMEOUT: "too_long",
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


def applicability_row(bundle: Bundle) -> dict[str, Any] | None:
    """Returns where the model may be asked, None where it does not know."""
    said = bundle.applicability
    if said is None:
        return None
    kept = ("definition", "threshold", "mean_distance", "n_samples", "n_references", "mean_density", "outside_share")
    return {
        **{name: getattr(said, name) for name in kept},
        "plan": said.plan,
        "weights": said.weights,
        "sentence": f"It knows ground like its {said.n_samples} samples; beyond {said.threshold:.3g} times their mean "
        f"distance an answer is outside. Of held-out samples {_percent(said.outside_share)} were.",
    }


def sets_row(bundle: Bundle) -> dict[str, Any] | None:
    """Returns what its sets of classes promise and hold, None where the model has none."""
    said = bundle.conformal
    if said is None:
        return None
    low, high = _percent(said.measured.low), _percent(said.measured.high)
    regions = f" {len(said.regions)} regions have quantiles of their own." if said.regions else ""
    return {
        "coverage": said.coverage,
        "measured": said.measured.model_dump(),
        "mean_set_size": said.mean_set_size,
        "low_blocks_share": said.low_blocks_share,
        "method": said.method,
        "quantiles": said.quantiles,
        "regions": [region.model_dump() for region in said.regions],
        "plan": said.plan,
        "sentence": f"Sets of classes held the true one on {_percent(said.measured.value)} of held-out ground ({low} "
        f"to {high} from {said.measured.n_blocks} blocks); {_percent(said.coverage)} are promised. A set holds "
        f"{said.mean_set_size:.1f} of {len(bundle.classes)} classes; {_percent(said.low_blocks_share)} of the blocks "
        f"fall short by a tenth or more.{regions}",
    }


def _percent(share: float) -> str:
    return f"{100 * share:.1f}".removesuffix(".0") + " %"


def prediction_row(prediction: Prediction, bundle: Bundle | None, at: str) -> dict[str, Any]:
    """Returns what a list of predictions shows of one."""
    shares = prediction.class_shares
    classes = legend(bundle) if bundle else []
    known = {"set_size": prediction.mean_set_size, "dissimilarity": prediction.outside_share}
    known["outside"] = prediction.outside_share
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
        "outside_share": prediction.outside_share,
        "mean_set_size": prediction.mean_set_size,
        "layers": _drawable(prediction, [name for name, value in known.items() if value is not None]),
        "coverage": bundle.conformal.coverage if bundle and bundle.conformal else None,
        "set_colours": [hex_of(colour) for colour in set_colours(len(classes))],
        "grid": prediction.grid.model_dump(),
        "bounds": lon_lat_bounds(prediction.grid),
        "classes": [{**entry, "share": shares.get(str(entry["name"]), 0.0)} for entry in classes],
    }


def _drawable(prediction: Prediction, known: list[str]) -> list[str]:
    """Returns what can be drawn of a map; one that was asked for with fewer bands has fewer."""
    bands = {"classes": "class", "outside": "dissimilarity"}
    layers = [name for name in ("classes", "confidence", *known) if _holds(prediction, bands.get(name, name))]
    return [*layers, "image"]


def _holds(prediction: Prediction, band: str) -> bool:
    return not prediction.layers or band in prediction.layers


def trust_headers(prediction: Prediction) -> dict[str, str]:
    """Returns how far a map may be trusted as headers of the answer that carries it; what is not known is left out."""
    said = {"X-Outside-Share": prediction.outside_share, "X-Mean-Set-Size": prediction.mean_set_size}
    return {name: f"{value:g}" for name, value in said.items() if value is not None}


def pixel_row(pixel: Pixel, links: Iterable[Link], easting: float, northing: float) -> dict[str, Any]:
    """Returns what the map says at a point and the walk from there to its scenes."""
    return {
        "easting": easting,
        "northing": northing,
        "row": pixel.row,
        "col": pixel.col,
        "class": pixel.name,
        "confidence": pixel.confidence,
        "set": None if pixel.possible is None else list(pixel.possible),
        "coverage": pixel.coverage,
        "dissimilarity": pixel.dissimilarity,
        "outside": pixel.outside,
        "density": pixel.density,
        "probabilities": pixel.probabilities,
        "trust": of_trust(pixel),
        "lineage": [{"kind": link.noun.kind, "id": link.noun.id, "sentence": link.sentence} for link in links],
    }
