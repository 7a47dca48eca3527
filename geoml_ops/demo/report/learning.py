"""The chapters of a turn that makes a model: what came in, what was learned, what the gate said."""

from __future__ import annotations

from html import escape

from geoml_ops.adapters import pages, plots
from geoml_ops.core.evidence import Score
from geoml_ops.core.flow import Bundle, Evaluation, FoldPlan
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
                escape(", ".join(f"{name} {n:,} {w}" for w, c in x.counts.items() for name, n in sorted(c.items()))),
                escape(x.crs),
            )
            for x in g.labels
        ]
        parts.append(pages.table(("labels", "how many of each class", "CRS"), rows))
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
        parts += [_block_size(plan) for plan in (t.plan, *t.other_plans)]
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
                    f"{a.n_shared_pixels} shared source pixels, {a.n_near_duplicates} near-duplicates, "
                    f"{a.n_dropped:,} samples dropped. {' '.join((*a.objections, *a.remarks))}",
                    "quiet small",
                )
            )
    parts.append(gallery(t.pictures))
    parts += [
        _scores(evaluation, chosen=t.chosen is not None and evaluation.id == t.chosen.id)
        for evaluation in t.evaluations
    ]
    if t.chosen:
        parts.append(_questions(t.chosen, t.plan, t.other_plans))
    if t.evaluations:
        parts.append(
            note(
                "The score that counts comes from spatial folds: ground beside the training ground is not tested on. "
                "Random folds test on neighbours of training pixels; their score is shown as the optimism it is."
            )
        )
    return [part for part in parts if part]


def _questions(e: Evaluation, plan: FoldPlan | None, others: tuple[FoldPlan, ...]) -> str:
    """Returns a table of the same recipe under every question it was asked."""
    edges = {other.id: f", blocks of {other.block_m:,.0f} m" for other in others}
    rows = [(f"{plan.method}, blocks of {plan.block_m:,.0f} m" if plan else "spatial", e.estimand, e.scores, "counts")]
    rows += [(panel.method + edges.get(panel.plan, ""), panel.estimand, panel.scores, "shown") for panel in e.others]
    rows.append(("random", "optimism baseline", e.optimism, "shown, flatters"))
    cells = [
        (
            escape(method),
            escape(question),
            *(_said(scores.get(m)) for m in ("overall_accuracy", "macro_f1", "ece")),
            use,
        )
        for method, question, scores, use in rows
    ]
    accuracy, choice = e.scores["overall_accuracy"], ""
    if e.selected_from:
        choice = (
            f" {len(e.selected_from)} recipes were tried; the score that counts is that of choosing among them, from "
            "nested folds."
        )
    if accuracy.design_effect is not None and accuracy.n_effective is not None:
        choice += (
            f" Design effect {accuracy.design_effect:.1f}: these samples know as much as {accuracy.n_effective:.0f} "
            "independent ones."
        )
    head = ("folds", "question they answer", "overall accuracy", "macro F1", "calibration error", "use")
    told = pages.paragraph(choice.strip(), "quiet")
    return f"<h3>The same recipe, asked differently</h3>{pages.table(head, cells)}{told}"


def _said(score: Score | None) -> str:
    return f"{score.value:.3f} [{score.low:.3f}, {score.high:.3f}]" if score else ""


def _block_size(plan: FoldPlan) -> str:
    """Returns how ``block_m: auto`` was answered; empty where a person set the edge."""
    size = plan.block_size
    if size is None:
        return ""
    told = f"How large should a block be? Measured here: {size.block_m:,.0f} m"
    if size.range_m is not None and size.low_m is not None and size.high_m is not None:
        told += (
            f"; samples resemble each other over {size.range_m:,.0f} m ({size.low_m:,.0f} to {size.high_m:,.0f}, "
            f"{words(size.column)})"
        )
    rows = [
        (f"{t.times:g} times", f"{t.block_m:,.0f} m", str(t.n_blocks), _trial(t.score, t.low, t.high))
        for t in size.sensitivity
    ]
    reasons = " ".join(f"{words(name)}: {reason}." for name, reason in size.not_converged.items())
    return (
        pages.paragraph(f"{told}. {' '.join(size.remarks)}".strip())
        + pages.table(("edge", "", "blocks", "accuracy of a quick forest"), rows)
        + (pages.paragraph(f"No usable range: {reasons}", "quiet small") if reasons else "")
    )


def _trial(score: float | None, low: float | None, high: float | None) -> str:
    if score is None or low is None or high is None:
        return "not possible"
    return f"{score:.3f} [{low:.3f}, {high:.3f}]"


def _scores(e: Evaluation, *, chosen: bool) -> str:
    name = f"Choosing between them: {words(e.family)}" if e.selected_from else words(e.family)
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
        again = ("dissimilarity", "density")  # the same rows, asked for something else
        n_rows = sum(n for kind, n in p.bundle.parity.rows.items() if kind not in again)
        parts.append(
            f"<p>Bundle {pages.code(p.bundle.id)}: one ONNX graph of {p.bundle.file.size / 1e6:.1f} MB, "
            f"digital numbers in, class probabilities out. It equals the fitted model on "
            f"{n_rows:,} rows, missing values among them (largest "
            f"difference {worst:.1e}, {p.bundle.parity.n_label_mismatches} labels differ).</p>"
        )
    if p.entry:
        parts.append(f"<p>Registered as {escape(p.entry.model)} {p.entry.number} ({pages.code(p.entry.id)}).</p>")
    if p.bundle and p.bundle.applicability:
        parts.append(pages.paragraph(_area(p.bundle)))
    if p.judgement:
        parts.append(gate(p.judgement))
    parts.append(gallery(p.pictures))
    if p.verdict:
        parts.append(
            f'<p>The whole verdict, with every number, as a page: <a href="{escape(p.verdict)}">verdict</a>.</p>'
        )
    if p.serves is not None:
        said = (
            "The service swapped to it without a restart."
            if p.serves
            else "The service goes on with the champion it had."
        )
        parts.append(pages.paragraph(said))
    return parts


def _area(bundle: Bundle) -> str:
    """Returns in a sentence where the model may be asked, and how sure its sets are."""
    area, sets = bundle.applicability, bundle.conformal
    assert area is not None
    told = (
        f"Every answer says how unlike the samples it is: beyond {area.threshold:.3f} a pixel is outside the area of "
        f"applicability ({area.definition}; {area.outside_share:.1%} of the samples themselves are, over the same folds"
    )
    told += f"; {area.ground_outside_share:.1%} of the ground)" if area.ground_outside_share is not None else ")"
    if sets:
        told += (
            f". Sets of classes hold the true one in {sets.measured.value:.1%} of held-out cases "
            f"({sets.coverage:.0%} promised), with {sets.mean_set_size:.1f} classes on average"
        )
    return told + "."


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
