"""What the producer's own metadata say: Sentinel-2 product files (XML) and Landsat MTL files (text or JSON)."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from xml.etree import ElementTree

from geoml_ops.core.bands import Radiometry, linear
from geoml_ops.core.errors import BadInput

MOST_XML_BYTES = 16 << 20
MOST_MTL_BYTES = 1 << 20
#: ``band_id`` of the Sentinel-2 product file, from 0.
_SENTINEL_2_IDS = ("B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B09", "B10", "B11", "B12")
_LEVELS = {"Level-1C": "sentinel-2-l1c", "Level-2A": "sentinel-2-l2a"}
_LANDSAT = {
    ("LANDSAT_4", "TM"): "landsat-4-5-tm",
    ("LANDSAT_5", "TM"): "landsat-4-5-tm",
    ("LANDSAT_7", "ETM"): "landsat-7-etm",
    ("LANDSAT_8", "OLI"): "landsat-8-9-oli-tirs",
    ("LANDSAT_9", "OLI"): "landsat-8-9-oli-tirs",
}
_MTL_LINE = re.compile(r"\s*([A-Z][A-Z0-9_]{0,79})\s*=\s*(?:\"([^\"]{0,400})\"|([^\s\"]{1,400}))\s*")
_THERMAL = re.compile(r"B(?:6|10|11|6_VCID_[12])")

Groups = dict[str, dict[str, str]]


@dataclass(frozen=True)
class Product:
    """What a product file says; None or empty where it is silent.

    Attributes:
        baseline: processing baseline, or collection and level.
        acquired: when.
        quantification: DN per reflectance, of Sentinel-2.
        offsets: added to DN, of Sentinel-2, in the order of the file.
        sensor: the sensor and level it belongs to; empty where it does not tell.
        bands: radiometry by band.
        file: what the metadata file is called.
    """

    baseline: str | None
    acquired: datetime | None
    quantification: float | None
    offsets: tuple[float, ...]
    sensor: str = ""
    bands: Mapping[str, Radiometry] = field(default_factory=dict)
    file: str = "the product"


def is_product(file_name: str) -> bool:
    """Says whether a file of this name holds the producer's metadata."""
    return bool(re.fullmatch(r"MTD_MSIL(1C|2A)\.xml|.*_MTL\.(txt|json)", file_name, re.DOTALL))


def read_product(content: bytes, file_name: str = "MTD_MSIL1C.xml") -> Product:
    """Returns what a product file says about numbers and time.

    Args:
        content: the file's bytes.
        file_name: its name; it tells Sentinel-2's XML from Landsat's text and JSON.

    Raises:
        BadInput: not what its name says, too large, or with a document type (which could name other files).
    """
    try:
        if file_name.endswith(".xml"):
            return _sentinel_2(content)
        return _landsat(content, file_name)
    except (ElementTree.ParseError, ValueError, RecursionError) as error:
        raise BadInput(f"The product metadata cannot be read: {str(error)[:200]}.") from None


def _sentinel_2(content: bytes) -> Product:
    if len(content) > MOST_XML_BYTES or b"<!DOCTYPE" in content or b"<!ENTITY" in content:
        raise BadInput("The product metadata are too large or define entities.", "deliver the producer's own file")
    texts: dict[str, list[str]] = {}
    offsets: list[tuple[str | None, float]] = []
    for element in ElementTree.fromstring(content).iter():
        tag, text = str(element.tag).rsplit("}", 1)[-1], (element.text or "").strip()
        texts.setdefault(tag, []).append(text)
        if tag in ("RADIO_ADD_OFFSET", "BOA_ADD_OFFSET"):
            offsets.append((element.get("band_id"), _number(text)))
    quantities = texts.get("QUANTIFICATION_VALUE", []) + texts.get("BOA_QUANTIFICATION_VALUE", [])
    baselines, times = texts.get("PROCESSING_BASELINE", []), texts.get("PRODUCT_START_TIME", [])
    quantification = _number(quantities[0]) if quantities else None
    if quantification is not None and quantification <= 0:
        raise ValueError(f"the quantification is {quantification:g}")
    level = (texts.get("PROCESSING_LEVEL") or [""])[0]
    sensor = next((name for word, name in _LEVELS.items() if level.startswith(word)), "")
    return Product(
        baseline=baselines[0] if baselines else None,
        acquired=datetime.fromisoformat(times[0]).astimezone(UTC) if times else None,
        quantification=quantification,
        offsets=tuple(offset for _, offset in offsets),
        sensor=sensor or ("sentinel-2-l2a" if "BOA_QUANTIFICATION_VALUE" in texts else ""),
        bands={} if quantification is None else _with_offsets(1 / quantification, offsets),
    )


def _with_offsets(scale: float, offsets: list[tuple[str | None, float]]) -> dict[str, Radiometry]:
    # Until baseline 04.00 the product file had no offsets, and they were 0. Bands that a list leaves out share
    # what all the others have, and are not declared where those differ.
    several = {offset for _, offset in offsets} or {0.0}
    found = dict.fromkeys(_SENTINEL_2_IDS, several.pop()) if len(several) == 1 else {}
    for band_id, offset in offsets:
        if band_id is not None:
            if not band_id.isdigit() or int(band_id) >= len(_SENTINEL_2_IDS):
                raise ValueError(f"there is no band_id {band_id[:20]!r}")
            found[_SENTINEL_2_IDS[int(band_id)]] = offset
    return {name: Radiometry(scale=scale, offset_dn=offset) for name, offset in found.items()}


def _landsat(content: bytes, file_name: str) -> Product:
    if len(content) > MOST_MTL_BYTES:
        raise BadInput(f"The product metadata have {len(content)} bytes; an MTL file has less than {MOST_MTL_BYTES}.")
    text = content.decode("utf-8")
    groups = _from_json(text) if file_name.endswith(".json") else _from_text(text)
    contents, image = groups.get("PRODUCT_CONTENTS", {}), groups.get("IMAGE_ATTRIBUTES", {})
    level, collection = contents.get("PROCESSING_LEVEL", ""), contents.get("COLLECTION_NUMBER", "")
    family = _LANDSAT.get((image.get("SPACECRAFT_ID", ""), image.get("SENSOR_ID", "").split("_")[0]))
    if family is None or level[:2] not in ("L1", "L2") or collection.lstrip("0") != "2":
        raise ValueError(
            f"an MTL file of Landsat 4 to 9, Collection 2, was expected, not {image.get('SPACECRAFT_ID', 'none')[:30]} "
            f"{image.get('SENSOR_ID', '')[:30]} level {level[:10] or 'none'} collection {collection[:10] or 'none'}"
        )
    day, hour = image.get("DATE_ACQUIRED", ""), image.get("SCENE_CENTER_TIME", "")
    time = datetime.fromisoformat(f"{day}T{hour.rstrip('Z')}").replace(tzinfo=UTC) if day and hour else None
    return Product(
        baseline=f"C02-{level[:4]}",
        acquired=time,
        quantification=None,
        offsets=(),
        sensor=f"{family}-c2-{level[:2].lower()}",
        bands=_level_2(groups) if level.startswith("L2") else _level_1(groups),
        file="the MTL file",
    )


def _level_2(groups: Groups) -> dict[str, Radiometry]:
    # The same keys stand in LEVEL1_RADIOMETRIC_RESCALING with other numbers: the group decides.
    surface = groups.get("LEVEL2_SURFACE_REFLECTANCE_PARAMETERS", {})
    heat = groups.get("LEVEL2_SURFACE_TEMPERATURE_PARAMETERS", {})
    found = {f"SR_B{key}": rule for key, rule in _pairs(surface, "REFLECTANCE").items()}
    return found | {key: rule for key, rule in _pairs(heat, "TEMPERATURE").items() if key.startswith("ST_B")}


def _level_1(groups: Groups) -> dict[str, Radiometry]:
    rescaling = groups.get("LEVEL1_RADIOMETRIC_RESCALING", {})
    found = {f"B{key}": rule for key, rule in _pairs(rescaling, "REFLECTANCE").items()}
    radiance = {f"B{key}": rule for key, rule in _pairs(rescaling, "RADIANCE").items()}
    return found | {key: rule for key, rule in radiance.items() if _THERMAL.fullmatch(key)}


def _pairs(group: Mapping[str, str], what: str) -> dict[str, Radiometry]:
    """Returns radiometries from ``<what>_MULT_BAND_<n>`` and ``<what>_ADD_BAND_<n>``, by ``<n>``."""
    found = {}
    for key, text in group.items():
        band = key.removeprefix(f"{what}_MULT_BAND_")
        if band != key:
            scale, offset = _number(text), _number(group.get(f"{what}_ADD_BAND_{band}", ""))
            if scale <= 0:
                raise ValueError(f"{key[:60]} is {scale:g}")
            found[band] = linear(scale, offset)
    return found


def _from_text(text: str) -> Groups:
    groups: Groups = {}
    inside: list[str] = []
    for line in text.splitlines():
        found = _MTL_LINE.fullmatch(line)
        if found is None:
            if line.strip() in ("", "END", "\0"):
                continue
            raise ValueError(f"the line {line.strip()[:60]!r} is not KEY = VALUE")
        key, value = found[1], found[2] if found[2] is not None else found[3]
        if key == "GROUP":
            inside.append(value)
        elif key == "END_GROUP":
            if not inside or inside.pop() != value:
                raise ValueError(f"the group {value[:60]} ends where it did not begin")
        elif inside:
            groups.setdefault(inside[-1], {})[key] = value
    if inside:
        raise ValueError(f"the group {inside[-1][:60]} never ends")
    return groups


def _from_json(text: str) -> Groups:
    content: Any = json.loads(text)
    content = content.get("LANDSAT_METADATA_FILE") if isinstance(content, dict) else None
    if not isinstance(content, dict):
        raise ValueError("there is no LANDSAT_METADATA_FILE")
    return {
        str(name): {str(key): str(value) for key, value in group.items() if isinstance(value, str | int | float)}
        for name, group in content.items()
        if isinstance(group, dict)
    }


def _number(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text[:40]!r} is no number")
    return value
