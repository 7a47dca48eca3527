"""Maps of 400 Mpx and of 10 Gpx, and fifty writers killed at any moment; minutes, so only with GEOML_FULL=1."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from geoml_ops.platform.files import read_json, sha256_of, write_json
from geoml_ops.settings import CHECKOUT
from tests.maps import layers_of, layout_of, made

pytestmark = [
    pytest.mark.full,
    pytest.mark.skipif(os.environ.get("GEOML_FULL") != "1", reason="takes minutes; make full"),
]

NUMBERS = CHECKOUT / "workspace" / "full" / "mapfiles.json"
WRITER = """
import json, sys, time
from dataclasses import replace
from pathlib import Path
import numpy as np
from geoml_ops.adapters.cog import MapJournal
from tests.maps import TAGS, layers_of, layout_of

folder, height, width, empty = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4] == "empty"
layout, known = layout_of(height, width, 2, 512), {}
layers = layers_of(layout_of(512, 512, 2, 512))
if empty:
    layers[:] = 255
with MapJournal(folder / "journal", "key", layout) as journal:
    for index, window in enumerate(layout.blocks):
        kind = window.height, window.width
        known[kind] = known.get(kind) or journal.encode(index, layers[:, : window.height, : window.width])
        journal.commit(replace(known[kind], index=index))
    began = time.perf_counter()
    journal.finish(folder / "map.tif", TAGS)
    seconds = time.perf_counter() - began
    journal.discard()
# What the parent held before it became this program counts in getrusage (Linux), not here.
status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
peak = int(status["VmHWM"].split()[0]) / 1024
print(json.dumps({"mpx": height * width / 1e6, "peak_mib": round(peak, 1),
                  "finish_s": round(seconds, 2), "mib": round((folder / "map.tif").stat().st_size / 2**20, 1)}))
"""
KILLED = """
import sys
from pathlib import Path
from geoml_ops.adapters.cog import MapJournal
from tests.maps import TAGS, commit_all, layers_of, layout_of

layout = layout_of(1500, 1700, 3, 64)
layers = layers_of(layout)
print("ready", flush=True)
with MapJournal(Path(sys.argv[1]) / "journal", "key", layout) as journal:
    commit_all(journal, layers)
    journal.finish(Path(sys.argv[1]) / "map.tif", TAGS)
"""


def keep(name: str, numbers: object) -> None:
    NUMBERS.parent.mkdir(parents=True, exist_ok=True)
    write_json(NUMBERS, (read_json(NUMBERS) if NUMBERS.exists() else {}) | {name: numbers})


def finish(folder: Path, height: int, width: int, kind: str) -> dict[str, float]:
    command = [sys.executable, "-c", WRITER, str(folder), str(height), str(width), kind]
    said = subprocess.run(command, cwd=CHECKOUT, check=True, capture_output=True, text=True, timeout=600)
    return json.loads(said.stdout)


def test_memory_does_not_grow_with_the_map(tmp_path: Path) -> None:
    small, large = finish(tmp_path, 2500, 4000, "full"), finish(tmp_path, 20_000, 20_000, "full")
    keep("memory", {"small": small, "large": large})
    assert large["peak_mib"] <= 1.1 * small["peak_mib"]


def test_a_country_without_an_answer_is_finished_in_little_memory(tmp_path: Path) -> None:
    huge = finish(tmp_path, 100_000, 100_000, "empty")
    keep("huge", huge)
    assert huge["peak_mib"] < 256


def test_fifty_kills_at_any_moment_and_the_bytes_are_the_same(tmp_path: Path) -> None:
    layout = layout_of(1500, 1700, 3, 64)
    expected = sha256_of(made(tmp_path / "expected", layout, layers_of(layout)))
    rng, n_killed, n_finished = np.random.default_rng(0), 0, 0
    while n_killed < 50:
        with subprocess.Popen(
            [sys.executable, "-c", KILLED, str(tmp_path)], cwd=CHECKOUT, stdout=subprocess.PIPE, text=True
        ) as writer:
            assert writer.stdout is not None
            assert writer.stdout.readline() == "ready\n"
            time.sleep(rng.uniform(0.0, 0.4))
            writer.send_signal(signal.SIGKILL)
            n_killed += writer.wait() == -signal.SIGKILL
        if (tmp_path / "map.tif").exists():
            assert sha256_of(tmp_path / "map.tif") == expected
            (tmp_path / "map.tif").unlink()
            (tmp_path / "journal" / "blocks.journal").unlink()
            n_finished += 1
    subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], cwd=CHECKOUT, check=True, timeout=60)
    assert sha256_of(tmp_path / "map.tif") == expected
    keep("kills", {"killed": n_killed, "finished_between": n_finished})
