"""What a map's TIFF directories say: pixels, colours, names, tags and place."""

from __future__ import annotations

import json
from collections.abc import Mapping

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.io import MemoryFile

from geoml_ops.adapters.cog import markup, tiff
from geoml_ops.adapters.cog.layout import NODATA, MapLayout, colour_table
from geoml_ops.adapters.cog.quiet import QUIET
from geoml_ops.core.grid import Grid

_DEFLATE, _PALETTE, _REDUCED, _PLANES, _UNSIGNED = 8, 3, 1, 2, 1


def of_level(
    layout: MapLayout, level: int, offsets: NDArray[np.int64], sizes: NDArray[np.int64], big: bool
) -> list[tiff.Field]:
    """Returns the fields that any level has: 0 is the map itself.

    Args:
        layout: of the map.
        level: which one.
        offsets: of the tiles in the file, band by band.
        sizes: of the tiles in bytes, band by band.
        big: whether offsets take 64 bits.
    """
    height, width = layout.pyramid.shape_of(level)
    chunk_height, chunk_width = layout.pyramid.chunk_of(level)
    n_bands = len(layout.bands)
    fields = [
        tiff.long(tiff.WIDTH, width),
        tiff.long(tiff.HEIGHT, height),
        tiff.shorts(tiff.BITS_PER_SAMPLE, *[8] * n_bands),
        tiff.shorts(tiff.COMPRESSION, _DEFLATE),
        tiff.shorts(tiff.PHOTOMETRIC, _PALETTE),
        tiff.shorts(tiff.SAMPLES, n_bands),
        tiff.shorts(tiff.PLANAR, _PLANES if n_bands > 1 else 1),
        tiff.Field(tiff.COLOUR_MAP, tiff.SHORT, colour_table(layout.colours)),
        tiff.shorts(tiff.TILE_WIDTH, chunk_width),
        tiff.shorts(tiff.TILE_HEIGHT, chunk_height),
        tiff.Field(tiff.TILE_OFFSETS, tiff.LONG8 if big else tiff.LONG, _numbers(offsets, big)),
        tiff.Field(tiff.TILE_SIZES, tiff.LONG, _numbers(sizes, False)),
        tiff.shorts(tiff.SAMPLE_FORMAT, *[_UNSIGNED] * n_bands),
        tiff.text(tiff.GDAL_NODATA, str(NODATA)),
    ]
    if n_bands > 1:
        fields.append(tiff.shorts(tiff.EXTRA_SAMPLES, *[0] * (n_bands - 1)))
    if level:
        fields.append(tiff.long(tiff.SUBFILE, _REDUCED))
    return fields


def of_map(layout: MapLayout, tags: Mapping[str, str]) -> list[tiff.Field]:
    """Returns the fields that only the map itself has: where it is and what it says."""
    return [*place_of(layout.grid)[0], tiff.text(tiff.GDAL_METADATA, _metadata(layout, tags))]


def _numbers(values: NDArray[np.int64], big: bool) -> bytes:
    return values.astype("<u8" if big else "<u4").tobytes()


def place_of(grid: Grid) -> tuple[list[tiff.Field], rasterio.CRS]:
    """Returns the geo keys, as GDAL writes them for a file of one pixel in the same place, and the CRS it reads then.

    For a few codes that is not the one that was asked for (GDAL 3.10; 5 in 1,500 of EPSG).
    """
    profile = {"driver": "GTiff", "width": 1, "height": 1, "count": 1, "dtype": "uint8"}
    where = {"crs": rasterio.CRS.from_epsg(grid.epsg), "transform": rasterio.Affine(*grid.transform)}
    with rasterio.Env(**QUIET), MemoryFile() as memory:
        with memory.open(**profile, **where, ENDIANNESS="LITTLE", BIGTIFF="NO"):
            pass
        with memory.open() as source:
            crs = source.crs
        return [field for field in tiff.fields_of(bytes(memory.getbuffer())) if field.tag in tiff.GEO], crs


def _metadata(layout: MapLayout, tags: Mapping[str, str]) -> str:
    content = {**tags, "GEOML_CLASSES": json.dumps(list(layout.names), ensure_ascii=False)}
    items = [_item(name, value) for name, value in content.items()]
    for number, band in enumerate(layout.bands):
        place = f' sample="{number}"'
        items.append(_item("DESCRIPTION", band, place + ' role="description"'))
        items.extend(_item(name, value, place) for name, value in layout.meaning(band).items())
    return "<GDALMetadata>\n" + "".join(f"  {item}\n" for item in items) + "</GDALMetadata>\n"


def _item(name: str, value: str, place: str = "") -> str:
    # GDAL unescapes values twice, once as XML and once more by hand (3.6 and 3.10), and writes them so.
    return f"<Item name={markup.quoted(name)}{place}>{markup.escaped(markup.escaped(value))}</Item>"
