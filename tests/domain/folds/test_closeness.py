"""Places in reach of each other are one, found without listing all pairs."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.sparse.csgraph import connected_components
from scipy.spatial.distance import cdist

from geoml_ops.domain.folds import closeness
from geoml_ops.domain.folds.closeness import linked, numbered, tied


def same_partition(one: NDArray[np.int64], other: NDArray[np.int64]) -> bool:
    return (
        len(set(zip(one.tolist(), other.tolist(), strict=True))) == len(set(one.tolist())) == len(set(other.tolist()))
    )


def by_brute_force(near: NDArray[np.bool_]) -> NDArray[np.int64]:
    return np.asarray(connected_components(near, directed=False)[1], dtype=np.int64)


@settings(max_examples=120, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 200), st.sampled_from([2, 3]), st.booleans(), st.booleans())
def test_components_are_those_of_all_pairs(seed: int, n: int, axes: int, corner: bool, crowded: bool) -> None:
    rng = np.random.default_rng(seed)
    places = rng.uniform(0, rng.uniform(1, 80), (n, axes))
    places = np.concatenate([places, places[rng.integers(0, n, n // 3)]])
    metric, p = ("chebyshev", np.inf) if corner else ("euclidean", 2.0)
    expected = by_brute_force(cdist(places, places, metric) <= 3.0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(closeness, "CROWD", -1 if crowded else 10**9)
        assert same_partition(linked(places, 3.0, p=p), expected)


def test_pairs_can_be_asked_once_more() -> None:
    places = np.array([[0.0, 0.0], [0.0, 0.0], [1.0, 0.0], [1.0, 1.0]])
    east = linked(places, 1.0, really=lambda one, other: places[one, 1] == places[other, 1])
    assert same_partition(east, np.array([0, 0, 0, 1]))


@pytest.mark.parametrize("width", [0.0, 1.0, 25.0])
def test_a_hundred_thousand_places_in_a_crowd_are_no_billion_pairs(width: float) -> None:
    places = np.random.default_rng(0).uniform(0, 1, (100_000, 2)) * width + 5.8e6
    assert linked(places, 10.0, p=np.inf).max() == 0


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 60), st.integers(1, 3))
def test_whatever_agrees_in_any_label_is_tied(seed: int, n: int, n_labels: int) -> None:
    labels = np.random.default_rng(seed).integers(-5, 40, (n_labels, n))
    near = np.zeros((n, n), dtype=bool)
    for label in labels:
        near |= label[:, None] == label[None]
    assert same_partition(tied(*labels), by_brute_force(near))
    assert set(tied(*labels)) == set(range(tied(*labels).max() + 1))


def test_nothing_is_tied_to_nothing() -> None:
    assert len(tied(np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64))) == 0


def test_rows_are_numbered_in_their_order() -> None:
    assert numbered(np.array([3, 1, 3, 1]), np.array([0, 9, 0, 2])).tolist() == [2, 1, 2, 0]
