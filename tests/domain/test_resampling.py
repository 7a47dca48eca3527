"""Resampling against GDAL, and under an offset."""

import numpy as np
import pytest
import rasterio
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from rasterio.warp import Resampling, reproject

from geoml_ops.core.errors import BadInput
from geoml_ops.domain.resampling import refine

BANDS = npst.arrays(
    np.uint16, npst.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=7), elements=st.integers(0, 60_000)
)


@settings(deadline=None)
@given(BANDS, st.sampled_from([2, 3, 6]), st.sampled_from(["nearest", "bilinear"]), st.sampled_from([1000, 7]))
def test_resampling_commutes_with_an_offset(dn, factor, how, offset):
    moved = np.where(dn == 0, 0, dn + np.uint16(offset)).astype(np.uint16)
    first = refine(moved, factor, how)
    after = refine(dn, factor, how)
    np.testing.assert_array_equal(first, np.where(after == 0, 0, after + np.uint16(offset)))


@settings(deadline=None)
@given(BANDS, st.sampled_from([2, 6]), st.sampled_from(["nearest", "bilinear"]))
def test_nodata_neither_spreads_nor_shrinks(dn, factor, how):
    missing = np.repeat(np.repeat(dn == 0, factor, 0), factor, 1)
    np.testing.assert_array_equal(refine(dn, factor, how) == 0, missing)


def test_bilinear_is_that_of_gdal():
    rng = np.random.default_rng(0)
    coarse = rng.integers(1, 4000, (12, 15)).astype(np.uint16)
    fine = np.zeros((24, 30), dtype=np.float64)
    reproject(
        coarse.astype(np.float64),
        fine,
        src_transform=rasterio.Affine(20, 0, 400000, 0, -20, 5800000),
        dst_transform=rasterio.Affine(10, 0, 400000, 0, -10, 5800000),
        src_crs="EPSG:32633",
        dst_crs="EPSG:32633",
        resampling=Resampling.bilinear,
    )
    np.testing.assert_array_equal(refine(coarse, 2, "bilinear"), np.floor(fine + 0.5).astype(np.uint16))


def test_what_cannot_be_exact_is_refused():
    with pytest.raises(BadInput, match="float32"):
        refine(np.ones((2, 2), dtype=np.float32), 2, "bilinear")  # type: ignore[arg-type]
    with pytest.raises(BadInput, match="2 times too large"):
        refine(np.ones((2, 2), dtype=np.uint16), 2, "none")
