"""How often the gate errs where the truth is known, and how often it sees a gain that is there."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from geoml_ops.core.experiment import GateRules
from geoml_ops.domain.gate import power, rule
from geoml_ops.domain.gate.differences import difference
from tests.domain.gate.pairs import PLAN, clustered

GATES = 200
RULES = GateRules()
LIMIT = int(stats.binom.ppf(0.99, GATES, RULES.alpha))


def test_the_limit_of_the_specification() -> None:
    assert LIMIT == 18


@pytest.mark.parametrize(("n_blocks", "unequal"), [(30, 0.0), (15, 1.0)])
def test_two_hundred_gates_without_a_difference(n_blocks: int, unequal: float) -> None:
    rng = np.random.default_rng(100 + n_blocks)
    outcomes, naive = [], 0
    for _ in range(GATES):
        paired = clustered(rng, n_blocks=n_blocks, unequal=unequal, mean_size=40)
        ruling = rule(PLAN, paired, RULES)
        outcomes.append(ruling.outcome)
        naive += ruling.difference.value > 0
    assert outcomes.count("PROMOTE") <= LIMIT
    assert outcomes.count("REJECT") <= LIMIT
    assert 0.4 <= naive / GATES <= 0.6, "whoever promotes the higher mean promotes noise every second time"


def test_macro_f1_without_a_difference() -> None:
    rng, rules = np.random.default_rng(300), GateRules(metric="macro_f1")
    paired = [clustered(rng, n_blocks=20, unequal=0.7, mean_size=30) for _ in range(GATES)]
    assert sum(rule(PLAN, one, rules).outcome == "PROMOTE" for one in paired) <= LIMIT


def test_repeated_looks_without_a_ledger_promote_noise() -> None:
    """Why the ledger exists: one world, one champion, a new seed every week."""
    rng, promoted = np.random.default_rng(4), 0
    champion = clustered(rng, n_blocks=20, mean_size=30)
    for _ in range(60):
        again = clustered(rng, n_blocks=20, mean_size=30)
        n = min(len(champion), len(again))
        right = (again.challenger == again.codes)[:n]
        paired = replace(
            champion,
            **{name: getattr(champion, name)[:n] for name in ("codes", "other", "block", "fold")},
            challenger=np.where(right, champion.codes[:n], (champion.codes[:n] + 1) % 3),
        )
        promoted += rule(PLAN, paired, RULES).outcome == "PROMOTE"
    assert promoted >= 1


def test_the_power_curve_is_monotone_and_high_where_it_should_be() -> None:
    gains, runs, n_blocks, sd = (0.0, 0.02, 0.04, 0.06, 0.08), 120, 30, 0.05
    found, expected = [], []
    for gain in gains:
        rng = np.random.default_rng(11)  # The same ground for every gain: a curve, not five coin tosses.
        effects = [
            difference(replace(clustered(rng, n_blocks=n_blocks, gain=gain, sd=sd), fold=None).counted, RULES.metric)
            for _ in range(runs)
        ]
        found.append(float(np.mean([e.p_above(0) <= RULES.alpha for e in effects])))
        error = float(np.sqrt(np.mean([e.error**2 for e in effects])))
        expected.append(power(gain, error=error, df=n_blocks - 1, level=RULES.alpha))
    assert found == sorted(found)
    assert found[0] <= stats.binom.ppf(0.995, runs, RULES.alpha) / runs
    assert 0.3 < found[2] < 1.0
    assert found[4] >= 0.98
    # What a page says beforehand is what happens.
    assert np.abs(np.array(found) - expected).max() <= 3.5 * np.sqrt(0.25 / runs)


def test_a_real_gain_is_promoted_and_a_real_loss_rejected_by_the_whole_rule() -> None:
    rng = np.random.default_rng(12)
    better = [rule(PLAN, clustered(rng, gain=0.08), RULES).outcome for _ in range(30)]
    worse = [rule(PLAN, clustered(rng, gain=-0.08), RULES).outcome for _ in range(30)]
    assert better.count("PROMOTE") >= 27
    assert worse.count("REJECT") >= 27
