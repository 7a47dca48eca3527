"""What the monitoring pages are made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from geoml_ops.adapters.pages.streampages import StreamView, slug_of
from geoml_ops.core.flow import Bundle, Decision, Drift, Entry, Judgement, Verdict, Version
from geoml_ops.core.policy import Policy
from geoml_ops.domain.streams import SceneRow, alarms_begun, leading_chart


@dataclass(frozen=True)
class TrailWords:
    """What is known of the audit trail: how many records, the digest of the last, and what is wrong; "" for nothing."""

    n_records: int
    sha256: str
    flaw: str = ""


@dataclass(frozen=True)
class Overview:
    """What the dashboard shows; sequences are oldest first, and the newest of each where there are many.

    Attributes:
        model: its name in the registry.
        champion: None before the first.
        challenger: the newest entry that was judged and does not serve; None without one.
        bundle: of the champion.
        policy: today's.
        n_predictions: that were logged.
        last_prediction: when the newest was.
        n_drifts: comparisons of all champions.
        drifts: the newest of this champion.
        decisions: the newest.
        n_fired: trainings that were started, of all decisions.
        versions: of the data.
        verdicts: on deliveries.
        judgements: of the gate.
        streams: the one that needs a look first comes first.
        trail: None where there is none yet.
        verdict_pages: ids of the judgements that have a page.
    """

    model: str
    champion: Entry | None
    challenger: Entry | None
    bundle: Bundle | None
    policy: Policy
    n_predictions: int
    last_prediction: datetime | None
    n_drifts: int
    drifts: Sequence[Drift]
    decisions: Sequence[Decision]
    n_fired: int
    versions: Sequence[Version]
    verdicts: Sequence[Verdict]
    judgements: Sequence[Judgement]
    streams: Sequence[StreamView] = ()
    trail: TrailWords | None = None
    verdict_pages: frozenset[str] = frozenset()


def state(overview: Overview) -> dict[str, Any]:
    """Returns the overview as plain JSON values: nouns under their ids, streams by name."""
    lists = ("drifts", "decisions", "versions", "verdicts", "judgements")
    o = overview
    return {
        "model": o.model,
        "champion": {"id": o.champion.id, **o.champion.as_json()} if o.champion else None,
        "challenger": {"id": o.challenger.id, **o.challenger.as_json()} if o.challenger else None,
        "policy": {"id": o.policy.id, **o.policy.model_dump(mode="json")},
        "n_predictions": o.n_predictions,
        "last_prediction": o.last_prediction.isoformat() if o.last_prediction else None,
        "calibrated": any(view.now.calibrated for view in o.streams),
        "n_drifts": o.n_drifts,
        "n_fired": o.n_fired,
        "trail": vars(o.trail) if o.trail else None,
        **{name: [{"id": noun.id, **noun.as_json()} for noun in getattr(o, name)] for name in lists},
        "streams": [_stream(view) for view in o.streams],
    }


def _stream(view: StreamView) -> dict[str, Any]:
    return {
        "stream": view.name,
        "page": f"streams/{slug_of(view.name)}.html",
        "n_scenes": len(view.rows),
        "alarms": alarms_begun(view.rows),
        "reference": view.references[-1].number if view.references else None,
        "now": scene_values(view.now),
    }


def scene_values(row: SceneRow) -> dict[str, Any]:
    """Returns a scene's line as plain JSON values."""
    chart = leading_chart(row)
    return {
        "drift": row.drift,
        "page": f"drifts/{row.drift}.html",
        "acquired": row.acquired.isoformat() if row.acquired else None,
        "scenes": list(row.scenes),
        "standing": row.standing,
        "cause": row.cause,
        "action": row.action,
        "sentence": row.sentence,
        "alarm": row.alarm,
        "calibrated": row.calibrated,
        "chart": chart.model_dump(mode="json") if chart else None,
        "farthest": row.farthest,
        "outside_share": row.outside,
        "accuracy": row.accuracy,
        "place": {"bounds": list(row.place.bounds), "crs": row.place.crs} if row.place else None,
    }
