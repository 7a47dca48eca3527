"""What may be judged at all: audited folds, or ground that neither of two finished models has seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from geoml_ops.core.errors import BadInput, Refused
from geoml_ops.core.flow import FoldPlan
from geoml_ops.core.folding import Audit
from geoml_ops.domain.folds import Samples, far_from
from geoml_ops.domain.folds.samples import arc


@dataclass(frozen=True)
class Apart:
    """Proof that ground was seen by neither of two finished models.

    Attributes:
        n_samples: samples that are asked about.
        n_near: of them, those within buffer and windows of a sample that a model learned from.
        n_shared_polygons: label polygons that are asked about and were learned from.
        least_distance_m: from a sample asked about to the nearest one learned from.
        buffer_m: ground that should lie empty between the two.
    """

    n_samples: int
    n_near: int
    n_shared_polygons: int
    least_distance_m: float
    buffer_m: float


def apart(
    asked: Samples, learned: Sequence[Samples], *, buffer_m: float, halo_px: int = 0, n_shared_polygons: int = 0
) -> Apart:
    """Returns how far labelled ground lies from everything that either model learned from.

    Args:
        asked: samples that both models shall answer.
        learned: samples that each of them was fitted on, in the CRS of ``asked``.
        buffer_m: ground that should lie empty between the two.
        halo_px: pixels beyond its own that the features of a sample see.
        n_shared_polygons: label polygons on both sides; polygon numbers of two tables cannot be compared
            here, their keys can where they are read.

    Raises:
        BadInput: nothing was learned from, the CRSs differ, or coordinates are not numbers.
    """
    if not learned or not all(len(one) for one in learned):
        raise BadInput("A finished model that learned from no samples cannot be judged.", "name its table")
    near, least = np.zeros(len(asked), dtype=bool), np.inf
    for one in learned:
        if one.crs != asked.crs:
            raise BadInput(f"The labels are in {asked.crs}, a model learned in {one.crs}.", "bring both to one CRS")
        asked.require_finite()
        one.require_finite()
        straight = cKDTree(one.ground).query(asked.ground)[0]
        away_m = arc(np.asarray(straight, dtype=np.float64), projected=asked.projected)
        # Without any buffer a sample of the very same pixel would still count as far.
        near |= away_m < asked.pixel_m
        near |= ~far_from(one, np.arange(len(asked)), np.arange(len(one)), buffer_m, halo_px, of=asked)
        least = min(least, float(away_m.min(initial=np.inf)))
    return Apart(len(asked), int(near.sum()), n_shared_polygons, least, buffer_m)


def admit(proof: FoldPlan | Audit | Apart) -> None:
    """Lets answers through to the gate, or says why not.

    Args:
        proof: the audited plan that the answers are out-of-fold of, the audit of folds from elsewhere, or that
            the ground is new to both models.

    Raises:
        Refused: the plan only measures optimism, was never audited, its audit failed; or a finished model
            has seen the ground it is asked about.
    """
    if isinstance(proof, FoldPlan):
        _admit_plan(proof)
    elif isinstance(proof, Audit):
        _admit_audit(proof, "these folds")
    elif proof.n_near or proof.n_shared_polygons or not proof.n_samples:
        raise Refused(
            f"Of {proof.n_samples} samples, {proof.n_near} lie within {proof.buffer_m:.0f} m (and the features' "
            f"windows) of what a model learned from, the nearest {proof.least_distance_m:.0f} m away, and "
            f"{proof.n_shared_polygons} polygons are shared.",
            "judge finished models on labels of ground that neither has seen, or compare their recipes in folds",
        )


def _admit_plan(plan: FoldPlan) -> None:
    if plan.method == "random" or plan.estimand == "optimism baseline":
        raise Refused(
            f"Plan {plan.id} answers {plan.estimand!r} with {plan.method} folds; the gate takes no such score.",
            "judge by a plan of the same table that keeps ground apart",
        )
    if plan.audit is None:
        raise Refused(f"Plan {plan.id} was never audited.", "plan the folds again")
    _admit_audit(plan.audit, f"plan {plan.id}")


def _admit_audit(audit: Audit, name: str) -> None:
    if audit.passed and not audit.objections:
        return
    found = " ".join(audit.objections) or (
        f"train and test come within {audit.least_distance_m:.0f} m of each other and share "
        f"{audit.n_shared_polygons} polygons; classes missing: {', '.join(audit.classes_missing) or 'none'}."
    )
    raise Refused(f"The audit of {name} failed: {found}", "use fewer folds, other blocks or a wider buffer")
