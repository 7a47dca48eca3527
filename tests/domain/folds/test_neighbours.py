"""Nearest neighbours found by trees and bits are those that comparing everything finds."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist

from geoml_ops.domain.folds import neighbours
from geoml_ops.domain.folds.neighbours import first_at_least, lengths, nearest, nearest_outside, spread


def places(rng: np.random.Generator, n: int, d: int, lattice: bool) -> np.ndarray:
    return rng.integers(0, 6, (n, d)).astype(float) if lattice else rng.normal(size=(n, d))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([1, 2, 3, 9, 14]), st.booleans())
def test_nearest_is_the_least_of_all_distances_to_the_last_bit(seed: int, d: int, lattice: bool) -> None:
    rng = np.random.default_rng(seed)
    here, there = places(rng, 40, d, lattice), places(rng, 60, d, lattice)
    every = lengths(here[:, None], there[None])
    assert np.allclose(every, cdist(here, there), rtol=1e-14)
    if lattice or d <= neighbours.TREE_DIMENSIONS:
        assert (nearest(here, there) == every.min(axis=1)).all()
    assert np.allclose(nearest(here, there), every.min(axis=1), rtol=1e-12)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([2, 3, 14]), st.booleans(), st.integers(2, 90))
def test_nearest_outside_is_the_least_over_other_groups(seed: int, d: int, lattice: bool, n_groups: int) -> None:
    rng = np.random.default_rng(seed)
    at = places(rng, 120, d, lattice)
    group = rng.integers(0, n_groups, 120) if seed % 2 else (at[:, 0] > np.quantile(at[:, 0], 0.9)).astype(int)
    group = np.unique(group, return_inverse=True)[1]
    if group.max() == 0:
        group[0] = 1
    every = cdist(at, at)
    every[group[:, None] == group[None]] = np.inf
    distance, stranger = nearest_outside(at, group)
    assert np.allclose(distance, every.min(axis=1), rtol=1e-12)
    assert np.allclose(every[np.arange(len(at)), stranger], distance, rtol=1e-12)


def test_places_deep_inside_a_large_group_are_resolved() -> None:
    rng = np.random.default_rng(0)
    at = np.concatenate([rng.normal(0, 1, (1500, 2)), rng.normal(40, 1, (900, 2)), [[90.0, 0.0]]])
    group = np.repeat([2, 0, 1], [1500, 900, 1])
    every = cdist(at, at)
    every[group[:, None] == group[None]] = np.inf
    assert max(neighbours.LOOKED_AT) < 900, "the groups are too small to need the last resort"
    distance, stranger = nearest_outside(at, group)
    assert np.allclose(distance, every.min(axis=1), rtol=1e-12)
    assert np.allclose(every[np.arange(len(at)), stranger], distance, rtol=1e-12)


@given(st.integers(0, 10_000), st.integers(1, 9))
def test_the_first_column_that_is_not_below_is_found_as_numpy_finds_it(seed: int, width: int) -> None:
    rng = np.random.default_rng(seed)
    table = np.sort(rng.integers(0, 8, (20, width)).astype(float), axis=1)
    value = float(rng.integers(-1, 9))
    assert first_at_least(table, value).tolist() == [int(np.searchsorted(row, value)) for row in table]


@pytest.mark.parametrize("d", [2, 3])
def test_a_spread_choice_is_fair_to_every_place_and_covers_the_ground_better_than_chance(d: int) -> None:
    rng = np.random.default_rng(1)
    at = rng.uniform(0, 1000, (400, d))
    chosen = np.zeros(400)
    cell = (at[:, 0] // 250 * 4 + at[:, 1] // 250).astype(int)
    uneven, by_chance = 0.0, 0.0
    for seed in range(600):
        found = spread(at, 40, np.random.default_rng(seed))
        assert len(np.unique(found)) == 40
        chosen[found] += 1
        share = np.bincount(cell, minlength=16) / 10
        uneven += np.square(np.bincount(cell[found], minlength=16) - share).sum()
        by_chance += np.square(np.bincount(cell[rng.choice(400, 40, replace=False)], minlength=16) - share).sum()
    # 600 draws of a tenth: 60 each, standard deviation 7.3.
    assert chosen.min() > 60 - 5 * 7.3
    assert chosen.max() < 60 + 5 * 7.3
    assert uneven < by_chance / 2


def test_a_spread_choice_of_coinciding_places_or_of_all_is_no_trouble() -> None:
    rng = np.random.default_rng(2)
    assert len(set(spread(np.zeros((9, 2)), 4, rng).tolist())) == 4
    assert spread(np.zeros((9, 2)), 20, rng).tolist() == list(range(9))
