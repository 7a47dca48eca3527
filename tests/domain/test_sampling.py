"""Samples follow from a polygon's content: same polygon, same pixels, whatever else is delivered."""

from __future__ import annotations

import numpy as np
import pytest
import rasterio
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import Transformer

from geoml_ops.adapters.crs import mover
from geoml_ops.core.errors import BadInput
from geoml_ops.core.grid import Grid, Window
from geoml_ops.domain.sampling import (
    ON_EDGE_PX,
    Candidates,
    Chosen,
    Claims,
    Lookup,
    Picked,
    Placing,
    blocks_of,
    choose,
    choose_points,
    claimed_by_point,
    draw_stratified,
    pixels_at,
    polygon_ids,
    polygons,
    priority,
    seed_of,
    settled,
    thinned,
)

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
    monkeypatch.setattr(polygons, "STRIP_PX", 50)
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


def test_ranks_count_from_0_within_each_polygon_and_follow_its_priorities() -> None:
    shapes = [square(0, 0, 10), square(8, 0, 10), square(30, 30, 2)]
    chosen = run(shapes, [2, 2, 2], per_polygon=15)
    for polygon in range(3):
        mine = chosen.polygon == polygon
        assert sorted(chosen.rank[mine]) == list(range(mine.sum()))
    fewer = run(shapes, [2, 2, 2], per_polygon=5)
    first = {
        (r, c)
        for r, c, p, k in zip(chosen.rows, chosen.cols, chosen.polygon, chosen.rank, strict=True)
        if p == 2 and k < 4
    }
    assert first == keys(fewer, 2)


# --- points ----------------------------------------------------------------------------------

EDGES = st.integers(-3, 90).map(lambda n: n * 10.0)
OFFSETS = EDGES | st.floats(-50, 900) | st.sampled_from([np.nan, np.inf, -np.inf, 1e300])


@given(st.lists(st.tuples(OFFSETS, OFFSETS), max_size=30))
def test_a_point_lies_in_the_pixel_that_the_grid_says(offsets: list[tuple[float, float]]) -> None:
    east = np.array([GRID.left + x for x, _ in offsets])
    north = np.array([GRID.top - y for _, y in offsets])
    rows, cols = pixels_at(GRID, east, north)
    for x, y, row, col in zip(east, north, rows, cols, strict=True):
        try:
            truth = GRID.pixel_at(x, y)
        except (BadInput, ValueError, OverflowError):
            truth = (-1, -1)
        assert (row, col) == truth


def points(places: list[tuple[float, float, int]]) -> Chosen:
    shapes = [shapely.Point(GRID.left + 10 * x, GRID.top - 10 * y) for x, y, _ in places]
    east, north = np.array([s.x for s in shapes]), np.array([s.y for s in shapes])
    return choose_points(east, north, [code for *_, code in places], GRID, ids=polygon_ids(shapes))


@given(st.lists(st.tuples(st.floats(-2, 6), st.floats(-2, 6), st.integers(0, 2)), max_size=60))
def test_points_of_a_class_in_one_pixel_are_one_and_of_two_classes_none(places: list[tuple[float, float, int]]) -> None:
    chosen = points(places)
    held: dict[tuple[int, int], list[int]] = {}
    for x, y, code in places:
        row, col = (
            int(n) for part in pixels_at(GRID, *np.array([[GRID.left + 10 * x], [GRID.top - 10 * y]])) for n in part
        )
        if row >= 0:
            held.setdefault((row, col), []).append(code)
    alone = {pixel: codes[0] for pixel, codes in held.items() if len(set(codes)) == 1}
    found = {(int(r), int(c)): places[p][2] for r, c, p in zip(chosen.rows, chosen.cols, chosen.polygon, strict=True)}
    assert found == alone
    assert chosen.left_out == {
        "points_outside": len(places) - sum(map(len, held.values())),
        "pixels_of_two_classes": len(held) - len(alone),
        "pixels_twice": sum(len(held[pixel]) - 1 for pixel in alone),
    }


def test_which_of_several_points_stands_for_a_pixel_does_not_hang_on_their_order() -> None:
    places = [(0.1, 0.1, 1), (0.9, 0.2, 1), (0.5, 0.8, 1)]
    forward, backward = points(places), points(places[::-1])
    assert places[forward.polygon[0]] == places[::-1][backward.polygon[0]]


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5), st.integers(0, 2)), max_size=25), st.integers(0, 2))
def test_a_point_of_another_class_claims_its_pixel(places: list[tuple[int, int, int]], own: int) -> None:
    at = (np.array([p[0] for p in places], dtype=np.int64), np.array([p[1] for p in places], dtype=np.int64))
    rows, cols = (a.ravel() for a in np.mgrid[:6, :6])
    codes = np.array([p[2] for p in places], dtype=np.int64)
    found = claimed_by_point(rows, cols, np.full(36, own), at, codes, 80)
    truth = [any(p[:2] == (r, c) and p[2] != own for p in places) for r, c in zip(rows, cols, strict=True)]
    assert found.tolist() == truth


# --- rasters ---------------------------------------------------------------------------------

TENTHS = st.integers(-60, 60)


@given(TENTHS, TENTHS, st.sampled_from([1, 5, 10, 20, 30, 70]), st.integers(1, 20), st.integers(1, 20))
def test_every_pixel_takes_the_code_under_its_centre_however_a_raster_is_shifted(
    right: int, down: int, pixel: int, width: int, height: int
) -> None:
    grid = Grid(crs="EPSG:32633", left=500_000.0, top=5_000_000.0, pixel_m=1.0, width=9, height=8)
    # Tenths of a pixel, halves among them: the truth is counted in whole tenths.
    left, top, edge = 5_000_000 + right, 50_000_000 - down, pixel
    placing = Placing((edge / 10, 0, left / 10, 0, -edge / 10, top / 10), width, height)
    found = placing.pixels(grid, grid.whole)
    rows, cols = found if found is not None else (np.full((8, 9), -1), np.full((8, 9), -1))
    for row in range(8):
        for col in range(9):
            x, y = (5_000_000 + 10 * col + 5 - left) // edge, (top - (50_000_000 - 10 * row - 5)) // edge
            truth = (y, x) if 0 <= x < width and 0 <= y < height else (-1, -1)
            assert (rows[row, col], cols[row, col]) == truth


PLACES = {
    "degrees": ("EPSG:4326", (0.00013, 0, 13.0, 0, -0.0001, 52.36)),
    "the next zone": ("EPSG:32632", (10.0, 0, 770_000.0, 0, -10.0, 5_811_000.0)),
    "another projection": ("EPSG:3035", (20.0, 0, 4_522_000.0, 0, -20.0, 3_260_000.0)),
    "turned": ("EPSG:3035", (8.0, 6.0, 4_520_000.0, 6.0, -8.0, 3_255_000.0)),
    "south-up": ("EPSG:32632", (10.0, 0, 770_000.0, 0, 10.0, 5_797_000.0)),
}


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
def test_what_is_interpolated_is_what_moving_every_centre_gives(place: tuple[str, tuple[float, ...]]) -> None:
    crs, transform = place
    grid = Grid(crs="EPSG:32633", left=363_000.0, top=5_803_000.0, pixel_m=10.0, width=333, height=291)
    placing = Placing(transform, 1500, 1300, mover(grid.crs, crs))  # type: ignore[arg-type]
    window = Window(col=5, row=11, width=320, height=277)
    found = placing.pixels(grid, window)
    assert found is not None
    rows, cols = np.mgrid[11:288, 5:325]
    # Oracle: GDAL's own affine algebra on centres that PROJ moved one by one.
    to = Transformer.from_crs(grid.crs, crs, always_xy=True)
    x, y = to.transform(*(a.ravel() for a in grid.centres(rows, cols)))
    col, row = ~rasterio.Affine(*transform) @ np.array([x, y])
    inside = (row >= 0) & (row < 1300) & (col >= 0) & (col < 1500)
    truth = [np.where(inside, np.floor(part + ON_EDGE_PX), -1).reshape(rows.shape) for part in (row, col)]
    assert inside.mean() > 0.3
    assert np.array_equal(found[0], truth[0])
    assert np.array_equal(found[1], truth[1])
    scattered = placing.pixels_under(grid, rows[::7, ::5].ravel(), cols[::7, ::5].ravel())
    assert np.array_equal(scattered[0], truth[0][::7, ::5].ravel())


def test_a_raster_elsewhere_has_no_pixel_here() -> None:
    grid = Grid(crs="EPSG:32633", left=363_000.0, top=5_803_000.0, pixel_m=10.0, width=99, height=99)
    for transform in ((0.001, 0, -70.0, 0, -0.001, 10.0), (0.001, 0, 13.2, 0, -0.001, 10.0)):
        assert Placing(transform, 500, 500, mover(grid.crs, "EPSG:4326")).pixels(grid, grid.whole) is None  # type: ignore[arg-type]


def test_beyond_the_pole_there_is_no_pixel_and_no_error() -> None:
    grid = Grid(crs="EPSG:3413", left=-50_000.0, top=50_000.0, pixel_m=1000.0, width=100, height=100)
    world = Placing((1.0, 0, -180.0, 0, -1.0, 90.0), 360, 180, mover(grid.crs, "EPSG:4326"))
    found = world.pixels(grid, grid.whole)
    assert found is not None
    x, y = Transformer.from_crs(grid.crs, "EPSG:4326", always_xy=True).transform(
        *(a.ravel() for a in grid.centres(*np.mgrid[:100, :100]))
    )
    assert np.array_equal(found[1].ravel(), np.floor(np.asarray(x) + 180))
    assert np.array_equal(found[0].ravel(), np.floor(90 - np.asarray(y)))


def ground(seed: int, height: int = 60, width: int = 80, n_classes: int = 3) -> np.ndarray:
    rng = np.random.default_rng(seed)
    coarse = rng.integers(-1, n_classes, (height // 4, width // 4))
    return np.repeat(np.repeat(coarse, 4, 0), 4, 1)


def drawn(codes: np.ndarray, *, edge: int = 1024, at_once: int = 1 << 20, apart: float = 0.0, most: int = 25) -> Picked:
    height, width = codes.shape
    grid = GRID.model_copy(update={"height": height, "width": width})
    under = Placing((10.0, 0, GRID.left, 0, -10.0, GRID.top), width, height)
    lookup = Lookup({int(code): int(code) for code in np.unique(codes) if code >= 0})
    n_classes, shape = int(codes.max()) + 1, (height, width)
    return draw_stratified(
        lambda: blocks_of(grid, under, lambda r, c: codes[r, c], lookup, edge),
        n_classes,
        per_class=most,
        least_apart_px=apart,
        seed=np.uint64(7),
        shape=shape,
        at_once=at_once,
    )


def oracle(codes: np.ndarray, apart: float, most: int) -> list[tuple[int, int]]:
    """Every pixel in the order of its priority, taken unless its class is full or one that was taken is too near."""
    rows, cols = np.nonzero(codes >= 0)
    taken: list[tuple[int, int]] = []
    counts = [0] * (int(codes.max()) + 1)
    for n in np.argsort(priority(rows, cols, np.uint64(7))):
        row, col, code = int(rows[n]), int(cols[n]), int(codes[rows[n], cols[n]])
        near = any((row - r) ** 2 + (col - c) ** 2 < apart**2 for r, c in taken)
        if counts[code] < most and not near:
            taken.append((row, col))
            counts[code] += 1
    return taken


@pytest.mark.parametrize("apart", [0.0, 1.0, 2.0, 5.0, np.hypot(3, 2), 11.3, 500.0])
@pytest.mark.parametrize("most", [1, 25, 10_000])
def test_a_raster_gives_the_pixels_of_lowest_priority_that_keep_their_distance(apart: float, most: int) -> None:
    codes = ground(1, 40, 48)
    found = drawn(codes, apart=apart, most=most)
    assert list(zip(found.rows.tolist(), found.cols.tolist(), strict=True)) == oracle(codes, apart, most)
    assert np.array_equal(found.codes, codes[found.rows, found.cols])


@given(st.integers(0, 50), st.integers(9, 90), st.integers(60, 900), st.sampled_from([0.0, 3.0, 9.5]))
@settings(max_examples=25, deadline=None)
def test_neither_blocks_nor_how_much_is_held_change_the_samples(
    seed: int, edge: int, at_once: int, apart: float
) -> None:
    codes = ground(seed)
    whole, cut = drawn(codes, apart=apart), drawn(codes, edge=edge, at_once=at_once, apart=apart)
    for name in ("rows", "cols", "codes", "order"):
        assert np.array_equal(getattr(whole, name), getattr(cut, name)), name


def test_a_rare_class_is_found_behind_millions_of_others() -> None:
    codes = np.zeros((400, 400), dtype=np.int64)
    codes[300, 11] = 1
    for apart in (0.0, 2.5):
        found = drawn(codes, apart=apart, most=5, at_once=100)
        assert np.bincount(found.codes).tolist() == [5, 1]


@given(
    st.dictionaries(st.integers(-(2**40), 2**40) | st.integers(-300, 300), st.integers(0, 9), max_size=20),
    st.lists(st.integers(-(2**41), 2**41) | st.integers(-310, 310), max_size=30),
)
def test_a_lookup_is_a_dictionary(classes: dict[int, int], numbers: list[int]) -> None:
    asked = [*numbers, *classes]
    found = Lookup(classes)(np.array(asked, dtype=np.int64))
    assert found.tolist() == [classes.get(number, -1) for number in asked]


# --- together --------------------------------------------------------------------------------


def candidates(rows: list[tuple[int, int, int, int, str]]) -> Candidates:
    """Candidates from row, column, code, form and unit."""
    n = len(rows)
    columns = [np.array([row[k] for row in rows], dtype=np.int64) for k in range(4)]
    units = np.array([row[4] for row in rows], dtype=object)
    return Candidates(
        rows=columns[0], cols=columns[1], code=columns[2], form=columns[3], unit=units,
        order=np.array([seed_of(unit, 0) for unit in units], dtype=np.uint64),
        rank=np.zeros(n, dtype=np.int64), anchor_easting=np.zeros(n), anchor_northing=np.zeros(n),
        origin=units, weight=np.ones(n),
    )  # fmt: skip


ROWS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(0, 1), st.integers(0, 2)), max_size=25)


@given(ROWS)
def test_a_pixel_is_counted_once_for_the_first_form_and_never_for_two_classes(
    rows: list[tuple[int, int, int, int]],
) -> None:
    found = candidates([(*row, f"u{n}") for n, row in enumerate(rows)])

    def claims(form: int) -> Claims:
        mine = [row for row in rows if row[3] == form]
        return lambda r, c, own: np.array(
            [any(m[:2] == (a, b) and m[2] != o for m in mine) for a, b, o in zip(r, c, own, strict=True)], dtype=bool
        )

    kept, left_out = settled(found, [claims(form) for form in range(3)])
    by_pixel: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for row, col, code, form in rows:
        by_pixel.setdefault((row, col), []).append((form, code))
    truth = {p: min(c) for p, c in by_pixel.items() if len({code for _, code in c}) == 1}
    where = zip(kept.rows.tolist(), kept.cols.tolist(), strict=True)
    assert dict(zip(where, zip(kept.form.tolist(), kept.code.tolist(), strict=True), strict=True)) == truth
    assert left_out["pixels_of_two_classes"] == len(by_pixel) - len(truth)
    assert left_out["pixels_twice"] == sum(len(by_pixel[p]) - 1 for p in truth)
    assert np.array_equal(np.lexsort((kept.cols, kept.rows)), np.arange(len(kept)))


def units_of_sizes(sizes: list[int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    unit = np.repeat(np.array([f"u{n}" for n in range(len(sizes))], dtype=object), sizes)
    rank = np.concatenate([np.zeros(0, dtype=np.int64), *(np.arange(size) for size in sizes)])
    return unit, rank, np.array([seed_of(name, 0) for name in unit], dtype=np.uint64)


@given(st.lists(st.integers(1, 12), max_size=12), st.integers(1, 60))
def test_a_class_that_is_too_large_loses_pixels_before_polygons(sizes: list[int], most: int) -> None:
    unit, rank, order = units_of_sizes(sizes)
    stays = thinned(np.zeros(len(unit), dtype=np.int64), order, rank, unit, most)
    assert stays.sum() == min(most, len(unit))
    left = [int(stays[unit == f"u{n}"].sum()) for n in range(len(sizes))]
    deepest = max(left, default=0)
    # Whoever has less than the deepest but one gave all it had.
    assert all(count >= min(size, deepest - 1) for count, size in zip(left, sizes, strict=True))
    assert all(sorted(rank[(unit == f"u{n}") & stays]) == list(range(count)) for n, count in enumerate(left))
    fewer = thinned(np.zeros(len(unit), dtype=np.int64), order, rank, unit, max(1, most // 2))
    assert not (fewer & ~stays).any()


def test_classes_are_thinned_by_themselves_and_nothing_is_where_no_limit_is() -> None:
    unit, rank, order = units_of_sizes([9, 4, 2])
    code = np.where(unit == "u1", 1, 0)
    stays = thinned(code, order, rank, unit, 5)
    assert (int(stays[code == 0].sum()), int(stays[code == 1].sum())) == (5, 4)
    assert thinned(code, order, rank, unit, None).all()
    assert not len(thinned(code[:0], order[:0], rank[:0], unit[:0], 5))
