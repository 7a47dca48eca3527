"""What is held out together: blocks on the ground, whole polygons, and an empty strip between.

Neighbouring pixels repeat each other, so folds of single pixels ask the model what it was told a
pixel away. Block folds ask about ground it has not seen. Random folds are kept beside them only to
show the optimism; their plan says so and can never feed the gate.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from geoml_ops.core.errors import BadInput
from geoml_ops.core.experiment import Folds
from geoml_ops.core.flow import Audit, FoldPlan

Index = NDArray[np.int64]
Split = tuple[Index, Index]
CANDIDATES = 2000


@dataclass(frozen=True)
class Samples:
    """Where labelled pixels are and what they belong to; arrays have one entry per sample.

    Attributes:
        crs: ``EPSG:<code>`` of all coordinates.
        projected: True where the CRS measures in metres on a plane.
        pixel_m: edge of a pixel.
        easting: pixel centre.
        northing: pixel centre.
        anchor_easting: representative point of the sample's polygon.
        anchor_northing: representative point of the sample's polygon.
        polygon: number of the polygon.
        code: class code, from 0.
    """

    crs: str
    projected: bool
    pixel_m: float
    easting: NDArray[np.float64]
    northing: NDArray[np.float64]
    anchor_easting: NDArray[np.float64]
    anchor_northing: NDArray[np.float64]
    polygon: Index
    code: Index

    def __len__(self) -> int:
        """Number of samples."""
        return len(self.code)

    @property
    def ground(self) -> NDArray[np.float64]:
        """Eastings and northings, ``(n, 2)``."""
        return np.column_stack([self.easting, self.northing])


def blocks_of(samples: Samples, block_m: float) -> tuple[Index, Index]:
    """Returns the occupied blocks and each sample's block.

    Blocks lie on multiples of ``block_m`` of the CRS, not on a scene's corner: a polygon keeps its
    block when later versions bring more scenes. A sample's block is that of its polygon's
    representative point, so no polygon is ever cut.

    Returns:
        Pairs ``(column, row)`` ``(n_blocks, 2)``, rows counted northwards, and positions in them ``(n,)``.

    Raises:
        BadInput: the CRS is not projected, or a coordinate is not a number.
    """
    if not samples.projected:
        raise BadInput(
            f"Blocks of {block_m:g} m cannot be cut in {samples.crs}: it does not measure in metres.",
            "deliver the scene in a projected CRS, UTM for instance",
        )
    anchors = np.column_stack([samples.anchor_easting, samples.anchor_northing])
    if not (np.isfinite(anchors).all() and np.isfinite(samples.ground).all()):
        raise BadInput("Some samples have no coordinates.", "repair the label geometries")
    pairs, index = np.unique(np.floor(anchors / block_m).astype(np.int64), axis=0, return_inverse=True)
    return pairs, np.asarray(index, dtype=np.int64).reshape(-1)


def block_plan(table: str, samples: Samples, rules: Folds, halo_px: int = 0) -> FoldPlan:
    """Returns the audited plan of block folds for the samples of a table.

    Raises:
        BadInput: no samples, one class only, fewer blocks than folds, or a CRS without metres.
    """
    n_blocks = _countable(samples, rules)
    plan = FoldPlan(
        table=table,
        method="block",
        estimand="a new region",
        n_folds=rules.n_folds,
        n_blocks=n_blocks,
        block_m=rules.block_m,
        buffer_m=rules.buffer_m,
        halo_px=halo_px,
        seed=rules.seed,
    )
    return plan.model_copy(update={"audit": audit(plan, samples, materialise(plan, samples))})


def random_plan(table: str, samples: Samples, rules: Folds) -> FoldPlan:
    """Returns the audited plan of random folds: the same number of folds, nothing kept apart.

    Raises:
        BadInput: as :func:`block_plan`.
    """
    n_blocks = _countable(samples, rules)
    plan = FoldPlan(
        table=table,
        method="random",
        estimand="optimism baseline",
        n_folds=rules.n_folds,
        n_blocks=n_blocks,
        block_m=rules.block_m,
        buffer_m=0.0,
        halo_px=0,
        seed=rules.seed,
    )
    return plan.model_copy(update={"audit": audit(plan, samples, materialise(plan, samples))})


def fold_of(plan: FoldPlan, samples: Samples) -> Index:
    """Returns the fold (from 0) in which each sample is tested, ``(n,)``."""
    rng = np.random.default_rng(plan.seed)
    if plan.method == "random":
        return np.asarray(rng.permutation(len(samples)) % plan.n_folds, dtype=np.int64)
    _, block = blocks_of(samples, plan.block_m)
    return _dealt(block, samples.code, plan.n_folds, rng)[block]


def materialise(plan: FoldPlan, samples: Samples) -> list[Split]:
    """Returns ``(train, test)`` positions per fold; the same plan and samples give the same folds.

    Samples within the buffer of any test sample, or of a polygon that is tested, are on neither side
    of a block fold. The buffer grows by the halo: pixels that a window around a test sample sees.
    """
    fold = fold_of(plan, samples)
    splits: list[Split] = []
    for number in range(plan.n_folds):
        test, rest = np.flatnonzero(fold == number), np.flatnonzero(fold != number)
        if plan.method == "block" and len(test):
            rest = rest[far_from(samples.ground[rest], samples.ground[test], reach_m(plan, samples.pixel_m))]
        splits.append((rest, test))
    return splits


def reach_m(plan: FoldPlan, pixel_m: float) -> float:
    """Returns the distance in metres that train and test samples must exceed: buffer and halo."""
    return plan.buffer_m + plan.halo_px * pixel_m


def far_from(ground: NDArray[np.float64], test: NDArray[np.float64], reach: float) -> NDArray[np.bool_]:
    """Returns True for each point of ``ground`` ``(n, 2)`` farther than ``reach`` metres from every test point."""
    return np.asarray(cKDTree(test).query(ground)[0] > reach, dtype=bool)


def audit(plan: FoldPlan, samples: Samples, splits: list[Split]) -> Audit:
    """Returns what the materialised indices themselves show about a plan.

    It passes when every sample is tested exactly once, no polygon is on both sides of a fold, every
    train sample is farther from every test sample than buffer and halo, and every train side has at
    least two classes. Classes missing from a train side are named; the model answers them wrongly,
    which the pooled score then shows.
    """
    least, shared, dropped, missing, two_classes = np.inf, 0, 0, [], True
    for number, (train, test) in enumerate(splits):
        dropped += len(samples) - len(train) - len(test)
        if len(train) and len(test):
            nearest, _ = cKDTree(samples.ground[train]).query(samples.ground[test])
            least = min(least, float(nearest.min()))
        shared += len(np.intersect1d(samples.polygon[train], samples.polygon[test]))
        missing += [(number, int(c)) for c in np.setdiff1d(samples.code, samples.code[train])]
        two_classes &= len(np.unique(samples.code[train])) > 1
    tested = np.bincount(np.concatenate([test for _, test in splits]), minlength=len(samples))
    apart = shared == 0 and bool(np.isfinite(least)) and least > reach_m(plan, samples.pixel_m)
    return Audit(
        least_distance_m=float(least) if np.isfinite(least) else 0.0,
        n_shared_polygons=shared,
        n_dropped=dropped,
        n_test=tuple(len(test) for _, test in splits),
        classes_missing=tuple(f"fold {number}: class {code}" for number, code in missing),
        passed=apart and two_classes and bool((tested == 1).all()),
    )


def _countable(samples: Samples, rules: Folds) -> int:
    present = np.unique(samples.code)
    if len(present) < 2:
        raise BadInput(
            f"{len(samples)} samples of {len(present)} class cannot train a classifier."
            if len(samples)
            else "There are no samples.",
            "deliver labels of at least two classes",
        )
    n_blocks = len(blocks_of(samples, rules.block_m)[0])
    if n_blocks < rules.n_folds:
        noun = "block" if n_blocks == 1 else "blocks"
        raise BadInput(
            f"{n_blocks} {noun} of {rules.block_m:g} m cannot make {rules.n_folds} folds.",
            "use fewer folds, smaller blocks or labels of more ground",
        )
    return n_blocks


def _dealt(block: Index, code: Index, n_folds: int, rng: np.random.Generator) -> Index:
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
