"""Spatial lags against libpysal's own, dense and sparse, with what is missing left out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from libpysal import weights

from geoml_ops.core.errors import BadInput, TooLarge
from geoml_ops.core.grid import Grid
from geoml_ops.domain.covariates import Stage, Vectors
from geoml_ops.domain.covariates.lag import RECIPE, LagOptions, lag_in_window, lag_of_field, lag_of_raster, offsets_of
from geoml_ops.domain.covariates.lag.making import make
from geoml_ops.domain.covariates.registry import RECIPES

# libpysal's inverse distances divide by that of a place to itself.
pytestmark = pytest.mark.filterwarnings("ignore:divide by zero encountered in power:RuntimeWarning")

HEIGHT, WIDTH, PIXEL = 9, 12, 10.0
GRID = Grid(crs="EPSG:32633", left=500_000.0, top=5_900_000.0, pixel_m=PIXEL, width=WIDTH, height=HEIGHT)
ROWS, COLS = np.mgrid[:HEIGHT, :WIDTH]
PLACES = np.column_stack([(COLS.ravel() + 0.5) * PIXEL, -(ROWS.ravel() + 0.5) * PIXEL])


def lag(values: np.ndarray, options: LagOptions) -> np.ndarray:
    """Our lag in double precision; what lies beyond the layer is nothing."""
    offsets = offsets_of(options, PIXEL)
    return lag_in_window(np.pad(values, offsets.reach_px, constant_values=np.nan), offsets)


def left_out(w: weights.W, values: np.ndarray) -> np.ndarray:
    """The lag by libpysal's dense matrix: no diagonal, rows over observed neighbours made to add up to 1."""
    dense = w.full()[0].astype(float)
    np.fill_diagonal(dense, 0.0)
    seen = np.isfinite(values.ravel())
    dense[:, ~seen] = 0.0
    total = dense.sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        rows = dense / total[:, None]
    found = rows[:, seen] @ values.ravel()[seen]
    return np.where(total > 0, found, np.nan).reshape(values.shape)


CASES = [
    (LagOptions(kind="queen"), lambda: weights.lat2W(HEIGHT, WIDTH, rook=False)),
    (LagOptions(kind="rook"), lambda: weights.lat2W(HEIGHT, WIDTH, rook=True)),
    (LagOptions(kind="rook", order=3),
     lambda: weights.higher_order(weights.lat2W(HEIGHT, WIDTH, rook=True), 3, lower_order=True, silence_warnings=True)),
    (LagOptions(kind="queen", order=2),
     lambda: weights.higher_order(weights.lat2W(HEIGHT, WIDTH, rook=False), 2, lower_order=True)),
    (LagOptions(kind="distance", radius_m=30.0), lambda: weights.DistanceBand(PLACES, 30.0)),
    (LagOptions(kind="distance", radius_m=36.1), lambda: weights.DistanceBand(PLACES, 36.1)),
    (LagOptions(kind="kernel", radius_m=33.0), lambda: weights.Kernel(PLACES, bandwidth=33.0, function="triangular")),
    (LagOptions(kind="kernel", radius_m=41.0, fall="quadratic"),
     lambda: weights.Kernel(PLACES, bandwidth=41.0, function="quadratic")),
    (LagOptions(kind="kernel", radius_m=41.0, fall="quartic"),
     lambda: weights.Kernel(PLACES, bandwidth=41.0, function="quartic")),
    (LagOptions(kind="kernel", radius_m=41.0, fall="inverse"),
     lambda: weights.DistanceBand(PLACES, 41.0, binary=False, alpha=-1.0)),
]  # fmt: skip
NAMES = [f"{o.kind}-{o.order}-{o.radius_m}-{o.fall}" for o, _ in CASES]


@pytest.mark.parametrize(("options", "libpysal"), CASES, ids=NAMES)
@pytest.mark.parametrize("missing", [0.0, 0.3, 0.9])
def test_rasters_equal_the_dense_result_of_libpysal(options: LagOptions, libpysal: object, missing: float) -> None:
    rng = np.random.default_rng(4)
    values = rng.normal(50, 20, (HEIGHT, WIDTH))
    values[rng.random(values.shape) < missing] = np.nan
    expected = left_out(libpysal(), values)  # type: ignore[operator]
    assert np.allclose(lag(values, options), expected, atol=1e-10, equal_nan=True)


@pytest.mark.parametrize("rook", [True, False])
def test_without_anything_missing_it_is_lag_spatial(rook: bool) -> None:
    values = np.random.default_rng(1).normal(size=(HEIGHT, WIDTH))
    w = weights.lat2W(HEIGHT, WIDTH, rook=rook)
    w.transform = "r"
    expected = weights.lag_spatial(w, values.ravel()).reshape(values.shape)
    assert np.allclose(lag(values, LagOptions(kind="rook" if rook else "queen")), expected, atol=1e-12)


def test_a_gaussian_falls_to_three_standard_deviations() -> None:
    values = np.zeros((31, 31))
    values[15, 15] = 1.0
    found = lag(values, LagOptions(kind="kernel", radius_m=60.0, fall="gaussian"))
    assert np.isclose(found[15, 17] / found[15, 16], np.exp(-0.5 * (4 - 1) * (PIXEL / 20.0) ** 2))
    assert found[15, 15] == 0  # the place itself does not count
    assert (found[15, 8], found[15, 9] > 0) == (0, True)


@pytest.mark.parametrize(("k", "kin"), [(4, "rook"), (8, "queen")])
def test_the_nearest_pixels_are_whole_rings(k: int, kin: str) -> None:
    values = np.random.default_rng(2).normal(size=(HEIGHT, WIDTH))
    same = lag(values, LagOptions.model_validate({"kind": kin}))
    padded = np.pad(values, 5, constant_values=np.nan)
    offsets = offsets_of(LagOptions(kind="knn", k=k), PIXEL)
    reach = offsets.reach_px
    assert np.array_equal(lag_in_window(padded[5 - reach : reach - 5, 5 - reach : reach - 5], offsets), same)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 400))
def test_a_ring_is_never_cut(k: int) -> None:
    try:
        offsets = offsets_of(LagOptions(kind="knn", k=k), PIXEL)
    except BadInput as error:
        for choice in error.remedy.removeprefix("use k: ").split(" or "):
            assert len(offsets_of(LagOptions(kind="knn", k=int(choice)), PIXEL).rows) == int(choice)
        return
    assert len(offsets.rows) == k
    steps = set(zip(offsets.rows.tolist(), offsets.cols.tolist(), strict=True))
    assert all((c, -r) in steps and (-r, -c) in steps for r, c in steps)


def test_islands_have_no_lag() -> None:
    values = np.full((5, 5), np.nan)
    values[0, 0], values[4, 4], values[4, 3] = 1.0, 2.0, 4.0
    found = lag(values, LagOptions())
    assert np.isnan(found[0, 0])
    assert (found[4, 4], found[4, 3]) == (4.0, 2.0)
    assert found[0, 1] == 1.0  # its own number is missing, its neighbour's is not
    assert np.isnan(found[2, 2])


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([o for o, _ in CASES]))
def test_a_lag_is_a_mean_and_does_not_depend_on_the_window(seed: int, options: LagOptions) -> None:
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(20, 25)) * 10.0 ** rng.integers(-3, 12)
    values[rng.random(values.shape) < 0.4] = np.nan
    found = lag(values, options)
    seen = np.isfinite(found)
    slack = 1e-12 * np.nanmax(np.abs(values))
    assert (found[seen] >= np.nanmin(values) - slack).all()
    assert (found[seen] <= np.nanmax(values) + slack).all()
    offsets = offsets_of(options, PIXEL)
    padded = np.pad(values, offsets.reach_px, constant_values=np.nan)
    part = padded[3 : 3 + 9 + 2 * offsets.reach_px, 5 : 5 + 7 + 2 * offsets.reach_px]
    assert np.array_equal(lag_in_window(part, offsets), found[3:12, 5:12], equal_nan=True)


def test_an_outlier_spoils_its_neighbours_only() -> None:
    values = np.random.default_rng(0).normal(size=(HEIGHT, WIDTH))
    wild = values.copy()
    wild[4, 6] = 1e30
    differs = lag(values, LagOptions()) != lag(wild, LagOptions())
    assert differs.sum() == 8


def test_what_is_not_finite_is_missing() -> None:
    values = np.ones((3, 3))
    values[1, 1] = np.inf
    assert (lag(values, LagOptions()) == 1).all()


def test_the_margin_of_a_stage_is_used_and_the_rest_is_nothing() -> None:
    options = LagOptions(kind="distance", radius_m=30.0)
    margin = RECIPE.margin_px(options, PIXEL)
    assert margin == 3
    whole = np.random.default_rng(0).normal(size=(HEIGHT + 2 * margin, WIDTH + 2 * margin)).astype(np.float32)
    with_margin = lag_of_raster(whole, Stage(GRID, margin), options)
    large = Grid(crs=GRID.crs, left=0.0, top=0.0, pixel_m=PIXEL, width=whole.shape[1], height=whole.shape[0])
    alone = lag_of_raster(whole, Stage(large), options)
    assert np.array_equal(with_margin, alone[margin:-margin, margin:-margin])


def test_products_are_named_after_what_is_read() -> None:
    layers = {"B08": np.ones((HEIGHT, WIDTH), np.float32), "mean(NDVI, 9)": np.zeros((HEIGHT, WIDTH), np.float32)}
    names = tuple(RECIPE.known(tuple(layers), LagOptions()))
    assert names == ("B08_lag", "B08_difference", "mean_NDVI_9_lag", "mean_NDVI_9_difference")
    made = make(Stage(GRID, rasters=layers), names[::-1], LagOptions())
    assert tuple(made) == names[::-1]
    assert (made["B08_lag"] == 1).all()
    assert (made["B08_difference"] == 0).all()
    alone = make(Stage(GRID, rasters={"B08": layers["B08"]}), ("difference", "B08_lag"), LagOptions())
    assert list(alone) == ["difference", "B08_lag"]
    assert set(RECIPE.known(("B08",), LagOptions())) == {"lag", "difference", "B08_lag", "B08_difference"}
    with pytest.raises(BadInput, match="'B08' and ' B08 ' would name the same bands"):
        RECIPE.known(("B08", " B08 "), LagOptions())


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (LagOptions(kind="knn", k=9), "9 nearest pixels are not one set.*k: 8 or 12"),
        (LagOptions(kind="distance"), "needs a radius"),
        (LagOptions(kind="distance", radius_m=9.0), "No pixel of 10 m has a neighbour"),
        (LagOptions(kind="kernel", radius_m=10.0), "within 10 m"),
    ],
)
def test_neighbourhoods_that_are_none(options: LagOptions, said: str) -> None:
    with pytest.raises(BadInput, match=said):
        offsets_of(options, PIXEL)


def test_neighbourhoods_that_are_too_large() -> None:
    with pytest.raises(TooLarge, match=r"100 pixels.*the limit is 80"):
        offsets_of(LagOptions(kind="distance", radius_m=1_000.0), PIXEL)
    with pytest.raises(TooLarge, match="the limit is 80"):
        offsets_of(LagOptions(kind="distance", radius_m=1e300), PIXEL)


@pytest.mark.parametrize("shape", [(1, 1), (1, 7)])
def test_tiny_and_empty_rasters(shape: tuple[int, int]) -> None:
    grid = Grid(crs=GRID.crs, left=0.0, top=0.0, pixel_m=PIXEL, width=shape[1], height=shape[0])
    nothing = lag_of_raster(np.full(shape, np.nan, np.float32), Stage(grid), LagOptions())
    assert np.isnan(nothing).all()
    ones = lag_of_raster(np.ones(shape, np.float32), Stage(grid), LagOptions())
    assert np.isnan(ones).all() if shape == (1, 1) else (ones == 1).all()


# --- records ---------------------------------------------------------------------------------


def layer(geometries: Sequence[object], **fields: Sequence[object]) -> Vectors:
    held = np.empty(len(geometries), dtype=object)
    held[:] = geometries
    return Vectors(held, {name: np.array(values, dtype=object) for name, values in fields.items()})


def squares(n_rows: int = 3, n_cols: int = 4, edge: float = 30.0) -> list[shapely.Polygon]:
    left, top = GRID.left, GRID.top
    return [
        shapely.box(left + c * edge, top - (r + 1) * edge, left + (c + 1) * edge, top - r * edge)
        for r in range(n_rows)
        for c in range(n_cols)
    ]


def at_squares(band: np.ndarray) -> np.ndarray:
    return band[1::3, 1::3].ravel()


@pytest.mark.parametrize("kind", ["queen", "rook"])
@pytest.mark.parametrize("order", [1, 2])
def test_polygons_that_touch_equal_libpysal_wherever_they_stand_in_the_file(kind: str, order: int) -> None:
    rng = np.random.default_rng(0)
    shuffled = rng.permutation(12)
    polygons, heights = squares(), rng.normal(10, 3, 12)
    vectors = layer([polygons[i] for i in shuffled], height=[heights[i] for i in shuffled])
    options = LagOptions.model_validate({"kind": kind, "order": order, "field": "height"})
    w = weights.lat2W(3, 4, rook=kind == "rook")
    w = w if order == 1 else weights.higher_order(w, order, lower_order=True, silence_warnings=True)
    w.transform = "r"
    found = lag_of_field("fields", vectors, GRID, options)
    assert np.allclose(at_squares(found["lag"]), weights.lag_spatial(w, heights), rtol=1e-6)
    assert np.allclose(at_squares(found["difference"]), heights - weights.lag_spatial(w, heights), atol=1e-5)


def test_records_that_are_left_out_move_nobody_else() -> None:
    names = ["a", "b"] * 6
    vectors = layer(squares(), height=list(range(12)), use=names)
    options = LagOptions.model_validate({"kind": "rook", "field": "height", "where": {"use": ["a"]}})
    found = at_squares(lag_of_field("fields", vectors, GRID, options)["lag"])
    assert np.isnan(found[1::2]).all()
    # Columns 0 and 2 are left: neighbours above and below only.
    assert found[0::2].tolist() == [4.0, 6.0, 4.0, 6.0, 4.0, 6.0]


def test_missing_numbers_and_islands_among_records() -> None:
    polygons = [*squares(1, 3), shapely.box(GRID.left + 100, GRID.top - 90, GRID.left + 120, GRID.top - 60)]
    vectors = layer(polygons, height=[1.0, None, float("nan"), 5.0])
    found = lag_of_field("fields", vectors, GRID, LagOptions(field="height"))
    assert np.isnan(found["lag"][1, 1])  # its only neighbour has no number
    assert found["lag"][1, 4] == 1.0
    assert np.isnan(found["difference"][1, 4])
    assert np.isnan(found["lag"][1, 7])
    assert np.isnan(found["lag"][7, 10])  # an island
    assert np.isnan(found["lag"][8, 0])  # no record


@pytest.mark.parametrize(
    ("options", "make_w"),
    [
        (LagOptions(kind="knn", k=3), lambda p: weights.KNN(p, k=3)),
        (LagOptions(kind="distance", radius_m=40.0), lambda p: weights.DistanceBand(p, 40.0, silence_warnings=True)),
        (LagOptions(kind="kernel", radius_m=50.0), lambda p: weights.Kernel(p, bandwidth=50.0, function="triangular")),
        (LagOptions(kind="kernel", radius_m=50.0, fall="inverse"),
         lambda p: weights.DistanceBand(p, 50.0, binary=False, silence_warnings=True)),
    ],
)  # fmt: skip
def test_points_equal_libpysal_and_are_painted_around_themselves(options: LagOptions, make_w: object) -> None:
    rng = np.random.default_rng(5)
    places = rng.uniform((0, -90), (120, 0), (15, 2)) + np.array([GRID.left, GRID.top])
    values = rng.normal(size=15)
    values[3] = np.nan
    expected = left_out(make_w(places), values)  # type: ignore[operator]
    chosen = options.model_copy(update={"field": "v", "reach_m": 25.0})
    found = lag_of_field("stations", layer(list(shapely.points(places)), v=values), GRID, chosen)["lag"]
    east, north = GRID.centres(ROWS, COLS)
    apart = np.hypot(east[..., None] - places[:, 0], north[..., None] - places[:, 1])
    painted = np.where(apart.min(axis=2) <= 25.0, expected[apart.argmin(axis=2)], np.nan)
    assert np.allclose(found, painted, atol=1e-6, equal_nan=True)


HOUSES = layer(squares(), height=range(12), name=["x"] * 12)
TWINS = layer([shapely.Point(GRID.left, GRID.top)] * 3, height=[1, 2, 3])


@pytest.mark.parametrize(
    ("vectors", "options", "said"),
    [
        (HOUSES, LagOptions(), "no field ''.*height, name"),
        (HOUSES, LagOptions(field="name"), "holds text"),
        (HOUSES, LagOptions(kind="knn", k=12, field="height"), "12 records have no 12 neighbours"),
        (TWINS, LagOptions(field="height"), "3 of 3 records are points or lines"),
        (TWINS, LagOptions(kind="knn", k=2, field="height"), "cover no pixel.*reach_m"),
        (TWINS, LagOptions(kind="kernel", radius_m=5, fall="inverse", field="height"), "3 pairs of records"),
        (layer([]), LagOptions(field="height"), "holds no records"),
    ],
)
def test_layers_that_have_no_lag_are_refused(vectors: Vectors, options: LagOptions, said: str) -> None:
    with pytest.raises(BadInput, match=said):
        make(Stage(GRID, vectors={"houses": vectors}), ("lag",), options)


def test_repaired_polygons_have_neighbours() -> None:
    # A bow tie with a thread: repaired, it is a collection.
    left, top = GRID.left, GRID.top
    thread = [(left, top), (left + 30, top), (left + 30, top - 30), (left + 60, top - 30), (left + 30, top - 30)]
    torn = shapely.Polygon([*thread, (left, top - 30)])
    assert shapely.make_valid(torn).geom_type == "GeometryCollection"
    vectors = layer([torn, shapely.box(left + 30, top - 30, left + 60, top)], height=[1.0, 2.0])
    found = lag_of_field("houses", vectors, GRID, LagOptions(field="height", repair=True))["lag"]
    assert (found[1, 1], found[1, 4]) == (2.0, 1.0)


def test_neighbourhoods_of_records_are_not_held_to_those_of_pixels() -> None:
    options = LagOptions(kind="knn", k=9, field="height")
    assert RECIPE.margin_px(options, PIXEL) == 0
    assert np.isfinite(make(Stage(GRID, vectors={"houses": HOUSES}), ("lag",), options)["lag"]).any()


def test_twins_are_each_others_neighbours() -> None:
    # libpysal's DistanceBand says that they are none: a sparse matrix does not hold a distance of 0.
    options = LagOptions(kind="distance", radius_m=5.0, field="height", reach_m=30.0)
    assert lag_of_field("twins", TWINS, GRID, options)["lag"][0, 0] == 2.5
    knn = LagOptions(kind="knn", k=2, field="height", reach_m=30.0)
    assert lag_of_field("twins", TWINS, GRID, knn)["lag"][0, 0] == 2.5


def test_the_registry_knows_it() -> None:
    assert RECIPES["lag"] is RECIPE
    assert not [name for name in LagOptions.model_fields if "label" in name or "class" in name]
