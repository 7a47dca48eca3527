"""The chapters of a turn that makes a model: what came in, what was learned, what the gate said."""

from __future__ import annotations

from html import escape

from geoml_ops.adapters import pages, plots
from geoml_ops.core.flow import Evaluation
from geoml_ops.demo.report.parts import gallery, gate, note, verdict_table, words
from geoml_ops.demo.story import Publication, SecondTurn, Story, Training


def told_ground(story: Story) -> str:
    """Returns the chapter of what came in; empty where nothing did."""
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
    parts.append(gallery(g.pictures))
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
    parts.append(verdict_table(g.verdicts))
    if g.version:
        parts.append(
            f"<p>Version {pages.code(g.version.id)}: {len(g.version.scenes)} scene(s), {len(g.version.labels)} "
            f"delivery(s) of labels; commit {pages.code(g.version.rev[:12])}, data "
            f"{pages.code(g.version.data[:12])}.</p>"
        )
    return pages.section("1 · ingest", "What came in, and what the checks said", *parts)


def told_training(step: str, title: str, t: Training) -> str:
    """Returns a chapter of its own for a training; empty where there was none."""
    inside = learned(t)
    return pages.section(step, title, *inside) if inside else ""


def learned(t: Training) -> list[str]:
    """Returns the HTML parts of a training: samples, folds, scores."""
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
    parts.append(gallery(t.pictures))
    parts += [
        _scores(evaluation, chosen=t.chosen is not None and evaluation.id == t.chosen.id)
        for evaluation in t.evaluations
    ]
    if t.evaluations:
        parts.append(
            note(
                "The score that counts comes from spatial folds: ground beside the training ground is not tested on. "
                "Random folds test on neighbours of training pixels; their score is shown as the optimism it is."
            )
        )
    return [part for part in parts if part]


def _scores(e: Evaluation, *, chosen: bool) -> str:
    name = words(e.family)
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


def told_publication(step: str, title: str, p: Publication) -> str:
    """Returns a chapter of its own for a publication; empty where there was none."""
    inside = published(p)
    return pages.section(step, title, *inside) if inside else ""


def published(p: Publication) -> list[str]:
    """Returns the HTML parts of a publication: bundle, entry, judgement, what serves."""
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
        parts.append(gate(p.judgement))
    if p.serves is not None:
        said = (
            "The service swapped to it without a restart."
            if p.serves
            else "The service goes on with the champion it had."
        )
        parts.append(pages.paragraph(said))
    return parts


def told_second(s: SecondTurn) -> str:
    """Returns the chapter of the turn that monitoring started; empty where none followed."""
    inside = []
    if s.decision:
        inside.append(pages.paragraph(s.decision.because, "lead"))
    if s.retrain:
        inside.append(f"<p>Retrain event {pages.code(s.retrain.id)}, version {pages.code(s.retrain.version)}.</p>")
    inside += learned(s.training) + published(s.publication)
    if s.mapped.prediction or s.mapped.pictures:
        inside.append("<h3>The map after it</h3>" + gallery(s.mapped.pictures))
    return pages.section("6 · the second turn", "Labels of the new ground arrived", *inside) if inside else ""
