"""Names of features, and the bands they need."""

import pytest

from geoml_ops.core.bands import SENTINEL_2_L1C
from geoml_ops.core.errors import BadInput
from geoml_ops.domain.features import INDICES, bands_needed, parts_of


def test_only_the_bands_that_are_used_in_the_contracts_order():
    assert bands_needed(["NDVI", "B02"], SENTINEL_2_L1C) == ("B02", "B04", "B08")
    assert bands_needed(["B12", "NDMI"], SENTINEL_2_L1C) == ("B08", "B11", "B12")


@pytest.mark.parametrize("name", INDICES)
def test_every_index_is_made_of_bands_that_the_sensor_has(name):
    assert 2 <= len(parts_of(name, SENTINEL_2_L1C)) <= 4


def test_an_unknown_feature_is_refused_with_those_that_exist():
    with pytest.raises(BadInput, match=r"no feature 'NDVX'.*B8A.*NDVI"):
        bands_needed(["B02", "NDVX"], SENTINEL_2_L1C)


def test_no_feature_and_a_feature_named_twice_are_refused():
    with pytest.raises(BadInput, match="No feature"):
        bands_needed([], SENTINEL_2_L1C)
    with pytest.raises(BadInput, match="B02 are named more than once"):
        bands_needed(["B02", "NDVI", "B02"], SENTINEL_2_L1C)


def test_an_index_of_bands_that_the_sensor_lacks_is_refused():
    with pytest.raises(BadInput, match="0 bands called 'swir16'"):
        bands_needed(["NDMI"], SENTINEL_2_L1C.subset(["B04", "B08"]))
