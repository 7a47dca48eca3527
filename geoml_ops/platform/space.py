"""Whether a failure means that the disk is full, whatever the tool in between made of it."""

from __future__ import annotations

import errno
import shutil
from pathlib import Path

_LEAST_FREE = 64 << 10
_WORDS = ("no space left", "disk is full", "disk quota exceeded")


def is_full(error: BaseException, folder: Path) -> bool:
    """Says whether ``error`` was raised because nothing more can be written to ``folder``.

    GDAL prints the reason and raises another one, so the disk itself is asked too: call it before the
    half-written file is removed.
    """
    seen: set[int] = set()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        if isinstance(cause, OSError) and cause.errno in (errno.ENOSPC, errno.EDQUOT):
            return True
        if any(words in str(cause).lower() for words in _WORDS):
            return True
        cause = cause.__cause__ or cause.__context__
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free < _LEAST_FREE
