"""An audit trail that loses nothing it acknowledged, keeps nothing twice, and shows every change."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from geoml_ops.adapters import trail as package
from geoml_ops.adapters.trail import Head, Trail, heads
from geoml_ops.adapters.trail import trail as module
from geoml_ops.core.errors import BadInput, Refused, StorageFull
from geoml_ops.core.trail import Cost, TrailRecord
from geoml_ops.platform.files import read_json, write_json
from geoml_ops.settings import CHECKOUT

FULL = os.environ.get("GEOML_FULL") == "1"
NUMBERS = CHECKOUT / "workspace" / "full" / "trail.json"
CHANGES = (
    "line gone", "lines swapped", "line twice", "segment gone", "last segment gone", "tail cut", "tail torn",
    "head gone", "segment emptied", "all emptied",
)  # fmt: skip
BEGIN = datetime(2024, 1, 30, 12, tzinfo=UTC)

APPENDER = """
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from geoml_ops.adapters.trail import Trail
from geoml_ops.core.trail import TrailRecord
folder, who, first = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
trail = Trail(folder, segment_bytes=4000)
for n in range(first, first + int(sys.argv[4])):
    at = datetime(2024, 1, 1, tzinfo=UTC) + timedelta(hours=n)
    record = TrailRecord(at=at, stream=who, policy="policy-1", action="none", fired=False, because=str(n), engine="1")
    print(n, trail.append(record), flush=True)
"""


def record(n: int, **more: object) -> TrailRecord:
    said = {
        "at": BEGIN + timedelta(hours=n),
        "stream": "landsat-8/Ü",
        "inputs": ("drift-0123456789abcdef",),
        "statistics": {"shift:B04": 0.25 + n, "prior": None},
        "thresholds": {"shift:B04": 1.5, "prior": None},
        "policy": "policy-0123456789abcdef",
        "action": "none",
        "fired": False,
        "because": f'calm "{n}",\n"number":9}}',
        "engine": "0.1.0",
    }
    return TrailRecord(**{**said, **more})  # type: ignore[arg-type]


def filled(folder: Path, n: int = 12) -> Trail:
    trail = Trail(folder, segment_bytes=2000)
    for number in range(n):
        trail.append(record(number * 7))
    return trail


def segments(trail: Trail) -> list[Path]:
    return sorted(trail.folder.glob("*.jsonl"))


def test_what_was_appended_is_read_back_in_order(tmp_path: Path) -> None:
    trail = filled(tmp_path / "trail")
    entries = list(trail.read())
    assert [entry.number for entry in entries] == list(range(1, 13))
    assert [entry.record for entry in entries] == [record(n * 7) for n in range(12)]
    assert all(entry.id == entry.record.id for entry in entries)
    found = trail.verify()
    assert found.is_whole
    assert (found.n_records, found.unfinished_bytes) == (12, 0)
    assert found.head == trail.head()
    assert found.head.sha256 == entries[-1].sha256
    assert len({path.name[11:18] for path in segments(trail)}) == 2, "a month has segments of its own"
    assert len(segments(trail)) > 3, "and a segment a size"


def test_reading_goes_on_after_a_record(tmp_path: Path) -> None:
    trail = filled(tmp_path / "trail")
    for after in range(15):
        assert [entry.number for entry in trail.read(after)] == list(range(after + 1, 13))
    segments(trail)[0].write_bytes(b"other\n")
    assert [entry.number for entry in trail.read(9)] == [10, 11, 12], "what was read before is not read again"


def test_an_empty_trail_is_whole(tmp_path: Path) -> None:
    trail = Trail(tmp_path / "none")
    assert list(trail.read()) == []
    assert trail.verify().is_whole
    assert trail.head() == Head()
    assert not (tmp_path / "none").exists(), "looking leaves nothing behind"


def test_the_same_evaluation_is_kept_once(tmp_path: Path) -> None:
    trail = filled(tmp_path / "trail", 3)
    assert trail.append(record(14)) == 3
    assert trail.extend([record(7), record(90), record(90), record(91), record(14)]) == (2, 4, 4, 5, 3)
    assert trail.verify().n_records == 5


def test_a_record_says_when_in_utc_and_takes_no_nonsense() -> None:
    there = record(0, at=datetime(2024, 1, 30, 14, tzinfo=timezone(timedelta(hours=2))))
    assert there == record(0)
    assert there.id == record(0).id
    assert TrailRecord.from_json(package.lines.canonical(there.as_json())) == there
    for wrong in (
        {"at": datetime(2024, 1, 1)},
        {"statistics": {"a": float("nan")}},
        {"action": "panic"},
        {"cost": {"seconds": -1.0}},
        {"more": 1},
        {"schema": 2},
    ):
        with pytest.raises(ValidationError):
            record(0, **wrong)
    assert record(0, cost=Cost(seconds=1.5, label_hours=2.0), run="run-1", verdict="v", suppressed="cool-down").id


def test_a_record_as_long_as_a_book_is_refused(tmp_path: Path) -> None:
    trail = filled(tmp_path / "trail", 1)
    with pytest.raises(BadInput, match="limit"):
        trail.append(record(1, because="x" * (1 << 20)))
    assert trail.verify().is_whole


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return filled(tmp_path_factory.mktemp("trail") / "whole").folder


@settings(
    max_examples=2000 if FULL else 150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
@given(where=st.floats(0, 1, exclude_max=True), change=st.integers(1, 255))
def test_any_flipped_byte_is_found(whole: Path, tmp_path: Path, where: float, change: int) -> None:
    folder = tmp_path / "copy"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(whole, folder)
    files = [*sorted(folder.glob("*.jsonl")), folder / "head.json"]
    sizes = [path.stat().st_size for path in files]
    place = int(where * sum(sizes))
    which = 0
    while place >= sizes[which]:
        place -= sizes[which]
        which += 1
    path = files[which]
    raw = bytearray(path.read_bytes())
    line = raw[:place].count(b"\n") + 1
    raw[place] ^= change
    path.write_bytes(raw)
    found = Trail(folder).verify()
    assert found.flaws
    assert found.flaws[0].file == path.name
    if path.name != "head.json":
        assert found.flaws[0].line == line
        with pytest.raises(Refused):
            list(Trail(folder).read())
    else:
        with pytest.raises(Refused, match="head"):
            Trail(folder).append(record(1000))


def changed(folder: Path) -> Iterator[tuple[str, Path]]:
    """Copies of a trail, each with one thing done to it."""
    for what in CHANGES:
        copy = folder.with_name(what)
        shutil.copytree(folder, copy)
        files = sorted(copy.glob("*.jsonl"))
        path = files[-1] if "tail" in what else files[1]
        lines = path.read_bytes().splitlines(keepends=True)
        if what == "line gone":
            lines = lines[:1] + lines[2:]
        elif what == "lines swapped":
            lines[0], lines[1] = lines[1], lines[0]
        elif what == "line twice":
            lines = [lines[0], *lines]
        elif what == "tail cut":
            lines = lines[:-1]
        elif what == "tail torn":
            lines[-1] = lines[-1][:-1]
        if what in ("segment gone", "last segment gone"):
            files[1 if what == "segment gone" else -1].unlink()
        elif what == "head gone":
            (copy / "head.json").unlink()
        elif "emptied" in what:
            for emptied in [path] if what == "segment emptied" else files:
                emptied.write_bytes(b"")
        else:
            path.write_bytes(b"".join(lines))
        yield what, copy


def test_whatever_is_taken_away_or_moved_is_found(whole: Path, tmp_path: Path) -> None:
    shutil.copytree(whole, tmp_path / "whole")
    n_lines = [len(path.read_bytes().splitlines()) for path in sorted(whole.glob("*.jsonl"))]
    assert n_lines[1] > 1
    for what, folder in changed(tmp_path / "whole"):
        found = Trail(folder).verify()
        assert not found.is_whole, what
        with pytest.raises(Refused):
            list(Trail(folder).read())
        if what in ("last segment gone", "tail cut", "tail torn", "head gone", "all emptied"):
            with pytest.raises(Refused):
                Trail(folder).append(record(5000))


def test_what_is_wrong_is_named_with_file_and_line(whole: Path, tmp_path: Path) -> None:
    shutil.copytree(whole, tmp_path / "copy")
    path = sorted((tmp_path / "copy").glob("*.jsonl"))[1]
    path.write_bytes(path.read_bytes().replace(b"calm", b"CALM", 1))
    (flaw,) = Trail(tmp_path / "copy").verify().flaws
    assert (flaw.file, flaw.line) == (path.name, 1)
    assert "not as it was written" in flaw.what


def test_a_trail_that_was_written_anew_is_found_by_its_key_and_by_heads_noted_elsewhere(tmp_path: Path) -> None:
    trail = Trail(tmp_path / "a", key=b"secret")
    trail.extend([record(n) for n in range(5)])
    noted = trail.head()
    trail.append(record(9))
    assert trail.verify([noted]).is_whole
    forged = Trail(tmp_path / "b", key=b"guess")
    forged.extend([record(n) for n in (0, 1, 2, 3, 7, 9)])
    assert not Trail(tmp_path / "b", key=b"secret").verify().is_whole
    assert forged.verify().is_whole
    (flaw,) = forged.verify([noted]).flaws
    assert "record 5" in flaw.what


def test_a_record_of_a_later_program_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trail = filled(tmp_path / "trail", 2)
    later = {**record(9).as_json(), "schema": 2}
    with monkeypatch.context() as patched:
        patched.setattr(TrailRecord, "as_json", lambda _: later)
        trail.append(record(9))
    assert trail.verify().is_whole
    with pytest.raises(Refused, match="Record 3 holds what this program does not know"):
        list(trail.read())


def test_an_older_head_is_found_before_anything_is_cut(tmp_path: Path) -> None:
    trail = filled(tmp_path / "trail", 2)
    old = (trail.folder / "head.json").read_bytes()
    for n in range(3):
        trail.append(record(500 + n))
    (trail.folder / "head.json").write_bytes(old)
    assert "older" in trail.verify().flaws[0].what
    before = [path.read_bytes() for path in segments(trail)]
    with pytest.raises(Refused, match="beyond"):
        trail.append(record(9))
    assert [path.read_bytes() for path in segments(trail)] == before


@pytest.mark.parametrize("cut", [1, 40, 10_000])
def test_what_a_killed_writer_left_is_no_record_and_is_cut_away(tmp_path: Path, cut: int) -> None:
    trail = filled(tmp_path / "trail", 4)
    head = (trail.folder / "head.json").read_bytes()
    size = {path.name: path.stat().st_size for path in segments(trail)}
    trail.append(record(3000))
    (trail.folder / "head.json").write_bytes(head)
    last = segments(trail)[-1]
    written = last.stat().st_size - size.get(last.name, 0)
    os.truncate(last, size.get(last.name, 0) + min(cut, written))
    assert trail.verify().is_whole
    assert trail.verify().unfinished_bytes == min(cut, written)
    assert len(list(trail.read())) == 4
    assert trail.append(record(4000)) == 5
    assert [entry.record for entry in trail.read()][-1] == record(4000)
    assert trail.verify().is_whole


def test_a_batch_that_was_killed_leaves_none_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trail = filled(tmp_path / "trail", 4)
    real, written = module.write_head, []

    def dies(folder: Path, head: Head, key: bytes) -> None:
        written.append(head)
        if head.number > 4:
            raise KeyboardInterrupt
        real(folder, head, key)

    monkeypatch.setattr(module, "write_head", dies)
    with pytest.raises(KeyboardInterrupt):
        trail.extend([record(100 + n) for n in range(30)])
    monkeypatch.undo()
    assert [head.pending for head in written] == [30, 1]
    found = trail.verify()
    assert (found.is_whole, found.n_records) == (True, 4)
    assert found.unfinished_bytes > 0
    assert trail.extend([record(100 + n) for n in range(30)]) == tuple(range(5, 35))
    assert trail.verify().is_whole


def test_a_full_disk_has_a_name_and_leaves_the_trail_as_it_was(small_disk: Path) -> None:
    trail = Trail(small_disk / "trail")
    kept: list[int] = []
    with pytest.raises(StorageFull):
        kept.extend(trail.append(record(n, because="x" * 50_000)) for n in range(100))
    assert len(kept) > 2
    found = trail.verify()
    assert (found.is_whole, found.n_records) == (True, len(kept))


def start(folder: Path, who: str, first: int, n: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", APPENDER, str(folder), who, str(first), str(n)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=CHECKOUT)


def test_two_writers_share_a_trail(tmp_path: Path) -> None:
    writers = [start(tmp_path / "trail", who, 0, 40) for who in ("a", "b")]
    said = [writer.communicate(timeout=100)[0] for writer in writers]
    assert [writer.returncode for writer in writers] == [0, 0]
    numbers = sorted(int(line.split()[1]) for text in said for line in text.splitlines())
    assert numbers == list(range(1, 81))
    trail = Trail(tmp_path / "trail")
    assert trail.verify().n_records == 80
    assert trail.verify().is_whole
    for who in "ab":
        assert [e.record.because for e in trail.read() if e.record.stream == who] == [str(n) for n in range(40)]


def test_a_killed_writer_loses_nothing_it_acknowledged_and_its_successor_doubles_nothing(tmp_path: Path) -> None:
    rng, folder = random.Random(7), tmp_path / "trail"
    first, acknowledged = 0, {}
    kills = 50 if FULL else 10
    for _ in range(kills):
        # One before: the retry of a step that does not know whether its record is there.
        writer = start(folder, "a", max(first - 1, 0), 10**6)
        assert writer.stdout is not None
        said = [writer.stdout.readline()]
        time.sleep(rng.random() * 0.15)
        os.kill(writer.pid, signal.SIGKILL)
        said += writer.stdout.read().splitlines()
        writer.stdout.close()
        writer.wait(10)
        for n, number in (map(int, line.split()) for line in said if len(line.split()) == 2):
            assert acknowledged.setdefault(n, number) == number
            first = n + 1
        found = Trail(folder).verify()
        assert found.is_whole, found.flaws
        entries = {int(entry.record.because): entry.number for entry in Trail(folder).read()}
        assert len(entries) == found.n_records, "nothing is there twice"
        assert acknowledged.items() <= entries.items(), "nothing that was acknowledged is lost"
        assert len(entries) <= len(acknowledged) + 1
    assert len(acknowledged) > kills
    if FULL:
        keep("kills", {"kills": kills, "acknowledged": len(acknowledged), "lost": 0, "doubled": 0})


def keep(name: str, numbers: object) -> None:
    NUMBERS.parent.mkdir(parents=True, exist_ok=True)
    write_json(NUMBERS, (read_json(NUMBERS) if NUMBERS.exists() else {}) | {name: numbers})


def test_a_hundred_thousand_records_are_verified(tmp_path: Path) -> None:
    n = 100_000 if FULL else 5_000
    trail = Trail(tmp_path / "trail")
    for begin in range(0, n, 5_000):
        trail.extend([record(0, because=str(begin + k)) for k in range(5_000)])
    began = time.monotonic()
    found = trail.verify()
    seconds = time.monotonic() - began
    assert (found.is_whole, found.n_records) == (True, n)
    if FULL:
        keep("verify", {"records": n, "seconds": round(seconds, 2)})


def test_a_head_of_another_shape_is_no_head(tmp_path: Path) -> None:
    trail = filled(tmp_path / "trail", 2)
    head = trail.head()
    for wrong in ({"number": "2"}, {"segment": "../x.jsonl"}, {"size": -1}, {"number": -1}):
        heads.write_head(trail.folder, replace(head, **wrong), b"")  # type: ignore[arg-type]
        assert not trail.verify().is_whole
    for raw in (b"", b"[" * 5000, b"null\n", b"\xff\xfe"):
        (trail.folder / "head.json").write_bytes(raw)
        assert not trail.verify().is_whole
