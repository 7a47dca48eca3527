"""Samples follow from a polygon's content: same polygon, same pixels, whatever else is delivered."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from geoml_ops.core.grid import Grid
from geoml_ops.domain import sampling
from geoml_ops.domain.sampling import Chosen, choose, polygon_ids

GRID = Grid(crs="EPSG:32633", left=500_000.0, top=5_000_000.0, pixel_m=10.0, width=80, height=60)


def square(col: float, row: float, size: float) -> shapely.Polygon:
    left, top = GRID.left + col * 10, GRID.top - row * 10
    return shapely.box(left, top - size * 10, left + size * 10, top)


def run(shapes: list[shapely.Geometry], codes: list[int], per_polygon: int = 20, seed: int = 0) -> Chosen:
    return choose(shapes, codes, GRID, ids=polygon_ids(shapes), per_polygon=per_polygon, seed=seed)


def keys(chosen: Chosen, polygon: int) -> set[tuple[int, int]]:
    mine = chosen.polygon == polygon
    return set(zip(chosen.rows[mine].tolist(), chosen.cols[mine].tolist(), strict=True))


@given(st.tuples(st.floats(-5, 70), st.floats(-5, 50), st.floats(0.3, 12)), st.integers(1, 400))
def test_every_sample_is_inside_and_all_are_taken_where_there_is_room(spot: tuple[float, float, float], n: int) -> None:
    shape = shapely.affinity.rotate(square(*spot), 30)
    rows, cols = (a.ravel() for a in np.mgrid[:60, :80])
    inside = shapely.contains_xy(shape, *GRID.centres(rows, cols))
    truth = set(zip(rows[inside].tolist(), cols[inside].tolist(), strict=True))
    found = keys(run([shape], [0], n), 0)
    assert found <= truth
    assert len(found) == min(n, len(truth))


def test_a_polygon_keeps_its_samples_when_others_come() -> None:
    first, second = square(5, 5, 20), square(40, 10, 15)
    alone, later = run([first], [1]), run([second, first], [0, 1])
    assert keys(alone, 0) == keys(later, 1)
    assert len(keys(alone, 0)) == 20


def test_strips_do_not_change_the_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    shape = square(3, 3, 40)
    whole = keys(run([shape], [0]), 0)
    monkeypatch.setattr(sampling, "STRIP_PX", 50)
    assert keys(run([shape], [0]), 0) == whole


def test_another_seed_chooses_others_and_spreads_evenly() -> None:
    shape = square(0, 0, 60)
    assert keys(run([shape], [0], seed=0), 0) != keys(run([shape], [0], seed=1), 0)
    chosen = run([shape], [0], per_polygon=900)
    quarters = np.bincount((chosen.rows // 30) * 2 + chosen.cols // 30, minlength=4)
    assert quarters.min() > 180


def test_pixels_of_two_classes_are_dropped_even_where_only_one_polygon_chose_them() -> None:
    big, small = square(0, 0, 20), square(5, 5, 4)
    chosen = run([big, small], [0, 1], per_polygon=400)
    assert not keys(chosen, 1)
    assert len(keys(chosen, 0)) == 400 - 16
    assert chosen.left_out["pixels_of_two_classes"] == 16
    few = run([big, small], [0, 1], per_polygon=100)
    assert not keys(few, 0) & {(r, c) for r in range(5, 9) for c in range(5, 9)}


def test_a_pixel_of_two_polygons_of_one_class_counts_once() -> None:
    chosen = run([square(0, 0, 10), square(5, 0, 10)], [2, 2], per_polygon=1000)
    assert len(chosen.rows) == 150
    assert chosen.left_out["pixels_twice"] == 50
    twin = run([square(0, 0, 10), square(0, 0, 10)], [2, 2])
    assert len(twin.rows) == 20


def test_polygons_that_give_nothing_are_counted() -> None:
    shapes = [square(200, 200, 5), square(4.6, 4.6, 0.3), shapely.Polygon(), square(10, 10, 3)]
    chosen = run(shapes, [0, 1, 1, 1])
    assert chosen.left_out["polygons_outside"] == 2
    assert chosen.left_out["polygons_without_pixel"] == 1
    assert set(chosen.polygon.tolist()) == {3}
    assert not len(run([], []).rows)


def test_only_the_part_inside_the_grid_is_sampled() -> None:
    chosen = run([square(-10, -10, 15)], [0], per_polygon=1000)
    assert len(chosen.rows) == 25
    assert chosen.rows.min() == chosen.cols.min() == 0
