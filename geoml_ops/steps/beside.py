"""Bands that a raster to classify does not carry: taken from the covariates that were made for its ground."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from geoml_ops.adapters.nouns import Shelf
from geoml_ops.core.bands import Contract
from geoml_ops.core.errors import BadInput, NotFound, Refused
from geoml_ops.core.experiment import OF_ONE_SCENE
from geoml_ops.core.flow import Bundle, Covariate, Evaluation, FeatureTable
from geoml_ops.core.grid import Grid, Window
from geoml_ops.steps.made import covariate_file
from geoml_ops.steps.places import Places


@dataclass(frozen=True)
class Part:
    """A file that some of a model's bands are read from.

    Attributes:
        path: of the file.
        bands: positions in the file, from 0.
        into: positions in the model's contract, as many.
        shift: row and column of the file at which the raster to classify begins.
    """

    path: Path
    bands: tuple[int, ...]
    into: tuple[int, ...]
    shift: tuple[int, int] = (0, 0)


@dataclass(frozen=True)
class Beside:
    """What a model reads beside the raster itself.

    Attributes:
        carried: the part of the model's contract that the raster carries.
        covariates: that hold the rest, on pixels that hold the raster's.
        files: their rasters, found whole.
    """

    carried: Contract
    covariates: tuple[Covariate, ...]
    files: tuple[Path, ...] = ()

    def parts(self, grid: Grid, contract: Contract) -> tuple[Part, ...]:
        """Returns where the bands are read that a raster on this grid does not carry."""
        found = []
        for covariate, path in zip(self.covariates, self.files, strict=True):
            names = [band.name for band in covariate.bands]
            wanted = [n for n in names if n in contract.names and n not in self.carried.names]
            window = _window(covariate.grid, grid)
            assert window is not None
            bands, into = (tuple(where.index(n) for n in wanted) for where in (names, contract.names))
            found.append(Part(path, bands, into, (window.row, window.col)))
        return tuple(found)


def beside(places: Places, bundle: Bundle, names: Sequence[str], grid: Grid, scenes: Sequence[str] = ()) -> Beside:
    """Returns where the bands of a model are found for a raster that carries these names on this grid.

    A covariate counts where it was made by the rules that the model learned with, on the same pixels; one of a
    scene's own imagery only where the raster is that scene or a part of it.

    Args:
        places: where covariates are kept.
        bundle: the model.
        names: of the raster's bands.
        grid: of the raster.
        scenes: ids of the stored scenes that the raster is, or was cut from.

    Raises:
        BadInput: a covariate's band is neither carried nor was it made for this ground.
    """
    known = [word for band in bundle.contract.bands for word in (band.name, band.common_name)]
    kinds = {f"{name}_{p}": name for name, rules in bundle.covariates.items() for p in rules.products}
    lacking = [n for n in bundle.contract.names if n in kinds and n not in names and n in known]
    if not lacking:
        return Beside(bundle.contract, ())
    carried = bundle.contract.subset([n for n in bundle.contract.names if n not in lacking])
    asked = [_made(places, bundle, name, grid, scenes) for name in dict.fromkeys(kinds[n] for n in lacking)]
    found = [made for made in asked if made is not None]
    missing = [n for n in lacking if n not in {band.name for c, _ in found for band in c.bands}]
    if missing:
        own = any(bundle.covariates[kinds[n]].make in OF_ONE_SCENE for n in missing)
        tag = ", give a part of a scene the scene's name as its tag (gdal_edit.py -mo GEOML_SCENE=NAME)"
        raise BadInput(
            f"The raster lacks {', '.join(missing)}, and no covariate that was made here by the model's rules covers "
            f"its ground.",
            f"make the covariates of its scene (geoml features make --scene NAME){tag if own and not scenes else ''}, "
            "or add the bands to the raster",
        )
    return Beside(carried, tuple(c for c, _ in found), tuple(path for _, path in found))


def _made(
    places: Places, bundle: Bundle, name: str, grid: Grid, scenes: Sequence[str]
) -> tuple[Covariate, Path] | None:
    """Returns the covariate of a name that holds the grid's pixels, and its raster, whose digest was checked.

    Of several, one of the raster's own scene comes before any other, and one that the model learned from before
    those of later deliveries.
    """
    shelf = Shelf(places.nouns)
    rules, held, learned = bundle.covariates[name], {c.id: c for c in shelf.all(Covariate)}, _learned(shelf, bundle)
    for covariate in sorted(held.values(), key=lambda c: (c.scenes[0] not in scenes, c.id not in learned, c.id)):
        if rules.make in OF_ONE_SCENE and covariate.scenes[0] not in scenes:
            continue
        if (
            covariate.name == name
            and _as_learned(covariate, bundle, held)
            and _window(covariate.grid, grid) is not None
        ):
            try:
                return covariate, covariate_file(places, covariate)
            except (NotFound, Refused):
                continue
    return None


def _learned(shelf: Shelf, bundle: Bundle) -> tuple[str, ...]:
    """Returns the ids of the covariates in the bundle's table; none where its table is not kept here."""
    try:
        return shelf.get(FeatureTable, shelf.get(Evaluation, bundle.evaluation).table).covariates
    except NotFound:
        return ()


def _as_learned(covariate: Covariate, bundle: Bundle, held: Mapping[str, Covariate]) -> bool:
    """Says whether a covariate, and every one behind it, was made by the rules that the model learned with."""
    return bundle.covariates.get(covariate.name) == covariate.rules and all(
        parent in held and _as_learned(held[parent], bundle, held) for parent in covariate.covariates
    )


def _window(whole: Grid, part: Grid) -> Window | None:
    """Returns where a grid lies in another one of the same pixels; None where it does not lie inside."""
    corner = part.corner_in(whole)
    if corner is None or min(corner) < 0:
        return None
    row, col = corner
    if row + part.height > whole.height or col + part.width > whole.width:
        return None
    return Window(col=col, row=row, width=part.width, height=part.height)
