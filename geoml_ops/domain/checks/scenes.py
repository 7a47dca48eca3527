"""What band files have to fulfil, before and after their pixels were read."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoml_ops.core.bands import Contract, Radiometry
from geoml_ops.core.flow import Check
from geoml_ops.domain.checks.rules import Row, Rule, whole

UNDECLARED_DN = 800.0
ABSENT_DN = -500.0
_UTM = r"EPSG:32[67](0[1-9]|[1-5]\d|60)"

DELIVERED = ("band", "problem")
HEADER = ("crs", "pixel_m", "left", "right", "bottom", "top", "dtype")
NUMBERS = ("nodata_share", "low", "middle", "high", "inside_share", "sd", "twin")
MEASURED = ("band", *HEADER, *NUMBERS)


def delivered_rules(contract: Contract) -> tuple[Rule, ...]:
    """Rules that have to hold before there is anything to measure; rows have the columns ``DELIVERED``."""
    return (
        Rule(
            name="bands by name",
            about="equal set",
            column="band",
            allowed=contract.names,
            passed=f"All {len(contract.bands)} bands of {contract.sensor} are there.",
            failed=f"The bands do not fit {contract.sensor}: {{found}}.",
        ),
        Rule(
            name="bands readable",
            about="in set",
            column="problem",
            allowed=("",),
            passed="Every band could be read onto the common grid.",
            failed="{found}",
        ),
        *whole(DELIVERED, DELIVERED, "band", len(contract.bands), "band files"),
    )


def header_rules(contract: Contract) -> tuple[Rule, ...]:
    """Rules about what the band files say of themselves; rows have the columns ``HEADER`` and ``band``."""
    return (
        Rule(
            name="CRS",
            about="matches",
            column="crs",
            key="band",
            pattern=_UTM,
            passed="All bands are in a UTM zone.",
            failed="The CRS is not a UTM zone (EPSG:326xx or 327xx): {found}.",
        ),
        *(
            Rule(
                name=f"{edge} inside the zone",
                about="between",
                column=edge,
                key="band",
                low=low,
                high=high,
                passed=f"The {edge} edge lies inside a UTM zone.",
                failed=f"The {edge} edge lies outside every UTM zone ({low:g} to {high:g} m): {{found}}.",
            )
            for edge, low, high in (
                ("left", 100_000.0, 900_000.0),
                ("right", 100_000.0, 900_000.0),
                ("bottom", -1_000.0, 10_000_000.0),
                ("top", 0.0, 10_001_000.0),
            )
        ),
        Rule(
            name="pixel size",
            about="between",
            column="pixel_m",
            key="band",
            low=contract.pixel_m,
            high=max(band.gsd_m for band in contract.bands),
            passed="Pixel sizes are those of the sensor.",
            failed="Pixel sizes in metres are not those of the sensor: {found}.",
        ),
        Rule(
            name="dtype",
            about="in set",
            column="dtype",
            key="band",
            allowed=(contract.dtype,),
            passed=f"All bands hold {contract.dtype} numbers.",
            failed=f"Bands must hold {contract.dtype} numbers: {{found}}.",
        ),
    )


def measured_rules(contract: Contract, most_nodata: float = 0.95, least_inside: float = 0.99) -> tuple[Rule, ...]:
    """Rules about headers and numbers of bands; rows have the columns ``MEASURED``, shares are 0 to 1."""
    low, high = (contract.bands[0].valid[0], contract.bands[0].valid[1])
    judged = ("band", *HEADER, "nodata_share", "inside_share", "sd", "twin")
    return (
        *whole(MEASURED, judged, "band", len(contract.bands), "bands"),
        *header_rules(contract),
        Rule(
            name="nodata share",
            about="between",
            column="nodata_share",
            key="band",
            low=0.0,
            high=most_nodata,
            passed=f"No band is more than {most_nodata:.0%} nodata.",
            failed=f"More than {most_nodata:.0%} of the scene was not observed (share of nodata: {{found}}).",
        ),
        Rule(
            name="mostly observed",
            about="between",
            column="nodata_share",
            key="band",
            low=0.0,
            high=0.5,
            blocking=False,
            passed="At least half of the scene was observed in every band.",
            failed="Less than half of the scene was observed (share of nodata: {found}).",
        ),
        Rule(
            name="value range",
            about="between",
            column="inside_share",
            key="band",
            low=least_inside,
            high=1.0,
            passed=f"At least {least_inside:.0%} of each band are possible reflectances ({low:g} to {high:g}).",
            failed=f"Too few numbers are possible reflectances ({low:g} to {high:g}); share inside: {{found}}.",
        ),
        Rule(
            name="bands vary",
            about="between",
            column="sd",
            key="band",
            low=1e-3,
            passed="No band is constant.",
            failed="Bands without any variation are filled, not observed (standard deviation in DN: {found}).",
        ),
        Rule(
            name="bands differ",
            about="in set",
            column="twin",
            key="band",
            allowed=("",),
            passed="No two bands hold the same numbers.",
            failed="One band was delivered under two names: {found}.",
        ),
    )


def measure(dn: NDArray[np.unsignedinteger], contract: Contract, declared: Radiometry) -> list[Row]:
    """Returns one row per band with the columns ``NUMBERS``; None where nothing was observed.

    Args:
        dn: ``(band, y, x)`` as delivered, in the contract's order.
        contract: names the bands and what can be a measurement.
        declared: the scene's own radiometry.
    """
    rows: list[Row] = []
    first_with: dict[bytes, str] = {}
    for band, layer in zip(contract.bands, dn, strict=True):
        values = layer[layer != declared.nodata]
        row: Row = {"band": band.name, "nodata_share": 1.0 - values.size / layer.size}
        if values.size:
            low, middle, high = (float(v) for v in np.percentile(values, [1, 50, 99]))
            least, most = (limit / declared.scale - declared.offset_dn for limit in band.valid)
            inside = float(((values >= least) & (values <= most)).mean())
            row |= {"low": low, "middle": middle, "high": high, "inside_share": inside, "sd": float(values.std())}
        else:
            row |= dict.fromkeys(("low", "middle", "high", "inside_share", "sd"))
        content = hashlib.sha256(layer.tobytes()).digest()
        row["twin"] = first_with.setdefault(content, band.name) if values.size else band.name
        row["twin"] = "" if row["twin"] == band.name else row["twin"]
        rows.append(row)
    return rows


def offset_check(rows: Sequence[Mapping[str, Any]], declared: Radiometry) -> Check:
    """Returns whether the numbers agree with the declared offset, by what is dark in every scene.

    Water vapour makes the cirrus band (1.37 um) all but black from space, and water is black in the
    short-wave infrared, so some band of a top-of-atmosphere scene always has a 1 % quantile of a few DN:
    7 DN (B10) in a winter scene of Brandenburg, 64 (B12) without the cirrus band. Baseline 04.00 adds
    1000 DN. Two errors are told apart, each with a margin of 200 DN or more on both sides:

    * after the declared offset the darkest 1 % quantile is still at least 800 DN (7 without, 1007 with
      an undeclared +1000): an offset is present and not declared;
    * after the declared offset the median of the darkest band is below -500 DN (13 when right, -987 when
      1000 DN are taken away from numbers that never had them): declared but absent, or applied already.

    Args:
        rows: as :func:`measure` returns them.
        declared: the scene's own radiometry.
    """
    known = [row for row in rows if row["low"] is not None]
    name = "offset physical"
    if not known:
        return Check(name=name, passed=False, sentence="No band was observed, so its offset cannot be judged.")
    dark = min(known, key=lambda row: row["low"])
    level = dark["low"] + declared.offset_dn
    middle = min(known, key=lambda row: row["middle"])
    typical = middle["middle"] + declared.offset_dn
    if level >= UNDECLARED_DN:
        return Check(
            name=name,
            passed=False,
            sentence=f"An offset is present but not declared: with the declared offset of {declared.offset_dn:g} DN "
            f"the darkest ground of the darkest band ({dark['band']}) is still at {level:.0f} DN; without an "
            "undeclared offset it is near 0. Fix the metadata: declare the offset of the processing baseline.",
        )
    if typical < ABSENT_DN:
        return Check(
            name=name,
            passed=False,
            sentence=f"An offset is declared but absent, or was applied already: with the declared offset of "
            f"{declared.offset_dn:g} DN the median of {middle['band']} becomes {typical:.0f} DN. "
            "Fix the metadata: declare an offset of 0.",
        )
    return Check(
        name=name,
        passed=True,
        sentence=f"The darkest ground ({dark['band']}) lies at {level:.0f} DN after the declared offset.",
    )
