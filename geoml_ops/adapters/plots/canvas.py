"""What all pictures share: colours, letters, axes in kilometres, and the way to PNG bytes."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator
from numpy.typing import NDArray

from geoml_ops.core.grid import Grid

# Okabe and Ito (2008), without the yellow that vanishes on white.
GROUPS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#d55e00", "#56b4e9", "#6b6b6b", "#7a5195")
INK, QUIET, FAINT = "#1c2733", "#5b6875", "#d8dee4"
STRONG, PALE, ALARM = "#0072b2", "#b9c4cf", "#d55e00"
STYLE: Any = {
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
MOST_PX = 1200
# Narrow figures keep letters readable where two stand side by side.
WIDTH_IN, DPI = 6.2, 144


def thin(array: NDArray[Any]) -> NDArray[Any]:
    """Returns every n-th pixel of ``(…, y, x)``, no side longer than ``MOST_PX``; codes stay what they are."""
    step = max(1, -(-max(array.shape[-2:]) // MOST_PX))
    return array[..., ::step, ::step]


def extent_km(grid: Grid | None, shape: tuple[int, ...]) -> tuple[float, float, float, float]:
    """Returns left, right, bottom and top in km; in pixels, from the upper left corner, without a grid."""
    if grid is None:
        return 0.0, float(shape[-1]), float(shape[-2]), 0.0
    b = grid.bounds
    return b.left / 1e3, b.right / 1e3, b.bottom / 1e3, b.top / 1e3


def map_axes(grid: Grid | None, shape: tuple[int, ...], title: str) -> tuple[Figure, Axes]:
    """Returns a figure shaped like the ground, and its axes."""
    height, width = shape[-2:]
    figure = Figure(figsize=(WIDTH_IN, min(max(WIDTH_IN * height / width, 2.5), 9) + 0.9), layout="constrained")
    axes = figure.add_subplot()
    axes.set_title(title)
    axes.spines[:].set_visible(False)
    if grid is None:
        axes.set_axis_off()
    else:
        km_axes(axes, grid.crs)
    return figure, axes


def km_axes(axes: Axes, crs: str = "") -> None:
    """Labels axes as easting and northing in km."""
    axes.set_xlabel("easting, km" + (f"  ({crs})" if crs else ""))
    axes.set_ylabel("northing, km")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(6))
        axis.set_major_formatter(FuncFormatter(_km))
    axes.tick_params(length=3)


def _km(value: float, _: object) -> str:
    return f"{value:,.0f}" if value == round(value) else f"{value:,.1f}"


def bare(axes: Axes, *, grid_axis: str) -> None:
    """Leaves an axis without frame and ticks, with faint lines at its numbers."""
    axes.spines[["top", "right", "bottom"]].set_visible(False)
    axes.tick_params(length=0)
    axes.grid(axis=grid_axis, color=FAINT, lw=0.8)  # type: ignore[arg-type]
    axes.set_axisbelow(True)


def legend_below(axes: Axes, entries: Sequence[Artist]) -> None:
    """Puts a legend below the picture, four entries a row."""
    figure = axes.get_figure()
    assert isinstance(figure, Figure)
    figure.legend(handles=list(entries), loc="outside lower center", ncols=min(len(entries), 4), fontsize=9)


def plain(name: str) -> str:
    """Returns a name short enough for a label, and without mathematics."""
    # A dollar sign would start mathematics in matplotlib.
    return (name if len(name) <= 36 else f"{name[:35]}…").replace("$", r"\$")


def as_png(figure: Figure) -> bytes:
    """Returns the figure as PNG bytes; the same figure gives the same bytes."""
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
