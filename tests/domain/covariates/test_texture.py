"""Texture by a sliding count, against matrices, scikit-image and the graph."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto
from pydantic import ValidationError
from skimage.feature import graycomatrix, graycoprops

from geoml_ops.adapters.onnx.texture import glcm
from geoml_ops.adapters.onnx.writer import Writer
from geoml_ops.adapters.ort import Graph
from geoml_ops.core.errors import BadInput
from geoml_ops.core.grid import Grid
from geoml_ops.domain.covariates import Stage
from geoml_ops.domain.covariates.cooccurrence import offsets
from geoml_ops.domain.covariates.texture import RECIPE, Options, texture
from tests.cooccurrence import ANGLES, STATISTICS, levels_by_edges, texture_by_definition


def options(**told) -> Options:
    return Options(**{"low": 0.0, "high": 1.0, **told})


def patch(shape, seed: int, unseen: float = 0.2) -> np.ndarray:
    rng = np.random.default_rng(seed)
    values = rng.normal(0.5, 0.3, shape).astype(np.float32)
    values[rng.random(shape) < unseen] = np.nan
    return values


def everywhere(layer: np.ndarray, told: Options, products=STATISTICS) -> np.ndarray:
    """All statistics ``(product, y, x)`` of a layer beyond whose edge nothing is observed."""
    edged = np.pad(layer, told.window_px // 2, constant_values=np.nan)
    made = texture(edged, tuple(products), told)
    return np.stack([made[name] for name in products])


@pytest.mark.parametrize(
    ("levels", "window_px", "distance", "unseen"),
    [(64, 9, 1, 0.2), (256, 5, 2, 0.5), (2, 3, 1, 0.3), (16, 7, 3, 0.0), (64, 3, 2, 0.4), (5, 11, 10, 0.1)],
)
def test_every_pixel_is_what_its_matrices_say(levels, window_px, distance, unseen):
    layer = patch((15, 17), levels, unseen)
    layer[3, 3], layer[8, 8] = np.inf, -np.inf
    told = options(levels=levels, window_px=window_px, distance=distance)
    found = everywhere(layer, told)
    expected = texture_by_definition(levels_by_edges(layer, 0.0, 1.0, levels), window_px, levels, distance)
    assert np.array_equal(np.isnan(found), np.isnan(expected))
    np.testing.assert_allclose(found, expected, rtol=2e-6, atol=2e-7)


def test_inside_it_is_what_scikit_image_says():
    layer = patch((30, 30), 4, unseen=0.0)
    level = levels_by_edges(layer, 0.0, 1.0, 64).astype(np.uint8)
    made = texture(layer, STATISTICS, options(window_px=21))
    for y, x in np.ndindex(10, 10):
        matrix = graycomatrix(level[y : y + 21, x : x + 21], [1], ANGLES, 64, symmetric=True, normed=True)
        for name in STATISTICS:
            expected = graycoprops(matrix, "ASM" if name == "asm" else name).mean()
            assert made[name][y, x] == pytest.approx(expected, rel=1e-6), name


def test_entropy_is_its_sum():
    layer = patch((12, 12), 5, unseen=0.0)
    level = levels_by_edges(layer, 0.0, 1.0, 64)
    got = texture(layer, ("entropy",), options(window_px=11))["entropy"]
    for y, x in np.ndindex(2, 2):
        window, found = level[y : y + 11, x : x + 11], []
        for a, b in (
            (window[:, :-1], window[:, 1:]),
            (window[:-1, :-1], window[1:, 1:]),
            (window[:-1], window[1:]),
            (window[:-1, 1:], window[1:, :-1]),
        ):
            counts = np.bincount(np.concatenate([a * 64 + b, b * 64 + a]).ravel())
            p = counts[counts > 0] / counts.sum()
            found.append(-(p * np.log(p)).sum())
        assert got[y, x] == pytest.approx(np.mean(found), rel=1e-7)


def test_graph_and_covariate_agree_to_the_bit():
    layer = patch((40, 37), 6)
    for levels, products in ((16, STATISTICS), (64, STATISTICS[:4])):
        told = options(levels=levels, window_px=9, distance=2)
        writer = Writer()
        columns = [glcm(writer, "dn", name, 9, levels, 0.0, 1.0, 2) for name in products]
        writer.op("Concat", *columns, out="features", axis=1)
        writer.valid("features", out="valid")
        outputs = {"features": (TensorProto.FLOAT, len(columns)), "valid": (TensorProto.UINT8, 1)}
        graph = Graph(writer.model("features", ("dn", 1), outputs, {}))
        assert graph.features(layer[None, None])[0].tobytes() == everywhere(layer, told, products).tobytes()


def test_a_flat_has_one_kind_of_pair_and_no_disorder():
    found = everywhere(np.full((12, 14), 0.3, dtype=np.float32), options())
    for name, value in zip(STATISTICS, (0, 0, 1, 1, 1, 1, 0), strict=True):
        assert (found[STATISTICS.index(name)] == value).all(), name


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    levels=st.integers(2, 256),
    window_px=st.sampled_from([3, 5, 7, 9]),
    distance=st.integers(1, 2),
    unseen=st.sampled_from([0.0, 0.3, 0.9]),
)
def test_numbers_stay_where_their_product_says(seed, levels, window_px, distance, unseen):
    told = options(levels=levels, window_px=window_px, distance=distance)
    layer = patch((11, 9), seed, unseen)
    found = everywhere(layer, told)
    products = RECIPE.known(("nir",), told)
    for name, values in zip(STATISTICS, found, strict=True):
        low, high = products[name].valid
        seen = values[np.isfinite(values)]
        assert ((seen >= low) & (seen <= high)).all(), name
    # Turned or mirrored the four directions change places, and nothing else; their mean is added in another order.
    np.testing.assert_allclose(everywhere(np.rot90(layer), told), np.rot90(found, axes=(1, 2)), rtol=1e-6, atol=1e-12)
    np.testing.assert_allclose(everywhere(layer[::-1], told), found[:, ::-1], rtol=1e-6, atol=1e-12)


def test_a_piece_of_a_layer_has_the_texture_of_the_whole():
    layer = patch((60, 70), 7)
    told = options(window_px=9)
    whole = texture(layer, STATISTICS, told)
    piece = texture(layer[20:50, 11:44], STATISTICS, told)
    for name in STATISTICS:
        assert piece[name].tobytes() == np.ascontiguousarray(whole[name][20:42, 11:36]).tobytes()
        assert texture(layer, (name,), told)[name].tobytes() == whole[name].tobytes()


def test_a_layer_smaller_than_the_window_has_none():
    made = texture(patch((8, 30), 1), ("contrast",), options(window_px=9))
    assert made["contrast"].shape == (0, 22)


def test_offsets_are_those_of_scikit_image():
    for distance in range(1, 40):
        level = np.zeros((91, 91), dtype=np.uint8)
        level[45, 45] = 1
        for (down, across), angle in zip(offsets(distance), ANGLES, strict=True):
            paired = level.copy()
            paired[45 + down, 45 + across] = 2
            matrix = graycomatrix(paired, [distance], [angle], 3)
            assert matrix[1, 2, 0, 0] + matrix[2, 1, 0, 0] == 1


# --- the recipe ------------------------------------------------------------------------------

GRID = Grid(crs="EPSG:32633", left=330000.0, top=5822000.0, pixel_m=10.0, width=20, height=16)


@pytest.mark.parametrize("margin_px", [0, 2, 4, 7])
def test_the_margin_is_looked_at_as_far_as_it_reaches(margin_px):
    told = options(window_px=9)
    assert RECIPE.margin_px(told, 10.0) == 4
    whole = patch((30, 34), 8)
    held = whole[7 - margin_px : 23 + margin_px, 7 - margin_px : 27 + margin_px]
    made = RECIPE.make(Stage(GRID, margin_px, rasters={"nir": held}), ("entropy", "contrast"), told)
    beyond = np.full_like(whole, np.nan)
    beyond[7 - margin_px : 23 + margin_px, 7 - margin_px : 27 + margin_px] = held
    for name in ("entropy", "contrast"):
        assert made[name].shape == GRID.shape
        assert made[name].dtype == np.float32
        expected = texture(beyond, (name,), told)[name][3:19, 3:23]
        assert made[name].tobytes() == np.ascontiguousarray(expected).tobytes()


def test_several_features_have_bands_of_their_own():
    layers = {"nir": patch((24, 28), 1), "NDVI": patch((24, 28), 2)}
    told, products = options(window_px=9), ("NDVI_asm", "nir_contrast", "nir_asm")
    assert set(products) <= set(RECIPE.known(tuple(layers), told))
    made = RECIPE.make(Stage(GRID, 4, rasters=layers), products, told)
    assert set(made) == set(products)
    assert made["nir_asm"].tobytes() == texture(layers["nir"], ("asm",), told)["asm"].tobytes()
    assert made["NDVI_asm"].tobytes() == texture(layers["NDVI"], ("asm",), told)["asm"].tobytes()


def test_an_unknown_product_is_named():
    told = options()
    with pytest.raises(BadInput, match=r"variance: no such product.*contrast"):
        RECIPE.wanted("texture", ("variance",), RECIPE.known(("nir",), told))


@pytest.mark.parametrize(
    ("told", "says"),
    [
        ({"low": 1.0, "high": 1.0}, "between 1 and 1"),
        ({"low": 0.0}, "high"),
        ({"low": 0.0, "high": 1.0, "levels": 300}, "in 300 levels"),
        ({"low": 0.0, "high": 1.0, "window_px": 8}, "window of 8 pixels"),
        ({"low": 0.0, "high": 1.0, "distance": 9}, "are 9 apart"),
        ({"low": 0.0, "high": 1.0, "levels": 16.5}, "levels"),
        ({"low": 0.0, "high": 1.0, "angles": 4}, "angles"),
        ({"low": 0.0, "high": float("inf")}, "finite"),
    ],
)
def test_options_that_count_nothing_are_refused(told, says):
    with pytest.raises(ValidationError, match=says):
        Options(**told)
