"""Coordinates against values from outside: rasterio's own transformer as oracle."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from rasterio.warp import transform

from geoml_ops.adapters.crs import is_metric, reproject


def test_axis_order_and_values_agree_with_gdal() -> None:
    points = np.array([shapely.Point(13.4, 52.5), None, shapely.Point(12.0, 51.0)], dtype=object)
    moved = reproject(points, "EPSG:4326", "EPSG:32633")
    eastings, northings = transform("EPSG:4326", "EPSG:32633", [13.4, 12.0], [52.5, 51.0])
    assert moved[1] is None
    np.testing.assert_allclose([moved[0].x, moved[2].x], eastings, atol=1e-3)
    np.testing.assert_allclose([moved[0].y, moved[2].y], northings, atol=1e-3)
    assert reproject(points, "EPSG:4326", "EPSG:4326") is points


@pytest.mark.parametrize(("crs", "said"), [("EPSG:32633", True), ("EPSG:4326", False), ("EPSG:2263", False)])
def test_degrees_and_feet_are_not_metres(crs: str, said: bool) -> None:
    assert is_metric(crs) is said
