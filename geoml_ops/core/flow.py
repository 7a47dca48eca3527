"""Every noun that one step hands to another, in the order in which the loop meets them.

::

    Scene, Labels -> Verdict -> Version -> FeatureTable -> FoldPlan -> Evaluation
                  -> Bundle -> Entry -> Judgement -> (service) -> Prediction -> Drift -> Decision -> Retrain

A noun is frozen, strict JSON. Its id follows from its content, so the same inputs give the same id
on every machine and in every retry; it carries the ids of its parents, so any noun can be walked
back to the scenes it came from. No noun holds a clock reading, a host or a process number.
"""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from typing import Any, ClassVar, Literal, Self

from pydantic import ConfigDict, Field, field_validator

from geoml_ops.core.bands import Radiometry, Resampling
from geoml_ops.core.grid import Bounds, Grid, Value

Estimand = Literal["this map", "a new region", "a new year", "a probability sample", "optimism baseline"]
Cause = Literal["none", "no reference", "undeclared offset", "covariate shift", "cannot tell"]
Action = Literal["none", "fix ingest", "collect labels", "retrain", "look"]
Outcome = Literal["PROMOTE", "HOLD", "INSUFFICIENT_EVIDENCE"]


def digest(content: Any) -> str:
    """Returns the SHA-256 (64 hex digits) of canonical JSON."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


class Noun(Value):
    """Base of all nouns."""

    kind: ClassVar[str]
    parent_fields: ClassVar[tuple[str, ...]] = ()
    version_of_schema: Literal[1] = Field(1, alias="schema")

    model_config = ConfigDict(**Value.model_config, populate_by_name=True)

    @property
    def id(self) -> str:
        """``<kind>-<16 hex digits of the content's SHA-256>``."""
        return f"{self.kind}-{digest(self.as_json())[:16]}"

    @property
    def parents(self) -> tuple[str, ...]:
        """Ids of the nouns this one was made from, without duplicates, in field order."""
        found: dict[str, None] = {}
        for name in self.parent_fields:
            value = getattr(self, name)
            for item in value if isinstance(value, tuple) else (value,):
                if item:
                    found[item] = None
        return tuple(found)

    def as_json(self) -> dict[str, Any]:
        """Returns the content as plain JSON values."""
        return self.model_dump(mode="json", by_alias=True)

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Self:
        """Reads what :meth:`as_json` wrote; anything unknown or of another type is an error."""
        return cls.model_validate_json(json.dumps(content))


class FileRef(Value):
    """A file known by its content: path relative to its home, SHA-256 and size in bytes."""

    path: str
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    size: int = Field(ge=0)


# --- ingest ----------------------------------------------------------------------------------


class BandSource(Value):
    """Where one band of a scene came from and how it reached the common grid."""

    name: str
    file: FileRef
    gsd_m: float
    resampling: Resampling


class Scene(Noun):
    """One acquisition on one grid. ``file`` is the harmonised raster, delivered numbers untouched."""

    kind: ClassVar[str] = "scene"
    name: str
    sensor: str
    acquired: datetime
    baseline: str
    declared: Radiometry
    grid: Grid
    bands: tuple[BandSource, ...]
    file: FileRef

    @field_validator("acquired")
    @classmethod
    def _aware(cls, value: datetime) -> datetime:
        if value.tzinfo is None:
            raise ValueError("acquisition times carry a time zone")
        return value.astimezone(UTC)


class Labels(Noun):
    """Polygons with class names, in the CRS they were delivered in."""

    kind: ClassVar[str] = "labels"
    name: str
    crs: str
    bounds: Bounds
    class_field: str
    n_polygons: dict[str, int]
    file: FileRef


class Check(Value):
    """A named condition: what was found, and a sentence for a person."""

    name: str
    passed: bool
    blocking: bool = True
    sentence: str


class Verdict(Noun):
    """What the checks said about one delivery. ``delivered`` is the digest of all its files."""

    kind: ClassVar[str] = "verdict"
    parent_fields: ClassVar[tuple[str, ...]] = ("subject",)
    delivery: str
    delivered: str = ""
    subject: str = ""
    accepted: bool
    checks: tuple[Check, ...]

    @property
    def reasons(self) -> tuple[str, ...]:
        """Sentences of the blocking checks that failed."""
        return tuple(c.sentence for c in self.checks if c.blocking and not c.passed)


class Version(Noun):
    """One state of all accepted scenes and labels: a commit of the store and the hash of its data."""

    kind: ClassVar[str] = "version"
    parent_fields: ClassVar[tuple[str, ...]] = ("scenes", "labels", "verdicts")
    rev: str = Field(pattern=r"^[0-9a-f]{40}$")
    data: str = Field(pattern=r"^[0-9a-f]{32}\.dir$")
    scenes: tuple[str, ...]
    labels: tuple[str, ...]
    verdicts: tuple[str, ...]


# --- train -----------------------------------------------------------------------------------


class FeatureTable(Noun):
    """Labelled samples and the features that the feature graph gave them (a Parquet file).

    ``left_out`` counts the polygons and pixels that gave no sample, by reason.
    """

    kind: ClassVar[str] = "table"
    parent_fields: ClassVar[tuple[str, ...]] = ("version",)
    version: str
    experiment: str
    feature_graph: str
    features: tuple[str, ...]
    n_samples: dict[str, int]
    left_out: dict[str, int] = Field(default_factory=dict)
    file: FileRef


class Audit(Value):
    """What the materialised folds show: the proof, or the disproof, that training and test are apart."""

    least_distance_m: float
    n_shared_polygons: int
    n_dropped: int
    n_test: tuple[int, ...]
    classes_missing: tuple[str, ...]
    passed: bool


class FoldPlan(Noun):
    """The recipe for folds: same plan, same folds."""

    kind: ClassVar[str] = "plan"
    parent_fields: ClassVar[tuple[str, ...]] = ("table",)
    table: str
    method: Literal["block", "random"]
    estimand: Estimand
    n_folds: int = Field(ge=2)
    n_blocks: int = Field(ge=1)
    block_m: float = Field(gt=0)
    buffer_m: float = Field(ge=0)
    halo_px: int = Field(ge=0)
    seed: int
    audit: Audit | None = None


class Score(Value):
    """A number with its interval (95 %, from blocks) and the number of blocks behind it."""

    value: float
    low: float
    high: float
    n_blocks: int


class Evaluation(Noun):
    """Pooled out-of-fold scores of one recipe, and the predictions they came from (a Parquet file)."""

    kind: ClassVar[str] = "evaluation"
    parent_fields: ClassVar[tuple[str, ...]] = ("table", "plan", "optimism_plan")
    table: str
    plan: str
    optimism_plan: str
    family: str
    params: dict[str, float | int | str]
    estimand: Estimand
    classes: tuple[str, ...]
    scores: dict[str, Score]
    optimism: dict[str, Score]
    per_class_f1: dict[str, float]
    per_fold: tuple[float, ...]
    confusion: tuple[tuple[int, ...], ...]
    predictions: FileRef


# --- publish ---------------------------------------------------------------------------------


class Parity(Value):
    """How far the graph and the fitted model differ, per kind of row."""

    rows: dict[str, int]
    worst: dict[str, float]
    n_label_mismatches: int
    tolerance: float
    passed: bool


class Bundle(Noun):
    """One ONNX graph with its names and digest: all that a service needs. ``file`` is the graph."""

    kind: ClassVar[str] = "bundle"
    parent_fields: ClassVar[tuple[str, ...]] = ("evaluation",)
    evaluation: str
    version: str
    sensor: str
    bands: tuple[str, ...]
    radiometry: Radiometry
    pixel_m: float
    features: tuple[str, ...]
    classes: tuple[str, ...]
    colours: tuple[str, ...]
    halo_px: int = Field(ge=0)
    parity: Parity
    file: FileRef
    reference: FileRef


class Entry(Noun):
    """A registered model: one bundle under one number of the registry."""

    kind: ClassVar[str] = "entry"
    parent_fields: ClassVar[tuple[str, ...]] = ("bundle",)
    bundle: str
    model: str
    number: int = Field(ge=1)


class Judgement(Noun):
    """What the gate said, with every number it looked at."""

    kind: ClassVar[str] = "judgement"
    parent_fields: ClassVar[tuple[str, ...]] = ("challenger", "champion")
    challenger: str
    champion: str = ""
    outcome: Outcome
    against: str
    metric: str
    difference: Score
    margin: float
    detectable: float
    objections: tuple[str, ...]


# --- serve -----------------------------------------------------------------------------------


class Prediction(Noun):
    """One answered request: what came in, what answered, what went out.

    Its id follows from what was asked, not from the answer: the map carries the id inside.
    """

    kind: ClassVar[str] = "prediction"
    parent_fields: ClassVar[tuple[str, ...]] = ("bundle", "scenes")
    bundle: str
    graph_sha256: str
    model: str
    number: int
    source: FileRef
    source_name: str
    scenes: tuple[str, ...]
    declared: Radiometry
    grid: Grid
    map: FileRef
    sketches: FileRef
    valid_share: float = Field(ge=0, le=1)
    class_shares: dict[str, float]
    mean_confidence: float | None
    tile_px: int = Field(128, ge=16)

    @property
    def id(self) -> str:
        """``prediction-<16 hex digits>`` from bundle, registry number, source and tile size."""
        return self.id_for(self.bundle, self.model, self.number, self.source.sha256, self.tile_px)

    @classmethod
    def id_for(cls, bundle: str, model: str, number: int, source_sha256: str, tile_px: int) -> str:
        """Returns the id that a prediction will have, before it is made."""
        return f"{cls.kind}-{digest([bundle, model, number, source_sha256, tile_px])[:16]}"


# --- watch -----------------------------------------------------------------------------------


class Statistic(Value):
    """One column compared with its reference: distance in reference standard deviations, and its parts."""

    column: str
    distance: float
    mean_shift: float
    sd_ratio: float | None
    drifted: bool


class Diagnosis(Value):
    """A named cause, what to do about it, and the sentence that says why."""

    cause: Cause
    action: Action
    sentence: str


class Drift(Noun):
    """Recent predictions compared with the ground the champion learned from."""

    kind: ClassVar[str] = "drift"
    parent_fields: ClassVar[tuple[str, ...]] = ("bundle", "predictions")
    bundle: str
    predictions: tuple[str, ...]
    unit: str
    n_reference: int
    n_current: int
    threshold: float
    calibrated: bool
    statistics: tuple[Statistic, ...]
    drifted_share: float
    diagnosis: Diagnosis


class Decision(Noun):
    """One evaluation of the triggers, fired or not, under one policy."""

    kind: ClassVar[str] = "decision"
    parent_fields: ClassVar[tuple[str, ...]] = ("drift", "version", "champion")
    drift: str = ""
    version: str = ""
    champion: str = ""
    policy: str
    action: Action
    fired: bool
    because: str


class Retrain(Noun):
    """The event that starts the next turn."""

    kind: ClassVar[str] = "retrain"
    parent_fields: ClassVar[tuple[str, ...]] = ("decision", "version")
    decision: str
    version: str
    because: str


NOUNS: dict[str, type[Noun]] = {
    noun.kind: noun
    for noun in (
        Scene,
        Labels,
        Verdict,
        Version,
        FeatureTable,
        FoldPlan,
        Evaluation,
        Bundle,
        Entry,
        Judgement,
        Prediction,
        Drift,
        Decision,
        Retrain,
    )
}


def kind_of(noun_id: str) -> type[Noun]:
    """Returns the class of the noun that an id names.

    Raises:
        ValueError: the id does not begin with a known kind.
    """
    kind, _, rest = noun_id.partition("-")
    if kind not in NOUNS or len(rest) != 16:
        raise ValueError(f"{noun_id[:60]!r} is not the id of a noun")
    return NOUNS[kind]
