"""Pictures of ground: true colour, classes, confidence, folds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.artist import Artist
from matplotlib.colors import ListedColormap
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from numpy.typing import NDArray

from geoml_ops.adapters.plots.canvas import (
    FAINT,
    GROUPS,
    PALE,
    QUIET,
    STYLE,
    WIDTH_IN,
    as_png,
    extent_km,
    km_axes,
    legend_below,
    map_axes,
    plain,
    thin,
)
from geoml_ops.core.grid import Bounds, Grid


def picture(rgb: NDArray[Any], grid: Grid | None = None, *, title: str = "") -> bytes:
    """Returns a true-colour picture.

    The haze of a top-of-atmosphere scene is taken off as each layer's 1st percentile; one gain then serves
    all three. Missing pixels (NaN, or 0 in all three layers) are white.

    Args:
        rgb: ``(3, y, x)``, red, green and blue in one unit.
        grid: gives the axes easting and northing in km.
        title: one line above the picture.
    """
    layers = thin(np.asarray(rgb, dtype=np.float32))
    seen = np.isfinite(layers).all(axis=0) & (layers != 0).any(axis=0)
    haze = np.percentile(layers[:, seen], 1, axis=1)[:, None, None] if seen.any() else 0.0
    bright = np.percentile((layers - haze)[:, seen], 98) if seen.any() else 1.0
    shown = np.clip((layers - haze) / max(float(bright), 1e-9), 0, 1) ** 0.75
    shown = np.where(seen, shown, 1.0)
    with rc_context(STYLE):
        figure, axes = map_axes(grid, layers.shape[1:], title)
        axes.imshow(np.moveaxis(shown, 0, -1), extent=extent_km(grid, layers.shape[1:]))
        return as_png(figure)


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
    codes = thin(np.asarray(classes))
    answered = classes != nodata
    counts = np.bincount(classes[answered].astype(np.int64), minlength=len(names)) / max(int(answered.sum()), 1)
    painted = np.ma.masked_where(codes == nodata, codes)
    with rc_context(STYLE):
        figure, axes = map_axes(grid, codes.shape, title)
        palette = ListedColormap(list(colours))
        extent = extent_km(grid, codes.shape)
        axes.imshow(painted, cmap=palette, vmin=-0.5, vmax=len(names) - 0.5, interpolation="nearest", extent=extent)
        entries: list[Artist] = [
            Patch(color=colour, label=f"{plain(name)}  {share:.0%}")
            for colour, name, share in zip(colours, names, counts[: len(names)], strict=True)
        ]
        if (~answered).any():
            entries.append(Patch(facecolor="white", edgecolor=PALE, label="no answer"))
        legend_below(axes, entries)
        return as_png(figure)


def confidence_map(confidence: NDArray[np.floating], grid: Grid | None = None, *, title: str = "") -> bytes:
    """Returns a map of the winning class's probability ``(y, x)``, 0 to 1, NaN where there is no answer."""
    values = thin(np.asarray(confidence, dtype=np.float32))
    with rc_context(STYLE):
        figure, axes = map_axes(grid, values.shape, title)
        image = axes.imshow(
            np.ma.masked_invalid(values),
            cmap="cividis",
            vmin=0,
            vmax=1,
            interpolation="nearest",
            extent=extent_km(grid, values.shape),
        )
        bar = figure.colorbar(image, ax=axes, orientation="horizontal", fraction=0.04, pad=0.13, aspect=40)
        bar.set_label("probability of the class shown (not calibrated)")
        bar.outline.set_visible(False)
        return as_png(figure)


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
    with rc_context(STYLE):
        figure, axes = map_axes(None, (1, 1), title)
        width_km, height_km = (bounds.right - bounds.left) / 1e3, (bounds.top - bounds.bottom) / 1e3
        figure.set_size_inches(WIDTH_IN, min(max(WIDTH_IN * height_km / width_km, 3.5), 9) + 1.2)
        axes.set_axis_on()
        km_axes(axes)
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
            label = f"fold {fold}" if fold >= 0 else "left out (buffer)"
            axes.scatter(eastings[mine] / 1e3, northings[mine] / 1e3, s=4, c=colour, lw=0, zorder=2)
            entries.append(Line2D([], [], marker="o", ls="", ms=6, color=colour, label=f"{label}  {int(mine.sum()):,}"))
        legend_below(axes, entries)
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
        return as_png(figure)
