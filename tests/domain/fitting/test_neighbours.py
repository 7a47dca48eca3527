"""Neighbours: scikit-learn's where nothing is tied, the order of the samples where something is."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.neighbors import KNeighborsClassifier

from geoml_ops.domain.fitting import Neighbours

RNG = np.random.default_rng(0)
SAMPLES = RNG.normal(size=(700, 5))
CODES = RNG.integers(0, 4, 700)
ROWS = RNG.normal(size=(1000, 5))


@pytest.mark.parametrize("weights", ["uniform", "distance"])
@pytest.mark.parametrize("k", [1, 5, 700])
def test_without_ties_shares_are_scikit_learns(weights: str, k: int) -> None:
    theirs = KNeighborsClassifier(k, weights=weights, algorithm="brute").fit(SAMPLES, CODES).predict_proba(ROWS)
    ours = Neighbours(k, weights).fit(SAMPLES, CODES).predict_proba(ROWS)
    np.testing.assert_allclose(ours, theirs, atol=2e-7)


def test_at_the_very_place_of_samples_these_decide() -> None:
    twice = np.vstack([SAMPLES, SAMPLES[:100]])
    codes = np.concatenate([CODES, (CODES[:100] + 1) % 4])
    found = Neighbours(5, "distance").fit(twice, codes).predict_proba(SAMPLES[:100])
    assert (found[np.arange(100), CODES[:100]] == 0.5).all()
    assert (found[np.arange(100), (CODES[:100] + 1) % 4] == 0.5).all()


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(0, 2)), min_size=3, max_size=40),
    st.tuples(st.integers(0, 3), st.integers(0, 3)),
    st.integers(1, 3),
)
def test_of_ties_the_first_samples_count(samples: list[tuple[int, int, int]], row: tuple[int, int], k: int) -> None:
    place = np.array([sample[:2] for sample in samples], dtype=np.float32)
    code = np.array([sample[2] for sample in samples])
    found = Neighbours(k).fit(place, code).predict_proba(np.array([row], dtype=np.float32))[0]
    apart = [(a - row[0]) ** 2 + (b - row[1]) ** 2 for a, b, _ in samples]
    order = sorted(range(len(samples)), key=lambda i: (apart[i], i))
    wanted = [Fraction(sum(samples[i][2] == c for i in order[:k]), k) for c in np.unique(code)]
    np.testing.assert_allclose(found, [float(share) for share in wanted], atol=1e-15)


def test_a_weight_is_the_size_of_a_vote() -> None:
    place = np.array([[0.0], [1.0], [2.0]])
    found = Neighbours(3).fit(place, np.array([0, 1, 1]), sample_weight=np.array([2.0, 1.0, 1.0]))
    assert found.predict_proba(np.array([[0.0]])).tolist() == [[0.5, 0.5]]
    assert found.predict_proba(np.zeros((0, 1))).shape == (0, 2)
