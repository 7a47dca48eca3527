"""How many units to label, and where, before anybody labels one."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from geoml_ops.core.errors import BadInput

Allocation = Literal["proportional", "rare", "equal", "neyman"]
ALLOCATIONS: tuple[Allocation, ...] = ("proportional", "rare", "equal", "neyman")
LEAST = 50
MOST_UNITS = 100_000
Reals = NDArray[np.float64]


@dataclass(frozen=True)
class Sizes:
    """How many units of each stratum to label, and what that is expected to show.

    Attributes:
        n: units per stratum.
        asked: units that the target asks for; their sum may be more where every stratum needs some.
        overall_se: expected standard error of overall accuracy.
        users_se: expected standard error of user's accuracy, per stratum.
        cautions: sentences that belong to the numbers.
    """

    n: dict[str, int]
    asked: int
    overall_se: float
    users_se: dict[str, float]
    cautions: tuple[str, ...]


def sizes_for(
    units: Mapping[str, int],
    users: Mapping[str, float],
    *,
    se: float | None = None,
    n: int | None = None,
    how: Allocation = "rare",
    least: int = LEAST,
) -> Sizes:
    """Returns sample sizes that reach a standard error of overall accuracy, or that add up to a number.

    ``n = (sum W_h S_h)^2 / (SE^2 + sum W_h S_h^2 / N)`` with ``S_h = sqrt(U_h (1 - U_h))`` (Cochran 1977,
    equation 5.25; Olofsson et al. 2014, equation 13), which holds for the best allocation. ``proportional``
    follows area; ``rare`` does too but gives every stratum ``least`` units (they suggest 50 to 100);
    ``equal`` treats strata alike; ``neyman`` follows ``W_h S_h``. No stratum gets fewer than 2 units, without
    which its variance is undefined, or more than it has.

    Args:
        units: units of each stratum in the whole map, > 0.
        users: expected user's accuracy of each stratum, 0 to 1.
        se: wanted standard error of overall accuracy; or
        n: wanted number of units.
        how: allocation to strata.
        least: units of every stratum under ``rare``.

    Raises:
        BadInput: sizes that cannot be, or neither or both of ``se`` and ``n``.
    """
    names = list(units)
    total, expected = np.array([units[k] for k in names], dtype=np.float64), _expected(names, users)
    _check(names, total, se, n, how)
    weight, spread = total / total.sum(), np.sqrt(expected * (1 - expected))
    asked = n if n is not None else _asked(weight, spread, float(se or 0), float(total.sum()))
    share = {"equal": np.ones(len(names)), "neyman": weight * spread}.get(how, weight)
    if not share.sum() > 0:
        raise BadInput("Every stratum is expected to be right everywhere; no size follows.", "expect less than 1")
    fewest = np.minimum(max(least, 2) if how == "rare" else 2, total)
    found = spread_out(asked, share, fewest, total)
    if found.sum() > MOST_UNITS:
        raise BadInput(
            f"{found.sum():.0f} units are more than anybody labels; the limit is {MOST_UNITS}.",
            "ask for a larger standard error or fewer units",
        )
    variances = spread**2 * (1 - found / total) / found
    overall = float(np.sqrt((weight**2 * variances).sum()))
    return Sizes(
        n={name: int(value) for name, value in zip(names, found, strict=True)},
        asked=asked,
        overall_se=overall,
        users_se={name: float(np.sqrt(value)) for name, value in zip(names, variances, strict=True)},
        cautions=_cautions(int(found.sum()), asked, overall, se, how),
    )


def _expected(names: list[str], users: Mapping[str, float]) -> Reals:
    unknown, absent = sorted(set(users) - set(names)), [name for name in names if name not in users]
    if unknown or absent:
        what = f"{unknown[0][:60]!r} is no stratum" if unknown else f"{absent[0][:60]!r} has no expected accuracy"
        raise BadInput(f"{what}; the strata are {', '.join(names[:20])}.", "give one for each stratum")
    values = np.array([users[name] for name in names], dtype=np.float64)
    if not ((values >= 0) & (values <= 1)).all():
        raise BadInput("An expected user's accuracy is not between 0 and 1.", "write 0.9 for 90 %")
    return values


def _check(names: list[str], total: Reals, se: float | None, n: int | None, how: str) -> None:
    if not names or not (total > 0).all():
        raise BadInput("A stratum without units cannot be sampled.", "leave it out")
    if (se is None) == (n is None):
        raise BadInput("The size follows from a standard error or from a number of units.", "give one of the two")
    if se is not None and not 0 < se < 0.5:
        raise BadInput(f"A standard error of {se:g} is none of a share.", "write 0.01 for one point in a hundred")
    if n is not None and not 2 <= n <= MOST_UNITS:
        raise BadInput(f"{n} units are no sample.", f"ask for 2 to {MOST_UNITS}")
    if how not in ALLOCATIONS:
        raise BadInput(f"There is no allocation {how[:60]!r}.", f"use one of {', '.join(ALLOCATIONS)}")


def _asked(weight: Reals, spread: Reals, se: float, population: float) -> int:
    wanted = (weight @ spread) ** 2 / (se**2 + (weight @ spread**2) / population)
    return max(2, math.ceil(wanted - 1e-9))


def spread_out(total: int, share: Reals, fewest: Reals, most: Reals) -> Reals:
    """Returns whole numbers in proportion to ``share`` within bounds that add up to ``total`` where bounds let them.

    Args:
        total: of the numbers.
        share: of each, in any unit, ``(n,)``, from 0.
        fewest: lower bound of each.
        most: upper bound of each.
    """
    total = int(np.clip(total, fewest.sum(), most.sum()))
    low, high = 0.0, 2.0 * float(np.max(most / np.where(share > 0, share, np.inf), initial=1.0))
    for _ in range(200):
        middle = (low + high) / 2
        under = np.clip(middle * share, fewest, most).sum() < total
        low, high = (middle, high) if under else (low, middle)
    exact = np.clip(high * share, fewest, most)
    found = np.floor(exact + 1e-9)
    for place in np.argsort(found - exact, kind="stable"):
        if found.sum() < total and found[place] < most[place]:
            found[place] += 1
    return found


def _cautions(found: int, asked: int, overall: float, se: float | None, how: Allocation) -> tuple[str, ...]:
    said = []
    if found > asked:
        said.append(f"The least number of units in every stratum makes {found}, more than the {asked} asked for.")
    if found < asked:
        said.append(f"The map has only {found} units; all of them would be labelled.")
    if se is not None and overall > 1.005 * se:
        said.append(
            f"Allocated {how}, {found} units are expected to reach a standard error of {overall:.4f}, not {se:g}; "
            f"about {math.ceil(found * (overall / se) ** 2)} would."
        )
    return tuple(said)
