"""From packed blocks to a Cloud Optimized GeoTIFF, in one pass and little memory.

First the header and every directory, then the overviews, the smallest first, then the map; each level band by
band and row by row. Bytes depend on the blocks, the layout and the tags, on nothing else.
"""

from __future__ import annotations

import hashlib
import struct
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from tempfile import SpooledTemporaryFile
from typing import IO

import numpy as np
from numpy.typing import NDArray

from geoml_ops.adapters.cog import directories, tiff
from geoml_ops.adapters.cog.checking import check_map
from geoml_ops.adapters.cog.deflating import packed
from geoml_ops.adapters.cog.encoding import NOTES, Blocks
from geoml_ops.adapters.cog.layout import MapLayout
from geoml_ops.adapters.cog.mosaics import mosaics
from geoml_ops.adapters.cog.quiet import full_disk_named
from geoml_ops.platform.files import whole_file

CLASSIC_BYTES = 2**32 - 2**16
"""Up to this size a file is a classic TIFF, which every reader knows; beyond it is a BigTIFF."""
_IN_MEMORY_BYTES = 4 << 20
_THREADS = 2
"""That pack overviews; nothing else goes on at the end of a map."""


@dataclass(frozen=True)
class Level:
    """The tiles of one level.

    Attributes:
        number: 0 is the map, then the overviews.
        sizes: of the tiles in bytes, ``[band, tile]``.
        read: gives the tile of a band.
    """

    number: int
    sizes: NDArray[np.int64]
    read: Callable[[int, int], bytes]

    @property
    def n_bytes(self) -> int:
        """How much of the file it takes."""
        return int(self.sizes.sum()) + tiff.AROUND_BYTES * self.sizes.size

    def tiles(self) -> Iterator[bytes]:
        """Yields the tiles in the order in which the file holds them."""
        n_bands, n_tiles = self.sizes.shape
        for band in range(n_bands):
            for tile in range(n_tiles):
                yield self.read(band, tile)


def assemble(
    path: Path, layout: MapLayout, blocks: Blocks, tags: Mapping[str, str], *, classic_bytes: int = CLASSIC_BYTES
) -> str:
    """Writes a map from its packed blocks, whole or not at all, reads it back, and returns its SHA-256.

    Args:
        path: where the file appears.
        layout: of the map.
        blocks: all of them.
        tags: of the data set.
        classic_bytes: size up to which the file is a classic TIFF.

    Raises:
        StorageFull: no space left; an older file under ``path`` is untouched.
        Refused: the blocks are not what was kept, or what is on disk is not a valid COG or not these tiles.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with (
        full_disk_named(path),
        SpooledTemporaryFile(_IN_MEMORY_BYTES, "w+b", dir=str(path.parent)) as aside,
        whole_file(path) as part,
    ):
        levels = [_full(layout, blocks), *_overviews(layout, blocks, aside)]
        written = hashlib.sha256()
        with part.open("wb", buffering=1 << 20) as file:
            for content in _contents(layout, levels, tags, classic_bytes):
                written.update(content)
                file.write(content)
        check_map(part, path.name, layout, written.hexdigest())
    return written.hexdigest()


def _contents(
    layout: MapLayout, levels: Sequence[Level], tags: Mapping[str, str], classic_bytes: int
) -> Iterator[bytes]:
    yield _head(layout, levels, tags, classic_bytes)
    for level in reversed(levels):
        for tile in level.tiles():
            yield struct.pack("<I", len(tile)) + tile + tile[-4:]


def _full(layout: MapLayout, blocks: Blocks) -> Level:
    first = NOTES + 1
    sizes = np.stack([blocks.lengths(first + band) for band in range(len(layout.bands))])
    return Level(0, sizes, lambda band, tile: blocks.read(tile, first + band))


def _overviews(layout: MapLayout, blocks: Blocks, aside: IO[bytes]) -> Iterator[Level]:
    """Yields the overviews, the largest first; their tiles are put aside until the size of the file is known."""
    with ThreadPoolExecutor(_THREADS, thread_name_prefix="packing") as pool:
        for number in layout.pyramid.levels:
            start, sizes = aside.seek(0, 2), []
            for contents in _packed(mosaics(layout, blocks, number), pool):
                aside.writelines(contents)
                sizes.append([len(content) for content in contents])
            yield _put_aside(number, np.array(sizes, dtype=np.int64), aside, start)


def _packed(tiles: Iterator[NDArray[np.uint8]], pool: Executor) -> Iterator[list[bytes]]:
    """Yields the bands of each tile, packed; the next tile is put together meanwhile."""
    waiting: deque[list[Future[bytes]]] = deque()
    for tile in tiles:
        waiting.append([pool.submit(packed, layer.tobytes()) for layer in tile])
        if len(waiting) > 1:
            yield [content.result() for content in waiting.popleft()]
    for contents in waiting:
        yield [content.result() for content in contents]


def _put_aside(number: int, sizes: NDArray[np.int64], aside: IO[bytes], start: int) -> Level:
    starts = start + (np.cumsum(sizes) - sizes.ravel()).reshape(sizes.shape)

    def read(band: int, tile: int) -> bytes:
        aside.seek(int(starts[tile, band]))
        return aside.read(int(sizes[tile, band]))

    return Level(number, sizes.T, read)


def _head(layout: MapLayout, levels: Sequence[Level], tags: Mapping[str, str], classic_bytes: int) -> bytes:
    said = directories.of_map(layout, tags)
    data = sum(level.n_bytes for level in levels)
    big, n_bytes = False, len(_directories(layout, levels, said, 0, False))
    if n_bytes + data > classic_bytes:
        big, n_bytes = True, len(_directories(layout, levels, said, 0, True))
    return _directories(layout, levels, said, n_bytes, big)


def _directories(
    layout: MapLayout, levels: Sequence[Level], said: Sequence[tiff.Field], start: int, big: bool
) -> bytes:
    """Returns header and directories of a file whose tiles begin at ``start``."""
    found: list[list[tiff.Field]] = []
    for level in reversed(levels):
        ends = start + np.cumsum(level.sizes.ravel() + tiff.AROUND_BYTES)
        offsets = ends - level.sizes.ravel() - tiff.AROUND_BYTES // 2
        found.append(directories.of_level(layout, level.number, offsets, level.sizes.ravel(), big))
        start = int(ends[-1])
    largest, *overviews = reversed(found)
    return tiff.head([[*largest, *said], *overviews], big)
