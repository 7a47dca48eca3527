"""Maps on disk: one Cloud Optimized GeoTIFF that explains itself.

Band 1 holds class codes with their colour table and names, band 2 the confidence in percent. Where the model
knows more, all of it follows: how many classes a pixel's set holds, how dissimilar it is to what the model
learned from, how many samples are near it, and which classes the set holds. 255 is "no answer" in every
band, and "not known" where a model lacks a layer. The same pixels give the same bytes. All bands share one
file, so that a map that was sent on still knows how far it may be trusted. A map of any size is written block
by block through a journal, which a killed writer finds again.
"""

from geoml_ops.adapters.cog.attributes import attributes_path, write_attributes
from geoml_ops.adapters.cog.encoding import Encoded
from geoml_ops.adapters.cog.journal import MapJournal
from geoml_ops.adapters.cog.layout import (
    BLOCK_PX,
    CLASS,
    CONFIDENCE,
    DENSITY,
    DISSIMILARITY,
    MAX_BANDS,
    NODATA,
    PROBABILITY,
    SET,
    SET_SIZE,
    MapLayout,
    bands_of,
)
from geoml_ops.adapters.cog.leftovers import remove_left
from geoml_ops.adapters.cog.maps import read_classes, write_map
from geoml_ops.adapters.cog.numbers import write_numbers

__all__ = [
    "BLOCK_PX",
    "CLASS",
    "CONFIDENCE",
    "DENSITY",
    "DISSIMILARITY",
    "MAX_BANDS",
    "NODATA",
    "PROBABILITY",
    "SET",
    "SET_SIZE",
    "Encoded",
    "MapJournal",
    "MapLayout",
    "attributes_path",
    "bands_of",
    "read_classes",
    "remove_left",
    "write_attributes",
    "write_map",
    "write_numbers",
]
