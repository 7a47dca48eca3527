"""The parts of a page: text is escaped here, HTML comes only from here."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from html import escape

from geoml_ops.adapters.pages.style import STYLE, TONES
from geoml_ops.core.watched import Statistic
from geoml_ops.domain.drift import CLASS_SHARES, CONFIDENCE

_TO = "\N{SINGLE RIGHT-POINTING ANGLE QUOTATION MARK}"


def page(
    title: str,
    lead: str,
    body: str,
    *,
    refresh_s: int = 0,
    links: Mapping[str, str] | None = None,
    crumbs: Mapping[str, str] | None = None,
) -> str:
    """Returns a whole page.

    Args:
        title: text.
        lead: text below the title.
        body: HTML.
        refresh_s: after which the page asks for itself again; 0 for never.
        links: text → local address of other pages.
        crumbs: text → address of the pages above this one, outermost first.
    """
    again = f'<meta http-equiv="refresh" content="{refresh_s}">' if refresh_s else ""
    shown = "".join(f'<a href="{escape(url, quote=True)}">{escape(text)}</a>' for text, url in (links or {}).items())
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        '<link rel="icon" href="data:,">'
        f"{again}<title>{escape(title)}</title><style>{STYLE}</style></head>\n"
        f"<body><header><div>{_crumbs(crumbs)}<h1>{escape(title)}</h1><p>{escape(lead)}</p>"
        f"{f'<nav>{shown}</nav>' if shown else ''}</div></header>\n<main>{body}</main></body></html>\n"
    )


def link(words: str, address: str) -> str:
    """Returns a link; both are text."""
    return f'<a href="{escape(address, quote=True)}">{escape(words)}</a>'


def _crumbs(crumbs: Mapping[str, str] | None) -> str:
    above = f" {_TO} ".join(link(words, address) for words, address in (crumbs or {}).items())
    return f'<p class="crumbs">{above} {_TO}</p>' if above else ""


def bullets(items: Iterable[str], kind: str = "do") -> str:
    """Returns a list of HTML items; ``do`` counts steps, ``fine`` sets them in one small line."""
    return f'<ul class="{kind}">{"".join(f"<li>{item}</li>" for item in items)}</ul>'


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


def short(noun_id: str) -> str:
    """Returns an id with eight of its digits, all of them for whoever points at it."""
    kind, _, digits = noun_id.rpartition("-")
    words = f"{kind}-{digits[:8]}" if len(digits) > 8 else noun_id
    return f'<code class="short" title="{escape(noun_id, quote=True)}">{escape(words)}</code>'


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


def table(
    heads: Sequence[str], rows: Iterable[Sequence[str]], *, numbers: Sequence[int] = (), narrow: bool = False
) -> str:
    """Returns a table; ``heads`` are text, cells are HTML, ``numbers`` are the columns set to the right."""
    kind = [' class="n"' if i in numbers else "" for i in range(len(heads))]
    head = "".join(f"<th{k}>{escape(h)}</th>" for k, h in zip(kind, heads, strict=True))
    body = "".join(
        f"<tr>{''.join(f'<td{k}>{cell}</td>' for k, cell in zip(kind, row, strict=True))}</tr>" for row in rows
    )
    kept = ' class="narrow"' if narrow else ""
    return f'<div class="wide"><table{kept}><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


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
    return f'<div class="wide"><table class="bars">{body}</table></div>{paragraph(" ".join(words), "quiet small")}'
