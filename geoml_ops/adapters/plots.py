"""Pictures of arrays and scores as PNG bytes (matplotlib, without a screen or global figures).

Colours are chosen to survive colour blindness: cividis where a number is shown, Okabe and Ito's
palette where a group is; a map's own class colours come from the experiment. Every axis has its unit.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, MaxNLocator
from numpy.typing import NDArray

from geoml_ops.core.flow import Score, Statistic
from geoml_ops.core.grid import Bounds, Grid

# Okabe and Ito (2008), without the yellow that vanishes on white.
GROUPS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#d55e00", "#56b4e9", "#6b6b6b", "#7a5195")
INK, QUIET, FAINT = "#1c2733", "#5b6875", "#d8dee4"
STRONG, PALE, ALARM = "#0072b2", "#b9c4cf", "#d55e00"
_STYLE: Any = {
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "axes.edgecolor": FAINT,
    "axes.labelcolor": QUIET,
    "axes.titlecolor": INK,
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    "axes.titlepad": 10,
    "xtick.color": QUIET,
    "ytick.color": QUIET,
    "text.color": INK,
    "legend.frameon": False,
    "svg.hashsalt": "geoml",
}
_MOST_PX = 1200
# Narrow figures keep letters readable where two stand side by side.
WIDTH_IN, DPI = 6.2, 144


def picture(rgb: NDArray[Any], grid: Grid | None = None, *, title: str = "") -> bytes:
    """Returns a true-colour picture.

    The haze of a top-of-atmosphere scene is taken off as each layer's 1st percentile; one gain then serves
    all three. Missing pixels (NaN, or 0 in all three layers) are white.

    Args:
        rgb: ``(3, y, x)``, red, green and blue in one unit.
        grid: gives the axes easting and northing in km.
        title: one line above the picture.
    """
    layers = _thin(np.asarray(rgb, dtype=np.float32))
    seen = np.isfinite(layers).all(axis=0) & (layers != 0).any(axis=0)
    haze = np.percentile(layers[:, seen], 1, axis=1)[:, None, None] if seen.any() else 0.0
    bright = np.percentile((layers - haze)[:, seen], 98) if seen.any() else 1.0
    shown = np.clip((layers - haze) / max(float(bright), 1e-9), 0, 1) ** 0.75
    shown = np.where(seen, shown, 1.0)
    with rc_context(_STYLE):
        figure, axes = _map_axes(grid, layers.shape[1:], title)
        axes.imshow(np.moveaxis(shown, 0, -1), extent=_extent(grid, layers.shape[1:]))
        return _png(figure)


def class_map(
    classes: NDArray[np.uint8],
    colours: Sequence[str],
    names: Sequence[str],
    grid: Grid | None = None,
    *,
    title: str = "",
    nodata: int = 255,
) -> bytes:
    """Returns a map of class codes ``(y, x)`` with a legend that tells each class's share of the answered pixels."""
    codes = _thin(np.asarray(classes))
    answered = classes != nodata
    counts = np.bincount(classes[answered].astype(np.int64), minlength=len(names)) / max(int(answered.sum()), 1)
    painted = np.ma.masked_where(codes == nodata, codes)
    with rc_context(_STYLE):
        figure, axes = _map_axes(grid, codes.shape, title)
        palette = ListedColormap(list(colours))
        extent = _extent(grid, codes.shape)
        axes.imshow(painted, cmap=palette, vmin=-0.5, vmax=len(names) - 0.5, interpolation="nearest", extent=extent)
        entries: list[Artist] = [
            Patch(color=colour, label=f"{_plain(name)}  {share:.0%}")
            for colour, name, share in zip(colours, names, counts[: len(names)], strict=True)
        ]
        if (~answered).any():
            entries.append(Patch(facecolor="white", edgecolor=PALE, label="no answer"))
        _legend_below(axes, entries)
        return _png(figure)


def confidence_map(confidence: NDArray[np.floating], grid: Grid | None = None, *, title: str = "") -> bytes:
    """Returns a map of the winning class's probability ``(y, x)``, 0 to 1, NaN where there is no answer."""
    values = _thin(np.asarray(confidence, dtype=np.float32))
    with rc_context(_STYLE):
        figure, axes = _map_axes(grid, values.shape, title)
        image = axes.imshow(
            np.ma.masked_invalid(values),
            cmap="cividis",
            vmin=0,
            vmax=1,
            interpolation="nearest",
            extent=_extent(grid, values.shape),
        )
        bar = figure.colorbar(image, ax=axes, orientation="horizontal", fraction=0.04, pad=0.13, aspect=40)
        bar.set_label("probability of the class shown (not calibrated)")
        bar.outline.set_visible(False)
        return _png(figure)


def fold_map(
    eastings: NDArray[np.floating],
    northings: NDArray[np.floating],
    folds: NDArray[np.integer],
    bounds: Bounds,
    block_m: float,
    buffer_m: float,
    *,
    origin: tuple[float, float] | None = None,
    title: str = "",
) -> bytes:
    """Returns a map of samples coloured by fold, with the block's edge and the buffer as scale.

    Args:
        eastings: of the samples, metres.
        northings: of the samples, metres.
        folds: fold number of each sample; a negative number marks a sample that was left out.
        bounds: the ground to draw.
        block_m: edge of a block.
        buffer_m: ground left empty around a test block.
        origin: easting and northing of any block's corner; the block edges are drawn when it is given.
        title: one line above the map.
    """
    with rc_context(_STYLE):
        figure, axes = _map_axes(None, (1, 1), title)
        width_km, height_km = (bounds.right - bounds.left) / 1e3, (bounds.top - bounds.bottom) / 1e3
        figure.set_size_inches(WIDTH_IN, min(max(WIDTH_IN * height_km / width_km, 3.5), 9) + 1.2)
        axes.set_axis_on()
        _km_axes(axes)
        axes.set_xlim(bounds.left / 1e3, bounds.right / 1e3)
        axes.set_ylim(bounds.bottom / 1e3, bounds.top / 1e3)
        axes.set_aspect("equal")
        if origin is not None:
            first = [o + np.floor((b - o) / block_m) * block_m for o, b in zip(origin, bounds.as_tuple(), strict=False)]
            for easting in np.arange(first[0], bounds.right, block_m):
                axes.axvline(easting / 1e3, color=FAINT, lw=0.8, zorder=0)
            for northing in np.arange(first[1], bounds.top, block_m):
                axes.axhline(northing / 1e3, color=FAINT, lw=0.8, zorder=0)
        entries: list[Artist] = []
        for fold in sorted({int(f) for f in folds}, key=lambda f: (f < 0, f)):
            mine = folds == fold
            colour = GROUPS[fold % len(GROUPS)] if fold >= 0 else PALE
            label = f"fold {fold + 1}" if fold >= 0 else "left out (buffer)"
            axes.scatter(eastings[mine] / 1e3, northings[mine] / 1e3, s=4, c=colour, lw=0, zorder=2)
            entries.append(Line2D([], [], marker="o", ls="", ms=6, color=colour, label=f"{label}  {int(mine.sum()):,}"))
        _legend_below(axes, entries)
        axes.annotate(
            f"block {block_m / 1e3:g} km · buffer {buffer_m:g} m",
            (1, 1.0),
            xycoords="axes fraction",
            xytext=(0, 6),
            textcoords="offset points",
            ha="right",
            color=QUIET,
            fontsize=9,
        )
        return _png(figure)


def score_bars(spatial: Mapping[str, Score], random: Mapping[str, Score], *, title: str = "") -> bytes:
    """Returns paired bars: scores over spatial folds (they count) beside scores over random folds (they do not).

    Args:
        spatial: scores by metric; the whisker is the 95 % interval from blocks.
        random: the same metrics over random folds, drawn hollow.
        title: one line above the bars.
    """
    metrics = [m for m in spatial if m in random] or list(spatial)
    rows = np.arange(len(metrics))[::-1].astype(float)
    with rc_context(_STYLE):
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
        axes.set_yticks(rows, [_plain(m).replace("_", " ") for m in metrics], color=INK)
        axes.set_xlim(min(0.0, *(s.low for s in (*spatial.values(), *random.values()))), 1)
        axes.set_xlabel("score (0 to 1); whiskers: 95 % interval from blocks")
        _bare(axes, grid_axis="x")
        axes.set_title(title)
        figure.legend(loc="outside lower center", ncols=2, fontsize=9)
        return _png(figure)


def confusion(matrix: NDArray[np.integer] | Sequence[Sequence[int]], names: Sequence[str], *, title: str = "") -> bytes:
    """Returns a confusion matrix: rows are labels, columns answers; shade and percent are shares of a row."""
    counts = np.asarray(matrix, dtype=np.int64)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    edge = 1.6 + 0.85 * len(names)
    with rc_context(_STYLE):
        figure = Figure(figsize=(edge + 0.6, edge), layout="constrained")
        axes = figure.add_subplot()
        axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        for (row, column), share in np.ndenumerate(shares):
            colour = "white" if share > 0.55 else INK
            axes.text(column, row - 0.1, f"{share:.0%}", ha="center", va="center", color=colour, fontsize=11)
            text = f"{counts[row, column]:,}"
            axes.text(column, row + 0.22, text, ha="center", va="center", color=colour, fontsize=7.5)
        plain = [_plain(n) for n in names]
        axes.set_xticks(range(len(names)), plain, rotation=30 if max(map(len, plain)) > 7 else 0, color=INK)
        axes.set_yticks(range(len(names)), plain, color=INK)
        axes.set_xlabel("answer of the model")
        axes.set_ylabel("label")
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
        axes.set_title(title)
        return _png(figure)


def importance(
    names: Sequence[str], values: Sequence[float] | NDArray[np.floating], *, title: str = "", unit: str = "importance"
) -> bytes:
    """Returns bars of feature importance, most important first, at most 20; ``unit`` names the axis."""
    order = np.argsort(-np.asarray(values, dtype=float), kind="stable")[:20]
    with rc_context(_STYLE):
        figure = Figure(figsize=(WIDTH_IN, 1.2 + 0.3 * len(order)), layout="constrained")
        axes = figure.add_subplot()
        rows = np.arange(len(order))[::-1]
        axes.barh(rows, np.asarray(values, dtype=float)[order], height=0.66, color=STRONG)
        axes.set_yticks(rows, [_plain(names[i]) for i in order], color=INK)
        axes.set_xlabel(unit)
        _bare(axes, grid_axis="x")
        axes.set_title(title)
        return _png(figure)


def drift_bars(statistics: Sequence[Statistic], threshold: float, *, title: str = "") -> bytes:
    """Returns one bar per column: its distance from the reference, against the fixed threshold.

    Band columns come first; the signed shift of the mean is written behind each bar.
    """
    rows = np.arange(len(statistics))[::-1]
    reach = max([s.distance for s in statistics] + [threshold]) * 1.28
    with rc_context(_STYLE):
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
        axes.set_yticks(rows, [_plain(s.column) for s in statistics], color=INK)
        axes.set_xlim(0, reach)
        axes.set_xlabel("distance from the reference (tile means, in reference standard deviations)")
        _bare(axes, grid_axis="x")
        axes.set_title(title)
        entries = [
            Patch(color=STRONG, label="within"),
            Patch(color=ALARM, label="beyond"),
            Line2D([], [], color=INK, lw=1, ls=(0, (4, 3)), label=f"threshold {threshold:g}, fixed, uncalibrated"),
        ]
        _legend_below(axes, entries)
        return _png(figure)


def timings(steps: Sequence[tuple[str, float]], *, title: str = "") -> bytes:
    """Returns seconds per step, in the order in which the steps ran."""
    rows = np.arange(len(steps))[::-1]
    longest = max([s for _, s in steps] + [1e-9])
    with rc_context(_STYLE):
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
        axes.set_yticks(rows, [_plain(name) for name, _ in steps], color=INK)
        axes.set_xlim(0, longest * 1.15)
        axes.set_xlabel("seconds")
        _bare(axes, grid_axis="x")
        axes.set_title(title)
        return _png(figure)


def _thin(array: NDArray[Any]) -> NDArray[Any]:
    # Every n-th pixel is enough for a picture and keeps codes what they are.
    step = max(1, -(-max(array.shape[-2:]) // _MOST_PX))
    return array[..., ::step, ::step]


def _extent(grid: Grid | None, shape: tuple[int, ...]) -> tuple[float, float, float, float]:
    if grid is None:
        return 0.0, float(shape[-1]), float(shape[-2]), 0.0
    b = grid.bounds
    return b.left / 1e3, b.right / 1e3, b.bottom / 1e3, b.top / 1e3


def _map_axes(grid: Grid | None, shape: tuple[int, ...], title: str) -> tuple[Figure, Axes]:
    height, width = shape[-2:]
    figure = Figure(figsize=(WIDTH_IN, min(max(WIDTH_IN * height / width, 2.5), 9) + 0.9), layout="constrained")
    axes = figure.add_subplot()
    axes.set_title(title)
    axes.spines[:].set_visible(False)
    if grid is None:
        axes.set_axis_off()
    else:
        _km_axes(axes, grid.crs)
    return figure, axes


def _km_axes(axes: Axes, crs: str = "") -> None:
    axes.set_xlabel("easting, km" + (f"  ({crs})" if crs else ""))
    axes.set_ylabel("northing, km")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(6))
        axis.set_major_formatter(FuncFormatter(_km))
    axes.tick_params(length=3)


def _km(value: float, _: object) -> str:
    return f"{value:,.0f}" if value == round(value) else f"{value:,.1f}"


def _bare(axes: Axes, *, grid_axis: str) -> None:
    axes.spines[["top", "right", "bottom"]].set_visible(False)
    axes.tick_params(length=0)
    axes.grid(axis=grid_axis, color=FAINT, lw=0.8)  # type: ignore[arg-type]
    axes.set_axisbelow(True)


def _legend_below(axes: Axes, entries: Sequence[Artist]) -> None:
    figure = axes.get_figure()
    assert isinstance(figure, Figure)
    figure.legend(handles=list(entries), loc="outside lower center", ncols=min(len(entries), 4), fontsize=9)


def _shift(s: Statistic) -> str:
    if s.column.startswith("class") or s.column == "confidence":
        return f"{s.mean_shift:+.2f}"
    return f"{s.mean_shift:+,.0f} DN"


def _plain(name: str) -> str:
    # A dollar sign would start mathematics in matplotlib.
    return (name if len(name) <= 36 else f"{name[:35]}…").replace("$", r"\$")


def _png(figure: Figure) -> bytes:
    FigureCanvasAgg(figure)
    stream = io.BytesIO()
    figure.savefig(
        stream,
        format="png",
        dpi=DPI,
        facecolor="white",
        metadata={"Software": None},
        bbox_inches="tight",
        pad_inches=0.06,
    )
    return stream.getvalue()
