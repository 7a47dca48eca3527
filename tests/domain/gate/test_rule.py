"""Every line of the gate's table, what is said with it, and what no order of samples or names can change."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geoml_ops.core.errors import BadInput
from geoml_ops.core.experiment import GateRules
from geoml_ops.core.flow import Judgement
from geoml_ops.domain.gate import NO_SKILL, Apart, Known, Paired, Ruling, rule, spend
from tests.domain.gate.pairs import CLASSES, PLAN, clustered, from_gains, judged, look, middles, spread

EQUALS = GateRules(promote_on="non_inferiority", reason="half the cost of inference")


@pytest.mark.parametrize(
    ("gains", "outcome", "words"),
    [
        (spread(5, 3), "PROMOTE", ""),
        (spread(-5, 3), "REJECT", "is worse, and a loss of 0.010 is not ruled out"),
        (spread(-3, 9), "REJECT", "is worse"),
        (spread(0, 0), "HOLD", "right equally often in each of 40 blocks"),
        (np.resize([-1, 0, 0, 0], 40), "HOLD", "as good and not shown to be better"),
        (spread(0, 3), "HOLD", "as good and not shown to be better"),
        (np.resize([-7, 5], 40), "HOLD", "gain is smaller than the margin"),
        (spread(0, 12), "INSUFFICIENT_EVIDENCE", "too wide to tell"),
        (spread(5, 3, n=9), "INSUFFICIENT_EVIDENCE", "9 blocks are too few"),
    ],
)
def test_every_line_of_the_table(gains: np.ndarray, outcome: str, words: str) -> None:
    ruling = judged(gains)
    assert ruling.outcome == outcome
    assert words in " ".join(ruling.objections)
    assert ruling.difference.value == pytest.approx(gains.mean() / 100)
    assert (ruling.margin, ruling.metric, ruling.mode, ruling.estimand) == (
        0.01,
        "overall_accuracy",
        "recipes",
        "a new region",
    )
    assert len(ruling.blocks) == len(gains)
    assert [b.difference for b in ruling.blocks] == pytest.approx(gains / 100)


@pytest.mark.parametrize(
    ("gains", "outcome"),
    [
        (spread(0, 0), "HOLD"),
        (spread(5, 3), "PROMOTE"),
        (spread(-5, 3), "REJECT"),
        (spread(0, 3), "INSUFFICIENT_EVIDENCE"),
    ],
)
def test_a_margin_of_nothing_asks_for_a_gain(gains: np.ndarray, outcome: str) -> None:
    assert judged(gains, GateRules(margin=0.0)).outcome == outcome
    equals = EQUALS.model_copy(update={"margin": 0.0})
    assert (judged(gains, equals).outcome == "PROMOTE") == (outcome == "PROMOTE")


def test_a_ruling_fills_a_judgement() -> None:
    ruling = judged(spread(5, 3), GateRules(classes={"water": 0.02}), stake=spend(None, "g", 1.0, GateRules()))
    judgement = Judgement(challenger="entry-0123456789abcdef", against="the champion", **vars(ruling))
    assert Judgement.from_json(judgement.as_json()) == judgement


@pytest.mark.parametrize(("least", "n"), [(2, 9), (10, 9), (30, 29)])
def test_no_rule_lowers_the_number_of_blocks_below_ten(least: int, n: int) -> None:
    ruling = judged(spread(5, 3, n=n), GateRules(least_blocks=least))
    assert ruling.outcome == "INSUFFICIENT_EVIDENCE"
    assert f"the gate asks for {max(least, 10)}" in ruling.objections[0]
    assert (ruling.p_superior, ruling.p_inferior, ruling.beside) == (None, None, ())
    assert judged(spread(5, 3, n=max(least, 10)), GateRules(least_blocks=least)).outcome == "PROMOTE"


@pytest.mark.parametrize("n", [0, 1])
def test_without_two_blocks_anything_is_possible(n: int) -> None:
    ruling = judged(np.full(n, 10))
    assert ruling.outcome == "INSUFFICIENT_EVIDENCE"
    assert (ruling.difference.low, ruling.difference.high, ruling.difference.n_blocks) == (-1.0, 1.0, n)
    assert ruling.detectable == 2.0
    assert f"{n} block" in ruling.objections[0]


def test_few_and_unequal_blocks_are_said_aloud_even_when_promoting() -> None:
    ruling = judged(spread(5, 3, n=16))
    assert ruling.outcome == "PROMOTE"
    assert any("stands on 16 blocks" in sentence for sentence in ruling.objections)
    even = from_gains(spread(5, 1, n=24))
    block = np.where(np.arange(len(even)) < 1800, 0, even.block)
    lopsided = rule(PLAN, replace(even, block=block), GateRules())
    assert any("weigh as 1.7" in sentence for sentence in lopsided.objections)
    assert lopsided.outcome != "PROMOTE", "one block that holds most samples is one block of evidence"


def test_too_wide_says_how_many_blocks_the_margin_would_take() -> None:
    sentence = judged(spread(0, 12)).objections[0]
    n = int(sentence.split("about ")[1].split(" blocks")[0])
    # 2.5 standard errors of .0192 shrink to the margin of .01 at about 23 times the blocks.
    assert n == pytest.approx(40 * (2.49 * 0.1217 / 40**0.5 / 0.01) ** 2, rel=0.02)


# --- classes ---------------------------------------------------------------------------------


def by_class(changes: dict[int, np.ndarray], n_blocks: int = 40, per_class: int = 60) -> Paired:
    """A challenger that differs by ``changes[class][block]`` right answers; wrong ones are of the next class."""
    rows = [(b, c, i) for b in range(n_blocks) for c in range(3) for i in range(per_class)]
    block, codes, rank = np.array(rows).T
    gain = np.array([changes.get(c, np.zeros(n_blocks))[b] for b, c, _ in rows])
    right, other = rank < 40 + np.maximum(gain, 0), rank < 40 + np.maximum(-gain, 0)
    return Paired(
        codes=codes,
        challenger=np.where(right, codes, (codes + 1) % 3),
        other=np.where(other, codes, (codes + 1) % 3),
        block=block,
        middles=middles(n_blocks),
        classes=CLASSES,
    )


def test_a_class_that_loses_its_margin_rejects_whatever_is_gained_elsewhere() -> None:
    paired = by_class({0: spread(-19, 2), 1: spread(18, 3), 2: spread(12, 3)})
    assert rule(PLAN, paired, GateRules()).outcome == "PROMOTE"
    ruling = rule(PLAN, paired, GateRules(classes={"water": 0.02, "farm": 0.02}))
    assert ruling.outcome == "REJECT"
    assert any("F1 of water loses more than its margin" in sentence for sentence in ruling.objections)
    assert [(c.name, c.passed) for c in ruling.classes] == [("water", False), ("farm", True)]


def test_a_class_that_might_lose_its_margin_waits_for_evidence() -> None:
    paired = by_class({0: spread(-6, 18), 1: spread(9, 3), 2: spread(9, 3)})
    rules = GateRules(classes={"water": 0.02, "farm": 0.02})
    ruling = rule(PLAN, paired, rules)
    assert ruling.outcome == "INSUFFICIENT_EVIDENCE"
    assert "not shown to be as good in every class" in ruling.objections[0]
    assert "a loss of 0.020 is not ruled out" in ruling.objections[1]
    generous = rule(PLAN, paired, rules.model_copy(update={"classes": {"water": 0.3, "farm": 0.02}}))
    assert generous.outcome == "PROMOTE"


def test_a_class_in_nine_blocks_is_never_as_good() -> None:
    paired = by_class({1: spread(9, 3), 2: spread(9, 3)})
    kept = (paired.codes != 0) | (paired.block < 9)
    few = Paired(**{**vars(paired), **{n: getattr(paired, n)[kept] for n in ("codes", "challenger", "other", "block")}})
    ruling = rule(PLAN, few, GateRules(classes={"water": 0.5}))
    assert ruling.outcome == "INSUFFICIENT_EVIDENCE"
    assert "water is true in 9 blocks" in ruling.objections[1]
    assert (ruling.classes[0].p, ruling.classes[0].passed) == (1.0, False)
    assert "water (9)" in next(g.sentence for g in ruling.guards if g.name == "rare classes")
    assert rule(PLAN, few, GateRules()).outcome == "PROMOTE", "a rare class without a margin is only said"


def test_a_class_that_nobody_saw_has_no_difference() -> None:
    paired = by_class({})
    three = replace(paired, classes=(*CLASSES, "ice"))
    found = rule(PLAN, three, GateRules(classes={"ice": 0.1})).classes[0]
    assert (found.difference.value, found.difference.low, found.difference.high) == (0.0, -1.0, 1.0)
    assert (found.difference.n_blocks, found.passed) == (0, False)


# --- guards ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rules", "known", "words"),
    [
        (GateRules(greatest_ece=0.05), Known(ece=0.06), "miss its accuracy by 0.060"),
        (GateRules(least_inside_share=0.9), Known(inside_share=0.895), "Of the ground 89.5%"),
    ],
)
def test_guards_with_a_limit_hold_a_better_challenger(rules: GateRules, known: Known, words: str) -> None:
    held = judged(spread(5, 3), rules, known=known)
    assert held.outcome == "HOLD"
    assert words in held.objections[1]
    passing = Known(ece=0.05, inside_share=0.9)
    assert judged(spread(5, 3), rules, known=passing).outcome == "PROMOTE"
    assert judged(spread(5, 3), GateRules(), known=known).outcome == "PROMOTE", "without a limit it is only said"


def test_a_limit_to_what_nobody_measured_is_no_free_pass() -> None:
    with pytest.raises(BadInput, match="nobody measured"):
        judged(spread(5, 3), GateRules(greatest_ece=0.05))
    with pytest.raises(BadInput, match="nobody measured"):
        judged(spread(5, 3), GateRules(least_inside_share=0.9), known=Known(ece=0.01))
    with pytest.raises(BadInput, match="no share"):
        Known(inside_share=95.0)


def test_calibration_comes_from_the_probabilities_where_nobody_says_it() -> None:
    paired = from_gains(spread(5, 3))
    sure = np.where(np.arange(2) == paired.challenger[:, None], 0.9, 0.1)
    found = rule(PLAN, replace(paired, probability=sure), GateRules(greatest_ece=0.4))
    guard = next(g for g in found.guards if g.name == "calibration")
    # The challenger says .9 always and is right in 50 % plus its gains above 0.
    assert guard.value == pytest.approx(0.9 - (0.5 + np.maximum(spread(5, 3), 0).mean() / 100))
    assert guard.passed


def test_the_worst_block_is_shown_and_does_not_decide() -> None:
    gains = spread(5, 1)
    gains[7] = -30
    ruling = judged(gains)
    guard = next(g for g in ruling.guards if g.name == "worst block")
    assert (guard.value, guard.limit, guard.passed) == (-0.3, None, True)
    assert "414000, 5800000" in guard.sentence
    assert "worse in 1 of 40 blocks" in guard.sentence
    assert ruling.outcome == "PROMOTE"


# --- equals and the ledger -------------------------------------------------------------------


def test_an_equal_is_promoted_for_a_stated_reason_only() -> None:
    assert judged(spread(0, 1)).outcome == "HOLD"
    ruling = judged(spread(0, 1), EQUALS)
    assert (ruling.outcome, ruling.reason) == ("PROMOTE", "half the cost of inference")
    assert "half the cost of inference" in ruling.objections[0]
    assert "may each lose up to 0.010" in ruling.objections[0]
    better = judged(spread(5, 1), EQUALS)
    assert (better.outcome, better.reason, better.objections) == ("PROMOTE", "", ())
    assert judged(spread(-3, 3), EQUALS).outcome == "REJECT"


def test_the_ledger_sets_the_level_of_what_is_promoted_on() -> None:
    gains = np.resize([4, -2], 40)  # one-sided p = .022
    rules = GateRules()
    first = judged(gains, stake=spend(None, "g", 1.0, rules))
    assert first.outcome == "PROMOTE"
    assert first.p_superior is not None
    assert 0.0123 < first.p_superior < 0.0244
    later = judged(gains, stake=spend(look(0.025, "g"), "g", 0.0, rules))
    assert later.outcome == "HOLD"
    assert "at a level of 0.0123" in later.objections[0]
    assert (first.difference, first.p_superior) == (later.difference, later.p_superior)


def test_only_a_better_model_than_a_champion_earns() -> None:
    rules, gains = GateRules(), spread(5, 3)
    stake = spend(None, "g", 1.0, rules)
    earned, against_none = judged(gains, stake=stake), judged(gains, stake=stake, against=NO_SKILL)
    assert earned.outcome == against_none.outcome == "PROMOTE"
    assert earned.spending is not None
    assert against_none.spending is not None
    assert (earned.spending.wealth_after, against_none.spending.wealth_after) == (0.05, 0.025)
    equal = judged(spread(0, 1), EQUALS, stake=stake).spending
    assert equal is not None
    assert equal.wealth_after == 0.025
    few = judged(spread(5, 3, n=5), stake=stake).spending
    assert few is not None
    assert (few.wealth_after, few.level) == (0.05, 0.0), "nothing could be promoted, nothing is spent"


def test_an_empty_purse_promotes_nothing_and_says_so() -> None:
    ruling = judged(spread(5, 3), stake=spend(look(0.0, "g", 9), "g", 0.0, GateRules()))
    assert ruling.outcome == "HOLD"
    assert "a fresh sample is due" in ruling.objections[-1]
    assert "look 10" in ruling.objections[-1]


def test_finished_models_are_judged_by_the_same_rule_without_folds() -> None:
    new = Apart(n_samples=4000, n_near=0, n_shared_polygons=0, least_distance_m=900.0, buffer_m=100.0)
    paired = from_gains(spread(5, 3))
    frozen = rule(new, paired, GateRules(), against="model 3", estimand="a new year")
    folded = rule(PLAN, paired, GateRules(), against="model 3")
    assert (frozen.mode, frozen.estimand, folded.mode) == ("artefacts", "a new year", "recipes")
    assert (frozen.outcome, frozen.difference, frozen.p_superior) == (
        folded.outcome,
        folded.difference,
        folded.p_superior,
    )
    assert [test.name for test in frozen.beside] == ["block sign flips"]


# --- bad input -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rules", "words"),
    [
        (GateRules(metric="kappa"), "kappa"),
        (GateRules(classes={"snow": 0.1}), "no class 'snow'"),
        (GateRules(classes={"water": -0.1}), "margin of class 'water' is -0.1"),
        (GateRules(margin=1.5), "margin of 1.5"),
    ],
)
def test_rules_that_cannot_be_asked(rules: GateRules, words: str) -> None:
    for n in (0, 5, 40):
        with pytest.raises(BadInput, match=words):
            judged(spread(5, 3, n=n), rules)


# --- what cannot matter ----------------------------------------------------------------------


def alike(one: Ruling, other: Ruling) -> None:
    assert one.outcome == other.outcome
    for name in ("difference", "detectable", "p_inferior", "p_superior"):
        first, second = getattr(one, name), getattr(other, name)
        if name == "difference":
            first, second = (first.value, first.low, first.high), (second.value, second.low, second.high)
        assert first == pytest.approx(second, abs=1e-9)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from(["overall_accuracy", "macro_f1"]), st.sampled_from([0.0, 0.03, -0.05]))
def test_order_and_names_cannot_matter_and_nobody_beats_and_is_beaten(seed: int, metric: str, gain: float) -> None:
    rng = np.random.default_rng(seed)
    paired, rules = clustered(rng, n_blocks=15, gain=gain), GateRules(metric=metric, classes={"water": 0.02})
    ruling = rule(PLAN, paired, rules)
    order, names = rng.permutation(len(paired)), rng.permutation(paired.n_blocks)
    shuffled = replace(
        paired,
        **{n: getattr(paired, n)[order] for n in ("codes", "challenger", "other", "fold")},
        block=names[paired.block[order]],
    )
    alike(ruling, rule(PLAN, shuffled, rules))
    untested = replace(
        paired,
        **{n: np.append(getattr(paired, n), -1) for n in ("codes", "challenger", "other", "fold")},
        block=np.append(paired.block, 3),
    )
    alike(ruling, rule(PLAN, untested, rules))
    swapped = rule(PLAN, replace(paired, challenger=paired.other, other=paired.challenger), rules)
    assert swapped.difference.value == pytest.approx(-ruling.difference.value)
    assert {ruling.outcome, swapped.outcome} != {"PROMOTE"}
    assert ruling.outcome != "PROMOTE" or swapped.outcome in ("REJECT", "HOLD", "INSUFFICIENT_EVIDENCE")
    twin = rule(PLAN, replace(paired, challenger=paired.other), rules)
    assert (twin.outcome, twin.difference.value) == ("HOLD", 0.0)


def test_samples_that_no_fold_tests_are_counted_aloud() -> None:
    paired = replace(from_gains(spread(5, 3)), fold=np.tile(np.r_[np.full(90, 1), np.full(10, -1)], 40))
    ruling = rule(PLAN, paired, GateRules())
    assert any("400 of 4000 samples are tested in no fold" in sentence for sentence in ruling.objections)
    assert sum(block.n for block in ruling.blocks) == 3600


def test_macro_f1_feeds_the_gate() -> None:
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 3, 4000)
    good = np.where(rng.random(4000) < 0.8, codes, (codes + 1) % 3)
    poor = np.zeros(4000, dtype=np.int64)
    paired = Paired(codes, good, poor, np.arange(4000) % 40, middles(40), CLASSES)
    rules = GateRules(metric="macro_f1")
    ruling = rule(PLAN, paired, rules)
    assert ruling.outcome == "PROMOTE"
    assert ruling.difference.value > 0.5
    assert rule(PLAN, replace(paired, challenger=poor, other=good), rules).outcome == "REJECT"
