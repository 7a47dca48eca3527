"""Matched folds on larger maps with forests, and what they cost; the numbers go to ``workspace/full/knndm.json``."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier

from geoml_ops.platform.files import read_json, write_json
from geoml_ops.settings import CHECKOUT
from tests.domain.folds.maps import Design, biases, estimates, wider

pytestmark = [
    pytest.mark.full,
    pytest.mark.skipif(os.environ.get("GEOML_FULL") != "1", reason="takes many minutes; make full"),
]

NUMBERS = CHECKOUT / "workspace" / "full" / "knndm.json"
SEEDS = 60
COST = """
import json, resource, sys, time
import numpy as np
from geoml_ops.domain.folds import KNNDMFolds, NNDMFolds, PredictionPoints, Samples
method, n = sys.argv[1], int(sys.argv[2])
rng = np.random.default_rng(0)
middles = rng.uniform(0, 100_000, (60, 2))
at = np.floor((middles[rng.integers(0, 60, n)] + rng.normal(0, 2500, (n, 2))) / 10) * 10 + [500_000, 5_800_000]
points = rng.uniform(0, 100_000, (4000, 2)) + [500_000, 5_800_000]
mixing = rng.normal(size=(2, 10)) / 20_000
seen = [(np.sin(g @ mixing) + 0.2 * rng.normal(size=(len(g), 10))).astype(np.float32) for g in (at, points)]
samples = Samples("EPSG:32633", True, 10.0, *at.T, *at.T, np.arange(n), np.arange(n) % 3, features=seen[0],
                  points=PredictionPoints(*points.T, seen[1]))
made = {"nndm": lambda: NNDMFolds(samples), "knndm": lambda: KNNDMFolds(samples),
        "knndm, features": lambda: KNNDMFolds(samples, space="features")}[method]
start = time.process_time()
splits = made().splits()
print(json.dumps({"cpu_s": round(time.process_time() - start, 2), "folds": len(splits),
                  "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)}))
"""


def keep(name: str, numbers: Any) -> None:
    NUMBERS.parent.mkdir(parents=True, exist_ok=True)
    known = read_json(NUMBERS) if NUMBERS.exists() else {}
    write_json(NUMBERS, {**known, name: numbers})


def summary(told: list[dict[str, float]]) -> dict[str, Any]:
    bias = biases(told)
    return {
        "seeds": len(told),
        "map": float(np.mean([one["map"] for one in told])),
        "switched_share": float(np.mean([one["switched"] for one in told])),
        "bias": {name: float(values.mean()) for name, values in bias.items()},
        "mean_absolute_error": {name: float(np.abs(values).mean()) for name, values in bias.items()},
        "knndm_less_random": wider(bias["knndm"], bias["random"]),
        "knndm_less_block": wider(bias["knndm"], bias["block"]),
    }


def told(design: Design, seeds: int) -> list[dict[str, float]]:
    forest = RandomForestClassifier(15, random_state=0, n_jobs=1)
    return [estimates(1000 + seed, design, forest, side=96, n=300, more=True) for seed in range(seeds)]


def test_clustered_samples_and_forests() -> None:
    found = told("clustered", SEEDS)
    numbers = summary(found)
    keep("clustered", numbers)
    assert numbers["bias"]["random"] > 0.08
    assert numbers["knndm_less_random"][2] < 0
    assert numbers["knndm_less_block"][2] < 0.02


def test_simple_random_samples_and_forests() -> None:
    found = told("random", SEEDS // 2)
    numbers = summary(found)
    keep("simple random", numbers)
    assert numbers["switched_share"] >= 0.85
    assert all(one["same"] == 1 for one in found if one["switched"])
    assert numbers["knndm_less_block"][2] < 0


@pytest.mark.parametrize("method", ["nndm", "knndm", "knndm, features"])
def test_a_hundred_thousand_samples_are_folded_within_two_gigabytes(method: str) -> None:
    curve = {}
    for n in (1_000, 10_000, 100_000):
        command = [sys.executable, "-c", COST, method, str(n)]
        env = {**os.environ, "OMP_NUM_THREADS": "1"}
        answer = subprocess.run(command, cwd=CHECKOUT, env=env, capture_output=True, text=True, check=True)
        curve[str(n)] = json.loads(answer.stdout)
    keep(f"cost of {method}", curve)
    assert curve["100000"]["peak_mb"] < 2000
