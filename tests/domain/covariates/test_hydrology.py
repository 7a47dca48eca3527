"""Water on elevation models: filling against scikit-image, flow against a system of equations, known catchments."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter
from skimage.morphology import reconstruction

from geoml_ops.core.errors import TooLarge
from geoml_ops.core.grid import Grid
from geoml_ops.domain.covariates.hydrology import EPSILON_M, MOST_CELLS, Flow, catchment_area, drained
from geoml_ops.domain.covariates.recipe import Stage
from geoml_ops.domain.covariates.terrain import Options, make

FLOWS: tuple[Flow, Flow] = ("d8", "dinf")


def rough(seed: int, shape: tuple[int, int] = (14, 17), *, holes: int = 0, steps: bool = False) -> np.ndarray:
    """Ground with many depressions; with whole numbers of metres also many flats."""
    rng = np.random.default_rng(seed)
    ground = gaussian_filter(rng.standard_normal(shape), 1.0) * 30 + 100
    ground = np.round(ground / 4) * 4 if steps else ground
    ground.ravel()[rng.choice(ground.size, holes, replace=False)] = np.nan
    return ground


def at_edge(ground: np.ndarray) -> np.ndarray:
    """Cells whose window of nine is not whole."""
    padded = np.pad(np.isnan(ground), 1, constant_values=True)
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3))
    return windows.any((2, 3)) & ~np.isnan(ground)


def wet(ground: np.ndarray, *, edge_m: float = 30.0, margin_px: int = 0, **asked: Any) -> Any:
    height, width = (n - 2 * margin_px for n in ground.shape)
    grid = Grid(crs="EPSG:32632", left=5e5, top=5e6, pixel_m=edge_m, width=width, height=height)
    return make(Stage(grid, margin_px, rasters={"dem": ground}), ("catchment", "twi"), Options(**asked))


# --- filling -------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([0, 0, 3, 30]), st.booleans())
def test_depressions_are_filled_to_their_rim(seed: int, holes: int, steps: bool) -> None:
    ground = rough(seed, holes=holes, steps=steps)
    found = drained(ground)
    # Holes let water out, so they are as deep as anything; scikit-image knows no NaN.
    known, edge = ~np.isnan(ground), at_edge(ground)
    mask = np.where(known, ground, -1e6)
    rim = reconstruction(np.where(edge | ~known, mask, 1e6), mask, method="erosion", footprint=np.ones((3, 3)))
    raised = (found.surface - rim)[known]
    assert raised.min() >= 0
    assert raised.max() <= EPSILON_M * ground.size
    assert np.array_equal(np.isnan(found.surface), ~known)
    assert sorted(found.order.tolist()) == np.flatnonzero(known).tolist()
    assert (np.diff(found.surface.ravel()[found.order]) >= 0).all()


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([0, 5]))
def test_from_everywhere_inside_water_runs_down(seed: int, holes: int) -> None:
    ground = rough(seed, holes=holes, steps=True)
    surface = drained(ground).surface
    padded = np.pad(surface, 1, constant_values=np.nan)
    around = np.lib.stride_tricks.sliding_window_view(padded, (3, 3))
    inside = ~at_edge(ground) & ~np.isnan(ground)
    assert (around[inside].min((1, 2)) < surface[inside]).all()


def test_what_needs_no_filling_stays_as_it_is() -> None:
    slope = np.add.outer(np.arange(9.0) * 3, np.arange(8.0))
    assert np.array_equal(drained(slope).surface, slope)
    assert np.isnan(drained(np.full((4, 4), np.nan)).surface).all()
    assert drained(np.full((4, 4), np.nan)).order.size == 0


def test_the_ground_handed_in_is_left_alone() -> None:
    pit = np.full((5, 5), 2.0)
    pit[2, 2] = 0.0
    assert drained(pit).surface[2, 2] > 2.0
    assert pit[2, 2] == 0.0


def test_too_much_ground_is_refused() -> None:
    with pytest.raises(TooLarge, match=f"beyond the {MOST_CELLS}"):
        drained(np.broadcast_to(np.float32(1), (2**16, 2**15)))


# --- flow against equations ----------------------------------------------------------------------


def shares(surface: np.ndarray, flow: str) -> np.ndarray:
    """Where the water of each cell goes, ``(from, to)``, from the published angles and slopes."""
    height, width = surface.shape
    going = np.zeros((surface.size, surface.size))
    around = [(0, 1), (-1, 1), (-1, 0), (-1, -1), (0, -1), (1, -1), (1, 0), (1, 1)]

    def level(row: int, col: int) -> float:
        return float(surface[row, col]) if 0 <= row < height and 0 <= col < width else math.nan

    for row, col in np.ndindex(height, width):
        if np.isnan(surface[row, col]):
            continue
        here = level(row, col)
        near = [level(row + r, col + c) for r, c in around]
        place = [(row + r) * width + col + c for r, c in around]
        drop = [(here - z) / math.hypot(*step) for z, step in zip(near, around, strict=True)]
        down = max((d for d in drop if d > 0), default=None)
        if down is None:
            continue
        best: tuple[float, dict[int, float]] = (0.0, {})
        if flow == "dinf":
            for eighth in range(8):
                straight, slant = (eighth, eighth + 1) if eighth % 2 == 0 else (eighth + 1, eighth)
                e1, e2 = near[straight % 8], near[slant % 8]
                if math.isnan(e1) or math.isnan(e2):
                    continue
                s1, s2 = here - e1, e1 - e2
                r, s = math.atan2(s2, s1), math.hypot(s1, s2)
                if r < 0:
                    r, s = 0.0, s1
                if r >= math.pi / 4:
                    r, s = math.pi / 4, (here - e2) * math.sqrt(0.5)
                if s > best[0]:
                    share = r / (math.pi / 4)
                    best = s, {place[straight % 8]: 1 - share, place[slant % 8]: share}
        if not best[1]:
            steepest = next(i for i in (0, 2, 4, 6, 1, 3, 5, 7) if drop[i] == down)
            best = down, {place[steepest]: 1.0}
        for to, share in best[1].items():
            going[row * width + col, to] = share
    return going


@pytest.mark.parametrize("flow", FLOWS)
@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), holes=st.sampled_from([0, 4, 20]), steps=st.booleans())
def test_catchments_solve_their_equations(flow: Flow, seed: int, holes: int, steps: bool) -> None:
    ground = rough(seed, (9, 11), holes=holes, steps=steps)
    found = drained(ground)
    cells, cut = catchment_area(found, flow=flow)
    going = shares(found.surface, flow)
    expected = np.linalg.solve(np.eye(ground.size) - going.T, np.ones(ground.size)).reshape(ground.shape)
    known = ~np.isnan(ground)
    np.testing.assert_allclose(cells[known], expected[known], rtol=1e-9)
    assert np.isnan(cells[~known]).all()
    leaving = 1 - going.sum(1).reshape(ground.shape)
    assert np.sum((leaving * cells)[known]) == pytest.approx(known.sum()), "no water is lost or made"
    reached, before = at_edge(ground).ravel(), None
    while before is None or (reached != before).any():
        before, reached = reached, reached | (going[reached] > 0).any(0)
    assert np.array_equal(cut[known], reached.reshape(ground.shape)[known])


@pytest.mark.parametrize("flow", FLOWS)
def test_flow_is_the_same_every_time(flow: Flow) -> None:
    ground = rough(3, (40, 50), holes=20, steps=True)
    first = catchment_area(drained(ground), flow=flow)[0]
    assert first.tobytes() == catchment_area(drained(ground.copy()), flow=flow)[0].tobytes()


# --- known catchments ----------------------------------------------------------------------------


@pytest.mark.parametrize("flow", FLOWS)
def test_wetness_of_a_long_slope(flow: Flow) -> None:
    """Fifty cells of 30 m at 5 degrees: ln(1500 / tan 5) = 9.74947."""
    fall = np.tan(np.radians(5.0)) * 30.0
    ground = np.repeat(1000.0 - fall * np.arange(60.0)[:, None], 9, axis=1)
    found = wet(ground, flow=flow)
    assert found["catchment"][49, 4] == pytest.approx(1500.0)
    assert found["twi"][49, 4] == pytest.approx(9.74947, abs=1e-5)
    assert np.isnan(found["twi"][0]).all()
    assert np.isnan(found["twi"][:, [0, -1]]).all()


def test_shared_flow_keeps_straight_on_a_slanting_slope() -> None:
    """Towards 30 degrees east of south, D8 runs due south; D-infinity shares, and catchments stay what a plane has."""
    east, south = np.meshgrid(np.arange(80.0), np.arange(80.0))
    angle = math.radians(30.0)
    ground = 500.0 - (east * math.sin(angle) + south * math.cos(angle)) * 3.0
    single = wet(ground, flow="d8")["catchment"][40, 60] / 30.0
    assert single == 41
    cells = wet(ground, flow="dinf")["catchment"]
    share = angle / (math.pi / 4)
    going = np.zeros((80, 80))
    for row in range(80):
        for col in range(80):
            above = going[row - 1] if row else np.zeros(80)
            going[row, col] = 1 + (1 - share) * above[col] + (share * above[col - 1] if col else 0)
    np.testing.assert_allclose(cells[40, 45:75] / 30.0, going[40, 45:75], rtol=1e-5)


@pytest.mark.parametrize("flow", FLOWS)
def test_a_lake_passes_on_what_it_gets(flow: Flow) -> None:
    """A basin with one way out, a lake at its floor and a pit in the lake: everything leaves through the gap."""
    row, col = np.mgrid[0:31, 0:31]
    ground = np.maximum(np.hypot(row - 15, col - 15), 8.0) + 100.0
    ground[15, 15] = 20.0
    ground[[0, -1], :] = ground[:, [0, -1]] = 200.0
    ground[12:18, 25:31] = 107.0 + 0.0 * ground[12:18, 25:31]
    ground[15, 24:31] = 106.0
    cells, _ = catchment_area(drained(ground), flow=flow)
    inner = 29 * 29
    out = cells[14:17, 30].sum()
    assert out >= inner
    surface = drained(ground).surface
    assert surface[15, 15] == pytest.approx(108.0, abs=1e-6)


@pytest.mark.parametrize("flow", FLOWS)
def test_water_from_beyond_is_known_as_such(flow: Flow) -> None:
    row, col = np.mgrid[0:41, 0:41]
    hill = 300.0 - np.hypot(row - 20, col - 20)
    _, cut = catchment_area(drained(hill), flow=flow)
    assert np.array_equal(cut, at_edge(hill)), "all water of a hill falls on it"
    valley = 300.0 - row + 2.0 * np.abs(col - 20)
    kept, lost = (wet(valley, flow=flow, cut_upstream=cut) for cut in ("keep", "nan"))
    assert np.isfinite(kept["twi"][1:-1, 1:-1]).all()
    assert np.isnan(lost["twi"][:, 20]).all(), "the river comes from the edge"
    there = ~np.isnan(lost["twi"])
    assert np.array_equal(kept["twi"][there], lost["twi"][there])


@pytest.mark.parametrize("flow", FLOWS)
def test_more_ground_upstream_is_never_less_water(flow: Flow) -> None:
    """On a slope the ground that a margin adds is upstream, and counted."""
    ground = 800.0 - 5.0 * np.arange(60.0)[:, None] + np.zeros((60, 30))
    near = wet(ground[19:41, 9:21], margin_px=1, flow=flow)["catchment"]
    far = wet(ground, margin_px=0, flow=flow)["catchment"][20:40, 10:20]
    np.testing.assert_allclose(far - near, 19 * 30.0)


def test_level_ground_is_as_wet_as_the_least_slope_says() -> None:
    flat = np.full((15, 15), 4.0)
    found, steeper = wet(flat), wet(flat, least_tangent=0.01)
    np.testing.assert_allclose(found["twi"], np.log(found["catchment"] / 0.001), rtol=1e-6)
    np.testing.assert_allclose((found["twi"] - steeper["twi"])[1:-1, 1:-1], math.log(10.0), rtol=1e-5)
    assert np.isfinite(found["twi"][1:-1, 1:-1]).all()


def test_a_hole_lets_water_out_but_spreads_no_further() -> None:
    ground = 300.0 - np.arange(21.0)[:, None] + np.zeros((21, 21))
    ground[10, 10] = np.nan
    lost = np.isnan(wet(ground)["twi"])
    assert lost[9:12, 9:12].all()
    lost[9:12, 9:12] = False
    assert not lost[1:-1, 1:-1].any()
