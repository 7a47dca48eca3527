"""What a TIFF says about itself, judged before GDAL sees a byte of it.

Pure Python and numpy, seeked reads, no pixel decoded: a header that lies, a file that reaches beyond itself or one that
is far larger in memory than on disk is refused in milliseconds, with the numbers. Own rules, stricter than the format:

* One image; beside it only its overviews and masks, each no larger. Further pages are refused.
* Chunks lie inside the file and do not overlap. The same chunk may stand for several places (a writer saves room so).
* Missing chunks ("sparse" files) are taken where the file declares a number for "not observed" that its type can hold:
  that is what is read there. Without it they would read as 0, or as the nearest number of the type, and nobody could
  tell them from measurements, or from a file whose writer was killed.
* Nothing points elsewhere: no other file's overviews, locations, ground control points or rational polynomials.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from geoml_ops.adapters.raster.chunks import FLOATING, UNSIGNED, Image, image_of, judge_layout, judge_ratio
from geoml_ops.adapters.raster.limits import Limits, within
from geoml_ops.adapters.raster.said import judge_texts, nodata_of
from geoml_ops.adapters.raster.tiff import Field, Tiff, open_tiff
from geoml_ops.core.errors import BadInput

_SUBFILE, _OLD_SUBFILE = 254, 255
_REDUCED, _MASK = 1, 4
_SUB_DIRECTORIES = 330


@dataclass(frozen=True)
class Header:
    """What a GeoTIFF is, as its own bytes say.

    Attributes:
        width: columns.
        height: rows.
        n_bands: number of bands.
        n_overviews: smaller copies inside the file.
        n_masks: masks inside the file, of the image and its overviews.
        n_missing: chunks of the image that were never written, which read as "not observed".
    """

    width: int
    height: int
    n_bands: int
    n_overviews: int
    n_masks: int
    n_missing: int


def inspect(path: Path, limits: Limits) -> Header:
    """Returns what a TIFF file is; it is not decoded, and no other file is touched.

    Raises:
        BadInput: no TIFF this platform reads; the sentence says why.
        TooLarge: beyond ``limits``.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        raise BadInput(f"There is no readable file {path.name}.") from None
    try:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode):
            raise BadInput(f"{path.name} is not a regular file.", "deliver files, not links or devices")
        within(status.st_size, limits.file_bytes, f"bytes in {path.name}")
        return _judged(open_tiff(handle, path.name), limits)
    finally:
        os.close(handle)


def _judged(tiff: Tiff, limits: Limits) -> Header:
    first, *others = tiff.directories
    if _role(tiff, first):
        raise BadInput(f"The first image of {tiff.name} is an overview or a mask.", "write the image itself first")
    image = image_of(tiff, first, limits)
    judge_texts(tiff, first)
    judge_ratio(tiff, image, limits)
    missing = int((image.lengths == 0).sum())
    if missing:
        _judge_missing(tiff, image, missing, nodata_of(tiff, first))
    beside = [(_role(tiff, fields), image_of(tiff, fields, limits)) for fields in others]
    for role, other in beside:
        _judge_beside(tiff.name, image, role, other)
    judge_layout(tiff, (image, *(other for _, other in beside)))
    masks = sum(bool(role & _MASK) for role, _ in beside)
    return Header(image.width, image.height, image.n_bands, len(beside) - masks, masks, missing)


def _judge_missing(tiff: Tiff, image: Image, missing: int, nodata: float | None) -> None:
    said = f"{missing} of {len(image.lengths)} chunks of {tiff.name} were never written, and it declares "
    way_out = "check that its writer came to its end, or declare its nodata"
    if nodata is None:
        raise BadInput(f"{said}no number for that.", way_out)
    if image.kind == FLOATING:
        return
    bits = max(8, 1 << (image.bits - 1).bit_length())  # as GDAL reads numbers of odd sizes
    low, high = (0, 2**bits - 1) if image.kind == UNSIGNED else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    if not (nodata.is_integer() and low <= nodata <= high):
        raise BadInput(f"{said}{nodata:g} for that, which is none of its whole numbers of {bits} bits.", way_out)


def _role(tiff: Tiff, fields: Mapping[int, Field]) -> int:
    """Returns which of :data:`_REDUCED` and :data:`_MASK` an image says it is."""
    if _SUB_DIRECTORIES in fields:
        raise BadInput(f"{tiff.name} holds images inside its images.", "write one image")
    role = 0
    if _SUBFILE in fields:
        role = int(tiff.numbers(fields[_SUBFILE])[:1].sum()) & (_REDUCED | _MASK)
    elif _OLD_SUBFILE in fields:
        role = _REDUCED if int(tiff.numbers(fields[_OLD_SUBFILE])[:1].sum()) == 2 else 0
    return role


def _judge_beside(name: str, image: Image, role: int, other: Image) -> None:
    if not role:
        raise BadInput(f"{name} holds more than one image.", "deliver one file for each")
    if other.width > image.width or other.height > image.height:
        raise BadInput(
            f"An overview or mask of {name} has {other.width} x {other.height} pixels, the image {image.width} x "
            f"{image.height}."
        )
    if role & _MASK and (other.n_bands != 1 or other.bits not in (1, 8)):
        raise BadInput(f"A mask of {name} has {other.n_bands} bands of {other.bits} bits.", "write a mask of 1 bit")
    if not role & _MASK and (other.n_bands, other.bits, other.kind) != (image.n_bands, image.bits, image.kind):
        raise BadInput(f"An overview of {name} has other bands or another type than the image.")
