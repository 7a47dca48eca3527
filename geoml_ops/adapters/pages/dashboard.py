"""The monitoring dashboard: what serves, where each stream stands, what was named, what followed."""

from __future__ import annotations

from collections.abc import Mapping, Set
from html import escape

from geoml_ops.adapters.pages.history import sparkline
from geoml_ops.adapters.pages.numbers import DASH, counted, day, minute, number
from geoml_ops.adapters.pages.overview import Overview
from geoml_ops.adapters.pages.parts import cards, code, link, page, paragraph, section, short, table, tag
from geoml_ops.adapters.pages.streampages import StreamView, calibration_words, slug_of, state_words
from geoml_ops.adapters.pages.style import TONES
from geoml_ops.core.flow import Decision, Judgement
from geoml_ops.domain.streams import leading_chart

MOST_NEWS, MOST_DECISIONS = 12, 30


def dashboard(overview: Overview, *, links: Mapping[str, str] | None = None) -> str:
    """Returns the monitoring page; it asks for itself again every 30 s.

    Args:
        overview: what to show.
        links: text → address of the other local pages; none are made up here.
    """
    o = overview
    body = "".join((_now(o), _streams(o), _news(o), _decisions(o), _gate(o), _deliveries(o)))
    return page(f"{o.model}: monitoring", _lead(o), body, refresh_s=30, links=links)


def _lead(o: Overview) -> str:
    if not o.streams:
        return "Nothing was compared yet. No data is not good news: ask for a map, then look again."
    wrong = [view for view in o.streams if view.now.standing in ("alarm", "fault", "cannot tell")]
    n = len(o.streams)
    what = "stream" if n == 1 else "streams"
    calibrated = sum(view.now.calibrated for view in o.streams)
    rest = f"{calibrated} of {n} calibrated, the others are uncalibrated." if calibrated < n else "All calibrated."
    if not wrong:
        return f"{n} {what}, none in alarm, no fault named. {rest}"
    said = ", ".join(
        f"{view.title}: {view.now.cause if view.now.cause != 'none' else view.now.standing}" for view in wrong[:3]
    )
    return f"{len(wrong)} of {n} {what} need a look ({said}{', …' if len(wrong) > 3 else ''}). {rest}"


def _now(o: Overview) -> str:
    last = o.judgements[-1].outcome if o.judgements else "nothing judged yet"
    facts = [
        (f"number {o.champion.number}" if o.champion else "none yet", "champion"),
        (f"number {o.challenger.number}" if o.challenger else "none", "challenger"),
        (last.replace("_", " ").lower(), "the gate's last word"),
        (f"{o.n_predictions:,}", f"predictions logged, last {minute(o.last_prediction)}"),
        (f"{o.n_drifts:,}", "scenes compared"),
        (f"{o.n_fired:,}", "trainings asked for"),
    ]
    names = []
    if o.bundle:
        names.append(f"<p>Bundle {code(o.bundle.id)}, learned from version {code(o.bundle.version)}; ")
        names.append(f"classes {escape(', '.join(o.bundle.classes))}; bands {escape(', '.join(o.bundle.bands))}.</p>")
    return section("now", "What serves", cards(facts), *names, _trail(o))


def _trail(o: Overview) -> str:
    if o.trail is None:
        return ""
    state = tag("trail broken" if o.trail.flaw else "trail whole")
    words = f"{o.trail.n_records:,} evaluations on record, the last under {o.trail.sha256[:16]}. {o.trail.flaw}"
    return f'<p class="small">{state} {escape(words)}</p>'


def _streams(o: Overview) -> str:
    if not o.streams:
        return section("streams", "Streams", paragraph("No scene was compared yet.", "quiet"))
    said = (
        "A stream is one sensor over one region. The line is its chart as a part of its limit, which is dashed; "
        "the newest scene is at the right."
    )
    each = "".join(_stream(view, o) for view in o.streams)
    return section(
        "streams",
        "Streams, those that need a look first",
        paragraph(said, "quiet small"),
        f'<div class="streams">{each}</div>',
    )


def _stream(view: StreamView, o: Overview) -> str:
    now, chart = view.now, leading_chart(view.now)
    address = f"streams/{slug_of(view.name)}.html"
    numbers = f"{number(chart.path)} of {number(chart.limit)}" if chart and chart.limit else "no limit yet"
    newest = day(now.acquired) if now.acquired else "of an unknown day"
    facts = f"{counted(len(view.rows), 'scene')}, newest {newest}; chart {numbers}."
    old = " Compared for an earlier champion." if o.champion and view.champion != now.bundle else ""
    why = "" if now.cause in ("none", "season as expected") else paragraph(now.sentence)
    return (
        f'<div class="stream {TONES.get(now.standing, "quiet")}">'
        f'<h3><a href="{escape(address, quote=True)}">{escape(view.title)}</a></h3>'
        f'<p class="badges">{state_words(now)}</p>{sparkline(view.rows)}'
        f"<p>{escape(facts + old)}</p>{why}{paragraph(calibration_words(now), 'quiet')}</div>"
    )


def _news(o: Overview) -> str:
    """What was named lately, over all streams; scenes in control are no news."""
    named = [
        row
        for view in o.streams
        for row in view.rows[-200:]
        if row.cause not in ("none", "season as expected", "no reference")
    ]
    named.sort(key=lambda row: (row.when, row.drift))
    rows = [
        (
            f'<a href="drifts/{escape(row.drift, quote=True)}.html">{tag(row.cause)}</a>',
            f'<span class="day">{escape(day(row.acquired))}</span>',
            escape(row.stream or DASH),
            escape(row.sentence),
            tag(row.action),
            short(row.drift),
        )
        for row in reversed(named[-MOST_NEWS:])
    ]
    if not rows:
        return section("named", "What was named", paragraph("No fault and no drift was named yet.", "quiet"))
    heads = ("cause", "acquired", "stream", "why", "action", "record")
    return section("named", "What was named, newest first", table(heads, rows))


def _decisions(o: Overview) -> str:
    p = o.policy
    rule = (
        f"Policy {p.name!r} ({p.id}): new versions train {p.new_version}; drift "
        f"{'trains once labels of its ground arrive' if p.retrain_on_drift else 'never trains by itself'}; "
        f"{number(p.calibration.alarms_per_year)} false alarms a year are stated for each stream."
    )
    rows = [_decision(d) for d in reversed(o.decisions[-MOST_DECISIONS:])]
    heads = ("action", "training", "rule", "because", "held back", "drift", "record")
    empty = paragraph("No trigger was weighed yet.", "quiet")
    return section("decisions", "What followed", paragraph(rule, "quiet"), table(heads, rows) if rows else empty)


def _decision(d: Decision) -> tuple[str, ...]:
    of = f'<a href="drifts/{escape(d.drift, quote=True)}.html">{short(d.drift)}</a>' if d.drift else number(None)
    return (
        tag(d.action),
        "started" if d.fired else "no",
        escape(d.rule) or number(None),
        escape(d.because),
        escape(d.suppressed) or number(None),
        of,
        short(d.id),
    )


def _gate(o: Overview) -> str:
    rows = [_judged(j, o.verdict_pages) for j in reversed(o.judgements[-10:])]
    heads = ("outcome", "compared", "difference (95 % interval)", "objections", "page")
    empty = paragraph("Nothing judged yet.", "quiet")
    return section("gate", "What may serve", table(heads, rows) if rows else empty)


def _judged(j: Judgement, pages: Set[str]) -> tuple[str, ...]:
    return (
        tag(j.outcome),
        escape(f"{j.metric} against {j.against}"),
        f"{j.difference.value:+.3f} ({j.difference.low:+.3f} to {j.difference.high:+.3f})",
        escape("; ".join(j.objections) or "no objection"),
        link(j.id, f"verdicts/{j.id}.html") if j.id in pages else code(j.id),
    )


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
