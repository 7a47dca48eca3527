"""Appending to a trail, reading it, and finding what is wrong with it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from pydantic import ValidationError

from geoml_ops.adapters.trail.heads import HEAD, SEGMENT, Head, read_head, write_head
from geoml_ops.adapters.trail.lines import SEAL_BYTES, START, Line, line_of, lines_of, numbers_of, parsed
from geoml_ops.core.errors import Refused, StorageFull, Unavailable
from geoml_ops.core.trail import TrailRecord
from geoml_ops.platform.files import sync_folder
from geoml_ops.platform.locks import only_one
from geoml_ops.platform.space import is_full

SEGMENT_BYTES = 16 << 20
_MOST_FLAWS = 100


@dataclass(frozen=True)
class Entry:
    """A record where it stands in the trail."""

    number: int
    sha256: str
    id: str
    record: TrailRecord


@dataclass(frozen=True)
class Flaw:
    """What is wrong, and where: file name, line (from 1; 0 for the file as a whole) and a sentence."""

    file: str
    line: int
    what: str


@dataclass(frozen=True)
class Inspection:
    """What :meth:`Trail.verify` found.

    Attributes:
        n_records: whose digest is right.
        head: None where it cannot be believed.
        flaws: in the order of the trail; the first hundred.
        unfinished_bytes: beyond the head, of a writer that was killed; they are no records.
    """

    n_records: int
    head: Head | None
    flaws: tuple[Flaw, ...]
    unfinished_bytes: int

    @property
    def is_whole(self) -> bool:
        """Whether nothing is wrong."""
        return not self.flaws


class Trail:
    """The trail in one folder; ``key``, where there is one, is kept elsewhere and seals the head."""

    def __init__(self, folder: Path, *, key: bytes = b"", segment_bytes: int = SEGMENT_BYTES) -> None:
        self.folder = folder
        self._key = key
        self._segment_bytes = segment_bytes

    def append(self, record: TrailRecord) -> int:
        """Returns the number of a record that is on disk for good; one that is there already keeps its number.

        Only the last two segments are searched for it, which is where a step that was killed finds its own.

        Raises:
            BadInput: the record is longer than a line may be.
            Refused: the trail does not end as its head says.
            StorageFull: no space left; the trail is as it was.
            Unavailable: somebody else held the trail for too long.
        """
        return self.extend([record])[0]

    def extend(self, records: Sequence[TrailRecord]) -> tuple[int, ...]:
        """Returns the numbers of several records, kept all or none, else as :meth:`append`."""
        with self._alone():
            head = self._settled()
            ids = [record.id for record in records]
            known = self._known(set(ids), head)
            lines, last = [], head
            for name, record in zip(ids, records, strict=True):
                if name not in known:
                    text, sha256 = line_of(record, last.number + 1, last.sha256)
                    last = replace(last, number=last.number + 1, sha256=sha256)
                    known[name] = last.number
                    lines.append(text)
            if lines:
                first = next(r.at for name, r in zip(ids, records, strict=True) if known[name] == head.number + 1)
                self._commit(head, last, b"".join(lines), first)
            return tuple(known[name] for name in ids)

    def head(self) -> Head:
        """Returns how far the trail goes, to be noted elsewhere.

        Raises:
            Refused: the head is missing or was changed.
        """
        head = read_head(self.folder, self._key)
        if head is None and self._segments():
            raise Refused("The trail has records but no head.", "find out who removed it, and put it back")
        return head or Head()

    def read(self, after: int = 0) -> Iterator[Entry]:
        """Yields the records from first to last, each checked against the one before it.

        Args:
            after: number of the record to go on after; segments that end before it are not read.

        Raises:
            Refused: something does not fit; :meth:`verify` tells all that does not.
        """
        head, _, _ = self._snapshot()
        for line, flaws in self._walk(head, after):
            if line is None or flaws:
                raise Refused(f"{flaws[0].file}, line {flaws[0].line}: {flaws[0].what}.", "verify the trail")
            if line.number > after:
                yield Entry(line.number, line.sha256, line.id, _record(line))

    def verify(self, noted: Sequence[Head] = ()) -> Inspection:
        """Returns what is wrong with the trail, if anything; others may append meanwhile.

        Args:
            noted: heads that were kept elsewhere; each must still be a record of this trail.
        """
        try:
            head, beyond, n_whole = self._snapshot()
        except Refused as error:
            return Inspection(0, None, (Flaw(HEAD, 0, error.fact),), 0)
        wanted = {(note.number, note.sha256) for note in noted if note.number}
        flaws: list[Flaw] = []
        n_records = 0
        for line, found in self._walk(head):
            flaws += found
            if line is not None:
                n_records += 1
                wanted.discard((line.number, line.sha256))
            if len(flaws) >= _MOST_FLAWS:
                break
        flaws += [Flaw(HEAD, 0, f"record {n} that was noted elsewhere is not here") for n, _ in sorted(wanted)]
        if n_whole > head.pending:
            flaws.append(Flaw(HEAD, 0, f"{n_whole} whole records lie beyond the head, which is an older one"))
        return Inspection(n_records, head, tuple(flaws[:_MOST_FLAWS]), beyond)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        try:
            with only_one(self.folder / ".lock"):
                yield
        except TimeoutError as error:
            raise Unavailable("The audit trail was held by another process.", "try again later") from error
        except OSError as error:
            if is_full(error, self.folder):
                raise StorageFull("No space left for the audit trail.", "free some space, then try again") from error
            raise

    def _snapshot(self) -> tuple[Head, int, int]:
        """Returns the head, and the bytes and whole records beyond it, of one moment."""
        if not self.folder.exists():
            return Head(), 0, 0
        with self._alone():
            head = self.head()
            return head, *self._beyond(head)

    def _segments(self) -> list[Path]:
        return sorted(path for path in self.folder.glob("*.jsonl") if SEGMENT.fullmatch(path.name))

    def _after(self, head: Head) -> list[Path]:
        """Returns the segment that the head names and those that should not be there yet."""
        return [path for path in self._segments() if path.name >= head.segment]

    def _settled(self) -> Head:
        """Returns the head after what lies beyond it was cut away."""
        head = self.head()
        if not (self.folder / HEAD).exists():
            write_head(self.folder, head, self._key)
        if head.segment and not self._ends_there(head):
            raise Refused(
                f"The trail does not end with record {head.number} as its head says.",
                "verify it, move it aside for those who investigate, and begin a new one",
            )
        _, n_whole = self._beyond(head)
        if n_whole > head.pending:
            raise Refused(f"{n_whole} whole records lie beyond the head of the trail.", "verify it, put its head back")
        if any(path.name > head.segment or path.stat().st_size > head.size for path in self._after(head)):
            self._cut(head)
        return head

    def _ends_there(self, head: Head) -> bool:
        path = self.folder / head.segment
        if not path.exists():
            return False
        with path.open("rb") as stream:
            stream.seek(max(0, head.size - SEAL_BYTES))
            return stream.read(SEAL_BYTES) == b',"sha256":"%s"}\n' % head.sha256.encode()

    def _cut(self, head: Head) -> None:
        for path in self._after(head):
            if path.name > head.segment:
                path.unlink()
            else:
                with path.open("r+b") as stream:
                    stream.truncate(head.size)
                    os.fsync(stream.fileno())
        sync_folder(self.folder)

    def _beyond(self, head: Head) -> tuple[int, int]:
        n_bytes = n_whole = 0
        for path in self._after(head):
            for text in lines_of(path, head.size if path.name == head.segment else 0):
                n_bytes += len(text)
                n_whole += parsed(text) is not None
        return n_bytes, n_whole

    def _known(self, ids: set[str], head: Head) -> dict[str, int]:
        """Returns the numbers of those records that the last two segments hold."""
        found: dict[str, int] = {}
        for path in [path for path in self._segments() if path.name <= head.segment][-2:] if ids else ():
            found |= numbers_of(ids, path.read_bytes())
        return found

    def _commit(self, head: Head, last: Head, text: bytes, at: datetime) -> None:
        """Flushes lines, then lets the head name them: from then on they count."""
        month, name, size = f"{at:%Y-%m}", head.segment, head.size
        if not name or name[11:18] < month or size >= self._segment_bytes:
            name, size = f"{head.number + 1:010d}-{month}.jsonl", 0
        if last.number - head.number > head.pending:
            write_head(self.folder, replace(head, pending=last.number - head.number), self._key)
        with (self.folder / name).open("ab") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        sync_folder(self.folder)
        write_head(self.folder, replace(last, segment=name, size=size + len(text), pending=1), self._key)

    def _walk(self, head: Head, after: int = 0) -> Iterator[tuple[Line | None, list[Flaw]]]:
        """Yields each line up to the head, and what is wrong with it; None where it is no record."""
        paths = [path for path in self._segments() if path.name <= head.segment]
        skipped = max(0, sum(int(path.name[:10]) <= after + 1 for path in paths) - 1)
        # What a segment in the middle follows is in the one before it.
        number, sha256 = (int(paths[skipped].name[:10]) - 1, "") if skipped else (0, START)
        for path in paths[skipped:]:
            if int(path.name[:10]) != number + 1:
                yield None, [Flaw(path.name, 0, f"the segment before it ends with record {number}")]
            for place, text in enumerate(lines_of(path, 0, head.size if path.name == head.segment else None), 1):
                line = parsed(text)
                if line is None:
                    yield None, [Flaw(path.name, place, "the line is not as it was written")]
                    number, sha256 = number + 1, ""
                    continue
                yield line, _misfits(line, number, sha256, Flaw(path.name, place, ""))
                number, sha256 = line.number, line.sha256
        if number != head.number or sha256 not in ("", head.sha256):
            said = f"the head names record {head.number} as the last, and the trail ends with {number}"
            yield None, [Flaw(head.segment or HEAD, 0, said)]


def _record(line: Line) -> TrailRecord:
    try:
        return TrailRecord.from_json(line.content)
    except ValidationError as error:
        raise Refused(
            f"Record {line.number} holds what this program does not know.", "read it with the version that wrote it"
        ) from error


def _misfits(line: Line, number: int, sha256: str, at: Flaw) -> list[Flaw]:
    found = []
    if line.number != number + 1:
        found.append(replace(at, what=f"record {line.number} stands where record {number + 1} belongs"))
    if sha256 not in ("", line.previous):
        found.append(replace(at, what=f"record {line.number} does not follow the one before it"))
    return found
