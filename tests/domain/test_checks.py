"""What is measured about bands and polygons, and the offset that metadata do not tell."""

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from geoml_ops.core.bands import SENTINEL_2_L1C, Radiometry
from geoml_ops.core.grid import Bounds
from geoml_ops.domain.checks import describe_records, measure, offset_check, one_class_check, touching

OLD, NEW = Radiometry(scale=1e-4), Radiometry(scale=1e-4, offset_dn=-1000.0)


def judged(dn, declared):
    rules = dict.fromkeys(SENTINEL_2_L1C.names, declared)
    return offset_check(measure(dn, SENTINEL_2_L1C, declared), SENTINEL_2_L1C, rules)


def scene(dark: int = 10, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    dn = rng.integers(300, 3000, (13, 40, 40)).astype(np.uint16)
    dn[10] = dark + rng.integers(0, 8, (40, 40))
    return dn


@pytest.mark.parametrize(
    ("shift", "declared", "words"),
    [(0, OLD, ""), (1000, NEW, ""), (1000, OLD, "present but not declared"), (0, NEW, "declared but absent")],
)
def test_the_four_cases_of_an_offset(shift, declared, words):
    check = judged(scene() + np.uint16(shift), declared)
    assert check.passed == (not words)
    assert words in check.sentence


@settings(deadline=None)
@given(st.integers(1, 700))
def test_a_scene_whose_darkest_band_is_hazy_still_passes(dark):
    assert judged(scene(dark), OLD).passed


def test_noise_around_zero_is_no_absent_offset():
    dn = np.clip(np.random.default_rng(0).normal(995, 15, (13, 40, 40)), 1, None).astype(np.uint16)
    dn[:10] += 500
    assert judged(dn, NEW).passed


def test_water_is_dark_enough_without_the_cirrus_band():
    dn = scene()
    dn[10] = 1500
    dn[12, :8] = 60
    assert judged(dn, OLD).passed
    assert not judged(dn + np.uint16(1000), OLD).passed


def test_a_band_without_observations_has_no_numbers():
    dn = scene()
    dn[3] = 0
    row = measure(dn, SENTINEL_2_L1C, OLD)[3]
    assert row["nodata_share"] == 1.0
    assert row["low"] is row["sd"] is row["inside_share"] is None


def test_shares_and_twins_are_counted():
    dn = scene()
    dn[5] = dn[4]
    dn[2, :10] = 0
    dn[1, :4] = 40_000
    rows = {row["band"]: row for row in measure(dn, SENTINEL_2_L1C, OLD)}
    assert rows["B06"]["twin"] == "B05"
    assert rows["B03"]["nodata_share"] == 0.25
    assert rows["B02"]["inside_share"] == pytest.approx(0.9)
    assert [name for name, row in rows.items() if row["twin"]] == ["B06"]


def test_nothing_observed_cannot_be_judged():
    check = judged(np.zeros((13, 4, 4), np.uint16), OLD)
    assert not check.passed
    assert "No band was observed" in check.sentence


def test_flaws_of_polygons_are_named():
    bow = shapely.Polygon([(0, 0), (1, 1), (1, 0), (0, 1)])
    shapes = np.array([shapely.box(0, 0, 1, 1), bow, shapely.Point(0, 0), shapely.Polygon(), None], dtype=object)
    rows = describe_records(shapes, ["a", "b", "c", "", None], "EPSG:32633", np.array([1, 0, 1, 0, 0], dtype=bool))
    problems = [row["problem"] for row in rows]
    assert problems[0] == ""
    assert "Self-intersection" in problems[1]
    assert problems[2] == ""
    assert problems[3] == problems[4] == "empty geometry"
    assert [row["label"] for row in rows] == ["a", "b", "c", None, None]


def test_rings_of_too_many_vertices_are_named():
    ring = shapely.Point(0, 0).buffer(10, quad_segs=3000)
    rows = describe_records(np.array([ring]), ["a"], "EPSG:32633", np.array([True]))
    assert "more than 10000 vertices" in rows[0]["problem"]


def test_touching_looks_at_every_scene():
    shapes = np.array([shapely.box(0, 0, 1, 1), shapely.box(50, 50, 51, 51), shapely.box(9, 9, 11, 11), None])
    scenes = [Bounds(left=0.0, bottom=0.0, right=10.0, top=10.0), Bounds(left=100.0, bottom=0.0, right=110.0, top=9.0)]
    assert touching(shapes, scenes).tolist() == [True, False, True, False]
    assert not touching(shapes, []).any()


def test_one_class_alone_is_said_but_does_not_block():
    check = one_class_check(["forest", "forest", None])
    assert not check.passed
    assert not check.blocking
    assert "forest" in check.sentence
    assert one_class_check(["forest", "water"]).passed
