"""What a person is asked before a promoted model becomes the champion, in words that can be answered."""

from __future__ import annotations

import re
from dataclasses import dataclass

from geoml_ops.adapters.configs import read_policy
from geoml_ops.adapters.nouns import Shelf
from geoml_ops.core.flow import Entry, Judgement
from geoml_ops.core.policy import Promotion
from geoml_ops.domain.card import in_words
from geoml_ops.steps.approvals import APPROVE, REJECT, Answer, command_for, same, standing, weigh
from geoml_ops.steps.places import Places
from geoml_ops.steps.verdicts import approvals_of

_LONGEST_HOURS = 24 * 366.0
_MARKS = re.compile(r"([\\`*_{}\[\]<>()#+|~!])")


@dataclass(frozen=True)
class Question:
    """What a person is asked.

    Attributes:
        subject: one line.
        body: Markdown.
        respondents: ids of those who may answer; empty for everyone.
        hours: after which nobody's answer counts as Reject.
    """

    subject: str
    body: str
    respondents: tuple[str, ...]
    hours: float


def question(places: Places, judgement_id: str, *, first: Answer | None = None, page: str = "") -> Question | None:
    """Returns what to ask a person about a judgement; None where nobody has to be asked.

    Nobody has to be where the policy promotes by itself, the gate did not promote, or it is decided already.

    Args:
        places: where things are.
        judgement_id: what is to be decided.
        first: what the first person answered, where a second one is asked.
        page: address of the verdict's page; empty for none.

    Raises:
        NotFound: there is no such judgement.
    """
    shelf, promotion = Shelf(places.nouns), read_policy(places.policy).promotion
    judgement = shelf.get(Judgement, judgement_id)
    if promotion.by != "approve" or judgement.outcome != "PROMOTE":
        return None
    said = approvals_of(places, judgement_id)
    if first is not None:
        answered = weigh(judgement_id, [first], promotion)
        if answered.decision == REJECT:
            return None
        said = (*said, answered)
    now = standing(said, promotion)
    if now.decision == APPROVE or now.final:
        return None
    entry = shelf.get(Entry, judgement.challenger)
    name = f"{entry.model} {entry.number}"
    return Question(
        subject=f"Do you agree that {name} becomes the champion?" if first else f"May {name} become the champion?",
        body=_body(judgement, name, promotion, first, page),
        respondents=tuple(p for p in promotion.respondents if first is None or not same(p, first.by)),
        hours=min(promotion.timeout_hours, _LONGEST_HOURS),
    )


def _body(judgement: Judgement, name: str, promotion: Promotion, first: Answer | None, page: str) -> str:
    objections = "\n".join(f"* {_plain(sentence)}" for sentence in judgement.objections)
    parts = [
        f"**The gate says {judgement.outcome}.** {_plain(in_words(judgement, name))}",
        f"Objections and cautions:\n\n{objections}" if objections else "There are no objections.",
        f"Please read [the page of the verdict]({page}) first." if page else "",
        f"{_plain(first.by)} approved: {_plain(first.reason)} Another person has to agree." if first else "",
        "Give a reason: it is kept with your name, and Approve without one does not count. Without an answer within "
        f"{promotion.timeout_hours:g} hours the champion stays.",
        f"The same on the command line: `{command_for(judgement.id)}`",
    ]
    return "\n\n".join(part for part in parts if part)


def _plain(text: str) -> str:
    """Returns text that Markdown shows as it is, on one line."""
    return _MARKS.sub(r"\\\1", " ".join(text.split()))
