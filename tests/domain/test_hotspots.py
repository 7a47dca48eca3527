"""Hot-spots against brute force, another program's weights, and fields whose truth is known."""

from __future__ import annotations

import itertools
import os
import time
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from libpysal.weights import W, fill_diagonal, lat2W, w_subset
from scipy.ndimage import gaussian_filter
from scipy.stats import binom

from geoml_ops.core.errors import BadInput, TooLarge
from geoml_ops.domain.hotspots import (
    CLASSES,
    HIGH_HIGH,
    HIGH_LOW,
    LOW_HIGH,
    LOW_LOW,
    NO_ANSWER,
    NOT_SIGNIFICANT,
    Lattice,
    Local,
    adjusted,
    getis_ord,
    largest_mass,
    least_mass,
    local_moran,
    regions,
    rejected,
    where,
)
from geoml_ops.domain.hotspots.permuting import _ranks, pseudo_p
from geoml_ops.platform.files import read_json, write_json
from geoml_ops.settings import CHECKOUT

FULL = os.environ.get("GEOML_FULL") == "1"
NUMBERS = CHECKOUT / "workspace" / "full" / "hotspots.json"
EDGE = 640.0


def keep(name: str, numbers: object) -> None:
    NUMBERS.parent.mkdir(parents=True, exist_ok=True)
    write_json(NUMBERS, (read_json(NUMBERS) if NUMBERS.exists() else {}) | {name: numbers})


def lattice(height: int, width: int, kept: np.ndarray | None = None) -> Lattice:
    rows, cols = np.divmod(np.arange(height * width), width)
    kept = np.ones(height * width, bool) if kept is None else kept
    return Lattice.of(399960 + EDGE * (cols[kept] + 0.5), 5900040 - EDGE * (rows[kept] + 0.5), EDGE)


def field(rng: np.random.Generator, height: int, width: int, smooth: float) -> np.ndarray:
    """A stationary field of mean 0 and spread 1 (of the process, not of the sample), Gaussian correlation."""
    margin = int(5 * smooth) + 1
    drawn = rng.normal(size=(height + 2 * margin, width + 2 * margin))
    if smooth:
        drawn = gaussian_filter(drawn, smooth, truncate=5.0) * (2 * np.sqrt(np.pi) * smooth)
    return drawn[margin : margin + height, margin : margin + width].ravel()


# --- the lattice -----------------------------------------------------------------------------------


def test_tiles_find_their_cells_though_the_last_ones_are_smaller() -> None:
    east = 1000 + np.array([50.0, 150, 250, 50, 150, 220])
    north = 9000 - np.array([50.0, 50, 50, 150, 110, 150])
    found = Lattice.of(east, north, 100.0)
    assert found.rows.tolist() == [0, 0, 0, 1, 1, 1]
    assert found.cols.tolist() == [0, 1, 2, 0, 1, 2]
    assert (found.left, found.top, found.shape) == (1000.0, 9000.0, (2, 3))
    narrow = Lattice.of(1000 + np.array([20.0, 90, 190, 290, 90]), np.array([50.0, 50, 50, 50, -50]), 100.0)
    assert narrow.cols.tolist() == [0, 1, 2, 3, 1]
    assert narrow.left == 940.0


@settings(max_examples=100)
@given(
    shape=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    seed=st.integers(0, 2**32),
    edge=st.sampled_from([0.1, 30.0, 640.0, 1280.0, 0.017]),
    corner=st.tuples(st.floats(-1e6, 1e6), st.floats(-1e7, 1e7)),
)
def test_any_part_of_a_grid_keeps_its_rows_and_columns(
    shape: tuple[int, int], seed: int, edge: float, corner: tuple[float, float]
) -> None:
    rng = np.random.default_rng(seed)
    cells = rng.permutation(shape[0] * shape[1])[: rng.integers(1, shape[0] * shape[1] + 1)]
    rows, cols = np.divmod(cells, shape[1])
    found = Lattice.of(corner[0] + edge * (cols + 0.5), corner[1] - edge * (rows + 0.5), edge)
    assert (found.rows == rows - rows.min()).all()
    assert (found.cols == cols - cols.min()).all()
    assert found.left == pytest.approx(corner[0] + edge * cols.min(), abs=1e-4 * edge)
    assert found.top == pytest.approx(corner[1] - edge * rows.min(), abs=1e-4 * edge)


def test_tiles_that_make_no_lattice_are_refused() -> None:
    one = np.array([1.0, 2.0])
    for east, north, edge, said in (
        (one, one, 0.0, "edge"),
        (one, one, float("nan"), "edge"),
        (one[:0], one[:0], 1.0, "no tiles|make no"),
        (one, one[:1], 1.0, "make no"),
        (np.array([1.0, np.nan]), one, 1.0, "no numbers"),
        (np.array([1.0, 1.0]), np.array([1.0, 1.0]), 1.0, "cell"),
    ):
        with pytest.raises(BadInput, match=said):
            Lattice.of(east, north, edge)
    for far in (1e6, 1e9, 1e300):
        with pytest.raises(TooLarge, match="limit"):
            Lattice.of(np.array([0.0, far]), np.array([0.0, far]), 1.0)


# --- statistics, with the weights of libpysal and plain loops --------------------------------------


def other_moran(w: W, values: dict[int, float]) -> dict[int, float]:
    """Local Moran as Anselin (1995) writes it, row-standardised, of tiles that have a neighbour."""
    used = [i for i in w.id_order if w.neighbors[i]]
    mean = sum(values[i] for i in used) / len(used)
    square = sum((values[i] - mean) ** 2 for i in used)
    return {
        i: (values[i] - mean)
        * (len(used) - 1)
        / square
        * sum(values[j] - mean for j in w.neighbors[i])
        / len(w.neighbors[i])
        for i in used
    }


def other_getis(w: W, values: dict[int, float]) -> dict[int, float]:
    """Gi* as Ord and Getis (1995) write it, binary weights with the tile itself."""
    used = [i for i in w.id_order if w.neighbors[i]]
    star = fill_diagonal(w, 1.0)
    n, mean = len(used), sum(values[i] for i in used) / len(used)
    s = np.sqrt(sum(values[i] ** 2 for i in used) / n - mean**2)
    found = {}
    for i in used:
        weights = star.weights[i]
        total = sum(a * values[j] for a, j in zip(weights, star.neighbors[i], strict=True))
        room = (n * sum(a * a for a in weights) - sum(weights) ** 2) / (n - 1)
        found[i] = (total - mean * sum(weights)) / (s * np.sqrt(room))
    return found


@pytest.mark.filterwarnings("ignore:The weights matrix is not fully connected")
@pytest.mark.parametrize("around", ["queen", "rook"])
@pytest.mark.parametrize("missing", [0.0, 0.3, 0.75])
def test_statistics_agree_with_weights_of_another_program(around: str, missing: float) -> None:
    rng = np.random.default_rng(3)
    height, width = 9, 11
    kept = rng.random(height * width) >= missing
    values = rng.gamma(2.0, size=height * width)
    whole = lat2W(height, width, rook=around == "rook")
    w = w_subset(whole, np.flatnonzero(kept).tolist(), silence_warnings=True)
    here, numbers = lattice(height, width, kept), values[kept]
    of = dict(zip(np.flatnonzero(kept).tolist(), numbers.tolist(), strict=True))
    for mine, theirs in (
        (local_moran(here, numbers, around=around), other_moran(w, of)),  # type: ignore[arg-type]
        (getis_ord(here, numbers, around=around), other_getis(w, of)),  # type: ignore[arg-type]
    ):
        for place, tile in enumerate(np.flatnonzero(kept).tolist()):
            if tile in theirs:
                assert mine.statistic[place] == pytest.approx(theirs[tile], rel=1e-9, abs=1e-9)
            else:
                assert np.isnan(mine.statistic[place])
                assert mine.classes[place] == NO_ANSWER
                assert np.isnan(mine.p[place])


def test_a_tile_without_a_number_is_like_one_that_is_not_there() -> None:
    rng = np.random.default_rng(1)
    values, kept = rng.normal(size=100), rng.random(100) > 0.2
    held = local_moran(lattice(10, 10), np.where(kept, values, np.nan))
    gone = local_moran(lattice(10, 10, kept), values[kept])
    for name in ("statistic", "p", "rate", "classes", "spent"):
        np.testing.assert_array_equal(getattr(held, name)[kept], getattr(gone, name))
    assert (held.classes[~kept] == NO_ANSWER).all()


def test_p_values_agree_with_all_permutations_there_are() -> None:
    """Every way to draw the neighbours of a tile from the other tiles, counted."""
    rng = np.random.default_rng(2)
    here, values = lattice(3, 4), rng.normal(size=12)
    z = (values - values.mean()) / values.std()
    near = here.neighbours("rook", np.ones(12, bool))
    draws = 200_000
    p, _ = pseudo_p(z, near, permutations=draws, finest=draws, alpha=0.05, seed=4)
    for tile in range(12):
        mine = near[tile][near[tile] >= 0]
        sums = np.array([sum(c) for c in itertools.combinations(np.delete(z, tile), len(mine))])
        seen = z[mine].sum()
        tail = min((sums >= seen - 1e-9).mean(), (sums <= seen + 1e-9).mean())
        assert p[tile] == pytest.approx(min(1.0, 2 * tail), abs=10 / np.sqrt(draws))


def test_draws_are_without_replacement_and_even() -> None:
    drawn = _ranks(9, 8, 30_000, np.random.default_rng(0))
    assert all(len(set(column)) == 8 for column in drawn.T[:500].tolist())
    for place in drawn:
        assert abs(np.bincount(place, minlength=9) / 30_000 - 1 / 9).max() < 0.012


def test_the_rate_of_discoveries_is_that_of_the_formula() -> None:
    p = np.array([0.001, 0.008, 0.039, 0.041, 0.042, 0.06, 0.074, 0.205, 0.212, 0.216])
    assert rejected(p, 0.05).sum() == 2  # Benjamini and Hochberg: p_(2) = .008 <= .01, p_(3) = .039 > .015
    for alpha in (0.01, 0.05, 0.11, 0.5):
        last = max((k for k in range(1, 11) if p[k - 1] <= alpha * k / 10), default=0)
        assert rejected(p, alpha).sum() == last
    assert np.isnan(adjusted(np.array([np.nan]))).all()
    assert adjusted(np.empty(0)).size == 0


def test_classes_are_those_of_the_quadrants() -> None:
    values = np.random.default_rng(0).normal(0, 0.1, (20, 20))
    values[:6, :6] += 5
    values[14:, 14:] -= 5
    values[2, 2], values[17, 17] = -3, 3
    found = local_moran(lattice(20, 20), values.ravel()).classes.reshape(20, 20)
    assert found[4, 4] == HIGH_HIGH
    assert found[16, 15] == LOW_LOW
    assert found[2, 2] == LOW_HIGH
    assert found[17, 17] == HIGH_LOW
    assert (found[8:12, 8:12] == NOT_SIGNIFICANT).all()
    cold = getis_ord(lattice(20, 20), values.ravel()).classes.reshape(20, 20)
    assert cold[4, 4] == HIGH_HIGH
    assert cold[16, 15] == LOW_LOW
    assert len(CLASSES) == 6


@pytest.mark.parametrize("values", [np.zeros(25), np.full(25, 0.1), np.full(25, 1e300), np.full(25, -7.3e-300)])
def test_a_field_without_spread_has_nothing_to_name(values: np.ndarray) -> None:
    for found in (local_moran(lattice(5, 5), values), getis_ord(lattice(5, 5), values)):
        assert (found.classes == NOT_SIGNIFICANT).all()
        assert (found.p == 1).all()
        assert regions(lattice(5, 5), values, found) == ()


def test_few_tiles_and_none_get_no_answer() -> None:
    for values in (np.array([1.0]), np.array([np.nan])):
        found = local_moran(lattice(1, 1), values)
        assert found.classes.tolist() == [NO_ANSWER]
        assert regions(lattice(1, 1), values, found) == ()
    pair = local_moran(lattice(1, 2), np.array([1.0, 2.0]))
    assert (pair.classes == NOT_SIGNIFICANT).all()
    assert (getis_ord(lattice(1, 2), np.array([1.0, 2.0])).classes == NOT_SIGNIFICANT).all()


@pytest.mark.parametrize("scale", [1e-300, 1e-12, 1e12, 1e300])
def test_numbers_of_any_size_have_an_answer(scale: float) -> None:
    values = np.random.default_rng(0).normal(size=36)
    usual, found = (local_moran(lattice(6, 6), v) for v in (values, values * scale))
    np.testing.assert_allclose(found.statistic, usual.statistic, rtol=1e-9)
    np.testing.assert_array_equal(found.p, usual.p)


def test_what_cannot_be_judged_is_refused() -> None:
    here, values = lattice(3, 3), np.arange(9.0)
    for call in (
        lambda: local_moran(here, values[:8]),
        lambda: local_moran(here, np.where(values == 3, np.inf, values)),
        lambda: local_moran(here, values, alpha=0.0),
        lambda: local_moran(here, values, permutations=0),
        lambda: local_moran(here, values, permutations=999, finest=99),
        lambda: getis_ord(here, values, alpha=1.0),
        lambda: least_mass([1.0], alpha=0.0),
        lambda: least_mass([float("nan")]),
    ):
        with pytest.raises(BadInput):
            call()


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    shift=st.tuples(st.integers(-(10**6), 10**6), st.integers(-(10**6), 10**6)),
    times=st.sampled_from([0.5, 2.0, 1024.0, 3.7]),
    plus=st.sampled_from([0.0, 1.0, -64.0]),
    missing=st.floats(0, 0.6),
)
def test_where_tiles_lie_how_they_are_ordered_and_their_unit_do_not_matter(
    seed: int, shift: tuple[int, int], times: float, plus: float, missing: float
) -> None:
    rng = np.random.default_rng(seed)
    kept = np.flatnonzero(rng.random(64) >= missing)
    rows, cols = np.divmod(kept, 8)
    if len(kept) == 0:
        return
    values = np.round(rng.normal(size=len(kept)), 2)
    values[rng.random(len(kept)) < 0.1] = np.nan
    east, north = EDGE * (cols + 0.5), -EDGE * (rows + 0.5)
    usual_lattice = Lattice.of(east, north, EDGE)
    usual = local_moran(usual_lattice, values, seed=seed)
    order = rng.permutation(len(kept))
    other_lattice = Lattice.of((east + shift[0])[order] * times, (north + shift[1])[order] * times, EDGE * times)
    other = local_moran(other_lattice, (values * times + plus)[order], seed=seed)
    np.testing.assert_array_equal(other.classes, usual.classes[order])
    np.testing.assert_array_equal(other.p, usual.p[order])
    np.testing.assert_allclose(other.statistic, usual.statistic[order], rtol=1e-6, atol=1e-9)
    first, second = regions(usual_lattice, values, usual), regions(other_lattice, values[order], other)
    assert [len(region.tiles) for region in first] == [len(region.tiles) for region in second]


def test_the_same_call_gives_the_same_numbers_and_another_seed_others() -> None:
    values = np.random.default_rng(0).normal(size=400)
    here = lattice(20, 20)
    a, b, c = (local_moran(here, values, seed=seed) for seed in (5, 5, 6))
    np.testing.assert_array_equal(a.p, b.p)
    assert (a.p != c.p).any()


def test_ten_thousand_tiles_are_tested() -> None:
    values = field(np.random.default_rng(0), 100, 100, 2.0)
    began = time.monotonic()
    found = local_moran(lattice(100, 100), values)
    seconds = time.monotonic() - began
    assert np.isfinite(found.p).all()
    if FULL:
        keep("ten thousand tiles", {"seconds": round(seconds, 2), "most permutations": int(found.spent.max())})


def test_a_small_hot_spot_among_many_tiles_is_found_though_few_permutations_would_never_do() -> None:
    values = np.random.default_rng(0).normal(0, 1, (60, 60))
    values[30:34, 40:44] += 6
    here = lattice(60, 60)
    found = local_moran(here, values.ravel())
    coarse = local_moran(here, values.ravel(), finest=999)
    assert (found.classes.reshape(60, 60)[31:33, 41:43] == HIGH_HIGH).all()
    assert not (coarse.classes == HIGH_HIGH).any(), "2n/(alpha (1 + P)) = 144 tiles are the least it could find"


# --- known truth -----------------------------------------------------------------------------------


def test_numbers_dealt_to_places_at_random_seldom_have_a_discovery() -> None:
    """Of fields without correlation a share of alpha at most has a tile named."""
    n, here = 2000 if FULL else 150, lattice(16, 16)
    named = sum(
        bool((local_moran(here, np.random.default_rng(s).normal(size=256), seed=s).rate <= 0.05).any())
        for s in range(n)
    )
    assert named <= binom.ppf(0.999, n, 0.05)
    if FULL:
        keep("independent fields with a tile named", {"fields": n, "share": named / n, "alpha": 0.05})


@pytest.mark.full
@pytest.mark.skipif(not FULL, reason="takes a minute; make full")
def test_what_smoothness_does_to_the_rate_of_discoveries() -> None:
    """Written down, not judged: shares of calm fields with a tile named, and of tiles named, without calibration."""
    here, said = lattice(SIDE, SIDE), {}
    for smooth in (0.0, 0.3, 0.5, 0.8, 1.5, 3.0):
        found = [local_moran(here, field(np.random.default_rng(s), SIDE, SIDE, smooth), seed=s) for s in range(100)]
        tiles = np.array([float((one.rate <= 0.05).mean()) for one in found])
        said[f"{smooth:g} tiles"] = {"fields": round(float((tiles > 0).mean()), 3), "tiles": round(tiles.mean(), 4)}
    assert said["0 tiles"]["fields"] < 0.15
    assert said["1.5 tiles"]["fields"] > 0.9
    keep("calm fields named without calibration, by the sd of smoothing", said)


SMOOTH, SHIFT, LEAST, SIDE = 1.5, 4.0, 2.0, 32


def largest(values: np.ndarray, here: Lattice, seed: int) -> float:
    return largest_mass(regions(here, values, local_moran(here, values, seed=seed), least=LEAST, middle=0.0))


def test_drift_in_one_corner_is_found_where_it_is_and_calm_fields_show_nothing() -> None:
    """Smooth fields (correlation over about five tiles): regions beyond the mass of fields in control."""
    n, here = 200 if FULL else 20, lattice(SIDE, SIDE)
    truth = np.zeros((SIDE, SIDE), bool)
    truth[: SIDE // 4, : SIDE // 4] = True
    injected = truth.ravel()
    ious, alarms, uncalibrated = [], 0, 0
    calm = [field(np.random.default_rng(10_000 + s), SIDE, SIDE, SMOOTH) for s in range(39 if not FULL else 39 * 20)]
    masses = [largest(values, here, s) for s, values in enumerate(calm)]
    for seed in range(n):
        # A world of its own: what is in control is drawn anew where there is time.
        part = masses if not FULL else masses[39 * (seed % 20) : 39 * (seed % 20) + 39]
        limit = least_mass(part)
        assert limit is not None
        quiet = field(np.random.default_rng(seed), SIDE, SIDE, SMOOTH)
        found = local_moran(here, quiet, seed=seed)
        uncalibrated += bool((found.classes == HIGH_HIGH).any())
        alarms += bool(regions(here, quiet, found, least=LEAST, least_mass=limit, middle=0.0))
        drifted = quiet + SHIFT * injected
        kept = regions(here, drifted, local_moran(here, drifted, seed=seed), least=LEAST, least_mass=limit, middle=0.0)
        hot = np.zeros(len(injected), bool)
        for region in kept:
            hot[region.tiles] |= region.kind == "hot"
        ious.append(float((hot & injected).sum() / (hot | injected).sum()))
        if kept:
            assert kept[0].kind == "hot"
            assert "north-west of the area" in where(here, kept)
    # FDR is of random dealing; every smooth field breaks that, drift or not.
    assert uncalibrated > 0.9 * n
    assert alarms <= binom.ppf(0.999, n, 0.05)
    assert np.median(ious) > 0.8
    assert np.quantile(ious, 0.1) > 0.7
    if FULL:
        low, middle = (round(float(q), 3) for q in np.quantile(ious, [0.1, 0.5]))
        keep(
            "drift in one corner",
            {"fields": n, "iou median": middle, "iou 10 %": low, "iou worst": round(min(ious), 3), "shift in sd": SHIFT,
             "share over 0.8": float(np.mean(np.array(ious) > 0.8)), "calm fields with a region": alarms / n,
             "calm fields with a tile named without calibration": uncalibrated / n},
        )  # fmt: skip


# --- regions ---------------------------------------------------------------------------------------


def named(here: Lattice, values: np.ndarray) -> Local:
    """Every tile above 0 as high among high, every one below as low among low."""
    classes = np.select([values > 0, values < 0], [HIGH_HIGH, LOW_LOW], NOT_SIGNIFICANT).astype(np.uint8).ravel()
    return replace(local_moran(here, values.ravel()), classes=classes)


def test_regions_have_area_bounds_and_an_order() -> None:
    values = np.zeros((30, 30))
    values[:10, 20:], values[25:, :5] = 5, -6
    here = lattice(30, 30)
    found = named(here, values)
    first, second = regions(here, values.ravel(), found)
    assert (first.kind, second.kind) == ("hot", "cold")
    assert first.area_m2 == len(first.tiles) * EDGE**2
    assert first.bounds.as_tuple() == (399960 + 20 * EDGE, 5900040 - 10 * EDGE, 399960 + 30 * EDGE, 5900040)
    assert (first.mean, first.mass) == (5.0, 500.0)
    assert second.mean == -6.0
    assert regions(here, values.ravel(), found, least_mass=400.0)[0].mass == 500.0
    assert len(regions(here, values.ravel(), found, least_mass=400.0)) == 1
    assert [r.kind for r in regions(here, values.ravel(), found, least=5.5)] == ["cold"]
    said = where(here, [first, second], "EPSG:32633")
    assert said == (
        "Hot-spot in the north-east of the area: 100 tiles, 41 km2, mean 5, centre 415960 E 5896840 N EPSG:32633, "
        "and 1 smaller region."
    )
    assert where(here, [second]).startswith("Cold-spot in the south-west of the area: 25 tiles, 10.2 km2, mean -6")
    assert where(here, []) == "No hot-spot among 900 tiles."


def test_drift_of_most_of_the_ground_does_not_make_the_rest_a_cold_spot() -> None:
    values = np.random.default_rng(0).normal(size=(20, 20))
    values[:, :14] += 8
    here = lattice(20, 20)
    found = local_moran(here, values.ravel())

    def n_cold(**usual: float) -> int:
        kept = regions(here, values.ravel(), found, least=2.0, **usual)
        return sum(len(region.tiles) for region in kept if region.kind == "cold")

    assert n_cold() > 80
    assert n_cold(middle=0.0) < 10
    only = regions(here, values.ravel(), named(here, values), middle=0.0)[0]
    assert "over most of the area" in where(here, [only])


def test_corners_that_touch_hang_together_for_a_queen_only() -> None:
    values = np.zeros((24, 24))
    values[4:9, 4:9] = values[9:14, 9:14] = 5
    here = lattice(24, 24)
    found = named(here, values)
    hot = [r for r in regions(here, values.ravel(), found) if r.kind == "hot"]
    apart = [r for r in regions(here, values.ravel(), found, around="rook") if r.kind == "hot"]
    assert (len(hot), len(apart)) == (1, 2)


def test_small_ground_is_told_in_hectares_and_the_middle_is_the_centre() -> None:
    rows, cols = np.divmod(np.arange(900), 30)
    here = Lattice.of(10.0 * cols, -10.0 * rows, 10.0)
    values = np.zeros((30, 30))
    values[13:17, 13:17] = 4
    found = regions(here, values.ravel(), named(here, values))
    assert where(here, found).startswith("Hot-spot in the centre of the area: 16 tiles, 0.16 ha, mean 4")


def test_too_few_fields_in_control_leave_the_mass_unknown() -> None:
    assert least_mass([1.0] * 18) is None
    assert least_mass([1.0] * 18 + [9.0]) == pytest.approx(9.0)
    assert least_mass(list(range(99)), 0.01) == pytest.approx(98.0)
    assert least_mass(list(range(98)), 0.01) is None
    assert least_mass(list(range(39))) == pytest.approx(37.0)
