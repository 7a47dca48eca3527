"""Statistics of scenes in units of what their own key does without drift.

A statistic ``x`` of a scene is compared with the ``n`` other scenes of its key, itself left out:

``t = (x - m) / (s sqrt(1 + h))``, ``h = 1 / n``

with their mean ``m`` and standard deviation ``s`` (``n - 1`` in the denominator). For independent normal scenes this
is Student's t with ``n - 1`` degrees of freedom, the prediction interval of one further value (Hahn & Meeker 1991,
Statistical Intervals, 4.7); without the root, keys with few scenes would alarm more often. The tail of t is still
heavier for few scenes, so ``t`` is turned into the standard normal value with the same probability before keys are
pooled. Pooled values are then of one kind and their quantile is found by counting
(:mod:`~geoml_ops.domain.alarms.threshold`); nothing rests on the normal law but how well small and large keys match.

Where the key has two years or more, all scenes of the year are left out: what makes years differ is then part of the
spread, as it will be in the next year.

With too few scenes per key a yearly curve may be fitted to the other scenes of the same sensor, baseline and region:
``x = a + sum over k of b_k cos(k w) + c_k sin(k w)``, ``w = 2 pi day / 365.2425``, by least squares. The same formula
holds with ``h = r (X'X)^-1 r'`` for the scene's row ``r`` and ``n - p`` degrees of freedom (externally studentised
residuals; Cook & Weisberg 1982, 2.2). A scene in a part of the year that the others do not show has ``h > 1`` and no
reference.

Tiles of one scene are no further scenes: ``n`` counts scenes, the spread is that of all rows, and where all tiles of a
scene agree the scores are those of one row per scene.

Robust: median and ``1.4826 MAD`` instead, ``h = pi / (2 n)`` (asymptotic variance of a median), and ``.37 (n - 1)``
degrees of freedom (efficiency of the MAD at the normal; Rousseeuw & Croux 1993); approximate, for histories that may
hold faulty scenes.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy import special, stats

from geoml_ops.core.errors import BadInput
from geoml_ops.domain.alarms.history import Floats, History, Scores, StandardRules
from geoml_ops.domain.alarms.keys import Ground, candidates

YEAR_DAYS = 365.2425
MOST_LEVERAGE = 1.0
_MAD = 1.4826
_MAD_EFFICIENCY = 0.37
_NO_SPREAD = 1e-12
_LARGEST = 1e250
#: Probabilities below this are left to the approximation.
_FAR = 1e-250
_Bools = NDArray[np.bool_]


def standardise(history: History, rules: StandardRules) -> Scores:
    """Returns every row of a history against the others: the values that thresholds are calibrated on.

    Raises:
        BadInput: the floors do not match the statistics.
    """
    return _scores(history, history, rules, inside=True)


def score(history: History, new: History, rules: StandardRules) -> Scores:
    """Returns new rows against the whole history; a scene that the history holds is not its own reference.

    Raises:
        BadInput: the two have different statistics or streams, or the floors do not match.
    """
    if new.values.shape[1] != history.values.shape[1]:
        raise BadInput(
            f"The scenes have {new.values.shape[1]} statistics, the history {history.values.shape[1]}.",
            "measure both in the same way",
        )
    streams = {key.stream for key in (*history.keys, *new.keys)}
    if len(streams) > 1:
        raise BadInput(f"The scenes and the history are of {len(streams)} streams.", "compare each with its own")
    return _scores(history, new, rules, inside=False)


def normal_score(t: Floats, df: Floats | float) -> Floats:
    """Returns the standard normal values that are exceeded as often as Student's t with ``df`` exceeds ``t``.

    Exact to probabilities of 1e-250; beyond, Wallace's approximation (1959, Annals of Mathematical Statistics 30:
    1121), so that the answer stays finite and grows with ``t``.
    """
    size, df = np.abs(t), np.broadcast_to(np.asarray(df, dtype=np.float64), np.shape(t))
    tail = stats.t.sf(size, df)
    with np.errstate(divide="ignore", invalid="ignore"):
        far = np.sqrt(df * np.logaddexp(0.0, 2 * np.log(size) - np.log(df))) * (8 * df + 1) / (8 * df + 3)
    edge = -special.ndtri(_FAR)
    exact = -special.ndtri(np.maximum(tail, _FAR))
    out = np.where(tail > _FAR, exact, np.maximum(far, edge))
    return np.asarray(np.where(np.isnan(t), np.nan, np.sign(t) * out), dtype=np.float64)


def _scores(history: History, rows: History, rules: StandardRules, *, inside: bool) -> Scores:
    n_statistics = rows.values.shape[1]
    if rules.floors and len(rules.floors) != n_statistics:
        raise BadInput(f"{len(rules.floors)} floors for {n_statistics} statistics.", "give one per statistic or none")
    floors = np.array(rules.floors or np.zeros(n_statistics), dtype=np.float64)
    reference = _Reference(history, rules)
    values = np.full(rows.values.shape, np.nan)
    grounds: list[Ground] = []
    left, counts = [], np.zeros(len(rows), dtype=np.int64)
    for i in range(len(rows)):
        ground, chosen, out = reference.of(rows, i, inside=inside)
        grounds.append(ground)
        left.append(out)
        if ground == "no reference yet":
            continue
        counts[i] = _n_scenes(history, chosen)
        others = _Others(history, chosen, rules.waves if ground == "harmonics" else 0)
        values[i] = _studentised(others, rows.values[i], np.asarray(rows.times)[i : i + 1], floors, rules)
    lonely = [g != "no reference yet" and bool(np.isnan(v[np.isfinite(x)]).all()) and bool(np.isfinite(x).any())
              for g, v, x in zip(grounds, values, rows.values, strict=True)]  # fmt: skip
    said: tuple[Ground, ...] = tuple("no reference yet" if no else g for g, no in zip(grounds, lonely, strict=True))
    return Scores(values, said, counts * ~np.array(lonely, dtype=bool), tuple(left))


class _Reference:
    """Which rows of a history a row is compared with."""

    def __init__(self, history: History, rules: StandardRules) -> None:
        self.history, self.rules = history, rules
        self.parts = {key: np.array([k == key for k in history.keys], dtype=bool) for key in set(history.keys)}
        groups = {key.group for key in history.keys}
        self.groups = {group: np.array([k.group == group for k in history.keys], dtype=bool) for group in groups}

    def of(self, rows: History, i: int, *, inside: bool) -> tuple[Ground, _Bools, str]:
        """Returns the ground, the mask of the reference rows, and what was left out for row ``i``."""
        other = np.asarray(self.history.names != rows.names[i], dtype=bool)
        none = np.zeros(len(self.history), dtype=bool)
        for ground, keys in candidates(rows.keys[i], self.rules.fallback):
            among = none | np.any([self.parts[k] for k in keys if k in self.parts] or [none], axis=0)
            chosen, out = self._apart(among, other, int(rows.years[i]), self.rules.least, inside=inside)
            if _n_scenes(self.history, chosen) >= self.rules.least:
                return ground, chosen, out
        if self.rules.waves:
            least = max(self.rules.least, 2 * (1 + 2 * self.rules.waves))
            among = self.groups.get(rows.keys[i].group, none)
            chosen, out = self._apart(among, other, int(rows.years[i]), least, inside=inside)
            if _n_scenes(self.history, chosen) >= least:
                return "harmonics", chosen, out
        return "no reference yet", none, "nothing"

    def _apart(self, among: _Bools, other: _Bools, year: int, least: int, *, inside: bool) -> tuple[_Bools, str]:
        if not inside:
            return among & other, "nothing"
        elsewhen = among & other & (self.history.years != year)
        if self.rules.years_apart and _n_scenes(self.history, elsewhen) >= least:
            return elsewhen, "year"
        return among & other, "scene"


def _n_scenes(history: History, chosen: _Bools) -> int:
    return len(np.unique(history.numbers[chosen]))


class _Others:
    """The rows that one row is compared with."""

    def __init__(self, history: History, chosen: _Bools, waves: int) -> None:
        self.values, self.scenes, self.waves = history.values[chosen], history.numbers[chosen], waves
        self.design = _waves(np.asarray(history.times)[chosen], waves)


def _waves(times: NDArray[np.datetime64], waves: int) -> Floats:
    days = (times - np.datetime64("2000-01-01")) / np.timedelta64(1, "D")
    turns = [2 * math.pi * k * days / YEAR_DAYS for k in range(1, waves + 1)]
    return np.stack([np.ones(len(days)), *(f(turn) for turn in turns for f in (np.cos, np.sin))], axis=1)


def _studentised(
    others: _Others, x: Floats, time: NDArray[np.datetime64], floors: Floats, rules: StandardRules
) -> Floats:
    """Returns the scores of one row; statistics that were measured on the same scenes are fitted at once."""
    out, row = np.full(x.shape, np.nan), _waves(time, others.waves)[0]
    seen = np.isfinite(others.values)
    patterns = seen[:, :1].T if (seen == seen[:, :1]).all() else np.unique(seen, axis=1).T
    for pattern in patterns:
        columns = np.flatnonzero((seen == pattern[:, None]).all(axis=0) & np.isfinite(x))
        n, p = len(np.unique(others.scenes[pattern])), len(row)
        if not columns.size or n < max(rules.least, p + 1):
            continue
        kept, now = others.values[pattern][:, columns], x[columns]
        # In units of the reference's largest value, so that no square overflows or vanishes.
        scale = np.abs(kept).max(axis=0)
        scale = np.where(scale > 0, scale, np.where(now != 0, np.abs(now), 1.0))
        with np.errstate(over="ignore"):
            kept, now = kept / scale, np.clip(now / scale, -_LARGEST, _LARGEST)
        fitted = _robust(kept, n) if rules.robust else _least_squares(kept, others.design[pattern], row, n)
        if fitted is None:
            continue
        middle, spread, leverage, df = fitted
        spread, away = np.maximum(spread, floors[columns] / scale), now - middle
        nothing, flat = np.abs(away) <= _NO_SPREAD, spread <= _NO_SPREAD
        with np.errstate(divide="ignore", invalid="ignore"):
            t = np.where(flat, np.where(nothing, 0.0, np.nan), away / (spread * math.sqrt(1 + leverage)))
        out[columns] = normal_score(t, df) if rules.equal else t
    return out


def _least_squares(y: Floats, design: Floats, row: Floats, n_scenes: int) -> tuple[Floats, Floats, float, float] | None:
    n, p = design.shape
    solution, _, rank, _ = np.linalg.lstsq(design, y, rcond=1e-8)
    if rank < p:
        return None
    leverage = float(row @ np.linalg.solve(design.T @ design, row)) * n / n_scenes
    if leverage > MOST_LEVERAGE:
        return None
    residuals = y - design @ solution
    variance = (residuals**2).mean(axis=0) * n_scenes / (n_scenes - p)
    return row @ solution, np.sqrt(variance), leverage, float(n_scenes - p)


def _robust(y: Floats, n_scenes: int) -> tuple[Floats, Floats, float, float]:
    middle = np.median(y, axis=0)
    spread = _MAD * np.median(np.abs(y - middle), axis=0)
    return middle, spread, math.pi / (2 * n_scenes), max(_MAD_EFFICIENCY * (n_scenes - 1), 1.0)
