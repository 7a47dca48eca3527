"""What monitoring finds in a scene, in values: statistics, charts, estimates, places, and the named cause."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from geoml_ops.core.grid import Bounds, Value
from geoml_ops.core.noun import FileRef

Cause = Literal[
    "none",
    "season as expected",
    "no reference",
    "cannot tell",
    "undeclared offset",
    "gain",
    "band swap",
    "missing band",
    "unit or scale",
    "cloud or nodata surge",
    "resampling or CRS",
    "new region",
    "covariate shift",
    "label shift",
    "concept change",
]
Action = Literal["none", "ignore", "fix ingest", "re-baseline", "collect labels", "retrain", "look"]
State = Literal["in control", "beyond", "no reference yet", "uncalibrated"]


class Statistic(Value):
    """One column compared with its reference.

    Attributes:
        column: a band, ``class shares``, ``confidence``, ...
        distance: Wasserstein-1 in reference standard deviations; of class shares the total variation (0 to 1).
        mean_shift: signed, in the column's unit.
        sd_ratio: of standard deviations, now by then; None where the reference has none.
        drifted: whether the distance is at or beyond the fixed threshold.
        js: Jensen-Shannon distance, base 2, on frozen bins (0 to 1); None where it was not computed.
        z: the scene's mean, standardised in its key; None without a reference.
    """

    column: str
    distance: float
    mean_shift: float
    sd_ratio: float | None
    drifted: bool
    js: float | None = None
    z: float | None = None


class ControlChart(Value):
    """Where a scene stands among the in-control scenes of its stream, for one family of statistics.

    Attributes:
        family: ``bands`` or ``answers``.
        state: of this scene alone.
        value: its largest standardised statistic; None without a reference.
        worst: name of that statistic.
        threshold: for a single scene; None where uncalibrated.
        path: of the chart over scenes, up to this one.
        limit: of the path; None where uncalibrated.
        alarm: whether an alarm stands at this scene.
        onset: id of the reading at which it began; empty without one.
        n: pooled in-control scenes.
        sentence: how it was calibrated, with its numbers and false alarms a year.
    """

    family: str
    state: State
    value: float | None = None
    worst: str = ""
    threshold: float | None = None
    path: float | None = None
    limit: float | None = None
    alarm: bool = False
    onset: str = ""
    n: int = 0
    sentence: str = ""


class Estimate(Value):
    """Accuracy without labels, estimated for one scene; blind to what the labels themselves mean now.

    Attributes:
        method: ``cbpe``, ``atc`` or ``doc``.
        value: estimated accuracy (0 to 1).
        low: of its interval over tiles and held-out blocks.
        high: of its interval.
        expected: on the champion's own held-out blocks (0 to 1).
        sentence: what it rests on, or why it is to be doubted.
    """

    method: str
    value: float
    low: float | None = None
    high: float | None = None
    expected: float | None = None
    sentence: str = ""


class Spot(Value):
    """A region of tiles that drift together: where, how many, how far."""

    bounds: Bounds
    n_tiles: int
    mass: float
    mean: float
    direction: Literal["high", "low"]
    alarm: bool = False


class DriftMap(Value):
    """Where a drift is: a raster and squares of tiles, and the regions in them.

    Attributes:
        raster: Cloud-Optimised GeoTIFF, one pixel per tile.
        squares: GeoPackage, one square per tile.
        picture: PNG of the same.
        statistic: what is drawn, with its unit.
        crs: of raster, squares and bounds.
        spots: regions that hang together, largest first.
        sentence: where the largest is, whether that is more than in scenes in control, and what was left out.
    """

    raster: FileRef
    squares: FileRef
    picture: FileRef | None = None
    statistic: str
    crs: str
    spots: tuple[Spot, ...] = ()
    sentence: str = ""


class Diagnosis(Value):
    """A named cause, what to do about it, and the sentence that says why.

    Attributes:
        cause: its name.
        action: what cures it.
        sentence: the facts with their numbers.
        evidence: numbers that the cause rests on, by name.
        others: causes that explain the same less well, with how well each does (0 to 1, larger is better).
        bands: that are concerned; empty for all or none.
        picture: which picture shows it: ``bands``, ``tiles``, ``profile``, ``shares``, ``map`` or nothing.
    """

    cause: Cause
    action: Action
    sentence: str
    evidence: dict[str, float | None] = Field(default_factory=dict)
    others: dict[str, float] = Field(default_factory=dict)
    bands: tuple[str, ...] = ()
    picture: str = ""
