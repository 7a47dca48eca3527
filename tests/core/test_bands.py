"""The band contract: names, and the one function that applies an offset."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from geoml_ops.core.bands import SENTINEL_2_L1C, Radiometry, contract_for, to_contract
from geoml_ops.core.errors import BadInput

OLD = Radiometry(scale=1e-4, offset_dn=0.0, nodata=0.0)
NEW = Radiometry(scale=1e-4, offset_dn=-1000.0, nodata=0.0)
NUMBERS = npst.arrays(np.uint16, (2, 5, 5), elements=st.integers(0, 60_000))


@settings(deadline=None)
@given(NUMBERS)
def test_a_declared_shift_gives_exactly_the_same_numbers(dn):
    shifted = np.where(dn == 0, 0, dn + np.uint16(1000)).astype(np.uint16)
    np.testing.assert_array_equal(to_contract(dn, OLD, SENTINEL_2_L1C), to_contract(shifted, NEW, SENTINEL_2_L1C))


@settings(deadline=None)
@given(NUMBERS)
def test_reflectance_is_that_of_the_definition(dn):
    ours = to_contract(dn, NEW, SENTINEL_2_L1C).astype(np.float64) * SENTINEL_2_L1C.radiometry.scale
    theirs = (dn.astype(np.float64) - 1000) / 10_000
    np.testing.assert_allclose(ours[dn > 0], theirs[dn > 0], rtol=0, atol=1e-9)
    assert np.isnan(ours[dn == 0]).all()


def test_nodata_is_decided_before_the_offset():
    dn = np.array([[[0, 1000, 999]]], dtype=np.uint16)
    np.testing.assert_array_equal(to_contract(dn, NEW, SENTINEL_2_L1C), [[[np.nan, 0.0, -1.0]]])


def test_numbers_that_are_no_numbers_stay_missing():
    dn = np.array([[[np.nan, np.inf, 5.0]]], dtype=np.float32)
    np.testing.assert_array_equal(to_contract(dn, OLD, SENTINEL_2_L1C), [[[np.nan, np.nan, 5.0]]])


def test_another_scale_is_refused():
    with pytest.raises(BadInput, match="scale of 1 per DN"):
        to_contract(np.ones((1, 1, 1), np.uint16), Radiometry(scale=1.0), SENTINEL_2_L1C)


@pytest.mark.parametrize("kind", [np.int32, np.uint32, np.int64, np.uint64, np.float32, np.float64])
@settings(deadline=None, max_examples=25)
@given(NUMBERS, st.integers(0, 65_535))
def test_a_type_that_holds_the_same_numbers_gives_the_same_ones(kind, dn, absent):
    rule = NEW.model_copy(update={"also_nodata": float(absent)})
    found = to_contract(dn.astype(kind), rule, SENTINEL_2_L1C)
    np.testing.assert_array_equal(found, to_contract(dn, rule, SENTINEL_2_L1C))
    np.testing.assert_array_equal(np.isnan(found), (dn == 0) | (dn == absent))


@settings(deadline=None)
@given(NUMBERS, st.sampled_from([0.0, -1000.0]), st.sampled_from(["divided", "multiplied", "twice", "in float64"]))
def test_reflectances_of_whole_numbers_become_these_numbers_again(dn, offset_dn, how):
    shifted = dn.astype(np.float32) + np.float32(offset_dn)
    values = {
        "divided": shifted / np.float32(10_000),
        "multiplied": shifted * np.float32(1e-4),
        "twice": dn.astype(np.float32) * np.float32(1e-4) + np.float32(offset_dn * 1e-4),
        "in float64": (dn.astype(np.float64) + offset_dn) * 1e-4,
    }[how]
    rule = Radiometry(scale=1.0, offset_dn=0.0, nodata=None)
    if how == "twice":  # what cancels keeps the rounding of what it came from, so that it must be declared
        values, rule = dn.astype(np.float32) * np.float32(1e-4), Radiometry(scale=1.0, offset_dn=offset_dn * 1e-4)
        rule = rule.model_copy(update={"nodata": None})
    np.testing.assert_array_equal(to_contract(values, rule, SENTINEL_2_L1C), shifted)


def test_values_between_whole_numbers_stay_between_them():
    values = np.array([[[0.10005, np.nan, -9999.0]]], np.float32)
    rule = Radiometry(scale=1.0, nodata=-9999.0)
    found = to_contract(values, rule, SENTINEL_2_L1C)
    np.testing.assert_allclose(found, [[[1000.5, np.nan, np.nan]]], rtol=2e-7)


@pytest.mark.parametrize(("number", "kind"), [(2**24 + 1, np.int32), (-(2**24) - 1, np.int64), (2**63, np.uint64)])
def test_numbers_beyond_float32_are_refused_and_as_nodata_they_are_not(number, kind):
    dn = np.array([[[number, 5]]], dtype=kind)
    with pytest.raises(BadInput, match=r"B01 holds .*; whole numbers are read up to 16777216"):
        to_contract(dn, OLD, SENTINEL_2_L1C)
    rule = OLD.model_copy(update={"also_nodata": float(number)})
    np.testing.assert_array_equal(to_contract(dn, rule, SENTINEL_2_L1C), [[[np.nan, 5.0]]])


def test_a_second_number_for_nothing_is_written_only_where_there_is_one():
    assert OLD.model_dump(mode="json") == {"scale": 1e-4, "offset_dn": 0.0, "nodata": 0.0}
    both = OLD.model_copy(update={"also_nodata": -9999.0})
    assert both.model_dump(mode="json")["also_nodata"] == -9999.0
    assert [Radiometry.model_validate(one.model_dump(mode="json")) for one in (OLD, both)] == [OLD, both]
    assert (both.absent, Radiometry(scale=1.0, nodata=None).absent) == ((0.0, -9999.0), ())


@settings(deadline=None)
@given(st.permutations([*SENTINEL_2_L1C.names, "TCI", "SCL"]))
def test_bands_are_found_by_name_in_any_order(present):
    order = SENTINEL_2_L1C.order(present)
    assert [present[i] for i in order] == list(SENTINEL_2_L1C.names)


def test_missing_and_double_bands_are_named():
    names = list(SENTINEL_2_L1C.names)
    with pytest.raises(BadInput, match="missing B04"):
        SENTINEL_2_L1C.order([n for n in names if n != "B04"])
    with pytest.raises(BadInput, match="twice B11"):
        SENTINEL_2_L1C.order([*names, "B11"])
    with pytest.raises(BadInput, match="missing B01"):
        SENTINEL_2_L1C.order([""] * 13)


def test_bands_answer_to_their_common_name_and_a_subset_keeps_the_order():
    assert SENTINEL_2_L1C.band("nir").name == "B08"
    assert SENTINEL_2_L1C.subset(["B08", "B02"]).names == ("B02", "B08")
    with pytest.raises(BadInput, match="0 bands called 'panchromatic'"):
        SENTINEL_2_L1C.band("panchromatic")
    with pytest.raises(BadInput, match="no band contract"):
        contract_for("landsat-9")
