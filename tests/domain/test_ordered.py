"""A tile in order says the same as the tile itself: bins, sums and extremes equal, percentiles those of numpy."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geoml_ops.core.bands import SENTINEL_2_L1C
from geoml_ops.core.grid import Grid
from geoml_ops.domain.sketch import (
    Place,
    answers_of,
    bins_of,
    class_counts,
    edges_of,
    ordered,
    place_of,
    sketch_tile,
    tally,
    tile_columns,
)
from geoml_ops.domain.sketch.bands import sketch_bands
from geoml_ops.domain.sketch.bins import Bins
from geoml_ops.domain.tiling.layers import layers_of

NAMES = SENTINEL_2_L1C.names[:3]
BINS = (
    *bins_of(SENTINEL_2_L1C)[:2],
    Bins("even", 100.0, 9000.0),
    Bins("moved", -1000.0, 20_000.0, zero=1000.0, even=500.0, step=1 / 256),
)


PLACE = Place(0.0, 0.0, 1280.0)


def tile(seed: int, high: int = 65_535, shape: tuple[int, int] = (20, 31)) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, high, (4, *shape), endpoint=True).astype(np.float32)


@given(st.integers(0, 2**32 - 1), st.sampled_from([0, 1, 300, 12_000, 65_535]), st.sampled_from(["<f4", "<u2"]))
def test_sketches_of_a_tile_in_order_are_those_of_the_tile(seed: int, high: int, kind: str) -> None:
    dn = tile(seed, high).astype(kind)
    in_order = ordered(dn[:, 2:, 3:])
    assert in_order is not None
    for one, own, other in zip(sketch_bands(dn[:, 2:, 3:], BINS, in_order), BINS, dn[:, 2:, 3:], strict=True):
        (plain,) = sketch_bands(other[np.newaxis], (own,))
        assert one == plain
        assert one.to_bytes() == plain.to_bytes()


def test_the_row_of_a_tile_in_order_is_that_of_numpy() -> None:
    dn = tile(7, 9000)
    grid = Grid(crs="EPSG:32633", left=0.0, top=300.0, pixel_m=10.0, width=31, height=20)
    names = tile_columns(NAMES, (), classes=False)
    row = dict(zip(names, sketch_tile(dn[:3], place_of(grid), ordered(dn[:3])), strict=True))
    assert row["valid_share"] == 1.0
    for name, layer in zip(NAMES, dn.astype(np.float64), strict=False):
        assert row[f"{name}:mean"] == pytest.approx(layer.mean(), rel=1e-12)
        assert row[f"{name}:sd"] == pytest.approx(layer.std(), rel=1e-12)
        for part, share in (("p01", 1), ("p50", 50), ("p99", 99)):
            assert row[f"{name}:{part}"] == pytest.approx(np.percentile(layer, share), rel=1e-12)
    otherwise = dict(zip(names, sketch_tile(dn[:3], place_of(grid), None), strict=True))
    assert list(row) == list(otherwise)
    assert row == pytest.approx(otherwise, rel=1e-12)


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf, -1.0, 0.5, 65_536.0, 1e30])
def test_what_is_no_whole_number_of_16_bits_is_not_put_in_order(number: float) -> None:
    dn = tile(1)
    dn[2, 5, 6] = number
    assert ordered(dn) is None
    assert ordered(dn[:2]) is not None


@given(st.integers(0, 2**32 - 1), st.sampled_from([1, 300, 65_535]), st.integers(1, 40), st.integers(1, 300))
def test_whole_numbers_are_in_the_same_order_as_the_same_floats(seed: int, high: int, height: int, width: int) -> None:
    dn = tile(seed, high, (height, width))
    floats, whole = ordered(dn), ordered(dn.astype(np.uint16))
    assert floats is not None
    assert whole is not None
    np.testing.assert_array_equal(floats.numbers, whole.numbers)
    assert floats.totals == whole.totals == tuple(int(layer.sum(dtype=np.float64)) for layer in dn)
    assert floats.squares == whole.squares == tuple(int((layer.astype(np.uint64) ** 2).sum()) for layer in dn)


def quantile(numbers: np.ndarray, share: float) -> float:
    """One percentile of numbers in order, by hand."""
    place = share * (numbers.size - 1)
    below = int(place)
    a, b = float(numbers[below]), float(numbers[min(below + 1, numbers.size - 1)])
    part = place - below
    return b - (b - a) * (1.0 - part) if part >= 0.5 else a + (b - a) * part


@given(st.integers(0, 2**32 - 1), st.integers(1, 700), st.booleans(), st.booleans())
def test_percentiles_of_all_bands_are_those_of_each_to_the_last_digit(
    seed: int, n: int, whole: bool, holes: bool
) -> None:
    rng = np.random.default_rng(seed)
    dn = rng.normal(3000, 2000, (3, 1, n)).astype(np.float32)
    if whole:
        dn = np.rint(np.abs(dn))
    if holes:
        dn[:, rng.random((1, n)) < 0.3] = np.nan
    found = dict(zip(tile_columns(NAMES, (), classes=False), sketch_tile(dn, PLACE, ordered(dn)), strict=True))
    for name, layer in zip(NAMES, dn, strict=True):
        seen = np.sort(layer[np.isfinite(layer)])
        for part, share in (("p01", 0.01), ("p50", 0.5), ("p99", 0.99)):
            assert found[f"{name}:{part}"] == (quantile(seen, share) if seen.size else None)


@given(st.integers(0, 2**32 - 1), st.integers(1, 9), st.integers(1, 9), st.sampled_from([0.0, 0.2, 1.0]))
def test_answers_are_counted_pixel_by_pixel_and_pair_by_pair(seed: int, height: int, width: int, lost: float) -> None:
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, 3, (height, width + 1)).astype(np.uint8)[:, 1:]
    codes[rng.random(codes.shape) < lost] = 255
    said = answers_of(codes, 3)
    at = {(r, c): int(codes[r, c]) for r in range(height) for c in range(width) if codes[r, c] != 255}
    pairs = [(at[p], at[q]) for p in at for q in ((p[0] + 1, p[1]), (p[0], p[1] + 1)) if q in at]
    assert (said.n, said.counts) == (len(at), tuple(list(at.values()).count(code) for code in range(3)))
    assert (said.n_differ, said.n_pairs) == (sum(a != b for a, b in pairs), len(pairs))
    assert edges_of(codes, said.known) == (said.n_differ, said.n_pairs)
    assert said.everywhere == (len(at) == codes.size)


def test_nothing_has_no_order() -> None:
    assert ordered(np.empty((3, 0, 5), dtype=np.float32)) is None


@pytest.mark.parametrize("n_classes", [1, 5, 12, 13, 40])
def test_classes_are_counted_one_by_one(n_classes: int) -> None:
    codes = np.random.default_rng(2).integers(0, n_classes, (40, 50)).astype(np.uint8)
    codes[:3] = 255
    assert class_counts(codes[:, 1:], n_classes) == tuple(int((codes[:, 1:] == k).sum()) for k in range(n_classes))


def test_a_tally_is_the_same_in_order() -> None:
    dn, codes = tile(3, 5000), np.random.default_rng(3).integers(0, 4, (20, 31)).astype(np.uint8)
    sure = np.random.default_rng(4).random((20, 31)).astype(np.float32)
    plain = tally(dn, BINS, codes, 4, confidence=sure)
    assert tally(dn, BINS, codes, 4, confidence=sure, ordered=ordered(dn)) == plain
    counts, _ = np.histogram((sure * np.float32(20)).astype(int), bins=np.arange(21))
    assert plain.confidence == tuple(counts)


@given(st.integers(1, 9), st.integers(0, 2**32 - 1), st.booleans())
def test_the_first_of_the_most_probable_classes_wins(n_classes: int, seed: int, all_known: bool) -> None:
    rng = np.random.default_rng(seed)
    # Few different numbers: many ties.
    probability = rng.integers(0, 3, (1, n_classes, 6, 7)).astype(np.float32) / 3
    valid = np.ones((1, 1, 6, 7), dtype=bool) if all_known else rng.random((1, 1, 6, 7)) < 0.5
    answer = SimpleNamespace(probability=probability, valid=valid, dissimilarity=None, density=None)
    layers = layers_of(answer, None, None)
    assert (layers.classes == np.where(valid[0, 0], probability[0].argmax(axis=0), 255)).all()
    assert np.array_equal(layers.confidence, np.where(valid[0, 0], probability[0].max(axis=0), np.nan), equal_nan=True)
