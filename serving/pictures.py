"""Layers of a map as pictures: which band each shows, and in which colours."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from geoml_ops.adapters import cog, png, raster
from geoml_ops.core.errors import BadInput
from geoml_ops.domain.tiling import CEILING, outside
from geoml_ops.steps.classify import PICTURE_PX

Colour = tuple[int, int, int, int]
IMAGE = "image"
#: Layer to the band of a map that it is drawn from; the probability of each class is drawn from the band of its name.
BANDS = {
    "classes": cog.CLASS,
    "confidence": cog.CONFIDENCE,
    "set_size": cog.SET_SIZE,
    "dissimilarity": cog.DISSIMILARITY,
    "outside": cog.DISSIMILARITY,
    "density": cog.DENSITY,
}
#: Bands that have another name as a layer.
_ALSO = {cog.CLASS: "classes"}
_PROBABILITY = re.compile(rf"{cog.PROBABILITY}\d{{1,3}}")
# From "not sure" to "sure": dark blue over green to yellow, even steps in brightness.
_SURE = ((68, 1, 84), (59, 82, 139), (33, 145, 140), (94, 201, 98), (253, 231, 37))
# One class is pale, many are dark.
_MANY = ((247, 242, 226), (247, 199, 140), (233, 130, 84), (192, 58, 80), (112, 22, 80), (48, 6, 52))
# Inside is cool and outside is warm; the break at the threshold is meant to be seen.
_INSIDE, _OUTSIDE = ((229, 243, 240), (125, 190, 183), (38, 122, 122)), ((250, 196, 90), (226, 88, 34), (122, 12, 24))
_MASK: Colour = (122, 12, 24, 255)


def picture(map_path: Path, layer: str, classes: Sequence[str]) -> bytes:
    """Returns a PNG of one layer of a map, transparent where there is no answer; large maps are thinned.

    Args:
        map_path: the map.
        layer: as :func:`layer_of` returns it; ``outside`` is one colour where a pixel is outside, else nothing.
        classes: ``#rrggbb`` in code order.

    Raises:
        BadInput: the map has no such layer.
    """
    known = raster.levels(map_path)
    thinned = raster.thinned(map_path, band_of(layer, known.names), known, PICTURE_PX)
    return drawn(layer, thinned, classes)


def layer_of(word: str) -> str:
    """Returns the layer that a word stands for: its name, or that of the band that it is drawn from."""
    return _ALSO.get(word, word)


def check_drawable(layer: str) -> None:
    """Refuses a layer that no map has a picture of.

    Raises:
        BadInput: there is none.
    """
    if layer != IMAGE and layer not in BANDS and not _PROBABILITY.fullmatch(layer):
        raise BadInput(
            f"There is no picture of a layer {layer[:40]!r}.",
            f"one of {', '.join([*BANDS, f'{cog.PROBABILITY}0', IMAGE])}; everything else is in map.tif",
        )


def band_of(layer: str, names: Sequence[str]) -> int:
    """Returns the position of the band that a layer is drawn from.

    Raises:
        BadInput: the map has no such layer.
    """
    band = layer if _PROBABILITY.fullmatch(layer) else BANDS.get(layer)
    if band is None or band not in names:
        there = [*(name for name, needed in BANDS.items() if needed in names), IMAGE]
        there += [name for name in names if _PROBABILITY.fullmatch(name)]
        raise BadInput(f"There is no picture of a layer {layer[:40]!r} of this map.", f"one of {', '.join(there)}")
    return list(names).index(band)


def drawn(layer: str, values: NDArray[np.uint8], classes: Sequence[str]) -> bytes:
    """Returns a PNG of the values ``(y, x)`` of a layer's band, transparent where there is no answer."""
    if layer == "outside":
        return png.paletted(outside(values).astype(np.uint8), [(0, 0, 0, 0), _MASK])
    return png.paletted(values, _PALETTES["confidence" if _PROBABILITY.fullmatch(layer) else layer](classes))


def set_colours(n_classes: int) -> list[Colour]:
    """Returns the colours of sets of one class, of two, and so on up to all."""
    return _ramp(_MANY, max(n_classes, 2))[:n_classes]


def hex_of(colour: Colour) -> str:
    """Returns ``#rrggbb``."""
    return "#{:02x}{:02x}{:02x}".format(*colour[:3])


def _opaque(classes: Sequence[str]) -> list[Colour]:
    return [(int(c[1:3], 16), int(c[3:5], 16), int(c[5:7], 16), 255) for c in classes]


def _ramp(stops: Sequence[tuple[int, int, int]], n: int) -> list[Colour]:
    steps = np.linspace(0, len(stops) - 1, n)
    parts: list[NDArray[np.float64]] = [np.interp(steps, range(len(stops)), [c[i] for c in stops]) for i in range(3)]
    return [(int(r), int(g), int(b), 255) for r, g, b in zip(*parts, strict=True)]


_PALETTES: dict[str, Callable[[Sequence[str]], list[Colour]]] = {
    "classes": _opaque,
    "confidence": lambda _: _ramp(_SURE, 101),
    "set_size": lambda classes: [(0, 0, 0, 0), *set_colours(len(classes))],
    "dissimilarity": lambda _: [*_ramp(_INSIDE, 101), *_ramp(_OUTSIDE, CEILING - 100)],
    "density": lambda _: _ramp(_MANY, CEILING + 1),
}
