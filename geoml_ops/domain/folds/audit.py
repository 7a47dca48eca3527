"""What the materialised indices themselves show about a plan."""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

from geoml_ops.core.flow import FoldPlan
from geoml_ops.core.folding import Audit
from geoml_ops.domain.folds.samples import Samples
from geoml_ops.domain.folds.splitter import Split


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
    reach = plan.buffer_m + 2 * plan.halo_px * samples.pixel_m
    apart = shared == 0 and bool(np.isfinite(least)) and least > reach
    return Audit(
        least_distance_m=float(least) if np.isfinite(least) else 0.0,
        n_shared_polygons=shared,
        n_dropped=dropped,
        n_test=tuple(len(test) for _, test in splits),
        classes_missing=tuple(f"fold {number}: class {code}" for number, code in missing),
        passed=apart and two_classes and bool((tested == 1).all()),
    )
