"""The gate: every branch of its rule, and how often it errs where the truth is known."""

from __future__ import annotations

import numpy as np
import pytest

from geoml_ops.core.errors import BadInput, Refused
from geoml_ops.core.experiment import GateRules
from geoml_ops.core.flow import FoldPlan
from geoml_ops.core.folding import Audit, FoldRules
from geoml_ops.domain.gate import NO_SKILL, Ruling, admit, rule

PASSED = Audit(least_distance_m=150.0, n_shared_polygons=0, n_dropped=0, n_test=(1, 1), classes_missing=(), passed=True)
PLAN = FoldPlan(
    table="table-0123456789abcdef",
    rules=FoldRules(),
    estimand="a new region",
    n_folds=5,
    n_blocks=40,
    halo_px=0,
    audit=PASSED,
)


def judged(gains: np.ndarray, rules: GateRules | None = None, per_block: int = 100) -> Ruling:
    """Judges a challenger that is right in ``gains[b]`` more samples of block ``b`` than the other."""
    block = np.repeat(np.arange(len(gains)), per_block)
    rank = np.tile(np.arange(per_block), len(gains))
    gain = np.asarray(gains)[block]
    right, other = rank < 50 + np.maximum(gain, 0), rank < 50 + np.maximum(-gain, 0)
    codes = np.zeros(len(block), dtype=np.int64)
    return rule(
        PLAN,
        codes=codes,
        challenger=(~right).astype(np.int64),
        other=(~other).astype(np.int64),
        block=block,
        n_classes=2,
        rules=rules or GateRules(),
        against="the champion",
    )


def spread(mean: float, sd: float, n: int = 40) -> np.ndarray:
    """Whole numbers with about this mean and spread, the same each time."""
    wave = np.tile([1.0, -1.0], n // 2) if n % 2 == 0 else np.resize([1.0, -1.0], n)
    return np.round(mean + sd * wave).astype(int)


@pytest.mark.parametrize(
    ("gains", "outcome", "words"),
    [
        (spread(5, 3), "PROMOTE", ""),
        (spread(-5, 3), "HOLD", "worse"),
        (spread(0, 0), "HOLD", "not better"),
        (spread(-1, 6), "HOLD", "smaller than the margin"),
        (spread(0, 12), "INSUFFICIENT_EVIDENCE", "too wide to tell"),
        (spread(5, 3, n=8), "INSUFFICIENT_EVIDENCE", "8 blocks are too few"),
    ],
)
def test_every_branch(gains: np.ndarray, outcome: str, words: str) -> None:
    ruling = judged(gains)
    assert ruling.outcome == outcome
    assert words in " ".join(ruling.objections)
    assert ruling.difference.value == pytest.approx(gains.mean() / 100)
    assert ruling.margin == 0.01


def test_evidence_sharp_enough_to_have_shown_a_gain_holds() -> None:
    gains = np.resize([3, -3, 3, -3, 2], 40)
    ruling = judged(gains, GateRules(margin=0.0125))
    assert ruling.difference.low <= 0 < 0.0125 <= ruling.difference.high + 1e-3
    narrow = judged(gains, GateRules(margin=0.0118))
    assert narrow.difference.high >= 0.0118 >= narrow.detectable
    assert narrow.outcome == "HOLD"
    assert "would usually show" in narrow.objections[0]


def test_few_blocks_are_said_aloud_even_when_promoting() -> None:
    ruling = judged(spread(5, 3, n=16))
    assert ruling.outcome == "PROMOTE"
    assert any("16 blocks" in sentence for sentence in ruling.objections)


@pytest.mark.parametrize("n", [0, 1])
def test_without_blocks_nobody_can_tell(n: int) -> None:
    ruling = judged(np.full(n, 10))
    assert ruling.outcome == "INSUFFICIENT_EVIDENCE"
    assert f"{n} blocks are too few" in ruling.objections[0]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"rules": FoldRules(method="random"), "estimand": "optimism baseline"}, "takes no such score"),
        ({"estimand": "optimism baseline"}, "takes no such score"),
        ({"rules": FoldRules(method="random")}, "takes no such score"),
        ({"audit": None}, "never audited"),
        ({"audit": PASSED.model_copy(update={"passed": False, "n_shared_polygons": 7})}, "share 7 polygons"),
    ],
)
def test_a_plan_that_proves_nothing_is_refused(change: dict[str, object], words: str) -> None:
    with pytest.raises(Refused, match=words):
        admit(PLAN.model_copy(update=change))


def test_an_unknown_metric_is_refused() -> None:
    with pytest.raises(BadInput, match="kappa"):
        judged(spread(5, 3), GateRules(metric="kappa"))


def test_macro_f1_can_feed_the_gate() -> None:
    rng = np.random.default_rng(0)
    codes, block = rng.integers(0, 3, 4000), np.arange(4000) % 40
    good = np.where(rng.random(4000) < 0.8, codes, (codes + 1) % 3)
    rules = GateRules(metric="macro_f1")
    ruling = rule(
        PLAN, codes=codes, challenger=good, other=np.zeros(4000, dtype=np.int64), block=block, n_classes=3, rules=rules
    )
    assert ruling.outcome == "PROMOTE"
    assert ruling.difference.value > 0.5
    assert (
        rule(
            PLAN,
            codes=codes,
            challenger=np.zeros(4000, dtype=np.int64),
            other=good,
            block=block,
            n_classes=3,
            rules=rules,
        ).outcome
        == "HOLD"
    )
    assert NO_SKILL == "no-skill baseline"


def rate(advantage: float, runs: int = 600, n_blocks: int = 30) -> float:
    """Share of PROMOTE over worlds in which the challenger is better by ``advantage`` on average over blocks."""
    rng = np.random.default_rng(42)
    gains = np.round(100 * rng.normal(advantage, 0.06, (runs, n_blocks))).clip(-50, 50).astype(int)
    return float(np.mean([judged(g).outcome == "PROMOTE" for g in gains]))


def test_false_promotions_are_rare_and_real_gains_are_seen() -> None:
    assert rate(0.0) <= 0.045
    assert rate(-0.02) <= 0.005
    assert rate(0.06) >= 0.95
