"""The history of a stream as a drawing: charts over acquisition time with their limits, and a small one for lists."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from geoml_ops.adapters.pages.drawing import (
    BLUE,
    INK,
    QUIET,
    Scale,
    dot,
    finite,
    linked,
    polyline,
    rectangle,
    rows_of_numbers,
    segment,
    span,
    svg,
    text,
)
from geoml_ops.adapters.pages.numbers import day, number
from geoml_ops.adapters.pages.style import INKS, TONES
from geoml_ops.domain.streams import SceneRow, leading_chart

WIDTH, LEFT, RIGHT, HEIGHT, GAP = 980.0, 58.0, 966.0, 150.0, 62.0
MOST_DRAWN = 2000
FAMILIES = {"bands": "bands", "answers": "answers"}


@dataclass(frozen=True)
class Panel:
    """One number over the scenes: what it is, and of each row its value and its limit, None where there is none.

    ``family`` is that of a chart; empty for a number that all charts share.
    """

    family: str
    title: str
    values: tuple[float | None, ...]
    limits: tuple[float | None, ...]
    joined: bool


def history(rows: Sequence[SceneRow], *, drifts: str = "../drifts/") -> str:
    """Returns the drawing of a stream's scenes, oldest first: chart paths with limits, single scenes with thresholds.

    Args:
        rows: of one stream; the newest two thousand are drawn.
        drifts: address of the folder of the scenes' pages.
    """
    rows = list(rows)[-MOST_DRAWN:]
    panels = panels_of(rows)
    if not rows or not panels:
        return ""
    places, marks = _across(rows)
    height = 30 + len(panels) * (HEIGHT + GAP)
    parts = []
    for i, panel in enumerate(panels):
        top = 34 + i * (HEIGHT + GAP)
        parts.append(_panel(panel, rows, places, top, drifts))
        parts += [text(x, top + HEIGHT + 18, words, anchor="middle") for x, words in marks]
    label = f"{len(rows)} scenes from {day(rows[0].acquired)} to {day(rows[-1].acquired)}: " + "; ".join(
        panel.title for panel in panels
    )
    return f'<div class="scroll">{svg(WIDTH, height, label, *parts)}</div>'


def sparkline(rows: Sequence[SceneRow], n: int = 60) -> str:
    """Returns the last scenes as a small drawing: each as a part of its limit, which is the line across."""
    rows = list(rows)[-n:]
    shares = [nearness(row) for row in rows]
    known = finite(shares)
    if not known:
        return ""
    width, height = 280.0, 54.0
    x = Scale(0, max(len(rows) - 1, 1), 6, width - 8)
    y = Scale(0, max(1.35, min(max(known), 4.0) * 1.08), height - 6, 6)
    points = [(x(i), y(min(s, 4.0))) for i, s in enumerate(shares) if s is not None]
    last = rows[-1]
    parts = [
        rectangle(0, y(1.0), width, height - 6 - y(1.0), "#0072b2", opacity=0.06),
        segment(0, y(1.0), width, y(1.0), INK, dash="4 3"),
        polyline(points, BLUE, width=1.6),
        *(
            dot(x(i), y(min(s, 4.0)), ink_of(row), radius=2.4)
            for i, (row, s) in enumerate(zip(rows, shares, strict=True))
            if s is not None and row.standing not in ("in control", "uncalibrated", "no reference yet")
        ),
    ]
    if shares[-1] is not None:
        parts.append(dot(*points[-1], ink_of(last), radius=4.5))
    return svg(width, height, f"The last {len(rows)} scenes, now {last.standing}; dashed: the limit.", *parts)


def nearness(row: SceneRow) -> float | None:
    """Returns how far a scene is towards its limit: 1 is at it; without a chart, towards the fixed threshold."""
    chart = leading_chart(row)
    if chart is not None and chart.path is not None and chart.limit:
        return chart.path / chart.limit
    if row.farthest is not None and row.fixed > 0:
        return row.farthest / row.fixed
    return None


def panels_of(rows: Sequence[SceneRow]) -> list[Panel]:
    """Returns what there is to draw: a path per family, single scenes per family, distances where uncalibrated."""
    found = []
    for family, name in FAMILIES.items():
        charts = [row.chart(family) for row in rows]
        path = tuple(c.path if c else None for c in charts)
        value = tuple(c.value if c else None for c in charts)
        if finite(path):
            limits = tuple(c.limit if c else None for c in charts)
            found.append(Panel(family, f"{name}: chart over scenes, with its limit", path, limits, joined=True))
        if finite(value):
            limits = tuple(c.threshold if c else None for c in charts)
            title = f"{name}: each scene by itself, largest standardised statistic"
            found.append(Panel(family, title, value, limits, joined=False))
    bare = [row.farthest if not row.calibrated else None for row in rows]
    if finite(bare):
        title = "farthest band, distance to the champion's ground in sd; threshold fixed, uncalibrated"
        found.append(Panel("", title, tuple(bare), tuple(row.fixed for row in rows), joined=False))
    return found


def ink_of(row: SceneRow, family: str = "") -> str:
    """Returns the colour of a scene: by where it stands, of a family by what its chart says; a fault is one in all."""
    chart = row.chart(family)
    word = row.standing if chart is None or row.standing == "fault" else "alarm" if chart.alarm else chart.state
    return INKS[TONES.get(word, "")]


def told(row: SceneRow, value: float | None = None, limit: float | None = None) -> str:
    """Returns a scene in one line, for whoever points at it."""
    numbers = f" · {number(value)} of {number(limit)}" if value is not None else ""
    name = f" · {row.scenes[0][:60]}" if row.scenes else ""
    cause = "" if row.cause in ("none", row.standing) else f" · {row.cause}"
    return f"{day(row.acquired)}{name}{numbers} · {row.standing}{cause}"


def _panel(panel: Panel, rows: Sequence[SceneRow], places: Sequence[float], top: float, drifts: str) -> str:
    low, high = span([*panel.values, *panel.limits], zero=True)
    y = Scale(low, high, top + HEIGHT, top)
    parts = [text(LEFT, top - 12, panel.title, ink=True, bold=True), rows_of_numbers(y, LEFT, RIGHT, most=4)]
    parts += [
        rectangle(a, top, b - a, HEIGHT, "#d55e00", opacity=0.09)
        for a, b in _standing_alarms(rows, places, panel.family)
    ]
    parts += [
        segment(x, top, x, top + HEIGHT, QUIET, dash="2 4") + text(x + 4, top + 11, "new champion")
        for x in _changes(rows, places)
    ]
    parts.append(_limit(panel.limits, places, y))
    points = list(zip(places, panel.values, strict=True))
    if panel.joined:
        parts += [polyline(run, BLUE, width=1.8) for run in _runs(points, y)]
    radius = 4.0 if len(rows) <= 150 else 2.4
    for (x, value), row, limit in zip(points, rows, panel.limits, strict=True):
        if value is not None and finite([value]):
            hollow = limit is None
            drawn = dot(
                x, y(value), ink_of(row, panel.family), title=told(row, value, limit), hollow=hollow, radius=radius
            )
            parts.append(linked(f"{drifts}{row.drift}.html" if drifts else "", drawn))
    return "".join(parts)


def _limit(limits: Sequence[float | None], places: Sequence[float], y: Scale) -> str:
    """A step per scene: the limit of a scene holds half-way to its neighbours."""
    known = [(x, limit) for x, limit in zip(places, limits, strict=True) if limit is not None and finite([limit])]
    if not known:
        return ""
    points: list[tuple[float, float]] = []
    for i, (x, limit) in enumerate(known):
        left = LEFT if i == 0 else (known[i - 1][0] + x) / 2
        right = RIGHT if i == len(known) - 1 else (x + known[i + 1][0]) / 2
        points += [(left, y(limit)), (right, y(limit))]
    return polyline(points, INK, dash="5 4", width=1.3)


def _runs(points: Sequence[tuple[float, float | None]], y: Scale) -> list[list[tuple[float, float]]]:
    runs: list[list[tuple[float, float]]] = [[]]
    for x, value in points:
        if value is None or not finite([value]):
            runs.append([])
        else:
            runs[-1].append((x, y(value)))
    return runs


def _standing_alarms(rows: Sequence[SceneRow], places: Sequence[float], family: str) -> list[tuple[float, float]]:
    alarms = [any(chart.alarm for chart in row.charts if family in ("", chart.family)) for row in rows]
    found: list[tuple[float, float]] = []
    for i, alarm in enumerate(alarms):
        if not alarm:
            continue
        a, b = max(LEFT, places[i] - 6), min(RIGHT, places[i] + 6)
        if i and alarms[i - 1] and found:
            found[-1] = (found[-1][0], b)
        else:
            found.append((a, b))
    return found


def _changes(rows: Sequence[SceneRow], places: Sequence[float]) -> list[float]:
    return [
        (places[i - 1] + places[i]) / 2
        for i in range(1, len(rows))
        if rows[i].bundle and rows[i].bundle != rows[i - 1].bundle
    ]


def _across(rows: Sequence[SceneRow]) -> tuple[list[float], list[tuple[float, str]]]:
    """Returns where each scene is from left to right, and the marks below: days, or numbers where one has no day."""
    days = [row.acquired for row in rows]
    if all(at is not None for at in days) and len(set(days)) > 1:
        seconds = [at.timestamp() for at in days if at is not None]
        scale = Scale(seconds[0], seconds[-1], LEFT + 10, RIGHT - 10)
        return [scale(s) for s in seconds], _day_marks(seconds[0], seconds[-1], scale)
    scale = Scale(0, max(len(rows) - 1, 1), LEFT + 10, RIGHT - 10)
    step = max(1, -(-len(rows) // 10))
    marks = [(scale(i), f"scene {i + 1}") for i in range(0, len(rows), step)]
    return [scale(i) for i in range(len(rows))], marks


def _day_marks(first: float, last: float, scale: Callable[[float], float]) -> list[tuple[float, str]]:
    began, ended = (datetime.fromtimestamp(s, UTC) for s in (first, last))
    months = (ended.year - began.year) * 12 + ended.month - began.month
    if months < 3:
        step = max(1, round((ended - began).days / 8))
        found = [began.replace(hour=0, minute=0, second=0) + timedelta(days=i * step) for i in range(1, 10)]
        return [(scale(at.timestamp()), f"{at:%d %b}") for at in found if at <= ended]
    every = next(n for n in (1, 2, 3, 6, 12, 24, 60, 120, 10_000) if months / n <= 10)
    begin = began.year * 12 + began.month - 1
    starts = [n for n in range(begin, begin + months + 1) if n % every == 0]
    found = [datetime(n // 12, n % 12 + 1, 1, tzinfo=UTC) for n in starts if 0 < n // 12 < 9999]
    style = "%Y" if every >= 12 else "%b %Y"
    return [(scale(at.timestamp()), at.strftime(style)) for at in found if began <= at <= ended]
