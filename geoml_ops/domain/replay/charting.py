"""The charts that other rules would have drawn, scene after scene of one stream."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from geoml_ops.core.flow import Drift
from geoml_ops.core.grid import Bounds
from geoml_ops.core.policy import Policy
from geoml_ops.core.watched import ControlChart
from geoml_ops.domain.alarms import key_of
from geoml_ops.domain.control import ANSWERS, FAMILIES, Row, calibration, judge
from geoml_ops.domain.replay.renaming import renamed
from geoml_ops.domain.streams import FAULTS

#: As where references grow: scenes that follow before one is accepted, and causes that may be.
_SETTLE, _MOST_RECENT = 2, 60
_ACCEPTED = ("none", "season as expected", "no reference")


@dataclass(frozen=True)
class Past:
    """A scene of a stream as it was recorded.

    Attributes:
        drift: the comparison.
        row: its numbers; None where its acquisition is not known: then it has no chart.
        bounds: of its ground, in ``crs``.
        crs: of the ground.
        scenes: ids of what it shows.
        accepted: whether people took it into the reference, whatever charts say.
    """

    drift: Drift
    row: Row | None = None
    bounds: Bounds | None = None
    crs: str = ""
    scenes: frozenset[str] = frozenset()
    accepted: bool = False


@dataclass
class _Stream:
    """A stream as far as it was replayed: its scenes under their new names, and its reference."""

    policy: Policy
    alike: Callable[[Past, Past], bool]
    learned: Mapping[str, frozenset[str]]
    seen: list[tuple[Past, Drift]] = field(default_factory=list)
    members: dict[str, Past] = field(default_factory=dict)

    def take(self, past: Past) -> Drift:
        """Returns the next scene under its new name."""
        self._change_of_champion(past)
        self._accept(past)
        made = renamed(past.drift, self._charts(past) if past.row is not None else (), self.policy)
        self.seen.append((past, made))
        return made

    def _charts(self, past: Past) -> tuple[ControlChart, ...]:
        assert past.row is not None
        rules, row = self.policy.calibration, past.row
        alike = [m for m in self.members.values() if self.alike(past, m)]
        earlier = [
            p
            for p, d in self.seen
            if p.row is not None
            and p.drift.bundle == past.drift.bundle
            and p.row.acquired <= row.acquired
            and d.diagnosis.cause not in FAULTS
            and self.alike(past, p)
        ]
        lately = sorted((p.row for p in earlier if p.row), key=lambda r: (r.acquired, r.reading))[-_MOST_RECENT:]
        charts = []
        for family in FAMILIES:
            rows = [m.row for m in alike if m.row and (family != ANSWERS or m.row.model == row.model)]
            charts.append(judge(calibration(rows, family, rules), [*lately, row]))
        return tuple(charts)

    def _accept(self, now: Past) -> None:
        """Takes into the reference what settled before this scene, as long as its key is not full."""
        rules = self.policy.calibration
        mine = [(p, d) for p, d in self.seen if p.drift.bundle == now.drift.bundle and p.row is not None]
        counts = Counter(str(m.row.key) for m in self.members.values() if m.row)
        for place, (past, drift) in enumerate(mine):
            assert past.row is not None
            name, key = past.row.reading, str(past.row.key)
            if name in self.members:
                continue
            settled = place < len(mine) - _SETTLE
            quiet = not any(d.alarm for _, d in mine[place : place + _SETTLE + 1])
            calm = settled and quiet and drift.diagnosis.cause in _ACCEPTED and counts[key] < rules.most
            if past.accepted or calm:
                self.members[name] = past
                counts[key] += 1

    def _change_of_champion(self, now: Past) -> None:
        """Takes in what a new champion learned from, and leaves behind what was before an alarm that stood."""
        last = self.seen[-1] if self.seen else None
        if last is None or last[0].drift.bundle == now.drift.bundle:
            return
        began = {chart.onset for chart in last[1].charts if chart.alarm and chart.onset}
        since = min((p.row.acquired for p, _ in self.seen if p.row and p.row.reading in began), default=None)
        if since is not None:
            self.members = {k: m for k, m in self.members.items() if m.row and m.row.acquired >= since}
        known = self.learned.get(now.drift.bundle, frozenset())
        for past, drift in self.seen:
            if past.row and past.scenes and past.scenes <= known and drift.diagnosis.action != "fix ingest":
                self.members[past.row.reading] = past


def charted(
    scenes: Sequence[Past],
    policy: Policy,
    alike: Callable[[Past, Past], bool],
    learned: Mapping[str, frozenset[str]],
) -> list[Drift]:
    """Returns the scenes of one stream under the names that the policy's charts give them.

    Each scene is judged by the scenes before it alone; the reference grows as it does in use.

    Args:
        scenes: of one stream, in the order in which they were looked at.
        policy: whose calibration counts.
        alike: whether two scenes show mostly the same ground.
        learned: by bundle, ids of the scenes that it learned from.
    """
    stream = _Stream(policy, alike, learned)
    return [stream.take(_keyed(past, policy)) for past in scenes]


def _keyed(past: Past, policy: Policy) -> Past:
    """Returns a scene whose key names the part of the year that the policy wants."""
    if past.row is None:
        return past
    key, by = past.row.key, policy.calibration.by
    made = key_of(past.row.acquired, sensor=key.sensor, baseline=key.baseline, region=key.region, by=by)
    return replace(past, row=replace(past.row, key=made))
