"""Every family's head as a graph against the model's own answer, in the layout that runs fastest here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache, partial
from typing import Any

import catboost
import lightgbm
import numpy as np
import xgboost
from numpy.typing import NDArray
from sklearn.ensemble import (
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
)

from geoml_ops.adapters.ort import Graph
from geoml_ops.core.bands import SENTINEL_2_L1C
from geoml_ops.domain.world import landscape
from geoml_ops.steps.layouts import fastest
from tests.benchmarks.pairs import Figure, in_turns
from tests.versions import cube

EDGE_PX, N_SAMPLES, WRONG_SHARE = 252, 6_000, 0.2
_BANDS = ("B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B11", "B12")


def _catboost() -> Any:
    return catboost.CatBoostClassifier(iterations=300, depth=6, verbose=0, allow_writing_files=False, thread_count=1)


MODELS: Mapping[str, Callable[[], Any]] = {
    "forest": lambda: RandomForestClassifier(200, max_depth=15, random_state=0, n_jobs=1),
    "extra_trees": lambda: ExtraTreesClassifier(200, max_depth=15, random_state=0, n_jobs=1),
    "gradient_boosting": lambda: GradientBoostingClassifier(n_estimators=100, subsample=0.5, random_state=0),
    "histogram": lambda: HistGradientBoostingClassifier(max_iter=100, early_stopping=False, random_state=0),
    "xgboost": lambda: xgboost.XGBClassifier(n_estimators=300, max_depth=6, learning_rate=0.1, n_jobs=1),
    "xgboost_shallow": lambda: xgboost.XGBClassifier(n_estimators=60, max_depth=4, learning_rate=0.15, n_jobs=1),
    "lightgbm": lambda: lightgbm.LGBMClassifier(n_estimators=100, n_jobs=1, verbose=-1),
    "catboost": _catboost,
}


@cache
def ground() -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Returns reflectance and three indices ``(row, feature)`` of a landscape, row by row, and its classes."""
    world = landscape(EDGE_PX, EDGE_PX, seed=7)
    dn = cube(world)
    band = {name: dn[SENTINEL_2_L1C.names.index(name)].astype(np.float32) * np.float32(1e-4) for name in _BANDS}
    pairs = (("B08", "B04"), ("B03", "B08"), ("B11", "B08"))
    with np.errstate(invalid="ignore"):
        indices = [np.nan_to_num((band[a] - band[b]) / (band[a] + band[b])) for a, b in pairs]
    rows = np.stack([*band.values(), *indices], axis=-1).reshape(-1, len(_BANDS) + len(pairs))
    return np.ascontiguousarray(rows), np.unique(world.truth.ravel(), return_inverse=True)[1]


def head(family: str, name: str) -> Figure:
    """A family's head in its fastest layout, tiles of 128 pixels, against ``predict_proba`` on the same rows."""
    rows, codes = ground()
    rng = np.random.default_rng(0)
    chosen = rng.permutation(len(rows))[:N_SAMPLES]
    # Generated classes are told apart by a few splits; with wrong labels among them trees grow as large as real ones.
    wrong = rng.random(N_SAMPLES) < WRONG_SHARE
    told = np.where(wrong, rng.integers(0, codes.max() + 1, N_SAMPLES), codes[chosen])
    model = MODELS[family]().fit(rows[chosen], told)
    tile = np.ascontiguousarray(rows.reshape(EDGE_PX, EDGE_PX, -1)[:128, :128].reshape(128 * 128, -1))
    found = fastest(model, family, rows.shape[1], tile)
    graph, pixels = Graph(found.content, threads=1), np.ascontiguousarray(tile.T).reshape(1, -1, 128, 128)
    apart = np.abs(graph.head(pixels)[0].reshape(codes.max() + 1, -1).T - model.predict_proba(tile)).max()
    if not apart < 1e-5:
        raise SystemExit(f"{name}: the two parts differ by {apart:.2g}; their speeds say nothing")
    own = {"thread_count": 1} if family == "catboost" else {}
    return in_turns(
        name,
        f"{family} ({type(model).__name__}) as head graph in ONNX Runtime, {found.layout}, against predict_proba on "
        f"the same features; tiles of 128 pixels; one thread each",
        lambda: graph.head(pixels),
        lambda: model.predict_proba(tile, **own),
        size=len(tile),
        unit="pixels/s",
        limit_s=6.0,
    )


FIGURES: Mapping[str, Callable[[str], Figure]] = {f"head_{family}": partial(head, family) for family in MODELS}
