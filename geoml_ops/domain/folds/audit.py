"""What the materialised indices themselves show about folds, whoever made them.

Nothing is taken from the program that cut the folds: distances, windows, polygons, scenes and days
are measured again from the samples, fold by fold. A plan is then held against what its method
promises; folds from elsewhere against whatever :class:`Promises` they are said to keep.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from geoml_ops.core.errors import BadInput
from geoml_ops.core.flow import FoldPlan
from geoml_ops.core.folding import Audit, FoldAudit
from geoml_ops.domain.folds.nearness import Windows
from geoml_ops.domain.folds.promises import Promises, Seen, broken, missing, promises_of, worth_knowing
from geoml_ops.domain.folds.samples import Index, Samples
from geoml_ops.domain.folds.splitter import Split

MOST_FOLDS = 100


def audit(plan: FoldPlan, samples: Samples, splits: Sequence[Split]) -> Audit:
    """Returns what the materialised indices show about a plan; it passes when every promise of its method holds.

    Classes missing from a train side are named and break no promise while another fold learns them: the
    model answers them wrongly, which the pooled score then shows. Random folds promise nothing and never
    pass.

    Raises:
        BadInput: as :func:`audit_splits`.
    """
    return audit_splits(samples, splits, promises_of(plan))


def audit_splits(
    samples: Samples, splits: Sequence[Split], promises: Promises | None = None, *, classes: Sequence[str] | None = None
) -> Audit:
    """Returns what folds from anywhere show, held against what they are said to promise.

    Args:
        samples: what was split.
        splits: ``(train, test)`` positions per fold.
        promises: what has to hold; by default that windows, polygons and near-duplicates are on one side
            only and that every sample is tested once.
        classes: names in code order, for sentences; ``class <code>`` if None.

    Raises:
        BadInput: no samples, coordinates, codes or windows that cannot be, or sides that are no positions.
    """
    promises = promises or Promises()
    _require_sane(samples, promises)
    names = tuple(classes or (f"class {code}" for code in range(int(samples.code.max()) + 1)))
    if len(names) <= samples.code.max():
        raise BadInput(f"A sample has class code {samples.code.max()}, but there are {len(names)} class names.")
    eye = _Eye(samples, promises, len(names))
    seen = [eye.look(*split) for split in splits]
    folds = [fold.shows for fold in seen]
    objections = broken(promises, seen, eye.tested, names, samples)
    near = [fold.least_distance_m for fold in folds if fold.n_train and fold.n_test]
    return Audit(
        least_distance_m=min(near, default=0.0),
        n_shared_polygons=sum(fold.n_shared_polygons for fold in folds),
        n_shared_pixels=sum(fold.n_shared_pixels for fold in folds),
        n_shared_scenes=sum(fold.n_shared_scenes for fold in folds),
        n_shared_dates=sum(fold.n_shared_dates for fold in folds),
        n_near_duplicates=sum(fold.n_near_duplicates for fold in folds),
        n_dropped=sum(fold.n_dropped for fold in folds),
        n_test=tuple(fold.n_test for fold in folds),
        classes_missing=missing(seen, names, samples),
        folds=tuple(folds if len(folds) <= MOST_FOLDS else sorted(folds, key=_worst_first)[:MOST_FOLDS]),
        objections=objections,
        remarks=worth_knowing(promises, seen, eye.tested, names, samples),
        passed=not objections,
    )


def splits_of(fold: Index) -> list[Split]:
    """Returns ``(train, test)`` positions from a column that names the fold which tests each sample, ``(n,)``.

    Each fold trains on all other folds. Samples of a negative fold are on neither side of any.
    """
    used = np.flatnonzero(fold >= 0)
    return [(used[fold[used] != number], used[fold[used] == number]) for number in np.unique(fold[used])]


def _worst_first(fold: FoldAudit) -> tuple[float, ...]:
    bad = (fold.n_near_duplicates, fold.n_shared_pixels, fold.n_shared_polygons, fold.n_shared_scenes)
    return (*(-n for n in bad), fold.least_distance_m)


def _require_sane(samples: Samples, promises: Promises) -> None:
    if not len(samples):
        raise BadInput("There are no samples to audit.", "hand in the table that was split")
    samples.require_finite()
    if not (np.isfinite(samples.pixel_m) and samples.pixel_m > 0):
        raise BadInput(f"A pixel of {samples.pixel_m:g} m cannot be.", "give the edge of a pixel in metres")
    if samples.half_px.min() < 0 or promises.halo_px < 0:
        least = min(int(samples.half_px.min()), promises.halo_px)
        raise BadInput(f"A window cannot reach {least} pixels.", "give halo and patches as 0 pixels or more")
    if not (np.isfinite(promises.buffer_m) and promises.buffer_m >= 0):
        raise BadInput(f"A buffer of {promises.buffer_m:g} m cannot be.", "give 0 metres or more")
    if samples.code.min() < 0:
        raise BadInput(f"{int((samples.code < 0).sum())} samples have a class code below 0.", "leave them out")


class _Eye:
    """Looks at one fold after another, and remembers how often each sample was tested."""

    def __init__(self, samples: Samples, promises: Promises, n_classes: int) -> None:
        self.samples, self.promises, self.n_classes = samples, promises, n_classes
        self.windows = Windows.of(samples, promises.halo_px)
        self.tested = np.zeros(len(samples), dtype=np.int64)
        columns = (samples.polygon, samples.scene, samples.day)
        self.groups = [np.unique(column, return_inverse=True)[1].reshape(-1) for column in columns]

    def look(self, train: ArrayLike, test: ArrayLike) -> Seen:
        """Returns what one fold shows, and what is wrong with its indices."""
        n, sides = len(self.samples), (_positions(train), _positions(test))
        inside = [side[(side >= 0) & (side < n)] for side in sides]
        flags = np.zeros((2, n), dtype=bool)
        for flag, side in zip(flags, inside, strict=True):
            flag[side] = True
        self.tested += np.bincount(inside[1], minlength=n)
        learned, asked = (np.flatnonzero(flag) for flag in flags)
        near = self.windows.between(learned, asked, self.promises.buffer_m)
        polygons, scenes, days = (self._shared(group, learned, asked) for group in self.groups)
        shows = FoldAudit(
            n_train=len(learned),
            n_test=len(asked),
            n_dropped=int((~flags.any(axis=0)).sum()),
            least_distance_m=float(near.distance_m.min()) if len(learned) and len(asked) else 0.0,
            n_shared_pixels=int(near.overlapping.sum()),
            n_shared_polygons=polygons,
            n_shared_scenes=scenes,
            n_shared_dates=days,
            n_near_duplicates=int((near.distance_m < self.samples.pixel_m * (1 - 1e-6)).sum()),
            n_train_per_class=self._per_class(learned),
            n_test_per_class=self._per_class(asked),
        )
        return Seen(
            shows=shows,
            n_too_near=int(near.too_near.sum()),
            n_outside=sum(map(len, sides)) - sum(map(len, inside)),
            n_repeated=sum(map(len, inside)) - len(learned) - len(asked),
            n_both=int(flags.all(axis=0).sum()),
        )

    def _per_class(self, side: Index) -> tuple[int, ...]:
        return tuple(int(n) for n in np.bincount(self.samples.code[side], minlength=self.n_classes))

    def _shared(self, group: NDArray[np.intp], train: Index, test: Index) -> int:
        sides = np.zeros((2, len(self.samples)), dtype=bool)
        sides[0, group[train]], sides[1, group[test]] = True, True
        return int(sides.all(axis=0).sum())


def _positions(side: ArrayLike) -> Index:
    found = np.asarray(side).reshape(-1)
    if found.size and found.dtype.kind not in "iu":
        raise BadInput(
            f"A side of a fold holds {found.dtype} values, not positions.", "give the row numbers of its samples"
        )
    return found.astype(np.int64)
