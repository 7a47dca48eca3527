"""A grid cut into strips of whole rows, so that work on large scenes needs little memory beyond the answer."""

from __future__ import annotations

from collections.abc import Iterator

from geoml_ops.core.grid import Grid, Window

STRIP_PIXELS = 1 << 21


def strips(grid: Grid, pixels: int = STRIP_PIXELS) -> Iterator[Window]:
    """Yields windows of whole rows from north to south, each of about ``pixels`` pixels and at least one row."""
    n_rows = max(1, min(pixels // grid.width, grid.height))
    for row in range(0, grid.height, n_rows):
        yield Window(col=0, row=row, width=grid.width, height=min(n_rows, grid.height - row))
