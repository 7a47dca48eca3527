"""What a verdict weighed, part by part: evidence, classes, guards, tests beside, what the look cost."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from geoml_ops.core.evidence import BesideTest, ClassTest, Guard
from geoml_ops.core.flow import Judgement
from geoml_ops.domain.card.drawing import small_interval
from geoml_ops.domain.card.parts import WORDS, facts, gap, paragraph, passed, table
from geoml_ops.domain.gate import blocks_needed, power_words
from geoml_ops.domain.gate.power import DETECTABLE_SE

_TIMES = {1: "now", 2: "twice as many", 4: "four times as many"}


def evidence(judgement: Judgement, alpha: float | None = None) -> str:
    """Returns what this evidence could have shown, and what more blocks would buy.

    The smallest difference that usually shows falls with the square root of the number of blocks.

    Args:
        judgement: with its smallest difference that usually shows.
        alpha: one-sided level of a look without a ledger; None where it is not known.
    """
    n, seen, margin = judgement.difference.n_blocks, judgement.detectable, judgement.margin
    if n < 2 or seen <= 0:
        return paragraph(f"{n} blocks give no interval: what they could show is not known.", "note")
    rows = [(name, f"{n * times:,}", f"{seen / math.sqrt(times):.3f}") for times, name in _TIMES.items()]
    level = judgement.spending.level if judgement.spending else alpha
    power = ""
    if margin > 0 and level is not None:
        power = f" {power_words(judgement, margin, level)}"
        rows += _for_the_margin(judgement, level)
    return (
        paragraph(
            f"With {n} blocks a difference of {seen:.3f} or more would usually show; a smaller one often stays hidden, "
            f"whoever is better.{power} More labelled ground would change that, as long as it is like this ground:"
        )
        + table(("labelled blocks", "number", "smallest difference that usually shows"), rows)
        + paragraph("More samples in the same blocks would change little: neighbours repeat each other.", "quiet small")
    )


def _for_the_margin(judgement: Judgement, level: float) -> list[tuple[str, str, str]]:
    sizes, n = [b.n for b in judgement.blocks], judgement.difference.n_blocks
    # Blocks of unlike size weigh as fewer equal ones (Kish 1965).
    weight = sum(sizes) ** 2 / sum(size**2 for size in sizes) if any(sizes) else float(n)
    needed = blocks_needed(
        judgement.margin,
        error=judgement.detectable / DETECTABLE_SE,
        df=max(weight - 1, 1.0),
        n_blocks=n,
        level=level,
    )
    if needed is not None and needed <= n:
        return []
    said = f"about {float(f'{needed:.2g}'):,.0f}" if needed is not None else "more than a million"
    return [("for a gain as small as the margin, in 80 % of cases", said, f"{judgement.margin:.3f}")]


def class_tests(classes: Sequence[ClassTest]) -> str:
    """Returns one row per class that must not get worse; nothing where no class was named."""
    if not classes:
        return ""
    reach = max(max(abs(c.difference.low), abs(c.difference.high), c.margin) for c in classes) or 0.01
    rows = [
        (
            escape(c.name),
            small_interval(c.difference, c.margin, reach),
            gap(c.difference),
            f"{c.margin:.3f}",
            f"{c.p:.4f}",
            f"{c.level:.4f}",
            passed(c.passed),
        )
        for c in classes
    ]
    heads = (
        "class",
        "F1, challenger minus the other",
        "difference",
        "margin",
        "p, one-sided",
        "Holm's level",
        "passed",
    )
    return table(heads, rows) + paragraph(
        "Each class may lose its margin (dashed) at most. A class passes where p is at or below its level; the levels "
        "share the error among the classes (Holm 1979), and after the first that fails no further one passes.",
        "quiet small",
    )


def guards(asked: Sequence[Guard]) -> str:
    """Returns what else the challenger was asked; nothing where nothing was."""
    if not asked:
        return ""
    rows = [
        (
            escape(g.name),
            f"{g.value:.3f}",
            "none set" if g.limit is None else f"{g.limit:.3f}",
            passed(g.passed),
            escape(g.sentence),
        )
        for g in asked
    ]
    return table(("asked for", "found", "limit", "passed", "in words"), rows)


def beside(tests: Sequence[BesideTest]) -> str:
    """Returns tests that are shown and decide nothing; nothing where none were made."""
    if not tests:
        return ""
    rows = [(escape(t.name), f"{t.statistic:.3f}", f"{t.p:.4f}", escape(t.sentence)) for t in tests]
    return paragraph("These are shown, they do not decide.") + table(("test", "statistic", "p", "in words"), rows)


def ledger(judgement: Judgement, earlier: Sequence[Judgement]) -> str:
    """Returns what this look at held-out ground cost, and the looks before it; nothing without a ledger.

    Args:
        judgement: with what it spent.
        earlier: the looks before it at the same ground, oldest first.
    """
    spent = judgement.spending
    if spent is None:
        return ""
    due = (
        paragraph("A fresh sample is due: what is left of alpha cannot promote anything sensible.", "note")
        if spent.fresh_sample_due
        else ""
    )
    rows = [
        (f"{s.look}", escape(j.challenger), escape(WORDS[j.outcome]), f"{s.level:.4f}", f"{s.wealth_after:.4f}")
        for j in (*earlier, judgement)
        if (s := j.spending) is not None
    ]
    return (
        paragraph(
            f"Each look at the same held-out ground makes the next surprise less surprising. So looks are paid from a "
            f"budget of alpha, and a gain that is shown earns some back (alpha-investing). This was look {spent.look}."
        )
        + facts(
            (
                (f"{spent.wealth_before:.4f}", "alpha left before this look"),
                (f"{spent.level:.4f}", "one-sided level it was tested at"),
                (f"{spent.wealth_after:.4f}", "alpha left after it"),
                (f"{spent.fresh_share:.0%}", "of the ground, never looked at before"),
            )
        )
        + due
        + (table(("look", "challenger", "outcome", "level", "alpha left"), rows) if len(rows) > 1 else "")
        + f'<p class="quiet small">Ground <code>{escape(spent.ground)}</code></p>'
    )
