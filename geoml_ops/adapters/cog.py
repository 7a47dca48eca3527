"""Maps on disk: one Cloud Optimized GeoTIFF that explains itself.

Band 1 holds class codes with their colour table and names, band 2 the confidence in percent. Where the model
knows more, all of it follows: how many classes a pixel's set holds, how dissimilar it is to what the model
learned from, how many samples are near it, and which classes the set holds. 255 is "no answer" in every
band, and "not known" where a model lacks a layer. The same arrays give the same bytes. All bands share one
file, so that a map that was sent on still knows how far it may be trusted.
"""

from __future__ import annotations

import errno
import json
import struct
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.shutil import copy
from rio_cogeo.cogeo import cog_validate

from geoml_ops.core.errors import GeomlError, Refused, StorageFull, TooLarge
from geoml_ops.core.grid import Grid
from geoml_ops.domain.tiling import BITS, NODATA_CLASS, Layers
from geoml_ops.platform.files import whole_file

NODATA = NODATA_CLASS
CLASS, CONFIDENCE, SET_SIZE, DISSIMILARITY, DENSITY = "class", "confidence", "set_size", "dissimilarity", "density"
SET = "set_"
"""Bands of membership are ``set_1``, ``set_2``, …, seven classes each."""
_MEANING: Mapping[str, Mapping[str, str]] = {
    CONFIDENCE: {"UNIT": "percent"},
    SET_SIZE: {"UNIT": "classes", "MEANING": "classes in the set that holds the true one as often as GEOML_COVERAGE"},
    DISSIMILARITY: {
        "UNIT": "percent of GEOML_THRESHOLD",
        "MEANING": "rounded up; above 100: outside, the model learned from nothing like it; 250: 250 and more",
    },
    DENSITY: {"UNIT": "samples", "MEANING": "samples within the threshold; 250: 250 and more"},
}
_QUIET: dict[str, Any] = {
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
    "GDAL_PAM_ENABLED": "NO",
    "GDAL_NUM_THREADS": "1",
    "GTIFF_IGNORE_READ_ERRORS": "NO",
}
_COG: dict[str, Any] = {
    "driver": "COG",
    "compress": "DEFLATE",
    "level": 6,
    "blocksize": 256,
    "overview_resampling": "nearest",
    "bigtiff": "NO",
}
MAX_SAMPLES, MAX_BANDS = 2 * 10**9, 32
_PHOTOMETRIC, _DESCRIPTION, _COLOUR_MAP, _EXTRA_SAMPLES, _SAMPLE_FORMAT = 262, 270, 320, 338, 339
_PALETTE, _SHORT = 3, 3
_COLOUR_MAP_BYTES = 3 * 256 * 2


def write_map(
    path: Path,
    layers: Layers,
    grid: Grid,
    *,
    names: Sequence[str],
    colours: Sequence[str],
    tags: Mapping[str, str],
) -> None:
    """Writes a map as a valid COG, whole or not at all, and reads it back.

    Args:
        path: where the file appears.
        layers: what is known of every pixel.
        grid: where the pixels are.
        names: class names in code order.
        colours: ``#rrggbb`` in code order.
        tags: lineage, and what the layers stand for; kept as dataset tags.

    Raises:
        StorageFull: no space left; an older file under ``path`` is untouched.
        TooLarge: more pixels than a classic TIFF safely holds.
        Refused: what is on disk is not a valid COG or not these pixels.
    """
    bands = bands_of(layers)
    wrong = {name: layer.shape for name, layer in bands.items() if layer.shape != grid.shape}
    if wrong or len(names) != len(colours):
        raise ValueError(f"{wrong or colours} and {len(names)} names on {grid.shape}")
    if layers.classes.size * len(bands) > MAX_SAMPLES:
        raise TooLarge(
            f"A map of {layers.classes.size} pixels in {len(bands)} bands; the limit is {MAX_SAMPLES // len(bands)}.",
            "classify it in parts",
        )
    if len(bands) > MAX_BANDS:
        raise TooLarge(f"A map of {len(names)} classes needs {len(bands)} bands; the limit is {MAX_BANDS}.")
    profile = {
        "driver": "MEM",
        "width": grid.width,
        "height": grid.height,
        "count": len(bands),
        "dtype": "uint8",
        "nodata": NODATA,
        "crs": rasterio.CRS.from_epsg(grid.epsg),
        "transform": rasterio.Affine(*grid.transform),
    }
    with _full_disk_named(path), whole_file(path) as part, rasterio.Env(**_QUIET):
        with rasterio.open("", "w", **profile) as memory:
            for number, layer in enumerate(bands.values(), start=1):
                memory.write(layer, number)
            memory.write_colormap(1, {**{i: _rgba(c) for i, c in enumerate(colours)}, NODATA: (0, 0, 0, 0)})
            memory.descriptions = tuple(bands)
            memory.update_tags(**dict(tags), GEOML_CLASSES=json.dumps(list(names), ensure_ascii=False))
            for number, name in enumerate(bands, start=1):
                memory.update_tags(number, **_says(name, names))
            if len(bands) > 2:
                memory.update_tags(TIFFTAG_IMAGEDESCRIPTION="." * (_COLOUR_MAP_BYTES - 1))
            copy(memory, str(part), **_COG, **({"predictor": "YES"} if len(bands) > 2 else {}))
        _keep_colours(part, colours)
        _verify(part, path.name, bands, colours)


def write_numbers(
    path: Path, layers: NDArray[np.float32], grid: Grid, names: Sequence[str], tags: Mapping[str, str]
) -> None:
    """Writes named numbers ``(band, y, x)``, NaN for nothing, as a valid COG, whole or not at all, and reads it back.

    Raises:
        StorageFull: no space left; an older file under ``path`` is untouched.
        TooLarge: more numbers than a classic TIFF safely holds.
        Refused: what is on disk is not a valid COG or not these numbers.
    """
    if layers.shape != (len(names), *grid.shape) or layers.dtype != np.float32:
        raise ValueError(f"{layers.dtype} {layers.shape} for {len(names)} names on {grid.shape}")
    if layers.size * 4 > MAX_SAMPLES:
        raise TooLarge(f"{layers.size} numbers in one file; the limit is {MAX_SAMPLES // 4}.", "write fewer pixels")
    profile = {
        "driver": "MEM",
        "width": grid.width,
        "height": grid.height,
        "count": len(names),
        "dtype": "float32",
        "nodata": float("nan"),
        "crs": rasterio.CRS.from_epsg(grid.epsg),
        "transform": rasterio.Affine(*grid.transform),
    }
    with _full_disk_named(path), whole_file(path) as part, rasterio.Env(**_QUIET):
        with rasterio.open("", "w", **profile) as memory:
            memory.write(layers)
            memory.descriptions = tuple(names)
            memory.update_tags(**dict(tags))
            copy(memory, str(part), **{**_COG, "predictor": "YES"})
        with rasterio.open(part, driver="GTiff", sharing=False) as source:
            same = source.descriptions == tuple(names) and np.array_equal(source.read(), layers, equal_nan=True)
        valid, errors, _ = cog_validate(part, quiet=True)
        if not (same and valid):
            raise Refused(f"{path.name} does not read back as it was written: {'; '.join(errors) or 'other numbers'}.")


def bands_of(layers: Layers) -> dict[str, NDArray[np.uint8]]:
    """Returns the bands of a map by name, in file order, each uint8 ``(y, x)``.

    A model that knows nothing but classes gives two bands; otherwise all are there, in one order, and what is not
    known is 255 everywhere.
    """
    percent = np.rint(np.nan_to_num(layers.confidence) * 100.0)
    found = {CLASS: layers.classes, CONFIDENCE: np.where(layers.known, percent, NODATA).astype(np.uint8)}
    if layers.set_size is None and layers.dissimilarity is None:
        return found
    unknown = np.full(layers.classes.shape, NODATA, dtype=np.uint8)
    more = {SET_SIZE: layers.set_size, DISSIMILARITY: layers.dissimilarity, DENSITY: layers.density}
    members = unknown[np.newaxis] if layers.members is None else layers.members
    return (
        found
        | {name: unknown if layer is None else layer for name, layer in more.items()}
        | {f"{SET}{number}": layer for number, layer in enumerate(members, start=1)}
    )


def read_classes(path: Path) -> tuple[str, ...]:
    """Returns the class names a map carries, in code order; empty where it carries none."""
    with rasterio.Env(**_QUIET), rasterio.open(path, driver="GTiff", OVERVIEW_LEVEL="NONE", sharing=False) as source:
        return tuple(json.loads(source.tags().get("GEOML_CLASSES", "[]")))


def _says(band: str, names: Sequence[str]) -> Mapping[str, str]:
    if band == CLASS:
        return {f"CLASS_{code}": name for code, name in enumerate(names)}
    if band.startswith(SET) and band != SET_SIZE:
        first = BITS * (int(band.removeprefix(SET)) - 1)
        bits = {f"BIT_{bit}": name for bit, name in enumerate(names[first : first + BITS])}
        return {"MEANING": "bits of the classes in the set", **bits}
    return _MEANING[band]


def _keep_colours(part: Path, colours: Sequence[str]) -> None:
    """Makes band 1 a palette and every other band a plain sample, in place: the layout of the file stays as it is.

    Beside a colour table GDAL 3.10 declares a second band as alpha, and readers would fade the map by it; with
    three bands and more it drops the table. There a description of the table's size keeps its room, and in the
    directories of overviews the sample format, which is the default one, gives up its entry.
    """
    with part.open("r+b") as file:
        order = "<" if file.read(4) == b"II*\0" else ">"
        (directory,) = struct.unpack(f"{order}I", file.read(4))
        table = 0
        while directory:
            file.seek(directory)
            (n_entries,) = struct.unpack(f"{order}H", file.read(2))
            entries = [file.read(12) for _ in range(n_entries)]
            (following,) = struct.unpack(f"{order}I", file.read(4))
            fields = {struct.unpack_from(f"{order}H", entry)[0]: entry for entry in entries}
            if _DESCRIPTION in fields:
                (table,) = struct.unpack_from(f"{order}I", fields[_DESCRIPTION], 8)
                file.seek(table)
                file.write(_colour_map(order, colours))
            if table:
                del fields[_DESCRIPTION if _DESCRIPTION in fields else _SAMPLE_FORMAT]
                fields[_COLOUR_MAP] = struct.pack(f"{order}HHII", _COLOUR_MAP, _SHORT, _COLOUR_MAP_BYTES // 2, table)
                fields[_PHOTOMETRIC] = struct.pack(f"{order}HHIHH", _PHOTOMETRIC, _SHORT, 1, _PALETTE, 0)
            else:
                fields[_EXTRA_SAMPLES] = fields[_EXTRA_SAMPLES][:8] + bytes(4)
            file.seek(directory + 2)
            file.write(b"".join(fields[tag] for tag in sorted(fields)))
            directory = following


def _colour_map(order: str, colours: Sequence[str]) -> bytes:
    table = [_rgba(colour) for colour in colours] + [(0, 0, 0, 0)] * (256 - len(colours))
    return struct.pack(f"{order}768H", *(257 * colour[part] for part in range(3) for colour in table))


def _verify(part: Path, name: str, bands: Mapping[str, NDArray[np.uint8]], colours: Sequence[str]) -> None:
    # A GeoTIFF cut short by a full disk opens and reads as zeros (GDAL 3.10).
    with rasterio.open(part, driver="GTiff", sharing=False) as source:
        kinds = [i.name for i in source.colorinterp]
        same = kinds == ["palette", *["undefined"] * (len(bands) - 1)] and source.descriptions == tuple(bands)
        same = same and all(source.colormap(1)[code] == _rgba(colour) for code, colour in enumerate(colours))
        same = same and all(np.array_equal(source.read(n), layer) for n, layer in enumerate(bands.values(), start=1))
    valid, errors, _ = cog_validate(part, quiet=True)
    if not (same and valid):
        raise Refused(f"{name} does not read back as a valid map: {'; '.join(errors) or 'other pixels'}.")


def _rgba(colour: str) -> tuple[int, int, int, int]:
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16), 255


@contextmanager
def _full_disk_named(path: Path) -> Iterator[None]:
    try:
        yield
    except GeomlError:
        raise
    except Exception as error:
        causes = (error, error.__cause__, error.__context__)
        full = any(isinstance(e, OSError) and e.errno in (errno.ENOSPC, errno.EDQUOT) for e in causes)
        if full or any("no space left" in str(e).lower() for e in causes):
            raise StorageFull(f"No space left while writing {path.name}.", "free some space, then ask again") from error
        raise
