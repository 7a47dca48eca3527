"""Bands delivered under each other's names: another order explains the tiles, the declared one does not.

Two bands that look alike on this ground (neighbouring red edges) cannot be told apart, and need not be: nothing is
named where the declared order is as calm scenes are.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from geoml_ops.domain.diagnosis.looking import LEAST_EXPLAINED, Finding, Look
from geoml_ops.domain.diagnosis.matching import Pair

Floats = NDArray[np.float64]
_FARTHEST = 10.0


def swap(look: Look) -> Finding | None:
    """Returns the order that bands were delivered in, where it is not the declared one."""
    n = len(look.bands)
    if n < 2 or not look.is_off.any():
        return None
    cost = _costs(look)
    order = linear_sum_assignment(cost)[1]
    cycles = [cycle for cycle in _cycles(order) if _is_wrong(look, cycle, cost, order)]
    if not cycles:
        return None
    taken = np.arange(n)
    for cycle in cycles:
        taken[cycle] = order[cycle]
    # Band i as delivered shows what band taken[i] should.
    y = np.empty_like(look.pair.y)
    y[taken] = look.pair.y
    undone = look.pair.seen_as(y)
    moved = taken != np.arange(n)
    score = look.explained(undone, moved)
    if score < LEAST_EXPLAINED or not (look.past or look.is_repaired(undone, moved)):
        return None
    return _told(look, taken, moved, score, undone)


def _told(look: Look, taken: NDArray[np.intp], moved: NDArray[np.bool_], score: float, undone: Pair) -> Finding:
    names = look.names(moved)
    shown = [f"{look.bands[i]} shows what {look.bands[taken[i]]} should" for i in np.nonzero(moved)[0][:4]]
    way = _way(taken, moved, names)
    sentence = (
        f"{way}: {', '.join(shown)} {look.ground}; in that order bands are {look.misfit(undone)[moved].mean():.1f} "
        f"spreads of calm scenes off, in the declared one {look.off[moved].mean():.1f}"
    )
    numbers = {
        "off as declared": float(look.off[moved].mean()),
        "off in that order": float(look.misfit(undone)[moved].mean()),
    }
    return Finding("band swap", score, sentence, numbers, names, "bands", undone, look.explained(undone))


def _way(taken: NDArray[np.intp], moved: NDArray[np.bool_], names: tuple[str, ...]) -> str:
    n = taken.size
    if n > 2 and (taken == np.arange(n)[::-1]).all():
        return "The order of all bands is reversed"
    if moved.sum() == 2:
        return f"{names[0]} and {names[1]} are exchanged"
    return f"{int(moved.sum())} bands are in another order"


def _costs(look: Look) -> Floats:
    """How far band i as seen is from band j as expected, in spreads of j ``(i, j)``."""
    far = np.empty((len(look.bands),) * 2)
    for j, (x, spread) in enumerate(zip(look.pair.x, look.spread, strict=True)):
        far[:, j] = np.minimum(np.abs(look.pair.y - x) / spread, _FARTHEST).mean(axis=(1, 2))
    return far


def _cycles(order: NDArray[np.intp]) -> list[list[int]]:
    left, found = set(range(order.size)), []
    while left:
        cycle, at = [], min(left)
        while at in left:
            left.remove(at)
            cycle.append(at)
            at = int(order[at])
        if len(cycle) > 1:
            found.append(cycle)
    return found


def _is_wrong(look: Look, cycle: list[int], cost: Floats, order: NDArray[np.intp]) -> bool:
    """Whether the declared order of these bands is not as in calm scenes, and the other one is much better."""
    declared = cost[cycle, cycle].sum()
    other = cost[cycle, order[cycle]].sum()
    limit = (look.calm_off.middle + look.calm_off.limit)[cycle].sum()
    return bool(declared > limit and declared - other > 0.5 * (declared - look.calm_off.middle[cycle].sum()))
