"""One model takes over from another: what it has to reproduce first, how far both differ, when the first returns."""

from geoml_ops.domain.swap.golden import Outcome, ask, golden, require
from geoml_ops.domain.swap.inputs import inputs
from geoml_ops.domain.swap.shadow import Disagreement, blank, disagreement, summed
from geoml_ops.domain.swap.tiles import MAX_BYTES, Golden, GoldenTile, decode, encode, size_for
from geoml_ops.domain.swap.vigil import Limits, Noted, objection

__all__ = [
    "MAX_BYTES",
    "Disagreement",
    "Golden",
    "GoldenTile",
    "Limits",
    "Noted",
    "Outcome",
    "ask",
    "blank",
    "decode",
    "disagreement",
    "encode",
    "golden",
    "inputs",
    "objection",
    "require",
    "size_for",
    "summed",
]
