"""How far tiles depart from the usual, and the whole of a hot-spot: known truth, and ground of any shape."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage

from geoml_ops.core.errors import BadInput, TooLarge
from geoml_ops.domain.hotspots import HIGH_HIGH, LOW_LOW, Lattice, departures, grown, local_moran, regions

Table = dict[str, NDArray[np.float64]]
EDGE = 1280.0
BANDS = ("B02", "B08")


def tiles(values: NDArray[np.float64], left: float = 399960.0, top: float = 5900040.0, edge: float = EDGE) -> Table:
    """Tiles of ``(bands, y, x)``, all of them whole."""
    rows, cols = np.divmod(np.arange(values[0].size), values.shape[2])
    place = {"easting": left + edge * (cols + 0.5), "northing": top - edge * (rows + 0.5)}
    known = {"n_px": np.full(rows.size, 16384.0), "valid_share": np.ones(rows.size)}
    return place | known | {f"{b}:mean": layer.ravel() for b, layer in zip(BANDS, values, strict=False)}


def below(tables: list[Table]) -> Table:
    return {name: np.concatenate([table[name] for table in tables]) for name in tables[0]}


def part(table: Table, kept: NDArray[np.bool_]) -> Table:
    return {name: column[kept] for name, column in table.items()}


def smooth(rng: np.random.Generator, side: int, by: float) -> NDArray[np.float64]:
    field = rng.normal(size=(side + 40, side + 40))
    field = (ndimage.gaussian_filter(field, by) if by else field)[20 : 20 + side, 20 : 20 + side]
    return np.asarray(field / field.std())


def scenes(n: int, seed: int = 0, side: int = 8) -> tuple[NDArray[np.float64], list[NDArray[np.float64]]]:
    rng = np.random.default_rng(seed)
    ground = 1000 + 300 * rng.normal(size=(2, side, side))
    return ground, [ground + np.array([10.0, 40.0])[:, None, None] * rng.normal(size=ground.shape) for _ in range(n)]


def test_a_place_with_a_history_is_standardised_by_its_own_scenes() -> None:
    ground, past = scenes(200)
    now = ground.copy()
    now[1, 0, 0] += 400.0
    found = departures(tiles(now), below([tiles(p) for p in past]), BANDS, EDGE)
    assert found is not None
    assert (found.against, found.lattice.shape, set(found.n_normal)) == ("own history", (8, 8), {200})
    here = (found.lattice.rows == 0) & (found.lattice.cols == 0)
    # 400 above a mean that 200 scenes know well, in standard deviations of 40.
    assert found.signed[here, 1][0] == pytest.approx(10.0, rel=0.12)
    assert found.largest[here][0] == found.signed[here, 1][0]
    assert np.abs(found.signed[~here]).max() < 0.5


def test_few_scenes_are_believed_as_far_as_they_go() -> None:
    """In control, a departure is a number of spread about 1, three scenes or thirty; a raw t would have no variance."""
    for n in (3, 30):
        found = []
        for seed in range(20):
            _, past = scenes(n + 1, seed, 12)
            d = departures(tiles(past[0]), below([tiles(p) for p in past[1:]]), BANDS, EDGE)
            assert d is not None
            found.append(d.signed)
        assert np.std(found) == pytest.approx(1.0, abs=0.1)


def test_one_scene_of_the_same_ground_is_the_scale_of_its_own_change() -> None:
    _, (before, now) = scenes(2, side=16)
    now = now.copy()
    now[0, :4, :4] += 100.0
    found = departures(tiles(now), tiles(before), BANDS, EDGE)
    assert found is not None
    assert found.against == "same ground"
    inside = (found.lattice.rows < 4) & (found.lattice.cols < 4)
    # The change has a standard deviation of sqrt(2) * 10.
    assert np.median(found.signed[inside, 0]) == pytest.approx(100 / 14.1, rel=0.25)
    assert np.std(found.signed[~inside]) == pytest.approx(1.0, abs=0.2)


def test_other_ground_is_compared_as_a_whole() -> None:
    _, (before, now) = scenes(2)
    found = departures(tiles(now + 600.0, left=900000.0), tiles(before), BANDS, EDGE)
    assert found is not None
    assert (found.against, set(found.n_normal)) == ("other ground", {0})
    assert found.signed.mean() == pytest.approx(2.0, abs=0.4)


def test_only_what_both_sides_have_is_compared() -> None:
    _, (before, now) = scenes(2)
    table, normal = tiles(now), tiles(before)
    del normal["B02:mean"]
    table["B08:mean"][5] = np.nan
    found = departures(table, normal, BANDS, EDGE)
    assert found is not None
    assert found.bands == ("B08",)
    assert np.isnan(found.largest).sum() == 1
    assert departures(table, {}, BANDS, EDGE) is None
    assert departures({}, normal, BANDS, EDGE) is None
    assert departures(table | {"easting": np.full(64, np.nan)}, normal, BANDS, EDGE) is None
    assert departures(table, part(normal, np.arange(64) < 1), BANDS, EDGE) is None


def test_tiles_that_overlap_count_as_one_by_what_was_observed() -> None:
    _, (before, now) = scenes(2)
    one, other = tiles(now), tiles(now + 300.0)
    other["valid_share"] = np.full(64, 0.25)
    found = departures(below([one, other]), tiles(before), BANDS, EDGE)
    alone = departures(tiles(now + 60.0), tiles(before), BANDS, EDGE)
    assert found is not None
    assert alone is not None
    assert len(found.largest) == 64
    np.testing.assert_allclose(found.signed, alone.signed)


def test_an_edge_that_is_none_and_ground_too_wide_are_refused() -> None:
    _, (before, now) = scenes(2)
    with pytest.raises(BadInput, match="edge"):
        departures(tiles(now), tiles(before), BANDS, 0.0)
    far = below([tiles(now), tiles(now, left=9e12)])
    with pytest.raises(TooLarge):
        departures(far, tiles(before), BANDS, EDGE)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    share=st.floats(0.02, 1.0),
    scale=st.sampled_from([1e-6, 1.0, 1e4]),
    left=st.sampled_from([0.0, 399960.0, -1234567.8]),
    flat=st.booleans(),
)
def test_any_part_of_any_ground_has_finite_departures(
    seed: int, share: float, scale: float, left: float, flat: bool
) -> None:
    rng = np.random.default_rng(seed)
    _, past = scenes(4, seed)
    kept = rng.random(64) < share
    past = [np.full_like(p, 7.0) if flat else p for p in past]
    tables = [tiles(p * scale, left) for p in past]
    found = departures(part(tables[0], kept), below(tables[1:]), BANDS, EDGE)
    assert (found is None) == (not kept.any())
    if found is not None:
        assert len(found.largest) == kept.sum()
        assert np.isfinite(found.largest).all()
        assert (found.largest >= 0).all()
        if flat:
            assert (found.largest == 0).all()
        same = departures(part(tiles(past[0], left), kept), below([tiles(p, left) for p in past[1:]]), BANDS, EDGE)
        assert same is not None
        np.testing.assert_allclose(found.largest, same.largest, rtol=1e-6, atol=1e-6)


def iou(found: NDArray[np.bool_], truth: NDArray[np.bool_]) -> float:
    return float((found & truth).sum() / (found | truth).sum())


@pytest.mark.parametrize(("side", "by"), [(12, 0.0), (16, 1.0), (32, 1.5)])
def test_a_corner_that_drifts_is_outlined_better_than_its_tested_tiles_are(side: int, by: float) -> None:
    """A change of four standard deviations in two bands of two, opposite ways; ten scenes in control."""
    tested, whole = [], []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        ground = 1000 + 300 * np.stack([smooth(rng, side, 2), smooth(rng, side, 2)])
        noise = [20 * np.stack([smooth(rng, side, by), smooth(rng, side, by)]) for _ in range(11)]
        now = ground + noise[0]
        now[0, : side // 4, : side // 4] += 80.0
        now[1, : side // 4, : side // 4] -= 80.0
        d = departures(tiles(now), below([tiles(ground + n) for n in noise[1:]]), BANDS, EDGE)
        assert d is not None
        truth = (d.lattice.rows < side // 4) & (d.lattice.cols < side // 4)
        found = local_moran(d.lattice, d.largest, finest=9_999)
        largest = regions(d.lattice, d.largest, grown(d.lattice, d.largest, found))
        spot = np.zeros(len(truth), dtype=np.bool_)
        spot[largest[0].tiles if largest else []] = True
        tested.append(iou(found.classes == HIGH_HIGH, truth))
        whole.append(iou(spot, truth))
    assert np.median(whole) > 0.85
    assert np.median(whole) > np.median(tested) + 0.05


def test_a_whole_hot_spot_hangs_together_with_its_seeds_and_cold_ones_are_left() -> None:
    rows, cols = np.divmod(np.arange(20 * 20), 20)
    here = Lattice.of(EDGE * (cols + 0.5), -EDGE * (rows + 0.5), EDGE)
    values = np.random.default_rng(0).normal(3.0, 0.3, 400)
    hot, cold = (rows < 5) & (cols < 5), (rows > 14) & (cols > 14)
    values[hot], values[cold] = 8.0, 0.0
    values[(rows == 10) & (cols == 10)] = 9.0
    found = local_moran(here, values)
    assert (found.classes == LOW_LOW).any()
    whole = grown(here, values, found)
    assert not (whole.classes == LOW_LOW).any()
    # A single high tile is far out, but no hot-spot hangs together with it.
    np.testing.assert_array_equal(whole.classes == HIGH_HIGH, hot)
    calm = local_moran(here, np.where(cold, 0.0, np.random.default_rng(1).normal(3.0, 0.3, 400)))
    assert not np.isin(grown(here, np.where(cold, 0.0, 3.0), calm).classes, (HIGH_HIGH, LOW_LOW)).any()
