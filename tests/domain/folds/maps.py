"""Generated landscapes whose every pixel is known, and what folds say about maps of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from geoml_ops.domain.folds import BlockFolds, KNNDMFolds, NNDMFolds, PredictionPoints, RandomFolds, Samples

PIXEL_M = 10.0
CORNER = np.array([500_000.0, 5_000_000.0])
Design = Literal["clustered", "random"]


def gaussian_fields(rng: np.random.Generator, side: int, scale: float, count: int, power: float) -> NDArray[np.float64]:
    """Stationary fields ``(count, side, side)`` of covariance ``exp(-(h / scale)^power)``, by circulant embedding."""
    lag = np.minimum(np.arange(2 * side), 2 * side - np.arange(2 * side))
    covariance = np.exp(-((np.hypot(*np.meshgrid(lag, lag)) / scale) ** power))
    spectrum = np.sqrt(np.maximum(np.fft.fft2(covariance).real, 0))
    noise = rng.normal(size=(count, 2 * side, 2 * side)) + 1j * rng.normal(size=(count, 2 * side, 2 * side))
    return np.asarray((np.fft.fft2(spectrum * noise, axes=(1, 2)).real / (2 * side))[:, :side, :side])


@dataclass(frozen=True)
class Landscape:
    """Three equally common classes cut from a field, seen dimly by one feature; three more only follow the ground.

    The field's covariance is exponential and its effective range a sixth of the side, so that 36 blocks are as
    wide as the range. The smooth features are what makes a model remember places.

    Attributes:
        side: pixels.
        code: ``(side * side,)``.
        features: ``(side * side, 4)``.
    """

    side: int
    code: NDArray[np.int64]
    features: NDArray[np.float32]

    @classmethod
    def of(cls, seed: int, side: int) -> Landscape:
        rng = np.random.default_rng([seed, 1])
        truth, blur = gaussian_fields(rng, side, side / 18, 2, 1.0)
        smooth = gaussian_fields(rng, side, side / 5, 3, 1.9)
        code = np.digitize(truth, np.quantile(truth, [1 / 3, 2 / 3]))
        layers = np.stack([truth + 1.5 * blur, *smooth])
        return cls(side, code.ravel().astype(np.int64), layers.reshape(4, -1).T.astype(np.float32))

    def drawn(self, seed: int, design: Design, n: int) -> NDArray[np.int64]:
        """Pixels of a simple random sample, or of one in twenty clusters."""
        rng = np.random.default_rng([seed, 2])
        if design == "random":
            return np.sort(rng.choice(self.side**2, n, replace=False))
        middles, found = rng.uniform(0, self.side, (20, 2)), set[int]()
        while len(found) < n:
            row, col = np.floor(middles[rng.integers(20)] + rng.normal(0, self.side / 40, 2)).astype(int)
            if 0 <= row < self.side and 0 <= col < self.side:
                found.add(int(row * self.side + col))
        return np.array(sorted(found))

    def samples(self, seed: int, pixels: NDArray[np.int64]) -> Samples:
        """These pixels as samples, each a polygon of its own, with a thousand pixels of the map."""
        mapped = np.random.default_rng([seed, 3]).choice(self.side**2, 1000, replace=False)
        here, there = self._ground(pixels), self._ground(mapped)
        return Samples(
            "EPSG:32633",
            True,
            PIXEL_M,
            *here,
            *here,
            np.arange(len(pixels)),
            self.code[pixels],
            features=self.features[pixels],
            points=PredictionPoints(*there, self.features[mapped]),
        )

    def _ground(self, pixels: NDArray[np.int64]) -> NDArray[np.float64]:
        row, col = np.divmod(pixels, self.side)
        return np.stack([col, row]) * PIXEL_M + PIXEL_M / 2 + CORNER[:, None]


def estimates(
    seed: int, design: Design, model: Any, *, side: int = 60, n: int = 250, more: bool = False
) -> dict[str, float]:
    """Accuracy of the map outside the samples (``map``), and what each kind of fold says it is.

    ``switched`` is 1 where kNNDM took random folds, ``same`` where these are those of :class:`RandomFolds`
    index by index. ``more`` adds NNDM, and kNNDM with k-means and in feature space.
    """
    land = Landscape.of(seed, side)
    pixels = land.drawn(seed, design, n)
    samples = land.samples(seed, pixels)
    x, y = land.features[pixels], land.code[pixels]
    rest = np.setdiff1d(np.arange(side**2), pixels)
    told = {"map": float((model.fit(x, y).predict(land.features[rest]) == land.code[rest]).mean())}
    matched, random = KNNDMFolds(samples, n_folds=10, seed=seed), RandomFolds(samples, n_folds=10, seed=seed)
    block_m = side * PIXEL_M / 6
    kinds = {"random": random, "block": BlockFolds(samples, n_folds=6, block_m=block_m, seed=seed), "knndm": matched}
    if more:
        kinds["nndm"] = NNDMFolds(samples, tested=50, seed=seed)
        kinds["knndm, k-means"] = KNNDMFolds(samples, n_folds=10, seed=seed, clustering="kmeans")
        kinds["knndm, features"] = KNNDMFolds(samples, n_folds=10, seed=seed, space="features")
    for name, folds in kinds.items():
        right = [model.fit(x[train], y[train]).predict(x[test]) == y[test] for train, test in folds.splits()]
        told[name] = float(np.concatenate(right).mean())
    pairs = zip(matched.splits(), random.splits(), strict=True)
    told["same"] = float(all(np.array_equal(a, b) for one, other in pairs for a, b in zip(one, other, strict=True)))
    told["switched"] = float(matched.matching.switched_to_random)
    return told


def biases(told: list[dict[str, float]]) -> dict[str, NDArray[np.float64]]:
    """Estimate minus truth per seed, by kind of fold."""
    kinds = [name for name in told[0] if name not in ("map", "same", "switched")]
    return {name: np.array([one[name] - one["map"] for one in told]) for name in kinds}


def wider(one: NDArray[np.float64], other: NDArray[np.float64]) -> tuple[float, float, float]:
    """Absolute bias of one less that of the other over paired seeds, with its 95 % interval (bootstrap of seeds)."""
    drawn = np.random.default_rng(0).integers(0, len(one), (10_000, len(one)))
    differences = np.abs(one[drawn].mean(axis=1)) - np.abs(other[drawn].mean(axis=1))
    low, high = np.quantile(differences, [0.025, 0.975])
    return float(abs(one.mean()) - abs(other.mean())), float(low), float(high)
