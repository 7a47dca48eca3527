"""Areas of few tiles, where no fault can be told by its pattern: what the charts over scenes say of them."""

from __future__ import annotations

import numpy as np

from geoml_ops.core.policy import DriftRules
from geoml_ops.core.watched import ControlChart, Diagnosis
from geoml_ops.domain.diagnosis.evidence import Evidence
from geoml_ops.domain.diagnosis.looking import listed
from geoml_ops.domain.diagnosis.matching import rows

#: Of an area this much has to be observed, so that a mostly hidden scene is not taken for a small one.
_LEAST_OBSERVED = 0.5


def is_small(evidence: Evidence, rules: DriftRules) -> bool:
    """Returns whether the scene has too few tiles because its area is small, and its bands have their numbers."""
    n, whole = rows(evidence.now), rows(evidence.everything)
    means = [evidence.now.get(f"{band}:mean", np.array([np.nan])) for band in evidence.bands]
    lacking = any(np.isnan(mean).any() for mean in means)
    return 0 < n <= whole < rules.least_tiles and n >= _LEAST_OBSERVED * whole and not lacking


def by_charts(evidence: Evidence, rules: DriftRules) -> Diagnosis | None:
    """Returns what the charts over scenes say of a small area; None where it is no such area, or there are no charts.

    Faults are told by how tiles differ from each other, so they are not looked for, and fixed thresholds say nothing.

    Args:
        evidence: of the scene.
        rules: for the least number of tiles.
    """
    bands = [chart for chart in evidence.charts if chart.family == "bands"]
    if not bands or not is_small(evidence, rules):
        return None
    whole = rows(evidence.everything)
    small = (
        f"The area has {whole} tile{'s' if whole > 1 else ''}; {rules.least_tiles} are needed to look for faults of a "
        "delivery, so only the charts over scenes speak"
    )
    alarms = [chart for chart in evidence.charts if chart.alarm]
    if alarms:
        return _moved(small, alarms)
    if bands[0].state not in ("in control", "beyond"):
        sentence = (
            f"{small}: {bands[0].state}, {bands[0].n} calm scenes of this stream are pooled. Scenes that follow make "
            "the reference."
        )
        return Diagnosis(cause="no reference", action="ignore", sentence=sentence, evidence=_numbers(bands))
    known = [chart for chart in evidence.charts if chart.state in ("in control", "beyond")]
    told = "; ".join(f"{chart.family} {chart.state} ({chart.n} calm scenes)" for chart in known)
    return Diagnosis(
        cause="none", action="none", sentence=f"{small}: {told}, no alarm stands.", evidence=_numbers(known)
    )


def _moved(small: str, alarms: list[ControlChart]) -> Diagnosis:
    worst = listed([f"{chart.family} ({chart.worst[:60]} worst)" for chart in alarms])
    sentence = (
        f"An alarm stands on {worst}. {small}: nothing says whether the ground or the delivery changed. Look at the "
        "delivery first; if it is right, collect labels."
    )
    return Diagnosis(
        cause="covariate shift", action="collect labels", sentence=sentence, evidence=_numbers(alarms), picture="bands"
    )


def _numbers(charts: list[ControlChart]) -> dict[str, float | None]:
    return {
        f"{chart.family} {name}": value
        for chart in charts
        for name, value in (("value", chart.value), ("path", chart.path), ("limit", chart.limit))
        if value is not None and np.isfinite(value)
    }
