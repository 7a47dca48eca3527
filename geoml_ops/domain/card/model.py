"""The card of a model: what it answers, how good it is and how one knows, where it may be asked."""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import escape

from geoml_ops.core.evidence import Applicability, Conformal, Score, Speed
from geoml_ops.core.flow import Bundle, Entry, Evaluation, FeatureTable, FoldPlan, Judgement
from geoml_ops.domain.card import graph
from geoml_ops.domain.card.agreement import calibration, confusion
from geoml_ops.domain.card.parts import (
    ASKS,
    CREDIT,
    METRICS,
    WORDS,
    bullets,
    folds_words,
    gap,
    metric_words,
    page,
    paragraph,
    remarks,
    score,
    section,
    table,
)
from geoml_ops.domain.scoring import caution

_COLOUR = re.compile(r"#[0-9a-fA-F]{6}")
_MEASURES = ("f1", "users_accuracy", "producers_accuracy", "iou")


def card(
    bundle: Bundle,
    evaluation: Evaluation,
    plan: FoldPlan,
    features: FeatureTable,
    *,
    scenes: Sequence[str] = (),
    speed: Speed | None = None,
    judgement: Judgement | None = None,
    entry: Entry | None = None,
) -> str:
    """Returns the page as HTML without links to anything outside itself.

    Args:
        bundle: what is served.
        evaluation: how good its recipe was, honestly and not.
        plan: the folds of the honest score.
        features: the samples it learned from.
        scenes: names of the scenes it learned from.
        speed: of the graph where it was exported; None where that was not measured.
        judgement: what the gate said; None before it was asked.
        entry: number in the registry; None before it was registered.
    """
    title = f"{evaluation.family.replace('_', ' ')} on {bundle.sensor}"
    return page(
        title,
        [
            f"<h1>{escape(title)}</h1>",
            paragraph(f"{entry.model} {entry.number}" if entry else bundle.id, "quiet"),
            section("Classes", _classes(bundle, evaluation, features)),
            section("How good is it", _scores(evaluation), _estimand(evaluation, plan), _evidence(evaluation)),
            section("Class by class", _per_class(evaluation)),
            section("Where it confuses classes", confusion(evaluation)),
            section("Is it as sure as it should be", calibration(evaluation)),
            section("Where it may be asked", _applicability(bundle.applicability)),
            section("Sets of classes", _conformal(bundle.conformal)),
            section("The gate", _gate(judgement)) if judgement else "",
            section("What it reads", graph.bands(bundle), graph.features(bundle)),
            section("Does the graph equal the fitted model", graph.parity(bundle), graph.speed(speed)),
            section("Where it comes from", _lineage(bundle, evaluation, features, scenes, judgement, entry)),
            paragraph(CREDIT, "quiet small"),
        ],
    )


def _classes(bundle: Bundle, evaluation: Evaluation, features: FeatureTable) -> str:
    rows = [
        (
            str(code),
            f"{_swatch(colour)}{escape(name)}",
            str(features.n_samples.get(name, 0)),
            f"{evaluation.per_class_f1[name]:.2f}" if name in evaluation.per_class_f1 else "never seen or answered",
        )
        for code, (name, colour) in enumerate(zip(bundle.classes, bundle.colours, strict=True))
    ]
    return table(("code", "class", "samples", "F1, held-out ground"), rows)


def _swatch(colour: str) -> str:
    # Anything but a plain colour could make the page load something.
    shown = colour if _COLOUR.fullmatch(colour) else "transparent"
    return f'<span class=swatch style="background:{shown}"></span>'


def _rank(metric: str) -> int:
    """Returns where a measure stands in a table: kept nouns have them in the order of the alphabet."""
    return list(METRICS).index(metric) if metric in METRICS else len(METRICS)


def _scores(evaluation: Evaluation) -> str:
    rows = [
        (
            metric_words(metric),
            score(found),
            score(evaluation.optimism[metric]) if metric in evaluation.optimism else "not asked",
        )
        for metric, found in sorted(evaluation.scores.items(), key=lambda item: _rank(item[0]))
    ]
    return table(("measure", "held-out ground: this counts", "random folds: optimism"), rows, strong=0)


def _estimand(evaluation: Evaluation, plan: FoldPlan) -> str:
    audit, size = plan.audit, plan.block_size
    apart = (
        f" The least distance between training and test samples is {audit.least_distance_m:.0f} m, "
        f"{audit.n_shared_polygons} polygons and {audit.n_shared_pixels} source pixels are on both sides."
        if audit
        else ""
    )
    reach = (
        f" Blocks were sized by the range of {size.column}, {size.range_m:.0f} m."
        if size and size.range_m is not None and size.column
        else ""
    )
    chosen = (
        f" The recipe is the best of {len(evaluation.selected_from)}; the score is that of choosing, from nested folds."
        if evaluation.selected_from
        else ""
    )
    folds = ", ".join(f"{value:.2f}" for value in evaluation.per_fold)
    return (
        f"<p>The first column answers for <strong>{escape(evaluation.estimand)}</strong>: "
        f"{escape(ASKS[evaluation.estimand])}. It comes from {escape(folds_words(plan))}; intervals are 95 %, from "
        f"{plan.n_blocks} blocks.{escape(apart + reach + chosen)} The second column mixes neighbouring pixels into "
        "training and test; it is shown only to tell how much that flatters.</p>"
        + remarks(plan)
        + paragraph(f"Fold by fold: {folds}.")
    )


def _evidence(evaluation: Evaluation) -> str:
    main = next(iter(evaluation.scores.values()), None)
    if main is None:
        return ""
    n = sum(map(sum, evaluation.confusion))
    worth = (
        f"The {n:,} samples tell as much about {next(map(metric_words, evaluation.scores))} as "
        f"{main.n_effective:,.0f} independent ones would"
        + (f": neighbours repeat each other (design effect {main.design_effect:.1f})." if main.design_effect else ".")
        if main.n_effective is not None
        else ""
    )
    careful = caution(main.n_blocks)
    return (paragraph(worth) if worth else "") + (paragraph(careful, "note") if careful else "")


def _per_class(evaluation: Evaluation) -> str:
    seen = [name for name in evaluation.classes if name in evaluation.per_class]
    measures = [m for m in _MEASURES if any(m in evaluation.per_class[name] for name in seen)]
    if not measures:
        return ""

    def cell(found: Score | None) -> str:
        return score(found) if found else "undefined"

    rows = [(escape(name), *(cell(evaluation.per_class[name].get(m)) for m in measures)) for name in seen]
    return table(("class", *(METRICS[m] for m in measures)), rows) + paragraph(
        "Pooled over held-out ground; intervals are 95 %, from blocks. These are agreements with the labels, not the "
        "accuracy of a map: that needs a probability sample.",
        "quiet small",
    )


def _applicability(area: Applicability | None) -> str:
    if area is None:
        return ""
    heaviest = sorted(area.weights.items(), key=lambda item: -item[1])[:5]
    matters = ", ".join(f"{name} {weight:.2f}" for name, weight in heaviest)
    ground = area.ground_outside_share
    mapped = f" Of the ground that was observed, {ground:.1%} is outside." if ground is not None else ""
    return paragraph(
        f"Every pixel of a map carries its dissimilarity to the {area.n_references:,} reference samples inside the "
        f"graph (of {area.n_samples:,}). Beyond {area.threshold:.3f} the model was never tried and the score above "
        f"does not hold. Over the folds of that score {area.outside_share:.1%} of the samples are outside; a sample "
        f"has {area.mean_density:.1f} others within the threshold on average.{mapped}"
    ) + paragraph(f"Threshold: {area.definition}. Features that weigh most: {matters or 'none'}.", "quiet small")


def _conformal(sets: Conformal | None) -> str:
    if sets is None:
        return ""
    rows = [(escape(name), f"{limit:.3f}") for name, limit in sets.quantiles.items()]
    measured, kept = sets.measured, len(sets.regions)
    return (
        paragraph(
            f"Beside the most likely class a map can name every class a pixel may have. Promised: the true class is "
            f"among them for {sets.coverage:.0%} of pixels. Measured on held-out ground: {measured.value:.1%} "
            f"[{measured.low:.1%}, {measured.high:.1%}] over {measured.n_blocks} blocks; "
            f"{sets.low_blocks_share:.0%} of the blocks fall short by a tenth or more. "
            f"{sets.mean_set_size:.2f} classes per pixel on average."
        )
        + table(("class", "belongs to the set up to 1 minus probability of"), rows)
        + paragraph(
            f"Method: {sets.method}. "
            + (f"{kept} regions have limits of their own." if kept else "The same limits hold everywhere."),
            "quiet small",
        )
    )


def _gate(judgement: Judgement) -> str:
    return (
        f"<p><strong>{escape(judgement.outcome)}</strong>, {escape(WORDS[judgement.outcome])}. Compared with "
        f"{escape(judgement.against)} in {metric_words(judgement.metric)}, for {escape(judgement.estimand)}: "
        f"difference {gap(judgement.difference)} over {judgement.difference.n_blocks} blocks; "
        f"margin {judgement.margin:.3f}, detectable {judgement.detectable:.3f}.</p>" + bullets(judgement.objections)
    )


def _lineage(
    bundle: Bundle,
    evaluation: Evaluation,
    features: FeatureTable,
    scenes: Sequence[str],
    judgement: Judgement | None,
    entry: Entry | None,
) -> str:
    params = ", ".join(f"{name} {value}" for name, value in sorted(evaluation.params.items()))
    rows = [
        ("entry", entry.id if entry else ""),
        ("judgement", judgement.id if judgement else ""),
        ("bundle", bundle.id),
        ("graph SHA-256", bundle.file.sha256),
        ("evaluation", evaluation.id),
        ("recipe", f"{evaluation.family}: {params or 'defaults'}"),
        ("parameters found by", evaluation.study),
        ("chosen from", ", ".join(evaluation.selected_from)),
        ("fold plan", evaluation.plan),
        ("feature table", features.id),
        ("experiment", features.experiment),
        ("data version", bundle.version),
        ("scenes", ", ".join(scenes)),
    ]
    return table(("what", "id"), [(what, f"<code>{escape(said)}</code>") for what, said in rows if said])
