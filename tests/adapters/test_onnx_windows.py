"""Focal statistics and texture in a graph, against their definitions, other programs, and themselves in other tiles."""

import math
import os
from dataclasses import asdict
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto
from scipy import ndimage
from skimage.feature import graycomatrix, graycoprops

from geoml_ops.adapters.onnx.focal import focal
from geoml_ops.adapters.onnx.texture import glcm
from geoml_ops.adapters.onnx.writer import Writer
from geoml_ops.adapters.ort import Graph
from geoml_ops.core.errors import BadInput
from geoml_ops.domain.covariates import cooccurrence
from geoml_ops.platform.files import read_json, write_json
from geoml_ops.settings import CHECKOUT
from tests.benchmarks.texture import FIGURES
from tests.cooccurrence import ANGLES, DOCUMENTED, STATISTICS, levels_by_edges, texture_by_definition, window_texture

FOCAL = ("mean", "std", "min", "max", "range")
MOMENTS = STATISTICS[:4]


def written(*columns) -> Writer:
    """A writer with the outputs of a feature graph; a column adds one layer to ``dn``, one band."""
    writer = Writer()
    writer.op("Concat", *(column(writer, "dn") for column in columns), out="features", axis=1)
    writer.valid("features", out="valid")
    return writer


def graph(*columns, threads: int = 1) -> Graph:
    outputs = {"features": (TensorProto.FLOAT, len(columns)), "valid": (TensorProto.UINT8, 1)}
    return Graph(written(*columns).model("features", ("dn", 1), outputs, {}), threads)


def focals(window_px: int, statistics=FOCAL, threads: int = 1) -> Graph:
    return graph(*[lambda w, dn, s=s: focal(w, dn, s, window_px) for s in statistics], threads=threads)


def textures(window_px: int, levels: int, distance: int = 1, statistics=STATISTICS, low=0.0, high=1.0) -> Graph:
    return graph(*[lambda w, dn, s=s: glcm(w, dn, s, window_px, levels, low, high, distance) for s in statistics])


def patch(shape, seed: int, unseen: float = 0.2) -> np.ndarray:
    rng = np.random.default_rng(seed)
    values = rng.normal(0.4, 0.3, shape).astype(np.float32)
    values[rng.random(shape) < unseen] = np.nan
    return values


def on(found: Graph, layer: np.ndarray) -> np.ndarray:
    """What a graph says of one layer ``(y, x)``: ``(column, y, x)``."""
    return found.features(np.asarray(layer, dtype=np.float32)[None, None])[0]


def bits(values: np.ndarray) -> bytes:
    return np.ascontiguousarray(values).tobytes()


# --- focal -----------------------------------------------------------------------------------


def focal_by_definition(layer: np.ndarray, window_px: int) -> np.ndarray:
    edged = np.pad(layer.astype(np.float64), window_px // 2, constant_values=np.nan)
    out = np.full((len(FOCAL), *layer.shape), np.nan)
    for y, x in np.argwhere(np.isfinite(layer)):
        window = edged[y : y + window_px, x : x + window_px]
        seen = window[np.isfinite(window)]
        mean = math.fsum(seen) / len(seen)
        spread = math.sqrt(math.fsum((seen - mean) ** 2) / len(seen))
        out[:, y, x] = mean, spread, seen.min(), seen.max(), seen.max() - seen.min()
    return out


@pytest.mark.parametrize("window_px", [3, 5, 9, 21])
def test_focal_statistics_are_those_of_the_observed_pixels(window_px):
    layer = patch((23, 31), window_px)
    layer[3, 4], layer[9, 9] = np.inf, -np.inf
    found, expected = on(focals(window_px), layer), focal_by_definition(layer, window_px)
    assert np.array_equal(np.isnan(found[0]), ~np.isfinite(layer))
    assert np.array_equal(np.isnan(found), np.isnan(expected))
    np.testing.assert_allclose(found, expected, rtol=1.3e-7, atol=1e-12)
    assert np.array_equal(found[2:4], expected[2:4].astype(np.float32), equal_nan=True)


@pytest.mark.parametrize("window_px", [3, 15])
def test_without_gaps_the_inside_is_what_scipy_says(window_px):
    layer, r = patch((40, 40), 1, unseen=0.0), window_px // 2
    inside = (slice(r, -r), slice(r, -r))
    mean, _, least, greatest, _ = on(focals(window_px), layer)
    np.testing.assert_allclose(mean[inside], ndimage.uniform_filter(layer.astype(float), window_px)[inside], rtol=1e-6)
    assert np.array_equal(least[inside], ndimage.minimum_filter(layer, window_px)[inside])
    assert np.array_equal(greatest[inside], ndimage.maximum_filter(layer, window_px)[inside])


@pytest.mark.parametrize("value", [0.1, 1.0, 10_000.0, 65_535.0, 1234567.875, -3.3e12, 1e-30, 3e38])
def test_a_flat_has_no_spread_at_all(value):
    layer = np.full((24, 24), value, dtype=np.float32)
    layer[4, 5] = np.nan
    mean, spread, *_, span = on(focals(21), layer)
    seen = np.isfinite(layer)
    assert (spread[seen] == 0).all()
    assert (span[seen] == 0).all()
    np.testing.assert_allclose(mean[seen], value, rtol=1.2e-7)


def test_the_spread_of_a_bright_flat_is_that_of_its_grain():
    rng = np.random.default_rng(5)
    for bright in (10_000.0, 60_000.0, 1e6):
        layer = (bright + rng.integers(0, 2, (30, 30))).astype(np.float32)
        spread = on(focals(9, ("std",)), layer)[0]
        np.testing.assert_allclose(spread, focal_by_definition(layer, 9)[1], rtol=1.3e-7)


@settings(max_examples=40, deadline=None)
@given(
    dn=st.lists(st.integers(0, 65_535), min_size=49, max_size=49),
    unseen=st.sets(st.integers(0, 48), max_size=40),
)
def test_the_spread_of_whole_numbers_is_exact(dn, unseen):
    layer = np.array(dn, dtype=np.float32).reshape(7, 7)
    layer.flat[list(unseen - {24})] = np.nan
    seen = [int(v) for v in layer[np.isfinite(layer)]]
    variance = Fraction(len(seen) * sum(v * v for v in seen) - sum(seen) ** 2, len(seen) ** 2)
    got = on(SPREAD_7, layer)[0, 3, 3]
    assert got == pytest.approx(math.sqrt(variance), rel=6.1e-8)


SPREAD_7 = focals(7, ("std",))


def test_numbers_of_very_different_size_keep_a_spread():
    layer = np.full((9, 9), 1e-3, dtype=np.float32)
    layer[4, 4] = 1e6
    spread = on(focals(5, ("std",)), layer)[0]
    np.testing.assert_allclose(spread, focal_by_definition(layer, 5)[1], rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize("shape", [(1, 1), (1, 30), (2, 3)])
def test_a_chip_smaller_than_the_window_is_looked_at_whole(shape):
    layer = patch(shape, 3, unseen=0.0)
    mean, spread, least, greatest, span = on(focals(21), layer[:, :10])
    whole = layer[:, :10].astype(np.float64)
    for got, expected in ((mean, whole.mean()), (spread, whole.std()), (least, whole.min()), (greatest, whole.max())):
        np.testing.assert_allclose(got, expected, rtol=1e-6, atol=1e-12)
    np.testing.assert_allclose(span, np.ptp(whole), rtol=1e-6)


def test_nothing_observed_says_nothing():
    assert np.isnan(on(focals(9), np.full((12, 12), np.nan))).all()
    assert np.isnan(on(textures(5, 8), np.full((12, 12), np.nan))).all()


def test_one_layer_of_a_batch_does_not_see_another():
    layers = np.stack([patch((20, 20), n) for n in range(3)])[:, None]
    for found in (focals(9), textures(5, 8)):
        together = found.features(layers)
        for n in range(3):
            assert bits(together[n]) == bits(found.features(layers[n : n + 1])[0])


def test_what_statistics_share_is_written_once():
    def size(*statistics):
        return len(written(*[lambda w, dn, s=s: focal(w, dn, s, 9) for s in statistics]).nodes)

    assert size("mean", "std") < size("mean") + size("std") - 20
    assert size("mean", "mean") == size("mean")
    assert size("min", "max", "range") <= size("min") + size("max")


@pytest.mark.parametrize("window_px", [-3, 0, 1, 4, 103, 10**9])
def test_a_window_without_a_middle_or_beyond_a_tile_is_refused(window_px):
    with pytest.raises(BadInput, match=rf"{window_px} pixels .* odd number of pixels from 3 to 101"):
        focal(Writer(), "dn", "mean", window_px)


# --- texture ---------------------------------------------------------------------------------


@pytest.mark.parametrize("distance", [1, 2, 3])
@pytest.mark.parametrize(("window_px", "levels"), [(7, 16), (5, 3)])
def test_texture_is_what_scikit_image_says_of_the_window(window_px, levels, distance):
    layer, r = patch((18, 17), distance, unseen=0.0), window_px // 2
    level = levels_by_edges(layer, 0.0, 1.0, levels).astype(np.uint8)
    found = on(textures(window_px, levels, distance), layer)
    for y in range(layer.shape[0]):
        for x in range(layer.shape[1]):
            # Of a window at the edge only what lies inside the layer is observed.
            window = level[max(y - r, 0) : y + r + 1, max(x - r, 0) : x + r + 1]
            matrix = graycomatrix(window, [distance], ANGLES, levels, symmetric=True, normed=True)
            there = matrix.any(axis=(0, 1))[0]
            for n, name in enumerate(STATISTICS):
                expected = graycoprops(matrix, "ASM" if name == "asm" else name)[0][there].mean()
                assert found[n, y, x] == pytest.approx(expected, rel=2e-6, abs=2e-7), (name, y, x)


@pytest.mark.parametrize(("window_px", "levels", "distance"), [(3, 8, 1), (5, 16, 2), (7, 2, 1), (3, 16, 2)])
def test_a_pair_with_an_unobserved_pixel_does_not_count(window_px, levels, distance):
    layer = patch((14, 15), window_px, unseen=0.4)
    layer[2, 2], layer[7, 9] = np.inf, -np.inf
    level = levels_by_edges(layer, 0.0, 1.0, levels)
    found = on(textures(window_px, levels, distance), layer)
    expected = texture_by_definition(level, window_px, levels, distance)
    assert np.array_equal(np.isnan(found), np.isnan(expected))
    np.testing.assert_allclose(found, expected, rtol=2e-6, atol=2e-7)


def test_the_documented_image_has_its_documented_texture():
    layer = np.full((9, 9), np.nan, dtype=np.float32)
    layer[2:6, 2:6] = DOCUMENTED
    found = dict(zip(STATISTICS, on(textures(7, 4, low=-0.5, high=3.5), layer)[:, 3, 3], strict=True))
    assert found["contrast"] == pytest.approx((0.583333 + 1.777778 + 1.0 + 0.444444) / 4, abs=1e-6)
    across = np.full((9, 9), np.nan, dtype=np.float32)
    across[4, 2:6] = DOCUMENTED[2]
    alone = dict(zip(STATISTICS, on(textures(7, 4, low=-0.5, high=3.5), across)[:, 4, 4], strict=True))
    # 0 2, 2 2, 2 2 both ways: cells of 1/6, 1/6 and 4/6; the other directions have no pair and do not count.
    assert alone["contrast"] == pytest.approx(4 / 3)
    assert alone["asm"] == pytest.approx(18 / 36)
    assert alone["entropy"] == pytest.approx(math.log(6) / 3 + 2 / 3 * math.log(1.5))


def test_a_lonely_pixel_has_no_texture():
    layer = np.full((9, 9), np.nan, dtype=np.float32)
    layer[4, 4] = 0.5
    assert np.isnan(on(textures(5, 8), layer)).all()


def test_a_flat_is_wholly_correlated_and_without_disorder():
    found = on(textures(9, 16), np.full((12, 12), 0.37))
    for name, value in zip(STATISTICS, (0, 0, 1, 1, 1, 1, 0), strict=True):
        assert (found[STATISTICS.index(name)] == value).all(), name


def test_levels_are_frozen_with_their_edges():
    values = np.array([-5, 0, 0.0999, 0.1, 0.3, 0.5, 0.9999, 1.0, 7, np.nan, np.inf], dtype=np.float32)
    level = cooccurrence.levels_of(values, 0.0, 1.0, 10)
    assert level.tolist() == [0, 0, 0, 1, 3, 5, 9, 9, 9, -1, -1]
    dn = np.arange(0, 256, dtype=np.float32)
    assert np.array_equal(cooccurrence.levels_of(dn, 0.0, 256.0, 256), np.arange(256))
    assert np.array_equal(cooccurrence.levels_of(dn, 0.0, 240.0, 24), np.minimum(np.arange(256) // 10, 23))


def test_a_darker_tile_is_not_stretched():
    bright = patch((16, 16), 8, unseen=0.0)
    found = textures(5, 16, statistics=("contrast",))
    assert on(found, bright * 0.1)[0].mean() < 0.1 * on(found, bright)[0].mean()


@pytest.mark.parametrize("levels", [64, 256])
def test_many_levels_need_no_matrix(levels):
    layer = patch((12, 13), levels)
    found = on(textures(7, levels, statistics=MOMENTS), layer)
    expected = texture_by_definition(levels_by_edges(layer, 0.0, 1.0, levels), 7, levels, 1)[:4]
    np.testing.assert_allclose(found, expected, rtol=3e-6, atol=3e-7)


@pytest.mark.parametrize(
    ("window_px", "levels", "statistics"), [(27, 16, STATISTICS), (51, 7, STATISTICS), (101, 256, MOMENTS)]
)
def test_a_wide_window_sees_every_pair_of_a_chip(window_px, levels, statistics):
    layer = patch((13, 14), window_px)
    expected = window_texture(levels_by_edges(layer, 0.0, 1.0, levels), levels, 2)
    seen = np.isfinite(layer)
    for name, values in zip(statistics, on(textures(window_px, levels, 2, statistics), layer), strict=True):
        assert len(np.unique(values[seen])) == 1, "every window holds the whole chip"
        assert values[seen][0] == pytest.approx(expected[name], rel=2e-6), name


def test_a_wide_window_full_of_pixels_stays_exact():
    layer = np.where(np.indices((101, 101)).sum(axis=0) % 2, 1.0, 0.0).astype(np.float32)
    found = dict(zip(STATISTICS, on(textures(101, 3), layer)[:, 50, 50].astype(float), strict=True))
    # A chessboard: straight neighbours always differ by two levels; slanting ones are equal, half of each colour.
    for name, straight, slanting in (
        ("contrast", 4.0, 0.0),
        ("correlation", -1.0, 1.0),
        ("asm", 0.5, 0.5),
        ("entropy", math.log(2), math.log(2)),
    ):
        assert found[name] == pytest.approx((straight + slanting) / 2, rel=1e-7, abs=1e-7), name


@pytest.mark.parametrize("statistic", ["energy", "asm", "entropy"])
def test_counting_many_levels_is_refused_with_the_way_out(statistic):
    with pytest.raises(BadInput, match=rf"{statistic} at 17 levels counts 153 .* covariate of kind texture"):
        glcm(Writer(), "dn", statistic, 7, 17, 0.0, 1.0, 1)


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"window_px": 6}, "window of 6"),
        ({"window_px": 1}, "window of 1"),
        ({"window_px": 103}, "window of 103"),
        ({"levels": 1}, "in 1 levels"),
        ({"levels": 257}, "in 257 levels"),
        ({"low": 1.0}, "between 1 and 1"),
        ({"low": math.nan}, "between nan and 1"),
        ({"high": math.inf}, "between 0 and inf"),
        ({"low": -1e300}, r"between -1e\+300"),
        ({"distance": 0}, "are 0 apart"),
        ({"distance": 7}, "are 7 apart"),
        ({"distance": -1}, "are -1 apart"),
    ],
)
def test_numbers_that_count_nothing_are_refused(changed, says):
    told = {"window_px": 7, "levels": 8, "low": 0.0, "high": 1.0, "distance": 1, **changed}
    with pytest.raises(BadInput, match=says):
        glcm(Writer(), "dn", "contrast", **told)


# --- tiles -----------------------------------------------------------------------------------

SCENE = patch((90, 101), 11)
EVERYTHING = [
    (9 // 2, focals(9)),
    (21 // 2, focals(21)),
    (7 // 2, textures(7, 8)),
    (11 // 2, textures(11, 64, 3, statistics=MOMENTS)),
]
WHOLE = [on(found, SCENE) for _, found in EVERYTHING]


@settings(max_examples=40, deadline=None)
@given(
    row=st.integers(0, 89),
    col=st.integers(0, 100),
    height=st.integers(1, 64),
    width=st.integers(1, 64),
    more=st.integers(0, 5),
)
def test_a_pixel_is_the_same_to_the_bit_in_every_tile_that_holds_its_halo(row, col, height, width, more):
    bottom, right = min(row + height, SCENE.shape[0]), min(col + width, SCENE.shape[1])
    for (halo, found), whole in zip(EVERYTHING, WHOLE, strict=True):
        top, left = max(row - halo - more, 0), max(col - halo - more, 0)
        tile = on(found, SCENE[top : bottom + halo + more, left : right + halo + more])
        inner = tile[:, row - top : bottom - top, col - left : right - left]
        assert bits(inner) == bits(whole[:, row:bottom, col:right])


def test_threads_and_company_change_no_bit():
    for window_px in (9, 21):
        whole = on(focals(window_px), SCENE)
        assert bits(on(focals(window_px, threads=2), SCENE)) == bits(whole)
        for n, name in enumerate(FOCAL):
            assert bits(on(focals(window_px, (name,)), SCENE)[0]) == bits(whole[n])
    together = on(textures(7, 8), SCENE)
    for n, name in enumerate(STATISTICS):
        assert bits(on(textures(7, 8, statistics=(name,)), SCENE)[0]) == bits(together[n])


# --- speed -----------------------------------------------------------------------------------


@pytest.mark.full
@pytest.mark.skipif(os.environ.get("GEOML_FULL") != "1", reason="times loops over pixels; make full")
@pytest.mark.parametrize("name", ["texture_graph", "texture_sliding"])
def test_texture_is_hundreds_of_times_as_fast_as_a_matrix_per_pixel(name):
    figure = FIGURES[name](name)
    path = CHECKOUT / "workspace" / "full" / "texture.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, (read_json(path) if path.exists() else {}) | {name: asdict(figure)})
    assert figure.ratio_low >= 200
