"""What metadata declare, and when they contradict each other."""

from datetime import UTC, datetime

import pytest

from geoml_ops.core.bands import SENTINEL_2_L1C, Radiometry
from geoml_ops.core.errors import BadInput
from geoml_ops.domain.delivery import DeclaredNumbers, SceneDelivery, band_of, declare, is_name, read_product

TIME = datetime(2022, 3, 1, 10, tzinfo=UTC)
PRODUCT = b"""<n1:Level-1C_User_Product xmlns:n1="https://psd-14.sentinel2.eo.esa.int/PSD/User_Product_Level-1C.xsd">
<PRODUCT_START_TIME>2022-03-01T10:00:00.024Z</PRODUCT_START_TIME><PROCESSING_BASELINE>04.00</PROCESSING_BASELINE>
<QUANTIFICATION_VALUE unit="none">10000</QUANTIFICATION_VALUE><Radiometric_Offset_List>
<RADIO_ADD_OFFSET band_id="0">-1000</RADIO_ADD_OFFSET><RADIO_ADD_OFFSET band_id="1">-1000</RADIO_ADD_OFFSET>
</Radiometric_Offset_List></n1:Level-1C_User_Product>"""


def said(baseline="04.00", offset=-1000.0, quantification=10000.0, acquired=TIME) -> SceneDelivery:
    numbers = DeclaredNumbers(quantification=quantification, add_offset=offset) if offset is not None else None
    return SceneDelivery(
        kind="scene", sensor="sentinel-2-l1c", acquired=acquired, processing_baseline=baseline, radiometry=numbers
    )


def failed(checks) -> str:
    return " ".join(c.sentence for c in checks if not c.passed and c.blocking)


def test_the_product_file_alone_is_a_declaration():
    silent = SceneDelivery(kind="scene", sensor="sentinel-2-l1c")
    found, checks = declare(silent, read_product(PRODUCT), {}, SENTINEL_2_L1C)
    assert not failed(checks)
    assert found is not None
    assert (found.baseline, found.radiometry.offset_dn, found.radiometry.scale) == ("04.00", -1000.0, 1e-4)
    assert found.acquired.year == 2022


def test_both_agree():
    found, checks = declare(
        said(), read_product(PRODUCT), {"B02": Radiometry(scale=1e-4, offset_dn=-1000.0)}, SENTINEL_2_L1C
    )
    assert found is not None, failed(checks)


@pytest.mark.parametrize(
    ("delivery", "words"),
    [
        (said(baseline="05.00"), "baseline 05.00 in delivery.yaml, 04.00 in the product"),
        (said(offset=0.0), "(DN + 0) / 10000 in delivery.yaml, (DN + -1000) / 10000 in the product"),
        (said(acquired=datetime(2022, 3, 2, tzinfo=UTC)), "acquired 2022-03-02"),
    ],
)
def test_contradictions_are_named(delivery, words):
    found, checks = declare(delivery, read_product(PRODUCT), {}, SENTINEL_2_L1C)
    assert found is None
    assert words in failed(checks)


@pytest.mark.parametrize(
    ("delivery", "in_files", "words"),
    [
        (said(offset=None), {}, "Not declared: radiometry"),
        (said(baseline=None), {}, "Not declared: processing_baseline"),
        (said(acquired=None), {}, "Not declared: acquired"),
        (said(acquired=datetime(2022, 3, 1)), {}, "no time zone"),
        (said(baseline="02.04"), {}, "Baseline 02.04 goes with an offset of 0"),
        (said(offset=-900.0), {}, "every band declares an offset of -900 DN where sentinel-2-l1c has 0"),
        (
            said(quantification=255.0),
            {},
            "every band declares a scale of 0.00392157 per DN where sentinel-2-l1c has 0.0001",
        ),
        (said(), {"B01": None, "B03": Radiometry(scale=1e-4)}, "B03 (DN + 0) / 10000 in its file"),
    ],
)
def test_what_is_not_declared_or_cannot_be_is_refused(delivery, in_files, words):
    found, checks = declare(delivery, None, in_files, SENTINEL_2_L1C)
    assert found is None
    assert words in failed(checks)


def test_product_files_that_are_none_are_refused():
    for content in (
        b"<a><b></a>",
        b'<!DOCTYPE a [<!ENTITY x "y">]><a>&x;</a>',
        b"\x00\x01",
        b"<a>" + b" " * (17 << 20),
    ):
        with pytest.raises(BadInput, match="product metadata"):
            read_product(content)


def test_bands_by_file_name():
    names = {"T33UUU_20170216T102101_B8A.jp2": "B8A", "x_b04.TIF": "B04", "a_B10.tiff": "B10"}
    assert {name: band_of(name) for name in names} == names
    for name in ("MSK_QUALIT_B01.jp2", "T33UUU_TCI.jp2", "x_B04.jp2.aux.xml", "xB04.tif", "x_B4.tif"):
        assert band_of(name) is None


def test_plain_names():
    assert is_name("T33UUU_20170216T102101-shifted.1")
    for name in ("", "..", "a..b", ".hidden", "-rf", "a b", "a\n", "a/b", "ä", "x" * 130):
        assert not is_name(name)
