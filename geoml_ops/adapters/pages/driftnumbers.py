"""The numbers behind a comparison: charts, columns, estimates; a section each."""

from __future__ import annotations

from html import escape

from geoml_ops.adapters.pages.numbers import number, share
from geoml_ops.adapters.pages.parts import bars, paragraph, section, table, tag
from geoml_ops.core.flow import Drift
from geoml_ops.domain.streams import not_a_band

MOST_NAMED = 200


def charts(drift: Drift) -> str:
    """Returns where a scene stands among scenes in control; nothing without charts."""
    rows = [
        (
            escape(c.family), tag(c.state), number(c.value), number(c.threshold), escape(c.worst) or number(None),
            number(c.path), number(c.limit), tag("alarm") if c.alarm else "no", str(c.n),
        )
        for c in drift.charts
    ]  # fmt: skip
    if not rows:
        return ""
    heads = (
        "family",
        "this scene",
        "value",
        "threshold",
        "worst statistic",
        "path",
        "limit",
        "alarm",
        "in-control scenes",
    )
    said = "".join(paragraph(f"{c.family}: {c.sentence}", "quiet small") for c in drift.charts if c.sentence)
    return section(
        "charts", "Where it stands among scenes in control", table(heads, rows, numbers=(2, 3, 5, 6, 8)), said
    )


def statistics(drift: Drift) -> str:
    """Returns every column beside the champion's ground; nothing without statistics."""
    d = drift
    if not d.statistics:
        return ""
    fixed = d.threshold
    rows = [
        (
            escape(s.column), number(s.distance), number(s.mean_shift, 4, sign=True), number(s.sd_ratio), number(s.js),
            number(s.z, sign=True), tag("beyond") if s.drifted else "",
        )
        for s in d.statistics[:MOST_NAMED]
    ]  # fmt: skip
    heads = (
        "column",
        "distance, sd",
        "mean shift",
        "sd ratio",
        "Jensen-Shannon",
        "z in its key",
        f"fixed {d.threshold:g}",
    )
    tiles = f"{d.n_current} tiles of this scene against {d.n_reference} of the champion's ground; unit: {d.unit}."
    return section(
        "statistics",
        "Column by column",
        paragraph(tiles, "quiet small"),
        table(heads, rows, numbers=(1, 2, 3, 4, 5)),
        f"<h3>Against the fixed threshold</h3>{bars([s for s in d.statistics if not not_a_band(s.column)], fixed)}",
    )


def estimates(drift: Drift) -> str:
    """Returns what is estimated of accuracy and class shares without labels; nothing without estimates."""
    d = drift
    if not d.estimates and not d.prior_shift:
        return ""
    parts = []
    if d.estimates:
        rows = [
            (
                escape(e.method.upper()), share(e.value), f"{share(e.low)} to {share(e.high)}", share(e.expected),
                escape(e.sentence),
            )
            for e in d.estimates
        ]  # fmt: skip
        heads = ("method", "estimated accuracy", "interval", "expected", "what it rests on")
        parts.append(table(heads, rows, numbers=(1, 2, 3)))
        parts.append(paragraph("Without labels: blind to what the labels themselves mean now.", "quiet small"))
    if d.prior_shift:
        shifted = [(escape(name), share(value)) for name, value in list(d.prior_shift.items())[:MOST_NAMED]]
        drawn = table(("class", "share"), shifted, numbers=(1,), narrow=True)
        parts.append(f"<h3>Class shares if only the classes shifted</h3>{drawn}")
    return section("estimates", "How accurate the answers may be", *parts)
