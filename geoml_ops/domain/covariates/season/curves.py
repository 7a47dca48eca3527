"""What can be read off a curve that runs straight between dates: peaks, feet, crossings, areas."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from geoml_ops.domain.covariates.compiling import compiled

REACH_DAYS = 274.0
"""Nine months: within them lies one valley of a yearly course on either side of its peak."""


@compiled
def peaks(curve: NDArray[np.float64], first: int, last: int, prominent: float, faint: float) -> tuple[int, int]:
    """Returns where the highest local maximum from first to last begins (-1 for none), and how many are prominent."""
    highest, n_prominent = -1, 0
    left = first
    while left <= last:
        right = left
        while right + 1 < len(curve) and curve[right + 1] == curve[left]:
            right += 1
        inner = left > 0 and right + 1 < len(curve)
        if inner and curve[left - 1] < curve[left] > curve[right + 1]:
            falls = prominence(curve, left, right)
            n_prominent += falls >= prominent
            if falls > faint and (highest < 0 or curve[left] > curve[highest]):
                highest = left
        left = right + 1
    return highest, n_prominent


@compiled
def prominence(curve: NDArray[np.float64], left: int, right: int) -> float:
    """Returns how far the curve falls on both sides of a peak before it rises higher or the record ends."""
    low_before = low_after = curve[left]
    place = left - 1
    while place >= 0 and curve[place] <= curve[left]:
        low_before = min(low_before, curve[place])
        place -= 1
    place = right + 1
    while place < len(curve) and curve[place] <= curve[left]:
        low_after = min(low_after, curve[place])
        place += 1
    return float(curve[left] - max(low_before, low_after))


@compiled
def vertex(when: NDArray[np.float64], curve: NDArray[np.float64], top: int) -> float:
    """Returns the day on which the parabola through an observation and its two neighbours is highest."""
    rising = (curve[top] - curve[top - 1]) / (when[top] - when[top - 1])
    falling = (curve[top + 1] - curve[top]) / (when[top + 1] - when[top])
    bend = (falling - rising) / (when[top + 1] - when[top - 1])
    return float((when[top - 1] + when[top]) / 2.0 - rising / (2.0 * bend))


@compiled
def foot(when: NDArray[np.float64], curve: NDArray[np.float64], top: int, step: int) -> int:
    """Returns the lowest observation of a side within nine months and before any that is higher than the top."""
    lowest = place = top + step
    while 0 <= place < len(curve) and abs(when[place] - when[top]) <= REACH_DAYS and curve[place] <= curve[top]:
        if curve[place] < curve[lowest]:
            lowest = place
        place += step
    return int(lowest)


@compiled
def crossing(
    when: NDArray[np.float64], curve: NDArray[np.float64], top: int, foot: int, level: float, longest_gap_days: float
) -> float:
    """Returns the day on which the curve first reaches a level on the way from top to foot; NaN beyond a long gap."""
    step = 1 if foot > top else -1
    place = top
    while place != foot:
        near, far = place, place + step
        if abs(when[far] - when[near]) > longest_gap_days:
            return np.nan
        if curve[far] <= level:
            share = (curve[near] - level) / (curve[near] - curve[far])
            return float(when[near] + share * (when[far] - when[near]))
        place = far
    return float(when[foot])


@compiled
def area(when: NDArray[np.float64], curve: NDArray[np.float64], start: float, end: float) -> float:
    """Returns the integral of the curve over days, straight between observations."""
    total = 0.0
    for place in range(len(when) - 1):
        left, right = max(start, when[place]), min(end, when[place + 1])
        if left < right:
            slope = (curve[place + 1] - curve[place]) / (when[place + 1] - when[place])
            middle = curve[place] + slope * ((left + right) / 2.0 - when[place])
            total += middle * (right - left)
    return total
