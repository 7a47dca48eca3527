"""The gate on real forests: recipes that differ by a seed only, in audited folds of generated landscapes."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, replace
from itertools import count, repeat

import numpy as np
import pytest
from scipy import stats

from geoml_ops.core.experiment import GateRules
from geoml_ops.core.flow import FoldPlan
from geoml_ops.core.folding import FoldRules
from geoml_ops.domain.fitting import out_of_fold, random_forest
from geoml_ops.domain.folds import Samples, evidence_blocks, materialise, plan_for
from geoml_ops.domain.gate import Paired, Ruling, ground_of, rule, settle, spend
from geoml_ops.domain.gate.differences import difference
from geoml_ops.domain.world import CLASSES, landscape
from geoml_ops.platform.files import read_json, write_json
from geoml_ops.settings import CHECKOUT

pytestmark = [
    pytest.mark.full,
    pytest.mark.skipif(os.environ.get("GEOML_FULL") != "1", reason="takes many minutes; make full"),
]

NUMBERS = CHECKOUT / "workspace" / "full" / "gate.json"
RULES = GateRules()
FOREST: dict[str, float | int | str] = {"n_estimators": 15}
TREE: dict[str, float | int | str] = {"n_estimators": 1, "max_depth": 4}
GATES, LOOKS = 200, 200
BLOCK_M = 600.0


def keep(name: str, numbers: object) -> None:
    NUMBERS.parent.mkdir(parents=True, exist_ok=True)
    write_json(NUMBERS, (read_json(NUMBERS) if NUMBERS.exists() else {}) | {name: numbers})


@dataclass(frozen=True, eq=False)
class Ground:
    """Samples of a landscape's labelled fields, with their bands and audited folds."""

    samples: Samples
    features: np.ndarray
    plan: FoldPlan
    splits: list[tuple[np.ndarray, np.ndarray]]

    def answers(
        self,
        seed: int,
        params: dict[str, float | int | str],
        *,
        bands: slice = slice(None),
        own_seeds: bool = False,
    ) -> np.ndarray:
        """Out-of-fold answers of one recipe, with one seed in all folds as trainings have, or one for each."""
        seeds = count(1000 * seed) if own_seeds else repeat(seed)
        found = out_of_fold(
            self.features[:, bands],
            self.samples.code,
            self.splits,
            lambda n_classes: random_forest(params, next(seeds), n_classes),
            len(CLASSES),
        )
        return found.predicted

    def paired(self, challenger: np.ndarray, other: np.ndarray) -> Paired:
        middles, block = evidence_blocks(self.samples, BLOCK_M)
        fold = np.full(len(self.samples), -1, dtype=np.int64)
        for number, (_, test) in enumerate(self.splits):
            fold[test] = number
        return Paired(
            codes=self.samples.code,
            challenger=challenger,
            other=other,
            block=block,
            middles=middles,
            classes=CLASSES,
            fold=fold,
            n_train=tuple(len(train) for train, _ in self.splits),
        )

    def ruled(self, challenger: np.ndarray, other: np.ndarray) -> Ruling:
        return rule(self.plan, self.paired(challenger, other), RULES, against="the champion's recipe")


def ground(seed: int, per_polygon: int = 6) -> Ground:
    """A landscape of 4.8 by 3.6 km with fields of 100 to 240 m, six samples in each labelled one."""
    world, rng = landscape(480, 360, seed, noise=0.12), np.random.default_rng(seed)
    grid = world.grid
    stack = np.stack([np.kron(b, np.ones((360 // b.shape[0],) * 2)) for b in world.bands.values()], axis=-1)
    bounds = np.array([p.bounds for p in world.polygons]).repeat(per_polygon, axis=0)
    anchor = np.array([(p.centroid.x, p.centroid.y) for p in world.polygons]).repeat(per_polygon, axis=0)
    col = rng.integers((bounds[:, 0] - grid.left) // 10, (bounds[:, 2] - grid.left) // 10)
    row = rng.integers((grid.top - bounds[:, 3]) // 10, (grid.top - bounds[:, 1]) // 10)
    samples = Samples(
        crs=grid.crs,
        projected=True,
        pixel_m=10.0,
        easting=grid.left + (col + 0.5) * 10,
        northing=grid.top - (row + 0.5) * 10,
        anchor_easting=anchor[:, 0],
        anchor_northing=anchor[:, 1],
        polygon=np.arange(len(world.polygons)).repeat(per_polygon),
        code=np.array([CLASSES.index(name) for name in world.labels]).repeat(per_polygon),
    )
    plan = plan_for("table-0123456789abcdef", samples, FoldRules(block_m=BLOCK_M, buffer_m=50.0))
    return Ground(samples, stack[row, col].astype(np.float32), plan, materialise(plan, samples))


@pytest.mark.parametrize(("name", "params", "own_seeds"), [("forest", FOREST, False), ("single_tree", TREE, True)])
def test_two_hundred_gates_between_twins(name: str, params: dict[str, float | int | str], own_seeds: bool) -> None:
    """A seed that all folds of a single tree share is no noise but part of the recipe: it draws the same features."""
    began, rulings, blocks_only = time.perf_counter(), [], []
    for seed in range(GATES):
        here = ground(seed)
        pair = [here.answers(2 * seed + twin, params, own_seeds=own_seeds) for twin in (1, 2)]
        rulings.append(here.ruled(*pair))
        counted = here.paired(*pair).counted
        blocks_only.append(difference(replace(counted, folds=None), RULES.metric).p_above(0.0))
    p = np.array([r.p_superior for r in rulings], dtype=np.float64)
    outcomes = [r.outcome for r in rulings]
    limit = int(stats.binom.ppf(0.99, GATES, RULES.alpha))
    naive = float(np.mean([r.difference.value > 0 for r in rulings]))
    # Twins are exchangeable: each gate is two one-sided trials.
    both = {f"{a:g}": float(np.mean([p <= a, p >= 1 - a])) for a in (0.05, 0.025, 0.005)}
    alone = np.array(blocks_only)
    keep(
        f"twins_{name}",
        {
            "gates": GATES,
            "promoted": outcomes.count("PROMOTE"),
            "rejected": outcomes.count("REJECT"),
            "limit": limit,
            "naive_promotes": naive,
            "level_at": both,
            "level_from_blocks_alone_at": {a: float(np.mean([alone <= float(a), alone >= 1 - float(a)])) for a in both},
            "corrected_t_at_0.05": float(np.mean([r.beside[1].p <= 0.05 for r in rulings])),
            "sign_flips_at_0.05": float(np.mean([r.beside[0].p <= 0.05 for r in rulings])),
            "blocks": float(np.mean([r.difference.n_blocks for r in rulings])),
            "seconds": time.perf_counter() - began,
        },
    )
    assert outcomes.count("PROMOTE") <= limit
    assert outcomes.count("REJECT") <= limit
    assert 0.4 <= naive <= 0.6


def family(here: Ground, answers: list[np.ndarray], order: np.ndarray, looks: int) -> tuple[bool, bool]:
    """Whether any of many retrains is promoted over its champion, with the ledger and at alpha each time."""
    previous, key, kept, careless = None, ground_of(["one ground"]), False, False
    for number in range(looks):
        stake = spend(previous, key, 1.0 if number == 0 else 0.0, RULES)
        pair = here.paired(answers[order[1 + number % (len(order) - 1)]], answers[order[0]])
        p = difference(pair.counted, RULES.metric).p_above(0.0)
        kept |= p <= stake.level
        careless |= p <= RULES.alpha
        previous = settle(stake, tested=True, earned=False)
    return bool(kept), bool(careless)


def test_two_hundred_noise_retrains_on_one_ground() -> None:
    began = time.perf_counter()
    here = ground(1)
    answers = [here.answers(seed, FOREST) for seed in range(LOOKS + 1)]
    previous, outcomes, spent, due = None, [], 0.0, []
    for number in range(LOOKS):
        stake = spend(previous, ground_of(["one ground"]), 1.0 if number == 0 else 0.0, RULES)
        ruling = rule(
            here.plan, here.paired(answers[number + 1], answers[0]), RULES, against="the champion's recipe", stake=stake
        )
        assert ruling.spending is not None
        previous, outcomes = ruling.spending, [*outcomes, ruling.outcome]
        spent, due = spent + previous.level, [*due, previous.fresh_sample_due]
    rng, families = np.random.default_rng(0), []
    for _ in range(60):
        families.append(family(here, answers, rng.permutation(LOOKS + 1), LOOKS))
    for seed in range(2, 12):
        there = ground(seed)
        some = [there.answers(s, FOREST) for s in range(21)]
        # Later looks have levels below alpha / 2^20; twenty retrains are as good as two hundred.
        families += [family(there, some, rng.permutation(21), 20) for _ in range(14)]
    kept, careless = np.mean(families, axis=0)
    keep(
        "noise_retrains",
        {
            "chain": {"looks": LOOKS, "promoted": outcomes.count("PROMOTE"), "alpha_spent": spent},
            "first_due_after_look": due.index(True) + 1,
            "families": len(families),
            "family_error_with_ledger": float(kept),
            "family_error_without": float(careless),
            "seconds": time.perf_counter() - began,
        },
    )
    assert spent <= RULES.alpha
    assert outcomes.count("PROMOTE") == 0
    assert kept <= stats.binom.ppf(0.99, len(families), RULES.alpha) / len(families)
    assert careless > 0.2


def test_a_recipe_that_sees_more_is_promoted_and_one_that_sees_less_is_rejected() -> None:
    better, worse, gains = [], [], []
    for seed in range(300, 320):
        here = ground(seed)
        more, less = here.answers(1, FOREST), here.answers(2, FOREST, bands=slice(1, 4))
        up, down = here.ruled(more, less), here.ruled(less, more)
        better, worse, gains = [*better, up.outcome], [*worse, down.outcome], [*gains, up.difference.value]
    keep(
        "real_gain",
        {
            "worlds": 20,
            "mean_gain": float(np.mean(gains)),
            "promoted": better.count("PROMOTE"),
            "rejected": worse.count("REJECT"),
        },
    )
    assert better.count("PROMOTE") >= 18
    assert worse.count("REJECT") >= 18
