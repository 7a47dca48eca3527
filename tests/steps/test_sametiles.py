"""The same tiles before and now: matched by where they are, whatever their order, never by chance."""

from __future__ import annotations

import numpy as np
import pytest

from geoml_ops.steps.sametiles import LEAST_MATCHED, MOST_MATCHED, matched

BANDS = ("B02", "B03")


def tiles(n: int, *, step: float = 1280.0, start: float = 0.0, shift: float = 0.0) -> dict[str, np.ndarray]:
    at = start + step * np.arange(n)
    return {
        "easting": at,
        "northing": start + 2 * step * np.arange(n),
        "B02:mean": np.arange(n) + shift,
        "B03:mean": np.arange(n) * 2.0,
    }


def test_tiles_are_matched_by_place_and_not_by_order() -> None:
    now = tiles(40, shift=1000)
    order = np.random.default_rng(0).permutation(40)
    found = matched(tiles(40), {name: column[order] for name, column in now.items()}, BANDS)
    assert set(found) == set(BANDS)
    assert all(b - a == 1000 for a, b in found["B02"])
    assert all(a == b for a, b in found["B03"])


@pytest.mark.parametrize("moved", [0.0, 0.3, -0.3])
def test_a_place_is_the_same_within_half_a_metre(moved: float) -> None:
    assert len(matched(tiles(40), tiles(40, start=moved), BANDS)["B02"]) == 40


@pytest.mark.parametrize("before", [{}, {"easting": np.array([])}, tiles(LEAST_MATCHED - 1), tiles(40, start=640.0)])
def test_too_few_tiles_are_no_match(before: dict[str, np.ndarray]) -> None:
    assert matched(before, tiles(40), BANDS) == {}


def test_places_in_degrees_are_told_apart() -> None:
    assert len(matched(tiles(40, step=0.01), tiles(40, step=0.01), BANDS)["B02"]) == 40
    assert matched(tiles(40, step=0.01), tiles(40, step=0.01, start=0.005), BANDS) == {}


def test_places_and_numbers_that_are_none_are_left_out() -> None:
    lost, gaps = tiles(40), tiles(40)
    lost["easting"] = np.where(np.arange(40) == 3, np.nan, lost["easting"])
    assert matched(lost, tiles(40), BANDS) == {}
    gaps["B02:mean"] = np.where(np.arange(40) < 35, np.nan, 1.0)
    assert set(matched(gaps, tiles(40), BANDS)) == {"B03"}
    assert matched(tiles(40), tiles(40), ("B09",)) == {}


def test_many_tiles_are_thinned() -> None:
    assert LEAST_MATCHED <= len(matched(tiles(5000), tiles(5000), BANDS)["B02"]) <= MOST_MATCHED
