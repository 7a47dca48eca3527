"""Where one model answers better than another: differences per block, on the ground."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.collections import PatchCollection
from matplotlib.colors import LinearSegmentedColormap, Normalize
from matplotlib.patches import Rectangle

from geoml_ops.adapters.plots.canvas import ALARM, INK, QUIET, STRONG, STYLE, WIDTH_IN, as_png, km_axes, map_axes
from geoml_ops.core.evidence import BlockDifference

#: Orange for a loss, nearly white for none, blue for a gain: apart for the colour-blind, and in grey by its ends.
_DIVERGING = LinearSegmentedColormap.from_list("gain", [ALARM, "#f7f3ee", STRONG])
_BAR_STEPS = (1, 2, 5)


def block_differences(
    blocks: Sequence[BlockDifference],
    block_m: float,
    *,
    title: str = "",
    unit: str = "challenger minus the other (share of right answers)",
    words: tuple[str, str, str] = ("better", "worse", "equal"),
) -> bytes:
    """Returns a map of blocks coloured by a difference, challenger minus other for instance, symmetric about 0.

    Squares lie around the blocks' middles whatever their shape; a number in a square counts its samples
    where there is room for it.

    Args:
        blocks: of one comparison, at least one.
        block_m: edge of a block in metres, > 0.
        title: one line above the map.
        unit: what the difference is.
        words: for blocks above, below and at 0.
    """
    east = np.array([b.easting for b in blocks]) / 1e3
    north = np.array([b.northing for b in blocks]) / 1e3
    gain = np.array([b.difference for b in blocks])
    edge, reach = block_m / 1e3, max(float(np.abs(gain).max(initial=0.0)), 0.01)
    left, right = float(east.min()) - edge, float(east.max()) + edge
    bottom, top = float(north.min()) - edge, float(north.max()) + edge
    with rc_context(STYLE):
        figure, axes = map_axes(None, (1, 1), title)
        height_in = WIDTH_IN * (top - bottom) / (right - left)
        figure.set_size_inches(WIDTH_IN, min(max(height_in, 2.5), 9) + 1.7)
        axes.set_axis_on()
        km_axes(axes)
        axes.set_xlim(left, right)
        axes.set_ylim(bottom, top)
        axes.set_aspect("equal")
        squares = [Rectangle((e - edge / 2, n - edge / 2), edge, edge) for e, n in zip(east, north, strict=True)]
        drawn = PatchCollection(squares, cmap=_DIVERGING, norm=Normalize(-reach, reach), edgecolor=QUIET, lw=0.4)
        drawn.set_array(gain)
        axes.add_collection(drawn)
        square_in = WIDTH_IN * edge / (right - left)
        if square_in > 0.3:
            for e, n, b in zip(east, north, blocks, strict=True):
                shade = abs(b.difference) / reach
                colour = "white" if shade > 0.65 else INK
                size = min(9.0, 18 * square_in)
                axes.text(e, n, f"{b.n:,}", ha="center", va="center", fontsize=size, color=colour)
        bar = figure.colorbar(drawn, ax=axes, orientation="horizontal", fraction=0.05, pad=0.14, aspect=40)
        bar.set_label(unit)
        bar.outline.set_visible(False)
        _scale_bar(axes, right - left)
        counts = [int((gain > 0).sum()), int((gain < 0).sum()), int((gain == 0).sum())]
        axes.annotate(
            " · ".join(f"{word} in {count}" for word, count in zip(words, counts, strict=True)),
            (1, 1.0),
            xycoords="axes fraction",
            xytext=(0, 6),
            textcoords="offset points",
            ha="right",
            color=QUIET,
            fontsize=9,
        )
        return as_png(figure)


def _scale_bar(axes: Axes, width_km: float) -> None:
    """Draws a bar of 1, 2 or 5 times a power of ten, about a fifth of the map long."""
    power = 10.0 ** np.floor(np.log10(width_km / 5))
    length = max(step * power for step in _BAR_STEPS if step * power <= width_km / 4)
    said = f"{length:g} km" if length >= 1 else f"{1000 * length:g} m"
    share = length / width_km
    axes.plot([0.02, 0.02 + share], [0.02, 0.02], transform=axes.transAxes, color=INK, lw=2.5, solid_capstyle="butt")
    axes.text(0.04 + share, 0.02, said, transform=axes.transAxes, ha="left", va="center", fontsize=9)
