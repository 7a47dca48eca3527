"""Blocks on the ground: which one a place lies in, and how they come to folds."""

from __future__ import annotations

import dataclasses
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import cKDTree
from scipy.spatial.distance import pdist

from geoml_ops.core.errors import BadInput
from geoml_ops.domain.folds import BlockFolds, Samples
from geoml_ops.domain.folds.blocks import cells_of
from tests.domain.folds.worlds import field, made

CORNER = np.array([300_000.0, 5_800_000.0])


def lattice(n: int, spacing_m: float = 1000.0) -> Samples:
    """``n`` x ``n`` places, row by row from the north-west, as a matrix is read."""
    row, col = np.divmod(np.arange(n * n), n)
    return made(CORNER + np.column_stack([col, n - 1 - row]) * spacing_m)


def test_sixteen_places_in_four_blocks_make_the_known_folds() -> None:
    # The documented example of a block k-fold elsewhere: 4 x 4 places, blocks of 2 x 2, four folds.
    splits = BlockFolds(lattice(4), n_folds=4, block_m=2000.0, deal="systematic").splits()
    assert [test.tolist() for _, test in splits] == [
        [0, 1, 4, 5], [2, 3, 6, 7], [8, 9, 12, 13], [10, 11, 14, 15],
    ]  # fmt: skip
    assert next(train.tolist() for train, _ in splits) == [2, 3, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]


def test_systematic_blocks_go_round_the_folds_row_by_row() -> None:
    fold = BlockFolds(lattice(4), n_folds=3, block_m=1000.0, deal="systematic").fold_of()
    assert fold.tolist() == [number % 3 for number in range(16)]


def test_only_occupied_blocks_are_counted_in_turn() -> None:
    places = lattice(4).ground[[0, 3, 5, 15]]
    assert BlockFolds(made(places), n_folds=2, block_m=1000.0, deal="systematic").fold_of().tolist() == [0, 1, 0, 1]


def test_neighbours_on_a_chessboard_have_different_colours() -> None:
    fold = BlockFolds(lattice(6), n_folds=2, block_m=1000.0, deal="checkerboard").fold_of().reshape(6, 6)
    assert (fold[:, 1:] != fold[:, :-1]).all()
    assert (fold[1:] != fold[:-1]).all()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"shape": "hexagon", "n_folds": 2}, "A chessboard has squares and 2 folds, not hexagons and 2"),
        ({"n_folds": 5}, "A chessboard has squares and 2 folds, not squares and 5"),
    ],
)
def test_other_chessboards_are_refused(change: dict[str, object], sentence: str) -> None:
    with pytest.raises(BadInput, match=sentence):
        BlockFolds(lattice(4), block_m=1000.0, deal="checkerboard", **change).splits()  # type: ignore[arg-type]


def test_a_chessboard_of_one_colour_is_refused() -> None:
    diagonal = made(CORNER + np.arange(5)[:, None] * np.array([[1000.0, 1000.0]]))
    with pytest.raises(BadInput, match="All 5 occupied blocks of 1000 m have the same colour"):
        BlockFolds(diagonal, n_folds=2, block_m=1000.0, deal="checkerboard").splits()


def test_three_hexagons_meet_in_a_corner_a_width_apart() -> None:
    middles = np.array([[0.0, 0.0], [1.0, 0.0], [0.5, np.sqrt(3) / 2]])
    assert pdist(middles) == pytest.approx([1.0, 1.0, 1.0])
    assert cells_of(middles * 700, 700.0, "hexagon").tolist() == [[0, 0], [0, 1], [-1, 0]]


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.floats(20, 5000))
def test_a_place_lies_in_the_hexagon_whose_middle_is_nearest(seed: int, width: float) -> None:
    rng = np.random.default_rng(seed)
    places = rng.uniform(-4, 4, (200, 2)) * width
    rows, cols = np.meshgrid(np.arange(-8, 9), np.arange(-8, 9), indexing="ij")
    middles = np.column_stack([(cols + rows % 2 / 2).ravel() * width, rows.ravel() * width * np.sqrt(3) / 2])
    gap, nearest = cKDTree(middles).query(places)
    expected = np.column_stack([-rows.ravel()[nearest], cols.ravel()[nearest]])
    assert (cells_of(places, width, "hexagon") == expected).all()
    assert gap.max() <= width / np.sqrt(3) * (1 + 1e-9)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.floats(20, 5000))
def test_a_place_lies_in_the_square_around_it(seed: int, edge: float) -> None:
    places = np.random.default_rng(seed).uniform(-9, 9, (200, 2)) * edge
    row, col = cells_of(places, edge).T
    assert ((col * edge <= places[:, 0]) & (places[:, 0] < (col + 1) * edge)).all()
    assert ((-row * edge <= places[:, 1]) & (places[:, 1] < (-row + 1) * edge)).all()


def test_blocks_far_apart_never_share_a_number() -> None:
    # Packed as row * 10000 + column, two of these would both be 1666680000, or -1666650000 from the north.
    places = [[300_015.0, 5_000_010.0], [600_015.0, 5_000_010.0], [300_015.0, 4_999_980.0], [600_015.0, 4_999_980.0]]
    assert BlockFolds(made(np.array(places)), block_m=30.0).groups().tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("shape", ["square", "hexagon"])
@pytest.mark.parametrize("deal", ["balanced", "systematic"])
def test_moving_everything_by_whole_blocks_changes_nothing(shape: str, deal: str) -> None:
    samples, edge = field(1), 1024.0
    by = np.array([7 * edge, 0.0] if shape == "hexagon" else [7 * edge, -3 * edge])
    moved = dataclasses.replace(
        samples,
        easting=samples.easting + by[0],
        northing=samples.northing + by[1],
        anchor_easting=samples.anchor_easting + by[0],
        anchor_northing=samples.anchor_northing + by[1],
    )
    one, other = (
        BlockFolds(each, block_m=edge, shape=shape, deal=deal, buffer_m=200.0).splits()  # type: ignore[arg-type]
        for each in (samples, moved)
    )
    assert all((a == b).all() for pair in zip(one, other, strict=True) for a, b in zip(*pair, strict=True))


def test_a_moved_grid_is_turned_and_shifted_and_its_blocks_are_as_large() -> None:
    dense = made(CORNER + np.random.default_rng(0).uniform(0, 9000, (4000, 2)), pixel_m=0.01)
    for shape, widest in (("square", np.sqrt(2)), ("hexagon", 2 / np.sqrt(3))):
        blocks = {
            seed: BlockFolds(dense, block_m=900.0, shape=shape, moved=True, seed=seed).groups()  # type: ignore[arg-type]
            for seed in range(3)
        }
        for block in blocks.values():
            spans = [
                pdist(dense.ground[block == number]).max()
                for number in range(block.max() + 1)
                if (block == number).sum() > 1
            ]
            assert 0.85 * 900 * widest < max(spans) <= 900 * widest * (1 + 1e-9)
        assert len({tuple(block) for block in blocks.values()}) == 3
        still = BlockFolds(dense, block_m=900.0, shape=shape).groups()  # type: ignore[arg-type]
        north_west = [dense.ground[still == number] for number in (0, still.max())]
        assert north_west[0][:, 1].min() > north_west[1][:, 1].max()
        # Not only shifted: a block of the moved grid is no rectangle along the axes of the CRS.
        largest = Counter(blocks[0].tolist()).most_common(1)[0][0]
        assert np.ptp(dense.ground[blocks[0] == largest], axis=0).max() > 900 * 1.02 or shape == "hexagon"


def test_a_unit_lies_in_one_block_and_a_polygon_in_that_of_its_anchor() -> None:
    samples = field(2)
    block = BlockFolds(samples, block_m=2000.0).groups()
    for number in np.unique(samples.polygon):
        assert len(np.unique(block[samples.polygon == number])) == 1
    own = cells_of(samples.ground, 2000.0)
    assert (own != cells_of(samples.anchors, 2000.0)).any(), "no polygon lies across an edge; this shows nothing"


@pytest.mark.parametrize(
    ("samples", "block_m", "sentence"),
    [
        (
            made(np.array([[9.0, 50.0], [11.0, 52.0]]), projected=False),
            5000.0,
            "Blocks of 5000 m cannot be cut in EPSG:4326",
        ),
        (made(np.array([[9.0, 50.0], [11.0, 52.0]])), 5000.0, "2 places lie within 2 x 2 around 10, 51.*like degrees"),
        (lattice(3), 5.0, "Blocks of 5 m are smaller than a pixel of 10 m"),
        (lattice(3), np.inf, "Blocks of inf m cannot be cut"),
        (lattice(3), np.nan, "Blocks of nan m cannot be cut"),
        (lattice(2), 1000.0, "4 blocks of 1000 m cannot make 5 folds. Try: use fewer folds, smaller blocks"),
        (made(np.array([[np.nan, 50.0], [11.0, np.inf]])), 1000.0, "2 of 2 samples have no coordinates"),
    ],
)
def test_what_has_no_blocks_is_refused(samples: Samples, block_m: float, sentence: str) -> None:
    for deal in ("balanced", "systematic"):
        with pytest.raises(BadInput, match=sentence):
            BlockFolds(samples, block_m=block_m, deal=deal).splits()  # type: ignore[arg-type]
