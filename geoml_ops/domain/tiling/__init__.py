"""A whole scene through a graph, tile by tile, and the layers that come out; numpy only, for the service too."""

from geoml_ops.domain.tiling.layers import BITS, CEILING, NODATA_CLASS, Answer, Layers, members_of, outside
from geoml_ops.domain.tiling.sets import Least, least_over, least_probability, sets
from geoml_ops.domain.tiling.tiles import Run, classify_array, classify_window, tiles, with_halo

__all__ = [
    "BITS",
    "CEILING",
    "NODATA_CLASS",
    "Answer",
    "Layers",
    "Least",
    "Run",
    "classify_array",
    "classify_window",
    "least_over",
    "least_probability",
    "members_of",
    "outside",
    "sets",
    "tiles",
    "with_halo",
]
