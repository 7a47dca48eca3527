"""Published examples to the printed digit, another program's numbers, every sample of a tiny country, and coverage."""

from __future__ import annotations

import os
from dataclasses import replace
from itertools import combinations, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from geoml_ops.core.errors import BadInput, Refused
from geoml_ops.domain.accuracy import (
    ALLOCATIONS,
    Assessment,
    Cells,
    Labelled,
    Strata,
    Units,
    assess,
    count_codes,
    draw_ranks,
    match,
    place_ranks,
    sizes_for,
)
from geoml_ops.domain.world import CLASSES, landscape
from geoml_ops.platform.files import read_json, write_json
from geoml_ops.settings import CHECKOUT


def of_matrix(
    counts: list[list[int]] | np.ndarray, area: list[float], names: str | tuple[str, ...] = "abcdefgh",
    units: list[float] | None = None,
) -> Assessment:  # fmt: skip
    """The estimates of an error matrix whose rows are the strata."""
    table = np.asarray(counts)
    row, column = np.indices(table.shape)
    cells = Cells(row.ravel(), row.ravel(), column.ravel(), table.ravel().astype(float))
    classes = tuple(names[: max(table.shape)])
    population = None if units is None else np.array(units, dtype=float)
    strata = Strata(classes[: len(table)], np.array(area, dtype=float), population)
    return assess(strata, cells, classes, strata_are_classes=True)


# --- published examples ----------------------------------------------------------------------


def test_olofsson_2014() -> None:
    """Good practices for estimating area and assessing accuracy of land change, tables 8 and 9."""
    names = ("deforestation", "gain", "forest", "non-forest")
    counts = [[66, 0, 5, 4], [0, 55, 8, 12], [1, 0, 153, 11], [2, 1, 9, 313]]
    found = of_matrix(counts, [n * 0.09 for n in (200_000, 150_000, 3_200_000, 6_450_000)], names)
    printed = {
        "deforestation": (0.8800, 0.0740, 0.7487, 0.2133, 21157.8, 6157.5, 18000),
        "gain": (0.7333, 0.1008, 0.8472, 0.2544, 11686.2, 3755.8, 13500),
        "forest": (0.9273, 0.0397, 0.9345, 0.0343, 285769.9, 15509.6, 288000),
        "non-forest": (0.9631, 0.0205, 0.9616, 0.0184, 581386.2, 16281.4, 580500),
    }
    for name, (users, users_half, producers, producers_half, area, area_half, mapped) in printed.items():
        c = found.classes[name]
        assert (round(c.users.value, 4), round(c.users.half, 4)) == (users, users_half)
        assert (round(c.producers.value, 4), round(c.producers.half, 4)) == (producers, producers_half)
        assert (round(c.area.value, 1), round(c.area.half, 1)) == (area, area_half)
        assert round(c.mapped) == mapped
    assert (round(found.overall.value, 6), round(found.overall.half, 6)) == (0.946512, 0.018483)
    assert found.cautions == ()


def test_olofsson_2013_example_1() -> None:
    """Making better use of accuracy data in land change studies, section 4.1."""
    found = of_matrix([[97, 0, 3], [3, 279, 18], [2, 1, 97]], [22_353, 1_122_543, 610_228])
    assert round(found.classes["a"].area.value) == 45_112
    assert round(found.classes["a"].area.error, 1) == 10_751.4


STRATUM = np.repeat(np.arange(4), 10)
MAPPED = "AAAAAAABBB ABBBBBBBBB BBCCCCCCBB DDDDDDDDDD".replace(" ", "")
TRUE = "AAAAACBABC ABBBBBAABB CCCCCDDBBA DDDDDDDCCB".replace(" ", "")
SIZES = np.array([40_000.0, 30_000.0, 20_000.0, 10_000.0])


def stehman(units: np.ndarray | None) -> Assessment:
    codes = [np.array(["ABCD".index(c) for c in text]) for text in (MAPPED, TRUE)]
    return assess(
        Strata(("1", "2", "3", "4"), SIZES, units), Cells.of(STRATUM, *codes), tuple("ABCD"), strata_are_classes=False
    )


def test_stehman_2014() -> None:
    """Strata that are not the map's classes: the numerical example of the paper, with the finite population."""
    found = stehman(SIZES)
    assert (round(found.overall.value, 2), round(found.overall.error, 5)) == (0.63, 0.08464)
    assert (round(found.classes["A"].area.value), round(found.classes["A"].area.error / 1e5, 3)) == (35_000, 0.082)
    b = found.classes["B"]
    assert (round(b.users.value, 3), round(b.users.error, 3)) == (0.574, 0.125)
    assert (round(b.producers.value, 3), round(b.producers.error, 3)) == (0.794, 0.117)
    assert found.proportions[1, 2] == pytest.approx(0.08)
    np.testing.assert_allclose(found.proportions.sum(axis=1), [0.31, 0.47, 0.12, 0.10])


def test_another_program_agrees_about_stehmans_example() -> None:
    """Numbers that the R package mapac prints in its documentation, without the finite population."""
    found = stehman(None)
    for name, users, users_se, producers, producers_se in (
        ("A", 0.7419355, 0.1645627, 0.6571429, 0.1477318),
        ("B", 0.5744681, 0.1248023, 0.7941176, 0.1165671),
        ("C", 0.5000000, 0.2151657, 0.3000000, 0.1504438),
    ):
        c = found.classes[name]
        assert (c.users.value, c.users.error) == pytest.approx((users, users_se), abs=5e-8)
        assert (c.producers.value, c.producers.error) == pytest.approx((producers, producers_se), abs=5e-8)


# --- oracles ---------------------------------------------------------------------------------

MATRIX = st.integers(2, 5).flatmap(
    lambda k: st.tuples(
        st.lists(st.lists(st.integers(0, 30), min_size=k, max_size=k), min_size=k, max_size=k),
        st.lists(st.floats(0.01, 1e6), min_size=k, max_size=k),
    )
)


@given(MATRIX)
@settings(max_examples=150, deadline=None)
def test_the_general_estimator_is_olofssons_where_strata_are_classes(given_: tuple[list, list]) -> None:
    """The formulas as Olofsson et al. (2014) print them, cell by cell."""
    counts, area = np.array(given_[0], dtype=float) + np.eye(len(given_[1])) * 2, np.array(given_[1])
    found, k = of_matrix(counts, list(area)), len(area)
    n, weight, q = counts.sum(axis=1), area / area.sum(), counts / counts.sum(axis=1, keepdims=True)
    users = np.diag(q)
    shares = weight[:, None] * q
    column = shares.sum(axis=0)
    overall = (weight * users).sum()
    assert found.overall.value == pytest.approx(overall)
    assert found.overall.error == pytest.approx(np.sqrt((weight**2 * users * (1 - users) / (n - 1)).sum()), abs=1e-12)
    spread = (weight[:, None] ** 2 * q * (1 - q) / (n[:, None] - 1)).sum(axis=0)
    for j in range(k):
        c = found.classes["abcdefgh"[j]]
        assert c.users.value == pytest.approx(users[j])
        assert c.users.error == pytest.approx(np.sqrt(users[j] * (1 - users[j]) / (n[j] - 1)), abs=1e-9)
        assert c.area.value == pytest.approx(column[j] * area.sum())
        assert c.area.error == pytest.approx(np.sqrt(spread[j]) * area.sum(), rel=1e-6, abs=1e-9 * area.sum())
        p = shares[j, j] / column[j]
        others = [i for i in range(k) if i != j]
        variance = area[j] ** 2 * (1 - p) ** 2 * users[j] * (1 - users[j]) / (n[j] - 1)
        variance += p**2 * sum(area[i] ** 2 * q[i, j] * (1 - q[i, j]) / (n[i] - 1) for i in others)
        assert c.producers.value == pytest.approx(p)
        assert c.producers.error == pytest.approx(np.sqrt(variance) / (column[j] * area.sum()), rel=1e-6, abs=1e-9)
    assert found.quantity + found.allocation == pytest.approx(1 - overall)
    assert found.quantity == pytest.approx(np.abs(weight - column).sum() / 2)


@given(MATRIX, st.permutations(range(5)))
@settings(max_examples=50, deadline=None)
def test_strata_in_another_order_or_unit_say_the_same(given_: tuple[list, list], order: list[int]) -> None:
    counts, area = np.array(given_[0]) + 2, np.array(given_[1])
    k = len(area)
    moved = [i for i in order if i < k]
    first = of_matrix(counts, list(area))
    again = of_matrix(counts[moved][:, moved], list(area[moved] * 100), tuple("abcdefgh"[i] for i in moved))
    assert again.overall.value == pytest.approx(first.overall.value)
    assert again.overall.error == pytest.approx(first.overall.error)
    for name, c in first.classes.items():
        assert again.classes[name].area.half == pytest.approx(100 * c.area.half)
        assert again.classes[name].producers.half == pytest.approx(c.producers.half, rel=1e-6, abs=1e-9)


def test_over_every_possible_sample_means_and_variances_are_right() -> None:
    """A country of 11 pixels, all 10 x 20 samples of 2 and 3: estimates hit the truth, variances their variance."""
    mapped = [np.zeros(5, dtype=int), np.array([0, 1, 1, 1, 2, 2])]
    true = [np.array([0, 0, 1, 0, 2]), np.array([0, 1, 0, 1, 2, 1])]
    strata = Strata(("one", "two"), np.array([5.0, 6.0]), np.array([5.0, 6.0]))
    found: list[list[float]] = []
    for one, two in product(combinations(range(5), 2), combinations(range(6), 3)):
        picked = [(0, list(one)), (1, list(two))]
        s = np.concatenate([np.full(len(i), h) for h, i in picked])
        m, r = (np.concatenate([values[h][i] for h, i in picked]) for values in (mapped, true))
        result = assess(strata, Cells.of(s, m, r), ("x", "y", "z"), strata_are_classes=False)
        area = [result.classes[c].area for c in "xyz"]
        found.append([result.overall.value, *(a.value for a in area), result.overall.error**2,
                      *(a.error**2 for a in area)])  # fmt: skip
    values = np.array(found)
    everything = np.concatenate(true)
    right = (np.concatenate(mapped) == everything).mean()
    np.testing.assert_allclose(values[:, :4].mean(axis=0), [right, *np.bincount(everything)])
    np.testing.assert_allclose(values[:, 4:].mean(axis=0), values[:, :4].var(axis=0))


def test_one_stratum_is_simple_random_sampling() -> None:
    rng = np.random.default_rng(0)
    mapped = rng.integers(0, 3, 200)
    true = np.where(rng.random(200) < 0.8, mapped, (mapped + 1) % 3)
    found = assess(
        Strata(("all",), np.array([500.0])), Cells.of(np.zeros(200, dtype=int), mapped, true), tuple("abc"),
        strata_are_classes=False,
    )  # fmt: skip
    p = (mapped == true).mean()
    assert (found.overall.value, found.overall.error) == pytest.approx((p, np.sqrt(p * (1 - p) / 199)))
    u = (true[mapped == 0] == 0).mean()
    assert found.classes["a"].users.value == pytest.approx(u)
    assert found.classes["a"].users.error == pytest.approx(np.sqrt(u * (1 - u) / (mapped == 0).sum()), rel=0.01)
    assert found.classes["a"].mapped is None


# --- what is undefined -----------------------------------------------------------------------


def test_one_unit_in_a_stratum_has_no_variance_and_not_none_of_it() -> None:
    found = of_matrix([[1, 0], [5, 25]], [10, 90])
    assert found.overall.value == pytest.approx(0.1 + 0.9 * 25 / 30)
    assert found.overall.half is None
    a, b = found.classes["a"], found.classes["b"]
    assert [e.half for e in (a.users, a.producers, a.area, b.producers, b.area)] == [None] * 5
    assert b.users.half is not None
    assert "One unit in a" in found.cautions[0]
    whole = of_matrix([[1, 0], [5, 25]], [1, 90], units=[1, 90])
    assert whole.overall.half is not None, "a stratum of one unit that was visited is known"
    assert whole.classes["a"].users.half == 0


def test_a_class_without_a_stratum_is_said_aloud() -> None:
    found = of_matrix([[40, 3, 2], [1, 50, 0]], [10, 90])
    assert found.classes["c"].users.value is None
    assert found.classes["c"].producers.value == 0
    assert found.classes["c"].area.value == pytest.approx(100 * 0.1 * 2 / 45)
    assert [s for s in found.cautions if s.startswith("c was found on the ground 2 times")]


def test_perfect_strata_are_no_certainty_and_few_units_are_said() -> None:
    said = " ".join(of_matrix([[30, 0], [2, 10]], [10, 90]).cautions)
    assert "All 30 units of a are right" in said
    assert "9.5%" in said
    assert "Fewer than 20 units in b" in said


def test_a_stratum_without_ground_changes_nothing() -> None:
    first = of_matrix([[40, 5], [3, 50]], [10, 90])
    again = of_matrix([[40, 5, 0], [3, 50, 0], [1, 0, 7]], [10, 90, 0])
    assert again.overall == first.overall
    assert again.classes["c"].area.value == 0
    assert of_matrix([[40, 5, 0], [3, 50, 0], [0, 0, 0]], [10, 90, 0]).overall == first.overall


@pytest.mark.parametrize(
    ("counts", "area", "units", "match_"),
    [
        ([[40, 5], [0, 0]], [10, 90], None, r"stratum 'b' has 90.00% of the ground and no sampled unit"),
        ([[40, 5], [3, 50]], [10, -1], None, "negative"),
        ([[40, 5], [3, 50]], [0, 0], None, "all 0"),
        ([[40, 5], [3, 50]], [np.nan, 1], None, "negative, missing"),
        ([[40, -5], [3, 50]], [1, 1], None, "Counts of units are negative"),
        ([[40, 0.5], [3, 50]], [1, 1], None, "no whole numbers"),
        ([[40, 5], [3, 50]], [1, 1], [44, 90], "'a' has 44 units; 45 were sampled"),
        ([[0, 0], [0, 0]], [1, 1], None, "not a single sampled unit"),
    ],
)
def test_what_cannot_be_is_refused(counts: list, area: list, units: list | None, match_: str) -> None:
    with pytest.raises(BadInput, match=match_):
        of_matrix(np.array(counts, dtype=float), area, units=units)


def test_a_stratum_listed_twice_is_refused() -> None:
    with pytest.raises(BadInput, match="'a' is listed twice"):
        of_matrix([[40, 5], [3, 50]], [1, 1], ("a", "a"))


# --- planning --------------------------------------------------------------------------------

OLOFSSON = {"deforestation": 200_000, "gain": 150_000, "forest": 3_200_000, "non-forest": 6_450_000}
EXPECTED = {"deforestation": 0.7, "gain": 0.6, "forest": 0.9, "non-forest": 0.95}


def test_the_sample_size_of_olofsson_2014() -> None:
    """Section 5.1.1: 641 units for a standard error of .01; proportional and equal allocation of table 5."""
    found = sizes_for(OLOFSSON, EXPECTED, se=0.01, how="proportional")
    assert found.asked == 641
    assert list(found.n.values()) == [13, 10, 205, 413]
    assert list(sizes_for(OLOFSSON, EXPECTED, se=0.01, how="equal").n.values()) in ([161, 160, 160, 160], [160] * 4)
    rare = sizes_for(OLOFSSON, EXPECTED, se=0.01, how="rare", least=75)
    assert (rare.n["deforestation"], rare.n["gain"], sum(rare.n.values())) == (75, 75, 641)
    assert rare.users_se["deforestation"] == pytest.approx(np.sqrt(0.21 / 75), rel=1e-3)


def test_neyman_is_the_best_allocation_and_reaches_the_target() -> None:
    errors = {how: sizes_for(OLOFSSON, EXPECTED, n=641, how=how, least=100).overall_se for how in ALLOCATIONS}
    assert min(errors, key=errors.__getitem__) == "neyman"
    assert errors["neyman"] == pytest.approx(0.01, rel=2e-3)
    assert errors["equal"] > errors["proportional"]
    said = sizes_for(OLOFSSON, EXPECTED, se=0.01, how="equal").cautions
    assert "not 0.01" in said[0]
    wanted = int(said[0].split("about ")[1].split()[0])
    assert sizes_for(OLOFSSON, EXPECTED, n=wanted, how="equal").overall_se == pytest.approx(0.01, rel=0.01)


@given(
    st.dictionaries(st.sampled_from("abcdef"), st.tuples(st.integers(1, 5000), st.floats(0.01, 0.99)), min_size=1),
    st.integers(2, 3000), st.sampled_from(ALLOCATIONS), st.integers(0, 200),
)  # fmt: skip
@settings(max_examples=200, deadline=None)
def test_sizes_keep_their_bounds(strata: dict, n: int, how: str, least: int) -> None:
    units, users = {k: v[0] for k, v in strata.items()}, {k: v[1] for k, v in strata.items()}
    found = sizes_for(units, users, n=n, how=how, least=least)
    fewest = {k: min(max(least, 2) if how == "rare" else 2, size) for k, size in units.items()}
    assert all(fewest[k] <= found.n[k] <= units[k] for k in units)
    assert sum(found.n.values()) == min(max(n, sum(fewest.values())), sum(units.values()))
    assert found.overall_se >= 0


def test_the_expected_standard_error_comes_true() -> None:
    units = {"a": 4000, "b": 1000}
    users = {"a": 0.9, "b": 0.7}
    sizes = sizes_for(units, users, se=0.02, how="proportional")
    rng, found = np.random.default_rng(1), []
    for _ in range(3000):
        hits = {k: rng.hypergeometric(round(units[k] * users[k]), units[k] - round(units[k] * users[k]), sizes.n[k])
                for k in units}  # fmt: skip
        found.append(sum(units[k] / 5000 * hits[k] / sizes.n[k] for k in units))
    assert np.std(found) == pytest.approx(sizes.overall_se, rel=0.05)


@pytest.mark.parametrize(
    ("more", "match_"),
    [
        ({}, "give one of the two"),
        ({"se": 0.01, "n": 100}, "give one of the two"),
        ({"se": 0.0}, "standard error of 0"),
        ({"se": float("nan")}, "standard error of nan"),
        ({"n": 1}, "1 units are no sample"),
        ({"n": 10**9}, "no sample"),
        ({"se": 1e-9}, "more than anybody labels"),
        ({"n": 100, "how": "kriging"}, "no allocation 'kriging'"),
    ],
)
def test_sizes_that_cannot_be_are_refused(more: dict, match_: str) -> None:
    with pytest.raises(BadInput, match=match_):
        sizes_for(OLOFSSON, EXPECTED, **more)


def test_expectations_that_cannot_be_are_refused() -> None:
    for users, match_ in (
        ({**EXPECTED, "sea": 0.9}, "'sea' is no stratum"),
        ({"gain": 0.9}, "'deforestation' has no expected"),
        ({**EXPECTED, "gain": 90.0}, "not between 0 and 1"),
        ({**EXPECTED, "gain": float("nan")}, "not between 0 and 1"),
    ):
        with pytest.raises(BadInput, match=match_):
            sizes_for(OLOFSSON, users, n=100)
    with pytest.raises(BadInput, match="right everywhere"):
        sizes_for(OLOFSSON, dict.fromkeys(OLOFSSON, 1.0), se=0.01, how="neyman")
    with pytest.raises(BadInput, match="without units"):
        sizes_for({"a": 0}, {"a": 0.5}, n=10)


# --- drawing ---------------------------------------------------------------------------------


def cut(codes: np.ndarray, height: int) -> list[tuple[int, np.ndarray]]:
    return [(row, codes[row : row + height]) for row in range(0, len(codes), height)]


@given(st.integers(0, 2**32 - 1), st.integers(1, 13), st.sampled_from(["uint8", "int16", "int32"]))
@settings(max_examples=60, deadline=None)
def test_units_are_where_the_map_shows_their_class_however_it_is_cut(seed: int, height: int, dtype: str) -> None:
    codes = np.random.default_rng(seed).integers(0, 5, (12, 9)).astype(dtype)
    if dtype != "uint8":
        codes -= 2
    if dtype == "int32":
        codes[codes == 2] = 2_000_000_000
    left_out = {int(codes[0, 0])}
    counts = count_codes(cut(codes, height), left_out)
    values, n = np.unique(codes, return_counts=True)
    assert counts == {int(v): int(k) for v, k in zip(values, n, strict=True) if int(v) not in left_out}
    sizes = {code: min(4, size) for code, size in counts.items()}
    ranks = draw_ranks(counts, sizes, seed)
    found = place_ranks(cut(codes, height), ranks, seed)
    np.testing.assert_array_equal(codes[found.row, found.col], found.code)
    assert len(set(zip(found.row.tolist(), found.col.tolist(), strict=True))) == sum(sizes.values())
    whole = place_ranks([(0, codes)], ranks, seed)
    for part in ("code", "row", "col"):
        np.testing.assert_array_equal(getattr(found, part), getattr(whole, part))


def test_every_pixel_of_a_class_is_drawn_as_often_as_any_other() -> None:
    codes = np.random.default_rng(0).choice([1, 2], (10, 12), p=[0.8, 0.2])
    counts = count_codes([(0, codes)], ())
    times = np.zeros(codes.shape)
    for seed in range(3000):
        found = place_ranks([(0, codes)], draw_ranks(counts, {1: 6, 2: 3}, seed), seed)
        times[found.row, found.col] += 1
    for code, size in ((1, 6), (2, 3)):
        seen = times[codes == code]
        expected = 3000 * size / counts[code]
        # Units of one draw differ, so counts vary less than independent ones would.
        spread = np.square(seen - expected).sum() / (expected * (1 - size / counts[code]))
        assert stats.chi2.sf(spread, len(seen) - 1) > 1e-3
        assert stats.chi2.cdf(spread, len(seen) - 1) > 1e-3


def test_what_is_drawn_of_a_class_does_not_depend_on_the_others() -> None:
    one, both = draw_ranks({-3: 1000, 4: 5000}, {4: 30}, 7), draw_ranks({-3: 1000, 4: 5000}, {-3: 10, 4: 30}, 7)
    np.testing.assert_array_equal(one[4], both[4])
    assert not np.array_equal(one[4], draw_ranks({4: 5000}, {4: 30}, 8)[4])
    alike = draw_ranks({1: 5000, 2: 5000}, {1: 30, 2: 30}, 7)
    assert not np.array_equal(alike[1], alike[2]), "classes of one size are not drawn from in step"


def test_drawing_refuses_what_it_cannot_do() -> None:
    with pytest.raises(BadInput, match="has 3 pixels; 4 units"):
        draw_ranks({1: 3}, {1: 4}, 0)
    with pytest.raises(BadInput, match="no map of classes"):
        count_codes([(0, np.arange(40_000).reshape(200, 200))], ())
    with pytest.raises(Refused, match="changed"):
        place_ranks([(0, np.ones((2, 2), dtype=np.uint8))], {1: np.array([1, 9])}, 0)


# --- coverage --------------------------------------------------------------------------------


def wrong_map(truth: np.ndarray, seed: int) -> np.ndarray:
    """The truth seen by a model: patches of it are taken for the next class."""
    rng = np.random.default_rng(seed)
    patches = (rng.random((truth.shape[0] // 8 + 1, truth.shape[1] // 8 + 1)) < 0.25).repeat(8, 0).repeat(8, 1)
    missed = patches[: truth.shape[0], : truth.shape[1]] & (rng.random(truth.shape) < 0.7)
    return np.where(missed, (truth + 1) % len(CLASSES), truth).astype(np.uint8)


def coverage(draws: int, how: str, n: int) -> dict[str, float]:
    """Share of designs whose 95 % interval holds the truth, drawn again and again from one map."""
    truth = landscape(300, 240, seed=3).truth
    shown = wrong_map(truth, 4)
    counts = count_codes([(0, shown)], ())
    units = {CLASSES[code]: size for code, size in counts.items()}
    sizes = sizes_for(units, dict.fromkeys(units, 0.8), n=n, how=how)
    by_code = {CLASSES.index(name): size for name, size in sizes.n.items()}
    pixels = np.array(list(units.values()), dtype=float)
    strata, names = Strata(tuple(units), pixels, pixels), list(units)
    real = np.bincount(truth.ravel(), minlength=len(CLASSES))
    held: dict[str, list[bool]] = {}
    for seed in range(draws):
        found = place_ranks([(0, shown)], draw_ranks(counts, by_code, seed), seed)
        code = found.code
        stratum = np.array([names.index(CLASSES[c]) for c in code])
        cells = Cells.of(stratum, code, truth[found.row, found.col].astype(np.int64))
        result = assess(strata, cells, CLASSES, strata_are_classes=True)
        _note(held, "overall", result.overall, (shown == truth).mean())
        for c, name in enumerate(CLASSES):
            one = result.classes[name]
            both = ((shown == c) & (truth == c)).sum()
            _note(held, f"area {name}", one.area, real[c])
            _note(held, f"users {name}", one.users, both / (shown == c).sum())
            _note(held, f"producers {name}", one.producers, both / real[c])
    return {key: float(np.mean(values)) for key, values in held.items()}


def _note(held: dict[str, list[bool]], key: str, estimate: object, true: float) -> None:
    held.setdefault(key, []).append(abs(estimate.value - true) <= estimate.half)  # type: ignore[attr-defined]


def test_drawn_again_and_again_the_intervals_hold_the_truth() -> None:
    held = coverage(200, "rare", 400)
    assert 0.9 <= held["overall"] <= 0.99
    assert np.mean([held[f"area {name}"] for name in CLASSES]) > 0.92
    assert min(held.values()) > 0.86


@pytest.mark.full
@pytest.mark.skipif(os.environ.get("GEOML_FULL") != "1", reason="takes minutes; make full")
def test_coverage_of_every_estimate() -> None:
    numbers = {f"{how}_{n}": coverage(2000, how, n) for how in ALLOCATIONS for n in (250, 600)}
    path = CHECKOUT / "workspace" / "full" / "accuracy.json"
    write_json(path, (read_json(path) if path.exists() else {}) | {"coverage": numbers})
    for held in numbers.values():
        assert 0.925 <= held["overall"] <= 0.97
        assert np.mean(list(held.values())) > 0.92


# --- the guard -------------------------------------------------------------------------------

N = 6
DRAWN = Units(
    id=tuple(str(i + 1) for i in range(N)),
    stratum=("forest",) * 4 + ("water",) * 2,
    easting=400_005.0 + 10 * np.arange(N),
    northing=np.full(N, 5_800_005.0),
    probability=np.array([0.01] * 4 + [0.05] * 2),
)
GIVEN = Labelled(
    id=DRAWN.id,
    reference=("forest", "forest", "water", "forest", "water", "water"),
    easting=DRAWN.easting,
    northing=DRAWN.northing,
    stratum=DRAWN.stratum,
    probability=DRAWN.probability,
)
KNOWN = ("forest", "water")


def test_labels_of_the_design_are_taken_in_any_order_with_or_without_strata() -> None:
    order = np.array([3, 0, 5, 1, 2, 4])
    mixed = Labelled(
        tuple(GIVEN.id[i] for i in order), tuple(GIVEN.reference[i] for i in order), GIVEN.easting[order] + 4.9,
        GIVEN.northing[order],
    )  # fmt: skip
    found = match(DRAWN, mixed, KNOWN, pixel_m=10)
    assert found.reference == GIVEN.reference
    assert (found.n_missing, found.cautions) == (0, ())


def _with(place: int, value: str, cells: tuple[str, ...]) -> tuple[str, ...]:
    return (*cells[:place], value, *cells[place + 1 :])


@pytest.mark.parametrize(
    ("change", "match_"),
    [
        ({"id": (*DRAWN.id[:5], "77")}, "1 of 6 points are no units of this design: 77"),
        ({"id": (*DRAWN.id[:5], "1")}, "1 units are listed more than once: 1"),
        ({"easting": DRAWN.easting + 5.1}, "6 units are not where they were drawn"),
        ({"northing": np.full(N, np.nan)}, "6 units are not where they were drawn"),
        ({"easting": DRAWN.easting[::-1]}, "are not where they were drawn"),
        ({"stratum": _with(2, "water", DRAWN.stratum)}, "1 units are of another stratum"),
        ({"probability": DRAWN.probability * 1.01}, "6 units have another inclusion probability"),
        ({"probability": np.full(N, np.nan)}, "another inclusion probability"),
        ({"reference": _with(2, "Water", GIVEN.reference)}, r"1 labels are no class of this map: 'Water' \(1\)"),
        ({"reference": _with(2, "", GIVEN.reference)}, r"1 of 6 units carry no reference label \(forest 1\)"),
    ],
)
def test_points_that_are_not_as_drawn_are_refused(change: dict, match_: str) -> None:
    with pytest.raises(BadInput, match=match_):
        match(DRAWN, replace(GIVEN, **change), KNOWN, pixel_m=10)


def test_units_left_out_of_the_file_are_missing_labels_too() -> None:
    part = Labelled(GIVEN.id[:4], GIVEN.reference[:4], GIVEN.easting[:4], GIVEN.northing[:4])
    with pytest.raises(BadInput, match=r"2 of 6 units carry no reference label \(water 2\)"):
        match(DRAWN, part, KNOWN, pixel_m=10)
    found = match(DRAWN, part, KNOWN, pixel_m=10, allow_missing=True)
    assert found.n_missing == 2
    assert "left out as if nothing set them apart" in found.cautions[0]
    with pytest.raises(BadInput, match="not a single"):
        match(DRAWN, Labelled((), (), np.empty(0), np.empty(0)), KNOWN, pixel_m=10, allow_missing=True)
