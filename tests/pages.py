"""What pages for people have in common in tests: a reader that sees every tag, and names that try to be markup."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any

from geoml_ops.core.noun import Noun
from tests.every_noun import any_noun

HOSTILE = '"><img src=x onerror=alert(1)><script>alert(2)</script><!--&#x27;'
_VOID = {"meta", "img"}
_INLINE = {"code", "strong", "span"}


class Reader(HTMLParser):
    """Reads a page; keeps its tags with their attributes, and its text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.comments: list[str] = []
        self.text = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in _VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag
        self.text += "" if tag in _INLINE else " "

    def handle_data(self, data: str) -> None:
        if not (self.open and self.open[-1] == "style"):
            self.text += data

    def handle_comment(self, data: str) -> None:
        self.comments.append(data)


def read(html: str) -> Reader:
    """Returns a page that was read, after all that must hold for every page was asked of it."""
    page = Reader(html)
    assert not page.open, "every tag is closed"
    assert not page.comments
    assert not {"script", "link", "a", "iframe", "object", "form", "base"} & {tag for tag, _ in page.tags}
    for tag, attributes in page.tags:
        assert not [name for name in attributes if name.startswith("on")], tag
        if tag == "img":
            assert (attributes["src"] or "").startswith("data:image/png;base64,")
            assert attributes["alt"]
        if tag == "svg":
            assert attributes["aria-label"]
    assert not re.search(r"(?i)https?:|url\(|@import|\bnan\b|\binf\b", re.sub(r"base64,[^\"]*", "", html))
    return page


def hostile(kind: type[Noun], **fields: Any) -> Noun:
    """Returns an example of a noun in which every name and sentence tries to be markup."""
    content = _spoilt(any_noun(kind).as_json())
    if "contract" in content:
        # A band's own name is the only one here: no two layers of a contract may be called the same.
        band = content["contract"]["bands"][0]
        content["contract"]["bands"] = [band | {"common_name": "", "aliases": []}]
        content["contract"] |= {"also": []} if "also" in content["contract"] else {}
    return kind.from_json(content | fields)


def _spoilt(value: Any) -> Any:
    if isinstance(value, dict):
        return {_spoilt(k): _spoilt(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_spoilt(item) for item in value]
    return HOSTILE if isinstance(value, str) and value.startswith("some ") else value
