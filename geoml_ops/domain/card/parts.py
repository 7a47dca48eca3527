"""What pages about models share: one style, tables, facts; text is escaped here, nothing is loaded from elsewhere."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from html import escape

from geoml_ops.core.evidence import Outcome, Score
from geoml_ops.core.flow import FoldPlan
from geoml_ops.core.folding import Estimand, Method

CREDIT = (
    "Contains modified Copernicus Sentinel data. Where labels come from OpenStreetMap: "
    "© OpenStreetMap contributors, Open Database License (ODbL)."
)
STYLE = """
:root{--ink:#1c2733;--quiet:#5b6875;--line:#dfe4e9;--wash:#f4f6f8;--blue:#0072b2;--orange:#b34700;--green:#00694f}
*{box-sizing:border-box}
body{font:1rem/1.55 system-ui,"Segoe UI",Roboto,"DejaVu Sans",sans-serif;max-width:60rem;margin:2rem auto;
padding:0 1.2rem 3rem;color:var(--ink);background:#fff}
h1{font-size:1.65rem;line-height:1.25;margin:0 0 .2rem;overflow-wrap:anywhere}
h2{font-size:1.2rem;margin:2.2rem 0 .5rem;padding-bottom:.2rem;border-bottom:1px solid var(--line)}
h3{font-size:1rem;margin:1.2rem 0 .3rem}p{margin:.4rem 0 .7rem;max-width:78ch}
ul{margin:.3rem 0 .8rem;padding-left:1.3rem}
table{border-collapse:collapse;margin:.6rem 0;font-size:.92rem}th,td{padding:.3rem .7rem;border:1px solid var(--line);
text-align:left;vertical-align:top;overflow-wrap:break-word;max-width:34rem}th{background:var(--wash);font-weight:600}
td.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}tr.counts td{font-weight:600}
.wide{overflow-x:auto}.quiet{color:var(--quiet)}.small{font-size:.86rem}
.swatch{display:inline-block;width:1em;height:1em;border:1px solid #666;vertical-align:-.1em;margin-right:.4em}
code{font-size:.85em;overflow-wrap:anywhere}
.note{border-left:4px solid #e69f00;background:#fff8e8;padding:.6rem 1rem;margin:.8rem 0;max-width:78ch}
.facts{display:grid;grid-template-columns:repeat(auto-fit,minmax(10.2rem,1fr));gap:.7rem;margin:.9rem 0}
.facts div{border:1px solid var(--line);border-radius:.5rem;padding:.55rem .8rem}
.facts b{display:block;font-size:1.08rem;font-variant-numeric:tabular-nums}
.facts span{color:var(--quiet);font-size:.82rem;line-height:1.35;display:block}
.verdict{border-radius:.7rem;padding:1.1rem 1.3rem 1rem;margin:0 0 1.2rem;border:1px solid;border-left-width:.5rem}
.verdict b{font-size:.95rem;letter-spacing:.06em}.verdict p{font-size:1.12rem;margin:.35rem 0 0}
.good{background:#e8f5f0;border-color:var(--green)}.good b,.yes{color:var(--green)}
.bad{background:#fdeee6;border-color:var(--orange)}.bad b,.no{color:var(--orange)}
.still{background:var(--wash);border-color:#7d8a97}.yes,.no{font-weight:600}
.pair{display:grid;grid-template-columns:repeat(auto-fit,minmax(21rem,1fr));gap:.4rem 1.6rem;align-items:start}
figure{margin:.6rem 0}figure img,svg{max-width:100%;height:auto;display:block}
figcaption{color:var(--quiet);font-size:.86rem;max-width:70ch;margin-top:.3rem}
@media print{html{font-size:11px}body{margin:0;max-width:none}
*{print-color-adjust:exact;-webkit-print-color-adjust:exact}
h2,h3{break-after:avoid}table,figure,.facts,.verdict,.note{break-inside:avoid}}
"""
METRICS = {
    "overall_accuracy": "overall accuracy",
    "macro_f1": "macro F1",
    "no_skill_accuracy": "no-skill baseline",
    "ece": "calibration error",
    "f1": "F1",
    "users_accuracy": "user's accuracy",
    "producers_accuracy": "producer's accuracy",
    "iou": "IoU",
}
#: What was decided, in few words; every outcome has some.
WORDS: Mapping[Outcome, str] = {
    "PROMOTE": "promoted",
    "HOLD": "held back",
    "REJECT": "rejected",
    "INSUFFICIENT_EVIDENCE": "not promoted: the evidence does not suffice",
}
#: What a score with this estimand tells.
ASKS: Mapping[Estimand, str] = {
    "this map": "how right the map of this ground is",
    "a new region": "how right a map of ground like this would be where nothing was labelled",
    "a new year": "how right a map of this ground would be at another time",
    "a probability sample": "how right the map is, from a sample drawn for that purpose",
    "optimism baseline": "how well known fields are filled in: it flatters and counts for nothing",
}
_FOLDS: Mapping[Method, str] = {
    "block": "{n} folds of {shape}s of {block} m",
    "buffered": "{n} folds with a buffer",
    "buffered_loo": "one sample at a time, with a buffer around it",
    "location": "{n} folds that keep each {location} whole",
    "time": "{n} folds of whole dates",
    "location_time": "{n} folds that share neither {location} nor date",
    "kmeans": "{n} folds of clusters on the ground",
    "environment": "{n} folds of clusters in feature space",
    "nndm": "one sample at a time, as far from others as the map's pixels are",
    "knndm": "{n} folds that lie as far from others as the map's pixels do",
    "random": "{n} random folds",
}


def page(title: str, body: Iterable[str]) -> str:
    """Returns a whole document; ``title`` is text, ``body`` are pieces of HTML, empty ones left out."""
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width,initial-scale=1"><style>{STYLE}</style></head>\n<body>\n'
        + "\n".join(part for part in body if part)
        + "\n</body></html>\n"
    )


def section(title: str, *body: str) -> str:
    """Returns a heading (text) and what belongs to it (HTML); nothing where there is no body."""
    inside = "".join(body)
    return f"<h2>{escape(title)}</h2>\n{inside}" if inside else ""


def table(head: Sequence[str], rows: Iterable[Sequence[str]], strong: int = -1) -> str:
    """Returns a table; heads are text, cells are HTML, those that begin with a digit or a sign stand right."""
    lines = []
    for position, row in enumerate(rows):
        cells = "".join(f"<td{' class=n' if cell[:1] in tuple('0123456789+-') else ''}>{cell}</td>" for cell in row)
        lines.append(f"<tr{' class=counts' if position == strong else ''}>{cells}</tr>")
    top = "".join(f"<th>{escape(cell)}</th>" for cell in head)
    return f"<div class=wide><table><tr>{top}</tr>\n" + "\n".join(lines) + "</table></div>"


def paragraph(text: str, kind: str = "") -> str:
    """Returns a paragraph of text; ``kind`` is a class of the style."""
    return f'<p class="{kind}">{escape(text)}</p>' if kind else f"<p>{escape(text)}</p>"


def bullets(sentences: Iterable[str]) -> str:
    """Returns sentences (text) as a list; nothing where there are none."""
    inside = "".join(f"<li>{escape(sentence)}</li>" for sentence in sentences)
    return f"<ul>{inside}</ul>" if inside else ""


def facts(pairs: Iterable[tuple[str, str]]) -> str:
    """Returns numbers as cards: (number, what it is), both text."""
    inside = "".join(f"<div><b>{escape(n)}</b><span>{escape(what)}</span></div>" for n, what in pairs)
    return f"<div class=facts>{inside}</div>"


def figure(inside: str, caption: str) -> str:
    """Returns a picture (HTML) with its caption (text)."""
    return f"<figure>{inside}<figcaption>{escape(caption)}</figcaption></figure>"


def picture(png: bytes, alt: str, caption: str) -> str:
    """Returns a PNG inside the page, with words for those who cannot see it."""
    inside = base64.b64encode(png).decode()
    return figure(f'<img alt="{escape(alt, quote=True)}" src="data:image/png;base64,{inside}">', caption)


def passed(yes: bool) -> str:
    """Returns a coloured word that says it without its colour too."""
    return "<span class=yes>yes</span>" if yes else "<span class=no>no</span>"


def metric_words(metric: str) -> str:
    """Returns a metric as people call it, escaped."""
    return escape(METRICS.get(metric, metric.replace("_", " ")))


def score(found: Score) -> str:
    """Returns a value with its interval."""
    return f"{found.value:.3f} <span class=quiet>[{found.low:.3f}, {found.high:.3f}]</span>"


def gap(found: Score) -> str:
    """Returns a signed difference with its interval."""
    return f"{found.value:+.3f} <span class=quiet>[{found.low:+.3f}, {found.high:+.3f}]</span>"


def folds_words(plan: FoldPlan) -> str:
    """Returns how a plan keeps samples apart, in one sentence without its full stop."""
    rules, edge = plan.rules, plan.rules.block_m
    said = _FOLDS[plan.method].format(
        n=plan.n_folds,
        shape=rules.shape,
        block=edge if edge == "auto" else f"{edge:g}",
        location=rules.location,
    )
    near = f", {plan.buffer_m:g} m left empty around what is tested" if plan.buffer_m else ""
    halo = f" and {plan.halo_px} px of halo more" if plan.buffer_m and plan.halo_px else ""
    return f"{said}{near}{halo}"


def remarks(plan: FoldPlan) -> str:
    """Returns what has to be known when a score of these folds is read, as a list; nothing where nothing has."""
    audited = plan.audit.remarks if plan.audit else ()
    sized = plan.block_size.remarks if plan.block_size else ()
    return bullets((*audited, *sized))
