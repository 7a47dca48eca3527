"""Bands under exchanged names: caught where the numbers are certain, and never where they are right."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geoml_ops.core.bands import CONTRACTS, Radiometry, contract_for
from geoml_ops.domain.checks import measure, offset_check, spectral_check
from tests.scenery import FIELDS, GROUNDS, exchanged, ground, rules

L1C, L2A = contract_for("sentinel-2-l1c"), contract_for("sentinel-2-l2a")


@settings(deadline=None, max_examples=120)
@given(
    st.sampled_from(sorted(CONTRACTS)),
    st.lists(st.sampled_from(sorted(GROUNDS)), min_size=1, max_size=6, unique=True),
    st.integers(0, 2**20),
    st.floats(0, 0.9),
    st.floats(0, 0.02),
)
def test_no_ground_raises_a_false_alarm(sensor, names, seed, mixed, noise):
    contract = contract_for(sensor)
    check = spectral_check(ground(contract, names, seed, 48, mixed, noise), contract, rules(contract))
    assert check.passed or not check.blocking, check.sentence


VISIBLE, INFRARED, SHORT = ("B02", "B03", "B04"), ("B06", "B07", "B08", "B8A"), ("B11", "B12")


@pytest.mark.parametrize("contract", [L1C, L2A], ids=lambda c: c.sensor)
def test_an_exchange_of_visible_and_near_infrared_is_refused_by_name(contract):
    dn = ground(contract, FIELDS, mixed=0.2)
    for one in VISIBLE:
        for other in INFRARED:
            check = spectral_check(exchanged(dn, contract, one, other), contract, rules(contract))
            assert not check.passed, (one, other)
            assert check.blocking
            assert f"{one} follows the near infrared and {other} the visible" in check.sentence
    for part in (VISIBLE, INFRARED, SHORT):
        for one, other in combinations(part, 2):
            assert spectral_check(exchanged(dn, contract, one, other), contract, rules(contract)).passed


def test_what_may_be_an_exchange_with_the_short_wave_infrared_is_said():
    dn = ground(L2A, ("leaves", "red soil", "snow", "muddy water", "sand"), mixed=0.3)
    check = spectral_check(exchanged(dn, L2A, "B08", "B11"), L2A, rules(L2A))
    assert (check.passed, check.blocking) == (False, False)
    assert "B08 follows the short-wave infrared and B11 the near infrared" in check.sentence
    assert spectral_check(dn, L2A, rules(L2A)).passed


@pytest.mark.parametrize("other", ["B02", "B03", "B04", "B05", "B08", "B8A", "B11", "B12"])
def test_the_cirrus_band_is_dark_whatever_the_ground(other):
    for names in (FIELDS, ("cloud", "snow"), ("sand",)):
        dn = ground(L1C, names)
        check = spectral_check(exchanged(dn, L1C, "B10", other), L1C, rules(L1C))
        assert not check.passed
        assert "B10, where the air is opaque" in check.sentence


def test_red_and_near_infrared_of_landsat_and_of_a_picture_with_four_bands():
    oli = contract_for("landsat-8-9-oli-tirs-c2-l2")
    dn = ground(oli, FIELDS)
    check = spectral_check(exchanged(dn, oli, "SR_B4", "SR_B5"), oli, rules(oli))
    assert not check.passed
    assert check.blocking
    assert "as leaves are when SR_B4 and SR_B5 change places" in check.sentence
    # Four bands cannot tell leaves from a red salt lake: said, not refused.
    rgbn = contract_for("rgbn-aerial")
    check = spectral_check(exchanged(ground(rgbn, FIELDS), rgbn, "R", "N"), rgbn, rules(rgbn))
    assert (check.passed, check.blocking) == (False, False)
    assert "may have been exchanged" in check.sentence


def test_a_temperature_under_the_name_of_a_reflectance():
    oli = contract_for("landsat-8-9-oli-tirs-c2-l2")
    check = spectral_check(exchanged(ground(oli, FIELDS), oli, "SR_B4", "ST_B10"), oli, rules(oli))
    assert not check.passed
    assert "half of ST_B10 is colder than" in check.sentence


def test_too_little_ground_says_that_it_cannot_tell():
    dn = ground(L1C, FIELDS)
    dn[:, :, :60] = 0
    check = spectral_check(exchanged(dn, L1C, "B04", "B08"), L1C, rules(L1C))
    assert (check.passed, check.blocking) == (True, False)
    assert "too few pixels" in check.sentence
    assert spectral_check(dn[:, :3, :3], L1C, rules(L1C)).passed
    flat = np.full_like(dn, 1500)
    flat[10] = 20
    assert spectral_check(flat, L1C, rules(L1C)).passed


# --- offsets ---------------------------------------------------------------------------------


def offset(dn, contract, offset_dn=None, sworn=False):
    each = rules(contract)
    if offset_dn is not None:
        each = {name: Radiometry(scale=1e-4, offset_dn=offset_dn) for name in each}
    first = each[contract.names[0]]
    return offset_check(measure(dn, contract, first, each), contract, each, sworn=sworn)


@settings(deadline=None, max_examples=80)
@given(
    st.sampled_from([name for name in sorted(CONTRACTS) if name != "sentinel-2-l2a"]),
    st.lists(st.sampled_from(sorted(GROUNDS)), min_size=1, max_size=5, unique=True),
    st.integers(0, 2**20),
)
def test_right_offsets_are_never_refused(sensor, names, seed):
    check = offset(ground(contract_for(sensor), names, seed, 36), contract_for(sensor))
    assert check.passed, check.sentence


@pytest.mark.parametrize("names", [("red salt lake",), ("red salt lake", "snow"), ("red salt lake", "cloud")])
def test_a_scene_that_is_nothing_but_a_red_salt_lake_is_not_taken_for_an_offset(names):
    for seed in range(40):
        check = offset(ground(L1C, names, seed, 36), L1C)
        assert check.passed, check.sentence


def test_level_2a_over_bright_ground_is_the_producers_word():
    bright = ground(L2A, ("sand", "concrete"), mixed=0.1)
    lone, sworn = offset(bright, L2A, 0.0), offset(bright, L2A, 0.0, sworn=True)
    assert (lone.passed, lone.blocking) == (False, True)
    assert "deliver MTD_MSIL2A.xml" in lone.sentence
    assert (sworn.passed, sworn.blocking) == (False, False)
    # With the offset of the baseline declared there is no other that could be hidden.
    assert offset(bright + np.uint16(1000), L2A, -1000.0).passed
    fields = ground(L2A, FIELDS)
    assert offset(fields, L2A, 0.0).passed
    assert not offset(fields + np.uint16(1000), L2A, 0.0).passed
    assert not offset(fields, L2A, -1000.0).passed


@pytest.mark.parametrize("name", ["B03", "B06", "B07"])
def test_one_band_that_carries_an_offset_alone_is_named(name):
    dn = ground(L1C, FIELDS)
    dn[L1C.names.index(name)] += 1000
    check = offset(dn, L1C)
    assert not check.passed
    assert f"{name} carries an offset or a scale of its own" in check.sentence


@pytest.mark.parametrize("name", ["B04", "B08", "B11", "B12", "B10"])
def test_one_band_without_the_offset_of_the_others_is_named(name):
    dn = ground(L1C, FIELDS)
    shifted = dn + np.uint16(1000)
    shifted[L1C.names.index(name)] = dn[L1C.names.index(name)]
    check = offset(shifted, L1C, -1000.0)
    assert not check.passed
    assert name in check.sentence
    assert "declared but absent" in check.sentence


def test_landsat_numbers_without_their_offset_are_darker_than_black():
    oli = contract_for("landsat-8-9-oli-tirs-c2-l2")
    dn = ground(oli, FIELDS)
    dn[:-1] = np.clip((dn[:-1] * 2.75e-5 - 0.2) * 1e4, 1, None)
    check = offset(dn, oli)
    assert not check.passed
    assert "SR_B2" in check.sentence
