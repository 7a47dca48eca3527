"""k-fold nearest-neighbour distance matching: against the published algorithm, and against maps that are known."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.cluster.hierarchy import cut_tree, linkage
from scipy.spatial.distance import cdist
from scipy.stats import ks_2samp, wasserstein_distance
from sklearn.model_selection import cross_val_predict
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from geoml_ops.core.errors import BadInput
from geoml_ops.core.folding import FoldRules
from geoml_ops.domain.fitting import out_of_fold
from geoml_ops.domain.folds import (
    KNNDMFolds,
    PredictionPoints,
    RandomFolds,
    Samples,
    knndm,
    matching,
    materialise,
    packing,
    plan_for,
    splitter_of,
)
from tests.domain.folds.maps import biases, estimates, wider
from tests.domain.folds.worlds import TABLE, field, globe, great_circle_m, made

Floats = NDArray[np.float64]
Index = NDArray[np.int64]
CORNER = np.array([300_000.0, 5_800_000.0])


@dataclasses.dataclass(frozen=True)
class Published:
    """What dense matrices and the published steps give; ``fold`` is None where random folds are right."""

    p: float
    distance: float = math.nan
    n_clusters: int = 0
    fold: Index | None = None


def published(at: Floats, points: Floats, unit: Index, n_folds: int, largest: float) -> Published:
    apart, to_map = cdist(at, at), cdist(points, at).min(axis=1)
    strange = np.where(unit[:, None] == unit[None], np.inf, apart)
    p = clustered_p(strange, to_map, unit)
    if p >= 0.05:
        return Published(p)
    middles = np.stack([at[unit == number].mean(axis=0) for number in range(unit.max() + 1)])
    tree, best = linkage(middles, "ward"), Published(p, math.inf)
    along = (at - at.mean(axis=0)) @ np.linalg.svd(at - at.mean(axis=0))[2][0]
    for count in np.unique(np.round(np.exp(np.linspace(math.log(n_folds), math.log(len(middles) - 2), 100)))):
        fold = dealt(cut_tree(tree, int(count))[:, 0][unit], along, n_folds)
        if fold is None or np.bincount(fold).max() > largest * len(at):
            continue
        shown = np.where(fold[:, None] == fold[None], np.inf, apart).min(axis=1)
        distance = wasserstein_distance(shown, to_map)
        if distance < best.distance:
            best = Published(p, distance, int(count), fold)
    return best


def clustered_p(strange: Floats, to_map: Floats, unit: Index) -> float:
    apart, n, m = strange.min(axis=1), len(strange), len(to_map)
    if n < 20:
        return float(ks_2samp(apart, to_map, alternative="greater").pvalue)
    every = np.concatenate([apart, to_map])
    gap = max(((apart[:, None] <= every).mean(axis=0) - (to_map[:, None] <= every).mean(axis=0)).max(), 0)
    gaps: dict[frozenset[int], int] = {}
    other = [
        unit[divmod(int(np.where(unit[:, None] == u, strange, np.inf).argmin()), n)[1]] for u in range(unit.max() + 1)
    ]
    for u in unit:
        gap_of = frozenset([int(u), int(other[u])]) if other[other[u]] == u else frozenset([int(u)])
        gaps[gap_of] = gaps.get(gap_of, 0) + 1
    n_gaps = n**2 / sum(size**2 for size in gaps.values())
    return float(np.exp(-2 * gap**2 * n_gaps * m / (n_gaps + m)))


def dealt(cluster: Index, along: Floats, n_folds: int) -> Index | None:
    sizes = np.bincount(cluster)
    order = sorted(range(len(sizes)), key=lambda number: along[cluster == number].mean())
    large = [number for number in order if sizes[number] >= len(cluster) / n_folds]
    small = [number for number in order if number not in large]
    free = n_folds - len(large)
    if small and not free:
        return None
    fold = {number: position for position, number in enumerate(large)}
    fold |= {number: len(large) + position % free for position, number in enumerate(small)}
    return np.array([fold[number] for number in cluster])


def by_polygon(at: Floats, polygon: Index, n_folds: int, seed: int) -> Index:
    """Random folds of one sample per polygon, in the order of samples, handed to all of the polygon."""
    first = np.sort(np.unique(polygon, return_index=True)[1])
    fold = RandomFolds(made(at[first]), n_folds=n_folds, seed=seed).fold_of()
    return np.array([fold[np.flatnonzero(polygon[first] == number)[0]] for number in polygon])


def same_partition(one: Index, other: Index) -> bool:
    pairs = set(zip(one.tolist(), other.tolist(), strict=True))
    return len(pairs) == len(set(one.tolist())) == len(set(other.tolist()))


def mapped(samples: Samples, points: Floats, features: NDArray[np.float32] | None = None) -> Samples:
    return dataclasses.replace(samples, points=PredictionPoints(*points.T.astype(np.float64), features))


def clustered(seed: int, n: int, n_clusters: int = 12, extent_m: float = 12_000.0, pixel_m: float = 1.0) -> Samples:
    rng = np.random.default_rng(seed)
    middles = rng.uniform(0, extent_m, (n_clusters, 2))
    at = middles[rng.integers(0, n_clusters, n)] + rng.normal(0, 250, (n, 2))
    return mapped(made(at, pixel_m=pixel_m), rng.uniform(0, extent_m, (800, 2)))


def polygons(seed: int, n_polygons: int = 60, per_polygon: int = 6) -> Samples:
    """Polygons in clusters, with features that follow the ground and prediction points that have them too."""
    rng = np.random.default_rng(seed)
    middles = rng.uniform(0, 12_000, (8, 2))
    anchors = middles[rng.integers(0, 8, n_polygons)] + rng.normal(0, 500, (n_polygons, 2)) + CORNER
    polygon = np.repeat(np.arange(n_polygons), per_polygon)
    at = anchors[polygon] + rng.uniform(-60, 60, (len(polygon), 2))
    points = rng.uniform(0, 12_000, (600, 2)) + CORNER
    mixing = rng.normal(size=(2, 4)) / 3000

    def seen(ground: Floats) -> NDArray[np.float32]:
        return (np.sin((ground - CORNER) @ mixing) * [1, 2, 300, 4000] + [0, 5, 7, 1e4]).astype(np.float32)

    samples = made(at, polygon=polygon, anchors=anchors[polygon], features=seen(at), code=polygon % 3)
    return mapped(samples, points, seen(points))


def unit_of(polygon: Index) -> Index:
    return np.unique(polygon, return_inverse=True)[1].reshape(-1)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 100_000), st.integers(2, 7), st.integers(1, 9), st.sampled_from([0.5, 0.6, 1.0]))
def test_folds_are_those_of_the_published_algorithm(seed: int, n_folds: int, n_clusters: int, largest: float) -> None:
    rng = np.random.default_rng(seed)
    n, per = int(rng.integers(12, 110)), 1 if seed % 2 else 4
    largest = max(largest, 1 / n_folds + 0.1)
    middles = rng.uniform(0, 10_000, (n_clusters, 2))
    anchors = middles[rng.integers(0, n_clusters, n)] + rng.normal(0, rng.choice([200, 1000, 5000]), (n, 2))
    polygon = np.arange(n) if per == 1 else rng.integers(0, max(n // per, n_folds + 3), n)
    at = anchors[polygon] + (0 if per == 1 else rng.normal(0, 20, (n, 2)))
    points = rng.uniform(0, 10_000, (int(rng.integers(20, 150)), 2))
    samples = mapped(made(at, polygon=polygon, pixel_m=1e-3), points)
    folds = KNNDMFolds(samples, n_folds=n_folds, largest_share=largest, seed=seed)
    if len(np.unique(polygon)) < n_folds + 2:
        with pytest.raises(BadInput, match="cannot be clustered"):
            folds.splits()
        return
    expected = published(at, points, unit_of(polygon), n_folds, largest)
    chance = by_polygon(at, polygon, n_folds, seed)
    uneven = np.bincount(chance).max() > largest * len(at)
    if expected.fold is None and (expected.p < 0.05 or uneven):
        with pytest.raises(BadInput, match="polygons or places make no"):
            folds.splits()
        return
    assert folds.matching.ks_p == pytest.approx(expected.p, rel=1e-9)
    assert folds.matching.switched_to_random == (expected.fold is None)
    if expected.fold is None:
        assert (folds.fold_of() == chance).all()
    else:
        assert folds.matching.distance == pytest.approx(expected.distance, rel=1e-12)
        assert folds.matching.n_clusters == expected.n_clusters
        assert same_partition(folds.fold_of(), expected.fold)


def test_six_places_by_hand() -> None:
    """Two lone places against four close ones: at three clusters the far two are a fold of their own."""
    at = np.array([[1.0, 1.0], [1, 2], [2, 2], [2, 3], [1, 4], [5, 4]])
    points = np.array([[x, y] for x in range(11) for y in range(11)], dtype=float)
    folds = KNNDMFolds(mapped(made(at, pixel_m=1e-3), points), n_folds=2, largest_share=0.8)
    assert folds.matching.n_clusters == 3
    assert same_partition(folds.fold_of(), np.array([0, 0, 0, 0, 1, 1]))
    shown = np.sqrt([9.0, 4.0, 5.0, 2.0, 2.0, 10.0])
    to_map = np.sqrt(np.square(points[:, None] - at[None]).sum(axis=-1).min(axis=1))
    assert folds.matching.distance == pytest.approx(wasserstein_distance(shown, to_map), rel=1e-12)
    assert folds.matching.distance == pytest.approx(1.4501472, abs=1e-7)


def test_clusters_are_packed_as_described() -> None:
    """A cluster of exactly a fold's share is a fold; the others are dealt in turn along the axis."""
    cluster = np.repeat([2, 0, 4, 1, 3], [2, 4, 2, 2, 2])
    fold = packing.packed(cluster, np.arange(12.0), 3)
    assert fold is not None
    assert fold.tolist() == [1] * 2 + [0] * 4 + [2] * 2 + [1] * 2 + [2] * 2
    fold = packing.packed(cluster, -np.arange(12.0), 3)
    assert fold is not None
    assert fold.tolist() == [2] * 2 + [0] * 4 + [1] * 2 + [2] * 2 + [1] * 2
    assert packing.packed(np.repeat([0, 1], [3, 4]), np.arange(7.0), 3) is None, "a fold would be empty"


def test_samples_spread_like_the_map_get_the_random_folds_index_by_index() -> None:
    rng = np.random.default_rng(2)
    for n_folds in (3, 5, 10):
        samples = mapped(made(rng.uniform(0, 9000, (150, 2)), pixel_m=1.0), rng.uniform(0, 9000, (900, 2)))
        folds = KNNDMFolds(samples, n_folds=n_folds, seed=n_folds)
        assert folds.matching.switched_to_random
        assert folds.matching.distance == folds.matching.distance_random
        assert folds.matching.n_clusters == 0
        for split, other in zip(
            folds.splits(), RandomFolds(samples, n_folds=n_folds, seed=n_folds).splits(), strict=True
        ):
            assert all(np.array_equal(a, b) for a, b in zip(split, other, strict=True))


def test_random_folds_are_dealt_by_polygon_as_one_sample_of_each_would_be() -> None:
    rng = np.random.default_rng(2)
    anchors = rng.uniform(0, 12_000, (90, 2))
    polygon = rng.permutation(np.repeat(np.arange(90), 7))
    at = anchors[polygon] + rng.uniform(-50, 50, (630, 2))
    samples = mapped(made(at, polygon=polygon, pixel_m=1.0), rng.uniform(0, 12_000, (2000, 2)))
    folds = KNNDMFolds(samples, seed=3)
    assert folds.matching.switched_to_random, "polygons of many pixels are no clusters"
    assert (folds.fold_of() == by_polygon(at, polygon, 5, 3)).all()
    for train, test in folds.splits():
        assert not set(polygon[train]) & set(polygon[test])


def as_shown(samples: Samples, folds: KNNDMFolds, at: Floats) -> Floats:
    """Distance of each sample to the train side it is tested against, from the indices."""
    shown = np.full(len(samples), np.nan)
    for train, test in folds.splits():
        shown[test] = cdist(at[test], at[train]).min(axis=1)
    return shown


def standard(samples: Samples) -> tuple[Floats, Floats]:
    assert samples.features is not None
    assert samples.points is not None
    assert samples.points.features is not None
    here, there = samples.features.astype(float), samples.points.features.astype(float)
    return (here - here.mean(axis=0)) / here.std(axis=0, ddof=1), (there - here.mean(axis=0)) / here.std(axis=0, ddof=1)


@pytest.mark.parametrize("clustering", ["ward", "kmeans"])
@pytest.mark.parametrize("space", ["ground", "features"])
def test_what_is_reported_is_what_the_indices_show(clustering: str, space: str) -> None:
    samples = polygons(4)
    folds = KNNDMFolds(samples, space=space, clustering=clustering, seed=1)  # type: ignore[arg-type]
    assert samples.points is not None
    there = np.column_stack([samples.points.easting, samples.points.northing])
    at, points = (samples.ground, there) if space == "ground" else standard(samples)
    distance = wasserstein_distance(as_shown(samples, folds, at), cdist(points, at).min(axis=1))
    assert folds.matching.distance == pytest.approx(distance, rel=1e-9)
    assert not folds.matching.switched_to_random
    assert folds.matching.distance < 0.7 * folds.matching.distance_random
    assert sorted(np.concatenate([test for _, test in folds.splits()])) == list(range(len(samples)))
    for train, test in folds.splits():
        assert len(train) + len(test) == len(samples)
        assert not set(samples.polygon[train]) & set(samples.polygon[test])
        assert len(test) <= 0.5 * len(samples)


def test_feature_space_is_the_published_algorithm_on_standardised_features() -> None:
    samples = polygons(5, 90, 1)
    at, points = standard(samples)
    expected = published(at, points, np.arange(90), 5, 0.5)
    folds = KNNDMFolds(samples, space="features")
    assert expected.fold is not None
    assert folds.matching.distance == pytest.approx(expected.distance, rel=1e-9)
    assert same_partition(folds.fold_of(), expected.fold)


def test_scale_and_offset_of_features_and_the_place_of_the_ground_play_no_part() -> None:
    samples = polygons(6)
    assert samples.features is not None
    assert samples.points is not None
    assert samples.points.features is not None
    scale, offset = np.array([2.0, 64.0, 0.5, 1.0]), np.array([1.0, 0.0, -8.0, 0.0])
    moved = dataclasses.replace(
        samples,
        features=(samples.features * scale + offset).astype(np.float32),
        points=dataclasses.replace(
            samples.points, features=(samples.points.features * scale + offset).astype(np.float32)
        ),
    )
    one, other = KNNDMFolds(samples, space="features"), KNNDMFolds(moved, space="features")
    assert (one.fold_of() == other.fold_of()).all()
    assert one.matching.distance == pytest.approx(other.matching.distance, rel=1e-4)
    turn = np.array([[0.6, 0.8], [-0.8, 0.6]])
    there = np.column_stack([samples.points.easting, samples.points.northing])
    turned = mapped(made(samples.ground @ turn, polygon=samples.polygon, pixel_m=1e-3), there @ turn)
    assert KNNDMFolds(turned).matching.distance == pytest.approx(
        KNNDMFolds(dataclasses.replace(samples, pixel_m=1e-3)).matching.distance, rel=1e-6
    )


def test_many_dimensions_are_compared_without_a_tree_and_many_samples_on_some() -> None:
    rng = np.random.default_rng(7)
    middles = rng.normal(0, 3, (6, 25))
    features = (middles[rng.integers(0, 6, 400)] + rng.normal(size=(400, 25))).astype(np.float32)
    there = (rng.normal(0, 3, (300, 25))).astype(np.float32)
    samples = mapped(made(rng.uniform(0, 9000, (400, 2)), pixel_m=1.0, features=features), np.zeros((300, 2)), there)
    at, points = standard(samples)
    expected = published(at, points, np.arange(400), 5, 0.5)
    folds = KNNDMFolds(samples, space="features")
    assert folds.matching.distance == pytest.approx(expected.distance, rel=1e-9)
    assert folds.matching.n_clusters == expected.n_clusters


def test_chosen_on_some_samples_the_folds_are_reported_on_all(monkeypatch: pytest.MonkeyPatch) -> None:
    samples = polygons(8, 500, 6)
    best = KNNDMFolds(samples, space="features").matching
    monkeypatch.setattr(knndm, "PAIRS", 1)
    folds = KNNDMFolds(samples, space="features")
    at, points = standard(samples)
    distance = wasserstein_distance(as_shown(samples, folds, at), cdist(points, at).min(axis=1))
    assert folds.matching.distance == pytest.approx(distance, rel=1e-9)
    assert best.distance <= folds.matching.distance < 1.2 * best.distance


def test_many_places_are_drawn_together_and_polygons_stay_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    samples = polygons(9, 300, 3)
    best = KNNDMFolds(samples).matching
    monkeypatch.setattr(packing, "MOST_CENTRES", 120)
    folds = KNNDMFolds(samples)
    assert folds.matching.n_clusters <= 118
    assert folds.matching.distance < 1.3 * best.distance
    for train, test in folds.splits():
        assert not set(samples.polygon[train]) & set(samples.polygon[test])
    again = KNNDMFolds(samples)
    assert (folds.fold_of() == again.fold_of()).all()


def test_longitude_and_latitude_are_matched_along_great_circles() -> None:
    samples = globe(10, 90, 2)
    rng = np.random.default_rng(10)
    points = np.column_stack([(180 + rng.uniform(-4, 4, 300) + 180) % 360 - 180, 70 + rng.uniform(-4, 4, 300)])
    folds = KNNDMFolds(mapped(samples, points))
    apart, there = great_circle_m(samples, samples), made(points, projected=False)
    shown = np.full(len(samples), np.nan)
    for train, test in folds.splits():
        shown[test] = apart[np.ix_(test, train)].min(axis=1)
    assert not folds.matching.switched_to_random
    expected = wasserstein_distance(shown, great_circle_m(there, samples).min(axis=1))
    assert folds.matching.distance == pytest.approx(expected, rel=1e-6)
    assert folds.matching.distance < folds.matching.distance_random


def test_windows_of_train_and_test_share_no_pixel() -> None:
    samples = dataclasses.replace(polygons(11), half_px=np.full(360, 2))
    samples = dataclasses.replace(samples, code=np.random.default_rng(11).permutation(60)[samples.polygon] % 3)
    for rules in (FoldRules(method="knndm"), FoldRules(method="knndm", space="features")):
        plan = plan_for(TABLE, samples, rules, halo_px=20)
        assert plan.audit is not None
        assert plan.audit.n_shared_pixels == 0
        assert plan.audit.passed, plan.audit.objections
        assert plan.audit.n_dropped > 0, "no windows met; the world shows nothing"
    ground = plan_for(TABLE, samples, FoldRules(method="knndm"), halo_px=20)
    folds = splitter_of(ground, samples)
    assert isinstance(folds, KNNDMFolds)
    assert samples.points is not None
    there = np.column_stack([samples.points.easting, samples.points.northing])
    shown = as_shown(samples, folds, samples.ground)
    assert shown.min() > 440
    distance = wasserstein_distance(shown, cdist(there, samples.ground).min(axis=1))
    assert ground.matching is not None
    assert ground.matching.distance == pytest.approx(distance, rel=1e-9)


def test_a_plan_says_what_was_matched_and_its_repeats_are_other_folds() -> None:
    samples = polygons(12, 120, 4)
    rules = FoldRules(method="knndm", buffer_m=250)
    plans = [plan_for(TABLE, samples, rules, repeat=repeat) for repeat in range(3)]
    folds = [np.zeros(len(samples)) for _ in plans]
    for plan, fold in zip(plans, folds, strict=True):
        assert plan.estimand == "this map"
        assert plan.n_folds == 5
        assert plan.matching is not None
        assert plan.matching.distance < plan.matching.distance_random
        assert plan.audit is not None
        assert plan.audit.passed, plan.audit.objections
        assert plan.audit.n_dropped == 0, "there is no buffer, whatever the rules say"
        for number, (_, test) in enumerate(materialise(plan, samples)):
            fold[test] = number
    assert not same_partition(folds[0].astype(int), folds[1].astype(int))
    assert not same_partition(folds[1].astype(int), folds[2].astype(int))


def test_a_scene_is_kept_whole_where_that_is_asked() -> None:
    samples = polygons(13, 120, 3)
    scene = unit_of((samples.ground[:, 0] // 900).astype(int) * 100 + (samples.ground[:, 1] // 900).astype(int))
    first = np.unique(samples.polygon, return_index=True)[1]
    samples = dataclasses.replace(samples, scene=scene[first][samples.polygon])
    for train, test in KNNDMFolds(samples, n_folds=3, keep_scenes=True).splits():
        assert not set(samples.scene[train]) & set(samples.scene[test])


def test_folds_are_made_once_and_scikit_learn_takes_them() -> None:
    samples = clustered(14, 120)
    folds = KNNDMFolds(samples)
    assert folds.fold_of() is folds.fold_of()
    assert folds.get_n_splits() == 5
    answers = cross_val_predict(KNeighborsClassifier(1), samples.ground, samples.code, cv=folds)
    assert len(answers) == 120


def test_a_model_that_copies_the_nearest_label_gains_nothing() -> None:
    """Classes belong to polygons and to nothing else, so an honest accuracy is one third; polygons lie about evenly."""
    rights = []
    for seed in range(4):
        samples = field(seed, 150, 8)
        samples = mapped(samples, np.random.default_rng(seed).uniform(0, 12_000, (900, 2)) + CORNER)
        found = out_of_fold(
            samples.ground.astype(np.float32),
            samples.code,
            KNNDMFolds(samples, seed=seed).splits(),
            lambda _: KNeighborsClassifier(n_neighbors=1),
            3,
        )
        right = found.predicted == samples.code
        rights += [right[samples.polygon == number].mean() for number in range(150)]
    assert abs(np.mean(rights) - 1 / 3) < 4 * np.std(rights) / math.sqrt(len(rights))


def test_coinciding_features_and_lattices_are_no_trouble() -> None:
    """Ties everywhere: every distance occurs many times, and nine samples share each row of features."""
    row, col = np.divmod(np.arange(144), 12)
    at = np.column_stack([col, row]) * 10.0 + CORNER
    features = np.column_stack([row // 3, col // 3]).astype(np.float32)
    for clustering in ("ward", "kmeans"):
        for space in ("ground", "features"):
            points = np.random.default_rng(1).uniform(0, 3000, (500, 2)) + CORNER
            there = np.random.default_rng(2).uniform(-3, 6, (500, 2)).astype(np.float32)
            samples = mapped(made(at, features=features), points, there)
            folds = KNNDMFolds(samples, space=space, clustering=clustering)  # type: ignore[arg-type]
            assert not folds.matching.switched_to_random
            assert folds.matching.distance <= folds.matching.distance_random
            assert np.bincount(folds.fold_of()).min() > 0


def shuffled(samples: Samples, **columns: object) -> Samples:
    return dataclasses.replace(samples, **columns)  # type: ignore[arg-type]


GOOD = polygons(15, 30, 2)
HOLED = np.where(np.arange(240).reshape(60, 4) == 9, np.nan, 1.0).astype(np.float32)
CONSTANT = np.column_stack([np.arange(60), np.full(60, 7.1), np.arange(60) % 7, np.arange(60) % 3]).astype(np.float32)


@pytest.mark.parametrize(
    ("samples", "options", "sentence"),
    [
        (shuffled(GOOD, points=None), {}, r"needs samples.points"),
        (mapped(GOOD, np.zeros((0, 2))), {}, r"needs samples.points"),
        (mapped(GOOD, np.array([[1.0, np.nan], [2, 2]])), {}, "1 of 2 prediction points have no coordinates"),
        (mapped(globe(1), np.array([[5e5, 5.8e6]])), {}, "has degrees, but prediction points reach"),
        (mapped(made(np.full((9, 2), 5.0)), np.ones((3, 2))), {}, "9 samples of 1 polygons or places cannot"),
        (mapped(made(np.zeros((0, 2))), np.ones((3, 2))), {}, "no samples"),
        (GOOD, {"n_folds": 29}, "60 samples of 30 polygons or places cannot be clustered into 29 folds; it takes 31"),
        (GOOD, {"n_folds": 2}, "No fold may hold more than 0.5 of the samples, and 2 folds hold 0.5 each"),
        (GOOD, {"largest_share": 0.2}, "No fold may hold more than 0.2"),
        (GOOD, {"largest_share": math.nan}, "No fold may hold more than nan"),
        (GOOD, {"buffer_m": 50.0}, "50 m left empty"),
        (GOOD, {"keep_scenes": True}, "60 samples of 1 polygons or places cannot be clustered"),
        (shuffled(GOOD, features=None), {"space": "features"}, "samples have none"),
        (mapped(GOOD, np.ones((3, 2))), {"space": "features"}, "prediction points have none"),
        (mapped(GOOD, np.ones((3, 2)), np.ones((3, 5), np.float32)), {"space": "features"}, r"\(60, 4\).*\(3, 5\)"),
        (mapped(GOOD, np.ones((3, 2)), np.ones((2, 4), np.float32)), {"space": "features"}, "2 rows of features for 3"),
        (
            shuffled(GOOD, features=HOLED),
            {"space": "features"},
            "1 of 60 rows of features of 60 samples are not numbers",
        ),
        (
            shuffled(GOOD, features=CONSTANT),
            {"space": "features"},
            r"Features 1 \(counted from 0\) do not vary over 60",
        ),
        (GOOD, {"halo_px": 100_000}, "leave something to learn from"),
    ],
)
def test_what_cannot_be_matched_is_refused_with_a_sentence(
    samples: Samples, options: dict[str, object], sentence: str
) -> None:
    with pytest.raises(BadInput, match=sentence):
        KNNDMFolds(samples, **options).splits()  # type: ignore[arg-type]


def test_a_polygon_that_holds_most_samples_is_refused_with_its_share() -> None:
    samples = clustered(16, 300)
    polygon = np.where(np.arange(300) < 200, 0, np.arange(300))
    with pytest.raises(BadInput, match=r"at most 0.5 of the samples.*the most even ones hold up to 0\.[67]"):
        KNNDMFolds(dataclasses.replace(samples, polygon=polygon)).splits()


def test_a_map_far_from_all_samples_is_matched_as_well_as_may_be() -> None:
    folds = KNNDMFolds(mapped(GOOD, np.array([[9e5, 9e5], [9.1e5, 9e5]] * 20)))
    assert folds.matching.distance < folds.matching.distance_random


def test_the_test_for_clusters_keeps_its_level_and_sees_clusters() -> None:
    """150 samplings of places and 150 of polygons, none clustered: counting every distance would call some 25 so."""
    for per_polygon in (1, 10):
        called = 0
        for seed in range(150):
            rng = np.random.default_rng([seed, per_polygon])
            polygon = np.repeat(np.arange(100), per_polygon)
            at = rng.uniform(0, 12_000, (100, 2))[polygon] + rng.uniform(-50, 50, (len(polygon), 2))
            domain = matching.Domain(at, rng.uniform(0, 12_000, (3000, 2)), True)
            called += matching.clustering_p(*domain.apart(polygon), domain.to_map()) < 0.05
        assert called <= 15
    for seed in range(20):
        assert KNNDMFolds(clustered(seed, 100, 30), seed=seed).matching.ks_p < 0.05


def told(design: str, seeds: Sequence[int]) -> list[dict[str, float]]:
    model = make_pipeline(StandardScaler(), KNeighborsClassifier(5))
    return [estimates(seed, design, model) for seed in seeds]  # type: ignore[arg-type]


def test_clustered_samples_random_folds_flatter_a_known_map_and_matched_ones_do_not() -> None:
    """60 landscapes; intervals of differences in absolute bias are those of paired seeds."""
    bias = biases(told("clustered", range(60)))
    assert bias["random"].mean() > 0.08, "random folds do not flatter here; the world shows nothing"
    _, _, high = wider(bias["knndm"], bias["random"])
    assert high < -0.05
    _, _, high = wider(bias["knndm"], bias["block"])
    assert high < 0.02


def test_a_simple_random_sample_is_answered_by_random_folds_and_blocks_are_too_hard() -> None:
    found = told("random", range(24))
    bias = biases(found)
    assert np.mean([one["switched"] for one in found]) >= 0.85
    assert all(one["same"] == 1 for one in found if one["switched"])
    _, _, high = wider(bias["knndm"], bias["block"])
    assert high < 0
