"""The limit of a chart for a stated number of false alarms a year, from the same in-control history.

A stated rate of ``r`` alarms a year is an average run length of ``L = scenes per year / r`` scenes. Runs of
``W = L / 2`` scenes are drawn from the history; while alarms come like a Poisson process, a run is quiet with
probability ``exp(-W / L)``, so the limit is that quantile of the runs' largest ``|path|`` (rounded up in rank, as a
single scene's threshold). Two ways of drawing:

* ``scenes``: the standardised scenes are exchangeable. Each run first draws a reference of its own for every key, as
  many scenes as the key has, and standardises its scenes by that reference: the error of a mean from few scenes lasts
  as long as the key does and raises the rate of false alarms (Jensen et al. 2006, Journal of Quality Technology 38).
* ``blocks``: the scores are drawn in blocks of consecutive scenes from the circle of the history (Politis & Romano
  1992), which keeps what makes neighbours in time alike. Scores with the year left out carry the error of the
  reference and the differences of years in themselves.

Choose ``blocks`` where years may differ: on simulated years with effects of .2 sd per year and per month (three years
of history, 72 scenes each, .5 alarms a year stated) blocks of 12 scenes gave .53 to .60 a year, exchangeable scenes .75
to .91; without such effects both gave .40 to .58.

Neither can know more than the history: from three years it is a guess how a fourth may differ, and a rate that is
rarer than one per history rests on blocks or scenes falling together, which the sentence says.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from geoml_ops.core.errors import BadInput, TooLarge
from geoml_ops.domain.alarms.history import Floats
from geoml_ops.domain.alarms.runs import Alarm, Chart, Side, alarms, path
from geoml_ops.domain.alarms.standard import normal_score
from geoml_ops.domain.alarms.threshold import counted

Scheme = Literal["scenes", "blocks"]
#: Fewer pooled scenes say too little of the tail, as with a threshold for 5 %.
LEAST_SCENES = 19
LEAST_BLOCKS = 3
MOST_DRAWS = 8_000_000
_SHORTEST = 20


@dataclass(frozen=True)
class Stated:
    """What is asked of a chart.

    Attributes:
        per_year: false alarms a year of one stream.
        scenes_per_year: of the stream.
        scheme: ``scenes`` or ``blocks``, see above.
        block: scenes per block, of ``blocks``.
        runs: drawn.
        off_share: an alarm ends when the path is back at this share of the limit.
        seed: of the draws.
    """

    per_year: float
    scenes_per_year: float
    scheme: Scheme = "scenes"
    block: int = 1
    runs: int = 1000
    off_share: float = 0.5
    seed: int = 0

    def __post_init__(self) -> None:
        if not (0 < self.per_year <= self.scenes_per_year < math.inf):
            raise BadInput(
                f"{self.per_year:g} alarms a year of {self.scenes_per_year:g} scenes is no rate.",
                "state a rate above 0 and below one alarm per scene",
            )
        if self.scheme not in ("scenes", "blocks") or self.block < 1 or self.runs < 100 or not 0 <= self.off_share <= 1:
            raise BadInput("The draws of a limit are not described.", "use scenes or blocks, and 100 runs or more")
        if self.window * self.runs > MOST_DRAWS:
            raise TooLarge(
                f"{self.runs} runs of {self.window} scenes are more than {MOST_DRAWS:,} draws.",
                "state more alarms a year or draw fewer runs",
            )

    @property
    def run_length(self) -> float:
        """Average scenes between false alarms."""
        return self.scenes_per_year / self.per_year

    @property
    def window(self) -> int:
        """Scenes per drawn run."""
        return max(math.ceil(self.run_length / 2), _SHORTEST)


@dataclass(frozen=True)
class Limit:
    """A calibrated chart.

    Attributes:
        chart: the chart.
        stated: what was asked.
        side: both, or only up.
        on: the limit; NaN where uncalibrated.
        n: pooled scenes.
        needed: scenes that this way of drawing takes.
        rate_interval: false alarms a year that the drawn runs leave open, at 95 %.
    """

    chart: Chart
    stated: Stated
    side: Side
    on: float
    n: int
    needed: int
    rate_interval: tuple[float, float]

    @property
    def calibrated(self) -> bool:
        """Whether there are scenes enough."""
        return self.n >= self.needed

    @property
    def off(self) -> float:
        """Where an alarm ends."""
        return self.on * self.stated.off_share

    @property
    def beyond_history(self) -> bool:
        """Whether the stated rate is rarer than one per history."""
        return self.stated.run_length > self.n

    def alarms(self, z: Floats) -> tuple[Alarm, ...]:
        """Returns the alarms of standardised scenes in time order; none where uncalibrated."""
        if not self.calibrated:
            return ()
        return alarms(path(self.chart, z, side=self.side), on=self.on, off=self.off)

    def sentence(self) -> str:
        """Returns the calibration in words, with its numbers."""
        asked = f"{self.stated.per_year:.3g} false alarms a year (one in {self.stated.run_length:,.0f} scenes)"
        if not self.calibrated:
            return f"Uncalibrated: {self.n} pooled scenes, and {asked} takes {self.needed}. Nothing alarms."
        low, high = self.rate_interval
        drawn = "exchangeable scenes" if self.stated.scheme == "scenes" else f"blocks of {self.stated.block} scenes"
        rare = " That is rarer than one in this history, which shows it only by drawing." if self.beyond_history else ""
        return (
            f"Limit {self.on:.3g} for {asked}, from {self.n} scenes in {self.stated.runs} runs of "
            f"{self.stated.window} drawn as {drawn} ({low:.2g} to {high:.2g} a year).{rare}"
        )


def limit_of(
    chart: Chart,
    z: Floats,
    stated: Stated,
    *,
    side: Side = "both",
    calendar: Sequence[Hashable] = (),
) -> Limit:
    """Returns the limit of a chart for the stated rate.

    Args:
        chart: the chart.
        z: ``(scene,)`` scores of the in-control history, each with itself left out, in time order; NaN is not counted.
        stated: the rate, and how runs are drawn.
        side: ``up`` where only large values are bad.
        calendar: of ``scenes``: what each scene of the history was compared with (its key; its season or group where
            that was borrowed), in time order. Empty: references are taken as exact, which from few scenes they
            are not.

    Raises:
        BadInput: the calendar does not match the scores, or a score is infinite.
    """
    z = np.asarray(z, dtype=np.float64)
    if z.ndim != 1 or len(calendar) not in (0, len(z)) or bool(np.isinf(z).any()):
        raise BadInput(
            f"Scores of shape {z.shape} and a calendar of {len(calendar)} scenes do not match.",
            "give one key per finite score, in time order",
        )
    pool = z[np.isfinite(z)]
    needed = LEAST_SCENES if stated.scheme == "scenes" else max(LEAST_SCENES, LEAST_BLOCKS * stated.block)
    if len(pool) < needed:
        return Limit(chart, stated, side, math.nan, len(pool), needed, (0.0, stated.scenes_per_year))
    rng = np.random.default_rng(stated.seed)
    drawn = _drawn(pool, stated, [key for key, known in zip(calendar, np.isfinite(z), strict=False) if known], rng)
    tops = np.sort(np.abs(path(chart, drawn, side=side)).max(axis=1))
    quiet = math.exp(-stated.window / stated.run_length)
    k = min(math.ceil((stated.runs + 1) * quiet), stated.runs)
    on = float(tops[k - 1])
    return Limit(chart, stated, side, on, len(pool), needed, _rates(int((tops > on).sum()), stated))


def _rates(loud: int, stated: Stated) -> tuple[float, float]:
    low, high = (-math.log1p(-min(share, 1 - 1e-12)) for share in counted(loud, stated.runs))
    scale = stated.scenes_per_year / stated.window
    return low * scale, high * scale


def _drawn(pool: Floats, stated: Stated, calendar: Sequence[Hashable], rng: np.random.Generator) -> Floats:
    shape = (stated.runs, stated.window)
    if stated.scheme == "blocks":
        return _blocks(pool, shape, stated.block, rng)
    fresh = rng.choice(pool, shape)
    if not calendar:
        return fresh
    order = {key: i for i, key in enumerate(dict.fromkeys(calendar))}
    codes = np.array([order[key] for key in calendar], dtype=np.intp)
    return _against_references(fresh, pool, codes, np.maximum(np.bincount(codes), 3), rng)


def _blocks(pool: Floats, shape: tuple[int, int], block: int, rng: np.random.Generator) -> Floats:
    n_blocks = -(-shape[1] // block)
    starts = rng.integers(0, len(pool), (shape[0], n_blocks))
    places = (starts[:, :, None] + np.arange(block)) % len(pool)
    return np.asarray(pool[places.reshape(shape[0], -1)[:, : shape[1]]], dtype=np.float64)


def _against_references(
    fresh: Floats, pool: Floats, calendar: NDArray[np.intp], counts: NDArray[np.int64], rng: np.random.Generator
) -> Floats:
    """Returns drawn scenes standardised by references that are as small as the keys' own, along the calendar."""
    runs, window = fresh.shape
    starts = rng.integers(0, len(calendar), (runs, 1))
    codes = calendar[(starts + np.arange(window)) % len(calendar)]
    middle, spread = np.zeros((runs, len(counts))), np.ones((runs, len(counts)))
    for key, n in enumerate(counts.tolist()):
        reference = rng.choice(pool, (runs, n))
        middle[:, key], spread[:, key] = reference.mean(axis=1), reference.std(axis=1, ddof=1)
    rows, sizes = np.arange(runs)[:, None], counts[codes].astype(np.float64)
    floor = 1e-3 * pool.std()  # a reference of one scene drawn n times has no spread
    t = (fresh - middle[rows, codes]) / (np.maximum(spread, floor)[rows, codes] * np.sqrt(1 + 1 / sizes))
    return normal_score(t, sizes - 1)
