"""What several chapters show the same way: pictures, notes, verdicts, judgements."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from geoml_ops.adapters import pages
from geoml_ops.core.flow import Judgement, Verdict
from geoml_ops.demo.story import Picture

OUTCOMES = {
    "PROMOTE": "The challenger may serve.",
    "HOLD": "The challenger is not shown to be better; what serves stays.",
    "REJECT": "The challenger is shown to be worse; what serves stays.",
    "INSUFFICIENT_EVIDENCE": "The data cannot tell which is better; what serves stays.",
}


def verdict_table(verdicts: Sequence[Verdict]) -> str:
    """Returns a table of verdicts with their reasons."""
    if not verdicts:
        return ""
    rows = [
        (
            pages.tag("accepted" if v.accepted else "refused"),
            escape(v.delivery),
            escape(" ".join(v.reasons) or f"all {sum(c.blocking for c in v.checks)} blocking checks passed"),
        )
        for v in verdicts
    ]
    quarantined = [v.delivery for v in verdicts if not v.accepted]
    after = (
        f"{', '.join(quarantined)}: in quarantine, with the reasons beside it; the loop went on." if quarantined else ""
    )
    return pages.table(("verdict", "delivery", "why"), rows) + (pages.paragraph(after, "quiet") if after else "")


def gate(j: Judgement) -> str:
    """Returns a judgement with every number behind it."""
    facts = [
        (f"{j.difference.value:+.3f}", f"{words(j.metric)} against {j.against}"),
        (f"{j.difference.low:+.3f} to {j.difference.high:+.3f}", f"95 % interval, {j.difference.n_blocks} blocks"),
        (f"{j.margin:.3f}", "margin, fixed beforehand"),
        (f"{j.detectable:.3f}", "smallest difference this data could show"),
    ]
    if j.spending:
        spent = j.spending
        facts.append(
            (f"{spent.level:.4f}", f"level of this look, number {spent.look}; {spent.fresh_share:.0%} fresh labels")
        )
        facts.append((f"{spent.wealth_after:.4f}", f"alpha left of {spent.wealth_before:.4f}"))
    objections = "".join(f"<li>{escape(o)}</li>" for o in j.objections)
    return (
        f"<h3>The gate says {pages.tag(j.outcome)}</h3>{pages.paragraph(OUTCOMES[j.outcome])}{pages.cards(facts)}"
        + (f"<p>Objections:</p><ul>{objections}</ul>" if objections else pages.paragraph("No objection.", "quiet"))
    )


def gallery(pictures: Sequence[Picture]) -> str:
    """Returns pictures side by side where there is room."""
    drawn = [pages.figure(p.png, p.alt, p.caption) for p in pictures]
    return drawn[0] if len(drawn) == 1 else pages.pair(*drawn) if drawn else ""


def note(text: str) -> str:
    """Returns a text set apart."""
    return f'<div class="note">{escape(text)}</div>'


def words(name: str) -> str:
    """Returns a name as people read it."""
    return name.replace("_", " ")
