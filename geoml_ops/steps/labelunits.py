"""The units of a label budget as they were drawn, read back from the record of their design."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray

from geoml_ops.adapters.csvfiles import read_sheet
from geoml_ops.adapters.nouns import Shelf
from geoml_ops.core.errors import BadInput
from geoml_ops.core.evidence import LabelPlan
from geoml_ops.core.flow import Bundle, Design, Prediction
from geoml_ops.steps.accuracy import design_of, points_of
from geoml_ops.steps.places import Places


@dataclass(frozen=True)
class Units:
    """Drawn units in the order in which they are labelled; arrays have one entry each.

    Attributes:
        design: that drew them.
        plan: what it says of strata and use.
        prediction: whose map they are of.
        bundle: the model that made it.
        id: their names.
        stratum: of each.
        easting: of the centre.
        northing: of the centre.
        probability: of being drawn.
        mapped: class that the map shows.
        use: ``learning`` or ``judging``.
        confidence: of the map (0 to 1), NaN where it does not say.
    """

    design: Design
    plan: LabelPlan
    prediction: Prediction
    bundle: Bundle
    id: tuple[str, ...]
    stratum: tuple[str, ...]
    easting: NDArray[np.float64]
    northing: NDArray[np.float64]
    probability: NDArray[np.float64]
    mapped: tuple[str, ...]
    use: tuple[str, ...]
    confidence: NDArray[np.float64]

    @property
    def crs(self) -> str:
        """Of eastings and northings."""
        return self.prediction.grid.crs

    @property
    def edge_m(self) -> float:
        """Of a unit, in metres."""
        return self.prediction.grid.pixel_m * self.plan.unit_px

    @property
    def squares(self) -> NDArray[np.object_]:
        """``(n,)`` the ground of each unit."""
        half = self.edge_m / 2
        edges = self.easting - half, self.northing - half, self.easting + half, self.northing + half
        return np.asarray(shapely.box(*edges), dtype=object)


def units_of(places: Places, design_id: str) -> Units:
    """Returns the units of a design that asks for labels.

    Raises:
        NotFound: there is no such design, or what it was made from is gone.
        BadInput: the design only asks about the accuracy of a map.
        Refused: its record was altered.
    """
    design, shelf = design_of(places, design_id), Shelf(places.nouns)
    if design.asked is None:
        raise BadInput(
            f"{design.id} asks how accurate a map is, and is no label budget.",
            f"geoml accuracy estimate {design.id} POINTS",
        )
    prediction = shelf.get(Prediction, design.prediction)
    sheet = read_sheet(points_of(places, design))
    told = sheet.texts("confidence")
    return Units(
        design=design,
        plan=design.asked,
        prediction=prediction,
        bundle=shelf.get(Bundle, prediction.bundle),
        id=sheet.texts("id"),
        stratum=sheet.texts("stratum"),
        easting=sheet.numbers("easting"),
        northing=sheet.numbers("northing"),
        probability=sheet.numbers("inclusion_probability"),
        mapped=sheet.texts("map"),
        use=sheet.texts("use"),
        confidence=np.array([float(cell) / 100 if cell else np.nan for cell in told]),
    )
