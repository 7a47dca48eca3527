"""From lines and destinations to bands of network distance, travel time and cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray

from geoml_ops.core.errors import BadInput
from geoml_ops.core.grid import Grid, Window
from geoml_ops.domain.covariates.network.noding import Network, noded
from geoml_ops.domain.covariates.network.options import NetworkOptions, directions, per_metre
from geoml_ops.domain.covariates.network.routing import least_costs
from geoml_ops.domain.covariates.planar import Segments, chosen, nearest, require_metres, segments_of, strips
from geoml_ops.domain.covariates.recipe import Made, Product, Recipe, Stage, Vectors

HAIR_M = 1e-6


@dataclass(frozen=True, eq=False)
class Access:
    """What it costs to reach a destination from any place on the edges.

    Attributes:
        pieces: edges that a pixel may go to.
        at_start: ``(n_edges,)`` least cost from the first end; infinite for none.
        at_end: the same from the second end.
        cost: ``(n_edges,)`` of the whole edge.
        direction: ``(n_edges,)`` 1, -1 or 0 for both ways.
        off_road: cost of a metre of the straight leg.
        most_access_m: longest straight leg.
    """

    pieces: Segments
    at_start: NDArray[np.float64]
    at_end: NDArray[np.float64]
    cost: NDArray[np.float64]
    direction: NDArray[np.int8]
    off_road: float
    most_access_m: float

    def costs(self, grid: Grid, window: Window) -> NDArray[np.float64]:
        """Returns the cost from pixel centres to the nearest destination, ``(y, x)``; NaN where there is no way."""
        apart, edge = nearest(self.pieces, grid, window)
        share = _share(self.pieces.ends[edge], *_centres(grid, window))
        direction, cost = self.direction[edge], self.cost[edge]
        back = np.where((direction <= 0) | (share == 0), self.at_start[edge] + share * cost, np.inf)
        ahead = np.where((direction >= 0) | (share == 1), self.at_end[edge] + (1 - share) * cost, np.inf)
        found = np.minimum(back, ahead) + apart * self.off_road
        return np.where(np.isfinite(found) & (apart <= self.most_access_m), found, np.nan)


def _centres(grid: Grid, window: Window) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    x = (window.col + np.arange(window.width) + 0.5) * grid.pixel_m
    y = -(window.row + np.arange(window.height) + 0.5) * grid.pixel_m
    return np.broadcast_to(x, (window.height, window.width)), np.broadcast_to(y[:, None], (window.height, window.width))


def _share(ends: NDArray[np.float64], x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    """Returns how far along a piece its place nearest to a pixel is, 0 to 1."""
    across, up = ends[..., 2] - ends[..., 0], ends[..., 3] - ends[..., 1]
    length = np.hypot(across, up)
    along = ((x - ends[..., 0]) * across + (y - ends[..., 1]) * up) / length
    # A place that rounding puts beside a node is the node: on a one-way street the difference is a whole round.
    along = np.where(along <= HAIR_M, 0.0, np.where(along >= length - HAIR_M, length, along))
    return np.asarray(along / length)


def access(
    network: Network,
    unit_cost: NDArray[np.float64],
    direction: NDArray[np.int8],
    off_road: float,
    options: NetworkOptions,
) -> Access:
    """Returns what it costs from the edges to the nearest destination.

    Args:
        network: of lines and destinations.
        unit_cost: ``(n_lines,)`` of a metre of each line.
        direction: ``(n_lines,)`` 1, -1 or 0 for both ways.
        off_road: cost of a metre off the network.
        options: how far pixels may be, and which edges they may go to.
    """
    owner = network.pieces.owner
    cost, way = network.length_m * unit_cost[owner], direction[owner]
    least = least_costs(network, cost, network.leg_m * off_road, way)
    at_start, at_end = least[network.start], least[network.end]
    usable = np.ones(len(owner), dtype=bool)
    if options.reachable_only:
        usable = (np.isfinite(at_start) & (way <= 0)) | (np.isfinite(at_end) & (way >= 0))
    pieces = network.pieces
    kept = Segments(np.ascontiguousarray(pieces.ends[usable]), owner[usable], pieces.dimension[usable], pieces.n_owners)
    most = np.inf if options.most_access_m is None else options.most_access_m
    return Access(kept, at_start[usable], at_end[usable], cost[usable], way[usable], off_road, most)


def _layers(stage: Stage) -> tuple[tuple[str, Vectors], tuple[str, Vectors]]:
    """Returns the lines and the destinations, whichever order they were named in."""
    by_kind: dict[int, list[tuple[str, Vectors]]] = {0: [], 1: [], 2: []}
    for name, layer in stage.vectors.items():
        kinds = {int(d) for d in shapely.get_dimensions(layer.geometries) if d >= 0}
        if len(kinds) != 1:
            raise BadInput(
                f"{name[:60]} holds {'nothing' if not kinds else 'points, lines or polygons mixed'}.",
                "a network is one layer of lines and one of destination points",
            )
        by_kind[kinds.pop()].append((name, layer))
    if len(by_kind[0]) != 1 or len(by_kind[1]) != 1 or by_kind[2]:
        found = f"{len(by_kind[1])} of lines, {len(by_kind[0])} of points, {len(by_kind[2])} of polygons"
        raise BadInput(
            f"A network distance is made of one layer of lines and one of destination points; given are {found}.",
            "name two deliveries in of; take points inside polygons, such as entrances",
        )
    return by_kind[1][0], by_kind[0][0]


def _network(stage: Stage, options: NetworkOptions) -> tuple[Network, str, Vectors]:
    require_metres(stage.grid)
    (name, lines), (to, places) = _layers(stage)
    geometries, rows = chosen(name, lines, options.where, repair=False)
    kept = Vectors(lines.geometries[rows], {f: np.asarray(v)[rows] for f, v in lines.fields.items()})
    stops = segments_of(chosen(to, places, options.to_where, repair=False)[0], stage.grid).ends[:, :2]
    pieces = segments_of(geometries, stage.grid)
    network = noded(pieces, stops, crossings=options.crossings, merge_m=options.merge_m)
    _require_ways(name, to, network, options)
    return network, name, kept


def _require_ways(name: str, to: str, network: Network, options: NetworkOptions) -> None:
    if not len(network.start):
        raise BadInput(
            f"The lines of {name[:60]} have no length beyond {options.merge_m:g} m.", "lower options.merge_m"
        )
    most = options.most_access_m
    far = network.leg_m > (np.inf if most is None else most)
    if far.any():
        raise BadInput(
            f"{int(far.sum())} of {len(far)} destinations of {to[:60]} lie more than {most:g} m off the lines of "
            f"{name[:60]}, the farthest {network.leg_m.max():.0f} m.",
            "raise options.most_access_m, or leave them out with options.to_where",
        )


def make(stage: Stage, products: tuple[str, ...], options: NetworkOptions) -> Made:
    """Returns the products, each float32 ``(y, x)``; NaN where there is no way.

    Raises:
        BadInput: layers, fields or values that make no network.
    """
    network, name, lines = _network(stage, options)
    direction = directions(name, lines, options.oneway_field)
    made = {}
    for product in products:
        unit = np.zeros(len(direction)) if product == "access_distance" else per_metre(name, lines, product, options)
        off_road = 3.6 / options.access_kmh if product == "travel_time" else options.access_factor
        ways = access(network, unit, direction, off_road, options)
        made[product] = _bands(stage.grid, ways, straight=product == "access_distance")
    return made


def _bands(grid: Grid, ways: Access, *, straight: bool) -> NDArray[np.float32]:
    found = np.full(grid.shape, np.nan, dtype=np.float32)
    for window in strips(grid, pixels=1 << 19) if len(ways.pieces) else ():
        found[window.slices()] = nearest(ways.pieces, grid, window)[0] if straight else ways.costs(grid, window)
    return found


_DIJKSTRA = "Dijkstra 1959, doi:10.1007/BF01386390"
_PRODUCTS: Mapping[str, Product] = {
    "network_distance": Product("m", (0.0, 1e9), _DIJKSTRA, "shortest way to a destination, straight legs included"),
    "travel_time": Product("s", (0.0, 1e9), _DIJKSTRA, "fastest way to a destination, straight legs at access_kmh"),
    "network_cost": Product("1", (0.0, 1e12), _DIJKSTRA, "cheapest way to a destination, by cost_field"),
    "access_distance": Product("m", (0.0, 4.1e7), "Euclidean distance", "straight to the nearest line"),
}

RECIPE = Recipe(
    reads="vector",
    products=_PRODUCTS,
    options=NetworkOptions,
    margin_px=lambda options, pixel_m: 0,
    make=make,
)
