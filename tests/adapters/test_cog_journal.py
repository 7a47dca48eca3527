"""A map in the making survives whatever happens to its writer, and never becomes another map by it."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rasterio
import tifffile

from geoml_ops.adapters.cog import Encoded, MapJournal, MapLayout, assembly, journal
from geoml_ops.core.errors import Conflict, Refused, StorageFull
from geoml_ops.platform.files import sha256_of, sweep_parts
from geoml_ops.settings import CHECKOUT
from tests.maps import TAGS, commit_all, layers_of, layout_of, made

LAYOUT = layout_of(70, 90, 3)
LAYERS = layers_of(LAYOUT)
N_BLOCKS = len(LAYOUT.blocks)


def file_of(folder: Path) -> Path:
    return folder / journal.FILE


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> str:
    return sha256_of(made(tmp_path_factory.mktemp("expected"), LAYOUT, LAYERS))


def done_and_finished(folder: Path, target: Path) -> tuple[int, str]:
    """How many blocks a journal had, and the digest of the map once it is finished."""
    with MapJournal(folder, "key", LAYOUT) as opened:
        n_done = opened.n_done
        assert list(opened.notes()) == [f'{{"block":{index}}}'.encode() for index in range(n_done)]
        commit_all(opened, LAYERS)
        assert opened.finish(target, TAGS) == sha256_of(target)
    return n_done, sha256_of(target)


def test_a_journal_goes_on_where_it_was_closed(tmp_path: Path, expected: str) -> None:
    for until in (0, 1, 7, N_BLOCKS):
        with MapJournal(tmp_path / "j", "key", LAYOUT) as opened:
            commit_all(opened, LAYERS, until)
    assert done_and_finished(tmp_path / "j", tmp_path / "map.tif") == (N_BLOCKS, expected)


def test_blocks_are_committed_in_one_order_only(tmp_path: Path) -> None:
    with MapJournal(tmp_path, "key", LAYOUT) as opened:
        second = opened.encode(1, LAYERS[:, *LAYOUT.blocks[1].slices()])
        with pytest.raises(ValueError, match=r"block 1 of .* after 0 blocks"):
            opened.commit(second)
        with pytest.raises(ValueError, match=r"for block 0"):
            opened.encode(0, LAYERS[:, :16, :15])
        with pytest.raises(ValueError, match=r"float32"):
            opened.encode(0, LAYERS[:, :16, :16].astype(np.float32))
        with pytest.raises(ValueError, match=f"0 of {N_BLOCKS} blocks"):
            opened.finish(tmp_path / "map.tif", TAGS)


def test_threads_that_encode_in_any_order_do_not_change_a_byte(tmp_path: Path, expected: str) -> None:
    with MapJournal(tmp_path / "j", "key", LAYOUT) as opened, ThreadPoolExecutor(4) as pool:
        indices = np.random.default_rng(0).permutation(N_BLOCKS).tolist()
        notes = [f'{{"block":{index}}}'.encode() for index in range(N_BLOCKS)]
        cut = [np.ascontiguousarray(LAYERS[:, *window.slices()]) for window in LAYOUT.blocks]
        futures = {index: pool.submit(opened.encode, index, cut[index], notes[index]) for index in indices}
        for index in range(N_BLOCKS):
            opened.commit(futures[index].result())
    assert done_and_finished(tmp_path / "j", tmp_path / "map.tif") == (N_BLOCKS, expected)


def test_another_key_layout_or_packer_starts_afresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    others = [
        ("other", LAYOUT),
        ("key", layout_of(70, 90, 2)),
        ("key", layout_of(70, 91, 3)),
        ("key", layout_of(70, 90, 3, 32)),
        ("key", replace(LAYOUT, colours=("#000000", *LAYOUT.colours[1:]))),
        ("key", replace(LAYOUT, names=("Water", *LAYOUT.names[1:]))),
        ("key", replace(LAYOUT, grid=LAYOUT.grid.model_copy(update={"left": 0.0}))),
    ]
    for key, layout in others:
        with MapJournal(tmp_path, "key", LAYOUT) as opened:
            assert opened.n_done == 0
            commit_all(opened, LAYERS, 5)
        with MapJournal(tmp_path, key, layout) as opened:
            assert opened.n_done == 0
    for name, value in ((journal, "FORMAT"), (journal.deflating, "NAME")):
        with MapJournal(tmp_path, "key", LAYOUT) as opened:
            commit_all(opened, LAYERS, 5)
        with monkeypatch.context() as patch:
            patch.setattr(name, value, "another")
            with MapJournal(tmp_path, "key", LAYOUT) as opened:
                assert opened.n_done == 0


def test_records_of_another_try_are_never_taken_in(tmp_path: Path) -> None:
    """Whole records behind a beginning that is not theirs."""
    for key in ("key", "yek"):
        with MapJournal(tmp_path / key, key, LAYOUT) as opened:
            commit_all(opened, LAYERS, 0 if key == "key" else 5)
    start = file_of(tmp_path / "key").read_bytes()
    file_of(tmp_path / "key").write_bytes(start + file_of(tmp_path / "yek").read_bytes()[len(start) :])
    with MapJournal(tmp_path / "key", "key", LAYOUT) as opened:
        assert opened.n_done == 0


def test_two_writers_cannot_hold_one_journal(tmp_path: Path) -> None:
    with MapJournal(tmp_path, "key", LAYOUT) as first:
        commit_all(first, LAYERS, 2)
        with pytest.raises(Conflict, match=r"else is writing"):
            MapJournal(tmp_path, "key", LAYOUT)
    with MapJournal(tmp_path, "other", LAYOUT) as second:
        assert second.n_done == 0


def test_a_discarded_journal_leaves_nothing(tmp_path: Path) -> None:
    with MapJournal(tmp_path / "j", "key", LAYOUT) as opened:
        commit_all(opened, LAYERS, 2)
        opened.discard()
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "j").mkdir()
    (tmp_path / "j" / "mine").touch()
    MapJournal(tmp_path / "j", "key", LAYOUT).discard()
    assert [path.name for path in (tmp_path / "j").iterdir()] == ["mine"]


def ends_of(folder: Path) -> list[int]:
    """Sizes of a journal after its beginning and after every block."""
    ends = []
    with MapJournal(folder, "key", LAYOUT) as opened:
        for until in range(N_BLOCKS + 1):
            commit_all(opened, LAYERS, until)
            ends.append(file_of(folder).stat().st_size)
    return ends


def test_a_torn_tail_is_cut_wherever_it_was_torn(tmp_path: Path, expected: str) -> None:
    ends = ends_of(tmp_path / "whole")
    content = file_of(tmp_path / "whole").read_bytes()
    rng = np.random.default_rng(1)
    cuts = {0, 1, ends[0] - 1, *ends, *(end + 1 for end in ends[:-1]), *rng.integers(0, ends[-1], 60).tolist()}
    for number, size in enumerate(sorted(cuts)):
        for tail in (b"", b"\0" * 300, content[:300]):
            (folder := tmp_path / f"{number}-{len(tail)}-{tail[:1]!r}").mkdir()
            file_of(folder).write_bytes(content[:size] + tail)
            with MapJournal(folder, "key", LAYOUT) as opened:
                assert opened.n_done == max(sum(end <= size for end in ends) - 1, 0)
    assert done_and_finished(folder, tmp_path / "map.tif")[1] == expected


def test_altered_bytes_are_found_and_written_again(tmp_path: Path, expected: str) -> None:
    ends = ends_of(tmp_path / "whole")
    content = bytearray(file_of(tmp_path / "whole").read_bytes())
    for number, at in enumerate(np.random.default_rng(2).integers(0, len(content), 60).tolist()):
        (folder := tmp_path / str(number)).mkdir()
        content[at] ^= 1 << number % 8
        file_of(folder).write_bytes(content)
        n_done, digest = done_and_finished(folder, tmp_path / "map.tif")
        content[at] ^= 1 << number % 8
        assert n_done == max(sum(end <= at for end in ends) - 1, 0)
        assert digest == expected


def test_a_journal_that_is_changed_while_it_is_held_gives_no_map(tmp_path: Path) -> None:
    with MapJournal(tmp_path / "j", "key", LAYOUT) as opened:
        commit_all(opened, LAYERS)
        with file_of(tmp_path / "j").open("r+b") as file:
            file.seek(-40, os.SEEK_END)
            file.write(b"\0" * 30)
        with pytest.raises(Refused, match="was changed"):
            opened.finish(tmp_path / "map.tif", TAGS)
    assert [path.name for path in tmp_path.iterdir()] == ["j"]


def test_a_full_disk_leaves_the_blocks_before_and_no_map(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, expected: str
) -> None:
    real = os.pwrite

    def half(file: int, content: memoryview, at: int) -> int:
        real(file, content[: len(content) // 2], at)
        raise OSError(errno.ENOSPC, "No space left on device")

    with MapJournal(tmp_path / "j", "key", LAYOUT) as opened:
        commit_all(opened, LAYERS, 4)
        size = file_of(tmp_path / "j").stat().st_size
        monkeypatch.setattr(os, "pwrite", half)
        with pytest.raises(StorageFull, match=r"blocks\.journal"):
            commit_all(opened, LAYERS)
        monkeypatch.undo()
        assert (opened.n_done, file_of(tmp_path / "j").stat().st_size) == (4, size)
        commit_all(opened, LAYERS)
        for name in ("packed", "check_map"):
            with monkeypatch.context() as patch:
                patch.setattr(assembly, name, lambda *_: half(opened._file, memoryview(b""), 0))
                with pytest.raises(StorageFull, match=r"map\.tif"):
                    opened.finish(tmp_path / "map.tif", TAGS)
            assert [path.name for path in tmp_path.iterdir()] == ["j"]
    assert done_and_finished(tmp_path / "j", tmp_path / "map.tif") == (N_BLOCKS, expected)


WRITER = """
import os, signal, sys
from pathlib import Path
from geoml_ops.adapters.cog import MapJournal, assembly, journal
from tests.maps import TAGS, commit_all, layers_of, layout_of

folder, place, after = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
layout = layout_of(70, 90, 3)

def counted(name, owner, torn=lambda *_: None):
    real, calls = getattr(owner, name), [0]
    def call(*arguments, **options):
        calls[0] += 1
        if calls[0] > after:
            torn(*arguments)
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*arguments, **options)
    setattr(owner, name, call)
    return real

if place == "before":
    counted("_write", journal)
if place == "inside":
    write = counted("pwrite", os, lambda file, content, at: write(file, content[: len(content) // 2], at))
if place == "packing":
    counted("packed", assembly)
if place == "checking":
    counted("check_map", assembly)
if place == "writing":
    contents = assembly._contents
    def some(*arguments):
        for number, content in enumerate(contents(*arguments)):
            if number == after:
                os.kill(os.getpid(), signal.SIGKILL)
            yield content
    assembly._contents = some
with MapJournal(folder / "journal", "key", layout) as opened:
    commit_all(opened, layers_of(layout))
    opened.finish(folder / "map.tif", TAGS)
"""


def write(folder: Path, place: str, after: int = 0) -> int:
    command = [sys.executable, "-c", WRITER, str(folder), place, str(after)]
    return subprocess.run(command, cwd=CHECKOUT, timeout=60, check=False).returncode


def test_killed_anywhere_and_run_again_the_bytes_are_the_same(tmp_path: Path, expected: str) -> None:
    """One try after the other in one folder, each killed a little further on; the last one finishes."""
    for place, after in (("before", 0), ("inside", 0), ("before", 9), ("inside", 7), ("packing", 4), ("writing", 40),
                         ("checking", 0)):  # fmt: skip
        assert write(tmp_path, place, after) == -signal.SIGKILL
        assert not (tmp_path / "map.tif").exists()
    assert write(tmp_path, "nowhere") == 0
    assert sha256_of(tmp_path / "map.tif") == expected
    sweep_parts(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["journal", "map.tif"]


class Repeated:
    """Blocks of a large map without keeping it: every whole block is the same one, and so are those at its edges."""

    def __init__(self, layout: MapLayout, layers: np.ndarray) -> None:
        self.layout, self.layers, self.known = layout, layers, {}

    def __call__(self, opened: MapJournal, index: int) -> Encoded:
        window = self.layout.blocks[index]
        kind = window.height, window.width
        if kind not in self.known:
            self.known[kind] = opened.encode(index, self.layers[:, : window.height, : window.width])
        return replace(self.known[kind], index=index)


def peak_of(folder: Path, height: int, width: int) -> int:
    """Bytes at the peak of finishing a map of two bands."""
    layout = layout_of(height, width, 2, 512)
    blocks = Repeated(layout, layers_of(layout_of(512, 512, 2, 512)))
    with MapJournal(folder / "journal", "key", layout) as opened:
        for index in range(len(layout.blocks)):
            opened.commit(blocks(opened, index))
        tracemalloc.start()
        opened.finish(folder / "map.tif", TAGS)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        opened.discard()
    return peak


def test_finishing_a_large_map_takes_no_more_memory_than_a_small_one(tmp_path: Path) -> None:
    """Overviews beyond 4 MiB wait on disk, so that the larger map does not keep more of them."""
    small, large = peak_of(tmp_path, 5_000, 7_000), peak_of(tmp_path, 20_000, 10_000)
    assert large < small + (8 << 20)
    with tifffile.TiffFile(tmp_path / "map.tif") as source:
        # One request of 16 KiB, as GDAL makes it, opens any map.
        assert source.pages[-1].offset + 2048 < 16384
    with rasterio.open(tmp_path / "map.tif", overview_level=4) as source:
        assert source.shape == (625, 313)
        assert source.read(1)[5, 5] == layers_of(layout_of(512, 512, 2, 512))[0, 175, 175]


def test_writers_that_come_and_go_at_once_never_share_a_journal(tmp_path: Path) -> None:
    """Threads that open, commit and discard one journal over and over: each gets an empty one to itself, or waits."""

    def tries(_: int) -> int:
        n_held = 0
        while n_held < 25:
            try:
                with MapJournal(tmp_path / "j", "key", LAYOUT) as opened:
                    assert opened.n_done == 0
                    commit_all(opened, LAYERS, 2)
                    assert opened.n_done == len(list(opened.notes())) == 2
                    opened.discard()
                    n_held += 1
            except Conflict:
                continue
        return n_held

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(tries, range(4))) == [25] * 4
    assert list(tmp_path.iterdir()) == []
