"""Shapes of what the service says in JSON, as OpenAPI schemas."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_TEXT: Mapping[str, Any] = {"type": "string"}
_PX: Mapping[str, Any] = {"type": "integer", "minimum": 0}
_SHARE: Mapping[str, Any] = {"type": "number", "minimum": 0, "maximum": 1}


def of(name: str) -> dict[str, Any]:
    """Returns a reference to one of :data:`SCHEMAS`."""
    assert name in SCHEMAS, name
    return {"$ref": f"#/components/schemas/{name}"}


def _maybe(schema: Mapping[str, Any]) -> dict[str, Any]:
    return {**schema, "nullable": True}


def _made(needed: Mapping[str, Any], also: Mapping[str, Any] | None = None, *, closed: bool = False) -> dict[str, Any]:
    said = {"type": "object", "required": list(needed), "properties": {**needed, **(also or {})}}
    return {**said, "additionalProperties": False} if closed else said


def _list(schema: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": dict(schema)}


_CLASS = _made({"code": _PX, "name": _TEXT, "colour": {"type": "string", "pattern": "^#[0-9a-f]{6}$"}})
_REF = "#/components/schemas/"
_NUMBERS: Mapping[str, Any] = {"anyOf": [{"type": "number"}, _list({"type": "number"})]}

SCHEMAS: Mapping[str, Mapping[str, Any]] = {
    "Error": _made(
        {
            "error": _made(
                {
                    "code": {**_TEXT, "description": "For programs; each has one meaning."},
                    "message": {**_TEXT, "description": "For people: what is so, and what to do about it."},
                    "request_id": {**_TEXT, "pattern": "^[0-9a-f]{32}$"},
                },
                closed=True,
            )
        },
        closed=True,
    ),
    "Alive": _made(
        {"alive": {"type": "boolean"}}, {"keys": _TEXT, "keys_trouble": _TEXT, "uploads_confined_by": _TEXT}
    ),
    "Ready": _made({"ready": {"type": "boolean"}}, {"model": _maybe(_TEXT), "number": _maybe(_PX), "message": _TEXT}),
    "Model": _made(
        {"ready": {"type": "boolean"}, "model": _maybe(_TEXT), "number": _maybe(_PX), "message": _TEXT},
        {
            "limits": _made(
                {
                    "max_sync_pixels": _PX,
                    "max_pixels": _PX,
                    "max_upload_mb": {"type": "number"},
                    "probabilities": {"type": "boolean"},
                }
            ),
            "classes": _list(_CLASS),
            "contract": {"type": "object"},
            "bundle": {"type": "object"},
            "entry": {"type": "object"},
        },
    ),
    "Job": _made(
        {
            "id": {"type": "string", "pattern": "^job-[0-9a-f]{16}$"},
            "state": {"type": "string", "enum": ["queued", "running", "done", "failed", "cancelled"]},
            "done_px": _PX,
            "all_px": _PX,
            "message": _TEXT,
            "prediction": _maybe({"type": "string", "pattern": "^prediction-[0-9a-f]{16}$"}),
            "name": _TEXT,
            "layers": _list(_TEXT),
            "made": {"type": "string", "format": "date-time"},
            "ended": _maybe({"type": "string", "format": "date-time"}),
            "bundle": _maybe(_TEXT),
            "number": _maybe(_PX),
        },
        closed=True,
    ),
    "Jobs": _made({"jobs": _list({"$ref": f"{_REF}Job"})}, closed=True),
    "Prediction": _made(
        {
            "id": _TEXT,
            "at": {"type": "string", "format": "date-time"},
            "name": _TEXT,
            "model": _TEXT,
            "number": _PX,
            "bundle": _TEXT,
            "valid_share": _SHARE,
            "mean_confidence": _maybe({"type": "number"}),
            "outside_share": _maybe(_SHARE),
            "layers": _list(_TEXT),
            "grid": {"type": "object"},
            "classes": _list(_CLASS),
        }
    ),
    "Predictions": _made({"predictions": _list({"$ref": f"{_REF}Prediction"})}),
    "Pixel": _made(
        {
            "easting": {"type": "number"},
            "northing": {"type": "number"},
            "row": _PX,
            "col": _PX,
            "class": _maybe(_TEXT),
            "confidence": _maybe({"type": "number"}),
            "lineage": _list(_made({"kind": _TEXT, "id": _TEXT, "sentence": _TEXT})),
        }
    ),
    "ChipQuestion": _made(
        {
            "bands": {**_list(_TEXT), "example": ["B02", "B03", "B04", "B08"]},
            "scale": {**_NUMBERS, "example": 0.0001},
            "offset": {**_NUMBERS, "example": 0},
            "dn": {**_list({}), "description": "Nested lists band,y,x or n,band,y,x; null where not observed."},
        },
        {"nodata": _maybe({"type": "number"})},
        closed=True,
    ),
    "ChipAnswer": _made(
        {
            "bundle": _TEXT,
            "graph_sha256": _TEXT,
            "number": _PX,
            "request_id": _TEXT,
            "classes": _list(_TEXT),
            "answer": _list({}),
        }
    ),
    "Notice": {"type": "object", "description": "What MLflow sends; nothing of it is believed but that it was sent."},
}
