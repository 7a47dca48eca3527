"""How accurate a map is and how much there is of each class, from a probability sample (Olofsson 2014, Stehman 2014).

In the order of the work: how many units (planning), which ones (drawing), whether the labels that came
back are those of the design (guard), and what they say (estimates). Kappa is not among the numbers: it
depends on how common a class is and hides which error was made (Pontius and Millones 2011, Foody 2020);
quantity and allocation disagreement say both.
"""

from geoml_ops.domain.accuracy.drawing import Drawn, count_codes, draw_ranks, place_ranks
from geoml_ops.domain.accuracy.estimates import Assessment, Cells, Estimate, OfClass, Strata, Z, assess
from geoml_ops.domain.accuracy.guard import Labelled, Matched, Units, match
from geoml_ops.domain.accuracy.planning import ALLOCATIONS, LEAST, MOST_UNITS, Allocation, Sizes, sizes_for, spread_out

__all__ = [
    "ALLOCATIONS",
    "LEAST",
    "MOST_UNITS",
    "Allocation",
    "Assessment",
    "Cells",
    "Drawn",
    "Estimate",
    "Labelled",
    "Matched",
    "OfClass",
    "Sizes",
    "Strata",
    "Units",
    "Z",
    "assess",
    "count_codes",
    "draw_ranks",
    "match",
    "place_ranks",
    "sizes_for",
    "spread_out",
]
