"""A map of ours cut into sample units, strip by strip: class, confidence, applicability, and whether drift is there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import shapely
from numpy.typing import NDArray

from geoml_ops.adapters import raster
from geoml_ops.adapters.cog.layout import CLASS, CONFIDENCE, DISSIMILARITY
from geoml_ops.adapters.nouns import Shelf
from geoml_ops.adapters.predictions import MAP, PredictionLog
from geoml_ops.adapters.raster.classified import MAP_LIMITS
from geoml_ops.core.errors import BadInput, NotFound, Refused
from geoml_ops.core.flow import Drift, Prediction
from geoml_ops.core.grid import Bounds, Grid, Window
from geoml_ops.domain.labelling import LARGEST_UNIT_PX, UnitLayers, units_in, with_spots
from geoml_ops.steps.labelled import on_ground
from geoml_ops.steps.places import Places
from geoml_ops.steps.surveying import ClassMap, survey

_ROWS_PX, _PART_PX = 512, 1 << 21


@dataclass(frozen=True)
class UnitMap:
    """A map of ours, cut into sample units."""

    mapped: ClassMap
    bands: tuple[int | None, int | None, int | None]
    edge: int
    spots: tuple[Bounds, ...]

    @property
    def grid(self) -> Grid:
        """One pixel per unit."""
        whole, edge = self.mapped.facts.grid, self.edge
        return Grid(
            crs=whole.crs,
            left=whole.left,
            top=whole.top,
            pixel_m=whole.pixel_m * edge,
            width=whole.width // edge,
            height=whole.height // edge,
        )

    def strips(self) -> Iterator[tuple[int, UnitLayers]]:
        """Yields the first row of units and the layers of strips, from north to south."""
        whole, edge = self.mapped.facts.grid, self.edge
        step, part = max(1, _ROWS_PX // edge) * edge, max(1, _PART_PX // (whole.width * edge)) * edge
        there = [band for band in self.bands if band is not None]
        for row in range(0, self.grid.height * edge, step):
            window = Window(col=0, row=row, width=whole.width, height=min(step, whole.height - row))
            pixels = raster.read(self.mapped.path, window, there, MAP_LIMITS)
            # What is computed of a pixel takes many times its bytes, so that is done in parts.
            for top in range(0, window.height // edge * edge, part):
                yield (row + top) // edge, self._units(pixels[:, top : top + part], (row + top) // edge)

    def _units(self, pixels: NDArray[np.uint8], first: int) -> UnitLayers:
        read = iter(pixels)
        classes, percent, far = (None if band is None else next(read) for band in self.bands)
        assert classes is not None
        return with_spots(units_in(classes, percent, far, self.edge), self.grid, first, self.spots)


def largest_of(places: Places, drift: Drift) -> Prediction:
    """Returns the prediction with most mapped pixels of those that a drift compares.

    Raises:
        BadInput: it compares none.
    """
    shelf = Shelf(places.nouns)
    found = [shelf.get(Prediction, i) for i in drift.predictions]
    if not found:
        raise BadInput(f"{drift.id} compares no prediction.", "name the prediction to ask about")
    return max(found, key=lambda p: (p.valid_share * p.grid.width * p.grid.height, p.id))


def map_of(places: Places, prediction: Prediction) -> Path:
    """Returns where the map of a prediction is.

    Raises:
        NotFound: it is gone.
    """
    path = PredictionLog(places.predictions).home(prediction.id) / MAP
    if not path.exists():
        raise NotFound(f"The map of {prediction.id} is gone.", "classify the raster again")
    return path


def unit_map(places: Places, prediction: Prediction, drift: Drift | None, edge: int) -> UnitMap:
    """Returns the map of a prediction, cut into units.

    Args:
        places: where predictions are kept.
        prediction: that made the map.
        drift: whose hot-spots are apart from the rest; None for none.
        edge: of a unit in pixels.

    Raises:
        BadInput: units that the map does not hold.
        NotFound: the map is gone.
        Refused: it was altered.
    """
    if not 1 <= edge <= LARGEST_UNIT_PX:
        raise BadInput(f"A unit of {edge} pixels cannot be drawn.", f"give 1 to {LARGEST_UNIT_PX}")
    path = map_of(places, prediction)
    mapped = survey(path)
    if mapped.file.sha256 != prediction.map.sha256:
        raise Refused(f"The map of {prediction.id} was altered.", "classify the raster again")
    grid, names = mapped.facts.grid, mapped.facts.names
    if grid.width < edge or grid.height < edge:
        raise BadInput(f"The map has {grid.width} x {grid.height} pixels; a unit has {edge}.", "ask for smaller units")
    place = {name: i for i, name in reversed(list(enumerate(names)))}
    bands = (place.get(CLASS, 0), place.get(CONFIDENCE), place.get(DISSIMILARITY))
    return UnitMap(mapped, bands, edge, _spots(drift, grid))


def _spots(drift: Drift | None, grid: Grid) -> tuple[Bounds, ...]:
    """Returns the hot-spots of a drift in the CRS of a map; where that turns them, what is around them."""
    if drift is None or drift.where is None:
        return ()
    boxes = np.array([shapely.box(*spot.bounds.as_tuple()) for spot in drift.where.spots], dtype=object)
    moved = on_ground(boxes, drift.where.crs, grid.crs, grid.bounds)
    edges = [shapely.bounds(box).tolist() for box in moved if not shapely.is_empty(box)]
    return tuple(Bounds(left=w, bottom=s, right=e, top=n) for w, s, e, n in edges if w < e and s < n)
