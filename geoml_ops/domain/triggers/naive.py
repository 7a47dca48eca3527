"""What many stacks do, for comparison: any shift starts a training, whatever its cause and the season."""

from __future__ import annotations

from geoml_ops.core.flow import Drift
from geoml_ops.domain.drift import CLASS_SHARES, CONFIDENCE
from geoml_ops.domain.triggers.state import Ruling, State

NAIVE = "naive"
#: Class shares that move by more points than this.
MOVED = 0.10
#: Evidently's defaults: normed Wasserstein distance of a column, and the share of such columns.
DISTANCE, SHARE = 0.1, 0.5
_ANSWERS = (CLASS_SHARES, CONFIDENCE, "applicability")


def naive(state: State) -> Ruling:
    """Returns a training at once where what was looked at has shifted."""
    drift = state.drift
    if drift is None:
        return Ruling("none", False, f"No request answered by {state.champion} was compared yet.")
    said = shifted(drift)
    if not said:
        return Ruling("none", False, f"Naive: neither class shares nor bands of {drift.id} shifted.")
    if not state.has_version:
        return Ruling("none", False, f"Naive: {said} There is no version to train on.", NAIVE, drift=drift.id)
    return Ruling("retrain", True, f"Naive: {said}", NAIVE, drift=drift.id)


def shifted(drift: Drift) -> str:
    """Returns what has shifted by fixed default thresholds, as a sentence; empty where nothing has."""
    shares = [s for s in drift.statistics if s.column == CLASS_SHARES or s.column.startswith("class:")]
    most = max(shares, key=lambda s: abs(s.mean_shift), default=None)
    if most is not None and abs(most.mean_shift) > MOVED:
        return f"a class share moved by {most.mean_shift * 100:+.1f} points, more than {MOVED * 100:.0f}."
    bands = [s for s in drift.statistics if s.column not in _ANSWERS and not s.column.startswith("class:")]
    far = sum(s.distance >= DISTANCE for s in bands)
    if bands and far / len(bands) >= SHARE:
        return f"{far} of {len(bands)} bands are {DISTANCE:g} sd or more away."
    return ""
