"""The page of figures has a place for each of them."""

import pytest

from tests.benchmarks.__main__ import FIGURES
from tests.benchmarks.page import PARTS, page


def figure(name: str) -> dict[str, object]:
    numbers = {"ours": 2e6, "against": 1e3, "ratio": 2000.0, "ratio_low": 1.0, "ratio_high": 3000.0}
    return {"name": name, "compared": "this against that", "unit": "pixels/s", **numbers}


def test_every_figure_has_its_place_and_stands_there_once() -> None:
    said = page([figure(name) for name in FIGURES])
    assert all(said.count(f"| `{name}` |") == 1 for name in FIGURES)
    assert all(f"## {title}\n" in said for title in PARTS)


def test_a_figure_without_a_place_is_named() -> None:
    with pytest.raises(ValueError, match="no part of the page holds nowhere"):
        page([figure("nowhere")])
