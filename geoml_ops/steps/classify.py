"""Classify: which model answers, and a raster through it into a map with its evidence.

The service, and whatever else answers requests, calls these functions and nothing beside them.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoml_ops.adapters import cog, png, raster
from geoml_ops.adapters.nouns import Shelf
from geoml_ops.adapters.predictions import MAP, PICTURE, SKETCHES, PredictionLog
from geoml_ops.adapters.raster import RasterFacts
from geoml_ops.core.bands import Contract, Radiometry, to_contract
from geoml_ops.core.errors import BadInput, NotFound
from geoml_ops.core.flow import Bundle, Prediction, Scene
from geoml_ops.core.grid import Grid
from geoml_ops.core.noun import FileRef
from geoml_ops.domain.sketch import Columns, sketch_tiles
from geoml_ops.domain.tiling import Layers, classify_array, least_over
from geoml_ops.platform.files import sha256_of, whole_file, write_json
from geoml_ops.platform.log import logger
from geoml_ops.steps.answering import Model, champion, entry_of, last_champion, load
from geoml_ops.steps.beside import Beside, beside
from geoml_ops.steps.places import Places
from geoml_ops.steps.radiometry import declared_in, refuse_exchanged

__all__ = ["Model", "champion", "classify", "entry_of", "last_champion", "load"]

# Dissimilarity to 2,000 samples costs memory per pixel: tiles of 256 px take twice as much of it and a third more time.
TILE_PX = 128
SKETCH_PX = 128
PICTURE_BANDS = ("red", "green", "blue")
PICTURE_PX = 4096
_log = logger("classify")


@dataclass(frozen=True)
class _Request:
    """A raster that was described and fits the model."""

    source: Path
    sha256: str
    name: str
    facts: RasterFacts
    declared: Radiometry
    own: dict[str, Radiometry]
    beside: Beside
    limits: raster.Limits


def classify(
    places: Places,
    source: Path,
    model: Model,
    *,
    name: str = "",
    limits: raster.Limits = raster.LIMITS,
) -> Prediction:
    """Returns the prediction for a raster: its map, sketches and picture are on disk, it is logged.

    The id follows from the model and the bytes of the raster; asking again finds the first answer.

    Args:
        places: where predictions are kept.
        source: a GeoTIFF with named bands and declared radiometry; nothing beside it is read.
        model: what answers.
        name: what people call the raster.
        limits: what the raster may be.

    Raises:
        BadInput: bands, radiometry, grid or content do not fit the model; nothing is kept.
        TooLarge: beyond ``limits``.
        StorageFull: no space left; nothing half-written stays.
    """
    facts, sha256 = raster.describe(source, limits), sha256_of(source)
    shelf, log = Shelf(places.nouns), PredictionLog(places.predictions)
    scenes = _scenes(shelf, facts, sha256) if model.bundle.covariates else ()
    more = beside(places, model.bundle, facts.names, facts.grid, scenes)
    declared, own = _declared(facts, more.carried)
    request = _Request(source, sha256, name, facts, declared, own, more, limits)
    prediction_id = _id(model, request)
    earlier = _earlier(shelf, prediction_id)
    if earlier is None or not _whole(log.home(prediction_id), earlier):
        earlier = _answer(places, log.home(prediction_id), model, request, earlier)
    if log.append(prediction_id, datetime.now(UTC)):
        _log.info("classified", prediction=prediction_id, bundle=model.bundle.id, valid_share=earlier.valid_share)
    return earlier


def _answer(places: Places, home: Path, model: Model, request: _Request, earlier: Prediction | None) -> Prediction:
    bundle, contract, facts, carried = model.bundle, model.contract, request.facts, request.beside.carried
    shelf = Shelf(places.nouns)
    numbers = raster.read(request.source, bands=carried.order(facts.names), limits=request.limits)
    dn = to_contract(numbers, request.declared, carried, request.own)
    refuse_exchanged(dn, carried)
    dn = request.beside.joined(places, dn, facts.grid, contract)
    layers = classify_array(
        dn,
        model.run,
        TILE_PX,
        bundle.halo_px,
        threshold=bundle.applicability.threshold if bundle.applicability else None,
        least=least_over(bundle.conformal, bundle.classes, facts.grid) if bundle.conformal else None,
    )
    known = layers.known
    if not known.any():
        raise BadInput(
            f"None of the {known.size} pixels was observed in all of {', '.join(contract.names)}; no map.",
            f"check the raster's nodata value ({_said(request.declared.nodata)}) and that the area was imaged",
        )
    # What the first answer said about its origin stays, so that a repaired file has the same bytes.
    scenes = earlier.scenes if earlier else _scenes(shelf, facts, request.sha256)
    cog.write_map(
        home / MAP,
        layers,
        facts.grid,
        names=bundle.classes,
        colours=bundle.colours,
        tags=_tags(model, request, scenes) | _meaning(bundle),
    )
    write_json(home / SKETCHES, _sketches(dn, layers, model, facts.grid))
    _write_picture(home / PICTURE, dn, contract)
    counts = np.bincount(layers.classes[known], minlength=len(bundle.classes))
    return shelf.put(
        Prediction(
            bundle=bundle.id,
            graph_sha256=bundle.file.sha256,
            model=model.release.model,
            number=model.release.number,
            source=FileRef(path=request.source.name, sha256=request.sha256, size=request.source.stat().st_size),
            source_name=earlier.source_name if earlier else request.name or _said_name(shelf, scenes),
            scenes=scenes,
            covariates=tuple(covariate.id for covariate in request.beside.covariates),
            declared=request.declared,
            grid=facts.grid,
            map=_file(home / MAP),
            sketches=_file(home / SKETCHES),
            valid_share=round(float(known.mean()), 6),
            class_shares={n: round(float(c / known.sum()), 6) for n, c in zip(bundle.classes, counts, strict=True)},
            mean_confidence=_mean(layers.confidence, known),
            outside_share=None if layers.outside is None else _mean(layers.outside, known),
            mean_set_size=None if layers.set_size is None else _mean(layers.set_size, known),
            tile_px=SKETCH_PX,
        )
    )


def _id(model: Model, request: _Request) -> str:
    release, read = model.release, tuple(covariate.id for covariate in request.beside.covariates)
    return Prediction.id_for(model.bundle.id, release.model, release.number, request.sha256, SKETCH_PX, covariates=read)


def _said(number: float | None) -> str:
    return "none" if number is None else f"{number:g}"


def _declared(facts: RasterFacts, contract: Contract) -> tuple[Radiometry, dict[str, Radiometry]]:
    """Returns the raster's own radiometry once its bands, pixels and place were found to fit."""
    said = facts.tags.get("GEOML_SENSOR", contract.sensor)
    if said != contract.sensor:
        raise BadInput(
            f"The raster says it is of {said[:60]!r}, the model reads {contract.sensor}.",
            "choose a model of the raster's sensor",
        )
    declared = declared_in(facts, contract)
    if abs(facts.grid.pixel_m - contract.pixel_m) > 1e-6:
        raise BadInput(
            f"The raster's pixels are {facts.grid.pixel_m:g} m, the model reads {contract.pixel_m:g} m.",
            "resample the raster band by band as the band contract says",
        )
    east, north = (facts.grid.bounds.left + facts.grid.bounds.right) / 2, facts.grid.bounds.top
    if 32601 <= facts.grid.epsg <= 32760 and not (-400_000 <= east <= 1_400_000 and -100_000 <= north <= 10_100_000):
        raise BadInput(
            f"The raster lies at easting {east:.0f}, northing {north:.0f}; its CRS {facts.grid.crs} ends before that.",
            "check its CRS; these numbers look like those of another system",
        )
    return declared


def _scenes(shelf: Shelf, facts: RasterFacts, sha256: str) -> tuple[str, ...]:
    """Returns the stored scenes a raster is, or says it was cut from; a claim counts only on the same ground."""
    said = {part.strip() for key in ("GEOML_SCENES", "GEOML_SCENE") for part in facts.tags.get(key, "").split(",")}
    found = [
        scene.id
        for scene in shelf.all(Scene)
        if scene.file.sha256 == sha256 or (said & {scene.id, scene.name} and _within(facts.grid, scene.grid))
    ]
    return tuple(sorted(set(found)))


def _within(part: Grid, whole: Grid) -> bool:
    if part.crs != whole.crs or abs(part.pixel_m - whole.pixel_m) > 1e-9:
        return False
    common = part.bounds.overlap(whole.bounds)
    return common == part.bounds


def _said_name(shelf: Shelf, scenes: tuple[str, ...]) -> str:
    return ", ".join(shelf.get(Scene, scene).name for scene in scenes) or "upload"


def _mean(layer: NDArray[Any], known: NDArray[np.bool_]) -> float:
    return round(float(layer[known].astype(np.float64).mean()), 6)


def _sketches(dn: NDArray[np.float32], layers: Layers, model: Model, grid: Grid) -> Columns:
    """Returns tiles in a few numbers each; where it is known, also which share of the answers lies outside."""
    columns = sketch_tiles(
        dn,
        model.contract.names,
        grid,
        SKETCH_PX,
        classes=layers.classes,
        confidence=layers.confidence,
        class_names=model.bundle.classes,
    )
    outside, known = layers.outside, layers.known
    if outside is not None:
        parts = [window.slices() for window in grid.tiles(SKETCH_PX)]
        columns["outside_share"] = [_mean(outside[part], known[part]) if known[part].any() else None for part in parts]
    return columns


def _meaning(bundle: Bundle) -> dict[str, str]:
    """Returns what the codes and the layers of a map stand for, as tags."""
    said = {"GEOML_LEGEND": json.dumps(bundle.legend, ensure_ascii=False)}
    if bundle.applicability is not None:
        said["GEOML_THRESHOLD"] = repr(bundle.applicability.threshold)
        said["GEOML_DISSIMILARITY"] = bundle.applicability.definition
    if bundle.conformal is not None:
        said["GEOML_COVERAGE"] = repr(bundle.conformal.coverage)
        said["GEOML_COVERAGE_MEASURED"] = repr(round(bundle.conformal.measured.value, 6))
        said["GEOML_SETS"] = bundle.conformal.method
    return said


def _tags(model: Model, request: _Request, scenes: tuple[str, ...]) -> dict[str, str]:
    return {
        "GEOML_PREDICTION": _id(model, request),
        "GEOML_BUNDLE": model.bundle.id,
        "GEOML_GRAPH_SHA256": model.bundle.file.sha256,
        "GEOML_MODEL": model.release.model,
        "GEOML_NUMBER": str(model.release.number),
        "GEOML_VERSION": model.bundle.version,
        "GEOML_EVALUATION": model.bundle.evaluation,
        "GEOML_SCENES": ",".join(scenes),
        "GEOML_SOURCE_SHA256": request.sha256,
    }


def _write_picture(path: Path, dn: NDArray[np.float32], contract: Contract) -> None:
    names = contract.names
    called = {band.common_name: band.name for band in contract.bands}
    shown = [called.get(word, "") for word in PICTURE_BANDS]
    shown = shown if all(shown) else [names[0]] * 3
    step = max(1, -(-max(dn.shape[1:]) // PICTURE_PX))
    layers = dn[[names.index(n) for n in shown], ::step, ::step]
    with whole_file(path) as part:
        part.write_bytes(png.rgba(png.stretched(layers)))


def _earlier(shelf: Shelf, prediction_id: str) -> Prediction | None:
    try:
        return shelf.get(Prediction, prediction_id)
    except NotFound:
        return None


def _whole(home: Path, prediction: Prediction) -> bool:
    wanted = ((home / MAP, prediction.map.sha256), (home / SKETCHES, prediction.sketches.sha256))
    return (home / PICTURE).exists() and all(path.exists() and sha256_of(path) == sha for path, sha in wanted)


def _file(path: Path) -> FileRef:
    return FileRef(path=f"{path.parent.name}/{path.name}", sha256=sha256_of(path), size=path.stat().st_size)
