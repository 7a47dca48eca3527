"""Lags of records: weights between geometries (libpysal), found by their position among the records."""

from __future__ import annotations

from typing import Any

import numpy as np
import shapely
from libpysal import weights
from numpy.typing import NDArray
from scipy import sparse
from scipy.spatial import cKDTree

from geoml_ops.core.errors import BadInput, TooLarge
from geoml_ops.domain.covariates.lag.options import LagOptions, radius_of, weights_at

MOST_PAIRS = 20_000_000


def web(geometries: NDArray[np.object_], options: LagOptions) -> Any:
    """Returns a sparse ``(n, n)`` matrix of weights above 0; row i holds the neighbours of geometry i, never itself.

    Raises:
        BadInput: contiguity of what is no polygon, fewer records than neighbours, or coincident places by inverse
            distance.
        TooLarge: more than :data:`MOST_PAIRS` pairs lie within the radius.
    """
    if options.kind in ("queen", "rook"):
        return _contiguous(geometries, options)
    places = shapely.get_coordinates(shapely.centroid(geometries))
    if options.kind == "knn":
        return _nearest(places, options.k)
    return _within(places, options)


def lag_over(web: Any, values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Returns the mean of each record's neighbours that hold a number, by their weights; NaN where there is none.

    Args:
        web: ``(n, n)`` weights.
        values: ``(n,)``, not finite for nothing.
    """
    seen = np.isfinite(values)
    total, weight = web @ np.where(seen, values, 0.0), web @ seen.astype(np.float64)
    return np.asarray(np.divide(total, weight, out=np.full(len(values), np.nan), where=weight > 0))


def _contiguous(geometries: NDArray[np.object_], options: LagOptions) -> Any:
    flat = int((shapely.get_dimensions(geometries) < 2).sum())
    if flat:
        raise BadInput(
            f"{flat} of {len(geometries)} records are points or lines, which share no edges.",
            "use kind: knn, distance or kernel",
        )
    kind = weights.Queen if options.kind == "queen" else weights.Rook
    found = kind.from_iterable([_areas(g) for g in geometries], ids=list(range(len(geometries))), silence_warnings=True)
    return _reached(_plain(found.sparse), options.order)


def _areas(geometry: Any) -> Any:
    # What is left of a repaired polygon may be a collection, which libpysal does not know.
    if geometry.geom_type != "GeometryCollection":
        return geometry
    parts = shapely.get_parts(geometry)
    return shapely.union_all(parts[shapely.get_dimensions(parts) == 2])


def _reached(step: Any, order: int) -> Any:
    reached = step
    for _ in range(order - 1):
        reached = _plain(reached + reached @ step)
    return reached


def _nearest(places: NDArray[np.float64], k: int) -> Any:
    if len(places) <= k:
        raise BadInput(f"{len(places)} records have no {k} neighbours each.", "use a smaller k")
    return _plain(weights.KNN(places, k=k, silence_warnings=True).sparse)


def _within(places: NDArray[np.float64], options: LagOptions) -> Any:
    radius = radius_of(options)
    tree = cKDTree(places)
    n_pairs = (int(tree.count_neighbors(tree, radius)) - len(places)) // 2
    if n_pairs > MOST_PAIRS:
        raise TooLarge(
            f"{n_pairs} pairs of {len(places)} records lie within {radius:g} m; the limit is {MOST_PAIRS}.",
            "use a smaller radius, or kind: knn",
        )
    # Not libpysal's DistanceBand (4.14): records at the same place, 0 m apart, are no neighbours of each other there.
    pairs = tree.query_pairs(radius, output_type="ndarray")
    one, other = np.concatenate([pairs, pairs[:, ::-1]]).T
    apart = np.hypot(*(places[one] - places[other]).T)
    if options.kind == "kernel" and options.fall == "inverse" and (apart == 0).any():
        raise BadInput(
            f"{int((apart == 0).sum()) // 2} pairs of records are at the same place, where 1 / distance has no value.",
            "use another fall, or make the records one",
        )
    found = weights_at(apart, options)
    kept = found > 0
    return sparse.csr_matrix((found[kept], (one[kept], other[kept])), shape=(len(places),) * 2)


def _plain(matrix: Any) -> Any:
    """Returns a matrix of ones where another holds anything, without its diagonal."""
    pairs = matrix.tocoo()
    kept = (pairs.row != pairs.col) & (pairs.data != 0)
    ones = np.ones(int(kept.sum()))
    return sparse.csr_matrix((ones, (pairs.row[kept], pairs.col[kept])), shape=pairs.shape)
