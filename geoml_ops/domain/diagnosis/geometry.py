"""Faults of place and grain: another pixel size or CRS, a blurred scene, a scene that lies beside its ground.

Blur takes spread inside tiles and leaves their means as they are; edges between classes may become fewer or, where
mixed pixels are taken for a third class, more. A scene that was moved shows
in each tile a part of its neighbours: the difference follows the slope of the ground (the gradient of tile means), in
the same direction in all bands and tiles (Lucas and Kanade 1981, on tiles).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geoml_ops.domain.diagnosis.calm import calm
from geoml_ops.domain.diagnosis.evidence import Evidence
from geoml_ops.domain.diagnosis.looking import NEARLY_ALL, Finding, Look
from geoml_ops.domain.diagnosis.matching import MEAN, SD, Pair

Floats = NDArray[np.float64]

_SAME_PIXEL = 0.01
#: Spread inside tiles strays this much (logarithms) where only weather and noise differ; and where no calm scene of the
#: season says what growth and harvest do to it within weeks,
_GRAIN, _GRAIN_UNKNOWN = 0.02, 0.03
#: Means of a blurred scene stay within this (logarithm).
_MEANS_STAY = 0.1
#: and a scene lies this many tiles off its place where it is registered to a fraction of a pixel.
_REGISTERED = 0.01
_LEAST_TILES_OFF = 0.05
#: The slope of the ground explains this share of what is unusual in a moved scene, its numbers are the same elsewhere,
_LEAST_FLOW, _MOST_REMADE = 0.12, 0.6
#: and this share of the tiles on steep ground agree, by more than chance lets them (sd of a coin).
_LEAST_AGREEING, _LEAST_COINS = 0.7, 1.9
_LEAST_LATTICE = 9
#: Correlation by which another place is liker than the own.
_LIKER = 0.1
_MOST_STEPS, _MOST_CELLS = 3, 2000
_TINY = 1e-9


def other_grid(evidence: Evidence) -> Finding | None:
    """Returns that the pixel size or the CRS is not that of the scenes it is compared with."""
    now, before = evidence.pixel_m, evidence.pixel_m_reference
    said = []
    if now and before and np.isfinite([now, before]).all() and abs(now - before) > _SAME_PIXEL * before:
        said.append(f"pixels are {now:g} m wide, those it is compared with {before:g} m")
    if evidence.other_crs and not evidence.other_zone:
        said.append(f"the scene is in {evidence.crs[:60]}, what it is compared with in {evidence.crs_reference[:60]}")
    if not said:
        return None
    return Finding("resampling or CRS", 1.0, "; ".join(said), {"pixel": now, "pixel before": before}, (), "tiles")


def blurred(look: Look) -> Finding | None:
    """Returns that the scene was made coarser and brought back to the same grid."""
    ratios = _ratios(look.pair, SD)[look.optical]
    grain = float(np.median(ratios))
    usual = calm([float(np.median(_ratios(p, SD)[look.optical])) for p in look.past], 0.0, _grain(look))
    if not usual.beyond(grain) or grain > 0:
        return None
    # Nearly all tiles lose it in all bands, whatever is on them, and by more than means moved.
    in_bands, in_tiles = np.median(ratios, axis=1) < 0.5 * grain, np.median(ratios, axis=0) < 0.0
    means = float(np.median(_ratios(look.pair, MEAN)[look.optical]))
    if min(in_bands.mean(), in_tiles.mean()) < NEARLY_ALL or abs(means) > min(-0.5 * grain, _MEANS_STAY):
        return None
    edges = _edges(look.pair)
    sentence = (
        f"Spread inside tiles fell to {np.exp(grain):.0%} in all bands and {in_tiles.mean():.0%} of the tiles "
        f"{look.ground}, while means stayed ({np.expm1(means):+.1%}): the scene was resampled to coarser pixels and "
        "back"
    )
    numbers = {
        "spread ratio": float(np.exp(grain)),
        "edge ratio": float(np.exp(edges)) if np.isfinite(edges) else None,
    }
    score = 1.0 - 1.0 / (1.0 + float(usual.score(grain)))
    return Finding("resampling or CRS", score, sentence, numbers, (), "tiles")


def _grain(look: Look) -> float:
    return _GRAIN if look.past else _GRAIN_UNKNOWN


def moved(look: Look) -> Finding | None:
    """Returns that the scene lies beside its ground, by about how much and in which direction."""
    lattice = _Lattice.of(look.matched.places, look.matched.n_px)
    if lattice is None or not look.is_off.any() or _remade(look) > _MOST_REMADE:
        return None
    far = _far_off(look, lattice)
    if far is not None:
        return far
    flow = lattice.flow(look.pair, look.spread, look.optical)
    if flow is None:
        return None
    past = [known for known in (lattice.flow(p, look.spread, look.optical) for p in look.past) if known is not None]
    usual = calm([known.size for known in past], 0.0, _REGISTERED)
    calm_power = float(np.mean([known.power for known in past])) if past else 0.0
    share = flow.explained / max(flow.power - calm_power, _TINY)
    if flow.size < max(_LEAST_TILES_OFF, float(usual.middle + usual.limit)) or share < _LEAST_FLOW:
        return None
    if not flow.is_everywhere:
        return None
    return _told(
        look, flow.apart * lattice.step, max(min(share, 1.0), 1.0 - 1.0 / (1.0 + float(usual.score(flow.size))))
    )


def _remade(look: Look) -> float:
    """How much of what tiles moved their distribution moved (0 to 1, middle of bands).

    A moved scene shows the same numbers at other places: tile by tile they differ, in order of size they do not.
    """
    x, y = look.pair.x[look.optical, MEAN], look.pair.y[look.optical, MEAN]
    apart = np.abs(np.sort(y, axis=1) - np.sort(x, axis=1)).mean(axis=1)
    return float(np.median(apart / np.maximum(np.abs(y - x).mean(axis=1), _TINY)))


def _told(look: Look, metres: Floats, score: float) -> Finding:
    east, north = float(metres[0]), float(metres[1])
    sentence = (
        f"Tiles show a part of their neighbours, all in the same direction: the scene lies about {abs(east):,.0f} m "
        f"{'east' if east >= 0 else 'west'} and {abs(north):,.0f} m {'north' if north >= 0 else 'south'} of its place, "
        f"{look.ground}"
    )
    return Finding("resampling or CRS", score, sentence, {"east": east, "north": north}, (), "tiles")


def _ratios(pair: Pair, part: int) -> Floats:
    """Logarithms of what is seen by what is expected ``(band, tile)``."""
    seen, expected = (np.maximum(table[:, part], _TINY) for table in (pair.y, pair.x))
    return np.asarray(np.log(seen / expected))


def _edges(pair: Pair) -> float:
    both = np.isfinite(pair.edges).all(axis=0)
    before, now = pair.edges[:, both].mean(axis=1) if both.any() else (0.0, 0.0)
    return float(np.log(max(now, _TINY) / before)) if before > _TINY else np.nan


def _far_off(look: Look, lattice: _Lattice) -> Finding | None:
    """A scene that lies whole tiles beside its ground: the neighbour explains it, the own place does not."""
    scores = {
        (east, north): lattice.likeness(look.pair, look.optical, east, north)
        for east in range(-_MOST_STEPS, _MOST_STEPS + 1)
        for north in range(-_MOST_STEPS, _MOST_STEPS + 1)
    }
    here, best = scores[0, 0], max(scores, key=lambda at: scores[at])
    usual = calm([lattice.likeness(p, look.optical, 0, 0) for p in look.past], 1.0, 0.1)
    least = float(usual.middle - usual.limit)
    if best == (0, 0) or scores[best] < 0.5 or here >= least:
        return None
    # As like as calm scenes are to their own place; without those, by more than chance gives the best of many places.
    enough = _LIKER if look.past and scores[best] >= least else 0.25 + 2.0 / np.sqrt(look.pair.x.shape[2])
    if scores[best] - here < enough:
        return None
    return _told(look, np.array(best) * lattice.step, scores[best])


@dataclass(frozen=True)
class _Flow:
    """How what is seen flows along the slope of the ground.

    Attributes:
        apart: by how many tiles (east, north) it lies off what is expected.
        power: mean square of what is left of the expectation, in spreads.
        explained: of it, by the flow.
        agreeing: share of the tiles on steep ground that flow the same way (0 to 1).
        n: those tiles.
    """

    apart: Floats
    power: float
    explained: float
    agreeing: float
    n: int

    @property
    def size(self) -> float:
        """How far, in tiles."""
        return float(np.hypot(*self.apart))

    @property
    def is_everywhere(self) -> bool:
        """Whether tiles agree, and not a few of them alone."""
        return self.agreeing >= _LEAST_AGREEING and (self.agreeing - 0.5) * 2.0 * self.n**0.5 >= _LEAST_COINS


class _Lattice:
    """Tiles of one size on a regular grid, and who lies beside whom."""

    def __init__(self, cells: NDArray[np.int64], step: float) -> None:
        self.step = step
        self._cells = cells - cells.min(axis=0) + _MOST_STEPS
        self._at = np.full(self._cells.max(axis=0) + _MOST_STEPS + 1, -1, dtype=np.intp)
        for tile, (east, north) in reversed(list(enumerate(self._cells))):
            self._at[east, north] = tile

    @classmethod
    def of(cls, places: Floats, n_px: Floats) -> _Lattice | None:
        """Returns the grid of the tiles; None where they lie on none."""
        gaps = np.concatenate([np.diff(np.unique(places[:, axis])) for axis in (0, 1)])
        gaps = gaps[gaps > _TINY]
        # Tiles cut off by the scene's edge have their centre elsewhere.
        whole = n_px >= 0.99 * np.median(n_px)
        if len(places) < _LEAST_LATTICE or not gaps.size or not whole.any():
            return None
        step = float(np.median(gaps))
        cells = np.rint((places - places[whole][0]) / step)
        off = np.abs(places - places[whole][0] - cells * step).max(axis=1)
        if (off[whole] > 0.1 * step).any() or np.ptp(cells, axis=0).max() > _MOST_CELLS:
            return None
        return cls(cells.astype(np.int64), step)

    def beside(self, pair: Pair, east: int, north: int) -> NDArray[np.intp]:
        """Returns, for each tile of a pair, which one of it lies so many steps away; -1 where there is none."""
        known = np.full(len(self._cells) + 1, -1, dtype=np.intp)
        known[pair.at] = np.arange(pair.at.size)
        at = self._cells[pair.at] + (east, north)
        return np.asarray(known[self._at[at[:, 0], at[:, 1]]])

    def flow(self, pair: Pair, spread: Floats, bands: NDArray[np.bool_]) -> _Flow | None:
        """Returns how what is seen lies off what is expected; None where too few tiles have neighbours."""
        sides = [self.beside(pair, *to) for to in ((1, 0), (-1, 0), (0, 1), (0, -1))]
        inner = np.all([side >= 0 for side in sides], axis=0)
        if inner.sum() < _LEAST_LATTICE:
            return None
        x, y, scale = pair.x[bands, MEAN], pair.y[bands, MEAN], spread[bands, MEAN]
        east, west, north, south = (x[:, side[inner]] for side in sides)
        slopes = np.stack([(east - west) / 2.0 / scale, (north - south) / 2.0 / scale])
        off = _apart_from_line(x[:, inner], y[:, inner]) / scale
        power = np.einsum("ibt,jbt->ij", slopes, slopes)
        if np.linalg.matrix_rank(power) < 2:
            return None
        # What lies d to the east of its place shows at a place what is expected d to the west of it.
        apart = -np.linalg.solve(power, np.einsum("ibt,bt->i", slopes, off))
        along = -np.einsum("ibt,i->bt", slopes, apart)
        steep = (along**2).sum(axis=0)
        steep = steep > np.median(steep)
        same = ((along * off).sum(axis=0) > 0)[steep]
        return _Flow(
            apart, float((off**2).mean()), float(apart @ power @ apart) / off.size,
            float(same.mean()) if same.size else 0.0, same.size,
        )  # fmt: skip

    def likeness(self, pair: Pair, bands: NDArray[np.bool_], east: int, north: int) -> float:
        """Returns the correlation (-1 to 1, middle of bands) with the ground so many steps against the way moved."""
        there = self.beside(pair, -east, -north)
        kept = there >= 0
        if kept.sum() < _LEAST_LATTICE:
            return -1.0
        x, y = pair.x[bands, MEAN][:, there[kept]], pair.y[bands, MEAN][:, kept]
        x, y = x - x.mean(axis=1, keepdims=True), y - y.mean(axis=1, keepdims=True)
        power = np.sqrt((x**2).sum(axis=1) * (y**2).sum(axis=1))
        return float(np.median(np.where(power > _TINY, (x * y).sum(axis=1) / np.maximum(power, _TINY), 0.0)))


def _apart_from_line(x: Floats, y: Floats) -> Floats:
    """What is left of each band after its line on the expectation: gains, offsets and season are not a move."""
    centred = x - x.mean(axis=1, keepdims=True)
    power = np.maximum((centred**2).sum(axis=1, keepdims=True), _TINY)
    shown = y - y.mean(axis=1, keepdims=True)
    return np.asarray(shown - centred * (centred * shown).sum(axis=1, keepdims=True) / power)
