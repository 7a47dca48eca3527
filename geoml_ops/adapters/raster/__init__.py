"""Rasters on disk, through rasterio: two formats, stated limits, nothing beside the file believed.

A file is opened by the driver that its own first bytes name, from a regular local file, without
sidecars, overviews or network; its size is judged before a pixel is read.
"""

from geoml_ops.adapters.raster.labels import CodedRaster, Codes, counted, describe_codes, is_geotiff, open_codes
from geoml_ops.adapters.raster.natural import PICTURE_BLOCK_PX, picture_grid, tile_picture
from geoml_ops.adapters.raster.opening import LIMITS, Limits
from geoml_ops.adapters.raster.outlines import Outlines, outlines
from geoml_ops.adapters.raster.reading import RasterFacts, describe, read, to_grid
from geoml_ops.adapters.raster.streaming import LEAST_CACHE, Chunking, Stream, chunking, streamed
from geoml_ops.adapters.raster.tiling import (
    OWN,
    Levels,
    WebTile,
    common,
    level_for,
    levels,
    lon_lat_bounds,
    outline,
    read_tile,
    thinned,
    to_ground,
)
from geoml_ops.adapters.raster.warping import Extent, extent, warped
from geoml_ops.adapters.raster.writing import write_band, write_layers, write_scene

__all__ = [
    "LEAST_CACHE",
    "LIMITS",
    "OWN",
    "PICTURE_BLOCK_PX",
    "Chunking",
    "CodedRaster",
    "Codes",
    "Extent",
    "Levels",
    "Limits",
    "Outlines",
    "RasterFacts",
    "Stream",
    "WebTile",
    "chunking",
    "common",
    "counted",
    "describe",
    "describe_codes",
    "extent",
    "is_geotiff",
    "level_for",
    "levels",
    "lon_lat_bounds",
    "open_codes",
    "outline",
    "outlines",
    "picture_grid",
    "read",
    "read_tile",
    "streamed",
    "thinned",
    "tile_picture",
    "to_grid",
    "to_ground",
    "warped",
    "write_band",
    "write_layers",
    "write_scene",
]
