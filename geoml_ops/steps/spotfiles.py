"""A drift map on disk: a raster, squares and a picture under the dashboard, each whole or absent."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from geoml_ops.adapters import cog, plots, vector
from geoml_ops.adapters.crs import is_metric
from geoml_ops.core.noun import FileRef
from geoml_ops.domain import hotspots
from geoml_ops.domain.hotspots import Departures, Local
from geoml_ops.platform.files import sha256_of, whole_file
from geoml_ops.steps.drop import or_storage_full
from geoml_ops.steps.places import Places

MAPS, LAYER = "maps", "tiles"


@dataclass(frozen=True, eq=False)
class Drawing:
    """What a drift map shows.

    Attributes:
        crs: of the tiles.
        departures: how far each tile is from the usual.
        tested: what neighbours say of each.
        numbers: ``(n,)`` number of the hot-spot that each tile is in, from 1; 0 for none.
        alarms: for the first hot-spots, whether it is an alarm; further ones are not outlined.
        title: above the picture.
    """

    crs: str
    departures: Departures
    tested: Local
    numbers: NDArray[np.int64]
    alarms: tuple[bool, ...]
    title: str


def write(places: Places, name: str, drawing: Drawing) -> tuple[FileRef, FileRef, FileRef]:
    """Returns raster, squares and picture, written; their paths are relative to the dashboard.

    The same drawing gives the same bytes.

    Args:
        places: where things are.
        name: of the files, without ending.
        drawing: what they show.

    Raises:
        StorageFull: no space left; older files of that name are whole.
    """
    home = places.dashboard / MAPS
    raster, squares, picture = (home / f"{name}.{ending}" for ending in ("tif", "gpkg", "png"))
    with or_storage_full(places):
        _write_raster(raster, drawing)
        _write_squares(squares, drawing)
        with whole_file(picture) as part:
            part.write_bytes(_picture(drawing))
    return _ref(places, raster), _ref(places, squares), _ref(places, picture)


def _write_raster(path: Path, drawing: Drawing) -> None:
    d = drawing.departures
    layers, grid, tags = hotspots.pixels(d.lattice, drawing.crs, d.largest, drawing.tested)
    more = np.full((1 + len(d.bands), *grid.shape), np.nan, dtype=np.float32)
    for layer, column in zip(more, (drawing.numbers.astype(np.float64), *d.signed.T), strict=True):
        layer[d.lattice.rows, d.lattice.cols] = column
    names = [*hotspots.BANDS, "spot", *d.bands]
    cog.write_numbers(path, np.concatenate([layers, more]), grid, names, tags)


def _write_squares(path: Path, drawing: Drawing) -> None:
    d = drawing.departures
    bands: dict[str, NDArray[np.float64]] = {f"z_{band}": d.signed[:, i] for i, band in enumerate(d.bands)}
    counts = {"spot": drawing.numbers.astype(np.float64), "n_normal": d.n_normal.astype(np.float64)}
    columns = hotspots.columns(d.largest, drawing.tested, counts | bands)
    vector.write_patches(path, hotspots.squares(d.lattice), columns, drawing.crs, LAYER)


def _picture(drawing: Drawing) -> bytes:
    d = drawing.departures
    layers, grid, _ = hotspots.pixels(d.lattice, drawing.crs, d.largest, drawing.tested)
    spots = np.zeros(grid.shape, dtype=np.int64)
    spots[d.lattice.rows, d.lattice.cols] = drawing.numbers
    metric = is_metric(drawing.crs)
    return plots.drift_map(layers[0], spots, drawing.alarms, grid, metric=metric, title=drawing.title)


def _ref(places: Places, path: Path) -> FileRef:
    inside = path.relative_to(places.dashboard).as_posix()
    return FileRef(path=inside, sha256=sha256_of(path), size=path.stat().st_size)
