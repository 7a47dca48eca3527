"""Text as XML 1.0 holds it."""

from __future__ import annotations

import re
from xml.sax import saxutils

_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def escaped(content: str) -> str:
    """Returns text for an element; what XML cannot hold at all becomes U+FFFD.

    >>> escaped("a < b")
    'a &lt; b'
    """
    return saxutils.escape(_NOT_XML.sub("\ufffd", content))


def quoted(content: str) -> str:
    """Returns text for an attribute, in quotation marks."""
    return saxutils.quoteattr(_NOT_XML.sub("\ufffd", content))
