"""The one function that brings delivered numbers to a contract's radiometry."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoml_ops.core.contracts import Band, Contract, Radiometry
from geoml_ops.core.errors import BadInput

#: A scale that changes from scene to scene (sun distance, gain state) stays within this factor of the published one.
SCALE_FACTOR = 2.0
#: Offsets closer than this are one: half of what float32 can tell apart at the largest 16-bit number.
SAME_OFFSET_DN = 1e-3
#: Above it float32 leaves whole numbers out.
MOST_DN = 2**24
#: Of a value, what a program that computed it in float32 may have rounded away (four roundings).
_ROUNDED_SHARE = 4 * 2.0**-24


def to_contract(
    dn: NDArray[np.generic],
    declared: Radiometry,
    contract: Contract,
    own: Mapping[str, Radiometry] | None = None,
) -> NDArray[np.float32]:
    """Returns digital numbers in the contract's radiometry; NaN where there is no measurement.

    The only place where an offset is applied. Nodata is decided on the delivered number, before the
    offset, so a delivered 0 stays "not observed" and a delivered 1000 under an offset of -1000 is a
    measured zero. Numbers of one scale are joined by a shift, exactly. Only bands whose scale the
    producer sets for each scene (``Band.rescaled``) are multiplied, and floating-point numbers that
    declare another unit, such as reflectances (:func:`holds_values`): those that were computed from whole
    DN become these DN again.

    Args:
        dn: delivered numbers ``(band, y, x)`` in the contract's order, any numeric type.
        declared: what the scene's own metadata say.
        contract: what the model was made for.
        own: by band, what its metadata say where that is not ``declared`` (a thermal band).

    Raises:
        BadInput: the two scales of a band differ, so that no shift of DN can join them exactly; or a whole number
            is beyond those that float32 tells apart.
    """
    numbers = np.asarray(dn)
    bands = contract.bands
    if len(numbers) != len(bands):
        if own or any(band.radiometry for band in bands):
            raise ValueError(f"{len(numbers)} layers do not fit the {len(bands)} bands of {contract.sensor}")
        bands = (bands[0],) * len(numbers)
    out = np.empty(numbers.shape, dtype=np.float32)
    for number, band in enumerate(bands):
        into: NDArray[np.float32] = out[number]
        rule, wanted = (own or {}).get(band.name, declared), band.radiometry or contract.radiometry
        # Band by band, so that each stays in the processor's cache from one line to the next.
        stored = numbers[number]
        layer, missing = _read(stored, rule, band)
        if holds_values(rule, wanted, band) and stored.dtype.kind == "f":
            into[...] = _from_values(stored, rule, wanted)
        else:
            into[...] = _joined(layer, rule, wanted, band, contract.sensor)
        if missing.any():
            into[missing] = np.nan
    return out


def holds_values(declared: Radiometry, wanted: Radiometry, band: Band) -> bool:
    """Says whether numbers of this radiometry are not the sensor's DN, so that only floating ones can hold them."""
    near = 1 / SCALE_FACTOR <= declared.scale / wanted.scale <= SCALE_FACTOR
    return not same_scale(declared, wanted) and not (band.rescaled and near)


def same_scale(a: Radiometry, b: Radiometry) -> bool:
    """Says whether a shift of DN alone joins two radiometries."""
    return abs(a.scale - b.scale) <= 1e-9 * b.scale


def _read(stored: NDArray[Any], rule: Radiometry, band: Band) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Returns one band as float32, and where nothing was observed."""
    kind, size = stored.dtype.kind, stored.dtype.itemsize
    if (kind == "f" and size <= 4) or (kind in "iu" and size <= 2):
        layer: NDArray[np.float32] = np.asarray(stored, dtype=np.float32)
        missing = ~np.isfinite(layer) if kind == "f" else np.zeros(layer.shape, np.bool_)
        for number in rule.absent:
            missing |= layer == np.float32(number)
        return layer, missing
    # float64 tells the ends of 32 bits apart, and whole numbers that it does not are refused.
    wide: NDArray[np.float64] = np.asarray(stored, dtype=np.float64)
    missing = ~(np.abs(wide) <= float(np.finfo(np.float32).max))
    for number in rule.absent:
        missing |= wide == number
    beyond = (np.abs(wide) > MOST_DN) & ~missing
    if kind != "f" and beyond.any():
        raise BadInput(
            f"{band.name} holds {wide[beyond][0]:.10g}; whole numbers are read up to {MOST_DN}.",
            "declare it as nodata where it stands for nothing, or deliver the product's own numbers",
        )
    return np.where(missing, 0.0, wide).astype(np.float32), missing


def _joined(
    layer: NDArray[np.float32], declared: Radiometry, wanted: Radiometry, band: Band, sensor: str
) -> NDArray[np.float32]:
    """Returns one band's numbers in the wanted radiometry, nodata not yet taken out."""
    if same_scale(declared, wanted):
        shift = declared.offset_dn - wanted.offset_dn
        return layer + np.float32(shift if abs(shift) >= SAME_OFFSET_DN else 0.0)
    if holds_values(declared, wanted, band):
        raise BadInput(
            f"{band.name} declares a scale of {declared.scale:g} per DN, {sensor} works at {wanted.scale:g}.",
            "deliver the product as its producer distributes it, or choose the contract of the right sensor",
        )
    values = (layer.astype(np.float64) + declared.offset_dn) * declared.scale
    return (values / wanted.scale - wanted.offset_dn).astype(np.float32)


def _from_values(stored: NDArray[Any], declared: Radiometry, wanted: Radiometry) -> NDArray[np.float32]:
    """Returns one band's values as DN of the wanted radiometry; whole ones where rounding alone parts them from it."""
    numbers = (stored.astype(np.float64) + declared.offset_dn) * (declared.scale / wanted.scale) - wanted.offset_dn
    whole = np.rint(numbers)
    # A value that an offset brought near 0 carries the rounding of the larger numbers it came from.
    size = np.abs(whole) + abs(wanted.offset_dn) + abs(declared.offset_dn * declared.scale / wanted.scale)
    with np.errstate(over="ignore", invalid="ignore"):
        return np.where(np.abs(numbers - whole) <= _ROUNDED_SHARE * size, whole, numbers).astype(np.float32)
