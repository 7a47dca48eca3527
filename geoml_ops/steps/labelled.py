"""The labels of a version: opened once, and the pixels of each scene that they put forward as samples."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import shapely
from numpy.typing import NDArray

from geoml_ops.adapters import raster, vector
from geoml_ops.adapters.crs import is_geographic, reproject
from geoml_ops.adapters.nouns import Shelf
from geoml_ops.core.errors import BadInput
from geoml_ops.core.experiment import Experiment, Sampling
from geoml_ops.core.flow import Labels, Version
from geoml_ops.core.grid import Grid
from geoml_ops.domain.delivery import plain_labels, weight_flaws
from geoml_ops.domain.sampling import (
    FORMS,
    Candidates,
    Chosen,
    Claims,
    Lookup,
    blocks_of,
    choose,
    choose_points,
    claimed_otherwise,
    draw_stratified,
    pixels_at,
    polygon_ids,
    seed_of,
    settled,
    together,
)
from geoml_ops.steps.imagery import file_of
from geoml_ops.steps.labels import placed
from geoml_ops.steps.places import Places

_POLYGON, _POINT, _PIXEL = range(len(FORMS))
_LONGEST_M, _LONGEST_DEGREES = 1000.0, 0.01
"""Edges of polygons are cut into such pieces before they are moved: straight lines of one CRS are bent in another."""
_MOST_PIECES = 200_000
Index = NDArray[np.int64]


@dataclass(frozen=True)
class Records:
    """Labelled polygons, or labelled points, of one delivery; all of a kind, one entry each.

    Attributes:
        crs: of the geometries.
        shapes: as they were delivered.
        ids: their names, from their content.
        codes: class code of each.
        weights: how much each counts.
        origin: id of the labels.
    """

    crs: str
    shapes: NDArray[np.object_]
    ids: NDArray[np.object_]
    codes: Index
    weights: NDArray[np.float64]
    origin: str

    def on(self, crs: str) -> NDArray[np.object_]:
        """Returns the geometries in another CRS."""
        if self.crs == crs or not len(self.shapes):
            return self.shapes
        return reproject(_pieces(self.shapes, is_geographic(self.crs)), self.crs, crs)


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
    """The labels of a version that an experiment asks for."""

    polygons: tuple[Records, ...]
    points: tuple[Records, ...]
    rasters: tuple[Coded, ...]


def open_labels(places: Places, version: Version, experiment: Experiment) -> Opened:
    """Returns the labels of a version, mapped to the classes of an experiment.

    Raises:
        BadInput: a label is unknown, a weight is none, or a raster is to be drawn from without a limit.
        Refused: a file of the version is not the one its noun names.
    """
    found = [Shelf(places.nouns).get(Labels, labels_id) for labels_id in version.labels]
    _require_field(found, experiment.sampling.weight_field)
    polygons: list[Records] = []
    points: list[Records] = []
    rasters: list[Coded] = []
    for labels in found:
        path = file_of(places, version, labels.file)
        if labels.form == "raster":
            rasters.append(_coded(path, labels, experiment))
        else:
            for records, kept in zip(_records(path, labels, experiment), (polygons, points), strict=True):
                kept.append(records)
    return Opened(tuple(polygons), tuple(points), tuple(rasters))


def _require_field(found: Sequence[Labels], field: str) -> None:
    vectors = [labels for labels in found if labels.form == "vector"]
    if field and vectors and not any(field in labels.fields for labels in vectors):
        has = sorted({name for labels in vectors for name in labels.fields})
        raise BadInput(
            f"sampling.weight_field is {field[:60]!r}; no delivery of labels has numbers under that name"
            f" (there are {', '.join(has)[:200] or 'none'}).",
            "name a field of numbers, and deliver labels that were accepted before fields were kept again",
        )


def _records(path: Path, labels: Labels, experiment: Experiment) -> tuple[Records, Records]:
    layer = vector.read_layer(path)
    names = plain_labels(layer.column(labels.class_field, path.name))
    weights = _weights(layer, labels, experiment.sampling.weight_field)
    codes = [experiment.code_of(name or "") for name in names]
    geometries = layer.geometries
    kept = [p for p, code in enumerate(codes) if code is not None and not _empty(geometries[p])]
    parts: list[Records] = []
    for is_point in (False, True):
        mine = np.array([p for p in kept if (geometries[p].geom_type in _POINTS) == is_point], dtype=np.int64)
        shapes, of = geometries[mine], np.arange(len(mine))
        if is_point and len(mine):
            shapes, of = shapely.get_parts(shapes, return_index=True)
        code = np.array([codes[p] for p in mine], dtype=np.int64)
        ids = np.asarray(polygon_ids(list(shapes)), dtype=object)
        parts.append(Records(layer.crs, shapes, ids, code[of], weights[mine][of], labels.id))
    return parts[0], parts[1]


_POINTS = ("Point", "MultiPoint")


def _empty(geometry: shapely.Geometry | None) -> bool:
    return geometry is None or bool(shapely.is_empty(geometry))


def _weights(layer: vector.Layer, labels: Labels, field: str) -> NDArray[np.float64]:
    if not field or field not in layer.columns:
        return np.ones(len(layer.geometries))
    values = layer.columns[field].tolist()
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
            f"The labels {labels.name} are a raster of {sum(labels.n_pixels.values()):,} labelled pixels, and "
            "sampling.per_class is not set.",
            "say in the experiment how many samples a class may have, sampling: {per_class: 2000} for instance",
        )
    codes = {}
    for entry in labels.legend:
        if entry.name in labels.n_pixels and entry.code != labels.nodata:
            code = experiment.code_of(entry.name)
            if code is not None:
                codes[entry.code] = code
    return Coded(path, raster.describe_codes(path), Lookup(codes), labels.file.sha256[:16], labels.id)


def _pieces(shapes: NDArray[np.object_], degrees: bool) -> NDArray[np.object_]:
    longest = _LONGEST_DEGREES if degrees else _LONGEST_M
    return np.asarray(shapely.segmentize(shapes, np.maximum(longest, shapely.length(shapes) / _MOST_PIECES)))


# --- the candidates of a scene ---------------------------------------------------------------


def candidates_on(grid: Grid, opened: Opened, sampling: Sampling, n_classes: int) -> tuple[Candidates, dict[str, int]]:
    """Returns the pixels of a scene that labels put forward, each once, and what gave none, by reason.

    A pixel that labels of two classes claim is none: be it two polygons, or a point on a raster of another class.
    """
    left_out: dict[str, int] = {}
    with ExitStack() as stack:
        codes = {coded.name: stack.enter_context(raster.open_codes(coded.path)) for coded in opened.rasters}
        found, claims = [], []
        for candidates, claim, reasons in (
            _from_polygons(grid, opened.polygons, sampling),
            _from_points(grid, opened.points),
            *(_from_raster(grid, coded, codes[coded.name], sampling, n_classes) for coded in opened.rasters),
        ):
            found.append(candidates)
            claims.append(claim)
            _add(left_out, reasons)
        kept, reasons = settled(together(found), claims)
    _add(left_out, reasons)
    return kept, left_out


Offered = tuple[Candidates, Claims, dict[str, int]]


def _add(left_out: dict[str, int], reasons: Mapping[str, int]) -> None:
    for reason, count in reasons.items():
        left_out[reason] = left_out.get(reason, 0) + count


def _from_polygons(grid: Grid, parts: Sequence[Records], sampling: Sampling) -> Offered:
    records = _joined(parts)
    shapes = np.concatenate([np.empty(0, dtype=object), *(part.on(grid.crs) for part in parts)])
    chosen = choose(
        list(shapes),
        records.codes.tolist(),
        grid,
        ids=records.ids.tolist(),
        per_polygon=sampling.per_polygon,
        seed=sampling.seed,
    )
    anchors = shapely.get_coordinates(shapely.point_on_surface(shapes)) if len(shapes) else np.empty((0, 2))
    places = _places_of(shapes, anchors)
    claim = partial(_polygon_claims, shapes=shapes, codes=records.codes.tolist(), grid=grid)
    return _candidates(chosen, records, places, _POLYGON, sampling.seed), claim, chosen.left_out


def _places_of(shapes: NDArray[np.object_], anchors: NDArray[np.float64]) -> NDArray[np.float64]:
    """Returns one anchor per polygon, NaN for one that lies nowhere in this CRS."""
    if len(anchors) == len(shapes):
        return anchors
    return np.array([_anchor(shape) for shape in shapes], dtype=np.float64)


def _anchor(shape: shapely.Geometry) -> tuple[float, float]:
    point = shapely.point_on_surface(shape)
    return (np.nan, np.nan) if shapely.is_empty(point) else (float(point.x), float(point.y))


def _polygon_claims(
    rows: Index, cols: Index, own: Index, *, shapes: NDArray[np.object_], codes: Sequence[int], grid: Grid
) -> NDArray[np.bool_]:
    return claimed_otherwise(rows, cols, own, shapes, codes, grid)


def _from_points(grid: Grid, parts: Sequence[Records]) -> Offered:
    records = _joined(parts)
    moved = np.concatenate([np.empty((0, 2)), *(shapely.get_coordinates(part.on(grid.crs)) for part in parts)])
    chosen = choose_points(moved[:, 0], moved[:, 1], records.codes.tolist(), grid, ids=records.ids.tolist())
    claim = partial(_point_claims, at=pixels_at(grid, moved[:, 0], moved[:, 1]), codes=records.codes, grid=grid)
    return _candidates(chosen, records, moved, _POINT, 0), claim, chosen.left_out


def _point_claims(
    rows: Index, cols: Index, own: Index, *, at: tuple[Index, Index], codes: Index, grid: Grid
) -> NDArray[np.bool_]:
    inside = at[0] >= 0
    where, code = (at[0] * grid.width + at[1])[inside], codes[inside]
    order = np.lexsort((code, where))
    where, code = where[order], code[order]
    wanted = rows * grid.width + cols
    first, last = np.searchsorted(where, wanted, "left"), np.searchsorted(where, wanted, "right")
    there = first < last
    found = np.zeros(len(rows), dtype=bool)
    # Sorted by class within a pixel: if any is another one, the first or the last of them is.
    found[there] = (code[first[there]] != own[there]) | (code[last[there] - 1] != own[there])
    return found


def _from_raster(grid: Grid, coded: Coded, source: raster.Codes, sampling: Sampling, n_classes: int) -> Offered:
    placing = placed(coded.facts, grid)
    picked = draw_stratified(
        lambda: blocks_of(grid, placing, source.at, coded.lookup),
        n_classes,
        per_class=sampling.per_class or 0,
        least_apart_px=sampling.least_apart_m / grid.pixel_m,
        seed=seed_of(coded.name, sampling.seed),
        shape=grid.shape,
    )
    n = len(picked.rows)
    east, north = grid.centres(picked.rows, picked.cols)
    units = [f"{coded.name}@{x:.3f},{y:.3f}" for x, y in zip(east, north, strict=True)]
    found = Candidates(
        rows=picked.rows,
        cols=picked.cols,
        code=picked.codes,
        form=np.full(n, _PIXEL, dtype=np.int64),
        unit=np.asarray(units, dtype=object),
        order=picked.order,
        rank=np.zeros(n, dtype=np.int64),
        anchor_easting=east,
        anchor_northing=north,
        origin=np.full(n, coded.origin, dtype=object),
        weight=np.ones(n),
    )

    def claim(rows: Index, cols: Index, own: Index) -> NDArray[np.bool_]:
        under = placing.pixels_under(grid, rows, cols)
        said = np.where(under[0] >= 0, coded.lookup(source.at(*under)), -1)
        return np.asarray((said >= 0) & (said != own))

    return found, claim, {}


def _joined(parts: Sequence[Records]) -> Records:
    def column(of: Callable[[Records], NDArray[np.generic]], empty: NDArray[np.generic]) -> NDArray[np.generic]:
        return np.concatenate([empty, *(of(part) for part in parts)])

    nothing, objects = np.empty(0, dtype=np.int64), np.empty(0, dtype=object)
    origins = [np.full(len(part.codes), part.origin, dtype=object) for part in parts]
    return Records(
        crs="",
        shapes=np.concatenate([objects, *origins]),
        ids=np.concatenate([objects, *(part.ids for part in parts)]),
        codes=np.concatenate([nothing, *(part.codes for part in parts)]),
        weights=np.concatenate([np.empty(0), *(part.weights for part in parts)]),
        origin="",
    )


def _candidates(
    chosen: Chosen, records: Records, places: NDArray[np.float64], form: int, seed: int
) -> Candidates:
    mine = chosen.polygon
    units = records.ids[mine]
    orders = {name: seed_of(f"{name}/unit", seed) for name in set(units.tolist())}
    return Candidates(
        rows=chosen.rows,
        cols=chosen.cols,
        code=records.codes[mine],
        form=np.full(len(mine), form, dtype=np.int64),
        unit=units,
        order=np.array([orders[name] for name in units.tolist()], dtype=np.uint64),
        rank=chosen.rank,
        anchor_easting=places[mine, 0],
        anchor_northing=places[mine, 1],
        origin=records.shapes[mine],
        weight=records.weights[mine],
    )
