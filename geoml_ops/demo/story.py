"""What the report tells, chapter by chapter. Every part may still be missing: a half-finished turn can be told too.

A driver fills it stepwise with :func:`dataclasses.replace`; pictures that follow from nouns alone (scores,
confusion, drift, timings) are drawn by the report and are not asked for here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

from geoml_ops.core.flow import (
    Bundle,
    Decision,
    Drift,
    Entry,
    Evaluation,
    FeatureTable,
    FoldPlan,
    Judgement,
    Labels,
    Prediction,
    Retrain,
    Scene,
    Verdict,
    Version,
)
from geoml_ops.core.noun import Noun


@dataclass(frozen=True)
class Picture:
    """A PNG, what it shows in words for those who cannot see it, and a caption."""

    png: bytes
    alt: str
    caption: str = ""


@dataclass(frozen=True)
class Ground:
    """What arrived: the scene, its labels, what the checks said, the version that came of it."""

    scene: Scene | None = None
    labels: tuple[Labels, ...] = ()
    verdicts: tuple[Verdict, ...] = ()
    version: Version | None = None
    pictures: tuple[Picture, ...] = ()


@dataclass(frozen=True)
class Training:
    """What was learned: samples, the honest and the random folds, one evaluation per family, the chosen one."""

    table: FeatureTable | None = None
    plan: FoldPlan | None = None
    optimism_plan: FoldPlan | None = None
    other_plans: tuple[FoldPlan, ...] = ()
    evaluations: tuple[Evaluation, ...] = ()
    chosen: Evaluation | None = None
    pictures: tuple[Picture, ...] = ()


@dataclass(frozen=True)
class Publication:
    """What became of a model: its bundle, its entry, the gate's judgement; ``serves`` says whether it answers now.

    ``verdict`` is the address of the judgement's own page, beside the report.
    """

    bundle: Bundle | None = None
    entry: Entry | None = None
    judgement: Judgement | None = None
    serves: bool | None = None
    verdict: str = ""
    pictures: tuple[Picture, ...] = ()


@dataclass(frozen=True)
class Mapped:
    """The map that the service drew, with pictures of classes and confidence."""

    prediction: Prediction | None = None
    pictures: tuple[Picture, ...] = ()


@dataclass(frozen=True)
class Situation:
    """One thing that monitoring met.

    Attributes:
        name: short, ``(b) The same scene, +1000 DN, undeclared``.
        told: what was done, in a sentence or two.
        drift: what was found, where predictions were compared.
        decision: what followed.
        verdicts: what the checks said, where something was delivered.
        facts: numbers worth showing: (number, what it is).
        pictures: anything to look at.
    """

    name: str
    told: str = ""
    drift: Drift | None = None
    decision: Decision | None = None
    verdicts: tuple[Verdict, ...] = ()
    facts: tuple[tuple[str, str], ...] = ()
    pictures: tuple[Picture, ...] = ()


@dataclass(frozen=True)
class SecondTurn:
    """The turn that monitoring started: why, what was learned, whether the champion changed."""

    decision: Decision | None = None
    retrain: Retrain | None = None
    version: Version | None = None
    training: Training = Training()
    publication: Publication = Publication()
    mapped: Mapped = Mapped()


@dataclass(frozen=True)
class Trial:
    """One model against another on the generated world, whose truth is known."""

    name: str
    judgement: Judgement
    truth: str = ""


@dataclass(frozen=True)
class Generated:
    """A generated world on which the swap itself is shown, because one small scene has too few blocks for a verdict."""

    told: str
    trials: tuple[Trial, ...] = ()
    pictures: tuple[Picture, ...] = ()


@dataclass(frozen=True)
class Lineage:
    """One pixel walked back to its scenes: what the map says there, then each noun with a sentence."""

    easting: float
    northing: float
    answer: str
    links: tuple[tuple[Noun, str], ...] = ()


@dataclass(frozen=True)
class Cost:
    """What the turn took.

    Attributes:
        seconds: per step, in the order they ran.
        sizes: (size, what has it), ready to read.
        peak_mb: highest memory of all processes together, MB.
        total_s: seconds from the first to the last step.
        connections: what tried to reach beyond loopback; empty is the promise. None while it is not known.
    """

    seconds: tuple[tuple[str, float], ...] = ()
    sizes: tuple[tuple[str, str], ...] = ()
    peak_mb: float | None = None
    total_s: float | None = None
    connections: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Story:
    """One turn of the loop and the second one that monitoring started."""

    title: str = "One turn of the loop"
    lead: str = ""
    finished: bool = False
    ground: Ground = Ground()
    training: Training = Training()
    publication: Publication = Publication()
    mapped: Mapped = Mapped()
    situations: tuple[Situation, ...] = ()
    second: SecondTurn = SecondTurn()
    generated: Generated | None = None
    lineage: Lineage | None = None
    cost: Cost = Cost()

    @property
    def is_calibrated(self) -> bool:
        """Whether any comparison of the story had a threshold that was calibrated on scenes in control."""
        return any(s.drift is not None and s.drift.calibrated for s in self.situations)

    def nouns(self) -> dict[str, Noun]:
        """Returns every noun of the story by its id, in the order in which they are told."""
        return {noun.id: noun for noun in _nouns(self)}

    def as_json(self) -> dict[str, Any]:
        """Returns the story as plain JSON: nouns once, by id; elsewhere their ids; pictures by their digest."""
        told = _plain(self)
        assert isinstance(told, dict)
        nouns = {noun_id: noun.as_json() for noun_id, noun in self.nouns().items()}
        return {"calibrated": self.is_calibrated, "story": told, "nouns": nouns}


def _nouns(value: object) -> Iterator[Noun]:
    if isinstance(value, Noun):
        yield value
    elif is_dataclass(value):
        for field in fields(value):
            yield from _nouns(getattr(value, field.name))
    elif isinstance(value, tuple):
        for item in value:
            yield from _nouns(item)


def _plain(value: object) -> Any:
    if isinstance(value, Noun):
        return value.id
    if isinstance(value, bytes):
        return {"sha256": hashlib.sha256(value).hexdigest(), "size": len(value)}
    if is_dataclass(value):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    return value
