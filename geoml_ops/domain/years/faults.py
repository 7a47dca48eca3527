"""Faults of a delivery, as pure functions of its numbers: what a pipeline does to pixels, never what the land does.

All take and return ``(band, y, x)`` uint16; 0 is nodata before and after, and what was observed never becomes 0
unless the fault is about that.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoml_ops.domain.years.observing import cloud_depth, cloud_spectrum

DN = NDArray[np.uint16]
_MOST = np.iinfo(np.uint16).max


def offset(dn: DN, amount: float) -> DN:
    """Returns numbers moved by an amount in every band, as an undeclared processing baseline does."""
    return _kept(dn, dn + float(amount))


def gain(dn: DN, factor: float, bands: Sequence[int] | None = None) -> DN:
    """Returns numbers times a factor in some bands, by position; None for all."""
    factors = np.ones(len(dn))
    factors[list(range(len(dn)) if bands is None else bands)] = factor
    return _kept(dn, dn * factors[:, None, None])


def swap(dn: DN, a: int, b: int) -> DN:
    """Returns the bands with two exchanged, by position."""
    order = list(range(len(dn)))
    order[a], order[b] = order[b], order[a]
    return dn[order]


def missing(dn: DN, band: int, fill: int = 0) -> DN:
    """Returns the bands with one empty (nodata), or filled with one number wherever something was observed."""
    out = dn.copy()
    out[band] = np.where(dn[band] == 0, 0, fill)
    return out


def rescale(dn: DN, factor: float) -> DN:
    """Returns numbers in another unit or scale: all bands times a factor, rounded."""
    return gain(dn, factor)


def clouded(dn: DN, share: float, seed: int = 0) -> DN:
    """Returns the scene under clouds that no mask caught, over a share of the pixels (0 to 1)."""
    if share <= 0:
        return dn.copy()
    cover = np.clip(cloud_depth(dn.shape[1:], share, np.random.default_rng([29, seed])) * 4.0, 0.0, 1.0)
    bright = cloud_spectrum()[: len(dn), None, None]
    return _kept(dn, dn + cover * (bright - dn))


def blank(dn: DN, share: float, seed: int = 0) -> DN:
    """Returns the scene with nodata over a share of the pixels (0 to 1), in blobs as masks leave them."""
    if share <= 0:
        return dn.copy()
    inside = cloud_depth(dn.shape[1:], min(share, 1.0), np.random.default_rng([37, seed])) > 0
    return np.where(inside | (share >= 1), 0, dn).astype(np.uint16)


def resampled(dn: DN, factor: int) -> DN:
    """Returns the scene averaged to pixels ``factor`` times coarser and interpolated back: same grid, blurred."""
    rows, cols = (_blur(side, factor) for side in dn.shape[1:])
    observed = (dn > 0).astype(np.float64)
    weight = rows @ observed @ cols.T
    mean = rows @ dn.astype(np.float64) @ cols.T / np.maximum(weight, 1e-12)
    return _kept(dn, mean)


def moved(dn: DN, pixels: int) -> DN:
    """Returns the scene moved down and right by some pixels (up and left if negative); what it leaves is nodata."""
    out = np.zeros_like(dn)
    keep = [max(0, side - abs(pixels)) for side in dn.shape[1:]]
    first, second = (0, abs(pixels)) if pixels > 0 else (abs(pixels), 0)
    out[:, second : second + keep[0], second : second + keep[1]] = dn[
        :, first : first + keep[0], first : first + keep[1]
    ]
    return out


def _kept(dn: DN, new: NDArray[np.floating[Any]]) -> DN:
    return np.where(dn == 0, 0, np.clip(np.rint(new), 1, _MOST)).astype(np.uint16)


def _blur(side: int, factor: int) -> NDArray[np.float64]:
    """The matrix ``(side, side)`` that averages runs of ``factor`` pixels and interpolates between their middles."""
    n = -(-side // factor)
    edges = np.minimum(np.arange(n + 1) * factor, side)
    down = np.zeros((n, side))
    for cell, (first, last) in enumerate(pairwise(edges.tolist())):
        down[cell, first:last] = 1.0 / (last - first)
    middles, at = (edges[:-1] + edges[1:]) / 2 - 0.5, np.arange(side)
    up = np.stack([np.interp(at, middles, row) for row in np.eye(n)], axis=1)
    return np.asarray(up @ down)
