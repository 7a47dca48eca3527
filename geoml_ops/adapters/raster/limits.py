"""What a raster may at most be."""

from __future__ import annotations

from dataclasses import dataclass

from geoml_ops.core.errors import TooLarge


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
        blocks: chunks of one image in the file.
        ratio: decoded bytes for each byte of the file; no honest Deflate or LZW exceeds 1,400. What decodes to less
            than one chunk may be, always passes.
        jpeg: JPEG 2000 files are read too, and JPEG inside a TIFF.
    """

    file_bytes: int = 2 << 30
    side_px: int = 20_000
    pixels: int = 121_000_000
    bands: int = 32
    block_bytes: int = 64 << 20
    decoded_bytes: int = 4 << 30
    blocks: int = 1 << 20
    ratio: int = 1_400
    jpeg: bool = False


LIMITS = Limits(jpeg=True)
"""For what producers deliver and this platform keeps; a service that strangers send to takes no JPEG."""


def within(found: int, limit: int, what: str) -> None:
    """Raises TooLarge, with both numbers, when a limit is exceeded."""
    if found > limit:
        raise TooLarge(f"{found} {what}; the limit is {limit}.", "deliver it in smaller parts")
