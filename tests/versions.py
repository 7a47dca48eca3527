"""Versions made directly from generated landscapes, without drop folder and checks."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import numpy as np
import shapely

from geoml_ops.adapters.dvc import Store
from geoml_ops.adapters.nouns import Shelf
from geoml_ops.adapters.raster import write_scene
from geoml_ops.adapters.vector import write_polygons
from geoml_ops.core.bands import SENTINEL_2_L1C as CONTRACT
from geoml_ops.core.flow import Ancillary, Labels, Scene, Version
from geoml_ops.core.grid import Bounds, Grid
from geoml_ops.core.noun import FileRef
from geoml_ops.domain.resampling import refine
from geoml_ops.domain.world import World
from geoml_ops.platform.files import sha256_of
from geoml_ops.steps.places import Places

Labelled = tuple[Sequence[shapely.Geometry], Sequence[str], str]
EXPERIMENT: dict[str, Any] = {
    "name": "world",
    "sensor": "sentinel-2-l1c",
    "features": ["B03", "B04", "B08", "B11", "NDVI"],
    "classes": {
        "built": {"labels": ["residential"], "colour": "#d7263d"},
        "cropland": {"labels": ["farm"], "colour": "#e9c46a"},
        "grass": {"labels": ["meadow"], "colour": "#8ab17d"},
        "forest": {"labels": ["forest"], "colour": "#1b5e20"},
        "water": {"labels": ["water"], "colour": "#2a6fbb"},
    },
    "ignored_labels": ["scrub"],
    "sampling": {"per_polygon": 8},
    "folds": {"block_m": 600.0, "buffer_m": 60.0, "n_folds": 4},
    "families": {
        "random_forest": {"n_estimators": 12, "max_depth": 8},
        "xgboost": {"n_estimators": 12, "max_depth": 3, "device": "cpu"},
    },
    "gate": {"least_blocks": 10},
}


def places_in(folder: Path, tracking_uri: str = "http://127.0.0.1:9", **experiment: Any) -> Places:
    """Returns empty places with an experiment for :mod:`geoml_ops.domain.world`."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "experiment.yaml"
    file.write_text(json.dumps({**EXPERIMENT, **experiment}))
    return Places(
        workspace=folder / "workspace",
        store=folder / "store",
        remote=str(folder / "remote"),
        drop=folder / "drop",
        tracking_uri=tracking_uri,
        model="world",
        experiment=file,
        policy=folder / "policy.yaml",
    )


def cube(world: World) -> np.ndarray:
    """Returns all bands of a world on its common grid, ``(band, y, x)`` uint16."""
    factors = [round(band.gsd_m / CONTRACT.pixel_m) for band in CONTRACT.bands]
    return np.stack(
        [refine(world.bands[b.name], f, b.resampling) for b, f in zip(CONTRACT.bands, factors, strict=True)]
    ).astype(np.uint16)


def keep_version(
    places: Places,
    scenes: Mapping[str, tuple[np.ndarray, Grid]],
    labels: Mapping[str, Labelled],
    others: Mapping[str, Path] | None = None,
) -> Version:
    """Returns a version that holds these scenes, label deliveries and files of other ground; all is in the store."""
    store, shelf = Store(places.store, places.remote), Shelf(places.nouns)
    with store.lock():
        kept = []
        for day, (name, (dn, grid)) in enumerate(scenes.items()):
            path = f"data/scenes/{name}/scene.tif"
            (store.root / path).parent.mkdir(parents=True, exist_ok=True)
            write_scene(store.root / path, dn, grid, CONTRACT, CONTRACT.radiometry)
            kept.append(shelf.put(_scene(name, grid, _ref(store, path), day)))
        drawn = []
        for name, (shapes, names, crs) in labels.items():
            path = f"data/labels/{name}/labels.gpkg"
            (store.root / path).parent.mkdir(parents=True, exist_ok=True)
            write_polygons(store.root / path, shapes, names, "fclass", crs)
            left, bottom, right, top = (float(v) for v in shapely.total_bounds(np.asarray(shapes)))
            drawn.append(
                shelf.put(
                    Labels(
                        name=name,
                        crs=crs,
                        bounds=Bounds(left=left, bottom=bottom, right=right, top=top),
                        class_field="fclass",
                        n_polygons={n: list(names).count(n) for n in sorted(set(names))},
                        file=_ref(store, path),
                    )
                )
            )
        beside = [shelf.put(_ancillary(store, name, path)) for name, path in (others or {}).items()]
        rev, data = store.save("A state for tests", 1_487_240_461)
    return shelf.put(
        Version(
            rev=rev,
            data=data,
            scenes=tuple(s.id for s in kept),
            labels=tuple(d.id for d in drawn),
            ancillaries=tuple(a.id for a in beside),
            verdicts=(),
        )
    )


def _ancillary(store: Store, name: str, path: Path) -> Ancillary:
    goal = f"data/ancillaries/{name}/ancillary{path.suffix}"
    (store.root / goal).parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(path, store.root / goal)
    whole = Bounds(left=0.0, bottom=0.0, right=1.0, top=1.0)
    form: Literal["raster", "vector"] = "raster" if path.suffix == ".tif" else "vector"
    return Ancillary(
        name=name,
        form=form,
        crs="EPSG:4326",
        bounds=whole,
        unit="m" if form == "raster" else "",
        file=_ref(store, goal),
    )


def _scene(name: str, grid: Grid, file: FileRef, day: int) -> Scene:
    return Scene(
        name=name,
        sensor=CONTRACT.sensor,
        acquired=datetime(2017, 2, 16, 10, 21, 1, tzinfo=UTC) + timedelta(days=day),
        baseline="02.04",
        declared=CONTRACT.radiometry,
        grid=grid,
        bands=(),
        file=file,
    )


def _ref(store: Store, path: str) -> FileRef:
    return FileRef(path=path, sha256=sha256_of(store.root / path), size=(store.root / path).stat().st_size)
