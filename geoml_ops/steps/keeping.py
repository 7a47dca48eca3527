"""Imagery that is kept with its answers, where that is switched on: few tiles, drawn by digest, for people to label."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from geoml_ops.adapters import raster
from geoml_ops.adapters.predictions import KEPT, MAP, PredictionLog, Row, is_drawn, keep
from geoml_ops.core.flow import Prediction
from geoml_ops.steps.chips import Asked, numbers_of
from geoml_ops.steps.places import Places


def keep_chips(places: Places, rows: Sequence[Row], asked: Asked, share: float) -> int:
    """Keeps the chips of a request that are drawn, in the contract's radiometry, with their answers; returns how many.

    Args:
        places: where they are kept.
        rows: of the request, its own first.
        asked: the request, which was answered in layers.
        share: of all chips, how many are kept (0 to 1).
    """
    request = rows[0]
    names = ("request", "bundle", "graph_sha256", "model", "number", "sensor", "bands", "classes")
    told = {**{name: getattr(request, name) for name in names}, "at": request.at.astimezone(UTC).isoformat()}
    drawn = [number for number in range(len(asked.dn)) if is_drawn(request.request, str(number), share)]
    for number in drawn:
        layers = dict(zip(asked.names, asked.answer[number], strict=True))
        arrays = {"dn": numbers_of(asked, number), **layers}
        keep(_folder(places, request.at), f"{request.request}-{number}", arrays, {**told, "tile": number})
    return len(drawn)


def keep_tiles(
    places: Places, source: Path, prediction: Prediction, share: float, *, limits: raster.Limits, at: datetime
) -> int:
    """Keeps the tiles of a map that are drawn: pixels as they were delivered, and what the map says; returns how many.

    Args:
        places: where they are kept.
        source: the raster that was classified.
        prediction: the map of it.
        share: of all tiles, how many are kept (0 to 1).
        limits: what the raster may be.
        at: when it was answered.

    Raises:
        BadInput: the raster or the map cannot be read.
        StorageFull: no space left.
    """
    tiles = list(prediction.grid.tiles(prediction.tile_px)) if share > 0 else []
    drawn = [(n, tile) for n, tile in enumerate(tiles) if is_drawn(prediction.id, str(n), share)]
    if not drawn:
        return 0
    names = raster.describe(source, limits).names
    path = PredictionLog(places.predictions).home(prediction.id) / MAP
    for number, tile in drawn:
        arrays = {"dn": raster.read(source, tile, limits=limits), "map": raster.read(path, tile, limits=limits)}
        told = _lineage(prediction) | {"bands": list(names), "tile": number}
        told["grid"] = prediction.grid.inside(tile).model_dump(mode="json")
        keep(_folder(places, at), f"{prediction.id}-{number}", arrays, told)
    return len(drawn)


def _folder(places: Places, at: datetime) -> Path:
    return places.predictions / KEPT / f"{at.astimezone(UTC):%Y-%m-%d}"


def _lineage(prediction: Prediction) -> dict[str, Any]:
    told = prediction.as_json()
    names = ("bundle", "graph_sha256", "model", "number", "scenes", "declared", "source_name")
    return {"prediction": prediction.id, "source_sha256": prediction.source.sha256} | {n: told[n] for n in names}
