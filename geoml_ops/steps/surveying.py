"""Surveying: a classified raster, whoever made it, its pixels counted per class; and how many of them to label."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from geoml_ops.adapters import raster
from geoml_ops.adapters.crs import areal_scale
from geoml_ops.adapters.nouns import Shelf
from geoml_ops.adapters.raster import RasterFacts
from geoml_ops.adapters.raster.classified import MAP_LIMITS, strips
from geoml_ops.core.errors import BadInput, NotFound
from geoml_ops.core.flow import Bundle, Evaluation, Prediction
from geoml_ops.core.noun import FileRef
from geoml_ops.domain.accuracy import LEAST, Allocation, Sizes, count_codes, sizes_for
from geoml_ops.platform.files import read_json, sha256_of
from geoml_ops.steps.places import Places

USERS = 0.8
_SUREST = 0.95
_LARGEST_DISTORTION = 0.01


@dataclass(frozen=True)
class ClassMap:
    """A classified raster whose pixels were counted.

    Attributes:
        path: of the raster.
        file: its content.
        facts: what it says about itself.
        classes: all names it may show, in code order, those that are left out too: they exist on the ground.
        codes: class code of each stratum: of each class that it does show.
        pixels: of each stratum.
    """

    path: Path
    file: FileRef
    facts: RasterFacts
    classes: tuple[str, ...]
    codes: dict[str, int]
    pixels: dict[str, int]

    @property
    def pixel_ha(self) -> float:
        """Ground of one pixel in hectares."""
        return self.facts.grid.pixel_m**2 / 10_000


def survey(path: Path, *, left_out: Sequence[int] = (), names: Mapping[int, str] | None = None) -> ClassMap:
    """Returns a map with its pixels counted per class.

    A map of this platform knows its class names; any other raster of whole numbers has one band, and its
    codes are its classes unless they are named. Nodata is no class.

    Args:
        path: a GeoTIFF.
        left_out: codes that are no class although they are not declared as nodata.
        names: of codes that shall not be called by their number.

    Raises:
        BadInput: no classified raster, pixels of unequal ground, or nothing mapped.
        TooLarge: beyond what any map needs.
    """
    facts = raster.describe(path, MAP_LIMITS)
    own = _own_names(facts, path.name)
    if not own and facts.n_bands != 1:
        raise BadInput(f"{path.name} has {facts.n_bands} bands.", "give a classified raster: one band of class codes")
    _check_ground(facts, path.name)
    file = FileRef(path=path.name, sha256=sha256_of(path), size=path.stat().st_size)
    ignored = {*left_out, *([int(facts.nodata)] if facts.nodata is not None and facts.nodata.is_integer() else [])}
    counts = count_codes(strips(path), ignored)
    if not counts:
        raise BadInput(f"{path.name} shows no class: every pixel is nodata or left out.", "give a map that shows some")
    named = dict(enumerate(own)) | dict(names or {})
    if own and set(counts) - set(named):
        raise BadInput(f"{path.name} holds codes {sorted(set(counts) - set(named))[:5]} that have no class name.")
    called = {**{code: str(code) for code in counts}, **{c: n.strip() for c, n in named.items()}}
    if len(set(called.values())) != len(called) or not all(called.values()):
        raise BadInput(f"Two classes of {path.name} share a name, or one has none.", "give every code its own name")
    return ClassMap(
        path=path,
        file=file,
        facts=facts,
        classes=tuple(called[code] for code in sorted(called)),
        codes={called[code]: code for code in counts},
        pixels={called[code]: n for code, n in counts.items()},
    )


def _own_names(facts: RasterFacts, name: str) -> tuple[str, ...]:
    try:
        own = json.loads(facts.tags.get("GEOML_CLASSES", "[]"))
    except ValueError:
        own = None
    if not isinstance(own, list) or not all(isinstance(n, str) for n in own):
        raise BadInput(f"The class names inside {name} are not readable.", "give the map as it was written")
    return tuple(own)


def _check_ground(facts: RasterFacts, name: str) -> None:
    """Lets maps through whose pixels are alike on the ground; a share of pixels is one of area only then."""
    grid = facts.grid
    rows, cols = (np.linspace(0, n - 1, 5).round().astype(np.int64) for n in grid.shape)
    east, north = grid.centres(*(part.ravel() for part in np.meshgrid(rows, cols)))
    scale = areal_scale(grid.crs, east, north)
    if not np.isfinite(scale).all() or abs(scale - 1).max() > _LARGEST_DISTORTION:
        said = f"{scale.min():.3f} to {scale.max():.3f}" if np.isfinite(scale).all() else "an undefined number of"
        raise BadInput(
            f"A square metre of ground covers {said} square metres of {name} in {grid.crs}; its pixels are no areas.",
            "bring the map to an equal-area projection or its UTM zone, nearest neighbour",
        )


def prediction_of(shelf: Shelf, mapped: ClassMap) -> str:
    """Returns the prediction that made this very file, where it is kept here; a changed file is no map of ours."""
    said = mapped.facts.tags.get("GEOML_PREDICTION", "")
    known = [p.id for p in shelf.all(Prediction) if p.id == said and p.map.sha256 == mapped.file.sha256]
    return known[0] if known else ""


def plan(
    places: Places,
    mapped: ClassMap,
    *,
    se: float | None = None,
    n: int | None = None,
    how: Allocation = "rare",
    least: int = LEAST,
    users: Mapping[str, float] | None = None,
    otherwise: float = USERS,
) -> Sizes:
    """Returns how many units of each class to label.

    Args:
        places: where evaluations are kept: a map of ours is expected to be as right as its model was out of
            folds, but never more than 95 % of a class.
        mapped: the map, surveyed.
        se: wanted standard error of overall accuracy; or
        n: wanted number of units.
        how: allocation to classes.
        least: units of every class, for the allocation ``rare``.
        users: expected user's accuracy of some classes.
        otherwise: expected user's accuracy of classes that nothing is known about.

    Raises:
        BadInput: sizes that cannot be.
    """
    known = {name: u for name, u in _expected(Shelf(places.nouns), mapped).items() if name in mapped.pixels}
    expected = {**dict.fromkeys(mapped.pixels, otherwise), **known, **dict(users or {})}
    return sizes_for(mapped.pixels, expected, se=se, n=n, how=how, least=least)


def _expected(shelf: Shelf, mapped: ClassMap) -> dict[str, float]:
    made = prediction_of(shelf, mapped)
    if not made:
        return {}
    try:
        bundle = shelf.get(Bundle, shelf.get(Prediction, made).bundle)
        evaluation = shelf.get(Evaluation, bundle.evaluation)
    except NotFound:
        return {}
    found = {name: scores.get("users_accuracy") for name, scores in evaluation.per_class.items()}
    return {name: min(score.value, _SUREST) for name, score in found.items() if score is not None}


def sizes_in(path: Path, mapped: ClassMap) -> tuple[dict[str, int], float | None]:
    """Returns the sizes that a plan names, and the standard error they were planned for.

    Args:
        path: a JSON file with the number of units per class in ``n``, as ``geoml accuracy plan`` prints it;
            numbers may have been changed.
        mapped: the map to draw from.

    Raises:
        BadInput: no such plan, or the plan of another map.
    """
    try:
        content = read_json(path)
    except (OSError, ValueError) as error:
        raise BadInput(f"{path.name} is no plan: {str(error)[:120]}.", "keep what geoml accuracy plan prints") from None
    sizes = content.get("n") if isinstance(content, dict) else None
    if not isinstance(sizes, dict) or not all(type(v) is int and v >= 0 for v in sizes.values()):
        raise BadInput(f"{path.name} names no number of units per class.", "keep what geoml accuracy plan prints")
    if content.get("map_sha256", mapped.file.sha256) != mapped.file.sha256:
        raise BadInput(f"{path.name} was planned for another map than {mapped.path.name}.", "plan this map")
    se = content.get("planned_se")
    return sizes, float(se) if isinstance(se, int | float) and 0 < se < 1 else None
