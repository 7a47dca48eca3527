"""Pages without a server: escaped, self-contained HTML, and the monitoring dashboard made of it.

Nothing in a page points outside it: style, pictures and fonts are inside or the reader's own.
"""

from geoml_ops.adapters.pages.dashboard import dashboard
from geoml_ops.adapters.pages.driftpages import DriftView, drift_page
from geoml_ops.adapters.pages.overview import Overview, TrailWords, scene_values, state
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
from geoml_ops.adapters.pages.streampages import StreamView, slug_of, stream_page
from geoml_ops.adapters.pages.style import STYLE, TONES

__all__ = [
    "STYLE",
    "TONES",
    "DriftView",
    "Overview",
    "StreamView",
    "TrailWords",
    "bars",
    "cards",
    "code",
    "dashboard",
    "drift_page",
    "figure",
    "page",
    "pair",
    "paragraph",
    "scene_values",
    "section",
    "slug_of",
    "state",
    "stream_page",
    "table",
    "tag",
]
