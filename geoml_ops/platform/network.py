"""Proof that nothing leaves the machine: a network with loopback only, and a witness in every process."""

from __future__ import annotations

import ctypes
import fcntl
import ipaddress
import json
import os
import socket
import struct
import sys
from pathlib import Path
from typing import Any

CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000
SIOCSIFFLAGS, IFF_UP, IFF_RUNNING = 0x8914, 0x1, 0x40
WITNESS = "GEOML_NETWORK_WITNESS"


def go_alone() -> bool:
    """Moves this process, and every child from now on, into a network that has loopback and nothing else.

    Must be called before any thread is started. Returns False where the kernel does not allow it
    (not Linux, or namespaces switched off); nothing has changed then.
    """
    if sys.platform != "linux":
        return False
    uid, gid = os.geteuid(), os.getegid()
    flags = CLONE_NEWNET if uid == 0 else CLONE_NEWUSER | CLONE_NEWNET
    if ctypes.CDLL(None, use_errno=True).unshare(flags) != 0:
        return False
    if uid != 0:
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{uid} {uid} 1")
        Path("/proc/self/gid_map").write_text(f"{gid} {gid} 1")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as handle:
        fcntl.ioctl(handle, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", IFF_UP | IFF_RUNNING))
    return True


def is_local(address: Any) -> bool:
    """True for loopback addresses, Unix sockets and unspecified hosts; names other than localhost are not local."""
    if not isinstance(address, tuple):
        return True
    host = address[0]
    if isinstance(host, bytes):
        host = host.decode(errors="replace")
    if host in (None, "", "localhost"):
        return True
    try:
        ip = ipaddress.ip_address(str(host).split("%")[0])
    except ValueError:
        return str(host) == socket.gethostname()
    return ip.is_loopback or ip.is_unspecified


def watch_connections() -> None:
    """Installs a witness in this process: an attempt to reach beyond loopback is written down and refused.

    The file is named by the variable ``GEOML_NETWORK_WITNESS``; without it nothing is installed.
    """
    target = os.environ.get(WITNESS)
    if not target:
        return

    def witness(event: str, arguments: tuple[Any, ...]) -> None:
        if event in ("socket.connect", "socket.sendto", "socket.sendmsg"):
            address = arguments[1]
        elif event == "socket.getaddrinfo":
            address = (arguments[0], arguments[1])
        else:
            return
        if is_local(address):
            return
        line = json.dumps({"event": event, "address": repr(address), "command": sys.argv[:3], "pid": os.getpid()})
        handle = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            os.write(handle, (line + "\n").encode())
        finally:
            os.close(handle)
        raise PermissionError(f"this process may only reach loopback, not {address!r}")

    sys.addaudithook(witness)
