"""Deliveries as a data provider would make them: from the real sample, and from generated landscapes."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from geoml_ops.adapters import raster, vector
from geoml_ops.core.bands import SENTINEL_2_L1C
from geoml_ops.core.errors import NotFound
from geoml_ops.domain.delivery import band_of
from geoml_ops.domain.world import World
from geoml_ops.platform.files import whole_folder
from geoml_ops.steps.deliveries import DECLARATION

SCENE = "T33UUU_20170216T102101"
LABELS_WEST, LABELS_EAST = "landuse-west", "landuse-east"
SHIFTED, SHIFTED_DECLARED = f"{SCENE}-shifted", f"{SCENE}-baseline-0400"
CLASS_FIELD = "fclass"
SHIFT_DN = 1000
_ACQUIRED = "2017-02-16T10:21:01Z"


def make_deliveries(sample: Path, target: Path) -> dict[str, Path]:
    """Makes five deliveries from the real sample; returns their folders by name.

    * ``SCENE``: the 13 JP2 files as they are, baseline 02.04.
    * ``LABELS_WEST``, ``LABELS_EAST``: polygons whose centre lies west or east of the scene's middle.
    * ``SHIFTED``: every band +1000 DN where observed, while the metadata still say baseline 02.04.
    * ``SHIFTED_DECLARED``: the same numbers, declared as baseline 04.00 with an offset of -1000.

    Args:
        sample: the folder that ``adapters.sample.fetch`` returned, or any folder that holds its files.
        target: where the deliveries appear, one folder each; those that are there stay as they are.

    Raises:
        NotFound: the sample is not complete.
    """
    bands = {band_of(path.name): path for path in sorted(sample.rglob("T33UUU_*.jp2"))}
    landuse = sorted(sample.rglob("gis_osm_landuse*.gpkg"))
    missing = [name for name in SENTINEL_2_L1C.names if name not in bands]
    if missing or not landuse:
        raise NotFound(f"The sample in {sample} is not complete: no {', '.join(missing) or 'polygons'}.", "fetch it")
    files = [bands[name] for name in SENTINEL_2_L1C.names]
    polygons = vector.read_polygons(landuse[0], CLASS_FIELD)
    ground = raster.describe(bands["B02"]).grid.bounds
    west = shapely.get_x(shapely.centroid(polygons.geometries)) < (ground.left + ground.right) / 2
    names = np.array(polygons.labels, dtype=object)

    def scene(folder: Path) -> None:
        for path in files:
            shutil.copyfile(path, folder / path.name)

    def shifted(folder: Path) -> None:
        for path in files:
            dn = raster.read(path)[0]
            raster.write_band(folder / f"{path.stem}.tif", shift(dn), raster.describe(path).grid)

    made = {}
    for name, fill, baseline, offset in (
        (SCENE, scene, "02.04", 0),
        (SHIFTED, shifted, "02.04", 0),
        (SHIFTED_DECLARED, shifted, "04.00", -SHIFT_DN),
    ):
        made[name] = _make(target / name, fill, scene_declaration(_ACQUIRED, baseline, offset))
    for name, chosen in ((LABELS_WEST, west), (LABELS_EAST, ~west)):
        made[name] = deliver_labels(
            target / name, polygons.geometries[chosen], [str(label) for label in names[chosen]], polygons.crs
        )
    return made


def write_delivery(world: World, target: Path, *, acquired: str = "2020-04-01T10:00:00Z") -> Path:
    """Makes the delivery of a generated scene, one GeoTIFF a band at its own pixel size; returns its folder.

    Args:
        world: the landscape; its labels go by :func:`deliver_labels`.
        target: the folder to make; its name is the scene's.
        acquired: the acquisition time it declares.
    """

    def bands(folder: Path) -> None:
        for name, dn in world.bands.items():
            raster.write_band(folder / f"{target.name}_{name}.tif", dn, world.grid_of(name))

    return _make(target, bands, scene_declaration(acquired, "02.04", 0))


def deliver_labels(
    target: Path, geometries: Sequence[Any] | NDArray[np.object_], labels: Sequence[str], crs: str
) -> Path:
    """Makes a delivery of labelled polygons (one GeoPackage); returns its folder."""

    def polygons(folder: Path) -> None:
        vector.write_polygons(folder / "landuse.gpkg", geometries, labels, CLASS_FIELD, crs)

    return _make(target, polygons, {"kind": "labels", "file": "landuse.gpkg", "class_field": CLASS_FIELD})


def hand_in(delivery: Path, drop: Path, name: str = "") -> Path:
    """Copies a delivery into the drop folder, where it appears whole; returns where."""
    goal = drop / (name or delivery.name)
    if not goal.exists():
        with whole_folder(goal) as part:
            shutil.copytree(delivery, part, dirs_exist_ok=True)
    return goal


def scene_declaration(acquired: str, baseline: str, offset_dn: float) -> dict[str, Any]:
    """Returns the content of a scene's ``delivery.yaml``."""
    return {
        "kind": "scene",
        "sensor": SENTINEL_2_L1C.sensor,
        "acquired": acquired,
        "processing_baseline": baseline,
        "radiometry": {"quantification": 10000, "add_offset": offset_dn},
    }


def shift(dn: NDArray[np.uint16], by: int = SHIFT_DN) -> NDArray[np.uint16]:
    """Returns numbers moved by an offset as a processing baseline does: nodata stays, the top saturates."""
    moved = np.minimum(dn.astype(np.int64) + by, np.iinfo(np.uint16).max)
    return np.where(dn == 0, 0, moved).astype(np.uint16)


def _make(target: Path, fill: Callable[[Path], None], declaration: dict[str, Any]) -> Path:
    if not target.exists():
        with whole_folder(target) as part:
            fill(part)
            # JSON is YAML too.
            (part / DECLARATION).write_text(json.dumps(declaration, indent=2) + "\n", encoding="utf-8")
    return target
