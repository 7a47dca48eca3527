"""The page of a verdict: what was compared, what came out, and why, for a person who has to decide or to understand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from geoml_ops.core.evidence import Outcome
from geoml_ops.core.experiment import GateRules
from geoml_ops.core.flow import Approval, Bundle, Entry, Evaluation, FoldPlan, Judgement
from geoml_ops.domain.card.agreement import calibration, confusion, spatial_against_random
from geoml_ops.domain.card.drawing import against_margin
from geoml_ops.domain.card.parts import (
    ASKS,
    CREDIT,
    METRICS,
    bullets,
    facts,
    folds_words,
    page,
    paragraph,
    picture,
    remarks,
    section,
    table,
)
from geoml_ops.domain.card.weighing import beside, class_tests, evidence, guards, ledger
from geoml_ops.domain.scoring import caution

_TONES: dict[Outcome, str] = {
    "PROMOTE": "good",
    "HOLD": "still",
    "REJECT": "bad",
    "INSUFFICIENT_EVIDENCE": "still",
}


@dataclass(frozen=True)
class Case:
    """Everything that the page of a verdict tells about.

    Attributes:
        judgement: the verdict.
        entry: the challenger.
        bundle: of the challenger.
        evaluation: of the challenger.
        plan: the folds of its score.
        champion: the other; None for no skill.
        rules: what the gate asks for, fixed beforehand; None where they are not kept.
        earlier: looks before this one at the same ground, oldest first.
        approvals: what people decided about it since.
        scenes: names of the scenes that the challenger learned from.
    """

    judgement: Judgement
    entry: Entry
    bundle: Bundle
    evaluation: Evaluation
    plan: FoldPlan
    champion: Entry | None = None
    rules: GateRules | None = None
    earlier: tuple[Judgement, ...] = ()
    approvals: tuple[Approval, ...] = ()
    scenes: tuple[str, ...] = ()


def in_words(judgement: Judgement, challenger: str = "The challenger") -> str:
    """Returns a verdict as one or two sentences of plain text.

    Args:
        judgement: the verdict.
        challenger: what to call the challenger.
    """
    found = judgement.difference
    stays = "what serves now stays" if judgement.champion else "nothing is released"
    metric = METRICS.get(judgement.metric, judgement.metric.replace("_", " "))
    said = f"Against {judgement.against}: {metric} {_size(judgement)}, {_range(judgement)}, {found.n_blocks} blocks."
    if judgement.outcome == "PROMOTE" and judgement.reason:
        return f"{challenger} is as good, within the margin, and may serve because: {_stopped(judgement.reason)} {said}"
    words: dict[Outcome, str] = {
        "PROMOTE": f"{challenger} is better and may serve.",
        "HOLD": f"{challenger} is held back; {stays}.",
        "REJECT": f"{challenger} is rejected: it is worse, overall or in a class that matters; {stays}.",
        "INSUFFICIENT_EVIDENCE": f"The evidence does not suffice to promote {challenger}; {stays}.",
    }
    return f"{words[judgement.outcome]} {said}"


def verdict_page(case: Case, *, folds: bytes | None = None, differences: bytes | None = None, lost: str = "") -> str:
    """Returns the page as HTML without links to anything outside itself.

    Args:
        case: the verdict and what it is about.
        folds: map of the challenger's folds, PNG; None where it cannot be drawn any more.
        differences: map of the differences per block, PNG; None where the judgement keeps none.
        lost: why a picture is missing, a sentence; empty where none is.
    """
    j = case.judgement
    name = f"{case.entry.model} {case.entry.number}"
    return page(
        f"{name}: {j.outcome.replace('_', ' ')}",
        [
            f"<h1>{escape(name)}: the gate's verdict</h1>",
            paragraph(
                f"{case.evaluation.family.replace('_', ' ')} on {case.bundle.sensor}, against {j.against}", "quiet"
            ),
            _headline(j, name),
            _decided(case.approvals),
            section("Objections and cautions", bullets(j.objections) or paragraph("None."), _careful(j)),
            section("What was compared", _compared(case)),
            section("What came out", _drawn(j), _numbers(case)),
            section("What this evidence could show", evidence(j, case.rules.alpha if case.rules else None)),
            section("Class by class", class_tests(j.classes)),
            section("What else was asked", guards(j.guards)),
            section("Where on the ground", _maps(folds, differences, lost)),
            section("The challenger on its own", spatial_against_random(case.evaluation), _agreement(case.evaluation)),
            section("Tests beside", beside(j.beside)),
            section("What this look cost", ledger(j, case.earlier)),
            section("Where it comes from", _lineage(case)),
            paragraph(CREDIT, "quiet small"),
        ],
    )


def _headline(judgement: Judgement, name: str) -> str:
    word = escape(judgement.outcome.replace("_", " "))
    said = escape(in_words(judgement, name))
    return f'<div class="verdict {_TONES[judgement.outcome]}"><b>{word}</b><p>{said}</p></div>'


def _drawn(judgement: Judgement) -> str:
    unit = f"{METRICS.get(judgement.metric, judgement.metric)}: challenger minus the other"
    return against_margin(judgement.difference, judgement.margin, judgement.detectable, unit)


def _decided(approvals: Sequence[Approval]) -> str:
    if not approvals:
        return ""
    rows = [
        (
            f"<span class={'yes' if a.decision == 'Approve' else 'no'}>{escape(a.decision)}</span>",
            escape(", ".join(a.by) or "nobody"),
            escape(a.reason or "no reason given"),
            f"<code>{escape(a.id)}</code>",
        )
        for a in approvals
    ]
    return section("Who decided", table(("decision", "by", "why", "record"), rows))


def _compared(case: Case) -> str:
    j = case.judgement
    if j.mode == "artefacts":
        how = (
            "The two finished models answered the same samples on ground that neither has learned from"
            + (f" ({j.ground})" if j.ground else "")
            + "."
        )
    elif j.champion:
        how = (
            "The two recipes were fitted anew in identical folds and answered the same samples; each learned only from "
            "ground apart from what it was asked about."
        )
    else:
        how = (
            "There was no champion yet. In each fold the challenger is compared with the plainest answer there is: the "
            "most frequent class of the samples it could learn from."
        )
    folds = f" Folds: {folds_words(case.plan)}." if j.mode == "recipes" else ""
    return (
        paragraph(how)
        + paragraph(
            f"The answer holds for {j.estimand}: {ASKS[j.estimand]}.{folds} Evidence is counted "
            f"in blocks of ground, of which there are {j.difference.n_blocks}, never in pixels."
        )
        + (remarks(case.plan) if j.mode == "recipes" else "")
    )


def _numbers(case: Case) -> str:
    j, rules = case.judgement, case.rules
    level = f"{rules.confidence:.0%} " if rules else ""
    cards = [
        (f"{j.difference.value:+.3f}", f"{METRICS.get(j.metric, j.metric)}, challenger minus the other"),
        (
            f"{j.difference.low:+.3f} to {j.difference.high:+.3f}",
            f"{level}interval, from {j.difference.n_blocks} blocks",
        ),
        (f"{j.margin:.3f}", "margin: the loss that is still as good, fixed beforehand"),
    ]
    if j.p_inferior is not None:
        cards.append((f"{j.p_inferior:.4f}", "p that it is worse by more than the margin (small: as good)"))
    if j.p_superior is not None:
        cards.append((f"{j.p_superior:.4f}", "p that it is not better at all (small: better)"))
    asked = ""
    if rules is not None and j.p_superior is not None:
        goal = "as good" if rules.promote_on == "non_inferiority" else "better"
        asked = (
            f"Fixed before anybody saw a score: the challenger has to be {goal} at a one-sided error rate of "
            f"{j.spending.level if j.spending else rules.alpha:.4f}, on at least {rules.least_blocks} blocks."
        )
    reason = f"Why an equal model should replace the other: {j.reason}" if j.reason else ""
    return facts(cards) + "".join(paragraph(text) for text in (asked, reason) if text)


def _careful(judgement: Judgement) -> str:
    said = caution(judgement.difference.n_blocks)
    # The gate says it among its objections as well.
    return paragraph(said, "note") if said and said not in judgement.objections else ""


def _maps(folds: bytes | None, differences: bytes | None, lost: str) -> str:
    drawn = [
        picture(png, alt, caption)
        for png, alt, caption in (
            (
                differences,
                "Map of the difference per block",
                "Where the challenger gains (blue) and loses (orange) against the other, block by block. Blocks with "
                "few samples scatter most.",
            ),
            (folds, "Map of the folds", "The challenger's samples, each in the colour of the fold that tests it."),
        )
        if png
    ]
    missing = paragraph(lost, "quiet") if lost else ""
    return (f"<div class=pair>{''.join(drawn)}</div>" if drawn else "") + missing


def _agreement(evaluation: Evaluation) -> str:
    sure = calibration(evaluation)
    return (f"<h3>Is it as sure as it should be</h3>{sure}" if sure else "") + (
        f"<h3>Where it confuses classes</h3>{confusion(evaluation)}"
    )


def _lineage(case: Case) -> str:
    j, champion = case.judgement, case.champion
    rows = [
        ("judgement", j.id),
        ("look before this", j.previous),
        ("challenger", j.challenger),
        ("bundle", case.bundle.id),
        ("graph SHA-256", case.bundle.file.sha256),
        ("evaluation", case.evaluation.id),
        ("fold plan", case.plan.id),
        ("feature table", case.plan.table),
        ("data version", case.bundle.version),
        ("scenes", ", ".join(case.scenes)),
        ("champion", j.champion),
        ("its bundle", champion.bundle if champion else ""),
        ("ground", j.ground),
    ]
    return table(("what", "id"), [(what, f"<code>{escape(said)}</code>") for what, said in rows if said])


def _stopped(sentence: str) -> str:
    return sentence if sentence.rstrip().endswith((".", "!", "?")) else f"{sentence.rstrip()}."


def _size(judgement: Judgement) -> str:
    gap = judgement.difference.value
    if not gap:
        return "the same"
    way = "higher" if gap > 0 else "lower"
    size = f"{100 * abs(gap):.1f} percentage points" if _in_points(judgement) else f"{abs(gap):.3f}"
    return f"{size} {way}"


def _range(judgement: Judgement) -> str:
    low, high = judgement.difference.low, judgement.difference.high
    if _in_points(judgement):
        return f"interval {100 * low:+.1f} to {100 * high:+.1f}"
    return f"interval {low:+.3f} to {high:+.3f}"


def _in_points(judgement: Judgement) -> bool:
    return judgement.metric.endswith("accuracy")
