"""A landscape whose truth is known, seen through years: seasons, weather, faults and real changes.

``ground`` makes the land, ``observe`` what a sensor delivers of it at a time; ``changed`` and ``look`` are what
training can cure, the functions of :mod:`.faults` what it cannot.
"""

from geoml_ops.domain.years.faults import blank, clouded, gain, missing, moved, offset, resampled, rescale, swap
from geoml_ops.domain.years.ground import CORNERS, Corner, Ground, changed, corner_of, ground
from geoml_ops.domain.years.observing import observe
from geoml_ops.domain.years.seasons import CLASSES, Season, season_of, spectrum

__all__ = [
    "CLASSES",
    "CORNERS",
    "Corner",
    "Ground",
    "Season",
    "blank",
    "changed",
    "clouded",
    "corner_of",
    "gain",
    "ground",
    "missing",
    "moved",
    "observe",
    "offset",
    "resampled",
    "rescale",
    "season_of",
    "spectrum",
    "swap",
]
