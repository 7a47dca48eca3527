"""Which features exist and what they are made of: formulae as data, computed by the feature graph only.

A feature is a band's reflectance (named as the sensor names the band) or a spectral index. Every
index is ``gain * top / bottom``, both parts linear in reflectance, so that one small compiler
(:mod:`geoml_ops.adapters.onnx`) serves them all. Training and serving run that same graph; there is
no second implementation that could drift away from it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from geoml_ops.core.bands import Contract
from geoml_ops.core.errors import BadInput

LEAST_DENOMINATOR = 1e-6
"""Below this magnitude a denominator is zero for reflectances that come in steps of 1e-4: the index does not exist."""


@dataclass(frozen=True)
class Linear:
    """``constant + sum(weight * reflectance)``, added up in the order of ``terms``.

    Attributes:
        terms: ``(weight, common name of the band)``, at least one.
        constant: added last.
    """

    terms: tuple[tuple[float, str], ...]
    constant: float = 0.0


@dataclass(frozen=True)
class Index:
    """``gain * top / bottom``; it does not exist (NaN) where ``|bottom|`` < :data:`LEAST_DENOMINATOR`.

    Attributes:
        top: numerator.
        bottom: denominator.
        gain: factor on the numerator.
        source: where the formula was published.
    """

    top: Linear
    bottom: Linear
    gain: float = 1.0
    source: str = ""


def _difference(first: str, second: str, source: str) -> Index:
    return Index(Linear(((1.0, first), (-1.0, second))), Linear(((1.0, first), (1.0, second))), source=source)


_VEGETATION = Linear(((1.0, "nir"), (-1.0, "red")))

INDICES: Mapping[str, Index] = {
    "NDVI": _difference("nir", "red", "Rouse et al. 1974"),
    "GNDVI": _difference("nir", "green", "Gitelson et al. 1996"),
    "NDREI": _difference("nir", "rededge071", "Gitelson and Merzlyak 1994"),
    "NDWI": _difference("green", "nir", "McFeeters 1996"),
    "MNDWI": _difference("green", "swir16", "Xu 2006"),
    "NDMI": _difference("nir", "swir16", "Gao 1996"),
    "NDBI": _difference("swir16", "nir", "Zha et al. 2003"),
    "NBR": _difference("nir", "swir22", "Lopez Garcia and Caselles 1991"),
    "NBR2": _difference("swir16", "swir22", "Garcia and Chuvieco 2006"),
    "SAVI": Index(_VEGETATION, Linear(((1.0, "nir"), (1.0, "red")), 0.5), 1.5, "Huete 1988, L = 0.5"),
    "EVI": Index(_VEGETATION, Linear(((1.0, "nir"), (6.0, "red"), (-7.5, "blue")), 1.0), 2.5, "Huete et al. 1997"),
    "EVI2": Index(_VEGETATION, Linear(((1.0, "nir"), (2.4, "red")), 1.0), 2.5, "Jiang et al. 2008"),
    "BI": Index(
        Linear(((1.0, "swir16"), (1.0, "red"), (-1.0, "nir"), (-1.0, "blue"))),
        Linear(((1.0, "swir16"), (1.0, "red"), (1.0, "nir"), (1.0, "blue"))),
        source="Rikimaru et al. 2002",
    ),
}


def parts_of(feature: str, contract: Contract) -> tuple[str, ...]:
    """Returns the sensor names of the bands that one feature is made of, in the contract's order.

    Raises:
        BadInput: there is no such feature, or the sensor lacks a band of it.
    """
    if feature in contract.names:
        return (feature,)
    if feature not in INDICES:
        raise BadInput(
            f"There is no feature {feature[:60]!r} for {contract.sensor}.",
            f"use band names ({', '.join(contract.names)}) or indices ({', '.join(INDICES)})",
        )
    index = INDICES[feature]
    used = {contract.band(name).name for part in (index.top, index.bottom) for _, name in part.terms}
    return tuple(name for name in contract.names if name in used)


def bands_needed(features: Sequence[str], contract: Contract) -> tuple[str, ...]:
    """Returns the names of the bands that these features need, in the contract's order.

    These are the bands of the feature graph's input ``dn [batch, band, y, x]``.

    Args:
        features: names, in the order of the feature graph's output.
        contract: what the sensor delivers.

    Raises:
        BadInput: no feature, one named twice, an unknown one, or a band that the sensor lacks.
    """
    double = sorted({name for name in features if list(features).count(name) > 1})
    if not features or double:
        fact = f"The features {', '.join(double)} are named more than once." if double else "No feature is named."
        raise BadInput(fact, "name each feature once")
    used = {band for feature in features for band in parts_of(feature, contract)}
    return tuple(name for name in contract.names if name in used)
