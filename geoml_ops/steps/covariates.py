"""Covariates: which bands an experiment asks for beyond the sensor's, and making them once per scene."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoml_ops.adapters import raster, vector
from geoml_ops.adapters.configs import validated
from geoml_ops.adapters.crs import reproject
from geoml_ops.adapters.nouns import Shelf
from geoml_ops.adapters.onnx import feature_graph
from geoml_ops.adapters.ort import Graph
from geoml_ops.core.bands import Band, Contract, Radiometry
from geoml_ops.core.errors import BadInput, NotFound, Refused
from geoml_ops.core.experiment import CovariateRules, Experiment
from geoml_ops.core.flow import Ancillary, Covariate, Scene, Version
from geoml_ops.core.grid import Grid, Value
from geoml_ops.core.noun import FileRef, digest
from geoml_ops.domain.covariates import Recipe, Stage, Vectors
from geoml_ops.domain.covariates.registry import RECIPES
from geoml_ops.domain.features import bands_needed, expanded, halo_of
from geoml_ops.platform.files import sha256_of
from geoml_ops.platform.locks import only_one
from geoml_ops.platform.log import logger
from geoml_ops.steps.imagery import Imagery, file_of, imagery
from geoml_ops.steps.made import covariate_file
from geoml_ops.steps.places import Places
from geoml_ops.steps.reads import features_of
from geoml_ops.steps.sensors import contract_of

PIECE_PX = 512
METRES = ("m", "metre", "metres", "meter", "meters")
UNMADE = Radiometry(scale=1.0, offset_dn=0.0, nodata=None)
"""The numbers of a covariate are what they are; a missing one is NaN."""
_log = logger("covariates")


def contract_with(places: Places, sensor: str, covariates: Mapping[str, CovariateRules]) -> Contract:
    """Returns the contract of a sensor with the bands of covariates at its end, whether they were made or not.

    Raises:
        BadInput: an unknown sensor, kind or product, options that make no sense, or a band's name is taken.
    """
    contract = contract_of(places, sensor)
    for name, rules in covariates.items():
        contract = contract.joined(bands_of(name, rules, contract.pixel_m))
    return contract


def bands_of(name: str, rules: CovariateRules, pixel_m: float) -> tuple[Band, ...]:
    """Returns the bands that rules ask for, named ``<name>_<product>``; raises as :func:`contract_with`."""
    if not (name.isascii() and name.isidentifier()):
        raise BadInput(f"A covariate cannot be called {name[:60]!r}.", "use the letters a to z, digits and underlines")
    recipe, options = RECIPES[rules.make], options_of(name, rules)
    products = recipe.known(rules.of, options)
    return tuple(
        Band(
            name=f"{name}_{product}",
            gsd_m=pixel_m,
            valid=products[product].valid,
            unit=products[product].unit,
            radiometry=UNMADE,
        )
        for product in recipe.wanted(rules.make, rules.products, products)
    )


def make_covariates(places: Places, version: Version, experiment: Experiment, scene: Scene) -> tuple[Covariate, ...]:
    """Returns the covariates of a scene that an experiment asks for, in its order; what exists is found again.

    Raises:
        BadInput: rules that cannot be followed on this ground.
        NotFound: the version holds no ancillary delivery of a name that is asked for.
        Refused: a file of the version was altered.
    """
    made: tuple[Covariate, ...] = ()
    for position, (name, rules) in enumerate(experiment.covariates.items()):
        earlier = dict(list(experiment.covariates.items())[:position])
        contract = contract_with(places, experiment.sensor, earlier)
        made = (*made, _Making(places, version, scene, contract, made).of(name, rules))
    return made


def options_of(name: str, rules: CovariateRules) -> Value:
    """Returns what a covariate's rules say beyond its products, with defaults; raises BadInput where they cannot be."""
    return validated(rules.options, RECIPES[rules.make].options, f"options of the covariate {name}")


class _Making:
    """What one covariate of one scene is made of."""

    def __init__(
        self, places: Places, version: Version, scene: Scene, contract: Contract, earlier: tuple[Covariate, ...]
    ) -> None:
        self.places, self.version, self.scene = places, version, scene
        self.contract, self.earlier = contract, earlier

    def of(self, name: str, rules: CovariateRules) -> Covariate:
        """Returns the covariate, made now or before."""
        recipe, options = RECIPES[rules.make], options_of(name, rules)
        scenes, ancillaries = self._parents(recipe, rules)
        bands = bands_of(name, rules, self.scene.grid.pixel_m)
        read = self._read(name, rules, ancillaries)
        recipe_of = (name, rules, tuple(s.id for s in scenes), tuple(a.id for a in ancillaries.values()), read, bands)
        key = digest([name, rules.model_dump(mode="json"), *recipe_of[2:5]])[:16]
        with only_one(self.places.workspace / "locks" / f"covariate-{key}.lock"):
            known = self._known(recipe_of)
            if known is not None:
                return known
            file = self._twin(recipe, recipe_of)
            if file is None:
                margin = recipe.margin_px(options, self.scene.grid.pixel_m)
                stage = self._stage(recipe, rules, scenes, ancillaries, margin)
                layers = recipe.make(stage, rules.products, options)
                file = self._written(key, recipe, np.stack([layers[p] for p in rules.products]), bands)
                _log.info("made covariate", name=name, kind=rules.make, scene=self.scene.name, bands=len(bands))
            return Shelf(self.places.nouns).put(
                Covariate(
                    name=name,
                    rules=rules,
                    scenes=recipe_of[2],
                    ancillaries=recipe_of[3],
                    covariates=read,
                    grid=self.scene.grid,
                    bands=bands,
                    file=file,
                )
            )

    def _read(self, name: str, rules: CovariateRules, ancillaries: Mapping[str, Ancillary]) -> tuple[str, ...]:
        """Returns the ids of the covariates above whose bands this one is made of."""
        of = [text for text in features_of(rules, self.contract) if text not in ancillaries]
        if not of:
            return ()
        if len(expanded(of, self.contract)) != len(of):
            raise BadInput(f"The covariate {name} has a list in `of`.", "write every feature out")
        bands = set(bands_needed(of, self.contract))
        read = tuple(c.id for c in self.earlier if bands & {band.name for band in c.bands})
        if read and RECIPES[rules.make].reads == "stack":
            raise BadInput(
                f"The covariate {name} reads scenes of several days and cannot read {', '.join(of)[:60]}, "
                "which is made of one.",
                "name features of the sensor in `of`",
            )
        return read

    def _known(self, recipe_of: tuple[object, ...]) -> Covariate | None:
        for known in Shelf(self.places.nouns).all(Covariate):
            it = (known.name, known.rules, known.scenes, known.ancillaries, known.covariates, known.bands)
            if it == recipe_of:
                try:
                    covariate_file(self.places, known)
                except (NotFound, Refused):
                    continue
                return known
        return None

    def _twin(self, recipe: Recipe, recipe_of: tuple[Any, ...]) -> FileRef | None:
        """Returns the file of the same covariate of another scene on this grid, where no single scene makes it."""
        if recipe.reads == "features":
            return None
        name, rules, scenes, *others = recipe_of
        for known in Shelf(self.places.nouns).all(Covariate):
            same = (known.name, known.rules, known.ancillaries, known.covariates, known.bands)
            same_days = recipe.reads != "stack" or set(known.scenes) == set(scenes)
            if same == (name, rules, *others) and same_days and known.grid == self.scene.grid:
                try:
                    covariate_file(self.places, known)
                except (NotFound, Refused):
                    continue
                return known.file
        return None

    def _written(self, key: str, recipe: Recipe, layers: NDArray[np.float32], bands: Sequence[Band]) -> FileRef:
        self.places.covariates.mkdir(parents=True, exist_ok=True)
        for left in self.places.covariates.glob(f".*{key}*"):
            left.unlink()  # of a process that was killed: nobody else holds this covariate's lock
        part = self.places.covariates / f".{key}.tif"
        tags = {"GEOML_SCENE": self.scene.id} if recipe.reads == "features" else {}
        raster.write_layers(part, layers, self.scene.grid, [band.name for band in bands], tags)
        sha256 = sha256_of(part)
        goal = self.places.covariates / f"{sha256}.tif"
        part.replace(goal)
        return FileRef(path=goal.name, sha256=sha256, size=goal.stat().st_size)

    def _parents(self, recipe: Recipe, rules: CovariateRules) -> tuple[list[Scene], dict[str, Ancillary]]:
        """Returns the scenes that it is made of, this one first, and the ancillary deliveries by name."""
        shelf = Shelf(self.places.nouns)
        if recipe.reads == "stack":
            scenes = [shelf.get(Scene, s) for s in sorted(self.version.scenes)]
            grid = self.scene.grid
            others = [s for s in scenes if s.id != self.scene.id and s.sensor == self.scene.sensor]
            return [self.scene, *(s for s in others if _offset(s.grid, grid) is not None)], {}
        held = {a.name: a for a in (shelf.get(Ancillary, i) for i in self.version.ancillaries)}
        if recipe.reads == "features":
            # Neighbourhoods of delivered polygons are asked for by the delivery's name.
            layers = [name for name in rules.of if name in held and rules.make == "lag"]
            pictures = [name for name in layers if held[name].form != "vector"]
            if pictures:
                raise BadInput(f"{', '.join(pictures)}: a raster, but lag reads features or geometries.", "change `of`")
            return [self.scene], {name: held[name] for name in layers}
        missing = [name for name in rules.of if name not in held]
        if missing:
            raise NotFound(
                f"{self.version.id} holds no ancillary delivery {', '.join(m[:60] for m in missing)}; it holds "
                f"{', '.join(held) or 'none'}.",
                "deliver it with kind: ancillary, or change `of`",
            )
        wrong = [name for name in rules.of if held[name].form != recipe.reads]
        if wrong:
            raise BadInput(
                f"{', '.join(wrong)}: a {held[wrong[0]].form}, but {rules.make} reads a {recipe.reads}.", "change `of`"
            )
        feet = [name for name in rules.of if recipe.reads == "raster" and held[name].unit.lower() not in METRES]
        if feet:
            raise BadInput(
                f"{feet[0]} is declared in {held[feet[0]].unit[:40] or 'no unit'}, but {rules.make} reads metres.",
                "bring it to metres and deliver it with `unit: m`",
            )
        return [self.scene], {name: held[name] for name in rules.of}

    def _stage(
        self,
        recipe: Recipe,
        rules: CovariateRules,
        scenes: Sequence[Scene],
        ancillaries: Mapping[str, Ancillary],
        margin: int,
    ) -> Stage:
        grid = self.scene.grid
        files = {name: file_of(self.places, self.version, noun.file) for name, noun in ancillaries.items()}
        if recipe.reads == "raster":
            rasters = {name: raster.warped(path, grid, margin, called=name) for name, path in files.items()}
            return Stage(grid, margin, rasters=rasters)
        if recipe.reads == "vector":
            return Stage(grid, margin, vectors={name: _vectors(path, grid) for name, path in files.items()})
        if recipe.reads == "features":
            of = [name for name in rules.of if name not in files]
            layers = self._features(self.scene, of, margin, self.earlier) if of else ()
            vectors = {name: _vectors(path, grid) for name, path in files.items()}
            return Stage(grid, margin, rasters=dict(zip(of, layers, strict=True)), vectors=vectors)
        dates, stack = self._stack(scenes, rules.of, margin)
        return Stage(grid, margin, dates=dates, stacks=stack)

    def _stack(
        self, scenes: Sequence[Scene], of: Sequence[str], margin: int
    ) -> tuple[tuple[date, ...], dict[str, NDArray[np.float32]]]:
        """Returns the days that were observed, ascending, and each feature on each of them."""
        layers: dict[date, NDArray[np.float32]] = {}
        for scene in sorted(scenes, key=lambda s: (s.acquired, s.baseline, s.id)):
            found, day = self._features(scene, of, margin, ()), scene.acquired.date()
            # Of two products of a day the newer processing counts, the other fills what it leaves open.
            layers[day] = found if day not in layers else np.where(np.isnan(found), layers[day], found)
        days = tuple(sorted(layers))
        return days, {name: np.stack([layers[day][n] for day in days]) for n, name in enumerate(of)}

    def _features(
        self, scene: Scene, of: Sequence[str], margin: int, covariates: Sequence[Covariate]
    ) -> NDArray[np.float32]:
        """Returns features ``(feature, y, x)`` of a scene on this scene's grid and its margin, piece by piece."""
        contract = self.contract.subset(bands_needed(of, self.contract))
        source = imagery(self.places, self.version, scene, contract, covariates)
        offset = _offset(scene.grid, self.scene.grid)
        assert offset is not None
        grid, graph, halo = self.scene.grid, Graph(feature_graph(of, contract)), halo_of(of, contract)
        out = np.empty((len(of), grid.height + 2 * margin, grid.width + 2 * margin), dtype=np.float32)
        for row in range(0, out.shape[1], PIECE_PX):
            for col in range(0, out.shape[2], PIECE_PX):
                here = out[:, row : row + PIECE_PX, col : col + PIECE_PX]
                top, left = row - margin + offset[0], col - margin + offset[1]
                here[:] = _computed(source, graph, (top, left), here.shape[1:], halo)
        return out


def _vectors(path: Path, grid: Grid) -> Vectors:
    """Returns the records of a file in the CRS of a grid, those without geometry included: the recipe judges them."""
    layer = vector.read_layer(path)
    return Vectors(reproject(layer.geometries, layer.crs, grid.crs), layer.columns)


def _computed(
    source: Imagery, graph: Graph, corner: tuple[int, int], shape: tuple[int, ...], halo: int
) -> NDArray[np.float32]:
    dn = source.read(corner[0] - halo, corner[1] - halo, shape[0] + 2 * halo, shape[1] + 2 * halo)
    return np.asarray(graph.features(dn[None])[0])[:, halo : halo + shape[0], halo : halo + shape[1]]


def _offset(of: Grid, grid: Grid) -> tuple[int, int] | None:
    """Returns row and column that the north-west pixel of ``grid`` has in another grid; None where they do not meet."""
    return grid.corner_in(of) if of.bounds.overlap(grid.bounds) else None
