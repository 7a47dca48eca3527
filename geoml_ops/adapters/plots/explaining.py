"""What answers are made of, as pictures: which features move which classes, and what changed between two models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure

from geoml_ops.adapters.plots.canvas import ALARM, INK, QUIET, STRONG, STYLE, WIDTH_IN, as_png, bare, plain
from geoml_ops.core.evidence import Score

MOST = 20


def summary(
    importance: Mapping[str, Mapping[str, float]], colours: Sequence[str], *, title: str = "", unit: str = ""
) -> bytes:
    """Returns bars of mean absolute SHAP values, stacked by class, most important feature first, at most 20.

    Args:
        importance: class to feature to value, classes in code order.
        colours: ``#rrggbb`` in code order.
        title: one line above.
        unit: of the values.
    """
    totals: dict[str, float] = {}
    for values in importance.values():
        for name, value in values.items():
            totals[name] = totals.get(name, 0.0) + value
    order = sorted(totals, key=lambda name: (-totals[name], name))[:MOST]
    rows = np.arange(len(order))[::-1]
    with rc_context(STYLE):
        figure = Figure(figsize=(WIDTH_IN, 1.9 + 0.3 * len(order)), layout="constrained")
        axes, start = figure.add_subplot(), np.zeros(len(order))
        for (name, values), colour in zip(importance.items(), colours, strict=True):
            width = np.array([values.get(feature, 0.0) for feature in order])
            axes.barh(rows, width, left=start, height=0.66, color=colour, label=plain(name))
            start += width
        axes.set_yticks(rows, [plain(name) for name in order], color=INK)
        most = f"; the {MOST} largest of {len(totals)}" if len(totals) > MOST else ""
        axes.set_xlabel(f"mean absolute SHAP value{f' ({unit})' if unit else ''}, summed over classes{most}")
        bare(axes, grid_axis="x")
        axes.set_title(title)
        figure.legend(loc="outside lower center", ncols=min(5, len(importance)), fontsize=9)
        return as_png(figure)


def shift(changes: Mapping[str, Score], *, title: str = "") -> bytes:
    """Returns how much each feature's share of importance grew or shrank, with its interval, largest change first."""
    order = sorted(changes, key=lambda name: (-abs(changes[name].value), name))[:MOST]
    rows = np.arange(len(order))[::-1]
    values = np.array([changes[name].value for name in order])
    reach = np.array([[changes[n].value - changes[n].low, changes[n].high - changes[n].value] for n in order]).T
    sure = [changes[name].low > 0 or changes[name].high < 0 for name in order]
    with rc_context(STYLE):
        figure = Figure(figsize=(WIDTH_IN, 1.4 + 0.3 * len(order)), layout="constrained")
        axes = figure.add_subplot()
        tints = [(STRONG if v > 0 else ALARM) if known else QUIET for v, known in zip(values, sure, strict=True)]
        axes.barh(rows, values, height=0.6, color=tints)
        axes.errorbar(values, rows, xerr=reach, fmt="none", ecolor=INK, elinewidth=1)
        axes.axvline(0, color=INK, lw=0.8)
        axes.set_yticks(rows, [plain(name) for name in order], color=INK)
        axes.set_xlabel("change of share of importance (95 % interval from blocks; grey: may be none)")
        bare(axes, grid_axis="x")
        axes.set_title(title)
        return as_png(figure)
