"""Faults of the numbers themselves: an offset that was not declared, a gain, another unit or scale.

An offset moves dark and bright ground by the same amount and leaves the spread inside tiles as it was. A gain moves
nothing at zero and all else in proportion, spread included. Both do so on every tile, whatever is on it. Air comes
closest: haze adds more in blue than in infrared and takes contrast; how much it does is known from calm scenes, or
taken as a tenth of the least offset of the policy (0.004 of reflectance by default).

What can be told apart: with five or more calm scenes of the same time of year, offsets from about 0.02 of reflectance
(200 DN at 1e-4) and gains from about an eighth in all bands, and in one band alone what its own season leaves
undecided. Without them: offsets from ``DriftRules.least_offset_dn`` (DN of 1e-4 reflectance) and gains from about a
quarter, where season has moved little. Less is left to the control charts.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geoml_ops.domain.diagnosis.calm import Calm, calm
from geoml_ops.domain.diagnosis.looking import (
    CALIBRATION,
    LEAST_EXPLAINED,
    NEARLY_ALL,
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
_MOST_BANDS = NEARLY_ALL
#: No air, sun or ageing sensor makes twice or half of a number.
_LEAST_SCALE = 2.0
_LEAST_GAIN = 0.05
#: Share of what is wrong that may be in other bands than the ones concerned.
_OTHERS = 0.25
_SOME, _PERFECT = 0.7, 0.9
_TINY = 1e-12
#: Explanations nearer than this to each other are told apart by the spread inside tiles.
_CLOSE = 0.2
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


def numbers_moved(look: Look) -> Finding | None:
    """Returns an offset, a gain or another scale, whichever explains the scene better; None where it shows none.

    On ground of little contrast both explain the same moves. The spread inside tiles decides there: an offset keeps
    it, a gain multiplies it.
    """
    found = [finding for finding in (offset(look), gain(look)) if finding is not None]
    if len(found) < 2 or abs(found[0].rank - found[1].rank) > _CLOSE:
        return max(found, key=lambda finding: finding.rank, default=None)
    added, times = found
    grown = np.log(max(float(added.numbers["spread ratio"] or 1.0), _TINY))
    factor = np.log(max(float(times.numbers["gain"] or 1.0), _TINY))
    return times if abs(grown - factor) < abs(grown) else added


def offset(look: Look) -> Finding | None:
    """Returns an offset in all or in some bands; None where the numbers show none."""
    moves = _moves(look, _offsets, look.dn_of_haze)
    tolerance = moves.calm.limit if look.past else np.full(len(look.bands), look.offset_spread)
    found = _together(look, moves, look.least_offset, tolerance, _AGREE)
    whole = None if found is None else _offset_found(look, *found, moves.by_band)
    return _mixed(look) if whole is None else whole


def gain(look: Look) -> Finding | None:
    """Returns a gain, or another unit or scale where it is twice or half or more; None where the numbers show none."""
    moves = _moves(look, _log_gains, np.full(len(look.bands), CALIBRATION))
    tolerance = np.minimum(np.maximum(moves.calm.limit, _AGREE_LOG), np.log(1.25))
    # Seasons part the bands of a scene by a third at most of what a change of unit does to all of them.
    share = _AGREE if abs(moves.common) > np.log(3.0) else 0.05
    found = _together(look, moves, np.log1p(_LEAST_GAIN), tolerance, share)
    if found is None:
        return None
    concerned, size = found
    factor = float(np.exp(size))
    undone = look.pair.seen_as(np.where(concerned[:, None, None], look.pair.y / factor, look.pair.y))
    score, weight = look.explained(undone, concerned), look.explained(undone)
    is_scale = max(factor, 1.0 / factor) >= _LEAST_SCALE
    if is_scale and concerned[look.optical].all():
        # So far off, only proportions say something.
        score = weight = max(score, _in_proportion(look.pair, look.optical, size))
        if score < LEAST_EXPLAINED:
            return None
    elif not _stands(look, undone, concerned, score):
        return None
    sentence = _scale_told(look, concerned, factor) if is_scale else _gain_told(look, concerned, factor, moves.by_band)
    numbers = {"gain": factor, **_affine(look, concerned)}
    bands = () if concerned[look.optical].all() else look.names(concerned)
    return Finding("unit or scale" if is_scale else "gain", score, sentence, numbers, bands, "profile", undone, weight)


def _scale_told(look: Look, concerned: Mask, factor: float) -> str:
    return (
        f"{_who(look, concerned)} {'is' if concerned.sum() == 1 else 'are'} {factor:.4g} times what was there before, "
        f"{look.ground}{_known(factor)}, in dark and bright tiles alike: another unit or scale than the contract's"
    )


def _gain_told(look: Look, concerned: Mask, factor: float, by_band: Floats) -> str:
    low, high = (float(np.exp(v)) for v in (by_band[concerned].min(), by_band[concerned].max()))
    return (
        f"{_who(look, concerned)} {'was' if concerned.sum() == 1 else 'were'} multiplied by about {factor:.3f} "
        f"({low:.3f} to {high:.3f}) {look.ground}, spread inside tiles included, and none is moved at zero: a gain "
        "that the metadata do not declare"
    )


def _in_proportion(pair: Pair, bands: Mask, size: float) -> float:
    """Share of the logarithm of what tiles moved by that one factor explains (0 to 1)."""
    kept = (pair.x[bands, 0] > _TINY) & (pair.y[bands, 0] > _TINY)
    if kept.mean() < _MOST_BANDS:
        return 0.0
    ratios = np.log(pair.y[bands, 0][kept] / pair.x[bands, 0][kept])
    return max(0.0, 1.0 - float(np.abs(ratios - size).mean()) / max(float(np.abs(ratios).mean()), _TINY))


def _moves(look: Look, measure: object, prior: Floats) -> _Moves:
    assert callable(measure)
    by_band = measure(look.pair)
    past = [measure(p) for p in look.past]
    wide = prior * (2.0 if look.matched.kind == "other season" else 1.0)
    own = calm(past, 0.0, wide, looks=len(look.bands) if look.past else 1)
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
    excess = np.where(look.is_off, look.off - look.calm_off.middle, 0.0)
    # A fault of some bands leaves the others as they were; growth and harvest do not.
    if not alone.any() or excess[~alone].sum() > _OTHERS * excess.sum():
        return None
    size = float(np.median(moves.by_band[alone]))
    agree = np.abs(moves.by_band[alone] - size) <= np.maximum(share * abs(size), 0.25 * tolerance[alone])
    return (alone, size) if agree.all() else None


def _offset_found(look: Look, concerned: Mask, size: float, by_band: Floats) -> Finding | None:
    undone = _less(look.pair, concerned, size)
    score = look.explained(undone, concerned)
    if not _stands(look, undone, concerned, score):
        return None
    low, high = float(by_band[concerned].min()), float(by_band[concerned].max())
    kept = _spread_kept(look.pair, concerned)
    all_bands = bool(concerned[look.optical].all())
    who = f"All {int(look.optical.sum())} bands" if all_bands else f"{listed(look.names(concerned))} alone"
    sentence = (
        f"{who} moved by about {size:+,.0f} DN ({low:+,.0f} to {high:+,.0f}) {look.ground}, dark and bright ground "
        f"alike, and the spread inside tiles stayed (ratio {kept:.2f}): an offset that the metadata do not declare"
    )
    numbers = {"offset": size, "spread ratio": kept, **_affine(look, concerned)}
    bands = () if all_bands else look.names(concerned)
    weight = look.explained(undone)
    return Finding("undeclared offset", score, sentence, numbers, bands, "profile", undone, weight)


def _mixed(look: Look) -> Finding | None:
    """An offset in a part of the tiles: requests with and without it came together."""
    rules, light = look.rules, look.optical
    moves = (look.pair.y - look.pair.x)[light, 0]
    middle = np.median(moves, axis=0)
    least, spread = rules.least_offset_dn * look.offset_spread / rules.offset_spread_dn, look.offset_spread
    shows = (np.abs(moves - middle).max(axis=0) <= spread) & (np.abs(middle) >= least)
    if not rules.drifted_share <= shows.mean() or shows.all():
        return None
    part, size = look.pair.only(shows), float(np.median(middle[shows]))
    agree = np.abs(middle[shows] - size) <= spread
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
    # Weeks may move one band by itself: without scenes of the same time of year only a perfect repair of some counts.
    some = _SOME if look.matched.kind == "same key" else _PERFECT
    least = LEAST_EXPLAINED if concerned[look.optical].all() else some
    if score < least or not (look.is_off & concerned).any():
        return False
    knows = bool(look.past) and (least < _PERFECT)
    return knows or look.is_repaired(undone, concerned)


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
