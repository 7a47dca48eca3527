"""The doors of the service: every address that answers, how it is asked, by whom, and what it may be sent.

One table. The guard lets nothing else in, the OpenAPI document is held against it, and metrics count by its names.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

Role = Literal["open", "reader", "classifier", "operator"]
#: What each role may do beside its own: who may send may look, who runs the service may do all.
RANK: Mapping[str, int] = {"open": 0, "reader": 1, "classifier": 2, "operator": 3}

TIFF, BYTES, JSON = "image/tiff", "application/octet-stream", "application/json"
MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
RASTER_BYTES = 512 << 20
CHIP_BYTES = 64 << 20
JSON_BYTES = 1 << 20


@dataclass(frozen=True)
class Body:
    """What a door may be sent.

    Attributes:
        max_bytes: content type to the most bytes of it; empty where nothing is sent.
        magic: one of these begins the body; empty where anything may.
    """

    max_bytes: Mapping[str, int] = field(default_factory=dict)
    magic: tuple[bytes, ...] = ()


NOTHING = Body()
RASTER = Body({TIFF: RASTER_BYTES, BYTES: RASTER_BYTES}, MAGIC)
CHIP = Body({BYTES: CHIP_BYTES, JSON: JSON_BYTES})
WORDS = Body({JSON: JSON_BYTES})


@dataclass(frozen=True)
class Door:
    """One method of one address.

    Attributes:
        name: in metrics and logs.
        method: GET answers HEAD too.
        path: as OpenAPI writes it.
        pattern: regular expression of the whole path.
        role: the least that a key must allow; ``open`` asks for none.
        body: what may be sent.
        lane: requests of one lane share its slots, and only those.
    """

    name: str
    method: Literal["GET", "POST", "DELETE"]
    path: str
    pattern: str
    role: Role = "reader"
    body: Body = NOTHING
    lane: Literal["look", "raster", "chip", "word"] = "look"


_PREDICTION = r"/predictions/prediction-[0-9a-f]{16}"
_JOB = r"/jobs/job-[0-9a-f]{16}"
_VENDOR = r"vendor/(?:[a-z0-9-]{1,40}/){0,2}"

DOORS: tuple[Door, ...] = (
    Door("page", "GET", "/", r"/", "open"),
    Door("page", "GET", "/page/{file}", rf"/page/(?:{_VENDOR})?[A-Za-z0-9._-]{{1,40}}", "open"),
    Door("openapi", "GET", "/openapi.json", r"/openapi\.json", "open"),
    Door("livez", "GET", "/livez", r"/livez", "open"),
    Door("healthz", "GET", "/healthz", r"/healthz", "open"),
    Door("readyz", "GET", "/readyz", r"/readyz", "open"),
    Door("metrics", "GET", "/metrics", r"/metrics"),
    Door("dashboard", "GET", "/dashboard/{file}", r"/dashboard(?:/[A-Za-z0-9._/-]{0,200})?"),
    Door("model", "GET", "/model", r"/model"),
    Door("classify", "POST", "/classify", r"/classify", "classifier", RASTER, "raster"),
    Door("classify_chip", "POST", "/classify_chip", r"/classify_chip", "classifier", CHIP, "chip"),
    Door("predictions", "GET", "/predictions", r"/predictions"),
    Door("map", "GET", "/predictions/{id}/map.tif", rf"{_PREDICTION}/map\.tif"),
    Door("attributes", "GET", "/predictions/{id}/map.tif.aux.xml", rf"{_PREDICTION}/map\.tif\.aux\.xml"),
    Door("picture", "GET", "/predictions/{id}/map.png", rf"{_PREDICTION}/map\.png"),
    Door("item", "GET", "/predictions/{id}/item.json", rf"{_PREDICTION}/item\.json"),
    Door("at", "GET", "/predictions/{id}/at", rf"{_PREDICTION}/at"),
    Door("tiles", "GET", "/tiles/{z}/{x}/{y}.png", r"/tiles/[0-9]{1,2}/[0-9]{1,8}/[0-9]{1,8}(?:@2x)?\.png"),
    Door("jobs", "GET", "/jobs", r"/jobs"),
    Door("jobs", "POST", "/jobs", r"/jobs", "classifier", RASTER, "raster"),
    Door("job", "GET", "/jobs/{id}", _JOB),
    Door("job", "DELETE", "/jobs/{id}", _JOB, "classifier", NOTHING, "word"),
    Door("result", "GET", "/jobs/{id}/result", rf"{_JOB}/result"),
    Door("cancel", "POST", "/jobs/{id}/cancel", rf"{_JOB}/cancel", "classifier", NOTHING, "word"),
    # Signed by the registry itself, which cannot hold a key of this service.
    Door("hook", "POST", "/hooks/registry", r"/hooks/registry", "open", WORDS, "word"),
)


class Doors:
    """Finds the door of a request."""

    def __init__(self, doors: Iterable[Door] = DOORS) -> None:
        self._plain: dict[str, dict[str, Door]] = {}
        patterns: dict[str, dict[str, Door]] = {}
        for door in doors:
            plain = door.pattern == re.escape(door.path)
            group, address = (self._plain, door.path) if plain else (patterns, door.pattern)
            group.setdefault(address, {})[door.method] = door
        self._patterns = [(re.compile(pattern), by_method) for pattern, by_method in patterns.items()]

    def at(self, path: str) -> Mapping[str, Door]:
        """Returns the doors of one address by method; empty where there is none."""
        known = self._plain.get(path)
        if known is not None:
            return known
        if ".." in path:
            return {}
        return next((doors for pattern, doors in self._patterns if pattern.fullmatch(path)), {})
