"""Pages without a server: escaped, self-contained HTML, and the monitoring dashboard made of it.

Nothing in a page points outside it: style, pictures and fonts are inside or the reader's own.
"""

from geoml_ops.adapters.pages.dashboard import Overview, dashboard, state
from geoml_ops.adapters.pages.parts import (
    bars,
    cards,
    code,
    figure,
    page,
    pair,
    paragraph,
    section,
    table,
    tag,
)
from geoml_ops.adapters.pages.style import STYLE, TONES

__all__ = [
    "STYLE",
    "TONES",
    "Overview",
    "bars",
    "cards",
    "code",
    "dashboard",
    "figure",
    "page",
    "pair",
    "paragraph",
    "section",
    "state",
    "table",
    "tag",
]
