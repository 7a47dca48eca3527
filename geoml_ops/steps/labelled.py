"""The labels of a version, opened once and mapped to the classes of an experiment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import shapely
from numpy.typing import NDArray

from geoml_ops.adapters import raster, vector
from geoml_ops.adapters.crs import is_geographic, reproject
from geoml_ops.adapters.nouns import Shelf
from geoml_ops.core.errors import BadInput
from geoml_ops.core.experiment import Experiment
from geoml_ops.core.flow import Labels, Version
from geoml_ops.core.grid import Bounds, Grid
from geoml_ops.domain.checks import POINTS
from geoml_ops.domain.delivery import plain_labels, weight_flaws
from geoml_ops.domain.sampling import Lookup, polygon_ids
from geoml_ops.steps.imagery import file_of
from geoml_ops.steps.places import Places

_LONGEST_M, _LONGEST_DEGREES = 1000.0, 0.01
_MOST_PIECES = 100_000
_POLAR_DEGREES = 80.0
_NO_OBJECTS = np.empty(0, dtype=object)


@dataclass(frozen=True)
class Records:
    """Labelled polygons, or labelled points, in one CRS; arrays have one entry each.

    Attributes:
        crs: of the geometries.
        shapes: the geometries.
        ids: their names, from their content as it was delivered.
        codes: class code of each.
        weights: how much each counts.
        origins: id of the labels that each came with.
    """

    crs: str
    shapes: NDArray[np.object_]
    ids: NDArray[np.object_]
    codes: NDArray[np.int64]
    weights: NDArray[np.float64]
    origins: NDArray[np.object_]


@dataclass(frozen=True)
class Coded:
    """A raster of labels.

    Attributes:
        path: of the file.
        facts: what it says about itself.
        lookup: from its codes to class codes.
        name: from its content.
        origin: id of the labels.
    """

    path: Path
    facts: raster.CodedRaster
    lookup: Lookup
    name: str
    origin: str


@dataclass(frozen=True)
class Opened:
    """What an experiment asks for of the labels of a version: polygons and points by delivery, and rasters."""

    polygons: tuple[Records, ...]
    points: tuple[Records, ...]
    rasters: tuple[Coded, ...]


def open_labels(places: Places, version: Version, experiment: Experiment, *, judging: bool = False) -> Opened:
    """Returns the labels of a version, mapped to the classes of an experiment.

    Args:
        places: where things are.
        version: whose labels.
        experiment: that names the classes.
        judging: whether labels that are kept from learning are among them.

    Raises:
        BadInput: a label is unknown, a weight is none, or a raster is to be drawn from without a limit.
        Refused: a file of the version is not the one its noun names.
    """
    held = [Shelf(places.nouns).get(Labels, labels_id) for labels_id in version.labels]
    found = [labels for labels in held if judging or labels.use == "learning"]
    _require_field(found, experiment.sampling.weight_field)
    opened: list[tuple[Records, Records] | Coded] = []
    for labels in found:
        path = file_of(places, version, labels.file)
        is_raster = labels.form == "raster"
        opened.append(_coded(path, labels, experiment) if is_raster else _records(path, labels, experiment))
    return Opened(
        polygons=tuple(each[0] for each in opened if not isinstance(each, Coded)),
        points=tuple(each[1] for each in opened if not isinstance(each, Coded)),
        rasters=tuple(each for each in opened if isinstance(each, Coded)),
    )


def moved_to(grid: Grid, parts: Sequence[Records]) -> Records:
    """Returns the records of several deliveries in the CRS of a scene, as :func:`on_ground`."""
    shapes = [on_ground(part.shapes, part.crs, grid.crs, grid.bounds) for part in parts]
    return Records(
        crs=grid.crs,
        shapes=np.concatenate([_NO_OBJECTS, *shapes]),
        ids=np.concatenate([_NO_OBJECTS, *(part.ids for part in parts)]),
        codes=np.concatenate([np.empty(0, dtype=np.int64), *(part.codes for part in parts)]),
        weights=np.concatenate([np.empty(0), *(part.weights for part in parts)]),
        origins=np.concatenate([_NO_OBJECTS, *(part.origins for part in parts)]),
    )


def on_ground(shapes: NDArray[np.object_], source: str, target: str, ground: Bounds) -> NDArray[np.object_]:
    """Returns geometries in another CRS, right wherever they lie on some ground.

    Edges are cut into pieces before they are moved. Of a polygon that reaches far beyond the ground only the part
    around it is moved: projections are defined near their middle only. What lies outside even so is empty.

    Args:
        shapes: geometries, None for none.
        source: their CRS.
        target: the CRS that is wanted.
        ground: that matters, in ``target``.
    """
    if source == target or not len(shapes):
        return shapes
    degrees = is_geographic(source)
    near, far = _around(ground, source, target, degrees)
    with np.errstate(invalid="ignore"):
        edges = shapely.bounds(shapes)
        wide = (edges[:, :2] < far[:2]).any(axis=1) | (edges[:, 2:] > far[2:]).any(axis=1)
        cut = np.flatnonzero(wide & (shapely.get_dimensions(shapes) == 2) & shapely.is_valid(shapes))
        here = shapes.copy()
        here[cut] = shapely.intersection(shapes[cut], shapely.box(*near))
        moved = reproject(_pieces(here, degrees), source, target)
    coordinates, of = shapely.get_coordinates(moved, return_index=True)
    moved[np.unique(of[~np.isfinite(coordinates).all(axis=1)])] = shapely.Polygon()
    return moved


def _around(ground: Bounds, source: str, target: str, degrees: bool) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Returns left, bottom, right, top in ``source`` of what lies around some ground, and far around it."""
    lattice = np.linspace(-0.1, 1.1, 25)
    east = ground.left + lattice * (ground.right - ground.left)
    north = ground.bottom + lattice * (ground.top - ground.bottom)
    x, y = np.meshgrid(east, north)
    places = shapely.get_coordinates(reproject(shapely.points(x.ravel(), y.ravel()), target, source))
    places = places[np.isfinite(places).all(axis=1)]
    if not len(places):
        everywhere = np.array([-np.inf, -np.inf, np.inf, np.inf])
        return everywhere, everywhere
    low, high = places.min(axis=0), places.max(axis=0)
    size = high - low
    if degrees and np.abs(places[:, 1]).max() > _POLAR_DEGREES:
        # Around a pole all longitudes meet, between any two places of a lattice.
        low, high = np.array([-360.0, min(low[1], 90.0)]), np.array([360.0, 90.0])
        low, high = (low, high) if places[0, 1] > 0 else (-high, -low)
    return np.concatenate([low - 0.05 * size, high + 0.05 * size]), np.concatenate([low - 3 * size, high + 3 * size])


def _pieces(shapes: NDArray[np.object_], degrees: bool) -> NDArray[np.object_]:
    # Only vertices are moved, and a straight line of one CRS is bent in another: 2 cm on 1 km at 52 degrees.
    longest = np.maximum(_LONGEST_DEGREES if degrees else _LONGEST_M, shapely.length(shapes) / _MOST_PIECES)
    return np.asarray(shapely.segmentize(shapes, np.where(np.isfinite(longest), longest, 1e9)), dtype=object)


def _require_field(found: Sequence[Labels], field: str) -> None:
    vectors = [labels for labels in found if labels.form == "vector"]
    if field and vectors and not any(field in labels.fields for labels in vectors):
        has = sorted({name for labels in vectors for name in labels.fields})
        raise BadInput(
            f"sampling.weight_field is {field[:60]!r}, and no delivery of labels has numbers under that name; there "
            f"are {', '.join(has)[:200] or 'none'}.",
            "name a field of numbers; deliver labels again that were accepted before their fields were kept",
        )


def _records(path: Path, labels: Labels, experiment: Experiment) -> tuple[Records, Records]:
    """Returns the polygons and the points of a delivery; several points in one record are one entry each."""
    layer = vector.read_layer(path)
    names = plain_labels(layer.column(labels.class_field, path.name))
    weights = _weights(layer, labels, experiment.sampling.weight_field)
    mapped = [experiment.code_of(name or "") for name in names]
    there = [code is not None and _is_there(g) for code, g in zip(mapped, layer.geometries, strict=True)]
    point = [there[n] and g.geom_type in POINTS for n, g in enumerate(layer.geometries)]
    codes = np.array([-1 if code is None else code for code in mapped], dtype=np.int64)

    def of(mine: NDArray[np.int64], shapes: NDArray[np.object_]) -> Records:
        ids = np.asarray(polygon_ids(list(shapes)), dtype=object)
        origins = np.full(len(mine), labels.id, dtype=object)
        return Records(layer.crs, shapes, ids, codes[mine], weights[mine], origins)

    polygons, dots = np.flatnonzero(np.array(there) & ~np.array(point, dtype=bool)), np.flatnonzero(point)
    if not len(dots):
        return of(polygons, layer.geometries[polygons]), of(dots, _NO_OBJECTS)
    parts, record = shapely.get_parts(layer.geometries[dots], return_index=True)
    return of(polygons, layer.geometries[polygons]), of(dots[record], np.asarray(parts, dtype=object))


def _is_there(geometry: shapely.Geometry | None) -> bool:
    return geometry is not None and not shapely.is_empty(geometry)


def _weights(layer: vector.Layer, labels: Labels, field: str) -> NDArray[np.float64]:
    """Returns how much each record counts: 1 where it does not say."""
    if not field or field not in labels.fields:
        return np.ones(len(layer.geometries))
    values = layer.column(field, labels.name)
    flaws = [flaw for flaw in weight_flaws(values) if flaw]
    if flaws:
        raise BadInput(
            f"{len(flaws)} of {len(values)} weights ({field[:60]}) of {labels.name} cannot be: {flaws[0]}.",
            "deliver numbers from 0; a record without one counts 1",
        )
    given = np.array([np.nan if value is None else float(value) for value in values])
    return np.where(np.isnan(given), 1.0, given)


def _coded(path: Path, labels: Labels, experiment: Experiment) -> Coded:
    if experiment.sampling.per_class is None:
        raise BadInput(
            f"The labels {labels.name} are a raster of {sum(labels.n_pixels.values()):,} labelled pixels, and the "
            "experiment does not say how many samples a class may have.",
            "write sampling: {per_class: 2000}, or another number",
        )
    named = {e.code: e.name for e in labels.legend if e.name in labels.n_pixels and e.code != labels.nodata}
    mapped = {code: experiment.code_of(name) for code, name in named.items()}
    lookup = Lookup({code: mine for code, mine in mapped.items() if mine is not None})
    return Coded(path, raster.describe_codes(path), lookup, labels.file.sha256[:16], labels.id)
