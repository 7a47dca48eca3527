"""How samples are kept apart: the rules a person writes, and what the folds that came of them show."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from geoml_ops.core.grid import Value

Estimand = Literal["this map", "a new region", "a new year", "a probability sample", "optimism baseline"]
Method = Literal[
    "block",
    "buffered",
    "buffered_loo",
    "location",
    "time",
    "location_time",
    "kmeans",
    "environment",
    "nndm",
    "knndm",
    "random",
]
NO_BUFFER: tuple[Method, ...] = ("nndm", "knndm", "random")
"""Methods that leave no ground empty: two match the distances that the map has, one keeps nothing apart."""
ESTIMAND: dict[Method, Estimand] = {
    "block": "a new region",
    "buffered": "a new region",
    "buffered_loo": "a new region",
    "location": "a new region",
    "time": "a new year",
    "location_time": "a new year",
    "kmeans": "a new region",
    "environment": "a new region",
    "nndm": "this map",
    "knndm": "this map",
    "random": "optimism baseline",
}


class FoldRules(Value):
    """What a person writes under ``folds``; every method reads the keys that concern it.

    Attributes:
        method: how test sets are cut; its estimand is in :data:`ESTIMAND`.
        n_folds: number of folds (``buffered_loo``, ``nndm``: unused, one fold per tested sample).
        block_m: edge of a block in metres; also the unit of evidence of intervals, whatever the method.
            ``auto`` takes it from the variogram.
        shape: of a block; a hexagon is pointy-top and ``block_m`` wide.
        deal: how blocks come to folds: the best balanced of many random deals, in turn along rows, or
            as on a chessboard (two folds).
        buffer_m: ground left empty around what is tested; grows by the features' halo.
        clusters: clusters that are dealt to folds (``kmeans``, ``environment``); None for ten per fold, or as many as
            leave four units each.
        space: where ``knndm`` measures distance, on the ground or in feature space.
        clustering: of ``knndm``.
        location: what a location is (``location``, ``location_time``).
        keep_scenes: whether no scene may be on both sides of a fold either; scenes are then dealt whole.
        tested: samples that leave-one-out methods test, spread over the ground; None for all, up to 2,000.
        repeats: of the whole plan; each but the first has another random origin and rotation.
        seed: of everything random.
    """

    method: Method = "block"
    n_folds: int = Field(5, ge=2)
    block_m: float | Literal["auto"] = 2000.0
    shape: Literal["square", "hexagon"] = "square"
    deal: Literal["balanced", "systematic", "checkerboard"] = "balanced"
    buffer_m: float = Field(100.0, ge=0)
    clusters: int | None = Field(None, ge=2)
    space: Literal["ground", "features"] = "ground"
    clustering: Literal["ward", "kmeans"] = "ward"
    location: Literal["polygon", "block", "scene"] = "polygon"
    keep_scenes: bool = False
    tested: int | None = Field(None, ge=2)
    repeats: int = Field(1, ge=1, le=50)
    seed: int = Field(0, ge=0)

    @model_validator(mode="after")
    def _possible(self) -> FoldRules:
        if self.block_m != "auto" and self.block_m <= 0:
            raise ValueError(f"block_m is {self.block_m:g}; use metres above 0, or auto")
        if self.deal == "checkerboard" and self.method == "block" and self.n_folds != 2:
            raise ValueError(f"a checkerboard has 2 folds, not {self.n_folds}")
        return self


class FoldAudit(Value):
    """One fold as its indices show it.

    Attributes:
        n_train: samples that are learned from.
        n_test: samples that are tested.
        n_dropped: samples on neither side.
        least_distance_m: from a test sample to the nearest train sample.
        n_shared_pixels: test samples whose window of source pixels (halo, patch) overlaps that of a train sample.
        n_shared_polygons: polygons on both sides.
        n_shared_scenes: scenes on both sides.
        n_shared_dates: acquisition days on both sides.
        n_near_duplicates: test samples closer than a pixel to a train sample.
        n_train_per_class: by class code.
        n_test_per_class: by class code.
    """

    n_train: int
    n_test: int
    n_dropped: int
    least_distance_m: float
    n_shared_pixels: int
    n_shared_polygons: int
    n_shared_scenes: int
    n_shared_dates: int
    n_near_duplicates: int
    n_train_per_class: tuple[int, ...]
    n_test_per_class: tuple[int, ...]


class Audit(Value):
    """What the materialised folds show: the proof, or the disproof, that training and test are apart.

    ``folds`` holds every fold, or the worst hundred of a leave-one-out plan; totals count all of them.
    ``objections`` are sentences, one per broken promise; the audit passes where there is none. ``remarks``
    are sentences that break no promise and have to be known when a score of these folds is read.
    """

    least_distance_m: float
    n_shared_polygons: int
    n_shared_pixels: int = 0
    n_shared_scenes: int = 0
    n_shared_dates: int = 0
    n_near_duplicates: int = 0
    n_dropped: int
    n_test: tuple[int, ...]
    classes_missing: tuple[str, ...]
    folds: tuple[FoldAudit, ...] = ()
    objections: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    passed: bool


class Trial(Value):
    """One edge of blocks that was tried: what it leaves, and the score there (None where there is none).

    ``n_classes_missing`` counts classes that some fold lacks on a side; all of them where no folds can be made.
    """

    times: float
    block_m: float
    n_blocks: int
    n_classes_missing: int
    score: float | None = None
    low: float | None = None
    high: float | None = None


class BlockSize(Value):
    """How ``block_m: auto`` was answered.

    Attributes:
        block_m: the answer.
        range_m: effective range of autocorrelation (95 % of the sill), the largest that converged.
        low_m: lower end of its bootstrap interval.
        high_m: upper quantile of its bootstrap; what the block was made from.
        column: what the variogram was of: a class, or ``residual``; empty where none converged.
        capped: True where the ground allows no blocks as large as the range asks for, or no range is known.
        not_converged: columns whose variogram has no usable range, with the reason.
        sensitivity: the same plan at 1, 2 and 5 times the edge.
        remarks: sentences: what limited the edge, and what it cannot keep.
    """

    block_m: float = Field(gt=0)
    range_m: float | None
    low_m: float | None
    high_m: float | None
    column: str
    capped: bool
    not_converged: dict[str, str] = Field(default_factory=dict)
    sensitivity: tuple[Trial, ...] = ()
    remarks: tuple[str, ...] = ()


class Matching(Value):
    """How well nearest-neighbour distances of the folds match those of the map (``nndm``, ``knndm``).

    Attributes:
        ks_p: p of the one-sided test that samples are no more clustered than the map's pixels.
        switched_to_random: True where that test says that random folds are right.
        distance: Wasserstein-1 between the two distributions, in metres or feature-space units.
        distance_random: the same for random folds.
        n_clusters: clusters that the folds were packed from; 0 for random folds.
    """

    ks_p: float
    switched_to_random: bool
    distance: float
    distance_random: float
    n_clusters: int
