"""Samples: where they are, what cannot be parted, and blocks of evidence."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse.csgraph import connected_components
from scipy.spatial.distance import cdist

from geoml_ops.core.errors import BadInput
from geoml_ops.domain.folds import Samples, evidence_blocks, units_of
from geoml_ops.domain.folds.samples import anchors_of_units, arc, chord
from tests.domain.folds.worlds import field, globe, great_circle_m, made


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 80), st.booleans())
def test_units_are_polygons_and_whatever_shares_a_pixel(seed: int, n: int, keep_scenes: bool) -> None:
    rng = np.random.default_rng(seed)
    samples = made(
        np.array([3e5, 5.8e6]) + rng.uniform(0, 15 * np.sqrt(n), (n, 2)),
        polygon=rng.integers(0, n + 1, n),
        scene=rng.integers(0, max(1, n // 3), n),
    )
    near = cdist(samples.ground, samples.ground, "chebyshev") < 10.0
    near |= samples.polygon[:, None] == samples.polygon[None]
    if keep_scenes:
        near |= samples.scene[:, None] == samples.scene[None]
    expected = connected_components(near, directed=False)[1]
    unit = units_of(samples, keep_scenes=keep_scenes)
    assert len(set(zip(unit, expected, strict=True))) == len(set(unit)) == len(set(expected))
    assert set(unit) == set(range(unit.max() + 1))


def test_pixels_side_by_side_are_apart_and_the_same_pixel_seen_twice_is_one() -> None:
    row = made(np.array([[3e5, 5.8e6], [3e5 + 10, 5.8e6], [3e5 + 10, 5.8e6], [3e5 + 29, 5.8e6]]))
    assert units_of(row).tolist() == [0, 1, 1, 2]
    # Pixels of another grid overlap at a corner although their middles are 12.7 m apart.
    assert units_of(made(np.array([[3e5, 5.8e6], [3e5 + 9, 5.8e6 + 9]]))).tolist() == [0, 0]


def test_units_are_numbered_by_where_they_are_not_by_the_order_of_samples() -> None:
    samples = field(3)
    order = np.random.default_rng(0).permutation(len(samples))
    shuffled = reordered(samples, order)
    for keep in (False, True):
        assert (units_of(shuffled, keep_scenes=keep) == units_of(samples, keep_scenes=keep)[order]).all()
    unit = units_of(samples)
    assert (anchors_of_units(samples, unit) == anchors_of_units(shuffled, unit[order])).all()


def reordered(samples: Samples, order: np.ndarray) -> Samples:
    """The same samples in another order."""
    columns = ("easting", "northing", "anchor_easting", "anchor_northing", "polygon", "code", "scene", "day", "half_px")
    found = {name: getattr(samples, name)[order] for name in columns}
    if samples.features is not None:
        found["features"] = samples.features[order]
    return dataclasses.replace(samples, **found)


def test_pixels_overlap_in_degrees_as_they_do_in_metres() -> None:
    metre = 1 / 111_195.0
    north = 60.0
    east = metre / np.cos(np.radians(north))
    steps = np.array([[0, 0], [9, 9], [30, 0], [40.5, 0], [0, -30], [0, -39]])
    places = np.array([180.0, north]) + steps * np.array([east, metre])
    places[:, 0] = np.where(places[:, 0] >= 180, places[:, 0] - 360, places[:, 0])
    unit = units_of(made(places, projected=False))
    assert unit[0] == unit[1]
    assert unit[2] != unit[3]
    assert unit[4] == unit[5]
    assert len(set(unit)) == 4


def test_the_antimeridian_parts_nothing() -> None:
    both = made(np.array([[180.0, 0.0], [-180.0, 0.0], [540.0 - 360, 0.0], [0.0, 0.0]]), projected=False)
    assert len(set(units_of(both)[:3])) == 1
    assert len(evidence_blocks(both, 5000.0)[0]) == 2


def test_chords_measure_great_circles() -> None:
    samples = globe(0)
    expected = great_circle_m(samples, samples)
    found = arc(cdist(samples.ground, samples.ground), projected=False)
    assert found == pytest.approx(expected, abs=1e-3)
    for distance in (0.0, 1.0, 5e5, 2e7):
        assert arc(np.array([chord(distance, projected=False)]), projected=False)[0] == pytest.approx(
            distance, abs=1e-6
        )


def test_blocks_of_evidence_keep_their_size_on_the_globe() -> None:
    rng = np.random.default_rng(0)
    north = made(np.column_stack([rng.uniform(20, 21, 4000), rng.uniform(69, 70, 4000)]), projected=False)
    middles, block = evidence_blocks(north, 10_000.0)
    spans = np.array([span_of(north, block == number) for number in range(len(middles))])
    assert len(middles) > 40
    assert (spans < 10_100).all()
    assert (np.median(spans, axis=0) > 9_000).all()
    far = made(np.array([[20.0, 69.5], [20.9, 69.5]]), projected=False)
    assert len(set(evidence_blocks(far, 10_000.0)[1])) == 2


def span_of(samples: Samples, mine: np.ndarray) -> tuple[float, float]:
    east, north = np.ptp(samples.easting[mine]), np.ptp(samples.northing[mine])
    return float(east * np.cos(np.radians(samples.northing[mine].mean())) * 111_195), float(north * 111_195)


@pytest.mark.parametrize("block_m", [0.0, -5.0, np.nan, np.inf])
def test_an_edge_that_cannot_be_is_refused(block_m: float) -> None:
    with pytest.raises(BadInput, match=r"A block of .* m cannot be"):
        evidence_blocks(field(0), block_m)


def test_columns_of_another_length_are_refused_with_their_numbers() -> None:
    samples = field(0, 4, 2)
    with pytest.raises(BadInput, match="8 samples have a class code, but there are 7 of northing, 9 of scene"):
        dataclasses.replace(samples, northing=samples.northing[:7], scene=np.zeros(9, dtype=np.int64))
    with pytest.raises(BadInput, match="there are 3 of features"):
        dataclasses.replace(samples, features=np.zeros((3, 2), dtype=np.float32))


def test_small_ground_near_the_origin_is_not_taken_for_degrees() -> None:
    plot = made(np.random.default_rng(0).uniform(0, 90, (50, 2)), pixel_m=1.0)
    plot.require_no_degrees("blocks of 20 m", 20.0)
    with pytest.raises(
        BadInput, match=r"^EPSG:32633 is said .* 50 places .* beside blocks of 2000 m that looks like degrees"
    ):
        plot.require_no_degrees("blocks of 2000 m", 2000.0)
    one_place = made(np.zeros((5, 2)))
    one_place.require_no_degrees("blocks of 2000 m", 2000.0)
