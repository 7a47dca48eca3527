"""The ledger: what a look costs, what fills the purse, and that noise retrained for ever stays below alpha."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from geoml_ops.core.errors import BadInput
from geoml_ops.core.evidence import Spending
from geoml_ops.core.experiment import GateRules
from geoml_ops.domain.gate import fresh_share_of, ground_of, rule, settle, spend
from tests.domain.gate.pairs import PLAN, clustered, look

RULES = GateRules()
GROUND = ground_of(["a", "b", "c"])


def test_the_first_looks_by_hand() -> None:
    found, previous = [], None
    for number in range(5):
        stake = spend(previous, GROUND, 1.0 if number == 0 else 0.0, RULES)
        assert stake.level / (1 - stake.level) == pytest.approx(stake.cost), "Foster and Stine's price"
        previous = settle(stake, tested=True, earned=False)
        found.append(previous)
    assert [s.look for s in found] == [1, 2, 3, 4, 5]
    assert [s.wealth_before for s in found] == pytest.approx([0.05, 0.025, 0.0125, 0.00625, 0.003125])
    assert [s.wealth_after for s in found] == pytest.approx([0.025, 0.0125, 0.00625, 0.003125, 0.0015625])
    assert [s.level for s in found] == pytest.approx([0.0243902, 0.0123457, 0.0062112, 0.0031153, 0.0015601], rel=1e-4)
    # The fifth look would be tested at .0016, below a twentieth of alpha: due after the fourth.
    assert [s.fresh_sample_due for s in found] == [False, False, False, True, True]


def test_a_promotion_fills_the_purse_and_never_beyond_alpha() -> None:
    third = settle(spend(look(0.0125, GROUND, 2), GROUND, 0.0, RULES), tested=True, earned=True)
    assert (third.wealth_after, third.look, third.fresh_sample_due) == (0.05, 3, False)
    first = settle(spend(None, GROUND, 1.0, RULES), tested=True, earned=True)
    assert first.wealth_after == 0.05


def test_new_labels_bring_their_share() -> None:
    before = look(0.01, GROUND, 3)
    grown = spend(before, ground_of("abcd"), 0.25, RULES)
    assert (grown.wealth, grown.look) == (pytest.approx(0.01 + 0.25 * 0.05), 4)
    fresh = spend(before, ground_of("xyz"), 1.0, RULES)
    assert (fresh.wealth, fresh.look) == (0.05, 1)
    assert spend(look(0.04, GROUND), ground_of("abcd"), 0.9, RULES).wealth == 0.05
    assert spend(None, GROUND, 0.5, RULES).wealth == 0.025, "ground that another chain has seen half of"
    assert spend(look(0.05, GROUND), GROUND, 0.0, GateRules(alpha=0.01)).wealth == 0.01, "rules became stricter"


def test_a_look_that_tested_nothing_costs_nothing_and_earns_nothing() -> None:
    stake = spend(look(0.02, GROUND), GROUND, 0.0, RULES)
    kept = settle(stake, tested=False, earned=False)
    assert (kept.wealth_after, kept.level, kept.look) == (0.02, 0.0, 2)
    with pytest.raises(BadInput, match="cannot earn"):
        settle(stake, tested=False, earned=True)


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
def test_a_share_is_a_share(share: float) -> None:
    with pytest.raises(BadInput, match="is no share"):
        spend(None, GROUND, share, RULES)


def test_what_was_just_seen_is_not_fresh() -> None:
    with pytest.raises(BadInput, match="30% of it cannot be fresh"):
        spend(look(0.01, GROUND, 2), GROUND, 0.3, RULES)


def test_ground_and_its_fresh_share_follow_from_the_labels() -> None:
    assert ground_of(["b", "a", "b"]) == ground_of(["a", "b"]) != ground_of(["a", "c"])
    assert fresh_share_of(["a", "b", "c", "d"], ["a", "x"]) == 0.75
    assert fresh_share_of(["a", "a"], []) == 1.0
    with pytest.raises(BadInput, match="no labels"):
        fresh_share_of([], ["a"])


@given(
    st.lists(st.tuples(st.floats(0, 1), st.booleans(), st.booleans()), min_size=1, max_size=60), st.floats(0.001, 0.3)
)
def test_whatever_happens_nothing_is_spent_that_was_not_there(
    turns: list[tuple[float, bool, bool]], alpha: float
) -> None:
    rules, previous, spent, brought = GateRules(alpha=alpha), None, 0.0, 0.0
    for number, (share, tested, won) in enumerate(turns):
        stake = spend(previous, f"ground {number}", share, rules)
        previous = settle(stake, tested=tested, earned=tested and won)
        assert 0 <= previous.wealth_after <= alpha
        assert 0 <= previous.wealth_before <= alpha
        assert previous.level <= alpha / 2
        spent += previous.level
        brought += share * alpha + (tested and won) * alpha
        assert spent <= brought + 1e-12
        assert Spending.model_validate(previous.model_dump()) == previous


# --- what it is for --------------------------------------------------------------------------


def levels_of(n_looks: int) -> np.ndarray:
    """Levels of looks at one ground while nothing is promoted."""
    found, previous = [], None
    for number in range(n_looks):
        stake = spend(previous, GROUND, 1.0 if number == 0 else 0.0, RULES)
        found.append(stake.level)
        previous = settle(stake, tested=True, earned=False)
    return np.array(found)


@pytest.mark.parametrize("champions_share", [0.0, 0.5, 0.95])
def test_two_hundred_noise_retrains_keep_the_family_error(champions_share: float) -> None:
    """The champion's own luck on the ground is in every difference, so the looks depend on each other."""
    rng, families, looks, n_blocks = np.random.default_rng(6), 1500, 200, 25
    levels = levels_of(looks)
    assert levels.sum() <= RULES.alpha
    champion = np.sqrt(champions_share) * rng.standard_normal((families, 1, n_blocks))
    promoted, careless = np.zeros(families, dtype=bool), np.zeros(families, dtype=bool)
    for number in range(looks):
        own = np.sqrt(1 - champions_share) * rng.standard_normal((families, n_blocks))
        d = own - champion[:, 0]
        t = d.mean(axis=1) / (d.std(axis=1, ddof=1) / n_blocks**0.5)
        p = stats.t.sf(t, n_blocks - 1)
        promoted |= p <= levels[number]
        careless |= p <= RULES.alpha
    assert promoted.mean() <= stats.binom.ppf(0.995, families, RULES.alpha) / families
    assert careless.mean() > 0.12, "without a ledger the same retrains would get through"
    if champions_share == 0.0:
        assert careless.mean() > 0.99
        assert promoted.mean() > 0.03, "a ledger that never lets anything through keeps any error"


def test_a_chain_of_two_hundred_rulings_on_one_ground() -> None:
    rng = np.random.default_rng(7)
    base = clustered(rng, n_blocks=20, mean_size=25)
    previous, spent, outcomes = None, 0.0, []
    for number in range(200):
        fresh = clustered(np.random.default_rng(1000 + number), n_blocks=20, mean_size=25)
        n = min(len(base), len(fresh))
        right = (fresh.challenger == fresh.codes)[:n]
        wrong = (base.codes[:n] + 1) % 3
        paired = type(base)(
            codes=base.codes[:n],
            challenger=np.where(right, base.codes[:n], wrong),
            other=base.other[:n],
            block=base.block[:n],
            middles=base.middles,
            classes=base.classes,
        )
        stake = spend(previous, GROUND, 1.0 if number == 0 else 0.0, RULES)
        ruling = rule(PLAN, paired, RULES, against="the champion", stake=stake)
        assert ruling.spending is not None
        previous, outcomes = ruling.spending, [*outcomes, ruling.outcome]
        spent += previous.level
        assert ruling.outcome != "PROMOTE" or ruling.p_superior <= stake.level
    assert spent <= RULES.alpha
    assert outcomes.count("PROMOTE") == 0
    assert previous is not None
    assert previous.look == 200
    assert previous.fresh_sample_due
