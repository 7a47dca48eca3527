"""From evidence to an outcome, and the sentences that say why."""

from __future__ import annotations

from dataclasses import dataclass

from geoml_ops.core.evidence import Guard, Outcome
from geoml_ops.core.experiment import GateRules
from geoml_ops.domain.gate.differences import ZERO, Effect
from geoml_ops.domain.gate.noninferiority import LEAST_BLOCKS, ClassEvidence
from geoml_ops.domain.gate.power import DETECTABLE_SE, blocks_needed


@dataclass(frozen=True)
class Case:
    """Everything that an outcome follows from.

    Attributes:
        effect: challenger minus other in the metric.
        classes: evidence about the classes that have a margin.
        guards: what else was asked.
        rules: margins and levels.
        level: one-sided level of the deciding test, from the ledger.
        against: name of the other in sentences.
    """

    effect: Effect
    classes: tuple[ClassEvidence, ...]
    guards: tuple[Guard, ...]
    rules: GateRules
    level: float
    against: str

    @property
    def p_superior(self) -> float:
        """One-sided p of "it is no better"."""
        return self.effect.p_above(0.0)

    @property
    def p_inferior(self) -> float:
        """One-sided p of "it loses the margin or more"."""
        return self.effect.p_above(-self.rules.margin)

    @property
    def superior(self) -> bool:
        """Whether the challenger is shown to be better, at the ledger's level."""
        return self.level > 0 and self.p_superior <= self.level

    @property
    def gained(self) -> bool:
        """Whether what the rules promote on is shown, at the ledger's level."""
        equal = self.rules.promote_on == "non_inferiority" and self.level > 0 and self.p_inferior <= self.level
        return self.superior or equal

    @property
    def said(self) -> str:
        """The difference with its interval and blocks."""
        shown = self.effect.score(self.rules.confidence)
        return (
            f"{self.rules.metric} minus {self.against} is {shown.value:+.3f} [{shown.low:+.3f}, {shown.high:+.3f}] "
            f"over {shown.n_blocks} blocks"
        )


def decide(case: Case) -> tuple[Outcome, tuple[str, ...]]:
    """Returns the outcome by the table of :mod:`geoml_ops.domain.gate`, with its objections."""
    undecided = tuple(_class_words(c) for c in case.classes if not c.test.passed)
    failed = tuple(guard.sentence for guard in case.guards if not guard.passed)
    outcome, why = _outcome(case, undecided, failed)
    return outcome, ((why,) if why else ()) + undecided + failed


def too_few(n_blocks: int, least: int) -> str:
    """Returns the sentence that refuses to judge."""
    noun = "block is" if n_blocks == 1 else "blocks are"
    return f"{n_blocks} {noun} too few to judge; the gate asks for {least}. Label more ground or use smaller blocks."


def _outcome(case: Case, undecided: tuple[str, ...], failed: tuple[str, ...]) -> tuple[Outcome, str]:
    effect, rules = case.effect, case.rules
    as_good = case.p_inferior <= rules.alpha
    if not as_good and effect.p_below(0.0) <= rules.alpha:
        return "REJECT", f"The challenger is worse, and a loss of {rules.margin:.3f} is not ruled out: {case.said}."
    if any(c.worse for c in case.classes):
        return "REJECT", f"The challenger loses more than its margin in a class that matters; {case.said}."
    if case.gained and undecided:
        what = "better" if case.superior else "as good"
        return (
            "INSUFFICIENT_EVIDENCE",
            f"It is {what} overall, but not shown to be as good in every class: {case.said}.",
        )
    if case.gained and failed:
        return "HOLD", f"The evidence would promote, but a guard does not let it pass: {case.said}."
    if case.gained:
        return "PROMOTE", "" if case.superior else _equal_words(case)
    return _not_gained(case, as_good)


def _not_gained(case: Case, as_good: bool) -> tuple[Outcome, str]:
    effect, rules = case.effect, case.rules
    detectable = DETECTABLE_SE * effect.error
    if effect.error < ZERO and abs(effect.value) < ZERO:
        return "HOLD", f"The two are right equally often in each of {effect.n_blocks} blocks: nothing is gained."
    if as_good:
        needed = _needed_words(case) if detectable > rules.margin else ""
        return "HOLD", (
            f"The challenger is as good and not shown to be better (p = {case.p_superior:.4f} at a level of "
            f"{case.level:.4f}): {case.said}; a gain of {detectable:.3f} would usually show.{needed}"
        )
    if effect.p_below(rules.margin) <= rules.alpha:
        return "HOLD", f"Any gain is smaller than the margin of {rules.margin:.3f}: {case.said}."
    return "INSUFFICIENT_EVIDENCE", (
        f"The evidence is too wide to tell: {case.said}; it would usually show only a difference of "
        f"{detectable:.3f} or more, the margin is {rules.margin:.3f}.{_needed_words(case)}"
    )


def _needed_words(case: Case) -> str:
    effect, gain = case.effect, case.rules.margin
    if gain <= 0 or case.level <= 0:
        return ""
    n = blocks_needed(gain, error=effect.error, df=effect.df, n_blocks=effect.n_blocks, level=case.level)
    many = f"about {n} blocks like these" if n else "more than a million blocks like these"
    return f" A gain of the margin would take {many} to show in 80 % of cases."


def _equal_words(case: Case) -> str:
    return (
        f"Promoted as an equal, not as better, because: {case.rules.reason.strip().rstrip('.')}. Equals promoted one "
        f"after another may each lose up to {case.rules.margin:.3f}: {case.said}."
    )


def _class_words(found: ClassEvidence) -> str:
    test = found.test
    if not found.enough:
        n = test.difference.n_blocks
        return f"{test.name} is true in {n} block{'s' * (n != 1)}; {LEAST_BLOCKS} are needed to say that it is as good."
    shown = f"{test.difference.value:+.3f} [{test.difference.low:+.3f}, {test.difference.high:+.3f}]"
    if found.worse:
        return f"The F1 of {test.name} loses more than its margin of {test.margin:.3f}: {shown}."
    return (
        f"The F1 of {test.name} differs by {shown}; a loss of {test.margin:.3f} is not ruled out "
        f"(p = {test.p:.4f} at a level of {test.level:.4f})."
    )
