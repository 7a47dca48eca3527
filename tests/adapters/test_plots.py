"""Pictures: the colours that mean something are in them, and the same arrays give the same bytes."""

import io

import numpy as np
import pytest
from PIL import Image

from geoml_ops.adapters import plots
from geoml_ops.core.evidence import BlockDifference, Score
from geoml_ops.core.grid import Grid
from geoml_ops.core.watched import Statistic

GRID = Grid(crs="EPSG:32633", left=330000.0, top=5822000.0, pixel_m=10.0, width=80, height=60)
COLOURS = ("#d7263d", "#e9c46a", "#1b5e20")
NAMES = ("built", "cost $5 $6", "forest")


def pixels(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).reshape(-1, 3)


def n_of(png: bytes, colour: str) -> int:
    wanted = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
    return int((pixels(png) == wanted).all(axis=1).sum())


def score(value: float) -> Score:
    return Score(value=value, low=value - 0.1, high=value + 0.1, n_blocks=16)


def statistic(column: str, distance: float) -> Statistic:
    return Statistic(column=column, distance=distance, mean_shift=3.0, sd_ratio=None, drifted=distance > 1)


def test_class_map_paints_classes_in_their_colours_and_in_proportion() -> None:
    classes = np.zeros(GRID.shape, np.uint8)
    classes[:, 60:] = 2
    classes[:20, :] = 255
    drawn = plots.class_map(classes, COLOURS, NAMES, GRID)
    # The legend holds a patch of each colour, so 3:1 holds nearly, not exactly.
    assert n_of(drawn, COLOURS[0]) / n_of(drawn, COLOURS[2]) == pytest.approx(3, rel=0.1)
    assert 0 < n_of(drawn, COLOURS[1]) < n_of(drawn, COLOURS[2]) / 10


def test_drift_bars_alarm_only_beyond_the_threshold() -> None:
    quiet = plots.drift_bars([statistic("B02", 0.5)], 1.0)
    loud = plots.drift_bars([statistic("B02", 1.5)], 1.0)
    assert n_of(loud, plots.ALARM) > 5 * n_of(quiet, plots.ALARM) > 0  # the legend's patch stays


def test_picture_keeps_missing_pixels_white_and_removes_haze() -> None:
    rng = np.random.default_rng(0)
    rgb = rng.uniform(1000, 2000, (3, 60, 80)).astype(np.float32)
    rgb[:, :30] = np.nan
    with_haze = rgb + np.array([0, 300, 900], np.float32)[:, None, None]
    assert (pixels(plots.picture(rgb, GRID)) == 255).all(axis=1).mean() > 0.4
    assert np.abs(pixels(plots.picture(with_haze)).astype(int).mean(0) - pixels(plots.picture(rgb)).mean(0)).max() < 2


def test_same_arrays_give_same_bytes() -> None:
    values = np.linspace(0, 1, 4800).reshape(GRID.shape)
    values[0] = np.nan
    assert plots.confidence_map(values, GRID) == plots.confidence_map(values, GRID)


@pytest.mark.parametrize("n", [0, 1, 30])
def test_any_number_of_rows_can_be_drawn(n: int) -> None:
    rows = [f"step_{i}" for i in range(n)]
    for png in (
        plots.timings([(name, 1.0 + i) for i, name in enumerate(rows)]),
        plots.drift_bars([statistic(name, 0.1) for name in rows], 1.0),
        plots.importance(rows, np.arange(n) / 10),
    ):
        assert png.startswith(b"\x89PNG")


def test_scores_folds_and_confusion_are_drawn() -> None:
    rng = np.random.default_rng(1)
    folds = rng.integers(-1, 5, 200)
    b = GRID.bounds
    fold_map = plots.fold_map(
        rng.uniform(b.left, b.right, 200), rng.uniform(b.bottom, b.top, 200), folds, b, 200.0, 20.0, origin=(0.0, 0.0)
    )
    assert all(n_of(fold_map, colour) > 0 for colour in (*plots.GROUPS[:5], plots.PALE))
    assert n_of(plots.score_bars({"kappa": score(0.5)}, {"kappa": score(0.7)}), plots.STRONG) > 1000
    assert plots.confusion([[5, 0, 1], [0, 0, 0], [1, 2, 9]], NAMES).startswith(b"\x89PNG")


def block(col: int, row: int, difference: float) -> BlockDifference:
    return BlockDifference(easting=1000.0 + 2000 * col, northing=1000.0 + 2000 * row, n=40, difference=difference)


def test_a_block_is_as_blue_as_it_gains_and_as_orange_as_it_loses() -> None:
    even = [block(i % 4, i // 4, 0.2 if i % 2 else -0.2) for i in range(8)]
    drawn = plots.block_differences(even, 2000.0, title="cost $5")
    # A gain and a loss of one size take the ends of one scale, whatever they are.
    assert n_of(drawn, plots.STRONG) == pytest.approx(n_of(drawn, plots.ALARM), rel=0.1)
    assert n_of(drawn, plots.STRONG) > 5000
    # The scale is symmetric about 0: a small loss beside a large gain is pale.
    uneven = plots.block_differences([block(0, 0, 0.4), block(1, 0, -0.02)], 2000.0)
    assert n_of(uneven, plots.STRONG) > 20 * n_of(uneven, plots.ALARM)


def test_no_difference_has_no_colour() -> None:
    still = plots.block_differences([block(i, 0, 0.0) for i in range(3)], 2000.0)
    assert max(n_of(still, plots.STRONG), n_of(still, plots.ALARM)) < 100  # the ends of the colour bar


@pytest.mark.parametrize("n", [1, 2, 900])
def test_any_number_of_blocks_can_be_drawn_and_again_the_same(n: int) -> None:
    blocks = [block(i % 30, i // 30, (i % 7 - 3) / 100) for i in range(n)]
    drawn = plots.block_differences(blocks, 2000.0)
    assert drawn.startswith(b"\x89PNG")
    assert drawn == plots.block_differences(blocks, 2000.0)
