"""What looking at the same labels again costs: alpha-investing (Foster and Stine 2008).

Every look at held-out ground is a chance to promote noise. The ledger is a purse of alpha. Completely
fresh ground fills it with ``alpha``; a look at level ``a`` costs ``a / (1 - a)``, and the rule spends half
of what is there: ``a = W / (2 + W)``, so the first look is tested at about ``alpha / 2``, the next at half
of that, and so on. A challenger that is promoted because it is shown to be better than a champion earns
``alpha`` back. Looks against no skill cost and never earn, nor do promotions of equals. New labels bring
``alpha`` times their share of the ground. The purse never holds more than ``alpha``.

**The family error is at most alpha.** Let no challenger be better and let the looks at one ground be
tested at levels ``a_1, a_2, …``. Before the first promotion nothing is earned, so what was spent is at most
what was there: ``sum a_j <= sum a_j / (1 - a_j) = alpha sum 2^-j <= alpha``. The chance that any look promotes
is at most the sum of their levels (union bound), whatever their number and however they depend on each
other, which looks at the same ground do: at most ``alpha`` over 200 noise retrains or any number.

After a promotion the purse is full at most, and the same bound holds until the next. So the expected
number of false promotions is at most ``alpha`` times one plus the expected number of promotions, the
marginal false discovery rate that Foster and Stine control; this second statement needs that each
test keeps its level given the promotions before it. With new labels of shares ``f_1, f_2, …`` the family error
until the first promotion is at most ``alpha (1 + sum f_j)``: one alpha per ground's worth of labels.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from geoml_ops.core.errors import BadInput
from geoml_ops.core.evidence import Spending
from geoml_ops.core.experiment import GateRules
from geoml_ops.core.noun import digest

FLOOR = 1 / 20
"""A level below this part of alpha cannot promote anything sensible; a fresh sample is due."""


@dataclass(frozen=True)
class Stake:
    """What the next look may risk.

    Attributes:
        ground: digest of the labels that are looked at.
        look: number of this look, from 1; looks at ground without any fresh label in it count on.
        wealth: alpha left before the look.
        level: one-sided level of the deciding test, ``wealth / (2 + wealth)``.
        fresh_share: of the ground, what no earlier look has seen, 0 to 1.
        alpha: what completely fresh ground brings.
    """

    ground: str
    look: int
    wealth: float
    level: float
    fresh_share: float
    alpha: float

    @property
    def cost(self) -> float:
        """Alpha that the look costs, ``level / (1 - level)``: half of ``wealth``."""
        return self.wealth / 2


def spend(previous: Spending | None, ground: str, fresh_share: float, rules: GateRules) -> Stake:
    """Returns what the next look at some ground may risk.

    Args:
        previous: the look before this one in the chain of the model; None before the first.
        ground: digest of the labels that are looked at; see :func:`ground_of`.
        fresh_share: of those labels, the share that no earlier look has seen; see :func:`fresh_share_of`.
        rules: alpha.

    Raises:
        BadInput: the share is no share, or labels that were just looked at are called fresh.
    """
    if not 0 <= fresh_share <= 1:
        raise BadInput(f"A fresh share of {fresh_share!r} is no share.", "give a number from 0 to 1")
    if previous and previous.ground == ground and fresh_share > 0:
        raise BadInput(
            f"The ground {ground[:16]} is that of look {previous.look}; {fresh_share:.0%} of it cannot be fresh.",
            "count labels as seen once any look saw them",
        )
    left = min(previous.wealth_after, rules.alpha) if previous else 0.0
    wealth = min(left + fresh_share * rules.alpha, rules.alpha)
    look = previous.look + 1 if previous and fresh_share < 1 else 1
    return Stake(ground, look, wealth, _level(wealth), fresh_share, rules.alpha)


def settle(stake: Stake, *, tested: bool, earned: bool) -> Spending:
    """Returns the look as it goes into the ledger.

    Args:
        stake: what it risked.
        tested: whether a test was made; where blocks are too few nothing could be promoted, and nothing is spent.
        earned: whether a challenger was promoted because it was shown to be better than a champion.

    Raises:
        BadInput: earned without a test.
    """
    if earned and not tested:
        raise BadInput("A look that tested nothing cannot earn anything.")
    after = stake.wealth - stake.cost if tested else stake.wealth
    if earned:
        after = min(after + stake.alpha, stake.alpha)
    return Spending(
        ground=stake.ground,
        look=stake.look,
        wealth_before=stake.wealth,
        level=stake.level if tested else 0.0,
        wealth_after=after,
        fresh_share=stake.fresh_share,
        fresh_sample_due=_level(after) < FLOOR * stake.alpha,
    )


def ground_of(labels: Iterable[str]) -> str:
    """Returns the digest of the labels that a look sees, whatever their order.

    Args:
        labels: one key per label, the same on every machine: its file's digest and its number in it, say.
    """
    return digest(sorted(set(labels)))


def fresh_share_of(labels: Iterable[str], seen: Iterable[str]) -> float:
    """Returns the share of labels that no earlier look has seen, 0 to 1.

    Args:
        labels: keys of the labels that are looked at.
        seen: keys of all labels that any earlier look saw.

    Raises:
        BadInput: there are no labels.
    """
    now = set(labels)
    if not now:
        raise BadInput("There are no labels to look at.", "deliver labels of the ground to judge on")
    return len(now.difference(seen)) / len(now)


def _level(wealth: float) -> float:
    return wealth / (2 + wealth)
