"""A smooth curve through observations on whatever dates they lie."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from geoml_ops.domain.covariates.compiling import compiled


@compiled
def smooth(days: NDArray[np.float64], values: NDArray[np.float64], period_days: float) -> NDArray[np.float64]:
    """Returns the natural cubic smoothing spline on its own dates (Reinsch 1967, doi:10.1007/BF02162161).

    It is the smallest ``sum (y - f)^2 + penalty * integral of f''^2``: Whittaker's smoother (1922) for dates that
    are not equally far apart. The penalty is ``(period / 2 pi)^4`` over the mean distance of dates, so that of a wave
    of ``period_days`` one half is left, of one twice as long 94 %, and of one half as long 6 %.

    Args:
        days: ``(n,)`` ascending, no two alike.
        values: ``(n,)`` on them.
        period_days: 0 leaves the values as they are, as do fewer than three of them.
    """
    n = len(days)
    if n < 3 or period_days <= 0.0:
        return values.copy()
    step = np.empty(n - 1)
    for i in range(n - 1):
        step[i] = days[i + 1] - days[i]
    penalty = (period_days / (2.0 * math.pi)) ** 4 * (n - 1) / (days[n - 1] - days[0])
    # Rows of Q' are second differences; (R + penalty Q'Q) bend = Q'y, five diagonals, solved as L D L'.
    bend, diagonal = np.empty(n - 2), np.empty(n - 2)
    first, second = np.zeros(n - 2), np.zeros(n - 2)
    for i in range(n - 2):
        before, after = 1.0 / step[i], 1.0 / step[i + 1]
        bend[i] = (values[i + 2] - values[i + 1]) * after - (values[i + 1] - values[i]) * before
        on = (step[i] + step[i + 1]) / 3.0 + penalty * (before**2 + (before + after) ** 2 + after**2)
        if i >= 1:
            beyond = 1.0 / step[i - 1]
            beside = step[i] / 6.0 - penalty * before * ((beyond + before) + (before + after))
            if i >= 2:
                second[i] = penalty / (step[i - 1] * step[i]) / diagonal[i - 2]
                beside -= second[i] * diagonal[i - 2] * first[i - 1]
                on -= second[i] ** 2 * diagonal[i - 2]
                bend[i] -= second[i] * bend[i - 2]
            first[i] = beside / diagonal[i - 1]
            on -= first[i] ** 2 * diagonal[i - 1]
            bend[i] -= first[i] * bend[i - 1]
        diagonal[i] = on
    for i in range(n - 3, -1, -1):
        bend[i] /= diagonal[i]
        if i + 1 < n - 2:
            bend[i] -= first[i + 1] * bend[i + 1]
        if i + 2 < n - 2:
            bend[i] -= second[i + 2] * bend[i + 2]
    found = values.copy()
    for i in range(n - 2):
        before, after = penalty / step[i], penalty / step[i + 1]
        found[i] -= before * bend[i]
        found[i + 1] += (before + after) * bend[i]
        found[i + 2] -= after * bend[i]
    return found
