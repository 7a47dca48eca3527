"""Numbers that look random and follow from content alone: the same ground is drawn whatever else is delivered."""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray


def seed_of(name: str, seed: int) -> np.uint64:
    """Returns the number that a name and a seed stand for, 0 to 2^64 - 1."""
    return np.uint64(int.from_bytes(hashlib.sha256(f"{name}/{seed}".encode()).digest()[:8], "big"))


def priority(rows: NDArray[np.int64], cols: NDArray[np.int64], seed: np.uint64) -> NDArray[np.uint64]:
    """Returns a number per pixel that looks random and depends on nothing but the pixel and the seed.

    Two pixels of a grid never share one. The mixing steps are SplitMix64 (Steele, Lea and Flood 2014).
    """
    z = (rows.astype(np.uint64) << np.uint64(32)) + cols.astype(np.uint64)
    z = z * np.uint64(0x9E3779B97F4A7C15) + seed
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(z ^ (z >> np.uint64(31)), dtype=np.uint64)
