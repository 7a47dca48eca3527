"""The numbers of one band in a bounded sketch: counts in frozen bins, moments, extremes. Sketches add up exactly.

A raster cut in any way and added again gives the same sketch as the raster in one piece: all that is added are whole
numbers. Quantiles are off by the width of a bin at most, mean and spread by half a step of the moments.
"""

from __future__ import annotations

import base64
import binascii
import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoml_ops.core.errors import BadInput
from geoml_ops.domain.sketch import varints
from geoml_ops.domain.sketch.bins import N_BINS, N_INNER, Bins
from geoml_ops.domain.sketch.ordered import Ordered

#: Chunks whose sums of squares a float64 holds exactly: 2^20 times 2^32 is below 2^53.
_EXACT_PX = 1 << 20
_LARGEST_STEPS = float(2**31 - 1)
_HEAD = struct.Struct("<2sI")
_ENDS = struct.Struct("<ff")
_MARK = b"s1"
#: What the bytes of a sketch stay below, for up to 2^49 pixels.
MOST_BYTES = 2048


@dataclass(frozen=True)
class Sketch:
    """What one band holds, in the numbers of its contract.

    Attributes:
        bins: of the band.
        counts: pixels in each of the 258 bins, the first and the last open.
        n_nodata: pixels without a finite number.
        total: sum of the numbers in whole steps of ``bins.step``, ends at 2^31 steps.
        squares: sum of the squares of those.
        least: smallest number; infinity where there is none.
        greatest: largest number; minus infinity where there is none.
    """

    bins: Bins
    counts: tuple[int, ...]
    n_nodata: int = 0
    total: int = 0
    squares: int = 0
    least: float = math.inf
    greatest: float = -math.inf

    @property
    def n(self) -> int:
        """Pixels with a number."""
        return sum(self.counts)

    @property
    def mean(self) -> float | None:
        """Mean of the numbers, off by half a step of ``bins.step`` at most; None without any."""
        return self.total / self.n * self.bins.step if self.n else None

    @property
    def sd(self) -> float | None:
        """Standard deviation of the numbers (divided by n), off by half a step at most; None without any."""
        n = self.n
        # Whole numbers of any size: nothing cancels.
        return math.sqrt(n * self.squares - self.total * self.total) / n * self.bins.step if n else None

    def quantile(self, share: float) -> float | None:
        """Returns a quantile (0 to 1) as numpy's linear one, off by ``bins.error_at`` it at most; None without numbers.

        Beyond the ends of the bins it lies between the end and the extreme.
        """
        n = self.n
        if not n:
            return None
        rank = share * (n - 1)
        if share in (0, 1):
            return self.greatest if share else self.least
        upto = np.cumsum(np.array(self.counts, dtype=np.int64))
        below, above = (self._at(upto, whole) for whole in (math.floor(rank), math.ceil(rank)))
        return _lerp(below, above, rank % 1.0)

    def _at(self, upto: NDArray[np.int64], rank: int) -> float:
        """Returns about the number of this rank (from 0): numbers of a bin are taken as evenly spread in it."""
        position = int(np.searchsorted(upto, rank, side="right"))
        before = int(upto[position - 1]) if position else 0
        edges = self.bins.edges
        low = self.least if position == 0 else float(edges[position - 1])
        high = self.greatest if position == N_INNER + 1 else float(edges[position])
        low, high = (min(max(end, self.least), self.greatest) for end in (low, high))
        return _lerp(low, high, (rank - before + 0.5) / self.counts[position])

    def __add__(self, other: Sketch) -> Sketch:
        """Returns the sketch of both; the order does not matter.

        Raises:
            ValueError: the bins are not the same.
        """
        if self.bins.key != other.bins.key:
            raise ValueError(f"sketches of {self.bins.band} and {other.bins.band} with other bins do not add up")
        return Sketch(
            self.bins,
            tuple(map(int.__add__, self.counts, other.counts)),
            self.n_nodata + other.n_nodata,
            self.total + other.total,
            self.squares + other.squares,
            min(self.least, other.least),
            max(self.greatest, other.greatest),
        )

    def to_bytes(self) -> bytes:
        """Returns at most ``MOST_BYTES`` bytes; equal sketches give equal bytes."""
        numbers = varints.packed(
            [self.n_nodata, varints.unsigned(self.total), self.squares, *varints.runs(self.counts)]
        )
        return _HEAD.pack(_MARK, self.bins.key) + _ENDS.pack(self.least, self.greatest) + numbers

    def to_text(self) -> str:
        """Returns the bytes as letters (base 64), for JSON."""
        return base64.b64encode(self.to_bytes()).decode()


def empty(bins: Bins) -> Sketch:
    """Returns the sketch of nothing: adding it changes nothing."""
    return Sketch(bins, (0,) * N_BINS)


def sketch(numbers: NDArray[Any], bins: Bins) -> Sketch:
    """Returns the sketch of an array of any shape, float32 or uint16, NaN where nothing was observed."""
    flat = np.ravel(numbers)
    counts = np.bincount(bins.of(flat), minlength=N_BINS + 1)
    n_nodata = int(counts[N_BINS])
    if n_nodata == flat.size:
        return Sketch(bins, (0,) * N_BINS, n_nodata)
    if n_nodata:
        flat, least, greatest = _filled(flat)
    else:
        least, greatest = float(flat.min()), float(flat.max())
    # Adding nought makes minus zero zero, so that equal numbers are equal bytes.
    ends = least + 0.0, greatest + 0.0
    largest, total, squares = max(-ends[0], ends[1]) / bins.step, 0, 0
    for first in range(0, flat.size, _EXACT_PX):
        more = _sums(flat[first : first + _EXACT_PX], bins.step, largest)
        total, squares = total + more[0], squares + more[1]
    return Sketch(bins, tuple(counts[:N_BINS].tolist()), n_nodata, total, squares, *ends)


def sketch_bands(dn: NDArray[Any], bins: Sequence[Bins], ordered: Ordered | None = None) -> tuple[Sketch, ...]:
    """Returns one sketch per band of ``(band, y, x)``.

    Args:
        dn: as :func:`sketch` takes each band.
        bins: of each band.
        ordered: the same numbers in order, where that is known.

    Raises:
        ValueError: not as many bins as bands.
    """
    if ordered is not None:
        counts = _counts_of(ordered.numbers, bins)
        found = zip(ordered.numbers, ordered.totals, ordered.squares, bins, counts, strict=True)
        return tuple(_of_ordered(*one) for one in found)
    return tuple(sketch(layer, own) for layer, own in zip(dn, bins, strict=True))


def from_bytes(content: bytes, bins: Bins) -> Sketch:
    """Returns the sketch that :meth:`Sketch.to_bytes` told.

    Raises:
        BadInput: the bytes are no sketch of this band.
    """
    try:
        mark, key = _HEAD.unpack_from(content)
        if mark != _MARK or key != bins.key or len(content) > MOST_BYTES:
            raise ValueError("other bins")
        return _told(content, bins)
    except (struct.error, ValueError):
        told = content[:6].hex()
        raise BadInput(f"The {len(content)} bytes {told}… are no sketch of {bins.band}.", "sketch it again") from None


def from_text(text: str, bins: Bins) -> Sketch:
    """Returns the sketch that :meth:`Sketch.to_text` told; raises as :func:`from_bytes`."""
    try:
        return from_bytes(base64.b64decode(text, validate=True), bins)
    except binascii.Error:
        raise BadInput(f"The text {text[:12]!r}… is no sketch of {bins.band}.", "sketch it again") from None


def _told(content: bytes, bins: Bins) -> Sketch:
    least, greatest = _ENDS.unpack_from(content, _HEAD.size)
    n_nodata, total, squares, *runs = varints.unpacked(content[_HEAD.size + _ENDS.size :])
    counts = varints.unrun(runs, N_BINS)
    if (least <= greatest) != any(counts):
        raise ValueError("extremes without numbers")
    return Sketch(bins, counts, n_nodata, varints.signed(total), squares, least, greatest)


def _counts_of(numbers: NDArray[np.uint16], bins: Sequence[Bins]) -> list[list[int]]:
    """Returns how many of each band's numbers, which are in order, lie in each bin."""
    n_bands, n_px = numbers.shape
    upto = np.full((n_bands, N_BINS + 1), n_px)
    upto[:, 0] = 0
    for band, own, into in zip(numbers, bins, upto, strict=True):
        cuts = own.cuts
        into[1 : len(cuts) + 1] = band.searchsorted(cuts)
    counts: list[list[int]] = (upto[:, 1:] - upto[:, :-1]).tolist()
    return counts


def _of_ordered(numbers: NDArray[np.uint16], total: int, squares: int, bins: Bins, counts: Sequence[int]) -> Sketch:
    least, greatest = float(numbers[0]), float(numbers[-1])
    if bins.step != 1.0:
        total, squares = _sums(numbers, bins.step, greatest / bins.step)
    return Sketch(bins, tuple(counts), 0, total, squares, least, greatest)


def _filled(flat: NDArray[Any]) -> tuple[NDArray[np.float32], float, float]:
    """Returns the numbers with 0 for what is not finite, and the extremes of the others."""
    numbers = np.ascontiguousarray(flat, dtype=np.float32)
    finite = np.isfinite(numbers)
    least, greatest = float(np.fmin.reduce(numbers)), float(np.fmax.reduce(numbers))
    if not math.isfinite(least) or not math.isfinite(greatest):
        least, greatest = float(numbers[finite].min()), float(numbers[finite].max())
    # Masking bits takes a third of the time of choosing numbers (numpy 2.4).
    return (numbers.view(np.uint32) & np.negative(finite.astype(np.uint32))).view(np.float32), least, greatest


def _sums(flat: NDArray[Any], step: float, largest: float) -> tuple[int, int]:
    """Sum and sum of squares in whole steps, exact: every partial sum is a whole number below 2^53."""
    steps = flat.astype(np.float64)
    if step != 1.0:
        steps *= 1.0 / step
    np.rint(steps, out=steps)
    if largest < 65535:
        return int(steps.sum()), int(steps @ steps)
    np.clip(steps, -_LARGEST_STEPS, _LARGEST_STEPS, out=steps)
    high = np.floor(steps / 65536)
    low = steps - high * 65536
    return int(steps.sum()), (int(high @ high) << 32) + (int(high @ low) << 17) + int(low @ low)


def _lerp(low: float, high: float, share: float) -> float:
    return low + (high - low) * share
