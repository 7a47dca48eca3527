"""The threshold of a statistic for a stated share of false alarms, found by counting scenes.

Of ``m`` scenes, each standardised with itself left out, the threshold is the ``k``-th smallest value,
``k = ceil((m + 1)(1 - alpha))``: a further scene of the same kind exceeds it with probability
``(m + 1 - k) / (m + 1) <= alpha`` (Vovk, Gammerman & Shafer 2005). It exists where ``m >= 1 / alpha - 1``: 19 scenes
for 5 %, 99 for 1 %. Below, the answer is "uncalibrated", and nothing alarms. Given these ``m`` scenes the share of
false alarms follows ``Beta(m + 1 - k, k)`` (order statistics; Wilks 1941), so its interval is exact for independent
scenes; years that differ make it wider.

The largest value over bands is one statistic with one threshold: with a threshold per band, twelve bands would
alarm up to twelve times as often.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from geoml_ops.core.errors import BadInput
from geoml_ops.domain.alarms.history import Floats
from geoml_ops.domain.alarms.standard import YEAR_DAYS

State = Literal["in control", "beyond", "no reference yet", "uncalibrated"]
#: Rounding in ``(m + 1)(1 - alpha)`` must not cost a scene.
_ROUNDING = 1e-9


@dataclass(frozen=True)
class Threshold:
    """A threshold with what it rests on.

    Attributes:
        value: to be exceeded; NaN where uncalibrated.
        alpha: stated share of false alarms.
        m: pooled scenes.
        least: scenes that a threshold for ``alpha`` takes.
        k: rank of the threshold among them; 0 where uncalibrated.
        scenes_per_year: of the stream.
        confidence: of the intervals.
        pool: the pooled values, ascending.
    """

    value: float
    alpha: float
    m: int
    least: int
    k: int
    scenes_per_year: float
    confidence: float
    pool: tuple[float, ...] = ()

    @property
    def calibrated(self) -> bool:
        """Whether there are scenes enough."""
        return self.m >= self.least

    @property
    def rate(self) -> float:
        """Expected share of false alarms, at most ``alpha``; NaN where uncalibrated."""
        return (self.m + 1 - self.k) / (self.m + 1) if self.calibrated else math.nan

    @property
    def interval(self) -> tuple[float, float]:
        """Where the share of false alarms of this threshold lies, from the beta law; (0, 1) where uncalibrated."""
        if not self.calibrated:
            return 0.0, 1.0
        low, high = stats.beta.interval(self.confidence, self.m + 1 - self.k, self.k)
        return float(low), float(high)

    @property
    def per_year(self) -> float:
        """Expected false alarms of single scenes a year."""
        return self.rate * self.scenes_per_year

    def state(self, value: float) -> State:
        """Returns what one scene's value means; never ``beyond`` without a reference or a threshold."""
        if not math.isfinite(value):
            return "no reference yet"
        if not self.calibrated:
            return "uncalibrated"
        return "beyond" if value > self.value else "in control"

    def exceeded(self, values: Floats) -> NDArray[np.bool_]:
        """Returns which values are beyond; all False where uncalibrated, False for what is not finite."""
        if not self.calibrated:
            return np.zeros(np.shape(values), dtype=bool)
        return np.asarray(np.isfinite(values) & (np.asarray(values) > self.value), dtype=bool)

    def p_values(self, values: Floats) -> Floats:
        """Returns ``(1 + scenes at least as extreme) / (m + 1)`` for each value; NaN for NaN or where uncalibrated.

        Independent scenes of the same kind have such a p-value below ``a`` at most as often as ``a``.
        """
        values = np.asarray(values, dtype=np.float64)
        if not self.calibrated:
            return np.full(values.shape, np.nan)
        above = self.m - np.searchsorted(np.array(self.pool), values, side="left")
        return np.where(np.isfinite(values), (1 + above) / (self.m + 1), np.nan)

    def sentence(self) -> str:
        """Returns the calibration in words, with its numbers."""
        if not self.calibrated:
            return (
                f"Uncalibrated: {self.m} pooled scenes, and a false-alarm rate of {self.alpha:.3g} takes "
                f"{self.least}. Nothing alarms."
            )
        low, high = self.interval
        yearly = f", {self.per_year:.2g} scenes a year" if math.isfinite(self.scenes_per_year) else ""
        return (
            f"Threshold {self.value:.3g}, rank {self.k} of {self.m} scenes, for a stated false-alarm rate of "
            f"{self.alpha:.3g}: {self.rate:.3g} expected ({low:.3g} to {high:.3g} at {self.confidence:.0%})"
            f"{yearly}."
        )


def calibrate(
    values: Floats, *, alpha: float, scenes_per_year: float = math.nan, confidence: float = 0.95
) -> Threshold:
    """Returns the threshold for a stated share of false alarms.

    Args:
        values: one per scene of the history, larger is worse (:func:`largest`); NaN is not counted.
        alpha: stated share of scenes that alarm while nothing drifts, 0 to 1.
        scenes_per_year: of the stream (:func:`scenes_per_year`).
        confidence: of the intervals.

    Raises:
        BadInput: alpha or the confidence is no share, or the values are no vector.
    """
    if not (0 < alpha < 1 and 0 < confidence < 1):
        raise BadInput(f"A false-alarm rate of {alpha:g} at {confidence:g} is no share.", "use values between 0 and 1")
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 1:
        raise BadInput(f"A threshold is found from one value per scene, not {values.ndim} axes.", "take the largest")
    pool = np.sort(values[np.isfinite(values)])
    m, least = len(pool), scenes_needed(alpha)
    if m < least:
        return Threshold(math.nan, alpha, m, least, 0, scenes_per_year, confidence, tuple(pool.tolist()))
    k = min(math.ceil((m + 1) * (1 - alpha) - _ROUNDING), m)
    return Threshold(float(pool[k - 1]), alpha, m, least, k, scenes_per_year, confidence, tuple(pool.tolist()))


def scenes_needed(alpha: float) -> int:
    """Returns how many pooled scenes a threshold for this rate takes: 19 for 5 %, 99 for 1 %."""
    return math.ceil(1 / alpha - 1 - _ROUNDING)


def largest(scores: Floats, *, complete: bool, two_sided: NDArray[np.bool_] | bool = True) -> Floats:
    """Returns one value per row: the largest standardised statistic, larger is worse.

    Args:
        scores: ``(row, statistic)``.
        complete: for the history: rows that lack a statistic give NaN, because fewer bands have a smaller maximum.
            For scenes that are judged False: a band that is missing does not hide what the others show, and cannot
            raise the false-alarm rate.
        two_sided: per statistic, whether small values are as bad as large ones; distances are one-sided.
    """
    scores = np.asarray(scores, dtype=np.float64)
    sized = np.where(np.broadcast_to(two_sided, scores.shape), np.abs(scores), scores)
    known = np.isfinite(sized)
    enough = known.all(axis=1) if complete else known.any(axis=1)
    top = np.where(known, sized, -np.inf).max(axis=1, initial=-np.inf)
    return np.where(enough & np.isfinite(top), top, np.nan)


def per_scene(values: Floats, scenes: Sequence[str]) -> tuple[list[str], Floats]:
    """Returns scenes in order of appearance and the largest value over the tiles of each; tiles are no samples."""
    if len(scenes) != len(values):
        raise BadInput(f"{len(scenes)} scenes for {len(values)} values.", "name the scene of each tile")
    place = {name: i for i, name in enumerate(dict.fromkeys(scenes))}
    out = np.full(len(place), -np.inf)
    finite = np.isfinite(values)
    at = np.array([place[name] for name in scenes], dtype=np.intp)
    np.maximum.at(out, at[finite], np.asarray(values)[finite])
    return list(place), np.where(np.isfinite(out), out, np.nan)


def scenes_per_year(revisit_days: float, usable_share: float = 1.0) -> float:
    """Returns scenes a year from the revisit of a stream and the share of its scenes that can be used."""
    if not (revisit_days > 0 and 0 < usable_share <= 1):
        raise BadInput(
            f"A revisit of {revisit_days:g} days with {usable_share:g} usable gives no rate.", "use days above 0"
        )
    return YEAR_DAYS / revisit_days * usable_share


def counted(alarms: int, scenes: int, confidence: float = 0.95) -> tuple[float, float]:
    """Returns the exact interval of a share that was counted (Clopper & Pearson 1934)."""
    if not 0 <= alarms <= scenes or not scenes:
        raise BadInput(f"{alarms} alarms of {scenes} scenes cannot be.", "count alarms among scenes")
    half = (1 - confidence) / 2
    low = float(stats.beta.ppf(half, alarms, scenes - alarms + 1)) if alarms else 0.0
    high = float(stats.beta.isf(half, alarms + 1, scenes - alarms)) if alarms < scenes else 1.0
    return low, high
