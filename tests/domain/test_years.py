"""The landscape seen through years is what it says it is: its seasons, its changes and its faults."""

from datetime import UTC, datetime

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from geoml_ops.core.bands import SENTINEL_2_L1C, Radiometry
from geoml_ops.domain import years
from geoml_ops.domain.checks import measure, offset_check, spectral_check
from geoml_ops.domain.years import CLASSES, observe

HERE = years.ground(192, 168, seed=2)
B02, B04, B08, B11 = (SENTINEL_2_L1C.names.index(name) for name in ("B02", "B04", "B08", "B11"))
JULY = datetime(2021, 7, 4, 10, tzinfo=UTC)
SEEN = observe(HERE, JULY)


def day(number: int, year: int = 2021) -> datetime:
    return datetime.fromordinal(datetime(year, 1, 1, tzinfo=UTC).toordinal() + number).replace(hour=10, tzinfo=UTC)


def of_class(dn: np.ndarray, name: str, band: int, truth: np.ndarray = HERE.truth) -> float:
    return float(dn[band][(truth == CLASSES.index(name)) & (dn[band] > 0)].mean())


def ndvi(dn: np.ndarray, name: str) -> float:
    red, nir = of_class(dn, name, B04), of_class(dn, name, B08)
    return (nir - red) / (nir + red)


def test_the_same_arguments_give_the_same_bytes_and_each_of_them_counts():
    again = years.ground(192, 168, seed=2)
    assert (again.truth == HERE.truth).all()
    assert observe(again, JULY).tobytes() == SEEN.tobytes()
    assert (SEEN.shape, SEEN.dtype) == ((13, 168, 192), np.uint16)
    other = years.ground(192, 168, seed=3)
    assert (other.truth != HERE.truth).mean() > 0.5
    assert not shapely.box(*other.grid.bounds.as_tuple()).intersects(shapely.box(*HERE.grid.bounds.as_tuple()))
    for different in (observe(HERE, JULY, seed=1), observe(HERE, JULY.replace(day=9)), observe(other, JULY)):
        assert (different != SEEN).mean() > 0.9


@given(st.sampled_from(CLASSES), st.floats(-500, 900))
def test_a_year_comes_round(name: str, number: float):
    here, next_year = (years.spectrum(name, number + k * 365.25) for k in (0, 1))
    np.testing.assert_allclose(here, next_year, atol=0.5)
    # No day differs from the next by more than plants can grow.
    assert np.abs(years.spectrum(name, number + 1) - here).max() < 90


def test_what_grows_greens_up_and_what_does_not_hardly_moves():
    course = {name: [ndvi(observe(HERE, day(n)), name) for n in range(15, 365, 30)] for name in CLASSES}
    swing = {name: max(values) - min(values) for name, values in course.items()}
    assert all(swing[name] > 0.2 for name in ("farm", "meadow", "forest"))
    assert all(swing[name] < 0.15 for name in ("residential", "water"))
    assert 4 <= int(np.argmax(course["farm"])) <= 6  # mid-May to mid-July
    assert course["farm"][8] < course["farm"][5] - 0.3  # harvested in September
    assert course["forest"][6] > course["forest"][2] + 0.15  # leaves in July, none in March


def test_years_differ_in_time_and_strength_within_what_is_said():
    seasons = [years.season_of(year) for year in range(1990, 2190)]
    phases = np.array([s.phase_days for s in seasons])
    assert np.abs(phases).max() <= 8.0
    assert 3.0 < phases[:, CLASSES.index("farm")].std() < 6.0
    strengths = np.array([s.strength for s in seasons])
    assert np.abs(strengths - 1).max() <= 0.12 + 1e-9
    assert 0.02 < strengths[:, CLASSES.index("farm")].std() < 0.07
    # Classes share most of a year.
    assert np.corrcoef(phases[:, 1], phases[:, 3])[0, 1] > 0.7
    greened = [of_class(observe(HERE, day(124, year)), "farm", B08) for year in range(2015, 2025)]
    assert np.std(greened) > 60


def test_two_regions_share_the_years_and_the_days_air():
    other = years.ground(192, 168, seed=3)
    days = [day(5 * n, 2021) for n in range(20)]
    mine, theirs = ([of_class(observe(g, d), "water", B02, g.truth) for d in days] for g in (HERE, other))
    assert np.corrcoef(mine, theirs)[0, 1] > 0.95


def test_one_days_noise_hangs_together_in_space():
    flat = SEEN[B08].astype(float)
    own = flat - np.array([flat[HERE.truth == c].mean() for c in range(len(CLASSES))])[HERE.truth]
    assert np.corrcoef(own[:, 1:].ravel(), own[:, :-1].ravel())[0, 1] > 0.6


def test_a_real_change_changes_there_and_nowhere_else():
    truth = years.changed(HERE, 0.15, "farm", seed=4, source="forest")
    moved = truth != HERE.truth
    assert 0.15 <= moved.mean() < 0.19
    assert set(HERE.truth[moved]) == {CLASSES.index("forest")}
    assert set(truth[moved]) == {CLASSES.index("farm")}
    dn = observe(HERE, JULY, truth=truth)
    assert (dn[:, ~moved] == SEEN[:, ~moved]).all()
    assert (dn[:, moved] != SEEN[:, moved]).mean() > 0.8
    assert (years.changed(HERE, 0.0, "farm") == HERE.truth).all()


@pytest.mark.parametrize("corner", years.CORNERS)
def test_a_change_in_a_corner_fills_it(corner: years.Corner):
    truth = years.changed(HERE, 0.25, "water", corner=corner)
    inside = years.corner_of(HERE.truth.shape, 0.25, corner)
    assert inside.mean() == pytest.approx(0.25, abs=0.01)
    assert (truth[inside] == CLASSES.index("water")).all()
    assert (truth[~inside] == HERE.truth[~inside]).all()
    row, col = (0 if "north" in corner else -1), (0 if "west" in corner else -1)
    assert inside[row, col]
    assert not inside[-1 - row, -1 - col]


def test_changes_that_cannot_be_are_refused():
    with pytest.raises(ValueError, match="no class"):
        years.changed(HERE, 0.1, "desert")
    with pytest.raises(ValueError, match="less than"):
        years.changed(HERE, 0.9, "farm", source="water")
    with pytest.raises(ValueError, match="too few fields"):
        years.ground(20, 400)
    with pytest.raises(ValueError, match="factors"):
        observe(HERE, JULY, look={"farm": (1.0,)})
    with pytest.raises(ValueError, match="time zone"):
        observe(HERE, datetime(2021, 7, 4))


def test_another_look_is_of_that_class_alone_and_on_every_date():
    dry = {"meadow": tuple(1.3 if band == B04 else 0.8 if band == B08 else 1.0 for band in range(13))}
    dn, there = observe(HERE, JULY, look=dry), HERE.truth == CLASSES.index("meadow")
    assert (dn[:, ~there] == SEEN[:, ~there]).all()
    assert of_class(dn, "meadow", B04) / of_class(SEEN, "meadow", B04) == pytest.approx(1.3, abs=0.03)
    assert of_class(dn, "meadow", B08) / of_class(SEEN, "meadow", B08) == pytest.approx(0.8, abs=0.02)


def test_labels_name_the_truth_under_their_outline():
    truth = years.changed(HERE, 0.1, "farm", source="forest")
    for here in (HERE, HERE.after(truth)):
        polygons, names = here.labels(0.7)
        assert set(names) == set(CLASSES)
        assert 0.5 < len(polygons) / len(here.boxes) < 0.8
        assert shapely.is_valid(np.array(polygons)).all()
        for polygon, name in zip(polygons, names, strict=True):
            point = polygon.representative_point()
            assert CLASSES[here.truth[here.grid.pixel_at(point.x, point.y)]] == name


def test_scenes_pass_the_physical_tests_all_year():
    declared = Radiometry(scale=1e-4)
    rules = dict.fromkeys(SENTINEL_2_L1C.names, declared)
    for number in range(20, 365, 60):
        dn = observe(HERE, day(number)).astype(np.float32)
        assert offset_check(measure(dn, SENTINEL_2_L1C, declared), SENTINEL_2_L1C, rules).passed
        assert spectral_check(dn, SENTINEL_2_L1C, rules).passed


def test_clouds_are_masked_but_for_their_rims():
    dn = observe(HERE, JULY, cloud_share=0.3)
    masked = dn[B02] == 0
    assert masked.mean() == pytest.approx(0.27, abs=0.01)
    rims = ~masked & (dn[B02] > SEEN[B02] + 50)
    assert 0.005 < rims.mean() < 0.05
    assert (dn == 0).all(axis=0).sum() == masked.sum()


def test_faults_keep_nodata_and_do_what_their_name_says():
    dn = years.blank(SEEN, 0.2, seed=1)
    nothing = dn[0] == 0
    assert nothing.mean() == pytest.approx(0.2, abs=0.01)
    done = {
        "offset": years.offset(dn, 1000),
        "gain": years.gain(dn, 1.2, [B08]),
        "swap": years.swap(dn, B04, B08),
        "rescale": years.rescale(dn, 0.1),
        "clouded": years.clouded(dn, 0.3),
        "resampled": years.resampled(dn, 6),
        "missing": years.missing(dn, B11, 1),
    }
    for name, out in done.items():
        assert (out.shape, out.dtype) == (dn.shape, np.uint16), name
        assert ((out == 0) == (dn == 0)).all(), name
    there = ~nothing
    assert (done["offset"][:, there] == dn[:, there] + 1000).all()
    np.testing.assert_allclose(done["gain"][B08][there], dn[B08][there] * 1.2, atol=0.51)
    assert (done["gain"][B04] == dn[B04]).all()
    assert (done["swap"][B04] == dn[B08]).all()
    assert (years.swap(done["swap"], B04, B08) == dn).all()
    assert done["rescale"].max() == pytest.approx(dn.max() / 10, abs=1)
    bright = done["clouded"][B02][there] > dn[B02][there] + 100.0
    assert 0.2 < bright.mean() < 0.32
    assert (years.missing(dn, B11)[B11] == 0).all()


def test_saturated_numbers_do_not_wrap():
    top = np.full((13, 60, 60), 65_500, dtype=np.uint16)
    assert years.offset(top, 1000).min() == 65_535
    assert years.gain(top, 2.0).min() == 65_535
    assert years.offset(top, -100_000).min() == 1


def test_resampling_keeps_the_level_and_loses_the_detail():
    out = years.resampled(SEEN, 6).astype(float)
    assert out[B08].mean() == pytest.approx(SEEN[B08].mean(), rel=0.005)
    steps = [np.abs(np.diff(image[B08].astype(float), axis=0)).mean() for image in (out, SEEN)]
    assert steps[0] < 0.6 * steps[1]
    assert (years.resampled(SEEN, 1) == SEEN).all()


@pytest.mark.parametrize("pixels", [7, -7, 400])
def test_what_is_moved_is_the_same_elsewhere(pixels: int):
    out = years.moved(SEEN, pixels)
    if abs(pixels) >= 192:
        assert not out.any()
        return
    back = years.moved(out, -pixels)
    inside = back[0] > 0
    assert inside.mean() > 0.9
    assert (back[:, inside] == SEEN[:, inside]).all()
    assert (out[0] == 0).mean() == pytest.approx(1 - (161 / 168) * (185 / 192), abs=0.001)
