"""Variograms against brute force, other programs and fields whose range is known."""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import skgstat
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import curve_fit

from geoml_ops.core.errors import BadInput
from geoml_ops.domain.variogram import MODELS, Curve, Fit, Place, fitted, shape_of, variograms
from geoml_ops.domain.variogram.pairs import MOST_PAIRS

NUMBERS = Path(__file__).resolve().parents[2] / "workspace" / "full" / "variogram.json"
EARTH_M = 6_371_008.8


def field(seed: int, *, model: str, range_m: float, nugget: float = 0.1, n: int = 600, extent_m: float = 200.0) -> Any:
    """Places and one Gaussian field of unit variance whose effective range is known."""
    rng = np.random.default_rng(seed)
    ground = rng.uniform(0, extent_m, (n, 2))
    distance = np.linalg.norm(ground[:, None] - ground[None], axis=2)
    covariance = (1 - nugget) * (1 - shape_of(model, distance / range_m))
    covariance[np.diag_indices(n)] = 1 + 1e-9
    return ground, np.linalg.cholesky(covariance) @ rng.standard_normal(n)


def fit_of(ground: np.ndarray, values: np.ndarray, **asked: Any) -> Fit:
    return variograms(ground, {"z": values}, **asked)["z"]


def meuse() -> tuple[np.ndarray, pd.DataFrame]:
    """155 samples of topsoil along the river Meuse, as another program delivers them."""
    with (files(skgstat) / "data" / "samples" / "meuse.txt").open() as stream:
        table = pd.read_csv(stream)
    return table[["x", "y"]].to_numpy(dtype=np.float64), table


# --- the estimator ---------------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.integers(2, 40), st.booleans(), st.floats(1.0, 60.0))
def test_lags_are_those_of_brute_force(seed: int, n: int, lattice: bool, cutoff_m: float) -> None:
    rng = np.random.default_rng(seed)
    ground = rng.uniform(0, 40, (n, 2))
    if lattice:
        ground, cutoff_m = np.round(ground / 4) * 4, float(np.ceil(cutoff_m / 6) * 6)
    values, group = rng.standard_normal(n), rng.integers(0, n, n)
    pairs = Place.of(ground, group, seed=seed).pairs(cutoff_m)
    assert pairs.used.tolist() == list(range(n))
    width = cutoff_m / pairs.n_lags
    found: dict[int, list[tuple[float, float, tuple[int, int]]]] = {lag: [] for lag in range(pairs.n_lags)}
    for i, j in itertools.combinations(range(n), 2):
        distance = float(np.hypot(*(ground[i] - ground[j])))
        if group[i] == group[j] or distance > cutoff_m:
            continue
        lag = next(k for k in range(pairs.n_lags) if distance <= (k + 1) * width or k == pairs.n_lags - 1)
        names = sorted((int(group[i]), int(group[j])))
        found[lag].append((distance, 0.5 * (values[i] - values[j]) ** 2, (names[0], names[1])))
    assert pairs.n.tolist() == [len(of_lag) for of_lag in found.values()]
    assert pairs.n_of_groups.tolist() == [len({names for *_, names in of_lag}) for of_lag in found.values()]
    semivariance = pairs.semivariance(values)
    for lag, of_lag in found.items():
        if of_lag:
            assert semivariance[lag] == pytest.approx(np.mean([half for _, half, _ in of_lag]))
            if any(distance for distance, *_ in of_lag):
                assert pairs.lag_m[lag] == pytest.approx(np.mean([distance for distance, *_ in of_lag]))


@pytest.mark.parametrize("seed", range(3))
def test_another_program_estimates_the_same(seed: int) -> None:
    ground, values = field(seed, model="spherical", range_m=30.0, n=300)
    pairs = Place.of(ground).pairs(90.0)
    other = skgstat.Variogram(ground, values, maxlag=90.0, n_lags=pairs.n_lags, estimator="matheron", fit_method=None)
    assert pairs.n.sum() > 10_000
    assert pairs.semivariance(values) == pytest.approx(other.experimental, rel=1e-9)
    assert pairs.n.tolist() == [int((other.lag_groups() == lag).sum()) for lag in range(pairs.n_lags)]


def test_models_are_those_of_another_program_in_its_own_ranges() -> None:
    h = np.linspace(0.5, 300, 200)
    # That program calls 3 a the effective range of an exponential and 2 a that of a Gaussian model.
    for model, stretch in (
        ("spherical", 1.0),
        ("exponential", 3 / -np.log(0.05)),
        ("gaussian", 2 / np.sqrt(-np.log(0.05))),
    ):
        theirs = getattr(skgstat.models, model)(h, 120.0 * stretch, 2.0, 0.5)
        assert Curve(model, 0.5, 2.0, 120.0).at(h) == pytest.approx(theirs)


@pytest.mark.parametrize("model", MODELS)
def test_the_range_is_where_95_percent_of_the_sill_are_reached(model: str) -> None:
    reached = Curve(model, 1.0, 2.0, 70.0).at(70.0) - 1.0
    assert reached == pytest.approx(2.0 if model == "spherical" else 1.9)


def test_published_numbers_of_the_meuse_come_out() -> None:
    ground, table = meuse()
    values = np.log(table["zinc"].to_numpy(dtype=np.float64))
    cutoff = float(np.linalg.norm(np.ptp(ground, axis=0))) / 3
    pairs = Place.of(ground).pairs(cutoff)
    weight, gamma = (pairs.n / pairs.lag_m**2)[None], pairs.semivariance(values)[None]
    assert pairs.n_lags == 15
    spherical, exponential = (fitted(pairs.lag_m, weight, gamma, cutoff_m=cutoff, models=[m])[0] for m in MODELS[:2])
    assert spherical.nugget == pytest.approx(0.05066, abs=5e-5)
    assert spherical.psill == pytest.approx(0.59060, abs=5e-5)
    assert spherical.range_m == pytest.approx(896.97, abs=0.3)
    assert exponential.range_m == pytest.approx(449.76 * 2.9957, rel=1e-3)
    ours = variograms(ground, {"zinc": values, "flooded": (table["ffreq"] == 1).to_numpy(dtype=np.float64)})
    assert ours["zinc"].curve == spherical, "every lag has pairs enough, so nothing is left out"
    assert ours["zinc"].reason == "the range (897 m) exceeds half the cutoff of 1597 m"
    assert ours["zinc"].range_m is None
    assert "exceeds half the cutoff" in ours["flooded"].reason


# --- the fit ---------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(MODELS), st.floats(0, 3), st.floats(0.05, 5), st.floats(0.15, 0.9), st.integers(0, 10**6))
def test_a_curve_without_noise_is_found_again(model: str, nugget: float, psill: float, share: float, seed: int) -> None:
    lag_m = np.sort(np.random.default_rng(seed).uniform(0.03, 1.0, 15)) * 1000 + np.arange(15)
    true = Curve(model, nugget, psill, share * 1000)
    weight = np.ones((1, 15)) / lag_m**2
    found = fitted(lag_m, weight, true.at(lag_m)[None], cutoff_m=1000.0, models=[model])[0]
    assert found.at(lag_m) == pytest.approx(true.at(lag_m), rel=2e-3)
    assert fitted(lag_m, weight, true.at(lag_m)[None], cutoff_m=1000.0, models=MODELS)[0].at(lag_m) == pytest.approx(
        true.at(lag_m), rel=2e-3
    )


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from(MODELS))
def test_no_other_search_finds_less(seed: int, model: str) -> None:
    rng = np.random.default_rng(seed)
    lag_m, weight = np.linspace(20, 1000, 12), rng.uniform(0.2, 3, 12)
    gamma = Curve(model, 0.3, 1.0, rng.uniform(200, 700)).at(lag_m) * rng.uniform(0.8, 1.2, 12)
    found = fitted(lag_m, weight[None], gamma[None], cutoff_m=1000.0, models=[model])[0]

    def loss(values: np.ndarray) -> float:
        return float((weight * (values - gamma) ** 2).sum())

    def shaped(h: np.ndarray, nugget: float, psill: float, range_m: float) -> np.ndarray:
        return Curve(model, nugget, psill, range_m).at(h)

    for start in (150.0, 400.0, 900.0):
        best, _ = curve_fit(
            shaped, lag_m, gamma, (0.2, 1.0, start), 1 / np.sqrt(weight), bounds=([0, 0, 10], [9, 9, 1e4]), maxfev=5000
        )
        assert loss(found.at(lag_m)) <= loss(shaped(lag_m, *best)) * (1 + 1e-4) + 1e-12


def test_lags_without_weight_have_no_say() -> None:
    lag_m = np.linspace(50, 1000, 10)
    true = Curve("exponential", 0.2, 1.0, 400.0)
    gamma, weight = np.tile(true.at(lag_m), (3, 1)), np.ones((3, 10))
    weight[1, 4], gamma[1, 4] = 0.0, 99.0
    weight[2] = 0.0
    whole, spoiled, nothing = fitted(lag_m, weight, gamma, cutoff_m=1000.0)
    assert whole.range_m == pytest.approx(400, rel=1e-3)
    assert spoiled.at(lag_m) == pytest.approx(whole.at(lag_m), rel=1e-3)
    assert nothing.psill == 0


# --- known truth -----------------------------------------------------------------------------


@pytest.mark.parametrize(("model", "range_m", "nugget"), [("spherical", 30.0, 0.1), ("exponential", 30.0, 0.3)])
def test_most_intervals_hold_the_true_range(model: str, range_m: float, nugget: float) -> None:
    fits = [fit_of(*field(seed, model=model, range_m=range_m, nugget=nugget), seed=seed) for seed in range(12)]
    usable = [fit for fit in fits if fit.converged]
    assert len(usable) >= 9
    assert sum(fit.low_m <= range_m <= fit.high_m for fit in usable) >= 0.6 * len(usable)
    assert sum(fit.high_m >= range_m for fit in usable) >= 0.75 * len(usable)
    assert range_m * 0.8 < np.median([fit.curve.range_m for fit in usable if fit.curve]) < range_m * 1.25
    assert all(fit.low_m < fit.curve.range_m < fit.high_m * 1.3 for fit in usable if fit.curve)


def test_a_short_range_is_found_at_a_shorter_cutoff_with_more_samples() -> None:
    ground, values = field(0, model="spherical", range_m=7.0, nugget=0.2, n=2500)
    fit = fit_of(ground, values)
    assert fit.converged
    assert fit.range_m == pytest.approx(7.0, rel=0.35)
    assert fit.cutoff_m < 60, "up to a third of the diagonal, 94 m, its lags are 6 m wide"
    assert fit.n_samples > len(Place.of(ground).pairs(94.0).used)


def test_noise_is_a_pure_nugget() -> None:
    fits = []
    for seed in range(30):
        rng = np.random.default_rng(seed)
        ground, noise = rng.uniform(0, 1000, (250, 2)), rng.standard_normal(250)
        fits += variograms(ground, {"values": noise, "class": (noise > 1).astype(float)}, seed=seed).values()
    assert sum(fit.reason.startswith("pure nugget: up to") for fit in fits) >= 55
    assert all(fit.range_m is None for fit in fits if not fit.converged)


@pytest.mark.parametrize("seed", range(4))
def test_what_grows_without_end_has_no_range(seed: int) -> None:
    rng = np.random.default_rng(seed)
    ground = rng.uniform(0, 200, (300, 2))
    trend = fit_of(ground, ground[:, 0] / 50 + rng.standard_normal(300))
    assert trend.reason.startswith("the range (")
    assert "exceeds half the cutoff" in trend.reason
    wide, values = field(seed, model="spherical", range_m=700.0)
    assert "exceeds half the cutoff" in fit_of(wide, values).reason


def test_how_alike_the_pixels_of_a_polygon_are_is_not_asked() -> None:
    rng = np.random.default_rng(3)
    anchor, polygon = rng.uniform(0, 5000, (150, 2)), np.repeat(np.arange(150), 20)
    ground = anchor[polygon] + rng.uniform(-100, 100, (3000, 2))
    values = rng.integers(0, 2, 150)[polygon].astype(np.float64)
    assert fit_of(ground, values).converged, "polygons are 200 m wide, and that is what is found"
    assert fit_of(ground, values, group=polygon).reason.startswith("pure nugget")


@pytest.mark.parametrize("groups", [60, 200])
def test_likeness_of_neighbours_is_as_rare_under_chance_as_it_says(groups: int) -> None:
    said = []
    for seed in range(150):
        rng = np.random.default_rng(seed)
        group = np.repeat(np.arange(groups), 4)
        ground = rng.uniform(0, 1000, (groups, 2))[group] + rng.uniform(-20, 20, (len(group), 2))
        values = rng.standard_normal(groups)[group] + rng.standard_normal(len(group))
        said.append(Place.of(ground, group).pairs(450.0).likeness(values, 5, 99, rng))
    # 15 of 150 are expected at .1; 7 and 26 are exceeded once in 200.
    assert 5 <= sum(p <= 0.1 for p in said) <= 27


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10**6))
def test_draws_count_pairs_as_often_as_their_blocks(seed: int) -> None:
    rng = np.random.default_rng(seed)
    ground, values = rng.uniform(0, 100, (60, 2)), rng.standard_normal(60)
    pairs = Place.of(ground).pairs(45.0)
    n, gamma = pairs.drawn(values, 4, np.random.default_rng(seed))
    n_blocks = len(np.unique(pairs.block))
    times = np.random.default_rng(seed).multinomial(n_blocks, np.full(n_blocks, 1 / n_blocks), size=4)
    for draw in range(4):
        for lag in range(pairs.n_lags):
            total, count = 0.0, 0
            for i, j in zip(pairs.first[pairs.lag == lag], pairs.second[pairs.lag == lag], strict=True):
                a, b = pairs.block[i], pairs.block[j]
                often = times[draw, a] if a == b else times[draw, a] * times[draw, b]
                total, count = total + often * 0.5 * (values[i] - values[j]) ** 2, count + often
            assert n[draw, lag] == count
            assert gamma[draw, lag] == pytest.approx(total / count if count else 0.0)


# --- invariance ------------------------------------------------------------------------------


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 50), st.floats(0.01, 1000), st.floats(-50, 50), st.floats(0.01, 100))
def test_units_and_origin_do_not_matter(seed: int, metres: float, offset: float, gain: float) -> None:
    ground, values = field(seed, model="spherical", range_m=30.0, n=250)
    plain = fit_of(ground, values)
    other = fit_of(ground * metres, offset + gain * values)
    assert plain.curve is not None
    assert other.curve is not None
    assert other.curve.range_m == pytest.approx(plain.curve.range_m * metres, rel=1e-3)
    assert other.high_m == pytest.approx(plain.high_m * metres, rel=1e-2)
    assert other.curve.psill == pytest.approx(plain.curve.psill * gain**2, rel=1e-3)
    assert other.converged is plain.converged


def test_the_same_seed_gives_the_same_numbers() -> None:
    ground, values = field(1, model="exponential", range_m=30.0)
    one, again, other = (fit_of(ground, values, seed=seed) for seed in (5, 5, 6))
    assert (one.curve, one.low_m, one.high_m) == (again.curve, again.low_m, again.high_m)
    assert (one.low_m, one.high_m) != (other.low_m, other.high_m)


def test_longitude_and_latitude_give_metres_along_the_ground() -> None:
    ground, values = field(2, model="spherical", range_m=30.0)
    plain = fit_of(ground * 200, values)
    lat = np.radians(52) + ground[:, 1] * 200 / EARTH_M
    lon = np.radians(13) + ground[:, 0] * 200 / EARTH_M / np.cos(np.radians(52.18))
    sphere = EARTH_M * np.column_stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)])
    round_ = fit_of(sphere, values, radius_m=EARTH_M)
    assert plain.range_m is not None
    assert round_.range_m == pytest.approx(plain.range_m, rel=0.02)
    far = EARTH_M * np.array([[1.0, 0, 0], [-1, 0, 0], [0, 1, 0]])
    pairs = Place.of(far, radius_m=EARTH_M).pairs(21_000_000.0)
    assert sorted(pairs.distance_m) == pytest.approx([np.pi / 2 * EARTH_M] * 2 + [np.pi * EARTH_M])


# --- many samples ----------------------------------------------------------------------------


def test_where_there_are_many_samples_some_of_every_polygon_are_used() -> None:
    rng = np.random.default_rng(0)
    polygon = np.sort(rng.choice(400, 60_000, p=rng.dirichlet(np.ones(400))))
    ground = rng.uniform(0, 30_000, (400, 2))[polygon] + rng.uniform(-200, 200, (60_000, 2))
    place = Place.of(ground, polygon, seed=1)
    n_polygons = len(np.unique(polygon))
    assert len(np.unique(polygon[place.order[:n_polygons]])) == n_polygons
    pairs = place.pairs(place.diagonal_m / 3)
    assert 0.3 * MOST_PAIRS < pairs.n.sum() <= 1.2 * MOST_PAIRS
    assert len(np.unique(polygon[pairs.used])) == n_polygons
    kept = rng.random(60_000) < 0.5
    part = place.where(kept)
    assert (part.ground[part.order] == ground[place.order][kept[place.order]]).all()


# --- what has no variogram -------------------------------------------------------------------


def ground_of(n: int) -> np.ndarray:
    return np.random.default_rng(0).uniform(0, 1000, (n, 2))


@pytest.mark.parametrize(
    ("ground", "values", "group", "reason"),
    [
        (ground_of(3), np.arange(3.0), None, "3 samples of 3 polygons; it takes 30 polygons"),
        (ground_of(0), np.zeros(0), None, "0 samples of 0 polygons; it takes 30 polygons"),
        (ground_of(90), np.arange(90.0), np.arange(90) % 4, "90 samples of 4 polygons; it takes 30 polygons"),
        (ground_of(90), np.r_[np.arange(20.0), np.full(70, np.nan)], None, "20 samples of 20 polygons"),
        (np.zeros((50, 2)), np.arange(50.0), None, "all 50 samples lie in one place"),
        (ground_of(50), np.ones(50), None, "all 50 values are 1"),
        (ground_of(50), np.full(50, np.nan), None, "0 samples of 0 polygons"),
        (
            np.repeat([[0.0, 0], [1e5, 0]], 25, axis=0),
            np.arange(50.0),
            None,
            "too few pairs: 1 of 10 lags up to 33330 m hold",
        ),
    ],
)
def test_a_reason_says_why_there_is_none(ground: Any, values: Any, group: Any, reason: str) -> None:
    fit = fit_of(ground, values, group=group)
    assert fit.reason.startswith(reason)
    assert not fit.converged
    assert fit.range_m is None


@pytest.mark.parametrize(
    ("ground", "values", "sentence"),
    [
        (np.array([[0.0, np.nan], [1, 1], [np.inf, 2]]), np.arange(3.0), "2 of 3 samples have no coordinates"),
        (ground_of(5), np.arange(4.0), "Column 'z' has 4 values for 5 samples, 0 of them infinite"),
        (ground_of(5), np.array([1.0, np.inf, 2, 3, -np.inf]), "5 values for 5 samples, 2 of them infinite"),
    ],
)
def test_what_cannot_be_is_refused(ground: Any, values: Any, sentence: str) -> None:
    with pytest.raises(BadInput, match=sentence):
        fit_of(ground, values)


# --- the full run ----------------------------------------------------------------------------

WORLDS: dict[str, dict[str, Any]] = {
    "spherical": {"model": "spherical", "range_m": 30.0},
    "exponential": {"model": "exponential", "range_m": 30.0, "nugget": 0.3},
    "short": {"model": "spherical", "range_m": 12.0, "nugget": 0.3},
    "class": {"model": "spherical", "range_m": 30.0, "nugget": 0.2},
}


def measured() -> Iterator[tuple[str, dict[str, float]]]:
    for name, world in WORLDS.items():
        fits = []
        for seed in range(100):
            ground, values = field(seed, **world)
            fits.append(fit_of(ground, (values > 0.8).astype(float) if name == "class" else values, seed=seed))
        usable, true = [fit for fit in fits if fit.converged], world["range_m"]
        yield (
            name,
            {
                "usable_share": len(usable) / len(fits),
                "interval_holds_share": float(np.mean([fit.low_m <= true <= fit.high_m for fit in usable])),
                "upper_end_holds_share": float(np.mean([fit.high_m >= true for fit in usable])),
                "median_range": float(np.median([fit.curve.range_m for fit in usable if fit.curve])),
            },
        )
    noise = [np.random.default_rng(seed) for seed in range(200)]
    flagged = [fit_of(rng.uniform(0, 200, (300, 2)), rng.standard_normal(300)).reason for rng in noise]
    yield "noise", {"flagged_share": float(np.mean([bool(reason) for reason in flagged]))}


@pytest.mark.full
@pytest.mark.skipif(os.environ.get("GEOML_FULL") != "1", reason="takes minutes; make full")
def test_intervals_hold_as_often_as_promised_over_many_fields() -> None:
    numbers = dict(measured())
    NUMBERS.parent.mkdir(parents=True, exist_ok=True)
    NUMBERS.write_text(json.dumps(numbers, indent=2))
    for name in WORLDS:
        assert numbers[name]["usable_share"] >= 0.8
        assert numbers[name]["upper_end_holds_share"] >= 0.8
        assert numbers[name]["interval_holds_share"] >= (0.6 if name == "class" else 0.7)
    assert numbers["noise"]["flagged_share"] >= 0.95
