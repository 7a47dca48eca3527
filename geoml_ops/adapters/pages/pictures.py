"""The picture that shows a diagnosis: bands that moved, the spectral profile, matched tiles, class shares."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from geoml_ops.adapters.pages.drawing import (
    BLUE,
    INK,
    ORANGE,
    QUIET,
    Scale,
    dot,
    finite,
    polyline,
    rectangle,
    rows_of_numbers,
    segment,
    span,
    svg,
    text,
)
from geoml_ops.adapters.pages.numbers import number, share
from geoml_ops.core.watched import Statistic
from geoml_ops.domain.streams import not_a_band

PALE = "#b9c4cf"
MOST_BANDS, MOST_CLASSES, MOST_POINTS = 32, 24, 400


def movements(statistics: Sequence[Statistic], threshold: float, concerned: Sequence[str] = ()) -> str:
    """Returns a bar per band: how far and which way it moved, in reference standard deviations.

    Args:
        statistics: of the bands; others are left out.
        threshold: fixed, drawn dashed on both sides.
        concerned: bands that the diagnosis names.
    """
    shown = [s for s in statistics if not not_a_band(s.column)][:MOST_BANDS]
    if not shown:
        return ""
    far = [s.distance if s.mean_shift >= 0 else -s.distance for s in shown]
    low, high = span([*far, threshold, -threshold], zero=True)
    name = min(max(6.6 * max(len(s.column) for s in shown), 50.0), 170.0)
    x = Scale(low, high, name + 16, 760)
    rows, height = 26.0, 26.0 * len(shown) + 46
    parts = [segment(x(0), 8, x(0), height - 38, INK)]
    for side in (threshold, -threshold):
        parts.append(segment(x(side), 8, x(side), height - 38, INK, dash="5 4"))
        parts.append(text(x(side), height - 22, number(side, sign=True), anchor="middle"))
    parts.append(text(x(0), height - 22, "0", anchor="middle"))
    parts.append(
        text(x(0), height - 4, "standard deviations of the reference; dashed: the fixed threshold", anchor="middle")
    )
    for i, (s, value) in enumerate(zip(shown, far, strict=True)):
        y = 10 + i * rows
        named = s.column in concerned
        ink = ORANGE if named or s.drifted else BLUE
        left, right = sorted((x(0), x(value)))
        spread = f", sd ratio {number(s.sd_ratio, 3)}" if s.sd_ratio is not None else ""
        parts.append(text(name + 4, y + 14, s.column[:24], anchor="end", ink=True, bold=named))
        parts.append(rectangle(left, y + 2, right - left, 16, ink, title=f"{s.column}: {number(value, sign=True)} sd"))
        parts.append(text(772, y + 14, f"{number(s.mean_shift, 4, sign=True)}{spread}"))
    return svg(980, height, _said_movements(shown, far), *parts)


def profile(
    names: Sequence[str], now: Sequence[float | None], before: Sequence[float | None], concerned: Sequence[str] = ()
) -> str:
    """Returns the spectral profile of a scene beside its reference's; the bands of the diagnosis are ringed.

    Args:
        names: of the bands, in the order of the contract.
        now: means of the scene.
        before: means of the reference.
        concerned: bands that the diagnosis names.
    """
    names, now, before = names[:MOST_BANDS], now[:MOST_BANDS], before[:MOST_BANDS]
    if not names or not finite(now) or not finite(before):
        return ""
    y = Scale(*span([*now, *before]), 262.0, 26.0)
    x = Scale(0, max(len(names) - 1, 1), 86, 940)
    parts = [rows_of_numbers(y, 64, 966)]
    for i, name in enumerate(names):
        bold = name in concerned
        parts.append(text(x(i), 284, name[:12], anchor="middle", ink=True, bold=bold))
        if bold:
            parts.append(rectangle(x(i) - 20, 20, 40, 246, ORANGE, opacity=0.1))
    for values, ink, what in ((before, "#8c98a4", "reference"), (now, BLUE, "this scene")):
        line = [(x(i), y(v)) for i, v in enumerate(values) if v is not None and finite([v])]
        parts.append(polyline(line, ink, dash="6 4" if what == "reference" else "", width=2.2))
        for i, value in enumerate(values):
            if value is not None and finite([value]):
                colour = ORANGE if names[i] in concerned and what == "this scene" else ink
                title = f"{names[i]}, {what}: {number(value, 4)}"
                parts.append(dot(x(i), y(value), colour, title=title, hollow=what == "reference"))
    parts.append(segment(70, 10, 96, 10, BLUE, width=2.2) + text(102, 14, "mean of this scene"))
    parts.append(segment(250, 10, 276, 10, "#8c98a4", dash="6 4", width=2.2) + text(282, 14, "mean of the reference"))
    marked = f"; ringed: {', '.join(concerned)}" if concerned else ""
    return svg(980, 292, f"Means of {len(names)} bands beside those of the reference{marked}.", *parts)


def matched(pairs: Mapping[str, Sequence[tuple[float, float]]], concerned: Sequence[str] = ()) -> str:
    """Returns one small plot per band: each tile's mean before and now; on the thin line nothing changed.

    Args:
        pairs: by band, tiles of the same ground as ``(before, now)``.
        concerned: bands that the diagnosis names; they come first.
    """
    order = sorted(pairs, key=lambda band: (band not in concerned, list(pairs).index(band)))[:12]
    cells = [(band, [p for p in pairs[band] if len(finite(p)) == 2][:MOST_POINTS]) for band in order]
    cells = [(band, points) for band, points in cells if points]
    if not cells:
        return ""
    per_row, side = min(4, len(cells)), 214.0
    width = per_row * (side + 26)
    height = -(-len(cells) // per_row) * (side + 48) + 20
    parts = [
        _cell(
            band, points, (i % per_row) * (side + 26) + 10, (i // per_row) * (side + 48) + 22, side, band in concerned
        )
        for i, (band, points) in enumerate(cells)
    ]
    parts.append(text(width / 2, height - 4, "means of the same tiles: before → now; thin: no change", anchor="middle"))
    return svg(width, height, f"Matched tiles of {len(cells)} bands, before against now.", *parts)


def shares(now: Mapping[str, float | None], before: Mapping[str, float | None], colours: Mapping[str, str]) -> str:
    """Returns class shares before and now as pairs of bars, in the colours of the classes where they are known."""
    names = [name for name in dict.fromkeys([*before, *now]) if finite([now.get(name), before.get(name)])][
        :MOST_CLASSES
    ]
    if not names:
        return ""
    reach = max([*finite([*now.values(), *before.values()]), 0.01])
    room = min(max(6.8 * max(len(n) for n in names), 60.0), 220.0)
    x = Scale(0, reach * 1.02, room + 14, 760)
    parts = []
    for i, name in enumerate(names):
        y = 8 + i * 46.0
        parts.append(text(room + 4, y + 21, name[:32], anchor="end", ink=True))
        for at, value, ink, what in (
            (y, before.get(name), PALE, "before"),
            (y + 17, now.get(name), safe(colours.get(name, "")), "now"),
        ):
            if value is None or not finite([value]):
                continue
            parts.append(rectangle(x(0), at, x(value) - x(0), 14, ink, title=f"{name}, {what}: {share(value)}"))
            parts.append(text(x(value) + 7, at + 11, f"{share(value)} {what}"))
    return svg(980, 46 * len(names) + 10, "Class shares before and now: " + _said_shares(names, now, before), *parts)


def safe(colour: str) -> str:
    """Returns a colour that is written as ``#rrggbb``; ours for anything else."""
    return colour if re.fullmatch(r"#[0-9a-fA-F]{6}", colour) else BLUE


def _cell(band: str, points: Sequence[tuple[float, float]], left: float, top: float, side: float, named: bool) -> str:
    low, high = span([v for p in points for v in p])
    x, y = Scale(low, high, left, left + side), Scale(low, high, top + side, top)
    ink = ORANGE if named else BLUE
    drawn = [dot(x(a), y(b), ink, radius=2.2) for a, b in points]
    frame = rectangle(left, top, side, side, "#f5f7f9") + segment(x(low), y(low), x(high), y(high), QUIET)
    ends = text(left, top + side + 15, number(low)) + text(left + side, top + side + 15, number(high), anchor="end")
    return text(left, top - 7, band[:24], ink=True, bold=named) + frame + "".join(drawn) + ends


def _said_movements(shown: Sequence[Statistic], far: Sequence[float]) -> str:
    said = ", ".join(f"{s.column} {number(value, sign=True)} sd" for s, value in zip(shown, far, strict=True))
    return f"How far bands moved from the reference: {said}."


def _said_shares(names: Sequence[str], now: Mapping[str, float | None], before: Mapping[str, float | None]) -> str:
    return "; ".join(f"{name} {share(before.get(name))} then {share(now.get(name))}" for name in names)
