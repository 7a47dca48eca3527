"""Numbers with what makes them evidence: intervals, the question they answer, the tests they passed."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from geoml_ops.core.folding import Estimand, Method
from geoml_ops.core.grid import Bounds, Value
from geoml_ops.core.noun import FileRef

Outcome = Literal["PROMOTE", "HOLD", "REJECT", "INSUFFICIENT_EVIDENCE"]


class Score(Value):
    """A number with its interval (95 %, from blocks) and the number of blocks behind it.

    ``design_effect`` is the variance over that of independent samples, ``n_effective`` the number of
    independent samples that would give this interval; None where no such number exists.
    """

    value: float
    low: float
    high: float
    n_blocks: int
    design_effect: float | None = None
    n_effective: float | None = None


class Speed(Value):
    """How fast a fitted head runs as a graph, on the machine that exported it; of no noun, machines differ.

    ``ratio`` is the graph's speed over that of the library that fitted the model, at equal threads; ``tried``
    holds the same for each layout of the graph that was tried, None where it did not answer as the model does;
    ``batches`` thousand pixels a second of the chosen one, by pixels in a call.
    """

    layout: str
    kpx_per_s: float
    native_kpx_per_s: float
    ratio: float
    tried: dict[str, float | None]
    n_rows: int
    threads: int = 1
    batches: dict[str, float] = Field(default_factory=dict)


class Bin(Value):
    """One bin of a reliability diagram: answers whose probability lies in ``(low, high]``."""

    low: float
    high: float
    n: int
    confidence: float
    accuracy: float


class Panel(Value):
    """The scores of one more plan, each answering that plan's question.

    ``predictions`` holds the answers where the plan repeats the one that counts: the gate compares recipes
    over all repeats.
    """

    plan: str
    method: Method
    estimand: Estimand
    repeat: int = 0
    scores: dict[str, Score]
    predictions: FileRef | None = None


class Applicability(Value):
    """Where a model may be asked: dissimilarity to its samples, weighted by what matters to it.

    Attributes:
        plan: the folds that the threshold comes from, those of the reported accuracy.
        definition: how the threshold is defined, with its version.
        threshold: dissimilarity beyond which a pixel is outside.
        mean_distance: mean distance between samples; dissimilarity 1.
        weights: of each feature, >= 0; the largest is 1.
        n_samples: samples that threshold and mean distance come from.
        n_references: samples inside the graph; fewer than ``n_samples`` only ever call more pixels outside.
        mean_density: samples within the threshold of a sample, over the folds, on average.
        outside_share: of the samples themselves, over the folds.
        ground_outside_share: of everything that was observed; None where no such pixels were kept.
    """

    plan: str
    definition: str
    threshold: float
    mean_distance: float
    weights: dict[str, float]
    n_samples: int
    n_references: int
    mean_density: float
    outside_share: float
    ground_outside_share: float | None = None


class Region(Value):
    """A rectangle of ground with quantiles of its own, because it held enough blocks to calibrate them.

    Attributes:
        bounds: in ``crs``.
        n_blocks: blocks that it held.
        quantiles: per class, as those of all ground.
        measured: coverage over ground in it that its quantiles did not know, from blocks.
        crs: ``EPSG:<code>``; maps in another one do not use the region.
    """

    bounds: Bounds
    n_blocks: int
    quantiles: dict[str, float]
    measured: Score
    crs: str = ""


class Conformal(Value):
    """Sets of classes that hold the true one as often as promised, calibrated on out-of-fold answers.

    Attributes:
        plan: the folds of those answers.
        coverage: promised share, 0 to 1.
        method: which scores, calibrated how.
        quantiles: per class, the largest ``1 - probability`` at which the class belongs to the set.
        measured: coverage over held-out ground, from blocks.
        mean_set_size: classes per answer.
        low_blocks_share: of the blocks, those that fall below the promise by a tenth or more.
        regions: where quantiles of the region hold instead.
    """

    plan: str
    coverage: float
    method: str
    quantiles: dict[str, float]
    measured: Score
    mean_set_size: float
    low_blocks_share: float
    regions: tuple[Region, ...] = ()


class ClassTest(Value):
    """Non-inferiority of one class: difference of its F1, one-sided p, and Holm's level for it."""

    name: str
    difference: Score
    margin: float
    p: float
    level: float
    passed: bool


class BesideTest(Value):
    """A test that is shown and does not decide: corrected resampled t, sign flips of blocks."""

    name: str
    statistic: float
    p: float
    sentence: str


class Guard(Value):
    """One more thing a challenger is asked: calibration, applicability, worst block, rare class."""

    name: str
    value: float
    limit: float | None
    passed: bool
    sentence: str


class Spending(Value):
    """What a look at held-out ground costs (alpha-investing, Foster and Stine 2008).

    Attributes:
        ground: digest of the labels that were looked at.
        look: number of this look at that ground, from 1.
        wealth_before: alpha left before it.
        level: one-sided level it was tested at.
        wealth_after: alpha left after it.
        fresh_share: of the ground, what no earlier look has seen.
        fresh_sample_due: True where what is left cannot promote anything sensible.
    """

    ground: str
    look: int
    wealth_before: float
    level: float
    wealth_after: float
    fresh_share: float = Field(ge=0, le=1)
    fresh_sample_due: bool


class BlockDifference(Value):
    """One block of the paired comparison: its middle on the ground, samples, challenger minus other."""

    easting: float
    northing: float
    n: int
    difference: float


class ClassArea(Value):
    """One class of an accuracy assessment, with half-widths (95 %) beside the estimates; None where undefined.

    ``area`` in the unit of the strata's areas; ``mapped`` is what counting pixels gives.
    """

    users: float | None
    users_half: float | None
    producers: float | None
    producers_half: float | None
    area: float
    area_half: float | None
    mapped: float


class LabelPlan(Value):
    """How the units of a label budget were chosen, fixed before anybody labelled one.

    Attributes:
        rule: how strata were made and sized, sentences.
        unit_px: edge of a sample unit in pixels of the map.
        definitions: by stratum, what belongs to it.
        units: by stratum, how many units the map has.
        expected: by stratum, the share of units expected to be mapped right (0 to 1).
        n_held: by stratum, how many of the drawn units are kept for judging; the others may be learned from.
        mapped: area that the map shows of each class, in the design's unit of area.
        stratum_se: by stratum, expected standard error of the share mapped right; None where one unit is all.
        overall_se: expected standard error of overall accuracy, from all drawn units.
        held_se: the same from those kept for judging; None without any.
        minutes_per_unit: that one unit takes a person.
    """

    rule: str
    unit_px: int = Field(ge=1)
    definitions: dict[str, str]
    units: dict[str, int]
    expected: dict[str, float]
    n_held: dict[str, int]
    mapped: dict[str, float]
    stratum_se: dict[str, float | None]
    overall_se: float
    held_se: float | None
    minutes_per_unit: float = Field(gt=0)
