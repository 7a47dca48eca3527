"""Discs of units behind a buffer, and one sample tested at a time."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist

from geoml_ops.core.errors import BadInput
from geoml_ops.domain.folds import BufferedFolds, BufferedLeaveOneOut, LocationFolds, units_of
from geoml_ops.domain.folds import buffered as module
from geoml_ops.domain.folds.buffered import discs, shares
from tests.domain.folds.worlds import field, globe, great_circle_m, made


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 150), st.floats(0, 60))
def test_discs_are_as_wide_as_the_buffer_and_their_middles_lie_apart(seed: int, n: int, radius: float) -> None:
    rng = np.random.default_rng(seed)
    places = np.round(rng.uniform(0, 100, (n, 2)))
    disc = discs(places, radius, np.random.default_rng(seed))
    assert set(disc) == set(range(disc.max() + 1))
    apart = cdist(places, places)
    for number in range(disc.max() + 1):
        mine = np.flatnonzero(disc == number)
        assert apart[np.ix_(mine, mine)].max(axis=1).min() <= radius, "some place is the middle of it"
    neighbours = apart + np.diag(np.full(n, np.inf)) <= radius
    taken = ~neighbours.any(axis=1)
    assert all((disc == disc[place]).sum() == 1 for place in np.flatnonzero(taken))
    for middle in np.random.default_rng(seed).permutation(np.flatnonzero(~taken)):
        if not taken[middle]:
            mine = ~taken & (apart[middle] <= radius)
            assert set(np.flatnonzero(disc == disc[middle])) == set(np.flatnonzero(mine))
            taken |= mine


def test_discs_lie_all_over_the_ground_and_cost_less_than_single_units() -> None:
    samples = field(0, 900, 2, extent_m=9000.0)
    folds = BufferedFolds(samples, n_folds=5, buffer_m=400.0)
    middle = samples.ground.mean(axis=0)
    splits = folds.splits()
    for _, test in splits:
        quarters = (samples.ground[test] > middle) @ np.array([1, 2])
        assert (np.bincount(quarters, minlength=4) > 10).all()
    single = LocationFolds(samples, n_folds=5, buffer_m=400.0).splits()
    assert sum(len(train) for train, _ in splits) > 2 * sum(len(train) for train, _ in single)


def test_far_apart_units_are_discs_of_their_own() -> None:
    sparse = field(0, 50, 2, extent_m=500_000.0)
    assert (BufferedFolds(sparse, buffer_m=10.0).groups() == units_of(sparse)).all() or (
        BufferedFolds(sparse, buffer_m=10.0).groups().max() == 49
    )


def test_discs_on_the_globe_are_round_along_the_ground() -> None:
    samples = globe(3, 300, 1)
    group = BufferedFolds(samples, buffer_m=9000.0).groups()
    apart = great_circle_m(samples, samples)
    widest = [apart[np.ix_(group == number, group == number)].max() for number in range(group.max() + 1)]
    assert 9000 < max(widest) <= 18_500


def test_discs_as_wide_as_the_ground_are_refused() -> None:
    with pytest.raises(
        BadInput, match=r"[12] discs? of 15000 m around polygons .* cannot make 5 folds.*narrower buffer_m"
    ):
        BufferedFolds(field(0), buffer_m=15_000.0).splits()


def test_one_sample_is_tested_and_its_polygon_is_on_neither_side() -> None:
    samples = field(1, 40, 5)
    unit = units_of(samples)
    splits = BufferedLeaveOneOut(samples, buffer_m=0.0).splits()
    assert [test.tolist() for _, test in splits] == [[number] for number in range(200)]
    for train, test in splits:
        assert (train == np.flatnonzero(unit != unit[test[0]])).all()


def test_scenes_are_on_neither_side_either_where_they_are_kept() -> None:
    samples = field(1, 40, 5)
    for train, test in BufferedLeaveOneOut(samples, keep_scenes=True, tested=30).splits():
        assert samples.scene[test[0]] not in samples.scene[train]


def test_tested_samples_are_spread_and_stand_for_their_classes() -> None:
    rng = np.random.default_rng(0)
    crowd, rest = rng.uniform(0, 500, (3000, 2)), rng.uniform(0, 10_000, (1000, 2))
    code = rng.choice(3, 4000, p=[0.9, 0.0995, 0.0005])
    code[:2] = 2
    samples = made(np.concatenate([crowd, rest]) + np.array([3e5, 5.8e6]), code=code, pixel_m=1.0)
    folds = BufferedLeaveOneOut(samples, tested=200, seed=4)
    tested = np.flatnonzero(folds.fold_of() >= 0)
    assert len(tested) == folds.get_n_splits() == 200
    counts = np.bincount(samples.code[tested])
    assert counts.min() >= 1
    assert counts == pytest.approx(np.bincount(code) / 20, abs=1)
    # In proportion to where samples are: by the cell, far more so than a random choice of as many.
    cell = np.unique((samples.ground[:, 0] // 1500) * 100 + samples.ground[:, 1] // 1500, return_inverse=True)[1]
    cell = np.where(np.arange(4000) < 3000, cell.max() + 1 + np.arange(4000) % 2, cell)

    def unevenness(which: np.ndarray) -> float:
        share = np.bincount(cell) / 20
        return float((np.square(np.bincount(cell[which], minlength=len(share)) - share) / share).sum())

    assert unevenness(tested) < 0.7 * np.mean([unevenness(rng.choice(4000, 200, replace=False)) for _ in range(50)])
    assert (dataclasses.replace(folds, seed=5).fold_of() != folds.fold_of()).any()


@settings(max_examples=80, deadline=None)
@given(st.lists(st.integers(1, 500), min_size=1, max_size=9), st.data())
def test_shares_are_proportional_and_nobody_goes_without(sizes: list[int], data: st.DataObject) -> None:
    total = data.draw(st.integers(len(sizes), sum(sizes)))
    got = shares(np.array(sizes), total)
    assert got.sum() == total
    assert (got >= 1).all()
    assert (got <= sizes).all()
    quota = np.array(sizes) * total / sum(sizes)
    if (quota >= 1).all():
        assert (np.abs(got - quota) < 1).all()


def test_as_many_are_tested_as_anybody_waits_for_and_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    samples = field(2, 100, 5)
    assert BufferedLeaveOneOut(samples).get_n_splits() == 500
    monkeypatch.setattr(module, "MOST_TESTED", 100)
    assert BufferedLeaveOneOut(samples).get_n_splits() == 100
    assert BufferedLeaveOneOut(samples, tested=300).get_n_splits() == 300
    assert BufferedLeaveOneOut(samples, tested=9000).get_n_splits() == 500
    monkeypatch.setattr(module, "MOST_POSITIONS", 20_000)
    assert len(BufferedLeaveOneOut(samples).splits()) == 40
    with pytest.raises(BadInput, match=r"Testing 300 of 500 samples .* 300 models.*set tested to 40 or fewer"):
        BufferedLeaveOneOut(samples, tested=300).splits()


def test_too_few_tested_for_the_classes_are_refused() -> None:
    with pytest.raises(BadInput, match="2 tested samples cannot stand for 3 classes"):
        BufferedLeaveOneOut(field(3), tested=2).splits()
