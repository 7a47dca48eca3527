"""Pictures of how things go: drift from the reference, seconds per step."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from geoml_ops.adapters.plots.canvas import (
    ALARM,
    INK,
    QUIET,
    STRONG,
    STYLE,
    WIDTH_IN,
    as_png,
    bare,
    legend_below,
    plain,
)
from geoml_ops.core.watched import Statistic


def drift_bars(statistics: Sequence[Statistic], threshold: float, *, title: str = "") -> bytes:
    """Returns one bar per column: its distance from the reference, against the fixed threshold.

    Band columns come first; the signed shift of the mean is written behind each bar.
    """
    rows = np.arange(len(statistics))[::-1]
    reach = max([s.distance for s in statistics] + [threshold]) * 1.28
    with rc_context(STYLE):
        figure = Figure(figsize=(WIDTH_IN, 1.5 + 0.28 * max(len(statistics), 1)), layout="constrained")
        axes = figure.add_subplot()
        colours = [ALARM if s.drifted else STRONG for s in statistics]
        axes.barh(rows, [s.distance for s in statistics], height=0.66, color=colours)
        axes.axvline(threshold, color=INK, lw=1, ls=(0, (4, 3)))
        for row, s in zip(rows, statistics, strict=True):
            place = (s.distance, float(row))
            axes.annotate(
                _shift(s), place, xytext=(5, 0), textcoords="offset points", va="center", fontsize=8.5, color=QUIET
            )
        axes.set_yticks(rows, [plain(s.column) for s in statistics], color=INK)
        axes.set_xlim(0, reach)
        axes.set_xlabel("distance from the reference (tile means, in reference standard deviations)")
        bare(axes, grid_axis="x")
        axes.set_title(title)
        entries = [
            Patch(color=STRONG, label="within"),
            Patch(color=ALARM, label="beyond"),
            Line2D([], [], color=INK, lw=1, ls=(0, (4, 3)), label=f"threshold {threshold:g}, fixed, uncalibrated"),
        ]
        legend_below(axes, entries)
        return as_png(figure)


def timings(steps: Sequence[tuple[str, float]], *, title: str = "") -> bytes:
    """Returns seconds per step, in the order in which the steps ran."""
    rows = np.arange(len(steps))[::-1]
    longest = max([s for _, s in steps] + [1e-9])
    with rc_context(STYLE):
        figure = Figure(figsize=(WIDTH_IN, 1.0 + 0.28 * max(len(steps), 1)), layout="constrained")
        axes = figure.add_subplot()
        axes.barh(rows, [s for _, s in steps], height=0.66, color=STRONG)
        for row, (_, s) in zip(rows, steps, strict=True):
            axes.annotate(
                f"{s:.1f} s",
                (s, float(row)),
                xytext=(4, 0),
                textcoords="offset points",
                va="center",
                fontsize=8.5,
                color=QUIET,
            )
        axes.set_yticks(rows, [plain(name) for name, _ in steps], color=INK)
        axes.set_xlim(0, longest * 1.15)
        axes.set_xlabel("seconds")
        bare(axes, grid_axis="x")
        axes.set_title(title)
        return as_png(figure)


def _shift(s: Statistic) -> str:
    if s.column.startswith("class") or s.column == "confidence":
        return f"{s.mean_shift:+.2f}"
    return f"{s.mean_shift:+,.0f} DN"
