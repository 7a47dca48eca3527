"""Pictures of the units of a label budget, from the scene that was mapped, each with its square outlined."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from geoml_ops.adapters import png
from geoml_ops.adapters.nouns import Shelf
from geoml_ops.core.errors import BadInput
from geoml_ops.core.flow import Scene, Version
from geoml_ops.steps.imagery import Imagery, imagery
from geoml_ops.steps.labelunits import Units
from geoml_ops.steps.places import Places
from geoml_ops.steps.sensors import contract_of
from geoml_ops.steps.thinning import PICTURE_BANDS

CONTEXT_PX, SCALE = 24, 6
MOST_CHIPS = 5000
_OUTLINE = np.array([255, 255, 0, 255], dtype=np.uint8)
_SAMPLED = 1_000_000
_GAMMA = 0.8


def write_chips(places: Places, units: Units, folder: Path) -> str:
    """Writes one PNG a unit, all stretched alike; returns why it could not, or an empty text.

    Args:
        places: where things are.
        units: of the design.
        folder: where ``<unit>.png`` go.

    Raises:
        BadInput: more units than anybody wants pictures of.
    """
    if len(units.id) > MOST_CHIPS:
        raise BadInput(f"{len(units.id)} pictures are more than {MOST_CHIPS}.", "export without chips")
    found = _imagery(places, units)
    if isinstance(found, str):
        return found
    side, edge = 2 * CONTEXT_PX + units.plan.unit_px, units.plan.unit_px
    layers = np.stack([_read(found, e, n, edge, side) for e, n in zip(units.easting, units.northing, strict=True)])
    folder.mkdir(parents=True, exist_ok=True)
    ends = [_ends(layers[:, band]) for band in range(layers.shape[1])]
    for unit, chip in zip(units.id, layers, strict=True):
        (folder / f"{unit}.png").write_bytes(png.rgba(_drawn(chip, ends, edge)))
    return ""


def _imagery(places: Places, units: Units) -> Imagery | str:
    shelf, wanted = Shelf(places.nouns), units.prediction.scenes
    if not wanted:
        return "No pictures: nothing says which scene was mapped."
    held = [version for version in shelf.all(Version) if wanted[0] in version.scenes]
    if not held:
        return f"No pictures: {wanted[0]} is in no version here."
    scene = shelf.get(Scene, wanted[0])
    if scene.grid.crs != units.crs:
        return f"No pictures: the scene is in {scene.grid.crs}, the map in {units.crs}."
    contract = contract_of(places, scene.sensor)
    called = {band.common_name: band.name for band in contract.bands}
    names = [called.get(word, "") for word in PICTURE_BANDS]
    return imagery(places, held[-1], scene, contract.subset(tuple(names) if all(names) else (contract.names[0],)))


def _read(found: Imagery, easting: float, northing: float, edge: int, side: int) -> NDArray[np.float32]:
    """Returns ``(3, side, side)`` around a unit, NaN where nothing was observed."""
    grid = found.scene.grid
    col = round((easting - grid.left) / grid.pixel_m - edge / 2) - CONTEXT_PX
    row = round((grid.top - northing) / grid.pixel_m - edge / 2) - CONTEXT_PX
    place = {band.common_name: i for i, band in enumerate(found.contract.bands)}
    return found.read(row, col, side, side)[[place.get(word, 0) for word in PICTURE_BANDS]]


def _ends(layer: NDArray[np.float32]) -> tuple[float, float]:
    """Returns the 2nd and the 98th percentile of what was observed, from at most a million pixels of it."""
    flat = layer.ravel()[:: max(1, layer.size // _SAMPLED)]
    flat = flat[np.isfinite(flat)]
    return (float(np.percentile(flat, 2)), float(np.percentile(flat, 98))) if flat.size else (0.0, 1.0)


def _drawn(chip: NDArray[np.float32], ends: Sequence[tuple[float, float]], edge: int) -> NDArray[np.uint8]:
    """Returns ``(y, x, 4)`` pixels, enlarged, the unit's outline around its square."""
    seen = np.isfinite(chip).all(axis=0)
    pixels = np.zeros((*seen.shape, 4), dtype=np.uint8)
    for band, (low, high) in enumerate(ends):
        share = np.clip((np.nan_to_num(chip[band]) - low) / max(high - low, 1e-6), 0, 1) ** _GAMMA
        pixels[..., band] = np.where(seen, np.rint(255 * share), 0)
    pixels[..., 3] = 255 * seen
    large = pixels.repeat(SCALE, 0).repeat(SCALE, 1)
    first, after = CONTEXT_PX * SCALE - 1, (CONTEXT_PX + edge) * SCALE
    large[[first, after], first : after + 1] = _OUTLINE
    large[first : after + 1, [first, after]] = _OUTLINE
    return large
