"""Pairs of models whose true difference is known: what the gate's tests judge."""

from __future__ import annotations

import numpy as np

from geoml_ops.core.evidence import Spending
from geoml_ops.core.experiment import GateRules
from geoml_ops.core.flow import FoldPlan
from geoml_ops.core.folding import Audit, FoldRules
from geoml_ops.domain.gate import Known, Paired, Ruling, Stake, rule

CLASSES = ("water", "forest", "farm")
AUDIT = Audit(least_distance_m=150.0, n_shared_polygons=0, n_dropped=0, n_test=(1, 1), classes_missing=(), passed=True)
PLAN = FoldPlan(
    table="table-0123456789abcdef",
    rules=FoldRules(),
    estimand="a new region",
    n_folds=5,
    n_blocks=40,
    halo_px=0,
    audit=AUDIT,
)


def middles(n_blocks: int) -> np.ndarray:
    """Blocks in a row, 2 km apart."""
    return np.column_stack([400_000.0 + 2000 * np.arange(n_blocks), np.full(n_blocks, 5_800_000.0)])


def from_gains(gains: np.ndarray, per_block: int = 100) -> Paired:
    """A challenger that is right in ``gains[b]`` more samples of block ``b`` than the other."""
    block = np.repeat(np.arange(len(gains)), per_block)
    rank, gain = np.tile(np.arange(per_block), len(gains)), np.asarray(gains)[block]
    right, other = rank < 50 + np.maximum(gain, 0), rank < 50 + np.maximum(-gain, 0)
    return Paired(
        codes=np.zeros(len(block), dtype=np.int64),
        challenger=(~right).astype(np.int64),
        other=(~other).astype(np.int64),
        block=block,
        middles=middles(len(gains)),
        classes=("water", "forest"),
    )


def judged(
    gains: np.ndarray,
    rules: GateRules | None = None,
    *,
    known: Known | None = None,
    stake: Stake | None = None,
    against: str = "the champion",
) -> Ruling:
    return rule(PLAN, from_gains(gains), rules or GateRules(), against=against, known=known, stake=stake)


def spread(mean: float, sd: float, n: int = 40) -> np.ndarray:
    """Whole numbers with about this mean and spread, the same each time."""
    return np.round(mean + sd * np.resize([1.0, -1.0], n)).astype(int)


def clustered(
    rng: np.random.Generator,
    *,
    n_blocks: int = 30,
    gain: float = 0.0,
    sd: float = 0.05,
    unequal: float = 0.0,
    mean_size: float = 60.0,
) -> Paired:
    """Two models on ground whose blocks are hard alike for both, and on which each has luck of its own.

    Samples of a block share three things: how hard the block is, how well the challenger happens to know
    it and how well the other does (``sd`` each). So pixels are no evidence of their own, and a McNemar
    test of them would be wrong.

    Args:
        rng: of everything.
        n_blocks: blocks.
        gain: true difference of accuracies.
        sd: spread over blocks of what each model knows of it.
        unequal: standard deviation of the logarithm of block sizes.
        mean_size: samples in a block on average.
    """
    sizes = np.maximum(4, np.round(mean_size * np.exp(unequal * rng.standard_normal(n_blocks) - unequal**2 / 2)))
    block = np.repeat(np.arange(n_blocks), sizes.astype(int))
    codes = np.where(rng.random(len(block)) < 0.6, rng.integers(0, 3, n_blocks)[block], rng.integers(0, 3, len(block)))
    hard = 0.75 + 0.1 * rng.standard_normal(n_blocks)
    ease, answers = rng.random(len(block)), []
    for advantage in (gain / 2, -gain / 2):
        known = (hard + advantage + sd * rng.standard_normal(n_blocks))[block]
        luck = np.where(rng.random(len(block)) < 0.7, ease, rng.random(len(block)))
        answers.append(np.where(luck < known, codes, (codes + 1) % 3))
    return Paired(
        codes=codes,
        challenger=answers[0],
        other=answers[1],
        block=block,
        middles=middles(n_blocks),
        classes=CLASSES,
        fold=block % 5,
        n_train=tuple(int((block % 5 != fold).sum()) for fold in range(5)),
    )


def look(level_left: float, ground: str = "a" * 64, number: int = 1) -> Spending:
    """A look that left some alpha."""
    return Spending(
        ground=ground,
        look=number,
        wealth_before=2 * level_left,
        level=level_left / (1 + level_left),
        wealth_after=level_left,
        fresh_share=1.0,
        fresh_sample_due=False,
    )
