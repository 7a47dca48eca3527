"""Witnesses beside a fuzz run: files that nobody may open, and a port where nobody may call."""

from __future__ import annotations

import ctypes
import os
import socket
import threading
from collections.abc import Sequence
from pathlib import Path

_OPENED, _READ = 0x20, 0x1
_NON_BLOCKING = 0o4000


class Canaries:
    """Files that are watched by the kernel: whoever opens one is heard."""

    def __init__(self, paths: Sequence[Path]) -> None:
        kernel = ctypes.CDLL(None, use_errno=True)
        self._handle = int(kernel.inotify_init1(_NON_BLOCKING))
        for path in paths:
            if kernel.inotify_add_watch(self._handle, str(path).encode(), _OPENED | _READ) < 0:
                raise OSError(ctypes.get_errno(), "no watch on a canary")

    def heard(self) -> int:
        """Returns how many bytes the kernel has to tell, 0 for silence."""
        try:
            return len(os.read(self._handle, 1 << 16))
        except BlockingIOError:
            return 0


class Listener:
    """A port on loopback that remembers who called."""

    def __init__(self) -> None:
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._server.getsockname()[1])
        self.calls: list[bytes] = []
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        while True:
            try:
                line, _ = self._server.accept()
            except OSError:
                return
            line.settimeout(1)
            try:
                self.calls.append(line.recv(200))
            except OSError:
                self.calls.append(b"")
            line.close()

    def close(self) -> None:
        """Stops listening."""
        self._server.close()
