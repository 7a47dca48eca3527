"""Cloud, snow and haze that no mask caught: tiles on the way from their ground to one bright, flat spectrum.

A pixel under a thin or small cloud is a mixture, ``seen = ground + cover * (cloud - ground)`` with one cloud spectrum
for the scene (the brightest that it shows). The cover of each tile follows by least squares over the bands. An offset
moves all tiles alike; clouds leave some as they were.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from geoml_ops.domain.diagnosis.calm import calm
from geoml_ops.domain.diagnosis.looking import Finding, Look
from geoml_ops.domain.diagnosis.matching import MEAN, PARTS, SD, Pair

Floats = NDArray[np.float64]

_P99 = PARTS.index("p99")
#: Cover that a mask leaves unseen at the edges of clouds, as a share of the ground.
_UNSEEN = 0.02
_LEAST_COVER, _COVERED = 0.08, 0.1
#: Clouds cover tiles unevenly (standard deviation of the cover by its mean), or nearly everything.
_PATCHY, _OVERCAST = 0.35, 0.8
#: A cloud is at least this much brighter in visible light than the brightest percent of what it covers,
_BRIGHTER = 1.5
#: and as bright in all visible bands, within this factor.
_FLAT = 1.5
#: Spread inside covered tiles is another one, by this factor (logarithm).
_SPREAD_CHANGED = 0.2
_VISIBLE_NM = (400.0, 700.0)
_NEAR_NM = 900.0
#: Covered ground shows less of its pattern than this correlation.
_STILL_ALIKE = 0.85
_TINY = 1e-9


def clouds(look: Look) -> Finding | None:
    """Returns that more of the scene is covered than of calm ones, without being masked."""
    seen = _seen_through(look)
    visible = _visible(look)
    if not visible.any() or not look.is_off.any():
        return None
    cover, cloud = _cover(look.pair, seen)
    share = float(np.mean(np.maximum(cover, 0.0)))
    usual = calm([float(np.mean(np.maximum(_cover(p, seen, cloud)[0], 0.0))) for p in look.past], 0.0, _UNSEEN)
    if share < _LEAST_COVER or share - usual.middle <= usual.limit:
        return None
    if float(np.std(cover)) < _PATCHY * share and share < _OVERCAST:
        return None
    covered = cover > _COVERED
    if not covered.any() or _likeness(look, visible) > _STILL_ALIKE or not _is_cloud(look, cloud, covered, visible):
        return None
    score = _explained(look, seen, cover, cloud)
    sentence = (
        f"About {share:.0%} of the ground is covered by something bright ({covered.mean():.0%} of the tiles are "
        f"affected), as bright in all visible bands: cloud, snow or haze that no mask caught; calm "
        f"scenes have {float(usual.middle):.0%}"
    )
    numbers = {"cover": share, "tiles covered": float(covered.mean())}
    # One number per tile explains more than one number for all without being truer: what is left counts twice.
    return Finding("cloud or nodata surge", score, sentence, numbers, (), "map", None, 2.0 * score - 1.0)


def _cover(pair: Pair, seen: NDArray[np.bool_], cloud: Floats | None = None) -> tuple[Floats, Floats]:
    """Cover of each tile ``(tile,)`` and numbers of the cloud ``(band,)``."""
    x, y = pair.x[seen, MEAN], pair.y[seen, MEAN]
    top = np.quantile(pair.y[seen, _P99], 0.98, axis=1) if cloud is None else cloud
    way = top[:, None] - x
    power = (way**2).sum(axis=0)
    return np.where(power > _TINY, ((y - x) * way).sum(axis=0) / np.maximum(power, _TINY), 0.0), top


def _likeness(look: Look, visible: NDArray[np.bool_]) -> float:
    """Correlation of what is seen with what is expected in visible light: no cloud keeps the pattern of the ground."""
    x, y = look.pair.x[visible, MEAN], look.pair.y[visible, MEAN]
    x, y = x - x.mean(axis=1, keepdims=True), y - y.mean(axis=1, keepdims=True)
    power = np.sqrt((x**2).sum(axis=1) * (y**2).sum(axis=1))
    return float(np.median((x * y).sum(axis=1) / np.maximum(power, _TINY)))


def _is_cloud(look: Look, cloud: Floats, covered: NDArray[np.bool_], visible: NDArray[np.bool_]) -> bool:
    """Whether what covers is much brighter than the ground in visible light, and without colour."""
    seen = _seen_through(look)
    top = cloud[visible[seen]]
    low = look.pair.x[visible][:, _P99][:, covered]
    brighter = np.median(look.pair.y[visible][:, _P99][:, covered] / np.maximum(low, _TINY))
    spectrum_flat = top.max() <= _FLAT * max(float(top.min()), _TINY)
    ground_flat = np.median(low.max(axis=0) / np.maximum(low.min(axis=0), _TINY))
    # A cloud's edge widens the spread inside a tile, its middle takes it.
    grain = look.pair.y[visible, SD][:, covered], look.pair.x[visible, SD][:, covered]
    changed = np.abs(np.log(np.maximum(grain[0], _TINY) / np.maximum(grain[1], _TINY))) > _SPREAD_CHANGED
    if np.median(changed.mean(axis=1)) < 0.5:
        return False
    return bool(brighter >= _BRIGHTER and (spectrum_flat or top.max() / max(top.min(), _TINY) < ground_flat))


def _explained(look: Look, seen: NDArray[np.bool_], cover: Floats, cloud: Floats) -> float:
    """Share of the moves of tile means that the mixture explains."""
    x, y = look.pair.x[seen, MEAN], look.pair.y[seen, MEAN]
    scale = look.spread[seen, MEAN]
    before = np.abs(y - x) / scale
    after = np.abs(y - x - np.maximum(cover, 0.0) * (cloud[:, None] - x)) / scale
    wrong = float(np.maximum(before - 1.0, 0.0).sum())
    return max(0.0, 1.0 - float(np.maximum(after - 1.0, 0.0).sum()) / wrong) if wrong > 0 else 0.0


def _visible(look: Look) -> NDArray[np.bool_]:
    low, high = _VISIBLE_NM
    known = [_centre(look, name) for name in look.bands]
    if not any(known):
        return look.optical
    return np.array([nm is not None and low <= nm <= high for nm in known])


def _seen_through(look: Look) -> NDArray[np.bool_]:
    """Bands that a cloud covers alike: up to the near infrared where wavelengths are known."""
    known = [_centre(look, name) for name in look.bands]
    if not any(known):
        return look.optical
    near = np.array([nm is not None and nm <= _NEAR_NM for nm in known]) & look.optical
    return near if near.any() else look.optical


def _centre(look: Look, name: str) -> float | None:
    if look.contract is None or name not in look.contract.names:
        return None
    return look.contract.band(name).centre_nm
