"""Everything a diagnosis may look at, gathered by whoever has it. Whatever is missing is left out, never guessed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from geoml_ops.core.bands import Contract
from geoml_ops.core.watched import ControlChart, Estimate, Statistic
from geoml_ops.domain.drift import Table

_UTM = re.compile(r"EPSG:32[67]\d\d")


@dataclass(frozen=True)
class Evidence:
    """One scene, and what is known about the same and other ground at other times.

    Tables are those of :func:`geoml_ops.domain.drift.usable`: one number per tile in each column, NaN where there is
    none. Only ``bands`` and ``now`` are needed; the more there is, the smaller the faults that can be named.

    Attributes:
        bands: names of the bands that the champion reads.
        now: well observed tiles of the scene.
        ground: of the champion's training ground.
        everything: all tiles of the scene, also poorly observed ones (:func:`geoml_ops.domain.drift.table_of`).
        same_key: one table per in-control scene of the same reference key, oldest first.
        recent: one table per last accepted scene of any key in this stream, oldest first.
        statistics: of the scene against ``ground``.
        charts: where the scene stands among in-control scenes.
        is_dated: whether the acquisition is known.
        own_key: whether ``ground`` has the same key as the scene, or the date is unknown.
        has_reference: whether the scene's key has in-control scenes enough; None where nobody asked.
        is_known_region: whether the scene's region is one that the champion learned from; None where nobody asked.
        normal: mean, standard deviation and number of scenes of scene-level statistics among in-control scenes of the
            key: ``valid_share``, ``edge_density``, ``outside_share``, ``class:forest`` ...
        scene: the same statistics of this scene.
        observed: by band, the share of the scene's pixels (0 to 1) that have a number in that band alone; empty where
            it was not counted. Without it a band that is nodata everywhere looks as a scene that was not observed.
        may_be_fixed: whether fixed thresholds may speak where no history calibrates.
        pixel_m: edge of a pixel of the scene as delivered, in metres.
        pixel_m_reference: of the scenes it is compared with.
        crs: of the scene.
        crs_reference: of the scenes it is compared with.
        baseline: processing baseline that the scene declares; empty where it declares none.
        baselines: that scenes of this stream declared before.
        contract: of the bands, for their wavelengths and what one DN is worth.
        estimates: of accuracy, without labels.
        prior_shift: class shares that label shift would make of the answers.
        audit: lower bound of the accuracy that labels gave, and the floor it has to stay above (0 to 1).
    """

    bands: tuple[str, ...]
    now: Table
    ground: Table = field(default_factory=dict)
    everything: Table = field(default_factory=dict)
    same_key: tuple[Table, ...] = ()
    recent: tuple[Table, ...] = ()
    statistics: tuple[Statistic, ...] = ()
    charts: tuple[ControlChart, ...] = ()
    is_dated: bool = False
    own_key: bool = True
    has_reference: bool | None = None
    is_known_region: bool | None = None
    normal: Mapping[str, tuple[float, float, int]] = field(default_factory=dict)
    scene: Mapping[str, float | None] = field(default_factory=dict)
    observed: Mapping[str, float] = field(default_factory=dict)
    may_be_fixed: bool = True
    pixel_m: float | None = None
    pixel_m_reference: float | None = None
    crs: str = ""
    crs_reference: str = ""
    baseline: str = ""
    baselines: tuple[str, ...] = ()
    contract: Contract | None = None
    estimates: tuple[Estimate, ...] = ()
    prior_shift: Mapping[str, float] = field(default_factory=dict)
    audit: tuple[float, float] | None = None

    @property
    def other_crs(self) -> bool:
        """Whether the scene is in another CRS than what it is compared with."""
        return bool(self.crs and self.crs_reference and self.crs != self.crs_reference)

    @property
    def other_zone(self) -> bool:
        """Whether that is only another zone of UTM: other ground, unless it is known to be the same."""
        zones = (_UTM.fullmatch(name) for name in (self.crs, self.crs_reference))
        return self.other_crs and self.is_known_region is not True and all(zones)
