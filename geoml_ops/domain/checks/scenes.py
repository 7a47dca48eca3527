"""What band files have to fulfil, before and after their pixels were read."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoml_ops.core.bands import Contract, CrsClass, Radiometry
from geoml_ops.domain.checks.rules import Row, Rule, whole


@dataclass(frozen=True)
class _Systems:
    """Which coordinate systems a class of them names, and between which edges (low, high) scenes lie, in metres."""

    pattern: str
    words: str
    edges: Mapping[str, tuple[float, float]]


_UTM = r"EPSG:32[67](0[1-9]|[1-5]\d|60)"
_ACROSS = {"left": (100_000.0, 900_000.0), "right": (100_000.0, 900_000.0)}
SYSTEMS: Mapping[CrsClass, _Systems] = {
    "utm": _Systems(
        _UTM, "a UTM zone (EPSG:326xx or 327xx)",
        {**_ACROSS, "bottom": (-1_000.0, 10_000_000.0), "top": (0.0, 10_001_000.0)},
    ),
    # Landsat counts northings below zero in northern zones, and whole paths reach beyond a zone's six degrees.
    "utm or polar": _Systems(
        rf"{_UTM}|EPSG:3031|EPSG:3413|EPSG:3995|EPSG:32661|EPSG:32761",
        "a UTM zone (EPSG:326xx or 327xx) or polar stereographic (EPSG:3031, 3413, 3995, 32661, 32761)",
        dict.fromkeys(("left", "right", "bottom", "top"), (-10_000_000.0, 10_001_000.0)),
    ),
    "projected metres": _Systems(
        r"EPSG:(?!3857|3785|900913)\d{4,6}", "one whose metres are metres on the ground",
        dict.fromkeys(("left", "right", "bottom", "top"), (-30_000_000.0, 30_000_000.0)),
    ),
}  # fmt: skip

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
    systems = SYSTEMS[contract.crs_class]
    return (
        Rule(
            name="CRS",
            about="matches",
            column="crs",
            key="band",
            pattern=systems.pattern,
            passed=f"The CRS of all bands is {systems.words}.",
            failed=f"The CRS is not {systems.words}: {{found}}.",
        ),
        *(
            Rule(
                name=f"{edge} inside the zone",
                about="between",
                column=edge,
                key="band",
                low=low,
                high=high,
                passed=f"The {edge} edge lies inside the CRS.",
                failed=f"The {edge} edge lies outside every such CRS ({low:g} to {high:g} m): {{found}}.",
            )
            for edge, (low, high) in systems.edges.items()
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
    possible = _possible(contract)
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
            passed=f"At least {least_inside:.0%} of each band are possible {possible}.",
            failed=f"Too few numbers are possible {possible}; share inside: {{found}}.",
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


def _possible(contract: Contract) -> str:
    """Returns the valid ranges in words, ``reflectances (-0.2 to 2)``."""
    ranges: dict[str, tuple[float, float]] = {}
    for band in contract.bands:
        low, high = ranges.get(band.unit, band.valid)
        ranges[band.unit] = (min(low, band.valid[0]), max(high, band.valid[1]))
    return " or ".join(
        f"{'reflectances' if unit == 'reflectance' else f'values in {unit}'} ({low:g} to {high:g})"
        for unit, (low, high) in ranges.items()
    )


def measure(
    dn: NDArray[Any], contract: Contract, declared: Radiometry, own: Mapping[str, Radiometry] | None = None
) -> list[Row]:
    """Returns one row per band with the columns ``NUMBERS``; None where nothing was observed.

    Args:
        dn: ``(band, y, x)`` as delivered, in the contract's order.
        contract: names the bands and what can be a measurement.
        declared: the scene's own radiometry.
        own: by band, the radiometry that is not ``declared``.
    """
    rows: list[Row] = []
    first_with: dict[bytes, str] = {}
    for band, layer in zip(contract.bands, dn, strict=True):
        rule = (own or {}).get(band.name, declared)
        observed = np.isfinite(layer) if layer.dtype.kind == "f" else np.ones(layer.shape, dtype=bool)
        if rule.nodata is not None:
            observed &= layer != rule.nodata
        values = layer[observed]
        row: Row = {"band": band.name, "nodata_share": 1.0 - values.size / layer.size}
        if values.size:
            low, middle, high = (float(v) for v in np.percentile(values, [1, 50, 99]))
            least, most = (limit / rule.scale - rule.offset_dn for limit in band.valid)
            inside = float(((values >= least) & (values <= most)).mean())
            row |= {"low": low, "middle": middle, "high": high, "inside_share": inside, "sd": _sd(values)}
        else:
            row |= dict.fromkeys(("low", "middle", "high", "inside_share", "sd"))
        content = hashlib.sha256(layer.tobytes()).digest()
        row["twin"] = first_with.setdefault(content, band.name) if values.size else band.name
        row["twin"] = "" if row["twin"] == band.name else row["twin"]
        rows.append(row)
    return rows


def _sd(values: NDArray[Any]) -> float:
    """Returns the standard deviation in DN; at least 1e-3 where numbers that are not whole vary at all."""
    spread = float(values.std(dtype=np.float64))
    return spread if values.dtype.kind in "iu" or spread == 0 else max(spread, 1e-3)
