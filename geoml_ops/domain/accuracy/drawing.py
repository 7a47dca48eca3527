"""Simple random sampling without replacement inside each class of a raster that is never whole in memory."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoml_ops.core.errors import BadInput, Refused

MOST_CODES = 1000
_DENSE = 1 << 20
Codes = NDArray[np.int64]
Strips = Iterable[tuple[int, NDArray[np.integer[Any]]]]


@dataclass(frozen=True)
class Drawn:
    """Drawn pixels, in the random order in which they are to be labelled: class code, row and column, ``(units,)``."""

    code: Codes
    row: Codes
    col: Codes


def count_codes(strips: Strips, left_out: Collection[int]) -> dict[int, int]:
    """Returns how many pixels each class code has, in the order of the codes.

    Args:
        strips: first row and codes ``(y, x)`` of strips as wide as the raster, from north to south.
        left_out: codes that are no class: nodata, background.

    Raises:
        BadInput: more than :data:`MOST_CODES` codes; that is no classified map.
    """
    counts: dict[int, int] = {}
    for _, codes in strips:
        for code, n in _counted(codes):
            if code not in left_out:
                counts[code] = counts.get(code, 0) + n
        if len(counts) > MOST_CODES:
            raise BadInput(
                f"The raster holds more than {MOST_CODES} different numbers; it is no map of classes.",
                "give the classified raster",
            )
    return dict(sorted(counts.items()))


def _counted(codes: NDArray[np.integer[Any]]) -> list[tuple[int, int]]:
    if not codes.size:
        return []
    low, high = int(codes.min()), int(codes.max())
    if high - low > _DENSE:
        found, n = np.unique(codes, return_counts=True)
        return [(int(c), int(k)) for c, k in zip(found, n, strict=True)]
    n = np.bincount((codes.astype(np.int64) - low).ravel())
    return [(low + int(place), int(n[place])) for place in np.flatnonzero(n)]


def draw_ranks(pixels: Mapping[int, int], n: Mapping[int, int], seed: int) -> dict[int, Codes]:
    """Returns, per class code, which of its pixels are drawn: positions along the rows, ascending.

    Each set of ``n`` of a class's pixels is as likely as any other. Every class has a stream of its own,
    so that what is drawn of one does not depend on the others.

    Args:
        pixels: of each class in the map.
        n: units to draw of each class.
        seed: >= 0, of the draw.

    Raises:
        BadInput: a class has fewer pixels than units to draw.
    """
    drawn = {}
    for code, size in n.items():
        if not 0 <= size <= pixels.get(code, 0):
            raise BadInput(f"Class {code} has {pixels.get(code, 0)} pixels; {size} units cannot be drawn from them.")
        if size:
            rng = np.random.default_rng([seed, code % 2**64])
            drawn[code] = np.sort(rng.choice(pixels[code], size, replace=False).astype(np.int64))
    return drawn


def place_ranks(strips: Strips, ranks: Mapping[int, Codes], seed: int) -> Drawn:
    """Returns where the drawn pixels lie, all classes mixed in one random order.

    Args:
        strips: as in :func:`count_codes`, of the same raster.
        ranks: as :func:`draw_ranks` gives them.
        seed: of the order.

    Raises:
        Refused: the raster holds fewer pixels of a class than when they were counted.
    """
    passed, found = dict.fromkeys(ranks, 0), []
    for first, codes in strips:
        flat = codes.ravel()
        for code, wanted in ranks.items():
            if not len(wanted) or passed[code] > wanted[-1]:
                continue
            here = np.flatnonzero(flat == code)
            low, high = np.searchsorted(wanted, [passed[code], passed[code] + len(here)])
            place = here[wanted[low:high] - passed[code]]
            passed[code] += len(here)
            found.append(np.column_stack([np.full(len(place), code), first + place // codes.shape[1],
                                          place % codes.shape[1]]))  # fmt: skip
    units = np.concatenate(found) if found else np.empty((0, 3), dtype=np.int64)
    if len(units) != sum(map(len, ranks.values())):
        raise Refused("The raster changed while units were drawn from it.", "draw again")
    # In the order of the codes, then of the map, so that it does not matter how the map was cut.
    units = units[np.lexsort(units.T[::-1])]
    units = units[np.random.default_rng([seed, len(units)]).permutation(len(units))]
    return Drawn(*(units[:, i].astype(np.int64) for i in range(3)))
