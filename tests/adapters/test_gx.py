"""GX says what our rules say, also where it would say nothing by itself."""

import pandas as pd
import pytest

from geoml_ops.adapters import gx
from geoml_ops.core.bands import SENTINEL_2_L1C, Radiometry
from geoml_ops.core.flow import Check, Verdict
from geoml_ops.domain.checks import DELIVERED, MEASURED, Rule, delivered_rules, measured_rules

RANGE = Rule(name="range", about="between", column="v", key="k", low=0.0, high=1.0, passed="in", failed="out: {found}")
NUMBERS = dict.fromkeys(("crs",), "EPSG:32633") | {"dtype": "uint16", "pixel_m": 10.0, "twin": ""}
EDGES = {"left": 4e5, "right": 5e5, "bottom": 5.7e6, "top": 5.8e6}
GOOD = [
    {"band": n, **NUMBERS, **EDGES, "nodata_share": 0.0, "low": 5.0, "middle": 9.0, "high": 20.0, "inside_share": 1.0,
     "sd": 3.0}
    for n in SENTINEL_2_L1C.names
]  # fmt: skip


def failed(rows):
    outcome = gx.validate("t", rows, MEASURED, measured_rules(SENTINEL_2_L1C))
    return {c.name: c.sentence for c in outcome.checks if not c.passed and c.blocking}


def test_good_rows_pass_everything():
    assert failed(GOOD) == {}


def test_a_range_alone_passes_what_is_not_there():
    """The trap: GX 1.24 finds no fault with an empty or an all-null column."""
    for rows in ([], [{"k": "a", "v": None}] * 3):
        assert gx.validate("t", rows, ("k", "v"), [RANGE]).checks[0].passed


@pytest.mark.parametrize(
    ("rows", "name", "words"),
    [
        ([], "bands: counted", "There are 0"),
        (GOOD[:-1], "bands: counted", "There are 12"),
        ([{k: v for k, v in row.items() if k != "sd"} for row in GOOD], "bands: sd known", "not known for B01"),
        ([{**row, "inside_share": float("nan")} for row in GOOD], "bands: inside_share known", "and 5 more"),
        ([{**row, "surprise": 1} for row in GOOD], "bands: facts complete", "unexpected surprise"),
        ([{**row, "nodata_share": 1.0} for row in GOOD], "nodata share", "More than 95%"),
        ([*GOOD[:-1], {**GOOD[-1], "inside_share": 0.5}], "value range", "B12 0.5"),
        ([*GOOD[:-1], {**GOOD[-1], "crs": "EPSG:3857"}], "CRS", "B12 EPSG:3857"),
        ([*GOOD[:-1], {**GOOD[-1], "crs": "EPSG:32633\n"}], "CRS", "not a UTM zone"),
        ([*GOOD[:-1], {**GOOD[-1], "left": 5.0}], "left inside the zone", "B12 5"),
    ],
)
def test_each_fault_is_named(rows, name, words):
    found = failed([{**row, "band": row["band"].replace("bands", "")} for row in rows])
    key = next((n for n in found if n in (name, f"measured {name}")), None)
    assert key is not None, found
    assert words in found[key]


def test_bands_are_compared_by_name():
    rows = [{"band": n, "problem": ""} for n in SENTINEL_2_L1C.names]
    rows[3]["band"] = "B4"
    checks = gx.validate("t", rows, DELIVERED, delivered_rules(SENTINEL_2_L1C)).checks
    assert "missing B04; not known B4" in checks[0].sentence


def test_delivered_text_is_never_a_template():
    rule = Rule(name="r", about="in set", column="v", allowed=("a",), passed="", failed="bad: {found}")
    assert gx.validate("t", [{"v": "{rule}{0}"}], ("v",), [rule]).checks[0].sentence == "bad: {rule}{0}"


def test_an_exception_inside_gx_fails_the_check():
    rule = Rule(name="r", about="in set", column="absent", allowed=("a",), passed="", failed="bad: {found}")
    assert not gx.validate("t", [{"v": 1}], ("v",), [rule]).checks[0].passed


def test_the_page_is_whole_and_repeats(tmp_path):
    outcome = gx.validate("Bands", GOOD, MEASURED, measured_rules(SENTINEL_2_L1C))
    checks = (*outcome.checks, Check(name="<b>", passed=False, sentence="<img src=//x.example/p>"))
    verdict = Verdict(delivery="one", accepted=False, checks=checks)
    texts = []
    for name in ("a", "b"):
        page = gx.write_docs(tmp_path / name, verdict, [outcome])
        texts.append((page.read_text(), (tmp_path / name / "result.json").read_text()))
    assert texts[0] == texts[1]
    assert "<img" not in texts[0][0]
    assert "http" not in texts[0][0]
    assert "refused" in texts[0][0]
    index = gx.write_index(tmp_path, [("a", verdict)]).read_text()
    assert 'href="a/index.html"' in index


def test_the_frame_given_is_the_frame_judged():
    assert len(pd.DataFrame(GOOD)) == len(SENTINEL_2_L1C.bands)
    assert Radiometry(scale=1e-4) == SENTINEL_2_L1C.radiometry
