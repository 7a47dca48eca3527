"""How unusual the surroundings of a tile are: conditional permutation, refined where it matters."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from geoml_ops.domain.hotspots.discoveries import rejected

_TENFOLD = 10
_FEW = 20
_SLACK = 1e-9


def pseudo_p(
    z: NDArray[np.float64],
    neighbours: NDArray[np.int64],
    *,
    permutations: int,
    finest: int,
    alpha: float,
    seed: int,
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Returns two-sided pseudo p-values of neighbourhood sums ``(n,)``, and the permutations behind each.

    The number of a tile stays, those around it are drawn from all others without replacement (Anselin 1995); the
    p-value is twice the smaller of ``(1 + as high)/(1 + P)`` and ``(1 + as low)/(1 + P)``, at most 1. The folded
    one-sided number that some programs print is half of that, and rejects twice as often as it says.

    With P permutations no p-value is below ``2/(1 + P)``, and a false discovery rate over n tiles finds nothing
    smaller than ``2n/(alpha (1 + P))`` tiles. So tiles that are near the floor and not yet found get ten times the
    permutations, drawn afresh, until they are found, no longer near it, or have ``finest``.

    Args:
        z: ``(n,)`` numbers of tiles, all finite, of spread 1, in an order that follows from the ground.
        neighbours: ``(n, k)`` positions, -1 for none; every tile has one or more.
        permutations: of the first round.
        finest: most permutations of a round.
        alpha: false discovery rate at which refining ends.
        seed: of the draws.
    """
    rng = np.random.default_rng(seed)
    todo = np.arange(len(z))
    p, spent = np.ones(len(z)), np.zeros(len(z), dtype=np.int64)
    draws = permutations
    while todo.size:
        extreme = _extremes(z, neighbours, todo, draws, rng)
        p[todo] = np.minimum(1.0, 2.0 * (extreme + 1) / (draws + 1))
        spent[todo] = draws
        if draws >= finest:
            break
        todo = todo[(extreme < _FEW) & ~rejected(p, alpha)[todo]]
        draws = min(draws * _TENFOLD + _TENFOLD - 1, finest)
    return p, spent


def _extremes(
    z: NDArray[np.float64],
    neighbours: NDArray[np.int64],
    todo: NDArray[np.int64],
    draws: int,
    rng: np.random.Generator,
) -> NDArray[np.int64]:
    """Returns for each tile how many of the draws are as far out as its neighbours, on the side that has fewer."""
    n_around = (neighbours >= 0).sum(axis=1)
    seen = np.where(neighbours >= 0, z[neighbours], 0.0).sum(axis=1)
    n, most = len(z), int(n_around[todo].max())
    ranks = _ranks(n - 1, most, draws, rng)
    # All draw the same ranks, but each counts from its own place on a shuffled ring: no luck of the draw is common.
    order = rng.permutation(n)
    ring, places = np.tile(z[order], 2), np.argsort(order)
    drawn, sums = np.empty((most, draws)), np.empty(draws)
    found = np.empty(len(todo), dtype=np.int64)
    for number, tile in enumerate(todo.tolist()):
        k, place = int(n_around[tile]), int(places[tile])
        np.take(ring[place + 1 : place + n], ranks[:k], out=drawn[:k], mode="clip")
        np.add.reduce(drawn[:k], axis=0, out=sums)
        slack = _SLACK * k
        high = np.count_nonzero(sums >= seen[tile] - slack)
        low = np.count_nonzero(sums <= seen[tile] + slack)
        found[number] = min(high, low)
    return found


def _ranks(n: int, k: int, draws: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Returns ``(k, draws)`` numbers below n, different within a draw: Floyd's sampling, then a shuffle."""
    found = np.empty((k, draws), dtype=np.int64)
    for place, most in enumerate(range(n - k, n)):
        drawn = rng.integers(0, most + 1, draws)
        taken = (found[:place] == drawn).any(axis=0) if place else np.zeros(draws, dtype=np.bool_)
        found[place] = np.where(taken, most, drawn)
    return np.asarray(rng.permuted(found, axis=0))
