"""How rasterio is to behave: one thread, nothing beside the file, no error passed over."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from geoml_ops.core.errors import GeomlError, StorageFull
from geoml_ops.platform.space import is_full

QUIET: dict[str, Any] = {
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
    "GDAL_PAM_ENABLED": "NO",
    "GDAL_NUM_THREADS": "1",
    "GTIFF_IGNORE_READ_ERRORS": "NO",
}


@contextmanager
def full_disk_named(path: Path) -> Iterator[None]:
    """Turns a failure for want of space into one that says so.

    Raises:
        StorageFull: the disk that holds ``path`` is full.
    """
    try:
        yield
    except GeomlError:
        raise
    # A full disk comes through GDAL as any of its errors (3.10), and through the system as an OSError.
    except Exception as error:
        if is_full(error, path.parent):
            raise StorageFull(f"No space left while writing {path.name}.", "free some space, then ask again") from error
        raise
