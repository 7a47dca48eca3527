"""A whole scene through a graph, tile by tile, and the layers that come out; numpy only, for the service too."""

from geoml_ops.domain.tiling.blending import joined, slope
from geoml_ops.domain.tiling.lattice import Box, Lattice
from geoml_ops.domain.tiling.layers import BITS, CEILING, NODATA_CLASS, Answer, Layers, members_of, nothing, outside
from geoml_ops.domain.tiling.seams import seam_score
from geoml_ops.domain.tiling.sets import Least, least_over, least_probability, sets
from geoml_ops.domain.tiling.tiles import (
    Ask,
    Block,
    Pixels,
    Run,
    Spread,
    answer_of,
    classify_array,
    classify_block,
    classify_window,
    filled,
    tiles,
    with_halo,
)

__all__ = [
    "BITS",
    "CEILING",
    "NODATA_CLASS",
    "Answer",
    "Ask",
    "Block",
    "Box",
    "Lattice",
    "Layers",
    "Least",
    "Pixels",
    "Run",
    "Spread",
    "answer_of",
    "classify_array",
    "classify_block",
    "classify_window",
    "filled",
    "joined",
    "least_over",
    "least_probability",
    "members_of",
    "nothing",
    "outside",
    "seam_score",
    "sets",
    "slope",
    "tiles",
    "with_halo",
]
