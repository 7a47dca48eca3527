"""What can be said of a scene none of whose tiles was seen before: medians of tiles, and with them little.

Other ground looks different, so bands that move together say less than on the same ground. A scale shows all the same,
an offset where every band moved by it and the spread inside tiles did not change.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from geoml_ops.core.policy import DriftRules
from geoml_ops.core.watched import Diagnosis
from geoml_ops.domain.diagnosis.changes import standing
from geoml_ops.domain.diagnosis.evidence import Evidence
from geoml_ops.domain.diagnosis.looking import Finding
from geoml_ops.domain.drift import UNCALIBRATED, Table

Floats = NDArray[np.float64]

#: Ratio of spreads inside tiles between grounds of one kind.
_SPREAD = (0.5, 2.0)
#: No two grounds differ in every band by this factor; and a scale is the same in all of them, within a factor.
_LEAST_SCALE, _SAME_SCALE = 5.0, 2.5
_TINY = 1e-9


def elsewhere(evidence: Evidence, rules: DriftRules) -> Finding | Diagnosis | None:
    """Returns a fault that shows on other ground too, "cannot tell" where it may be one, or None.

    Args:
        evidence: with ``now`` and ``ground``, all bands there.
        rules: fixed limits.
    """
    before = _reference(evidence)
    if not before or any(f"{b}:{part}" not in before for b in evidence.bands for part in ("mean", "sd")):
        return None
    medians = np.array([[np.nanmedian(t[f"{b}:mean"]) for b in evidence.bands] for t in (before, evidence.now)])
    scale = _scale(medians)
    if scale is not None:
        return scale
    if not evidence.own_key:
        return None
    return _offset(evidence, before, medians[1] - medians[0], rules)


def _reference(evidence: Evidence) -> Table:
    tables = [evidence.ground, *evidence.recent[-1:], *evidence.same_key[-1:]]
    return next((t for t in tables if t), {})


def _scale(medians: Floats) -> Finding | None:
    known = (medians > _TINY).all(axis=0)
    if not known.all():
        return None
    ratios = medians[1] / medians[0]
    factor = float(np.exp(np.median(np.log(ratios))))
    far = np.maximum(ratios, 1.0 / ratios) >= _LEAST_SCALE
    same = np.abs(np.log(ratios / factor)) <= np.log(_SAME_SCALE)
    if not (far & same).all():
        return None
    sentence = (
        f"All {ratios.size} bands are about {factor:.3g} times what the reference has ({ratios.min():.3g} to "
        f"{ratios.max():.3g}, medians of tiles), more than other ground makes: another unit or scale than the "
        "contract's"
    )
    return Finding("unit or scale", 1.0, sentence, {"gain": factor}, (), "bands")


def _offset(evidence: Evidence, before: Table, by_band: Floats, rules: DriftRules) -> Finding | Diagnosis | None:
    middle, low, high = float(np.median(by_band)), float(by_band.min()), float(by_band.max())
    together = abs(middle) >= rules.least_offset_dn and min(low * middle, high * middle) > 0
    agree = max(high - middle, middle - low) <= rules.offset_spread_dn
    kept = np.array([_spread(evidence.now, b) / _spread(before, b) for b in evidence.bands])
    if together and agree and ((kept >= _SPREAD[0]) & (kept <= _SPREAD[1])).all():
        sentence = (
            f"All {by_band.size} bands moved by about {middle:+,.0f} DN ({low:+,.0f} to {high:+,.0f}) between medians "
            f"of tiles, and the spread inside tiles stayed (ratio {kept.min():.2f} to {kept.max():.2f}): an offset "
            f"that the metadata do not declare, as far as tiles elsewhere can say. {UNCALIBRATED}"
        )
        return Finding("undeclared offset", 1.0 - max(high - middle, middle - low) / abs(middle), sentence,
                       {"offset": middle}, (), "profile")  # fmt: skip
    now = standing(evidence, rules)
    if together and min(abs(low), abs(high)) >= rules.least_offset_dn and now.share >= rules.drifted_share:
        sentence = (
            f"{len(now.beyond)} of {now.n_bands} bands are {rules.distance:g} sd or more away, and every band moved "
            f"the same way ({low:+,.0f} to {high:+,.0f} DN); too few tiles lie on the reference ground to tell other "
            f"ground, cloud and an undeclared offset apart. {UNCALIBRATED}"
        )
        return Diagnosis(cause="cannot tell", action="look", sentence=sentence, picture="bands")
    return None


def _spread(table: Table, band: str) -> float:
    return max(float(np.nanmedian(table[f"{band}:sd"])), 1e-3)
