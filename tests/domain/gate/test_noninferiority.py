"""As good in every class: Holm's levels, their family error, and the level at the margin itself."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from geoml_ops.core.experiment import GateRules
from geoml_ops.domain.gate import rule
from geoml_ops.domain.gate.differences import Counted
from geoml_ops.domain.gate.noninferiority import class_tests, holm
from tests.domain.gate.pairs import CLASSES, PLAN, clustered


@given(st.lists(st.floats(0, 1), min_size=0, max_size=6), st.floats(0.001, 0.4))
def test_holm_is_the_closed_test_of_bonferroni(p: list[float], alpha: float) -> None:
    levels, rejected = holm(p, alpha)
    for i in range(len(p)):
        families = [f for size in range(1, len(p) + 1) for f in combinations(range(len(p)), size) if i in f]
        assert rejected[i] == all(min(p[j] for j in family) <= alpha / len(family) for family in families)
    assert sorted(levels) == [alpha / (len(p) - r) for r in range(len(p))]


def test_holm_by_hand() -> None:
    levels, rejected = holm([0.011, 0.02, 0.04, 0.2], 0.05)
    assert levels == pytest.approx([0.0125, 0.05 / 3, 0.025, 0.05])
    assert rejected == [True, False, False, False]
    assert holm([0.01, 0.01], 0.05) == ([0.025, 0.05], [True, True])


def classed(rng: np.random.Generator, n_blocks: int, lost: float = 0.03) -> np.ndarray:
    """Confusion counts ``(2, blocks, 3, 3)`` of a challenger that knows every class a little worse."""
    share = rng.dirichlet([1.2, 0.9, 0.5], n_blocks)
    true = np.stack([rng.multinomial(60, s) for s in share])
    shared = 0.6 * rng.standard_normal(n_blocks)
    counts = np.zeros((2, n_blocks, 3, 3), dtype=np.int64)
    for code in range(3):
        luck = 0.06 * rng.standard_normal(n_blocks)
        for model, sign in ((0, 1), (1, -1)):
            hit = np.clip(stats.norm.cdf(1 + shared) + sign * luck - (lost if model == 0 else 0), 0.02, 0.98)
            right = rng.binomial(true[:, code], hit)
            first = rng.binomial(true[:, code] - right, 0.5)
            counts[model, :, code, code] = right
            counts[model, :, code, (code + 1) % 3] = first
            counts[model, :, code, (code + 2) % 3] = true[:, code] - right - first
    return counts


def test_at_the_margin_itself_the_family_error_is_alpha_both_ways() -> None:
    """Margins are the true losses, so every "as good" and every "worse" is false."""
    rng = np.random.default_rng(1)
    whole = classed(rng, 200_000).sum(axis=1)
    f1 = 2 * np.diagonal(whole, axis1=1, axis2=2) / (whole.sum(axis=1) + whole.sum(axis=2))
    truth = f1[0] - f1[1]
    assert (truth < -0.02).all()
    rules = GateRules(classes={name: float(-loss) for name, loss in zip(CLASSES, truth, strict=True)})
    good = worse = single = 0
    runs = 500
    for _ in range(runs):
        found = class_tests(Counted(classed(rng, 25), None, 0), CLASSES, rules)
        good += any(c.test.passed for c in found)
        worse += any(c.worse for c in found)
        single += sum(c.test.p <= 0.05 for c in found)
    limit = stats.binom.ppf(0.995, runs, 0.05)
    assert good <= limit
    assert worse <= limit
    assert single / (3 * runs) >= 0.025, "a test that never rejects holds any level"


def test_overall_non_inferiority_has_its_level_at_the_margin() -> None:
    rng, runs = np.random.default_rng(2), 300
    rules = GateRules(margin=0.04, promote_on="non_inferiority", reason="half the cost")
    promoted = 0
    for _ in range(runs):
        promoted += rule(PLAN, clustered(rng, n_blocks=20, gain=-0.04), rules).outcome == "PROMOTE"
    assert 3 <= promoted <= stats.binom.ppf(0.99, runs, 0.05)


def test_the_classes_come_in_the_order_of_the_list_with_their_own_blocks() -> None:
    rng = np.random.default_rng(3)
    paired = clustered(rng, n_blocks=30)
    kept = (paired.codes != 1) | (paired.block < 11)
    held = replace(
        paired, **{n: getattr(paired, n)[kept] for n in ("codes", "challenger", "other", "block", "fold")}, n_train=()
    )
    found = class_tests(held.counted, CLASSES, GateRules(classes={"farm": 0.5, "forest": 0.5}))
    assert [c.test.name for c in found] == ["forest", "farm"]
    assert found[0].test.difference.n_blocks == len(np.unique(held.block[held.codes == 1])) <= 11
    assert all(c.enough for c in found) == (found[0].test.difference.n_blocks >= 10)
