"""Blocks on the ground, dealt to folds so that every class is in every fold where it can be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from geoml_ops.core.errors import BadInput
from geoml_ops.domain.folds.samples import Index, numbered
from geoml_ops.domain.folds.splitter import FoldSplitter

CANDIDATES = 2000


@dataclass(eq=False, repr=False)
class BlockFolds(FoldSplitter):
    """Whole blocks are tested together; a polygon belongs to the block of its representative point.

    Attributes:
        block_m: edge of a square, or width of a pointy-top hexagon.
        shape: of a block.
        deal: how blocks come to folds.
        moved: whether origin and rotation of the grid are random (seeded) instead of the CRS's own.
    """

    block_m: float = 2000.0
    shape: Literal["square", "hexagon"] = "square"
    deal: Literal["balanced", "systematic", "checkerboard"] = "balanced"
    moved: bool = False

    def fold_of(self) -> Index:
        """Returns the fold of each sample.

        Raises:
            BadInput: no plane in metres, or fewer blocks than folds.
        """
        block = self.blocks()
        n_blocks = int(block.max()) + 1
        if n_blocks < self.n_folds:
            noun = "block" if n_blocks == 1 else "blocks"
            raise BadInput(
                f"{n_blocks} {noun} of {self.block_m:g} m cannot make {self.n_folds} folds.",
                "use fewer folds, smaller blocks or labels of more ground",
            )
        return dealt(block, self.samples.code, self.n_folds, np.random.default_rng(self.seed))[block]

    def blocks(self) -> Index:
        """Returns the block of each sample, ``(n,)`` from 0.

        Raises:
            BadInput: the CRS is not projected, or a coordinate is not a number.
        """
        self.samples.require_metres(f"Blocks of {self.block_m:g} m")
        self.samples.require_finite()
        cells = np.floor(self.samples.anchors / self.block_m).astype(np.int64)
        return numbered(cells[:, 0], cells[:, 1])


def dealt(block: Index, code: Index, n_folds: int, rng: np.random.Generator) -> Index:
    """Returns the fold of each block: of many random deals the one with classes spread most evenly.

    Fewest empty (class, fold) cells first, then the lowest Pearson chi-square against equal shares,
    as block designs in ecology are commonly balanced.
    """
    n_blocks, codes = int(block.max()) + 1, np.unique(code, return_inverse=True)[1]
    counts = np.zeros((n_blocks, int(codes.max()) + 1))
    np.add.at(counts, (block, codes), 1)
    expected = counts.sum(axis=0) / n_folds
    best, best_rank = np.zeros(n_blocks, dtype=np.int64), (np.inf, np.inf)
    for _ in range(CANDIDATES):
        deal = rng.permutation(n_blocks) % n_folds
        cells = np.zeros((n_folds, counts.shape[1]))
        np.add.at(cells, deal, counts)
        rank = (float((cells == 0).sum()), float(((cells - expected) ** 2 / expected).sum()))
        if rank < best_rank:
            best, best_rank = deal.astype(np.int64), rank
    return best
