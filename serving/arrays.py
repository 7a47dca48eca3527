"""Arrays in requests and answers: bytes under headers that say what they are, and JSON for people.

Everything that can be said is judged before a byte of the body is read: what the headers promise is what the body has
to be.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from geoml_ops.core.errors import BadInput, TooLarge
from geoml_ops.steps.chips import Asked, Said, require_shape

BYTES, JSON = "application/octet-stream", "application/json"
DTYPES: Mapping[str, np.dtype[Any]] = {
    name: np.dtype(name).newbyteorder("<") for name in ("uint8", "uint16", "int16", "uint32", "float32", "float64")
}
MOST_JSON_BYTES, MOST_JSON_PX, MOST_NAMES = 2**20, 2**16, 256
SHAPE, DTYPE, BANDS = b"x-shape", b"x-dtype", b"x-bands"
SCALE, OFFSET, NODATA = b"x-scale", b"x-offset", b"x-nodata"
_NUMBER = re.compile(r"[+-]?(?:[0-9]{1,40}\.?[0-9]{0,40}|\.[0-9]{1,40})(?:[eE][+-]?[0-9]{1,3})?")
_WHOLE = re.compile(r"[0-9]{1,9}")
_KEYS = {"bands", "scale", "offset", "nodata", "dn"}
T = TypeVar("T")


@dataclass(frozen=True)
class Announced:
    """What the headers say that the body is.

    Attributes:
        shape: ``(n, band, y, x)``.
        single: whether the request has one chip without an axis for it; its answer has none either.
        dtype: of the numbers.
        said: what the numbers are.
    """

    shape: tuple[int, int, int, int]
    single: bool
    dtype: np.dtype[Any]
    said: Said

    @property
    def n_bytes(self) -> int:
        """Length of the body."""
        return math.prod(self.shape) * self.dtype.itemsize

    def array(self, body: bytes | NDArray[np.uint8]) -> NDArray[Any]:
        """Returns the body as the array that was announced, without a copy.

        Raises:
            BadInput: it has another length.
        """
        self.require(len(body))
        return np.frombuffer(body, self.dtype).reshape(self.shape)

    def require(self, n_bytes: int) -> None:
        """Lets a body of the length pass that shape and type make.

        Raises:
            BadInput: it has another one.
        """
        if n_bytes != self.n_bytes:
            axes = " x ".join(map(str, self.shape[1:] if self.single else self.shape))
            raise BadInput(
                f"{axes} numbers of {self.dtype.name} are {self.n_bytes} bytes, the body has {n_bytes}.",
                "send the array whole, little-endian, in the order of X-Shape",
            )


def announced(headers: Iterable[tuple[bytes, bytes]]) -> Announced:
    """Returns what the headers of a request say of its body.

    Args:
        headers: names in lower case, and values, as ASGI has them.

    Raises:
        BadInput: one is missing, there twice or cannot be read.
        TooLarge: the shape exceeds a limit.
    """
    found = _ours(headers)
    shape = _each(found, SHAPE, _whole, "e.g. 10,256,256: bands, rows, columns")
    if len(shape) not in (3, 4):
        raise BadInput(f"X-Shape has {len(shape)} numbers.", "send band,y,x or n,band,y,x")
    whole = (1, *shape) if len(shape) == 3 else shape
    require_shape(whole)
    n, bands, height, width = whole
    dtype = DTYPES.get(found.get(DTYPE, ""))
    if dtype is None:
        raise BadInput(
            f"X-Dtype is {found.get(DTYPE, '')[:40]!r}." if DTYPE in found else "X-Dtype is missing.",
            f"one of {', '.join(DTYPES)}",
        )
    said = Said(
        bands=_each(found, BANDS, _name, "the name of each band, e.g. B02,B03,B04"),
        scale=_each(found, SCALE, _number, "what one DN is worth, e.g. 0.0001; one number, or one per band"),
        offset=_each(found, OFFSET, _number, "what is added then, e.g. -0.1, or 0; one number, or one per band"),
        nodata=_number(found[NODATA], "X-Nodata") if NODATA in found else None,
    )
    return Announced((n, bands, height, width), len(shape) == 3, dtype, said)


def from_json(body: bytes) -> tuple[NDArray[Any], bool, Said]:
    """Returns the array of a request in JSON, whether it is one chip, and what the numbers are.

    ``{"bands": [...], "scale": 0.0001, "offset": -0.1, "nodata": 0, "dn": [[[...]]]}``; scale and offset may be lists
    with a number per band, and null in ``dn`` stands for "not observed".

    Raises:
        BadInput: it is something else.
        TooLarge: more numbers than people send.
    """
    if len(body) > MOST_JSON_BYTES:
        raise TooLarge(f"The body has {len(body)} bytes, as JSON the limit is {MOST_JSON_BYTES}.", f"send {BYTES}")
    content = _parsed(body)
    unknown = sorted(str(key)[:40] for key in set(content) - _KEYS)
    missing = sorted({"bands", "scale", "offset", "dn"} - set(content))
    if unknown or missing:
        wrong = [
            f"{what} {', '.join(keys[:8])}" for what, keys in (("missing", missing), ("not known", unknown)) if keys
        ]
        raise BadInput(f"The keys do not fit: {'; '.join(wrong)}.", f"send {', '.join(sorted(_KEYS))}")
    dn, single = _nested(content["dn"])
    names = content["bands"]
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names) or len(names) > MOST_NAMES:
        raise BadInput("bands is not a list of names.", 'e.g. ["B02", "B03"]')
    nodata = content.get("nodata")
    said = Said(
        tuple(name[:60] for name in names),
        _numbers(content["scale"], "scale"),
        _numbers(content["offset"], "offset"),
        None if nodata is None else _numbers(nodata, "nodata")[0],
    )
    return dn, single, said


def as_lists(asked: Asked, single: bool) -> dict[str, Any]:
    """Returns an answer for people: names of layers and classes, and the layers as nested lists."""
    found = asked.answer[0] if single else asked.answer
    return {asked.output: list(asked.names), "classes": list(asked.model.bundle.classes), "answer": found.tolist()}


def answer_headers(asked: Asked, single: bool) -> dict[str, str]:
    """Returns what says what the bytes of an answer are."""
    shape = asked.answer.shape[1:] if single else asked.answer.shape
    # Headers are Latin-1; names of classes may be anything.
    names = ",".join(name.replace(",", " ").encode("ascii", "backslashreplace").decode() for name in asked.names)
    return {"X-Shape": ",".join(map(str, shape)), "X-Dtype": asked.answer.dtype.name, "X-Layers": names}


def _ours(headers: Iterable[tuple[bytes, bytes]]) -> dict[bytes, str]:
    found: dict[bytes, str] = {}
    for name, value in headers:
        if name in (SHAPE, DTYPE, BANDS, SCALE, OFFSET, NODATA):
            if name in found:
                raise BadInput(f"{_shown(name)} is there twice.", "send every header once")
            found[name] = value.decode("latin-1").strip()
    return found


def _each(found: Mapping[bytes, str], name: bytes, read: Callable[[str, str], T], way_out: str) -> tuple[T, ...]:
    text = found.get(name, "")
    if not text:
        raise BadInput(f"{_shown(name)} is missing.", f"say {way_out}")
    parts = text.split(",", MOST_NAMES)
    if len(parts) > MOST_NAMES:
        raise TooLarge(f"{_shown(name)} has more than {MOST_NAMES} entries.")
    return tuple(read(part.strip(), _shown(name)) for part in parts)


def _whole(text: str, where: str) -> int:
    if not _WHOLE.fullmatch(text):
        raise BadInput(f"{where} holds {text[:40]!r}, which is no whole number.", "e.g. 10,256,256")
    return int(text)


def _number(text: str, where: str) -> float:
    if text.lower() == "nan" and where == "X-Nodata":
        return math.nan
    if not _NUMBER.fullmatch(text) or not math.isfinite(float(text)):
        raise BadInput(f"{where} holds {text[:40]!r}, which is no number.", "e.g. 0.0001")
    return float(text)


def _name(text: str, where: str) -> str:
    if not text or len(text) > 60 or not text.isprintable():
        raise BadInput(f"{where} holds {text[:40]!r}, which is no name of a band.", "e.g. B02,B03,B04")
    return text


def _shown(name: bytes) -> str:
    return name.decode().title()


def _parsed(body: bytes) -> dict[str, Any]:
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        raise BadInput("The body is not JSON.", f"send an object, or bytes as {BYTES}") from None
    if not isinstance(content, dict):
        raise BadInput("The body is not a JSON object.", f"send {', '.join(sorted(_KEYS))}")
    return content


def _numbers(value: Any, what: str) -> tuple[float, ...]:
    """Returns numbers of a list, or a number alone."""
    several = value if isinstance(value, list) else [value]
    right = all(isinstance(v, int | float) and not isinstance(v, bool) for v in several)
    try:
        found = tuple(float(v) for v in several) if right and len(several) <= MOST_NAMES else ()
    except OverflowError:
        found = ()
    if not found or not all(map(math.isfinite, found)):
        raise BadInput(f"{what} is neither a number nor a list of numbers.", "e.g. 0.0001")
    return found


def _nested(value: Any) -> tuple[NDArray[Any], bool]:
    """Returns nested lists of numbers as an array ``(n, band, y, x)``, null as NaN, and whether it is one chip."""
    try:
        found = np.array(value)
        if found.dtype.kind == "O":
            # Whole numbers beyond 64 bits come here, too, and end as floating-point numbers.
            flat = found.ravel().tolist()
            if all(v is None or (isinstance(v, int | float) and not isinstance(v, bool)) for v in flat):
                found = found.astype(np.float64)
    except (ValueError, TypeError, OverflowError, RecursionError):
        raise BadInput("dn is not a regular nest of lists.", "send as many numbers in every row") from None
    if found.dtype.kind not in "iuf" or found.ndim not in (3, 4):
        raise BadInput("dn is not three or four lists deep with numbers inside.", "send band,y,x or n,band,y,x")
    single = found.ndim == 3
    found = found[np.newaxis] if single else found
    require_shape(found.shape)
    if found.size > MOST_JSON_PX * 8 or found[:, 0].size > MOST_JSON_PX:
        raise TooLarge(f"{found[:, 0].size} pixels, as JSON the limit is {MOST_JSON_PX}.", f"send {BYTES}")
    return found, single
