"""The sharpest question to folds: does a model gain that only copies the label of the nearest sample?

Patches of a kilometre have classes drawn at random. Who is asked farther from what he knows than a
patch reaches knows nothing: an honest accuracy is one in four.
"""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from sklearn.neighbors import KNeighborsClassifier

from geoml_ops.core.folding import FoldRules
from geoml_ops.domain.folds import Samples, materialise, plan_for

from tests.domain.folds.worlds import PATCH_REACH_M, SPATIAL, TABLE, patchwork

SEEDS = range(6)
HONEST = 0.25
#: With the buffer, whatever the method; blocks and clusters alone only blunt the gain.
APART = {"buffer_m": PATCH_REACH_M, "block_m": 4000.0, "n_folds": 6, "tested": 200}


def copied(samples: Samples, **rules: object) -> float:
    """Pooled accuracy of copying the nearest label."""
    plan = plan_for(TABLE, samples, FoldRules(**rules))  # type: ignore[arg-type]
    right, asked = 0, 0
    for train, test in materialise(plan, samples):
        model = KNeighborsClassifier(1).fit(samples.ground[train], samples.code[train])
        right += int((model.predict(samples.ground[test]) == samples.code[test]).sum())
        asked += len(test)
    return right / asked


@pytest.fixture(scope="module")
def worlds() -> list[Samples]:
    return [patchwork(seed) for seed in SEEDS]


@pytest.mark.parametrize("method", SPATIAL)
def test_copying_gains_nothing_from_a_spatial_method(worlds: list[Samples], method: str) -> None:
    n_folds = 3 if method in ("time", "location_time") else 12 if method in ("buffered", "location") else 6
    found = [copied(samples, **{**APART, "method": method, "n_folds": n_folds}) for samples in worlds]
    interval = stats.t.interval(0.999, len(found) - 1, np.mean(found), stats.sem(found))
    assert interval[0] < HONEST < interval[1]
    assert np.mean(found) < HONEST + 0.03


@pytest.mark.parametrize("shape", ["square", "hexagon"])
@pytest.mark.parametrize("deal", ["balanced", "systematic", "checkerboard"])
def test_copying_gains_nothing_from_any_deal_of_blocks(worlds: list[Samples], shape: str, deal: str) -> None:
    if (shape, deal) == ("hexagon", "checkerboard"):
        pytest.skip("there is no such chessboard")
    rules = {**APART, "method": "block", "shape": shape, "deal": deal}
    found = [copied(samples, **{**rules, "n_folds": 2 if deal == "checkerboard" else 5}) for samples in worlds]
    assert abs(np.mean(found) - HONEST) < 0.035


def test_random_folds_show_what_copying_gains_without_distance(worlds: list[Samples]) -> None:
    assert min(copied(samples, method="random", n_folds=5) for samples in worlds) > 0.9


@pytest.mark.parametrize("method", ["location", "buffered", "buffered_loo"])
def test_whole_polygons_without_a_buffer_are_not_enough(worlds: list[Samples], method: str) -> None:
    # Without this, the tests above could not fail: neighbours in the same patch give the class away.
    found = [copied(samples, method=method, n_folds=5, buffer_m=0.0, tested=200) for samples in worlds]
    assert np.mean(found) > HONEST + 0.08


def test_the_gain_falls_as_blocks_grow(worlds: list[Samples]) -> None:
    found = [
        np.mean([copied(samples, method="block", block_m=edge, buffer_m=0.0, n_folds=5) for samples in worlds])
        for edge in (250.0, 2000.0, 6000.0)
    ]
    assert found[0] > found[1] + 0.05 > found[2]
    assert found[2] < HONEST + 0.08
