"""A scene of a version with what was made for it, any rectangle of it, in the bands and numbers of a contract."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from geoml_ops.adapters import raster
from geoml_ops.adapters.dvc import Store
from geoml_ops.core.bands import Contract, to_contract
from geoml_ops.core.errors import BadInput, NotFound, Refused
from geoml_ops.core.flow import Covariate, Scene, Version
from geoml_ops.core.grid import Window
from geoml_ops.core.noun import FileRef
from geoml_ops.platform.files import sha256_of
from geoml_ops.steps.made import covariate_file
from geoml_ops.steps.places import Places


@dataclass(frozen=True)
class Imagery:
    """Where the bands of a contract are found, for one scene.

    Attributes:
        scene: whose grid it is.
        contract: the bands that are wanted, in their order.
        sensed: the part of them that the sensor delivers.
        path: the scene's file.
        positions: of the sensor's bands in that file.
        made: for each covariate file its path, the positions in it and the names of the bands.
    """

    scene: Scene
    contract: Contract
    sensed: Contract
    path: Path
    positions: tuple[int, ...]
    made: tuple[tuple[Path, tuple[int, ...], tuple[str, ...]], ...]

    def read(self, row: int, col: int, height: int, width: int) -> NDArray[np.float32]:
        """Returns ``(band, height, width)`` in the contract's numbers, NaN where not observed or beyond the scene.

        Args:
            row: of the northernmost pixels; may lie before the first.
            col: of the westernmost pixels; may lie before the first.
            height: rows.
            width: columns.
        """
        out = np.full((len(self.contract.bands), height, width), np.nan, dtype=np.float32)
        top, left = max(row, 0), max(col, 0)
        low, right = min(row + height, self.scene.grid.height), min(col + width, self.scene.grid.width)
        if top >= low or left >= right:
            return out
        window = Window(col=left, row=top, width=right - left, height=low - top)
        here = (slice(top - row, low - row), slice(left - col, right - col))
        names = self.contract.names
        if self.sensed.bands:
            delivered = raster.read(self.path, window, self.positions)
            places = [names.index(name) for name in self.sensed.names]
            out[places, *here] = to_contract(delivered, self.scene.declared, self.sensed, self.scene.own)
        for path, positions, bands in self.made:
            out[[names.index(name) for name in bands], *here] = raster.read(path, window, positions)
        return out


def imagery(
    places: Places, version: Version, scene: Scene, contract: Contract, covariates: Sequence[Covariate] = ()
) -> Imagery:
    """Returns where the bands of a contract are found for a scene of a version.

    Args:
        places: where things are.
        version: that holds the scene.
        scene: one of its scenes.
        contract: the wanted bands, of the sensor and of covariates.
        covariates: made for this scene.

    Raises:
        NotFound: a covariate's band was not made for the scene.
        Refused: a file is not the one its noun names.
    """
    made, found = [], []
    for covariate in covariates:
        names = [band.name for band in covariate.bands]
        mine = tuple(name for name in contract.names if name in names)
        if mine:
            path = covariate_file(places, covariate)
            made.append((path, tuple(names.index(name) for name in mine), mine))
            found += list(mine)
    own = tuple(name for name in contract.names if name not in found)
    path = file_of(places, version, scene.file)
    sensed = contract.subset(own)
    try:
        positions = sensed.order(raster.describe(path).names)
    except BadInput as error:
        raise NotFound(f"{scene.name}: {error.fact}", "make the covariates of the scene, or leave them out") from None
    return Imagery(scene, contract, sensed, path, tuple(positions), tuple(made))


def file_of(places: Places, version: Version, file: FileRef) -> Path:
    """Returns a file of a version, to read only, once its digest is the noun's.

    Raises:
        Refused: it is another file.
    """
    path = Store(places.store, places.remote).at(version.rev, file.path)
    if sha256_of(path) != file.sha256:
        raise Refused(f"{file.path} of {version.id} is not the file its noun names.", "restore the store")
    return path
