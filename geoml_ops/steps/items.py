"""The STAC item of a map: light enough for the service."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

from geoml_ops.adapters import stac
from geoml_ops.adapters.nouns import Shelf
from geoml_ops.adapters.predictions import PredictionLog
from geoml_ops.core.errors import NotFound
from geoml_ops.core.flow import Bundle, Prediction, Scene
from geoml_ops.core.noun import FileRef
from geoml_ops.steps.places import Places


def described(places: Places, prediction: Prediction, files: Mapping[str, FileRef]) -> dict[str, Any]:
    """Returns the STAC item of a map and of the files beside it.

    Args:
        places: where nouns and the log are kept.
        prediction: whose map it is.
        files: by role, as :func:`geoml_ops.adapters.stac.map_item` names them.

    Raises:
        NotFound: the prediction was never logged.
        Refused: the item breaks the STAC schemas.
    """
    shelf = Shelf(places.nouns)
    made = next((line.at for line in PredictionLog(places.predictions).lines() if line.id == prediction.id), None)
    if made is None:
        raise NotFound(f"{prediction.id} was never logged.", "classify the raster again")
    return stac.map_item(
        prediction,
        shelf.get(Bundle, prediction.bundle),
        [shelf.get(Scene, scene) for scene in prediction.scenes],
        made=made,
        files=files,
        version=version("geoml-ops"),
    )
