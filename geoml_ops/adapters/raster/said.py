"""What a GeoTIFF says in words: metadata, nodata, and where it lies; nothing in it may lead elsewhere."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

from geoml_ops.adapters.raster.limits import within
from geoml_ops.adapters.raster.tiff import ASCII, DOUBLE, SHORT, Field, Tiff
from geoml_ops.core.errors import BadInput

_SCALE, _TIEPOINTS, _MATRIX, _KEYS, _DOUBLES, _ASCII, _RPC = 33550, 33922, 34264, 34735, 34736, 34737, 50844
_METADATA, _NODATA = 42112, 42113
_PLACES = {_SCALE: 3, _TIEPOINTS: 6, _MATRIX: 16}
MAX_ITEMS = 8192
FARTHEST = 1e9
"""From the origin of any CRS, in its unit: the Earth is 40 million metres or 131 million feet round."""
DOMAINS = frozenset({"", "IMAGE_STRUCTURE", "IMAGERY", "COLOR_PROFILE", "EXIF", "XML:XMP", "ESRI", "XML:ESRI"})
"""Domains of metadata that only describe; GDAL follows others to overviews, locations or further files."""
_TAG = re.compile(
    r"/?[A-Za-z_][\w:.-]*((?:\s+[A-Za-z_][\w:.-]*\s*=\s*\"[^\"<>]*\")*)\s*/?>|\?xml [^<>?]*\?>|!--[^<>]*-->"
)
_ATTRIBUTE = re.compile(r"([\w:.-]+)\s*=\s*\"([^\"]*)\"")
# Names of grids to shift by, and pipelines that may hold them, are paths to PROJ.
_LEADS_AWAY = re.compile(r"grids|extension|\+proj|\+init|proj4|file:|://", re.IGNORECASE)
_NUMBER = re.compile(r"\s*[+-]?(?:nan|inf(?:inity)?|(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?)\s*", re.IGNORECASE | re.ASCII)
_GDAL = "remove its metadata (gdal_translate -co PROFILE=GeoTIFF)"


def judge_texts(tiff: Tiff, fields: Mapping[int, Field]) -> None:
    """Passes a directory whose words describe this file only, and which lies at one place on the ground.

    Raises:
        BadInput: they lead elsewhere, contradict each other or are no text.
        TooLarge: more items than any raster needs.
    """
    if _METADATA in fields:
        _judge_metadata(tiff, _text(tiff, fields[_METADATA]))
    nodata_of(tiff, fields)
    if _RPC in fields:
        raise BadInput(f"{tiff.name} is not rectified (rational polynomials).", "deliver orthorectified imagery")
    if _KEYS in fields:
        _judge_keys(tiff, fields)
    _judge_place(tiff, fields)


def _text(tiff: Tiff, one: Field) -> str:
    content = tiff.bytes_of(one).rstrip(b"\0")
    if one.kind != ASCII or b"\0" in content:
        raise BadInput(f"Field {one.tag} of {tiff.name} is no text.", _GDAL)
    try:
        return content.decode()
    except UnicodeDecodeError:
        raise BadInput(f"Field {one.tag} of {tiff.name} is not UTF-8.", _GDAL) from None


def _judge_metadata(tiff: Tiff, text: str) -> None:
    # Two readers of XML may differ on odd input, so only what none can read in two ways passes.
    parts = text.split("<")
    within(len(parts), 2 * MAX_ITEMS, f"metadata items in {tiff.name}")
    for part in parts[1:]:
        tag = _TAG.match(part)
        if tag is None:
            raise BadInput(f"The metadata of {tiff.name} are not the XML that GDAL writes.", _GDAL)
        for attribute, value in _ATTRIBUTE.findall(tag[1] or ""):
            if attribute.lower() == "domain" and value.upper() not in DOMAINS:
                raise BadInput(f"{tiff.name} has metadata of the kind {value[:60]!r}, which is not read.", _GDAL)


def nodata_of(tiff: Tiff, fields: Mapping[int, Field]) -> float | None:
    """Returns the number that a directory declares as "not observed"; None where it declares none.

    Raises:
        BadInput: what it declares is no number, or one that two readers may take for different ones.
    """
    if _NODATA not in fields:
        return None
    text = _text(tiff, fields[_NODATA])
    if not _NUMBER.fullmatch(text):
        raise BadInput(f"The nodata of {tiff.name} is no number: {text[:60]!r}.", "declare a number")
    return float(text)


def _judge_keys(tiff: Tiff, fields: Mapping[int, Field]) -> None:
    keys = fields[_KEYS]
    numbers = [int(n) for n in tiff.numbers(keys)] if keys.kind == SHORT and keys.count >= 4 else []
    if not numbers or numbers[0] != 1 or keys.count < 4 * (1 + numbers[3]):
        raise BadInput(f"The GeoTIFF keys of {tiff.name} are broken ({keys.count} numbers).", "write its CRS anew")
    room = {tag: fields[tag].count if tag in fields else 0 for tag in (_DOUBLES, _ASCII)} | {_KEYS: keys.count}
    for key, place, count, value in zip(*(numbers[4 + i : 4 * (1 + numbers[3]) : 4] for i in range(4)), strict=True):
        if place and (place not in room or value + count > room[place]):
            raise BadInput(f"GeoTIFF key {key} of {tiff.name} lies outside its table.", "write its CRS anew")
    if _ASCII in fields:
        found = _LEADS_AWAY.search(_text(tiff, fields[_ASCII]))
        if found:
            raise BadInput(
                f"The CRS of {tiff.name} is described with {found[0]!r}, which may lead to other files.",
                "name a CRS that EPSG lists",
            )


def _judge_place(tiff: Tiff, fields: Mapping[int, Field]) -> None:
    said = {tag: _place(tiff, fields[tag], count) for tag, count in _PLACES.items() if tag in fields}
    if _MATRIX in said:
        m = said[_MATRIX]
        step, corner = max(map(abs, (m[0], m[1], m[4], m[5]))), (m[3], m[7])
    elif _SCALE in said and _TIEPOINTS in said:
        (right, up, _), (col, row, _, east, north, _) = said[_SCALE], said[_TIEPOINTS]
        step, corner = min(abs(right), abs(up)), (east - col * right, north + row * up)
    elif _KEYS in fields:
        raise BadInput(f"The place of {tiff.name} on the ground is unknown.", "write its transform into it")
    else:
        return
    far = max(map(abs, corner))
    # Farther out, or in smaller steps, numbers of 64 bits no longer tell one pixel from the next.
    if not (far <= FARTHEST and step <= FARTHEST and step > 1e-11 * max(1.0, far)):
        raise BadInput(
            f"The pixels of {tiff.name} of {step:g} at {corner[0]:g}, {corner[1]:g} are no place on the ground.",
            "write its transform into it",
        )


def _place(tiff: Tiff, one: Field, count: int) -> list[float]:
    if one.tag == _TIEPOINTS and one.count > count and one.count % count == 0:
        raise BadInput(
            f"{tiff.name} is not rectified (ground control points, {one.count // count} of them).",
            "deliver orthorectified imagery",
        )
    numbers = tiff.numbers(one).tolist() if one.kind == DOUBLE and one.count == count else []
    if not numbers or not all(map(math.isfinite, numbers)):
        raise BadInput(f"Field {one.tag} of {tiff.name} is no place on the ground.", "write its transform into it")
    return numbers
