"""Pictures of numbers as SVG inside a page: an interval against its margin, scores side by side, reliability.

Coordinates are pixels from the upper left corner. Colours tell groups apart for the colour-blind too
(Okabe and Ito 2008), and every picture carries its numbers as words.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from geoml_ops.core.evidence import Bin, Score

INK, QUIET, FAINT = "#1c2733", "#5b6875", "#d8dee4"
BLUE, WORSE, AS_GOOD, BETTER = "#0072b2", "#f7ddcb", "#f6efd6", "#d9efe6"
_WIDTH = 720.0
_FAR = 1e6


class Axis:
    """Values to pixels, and round numbers in between; a range without extent is given some."""

    def __init__(self, values: Sequence[float], left: float, right: float, room: float = 0.08) -> None:
        """Fits an axis around values; ``room`` is the share of their extent left free at both ends."""
        held = [min(max(value, -_FAR), _FAR) for value in values]
        low, high = min(held), max(held)
        extent = high - low
        if extent <= 1e-9 * max(abs(low), abs(high), 1.0):
            extent = max(abs(high), 1e-3)
        self.low, self.high = low - room * extent, high + room * extent
        self.left, self.right = left, right

    def at(self, value: float) -> float:
        """Returns the pixel of a value; what lies beyond the axis stands at its end."""
        share = (value - self.low) / (self.high - self.low)
        return round(self.left + min(max(share, 0.0), 1.0) * (self.right - self.left), 1)

    def ticks(self, about: int = 6) -> list[float]:
        """Returns round numbers on the axis: steps of 1, 2 or 5 times a power of ten."""
        rough = (self.high - self.low) / about
        power = 10.0 ** math.floor(math.log10(rough))
        step = next((power * m for m in (1, 2, 5) if power * m >= rough), power * 10)
        first = math.ceil(self.low / step)
        return [n * step for n in range(first, math.floor(self.high / step) + 1)]


def against_margin(difference: Score, margin: float, detectable: float, unit: str = "") -> str:
    """Returns a difference with its interval, against 0 and the margin.

    Ground left of the margin is "worse", between margin and 0 "as good", right of 0 "better".

    Args:
        difference: challenger minus the other.
        margin: loss that is still as good, >= 0.
        detectable: smallest difference that this evidence would usually show, >= 0.
        unit: written below the axis.
    """
    axis = Axis((difference.low, difference.high, difference.value, -margin, 0.0, detectable), 20, _WIDTH - 20)
    top, line, bottom = 12.0, 52.0, 90.0
    zones = ((axis.low, -margin, WORSE), (-margin, 0.0, AS_GOOD), (0.0, axis.high, BETTER))
    parts = [_box(axis.at(a), top, axis.at(b) - axis.at(a), bottom - top, colour) for a, b, colour in zones if b > a]
    parts += [_line(axis.at(0), top - 6, axis.at(0), bottom, INK, 1.6)]
    if margin > 0:
        parts += [_line(axis.at(-margin), top, axis.at(-margin), bottom, QUIET, 1.2, "5 4")]
    if detectable > 0:
        parts += [_line(axis.at(detectable), top, axis.at(detectable), bottom, BLUE, 1.2, "2 3")]
    parts += _interval(axis, difference, line, 5)
    middle = min(max(axis.at(difference.value), 100.0), _WIDTH - 100.0)
    halo = 'paint-order="stroke" stroke="#fff" stroke-width="4" stroke-opacity=".75"'
    said = f"{difference.value:+.3f}  [{difference.low:+.3f}, {difference.high:+.3f}]"
    parts.append(_text(middle, line - 16, said, weight=600, size=14, more=halo))
    parts += _scale(axis, bottom, "+.10g")
    parts.append(_text(_WIDTH / 2, bottom + 38, unit, colour=QUIET, size=12))
    label = (
        f"Difference {difference.value:+.3f}, interval {difference.low:+.3f} to {difference.high:+.3f}, "
        f"margin {margin:.3f}, detectable {detectable:.3f}"
    )
    return _svg(_WIDTH, bottom + 46, label, parts) + _legend(
        ((WORSE, "worse than the margin allows"), (AS_GOOD, "as good, within the margin"), (BETTER, "better")),
        "Dashed: the margin. Dotted: the smallest gain that this evidence would usually show.",
    )


def small_interval(difference: Score, margin: float, reach: float) -> str:
    """Returns a difference as a small picture for a table's cell, all on the scale ``-reach`` to ``reach``."""
    axis = Axis((-reach, reach), 4, 176, room=0.02)
    parts = [
        _line(axis.at(0), 1, axis.at(0), 21, INK, 1),
        _line(axis.at(-margin), 1, axis.at(-margin), 21, QUIET, 1, "3 3"),
        *_interval(axis, difference, 11, 3.5),
    ]
    label = f"{difference.value:+.3f}, {difference.low:+.3f} to {difference.high:+.3f}"
    return _svg(180, 22, label, parts)


def side_by_side(rows: Sequence[tuple[str, str, Score, bool]]) -> str:
    """Returns scores with their intervals under each other on one scale.

    Args:
        rows: name, a quiet word about it, the score, and whether it counts; what does not is drawn hollow.
    """
    left, height = 250.0, 38.0
    axis = Axis([v for _, _, s, _ in rows for v in (s.low, s.high, s.value)], left, _WIDTH - 64, room=0.1)
    bottom = height * len(rows) + 8
    parts = [_line(axis.at(t), 4, axis.at(t), bottom, FAINT, 1) for t in axis.ticks()]
    for number, (name, about, found, counts) in enumerate(rows):
        middle = 8 + height * number + height / 2
        parts.append(_text(0, middle - 2, _short(name, 34), anchor="start", weight=600 if counts else 400, size=13))
        parts.append(_text(0, middle + 13, _short(about, 44), anchor="start", colour=QUIET, size=11))
        parts += _interval(axis, found, middle, 5, hollow=not counts)
        parts.append(_text(_WIDTH - 4, middle + 5, f"{found.value:.3f}", anchor="end", weight=600 if counts else 400))
    parts += _scale(axis, bottom, ".10g")
    label = "; ".join(f"{name}: {s.value:.3f}, {s.low:.3f} to {s.high:.3f}" for name, _, s, _ in rows)
    return _svg(_WIDTH, bottom + 28, label, parts)


def reliability(bins: Sequence[Bin]) -> str:
    """Returns a reliability diagram: how often answers of each confidence are right, and how many there are.

    On the diagonal, answers are as often right as they claim. Circles are as large as their bin is full.
    """
    edge, left, top = 260.0, 46.0, 10.0
    full = max((b.n for b in bins), default=0) or 1

    def place(share: float, accuracy: float) -> tuple[float, float]:
        return round(left + share * edge, 1), round(top + (1 - accuracy) * edge, 1)

    parts = [_box(left, top, edge, edge, "#fff", FAINT)]
    for tick in (0.0, 0.25, 0.5, 0.75, 1.0):
        along, up = place(tick, tick)
        parts += [_line(along, top, along, top + edge, FAINT, 0.8), _line(left, up, left + edge, up, FAINT, 0.8)]
        parts += [_text(along, top + edge + 16, f"{tick:g}", colour=QUIET, size=11)]
        parts += [_text(left - 8, up + 4, f"{tick:g}", anchor="end", colour=QUIET, size=11)]
    parts.append(_line(*place(0, 0), *place(1, 1), QUIET, 1.2, "5 4"))
    drawn = [b for b in bins if b.n > 0]
    points = " ".join("{},{}".format(*place(_unit(b.confidence), _unit(b.accuracy))) for b in drawn)
    parts.append(f'<polyline points="{points}" fill="none" stroke="{BLUE}" stroke-width="1.6"/>')
    for b in drawn:
        along, up = place(_unit(b.confidence), _unit(b.accuracy))
        radius = round(3 + 7 * math.sqrt(b.n / full), 1)
        parts.append(f'<circle cx="{along}" cy="{up}" r="{radius}" fill="{BLUE}" fill-opacity=".75"/>')
    parts.append(_text(left + edge / 2, top + edge + 34, "confidence of the answer", colour=QUIET, size=12))
    turned = f'transform="rotate(-90 12 {top + edge / 2})"'
    parts.append(_text(12, top + edge / 2, "share that is right", colour=QUIET, size=12, more=turned))
    label = "; ".join(f"confidence {b.confidence:.2f}: {b.accuracy:.0%} of {b.n} right" for b in drawn)
    return _svg(left + edge + 14, top + edge + 44, f"Reliability. {label}", parts)


def _unit(share: float) -> float:
    return min(max(share, 0.0), 1.0)


def _short(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _interval(axis: Axis, found: Score, y: float, radius: float, hollow: bool = False) -> list[str]:
    low, high, middle = axis.at(found.low), axis.at(found.high), axis.at(found.value)
    colour, inside = (QUIET, "#fff") if hollow else (INK, INK)
    return [
        _line(low, y, high, y, colour, radius / 2),
        _line(low, y - radius, low, y + radius, colour, radius / 2.5),
        _line(high, y - radius, high, y + radius, colour, radius / 2.5),
        f'<circle cx="{middle}" cy="{y}" r="{radius}" fill="{inside}" stroke="{colour}" stroke-width="1.5"/>',
    ]


def _scale(axis: Axis, y: float, form: str) -> list[str]:
    parts = [_line(axis.left, y, axis.right, y, QUIET, 1)]
    for tick in axis.ticks():
        value = 0.0 if abs(tick) < (axis.high - axis.low) * 1e-9 else tick
        parts.append(_line(axis.at(tick), y, axis.at(tick), y + 4, QUIET, 1))
        parts.append(_text(axis.at(tick), y + 18, format(value, form) if value else "0", colour=QUIET, size=11))
    return parts


def _legend(zones: Sequence[tuple[str, str]], after: str) -> str:
    each = "".join(
        f'<span class=swatch style="background:{colour}"></span>{escape(name)} &nbsp; ' for colour, name in zones
    )
    return f'<p class="quiet small">{each}{escape(after)}</p>'


def _svg(width: float, height: float, label: str, parts: Sequence[str]) -> str:
    said = escape(label, quote=True)
    return (
        f'<svg viewBox="0 0 {width:g} {height:g}" width="{width:g}" height="{height:g}" role="img" '
        f'aria-label="{said}">{"".join(parts)}</svg>'
    )


def _box(x: float, y: float, width: float, height: float, fill: str, stroke: str = "none") -> str:
    size = f'width="{max(width, 0.0):.1f}" height="{height:g}"'
    return f'<rect x="{x:.1f}" y="{y:g}" {size} fill="{fill}" stroke="{stroke}"/>'


def _line(x1: float, y1: float, x2: float, y2: float, colour: str, thick: float, dashes: str = "") -> str:
    broken = f' stroke-dasharray="{dashes}"' if dashes else ""
    return (
        f'<line x1="{x1:g}" y1="{y1:g}" x2="{x2:g}" y2="{y2:g}" stroke="{colour}" stroke-width="{thick:.2g}"{broken}/>'
    )


def _text(
    x: float,
    y: float,
    text: str,
    *,
    anchor: str = "middle",
    colour: str = INK,
    weight: int = 400,
    size: int = 13,
    more: str = "",
) -> str:
    return (
        f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}" fill="{colour}" font-weight="{weight}" '
        f'font-size="{size}" {more}>{escape(text)}</text>'
    )
