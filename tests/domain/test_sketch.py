from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from geoml_ops.core.grid import Grid
from geoml_ops.domain.sketch import edge_density, sketch_tiles


def grid(height: int, width: int) -> Grid:
    return Grid(crs="EPSG:32633", left=300000.0, top=5800000.0, pixel_m=10.0, width=width, height=height)


def world(height: int = 40, width: int = 50, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(200, 3000, (2, height, width)).astype(np.float32)


def by_hand(classes: np.ndarray, valid: np.ndarray) -> float | None:
    pairs = differ = 0
    rows, cols = classes.shape
    for y in range(rows):
        for x in range(cols):
            for dy, dx in ((0, 1), (1, 0)):
                if y + dy < rows and x + dx < cols and valid[y, x] and valid[y + dy, x + dx]:
                    pairs += 1
                    differ += int(classes[y, x] != classes[y + dy, x + dx])
    return differ / pairs if pairs else None


@given(
    hnp.arrays(np.uint8, hnp.array_shapes(min_dims=2, max_dims=2, max_side=6), elements=st.integers(0, 2)),
    st.integers(0, 2**31),
)
@settings(max_examples=60, deadline=None)
def test_edge_density_counts_pairs_as_by_hand(classes: np.ndarray, seed: int) -> None:
    valid = np.random.default_rng(seed).random(classes.shape) < 0.7
    assert edge_density(classes, valid) == by_hand(classes, valid)


def test_a_chessboard_is_all_edges_and_one_colour_has_none() -> None:
    board = (np.indices((8, 8)).sum(0) % 2).astype(np.uint8)
    valid = np.ones((8, 8), bool)
    assert edge_density(board, valid) == 1.0
    assert edge_density(np.zeros_like(board), valid) == 0.0
    assert edge_density(board, ~valid) is None
    assert edge_density(board[:1, :1], valid[:1, :1]) is None


def test_one_row_per_tile_with_its_centre_and_its_numbers() -> None:
    dn = world()
    columns = sketch_tiles(dn, ("B02", "B03"), grid(40, 50), 32)
    assert {len(column) for column in columns.values()} == {4}, "2 x 2 tiles, the last ones smaller"
    assert columns["easting"] == [300160.0, 300410.0, 300160.0, 300410.0]
    assert columns["northing"] == [5799840.0, 5799840.0, 5799640.0, 5799640.0]
    assert columns["n_px"] == [32.0 * 32, 32.0 * 18, 8.0 * 32, 8.0 * 18]
    assert columns["valid_share"] == [1.0] * 4
    corner = dn[1, 32:, 32:].astype(np.float64)
    assert columns["B03:mean"][3] == pytest.approx(corner.mean())
    assert columns["B03:sd"][3] == pytest.approx(corner.std())
    assert columns["B03:p01"][3] == pytest.approx(np.percentile(corner, 1))
    assert columns["B03:p50"][3] == pytest.approx(np.median(corner))
    assert columns["B03:p99"][3] == pytest.approx(np.percentile(corner, 99))


def test_a_pixel_missing_in_one_band_counts_in_none() -> None:
    dn = world(16, 16)
    dn[0, :8] = np.nan
    columns = sketch_tiles(dn, ("B02", "B03"), grid(16, 16), 16)
    assert columns["valid_share"] == [0.5]
    assert columns["B03:mean"][0] == pytest.approx(dn[1, 8:].astype(np.float64).mean())


def test_a_tile_without_any_pixel_has_no_numbers_and_not_zeros() -> None:
    dn = np.full((2, 16, 16), np.nan, np.float32)
    classes = np.full((16, 16), 255, np.uint8)
    confidence = np.full((16, 16), np.nan, np.float32)
    columns = sketch_tiles(
        dn, ("B02", "B03"), grid(16, 16), 16, classes=classes, confidence=confidence, class_names=("a", "b")
    )
    assert columns["valid_share"] == [0.0]
    for name in ("B02:mean", "B02:sd", "B02:p01", "B02:p50", "B02:p99", "class:a", "confidence", "edge_density"):
        assert columns[name] == [None], name


def test_class_shares_and_confidence_are_those_of_answered_pixels() -> None:
    classes = np.zeros((16, 16), np.uint8)
    classes[:, 8:] = 2
    classes[:4] = 255
    confidence = np.where(classes == 2, 0.5, 0.9).astype(np.float32)
    columns = sketch_tiles(
        world(16, 16), ("B02", "B03"), grid(16, 16), 16, classes=classes, confidence=confidence,
        class_names=("a", "b", "c"),
    )  # fmt: skip
    assert [columns[f"class:{name}"][0] for name in "abc"] == [0.5, 0.0, 0.5]
    assert columns["confidence"][0] == pytest.approx(0.7)
    # 12 answered rows of 16: 12 x 15 + 11 x 16 pairs, of which the 12 across the middle differ.
    assert columns["edge_density"][0] == pytest.approx(12 / (12 * 15 + 11 * 16))


@given(offset=st.integers(-150, 2000), seed=st.integers(0, 1000))
@settings(max_examples=25, deadline=None)
def test_an_offset_moves_means_and_percentiles_and_nothing_else(offset: int, seed: int) -> None:
    dn = np.round(world(seed=seed))
    before = sketch_tiles(dn, ("B02", "B03"), grid(40, 50), 25)
    after = sketch_tiles(dn + np.float32(offset), ("B02", "B03"), grid(40, 50), 25)
    for name, column in before.items():
        moves = name.split(":")[-1] in ("mean", "p01", "p50", "p99")
        shifted = [value + offset * moves for value in column if value is not None]
        np.testing.assert_allclose(after[name], shifted, atol=1e-6)  # type: ignore[arg-type]


def test_names_and_layers_must_agree() -> None:
    with pytest.raises(ValueError, match="1 names for 2 bands"):
        sketch_tiles(world(), ("B02",), grid(40, 50), 32)
