"""Which of many regions or strata drift, with a stated share of false ones among those named."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from geoml_ops.core.errors import BadInput
from geoml_ops.domain.alarms.history import Floats

Dependence = Literal["bh", "by"]


@dataclass(frozen=True, eq=False)
class Strata:
    """Strata that were tested together.

    Attributes:
        q_values: smallest false discovery rate at which a stratum is named; NaN where it was not tested.
        named: the strata at the stated rate.
        n_tested: strata with a p-value.
    """

    q_values: Floats
    named: NDArray[np.bool_]
    n_tested: int


def discoveries(p_values: Floats, *, rate: float, dependence: Dependence = "bh") -> Strata:
    """Returns which strata drift at a stated false discovery rate.

    ``bh`` (Benjamini & Hochberg 1995) holds for independent and for positively dependent strata, which neighbours
    and p-values that share a calibration are (Benjamini & Yekutieli 2001; Bates et al. 2023, Annals of Statistics
    51); ``by`` (Benjamini & Yekutieli 2001) holds under any dependence and costs a factor of about ``ln n``.

    Args:
        p_values: one per stratum; NaN for "no reference yet" or "uncalibrated": not tested, never named.
        rate: stated false discovery rate, 0 to 1.
        dependence: ``bh`` or ``by``.

    Raises:
        BadInput: a p-value or the rate is no share, or the procedure is unknown.
    """
    p = np.asarray(p_values, dtype=np.float64)
    tested = ~np.isnan(p)
    if p.ndim != 1 or bool(((p[tested] < 0) | (p[tested] > 1)).any()):
        raise BadInput("The p-values of the strata are not one value from 0 to 1 each.", "give NaN where untested")
    if not 0 < rate < 1:
        raise BadInput(f"A false discovery rate of {rate:g} is no share.", "use a value between 0 and 1")
    if dependence not in ("bh", "by"):
        raise BadInput(f"{str(dependence)[:60]!r} is no procedure for strata.", "use bh or by")
    q = np.full(p.shape, np.nan)
    if tested.any():
        q[tested] = stats.false_discovery_control(p[tested], method=dependence)
    return Strata(q, np.asarray(np.nan_to_num(q, nan=1.0) <= rate, dtype=bool), int(tested.sum()))
