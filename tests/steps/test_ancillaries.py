"""Other ground on its way into a version: kept byte for byte, found by name, refused with a sentence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import yaml

from geoml_ops.adapters.dvc import Store
from geoml_ops.adapters.nouns import Shelf
from geoml_ops.core.flow import Ancillary, Verdict, Version
from geoml_ops.domain.world import landscape
from geoml_ops.platform.files import sha256_of
from geoml_ops.steps import deliver, ingest
from geoml_ops.steps.places import Places
from tests.versions import places_in

WORLD = landscape(120, 96, seed=1)


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return places_in(tmp_path)


def elevation(folder: Path, *, bands: int = 1, crs: Any = "EPSG:4326", name: str = "dem.tif") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    profile = {
        "driver": "GTiff", "dtype": "float32", "count": bands, "height": 40, "width": 50, "crs": crs,
        "transform": rasterio.Affine(0.001, 0, 12.5, 0, -0.001, 52.6), "nodata": -9999.0,
    }  # fmt: skip
    with rasterio.open(folder / name, "w", **profile) as target:
        target.write(np.random.default_rng(0).normal(50, 5, (bands, 40, 50)).astype(np.float32))
    return folder / name


def declare(folder: Path, **content: Any) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "delivery.yaml").write_text(yaml.safe_dump({"kind": "ancillary", **content}))


def roads(folder: Path, features: list[dict[str, Any]] | None = None) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    line = {"type": "LineString", "coordinates": [[12.5, 52.5], [12.6, 52.6]]}
    own = [{"type": "Feature", "properties": {"kind": "track"}, "geometry": line}]
    content = {"type": "FeatureCollection", "features": own if features is None else features}
    (folder / "roads.geojson").write_text(json.dumps(content))
    return folder / "roads.geojson"


def test_an_elevation_model_and_roads_enter_a_version_as_they_were_delivered(places: Places) -> None:
    deliver.write_delivery(WORLD, places.drop / "one")
    dem = elevation(places.drop / "dem")
    declare(places.drop / "dem", file="dem.tif", unit="m")
    lines = roads(places.drop / "roads")
    declare(places.drop / "roads", file="roads.geojson")
    digests = {"dem": sha256_of(dem), "roads": sha256_of(lines)}
    verdicts = [ingest.check(places, name) for name in ingest.collect(places)]
    assert all(v.accepted for v in verdicts), [v.reasons for v in verdicts]
    version = ingest.track(places)
    assert isinstance(version, Version)
    shelf, store = Shelf(places.nouns), Store(places.store, places.remote)
    found = {noun.name: noun for noun in (shelf.get(Ancillary, i) for i in version.ancillaries)}
    assert {name: noun.file.sha256 for name, noun in found.items()} == digests
    assert (found["dem"].form, found["dem"].unit, found["dem"].crs) == ("raster", "m", "EPSG:4326")
    assert (found["roads"].form, found["roads"].fields) == ("vector", ("kind",))
    for noun in found.values():
        assert sha256_of(store.at(version.rev, noun.file.path)) == noun.file.sha256
    assert ingest.track(places) == version
    assert not list(places.incoming.iterdir())


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda f: declare(f, file="dem.tif"), "holds no file 'dem.tif'"),
        (lambda f: (elevation(f, bands=3), declare(f, file="dem.tif")), "holds 3 bands"),
        (lambda f: (elevation(f, crs=None), declare(f, file="dem.tif")), "no EPSG code"),
        (lambda f: ((f / "dem.tif").write_bytes(b"GIF89a"), declare(f, file="dem.tif")), "neither GeoTIFF nor JP2"),
        (lambda f: (roads(f, []), declare(f, file="roads.geojson")), "None of the 0 records"),
        (lambda f: (roads(f), declare(f, file="roads.geojson", colour="red")), "colour"),
        (lambda f: (roads(f), declare(f, file="../roads.geojson")), "holds no file"),
    ],
)
def test_what_cannot_be_read_is_refused_with_a_sentence(places: Places, make: Any, words: str) -> None:
    folder = places.drop / "other"
    folder.mkdir(parents=True)
    make(folder)
    verdict = ingest.check(places, "other")
    assert isinstance(verdict, Verdict)
    assert not verdict.accepted
    assert words in " ".join(verdict.reasons)
    assert not list(places.incoming.glob("ancillary-*"))
    assert list(places.quarantine.glob("other-*"))
