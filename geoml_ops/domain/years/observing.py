"""What a sensor delivers of the land at a time: the season's look under that day's sun and air."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from geoml_ops.domain.years.ground import Ground, smooth
from geoml_ops.domain.years.seasons import CLASSES, YEAR_DAYS, day_of, season_of, spectrum

# Numbers that a haze of strength 1 adds, falling with wavelength; the cirrus band sees only what is high.
_HAZE = np.array([150, 120, 80, 55, 45, 38, 33, 28, 26, 8, 1, 8, 5], dtype=np.float64)
# How much of it is lost on the way, as a share.
_LOSS = np.array([0.020, 0.018, 0.015, 0.012, 0.011, 0.010, 0.009, 0.008, 0.008, 0.03, 0.0, 0.004, 0.003])
_LOW_SUN = np.array([0.06, 0.055, 0.045, 0.035, 0.03, 0.025, 0.02, 0.015, 0.015, 0.0, 0.0, -0.01, -0.015])
_CLOUD = np.array([5200, 5000, 4900, 4900, 5000, 5100, 5150, 5200, 5250, 2200, 120, 3900, 3000], dtype=np.float64)
SOLSTICE_DAY = 355.0
MASKED_SHARE = 0.9
MOST_DN = 30_000


def observe(
    here: Ground,
    when: datetime,
    *,
    seed: int = 0,
    cloud_share: float = 0.0,
    truth: NDArray[np.uint8] | None = None,
    look: Mapping[str, Sequence[float]] | None = None,
) -> NDArray[np.uint16]:
    """Returns a scene as delivered: ``(band, y, x)`` at scale 1e-4, nodata 0; same arguments, same bytes.

    The year's departure and the day's air depend on the seed and the date alone, so two regions share them.

    Args:
        here: the land.
        when: acquisition time with its zone.
        seed: of everything random but the land.
        cloud_share: of the pixels (0 to 1) under cloud; nine tenths of them are masked (0), the rest is cloud seen.
        truth: ``(y, x)`` what is there instead, see :func:`~geoml_ops.domain.years.changed`.
        look: by class, a factor for each band: the class looks so now, wherever it is.

    Raises:
        ValueError: a class that is not there, a look of another number of bands, or a time without zone.
    """
    codes = here.truth if truth is None else truth
    day, stamp = day_of(when), [seed, when.toordinal(), when.hour]
    table = _looks(here, when, day, seed, _factors(here, look or {}))
    sky, noise = np.random.default_rng([17, *stamp]), np.random.default_rng([19, here.seed, *stamp])
    pure = table[codes, here.field_of]
    light = here.texture + 0.02 * smooth(codes.shape, 2.0, noise)
    grain = np.stack([0.012 * smooth(codes.shape, 1.0, noise) for _ in here.contract.bands], axis=-1)
    seen = _through_air(pure * np.exp(light[..., None] + grain), day, sky)
    masked = np.zeros(codes.shape, dtype=np.bool_)
    if cloud_share > 0:
        depth = cloud_depth(codes.shape, cloud_share, noise)
        seen += np.clip(depth * 4.0, 0.0, 1.0)[..., None] * (_CLOUD - seen)
        masked = depth > np.quantile(depth[depth > 0], 1.0 - MASKED_SHARE)
    dn = np.clip(np.rint(seen), 1, MOST_DN)
    dn[masked] = 0
    return np.ascontiguousarray(np.moveaxis(dn, -1, 0)).astype(np.uint16)


def cloud_depth(shape: tuple[int, int], share: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """Returns how deep inside a cloud each pixel lies ``(y, x)``: 0 in clear air, 1 in the thickest part."""
    blobs = smooth(shape, max(4.0, min(shape) / 16), rng)
    above = blobs - np.quantile(blobs, 1.0 - share)
    return np.asarray(np.clip(above, 0.0, None) / above.max())


def cloud_spectrum() -> NDArray[np.float64]:
    """Returns the numbers of a thick cloud, ``(band,)``."""
    return _CLOUD.copy()


def _looks(here: Ground, when: datetime, day: float, seed: int, factors: NDArray[np.float64]) -> NDArray[np.float64]:
    """Numbers of every class on every field ``(class, field, band)``, before sun and air."""
    season = season_of(when.year, seed)
    # What grows on a field is not the same every year.
    sown = np.random.default_rng([23, here.seed, seed, when.year])
    late = here.late_days + 4.0 * sown.standard_normal(here.late_days.size)
    departs = np.exp(here.departs + 0.02 * sown.standard_normal(here.departs.shape))
    looks = [
        spectrum(name, day - late - season.phase_days[code], float(season.strength[code])) * departs * factors[code]
        for code, name in enumerate(CLASSES)
    ]
    return np.stack(looks)


def _through_air(seen: NDArray[np.float64], day: float, sky: np.random.Generator) -> NDArray[np.float64]:
    low = 0.5 + 0.5 * np.cos(2 * np.pi * (day - SOLSTICE_DAY) / YEAR_DAYS)
    haze = float(np.clip(np.exp(0.5 * sky.standard_normal()) - 0.6, -0.3, 2.0))
    gain = (1.0 + _LOW_SUN * (low - 0.5)) * (1.0 - haze * _LOSS) * (1.0 + 0.01 * sky.standard_normal())
    return np.asarray(seen * gain + haze * _HAZE)


def _factors(here: Ground, look: Mapping[str, Sequence[float]]) -> NDArray[np.float64]:
    factors = np.ones((len(here.classes), len(here.contract.bands)))
    for name, per_band in look.items():
        if name not in here.classes or len(per_band) != factors.shape[1]:
            raise ValueError(
                f"{len(per_band)} factors for {name[:60]!r}; give {factors.shape[1]} for one of {', '.join(CLASSES)}"
            )
        factors[here.classes.index(name)] = per_band
    return factors
