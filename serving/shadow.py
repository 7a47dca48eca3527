"""Shadowing: the last live tiles are answered by a candidate too, and where both differ is kept for people."""

from __future__ import annotations

import shutil
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoml_ops.adapters import png
from geoml_ops.core.errors import GeomlError, Refused
from geoml_ops.core.grid import Grid, Window
from geoml_ops.domain.swap import Disagreement, disagreement, summed
from geoml_ops.domain.swap.shadow import NO_ANSWER
from geoml_ops.domain.tiling import NODATA_CLASS
from geoml_ops.platform.files import whole_file, write_json
from geoml_ops.steps.answering import Model

TILES, TILE_PX = 16, 128
EVERY_S = 0.25
SHADOW_S = 20.0
REPORTS = 20
LEAST_SUM = 1e-3
REPORT = "report.json"
_COLOURS = ((120, 144, 156, 90), (215, 38, 61, 255))


@dataclass(frozen=True, eq=False)
class Seen:
    """A live tile.

    Attributes:
        model: that answered it.
        dn: ``(band, y, x)`` as the model read it, the halo included.
        grid: where it lies, if that is known: of all its pixels, or of those without the halo.
        whole: whether ``grid`` is of all its pixels.
    """

    model: Model
    dn: NDArray[np.float32]
    grid: Grid | None
    whole: bool

    def where(self, halo_px: int, height: int, width: int) -> Grid | None:
        """Returns the grid of its part that begins ``halo_px`` inside it."""
        if self.grid is None:
            return None
        first = halo_px if self.whole else halo_px - self.model.bundle.halo_px
        return self.grid.inside(Window(col=first, row=first, width=width, height=height))


class Ring:
    """The last live tiles, at most :data:`TILES` of 128 px; looking at one costs a request a copy, now and then."""

    def __init__(self, tiles: int = TILES, every_s: float = EVERY_S) -> None:
        self._kept: deque[Seen] = deque(maxlen=tiles)
        self._every_s, self._next = every_s, 0.0

    def look(self, model: Model, dn: NDArray[np.float32], grid: Grid | None) -> None:
        """Keeps the north-western 128 px of a tile, and what its model needs around; not more than a few a second."""
        now = time.monotonic()
        if now < self._next or dn.ndim != 3:
            return
        self._next = now + self._every_s
        halo = model.bundle.halo_px
        edge, shape = TILE_PX + 2 * halo, dn.shape[1:]
        fits = grid is not None and grid.shape in (shape, (shape[0] - 2 * halo, shape[1] - 2 * halo))
        kept = dn[:, :edge, :edge].astype(np.float32, copy=True)
        self._kept.append(Seen(model, kept, grid if fits else None, grid is not None and grid.shape == shape))

    def of(self, model: Model) -> list[Seen]:
        """Returns the tiles that a model answered, oldest first."""
        return [seen for seen in tuple(self._kept) if seen.model is model]


def shadow(serving: Model, candidate: Model, seen: Sequence[Seen], home: Path) -> dict[str, Any]:
    """Returns how a candidate differs from the model that serves on the last live tiles, and keeps it for people.

    Under ``home / <candidate's bundle>`` lie a report and one picture a tile: red where both differ.

    Args:
        serving: answers now.
        candidate: will.
        seen: live tiles of ``serving``.
        home: the folder of all reports.

    Raises:
        Refused: the candidate fails on a tile that the other answers, or its answer is no probability.
    """
    order = _order(serving, candidate)
    said = {"serving": serving.bundle.id, "candidate": candidate.bundle.id, "tiles": []}
    if order is None or not seen:
        why = "no tile was asked for yet" if order else "the two read other bands, pixels or radiometry"
        return {**said, "share": None, "sentence": f"Nothing was compared: {why}."}
    end, found, left = time.monotonic() + SHADOW_S, [], []
    for tile in seen:
        if time.monotonic() > end:
            break
        part = _compared(serving, candidate, tile.dn, order)
        if part is not None:
            found.append(part)
            left.append(tile)
    return _kept(said, (serving, candidate), found, left, home / candidate.bundle.id)


def _order(serving: Model, candidate: Model) -> list[int] | None:
    """Returns where the candidate's bands are among those of the model that serves; None where they are not."""
    ones, others = serving.contract, candidate.contract
    alike = (ones.sensor, ones.radiometry, ones.pixel_m) == (others.sensor, others.radiometry, others.pixel_m)
    if not alike or not set(others.names) <= set(ones.names):
        return None
    return [ones.names.index(name) for name in others.names]


def _compared(serving: Model, candidate: Model, dn: NDArray[np.float32], order: list[int]) -> Disagreement | None:
    halo = max(serving.bundle.halo_px, candidate.bundle.halo_px)
    core = slice(halo, dn.shape[1] - halo), slice(halo, dn.shape[2] - halo)
    if min(dn.shape[1:]) <= 2 * halo:
        return None
    try:
        one = _codes(serving, dn)[core]
    except GeomlError:
        # What the model that serves cannot answer says nothing about the candidate.
        return None
    other = _codes(candidate, np.ascontiguousarray(dn[order]))[core]
    return disagreement(one, other, serving.bundle.classes, candidate.bundle.classes)


def _codes(model: Model, dn: NDArray[np.float32]) -> NDArray[np.uint8]:
    answer = model.run(dn[np.newaxis])
    probability, valid = answer.probability[0], answer.valid[0, 0].astype(bool)
    sums = probability.sum(axis=0)[valid]
    if probability.shape[1:] != dn.shape[1:] or not (np.abs(sums - 1) <= LEAST_SUM).all():
        raise Refused(f"{model.bundle.id} answers a live tile with numbers that are no probabilities.")
    return np.where(valid, probability.argmax(axis=0), NODATA_CLASS).astype(np.uint8)


def _kept(
    said: dict[str, Any], models: tuple[Model, Model], found: list[Disagreement], left: list[Seen], home: Path
) -> dict[str, Any]:
    ones, others = models[0].bundle.classes, models[1].bundle.classes
    n_pixels, n_different = sum(part.n_pixels for part in found), sum(part.n_different for part in found)
    share = n_different / n_pixels if n_pixels else None
    halo = max(model.bundle.halo_px for model in models)
    rows: list[dict[str, Any]] = []
    shutil.rmtree(home, ignore_errors=True)
    for number, (part, tile) in enumerate(zip(found, left, strict=True)):
        with whole_file(home / f"tile-{number:02}.png") as path:
            path.write_bytes(png.paletted(part.where, _COLOURS))
        height, width = part.where.shape
        grid = tile.where(halo, height, width)
        shown = {"height": height, "width": width, "share": part.share, "picture": f"tile-{number:02}.png"}
        rows.append({**shown, "grid": grid.model_dump(mode="json") if grid else None})
    report = {
        **said,
        "share": share,
        "n_pixels": n_pixels,
        "n_different": n_different,
        "rows": [*ones, NO_ANSWER],
        "columns": [*others, NO_ANSWER],
        "counts": summed(found, ones, others).tolist(),
        "tiles": rows,
        "sentence": f"On {len(found)} live tiles of {n_pixels} pixels both differed on {share or 0:.1%}.",
    }
    write_json(home / REPORT, report)
    _keep_newest(home.parent)
    return report


def _keep_newest(home: Path) -> None:
    folders = sorted((path for path in home.iterdir() if path.is_dir()), key=lambda path: path.stat().st_mtime)
    for old in folders[:-REPORTS]:
        shutil.rmtree(old, ignore_errors=True)
