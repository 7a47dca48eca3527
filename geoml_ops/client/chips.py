"""Arrays to the service and back: bytes, and headers that say what they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoml_ops.core.errors import BadInput, Unavailable

Numbers = float | Sequence[float]
_DTYPES = ("uint8", "uint16", "int16", "uint32", "float32", "float64")


@dataclass(frozen=True)
class ChipAnswer:
    """What the service says of chips, and which model said it.

    Attributes:
        arrays: by name of a layer, or of a class where probabilities were asked for: ``(y, x)``, or ``(n, y, x)``
            where several chips were sent. Layers are uint8 as in maps, 255 for "no answer"; probabilities float32.
        bundle: id of the bundle that answered.
        graph_sha256: digest of its graph.
        number: under which the registry holds it.
        request_id: by which the service's log knows the request.
    """

    arrays: dict[str, NDArray[Any]]
    bundle: str
    graph_sha256: str
    number: int
    request_id: str


def as_bytes(
    dn: NDArray[Any], bands: Sequence[str], scale: Numbers, offset: Numbers, nodata: float | None
) -> tuple[bytes, dict[str, str]]:
    """Returns an array as the body of a request and the headers that say what it is; arguments as the client has them.

    Raises:
        BadInput: its type or a name cannot be sent.
    """
    if dn.dtype.name not in _DTYPES:
        raise BadInput(f"Chips cannot hold {dn.dtype.name}.", f"one of {', '.join(_DTYPES)}")
    if isinstance(dn, np.ma.MaskedArray) and np.ma.is_masked(dn):
        raise BadInput("The array is a masked one, and masks are not sent.", "array.filled(nodata)")
    if isinstance(bands, str) or not all(_is_name(name) for name in bands):
        raise BadInput(
            "A band's name is no word, or holds a comma.", "a list of names as the model's contract has them"
        )
    said = {
        "Content-Type": "application/octet-stream",
        "X-Shape": ",".join(map(str, dn.shape)),
        "X-Dtype": dn.dtype.name,
        "X-Bands": ",".join(bands),
        "X-Scale": _numbers(scale),
        "X-Offset": _numbers(offset),
    }
    if nodata is not None:
        said["X-Nodata"] = _numbers(nodata)
    return np.ascontiguousarray(dn, dn.dtype.newbyteorder("<")).tobytes(), said


def _is_name(name: object) -> bool:
    return isinstance(name, str) and name.isascii() and name.isprintable() and "," not in name and name == name.strip()


def _numbers(value: Numbers) -> str:
    try:
        return ",".join(repr(float(number)) for number in np.asarray(value, dtype=np.float64).reshape(-1))
    except (TypeError, ValueError):
        raise BadInput("Scale, offset and nodata are numbers.", "e.g. scale=1e-4, offset=-0.1, nodata=0") from None


def chip_answer(headers: Mapping[str, str], body: bytes) -> ChipAnswer:
    """Returns the arrays of an answer.

    Raises:
        Unavailable: something else than the service answers there.
    """
    try:
        shape = tuple(int(side) for side in headers["X-Shape"].split(","))
        found = np.frombuffer(body, np.dtype(headers["X-Dtype"]).newbyteorder("<")).reshape(shape)
        names, number = headers["X-Layers"].split(","), int(headers["X-Model-Number"])
        if found.ndim not in (3, 4) or shape[-3] != len(names):
            raise ValueError(f"{len(names)} names of {shape}")
    except (KeyError, ValueError, TypeError):
        raise Unavailable("The service answered something else than it promises.", "check the address") from None
    return ChipAnswer(
        arrays={name: found[..., at, :, :] for at, name in enumerate(names)},
        bundle=headers.get("X-Bundle-Id", ""),
        graph_sha256=headers.get("X-Graph-SHA256", ""),
        number=number,
        request_id=headers.get("X-Request-Id", ""),
    )
