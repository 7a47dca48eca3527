"""Heads that are no trees, as graphs against the fitted object's own answer, one thread each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.neighbors import KNeighborsClassifier

from geoml_ops.adapters.onnx import head_graph
from geoml_ops.adapters.ort import Graph
from geoml_ops.domain.fitting import Fitted, Neighbours, fit, recipe
from geoml_ops.steps.models import FAMILIES
from tests.benchmarks.heads import EDGE_PX, ground
from tests.benchmarks.pairs import Figure, in_turns

N_SAMPLES, TILE_PX = 3_000, 128
ENTRIES: Mapping[str, dict[str, Any]] = {
    "logistic_regression": {},
    "mlp": {"hidden_layer_sizes": [64, 32], "max_iter": 60},
    "svm": {"C": 10.0},
    "knn": {"n_neighbors": 7},
    "forest_isotonic": {"family": "random_forest", "n_estimators": 100, "max_depth": 12, "calibrate": "isotonic"},
    "bagging": {"member": "logistic_regression", "n_estimators": 20},
    "voting": {"members": {"line": "logistic_regression", "forest": {"family": "random_forest", "max_depth": 12}}},
    "stacking": {"members": {"line": "logistic_regression", "forest": {"family": "random_forest", "max_depth": 12}}},
}


def _strips(rows: NDArray[np.int64]) -> Sequence[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Folds inside the samples for the curves alone; what they are worth is not asked here."""
    fold = np.arange(len(rows)) * 3 // max(len(rows), 1)
    return [(np.flatnonzero(fold != f), np.flatnonzero(fold == f)) for f in range(3)]


@cache
def _fitted(entry: str) -> Fitted:
    rows, codes = ground()
    chosen = np.random.default_rng(0).permutation(len(rows))[:N_SAMPLES]
    own = recipe(ENTRIES[entry], FAMILIES, name=entry)
    return fit(own, rows[chosen], codes[chosen], int(codes.max()) + 1, inner=_strips)


def _native(model: Fitted, tile: NDArray[np.float32]) -> Callable[[], Any]:
    """The fitted object's own answer; of neighbours scikit-learn's, which is quicker than the platform's in Python."""
    last = getattr(model.estimator, "steps", [("", None)])[-1][1]
    if not isinstance(last, Neighbours):
        return lambda: model.probability(tile)
    theirs = KNeighborsClassifier(last.n_neighbors, algorithm="brute").fit(last.samples_, last.votes_.argmax(axis=1))
    rows = model.estimator[:-1].transform(tile)
    return lambda: theirs.predict_proba(rows)


def family(entry: str, name: str) -> Figure:
    """A family's head on a tile of 128 pixels against ``predict_proba`` on the same rows."""
    rows, _ = ground()
    model = _fitted(entry)
    tile = np.ascontiguousarray(rows.reshape(EDGE_PX, EDGE_PX, -1)[:TILE_PX, :TILE_PX].reshape(TILE_PX**2, -1))
    graph = Graph(head_graph(model.estimator, entry, rows.shape[1]), threads=1)
    pixels = np.ascontiguousarray(tile.T).reshape(1, -1, TILE_PX, TILE_PX)
    apart = np.abs(graph.head(pixels)[0].reshape(model.n_classes, -1).T - model.probability(tile)).max()
    if not apart < 1e-5:
        raise SystemExit(f"{name}: the two parts differ by {apart:.2g}; their speeds say nothing")
    return in_turns(
        name,
        f"{entry} ({type(model.estimator).__name__}) as head graph in ONNX Runtime against the fitted object on the "
        f"same features; tiles of {TILE_PX} pixels; {N_SAMPLES:,} samples learned; one thread each",
        lambda: graph.head(pixels),
        _native(model, tile),
        size=len(tile),
        unit="pixels/s",
        limit_s=6.0,
    )


FIGURES = {f"family_{entry}": partial(family, entry) for entry in ENTRIES}
