"""Where drift is: how far tiles depart from the usual, tested for being high among high ones or low among low ones.

Tiles are cells of a lattice, complete or not. Local Moran's I or Gi* names the tiles, at a false discovery rate, that
numbers dealt to places at random would not show; those that hang together are regions. Smooth fields are not dealt at
random, so a region is an alarm only where it has more mass than regions of fields in control.
"""

from geoml_ops.domain.hotspots.departures import LEAST_HISTORY, Departures, departures
from geoml_ops.domain.hotspots.discoveries import adjusted, rejected
from geoml_ops.domain.hotspots.drawing import BANDS, columns, pixels, squares
from geoml_ops.domain.hotspots.growing import grown
from geoml_ops.domain.hotspots.lattice import Lattice, Neighbourhood
from geoml_ops.domain.hotspots.regions import Region, largest_mass, least_mass, regions, where
from geoml_ops.domain.hotspots.statistics import (
    CLASSES,
    FINEST,
    HIGH_HIGH,
    HIGH_LOW,
    LOW_HIGH,
    LOW_LOW,
    NO_ANSWER,
    NOT_SIGNIFICANT,
    PERMUTATIONS,
    Local,
    getis_ord,
    local_moran,
)

__all__ = [
    "BANDS",
    "CLASSES",
    "FINEST",
    "HIGH_HIGH",
    "HIGH_LOW",
    "LEAST_HISTORY",
    "LOW_HIGH",
    "LOW_LOW",
    "NOT_SIGNIFICANT",
    "NO_ANSWER",
    "PERMUTATIONS",
    "Departures",
    "Lattice",
    "Local",
    "Neighbourhood",
    "Region",
    "adjusted",
    "columns",
    "departures",
    "getis_ord",
    "grown",
    "largest_mass",
    "least_mass",
    "local_moran",
    "pixels",
    "regions",
    "rejected",
    "squares",
    "where",
]
