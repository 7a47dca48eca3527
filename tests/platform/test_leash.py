from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the death signal is Linux's own")

SUPERVISOR = """
import os, sys, time
from pathlib import Path
from geoml_ops.platform.processes import start
folder = Path(sys.argv[1])
child = start("server", [sys.executable, "-c", "import time; time.sleep(60)"], os.environ, folder / "log", folder)
print(child.popen.pid, flush=True)
time.sleep(60)
"""


def test_a_child_ends_when_its_parent_is_killed(tmp_path: Path) -> None:
    parent = subprocess.Popen([sys.executable, "-c", SUPERVISOR, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    child = psutil.Process(int(parent.stdout.readline()))
    # The leash is on once the child has become its command.
    deadline = time.monotonic() + 15
    while "geoml_ops.platform.leash" in child.cmdline() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert child.is_running()
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait(10)
    parent.stdout.close()
    psutil.wait_procs([child], timeout=10)
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE


def test_the_leash_becomes_its_command(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "geoml_ops.platform.leash", sys.executable, "-c", "import os; print(os.getpid())"]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=tmp_path)
    said, _ = child.communicate(timeout=15)
    assert child.returncode == 0
    assert int(said) == child.pid


def test_a_child_whose_parent_is_gone_already_does_not_start(tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    command = [sys.executable, "-m", "geoml_ops.platform.leash", "touch", str(mark)]
    done = subprocess.run(
        command, env={**os.environ, "GEOML_LEASH_PARENT": "1"}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "parent ended" in done.stderr
    assert not mark.exists()
