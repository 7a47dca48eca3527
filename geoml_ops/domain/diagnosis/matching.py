"""The same ground at other times: what each tile of a scene is expected to look like, and how far calm scenes stray.

Scenes of the same key are the best expectation, then the last accepted ones, then the training ground. Where there are
three or more, each of them is compared with the others as the scene is with all: what calm scenes do to every number
below is known then, and a fault has to go beyond it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from geoml_ops.core.policy import DriftRules
from geoml_ops.domain.diagnosis.evidence import Evidence
from geoml_ops.domain.drift import Table

Floats = NDArray[np.float64]
Kind = Literal["same key", "recent", "ground", "other season"]

PARTS = ("mean", "p01", "p50", "p99", "sd")
MEAN, SD = PARTS.index("mean"), PARTS.index("sd")
LEAST_SCENES = 3
#: Scenes and tiles that are looked at; more change no name and cost time and memory.
MOST_SCENES, MOST_TILES = 20, 2000
#: Tiles count as the same ground when their centres are nearer than this (a tenth of a pixel at 10 m), or than a
#: fiftieth of their distance from each other where that is less, as in degrees.
_SAME_PLACE_M, _SAME_PLACE_SHARE, _LEAST_GAP = 1.0, 0.02, 1e-5
_LEAST_OVERLAP = 0.5


@dataclass(frozen=True)
class Pair:
    """The same tiles twice: as expected and as seen.

    Attributes:
        x: expected, ``(band, part, tile)`` in the order of ``PARTS``; NaN where there is no number.
        y: seen, same shape.
        edges: edge density expected and seen, ``(2, tile)``.
        at: position of each tile among the matched ones.
    """

    x: Floats
    y: Floats
    edges: Floats
    at: NDArray[np.intp]

    def only(self, tiles: NDArray[np.bool_]) -> Pair:
        """Returns the same for some of the tiles."""
        return Pair(self.x[..., tiles], self.y[..., tiles], self.edges[:, tiles], self.at[tiles])

    def seen_as(self, y: Floats) -> Pair:
        """Returns the same with other numbers seen."""
        return Pair(self.x, y, self.edges, self.at)


@dataclass(frozen=True)
class Matched:
    """A scene on known ground.

    Attributes:
        kind: what it is compared with.
        bands: names in the order of the arrays.
        pair: of the scene.
        past: of each calm scene against the others; empty where there are too few.
        places: centres ``(tile, 2)``.
        n_px: of each tile.
        n_scenes: that the expectation is the median of.
        n_now: tiles of the scene, matched or not.
    """

    kind: Kind
    bands: tuple[str, ...]
    pair: Pair
    past: tuple[Pair, ...]
    places: Floats
    n_px: Floats
    n_scenes: int
    n_now: int

    @property
    def n(self) -> int:
        """Matched tiles."""
        return int(self.pair.x.shape[2])


def matched(evidence: Evidence, rules: DriftRules) -> Matched | None:
    """Returns the scene's tiles beside what is known of the same places; None where too few are known.

    Args:
        evidence: with numbers for every band in ``now``.
        rules: for the least number of tiles.
    """
    now = thinned(evidence.now)
    here = places(now)
    if here is None:
        return None
    for kind, tables in _choices(evidence):
        found = [
            (table, at) for table in tables for at in [located(here, table)] if (at >= 0).sum() >= rules.least_tiles
        ]
        if len(found) < (LEAST_SCENES if kind == "same key" else 1):
            continue
        made = _made(kind, evidence.bands, now, found)
        if made.n >= rules.least_tiles:
            return made
    return None


def located(here: Floats, table: Table) -> NDArray[np.intp]:
    """Returns, for each place, the row of a table that lies there (the first of several); -1 where none does."""
    there = places(table)
    if there is None:
        return np.full(len(here), -1, dtype=np.intp)
    unit = _unit(here)
    known: dict[tuple[int, ...], int] = {}
    for row, key in enumerate(_keys(there, unit)):
        known.setdefault(key, row)
    return np.array([known.get(key, -1) for key in _keys(here, unit)], dtype=np.intp)


def places(table: Table) -> Floats | None:
    """Returns centre and pixels of each tile ``(tile, 3)``; None where they are not known."""
    columns = [table.get(name) for name in ("easting", "northing")]
    if any(c is None or not c.size or not np.isfinite(c).all() or np.abs(c).max() > 1e12 for c in columns):
        return None
    size = table.get("n_px", np.zeros_like(table["easting"]))
    return np.stack([table["easting"], table["northing"], np.nan_to_num(size)], axis=1)


def thinned(table: Table) -> Table:
    """Returns at most ``MOST_TILES`` tiles, in whole rows of ground where they are many, so that neighbours stay."""
    n = rows(table)
    if n <= MOST_TILES:
        return table
    # A run of neighbouring rows keeps neighbours; several runs keep the whole scene in sight.
    kept = np.zeros(n, dtype=bool)
    for first in np.linspace(0, n - MOST_TILES // 4, 4).astype(int):
        kept[first : first + MOST_TILES // 4] = True
    return {name: column[kept] for name, column in table.items()}


def rows(table: Table) -> int:
    """Returns how many tiles a table holds."""
    return int(next(iter(table.values())).size) if table else 0


def overlap(evidence: Evidence) -> float:
    """Returns the share of the scene's tiles (0 to 1) that lie on ground known from any table; 0 without places."""
    here = places(evidence.now)
    if here is None:
        return 0.0
    seen = np.zeros(len(here), dtype=bool)
    for table in (evidence.ground, *evidence.same_key[-MOST_SCENES:], *evidence.recent[-MOST_SCENES:]):
        seen |= located(here, table) >= 0
    return float(seen.mean())


def _choices(evidence: Evidence) -> list[tuple[Kind, Sequence[Table]]]:
    own = evidence.same_key[-MOST_SCENES:]
    ground: Kind = "ground" if evidence.own_key else "other season"
    return [
        ("same key", own),
        ("recent", (*own, *evidence.recent)[-MOST_SCENES:]),
        (ground, (evidence.ground,)),
    ]


def _made(kind: Kind, bands: tuple[str, ...], now: Table, found: Sequence[tuple[Table, NDArray[np.intp]]]) -> Matched:
    scenes = np.stack([_cube(table, bands, at) for table, at in found])
    edges = np.stack([_column(table, "edge_density", at) for table, at in found])
    everywhere = np.arange(rows(now))
    y, y_edges = _cube(now, bands, everywhere), _column(now, "edge_density", everywhere)
    known: NDArray[np.bool_] = np.all(np.isfinite(scenes).any(axis=0), axis=(0, 1)) & np.isfinite(y).all(axis=(0, 1))
    scenes, edges, y, y_edges = scenes[..., known], edges[:, known], y[..., known], y_edges[known]
    pair = Pair(_middle(scenes), y, np.stack([_middle(edges), y_edges]), np.arange(y.shape[2]))
    here = places(now)
    assert here is not None
    return Matched(
        kind=kind,
        bands=bands,
        pair=pair,
        past=_past(scenes, edges),
        places=here[known, :2],
        n_px=here[known, 2],
        n_scenes=len(found),
        n_now=rows(now),
    )


def _past(scenes: Floats, edges: Floats) -> tuple[Pair, ...]:
    if len(scenes) < LEAST_SCENES:
        return ()
    pairs = []
    for left_out in range(len(scenes)):
        others = np.arange(len(scenes)) != left_out
        x, y = _middle(scenes[others]), scenes[left_out]
        both = np.isfinite(x).all(axis=(0, 1)) & np.isfinite(y).all(axis=(0, 1))
        if both.mean() >= _LEAST_OVERLAP:
            beside = np.stack([_middle(edges[others]), edges[left_out]])
            pairs.append(Pair(x, y, beside, np.arange(both.size)).only(both))
    return tuple(pairs) if len(pairs) >= LEAST_SCENES else ()


def _middle(scenes: Floats) -> Floats:
    """Median over scenes; NaN where none has a number."""
    if not np.isnan(scenes).any():
        return np.asarray(np.median(scenes, axis=0))
    known = np.isfinite(scenes).any(axis=0)
    filled = np.where(known, scenes, 0.0)
    return np.where(known, np.nanmedian(filled, axis=0), np.nan)


def _cube(table: Table, bands: Sequence[str], at: NDArray[np.intp]) -> Floats:
    return np.stack([[_column(table, f"{band}:{part}", at) for part in PARTS] for band in bands])


def _column(table: Table, name: str, at: NDArray[np.intp]) -> Floats:
    column = table.get(name)
    if column is None:
        return np.full(at.size, np.nan)
    return np.where(at >= 0, column[np.maximum(at, 0)], np.nan)


def _unit(at: Floats) -> float:
    gaps = np.concatenate([np.diff(np.unique(at[:, axis])) for axis in (0, 1)])
    gaps = gaps[gaps > _LEAST_GAP]
    return min(_SAME_PLACE_M, _SAME_PLACE_SHARE * float(gaps.min())) if gaps.size else _SAME_PLACE_M


def _keys(at: Floats, unit: float) -> list[tuple[int, ...]]:
    whole = np.rint(at / (unit, unit, 1.0)).astype(np.int64)
    return [tuple(key) for key in whole.tolist()]
