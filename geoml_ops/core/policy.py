"""When monitoring acts: one validated file of thresholds and triggers."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from geoml_ops.core.grid import Value
from geoml_ops.core.noun import digest


class DriftRules(Value):
    """Fixed thresholds, not calibrated.

    Attributes:
        tile_px: edge of a tile in pixels.
        distance: of tile means, in reference standard deviations; a band at or beyond it has drifted.
        class_share_distance: total variation (0 to 1) of class shares.
        drifted_share: share of drifted bands at which something is done.
        least_tiles: fewer tiles than this cannot be compared.
        offset_spread_dn: bands that moved by one offset agree within this many DN.
        least_offset_dn: smallest move that can be called an offset.
    """

    tile_px: int = Field(128, ge=16, le=4096)
    distance: float = Field(1.0, gt=0)
    class_share_distance: float = Field(0.25, gt=0, le=1)
    drifted_share: float = Field(0.3, gt=0, le=1)
    least_tiles: int = Field(8, ge=2)
    offset_spread_dn: float = Field(150.0, gt=0)
    least_offset_dn: float = Field(400.0, gt=0)


class ChartRules(Value):
    """How an alarm is made of scenes in time order.

    Attributes:
        kind: ``ewma``, ``cusum`` or ``k_of_m``.
        weight: of the newest scene, for ``ewma``.
        drift: taken off each scene, in sd, for ``cusum``; half the shift to be found soonest.
        k: scenes that must be beyond, for ``k_of_m``.
        m: scenes looked back on, for ``k_of_m``.
        off_share: of the limit, at which an alarm ends (hysteresis).
    """

    kind: Literal["ewma", "cusum", "k_of_m"] = "ewma"
    weight: float = Field(0.3, gt=0, le=1)
    drift: float = Field(0.5, ge=0)
    k: int = Field(3, ge=2)
    m: int = Field(5, ge=2, le=366)
    off_share: float = Field(0.5, ge=0, le=1)

    @model_validator(mode="after")
    def _within(self) -> ChartRules:
        if self.k > self.m:
            raise ValueError(f"{self.k} of {self.m} scenes cannot be beyond; k is at most m")
        return self


class CalibrationRules(Value):
    """How thresholds are found on in-control scenes.

    Attributes:
        by: part of the year that a reference key names.
        least: scenes of a key that make a reference; with fewer it is "no reference yet".
        most: scenes of a key that are kept; further ones in control do not change the reference.
        least_years: of history, below which no chart over scenes alarms: how years differ is not known before.
        years_apart: leave out the whole year where a key has two or more.
        fallback: what a key with too few scenes may borrow, in this order.
        waves: yearly harmonics for keys with too few scenes; 0 for none.
        alpha: stated share of false alarms of single scenes.
        alarms_per_year: stated false alarms a year of the charts of one stream, all families together.
        chart: how scenes become an alarm.
        least_overlap: share of ground (0 to 1, intersection over union) that makes two scenes comparable.
        uncalibrated: what may act while there are too few scenes: ``fixed`` thresholds, visibly, or nothing.
    """

    by: Literal["month", "season"] = "month"
    least: int = Field(5, ge=2)
    most: int = Field(40, ge=5, le=1000)
    least_years: int = Field(3, ge=1, le=100)
    years_apart: bool = True
    fallback: tuple[Literal["neighbours", "season"], ...] = ()
    waves: int = Field(1, ge=0, le=2)
    alpha: float = Field(0.05, ge=1e-4, lt=1)
    alarms_per_year: float = Field(0.5, ge=0.001, le=366)
    chart: ChartRules = ChartRules()
    least_overlap: float = Field(0.5, gt=0, le=1)
    uncalibrated: Literal["fixed", "quiet"] = "fixed"

    @model_validator(mode="after")
    def _enough(self) -> CalibrationRules:
        if self.least > self.most:
            raise ValueError(f"a key of at most {self.most} scenes never has the {self.least} that make a reference")
        return self


class DriftTrigger(Value):
    """When calibrated drift is worth labels, and when it is worth a training.

    Attributes:
        needs: beside the alarm one of these has to hold: ``applicability`` (the share of pixels outside rose by
            ``outside_rise`` or is above ``most_outside``), ``accuracy`` (estimated without labels, fell by
            ``accuracy_drop``); empty: the alarm is enough to collect labels.
        outside_rise: of the share of pixels outside the area of applicability, against the in-control scenes.
        most_outside: of that share.
        accuracy_drop: of the estimated accuracy, against the champion's held-out blocks.
    """

    needs: tuple[Literal["applicability", "accuracy"], ...] = ()
    outside_rise: float = Field(0.1, gt=0, le=1)
    most_outside: float = Field(0.5, gt=0, le=1)
    accuracy_drop: float = Field(0.05, gt=0, le=1)


class AuditRules(Value):
    """When labels of a probability sample speak for a training.

    Attributes:
        floor: of overall accuracy; a training is due where the lower bound of its interval is below. None: never.
        confidence: of that bound.
        least_units: labelled sample units that make an audit.
    """

    floor: float | None = Field(None, gt=0, lt=1)
    confidence: float = Field(0.95, gt=0.5, lt=1)
    least_units: int = Field(50, ge=10)


class Budget(Value):
    """What trainings and labels may cost, and how soon after one the next may start.

    Attributes:
        cooldown_days: after a training, in which no other starts; days of the scenes' own time.
        trainings_per_year: at most, in any 365 days; None for no limit.
        training_hours_per_year: of computing; None for no limit.
        lost_after_hours: without verdict, after which a training is not waited for any more (hours of the clock).
        label_units: sample units that one round of labels asks for.
        label_minutes: that one unit takes a person, for the cost on record.
    """

    cooldown_days: float = Field(0.0, ge=0, le=36_500)
    trainings_per_year: int | None = Field(None, ge=1)
    training_hours_per_year: float | None = Field(None, gt=0)
    lost_after_hours: float = Field(72.0, gt=0, le=8760)
    label_units: int = Field(100, ge=10, le=1_000_000)
    label_minutes: float = Field(2.0, gt=0, le=1440)


class AlertRules(Value):
    """When people are told, beside the alarms of charts and named faults, which always are.

    Attributes:
        silent_days: without a new scene in a stream.
        uncalibrated_days: since the first scene of a stream that still has no threshold.
        unwatched_hours: since the watch last wrote what it knows.
        error_share: of requests that the service failed to answer, in five minutes (0 to 1).
        slow_s: that 95 of 100 requests for a map may take.
        minutes: for which errors, slowness and silence of a server have to last.
    """

    silent_days: float = Field(45.0, gt=0, le=36_500)
    uncalibrated_days: float = Field(180.0, gt=0, le=36_500)
    unwatched_hours: float = Field(50.0, gt=0, le=876_000)
    error_share: float = Field(0.05, gt=0, lt=1)
    slow_s: float = Field(10.0, gt=0, le=86_400)
    minutes: float = Field(10.0, gt=0, le=525_600)


class Promotion(Value):
    """Who lets a model that passed the gate become champion.

    Attributes:
        by: ``auto`` for the gate alone; ``approve`` asks a person in Airflow first.
        timeout_hours: after which nobody's answer counts as Reject.
        second_person: whether another person than the first has to agree as well.
        respondents: user names that may answer; empty for everyone who may open the page.
    """

    by: Literal["auto", "approve"] = "auto"
    timeout_hours: float = Field(72.0, gt=0)
    second_person: bool = False
    respondents: tuple[str, ...] = ()


class Policy(Value):
    """What starts a training.

    Attributes:
        kind: ``calibrated``, or ``naive`` for comparison: class shares that move by more than 10 points and Evidently's
            own defaults start a training, whatever the cause and the season.
        new_version: ``first`` trains on the first accepted version only and leaves later ones to the
            drift trigger; ``always`` trains on each; ``never`` leaves all to people.
        retrain_on_drift: whether named drift that labels can cure starts a training once labels of
            that ground are in a version.
        longest_age_days: days of acquisition time after which a champion is retrained; None for never.
        every_days: days of acquisition time after which a version that the champion does not know is trained on; None
            for never.
        months: of the year in which a training may start; empty for all. What falls outside waits.
        calm_scenes: scenes without alarm after a training until drift may start another (hysteresis).
        drift: fixed thresholds, for comparisons that no history calibrates.
        calibration: how thresholds are found where there is a history.
        on_drift: what makes drift worth labels.
        audit: what makes labels worth a training.
        budget: what it may cost.
        promotion: who lets a model become champion.
        alerts: when people are told.
    """

    name: str
    kind: Literal["calibrated", "naive"] = "calibrated"
    new_version: Literal["first", "always", "never"] = "first"
    retrain_on_drift: bool = True
    longest_age_days: int | None = Field(None, ge=1, le=36_500)
    every_days: int | None = Field(None, ge=1, le=36_500)
    months: tuple[Annotated[int, Field(ge=1, le=12)], ...] = ()
    calm_scenes: int = Field(0, ge=0)
    drift: DriftRules = DriftRules()
    calibration: CalibrationRules = CalibrationRules()
    on_drift: DriftTrigger = DriftTrigger()
    audit: AuditRules = AuditRules()
    budget: Budget = Budget()
    promotion: Promotion = Promotion()
    alerts: AlertRules = AlertRules()

    @model_validator(mode="after")
    def _named(self) -> Policy:
        if not self.name.strip():
            raise ValueError("a policy has a name")
        if len(set(self.months)) < len(self.months):
            raise ValueError("months names one twice")
        return self

    @property
    def id(self) -> str:
        """``policy-<16 hex digits>``, from the content."""
        return f"policy-{digest(self.model_dump(mode='json'))[:16]}"
