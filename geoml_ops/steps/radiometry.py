"""What the numbers of a raster that somebody hands in mean, by what the raster itself says: never guessed."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoml_ops.adapters.raster import RasterFacts
from geoml_ops.core.bands import SENTINEL_2, Band, Contract, Radiometry, holds_values
from geoml_ops.core.errors import BadInput
from geoml_ops.domain.checks import spectral_check
from geoml_ops.domain.delivery import misfits
from geoml_ops.steps.layers import refuse_other_band

_SAME_SCALE = 1e-6
_LEAST_INSIDE = 0.5


@dataclass(frozen=True)
class Numbers:
    """What somebody hands in, and what it says of all its numbers.

    Attributes:
        what: it is, as a sentence begins: ``The raster``.
        dtype: numpy name of the numbers' type.
        nodata: the number that is declared as "not observed"; NaN where only that is; None where nothing is declared.
    """

    what: str
    dtype: str
    nodata: float | None

    @property
    def floating(self) -> bool:
        """Whether they may have fractions."""
        return np.dtype(self.dtype).kind == "f"


def declared_in(facts: RasterFacts, contract: Contract) -> tuple[Radiometry, dict[str, Radiometry]]:
    """Returns the radiometry of a raster's bands, and by band those that differ from it.

    Args:
        facts: what the raster says.
        contract: the bands that are read.

    Raises:
        BadInput: a band is missing, unknown, twice or calls itself another, or its radiometry is not declared or
            not the sensor's.
    """
    numbers = Numbers("The raster", facts.dtype, facts.nodata)
    rules: dict[str, Radiometry] = {}
    undeclared = []
    for band, position in zip(contract.bands, contract.order(facts.names), strict=True):
        refuse_other_band("The raster", facts, position, band, contract)
        wanted, said = contract.radiometry_of(band.name), facts.radiometries[position]
        if said is None and wanted.scale == 1.0 and wanted.offset_dn == 0.0:
            said = wanted  # GDAL cannot write a scale of 1 so that it can be told from none.
        if said is None:
            undeclared.append(band.name)
        else:
            rules[band.name] = rule_of(numbers, said, band, contract)
    if undeclared:
        raise BadInput(
            "The raster does not declare its radiometry: the GDAL scale of "
            f"{'its bands' if len(undeclared) == len(contract.bands) else ', '.join(undeclared)} is 1.",
            _way_out(undeclared[0], contract)
            + ("; where they hold reflectances, name that unit on every band" if numbers.floating else ""),
        )
    refuse_misfits(numbers, rules, contract)
    return main_and_own(rules, contract)


def rule_of(numbers: Numbers, said: Radiometry, band: Band, contract: Contract) -> Radiometry:
    """Returns the radiometry of one band with every number that stands for "not observed".

    Among the sensor's DN that is the sensor's own number, and beside it the one that is declared. Among values, such as
    reflectances, the sensor's number is a measurement like any other: only what is declared counts.

    Args:
        numbers: that are handed in.
        said: scale and offset as they are declared.
        band: of the contract.
        contract: the bands that are read.

    Raises:
        BadInput: values that do not declare it.
    """
    wanted, declared = contract.radiometry_of(band.name), _stands_among(numbers)
    if abs(said.scale - wanted.scale) <= _SAME_SCALE * wanted.scale and not band.rescaled:
        said = said.model_copy(update={"scale": wanted.scale})  # written with fewer digits
    usual = contract.radiometry.nodata
    if not (numbers.floating and holds_values(said, wanted, band)):
        also = declared if usual is not None and declared != usual else None
        return said.model_copy(update={"nodata": declared if usual is None else usual, "also_nodata": also})
    if usual is not None and numbers.nodata is None:
        raise BadInput(
            f"{numbers.what} holds values (scale {said.scale:g} where the numbers of {contract.sensor} have "
            f"{wanted.scale:g}) and does not declare which of them means that nothing was observed.",
            "declare its nodata, NaN where it has no other",
        )
    return said.model_copy(update={"nodata": declared, "also_nodata": None})


def refuse_misfits(numbers: Numbers, rules: Mapping[str, Radiometry], contract: Contract) -> None:
    """Refuses scales and offsets that the sensor's numbers never have; floating numbers may be values instead of DN.

    Raises:
        BadInput: a band declares one.
    """
    wrong = misfits({name: _as_dn(numbers, rule, contract, name) for name, rule in rules.items()}, contract)
    if wrong:
        raise BadInput(
            f"{numbers.what} does not fit {contract.sensor}: {'; '.join(wrong)}.",
            "deliver the product's own numbers with the scale and offset its producer gives them, or choose a model of "
            "the right sensor",
        )


def main_and_own(rules: Mapping[str, Radiometry], contract: Contract) -> tuple[Radiometry, dict[str, Radiometry]]:
    """Returns the radiometry that most bands share, and by band those that differ from it.

    Args:
        rules: of each band of the contract.
        contract: the bands that are read.
    """
    main = next((rules[b.name] for b in contract.bands if b.radiometry is None), None)
    if main is None:
        first = next(iter(rules.values()), contract.radiometry)
        main = contract.radiometry.model_copy(update={"nodata": first.nodata, "also_nodata": first.also_nodata})
    return main, {name: rule for name, rule in rules.items() if rule != main}


def refuse_misdeclared(
    dn: NDArray[np.float32], contract: Contract, declared: Radiometry, own: Mapping[str, Radiometry]
) -> None:
    """Refuses values that the scale they declare contradicts: most of them are no measurement of that kind.

    Args:
        dn: ``(band, y, x)`` in the contract's bands and radiometry, NaN where not observed.
        contract: the bands that are read.
        declared: what was declared of them.
        own: by band, where it differs.

    Raises:
        BadInput: more than half of a band that declares values lies outside what can be measured.
    """
    for band, layer in zip(contract.bands, dn, strict=True):
        rule, wanted = own.get(band.name, declared), contract.radiometry_of(band.name)
        seen = layer[np.isfinite(layer)]
        if not (holds_values(rule, wanted, band) and seen.size):
            continue
        values = (seen.astype(np.float64) + wanted.offset_dn) * wanted.scale
        inside = float(((values >= band.valid[0]) & (values <= band.valid[1])).mean())
        if inside < _LEAST_INSIDE:
            raise BadInput(
                f"{band.name} declares a scale of {rule.scale:g}; read so, {1 - inside:.0%} of its values lie outside "
                f"{band.valid[0]:g} to {band.valid[1]:g} ({band.unit}), their middle is {np.median(values):.4g}.",
                f"declare what the numbers are (DN of {contract.sensor} have a scale of {wanted.scale:g})",
            )


def refuse_exchanged(dn: NDArray[np.float32], contract: Contract) -> None:
    """Refuses a raster whose numbers cannot belong to the names of its bands.

    Args:
        dn: ``(band, y, x)`` in the contract's bands and radiometry, NaN where not observed.
        contract: the bands that are read.

    Raises:
        BadInput: two bands were certainly exchanged.
    """
    rules = {name: contract.radiometry_of(name).model_copy(update={"nodata": None}) for name in contract.names}
    check = spectral_check(dn, contract, rules)
    if check.blocking and not check.passed:
        raise BadInput(check.sentence, "name every band of the raster after what it holds")


def _stands_among(numbers: Numbers) -> float | None:
    """Returns the declared number; None where none is declared or none of that type can equal it."""
    said, kind = numbers.nodata, np.dtype(numbers.dtype)
    if said is None or not math.isfinite(said):
        return None
    if kind.kind in "iu":
        ends: Any = np.iinfo(kind)
        return said if said.is_integer() and ends.min <= said <= ends.max else None
    return said if abs(said) <= float(np.finfo(kind).max) else None


def _as_dn(numbers: Numbers, rule: Radiometry, contract: Contract, name: str) -> Radiometry:
    """Returns the radiometry that the same numbers would have as DN; an offset of 0 says that none is left."""
    wanted = contract.radiometry_of(name)
    if not (numbers.floating and holds_values(rule, wanted, contract.band(name))):
        return rule
    offset = rule.offset_dn * rule.scale / wanted.scale if rule.offset_dn else wanted.offset_dn
    return Radiometry(scale=wanted.scale, offset_dn=round(offset, 6), nodata=rule.nodata)


def _way_out(name: str, contract: Contract) -> str:
    rule = contract.radiometry_of(name)
    if contract.sensor in SENTINEL_2:
        return (
            f"set scale {rule.scale:g} and the offset of its processing baseline on every band "
            "(0, or -0.1 since baseline 04.00)"
        )
    return f"set scale and offset on every band ({name}: {rule.scale:g} and {rule.offset_dn * rule.scale:g})"
