"""Sketches that add up: against numpy, and however the ground is cut."""

from __future__ import annotations

import contextlib
import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from geoml_ops.core.bands import CONTRACTS, SENTINEL_2_L1C, Band, Contract, Radiometry
from geoml_ops.core.errors import BadInput
from geoml_ops.core.grid import Grid
from geoml_ops.domain.sketch import (
    MOST_BYTES,
    N_BINS,
    Bins,
    Sketch,
    bins_of,
    empty,
    from_bytes,
    from_text,
    sketch,
    tally,
    tally_from,
    tally_tiles,
    total,
)

B02 = bins_of(SENTINEL_2_L1C.subset(("B02",)))[0]
DECIBEL = Bins("VV", -50.0, 10.0, step=2.0**-9)
HEIGHT = Bins("height", -500.0, 9000.0, zero=0.0, even=0.9, step=2.0**-16)
SHIFTED = Bins("SR_B4", 0.0, 80_000.0, zero=7272.727272727272, even=1818.0, step=1.0)
EVERY = [B02, DECIBEL, HEIGHT, SHIFTED]
FLOATS = st.floats(width=32, allow_nan=True, allow_infinity=True)


def by_hand(number: float, bins: Bins) -> int:
    """The bin of one number, by looking at one edge after the other."""
    if not math.isfinite(number):
        return N_BINS
    if bins.zero is None:
        width = (bins.high - bins.low) / 256
        near = np.float32(min(max(number, bins.low - 2 * width), bins.high + 2 * width))
        place = np.float32((near - np.float32(bins.low)) * np.float32(1 / width)) + np.float32(1)
        return min(max(math.floor(place), 0), 257)
    apart = float(np.float32(number) - np.float32(bins.zero))
    edges = [edge - bins.zero for edge in bins.edges]
    return sum(edge <= apart if apart >= 0 else edge < apart for edge in edges)


@pytest.mark.parametrize("bins", EVERY, ids=lambda bins: bins.band)
@given(numbers=hnp.arrays(np.float32, st.integers(1, 40), elements=FLOATS))
@settings(max_examples=60, deadline=None)
def test_every_number_is_in_the_bin_that_its_edges_say(bins: Bins, numbers: np.ndarray) -> None:
    assert bins.of(numbers).tolist() == [by_hand(float(number), bins) for number in numbers]


def test_numbers_on_and_beside_edges_and_both_zeros() -> None:
    for bins in (B02, HEIGHT):
        edges = bins.edges.astype(np.float32)
        near = np.concatenate(
            [edges, np.nextafter(edges, np.float32(np.inf)), np.nextafter(edges, np.float32(-np.inf))]
        )
        assert bins.of(near).tolist() == [by_hand(float(number), bins) for number in near]
    zeros = np.array([0.0, -0.0], np.float32)
    assert len(set(B02.of(zeros).tolist())) == 1
    assert sketch(zeros[:1], B02).to_bytes() == sketch(zeros[1:], B02).to_bytes()


def test_whole_numbers_fall_where_the_same_floats_do() -> None:
    whole = np.arange(65536, dtype=np.uint16)
    for bins in EVERY:
        np.testing.assert_array_equal(bins.of(whole), bins.of(whole.astype(np.float32)))
        assert sketch(whole, bins) == sketch(whole.astype(np.float32), bins)


def test_bins_of_every_sensor_are_in_order_and_their_own() -> None:
    seen: dict[int, Bins] = {}
    for contract in CONTRACTS.values():
        for bins in bins_of(contract):
            assert (np.diff(bins.edges) > 0).all(), bins
            assert seen.setdefault(bins.key, bins) == bins, "one key, one set of bins"
            assert bins.low < bins.high


def test_bins_follow_the_contract() -> None:
    assert (B02.low, B02.high, B02.zero, B02.step) == (-2000.0, 20000.0, 0.0, 1.0)
    # Dark ground is told apart finely, bright ground in proportion.
    assert B02.error_at(100.0) < 16
    assert B02.error_at(3000.0) < 0.035 * 3000
    assert B02.error_at(30_000.0) == math.inf
    plain = Radiometry(scale=1.0, nodata=None)
    covariates = (
        ("slope", "degree", (0.0, 90.0)),
        ("height", "m", (-500.0, 9000.0)),
        ("any", "as read", (-1e30, 1e30)),
    )
    made = SENTINEL_2_L1C.joined(
        [Band(name=name, gsd_m=10.0, valid=valid, unit=unit, radiometry=plain) for name, unit, valid in covariates]
    )
    slope, height, anything = bins_of(made)[-3:]
    assert slope.zero is None
    assert slope.error_at(45.0) == pytest.approx(90 / 256)
    assert height.zero == 0.0
    assert height.error_at(50.0) < 6
    assert anything.step <= 2.0**-10
    assert anything.error_at(0.3) < 0.1
    assert all(0 < bins.step < 1e-2 for bins in (slope, height, anything))


@pytest.mark.parametrize("bins", EVERY, ids=lambda bins: bins.band)
@given(seed=st.integers(0, 10**6), cuts=st.lists(st.integers(0, 600), max_size=6), lost=st.floats(0, 1))
@settings(max_examples=25, deadline=None)
def test_however_it_is_cut_and_in_whatever_order_it_is_added(
    bins: Bins, seed: int, cuts: list[int], lost: float
) -> None:
    rng = np.random.default_rng(seed)
    numbers = rng.normal((bins.low + bins.high) / 3, (bins.high - bins.low) / 3, 600).astype(np.float32)
    numbers[rng.random(600) < lost] = np.nan
    whole = sketch(numbers, bins)
    parts = [sketch(part, bins) for part in np.split(numbers, sorted(cuts))]
    rng.shuffle(parts)  # type: ignore[arg-type]
    left = right = empty(bins)
    for part in parts:
        left, right = left + part, part + right
    assert left == right == whole
    assert left.to_bytes() == whole.to_bytes()
    assert sketch(rng.permutation(numbers), bins) == whole


@pytest.mark.parametrize("bins", EVERY, ids=lambda bins: bins.band)
@given(seed=st.integers(0, 10**6), n=st.integers(1, 500))
@settings(max_examples=25, deadline=None)
def test_moments_and_quantiles_against_numpy(bins: Bins, seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    numbers = rng.uniform(bins.low, bins.low + rng.random() * (bins.high - bins.low), n).astype(np.float32)
    found, exact = sketch(numbers, bins), numbers.astype(np.float64)
    assert (found.n, found.n_nodata) == (n, 0)
    assert (found.least, found.greatest) == (exact.min(), exact.max())
    assert found.mean == pytest.approx(exact.mean(), abs=bins.step / 2 + 1e-9)
    assert found.sd == pytest.approx(exact.std(), abs=bins.step + 1e-6)
    for share in (0.0, 0.01, 0.25, 0.5, 0.77, 0.99, 1.0):
        true = float(np.quantile(exact, share))
        # numpy goes straight between two ranks, which may lie in two bins.
        low, high = (float(np.quantile(exact, share, method=m)) for m in ("lower", "higher"))
        got = found.quantile(share)
        assert got is not None
        assert low - bins.error_at(low) <= got <= high + bins.error_at(high), (share, true)


def test_whole_dn_have_exact_moments() -> None:
    dn = np.random.default_rng(3).integers(1, 20_000, (300, 300)).astype(np.uint16)
    found = sketch(dn, B02)
    assert found.total == int(dn.sum(dtype=np.int64))
    assert found.squares == int((dn.astype(np.int64) ** 2).sum())
    assert found.mean == pytest.approx(dn.mean(), rel=1e-12)
    assert found.sd == pytest.approx(dn.astype(np.float64).std(), rel=1e-9)


def test_small_spread_far_from_zero_does_not_cancel() -> None:
    numbers = np.array([1e6, 1e6 + 1] * 5000, np.float32)
    found = sketch(numbers, Bins("far", 0.0, 2e6, step=2.0**-10))
    assert found.sd == pytest.approx(0.5, abs=1e-3)


def test_numbers_beyond_everything_count_at_the_ends() -> None:
    numbers = np.array([-3e38, 3e38, np.inf, -np.inf, np.nan, 5.0], np.float32)
    found = sketch(numbers, B02)
    assert (found.counts[0], found.counts[-1], found.n_nodata, found.n) == (1, 1, 3, 3)
    assert from_bytes(found.to_bytes(), B02) == found
    assert found.quantile(0.0) == numbers[0]
    assert found.quantile(1.0) == numbers[1]
    assert math.isfinite(found.sd or math.nan)


def test_nothing_has_no_numbers_and_not_zeros() -> None:
    for nothing in (empty(B02), sketch(np.full((4, 4), np.nan, np.float32), B02), sketch(np.zeros(0, np.uint16), B02)):
        assert (nothing.n, nothing.mean, nothing.sd, nothing.quantile(0.5)) == (0, None, None, None)
        assert from_text(nothing.to_text(), B02) == nothing


@given(st.lists(st.integers(0, 2**49 - 1), min_size=N_BINS, max_size=N_BINS), st.integers(0, 2**60))
@settings(max_examples=30, deadline=None)
def test_bytes_go_there_and_back_and_stay_small(counts: list[int], n_nodata: int) -> None:
    most = Sketch(B02, tuple(counts), n_nodata, -(2**80), 2**111, -3.0, 70_000.0)
    content = most.to_bytes()
    assert len(content) <= MOST_BYTES
    if any(counts):
        assert from_bytes(content, B02) == most


def test_the_largest_sketch_fits() -> None:
    largest = Sketch(B02, (2**49 - 1,) * N_BINS, 2**57, -(2**88), 2**119, -1.0, 1.0)
    assert len(largest.to_bytes()) <= MOST_BYTES


@given(st.binary(max_size=300))
@settings(max_examples=150, deadline=None)
def test_other_bytes_are_refused(content: bytes) -> None:
    good = sketch(np.arange(0, 9000, 7, dtype=np.uint16), B02).to_bytes()
    for told in (content, good[:6] + content, good + content + b"\x80", good[: len(content) % len(good)]):
        with contextlib.suppress(BadInput):
            assert from_bytes(told, B02).bins == B02


def test_sketches_of_other_bins_never_mix() -> None:
    mine, other = (sketch(np.ones(4, np.float32), bins) for bins in (B02, HEIGHT))
    with pytest.raises(ValueError, match="other bins"):
        mine + other
    with pytest.raises(BadInput):
        from_bytes(mine.to_bytes(), HEIGHT)


# --- tallies ---------------------------------------------------------------------------------

CONTRACT: Contract = SENTINEL_2_L1C.subset(("B02", "B08"))
BINS = bins_of(CONTRACT)
NAMES = ("bare", "green", "water")


def ground(height: int = 70, width: int = 90, seed: int = 0) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    dn = rng.integers(50, 4000, (2, height, width)).astype(np.float32)
    dn[0, :9, :11] = np.nan
    classes = rng.integers(0, 3, (height, width)).astype(np.uint8)
    classes[:9, :11] = 255
    confidence = np.where(classes == 255, np.nan, rng.random((height, width))).astype(np.float32)
    return {
        "dn": dn, "classes": classes, "confidence": confidence, "outside": rng.random((height, width)) < 0.1,
        "set_size": rng.integers(1, 4, (height, width)).astype(np.uint8),
        "grid": Grid(crs="EPSG:32633", left=300000.0, top=5800000.0, pixel_m=10.0, width=width, height=height),
    }  # fmt: skip


def tallied(tile_px: int) -> list[Any]:
    parts = ground()
    grid, dn, classes = parts.pop("grid"), parts.pop("dn"), parts.pop("classes")
    return tally_tiles(dn, BINS, classes, len(NAMES), grid=grid, tile_px=tile_px, **parts)


def test_a_request_is_the_sum_of_its_tiles_whatever_their_size() -> None:
    whole, small, odd = (total(tallied(size)) for size in (128, 32, 17))
    for part in (small, odd):
        for name in ("sketches", "n_px", "n_answered", "classes", "confidence", "n_outside", "set_sizes"):
            assert getattr(part, name) == getattr(whole, name), name
        assert part.n_pairs < whole.n_pairs, "pairs across tiles are not counted"


def test_a_tally_against_numpy() -> None:
    parts = ground()
    (one,) = tallied(128)
    known = parts["classes"] != 255
    assert one.valid_share == known.mean()
    assert one.class_shares == tuple((parts["classes"][known] == code).mean() for code in range(3))
    assert one.outside_share == parts["outside"][known].mean()
    assert one.mean_set_size == pytest.approx(parts["set_size"][known].mean())
    counts, _ = np.histogram(parts["confidence"][known], bins=20, range=(0, 1))
    assert sum(one.confidence) == known.sum()
    assert np.abs(np.array(one.confidence) - counts).max() <= 1, "a number on an edge may be rounded either way"
    assert [s.n_nodata for s in one.sketches] == [99, 0], "a band that is lost is seen to be"
    assert (one.place.easting, one.place.northing, one.place.edge_m) == (300450.0, 5799650.0, 900.0)


def test_percent_counts_as_its_fraction_does() -> None:
    classes = np.zeros((10, 10), np.uint8)
    percent = np.arange(100, dtype=np.uint8).reshape(10, 10)
    one = tally(np.ones((2, 10, 10), np.float32), BINS, classes, 3, confidence=percent)
    assert one.confidence == (5,) * 20


def test_a_tally_as_json() -> None:
    for one in (*tallied(40), total(tallied(40))):
        told = json.loads(json.dumps(one.as_json()))
        assert tally_from(told, BINS) == one
    for broken in ({}, {**told, "sketches": ["AAAA", "AAAA"]}, {**told, "place": {"x": 1}}, {**told, "classes": 3}):
        with pytest.raises(BadInput):
            tally_from(broken, BINS)
