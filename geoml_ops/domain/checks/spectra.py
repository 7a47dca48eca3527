"""Whether the numbers of a scene can belong to the names they were delivered under.

Two bands whose names were exchanged cannot be known by their names. The numbers tell in four cases, and only these
refuse a delivery:

* the air is opaque at 1375 nm and absorbs at 945 nm: seen from above the air, ``cirrus`` is never brighter than
  a visible band, and ``nir09`` never clearly brighter than ``nir08``;
* visible bands, and bands of the near infrared, rise and fall together on every surface: a band that follows the other
  part and not its own, whose place there is held by one that follows the first, was exchanged with it;
* no dry surface is bright at 660 nm and dark on both sides of it, as leaves are when red and near infrared change
  places;
* nothing that Landsat sees by day has a median below 200 K.

What looks like an exchange with the two short-wave infrared bands, or in a picture without them, is said and does not
refuse. Exchanges inside one part of the spectrum (blue and green, ``nir`` and ``nir08``) leave no trace that is
certain, and grounds that hardly vary leave none at all; then this check says that it cannot tell.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from geoml_ops.core.bands import Band, Contract, Radiometry
from geoml_ops.core.flow import Check

NAME = "spectral order"
#: Parts of the spectrum, in nm; below 450 nm the air decides, and the red edge (690 to 735 nm) follows both sides.
PARTS: Mapping[str, tuple[float, float]] = {
    "visible": (450.0, 690.0),
    "near infrared": (735.0, 900.0),
    "short-wave infrared": (1500.0, 2500.0),
}
_ABSORBED = ("cirrus", "nir09")
_MOST_PLACES, _LEAST_PLACES = 4096, 100
#: How well an exchanged band follows the other part (rank correlation; more where a part has two bands only, as two
#: kinds of ground alone may tie bands together), and how much better than its own (Fisher's z).
_FOLLOWS, _FOLLOWS_OF_TWO, _BETTER_Z = 0.8, 0.93, 0.5
_PEAK_SHARE, _PEAK, _TIMES, _DRY = 0.05, 0.15, 3.0, 0.12
_COLDEST_K = 200.0
_BRIGHTER, _BRIGHTER_BY = 1.3, 0.02
_BRIGHT, _ICE = 0.05, 0.2


def spectral_check(dn: NDArray[np.generic], contract: Contract, rules: Mapping[str, Radiometry]) -> Check:
    """Returns whether two bands were certainly exchanged, as far as numbers can tell.

    Args:
        dn: ``(band, y, x)`` as delivered, in the contract's order.
        contract: names the bands and their wavelengths.
        rules: by band, the scene's own radiometry.
    """
    values = _sample(dn, contract, rules)
    if len(values) < _LEAST_PLACES:
        return Check(name=NAME, passed=True, blocking=False, sentence="There are too few pixels to compare the bands.")
    at = {band.name: values[:, i] for i, band in enumerate(contract.bands)}
    (strangers, sure), (peaks, dry) = _strangers(at, contract), _lone_peak(at, contract)
    certain = [*_absorption(at, contract), *strangers * sure, *peaks * dry, *_cold(at, contract)]
    if certain:
        return Check(
            name=NAME,
            passed=False,
            sentence=f"Bands were exchanged: {'; '.join(dict.fromkeys(certain))}. Check which file is which band.",
        )
    if strangers or peaks:
        return Check(
            name=NAME,
            passed=False,
            blocking=False,
            sentence=f"Bands may have been exchanged: {'; '.join([*strangers, *peaks])}. "
            "Look at the scene before it is used.",
        )
    return Check(
        name=NAME, passed=True, sentence="Nothing in the numbers says that bands of different parts were exchanged."
    )


def _sample(dn: NDArray[np.generic], contract: Contract, rules: Mapping[str, Radiometry]) -> NDArray[np.float64]:
    """Returns values ``(place, band)`` of places observed in every band, spread evenly over the scene.

    A place is as large as the coarsest band's pixel, so that no band looks strange only because it is blurred.
    """
    edge = max(1, round(max(band.gsd_m for band in contract.bands) / contract.pixel_m))
    rows, cols = dn.shape[1] // edge, dn.shape[2] // edge
    step = max(1, int(np.sqrt(rows * cols / (4 * _MOST_PLACES))))
    picked = []
    for band, layer in zip(contract.bands, dn, strict=True):
        rule = rules[band.name]
        # (row, its pixels, column, its pixels) of every step-th place.
        places = layer[: rows * edge, : cols * edge].reshape(rows, edge, cols, edge)[::step, :, ::step].astype(float)
        if rule.nodata is not None:
            places[places == rule.nodata] = np.nan
        picked.append((places.mean(axis=(1, 3)).ravel() + rule.offset_dn) * rule.scale)
    values = np.stack(picked, axis=1)
    values = values[np.isfinite(values).all(axis=1)]
    return np.asarray(values[:: max(1, len(values) // _MOST_PLACES)], dtype=np.float64)


def _called(contract: Contract, word: str) -> Band | None:
    found = [band for band in contract.bands if band.common_name == word and band.unit == "reflectance"]
    return found[0] if len(found) == 1 else None


def _absorption(at: Mapping[str, NDArray[np.float64]], contract: Contract) -> list[str]:
    """Bands in which the air absorbs and that are brighter than a window beside them."""
    cirrus = _called(contract, "cirrus")
    if cirrus is None:
        return []  # Corrected for the air, or never above it.
    said = []
    middle = {name: float(np.median(values)) for name, values in at.items()}
    if darker := _darker_than(cirrus, middle, contract):
        said.append(
            f"{cirrus.name}, where the air is opaque, is brighter than {darker} "
            f"({middle[cirrus.name]:.3f} and {middle[darker]:.3f})"
        )
    vapour, window = _called(contract, "nir09"), _called(contract, "nir08")
    if vapour and window and middle[vapour.name] > _BRIGHTER * middle[window.name] + _BRIGHTER_BY:
        said.append(
            f"{vapour.name}, where water vapour absorbs, is brighter than {window.name} "
            f"({middle[vapour.name]:.3f} and {middle[window.name]:.3f})"
        )
    return said


def _darker_than(cirrus: Band, middle: Mapping[str, float], contract: Contract) -> str:
    """Returns the band that says that the cirrus band cannot be what it is called, or nothing.

    Visible bands are brighter whatever the cloud, by scattering. Cloud of ice that is bright at 1375 nm is at
    least a third as bright in every other window.
    """
    low, high = PARTS["visible"]
    level = middle[cirrus.name]
    below = [
        band.name
        for band in contract.bands
        if band.unit == "reflectance" and band.common_name not in _ABSORBED and band.centre_nm
        and (
            (low <= band.centre_nm <= high and middle[band.name] < level)
            or (level > _BRIGHT and middle[band.name] < _ICE * level)
        )
    ]  # fmt: skip
    return min(below, key=lambda name: middle[name]) if below else ""


def _strangers(at: Mapping[str, NDArray[np.float64]], contract: Contract) -> tuple[list[str], bool]:
    """Two bands that each follow the other's part of the spectrum and not their own, and whether that is certain.

    It is where both parts have three bands or more; with two, leaves on one kind of soil can look the same.
    """
    members: dict[str, list[str]] = {part: [] for part in PARTS}
    for band in contract.bands:
        near = band.unit == "reflectance" and band.common_name not in _ABSORBED
        for part, (low, high) in PARTS.items():
            if near and band.centre_nm is not None and low <= band.centre_nm <= high:
                members[part].append(band.name)
    names = [name for part in members.values() for name in part]
    if not names or any(np.ptp(at[name]) == 0 for name in names):
        return [], False
    # Ranks: clouds and roofs must not decide.
    values = np.stack([at[name] for name in names])
    ranks = np.empty(values.shape, np.intp)
    np.put_along_axis(ranks, np.argsort(values, axis=1, kind="stable"), np.arange(values.shape[1])[np.newaxis], axis=1)
    z: list[list[float]] = np.arctanh(np.clip(np.corrcoef(ranks), -0.9999, 0.9999)).tolist()
    place = {name: i for i, name in enumerate(names)}

    def follows(name: str, others: Sequence[str]) -> float:
        return max(z[place[name]][place[other]] for other in others)

    found: list[tuple[bool, float, str]] = []
    for here, there in combinations(members, 2):
        for one in members[here]:
            for other in members[there]:
                mine = [name for name in members[here] if name != one]
                theirs = [name for name in members[there] if name != other]
                if not mine or not theirs:
                    continue
                away = follows(one, theirs), follows(other, mine)
                gain = min(away[0] - follows(one, mine), away[1] - follows(other, theirs))
                sure = min(len(mine), len(theirs)) > 1
                enough = np.arctanh(_FOLLOWS if sure else _FOLLOWS_OF_TWO)
                if min(away) >= enough and gain >= _BETTER_Z:
                    found.append((sure, gain, f"{one} follows the {there} and {other} the {here}"))
    return ([max(found)[2]], max(found)[0]) if found else ([], False)


def _lone_peak(at: Mapping[str, NDArray[np.float64]], contract: Contract) -> tuple[list[str], bool]:
    """Pixels that are bright in red alone, and whether they are dry land: salt lakes can be red, leaves cannot."""
    red, green = _called(contract, "red"), _called(contract, "green")
    infrared = _called(contract, "nir") or _called(contract, "nir08")
    if red is None or green is None or infrared is None:
        return [], False
    r, g, n = (at[band.name] for band in (red, green, infrared))
    peak = (r > _PEAK) & (r > _TIMES * g) & (r > _TIMES * n)
    share = float(peak.mean())
    if share < _PEAK_SHARE or ((n > _PEAK) & (n > _TIMES * g) & (n > _TIMES * r)).sum() > peak.sum() / 10:
        return [], False
    swir = _called(contract, "swir16")
    dry = swir is not None and bool(np.median(at[swir.name][peak]) > _DRY)
    return [
        f"{share:.0%} of the pixels are bright in {red.name} and dark in {green.name} and {infrared.name}, as leaves "
        f"are when {red.name} and {infrared.name} change places"
    ], dry


def _cold(at: Mapping[str, NDArray[np.float64]], contract: Contract) -> list[str]:
    said = []
    for band in contract.bands:
        middle = float(np.median(at[band.name])) if band.unit == "K" else np.inf
        if middle < _COLDEST_K:
            said.append(f"half of {band.name} is colder than {middle:.0f} K, which no ground by day is")
    return said
