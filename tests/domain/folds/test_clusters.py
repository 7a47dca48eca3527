"""Clusters of places and of conditions."""

from __future__ import annotations

import dataclasses
import warnings

import numpy as np
import pytest
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score

from geoml_ops.core.errors import BadInput
from geoml_ops.domain.folds import EnvironmentFolds, SpatialClusterFolds
from geoml_ops.domain.folds import clusters as module
from geoml_ops.domain.folds.clusters import kmeans
from tests.domain.folds.worlds import field, globe, made


def inertia(places: np.ndarray, label: np.ndarray) -> float:
    middles = np.array([places[label == number].mean(axis=0) for number in range(label.max() + 1)])
    return float(np.square(places - middles[label]).sum())


@pytest.mark.parametrize(("n", "d", "k"), [(300, 2, 7), (2000, 2, 50), (800, 6, 12), (500, 3, 20)])
def test_clusters_are_as_tight_as_those_of_scikit_learn(n: int, d: int, k: int) -> None:
    places = np.random.default_rng(n).normal(size=(n, d)) * 1000 + 5.8e6
    label = kmeans(places, k, np.random.default_rng(0))
    oracle = KMeans(k, n_init=10, random_state=0).fit(places)
    assert label.max() == k - 1
    assert inertia(places, label) <= oracle.inertia_ * 1.03


def test_the_best_of_several_beginnings_is_taken() -> None:
    places = np.random.default_rng(0).normal(size=(400, 2))
    one, ten = (
        [inertia(places, kmeans(places, 12, np.random.default_rng(seed), n_init=n)) for seed in range(10)]
        for n in (1, 10)
    )
    assert all(many <= first * (1 + 1e-9) for first, many in zip(one, ten, strict=True))
    assert np.mean(ten) < 0.98 * np.mean(one)


def test_clear_clusters_are_found_in_a_crowd_of_which_a_part_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 8, 30_000)
    places = np.column_stack([truth % 4, truth // 4]) * 5000.0 + rng.normal(0, 200, (30_000, 2))
    assert adjusted_rand_score(kmeans(places, 8, np.random.default_rng(0)), truth) == 1.0
    monkeypatch.setattr(module, "CHUNK", 1000)
    assert adjusted_rand_score(kmeans(places[:3000], 8, np.random.default_rng(0)), truth[:3000]) == 1.0


def test_equal_places_are_never_parted() -> None:
    few = np.repeat(np.random.default_rng(0).uniform(0, 9, (5, 2)), 20, axis=0)
    label = kmeans(few, 9, np.random.default_rng(0))
    assert label.max() == 4
    assert all(len(set(label[start : start + 20])) == 1 for start in range(0, 100, 20))


def test_spatial_clusters_hold_together_across_the_antimeridian() -> None:
    samples = globe(1, 200)
    cluster = SpatialClusterFolds(samples, n_folds=2, clusters=2).groups()
    easts = [np.unwrap(np.radians(np.sort(samples.easting[cluster == number] % 360))) for number in (0, 1)]
    assert all(np.degrees(np.ptp(east)) < 2.1 for east in easts)


@pytest.mark.parametrize(("n_units", "expected"), [(400, 50), (100, 25), (12, 5)])
def test_ten_clusters_per_fold_unless_they_would_be_single_units(n_units: int, expected: int) -> None:
    samples = field(0, n_units, 1, extent_m=90_000.0)
    assert SpatialClusterFolds(samples, n_folds=5).groups().max() == expected - 1
    assert SpatialClusterFolds(samples, n_folds=5, clusters=7).groups().max() == 6


def test_environments_are_told_apart_by_features_whatever_their_units() -> None:
    rng = np.random.default_rng(0)
    kind = rng.integers(0, 4, 200)
    features = np.column_stack([kind % 2 * 1e-4, kind // 2 * 1e6, np.full(200, 7.0)])
    features[:, :2] += rng.normal(0, 1, (200, 2)) * np.array([1e-6, 1e4])
    samples = made(rng.uniform(0, 1e5, (200, 2)), features=features.astype(np.float32))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cluster = EnvironmentFolds(samples, n_folds=2, clusters=4).groups()
    assert adjusted_rand_score(cluster, kind) == 1.0


def test_a_polygon_is_one_environment() -> None:
    samples = field(4, 60, 6)
    noisy = np.random.default_rng(0).normal(size=(360, 3)).astype(np.float32)
    cluster = EnvironmentFolds(dataclasses.replace(samples, features=noisy), n_folds=3).groups()
    assert all(len(set(cluster[samples.polygon == number])) == 1 for number in range(60))


@pytest.mark.parametrize(
    ("features", "sentence"),
    [
        (None, "need features, and these samples have none"),
        (np.zeros((60, 0), dtype=np.float32), "need features"),
        (np.full((60, 2), 3.1, dtype=np.float32), "None of 2 features varies over 60 samples"),
        (
            np.where(np.arange(120).reshape(60, 2) == 7, np.nan, 1.0).astype(np.float32),
            "1 of 60 samples have features that are not numbers .* in 1 of 2",
        ),
        (
            np.where(np.arange(120).reshape(60, 2) < 6, np.inf, 1.0).astype(np.float32),
            "3 of 60 samples .* in 2 of 2 features",
        ),
    ],
)
def test_features_that_place_nobody_are_refused(features: np.ndarray | None, sentence: str) -> None:
    samples = dataclasses.replace(field(0, 20, 3), features=features)
    with pytest.raises(BadInput, match=sentence):
        EnvironmentFolds(samples, n_folds=3).splits()


def test_cluster_counts_that_cannot_be_are_refused() -> None:
    samples = field(0, 20, 3, extent_m=90_000.0)
    with pytest.raises(BadInput, match="2 clusters cannot make 3 folds"):
        SpatialClusterFolds(samples, n_folds=3, clusters=2).splits()
    with pytest.raises(BadInput, match=r"20 polygons \(those whose pixels overlap are one\) cannot make 50 clusters"):
        SpatialClusterFolds(samples, n_folds=3, clusters=50).splits()
    alike = np.repeat(np.eye(2, dtype=np.float32), 30, axis=0)
    with pytest.raises(BadInput, match="2 clusters of places that differ cannot make 3 folds"):
        EnvironmentFolds(dataclasses.replace(samples, features=alike), n_folds=3).splits()
