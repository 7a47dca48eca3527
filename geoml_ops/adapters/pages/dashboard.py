"""The monitoring dashboard: what serves, what changed, what followed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from html import escape
from typing import Any

from geoml_ops.adapters.pages.parts import bars, cards, code, page, paragraph, section, table, tag
from geoml_ops.core.flow import Bundle, Decision, Drift, Entry, Judgement, Verdict, Version
from geoml_ops.core.policy import Policy


@dataclass(frozen=True)
class Overview:
    """What the dashboard shows; sequences are oldest first."""

    model: str
    champion: Entry | None
    bundle: Bundle | None
    policy: Policy
    n_predictions: int
    last_prediction: datetime | None
    drifts: Sequence[Drift]
    decisions: Sequence[Decision]
    versions: Sequence[Version]
    verdicts: Sequence[Verdict]
    judgements: Sequence[Judgement]


def state(overview: Overview) -> dict[str, Any]:
    """Returns the overview as plain JSON values: nouns under their ids."""
    lists = ("drifts", "decisions", "versions", "verdicts", "judgements")
    o = overview
    return {
        "model": o.model,
        "champion": {"id": o.champion.id, **o.champion.as_json()} if o.champion else None,
        "policy": {"id": o.policy.id, **o.policy.model_dump(mode="json")},
        "n_predictions": o.n_predictions,
        "last_prediction": o.last_prediction.isoformat() if o.last_prediction else None,
        "calibrated": False,
        **{name: [{"id": noun.id, **noun.as_json()} for noun in getattr(o, name)] for name in lists},
    }


def dashboard(overview: Overview, *, links: Mapping[str, str] | None = None) -> str:
    """Returns the monitoring page; it asks for itself again every 30 s.

    Args:
        overview: what to show.
        links: text → address of the other local pages; none are made up here.
    """
    o = overview
    body = "".join((_now(o), _drift(o), _decisions(o), _gate(o), _deliveries(o)))
    lead = "Recent requests against the ground the champion learned from. Thresholds are fixed and uncalibrated."
    return page(f"{o.model}: monitoring", lead, body, refresh_s=30, links=links)


def _now(o: Overview) -> str:
    latest = o.drifts[-1].diagnosis.cause if o.drifts else "not compared yet"
    facts = [
        (f"number {o.champion.number}" if o.champion else "none yet", "champion"),
        (f"{o.n_predictions:,}", "predictions logged"),
        (f"{o.last_prediction:%Y-%m-%d %H:%M} UTC" if o.last_prediction else "none yet", "last prediction"),
        (f"{len(o.versions)}", "versions of the data"),
        (latest, "last diagnosis"),
    ]
    names = []
    if o.bundle:
        names.append(f"<p>Bundle {code(o.bundle.id)}, learned from version {code(o.bundle.version)}; ")
        names.append(f"classes {escape(', '.join(o.bundle.classes))}; bands {escape(', '.join(o.bundle.bands))}.</p>")
    return section("now", "What serves", cards(facts), *names)


def _drift(o: Overview) -> str:
    if not o.drifts:
        return section(
            "drift", "Nothing compared yet", paragraph("No data is not good news: ask for a map, then patrol.")
        )
    blocks = []
    for drift in reversed(o.drifts[-5:]):
        tiles = f"{drift.n_current} recent tiles against {drift.n_reference} of the reference; unit: {drift.unit}."
        blocks.append(
            f"<h3>{tag(drift.diagnosis.cause)} {code(drift.id)}</h3>{paragraph(drift.diagnosis.sentence)}"
            f"{paragraph(tiles, 'quiet small')}{bars(drift.statistics, drift.threshold)}"
        )
    return section("drift", "What changed, newest first", *blocks)


def _decisions(o: Overview) -> str:
    rows = [
        (tag(d.action), "yes" if d.fired else "no", escape(d.because), code(d.id)) for d in reversed(o.decisions[-20:])
    ]
    rule = (
        f"Policy {o.policy.name!r}: new versions train {o.policy.new_version}; drift "
        f"{'trains once labels of its ground arrive' if o.policy.retrain_on_drift else 'never trains by itself'}."
    )
    empty = paragraph("No trigger was weighed yet.", "quiet")
    return section(
        "decisions",
        "What followed",
        paragraph(rule, "quiet"),
        table(("action", "fired", "because", "record"), rows) if rows else empty,
    )


def _gate(o: Overview) -> str:
    rows = [
        (
            tag(j.outcome),
            escape(f"{j.metric} against {j.against}"),
            f"{j.difference.value:+.3f} ({j.difference.low:+.3f} to {j.difference.high:+.3f})",
            escape("; ".join(j.objections) or "no objection"),
        )
        for j in reversed(o.judgements[-10:])
    ]
    heads = ("outcome", "compared", "difference (95 % interval)", "objections")
    return section("gate", "What may serve", table(heads, rows) if rows else paragraph("Nothing judged yet.", "quiet"))


def _deliveries(o: Overview) -> str:
    rows = [
        (
            tag("accepted" if v.accepted else "refused"),
            escape(v.delivery),
            escape(" ".join(v.reasons) or f"{len(v.checks)} checks passed"),
        )
        for v in reversed(o.verdicts[-20:])
    ]
    versions = [
        (code(v.id), str(len(v.scenes)), str(len(v.labels)), code(v.rev[:12])) for v in reversed(o.versions[-10:])
    ]
    return section(
        "deliveries",
        "What came in",
        table(("verdict", "delivery", "reasons"), rows) if rows else paragraph("No delivery yet.", "quiet"),
        table(("version", "scenes", "labels", "commit"), versions, numbers=(1, 2)) if versions else "",
    )
