"""Class shares of scenes compared, with intervals from scenes: what is held against a margin that was set beforehand.

Shares change with the season, and rightly so: compare with a reference of the same month or season.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from geoml_ops.core.errors import BadInput
from geoml_ops.core.evidence import Score
from geoml_ops.domain.scoring import DRAWS, caution, drawn_sums
from geoml_ops.domain.shift.intervals import distance_score, scores_of
from geoml_ops.domain.shift.shares import largest_change, total_variation

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class ShareChange:
    """How class shares changed.

    Attributes:
        before: share of each class in the reference (0 to 1).
        now: share of each class in the current scenes (0 to 1).
        changes: that minus ``before`` (-1 to 1), with intervals.
        total: total variation (0 to 1), with an interval; beyond a margin only where its ``low`` is.
        largest: code of the class that changed most.
        n_reference: scenes of the reference.
        n_current: current scenes.
        caution: what to bear in mind; may be empty.
    """

    before: tuple[float, ...]
    now: tuple[float, ...]
    changes: tuple[Score, ...]
    total: Score
    largest: int
    n_reference: int
    n_current: int
    caution: str = ""


def share_change(
    reference: ArrayLike, current: ArrayLike, *, confidence: float = 0.95, draws: int = DRAWS, seed: int = 0
) -> ShareChange:
    """Returns how class shares of the current scenes differ from those of the reference.

    Shares are of all pixels together. Whole scenes of both sides are drawn with replacement (block bootstrap), and
    intervals widened for the fewer of the two.

    Args:
        reference: ``(scenes, classes)`` answered pixels; scenes without any are left out.
        current: ``(scenes, classes)`` likewise.
        confidence: of the two-sided intervals.
        draws: bootstrap samples.
        seed: of the draws.

    Raises:
        BadInput: fewer than two scenes with answers on either side, other classes, or counts that are none.
    """
    a, b = _scenes("reference", reference), _scenes("current", current)
    before, now = (counts.sum(axis=0) / counts.sum() for counts in (a, b))
    distance, (_, code) = float(total_variation(before, now)), largest_change(before, now)
    # Two streams: both sides are drawn independently.
    drawn_before, drawn_now = (_shares(drawn_sums([one], seed + n, draws)[0]) for n, one in enumerate((a, b)))
    n = min(len(a), len(b))
    return ShareChange(
        before=tuple(before.tolist()),
        now=tuple(now.tolist()),
        changes=scores_of(now - before, drawn_now - drawn_before, n, confidence),
        total=distance_score(distance, total_variation(drawn_before, drawn_now), n, confidence),
        largest=int(code),
        n_reference=len(a),
        n_current=len(b),
        caution=caution(n),
    )


def _shares(counts: Floats) -> Floats:
    return np.asarray(counts / counts.sum(axis=1, keepdims=True), dtype=np.float64)


def _scenes(what: str, scenes: ArrayLike) -> Floats:
    counts = np.asarray(scenes, dtype=np.float64)
    if counts.ndim != 2 or not (np.isfinite(counts) & (counts >= 0)).all():
        raise BadInput(f"The {what} counts of shape {counts.shape} are not (scenes, classes), or negative.")
    counts = counts[counts.sum(axis=1) > 0]
    if len(counts) < 2:
        raise BadInput(f"{len(counts)} {what} scene with answers gives no interval.", "wait for more scenes")
    return np.asarray(counts, dtype=np.float64)
