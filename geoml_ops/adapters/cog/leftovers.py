"""Journals that nobody comes back to."""

from __future__ import annotations

import os
import shutil
from datetime import UTC, datetime
from pathlib import Path

from geoml_ops.adapters.cog.journal import FILE, held
from geoml_ops.core.errors import Conflict


def remove_left(folder: Path, before: datetime) -> int:
    """Removes the journals in a folder that were last written to before a time and that nobody holds; returns how many.

    A journal holds nothing that cannot be made again: whoever asks for its map begins afresh.

    Args:
        folder: with a folder for each journal.
        before: aware.
    """
    return sum(_removed(journal, before) for journal in sorted(folder.glob("*")) if journal.is_dir())


def _removed(journal: Path, before: datetime) -> bool:
    path = journal / FILE
    if not path.is_file() or path.is_symlink() or _last(path) >= before:
        return False
    try:
        file = held(path)
    except Conflict:
        return False
    try:
        # Somebody may have gone on with it, and let go of it, since its time was read.
        if _last(path) >= before:
            return False
        shutil.rmtree(journal, ignore_errors=True)
        return not path.exists()
    finally:
        os.close(file)


def _last(path: Path) -> datetime:
    return datetime.fromtimestamp(path.stat().st_mtime, UTC)
