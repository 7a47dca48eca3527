"""How far numbers moved: against scipy, and from sketches against the numbers themselves."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats

from geoml_ops.core.bands import SENTINEL_2_L1C
from geoml_ops.core.errors import BadInput
from geoml_ops.domain import drift
from geoml_ops.domain.shift import LEAST_SD, Move, move, move_of, moves
from geoml_ops.domain.sketch import Bins, Sketch, bins_of, empty, sketch
from tests.benchmarks import shifts

B02 = bins_of(SENTINEL_2_L1C.subset(("B02",)))[0]
DECIBEL = Bins("VV", -50.0, 10.0, step=2.0**-9)
HEIGHT = Bins("height", -500.0, 9000.0, zero=0.0, even=0.9, step=2.0**-16)
EVERY = [B02, DECIBEL, HEIGHT]
NUMBERS = hnp.arrays(np.float64, st.integers(1, 30), elements=st.floats(-1e6, 1e6, width=32))


@given(a=NUMBERS, b=NUMBERS)
@settings(max_examples=200, deadline=None)
def test_a_sample_moved_as_far_as_scipy_says(a: np.ndarray, b: np.ndarray) -> None:
    found = move(a, b)
    sd = max(float(a.std()), LEAST_SD)
    assert found.distance * sd == pytest.approx(stats.wasserstein_distance(a, b), rel=1e-9, abs=1e-6)
    assert found.mean_shift == pytest.approx(b.mean() - a.mean(), abs=1e-6)
    assert found.distance * sd >= abs(found.mean_shift) - 1e-6
    # As it was measured before, by the simple watch.
    assert found.distance == pytest.approx(drift.distance(a, b), rel=1e-6, abs=1e-6)


@given(a=NUMBERS, b=NUMBERS, seed=st.integers(0, 99))
@settings(max_examples=100, deadline=None)
def test_weights_count_as_scipy_counts_them(a: np.ndarray, b: np.ndarray, seed: int) -> None:
    rng = np.random.default_rng(seed)
    wa, wb = rng.uniform(0.1, 2, a.size), rng.uniform(0.1, 2, b.size)
    found = move(a, b, reference_weight=wa, current_weight=wb)
    sd = max(math.sqrt(np.cov(a, aweights=wa, ddof=0)) if a.size > 1 else 0.0, LEAST_SD)
    assert found.distance * sd == pytest.approx(stats.wasserstein_distance(a, b, wa, wb), rel=1e-6, abs=1e-5)


@given(a=NUMBERS, c=st.floats(-1e5, 1e5))
@settings(max_examples=100, deadline=None)
def test_moving_everything_by_c_is_c_over_sd(a: np.ndarray, c: float) -> None:
    assume(a.std() > 1e-2)
    found = move(a, a + c)
    assert found.distance == pytest.approx(abs(c) / a.std(), rel=1e-6, abs=1e-6)
    assert found.sd_ratio == pytest.approx(1, rel=1e-3)
    # Which way round does not matter but for whose spread it is told in.
    assert move(a + c, a).distance == pytest.approx(found.distance, rel=1e-5, abs=1e-6)


def test_a_reference_without_spread_counts_as_varying_a_little() -> None:
    assert move(np.array([5.0, 5.0]), np.array([5.5])) == Move(500.0, 0.5, None)
    assert move(np.array([0.0, 2.0]), np.array([3.0, 5.0])) == Move(3.0, 3.0, 1.0)


@pytest.mark.parametrize(
    ("a", "b", "weight"),
    [
        ([], [1.0], None),
        ([1.0], [np.nan], None),
        ([1.0], [np.inf, 2.0], None),
        ([1.0], [1e200, 2.0], None),
        ([1.0, 2.0], [1.0], [1.0]),
        ([1.0, 2.0], [1.0], [1.0, -1.0]),
        ([1.0, 2.0], [1.0], [0.0, 0.0]),
        ([1.0, 2.0], [1.0], [np.nan, 1.0]),
        ([1.0, 2.0], [1.0], [np.inf, 1.0]),
    ],
)
def test_what_is_no_sample_is_refused(a: list[float], b: list[float], weight: list[float] | None) -> None:
    with pytest.raises(BadInput):
        move(np.array(a), np.array(b), reference_weight=None if weight is None else np.array(weight))


# --- from sketches -----------------------------------------------------------------------------


def widths(numbers: np.ndarray, bins: Bins) -> float:
    """Mean width of the bins that numbers lie in, open ones ending at the extreme."""
    edges = np.concatenate([[min(numbers.min(), bins.edges[0])], bins.edges, [max(numbers.max(), bins.edges[-1])]])
    position = np.clip(np.searchsorted(edges, numbers, side="right") - 1, 0, len(edges) - 2)
    near = np.maximum(np.diff(edges)[position], np.diff(edges)[np.maximum(position - 1, 0)])
    return float(near.mean())


FLOATS = hnp.arrays(np.float32, st.integers(1, 60), elements=st.floats(-2e4, 2e4, width=32))


@pytest.mark.parametrize("bins", EVERY, ids=lambda bins: bins.band)
@given(a=FLOATS, b=FLOATS)
@settings(max_examples=100, deadline=None)
def test_a_sketch_moved_as_far_as_its_numbers_to_a_bin(bins: Bins, a: np.ndarray, b: np.ndarray) -> None:
    found = move_of(sketch(a, bins), sketch(b, bins))
    exact_a, exact_b = a.astype(np.float64), b.astype(np.float64)
    one = sketch(a, bins)
    off = (widths(exact_a, bins) + widths(exact_b, bins)) / 2 + bins.step
    assert one.sd is not None
    assert abs(found.distance * max(one.sd, LEAST_SD) - stats.wasserstein_distance(exact_a, exact_b)) <= off + 1e-3
    assert found.mean_shift == pytest.approx(exact_b.mean() - exact_a.mean(), abs=bins.step + 1e-3)


def spread_out(one: Sketch, n: int = 400) -> tuple[np.ndarray, np.ndarray]:
    """Points and weights: what lies in a bin, evenly spread in it."""
    edges = np.concatenate(
        [[min(one.least, one.bins.edges[0])], one.bins.edges, [max(one.greatest, one.bins.edges[-1])]]
    )
    inside = (np.arange(n) + 0.5) / n
    points = edges[:-1, None] + np.diff(edges)[:, None] * inside
    return points.ravel(), np.repeat(np.array(one.counts) / n, n)


@given(a=FLOATS, b=FLOATS)
@settings(max_examples=40, deadline=None)
def test_numbers_of_a_bin_count_as_evenly_spread_in_it(a: np.ndarray, b: np.ndarray) -> None:
    one, other = sketch(a, HEIGHT), sketch(b, HEIGHT)
    (points, weights), (more, their) = spread_out(one), spread_out(other)
    even = stats.wasserstein_distance(points, more, weights, their)
    found = move_of(one, other)
    assert one.sd is not None
    expected = max(even, abs(found.mean_shift)) / max(one.sd, LEAST_SD)
    # Points stand for 400ths of a bin, the widest of which is an open one.
    off = (widths(a.astype(float), HEIGHT) + widths(b.astype(float), HEIGHT)) / 400
    assert found.distance == pytest.approx(expected, abs=(off + 1e-6) / max(one.sd, LEAST_SD))


@given(
    a=hnp.arrays(np.uint16, 50, elements=st.integers(300, 6000)),
    c=st.integers(1, 3000),
)
@settings(max_examples=100, deadline=None)
def test_a_band_moved_by_c_is_never_nearer_than_c(a: np.ndarray, c: int) -> None:
    assume(a.std() > 1)
    one, other = sketch(a, B02), sketch((a + c).astype(np.uint16), B02)
    found = move_of(one, other)
    sd = float(a.astype(float).std())
    assert found.mean_shift == pytest.approx(c, abs=1.01)
    assert c / sd * 0.999 <= found.distance
    off = (widths(a.astype(float), B02) + widths(a + float(c), B02)) / 2
    assert found.distance <= (c + off + 1) / sd * 1.001


@given(a=FLOATS, b=FLOATS, at=st.integers(0, 60))
@settings(max_examples=50, deadline=None)
def test_cutting_ground_into_pieces_changes_nothing(a: np.ndarray, b: np.ndarray, at: int) -> None:
    pieces = sketch(b[:at], HEIGHT) if b[:at].size else empty(HEIGHT)
    rest = sketch(b[at:], HEIGHT) if b[at:].size else empty(HEIGHT)
    one = sketch(a, HEIGHT)
    assert move_of(one, rest + pieces) == move_of(one, sketch(b, HEIGHT))
    assert move_of(one, one + one).distance == pytest.approx(0, abs=1e-9)


def test_ten_times_the_pixels_are_the_same_distance() -> None:
    rng = np.random.default_rng(3)
    a, b = sketch(rng.integers(200, 3000, 4000).astype(np.uint16), B02), sketch(np.full(9, 700, np.uint16), B02)
    many = a
    for _ in range(40):
        many = many + many
    assert many.n == 4000 << 40
    assert move_of(many, b).distance == pytest.approx(move_of(a, b).distance, rel=1e-9)


def test_constant_bands_inside_one_bin_are_told_apart_by_their_moments() -> None:
    wide = int(B02.edges[200]) + 3
    one, other = (sketch(np.full(100, value, np.uint16), B02) for value in (wide, wide + 5))
    assert move_of(one, other) == Move(5 / LEAST_SD, 5.0, None)


def test_many_tiles_are_what_each_of_them_is() -> None:
    rng = np.random.default_rng(5)
    bins = bins_of(SENTINEL_2_L1C.subset(("B02", "B03", "B04")))
    tiles = [
        [sketch(rng.normal(level, 300, 500).clip(1, 60_000).astype(np.float32), one) for one in bins]
        for level in rng.uniform(500, 30_000, 20)
    ]
    tiles[7][1] = empty(bins[1])
    reference = [a + b for a, b in zip(tiles[0], tiles[2], strict=True)]
    found = moves(reference, tiles)
    assert found.distance.shape == found.mean_shift.shape == found.sd_ratio.shape == (20, 3)
    assert np.argwhere(np.isnan(found.distance)).tolist() == [[7, 1]]
    for tile, row in enumerate(tiles):
        for band, one in enumerate(row):
            if one.n:
                alone = move_of(reference[band], one)
                assert (found.distance[tile, band], found.sd_ratio[tile, band]) == (alone.distance, alone.sd_ratio)
    assert moves(reference, []).distance.shape == (0, 3)


def test_sketches_that_do_not_compare_are_refused() -> None:
    one = sketch(np.arange(9, dtype=np.uint16), B02)
    for reference, current in ((one, empty(B02)), (empty(B02), one), (one, sketch(np.ones(3, np.float32), DECIBEL))):
        with pytest.raises(BadInput):
            move_of(reference, current)
    with pytest.raises(BadInput, match="Tile 1 has 2 bands and the reference 1"):
        moves([one], [[one], [one, one]])


def test_a_sketch_that_no_numbers_have_is_refused() -> None:
    one = sketch(np.arange(9, dtype=np.uint16), B02)
    bad = [
        replace(one, counts=(1 << 70, *one.counts[1:])),
        replace(one, counts=(1 << 60, *one.counts[1:])),
        replace(one, squares=0),
        replace(one, squares=1 << 3000),
        replace(one, least=-math.inf),
        replace(one, greatest=math.nan),
    ]
    for other in bad:
        with pytest.raises(BadInput, match="that no numbers have"):
            move_of(one, other)


def test_more_tiles_than_are_in_memory_at_once() -> None:
    one, other = (sketch(np.arange(9, dtype=np.uint16) * k, B02) for k in (30, 70))
    found = moves([one], [[one], [other]] * 1500)
    assert found.distance[-1, 0] == found.distance[1, 0] == move_of(one, other).distance
    assert not found.distance[::2].any()


def test_a_thousand_tiles_of_twelve_bands_compare_as_a_loop_over_them_does() -> None:
    shifts.check(20)
