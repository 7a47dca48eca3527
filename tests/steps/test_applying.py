"""What sets of a table's own ground may be asked for."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from geoml_ops.core.errors import BadInput
from geoml_ops.core.experiment import Uncertainty
from geoml_ops.steps.applying import sets_of


def test_regions_in_metres_are_refused_where_the_ground_is_in_degrees() -> None:
    """Before anything is read, so nothing else has to be there."""
    asked: Any = SimpleNamespace(uncertainty=Uncertainty(region_m=20_000.0))
    degrees: Any = SimpleNamespace(samples=SimpleNamespace(projected=False, crs="EPSG:4326"))
    nothing: Any = None
    with pytest.raises(BadInput, match=r"Regions of 20000 m cannot be cut in EPSG:4326.*leave region_m out"):
        sets_of(nothing, nothing, asked, degrees)
