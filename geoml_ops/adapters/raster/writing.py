"""Rasters that are whole or absent, and read back before they appear."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray

from geoml_ops.adapters.raster.opening import CLOSED
from geoml_ops.adapters.raster.reading import read
from geoml_ops.core.bands import Contract, Radiometry
from geoml_ops.core.errors import Refused, StorageFull
from geoml_ops.core.grid import Grid
from geoml_ops.platform.files import whole_file
from geoml_ops.platform.space import is_full

CHUNK_PX = 256


def write_scene(
    path: Path,
    dn: NDArray[Any],
    grid: Grid,
    contract: Contract,
    declared: Radiometry,
    tags: Mapping[str, str] | None = None,
    own: Mapping[str, Radiometry] | None = None,
) -> None:
    """Writes delivered numbers as one tiled GeoTIFF that says all a reader needs; whole or absent.

    Args:
        path: where the file appears.
        dn: ``(band, y, x)`` in the contract's band order and type.
        grid: where the pixels are.
        contract: names the bands and their units.
        declared: the scene's own radiometry, kept as GDAL scale, offset and nodata.
        tags: dataset tags.
        own: by band, the radiometry that is not ``declared``; a GeoTIFF holds one nodata number, ``declared``'s.

    Raises:
        StorageFull: no space left; an older file under ``path`` is untouched.
        Refused: the file read back differs from ``dn``.
    """
    if dn.shape != (len(contract.bands), *grid.shape) or dn.dtype.name != contract.dtype:
        raise ValueError(f"{dn.dtype} {dn.shape} does not fit {contract.sensor} on {grid.shape}")
    rules = [(own or {}).get(name, declared) for name in contract.names]
    if any(rule.nodata != declared.nodata for rule in rules):
        raise ValueError("the bands of one file share their nodata number")
    with _written(path, dn, grid, declared.nodata) as target:
        target.descriptions = contract.names
        target.scales = [rule.scale for rule in rules]
        target.offsets = [rule.offset_dn * rule.scale for rule in rules]
        target.units = [band.unit for band in contract.bands]
        target.update_tags(**dict(tags or {}))


def write_band(path: Path, dn: NDArray[Any], grid: Grid) -> None:
    """Writes one band ``(y, x)`` as a bare GeoTIFF, as a producer delivers it: no name, no radiometry.

    Raises:
        StorageFull: no space left; an older file under ``path`` is untouched.
        Refused: the file read back differs from ``dn``.
    """
    with _written(path, dn[None], grid, None):
        pass


def write_layers(
    path: Path, layers: NDArray[np.float32], grid: Grid, names: Sequence[str], tags: Mapping[str, str] | None = None
) -> None:
    """Writes named numbers ``(band, y, x)``, NaN for nothing, as one tiled GeoTIFF; whole or absent.

    Raises:
        StorageFull: no space left; an older file under ``path`` is untouched.
        Refused: the file read back differs.
    """
    if layers.shape != (len(names), *grid.shape) or layers.dtype != np.float32:
        raise ValueError(f"{layers.dtype} {layers.shape} does not fit {len(names)} bands on {grid.shape}")
    with _written(path, layers, grid, float("nan")) as target:
        target.descriptions = tuple(names)
        target.update_tags(**dict(tags or {}))


@contextmanager
def _written(path: Path, dn: NDArray[Any], grid: Grid, nodata: float | None) -> Iterator[Any]:
    """Yields a dataset to describe; then writes ``dn`` into it, reads it back, and lets it appear."""
    floating = dn.dtype.kind == "f"
    profile = {
        "driver": "GTiff",
        "dtype": dn.dtype.name,
        "count": dn.shape[0],
        "height": grid.height,
        "width": grid.width,
        "crs": rasterio.CRS.from_epsg(grid.epsg),
        "transform": rasterio.Affine(*grid.transform),
        "nodata": nodata,
        "tiled": True,
        "blockxsize": CHUNK_PX,
        "blockysize": CHUNK_PX,
        "compress": "deflate",
        "predictor": 3 if floating else 2,
        "zlevel": 4,
        "interleave": "band",
        "BIGTIFF": "IF_SAFER",
    }
    with whole_file(path) as part:
        try:
            with rasterio.Env(**CLOSED), rasterio.open(part, "w", **profile) as target:
                yield target
                target.write(dn)
            _read_back(part, path.name, dn)
        except Exception as error:
            if is_full(error, part.parent):
                raise StorageFull(f"No space left while writing {path}.", "free some space, then try again") from error
            raise


def _read_back(part: Path, name: str, dn: NDArray[Any]) -> None:
    """Passes a file that holds these numbers; GDAL 3.10 closes one that a full disk cut short without a word."""
    for position in range(dn.shape[0]):
        if not np.array_equal(read(part, bands=[position])[0], dn[position], equal_nan=dn.dtype.kind == "f"):
            raise Refused(f"{name} does not read back as it was written.", "check the disk")
