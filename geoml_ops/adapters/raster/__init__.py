"""Rasters on disk, through rasterio: two formats, stated limits, nothing beside the file believed.

A file is opened by the driver that its own first bytes name, from a regular local file, without
sidecars, overviews or network; its size is judged before a pixel is read.
"""

from geoml_ops.adapters.raster.labels import CodedRaster, Codes, counted, describe_codes, is_geotiff, open_codes
from geoml_ops.adapters.raster.opening import LIMITS, Limits
from geoml_ops.adapters.raster.reading import RasterFacts, describe, read, to_grid
from geoml_ops.adapters.raster.warping import Extent, extent, warped
from geoml_ops.adapters.raster.writing import write_band, write_layers, write_scene

__all__ = [
    "LIMITS",
    "CodedRaster",
    "Codes",
    "Extent",
    "Limits",
    "RasterFacts",
    "counted",
    "describe",
    "describe_codes",
    "extent",
    "is_geotiff",
    "open_codes",
    "read",
    "to_grid",
    "warped",
    "write_band",
    "write_layers",
    "write_scene",
]
