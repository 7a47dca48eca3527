"""Pages for people: the card of a model, and the page of a verdict about it.

One HTML document each, complete in itself: no script, nothing loaded from elsewhere, readable on paper.
"""

from geoml_ops.domain.card.model import card
from geoml_ops.domain.card.verdict import Case, in_words, verdict_page

__all__ = ["Case", "card", "in_words", "verdict_page"]
