"""How answers and labels agree: over which folds how well, which classes get confused, whether confidence is earned."""

from __future__ import annotations

from html import escape

from geoml_ops.core.evidence import Score
from geoml_ops.core.flow import Evaluation
from geoml_ops.domain.card.drawing import reliability, side_by_side
from geoml_ops.domain.card.parts import METRICS, figure, metric_words, paragraph, score, table


def confusion(evaluation: Evaluation) -> str:
    """Returns the confusion matrix as a table, shaded by the share of its row, with accuracies at its edges.

    The right edge holds producer's, the lower edge user's accuracy of the samples; "none" where a class
    was never there, or never answered.
    """
    counts = evaluation.confusion
    rows = []
    for code, (name, row) in enumerate(zip(evaluation.classes, counts, strict=True)):
        cells = "".join(_shaded(n, n / sum(row) if sum(row) else 0.0) for n in row)
        rows.append(f"<tr><th>{escape(name)}</th>{cells}{_edge(row[code], sum(row))}</tr>")
    answered = [sum(column) for column in zip(*counts, strict=True)]
    below = "".join(_edge(counts[code][code], n) for code, n in enumerate(answered))
    heads = "".join(f"<th>{escape(name)}</th>" for name in evaluation.classes)
    return (
        f"<div class=wide><table><tr><th>true \\ answered</th>{heads}<th>producer's</th></tr>\n"
        + "\n".join(rows)
        + f"<tr><th>user's</th>{below}<td></td></tr></table></div>"
        + paragraph("Samples on held-out ground, shaded by the share of their true class.", "quiet small")
    )


def calibration(evaluation: Evaluation) -> str:
    """Returns the reliability diagram with its sentence; nothing where no bins were kept."""
    bins = [b for b in evaluation.reliability if b.n > 0]
    if not bins:
        return ""
    total = sum(b.n for b in bins)
    off = sum(b.n * abs(b.confidence - b.accuracy) for b in bins) / total
    tilt = sum(b.n * (b.confidence - b.accuracy) for b in bins) / total
    lean = "surer than it is right" if tilt > 0 else "less sure than it could be"
    kept = evaluation.scores.get("ece")
    error = f"{kept.value:.3f} [{kept.low:.3f}, {kept.high:.3f}]" if kept else f"{off:.3f}"
    return figure(
        reliability(bins),
        f"Answers on held-out ground in {len(bins)} bins of confidence. On the dashed line they are right as often "
        f"as they claim. Expected calibration error {error}; on the whole the model is {lean}, by {abs(tilt):.3f}.",
    )


def spatial_against_random(evaluation: Evaluation) -> str:
    """Returns every plan's scores: what each answers, and how far apart they are; nothing where none is known."""
    rows: list[tuple[str, str, dict[str, Score], bool]] = [
        ("these folds", evaluation.estimand, evaluation.scores, True),
        *(
            (
                f"{p.method.replace('_', ' ')} folds" + (f", repeat {p.repeat}" if p.repeat else ""),
                p.estimand,
                p.scores,
                False,
            )
            for p in evaluation.others
        ),
        ("random folds", "optimism baseline", evaluation.optimism, False),
    ]
    metrics = [m for m in ("overall_accuracy", "macro_f1", "ece") if any(m in scores for _, _, scores, _ in rows)]
    if not metrics:
        return ""
    cells = [
        (
            escape(name),
            escape(asks),
            *(score(s[m]) if m in s else "not asked" for m in metrics),
            "yes" if counts else "no",
        )
        for name, asks, s, counts in rows
    ]
    drawn = [(name, asks, s[metrics[0]], counts) for name, asks, s, counts in rows if metrics[0] in s]
    heads = ("folds", "answers for", *(METRICS[m] for m in metrics), "counts")
    return (
        f"<h3>Spatial against random scores: {metric_words(metrics[0])}</h3>"
        + side_by_side(drawn)
        + table(heads, cells, strong=0)
        + paragraph(
            "Each score answers its own question, so they differ without any being wrong. Random folds put neighbours "
            "of a tested pixel into training: their score flatters and never reaches the gate.",
            "quiet small",
        )
    )


def _shaded(n: int, share: float) -> str:
    ink = "#fff" if share > 0.6 else "inherit"
    return f'<td class=n style="background:rgba(0,114,178,{share:.2f});color:{ink}">{n:,}</td>'


def _edge(right: int, of: int) -> str:
    return f"<td class=n>{right / of:.2f}</td>" if of else "<td class=n>none</td>"
