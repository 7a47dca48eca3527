"""Which pixels become samples, and the same ones in every later version.

What a polygon, a point or a raster of labels gives follows from its own content and the grid alone. Pixels are looked
at window by window, so labels as large as the scene need no more memory than a part of it.
"""

from geoml_ops.domain.sampling.candidates import FORMS, Candidates, Claims, settled, thinned, together
from geoml_ops.domain.sampling.nearest import ON_EDGE_PX, Placing
from geoml_ops.domain.sampling.points import choose_points, claimed_by_point, pixels_at
from geoml_ops.domain.sampling.polygons import Chosen, choose, claimed_otherwise, polygon_ids
from geoml_ops.domain.sampling.priorities import priority, seed_of
from geoml_ops.domain.sampling.rasters import Block, Lookup, Picked, blocks_of, draw_stratified

__all__ = [
    "FORMS",
    "ON_EDGE_PX",
    "Block",
    "Candidates",
    "Chosen",
    "Claims",
    "Lookup",
    "Picked",
    "Placing",
    "blocks_of",
    "choose",
    "choose_points",
    "claimed_by_point",
    "claimed_otherwise",
    "draw_stratified",
    "pixels_at",
    "polygon_ids",
    "priority",
    "seed_of",
    "settled",
    "thinned",
    "together",
]
