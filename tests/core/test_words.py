"""Plain names: what they are made of, and that no two become one."""

import re

from hypothesis import given
from hypothesis import strategies as st

from geoml_ops.core.words import plain, plain_names


def test_names_people_give_become_names_machines_take():
    assert plain_names(("water", "built up", "Wälder & Straße", "水", "a-b_c")) == (
        "water", "built_up", "Walder_Strasse", "class_3", "a-b_c",
    )  # fmt: skip
    assert plain_names(("built up", "built-up", "built_up", "built_up_0")) == (
        "built_up_1", "built-up", "built_up", "built_up_0",
    )  # fmt: skip
    assert plain("(!)") == ""


@given(st.lists(st.text(min_size=1, max_size=12), min_size=1, max_size=8, unique=True))
def test_every_name_is_plain_and_its_own(words):
    found = plain_names(words)
    assert all(re.fullmatch(r"[0-9A-Za-z_-]+", name) for name in found)
    assert len(set(found)) == len(words)
