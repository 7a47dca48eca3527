"""What is no fault: season, other ground, classes that look different, other shares of the same classes.

None of these is named on one scene alone. They need an alarm that stands, or the fixed thresholds where nothing is
calibrated yet and the scene may be compared with the training ground at all.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geoml_ops.core.policy import DriftRules
from geoml_ops.core.watched import ControlChart, Diagnosis, Statistic
from geoml_ops.domain.diagnosis.evidence import Evidence
from geoml_ops.domain.diagnosis.looking import listed
from geoml_ops.domain.diagnosis.matching import overlap, places
from geoml_ops.domain.diagnosis.mixtures import Mixture, mixture
from geoml_ops.domain.drift import UNCALIBRATED, Table

#: Ground counts as other where less than this share of its tiles was seen before.
_LEAST_OVERLAP = 0.1
#: Answers lie outside where this much more of the scene is outside than usual.
_OUTSIDE_RISE = 0.1
#: Shares that classes themselves explain by this much are label shift.
_LEAST_EXPLAINED = 0.7


@dataclass(frozen=True)
class Standing:
    """What the charts and the fixed thresholds say of a scene.

    Attributes:
        calibrated: whether a chart has a limit.
        alarm: charts on which an alarm stands.
        beyond: bands beyond the fixed threshold.
        n_bands: that were measured.
        share: of bands beyond.
        acts: whether a change may be named.
    """

    calibrated: bool
    alarm: tuple[ControlChart, ...]
    beyond: tuple[Statistic, ...]
    n_bands: int
    share: float
    acts: bool


def standing(evidence: Evidence, rules: DriftRules) -> Standing:
    """Returns what the charts and the fixed thresholds say."""
    bands = [s for s in evidence.statistics if s.column in evidence.bands]
    beyond = tuple(s for s in bands if s.drifted)
    share = len(beyond) / len(bands) if bands else 0.0
    calibrated = any(c.limit is not None for c in evidence.charts)
    alarm = tuple(c for c in evidence.charts if c.alarm)
    # Calm scenes of the own key say more than a limit that is the same everywhere.
    usual = any(c.family == "bands" and c.state == "in control" for c in evidence.charts)
    fixed = not (calibrated or usual) and evidence.own_key and evidence.may_be_fixed and share >= rules.drifted_share
    return Standing(calibrated, alarm, beyond, len(bands), share, bool(alarm) or fixed)


def change(evidence: Evidence, rules: DriftRules) -> Diagnosis:
    """Returns the change that a scene without fault shows, or that it shows none."""
    told = _told(evidence, standing(evidence, rules), rules)
    accuracy: dict[str, float | None] = {f"accuracy ({e.method[:20]})": e.value for e in evidence.estimates}
    return told.model_copy(update={"evidence": {**told.evidence, **accuracy}})


def _told(evidence: Evidence, now: Standing, rules: DriftRules) -> Diagnosis:
    concept = _concept(evidence, now)
    if concept is not None:
        return concept
    region = _region(evidence, now, rules)
    if region is not None:
        return region
    if now.acts:
        return _moved(evidence, now, rules)
    return _calm(evidence, now, rules)


def _concept(evidence: Evidence, now: Standing) -> Diagnosis | None:
    if evidence.audit is None:
        return None
    low, floor = evidence.audit
    of_bands = any(c.family == "bands" for c in now.alarm) or (now.acts and not now.calibrated)
    if not (low < floor) or of_bands:
        return None
    sentence = (
        f"Labels say that at least {low:.1%} of the answers are right, the floor is {floor:.1%}, and the bands look as "
        "they did: what the classes mean has changed, or the model never knew it. The labels are there to learn from."
    )
    numbers: dict[str, float | None] = {"audit low": low, "audit floor": floor}
    return Diagnosis(cause="concept change", action="retrain", sentence=sentence, evidence=numbers, picture="shares")


def _region(evidence: Evidence, now: Standing, rules: DriftRules) -> Diagnosis | None:
    far = evidence.is_known_region is False or (evidence.is_known_region is None and _is_far(evidence))
    if not evidence.ground or not far or overlap(evidence) >= _LEAST_OVERLAP:
        return None
    outside, before = _mean(evidence.now, "outside_share"), _mean(evidence.ground, "outside_share")
    rise = None if outside is None else outside - (before or 0.0)
    if not (rise is not None and rise >= _OUTSIDE_RISE) and now.share < rules.drifted_share:
        return None
    facts = [f"{len(now.beyond)} of {now.n_bands} bands are {rules.distance:g} sd or more from the training ground"]
    if outside is not None:
        facts.append(f"{outside:.0%} of the answers lie outside what the model learned ({before or 0.0:.0%} there)")
    sentence = (
        f"Other ground than any known: none of its tiles was seen before, it lies apart from the training ground; "
        f"{' and '.join(facts)}. Collect labels there. {_calibration(now)}"
    )
    numbers = {"outside": outside, "outside before": before, "drifted share": now.share}
    return Diagnosis(
        cause="new region", action="collect labels", sentence=sentence, evidence=numbers, picture="map",
        others={"covariate shift": round(now.share, 3)},
    )  # fmt: skip


def _moved(evidence: Evidence, now: Standing, rules: DriftRules) -> Diagnosis:
    known = overlap(evidence)
    mixed = mixture(evidence) if known >= _LEAST_OVERLAP else None
    facts = _facts(now, rules)
    numbers: dict[str, float | None] = {"drifted share": now.share, "overlap": known}
    if mixed is not None:
        numbers |= {"explained by shares": mixed.explained, "shares moved": mixed.moved}
        if mixed.explained >= _LEAST_EXPLAINED and mixed.is_moved and not _rises(evidence):
            return _labels_shift(evidence, now, mixed, facts, numbers)
    what = (
        "the ground that the model learned from looks different now"
        if known >= _LEAST_OVERLAP
        else "other ground than the model learned from"
    )
    sentence = f"{facts}; no fault of the delivery explains it: {what}. {_calibration(now)}"
    others = {} if mixed is None else {"label shift": round(mixed.explained, 3)}
    return Diagnosis(
        cause="covariate shift",
        action="collect labels",
        sentence=sentence,
        evidence=numbers,
        others=others,
        bands=tuple(s.column for s in now.beyond),
        picture="bands",
    )


def _labels_shift(
    evidence: Evidence, now: Standing, mixed: Mixture, facts: str, numbers: dict[str, float | None]
) -> Diagnosis:
    shares = sorted(mixed.by_class.items(), key=lambda pair: -abs(pair[1]))[:3]
    moved = ", ".join(f"{name[:60]} {100 * by:+.0f} points" for name, by in shares)
    sentence = (
        f"{facts}; {mixed.explained:.0%} of it is what other shares of the same classes make ({moved}), and tiles of a "
        f"class look as they did: there is more of one class and less of another. A small sample of labels would show "
        f"whether the shares are right. {_calibration(now)}"
    )
    numbers |= {f"prior {name[:40]}": share for name, share in evidence.prior_shift.items()}
    return Diagnosis(
        cause="label shift",
        action="collect labels",
        sentence=sentence,
        evidence=numbers,
        others={"covariate shift": round(1.0 - mixed.explained, 3)},
        picture="shares",
    )


def _calm(evidence: Evidence, now: Standing, rules: DriftRules) -> Diagnosis:
    facts = f"{len(now.beyond)} of {now.n_bands} bands are {rules.distance:g} sd or more away"
    numbers: dict[str, float | None] = {"drifted share": now.share}
    in_control = [c for c in evidence.charts if c.state == "in control"]
    if evidence.baseline and evidence.baselines and evidence.baseline not in evidence.baselines:
        sentence = (
            f"The scene declares processing baseline {evidence.baseline[:20]}, scenes of this stream had "
            f"{listed([b[:20] for b in evidence.baselines])} so far: nothing to compare it with yet. Build its "
            "reference."
        )
        return Diagnosis(cause="no reference", action="re-baseline", sentence=sentence, evidence=numbers)
    if _has_none(evidence, now):
        sentence = (
            f"{facts} from the training ground, and no calm scenes of this time of year are known yet: nothing says "
            "that this is unusual. Scenes that follow make the reference."
        )
        return Diagnosis(cause="no reference", action="ignore", sentence=sentence, evidence=numbers)
    if now.share >= rules.drifted_share and in_control:
        n = max(c.n for c in in_control)
        sentence = (
            f"{facts} from the training ground, but the scene is as {n} calm scenes of its stream are at this time of "
            "year: the season, as expected."
        )
        return Diagnosis(
            cause="season as expected", action="ignore", sentence=sentence, evidence=numbers, picture="profile"
        )
    single = [c for c in evidence.charts if c.state == "beyond"]
    more = f" This scene alone is beyond on {listed([c.family for c in single])}; no alarm stands." if single else ""
    sentence = f"{facts}; action begins at a share of {rules.drifted_share:.0%}.{more} {_calibration(now)}".rstrip()
    return Diagnosis(cause="none", action="none", sentence=sentence, evidence=numbers)


def _has_none(evidence: Evidence, now: Standing) -> bool:
    """Whether nothing of this time of year is known that fixed thresholds could stand in for."""
    if any(c.state in ("in control", "beyond") for c in evidence.charts) or evidence.has_reference is True:
        return False
    new_key = now.calibrated and any(c.state == "no reference yet" for c in evidence.charts)
    return new_key or not evidence.own_key


def _facts(now: Standing, rules: DriftRules) -> str:
    counted = f"{len(now.beyond)} of {now.n_bands} bands are {rules.distance:g} sd or more away"
    if now.beyond:
        farthest = max(now.beyond, key=lambda s: s.distance)
        counted += f", {farthest.column} the farthest ({farthest.distance:.2f} sd, mean {farthest.mean_shift:+,.0f} DN)"
    alarms = [f"the {c.family} chart stands at {c.path:.2f} of {c.limit:.2f}, {c.worst[:60]} worst"
              for c in now.alarm if c.path is not None and c.limit is not None]  # fmt: skip
    return f"{counted} ({now.share:.0%}, limit {rules.drifted_share:.0%}){''.join(f'; {a}' for a in alarms)}"


def _rises(evidence: Evidence) -> bool:
    """Whether more of the answers lie outside the area of applicability than usual."""
    outside, usual = evidence.scene.get("outside_share"), evidence.normal.get("outside_share")
    if outside is None:
        outside = _mean(evidence.now, "outside_share")
    if usual is not None and np.isfinite(usual[0]):
        before: float | None = usual[0]
    else:
        before = _mean(evidence.ground, "outside_share")
    return outside is not None and before is not None and outside - before >= _OUTSIDE_RISE


def _is_far(evidence: Evidence) -> bool:
    """Whether the scene lies farther from the training ground than that is wide: not beside it, but elsewhere."""
    if evidence.other_zone:
        return True
    here, there = places(evidence.now), places(evidence.ground)
    if here is None or there is None:
        return False
    boxes = [(at[:, :2].min(axis=0), at[:, :2].max(axis=0)) for at in (here, there)]
    gap = np.maximum(boxes[0][0] - boxes[1][1], boxes[1][0] - boxes[0][1]).max()
    return bool(gap > (boxes[1][1] - boxes[1][0]).max())


def _mean(table: Table, name: str) -> float | None:
    column = table.get(name, np.array([]))
    known: NDArray[np.float64] = column[np.isfinite(column)]
    return float(known.mean()) if known.size else None


def _calibration(now: Standing) -> str:
    return "" if now.calibrated else UNCALIBRATED
