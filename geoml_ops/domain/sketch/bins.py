"""The bins that sketches of one band share wherever they are made: frozen, open at both ends, from its contract.

Every number falls into exactly one bin by itself, so what a raster is cut into changes no count.
"""

from __future__ import annotations

import math
import zlib
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoml_ops.core.bands import Band, Contract

N_INNER = 256
#: Below the lowest edge, ``N_INNER`` between, above the highest; one more counts what is no number.
N_BINS = N_INNER + 2
NO_NUMBER = N_BINS
#: Of numbers whose zero means something, bins are even up to this and grow with the number beyond.
_REFLECTANCE_EVEN, _WIDE_EVEN, _WIDE_LEAST = 0.05, 1e-4, 1e-2
_WIDE, _WIDEST = 1e3, 1e6
#: Moments are sums of whole steps, so many bits of them to the ends of the valid range.
_NARROW_BITS, _WIDE_BITS, _COARSEST_STEP = 15, 30, 2.0**-10

Numbers = NDArray[np.float32]


@dataclass(frozen=True)
class Bins:
    """The bins of one band, in the numbers of its contract.

    Attributes:
        band: its name.
        low: lower edge of the first inner bin.
        high: upper edge of the last inner bin.
        zero: the number that stands for 0, around which bins grow; None where all are of one width.
        even: distance from ``zero`` up to which bins are about even.
        step: moments count whole steps of this size.
    """

    band: str
    low: float
    high: float
    zero: float | None = None
    even: float = 1.0
    step: float = 1.0

    @cached_property
    def edges(self) -> NDArray[np.float64]:
        """The ``N_INNER + 1`` edges, increasing; from ``zero`` they are numbers of 16 bits (bfloat16) away.

        A number on an edge above ``zero`` belongs to the bin above it, one below ``zero`` to the bin below it.
        """
        if self.zero is None:
            return np.linspace(self.low, self.high, N_INNER + 1)
        first, last = (math.asinh((end - self.zero) / self.even) for end in (self.low, self.high))
        apart = np.sinh(np.linspace(first, last, N_INNER + 1)) * self.even
        return _short(apart) + self.zero

    @cached_property
    def key(self) -> int:
        """32 bits that tell these bins from others; sketches of other bins are never added."""
        told = np.array([self.low, self.high, self.zero if self.zero is not None else np.nan, self.even, self.step])
        return zlib.crc32(told.astype("<f8").tobytes() + f"{self.band}|{N_INNER}|1".encode())

    def of(self, numbers: NDArray[Any]) -> NDArray[np.integer[Any]]:
        """Returns the bin of each number: 0 below, 1 to 256, 257 above, 258 for what is not finite.

        Args:
            numbers: flat, float32 or uint16.
        """
        if numbers.dtype == np.uint16:
            return self._of_whole.take(numbers)
        numbers = np.ascontiguousarray(numbers, dtype=np.float32)
        return self._of_even(numbers) if self.zero is None else self._of_grown(numbers)

    def error_at(self, number: float) -> float:
        """Returns how far a quantile near this number can be off: the width of its bin; infinite beyond the ends."""
        position = int(np.searchsorted(self.edges, number, side="right"))
        return math.inf if position in (0, N_INNER + 1) else float(self.edges[position] - self.edges[position - 1])

    def _of_even(self, numbers: Numbers) -> NDArray[np.int16]:
        width = (self.high - self.low) / N_INNER
        scaled = np.clip(numbers, np.float32(self.low - width), np.float32(self.high + width))
        scaled -= np.float32(self.low)
        scaled *= np.float32(1 / width)
        scaled += np.float32(1)
        np.clip(scaled, 0, N_INNER + 1, out=scaled)
        with np.errstate(invalid="ignore"):
            found = scaled.astype(np.int16)
        finite = np.isfinite(numbers)
        if not finite.all():
            found[~finite] = NO_NUMBER
        return found

    def _of_grown(self, numbers: Numbers) -> NDArray[np.uint16]:
        # The upper half of a float32 orders numbers of one sign: a table of 65,536 entries stands for a search.
        apart = numbers if self.zero == 0 else numbers - np.float32(self.zero or 0.0)
        return self._of_halves.take(apart.view(np.uint32) >> np.uint32(16))

    @cached_property
    def _of_halves(self) -> NDArray[np.uint16]:
        with np.errstate(invalid="ignore"):
            halves = (np.arange(65536, dtype=np.uint32) << np.uint32(16)).view(np.float32).astype(np.float64)
        edges = self.edges - (self.zero or 0.0)
        above, below = (np.searchsorted(edges, halves, side=side) for side in ("right", "left"))
        found = np.where(np.signbit(halves), below, above)
        found[0x8000] = found[0]  # minus zero
        found[~np.isfinite(halves)] = NO_NUMBER
        return found.astype(np.uint16)

    @cached_property
    def cuts(self) -> NDArray[np.uint16]:
        """The smallest whole number beyond each bin as far as there is one of 16 bits; bins never fall with numbers."""
        found = np.searchsorted(self._of_whole, np.arange(N_BINS), side="right")
        return found[found < len(self._of_whole)].astype(np.uint16)

    @cached_property
    def _of_whole(self) -> NDArray[np.uint16]:
        whole = np.arange(65536, dtype=np.float32)
        return (self._of_even(whole) if self.zero is None else self._of_grown(whole)).astype(np.uint16)


@lru_cache(maxsize=64)
def bins_of(contract: Contract) -> tuple[Bins, ...]:
    """Returns the bins of each band that a contract names, in its order; they follow from the contract alone.

    Reflectance, and numbers that reach beyond 1,000 of their unit, have bins that grow with the number; all others
    (temperatures, decibels, degrees, shares) have bins of one width over what the contract calls valid.
    """
    return tuple(_bins(band, contract) for band in contract.bands)


def _bins(band: Band, contract: Contract) -> Bins:
    rule = contract.radiometry_of(band.name)
    low, high = (max(-_WIDEST, min(_WIDEST, end)) for end in band.valid)
    zero, even = None, 1.0
    largest = max(abs(low), abs(high))
    if low <= 0 <= high and (band.unit == "reflectance" or largest > _WIDE):
        wide = max(_WIDE_LEAST, largest * _WIDE_EVEN) if largest < _WIDEST else _WIDE_LEAST
        zero, even = 0.0, _REFLECTANCE_EVEN if band.unit == "reflectance" else wide
    ends = [end / rule.scale - rule.offset_dn for end in (low, high)]
    whole = np.issubdtype(np.dtype(contract.dtype), np.integer) and (band.radiometry is None or rule.scale != 1)
    return Bins(
        band=band.name,
        low=ends[0],
        high=ends[1],
        zero=None if zero is None else 0.0 - rule.offset_dn,
        even=even / rule.scale,
        step=(1 / 256 if band.rescaled else 1.0) if whole else _fine(max(map(abs, ends)), zero is not None),
    )


def _fine(largest: float, wide: bool) -> float:
    """Step of numbers that are no DN; sums of 15 bits are quick, and enough where the valid range bounds them."""
    bits = math.ceil(math.log2(max(largest, 1e-6)))
    return min(2.0 ** (bits - _WIDE_BITS), _COARSEST_STEP) if wide else 2.0 ** (bits - _NARROW_BITS)


def _short(numbers: NDArray[np.float64]) -> NDArray[np.float64]:
    """Returns the numbers with the 8 leading binary digits that bfloat16 keeps, rounded."""
    bits = numbers.astype(np.float32).view(np.uint32).astype(np.uint64) + 0x8000
    return (bits.astype(np.uint32) & np.uint32(0xFFFF0000)).view(np.float32).astype(np.float64)
