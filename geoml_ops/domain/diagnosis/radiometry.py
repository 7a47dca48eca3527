"""Faults of the numbers themselves: an offset that was not declared, a gain, another unit or scale.

An offset moves dark and bright ground by the same amount and leaves the spread inside tiles as it was. A gain moves
nothing at zero and all else in proportion, spread included. Both do so on every tile, whatever is on it. Air comes
closest: haze adds more in blue than in infrared and takes contrast; how much it does is known from calm scenes, or
from :data:`~.looking.HAZE_REFLECTANCE`.

What can be told apart: with five or more calm scenes, offsets from about 0.015 of reflectance (150 DN at 1e-4) and
gains from about 8 % in all bands; in one band alone what its own season leaves undecided. Without calm scenes: offsets
from ``DriftRules.least_offset_dn`` and gains from about a quarter. Less than that is left to the control charts.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geoml_ops.domain.diagnosis.calm import Calm, calm
from geoml_ops.domain.diagnosis.looking import (
    CALIBRATION,
    LEAST_EXPLAINED,
    Finding,
    Look,
    listed,
    weighted_median,
)
from geoml_ops.domain.diagnosis.matching import SD, Pair

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

#: Bands moved by one number agree within this share of it, where calm scenes do not stray farther.
_AGREE = 0.25
_AGREE_LOG = 0.08
_MOST_BANDS = 0.85
#: No air, sun or ageing sensor makes twice or half of a number.
_LEAST_SCALE = 2.0
_LEAST_GAIN = 0.05
_TINY = 1e-12
#: Factors between units that deliveries come in, and what they are.
_FACTORS = {
    1e-4: "reflectance for ten thousandths",
    1e4: "ten thousandths for reflectance",
    1e-2: "per cent for ten thousandths",
    1e2: "a hundred times",
    1e-1: "a tenth",
    1e1: "ten times",
    1e-3: "thousandths",
    1e3: "a thousand times",
    1.0 / 256.0: "8 bits for 16",
    256.0: "16 bits for 8",
    255.0 / 1e4: "8 bits stretched",
    1.0 / 16.0: "12 bits for 16",
    16.0: "16 bits for 12",
    4.0: "14 bits for 12",
    1e-4 / 2.75e-5: "Landsat Collection 2 for ten thousandths",
    2.75e-5 / 1e-4: "ten thousandths for Landsat Collection 2",
}


@dataclass(frozen=True)
class _Moves:
    """One number per band, for the scene and for calm scenes; and the one that all bands share."""

    by_band: Floats
    calm: Calm
    common: float
    calm_common: Calm


def offset(look: Look) -> Finding | None:
    """Returns an offset in all or in some bands; None where the numbers show none."""
    moves = _moves(look, _offsets, look.dn_of_haze)
    least = look.rules.least_offset_dn if not look.past else 3.0 * float(np.median(look.dn_of_haze))
    tolerance = (
        np.maximum(moves.calm.limit, 0.0) if look.past else np.full(len(look.bands), look.rules.offset_spread_dn)
    )
    found = _together(look, moves, least, tolerance, _AGREE)
    if found is None:
        return _mixed(look)
    concerned, size = found
    return _offset_found(look, concerned, size, look.pair, moves.by_band)


def gain(look: Look) -> Finding | None:
    """Returns a gain, or another unit or scale where it is twice or half or more; None where the numbers show none."""
    moves = _moves(look, _log_gains, np.full(len(look.bands), CALIBRATION))
    tolerance = np.minimum(np.maximum(moves.calm.limit, _AGREE_LOG), np.log(1.25))
    found = _together(look, moves, np.log1p(_LEAST_GAIN), tolerance, 0.05)
    if found is None:
        return None
    concerned, size = found
    factor = float(np.exp(size))
    undone = look.pair.seen_as(np.where(concerned[:, None, None], look.pair.y / factor, look.pair.y))
    score = look.explained(undone)
    if not _stands(look, undone, concerned, score):
        return None
    is_scale = max(factor, 1.0 / factor) >= _LEAST_SCALE
    who = _who(look, concerned)
    numbers = {"gain": factor, **_affine(look, concerned)}
    if is_scale:
        sentence = (
            f"{who} are {factor:.4g} times what they were {look.ground}{_known(factor)}, in dark and bright tiles "
            "alike: another unit or scale than the contract's"
        )
    else:
        low, high = (float(np.exp(v)) for v in (moves.by_band[concerned].min(), moves.by_band[concerned].max()))
        sentence = (
            f"{who} were multiplied by about {factor:.3f} ({low:.3f} to {high:.3f}) {look.ground}, spread inside tiles "
            "included, and none is moved at zero: a gain that the metadata do not declare"
        )
    bands = () if concerned[look.optical].all() else look.names(concerned)
    return Finding("unit or scale" if is_scale else "gain", score, sentence, numbers, bands, "profile", undone)


def _moves(look: Look, measure: object, prior: Floats) -> _Moves:
    assert callable(measure)
    by_band = measure(look.pair)
    past = [measure(p) for p in look.past]
    wide = prior * (2.0 if look.matched.kind == "other season" else 1.0)
    own = calm(past, 0.0, wide)
    weights = np.where(look.optical, 1.0 / np.maximum(own.limit, _TINY), 0.0)
    shared = [weighted_median(p, weights) for p in past]
    return _Moves(by_band, own, weighted_median(by_band, weights), calm(shared, 0.0, float(np.median(wide))))


def _offsets(pair: Pair) -> Floats:
    # Quantiles of a tile reach from its darkest to its brightest ground.
    apart = (pair.y - pair.x)[:, :SD]
    return np.asarray(np.median(apart.reshape(len(apart), -1), axis=1))


def _log_gains(pair: Pair) -> Floats:
    return np.array([_log_gain(y, x) for y, x in zip(pair.y[:, :SD], pair.x[:, :SD], strict=True)])


def _log_gain(y: Floats, x: Floats) -> float:
    kept = (x > _TINY) & (y > _TINY)
    return float(np.median(np.log(y[kept] / x[kept]))) if kept.mean() > 0.5 else np.nan


def _together(look: Look, moves: _Moves, least: float, tolerance: Floats, share: float) -> tuple[Mask, float] | None:
    """The bands that moved by the same number, and that number: all of them, or some while the others stayed."""
    known = np.isfinite(moves.by_band) & look.optical
    common = moves.common
    if known.any() and moves.calm_common.beyond(common) and abs(common) >= least:
        agree = np.abs(moves.by_band - common) <= np.maximum(tolerance, share * abs(common))
        if agree[known].mean() >= _MOST_BANDS:
            return look.optical.copy(), common
    alone = moves.calm.beyond(moves.by_band) & (np.abs(moves.by_band) >= least) & look.is_off
    if not alone.any() or (look.is_off & ~alone).any():
        return None
    size = float(np.median(moves.by_band[alone]))
    agree = np.abs(moves.by_band[alone] - size) <= np.maximum(share * abs(size), 0.25 * tolerance[alone])
    return (alone, size) if agree.all() else None


def _offset_found(look: Look, concerned: Mask, size: float, pair: Pair, by_band: Floats) -> Finding | None:
    undone = _less(pair, concerned, size)
    score = look.explained(undone)
    if not _stands(look, undone, concerned, score):
        return None
    low, high = float(by_band[concerned].min()), float(by_band[concerned].max())
    kept = _spread_kept(pair, concerned)
    all_bands = bool(concerned[look.optical].all())
    who = f"All {int(look.optical.sum())} bands" if all_bands else f"{listed(look.names(concerned))} alone"
    sentence = (
        f"{who} moved by about {size:+,.0f} DN ({low:+,.0f} to {high:+,.0f}) {look.ground}, dark and bright ground "
        f"alike, and the spread inside tiles stayed (ratio {kept:.2f}): an offset that the metadata do not declare"
    )
    numbers = {"offset": size, "spread ratio": kept, **_affine(look, concerned)}
    bands = () if all_bands else look.names(concerned)
    return Finding("undeclared offset", score, sentence, numbers, bands, "profile", undone)


def _mixed(look: Look) -> Finding | None:
    """An offset in a part of the tiles: requests with and without it came together."""
    rules, light = look.rules, look.optical
    moves = (look.pair.y - look.pair.x)[light, 0]
    middle = np.median(moves, axis=0)
    shows = (np.abs(moves - middle).max(axis=0) <= rules.offset_spread_dn) & (np.abs(middle) >= rules.least_offset_dn)
    if not rules.drifted_share <= shows.mean() or shows.all():
        return None
    part, size = look.pair.only(shows), float(np.median(middle[shows]))
    agree = np.abs(middle[shows] - size) <= rules.offset_spread_dn
    if agree.mean() < _MOST_BANDS:
        return None
    y = look.pair.y.copy()
    y[np.ix_(light, np.arange(SD), shows)] -= size
    undone = look.pair.seen_as(y)
    score = look.explained(undone)
    kept = _spread_kept(part, light)
    if not _stands(look, undone, light, score):
        return None
    sentence = (
        f"All {int(light.sum())} bands moved by about {size:+,.0f} DN on the same ground ({int(shows.sum())} of "
        f"{shows.size} matched tiles), and the spread inside tiles stayed (ratio {kept:.2f}): an offset that the "
        "metadata of these requests do not declare"
    )
    numbers = {"offset": size, "spread ratio": kept, "tiles": float(shows.sum())}
    return Finding("undeclared offset", score, sentence, numbers, (), "tiles", undone)


def _stands(look: Look, undone: Pair, concerned: Mask, score: float) -> bool:
    """Whether bands were off, and a repair helps: with calm scenes to compare, or completely without."""
    if score < LEAST_EXPLAINED or not (look.is_off & concerned).any():
        return False
    return bool(look.past) or look.is_repaired(undone, concerned)


def _less(pair: Pair, concerned: Mask, size: float) -> Pair:
    y = pair.y.copy()
    y[concerned, :SD] -= size
    return pair.seen_as(y)


def _spread_kept(pair: Pair, concerned: Mask) -> float:
    before, now = pair.x[concerned, SD], pair.y[concerned, SD]
    kept = before > _TINY
    return float(np.median(now[kept] / before[kept])) if kept.any() else 1.0


def _affine(look: Look, concerned: Mask) -> dict[str, float | None]:
    """Slope and intercept of the scene on what is expected, over tiles and their quantiles, in the middle of bands."""
    lines = []
    for y, x in zip(look.pair.y[concerned, :SD], look.pair.x[concerned, :SD], strict=True):
        flat = x.ravel() - x.mean()
        power = float(flat @ flat)
        if power > _TINY:
            slope = float(flat @ (y.ravel() - y.mean())) / power
            lines.append((slope, float(y.mean() - slope * x.mean())))
    if not lines:
        return {"slope": None, "intercept": None}
    slope, intercept = np.median(np.array(lines), axis=0)
    return {"slope": float(slope), "intercept": float(intercept)}


def _who(look: Look, concerned: Mask) -> str:
    if concerned[look.optical].all():
        return f"All {int(look.optical.sum())} bands"
    return f"{listed(look.names(concerned))} alone"


def _known(factor: float) -> str:
    nearest = min(_FACTORS, key=lambda f: abs(np.log(f / factor)))
    return f" ({_FACTORS[nearest]})" if abs(np.log(nearest / factor)) < np.log(1.1) else ""
