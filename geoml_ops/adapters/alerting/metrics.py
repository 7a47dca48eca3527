"""The watch's own numbers in Prometheus' text format (0.0.4): per stream, and of decisions and the audit trail.

Times are points in time and never ages, so the same knowledge gives the same text; Prometheus subtracts.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256

from geoml_ops.domain.streams import SceneRow, alarms_begun

STATES = ("in control", "beyond", "alarm", "fault", "no reference yet", "uncalibrated", "cannot tell")
_MOST_LABEL = 200
Labels = Mapping[str, str]


@dataclass(frozen=True)
class WatchNumbers:
    """What there is to count.

    Attributes:
        streams: by name, scenes oldest first; none is empty.
        n_decisions: on record.
        n_fired: of them, trainings that were asked for.
        n_suppressed: of them, held back.
        policy: id of today's.
        trail_records: evaluations in the audit trail; None where there is none.
        trail_sha256: of the last.
        trail_whole: whether nothing is wrong with it.
    """

    streams: Mapping[str, Sequence[SceneRow]]
    n_decisions: int = 0
    n_fired: int = 0
    n_suppressed: int = 0
    policy: str = ""
    trail_records: int | None = None
    trail_sha256: str = ""
    trail_whole: bool = True


class _Text:
    """Families, each with its help, its type and its samples together, as the format asks."""

    def __init__(self) -> None:
        self._lines: list[str] = []

    def family(
        self, name: str, about: str, samples: Iterable[tuple[Labels, float | None]], *, counts: bool = False
    ) -> None:
        known = [(labels, value) for labels, value in samples if value is not None and math.isfinite(value)]
        if not known:
            return
        name = f"geoml_watch_{name}{'_total' if counts else ''}"
        self._lines += [f"# HELP {name} {about}", f"# TYPE {name} {'counter' if counts else 'gauge'}"]
        self._lines += [f"{name}{_labels(labels)} {value!r}" for labels, value in known]

    def __str__(self) -> str:
        return "".join(f"{line}\n" for line in self._lines)


def metrics_text(numbers: WatchNumbers) -> str:
    """Returns the numbers as text; labels are cut and escaped, and what is not known is absent and never 0."""
    text = _Text()
    _of_streams(text, numbers.streams)
    _of_charts(text, numbers.streams)
    text.family("decisions", "Evaluations of the triggers.", [({}, float(numbers.n_decisions))], counts=True)
    text.family("trainings", "Trainings that were asked for.", [({}, float(numbers.n_fired))], counts=True)
    text.family(
        "held_back", "Triggers that spoke and were held back.", [({}, float(numbers.n_suppressed))], counts=True
    )
    text.family("policy", "The policy; always 1.", [({"policy": numbers.policy}, 1.0)])
    if numbers.trail_records is not None:
        text.family("trail_records", "Evaluations in the audit trail.", [({}, float(numbers.trail_records))])
        text.family("trail_whole", "Whether nothing is wrong with the trail.", [({}, float(numbers.trail_whole))])
        head = {"sha256": numbers.trail_sha256}
        text.family("trail_head", "Digest of the last record; always 1.", [(head, 1.0)])
    return str(text)


def _of_streams(text: _Text, streams: Mapping[str, Sequence[SceneRow]]) -> None:
    now = [(_names(stream), rows, rows[-1]) for stream, rows in streams.items() if rows]
    states = [({**who, "state": state}, float(row.standing == state)) for who, _, row in now for state in STATES]
    text.family("state", "Where the newest scene of a stream stands: 1 for its state.", states)
    causes = [({**who, "cause": row.cause, "action": row.action}, 1.0) for who, _, row in now]
    text.family("cause", "What was named for the newest scene; always 1.", causes)
    text.family("place", "Where that is; always 1.", [({**who, **_place(row)}, 1.0) for who, _, row in now])
    text.family("scenes", "Scenes that were compared.", [(who, float(len(rows))) for who, rows, _ in now])
    begun = [(who, float(alarms_begun(rows))) for who, rows, _ in now]
    text.family("alarms", "Alarms that began.", begun, counts=True)
    times: list[tuple[str, str, list[tuple[Labels, float | None]]]] = [
        (
            "last_scene_timestamp_seconds",
            "When the newest scene was acquired.",
            [(w, _at(r.acquired)) for w, _, r in now],
        ),
        ("last_logged_timestamp_seconds", "When its map was asked for.", [(w, _at(r.logged)) for w, _, r in now]),
        (
            "uncalibrated_since_timestamp_seconds",
            "When the first of the scenes without a threshold was asked for; absent where there is one.",
            [(w, _at(_uncalibrated_since(rows))) for w, rows, _ in now],
        ),
    ]
    for name, about, samples in times:
        text.family(name, about, samples)
    shares: list[tuple[str, str, list[tuple[Labels, float | None]]]] = [
        ("outside_share", "Pixels outside the model's ground.", [(w, r.outside) for w, _, r in now]),
        ("estimated_accuracy", "Without labels.", [(w, r.accuracy) for w, _, r in now]),
        ("expected_accuracy", "On the champion's held-out blocks.", [(w, r.expected) for w, _, r in now]),
        ("farthest_sd", "Distance of the farthest band to the ground.", [(w, r.farthest) for w, _, r in now]),
        ("fixed_threshold_sd", "Fixed threshold of that distance.", [(w, r.fixed) for w, _, r in now]),
    ]
    for name, about, samples in shares:
        text.family(name, about, samples)


def _of_charts(text: _Text, streams: Mapping[str, Sequence[SceneRow]]) -> None:
    charts = [
        ({**_names(stream), "family": chart.family}, chart)
        for stream, rows in streams.items()
        if rows
        for chart in rows[-1].charts
    ]
    text.family("value", "Largest standardised statistic of the newest scene.", [(w, c.value) for w, c in charts])
    text.family("threshold", "Of a single scene.", [(w, c.threshold) for w, c in charts])
    text.family("path", "Of the chart over scenes.", [(w, c.path) for w, c in charts])
    text.family("limit", "Of that path.", [(w, c.limit) for w, c in charts])
    text.family("alarm", "Whether a calibrated alarm stands.", [(w, float(c.alarm)) for w, c in charts])
    text.family("in_control_scenes", "That thresholds rest on.", [(w, float(c.n)) for w, c in charts])


def _names(stream: str) -> dict[str, str]:
    sensor, _, region = stream.partition("/")
    return {"stream": stream, "sensor": sensor, "region": region}


def _place(row: SceneRow) -> dict[str, str]:
    where = {"crs": row.place.crs, "bounds": row.place.words} if row.place else {"crs": "", "bounds": ""}
    return {**where, "drift": row.drift}


def _uncalibrated_since(rows: Sequence[SceneRow]) -> datetime | None:
    since = None
    for row in reversed(rows):
        if row.calibrated:
            break
        since = row.logged or since
    return since


def _at(time: datetime | None) -> float | None:
    return time.timestamp() if time else None


def _labels(labels: Labels) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{name}="{_escaped(_cut(value))}"' for name, value in labels.items()) + "}"


def _cut(value: str) -> str:
    # Two long names may begin alike, and two samples under one name would spoil the whole answer.
    return (
        value if len(value) <= _MOST_LABEL else f"{value[: _MOST_LABEL - 20]}~{sha256(value.encode()).hexdigest()[:16]}"
    )


def _escaped(value: str) -> str:
    flat = value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')
    return "".join(c if c.isprintable() else "?" for c in flat)
