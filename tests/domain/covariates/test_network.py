"""Network distance against networkx and against ways counted by hand."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

import networkx as nx
import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from geoml_ops.core.errors import BadInput
from geoml_ops.core.grid import Grid, Window
from geoml_ops.domain.covariates import Stage, Vectors
from geoml_ops.domain.covariates.network import RECIPE, NetworkOptions, access, least_costs, noded
from geoml_ops.domain.covariates.network.making import make
from geoml_ops.domain.covariates.network.noding import feet
from geoml_ops.domain.covariates.planar import segments_of
from geoml_ops.domain.covariates.registry import RECIPES

E, N = 500_000.0, 5_900_000.0
GRID = Grid(crs="EPSG:32633", left=E, top=N, pixel_m=10.0, width=30, height=20)
ROWS, COLS = np.mgrid[:20, :30]
X, Y = (COLS + 0.5) * 10.0, -(ROWS + 0.5) * 10.0
PLAIN = NetworkOptions()


def layer(geometries: Sequence[object], **fields: Sequence[object]) -> Vectors:
    held = np.empty(len(geometries), dtype=object)
    held[:] = geometries
    return Vectors(held, {name: np.array(values, dtype=object) for name, values in fields.items()})


def road(*places: tuple[float, float]) -> shapely.LineString:
    return shapely.LineString([(E + x, N + y) for x, y in places])


def stops(*places: tuple[float, float]) -> Vectors:
    return layer([shapely.Point(E + x, N + y) for x, y in places])


def stage(roads: Vectors, to: Vectors, grid: Grid = GRID) -> Stage:
    return Stage(grid, vectors={"roads": roads, "stations": to})


def way(roads: Vectors, to: Vectors, options: NetworkOptions = PLAIN) -> np.ndarray:
    return make(stage(roads, to), ("network_distance",), options)["network_distance"]


# --- by hand ---------------------------------------------------------------------------------


def test_one_road_and_one_station() -> None:
    roads = layer([road((0, -100), (300, -100))], kmh=[36.0])
    found = make(
        stage(roads, stops((300, -130))),
        ("network_distance", "travel_time", "access_distance"),
        NetworkOptions(speed_field="kmh", access_kmh=3.6),
    )
    assert np.allclose(found["network_distance"], np.abs(Y + 100) + (300 - X) + 30, atol=1e-4)
    assert np.allclose(found["travel_time"], np.abs(Y + 100) + (300 - X) / 10 + 30, atol=1e-4)
    assert np.allclose(found["access_distance"], np.abs(Y + 100), atol=1e-4)


def test_a_station_in_the_middle_of_a_road_is_reached_from_both_sides() -> None:
    found = way(layer([road((0, -100), (300, -100))]), stops((155, -100)))
    assert np.allclose(found, np.abs(Y + 100) + np.abs(X - 155), atol=1e-4)


def test_the_straight_leg_has_its_own_price() -> None:
    roads, to = layer([road((0, -100), (300, -100))]), stops((300, -130))
    assert np.allclose(way(roads, to, NetworkOptions(access_factor=3.0)), 3 * np.abs(Y + 100) + 300 - X + 90, atol=1e-3)
    free = way(roads, to, NetworkOptions(access_factor=0.0))
    assert np.allclose(free, 300 - X, atol=1e-4)


def test_pixels_far_from_the_network_have_no_way() -> None:
    found = way(layer([road((0, -100), (300, -100))]), stops((300, -100)), NetworkOptions(most_access_m=30))
    assert np.array_equal(np.isnan(found), np.abs(Y + 100) > 30)


@pytest.mark.parametrize(("word", "open_to_the_east", "open_to_the_west"), [
    ("yes", True, False), ("1", True, False), (1, True, False), (1.0, True, False), (True, True, False),
    ("-1", False, True), (-1, False, True), ("Reverse", False, True),
    ("no", True, True), (0, True, True), (False, True, True), (None, True, True), ("", True, True),
    (float("nan"), True, True),
])  # fmt: skip
def test_roads_of_one_direction(word: object, open_to_the_east: bool, open_to_the_west: bool) -> None:
    roads = layer([road((0, -100), (300, -100))], oneway=[word])
    found = way(roads, stops((155, -100)), NetworkOptions(oneway_field="oneway"))
    assert np.isfinite(found[:, X[0] < 155]).all() == open_to_the_east
    assert np.isfinite(found[:, X[0] > 155]).all() == open_to_the_west
    assert np.isfinite(found[:, 15]).all()  # the pixels beside the station itself


def test_of_two_roads_between_the_same_places_the_cheaper_one_counts() -> None:
    line = road((5, -105), (295, -105))
    roads = layer([line, line, line], cost=[3.0, 0.5, 2.0])
    found = make(stage(roads, stops((295, -105))), ("network_cost",), NetworkOptions(cost_field="cost"))["network_cost"]
    # The first of equally near lines is gone to; from its western end the cheap one goes on.
    assert np.isclose(found[10, 0], 0.5 * 290)


def test_parts_that_do_not_hang_together_have_no_way_unless_pixels_may_go_farther() -> None:
    roads = layer([road((0, -50), (300, -50)), road((0, -150), (300, -150))])
    found = way(roads, stops((300, -50)))
    assert np.array_equal(np.isnan(found), Y < -100)
    found = way(roads, stops((300, -50)), NetworkOptions(reachable_only=True))
    assert np.allclose(found, np.abs(Y + 50) + 300 - X, atol=1e-4)


def test_lines_meet_at_vertices_and_where_asked_at_crossings() -> None:
    cross = layer([road((0, -105), (300, -105)), road((155, 0), (155, -200))])
    apart = way(cross, stops((155, -200)))
    assert np.isnan(apart[10, 0])
    joined = way(cross, stops((155, -200)), NetworkOptions(crossings=True))
    assert np.isclose(joined[10, 0], 150 + 95)
    shared = layer([road((0, -105), (155, -105), (300, -105)), road((155, 0), (155, -105), (155, -200))])
    assert np.allclose(way(shared, stops((155, -200))), joined, atol=1e-4)


@pytest.mark.parametrize("gap", [0.0, 4e-4])
def test_a_road_that_ends_on_another_joins_it_where_asked(gap: float) -> None:
    tee = layer([road((0, -105), (300, -105)), road((155, -105 - gap), (155, -200))])
    assert np.isnan(way(tee, stops((155, -200)))[10, 0])
    assert np.isclose(way(tee, stops((155, -200)), NetworkOptions(crossings=True))[10, 0], 150 + 95, atol=2e-3)


def test_vertices_that_miss_each_other_by_a_hair_are_one() -> None:
    roads = layer([road((0, -105), (155.0000001, -105)), road((155, -105.0000001), (300, -105))])
    assert np.isclose(way(roads, stops((300, -105)))[10, 0], 295, atol=1e-4)
    assert np.isnan(way(roads, stops((300, -105)), NetworkOptions(merge_m=0.0))[10, 0])


def test_lines_on_top_of_each_other_are_one_way() -> None:
    roads = layer([road((0, -105), (200, -105)), road((100, -105), (300, -105))])
    found = way(roads, stops((300, -105)), NetworkOptions(crossings=True))
    assert np.allclose(found[10], 300 - X[10], atol=1e-3)


def test_a_network_beyond_the_grid() -> None:
    roads = layer([road((-5_000, -100), (5_000, -100))])
    assert np.allclose(way(roads, stops((4_000, -100))), np.abs(Y + 100) + 4_000 - X, atol=1e-2)


def test_lines_of_one_point_and_repeated_vertices_are_harmless() -> None:
    roads = layer([road((0, -105), (0, -105), (100, -105), (100, -105), (300, -105)), road((50, -50), (50, -50))])
    assert np.isclose(way(roads, stops((300, -105)))[10, 0], 295, atol=1e-4)


# --- networkx --------------------------------------------------------------------------------


def streets(seed: int) -> tuple[Vectors, np.ndarray]:
    """A crooked lattice with gaps, one-way streets, double streets and speeds; and stations beside it."""
    rng = np.random.default_rng(seed)
    nodes = {
        (i, j): (60.0 * i + rng.uniform(-15, 15), -45.0 * j + rng.uniform(-12, 12)) for i in range(6) for j in range(5)
    }
    drawn, kmh, oneway = [], [], []
    for (i, j), place in nodes.items():
        for other in ((i + 1, j), (i, j + 1)):
            if other in nodes and rng.random() < 0.8:
                for _ in range(1 + (rng.random() < 0.15)):
                    bend = tuple(np.mean([place, nodes[other]], axis=0) + rng.normal(0, 4, 2))
                    drawn.append(road(place, bend, nodes[other]))
                    kmh.append(float(rng.choice([10, 30, 50])))
                    oneway.append(str(rng.choice(["no", "yes", "-1"], p=[0.6, 0.2, 0.2])))
    to = rng.uniform((0, -190), (300, 0), (int(rng.integers(1, 4)), 2))
    return layer(drawn, kmh=kmh, oneway=oneway), to


def oracle(roads: Vectors, to: np.ndarray, unit: Mapping[int, float], off_road: float) -> np.ndarray:
    """Costs by networkx: pixels and stations are nodes of the graph, hung on the nearest place of the nearest piece."""
    pieces: list[tuple[tuple[float, float], tuple[float, float], int]] = []
    for index, line in enumerate(roads.geometries):
        places = [(x - E, y - N) for x, y in line.coords]
        pieces += [(a, b, index) for a, b in itertools.pairwise(places)]
    drawn = shapely.linestrings([[a, b] for a, b, _ in pieces])
    hung: dict[int, list[tuple[float, tuple[float, float]]]] = {k: [] for k in range(len(pieces))}
    legs: dict[object, tuple[float, tuple[float, float]]] = {}
    every = {("to", k): tuple(p) for k, p in enumerate(to)}
    every |= {("px", r, c): (X[r, c], Y[r, c]) for r in range(0, 20, 3) for c in range(0, 30, 4)}
    for key, place in every.items():
        apart = shapely.distance(drawn, shapely.Point(place))
        piece = int(np.argmin(apart))
        along = shapely.line_locate_point(drawn[piece], shapely.Point(place))
        foot = shapely.line_interpolate_point(drawn[piece], along).coords[0]
        if along < 1e-9 or along > drawn[piece].length - 1e-9:
            foot = pieces[piece][0 if along < 1e-9 else 1]
        else:
            hung[piece].append((along, foot))
        legs[key] = (float(apart[piece]), foot)
    graph = nx.MultiDiGraph()
    for k, (a, b, index) in enumerate(pieces):
        length = float(np.hypot(b[0] - a[0], b[1] - a[1]))
        chain = [(0.0, a), *sorted(hung[k]), (length, b)]
        for (s, u), (t, v) in itertools.pairwise(chain):
            if roads.fields["oneway"][index] != "-1":
                graph.add_edge(u, v, weight=(t - s) * unit[index])
            if roads.fields["oneway"][index] != "yes":
                graph.add_edge(v, u, weight=(t - s) * unit[index])
    for key, (leg, foot) in legs.items():
        graph.add_edge(key, foot, weight=leg * off_road) if key[0] == "px" else graph.add_edge(
            foot, key, weight=leg * off_road
        )
    least = nx.multi_source_dijkstra_path_length(graph.reverse(copy=False), {k for k in legs if k[0] == "to"})
    found = np.full((20, 30), np.nan)
    for key in legs:
        if key[0] == "px":
            found[key[1], key[2]] = least.get(key, np.nan)
    return found[::3, ::4]


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6))
def test_costs_equal_networkx(seed: int) -> None:
    roads, to = streets(seed)
    places = stops(*map(tuple, to))
    options = NetworkOptions(speed_field="kmh", oneway_field="oneway", access_factor=1.7, access_kmh=4.0)
    found = make(stage(roads, places), ("network_distance", "travel_time"), options)
    metres = oracle(roads, to, dict.fromkeys(range(len(roads.geometries)), 1.0), 1.7)
    seconds = oracle(roads, to, {i: 3.6 / v for i, v in enumerate(roads.fields["kmh"])}, 3.6 / 4.0)
    assert np.allclose(found["network_distance"][::3, ::4], metres, atol=2e-4, equal_nan=True)
    assert np.allclose(found["travel_time"][::3, ::4], seconds, rtol=1e-5, atol=2e-4, equal_nan=True)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10**6))
def test_crossings_are_those_of_geos(seed: int) -> None:
    rng = np.random.default_rng(seed)
    lines = [road(*map(tuple, rng.uniform((0, -200), (300, 0), (3, 2)))) for _ in range(6)]
    union = shapely.union_all(lines)
    noding = layer(list(shapely.get_parts(union)))
    to = stops(tuple(np.array(lines[0].coords[0]) - (E, N)))
    found, expected = way(layer(lines), to, NetworkOptions(crossings=True)), way(noding, to)
    assert np.allclose(found, expected, atol=5e-3, equal_nan=True)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10**6))
def test_no_way_is_shorter_than_the_straight_one_and_windows_agree(seed: int) -> None:
    roads, to = streets(seed)
    pieces = segments_of(roads.geometries, GRID)
    network = noded(pieces, to, crossings=False, merge_m=0.001)
    ways = access(network, np.ones(len(roads.geometries)), np.zeros(len(roads.geometries), np.int8), 1.0, PLAIN)
    found = ways.costs(GRID, GRID.whole)
    straight = np.min([np.hypot(X - x, Y - y) for x, y in to], axis=0)
    assert (found[np.isfinite(found)] >= straight[np.isfinite(found)] - 1e-6).all()
    window = Window(col=7, row=3, width=11, height=9)
    assert np.array_equal(ways.costs(GRID, window), found[window.slices()], equal_nan=True)


def test_an_edge_without_cost_is_an_edge() -> None:
    pieces = segments_of(layer([road((0, 0), (10, 0)), road((10, 0), (20, 0))]).geometries, GRID)
    network = noded(pieces, np.array([[20.0, 0.0]]), crossings=False, merge_m=0.0)
    least = least_costs(network, np.array([5.0, 0.0]), np.array([0.0]), np.zeros(2, np.int8))
    assert sorted(least) == [0.0, 0.0, 5.0]


def test_feet_are_the_nearest_places() -> None:
    ends = np.array([[0.0, 0, 10, 0], [10, 0, 10, 10], [3, 3, 3, 3]])
    foot, piece, metres = feet(ends, np.array([[5.0, 1], [10, 0], [14, 14], [3, 4]]))
    assert piece.tolist() == [0, 0, 1, 2]
    assert np.allclose(foot, [[5, 0], [10, 0], [10, 10], [3, 3]])
    assert np.allclose(metres, [1, 0, np.hypot(4, 4), 1])


# --- what is refused -------------------------------------------------------------------------

ROADS = layer([road((0, -100), (300, -100)), road((300, -100), (300, -200))], kmh=[50, None], oneway=["no", "maybe"])
TO = stops((10, -100))
POLYGON = layer([shapely.Point(E, N).buffer(5)])


@pytest.mark.parametrize(
    ("vectors", "product", "options", "said"),
    [
        ({"roads": ROADS}, "network_distance", PLAIN, "given are 1 of lines, 0 of points"),
        ({"a": ROADS, "b": ROADS}, "network_distance", PLAIN, "given are 2 of lines"),
        ({"a": ROADS, "b": POLYGON}, "network_distance", PLAIN, "1 of polygons.*entrances"),
        ({"a": ROADS, "b": layer([])}, "network_distance", PLAIN, "b holds nothing"),
        ({"a": layer([TO.geometries[0], ROADS.geometries[0]]), "b": TO}, "network_distance", PLAIN, "a holds .* mixed"),
        ({"a": ROADS, "b": TO}, "travel_time", PLAIN, "needs speeds"),
        ({"a": ROADS, "b": TO}, "travel_time", NetworkOptions(speed_field="kmh"), "1 of 2 records; record 2 has None"),
        ({"a": ROADS, "b": TO}, "travel_time", NetworkOptions(speed_field="v"), "no field 'v'.*kmh, oneway"),
        ({"a": ROADS, "b": TO}, "network_cost", PLAIN, "options.cost_field"),
        ({"a": ROADS, "b": TO}, "network_cost", NetworkOptions(cost_field="oneway"), "holds text"),
        ({"a": ROADS, "b": TO}, "network_distance", NetworkOptions(oneway_field="oneway"), "'maybe': no directions"),
        ({"a": ROADS, "b": stops((10, -500))}, "network_distance", NetworkOptions(most_access_m=100),
         "1 of 1 destinations .* farthest 400 m"),
        ({"a": layer([road((5, -5), (5, -5))]), "b": TO}, "network_distance", PLAIN, "no length"),
    ],
)  # fmt: skip
def test_what_makes_no_network_is_refused(
    vectors: dict[str, Vectors], product: str, options: NetworkOptions, said: str
) -> None:
    with pytest.raises(BadInput, match=said):
        make(Stage(GRID, vectors=vectors), (product,), options)


def test_lines_without_a_speed_can_be_given_one_and_the_order_of_layers_does_not_matter() -> None:
    options = NetworkOptions(speed_field="kmh", speed_kmh=36.0)
    one = make(Stage(GRID, vectors={"a": ROADS, "b": TO}), ("travel_time",), options)["travel_time"]
    other = make(Stage(GRID, vectors={"b": TO, "a": ROADS}), ("travel_time",), options)["travel_time"]
    assert np.array_equal(one, other)
    assert np.isfinite(one).all()


def test_the_registry_knows_it() -> None:
    assert RECIPES["network_distance"] is RECIPE
    grid = GRID.inside(Window(col=3, row=4, width=1, height=1))
    roads = layer([road((0, -100), (300, -100))], cost=[2.0])
    options = NetworkOptions(cost_field="cost", speed_kmh=30.0)
    found = make(stage(roads, TO, grid), tuple(RECIPE.products), options)
    for name, product in RECIPE.products.items():
        assert found[name].shape == (1, 1)
        assert product.valid[0] <= found[name].item() <= product.valid[1]
