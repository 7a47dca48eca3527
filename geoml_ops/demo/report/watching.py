"""The chapters of a model that serves: its map, what monitoring met, generated ground, lineage."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from geoml_ops.adapters import pages
from geoml_ops.core.noun import Noun
from geoml_ops.demo.report.parts import gallery, gate, note, verdict_table
from geoml_ops.demo.story import Lineage, Situation, Story


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
    lead = "Tiles of 128 px are compared with the champion's training ground; a cause is named before anything is done."
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
        tiles = f"{s.drift.n_current} recent tiles against {s.drift.n_reference}."
        parts += [pages.paragraph(s.drift.diagnosis.sentence), pages.paragraph(tiles, "quiet small")]
        parts.append(pages.bars(s.drift.statistics, s.drift.threshold))
    if s.decision:
        fired = "started a training" if s.decision.fired else "no training"
        parts.append(
            f"<p><strong>Decision:</strong> {escape(s.decision.action)}; {fired}. {pages.code(s.decision.id)}</p>"
        )
    parts.append(gallery(s.pictures))
    return "".join(parts)


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
