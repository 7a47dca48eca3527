"""How far shares moved: against scipy and by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.spatial import distance

from geoml_ops.core.bands import SENTINEL_2_L1C
from geoml_ops.core.errors import BadInput
from geoml_ops.domain.shift import (
    counted,
    frozen_cuts,
    frozen_edges,
    idle_stability,
    jensen_shannon,
    joined,
    largest_change,
    stability_index,
    total_variation,
)
from geoml_ops.domain.sketch import bins_of, sketch

B02 = bins_of(SENTINEL_2_L1C.subset(("B02",)))[0]
COUNTS = hnp.arrays(np.int64, 6, elements=st.integers(0, 10**12))
SOME = COUNTS.filter(lambda counts: counts.sum() > 0)


@given(a=SOME, b=SOME, pseudo=st.sampled_from([0.0, 0.5, 3.0]))
@settings(max_examples=200, deadline=None)
def test_jensen_shannon_is_scipys_on_counts_with_the_same_added_to_each_bin(
    a: np.ndarray, b: np.ndarray, pseudo: float
) -> None:
    found = float(jensen_shannon(a, b, pseudo))
    p, q = ((counts + pseudo) / (counts.sum() + pseudo * counts.size) for counts in (a, b))
    assert found == pytest.approx(distance.jensenshannon(p, q, base=2), abs=1e-6)
    assert 0 <= found <= 1
    assert found == pytest.approx(float(jensen_shannon(b, a, pseudo)), abs=1e-9)
    assert float(jensen_shannon(a, a, pseudo)) == pytest.approx(0, abs=1e-6)


@given(a=SOME, b=SOME, at=st.integers(1, 5))
@settings(max_examples=100, deadline=None)
def test_joining_bins_never_raises_what_nothing_was_added_to(a: np.ndarray, b: np.ndarray, at: int) -> None:
    few = [joined(counts, (at,)) for counts in (a, b)]
    assert float(jensen_shannon(*few, 0.0)) <= float(jensen_shannon(a, b, 0.0)) + 1e-6
    assert float(total_variation(*few)) <= float(total_variation(a, b)) + 1e-9


def test_the_base_is_two() -> None:
    # The methods page: .1397 to base 2 is .1163 to base e, and a divergence of .0195 bits.
    assert 0.1397 * np.sqrt(np.log(2)) == pytest.approx(0.1163, abs=5e-5)
    assert pytest.approx(0.0195, abs=5e-5) == 0.1397**2
    a, b = np.array([30, 50, 20]), np.array([45, 40, 15])
    p, q = a / 100, b / 100
    assert float(jensen_shannon(a, b, 0)) * np.sqrt(np.log(2)) == pytest.approx(distance.jensenshannon(p, q))
    assert float(jensen_shannon([9, 0], [0, 9], 0)) == 1


def test_a_class_that_was_never_seen_does_not_blow_up() -> None:
    reference, current = np.array([500, 500, 0]), np.array([480, 480, 40])
    by_hand_p, by_hand_q = (reference + 0.5) / 1001.5, (current + 0.5) / 1001.5
    assert float(stability_index(reference, current)) == pytest.approx(
        ((by_hand_q - by_hand_p) * np.log(by_hand_q / by_hand_p)).sum()
    )
    assert np.isinf(stability_index(reference, current, 0))
    assert float(stability_index([1, 0, 1], [1, 0, 1], 0)) == 0


@given(a=SOME, b=SOME)
@settings(max_examples=100, deadline=None)
def test_the_stability_index_is_symmetric_and_never_negative(a: np.ndarray, b: np.ndarray) -> None:
    found = float(stability_index(a, b))
    assert found >= 0
    assert found == pytest.approx(float(stability_index(b, a)), abs=1e-9)


def test_without_drift_the_stability_index_is_what_few_samples_make_it() -> None:
    # The methods page: 14 samples a scene against 560, 10 bins.
    assert idle_stability(10, 14, 560) == pytest.approx(0.66, abs=5e-3)
    rng = np.random.default_rng(1)
    a, b = rng.multinomial(4000, np.full(10, 0.1), 2000), rng.multinomial(1000, np.full(10, 0.1), 2000)
    assert stability_index(a, b).mean() == pytest.approx(idle_stability(10, 4000, 1000), rel=0.05)


@given(a=SOME, b=SOME, c=SOME)
@settings(max_examples=100, deadline=None)
def test_total_variation_is_a_distance(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> None:
    p, q = a / a.sum(), b / b.sum()
    found = float(total_variation(a, b))
    assert found == pytest.approx(np.maximum(q - p, 0).sum(), abs=1e-9)
    assert 0 <= found <= 1 + 1e-12
    assert found <= float(total_variation(a, c)) + float(total_variation(c, b)) + 1e-9
    change, code = largest_change(a, b)
    assert float(change) == pytest.approx((q - p)[int(code)])
    assert abs(float(change)) == pytest.approx(np.abs(q - p).max())
    assert abs(float(change)) <= found + 1e-12


def test_many_rows_are_compared_at_once_and_empty_ones_are_no_number() -> None:
    rows = np.array([[8, 2], [0, 0], [5, 5]])
    assert total_variation([5, 5], rows) == pytest.approx([0.3, np.nan, 0], nan_ok=True)
    change, code = largest_change([5, 5], rows)
    assert change == pytest.approx([0.3, np.nan, 0], nan_ok=True)
    assert code.tolist() == [0, -1, 0]
    assert np.isnan(jensen_shannon([5, 5], rows)).tolist() == [False, True, False]
    assert np.isnan(stability_index([0, 0], rows)).all()


@pytest.mark.parametrize(
    ("a", "b"), [([1, 2], [1, 2, 3]), ([1, -1], [1, 1]), ([np.nan, 1], [1, 1]), ([], []), ([np.inf, 1], [1, 1])]
)
def test_what_are_no_counts_are_refused(a: list[float], b: list[float]) -> None:
    for measure in (jensen_shannon, stability_index, total_variation, largest_change):
        with pytest.raises(BadInput):
            measure(a, b)
    with pytest.raises(BadInput):
        jensen_shannon([1, 1], [1, 1], -0.5)


# --- frozen bins -------------------------------------------------------------------------------


@given(
    counts=hnp.arrays(np.int64, st.integers(2, 40), elements=st.integers(0, 1000)).filter(lambda c: c.sum() > 0),
    n_bins=st.integers(2, 15),
)
@settings(max_examples=200, deadline=None)
def test_frozen_bins_hold_all_and_about_alike(counts: np.ndarray, n_bins: int) -> None:
    cuts = frozen_cuts(counts, n_bins)
    assert list(cuts) == sorted(set(cuts))
    assert all(0 < cut < counts.size for cut in cuts)
    assert len(cuts) < n_bins
    found = joined(counts, cuts)
    assert found.sum() == counts.sum()
    # No more than its share and the two fine bins at its ends.
    assert found.max() <= counts.sum() / n_bins + 2 * counts.max() + 1e-6


def test_deciles_of_a_sample_are_deciles() -> None:
    sample = np.random.default_rng(0).normal(size=10_000)
    edges = frozen_edges(sample)
    assert counted(sample, edges).tolist() == [1000] * 10
    assert edges == pytest.approx(np.quantile(sample, np.arange(1, 10) / 10), abs=1e-2)
    assert counted([-1e9, 1e9, np.nan], edges)[[0, -1]].tolist() == [1, 1]


def test_a_constant_reference_sees_both_sides() -> None:
    edges = frozen_edges(np.full(7, 3.0))
    assert counted([3, 3, 3, 2.999, 3.001], edges).tolist() == [1, 3, 1]
    one = sketch(np.full(50, 1500, np.uint16), B02)
    cuts = frozen_cuts(one.counts)
    below, above = (sketch(np.full(50, value, np.uint16), B02) for value in (900, 2500))
    assert [joined(each.counts, cuts).tolist() for each in (below, one, above)] == [[50, 0, 0], [0, 50, 0], [0, 0, 50]]


@given(sample=hnp.arrays(np.float64, st.integers(1, 60), elements=st.floats(-1e300, 1e300)))
@settings(max_examples=100, deadline=None)
def test_every_number_of_any_reference_is_counted_once(sample: np.ndarray) -> None:
    edges = frozen_edges(sample)
    assert list(edges) == sorted(edges)
    assert counted(sample, edges).sum() == sample.size


def test_sketches_added_are_counted_in_the_same_frozen_bins() -> None:
    rng = np.random.default_rng(2)
    tiles = [sketch(rng.integers(200, 4000, 300).astype(np.uint16), B02) for _ in range(5)]
    whole = sum(tiles[1:], tiles[0])
    cuts = frozen_cuts(whole.counts)
    rows = joined([tile.counts for tile in tiles], cuts)
    assert rows.sum(axis=0).tolist() == joined(whole.counts, cuts).tolist()
    assert joined(whole.counts, cuts) / whole.n == pytest.approx(0.1, abs=0.03)


@pytest.mark.parametrize("counts", [[0, 0], [[1, 2], [3, 4]], [-1, 2]])
def test_nothing_makes_no_bins(counts: list[int]) -> None:
    with pytest.raises(BadInput):
        frozen_cuts(counts)
    with pytest.raises(BadInput):
        frozen_cuts([1, 2], 1)
    with pytest.raises(BadInput):
        frozen_edges([np.nan, 1.0])
