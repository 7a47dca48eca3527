"""The audit trail on disk: lines of JSON that only grow, each sealed to the one before it.

``<first number>-<month>.jsonl`` are the segments, ``head.json`` says how far the trail goes. A record counts from the
moment at which the head names it: lines are written and flushed first, then the head is replaced. What lies beyond the
head is the rest of a writer that was killed; the next one cuts it away. So a trail that lost its end is shorter than
its head says, and one that was changed anywhere has a line whose digest, number or predecessor does not fit.

Who can write the folder can write a whole new trail. Two things outside the folder show that: a key, under which the
head is sealed (HMAC, RFC 2104), and a ``Head`` that was noted elsewhere earlier and must still be on the way.
"""

from geoml_ops.adapters.trail.heads import Head
from geoml_ops.adapters.trail.lines import MOST_LINE_BYTES
from geoml_ops.adapters.trail.trail import SEGMENT_BYTES, Entry, Flaw, Inspection, Trail

__all__ = ["MOST_LINE_BYTES", "SEGMENT_BYTES", "Entry", "Flaw", "Head", "Inspection", "Trail"]
