"""The rule between challenger and champion: promote, hold, or say that nobody can tell.

Both models answered the same samples, out of the same folds. The evidence is the difference of
their metric over blocks, ``d``, with standard error ``SE`` and two-sided interval ``[low, high]`` at
the stated confidence. ``margin`` is the smallest difference worth having, fixed beforehand;
``detectable = 2.5 SE`` is the smallest that this evidence would usually reveal. In this order:

====  ==============================================  =====================
rule  holds when                                      outcome
====  ==============================================  =====================
1     fewer than ``least_blocks`` blocks              INSUFFICIENT_EVIDENCE
2     ``low > 0``                                     PROMOTE
3     ``high <= 0``: not better, perhaps worse        HOLD
4     ``high < margin``: no gain worth having         HOLD
5     ``detectable <= margin``: it would have shown   HOLD
6     otherwise: too wide to tell                     INSUFFICIENT_EVIDENCE
====  ==============================================  =====================

The first model is compared with the no-skill answer (the most frequent class of each train side)
under the same rule. A challenger that is no better is promoted in at most (1 - confidence) / 2 of
cases, as far as blocks are independent.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geoml_ops.core.errors import Refused
from geoml_ops.core.evidence import Outcome, Score
from geoml_ops.core.experiment import GateRules
from geoml_ops.core.flow import FoldPlan
from geoml_ops.domain.scoring import block_confusions, bootstrap_interval, caution, metric_of, ratio_interval

Codes = NDArray[np.int64]
NO_SKILL = "no-skill baseline"
DETECTABLE_SE = 2.5


@dataclass(frozen=True)
class Ruling:
    """What the gate says, with every number it looked at: the pieces of a judgement.

    Attributes:
        outcome: PROMOTE, HOLD or INSUFFICIENT_EVIDENCE.
        difference: challenger minus the other, with its block interval.
        margin: the smallest difference worth having.
        detectable: the smallest difference that this evidence would usually reveal.
        objections: sentences; what stands against promoting, or must be known when reading the outcome.
    """

    outcome: Outcome
    difference: Score
    margin: float
    detectable: float
    objections: tuple[str, ...]


def admit(plan: FoldPlan) -> None:
    """Lets a plan's answers through to the gate, or says why not.

    Raises:
        Refused: the plan only measures optimism, was never audited, or its audit failed.
    """
    if plan.method == "random" or plan.estimand == "optimism baseline":
        raise Refused(
            f"Plan {plan.id} answers {plan.estimand!r} with {plan.method} folds; the gate takes no such score.",
            "judge by the block plan of the same table",
        )
    if plan.audit is None:
        raise Refused(f"Plan {plan.id} was never audited.", "plan the folds again")
    if not plan.audit.passed:
        raise Refused(
            f"The audit of plan {plan.id} failed: train and test come within {plan.audit.least_distance_m:.0f} m of "
            f"each other and share {plan.audit.n_shared_polygons} polygons; "
            f"classes missing: {', '.join(plan.audit.classes_missing) or 'none'}.",
            "use fewer folds, other blocks or a wider buffer",
        )


def difference_of(
    codes: Codes, challenger: Codes, other: Codes, block: Codes, n_classes: int, rules: GateRules
) -> tuple[Score, float]:
    """Returns challenger minus other in the gate's metric, with its block interval, and the standard error.

    Overall accuracy uses the ratio estimator on paired block differences; macro F1, which is no
    ratio, the bootstrap of blocks.

    Args:
        codes: ``(n,)`` true class codes.
        challenger: ``(n,)`` its answers.
        other: ``(n,)`` answers to the same samples by champion or baseline.
        block: ``(n,)`` block of each sample.
        n_classes: length of the fixed class list.
        rules: metric and confidence.

    Raises:
        BadInput: fewer than two blocks, or an unknown metric.
    """
    if rules.metric != "overall_accuracy":
        pair = [block_confusions(codes, answers, block, n_classes) for answers in (challenger, other)]
        return bootstrap_interval(pair, rules.metric, confidence=rules.confidence)
    number = np.unique(block, return_inverse=True)[1].reshape(-1)
    gains = (challenger == codes).astype(np.float64) - (other == codes)
    totals = np.bincount(number, weights=gains).astype(np.float64)
    return ratio_interval(totals, np.bincount(number).astype(np.float64), rules.confidence)


def rule(
    plan: FoldPlan,
    *,
    codes: Codes,
    challenger: Codes,
    other: Codes,
    block: Codes,
    n_classes: int,
    rules: GateRules,
    against: str = NO_SKILL,
) -> Ruling:
    """Returns what the gate says about a challenger; the rule stands at the top of this module.

    Args:
        plan: the folds that both models answered from.
        codes: ``(n,)`` true class codes.
        challenger: ``(n,)`` its out-of-fold answers.
        other: ``(n,)`` out-of-fold answers of the champion's recipe, or of no skill.
        block: ``(n,)`` block of each sample.
        n_classes: length of the fixed class list.
        rules: metric, margin, confidence and least number of blocks.
        against: name of the other in sentences.

    Raises:
        Refused: the plan may not feed the gate; see :func:`admit`.
        BadInput: an unknown metric.
    """
    admit(plan)
    n_blocks = len(np.unique(block))
    if n_blocks < 2:
        metric_of(np.eye(n_classes), rules.metric)
        nothing = Score(value=0.0, low=-1.0, high=1.0, n_blocks=n_blocks)
        return Ruling("INSUFFICIENT_EVIDENCE", nothing, rules.margin, 2.0, (_too_few(n_blocks, rules),))
    difference, error = difference_of(codes, challenger, other, block, n_classes, rules)
    detectable = DETECTABLE_SE * error
    outcome, objection = _decide(difference, detectable, rules, against)
    objections = tuple(sentence for sentence in (objection, caution(n_blocks)) if sentence)
    return Ruling(outcome, difference, rules.margin, detectable, objections)


def _decide(difference: Score, detectable: float, rules: GateRules, against: str) -> tuple[Outcome, str]:
    said = (
        f"{rules.metric} minus {against} is {difference.value:+.3f} "
        f"[{difference.low:+.3f}, {difference.high:+.3f}] over {difference.n_blocks} blocks"
    )
    if difference.n_blocks < rules.least_blocks:
        return "INSUFFICIENT_EVIDENCE", _too_few(difference.n_blocks, rules)
    if difference.low > 0:
        return "PROMOTE", ""
    if difference.high <= 0:
        word = "worse" if difference.high < 0 else "not better"
        return "HOLD", f"The challenger is {word}: {said}."
    if difference.high < rules.margin:
        return "HOLD", f"Any gain is smaller than the margin of {rules.margin:.3f}: {said}."
    if detectable <= rules.margin:
        return "HOLD", (
            f"The challenger is not shown to be better, although a difference of {detectable:.3f} "
            f"would usually show: {said}."
        )
    return "INSUFFICIENT_EVIDENCE", (
        f"The evidence is too wide to tell: {said}; it would usually show only a difference of "
        f"{detectable:.3f} or more, the margin is {rules.margin:.3f}."
    )


def _too_few(n_blocks: int, rules: GateRules) -> str:
    return f"{n_blocks} blocks are too few to judge; the gate asks for {rules.least_blocks}."
