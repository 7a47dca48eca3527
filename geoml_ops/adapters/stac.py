"""STAC items of scenes and of maps, made with pystac and checked against the schemas it carries: no network."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
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
from geoml_ops.core.flow import Bundle, Prediction, Scene
from geoml_ops.core.grid import Grid
from geoml_ops.core.noun import FileRef
from geoml_ops.core.words import plain_names

_EDGE_POINTS = 5


def scene_item(scene: Scene, contract: Contract) -> dict[str, Any]:
    """Returns a STAC 1.1 item: one asset, its bands named, with radiometry, grid and checksum.

    Args:
        scene: the scene to describe; its file is the asset.
        contract: of the scene's sensor.

    Raises:
        Refused: the item breaks the STAC schemas.
    """
    footprint = _outline(scene.grid)
    item = pystac.Item(
        id=scene.name,
        geometry=shapely.geometry.mapping(footprint),
        bbox=_bbox(footprint),
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
    _project(item, scene.grid)
    file = FileExtension.ext(asset, add_if_missing=True)
    file.checksum = f"1220{scene.file.sha256}"
    file.size = scene.file.size
    # Shapely and pystac leave tuples in; the schemas know lists only.
    content: dict[str, Any] = json.loads(json.dumps(item.to_dict(include_self_link=False)))
    check_item(content)
    return content


def map_item(
    prediction: Prediction,
    bundle: Bundle,
    scenes: Sequence[Scene],
    *,
    made: datetime,
    files: Mapping[str, FileRef],
    version: str,
) -> dict[str, Any]:
    """Returns a STAC 1.1 item of a map: its bands and classes, the model that made it, the scenes it shows.

    Its time is that of the scenes; where none is known it is the time of the answer, and ``geoml:time_of`` says so.

    Args:
        prediction: whose map is described.
        bundle: that made it.
        scenes: that the raster was, or was cut from; empty where that is not known.
        made: when it was answered, aware.
        files: by role what lies beside the item: ``map``, and where there are any ``attributes``, ``outlines``.
        version: of this platform.

    Raises:
        Refused: the item breaks the STAC schemas.
    """
    footprint = _outline(prediction.grid)
    times = sorted(scene.acquired for scene in scenes)
    item = pystac.Item(
        id=prediction.id,
        geometry=shapely.geometry.mapping(footprint),
        bbox=_bbox(footprint),
        datetime=made.astimezone(UTC) if not times else times[0] if len(set(times)) == 1 else None,
        start_datetime=times[0] if len(set(times)) > 1 else None,
        end_datetime=times[-1] if len(set(times)) > 1 else None,
        properties={
            "title": f"{', '.join(bundle.classes)}: {prediction.source_name}"[:200],
            "created": made.astimezone(UTC).isoformat().replace("+00:00", "Z"),
            "gsd": prediction.grid.pixel_m,
            "processing:level": "L3",
            "processing:software": {"geoml-ops": version},
            "processing:lineage": _lineage(prediction, bundle),
            "processing:expression": {"format": "mlm", "expression": bundle.id},
            "mlm:name": prediction.model,
            "mlm:framework": "ONNX",
            "geoml:time_of": "acquisition" if times else "answer",
            "geoml:prediction": prediction.id,
            "geoml:bundle": bundle.id,
            "geoml:graph_sha256": prediction.graph_sha256,
            "geoml:number": prediction.number,
            "geoml:version": bundle.version,
            "geoml:evaluation": bundle.evaluation,
            "geoml:scenes": list(prediction.scenes),
            "geoml:source_sha256": prediction.source.sha256,
            "geoml:class_shares": prediction.class_shares,
            "geoml:valid_share": prediction.valid_share,
            "geoml:outside_share": prediction.outside_share,
        },
    )
    item.stac_extensions += [
        "https://stac-extensions.github.io/classification/v2.0.0/schema.json",
        "https://stac-extensions.github.io/mlm/v1.4.0/schema.json",
        "https://stac-extensions.github.io/processing/v1.2.0/schema.json",
        "https://stac-extensions.github.io/raster/v2.0.0/schema.json",
    ]
    _project(item, prediction.grid)
    for role, file in files.items():
        media, roles = _MAP_FILES[role]
        asset = pystac.Asset(href=file.path, media_type=media, roles=list(roles), extra_fields=_map_bands(role, bundle))
        item.add_asset(role, asset)
        told = FileExtension.ext(asset, add_if_missing=True)
        told.checksum, told.size = f"1220{file.sha256}", file.size
    for scene in scenes:
        item.add_link(pystac.Link("derived_from", f"{scene.name}.json", "application/geo+json", scene.id))
    content: dict[str, Any] = json.loads(json.dumps(item.to_dict(include_self_link=False)))
    check_item(content)
    return content


_MAP_FILES: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "map": ("image/tiff; application=geotiff; profile=cloud-optimized", ("data", "labels", "labels-raster")),
    "attributes": ("application/xml", ("metadata",)),
    "outlines": ("application/geopackage+sqlite3", ("data", "labels", "labels-vector")),
    "flatgeobuf": ("application/vnd.flatgeobuf", ("data", "labels", "labels-vector")),
}


def _map_bands(role: str, bundle: Bundle) -> dict[str, Any]:
    """Returns what the first two bands hold; the file itself tells of the others."""
    if role != "map":
        return {}
    told = zip(plain_names(bundle.classes), bundle.classes, bundle.colours, strict=True)
    classes = [
        {"value": code, "name": name, "title": title, "color_hint": colour.removeprefix("#").upper()}
        for code, (name, title, colour) in enumerate(told)
    ]
    classes.append({"value": 255, "name": "no_answer", "title": "no answer", "nodata": True})
    return {
        "bands": [
            {"name": "class", "data_type": "uint8", "nodata": 255, "classification:classes": classes},
            {"name": "confidence", "data_type": "uint8", "nodata": 255, "unit": "percent"},
        ]
    }


def _lineage(prediction: Prediction, bundle: Bundle) -> str:
    return (
        f"{prediction.model} {prediction.number} ({bundle.id}, ONNX graph sha256 {prediction.graph_sha256}) on a "
        f"raster of sha256 {prediction.source.sha256}; learned from {bundle.version}, scored by {bundle.evaluation}."
    )


def _project(item: pystac.Item, grid: Grid) -> None:
    projection = ProjectionExtension.ext(item, add_if_missing=True)
    projection.code = grid.crs
    projection.shape = list(grid.shape)
    projection.transform = list(grid.transform)
    projection.bbox = list(grid.bounds.as_tuple())


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


def _bbox(footprint: Any) -> list[float]:
    """Returns west, south, east, north; west is larger than east where 180 degrees lies between (RFC 7946, 5.2)."""
    if footprint.geom_type == "Polygon":
        return list(footprint.bounds)
    west = max(part.bounds[0] for part in footprint.geoms)
    east = min(part.bounds[2] for part in footprint.geoms)
    return [west, footprint.bounds[1], east, footprint.bounds[3]]


def _outline(grid: Grid) -> Any:
    """The grid's outline in longitude and latitude, with points along its edges; in two parts across 180 degrees."""
    box = shapely.box(*grid.bounds.as_tuple())
    longest = max(grid.shape) * grid.pixel_m
    outline = shapely.segmentize(box, longest / _EDGE_POINTS)
    turn = pyproj.Transformer.from_crs(grid.epsg, 4326, always_xy=True)

    def turned(points: Any) -> Any:
        east, north = turn.transform(points[:, 0], points[:, 1])
        return np.column_stack([east, north])

    found = shapely.transform(outline, turned)
    west, _, east, _ = found.bounds
    if east - west <= 180:
        return found.normalize()
    # RFC 7946: what crosses the antimeridian is cut there; west of it numbers go on below -180 for a moment.
    whole = shapely.transform(
        found, lambda p: np.column_stack([np.where(p[:, 0] > 0, p[:, 0] - 360, p[:, 0]), p[:, 1]])
    )
    here = shapely.intersection(whole, shapely.box(-180, -90, 180, 90))
    beyond = shapely.intersection(whole, shapely.box(-540, -90, -180, 90))
    there = shapely.transform(beyond, lambda p: p + np.array([360.0, 0.0]))
    parts = [part for part in (here, there) if not part.is_empty]
    return shapely.multipolygons(parts).normalize() if len(parts) > 1 else parts[0].normalize()
