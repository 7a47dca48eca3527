"""What came back from people: units of the design, their labels, who agreed, and what needs a second look."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from scipy import stats

from geoml_ops.core.errors import BadInput

CANNOT_TELL, NONE_OF_THESE = "cannot tell", "none of these"
LONGEST = 200
_YES, _NO = ("", "yes", "y", "true", "1", "1.0", "sure"), ("no", "n", "false", "0", "0.0", "unsure")
_LEAVE = "keep the column unit as it was exported; points of one's own make an ordinary delivery of labels"


@dataclass(frozen=True)
class Answer:
    """One person's answer about one unit.

    Attributes:
        unit: its name in the design.
        label: what is there; a class, ``cannot tell`` or ``none of these``.
        labeller: who says so.
        sure: whether that person was sure.
        note: what else they wrote.
        source: the file it came in.
    """

    unit: str
    label: str
    labeller: str
    sure: bool = True
    note: str = ""
    source: str = ""


@dataclass(frozen=True)
class Agreement:
    """How often two people said the same of one unit; by chance some of it, which no number here takes out.

    Attributes:
        n: pairs of answers about one unit by two people.
        same: of them with one label.
        low: of the 95 % interval of their share (Clopper and Pearson 1934); None without pairs.
        high: of the interval.
    """

    n: int
    same: int
    low: float | None
    high: float | None

    @property
    def sentence(self) -> str:
        """The numbers in words."""
        if not self.n:
            return "No unit was labelled by two people, so nothing is known of how far people agree."
        return (
            f"Two people labelled the same unit {self.n} times and agreed {self.same} times: {self.same / self.n:.0%} "
            f"({self.low:.0%} to {self.high:.0%}, 95 %)."
        )


@dataclass(frozen=True)
class Reviewed:
    """All answers about a design together.

    Attributes:
        labels: by unit, the label that stands, in the order of the design.
        conflicts: by unit, who said what, where people disagree and nobody settled it.
        missing: units without an answer.
        unclear: units of which somebody said that they cannot tell, and nobody could.
        unsure: units whose label nobody was sure of.
        labellers: who answered, with how many units.
        agreement: between people.
    """

    labels: dict[str, str]
    conflicts: dict[str, dict[str, str]]
    missing: tuple[str, ...]
    unclear: tuple[str, ...]
    unsure: tuple[str, ...]
    labellers: dict[str, int]
    agreement: Agreement

    @property
    def complete(self) -> bool:
        """Whether every unit has one label."""
        return not (self.conflicts or self.missing or self.unclear)


def plain(text: str, what: str) -> str:
    """Returns what a person wrote, without surrounding space.

    Raises:
        BadInput: it is no plain text, or longer than :data:`LONGEST`.
    """
    found = text.strip()
    if len(found) > LONGEST or not found.isprintable():
        raise BadInput(f"A {what} is no plain text of at most {LONGEST} letters: {found[:40]!r}.", "shorten it")
    return found


def is_sure(text: str) -> bool:
    """Returns what a cell of the column ``sure`` says; an empty one says yes.

    Raises:
        BadInput: it says neither.
    """
    word = text.strip().lower()
    if word not in _YES + _NO:
        raise BadInput(f"The column sure holds {word[:40]!r}.", "write yes or no")
    return word in _YES


def check_answers(answers: Sequence[Answer], units: Collection[str], legend: Sequence[str], name: str) -> None:
    """Lets answers through that are about units of the design, by somebody, in its words.

    Args:
        answers: of one file.
        units: names of the design's units.
        legend: class names.
        name: of the file, for sentences.

    Raises:
        BadInput: unknown units, labels outside the legend, nobody's labels, or one unit twice by one person.
    """
    known, words = set(units), {*legend, CANNOT_TELL, NONE_OF_THESE}
    strangers = [a.unit for a in answers if a.unit not in known]
    if strangers:
        raise BadInput(
            f"{len(strangers)} of {len(answers)} rows of {name} are no units of this design: {some(strangers)}.",
            _LEAVE,
        )
    strange = Counter(a.label for a in answers if a.label not in words)
    if strange:
        told = ", ".join(f"{label[:40]!r} ({n})" for label, n in strange.most_common(5))
        raise BadInput(
            f"{sum(strange.values())} labels of {name} are not in the legend: {told}.",
            f"use {', '.join([*legend[:20], NONE_OF_THESE, CANNOT_TELL])}",
        )
    nobody = [a.unit for a in answers if not a.labeller]
    if nobody:
        raise BadInput(
            f"{len(nobody)} labels of {name} name nobody who labelled: {some(nobody)}.",
            "fill the column labeller, or add --labeller NAME",
        )
    said: dict[tuple[str, str], set[str]] = {}
    for a in answers:
        said.setdefault((a.unit, a.labeller), set()).add(a.label)
    twice = [f"{unit} by {who}" for (unit, who), labels in said.items() if len(labels) > 1]
    if twice:
        raise BadInput(f"{name} labels {len(twice)} units twice, differently: {some(twice)}.", "keep one row for each")


def review(answers: Iterable[Answer], units: Sequence[str], *, settled: Mapping[str, str] | None = None) -> Reviewed:
    """Returns what all answers together say.

    A unit has a label where everybody who could tell says the same, or somebody settled it.

    Args:
        answers: of all files.
        units: of the design, in its order.
        settled: labels by unit that a second look decided on.

    Raises:
        BadInput: a unit is settled that the design does not have.
    """
    fixed, said = dict(settled or {}), {unit: dict[str, set[str]]() for unit in units}
    unknown = [unit for unit in fixed if unit not in said]
    if unknown:
        raise BadInput(f"{unknown[0][:40]!r} is no unit of this design.", "name a unit that is in conflict")
    doubt: dict[str, list[bool]] = {}
    for a in answers:
        said[a.unit].setdefault(a.labeller, set()).add(a.label)
        doubt.setdefault(a.unit, []).append(a.sure)
    labels: dict[str, str] = {}
    conflicts: dict[str, dict[str, str]] = {}
    missing: list[str] = []
    unclear: list[str] = []
    for unit, by in said.items():
        told = {label for ones in by.values() for label in ones} - {CANNOT_TELL}
        if unit in fixed and fixed[unit] != CANNOT_TELL:
            labels[unit] = fixed[unit]
        elif len(told) > 1 and unit not in fixed:
            conflicts[unit] = {who: " / ".join(sorted(ones)) for who, ones in sorted(by.items())}
        elif len(told) == 1 and unit not in fixed:
            labels[unit] = told.pop()
        else:
            (unclear if by else missing).append(unit)
    return Reviewed(
        labels=labels,
        conflicts=conflicts,
        missing=tuple(missing),
        unclear=tuple(unclear),
        unsure=tuple(unit for unit in labels if unit in doubt and not any(doubt[unit])),
        labellers=dict(sorted(Counter(who for by in said.values() for who in by).items())),
        agreement=agreement(said),
    )


def agreement(said: Mapping[str, Mapping[str, Collection[str]]]) -> Agreement:
    """Returns how often two people said the same of one unit, with an exact interval.

    Args:
        said: by unit, what each person said; one person's several words count as disagreeing with all others.
    """
    n = same = 0
    for by in said.values():
        people = [set(words) for _, words in sorted(by.items())]
        for place, one in enumerate(people):
            for other in people[place + 1 :]:
                n, same = n + 1, same + (one == other and len(one) == 1)
    if not n:
        return Agreement(0, 0, None, None)
    low = float(stats.beta.ppf(0.025, same, n - same + 1)) if same else 0.0
    high = float(stats.beta.ppf(0.975, same + 1, n - same)) if same < n else 1.0
    return Agreement(n, same, low, high)


def some(names: Sequence[str]) -> str:
    """Returns the first few of some names for a sentence; what is no letter stays out of the terminal."""
    plain_names = ("".join(c if c.isprintable() else "?" for c in name[:40]) or "without a name" for name in names[:5])
    return ", ".join(plain_names) + (" …" if len(names) > 5 else "")
