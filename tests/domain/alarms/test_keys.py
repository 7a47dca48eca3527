from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geoml_ops.core.errors import BadInput
from geoml_ops.domain.alarms import Key, choose, key_of
from geoml_ops.domain.alarms.keys import MONTHS, SEASONS, years_of

JULY = Key("sentinel-2", "04.00", "m07", "north")
NAMES = st.text(st.characters(exclude_characters="/", exclude_categories=("C", "Z")), min_size=1, max_size=80).filter(
    lambda name: name != "-"
)


@given(NAMES, st.one_of(st.just(""), NAMES), st.sampled_from([*MONTHS, *SEASONS]), NAMES)
def test_a_key_survives_its_text(sensor: str, baseline: str, part: str, region: str) -> None:
    key = Key(sensor, baseline, part, region)
    assert Key.parse(str(key)) == key
    assert hash(Key.parse(str(key))) == hash(key)


@pytest.mark.parametrize(
    "text", ["", "a/b/m07", "a/b/m07/c/d", "a//m07/c", "a/b/m13/c", "a/b/jja/c", "/b/m07/c", "a/b/m07/-", "a /b/m07/c",
             "a/b/m07/c\n", "a/b/m07/c\u202ed", "a/b/m07/c\x85", "a/b/m07/" + "c" * 81]
)  # fmt: skip
def test_what_is_no_key_is_refused(text: str) -> None:
    with pytest.raises(BadInput) as caught:
        Key.parse(text)
    assert len(str(caught.value)) < 250


def test_the_month_is_that_of_utc() -> None:
    names = {"sensor": "landsat-8", "baseline": "", "region": "north"}
    late = datetime(2020, 7, 31, 22, tzinfo=timezone(timedelta(hours=-5)))
    assert str(key_of(late, **names)) == "landsat-8/-/m08/north"  # type: ignore[arg-type]
    assert str(key_of(late, by="season", **names)) == "landsat-8/-/JJA/north"  # type: ignore[arg-type]
    with pytest.raises(BadInput, match="time zone"):
        key_of(late.replace(tzinfo=None), **names)  # type: ignore[arg-type]


@pytest.mark.parametrize("month", range(1, 13))
def test_a_season_holds_its_months(month: int) -> None:
    month_key, season_key = (
        key_of(datetime(2021, month, 5, tzinfo=UTC), sensor="s", baseline="b", region="r", by=by)  # type: ignore[arg-type]
        for by in ("month", "season")
    )
    assert {month_key, season_key} <= set(month_key.season())
    assert len(month_key.season()) == 4


def test_december_touches_january() -> None:
    assert [k.part for k in Key("s", "", "m12", "r").neighbours()] == ["m11", "m12", "m01"]
    assert [k.part for k in Key("s", "", "DJF", "r").neighbours()] == ["SON", "DJF", "MAM"]


def test_a_winter_is_one_year() -> None:
    times = np.array(["2020-12-31", "2021-01-01", "2021-12-01"], dtype="datetime64[s]")
    winter, months = [Key("s", "", "DJF", "r")] * 3, [Key("s", "", "m12", "r")] * 3
    assert years_of(times, winter).tolist() == [2021, 2021, 2022]
    assert years_of(times, months).tolist() == [2020, 2021, 2021]
    assert years_of(np.array(["1969-12-31"], dtype="datetime64[s]"), winter[:1]).tolist() == [1970]


def test_nothing_is_borrowed_unless_stated() -> None:
    counts = {JULY: 2, JULY.neighbours()[0]: 4, JULY.neighbours()[2]: 4, Key("landsat-8", "04.00", "m07", "north"): 99}
    assert choose(JULY, counts, least=5).ground == "no reference yet"
    assert choose(JULY, counts, least=2).ground == "own"
    borrowed = choose(JULY, counts, least=5, fallback=("neighbours", "season"))
    assert (borrowed.ground, borrowed.n, len(borrowed.keys)) == ("neighbours", 10, 3)
    assert choose(JULY, counts, least=10, fallback=("season",)).n == 10
    with pytest.raises(BadInput, match="borrow"):
        choose(JULY, counts, least=5, fallback=("year",))  # type: ignore[arg-type]


def test_a_new_baseline_has_no_reference_yet() -> None:
    new = Key("sentinel-2", "05.11", "m07", "north")
    assert choose(new, {JULY: 1000}, least=5, fallback=("neighbours", "season")).ground == "no reference yet"
    assert new.stream == JULY.stream
    assert new.group != JULY.group
