"""Class shares behind answers: a known toy, label shift that is known, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import optimize

from geoml_ops.core.errors import BadInput
from geoml_ops.domain.shift import MOST_CONDITION, prior_shift, solved

#: P(answer | class), answers down, classes across: the first and the last class differ in 79 % of their answers.
TOY = np.array([[0.85, 0.08, 0.06], [0.10, 0.84, 0.10], [0.05, 0.08, 0.84]])
BEFORE, AFTER = np.array([0.5, 0.3, 0.2]), np.array([0.2, 0.3, 0.5])


def blocks_of(given: np.ndarray, prior: np.ndarray, n_blocks: int, n: int) -> np.ndarray:
    """Exact counts ``(blocks, true, answered)``, all blocks alike."""
    return np.repeat((given * prior).T[np.newaxis] * n, n_blocks, axis=0)


def drawn(rng: np.random.Generator, given: np.ndarray, prior: np.ndarray, units: int, n: int) -> np.ndarray:
    """Counts ``(units, true, answered)`` whose shares vary from unit to unit, as on ground."""
    own = rng.dirichlet(prior * 12, units)
    true = np.array([rng.multinomial(n, share) for share in own])
    return np.array([[rng.multinomial(m, given[:, k]) for k, m in enumerate(row)] for row in true])


def test_the_toy_of_the_methods_page() -> None:
    found = prior_shift(blocks_of(TOY, BEFORE, 30, 1000), (TOY @ AFTER)[np.newaxis].repeat(25, axis=0) * 4096)
    assert not found.refusal
    assert found.predicted_tv == pytest.approx(0.237, abs=1e-9)
    assert found.tv is not None
    assert found.tv.value == pytest.approx(0.300, abs=1e-9)
    assert [score.value for score in found.prior] == pytest.approx([0.2, 0.3, 0.5], abs=1e-9)
    assert found.weights == pytest.approx((0.4, 1, 2.5))
    assert [score.value for score in found.change] == pytest.approx([-0.3, 0, 0.3], abs=1e-9)
    assert found.unexplained == pytest.approx(0, abs=1e-9)
    assert found.condition == pytest.approx(np.linalg.cond(TOY))
    assert found.joint_condition == pytest.approx(np.linalg.cond(TOY * BEFORE))
    assert found.source == pytest.approx(tuple(BEFORE))
    # Lipton's own way: w = C^-1 q.
    assert found.weights == pytest.approx(tuple(np.linalg.solve(TOY * BEFORE, TOY @ AFTER)))


def test_known_label_shift_lies_within_its_interval() -> None:
    rng, hits, tv_hits, n = np.random.default_rng(11), 0, 0, 60
    for _ in range(n):
        held, now = drawn(rng, TOY, BEFORE, 30, 80), drawn(rng, TOY, AFTER, 30, 2000)
        found = prior_shift(held, now.sum(axis=1), draws=400)
        hits += sum(s.low <= true <= s.high for s, true in zip(found.prior, AFTER, strict=True))
        tv_hits += found.tv is not None and found.tv.low <= 0.3 <= found.tv.high
    # 95 % of 180, of which three belong together each.
    assert hits >= 0.90 * 3 * n
    assert tv_hits >= 0.85 * n


def test_answers_themselves_are_dull_and_shares_behind_them_are_not() -> None:
    rng = np.random.default_rng(4)
    dull = np.array([[0.6, 0.2, 0.2], [0.2, 0.6, 0.2], [0.2, 0.2, 0.6]])
    held, now = drawn(rng, dull, BEFORE, 40, 200), drawn(rng, dull, AFTER, 40, 4000)
    found = prior_shift(held, now.sum(axis=1))
    assert found.tv is not None
    assert found.predicted_tv is not None
    assert found.predicted_tv < 0.2 < found.tv.value
    assert found.change[0].high < 0 < found.change[2].low


def test_without_any_shift_no_class_moved() -> None:
    rng, wrong = np.random.default_rng(5), 0
    for _ in range(20):
        held, now = drawn(rng, TOY, BEFORE, 30, 80), drawn(rng, TOY, BEFORE, 30, 2000)
        found = prior_shift(held, now.sum(axis=1), draws=300)
        wrong += sum(score.low > 0 or score.high < 0 for score in found.change)
    assert wrong <= 6


def test_the_same_draws_every_time_and_other_ones_for_another_seed() -> None:
    rng = np.random.default_rng(6)
    held, now = drawn(rng, TOY, BEFORE, 12, 100), drawn(rng, TOY, AFTER, 12, 500).sum(axis=1)
    assert prior_shift(held, now, draws=100) == prior_shift(held, now, draws=100)
    assert prior_shift(held, now, draws=100).prior != prior_shift(held, now, draws=100, seed=9).prior
    assert "12 blocks" in prior_shift(held, now, draws=100).caution


@given(
    given_class=hnp.arrays(np.float64, (4, 4), elements=st.floats(0.01, 1)).map(lambda m: m / m.sum(axis=0)),
    answered=hnp.arrays(np.float64, 4, elements=st.floats(0.01, 1)).map(lambda v: v / v.sum()),
)
@settings(max_examples=100, deadline=None)
def test_shares_are_the_nearest_that_there_are(given_class: np.ndarray, answered: np.ndarray) -> None:
    found = solved(given_class, answered)
    assert found.sum() == pytest.approx(1)
    assert (found >= 0).all()

    # Another program over the same simplex, from the middle and from what was found.
    def off(share: np.ndarray) -> float:
        return float(np.square(given_class @ share - answered).sum())

    for start in (np.full(4, 0.25), found):
        other = optimize.minimize(
            off, start, bounds=[(0, 1)] * 4, constraints={"type": "eq", "fun": lambda s: s.sum() - 1}, method="SLSQP"
        )
        assert off(found) <= other.fun + 1e-7


def test_answers_that_no_shares_explain_are_told() -> None:
    # Everything answered as one class, more than even pure ground of that class would be.
    found = prior_shift(blocks_of(TOY, BEFORE, 20, 1000), np.array([[4096, 0, 0]] * 20))
    assert [score.value for score in found.prior] == pytest.approx([1, 0, 0], abs=1e-9)
    assert found.unexplained == pytest.approx(0.15, abs=1e-9)


def test_concept_change_is_taken_for_label_shift_because_nothing_here_can_tell() -> None:
    """Outside of what is promised: a class that is answered otherwise looks exactly like other shares."""
    changed = TOY.copy()
    changed[:, 0] = TOY[:, 2]
    found = prior_shift(blocks_of(TOY, BEFORE, 20, 1000), (changed @ BEFORE)[np.newaxis].repeat(20, axis=0) * 4096)
    assert found.prior[0].value < 0.05  # in truth still .5
    assert found.unexplained == pytest.approx(0, abs=1e-6)


# --- refusals ----------------------------------------------------------------------------------

NOW = np.array([[300, 200, 100]] * 20)


def test_two_classes_that_are_answered_alike_are_refused_by_name() -> None:
    alike = np.array([[0.9, 0.05, 0.05], [0.05, 0.48, 0.47], [0.05, 0.47, 0.48]])
    found = prior_shift(blocks_of(alike, BEFORE, 20, 1000), NOW, names=("water", "maize", "sorghum"))
    assert found.prior == ()
    assert found.tv is None
    assert found.condition > MOST_CONDITION
    assert "maize and sorghum differ in 1% of their answers" in found.refusal
    same = alike.copy()
    same[:, 2] = same[:, 1]
    assert prior_shift(blocks_of(same, BEFORE, 20, 1000), NOW).condition == np.inf
    assert prior_shift(blocks_of(alike, BEFORE, 20, 1000), NOW, most_condition=1e4).prior


@pytest.mark.parametrize(
    ("held", "now", "said"),
    [
        (blocks_of(TOY, BEFORE, 1, 1000), NOW, "1 block of held-out samples gives no interval"),
        (blocks_of(TOY, BEFORE, 20, 1000), NOW[:1], "1 scene with answers gives no interval"),
        (blocks_of(TOY, np.array([0.6, 0.4, 0.0]), 20, 1000), NOW, "0 held-out samples of class 2"),
        (blocks_of(TOY, np.array([0.6, 0.4, 0.0004]), 20, 1000), NOW, "8 held-out samples of class 2"),
    ],
)
def test_too_few_counts_are_refused(held: np.ndarray, now: np.ndarray, said: str) -> None:
    found = prior_shift(held, now)
    assert found.refusal.startswith("Class shares are not estimated: ")
    assert said in found.refusal
    assert found.prior == found.change == found.weights == ()


def test_a_class_of_one_block_is_refused() -> None:
    held = blocks_of(TOY, BEFORE, 20, 1000)
    held[1:, 2] = 0
    found = prior_shift(held, NOW, names=("a", "b", "c"))
    assert "c was held out in 1 of 20 blocks, so 36% of bootstrap samples would know nothing of it" in found.refusal


def test_scenes_and_blocks_that_hold_nothing_do_not_count() -> None:
    held = np.concatenate([blocks_of(TOY, BEFORE, 20, 1000), np.zeros((9, 3, 3))])
    found = prior_shift(held, np.concatenate([NOW, np.zeros((5, 3), int)]), draws=50)
    assert (found.n_blocks, found.n_scenes) == (20, 20)


@pytest.mark.parametrize(
    ("held", "now"),
    [
        (np.ones((4, 3, 2)), np.ones((4, 3))),
        (np.ones((4, 3, 3)), np.ones((4, 2))),
        (np.ones((3, 3)), np.ones((4, 3))),
        (np.zeros((4, 3, 3)), np.ones((4, 3))),
        (np.ones((4, 3, 3)), np.zeros((4, 3))),
        (-np.ones((4, 3, 3)), np.ones((4, 3))),
        (np.full((4, 3, 3), np.nan), np.ones((4, 3))),
        (np.ones((4, 1, 1)), np.ones((4, 1))),
    ],
)
def test_counts_that_are_none_are_bad_input(held: np.ndarray, now: np.ndarray) -> None:
    with pytest.raises(BadInput):
        prior_shift(held, now)
