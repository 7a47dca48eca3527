"""The monitoring pages: every state and picture is on them, nothing from outside gets into them, no name is markup."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geoml_ops.adapters import pages
from geoml_ops.adapters.pages import pictures
from geoml_ops.adapters.pages.advice import steps_of
from geoml_ops.adapters.pages.drawing import Scale, span, ticks
from geoml_ops.adapters.pages.history import history, nearness, sparkline
from geoml_ops.adapters.pages.numbers import DASH, number, share
from geoml_ops.core.flow import Bundle, Decision, Drift, Entry, Judgement, Reading, Verdict, Version
from geoml_ops.core.policy import Policy
from geoml_ops.core.watched import ControlChart, Diagnosis, Statistic
from geoml_ops.domain.streams import SceneRow, row_of
from tests.every_noun import any_noun
from tests.pages import HOSTILE, Reader, hostile

DAY = datetime(2021, 3, 1, 10, tzinfo=UTC)
INSIDE = re.compile(r"(?:\.\./)?(?:index\.html|(?:streams|drifts|verdicts|maps)/[A-Za-z0-9._-]+)|[A-Za-z0-9-]+\.json")


class Whole(Reader):
    """Reads pages that hold an icon and line breaks too."""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        super().handle_starttag(tag, attrs)
        if tag in ("link", "br"):
            self.open.pop()


def read(html: str) -> Reader:
    """Returns a page that was read, after all that must hold for every monitoring page was asked of it."""
    page = Whole(html)
    assert not page.open, "every tag is closed"
    assert not page.comments
    assert not {"script", "iframe", "object", "form", "base"} & {tag for tag, _ in page.tags}
    for tag, attributes in page.tags:
        assert not [name for name in attributes if name.startswith("on")], tag
        if tag == "a":
            assert INSIDE.fullmatch(attributes["href"] or ""), attributes["href"]
        if tag == "img":
            assert (attributes["src"] or "").startswith("data:image/png;base64,")
            assert attributes["alt"]
        if tag == "svg":
            assert attributes["aria-label"]
    bare = re.sub(r"base64,[^\"]*", "", html)
    assert not re.search(r"(?i)https?:|url\(|@import|\bnan\b|\binf\b", bare)
    return page


def chart(value: float, path: float, *, alarm: bool = False) -> ControlChart:
    return ControlChart(
        family="bands", state="beyond" if alarm else "in control", value=value, worst="B08:mean", threshold=3.0,
        path=path, limit=1.5, alarm=alarm, n=30, sentence="Threshold of 30 scenes.",
    )  # fmt: skip


def drift(**more: Any) -> Drift:
    bands = [
        Statistic(column=name, distance=abs(far), mean_shift=300 * far, sd_ratio=1.0, drifted=abs(far) > 1)
        for name, far in (("B02", 0.2), ("B03", -1.7), ("B04", 2.5))
    ]
    plain = any_noun(Drift).model_copy(
        update={
            "stream": "s2/r", "acquired": DAY, "statistics": tuple(bands), "charts": (chart(4.0, 2.0, alarm=True),),
            "diagnosis": Diagnosis(cause="covariate shift", action="collect labels", sentence="Bands moved."),
            "prior_shift": {"forest": 0.4}, "threshold": 1.0, "where": None, "estimates": (),
        }
    )  # fmt: skip
    return plain.model_copy(update=more)


def view(made: Drift, **more: Any) -> pages.DriftView:
    return pages.DriftView(drift=made, row=row_of(made, reading=more.get("reading"), scenes=["scene 1"]), **more)


def rows(n: int, stream: str = "s2/r", **more: Any) -> list[SceneRow]:
    first = row_of(drift(charts=(chart(1.0, 0.5),)), scenes=["scene"], logged=DAY)
    changed = {"stream": stream, "standing": "in control", "cause": "none", **more}
    return [replace(first, acquired=DAY + timedelta(days=9 * i), drift=f"drift-{i:016x}", **changed) for i in range(n)]


def overview(**more: Any) -> pages.Overview:
    plain: dict[str, Any] = {
        "model": "landcover", "champion": any_noun(Entry), "challenger": None, "bundle": any_noun(Bundle),
        "policy": Policy(name="default"), "n_predictions": 3, "last_prediction": DAY, "n_drifts": 1,
        "drifts": (drift(),), "decisions": (any_noun(Decision),), "n_fired": 1, "versions": (any_noun(Version),),
        "verdicts": (any_noun(Verdict),), "judgements": (any_noun(Judgement),),
        "streams": (pages.StreamView("s2/r", rows(5)),), "trail": pages.TrailWords(7, "ab" * 32),
    }  # fmt: skip
    return pages.Overview(**plain | more)


# --- the overview ------------------------------------------------------------------------------


def test_the_overview_says_what_stands_where() -> None:
    alarm = [*rows(4), replace(rows(5)[4], standing="alarm", cause="covariate shift", alarm=True, sentence="It moved.")]
    page = read(
        pages.dashboard(overview(streams=[pages.StreamView("s2/r", alarm), pages.StreamView("l8/r", rows(3, "l8/r"))]))
    )
    for words in (
        "1 of 2 streams need a look",
        "covariate shift",
        "It moved.",
        "5 scenes",
        "in control",
        "7 evaluations",
    ):
        assert words in page.text, words
    assert "trail whole" in page.text


def test_a_trail_that_was_altered_is_said_in_red() -> None:
    html = pages.dashboard(overview(trail=pages.TrailWords(7, "ab", "0-2021.jsonl line 3: its digest does not fit")))
    assert "line 3" in read(html).text
    assert '<span class="tag bad">trail broken' in html


def test_a_decision_that_was_held_back_says_why() -> None:
    held = any_noun(Decision).model_copy(update={"suppressed": "cool-down of 90 days", "rule": "calibrated drift"})
    page = read(pages.dashboard(overview(decisions=(held,))))
    assert "cool-down of 90 days" in page.text
    assert "calibrated drift" in page.text


def test_nothing_yet_is_said_and_not_drawn() -> None:
    empty = {"streams": (), "drifts": (), "decisions": (), "versions": (), "verdicts": (), "judgements": ()}
    page = read(
        pages.dashboard(overview(champion=None, bundle=None, last_prediction=None, trail=None, n_drifts=0, **empty))
    )
    assert "none yet" in page.text
    assert "No data is not good news" in page.text


def test_links_go_to_the_other_servers_and_hostile_words_stay_words() -> None:
    html = pages.dashboard(overview(), links={HOSTILE: "http://127.0.0.1:8080/?a=1&b=2"})
    assert 'href="http://127.0.0.1:8080/?a=1&amp;b=2"' in html
    assert "<script>alert" not in html


def test_the_state_has_every_stream_and_where_it_stands() -> None:
    state = pages.state(overview())
    (stream,) = state["streams"]
    assert (stream["stream"], stream["n_scenes"], stream["now"]["standing"]) == ("s2/r", 5, "in control")
    kept = {"model", "champion", "policy", "n_predictions", "last_prediction", "calibrated", "drifts", "decisions",
            "versions", "verdicts", "judgements"}  # fmt: skip
    assert kept <= set(state)


# --- a stream ----------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [1, 2, 40, 200])
def test_each_scene_is_drawn_and_leads_to_its_page(n: int) -> None:
    html = pages.stream_page(pages.StreamView("s2/r", rows(n)))
    page = read(html)
    assert html.count("<circle") == 2 * n
    assert sum(tag == "a" and "drifts/" in (a["href"] or "") for tag, a in page.tags) == 3 * n + 1


def test_scenes_without_a_day_are_numbered() -> None:
    undated = [replace(row, acquired=None) for row in rows(7)]
    assert "scene 7" in history(undated)


def test_what_has_no_threshold_is_drawn_hollow_against_the_fixed_one() -> None:
    bare = ControlChart(family="bands", state="uncalibrated", value=1.2, n=4)
    young = [replace(row, charts=(bare,), calibrated=False, standing="uncalibrated", farthest=0.4) for row in rows(4)]
    html = pages.stream_page(pages.StreamView("s2/r", young))
    assert "fixed, uncalibrated" in html
    assert html.count('fill="#fff"') == 4
    assert "too few for a threshold" in read(html).text


def test_a_new_champion_and_an_alarm_are_marked() -> None:
    many = rows(10)
    many[5:] = [replace(row, bundle="bundle-" + "9" * 16) for row in many[5:]]
    many[8:] = [replace(row, charts=(chart(5, 2, alarm=True),), alarm=True, standing="alarm") for row in many[8:]]
    drawn = history(many)
    assert drawn.count("new champion") == 2
    assert drawn.count('fill-opacity="0.09"') == 2


def test_a_sparkline_is_a_part_of_the_limit() -> None:
    assert nearness(rows(1)[0]) == pytest.approx(0.5 / 1.5)
    assert "in control" in sparkline(rows(80))
    bare = replace(rows(1)[0], charts=(), farthest=None)
    assert nearness(bare) is None
    assert sparkline([bare]) == ""


# --- a comparison ------------------------------------------------------------------------------


READING = any_noun(Reading).model_copy(
    update={
        "statistics": {"B02:mean": 100.0, "B03:mean": 1.0, "B04:mean": 9.0, "class:forest": 0.31, "class:grass": None}
    }
)
PAIRS = {"B02": [(float(i), 1.1 * i) for i in range(30)]}


@pytest.mark.parametrize(
    ("picture", "more", "shows"),
    [
        ("bands", {}, "How far bands moved"),
        ("profile", {"reading": READING}, "Means of 3 bands beside those of the reference"),
        ("tiles", {"pairs": PAIRS}, "Matched tiles of 1 bands"),
        ("shares", {"reading": READING, "normal": {"class:forest": 0.52}}, "forest 52.0 % then 31.0 %"),
        ("map", {"picture": b"\x89PNG"}, "Map of the drift"),
    ],
)
def test_the_picture_that_shows_the_cause(picture: str, more: dict[str, Any], shows: str) -> None:
    named = Diagnosis(cause="gain", action="fix ingest", sentence="So.", picture=picture, bands=("B02",))
    html = pages.drift_page(view(drift(diagnosis=named), **more))
    read(html)
    assert shows in html


@pytest.mark.parametrize("picture", ["profile", "tiles", "shares", "map", "nothing known", ""])
def test_a_picture_that_cannot_be_drawn_gives_way_to_the_bands(picture: str) -> None:
    named = Diagnosis(cause="gain", action="fix ingest", sentence="So.", picture=picture)
    assert "How far bands moved" in pages.drift_page(view(drift(diagnosis=named)))


def test_numbers_that_are_not_there_are_dashes() -> None:
    named = Diagnosis(cause="gain", action="fix ingest", sentence="So.", evidence={"slope": None})
    lost = Statistic(column="B02", distance=1e300, mean_shift=-1e-300, sd_ratio=None, drifted=True)
    page = read(pages.drift_page(view(drift(statistics=(lost,), diagnosis=named))))
    assert DASH in page.text
    assert "1.00e+300" in page.text


@pytest.mark.parametrize("kind", [Drift, Reading, Decision])
def test_hostile_names_are_text(kind: Any) -> None:
    made = hostile(Drift, stream=HOSTILE)
    assert isinstance(made, Drift)
    bad = {"reading": hostile(Reading), "decisions": (hostile(Decision),), "pairs": {HOSTILE: [(1.0, 2.0)]}}
    named = made.diagnosis.model_copy(update={"picture": "tiles", "bands": (HOSTILE,), "others": {HOSTILE: 0.3}})
    made = made.model_copy(update={"diagnosis": named})
    page = read(pages.drift_page(view(made, bundle=hostile(Bundle), normal={f"class:{HOSTILE}": 0.1}, **bad)))
    assert HOSTILE in page.text
    stream = [replace(row, scenes=(HOSTILE,), cause=HOSTILE, sentence=HOSTILE) for row in rows(3, HOSTILE)]
    assert HOSTILE in read(pages.stream_page(pages.StreamView(HOSTILE, stream))).text
    nasty = overview(streams=[pages.StreamView(HOSTILE, stream)], decisions=(hostile(Decision),), model=HOSTILE)
    assert HOSTILE in read(pages.dashboard(nasty)).text


def test_a_colour_that_is_none_is_not_written() -> None:
    drawn = pictures.shares({"a": 0.5, "b": 0.5}, {}, {"a": '"/><script>', "b": "#00ff00"})
    assert "<script" not in drawn
    assert "#00ff00" in drawn


@pytest.mark.parametrize("cause", ["undeclared offset", "gain", "unit or scale", "band swap", "missing band",
                                   "cloud or nodata surge", "resampling or CRS"])  # fmt: skip
def test_each_fault_has_advice_of_its_own(cause: Any) -> None:
    plain = Diagnosis(cause="none", action="fix ingest", sentence="So.")
    named = Diagnosis(cause=cause, action="fix ingest", sentence="So.", bands=("B04",))
    assert len(steps_of(drift(diagnosis=named))) == len(steps_of(drift(diagnosis=plain))) + 1


def test_commands_are_set_apart_and_name_the_scene() -> None:
    named = Diagnosis(cause="gain", action="fix ingest", sentence="So.")
    assert any("<code>geoml impact S2A</code>" in step for step in steps_of(drift(diagnosis=named), "S2A"))


# --- numbers and axes --------------------------------------------------------------------------


@given(st.floats(allow_nan=True, allow_infinity=True) | st.none())
def test_every_number_can_be_written(value: float | None) -> None:
    assert number(value)
    assert share(value)
    if value is not None and math.isfinite(value) and abs(value) > 1e-300:
        assert float(number(value, 6).replace(",", "")) == pytest.approx(value, rel=1e-4, abs=1e-300)


@given(st.lists(st.floats(-1e12, 1e12), min_size=1, max_size=30), st.booleans())
def test_axes_hold_what_they_show(values: list[float], zero: bool) -> None:
    low, high = span(values, zero=zero)
    assert low < high
    assert low <= min(values) <= max(values) <= high
    found = ticks(low, high)
    assert 1 <= len(found) <= 12
    assert all(low - 1e-6 * (high - low) <= t <= high + 1e-6 * (high - low) for t in found)
    scale = Scale(low, high, 100, 0)
    assert all(-0.001 <= scale(v) <= 100.001 for v in values)


def test_slugs_of_streams_differ_wherever_streams_do() -> None:
    names = ["a/b", "a-b", "a b", "", "/", "x" * 300, "x" * 301, HOSTILE, "../../etc/passwd"]
    slugs = [pages.slug_of(name) for name in names]
    assert len(set(slugs)) == len(names)
    assert all(re.fullmatch(r"[A-Za-z0-9-]{1,80}", slug) for slug in slugs)
