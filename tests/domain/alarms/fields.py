"""Scenes of stationary Gaussian fields in three bands, and what is measured on them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

from geoml_ops.domain.alarms import History, StandardRules, calibrate, largest, score, standardise
from tests.domain.alarms.scenes import field, key

N_BANDS, TILE_PX = 3, 16
#: Signed shift of each band, its 1-Wasserstein distance, and the largest distance of its tiles.
TWO_SIDED = np.array([True] * N_BANDS + [False] * 2 * N_BANDS)
_NORMAL = stats.norm.ppf((np.arange(64 * 64) + 0.5) / 64**2)


def bands(rng: np.random.Generator) -> np.ndarray:
    """One scene ``(band, y, x)``; bands share half of their variance."""
    common = field(rng)
    return np.stack([np.sqrt(0.5) * common + np.sqrt(0.5) * field(rng) for _ in range(N_BANDS)])


def measured(scene: np.ndarray) -> np.ndarray:
    """Statistics of a scene against the law of all scenes."""
    n = scene.shape[1] // TILE_PX
    tiles = scene.reshape(N_BANDS, n, TILE_PX, n, TILE_PX).swapaxes(2, 3).reshape(N_BANDS, n * n, TILE_PX**2)
    whole = np.abs(np.sort(scene.reshape(N_BANDS, -1), axis=1) - _NORMAL).mean(axis=1)
    expected = stats.norm.ppf((np.arange(TILE_PX**2) + 0.5) / TILE_PX**2)
    of_tiles = np.abs(np.sort(tiles, axis=2) - expected).mean(axis=2)
    return np.concatenate([scene.mean(axis=(1, 2)), whole, of_tiles.max(axis=1)])


def ks_fires(scene: np.ndarray, reference: np.ndarray) -> bool:
    """Whether a Kolmogorov-Smirnov test of pixels says that any band drifted, at 5 %."""
    return any(
        stats.ks_2samp(now.ravel(), before.ravel(), method="asymp").pvalue < 0.05
        for now, before in zip(scene, reference, strict=True)
    )


@dataclass(frozen=True)
class Counts:
    """Scenes that were judged, and how many fired by whole scenes, by pixels, and by scenes without keys."""

    n: int
    alarms: int
    ks: int


def world(seed: int, *, n_history: int, n_new: int, alpha: float, with_ks: bool) -> Counts:
    """One stream of four months whose level differs far more than its scenes do: history, then new scenes."""
    rng = np.random.default_rng(seed)
    scenes = [bands(rng) for _ in range(n_history + n_new)]
    months = np.arange(len(scenes)) % 4
    level = np.array([-4.0, 0.0, 3.0, 9.0])[months]
    values = np.array([measured(scene) for scene in scenes])
    values[:, :N_BANDS] += level[:, None]
    keys = [key(m + 5) for m in months.tolist()]
    times = np.datetime64("2021-01-01") + np.arange(len(scenes))
    past, new = (History(keys[s], times[s], values[s]) for s in (slice(n_history), slice(n_history, None)))
    rules = StandardRules()
    threshold = calibrate(largest(standardise(past, rules).values, complete=True, two_sided=TWO_SIDED), alpha=alpha)
    top = largest(score(past, new, rules).values, complete=False, two_sided=TWO_SIDED)
    assert threshold.calibrated
    fired = 0
    if with_ks:
        reference = np.concatenate([s.reshape(N_BANDS, -1) for s in scenes[:20]], axis=1)
        fired = sum(ks_fires(scene, reference) for scene in scenes[n_history:])
    return Counts(n_new, int(threshold.exceeded(top).sum()), fired)
