"""Segments against scikit-image, their shapes against GEOS, their statistics against scipy, and what is missing."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from skimage import measure, segmentation

from geoml_ops.core.errors import BadInput, TooLarge
from geoml_ops.core.grid import Grid
from geoml_ops.domain.covariates import Stage
from geoml_ops.domain.covariates.objects import (
    RECIPE,
    ObjectOptions,
    connected,
    contrast_of,
    merged,
    segments,
    shapes_of,
    slic,
    working_bytes,
    zones_of,
)
from geoml_ops.domain.covariates.objects.making import STATISTICS, make
from geoml_ops.domain.covariates.objects.options import scaled
from geoml_ops.domain.covariates.registry import RECIPES


def smooth(shape: tuple[int, int], seed: int, sigma: float = 5.0) -> np.ndarray:
    found = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=shape), sigma)
    found = (found - found.min()) / np.ptp(found)
    return np.asarray(found, dtype=np.float32)


def grid_of(shape: tuple[int, int]) -> Grid:
    return Grid(crs="EPSG:32633", left=0.0, top=0.0, pixel_m=10.0, width=shape[1], height=shape[0])


def same_parts(one: np.ndarray, other: np.ndarray) -> bool:
    pairs = {(a, b) for a, b in zip(one.ravel().tolist(), other.ravel().tolist(), strict=True)}
    return len(pairs) == len({a for a, _ in pairs}) == len({b for _, b in pairs})


def options(*names: str, **told: object) -> ObjectOptions:
    return ObjectOptions.model_validate({"ranges": dict.fromkeys(names, (0.0, 1.0)), **told})


def torn(shape: tuple[int, int], seed: int) -> np.ndarray:
    """Holes, stripes and crumbs of nothing."""
    rng = np.random.default_rng(seed)
    missing = rng.random(shape) < rng.choice([0.0, 0.05, 0.6])
    missing[rng.integers(0, shape[0])] = True
    missing[:, rng.integers(0, shape[1])] = rng.random() < 0.5
    missing |= smooth(shape, seed + 1) > rng.uniform(0.5, 1.1)
    return np.asarray(missing)


# --- cutting ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("n_features", "size", "compactness"), [(1, 10, 0.1), (2, 20, 0.02), (3, 10, 1.0), (4, 5, 0.3)]
)
def test_clusters_equal_those_of_scikit_image_where_nothing_is_missing(
    n_features: int, size: int, compactness: float
) -> None:
    shape = (80, 120)
    pixels = np.stack([smooth(shape, i, 3.0) for i in range(n_features)], axis=-1)
    pixels[0, 0], pixels[0, 1] = 0.0, 1.0  # scikit-image stretches an image between its extremes
    ours = slic(np.ascontiguousarray(np.moveaxis(pixels, -1, 0)), size_px=size, compactness=compactness, iterations=10)
    theirs = segmentation.slic(
        pixels.astype(float), n_segments=shape[0] * shape[1] // size**2, compactness=compactness, max_num_iter=10,
        convert2lab=False, enforce_connectivity=False, start_label=0, channel_axis=-1,
    )  # fmt: skip
    assert np.array_equal(ours, theirs)


def test_regions_equal_those_of_scikit_image_where_nothing_is_missing() -> None:
    layer = smooth((60, 70), 3, 2.0)
    told = options("a", method="felzenszwalb", scale=50.0, least_px=1)
    ours, n = segments({"a": layer}, told)
    theirs = segmentation.felzenszwalb(layer.astype(float), scale=50.0, sigma=0, min_size=0)
    # Theirs grow across corners; what hangs together by a corner only is two segments here.
    theirs = measure.label(theirs + 1, connectivity=1)
    assert n == theirs.max()
    assert same_parts(ours, theirs)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from(["slic", "felzenszwalb"]), st.integers(1, 40))
def test_segments_hang_together_and_never_reach_across_nothing(seed: int, method: str, least_px: int) -> None:
    rng = np.random.default_rng(seed)
    shape = (int(rng.integers(8, 60)), int(rng.integers(8, 60)))
    layers = {"a": smooth(shape, seed, 3.0), "b": smooth(shape, seed + 9, 1.0)}
    missing = torn(shape, seed)
    layers["a"][missing] = np.nan
    layers["b"][rng.random(shape) < 0.01] = np.inf
    labels, n = segments(layers, options("a", "b", method=method, least_px=least_px, size_px=6))
    nothing = ~(np.isfinite(layers["a"]) & np.isfinite(layers["b"]))
    assert np.array_equal(labels < 0, nothing)
    assert sorted(set(labels[~nothing].tolist())) == list(range(n))
    bodies, n_bodies = ndimage.label(~nothing)
    for k in range(n):
        assert ndimage.label(labels == k)[1] == 1
        alone = np.array_equal(labels == k, bodies == bodies[labels == k][0])
        assert (labels == k).sum() >= least_px or alone
    first = [np.flatnonzero(labels.ravel() == k)[0] for k in range(n)]
    assert first == sorted(first)
    assert n >= n_bodies


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6))
def test_parts_equal_those_of_scikit_image(seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels = rng.integers(-1, 3, (rng.integers(1, 30), rng.integers(1, 30))).astype(np.int32)
    parts, n = connected(labels)
    theirs = measure.label(labels + 1, connectivity=1, background=0)
    assert n == theirs.max()
    assert same_parts(parts, theirs)
    assert np.array_equal(parts < 0, labels < 0)


def test_small_parts_join_their_nearest_kin() -> None:
    parts = np.array([[0, 0, 0, 1, 2, 2, 2, 2], [0, 0, 0, 1, 2, 2, 2, 2]], dtype=np.int32)
    values = np.array([0.0, 0.7, 1.0], dtype=np.float32)[parts][None]
    joined, n = merged(parts.copy(), 3, values, 3)
    assert n == 2
    assert joined[0].tolist() == [0, 0, 0, 1, 1, 1, 1, 1]
    joined, n = merged(parts.copy(), 3, values, 2)
    assert n == 3
    joined, n = merged(parts.copy(), 3, values, 1_000)
    assert n == 1


def test_segments_follow_a_border_that_is_there() -> None:
    rows, cols = np.mgrid[:60, :80]
    east = cols > 40 + 9 * np.sin(rows / 7)
    layer = np.where(east, 0.8, 0.2).astype(np.float32) + np.random.default_rng(0).normal(0, 0.02, (60, 80))
    for method in ("slic", "felzenszwalb"):
        labels, n = segments({"a": layer.astype(np.float32)}, options("a", method=method, size_px=10))
        share = ndimage.mean(east, labels, np.arange(n))
        assert ((share < 0.01) | (share > 0.99)).all()


def test_outliers_do_not_decide() -> None:
    layer = smooth((60, 60), 1)
    layer[7, 7] = 1.0
    wild = layer.copy()
    wild[7, 7] = 1e9
    told = options("a", size_px=10)
    assert np.array_equal(segments({"a": layer}, told)[0], segments({"a": wild}, told)[0])


def test_the_same_scene_in_other_units_is_cut_the_same() -> None:
    layer = smooth((60, 60), 1)
    one = segments({"a": layer}, options("a", size_px=10))[0]
    other = segments({"a": layer * 8_192 - 1_024}, ObjectOptions(ranges={"a": (-1_024.0, 7_168.0)}, size_px=10))[0]
    assert np.array_equal(one, other)
    assert np.array_equal(one, segments({"a": layer}, options("a", size_px=10))[0])


# --- shapes ----------------------------------------------------------------------------------


def outlines(labels: np.ndarray, n: int) -> list[shapely.Geometry]:
    rows, cols = np.mgrid[: labels.shape[0], : labels.shape[1]]
    squares = shapely.box(cols, rows, cols + 1, rows + 1)
    return [shapely.union_all(squares[labels == k]) for k in range(n)]


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6))
def test_shapes_equal_those_of_the_outlines(seed: int) -> None:
    rng = np.random.default_rng(seed)
    raw = rng.integers(-1, 2, (rng.integers(1, 14), rng.integers(1, 14))).astype(np.int32)
    labels, n = connected(raw)
    shapes = shapes_of(labels, n)
    drawn = outlines(labels, n)
    assert np.array_equal(shapes.count, [g.area for g in drawn])
    assert np.array_equal(shapes.perimeter, [g.length for g in drawn])
    smallest = [shapely.oriented_envelope(g).area for g in drawn]
    assert np.allclose(shapes.length * shapes.breadth, smallest, rtol=1e-9)
    hulls = [shapely.convex_hull(g) for g in drawn]
    assert (shapes.length * shapes.breadth >= [h.area * (1 - 1e-12) for h in hulls]).all()
    for value, most in (
        (shapes.compactness(), np.pi / 4 + 1e-12),
        (shapes.rectangularity(), 1.0),
        (shapes.eccentricity(), 1.0),
        (shapes.elongation(), 1.0),
    ):
        assert ((value >= 0) & (value <= most)).all()


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10**6))
def test_moments_are_those_of_squares(seed: int) -> None:
    labels, n = connected(np.random.default_rng(seed).integers(-1, 2, (7, 9)).astype(np.int32))
    shapes, fine = shapes_of(labels, n), 16
    drawn = np.kron(labels + 1, np.ones((fine, fine), dtype=np.int32))
    for k, region in enumerate(measure.regionprops(drawn)):
        great, small = (e / fine**2 + 1 / 12 / fine**2 for e in region.inertia_tensor_eigvals)
        assert np.isclose(shapes.major[k], great, rtol=1e-6)
        assert np.isclose(shapes.minor[k], small, rtol=1e-6)


def test_shapes_that_are_known() -> None:
    labels = np.full((12, 12), -1, dtype=np.int32)
    labels[0:3, 0:3] = 0  # a square
    labels[5, 0:8] = 1  # a line
    labels[8:11, 8:11] = 2
    labels[9, 9] = -1  # a ring
    shapes = shapes_of(labels, 3)
    assert np.allclose(shapes.compactness(), [np.pi / 4, 4 * np.pi * 8 / 18**2, 4 * np.pi * 8 / 16**2])
    assert np.allclose(shapes.elongation(), [0, 7 / 8, 0])
    assert np.allclose(shapes.rectangularity(), [1, 1, 8 / 9])
    assert np.allclose(shapes.eccentricity(), [0, np.sqrt(1 - 1 / 64), 0])
    slanted = np.where(np.abs(np.subtract.outer(np.arange(40), np.arange(40))) <= 3, 0, -1).astype(np.int32)
    assert shapes_of(slanted, 1).elongation()[0] > 0.8


# --- statistics ------------------------------------------------------------------------------


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([0.0, 1e7]))
def test_statistics_equal_scipy(seed: int, level: float) -> None:
    rng = np.random.default_rng(seed)
    labels, n = connected(rng.integers(-1, 2, (12, 17)).astype(np.int32))
    layer = rng.normal(size=labels.shape) + level
    found, index = zones_of(labels, n, layer), np.arange(n)
    assert np.allclose(found.mean, ndimage.mean(layer, labels, index), rtol=1e-12)
    assert np.allclose(found.std, [layer[labels == k].std() for k in index], atol=1e-8)
    assert np.array_equal(found.least, ndimage.minimum(layer, labels, index))
    assert np.array_equal(found.most, ndimage.maximum(layer, labels, index))
    assert ((found.least <= found.mean) & (found.mean <= found.most)).all()


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6))
def test_contrast_is_weighted_by_shared_edges(seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels, n = connected(rng.integers(-1, 3, (6, 8)).astype(np.int32))
    mean = rng.normal(size=n)
    apart: dict[int, list[float]] = {k: [] for k in range(n)}
    for r in range(6):
        for c in range(8):
            for rr, cc in ((r - 1, c), (r + 1, c), (r, c - 1), (r, c + 1)):
                if 0 <= rr < 6 and 0 <= cc < 8:
                    a, b = labels[r, c], labels[rr, cc]
                    if a >= 0 and b >= 0 and a != b:
                        apart[a].append(abs(mean[a] - mean[b]))
    expected = [np.mean(v) if v else np.nan for v in apart.values()]
    assert np.allclose(contrast_of(labels, mean), expected, equal_nan=True)


# --- bands -----------------------------------------------------------------------------------


def test_bands_are_painted_back() -> None:
    shape = (40, 50)
    rasters = {"B08": smooth(shape, 1), "ratio = B08 / B04": smooth(shape, 2)}
    rasters["B08"][:, 20:22] = np.nan
    stage, told = Stage(grid_of(shape), rasters=rasters), options("B08", "ratio", size_px=8)
    products = tuple(RECIPE.known(tuple(rasters), told))
    assert {"area", "B08_mean", "ratio_contrast"} <= set(products)
    made = make(stage, products, told)
    assert tuple(made) == products
    labels, n = segments(rasters, told)
    for name, band in made.items():
        product = RECIPE.known(tuple(rasters), told)[name]
        assert band.dtype == np.float32
        assert np.array_equal(np.isnan(band), labels < 0)
        assert product.valid[0] <= np.nanmin(band) <= np.nanmax(band) <= product.valid[1] * (1 + 1e-6)
        assert (ndimage.standard_deviation(band, labels, np.arange(n)) < 1e-3 * max(1.0, float(np.nanmax(band)))).all()
    assert np.allclose(np.nansum(1 / made["count"]), n, rtol=1e-4)
    assert np.array_equal(made["area"], made["count"] * 100, equal_nan=True)
    some = labels == 5
    assert np.isclose(made["B08_mean"][some][0], rasters["B08"][some].mean(), rtol=1e-5)


def test_where_one_feature_is_read_its_name_can_be_left_out() -> None:
    stage = Stage(grid_of((20, 20)), rasters={"NDVI": smooth((20, 20), 0)})
    made = make(stage, ("mean", "NDVI_mean"), options("NDVI"))
    assert np.array_equal(made["mean"], made["NDVI_mean"])
    assert set(RECIPE.known(("NDVI",), options("NDVI"))) >= {"mean", "NDVI_std", *STATISTICS}
    assert "mean" not in RECIPE.known(("NDVI", "B08"), options("NDVI"))


@pytest.mark.parametrize("method", ["slic", "felzenszwalb"])
@pytest.mark.parametrize("shape", [(1, 1), (1, 30), (30, 1), (3, 2)])
def test_tiny_scenes_and_scenes_of_nothing(method: str, shape: tuple[int, int]) -> None:
    told = options("a", method=method)
    stage = Stage(grid_of(shape), rasters={"a": np.full(shape, 0.5, np.float32)})
    made = make(stage, ("count", "perimeter", "mean", "contrast", "eccentricity"), told)
    assert (made["count"] == shape[0] * shape[1]).all()
    assert (made["perimeter"] == 20 * (shape[0] + shape[1])).all()
    assert np.isnan(made["contrast"]).all()
    empty = make(Stage(grid_of(shape), rasters={"a": np.full(shape, np.nan, np.float32)}), ("count", "mean"), told)
    assert all(np.isnan(band).all() for band in empty.values())


def test_a_margin_is_not_segmented() -> None:
    whole = smooth((30, 40), 0)
    inner = make(Stage(grid_of((20, 30)), 5, rasters={"a": whole}), ("count",), options("a", size_px=6))
    alone = make(Stage(grid_of((20, 30)), rasters={"a": whole[5:25, 5:35]}), ("count",), options("a", size_px=6))
    assert np.array_equal(inner["count"], alone["count"])


def test_scaling_cuts_at_the_ends_and_keeps_what_is_missing() -> None:
    found = scaled([np.array([[0.0, 5.0, 50.0, np.inf]]), np.array([[1.0, 1.0, 1.0, 1.0]])], [(0.0, 10.0), (0.0, 2.0)])
    assert np.array_equal(found[0, 0], [0.0, 0.5, 1.0, np.nan], equal_nan=True)
    assert np.isnan(found[:, 0, 3]).all()


LAYER = np.linspace(0, 100, 101, dtype=np.float32)[None, :]


@pytest.mark.parametrize(
    ("told", "said"),
    [
        (ObjectOptions(), r"range of NDVI, the same for all scenes.*NDVI: \[2, 98\]"),
        (options("NDVI", "NDWI"), "names NDWI"),
        (ObjectOptions(ranges={"NDVI": (1.0, 1.0)}), "from 1 to 1"),
    ],
)
def test_ranges_are_asked_for(told: ObjectOptions, said: str) -> None:
    with pytest.raises(BadInput, match=said):
        segments({"NDVI": LAYER}, told)


def test_a_scene_that_does_not_fit_is_refused_with_the_numbers() -> None:
    big = np.broadcast_to(np.float32(0), (10_980, 10_980))
    assert working_bytes(big.shape, 4, options("a")) < 8 * 2**30
    with pytest.raises(TooLarge, match=r"felzenszwalb of 10980 x 10980 pixels in 1 features needs \d+.\d GiB.*slic"):
        segments({"a": big}, options("a", method="felzenszwalb"))
    with pytest.raises(BadInput, match="need features"):
        segments({}, options())


def test_the_registry_knows_it() -> None:
    assert RECIPES["objects"] is RECIPE
