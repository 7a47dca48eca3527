"""The pixels of a scene that polygons, points and rasters of labels put forward as samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from functools import partial

import numpy as np
import shapely
from numpy.typing import NDArray

from geoml_ops.adapters import raster
from geoml_ops.adapters.crs import mover
from geoml_ops.core.experiment import Sampling
from geoml_ops.core.grid import Grid
from geoml_ops.domain.sampling import (
    FORMS,
    Candidates,
    Chosen,
    Claims,
    Placing,
    blocks_of,
    choose,
    choose_points,
    claimed_by_point,
    claimed_otherwise,
    draw_stratified,
    pixels_at,
    seed_of,
    settled,
    together,
)
from geoml_ops.steps.labelled import Coded, Opened, Records, moved_to

_POLYGON, _POINT, _PIXEL = range(len(FORMS))
Index = NDArray[np.int64]
Offered = tuple[Candidates, Claims, dict[str, int]]


def candidates_on(grid: Grid, opened: Opened, sampling: Sampling, n_classes: int) -> tuple[Candidates, dict[str, int]]:
    """Returns the pixels of a scene that labels put forward, each once, and what gave none, by reason.

    A pixel that labels of two classes claim is none: be it two polygons, or a point on a raster of another class.
    """
    left_out: dict[str, int] = {}
    with ExitStack() as stack:
        offers = [_of_polygons(grid, opened.polygons, sampling), _of_points(grid, opened.points, sampling)]
        for coded in opened.rasters:
            source = stack.enter_context(raster.open_codes(coded.path))
            offers.append(_of_raster(grid, coded, source, sampling, n_classes))
        kept, reasons = settled(together([offer[0] for offer in offers]), [offer[1] for offer in offers])
    for each in (*(offer[2] for offer in offers), reasons):
        add_reasons(left_out, each)
    return kept, left_out


def add_reasons(left_out: dict[str, int], reasons: Mapping[str, int]) -> None:
    """Adds counts by reason to those that are known."""
    for reason, count in reasons.items():
        left_out[reason] = left_out.get(reason, 0) + count


def placed(facts: raster.CodedRaster, grid: Grid) -> Placing:
    """Returns how a raster of codes lies on a scene's grid."""
    return Placing(facts.transform, facts.width, facts.height, mover(grid.crs, facts.crs))


def _of_polygons(grid: Grid, parts: Sequence[Records], sampling: Sampling) -> Offered:
    records = moved_to(grid, parts)
    shapes, codes = records.shapes, records.codes.tolist()
    per_polygon, seed = sampling.per_polygon, sampling.seed
    chosen = choose(list(shapes), codes, grid, ids=records.ids.tolist(), per_polygon=per_polygon, seed=seed)
    inside = shapely.point_on_surface(shapes)
    anchors = np.column_stack([shapely.get_x(inside), shapely.get_y(inside)]) if len(shapes) else np.empty((0, 2))
    claim = partial(claimed_otherwise, shapes=shapes, codes=codes, grid=grid)
    return _candidates(chosen, records, anchors, _POLYGON, seed), claim, chosen.left_out


def _of_points(grid: Grid, parts: Sequence[Records], sampling: Sampling) -> Offered:
    records = moved_to(grid, parts)
    east, north = shapely.get_x(records.shapes), shapely.get_y(records.shapes)
    chosen = choose_points(east, north, records.codes.tolist(), grid, ids=records.ids.tolist())
    at = pixels_at(grid, east, north)
    claim = partial(claimed_by_point, at=at, codes=records.codes, width=grid.width)
    found = _candidates(chosen, records, np.column_stack([east, north]), _POINT, sampling.seed)
    return found, claim, chosen.left_out


def _of_raster(grid: Grid, coded: Coded, source: raster.Codes, sampling: Sampling, n_classes: int) -> Offered:
    placing = placed(coded.facts, grid)
    picked = draw_stratified(
        lambda: blocks_of(grid, placing, source.at, coded.lookup),
        n_classes,
        per_class=sampling.per_class or 0,
        least_apart_px=sampling.least_apart_m / grid.pixel_m,
        seed=seed_of(coded.name, sampling.seed),
        shape=grid.shape,
    )
    n, (east, north) = len(picked.rows), grid.centres(picked.rows, picked.cols)
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


def _candidates(chosen: Chosen, records: Records, anchors: NDArray[np.float64], form: int, seed: int) -> Candidates:
    mine = chosen.polygon
    units = records.ids[mine]
    orders = {name: seed_of(f"{name}/unit", seed) for name in units.tolist()}
    return Candidates(
        rows=chosen.rows,
        cols=chosen.cols,
        code=records.codes[mine],
        form=np.full(len(mine), form, dtype=np.int64),
        unit=units,
        order=np.array([orders[name] for name in units.tolist()], dtype=np.uint64),
        rank=chosen.rank,
        anchor_easting=anchors[mine, 0],
        anchor_northing=anchors[mine, 1],
        origin=records.origins[mine],
        weight=records.weights[mine],
    )
