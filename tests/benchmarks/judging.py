"""What honest judging costs: folds, audit and applicability, over growing numbers of samples."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from scipy.spatial.distance import cdist
from sklearn.model_selection import GroupKFold

from geoml_ops.domain import applicability
from geoml_ops.domain.folds import (
    BlockFolds,
    BufferedLeaveOneOut,
    KNNDMFolds,
    PredictionPoints,
    Samples,
    Split,
    units_of,
)
from geoml_ops.domain.folds.audit import audit_splits
from tests.benchmarks.pairs import Figure, Work, in_turns, seconds_of

SIZES = (1_000, 10_000, 100_000)
N_FEATURES = 10


@dataclass(frozen=True)
class Step:
    """Cost of one number of samples."""

    size: int
    seconds: float


@dataclass(frozen=True)
class Curve(Figure):
    """A figure of the largest number of samples, and what smaller numbers cost."""

    curve: tuple[Step, ...] = ()


def clustered(n: int, seed: int = 0, per_polygon: int = 5) -> Samples:
    """Returns samples in clusters of polygons on 100 by 100 km, with features and pixels to map."""
    rng = np.random.default_rng(seed)
    centres = rng.uniform(0, 100_000, (max(20, n // 200), 2))
    anchors = centres[rng.integers(0, len(centres), n // per_polygon)] + rng.normal(0, 2_000, (n // per_polygon, 2))
    polygon = np.repeat(np.arange(len(anchors)), per_polygon)
    places = np.round((anchors[polygon] + rng.uniform(-50, 50, (len(polygon), 2))) / 10) * 10 + 5
    features = rng.normal(size=(len(polygon), N_FEATURES)).astype(np.float32) + places[:, :1].astype(np.float32) / 3e4
    ground = rng.uniform(0, 100_000, (4_000, 2))
    return Samples(
        crs="EPSG:32633", projected=True, pixel_m=10.0,
        easting=places[:, 0], northing=places[:, 1],
        anchor_easting=anchors[polygon, 0], anchor_northing=anchors[polygon, 1],
        polygon=polygon, code=rng.integers(0, 4, len(polygon)), features=features,
        points=PredictionPoints(ground[:, 0], ground[:, 1]),
    )  # fmt: skip


def _curve(name: str, compared: str, work: Callable[[int], tuple[Work, Work]]) -> Curve:
    """Returns one timing of both parts at each size; the figure is that of the largest."""
    steps = []
    for size in SIZES:
        ours, against = work(size)
        if size == SIZES[0]:
            ours()  # what is loaded or compiled once does not count
        steps.append((Step(size, round(seconds_of(ours), 4)), round(seconds_of(against), 4)))
    (last, plain), ratio = steps[-1], round(steps[-1][1] / max(steps[-1][0].seconds, 1e-9), 4)
    return Curve(
        name=name,
        compared=compared,
        ours=round(last.size / max(last.seconds, 1e-9)),
        against=round(last.size / max(plain, 1e-9)),
        ratio=ratio,
        ratio_low=ratio,
        ratio_high=ratio,
        unit="samples/s",
        size=last.size,
        rounds=1,
        curve=tuple(step for step, _ in steps),
    )


def leave_one_out(name: str) -> Figure:
    """Buffered leave-one-out against the plain way: a dense distance matrix and one mask per sample."""
    samples, buffer_m = clustered(4_000), 1_000.0
    ours = BufferedLeaveOneOut(samples, buffer_m=buffer_m, tested=len(samples))
    ground, unit = samples.ground, units_of(samples)

    def dense() -> list[Split]:
        apart = cdist(ground, ground) > buffer_m
        return [(np.flatnonzero(apart[i] & (unit != unit[i])), np.array([i])) for i in range(len(ground))]

    for (train, _), (plain, _) in zip(ours.splits()[::97], dense()[::97], strict=True):
        if not np.array_equal(train, plain):
            raise SystemExit(f"{name}: the two leave other samples out; their speeds say nothing")
    text = "buffered leave-one-out of 4,000 samples by k-d tree, against a dense cdist matrix with one mask per sample"
    return in_turns(name, text, ours.splits, dense, size=len(samples), unit="folds/s")


def blocks(name: str) -> Figure:
    """Balanced, buffered block folds against scikit-learn's GroupKFold on the same blocks."""
    samples = clustered(20_000)
    ours = BlockFolds(samples, n_folds=5, block_m=5_000.0, buffer_m=100.0)
    plain, block = GroupKFold(5), ours.groups()
    text = (
        "block folds of 20,000 samples (polygons whole, classes balanced over many deals, buffer) against "
        "scikit-learn's GroupKFold on the same blocks, which has none of it"
    )
    return in_turns(
        name, text, ours.splits, lambda: list(plain.split(block, groups=block)), size=len(samples), unit="samples/s"
    )


def knndm(name: str) -> Figure:
    """kNNDM folds against GroupKFold on polygons."""

    def work(n: int) -> tuple[Work, Work]:
        samples = clustered(n)
        plain = GroupKFold(5)
        return (
            lambda: KNNDMFolds(samples, n_folds=5).splits(),
            lambda: list(plain.split(samples.polygon, groups=samples.polygon)),
        )

    return _curve(name, "kNNDM folds (Ward) of clustered samples against scikit-learn's GroupKFold on polygons", work)


def audit(name: str) -> Figure:
    """The audit against nothing but the nearest train sample of each test sample."""

    def work(n: int) -> tuple[Work, Work]:
        samples = clustered(n)
        splits = BlockFolds(samples, n_folds=5, block_m=5_000.0, buffer_m=100.0).splits()
        ground = samples.ground

        def nearest() -> list[NDArray[np.float64]]:
            return [cKDTree(ground[train]).query(ground[test])[0] for train, test in splits]

        return lambda: audit_splits(samples, splits), nearest

    text = (
        "audit of five block folds (distances, windows, polygons, scenes, days, duplicates, classes) against one "
        "k-d tree query per fold for the least distance alone"
    )
    return _curve(name, text, work)


def areas(name: str) -> Figure:
    """Fitting the area of applicability against a k-d tree's nearest neighbours in the same weighted space."""

    def work(n: int) -> tuple[Work, Work]:
        samples = clustered(n)
        features = samples.features
        assert features is not None
        splits = BlockFolds(samples, n_folds=5, block_m=5_000.0, buffer_m=100.0).splits()
        names = [f"f{i}" for i in range(N_FEATURES)]

        def tree() -> list[NDArray[np.float64]]:
            return [cKDTree(features[train]).query(features[test])[0] for train, test in splits]

        return lambda: applicability.fit(features, splits, names=names, plan="plan-0000000000000000"), tree

    text = (
        f"area of applicability ({N_FEATURES} features, five folds, threshold, density, thinned to 2,000 references) "
        "against a k-d tree's nearest train sample alone"
    )
    return _curve(name, text, work)


FIGURES: Mapping[str, Callable[[str], Figure]] = {
    "leave_one_out": leave_one_out,
    "blocks": blocks,
    "knndm": knndm,
    "audit": audit,
    "applicability": areas,
}
