"""What an answered request leaves in the prediction log: a row for it, and one for each of its tiles.

A map is recorded once with its tiles, however often that is tried; who asks for it again leaves a row of the request
alone. Imagery is kept only where a share of the tiles is asked for.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import numpy as np

from geoml_ops.adapters import cog
from geoml_ops.adapters.nouns import Shelf
from geoml_ops.adapters.predictions import SKETCHES, TALLIES, PredictionLog, Row
from geoml_ops.core.errors import GeomlError, NotFound
from geoml_ops.core.flow import Bundle, Prediction, Scene
from geoml_ops.domain.sketch import Columns, Tally, bins_of, tally_from, total
from geoml_ops.platform.files import read_json, write_json
from geoml_ops.platform.locks import only_one
from geoml_ops.platform.log import logger
from geoml_ops.steps.places import Places

Kind = Literal["raster", "job"]
REGION_M = 100_000.0
ABANDONED = timedelta(days=7)
"""After it the journal of a map that nobody went on with is removed; whoever asks again begins afresh."""
_RECORDED = "recorded.json"
_log = logger("records")


def record(
    places: Places,
    bundle: Bundle,
    prediction: Prediction,
    *,
    request: str = "",
    kind: Kind = "raster",
    latency_s: float | None = None,
    at: datetime | None = None,
) -> bool:
    """Records an answered raster, on disk when this returns; returns whether its tiles were new to the log.

    Args:
        places: where predictions are kept.
        bundle: what answered.
        prediction: the answer; its files are on disk.
        request: id of the request; without one the map is recorded at most once.
        kind: the way it came.
        latency_s: how long the caller waited.
        at: when it was answered; now, if left out.
    """
    log, now = PredictionLog(places.predictions), at or datetime.now(UTC)
    found = _tallies(log.home(prediction.id), bundle)
    same = _answered(bundle, prediction, scenes_of(places, prediction))
    of_request = {**same, "kind": kind, "request": request or prediction.id}
    first = _first(log, prediction.id, now)
    whole = _request_row(of_request, prediction, found, latency_s)
    rows = [Row(row="request", at=first, **whole), *_tile_rows(of_request, first, found, log, prediction, bundle)]
    new = log.record(rows, name=prediction.id)
    if not new and request:
        log.record([Row(row="request", at=now, **{**whole, "again": True})])
    return new


def tidy(places: Places, keep_days: int, now: datetime | None = None) -> tuple[int, int]:
    """Joins the files of finished days and removes days that are older; returns files joined and days removed."""
    log, now = PredictionLog(places.predictions), now or datetime.now(UTC)
    removed = log.remove((now - timedelta(days=keep_days)).astimezone(UTC).date())
    return log.join(now), removed


def sweep(places: Places, now: datetime | None = None) -> int:
    """Removes the journals of maps that nobody has gone on with for a week; returns how many."""
    return cog.remove_left(places.workspace / "service" / "journals", (now or datetime.now(UTC)) - ABANDONED)


def columns_of_model(bundle: Bundle, model: str, number: int) -> dict[str, Any]:
    """Returns the columns that say what answered, under which name and number of the registry."""
    return {
        "bundle": bundle.id,
        "graph_sha256": bundle.file.sha256,
        "model": model,
        "number": number,
        "sensor": bundle.sensor,
        "bands": bundle.bands,
        "classes": bundle.classes,
    }


def _answered(bundle: Bundle, prediction: Prediction, scenes: Sequence[Scene]) -> dict[str, Any]:
    grid = prediction.grid
    bounds = grid.bounds
    centre = (bounds.left + bounds.right) / 2, (bounds.bottom + bounds.top) / 2
    return {
        **columns_of_model(bundle, prediction.model, prediction.number),
        "prediction": prediction.id,
        "baseline": _only({scene.baseline for scene in scenes}),
        "month": _only({f"{scene.acquired:%Y-%m}" for scene in scenes}),
        "region": region_of(grid.crs, *centre),
    }


def region_of(crs: str, easting: float, northing: float) -> str:
    """Returns the name of the square of 100 km that a point lies in, counted from the CRS's origin.

    >>> region_of("EPSG:32633", 389940.0, 5830040.0)
    'EPSG:32633/3/58'
    """
    return f"{crs}/{int(easting // REGION_M)}/{int(northing // REGION_M)}"


def _request_row(
    same: Mapping[str, Any], prediction: Prediction, found: Sequence[Tally] | Columns, latency_s: float | None
) -> dict[str, Any]:
    """Columns of the request: its answers from the map, its bands from the tiles that were looked at."""
    numbers = columns_of(total(found)) if found and not isinstance(found, dict) else {}
    return {
        **same,
        **numbers,
        "n_px": prediction.grid.width * prediction.grid.height,
        "valid_share": prediction.valid_share,
        "class_shares": tuple(prediction.class_shares.values()),
        "mean_confidence": prediction.mean_confidence,
        "outside_share": prediction.outside_share,
        "mean_set_size": prediction.mean_set_size,
        "latency_s": latency_s,
    }


def _tile_rows(
    same: Mapping[str, Any],
    at: datetime,
    found: Sequence[Tally] | Columns,
    log: PredictionLog,
    prediction: Prediction,
    bundle: Bundle,
) -> Iterator[Row]:
    crs, edge_m = prediction.grid.crs, prediction.tile_px * prediction.grid.pixel_m
    if not isinstance(found, dict):
        for one in found:
            place = one.place
            where = {"easting": place.easting, "northing": place.northing, "edge_m": place.edge_m} if place else {}
            region = region_of(crs, place.easting, place.northing) if place else same["region"]
            yield Row(row="tile", at=at, **{**same, **columns_of(one), **where, "region": region})
        return
    for row in _rows_of(found):
        yield Row(row="tile", at=at, **{**same, **_columns(row, bundle, crs), "edge_m": edge_m})


def columns_of(one: Tally) -> dict[str, Any]:
    """Returns the columns that a tally fills: of bands and of answers."""
    answered = sum(one.confidence)
    middles = (np.arange(len(one.confidence)) + 0.5) / len(one.confidence)
    return {
        "n_px": one.n_px,
        "valid_share": one.valid_share,
        "sketches": tuple(sketch.to_bytes() for sketch in one.sketches),
        "means": tuple(sketch.mean for sketch in one.sketches),
        "sds": tuple(sketch.sd for sketch in one.sketches),
        "medians": tuple(sketch.quantile(0.5) for sketch in one.sketches),
        "class_shares": one.class_shares,
        "confidence": one.confidence,
        "mean_confidence": float(middles @ one.confidence / answered) if answered else None,
        "edge_density": one.edge_density,
        "outside_share": one.outside_share,
        "mean_set_size": one.mean_set_size,
    }


def _columns(row: Mapping[str, float | None], bundle: Bundle, crs: str) -> dict[str, Any]:
    """Columns of a tile of a prediction that kept means and percentiles alone."""
    parts = {"means": "mean", "sds": "sd", "medians": "p50"}
    shares = tuple(share for name in bundle.classes if (share := row.get(f"class:{name}")) is not None)
    easting, northing = row["easting"] or 0.0, row["northing"] or 0.0
    return {
        **{column: tuple(row.get(f"{band}:{part}") for band in bundle.bands) for column, part in parts.items()},
        "n_px": int(row["n_px"] or 0),
        "valid_share": row["valid_share"] or 0.0,
        "class_shares": shares,
        "mean_confidence": row.get("confidence"),
        "edge_density": row.get("edge_density"),
        "outside_share": row.get("outside_share"),
        "easting": easting,
        "northing": northing,
        "region": region_of(crs, easting, northing),
    }


def _rows_of(columns: Columns) -> Iterator[dict[str, float | None]]:
    for values in zip(*columns.values(), strict=True):
        yield dict(zip(columns, values, strict=True))


def _tallies(home: Path, bundle: Bundle) -> Sequence[Tally] | Columns:
    """Returns the tallies of a prediction, or the columns that it kept where there are none."""
    try:
        bins = bins_of(bundle.contract)
        return [tally_from(told, bins) for told in read_json(home / TALLIES)]
    except (OSError, ValueError, GeomlError):
        pass
    try:
        columns: Columns = json.loads((home / SKETCHES).read_text(encoding="utf-8"))
        return columns
    except (OSError, ValueError):
        return {}


def _first(log: PredictionLog, prediction_id: str, now: datetime) -> datetime:
    """Returns when a prediction was recorded first: a killed recording is finished under the day it was begun on."""
    marker = log.home(prediction_id) / _RECORDED
    with only_one(log.folder / "log" / ".first.lock"):
        known = first_recorded(log, prediction_id)
        if known is None:
            write_json(marker, {"at": now.astimezone(UTC).isoformat()})
        return known or now


def first_recorded(log: PredictionLog, prediction_id: str) -> datetime | None:
    """Returns when a prediction was recorded first; None where it never was."""
    try:
        return datetime.fromisoformat(read_json(log.home(prediction_id) / _RECORDED)["at"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def scenes_of(places: Places, prediction: Prediction) -> list[Scene]:
    """Returns the scenes that a prediction names, without those that are not on this machine's shelf."""
    shelf, found = Shelf(places.nouns), []
    for scene in prediction.scenes:
        try:
            found.append(shelf.get(Scene, scene))
        except NotFound:
            continue
    return found


def _only(words: set[str]) -> str:
    return words.pop() if len(words) == 1 else ""
