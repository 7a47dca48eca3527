"""History under another policy: what its charts would have said, and what it would have cost.

Charts are made again from the readings of a stream, scene after scene, each with what was in control before it
(:mod:`~geoml_ops.domain.replay.charting`); drift is named again from the new charts, faults as they were recorded
(:mod:`~geoml_ops.domain.replay.renaming`); and what a policy did is counted, against the truth where it is known
(:mod:`~geoml_ops.domain.replay.counting`).
"""

from geoml_ops.domain.replay.charting import Past, charted
from geoml_ops.domain.replay.counting import Evaluated, Tallied, counted
from geoml_ops.domain.replay.renaming import renamed
from geoml_ops.domain.replay.truth import Change, Truth

__all__ = ["Change", "Evaluated", "Past", "Tallied", "Truth", "charted", "counted", "renamed"]
