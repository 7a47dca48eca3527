"""One page per stream: where it stands, its whole history, and every scene with its numbers."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from html import escape

from geoml_ops.adapters.pages.history import history, told
from geoml_ops.adapters.pages.numbers import counted, day, number, share
from geoml_ops.adapters.pages.parts import bullets, cards, code, link, page, paragraph, section, table, tag
from geoml_ops.adapters.pages.style import INKS
from geoml_ops.domain.streams import ReferenceLine, SceneRow, alarms_begun, leading_chart, newest_of

MOST_ROWS = 1000
UNNAMED = "no stream recorded"


@dataclass(frozen=True)
class StreamView:
    """What the page of a stream shows.

    Attributes:
        name: of the stream; empty for comparisons of before streams were kept.
        rows: its scenes, oldest first; one at least.
        references: versions of its reference, oldest first.
        alarms_per_year: stated false alarms a year.
        alpha: stated share of false alarms of single scenes.
        champion: id of the bundle that serves now; empty for none.
    """

    name: str
    rows: Sequence[SceneRow]
    references: Sequence[ReferenceLine] = ()
    alarms_per_year: float | None = None
    alpha: float | None = None
    champion: str = ""

    @property
    def now(self) -> SceneRow:
        """The newest scene of the champion; of an earlier one where it has none."""
        return newest_of(self.rows, self.champion)

    @property
    def title(self) -> str:
        """The name for people."""
        return self.name or UNNAMED


def slug_of(stream: str) -> str:
    """Returns a file name for a stream: its letters and digits, and eight digits that keep two streams apart.

    >>> slug_of("sentinel-2-l1c/EPSG:32633-3-58")
    'sentinel-2-l1c-EPSG-32633-3-58-dd51d1fa'
    """
    plain = re.sub(r"[^A-Za-z0-9]+", "-", stream).strip("-")[:60].strip("-")
    return f"{plain or 'stream'}-{sha256(stream.encode()).hexdigest()[:8]}"


def stream_page(view: StreamView, *, links: Mapping[str, str] | None = None) -> str:
    """Returns the page of a stream."""
    now = view.now
    body = "".join((_standing(view), _history(view), _scenes(view), _references(view)))
    lead = f"{counted(len(view.rows), 'scene')} compared. Newest: {told(now)}."
    return page(view.title, lead, body, links=links, crumbs={"Monitoring": "../index.html"})


def state_words(row: SceneRow) -> str:
    """Returns where a scene stands and what was named, as tags."""
    named = "" if row.cause in ("none", row.standing, "no reference") else tag(row.cause)
    return tag(row.standing) + named


def calibration_words(row: SceneRow) -> str:
    """Returns how the thresholds of a scene were found, as text."""
    chart = leading_chart(row)
    if chart is not None and chart.sentence:
        return chart.sentence
    if row.calibrated:
        return "Thresholds are calibrated on in-control scenes of this stream."
    n = chart.n if chart else 0
    return f"Uncalibrated: {n} in-control scenes are too few for a threshold; fixed thresholds stand in, visibly."


def _standing(view: StreamView) -> str:
    now = view.now
    chart = leading_chart(now)
    facts = [
        (day(now.acquired), "newest scene, acquired"),
        (
            f"{number(chart.path)} of {number(chart.limit)}" if chart else number(now.farthest),
            "chart now, of its limit",
        ),
        (str(chart.n if chart else 0), "in-control scenes behind it"),
        (str(alarms_begun(view.rows)), "alarms so far"),
        (share(now.outside), "pixels outside the model's ground"),
        (share(now.accuracy), f"estimated accuracy (expected {share(now.expected)})"),
    ]
    words = [f'<p class="badges">{state_words(now)} {tag(now.action)}</p>', paragraph(now.sentence)]
    words.append(bullets([link("Why, with the picture that shows it", f"../drifts/{now.drift}.html")], "fine"))
    return section("now", "Where it stands", *words, cards(facts), paragraph(calibration_words(now), "quiet small"))


def _history(view: StreamView) -> str:
    drawn = history(view.rows)
    if not drawn:
        return section("history", "History", paragraph("There is no number to draw yet.", "quiet"))
    keys = [
        ("in control", "good"), ("beyond the threshold, alone", "warn"), ("alarm", "act"), ("fault", "bad"),
        ("no claim", "quiet"),
    ]  # fmt: skip
    legend = "".join(f'<span><i style="background:{INKS[tone]}"></i>{escape(words)}</span>' for words, tone in keys)
    rate = (
        f"Stated false alarms: {number(view.alarms_per_year)} a year for this stream, all charts together; "
        f"{share(view.alpha)} of single scenes."
        if view.alarms_per_year is not None
        else ""
    )
    how = "Dashed: the limit. Shaded: an alarm stands. Each point leads to its scene."
    return section(
        "history", "History", drawn, f'<p class="keys">{legend}</p>', paragraph(f"{how} {rate}", "quiet small")
    )


def _scenes(view: StreamView) -> str:
    shown = list(reversed(view.rows))[:MOST_ROWS]
    rows = [
        (
            f'<a href="../drifts/{escape(row.drift, quote=True)}.html">{escape(day(row.acquired))}</a>',
            escape(", ".join(row.scenes)[:80]) or code(row.drift),
            tag(row.standing),
            _numbers(row, "value", "threshold"),
            _numbers(row, "path", "limit"),
            "" if row.cause == "none" else tag(row.cause),
            tag(row.action) if row.action != "none" else "",
        )
        for row in shown
    ]
    heads = ("acquired", "scene", "state", "value / threshold", "path / limit", "cause", "action")
    more = f"The newest {MOST_ROWS:,} of {len(view.rows):,}." if len(view.rows) > MOST_ROWS else ""
    return section(
        "scenes",
        "Every scene, newest first",
        table(heads, rows, numbers=(3, 4)),
        paragraph(more, "quiet small") if more else "",
    )


def _numbers(row: SceneRow, value: str, limit: str) -> str:
    chart = leading_chart(row)
    if chart is None or getattr(chart, value) is None:
        if value == "value" and row.farthest is not None and not row.calibrated:
            return f"{number(row.farthest)} / {number(row.fixed)} fixed"
        return number(None)
    return f"{number(getattr(chart, value))} / {number(getattr(chart, limit))}"


def _references(view: StreamView) -> str:
    if not view.references:
        return ""
    rows = [
        (str(r.number), str(r.n_readings), escape(r.because), code(r.bundle), code(r.id))
        for r in reversed(view.references[-30:])
    ]
    heads = ("version", "scenes", "what changed", "for", "id")
    return section("reference", "What scenes are compared with", table(heads, rows, numbers=(0, 1)))
