"""Drawings as SVG inside a page: axes, lines, points. Sharp on any screen, readable without a script."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

from geoml_ops.adapters.pages.numbers import number

INK, QUIET, LINE, BLUE, ORANGE = "#1c2733", "#5b6875", "#d8dee4", "#0072b2", "#d55e00"
LETTER_PX = 6.4
"""Width of a letter of the drawings' type, for room that labels need."""


@dataclass(frozen=True)
class Scale:
    """Numbers to pixels: ``low`` is at ``start``, ``high`` at ``end``."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """Returns the pixel of a number."""
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)


def finite(values: Iterable[float | None]) -> list[float]:
    """Returns the numbers that are there."""
    return [value for value in values if value is not None and math.isfinite(value)]


def span(values: Iterable[float | None], *, zero: bool = False, room: float = 0.06) -> tuple[float, float]:
    """Returns a range that holds the numbers with some room; never empty."""
    known = finite(values) + ([0.0] if zero else [])
    low, high = min(known, default=0.0), max(known, default=1.0)
    if high - low <= 1e-9 * max(abs(low), abs(high)) or high == low:
        half = max(abs(high), 1.0) / 2
        return (low if zero and low == 0 else low - half), high + half
    margin = room * (high - low)
    return (low if zero and low == 0 else low - margin), (high if zero and high == 0 else high + margin)


def ticks(low: float, high: float, most: int = 5) -> list[float]:
    """Returns round numbers in a range: steps of 1, 2 or 5 times a power of ten."""
    raw = (high - low) / max(most, 1)
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * m for m in (1, 2, 5, 10) if power * m >= raw * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [i * step + 0.0 for i in range(first, math.floor(high / step + 1e-9) + 1)]


def svg(width: float, height: float, label: str, *parts: str) -> str:
    """Returns a drawing; ``label`` says in text what it shows, parts are SVG."""
    return (
        f'<svg class="drawn" viewBox="0 0 {width:g} {height:g}" role="img" '
        f'aria-label="{escape(label, quote=True)}">{"".join(parts)}</svg>'
    )


def text(x: float, y: float, words: str, *, anchor: str = "start", ink: bool = False, bold: bool = False) -> str:
    """Returns text at a point; ``anchor`` is start, middle or end."""
    kind = ' class="ink"' if ink else ""
    heavy = ' font-weight="650"' if bold else ""
    return f'<text{kind}{heavy} x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(words)}</text>'


def segment(x0: float, y0: float, x1: float, y1: float, ink: str = LINE, *, dash: str = "", width: float = 1) -> str:
    """Returns a straight line."""
    dashed = f' stroke-dasharray="{dash}"' if dash else ""
    ends = f'x1="{x0:.1f}" y1="{y0:.1f}" x2="{x1:.1f}" y2="{y1:.1f}"'
    return f'<line {ends} stroke="{ink}" stroke-width="{width:g}"{dashed}/>'


def polyline(points: Sequence[tuple[float, float]], ink: str, *, dash: str = "", width: float = 2) -> str:
    """Returns a line through points; nothing for fewer than two."""
    if len(points) < 2:
        return ""
    dashed = f' stroke-dasharray="{dash}"' if dash else ""
    through = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return f'<polyline points="{through}" fill="none" stroke="{ink}" stroke-width="{width:g}"{dashed}/>'


def rectangle(x: float, y: float, width: float, height: float, ink: str, *, opacity: float = 1, title: str = "") -> str:
    """Returns a filled rectangle, with words for whoever points at it."""
    said = f"<title>{escape(title)}</title>" if title else ""
    shape = f'x="{x:.1f}" y="{y:.1f}" width="{max(width, 0):.1f}" height="{max(height, 0):.1f}"'
    see = f' fill-opacity="{opacity:g}"' if opacity < 1 else ""
    return f'<rect {shape} fill="{ink}"{see}>{said}</rect>' if said else f'<rect {shape} fill="{ink}"{see}/>'


def dot(x: float, y: float, ink: str, *, title: str = "", hollow: bool = False, radius: float = 4) -> str:
    """Returns a point, with words for whoever points at it."""
    said = f"<title>{escape(title)}</title>" if title else ""
    fill = "#fff" if hollow else ink
    circle = f'cx="{x:.1f}" cy="{y:.1f}" r="{radius:g}" fill="{fill}" stroke="{ink}" stroke-width="1.4"'
    return f"<circle {circle}>{said}</circle>"


def linked(address: str, drawn: str) -> str:
    """Returns SVG that leads to an address inside the dashboard."""
    return f'<a href="{escape(address, quote=True)}">{drawn}</a>' if address else drawn


def rows_of_numbers(scale: Scale, left: float, right: float, *, most: int = 5) -> str:
    """Returns the horizontal lines of a vertical axis with their numbers at the left."""
    drawn = []
    for value in ticks(scale.low, scale.high, most):
        y = scale(value)
        drawn.append(segment(left, y, right, y) + text(left - 8, y + 4, number(value), anchor="end"))
    return "".join(drawn)
