from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from geoml_ops.adapters.ort import Graph
from geoml_ops.core.evidence import Conformal, Region, Score
from geoml_ops.core.grid import Bounds, Grid, Window
from geoml_ops.domain.tiling import (
    CEILING,
    Block,
    Box,
    Lattice,
    Layers,
    Run,
    classify_array,
    classify_block,
    filled,
    least_over,
    least_probability,
    members_of,
    outside,
    seam_score,
    sets,
    slope,
    tiles,
    with_halo,
)
from geoml_ops.domain.tiling.layers import packed, percent_of_threshold
from tests.looking import looking_graph

GRID = Grid(crs="EPSG:32633", left=300_000.0, top=5_800_000.0, pixel_m=10.0, width=40, height=30)


class Answer(NamedTuple):
    probability: NDArray[np.float32]
    valid: NDArray[np.bool_]
    dissimilarity: NDArray[np.float32] | None = None
    density: NDArray[np.float32] | None = None


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
    apart = classify_array(dn, run, tile_px, halo_px)
    whole = classify_array(dn, run, max(height, width), halo_px, threads=1)
    np.testing.assert_array_equal(apart.classes, whole.classes)
    np.testing.assert_allclose(apart.confidence, whole.confidence, atol=1e-5)
    np.testing.assert_array_equal(apart.known, np.isfinite(dn[0]))
    np.testing.assert_array_equal(np.isnan(apart.confidence), np.isnan(dn[0]))
    assert (apart.set_size, apart.members, apart.dissimilarity, apart.density, apart.outside) == (None,) * 5


def test_without_its_halo_a_looking_model_shows_seams() -> None:
    dn = np.random.default_rng(1).normal(size=(1, 32, 32)).astype(np.float32)
    apart = classify_array(dn, sum_around(2), 8, 0).confidence
    whole = classify_array(dn, sum_around(2), 32, 2).confidence
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


# --- layers ----------------------------------------------------------------------------------


def nine_classes(dn: NDArray[np.float32]) -> Answer:
    """Nine classes whose probabilities are the first nine bands; the tenth is dissimilarity, the eleventh density."""
    valid = np.isfinite(dn).all(axis=1, keepdims=True)
    probability = np.where(valid, np.nan_to_num(dn[:, :9]), 0).astype(np.float32)
    far, near = (np.where(valid, dn[:, i : i + 1], np.nan).astype(np.float32) for i in (9, 10))
    return Answer(probability, valid, far, near)


def scene(seed: int) -> NDArray[np.float32]:
    rng = np.random.default_rng(seed)
    dn = np.empty((11, *GRID.shape), np.float32)
    dn[:9] = np.moveaxis(rng.dirichlet(np.full(9, 0.3), GRID.shape), -1, 0)
    dn[9], dn[10] = rng.gamma(1.0, 0.5, GRID.shape), rng.integers(0, 400, GRID.shape)
    dn[:, rng.random(GRID.shape) < 0.1] = np.nan
    return dn


def conformal(quantiles: dict[str, float], *regions: Region) -> Conformal:
    score = Score(value=0.9, low=0.8, high=1.0, n_blocks=30)
    return Conformal(plan="p", coverage=0.9, method="m", quantiles=quantiles, measured=score, mean_set_size=2.0,
                     low_blocks_share=0.1, regions=regions)  # fmt: skip


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 99), tile_px=st.integers(5, 45), halo_px=st.integers(0, 2))
def test_layers_say_pixel_by_pixel_what_the_graph_said(seed: int, tile_px: int, halo_px: int) -> None:
    dn, names = scene(seed), [f"c{i}" for i in range(9)]
    quantiles = dict(zip(names, np.random.default_rng(seed).uniform(0.5, 1, 9).round(3).tolist(), strict=True))
    layers = classify_array(
        dn, nine_classes, tile_px, halo_px, threshold=0.7, least=least_over(conformal(quantiles), names, GRID)
    )
    assert layers.members is not None
    assert layers.members.shape == (2, *GRID.shape)
    member = members_of(layers.members, 9)
    for row, col in np.ndindex(*GRID.shape):
        said = [layer[..., row, col] for layer in (layers.set_size, layers.dissimilarity, layers.density)]
        pixel = dn[:, row, col]
        if np.isnan(pixel).any():
            assert [*said, layers.classes[row, col], *layers.members[:, row, col]] == [255] * 6
            continue
        expected = 1 - pixel[:9].astype(float) <= np.array(list(quantiles.values())) + 1e-7
        expected[pixel[:9].argmax()] = True
        assert member[:, row, col].tolist() == expected.tolist()
        assert said[0] == expected.sum()
        assert said[1] == min(np.ceil(pixel[9].astype(float) / 0.7 * 100), 250)
        assert said[2] == min(pixel[10], 250)
    assert layers.outside is not None
    np.testing.assert_array_equal(layers.outside, np.nan_to_num(dn[9]) > 0.7)


@given(
    threshold=st.floats(1e-6, 1e6),
    ulps=st.integers(-3, 3),
    times=st.floats(0, 1e4),
)
def test_a_pixel_outside_is_never_called_inside(threshold: float, ulps: int, times: float) -> None:
    """To the last bit: around the threshold, far from it, and where the number is missing."""
    near = np.float32(threshold)
    for _ in range(abs(ulps)):
        near = np.nextafter(near, np.float32(np.inf if ulps > 0 else 0))
    values = np.array([near, np.float32(threshold * times), np.float32(np.inf), np.float32(np.nan), 0], np.float32)
    percent = percent_of_threshold(values, threshold, np.ones(5, bool))
    np.testing.assert_array_equal(outside(percent), ~(values.astype(float) <= threshold))
    assert percent[2:].tolist() == [CEILING, CEILING, 0]
    assert percent_of_threshold(values, threshold, np.zeros(5, bool)).tolist() == [255] * 5
    assert not outside(np.array([255, 100], np.uint8)).any()


def test_a_threshold_of_nothing_leaves_only_the_samples_themselves_inside() -> None:
    assert percent_of_threshold(np.array([0, 1e-9], np.float32), 0.0, np.ones(2, bool)).tolist() == [0, CEILING]


def test_a_graph_without_dissimilarity_cannot_meet_a_threshold() -> None:
    with pytest.raises(ValueError, match="does not say how dissimilar"):
        classify_array(np.zeros((1, 4, 4), np.float32), sum_around(0), threshold=0.5)


@given(n_classes=st.integers(1, 40), seed=st.integers(0, 99))
def test_membership_survives_its_bits_and_never_looks_like_no_answer(n_classes: int, seed: int) -> None:
    member = np.random.default_rng(seed).random((n_classes, 3, 5)) < 0.7
    bits = packed(member)
    assert bits.dtype == np.uint8
    assert bits.shape == (-(-n_classes // 7), 3, 5)
    assert bits.max() < 128
    np.testing.assert_array_equal(members_of(bits, n_classes), member)


def test_no_set_is_empty_and_ties_belong() -> None:
    probability = np.array([[0.5, 0.3, 0.2], [0.2, 0.3, 0.5], [0.0, 0.0, 1.0]], np.float32).T
    none = least_probability(np.zeros(3))[:, np.newaxis]
    assert sets(probability, none).sum(axis=0).tolist() == [1, 1, 1]
    assert sets(probability, none).argmax(axis=0).tolist() == [0, 2, 2]
    everything = least_probability(np.ones(3))[:, np.newaxis]
    assert sets(probability, everything).all()
    ties = least_probability(1.0 - np.array([0.3, 0.3, 0.3], np.float32).astype(np.float64))[:, np.newaxis]
    assert sets(probability, ties)[1].tolist() == [True, True, False]
    for share in np.arange(1, 100) / 100:
        least = least_probability(np.array([1.0 - share, 0.0]))
        assert sets(np.array([share, 2.0]), least)[0], "nor does a tie get lost in float64, out of folds"


def test_a_region_counts_where_its_ground_is() -> None:
    """Edges between pixels of several tiles: half the pixels of the grid lie in the region, by their centres."""
    names = ["a", "b"]
    score = Score(value=0.9, low=0.8, high=1.0, n_blocks=30)
    left = Bounds(left=299_000.0, bottom=5_799_000.0, right=300_203.0, top=5_801_000.0)
    region = Region(bounds=left, n_blocks=20, quantiles={"a": 0.25, "b": 0.25}, measured=score, crs=GRID.crs)
    least = least_over(conformal({"a": 0.75, "b": 1.0}, region), names, GRID)
    east, _ = GRID.centres(np.zeros(GRID.width, np.int64), np.arange(GRID.width))
    for window in tiles(*GRID.shape, 13):
        found = np.broadcast_to(least(window), (2, window.height, window.width))
        here = east[window.col : window.col + window.width] < 300_203.0
        np.testing.assert_allclose(found[0], np.broadcast_to(np.where(here, 0.75, 0.25), found[0].shape), atol=1e-6)
        np.testing.assert_allclose(found[1], np.broadcast_to(np.where(here, 0.75, 0.0), found[1].shape), atol=1e-6)
    assert least(Window(col=30, row=0, width=5, height=5)).shape == (2, 1, 1), "far from it nothing is spread out"
    next_zone = GRID.model_copy(update={"crs": "EPSG:32634"})
    found = least_over(conformal({"a": 0.75, "b": 1.0}, region), names, next_zone)(GRID.whole)
    assert found.shape == (2, 1, 1), "the same numbers are other ground in another zone"


def test_two_regions_side_by_side_share_no_pixel_and_leave_none_out() -> None:
    score = Score(value=0.9, low=0.8, high=1.0, n_blocks=30)
    middle = GRID.left + 205.0  # the centre of a pixel: it belongs to the region on its right
    boxes = [(GRID.left, middle), (middle, GRID.bounds.right)]
    regions = [
        Region(bounds=Bounds(left=a, bottom=GRID.bounds.bottom, right=b, top=GRID.top), n_blocks=20,
               quantiles={"a": 0.5 - 0.25 * i}, measured=score, crs=GRID.crs)
        for i, (a, b) in enumerate(boxes)
    ]  # fmt: skip
    found = least_over(conformal({"a": 1.0}, *regions), ["a"], GRID)(GRID.whole)[0]
    np.testing.assert_allclose(found, np.broadcast_to(np.where(np.arange(40) < 20, 0.5, 0.75), (30, 40)), atol=1e-6)


def test_layers_cost_few_bytes_a_pixel() -> None:
    names = [f"c{i}" for i in range(9)]
    least = least_over(conformal(dict.fromkeys(names, 0.9)), names, GRID)
    layers = classify_array(scene(0), nine_classes, threshold=0.7, least=least)
    assert isinstance(layers, Layers)
    n_bytes = sum(layer.nbytes for layer in vars(layers).values() if layer is not None)
    assert n_bytes / (GRID.width * GRID.height) == 1 + 4 + 1 + 2 + 1 + 1


# --- the lattice -----------------------------------------------------------------------------


@settings(deadline=None, max_examples=60)
@given(
    height=st.integers(1, 70), width=st.integers(1, 70), tile_px=st.integers(1, 20), overlap_px=st.integers(0, 20),
    origin=st.tuples(st.integers(-30, 30), st.integers(-30, 30)), row=st.integers(0, 69), col=st.integers(0, 69),
    size=st.tuples(st.integers(1, 70), st.integers(1, 70)),
)  # fmt: skip
def test_a_window_is_shown_exactly_the_tiles_that_answer_in_it(
    height: int, width: int, tile_px: int, overlap_px: int, origin: tuple[int, int], row: int, col: int,
    size: tuple[int, int],
) -> None:  # fmt: skip
    overlap_px = min(overlap_px, tile_px // 2 * 2)
    lattice, shape = Lattice(tile_px, 2, overlap_px, origin), (height, width)
    row, col = row % height, col % width
    window = Window(col=col, row=row, width=min(size[1], width - col), height=min(size[0], height - row))
    everything = list(lattice.cells(Window(col=0, row=0, width=width, height=height), shape))
    answers = [cell for cell in everything if lattice.answered(cell, shape).common(Box.of(window))]
    assert list(lattice.cells(window, shape)) == answers
    seen = np.zeros(shape, int)
    for cell in everything:
        assert (cell.top - origin[0]) % tile_px == (cell.left - origin[1]) % tile_px == 0
        seen[cell.common(Box(0, 0, *shape)).window().slices()] += 1  # type: ignore[union-attr]
    assert (seen == 1).all(), "each pixel lies in one cell"
    needed = lattice.needed(window, shape)
    if overlap_px:
        assert all(lattice.asked(cell).common(needed) == lattice.asked(cell) for cell in answers)
    grown = Box.of(window).wider(lattice.around_px)
    assert needed.common(grown) == needed, "the bound by which memory is planned holds"


@given(tile_px=st.integers(1, 40), reach_px=st.integers(0, 20))
def test_weights_are_above_nothing_and_neighbours_add_up_to_one(tile_px: int, reach_px: int) -> None:
    reach_px = min(reach_px, tile_px // 2)
    weights = slope(tile_px, reach_px)
    assert weights.shape == (tile_px + 2 * reach_px,)
    assert weights.min() > 0
    total = np.zeros(5 * tile_px + 2 * reach_px)
    for tile in range(5):
        total[tile * tile_px : (tile + 1) * tile_px + 2 * reach_px] += weights
    np.testing.assert_allclose(total[2 * reach_px : 5 * tile_px], 1.0, atol=1e-6)


@pytest.mark.parametrize(("tile_px", "overlap_px"), [(0, 0), (8, 9), (7, 7), (8, -2)])
def test_an_impossible_lattice_is_refused(tile_px: int, overlap_px: int) -> None:
    with pytest.raises(ValueError, match="px"):
        Lattice(tile_px, 0, overlap_px)


# --- blending --------------------------------------------------------------------------------


def hilly(height: int, width: int, seed: int = 0) -> NDArray[np.float32]:
    """Four bands of a smooth landscape of about 1000 DN."""
    rng = np.random.default_rng(seed)
    spread = [np.exp(-2 * (np.pi * 12 * np.fft.fftfreq(side)) ** 2) for side in (height, width)]
    noise = rng.normal(size=(4, height, width))
    smooth = np.fft.ifft2(np.fft.fft2(noise) * spread[0][:, None] * spread[1]).real
    return (1000 + 300 * smooth / smooth.std()).astype(np.float32)


def green(layers: Layers) -> NDArray[np.float32]:
    """The probability of class 1."""
    return np.where(layers.classes == 1, layers.confidence, 1 - layers.confidence)


@pytest.fixture(scope="module")
def moody() -> Run:
    """A graph that minds the mean of its tile a little, and is wrong near its edges."""
    return Graph(looking_graph(8, tile_minded=0.05)).run


#: What a shift of the lattice may change in a probability, and how much more neighbours may differ across its borders.
EPSILON, SEAM = 0.06, 1.25
SHIFTS = [(0, 0), (17, 40), (32, 5), (63, 63)]


def shifted(dn: NDArray[np.float32], run: Run, overlap_px: int) -> tuple[float, float]:
    """Returns the largest change of any probability when the lattice is shifted, and the worst seam."""
    maps, seams = [], []
    for origin in SHIFTS:
        probability = green(classify_array(dn, run, lattice=Lattice(64, 0, overlap_px, origin)))
        maps.append(probability)
        seams.append(seam_score(probability[np.newaxis], 64, origin) or 0.0)
    return max(float(np.abs(one - maps[0]).max()) for one in maps), max(seams)


def test_shifting_the_lattice_changes_a_blended_map_little_and_a_naive_one_much(moody: Run) -> None:
    dn = hilly(200, 230)
    (blended, seam), (naive, naive_seam) = shifted(dn, moody, 64), shifted(dn, moody, 0)
    assert blended < EPSILON < naive
    assert seam < SEAM < naive_seam


@pytest.mark.parametrize("halo_px", [0, 12])
def test_a_graph_that_needs_no_overlap_answers_the_same_with_one(halo_px: int) -> None:
    """With its halo a looking graph is exact: weights then join equal numbers."""
    run, dn = Graph(looking_graph(halo_px)).run, hilly(90, 130)
    dn[:, 20:40, 30:70] = np.nan
    exact = classify_array(dn, run, 256, halo_px)
    blended = classify_array(dn, run, lattice=Lattice(32, halo_px, 16, (5, 9)))
    np.testing.assert_array_equal(blended.known, np.isfinite(dn[0]))
    np.testing.assert_allclose(green(blended), green(exact), atol=2e-6)


def test_sets_and_distance_come_from_what_was_blended() -> None:
    dn, names = scene(3), [f"c{i}" for i in range(9)]
    least = least_over(conformal(dict.fromkeys(names, 0.8)), names, GRID)
    once = classify_array(dn, nine_classes, 16, threshold=0.7, least=least)
    blended = classify_array(dn, nine_classes, threshold=0.7, least=least, lattice=Lattice(8, 0, 6))
    np.testing.assert_array_equal(blended.known, once.known)
    for name in ("classes", "set_size", "dissimilarity", "density"):
        same = getattr(blended, name) == getattr(once, name)
        assert same.mean() > 0.98, f"{name}: sums of one number and another order of roundings"


@settings(deadline=None, max_examples=25)
@given(
    height=st.integers(1, 60), width=st.integers(1, 60), block_px=st.integers(5, 70), overlap_px=st.integers(0, 8),
    seed=st.integers(0, 99),
)  # fmt: skip
def test_bytes_do_not_depend_on_how_a_raster_is_cut_into_blocks(
    height: int, width: int, block_px: int, overlap_px: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    dn = rng.normal(1000, 300, (4, height, width)).astype(np.float32)
    dn[:, rng.random((height, width)) < 0.1] = np.nan
    lattice, shape = Lattice(16, 3, overlap_px * 2, (4, 7)), (height, width)
    run = (MINDED if overlap_px else LOOKING).run
    whole = Window(col=0, row=0, width=width, height=height)
    box = lattice.needed(whole, shape)
    once = classify_block(Block(whole, shape, filled(dn, Box(0, 0, *shape), box), box), lattice, run)
    for window in tiles(height, width, block_px):
        box = lattice.needed(window, shape)
        part = classify_block(Block(window, shape, filled(dn, Box(0, 0, *shape), box), box), lattice, run)
        if part is None:
            assert np.isnan(dn[(0, *window.slices())]).all()
            continue
        assert once is not None
        np.testing.assert_array_equal(part.classes, once.classes[window.slices()])
        if overlap_px:
            assert part.confidence.tobytes() == once.confidence[window.slices()].tobytes()
        else:
            np.testing.assert_allclose(part.confidence, once.confidence[window.slices()], atol=2e-6)


LOOKING, MINDED = Graph(looking_graph(3)), Graph(looking_graph(3, tile_minded=0.3))


def test_a_seam_is_seen_and_its_absence_too() -> None:
    smooth = np.linspace(0, 1, 64, dtype=np.float32) * np.ones((1, 64, 1), np.float32)
    assert seam_score(smooth, 16) == pytest.approx(1.0, abs=0.1)
    broken = smooth + 0.5 * (np.arange(64) // 16 % 2)
    assert (seam_score(broken, 16) or 0) > 10
    assert (seam_score(broken, 16, (0, 8)) or 0) < 1, "borders elsewhere see nothing"
    assert seam_score(np.ones((1, 4, 4), np.float32), 2) is None
    assert seam_score(np.full((1, 4, 4), np.nan, np.float32), 2) is None
