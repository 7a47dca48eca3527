"""Nearest-neighbour distance matching, one sample at a time, against the algorithm as it was published."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import wasserstein_distance
from sklearn.model_selection import cross_val_score
from sklearn.neighbors import KNeighborsClassifier

from geoml_ops.core.errors import BadInput
from geoml_ops.core.folding import BlockSize, FoldRules
from geoml_ops.domain.fitting import out_of_fold
from geoml_ops.domain.folds import NNDMFolds, PredictionPoints, Samples, materialise, nndm, plan_for, splitter_of
from tests.domain.folds.worlds import TABLE, field, globe, great_circle_m, made

Floats = NDArray[np.float64]
CORNER = np.array([300_000.0, 5_800_000.0])


def published(distances: Floats, to_map: Floats, phi: float, min_train: float) -> NDArray[np.bool_]:
    """Which samples train, per row of distances (NaN: never), by the published loop over dense matrices.

    Two things are added: rows may be some of the samples only, and the last train samples of a row stay.
    """
    left, (t, n) = distances.copy(), distances.shape
    nearest = np.where(np.isnan(left), np.inf, left).min(axis=1)
    r = nearest.min()
    while r <= phi:
        j = int(np.argmax(nearest == r))
        here = left[j] == r
        remain = int((~np.isnan(left[j])).sum())
        dense_enough = ((nearest <= r).sum() - 1) / t >= np.mean(to_map <= r)
        if dense_enough and remain / n > min_train and remain > here.sum():
            left[j, here] = np.nan
            nearest = np.where(np.isnan(left), np.inf, left).min(axis=1)
            r = nearest[nearest >= r].min()
        elif (nearest > r).any():
            r = nearest[nearest > r].min()
        else:
            break
    return ~np.isnan(left)


def mapped(samples: Samples, points: Floats) -> Samples:
    return dataclasses.replace(samples, points=PredictionPoints(*points.T.astype(np.float64)))


def held(folds: NNDMFolds) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Tested samples, and for each of them which samples train."""
    splits = folds.splits()
    trains = np.zeros((len(splits), len(folds.samples)), dtype=bool)
    for row, (train, test) in enumerate(splits):
        assert len(test) == 1
        trains[row, train] = True
    return np.array([int(test[0]) for _, test in splits]), trains


def straight(here: Floats, there: Floats) -> Floats:
    return np.asarray(np.sqrt(np.square(here[:, None] - there[None]).sum(axis=-1)))


@settings(max_examples=150, deadline=None)
@given(
    st.integers(0, 100_000),
    st.booleans(),
    st.sampled_from([math.inf, 10.0, 30.0, 47.3]),
    st.sampled_from([0.5, 0.02, 0.1, 0.8, 0.33]),
    st.integers(0, 2),
)
def test_train_sides_are_those_of_the_published_algorithm(
    seed: int, lattice: bool, phi: float, min_train: float, halo_px: int
) -> None:
    """On a lattice, where distances tie everywhere, and off it; with polygons, patches and some samples tested."""
    rng = np.random.default_rng(seed)
    n, side = int(rng.integers(8, 45)), int(rng.integers(4, 14))
    at = rng.integers(0, side, (n, 2)) * 10.0 if lattice else rng.normal(0, 60, (n, 2)) * rng.choice([0.3, 1, 3])
    at = at[np.unique(np.floor(at / 10), axis=0, return_index=True)[1]]
    n = len(at)
    polygon = np.arange(n) if seed % 3 else rng.integers(0, max(4, n // 3), n)
    half_px = rng.integers(0, 2, n) if seed % 2 else np.zeros(n, dtype=np.int64)
    points = rng.uniform(-40, side * 10 + 40, (int(rng.integers(1, 60)), 2))
    if lattice:
        points = np.floor(points / 10) * 10
    if seed % 4 == 0:
        points += 3000
    pixel_m = 10.0 if lattice else 1e-3
    samples = mapped(made(at, polygon=polygon, half_px=half_px, pixel_m=pixel_m), points)
    tested = None if seed % 5 else max(2, n // 2)
    folds = NNDMFolds(
        samples,
        phi_m=None if phi == math.inf else phi,
        min_train=min_train,
        tested=tested,
        halo_px=halo_px if lattice else 0,
        seed=seed,
    )
    apart = straight(at, at)
    apart[polygon[:, None] == polygon[None]] = np.nan
    if lattice:
        legs = np.abs(at[:, None] - at[None]).max(axis=-1) / pixel_m
        apart[legs <= half_px[:, None] + half_px[None] + 2 * halo_px] = np.nan
    alone = np.isnan(apart[folds.fold_of() >= 0]).all(axis=1)
    if alone.any() or len(np.unique(polygon)) < 3:
        with pytest.raises(BadInput, match=r"no train sample|cannot be left out"):
            folds.splits()
        return
    rows, trains = held(folds)
    expected = published(apart[rows], straight(points, at).min(axis=1), phi, min_train)
    assert (trains == expected).all()
    least = np.where(expected, apart[rows], np.inf).min(axis=1)
    assert folds.matching.distance == pytest.approx(
        wasserstein_distance(least, straight(points, at).min(axis=1)), rel=1e-12
    )


@pytest.mark.parametrize("min_train", [0.02, 0.1, 0.2])
def test_the_last_samples_stay_even_where_they_are_equally_far(min_train: float) -> None:
    """Twelve places on a lattice, a map far away: whoever sees two farthest ones keeps both."""
    row, col = np.divmod(np.arange(12), 4)
    at, points = np.column_stack([col, row]) * 10.0, np.array([[9000.0, 9000.0]])
    _, trains = held(NNDMFolds(mapped(made(at, pixel_m=1.0), points), min_train=min_train))
    apart = straight(at, at)
    np.fill_diagonal(apart, np.nan)
    assert (trains == published(apart, straight(points, at).min(axis=1), math.inf, min_train)).all()
    assert trains.any(axis=1).all()


def test_reading_distances_piece_by_piece_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    samples = clustered(3, 300)
    _, whole = held(NNDMFolds(samples))
    monkeypatch.setattr(nndm, "CELLS", 900)
    _, pieces = held(NNDMFolds(samples))
    assert (whole == pieces).all()
    assert whole.sum() < 300 * 299, "nothing was left out; the world shows nothing"


def clustered(seed: int, n: int, n_clusters: int = 12, extent_m: float = 12_000.0) -> Samples:
    """Samples in tight clusters on ground that is mapped everywhere."""
    rng = np.random.default_rng(seed)
    middles = rng.uniform(0, extent_m, (n_clusters, 2))
    at = middles[rng.integers(0, n_clusters, n)] + rng.normal(0, 250, (n, 2))
    return mapped(made(at, pixel_m=1.0), rng.uniform(0, extent_m, (800, 2)))


def test_clustered_samples_are_tested_as_far_off_as_the_map_lies() -> None:
    folds = NNDMFolds(clustered(0, 400))
    matching = folds.matching
    assert matching.ks_p < 1e-6
    assert not matching.switched_to_random
    assert matching.distance < 0.1 * matching.distance_random
    assert folds.get_n_splits() == len(folds.splits()) == 400
    assert folds.splits() is folds.splits(), "folds are made once"


def test_samples_spread_like_the_map_keep_nearly_all_their_neighbours() -> None:
    rng = np.random.default_rng(4)
    samples = mapped(made(rng.uniform(0, 12_000, (400, 2)), pixel_m=1.0), rng.uniform(0, 12_000, (2000, 2)))
    folds = NNDMFolds(samples)
    left_out = 399 - np.mean([len(train) for train, _ in folds.splits()])
    assert left_out < 4
    assert folds.matching.distance <= folds.matching.distance_random + 1e-9


def test_nothing_is_left_out_beyond_the_range_and_more_within_a_longer_one() -> None:
    samples = clustered(1, 200)
    plain = straight(samples.ground, samples.ground)
    np.fill_diagonal(plain, np.inf)
    before, n_train = plain.min(axis=1), []
    for phi_m in (1.0, 400.0, 1500.0, None):
        _, trains = held(NNDMFolds(samples, phi_m=phi_m))
        n_train.append(int(trains.sum()))
        if phi_m is not None:
            gone = ~trains & np.isfinite(plain)
            assert plain[gone].max(initial=0) <= phi_m
            assert trains[before > phi_m].sum() == (before > phi_m).sum() * 199
    assert n_train == sorted(n_train, reverse=True)
    assert n_train[0] > n_train[-1]


@pytest.mark.parametrize("min_train", [0.3, 0.5, 0.9])
def test_no_train_side_falls_below_the_least_share(min_train: float) -> None:
    sizes = [len(train) for train, _ in NNDMFolds(clustered(2, 200, 2), min_train=min_train).splits()]
    assert min(sizes) >= min_train * 200 - 1
    assert min(sizes) <= min_train * 200 + 1, "the limit was never met; the world shows nothing"


def test_polygons_scenes_and_duplicates_never_teach_what_they_are_tested_on() -> None:
    samples = field(5, 40, 6)
    samples = mapped(samples, samples.ground[::3] + 700)
    for keep_scenes in (False, True):
        for train, test in NNDMFolds(samples, tested=60, keep_scenes=keep_scenes).splits():
            assert samples.polygon[test[0]] not in samples.polygon[train]
            assert not keep_scenes or samples.scene[test[0]] not in samples.scene[train]
            assert np.abs(samples.ground[train] - samples.ground[test]).max(axis=1).min() >= 10 * (1 - 1e-6)


def test_longitude_and_latitude_are_matched_along_great_circles() -> None:
    samples = globe(6, 40, 2)
    rng = np.random.default_rng(6)
    points = np.column_stack([(180 + rng.uniform(-1, 1, 200) + 180) % 360 - 180, 70 + rng.uniform(-1, 1, 200)])
    samples = mapped(samples, points)
    rows, trains = held(NNDMFolds(samples, phi_m=9000.0))
    apart = great_circle_m(samples, samples)
    apart[samples.polygon[:, None] == samples.polygon[None]] = np.nan
    there = made(points, projected=False)
    expected = published(apart[rows], great_circle_m(there, samples).min(axis=1), 9000.0, 0.5)
    assert (trains == expected).all()
    assert trains.sum() < np.isfinite(apart).sum()


def test_a_model_that_copies_the_nearest_label_gains_nothing() -> None:
    """Classes belong to polygons and to nothing else, so an honest accuracy is one third."""
    samples = field(7, 200, 8)
    samples = mapped(samples, np.random.default_rng(7).uniform(0, 12_000, (1000, 2)) + CORNER)
    splits = NNDMFolds(samples, tested=400).splits()
    found = out_of_fold(
        samples.ground.astype(np.float32), samples.code, splits, lambda _: KNeighborsClassifier(n_neighbors=1), 3
    )
    right = found.predicted[found.tested] == samples.code[found.tested]
    by_polygon = [right[samples.polygon[found.tested] == p].mean() for p in np.unique(samples.polygon[found.tested])]
    assert abs(np.mean(by_polygon) - 1 / 3) < 4 * np.std(by_polygon) / math.sqrt(len(by_polygon))


def test_a_plan_says_what_was_matched_and_takes_its_range_from_the_variogram() -> None:
    samples = mapped(field(8, 40, 5), np.random.default_rng(8).uniform(0, 12_000, (300, 2)) + CORNER)
    rules = FoldRules(method="nndm", tested=50)
    plan = plan_for(TABLE, samples, rules)
    assert plan.estimand == "this map"
    assert plan.n_folds == 50
    assert plan.matching == splitter_of(plan, samples).matching
    assert plan.audit is not None
    assert plan.audit.passed, plan.audit.objections
    size = BlockSize(block_m=900, range_m=300, low_m=200, high_m=450, column="residual", capped=False)
    with_range = plan_for(TABLE, samples, rules, block_size=size)
    splitter = splitter_of(with_range, samples)
    assert isinstance(splitter, NNDMFolds)
    assert splitter.phi_m == 450
    kept = [sum(len(train) for train, _ in materialise(p, samples)) for p in (plan, with_range)]
    assert kept[0] < kept[1]
    halo = plan_for(TABLE, samples, rules, halo_px=12)
    assert halo.audit is not None
    assert halo.audit.n_shared_pixels == 0
    assert halo.audit.passed, halo.audit.objections


def test_scikit_learn_takes_them_as_cv() -> None:
    samples = clustered(9, 60)
    scores = cross_val_score(
        KNeighborsClassifier(1), samples.ground, samples.code, cv=NNDMFolds(samples, tested=20), scoring="accuracy"
    )
    assert len(scores) == 20


def test_many_samples_test_as_many_as_fit_and_say_so_where_more_are_asked() -> None:
    rng = np.random.default_rng(10)
    many = mapped(made(rng.uniform(0, 1e6, (20_000, 2)), pixel_m=1.0), rng.uniform(0, 1e6, (50, 2)))
    with pytest.raises(BadInput, match=r"20000 samples|20000 of 20000"):
        NNDMFolds(many, tested=20_000).splits()
    assert len(NNDMFolds(many, tested=100).splits()) == 100
    assert len(NNDMFolds(clustered(11, 2100), min_train=0.9).splits()) == 2000


GOOD = clustered(12, 30)


@pytest.mark.parametrize(
    ("samples", "options", "sentence"),
    [
        (dataclasses.replace(GOOD, points=None), {}, r"needs samples.points"),
        (mapped(GOOD, np.zeros((0, 2))), {}, r"needs samples.points"),
        (mapped(GOOD, np.array([[1.0, np.nan], [2, 2]])), {}, "1 of 2 prediction points have no coordinates"),
        (mapped(GOOD, np.array([[1.0, np.inf], [2, 2]])), {}, "1 of 2 prediction points have no coordinates"),
        (mapped(globe(1), np.array([[5e5, 5.8e6]])), {}, "has degrees, but prediction points reach 500000 and 5800000"),
        (mapped(made(np.full((5, 2), 5.0)), np.ones((3, 2))), {}, "5 samples in 1 polygons or places"),
        (mapped(made(np.zeros((0, 2))), np.ones((3, 2))), {}, "no samples"),
        (GOOD, {"min_train": 0.0}, "min_train is 0"),
        (GOOD, {"min_train": 1.0}, "min_train is 1"),
        (GOOD, {"min_train": math.nan}, "min_train is nan"),
        (GOOD, {"phi_m": 0.0}, "phi_m is 0"),
        (GOOD, {"phi_m": math.nan}, "phi_m is nan"),
        (GOOD, {"tested": 1}, "1 tested samples"),
        (GOOD, {"buffer_m": 100.0}, "100 m left empty"),
        (GOOD, {"halo_px": 100_000}, "have no train sample outside polygon and window"),
    ],
)
def test_what_cannot_be_matched_is_refused_with_a_sentence(
    samples: Samples, options: dict[str, float], sentence: str
) -> None:
    with pytest.raises(BadInput, match=sentence):
        NNDMFolds(samples, **options).splits()  # type: ignore[arg-type]


def test_a_map_far_from_all_samples_can_be_matched_as_well_as_may_be() -> None:
    folds = NNDMFolds(mapped(GOOD, np.array([[9e5, 9e5], [9.1e5, 9e5]])))
    assert min(len(train) for train, _ in folds.splits()) >= 14
    assert folds.matching.distance < folds.matching.distance_random
