"""A raster to classify and what is read beside it: stored numbers in, the model's numbers out."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from geoml_ops.adapters import raster
from geoml_ops.core.bands import SAME_OFFSET_DN, Contract, Radiometry, same_scale, to_contract
from geoml_ops.core.grid import Grid
from geoml_ops.domain.tiling import Box, Pixels, filled
from geoml_ops.steps.beside import Part
from geoml_ops.steps.swaths import Swath

_MOST = int(np.iinfo(np.uint16).max)


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

    def dn(self, swath: Swath, box: Box) -> Pixels:
        """Returns the numbers ``(band, y, x)`` of a box in the contract's bands and radiometry.

        Float32, NaN where not observed and beyond the raster; uint16 where all were observed and are known to be
        whole numbers of 16 bits, which is half of the memory and less work.

        Args:
            swath: that the box lies in, as far as there is a raster.
            box: may reach beyond the raster.
        """
        inside = self.inside(box)
        stored = swath.part(inside)
        whole = self._whole(stored[0]) if len(self.parts) == 1 and inside == box else None
        if whole is not None:
            return whole
        dn = to_contract(stored[0], self.declared, self.carried, self.own)
        if len(self.parts) > 1:
            every = np.empty((sum(len(part.into) for part in self.parts), *inside.shape), dtype=np.float32)
            for part, layers in zip(self.parts, (dn, *stored[1:]), strict=True):
                every[list(part.into)] = layers
            dn = every
        return filled(dn, inside, box)

    def _whole(self, stored: NDArray[np.generic]) -> NDArray[np.uint16] | None:
        """Returns what :func:`to_contract` would, as uint16; None where it would say anything but such numbers."""
        shift = self._shift
        if shift is None or stored.dtype != np.uint16:
            return None
        whole = np.asarray(stored, dtype=np.uint16)
        if any((whole == np.uint16(number)).any() for number in self._absent):
            return None
        if shift == 0:
            return whole
        least, most = (int(end) + shift for end in (whole.min(), whole.max()))
        # In 16 bits adding wraps around, and so do negative shifts, back to where they belong.
        return whole + np.uint16(shift % (_MOST + 1)) if least >= 0 and most <= _MOST else None

    @cached_property
    def _rules(self) -> tuple[Radiometry, ...]:
        return tuple(self.own.get(name, self.declared) for name in self.carried.names)

    @cached_property
    def _shift(self) -> int | None:
        """The whole number that brings all bands to the contract; None where it takes more than that."""
        shifts = set()
        for band, rule in zip(self.carried.bands, self._rules, strict=True):
            wanted = band.radiometry or self.carried.radiometry
            shift = rule.offset_dn - wanted.offset_dn
            shifts.add(shift if abs(shift) >= SAME_OFFSET_DN else 0.0)
            if not same_scale(rule, wanted):
                return None
        found = shifts.pop()
        return None if shifts or not found.is_integer() or abs(found) > _MOST else int(found)

    @cached_property
    def _absent(self) -> tuple[int, ...]:
        """The numbers of 16 bits that stand for "not observed" in any band."""
        found = {number for rule in self._rules for number in rule.absent}
        return tuple(sorted(int(number) for number in found if number.is_integer() and 0 <= number <= _MOST))
