"""What the service says of itself (OpenAPI 3.0): every door of the table, what it takes, every answer it gives.

The words are here, the addresses, methods, roles and limits come from the table of doors, the shapes from
:mod:`serving.shapes`; a door without words is an error when the service starts.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from http import HTTPStatus
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from serving.doors import BYTES, DOORS, JSON, RASTER_BYTES, TIFF, Door
from serving.shapes import SCHEMAS, of

VERSION = "1"
PNG, HTML, TEXT, XML, GEOJSON = "image/png", "text/html", "text/plain", "application/xml", "application/geo+json"
_STATIC = (HTML, "text/css", "text/javascript", "application/javascript", JSON, "image/svg+xml", PNG, TEXT, BYTES)
_MAP_HEADERS = ("X-Prediction-Id", "X-Model-Number", "X-Bundle-Id", "X-Graph-SHA256")
_CHIP_HEADERS = ("X-Shape", "X-Dtype", "X-Layers", "X-Model-Number", "X-Bundle-Id", "X-Graph-SHA256")
_DESCRIPTION = (
    "Land cover from satellite imagery. Send a GeoTIFF with named bands and declared radiometry, get a Cloud-Optimised "
    "GeoTIFF with classes, confidence and applicability; or send small arrays. Every answer has X-Request-Id; every "
    "refusal says what is so and what to do."
)


@dataclass(frozen=True)
class Words:
    """What is said of one door.

    Attributes:
        summary: one line.
        answers: status to content type and schema; ``None`` for no content.
        statuses: what else may be answered, with the error's shape, beside what every door of its kind may.
        parameters: in query and headers.
        headers: of the answers in ``answers``.
    """

    summary: str
    answers: Mapping[int, Mapping[str, Mapping[str, Any]] | None]
    statuses: Sequence[int] = ()
    parameters: Sequence[Mapping[str, Any]] = ()
    headers: Sequence[str] = ()


def _query(name: str, about: str, schema: Mapping[str, Any], *, required: bool = False) -> dict[str, Any]:
    return {"name": name, "in": "query", "required": required, "description": about, "schema": dict(schema)}


def _header(name: str, about: str, example: str, *, pattern: str = "") -> dict[str, Any]:
    schema = {"type": "string", **({"pattern": pattern} if pattern else {})}
    return {"name": name, "in": "header", "required": False, "description": about, "schema": schema, "example": example}


_BINARY = {"type": "string", "format": "binary"}
_NAME = _query("name", "What people call the raster.", {"type": "string", "maxLength": 80})
_LAYERS = _query(
    "layers", "Bands of the map, with commas between; none for all.", {"type": "string", "example": "class,confidence"}
)
_NUMBER = {"type": "number"}
_LAYER = _query("layer", "What is shown: classes, probability_0, image, …", {"type": "string", "default": "classes"})
_JSON = {JSON: of("Job")}
_MAP: Mapping[int, Mapping[str, Mapping[str, Any]]] = {200: {TIFF: _BINARY}, 206: {TIFF: _BINARY}}
_CHIP = (
    _header("X-Shape", "band,y,x or n,band,y,x.", "4,8,8"),
    _header("X-Dtype", "Type of the numbers, little-endian.", "uint16"),
    _header("X-Bands", "Names of the bands, in the array's order.", "B02,B03,B04,B08"),
    _header("X-Scale", "What one DN is worth; one number, or one per band.", "0.0001"),
    _header("X-Offset", "What is added then; one number, or one per band.", "0"),
    _header("X-Nodata", "What stands for: not observed, beside the sensor's own number; nan for NaN alone.", "0"),
)
_FOUND = (404, 409, 416, 422)

WORDS: Mapping[tuple[str, str], Words] = {
    ("GET", "/"): Words("The map page.", {200: {HTML: {"type": "string"}}}),
    ("GET", "/page/{file}"): Words(
        "A file of the page.", {200: dict.fromkeys(_STATIC, _BINARY), 304: None, 206: None}, (404, 416)
    ),
    ("GET", "/openapi.json"): Words("This document.", {200: {JSON: {"type": "object"}}}),
    ("GET", "/livez"): Words("That the process lives; asks nothing else.", {200: {JSON: of("Alive")}}),
    ("GET", "/healthz"): Words("The same, with what an operator should know.", {200: {JSON: of("Alive")}}),
    ("GET", "/readyz"): Words("Whether a model can answer.", {200: {JSON: of("Ready")}, 503: {JSON: of("Ready")}}),
    ("GET", "/metrics"): Words("Metrics for Prometheus.", {200: {TEXT: {"type": "string"}}}, (404,)),
    ("GET", "/dashboard/{file}"): Words(
        "A file of the monitoring dashboard.",
        {200: dict.fromkeys(_STATIC, _BINARY), 304: None, 206: None, 307: None},
        (404, 416),
    ),
    ("GET", "/model"): Words("Which model answers, its contract, its scores.", {200: {JSON: of("Model")}}),
    ("POST", "/classify"): Words(
        "Classifies a raster of moderate size while you wait.",
        {200: {TIFF: _BINARY}},
        (404, 409, 422, 500, 504, 507),
        (_NAME, _LAYERS),
        _MAP_HEADERS,
    ),
    ("POST", "/classify_chip"): Words(
        "Classifies small arrays. Radiometry must be declared, in headers or in the JSON.",
        {200: {BYTES: _BINARY, JSON: of("ChipAnswer")}},
        (422, 500, 504),
        (
            *_CHIP,
            _query(
                "output",
                "Layers of a map, or a probability per class.",
                {"type": "string", "enum": ["layers", "probability"], "default": "layers"},
            ),
        ),
        (),
    ),
    ("GET", "/predictions"): Words(
        "What was answered, newest first.",
        {200: {JSON: of("Predictions")}},
        (422,),
        (_query("limit", "How many at most.", {"type": "integer", "minimum": 0, "maximum": 500, "default": 50}),),
    ),
    ("GET", "/predictions/{id}/map.tif"): Words("The map.", _MAP, (404, 416)),
    ("GET", "/predictions/{id}/map.tif.aux.xml"): Words(
        "The map's attribute table, as GDAL reads it.",
        {200: {XML: {"type": "string"}, "text/xml": {"type": "string"}}},
        _FOUND,
    ),
    ("GET", "/predictions/{id}/map.png"): Words(
        "One layer of the map, or the image, as a picture.",
        {200: {PNG: _BINARY}, 206: None, 304: None},
        _FOUND,
        (_LAYER,),
    ),
    ("GET", "/predictions/{id}/item.json"): Words(
        "The map's STAC item.", {200: {GEOJSON: {"type": "object"}, JSON: {"type": "object"}}}, _FOUND
    ),
    ("GET", "/predictions/{id}/at"): Words(
        "What the map says at a point, and where that comes from.",
        {200: {JSON: of("Pixel")}},
        (404, 409, 422, 500),
        tuple(_query(name, "Of the point.", _NUMBER) for name in ("easting", "northing", "lon", "lat")),
    ),
    ("GET", "/tiles/{z}/{x}/{y}.png"): Words(
        "A tile of a map for map libraries (Web Mercator). @2x before .png gives 512 pixels.",
        {200: {PNG: _BINARY}, 304: None},
        (404, 422),
        (_LAYER, _query("prediction", "Id of the prediction.", {"type": "string"})),
    ),
    ("GET", "/jobs"): Words(
        "The jobs of this key, newest first; all of them for operators.", {200: {JSON: of("Jobs")}}
    ),
    ("POST", "/jobs"): Words(
        "Takes a raster of any allowed size in. The same raster again finds the same job.",
        {202: _JSON, 200: _JSON},
        (404, 409, 422, 500, 504, 507),
        (_NAME, _LAYERS),
        ("Location",),
    ),
    ("GET", "/jobs/{id}"): Words("How far a job is.", {200: _JSON}, (404,)),
    ("DELETE", "/jobs/{id}"): Words("Stops a job and forgets it; a map that was made stays.", {204: None}, (404,)),
    ("GET", "/jobs/{id}/result"): Words("The map of a job that is done.", _MAP, (404, 409, 416), (), _MAP_HEADERS),
    ("POST", "/jobs/{id}/cancel"): Words("Stops a job.", {200: _JSON, 202: _JSON}, (404,)),
    ("POST", "/hooks/registry"): Words(
        "The registry's word that something changed, signed by it.", {204: None}, (401, 404, 422)
    ),
}


class OpenApi:
    """The document's address."""

    def __init__(self, *, asks_keys: bool, max_upload: int) -> None:
        """Makes the document.

        Args:
            asks_keys: whether requests need a key.
            max_upload: the largest raster that is accepted, in bytes.
        """
        self._content = _as_json(asks_keys, max_upload)

    def routes(self) -> list[Route]:
        """Returns the address."""
        return [Route("/openapi.json", self.document)]

    def document(self, _: Request) -> Response:
        """Returns the document."""
        return Response(self._content, media_type=JSON)


@lru_cache(maxsize=4)
def _as_json(asks_keys: bool, max_upload: int) -> bytes:
    return json.dumps(document(asks_keys=asks_keys, max_upload=max_upload), ensure_ascii=False).encode()


def document(*, asks_keys: bool, max_upload: int) -> dict[str, Any]:
    """Returns the document as plain values.

    Args:
        asks_keys: whether requests need a key.
        max_upload: the largest raster that is accepted, in bytes.
    """
    paths: dict[str, dict[str, Any]] = {}
    for door in DOORS:
        paths.setdefault(door.path, {})[door.method.lower()] = _operation(door, asks_keys, max_upload)
    schemes = {
        "bearer": {"type": "http", "scheme": "bearer", "description": "geoml_… as given by `geoml keys new`."},
        "header": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
    }
    return {
        "openapi": "3.0.3",
        "info": {"title": "geoml-ops", "version": VERSION, "description": _DESCRIPTION},
        "paths": paths,
        "components": {"schemas": dict(SCHEMAS), **({"securitySchemes": schemes} if asks_keys else {})},
    }


def _operation(door: Door, asks_keys: bool, max_upload: int) -> dict[str, Any]:
    words = WORDS[door.method, door.path]
    responses = {str(status): _answer(status, content, words.headers) for status, content in words.answers.items()}
    for status in sorted({*words.statuses, *_usual(door, asks_keys)}):
        responses.setdefault(str(status), _error(status))
    keyed = asks_keys and door.role != "open"
    return {
        "operationId": f"{door.method.lower()}_{door.name}" + ("_file" if "{file}" in door.path else ""),
        "summary": words.summary,
        "description": f"Needs the role {door.role}." if door.role != "open" else "Needs no key.",
        "parameters": [*_in_path(door), *map(dict, words.parameters)],
        **({"requestBody": _body(door, max_upload)} if door.body.max_bytes else {}),
        "responses": responses,
        "security": [{"bearer": []}, {"header": []}] if keyed else [],
    }


def _usual(door: Door, asks_keys: bool) -> set[int]:
    """Returns the statuses that the guard itself may answer with."""
    found = {400, 415, 500, 503, 504} if door.name not in ("livez", "healthz", "readyz") else {400}
    if door.role != "open":
        found |= {401, 403, 429} if asks_keys else {403, 421}
    if door.body.max_bytes:
        found |= {408, 411, 413}
    return found


def _answer(status: int, content: Mapping[str, Any] | None, headers: Sequence[str]) -> dict[str, Any]:
    said: dict[str, Any] = {"description": HTTPStatus(status).phrase, "headers": _headers(("X-Request-Id",))}
    if status < 300:
        said["headers"] |= _headers(headers)
    if content:
        said["content"] = {kind: {"schema": dict(schema)} for kind, schema in content.items()}
    return said


def _error(status: int) -> dict[str, Any]:
    headers = _headers(("X-Request-Id",))
    if status in (429, 503):
        about = "Seconds until it is worth asking again."
        headers["Retry-After"] = {"required": status == 429, "description": about, "schema": {"type": "integer"}}
    content = {JSON: {"schema": of("Error")}}
    return {"description": HTTPStatus(status).phrase, "headers": headers, "content": content}


def _headers(names: Sequence[str]) -> dict[str, Any]:
    return {name: {"required": True, "schema": {"type": "string"}} for name in names}


def _in_path(door: Door) -> list[dict[str, Any]]:
    kinds: dict[str, dict[str, Any]] = {
        "file": {"type": "string", "pattern": "^[A-Za-z0-9._-]{1,40}$"},
        "id": {
            "type": "string",
            "pattern": f"^{'job' if door.path.startswith('/jobs') else 'prediction'}-[0-9a-f]{{16}}$",
        },
        "z": {"type": "integer", "minimum": 0, "maximum": 24},
        "x": {"type": "integer", "minimum": 0, "maximum": 16_777_215},
        "y": {"type": "integer", "minimum": 0, "maximum": 16_777_215},
    }
    return [
        {"name": name, "in": "path", "required": True, "schema": schema}
        for name, schema in kinds.items()
        if f"{{{name}}}" in door.path
    ]


def _body(door: Door, max_upload: int) -> dict[str, Any]:
    content: dict[str, Any] = {}
    for kind in door.body.max_bytes:
        schema = of("ChipQuestion" if door.name == "classify_chip" else "Notice") if kind == JSON else _BINARY
        content[kind] = {"schema": schema}
    limits = ", ".join(
        f"{kind}: {(max_upload if most == RASTER_BYTES else most)} bytes" for kind, most in door.body.max_bytes.items()
    )
    return {"required": True, "description": f"At most {limits}.", "content": content}
