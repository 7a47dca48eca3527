"""Every noun that one step hands to another, in the order in which the loop meets them.

::

    Scene, Labels, Ancillary -> Verdict -> Version -> Covariate -> FeatureTable -> FoldPlan
                  -> Selection, Study -> Evaluation -> Explanation
                  -> Bundle -> Entry -> Judgement -> (service) -> Prediction -> Drift -> Decision -> Retrain

A noun is frozen, strict JSON. Its id follows from its content, so the same inputs give the same id
on every machine and in every retry; it carries the ids of its parents, so any noun can be walked
back to the scenes it came from. No noun holds a clock reading, a host or a process number.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, ClassVar, Literal

from pydantic import AwareDatetime, Field, JsonValue, field_validator

from geoml_ops.core.bands import Band, Contract, Radiometry, Resampling, contract_for
from geoml_ops.core.errors import NotFound
from geoml_ops.core.evidence import (
    Applicability,
    BesideTest,
    Bin,
    BlockDifference,
    ClassArea,
    ClassTest,
    Conformal,
    Guard,
    LabelPlan,
    Outcome,
    Panel,
    Score,
    Spending,
)
from geoml_ops.core.experiment import CovariateRules, SelectionRules, TuningRules
from geoml_ops.core.folding import NO_BUFFER, Audit, BlockSize, Estimand, FoldRules, Matching, Method
from geoml_ops.core.grid import Bounds, Grid, Value
from geoml_ops.core.noun import FileRef, Noun, digest
from geoml_ops.core.watched import Action, ControlChart, Diagnosis, DriftMap, Estimate, Statistic

# --- ingest ----------------------------------------------------------------------------------


class BandSource(Value):
    """Where one band of a scene came from and how it reached the common grid.

    ``declared`` is the band's own radiometry where it is not the scene's (a thermal band).
    """

    name: str
    file: FileRef
    gsd_m: float
    resampling: Resampling
    declared: Radiometry | None = None


class Scene(Noun):
    """One acquisition on one grid. ``file`` is the harmonised raster, delivered numbers untouched."""

    kind: ClassVar[str] = "scene"
    schema_now: ClassVar[int] = 2
    version_of_schema: int = Field(2, alias="schema")
    name: str
    sensor: str
    acquired: datetime
    baseline: str
    declared: Radiometry
    grid: Grid
    bands: tuple[BandSource, ...]
    file: FileRef

    @property
    def own(self) -> dict[str, Radiometry]:
        """By band, the radiometry that is not ``declared``; :func:`~geoml_ops.core.bands.to_contract` needs both."""
        return {source.name: source.declared for source in self.bands if source.declared is not None}

    @field_validator("acquired")
    @classmethod
    def _aware(cls, value: datetime) -> datetime:
        if value.tzinfo is None:
            raise ValueError("acquisition times carry a time zone")
        return value.astimezone(UTC)


class LegendEntry(Value):
    """What one code of a delivery of labels stands for; ``colour`` is empty where none was named."""

    code: int
    name: str
    colour: str = ""


class Labels(Noun):
    """Polygons, points or a raster with class names, in the CRS they were delivered in.

    ``n_polygons``, ``n_points`` and ``n_pixels`` count them by class name. ``file`` is a GeoPackage whose
    ``class_field`` holds names and whose ``fields`` hold numbers, or a raster of the codes of ``legend``, of which
    ``nodata`` stands for no label. Labels for ``judging`` are never learned from. ``design`` is what they were asked
    by, ``source`` says who labelled and how.
    """

    kind: ClassVar[str] = "labels"
    schema_now: ClassVar[int] = 3
    version_of_schema: int = Field(3, alias="schema")
    parent_fields: ClassVar[tuple[str, ...]] = ("design",)
    name: str
    crs: str
    bounds: Bounds
    class_field: str
    n_polygons: dict[str, int]
    n_points: dict[str, int] = Field(default_factory=dict)
    n_pixels: dict[str, int] = Field(default_factory=dict)
    fields: tuple[str, ...] = ()
    legend: tuple[LegendEntry, ...] = ()
    nodata: int | None = None
    form: Literal["vector", "raster"] = "vector"
    use: Literal["learning", "judging"] = "learning"
    design: str = ""
    source: str = ""
    file: FileRef

    @property
    def counts(self) -> dict[str, dict[str, int]]:
        """How many of each class name there are, by what they are: polygons, points, pixels."""
        found = {"polygons": self.n_polygons, "points": self.n_points, "pixels": self.n_pixels}
        return {what: counts for what, counts in found.items() if counts}


class Ancillary(Noun):
    """One delivery of ground that is neither imagery nor labels: an elevation model, roads, a river network.

    ``bands`` names what a raster holds, ``fields`` what a vector file's records say; the other is empty.
    """

    kind: ClassVar[str] = "ancillary"
    name: str
    form: Literal["raster", "vector"]
    crs: str
    bounds: Bounds
    unit: str = ""
    bands: tuple[str, ...] = ()
    fields: tuple[str, ...] = ()
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
    schema_now: ClassVar[int] = 2
    version_of_schema: int = Field(2, alias="schema")
    parent_fields: ClassVar[tuple[str, ...]] = ("scenes", "labels", "ancillaries", "verdicts")
    rev: str = Field(pattern=r"^[0-9a-f]{40}$")
    data: str = Field(pattern=r"^[0-9a-f]{32}\.dir$")
    scenes: tuple[str, ...]
    labels: tuple[str, ...]
    ancillaries: tuple[str, ...] = ()
    verdicts: tuple[str, ...]


# --- train -----------------------------------------------------------------------------------


class Covariate(Noun):
    """Named bands on the grid of a scene that no graph can make, made once (a float32 raster, NaN for nothing).

    ``scenes`` begins with the one whose grid it is on; a season is made of several. ``covariates`` are those of the
    same scene whose bands it was made of. The bands' names are ``<name>_<product>``; a model reads them like those
    of a sensor.
    """

    kind: ClassVar[str] = "covariate"
    schema_now: ClassVar[int] = 2
    version_of_schema: int = Field(2, alias="schema")
    parent_fields: ClassVar[tuple[str, ...]] = ("scenes", "ancillaries", "covariates")
    name: str
    rules: CovariateRules
    scenes: tuple[str, ...] = Field(min_length=1)
    ancillaries: tuple[str, ...] = ()
    covariates: tuple[str, ...] = ()
    grid: Grid
    bands: tuple[Band, ...]
    file: FileRef


class FeatureTable(Noun):
    """Labelled samples and the features that the feature graph gave them (a Parquet file).

    ``left_out`` counts the polygons and pixels that gave no sample, by reason; ``drawn_from`` by class how many
    samples came from polygons, points and rasters. ``ground`` is a second
    Parquet file: pixels spread over everything that was observed, with their features, no labels. It is
    what "this map" means to folds and to applicability; None in tables of before it was kept. Only tables for
    ``judging`` hold samples of labels that are kept from learning.
    """

    kind: ClassVar[str] = "table"
    schema_now: ClassVar[int] = 4
    version_of_schema: int = Field(4, alias="schema")
    parent_fields: ClassVar[tuple[str, ...]] = ("version", "covariates")
    version: str
    experiment: str
    feature_graph: str
    features: tuple[str, ...]
    covariates: tuple[str, ...] = ()
    n_samples: dict[str, int]
    left_out: dict[str, int] = Field(default_factory=dict)
    drawn_from: dict[str, dict[str, int]] = Field(default_factory=dict)
    use: Literal["learning", "judging"] = "learning"
    file: FileRef
    ground: FileRef | None = None


class FoldPlan(Noun):
    """The recipe for folds: same plan, same table, same folds.

    ``rules`` are resolved: ``block_m`` is a number, and ``block_size`` says where it came from if it was
    ``auto``. ``repeat`` counts plans of the same rules; each but 0 has a random origin and rotation.
    """

    kind: ClassVar[str] = "plan"
    schema_now: ClassVar[int] = 2
    version_of_schema: int = Field(2, alias="schema")
    parent_fields: ClassVar[tuple[str, ...]] = ("table",)
    table: str
    rules: FoldRules
    repeat: int = Field(0, ge=0)
    estimand: Estimand
    n_folds: int = Field(ge=2)
    n_blocks: int = Field(ge=1)
    halo_px: int = Field(ge=0)
    block_size: BlockSize | None = None
    matching: Matching | None = None
    audit: Audit | None = None

    @property
    def method(self) -> Method:
        """How the test sets are cut."""
        return self.rules.method

    @property
    def block_m(self) -> float:
        """Edge of a block in metres.

        Raises:
            ValueError: the rules still say ``auto``; a plan is made of resolved rules.
        """
        if self.rules.block_m == "auto":
            raise ValueError("the plan's block_m was never resolved")
        return self.rules.block_m

    @property
    def buffer_m(self) -> float:
        """Ground left empty around what is tested, without the halo; 0 for methods that leave none."""
        return 0.0 if self.rules.method in NO_BUFFER else self.rules.buffer_m

    @property
    def seed(self) -> int:
        """Of everything random in the folds; repeats of one seed are not those of the next."""
        return self.rules.seed + 1_000_003 * self.repeat

    @classmethod
    def upgraded(cls, content: dict[str, Any]) -> dict[str, Any]:
        """Schema 1 had the rules of block folds beside the plan's other fields."""
        names = ("method", "n_folds", "block_m", "buffer_m", "seed")
        rules = {name: content[name] for name in names}
        kept = {name: value for name, value in content.items() if name not in names[:1] + names[2:]}
        return {**kept, "rules": rules}


class Selection(Noun):
    """Which features a rule keeps: on all samples, and in how many folds it would have kept each.

    ``measured`` holds the number the rule went by, ``because`` a sentence for each feature that was left out.
    """

    kind: ClassVar[str] = "selection"
    parent_fields: ClassVar[tuple[str, ...]] = ("table", "plan")
    table: str
    plan: str
    family: str
    rules: SelectionRules
    kept: tuple[str, ...]
    kept_share: dict[str, float]
    measured: dict[str, float]
    because: dict[str, str]


class Study(Noun):
    """A finished search for parameters of one family over spatial folds: the best, and what it was best of.

    ``value`` is the best trial's score in the metric over the folds it was searched with. It flatters; what
    counts is the score of the evaluation that names this study, in which the search was run again inside
    every fold.
    """

    kind: ClassVar[str] = "study"
    parent_fields: ClassVar[tuple[str, ...]] = ("table", "plan")
    table: str
    plan: str
    family: str
    rules: TuningRules
    metric: str
    n_trials: int
    n_pruned: int
    best: dict[str, JsonValue]
    value: float
    default_value: float | None = None
    trials: FileRef


class Evaluation(Noun):
    """Pooled out-of-fold scores of one recipe, and the predictions they came from (a Parquet file).

    ``scores`` answer ``estimand``; ``optimism`` and ``others`` answer what their own plans ask.
    ``per_class`` holds, per class and measure (f1, users_accuracy, producers_accuracy, iou), its score.
    ``selected_from`` names the evaluations that this recipe was the best of: then the predictions come
    from nested folds, in which the choice itself was made without the tested ground.
    """

    kind: ClassVar[str] = "evaluation"
    schema_now: ClassVar[int] = 3
    version_of_schema: int = Field(3, alias="schema")
    parent_fields: ClassVar[tuple[str, ...]] = ("table", "plan", "optimism_plan", "selected_from", "study")
    table: str
    plan: str
    optimism_plan: str
    family: str
    params: dict[str, JsonValue]
    study: str = ""
    estimand: Estimand
    classes: tuple[str, ...]
    scores: dict[str, Score]
    optimism: dict[str, Score]
    per_class_f1: dict[str, float]
    per_class: dict[str, dict[str, Score]] = Field(default_factory=dict)
    per_fold: tuple[float, ...]
    confusion: tuple[tuple[int, ...], ...]
    reliability: tuple[Bin, ...] = ()
    importance: dict[str, float] = Field(default_factory=dict)
    importance_per_fold: dict[str, tuple[float, ...]] = Field(default_factory=dict)
    others: tuple[Panel, ...] = ()
    selected_from: tuple[str, ...] = ()
    predictions: FileRef


class Explanation(Noun):
    """What a model's answers to a sample of rows are made of (SHAP values, a Parquet file).

    ``importance`` is the mean absolute value per class and feature, ``base`` the mean answer per class,
    ``additivity_gap`` by how much base and values miss the answer at worst. ``compared_with`` names the
    explanation of the champion on the same rows, ``shift`` per feature the change of its share of importance.
    """

    kind: ClassVar[str] = "explanation"
    parent_fields: ClassVar[tuple[str, ...]] = ("evaluation", "compared_with")
    evaluation: str
    method: str
    n_rows: int
    classes: tuple[str, ...]
    importance: dict[str, dict[str, float]]
    base: dict[str, float]
    additivity_gap: float
    compared_with: str = ""
    shift: dict[str, float] = Field(default_factory=dict)
    values: FileRef


# --- publish ---------------------------------------------------------------------------------


class Parity(Value):
    """How far the graph and the fitted model differ, per kind of row."""

    rows: dict[str, int]
    worst: dict[str, float]
    n_label_mismatches: int
    tolerance: float
    passed: bool


def map_legend(
    classes: Sequence[str], colours: Sequence[str], values: Sequence[int | None] = ()
) -> list[dict[str, JsonValue]]:
    """Returns one entry per class: its ``code`` in maps, its ``value`` elsewhere or None, ``name`` and ``colour``."""
    told = zip(classes, colours, values or (None,) * len(classes), strict=True)
    return [
        {"code": code, "value": value, "name": name, "colour": colour}
        for code, (name, colour, value) in enumerate(told)
    ]


class Bundle(Noun):
    """One ONNX graph with its names and digest: all that a service needs. ``file`` is the graph.

    ``values`` holds per class its number in the legend of whoever ordered the map, None where it has none; maps hold
    codes, which are positions in ``classes``. ``overlap_px`` is 0 where a pixel's answer depends on what lies within
    ``halo_px`` alone; otherwise neighbouring tiles overlap by as much and their probabilities are blended. ``golden``
    holds small inputs with the answers that a machine has to reproduce before the bundle may serve on it; bundles of
    before they were kept have none.
    """

    kind: ClassVar[str] = "bundle"
    schema_now: ClassVar[int] = 4
    version_of_schema: int = Field(4, alias="schema")
    parent_fields: ClassVar[tuple[str, ...]] = ("evaluation",)
    evaluation: str
    version: str
    contract: Contract
    covariates: dict[str, CovariateRules] = Field(default_factory=dict)
    features: tuple[str, ...]
    classes: tuple[str, ...]
    colours: tuple[str, ...]
    values: tuple[int | None, ...] = ()
    halo_px: int = Field(ge=0)
    overlap_px: int = Field(0, ge=0)
    applicability: Applicability | None = None
    conformal: Conformal | None = None
    parity: Parity
    file: FileRef
    reference: FileRef
    golden: FileRef | None = None

    @property
    def legend(self) -> list[dict[str, JsonValue]]:
        """As :func:`map_legend`."""
        return map_legend(self.classes, self.colours, self.values)

    @property
    def sensor(self) -> str:
        """Name of the contract's sensor."""
        return self.contract.sensor

    @property
    def bands(self) -> tuple[str, ...]:
        """Names of the bands that the graph reads, in its order."""
        return self.contract.names

    @property
    def radiometry(self) -> Radiometry:
        """The one that scenes are brought to."""
        return self.contract.radiometry

    @property
    def pixel_m(self) -> float:
        """Edge of a pixel in metres."""
        return self.contract.pixel_m

    @classmethod
    def upgraded(cls, content: dict[str, Any]) -> dict[str, Any]:
        """Until schema 3 a bundle named its sensor, and the contract was that of the program that read it."""
        if "contract" in content:
            return content
        contract = contract_for(content["sensor"]).subset(content["bands"])
        own = {"radiometry": Radiometry.model_validate(content["radiometry"]), "pixel_m": float(content["pixel_m"])}
        kept = {name: content[name] for name in content if name not in ("sensor", "bands", "radiometry", "pixel_m")}
        return {**kept, "contract": contract.model_copy(update=own).model_dump(mode="json")}


class Entry(Noun):
    """A registered model: one bundle under one number of the registry."""

    kind: ClassVar[str] = "entry"
    parent_fields: ClassVar[tuple[str, ...]] = ("bundle",)
    bundle: str
    model: str
    number: int = Field(ge=1)


class Judgement(Noun):
    """What the gate said, with every number it looked at.

    ``mode`` says what was compared: two recipes in identical folds, or two finished models on ground
    (``ground``, a feature table) that neither has seen. ``previous`` is the look before this one at the same
    ground: the ledger is this chain.
    """

    kind: ClassVar[str] = "judgement"
    schema_now: ClassVar[int] = 2
    version_of_schema: int = Field(2, alias="schema")
    parent_fields: ClassVar[tuple[str, ...]] = ("challenger", "champion", "ground", "previous")
    challenger: str
    champion: str = ""
    ground: str = ""
    previous: str = ""
    mode: Literal["recipes", "artefacts"] = "recipes"
    estimand: Estimand = "a new region"
    outcome: Outcome
    against: str
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
    objections: tuple[str, ...]


class Approval(Noun):
    """Who let a promoted judgement pass, or did not, and why. ``by`` is empty where nobody entitled decided."""

    kind: ClassVar[str] = "approval"
    parent_fields: ClassVar[tuple[str, ...]] = ("judgement",)
    judgement: str
    decision: Literal["Approve", "Reject"]
    by: tuple[str, ...]
    reason: str = ""


class Design(Noun):
    """A probability sample of a map, recorded before anybody labelled it (a CSV file of points).

    Attributes:
        map: the classified raster it was drawn from.
        prediction: the prediction that made that map, where it is one of ours.
        strata: area of each stratum, in ``area_unit``.
        n: sample units drawn per stratum, simple random without replacement.
        planned_se: standard error of overall accuracy that the size was planned for; None where sizes were given.
        points: stratum, inclusion probability and place of each unit, and an empty column for what is there.
        drift: what made somebody ask for labels, where something did.
        asked: strata other than map classes, and what each unit is for; None where strata are the map's classes.
    """

    kind: ClassVar[str] = "design"
    schema_now: ClassVar[int] = 2
    version_of_schema: int = Field(2, alias="schema")
    parent_fields: ClassVar[tuple[str, ...]] = ("prediction", "drift")
    map: FileRef
    prediction: str = ""
    classes: tuple[str, ...]
    strata: dict[str, float]
    area_unit: str
    n: dict[str, int]
    seed: int
    planned_se: float | None = None
    points: FileRef
    drift: str = ""
    asked: LabelPlan | None = None


class Accuracy(Noun):
    """How accurate a map is and how much of each class there is, from the labels of a probability sample.

    ``proportions`` are estimated shares of the ground by map class, then reference class, without those that
    are 0; ``quantity`` and ``allocation`` disagreement add up to what is wrong. ``cautions`` are sentences that
    belong to the numbers, on units without a label (``n_missing``) above all.
    """

    kind: ClassVar[str] = "accuracy"
    parent_fields: ClassVar[tuple[str, ...]] = ("design",)
    design: str
    estimand: Estimand
    estimator: str
    n: int
    n_missing: int = 0
    overall: float
    overall_half: float | None
    classes: dict[str, ClassArea]
    proportions: dict[str, dict[str, float]] = Field(default_factory=dict)
    quantity: float | None = None
    allocation: float | None = None
    area_unit: str
    cautions: tuple[str, ...] = ()
    labels: FileRef


# --- serve -----------------------------------------------------------------------------------


class Prediction(Noun):
    """One answered request: what came in, what answered, what went out.

    Its id follows from what was asked, not from the answer: the map carries the id inside. ``layers`` names the bands
    of the map that were asked for; empty where all were that the model knows.
    """

    kind: ClassVar[str] = "prediction"
    schema_now: ClassVar[int] = 4
    version_of_schema: int = Field(4, alias="schema")
    parent_fields: ClassVar[tuple[str, ...]] = ("bundle", "scenes", "covariates")
    bundle: str
    graph_sha256: str
    model: str
    number: int
    source: FileRef
    source_name: str
    scenes: tuple[str, ...]
    covariates: tuple[str, ...] = ()
    declared: Radiometry
    grid: Grid
    map: FileRef
    sketches: FileRef
    valid_share: float = Field(ge=0, le=1)
    class_shares: dict[str, float]
    mean_confidence: float | None
    outside_share: float | None = Field(None, ge=0, le=1)
    mean_set_size: float | None = None
    tile_px: int = Field(128, ge=16)
    layers: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        """``prediction-<16 hex digits>`` from bundle, registry number, source, tile size, covariates, layers."""
        asked = (self.bundle, self.model, self.number, self.source.sha256, self.tile_px)
        return self.id_for(*asked, covariates=self.covariates, layers=self.layers)

    @classmethod
    def id_for(
        cls,
        bundle: str,
        model: str,
        number: int,
        source_sha256: str,
        tile_px: int,
        *,
        covariates: tuple[str, ...] = (),
        layers: tuple[str, ...] = (),
    ) -> str:
        """Returns the id that a prediction will have, before it is made."""
        chosen = [list(layers)] if layers else []
        return f"{cls.kind}-{digest([bundle, model, number, source_sha256, tile_px, *covariates, *chosen])[:16]}"


# --- watch -----------------------------------------------------------------------------------


class Reading(Noun):
    """What one scene showed where it was answered: the unit of evidence.

    Attributes:
        bundle: what answered.
        predictions: the answers; several where a scene was asked for in parts.
        scenes: they show; empty where that is not known.
        stream: sensor and region, ``sentinel-2-l1c/EPSG:32633-3-58``.
        key: of the reference, ``sensor/baseline/m07/region``; empty where the acquisition is not known.
        acquired: when; None where that is not known.
        bounds: of all predictions together, in ``crs``.
        crs: of the ground.
        n_tiles: tiles that are observed well enough.
        n_px: pixels asked for.
        valid_share: of them, answered (0 to 1).
        statistics: one number per scene by name: ``B02:mean`` and ``B02:sd`` in the contract's numbers, shares
            ``class:forest``, ``confidence``, ``edge_density``, ``outside_share``, ``valid_share``;
            None where one is not there.
        sketches: by band, what all tiles hold in frozen bins (text of a :class:`~geoml_ops.domain.sketch.Sketch`).
        confidences: answered pixels in 20 bins of confidence; empty where they were not counted.
    """

    kind: ClassVar[str] = "reading"
    parent_fields: ClassVar[tuple[str, ...]] = ("bundle", "predictions", "scenes")
    bundle: str
    predictions: tuple[str, ...]
    scenes: tuple[str, ...] = ()
    stream: str
    key: str = ""
    acquired: AwareDatetime | None = None
    crs: str
    bounds: Bounds
    n_tiles: int = Field(ge=0)
    n_px: int = Field(ge=0)
    valid_share: float = Field(ge=0, le=1)
    statistics: dict[str, float | None]
    sketches: dict[str, str] = Field(default_factory=dict)
    confidences: tuple[int, ...] = ()


class Reference(Noun):
    """The in-control scenes of one stream that new ones are compared with: one version of them.

    Attributes:
        bundle: the champion it is for.
        stream: sensor and region.
        number: of this version, from 1.
        before: the version before; empty for the first.
        readings: the accepted scenes, in order of acquisition.
        because: what changed, a sentence.
    """

    kind: ClassVar[str] = "reference"
    parent_fields: ClassVar[tuple[str, ...]] = ("bundle", "readings", "before")
    bundle: str
    stream: str
    number: int = Field(ge=1)
    before: str = ""
    readings: tuple[str, ...] = ()
    because: str


class Drift(Noun):
    """One scene compared with the reference of its stream and with the ground the champion learned from.

    Attributes:
        bundle: the champion.
        predictions: what was compared.
        reading: the scene in numbers; empty where it could not be read.
        reference: what it was compared with; empty without one.
        stream: sensor and region.
        key: of the reference; empty where the acquisition is not known.
        acquired: when; None where that is not known.
        unit: the unit of ``n_reference`` and ``n_current``.
        n_reference: tiles of the champion's ground.
        n_current: tiles of this scene.
        threshold: fixed one of distances.
        calibrated: whether a chart has a threshold from in-control scenes.
        statistics: column by column, against the champion's ground.
        drifted_share: of bands beyond the fixed threshold (0 to 1).
        charts: by family.
        estimates: of accuracy, without labels.
        prior_shift: class shares that label shift would make of these answers; empty where they cannot be had.
        where: the map of the drift.
        diagnosis: the named cause.
    """

    kind: ClassVar[str] = "drift"
    schema_now: ClassVar[int] = 2
    version_of_schema: int = Field(2, alias="schema")
    parent_fields: ClassVar[tuple[str, ...]] = ("bundle", "predictions", "reading", "reference")
    bundle: str
    predictions: tuple[str, ...]
    reading: str = ""
    reference: str = ""
    stream: str = ""
    key: str = ""
    acquired: AwareDatetime | None = None
    unit: str
    n_reference: int
    n_current: int
    threshold: float
    calibrated: bool
    statistics: tuple[Statistic, ...]
    drifted_share: float
    charts: tuple[ControlChart, ...] = ()
    estimates: tuple[Estimate, ...] = ()
    prior_shift: dict[str, float] = Field(default_factory=dict)
    where: DriftMap | None = None
    diagnosis: Diagnosis

    @property
    def alarm(self) -> bool:
        """Whether a calibrated alarm stands at this scene."""
        return any(chart.alarm for chart in self.charts)

    def chart(self, family: str) -> ControlChart | None:
        """Returns the chart of a family, or None where there is none."""
        return next((chart for chart in self.charts if chart.family == family), None)


class Decision(Noun):
    """One evaluation of the triggers, fired or not, under one policy.

    Attributes:
        drift: what was looked at; empty where nothing new was compared.
        version: the version that was weighed; empty before the first.
        champion: the entry that serves; empty before the first.
        policy: id of the policy.
        rule: name of the trigger that spoke.
        action: what follows.
        fired: whether a training starts.
        suppressed: why a trigger that spoke was held back (cool-down, budget, season, a run under way); empty: was not.
        because: the reason, a sentence.
    """

    kind: ClassVar[str] = "decision"
    schema_now: ClassVar[int] = 2
    version_of_schema: int = Field(2, alias="schema")
    parent_fields: ClassVar[tuple[str, ...]] = ("drift", "version", "champion")
    drift: str = ""
    version: str = ""
    champion: str = ""
    policy: str
    rule: str = ""
    action: Action
    fired: bool
    suppressed: str = ""
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
        Ancillary,
        Verdict,
        Version,
        Covariate,
        FeatureTable,
        FoldPlan,
        Selection,
        Study,
        Evaluation,
        Explanation,
        Bundle,
        Entry,
        Judgement,
        Approval,
        Prediction,
        Design,
        Accuracy,
        Reading,
        Reference,
        Drift,
        Decision,
        Retrain,
    )
}


def kind_of(noun_id: str) -> type[Noun]:
    """Returns the class of the noun that an id names.

    Raises:
        NotFound: the id does not begin with a known kind; nothing can have it.
    """
    kind, _, rest = noun_id.partition("-")
    if kind not in NOUNS or len(rest) != 16:
        raise NotFound(
            f"{noun_id[:60]!r} is not the id of a noun.", "copy one as commands print them: kind-16 hexadecimal digits"
        )
    return NOUNS[kind]
