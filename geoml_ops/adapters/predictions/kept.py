"""Imagery that is kept with its answers, where that is switched on: few tiles, drawn by digest, with their lineage."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoml_ops.platform.files import whole_file

_SPACE = 1 << 64


def is_drawn(request: str, tile: str, share: float) -> bool:
    """Says whether a tile is one of the share (0 to 1) that is kept; the same tile of a request always or never.

    >>> is_drawn("r", "0-0", 0.0), is_drawn("r", "0-0", 1.0)
    (False, True)
    """
    digest = hashlib.sha256(f"{request}|{tile}".encode()).digest()
    return int.from_bytes(digest[:8], "big") < share * _SPACE


def keep(folder: Path, name: str, arrays: Mapping[str, NDArray[Any]], lineage: Mapping[str, Any]) -> Path:
    """Writes arrays and where they came from as ``<folder>/<name>.npz`` and returns the file; nothing is pickled.

    Args:
        folder: ``kept/<UTC day>``.
        name: of the file.
        arrays: pixels and answers.
        lineage: what they are and what answered, as JSON under ``lineage``.
    """
    path = folder / f"{name}.npz"
    told = np.frombuffer(json.dumps(dict(lineage), sort_keys=True).encode(), dtype=np.uint8)
    with whole_file(path) as part, part.open("wb") as stream:
        np.savez_compressed(stream, allow_pickle=False, lineage=told, **dict(arrays))
    return path


def read_kept(path: Path) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """Returns the arrays of a kept tile and its lineage."""
    with np.load(path, allow_pickle=False) as found:
        arrays = {name: found[name] for name in found.files}
    lineage: dict[str, Any] = json.loads(arrays.pop("lineage").tobytes())
    return arrays, lineage
