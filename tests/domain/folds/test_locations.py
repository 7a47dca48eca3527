"""Whole locations, whole days, or both are held out."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from geoml_ops.core.errors import BadInput
from geoml_ops.domain.folds import LocationFolds, LocationTimeFolds, Samples, TimeFolds, units_of
from geoml_ops.domain.folds.blocks import cells_of
from tests.domain.folds.worlds import field, made


def visited(n_sites: int = 12, n_days: int = 6, per_visit: int = 2) -> Samples:
    """Sites two kilometres apart, every one seen on every day; a day is a scene."""
    site, day, _ = (axis.ravel() for axis in np.indices((n_sites, n_days, per_visit)))
    anchors = np.array([3e5, 5.8e6]) + np.column_stack([site % 4, site // 4]) * 2000.0
    code = (site + day) % 3
    return made(anchors, code=code, polygon=site, anchors=anchors, scene=day, day=19_000 + 5 * day)


@pytest.mark.parametrize("location", ["polygon", "block", "scene"])
def test_a_location_is_tested_whole_and_teaches_nothing_then(location: str) -> None:
    samples = field(0, 60, 4, extent_m=20_000.0)
    folds = LocationFolds(samples, n_folds=4, location=location, block_m=3000.0)  # type: ignore[arg-type]
    place = {
        "polygon": units_of(samples),
        "block": np.unique(cells_of(samples.anchors, 3000.0), axis=0, return_inverse=True)[1].reshape(-1),
        "scene": samples.scene,
    }[location]
    for train, test in folds.splits():
        assert not set(place[train]) & set(place[test])
    assert (np.bincount(folds.fold_of()) > 0).all()


def test_a_site_on_a_day_is_asked_by_who_knows_neither() -> None:
    samples = visited()
    splits = LocationTimeFolds(samples, n_folds=3).splits()
    assert len(splits) == 9
    tested = np.concatenate([test for _, test in splits])
    assert sorted(tested) == list(range(len(samples)))
    for train, test in splits:
        sites, days = set(samples.polygon[test]), set(samples.day[test])
        assert (len(sites), len(days)) == (4, 2)
        outside = ~np.isin(samples.polygon, list(sites)) & ~np.isin(samples.day, list(days))
        assert (train == np.flatnonzero(outside)).all(), "mixed pairs are on neither side, all others train"


def test_pairs_that_nobody_saw_are_no_folds() -> None:
    samples = visited()
    # Sites of one half were seen in the first half of the days only, the others in the second.
    seen = (samples.polygon < 6) == (samples.day < 19_015)
    some = Samples(
        **{
            name: getattr(samples, name)[seen]
            if name not in ("crs", "projected", "pixel_m")
            else getattr(samples, name)
            for name in ("crs", "projected", "pixel_m", "easting", "northing", "anchor_easting", "anchor_northing")
        },
        polygon=samples.polygon[seen],
        code=samples.code[seen],
        day=samples.day[seen],
    )
    splits = LocationTimeFolds(some, n_folds=2).splits()
    assert 2 <= len(splits) <= 4
    assert all(len(test) for _, test in splits)
    assert sorted(np.concatenate([test for _, test in splits])) == list(range(len(some)))


def test_days_are_tested_whole_and_tested_polygons_teach_on_no_day() -> None:
    samples = field(1, 90, 3)
    splits = TimeFolds(samples, n_folds=3, buffer_m=200.0).splits()
    for train, test in splits:
        assert len(set(samples.day[test])) == 1
        assert not set(samples.day[train]) & set(samples.day[test])
        assert not set(samples.polygon[train]) & set(samples.polygon[test])


def test_a_polygon_that_is_seen_again_is_left_out_where_it_was_tested() -> None:
    samples = visited()
    # All sites but the first two were seen on one day only.
    once = (samples.polygon < 2) | ((samples.day - 19_000) // 5 == samples.polygon % 6)
    kept = np.flatnonzero(once)
    some = dataclasses.replace(
        samples,
        **{
            name: getattr(samples, name)[kept]
            for name in (
                "easting",
                "northing",
                "anchor_easting",
                "anchor_northing",
                "polygon",
                "code",
                "scene",
                "day",
                "half_px",
            )
        },
    )
    for train, test in TimeFolds(some, n_folds=3).splits():
        assert {0, 1} <= set(some.polygon[test])
        assert not {0, 1} & set(some.polygon[train])
        assert len(train)


def test_polygons_seen_on_every_day_leave_nothing_to_learn_from_and_the_way_out_works() -> None:
    samples = visited()
    with pytest.raises(BadInput, match=r"those of other days are all of polygons that it tests.*location_time folds"):
        TimeFolds(samples, n_folds=3).splits()
    assert len(LocationTimeFolds(samples, n_folds=3).splits()) == 9


def test_days_that_share_a_scene_stay_together_where_scenes_are_kept() -> None:
    samples = dataclasses.replace(field(2, 90, 3), scene=field(2, 90, 3).day // 2)
    assert len(set(samples.day)) == 3
    with pytest.raises(BadInput, match="2 groups of acquisition days that share no scene cannot make 3 folds"):
        TimeFolds(samples, n_folds=3, keep_scenes=True).splits()
    for train, test in TimeFolds(samples, n_folds=2, keep_scenes=True).splits():
        assert not set(samples.scene[train]) & set(samples.scene[test])
    for train, test in LocationTimeFolds(samples, n_folds=2, keep_scenes=True).splits():
        assert not set(samples.scene[train]) & set(samples.scene[test])


@pytest.mark.parametrize(
    ("folds", "sentence"),
    [
        (LocationFolds(visited(3), n_folds=4), r"3 locations \(polygon\) cannot make 4 folds. Try: use fewer folds"),
        (
            LocationFolds(visited(), n_folds=4, location="scene"),
            r"1 location \(scenes that see the same polygon are one\)",
        ),
        (
            LocationFolds(visited(), n_folds=4, location="block", block_m=5e4),
            r"1 location \(block\) cannot.*smaller blocks",
        ),
        (TimeFolds(visited(9, 2), n_folds=3), "2 acquisition days cannot make 3 folds.*scenes of more days"),
        (LocationTimeFolds(visited(9, 2), n_folds=3), "2 acquisition days cannot make 3 folds"),
        (LocationTimeFolds(visited(2, 9), n_folds=3), "2 locations .* cannot make 3 folds"),
    ],
)
def test_fewer_locations_or_days_than_folds_are_refused(folds: LocationFolds | TimeFolds, sentence: str) -> None:
    with pytest.raises(BadInput, match=sentence):
        folds.splits()
