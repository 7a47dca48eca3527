"""How many units of each stratum to label, and how many of them are kept for judging."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from geoml_ops.core.errors import BadInput
from geoml_ops.domain.accuracy import MOST_UNITS, spread_out
from geoml_ops.domain.labelling.strata import Stratum

FEWEST_UNITS = 10
LEAST, DRIFT_WEIGHT, HELD_SHARE = 10, 2.0, 0.5
_VARIANCE = 2


@dataclass(frozen=True)
class Allocated:
    """Sizes of a sample, and what it is expected to show.

    Attributes:
        n: units per stratum.
        n_held: of them kept for judging.
        overall_se: expected standard error of overall accuracy, from all units.
        held_se: from those kept for judging; None without any.
        stratum_se: expected standard error of each stratum's share mapped right; None where nothing is drawn.
        rule: what was done, a sentence.
    """

    n: dict[str, int]
    n_held: dict[str, int]
    overall_se: float
    held_se: float | None
    stratum_se: dict[str, float | None]
    rule: str


def most_strata(n: int, total: int, least: int = LEAST) -> int:
    """Returns how many strata a sample can serve, so that half of it is left to go where it tells most.

    Args:
        n: units to label.
        total: units of the map.
        least: units of every stratum.

    Raises:
        BadInput: a sample that cannot be.
    """
    if not FEWEST_UNITS <= n <= MOST_UNITS:
        raise BadInput(f"{n} units are no sample.", f"ask for {FEWEST_UNITS} to {MOST_UNITS}")
    if n > total:
        raise BadInput(f"{n} units are asked for, and the map has {total}.", "ask for fewer, or for smaller units")
    if least < _VARIANCE:
        raise BadInput(f"{least} units of a stratum have no variance.", f"give every stratum {_VARIANCE} or more")
    return max(1, n // (2 * least))


def allocate(
    strata: Sequence[Stratum],
    n: int,
    *,
    least: int = LEAST,
    held_share: float = HELD_SHARE,
    drift_weight: float = DRIFT_WEIGHT,
) -> Allocated:
    """Returns the sizes of a sample whose every unit has a known chance above 0.

    Each stratum gets ``least`` units (or all it has), the others follow ``N_h S_h`` (Neyman 1934) with ``S_h^2 = p_h
    (1 - p_h)`` of the share expected right, times ``drift_weight`` in hot-spots. A share of each stratum's units, 2
    at least, is kept for judging: a random part of a random sample is one too.

    Args:
        strata: that cover the map.
        n: units to label.
        least: units of every stratum.
        held_share: kept for judging (0 to 1).
        drift_weight: 1 for no favour.

    Raises:
        BadInput: sizes or shares that cannot be.
    """
    if not 0 <= held_share <= 1:
        raise BadInput(f"A share of {held_share:g} cannot be kept for judging.", "write 0.5 for half of the units")
    if not (math.isfinite(drift_weight) and drift_weight >= 1):
        raise BadInput(f"Hot-spots cannot count {drift_weight:g} times.", "give 1 for no favour, 2 for twice as many")
    total = np.array([s.units for s in strata], dtype=np.float64)
    if not strata or n > total.sum() or n < _VARIANCE * len(strata):
        raise BadInput(f"{n} units cannot be drawn from {len(strata)} strata of {total.sum():.0f} units.")
    right = np.array([s.right for s in strata])
    weight, spot = total / total.sum(), np.where([s.hot for s in strata], drift_weight, 1.0)
    found = spread_out(
        n, weight * np.sqrt(right * (1 - right)) * spot, np.minimum(min(least, n // len(strata)), total), total
    )
    held = np.minimum(np.maximum(np.floor(held_share * found + 0.5), _VARIANCE if held_share else 0), found)
    names = [s.name for s in strata]
    return Allocated(
        n={name: int(k) for name, k in zip(names, found, strict=True)},
        n_held={name: int(k) for name, k in zip(names, held, strict=True)},
        overall_se=_overall(weight, right, found, total),
        held_se=_overall(weight, right, held, total) if held.all() else None,
        stratum_se=dict(zip(names, [_se(*each) for each in zip(right, found, total, strict=True)], strict=True)),
        rule=_told(least, held_share, drift_weight, any(s.hot for s in strata)),
    )


def _se(right: float, n: float, total: float) -> float | None:
    return float(math.sqrt(right * (1 - right) * max(1 - n / total, 0) / n)) if n else None


def _overall(weight: np.ndarray, right: np.ndarray, n: np.ndarray, total: np.ndarray) -> float:
    return float(np.sqrt((weight**2 * right * (1 - right) * np.clip(1 - n / total, 0, 1) / n).sum()))


def _told(least: int, held_share: float, drift_weight: float, drift: bool) -> str:
    favour = f", times {drift_weight:g} where most of a stratum is in a hot-spot of drift" if drift else ""
    return (
        f"Simple random sampling without replacement in each stratum. Every stratum gets {least} units or all it has; "
        f"the others follow its size times sqrt(p (1 - p)), p being the share expected right{favour}. "
        f"{held_share:.0%} of each stratum's units (2 at least) are kept for judging and never learned from."
        if held_share
        else f"Simple random sampling without replacement in each stratum. Every stratum gets {least} units or all it "
        f"has; the others follow its size times sqrt(p (1 - p)), p being the share expected right{favour}. "
        "No unit is kept for judging."
    )
