"""What a golden tile is, how large it may be, and the file that holds all of a bundle.

The file is one line of JSON and plain little-endian arrays behind it, in the order of that line: nothing in it is
ever executed, the same tiles give the same bytes, and its size is known before it is read.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoml_ops.core.errors import Refused

MAX_BYTES = 1_000_000
_BUDGET = 900_000
_SIZES = ((32, 1), (24, 1), (16, 1), (16, 2), (16, 4), (8, 4), (8, 8), (8, 16), (8, 32), (4, 64), (4, 256))
_FORMAT = "geoml golden tiles 1"
_MOST_HEADER, _MOST_EDGE, _MOST_TILES = 1 << 16, 4096, 64
_TYPES = {"<f4": 4, "<u2": 2, "|u1": 1}
_MOST_WHOLE = 65535
Dn = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class GoldenTile:
    """One input and its answer.

    Attributes:
        kind: what is special about it.
        dn: float32 ``(band, y, x)`` with the halo, coarse by ``step``, NaN where not observed.
        probability: float32 ``(class, y, x)`` without the halo, 0 where there is no answer.
        valid: ``(y, x)`` True where there is an answer.
        steady: ``(y, x)`` True where the answer does not hang on the last digits of the input; only there it counts.
        dissimilarity: float32 ``(y, x)``, NaN for no answer; None where the graph does not say.
        classes_sha256: digest of the codes, one byte per pixel, 255 for no answer.
    """

    kind: str
    dn: Dn
    probability: NDArray[np.float32]
    valid: NDArray[np.bool_]
    steady: NDArray[np.bool_]
    dissimilarity: NDArray[np.float32] | None
    classes_sha256: str


@dataclass(frozen=True, eq=False)
class Golden:
    """All golden tiles of a bundle.

    Attributes:
        tiles: of one shape.
        core_px: edge of what is compared.
        halo_px: pixels around it.
        step: how many pixels of the graph's input each kept pixel stands for, along each edge.
    """

    tiles: tuple[GoldenTile, ...]
    core_px: int
    halo_px: int
    step: int

    def dn(self, tile: GoldenTile) -> Dn:
        """Returns a tile as the graph reads it, ``(band, core + 2 halo, core + 2 halo)``."""
        edge = self.core_px + 2 * self.halo_px
        return np.ascontiguousarray(tile.dn.repeat(self.step, axis=1).repeat(self.step, axis=2)[:, :edge, :edge])


def size_for(n_bands: int, n_classes: int, halo_px: int, n_tiles: int) -> tuple[int, int]:
    """Returns edge of the compared part and step of the input, so that all tiles stay below a megabyte.

    A wide halo is kept coarse: each kept pixel then stands for ``step`` by ``step`` pixels of the input.
    """
    for core, step in _SIZES:
        edge = -(-(core + 2 * halo_px) // step)
        if n_tiles * (5 * n_bands * edge * edge + (4 * n_classes + 6) * core * core) <= _BUDGET:
            break
    return core, step


def encode(golden: Golden) -> bytes:
    """Returns golden tiles as one file; the same tiles give the same bytes.

    Raises:
        ValueError: they exceed :data:`MAX_BYTES`.
    """
    told, parts = [], []
    for tile in golden.tiles:
        arrays = _arrays(tile)
        shapes = [[name, array.dtype.str, list(array.shape)] for name, array in arrays.items()]
        told.append({"kind": tile.kind, "classes_sha256": tile.classes_sha256, "arrays": shapes})
        parts += [np.ascontiguousarray(array).tobytes() for array in arrays.values()]
    says = {"format": _FORMAT, "core_px": golden.core_px, "halo_px": golden.halo_px, "step": golden.step, "tiles": told}
    content = json.dumps(says, sort_keys=True, separators=(",", ":")).encode() + b"\n" + b"".join(parts)
    if len(content) > MAX_BYTES:
        raise ValueError(f"golden tiles of {len(content)} bytes, {MAX_BYTES} are allowed")
    return content


def decode(content: bytes) -> Golden:
    """Returns the golden tiles that :func:`encode` wrote.

    Raises:
        Refused: the bytes are something else.
    """
    try:
        return _decoded(content)
    # Whatever the bytes are: wrong JSON, wrong types, shapes or lengths.
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError, OverflowError):
        raise Refused("The golden tiles are not what this platform writes.", "publish the model again") from None


def _decoded(content: bytes) -> Golden:
    end = content.index(b"\n", 0, _MOST_HEADER)
    says = json.loads(content[:end])
    core, halo, step = (_count(says[name], low) for name, low in (("core_px", 1), ("halo_px", 0), ("step", 1)))
    if says["format"] != _FORMAT or len(content) > MAX_BYTES or not 0 < len(says["tiles"]) <= _MOST_TILES:
        raise ValueError("another format")
    tiles, first = [], end + 1
    for told in says["tiles"]:
        arrays: dict[str, NDArray[Any]] = {}
        for name, kind, shape in told["arrays"]:
            n = int(np.prod([_count(edge, 1) for edge in shape], dtype=object))
            arrays[str(name)] = np.frombuffer(content, kind, n, first).reshape(shape) if kind in _TYPES else _no(kind)
            first += n * _TYPES[kind]
        tiles.append(_tile(told, arrays, core, -(-(core + 2 * halo) // step)))
    if first != len(content):
        raise ValueError("bytes are left over")
    return Golden(tuple(tiles), core, halo, step)


def _no(kind: object) -> NDArray[Any]:
    raise ValueError(f"arrays of {kind} are not read")


def _count(value: object, least: int) -> int:
    if type(value) is not int or not least <= value <= _MOST_EDGE:
        raise ValueError("not a count")
    return value


def _arrays(tile: GoldenTile) -> dict[str, NDArray[Any]]:
    """Returns what is written of a tile; whole numbers take half the space of others, NaN is a bit of its own."""
    seen, core = np.isfinite(tile.dn), tile.valid.shape
    dn = np.where(seen, tile.dn, 0)
    whole = bool(((dn >= 0) & (dn <= _MOST_WHOLE) & (dn == np.rint(dn))).all())
    kept = {
        "dn": dn.astype("<u2" if whole else "<f4"),
        "seen": np.packbits(seen),
        "probability": tile.probability.astype("<f4"),
        "flags": (tile.valid + 2 * tile.steady).astype(np.uint8).reshape(core),
    }
    return kept if tile.dissimilarity is None else {**kept, "dissimilarity": tile.dissimilarity.astype("<f4")}


def _tile(told: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]], core: int, edge: int) -> GoldenTile:
    dn, probability, flags, far = (arrays.get(name) for name in ("dn", "probability", "flags", "dissimilarity"))
    if (
        dn is None
        or probability is None
        or flags is None
        or flags.shape != (core, core)
        or dn.shape[1:] != (edge, edge)
    ):
        raise ValueError("arrays are missing or of another shape")
    if (
        probability.shape[1:] != (core, core)
        or probability.ndim != 3
        or (far is not None and far.shape != (core, core))
    ):
        raise ValueError("answers of another shape")
    seen = np.unpackbits(arrays["seen"], count=dn.size).reshape(dn.shape).astype(bool)
    return GoldenTile(
        kind=str(told["kind"])[:60],
        dn=np.where(seen, dn.astype(np.float32), np.float32(np.nan)),
        probability=probability.astype(np.float32),
        valid=(flags & 1).astype(bool),
        steady=(flags & 2).astype(bool),
        dissimilarity=None if far is None else far.astype(np.float32),
        classes_sha256=str(told["classes_sha256"]),
    )
