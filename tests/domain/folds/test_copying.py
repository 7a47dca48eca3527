"""The sharpest question to folds: does a model gain that only copies the label of the nearest sample?

Patches of a kilometre have classes drawn at random. Who is asked farther from what he knows than a
patch reaches knows nothing: an honest accuracy is one in four.
"""

from __future__ import annotations

import os

import numpy as np
import pytest
from scipy import stats
from scipy.spatial import cKDTree

from geoml_ops.core.folding import FoldRules
from geoml_ops.domain.folds import Samples, materialise, plan_for
from geoml_ops.platform.files import read_json, write_json
from geoml_ops.settings import CHECKOUT
from tests.domain.folds.worlds import PATCH_REACH_M, SPATIAL, TABLE, patchwork

SEEDS = range(5)
MANY_SEEDS = range(40)
NUMBERS = CHECKOUT / "workspace" / "full" / "folds.json"
HONEST = 0.25
#: With the buffer, whatever the method; blocks and clusters alone only blunt the gain.
APART = {"buffer_m": PATCH_REACH_M, "block_m": 4000.0, "tested": 150}

#: A fold of scattered units needs few of them, or their discs cover the ground; there are six days.
N_FOLDS = {"location": 12, "time": 3, "location_time": 3}


def copied(samples: Samples, **rules: object) -> float:
    """Pooled accuracy of copying the nearest label."""
    plan = plan_for(TABLE, samples, FoldRules(**rules))  # type: ignore[arg-type]
    right, asked = 0, 0
    for train, test in materialise(plan, samples):
        nearest = train[cKDTree(samples.ground[train]).query(samples.ground[test])[1]]
        right += int((samples.code[nearest] == samples.code[test]).sum())
        asked += len(test)
    return right / asked


@pytest.fixture(scope="module")
def worlds() -> list[Samples]:
    return [patchwork(seed) for seed in SEEDS]


@pytest.mark.parametrize("method", SPATIAL)
def test_copying_gains_nothing_from_a_spatial_method(worlds: list[Samples], method: str) -> None:
    found = [copied(samples, **APART, method=method, n_folds=N_FOLDS.get(method, 6)) for samples in worlds]
    interval = stats.t.interval(0.999, len(found) - 1, np.mean(found), stats.sem(found))
    assert interval[0] < HONEST < interval[1]
    assert np.mean(found) < HONEST + 0.03


@pytest.mark.parametrize(
    ("shape", "deal"),
    [("square", "systematic"), ("square", "checkerboard"), ("hexagon", "balanced"), ("hexagon", "systematic")],
)
def test_copying_gains_nothing_from_any_deal_of_blocks(worlds: list[Samples], shape: str, deal: str) -> None:
    rules = {"method": "block", "shape": shape, "deal": deal, "n_folds": 2 if deal == "checkerboard" else 5}
    found = [copied(samples, **APART, **rules) for samples in worlds]
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
    assert found[0] > found[1] + 0.03
    assert found[1] > found[2] + 0.03
    assert found[2] < HONEST + 0.08


@pytest.mark.full
@pytest.mark.skipif(os.environ.get("GEOML_FULL") != "1", reason="takes many minutes; make full")
def test_over_many_worlds_copying_gains_less_than_a_hundredth() -> None:
    worlds = [patchwork(seed) for seed in MANY_SEEDS]
    numbers = {}
    for method in (*SPATIAL, "random"):
        rules = {**APART, "method": method, "n_folds": N_FOLDS.get(method, 6)}
        found = [copied(samples, **rules) for samples in worlds]
        half = float(stats.sem(found) * stats.t.ppf(0.975, len(found) - 1))
        numbers[method] = {"accuracy": float(np.mean(found)), "half": half, "honest": HONEST, "worlds": len(worlds)}
    write_json(NUMBERS, (read_json(NUMBERS) if NUMBERS.exists() else {}) | {"copying": numbers})
    assert all(numbers[method]["accuracy"] < HONEST + 0.01 for method in SPATIAL)
    assert numbers["random"]["accuracy"] > 0.9
