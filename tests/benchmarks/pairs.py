"""Two things timed in turns, so that whatever else the machine does meets both."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

Work = Callable[[], object]


@dataclass(frozen=True)
class Figure:
    """One speed, against another one.

    Attributes:
        name: by which it is asked for.
        compared: what was timed against what, in words.
        ours: median speed of our part, in ``unit``.
        against: median speed of the plain part, in ``unit``.
        ratio: median over rounds of ours to the plain one's; above 1 ours is faster.
        ratio_low: lower quartile of the rounds' ratios.
        ratio_high: upper quartile of them.
        unit: of both speeds.
        size: units in one round.
        rounds: pairs that were timed.
    """

    name: str
    compared: str
    ours: float
    against: float
    ratio: float
    ratio_low: float
    ratio_high: float
    unit: str
    size: int
    rounds: int


def in_turns(
    name: str,
    compared: str,
    ours: Work,
    against: Work,
    *,
    size: int,
    unit: str,
    limit_s: float = 12.0,
    most_rounds: int = 41,
) -> Figure:
    """Returns a figure of rounds that time both parts one after the other, the first one changing each round.

    Args:
        name: of the figure.
        compared: what is timed against what, in words.
        ours: one round's work of our part.
        against: one round's work of the plain part.
        size: units that either works through in a round.
        unit: of the speeds, per second.
        limit_s: no round begins later than this, except the first three.
        most_rounds: no more rounds than this.
    """
    ours()
    against()
    seconds: list[tuple[float, float]] = []
    began = time.perf_counter()
    while len(seconds) < 3 or (len(seconds) < most_rounds and time.perf_counter() - began < limit_s):
        if len(seconds) % 2:
            plain = seconds_of(against)
            seconds.append((seconds_of(ours), plain))
        else:
            own = seconds_of(ours)
            seconds.append((own, seconds_of(against)))
    low, middle, high = statistics.quantiles([plain / own for own, plain in seconds], n=4, method="inclusive")
    return Figure(
        name=name,
        compared=compared,
        ours=round(size / statistics.median(own for own, _ in seconds)),
        against=round(size / statistics.median(plain for _, plain in seconds)),
        ratio=round(middle, 3),
        ratio_low=round(low, 3),
        ratio_high=round(high, 3),
        unit=unit,
        size=size,
        rounds=len(seconds),
    )


def seconds_of(work: Work) -> float:
    """Returns how long a piece of work takes, once."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began
