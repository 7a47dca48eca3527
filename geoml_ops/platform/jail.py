"""Threads that can reach a few folders and nothing else, whatever the code they run believes: Landlock.

A decoder that is made to open another file or a connection by a file from a stranger fails in the kernel, also where
the fault in it is one that nobody knows yet. Landlock (Linux 5.13 and later; connections from 6.7 on) needs no
privilege, cannot be undone, and binds one thread and all threads and processes that it starts later; the other threads
of the process stay free. So the threads that read uploads are jailed and the one that asks the registry is not.

Memory is not bounded here: a limit on the address space binds the whole process, and a service that shares it with its
model would fail somewhere else first. Give the container a limit instead.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import ctypes
import os
import struct
import sys
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from geoml_ops.platform.log import logger

# Numbers of the calls are the same on every architecture.
_CREATE, _ADD, _RESTRICT = 444, 445, 446
_VERSION, _RULE_PATH, _NO_NEW_PRIVILEGES = 1, 1, 38
# Rights over files and folders in the order of their bits (linux/landlock.h).
_WRITE_FILE, _READ_FILE, _READ_DIR, _REMOVE_DIR, _REMOVE_FILE = 1 << 1, 1 << 2, 1 << 3, 1 << 4, 1 << 5
_MAKE_DIR, _MAKE_REGULAR, _RENAME_ACROSS, _TRUNCATE, _CONTROL = 1 << 7, 1 << 8, 1 << 13, 1 << 14, 1 << 15
_RIGHTS_BY_VERSION = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 4: (1 << 15) - 1, 5: (1 << 16) - 1}
_FILE_ONLY = _WRITE_FILE | _READ_FILE | _TRUNCATE | _CONTROL
_READS = _READ_FILE | _READ_DIR
_WRITES = _READS | _WRITE_FILE | _TRUNCATE | _REMOVE_DIR | _REMOVE_FILE | _MAKE_DIR | _MAKE_REGULAR | _RENAME_ACROSS
_NETWORK = 0b11
_CONNECTIONS_FROM = 4
_log = logger("jail")
T = TypeVar("T")


class NoJail(RuntimeError):
    """This system cannot confine a thread, or would not."""


def available() -> int:
    """Returns the version of Landlock that this kernel speaks; 0 where there is none."""
    if sys.platform != "linux":
        return 0
    return max(0, int(_kernel().syscall(_CREATE, None, 0, _VERSION)))


def closes_connections() -> bool:
    """Says whether a jail here also refuses TCP connections."""
    return available() >= _CONNECTIONS_FROM


def installed() -> tuple[Path, ...]:
    """Returns what a Python program reads besides its data: itself, its libraries, the system's, and a few devices."""
    own = Path(__file__).resolve().parent.parent
    system = ("/usr", "/lib", "/lib64", "/etc/localtime", "/etc/ld.so.cache", "/sys/devices/system")
    # Not all of /proc/self: a process's environment may hold its secrets.
    measures = [f"/proc/self/{name}" for name in ("stat", "statm", "status", "maps")]
    measures += [f"/proc/{name}" for name in ("cpuinfo", "meminfo", "stat")]
    devices = ("/dev/urandom", "/dev/random", "/dev/zero")
    return (own, Path(sys.prefix), Path(sys.base_prefix), *map(Path, (*system, *measures, *devices)))


def jailed(*, read: Iterable[Path], write: Iterable[Path], network: bool = False) -> None:
    """Confines the calling thread, and all that it starts, for ever.

    Args:
        read: files and folders, with all below them, that may be read; those that are not there are left out.
        write: folders that may be read and written; they are made where they are not there.
        network: True leaves TCP connections alone.

    Raises:
        NoJail: the kernel has no Landlock, or refused; the thread is as free as before.
    """
    version = available()
    if not version:
        raise NoJail("this kernel has no Landlock")
    handled = _RIGHTS_BY_VERSION.get(version, _RIGHTS_BY_VERSION[5])
    closed = 0 if network or version < _CONNECTIONS_FROM else _NETWORK
    attributes = struct.pack("QQ", handled, closed) if version >= _CONNECTIONS_FROM else struct.pack("Q", handled)
    rules = _called(_CREATE, attributes, len(attributes), 0)
    try:
        for path in read:
            _allow(rules, path, _READS & handled)
        for path in write:
            with contextlib.suppress(OSError):  # where nothing can be made there is nothing to allow
                path.mkdir(parents=True, exist_ok=True)
            _allow(rules, path, _WRITES & handled)
        _allow(rules, Path(os.devnull), (_READ_FILE | _WRITE_FILE) & handled)
        for device in Path("/dev").glob("nvidia*"):
            _allow(rules, device, (_READS | _WRITE_FILE | _CONTROL) & handled)
        if _kernel().prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0):
            raise NoJail("the kernel keeps its right to grant privileges")
        _called(_RESTRICT, rules, 0)
    finally:
        os.close(rules)


def _allow(rules: int, path: Path, rights: int) -> None:
    try:
        handle = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    try:
        rights = rights if path.is_dir() else rights & _FILE_ONLY
        _called(_ADD, rules, _RULE_PATH, struct.pack("=Qi", rights, handle), 0)
    finally:
        os.close(handle)


def _kernel() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _called(number: int, *arguments: int | bytes) -> int:
    given = [ctypes.c_char_p(a) if isinstance(a, bytes) else ctypes.c_long(a) for a in arguments]
    answer = int(_kernel().syscall(ctypes.c_long(number), *given))
    if answer < 0:
        raise NoJail(f"call {number} of Landlock failed: {os.strerror(ctypes.get_errno())}")
    return answer


class JailedPool(ThreadPoolExecutor):
    """Threads that can reach a few folders and nothing else.

    Where the kernel has no Landlock the threads work as they are, :attr:`confined` is False and the log says so once.

    Attributes:
        confined: whether its threads are jailed.
    """

    def __init__(self, n_threads: int, *, read: Iterable[Path], write: Iterable[Path], name: str = "jailed") -> None:
        """Makes the pool; threads start with the first work.

        Args:
            n_threads: at most.
            read: as in :func:`jailed`, beside what is installed; folders that are not there are made, so that what
                comes into them later is seen.
            write: as in :func:`jailed`.
            name: of its threads.
        """
        self.confined = available() > 0
        if not self.confined:
            _log.warning("no jail", reason="this kernel has no Landlock", then="the container has to confine")
        may = (*installed(), *(read := tuple(read))), tuple(write)
        for path in read:
            with contextlib.suppress(OSError):
                path.mkdir(parents=True, exist_ok=True)
        super().__init__(n_threads, thread_name_prefix=name, initializer=_enter, initargs=(self.confined, *may))

    async def run(self, work: Callable[[], T]) -> T:
        """Returns what ``work`` returns in one of the threads.

        A caller that is cancelled waits for the end of the work all the same: files are not taken from under it.
        """
        running = asyncio.get_running_loop().run_in_executor(self, contextvars.copy_context().run, work)
        try:
            return await asyncio.shield(running)
        except asyncio.CancelledError:
            await asyncio.wait([running])
            raise


def _enter(confined: bool, read: tuple[Path, ...], write: tuple[Path, ...]) -> None:
    if confined:
        jailed(read=read, write=write)
