"""The generated landscape is what it says it is."""

import numpy as np
import pytest
import shapely

from geoml_ops.core.bands import SENTINEL_2_L1C, Radiometry
from geoml_ops.domain.checks import measure, offset_check, spectral_check
from geoml_ops.domain.resampling import refine
from geoml_ops.domain.world import CLASSES, landscape

WORLD = landscape(240, 180, seed=3)


def test_the_same_arguments_give_the_same_landscape():
    again = landscape(240, 180, seed=3)
    assert all((again.bands[name] == WORLD.bands[name]).all() for name in SENTINEL_2_L1C.names)
    assert again.labels == WORLD.labels
    assert (landscape(240, 180, seed=4).truth != WORLD.truth).any()


def test_labels_name_the_truth_under_their_polygon():
    for polygon, label in zip(WORLD.polygons, WORLD.labels, strict=True):
        point = polygon.representative_point()
        assert CLASSES[WORLD.truth[WORLD.grid.pixel_at(point.x, point.y)]] == label


def test_wrong_labels_are_as_many_as_asked_for():
    wrong = landscape(600, 480, seed=3, wrong_share=0.4)
    truth = [CLASSES[wrong.truth[wrong.grid.pixel_at(p.centroid.x, p.centroid.y)]] for p in wrong.polygons]
    assert 0.3 < np.mean([a != b for a, b in zip(truth, wrong.labels, strict=True)]) < 0.5


def test_a_plan_of_500_m_has_forty_blocks_and_every_class_on_both_sides():
    world = landscape()
    blocks = {(int(p.centroid.x // 500), int(p.centroid.y // 500)) for p in world.polygons}
    assert len(blocks) >= 40
    assert set(world.side(True)[1]) == set(world.side(False)[1]) == set(CLASSES)
    assert len(world.side(True)[1]) + len(world.side(False)[1]) == len(world.labels)


def test_only_the_east_changes_when_it_is_made_unlike():
    other = landscape(240, 180, seed=3, unlike_east=1.0)
    half = 120
    np.testing.assert_array_equal(other.bands["B04"][:, :half], WORLD.bands["B04"][:, :half])
    assert (other.bands["B11"][:, 60:] != WORLD.bands["B11"][:, 60:]).mean() > 0.9


def test_it_passes_the_physical_test_as_real_scenes_do():
    dn = np.stack([refine(WORLD.bands[b.name], round(b.gsd_m / 10), b.resampling) for b in SENTINEL_2_L1C.bands])
    declared = Radiometry(scale=1e-4)
    rules = dict.fromkeys(SENTINEL_2_L1C.names, declared)
    assert offset_check(measure(dn, SENTINEL_2_L1C, declared), SENTINEL_2_L1C, rules).passed
    assert spectral_check(dn, SENTINEL_2_L1C, rules).passed
    assert shapely.is_valid(np.array(WORLD.polygons)).all()


def test_shapes_that_do_not_divide_are_refused():
    with pytest.raises(ValueError, match="multiples of 6"):
        landscape(100, 120)
