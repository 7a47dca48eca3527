"""The label budget as pure rules: strata that cover the map once, samples that tell the truth, answers that agree."""

from __future__ import annotations

import json
import os
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from geoml_ops.core.errors import BadInput
from geoml_ops.core.grid import Bounds, Grid
from geoml_ops.domain.accuracy import Cells, Strata, assess, draw_ranks, place_ranks
from geoml_ops.domain.labelling import (
    CANNOT_TELL,
    NONE_OF_THESE,
    UNKNOWN,
    Allocated,
    Answer,
    Census,
    Stratification,
    UnitLayers,
    allocate,
    check_answers,
    is_sure,
    most_strata,
    plain,
    review,
    stratify,
    units_in,
    with_spots,
)
from geoml_ops.domain.labelling.census import SHAPE
from geoml_ops.domain.labelling.tasks import (
    FIELDS,
    geojson,
    instructions,
    labelling_tool,
    qgis_style,
    task_name,
    unit_of,
    words,
)

CLASSES = ("built", "cropland", "forest", "water")
SIDE = 240
GRID = Grid(crs="EPSG:32633", left=300000.0, top=5800000.0, pixel_m=10.0, width=SIDE, height=SIDE)
SPOT = Bounds(left=300000.0, bottom=5799400.0, right=300600.0, top=5800000.0)
FULL = Path(__file__).resolve().parents[2] / "workspace" / "full"


def ground(seed: int = 0) -> tuple[UnitLayers, np.ndarray]:
    """A map and what is true there: right where it is sure, often wrong in a hot-spot, where it still sounds sure."""
    rng = np.random.default_rng(seed)
    truth = rng.choice(4, (SIDE // 8, SIDE // 8), p=(0.05, 0.45, 0.4, 0.1)).repeat(8, 0).repeat(8, 1)
    confidence = np.clip(rng.beta(6, 1.5, (SIDE // 4, SIDE // 4)).repeat(4, 0).repeat(4, 1), 0.3, 1)
    wrong = rng.random(truth.shape) > confidence
    wrong[:60, :60] = rng.random((60, 60)) > 0.45
    shown = np.where(wrong, (truth + rng.integers(1, 4, truth.shape)) % 4, truth).astype(np.uint8)
    shown[200:, :30] = 255
    percent = np.rint(100 * confidence).astype(np.uint8)
    dissimilarity = np.full(truth.shape, 40, np.uint8)
    dissimilarity[100:140, 150:] = 180
    return with_spots(units_in(shown, percent, dissimilarity, 1), GRID, 0, [SPOT]), truth


LAYERS, TRUTH = ground()


def census_of(layers: UnitLayers) -> Census:
    census = Census()
    for row in range(0, layers.classes.shape[0], 50):
        part = slice(row, row + 50)
        census.add(UnitLayers(*(getattr(layers, n)[part] for n in ("classes", "percent", "outside", "hot"))))
    return census


CENSUS = census_of(LAYERS)


def planned(n: int = 300, **how: Any) -> tuple[Stratification, Allocated]:
    found = stratify(CENSUS.counts, CLASSES, least=100, most=most_strata(n, CENSUS.total))
    return found, allocate(found.strata, n, **how)


def codes_of(found: Stratification) -> np.ndarray:
    cells = LAYERS.cells
    return np.where(cells >= 0, found.code[cells], -1)


class Drawing:
    """Estimates of one design, seed by seed, from all drawn units or from those kept for judging."""

    def __init__(self, n: int = 300, **how: Any) -> None:
        self.found, self.sizes = planned(n, **how)
        flat = codes_of(self.found).ravel()
        self.places = [np.flatnonzero(flat == code) for code in range(len(self.found.strata))]
        units = np.array([s.units for s in self.found.strata], dtype=np.float64)
        self.strata = Strata(tuple(s.name for s in self.found.strata), units, units)

    def estimate(self, seed: int, *, held: bool = False) -> tuple[float, float]:
        pixels = {code: len(place) for code, place in enumerate(self.places)}
        n = {code: self.sizes.n[s.name] for code, s in enumerate(self.found.strata)}
        ranks = draw_ranks(pixels, n, seed)
        chosen = {code: self.places[code][rank] for code, rank in ranks.items()}
        if held:
            rng = np.random.default_rng([seed, 10**6])
            kept = [self.sizes.n_held[s.name] for s in self.found.strata]
            chosen = {code: rng.permutation(place)[: kept[code]] for code, place in chosen.items()}
        at = np.concatenate(list(chosen.values()))
        stratum = np.concatenate([np.full(len(place), code) for code, place in chosen.items()])
        cells = Cells.of(stratum, LAYERS.classes.ravel()[at].astype(np.int64), TRUTH.ravel()[at].astype(np.int64))
        overall = assess(self.strata, cells, CLASSES, strata_are_classes=False).overall
        assert overall.value is not None
        assert overall.error is not None
        return overall.value, overall.error


RIGHT = float((LAYERS.classes == TRUTH)[LAYERS.classes != 255].mean())


# --- the estimate ----------------------------------------------------------------------------


@pytest.mark.parametrize("held", [False, True])
def test_the_interval_of_the_accuracy_holds_the_truth_as_often_as_it_says(held: bool) -> None:
    drawing, seeds = Drawing(), 200
    found = np.array([drawing.estimate(seed, held=held) for seed in range(seeds)])
    covered = float((np.abs(found[:, 0] - RIGHT) <= 1.959964 * found[:, 1]).mean())
    assert 0.90 <= covered <= 0.98
    assert abs(found[:, 0].mean() - RIGHT) < 3 * found[:, 0].std() / seeds**0.5
    said = drawing.sizes.held_se if held else drawing.sizes.overall_se
    assert said is not None
    assert 0.6 < found[:, 0].std() / said < 1.4


@pytest.mark.full
@pytest.mark.skipif(os.environ.get("GEOML_FULL") != "1", reason="6,000 samples; make full")
def test_coverage_over_a_thousand_seeds_is_kept_on_record() -> None:
    kept: dict[str, Any] = {"true": RIGHT}
    for name, how in {"plain": {"drift_weight": 1.0}, "twice": {}, "tenfold": {"drift_weight": 10.0}}.items():
        drawing = Drawing(**how)
        for held in (False, True):
            found = np.array([drawing.estimate(seed, held=held) for seed in range(1000)])
            covered = float((np.abs(found[:, 0] - RIGHT) <= 1.959964 * found[:, 1]).mean())
            kept[f"{name} {'held' if held else 'all'}"] = {
                "coverage": covered,
                "bias": float(found[:, 0].mean() - RIGHT),
                "sd": float(found[:, 0].std()),
                "expected_se": drawing.sizes.held_se if held else drawing.sizes.overall_se,
            }
            assert 0.90 <= covered <= 0.98
    FULL.mkdir(parents=True, exist_ok=True)
    (FULL / "label_budget.json").write_text(json.dumps(kept, indent=1))


@settings(max_examples=12, deadline=None)
@given(
    weight=st.floats(1, 50),
    n=st.integers(60, 600),
    least=st.integers(2, 15),
    share=st.floats(0, 1),
)
def test_however_much_more_is_asked_in_hot_spots_the_estimate_stays_unbiased(
    weight: float, n: int, least: int, share: float
) -> None:
    drawing = Drawing(n, drift_weight=weight, least=least, held_share=share)
    sizes, strata = drawing.sizes, drawing.found.strata
    assert sum(sizes.n.values()) == n
    assert all(0 < sizes.n[s.name] <= s.units for s in strata)
    assert all(sizes.n_held[s.name] <= sizes.n[s.name] for s in strata)
    found = np.array([drawing.estimate(seed)[0] for seed in range(80)])
    assert abs(found.mean() - RIGHT) < 4.5 * found.std() / 80**0.5


def test_more_is_asked_where_drift_is() -> None:
    found, even = planned(drift_weight=1)
    _, more = planned(drift_weight=5)
    hot = [s.name for s in found.strata if s.hot]
    assert hot
    assert sum(more.n[name] for name in hot) > 1.5 * sum(even.n[name] for name in hot)
    share = sum(even.n[name] for name in hot) / 300
    assert share > sum(s.units for s in found.strata if s.hot) / CENSUS.total


def test_what_is_kept_for_judging_is_a_random_part_of_each_stratum() -> None:
    _, sizes = planned(held_share=0.5)
    assert all(abs(sizes.n_held[name] - n / 2) <= 1 for name, n in sizes.n.items())
    assert sizes.held_se is not None
    assert sizes.held_se > sizes.overall_se
    _, none = planned(held_share=0)
    assert none.held_se is None
    assert not any(none.n_held.values())
    _, every = planned(held_share=1)
    assert every.n_held == every.n
    assert every.held_se == pytest.approx(every.overall_se)


def test_a_map_labelled_whole_leaves_no_error() -> None:
    found = stratify(CENSUS.counts, CLASSES, least=100, most=8)
    sizes = allocate(found.strata, CENSUS.total)
    assert sizes.overall_se == pytest.approx(0, abs=1e-12)
    assert sizes.n == {s.name: s.units for s in found.strata}


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ({"n": 9}, "9 units are no sample"),
        ({"n": 200_001}, "no sample"),
        ({"n": 300, "total": 250}, "the map has 250"),
        ({"n": 300, "least": 1}, "have no variance"),
    ],
)
def test_sizes_that_cannot_be_are_refused(how: dict[str, int], says: str) -> None:
    with pytest.raises(BadInput, match=says):
        most_strata(**{"total": 10_000_000, **how})


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ({"held_share": 1.5}, "share of 1.5"),
        ({"held_share": float("nan")}, "share of nan"),
        ({"drift_weight": 0.5}, "count 0.5 times"),
        ({"drift_weight": float("inf")}, "count inf times"),
    ],
)
def test_shares_and_weights_that_cannot_be_are_refused(how: dict[str, float], says: str) -> None:
    with pytest.raises(BadInput, match=says):
        planned(**how)


# --- strata ----------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_strata_cover_every_unit_once(data: st.DataObject) -> None:
    n_kinds = data.draw(st.integers(1, 40))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**31)))
    counts = np.zeros(SHAPE, dtype=np.int64)
    at = rng.integers(0, [6, 2, 2, UNKNOWN + 1], (n_kinds, 4))
    np.add.at(counts, tuple(at.T), rng.integers(1, 3000, n_kinds))
    least, most = data.draw(st.integers(1, 3000)), data.draw(st.integers(1, 12))
    found = stratify(counts, ("a", "b", "c", "d", "e", "f"), least=least, most=most)
    flat = counts.ravel()
    assert (found.code[flat > 0] >= 0).all()
    by = np.bincount(found.code[flat > 0], flat[flat > 0], len(found.strata))
    assert [s.units for s in found.strata] == by.astype(int).tolist()
    assert sum(s.units for s in found.strata) == counts.sum()
    assert len({s.name for s in found.strata}) == len(found.strata) <= most
    assert len(found.strata) == 1 or min(s.units for s in found.strata) >= least
    assert all(0.5 <= s.right <= 0.95 for s in found.strata)
    again = stratify(counts, ("a", "b", "c", "d", "e", "f"), least=least, most=most)
    assert again.strata == found.strata


def test_doubt_is_given_up_first_and_drift_last() -> None:
    found = stratify(CENSUS.counts, CLASSES, least=200, most=2)
    assert [s.name for s in found.strata] == ["all classes, no drift", "all classes, drift, inside"]
    assert [s.hot for s in found.strata] == [False, True]
    many = stratify(CENSUS.counts, CLASSES, least=50, most=40)
    assert any("unsure" in s.name for s in many.strata)
    assert any("outside" in s.name for s in many.strata)


def test_a_map_without_confidence_drift_or_applicability_is_sampled_by_its_classes() -> None:
    layers = units_in(LAYERS.classes, None, None, 1)
    found = stratify(census_of(layers).counts, CLASSES, least=100, most=30)
    assert [s.name for s in found.strata] == list(CLASSES)
    assert [s.right for s in found.strata] == pytest.approx([0.8] * len(CLASSES))
    assert found.unsure == -1


@pytest.mark.parametrize("percent", [0, 50, 100])
def test_one_confidence_everywhere_is_no_doubt(percent: int) -> None:
    layers = units_in(LAYERS.classes, np.full_like(LAYERS.classes, percent), None, 1)
    assert stratify(census_of(layers).counts, CLASSES, least=100, most=30).unsure == -1


def test_a_map_of_nothing_and_codes_without_a_name_are_refused() -> None:
    with pytest.raises(BadInput, match="no class anywhere"):
        stratify(np.zeros(SHAPE, dtype=np.int64), CLASSES, least=1, most=1)
    with pytest.raises(BadInput, match="code 3, and has 2 class names"):
        stratify(CENSUS.counts, CLASSES[:2], least=1, most=1)


# --- units -----------------------------------------------------------------------------------


def slow_unit(classes: np.ndarray, percent: np.ndarray, far: np.ndarray) -> tuple[int, int, bool]:
    known = classes != 255
    if 2 * known.sum() <= known.size:
        return 255, 0, False
    codes, n = np.unique(classes[known], return_counts=True)
    told = percent[known & (percent < UNKNOWN)]
    mean = round(float(told.mean())) if told.size else UNKNOWN
    return int(codes[n.argmax()]), mean, bool(2 * ((far > 100) & (far != 255) & known).sum() > known.sum())


@settings(max_examples=25, deadline=None)
@given(edge=st.integers(2, 5), seed=st.integers(0, 1000))
def test_a_unit_shows_what_most_of_its_pixels_show(edge: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    shape = 23, 31
    classes = rng.choice(np.array([0, 1, 2, 255], np.uint8), shape, p=(0.3, 0.2, 0.1, 0.4))
    percent = rng.integers(0, 101, shape).astype(np.uint8)
    percent[rng.random(shape) < 0.1] = 255
    far = rng.choice(np.array([20, 120, 255], np.uint8), shape)
    found = units_in(classes, percent, far, edge)
    assert found.classes.shape == (23 // edge, 31 // edge)
    for y in range(23 // edge):
        for x in range(31 // edge):
            here = slice(y * edge, (y + 1) * edge), slice(x * edge, (x + 1) * edge)
            code, mean, outside = slow_unit(classes[here], percent[here], far[here])
            assert found.classes[y, x] == code
            if code != 255:
                assert abs(int(found.percent[y, x]) - mean) <= 1
                assert found.outside[y, x] == outside


@settings(max_examples=40, deadline=None)
@given(
    left=st.floats(-500, 3000), top=st.floats(-500, 3000), wide=st.floats(1, 2500), high=st.floats(1, 2500),
    first=st.integers(0, 200),
)  # fmt: skip
def test_a_unit_is_hot_where_its_centre_lies_in_a_spot(
    left: float, top: float, wide: float, high: float, first: int
) -> None:
    spot = Bounds(
        left=GRID.left + left, right=GRID.left + left + wide, top=GRID.top - top, bottom=GRID.top - top - high
    )
    strip = units_in(np.zeros((40, SIDE), np.uint8), None, None, 1)
    rows, cols = np.indices((40, SIDE))
    east, north = GRID.centres(rows + first, cols)
    inside = (east >= spot.left) & (east < spot.right) & (north <= spot.top) & (north > spot.bottom)
    found = with_spots(strip, GRID, first, [spot]).hot
    assert (found != inside).sum() <= 40 + SIDE  # centres that lie on an edge of the spot
    assert found.sum() == pytest.approx(inside.sum(), abs=40 + SIDE)
    if all(abs((value / 10) % 1 - 0.5) > 1e-6 for value in (left, left + wide, top, top + high)):
        assert (found == inside).all()


def test_drawn_units_lie_in_the_strata_they_were_drawn_from() -> None:
    found, sizes = planned()
    codes = codes_of(found)
    ranks = draw_ranks(
        {i: s.units for i, s in enumerate(found.strata)}, {i: sizes.n[s.name] for i, s in enumerate(found.strata)}, 7
    )
    drawn = place_ranks(((row, codes[row : row + 37]) for row in range(0, SIDE, 37)), ranks, 7)
    assert (codes[drawn.row, drawn.col] == drawn.code).all()
    assert len(set(zip(drawn.row.tolist(), drawn.col.tolist(), strict=True))) == 300


# --- answers ---------------------------------------------------------------------------------


def test_everybody_who_can_tell_has_to_say_the_same() -> None:
    answers = [
        Answer("u1", "forest", "anna"),
        Answer("u1", "forest", "ben", sure=False),
        Answer("u2", "forest", "anna"),
        Answer("u2", "water", "ben"),
        Answer("u3", CANNOT_TELL, "anna"),
        Answer("u4", CANNOT_TELL, "anna"),
        Answer("u4", "water", "ben", sure=False),
        Answer("u5", NONE_OF_THESE, "anna"),
    ]
    found = review(answers, ["u1", "u2", "u3", "u4", "u5", "u6"])
    assert found.labels == {"u1": "forest", "u4": "water", "u5": NONE_OF_THESE}
    assert found.conflicts == {"u2": {"anna": "forest", "ben": "water"}}
    assert (found.missing, found.unclear, found.unsure) == (("u6",), ("u3",), ())
    assert found.labellers == {"anna": 5, "ben": 3}
    assert not found.complete
    settled = review(answers, ["u1", "u2", "u3", "u4", "u5"], settled={"u2": "water", "u3": "built"})
    assert settled.labels["u2"] == "water"
    assert settled.labels["u3"] == "built"
    assert settled.complete
    with pytest.raises(BadInput, match="no unit of this design"):
        review(answers, ["u1", "u2", "u3", "u4", "u5"], settled={"u9": "water"})


@settings(max_examples=40, deadline=None)
@given(n=st.integers(1, 60), data=st.data())
def test_agreement_has_an_exact_interval(n: int, data: st.DataObject) -> None:
    same = data.draw(st.integers(0, n))
    answers = [a for i in range(n) for a in (Answer(f"u{i}", "a", "x"), Answer(f"u{i}", "a" if i < same else "b", "y"))]
    found = review(answers, [f"u{i}" for i in range(n)]).agreement
    oracle = binomtest(same, n).proportion_ci(0.95, method="exact")
    assert (found.n, found.same) == (n, same)
    assert (found.low, found.high) == (pytest.approx(oracle.low, abs=1e-9), pytest.approx(oracle.high, abs=1e-9))
    assert f"{same / n:.0%}" in found.sentence


def test_nobody_twice_says_so() -> None:
    assert "nothing is known" in review([Answer("u1", "a", "x")], ["u1"]).agreement.sentence


@pytest.mark.parametrize(
    ("answers", "says"),
    [
        ([Answer("u9", "forest", "anna")], "no units of this design: u9"),
        ([Answer("u1", "Forest", "anna")], "not in the legend: 'Forest'"),
        ([Answer("u1", "forest", "")], "name nobody"),
        ([Answer("u1", "forest", "anna"), Answer("u1", "water", "anna")], "twice, differently: u1 by anna"),
    ],
)
def test_answers_that_cannot_count_are_refused(answers: list[Answer], says: str) -> None:
    with pytest.raises(BadInput, match=says):
        check_answers(answers, ["u1", "u2"], CLASSES, "labels.csv")


def test_words_of_people_are_read_as_they_mean_them() -> None:
    assert [is_sure(word) for word in ("", "yes", "TRUE", " 1 ", "no", "False", "0")] == [True] * 4 + [False] * 3
    with pytest.raises(BadInput, match="'maybe'"):
        is_sure("maybe")
    assert plain("  anna ", "name") == "anna"
    for bad in ("a\nb", "x" * 201, "a\x00b"):
        with pytest.raises(BadInput, match="no plain text"):
            plain(bad, "note")


# --- tasks -----------------------------------------------------------------------------------

ODD = ('a<b & "c"', "été", "water")


def test_the_style_for_qgis_is_xml_with_every_word_in_its_list() -> None:
    root = ET.fromstring(qgis_style(ODD).split("\n", 1)[1])
    fields = {field.get("name"): field for field in root.find("fieldConfiguration") or ()}
    assert tuple(fields) == FIELDS
    widget = fields["label"].find("editWidget")
    assert widget is not None
    assert widget.get("type") == "ValueMap"
    listed = [o for o in widget.iter("Option") if o.get("type") == "QString"]
    assert [o.get("value") for o in listed] == list(words(ODD))
    frozen = {f.get("name") for f in root.iter("field") if f.get("editable") == "0"}
    assert frozen == {"fid", "unit", "design"}


def check_task(task: dict[str, Any], project: dict[str, Any], name: str) -> None:
    """What Microsoft's tool checks of a task and of the project that it belongs to."""
    assert task["type"] == project["type"] == "FeatureCollection"
    (one,), (area,) = task["features"], project["features"]
    said, shared = one["properties"], area["properties"]
    assert one["id"] == said["name"] == name
    assert len(one["bbox"]) == 4
    assert one["geometry"]["type"] == "Polygon"
    ring = one["geometry"]["coordinates"][0]
    assert len(ring) >= 4
    assert ring[0] == ring[-1]
    for key in ("project_name", "instructions", "drawing_type"):
        assert isinstance(said[key], str)
        assert said[key]
    assert said["drawing_type"] in ("all", "lines", "polygons", "rectangles")
    for key in ("project_name", "drawing_type", "primary_classes", "layers"):
        assert said[key] == shared[key]
    classes = said["primary_classes"]
    assert {"display_name", "property_name", "names", "colors"} == set(classes)
    assert len(classes["names"]) == len(classes["colors"])
    for layer in said["layers"].values():
        assert layer["type"] in ("TileLayer", "ImageLayer", "OgcMapLayer")
        assert layer["tileSize"] in (256, 512)
        assert isinstance(layer["tileUrl"], str)


@pytest.mark.parametrize("tiles", ["", "https://tiles.example/{z}/{x}/{y}.png"])
def test_the_labelling_tool_gets_one_task_a_unit(tiles: str) -> None:
    project = "design-0123456789abcdef"
    ring = [[13.0, 52.0], [13.0, 52.1], [13.1, 52.1], [13.1, 52.0], [13.0, 52.0]]
    far = [[x + 1, y] for x, y in ring]
    files = labelling_tool(project, {"u1": ring, "u2": far}, "look", dict.fromkeys(ODD, "#112233"), tiles)
    assert len(files) == 4
    settings_ = json.loads(files["project_builder_settings.json"])
    for unit in ("u1", "u2"):
        name = task_name(project, unit)
        check_task(json.loads(files[f"tasks/{name}.json"]), settings_, name)
        assert unit_of(name) == (project, unit)
    assert files["summary.csv"].splitlines()[0] == "Task ID,West,South,East,North"
    assert len(files["summary.csv"].splitlines()) == 3
    assert settings_["features"][0]["geometry"]["coordinates"][0][2] == [14.1, 52.1]
    assert unit_of("somebody else's task") == ("", "")


def test_geojson_names_its_crs_where_it_is_not_longitude_and_latitude() -> None:
    assert json.loads(geojson([], "EPSG:32633"))["crs"]["properties"]["name"] == "urn:ogc:def:crs:EPSG::32633"
    assert "crs" not in json.loads(geojson([]))


def test_people_are_told_what_to_do_with_difficult_places() -> None:
    told = instructions(CLASSES, 30.0, 3, 100)
    assert all(name in told for name in (*CLASSES, CANNOT_TELL, NONE_OF_THESE))
    assert "most of the square" in told
