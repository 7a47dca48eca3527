"""Fewer references that still answer for nearly all of the map.

Any subset only ever raises dissimilarity, so whatever is chosen here, no pixel outside is called inside.
What is chosen decides how many inside pixels are lost. Spreading references evenly (k-center) spends them
on the sparse rim of feature space; so they are chosen as a cover first: greedily, each the one that answers
for most pixels that none answers for yet (the greedy bound of Nemhauser, Wolsey and Fisher 1978). Pixels are
stood for by the samples themselves and by pixels of the map where these are known. What is left of the
budget goes to the samples farthest from every reference (Gonzalez 1985).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from geoml_ops.domain.applicability.distances import BLOCK, Floats, Index, Mask, blocks, nearest, squared_lengths

_ASKED = 8_000
_PIXELS = 2_000
"""Of the map that are asked for in one round; with :data:`_ASKED` samples, 180 MB of bytes at most."""


def thinned(rows: Floats, pixels: Floats, reach: float, most: int, *, seed: int = 0) -> Index:
    """Returns the positions of the rows to keep, ascending; all of them where there are no more than ``most``.

    Args:
        rows: ``(n, d)`` distinct samples.
        pixels: ``(k, d)`` pixels of the map that some row answers for; may be empty.
        reach: distance up to which a row answers for a pixel.
        most: rows to keep, at least 1.
        seed: of the rounds' choices.
    """
    if len(rows) <= most:
        return np.arange(len(rows), dtype=np.int64)
    rng, asked = np.random.default_rng(seed), np.concatenate([rows, pixels])
    # What answers for each of them in any case: a row for itself, its nearest row for a pixel.
    own = np.concatenate([np.arange(len(rows)), nearest(pixels, rows)[1]])
    gap, kept = np.full(len(asked), np.inf), np.zeros(len(rows), dtype=np.bool_)
    while (room := most - int(kept.sum())) and (open_ := np.flatnonzero(gap > reach * reach)).size:
        of_rows = rng.permutation(open_[open_ < len(rows)])[:_ASKED]
        of_pixels = rng.permutation(open_[open_ >= len(rows)])[:_PIXELS]
        questions = np.concatenate([of_rows, of_pixels])
        more = rng.permutation(len(rows))[:_ASKED]
        # Shuffled: among equals the first is chosen, and rows may come sorted by a feature.
        candidates = np.unique(np.concatenate([own[questions], more]))
        candidates = rng.permutation(candidates[~kept[candidates]])
        picked = candidates[cover(_answered(asked[questions], rows[candidates], reach), room)]
        if not len(picked):  # What is left lies a rounding beyond the reach of its own row.
            break
        kept[picked], gap[picked] = True, 0.0
        gap = np.minimum(gap, _gap(asked, rows[picked]))
    return np.sort(_spread(rows, gap[: len(rows)], np.flatnonzero(kept), most))


def cover(answered: NDArray[np.uint8], most: int) -> Index:
    """Returns the columns chosen one after the other, each the one with most rows that no earlier one has.

    >>> cover(np.array([[1, 0, 1], [1, 0, 0], [0, 1, 1]], np.uint8), 3).tolist()
    [0, 1]

    Args:
        answered: ``(questions, candidates)`` 1 where the candidate answers.
        most: columns to choose.
    """
    gain = answered.sum(axis=0, dtype=np.int64)
    open_: Mask = np.ones(len(answered), dtype=np.bool_)
    chosen: list[int] = []
    while len(chosen) < most and gain.max(initial=0) > 0:
        best = int(gain.argmax())
        new = open_ & (answered[:, best] > 0)
        open_ &= ~new
        gain -= answered[new].sum(axis=0, dtype=np.int64)
        chosen.append(best)
    return np.asarray(chosen, dtype=np.int64)


def _answered(questions: Floats, candidates: Floats, reach: float) -> NDArray[np.uint8]:
    out = np.empty((len(questions), len(candidates)), dtype=np.uint8)
    for part, other, found in blocks(questions, candidates):
        out[part, other] = found <= reach * reach
    return out


def _gap(rows: Floats, chosen: Floats) -> Floats:
    """Returns the squared distance of each row to the nearest that was chosen."""
    least = np.full(len(rows), np.inf)
    for part, _, found in blocks(rows, chosen, wide=BLOCK):
        least[part] = np.minimum(least[part], found.min(axis=1))
    return least


def _spread(rows: Floats, gap: Floats, chosen: Index, most: int) -> Index:
    """Returns ``most`` rows: the chosen ones, then each time the row farthest from all before."""
    lengths, kept = squared_lengths(rows), list(chosen)
    gap = gap.copy()
    gap[chosen] = -np.inf
    while len(kept) < most:
        farthest = int(gap.argmax())
        kept.append(farthest)
        gap = np.minimum(gap, lengths - 2.0 * (rows @ rows[farthest]) + lengths[farthest])
        gap[farthest] = -np.inf
    return np.asarray(kept, dtype=np.int64)
