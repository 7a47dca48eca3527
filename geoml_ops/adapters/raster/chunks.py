"""Where the pixels of one image in a TIFF lie: its shape, its chunks, and whether the file can hold what it says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geoml_ops.adapters.raster.limits import Limits, within
from geoml_ops.adapters.raster.tiff import WHOLE, Field, Tiff
from geoml_ops.core.errors import BadInput, TooLarge

WIDTH, HEIGHT, BITS, CODEC, PHOTOMETRIC, STRIPS, SAMPLES, ROWS, LENGTHS = 256, 257, 258, 259, 262, 273, 277, 278, 279
PLANAR, PREDICTOR, TILE_WIDTH, TILE_HEIGHT, TILES, TILE_LENGTHS, FORMAT = 284, 317, 322, 323, 324, 325, 339
UNSIGNED, SIGNED, FLOATING = 1, 2, 3
#: Bits a number may have, by sample format; GDAL 3.10 reads unsigned ones of 1 to 16 bits as whole bytes.
_BITS = {
    UNSIGNED: frozenset({*range(1, 17), 32, 64}),
    SIGNED: frozenset({8, 16, 32, 64}),
    FLOATING: frozenset({16, 32, 64}),
}
JPEG = 7
DEFLATED = (8, 32946)
#: What one byte can become at most: the codecs' own arithmetic, rounded up; 0 where they have no ceiling.
_CEILING = {1: 1, 5: 1_400, 8: 1_100, 32946: 1_100, 32773: 70, 50000: 0, 34887: 0, JPEG: 0}
_NAMES = {6: "old JPEG", JPEG: "JPEG", 34712: "JPEG 2000", 34925: "LZMA", 50001: "WEBP", 50002: "JPEG XL"}
_REWRITE = "write it anew (gdal_translate -co COMPRESS=DEFLATE -co TILED=YES)"


@dataclass(frozen=True)
class Image:
    """One image of a TIFF.

    Attributes:
        width: columns.
        height: rows.
        n_bands: numbers of each pixel.
        bits: of one number.
        kind: sample format, :data:`UNSIGNED`, :data:`SIGNED` or :data:`FLOATING`.
        codec: number of the compression.
        chunk: rows and columns of one chunk.
        together: bands that one chunk holds.
        places: first byte of each chunk in the file, 0 where it is missing.
        lengths: bytes of each, 0 where it is missing.
        tiled: whether chunks are tiles, all of one size, not strips.
        predictor: what was compressed: 1 numbers, 2 differences to the number before, 3 those of floating ones.
    """

    width: int
    height: int
    n_bands: int
    bits: int
    kind: int
    codec: int
    chunk: tuple[int, int]
    together: int
    places: NDArray[np.uint64]
    lengths: NDArray[np.uint64]
    tiled: bool
    predictor: int

    @property
    def decoded(self) -> int:
        """Bytes of all pixels in memory."""
        return self.width * self.height * self.n_bands * -(-self.bits // 8)


def image_of(tiff: Tiff, fields: Mapping[int, Field], limits: Limits) -> Image:
    """Returns one image of a file, its chunks found and judged.

    Raises:
        BadInput: fields missing or contradicting each other, a codec that is not read, chunks outside the file.
        TooLarge: beyond ``limits``.
    """
    width, height = _one(tiff, fields, WIDTH), _one(tiff, fields, HEIGHT)
    n_bands = _one(tiff, fields, SAMPLES, 1)
    if not (width and height and n_bands):
        raise BadInput(f"{tiff.name} says it has {width} x {height} pixels in {n_bands} bands.", _REWRITE)
    within(n_bands, limits.bands, f"bands in {tiff.name}")
    within(max(width, height), limits.side_px, f"pixels along one side of {tiff.name}")
    within(width * height, limits.pixels, f"pixels in {tiff.name}")
    bits, kind = _same(tiff, fields, BITS, 1, n_bands), _same(tiff, fields, FORMAT, UNSIGNED, n_bands)
    kind = UNSIGNED if kind == 4 else kind
    if bits not in _BITS.get(kind, ()):
        raise BadInput(
            f"The numbers of {tiff.name} are of sample format {kind} with {bits} bits, which is not read.",
            "write whole numbers of 8, 16 or 32 bits, or floating ones of 32",
        )
    codec = _codec(tiff, fields, limits)
    planar, predictor = _one(tiff, fields, PLANAR, 1), _one(tiff, fields, PREDICTOR, 1)
    if planar not in (1, 2) or predictor not in (1, 2, 3):
        raise BadInput(f"{tiff.name} says its bands are arranged in way {planar}; 1 and 2 exist.", _REWRITE)
    together = n_bands if planar == 1 else 1
    chunk, tables = _chunk(tiff, fields, width, height)
    bytes_each = chunk[0] * chunk[1] * together * -(-bits // 8)
    within(bytes_each, limits.block_bytes, f"bytes a chunk of {tiff.name}")
    n_chunks = -(-height // chunk[0]) * -(-width // chunk[1]) * (n_bands // together)
    within(n_chunks, limits.blocks, f"chunks in {tiff.name}")
    places, lengths = (_table(tiff, fields, tag, n_chunks) for tag in tables)
    tiled = TILES in fields
    image = Image(width, height, n_bands, bits, kind, codec, chunk, together, places, lengths, tiled, predictor)
    _judge_chunks(tiff, image)
    return image


def judge_layout(tiff: Tiff, images: tuple[Image, ...]) -> None:
    """Passes a file no chunk of which begins inside another one.

    Writers may store one chunk once and point to it many times; what that can cost is bounded by the whole file's
    ratio. Chunks that overlap in part were written by nobody.

    Raises:
        BadInput: two chunks overlap.
    """
    places = np.concatenate([image.places for image in images])
    lengths = np.concatenate([image.lengths for image in images])
    there = lengths > 0
    order = np.lexsort((lengths[there], places[there]))
    first, length = places[there][order], lengths[there][order]
    same = (first[1:] == first[:-1]) & (length[1:] == length[:-1])
    wrong = (first[1:] < first[:-1] + length[:-1]) & ~same
    if wrong.any():
        at = int(first[1:][wrong][0])
        raise BadInput(f"Chunks of {tiff.name} overlap (byte {at}).", _REWRITE)


def judge_ratio(tiff: Tiff, image: Image, limits: Limits) -> None:
    """Passes an image that is not far larger than its file.

    Raises:
        TooLarge: it is.
    """
    allowed = max(limits.block_bytes, limits.ratio * tiff.size)
    if image.decoded > allowed:
        raise TooLarge(
            f"{tiff.name} has {tiff.size} bytes and says it holds {image.decoded}, {image.decoded // tiff.size} times "
            f"as many; the limit is {limits.ratio} times.",
            "leave ground away that holds nothing, or deliver it in smaller parts",
        )


def _codec(tiff: Tiff, fields: Mapping[int, Field], limits: Limits) -> int:
    codec = _one(tiff, fields, CODEC, 1)
    if codec not in _CEILING or (codec == JPEG and not limits.jpeg):
        raise BadInput(f"{tiff.name} is compressed as {_NAMES.get(codec, codec)}, which is not read here.", _REWRITE)
    colours = _one(tiff, fields, PHOTOMETRIC, 1)
    if colours not in (0, 1, 2, 3, 4) and not (colours == 6 and codec == JPEG):
        raise BadInput(f"{tiff.name} holds colours of kind {colours}, not measurements.", _REWRITE)
    return codec


def _chunk(tiff: Tiff, fields: Mapping[int, Field], width: int, height: int) -> tuple[tuple[int, int], tuple[int, int]]:
    tiled = {TILE_WIDTH, TILE_HEIGHT, TILES, TILE_LENGTHS} & fields.keys()
    if tiled and STRIPS in fields:
        raise BadInput(f"{tiff.name} says it has both tiles and strips.", _REWRITE)
    if not tiled:
        rows = min(_one(tiff, fields, ROWS, height), height)
        if not rows:
            raise BadInput(f"{tiff.name} says its strips have no rows.", _REWRITE)
        return (rows, width), (STRIPS, LENGTHS)
    rows, cols = _one(tiff, fields, TILE_HEIGHT), _one(tiff, fields, TILE_WIDTH)
    if not (rows and cols) or rows % 16 or cols % 16:
        raise BadInput(f"The tiles of {tiff.name} have {cols} x {rows} pixels; TIFF wants multiples of 16.", _REWRITE)
    return (rows, cols), (TILES, TILE_LENGTHS)


def _judge_chunks(tiff: Tiff, image: Image) -> None:
    places, lengths = image.places, image.lengths
    if ((places == 0) != (lengths == 0)).any():
        raise BadInput(f"Of some chunks {tiff.name} says where they begin but not how long they are.", _REWRITE)
    there = lengths > 0
    if not there.any():
        raise BadInput(f"No pixel of {tiff.name} was written.", "check that its writer came to its end")
    # A sum of two numbers of 64 bits may wrap around, so both are compared first.
    room = np.uint64(tiff.size)
    outside = there & ((places < 8) | (places > room) | (lengths > room) | (places + lengths > room))
    if outside.any():
        raise BadInput(
            f"{int(outside.sum())} of {len(places)} chunks of {tiff.name} lie outside its {tiff.size} bytes.",
            "check that the transfer was complete and deliver the file again",
        )
    ceiling = _CEILING[image.codec]
    if ceiling:
        short = there & (lengths * np.uint64(ceiling) < _decoded(image))
        if short.any():
            raise BadInput(
                f"{int(short.sum())} chunks of {tiff.name} are shorter than any of their size can be.", _REWRITE
            )


def _decoded(image: Image) -> NDArray[np.uint64]:
    """Returns the bytes of each chunk before it was compressed."""
    rows, cols = image.chunk
    a_row = -(-cols * image.together * image.bits // 8)
    sizes = np.full(len(image.places), a_row * rows, dtype=np.uint64)
    down = -(-image.height // rows)
    if not image.tiled and image.height % rows:
        sizes[down - 1 :: down] = a_row * (image.height % rows)
    return sizes


def _table(tiff: Tiff, fields: Mapping[int, Field], tag: int, n_chunks: int) -> NDArray[np.uint64]:
    one = fields.get(tag)
    if one is None or one.kind not in WHOLE or one.count != n_chunks:
        said = "none" if one is None else f"{one.count} of kind {one.kind}"
        raise BadInput(f"{tiff.name} has {n_chunks} chunks and a table (field {tag}) of {said}.", _REWRITE)
    return tiff.numbers(one).astype(np.uint64)


def _one(tiff: Tiff, fields: Mapping[int, Field], tag: int, default: int | None = None) -> int:
    one = fields.get(tag)
    if one is None and default is not None:
        return default
    if one is None or one.kind not in WHOLE or one.count != 1:
        said = "missing" if one is None else f"{one.count} numbers of kind {one.kind}"
        raise BadInput(f"Field {tag} of {tiff.name} should be one whole number; it is {said}.", _REWRITE)
    return int(tiff.numbers(one)[0])


def _same(tiff: Tiff, fields: Mapping[int, Field], tag: int, default: int, n_bands: int) -> int:
    one = fields.get(tag)
    if one is None:
        return default
    if one.kind not in WHOLE or one.count not in (1, n_bands):
        raise BadInput(f"Field {tag} of {tiff.name} holds {one.count} numbers for {n_bands} bands.", _REWRITE)
    said = np.unique(tiff.numbers(one))
    if len(said) != 1:
        raise BadInput(
            f"The bands of {tiff.name} have several types (field {tag}: {said.tolist()}).", "give them one type"
        )
    return int(said[0])
