"""Rows of the prediction log on disk: many writers, readers meanwhile, kills, damage, and days that end."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from geoml_ops.adapters.predictions import PredictionLog, Row, is_drawn, keep, read_kept
from geoml_ops.adapters.predictions import days as days_of_log
from tests.conftest import ROOT

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def row(request: str, at: datetime = NOON, **more: Any) -> Row:
    told: dict[str, Any] = {
        "row": "request", "kind": "chip", "prediction": "", "bundle": "bundle-a", "graph_sha256": "0" * 64,
        "model": "landcover", "number": 3, "sensor": "sentinel-2-l2a", "bands": ("B02", "B08"),
        "classes": ("bare", "green"), "n_px": 4096, "valid_share": 1.0, "means": (812.5, None),
    }  # fmt: skip
    return Row(at=at, request=request, **{**told, **more})


def ids(log: PredictionLog, **question: Any) -> list[str]:
    return sorted(found["request"] for found in log.requests(**question))


def test_rows_come_back_as_they_were(tmp_path: Path) -> None:
    log = PredictionLog(tmp_path)
    full = row(
        "r", kind="raster", prediction="prediction-0", baseline="05.11", month="2026-02", region="EPSG:32633/3/58",
        latency_s=0.25, again=True, sketches=(b"", b"\x00\xff" * 900), sds=(1.0, None), medians=(800.0, None),
        class_shares=(0.25, 0.75), confidence=tuple(range(20)), mean_confidence=0.9, edge_density=0.1,
        outside_share=0.02, mean_set_size=1.5,
    )  # fmt: skip
    tile = row("r", row="tile", easting=390000.0, northing=5830000.0, edge_m=1280.0)
    assert log.record([tile, full])
    (found,), (part,) = log.requests(), log.tiles()
    for name, value in vars(full).items():
        assert found[name] == (list(value) if isinstance(value, tuple) else value), name
    assert (part["easting"], part["edge_m"], part["latency_s"], part["sketches"]) == (390000.0, 1280.0, None, [])


def test_questions_of_time_bundle_and_columns(tmp_path: Path) -> None:
    log = PredictionLog(tmp_path)
    log.record([row(f"r{hour}", NOON + timedelta(hours=hour), bundle=f"bundle-{hour % 2}") for hour in range(30)])
    assert len(log.days()) == 2
    assert ids(log, since=NOON + timedelta(hours=28)) == ["r28", "r29"]
    assert ids(log, until=NOON + timedelta(hours=2)) == ["r0", "r1"]
    assert ids(log, since=NOON + timedelta(hours=4), until=NOON + timedelta(hours=8), bundle="bundle-1") == ["r5", "r7"]
    assert list(log.requests(until=NOON + timedelta(hours=1), columns=("n_px",))) == [{"n_px": 4096}]
    with pytest.raises(ValueError, match="no columns"):
        log.requests(columns=("password",))


def test_the_day_is_utc_and_lines_stay_beside_rows(tmp_path: Path) -> None:
    log = PredictionLog(tmp_path)
    log.append("prediction-a", NOON)
    log.record([row("r", datetime.fromisoformat("2026-03-02T00:30+02:00"))])
    assert log.days() == (date(2026, 3, 1),)
    assert [line.id for line in log.lines()] == ["prediction-a"]


def test_a_name_is_written_once_joined_or_not(tmp_path: Path) -> None:
    log = PredictionLog(tmp_path)
    assert log.record([row("a")], name="prediction-0")
    assert not log.record([row("a")], name="prediction-0")
    log.record([row("b")])
    assert log.join(NOON + timedelta(days=2)) == 2
    assert not log.record([row("a")], name="prediction-0")
    assert ids(log) == ["a", "b"]
    with pytest.raises(ValueError, match="cannot be called"):
        log.record([row("a")], name="../a")


def test_finished_days_become_one_file_and_late_rows_join_them(tmp_path: Path) -> None:
    log = PredictionLog(tmp_path)
    for number in range(5):
        log.record([row(f"r{number}"), row(f"r{number}", row="tile")])
    assert log.join(NOON) == 0, "the day is not over"
    assert log.join(NOON + timedelta(hours=12, minutes=10)) == 0, "nor is it for late writers"
    assert log.join(NOON + timedelta(days=1)) == 5
    files = list((tmp_path / "log" / "day=2026-03-01").iterdir())
    assert len(files) == 1
    assert log.join(NOON + timedelta(days=1)) == 0
    log.record([row("late")])
    assert log.join(NOON + timedelta(days=1)) == 2
    assert ids(log) == ["late", "r0", "r1", "r2", "r3", "r4"]
    assert len(list(log.tiles())) == 5


def test_a_file_that_was_joined_does_not_count_though_it_is_there(tmp_path: Path) -> None:
    log = PredictionLog(tmp_path)
    log.record([row("a")])
    log.record([row("b")])
    folder = tmp_path / "log" / "day=2026-03-01"
    before = {path: path.read_bytes() for path in folder.iterdir()}
    log.join(NOON + timedelta(days=2))
    for path, content in before.items():
        path.write_bytes(content)
    assert ids(log) == ["a", "b"]
    log.join(NOON + timedelta(days=2))
    assert len(list(folder.iterdir())) == 1


def test_a_reader_goes_on_while_files_are_joined(tmp_path: Path) -> None:
    log = PredictionLog(tmp_path)
    for number in range(6):
        log.record([row(f"r{number}-{part}") for part in range(3)])
    reading = iter(log.requests())
    found = [next(reading)["request"] for _ in range(4)]
    log.join(NOON + timedelta(days=2))
    log.record([row("late")])
    found += [each["request"] for each in reading]
    assert sorted(found) == sorted([*(f"r{n}-{part}" for n in range(6) for part in range(3)), "late"])


def test_many_processes_write_and_lose_nothing(tmp_path: Path) -> None:
    def write(number: int) -> None:
        PredictionLog(tmp_path).record([row(f"r{number}")], name=f"n{number % 10}" if number % 2 else "")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(60)))
    found = ids(PredictionLog(tmp_path))
    assert len(found) == len(set(found)) == 30 + 5


def damaged(folder: Path) -> dict[str, bytes]:
    good = next(folder.glob("seg-*.parquet")).read_bytes()
    other = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_arrays([pa.array(np.arange(3))], ["a"]), other)
    flipped = bytearray(good)
    flipped[len(good) // 3] ^= 4
    return {
        "seg-torn.parquet": good[: len(good) // 2],
        "seg-empty.parquet": b"",
        "seg-words.parquet": b"PAR1 not really PAR1",
        "seg-other.parquet": other.getvalue().to_pybytes(),
        "seg-flipped.parquet": bytes(flipped),
        "day-torn.parquet": good[:-10],
        "notes.txt": b"kept by hand",
        ".seg-half-1234.part.parquet": good[:100],
    }


def test_torn_and_foreign_files_are_skipped_counted_and_left_alone(tmp_path: Path) -> None:
    log = PredictionLog(tmp_path)
    log.record([row("a")])
    folder = tmp_path / "log" / "day=2026-03-01"
    for name, content in damaged(folder).items():
        (folder / name).write_bytes(content)
    (tmp_path / "log" / "day=yesterday").mkdir()
    log.record([row("b")])
    found = log.requests()
    assert {each["request"] for each in found} == {"a", "b"}
    assert len(found.bad) == 6
    assert set(found.bad) == {f"day=2026-03-01/{name}" for name in damaged(folder) if name.endswith("parquet")
                              and not name.startswith(".")}  # fmt: skip
    log.join(NOON + timedelta(days=2))
    assert {each["request"] for each in log.requests()} == {"a", "b"}
    assert {"seg-torn.parquet", "seg-flipped.parquet", "notes.txt"} <= {path.name for path in folder.iterdir()}


def test_old_days_go_with_the_imagery_of_them(tmp_path: Path) -> None:
    log = PredictionLog(tmp_path)
    log.append("prediction-a", NOON)
    for back in range(4):
        log.record([row(f"r{back}", NOON - timedelta(days=back))])
    keep(tmp_path / "kept" / "2026-02-27", "x", {"dn": np.zeros((1, 2, 2))}, {})
    (tmp_path / "kept" / "mine").mkdir()
    (tmp_path / "log" / ".gone-day=2020-01-01-ab").mkdir()
    assert log.remove(date(2026, 2, 28)) == 2
    assert ids(log) == ["r0", "r1"]
    assert [path.name for path in (tmp_path / "kept").iterdir()] == ["mine"]
    assert not list((tmp_path / "log").glob(".gone-*"))
    assert [line.id for line in log.lines()] == ["prediction-a"]


WRITER = """
import sys
from datetime import timedelta
from geoml_ops.adapters.predictions import PredictionLog
from pathlib import Path
from tests.adapters.test_prediction_rows import NOON, row
log = PredictionLog(Path(sys.argv[1]))
print("go", flush=True)
for number in range(10_000):
    log.record([row(f"{sys.argv[2]}-{number}")])
    print(number, flush=True)
    if number % 3 == 2:
        log.join(NOON + timedelta(days=2))
"""


def test_kill_9_anywhere_loses_nothing_that_was_said_to_be_written_and_doubles_nothing(tmp_path: Path) -> None:
    rng, said = random.Random(5), set()
    for turn in range(5):
        process = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path), str(turn)], cwd=ROOT, stdout=subprocess.PIPE, text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )  # fmt: skip
        assert process.stdout is not None
        assert process.stdout.readline() == "go\n"
        time.sleep(rng.uniform(0.02, 0.5))
        process.send_signal(signal.SIGKILL)
        told = process.stdout.read().split()
        process.wait()
        said |= {f"{turn}-{number}" for number in told}
        found = ids(PredictionLog(tmp_path))
        assert len(found) == len(set(found))
        # One more than was said may be there: written, and killed before it could say so.
        assert said <= set(found)
        assert len(set(found) - said) <= turn + 1
    log = PredictionLog(tmp_path)
    before = ids(log)
    for part in (tmp_path / "log" / "day=2026-03-01").glob(".seg-*"):
        os.utime(part, (0, 0))
    log.join(NOON + timedelta(days=2))
    assert ids(log) == before
    assert len(list((tmp_path / "log" / "day=2026-03-01").iterdir())) == 1, "what the killed left behind is gone"


@pytest.mark.parametrize("cut", ["before the rename", "after the rename", "between two removals"])
def test_a_join_that_ends_anywhere_is_finished_by_the_next(
    tmp_path: Path, cut: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = PredictionLog(tmp_path)
    for number in range(4):
        log.record([row(f"r{number}"), row(f"r{number}", row="tile")])
    removed = 0

    class Killed(BaseException):
        pass

    def clear(self: Any) -> None:
        raise Killed

    def unlink(self: Path, missing_ok: bool = False) -> None:
        nonlocal removed
        removed += self.suffix == ".parquet" and self.name.startswith("seg-")
        if removed == 2:
            raise Killed
        os.unlink(self) if self.exists() else None

    with monkeypatch.context() as patch:
        if cut == "before the rename":
            patch.setattr(days_of_log.Day, "_whole", lambda self, path: (_ for _ in ()).throw(Killed()) if path.name
                          .startswith(".") else True)  # fmt: skip
        elif cut == "after the rename":
            patch.setattr(days_of_log.Day, "_clear", clear)
        else:
            patch.setattr(Path, "unlink", unlink)
        with pytest.raises(Killed):
            log.join(NOON + timedelta(days=2))
    assert ids(log) == ["r0", "r1", "r2", "r3"]
    assert len(list(log.tiles())) == 4
    log.join(NOON + timedelta(days=2))
    assert ids(log) == ["r0", "r1", "r2", "r3"]
    assert len(list((tmp_path / "log" / "day=2026-03-01").iterdir())) == 1


def test_writing_reading_and_joining_never_load_pandas(tmp_path: Path) -> None:
    code = (
        "import sys, pathlib; from datetime import timedelta\n"
        "from geoml_ops.adapters.predictions import PredictionLog\n"
        "from tests.adapters.test_prediction_rows import NOON, row\n"
        f"log = PredictionLog(pathlib.Path({str(tmp_path)!r}))\n"
        "before = 'pandas' in sys.modules\n"
        "[log.record([row('a'), row('a', row='tile', sketches=(b'x',))]) for _ in range(3)]\n"
        "log.join(NOON + timedelta(days=2)); n = len(list(log.requests())) + len(list(log.tiles()))\n"
        "print(before, 'pandas' in sys.modules, n)"
    )
    said = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert said.split()[1:] == ["False", "6"], said


def test_reading_holds_one_batch_at_a_time(tmp_path: Path) -> None:
    log = PredictionLog(tmp_path)
    tiles = [row("r", row="tile", sketches=(os.urandom(1800),) * 2) for _ in range(6000)]
    log.record([row("r"), *tiles])
    before = pa.total_allocated_bytes()
    most = max(pa.total_allocated_bytes() - before for _ in log.tiles())
    assert most < 6000 * 3600 / 2, "of 21 MB a sixth at a time, as it is read and as it is unpacked"
    reading = iter(log.requests())
    next(reading)
    assert pa.total_allocated_bytes() - before < 1 << 20, "requests are read without the tiles beside them"


def test_which_tiles_are_kept_follows_from_their_names() -> None:
    drawn = [is_drawn("request", str(n), 0.1) for n in range(4000)]
    assert drawn == [is_drawn("request", str(n), 0.1) for n in range(4000)]
    assert 0.08 < np.mean(drawn) < 0.12
    assert all(is_drawn("request", str(n), 0.2) for n in range(4000) if drawn[n]), "a larger share keeps those too"


def test_a_kept_tile_has_its_lineage(tmp_path: Path) -> None:
    path = keep(tmp_path, "r-0", {"dn": np.arange(8, dtype=np.uint16).reshape(2, 2, 2)}, {"bundle": "b", "grid": None})
    arrays, lineage = read_kept(path)
    assert lineage == {"bundle": "b", "grid": None}
    np.testing.assert_array_equal(arrays["dn"].ravel(), np.arange(8))
