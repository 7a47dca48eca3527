"""Sensors as data: what is written down about each, and numbers of every kind of band on their way to the contract."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from geoml_ops.core.bands import COMMON_NAMES, CONTRACTS, Band, Contract, Radiometry, contract_for, linear, to_contract
from geoml_ops.core.errors import BadInput
from geoml_ops.core.sensorfile import SensorFile

L2 = contract_for("landsat-8-9-oli-tirs-c2-l2")
TM = contract_for("landsat-4-5-tm-c2-l1")


@pytest.mark.parametrize("contract", CONTRACTS.values(), ids=list(CONTRACTS))
def test_every_sensor_is_whole(contract):
    assert Contract.model_validate_json(contract.model_dump_json()) == contract
    assert contract_for(contract.sensor) is contract
    for band in contract.bands:
        assert band.common_name in ("", *COMMON_NAMES)
        assert band.centre_nm is not None
        assert band.valid[0] < band.valid[1]
        assert (band.gsd_m / contract.pixel_m).is_integer()
        assert (band.gsd_m == contract.pixel_m) == (band.resampling == "none")
        assert {contract.band(word).name for word in band.words} == {band.name}
    waves = {band.name: band.centre_nm for band in contract.bands}
    for word, (low, high) in {"blue": (450, 500), "red": (630, 690), "nir": (750, 900), "swir16": (1550, 1750)}.items():
        for band in contract.bands:
            assert band.common_name != word or low <= waves[band.name] <= high


def test_what_the_producers_publish():
    assert contract_for("sentinel-2-l2a").names == tuple(n for n in contract_for("sentinel-2-l1c").names if n != "B10")
    warm = L2.band("ST_B10")
    assert (warm.unit, warm.common_name, L2.radiometry_of("ST_B10").scale) == ("K", "lwir11", 0.00341802)
    # Numbers of the Landsat Collection 2 Level 2 guide: 7273 and 43636 are reflectances of 0 and 1; 44178 is 300 K.
    value = (np.array([7273, 43636]) + L2.radiometry.offset_dn) * L2.radiometry.scale
    np.testing.assert_allclose(value, [0, 1], atol=2e-5)
    assert (44178 + L2.radiometry_of("ST_B10").offset_dn) * 0.00341802 == pytest.approx(300.0, abs=2e-3)
    # Chander et al. 2009: TM5 band 1, gain 0.765827 and bias -2.28583, 1983 W/(m2 um).
    blue = TM.radiometry_of("B1")
    assert (100 + blue.offset_dn) * blue.scale == pytest.approx(math.pi * (100 * 0.765827 - 2.28583) / 1983.0)


@given(st.integers(1, 65535), st.sampled_from(L2.names))
def test_each_band_keeps_its_own_numbers_and_zero_is_nothing(dn, name):
    layers = np.full((len(L2.bands), 1, 2), 20_000, dtype=np.uint16)
    layers[L2.names.index(name), 0, :] = dn, 0
    own = {"ST_B10": L2.radiometry_of("ST_B10")}
    found = to_contract(layers, L2.radiometry, L2, own)[L2.names.index(name), 0]
    np.testing.assert_array_equal(found, np.float32([dn, np.nan]))


def test_a_thermal_band_without_its_own_radiometry_is_refused_by_name():
    with pytest.raises(BadInput, match=r"ST_B10 declares a scale of 2\.75e-05 per DN, .* works at 0\.00341802"):
        to_contract(np.ones((8, 1, 1), np.uint16), L2.radiometry, L2)
    with pytest.raises(ValueError, match="3 layers do not fit the 8 bands"):
        to_contract(np.ones((3, 1, 1), np.uint16), L2.radiometry, L2)


def test_one_band_shifted_by_itself_is_brought_back():
    dn = np.full((8, 1, 1), 10_000, np.uint16)
    own = {"ST_B10": L2.radiometry_of("ST_B10"), "SR_B3": Radiometry(scale=2.75e-5, offset_dn=-7172.727272727273)}
    found = to_contract(dn, L2.radiometry, L2, own)[:, 0, 0]
    assert found.tolist() == [10_000.0, 10_000.0, 10_100.0] + [10_000.0] * 5


@given(st.floats(0.51, 1.95), st.floats(-9, 3), st.integers(1, 255))
def test_scales_that_change_with_the_scene_keep_the_reflectance(times, offset_dn, dn):
    declared = {name: Radiometry(scale=TM.radiometry_of(name).scale * times, offset_dn=offset_dn) for name in TM.names}
    found = to_contract(np.full((7, 1, 1), dn, np.uint8), TM.radiometry, TM, declared)[:, 0, 0].astype(float)
    for name, number in zip(TM.names, found, strict=True):
        theirs, ours = declared[name], TM.radiometry_of(name)
        said = (dn + theirs.offset_dn) * theirs.scale
        assert (number + ours.offset_dn) * ours.scale == pytest.approx(said, rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("times", [0.4, 2.1, 100.0])
def test_a_scale_far_from_the_published_one_is_no_change_of_scene(times):
    own = {n: TM.radiometry_of(n) for n in TM.names}
    own["B4"] = own["B4"].model_copy(update={"scale": own["B4"].scale * times})
    with pytest.raises(BadInput, match="B4 declares a scale of"):
        to_contract(np.ones((7, 1, 1), np.uint8), TM.radiometry, TM, own)


def test_a_sensor_without_a_nodata_number_counts_black_and_drops_nan():
    rgbn = contract_for("rgbn-aerial")
    found = to_contract(np.zeros((4, 1, 1), np.uint8), rgbn.radiometry, rgbn)
    np.testing.assert_array_equal(found, np.zeros((4, 1, 1)))
    found = to_contract(np.full((4, 1, 1), np.nan, np.float32), rgbn.radiometry, rgbn)
    assert np.isnan(found).all()


@given(st.data())
def test_bands_are_found_under_any_of_their_names_in_any_order(data):
    contract = contract_for(data.draw(st.sampled_from(sorted(CONTRACTS))))
    wanted = contract.subset(data.draw(st.lists(st.sampled_from(contract.names), min_size=1, unique=True)))
    said = [data.draw(st.sampled_from(band.words)) for band in contract.bands]
    present = data.draw(st.permutations([*said, *contract.also[:3]]))
    found = wanted.order(present)
    assert [contract.band(present[i]).name for i in found] == list(wanted.names)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda n: n[:-1], r"missing B12"),
        (lambda n: [*n, "B04"], r"twice B04"),
        (lambda n: [*n, "red"], r"twice B04"),
        (lambda n: [*n, "B4"], r"twice B04"),
        (lambda n: [*n, "B99"], r"not known B99"),
        (lambda n: [*n, "x" * 500], r"not known x{60};"),
        (lambda n: ["", *n], r"without a name: layer 1"),
        (lambda n: [*n, "SCL", "SCL"], r"twice SCL"),
        (lambda n: [w.lower() for w in n], r"missing B01.*not known b01"),
        (lambda n: ["rededge", *n[1:]], r"missing B01; not known rededge"),
        (lambda n: [], r"missing B01.*found none"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(change, words):
    contract = contract_for("sentinel-2-l2a")
    with pytest.raises(BadInput, match=words):
        contract.order(change(list(contract.names)))


def test_a_full_scene_serves_a_model_that_reads_a_part_and_nothing_unknown_comes_with_it():
    contract = contract_for("sentinel-2-l2a")
    part = contract.subset(["red", "nir"])
    assert part.order(contract.names) == (3, 7)
    assert part.order(["SCL", "B8", "rededge071", "B4"]) == (3, 1)
    assert part.subset(["B04"]).order(["nir", "B04"]) == (1,)
    with pytest.raises(BadInput, match="not known B10"):
        part.order(["B10", *contract.names])


def test_a_contract_calls_two_bands_by_one_name_only_where_nobody_asks_for_it():
    etm = contract_for("landsat-7-etm-c2-l1")
    assert etm.band("B6_VCID_2").unit == "W/(m2 sr um)"
    with pytest.raises(BadInput, match="0 bands called 'lwir'"):
        etm.band("lwir")
    with pytest.raises(BadInput, match="0 bands called ''"):
        etm.band("")
    bands = tuple(Band(name=n, common_name="rededge", gsd_m=1.0) for n in ("a", "b"))
    two = Contract(sensor="s", bands=bands, radiometry=Radiometry(scale=1.0), pixel_m=1.0, dtype="uint8")
    with pytest.raises(BadInput, match="2 bands called 'rededge'"):
        two.band("rededge")
    with pytest.raises(BadInput, match="missing a, b; not known rededge"):
        two.order(["rededge"])
    for wrong in ((bands[0], bands[0]), (bands[0], Band(name="c", aliases=("a",), gsd_m=1.0))):
        with pytest.raises(ValidationError, match="several layers are called a"):
            Contract(sensor="s", bands=wrong, radiometry=Radiometry(scale=1.0), pixel_m=1.0, dtype="uint8")


def sensor(**changes):
    plain = {
        "sensor": "mine", "pixel_m": 2.0, "dtype": "uint16", "nodata": 0.0, "scale": 1e-4,
        "bands": {"r": {"common_name": "red"}, "t": {"unit": "K", "scale": 0.01, "valid": (200.0, 350.0)}},
    }  # fmt: skip
    return SensorFile.model_validate({**plain, **changes})


def test_a_sensor_of_ones_own_gives_the_contract_it_describes():
    contract = sensor(also=("mask",)).contract
    assert contract.names == ("r", "t")
    assert contract.radiometry == linear(1e-4, 0.0)
    assert contract.band("red").radiometry is None
    assert contract.radiometry_of("t") == linear(0.01, 0.0)
    assert contract.order(["mask", "t", "red"]) == (2, 1)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"sensor": "Mine!"}, "small letters"),
        ({"sensor": "sentinel-2-l2a"}, "built in"),
        ({"bands": {}}, "at least 1"),
        ({"bands": {"r": {}, "../etc": {}}}, "letters, digits and underlines, not '../etc'"),
        ({"bands": {"r": {"common_name": "crimson"}}}, "STAC knows pan, coastal"),
        ({"bands": {"r": {"common_name": "red"}, "red": {}}}, "r and red are both called red"),
        ({"bands": {"a": {"aliases": ("x",)}, "b": {"aliases": ("x",)}}}, "a and b are both called x"),
        ({"bands": {"r": {}}, "also": ("r",)}, "r is a band and cannot be left aside"),
        ({"bands": {"r": {"gsd_m": 1.0}}}, "pixels of 1 m, no whole multiple of 2 m"),
        ({"bands": {"r": {"gsd_m": 5.0}}}, "pixels of 5 m, no whole multiple"),
        ({"bands": {"r": {"gsd_m": 4.0}}}, "say resampling"),
        ({"bands": {"r": {"gsd_m": 4.0, "resampling": "nearest"}}, "dtype": "float32"}, "only unsigned integers"),
        ({"bands": {"r": {"valid": (1.0, 1.0)}}}, "nothing lies between"),
        ({"bands": {"t": {"unit": "K"}}}, "say which values are valid"),
        ({"bands": {"r": {"scale": 0.0}}}, "greater than 0"),
        ({"bands": {"r": {"wavelength": 5}}}, "Extra inputs are not permitted"),
        ({"scale": float("inf")}, "finite"),
        ({"scale": -1.0}, "greater than 0"),
        ({"nodata": 70_000.0}, "nodata 70000 cannot stand among uint16"),
        ({"nodata": 0.5}, "nodata 0.5 cannot stand"),
        ({"dtype": "complex64"}, "uint8"),
        ({"crs_class": "degrees"}, "projected metres"),
        ({"pixel_m": 0.0}, "greater than 0"),
    ],
)
def test_nonsense_in_a_sensor_is_named(changes, words):
    with pytest.raises(ValidationError, match=words):
        sensor(**changes)
