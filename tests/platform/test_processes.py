from __future__ import annotations

import os
import socket
import sys
import time
from pathlib import Path

import psutil
import pytest

from geoml_ops.platform.processes import Child, free_port, memory_mb, port_is_free, start, stop

FAMILY = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=True)
print("child", child.pid, flush=True)
time.sleep(60)
"""

DEAF = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("deaf", flush=True)
time.sleep(60)
"""

COUNTING = """
import signal, sys, time
def leave(number, frame):
    print("signal", number, flush=True)
    time.sleep(0.5)
    sys.exit(0)
signal.signal(signal.SIGTERM, leave)
print("ready", flush=True)
time.sleep(60)
"""


def launch(name: str, script: str, folder: Path) -> Child:
    child = start(name, [sys.executable, "-c", script], os.environ, folder / "logs" / f"{name}.log", folder)
    deadline = time.monotonic() + 15
    while not child.last_lines() and time.monotonic() < deadline:
        assert child.alive, child.last_lines()
        time.sleep(0.02)
    return child


def test_output_goes_to_the_log_and_an_early_end_is_seen(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "import sys; [print(i) for i in range(30)]; sys.exit('no port')"]
    child = start("brief", command, os.environ, tmp_path / "deep" / "brief.log", tmp_path)
    assert child.popen.wait(15) == 1
    assert not child.alive
    assert child.last_lines(3).splitlines()[-1] in ("no port", "29")
    assert len(child.last_lines(5).splitlines()) == 5
    assert stop([child]) == []


def test_a_stopped_child_takes_its_family_with_it_even_one_that_left_its_session(tmp_path: Path) -> None:
    child = launch("family", FAMILY, tmp_path)
    grandchild = psutil.Process(int(child.last_lines().split()[-1]))
    assert os.getsid(grandchild.pid) != os.getsid(child.popen.pid)
    assert stop([child], grace_s=5) == []
    psutil.wait_procs([grandchild], timeout=5)
    assert not grandchild.is_running() or grandchild.status() == psutil.STATUS_ZOMBIE


def test_one_that_hears_no_signal_is_killed_and_named(tmp_path: Path) -> None:
    deaf = launch("deaf", DEAF, tmp_path)
    began = time.monotonic()
    assert stop([deaf], grace_s=0.5) == ["deaf"]
    assert time.monotonic() - began < 5
    assert not deaf.alive


def test_each_leader_gets_one_signal_and_its_time_to_leave(tmp_path: Path) -> None:
    children = [launch(f"server-{i}", COUNTING, tmp_path) for i in range(2)]
    began = time.monotonic()
    assert stop(children, grace_s=10) == []
    assert time.monotonic() - began < 5, "children leave side by side, not one after the other"
    for child in children:
        assert child.popen.returncode == 0
        assert child.last_lines().splitlines() == ["ready", "signal 15"]
    assert stop(children) == []


def test_memory_counts_descendants(tmp_path: Path) -> None:
    child = launch("family", FAMILY, tmp_path)
    try:
        together = memory_mb([child.popen.pid])
        alone = psutil.Process(child.popen.pid).memory_full_info()
        assert together > (getattr(alone, "pss", 0) or alone.rss) / 1e6 > 1
    finally:
        stop([child], grace_s=2)
    assert memory_mb([child.popen.pid]) == 0


def test_a_taken_port_is_not_handed_out() -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        assert not port_is_free(port)
        assert free_port(port) != port
    assert port_is_free(port)
    assert free_port(port) == port
    assert free_port(port, taken=[port]) != port


def test_a_command_that_does_not_exist_ends_with_a_reason(tmp_path: Path) -> None:
    child = start("absent", ["/no/such/program"], os.environ, tmp_path / "absent.log", tmp_path)
    assert child.popen.wait(15) != 0
    assert "No such file" in child.last_lines()


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_child_reads_nothing_from_the_terminal(tmp_path: Path) -> None:
    child = launch("family", FAMILY, tmp_path)
    try:
        assert os.readlink(f"/proc/{child.popen.pid}/fd/0") == "/dev/null"
        assert os.getsid(child.popen.pid) == child.popen.pid, "Ctrl-C in a terminal must not reach it"
    finally:
        stop([child], grace_s=2)
