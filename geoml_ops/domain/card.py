"""The human page of a model: one HTML document, complete in itself, readable on paper."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from geoml_ops.core.bands import Contract
from geoml_ops.core.evidence import Score
from geoml_ops.core.flow import Bundle, Entry, Evaluation, FeatureTable, FoldPlan, Judgement

CREDIT = (
    "Contains modified Copernicus Sentinel data. Where labels come from OpenStreetMap: "
    "© OpenStreetMap contributors, Open Database License (ODbL)."
)
_STYLE = """
body{font:16px/1.5 system-ui,sans-serif;max-width:52rem;margin:2rem auto;padding:0 1rem;color:#1a1a1a;background:#fff}
h1{font-size:1.6rem;margin-bottom:.2rem}h2{font-size:1.15rem;margin:2rem 0 .5rem;border-bottom:1px solid #ccc}
table{border-collapse:collapse;margin:.5rem 0}th,td{padding:.25rem .7rem;border:1px solid #ccc;text-align:left}
td.n{text-align:right;font-variant-numeric:tabular-nums}tr.counts td{font-weight:600}
.swatch{display:inline-block;width:1em;height:1em;border:1px solid #666;vertical-align:-.1em;margin-right:.4em}
code{font-size:.85em;overflow-wrap:anywhere}.quiet{color:#555}
@media print{body{margin:0;font-size:11px}.swatch{print-color-adjust:exact}}
@media print{h2{break-after:avoid}table{break-inside:avoid}}
"""
_METRICS = {
    "overall_accuracy": "overall accuracy",
    "macro_f1": "macro F1",
    "no_skill_accuracy": "no-skill baseline",
}


def card(
    bundle: Bundle,
    evaluation: Evaluation,
    plan: FoldPlan,
    table: FeatureTable,
    contract: Contract,
    *,
    scenes: Sequence[str] = (),
    judgement: Judgement | None = None,
    entry: Entry | None = None,
) -> str:
    """Returns the page as HTML without links to anything outside itself.

    Args:
        bundle: what is served.
        evaluation: how good its recipe was, honestly and not.
        plan: the folds of the honest score.
        table: the samples it learned from.
        contract: bands that it reads, in its order.
        scenes: names of the scenes it learned from.
        judgement: what the gate said; None before it was asked.
        entry: number in the registry; None before it was registered.
    """
    title = f"{evaluation.family.replace('_', ' ')} on {bundle.sensor}"
    name = f"{entry.model} {entry.number}" if entry else bundle.id
    parts = [
        f"<h1>{escape(title)}</h1><p class=quiet>{escape(name)}</p>",
        _section("Classes", _classes(bundle, evaluation, table)),
        _section("How good is it", _scores(evaluation, plan)),
        _section("Where it confuses classes", _confusion(evaluation)),
        _section("The gate", _gate(judgement)) if judgement else "",
        _section("What it reads", _bands(bundle, contract)),
        _section("Does the graph equal the fitted model", _parity(bundle)),
        _section("Where it comes from", _lineage(bundle, evaluation, table, scenes, judgement, entry)),
        f"<p class=quiet>{escape(CREDIT)}</p>",
    ]
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width,initial-scale=1"><style>{_STYLE}</style></head>\n<body>\n'
        + "\n".join(part for part in parts if part)
        + "\n</body></html>\n"
    )


def _section(title: str, body: str) -> str:
    return f"<h2>{escape(title)}</h2>\n{body}"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]], strong: int = -1) -> str:
    """Returns a table; cells are HTML, those that begin with a digit or a sign stand right."""
    lines = []
    for position, row in enumerate(rows):
        cells = "".join(f"<td{' class=n' if cell[:1] in '0123456789+-' else ''}>{cell}</td>" for cell in row)
        lines.append(f"<tr{' class=counts' if position == strong else ''}>{cells}</tr>")
    top = "".join(f"<th>{escape(cell)}</th>" for cell in head)
    return f"<table><tr>{top}</tr>\n" + "\n".join(lines) + "</table>"


def _classes(bundle: Bundle, evaluation: Evaluation, table: FeatureTable) -> str:
    rows = [
        (
            str(code),
            f'<span class=swatch style="background:{escape(colour)}"></span>{escape(name)}',
            str(table.n_samples.get(name, 0)),
            f"{evaluation.per_class_f1[name]:.2f}" if name in evaluation.per_class_f1 else "never seen or answered",
        )
        for code, (name, colour) in enumerate(zip(bundle.classes, bundle.colours, strict=True))
    ]
    return _table(("code", "class", "samples", "F1, held-out ground"), rows)


def _scores(evaluation: Evaluation, plan: FoldPlan) -> str:
    rows = [
        (escape(_METRICS.get(metric, metric)), _score(score), _score(evaluation.optimism[metric]))
        if metric in evaluation.optimism
        else (escape(_METRICS.get(metric, metric)), _score(score), "not asked")
        for metric, score in evaluation.scores.items()
    ]
    audit = plan.audit
    apart = (
        f" The least distance between training and test samples is {audit.least_distance_m:.0f} m, "
        f"{audit.n_shared_polygons} polygons are on both sides."
        if audit
        else ""
    )
    folds = ", ".join(f"{value:.2f}" for value in evaluation.per_fold)
    return (
        _table(("measure", "held-out ground: this counts", "random folds: optimism"), rows, strong=0)
        + f"<p>The first column answers for {escape(evaluation.estimand)}: {plan.n_folds} folds of "
        f"{plan.block_m:g} m blocks, {plan.n_blocks} blocks, {plan.buffer_m:g} m left empty around each test block."
        f"{apart} Intervals are 95 %, from blocks. The second column mixes neighbouring pixels into training and "
        "test; it is shown only to tell how much that flatters.</p>"
        f"<p>Fold by fold: {folds}.</p>"
    )


def _score(score: Score) -> str:
    return f"{score.value:.3f} <span class=quiet>[{score.low:.3f}, {score.high:.3f}]</span>"


def _confusion(evaluation: Evaluation) -> str:
    rows = [
        (escape(name), *(str(n) for n in counts))
        for name, counts in zip(evaluation.classes, evaluation.confusion, strict=True)
    ]
    return _table(("true \\ answered", *evaluation.classes), rows) + "<p>Samples on held-out ground.</p>"


def _gate(judgement: Judgement) -> str:
    words = {
        "PROMOTE": "promoted",
        "HOLD": "held back",
        "INSUFFICIENT_EVIDENCE": "not promoted: the evidence does not suffice",
    }
    objections = "".join(f"<li>{escape(sentence)}</li>" for sentence in judgement.objections)
    return (
        f"<p><strong>{judgement.outcome}</strong>, {words[judgement.outcome]}. Compared with "
        f"{escape(judgement.against)} in {escape(_METRICS.get(judgement.metric, judgement.metric))}: difference "
        f"{judgement.difference.value:+.3f} [{judgement.difference.low:+.3f}, {judgement.difference.high:+.3f}] over "
        f"{judgement.difference.n_blocks} blocks; margin {judgement.margin:.3f}, detectable {judgement.detectable:.3f}."
        f"</p>" + (f"<ul>{objections}</ul>" if objections else "")
    )


def _bands(bundle: Bundle, contract: Contract) -> str:
    rows = [
        (escape(band.name), escape(band.common_name), f"{band.centre_nm:g}", f"{band.gsd_m:g}", band.resampling)
        for band in contract.bands
    ]
    rule = bundle.radiometry
    return (
        _table(("band", "common name", "centre, nm", "pixel as delivered, m", "resampled"), rows)
        + f"<p>Digital numbers in pixels of {bundle.pixel_m:g} m; reflectance = (DN {rule.offset_dn:+g}) · "
        f"{rule.scale:g}; {rule.nodata:g} means not observed. Scenes that declare another offset are brought to this "
        f"one; scenes that declare none are refused. Features: {escape(', '.join(bundle.features))}. "
        f"Halo {bundle.halo_px} px.</p>"
    )


def _parity(bundle: Bundle) -> str:
    parity = bundle.parity
    rows = [(escape(kind), str(parity.rows[kind]), f"{worst:.1e}") for kind, worst in parity.worst.items()]
    said = "The graph agrees" if parity.passed else "The graph does NOT agree"
    return (
        _table(("rows of real samples", "number", "largest difference in probability"), rows)
        + f"<p>{said} with the fitted model within {parity.tolerance:g}; {parity.n_label_mismatches} labels differ.</p>"
    )


def _lineage(
    bundle: Bundle,
    evaluation: Evaluation,
    table: FeatureTable,
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
        ("fold plan", evaluation.plan),
        ("feature table", table.id),
        ("experiment", table.experiment),
        ("data version", bundle.version),
        ("scenes", ", ".join(scenes)),
    ]
    return _table(("what", "id"), [(what, f"<code>{escape(said)}</code>") for what, said in rows if said])
