"""Which drift of a stream stands: said by its newest scene, or by an older one that nothing has lifted."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from geoml_ops.core.flow import Drift
from geoml_ops.core.policy import CalibrationRules
from geoml_ops.domain.streams import DRIFTS, FAULTS

#: Common ground as a share of both, from which two comparisons are about the same ground.
SAME_GROUND = 0.8
_SILENT = FAULTS | {"cannot tell", "no reference"}


def in_order(drifts: Sequence[Drift]) -> list[Drift]:
    """Returns the comparisons of a stream, oldest scene first.

    By acquisition where every one is dated, otherwise in the order that they come in.
    """
    if all(drift.acquired is not None for drift in drifts):
        return sorted(drifts, key=lambda drift: drift.acquired.timestamp() if drift.acquired else 0.0)
    return list(drifts)


def standing(drifts: Sequence[Drift], rules: CalibrationRules, overlap: Callable[[Drift, Drift], float]) -> list[Drift]:
    """Returns the drifts that stand in a stream, the newest first, one for each ground.

    A drift stands while the newest scene of its ground carries it: a calibrated one has an alarm, an uncalibrated one
    is named by fixed thresholds. A later calm scene of the same ground lifts it; calm elsewhere, or around it on the
    same day, says nothing about it. Faults and scenes without a reference say nothing either way.

    Args:
        drifts: comparisons of one stream, oldest scene first.
        rules: of the policy.
        overlap: common ground of two comparisons as a share of both (0 to 1).
    """
    calm: list[Drift] = []
    found: list[Drift] = []
    for drift in reversed([d for d in drifts if d.diagnosis.cause not in _SILENT]):
        if drift.diagnosis.cause not in DRIFTS or (drift.calibrated and not drift.alarm):
            calm.append(drift)
        elif not drift.calibrated and rules.uncalibrated == "quiet":
            continue
        elif not any(overlap(later, drift) >= rules.least_overlap for later in found) and not any(
            _lifts(later, drift, rules, overlap) for later in calm
        ):
            found.append(drift)
    return found


def _lifts(calm: Drift, drift: Drift, rules: CalibrationRules, overlap: Callable[[Drift, Drift], float]) -> bool:
    """Returns whether a later calm scene is about the ground of a drift.

    Charts compare what is comparable. Without them a larger scene hides a drift among what is calm, and so the ground
    has to be the same.
    """
    if calm.acquired is not None and drift.acquired is not None and calm.acquired <= drift.acquired:
        return False
    both = calm.calibrated and drift.calibrated
    return overlap(calm, drift) >= (rules.least_overlap if both else SAME_GROUND)
