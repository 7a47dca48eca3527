"""Pairs of samples within a distance, sorted into lags, and what their values have in common.

Pairs of one group (a polygon) are left out: its pixels are never parted, and how alike they are says
how large polygons were drawn. Lags are ``(a, b]`` of equal width, as gstat has them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from geoml_ops.core.errors import BadInput

Floats = NDArray[np.float64]
Index = NDArray[np.int64]
MOST_PAIRS = 400_000
PILOT = 1000
LAGS = (6, 15)
PAIRS_PER_LAG = 60
LEAST_BLOCKS, MOST_BLOCKS = 12, 1000


@dataclass(frozen=True)
class Place:
    """Where samples are, and in which order they are drawn where not all are needed.

    Attributes:
        ground: ``(n, 2)`` metres on a plane, or ``(n, 3)`` metres on a sphere.
        group: ``(n,)`` from 0; pairs of one group are left out.
        radius_m: of the sphere; None on a plane.
        order: ``(n,)`` every group once, in random order, then every group again, until none has any left.
    """

    ground: Floats
    group: Index
    radius_m: float | None
    order: Index

    @classmethod
    def of(cls, ground: Floats, group: Index | None = None, radius_m: float | None = None, seed: int = 0) -> Place:
        """Returns the place of samples; each is a group of its own where none are given.

        Raises:
            BadInput: a coordinate is not a number.
        """
        bad = ~np.isfinite(ground).all(axis=1)
        if bad.any():
            raise BadInput(
                f"{int(bad.sum())} of {len(ground)} samples have no coordinates (NaN or infinite).",
                "repair the label geometries",
            )
        n = len(ground)
        number = np.arange(n) if group is None else np.unique(group, return_inverse=True)[1].reshape(-1)
        mixed = np.random.default_rng(seed).permutation(n)
        by_group = mixed[np.argsort(number[mixed], kind="stable")]
        starts = np.searchsorted(number[by_group], number[by_group])
        turn = np.empty(n, dtype=np.int64)
        turn[by_group] = np.arange(n) - starts
        return cls(ground, number, radius_m, mixed[np.argsort(turn[mixed], kind="stable")])

    @property
    def n_groups(self) -> int:
        """Groups that hold a sample."""
        return int(self.group.max(initial=-1)) + 1

    @property
    def diagonal_m(self) -> float:
        """Diagonal of the rectangle, along the axes of the plane or east and north, that holds all samples."""
        if not len(self.ground):
            return 0.0
        flat = self.ground
        if self.radius_m:
            up = self.ground.mean(axis=0) + np.array([1e-9, 0, 0]) * self.radius_m
            east = np.cross([0.0, 0.0, 1.0], up)
            axes = np.column_stack([east, np.cross(up, east)])
            flat = self.ground @ (axes / np.linalg.norm(axes, axis=0))
        return float(np.linalg.norm(np.ptp(flat, axis=0)))

    def where(self, kept: NDArray[np.bool_]) -> Place:
        """Returns the place of some of the samples, in the same order of drawing."""
        if kept.all():
            return self
        order = (np.cumsum(kept) - 1)[self.order[kept[self.order]]]
        return Place(self.ground[kept], np.unique(self.group[kept], return_inverse=True)[1], self.radius_m, order)

    def pairs(self, cutoff_m: float, most: int = MOST_PAIRS) -> Pairs:
        """Returns pairs up to ``cutoff_m`` apart, of as many samples as give about ``most`` of them."""
        straight = cutoff_m
        if self.radius_m:
            straight = 2 * self.radius_m * np.sin(min(cutoff_m / (2 * self.radius_m), np.pi / 2))
        used = np.sort(self.order[: self._enough(straight, most)])
        found = cKDTree(self.ground[used], balanced_tree=False).query_pairs(straight, output_type="ndarray")
        return self._sorted(used, found.astype(np.int64), cutoff_m)

    def _enough(self, straight: float, most: int) -> int:
        """Returns how many samples, in the order of drawing, give about ``most`` pairs."""
        size, n = min(PILOT, len(self.order)), len(self.order)
        size = min(n, int(size * np.sqrt(most / max(self._count(size, straight), 1))) + 1)
        while (found := self._count(size, straight)) > 1.2 * most:
            size = max(2, min(size - 1, int(size * np.sqrt(most / found))))
        return size

    def _count(self, size: int, straight: float) -> int:
        tree = cKDTree(self.ground[self.order[:size]], balanced_tree=False)
        return (int(tree.count_neighbors(tree, straight)) - size) // 2

    def _sorted(self, used: Index, found: Index, cutoff_m: float) -> Pairs:
        group = self.group[used]
        first, second = found[group[found[:, 0]] != group[found[:, 1]]].T
        distance = np.linalg.norm(self.ground[used[first]] - self.ground[used[second]], axis=1)
        if self.radius_m:
            distance = 2 * self.radius_m * np.arcsin(np.minimum(distance / (2 * self.radius_m), 1))
        n_lags = int(np.clip(len(distance) // PAIRS_PER_LAG, *LAGS))
        lag = np.clip(np.ceil(distance * n_lags / cutoff_m) - 1, 0, n_lags - 1).astype(np.int64)
        return Pairs(used, group, first, second, distance, lag, n_lags, cutoff_m, _blocks(self.ground[used], cutoff_m))


@dataclass(frozen=True)
class Pairs:
    """Pairs of samples of different groups, by lag.

    Attributes:
        used: ``(m,)`` positions of the samples that pairs were made of.
        group: ``(m,)``.
        first: ``(pairs,)`` positions in ``used``.
        second: ``(pairs,)`` positions in ``used``.
        distance_m: ``(pairs,)``.
        lag: ``(pairs,)`` from 0.
        n_lags: number of lags up to the cutoff.
        cutoff_m: longest distance.
        block: ``(m,)`` block of ground that is drawn as a whole.
    """

    used: Index
    group: Index
    first: Index
    second: Index
    distance_m: Floats
    lag: Index
    n_lags: int
    cutoff_m: float
    block: Index

    @cached_property
    def n(self) -> Index:
        """Pairs of each lag, ``(lags,)``."""
        return np.bincount(self.lag, minlength=self.n_lags)

    @cached_property
    def n_of_groups(self) -> Index:
        """Pairs of groups in each lag, ``(lags,)``: many pixels of two polygons say no more than a few."""
        one, other = self.group[self.first], self.group[self.second]
        if len(np.unique(self.group)) == len(self.group):
            return self.n
        key = np.minimum(one, other) * (int(self.group.max()) + 1) + np.maximum(one, other)
        key = np.sort(key * self.n_lags + self.lag)
        return np.bincount(key[np.diff(key, prepend=-1) > 0] % self.n_lags, minlength=self.n_lags)

    @cached_property
    def lag_m(self) -> Floats:
        """Mean distance of the pairs of each lag, ``(lags,)``; the middle of a lag without pairs."""
        sums = np.bincount(self.lag, self.distance_m, self.n_lags)
        middle = (np.arange(self.n_lags) + 0.5) * self.cutoff_m / self.n_lags
        # A lag of nothing but pairs of one spot would get infinite weight.
        return np.where(sums > 0, sums / np.maximum(self.n, 1), middle)

    def halves(self, values: Floats) -> Floats:
        """Returns half the squared difference of each pair, ``(pairs,)``; ``values (m,)`` are those of ``used``."""
        return np.asarray(0.5 * np.square(values[self.first] - values[self.second]), dtype=np.float64)

    def semivariance(self, values: Floats) -> Floats:
        """Returns Matheron's estimate for each lag, ``(lags,)``; 0 for a lag without pairs."""
        return np.bincount(self.lag, self.halves(values), self.n_lags) / np.maximum(self.n, 1)

    def drawn(self, values: Floats, draws: int, rng: np.random.Generator) -> tuple[Floats, Floats]:
        """Returns how many pairs there are and their semivariance, ``(draws, lags)`` each, over draws of blocks.

        Whole blocks are drawn with replacement, as many as there are. A pair of two blocks counts as
        often as both were drawn together, a pair within one as often as its block was drawn.
        """
        n_blocks = int(self.block.max()) + 1
        key, cell = self._cells
        sums, counts = np.bincount(cell, self.halves(values)), np.bincount(cell)
        lag, (low, high) = key % self.n_lags, np.divmod(key // self.n_lags, n_blocks)
        n, total = np.zeros((draws, self.n_lags)), np.zeros((draws, self.n_lags))
        for draw, times in enumerate(rng.multinomial(n_blocks, np.full(n_blocks, 1 / n_blocks), size=draws)):
            often = np.where(low == high, times[low], times[low] * times[high])
            n[draw] = np.bincount(lag, often * counts, self.n_lags)
            total[draw] = np.bincount(lag, often * sums, self.n_lags)
        return n, total / np.maximum(n, 1)

    @cached_property
    def _cells(self) -> tuple[Index, Index]:
        """Pairs summed up: a key for each two blocks and lag that hold pairs, and the position of each pair's key."""
        n_blocks = int(self.block.max()) + 1
        one, other = self.block[self.first], self.block[self.second]
        key = np.minimum(one, other) * n_blocks + np.maximum(one, other)
        key, cell = np.unique(key * self.n_lags + self.lag, return_inverse=True)
        return key, cell.reshape(-1)

    def likeness(self, values: Floats, lags: int, shuffles: int, rng: np.random.Generator) -> float:
        """Returns the p of neighbouring groups being no more alike than any two.

        The mean squared difference of the means of groups over the first lag, the first two, and so on up
        to ``lags`` is compared with what it is after these means were shuffled; the one that deviates
        most, in its own standard deviations, counts. Samples of a group are alike for another reason, so
        they are never shuffled one by one.
        """
        near = self.lag < lags
        first, second, lag = self.group[self.first[near]], self.group[self.second[near]], self.lag[near]
        sizes = np.bincount(self.group)
        mean, present = np.bincount(self.group, values) / np.maximum(sizes, 1), np.flatnonzero(sizes)
        found = np.empty((shuffles + 1, lags))
        for shuffle in range(shuffles + 1):
            found[shuffle] = np.bincount(lag, np.square(mean[first] - mean[second]), lags)
            mean[present] = mean[rng.permutation(present)]
        found = np.cumsum(found, axis=1) / np.maximum(np.cumsum(np.bincount(lag, minlength=lags)), 1)
        spread = found[1:].std(axis=0)
        least = ((found - found[1:].mean(axis=0)) / np.where(spread > 0, spread, np.inf)).min(axis=1)
        return float((1 + (least[1:] <= least[0]).sum()) / (shuffles + 1))


def _blocks(ground: Floats, cutoff_m: float) -> Index:
    """Returns the block of each sample: about half a cutoff wide, neither too few of them nor too many."""
    edge = cutoff_m / 2
    for _ in range(20):
        cells = np.floor((ground - ground.min(axis=0)) / edge).astype(np.int64)
        block = np.unique(cells, axis=0, return_inverse=True)[1].reshape(-1)
        n_blocks = int(block.max()) + 1
        if LEAST_BLOCKS <= n_blocks <= MOST_BLOCKS:
            break
        edge *= 2 if n_blocks > MOST_BLOCKS else 1 / 2
    return np.asarray(block, dtype=np.int64)
