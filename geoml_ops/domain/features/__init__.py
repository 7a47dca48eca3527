"""Which features exist and what they are made of: one line of text each, computed by the feature graph only.

A feature is a band, a spectral index of the catalogue, a formula of them, or what a window around each pixel says
of one. Training and serving run the same graph (:mod:`geoml_ops.adapters.onnx`); there is no second
implementation that could drift away from it.
"""

from __future__ import annotations

from collections.abc import Sequence

from geoml_ops.core.bands import Contract
from geoml_ops.domain.covariates.cooccurrence import MAX_WINDOW_PX
from geoml_ops.domain.features.catalogue import INDICES, LEFT_OUT, Index
from geoml_ops.domain.features.degrees import LEAST_DENOMINATOR, degree, least_denominator
from geoml_ops.domain.features.functions import FUNCTIONS, MAX_HALO_PX
from geoml_ops.domain.features.grammar import parse
from geoml_ops.domain.features.ranges import may_overflow, range_of
from geoml_ops.domain.features.reading import Feature, label_of, read
from geoml_ops.domain.features.tree import Name, Node, Number, Tree, written

__all__ = [
    "FUNCTIONS",
    "INDICES",
    "LEAST_DENOMINATOR",
    "LEFT_OUT",
    "MAX_HALO_PX",
    "MAX_WINDOW_PX",
    "Feature",
    "Index",
    "Name",
    "Node",
    "Number",
    "Tree",
    "bands_needed",
    "degree",
    "expanded",
    "halo_of",
    "label_of",
    "least_denominator",
    "may_overflow",
    "parse",
    "parts_of",
    "range_of",
    "read",
    "written",
]


def expanded(texts: Sequence[str], contract: Contract) -> tuple[str, ...]:
    """Returns the canonical text of every feature that lines of text stand for; raises as :func:`read`.

    >>> from geoml_ops.core.bands import SENTINEL_2_L1C
    >>> expanded(["B02", "mean(NDVI,[3,9])"], SENTINEL_2_L1C)
    ('B02', 'mean(NDVI, 3)', 'mean(NDVI, 9)')
    """
    return tuple(feature.text for feature in read(texts, contract))


def parts_of(feature: str, contract: Contract) -> tuple[str, ...]:
    """Returns the sensor names of the bands that one text is made of, as :func:`bands_needed`."""
    return bands_needed([feature], contract)


def bands_needed(features: Sequence[str], contract: Contract) -> tuple[str, ...]:
    """Returns the names of the bands that these features need, in the contract's order.

    These are the bands of the feature graph's input ``dn [batch, band, y, x]``.

    Args:
        features: lines of text.
        contract: what the sensor delivers.

    Raises:
        BadInput: as :func:`read`.
    """
    used = {band for feature in read(features, contract) for band in feature.bands}
    return tuple(name for name in contract.names if name in used)


def halo_of(features: Sequence[str], contract: Contract) -> int:
    """Returns how many pixels around its own the features of a pixel need to see; raises as :func:`read`."""
    return max(feature.halo_px for feature in read(features, contract))
