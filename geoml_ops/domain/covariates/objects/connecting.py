"""Segments that hang together: every part of a cluster is one, and what is too small joins its nearest kin."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from geoml_ops.domain.covariates.compiling import compiled


def connected(labels: NDArray[np.int32]) -> tuple[NDArray[np.int32], int]:
    """Returns the parts of equal labels that share edges, numbered from 0 by their first pixel, and how many.

    Args:
        labels: ``(y, x)``, negative for nothing, which stays -1.
    """
    parts = np.empty(labels.shape, dtype=np.int32)
    return parts, int(_connect(labels, parts))


def merged(
    parts: NDArray[np.int32], n_parts: int, scaled: NDArray[np.float32], least_px: int
) -> tuple[NDArray[np.int32], int]:
    """Returns parts of at least so many pixels, numbered from 0 by their first pixel, and how many; changes ``parts``.

    In rounds, every part that is too small joins the neighbour across an edge whose mean features are nearest to
    its own (of several the first). Small parts without a neighbour stay.

    Args:
        parts: ``(y, x)`` connected parts, -1 for nothing.
        n_parts: how many.
        scaled: ``(feature, y, x)``.
        least_px: number of pixels of the smallest part.
    """
    parent = np.arange(n_parts, dtype=np.int32)
    counts, sums = _totals(parts, n_parts, scaled)
    while _join(parts, parent, counts, sums, least_px):
        pass
    kept = np.flatnonzero(parent == np.arange(n_parts))
    number = np.full(n_parts + 1, -1, dtype=np.int32)
    number[kept] = np.arange(len(kept), dtype=np.int32)
    number[:-1] = number[parent]
    for row in parts:
        row[:] = number[row]  # the last is -1
    return parts, len(kept)


@compiled
def _root(parent: NDArray[np.int32], i: int) -> int:
    while parent[i] != i:
        parent[i] = parent[parent[i]]
        i = parent[i]
    return i


@compiled
def _unite(parent: NDArray[np.int32], i: int, j: int) -> None:
    i, j = _root(parent, i), _root(parent, j)
    if i < j:
        parent[j] = i
    elif j < i:
        parent[i] = j


@compiled
def _connect(labels: NDArray[np.int32], parts: NDArray[np.int32]) -> int:
    height, width = labels.shape
    flat = parts.reshape(height * width)
    for r in range(height):
        for c in range(width):
            i = r * width + c
            flat[i] = i
            if c and labels[r, c] == labels[r, c - 1]:
                _unite(flat, i, i - 1)
            if r and labels[r, c] == labels[r - 1, c]:
                _unite(flat, i, i - width)
    # Parents come before their children: each can be overwritten by its number, marked as such by its sign.
    n = 0
    for r in range(height):
        for c in range(width):
            i = r * width + c
            if flat[i] != i:
                flat[i] = flat[flat[i]]
            elif labels[r, c] < 0:
                flat[i] = -1
            else:
                flat[i] = -2 - n
                n += 1
    for i in range(height * width):
        flat[i] = -1 if flat[i] == -1 else -2 - flat[i]
    return n


@compiled
def _totals(
    parts: NDArray[np.int32], n: int, scaled: NDArray[np.float32]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    n_features, height, width = scaled.shape
    counts, sums = np.zeros(n, dtype=np.int64), np.zeros((n, n_features))
    for r in range(height):
        for c in range(width):
            k = parts[r, c]
            if k >= 0:
                counts[k] += 1
                for f in range(n_features):
                    sums[k, f] += scaled[f, r, c]
    return counts, sums


@compiled
def _join(
    parts: NDArray[np.int32],
    parent: NDArray[np.int32],
    counts: NDArray[np.int64],
    sums: NDArray[np.float64],
    least: int,
) -> bool:
    """Joins every small part to its nearest kin, once; says whether there was one."""
    height, width = parts.shape
    unlike = np.full(len(parent), np.inf)
    kin = np.full(len(parent), -1, dtype=np.int32)
    small = counts < least
    for r in range(height):
        for c in range(width):
            if parts[r, c] < 0:
                continue
            a = parent[parts[r, c]]
            for side in range(2):
                rr, cc = (r, c + 1) if side else (r + 1, c)
                if rr == height or cc == width or parts[rr, cc] < 0:
                    continue
                b = parent[parts[rr, cc]]
                if a != b and (small[a] or small[b]):
                    _weigh(a, b, counts, sums, small, unlike, kin)
    joined = False
    for k in range(len(parent)):
        if kin[k] >= 0:
            _unite(parent, k, kin[k])
            joined = True
    for k in range(len(parent)):
        root = _root(parent, k)
        parent[k] = root
        if root != k and counts[k] > 0:
            counts[root] += counts[k]
            for f in range(sums.shape[1]):
                sums[root, f] += sums[k, f]
            counts[k] = 0
    return joined


@compiled
def _weigh(
    a: int,
    b: int,
    counts: NDArray[np.int64],
    sums: NDArray[np.float64],
    small: NDArray[np.bool_],
    unlike: NDArray[np.float64],
    kin: NDArray[np.int32],
) -> None:
    """Notes each as the kin of the other, if that one is small and knows none that is nearer."""
    found = 0.0
    for f in range(sums.shape[1]):
        step = sums[a, f] / counts[a] - sums[b, f] / counts[b]
        found += step * step
    if small[a] and (found < unlike[a] or (found == unlike[a] and b < kin[a])):
        unlike[a] = found
        kin[a] = b
    if small[b] and (found < unlike[b] or (found == unlike[b] and a < kin[b])):
        unlike[b] = found
        kin[b] = a
