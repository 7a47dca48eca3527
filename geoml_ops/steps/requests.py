"""What somebody asks the engine: a raster that fits a model, and which layers of its map; nothing is read of it yet."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from geoml_ops.adapters import cog, raster
from geoml_ops.adapters.cog import MapLayout
from geoml_ops.adapters.nouns import Shelf
from geoml_ops.adapters.raster import RasterFacts
from geoml_ops.core.bands import Contract, Radiometry
from geoml_ops.core.errors import BadInput
from geoml_ops.core.flow import Bundle, Prediction, Scene
from geoml_ops.core.grid import Grid
from geoml_ops.domain.tiling import BITS
from geoml_ops.platform.files import sha256_of
from geoml_ops.steps.answering import Model
from geoml_ops.steps.beside import Beside, Part, beside
from geoml_ops.steps.findings import SKETCH_PX
from geoml_ops.steps.places import Places
from geoml_ops.steps.radiometry import declared_in
from geoml_ops.steps.sources import Source


@dataclass(frozen=True)
class Request:
    """A raster that was described and fits the model.

    Attributes:
        path: of the raster.
        sha256: of its bytes.
        name: what people call it; may be empty.
        model: what answers.
        source: how its numbers are read.
        beside: covariates that hold the bands which it lacks.
        scenes: ids of the stored scenes that it is, or says it was cut from.
        layers: bands of the map; empty for all.
    """

    path: Path
    sha256: str
    name: str
    model: Model
    source: Source
    beside: Beside
    scenes: tuple[str, ...]
    layers: tuple[str, ...]

    @property
    def id(self) -> str:
        """Of the prediction."""
        release = self.model.release
        asked = (self.model.bundle.id, release.model, release.number, self.sha256, SKETCH_PX)
        read = tuple(covariate.id for covariate in self.beside.covariates)
        return Prediction.id_for(*asked, covariates=read, layers=self.layers)

    @property
    def layout(self) -> MapLayout:
        """Of the map."""
        bundle = self.model.bundle
        return MapLayout(self.source.grid, self.layers or layers_known(bundle), bundle.classes, bundle.colours)


def described(
    places: Places, path: Path, model: Model, name: str, limits: raster.Limits, layers: tuple[str, ...]
) -> Request:
    """Returns a raster that fits a model, found out without reading a pixel.

    Args:
        places: where nouns and covariates are kept.
        path: of the raster.
        model: what answers.
        name: what people call the raster.
        limits: what it may be.
        layers: as :func:`chosen` takes them.

    Raises:
        BadInput: bands, radiometry, grid or layers do not fit the model.
        TooLarge: beyond ``limits``.
    """
    facts, bundle = raster.describe(path, limits), model.bundle
    wanted = chosen(bundle, layers)
    sha256, shelf = sha256_of(path), Shelf(places.nouns)
    scenes = _scenes(shelf, facts, sha256) if bundle.covariates else ()
    more = beside(places, bundle, facts.names, facts.grid, scenes)
    declared, own = declared_of(facts, more.carried)
    into = tuple(bundle.contract.names.index(band) for band in more.carried.names)
    parts = (Part(path, more.carried.order(facts.names), into), *more.parts(facts.grid, bundle.contract))
    source = Source(facts.grid, parts, limits, more.carried, declared, own)
    scenes = _scenes(shelf, facts, sha256)
    return Request(path, sha256, name, model, source, more, scenes, wanted)


def chosen(bundle: Bundle, wanted: tuple[str, ...]) -> tuple[str, ...]:
    """Returns the bands of a map that were asked for, in file order; empty where that is all of them.

    The classes are always there, also as ``classes``. ``sets`` stands for the size and the members of sets,
    ``applicability`` for dissimilarity and density, ``all`` for every one of those; ``probabilities``, one band for
    each class, are only there where they are asked for.

    Raises:
        BadInput: the model's maps have no such layer.
    """
    known = layers_known(bundle)
    every = tuple(f"{cog.PROBABILITY}{code}" for code in range(len(bundle.classes)))
    groups = {
        "classes": {cog.CLASS},
        "sets": {name for name in known if name.startswith(cog.SET)},
        "applicability": {cog.DISSIMILARITY, cog.DENSITY} & set(known),
        "all": set(known),
        "probabilities": set(every),
    }
    groups = {word: names for word, names in groups.items() if names}
    unknown = [word for word in wanted if word not in (*known, *every, *groups)]
    if unknown:
        raise BadInput(
            f"Maps of this model have no layer {unknown[0][:40]!r}.", f"choose among {', '.join((*known, *groups))}"
        )
    asked = {cog.CLASS} | {name for word in wanted for name in groups.get(word, {word})}
    return () if not wanted or asked == set(known) else tuple(name for name in (*known, *every) if name in asked)


def every_class_fits(bundle: Bundle) -> bool:
    """Says whether a map may hold all it knows and the probability of each class beside it."""
    return len(layers_known(bundle)) + len(bundle.classes) <= cog.MAX_BANDS


def layers_known(bundle: Bundle) -> tuple[str, ...]:
    """Returns the bands that a model's maps may have, in file order."""
    if bundle.conformal is None and bundle.applicability is None:
        return cog.CLASS, cog.CONFIDENCE
    n_sets = -(-len(bundle.classes) // BITS) if bundle.conformal is not None else 1
    sets = (f"{cog.SET}{number}" for number in range(1, n_sets + 1))
    return cog.CLASS, cog.CONFIDENCE, cog.SET_SIZE, cog.DISSIMILARITY, cog.DENSITY, *sets


def tags(request: Request, scenes: tuple[str, ...]) -> dict[str, str]:
    """Returns where a map comes from, as tags."""
    bundle, release = request.model.bundle, request.model.release
    return {
        "GEOML_PREDICTION": request.id,
        "GEOML_BUNDLE": bundle.id,
        "GEOML_GRAPH_SHA256": bundle.file.sha256,
        "GEOML_MODEL": release.model,
        "GEOML_NUMBER": str(release.number),
        "GEOML_VERSION": bundle.version,
        "GEOML_EVALUATION": bundle.evaluation,
        "GEOML_SCENES": ",".join(scenes),
        "GEOML_SOURCE_SHA256": request.sha256,
    }


def meaning(bundle: Bundle) -> dict[str, str]:
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


def said_name(shelf: Shelf, scenes: tuple[str, ...]) -> str:
    """Returns the names of stored scenes, ``upload`` where there is none."""
    return ", ".join(shelf.get(Scene, scene).name for scene in scenes) or "upload"


def declared_of(facts: RasterFacts, contract: Contract) -> tuple[Radiometry, dict[str, Radiometry]]:
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
