"""Whether a map on disk is what was to be written, before anybody sees it."""

from __future__ import annotations

from pathlib import Path

import rasterio
from rio_cogeo.cogeo import cog_validate

from geoml_ops.adapters.cog.directories import place_of
from geoml_ops.adapters.cog.layout import NODATA, MapLayout, rgba
from geoml_ops.adapters.cog.quiet import QUIET
from geoml_ops.core.errors import Refused
from geoml_ops.platform.files import sha256_of


def check_map(part: Path, name: str, layout: MapLayout, sha256: str) -> None:
    """Reads a map back: as readers see it, then every byte.

    Args:
        part: the file.
        name: what it is to be called.
        layout: of the map.
        sha256: of the bytes that were to be written.

    Raises:
        Refused: it is not a valid COG, or says or holds something else.
    """
    # A GeoTIFF cut short by a full disk opens and reads as zeros (GDAL 3.10): the bytes are what counts.
    if sha256_of(part) != sha256:
        raise Refused(f"{name} does not read back as it was written: other pixels.", "look at the disk, then ask again")
    with rasterio.Env(**QUIET):
        valid, errors, _ = cog_validate(part, quiet=True)
        if not (valid and _says_the_same(part, layout)):
            raise Refused(f"{name} does not read back as a valid map: {'; '.join(errors) or 'it says something else'}.")


def _says_the_same(part: Path, layout: MapLayout) -> bool:
    grid = layout.grid
    with rasterio.open(part, driver="GTiff", sharing=False) as source:
        table = source.colormap(1)
        return bool(
            source.shape == grid.shape
            and source.transform[:6] == grid.transform
            and source.crs == place_of(grid)[1]
            and source.nodata == NODATA
            and [i.name for i in source.colorinterp] == ["palette", *["undefined"] * (len(layout.bands) - 1)]
            and source.descriptions == layout.bands
            and len(source.overviews(1)) == layout.pyramid.n_levels
            and all(table[code] == rgba(colour) for code, colour in enumerate(layout.colours))
        )
