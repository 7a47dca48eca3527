"""When monitoring acts: one validated file of thresholds and triggers."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

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

    tile_px: int = Field(128, ge=16)
    distance: float = Field(1.0, gt=0)
    class_share_distance: float = Field(0.25, gt=0, le=1)
    drifted_share: float = Field(0.3, gt=0, le=1)
    least_tiles: int = Field(8, ge=2)
    offset_spread_dn: float = Field(150.0, gt=0)
    least_offset_dn: float = Field(400.0, gt=0)


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
        new_version: ``first`` trains on the first accepted version only and leaves later ones to the
            drift trigger; ``always`` trains on each; ``never`` leaves all to people.
        retrain_on_drift: whether named drift that labels can cure starts a training once labels of
            that ground are in a version.
        longest_age_days: days of acquisition time after which a champion is retrained; None for never.
    """

    name: str
    new_version: Literal["first", "always", "never"] = "first"
    retrain_on_drift: bool = True
    longest_age_days: int | None = Field(None, ge=1)
    drift: DriftRules = DriftRules()
    promotion: Promotion = Promotion()

    @property
    def id(self) -> str:
        """``policy-<16 hex digits>``, from the content."""
        return f"policy-{digest(self.model_dump(mode='json'))[:16]}"
