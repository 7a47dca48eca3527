"""The cause that explains a scene best."""

from __future__ import annotations

from geoml_ops.core.policy import DriftRules
from geoml_ops.core.watched import Diagnosis
from geoml_ops.domain import drift
from geoml_ops.domain.diagnosis.evidence import Evidence


def diagnose(evidence: Evidence, rules: DriftRules) -> Diagnosis:
    """Returns the named cause of how a scene differs from what is known, with the numbers it rests on."""
    problem = drift._problem(evidence.ground, evidence.now, evidence.bands, rules)
    if problem is not None:
        return problem
    statistics = [s for s in evidence.statistics if s.column in evidence.bands]
    share = sum(s.drifted for s in statistics) / max(len(statistics), 1)
    return drift._diagnose(evidence.ground, evidence.now, evidence.bands, statistics, share, rules)
