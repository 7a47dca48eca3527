"""The band and radiometry contract: what a band is called and what its numbers mean.

A model is bound to one contract. Bands are found by name, never by position; the numbers of a
scene are brought to the contract by :func:`to_contract`, and by nothing else.

The nouns are in :mod:`geoml_ops.core.contracts`, the function is in :mod:`geoml_ops.core.joining`, the sensors
themselves, as data, are in :mod:`geoml_ops.core.sensors`.
"""

from __future__ import annotations

from geoml_ops.core.contracts import Band, Contract, CrsClass, Radiometry, Resampling
from geoml_ops.core.joining import MOST_DN, SAME_OFFSET_DN, SCALE_FACTOR, holds_values, same_scale, to_contract
from geoml_ops.core.sensors import COMMON_NAMES, CONTRACTS, SENTINEL_2, SENTINEL_2_L1C, contract_for, linear

__all__ = [
    "COMMON_NAMES",
    "CONTRACTS",
    "MOST_DN",
    "SAME_OFFSET_DN",
    "SCALE_FACTOR",
    "SENTINEL_2",
    "SENTINEL_2_L1C",
    "Band",
    "Contract",
    "CrsClass",
    "Radiometry",
    "Resampling",
    "contract_for",
    "holds_values",
    "linear",
    "same_scale",
    "to_contract",
]
