from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from geoml_ops.platform.locks import only_one

HOLDER = """
import sys, time
from pathlib import Path
from geoml_ops.platform.locks import only_one
with only_one(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""

ADDER = """
import sys
from pathlib import Path
from geoml_ops.platform.locks import only_one
counter = Path(sys.argv[1])
for _ in range(20):
    with only_one(counter.with_suffix(".lock")):
        counter.write_text(str(int(counter.read_text()) + 1))
"""


def test_a_lock_keeps_others_out_and_dies_with_its_holder(tmp_path: Path) -> None:
    lock = tmp_path / "store" / "write.lock"
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, str(lock)], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    assert holder.stdout.readline().strip() == "held"
    with pytest.raises(TimeoutError, match="held by another process"), only_one(lock, timeout_s=0.2):
        pass
    os.kill(holder.pid, signal.SIGKILL)
    holder.wait(10)
    holder.stdout.close()
    began = time.monotonic()
    with only_one(lock, timeout_s=5):
        assert time.monotonic() - began < 2
    assert lock.exists(), "the file stays: removing it would let two holders in"


def test_a_failed_block_gives_the_lock_back(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), only_one(tmp_path / "lock"):
        raise ZeroDivisionError
    with only_one(tmp_path / "lock", timeout_s=0):
        pass


def test_no_addition_is_lost_between_processes(tmp_path: Path) -> None:
    counter = tmp_path / "counter"
    counter.write_text("0")
    adders = [subprocess.Popen([sys.executable, "-c", ADDER, str(counter)]) for _ in range(3)]
    assert [adder.wait(30) for adder in adders] == [0, 0, 0]
    assert counter.read_text() == "60"
