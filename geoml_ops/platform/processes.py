"""Long-running children: started with a log file, stopped for certain, never orphaned."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

GRACE_S = 20.0


@dataclass
class Child:
    """A process with a name, its log and what to say when it dies."""

    name: str
    popen: subprocess.Popen[bytes]
    log: Path

    @property
    def alive(self) -> bool:
        """True while the process runs."""
        return self.popen.poll() is None

    def last_lines(self, n: int = 12) -> str:
        """Returns the end of its log."""
        lines = self.log.read_text(errors="replace").splitlines() if self.log.exists() else []
        return "\n".join(lines[-n:])


def start(name: str, command: Sequence[str], env: Mapping[str, str], log: Path, folder: Path) -> Child:
    """Starts a command in a session of its own, output appended to ``log``, on a leash held by this thread's process.

    Output goes to a file and not to a pipe: a full or broken pipe has hung such servers at their end.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    leash = [sys.executable, "-m", "geoml_ops.platform.leash"]
    with log.open("ab") as stream:
        popen = subprocess.Popen(
            [*leash, *command],
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.STDOUT,
            env={**env, "GEOML_LEASH_PARENT": str(os.getpid())},
            cwd=folder,
            start_new_session=True,
        )
    return Child(name, popen, log)


def stop(children: Iterable[Child], grace_s: float = GRACE_S) -> list[str]:
    """Sends each leader one SIGTERM, waits, then kills what is left of its family; returns who had to be killed.

    One signal, to the leader only: a second one has deadlocked Airflow's components in their logger.
    """
    children = list(children)
    families = {child.name: _family(child) for child in children}
    for child in children:
        if child.alive:
            with contextlib.suppress(ProcessLookupError):
                os.kill(child.popen.pid, signal.SIGTERM)
    deadline = time.monotonic() + grace_s
    killed = []
    for child in children:
        try:
            child.popen.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            killed.append(child.name)
    for child in children:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(child.popen.pid, signal.SIGKILL)
        for process in families[child.name]:
            with contextlib.suppress(psutil.Error):
                if process.is_running():
                    process.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.popen.wait(5)
    return killed


def _family(child: Child) -> list[psutil.Process]:
    try:
        return psutil.Process(child.popen.pid).children(recursive=True)
    except psutil.Error:
        return []


def memory_mb(pids: Iterable[int]) -> float:
    """Returns the memory of processes and their descendants in MB, shared pages counted once each way (PSS)."""
    total = 0
    for pid in pids:
        with contextlib.suppress(psutil.Error):
            leader = psutil.Process(pid)
            for process in (leader, *leader.children(recursive=True)):
                with contextlib.suppress(psutil.Error):
                    info = process.memory_full_info()
                    total += getattr(info, "pss", 0) or info.rss
    return total / 1e6


def port_is_free(port: int) -> bool:
    """True when nothing listens on this port of the loopback address."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def free_port(preferred: int = 0, taken: Iterable[int] = ()) -> int:
    """Returns ``preferred`` if nobody has it, otherwise a port that the system says is free."""
    taken = set(taken)
    if preferred and preferred not in taken and port_is_free(preferred):
        return preferred
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
        if port not in taken:
            return port
