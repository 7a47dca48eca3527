"""What a training is asked to do: one validated file, versioned with every run."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, JsonValue, field_validator, model_validator

from geoml_ops.core.errors import BadInput
from geoml_ops.core.folding import FoldRules
from geoml_ops.core.grid import Value
from geoml_ops.core.noun import digest

LONGEST_NAME = 100
"""Characters in the name of a class or of a family's entry: it stands in legends, tables and tags."""


class MapClass(Value):
    """One class of the map.

    Attributes:
        labels: the label names it collects.
        colour: it is drawn in.
        value: its number in the legend of whoever ordered the map; None where it has none. Maps hold codes.
    """

    labels: tuple[str, ...] = Field(min_length=1)
    colour: str = Field(pattern=r"^#[0-9a-f]{6}$")
    value: int | None = Field(None, ge=-(2**31), lt=2**31)


class Sampling(Value):
    """How labels become samples.

    Attributes:
        per_polygon: largest number of samples of one polygon.
        per_class: largest number of samples of one class; its units (polygons, points, pixels of a raster) take
            turns. None for all; labels that are a raster need it.
        least_apart_m: samples that one raster of labels gives in a scene keep at least this distance; 0 for none.
        weight_field: field of label files that says how much a sample counts while a model learns, from 0; a record
            without one, and a raster, counts 1. Empty for all the same.
        seed: of the draw.
    """

    per_polygon: int = Field(60, ge=1)
    per_class: int | None = Field(None, ge=1)
    least_apart_m: float = Field(0.0, ge=0)
    weight_field: str = ""
    seed: int = 0


CovariateKind = Literal["terrain", "distance", "network_distance", "season", "objects", "texture", "lag"]
OF_ONE_SCENE: frozenset[CovariateKind] = frozenset({"objects", "texture", "lag"})
"""Kinds that are made of a scene's own imagery: those of another scene on the same ground are other numbers."""


class CovariateRules(Value):
    """How bands are made once per scene that no graph can make: ``domain/covariates`` has one module per kind.

    Attributes:
        make: what kind of covariate.
        of: names of ancillary deliveries (terrain, distance, network distance), or features and bands in the
            language of ``features`` (season, objects, texture, lag).
        products: which of the kind's products, in the order of the bands; each becomes a band
            ``<name>_<product>``.
        options: what else the kind can be told.
    """

    make: CovariateKind
    of: tuple[str, ...] = Field(min_length=1)
    products: tuple[str, ...] = Field(min_length=1)
    options: dict[str, JsonValue] = Field(default_factory=dict)


class SelectionRules(Value):
    """How features are chosen; inside every fold again, so that the choice is scored with the rest.

    Attributes:
        method: ``vif`` (collinearity, without the labels), ``permutation``, ``rfe`` or ``boruta``.
        most: largest number of features that stay; None leaves it to the method.
        options: what else the method can be told.
    """

    method: Literal["vif", "permutation", "rfe", "boruta"]
    most: int | None = Field(None, ge=1)
    options: dict[str, JsonValue] = Field(default_factory=dict)


class Range(Value):
    """Where a parameter may lie: between two numbers, or one of several values.

    Attributes:
        low: least value.
        high: greatest value.
        log: whether factors count rather than differences.
        whole: whether only whole numbers are meant.
        choices: the values; then there is neither low nor high.
    """

    low: float | None = None
    high: float | None = None
    log: bool = False
    whole: bool = False
    choices: tuple[JsonValue, ...] = ()

    @model_validator(mode="after")
    def _one_kind(self) -> Range:
        numbers = self.low is not None and self.high is not None
        if numbers == bool(self.choices) or (self.low is None) != (self.high is None):
            raise ValueError("a range has either low and high, or choices")
        if self.low is not None and self.high is not None and not self.low < self.high:
            raise ValueError(f"low {self.low:g} is not below high {self.high:g}")
        if self.log and (self.low is None or self.low <= 0):
            raise ValueError("a range on a log scale begins above 0")
        return self


class TuningRules(Value):
    """How parameters are searched for; always in spatial folds, nested inside those that count.

    Attributes:
        trials: sets of parameters that are tried in each search.
        seed: of the sampler.
        prune: whether a trial is given up between folds once it is clearly worse than the median of the others.
        startup: trials that are drawn at random before the sampler learns, and before anything is pruned.
        workers: processes that work on one search.
        space: family to parameter to range; families that are not named here are searched as the registry says.
    """

    trials: int = Field(30, ge=2)
    seed: int = 0
    prune: bool = True
    startup: int = Field(8, ge=1)
    workers: int = Field(1, ge=1, le=64)
    space: dict[str, dict[str, Range]] = Field(default_factory=dict)


class GateRules(Value):
    """What a challenger must show; all of it fixed before anybody sees a score.

    Attributes:
        metric: ``overall_accuracy`` or ``macro_f1``.
        margin: loss in the metric that is still "as good"; also the smallest gain worth telling.
        classes: class name to the loss in its F1 that is still "as good"; tested together (Holm 1979).
        confidence: of two-sided intervals that are shown.
        alpha: one-sided error rate of a single look, and the wealth that the ledger starts with.
        least_blocks: fewer blocks are no evidence.
        promote_on: whether being as good suffices; then ``reason`` says what else is gained.
        reason: cost, data, security: why an equal model should replace the champion.
        greatest_ece: calibration error beyond which a challenger is held; None not to ask.
        least_inside_share: of the ground, the share inside the area of applicability; None not to ask.
    """

    metric: str = "overall_accuracy"
    margin: float = Field(0.01, ge=0)
    classes: dict[str, float] = Field(default_factory=dict)
    confidence: float = Field(0.95, gt=0.5, lt=1)
    alpha: float = Field(0.05, gt=0, lt=0.5)
    least_blocks: int = Field(10, ge=2)
    promote_on: Literal["superiority", "non_inferiority"] = "superiority"
    reason: str = ""
    greatest_ece: float | None = Field(None, gt=0, lt=1)
    least_inside_share: float | None = Field(None, gt=0, le=1)

    @model_validator(mode="after")
    def _reasoned(self) -> GateRules:
        if self.promote_on == "non_inferiority" and not self.reason.strip():
            raise ValueError("promote_on: non_inferiority needs a reason: what is gained by an equal model")
        return self


class Uncertainty(Value):
    """What maps say about themselves beside the class.

    Attributes:
        coverage: share of pixels whose set of classes shall hold the true one.
        region_m: edge of squares of ground that get quantiles of their own where they hold enough; None for none.
        most_references: samples inside the graph that dissimilarity is measured to.
    """

    coverage: float = Field(0.9, gt=0.5, lt=1)
    region_m: float | None = Field(None, gt=0)
    most_references: int = Field(2000, ge=10)


class Experiment(Value):
    """A training's whole configuration; class codes are positions in ``classes``, from 0."""

    name: str = Field(pattern=r"^[a-z][a-z0-9-]{1,60}$")
    sensor: str
    features: tuple[str, ...] = Field(min_length=1)
    covariates: dict[str, CovariateRules] = Field(default_factory=dict)
    classes: dict[str, MapClass] = Field(min_length=2)
    ignored_labels: tuple[str, ...] = ()
    sampling: Sampling = Sampling()
    folds: FoldRules = FoldRules()
    other_folds: tuple[FoldRules, ...] = ()
    families: dict[str, dict[str, JsonValue]] = Field(min_length=1)
    selection: SelectionRules | None = None
    tuning: TuningRules = TuningRules()
    gate: GateRules = GateRules()
    uncertainty: Uncertainty = Uncertainty()

    @field_validator("classes", "families")
    @classmethod
    def _told_apart(cls, value: dict[str, Any]) -> dict[str, Any]:
        for name in value:
            if name != name.strip() or not name.isprintable() or not 1 <= len(name) <= LONGEST_NAME:
                raise ValueError(
                    f"{name[:60]!r} is no name: write 1 to {LONGEST_NAME} visible characters, no space at either end"
                )
        return value

    @field_validator("families", mode="before")
    @classmethod
    def _nothing_is_default(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        return {name: {} if params is None else params for name, params in value.items()}

    @model_validator(mode="after")
    def _gate_knows_its_classes(self) -> Experiment:
        unknown = sorted(set(self.gate.classes) - set(self.classes))
        if unknown:
            raise ValueError(f"gate.classes names {', '.join(unknown)}; the classes are {', '.join(self.classes)}")
        if self.folds.method == "random":
            raise ValueError("random folds measure optimism and cannot feed the gate; choose another folds.method")
        return self

    @model_validator(mode="after")
    def _one_class_per_label(self) -> Experiment:
        seen: dict[str, str] = {}
        for name, entry in self.classes.items():
            for label in entry.labels:
                if label in seen:
                    raise ValueError(f"label {label!r} belongs to both {seen[label]!r} and {name!r}")
                seen[label] = name
        return self

    @model_validator(mode="after")
    def _one_class_per_value(self) -> Experiment:
        seen: dict[int, str] = {}
        for name, entry in self.classes.items():
            if entry.value is not None:
                if entry.value in seen:
                    raise ValueError(f"value {entry.value} belongs to both {seen[entry.value]!r} and {name!r}")
                seen[entry.value] = name
        return self

    @property
    def id(self) -> str:
        """``experiment-<16 hex digits>``, from the content; the order of classes counts, it gives the codes."""
        return f"experiment-{digest([self.model_dump(mode='json'), list(self.classes)])[:16]}"

    @property
    def class_names(self) -> tuple[str, ...]:
        """Class names in code order."""
        return tuple(self.classes)

    def code_of(self, label: str) -> int | None:
        """Returns the class code of a label, or None where the experiment leaves the label out.

        Raises:
            BadInput: the experiment neither maps nor ignores this label.
        """
        for code, entry in enumerate(self.classes.values()):
            if label in entry.labels:
                return code
        if label in self.ignored_labels:
            return None
        raise BadInput(
            f"The label {label[:60]!r} belongs to no class of experiment {self.name!r}.",
            "list it under a class or under ignored_labels",
        )
