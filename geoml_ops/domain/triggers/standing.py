"""Which drift of a stream stands: said by its newest scene, or by an older one that nothing has lifted."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from geoml_ops.core.flow import Drift
from geoml_ops.core.policy import CalibrationRules
from geoml_ops.domain.streams import DRIFTS, FAULTS

_SILENT = FAULTS | {"cannot tell", "no reference"}


def in_order(drifts: Sequence[Drift]) -> list[Drift]:
    """Returns the comparisons of a stream, oldest scene first.

    By acquisition where every one is dated, otherwise in the order that they come in.
    """
    if all(drift.acquired is not None for drift in drifts):
        return sorted(drifts, key=lambda drift: drift.acquired.timestamp() if drift.acquired else 0.0)
    return list(drifts)


def standing(
    drifts: Sequence[Drift], rules: CalibrationRules, overlap: Callable[[Drift, Drift], float]
) -> Drift | None:
    """Returns the drift that stands in a stream, or None.

    A calibrated alarm stands while the newest scene carries it. Without calibration a drift stands until a calm scene
    of mostly the same ground lifts it: calm elsewhere says nothing about it. Faults and scenes without a reference say
    nothing either way.

    Args:
        drifts: comparisons of one stream, oldest scene first.
        rules: of the policy.
        overlap: common ground of two comparisons as a share of both (0 to 1).
    """
    calm: list[Drift] = []
    for drift in reversed([d for d in drifts if d.diagnosis.cause not in _SILENT]):
        is_drift = drift.diagnosis.cause in DRIFTS
        if drift.calibrated:
            return drift if is_drift and drift.alarm and not calm else None
        if not is_drift:
            calm.append(drift)
        elif rules.uncalibrated == "fixed" and not any(overlap(c, drift) >= rules.least_overlap for c in calm):
            return drift
    return None
