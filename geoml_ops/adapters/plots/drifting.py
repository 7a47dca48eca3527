"""A picture of where a scene departs from the usual: tiles by how far, hot-spots outlined."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

import numpy as np
from matplotlib import patheffects, rc_context
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from numpy.typing import NDArray

from geoml_ops.adapters.plots.canvas import (
    ALARM,
    FAINT,
    INK,
    PALE,
    QUIET,
    STYLE,
    as_png,
    extent_km,
    legend_below,
    map_axes,
)
from geoml_ops.core.grid import Grid

#: Pale is as usual, dark is far from it; blue alone, so that the outlines' vermilion is read by everyone.
_FARTHER = LinearSegmentedColormap.from_list("farther", ["#f3f6f9", "#a9cbe4", "#3d8fc4", "#0b4f85", "#04223d"])
_LEAST_REACH, _MOST_NAMED, _LINE = 4.0, 9, 62
_EDGE = [patheffects.Stroke(linewidth=4.2, foreground="white"), patheffects.Normal()]


def drift_map(
    values: NDArray[np.floating],
    spots: NDArray[np.integer],
    alarms: Sequence[bool],
    grid: Grid,
    *,
    metric: bool = True,
    unit: str = "largest departure over bands, in standard deviations",
    title: str = "",
) -> bytes:
    """Returns a map of tiles coloured by how far they depart from the usual, with numbered hot-spots outlined.

    Args:
        values: ``(y, x)`` departure of each tile, >= 0; NaN where there is none.
        spots: ``(y, x)`` number of the hot-spot that a tile is in, from 1; 0 for none.
        alarms: for each hot-spot whether it is more than scenes in control show; drawn solid, others dashed.
        grid: one pixel per tile.
        metric: whether the CRS measures in metres; only then the map has axes in km and a scale bar.
        unit: what the colours tell.
        title: above the map; long ones are broken into lines.
    """
    values = np.asarray(values, dtype=np.float64)
    seen = np.isfinite(values)
    reach = max(_LEAST_REACH, float(np.quantile(values[seen], 0.99))) if seen.any() else _LEAST_REACH
    with rc_context(STYLE):
        figure, axes = map_axes(grid if metric else None, values.shape, textwrap.fill(title, _LINE).replace("$", r"\$"))
        extent = extent_km(grid if metric else None, values.shape)
        axes.set_facecolor(FAINT)
        image = axes.imshow(
            np.ma.masked_invalid(values), cmap=_FARTHER, vmin=0, vmax=reach, interpolation="nearest", extent=extent
        )
        _outline(axes, spots, alarms, extent)
        if metric:
            _scale_bar(axes, grid)
        bar = figure.colorbar(
            image, ax=axes, orientation="horizontal", fraction=0.04, pad=0.13, aspect=40, extend="max"
        )
        bar.set_label(unit)
        bar.outline.set_visible(False)
        legend_below(axes, _entries(alarms, bool((~seen).any())))
        return as_png(figure)


def _entries(alarms: Sequence[bool], holes: bool) -> list[Artist]:
    found: list[Artist] = [Patch(facecolor=_FARTHER(0.0), edgecolor=PALE, label="as usual")]
    found.append(Patch(color=_FARTHER(0.85), label="far from usual"))
    if any(alarms):
        found.append(Line2D([], [], color=ALARM, lw=2.2, label="hot-spot, more than in calm scenes"))
    if not all(alarms):
        found.append(Line2D([], [], color=ALARM, lw=2.2, ls=(0, (3, 1.5)), label="stands out, no alarm"))
    if holes:
        found.append(Patch(color=FAINT, label="not observed"))
    return found


def _outline(
    axes: Axes, spots: NDArray[np.integer], alarms: Sequence[bool], extent: tuple[float, float, float, float]
) -> None:
    left, right, bottom, top = extent
    height, width = spots.shape
    for number, alarm in enumerate(alarms, 1):
        inside = spots == number
        if not inside.any():
            continue
        segments = _edges(inside) * [(right - left) / width, (bottom - top) / height] + [left, top]
        style = "solid" if alarm else (0, (3, 1.5))
        lines = LineCollection(
            list(segments), colors=ALARM, linewidths=2.2, linestyles=[style], zorder=3, clip_on=False
        )
        lines.set_path_effects(_EDGE if alarm else [])
        axes.add_collection(lines, autolim=False)
        if number <= _MOST_NAMED:
            rows, cols = np.nonzero(inside)
            middle = int(np.argmin((rows - rows.mean()) ** 2 + (cols - cols.mean()) ** 2))
            place = (
                left + (cols[middle] + 0.5) * (right - left) / width,
                top + (rows[middle] + 0.5) * (bottom - top) / height,
            )
            text = axes.annotate(str(number), place, ha="center", va="center", fontsize=9, weight="bold", color=ALARM)
            text.set_path_effects([patheffects.withStroke(linewidth=2.5, foreground="white")])


def _edges(inside: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Returns ``(edges, 2, 2)`` the sides between tiles inside and outside, as (column, row) of both ends."""
    held = np.pad(inside, 1)
    flat = np.argwhere(held[1:, :] != held[:-1, :])
    upright = np.argwhere(held[:, 1:] != held[:, :-1])
    sides = [np.stack([np.stack([c - 1, r], 1), np.stack([c, r], 1)], 1) for r, c in [flat.T]]
    sides += [np.stack([np.stack([c, r - 1], 1), np.stack([c, r], 1)], 1) for r, c in [upright.T]]
    return np.concatenate(sides).astype(np.float64)


def _scale_bar(axes: Axes, grid: Grid) -> None:
    """Draws a bar of 1, 2 or 5 times a power of ten metres, about a quarter of the width."""
    most = grid.width * grid.pixel_m / 3
    power = 10.0 ** np.floor(np.log10(most))
    length = power * max(n for n in (1, 2, 5) if n * power <= most)
    b = grid.bounds
    x, y = b.left + 0.04 * (b.right - b.left), b.bottom + 0.05 * (b.top - b.bottom)
    ends = [x / 1e3, (x + length) / 1e3]
    axes.plot(ends, [y / 1e3] * 2, color=INK, lw=3, solid_capstyle="butt", path_effects=_EDGE, zorder=4)
    text = axes.annotate(
        f"{length / 1e3:g} km" if length >= 1e3 else f"{length:g} m",
        (float(np.mean(ends)), y / 1e3),
        xytext=(0, 4),
        textcoords="offset points",
        ha="center",
        fontsize=9,
        color=QUIET,
        zorder=4,
    )
    text.set_path_effects([patheffects.withStroke(linewidth=2.5, foreground="white")])
