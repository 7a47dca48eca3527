"""The page of a verdict: every outcome has words, every number is there, and nobody's name can write on it."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any, get_args

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from geoml_ops.core.evidence import BlockDifference, ClassTest, Outcome, Panel, Score, Spending
from geoml_ops.core.experiment import GateRules
from geoml_ops.core.flow import Approval, Bundle, Entry, Evaluation, FoldPlan, Judgement
from geoml_ops.core.folding import FoldRules, Method
from geoml_ops.domain.card import Case, in_words, verdict_page
from geoml_ops.domain.card.drawing import Axis, against_margin, reliability, side_by_side
from geoml_ops.domain.card.parts import folds_words
from tests.every_noun import any_noun
from tests.pages import HOSTILE, hostile, read

OUTCOMES = get_args(Outcome)
PNG = b"\x89PNG\r\n\x1a\n not really"
GAP = Score(value=0.041, low=0.02, high=0.062, n_blocks=38)
ENTRY = Entry(bundle=f"bundle-{'0' * 16}", model="landcover", number=3)


def judgement(**fields: Any) -> Judgement:
    plain: dict[str, Any] = {
        "challenger": ENTRY.id,
        "champion": f"entry-{'1' * 16}",
        "outcome": "PROMOTE",
        "against": "landcover 2, refitted in the same folds",
        "metric": "overall_accuracy",
        "difference": GAP,
        "margin": 0.01,
        "detectable": 0.026,
        "objections": (),
    }
    return Judgement(**(plain | fields))


def case(found: Judgement, **fields: Any) -> Case:
    plan = any_noun(FoldPlan).model_copy(update={"rules": FoldRules()})
    made = Case(found, ENTRY, any_noun(Bundle), any_noun(Evaluation), plan, rules=GateRules())
    return replace(made, **fields)


def text_of(found: Judgement, **fields: Any) -> str:
    return " ".join(read(verdict_page(case(found, **fields))).text.split())


@pytest.mark.parametrize("outcome", OUTCOMES)
@pytest.mark.parametrize("champion", ["", f"entry-{'1' * 16}"])
def test_every_outcome_has_its_word_and_a_sentence(outcome: Outcome, champion: str) -> None:
    found = judgement(outcome=outcome, champion=champion, objections=("Water is worse.",))
    html = verdict_page(case(found))
    page = read(html)
    assert outcome.replace("_", " ") in page.text
    assert in_words(found, "landcover 3") in page.text
    assert "Water is worse." in page.text
    assert ("champion" in in_words(found)) is False
    stays = "what serves now stays" if champion else "nothing is released"
    assert (stays in page.text) == (outcome != "PROMOTE")


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_a_judgement_of_before_there_were_so_many_numbers_still_has_a_page(outcome: Outcome) -> None:
    old = Evaluation.from_json(
        {
            name: value
            for name, value in (any_noun(Evaluation).as_json() | {"schema": 1}).items()
            if name not in ("per_class", "reliability", "importance", "others", "selected_from")
        }
    )
    page = read(verdict_page(case(judgement(outcome=outcome), evaluation=old, rules=None)))
    for absent in ("Class by class", "What else was asked", "Tests beside", "What this look cost", "one-sided"):
        assert absent not in page.text


def test_in_words_the_size_has_its_unit_and_its_direction() -> None:
    assert "overall accuracy 4.1 percentage points higher, interval +2.0 to +6.2, 38 blocks" in in_words(judgement())
    worse = judgement(metric="macro_f1", difference=Score(value=-0.05, low=-0.07, high=-0.03, n_blocks=12))
    assert "macro F1 0.050 lower, interval -0.070 to -0.030, 12 blocks" in in_words(worse)
    same = judgement(difference=Score(value=0.0, low=-0.01, high=0.01, n_blocks=12))
    assert "overall accuracy the same" in in_words(same)


def test_an_equal_that_is_promoted_says_why() -> None:
    equal = judgement(difference=Score(value=0.0, low=-0.005, high=0.005, n_blocks=60), reason="half the cost")
    assert in_words(equal, "It").startswith("It is as good, within the margin, and may serve because: half the cost.")


def test_everything_the_gate_weighed_is_on_the_page() -> None:
    found = judgement(
        p_inferior=0.0004,
        p_superior=0.0021,
        classes=(
            ClassTest(
                name="water", difference=Score(value=-0.03, low=-0.08, high=0.02, n_blocks=12), margin=0.021,
                p=0.3456, level=0.0123, passed=False,
            ),
        ),
        spending=Spending(
            ground="ab" * 32, look=4, wealth_before=0.0412, level=0.0201, wealth_after=0.0391, fresh_share=0.22,
            fresh_sample_due=True,
        ),
        beside=any_noun(Judgement).beside,
        guards=any_noun(Judgement).guards,
        objections=("One & only.",),
    )  # fmt: skip
    said = text_of(found)
    for number in ("+0.041", "+0.020 to +0.062", "0.0004", "0.0021", "0.3456", "0.0123", "0.021", "-0.030"):
        assert number in said
    for number in ("0.0412", "0.0201", "0.0391", "22%", "This was look 4", "A fresh sample is due"):
        assert number in said
    assert "they do not decide" in said
    assert "One & only." in said
    assert "a one-sided error rate of 0.0201" in said


def test_what_was_compared_is_told_for_recipes_artefacts_and_no_skill() -> None:
    assert "fitted anew in identical folds" in text_of(judgement())
    assert "most frequent class" in text_of(judgement(champion=""))
    ground = f"version-{'5' * 16}"
    said = text_of(judgement(mode="artefacts", ground=ground, estimand="a probability sample"))
    assert f"ground that neither has learned from ({ground})" in said
    assert "The answer holds for a probability sample" in said


def test_more_blocks_buy_the_square_root() -> None:
    blocks = tuple(BlockDifference(easting=float(i), northing=0.0, n=50, difference=0.0) for i in range(38))
    said = text_of(judgement(detectable=0.04, blocks=blocks))
    assert "now 38 0.040" in said
    assert "four times as many 152 0.020" in said
    assert re.search(r"for a gain as small as the margin, in 80 % of cases about [\d,]+ 0.010", said)
    assert "0 blocks give no interval" in text_of(
        judgement(difference=Score(value=0.0, low=-1.0, high=1.0, n_blocks=0), detectable=2.0)
    )


def test_few_blocks_are_said_once() -> None:
    few = Score(value=0.1, low=0.05, high=0.15, n_blocks=12)
    caution = "The interval stands on 12 blocks"
    assert text_of(judgement(difference=few)).count(caution) == 1
    from geoml_ops.domain.scoring import caution as words

    assert text_of(judgement(difference=few, objections=(words(12),))).count(caution) == 1
    assert caution.replace("12", "38") not in text_of(judgement())


def test_every_score_stands_with_what_it_answers() -> None:
    evaluation = any_noun(Evaluation).model_copy(
        update={
            "estimand": "a new region",
            "scores": {"overall_accuracy": GAP.model_copy(update={"value": 0.593})},
            "optimism": {"overall_accuracy": GAP.model_copy(update={"value": 0.674})},
            "others": (
                Panel(
                    plan=f"plan-{'2' * 16}", method="knndm", estimand="this map",
                    scores={"overall_accuracy": GAP.model_copy(update={"value": 0.622})},
                ),
            ),
        }
    )  # fmt: skip
    said = text_of(judgement(), evaluation=evaluation)
    assert re.search(
        r"these folds a new region 0\.593 .* yes +knndm folds this map 0\.622 .* no +random folds optimism", said
    )
    assert said.index("0.593") < said.index("0.622") < said.index("0.674")


def test_who_decided_is_on_the_page() -> None:
    found = judgement()
    said = (
        Approval(judgement=found.id, decision="Reject", by=(), reason="Nobody answered within 72 hours."),
        Approval(judgement=found.id, decision="Approve", by=("alice", "bob"), reason="as users asked"),
    )
    text = text_of(found, approvals=said)
    assert "Reject nobody Nobody answered within 72 hours." in text
    assert "Approve alice, bob as users asked" in text
    assert "Who decided" not in text_of(found)


def test_pictures_are_inside_or_their_absence_is_explained() -> None:
    page = read(verdict_page(case(judgement()), folds=PNG, differences=PNG))
    assert sum(tag == "img" for tag, _ in page.tags) == 2
    lost = read(verdict_page(case(judgement()), lost="The map of the folds cannot be drawn: it is elsewhere."))
    assert "it is elsewhere" in lost.text
    assert not [tag for tag, _ in lost.tags if tag == "img"]


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_names_and_sentences_cannot_write_html(outcome: Outcome) -> None:
    found = hostile(Judgement, outcome=outcome, reason=HOSTILE)
    evaluation, bundle, approval = hostile(Evaluation), hostile(Bundle), hostile(Approval)
    entry = hostile(Entry)
    assert isinstance(entry, Entry)
    page = read(
        verdict_page(
            case(
                found, entry=entry, evaluation=evaluation, bundle=bundle, approvals=(approval,), champion=entry,
                earlier=(found,), scenes=(HOSTILE,),
            ),
            lost=HOSTILE,
        )
    )  # fmt: skip
    assert page.text.count(HOSTILE) > 10


@pytest.mark.parametrize("method", get_args(Method))
def test_every_way_to_fold_has_words(method: Method) -> None:
    n_folds = 2 if method == "block" else 5
    plan = any_noun(FoldPlan).model_copy(update={"rules": FoldRules(method=method, n_folds=n_folds)})
    assert len(folds_words(plan)) > 10
    unresolved = plan.model_copy(update={"rules": FoldRules(method=method, n_folds=n_folds, block_m="auto")})
    assert "None" not in folds_words(unresolved)


def xs(svg: str, shape: str, name: str) -> list[float]:
    return [float(x) for x in re.findall(rf'<{shape} [^>]*?{name}="([-\d.]+)"', svg)]


def test_what_is_better_lies_right_of_zero_and_what_is_worse_left_of_the_margin() -> None:
    for value, zone in ((-0.05, 0), (-0.005, 1), (0.03, 2)):
        svg = against_margin(Score(value=value, low=value - 0.002, high=value + 0.002, n_blocks=30), 0.01, 0.02)
        (dot,), starts = xs(svg, "circle", "cx"), [*xs(svg, "rect", "x"), 720.0]
        assert starts == sorted(starts)
        assert starts[zone] < dot < starts[zone + 1]


finite = st.floats(-1e300, 1e300)


@settings(max_examples=60, deadline=None)
@example(numbers=[0.0, 0.0, 5e-324], margin=0.0, detectable=0.0, n_blocks=2)
@given(
    numbers=st.tuples(finite, finite, finite).map(sorted),
    margin=st.floats(0, 1e6),
    detectable=st.floats(0, 1e6),
    n_blocks=st.integers(0, 10**9),
)
def test_any_finite_numbers_can_be_drawn(numbers: list[float], margin: float, detectable: float, n_blocks: int) -> None:
    found = Score(value=numbers[1], low=numbers[0], high=numbers[2], n_blocks=n_blocks)
    read(verdict_page(case(judgement(difference=found, margin=margin, detectable=detectable))))
    read(side_by_side([("one", "this map", found, True)]))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=4))
def test_an_axis_keeps_order_and_its_ticks_are_round(values: list[float]) -> None:
    axis = Axis(values, 0, 700)
    pixels = [axis.at(v) for v in sorted(values)]
    assert pixels == sorted(pixels)
    assert 2 <= len(axis.ticks()) <= 14
    step = axis.ticks()[1] - axis.ticks()[0]
    assert f"{step:.0e}"[0] in "125"


def test_an_empty_reliability_diagram_is_still_a_picture() -> None:
    assert "svg" in {tag for tag, _ in read(reliability(())).tags}
