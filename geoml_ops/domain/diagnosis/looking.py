"""A scene looked at against its own ground: how far it is off, and how much of that a repair would take away.

A fault is a function of the numbers alone: the same for every tile, whatever grows there. So a fault is named by
undoing it. If the scene without it looks as its ground does on calm dates, it was that; growth, harvest and other
classes change tiles by what is on them, and no single repair takes that away.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from geoml_ops.core.bands import Contract
from geoml_ops.core.policy import DriftRules
from geoml_ops.core.watched import Cause
from geoml_ops.domain.diagnosis.calm import Calm, calm
from geoml_ops.domain.diagnosis.matching import Matched, Pair

Floats = NDArray[np.float64]

#: A number farther off than this counts as this far: clouds in a few tiles do not outweigh all others.
_FARTHEST = 10.0
#: What weeks do to a tile without a fault, as a share of its number, where no calm scenes say it.
_WEEKS, _SEASONS = 0.05, 0.15
_LEAST_SHARE, _LEAST_STEP = 0.005, 1.0
#: How far the calibration of a sensor and the sun make dates differ, as a share.
CALIBRATION = 0.02
_TEN_THOUSANDTH = 1e-4
#: A repair that takes away less than this share of what is wrong is none.
LEAST_EXPLAINED = 0.6
NEARLY_ALL = 0.8


@dataclass(frozen=True)
class Finding:
    """A fault that the numbers show.

    Attributes:
        cause: its name.
        score: share of what is wrong with the bands concerned that it explains (0 to 1).
        sentence: what was seen, with numbers.
        numbers: that it rests on, by name.
        bands: that are concerned; empty for all.
        picture: that shows it.
        undone: the scene as it would look without; None where it cannot be undone.
        weight: share of all that is wrong with the scene that it explains (0 to 1), where that is another one.
    """

    cause: Cause
    score: float
    sentence: str
    numbers: Mapping[str, float | None] = field(default_factory=dict)
    bands: tuple[str, ...] = ()
    picture: str = "profile"
    undone: Pair | None = None
    weight: float | None = None

    @property
    def rank(self) -> float:
        """What explains more of the scene comes first."""
        return self.score if self.weight is None else self.weight


@dataclass(frozen=True)
class Look:
    """A scene on known ground, with what is normal there.

    Attributes:
        matched: the tiles.
        pair: of the scene; another one than ``matched.pair`` where a fault was undone.
        rules: fixed limits.
        contract: of the bands; None where it is not known.
    """

    matched: Matched
    pair: Pair
    rules: DriftRules
    contract: Contract | None = None

    @property
    def bands(self) -> tuple[str, ...]:
        """Names in the order of the arrays."""
        return self.matched.bands

    @property
    def past(self) -> tuple[Pair, ...]:
        """Calm scenes, each against the others."""
        return self.matched.past

    @cached_property
    def optical(self) -> NDArray[np.bool_]:
        """Which bands measure light: what one fault of a delivery touches together. All where nothing is known."""
        units = [_unit_of(self.contract, name) for name in self.bands]
        light = np.array([unit == "reflectance" for unit in units])
        return light if light.any() else np.ones(len(units), dtype=bool)

    @cached_property
    def unit(self) -> Floats:
        """What one ten-thousandth of reflectance is in the numbers of each band ``(band,)``; 1 where not known.

        The policy's limits are meant for Sentinel-2, whose numbers are those.
        """
        units = np.ones(len(self.bands))
        for at, name in enumerate(self.bands):
            if self.contract is not None and _unit_of(self.contract, name) == "reflectance":
                units[at] = _TEN_THOUSANDTH / self.contract.radiometry_of(name).scale
        return units

    @property
    def dn_of_haze(self) -> Floats:
        """What a hazy day adds, in the numbers of each band ``(band,)``: a tenth of the least offset."""
        return np.asarray(self.rules.least_offset_dn / 10.0 * self.unit)

    @property
    def least_offset(self) -> float:
        """Smallest move of all bands that is called an offset: the policy's, or less where calm scenes say it."""
        share = 0.3 if self.past else 1.0
        return share * self.rules.least_offset_dn * float(np.median(self.unit[self.optical]))

    @property
    def offset_spread(self) -> float:
        """How far bands moved by one offset may differ."""
        return self.rules.offset_spread_dn * float(np.median(self.unit[self.optical]))

    @cached_property
    def spread(self) -> Floats:
        """How far a number of a tile strays on calm dates ``(band, part, 1)``."""
        level = np.median(np.abs(self.matched.pair.x), axis=2, keepdims=True)
        if not self.past:
            share = _SEASONS if self.matched.kind == "other season" else _WEEKS
            return np.asarray(np.maximum(share * level, _LEAST_STEP * self.step))
        strays = [np.median(np.abs(p.y - p.x), axis=2, keepdims=True) for p in self.past]
        floor = np.maximum(_LEAST_SHARE * level, 0.5 * self.step)
        return np.asarray(np.maximum(1.4826 * np.median(np.stack(strays), axis=0), floor))

    @cached_property
    def step(self) -> float:
        """The smallest step of the expected numbers that matters: 1 DN, or less where numbers are small."""
        return float(min(_LEAST_STEP, 1e-3 * max(float(np.median(np.abs(self.matched.pair.x))), 1e-12)))

    @cached_property
    def off(self) -> Floats:
        """How far each band is off, in spreads ``(band,)``."""
        return self.misfit(self.pair)

    @cached_property
    def calm_off(self) -> Calm:
        """How far bands of calm scenes are off."""
        if not self.past:
            nothing = np.zeros(len(self.bands))
            return Calm(nothing, nothing + 0.25, nothing + 2.0, 0)
        return calm([self.misfit(p) for p in self.past], 1.0, np.full(len(self.bands), 0.25))

    @cached_property
    def is_off(self) -> NDArray[np.bool_]:
        """Which bands are farther off than calm scenes are."""
        return np.asarray(self.off > self.calm_off.middle + self.calm_off.limit)

    def misfit(self, pair: Pair) -> Floats:
        """Returns how far each band is off, in spreads, at most 10 ``(band,)``."""
        far = np.minimum(np.abs(pair.y - pair.x) / self.spread, _FARTHEST)
        return np.asarray(far.mean(axis=(1, 2)))

    def explained(self, undone: Pair, bands: NDArray[np.bool_] | None = None) -> float:
        """Returns the share (0 to 1) of what is wrong that is gone from a repaired scene."""
        kept = np.ones(len(self.bands), dtype=bool) if bands is None else bands
        wrong = float((self.off - np.minimum(self.calm_off.middle, self.off))[kept].sum())
        left = float(np.maximum(self.misfit(undone) - self.calm_off.middle, 0.0)[kept].sum())
        return max(0.0, min(1.0, 1.0 - left / wrong)) if wrong > 0 else 0.0

    def is_repaired(self, undone: Pair, bands: NDArray[np.bool_]) -> bool:
        """Says whether nearly all of these bands look as on calm dates after a repair; of fewer than four, all."""
        calm_now = (self.misfit(undone) <= self.calm_off.middle + self.calm_off.limit)[bands]
        return bool(calm_now.mean() >= (NEARLY_ALL if calm_now.size > 3 else 1.0))

    def without(self, finding: Finding) -> Look:
        """Returns the look at the scene with a fault undone."""
        return Look(self.matched, finding.undone or self.pair, self.rules, self.contract)

    def names(self, chosen: NDArray[np.bool_]) -> tuple[str, ...]:
        """Returns the names of some of the bands."""
        return tuple(name for name, is_in in zip(self.bands, chosen, strict=True) if is_in)

    @property
    def ground(self) -> str:
        """What the scene is compared with, in words."""
        what = {
            "same key": "calm scenes of its own key",
            "recent": "last accepted scenes",
            "ground": "the training ground",
            "other season": "the training ground in another season",
        }[self.matched.kind]
        n = f"{self.matched.n_scenes} " if self.matched.kind in ("same key", "recent") else ""
        return f"on the same ground ({self.pair.x.shape[2]} of {self.matched.n_now} matched tiles) as {n}{what}"


def weighted_median(values: Floats, weights: Floats) -> float:
    """Returns the value that half of the weight lies below; 0 without any."""
    kept = np.isfinite(values) & (weights > 0)
    if not kept.any():
        return 0.0
    order = np.argsort(values[kept])
    upto = np.cumsum(weights[kept][order])
    return float(values[kept][order][np.searchsorted(upto, upto[-1] / 2.0)])


def listed(names: Sequence[str], most: int = 6) -> str:
    """Returns names as text, the first few of many."""
    shown = ", ".join(name[:60] for name in names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"


def _unit_of(contract: Contract | None, name: str) -> str:
    if contract is None or name not in contract.names:
        return ""
    return contract.band(name).unit
