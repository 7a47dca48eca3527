"""Locks between processes of one machine; a lock dies with its holder."""

from __future__ import annotations

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def only_one(path: Path, timeout_s: float = 600.0) -> Iterator[None]:
    """Holds the lock file ``path`` while the block runs.

    Raises:
        TimeoutError: somebody else held it for all of ``timeout_s``.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + timeout_s
    with path.open("w") as stream:
        while True:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise TimeoutError(f"{path} was held by another process for {timeout_s:.0f} s") from None
                time.sleep(0.05)
        yield
