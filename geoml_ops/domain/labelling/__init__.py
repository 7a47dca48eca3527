"""The label budget: where to ask people what is there, so that the answers tell about the whole map.

In the order of the work: what the map is made of (census), what is sampled by itself (strata), how many units of it
(allocating), what came back (returned). Every unit of the mapped ground has a known chance above 0 to be asked about,
however much more is asked where the drift is: weights take it out again.
"""

from geoml_ops.domain.labelling.allocating import (
    DRIFT_WEIGHT,
    HELD_SHARE,
    LEAST,
    Allocated,
    allocate,
    most_strata,
)
from geoml_ops.domain.labelling.census import (
    LARGEST_UNIT_PX,
    UNKNOWN,
    Census,
    UnitLayers,
    units_in,
    with_spots,
)
from geoml_ops.domain.labelling.returned import (
    CANNOT_TELL,
    NONE_OF_THESE,
    Agreement,
    Answer,
    Reviewed,
    check_answers,
    is_sure,
    plain,
    review,
    some,
)
from geoml_ops.domain.labelling.strata import LARGE_ENOUGH, Stratification, Stratum, stratify

__all__ = [
    "CANNOT_TELL",
    "DRIFT_WEIGHT",
    "HELD_SHARE",
    "LARGEST_UNIT_PX",
    "LARGE_ENOUGH",
    "LEAST",
    "NONE_OF_THESE",
    "UNKNOWN",
    "Agreement",
    "Allocated",
    "Answer",
    "Census",
    "Reviewed",
    "Stratification",
    "Stratum",
    "UnitLayers",
    "allocate",
    "check_answers",
    "is_sure",
    "most_strata",
    "plain",
    "review",
    "some",
    "stratify",
    "units_in",
    "with_spots",
]
