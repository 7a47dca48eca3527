"""A map in the making: packed blocks in one file, in order, kept whatever happens to the writer.

The file begins with the key of the try, the layout and the format. Each record then holds one block, with the
digest of every piece and one over the record that also depends on the beginning. A killed writer leaves a torn
record at most; the next one cuts the file after the last whole record and goes on.
"""

from __future__ import annotations

import fcntl
import json
import os
import struct
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from geoml_ops.adapters.cog import deflating
from geoml_ops.adapters.cog.assembly import assemble
from geoml_ops.adapters.cog.encoding import DIGEST_BYTES, NOTES, Encoded, digest, encode
from geoml_ops.adapters.cog.layout import MapLayout
from geoml_ops.adapters.cog.quiet import full_disk_named
from geoml_ops.core.errors import Conflict, Refused
from geoml_ops.platform.files import sync_folder

FORMAT = 1
FILE = "blocks.journal"
_MAGIC, _BLOCK = b"GEOMLMAP", b"BLCK"
_HEAD = struct.Struct("<4sII")
_SYNC_BYTES = 8 << 20
_TRIES = 100


class MapJournal:
    """The committed blocks of a map, and the map itself once all are there.

    One writer at a time holds a journal; it lets go of it when it is closed, or when its process ends.

    Attributes:
        layout: of the map.
        n_done: how many blocks are committed, a prefix of ``layout.blocks``.
    """

    def __init__(self, folder: Path, key: str, layout: MapLayout) -> None:
        """Opens the journal of ``folder``, or begins one.

        Args:
            folder: where it is kept; made where it is missing.
            key: what the map follows from; a journal of another key, layout or format starts afresh.
            layout: of the map.

        Raises:
            Conflict: somebody else is writing it.
            StorageFull: no space left for its beginning.
        """
        self.layout = layout
        self.n_done = self._end = self._synced = 0
        self._path = folder / FILE
        self._n_pieces = 1 + len(layout.bands) + layout.pyramid.n_levels
        self._head_bytes = _HEAD.size + self._n_pieces * (4 + DIGEST_BYTES) + DIGEST_BYTES
        n_blocks = len(layout.blocks)
        self._starts = np.zeros(n_blocks, dtype=np.int64)
        self._lengths = np.zeros((n_blocks, self._n_pieces), dtype=np.uint32)
        self._digests = np.zeros((n_blocks, self._n_pieces, DIGEST_BYTES), dtype=np.uint8)
        start = _beginning(key, layout)
        self._key = digest(start)
        with full_disk_named(self._path):
            self._file = held(self._path)
            try:
                self._resume(start)
            except BaseException:
                self.close()
                raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Lets go of the journal; it stays on disk."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def notes(self) -> Iterator[bytes]:
        """Yields the notes of the committed blocks, in order.

        Raises:
            Refused: the journal was changed meanwhile.
        """
        for index in range(self.n_done):
            yield self.read(index, NOTES)

    def encode(self, index: int, layers: NDArray[np.uint8], notes: bytes = b"") -> Encoded:
        """Returns a block packed, to be committed later; any thread may ask, in any order.

        Args:
            index: of the block in ``layout.blocks``.
            layers: uint8 ``(band, y, x)`` of the block.
            notes: kept with it, as they are.
        """
        return encode(self.layout, index, layers, notes)

    def commit(self, block: Encoded) -> None:
        """Appends the next block; it outlives the process at once, and the machine a little later.

        Raises:
            StorageFull: no space left; the blocks before are kept, and this one may be committed again.
            ValueError: it is not the next one.
        """
        if block.index != self.n_done or len(block.pieces) != self._n_pieces:
            raise ValueError(f"block {block.index} of {len(block.pieces)} pieces after {self.n_done} blocks")
        head, end = self._head_of(block), self._end
        with full_disk_named(self._path):
            try:
                _write(self._file, end, head + b"".join(block.pieces))
                self._count_in(head)
                self._sync()
            except BaseException:
                self.n_done, self._end = block.index, end
                os.ftruncate(self._file, end)
                raise

    def finish(self, path: Path, tags: Mapping[str, str]) -> str:
        """Writes the map under ``path``, whole or not at all, reads it back, and returns its SHA-256.

        Args:
            path: where the file appears.
            tags: of the data set.

        Raises:
            StorageFull: no space left; an older file under ``path`` is untouched.
            Refused: the journal was changed, or what is on disk is not a valid COG or not these tiles.
            ValueError: blocks are missing.
        """
        if self.n_done != len(self.layout.blocks):
            raise ValueError(f"{self.n_done} of {len(self.layout.blocks)} blocks are committed")
        return assemble(path, self.layout, self, tags)

    def discard(self) -> None:
        """Removes the journal, and its folder where nothing else is in it."""
        self._path.unlink(missing_ok=True)
        self.close()
        with suppress(OSError):
            self._path.parent.rmdir()

    def lengths(self, piece: int) -> NDArray[np.int64]:
        """Returns how many bytes a piece has, for every committed block."""
        return self._lengths[: self.n_done, piece].astype(np.int64)

    def read(self, index: int, piece: int) -> bytes:
        """Returns a piece of a committed block.

        Raises:
            Refused: it is not what was committed.
        """
        lengths = self._lengths[index]
        at = int(self._starts[index]) + self._head_bytes + int(lengths[:piece].sum(dtype=np.int64))
        content = os.pread(self._file, int(lengths[piece]), at)
        if digest(content) != self._digests[index, piece].tobytes():
            raise Refused(f"Block {index} of {self._path.name} was changed.", "classify again, from the start")
        return content

    def _head_of(self, block: Encoded) -> bytes:
        lengths = np.array([len(piece) for piece in block.pieces], dtype="<u4").tobytes()
        head = _HEAD.pack(_BLOCK, block.index, self._n_pieces) + lengths + b"".join(block.digests)
        return head + digest(head, self._key)

    def _count_in(self, head: bytes) -> None:
        """Takes the record in that begins with ``head`` at the end of what is known."""
        lengths = np.frombuffer(head, dtype="<u4", count=self._n_pieces, offset=_HEAD.size)
        digests = np.frombuffer(head[:-DIGEST_BYTES], dtype=np.uint8, offset=_HEAD.size + lengths.nbytes)
        self._starts[self.n_done] = self._end
        self._lengths[self.n_done] = lengths
        self._digests[self.n_done] = digests.reshape(-1, DIGEST_BYTES)
        self._end += len(head) + int(lengths.sum(dtype=np.int64))
        self.n_done += 1

    def _resume(self, start: bytes) -> None:
        if os.pread(self._file, len(start), 0) != start:
            os.ftruncate(self._file, 0)
            _write(self._file, 0, start)
        self._end = self._synced = len(start)
        while self.n_done < len(self.layout.blocks) and self._take():
            pass
        os.ftruncate(self._file, self._end)
        os.fsync(self._file)
        sync_folder(self._path.parent)

    def _take(self) -> bool:
        """Takes the next record in where it is whole."""
        head, end = os.pread(self._file, self._head_bytes, self._end), self._end
        named = head[: _HEAD.size] == _HEAD.pack(_BLOCK, self.n_done, self._n_pieces)
        if not named or digest(head[:-DIGEST_BYTES], self._key) != head[-DIGEST_BYTES:]:
            return False
        self._count_in(head)
        try:
            for piece in range(self._n_pieces):
                self.read(self.n_done - 1, piece)
        except Refused:
            self.n_done, self._end = self.n_done - 1, end
            return False
        return True

    def _sync(self) -> None:
        if self._end - self._synced >= _SYNC_BYTES or self.n_done == len(self.layout.blocks):
            os.fsync(self._file)
            self._synced = self._end


def _beginning(key: str, layout: MapLayout) -> bytes:
    content = json.dumps([FORMAT, deflating.NAME, key, layout.as_text()]).encode()
    return _MAGIC + struct.pack("<I", len(content)) + content


def held(path: Path) -> int:
    """Returns the open file, held by this process alone until it closes it.

    Raises:
        Conflict: somebody else holds it.
    """
    for _ in range(_TRIES):
        with suppress(FileExistsError):
            path.parent.mkdir(parents=True)
        # Whoever held it may remove it, and its folder, in between: then there is another one to hold.
        with suppress(FileNotFoundError):
            file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            if _is_held(file, path):
                return file
    raise Conflict(f"{path.name} was taken away {_TRIES} times.", "wait for the other writers, then ask again")


def _is_held(file: int, path: Path) -> bool:
    """Says whether this writer holds the file, and it is still the one of that name; closes it where not."""
    held = False
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        held = os.path.samestat(os.fstat(file), path.stat())
    except BlockingIOError:
        raise Conflict(f"Somebody else is writing {path.name}.", "wait for them, then ask again") from None
    finally:
        if not held:
            os.close(file)
    return held


def _write(file: int, at: int, content: bytes) -> None:
    left = memoryview(content)
    while left:
        n_written = os.pwrite(file, left, at)
        left, at = left[n_written:], at + n_written
