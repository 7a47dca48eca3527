"""How far apart train and test samples have to be: a buffer of ground, and windows that share no pixel.

A sample sees a square of source pixels, its own and ``r`` more on each side (halo and half its patch).
A pair is far enough apart where the straight way between both is longer than the buffer and what both
windows reach, ``buffer_m + (r + r') * pixel_m``, and where the squares overlap nowhere: their middles
are ``r + r' + 1`` pixels apart along one axis at least. Each pair is judged by its own two windows.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from geoml_ops.domain.folds.samples import Floats, Index, Samples, arc, chord

Flags = NDArray[np.bool_]
FORGIVEN = 1e-6
"""Of a pixel, as coordinates are rounded."""


@dataclass(frozen=True)
class Limits:
    """What the distance of each pair has to be, in metres.

    Attributes:
        line: a straight way is longer.
        square: middles are at least as far apart along one axis.
        projected: False where axes have no common direction; then a square's diagonal is asked instead.
    """

    line: Floats
    square: Floats
    projected: bool

    @classmethod
    def of(cls, samples: Samples, half_px: Index, other: Samples, other_px: Index, buffer_m: float) -> Limits:
        """Returns the limits of pairs of samples of two tables, whose windows reach so many pixels."""
        both = half_px * samples.pixel_m + other_px * other.pixel_m
        edge = (samples.pixel_m + other.pixel_m) / 2 * (1 - FORGIVEN)
        return cls(both + buffer_m, both + edge, samples.projected)

    def kept(self, straight: Floats, leg: Floats) -> Flags:
        """Returns whether straight distances between :func:`metres` and the longer legs keep the limits."""
        if self.projected:
            return np.asarray((straight > self.line) & (leg >= self.square), dtype=np.bool_)
        return np.asarray(arc(straight, projected=False) > np.maximum(self.line, np.sqrt(2) * self.square))

    def longest(self) -> float:
        """Returns a straight distance beyond which every limit is kept."""
        most = float(max(self.line.max(), np.sqrt(2) * self.square.max())) * (1 + 1e-9) + 1e-9
        return chord(most, projected=self.projected)


def far_from(
    samples: Samples, rest: Index, test: Index, buffer_m: float, halo_px: int = 0, *, of: Samples | None = None
) -> Flags:
    """Returns True for each of ``rest`` that is far enough from every test sample.

    Args:
        samples: where the test samples are.
        rest: positions in ``of``.
        test: positions in ``samples``.
        buffer_m: ground left empty; 0 without any windows asks for nothing within one table, whose units
            are apart already.
        halo_px: pixels around each sample that its features see.
        of: where ``rest`` is, if that is another table; its pixels never overlap tested ones either.
    """
    other = of or samples
    far = np.ones(len(rest), dtype=np.bool_)
    nothing_asked = of is None and buffer_m <= 0 and halo_px == 0 and not samples.half_px.any()
    if nothing_asked or not len(test) or not len(rest):
        return far
    here, there, half = samples.ground[test], other.ground[rest], samples.half_px[test]
    for reach in np.unique(half):
        limits = Limits.of(samples, reach + halo_px, other, other.half_px[rest] + halo_px, buffer_m)
        # Pixels lie on a lattice, where median splits of a balanced tree meet ties and get slow.
        # Samples by the thousand in one place would be one leaf of the tree.
        tree = cKDTree(np.unique(here[half == reach], axis=0), balanced_tree=False)
        if samples.projected:
            straight, leg = (
                _nearest(tree, there, p, above) for p, above in ((2, limits.line), (np.inf, limits.square))
            )
        else:
            straight = leg = tree.query(there, distance_upper_bound=limits.longest())[0]
        far &= limits.kept(straight, leg)
    return far


def far_from_each(samples: Samples, tested: Index, buffer_m: float, halo_px: int = 0) -> Iterator[Flags]:
    """Yields, for each of ``tested``, which samples are far enough from it, ``(n,)``; itself never is.

    Arguments as :func:`far_from`, whose sense of far this is; pixels that overlap are never far.
    """
    ground, window = samples.ground, samples.half_px + halo_px
    tree, widest = cKDTree(ground, balanced_tree=False), int(window.max())
    for one in tested:
        longest = Limits.of(samples, window[one], samples, np.array([widest]), buffer_m).longest()
        near = np.asarray(tree.query_ball_point(ground[one], longest), dtype=np.int64)
        limits = Limits.of(samples, window[one], samples, window[near], buffer_m)
        legs = np.abs(ground[near] - ground[one])
        far = np.ones(len(samples), dtype=np.bool_)
        far[near] = limits.kept(np.sqrt(np.square(legs).sum(axis=1)), legs.max(axis=1))
        yield far


def window_px(samples: Samples, halo_px: int) -> int:
    """Returns how many pixels beyond its own the widest sample sees."""
    return halo_px + int(samples.half_px.max(initial=0))


def _nearest(tree: cKDTree, there: Floats, p: float, above: Floats) -> Floats:
    """Returns distances to the nearest place of a tree; infinite where it is beyond all limits."""
    beyond = float(above.max()) * (1 + 1e-9) + 1e-9
    return np.asarray(tree.query(there, p=p, distance_upper_bound=beyond)[0], dtype=np.float64)
