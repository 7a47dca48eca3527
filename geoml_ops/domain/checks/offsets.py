"""Whether the numbers of a scene carry the offset that its metadata declare: no metadata can prove it, pixels can."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from geoml_ops.core.bands import SENTINEL_2, Contract, Radiometry
from geoml_ops.core.flow import Check

NAME = "offset physical"
#: In reflectance: the darkest ground of the darkest band lies below; the median of a band lies above.
UNDECLARED, ABSENT = 0.08, -0.05
#: In reflectance: the darkest hundredth of a band lies above. Seen from above the air it cannot be negative; the
#: correction for the air takes too much from dark ground now and then.
_ABOVE_AIR, _SENTINEL_2_GROUND, _GROUND = -0.01, -0.05, -0.08
#: In reflectance: what the darkest hundredth of a band may exceed both neighbours' by, between 400 and 900 nm. The
#: offset is a step of 0.1; a scene that is nothing but a red salt lake comes to 0.07 in the red band.
_STEP, _STEP_RED = 0.06, 0.085
_STEP_NM = (440.0, 900.0)


def offset_check(
    rows: Sequence[Mapping[str, Any]], contract: Contract, rules: Mapping[str, Radiometry], *, sworn: bool = False
) -> Check:
    """Returns whether the pixels carry the declared offset, and no other.

    The darkest hundredth and the median of each band are known; what they can be is known too:

    * over the air (Sentinel-2 Level 1C, whose cirrus band is dark everywhere) an undeclared +1000 leaves even
      the darkest band at 0.1; corrected for the air the same may be bright desert, so that only the producer's
      own metadata decide then;
    * an offset that was declared but is absent, or was taken away before, makes ground darker than black;
    * a single band that carries an offset of its own stands out from both of its neighbours.

    Args:
        rows: as :func:`~geoml_ops.domain.checks.measure` returns them.
        contract: of the sensor.
        rules: by band, the scene's own radiometry.
        sworn: whether the producer's metadata, and not only the person who delivers, declare it.
    """
    known = [row for row in rows if row["low"] is not None and contract.band(row["band"]).unit == "reflectance"]
    if not known:
        nothing = all(row["low"] is None for row in rows)
        words = "No band was observed, so its offset cannot be judged." if nothing else "No band holds reflectances."
        return Check(name=NAME, passed=not nothing, sentence=words)
    value = {
        row["band"]: tuple(
            (row[at] + rules[row["band"]].offset_dn) * rules[row["band"]].scale for at in ("low", "middle")
        )
        for row in known
    }
    low = {name: lows for name, (lows, _) in value.items()}
    return (
        _negative(value, contract, rules)
        or _undeclared(low, contract, rules, sworn)
        or _standing_out(low, contract)
        or Check(name=NAME, passed=True, sentence=_words(low, rules))
    )


def _negative(
    value: Mapping[str, tuple[float, float]], contract: Contract, rules: Mapping[str, Radiometry]
) -> Check | None:
    above = any(band.common_name == "cirrus" for band in contract.bands)
    darkest = _ABOVE_AIR if above else _SENTINEL_2_GROUND if contract.sensor in SENTINEL_2 else _GROUND
    broken = [name for name, (low, middle) in value.items() if middle < ABSENT or low < darkest]
    if not broken:
        return None
    worst = min(broken, key=lambda name: value[name][1])
    low, middle = (_in_dn(v, rules[worst]) for v in value[worst])
    return Check(
        name=NAME,
        passed=False,
        sentence=f"An offset is declared but absent, or was applied already: with the declared offset of "
        f"{rules[worst].offset_dn:g} DN the median of {worst} becomes {middle} and its darkest ground {low}, "
        f"darker than black ({', '.join(broken)}). Fix the metadata: declare an offset of 0, or the product's own.",
    )


def _undeclared(
    low: Mapping[str, float], contract: Contract, rules: Mapping[str, Radiometry], sworn: bool
) -> Check | None:
    dark = min(low, key=lambda name: low[name])
    if contract.sensor not in SENTINEL_2 or low[dark] < UNDECLARED:
        return None
    above = any(band.common_name == "cirrus" for band in contract.bands)
    if not above and rules[dark].offset_dn != 0:
        return None  # The only offset there is was declared.
    sentence = (
        f"An offset is present but not declared: with the declared offset of {rules[dark].offset_dn:g} DN "
        f"the darkest ground of the darkest band ({dark}) is still at {_in_dn(low[dark], rules[dark])}; without an "
        "undeclared offset it is near 0. Fix the metadata: declare the offset of the processing baseline."
    )
    if above:
        return Check(name=NAME, passed=False, sentence=sentence)
    sentence += " If the ground is that bright, deliver MTD_MSIL2A.xml: then the producer's word is taken."
    return Check(name=NAME, passed=False, blocking=not sworn, sentence=sentence)


def _standing_out(low: Mapping[str, float], contract: Contract) -> Check | None:
    """A band of Sentinel-2 whose darkest ground exceeds that of the bands on both sides by the step of an offset."""
    if contract.sensor not in SENTINEL_2:
        return None
    first, last = _STEP_NM
    inside = [b for b in contract.bands if b.name in low and b.centre_nm and first <= b.centre_nm <= last]
    inside.sort(key=lambda band: band.centre_nm or 0.0)
    out = [
        (step, band.name)
        for left, band, right in zip(inside, inside[1:], inside[2:], strict=False)
        if (step := low[band.name] - max(low[left.name], low[right.name]))
        > (_STEP_RED if band.common_name == "red" else _STEP)
    ]
    if not out:
        return None
    worst = max(out)
    return Check(
        name=NAME,
        passed=False,
        sentence=f"{worst[1]} carries an offset or a scale of its own: its darkest ground is {worst[0]:.3f} brighter "
        "than that of the bands on both sides. Deliver all bands of one product.",
    )


def _words(low: Mapping[str, float], rules: Mapping[str, Radiometry]) -> str:
    dark = min(low, key=lambda name: low[name])
    return f"The darkest ground ({dark}) lies at {_in_dn(low[dark], rules[dark])} after the declared offset."


def _in_dn(value: float, rule: Radiometry) -> str:
    return f"{value / rule.scale:.0f} DN ({value:.3f})"
