"""A raster to classify and what is read beside it: stored numbers in, the model's numbers out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geoml_ops.adapters import raster
from geoml_ops.core.bands import Contract, Radiometry, to_contract
from geoml_ops.core.grid import Grid
from geoml_ops.domain.tiling import Box, filled
from geoml_ops.steps.beside import Part
from geoml_ops.steps.swaths import Swath

_LOOKED_AT_PX = 120
"""Edge of the windows that are looked at before a pass; pixels of 20, 30 and 60 m are whole parts of it."""
_APART_PX = 512
"""Windows begin where chunks do, so that each costs one."""
_SMALL_PX = 1 << 19
"""Rasters of so many pixels are looked at as a whole."""
_COLUMNS, _LEAST_ROWS, _MOST_ROWS, _ENOUGH_PX = 4, 3, 16, 150_000


@dataclass(frozen=True)
class Source:
    """A raster that was found to fit a model, and what is read beside it.

    Attributes:
        grid: of the raster.
        parts: the raster first, then its covariates.
        limits: what the files may be.
        carried: the part of the contract that the raster carries.
        declared: its radiometry.
        own: by band, radiometry that differs from it.
    """

    grid: Grid
    parts: tuple[Part, ...]
    limits: raster.Limits
    carried: Contract
    declared: Radiometry
    own: dict[str, Radiometry]

    def inside(self, box: Box) -> Box:
        """Returns the part of a box that lies in the raster."""
        found = box.common(Box(0, 0, *self.grid.shape))
        assert found is not None
        return found

    def delivered(self, swath: Swath, box: Box) -> NDArray[np.float32]:
        """Returns what the raster itself carries of a box inside it, ``(band, y, x)`` in the contract's radiometry."""
        return to_contract(swath.part(box)[0], self.declared, self.carried, self.own)

    def dn(self, swath: Swath, box: Box) -> NDArray[np.float32]:
        """Returns the numbers ``(band, y, x)`` of a box in the contract's bands and radiometry, NaN beyond the raster.

        Args:
            swath: that the box lies in, as far as there is a raster.
            box: may reach beyond the raster.
        """
        inside = self.inside(box)
        dn = self.delivered(swath, inside)
        if len(self.parts) > 1:
            whole = np.empty((sum(len(part.into) for part in self.parts), *inside.shape), dtype=np.float32)
            for part, layers in zip(self.parts, (dn, *swath.part(inside)[1:]), strict=True):
                whole[list(part.into)] = layers
            dn = whole
        return filled(dn, inside, box)


def looked_at(source: Source) -> NDArray[np.float32]:
    """Returns some of what the raster carries, the same each time: ``(band, y, x)``, windows side by side.

    Windows lie in few rows, because a file of strips decodes full rows; where little was observed in them, more rows
    are looked at.
    """
    part = source.parts[0]
    found: list[NDArray[np.float32]] = []
    n_seen = 0
    with raster.streamed(part.path, source.limits) as stream:
        for count, row in enumerate(_rows(source.grid.shape), start=1):
            for box in row:
                stored = stream.read(box.window(), part.bands)
                found.append(to_contract(stored, source.declared, source.carried, source.own))
                n_seen += int(np.isfinite(found[-1]).all(axis=0).sum())
            if count >= _LEAST_ROWS and n_seen >= _ENOUGH_PX:
                break
    return np.concatenate(found, axis=2)


def _rows(shape: tuple[int, int]) -> Iterator[list[Box]]:
    """Yields rows of windows, all of one size, spread over a raster."""
    if shape[0] * shape[1] <= _SMALL_PX:
        yield [Box(0, 0, *shape)]
        return
    height, width = (min(_LOOKED_AT_PX, side) for side in shape)
    tops, lefts = (_begins(side) for side in shape)
    chosen = sorted({round(at * (len(lefts) - 1) / (_COLUMNS - 1)) for at in range(_COLUMNS)})
    seen = set()
    for number in range(_MOST_ROWS):
        # Steps of the golden ratio: any number of rows is spread evenly.
        row = int((0.5 + number * 0.6180339887498949) % 1.0 * len(tops))
        if row in seen:
            continue
        seen.add(row)
        yield [Box(tops[row], lefts[at], tops[row] + height, lefts[at] + width) for at in chosen]


def _begins(side: int) -> list[int]:
    """Returns at which rows or columns windows may begin, so that they fit in."""
    step = _APART_PX if side >= 4 * _APART_PX else _LOOKED_AT_PX
    last = max(side - _LOOKED_AT_PX, 0)
    return sorted({*range(0, last + 1, step), *([last] if step == _LOOKED_AT_PX else [])})
