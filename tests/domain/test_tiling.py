from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from geoml_ops.domain.tiling import classify_array, tiles, with_halo


class Answer(NamedTuple):
    probability: NDArray[np.float32]
    valid: NDArray[np.bool_]


def sum_around(halo: int):
    """A model that looks: class 1 where the mean of the observed neighbourhood is above 0."""

    def run(dn: NDArray[np.float32]) -> Answer:
        _, _, height, width = dn.shape
        filled = np.nan_to_num(dn[0, 0])
        padded = np.pad(filled, halo)
        total = sum(padded[r : r + height, c : c + width] for r in range(2 * halo + 1) for c in range(2 * halo + 1))
        one = (1 / (1 + np.exp(-total))).astype(np.float32)
        valid = np.isfinite(dn[:, :1])
        return Answer(np.stack([1 - one, one])[np.newaxis] * valid, valid)

    return run


@given(height=st.integers(1, 40), width=st.integers(1, 40), tile_px=st.integers(1, 50))
def test_every_pixel_lies_in_exactly_one_tile(height: int, width: int, tile_px: int) -> None:
    seen = np.zeros((height, width), int)
    for window in tiles(height, width, tile_px):
        seen[window.slices()] += 1
    assert (seen == 1).all()


@settings(deadline=None, max_examples=40)
@given(
    height=st.integers(1, 30),
    width=st.integers(1, 30),
    tile_px=st.integers(1, 33),
    halo_px=st.integers(0, 3),
    seed=st.integers(0, 99),
)
def test_tiles_with_the_right_halo_answer_as_the_whole_does(
    height: int, width: int, tile_px: int, halo_px: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    dn = rng.normal(size=(1, height, width)).astype(np.float32)
    dn[rng.random(dn.shape) < 0.2] = np.nan
    run = sum_around(halo_px)
    classes, confidence = classify_array(dn, run, tile_px, halo_px)
    whole, sure = classify_array(dn, run, max(height, width), halo_px, threads=1)
    np.testing.assert_array_equal(classes, whole)
    np.testing.assert_allclose(confidence, sure, atol=1e-5)
    np.testing.assert_array_equal(classes == 255, np.isnan(dn[0]))
    np.testing.assert_array_equal(np.isnan(confidence), np.isnan(dn[0]))


def test_without_its_halo_a_looking_model_shows_seams() -> None:
    dn = np.random.default_rng(1).normal(size=(1, 32, 32)).astype(np.float32)
    _, apart = classify_array(dn, sum_around(2), 8, 0)
    _, whole = classify_array(dn, sum_around(2), 32, 2)
    assert np.abs(apart - whole).max() > 0.1


def test_the_halo_beyond_the_scene_is_not_observed() -> None:
    dn = np.ones((2, 3, 4), np.float32)
    window = next(tiles(3, 4, 2))
    around = with_halo(dn, window, 1)
    assert around.shape == (2, 4, 4)
    assert np.isnan(around[:, 0]).all()
    assert np.isnan(around[:, :, 0]).all()
    assert (around[:, 1:, 1:] == 1).all()


def test_a_graph_that_shrinks_its_input_is_a_broken_promise() -> None:
    def run(dn: NDArray[np.float32]) -> Answer:
        return Answer(np.zeros((1, 2, 1, 1), np.float32), np.ones((1, 1, 1, 1), bool))

    with pytest.raises(ValueError, match="asked about"):
        classify_array(np.zeros((1, 4, 4), np.float32), run)


def test_tiles_of_no_size_are_refused() -> None:
    with pytest.raises(ValueError, match="0 px"):
        list(tiles(3, 3, 0))
