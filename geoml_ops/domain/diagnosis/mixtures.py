"""Whether other shares of the same classes explain how a scene moved.

A tile is a mixture: its band means are the shares of the classes in it times how each class looks. How classes look is
fitted on calm scenes of the same ground; under label shift they look so still, and the scene's own shares say its band
means. Under covariate shift they do not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geoml_ops.domain.diagnosis.evidence import Evidence
from geoml_ops.domain.diagnosis.matching import LEAST_SCENES, located, places, rows
from geoml_ops.domain.drift import Table

Floats = NDArray[np.float64]

_MOST_SCENES = 20
#: Shares moved by less than this (total variation) move no band.
_LEAST_MOVED = 0.05
_BEYOND_SD = 3.3
_LEAST_SHARE = 0.01


@dataclass(frozen=True)
class Mixture:
    """How well classes explain a scene.

    Attributes:
        explained: share (0 to 1) of the moves of tile means that the classes' own shares explain.
        moved: total variation of the scene's class shares (0 to 1).
        is_moved: whether that is beyond what calm scenes show.
        by_class: how each share moved.
    """

    explained: float
    moved: float
    is_moved: bool
    by_class: dict[str, float]


def mixture(evidence: Evidence) -> Mixture | None:
    """Returns how well classes explain the scene; None where tiles have no class shares or none is known before."""
    names = [n for n in evidence.now if n.startswith("class:")]
    tables = _known(evidence, names)
    shown = _numbers(evidence.now, evidence.bands, names)
    if len(names) < 2 or not tables or shown is None:
        return None
    known = [found for found in (_numbers(t, evidence.bands, names) for t in tables) if found is not None]
    if not known:
        return None
    looks = _looks(np.concatenate([k[0] for k in known]), np.concatenate([k[1] for k in known]))
    shares = np.array([k[0].mean(axis=0) for k in known])
    by_class = shown[0].mean(axis=0) - np.median(shares, axis=0)
    moved = float(np.abs(by_class).sum() / 2.0)
    return Mixture(
        explained=_explained(evidence, tables, names, looks),
        moved=moved,
        is_moved=moved >= max(_LEAST_MOVED, _usual(shares)),
        by_class={name.removeprefix("class:"): float(by) for name, by in zip(names, by_class, strict=True)},
    )


def _known(evidence: Evidence, names: Sequence[str]) -> list[Table]:
    tables = list(evidence.same_key[-_MOST_SCENES:])
    if len(tables) < LEAST_SCENES:
        tables += list(evidence.recent[-_MOST_SCENES:])
    tables = tables or ([evidence.ground] if evidence.own_key else [])
    return [t for t in tables if rows(t) and all(n in t for n in names)]


def _numbers(table: Table, bands: Sequence[str], names: Sequence[str]) -> tuple[Floats, Floats] | None:
    """Shares ``(tile, class)`` and band means ``(tile, band)`` of tiles that have all of them."""
    columns = [*names, *(f"{b}:mean" for b in bands)]
    if any(c not in table for c in columns):
        return None
    found = np.stack([table[c] for c in columns], axis=1)
    found = found[np.isfinite(found).all(axis=1)]
    return (found[:, : len(names)], found[:, len(names) :]) if len(found) > len(names) else None


def _looks(shares: Floats, means: Floats) -> Floats:
    """How each class looks ``(class, band)``: least squares, drawn a little to the mean look where a class is rare."""
    middle = means.mean(axis=0)
    little = _LEAST_SHARE * len(shares) * np.eye(shares.shape[1])
    return np.asarray(
        np.linalg.solve(shares.T @ shares + little, shares.T @ means + little @ np.tile(middle, (shares.shape[1], 1)))
    )


def _explained(evidence: Evidence, tables: Sequence[Table], names: Sequence[str], looks: Floats) -> float:
    """Share of how tiles moved, beyond what calm tiles do, that the move of their own class shares explains."""
    here = places(evidence.now)
    if here is None:
        return 0.0
    columns = [*names, *(f"{b}:mean" for b in evidence.bands)]
    now = np.stack([evidence.now[c] for c in columns], axis=1)
    scenes = []
    for table in tables:
        at = located(here, table)
        numbers = np.stack([table[c] for c in columns], axis=1)
        scenes.append(np.where((at >= 0)[:, None], numbers[np.maximum(at, 0)], np.nan))
    stack = np.stack(scenes)
    kept = np.isfinite(stack).any(axis=0).all(axis=1) & np.isfinite(now).all(axis=1)
    if not kept.any():
        return 0.0
    stack, now = stack[:, kept], now[kept]
    before = np.nanmedian(stack, axis=0)
    n = len(names)
    spread = _strays(stack, before)[n:]
    moved = (now - before)[:, n:] / spread
    made = ((now - before)[:, :n] @ looks) / spread
    wrong = float(np.maximum(np.abs(moved) - 1.0, 0.0).sum())
    left = float(np.maximum(np.abs(moved - made) - 1.0, 0.0).sum())
    return max(0.0, 1.0 - left / wrong) if wrong > 0 else 0.0


def _strays(stack: Floats, before: Floats) -> Floats:
    """How far a column of a tile strays on calm dates ``(column,)``."""
    floor = 0.05 * np.abs(before).mean(axis=0) + 1e-9
    if len(stack) < LEAST_SCENES:
        return np.asarray(floor)
    return np.asarray(np.maximum(1.4826 * np.nanmedian(np.abs(stack - before), axis=(0, 1)), 0.2 * floor))


def _usual(shares: Floats) -> float:
    """Total variation that class shares of calm scenes reach."""
    if len(shares) < LEAST_SCENES:
        return 2.0 * _LEAST_MOVED
    apart = np.abs(shares - np.median(shares, axis=0)).sum(axis=1) / 2.0
    return float(apart.mean() + _BEYOND_SD * apart.std())
