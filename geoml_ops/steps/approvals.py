"""Approval: people let a promoted judgement pass, or do not; what they said is kept, and release asks for it.

What a judgement's approvals amount to does not depend on their order. A person's Reject stands, whatever
else was said: the way out is another judgement. Approve stands once as many different people said so as
the policy asks for. A Reject by nobody (no answer in time, or none that counts) closes the question only
until somebody decides after all.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from geoml_ops.adapters.configs import read_policy
from geoml_ops.adapters.mlflow import Tracking
from geoml_ops.adapters.nouns import Shelf
from geoml_ops.core.errors import BadInput, Refused
from geoml_ops.core.flow import Approval, Entry, Judgement
from geoml_ops.core.policy import Promotion
from geoml_ops.platform.locks import only_one
from geoml_ops.platform.log import logger
from geoml_ops.steps.places import Places
from geoml_ops.steps.verdicts import approvals_of, keep_page

APPROVE, REJECT = "Approve", "Reject"
RELEASED = "geoml.released"
_MOST_LETTERS, _LONGEST_NAME = 2000, 200
# MLflow refuses a tag beyond 5000 letters.
_MOST_TAGGED = 20
_log = logger("publish")


@dataclass(frozen=True)
class Answer:
    """What one person answered, or nobody.

    Attributes:
        option: the chosen one.
        by: id of the person; empty where nobody answered in time.
        reason: why.
    """

    option: str
    by: str = ""
    reason: str = ""


@dataclass(frozen=True)
class Standing:
    """What the approvals of a judgement amount to.

    Attributes:
        decision: Approve, Reject, or empty where it is open.
        sentence: the same for a person.
        by: who decided, or who has approved so far.
        records: ids of the approvals that it rests on.
        final: whether nothing that anybody says can change it any more.
    """

    decision: Literal["Approve", "Reject", ""]
    sentence: str
    by: tuple[str, ...] = ()
    records: tuple[str, ...] = ()
    final: bool = False


def standing(approvals: Iterable[Approval], promotion: Promotion) -> Standing:
    """Returns what approvals of one judgement amount to under a policy, whatever their order."""
    said = sorted(approvals, key=lambda a: a.id)
    no = [a for a in said if a.decision == REJECT and a.by]
    if no:
        why = "; ".join(f"{', '.join(a.by)} rejected it: {a.reason or 'no reason given'}" for a in no)
        by = _different(name for a in no for name in a.by)
        return Standing("Reject", why, by, tuple(a.id for a in no), final=True)
    yes = [a for a in said if a.decision == APPROVE and any(may(name, promotion) for name in a.by)]
    people = _different(name for a in yes for name in a.by if may(name, promotion))
    records = tuple(a.id for a in yes)
    if len(people) >= (2 if promotion.second_person else 1):
        return Standing("Approve", f"{', '.join(people)} approved it.", people, records)
    if people:
        return Standing("", f"{', '.join(people)} approved it; a second person has to agree.", people, records)
    lapsed = [a for a in said if a.decision == REJECT]
    if lapsed:
        return Standing("Reject", lapsed[-1].reason or "Nobody answered in time.", (), tuple(a.id for a in lapsed))
    return Standing("", "Nobody has decided yet.")


def standing_of(places: Places, judgement_id: str) -> Standing:
    """Returns what the approvals of a judgement amount to now, under this deployment's policy."""
    return standing(approvals_of(places, judgement_id), read_policy(places.policy).promotion)


def require(places: Places, judgement: Judgement) -> Standing:
    """Returns the standing under which a judgement may be released.

    Under ``auto`` nobody has to approve; a person's Reject is respected there too.

    Raises:
        Refused: it was rejected, or the policy asks for an approval that is not there.
    """
    promotion = read_policy(places.policy).promotion
    found = standing(approvals_of(places, judgement.id), promotion)
    if found.final and found.decision == REJECT:
        raise Refused(f"{judgement.id} may not be released: {found.sentence}", "judge another entry")
    if promotion.by == "approve" and found.decision != APPROVE:
        who = "two people" if promotion.second_person else "a person"
        raise Refused(f"The policy asks {who} to approve {judgement.id}. {found.sentence}", command_for(judgement.id))
    return found


def weigh(judgement_id: str, answers: Sequence[Answer], promotion: Promotion) -> Approval:
    """Returns the decision that answers to the questions amount to.

    Args:
        judgement_id: what was asked about.
        answers: of the first person, then of the second where one was asked.
        promotion: who may answer.
    """

    def no(reason: str, *by: str) -> Approval:
        return Approval(judgement=judgement_id, decision="Reject", by=by, reason=reason[:_MOST_LETTERS])

    agreed: list[Answer] = []
    for answer in answers:
        before = "".join(f"{a.by} had approved: {a.reason} " for a in agreed)
        if not answer.by:
            return no(f"{before}Nobody answered within {promotion.timeout_hours:g} hours.")
        if not may(answer.by, promotion):
            return no(f"{before}{answer.by} answered, but only {', '.join(promotion.respondents)} may.")
        if answer.option != APPROVE:
            return no(f"{before}{answer.reason}", answer.by)
        if not answer.reason:
            return no(f"{before}{answer.by} approved without giving a reason.")
        if any(same(answer.by, a.by) for a in agreed):
            return no(f"{before}{answer.by} answered both times; a second person has to agree.")
        agreed.append(answer)
    reason = agreed[0].reason if len(agreed) == 1 else " ".join(f"{a.by}: {a.reason}" for a in agreed)
    by = tuple(a.by for a in agreed)
    return Approval(judgement=judgement_id, decision="Approve", by=by, reason=reason[:_MOST_LETTERS])


def record(places: Places, judgement_id: str, answers: Sequence[Answer]) -> Approval:
    """Returns the kept decision that answers to the questions amount to; recording it again changes nothing.

    Raises:
        BadInput: nobody was asked.
        NotFound: there is no such judgement.
        Refused: it was rejected, or released, meanwhile.
        Unavailable: MLflow does not answer; try again.
    """
    if not answers:
        raise BadInput(f"Nobody was asked about {judgement_id}.")
    judgement = Shelf(places.nouns).get(Judgement, judgement_id)
    return _keep(places, judgement, weigh(judgement_id, answers, read_policy(places.policy).promotion))


def approve(places: Places, judgement_id: str, *, by: str, reason: str, reject: bool = False) -> Approval:
    """Returns the kept decision of one person about a judgement that the gate promoted.

    Saying the same again changes nothing. The name is taken as it is given: whoever may start this program
    is trusted to give the own one.

    Raises:
        BadInput: no name, no reason, or too long.
        NotFound: there is no such judgement.
        Refused: the gate did not promote it, this person may not answer, it was rejected before, or it was
            released and can no longer be rejected.
        Unavailable: MLflow does not answer; try again.
    """
    judgement, promotion = Shelf(places.nouns).get(Judgement, judgement_id), read_policy(places.policy).promotion
    name, why = " ".join(by.split()), reason.strip()
    if not (0 < len(name) <= _LONGEST_NAME and 0 < len(why) <= _MOST_LETTERS):
        raise BadInput(
            f"A decision has a name of 1 to {_LONGEST_NAME} letters and a reason of 1 to {_MOST_LETTERS}; "
            f"these have {len(name)} and {len(why)}.",
            command_for(judgement.id),
        )
    if judgement.outcome != "PROMOTE":
        raise Refused(f"The gate said {judgement.outcome} about {judgement.id}; there is nothing to approve.")
    if not may(name, promotion):
        raise Refused(f"{name} may not decide about {judgement.id}.", f"ask {', '.join(promotion.respondents)}")
    decision: Literal["Approve", "Reject"] = "Reject" if reject else "Approve"
    return _keep(places, judgement, Approval(judgement=judgement.id, decision=decision, by=(name,), reason=why))


def tags_of(found: Standing) -> dict[str, str]:
    """Returns what the registry says about the approval of a version; nothing where nobody ever decided."""
    if not found.records:
        return {}
    approved_by = ", ".join(found.by[:_MOST_TAGGED]) if found.decision == APPROVE else "nobody"
    return {
        "geoml.approval": " ".join(found.records[:_MOST_TAGGED]),
        "geoml.approval_decision": found.decision or "open",
        "geoml.approved_by": approved_by,
    }


def command_for(judgement_id: str) -> str:
    """Returns the command that approves a judgement by hand."""
    return f"geoml publish approve {judgement_id} --by NAME --reason TEXT"


def same(one: str, other: str) -> bool:
    """Returns whether two names are one person's: case, width and spaces do not make another one."""
    return _folded(one) == _folded(other)


def may(name: str, promotion: Promotion) -> bool:
    """Returns whether somebody is among those who may answer."""
    return not promotion.respondents or any(same(name, known) for known in promotion.respondents)


def _keep(places: Places, judgement: Judgement, approval: Approval) -> Approval:
    shelf, tracking = Shelf(places.nouns), Tracking(places.tracking_uri)
    entry, promotion = shelf.get(Entry, judgement.challenger), read_policy(places.policy).promotion
    # The lock of release: no Reject may slip in between its look at the approvals and its move.
    with only_one(places.workspace / "locks" / "registry.lock"):
        before = approvals_of(places, judgement.id)
        if approval not in before:
            found = standing(before, promotion)
            if found.final and approval.by:
                raise Refused(f"{judgement.id} was decided already: {found.sentence}", "judge another entry")
            released = tracking.tags_of(entry.model, entry.number).get(RELEASED) == judgement.id
            if released and approval.decision == REJECT:
                raise Refused(
                    f"{entry.model} {entry.number} was released by {judgement.id} already.",
                    "point the alias champion in MLflow at the number that shall serve",
                )
            shelf.put(approval)
        after = standing(approvals_of(places, judgement.id), promotion)
        tracking.set_tags(entry.model, entry.number, tags_of(after))
    keep_page(places, judgement)
    _log.info("decided", judgement=judgement.id, approval=approval.id, decision=approval.decision, by=approval.by)
    return approval


def _folded(name: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", name).casefold().split())


def _different(names: Iterable[str]) -> tuple[str, ...]:
    found: dict[str, str] = {}
    for name in names:
        found.setdefault(_folded(name), name)
    return tuple(found.values())
