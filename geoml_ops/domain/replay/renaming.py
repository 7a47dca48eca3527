"""A recorded comparison with the name that other charts or thresholds would have given it."""

from __future__ import annotations

from collections.abc import Sequence

from geoml_ops.core.flow import Drift
from geoml_ops.core.policy import Policy
from geoml_ops.core.watched import Action, Cause, ControlChart
from geoml_ops.domain.drift import CLASS_SHARES, CONFIDENCE
from geoml_ops.domain.streams import DRIFTS, FAULTS

_NO_BAND = (CLASS_SHARES, CONFIDENCE, "applicability")


def renamed(drift: Drift, charts: Sequence[ControlChart], policy: Policy) -> Drift:
    """Returns a comparison as the policy would have named it.

    Faults and what could not be told stay as they were recorded. Where charts are calibrated an alarm makes a drift,
    and its absence a calm scene. Where they are not, the policy's fixed thresholds do; a scene that was calm under a
    threshold no looser than theirs stays calm, and a drift under one no stricter stays a drift: its diagnosis knew
    more than distances.
    """
    calibrated = any(chart.limit is not None for chart in charts)
    same = {"charts": tuple(charts), "calibrated": calibrated}
    cause = drift.diagnosis.cause
    if cause in FAULTS or cause == "cannot tell":
        return drift.model_copy(update=same)
    if calibrated:
        drifts = any(chart.alarm for chart in charts)
    elif cause == "no reference" or policy.calibration.uncalibrated == "quiet":
        return drift.model_copy(update=same)
    else:
        drifts = _beyond(drift, policy)
    named = _named(cause, drifts)
    action: Action = drift.diagnosis.action if named == cause else "collect labels" if drifts else "none"
    return drift.model_copy(
        update={**same, "diagnosis": drift.diagnosis.model_copy(update={"cause": named, "action": action})}
    )


def _named(cause: Cause, drifts: bool) -> Cause:
    if drifts:
        return cause if cause in DRIFTS else "covariate shift"
    return "none" if cause in DRIFTS or cause == "no reference" else cause


def _beyond(drift: Drift, policy: Policy) -> bool:
    if not drift.calibrated:
        was = drift.diagnosis.cause in DRIFTS
        if (was and drift.threshold >= policy.drift.distance) or (not was and drift.threshold <= policy.drift.distance):
            return was
    bands = [s for s in drift.statistics if s.column not in _NO_BAND and not s.column.startswith("class:")]
    far = sum(s.distance >= policy.drift.distance for s in bands)
    return bool(bands) and far / len(bands) >= policy.drift.drifted_share
