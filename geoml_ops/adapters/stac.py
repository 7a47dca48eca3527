"""STAC items of scenes, made with pystac and checked against the schemas it carries: no network."""

from __future__ import annotations

import json
from typing import Any

import pyproj
import pystac
import shapely
from jsonschema import Draft7Validator
from jsonschema.exceptions import best_match
from pystac.extensions.file import FileExtension
from pystac.extensions.projection import ProjectionExtension
from pystac.validation.local_validator import get_local_schema_cache
from referencing import Registry, Resource

from geoml_ops.core.bands import CONTRACTS, SENTINEL_2, Contract
from geoml_ops.core.errors import Refused
from geoml_ops.core.flow import Scene

_EDGE_POINTS = 5


def scene_item(scene: Scene, contract: Contract) -> dict[str, Any]:
    """Returns a STAC 1.1 item: one asset, its bands named, with radiometry, grid and checksum.

    Args:
        scene: the scene to describe; its file is the asset.
        contract: of the scene's sensor.

    Raises:
        Refused: the item breaks the STAC schemas.
    """
    footprint = _footprint(scene)
    item = pystac.Item(
        id=scene.name,
        geometry=shapely.geometry.mapping(footprint),
        bbox=list(footprint.bounds),
        datetime=scene.acquired,
        properties={
            **_origin(scene),
            "geoml:id": scene.id,
            "geoml:sensor": scene.sensor,
            "geoml:crs_class": contract.crs_class,
            "gsd": scene.grid.pixel_m,
        },
    )
    item.stac_extensions += [
        "https://stac-extensions.github.io/eo/v2.0.0/schema.json",
        "https://stac-extensions.github.io/raster/v2.0.0/schema.json",
        "https://stac-extensions.github.io/processing/v1.2.0/schema.json",
    ]
    asset = pystac.Asset(
        href=scene.file.path.rsplit("/", 1)[-1],
        media_type="image/tiff; application=geotiff",
        roles=["data"],
        extra_fields={"bands": [_band(scene, contract, source.name) for source in scene.bands]},
    )
    item.add_asset("data", asset)
    grid = scene.grid
    projection = ProjectionExtension.ext(item, add_if_missing=True)
    projection.code = grid.crs
    projection.shape = list(grid.shape)
    projection.transform = list(grid.transform)
    projection.bbox = list(grid.bounds.as_tuple())
    file = FileExtension.ext(asset, add_if_missing=True)
    file.checksum = f"1220{scene.file.sha256}"
    file.size = scene.file.size
    # Shapely and pystac leave tuples in; the schemas know lists only.
    content: dict[str, Any] = json.loads(json.dumps(item.to_dict(include_self_link=False)))
    check_item(content)
    return content


def check_item(content: dict[str, Any]) -> None:
    """Holds an item against the STAC core and GeoJSON schemas that pystac carries.

    Raises:
        Refused: with the complaint that says most.
    """
    schemas = get_local_schema_cache()
    registry: Registry[Any] = Registry().with_resources(
        [(uri, Resource.from_contents(schema)) for uri, schema in schemas.items()]
    )
    item_schema = next(schema for uri, schema in schemas.items() if uri.endswith("/item.json"))
    complaints = Draft7Validator(item_schema, registry=registry).iter_errors(content)
    worst = best_match(complaints)
    if worst is not None:
        raise Refused(f"The STAC item of {content.get('id')!r} is not valid: {worst.json_path}: {worst.message[:300]}.")


def _origin(scene: Scene) -> dict[str, Any]:
    """Returns who made the product and how far it was processed, for the sensors that STAC has words for."""
    level = scene.sensor.rsplit("-", 1)[-1].upper()
    if scene.sensor in SENTINEL_2:
        return {"constellation": "sentinel-2", "processing:level": level, "s2:processing_baseline": scene.baseline}
    if scene.sensor.startswith("landsat-") and scene.sensor in CONTRACTS:
        return {"constellation": "landsat", "processing:level": level, "landsat:collection_number": "02"}
    return {}


def _band(scene: Scene, contract: Contract, name: str) -> dict[str, Any]:
    band = contract.band(name)
    source = next(s for s in scene.bands if s.name == name)
    rule = source.declared or scene.declared
    said = {
        "name": name,
        "gsd": source.gsd_m,
        "data_type": contract.dtype,
        "nodata": "nan" if rule.nodata is None and contract.dtype.startswith("float") else rule.nodata,
        "unit": band.unit,
        "eo:common_name": band.common_name or None,
        "eo:center_wavelength": None if band.centre_nm is None else band.centre_nm / 1000,
        "raster:scale": rule.scale,
        "raster:offset": rule.offset_dn * rule.scale,
        "raster:spatial_resolution": scene.grid.pixel_m,
        "geoml:resampling": source.resampling,
        "geoml:valid": list(band.valid),
    }
    return {key: value for key, value in said.items() if value is not None}


def _footprint(scene: Scene) -> shapely.Polygon:
    """The grid's outline in longitude and latitude, with points along its edges."""
    box = shapely.box(*scene.grid.bounds.as_tuple())
    longest = max(scene.grid.shape) * scene.grid.pixel_m
    outline = shapely.segmentize(box, longest / _EDGE_POINTS)
    turn = pyproj.Transformer.from_crs(scene.grid.epsg, 4326, always_xy=True)
    return shapely.transform(
        outline, lambda points: shapely.get_coordinates(shapely.points(*turn.transform(points[:, 0], points[:, 1])))
    ).normalize()
