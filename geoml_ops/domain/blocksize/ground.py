"""What the ground leaves of blocks: how many are occupied, and which classes some fold lacks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from geoml_ops.core.errors import BadInput
from geoml_ops.core.flow import FoldPlan
from geoml_ops.core.folding import ESTIMAND, FoldRules
from geoml_ops.domain.folds import Samples, evidence_blocks, materialise, units_of

LEAST_BLOCKS = 20
FIGURES = (1.0, 1.2, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0)
"""First figures of an edge that people can remember."""
MOST_PLANS = 12
"""Edges whose folds are looked at, from the largest: more than a factor of ten."""


@dataclass(frozen=True)
class Left:
    """What one edge leaves.

    Attributes:
        n_blocks: occupied blocks.
        n_cells: pairs of a fold's side and a class without a sample.
        lacking: codes of the classes of these.
        why_not: why no folds can be made; None where they can.
    """

    n_blocks: int
    n_cells: int
    lacking: tuple[int, ...]
    why_not: BadInput | None = None


@dataclass(frozen=True)
class Ground:
    """Samples and rules, asked what an edge would leave of them.

    Attributes:
        samples: what will be split.
        rules: of the plan; ``block_m`` is not read.
        halo_px: pixels that a feature's window reaches beyond its own.
    """

    samples: Samples
    rules: FoldRules
    halo_px: int

    @classmethod
    def of(cls, samples: Samples, rules: FoldRules, halo_px: int) -> Ground:
        """Lets samples through that can be split by blocks at all.

        Raises:
            BadInput: no samples, one class, coordinates that are no numbers, all in one place, or a CRS without
                metres where folds are made of blocks.
        """
        present = np.unique(samples.code)
        if len(present) < 2:
            said = f"{len(samples)} samples of {len(present)} class cannot train a classifier."
            raise BadInput(said if len(samples) else "There are no samples.", "deliver labels of at least two classes")
        samples.require_finite()
        ground = cls(samples, rules, halo_px)
        if ground.of_blocks:
            samples.require_metres("Blocks of an edge that follows from the samples")
        if not ground.extent_m:
            raise BadInput(f"All {len(samples)} samples lie in one place.", "deliver labels of more ground")
        return ground

    @property
    def extent_m(self) -> float:
        """Diagonal of the box that holds all samples."""
        return float(np.linalg.norm(np.ptp(self.samples.ground, axis=0)))

    @property
    def window_m(self) -> float:
        """Edge of the widest window of source pixels."""
        return float((2 * (self.halo_px + int(self.samples.half_px.max())) + 1) * self.samples.pixel_m)

    @property
    def of_blocks(self) -> bool:
        """Whether the folds change with the edge."""
        in_places = self.rules.method in ("location", "location_time") and self.rules.location == "block"
        return self.rules.method == "block" or in_places

    @cached_property
    def unit(self) -> NDArray[np.int64]:
        """What no fold may part, ``(n,)``."""
        return units_of(self.samples, keep_scenes=self.rules.keep_scenes)

    @cached_property
    def unavoidable(self) -> int:
        """Cells that are empty whatever the edge: a class of ``u`` units is tested in ``u`` folds at most."""
        units = [len(np.unique(self.unit[self.samples.code == code])) for code in np.unique(self.samples.code)]
        return sum(max(0, self.rules.n_folds - n) + (n == 1) for n in units)

    def n_blocks(self, edge: float) -> int:
        """Returns how many blocks hold samples."""
        return len(evidence_blocks(self.samples, edge)[0])

    def largest(self, wish_m: float) -> tuple[float, Left]:
        """Returns the largest round edge up to a wish that leaves enough blocks and every class in every fold.

        Where no edge does: the one with fewest classes missing among those that leave enough blocks, or the
        one with most blocks. None is narrower than a window.

        Raises:
            BadInput: no folds can be made with any edge.
        """
        counts = {edge: self.n_blocks(edge) for edge in _edges(rounded_up(self.window_m), rounded_up(wish_m))}
        enough = [edge for edge, n in counts.items() if n >= max(LEAST_BLOCKS, self.rules.n_folds)]
        if not enough:
            most = max(counts.values())
            enough = [max(edge for edge, n in counts.items() if n == most)]
        tried: list[tuple[float, Left]] = []
        for edge in enough[::-1][: MOST_PLANS if self.of_blocks else 1]:
            tried.append((edge, self.with_blocks(edge)))
            if tried[-1][1].why_not is None and tried[-1][1].n_cells <= self.unavoidable:
                break
        # On ties the first, which is the largest.
        edge, left = min(tried, key=lambda one: one[1].n_cells)
        if left.why_not:
            raise left.why_not
        return edge, left

    def with_blocks(self, edge: float) -> Left:
        """Returns what one edge leaves; folds that are not made of blocks are not looked at."""
        n_blocks, codes = self.n_blocks(edge), np.unique(self.samples.code)
        try:
            splits = materialise(self._plan(edge), self.samples) if self.of_blocks else []
        except BadInput as why:
            return Left(n_blocks, 2 * self.rules.n_folds**2 * len(codes) + 1, tuple(codes.tolist()), why)
        sides = [np.isin(codes, self.samples.code[side], invert=True) for split in splits for side in split]
        empty = np.array(sides).reshape(-1, len(codes))
        return Left(n_blocks, int(empty.sum()), tuple(codes[empty.any(axis=0)].tolist()))

    def lacks(self, edge: float, left: Left) -> Iterator[str]:
        """Yields what an edge cannot keep."""
        if left.n_blocks < LEAST_BLOCKS:
            n_units = len(np.unique(self.unit))
            said = f"No edge leaves {LEAST_BLOCKS} occupied blocks of {n_units} polygons"
            yield f"{said}; {edge:g} m leaves {left.n_blocks}, and an interval over so few is itself uncertain."
        for code in left.lacking:
            n_units = len(np.unique(self.unit[self.samples.code == code]))
            yield (
                f"Class {code} has {n_units} polygons for {self.rules.n_folds} folds; with blocks of {edge:g} m some "
                "fold lacks it on a side."
            )

    def _plan(self, edge: float) -> FoldPlan:
        rules = self.rules.model_copy(update={"block_m": edge})
        asks, n = ESTIMAND[rules.method], rules.n_folds
        return FoldPlan(table="", rules=rules, estimand=asks, n_folds=n, n_blocks=1, halo_px=self.halo_px)


def rounded_up(edge_m: float) -> float:
    """Returns the least edge of one or two round figures (:data:`FIGURES`) that is not below ``edge_m``.

    >>> rounded_up(2104.0), rounded_up(50.0), rounded_up(0.81)
    (2500.0, 50.0, 1.0)
    """
    power = int(np.floor(np.log10(edge_m)))
    tried = (float(f"{figure * 10**more:g}e{power}") for more in (0, 1) for figure in FIGURES)
    return next(edge for edge in tried if edge >= edge_m * (1 - 1e-9))


def _edges(least: float, most: float) -> list[float]:
    """Returns all round edges from ``least`` to ``most``, both included, ascending."""
    found = [least]
    while found[-1] < most:
        found.append(rounded_up(found[-1] * 1.05))
    return found
