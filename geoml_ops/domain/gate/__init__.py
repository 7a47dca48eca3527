"""The gate between challenger and champion: promote, hold, reject, or say that nobody can tell.

Two kinds of comparison share one rule. *Recipes*: the champion's recipe is refitted in the challenger's
own audited folds, and both answer the same samples. *Artefacts*: two finished models answer labels of
ground that neither has seen. Never is a stored score compared with a new one. The evidence is the
difference ``d`` (challenger minus other) with a standard error from blocks
(:mod:`~geoml_ops.domain.gate.differences`), tested one-sided: ``as good`` rejects "it loses the margin
or more", ``better`` rejects "it is no better", ``worse`` rejects "it is no worse". ``better`` is tested
at the ledger's level (:mod:`~geoml_ops.domain.gate.ledger`; ``alpha`` without one), everything else at
``alpha``. In this order:

====  ===================================================================  =====================
rule  holds when                                                           outcome
====  ===================================================================  =====================
0     the plan is random, unaudited or failed its audit; or a finished     refused
      model has seen the ground
1     fewer than ``least_blocks`` blocks, and never fewer than 10          INSUFFICIENT_EVIDENCE
2     worse, and not as good: a loss of the margin is not ruled out        REJECT
3     a class of ``classes`` is shown to lose more than its margin (Holm)  REJECT
4     better, but a class is not shown to be as good (Holm)                INSUFFICIENT_EVIDENCE
5     better, but a guard with a limit fails                               HOLD
6     better                                                               PROMOTE
7     as good: nothing more is shown                                       HOLD
8     a gain of the margin is ruled out                                    HOLD
9     otherwise: too wide to tell                                          INSUFFICIENT_EVIDENCE
====  ===================================================================  =====================

With ``promote_on: non_inferiority`` rules 4 to 6 hold for ``as good`` as well, then tested at the
ledger's level, and the judgement carries the stated reason. Such a promotion never earns in the ledger,
and its sentence warns that equals promoted one after another may each lose the margin. A challenger that
is worse, but certainly by less than the margin, is "as good": rule 7 holds it.

The first model is compared with the no-skill answer (the most frequent class of each train side)
under the same rule. A challenger that is no better is promoted in at most ``level`` of cases, as far
as blocks are independent and many enough for Student's t; losses concentrated in rare blocks that nobody
labelled are invisible to any rule.
"""

from geoml_ops.domain.gate.admission import Apart, admit, apart
from geoml_ops.domain.gate.guards import Known
from geoml_ops.domain.gate.ledger import Stake, fresh_share_of, ground_of, settle, spend
from geoml_ops.domain.gate.paired import Paired
from geoml_ops.domain.gate.power import blocks_needed, power, power_of, power_words
from geoml_ops.domain.gate.rule import NO_SKILL, Ruling, rule

__all__ = [
    "NO_SKILL",
    "Apart",
    "Known",
    "Paired",
    "Ruling",
    "Stake",
    "admit",
    "apart",
    "blocks_needed",
    "fresh_share_of",
    "ground_of",
    "power",
    "power_of",
    "power_words",
    "rule",
    "settle",
    "spend",
]
