"""What every method keeps, whatever it is handed."""

from __future__ import annotations

import dataclasses
import re

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.spatial.distance import cdist
from sklearn.dummy import DummyClassifier
from sklearn.model_selection import GridSearchCV, cross_val_predict, cross_val_score
from sklearn.neighbors import KNeighborsClassifier

from geoml_ops.core.errors import BadInput
from geoml_ops.core.flow import FoldPlan
from geoml_ops.core.folding import ESTIMAND, FoldRules
from geoml_ops.domain.folds import Samples, Split, Splitter, materialise, plan_for, splitter_of, units_of
from tests.domain.folds.test_samples import reordered
from tests.domain.folds.worlds import K_FOLD, SPATIAL, TABLE, field, globe, great_circle_m

THREE = {"n_folds": 3, "block_m": 2000.0}


def splitter(samples: Samples, halo_px: int = 0, repeat: int = 0, **rules: object) -> Splitter:
    """The splitter of such rules, without its audit."""
    asked = FoldRules(**{**THREE, **rules})  # type: ignore[arg-type]
    plan = FoldPlan(
        table=TABLE, rules=asked, repeat=repeat, estimand=ESTIMAND[asked.method], n_folds=2, n_blocks=1, halo_px=halo_px
    )
    return splitter_of(plan, samples)


def as_sets(splits: list[Split], samples: Samples) -> set[tuple[frozenset[tuple[float, ...]], ...]]:
    """Folds as sets of places, whatever the order of folds and of samples."""
    place = np.column_stack([samples.easting, samples.northing, samples.day, samples.code])
    return {tuple(frozenset(map(tuple, place[side].tolist())) for side in split) for split in splits}


@pytest.mark.parametrize("method", SPATIAL)
@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    buffer_m=st.floats(0, 500),
    halo_px=st.integers(0, 4),
    keep_scenes=st.booleans(),
    repeat=st.integers(0, 1),
)
def test_train_and_test_are_apart_and_every_sample_is_tested_once(
    method: str, seed: int, buffer_m: float, halo_px: int, keep_scenes: bool, repeat: int
) -> None:
    samples = field(seed, n_polygons=70, per_polygon=3, extent_m=14_000.0)
    tested = 60 if method == "buffered_loo" else None
    rules = {"method": method, "buffer_m": buffer_m, "seed": seed, "keep_scenes": keep_scenes, "tested": tested}
    if keep_scenes:
        # Polygons of two scenes whose pixels overlap would tie them, and leave too few.
        samples = dataclasses.replace(samples, scene=units_of(samples) % 6, day=units_of(samples) % 6 // 2)
    try:
        splits = splitter(samples, halo_px, repeat, **rules).splits()
    except BadInput as few:
        # Now and then six scenes lie in so few blocks that they cannot be dealt; the sentence says so.
        if not re.search(r"\d+ blocks .* cannot make \d+ folds", str(few)):
            raise
        assume(False)
    counts = np.bincount(np.concatenate([test for _, test in splits]), minlength=len(samples))
    assert counts.max() == 1
    assert counts.all() or counts.sum() == tested
    unit = units_of(samples)
    reach = buffer_m + 20 * halo_px
    for train, test in splits:
        assert len(train)
        assert len(test)
        assert (np.diff(train) > 0).all()
        assert not set(unit[train]) & set(unit[test])
        assert cdist(samples.ground[train], samples.ground[test]).min() > reach
        legs = cdist(samples.ground[train], samples.ground[test], "chebyshev").min()
        assert legs >= 10 * (2 * halo_px + 1) * (1 - 1e-5)
        if keep_scenes:
            assert not set(samples.scene[train]) & set(samples.scene[test])
        if ESTIMAND[FoldRules(method=method).method] == "a new year":  # type: ignore[arg-type]
            assert not set(samples.day[train]) & set(samples.day[test])


@pytest.mark.parametrize("method", SPATIAL)
def test_nothing_is_left_out_that_is_far_enough(method: str) -> None:
    samples, buffer_m = field(11, 60, 3), 300.0
    unit = units_of(samples)
    for train, test in splitter(samples, method=method, buffer_m=buffer_m, tested=40).splits():
        far = (cdist(samples.ground, samples.ground[test]) > buffer_m).all(axis=1) & ~np.isin(unit, unit[test])
        if method in ("time", "location_time"):
            far &= ~np.isin(samples.day, samples.day[test])
        if method == "location_time":
            assert set(train) <= set(np.flatnonzero(far))
        elif method == "time":
            assert (train == np.flatnonzero(far)).all()
        else:
            assert (train == np.flatnonzero(far)).all()


@pytest.mark.parametrize("method", SPATIAL)
def test_the_order_of_samples_plays_no_part(method: str) -> None:
    samples = field(5, 80, 4)
    order = np.random.default_rng(1).permutation(len(samples))
    shuffled = reordered(samples, order)
    one, other = (splitter(each, method=method, tested=50, seed=3) for each in (samples, shuffled))
    assert as_sets(one.splits(), samples) == as_sets(other.splits(), shuffled)


@pytest.mark.parametrize("method", [*SPATIAL, "random"])
def test_the_same_rules_give_the_same_folds_and_another_seed_others(method: str) -> None:
    samples = field(6, 90, 3)

    def found(seed: int, repeat: int = 0) -> set[tuple[frozenset[tuple[float, ...]], ...]]:
        return as_sets(splitter(samples, repeat=repeat, method=method, tested=30, seed=seed).splits(), samples)

    assert found(1) == found(1)
    if method not in ("time",):
        assert found(1) != found(2)
        assert found(1) != found(1, repeat=1)


@pytest.mark.parametrize("method", [method for method in SPATIAL if method != "block"])
def test_longitude_and_latitude_are_split_by_great_circles(method: str) -> None:
    samples = globe(2, n_polygons=90)
    buffer_m = 3000.0
    splits = splitter(samples, 2, method=method, buffer_m=buffer_m, tested=30).splits()
    apart = great_circle_m(samples, samples)
    for train, test in splits:
        assert apart[np.ix_(train, test)].min() > buffer_m + 40
        assert not set(samples.polygon[train]) & set(samples.polygon[test])


@pytest.mark.parametrize(
    ("method", "location"), [("block", "polygon"), ("location", "block"), ("location_time", "block")]
)
def test_blocks_in_longitude_and_latitude_are_refused(method: str, location: str) -> None:
    with pytest.raises(BadInput, match=r"Blocks of 2000 m cannot be cut in EPSG:4326.*UTM.*kmeans"):
        splitter(globe(0), method=method, location=location).splits()


@pytest.mark.parametrize("method", [*SPATIAL, "random"])
@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"easting": np.full(300, np.nan)}, "300 of 300 samples have no coordinates"),
        ({"anchor_northing": np.append(np.zeros(299), np.inf)}, "1 of 300 samples have no coordinates"),
        ({"half_px": np.full(300, -1)}, "300 of 300 samples have a half_px below 0"),
        ({"code": np.full(300, -7)}, "300 of 300 samples have a code below 0"),
        ({"pixel_m": 0.0}, "A pixel has an edge of 0 m"),
        ({"projected": False}, "EPSG:32633 has degrees, but coordinates reach"),
    ],
)
def test_samples_that_cannot_be_are_refused_by_every_method(
    method: str, change: dict[str, object], sentence: str
) -> None:
    samples = dataclasses.replace(field(1, 100, 3), **change)  # type: ignore[arg-type]
    with pytest.raises(BadInput, match=sentence):
        splitter(samples, method=method).splits()


@pytest.mark.parametrize("method", [*SPATIAL, "random"])
def test_no_samples_and_impossible_numbers_are_refused_by_every_method(method: str) -> None:
    samples = field(1, 100, 3)
    none = reordered(samples, np.zeros(0, dtype=np.int64))
    with pytest.raises(BadInput, match="There are no samples"):
        splitter(none, method=method).splits()
    for name, value in (("n_folds", 1), ("buffer_m", -1.0), ("buffer_m", np.nan), ("seed", -1), ("halo_px", -2)):
        wrong = dataclasses.replace(splitter(samples, method=method, tested=9), **{name: value})
        with pytest.raises(BadInput, match=f"{name} is {value}"):
            wrong.splits()


@pytest.mark.parametrize("method", K_FOLD)
def test_degrees_that_call_themselves_metres_are_refused(method: str) -> None:
    samples = dataclasses.replace(globe(0), projected=True, crs="EPSG:32633")
    mended = dataclasses.replace(
        samples, easting=np.abs(samples.easting), anchor_easting=np.abs(samples.anchor_easting)
    )
    with pytest.raises(BadInput, match=r"EPSG:32633 is said to measure in metres, but .* looks like degrees"):
        splitter(mended, method=method).splits()


@pytest.mark.parametrize("method", [m for m in K_FOLD if m not in ("time", "location_time")])
def test_one_unit_or_fewer_than_folds_are_refused_with_numbers(method: str) -> None:
    with pytest.raises(BadInput, match=r"^2 (block|disc|polygon|location).* cannot make 3 folds.* Try: "):
        splitter(field(0, 2, 8), method=method).splits()
    with pytest.raises(BadInput, match=r"^1 (block|disc|polygon|location).* cannot make 3 folds"):
        splitter(field(0, 1, 8), method=method).splits()


@pytest.mark.parametrize("method", [m for m in SPATIAL if m not in ("time", "location_time")])
def test_scenes_that_are_fewer_than_folds_are_refused_with_numbers(method: str) -> None:
    samples = dataclasses.replace(field(0), scene=np.zeros(1440, dtype=np.int64))
    with pytest.raises(BadInput, match=r"scene.* cannot make 3 folds.*keep_scenes|by polygon or scene"):
        splitter(samples, method=method, keep_scenes=True, tested=20).splits()


@pytest.mark.parametrize("method", SPATIAL)
def test_a_buffer_wider_than_the_ground_is_refused_with_numbers(method: str) -> None:
    with pytest.raises(
        BadInput, match=r"(Fold 0 tests \d+ of \d+ samples and learns from none|disc).*40000 m.*buffer_m"
    ):
        splitter(field(0), method=method, buffer_m=40_000.0, tested=5).splits()


@pytest.mark.parametrize("method", [*K_FOLD, "buffered_loo", "random"])
def test_scikit_learn_takes_every_method_as_cv(method: str) -> None:
    samples = field(9, 45, 2)
    cv = splitter(samples, method=method)
    X, y = samples.ground, samples.code
    answers = cross_val_predict(KNeighborsClassifier(1), X, y, cv=cv)
    assert len(answers) == len(y)
    expected = [splitter_answers(X, y, split) for split in cv.splits()]
    assert all((answers[test] == found).all() for (_, test), found in zip(cv.splits(), expected, strict=True))
    n_folds = cv.get_n_splits(X, y)
    assert n_folds == len(cv.splits()) == len(list(cv.split(X, y)))
    assert len(cross_val_score(DummyClassifier(), X, y, cv=cv)) == n_folds
    search = GridSearchCV(KNeighborsClassifier(), {"n_neighbors": [1, 3]}, cv=cv).fit(X, y)
    assert search.n_splits_ == n_folds
    assert "Folds" in repr(cv) or "LeaveOneOut" in repr(cv)
    with pytest.raises(BadInput, match="X has 5 rows, the splitter was made for 90 samples"):
        next(cv.split(X[:5], y[:5]))


def splitter_answers(X: NDArray[np.float64], y: NDArray[np.int64], split: Split) -> NDArray[np.int64]:
    train, test = split
    return np.asarray(KNeighborsClassifier(1).fit(X[train], y[train]).predict(X[test]))


@pytest.mark.parametrize("method", SPATIAL)
def test_every_plan_is_audited_keeps_its_rules_and_gives_the_folds_it_was_audited_with(method: str) -> None:
    samples = field(4, 90, 4)
    rules = FoldRules(method=method, n_folds=3, buffer_m=150.0, block_m=1500.0, tested=25)  # type: ignore[arg-type]
    plan = plan_for(TABLE, samples, rules, halo_px=2)
    assert plan.audit is not None
    assert plan.audit.passed, plan.audit.objections
    splits = materialise(plan, samples)
    assert plan.n_folds == len(splits)
    assert plan.audit.n_test == tuple(len(test) for _, test in splits)
    assert plan.audit.least_distance_m > 190
    assert plan.estimand == ESTIMAND[rules.method]
    assert plan.rules == rules
    assert plan_for(TABLE, samples, rules, halo_px=2).id == plan.id
    again = materialise(FoldPlan.model_validate_json(plan.model_dump_json()), samples)
    assert all(
        (a == b).all() for one, other in zip(splits, again, strict=True) for a, b in zip(one, other, strict=True)
    )
