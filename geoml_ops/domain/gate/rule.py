"""The rule itself: which outcome follows from which evidence, and the sentences that say why."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from geoml_ops.core.errors import BadInput
from geoml_ops.core.evidence import BesideTest, BlockDifference, ClassTest, Guard, Outcome, Score, Spending
from geoml_ops.core.experiment import GateRules
from geoml_ops.core.flow import FoldPlan
from geoml_ops.core.folding import Audit, Estimand
from geoml_ops.domain.gate.admission import Apart, admit
from geoml_ops.domain.gate.decision import Case, decide, too_few
from geoml_ops.domain.gate.differences import Counted, Counts, Effect, difference, effective_blocks
from geoml_ops.domain.gate.guards import Known, differences_of, guards_of
from geoml_ops.domain.gate.ledger import Stake, settle
from geoml_ops.domain.gate.noninferiority import LEAST_BLOCKS, class_tests
from geoml_ops.domain.gate.paired import Paired
from geoml_ops.domain.gate.power import DETECTABLE_SE
from geoml_ops.domain.gate.resampled import resampled
from geoml_ops.domain.gate.signflip import sign_flips
from geoml_ops.domain.scoring import caution, metric_of

NO_SKILL = "no-skill baseline"
NOTABLE_LUCK = 1.5


@dataclass(frozen=True)
class Ruling:
    """What the gate says, with every number it looked at: the pieces of a judgement, under its field names.

    Attributes:
        mode: ``recipes`` in identical folds, or finished ``artefacts`` on ground neither has seen.
        estimand: the question that the compared scores answer.
        outcome: see the table of :mod:`geoml_ops.domain.gate`.
        difference: challenger minus other in the metric, with its two-sided interval from blocks.
        margin: loss that is still "as good"; also the smallest gain worth telling.
        detectable: gain that this evidence would usually show, 2.5 standard errors.
        p_inferior: one-sided p of "it loses the margin or more"; None where nothing was tested.
        p_superior: one-sided p of "it is no better"; None where nothing was tested.
        classes: tests of the classes that have a margin.
        beside: tests that are shown and decide nothing.
        guards: what else was asked; those with a limit can block.
        spending: what the look cost; None without a ledger.
        blocks: the differences that the interval comes from, share of right answers whatever the metric.
        reason: of the rules, where the challenger is promoted as an equal; else empty.
        objections: sentences; what stands against promoting, or must be known when reading the outcome.
    """

    mode: Literal["recipes", "artefacts"]
    estimand: Estimand
    outcome: Outcome
    metric: str
    difference: Score
    margin: float
    detectable: float
    p_inferior: float | None = None
    p_superior: float | None = None
    classes: tuple[ClassTest, ...] = ()
    beside: tuple[BesideTest, ...] = ()
    guards: tuple[Guard, ...] = ()
    spending: Spending | None = None
    blocks: tuple[BlockDifference, ...] = ()
    reason: str = ""
    objections: tuple[str, ...] = ()


def rule(
    proof: FoldPlan | Audit | Apart,
    paired: Paired,
    rules: GateRules,
    *,
    against: str = NO_SKILL,
    known: Known | None = None,
    stake: Stake | None = None,
    estimand: Estimand = "a new region",
) -> Ruling:
    """Returns what the gate says about a challenger; the table stands at the top of the package.

    Args:
        proof: the audited plan that both recipes answered from, the audit of folds from elsewhere, or that the
            ground is new to both models.
        paired: their answers to the same samples.
        rules: metric, margins, levels and limits, fixed beforehand.
        against: name of the other in sentences; :data:`NO_SKILL` never earns in the ledger.
        known: what is known of the challenger beside its answers.
        stake: what this look may risk (:func:`geoml_ops.domain.gate.spend`); None for a single look at
            ``rules.alpha`` that no ledger keeps.
        estimand: of finished models and of folds from elsewhere; a plan says itself what it answers.

    Raises:
        Refused: the answers may not feed the gate; see :func:`admit`.
        BadInput: an unknown metric or class, or a limit to something that nobody measured.
    """
    admit(proof)
    if not 0 <= rules.margin < 1:
        raise BadInput(f"A margin of {rules.margin} is no loss of {rules.metric}.", "use a number from 0 to below 1")
    metric_of(np.eye(2), rules.metric)
    held, known = paired.tested, known or Known()
    counted = held.counted
    least = max(rules.least_blocks, LEAST_BLOCKS)
    classes = class_tests(counted, held.classes, rules)
    guards = guards_of(held, counted.blocks, rules, known)
    level = stake.level if stake else rules.alpha
    effect = _effect(counted, rules.metric)
    case = Case(effect, classes, guards, rules, level, against)
    tested = effect.n_blocks >= least
    outcome: Outcome = "INSUFFICIENT_EVIDENCE"
    objections: tuple[str, ...] = (too_few(effect.n_blocks, least),)
    if tested:
        outcome, objections = decide(case)
    better = outcome == "PROMOTE" and case.superior
    spending = None
    if stake:
        spending = settle(stake, tested=tested and level > 0, earned=better and against != NO_SKILL)
    return Ruling(
        mode="artefacts" if isinstance(proof, Apart) else "recipes",
        estimand=proof.estimand if isinstance(proof, FoldPlan) else estimand,
        outcome=outcome,
        metric=rules.metric,
        difference=effect.score(rules.confidence),
        margin=rules.margin,
        detectable=min(DETECTABLE_SE * effect.error, 2.0),
        p_inferior=case.p_inferior if tested else None,
        p_superior=case.p_superior if tested else None,
        classes=tuple(found.test for found in classes),
        beside=_beside(held, counted.blocks, rules.metric) if tested else (),
        guards=guards,
        spending=spending,
        blocks=differences_of(held, counted.blocks) if len(held) else (),
        reason=rules.reason if outcome == "PROMOTE" and not better else "",
        objections=objections + _cautions(paired, held, effect, spending),
    )


def _effect(counted: Counted, metric: str) -> Effect:
    """The difference; without two blocks its interval is -1 to 1."""
    n_blocks = counted.blocks.shape[1]
    if n_blocks > 1:
        return difference(counted, metric)
    whole = [float(metric_of(counts.sum(axis=0), metric)) for counts in counted.blocks] if n_blocks else [0.0, 0.0]
    return Effect(whole[0] - whole[1], 2.0, 1.0, n_blocks)


def _beside(held: Paired, counts: Counts, metric: str) -> tuple[BesideTest, ...]:
    found = (sign_flips(counts, metric), resampled(held, metric))
    return tuple(test for test in found if test)


def _cautions(paired: Paired, held: Paired, effect: Effect, spending: Spending | None) -> tuple[str, ...]:
    """What must be known when reading an outcome, whatever it is."""
    sizes = np.unique(held.block, return_counts=True)[1]
    n, weight = len(sizes), effective_blocks(sizes)
    said = [caution(n) if n else ""]
    if weight < n / 2:
        said.append(
            f"The {n} blocks are so unequal (the largest holds {sizes.max() / len(held):.0%} of the samples) that they "
            f"weigh as {weight:.1f}."
        )
    if effect.luck >= NOTABLE_LUCK:
        said.append(
            f"The difference varies between folds more than their blocks explain, as the luck of single trainings "
            f"does; its standard error is {effect.luck:.1f} times that from blocks alone."
        )
    if len(held) < len(paired):
        said.append(f"{len(paired) - len(held)} of {len(paired)} samples are tested in no fold and left out.")
    if spending and spending.fresh_sample_due:
        said.append(
            f"After look {spending.look} at this ground {spending.wealth_after:.5f} of alpha is left, too little to "
            "promote anything sensible: a fresh sample is due."
        )
    return tuple(sentence for sentence in said if sentence)
