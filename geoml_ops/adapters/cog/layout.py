"""What a map holds: its bands, what they mean, and how it is cut into blocks."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from geoml_ops.adapters.cog.pyramid import TILE_STEP, Pyramid
from geoml_ops.core.errors import TooLarge
from geoml_ops.core.grid import Grid, Window
from geoml_ops.domain.tiling import BITS, NODATA_CLASS, Layers

NODATA = NODATA_CLASS
CLASS, CONFIDENCE, SET_SIZE, DISSIMILARITY, DENSITY = "class", "confidence", "set_size", "dissimilarity", "density"
SET = "set_"
"""Bands of membership are ``set_1``, ``set_2``, …, seven classes each."""
PROBABILITY = "probability_"
"""Bands of single classes are ``probability_0``, ``probability_1``, … by their codes."""
MAX_BANDS, MAX_EDGE = 32, 2**31 - 1
BLOCK_PX = 512
_COLOUR = re.compile(r"#[0-9a-fA-F]{6}")
_MEANING: Mapping[str, Mapping[str, str]] = {
    CONFIDENCE: {"UNIT": "percent"},
    SET_SIZE: {"UNIT": "classes", "MEANING": "classes in the set that holds the true one as often as GEOML_COVERAGE"},
    DISSIMILARITY: {
        "UNIT": "percent of GEOML_THRESHOLD",
        "MEANING": "rounded up; above 100: outside, the model learned from nothing like it; 250: 250 and more",
    },
    DENSITY: {"UNIT": "samples", "MEANING": "samples within the threshold; 250: 250 and more"},
}


@dataclass(frozen=True)
class MapLayout:
    """What a map holds and how it is cut; two maps of one layout differ in pixels and tags only.

    Attributes:
        grid: where the pixels are.
        bands: names in file order; the first holds the class codes.
        names: class names in code order.
        colours: ``#rrggbb`` in code order.
        block_px: edge of a block, which is a chunk of the file, in pixels; a multiple of 16.

    Raises:
        TooLarge: more bands, rows or columns than readers of TIFF take.
        ValueError: names and colours do not fit, or there is nothing to write.
    """

    grid: Grid
    bands: tuple[str, ...]
    names: tuple[str, ...]
    colours: tuple[str, ...]
    block_px: int = BLOCK_PX

    def __post_init__(self) -> None:
        if len(self.bands) > MAX_BANDS:
            raise TooLarge(
                f"A map of {len(self.names)} classes needs {len(self.bands)} bands; the limit is {MAX_BANDS}."
            )
        if max(self.grid.shape) > MAX_EDGE:
            raise TooLarge(f"A map of {self.grid.width} x {self.grid.height} pixels; the limit is {MAX_EDGE} a side.")
        if not self.bands or len(set(self.bands)) < len(self.bands):
            raise ValueError(f"bands {self.bands}")
        if len(self.names) != len(self.colours) or len(self.names) > NODATA:
            raise ValueError(f"{len(self.colours)} colours and {len(self.names)} names")
        if not all(_COLOUR.fullmatch(colour) for colour in self.colours):
            raise ValueError(f"colours {self.colours}")
        if self.block_px < TILE_STEP or self.block_px % TILE_STEP:
            raise ValueError(f"blocks of {self.block_px} px; TIFF wants a multiple of {TILE_STEP}")

    @cached_property
    def blocks(self) -> tuple[Window, ...]:
        """The windows of the map in the order in which they are committed, row by row."""
        return tuple(self.grid.tiles(self.block_px))

    @cached_property
    def pyramid(self) -> Pyramid:
        """The overviews."""
        return Pyramid(self.grid.shape, self.block_px)

    def meaning(self, band: str) -> Mapping[str, str]:
        """Returns the tags of a band."""
        if band == CLASS:
            return {f"CLASS_{code}": name for code, name in enumerate(self.names)}
        if band.startswith(SET) and band != SET_SIZE and band.removeprefix(SET).isdecimal():
            first = BITS * (int(band.removeprefix(SET)) - 1)
            bits = {f"BIT_{bit}": name for bit, name in enumerate(self.names[first : first + BITS])}
            return {"MEANING": "bits of the classes in the set", **bits}
        code = band.removeprefix(PROBABILITY)
        if band != code and code.isdecimal() and int(code) < len(self.names):
            return {"UNIT": "percent", "MEANING": "probability of the class", "CLASS": self.names[int(code)]}
        return _MEANING.get(band, {})

    def as_text(self) -> str:
        """Returns all of it as canonical JSON, for a journal to compare."""
        content = {
            "grid": self.grid.model_dump(),
            "bands": self.bands,
            "names": self.names,
            "colours": self.colours,
            "block_px": self.block_px,
        }
        return json.dumps(content, sort_keys=True, ensure_ascii=True, separators=(",", ":"))


def bands_of(layers: Layers) -> dict[str, NDArray[np.uint8]]:
    """Returns the bands of a map by name, in file order, each uint8 ``(y, x)``.

    A model that knows nothing but classes gives two bands; otherwise all are there, in one order, and what is not
    known is 255 everywhere. Probabilities of all classes come last, where they were kept.
    """
    found = {CLASS: layers.classes, CONFIDENCE: _percent(layers)}
    kept = () if layers.probability is None else layers.probability
    every = {f"{PROBABILITY}{code}": layer for code, layer in enumerate(kept)}
    if layers.set_size is None and layers.dissimilarity is None:
        return found | every
    unknown = np.full(layers.classes.shape, NODATA, dtype=np.uint8)
    more = {SET_SIZE: layers.set_size, DISSIMILARITY: layers.dissimilarity, DENSITY: layers.density}
    members = unknown[np.newaxis] if layers.members is None else layers.members
    return (
        found
        | {name: unknown if layer is None else layer for name, layer in more.items()}
        | {f"{SET}{number}": layer for number, layer in enumerate(members, start=1)}
        | every
    )


def _percent(layers: Layers) -> NDArray[np.uint8]:
    percent = np.rint(np.nan_to_num(layers.confidence) * 100.0).astype(np.uint8)
    known = layers.known
    return percent if known.all() else np.where(known, percent, np.uint8(NODATA))


def rgba(colour: str) -> tuple[int, int, int, int]:
    """Returns ``#rrggbb`` as four bytes, opaque."""
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16), 255


def colour_table(colours: Sequence[str]) -> bytes:
    """Returns a TIFF colour map of 256 entries, little-endian: all reds, all greens, all blues, 16 bits each."""
    table = [rgba(colour) for colour in colours] + [(0, 0, 0, 0)] * (256 - len(colours))
    return np.array([257 * colour[part] for part in range(3) for colour in table], dtype="<u2").tobytes()
