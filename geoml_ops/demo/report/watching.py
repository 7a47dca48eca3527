"""The chapters of a model that serves: its map, what monitoring met, generated ground, lineage."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from geoml_ops.adapters import pages
from geoml_ops.core.flow import Decision, Drift
from geoml_ops.core.noun import Noun
from geoml_ops.core.watched import Estimate
from geoml_ops.demo.report.parts import gallery, gate, note, verdict_table
from geoml_ops.demo.story import Lineage, Situation, Story

MOST_FACTS = 12
NO_CHART = "Nobody knows when this was acquired: there are no scenes in control to stand among, thresholds are fixed."


def told_map(story: Story) -> str:
    """Returns the chapter of the map that the service drew; empty where there is none."""
    m = story.mapped
    if m.prediction is None:
        return ""
    p = m.prediction
    shares = ", ".join(f"{name} {share:.0%}" for name, share in sorted(p.class_shares.items(), key=lambda s: -s[1]))
    sure = f", mean confidence {p.mean_confidence:.2f}" if p.mean_confidence is not None else ""
    told = f"{p.model} {p.number} answered {p.valid_share:.1%} of the pixels{sure}: {shares}."
    return pages.section(
        "4 · serve", "The map that came back over HTTP", pages.paragraph(told, "lead"), gallery(m.pictures),
        f'<p class="quiet small">Prediction {pages.code(p.id)}, map {pages.code(p.map.sha256[:16])}.</p>',
    )  # fmt: skip


def told_situations(situations: Sequence[Situation]) -> str:
    """Returns the chapter of what monitoring met; empty where it met nothing."""
    if not situations:
        return ""
    lead = (
        "Each scene is compared with the scenes in control of its stream and with the champion's training ground; a "
        "cause is named before anything is done, and every evaluation is kept in the audit trail."
    )
    return pages.section(
        "5 · watch", "What monitoring met", pages.paragraph(lead, "lead"), *map(_situation, situations)
    )


def _situation(s: Situation) -> str:
    tags: list[str] = [s.drift.diagnosis.cause] if s.drift else []
    tags += [s.decision.action] if s.decision and s.decision.action not in tags else []
    parts = [f"<h3>{escape(s.name)} {' '.join(map(pages.tag, tags))}</h3>"]
    if s.told:
        parts.append(pages.paragraph(s.told))
    if s.facts:
        parts.append(pages.cards(s.facts))
    parts.append(verdict_table(s.verdicts))
    if s.drift:
        parts += [_named(s.drift), _numbers(s.drift)]
    if s.decision:
        parts.append(_decided(s.decision))
    parts.append(gallery(s.pictures))
    return "".join(parts)


def _named(d: Drift) -> str:
    """The cause with what it rests on, what else it could be, and where it is."""
    parts = [pages.paragraph(d.diagnosis.sentence)]
    facts = [f"{name} {value:.3g}" for name, value in d.diagnosis.evidence.items() if value is not None]
    if facts:
        parts.append(pages.paragraph(f"It rests on: {', '.join(facts[:MOST_FACTS])}.", "quiet small"))
    if d.diagnosis.others:
        ranked = sorted(d.diagnosis.others.items(), key=lambda pair: -pair[1])[:MOST_FACTS]
        others = ", ".join(f"{name} ({well:.2f})" for name, well in ranked)
        parts.append(pages.paragraph(f"Explained less well by: {others}; 1 is best.", "quiet small"))
    if d.where is not None and d.where.sentence:
        parts.append(pages.paragraph(f"Where: {d.where.sentence}"))
    return "".join(parts)


def _numbers(d: Drift) -> str:
    """Tiles and columns, where the scene stands among scenes in control, and accuracy without labels."""
    tiles = f"{d.n_current} recent tiles against {d.n_reference}; one is a {d.unit}."
    parts = [pages.paragraph(tiles, "quiet small"), pages.bars(d.statistics, d.threshold), _standing(d)]
    parts += [pages.paragraph(_estimated(e), "quiet small") for e in d.estimates]
    return "".join(parts)


def _standing(d: Drift) -> str:
    if not d.charts:
        return pages.paragraph(NO_CHART, "quiet small")
    rows = [
        (
            escape(c.family),
            pages.tag("alarm" if c.alarm else c.state),
            *(("" if n is None else f"{n:.2f}") for n in (c.value, c.threshold, c.path, c.limit)),
            str(c.n),
        )
        for c in d.charts
    ]
    heads = ("family", "state", "value", "threshold", "path", "limit", "scenes in control")
    said = [pages.paragraph(f"{c.family}: {c.sentence}", "quiet small") for c in d.charts if c.sentence]
    return pages.table(heads, rows, numbers=(2, 3, 4, 5, 6)) + "".join(said)


def _estimated(e: Estimate) -> str:
    between = f" ({e.low:.0%} to {e.high:.0%})" if e.low is not None and e.high is not None else ""
    expected = f", {e.expected:.0%} expected" if e.expected is not None else ""
    return f"Accuracy without labels, {e.method.upper()}: {e.value:.0%}{between}{expected}. {e.sentence}".strip()


def _decided(decision: Decision) -> str:
    fired = "started a training" if decision.fired else "no training"
    held = f" Held back: {decision.suppressed}" if decision.suppressed else ""
    return (
        f"<p><strong>Decision:</strong> {escape(decision.action)}; {fired}. {escape(decision.because + held)} "
        f"{pages.code(decision.id)}</p>"
    )


def told_generated(story: Story) -> str:
    """Returns the chapter of the generated world; empty where it was not needed."""
    g = story.generated
    if g is None:
        return ""
    trials = [
        f"<h3>{escape(t.name)}</h3>{pages.paragraph(t.truth) if t.truth else ''}{gate(t.judgement)}" for t in g.trials
    ]
    why = note(
        "One small scene has too few blocks for a verdict on small differences. This part is generated, its truth is "
        "known, and it is here to show that the gate tells a better model from a worse one."
    )
    return pages.section(
        "7 · a generated world",
        "The gate where the truth is known",
        why,
        pages.paragraph(g.told),
        gallery(g.pictures),
        *trials,
    )


def told_lineage(line: Lineage | None) -> str:
    """Returns the chapter that walks one pixel back; empty where none was walked."""
    if line is None:
        return ""
    told = f"Easting {line.easting:,.0f}, northing {line.northing:,.0f}: {line.answer}."
    links = "".join(f"<li>{_link(noun, sentence)}</li>" for noun, sentence in line.links)
    return pages.section(
        "lineage", "From one pixel back to its scene", pages.paragraph(told, "lead"), f'<ul class="chain">{links}</ul>'
    )


def _link(noun: Noun, sentence: str) -> str:
    return f"<strong>{escape(noun.kind)}</strong> {pages.code(noun.id)}<br>{escape(sentence)}"
