"""Maps of stored scenes by the champion: what a schedule or a person asks for without handing in a raster."""

from __future__ import annotations

from collections.abc import Sequence

from geoml_ops.adapters.nouns import Shelf
from geoml_ops.adapters.registry import Registry
from geoml_ops.core.errors import BadInput, NotFound, Unavailable
from geoml_ops.core.flow import Prediction, Scene, Version
from geoml_ops.platform.log import logger
from geoml_ops.steps import outputs
from geoml_ops.steps.answering import Model, champion, last_champion
from geoml_ops.steps.classify import BATCH_LIMITS, classify
from geoml_ops.steps.places import Places
from geoml_ops.steps.records import record

_log = logger("classify")


def to_map(places: Places, names: Sequence[str] = ()) -> tuple[str, ...]:
    """Returns ids of the scenes of these names or ids; of all scenes of the newest version where none is named.

    Raises:
        NotFound: there is no version yet, or none of its scenes has one of the names.
    """
    shelf = Shelf(places.nouns)
    versions = list(shelf.all(Version))
    if not versions:
        raise NotFound("There is no version of imagery yet.", "deliver a scene and run `geoml ingest track`")
    stored = [shelf.get(Scene, scene) for scene in versions[-1].scenes]
    known = {word: scene.id for scene in stored for word in (scene.id, scene.name)}
    absent = [name[:60] for name in names if name not in known]
    if absent:
        raise NotFound(
            f"The newest version has no scene {', '.join(absent[:5])}.",
            f"use one of {', '.join(scene.name for scene in stored[:20])}",
        )
    return tuple(dict.fromkeys(known[name] for name in names)) or tuple(scene.id for scene in stored)


def mapped(places: Places, scene_id: str, *, outlines: bool = False, mmu_ha: float = 0.0) -> Prediction:
    """Returns the prediction of a stored scene; map, item and outlines lie under ``places.maps`` by the scene's name.

    Args:
        places: where things are.
        scene_id: of a stored scene.
        outlines: write a GeoPackage beside the map.
        mmu_ha: its minimum mapping unit in hectares.

    Raises:
        BadInput: the scene does not fit the champion: another sensor, or no covariates for its ground.
        NotFound: there is no champion, or the scene's raster is not checked out.
    """
    scene = Shelf(places.nouns).get(Scene, scene_id)
    source = places.store / scene.file.path
    if not source.exists():
        raise NotFound(f"The raster of {scene.name} is not checked out.", "geoml ingest track")
    model = current_champion(places)
    if model.contract.sensor != scene.sensor:
        raise BadInput(
            f"{scene.name} is of {scene.sensor}, the champion reads {model.contract.sensor}.",
            "name scenes of the champion's sensor",
        )
    prediction = classify(places, source, model, name=scene.name, limits=BATCH_LIMITS)
    record(places, model.bundle, prediction)
    out = outputs.hand_over(places, prediction, places.maps / f"{scene.name}.tif")
    beside = [out.with_suffix(".gpkg")] if outlines else []
    for path in beside:
        outputs.outline(places, prediction, path, mmu_ha)
    outputs.item(places, prediction, out, *beside)
    _log.info("mapped", scene=scene.name, prediction=prediction.id, map=out.name)
    return prediction


def current_champion(places: Places) -> Model:
    """Returns the registry's champion; where the registry is silent the one that served last on this machine.

    Raises:
        NotFound: there is none.
        Refused: its files are not what they claim.
    """
    try:
        with Registry(places.tracking_uri) as registry:
            return champion(places, registry)
    except Unavailable as error:
        model = last_champion(places)
        _log.warning("registry silent", reason=str(error), serving=model.release.number)
        return model
