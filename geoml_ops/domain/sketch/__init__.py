"""What ground looked like and what was answered there, in a few numbers: the evidence that monitoring compares.

Tiles in columns (:func:`sketch_tiles`), and counts that add up exactly however the ground was cut (:func:`tally`).
"""

from geoml_ops.domain.sketch.bands import MOST_BYTES, Sketch, empty, from_bytes, from_text, sketch, sketch_bands
from geoml_ops.domain.sketch.bins import N_BINS, Bins, bins_of
from geoml_ops.domain.sketch.ordered import Ordered, ordered
from geoml_ops.domain.sketch.tally import (
    CONFIDENCE_BINS,
    Tally,
    tally,
    tally_answers,
    tally_from,
    tally_tiles,
    total,
)
from geoml_ops.domain.sketch.tiles import (
    Answers,
    Columns,
    Place,
    Row,
    answers_of,
    class_counts,
    edge_density,
    edges_of,
    place_of,
    sketch_tile,
    sketch_tiles,
    tile_columns,
)

__all__ = [
    "CONFIDENCE_BINS",
    "MOST_BYTES",
    "N_BINS",
    "Answers",
    "Bins",
    "Columns",
    "Ordered",
    "Place",
    "Row",
    "Sketch",
    "Tally",
    "answers_of",
    "bins_of",
    "class_counts",
    "edge_density",
    "edges_of",
    "empty",
    "from_bytes",
    "from_text",
    "ordered",
    "place_of",
    "sketch",
    "sketch_bands",
    "sketch_tile",
    "sketch_tiles",
    "tally",
    "tally_answers",
    "tally_from",
    "tally_tiles",
    "tile_columns",
    "total",
]
