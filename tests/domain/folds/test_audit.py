"""The audit counts what brute force counts, and sees every leak that is planted."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geoml_ops.core.errors import BadInput
from geoml_ops.core.flow import FoldPlan
from geoml_ops.core.folding import ESTIMAND, FoldRules, Method
from geoml_ops.domain.folds import PredictionPoints, plan_for
from geoml_ops.domain.folds.audit import audit, audit_splits, splits_of
from geoml_ops.domain.folds.nearness import Windows
from geoml_ops.domain.folds.promises import Promises
from geoml_ops.domain.folds.samples import EARTH_M, Samples

CHECKOUT = Path(__file__).resolve().parents[3]
PIXEL = 10.0
Splits = list[tuple[np.ndarray, np.ndarray]]


def at_pixels(cols: Any, rows: Any, **columns: Any) -> Samples:
    """Samples at the middles of pixels of one lattice; each its own polygon unless told."""
    cols, rows = np.asarray(cols, dtype=np.int64), np.asarray(rows, dtype=np.int64)
    easting, northing = 500_005.0 + PIXEL * cols, 5_799_995.0 - PIXEL * rows
    columns = {"polygon": np.arange(len(cols)), "code": np.arange(len(cols)) % 2, **columns}
    return Samples("EPSG:32633", True, PIXEL, easting, northing, easting, northing, **columns)


def plan_of(method: Method = "block", *, halo_px: int = 0, n_folds: int = 5, **rules: Any) -> FoldPlan:
    return FoldPlan(
        table="table-0123456789abcdef",
        rules=FoldRules(method=method, **rules),
        estimand=ESTIMAND[method],
        n_folds=n_folds,
        n_blocks=5,
        halo_px=halo_px,
    )


# --- brute force -----------------------------------------------------------------------------


def window(col: int, row: int, radius: int) -> set[tuple[int, int]]:
    return {(c, r) for c in range(col - radius, col + radius + 1) for r in range(row - radius, row + radius + 1)}


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(0, 2), st.sampled_from([0.0, 15.0, 60.0]), st.integers(12, 40))
def test_every_count_is_that_of_sets_of_pixels(seed: int, halo_px: int, buffer_m: float, extent: int) -> None:
    rng = np.random.default_rng(seed)
    n = 40
    cols, rows, half = rng.integers(0, extent, n), rng.integers(0, extent, n), rng.choice([0, 1, 3], n)
    samples = at_pixels(
        cols, rows, half_px=half, polygon=rng.integers(0, 25, n), scene=rng.integers(0, 4, n),
        day=rng.integers(0, 6, n), code=np.r_[0, 1, 2, rng.integers(0, 3, n - 3)],
    )  # fmt: skip
    side = rng.integers(0, 3, n)  # 0 train, 1 test, 2 neither
    side[:2] = 0, 1
    train, test = np.flatnonzero(side == 0), np.flatnonzero(side == 1)
    shows = audit_splits(samples, [(train, test)], Promises(buffer_m=buffer_m, halo_px=halo_px)).folds[0]
    windows = [window(c, r, halo_px + h) for c, r, h in zip(cols, rows, half, strict=True)]
    apart = {(t, o): float(np.hypot(cols[t] - cols[o], rows[t] - rows[o])) * PIXEL for t in test for o in train}
    assert shows.n_shared_pixels == sum(any(windows[t] & windows[o] for o in train) for t in test)
    assert shows.least_distance_m == pytest.approx(min(apart.values()))
    assert shows.n_near_duplicates == sum(any(apart[t, o] < PIXEL for o in train) for t in test)
    for name, column in (("polygons", samples.polygon), ("scenes", samples.scene), ("dates", samples.day)):
        assert getattr(shows, f"n_shared_{name}") == len(set(column[train]) & set(column[test]))
    assert (shows.n_train, shows.n_test, shows.n_dropped) == (len(train), len(test), int((side == 2).sum()))
    assert shows.n_train_per_class == tuple(int((samples.code[train] == c).sum()) for c in range(3))
    assert shows.n_test_per_class == tuple(int((samples.code[test] == c).sum()) for c in range(3))
    near = Windows.of(samples, halo_px).between(train, test, buffer_m).too_near
    reach = halo_px + half
    assert near.tolist() == [any(apart[t, o] <= buffer_m + (reach[t] + reach[o]) * PIXEL for o in train) for t in test]


@pytest.mark.parametrize("projected", [True, False])
def test_large_sides_are_measured_as_small_ones_are(projected: bool) -> None:
    rng = np.random.default_rng(4)
    n = 4000  # 2000 x 2000 pairs are beyond what is done by brute force
    cols, rows = rng.integers(0, 3000, n), rng.integers(0, 3000, n)
    samples = at_pixels(cols, rows, half_px=rng.choice([0, 4, 9], n))
    if not projected:
        lon, lat = 179.9 + cols * 1e-4, 60 + rows * 1e-4
        lon = np.where(lon > 180, lon - 360, lon)
        samples = dataclasses.replace(
            samples,
            crs="EPSG:4326",
            projected=False,
            easting=lon,
            northing=lat,
            anchor_easting=lon,
            anchor_northing=lat,
        )
    train, test = np.arange(0, n, 2), np.arange(1, n, 2)
    windows = Windows.of(samples, 1)
    whole = windows.between(train, test, 30.0)
    parts = [windows.between(train, test[at : at + 50], 30.0) for at in range(0, len(test), 50)]
    assert 0 < whole.overlapping.sum() < len(test)
    assert 0 < whole.too_near.sum() < len(test)
    assert (whole.overlapping == np.concatenate([part.overlapping for part in parts])).all()
    assert (whole.too_near == np.concatenate([part.too_near for part in parts])).all()
    assert whole.distance_m == pytest.approx(np.concatenate([part.distance_m for part in parts]), rel=1e-9)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([-89.0, -60.0, 0.0, 45.0, 80.0]), st.sampled_from([-180.0, 12.0, 180.0]))
def test_in_degrees_distances_are_great_circles_and_windows_squares_on_the_ground(
    seed: int, lat0: float, lon0: float
) -> None:
    rng = np.random.default_rng(seed)
    n, halo_px = 30, 2
    north, east = rng.uniform(-150, 150, n), rng.uniform(-150, 150, n)
    lat = lat0 + np.degrees(north / EARTH_M)
    lon = (lon0 + np.degrees(east / EARTH_M) / np.cos(np.radians(lat0)) + 180) % 360 - 180
    code = np.arange(n) % 2
    samples = Samples("EPSG:4326", False, PIXEL, lon, lat, lon, lat, np.arange(n), code)
    train, test = np.arange(15), np.arange(15, n)
    shows = audit_splits(samples, [(train, test)], Promises(halo_px=halo_px)).folds[0]
    phi, lam = np.radians(lat), np.radians(lon)

    def great_circle(a: int, b: int) -> float:
        half = np.sin((phi[a] - phi[b]) / 2) ** 2 + np.cos(phi[a]) * np.cos(phi[b]) * np.sin((lam[a] - lam[b]) / 2) ** 2
        return float(2 * EARTH_M * np.arcsin(np.sqrt(half)))

    def meet(a: int, b: int) -> bool:
        width = np.cos((phi[a] + phi[b]) / 2) * np.radians((lon[a] - lon[b] + 180) % 360 - 180)
        return bool(EARTH_M * max(abs(width), abs(phi[a] - phi[b])) < (2 * halo_px + 1) * PIXEL - 1e-5)

    distances = np.array([[great_circle(t, o) for o in train] for t in test])
    assert shows.least_distance_m == pytest.approx(distances.min(), rel=1e-6, abs=1e-6)
    assert shows.n_near_duplicates == int((distances.min(axis=1) < PIXEL).sum())
    assert shows.n_shared_pixels == sum(any(meet(t, o) for o in train) for t in test)


# --- planted leaks ---------------------------------------------------------------------------

ISLANDS, PER_ISLAND, HALO, BUFFER = 5, 12, 2, 100.0


def islands(seed: int) -> tuple[Samples, np.ndarray]:
    """Five islands two kilometres apart, each of three classes in six polygons; an island is a fold."""
    rng = np.random.default_rng(seed)
    island = np.repeat(np.arange(ISLANDS), PER_ISLAND)
    polygon = np.repeat(np.arange(ISLANDS * 6), PER_ISLAND // 6)
    cols, rows = island * 230 + rng.integers(0, 30, len(island)), rng.integers(0, 30, len(island))
    samples = at_pixels(cols, rows, polygon=polygon, code=polygon % 3, scene=island, day=19_000 + island)
    return samples, island


def joined(samples: Samples, island: np.ndarray, fold: int, easting: float, northing: float, **columns: int) -> Any:
    """The same world with one more sample, of a polygon of its own, that belongs to ``fold``."""
    row = {"polygon": 10_000, "code": 0, "scene": fold, "day": 19_000 + fold, "half_px": 0, **columns}
    place = {"easting": easting, "northing": northing, "anchor_easting": easting, "anchor_northing": northing}
    more = {name: np.append(getattr(samples, name), value) for name, value in {**row, **place}.items()}
    return dataclasses.replace(samples, **more), np.append(island, fold)


def judged(samples: Samples, island: np.ndarray, method: Method = "block", **rules: Any) -> Any:
    rules = {"buffer_m": BUFFER, **rules}
    return audit(plan_of(method, halo_px=HALO, **rules), samples, splits_of(island))


leaks = given(st.integers(0, 10**6), st.integers(0, ISLANDS * PER_ISLAND - 1), st.integers(1, ISLANDS - 1))
often = settings(max_examples=25, deadline=None)


@often
@leaks
def test_a_clean_world_passes_and_says_nothing(seed: int, position: int, step: int) -> None:
    found = judged(*islands(seed))
    assert found.passed, found.objections
    assert not found.objections
    assert not found.remarks
    assert not found.classes_missing
    assert found.least_distance_m > 1500
    assert len(found.folds) == ISLANDS


@often
@leaks
def test_a_duplicate_a_metre_away_in_another_fold_is_seen(seed: int, position: int, step: int) -> None:
    samples, island = islands(seed)
    fold = (island[position] + step) % ISLANDS
    near = samples.easting[position] + 0.6, samples.northing[position] - 0.8
    found = judged(*joined(samples, island, fold, *near))
    assert not found.passed
    assert found.n_near_duplicates >= 2, "it is near from both sides"
    assert found.least_distance_m == pytest.approx(1.0, abs=1e-6)
    assert any("closer than a pixel of 10 m" in sentence for sentence in found.objections)
    assert judged(*joined(samples, island, island[position], *near)).passed, "in its own fold it does no harm"


@often
@leaks
def test_a_chip_is_seen_that_overlaps_by_one_pixel(seed: int, position: int, step: int) -> None:
    samples, island = islands(seed)
    fold = int((island[position] + step) % ISLANDS)
    east = 1 if fold > island[position] else -1
    place = np.array([samples.easting[position] + east * 900, samples.northing[position]])
    all_but = np.flatnonzero(island != fold)
    apart = np.abs(samples.ground[all_but] - place).max(axis=1).min() / PIXEL
    touching = round(apart) - 2 * HALO
    for half_px, passes in ((touching, False), (touching - 1, True)):
        found = judged(*joined(samples, island, fold, *place, half_px=half_px), buffer_m=0.0)
        assert found.passed is passes
        assert bool(found.n_shared_pixels) is not passes
        assert any("in sight of source pixels" in sentence for sentence in found.objections) is not passes
        assert not found.n_near_duplicates
        assert not found.n_shared_polygons


@often
@leaks
def test_windows_of_features_may_touch_and_not_overlap(seed: int, position: int, step: int) -> None:
    samples, island = islands(seed)
    fold = int((island[position] + step) % ISLANDS)
    own = np.flatnonzero(island == island[position])
    top = own[np.argmax(samples.northing[own])]  # nothing of another fold lies north of it
    for pixels, passes in ((2 * HALO, False), (2 * HALO + 1, True)):
        # Diagonally: farther than the reach along the straight line, yet the corners of the windows meet.
        place = samples.easting[top] + pixels * PIXEL, samples.northing[top] + pixels * PIXEL
        found = judged(*joined(samples, island, fold, *place), buffer_m=0.0)
        assert found.passed is passes
        assert (found.n_shared_pixels >= 2) is not passes


@often
@leaks
def test_the_buffer_begins_where_windows_end(seed: int, position: int, step: int) -> None:
    samples, island = islands(seed)
    fold = int((island[position] + step) % ISLANDS)
    own = np.flatnonzero(island == island[position])
    top = own[np.argmax(samples.northing[own])]
    reach = BUFFER + 2 * HALO * PIXEL
    for beyond, passes in ((0.0, False), (PIXEL, True)):
        place = samples.easting[top], samples.northing[top] + reach + beyond
        found = judged(*joined(samples, island, fold, *place))
        assert found.passed is passes
        assert any("within the buffer of 100 m" in sentence for sentence in found.objections) is not passes
        assert judged(*joined(samples, island, fold, *place), "knndm").passed, "matching promises no buffer"


@often
@leaks
def test_a_polygon_on_both_sides_is_seen(seed: int, position: int, step: int) -> None:
    samples, island = islands(seed)
    other = int(np.flatnonzero(island == (island[position] + step) % ISLANDS)[position % PER_ISLAND])
    polygon = samples.polygon.copy()
    polygon[other] = polygon[position]
    found = judged(dataclasses.replace(samples, polygon=polygon), island)
    assert not found.passed
    assert found.n_shared_polygons == 2
    assert any(
        sentence.startswith("Up to 1 polygon is on both sides of a fold, in 2 of 5 folds")
        for sentence in found.objections
    )


@often
@leaks
def test_a_test_sample_among_the_train_samples_is_seen(seed: int, position: int, step: int) -> None:
    samples, island = islands(seed)
    splits = splits_of(island)
    train, test = splits[island[position]]
    splits[island[position]] = np.append(train, position), test
    found = audit(plan_of(halo_px=HALO, buffer_m=BUFFER), samples, splits)
    assert not found.passed
    assert any(sentence.startswith("1 sample is on both sides") for sentence in found.objections)


@pytest.mark.parametrize(
    ("column", "rules", "method", "said"),
    [
        ("scene", {"keep_scenes": True}, "block", "Up to 1 scene is on both sides of a fold, in 2 of 5 folds"),
        ("day", {}, "time", "Up to 1 acquisition day is on both sides of a fold, in 2 of 5 folds"),
        ("day", {}, "location_time", "Up to 1 acquisition day is on both sides"),
    ],
)
def test_scenes_and_days_are_kept_where_they_are_promised(
    column: str, rules: dict[str, Any], method: Method, said: str
) -> None:
    samples, island = islands(0)
    changed = getattr(samples, column).copy()
    changed[0] = changed[-1]
    mixed = dataclasses.replace(samples, **{column: changed})
    assert judged(samples, island, method, **rules).passed
    assert judged(mixed, island).passed, "block folds promise nothing about scenes and days"
    assert any(said in sentence for sentence in judged(mixed, island, method, **rules).objections)


# --- indices ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            lambda train, test: (np.append(train, [60, -1]), test),
            "2 positions are beyond the last sample or below 0, in 1 of 5 folds (0)",
        ),
        (lambda train, test: (np.append(train, train[:3]), test), "3 positions are repeated within a side"),
        (lambda train, test: (train, np.append(test, test[0])), "1 position is repeated within a side"),
        (lambda train, test: (train[:0], test), "The train side is empty in 1 of 5 folds (0)"),
        (lambda train, test: (train, test[:0]), "The test side is empty in 1 of 5 folds (0)"),
        (lambda train, test: (train, test[1:]), "1 of 60 samples is never tested"),
        (lambda train, test: (train[12:], np.append(test, train[:12])), "12 of 60 samples are tested more than once"),
        (lambda train, test: (train[np.isin(train % 12, [0, 1, 6, 7])], test), "A single class is learned from in"),
    ],
)
def test_what_is_wrong_with_indices_is_said(change: Any, said: str) -> None:
    samples, island = islands(1)
    splits = splits_of(island)
    splits[0] = change(*splits[0])
    found = audit_splits(samples, splits)
    assert not found.passed
    assert any(sentence.startswith(said) for sentence in found.objections), found.objections


@pytest.mark.parametrize("method", ["buffered_loo", "nndm"])
def test_methods_that_test_a_part_say_how_large_it_is(method: Method) -> None:
    samples, island = islands(2)
    some = splits_of(island)[:2]
    found = audit(plan_of(method), samples, some)
    assert found.passed
    assert found.remarks == ("24 of 60 samples are tested.",)
    assert audit(plan_of("block"), samples, some).objections == ("36 of 60 samples are never tested.",)
    assert not audit(plan_of(method), samples, some[:1]).passed, "one fold is no cross-validation"
    assert not audit(plan_of(method), samples, [*some, some[0]]).passed, "tested twice"


def test_a_class_that_a_train_side_lacks_is_named_and_one_that_all_lack_objected_to() -> None:
    samples, island = islands(3)
    splits = splits_of(island)
    without = [(train[samples.code[train] != 2], test) for train, test in splits]
    one = audit_splits(samples, [without[0], *splits[1:]], classes=("Water", "Wood", "Town"))
    assert one.classes_missing == ("fold 0: Town",)
    assert one.passed
    assert one.remarks == ("4 of 20 samples of Town are tested where no sample of it was learned from.",)
    none = audit_splits(samples, without)
    assert none.classes_missing == tuple(f"fold {number}: class 2" for number in range(5))
    assert none.objections == (
        "None of the 20 samples of class 2 is on the train side of any fold: no model can answer it.",
    )


def test_a_class_with_one_sample_or_one_polygon_is_said_aloud() -> None:
    samples, island = islands(4)
    code = np.where(samples.polygon == 7, 3, samples.code)
    code[50] = 4
    found = judged(dataclasses.replace(samples, code=code), island)
    assert found.passed
    assert "All 2 samples of class 3 lie in one polygon." in found.remarks
    assert "Class 4 has one sample: it cannot be learned and tested in the same fold." in found.remarks
    assert set(found.classes_missing) == {"fold 1: class 3", "fold 4: class 4"}


def test_random_folds_show_their_numbers_and_never_pass() -> None:
    samples, island = islands(5)
    apart = audit(plan_of("random"), samples, splits_of(island))
    assert apart.objections == ("These folds keep nothing apart: they measure optimism and can feed no gate.",)
    mixed = audit(plan_of("random"), samples, splits_of(np.arange(60) % 5))
    assert mixed.objections == apart.objections
    assert mixed.n_shared_polygons > 20
    assert not mixed.passed


def test_a_plan_of_many_folds_keeps_the_worst_hundred_and_counts_all() -> None:
    samples = at_pixels(np.arange(150) * 50, np.zeros(150), code=np.arange(150) % 2)
    everything = np.arange(150)
    splits = [(everything[everything != i], everything[[i]]) for i in everything]
    clean = audit(plan_of("buffered_loo", halo_px=1, n_folds=150), samples, splits)
    assert clean.passed
    assert len(clean.folds) == 100
    assert len(clean.n_test) == 150
    splits[140] = (np.append(splits[140][0], 140), splits[140][1])
    leaky = audit(plan_of("buffered_loo", halo_px=1, n_folds=150), samples, splits)
    assert leaky.folds[0].least_distance_m == 0
    assert leaky.folds[0].n_near_duplicates == leaky.n_near_duplicates == 1
    assert any("in 1 of 150 folds (140)" in sentence for sentence in leaky.objections)
    lonely = audit(plan_of("buffered_loo", n_folds=150), dataclasses.replace(samples, code=everything), splits)
    assert len(lonely.classes_missing) == 100
    assert lonely.classes_missing[-1] == "50 more"


def test_a_column_of_folds_becomes_splits() -> None:
    train, test = zip(*splits_of(np.array([3, -1, 0, 3, 0])), strict=True)
    assert [side.tolist() for side in test] == [[2, 4], [0, 3]]
    assert [side.tolist() for side in train] == [[0, 3], [2, 4]]


@given(st.permutations(range(60)))
@settings(max_examples=10, deadline=None)
def test_the_order_of_indices_does_not_matter(order: list[int]) -> None:
    samples, _ = islands(6)
    rank = np.array(order)
    shuffled = [
        (train[np.argsort(rank[train])], test[np.argsort(rank[test])]) for train, test in splits_of(np.arange(60) % 4)
    ]
    assert audit_splits(samples, shuffled) == audit_splits(samples, splits_of(np.arange(60) % 4))


METHODS: tuple[Method, ...] = (
    "block", "buffered", "buffered_loo", "location", "time", "location_time", "kmeans", "environment", "nndm", "knndm",
)  # fmt: skip


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 10**6), st.integers(0, 3), st.sampled_from([0.0, 15.0, 100.0]), st.booleans(), st.booleans())
def test_every_method_keeps_samples_apart(
    seed: int, halo_px: int, buffer_m: float, keep_scenes: bool, chips: bool
) -> None:
    rng = np.random.default_rng(seed)
    n, n_polygons = 150, 60
    polygon = rng.integers(0, n_polygons, n)
    anchor = rng.integers(0, 300, (n_polygons, 2))
    cols, rows = (anchor[polygon] + rng.integers(-3, 4, (n, 2))).T
    day = 19_000 + rng.integers(0, 5, n_polygons)[polygon]
    samples = dataclasses.replace(
        at_pixels(cols, rows, polygon=polygon, code=rng.integers(0, 3, n_polygons)[polygon], scene=day, day=day),
        half_px=rng.choice([0, 1, 4], n) if chips else np.zeros(n, dtype=np.int64),
        features=rng.standard_normal((n, 3)).astype(np.float32),
        points=PredictionPoints(rng.uniform(500_000, 503_000, 100), rng.uniform(5_797_000, 5_800_000, 100)),
    )
    n_planned = 0
    for method in METHODS:
        rules = FoldRules(
            method=method, n_folds=3, block_m=700.0, buffer_m=buffer_m, keep_scenes=keep_scenes, tested=20, seed=seed
        )
        try:
            plan = plan_for("table-0123456789abcdef", samples, rules, halo_px=halo_px)
        except BadInput:
            continue
        assert plan.audit is not None
        n_planned += 1
        # Few samples may leave a train side with one class; nothing else may be objected to.
        assert all(" class" in sentence for sentence in plan.audit.objections), (method, plan.audit.objections)
    assert n_planned >= 3


# --- what cannot be audited ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"easting": np.r_[np.nan, np.zeros(59)]}, "1 of 60 samples have no coordinates"),
        ({"northing": np.r_[np.zeros(58), np.inf, np.inf]}, "2 of 60 samples have no coordinates"),
        ({"crs": "EPSG:4326", "projected": False}, "EPSG:4326 has degrees, but coordinates reach"),
        ({"pixel_m": 0.0}, "A pixel of 0 m cannot be"),
        ({"pixel_m": float("nan")}, "A pixel of nan m cannot be"),
        ({"half_px": np.full(60, -2)}, "A window cannot reach -2 pixels"),
        ({"code": np.r_[-1, np.ones(59, dtype=np.int64)]}, "1 samples have a class code below 0"),
    ],
)
def test_samples_that_cannot_be_are_refused(change: dict[str, Any], sentence: str) -> None:
    samples, island = islands(7)
    with pytest.raises(BadInput, match=sentence):
        audit_splits(dataclasses.replace(samples, **change), splits_of(island))


@pytest.mark.parametrize(
    ("promises", "sentence"),
    [
        (Promises(buffer_m=float("inf")), "A buffer of inf m cannot be"),
        (Promises(buffer_m=-1.0), "A buffer of -1 m cannot be"),
        (Promises(halo_px=-1), "A window cannot reach -1 pixels"),
    ],
)
def test_promises_that_cannot_be_are_refused(promises: Promises, sentence: str) -> None:
    samples, island = islands(7)
    with pytest.raises(BadInput, match=sentence):
        audit_splits(samples, splits_of(island), promises)


def test_sides_are_positions() -> None:
    samples, island = islands(8)
    with pytest.raises(BadInput, match="holds bool values, not positions"):
        audit_splits(samples, [(island != 0, island == 0)])
    with pytest.raises(BadInput, match="no samples"):
        audit_splits(at_pixels([], []), [])
    with pytest.raises(BadInput, match="class code 2, but there are 2 class names"):
        audit_splits(samples, splits_of(island), classes=("Water", "Wood"))
    assert audit_splits(samples, []).objections[0] == "0 folds are no cross-validation; it takes 2."


# --- the full run ----------------------------------------------------------------------------

MEASURED = """
import json, resource, sys, time
import numpy as np
from geoml_ops.domain.folds import PredictionPoints, plan_for
from geoml_ops.domain.folds.audit import audit_splits, splits_of
from geoml_ops.domain.folds.promises import Promises
from geoml_ops.domain.folds.samples import Samples

rng, n = np.random.default_rng(0), 100_000
anchor = np.floor(rng.uniform(0, 10_000, (n // 50, 2))) * 10 + 5.0
polygon = np.repeat(np.arange(n // 50), 50)
ground = anchor[polygon] + 10.0 * rng.integers(-8, 8, (n, 2))
code, half_px = rng.integers(0, 6, n // 50)[polygon], rng.choice([0, 3, 8, 16], n)
samples = Samples("EPSG:32633", True, 10.0, *ground.T, *anchor[polygon].T, polygon, code, half_px=half_px)
cell = np.floor(anchor / 5000).astype(int) @ [1, 100]
folds = {"block": (cell % 10)[polygon], "random": rng.integers(0, 10, n)}
found = {}
for name, fold in folds.items():
    start = time.perf_counter()
    shows = audit_splits(samples, splits_of(fold), Promises(buffer_m=100.0, halo_px=2))
    found[name] = {"seconds": time.perf_counter() - start, "n_shared_pixels": shows.n_shared_pixels}
found["peak_gb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
print(json.dumps(found))
"""


@pytest.mark.full
@pytest.mark.skipif(os.environ.get("GEOML_FULL") != "1", reason="takes a while; make full")
def test_a_hundred_thousand_samples_are_audited_within_two_gigabytes() -> None:
    done = subprocess.run([sys.executable, "-c", MEASURED], cwd=CHECKOUT, capture_output=True, text=True, check=True)
    numbers = json.loads(done.stdout)
    where = CHECKOUT / "workspace" / "full" / "audit.json"
    where.parent.mkdir(parents=True, exist_ok=True)
    where.write_text(json.dumps(numbers, indent=2))
    assert numbers["peak_gb"] < 2
    assert numbers["random"]["n_shared_pixels"] > 99_000
    assert numbers["block"]["n_shared_pixels"] < 20_000
