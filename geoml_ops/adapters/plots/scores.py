"""Pictures of what was learned: scores, confusion, importance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure
from numpy.typing import NDArray

from geoml_ops.adapters.plots.canvas import INK, PALE, STRONG, STYLE, WIDTH_IN, as_png, bare, plain
from geoml_ops.core.evidence import Score


def score_bars(spatial: Mapping[str, Score], random: Mapping[str, Score], *, title: str = "") -> bytes:
    """Returns paired bars: scores over spatial folds (they count) beside scores over random folds (they do not).

    Args:
        spatial: scores by metric; the whisker is the 95 % interval from blocks.
        random: the same metrics over random folds, drawn hollow.
        title: one line above the bars.
    """
    # A calibration error is better when it is smaller; among bars that are better when longer it would mislead.
    metrics = [m for m in spatial if m in random and m != "ece"] or list(spatial)
    rows = np.arange(len(metrics))[::-1].astype(float)
    with rc_context(STYLE):
        figure = Figure(figsize=(WIDTH_IN, 1.5 + 0.85 * len(metrics)), layout="constrained")
        axes = figure.add_subplot()
        for scores, shift, label, style in (
            (spatial, 0.2, "spatial folds: counts", {"color": STRONG}),
            (
                random,
                -0.2,
                "random folds: optimism baseline, does not count",
                {"facecolor": "white", "edgecolor": PALE, "hatch": "////"},
            ),
        ):
            found = [(row, scores[m]) for row, m in zip(rows, metrics, strict=True) if m in scores]
            if not found:
                continue
            places = [row + shift for row, _ in found]
            axes.barh(places, [s.value for _, s in found], height=0.34, label=label, **style)  # type: ignore[arg-type]
            reach = [[s.value - s.low for _, s in found], [s.high - s.value for _, s in found]]
            axes.errorbar(
                [s.value for _, s in found],
                places,
                xerr=np.maximum(reach, 0),
                fmt="none",
                ecolor=INK,
                lw=1.2,
                capsize=3,
            )
            for place, (_, s) in zip(places, found, strict=True):
                axes.annotate(
                    f"{s.value:.3f}",
                    (0, place),
                    xytext=(5, 0),
                    textcoords="offset points",
                    va="center",
                    color="white" if scores is spatial else INK,
                    fontsize=9,
                    fontweight="bold" if scores is spatial else "normal",
                    bbox=None if scores is spatial else {"fc": "white", "ec": "none", "pad": 1.5},
                )
        axes.set_yticks(rows, [plain(m).replace("_", " ") for m in metrics], color=INK)
        axes.set_xlim(min(0.0, *(s.low for s in (*spatial.values(), *random.values()))), 1)
        axes.set_xlabel("score (0 to 1); whiskers: 95 % interval from blocks")
        bare(axes, grid_axis="x")
        axes.set_title(title)
        figure.legend(loc="outside lower center", ncols=2, fontsize=9)
        return as_png(figure)


def confusion(matrix: NDArray[np.integer] | Sequence[Sequence[int]], names: Sequence[str], *, title: str = "") -> bytes:
    """Returns a confusion matrix: rows are labels, columns answers; shade and percent are shares of a row."""
    counts = np.asarray(matrix, dtype=np.int64)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    edge = 1.6 + 0.85 * len(names)
    with rc_context(STYLE):
        figure = Figure(figsize=(edge + 0.6, edge), layout="constrained")
        axes = figure.add_subplot()
        axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        for (row, column), share in np.ndenumerate(shares):
            colour = "white" if share > 0.55 else INK
            axes.text(column, row - 0.1, f"{share:.0%}", ha="center", va="center", color=colour, fontsize=11)
            text = f"{counts[row, column]:,}"
            axes.text(column, row + 0.22, text, ha="center", va="center", color=colour, fontsize=7.5)
        shown = [plain(n) for n in names]
        axes.set_xticks(range(len(names)), shown, rotation=30 if max(map(len, shown)) > 7 else 0, color=INK)
        axes.set_yticks(range(len(names)), shown, color=INK)
        axes.set_xlabel("answer of the model")
        axes.set_ylabel("label")
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
        axes.set_title(title)
        return as_png(figure)


def importance(
    names: Sequence[str], values: Sequence[float] | NDArray[np.floating], *, title: str = "", unit: str = "importance"
) -> bytes:
    """Returns bars of feature importance, most important first, at most 20; ``unit`` names the axis."""
    order = np.argsort(-np.asarray(values, dtype=float), kind="stable")[:20]
    with rc_context(STYLE):
        figure = Figure(figsize=(WIDTH_IN, 1.2 + 0.3 * len(order)), layout="constrained")
        axes = figure.add_subplot()
        rows = np.arange(len(order))[::-1]
        axes.barh(rows, np.asarray(values, dtype=float)[order], height=0.66, color=STRONG)
        axes.set_yticks(rows, [plain(names[i]) for i in order], color=INK)
        axes.set_xlabel(unit)
        bare(axes, grid_axis="x")
        axes.set_title(title)
        return as_png(figure)
