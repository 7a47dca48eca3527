"""One page per comparison: the cause, the picture that shows it, what to do now, where, and all numbers behind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape

from geoml_ops.adapters.pages import pictures
from geoml_ops.adapters.pages.advice import steps_of
from geoml_ops.adapters.pages.driftnumbers import MOST_NAMED, charts, estimates, statistics
from geoml_ops.adapters.pages.numbers import day, minute, number, share
from geoml_ops.adapters.pages.parts import (
    bullets,
    cards,
    code,
    figure,
    link,
    page,
    paragraph,
    section,
    short,
    table,
    tag,
)
from geoml_ops.adapters.pages.streampages import UNNAMED, slug_of
from geoml_ops.core.flow import Bundle, Decision, Drift, Reading, Reference
from geoml_ops.domain.streams import SceneRow, not_a_band

MOST_SPOTS = 25


@dataclass(frozen=True)
class DriftView:
    """What the page of a comparison shows.

    Attributes:
        drift: the comparison.
        row: the same in a line.
        reading: the scene in numbers; None where it is not kept here.
        reference: what it was compared with; None without one.
        bundle: of the champion; None where it is not kept here.
        number: of the champion in the registry; None where it is not known.
        decisions: what followed, oldest first.
        normal: means of the scenes of the reference, by name of the statistic.
        pairs: by band, means of the same tiles ``(before, now)``.
        picture: PNG of the drift map; None without one.
        files: what can be fetched: words → address relative to this page.
    """

    drift: Drift
    row: SceneRow
    reading: Reading | None = None
    reference: Reference | None = None
    bundle: Bundle | None = None
    number: int | None = None
    decisions: Sequence[Decision] = ()
    normal: Mapping[str, float] = field(default_factory=dict)
    pairs: Mapping[str, Sequence[tuple[float, float]]] = field(default_factory=dict)
    picture: bytes | None = None
    files: Mapping[str, str] = field(default_factory=dict)

    @property
    def scene(self) -> str:
        """The scene for people."""
        return ", ".join(self.row.scenes)[:120] or (
            f"scene of {day(self.row.acquired)}" if self.row.acquired else self.drift.id
        )


def drift_page(view: DriftView) -> str:
    """Returns the page of a comparison; it holds nothing that changes later but the decisions."""
    d = view.drift
    cause = "Nothing out of the ordinary" if d.diagnosis.cause == "none" else d.diagnosis.cause
    body = "".join(
        (
            _why(view),
            _advice(view),
            _where(view),
            charts(view.drift),
            statistics(view.drift),
            estimates(view.drift),
            _lineage(view),
        )
    )
    stream = d.stream or UNNAMED
    crumbs = {"Monitoring": "../index.html", stream: f"../streams/{slug_of(d.stream)}.html"}
    title = f"{cause[:1].upper()}{cause[1:]}: {view.scene}"
    return page(title, d.diagnosis.sentence, body, crumbs=crumbs)


def shown(view: DriftView) -> tuple[str, str]:
    """Returns the picture that shows the diagnosis as HTML, and a caption; bands that moved stand in for a lost one."""
    d = view.drift
    wanted = d.diagnosis.picture
    drawn, caption = "", ""
    if wanted == "profile":
        drawn, caption = _profile(view), "The spectral profile of this scene beside that of its reference."
    elif wanted == "tiles":
        drawn = pictures.matched(view.pairs, d.diagnosis.bands)
        caption = "Tiles of the same ground, before and now."
    elif wanted == "shares":
        drawn, caption = _shares(view), "What share of the ground each class was given, before and now."
    elif wanted == "map" and view.picture is not None:
        drawn, caption = figure(view.picture, _map_words(view)), d.where.statistic if d.where else ""
    if drawn:
        return drawn, caption
    return (
        pictures.movements(d.statistics, d.threshold, d.diagnosis.bands),
        "How far the tiles of each band moved from the champion's ground.",
    )


def _why(view: DriftView) -> str:
    d, row = view.drift.diagnosis, view.row
    badges = [tag(row.standing), *([tag(d.cause)] if d.cause not in ("none", row.standing) else []), tag(d.action)]
    drawn, caption = shown(view)
    parts = [f'<p class="badges">{" ".join(badges)}</p>', f'<p class="lead">{escape(d.sentence)}</p>']
    if drawn:
        parts += [f'<div class="scroll">{drawn}</div>', paragraph(caption, "quiet small")]
    if d.evidence:
        facts = [(escape(name), number(value, 4)) for name, value in d.evidence.items()]
        parts.append(
            f"<h3>The numbers it rests on</h3>{table(('evidence', 'value'), facts, numbers=(1,), narrow=True)}"
        )
    if d.others:
        order = sorted(d.others.items(), key=lambda pair: -pair[1])
        rows = [
            (tag(name), f'<div class="bar"><i style="width:{min(max(v, 0.0), 1.0):.0%}"></i></div>', number(v, 2))
            for name, v in order
        ]
        heads = ("also possible", "how well it explains the scene (1 is best)", "")
        parts.append(f"<h3>Causes that explain it less well</h3>{table(heads, rows, numbers=(2,))}")
    return section("why", "Why it was named so", *parts)


def _advice(view: DriftView) -> str:
    steps = steps_of(view.drift, view.row.scenes[0] if view.row.scenes else "")
    followed = [
        (
            tag(d.action),
            "yes" if d.fired else "no",
            escape(d.rule) or number(None),
            escape(d.because) + (f"<br><small>held back: {escape(d.suppressed)}</small>" if d.suppressed else ""),
            short(d.id),
        )
        for d in view.decisions[-10:]
    ]
    parts = [bullets(steps)]
    if followed:
        heads = ("action", "training", "rule", "because", "record")
        parts.append(f"<h3>What was decided</h3>{table(heads, followed)}")
    return section("now", "What to do now", *parts)


def _where(view: DriftView) -> str:
    d, row = view.drift, view.row
    if d.where is None and row.place is None:
        return ""
    parts = []
    if view.picture is not None and d.diagnosis.picture != "map":
        parts.append(figure(view.picture, _map_words(view), d.where.statistic if d.where else ""))
    if row.place is not None:
        edges = ("left", "bottom", "right", "top")
        words = ", ".join(f"{edge} {number(at, 8)}" for edge, at in zip(edges, row.place.bounds, strict=True))
        what = "The foremost region" if row.n_spots else "The scene"
        parts.append(paragraph(f"{what}: {words} in {row.place.crs}.", "small"))
    if d.where is not None and d.where.sentence:
        parts.append(paragraph(d.where.sentence))
    if d.where is not None and d.where.spots:
        rows = [
            (
                str(i + 1),
                str(spot.n_tiles),
                number(spot.mass),
                number(spot.mean, sign=True),
                spot.direction,
                "yes" if spot.alarm else "no",
                escape(", ".join(number(at, 8) for at in spot.bounds.as_tuple())),
            )
            for i, spot in enumerate(d.where.spots[:MOST_SPOTS])
        ]
        heads = ("region", "tiles", "mass", "mean", "side", "alarm", "left, bottom, right, top")
        parts.append(table(heads, rows, numbers=(0, 1, 2, 3)))
    if view.files:
        parts.append(bullets([link(words, address) for words, address in view.files.items()], "fine"))
    return section("where", "Where", *parts)


def _lineage(view: DriftView) -> str:
    d, reading = view.drift, view.reading
    facts = [
        (minute(d.acquired), "acquired"),
        (d.key or "no key", "reference key"),
        (f"version {view.reference.number}" if view.reference else "none", "reference"),
        (f"number {view.number}" if view.number is not None else "not known", "champion"),
        (f"{reading.n_px:,}" if reading else number(None), "pixels asked for"),
        (share(reading.valid_share) if reading else number(None), "of them answered"),
    ]
    ids = [("comparison", d.id), ("bundle", d.bundle), ("reading", d.reading), ("reference", d.reference)]
    rows = [(what, code(noun)) for what, noun in ids if noun]
    rows += [("scene", code(scene)) for scene in (reading.scenes if reading else ())[:MOST_NAMED]]
    rows += [("prediction", code(noun)) for noun in d.predictions[:MOST_NAMED]]
    left = len(d.predictions) - MOST_NAMED
    more = paragraph(f"and {left} more predictions", "quiet small") if left > 0 else ""
    same = link("The same as JSON", f"{d.id}.json")
    return section(
        "lineage",
        "What it was made from",
        cards(facts),
        table(("what", "id"), rows, narrow=True),
        more,
        f"<p>{same}</p>",
    )


def _profile(view: DriftView) -> str:
    if view.reading is None:
        return ""
    known = {s.column: s for s in view.drift.statistics if not not_a_band(s.column)}
    now = [view.reading.statistics.get(f"{name}:mean") for name in known]
    before = [
        view.normal.get(f"{name}:mean", value - s.mean_shift if value is not None else None)
        for (name, s), value in zip(known.items(), now, strict=True)
    ]
    return pictures.profile(list(known), now, before, view.drift.diagnosis.bands)


def _shares(view: DriftView) -> str:
    if view.reading is None:
        return ""
    now = _classes(view.reading.statistics)
    before = _classes(view.normal)
    colours = dict(zip(view.bundle.classes, view.bundle.colours, strict=False)) if view.bundle else {}
    return pictures.shares(now, before, colours)


def _classes(statistics: Mapping[str, float | None]) -> dict[str, float | None]:
    return {name.removeprefix("class:"): value for name, value in statistics.items() if name.startswith("class:")}


def _map_words(view: DriftView) -> str:
    where = view.drift.where
    if where is None:
        return "Map of the drift."
    return f"Map of the drift, {where.statistic}: {len(where.spots)} regions that drift together."
