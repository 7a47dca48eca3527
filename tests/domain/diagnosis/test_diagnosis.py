"""What is said of scenes whose trouble is known, and of evidence that is broken."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geoml_ops.core.watched import ControlChart, Diagnosis, Statistic
from geoml_ops.domain.diagnosis import Evidence, diagnose
from geoml_ops.domain.drift import Table
from geoml_ops.platform.files import read_json, write_json
from geoml_ops.settings import CHECKOUT
from tests.domain.diagnosis.draws import RULES, TRUTHS, draw

NUMBERS = CHECKOUT / "workspace" / "full" / "diagnoses.json"
N_FULL = 17
#: Scenes without fault are what a watch sees most; twice as many of them.
N_CALM = 40
ACTIONS = {
    "undeclared offset": {"fix ingest"},
    "gain": {"fix ingest"},
    "band swap": {"fix ingest"},
    "missing band": {"fix ingest"},
    "unit or scale": {"fix ingest"},
    "resampling or CRS": {"fix ingest"},
    "cloud or nodata surge": {"ignore"},
    "season as expected": {"ignore"},
    "no reference": {"ignore", "look", "re-baseline"},
    "new region": {"collect labels"},
    "covariate shift": {"collect labels"},
    "label shift": {"collect labels"},
    "concept change": {"retrain"},
    "none": {"none"},
    "cannot tell": {"look"},
}


def is_whole(found: Diagnosis) -> bool:
    """Whether a diagnosis says all that it has to: an action that fits, a sentence with numbers, finite evidence."""
    numbers = [v for v in (*found.evidence.values(), *found.others.values()) if v is not None]
    return (
        found.action in ACTIONS[found.cause]
        and found.sentence.rstrip().endswith(".")
        and all(np.isfinite(numbers))
        and found.cause not in found.others
        and "nan" not in found.sentence.split()
        and Diagnosis.model_validate_json(found.model_dump_json()) == found
    )


@pytest.mark.parametrize("truth", TRUTHS)
def test_what_is_wrong_is_named(truth: str) -> None:
    for number in range(3):
        scene = draw(truth, number, grounds=1, months=(1, 5, 9))
        found = diagnose(scene.evidence, RULES)
        assert found.cause in scene.right, (scene.size, found)
        assert is_whole(found)


@pytest.mark.full
@pytest.mark.skipif(os.environ.get("GEOML_FULL") != "1", reason="takes many minutes; make full")
@pytest.mark.parametrize("truth", TRUTHS)
def test_of_many_draws_nearly_all_are_named_right(truth: str) -> None:
    """Adds a row to the confusion matrix; the whole may be wrong in one of twenty, one truth in one of seven."""
    told = read_json(NUMBERS) if NUMBERS.exists() else {"matrix": {}, "right": {}, "wrong": {}}
    n = N_CALM if truth == "calm" else N_FULL
    scenes = [draw(truth, number) for number in range(100, 100 + n)]
    found = [diagnose(scene.evidence, RULES) for scene in scenes]
    right = [f.cause in scene.right for f, scene in zip(found, scenes, strict=True)]
    told["matrix"][truth] = dict(Counter(f.cause for f in found))
    told["right"][truth] = [sum(right), n]
    told["wrong"][truth] = [
        [scene.size, f.cause, f.others] for f, scene, ok in zip(found, scenes, right, strict=True) if not ok
    ]
    totals = np.array(list(told["right"].values())).sum(axis=0)
    told["draws"], told["share"] = int(totals[1]), float(totals[0] / totals[1])
    NUMBERS.parent.mkdir(parents=True, exist_ok=True)
    write_json(NUMBERS, told)
    assert sum(right) >= 0.85 * n, told["wrong"][truth]
    if set(told["right"]) == set(TRUTHS):  # the last row
        assert told["draws"] >= 300
        assert told["share"] >= 0.95


# What fits together.


def history(n_bands: int = 6, n_tiles: int = 64, n_scenes: int = 6, seed: int = 0) -> list[Table]:
    """Calm scenes of one ground with plain statistics: tiles keep their look, dates add a little."""
    rng = np.random.default_rng(seed)
    side = int(np.sqrt(n_tiles))
    at = np.arange(n_tiles)
    level = rng.uniform(400, 3500, (n_bands, n_tiles))
    scenes = []
    for _ in range(n_scenes):
        air, table = 1.0 + 0.01 * rng.standard_normal(n_bands), {}
        table["easting"], table["northing"] = 240.0 * (at % side), 5e6 - 240.0 * (at // side)
        table["n_px"], table["valid_share"] = np.full(n_tiles, 576.0), np.ones(n_tiles)
        for b in range(n_bands):
            mean = level[b] * air[b] * (1.0 + 0.01 * rng.standard_normal(n_tiles))
            sd = 0.1 * level[b] * (1.0 + 0.02 * rng.standard_normal(n_tiles))
            parts = {"mean": mean, "sd": sd, "p01": mean - 2 * sd, "p50": mean, "p99": mean + 2 * sd}
            table |= {f"b{b}:{part}": values for part, values in parts.items()}
        scenes.append(table)
    return scenes


def facts(change: dict[str, np.ndarray] | None = None, n_bands: int = 6, **more: object) -> Evidence:
    """Evidence of one more calm scene, some columns replaced."""
    *before, now = history(n_bands)
    bands = tuple(f"b{b}" for b in range(n_bands))
    return replace(Evidence(bands=bands, now=now | (change or {}), ground=before[0], same_key=tuple(before)), **more)


def moved(table: Table, bands: tuple[str, ...], add: float = 0.0, times: float = 1.0) -> dict[str, np.ndarray]:
    """Columns of some bands, added to and multiplied."""
    return {
        f"{b}:{part}": table[f"{b}:{part}"] * times + (0.0 if part == "sd" else add)
        for b in bands
        for part in ("mean", "sd", "p01", "p50", "p99")
    }


BANDS = tuple(f"b{b}" for b in range(6))
NOW = history()[-1]


def test_a_calm_scene_is_none() -> None:
    assert diagnose(facts(), RULES).cause == "none"


@pytest.mark.parametrize("size", [220.0, -250.0, 1000.0, 20_000.0])
def test_an_offset_is_named_with_its_size(size: float) -> None:
    found = diagnose(facts(moved(NOW, BANDS, add=size)), RULES)
    assert (found.cause, found.bands, found.picture) == ("undeclared offset", (), "profile")
    assert found.evidence["offset"] == pytest.approx(size, abs=40)
    assert f"{size:+,.0f}"[:2] in found.sentence


def test_an_offset_below_what_air_does_is_not_named() -> None:
    assert diagnose(facts(moved(NOW, BANDS, add=25.0)), RULES).cause == "none"


@pytest.mark.parametrize(
    ("times", "cause"), [(0.8, "gain"), (1.15, "gain"), (10.0, "unit or scale"), (1e-4, "unit or scale")]
)
def test_a_gain_is_named_with_its_size_and_a_great_one_is_another_unit(times: float, cause: str) -> None:
    found = diagnose(facts(moved(NOW, BANDS, times=times)), RULES)
    assert (found.cause, found.action) == (cause, "fix ingest")
    assert found.evidence["gain"] == pytest.approx(times, rel=0.05)


def test_bands_are_named_where_only_some_are_concerned() -> None:
    found = diagnose(facts(moved(NOW, ("b2", "b4"), add=700.0)), RULES)
    assert (found.cause, found.bands) == ("undeclared offset", ("b2", "b4"))
    found = diagnose(facts(moved(NOW, ("b1",), times=1.4)), RULES)
    assert (found.cause, found.bands) == ("gain", ("b1",))


def permuted(order: tuple[int, ...]) -> dict[str, np.ndarray]:
    return {
        f"b{i}:{part}": NOW[f"b{j}:{part}"] for i, j in enumerate(order) for part in ("mean", "sd", "p01", "p50", "p99")
    }


@pytest.mark.parametrize(
    ("order", "says"),
    [
        ((0, 2, 1, 3, 4, 5), "b1 and b2 are exchanged"),
        ((5, 4, 3, 2, 1, 0), "reversed"),
        ((2, 1, 0, 3, 4, 5), "b0 and b2 are exchanged"),
        ((1, 2, 0, 3, 4, 5), "3 bands are in another order"),
    ],
)
def test_another_order_of_bands_is_named(order: tuple[int, ...], says: str) -> None:
    found = diagnose(facts(permuted(order)), RULES)
    assert found.cause == "band swap"
    assert says in found.sentence
    assert found.bands == tuple(f"b{i}" for i, j in enumerate(order) if i != j)


def test_of_two_faults_the_greater_is_named_and_the_other_is_beside_it() -> None:
    swapped = NOW | permuted((0, 2, 1, 3, 4, 5))
    found = diagnose(facts(swapped | moved(swapped, BANDS, add=3000.0)), RULES)
    assert found.cause == "undeclared offset"
    assert found.others["band swap"] > 0.6


def test_a_missing_band_is_named_however_it_is_missing() -> None:
    gone = {f"b3:{part}": np.full(64, np.nan) for part in ("mean", "sd", "p01", "p50", "p99")}
    flat = {f"b3:{part}": np.full(64, 0.0 if part == "sd" else 7.0) for part in ("mean", "sd", "p01", "p50", "p99")}
    for change in (gone, flat):
        found = diagnose(facts(change), RULES)
        assert (found.cause, found.action, found.bands) == ("missing band", "fix ingest", ("b3",))
    nothing = {name: np.zeros(0) for name in NOW}
    all_nan = {name: np.full(64, np.nan) if ":" in name else column for name, column in NOW.items()}
    seen = {b: 0.0 if b == "b3" else 0.97 for b in BANDS}
    found = diagnose(facts(nothing, everything=all_nan, observed=seen), RULES)
    assert (found.cause, found.bands) == ("missing band", ("b3",))


def test_a_band_that_was_always_one_number_is_not_missing() -> None:
    flat = {f"b3:{part}": np.full(64, 0.0 if part == "sd" else 7.0) for part in ("mean", "sd", "p01", "p50", "p99")}
    *before, _ = history()
    evidence = facts(flat)
    always = tuple(table | flat for table in before)
    assert diagnose(replace(evidence, ground=before[0] | flat, same_key=always), RULES).cause == "none"


def test_numbers_of_another_unit_rounded_to_whole_ones_are_a_scale() -> None:
    ones = {
        f"{b}:{part}": np.full(64, 0.0 if part == "sd" else 1.0)
        for b in BANDS
        for part in ("mean", "sd", "p01", "p50", "p99")
    }
    assert diagnose(facts(ones), RULES).cause == "unit or scale"


def test_less_than_usual_observed_is_a_surge_and_usual_cloud_is_none() -> None:
    nothing = {name: np.zeros(0) for name in NOW}
    clear, cloudy = {"valid_share": (0.95, 0.03, 9)}, {"valid_share": (0.5, 0.3, 9)}
    found = diagnose(facts(nothing, scene={"valid_share": 0.02}, normal=clear), RULES)
    assert (found.cause, found.action) == ("cloud or nodata surge", "ignore")
    assert diagnose(facts(scene={"valid_share": 0.4}, normal=clear), RULES).cause == "cloud or nodata surge"
    assert diagnose(facts(scene={"valid_share": 0.4}, normal=cloudy), RULES).cause == "none"
    assert diagnose(facts(nothing, scene={"valid_share": 0.02}), RULES).cause == "cannot tell"


def test_another_pixel_or_crs_is_named_and_another_zone_is_other_ground() -> None:
    found = diagnose(facts(pixel_m=20.0, pixel_m_reference=10.0), RULES)
    assert (found.cause, found.action) == ("resampling or CRS", "fix ingest")
    assert "20 m" in found.sentence
    assert diagnose(facts(crs="EPSG:3857", crs_reference="EPSG:32633"), RULES).cause == "resampling or CRS"
    zone = facts(crs="EPSG:32632", crs_reference="EPSG:32633")
    assert diagnose(replace(zone, same_key=(), recent=()), RULES).cause != "resampling or CRS"
    assert diagnose(replace(zone, is_known_region=True), RULES).cause == "resampling or CRS"
    assert diagnose(facts(pixel_m=10.0, pixel_m_reference=10.0), RULES).cause == "none"


def test_a_blurred_scene_is_named() -> None:
    blurred = {
        f"{b}:{part}": NOW[f"{b}:mean"] + k * 0.5 * NOW[f"{b}:sd"] if part != "sd" else 0.5 * NOW[f"{b}:sd"]
        for b in BANDS
        for part, k in (("mean", 0.0), ("sd", 0.0), ("p01", -2.0), ("p50", 0.0), ("p99", 2.0))
    }
    found = diagnose(facts(blurred), RULES)
    assert found.cause == "resampling or CRS"
    assert found.evidence["spread ratio"] == pytest.approx(0.5, abs=0.03)


@pytest.mark.parametrize(("east", "north"), [(1, 0), (0, -1), (2, 1)])
def test_a_scene_beside_its_ground_is_named_with_direction_and_distance(east: int, north: int) -> None:
    rng = np.random.default_rng(3)
    side, edge, bands = 16, 240.0, ("b0", "b1", "b2", "b3")
    wide = rng.uniform(400, 3500, (4, side + 8, side + 8))

    def seen(shift_east: int, shift_north: int, seed: int) -> Table:
        noise = np.random.default_rng(seed)
        cut = wide[:, 4 + shift_north : 4 + shift_north + side, 4 - shift_east : 4 - shift_east + side].reshape(4, -1)
        at = np.arange(side * side)
        table = {"easting": edge * (at % side), "northing": 5e6 - edge * (at // side), "n_px": np.full(at.size, 576.0)}
        for b, level in zip(bands, cut * (1.0 + 0.01 * noise.standard_normal(cut.shape)), strict=True):
            parts = {"mean": level, "sd": 0.1 * level, "p01": 0.8 * level, "p50": level, "p99": 1.2 * level}
            table |= {f"{b}:{part}": values for part, values in parts.items()}
        return table

    before = tuple(seen(0, 0, seed) for seed in range(5))
    found = diagnose(Evidence(bands=bands, now=seen(east, north, 9), ground=before[0], same_key=before), RULES)
    assert found.cause == "resampling or CRS"
    assert (found.evidence["east"], found.evidence["north"]) == (
        pytest.approx(edge * east),
        pytest.approx(edge * north),
    )


# Season, change, and what needs an alarm.


def chart(**more: object) -> ControlChart:
    return ControlChart(
        family="bands", state="in control", value=1.0, threshold=3.0, path=0.5, limit=2.0, n=20
    ).model_copy(update=more)


def beyond(bands: tuple[str, ...] = BANDS) -> tuple[Statistic, ...]:
    return tuple(Statistic(column=b, distance=2.0, mean_shift=500.0, sd_ratio=1.0, drifted=True) for b in bands)


def test_beyond_the_training_ground_and_calm_in_its_own_key_is_the_season() -> None:
    found = diagnose(facts(statistics=beyond(), charts=(chart(),), own_key=False, is_dated=True), RULES)
    assert (found.cause, found.action) == ("season as expected", "ignore")
    assert "20 calm scenes" in found.sentence


def test_a_key_without_history_is_no_reference_and_never_drift() -> None:
    young = ControlChart(family="bands", state="no reference yet")
    evidence = facts(statistics=beyond(), charts=(young,), own_key=False, is_dated=True, has_reference=False)
    found = diagnose(replace(evidence, same_key=()), RULES)
    assert (found.cause, found.action) == ("no reference", "ignore")
    again = replace(evidence, baseline="05.00", baselines=("04.00",))
    assert diagnose(again, RULES).action == "re-baseline"


def test_a_standing_alarm_without_fault_is_covariate_shift_and_a_single_scene_beyond_is_not() -> None:
    assert (
        diagnose(facts(statistics=beyond(), charts=(chart(state="beyond", alarm=True),)), RULES).cause
        == "covariate shift"
    )
    single = diagnose(facts(charts=(chart(state="beyond", value=9.0),)), RULES)
    assert single.cause == "none"
    assert "no alarm stands" in single.sentence


def test_fixed_thresholds_speak_only_where_nothing_is_calibrated_and_they_may() -> None:
    evidence = facts(statistics=beyond())
    found = diagnose(evidence, RULES)
    assert found.cause == "covariate shift"
    assert found.sentence.endswith("Thresholds are fixed and uncalibrated.")
    assert diagnose(replace(evidence, may_be_fixed=False), RULES).cause == "none"


def test_labels_below_the_floor_are_a_concept_change_while_the_bands_are_calm() -> None:
    low = facts(audit=(0.7, 0.8), charts=(chart(),))
    assert (diagnose(low, RULES).cause, diagnose(low, RULES).action) == ("concept change", "retrain")
    assert diagnose(replace(low, audit=(0.85, 0.8)), RULES).cause == "none"
    alarmed = replace(low, charts=(chart(alarm=True, state="beyond"),), statistics=beyond())
    assert diagnose(alarmed, RULES).cause == "covariate shift"


def test_the_same_evidence_gives_the_same_diagnosis_in_any_order_of_tiles_and_bands() -> None:
    evidence = facts(moved(NOW, BANDS, add=600.0))
    mixed = np.random.default_rng(5).permutation(64)
    other = replace(evidence, now={n: c[mixed] for n, c in evidence.now.items()}, bands=BANDS[::-1])
    one, two = diagnose(evidence, RULES), diagnose(other, RULES)
    assert (one.cause, one.bands) == (two.cause, two.bands)
    assert one.evidence["offset"] == pytest.approx(two.evidence["offset"])
    assert one == diagnose(evidence, RULES)


# Broken evidence.

numbers = st.one_of(
    st.floats(allow_nan=True, allow_infinity=False, width=32),
    st.sampled_from([0.0, -0.0, 1.0, 1e30, -1e30, 1e-30, np.nan, 65535.0, 1e300]),
)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_nothing_breaks_it_and_numbers_that_are_missing_are_never_good(data: st.DataObject) -> None:
    n = data.draw(st.sampled_from([0, 1, 2, 7, 8, 16, 25]))
    bands = tuple(f"b{i}" for i in range(data.draw(st.integers(0, 3))))
    column = st.one_of(numbers.map(lambda v: np.full(n, v)), st.lists(numbers, min_size=n, max_size=n).map(np.array))

    def table() -> Table:
        names = ["easting", "northing", "n_px", "valid_share", "edge_density", "class:a", "class:b", "outside_share"]
        names += [f"{b}:{part}" for b in bands for part in ("mean", "sd", "p01", "p50", "p99")]
        made = {name: np.asarray(data.draw(column), dtype=np.float64) for name in names}
        if data.draw(st.booleans()):
            made["easting"], made["northing"] = 100.0 * (np.arange(n) % 5), 100.0 * (np.arange(n) // 5)
        for name in data.draw(st.lists(st.sampled_from(names), max_size=2)):
            made.pop(name, None)
        return made

    evidence = Evidence(
        bands=bands,
        now=table(),
        ground=table() if data.draw(st.booleans()) else {},
        everything=table(),
        same_key=tuple(table() for _ in range(data.draw(st.sampled_from([0, 1, 3, 4])))),
        recent=tuple(table() for _ in range(data.draw(st.integers(0, 2)))),
        statistics=beyond(bands) if data.draw(st.booleans()) else (),
        own_key=data.draw(st.booleans()),
        scene={"valid_share": data.draw(numbers), "outside_share": data.draw(numbers)},
        normal={"valid_share": (data.draw(numbers), data.draw(numbers), data.draw(st.integers(0, 9)))},
        pixel_m=data.draw(numbers),
        pixel_m_reference=data.draw(numbers),
    )
    found = diagnose(evidence, RULES)
    assert found.action in ACTIONS[found.cause]
    assert Diagnosis.model_validate_json(found.model_dump_json()) == found
    if n < RULES.least_tiles:
        assert found.cause not in ("none", "covariate shift", "label shift", "undeclared offset", "gain")


def test_a_thousand_tiles_of_twelve_bands_and_twenty_scenes_stay_small() -> None:
    *before, now = history(12, 1024, 13)
    bands = tuple(f"b{b}" for b in range(12))
    found = diagnose(Evidence(bands=bands, now=now, ground=before[0], same_key=tuple(before)), RULES)
    assert found.cause == "none"


def test_bands_that_look_alike_are_not_called_exchanged() -> None:
    twins = {f"b1:{part}": NOW[f"b0:{part}"] * 1.003 for part in ("mean", "sd", "p01", "p50", "p99")}
    before = tuple(
        t | {f"b1:{part}": t[f"b0:{part}"] * 1.003 for part in ("mean", "sd", "p01", "p50", "p99")}
        for t in history()[:-1]
    )
    evidence = replace(facts(twins), ground=before[0], same_key=before)
    assert diagnose(evidence, RULES).cause == "none"
