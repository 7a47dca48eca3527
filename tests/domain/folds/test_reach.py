"""Train samples are far enough from tested ones: a buffer, and windows that share no pixel."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from geoml_ops.domain.folds import Samples, far_from
from geoml_ops.domain.folds.reach import far_from_each
from tests.domain.folds.worlds import field, globe, great_circle_m, made


def with_patches(samples: Samples, seed: int, sizes: tuple[int, ...] = (0, 3, 16)) -> Samples:
    half = np.random.default_rng(seed).choice(sizes, len(samples))
    return dataclasses.replace(samples, half_px=half.astype(np.int64))


def kept_by_brute_force(
    samples: Samples, rest: NDArray[np.int64], test: NDArray[np.int64], buffer_m: float, halo_px: int
) -> NDArray[np.bool_]:
    """Every pair on its own: the straight way, and rectangles of source pixels that may touch but not overlap."""
    here, there, p = samples.ground[rest], samples.ground[test], samples.pixel_m
    r = (samples.half_px + halo_px).astype(float)
    both = r[rest][:, None] + r[test][None]
    apart = np.ones((len(rest), len(test)), dtype=bool)
    for axis in (0, 1):
        west, east = here[:, axis] - (r[rest] + 0.5) * p, here[:, axis] + (r[rest] + 0.5) * p
        west2, east2 = there[:, axis] - (r[test] + 0.5) * p, there[:, axis] + (r[test] + 0.5) * p
        overlap = np.minimum(east[:, None], east2[None]) - np.maximum(west[:, None], west2[None]) > 1e-5
        apart &= overlap
    return ((cdist(here, there) > buffer_m + both * p) & ~apart).all(axis=1)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.floats(0, 600), st.integers(0, 8), st.booleans(), st.booleans())
def test_far_is_what_every_pair_says(seed: int, buffer_m: float, halo_px: int, patches: bool, on_grid: bool) -> None:
    samples = field(seed, 40, 5, extent_m=4000.0)
    if patches:
        samples = with_patches(samples, seed)
    if on_grid:
        east, north = np.round(samples.easting / 10) * 10, np.round(samples.northing / 10) * 10
        samples = dataclasses.replace(samples, easting=east, northing=north)
    test = np.flatnonzero(samples.polygon < 6)
    rest = np.setdiff1d(np.arange(len(samples)), test)
    found = far_from(samples, rest, test, buffer_m, halo_px)
    expected = kept_by_brute_force(samples, rest, test, buffer_m, halo_px)
    if buffer_m == 0 and halo_px == 0 and not samples.half_px.any():
        expected[:] = True
    assert (found == expected).all()
    for one, far in zip(test, far_from_each(samples, test, buffer_m, halo_px), strict=True):
        everyone = np.arange(len(samples))
        assert (far == kept_by_brute_force(samples, everyone, np.array([one]), buffer_m, halo_px)).all()


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.floats(1, 60_000), st.integers(0, 5))
def test_far_on_the_globe_is_along_great_circles(seed: int, buffer_m: float, halo_px: int) -> None:
    samples = globe(seed)
    test = np.flatnonzero(samples.polygon < 9)
    rest = np.setdiff1d(np.arange(len(samples)), test)
    part = dataclasses.replace(samples, easting=samples.easting, northing=samples.northing)
    distance = great_circle_m(part, part)[np.ix_(rest, test)]
    limit = max(buffer_m + 20 * halo_px, np.sqrt(2) * 10 * (2 * halo_px + 1))
    assert (far_from(samples, rest, test, buffer_m, halo_px) == (distance > limit).all(axis=1)).all()
    whole = great_circle_m(samples, samples)
    for one, far in zip(test, far_from_each(samples, test, buffer_m, halo_px), strict=True):
        assert (far == (whole[one] > limit)).all()


def test_a_buffer_longer_than_half_the_globe_leaves_nothing() -> None:
    samples = globe(0)
    assert not far_from(samples, np.arange(1, 50), np.array([0]), 3e7).any()


def test_windows_touch_at_their_edges_and_never_overlap() -> None:
    # Windows of 5 x 5 pixels of 10 m: middles 50 m apart along an axis touch, 40 m share a column.
    places = np.array([[0, 0], [50, 0], [40, 0], [40, 50], [40, 40], [50, 50]]) + np.array([3e5, 5.8e6])
    samples = made(places)
    assert far_from(samples, np.arange(1, 6), np.array([0]), 0.0, 2).tolist() == [True, False, True, False, True]
    other_grid = made(places + np.where(np.arange(6)[:, None] > 0, -3.0, 0.0))
    assert not far_from(other_grid, np.array([1]), np.array([0]), 0.0, 2).any()


def test_each_pair_is_judged_by_its_own_windows() -> None:
    row = made(np.column_stack([3e5 + np.array([0.0, 100, 200, 300]), np.full(4, 5.8e6)]))
    patched = dataclasses.replace(row, half_px=np.array([0, 0, 16, 0]))
    assert far_from(patched, np.array([1, 2, 3]), np.array([0]), 50.0).tolist() == [True, False, True]
    assert far_from(patched, np.array([0, 1, 3]), np.array([2]), 50.0).tolist() == [False, False, False]
    assert far_from(patched, np.array([0, 1]), np.array([3]), 50.0).tolist() == [True, True]


def test_pixels_of_another_table_that_were_tested_are_never_far() -> None:
    tested, learned = made(np.array([[3e5, 5.8e6]])), made(np.array([[3e5 + 4, 5.8e6], [3e5 + 10, 5.8e6]]))
    found = far_from(tested, np.array([0, 1]), np.array([0]), 0.0, of=learned)
    assert found.tolist() == [False, True]
    coarse = dataclasses.replace(learned, pixel_m=30.0)
    assert far_from(tested, np.array([0, 1]), np.array([0]), 0.0, of=coarse).tolist() == [False, False]


@pytest.mark.parametrize("side", ["rest", "test"])
def test_nothing_is_far_from_nothing(side: str) -> None:
    samples, none, some = field(0), np.zeros(0, dtype=np.int64), np.arange(5)
    assert len(far_from(samples, none if side == "rest" else some, some if side == "rest" else none, 9.0)) in (0, 5)
