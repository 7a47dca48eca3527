"""Pages without a server: escaped, self-contained HTML, and the monitoring dashboard made of it.

Nothing in a page points outside it: style, pictures and fonts are inside or the reader's own.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from html import escape
from typing import Any

from geoml_ops.core.flow import Bundle, Decision, Drift, Entry, Judgement, Statistic, Verdict, Version
from geoml_ops.core.policy import Policy
from geoml_ops.domain.drift import CLASS_SHARES, CONFIDENCE

TONES = {
    "none": "good",
    "PROMOTE": "good",
    "accepted": "good",
    "retrain": "act",
    "covariate shift": "act",
    "collect labels": "act",
    "undeclared offset": "bad",
    "fix ingest": "bad",
    "refused": "bad",
    "HOLD": "quiet",
    "INSUFFICIENT_EVIDENCE": "quiet",
}

STYLE = """
:root{--ink:#1c2733;--quiet:#5b6875;--line:#e2e7ec;--wash:#f5f7f9;--blue:#0072b2;--orange:#b34700;--green:#00694f;
--red:#a4262c;--paper:#fff}
*{box-sizing:border-box}
html{font:16px/1.6 system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif;
color:var(--ink);background:var(--wash)}
body{margin:0}
main{max-width:1080px;margin:0 auto;padding:0 24px 72px}
header{background:#10212f;color:#fff;padding:44px 24px 36px;margin-bottom:28px}
header>div{max-width:1032px;margin:0 auto}
header h1{font-size:2rem;line-height:1.2;margin:0 0 8px;letter-spacing:-.01em}
header p{margin:0;color:#c3d0db;max-width:70ch}
section{background:var(--paper);border:1px solid var(--line);border-radius:12px;padding:24px 28px 26px;margin:0 0 22px}
h2{font-size:1.3rem;margin:0 0 6px;letter-spacing:-.005em}
h3{font-size:1.02rem;margin:22px 0 6px}
p{margin:6px 0 12px;max-width:78ch}
.step{color:var(--blue);font-weight:650;font-size:.78rem;letter-spacing:.09em;text-transform:uppercase;margin:0 0 4px}
.lead{font-size:1.02rem}
.quiet{color:var(--quiet)}
small,.small{font-size:.86rem}
code{font:.84em ui-monospace,SFMono-Regular,Menlo,"DejaVu Sans Mono",monospace;background:var(--wash);padding:1px 5px;
border-radius:4px;overflow-wrap:anywhere}
figure{margin:14px 0 4px}
figure img{max-width:min(100%,900px);height:auto;display:block}
figcaption{color:var(--quiet);font-size:.86rem;margin-top:4px;max-width:78ch}
.pair{display:grid;grid-template-columns:repeat(auto-fill,minmax(380px,1fr));gap:4px 26px;align-items:start}
table{border-collapse:collapse;width:100%;font-size:.9rem;margin:10px 0 4px}
th{color:var(--quiet);font-weight:600;text-align:left}
th,td{padding:7px 12px 7px 0;border-bottom:1px solid var(--line);vertical-align:top}
td.n,th.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
.wide{overflow-x:auto}
.tag{display:inline-block;border-radius:999px;padding:1px 11px;font-size:.8rem;font-weight:650;white-space:nowrap;
background:#e9edf1;color:#3c4955}
.tag.good{background:#dcf2ea;color:var(--green)}
.tag.act{background:#fdeadb;color:var(--orange)}
.tag.bad{background:#fbe1e2;color:var(--red)}
.cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(150px,1fr));gap:12px;margin:14px 0 8px}
.card{border:1px solid var(--line);border-radius:10px;padding:12px 14px}
.card b{display:block;font-size:1.15rem;line-height:1.3;font-variant-numeric:tabular-nums;overflow-wrap:break-word}
.card span{color:var(--quiet);font-size:.82rem;line-height:1.4;display:block}
.note{border-left:3px solid #e69f00;background:#fff9ec;padding:10px 16px;border-radius:0 8px 8px 0;margin:12px 0;
max-width:none}
.bars td{border:0;padding:3px 12px 3px 0}
.bar{position:relative;background:var(--wash);border-radius:4px;height:15px;min-width:200px}
.bar i{position:absolute;inset:0 auto 0 0;border-radius:4px;background:var(--blue)}
.bar i.beyond{background:#d55e00}
.bar u{position:absolute;top:-3px;bottom:-3px;width:0;border-left:2px dashed var(--ink)}
.chain{list-style:none;margin:14px 0 0;padding:0}
.chain li{position:relative;padding:0 0 16px 30px}
.chain li:before{content:"";position:absolute;left:5px;
top:7px;width:11px;height:11px;border-radius:50%;background:var(--blue)}
.chain li:after{content:"";position:absolute;left:10px;top:20px;bottom:-5px;border-left:2px solid var(--line)}
.chain li:last-child:after{display:none}
nav a{color:#8fd0ff;margin-right:18px}
a{color:var(--blue)}
footer{color:var(--quiet);font-size:.86rem;padding:6px 4px}
@media(max-width:560px){section{padding:18px 16px}.pair{grid-template-columns:1fr}main{padding:0 10px 40px}}
@media print{html{background:#fff}section{break-inside:avoid;border:0;padding:0}}
"""


def page(title: str, lead: str, body: str, *, refresh_s: int = 0, links: Mapping[str, str] | None = None) -> str:
    """Returns a whole page; ``title`` and ``lead`` are text, ``body`` is HTML, ``links`` text → local address."""
    again = f'<meta http-equiv="refresh" content="{refresh_s}">' if refresh_s else ""
    shown = "".join(f'<a href="{escape(url, quote=True)}">{escape(text)}</a>' for text, url in (links or {}).items())
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        '<link rel="icon" href="data:,">'
        f"{again}<title>{escape(title)}</title><style>{STYLE}</style></head>\n"
        f"<body><header><div><h1>{escape(title)}</h1><p>{escape(lead)}</p>"
        f"{f'<nav>{shown}</nav>' if shown else ''}</div></header>\n<main>{body}</main></body></html>\n"
    )


def section(step: str, title: str, *parts: str) -> str:
    """Returns one block: a small word above, a heading (both text), then HTML parts."""
    above = f'<p class="step">{escape(step)}</p>' if step else ""
    return f"<section>{above}<h2>{escape(title)}</h2>{''.join(parts)}</section>\n"


def paragraph(text: str, kind: str = "") -> str:
    """Returns a paragraph of text; ``kind`` is one of the style's classes."""
    return f'<p class="{kind}">{escape(text)}</p>' if kind else f"<p>{escape(text)}</p>"


def code(text: str) -> str:
    """Returns an id or a digest, set apart."""
    return f"<code>{escape(text)}</code>"


def tag(word: str) -> str:
    """Returns a coloured word; the colour follows from the word, and the word says it all without colour."""
    return f'<span class="tag {TONES.get(word, "")}">{escape(word.replace("_", " "))}</span>'


def figure(png: bytes, alt: str, caption: str = "") -> str:
    """Returns a PNG inside the page, with its words for those who cannot see it."""
    inside = base64.b64encode(png).decode()
    below = f"<figcaption>{escape(caption)}</figcaption>" if caption else ""
    return f'<figure><img alt="{escape(alt, quote=True)}" src="data:image/png;base64,{inside}">{below}</figure>'


def pair(*parts: str) -> str:
    """Returns parts side by side where there is room."""
    return f'<div class="pair">{"".join(f"<div>{part}</div>" for part in parts)}</div>'


def cards(facts: Iterable[tuple[str, str]]) -> str:
    """Returns numbers as cards: (number, what it is)."""
    each = "".join(f'<div class="card"><b>{escape(n)}</b><span>{escape(what)}</span></div>' for n, what in facts)
    return f'<div class="cards">{each}</div>'


def table(heads: Sequence[str], rows: Iterable[Sequence[str]], *, numbers: Sequence[int] = ()) -> str:
    """Returns a table; ``heads`` are text, cells are HTML, ``numbers`` are the columns set to the right."""
    kind = [' class="n"' if i in numbers else "" for i in range(len(heads))]
    head = "".join(f"<th{k}>{escape(h)}</th>" for k, h in zip(kind, heads, strict=True))
    body = "".join(
        f"<tr>{''.join(f'<td{k}>{cell}</td>' for k, cell in zip(kind, row, strict=True))}</tr>" for row in rows
    )
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def bars(statistics: Sequence[Statistic], threshold: float) -> str:
    """Returns one bar per band and confidence, with the threshold as a dashed line; class shares as a sentence."""
    shown = [s for s in statistics if s.column != CLASS_SHARES]
    if not shown:
        return ""
    reach = max([s.distance for s in shown] + [threshold]) * 1.05
    rows = [
        (
            escape(s.column),
            f'<div class="bar"><i class="{"beyond" if s.drifted else ""}" style="width:{s.distance / reach:.1%}"></i>'
            f'<u style="left:{threshold / reach:.1%}"></u></div>',
            f"{s.distance:.2f} sd",
            f"{s.mean_shift:+.3f}" if s.column == CONFIDENCE else f"{s.mean_shift:+,.0f} DN",
        )
        for s in shown
    ]
    body = "".join(
        f'<tr><td>{name}</td><td style="width:60%">{bar}</td><td class="n">{far}</td><td class="n">{moved}</td></tr>'
        for name, bar, far, moved in rows
    )
    words = [f"Dashed: threshold {threshold:g} sd, fixed, uncalibrated."]
    words += [
        f"Class shares moved by {s.distance:.0%} in total (largest {s.mean_shift:+.0%}); shown, not counted."
        for s in statistics
        if s.column == CLASS_SHARES
    ]
    return f'<table class="bars">{body}</table>{paragraph(" ".join(words), "quiet small")}'


# --- the dashboard ---------------------------------------------------------------------------


@dataclass(frozen=True)
class Overview:
    """What the dashboard shows; sequences are oldest first."""

    model: str
    champion: Entry | None
    bundle: Bundle | None
    policy: Policy
    n_predictions: int
    last_prediction: datetime | None
    drifts: Sequence[Drift]
    decisions: Sequence[Decision]
    versions: Sequence[Version]
    verdicts: Sequence[Verdict]
    judgements: Sequence[Judgement]


def state(overview: Overview) -> dict[str, Any]:
    """Returns the overview as plain JSON values: nouns under their ids."""
    lists = ("drifts", "decisions", "versions", "verdicts", "judgements")
    o = overview
    return {
        "model": o.model,
        "champion": {"id": o.champion.id, **o.champion.as_json()} if o.champion else None,
        "policy": {"id": o.policy.id, **o.policy.model_dump(mode="json")},
        "n_predictions": o.n_predictions,
        "last_prediction": o.last_prediction.isoformat() if o.last_prediction else None,
        "calibrated": False,
        **{name: [{"id": noun.id, **noun.as_json()} for noun in getattr(o, name)] for name in lists},
    }


def dashboard(overview: Overview, *, links: Mapping[str, str] | None = None) -> str:
    """Returns the monitoring page; it asks for itself again every 30 s.

    Args:
        overview: what to show.
        links: text → address of the other local pages; none are made up here.
    """
    o = overview
    body = "".join((_now(o), _drift(o), _decisions(o), _gate(o), _deliveries(o)))
    lead = "Recent requests against the ground the champion learned from. Thresholds are fixed and uncalibrated."
    return page(f"{o.model}: monitoring", lead, body, refresh_s=30, links=links)


def _now(o: Overview) -> str:
    latest = o.drifts[-1].diagnosis.cause if o.drifts else "not compared yet"
    facts = [
        (f"number {o.champion.number}" if o.champion else "none yet", "champion"),
        (f"{o.n_predictions:,}", "predictions logged"),
        (f"{o.last_prediction:%Y-%m-%d %H:%M} UTC" if o.last_prediction else "none yet", "last prediction"),
        (f"{len(o.versions)}", "versions of the data"),
        (latest, "last diagnosis"),
    ]
    names = []
    if o.bundle:
        names.append(f"<p>Bundle {code(o.bundle.id)}, learned from version {code(o.bundle.version)}; ")
        names.append(f"classes {escape(', '.join(o.bundle.classes))}; bands {escape(', '.join(o.bundle.bands))}.</p>")
    return section("now", "What serves", cards(facts), *names)


def _drift(o: Overview) -> str:
    if not o.drifts:
        return section(
            "drift", "Nothing compared yet", paragraph("No data is not good news: ask for a map, then patrol.")
        )
    blocks = []
    for drift in reversed(o.drifts[-5:]):
        tiles = f"{drift.n_current} recent tiles against {drift.n_reference} of the reference; unit: {drift.unit}."
        blocks.append(
            f"<h3>{tag(drift.diagnosis.cause)} {code(drift.id)}</h3>{paragraph(drift.diagnosis.sentence)}"
            f"{paragraph(tiles, 'quiet small')}{bars(drift.statistics, drift.threshold)}"
        )
    return section("drift", "What changed, newest first", *blocks)


def _decisions(o: Overview) -> str:
    rows = [
        (tag(d.action), "yes" if d.fired else "no", escape(d.because), code(d.id)) for d in reversed(o.decisions[-20:])
    ]
    rule = (
        f"Policy {o.policy.name!r}: new versions train {o.policy.new_version}; drift "
        f"{'trains once labels of its ground arrive' if o.policy.retrain_on_drift else 'never trains by itself'}."
    )
    empty = paragraph("No trigger was weighed yet.", "quiet")
    return section(
        "decisions",
        "What followed",
        paragraph(rule, "quiet"),
        table(("action", "fired", "because", "record"), rows) if rows else empty,
    )


def _gate(o: Overview) -> str:
    rows = [
        (
            tag(j.outcome),
            escape(f"{j.metric} against {j.against}"),
            f"{j.difference.value:+.3f} ({j.difference.low:+.3f} to {j.difference.high:+.3f})",
            escape("; ".join(j.objections) or "no objection"),
        )
        for j in reversed(o.judgements[-10:])
    ]
    heads = ("outcome", "compared", "difference (95 % interval)", "objections")
    return section("gate", "What may serve", table(heads, rows) if rows else paragraph("Nothing judged yet.", "quiet"))


def _deliveries(o: Overview) -> str:
    rows = [
        (
            tag("accepted" if v.accepted else "refused"),
            escape(v.delivery),
            escape(" ".join(v.reasons) or f"{len(v.checks)} checks passed"),
        )
        for v in reversed(o.verdicts[-20:])
    ]
    versions = [
        (code(v.id), str(len(v.scenes)), str(len(v.labels)), code(v.rev[:12])) for v in reversed(o.versions[-10:])
    ]
    return section(
        "deliveries",
        "What came in",
        table(("verdict", "delivery", "reasons"), rows) if rows else paragraph("No delivery yet.", "quiet"),
        table(("version", "scenes", "labels", "commit"), versions, numbers=(1, 2)) if versions else "",
    )
