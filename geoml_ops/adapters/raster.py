"""Rasters on disk, through rasterio: two formats, stated limits, nothing beside the file believed.

A file is opened by the driver that its own first bytes name, from a regular local file, without
sidecars, overviews or network; its size is judged before a pixel is read.
"""

from __future__ import annotations

import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.windows import Window as RasterioWindow

from geoml_ops.core.bands import Contract, Radiometry, Resampling
from geoml_ops.core.errors import BadInput, GeomlError, Refused, StorageFull, TooLarge
from geoml_ops.core.grid import Grid, Window
from geoml_ops.domain.resampling import refine
from geoml_ops.platform.files import whole_file
from geoml_ops.platform.space import is_full

CHUNK_PX = 256
_SIGNATURES = {
    b"II*\0": "GTiff",
    b"MM\0*": "GTiff",
    b"II+\0": "GTiff",
    b"MM\0+": "GTiff",
    b"\0\0\0\x0cjP  ": "JP2OpenJPEG",
}
_CLOSED: dict[str, Any] = {
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
    "GDAL_PAM_ENABLED": "NO",
    "GDAL_GEOREF_SOURCES": "INTERNAL",
    "GDAL_VRT_ENABLE_PYTHON": "NO",
    "CPL_VSIL_CURL_ALLOWED_EXTENSIONS": ".none",
    "GTIFF_IGNORE_READ_ERRORS": "NO",
    "GDAL_NUM_THREADS": "1",
    "GDAL_CACHEMAX": 128,
}


@dataclass(frozen=True)
class Limits:
    """What a raster may at most be; a whole Sentinel-2 tile at 10 m fits.

    Attributes:
        file_bytes: size on disk.
        side_px: longer side.
        pixels: pixels of one band.
        bands: number of bands.
        block_bytes: one decoded chunk, the least that any read costs.
        decoded_bytes: what one call to :func:`read` may return.
    """

    file_bytes: int = 2 << 30
    side_px: int = 20_000
    pixels: int = 121_000_000
    bands: int = 32
    block_bytes: int = 64 << 20
    decoded_bytes: int = 4 << 30


LIMITS = Limits()


@dataclass(frozen=True)
class RasterFacts:
    """What a raster says about itself.

    Attributes:
        grid: where its pixels are.
        names: band descriptions in file order; empty text where a band has none.
        dtype: numpy name of the type all bands share.
        nodata: the number that stands for "not observed"; None when not declared.
        declared: radiometry of all bands; None when the file does not declare one (GDAL scale is 1).
        tags: dataset tags.
        n_bands: number of bands.
    """

    grid: Grid
    names: tuple[str, ...]
    dtype: str
    nodata: float | None
    declared: Radiometry | None
    tags: dict[str, str]
    n_bands: int


def describe(path: Path, limits: Limits = LIMITS) -> RasterFacts:
    """Returns what a raster says about itself, without reading a pixel.

    Raises:
        BadInput: not a GeoTIFF or JP2 file on a square, north-up grid in a projected metric EPSG system.
        TooLarge: beyond ``limits``.
    """
    with _opened(path, limits) as source:
        return RasterFacts(
            grid=_grid(source, path.name),
            names=tuple(name or "" for name in source.descriptions),
            dtype=str(source.dtypes[0]),
            nodata=None if source.nodata is None else float(source.nodata),
            declared=_declared(source, path.name),
            tags={str(k): str(v) for k, v in source.tags().items() if k != "AREA_OR_POINT"},
            n_bands=int(source.count),
        )


def read(
    path: Path, window: Window | None = None, bands: Sequence[int] | None = None, limits: Limits = LIMITS
) -> NDArray[Any]:
    """Returns pixels ``(band, y, x)`` as stored: no scale, no offset, no mask.

    Args:
        path: a GeoTIFF or JP2 file.
        window: pixels to read; all when None.
        bands: positions from 0, in the order wanted; all when None.
        limits: what the file may be.

    Raises:
        BadInput: the file, the window or a band is not readable.
        TooLarge: beyond ``limits``.
    """
    # Overviews may live in another file, or elsewhere; with them closed, GDAL 3.10 also hides the bands'
    # names, so only pixels are read this way.
    with _opened(path, limits, OVERVIEW_LEVEL="NONE") as source:
        positions = list(range(source.count)) if bands is None else list(bands)
        width, height = (source.width, source.height) if window is None else (window.width, window.height)
        if any(not 0 <= b < source.count for b in positions):
            raise BadInput(f"{path.name} has {source.count} bands; asked for positions {positions}.")
        if window is not None and (window.col + width > source.width or window.row + height > source.height):
            raise BadInput(f"{window!r} reaches beyond the {source.width} x {source.height} pixels of {path.name}.")
        needed = len(positions) * width * height * np.dtype(source.dtypes[0]).itemsize
        _limit(needed, limits.decoded_bytes, f"bytes decoded from {path.name}")
        area = None if window is None else RasterioWindow(window.col, window.row, width, height)
        pixels: NDArray[Any] = source.read([b + 1 for b in positions], window=area)
        return pixels


def to_grid(path: Path, grid: Grid, how: Resampling, nodata: float = 0.0, limits: Limits = LIMITS) -> NDArray[Any]:
    """Returns the only band of a file on ``grid``, ``(y, x)``.

    Raises:
        BadInput: several bands, another CRS or footprint, or pixels that the grid's do not divide.
    """
    facts = describe(path, limits)
    if facts.n_bands != 1:
        raise BadInput(f"{path.name} holds {facts.n_bands} bands.", "deliver one file per band")
    if facts.grid.crs != grid.crs:
        raise BadInput(
            f"{path.name} is in {facts.grid.crs}, the scene's grid in {grid.crs}.", "deliver all bands in one CRS"
        )
    ratio = facts.grid.pixel_m / grid.pixel_m
    factor = round(ratio)
    shape = (facts.grid.height * factor, facts.grid.width * factor)
    apart = max(abs(facts.grid.left - grid.left), abs(facts.grid.top - grid.top))
    if factor < 1 or abs(ratio - factor) > 1e-9 or apart > 1e-6 * grid.pixel_m or shape != grid.shape:
        raise BadInput(
            f"{path.name} covers {facts.grid.bounds.as_tuple()} in pixels of {facts.grid.pixel_m:g} m, "
            f"the scene's grid {grid.bounds.as_tuple()} in pixels of {grid.pixel_m:g} m.",
            "deliver all bands of one tile, each at its native pixel size",
        )
    return refine(read(path, limits=limits)[0], factor, how, nodata)


def write_scene(
    path: Path,
    dn: NDArray[np.unsignedinteger],
    grid: Grid,
    contract: Contract,
    declared: Radiometry,
    tags: Mapping[str, str] | None = None,
) -> None:
    """Writes delivered numbers as one tiled GeoTIFF that says all a reader needs; whole or absent.

    Args:
        path: where the file appears.
        dn: ``(band, y, x)`` in the contract's band order and type.
        grid: where the pixels are.
        contract: names the bands.
        declared: the scene's own radiometry, kept as GDAL scale, offset and nodata.
        tags: dataset tags.

    Raises:
        StorageFull: no space left; an older file under ``path`` is untouched.
        Refused: the file read back differs from ``dn``.
    """
    if dn.shape != (len(contract.bands), *grid.shape) or dn.dtype.name != contract.dtype:
        raise ValueError(f"{dn.dtype} {dn.shape} does not fit {contract.sensor} on {grid.shape}")
    with _written(path, dn, grid, declared.nodata) as target:
        target.descriptions = contract.names
        target.scales = [declared.scale] * len(contract.bands)
        target.offsets = [declared.offset_dn * declared.scale] * len(contract.bands)
        target.update_tags(**dict(tags or {}))


def write_band(path: Path, dn: NDArray[np.unsignedinteger], grid: Grid) -> None:
    """Writes one band ``(y, x)`` as a bare GeoTIFF, as a producer delivers it: no name, no radiometry.

    Raises:
        StorageFull: no space left; an older file under ``path`` is untouched.
        Refused: the file read back differs from ``dn``.
    """
    with _written(path, dn[None], grid, None):
        pass


@contextmanager
def _written(path: Path, dn: NDArray[np.unsignedinteger], grid: Grid, nodata: float | None) -> Iterator[Any]:
    """Yields a dataset to describe; then writes ``dn`` into it, reads it back, and lets it appear."""
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
        "predictor": 2,
        "zlevel": 4,
        "interleave": "band",
        "BIGTIFF": "IF_SAFER",
    }
    with whole_file(path) as part:
        try:
            with rasterio.Env(**_CLOSED), rasterio.open(part, "w", **profile) as target:
                yield target
                target.write(dn)
        except Exception as error:
            if is_full(error, part.parent):
                raise StorageFull(f"No space left while writing {path}.", "free some space, then try again") from error
            raise
        # A GeoTIFF cut short by a full disk or a kill opens and reads as zeros (GDAL 3.10).
        for position in range(dn.shape[0]):
            if not np.array_equal(read(part, bands=[position])[0], dn[position]):
                raise Refused(f"{path.name} does not read back as it was written.", "check the disk")


@contextmanager
def _opened(path: Path, limits: Limits, **options: str) -> Iterator[Any]:
    """Yields an open dataset within ``limits``; whatever GDAL raises inside becomes BadInput."""
    driver = _driver(path, limits)
    try:
        # The driver is a plain string: rasterio 1.4.4 refuses the documented list.
        with (
            rasterio.Env(**_CLOSED),
            rasterio.open(path, driver=driver, sharing=False, **options) as source,
        ):
            _judge_size(source, path.name, limits)
            yield source
    except (GeomlError, MemoryError):
        raise
    except Exception as error:  # mutated files raise UnicodeDecodeError and CRSError too
        raise BadInput(
            f"{path.name} cannot be read as {driver}: {type(error).__name__}: {str(error)[:200]}.",
            "check that the transfer was complete and deliver the file again",
        ) from error


def _driver(path: Path, limits: Limits) -> str:
    try:
        status = path.stat(follow_symlinks=False)
    except OSError:
        raise BadInput(f"There is no readable file {path.name}.") from None
    if not stat.S_ISREG(status.st_mode):
        raise BadInput(f"{path.name} is not a regular file.", "deliver files, not links or devices")
    _limit(status.st_size, limits.file_bytes, f"bytes in {path.name}")
    with path.open("rb") as stream:
        head = stream.read(12)
    for signature, driver in _SIGNATURES.items():
        if head.startswith(signature):
            return driver
    raise BadInput(f"{path.name} is neither GeoTIFF nor JP2 (begins with {head[:8].hex() or 'nothing'}).")


def _judge_size(source: Any, name: str, limits: Limits) -> None:
    _limit(source.count, limits.bands, f"bands in {name}")
    _limit(max(source.width, source.height), limits.side_px, f"pixels along one side of {name}")
    _limit(source.width * source.height, limits.pixels, f"pixels in {name}")
    if len(set(source.dtypes)) != 1:
        raise BadInput(f"The bands of {name} have several types: {', '.join(sorted(set(source.dtypes)))}.")
    together = source.count if str(source.profile.get("interleave", "")).lower() == "pixel" else 1
    rows, cols = source.block_shapes[0]
    _limit(rows * cols * np.dtype(source.dtypes[0]).itemsize * together, limits.block_bytes, f"bytes a chunk of {name}")


def _limit(found: int, limit: int, what: str) -> None:
    if found > limit:
        raise TooLarge(f"{found} {what}; the limit is {limit}.", "deliver it in smaller parts")


def _grid(source: Any, name: str) -> Grid:
    crs, transform = source.crs, source.transform
    epsg = crs.to_epsg() if crs else None
    if source.gcps[0] or source.rpcs:
        raise BadInput(f"{name} is not rectified (ground control points).", "deliver orthorectified imagery")
    if epsg is None or not crs.is_projected or crs.linear_units.lower() not in ("metre", "meter", "m"):
        said = f"EPSG:{epsg}" if epsg else "none that EPSG lists" if crs else "none"
        raise BadInput(f"The CRS of {name} is not a projected one in metres: {said}.", "deliver it in its UTM zone")
    a, b, left, d, e, top = transform[:6]
    if b or d or a <= 0 or abs(a + e) > 1e-9 * a:
        raise BadInput(f"The pixels of {name} are not square and north-up: {a:g}, {b:g}, {d:g}, {e:g}.")
    return Grid(
        crs=f"EPSG:{epsg}", left=left, top=top, pixel_m=float(a), width=int(source.width), height=int(source.height)
    )


def _declared(source: Any, name: str) -> Radiometry | None:
    said = set(zip(source.scales, source.offsets, strict=True))
    if len(said) != 1:
        raise BadInput(f"The bands of {name} declare {len(said)} different radiometries.", "declare one for all bands")
    scale, offset = said.pop()
    if scale == 1.0:
        return None
    if not scale > 0:
        raise BadInput(f"{name} declares a scale of {scale:g}.", "declare a scale above 0")
    # Offsets are stored in reflectance: -0.1 / 1e-4 has to come back as -1000 exactly.
    return Radiometry(
        scale=float(scale),
        offset_dn=round(offset / scale, 6),
        nodata=0.0 if source.nodata is None else float(source.nodata),
    )
