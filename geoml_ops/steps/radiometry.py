"""What the numbers of a raster that somebody hands in mean, by what the raster itself says: never guessed."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from geoml_ops.adapters.raster import RasterFacts
from geoml_ops.core.bands import SENTINEL_2, Contract, Radiometry
from geoml_ops.core.errors import BadInput
from geoml_ops.domain.checks import spectral_check
from geoml_ops.domain.delivery import misfits
from geoml_ops.steps.layers import refuse_other_band


def declared_in(facts: RasterFacts, contract: Contract) -> tuple[Radiometry, dict[str, Radiometry]]:
    """Returns the radiometry of a raster's bands, and by band those that differ from it.

    Args:
        facts: what the raster says.
        contract: the bands that are read.

    Raises:
        BadInput: a band is missing, unknown, twice or calls itself another, or its radiometry is not declared or
            not the sensor's.
    """
    nodata = _nodata(facts, contract)
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
            rules[band.name] = said.model_copy(update={"nodata": nodata})
    if undeclared:
        raise BadInput(
            "The raster does not declare its radiometry: the GDAL scale of "
            f"{'its bands' if len(undeclared) == len(contract.bands) else ', '.join(undeclared)} is 1.",
            _way_out(undeclared[0], contract),
        )
    wrong = misfits(rules, contract)
    if wrong:
        raise BadInput(
            f"The raster does not fit {contract.sensor}: {'; '.join(wrong)}.",
            "deliver the product as its producer distributes it, or choose a model of the right sensor",
        )
    return main_and_own(rules, contract, nodata)


def main_and_own(
    rules: Mapping[str, Radiometry], contract: Contract, nodata: float | None
) -> tuple[Radiometry, dict[str, Radiometry]]:
    """Returns the radiometry that most bands share, and by band those that differ from it.

    Args:
        rules: of each band of the contract.
        contract: the bands that are read.
        nodata: the number that stands for "not observed"; None for none.
    """
    main = next((rules[b.name] for b in contract.bands if b.radiometry is None), contract.radiometry)
    main = main.model_copy(update={"nodata": nodata})
    return main, {name: rule for name, rule in rules.items() if rule != main}


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


def _nodata(facts: RasterFacts, contract: Contract) -> float | None:
    """Returns the number that stands for "not observed": the sensor's, or where it has none the file's own."""
    wanted = contract.radiometry.nodata
    said = facts.nodata if facts.nodata is not None and math.isfinite(facts.nodata) else None
    if wanted is not None and said is not None and said != wanted:
        raise BadInput(
            f"The raster declares {said:g} as nodata, {contract.sensor} has {wanted:g}.",
            f"write {wanted:g} where nothing was observed, or NaN in a raster of floating-point numbers",
        )
    return said if wanted is None else wanted


def _way_out(name: str, contract: Contract) -> str:
    rule = contract.radiometry_of(name)
    if contract.sensor in SENTINEL_2:
        return (
            f"set scale {rule.scale:g} and the offset of its processing baseline on every band "
            "(0, or -0.1 since baseline 04.00)"
        )
    return f"set scale and offset on every band ({name}: {rule.scale:g} and {rule.offset_dn * rule.scale:g})"
