"""One scene is no alarm: charts over the scenes of a stream, in time order.

``z_t`` is what :mod:`~geoml_ops.domain.alarms.standard` gives: about standard normal while nothing drifts. Each
chart is a path with one limit:

* EWMA ``E_t = w z_t + (1 - w) E_{t-1}`` in units of its own standard deviation
  ``sqrt(w / (2 - w) (1 - (1 - w)^(2t)))``, which is the chart with time-varying limits (Roberts 1959; Lucas &
  Saccucci 1990, Technometrics 32);
* CUSUM, two-sided, ``U_t = max(0, U_{t-1} + z_t - d)`` and the same for ``-z`` (Page 1954, Biometrika 41); ``d`` is
  half the shift that is to be found soonest;
* ``k`` of ``m``: the ``k``-th largest of the last ``m`` values, and of their negatives; beyond ``u`` when ``k`` of
  ``m`` are beyond ``u`` on the same side.

An alarm must stand without any single one of its scenes: the path of EWMA and CUSUM is the smallest that remains when
one scene is taken as if it were in control (``E``: its value is zero; ``U``: it is skipped). The minimum over all
scenes is carried along exactly: either an earlier scene was spared, or this one is. A lone cloud, however white, is
then no alarm by construction.

Scenes without a value (NaN) change nothing: no state moves, no alarm begins, none ends.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from geoml_ops.core.errors import BadInput
from geoml_ops.domain.alarms.history import Floats

Side = Literal["both", "up"]


@dataclass(frozen=True)
class Ewma:
    """Exponentially weighted moving average.

    Attributes:
        weight: of the newest scene, 0 to 1; .1 to .3 for shifts of .5 to 1.5 sd.
        spare: 1, an alarm stands without any single scene; 0, the chart of the textbook.
    """

    weight: float = 0.2
    spare: Literal[0, 1] = 1

    def __post_init__(self) -> None:
        if not 0 < self.weight <= 1 or self.spare not in (0, 1):
            raise BadInput(f"An EWMA cannot weigh {self.weight:g} and spare {self.spare}.", "use 0 to 1, and 0 or 1")


@dataclass(frozen=True)
class Cusum:
    """Two-sided cumulative sum.

    Attributes:
        drift: taken off each scene, in sd; half the shift to be found.
        spare: as of :class:`Ewma`.
    """

    drift: float = 0.5
    spare: Literal[0, 1] = 1

    def __post_init__(self) -> None:
        if not (self.drift >= 0 and np.isfinite(self.drift)) or self.spare not in (0, 1):
            raise BadInput(f"A CUSUM cannot drift {self.drift:g} and spare {self.spare}.", "use 0 or more, and 0 or 1")


@dataclass(frozen=True)
class KofM:
    """``k`` of the last ``m`` scenes on one side.

    Attributes:
        k: scenes that must be beyond, at least 2.
        m: scenes looked back on.
    """

    k: int = 3
    m: int = 5

    def __post_init__(self) -> None:
        if not 2 <= self.k <= self.m:
            raise BadInput(f"{self.k} of {self.m} scenes cannot be.", "ask for at least 2, of as many or more")


Chart: TypeAlias = Ewma | Cusum | KofM


def path(chart: Chart, z: Floats, *, side: Side = "both") -> Floats:
    """Returns the chart's path, same shape as ``z``: how far, signed by direction; NaN where ``z`` is NaN.

    Args:
        chart: the chart and its numbers.
        z: ``(..., scene)``, standardised, in time order.
        side: ``up`` where only large values are bad, as with distances.
    """
    z = np.asarray(z, dtype=np.float64)
    if z.ndim == 0 or bool(np.isinf(z).any()):
        raise BadInput("A run of scenes holds a value that is infinite, or is no run.", "give finite values or NaN")
    sides = np.stack([z, -z] if side == "both" else [z])
    steps = {Ewma: _ewma, Cusum: _cusum, KofM: _k_of_m}[type(chart)](chart, sides)  # type: ignore[operator]
    far = np.maximum(steps, 0.0)
    signed = np.where(far[0] >= far[1], far[0], -far[1]) if side == "both" else far[0]
    return np.asarray(np.where(np.isnan(z), np.nan, signed), dtype=np.float64)


def _ewma(chart: Ewma, z: Floats) -> Floats:
    w, out = chart.weight, np.zeros_like(z)
    whole, spared, n = (np.zeros(z.shape[:-1]) for _ in range(3))
    for t in range(z.shape[-1]):
        x, seen = z[..., t], ~np.isnan(z[..., t])
        next_spared = np.minimum((1 - w) * whole, w * x + (1 - w) * spared)
        spared = np.where(seen, next_spared, spared)
        whole = np.where(seen, w * x + (1 - w) * whole, whole)
        n = n + seen
        sd = np.sqrt(w / (2 - w) * (1 - (1 - w) ** (2 * np.maximum(n, 1))))
        out[..., t] = (spared if chart.spare else whole) / sd
    return out


def _cusum(chart: Cusum, z: Floats) -> Floats:
    out = np.zeros_like(z)
    whole, spared = np.zeros(z.shape[:-1]), np.zeros(z.shape[:-1])
    for t in range(z.shape[-1]):
        x, seen = z[..., t] - chart.drift, ~np.isnan(z[..., t])
        spared = np.where(seen, np.minimum(whole, np.maximum(spared + x, 0.0)), spared)
        whole = np.where(seen, np.maximum(whole + x, 0.0), whole)
        out[..., t] = spared if chart.spare else whole
    return out


def _k_of_m(chart: KofM, z: Floats) -> Floats:
    out = np.zeros_like(z)
    last = np.full((*z.shape[:-1], chart.m), -np.inf)
    for t in range(z.shape[-1]):
        x = z[..., t, None]
        last = np.where(np.isnan(x), last, np.concatenate([last[..., 1:], x], axis=-1))
        out[..., t] = np.partition(last, chart.m - chart.k, axis=-1)[..., chart.m - chart.k]
    return out


@dataclass(frozen=True)
class Alarm:
    """One alarm, from the scene where it begins to the scene where it ends.

    Attributes:
        began: position of the scene that brought the path beyond the limit.
        ended: position of the scene that brought it back; None while it stands.
        direction: 1 up, -1 down, where it began.
        farthest: largest size of the path in it.
    """

    began: int
    ended: int | None
    direction: int
    farthest: float


def alarms(walk: Floats, *, on: float, off: float | None = None) -> tuple[Alarm, ...]:
    """Returns the alarms of one path: each begins beyond ``on`` and ends at ``off`` or nearer.

    Args:
        walk: what :func:`path` returned for one stream, ``(scene,)``.
        on: the limit; NaN where uncalibrated, and then nothing alarms.
        off: where an alarm ends; None for ``on``. Lower, an alarm that hesitates is one alarm.

    Raises:
        BadInput: ``off`` is above ``on`` or below zero, or the path is no vector.
    """
    walk = np.asarray(walk, dtype=np.float64)
    if walk.ndim != 1:
        raise BadInput(f"Alarms are found on one path, not {walk.ndim} axes.", "give one stream at a time")
    if np.isnan(on):
        return ()
    off = on if off is None else off
    if not 0 <= off <= on:
        raise BadInput(f"An alarm cannot begin beyond {on:g} and end at {off:g}.", "use an end from 0 to the limit")
    found: list[Alarm] = []
    began, farthest = -1, 0.0
    for t in np.flatnonzero(~np.isnan(walk)).tolist():
        size = abs(float(walk[t]))
        if began < 0 and size > on:
            began, farthest = t, size
        elif began >= 0 and size <= off:
            found.append(Alarm(began, t, _direction(walk[began]), farthest))
            began = -1
        elif began >= 0:
            farthest = max(farthest, size)
    if began >= 0:
        found.append(Alarm(began, None, _direction(walk[began]), farthest))
    return tuple(found)


def standing(walk: Floats, *, on: float, off: float | None = None) -> NDArray[np.bool_]:
    """Returns for each scene whether an alarm stands after it."""
    out = np.zeros(np.shape(walk), dtype=bool)
    for alarm in alarms(walk, on=on, off=off):
        out[alarm.began : alarm.ended] = True
    return out


def _direction(value: float) -> int:
    return 1 if value > 0 else -1
